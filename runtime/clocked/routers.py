"""Links between routers: whose turn it is, and what that costs the others."""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.schedule import FEED


@kernel
def first_after(mask: int, last: int) -> int:
    """The first set bit at or after the one that follows ``last``, round robin."""
    later = mask & ~((2 << last) - 1) if last >= 0 else mask
    chosen = later if later != 0 else mask
    bit = 0
    while (chosen >> bit) & 1 == 0:
        bit += 1
    return bit


@kernel
def lose(s: Machine, first: int, losers: int, side: int) -> None:
    """Count a cycle in which colors could have taken a link that another took."""
    bit = 0
    while (losers >> bit) != 0:
        if (losers >> bit) & 1:
            s.lost[first + bit, side] += 1
        bit += 1


@kernel
def takes(s: Machine, queue: int) -> bool:
    """Whether the current record of an edge queue takes wavelets."""
    record = s.queues[queue].record
    if record == s.queues[queue].end:
        return False
    return s.shapes[s.records[record].shape].direction != FEED
