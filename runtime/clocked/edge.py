"""The edge: its ports, the bandwidth that they share, and where each transfer has got to.

An *edge queue* is a port and a color, with the records of the schedule that it plays one after the
other, and a cursor: the record, the repetition, the row of a lookup, and an index for each
dimension. ``state`` says what comes next: an element, the control wavelet after a repetition, or
the one after the whole transfer.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import delay_on_link, moved
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.own import (
    enter_fabric,
    keep_element,
    keep_index,
    left_fabric,
    ready,
    wake_drain,
    wake_feed,
)
from wsc.runtime.clocked.records import NEVER
from wsc.runtime.clocked.routers import EDGE_QUEUES, FROM_EDGE, NEXT, NO, NOW
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.schedule import FEED, INDEX

ELEMENT, AFTER_EACH, AFTER_ALL = 0, 1, 2  # states of an edge queue
WORD = 4  # bytes of the bandwidth that a wavelet takes; an f16 element takes half of that


# --- the cursor of an edge queue ----------------------------------------------------------


@kernel
def value_wanted(s: Machine, queue: int) -> int:
    """Number of the lookup value that the cursor of a feeding queue needs."""
    cursor = s.queues[queue]
    record = s.records[cursor.record]
    shape = s.shapes[record.shape]
    number = (record.before + cursor.repeat) * shape.rows + cursor.row
    return s.lookups[shape.lookup].first + number


@kernel
def end_repetition(s: Machine, queue: int, shape: int) -> None:
    """All elements of a repetition are done."""
    if s.shapes[shape].then != 0:
        s.queues[queue].state = AFTER_EACH
    else:
        s.queues[queue].repeat += 1


@kernel
def is_empty(s: Machine, shape: int) -> bool:
    """Whether the repetitions of a shape have no elements."""
    of = s.shapes[shape]
    for d in range(of.rank):
        if of.extent[d] <= 0:
            return True
    return of.direction == FEED and of.lookup >= 0 and of.rows == 0


@kernel
def settle(s: Machine, queue: int) -> None:
    """Move the cursor over whatever has no elements, to what is to be done next."""
    cursor = s.queues[queue]
    while cursor.record < cursor.end and cursor.state == ELEMENT:
        record = s.records[cursor.record]
        shape = record.shape
        if cursor.repeat >= record.repeat:
            # The record is played: a control wavelet may end its transfer, or the next one begins.
            cursor.repeat = 0
            if record.last != 0 and s.shapes[shape].final != 0:
                cursor.state = AFTER_ALL
                break
            cursor.record += 1
            continue
        if not is_empty(s, shape):
            break
        if s.shapes[shape].then == 0:  # nor does any other repetition of the record move
            cursor.repeat = record.repeat
            continue
        end_repetition(s, queue, shape)
    if cursor.record == cursor.end:
        s.now[0].queues_left -= 1
        return
    # What is next may be possible at once: to feed, or to drain what already waits in the router.
    if s.shapes[s.records[cursor.record].shape].direction == FEED:
        wake_feed(s, queue)
    else:
        wake_drain(s, queue)


@kernel
def advance(s: Machine, queue: int) -> None:
    """Move the cursor behind an element or control wavelet."""
    cursor = s.queues[queue]
    state = cursor.state
    cursor.state = ELEMENT
    if state != ELEMENT:
        if state == AFTER_EACH:
            cursor.repeat += 1
        else:
            cursor.record += 1
        settle(s, queue)
        return
    # The innermost index goes on; one that has come to its end carries into the next outer one.
    number = s.records[cursor.record].shape
    shape = s.shapes[number]
    d = shape.rank - 1
    while d >= 0:
        cursor.index[d] += 1
        if cursor.index[d] < shape.extent[d]:
            return
        cursor.index[d] = 0
        d -= 1
    # A feed of a lookup goes through its elements once for each row that was asked for.
    if shape.lookup >= 0 and shape.direction == FEED:
        cursor.row += 1
        if cursor.row < shape.rows:
            return
        cursor.row = 0
    end_repetition(s, queue, number)
    settle(s, queue)


# --- wavelets over the edge ---------------------------------------------------------------


@kernel
def size_of(s: Machine, queue: int) -> int:
    """Bytes that the next wavelet of a queue takes of the bandwidth."""
    cursor = s.queues[queue]
    if cursor.state != ELEMENT:
        return WORD
    shape = s.shapes[s.records[cursor.record].shape]
    if shape.direction == INDEX:
        return WORD
    return WORD // 2 if s.short[shape.tensor] != 0 else WORD


@kernel
def feed(s: Machine, port: int, queue: int, t: int) -> None:
    """One wavelet enters the fabric: its cell in the router's buffer is seen in the next cycle."""
    cursor = s.queues[queue]
    slot, control = cursor.slot, 0
    if cursor.state == ELEMENT:
        s.now[0].moved += 1
    else:
        shape = s.shapes[s.records[cursor.record].shape]
        control = shape.then if cursor.state == AFTER_EACH else shape.final
        s.fifos[slot].open = NEVER  # until it has been acted on
    extra = delay_on_link(s, slot, FROM_EDGE, s.fifos[slot].pushed)
    enter_fabric(s, queue, control, t + 1 + extra, t)
    ready(s, slot)
    s.port_turn[port] = cursor.bit
    advance(s, queue)


