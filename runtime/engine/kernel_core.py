"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.engine.dispatch import inlined, int32, jit
from wsc.runtime.engine.kernel_common import (
    activate,
    block,
    moved,
    pop,
    push,
    room,
    value_in,
)
from wsc.runtime.engine.kernel_dynamic import send_step
from wsc.runtime.engine.kernel_races import claim, put, took, touch_steps
from wsc.runtime.engine.kernel_trace import BUSY, record
from wsc.runtime.engine.kernel_vector import (
    FABRIC,
    MOST_AT_ONCE,
    VISIT_STEPS,
    account,
    row_level,
    steps,
)
from wsc.runtime.engine.layout import NEVER, C, G, Mode, P, Reason, State, T, U
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col, Kind, Ocol


@jit
def resume(s: State, tile: int, unit: int, me: int, t: int) -> None:
    """Account for a wait that has ended, or is looked at again."""
    reason = s.unit[me, U.REASON]
    if reason != Reason.NONE:
        if unit == 0:
            column = C.WAITING
            if reason == Reason.INPUT:
                column = C.INPUT
            elif reason == Reason.OUTPUT or reason == Reason.DYNAMIC:
                column = C.OUTPUT
            s.counters[tile, column] += t - s.unit[me, U.SINCE]
        record(s, me, reason, s.unit[me, U.SINCE], t - s.unit[me, U.SINCE])
        s.unit[me, U.REASON] = Reason.NONE


@jit
def spend(s: State, tile: int, unit: int, me: int, cycles: int, t: int) -> None:
    """Be busy for some cycles."""
    s.unit[me, U.WAKE] = t + cycles
    if unit == 0:
        s.counters[tile, C.BUSY] += cycles
        s.statements[s.unit[me, U.STATEMENT], P.BUSY] += cycles
    else:
        s.counters[tile, C.UNIT_BUSY] += cycles
    moved(s, t + cycles - 1)
    record(s, me, BUSY, t, cycles)


@jit
def finish(s: State, tile: int, unit: int, me: int, t: int) -> None:
    """A stream unit is done; its signal is visible from this cycle on."""
    s.unit[me, U.MODE] = Mode.IDLE
    s.unit[me, U.WAKE] = NEVER
    main = tile * s.g[G.UNITS]
    done = s.rows[s.unit[me, U.ROW], Col.DONE]
    if done >= 0:
        semaphore = tile * s.g[G.SEMAPHORES] + done
        s.semaphores[semaphore, 0] += 1
        if s.unit[main, U.REASON] == Reason.SEMAPHORE and s.unit[main, U.WHAT] == done:
            s.unit[main, U.WAKE] = t
    if s.unit[main, U.REASON] == Reason.UNIT and s.unit[main, U.WHAT] == unit:
        s.unit[main, U.WAKE] = t


@inlined
def starts_group(s: State, me: int, advance: int, level: int) -> bool:
    """Whether an operand that advances with fewer dimensions takes a new wavelet here."""
    moved_on = 0
    for d in range(advance, level):
        moved_on |= s.unit[me, U.INDEX + d]
    return moved_on == 0


@inlined
def ends_group(s: State, me: int, advance: int, level: int) -> bool:
    """Whether an output that advances with fewer dimensions leaves with this row."""
    for d in range(advance, level):
        if s.unit[me, U.INDEX + d] != s.unit[me, U.EXTENT + d] - 1:
            return False
    return True


