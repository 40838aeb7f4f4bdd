"""What the operands of an instruction are: references, steps, and words that they cover."""

from __future__ import annotations

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.records import Fault


@kernel
def reference(s: Machine, ref: int, tile: int) -> int:
    """The value of static plus registers in a tile's current window."""
    value = s.pool[
        s.refs[ref].pool + s.tile[tile].x * s.refs[ref].by_x + s.tile[tile].y * s.refs[ref].by_y
    ]
    frame = tile * s.now[0].registers + s.tile[tile].frame
    for index in range(s.refs[ref].first, s.refs[ref].first + s.refs[ref].count):
        value += s.regs[frame + s.registers[index]]
    return value


@kernel
def times(a: int, b: int, most: int) -> int:
    """``a * b`` of positive numbers, or one more than ``most`` if it is beyond."""
    return a * b if a <= most // b else most + 1


@kernel
def row_level(s: Machine, row: int) -> int:
    """How many outer dimensions tell the rows of an instruction apart."""
    level = s.rows[row].level
    return level if level >= 0 else max(s.rows[row].rank - 1, 0)


@kernel
def count_steps(s: Machine, tile: int, row: int, unit: int) -> int:
    """Evaluate the extents of an instruction into a unit: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    thread, level = tile * s.now[0].units + unit, row_level(s, row)
    total, inner, empty = 1, 1, False
    for d in range(s.rows[row].rank):
        extent = reference(s, s.lists[s.rows[row].dims + d], tile)
        if extent > MOST_WORD:
            fault(s, Fault.EXTENT, tile, unit, row, extent, MOST_WORD)
            return -1
        s.unit_extent[thread, d] = extent
        s.unit_index[thread, d] = 0
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
    thread = tile * s.now[0].units + unit
    of = s.operands[s.rows[row].operands + k].type
    base, size = s.unit_base[thread, k], 2 if of == 1 else 4
    low, high, odd = base, base, base
    for d in range(s.rows[row].rank):
        more, stride = s.unit_extent[thread, d] - 1, s.unit_stride[thread, 4 * d + k]
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
def measure(s: Machine, row: int, thread: int, total: int) -> None:
    """Steps and cycles of a row, number of rows, and the whole duration."""
    rank, outer = s.rows[row].rank, row_level(s, row)
    steps, count = 1, 1
    for d in range(rank):
        if d < outer:
            count *= max(s.unit_extent[thread, d], 0)
        else:
            steps *= max(s.unit_extent[thread, d], 0)
    timing = s.rows[row].timing
    group = s.timing[timing].group[s.rows[row].dtype]
    cycles = max(1, (steps + group - 1) // group) * s.timing[timing].cycles
    s.unit[thread].steps = steps
    s.unit[thread].cycles = max(cycles, 1)
    s.unit[thread].left = count if total > 0 else 0
    length = s.timing[timing].startup
    if total > 0:
        length += count * cycles
    s.unit[thread].length = max(length, 1)
