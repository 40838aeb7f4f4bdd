"""First cycles in which a wavelet could leave a stage, of what is known now."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, control_in, head_cell, tail_cell
from wsc.runtime.clocked.edge import value_wanted
from wsc.runtime.clocked.routers import takes
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.routes import NOWHERE, OUTSIDE, Fcol, Scol
from wsc.runtime.schedule import FEED, Hcol, Qcol, Rcol
from wsc.runtime.time.basics import target
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER
from wsc.runtime.time.routers import INTO_ROUTER


@kernel
def free_from(s: Machine, f: int) -> int:
    """First cycle in which a FIFO takes a wavelet, NEVER while that is not known."""
    if s.fifos[f, Fcol.COUNT] >= s.fifos[f, Fcol.DEPTH]:
        return NEVER
    return max(s.cells[tail_cell(s, f)].time, s.fifos[f, Fcol.OPEN])


@kernel
def accepts(s: Machine, slot: int, side: int) -> bool:
    """Whether the current position of a slot takes wavelets from a side."""
    position = s.slots[slot, Scol.FIRST] + s.slots[slot, Scol.POSITION]
    return s.positions[position, 0] == side


@kernel
def head_time(s: Machine, slot: int) -> int:
    """First cycle in which the head of a router buffer can leave."""
    fifos = s.fifos
    return max(s.cells[head_cell(s, slot)].time, fifos[slot, Fcol.POPPED] + 1)


@kernel
def leave_time(s: Machine, slot: int, side: int) -> int:
    """First cycle in which the head can leave on a side; NEVER while that is not known."""
    slots = s.slots
    time = head_time(s, slot)
    beyond = target(s, slot, side)
    if beyond >= 0 and slots[slot, Scol.GUIDED] == 0:
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
    queue = s.slots[slot, Scol.OUTPUT]
    if s.slots[slot, Scol.GUIDED] != 0 and not accepts(s, slot, RAMP):
        return NEVER
    return max(s.cells[head_cell(s, queue)].time, free_from(s, slot))


@kernel
def wanted_sides(s: Machine, slot: int) -> int:
    """Sides on which a head has still to leave; 0 if switches may yet turn before it does."""
    pending = s.slots[slot, Scol.PENDING]
    if pending == 0 and s.slots[slot, Scol.GUIDED] == 0:
        pending = s.positions[s.slots[slot, Scol.FIRST], 1]
    return pending


@kernel
def contender_time(s: Machine, slot: int, side: int) -> int:
    """First cycle in which a slot could use a link; NEVER while that is not known."""
    if side == INTO_ROUTER:
        queue = s.slots[slot, Scol.OUTPUT]
        return rise_time(s, slot) if s.fifos[queue, Fcol.COUNT] > 0 else NEVER
    if s.fifos[slot, Fcol.COUNT] == 0 or (wanted_sides(s, slot) >> side) & 1 == 0:
        return NEVER
    return leave_time(s, slot, side)


@kernel
def feed_time(s: Machine, queue: int) -> int:
    """First cycle in which an edge queue can feed; NEVER while that is not known."""
    q = s.queues
    record = q[queue, Qcol.RECORD]
    if record == q[queue, Qcol.END]:
        return NEVER
    shape = s.records[record, Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] != FEED:
        return NEVER
    time = 0
    if q[queue, Qcol.STATE] == 0 and s.shapes[shape, Hcol.LOOKUP] >= 0:
        lookup = s.shapes[shape, Hcol.LOOKUP]
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[lookup, 0] + s.lookup_count[lookup]:
            return NEVER
        time = s.lookup_time[wanted] + 1
    slot = q[queue, Qcol.SLOT]
    if not accepts(s, slot, side_of(q[queue, Qcol.PORT], s.now[0].width, s.now[0].height)):
        return NEVER
    return max(time, free_from(s, slot))
