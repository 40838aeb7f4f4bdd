"""Streams: where wavelets lie between their producer and their readers.

A stream is a block of words ``[position, lane]``. Positions count from the beginning of the
run; those that every reader has taken are given back. Blocks come in sizes of powers of two.
"""

from __future__ import annotations

from wsc.runtime.values.compiled import Machine, entry, kernel
from wsc.runtime.values.records import Fault

SMALLEST = 64  # words of a block


@kernel
def copy(m: Machine, target: int, source: int, count: int) -> None:
    """Copy words that lie together; to lower addresses they may overlap."""
    words = m.words
    into, given = words[target : target + count], words[source : source + count]
    for i in range(count):
        into[i] = given[i]


@kernel
def fill(m: Machine, target: int, value: int, count: int) -> None:
    """Write a word over and over."""
    into = m.words[target : target + count]
    for i in range(count):
        into[i] = value


@kernel
def size_class(words: int) -> tuple[int, int]:
    """Number of the smallest class with so many words, and the words of it."""
    number, size = 0, SMALLEST
    while size < words:
        size *= 2
        number += 1
    return number, size


@kernel
def allocate(m: Machine, words: int) -> int:
    """Address of a block of at least so many words; -1 after a fault: there is no more."""
    now = m.now[0]
    number, size = size_class(words)
    at = m.free_storage[number]
    if at != 0:
        # The first word pair of a free block holds the address of the next one.
        m.free_storage[number] = (m.words[at] & 0xFFFFFFFF) | (m.words[at + 1] << 32)
        return at
    at = now.free
    if at + size > now.end_of_storage:
        now.fault, now.fault_value = Fault.MEMORY, -1
        return -1
    now.free = at + size
    return at


@kernel
def release(m: Machine, at: int, words: int) -> None:
    """Give a block back."""
    number, _ = size_class(words)
    following = m.free_storage[number]
    m.words[at] = following & 0xFFFFFFFF
    m.words[at + 1] = following >> 32
    m.free_storage[number] = at


@kernel
def first_needed(m: Machine, stream: int) -> tuple[int, int]:
    """The first position that some reader has still to take, and the last one behind all."""
    s = m.streams[stream]
    top = m.written[s.first]
    for lane in range(1, s.lanes):
        top = max(top, m.written[s.first + lane])
    if s.guided != 0:
        # Runs in routers point into the stream; without any, all has been handed on.
        return (s.base if s.held > 0 else top), top
    now, low = m.now[0], top
    queues = now.width * now.colors * now.height  # of cores
    for number in range(s.readers, s.readers + s.reader_count):
        column = m.readers[number]
        if column >= now.width:  # the edge, or a mirror in another band
            low = min(low, m.cursor[queues + column - now.width])
            continue
        start = (column * now.colors + s.color) * now.height
        for reader in range(start, start + now.height):
            if m.source[reader] == stream:
                low = min(low, m.cursor[reader])
    return low, top


@kernel
def catch_up(m: Machine, stream: int) -> None:
    """Go on from one position in all lanes, when routers have handed on all that there was.

    A lane that sent less than the others would else write in front of what is kept.
    """
    s = m.streams[stream]
    top = m.written[s.first]
    for lane in range(1, s.lanes):
        top = max(top, m.written[s.first + lane])
    for lane in range(s.lanes):
        m.written[s.first + lane] = top
    s.base = top


@kernel
def reclaim(m: Machine, stream: int) -> None:
    """Give up what every reader has taken; positions that are kept move to the front."""
    s = m.streams[stream]
    low, top = first_needed(m, stream)
    if low > s.base:
        shift, kept = (low - s.base) * s.lanes, (top - low) * s.lanes
        copy(m, s.address, s.address + shift, kept)
        s.base = low


@kernel
def reserve(m: Machine, stream: int, end: int) -> bool:
    """Make room for positions up to ``end``; False after a fault."""
    s = m.streams[stream]
    if end - s.base <= s.capacity:
        return True
    if s.capacity > 0:
        reclaim(m, stream)
    wanted = end - s.base
    if wanted <= s.capacity:
        return True
    # A stream that gave its block back will want as much as before.
    words = max(wanted * s.lanes, s.usual)
    at = allocate(m, words)
    if at < 0:
        m.now[0].fault_value = stream
        return False
    _, size = size_class(words)
    if s.capacity > 0:
        copy(m, at, s.address, s.capacity * s.lanes)
        release(m, s.address, s.capacity * s.lanes)
    s.address = at
    s.capacity = size // s.lanes
    return True


@kernel
def too_far_ahead(m: Machine, stream: int, first_row: int, count: int) -> bool:
    """Whether a producer should let its readers catch up before it sends so much more."""
    now, s = m.now[0], m.streams[stream]
    top = m.written[s.first + first_row]
    if (top + count - s.base) * s.lanes <= now.ahead:
        return False
    reclaim(m, stream)
    kept = top - s.base
    if kept > 0 and (kept + count) * s.lanes > now.ahead:
        now.limited = s.awaited = 1
        return True
    return False


@kernel
def wake_producer(m: Machine, stream: int) -> None:
    """The column that makes a stream may go on if it has waited for its readers."""
    s = m.streams[stream]
    if s.awaited != 0:
        s.awaited = 0
        m.dirty[s.column] = 1


@kernel
def used_up(m: Machine, stream: int) -> bool:
    """Whether all lanes have had as many wavelets, and every one of them was taken."""
    s = m.streams[stream]
    written = m.written[s.first : s.first + s.lanes]
    differing = 0
    for lane in range(1, s.lanes):
        differing |= written[lane] ^ written[0]
    if differing != 0:
        return False
    low, top = first_needed(m, stream)
    return low == top


@kernel
def taken(m: Machine, reader: int) -> None:
    """Wavelets were taken, at a core's queue among others: who waits for that may go on.

    A block that is used up is given back. The next column that sends gets it while it is still in
    the caches of the host, so a chain along a row goes through the same few blocks.
    """
    stream = m.source[reader]
    wake_producer(m, stream)
    s = m.streams[stream]
    # Where there are more readers than one column, the producer looks, and seldom. Runs of guided
    # streams are with routers; a mirror is filled by another band, which has blocks of its own.
    if s.reader_count != 1 or s.guided != 0 or s.mirror != 0 or s.capacity == 0:
        return
    if m.cursor[reader] == m.written[s.first + m.lane[reader]] and used_up(m, stream):
        s.usual = s.capacity * s.lanes
        release(m, s.address, s.usual)
        s.base = m.written[s.first]
        s.capacity = 0


@kernel
def wake_readers(m: Machine, stream: int) -> None:
    """Columns that read a stream may have something to do."""
    s = m.streams[stream]
    for number in range(s.readers, s.readers + s.reader_count):
        if m.readers[number] < m.now[0].width:
            m.dirty[m.readers[number]] = 1


@entry
def next_unread(m: Machine, reader: int) -> int:
    """The first queue of a core, from a reader on, in which wavelets wait; -1 if there is none."""
    now = m.now[0]
    for other in range(reader, now.width * now.colors * now.height):
        stream = m.source[other]
        if stream >= 0 and m.written[m.streams[stream].first + m.lane[other]] > m.cursor[other]:
            return other
    return -1
