"""How an instruction begins, waits and ends on a unit."""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.recording import BUSY, record
from wsc.runtime.clocked.records import NEVER, Mode, Reason


@kernel
def resume(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Account for a wait that has ended, or is looked at again."""
    reason = s.unit[thread].reason
    if reason != Reason.NONE:
        waited = t - s.unit[thread].since
        if unit == 0:
            if reason == Reason.INPUT:
                s.counters[tile].input += waited
            elif reason == Reason.OUTPUT or reason == Reason.DYNAMIC:
                s.counters[tile].output += waited
            else:
                s.counters[tile].waiting += waited
        record(s, thread, reason, s.unit[thread].since, t - s.unit[thread].since)
        s.unit[thread].reason = Reason.NONE


@kernel
def spend(s: Machine, tile: int, unit: int, thread: int, cycles: int, t: int) -> None:
    """Be busy for some cycles."""
    s.unit[thread].wake = t + cycles
    if unit == 0:
        s.counters[tile].busy += cycles
        s.statements[s.unit[thread].statement].busy += cycles
    else:
        s.counters[tile].unit_busy += cycles
    moved(s, t + cycles - 1)
    record(s, thread, BUSY, t, cycles)


@kernel
def finish(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """A stream unit is done; its signal is visible from this cycle on."""
    s.unit[thread].mode = Mode.IDLE
    s.unit[thread].wake = NEVER
    main = tile * s.now[0].units
    done = s.rows[s.unit[thread].row].done
    if done >= 0:
        semaphore = tile * s.now[0].semaphores + done
        s.semaphores[semaphore].value += 1
        if s.unit[main].reason == Reason.SEMAPHORE and s.unit[main].what == done:
            s.unit[main].wake = t
    if s.unit[main].reason == Reason.UNIT and s.unit[main].what == unit:
        s.unit[main].wake = t


@kernel
def starts_group(s: Machine, thread: int, advance: int, level: int) -> bool:
    """Whether an operand that advances with fewer dimensions takes a new wavelet here."""
    moved_on = 0
    for d in range(advance, level):
        moved_on |= s.unit_index[thread, d]
    return moved_on == 0


@kernel
def ends_group(s: Machine, thread: int, advance: int, level: int) -> bool:
    """Whether an output that advances with fewer dimensions leaves with this row."""
    for d in range(advance, level):
        if s.unit_index[thread, d] != s.unit_extent[thread, d] - 1:
            return False
    return True
