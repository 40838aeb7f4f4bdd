"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets.

``row`` is the row of the code that a unit is at: its instruction. The rows that this instruction
consists of have no number; the unit counts those that are left (``left``), and has the outer
indices of the next one (``unit_index``).
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import block, head_cell, pop, room
from wsc.runtime.clocked.instructions import (
    begin,
    finish,
    puts_here,
    resume,
    spend,
    step_index,
    step_send,
    takes_here,
)
from wsc.runtime.clocked.operands import account, row_level
from wsc.runtime.reference.basics import push, ready, wake_output
from wsc.runtime.reference.causes import counts, ends, goes_on, looks_again, sends, takes_wavelet
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.races import put, took, touch_steps
from wsc.runtime.reference.records import Mode, Reason
from wsc.runtime.reference.vectors import VISIT_STEPS, steps
from wsc.runtime.tables import FABRIC

# --- the core's queues --------------------------------------------------------------------


@kernel
def has_wavelet(s: Machine, unit: int, thread: int, slot: int, t: int) -> bool:
    """Whether a core's input queue has a wavelet; otherwise the unit waits for it."""
    queue = s.slots[slot].input
    if s.fifos[queue].count == 0:
        block(s, thread, Reason.INPUT, slot, t)
        s.slots[slot].reader = unit  # whom the router wakes
        return False
    # It may still be on the ramp; then it is known when it comes.
    seen = s.cells[head_cell(s, queue)].time
    if seen > t:
        block(s, thread, Reason.INPUT, slot, t)
        s.unit[thread].wake = seen
        return False
    return True


@kernel
def has_room(s: Machine, unit: int, thread: int, slot: int, t: int) -> bool:
    """Whether a core's output queue has a free cell; otherwise the unit waits for it."""
    if room(s, s.slots[slot].output, t):
        return True
    block(s, thread, Reason.OUTPUT, slot, t)
    s.slots[slot].writer = unit  # whom the router wakes
    return False


@kernel
def emit(s: Machine, thread: int, slot: int, value: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue; it can leave in the next cycle."""
    s.slots[slot].writer = -1
    push(s, s.slots[slot].output, value, control, t + 1)
    if s.now[0].causes != 0:
        sends(s, thread, s.slots[slot].output, t)
    wake_output(s, slot)


# --- rows of an instruction with queue operands ------------------------------------------


@kernel
def row_ready(s: Machine, unit: int, thread: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    level, first, count = s.rows[row].level, s.rows[row].operands, s.rows[row].count
    # The sources in their order, then the destination.
    for turn in range(1, count + 1):
        number = turn if turn < count else 0
        operand, slot = s.operands[first + number], s.unit_slot[thread, number]
        if operand.kind != FABRIC:
            continue
        if number > 0:
            takes = takes_here(s, thread, operand.advance, level)
            if takes and not has_wavelet(s, unit, thread, slot, t):
                return False
        else:
            emits = puts_here(s, thread, operand.advance, level)
            if emits and not has_room(s, unit, thread, slot, t):
                return False
    return True


@kernel
def take_inputs(s: Machine, tile: int, thread: int, row: int, t: int) -> None:
    """Take the wavelets of a row from their queues; the unit holds what they carry."""
    level, first = s.rows[row].level, s.rows[row].operands
    for number in range(1, s.rows[row].count):
        operand, slot = s.operands[first + number], s.unit_slot[thread, number]
        if operand.kind != FABRIC or not takes_here(s, thread, operand.advance, level):
            continue
        queue = s.slots[slot].input
        head = head_cell(s, queue)
        s.unit_held[thread, number] = s.cells[head].value
        s.slots[slot].reader = -1
        if s.now[0].races != 0:
            took(s, tile, thread, row, slot, head)
        if s.now[0].causes != 0:
            takes_wavelet(s, thread, queue, t)
        pop(s, queue, t)
        # What waits in the router for room in this queue may move in the next cycle.
        if s.fifos[slot].count > 0:
            ready(s, slot)


@kernel
def run_row(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start one row of an instruction with queue operands, if its queues allow."""
    if not row_ready(s, unit, thread, row, t):
        return
    if s.now[0].causes != 0:
        goes_on(s, tile, thread, t)
    state, level = s.unit[thread], row_level(s, row)
    # Inputs are taken, and all steps are done, when the row starts.
    take_inputs(s, tile, thread, row, t)
    if s.now[0].races != 0:
        touch_steps(s, tile, row, thread, level)
    last = steps(s, tile, row, thread, level)
    # The output enters its queue then too.
    slot = s.unit_slot[thread, 0]
    if slot >= 0 and puts_here(s, thread, s.operands[s.rows[row].operands].advance, level):
        emit(s, thread, slot, last, 0, t)
        if s.now[0].races != 0:
            put(s, tile, thread, row, slot)
    account(s, tile, row, thread, state.steps)
    s.now[0].visits += state.steps // VISIT_STEPS
    # The next row, after the cycles of this one.
    state.left -= 1
    step_index(s, thread, level)
    if state.left == 0:
        state.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, state.cycles, t)


# --- units --------------------------------------------------------------------------------


@kernel
def send_control(s: Machine, tile: int, thread: int, row: int, t: int) -> None:
    """The main thread puts a control wavelet into its output queue, when there is room."""
    slot = s.unit_slot[thread, 0]
    if not has_room(s, 0, thread, slot, t):
        return
    if s.now[0].causes != 0:
        goes_on(s, tile, thread, t)
    emit(s, thread, slot, 0, s.rows[row].control, t)
    if s.now[0].races != 0:
        put(s, tile, thread, row, slot)
    s.unit[thread].mode = Mode.FETCH
    spend(s, tile, 0, thread, 1, t)


@kernel
def step_unit(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Go on with whatever a unit is doing, but for fetching instructions."""
    if s.now[0].causes != 0:
        looks_again(s, thread)
    resume(s, tile, unit, thread, t)
    mode, row = s.unit[thread].mode, s.unit[thread].row
    if mode == Mode.FINISH:
        if s.now[0].causes != 0:
            ends(s, thread, t)
            if s.rows[row].done >= 0:
                counts(s, tile, s.rows[row].done, s.doers[thread].event, t)
        finish(s, tile, unit, thread, t)
    elif mode == Mode.START:
        begin(s, tile, unit, thread, row, t)
    elif mode == Mode.ROWS:
        run_row(s, tile, unit, thread, row, t)
    elif mode == Mode.SENDING:
        step_send(s, tile, unit, thread, t)
    elif mode == Mode.CONTROL:
        send_control(s, tile, thread, row, t)
