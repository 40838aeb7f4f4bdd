"""How an instruction begins, waits, goes from row to row, and ends on a unit."""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.messages import send_step
from wsc.runtime.clocked.operands import account, startup
from wsc.runtime.clocked.own import execute, queue_used, starts
from wsc.runtime.clocked.recording import BUSY, record, waited
from wsc.runtime.clocked.records import NEVER, Mode, Reason
from wsc.runtime.tables import FABRIC, Kind

MOST_AT_ONCE = 1 << 20  # steps of an instruction that is executed whole when it starts


# --- time ---------------------------------------------------------------------------------


@kernel
def resume(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Account for a wait that has ended, or is looked at again."""
    state = s.unit[thread]
    if state.reason != Reason.NONE:
        waited(s, tile, thread, state.reason, state.what, state.since, t - state.since)
        state.reason = Reason.NONE


@kernel
def spend(s: Machine, tile: int, unit: int, thread: int, cycles: int, t: int) -> None:
    """Be busy for some cycles from cycle t on; they are counted now, when they begin."""
    s.unit[thread].wake = t + cycles
    if unit == 0:
        s.counters[tile].busy += cycles
        s.statements[s.unit[thread].statement].busy += cycles
    else:
        s.counters[tile].unit_busy += cycles
    moved(s, t + cycles - 1)
    record(s, thread, BUSY, 0, t, cycles)


# --- begin and end ------------------------------------------------------------------------


@kernel
def claim_queues(s: Machine, tile: int, thread: int, row: int) -> None:
    """An instruction is at its queues from its start on, also while it waits there."""
    for number in range(s.rows[row].count):
        if s.operands[s.rows[row].operands + number].kind == FABRIC:
            queue_used(s, tile, thread, row, s.unit_slot[thread, number], number == 0)


@kernel
def begin(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start a captured vector instruction or send in cycle t."""
    state = s.unit[thread]
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    first = startup(s, row)
    starts(s, thread, row, t)
    if state.left == 0:
        # Without steps it takes its start-up, and touches nothing.
        state.mode = after
        spend(s, tile, unit, thread, max(first, 1), t)
    elif s.rows[row].kind == Kind.SEND:
        state.mode = Mode.SENDING
        spend(s, tile, unit, thread, first, t)
    elif s.rows[row].level >= 0 or state.steps * state.left > MOST_AT_ONCE:
        # With queues each row waits for its wavelets. Very long instructions go row by row even
        # without queues, so that an interrupt and the limit of cycles are heard; that takes as
        # long, and no program free of races can tell.
        claim_queues(s, tile, thread, row)
        state.mode = Mode.ROWS
        spend(s, tile, unit, thread, first, t)
    else:
        # Without queues all is known: the whole of it happens now, and takes its time.
        execute(s, tile, row, thread)
        account(s, tile, row, thread, state.steps * state.left)
        state.mode = after
        spend(s, tile, unit, thread, first + state.left * state.cycles, t)


@kernel
def finish(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """A stream unit is done: its last row ended with the cycle before.

    So its signal counts for the main thread, which is visited after the units, in this cycle.
    """
    state, main = s.unit[thread], s.unit[tile * s.now[0].units]
    state.mode = Mode.IDLE
    state.wake = NEVER
    done = s.rows[state.row].done
    if done >= 0:
        s.semaphores[tile * s.now[0].semaphores + done].value += 1
        if main.reason == Reason.SEMAPHORE and main.what == done:
            main.wake = t
    if main.reason == Reason.UNIT and main.what == unit:
        main.wake = t


@kernel
def step_send(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Go on with a remote store: the next wavelet of its message, or the next message."""
    state = s.unit[thread]
    send_step(s, tile, unit, thread, state.row, t)
    if state.reason != Reason.NONE:
        return
    if state.left == 0:
        state.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, state.cycles, t)


# --- from row to row ----------------------------------------------------------------------


@kernel
def step_index(s: Machine, thread: int, level: int) -> None:
    """Go to the next row of the instruction: the outer indices."""
    d = level - 1
    while d >= 0:
        s.unit_index[thread, d] += 1
        if s.unit_index[thread, d] != s.unit_extent[thread, d]:
            return
        s.unit_index[thread, d] = 0
        d -= 1


@kernel
def takes_here(s: Machine, thread: int, advance: int, level: int) -> bool:
    """Whether an operand that advances with fewer dimensions takes a new wavelet here."""
    gone_on = 0
    for d in range(advance, level):
        gone_on |= s.unit_index[thread, d]
    return gone_on == 0


@kernel
def puts_here(s: Machine, thread: int, advance: int, level: int) -> bool:
    """Whether an output that advances with fewer dimensions leaves with this row."""
    for d in range(advance, level):
        if s.unit_index[thread, d] != s.unit_extent[thread, d] - 1:
            return False
    return True
