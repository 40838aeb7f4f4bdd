"""The edge: feeds are made when they are asked for, drains are written, lookups are served."""

from __future__ import annotations

from wsc.runtime.routes import Scol
from wsc.runtime.schedule import DRAIN, FEED, INDEX, Hcol, Qcol, Rcol
from wsc.runtime.values.compiled import Machine, entry, halves_at, integers_at, kernel
from wsc.runtime.values.produce import MADE, produce
from wsc.runtime.values.records import Fault
from wsc.runtime.values.streams import reserve, wake_producer, wake_readers

BASE, REPEAT, STEP, SHAPE = int(Rcol.BASE), int(Rcol.REPEAT), int(Rcol.STEP), int(Rcol.SHAPE)
LAST, BEFORE = int(Rcol.LAST), int(Rcol.BEFORE)
RANK, TENSOR, DIRECTION = int(Hcol.RANK), int(Hcol.TENSOR), int(Hcol.DIRECTION)
THEN, FINAL, TRANSFER = int(Hcol.THEN), int(Hcol.FINAL), int(Hcol.TRANSFER)
LOOKUP, ROWS, ROW_STRIDE = int(Hcol.LOOKUP), int(Hcol.ROWS), int(Hcol.STRIDE)
EXTENT, DIM_STEP = int(Hcol.EXTENT), int(Hcol.STEP)
SLOT, TILE = int(Qcol.SLOT), int(Scol.TILE)
RECORD, END, TURN = int(Qcol.RECORD), int(Qcol.END), int(Qcol.REPEAT)
ROW, STATE, INDICES = int(Qcol.ROW), int(Qcol.STATE), int(Qcol.INDEX)
BAD_LOOKUP = int(Fault.LOOKUP)
CHUNK = 1 << 16  # wavelets that a port feeds at most before others have their turn


@kernel
def shape_of(m: Machine, queue: int) -> int:
    """Shape of the record that a queue is at, or -1 at its end."""
    if m.queues[queue, RECORD] == m.queues[queue, END]:
        return -1
    return m.records[m.queues[queue, RECORD], SHAPE]


@kernel
def end_repetition(m: Machine, queue: int, shape: int) -> None:
    """All elements of a repetition are done."""
    if m.shapes[shape, THEN] != 0:
        m.queues[queue, STATE] = 1
    else:
        m.queues[queue, TURN] += 1


@entry
def settle(m: Machine, queue: int) -> None:
    """Move the cursor over whatever has no elements, to what is to be done next."""
    q = m.queues
    while q[queue, RECORD] < q[queue, END] and q[queue, STATE] == 0:
        record = q[queue, RECORD]
        shape = m.records[record, SHAPE]
        if q[queue, TURN] >= m.records[record, REPEAT]:
            q[queue, TURN] = 0
            if m.records[record, LAST] != 0 and m.shapes[shape, FINAL] != 0:
                q[queue, STATE] = 2
                return
            q[queue, RECORD] += 1
            continue
        feeds = m.shapes[shape, DIRECTION] == FEED
        empty = m.shapes[shape, LOOKUP] >= 0 and m.shapes[shape, ROWS] == 0 and feeds
        for d in range(m.shapes[shape, RANK]):
            empty = empty or m.shapes[shape, EXTENT + d] <= 0
        if not empty:
            return
        if m.shapes[shape, THEN] == 0:  # nor does any other repetition of the record move
            q[queue, TURN] = m.records[record, REPEAT]
            continue
        end_repetition(m, queue, shape)


@kernel
def pass_control(m: Machine, queue: int) -> None:
    """Move the cursor behind a control wavelet."""
    q = m.queues
    q[queue, TURN if q[queue, STATE] == 1 else RECORD] += 1
    q[queue, STATE] = 0
    settle(m, queue)


@kernel
def go_on(m: Machine, queue: int, count: int) -> None:
    """Move the cursor behind ``count`` elements of the innermost dimension."""
    q = m.queues
    shape = m.records[q[queue, RECORD], SHAPE]
    d = m.shapes[shape, RANK] - 1
    if d >= 0:
        q[queue, INDICES + d] += count
    while d >= 0:
        if q[queue, INDICES + d] < m.shapes[shape, EXTENT + d]:
            return
        q[queue, INDICES + d] = 0
        d -= 1
        if d >= 0:
            q[queue, INDICES + d] += 1
    if m.shapes[shape, LOOKUP] >= 0 and m.shapes[shape, DIRECTION] == FEED:
        q[queue, ROW] += 1
        if q[queue, ROW] < m.shapes[shape, ROWS]:
            return
        q[queue, ROW] = 0
    end_repetition(m, queue, shape)
    settle(m, queue)


@kernel
def element(m: Machine, queue: int) -> int:
    """The element that a cursor is at; -1 while its row of a lookup is not known."""
    q = m.queues
    record = q[queue, RECORD]
    shape = m.records[record, SHAPE]
    at = m.records[record, BASE] + q[queue, TURN] * m.records[record, STEP]
    for d in range(m.shapes[shape, RANK]):
        at += q[queue, INDICES + d] * m.shapes[shape, DIM_STEP + d]
    lookup = m.shapes[shape, LOOKUP]
    if lookup >= 0 and m.shapes[shape, DIRECTION] == FEED:
        before = m.records[record, BEFORE] + q[queue, TURN]
        number = before * m.shapes[shape, ROWS] + q[queue, ROW]
        if number >= m.lookup_count[lookup]:
            return -1
        at += m.lookup_value[m.lookups[lookup, 0] + number] * m.shapes[shape, ROW_STRIDE]
    return at


