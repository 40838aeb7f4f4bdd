"""What the operands of an instruction are: references, steps, and words that they cover."""

from __future__ import annotations

import numpy as np

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.isa.table import COMPUTING, TABLE
from wsc.isa.types import DType
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.records import Fault
from wsc.runtime.tables import TYPE_INDEX, Col, Ocol, Tcol

I32 = TYPE_INDEX[DType.I32]
MEMORY = 0
COMPUTES = np.array([row.timing in COMPUTING for row in TABLE])
ACCUMULATES = np.array([row.accumulates for row in TABLE])


@kernel
def reference(s: Machine, ref: int, tile: int) -> int:
    """The value of static plus registers in a tile's current window."""
    refs = s.refs
    value = s.pool[refs[ref, 0] + s.tile[tile].x * refs[ref, 1] + s.tile[tile].y * refs[ref, 2]]
    frame = tile * s.now[0].registers + s.tile[tile].frame
    for index in range(refs[ref, 3], refs[ref, 3] + refs[ref, 4]):
        value += s.regs[frame + s.registers[index]]
    return value


@kernel
def times(a: int, b: int, most: int) -> int:
    """``a * b`` of positive numbers, or one more than ``most`` if it is beyond."""
    return a * b if a <= most // b else most + 1


@kernel
def row_level(s: Machine, row: int) -> int:
    """How many outer dimensions tell the rows of an instruction apart."""
    level = s.rows[row, Col.LEVEL]
    return level if level >= 0 else max(s.rows[row, Col.RANK] - 1, 0)


