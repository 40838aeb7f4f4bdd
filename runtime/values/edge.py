"""The edge: feeds are made when they are asked for, drains are written, lookups are served.

An *edge queue* is a port and a color, with the records of the schedule that it plays one after the
other, and a cursor: the record, the repetition, the row of a lookup, and an index for each
dimension. ``state`` says what comes next: an element, the control wavelet after a repetition, or
the one after the whole transfer.
"""

from __future__ import annotations

from wsc.runtime.schedule import DRAIN, FEED
from wsc.runtime.values.compiled import Machine, entry, halves_at, integers_at, kernel
from wsc.runtime.values.produce import MADE, PLAIN_WORDS, produce
from wsc.runtime.values.records import Fault
from wsc.runtime.values.streams import reserve, wake_producer, wake_readers

ELEMENT, AFTER_EACH, AFTER_ALL = 0, 1, 2  # states of an edge queue
EDGE_QUEUES = -2  # beyond a side of a router: -2 - number of the edge queue there
CHUNK = 1 << 16  # wavelets that a port feeds at most before others have their turn


# --- the cursor of an edge queue ----------------------------------------------------------


@kernel
def shape_of(m: Machine, queue: int) -> int:
    """Shape of the record that a queue is at, or -1 at its end."""
    cursor = m.queues[queue]
    if cursor.record == cursor.end:
        return -1
    return m.records[cursor.record].shape


@kernel
def end_repetition(m: Machine, queue: int, shape: int) -> None:
    """All elements of a repetition are done."""
    if m.shapes[shape].then != 0:
        m.queues[queue].state = AFTER_EACH
    else:
        m.queues[queue].repeat += 1


@kernel
def is_empty(m: Machine, number: int) -> bool:
    """Whether the repetitions of a shape have no elements."""
    shape = m.shapes[number]
    for d in range(shape.rank):
        if shape.extent[d] <= 0:
            return True
    return shape.direction == FEED and shape.lookup >= 0 and shape.rows == 0


@entry
def settle(m: Machine, queue: int) -> None:
    """Move the cursor over whatever has no elements, to what is to be done next."""
    cursor = m.queues[queue]
    while cursor.record < cursor.end and cursor.state == ELEMENT:
        record = m.records[cursor.record]
        shape = record.shape
        if cursor.repeat >= record.repeat:
            # The record is played: a control wavelet may end its transfer, or the next one begins.
            cursor.repeat = 0
            if record.last != 0 and m.shapes[shape].final != 0:
                cursor.state = AFTER_ALL
                return
            cursor.record += 1
            continue
        if not is_empty(m, shape):
            return
        if m.shapes[shape].then == 0:  # nor does any other repetition of the record move
            cursor.repeat = record.repeat
            continue
        end_repetition(m, queue, shape)


@kernel
def pass_control(m: Machine, queue: int) -> None:
    """Move the cursor behind a control wavelet."""
    cursor = m.queues[queue]
    if cursor.state == AFTER_EACH:
        cursor.repeat += 1
    else:
        cursor.record += 1
    cursor.state = ELEMENT
    settle(m, queue)


@kernel
def go_on(m: Machine, queue: int, count: int) -> None:
    """Move the cursor behind ``count`` elements of the innermost dimension."""
    cursor = m.queues[queue]
    number = m.records[cursor.record].shape
    shape = m.shapes[number]
    d = shape.rank - 1
    if d >= 0:
        cursor.index[d] += count
    # An index that has come to its end carries into the next outer one.
    while d >= 0:
        if cursor.index[d] < shape.extent[d]:
            return
        cursor.index[d] = 0
        d -= 1
        if d >= 0:
            cursor.index[d] += 1
    # A feed of a lookup goes through its elements once for each row that was asked for.
    if shape.lookup >= 0 and shape.direction == FEED:
        cursor.row += 1
        if cursor.row < shape.rows:
            return
        cursor.row = 0
    end_repetition(m, queue, number)
    settle(m, queue)


