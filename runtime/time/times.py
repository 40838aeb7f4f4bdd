"""First cycles in which a wavelet could leave a stage, of what is known now."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, control_in, head_cell, tail_cell
from wsc.runtime.clocked.edge import value_wanted
from wsc.runtime.clocked.routers import INTO_ROUTER, takes
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.schedule import FEED
from wsc.runtime.time.basics import target
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER


@kernel
def free_from(s: Machine, fifo: int) -> int:
    """First cycle in which a FIFO takes a wavelet, NEVER while that is not known."""
    if s.fifos[fifo].count >= s.fifos[fifo].depth:
        return NEVER
    return max(s.cells[tail_cell(s, fifo)].time, s.fifos[fifo].open)


@kernel
def accepts(s: Machine, slot: int, side: int) -> bool:
    """Whether the current position of a slot takes wavelets from a side."""
    position = s.slots[slot].first + s.slots[slot].position
    return s.positions[position].accept == side


@kernel
def head_time(s: Machine, slot: int) -> int:
    """First cycle in which the head of a router buffer can leave."""
    return max(s.cells[head_cell(s, slot)].time, s.fifos[slot].popped + 1)


@kernel
def leave_time(s: Machine, slot: int, side: int) -> int:
    """First cycle in which the head can leave on a side; NEVER while that is not known."""
    time = head_time(s, slot)
    beyond = target(s, slot, side)
    if beyond >= 0 and s.slots[slot].guided == 0:
        return max(time, free_from(s, beyond))
    control = control_in(s, head_cell(s, slot))
    if side == RAMP:
        return time if control != 0 else max(time, free_from(s, beyond))
    if beyond >= 0:
        if not accepts(s, beyond, (side + 2) & 3):
            return NEVER
        return max(time, free_from(s, beyond))
    if beyond == NOWHERE:
        return NEVER
    if control != 0:
        return time
    if beyond == OUTSIDE or not takes(s, -2 - beyond):
        return NEVER
    return time


@kernel
def rise_time(s: Machine, slot: int) -> int:
    """First cycle in which the head of a core's output queue can enter the router."""
    queue = s.slots[slot].output
    if s.slots[slot].guided != 0 and not accepts(s, slot, RAMP):
        return NEVER
    return max(s.cells[head_cell(s, queue)].time, free_from(s, slot))


@kernel
def wanted_sides(s: Machine, slot: int) -> int:
    """Sides on which a head has still to leave; 0 if switches may yet turn before it does."""
    pending = s.slots[slot].pending
    if pending == 0 and s.slots[slot].guided == 0:
        pending = s.positions[s.slots[slot].first].send
    return pending


@kernel
def contender_time(s: Machine, slot: int, side: int) -> int:
    """First cycle in which a slot could use a link; NEVER while that is not known."""
    if side == INTO_ROUTER:
        queue = s.slots[slot].output
        return rise_time(s, slot) if s.fifos[queue].count > 0 else NEVER
    if s.fifos[slot].count == 0 or (wanted_sides(s, slot) >> side) & 1 == 0:
        return NEVER
    return leave_time(s, slot, side)


@kernel
def feed_time(s: Machine, queue: int) -> int:
    """First cycle in which an edge queue can feed; NEVER while that is not known."""
    record = s.queues[queue].record
    if record == s.queues[queue].end:
        return NEVER
    shape = s.records[record].shape
    if s.shapes[shape].direction != FEED:
        return NEVER
    time = 0
    if s.queues[queue].state == 0 and s.shapes[shape].lookup >= 0:
        lookup = s.shapes[shape].lookup
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[lookup].first + s.lookup_count[lookup]:
            return NEVER
        time = s.lookup_time[wanted] + 1
    slot = s.queues[queue].slot
    if not accepts(s, slot, side_of(s.queues[queue].port, s.now[0].width, s.now[0].height)):
        return NEVER
    return max(time, free_from(s, slot))
