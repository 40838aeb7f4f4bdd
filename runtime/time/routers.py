"""One cycle of the static network: ramps, links and switch positions."""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.clocked.basics import control_in, head_cell, pop
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.time.basics import emptied, wake_upstream
from wsc.runtime.time.compiled import Machine, kernel

ADVANCE = CONTROL_INDEX[Control.ADVANCE]
RESET = CONTROL_INDEX[Control.RESET]
INTO_ROUTER = 5  # column of links and turns for core -> router


@kernel
def serve(s: Machine, slot: int, side: int, t: int) -> None:
    """The head has left on one side; when it was the last one, the buffer moves on."""
    s.slots[slot].pending &= ~(1 << side)
    if s.slots[slot].pending == 0:
        head = head_cell(s, slot)
        if control_in(s, head) != 0:
            if control_in(s, head) == RESET:
                s.slots[slot].position = 0
            s.fifos[slot].open = t + 1
        drop(s, slot, t)


@kernel
def drop(s: Machine, slot: int, t: int) -> None:
    """Pop a router buffer and wake whoever feeds it."""
    pop(s, slot, t)
    if s.fifos[slot].count == 0:
        emptied(s, slot)
    wake_upstream(s, slot)
