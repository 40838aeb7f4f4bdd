"""Links between routers: whose turn it is, and what that costs the others."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.routes import Scol
from wsc.runtime.schedule import FEED, Hcol, Qcol, Rcol

WHOLE = 1000  # thousandths of a cycle


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
def under_way(s: Machine, slot: int, side: int) -> int:
    """Cycles from the one in which a head leaves a router to the first in which it can go on.

    A turn is a way from one axis to the other: sides of one axis differ by two.
    """
    if side == RAMP:
        return s.now[0].ramp
    came = s.positions[s.slots[slot, Scol.FIRST] + s.slots[slot, Scol.POSITION], 0]
    turns = came != RAMP and (came ^ side) & 1 != 0
    return s.now[0].hop + (s.now[0].turn if turns else 0)


@kernel
def occupy(s: Machine, link: int, t: int) -> None:
    """A wavelet takes a link between two routers in cycle t; note until when.

    It is free again after whole cycles. What a wavelet takes beyond these adds up, and is a
    cycle more when it has come to one.
    """
    now, taken = s.now[0], s.link[link]
    free, rest = t + now.link_cycles, taken.rest + now.link_rest
    if rest >= WHOLE:
        free += 1
        rest -= WHOLE
    taken.free = free
    taken.rest = rest


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
    record = s.queues[queue, Qcol.RECORD]
    if record == s.queues[queue, Qcol.END]:
        return False
    return s.shapes[s.records[record, Rcol.SHAPE], Hcol.DIRECTION] != FEED
