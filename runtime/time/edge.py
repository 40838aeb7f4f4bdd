"""One cycle of the edge: ports, their shared bandwidth, and lookups."""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay, moved
from wsc.runtime.clocked.edge import end_repetition
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.schedule import FEED, INDEX
from wsc.runtime.time.basics import push, ready, wake_feed
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER
from wsc.runtime.time.routers import serve


@kernel
def settle(s: Machine, queue: int) -> None:
    """Move the cursor over whatever has no elements, to what is to be done next."""
    while s.queues[queue].record < s.queues[queue].end and s.queues[queue].state == 0:
        record = s.queues[queue].record
        shape = s.records[record].shape
        repeats = s.records[record].repeat
        if s.queues[queue].repeat >= repeats:
            s.queues[queue].repeat = 0
            if s.records[record].last != 0 and s.shapes[shape].final != 0:
                s.queues[queue].state = 2
                break
            s.queues[queue].record += 1
            continue
        empty = s.shapes[shape].lookup >= 0 and s.shapes[shape].rows == 0
        empty = empty and s.shapes[shape].direction == FEED
        for d in range(s.shapes[shape].rank):
            empty = empty or s.shapes[shape].extent[d] <= 0
        if not empty:
            break
        if s.shapes[shape].then == 0:  # nor does any other repetition of the record move
            s.queues[queue].repeat = repeats
            continue
        end_repetition(s, queue, shape)
    if s.queues[queue].record == s.queues[queue].end:
        s.now[0].queues_left -= 1
        return
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == FEED:
        wake_feed(s, queue)
        return
    slot = s.queues[queue].slot
    if s.fifos[slot].count > 0:
        ready(s, slot)


@kernel
def advance(s: Machine, queue: int) -> None:
    """Move the cursor behind an element or control wavelet."""
    state = s.queues[queue].state
    s.queues[queue].state = 0
    if state == 1:
        s.queues[queue].repeat += 1
        settle(s, queue)
        return
    if state == 2:
        s.queues[queue].record += 1
        settle(s, queue)
        return
    shape = s.records[s.queues[queue].record].shape
    d = s.shapes[shape].rank - 1
    while d >= 0:
        s.queues[queue].index[d] += 1
        if s.queues[queue].index[d] < s.shapes[shape].extent[d]:
            return
        s.queues[queue].index[d] = 0
        d -= 1
    if s.shapes[shape].lookup >= 0 and s.shapes[shape].direction == FEED:
        s.queues[queue].row += 1
        if s.queues[queue].row < s.shapes[shape].rows:
            return
        s.queues[queue].row = 0
    end_repetition(s, queue, shape)
    settle(s, queue)


@kernel
def size_of(s: Machine, queue: int) -> int:
    """Bytes that the next wavelet of a queue takes of the bandwidth."""
    if s.queues[queue].state != 0:
        return 4
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == INDEX:
        return 4
    return 2 if s.halves[s.shapes[shape].tensor] != 0 else 4


@kernel
def feed(s: Machine, port: int, queue: int, t: int) -> None:
    """One wavelet enters the fabric."""
    slot = s.queues[queue].slot
    shape = s.records[s.queues[queue].record].shape
    control = 0
    if s.queues[queue].state == 0:
        s.now[0].moved += 1
    else:
        after_each = s.queues[queue].state == 1
        control = s.shapes[shape].then if after_each else s.shapes[shape].final
        s.fifos[slot].open = NEVER
    extra = delay(s.now[0].seed, slot * 8 + 6, s.fifos[slot].pushed)
    push(s, slot, control, t + 1 + extra)
    ready(s, slot)
    s.port_turn[port] = s.queues[queue].bit
    s.port_free[port] = t + 1
    advance(s, queue)


@kernel
def take_out(s: Machine, slot: int, queue: int, t: int) -> None:
    """A wavelet leaves, as an element or as an index for a lookup; go on in the schedule."""
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == INDEX:
        index_arrived(s, s.shapes[shape].lookup, t)
    else:
        s.now[0].moved += 1
    advance(s, queue)


@kernel
def drain(s: Machine, slot: int, side: int, queue: int, t: int) -> None:
    """One wavelet leaves the fabric in its port's turn."""
    take_out(s, slot, queue, t)
    tile = s.slots[slot].tile
    s.turns[tile, side] = s.slots[slot].bit
    s.moves[slot, side] += 1
    s.link[tile * 6 + side].free = t + 1
    s.fifos[slot].served = max(s.fifos[slot].served, t)
    serve(s, slot, side, s.fifos[slot].served)


@kernel
def index_arrived(s: Machine, lookup: int, t: int) -> None:
    """A lookup has one more value; the queues that serve it may go on."""
    at = s.lookups[lookup].first + s.lookup_count[lookup]
    s.lookup_time[at] = t
    s.lookup_count[lookup] += 1
    for queue in range(s.now[0].queues):
        record = s.queues[queue].record
        if record < s.queues[queue].end:
            other = s.records[record].shape
            if s.shapes[other].lookup == lookup and s.shapes[other].direction == FEED:
                wake_feed(s, queue)


@kernel
def edge_phase(s: Machine, inward: int, outward: int, t: int) -> None:
    """Share the bandwidth of this cycle among the ports that asked for it."""
    now = s.now[0]
    rate = now.io
    most = rate if rate > 4 else 4
    waited = t - now.credit_time
    now.credit_time = t
    now.credit_in = min(now.credit_in + (waited - 1) * rate, most) + rate
    now.credit_out = min(now.credit_out + (waited - 1) * rate, most) + rate
    ports = now.port_count
    if inward > 0:
        start = now.turn_in
        for step in range(1, ports + 1):
            port = start + step if start + step < ports else start + step - ports
            queue = s.request_in[port]
            if queue >= 0:
                s.request_in[port] = -1
                size = size_of(s, queue)
                if now.credit_in >= size:
                    now.credit_in -= size
                    now.bytes_in += size
                    now.turn_in = port
                    feed(s, port, queue, t)
    if outward > 0:
        start = now.turn_out
        for step in range(1, ports + 1):
            port = start + step if start + step < ports else start + step - ports
            slot = s.request_out[port]
            if slot >= 0:
                s.request_out[port] = -1
                side = side_of(port, now.width, now.height)
                queue = -2 - s.slots[slot].next[side]
                size = size_of(s, queue)
                if now.credit_out >= size:
                    now.credit_out -= size
                    now.bytes_out += size
                    now.turn_out = port
                    drain(s, slot, side, queue, t)
    moved(s, t)
