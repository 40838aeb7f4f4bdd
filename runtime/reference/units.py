"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.clocked.basics import block, pop, room
from wsc.runtime.clocked.instructions import ends_group, finish, resume, spend, starts_group
from wsc.runtime.clocked.operands import row_level, startup
from wsc.runtime.reference.basics import activate, push, value_in
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.messages import send_step
from wsc.runtime.reference.races import claim, put, took, touch_steps
from wsc.runtime.reference.records import Mode, Reason
from wsc.runtime.reference.vectors import FABRIC, MOST_AT_ONCE, VISIT_STEPS, account, steps
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col, Kind, Ocol


@kernel
def row_ready(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    for turn in range(1, s.rows[row, Col.COUNT] + 1):
        k = turn if turn < s.rows[row, Col.COUNT] else 0
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        advance = s.operands[operand + k, Ocol.ADVANCE]
        slot = s.unit_slot[me, k]
        if k > 0 and starts_group(s, me, advance, level):
            queue = s.slots[slot, Scol.INPUT]
            if s.fifos[queue, Fcol.COUNT] == 0:
                block(s, me, Reason.INPUT, slot, t)
                s.slots[slot, Scol.READER] = unit
                return False
            seen = s.cells[s.fifos[queue, Fcol.OFFSET] + s.fifos[queue, Fcol.HEAD]].time
            if seen > t:
                block(s, me, Reason.INPUT, slot, t)
                s.unit[me].wake = seen
                return False
        emits = k == 0 and ends_group(s, me, advance, level)
        if emits and not room(s, s.slots[slot, Scol.OUTPUT], t):
            block(s, me, Reason.OUTPUT, slot, t)
            s.slots[slot, Scol.WRITER] = unit
            return False
    return True


@kernel
def take_inputs(s: Machine, tile: int, me: int, row: int, t: int) -> None:
    """Take the wavelets of a row from their queues."""
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    for k in range(1, s.rows[row, Col.COUNT]):
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        if starts_group(s, me, s.operands[operand + k, Ocol.ADVANCE], level):
            slot = s.unit_slot[me, k]
            queue = s.slots[slot, Scol.INPUT]
            head = s.fifos[queue, Fcol.OFFSET] + s.fifos[queue, Fcol.HEAD]
            s.unit_held[me, k] = value_in(s, head)
            s.slots[slot, Scol.READER] = -1
            if s.now[0].races != 0:
                took(s, tile, me, row, slot, head)
            pop(s, queue, t)
            if s.fifos[slot, Fcol.COUNT] > 0:
                s.tile[tile].ready |= 1 << s.slots[slot, Scol.BIT]
                activate(s, tile)


@kernel
def emit(s: Machine, tile: int, slot: int, value: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue."""
    s.slots[slot, Scol.WRITER] = -1
    queue = s.slots[slot, Scol.OUTPUT]
    push(s, queue, value, control, t + 1)
    s.tile[tile].rising |= 1 << s.slots[slot, Scol.BIT]
    activate(s, tile)


@kernel
def run_row(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start one row of an instruction with fabric operands, if its queues allow."""
    if not row_ready(s, tile, unit, me, row, t):
        return
    u, level = s.unit, row_level(s, row)
    take_inputs(s, tile, me, row, t)
    if s.now[0].races != 0:
        touch_steps(s, tile, row, me, level)
    last = steps(s, tile, row, me, level)
    slot = s.unit_slot[me, 0]
    operand = s.rows[row, Col.OPERANDS]
    if slot >= 0 and ends_group(s, me, s.operands[operand, Ocol.ADVANCE], level):
        emit(s, tile, slot, last, 0, t)
        if s.now[0].races != 0:
            put(s, tile, me, row, slot)
    account(s, tile, row, me, u[me].steps)
    s.now[0].visits += u[me].steps // VISIT_STEPS
    u[me].left -= 1
    d = level - 1
    while d >= 0:
        s.unit_index[me, d] += 1
        if s.unit_index[me, d] < s.unit_extent[me, d]:
            break
        s.unit_index[me, d] = 0
        d -= 1
    if u[me].left == 0:
        u[me].mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, me, u[me].cycles, t)


@kernel
def begin(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    u = s.unit
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    first = startup(s, row)
    if u[me].left == 0:
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)
    elif s.rows[row, Col.KIND] == Kind.SEND:
        u[me].mode = Mode.SENDING
        spend(s, tile, unit, me, first, t)
    elif s.rows[row, Col.LEVEL] >= 0 or u[me].steps * u[me].left > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        if s.now[0].races != 0:
            claim(s, tile, me, row)
        u[me].mode = Mode.ROWS
        spend(s, tile, unit, me, first, t)
    else:
        if s.now[0].races != 0:
            touch_steps(s, tile, row, me, 0)
        steps(s, tile, row, me, 0)
        s.now[0].visits += u[me].steps * u[me].left // VISIT_STEPS
        account(s, tile, row, me, u[me].steps * u[me].left)
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)


@kernel
def step_unit(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """Go on with whatever a unit is doing, but for fetching instructions."""
    u = s.unit
    resume(s, tile, unit, me, t)
    mode, row = u[me].mode, u[me].row
    if mode == Mode.FINISH:
        finish(s, tile, unit, me, t)
        return
    if mode == Mode.START:
        begin(s, tile, unit, me, row, t)
        return
    if mode == Mode.ROWS:
        run_row(s, tile, unit, me, row, t)
    elif mode == Mode.SENDING:
        send_step(s, tile, unit, me, row, t)
        if u[me].left == 0 and u[me].reason == Reason.NONE:
            u[me].mode = Mode.FETCH if unit == 0 else Mode.FINISH
        if u[me].reason == Reason.NONE:
            spend(s, tile, unit, me, u[me].cycles, t)
    elif mode == Mode.CONTROL:
        slot = s.unit_slot[me, 0]
        if room(s, s.slots[slot, Scol.OUTPUT], t):
            emit(s, tile, slot, 0, s.rows[row, Col.D], t)
            if s.now[0].races != 0:
                put(s, tile, me, row, slot)
            u[me].mode = Mode.FETCH
            spend(s, tile, unit, me, 1, t)
        else:
            block(s, me, Reason.OUTPUT, slot, t)
            s.slots[slot, Scol.WRITER] = unit
