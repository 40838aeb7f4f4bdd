"""One cycle of the static network: ramps, links and switch positions."""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import FEED, Hcol, Qcol, Rcol
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.time.basics import control_in, emptied, head_cell, pop, wake_upstream
from wsc.runtime.time.compiled import Machine, kernel

ADVANCE = CONTROL_INDEX[Control.ADVANCE]
RESET = CONTROL_INDEX[Control.RESET]
INTO_ROUTER = 5  # column of links and turns for core -> router


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
def serve(s: Machine, slot: int, side: int, t: int) -> None:
    """The head has left on one side; when it was the last one, the buffer moves on."""
    slots, fifos = s.slots, s.fifos
    slots[slot, Scol.PENDING] &= ~(1 << side)
    if slots[slot, Scol.PENDING] == 0:
        head = head_cell(s, slot)
        if control_in(s, head) != 0:
            if control_in(s, head) == RESET:
                slots[slot, Scol.POSITION] = 0
            fifos[slot, Fcol.OPEN] = t + 1
        drop(s, slot, t)


@kernel
def drop(s: Machine, slot: int, t: int) -> None:
    """Pop a router buffer and wake whoever feeds it."""
    pop(s, slot, t)
    if s.fifos[slot, Fcol.COUNT] == 0:
        emptied(s, slot)
    wake_upstream(s, slot)


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
