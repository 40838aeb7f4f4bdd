"""One cycle of the edge: ports, their shared bandwidth, and lookups."""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay, fault, head_cell, moved, room
from wsc.runtime.clocked.edge import end_repetition, value_wanted
from wsc.runtime.clocked.routers import first_after
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.reference.basics import activate_port, push, ready, value_in, wake_feed
from wsc.runtime.reference.compiled import Machine, halves_at, integers_at, kernel
from wsc.runtime.reference.races import blank
from wsc.runtime.reference.records import NEVER, Fault
from wsc.runtime.reference.routers import serve
from wsc.runtime.schedule import FEED, INDEX


@kernel
def offset(s: Machine, queue: int) -> int:
    """Element that the cursor of a queue points at."""
    record = s.queues[queue].record
    shape = s.records[record].shape
    at = s.records[record].base + s.queues[queue].repeat * s.records[record].step
    for d in range(s.shapes[shape].rank):
        at += s.queues[queue].index[d] * s.shapes[shape].step[d]
    if s.shapes[shape].lookup >= 0 and s.shapes[shape].direction == FEED:
        at += s.lookup_value[value_wanted(s, queue)] * s.shapes[shape].stride
    return at


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
def fetch(s: Machine, tensor: int, element: int) -> int:
    """The wavelet of an element: 16 or 32 bits."""
    if s.tensors[tensor].half != 0:
        return halves_at(s.tensors[tensor].address)[element]
    return integers_at(s.tensors[tensor].address)[element]


@kernel
def size_of(s: Machine, queue: int) -> int:
    """Bytes that the next wavelet of a queue takes of the bandwidth."""
    if s.queues[queue].state != 0:
        return 4
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == INDEX:
        return 4
    return 2 if s.tensors[s.shapes[shape].tensor].half != 0 else 4


@kernel
def feeds(s: Machine, queue: int, t: int) -> int:
    """1: a queue can feed in cycle t; 0: not until it is woken; 2: maybe in the next."""
    record = s.queues[queue].record
    if record == s.queues[queue].end:
        return 0
    shape = s.records[record].shape
    if s.shapes[shape].direction != FEED:
        return 0
    if s.queues[queue].state == 0 and s.shapes[shape].lookup >= 0:
        lookup = s.shapes[shape].lookup
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[lookup].first + s.lookup_count[lookup]:
            return 0
        if s.lookup_time[wanted] >= t:
            return 2
    slot = s.queues[queue].slot
    if not room(s, slot, t):
        return 2 if s.fifos[slot].popped == t else 0
    position = s.slots[slot].first + s.slots[slot].position
    side = side_of(s.queues[queue].port, s.now[0].width, s.now[0].height)
    return 1 if s.positions[position].accept == side else 0


@kernel
def request_feeds(s: Machine, current: int, count: int, t: int) -> int:
    """Every listed port names the queue that it would serve; how many did."""
    requests = 0
    for index in range(count):
        port = s.port_active[current * s.now[0].port_count + index]
        s.port_listed[port] = 0
        mask, wanted, bit = s.port_mask[port], 0, 0
        while (mask >> bit) != 0:
            if (mask >> bit) & 1:
                answer = feeds(s, s.port_first[port] + bit, t)
                if answer == 1:
                    wanted |= 1 << bit
                elif answer == 0:
                    s.port_mask[port] &= ~(1 << bit)
            bit += 1
        if wanted != 0:
            chosen = first_after(wanted, s.port_turn[port])
            s.request_in[port] = s.port_first[port] + chosen
            requests += 1
        if s.port_mask[port] != 0:
            activate_port(s, port)
    return requests


@kernel
def feed(s: Machine, port: int, queue: int, t: int) -> None:
    """One wavelet enters the fabric."""
    slot = s.queues[queue].slot
    shape = s.records[s.queues[queue].record].shape
    value, control = 0, 0
    if s.queues[queue].state == 0:
        value = fetch(s, s.shapes[shape].tensor, offset(s, queue))
        s.now[0].moved += 1
    else:
        after_each = s.queues[queue].state == 1
        control = s.shapes[shape].then if after_each else s.shapes[shape].final
        s.fifos[slot].open = NEVER
    extra = delay(s.now[0].seed, slot * 8 + 6, s.fifos[slot].pushed)
    push(s, slot, value, control, t + 1 + extra)
    if s.now[0].races != 0:
        blank(s, slot)
    ready(s, slot)
    s.port_turn[port] = s.queues[queue].bit
    advance(s, queue)
    if s.port_mask[port] != 0:
        activate_port(s, port)


@kernel
def keep_element(s: Machine, tensor: int, element: int, value: int) -> None:
    """Write the bits of an element that has left the fabric."""
    if s.tensors[tensor].half != 0:
        short = halves_at(s.tensors[tensor].address)
        short[element] = value
    else:
        words = integers_at(s.tensors[tensor].address)
        words[element] = value


@kernel
def take_out(s: Machine, slot: int, cell: int, queue: int, t: int) -> None:
    """Store a wavelet that leaves, or hand it to a lookup, and go on in the schedule."""
    value = value_in(s, cell)
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == INDEX:
        lookup = s.shapes[shape].lookup
        index_arrived(s, lookup, shape, value, s.slots[slot].tile, t)
    else:
        keep_element(s, s.shapes[shape].tensor, offset(s, queue), value)
        s.now[0].moved += 1
    advance(s, queue)


@kernel
def drain(s: Machine, slot: int, side: int, queue: int, t: int) -> None:
    """One wavelet leaves the fabric in its port's turn."""
    take_out(s, slot, head_cell(s, slot), queue, t)
    tile = s.slots[slot].tile
    s.turns[tile, side] = s.slots[slot].bit
    s.moves[slot, side] += 1
    s.fifos[slot].served = max(s.fifos[slot].served, t)
    serve(s, slot, side, s.fifos[slot].served)


@kernel
def index_arrived(s: Machine, lookup: int, shape: int, value: int, tile: int, t: int) -> None:
    """A lookup has one more value; the queues that serve it may go on."""
    if value < 0 or value >= s.lookups[lookup].rows:
        s.now[0].local = t
        fault(s, Fault.LOOKUP, tile, -1, s.shapes[shape].transfer, value, 0)
        return
    at = s.lookups[lookup].first + s.lookup_count[lookup]
    s.lookup_value[at] = value
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
