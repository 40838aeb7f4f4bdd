"""Wavelets that run ahead of time, and links and ports that are served in its order.

A wavelet leaves a stage in the first cycle in which it is the head, its link is free and
the cell that it goes to is free: three known cycles. Nothing has to be stepped, but
where colors may meet on a link: there the contenders are looked at in the cycle in which
the first of them could leave, after all that happens before is known.
"""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.clocked.basics import RAMP, control_in, delay, head_cell, moved, tail_cell
from wsc.runtime.clocked.edge import feed, size_of, take_out
from wsc.runtime.clocked.routers import (
    INTO_ROUTER,
    drop,
    first_after,
    lose,
    occupy,
    serve,
    takes,
    under_way,
)
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.time.arbiter import gets
from wsc.runtime.time.basics import (
    beyond,
    enqueue,
    filled,
    look_at_link,
    look_at_port,
    push,
    put_off,
    put_off_port,
    target,
)
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.delivery import carry, cross, left_by, rise_at
from wsc.runtime.time.lookahead import alone, stream_bound
from wsc.runtime.time.records import NEVER
from wsc.runtime.time.relay import relay
from wsc.runtime.time.times import (
    contender_time,
    feed_time,
    head_time,
    leave_time,
    rise_time,
    wanted_sides,
)
from wsc.runtime.time.trees import LEAST, NO_TREE, feed_through

ADVANCE = CONTROL_INDEX[Control.ADVANCE]


@kernel
def depart(s: Machine, slot: int, side: int, t: int) -> None:
    """Move the head over one link in cycle t."""
    tile = s.slots[slot].tile
    head = head_cell(s, slot)
    control, guided = control_in(s, head), s.slots[slot].guided
    if side == RAMP:
        if control == 0:
            queue = s.slots[slot].input
            extra = delay(s.now[0].seed, slot * 8 + RAMP, s.fifos[queue].pushed)
            push(s, queue, 0, t + s.now[0].ramp + extra)
            if s.slots[slot].reader >= 0:
                enqueue(s, s.now[0].unit_tasks + tile * s.now[0].units + s.slots[slot].reader)
    else:
        to = s.slots[slot].next[side]
        if to >= 0:
            extra = delay(s.now[0].seed, to * 8 + side, s.fifos[to].pushed)
            push(s, to, control, t + under_way(s, slot, side) + extra)
            if control != 0:
                s.fifos[to].open = NEVER
            if s.fifos[to].count == 1:
                filled(s, to)
                enqueue(s, to)
    if side != RAMP and s.slots[slot].next[side] >= 0:
        occupy(s, tile * 6 + side, t)
    else:
        s.link[tile * 6 + side].free = t + 1
    if guided != 0:
        s.moves[slot, side] += 1
    s.turns[tile, side] = s.slots[slot].bit
    s.fifos[slot].served = max(s.fifos[slot].served, t)
    moved(s, t)
    serve(s, slot, side, s.fifos[slot].served)


@kernel
def advance_guided(s: Machine, slot: int) -> None:
    """Absorb control wavelets at the head of a guided slot, and queue for its links."""
    tile = s.slots[slot].tile
    while s.fifos[slot].count > 0:
        time = head_time(s, slot)
        if beyond(s, time):
            return
        if s.slots[slot].pending == 0:
            if control_in(s, head_cell(s, slot)) == ADVANCE and (
                s.slots[slot].position < s.slots[slot].positions - 1
            ):
                s.slots[slot].position += 1
                s.fifos[slot].open = time + 1
                drop(s, slot, time)
                moved(s, time)
                continue
            position = s.slots[slot].first + s.slots[slot].position
            s.slots[slot].pending = s.positions[position].send
            s.fifos[slot].served = 0
        pending = s.slots[slot].pending
        side = 0
        while (pending >> side) != 0:
            if (pending >> side) & 1:
                link = tile * 6 + side
                due = max(leave_time(s, slot, side), s.link[link].free)
                if not beyond(s, due):
                    look_at_link(s, link, max(due, s.now[0].now + 1))
            side += 1
        return