@kernel
def count_steps(s: Machine, tile: int, row: int, unit: int) -> int:
    """Evaluate the extents of an instruction into a unit: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    rows = s.rows
    me, level = tile * s.now[0].units + unit, row_level(s, row)
    total, inner, empty = 1, 1, False
    for d in range(rows[row, Col.RANK]):
        extent = reference(s, s.lists[rows[row, Col.DIMS] + d], tile)
        if extent > MOST_WORD:
            fault(s, Fault.EXTENT, tile, unit, row, extent, MOST_WORD)
            return -1
        s.unit_extent[me, d] = extent
        s.unit_index[me, d] = 0
        if extent <= 0:
            empty = True
            continue
        total = times(total, extent, MOST_STEPS)
        if d >= level:
            inner = times(inner, extent, MOST_ROW)
    if empty:
        return 0
    if inner > MOST_ROW:
        fault(s, Fault.ROW, tile, unit, row, MOST_ROW, 0)
        return -1
    if total > MOST_STEPS:
        fault(s, Fault.STEPS, tile, unit, row, MOST_STEPS, 0)
        return -1
    return total


@kernel
def covered(s: Machine, tile: int, row: int, unit: int, k: int) -> bool:
    """Whether all that an operand in memory covers is SRAM and aligned; otherwise a fault is noted.

    There is a step. A stride larger than SRAM leaves it with the second index, so that the
    others can be multiplied by any extent without wrapping.
    """
    most = s.now[0].bytes
    me = tile * s.now[0].units + unit
    of = s.operands[s.rows[row, Col.OPERANDS] + k, Ocol.TYPE]
    base, size = s.unit_base[me, k], 2 if of == 1 else 4
    low, high, odd = base, base, base
    for d in range(s.rows[row, Col.RANK]):
        more, stride = s.unit_extent[me, d] - 1, s.unit_stride[me, 4 * d + k]
        if more > 0:
            odd |= stride
            if stride > most or stride < -most:
                more = 1
            low += min(more * stride, 0)
            high += max(more * stride, 0)
    if low < 0 or high + size > most:
        fault(s, Fault.ADDRESS, tile, unit, row, low if low < 0 else high, most)
        return False
    if odd & (size - 1) != 0:
        fault(s, Fault.ALIGNMENT, tile, unit, row, base, size)
        return False
    s.tile[tile].top = max(s.tile[tile].top, high + size)
    return True


@kernel
def startup(s: Machine, row: int) -> int:
    """Cycles from the start of an instruction to its first row."""
    place = Tcol.QUEUE if s.rows[row, Col.LEVEL] >= 0 else 0
    return s.timing[s.rows[row, Col.TIMING], place + Tcol.STARTUP]


@kernel
def innermost(s: Machine, row: int, me: int) -> int:
    """The last iteration name with more than one value: what tells a step from the next; or -1."""
    d = s.rows[row, Col.RANK] - 1
    while d >= 0 and s.unit_extent[me, d] <= 1:
        d -= 1
    return d


@kernel
def follows(s: Machine, row: int, me: int, k: int, step: int) -> bool:
    """Whether an operand reads in each step what the destination got in the step before.

    step: the iteration name that tells the steps apart.
    """
    for d in range(step + 1):
        stride = s.unit_stride[me, 4 * d + k]
        if s.unit_extent[me, d] > 1 and stride != s.unit_stride[me, 4 * d]:
            return False
    return s.unit_base[me, 0] - s.unit_base[me, k] == s.unit_stride[me, 4 * step + k]


@kernel
def waits_for_itself(s: Machine, row: int, me: int) -> bool:
    """Whether each step of an instruction takes the floating-point result of the step before."""
    opcode, operands = s.rows[row, Col.OPCODE], s.rows[row, Col.OPERANDS]
    step = innermost(s, row, me)
    if COMPUTES[opcode] == 0 or s.rows[row, Col.DTYPE] == I32 or step < 0:
        return False
    if s.operands[operands, Ocol.KIND] != MEMORY:
        return False
    for k in range(1 - ACCUMULATES[opcode], s.rows[row, Col.COUNT]):
        source = s.operands[operands + k, Ocol.KIND] == MEMORY
        if source and follows(s, row, me, k, step):
            return True
    return False


@kernel
def meets_in_banks(s: Machine, row: int, me: int) -> bool:
    """Whether two operands go through SRAM side by side, always in the same bank.

    They are at different addresses and have one stride. What is changed in place is read and
    written at one address, by one operand.
    """
    operands, count = s.rows[row, Col.OPERANDS], s.rows[row, Col.COUNT]
    step, size, banks = innermost(s, row, me), s.now[0].bank_bytes, s.now[0].banks
    if step < 0:
        return False
    for one in range(count):
        for other in range(one + 1, count):
            both = s.operands[operands + one, Ocol.KIND] == MEMORY
            both = both and s.operands[operands + other, Ocol.KIND] == MEMORY
            a, b = s.unit_base[me, one], s.unit_base[me, other]
            stride = s.unit_stride[me, 4 * step + one]
            side_by_side = stride != 0 and stride == s.unit_stride[me, 4 * step + other]
            if both and side_by_side and a != b and (a // size - b // size) % banks == 0:
                return True
    return False


@kernel
def measure(s: Machine, row: int, me: int, total: int) -> None:
    """Steps and cycles of a row, number of rows, and the whole duration."""
    rows, u = s.rows, s.unit
    rank, outer = rows[row, Col.RANK], row_level(s, row)
    steps, count = 1, 1
    for d in range(rank):
        if d < outer:
            count *= max(s.unit_extent[me, d], 0)
        else:
            steps *= max(s.unit_extent[me, d], 0)
    timing = rows[row, Col.TIMING]
    place = Tcol.QUEUE if rows[row, Col.LEVEL] >= 0 else 0
    group = s.timing[timing, place + Tcol.GROUP + rows[row, Col.DTYPE]]
    # As many lanes as the operands' place allows, where no step waits for the one before.
    cycles = max(1, (steps * s.timing[timing, Tcol.CYCLES] + group - 1) // group)
    if s.now[0].dependent > 0 and waits_for_itself(s, row, me):
        cycles = max(cycles, steps * s.now[0].dependent)
    # A bank serves one operand at a time.
    if s.now[0].conflict > 1000 and meets_in_banks(s, row, me):
        cycles = (cycles * s.now[0].conflict + 999) // 1000
    u[me].steps = steps
    u[me].cycles = cycles
    u[me].left = count if total > 0 else 0
    length = startup(s, row)
    if total > 0:
        length += count * cycles
    u[me].length = max(length, 1)
