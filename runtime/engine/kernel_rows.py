"""Rows of an instruction with fabric operands: the way to the next, and the counts."""

from __future__ import annotations

from wsc.runtime.engine.dispatch import jit
from wsc.runtime.engine.kernel_common import moved
from wsc.runtime.engine.kernel_vector import account
from wsc.runtime.engine.layout import C, G, P, State, U


@jit
def step_index(s: State, me: int, level: int) -> None:
    """Go to the next row: the outer indices."""
    u, d = s.unit, level - 1
    while d >= 0:
        u[me, U.INDEX + d] += 1
        if u[me, U.INDEX + d] != u[me, U.EXTENT + d]:
            return
        u[me, U.INDEX + d] = 0
        d -= 1


@jit
def settle_rows(s: State, tile: int, unit: int, me: int, row: int, done: int, ended: int) -> None:
    """Account for rows that were run."""
    account(s, tile, row, me, s.unit[me, U.STEPS] * done)
    busy = s.unit[me, U.CYCLES] * done
    if unit == 0:
        s.counters[tile, C.BUSY] += busy
        s.statements[s.unit[me, U.STATEMENT], P.BUSY] += busy
    else:
        s.counters[tile, C.UNIT_BUSY] += busy
    moved(s, ended - 1)
    s.g[G.VISITS] += done
