"""One cycle of the edge: ports, their shared bandwidth, and lookups."""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay, moved
from wsc.runtime.clocked.edge import end_repetition
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import FEED, INDEX, Hcol, Qcol, Rcol
from wsc.runtime.time.basics import push, ready, wake_feed
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER
from wsc.runtime.time.routers import serve


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
def size_of(s: Machine, queue: int) -> int:
    """Bytes that the next wavelet of a queue takes of the bandwidth."""
    if s.queues[queue, Qcol.STATE] != 0:
        return 4
    shape = s.records[s.queues[queue, Qcol.RECORD], Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] == INDEX:
        return 4
    return 2 if s.halves[s.shapes[shape, Hcol.TENSOR]] != 0 else 4


@kernel
def feed(s: Machine, port: int, queue: int, t: int) -> None:
    """One wavelet enters the fabric."""
    q = s.queues
    slot = q[queue, Qcol.SLOT]
    shape = s.records[q[queue, Qcol.RECORD], Rcol.SHAPE]
    control = 0
    if q[queue, Qcol.STATE] == 0:
        s.now[0].moved += 1
    else:
        column = Hcol.THEN if q[queue, Qcol.STATE] == 1 else Hcol.FINAL
        control = s.shapes[shape, column]
        s.fifos[slot, Fcol.OPEN] = NEVER
    extra = delay(s.now[0].seed, slot * 8 + 6, s.fifos[slot, Fcol.PUSHED])
    push(s, slot, control, t + 1 + extra)
    ready(s, slot)
    s.port_turn[port] = q[queue, Qcol.BIT]
    s.port_free[port] = t + 1
    advance(s, queue)


@kernel
def take_out(s: Machine, slot: int, queue: int, t: int) -> None:
    """A wavelet leaves, as an element or as an index for a lookup; go on in the schedule."""
    shape = s.records[s.queues[queue, Qcol.RECORD], Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] == INDEX:
        index_arrived(s, s.shapes[shape, Hcol.LOOKUP], t)
    else:
        s.now[0].moved += 1
    advance(s, queue)


@kernel
def drain(s: Machine, slot: int, side: int, queue: int, t: int) -> None:
    """One wavelet leaves the fabric in its port's turn."""
    fifos = s.fifos
    take_out(s, slot, queue, t)
    tile = s.slots[slot, Scol.TILE]
    s.turns[tile, side] = s.slots[slot, Scol.BIT]
    s.moves[slot, side] += 1
    s.link[tile * 6 + side].free = t + 1
    fifos[slot, Fcol.SERVED] = max(fifos[slot, Fcol.SERVED], t)
    serve(s, slot, side, fifos[slot, Fcol.SERVED])


@kernel
def index_arrived(s: Machine, lookup: int, t: int) -> None:
    """A lookup has one more value; the queues that serve it may go on."""
    at = s.lookups[lookup, 0] + s.lookup_count[lookup]
    s.lookup_time[at] = t
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