@kernel
def blocked_in_part(s: Machine, slot: int, pending: int) -> bool:
    """Whether a head that has several ways to go finds one of them full."""
    if pending & (pending - 1) == 0:
        return False
    side = 0
    while (pending >> side) != 0:
        if (pending >> side) & 1:
            to = target(s, slot, side)
            if to >= 0 and s.fifos[to].count >= s.fifos[to].depth:
                return True
        side += 1
    return False


@kernel
def advance_plain(s: Machine, slot: int, late: bool) -> None:
    """Move the heads of a router buffer without switches as far as is known.

    late: all else is done. Before that it pays to wait until a wavelet can go on everywhere,
    as more can then follow it.
    """
    tile, send = s.slots[slot].tile, s.positions[s.slots[slot].first].send
    while s.fifos[slot].count > 0:
        pending, denied = s.slots[slot].pending, 0
        if (pending == 0 or pending == send) and s.now[0].seed == 0:
            denied = relay(s, slot, send)
            if s.fifos[slot].count == 0:
                return
        if not late and blocked_in_part(s, slot, wanted_sides(s, slot)):
            put_off(s, slot, head_time(s, slot))
            return
        if not pass_head(s, slot, tile, send, denied):
            return


@kernel
def pass_head(s: Machine, slot: int, tile: int, send: int, denied: int) -> bool:
    """Move a head over the links that it can take; whether it has left on all sides.

    denied: mask of sides on which it is known not to get the link.
    """
    cell = head_cell(s, slot)
    time = head_time(s, slot)
    if beyond(s, time):
        return False
    pending, served, side = s.slots[slot].pending, s.fifos[slot].served, 0
    if pending == 0:
        pending, served = send, 0
    while (pending >> side) != 0:
        if ((pending & ~denied) >> side) & 1:
            at = go_plain(s, slot, tile, side, time, cell)
            if at >= 0:
                pending &= ~(1 << side)
                served = max(served, at)
        side += 1
    return left_by(s, slot, pending, served)


@kernel
def go_plain(s: Machine, slot: int, tile: int, side: int, time: int, cell: int) -> int:
    """Move a head over one link if it has that for itself, or queue for it: its cycle, or -1."""
    link = tile * 6 + side
    to = target(s, slot, side)
    if to < 0:
        return leave_plain(s, slot, tile, side, time, cell)
    if s.fifos[to].count >= s.fifos[to].depth:
        return -1
    at = max(time, s.cells[tail_cell(s, to)].time, s.link[link].free)
    if beyond(s, at):
        return -1
    if not gets(s, tile, side, slot, at):
        return -1
    cross(s, slot, tile, side, to, cell, at)
    return at


@kernel
def leave_plain(s: Machine, slot: int, tile: int, side: int, time: int, cell: int) -> int:
    """``go_plain`` over the edge."""
    link, to = tile * 6 + side, s.slots[slot].next[side]
    if to in (NOWHERE, OUTSIDE) or not takes(s, -2 - to):
        return -1
    at = max(time, s.link[link].free)
    if beyond(s, at):
        return -1
    if s.now[0].free_out == 0 or not alone(s, tile, side, slot, at):
        look_at_link(s, link, max(at, s.now[0].now + 1))
        return -1
    s.link[link].free = at + 1
    s.turns[tile, side] = s.slots[slot].bit
    s.now[0].local = at
    s.now[0].bytes_out += size_of(s, -2 - to)
    take_out(s, slot, -2 - to, at)
    return at


@kernel
def advance_output(s: Machine, slot: int) -> None:
    """Move the heads of a core's output queue as far as is known."""
    tile, queue = s.slots[slot].tile, s.slots[slot].output
    link = tile * 6 + INTO_ROUTER
    if queue < 0:
        return
    while s.fifos[queue].count > 0:
        carry(s, slot)
        if s.fifos[queue].count == 0:
            return
        time = max(rise_time(s, slot), s.link[link].free)
        if beyond(s, time):
            return
        if s.slots[slot].guided != 0:
            look_at_link(s, link, max(time, s.now[0].now + 1))
            return
        if not gets(s, tile, INTO_ROUTER, slot, time):
            return
        rise_at(s, slot, time)


