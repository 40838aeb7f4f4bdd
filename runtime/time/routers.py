"""What a wavelet of a color with switches does when it leaves a router buffer or a core."""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.clocked.basics import RAMP, control_in, delay, head_cell, moved, pop, wake_unit
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.time.basics import list_slot, push, wake_upstream
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER

ADVANCE = CONTROL_INDEX[Control.ADVANCE]
RESET = CONTROL_INDEX[Control.RESET]
INTO_ROUTER = 5  # column of links and turns for core -> router


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
    wake_upstream(s, slot)


@kernel
def rise(s: Machine, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    slots, fifos = s.slots, s.fifos
    queue = slots[slot, Scol.OUTPUT]
    control = control_in(s, head_cell(s, queue))
    extra = delay(s.now[0].seed, slot * 8 + INTO_ROUTER, fifos[slot, Fcol.PUSHED])
    push(s, slot, control, t + s.now[0].ramp + extra)
    if control != 0:
        fifos[slot, Fcol.OPEN] = NEVER
    s.moves[slot, INTO_ROUTER] += 1
    pop(s, queue, t)
    list_slot(s, slot)
    if slots[slot, Scol.WRITER] >= 0:
        wake_unit(s, slots[slot, Scol.TILE], slots[slot, Scol.WRITER], t + 1)
    moved(s, t)


@kernel
def depart(s: Machine, slot: int, side: int, t: int) -> None:
    """Move the head over one link in cycle t."""
    slots, fifos = s.slots, s.fifos
    control = control_in(s, head_cell(s, slot))
    if side == RAMP:
        if control == 0:
            queue = slots[slot, Scol.INPUT]
            extra = delay(s.now[0].seed, slot * 8 + RAMP, fifos[queue, Fcol.PUSHED])
            push(s, queue, 0, t + s.now[0].ramp + extra)
            if slots[slot, Scol.READER] >= 0:
                # A reader that found its wavelet may wait for another queue by now.
                seen = max(s.cells[head_cell(s, queue)].time, t + 1)
                wake_unit(s, slots[slot, Scol.TILE], slots[slot, Scol.READER], seen)
    else:
        to = slots[slot, Scol.NEXT + side]
        if to >= 0:
            extra = delay(s.now[0].seed, to * 8 + side, fifos[to, Fcol.PUSHED])
            push(s, to, control, t + 1 + extra)
            if control != 0:
                fifos[to, Fcol.OPEN] = NEVER
            list_slot(s, to)
    s.moves[slot, side] += 1
    fifos[slot, Fcol.SERVED] = max(fifos[slot, Fcol.SERVED], t)
    moved(s, t)
    serve(s, slot, side, t)
