"""One cycle of the edge: ports, their shared bandwidth, and lookups."""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay, fault, head_cell, moved, room
from wsc.runtime.clocked.edge import end_repetition, value_wanted
from wsc.runtime.clocked.routers import first_after
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.reference.basics import activate_port, push, ready, value_in, wake_feed
from wsc.runtime.reference.causes import drains_next, edge_doer, feeds_next, index_comes, sends
from wsc.runtime.reference.compiled import Machine, halves_at, integers_at, kernel
from wsc.runtime.reference.races import blank
from wsc.runtime.reference.records import NEVER, Fault
from wsc.runtime.reference.routers import serve
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import FEED, INDEX, Hcol, Qcol, Rcol


@kernel
def offset(s: Machine, queue: int) -> int:
    """Element that the cursor of a queue points at."""
    q = s.queues
    record = q[queue, Qcol.RECORD]
    shape = s.records[record, Rcol.SHAPE]
    at = s.records[record, Rcol.BASE] + q[queue, Qcol.REPEAT] * s.records[record, Rcol.STEP]
    for d in range(s.shapes[shape, Hcol.RANK]):
        at += q[queue, Qcol.INDEX + d] * s.shapes[shape, Hcol.STEP + d]
    if s.shapes[shape, Hcol.LOOKUP] >= 0 and s.shapes[shape, Hcol.DIRECTION] == FEED:
        at += s.lookup_value[value_wanted(s, queue)] * s.shapes[shape, Hcol.STRIDE]
    return at


@kernel
def settle(s: Machine, queue: int) -> None:
    """Move the cursor over whatever has no elements, to what is to be done next."""
    q = s.queues
    while q[queue, Qcol.RECORD] < q[queue, Qcol.END] and q[queue, Qcol.STATE] == 0:
        record = q[queue, Qcol.RECORD]
        shape = s.records[record, Rcol.SHAPE]
        repeats = s.records[record, Rcol.REPEAT]
        if q[queue, Qcol.REPEAT] >= repeats:
            q[queue, Qcol.REPEAT] = 0
            if s.records[record, Rcol.LAST] != 0 and s.shapes[shape, Hcol.FINAL] != 0:
                q[queue, Qcol.STATE] = 2
                break
            q[queue, Qcol.RECORD] += 1
            continue
        empty = s.shapes[shape, Hcol.LOOKUP] >= 0 and s.shapes[shape, Hcol.ROWS] == 0
        empty = empty and s.shapes[shape, Hcol.DIRECTION] == FEED
        for d in range(s.shapes[shape, Hcol.RANK]):
            empty = empty or s.shapes[shape, Hcol.EXTENT + d] <= 0
        if not empty:
            break
        if s.shapes[shape, Hcol.THEN] == 0:  # nor does any other repetition of the record move
            q[queue, Qcol.REPEAT] = repeats
            continue
        end_repetition(s, queue, shape)
    if q[queue, Qcol.RECORD] == q[queue, Qcol.END]:
        s.now[0].queues_left -= 1
        return
    shape = s.records[q[queue, Qcol.RECORD], Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] == FEED:
        wake_feed(s, queue)
        return
    slot = q[queue, Qcol.SLOT]
    if s.fifos[slot, Fcol.COUNT] > 0:
        ready(s, slot)


@kernel
def advance(s: Machine, queue: int) -> None:
    """Move the cursor behind an element or control wavelet."""
    q = s.queues
    state = q[queue, Qcol.STATE]
    q[queue, Qcol.STATE] = 0
    if state == 1:
        q[queue, Qcol.REPEAT] += 1
        settle(s, queue)
        return
    if state == 2:
        q[queue, Qcol.RECORD] += 1
        settle(s, queue)
        return
    shape = s.records[q[queue, Qcol.RECORD], Rcol.SHAPE]
    d = s.shapes[shape, Hcol.RANK] - 1
    while d >= 0:
        q[queue, Qcol.INDEX + d] += 1
        if q[queue, Qcol.INDEX + d] < s.shapes[shape, Hcol.EXTENT + d]:
            return
        q[queue, Qcol.INDEX + d] = 0
        d -= 1
    if s.shapes[shape, Hcol.LOOKUP] >= 0 and s.shapes[shape, Hcol.DIRECTION] == FEED:
        q[queue, Qcol.ROW] += 1
        if q[queue, Qcol.ROW] < s.shapes[shape, Hcol.ROWS]:
            return
        q[queue, Qcol.ROW] = 0
    end_repetition(s, queue, shape)
    settle(s, queue)


@kernel
def fetch(s: Machine, tensor: int, element: int) -> int:
    """The wavelet of an element: 16 or 32 bits."""
    if s.tensors[tensor, 1] != 0:
        return halves_at(s.tensors[tensor, 0])[element]
    return integers_at(s.tensors[tensor, 0])[element]


@kernel
def size_of(s: Machine, queue: int) -> int:
    """Bytes that the next wavelet of a queue takes of the bandwidth."""
    if s.queues[queue, Qcol.STATE] != 0:
        return 4
    shape = s.records[s.queues[queue, Qcol.RECORD], Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] == INDEX:
        return 4
    return 2 if s.tensors[s.shapes[shape, Hcol.TENSOR], 1] != 0 else 4


