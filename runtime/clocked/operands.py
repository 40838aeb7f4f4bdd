"""The operands of an instruction, as they are when it is issued: its *capture*.

The main thread evaluates extents, addresses, strides and scalars once, for the unit that will
execute the instruction; registers may change afterwards. ``at`` is where these are in their
tables: in the unit's own row, or in one that the next instruction takes again
(``own.capture_place``).
"""

from __future__ import annotations

import numpy as np

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.isa.table import COMPUTING, TABLE
from wsc.isa.types import DType
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.own import capture_place, hold
from wsc.runtime.clocked.records import OPERANDS, Counts, Fault
from wsc.runtime.kernels.calls import prefetch
from wsc.runtime.routes import SLOT, Scol
from wsc.runtime.tables import ELEMENT_BYTES, FABRIC, MAX_DIMS, MEMORY, TYPE_INDEX

I32 = TYPE_INDEX[DType.I32]
COMPUTES = np.array([row.timing in COMPUTING for row in TABLE])
ACCUMULATES = np.array([row.accumulates for row in TABLE])


@kernel
def reference(s: Machine, ref: int, tile: int) -> int:
    """The value of static plus registers in a tile's current window."""
    of, here = s.refs[ref], s.tile[tile]
    value = s.pool[of.pool + here.x * of.by_x + here.y * of.by_y]
    window = tile * s.now[0].registers + here.frame
    for index in range(of.first, of.first + of.count):
        value += s.regs[window + s.registers[index]]
    return value


@kernel
def times(one: int, other: int, most: int) -> int:
    """The product of positive numbers, or one more than ``most`` if it is beyond."""
    return one * other if one <= most // other else most + 1


# --- steps and rows -----------------------------------------------------------------------


@kernel
def row_level(s: Machine, row: int) -> int:
    """How many outer dimensions tell the rows of an instruction apart."""
    level = s.rows[row].level
    return level if level >= 0 else max(s.rows[row].rank - 1, 0)