@kernel
def index_arrived(s: Machine, slot: int, queue: int, t: int) -> None:
    """A lookup has one more value; the queues that serve it may go on."""
    lookup = s.shapes[s.records[s.queues[queue].record].shape].lookup
    place = s.lookups[lookup].first + s.lookup_count[lookup]
    if not keep_index(s, slot, queue, place, t):
        return
    s.lookup_time[place] = t
    s.lookup_count[lookup] += 1
    for other in range(s.now[0].queues):
        if s.queues[other].record < s.queues[other].end:
            shape = s.shapes[s.records[s.queues[other].record].shape]
            if shape.lookup == lookup and shape.direction == FEED:
                wake_feed(s, other)


@kernel
def awaits(s: Machine, queue: int) -> bool:
    """Whether the next element of a feed is of a tensor of which not all has been drained."""
    cursor = s.queues[queue]
    shape = s.shapes[s.records[cursor.record].shape]
    return cursor.state == ELEMENT and s.awaited[shape.tensor] > 0


@kernel
def has_next(s: Machine, queue: int, t: int) -> int:
    """Whether an edge queue has a wavelet to feed in cycle t: NO, NOW or NEXT.

    Whether the router beside its port would take it, each engine asks of its own buffers.
    """
    cursor = s.queues[queue]
    if cursor.record == cursor.end:
        return NO
    shape = s.shapes[s.records[cursor.record].shape]
    if shape.direction != FEED:
        return NO
    # What is kept is fed when all of it has been drained.
    if awaits(s, queue):
        return NO
    # A row of a lookup waits for its index; one that came in this cycle is known from the next on.
    if cursor.state == ELEMENT and shape.lookup >= 0:
        wanted = value_wanted(s, queue)
        if wanted >= s.lookups[shape.lookup].first + s.lookup_count[shape.lookup]:
            return NO
        if s.lookup_time[wanted] >= t:
            return NEXT
    return NOW


@kernel
def element_drained(s: Machine, tensor: int) -> None:
    """One element less is missing; with the last one of what is kept its feeds may go on.

    The ports have asked to feed before anything is drained: they go on in the next cycle.
    """
    if s.awaited[tensor] == 0:
        return
    s.awaited[tensor] -= 1
    if s.awaited[tensor] > 0:
        return
    for queue in range(s.now[0].queues):
        if s.queues[queue].record < s.queues[queue].end:
            shape = s.shapes[s.records[s.queues[queue].record].shape]
            if shape.tensor == tensor and shape.direction == FEED:
                wake_feed(s, queue)


@kernel
def take_out(s: Machine, slot: int, queue: int, t: int) -> None:
    """The head of an input buffer leaves, as an element or an index; the schedule goes on."""
    shape = s.records[s.queues[queue].record].shape
    if s.shapes[shape].direction == INDEX:
        index_arrived(s, slot, queue, t)
    else:
        keep_element(s, slot, queue, t)
        element_drained(s, s.shapes[shape].tensor)
        s.now[0].moved += 1
    advance(s, queue)


@kernel
def drain(s: Machine, slot: int, side: int, queue: int, t: int) -> None:
    """One wavelet leaves the fabric in its port's turn."""
    take_out(s, slot, queue, t)
    left_fabric(s, slot, side, t)


# --- the bandwidth of the edge ------------------------------------------------------------


@kernel
def edge_phase(s: Machine, inward: int, outward: int, t: int) -> None:
    """Share the bandwidth of this cycle among the ports that asked for it.

    inward, outward: ports that ask to feed a wavelet, and to drain one.
    """
    now = s.now[0]
    # The credit of a direction grows by one cycle's bytes in each cycle. It is kept for as much as
    # one cycle gives, and for one word at least, or a slow edge could never move any.
    rate = now.io
    most = max(rate, WORD)
    waited = t - now.credit_time
    now.credit_time = t
    now.credit_in = min(now.credit_in + (waited - 1) * rate, most) + rate
    now.credit_out = min(now.credit_out + (waited - 1) * rate, most) + rate
    ports = now.port_count
    # The ports that feed, round robin: each whose wavelet fits into what is left is served.
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
    # The ports that drain, in the same way.
    if outward > 0:
        start = now.turn_out
        for step in range(1, ports + 1):
            port = start + step if start + step < ports else start + step - ports
            slot = s.request_out[port]
            if slot >= 0:
                s.request_out[port] = -1
                side = side_of(port, now.width, now.height)
                queue = EDGE_QUEUES - s.slots[slot].next[side]
                size = size_of(s, queue)
                if now.credit_out >= size:
                    now.credit_out -= size
                    now.bytes_out += size
                    now.turn_out = port
                    drain(s, slot, side, queue, t)
    moved(s, t)