@kernel
def element(m: Machine, queue: int) -> int:
    """The element that a cursor is at; -1 while it may not be fed.

    That is so while its row of a lookup is not known, or not all of what is kept has been drained.
    """
    cursor = m.queues[queue]
    record = m.records[cursor.record]
    shape = m.shapes[record.shape]
    if shape.direction == FEED and m.awaited[shape.tensor] > 0:
        return -1
    at = record.base + cursor.repeat * record.step
    for d in range(shape.rank):
        at += cursor.index[d] * shape.step[d]
    if shape.lookup >= 0 and shape.direction == FEED:
        number = (record.before + cursor.repeat) * shape.rows + cursor.row
        if number >= m.lookup_count[shape.lookup]:
            return -1
        at += m.lookup_value[m.lookups[shape.lookup].first + number] * shape.stride
    return at


@kernel
def left_of(m: Machine, queue: int, number: int) -> int:
    """Elements that are left of the innermost dimension of a shape that a cursor is at."""
    last = m.shapes[number].rank - 1
    if last < 0:
        return 1
    return m.shapes[number].extent[last] - m.queues[queue].index[last]


@kernel
def step_of(m: Machine, number: int) -> int:
    """From one element to the next of the innermost dimension of a shape."""
    last = m.shapes[number].rank - 1
    return m.shapes[number].step[last] if last >= 0 else 0


# --- tensors ------------------------------------------------------------------------------


@kernel
def bytes_each(m: Machine, tensor: int) -> int:
    """Bytes of an element of a tensor outside the fabric."""
    held = m.tensors[tensor].held
    if held >= MADE:
        return 2 if held & 1 else 4
    return 4 if held == PLAIN_WORDS else 2


@kernel
def read_elements(m: Machine, queue: int, at: int, count: int, place: int) -> None:
    """Put the next elements of a feed, the first of them at ``at``, into storage."""
    number, words = shape_of(m, queue), m.words
    tensor, step = m.shapes[number].tensor, step_of(m, number)
    held, address = m.tensors[tensor].held, m.tensors[tensor].address
    if held >= MADE:
        produce(m, tensor, at, step, count, place)
    elif held == PLAIN_WORDS:
        data = integers_at(address)
        for i in range(count):
            words[place + i] = data[at + i * step]
    else:
        short = halves_at(address)
        for i in range(count):
            words[place + i] = short[at + i * step]
    m.now[0].bytes_in += bytes_each(m, tensor) * count


@kernel
def write_elements(m: Machine, queue: int, place: int, spread: int, count: int) -> None:
    """Write the next elements of a drain: words of storage, ``spread`` apart."""
    number, at, words = shape_of(m, queue), element(m, queue), m.words
    tensor, step = m.shapes[number].tensor, step_of(m, number)
    address = m.tensors[tensor].address
    if m.tensors[tensor].held == PLAIN_WORDS:
        data = integers_at(address)
        for i in range(count):
            data[at + i * step] = words[place + i * spread]
    else:
        short = halves_at(address)
        for i in range(count):
            short[at + i * step] = words[place + i * spread]
    m.now[0].bytes_out += bytes_each(m, tensor) * count


# --- feeds --------------------------------------------------------------------------------


@kernel
def feed(m: Machine, queue: int, most: int) -> int:
    """Feed up to ``most`` elements into a queue's stream, to the next control; how many."""
    now, stream = m.now[0], m.feeding[queue]
    lane, total = m.streams[stream].first, 0
    while total < most and m.queues[queue].state == ELEMENT:
        number = shape_of(m, queue)
        if number < 0 or m.shapes[number].direction != FEED:
            break
        at = element(m, queue)
        if at < 0:
            break
        count = min(left_of(m, queue, number), most - total)
        if not reserve(m, stream, m.written[lane] + count):
            break
        place = m.streams[stream].address + m.written[lane] - m.streams[stream].base
        read_elements(m, queue, at, count, place)
        m.written[lane] += count
        total += count
        go_on(m, queue, count)
    now.moved += total
    now.left -= total
    return total


