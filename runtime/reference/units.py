"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.clocked.basics import block, pop, room
from wsc.runtime.clocked.instructions import ends_group, finish, resume, spend, starts_group
from wsc.runtime.clocked.operands import row_level
from wsc.runtime.reference.basics import activate, push, value_in
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.messages import send_step
from wsc.runtime.reference.races import claim, put, took, touch_steps
from wsc.runtime.reference.records import Mode, Reason
from wsc.runtime.reference.vectors import FABRIC, MOST_AT_ONCE, VISIT_STEPS, account, steps
from wsc.runtime.tables import Kind


@kernel
def row_ready(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    level, operand = s.rows[row].level, s.rows[row].operands
    for turn in range(1, s.rows[row].count + 1):
        k = turn if turn < s.rows[row].count else 0
        if s.operands[operand + k].kind != FABRIC:
            continue
        advance = s.operands[operand + k].advance
        slot = s.unit_slot[thread, k]
        if k > 0 and starts_group(s, thread, advance, level):
            queue = s.slots[slot].input
            if s.fifos[queue].count == 0:
                block(s, thread, Reason.INPUT, slot, t)
                s.slots[slot].reader = unit
                return False
            seen = s.cells[s.fifos[queue].offset + s.fifos[queue].head].time
            if seen > t:
                block(s, thread, Reason.INPUT, slot, t)
                s.unit[thread].wake = seen
                return False
        emits = k == 0 and ends_group(s, thread, advance, level)
        if emits and not room(s, s.slots[slot].output, t):
            block(s, thread, Reason.OUTPUT, slot, t)
            s.slots[slot].writer = unit
            return False
    return True


@kernel
def take_inputs(s: Machine, tile: int, thread: int, row: int, t: int) -> None:
    """Take the wavelets of a row from their queues."""
    level, operand = s.rows[row].level, s.rows[row].operands
    for k in range(1, s.rows[row].count):
        if s.operands[operand + k].kind != FABRIC:
            continue
        if starts_group(s, thread, s.operands[operand + k].advance, level):
            slot = s.unit_slot[thread, k]
            queue = s.slots[slot].input
            head = s.fifos[queue].offset + s.fifos[queue].head
            s.unit_held[thread, k] = value_in(s, head)
            s.slots[slot].reader = -1
            if s.now[0].races != 0:
                took(s, tile, thread, row, slot, head)
            pop(s, queue, t)
            if s.fifos[slot].count > 0:
                s.tile[tile].ready |= 1 << s.slots[slot].bit
                activate(s, tile)


@kernel
def emit(s: Machine, tile: int, slot: int, value: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue."""
    s.slots[slot].writer = -1
    queue = s.slots[slot].output
    push(s, queue, value, control, t + 1)
    s.tile[tile].rising |= 1 << s.slots[slot].bit
    activate(s, tile)


@kernel
def run_row(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start one row of an instruction with fabric operands, if its queues allow."""
    if not row_ready(s, tile, unit, thread, row, t):
        return
    level = row_level(s, row)
    take_inputs(s, tile, thread, row, t)
    if s.now[0].races != 0:
        touch_steps(s, tile, row, thread, level)
    last = steps(s, tile, row, thread, level)
    slot = s.unit_slot[thread, 0]
    operand = s.rows[row].operands
    if slot >= 0 and ends_group(s, thread, s.operands[operand].advance, level):
        emit(s, tile, slot, last, 0, t)
        if s.now[0].races != 0:
            put(s, tile, thread, row, slot)
    account(s, tile, row, thread, s.unit[thread].steps)
    s.now[0].visits += s.unit[thread].steps // VISIT_STEPS
    s.unit[thread].left -= 1
    d = level - 1
    while d >= 0:
        s.unit_index[thread, d] += 1
        if s.unit_index[thread, d] < s.unit_extent[thread, d]:
            break
        s.unit_index[thread, d] = 0
        d -= 1
    if s.unit[thread].left == 0:
        s.unit[thread].mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, s.unit[thread].cycles, t)


@kernel
def begin(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    startup = s.timing[s.rows[row].timing].startup
    if s.unit[thread].left == 0:
        s.unit[thread].mode = after
        spend(s, tile, unit, thread, s.unit[thread].length, t)
    elif s.rows[row].kind == Kind.SEND:
        s.unit[thread].mode = Mode.SENDING
        spend(s, tile, unit, thread, startup, t)
    elif s.rows[row].level >= 0 or s.unit[thread].steps * s.unit[thread].left > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        if s.now[0].races != 0:
            claim(s, tile, thread, row)
        s.unit[thread].mode = Mode.ROWS
        spend(s, tile, unit, thread, startup, t)
    else:
        if s.now[0].races != 0:
            touch_steps(s, tile, row, thread, 0)
        steps(s, tile, row, thread, 0)
        s.now[0].visits += s.unit[thread].steps * s.unit[thread].left // VISIT_STEPS
        account(s, tile, row, thread, s.unit[thread].steps * s.unit[thread].left)
        s.unit[thread].mode = after
        spend(s, tile, unit, thread, s.unit[thread].length, t)


@kernel
def step_unit(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Go on with whatever a unit is doing, but for fetching instructions."""
    resume(s, tile, unit, thread, t)
    mode, row = s.unit[thread].mode, s.unit[thread].row
    if mode == Mode.FINISH:
        finish(s, tile, unit, thread, t)
        return
    if mode == Mode.START:
        begin(s, tile, unit, thread, row, t)
        return
    if mode == Mode.ROWS:
        run_row(s, tile, unit, thread, row, t)
    elif mode == Mode.SENDING:
        send_step(s, tile, unit, thread, row, t)
        if s.unit[thread].left == 0 and s.unit[thread].reason == Reason.NONE:
            s.unit[thread].mode = Mode.FETCH if unit == 0 else Mode.FINISH
        if s.unit[thread].reason == Reason.NONE:
            spend(s, tile, unit, thread, s.unit[thread].cycles, t)
    elif mode == Mode.CONTROL:
        slot = s.unit_slot[thread, 0]
        if room(s, s.slots[slot].output, t):
            emit(s, tile, slot, 0, s.rows[row].control, t)
            if s.now[0].races != 0:
                put(s, tile, thread, row, slot)
            s.unit[thread].mode = Mode.FETCH
            spend(s, tile, unit, thread, 1, t)
        else:
            block(s, thread, Reason.OUTPUT, slot, t)
            s.slots[slot].writer = unit
