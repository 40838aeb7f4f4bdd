"""One cycle of the colors with switches, and of those that leave the fabric: slot by slot.

They contend for the same links as the colors whose routers are lanes, so what they want is noted
in their stations' claims. The tables of FIFOs and cells hold their wavelets.
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
from wsc.runtime.clocked.routers import (
    ADVANCE,
    EDGE_QUEUES,
    INTO_ROUTER,
    drop,
    serve,
    takes,
    under_way,
)
from wsc.runtime.kernels.lanes import Lanes, lowest, none, word
from wsc.runtime.kernels.words import WORDS
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.time.arbiters import contend, used_edge
from wsc.runtime.time.basics import list_slot, push
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.links import LINKS, busy_links, cross_one
from wsc.runtime.time.records import CLAIM, NEVER, place_of
from wsc.runtime.time.tiles import has, lane_of, set_lane, slot_at

SIZE = CLAIM.itemsize
WANTS = place_of(CLAIM, "wants")


# --- what could move ------------------------------------------------------------------------


@kernel
def want(s: Machine, slot: int, side: int) -> None:
    """A slot could take a link in this cycle."""
    now, station = s.now[0], s.slot_station[slot]
    router = s.stations[station]
    if router.claims == 0:
        s.claimants[now.claimants] = station
        now.claimants += 1
    router.claims |= 1 << side
    claim = s.claims.ctypes.data + (station * LINKS + side) * SIZE
    set_lane(claim + WANTS, lane_of(s, slot))
    contend(s, router.block, side)


@kernel
def can_leave(s: Machine, slot: int, side: int, control: int, t: int) -> bool:
    """Whether the head can leave on a side."""
    if side == RAMP:
        return control != 0 or room(s, s.slots[slot].input, t)
    beyond = s.slots[slot].next[side]
    if beyond >= 0:
        position = s.slots[beyond].first + s.slots[beyond].position
        return room(s, beyond, t) and s.positions[position].accept == (side + 2) & 3
    if beyond == NOWHERE:
        return False
    # Over the edge: a control wavelet ends there, another one needs a transfer that takes it.
    return control != 0 or (beyond != OUTSIDE and takes(s, EDGE_QUEUES - beyond))


@kernel
def wants_to_rise(s: Machine, slot: int, t: int) -> bool:
    """Note whether the head of the core's queue could rise; whether to look again."""
    queue = s.slots[slot].output
    if queue < 0 or s.fifos[queue].count == 0:
        return False
    if s.cells[head_cell(s, queue)].time > t:
        return True
    position = s.slots[slot].first + s.slots[slot].position
    if s.positions[position].accept == RAMP and room(s, slot, t):
        want(s, slot, INTO_ROUTER)
        return True
    return False


@kernel
def wants_to_leave(s: Machine, slot: int, t: int) -> bool:
    """Absorb a control wavelet, or note where the head could leave; whether to look again."""
    if s.fifos[slot].count == 0:
        return False
    route, head = s.slots[slot], head_cell(s, slot)
    if s.cells[head].time > t:
        return True
    control = control_in(s, head)
    # A new head: an advance turns the switch here and goes no further, unless it is in its last
    # position. Others are to leave on all sides of the position.
    if route.pending == 0:
        if control == ADVANCE and route.position < route.positions - 1:
            route.position += 1
            s.fifos[slot].open = t + 1
            drop(s, slot, t)
            moved(s, t)
            return True
        route.pending = s.positions[route.first + route.position].send
    pending, again = route.pending, False
    block, lane = s.tile_block[route.tile], s.tile_lane[route.tile]
    if (pending >> RAMP) & 1:  # what the core has taken in this cycle makes room in the next
        again = s.fifos[route.input].popped == t
    # Each side on which it has still to leave is asked for by itself.
    for side in range(5):
        if (pending >> side) & 1 == 0:
            continue
        if has(busy_links(s, block, side), lane):  # taken, and free in a known cycle
            again = True
        elif can_leave(s, slot, side, control, t):
            want(s, slot, side)
            again = True
    return again