@kernel
def supply(m: Machine, stream: int, end: int) -> bool:
    """Have the edge feed a stream up to a position; whether the stream goes so far."""
    s = m.streams[stream]
    lane = s.first
    if m.written[lane] < end and s.queue >= 0 and s.guided == 0:
        feed(m, s.queue, end - m.written[lane])
    return m.written[lane] >= end


# --- lookups and drains -------------------------------------------------------------------


@kernel
def take_index(m: Machine, number: int, value: int, tile: int) -> bool:
    """A lookup has one more value; False after a fault."""
    now, shape = m.now[0], m.shapes[number]
    lookup = m.lookups[shape.lookup]
    if value < 0 or value >= lookup.rows:
        now.fault, now.fault_tile, now.fault_unit = Fault.LOOKUP, tile, -1
        now.fault_row, now.fault_value = shape.transfer, value
        return False
    m.lookup_value[lookup.first + m.lookup_count[shape.lookup]] = value
    m.lookup_count[shape.lookup] += 1
    return True


@kernel
def wake_lookups(m: Machine, lookup: int) -> None:
    """Whoever waits for rows of a lookup may go on."""
    for queue in range(m.now[0].edge_queues):
        if m.feeding[queue] >= 0:
            shape = shape_of(m, queue)
            if shape >= 0 and m.shapes[shape].lookup == lookup:
                wake_readers(m, m.feeding[queue])


@kernel
def take_indices(m: Machine, queue: int, place: int, spread: int, count: int) -> bool:
    """Values of a lookup leave the fabric: words of storage, spread apart; False after a fault."""
    now, number = m.now[0], shape_of(m, queue)
    # Tiles are numbered by columns here.
    tile = m.slots[m.queues[queue].slot].tile
    tile = tile % now.width * now.height + tile // now.width
    for i in range(count):
        if not take_index(m, number, m.words[place + i * spread], tile):
            return False
    wake_lookups(m, m.shapes[number].lookup)
    now.bytes_out += 4 * count
    return True


@kernel
def elements_drained(m: Machine, tensor: int, count: int) -> None:
    """So many less are missing; with the last of what is kept its feeds may go on."""
    if m.awaited[tensor] == 0:
        return
    m.awaited[tensor] -= min(count, m.awaited[tensor])
    if m.awaited[tensor] > 0:
        return
    for queue in range(m.now[0].edge_queues):
        if m.feeding[queue] >= 0:
            shape = shape_of(m, queue)
            if shape >= 0 and m.shapes[shape].tensor == tensor:
                wake_readers(m, m.feeding[queue])


@kernel
def drain(m: Machine, queue: int) -> bool:
    """Write what has arrived for a queue; whether that was anything."""
    now = m.now[0]
    reader = now.width * now.colors * now.height + queue
    stream = m.source[reader]
    if stream < 0:
        return False
    lane, some = m.streams[stream].first + m.lane[reader], False
    while now.fault == 0 and now.left > 0:
        number = shape_of(m, queue)
        if number < 0 or m.shapes[number].direction == FEED or m.queues[queue].state != ELEMENT:
            break
        cursor = m.cursor[reader]
        left = left_of(m, queue, number)
        # An edge that feeds what it drains is asked for more.
        if m.written[lane] <= cursor:
            supply(m, stream, cursor + min(left, CHUNK))
        if m.written[lane] <= cursor:
            break
        count = min(left, m.written[lane] - cursor)
        s, direction = m.streams[stream], m.shapes[number].direction
        place = s.address + (cursor - s.base) * s.lanes + m.lane[reader]
        if direction == DRAIN:
            write_elements(m, queue, place, s.lanes, count)
            elements_drained(m, m.shapes[number].tensor, count)
            now.moved += count
        elif not take_indices(m, queue, place, s.lanes, count):
            return True
        m.cursor[reader] += count
        wake_producer(m, stream)
        now.left -= count
        some = True
        go_on(m, queue, count)
    return some
