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
def keep(s: Machine, thread: int, state: int, what: int, begin: int, length: int) -> None:
    """Append to a unit's entries, or make the last one longer."""
    part, row, statement = s.traced[thread], s.unit[thread].row, s.unit[thread].statement
    # Only what is within the window counts.
    end = min(begin + length, s.now[0].trace_until)
    begin = max(begin, s.now[0].trace_from)
    length = end - begin
    if part.first < 0 or length <= 0 or s.traced_statements[statement] == 0:
        return
    if part.used > 0:
        last = s.trace[part.first + part.used - 1]
        same = last.state == state and last.row == row and last.what == what
        same = same and last.statement == statement
        if same and last.begin + last.length == begin:
            last.length += length
            return
    if part.used == s.now[0].trace:
        if part.lost == 0:
            part.since = begin
        part.lost += 1
        return
    entry = s.trace[part.first + part.used]
    entry.begin = begin
    entry.length = length
    entry.state = state
    entry.row = row
    entry.statement = statement
    entry.what = what
    part.used += 1


@kernel
def record(s: Machine, thread: int, state: int, what: int, begin: int, length: int) -> None:
    """A unit was in a state for ``length`` cycles from ``begin`` on; free when tracing is off."""
    if s.now[0].trace != 0:
        keep(s, thread, state, what, begin, length)


@kernel
def count_wait(s: Machine, tile: int, thread: int, reason: int, what: int, cycles: int) -> None:
    """Count cycles that a main thread waited at its row, by row and by cause."""
    if thread != tile * s.now[0].units:
        return
    s.waits[s.unit[thread].row, reason] += cycles
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
def waited(s: Machine, tile: int, thread: int, reason: int, what: int, t: int, cycles: int) -> None:
    """A unit waited from cycle t on: count it, and record it."""
    count_wait(s, tile, thread, reason, what, cycles)
    record(s, thread, reason, what, t, cycles)
