"""Rows of an instruction with queue operands: the way to the next, and the counts."""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved
from wsc.runtime.clocked.operands import account
from wsc.runtime.time.compiled import Machine, kernel


@kernel
def settle_rows(
    s: Machine, tile: int, unit: int, thread: int, row: int, done: int, ended: int
) -> None:
    """Account for rows that were run."""
    account(s, tile, row, thread, s.unit[thread].steps * done)
    busy = s.unit[thread].cycles * done
    if unit == 0:
        s.counters[tile].busy += busy
        s.statements[s.unit[thread].statement].busy += busy
    else:
        s.counters[tile].unit_busy += busy
    moved(s, ended - 1)
    s.now[0].visits += done
