"""Wavelets that run ahead of time, and links and ports that are served in its order.

A wavelet leaves a stage in the first cycle in which it is the head, its link is free and
the cell that it goes to is free: three known cycles. Nothing has to be stepped, but
where colors may meet on a link: there the contenders are looked at in the cycle in which
the first of them could leave, after all that happens before is known.
"""

from __future__ import annotations

from isa.types import Control
from runtime.engine.dispatch import inlined, jit
from runtime.engine.kernel_common import (
    RAMP,
    beyond,
    delay,
    enqueue,
    head_cell,
    look_at_link,
    look_at_port,
    moved,
    pop,
    push,
    tail_cell,
)
from runtime.engine.kernel_edge import side_of, value_wanted
from runtime.engine.kernel_lookahead import alone
from runtime.engine.kernel_router import INTO_ROUTER, drop, first_after, lose, serve, takes
from runtime.engine.layout import NEVER, G, K, L, State
from runtime.routes import NOWHERE, OUTSIDE, Fcol, Scol
from runtime.schedule import FEED, Hcol, Qcol, Rcol
from runtime.tables import CONTROL_INDEX

ADVANCE = CONTROL_INDEX[Control.ADVANCE]


@inlined
def free_from(s: State, f: int) -> int:
    """First cycle in which a FIFO takes a wavelet, NEVER while that is not known."""
    if s.fifos[f, Fcol.COUNT] >= s.fifos[f, Fcol.DEPTH]:
        return NEVER
    return max(s.cell_time[tail_cell(s.fifos, f)], s.fifos[f, Fcol.OPEN])


@inlined
def accepts(s: State, slot: int, side: int) -> bool:
    """Whether the current position of a slot takes wavelets from a side."""
    position = s.slots[slot, Scol.FIRST] + s.slots[slot, Scol.POSITION]
    return s.positions[position, 0] == side


@inlined
def head_time(s: State, slot: int) -> int:
    """First cycle in which the head of a router buffer can leave."""
    fifos = s.fifos
    return max(s.cell_time[head_cell(fifos, slot)], fifos[slot, Fcol.POPPED] + 1)


@jit
def leave_time(s: State, slot: int, side: int) -> int:
    """First cycle in which the head can leave on a side; NEVER while that is not known."""
    slots = s.slots
    time = head_time(s, slot)
    beyond = slots[slot, Scol.INPUT] if side == RAMP else slots[slot, Scol.NEXT + side]
    if beyond >= 0 and slots[slot, Scol.GUIDED] == 0:
        return max(time, free_from(s, beyond))
    control = s.cell_control[head_cell(s.fifos, slot)]
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


@jit
def depart(s: State, slot: int, side: int, t: int) -> None:
    """Move the head over one link in cycle t."""
    slots, fifos = s.slots, s.fifos
    tile = slots[slot, Scol.TILE]
    head = head_cell(fifos, slot)
    control, guided = s.cell_control[head], slots[slot, Scol.GUIDED]
    if side == RAMP:
        if control == 0:
            queue = slots[slot, Scol.INPUT]
            extra = delay(s.g[G.SEED], slot * 8 + RAMP, fifos[queue, Fcol.PUSHED])
            push(s, queue, s.cell_value[head], 0, t + s.g[G.RAMP] + extra)
            if slots[slot, Scol.READER] >= 0:
                enqueue(s, 2 * s.g[G.SLOTS] + tile * s.g[G.UNITS] + slots[slot, Scol.READER])
    else:
        beyond = slots[slot, Scol.NEXT + side]
        if beyond >= 0:
            extra = delay(s.g[G.SEED], beyond * 8 + side, fifos[beyond, Fcol.PUSHED])
            push(s, beyond, s.cell_value[head], control, t + 1 + extra)
            if guided != 0:
                s.color[slots[slot, Scol.COLOR], K.FLYING] += 1
                if control != 0:
                    fifos[beyond, Fcol.OPEN] = NEVER
            enqueue(s, beyond)
    link = tile * 6 + side
    s.link[link, L.FREE] = t + 1
    if guided != 0:
        s.moves[slot, side] += 1
    s.turns[tile, side] = slots[slot, Scol.BIT]
    fifos[slot, Fcol.SERVED] = max(fifos[slot, Fcol.SERVED], t)
    moved(s, t)
    serve(s, slot, side, fifos[slot, Fcol.SERVED])


