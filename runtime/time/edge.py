"""One cycle of the ports of the edge, and the bandwidth that they share."""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay, moved, room
from wsc.runtime.clocked.edge import end_repetition, value_wanted
from wsc.runtime.clocked.routers import first_after
from wsc.runtime.kernels.calls import longs_at
from wsc.runtime.kernels.lanes import word
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.kernels.words import WORD
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import FEED, INDEX, Hcol, Qcol, Rcol
from wsc.runtime.time.basics import activate_port, list_slot, push
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER, STATION, place_of
from wsc.runtime.time.routers import serve
from wsc.runtime.time.stations import SIZE, activate, leave_fabric, used_edge

FED, FEEDERS = place_of(STATION, "fed"), place_of(STATION, "feeders")
NO, YES, LATER = 0, 1, 2


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
        activate_port(s, q[queue, Qcol.PORT])
        return
    slot = q[queue, Qcol.SLOT]
    if s.fifos[slot, Fcol.COUNT] > 0:
        list_slot(s, slot)


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
    """The head of a slot with switches leaves the fabric."""
    fifos = s.fifos
    take_out(s, slot, queue, t)
    s.moves[slot, side] += 1
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
                activate_port(s, s.queues[queue, Qcol.PORT])


@kernel
def set_lane(s: Machine, station: int, field: int, lane: int) -> None:
    """Set a lane in a field of a station, which is given by its place in the record."""
    words = longs_at(s.stations.ctypes.data + station * SIZE + field)
    words[lane // WORD] |= 1 << (lane % WORD)


@kernel
def buffer_takes(s: Machine, slot: int, t: int) -> bool:
    """Whether a router buffer takes a wavelet from the edge in cycle t; else its port is woken."""
    if s.slots[slot, Scol.GUIDED] != 0:
        return room(s, slot, t)
    station, lane = s.slot_station[slot], s.tile_lane[s.slots[slot, Scol.TILE]]
    if (word(s.stations[station].room, lane // WORD) >> (lane % WORD)) & 1:
        return True
    set_lane(s, station, FEEDERS, lane)
    return False


@kernel
def feeds(s: Machine, queue: int, t: int) -> int:
    """YES: a queue can feed in cycle t. NO: not until it is woken. LATER: perhaps soon."""
    q = s.queues
    record = q[queue, Qcol.RECORD]
    if record == q[queue, Qcol.END]:
        return NO
    shape = s.records[record, Rcol.SHAPE]
    if s.shapes[shape, Hcol.DIRECTION] != FEED:
        return NO
    if q[queue, Qcol.STATE] == 0 and s.shapes[shape, Hcol.LOOKUP] >= 0:
        lookup = s.shapes[shape, Hcol.LOOKUP]
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[lookup, 0] + s.lookup_count[lookup]:
            return NO
        if s.lookup_time[wanted] >= t:
            return LATER
    slot = q[queue, Qcol.SLOT]
    position = s.slots[slot, Scol.FIRST] + s.slots[slot, Scol.POSITION]
    side = side_of(q[queue, Qcol.PORT], s.now[0].width, s.now[0].height)
    if s.positions[position, 0] != side:
        return NO
    return YES if buffer_takes(s, slot, t) else NO


@kernel
def request_feeds(s: Machine, t: int) -> int:
    """Every listed port names the queue that it would serve; how many did."""
    now, requests = s.now[0], 0
    first, count = now.ports_which * now.port_count, now.ports
    now.ports_which = 1 - now.ports_which
    now.ports = 0
    for index in range(count):
        port = s.port_list[first + index]
        s.port_listed[port] = 0
        wanted, again = 0, False
        for queue in range(s.port_first[port], s.port_first[port + 1]):
            answer = feeds(s, queue, t)
            again = again or answer != NO
            if answer == YES:
                wanted |= 1 << (queue - s.port_first[port])
        if wanted != 0:
            s.request_in[port] = s.port_first[port] + first_after(wanted, s.port_turn[port])
            requests += 1
        if again:
            activate_port(s, port)
    return requests


@kernel
def feed(s: Machine, port: int, queue: int, t: int) -> None:
    """One wavelet enters the fabric."""
    q, slot = s.queues, s.queues[queue, Qcol.SLOT]
    if q[queue, Qcol.STATE] == 0:
        s.now[0].moved += 1
    if s.slots[slot, Scol.GUIDED] == 0:
        station = s.slot_station[slot]
        set_lane(s, station, FED, s.tile_lane[s.slots[slot, Scol.TILE]])
        activate(s, station, t)
        s.fifos[slot, Fcol.PUSHED] += 1
    else:
        control = 0
        if q[queue, Qcol.STATE] != 0:
            column = Hcol.THEN if q[queue, Qcol.STATE] == 1 else Hcol.FINAL
            control = s.shapes[s.records[q[queue, Qcol.RECORD], Rcol.SHAPE], column]
            s.fifos[slot, Fcol.OPEN] = NEVER
        extra = delay(s.now[0].seed, slot * 8 + 6, s.fifos[slot, Fcol.PUSHED])
        push(s, slot, control, t + 1 + extra)
        list_slot(s, slot)
    s.port_turn[port] = q[queue, Qcol.BIT]
    advance(s, queue)


@kernel
def share_bandwidth(s: Machine, inward: int, outward: int, t: int) -> None:
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
                    station, lane = s.slot_station[slot], s.tile_lane[s.slots[slot, Scol.TILE]]
                    if s.slots[slot, Scol.GUIDED] == 0:
                        take_out(s, slot, queue, t)
                        leave_fabric(s, station, side, lane, t)
                    else:
                        drain(s, slot, side, queue, t)
                        used_edge(s, station, side, lane)
    moved(s, t)
