"""One cycle of the static network: ramps, arbiters, links and switches.

A tile's router has an *input buffer* for each color that has a route there (a *slot*), and six
links: to the neighbours in the north, east, south and west, to the core, and from the core into the
router. In a cycle

1. the link from the core takes a wavelet from one of the core's output queues (``rise``);
2. each buffer with a head *asks* for every link that its route names and that the wavelet could
   cross now (``ask``): the buffer beyond has a free cell and accepts from this side;
3. the *arbiter* of each link serves one of the colors that asked, round robin (``arbitrate``);
4. the wavelet crosses (``cross``). When it has left on all sides of its route, its cell is free.

All of this reads what the cycle before has left: see ``basics``.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import (
    RAMP,
    control_in,
    delay_on_link,
    head_cell,
    moved,
    pop,
    room,
    wake_unit,
)
from wsc.runtime.clocked.own import head_dropped
from wsc.runtime.clocked.routers import (
    ADVANCE,
    EDGE_QUEUES,
    INTO_ROUTER,
    NEXT,
    NO,
    NOW,
    accepts,
    drop,
    first_after,
    lose,
    serve,
    takes,
    under_way,
)
from wsc.runtime.reference.basics import activate, copy_wavelet, ready
from wsc.runtime.reference.causes import moves_head, switches
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.records import NEVER
from wsc.runtime.routes import NOWHERE, OUTSIDE

WHOLE = 1000  # thousandths of a cycle
SIDES = 5  # links on which wavelets leave a router


# --- the way over a link ------------------------------------------------------------------


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


# --- from the core into the router --------------------------------------------------------


@kernel
def rising(s: Machine, tile: int, t: int) -> int:
    """Mask of the colors whose output queue could send a wavelet into the router in cycle t."""
    here, first, wanted, bit = s.tile[tile], s.slot_first[tile], 0, -1
    mask = here.rising
    while (mask >> (bit + 1)) != 0:
        bit += 1
        if (mask >> bit) & 1 == 0:
            continue
        slot = first + bit
        queue = s.slots[slot].output
        if queue < 0 or s.fifos[queue].count == 0:
            here.rising &= ~(1 << bit)
        elif s.cells[head_cell(s, queue)].time <= t:
            if room(s, slot, t) and accepts(s, slot, RAMP):
                wanted |= 1 << bit
            elif s.fifos[slot].popped != t:
                # Whoever frees a cell of the buffer, or turns its switch, wakes the queue.
                here.rising &= ~(1 << bit)
    return wanted


@kernel
def rise(s: Machine, tile: int, t: int) -> None:
    """The link from the core into the router carries a wavelet, if there is one."""
    wanted = rising(s, tile, t)
    if wanted == 0:
        return
    # The arbiter: those that do not get the link lose a cycle.
    bit = first_after(wanted, s.turns[tile, INTO_ROUTER])
    s.turns[tile, INTO_ROUTER] = bit
    lose(s, s.slot_first[tile], wanted & ~(1 << bit), INTO_ROUTER)
    # The ramp is a pipeline: the wavelet has its cell in the buffer at once, and can be seen there
    # when the latency is over.
    slot = s.slot_first[tile] + bit
    queue = s.slots[slot].output
    extra = delay_on_link(s, slot, INTO_ROUTER, s.fifos[slot].pushed)
    copy_wavelet(s, queue, slot, t + s.now[0].ramp + extra, t)
    if control_in(s, head_cell(s, queue)) != 0:
        s.fifos[slot].open = NEVER  # nothing follows a control wavelet until it has been acted on
    head_dropped(s, queue, t)
    pop(s, queue, t)
    s.moves[slot, INTO_ROUTER] += 1
    ready(s, slot)
    if s.slots[slot].writer >= 0:
        wake_unit(s, tile, s.slots[slot].writer, t + 1)
    moved(s, t)


# --- from the router on -------------------------------------------------------------------


@kernel
def absorbed(s: Machine, slot: int, t: int) -> bool:
    """Whether the head is a control wavelet that turns this switch, and is gone with that."""
    route = s.slots[slot]
    if control_in(s, head_cell(s, slot)) != ADVANCE or route.position >= route.positions - 1:
        return False
    route.position += 1
    s.fifos[slot].open = t + 1
    if s.now[0].causes != 0:
        moves_head(s, head_cell(s, slot))
        switches(s, slot, t)
    drop(s, slot, t)
    moved(s, t)
    return True


@kernel
def can_cross(s: Machine, slot: int, side: int, t: int) -> int:
    """Whether the head of an input buffer could cross the link on a side: NO, NOW or NEXT."""
    control = control_in(s, head_cell(s, slot))
    if side == RAMP:
        # The core takes no control wavelets: they are dropped at the ramp.
        if control != 0:
            return NOW
        queue = s.slots[slot].input
        if room(s, queue, t):
            return NOW
        return NEXT if s.fifos[queue].popped == t else NO
    beyond = s.slots[slot].next[side]
    if beyond >= 0:
        # The link may still be taken; then the neighbour's buffer of this color, if its switch
        # accepts from here.
        if s.link[s.slots[slot].tile * 6 + side].free > t:
            return NEXT
        if room(s, beyond, t):
            return NOW if accepts(s, beyond, (side + 2) & 3) else NO
        return NEXT if s.fifos[beyond].popped == t else NO
    if beyond == NOWHERE:
        return NO
    # Over the edge: control wavelets are dropped there, data goes where a transfer takes it.
    if control != 0:
        return NOW
    if beyond == OUTSIDE:
        return NO
    return NOW if takes(s, EDGE_QUEUES - beyond) else NO


@kernel
def ask(s: Machine, tile: int, t: int) -> None:
    """Note in ``wanted``, for each link of a router, which colors could use it in cycle t."""
    for side in range(SIDES):
        s.wanted[side] = 0
    here, first, bit = s.tile[tile], s.slot_first[tile], -1
    mask = here.ready
    while (mask >> (bit + 1)) != 0:
        bit += 1
        if (mask >> bit) & 1 == 0:
            continue
        slot = first + bit
        if s.cells[head_cell(s, slot)].time > t:
            continue
        # A new head has to leave on all sides that its route names now.
        route = s.slots[slot]
        if route.pending == 0:
            if absorbed(s, slot, t):
                continue
            route.pending = s.positions[route.first + route.position].send
        hope = NO
        for side in range(SIDES):
            if (route.pending >> side) & 1:
                answer = can_cross(s, slot, side, t)
                hope |= answer
                if answer == NOW:
                    s.wanted[side] |= 1 << bit
        # A head that can go nowhere sleeps: who makes room, or turns a switch, wakes it.
        if hope == NO:
            here.ready &= ~(1 << bit)


@kernel
def cross(s: Machine, tile: int, slot: int, side: int, t: int) -> None:
    """Move the head of an input buffer over a link; over the edge it only asks for bandwidth."""
    route, head = s.slots[slot], head_cell(s, slot)
    control = control_in(s, head)
    if s.now[0].causes != 0:
        moves_head(s, head)
    if side == RAMP:
        if control == 0:
            to_core(s, tile, slot, t)
    else:
        beyond = route.next[side]
        if beyond >= 0:
            # It takes the link, and can be passed on by the neighbour when it has come there.
            extra = delay_on_link(s, beyond, side, s.fifos[beyond].pushed)
            copy_wavelet(s, slot, beyond, t + under_way(s, slot, side) + extra, t)
            occupy(s, tile * 6 + side, t)
            if control != 0:
                s.fifos[beyond].open = NEVER
            ready(s, beyond)
        elif control == 0:
            s.request_out[s.queues[EDGE_QUEUES - beyond].port] = slot
            s.now[0].requests += 1
            return
    s.turns[tile, side] = route.bit
    s.moves[slot, side] += 1
    serve(s, slot, side, t)
    moved(s, t)


@kernel
def to_core(s: Machine, tile: int, slot: int, t: int) -> None:
    """A wavelet goes down the ramp into the core's input queue, and wakes who waits for it."""
    queue, reader = s.slots[slot].input, s.slots[slot].reader
    extra = delay_on_link(s, slot, RAMP, s.fifos[queue].pushed)
    copy_wavelet(s, slot, queue, t + s.now[0].ramp + extra, t)
    if reader >= 0:
        # A reader that found its wavelet may wait for another queue by now.
        wake_unit(s, tile, reader, max(s.cells[head_cell(s, queue)].time, t + 1))


@kernel
def arbitrate(s: Machine, tile: int, t: int) -> None:
    """Each link serves one of the colors that asked for it; the others lose a cycle there."""
    first = s.slot_first[tile]
    for side in range(SIDES):
        wanted = s.wanted[side]
        if wanted != 0:
            bit = first_after(wanted, s.turns[tile, side])
            lose(s, first, wanted & ~(1 << bit), side)
            cross(s, tile, first + bit, side, t)


@kernel
def router_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of all routers on the current list."""
    for index in range(count):
        tile = s.active[current * s.now[0].tiles + index]
        here = s.tile[tile]
        here.listed = 0
        if here.rising != 0:
            rise(s, tile, t)
        if here.ready != 0:
            ask(s, tile, t)
            arbitrate(s, tile, t)
        # What is left may move in the next cycle.
        if here.ready != 0 or here.rising != 0:
            activate(s, tile)