@jit
def advance_slot(s: State, slot: int) -> None:
    """Move the heads of a router buffer as far as is known."""
    slots, fifos = s.slots, s.fifos
    tile = slots[slot, Scol.TILE]
    first = s.slot_first[tile]
    while fifos[slot, Fcol.COUNT] > 0:
        time = head_time(s, slot)
        if beyond(s, time):
            return
        if slots[slot, Scol.PENDING] == 0:
            if s.cell_control[head_cell(fifos, slot)] == ADVANCE and (
                slots[slot, Scol.POSITION] < slots[slot, Scol.POSITIONS] - 1
            ):
                slots[slot, Scol.POSITION] += 1
                fifos[slot, Fcol.OPEN] = time + 1
                drop(s, slot, time)
                moved(s, time)
                continue
            position = slots[slot, Scol.FIRST] + slots[slot, Scol.POSITION]
            slots[slot, Scol.PENDING] = s.positions[position, 1]
            fifos[slot, Fcol.SERVED] = 0
        pending = slots[slot, Scol.PENDING]
        side = 0
        while (pending >> side) != 0:
            if (pending >> side) & 1:
                go(s, tile, slot, side, first)
            side += 1
        if slots[slot, Scol.PENDING] != 0:
            return


@inlined
def go(s: State, tile: int, slot: int, side: int, first: int) -> None:
    """Move the head over one link if it has that for itself, or queue for it."""
    time, link = leave_time(s, slot, side), tile * 6 + side
    time = max(time, s.link[link, L.FREE])
    if beyond(s, time):
        return
    inside = side == RAMP or s.slots[slot, Scol.NEXT + side] >= 0
    if inside and s.slots[slot, Scol.GUIDED] == 0 and alone(s, link, side, slot, first, time):
        depart(s, slot, side, time)
    else:
        look_at_link(s, link, max(time, s.g[G.NOW] + 1))


@jit
def rise_time(s: State, slot: int) -> int:
    """First cycle in which the head of a core's output queue can enter the router."""
    queue = s.slots[slot, Scol.OUTPUT]
    if s.slots[slot, Scol.GUIDED] != 0 and not accepts(s, slot, RAMP):
        return NEVER
    return max(s.cell_time[head_cell(s.fifos, queue)], free_from(s, slot))


