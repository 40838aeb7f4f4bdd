"""What a wavelet of a color with switches does when it leaves a router buffer or a core."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, control_in, delay, head_cell, moved, pop, wake_unit
from wsc.runtime.clocked.routers import INTO_ROUTER, serve, under_way
from wsc.runtime.time.basics import list_slot, push
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.links import cross_one
from wsc.runtime.time.records import NEVER


@kernel
def rise(s: Machine, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    queue = s.slots[slot].output
    control = control_in(s, head_cell(s, queue))
    extra = delay(s.now[0].seed, slot * 8 + INTO_ROUTER, s.fifos[slot].pushed)
    push(s, slot, control, t + s.now[0].ramp + extra)
    if control != 0:
        s.fifos[slot].open = NEVER
    s.moves[slot, INTO_ROUTER] += 1
    pop(s, queue, t)
    list_slot(s, slot)
    if s.slots[slot].writer >= 0:
        wake_unit(s, s.slots[slot].tile, s.slots[slot].writer, t + 1)
    moved(s, t)


@kernel
def depart(s: Machine, slot: int, side: int, t: int) -> None:
    """Move the head over one link in cycle t."""
    control = control_in(s, head_cell(s, slot))
    if side == RAMP:
        if control == 0:
            queue = s.slots[slot].input
            extra = delay(s.now[0].seed, slot * 8 + RAMP, s.fifos[queue].pushed)
            push(s, queue, 0, t + s.now[0].ramp + extra)
            if s.slots[slot].reader >= 0:
                # A reader that found its wavelet may wait for another queue by now.
                seen = max(s.cells[head_cell(s, queue)].time, t + 1)
                wake_unit(s, s.slots[slot].tile, s.slots[slot].reader, seen)
    else:
        to = s.slots[slot].next[side]
        if to >= 0:
            extra = delay(s.now[0].seed, to * 8 + side, s.fifos[to].pushed)
            push(s, to, control, t + under_way(s, slot, side) + extra)
            cross_one(s, s.slots[slot].tile, side)
            if control != 0:
                s.fifos[to].open = NEVER
            list_slot(s, to)
    s.moves[slot, side] += 1
    moved(s, t)
    serve(s, slot, side, t)