@jit
def row_ready(s: State, tile: int, unit: int, me: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    for turn in range(1, s.rows[row, Col.COUNT] + 1):
        k = turn if turn < s.rows[row, Col.COUNT] else 0
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        advance = s.operands[operand + k, Ocol.ADVANCE]
        slot = s.unit[me, U.SLOT + k]
        if k > 0 and starts_group(s, me, advance, level):
            queue = s.slots[slot, Scol.INPUT]
            if s.fifos[queue, Fcol.COUNT] == 0:
                block(s, me, Reason.INPUT, slot, t)
                s.slots[slot, Scol.READER] = unit
                return False
            seen = s.cells[s.fifos[queue, Fcol.OFFSET] + s.fifos[queue, Fcol.HEAD], 0]
            if seen > t:
                block(s, me, Reason.INPUT, slot, t)
                s.unit[me, U.WAKE] = seen
                return False
        emits = k == 0 and ends_group(s, me, advance, level)
        if emits and not room(s, s.slots[slot, Scol.OUTPUT], t):
            block(s, me, Reason.OUTPUT, slot, t)
            s.slots[slot, Scol.WRITER] = unit
            return False
    return True


@jit
def take_inputs(s: State, tile: int, me: int, row: int, t: int) -> None:
    """Take the wavelets of a row from their queues."""
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    for k in range(1, s.rows[row, Col.COUNT]):
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        if starts_group(s, me, s.operands[operand + k, Ocol.ADVANCE], level):
            slot = s.unit[me, U.SLOT + k]
            queue = s.slots[slot, Scol.INPUT]
            head = s.fifos[queue, Fcol.OFFSET] + s.fifos[queue, Fcol.HEAD]
            s.unit[me, U.HELD + k] = value_in(s, head)
            s.slots[slot, Scol.READER] = -1
            if s.g[G.RACES] != 0:
                took(s, tile, me, row, slot, head)
            pop(s, queue, t)
            if s.fifos[slot, Fcol.COUNT] > 0:
                s.tile[tile, T.READY] |= 1 << s.slots[slot, Scol.BIT]
                activate(s, tile)


@jit
def emit(s: State, tile: int, slot: int, value: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue."""
    s.slots[slot, Scol.WRITER] = -1
    queue = s.slots[slot, Scol.OUTPUT]
    push(s, queue, int32(value), control, t + 1)
    s.tile[tile, T.RISING] |= 1 << s.slots[slot, Scol.BIT]
    activate(s, tile)


@jit
def run_row(s: State, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start one row of an instruction with fabric operands, if its queues allow."""
    if not row_ready(s, tile, unit, me, row, t):
        return
    u, level = s.unit, row_level(s, row)
    take_inputs(s, tile, me, row, t)
    if s.g[G.RACES] != 0:
        touch_steps(s, tile, row, me, level)
    last = steps(s, tile, row, me, level)
    slot = u[me, U.SLOT]
    operand = s.rows[row, Col.OPERANDS]
    if slot >= 0 and ends_group(s, me, s.operands[operand, Ocol.ADVANCE], level):
        emit(s, tile, slot, last, 0, t)
        if s.g[G.RACES] != 0:
            put(s, tile, me, row, slot)
    account(s, tile, row, me, u[me, U.STEPS])
    s.g[G.VISITS] += u[me, U.STEPS] // VISIT_STEPS
    u[me, U.LEFT] -= 1
    d = level - 1
    while d >= 0:
        u[me, U.INDEX + d] += 1
        if u[me, U.INDEX + d] < u[me, U.EXTENT + d]:
            break
        u[me, U.INDEX + d] = 0
        d -= 1
    if u[me, U.LEFT] == 0:
        u[me, U.MODE] = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, me, u[me, U.CYCLES], t)


@jit
def begin(s: State, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    u = s.unit
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    startup = s.timing[s.rows[row, Col.TIMING], 0]
    if u[me, U.LEFT] == 0:
        u[me, U.MODE] = after
        spend(s, tile, unit, me, u[me, U.LENGTH], t)
    elif s.rows[row, Col.KIND] == Kind.SEND:
        u[me, U.MODE] = Mode.SENDING
        spend(s, tile, unit, me, startup, t)
    elif s.rows[row, Col.LEVEL] >= 0 or u[me, U.STEPS] * u[me, U.LEFT] > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        if s.g[G.RACES] != 0:
            claim(s, tile, me, row)
        u[me, U.MODE] = Mode.ROWS
        spend(s, tile, unit, me, startup, t)
    else:
        if s.g[G.RACES] != 0:
            touch_steps(s, tile, row, me, 0)
        steps(s, tile, row, me, 0)
        s.g[G.VISITS] += u[me, U.STEPS] * u[me, U.LEFT] // VISIT_STEPS
        account(s, tile, row, me, u[me, U.STEPS] * u[me, U.LEFT])
        u[me, U.MODE] = after
        spend(s, tile, unit, me, u[me, U.LENGTH], t)


@jit
def step_unit(s: State, tile: int, unit: int, me: int, t: int) -> None:
    """Go on with whatever a unit is doing, but for fetching instructions."""
    u = s.unit
    resume(s, tile, unit, me, t)
    mode, row = u[me, U.MODE], u[me, U.ROW]
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
        if u[me, U.LEFT] == 0 and u[me, U.REASON] == Reason.NONE:
            u[me, U.MODE] = Mode.FETCH if unit == 0 else Mode.FINISH
        if u[me, U.REASON] == Reason.NONE:
            spend(s, tile, unit, me, u[me, U.CYCLES], t)
    elif mode == Mode.CONTROL:
        slot = u[me, U.SLOT]
        if room(s, s.slots[slot, Scol.OUTPUT], t):
            emit(s, tile, slot, 0, s.rows[row, Col.D], t)
            if s.g[G.RACES] != 0:
                put(s, tile, me, row, slot)
            u[me, U.MODE] = Mode.FETCH
            spend(s, tile, unit, me, 1, t)
        else:
            block(s, me, Reason.OUTPUT, slot, t)
            s.slots[slot, Scol.WRITER] = unit