@jit
def rise_at(s: State, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    slots, fifos = s.slots, s.fifos
    tile, queue = slots[slot, Scol.TILE], slots[slot, Scol.OUTPUT]
    head = head_cell(fifos, queue)
    control = s.cell_control[head]
    extra = delay(s.g[G.SEED], slot * 8 + INTO_ROUTER, fifos[slot, Fcol.PUSHED])
    push(s, slot, s.cell_value[head], control, t + s.g[G.RAMP] + extra)
    if slots[slot, Scol.GUIDED] != 0:
        s.moves[slot, INTO_ROUTER] += 1
        s.color[slots[slot, Scol.COLOR], K.FLYING] += 1
        if control != 0:
            fifos[slot, Fcol.OPEN] = NEVER
    pop(s, queue, t)
    s.link[tile * 6 + INTO_ROUTER, L.FREE] = t + 1
    s.turns[tile, INTO_ROUTER] = slots[slot, Scol.BIT]
    enqueue(s, slot)
    if slots[slot, Scol.WRITER] >= 0:
        enqueue(s, 2 * s.g[G.SLOTS] + tile * s.g[G.UNITS] + slots[slot, Scol.WRITER])
    moved(s, t)


@jit
def advance_output(s: State, slot: int) -> None:
    """Move the heads of a core's output queue as far as is known."""
    tile, queue = s.slots[slot, Scol.TILE], s.slots[slot, Scol.OUTPUT]
    link = tile * 6 + INTO_ROUTER
    if queue < 0:
        return
    while s.fifos[queue, Fcol.COUNT] > 0:
        time = max(rise_time(s, slot), s.link[link, L.FREE])
        if beyond(s, time):
            return
        mine = s.slots[slot, Scol.GUIDED] == 0
        if not mine or not alone(s, link, INTO_ROUTER, slot, s.slot_first[tile], time):
            look_at_link(s, link, max(time, s.g[G.NOW] + 1))
            return
        rise_at(s, slot, time)


@jit
def contender_time(s: State, slot: int, side: int) -> int:
    """First cycle in which a slot could use a link; NEVER while that is not known."""
    if side == INTO_ROUTER:
        queue = s.slots[slot, Scol.OUTPUT]
        return rise_time(s, slot) if s.fifos[queue, Fcol.COUNT] > 0 else NEVER
    if s.fifos[slot, Fcol.COUNT] == 0 or (s.slots[slot, Scol.PENDING] >> side) & 1 == 0:
        return NEVER
    return leave_time(s, slot, side)


@jit
def link_event(s: State, link: int, t: int) -> None:
    """Serve one of the colors that could use a link in cycle t."""
    tile, side = link // 6, link % 6
    first, mask = s.slot_first[tile], s.link[link, L.MASK]
    wanted, soonest, bit = 0, NEVER, 0
    while (mask >> bit) != 0:
        if (mask >> bit) & 1:
            time = max(contender_time(s, first + bit, side), s.link[link, L.FREE])
            if time <= t:
                wanted |= 1 << bit
            else:
                soonest = min(soonest, time)
        bit += 1
    if wanted != 0:
        soonest = serve_link(s, link, tile, side, wanted, soonest, t)
    if not beyond(s, soonest):
        look_at_link(s, link, soonest)


@jit
def serve_link(
    s: State, link: int, tile: int, side: int, wanted: int, soonest: int, t: int
) -> int:
    """The next color in turn takes the link; the cycle of the next look at it."""
    first = s.slot_first[tile]
    bit = first_after(wanted, s.turns[tile, side])
    losers, slot = wanted & ~(1 << bit), first + bit
    lose(s, first, losers, side)
    if side == INTO_ROUTER:
        rise_at(s, slot, t)
        enqueue(s, s.g[G.SLOTS] + slot)
    else:
        beyond = s.slots[slot, Scol.NEXT + side] if side != RAMP else 0
        if beyond <= OUTSIDE and s.cell_control[head_cell(s.fifos, slot)] == 0:
            s.request_out[s.queues[-2 - beyond, Qcol.PORT]] = slot
            s.g[G.REQUESTS] += 1
            enqueue(s, slot)
            return t + 1
        depart(s, slot, side, t)
        enqueue(s, slot)
    return t + 1 if losers != 0 else soonest


@jit
def feed_time(s: State, queue: int) -> int:
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
    if not accepts(s, slot, side_of(q[queue, Qcol.PORT], s.g[G.WIDTH], s.g[G.HEIGHT])):
        return NEVER
    return max(time, free_from(s, slot))


@jit
def port_event(s: State, port: int, t: int) -> None:
    """A port names the queue that it would serve in cycle t."""
    wanted, soonest, first = 0, NEVER, s.port_first[port]
    for queue in range(first, s.port_first[port + 1]):
        time = feed_time(s, queue)
        if time <= t:
            wanted |= 1 << (queue - first)
        else:
            soonest = min(soonest, time)
    if wanted != 0:
        s.request_in[port] = first + first_after(wanted, s.port_turn[port])
        s.g[G.FEEDING] += 1
        soonest = t + 1
    if not beyond(s, soonest):
        look_at_port(s, port, soonest)
