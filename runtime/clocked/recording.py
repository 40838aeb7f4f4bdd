"""Recording what units do: one place that all of the compiled code calls.

Every traced unit has its own part of the buffer, so that what is kept does not depend on
the order in which units are simulated. Adjacent times of one state at one row
are one entry.
"""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.records import Reason

BUSY = 0  # the other states are those of ``Reason``


@kernel
def keep(s: Machine, me: int, state: int, what: int, begin: int, length: int) -> None:
    """Append to a unit's entries, or make the last one longer."""
    unit, e = s.traced, s.trace
    first, used = unit[me].first, unit[me].used
    row, statement = s.unit[me].row, s.unit[me].statement
    end = min(begin + length, s.now[0].trace_until)
    begin = max(begin, s.now[0].trace_from)
    length = end - begin
    if first < 0 or length <= 0 or s.traced_statements[statement] == 0:
        return
    last = first + used - 1
    if used > 0 and e[last].state == state and e[last].row == row and e[last].what == what:
        adjacent = e[last].begin + e[last].length == begin
        if adjacent and e[last].statement == statement:
            e[last].length += length
            return
    if used == s.now[0].trace:
        if unit[me].lost == 0:
            unit[me].since = begin
        unit[me].lost += 1
        return
    e[last + 1].begin = begin
    e[last + 1].length = length
    e[last + 1].state = state
    e[last + 1].row = row
    e[last + 1].statement = statement
    e[last + 1].what = what
    unit[me].used += 1


@kernel
def record(s: Machine, me: int, state: int, what: int, begin: int, length: int) -> None:
    """A unit was in a state for ``length`` cycles from ``begin`` on; free when tracing is off."""
    if s.now[0].trace != 0:
        keep(s, me, state, what, begin, length)


@kernel
def count_wait(s: Machine, tile: int, me: int, reason: int, what: int, cycles: int) -> None:
    """Count cycles that a main thread waited at its row, by row and by cause."""
    if me != tile * s.now[0].units:
        return
    s.waits[s.unit[me].row, reason] += cycles
    if reason == Reason.INPUT:
        s.counters[tile].input += cycles
        s.stalls[what, 0] += cycles
    elif reason == Reason.OUTPUT:
        s.counters[tile].output += cycles
        s.stalls[what, 1] += cycles
    elif reason == Reason.DYNAMIC:
        s.counters[tile].output += cycles
    else:
        s.counters[tile].waiting += cycles
        if reason == Reason.SEMAPHORE:
            s.semaphores[tile * s.now[0].semaphores + what].waited += cycles


@kernel
def waited(s: Machine, tile: int, me: int, reason: int, what: int, t: int, cycles: int) -> None:
    """A unit waited from cycle t on: count it, and record it."""
    count_wait(s, tile, me, reason, what, cycles)
    record(s, me, reason, what, t, cycles)
