"""Recording what units do: one place that all of the compiled code calls.

Every traced unit has its own part of the buffer, so that what is kept does not depend on
the order in which units are simulated. Adjacent times of one state at one row
are one entry.
"""

from __future__ import annotations

from wsc.runtime.engine.dispatch import inlined, jit
from wsc.runtime.engine.layout import G, State, U
from wsc.runtime.engine.observed import E, R

BUSY = 0  # the other states are those of ``Reason``


@jit
def keep(s: State, me: int, state: int, begin: int, length: int) -> None:
    """Append to a unit's entries, or make the last one longer."""
    unit, e = s.traced, s.trace
    first, used = unit[me, R.FIRST], unit[me, R.USED]
    row, statement = s.unit[me, U.ROW], s.unit[me, U.STATEMENT]
    if first < 0 or length <= 0:
        return
    last = first + used - 1
    if used > 0 and e[last, E.STATE] == state and e[last, E.ROW] == row:
        adjacent = e[last, E.BEGIN] + e[last, E.LENGTH] == begin
        if adjacent and e[last, E.STATEMENT] == statement:
            e[last, E.LENGTH] += length
            return
    if used == s.g[G.TRACE]:
        if unit[me, R.LOST] == 0:
            unit[me, R.SINCE] = begin
        unit[me, R.LOST] += 1
        return
    e[last + 1, E.BEGIN] = begin
    e[last + 1, E.LENGTH] = length
    e[last + 1, E.STATE] = state
    e[last + 1, E.ROW] = row
    e[last + 1, E.STATEMENT] = statement
    unit[me, R.USED] += 1


@inlined
def record(s: State, me: int, state: int, begin: int, length: int) -> None:
    """A unit was in a state for ``length`` cycles from ``begin`` on; free when tracing is off."""
    if s.g[G.TRACE] != 0:
        keep(s, me, state, begin, length)
