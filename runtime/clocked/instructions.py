"""How an instruction begins, waits and ends on a unit."""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.recording import BUSY, record, waited
from wsc.runtime.clocked.records import NEVER, Mode, Reason
from wsc.runtime.tables import Col


@kernel
def resume(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """Account for a wait that has ended, or is looked at again."""
    reason = s.unit[me].reason
    if reason != Reason.NONE:
        since = s.unit[me].since
        waited(s, tile, me, reason, s.unit[me].what, since, t - since)
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
    record(s, me, BUSY, 0, t, cycles)


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