@kernel
def link_event(s: Machine, link: int, t: int) -> None:
    """Serve one of the colors that could use a link in cycle t."""
    tile, side = link // 6, link % 6
    first, mask = s.slot_first[tile], s.link[link].mask
    occupied = s.occupied[tile]
    mask &= occupied.outputs if side == INTO_ROUTER else occupied.buffers
    wanted, later, bit = 0, 0, 0
    while (mask >> bit) != 0:
        if (mask >> bit) & 1:
            time = max(contender_time(s, first + bit, side), s.link[link].free)
            if time <= t:
                wanted |= 1 << bit
            elif time < NEVER:
                later |= 1 << bit
        bit += 1
    if wanted != 0:
        later |= serve_link(s, tile, side, wanted, t)
    bit = 0
    while (later >> bit) != 0:
        if (later >> bit) & 1:
            enqueue(s, first + bit + (s.now[0].slots if side == INTO_ROUTER else 0))
        bit += 1


@kernel
def serve_link(s: Machine, tile: int, side: int, wanted: int, t: int) -> int:
    """The next color in turn takes the link; those that have to try again."""
    first = s.slot_first[tile]
    bit = first_after(wanted, s.turns[tile, side])
    losers, slot = wanted & ~(1 << bit), first + bit
    lose(s, first, losers, side)
    if side == INTO_ROUTER:
        rise_at(s, slot, t)
        enqueue(s, s.now[0].slots + slot)
        return losers
    to = s.slots[slot].next[side] if side != RAMP else 0
    if to <= OUTSIDE and control_in(s, head_cell(s, slot)) == 0:
        s.request_out[s.queues[-2 - to].port] = slot
        s.now[0].requests += 1
        return losers | 1 << bit
    depart(s, slot, side, t)
    return losers | 1 << bit


@kernel
def has_port(s: Machine, port: int, queue: int, t: int) -> bool:
    """Whether a queue has a port for itself up to and in cycle t."""
    if s.now[0].free_in == 0 or s.port_due[port] <= t:
        return False
    if s.port_owner[port] != queue or s.port_safe[port] <= t:
        bound = NEVER
        for other in range(s.port_first[port], s.port_first[port + 1]):
            if other != queue and s.queues[other].record != s.queues[other].end:
                bound = min(bound, stream_bound(s, s.stream[s.queues[other].slot]))
        s.port_owner[port], s.port_safe[port] = queue, bound
    return t < s.port_safe[port]


@kernel
def advance_port(s: Machine, port: int, late: bool) -> None:
    """Feed as far as is known, if there is nothing to share; otherwise queue for it.

    late: all else is done, so that whole trees may be at rest.
    """
    now = s.now[0]
    for queue in range(s.port_first[port], s.port_first[port + 1]):
        if s.unrest[s.queues[queue].slot] != NO_TREE:
            time = feed_time(s, queue)
            if time != NEVER and not late:
                put_off_port(s, now.port_tasks + port)
                return
            time = max(time, s.port_free[port], now.now)
            if not beyond(s, time) and has_port(s, port, queue, time + LEAST):
                feed_through(s, port, queue)
        while True:
            time = max(feed_time(s, queue), s.port_free[port], now.now)
            if beyond(s, time):
                break
            if not has_port(s, port, queue, time):
                look_at_port(s, port, max(time, now.now + 1))
                break
            now.bytes_in += size_of(s, queue)
            feed(s, port, queue, time)
            moved(s, time)


@kernel
def port_event(s: Machine, port: int, t: int) -> None:
    """A port names the queue that it would serve in cycle t."""
    wanted, soonest, first = 0, NEVER, s.port_first[port]
    for queue in range(first, s.port_first[port + 1]):
        time = max(feed_time(s, queue), s.port_free[port])
        if time <= t:
            wanted |= 1 << (queue - first)
        else:
            soonest = min(soonest, time)
    chosen = first_after(wanted, s.port_turn[port]) if wanted != 0 else 0
    if wanted == 1 << chosen and has_port(s, port, first + chosen, t):
        enqueue(s, s.now[0].port_tasks + port)
        return
    if wanted != 0:
        s.request_in[port] = first + chosen
        s.now[0].feeding += 1
        soonest = t + 1
    if not beyond(s, soonest):
        look_at_port(s, port, soonest)