@kernel
def count_steps(s: Machine, tile: int, row: int, unit: int, at: int) -> int:
    """Evaluate the extents of an instruction: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    level = row_level(s, row)
    total, inner, empty = 1, 1, False
    for d in range(s.rows[row].rank):
        extent = reference(s, s.lists[s.rows[row].dims + d], tile)
        if extent > MOST_WORD:
            fault(s, Fault.EXTENT, tile, unit, row, extent, MOST_WORD)
            return -1
        s.unit_extent[at, d] = extent
        s.unit_index[at, d] = 0
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
def startup(s: Machine, row: int) -> int:
    """Cycles from the start of an instruction to its first row."""
    timing = s.timing[s.rows[row].timing]
    return timing.queue_startup if s.rows[row].level >= 0 else timing.startup


@kernel
def innermost(s: Machine, row: int, at: int) -> int:
    """The last iteration name with more than one value: what tells a step from the next; or -1."""
    d = s.rows[row].rank - 1
    while d >= 0 and s.unit_extent[at, d] <= 1:
        d -= 1
    return d


@kernel
def follows(s: Machine, at: int, number: int, step: int) -> bool:
    """Whether an operand reads in each step what the destination got in the step before.

    number: of the operand. step: the iteration name that tells the steps apart.
    """
    for d in range(step + 1):
        stride = s.unit_stride[at, OPERANDS * d + number]
        if s.unit_extent[at, d] > 1 and stride != s.unit_stride[at, OPERANDS * d]:
            return False
    apart = s.unit_base[at, 0] - s.unit_base[at, number]
    return apart == s.unit_stride[at, OPERANDS * step + number]


@kernel
def waits_for_itself(s: Machine, row: int, at: int) -> bool:
    """Whether each step of an instruction takes the floating-point result of the step before."""
    instruction, step = s.rows[row], innermost(s, row, at)
    if COMPUTES[instruction.opcode] == 0 or instruction.dtype == I32 or step < 0:
        return False
    if s.operands[instruction.operands].kind != MEMORY:
        return False
    for number in range(1 - ACCUMULATES[instruction.opcode], instruction.count):
        source = s.operands[instruction.operands + number].kind == MEMORY
        if source and follows(s, at, number, step):
            return True
    return False


@kernel
def meets_in_banks(s: Machine, row: int, at: int) -> bool:
    """Whether two operands go through SRAM side by side, always in the same bank.

    They are at different addresses and have one stride. What is changed in place is read and
    written at one address, by one operand.
    """
    instruction, step = s.rows[row], innermost(s, row, at)
    size, banks = s.now[0].bank_bytes, s.now[0].banks
    if step < 0:
        return False
    for one in range(instruction.count):
        for other in range(one + 1, instruction.count):
            both = s.operands[instruction.operands + one].kind == MEMORY
            both = both and s.operands[instruction.operands + other].kind == MEMORY
            mine, its = s.unit_base[at, one], s.unit_base[at, other]
            stride = s.unit_stride[at, OPERANDS * step + one]
            beside = stride != 0 and stride == s.unit_stride[at, OPERANDS * step + other]
            if both and beside and mine != its and (mine // size - its // size) % banks == 0:
                return True
    return False


@kernel
def measure(s: Machine, row: int, thread: int, at: int, total: int) -> None:
    """Steps and cycles of a row, and the number of rows."""
    instruction, state = s.rows[row], s.unit[thread]
    outer = row_level(s, row)
    # The outer dimensions count the rows, the inner ones the steps of each.
    steps, count = 1, 1
    for d in range(instruction.rank):
        if d < outer:
            count *= max(s.unit_extent[at, d], 0)
        else:
            steps *= max(s.unit_extent[at, d], 0)
    # As many lanes as the operands' place allows, where no step waits for the one before.
    timing = s.timing[instruction.timing]
    group = timing.group[instruction.dtype]
    if instruction.level >= 0:
        group = timing.queue_group[instruction.dtype]
    cycles = max(1, (steps * timing.cycles + group - 1) // group)
    if s.now[0].dependent > 0 and waits_for_itself(s, row, at):
        cycles = max(cycles, steps * s.now[0].dependent)
    # A bank serves one operand at a time.
    if s.now[0].conflict > 1000 and meets_in_banks(s, row, at):
        cycles = (cycles * s.now[0].conflict + 999) // 1000
    state.steps = steps
    state.cycles = cycles
    state.left = count if total > 0 else 0


# --- operands -----------------------------------------------------------------------------


@kernel
def covered(s: Machine, tile: int, row: int, unit: int, number: int, at: int) -> bool:
    """Whether all that an operand in memory covers is SRAM and aligned; otherwise a fault is noted.

    number: of the operand. There is a step. A stride larger than SRAM leaves it with the second
    index, so that the others can be multiplied by any extent without wrapping.
    """
    most = s.now[0].bytes
    size = ELEMENT_BYTES[s.operands[s.rows[row].operands + number].type]
    base = s.unit_base[at, number]
    low, high, odd = base, base, base
    for d in range(s.rows[row].rank):
        more, stride = s.unit_extent[at, d] - 1, s.unit_stride[at, OPERANDS * d + number]
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
def capture_queue(s: Machine, tile: int, row: int, unit: int, number: int) -> bool:
    """Find the queue of an operand: the destination puts into one, sources take from one."""
    color = s.operands[s.rows[row].operands + number].color
    slot, queue = s.slot_of[tile * s.now[0].colors + color], -1
    if slot >= 0:
        queue = s.slots[slot].output if number == 0 else s.slots[slot].input
    if queue < 0:
        end = Scol.OUTPUT if number == 0 else Scol.INPUT
        fault(s, Fault.QUEUE, tile, unit, row, color, end)
        return False
    s.unit_slot[tile * s.now[0].units + unit, number] = slot
    return True


@kernel
def fetch_slots(s: Machine, tile: int, row: int) -> None:
    """Fetch the slots of queue operands from memory, while extents are evaluated."""
    instruction, colors = s.rows[row], tile * s.now[0].colors
    for number in range(instruction.operands, instruction.operands + instruction.count):
        if s.operands[number].kind == FABRIC:
            slot = s.slot_of[colors + s.operands[number].color]
            prefetch(s.slots.ctypes.data + slot * SLOT.itemsize)


@kernel
def capture(s: Machine, tile: int, row: int, unit: int) -> bool:
    """Evaluate extents, addresses, strides and scalars of an instruction into a unit.

    Returns:
        Whether all is well; otherwise a fault is noted.
    """
    thread, rank = tile * s.now[0].units + unit, s.rows[row].rank
    at = capture_place(s, thread, row)
    fetch_slots(s, tile, row)
    total = count_steps(s, tile, row, unit, at)
    if total < 0:
        return False
    for number in range(s.rows[row].count):
        place = s.rows[row].operands + number
        operand = s.operands[place]
        s.unit_slot[thread, number] = -1
        for d in range(MAX_DIMS):
            s.unit_stride[at, OPERANDS * d + number] = 0
        if operand.kind == MEMORY:
            s.unit_base[at, number] = reference(s, operand.value, tile)
            for d in range(rank):
                stride = reference(s, s.lists[operand.strides + d], tile)
                s.unit_stride[at, OPERANDS * d + number] = stride
            if total > 0 and not covered(s, tile, row, unit, number, at):
                return False
        elif operand.kind == FABRIC:
            if not capture_queue(s, tile, row, unit, number):
                return False
        else:
            hold(s, tile, thread, number, place)
    measure(s, row, thread, at, total)
    return True


# --- counts -------------------------------------------------------------------------------


@kernel
def account(s: Machine, tile: int, row: int, thread: int, done: int) -> None:
    """Count ``done`` executed steps."""
    trait, counters = s.traits[row], s.counters[tile]
    statement = s.statements[s.unit[thread].statement]
    counters.sram += done * trait.bytes
    statement.elements += done
    if trait.counts == Counts.ELEMENTS:
        counters.elements += done
        return
    macs = done * trait.macs
    statement.macs += macs
    if trait.counts == Counts.MACS_F16:
        counters.macs_f16 += macs
    else:
        counters.macs_f32 += macs
