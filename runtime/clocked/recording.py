"""Recording what units do: one place that all of the compiled code calls.

Every traced unit has its own part of the buffer, so that what is kept does not depend on
the order in which units are simulated. Adjacent times of one state at one row
are one entry.
"""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel

BUSY = 0  # the other states are those of ``Reason``


@kernel
def keep(s: Machine, thread: int, state: int, begin: int, length: int) -> None:
    """Append to a unit's entries, or make the last one longer."""
    first, used = s.traced[thread].first, s.traced[thread].used
    row, statement = s.unit[thread].row, s.unit[thread].statement
    if first < 0 or length <= 0:
        return
    last = first + used - 1
    if used > 0 and s.trace[last].state == state and s.trace[last].row == row:
        adjacent = s.trace[last].begin + s.trace[last].length == begin
        if adjacent and s.trace[last].statement == statement:
            s.trace[last].length += length
            return
    if used == s.now[0].trace:
        if s.traced[thread].lost == 0:
            s.traced[thread].since = begin
        s.traced[thread].lost += 1
        return
    s.trace[last + 1].begin = begin
    s.trace[last + 1].length = length
    s.trace[last + 1].state = state
    s.trace[last + 1].row = row
    s.trace[last + 1].statement = statement
    s.traced[thread].used += 1


@kernel
def record(s: Machine, thread: int, state: int, begin: int, length: int) -> None:
    """A unit was in a state for ``length`` cycles from ``begin`` on; free when tracing is off."""
    if s.now[0].trace != 0:
        keep(s, thread, state, begin, length)
