"""Routers: whose turn it is on a link, and what follows when the head of an input buffer leaves."""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.clocked.basics import RAMP, control_in, head_cell, pop
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.own import (
    emptied,
    head_dropped,
    ready,
    switch_turned,
    wake_feed,
    wake_output,
)
from wsc.runtime.routes import NOWHERE
from wsc.runtime.schedule import FEED
from wsc.runtime.tables import CONTROL_INDEX

ADVANCE = CONTROL_INDEX[Control.ADVANCE]
RESET = CONTROL_INDEX[Control.RESET]
INTO_ROUTER = 5  # the link from the core into the router, behind N, E, S, W and the one back
FROM_EDGE = 6  # and the one from a port of the edge
NO, NOW, NEXT = 0, 1, 2  # can a wavelet cross? not before it is woken; now; in the next cycle maybe
EDGE_QUEUES = -2  # beyond a side: -2 - number of the edge queue there


# --- the arbiter of a link ----------------------------------------------------------------


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


# --- the way over a link ------------------------------------------------------------------


@kernel
def accepts(s: Machine, slot: int, side: int) -> bool:
    """Whether the switch of an input buffer takes wavelets from a side."""
    route = s.slots[slot]
    return s.positions[route.first + route.position].accept == side


@kernel
def under_way(s: Machine, slot: int, side: int) -> int:
    """Cycles from the one in which a head leaves a router to the first in which it can go on.

    A turn is a way from one axis to the other: sides of one axis differ by two.
    """
    if side == RAMP:
        return s.now[0].ramp
    came = s.positions[s.slots[slot].first + s.slots[slot].position].accept
    turns = came != RAMP and (came ^ side) & 1 != 0
    return s.now[0].hop + (s.now[0].turn if turns else 0)


# --- the input buffer of a color ----------------------------------------------------------


@kernel
def takes(s: Machine, queue: int) -> bool:
    """Whether the current record of an edge queue takes wavelets."""
    record = s.queues[queue].record
    if record == s.queues[queue].end:
        return False
    return s.shapes[s.records[record].shape].direction != FEED


@kernel
def wake_upstream(s: Machine, slot: int) -> None:
    """An input buffer has room, or accepts from another side: whoever feeds it may move."""
    route = s.slots[slot]
    side = s.positions[route.first + route.position].accept
    if side == RAMP:
        wake_output(s, slot)
        return
    before = route.next[side]
    if before >= 0:
        if s.fifos[before].count > 0:
            ready(s, before)
    elif NOWHERE < before <= EDGE_QUEUES:
        wake_feed(s, EDGE_QUEUES - before)


@kernel
def drop(s: Machine, slot: int, t: int) -> None:
    """Free the cell of a head that has left, and wake whoever waits for room."""
    head_dropped(s, slot, t)
    pop(s, slot, t)
    if s.fifos[slot].count == 0:
        emptied(s, slot)
    wake_upstream(s, slot)


@kernel
def serve(s: Machine, slot: int, side: int, t: int) -> None:
    """The head has left on one side; when that was the last one, the buffer moves on."""
    route = s.slots[slot]
    route.pending &= ~(1 << side)
    if route.pending != 0:
        return
    # A control wavelet has closed the buffer behind it. It opens again now that this one is gone;
    # a reset has taken the route back to its first position.
    control = control_in(s, head_cell(s, slot))
    if control != 0:
        if control == RESET:
            route.position = 0
        s.fifos[slot].open = t + 1
        switch_turned(s, slot, t)
    drop(s, slot, t)