@kernel
def innermost(m: Machine, queue: int, shape: int) -> tuple[int, int]:
    """(elements left, step from one to the next) of the cursor's innermost dimension."""
    last = m.shapes[shape, RANK] - 1
    if last < 0:
        return 1, 0
    left = m.shapes[shape, EXTENT + last] - m.queues[queue, INDICES + last]
    return left, m.shapes[shape, DIM_STEP + last]


@kernel
def feed(m: Machine, queue: int, most: int) -> int:
    """Feed up to ``most`` elements into a queue's stream, to the next control; how many."""
    stream = m.feeding[queue]
    lane, total = m.streams[stream].first, 0
    while total < most and m.queues[queue, STATE] == 0:
        shape = shape_of(m, queue)
        if shape < 0 or m.shapes[shape, DIRECTION] != FEED:
            break
        at = element(m, queue)
        if at < 0:
            break
        left, step = innermost(m, queue, shape)
        count = min(left, most - total)
        if not reserve(m, stream, m.written[lane] + count):
            break
        tensor = m.shapes[shape, TENSOR]
        place = m.streams[stream].address + m.written[lane] - m.streams[stream].base
        if m.tensors[tensor, 1] >= MADE:
            produce(m, tensor, at, step, count, place)
            m.now[0].bytes_in += 2 * count if m.tensors[tensor, 1] & 1 else 4 * count
        elif m.tensors[tensor, 1] != 0:
            short = halves_at(m.tensors[tensor, 0])
            for i in range(count):
                m.words[place + i] = short[at + i * step]
            m.now[0].bytes_in += 2 * count
        else:
            data = integers_at(m.tensors[tensor, 0])
            for i in range(count):
                m.words[place + i] = data[at + i * step]
            m.now[0].bytes_in += 4 * count
        m.written[lane] += count
        total += count
        go_on(m, queue, count)
    m.now[0].moved += total
    m.now[0].left -= total
    return total


@kernel
def supply(m: Machine, stream: int, end: int) -> bool:
    """Have the edge feed a stream up to a position; whether the stream goes so far."""
    lane, queue = m.streams[stream].first, m.streams[stream].queue
    if m.written[lane] < end and queue >= 0 and m.streams[stream].guided == 0:
        feed(m, queue, end - m.written[lane])
    return m.written[lane] >= end


@kernel
def take_index(m: Machine, shape: int, value: int, tile: int) -> bool:
    """A lookup has one more value; False after a fault."""
    lookup = m.shapes[shape, LOOKUP]
    if value < 0 or value >= m.lookups[lookup, 2]:
        now = m.now
        now[0].fault, now[0].fault_tile, now[0].fault_unit = BAD_LOOKUP, tile, -1
        now[0].fault_row, now[0].fault_value = m.shapes[shape, TRANSFER], value
        return False
    m.lookup_value[m.lookups[lookup, 0] + m.lookup_count[lookup]] = value
    m.lookup_count[lookup] += 1
    return True


@kernel
def wake_lookups(m: Machine, lookup: int) -> None:
    """Whoever waits for rows of a lookup may go on."""
    for queue in range(m.now[0].edge_queues):
        if m.feeding[queue] >= 0:
            shape = shape_of(m, queue)
            if shape >= 0 and m.shapes[shape, LOOKUP] == lookup:
                wake_readers(m, m.feeding[queue])


@kernel
def drain(m: Machine, queue: int) -> bool:
    """Write what has arrived for a queue; whether that was anything."""
    reader = m.now[0].width * m.now[0].colors * m.now[0].height + queue
    stream = m.source[reader]
    if stream < 0:
        return False
    lane, some = m.streams[stream].first + m.lane[reader], False
    while m.now[0].fault == 0 and m.now[0].left > 0:
        shape = shape_of(m, queue)
        if shape < 0 or m.shapes[shape, DIRECTION] == FEED or m.queues[queue, STATE] != 0:
            break
        cursor = m.cursor[reader]
        left, step = innermost(m, queue, shape)
        if m.written[lane] <= cursor:
            supply(m, stream, cursor + min(left, CHUNK))
        if m.written[lane] <= cursor:
            break
        count = min(left, m.written[lane] - cursor)
        s, at = m.streams[stream], element(m, queue)
        place = s.address + (cursor - s.base) * s.lanes + m.lane[reader]
        tensor = m.shapes[shape, TENSOR]
        if m.shapes[shape, DIRECTION] == INDEX:
            tile = m.slots[m.queues[queue, SLOT], TILE]
            tile = tile % m.now[0].width * m.now[0].height + tile // m.now[0].width
            for i in range(count):
                if not take_index(m, shape, m.words[place + i * s.lanes], tile):
                    return True
            wake_lookups(m, m.shapes[shape, LOOKUP])
            m.now[0].bytes_out += 4 * count
        elif m.tensors[tensor, 1] != 0:
            short = halves_at(m.tensors[tensor, 0])
            for i in range(count):
                short[at + i * step] = m.words[place + i * s.lanes]
            m.now[0].bytes_out += 2 * count
        else:
            data = integers_at(m.tensors[tensor, 0])
            for i in range(count):
                data[at + i * step] = m.words[place + i * s.lanes]
            m.now[0].bytes_out += 4 * count
        if m.shapes[shape, DIRECTION] == DRAIN:
            m.now[0].moved += count
        m.cursor[reader] += count
        wake_producer(m, stream)
        m.now[0].left -= count
        some = True
        go_on(m, queue, count)
    return some