@kernel
def feeds(s: Machine, queue: int, t: int) -> int:
    """1: a queue can feed in cycle t; 0: not until it is woken; 2: maybe in the next."""
    q = s.queues
    record = q[queue, Qcol.RECORD]
    if record == q[queue, Qcol.END]:
        return 0
    shape = s.records[record, Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] != FEED:
        return 0
    if q[queue, Qcol.STATE] == 0 and s.shapes[shape, Hcol.LOOKUP] >= 0:
        lookup = s.shapes[shape, Hcol.LOOKUP]
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[lookup, 0] + s.lookup_count[lookup]:
            return 0
        if s.lookup_time[wanted] >= t:
            return 2
    slot = q[queue, Qcol.SLOT]
    if not room(s, slot, t):
        return 2 if s.fifos[slot, Fcol.POPPED] == t else 0
    position = s.slots[slot, Scol.FIRST] + s.slots[slot, Scol.POSITION]
    side = side_of(q[queue, Qcol.PORT], s.now[0].width, s.now[0].height)
    return 1 if s.positions[position, 0] == side else 0


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
    q = s.queues
    slot = q[queue, Qcol.SLOT]
    shape = s.records[q[queue, Qcol.RECORD], Rcol.SHAPE]
    value, control = 0, 0
    if s.now[0].causes != 0:
        looked = q[queue, Qcol.STATE] == 0 and s.shapes[shape, Hcol.LOOKUP] >= 0
        feeds_next(s, queue, value_wanted(s, queue) if looked else -1, t)
    if q[queue, Qcol.STATE] == 0:
        value = fetch(s, s.shapes[shape, Hcol.TENSOR], offset(s, queue))
        s.now[0].moved += 1
    else:
        column = Hcol.THEN if q[queue, Qcol.STATE] == 1 else Hcol.FINAL
        control = s.shapes[shape, column]
        s.fifos[slot, Fcol.OPEN] = NEVER
    extra = delay(s.now[0].seed, slot * 8 + 6, s.fifos[slot, Fcol.PUSHED])
    push(s, slot, value, control, t + 1 + extra)
    if s.now[0].races != 0:
        blank(s, slot)
    if s.now[0].causes != 0:
        sends(s, edge_doer(s, queue), slot, t)
    ready(s, slot)
    s.port_turn[port] = q[queue, Qcol.BIT]
    advance(s, queue)
    if s.port_mask[port] != 0:
        activate_port(s, port)


@kernel
def keep_element(s: Machine, tensor: int, element: int, value: int) -> None:
    """Write the bits of an element that has left the fabric."""
    if s.tensors[tensor, 1] != 0:
        short = halves_at(s.tensors[tensor, 0])
        short[element] = value
    else:
        words = integers_at(s.tensors[tensor, 0])
        words[element] = value


@kernel
def take_out(s: Machine, slot: int, cell: int, queue: int, t: int) -> None:
    """Store a wavelet that leaves, or hand it to a lookup, and go on in the schedule."""
    value = value_in(s, cell)
    shape = s.records[s.queues[queue, Qcol.RECORD], Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] == INDEX:
        lookup = s.shapes[shape, Hcol.LOOKUP]
        index_arrived(s, lookup, shape, value, s.slots[slot, Scol.TILE], t)
    else:
        keep_element(s, s.shapes[shape, Hcol.TENSOR], offset(s, queue), value)
        s.now[0].moved += 1
    advance(s, queue)


@kernel
def drain(s: Machine, slot: int, side: int, queue: int, t: int) -> None:
    """One wavelet leaves the fabric in its port's turn."""
    fifos = s.fifos
    if s.now[0].causes != 0:
        drains_next(s, queue, slot, t)
    take_out(s, slot, head_cell(s, slot), queue, t)
    tile = s.slots[slot, Scol.TILE]
    s.turns[tile, side] = s.slots[slot, Scol.BIT]
    s.moves[slot, side] += 1
    fifos[slot, Fcol.SERVED] = max(fifos[slot, Fcol.SERVED], t)
    serve(s, slot, side, fifos[slot, Fcol.SERVED])


@kernel
def index_arrived(s: Machine, lookup: int, shape: int, value: int, tile: int, t: int) -> None:
    """A lookup has one more value; the queues that serve it may go on."""
    if value < 0 or value >= s.lookups[lookup, 2]:
        s.now[0].local = t
        fault(s, Fault.LOOKUP, tile, -1, s.shapes[shape, Hcol.TRANSFER], value, 0)
        return
    at = s.lookups[lookup, 0] + s.lookup_count[lookup]
    s.lookup_value[at] = value
    s.lookup_time[at] = t
    if s.now[0].causes != 0:
        index_comes(s, at, t)
    s.lookup_count[lookup] += 1
    for queue in range(s.now[0].queues):
        record = s.queues[queue, Qcol.RECORD]
        if record < s.queues[queue, Qcol.END]:
            other = s.records[record, Rcol.SHAPE]
            if s.shapes[other, Hcol.LOOKUP] == lookup and s.shapes[other, Hcol.DIRECTION] == FEED:
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
                queue = -2 - s.slots[slot, Scol.NEXT + side]
                size = size_of(s, queue)
                if now.credit_out >= size:
                    now.credit_out -= size
                    now.bytes_out += size
                    now.turn_out = port
                    drain(s, slot, side, queue, t)
    moved(s, t)