@kernel
def claim_switched(s: Machine, t: int) -> None:
    """What the slots on the list could do in cycle t, before anything does."""
    now = s.now[0]
    first, count = now.switched_which * now.slots, now.switched
    now.switched_which = 1 - now.switched_which
    now.switched = 0
    # Whoever is woken by what follows, be it later on this list, is looked at in the next cycle.
    for index in range(first, first + count):
        s.switched_listed[s.switched[index]] = 0
    for index in range(first, first + count):
        slot = s.switched[index]
        rises = wants_to_rise(s, slot, t)
        if wants_to_leave(s, slot, t) or rises:
            list_slot(s, slot)


# --- what moves -----------------------------------------------------------------------------


@kernel
def rise(s: Machine, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    route = s.slots[slot]
    queue = route.output
    control = control_in(s, head_cell(s, queue))
    extra = delay_on_link(s, slot, INTO_ROUTER, s.fifos[slot].pushed)
    push(s, slot, control, t + s.now[0].ramp + extra)
    # A control wavelet closes the buffer behind it until it has been acted on.
    if control != 0:
        s.fifos[slot].open = NEVER
    s.moves[slot, INTO_ROUTER] += 1
    pop(s, queue, t)
    list_slot(s, slot)
    if route.writer >= 0:
        wake_unit(s, route.tile, route.writer, t + 1)
    moved(s, t)


@kernel
def fall(s: Machine, slot: int, t: int) -> None:
    """Move the head down the ramp into the core's input queue in cycle t."""
    route = s.slots[slot]
    queue = route.input
    extra = delay_on_link(s, slot, RAMP, s.fifos[queue].pushed)
    push(s, queue, 0, t + s.now[0].ramp + extra)
    if route.reader >= 0:
        # A reader that found its wavelet may wait for another queue by now.
        seen = max(s.cells[head_cell(s, queue)].time, t + 1)
        wake_unit(s, route.tile, route.reader, seen)


@kernel
def depart(s: Machine, slot: int, side: int, t: int) -> None:
    """Move the head over one link in cycle t."""
    control = control_in(s, head_cell(s, slot))
    if side == RAMP:
        if control == 0:  # a core sees no control wavelet
            fall(s, slot, t)
    else:
        beyond = s.slots[slot].next[side]
        if beyond >= 0:
            extra = delay_on_link(s, beyond, side, s.fifos[beyond].pushed)
            push(s, beyond, control, t + under_way(s, slot, side) + extra)
            cross_one(s, s.slots[slot].tile, side)
            if control != 0:
                s.fifos[beyond].open = NEVER
            list_slot(s, beyond)
    s.moves[slot, side] += 1
    moved(s, t)
    serve(s, slot, side, t)


@kernel
def move_switched(s: Machine, t: int) -> None:
    """The slots that got a link move."""
    now = s.now[0]
    for index in range(now.claimants):
        station = s.claimants[index]
        sides = s.stations[station].claims
        s.stations[station].claims = 0
        for side in range(LINKS):
            if (sides >> side) & 1:
                mine = s.claims[station * LINKS + side]
                won = mine.won
                mine.wants, mine.won = none(), none()
                move_all(s, station, side, won, t)
    now.claimants = 0


@kernel
def move_all(s: Machine, station: int, side: int, which: Lanes, t: int) -> None:
    """Move the heads of some slots of a station over the link on a side."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            slot = slot_at(s, station, line, lowest(rest))
            rest &= rest - 1
            if side == INTO_ROUTER:
                rise(s, slot, t)
                continue
            # A wavelet over the edge leaves when it has its share of the bandwidth, too.
            beyond = s.slots[slot].next[side] if side != RAMP else 0
            if beyond < 0 and control_in(s, head_cell(s, slot)) == 0:
                s.request_out[s.queues[EDGE_QUEUES - beyond].port] = slot
                s.now[0].requests += 1
            else:
                depart(s, slot, side, t)
                if beyond < 0:  # a control wavelet
                    used_edge(s, station, side, lane_of(s, slot))
