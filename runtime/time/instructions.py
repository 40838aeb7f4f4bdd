"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.tables import Col, Kind
from wsc.runtime.time.basics import moved
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.messages import send_step
from wsc.runtime.time.operands import MOST_AT_ONCE, account
from wsc.runtime.time.recording import BUSY, record
from wsc.runtime.time.records import NEVER, Mode, Reason


@kernel
def resume(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """Account for a wait that has ended, or is looked at again."""
    reason = s.unit[me].reason
    if reason != Reason.NONE:
        waited = t - s.unit[me].since
        if unit == 0:
            if reason == Reason.INPUT:
                s.counters[tile].input += waited
            elif reason == Reason.OUTPUT or reason == Reason.DYNAMIC:
                s.counters[tile].output += waited
            else:
                s.counters[tile].waiting += waited
        record(s, me, reason, s.unit[me].since, t - s.unit[me].since)
        s.unit[me].reason = Reason.NONE


@kernel
def spend(s: Machine, tile: int, unit: int, me: int, cycles: int, t: int) -> None:
    """Be busy for some cycles."""
    s.unit[me].wake = t + cycles
    if unit == 0:
        s.counters[tile].busy += cycles
        s.statements[s.unit[me].statement].busy += cycles
    else:
        s.counters[tile].unit_busy += cycles
    moved(s, t + cycles - 1)
    record(s, me, BUSY, t, cycles)


@kernel
def finish(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """A stream unit is done; its signal is visible from this cycle on."""
    s.unit[me].mode = Mode.IDLE
    s.unit[me].wake = NEVER
    main = tile * s.now[0].units
    done = s.rows[s.unit[me].row, Col.DONE]
    if done >= 0:
        semaphore = tile * s.now[0].semaphores + done
        s.semaphores[semaphore].value += 1
        if s.unit[main].reason == Reason.SEMAPHORE and s.unit[main].what == done:
            s.unit[main].wake = t
    if s.unit[main].reason == Reason.UNIT and s.unit[main].what == unit:
        s.unit[main].wake = t


@kernel
def starts_group(s: Machine, me: int, advance: int, level: int) -> bool:
    """Whether an operand that advances with fewer dimensions takes a new wavelet here."""
    moved_on = 0
    for d in range(advance, level):
        moved_on |= s.unit_index[me, d]
    return moved_on == 0


@kernel
def ends_group(s: Machine, me: int, advance: int, level: int) -> bool:
    """Whether an output that advances with fewer dimensions leaves with this row."""
    for d in range(advance, level):
        if s.unit_index[me, d] != s.unit_extent[me, d] - 1:
            return False
    return True


@kernel
def begin(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    u = s.unit
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    startup = s.timing[s.rows[row, Col.TIMING], 0]
    if u[me].left == 0:
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)
    elif s.rows[row, Col.KIND] == Kind.SEND:
        u[me].mode = Mode.SENDING
        spend(s, tile, unit, me, startup, t)
    elif s.rows[row, Col.LEVEL] >= 0 or u[me].steps * u[me].left > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        u[me].mode = Mode.ROWS
        spend(s, tile, unit, me, startup, t)
    else:
        account(s, tile, row, me, u[me].steps * u[me].left)
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)


@kernel
def step_send(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """Go on with a remote store: the next wavelet of its message, or the next message."""
    u = s.unit[me]
    resume(s, tile, unit, me, t)
    send_step(s, tile, unit, me, u.row, t)
    if u.reason != Reason.NONE:
        return
    if u.left == 0:
        u.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, me, u.cycles, t)
