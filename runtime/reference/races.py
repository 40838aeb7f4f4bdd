"""Races: vector clocks of all units, and a shadow of every tile's SRAM.

A *thread* is the main thread or a stream unit of one tile, numbered ``tile * units + unit``.
Its clock holds, for each thread of the fabric, up to which of that thread's epochs it knows
that all is done; a thread begins a new epoch whenever it hands its clock on. A clock is
handed on by an issue (and back when the unit is issued again), by a wavelet, and by a count
that a wait must have consumed: docs/machine.md, "Races", has the rules. The scheme is that of
FastTrack (Flanagan and Freund, PLDI 2009): for each word the last write, and for each
thread its last read since; a remote store is a write that nobody knows until a wait on its
semaphore has.

Every function expects that the check is on (``now.races``).
"""

from __future__ import annotations

from wsc.runtime.reference.compiled import Machine, integers_at, kernel
from wsc.runtime.reference.records import OPERANDS, Does
from wsc.runtime.tables import ELEMENT_BYTES, MEMORY

ROW_BITS = 24  # a tag is an epoch (or the number of an arrival) above a row of the program
ROW_MASK = (1 << ROW_BITS) - 1
STORED = 1 << 41  # writer of a word: a remote store; semaphore and sender are below
KNOWN = 1 << 40  # the same after a wait on the semaphore, with main as the writer
PLACE = 32  # bits below the semaphore of these
WRITER, WRITTEN, READS = 0, 1, 2  # columns of the shadow: writer, its tag, tags of the readers
EPOCH = 4  # bytes of an entry of a clock


@kernel
def report(
    s: Machine, did: int, who: int, before: int, does: int, unit: int, row: int, tile: int, at: int
) -> None:
    """Note a race, once for each pair of rows.

    did, who, before: what was done before, by which unit (or sending tile), at which row. does,
    unit, row: the same of now. at: byte address, color slot, or semaphore of the tile.
    """
    count = s.now[0].race_count
    for number in range(count):
        found = s.race_found[number]
        same = found.row == before and found.now_row == row
        if same or (found.row == row and found.now_row == before):
            return
    if count == s.now[0].races:  # the room for findings
        return
    found = s.race_found[count]
    found.did, found.who, found.row = did, who, before
    found.does, found.now_who, found.now_row = does, unit, row
    found.tile, found.at, found.cycle = tile, at, s.now[0].now
    s.now[0].race_count += 1


# --- clocks -----------------------------------------------------------------------------


@kernel
def threads(s: Machine) -> int:
    """Length of a clock."""
    return s.now[0].tiles * s.now[0].units


@kernel
def thread_clock(s: Machine, thread: int) -> int:
    """Address of the clock of a thread."""
    return s.race_clock.ctypes.data + EPOCH * threads(s) * thread


@kernel
def wavelet_clock(s: Machine, cell: int) -> int:
    """Address of the clock that the wavelet of a cell carries."""
    return s.race_cell.ctypes.data + EPOCH * threads(s) * cell


@kernel
def message_clock(s: Machine, number: int) -> int:
    """Address of the clock that a message carries."""
    return s.race_message.ctypes.data + EPOCH * threads(s) * number


@kernel
def counted_clock(s: Machine, place: int) -> int:
    """Address of the clock of what a semaphore's remote stores knew."""
    return s.race_counted.ctypes.data + EPOCH * threads(s) * place


@kernel
def knows(s: Machine, thread: int, other: int) -> int:
    """The epoch of another thread up to which a thread knows that all is done."""
    return s.race_clock[thread * threads(s) + other]


@kernel
def sender_knows(s: Machine, number: int, other: int) -> int:
    """The same of the sender of a message, when it sent that."""
    return s.race_message[number * threads(s) + other]


@kernel
def join(s: Machine, into: int, other: int) -> None:
    """Learn all that another clock knows. into, other: addresses of clocks."""
    mine, theirs = integers_at(into), integers_at(other)
    for thread in range(threads(s)):
        if theirs[thread] > mine[thread]:
            mine[thread] = theirs[thread]


@kernel
def copy(s: Machine, into: int, other: int) -> None:
    """Overwrite a clock. into, other: addresses of clocks."""
    mine, theirs = integers_at(into), integers_at(other)
    for thread in range(threads(s)):
        mine[thread] = theirs[thread]


@kernel
def next_epoch(s: Machine, thread: int) -> None:
    """The clock was handed on: what the thread does from now on is not in it."""
    s.race_clock[thread * threads(s) + thread] += 1


# --- wavelets and queues ------------------------------------------------------------------


@kernel
def newest(s: Machine, fifo: int) -> int:
    """The cell of the wavelet that entered a FIFO last."""
    of = s.fifos[fifo]
    place = of.head + of.count - 1
    if place >= of.depth:
        place -= of.depth
    return of.offset + place


@kernel
def pass_on(s: Machine, head: int, fifo: int) -> None:
    """A wavelet went from a cell into a FIFO."""
    copy(s, wavelet_clock(s, newest(s, fifo)), wavelet_clock(s, head))


@kernel
def blank(s: Machine, fifo: int) -> None:
    """A wavelet came from the edge, which knows nothing of the tiles."""
    first = newest(s, fifo) * threads(s)
    for thread in range(threads(s)):
        s.race_cell[first + thread] = 0


@kernel
def use_queue(s: Machine, tile: int, thread: int, row: int, slot: int, puts: bool) -> None:
    """Two units that use one end of a queue must be in an order that never changes."""
    end = s.race_ends[2 * slot + (1 if puts else 0)]
    other = end.thread != 0 and end.thread != thread + 1
    if other and knows(s, thread, end.thread - 1) < end.tag >> ROW_BITS:
        does = Does.PUT if puts else Does.TAKE
        first = tile * s.now[0].units
        was = end.thread - 1 - first
        report(s, does, was, end.tag & ROW_MASK, does, thread - first, row, tile, slot)
    end.thread = thread + 1
    end.tag = knows(s, thread, thread) << ROW_BITS | row


@kernel
def took(s: Machine, tile: int, thread: int, row: int, slot: int, head: int) -> None:
    """A unit takes a wavelet: it learns what the sender knew."""
    use_queue(s, tile, thread, row, slot, False)
    join(s, thread_clock(s, thread), wavelet_clock(s, head))


@kernel
def put(s: Machine, tile: int, thread: int, row: int, slot: int) -> None:
    """A unit has put a wavelet into its output queue."""
    use_queue(s, tile, thread, row, slot, True)
    cell = newest(s, s.slots[slot].output)
    copy(s, wavelet_clock(s, cell), thread_clock(s, thread))
    next_epoch(s, thread)


@kernel
def issued(s: Machine, tile: int, main: int, thread: int, row: int) -> None:
    """Main issues on a unit: what the unit did before is done, what main did is known to it."""
    join(s, thread_clock(s, main), thread_clock(s, thread))
    join(s, thread_clock(s, thread), thread_clock(s, main))
    next_epoch(s, thread)
    next_epoch(s, main)
    done = s.rows[row].done
    s.race_pending[thread] = done + 1
    if done >= 0:
        s.race_counts[tile * s.now[0].semaphores + done].units += 1


# --- SRAM -------------------------------------------------------------------------------


@kernel
def shadow_cell(s: Machine, tile: int, granule: int) -> int:
    """Where the shadow of a granule of a tile's SRAM begins."""
    granules = s.now[0].bytes >> s.now[0].race_shift
    return (tile * granules + granule) * (READS + s.now[0].units)


@kernel
def used(s: Machine, tile: int, writer: int, tag: int) -> int:
    """A word that main knows of through a wait is used; the thread that counts as its writer.

    If a store that came too early could have let that wait through, this is a race.
    """
    semaphore = (writer >> PLACE) & 0xFF
    count = s.race_counts[tile * s.now[0].semaphores + semaphore]
    if tag >> ROW_BITS == count.wait_epoch:
        count.used = 1
        if count.early != 0:
            early, sender = count.early - 1, count.early_from
            report(s, Does.WAIT, 0, count.wait_row, Does.STORE, sender, early, tile, semaphore)
    return 1


@kernel
def check_writer(
    s: Machine, tile: int, thread: int, row: int, cell: int, at: int, does: int
) -> None:
    """Whether this thread knows that the last write to a word is done."""
    writer, tag = s.race_shadow[cell + WRITER], s.race_shadow[cell + WRITTEN]
    main = tile * s.now[0].units
    unit = thread - main
    if writer >= STORED:
        sender = (writer & ((1 << PLACE) - 1)) // s.now[0].units
        report(s, Does.STORE, sender, tag & ROW_MASK, does, unit, row, tile, at)
        return
    if writer >= KNOWN:
        writer = used(s, tile, writer, tag)
    other = writer != 0 and writer != unit + 1
    if other and knows(s, thread, main + writer - 1) < tag >> ROW_BITS:
        report(s, Does.WRITE, writer - 1, tag & ROW_MASK, does, unit, row, tile, at)


@kernel
def touch(s: Machine, tile: int, thread: int, row: int, at: int, size: int, does: int) -> None:
    """A thread of the tile reads or writes ``size`` bytes at an address."""
    shift, shadow = s.now[0].race_shift, s.race_shadow
    main = tile * s.now[0].units
    mine = thread - main
    now = knows(s, thread, thread) << ROW_BITS | row
    for granule in range(at >> shift, ((at + size - 1) >> shift) + 1):
        cell = shadow_cell(s, tile, granule)
        # A read must come after the last write; one read a line and epoch is enough to look at.
        if does == Does.READ:
            if shadow[cell + READS + mine] != now:
                check_writer(s, tile, thread, row, cell, at, does)
                shadow[cell + READS + mine] = now
            continue
        # A write must come after the last write, and after all reads since.
        check_writer(s, tile, thread, row, cell, at, does)
        for unit in range(s.now[0].units):
            tag = shadow[cell + READS + unit]
            other = tag != 0 and unit != mine
            if other and knows(s, thread, main + unit) < tag >> ROW_BITS:
                report(s, Does.READ, unit, tag & ROW_MASK, does, mine, row, tile, at)
            shadow[cell + READS + unit] = 0
        shadow[cell + WRITER] = mine + 1
        shadow[cell + WRITTEN] = now


@kernel
def next_word(s: Machine, thread: int, number: int, first: int, at: int, rank: int) -> int:
    """The address that an operand comes to next in the dimensions from ``first`` on; -1: none."""
    d = rank - 1
    while d >= first:
        stride = s.unit_stride[thread, OPERANDS * d + number]
        if stride != 0:  # else the same word again
            s.unit_index[thread, d] += 1
            if s.unit_index[thread, d] < s.unit_extent[thread, d]:
                return at + stride
            s.unit_index[thread, d] = 0
            at -= stride * (s.unit_extent[thread, d] - 1)
        d -= 1
    return -1


@kernel
def touch_steps(s: Machine, tile: int, row: int, thread: int, first: int) -> None:
    """The words of the dimensions from ``first`` on, sources before the destination.

    The inner indices serve as scratch; ``steps`` sets them to zero again.
    """
    instruction = s.rows[row]
    for turn in range(1, instruction.count + 1):
        number = turn if turn < instruction.count else 0
        operand = s.operands[instruction.operands + number]
        if operand.kind != MEMORY:
            continue
        # The first word: at the outer indices that the unit has come to.
        at = s.unit_base[thread, number]
        for d in range(instruction.rank):
            if d < first:
                at += s.unit_index[thread, d] * s.unit_stride[thread, OPERANDS * d + number]
            else:
                s.unit_index[thread, d] = 0
        size = ELEMENT_BYTES[operand.type]
        does = Does.WRITE if number == 0 else Does.READ
        while at >= 0:
            touch(s, tile, thread, row, at, size, does)
            at = next_word(s, thread, number, first, at, instruction.rank)


# --- remote stores and semaphores ---------------------------------------------------------


@kernel
def begin_message(s: Machine, thread: int, row: int) -> int:
    """Give a message a number and the sender's clock."""
    number = s.now[0].race_free
    message = s.race_messages[number]
    s.now[0].race_free = message.next
    message.sender, message.row, message.counted = thread, row, 0
    copy(s, message_clock(s, number), thread_clock(s, thread))
    next_epoch(s, thread)
    return number


@kernel
def close_message(s: Machine, tile: int) -> None:
    """The last element has arrived."""
    number = s.race_current[tile]
    s.race_messages[number].next = s.now[0].race_free
    s.now[0].race_free = number


@kernel
def check_stored(s: Machine, tile: int, cell: int, at: int, number: int) -> None:
    """Whether the sender of a message knows that all use of a word is over."""
    units, shadow, does = s.now[0].units, s.race_shadow, Does.STORE
    main, sender, row = tile * units, s.race_messages[number].sender, s.race_messages[number].row
    writer, tag = shadow[cell + WRITER], shadow[cell + WRITTEN]
    here = sender // units
    if writer >= STORED:  # one sender's stores arrive in order
        other = writer & ((1 << PLACE) - 1)
        if other != sender:
            before = other // units
            report(s, Does.STORE, before, tag & ROW_MASK, does, here, row, tile, at)
    elif writer != 0:
        unit = 0 if writer >= KNOWN else writer - 1
        did = Does.STORE if writer >= KNOWN else Does.WRITE
        if sender_knows(s, number, main + unit) < tag >> ROW_BITS:
            who = tile if writer >= KNOWN else unit
            report(s, did, who, tag & ROW_MASK, does, here, row, tile, at)
    for unit in range(units):
        tag = shadow[cell + READS + unit]
        if tag != 0 and sender_knows(s, number, main + unit) < tag >> ROW_BITS:
            report(s, Does.READ, unit, tag & ROW_MASK, does, here, row, tile, at)
        shadow[cell + READS + unit] = 0


@kernel
def stored(s: Machine, tile: int, at: int, size: int, semaphore: int) -> None:
    """An element of the message that this tile receives is written and counted."""
    shift, number = s.now[0].race_shift, s.race_current[tile]
    place = tile * s.now[0].semaphores + semaphore
    count, message = s.race_counts[place], s.race_messages[number]
    count.stores += 1
    low, high = at >> shift, (at + size - 1) >> shift
    for granule in range(low, high + 1):
        cell = shadow_cell(s, tile, granule)
        check_stored(s, tile, cell, at, number)
        s.race_shadow[cell + WRITER] = STORED | semaphore << PLACE | message.sender
        s.race_shadow[cell + WRITTEN] = count.stores << ROW_BITS | message.row
    # Where the stores lie that no wait knows of yet, and whether one sender has sent them all.
    if count.sender == 0:
        count.sender, count.low, count.high = message.sender + 1, low, high
    else:
        count.low = min(count.low, low)
        count.high = max(count.high, high)
        if count.sender != message.sender + 1:
            count.sender = -1
    if message.counted == 0:
        message.counted = 1
        counted(s, tile, place, number)


@kernel
def counted(s: Machine, tile: int, place: int, number: int) -> None:
    """The first count of a message: could it have come before a wait that relied on others?"""
    main, count, message = tile * s.now[0].units, s.race_counts[place], s.race_messages[number]
    sender = message.sender // s.now[0].units
    other = count.wait_sender != 0 and count.wait_sender != message.sender + 1
    if other and sender_knows(s, number, main) < count.wait_epoch:
        if count.used != 0:
            at, does = place - tile * s.now[0].semaphores, Does.STORE
            report(s, Does.WAIT, 0, count.wait_row, does, sender, message.row, tile, at)
        elif count.early == 0:
            count.early, count.early_from = message.row + 1, sender
    join(s, counted_clock(s, place), message_clock(s, number))


@kernel
def known(s: Machine, tile: int, semaphore: int, most: int) -> None:
    """The main thread knows of the first ``most`` stores on a semaphore: as if it had written."""
    main, shadow = tile * s.now[0].units, s.race_shadow
    count = s.race_counts[tile * s.now[0].semaphores + semaphore]
    epoch = knows(s, main, main) << ROW_BITS
    for granule in range(count.low, count.high + 1):
        cell = shadow_cell(s, tile, granule)
        unknown = shadow[cell + WRITER] >> PLACE == STORED >> PLACE | semaphore
        if unknown and shadow[cell + WRITTEN] >> ROW_BITS <= most:
            shadow[cell + WRITER] = KNOWN | semaphore << PLACE
            shadow[cell + WRITTEN] = epoch | (shadow[cell + WRITTEN] & ROW_MASK)


@kernel
def added(s: Machine, tile: int, semaphore: int, count: int) -> None:
    """The main thread adds to a semaphore."""
    s.race_counts[tile * s.now[0].semaphores + semaphore].main += count


@kernel
def is_pending(s: Machine, main: int, unit: int, semaphore: int) -> bool:
    """Whether a unit will signal a semaphore, or has, and main does not know of that yet."""
    return s.race_pending[main + unit] == semaphore + 1


@kernel
def taken(s: Machine, tile: int, row: int, semaphore: int, count: int) -> None:
    """The main thread has taken ``count``: it knows of what must have been counted for that."""
    if count == 0:
        return
    main, units = tile * s.now[0].units, s.now[0].units
    place = tile * s.now[0].semaphores + semaphore
    of = s.race_counts[place]
    of.taken += count
    relied, pending = of.sender, False
    for unit in range(1, units):
        pending = pending or is_pending(s, main, unit, semaphore)
    # So many of the stores have been taken for sure, even if all others were counted first.
    sure = of.taken - of.main - of.units
    if sure == of.stores:  # all that was ever added is taken
        for unit in range(1, units):
            if is_pending(s, main, unit, semaphore):
                join(s, thread_clock(s, main), thread_clock(s, main + unit))
                s.race_pending[main + unit] = 0
        if of.sender != 0:
            known(s, tile, semaphore, of.stores)
            join(s, thread_clock(s, main), counted_clock(s, place))
            of.sender = 0
    elif relied > 0 and not pending:  # one sender, whose stores arrive in order
        known(s, tile, semaphore, sure)
    else:
        return
    # Whom this wait relied on: what others store later could have been counted in their place.
    of.wait_sender = -1 if pending else relied
    of.wait_epoch = knows(s, main, main)
    of.wait_row = row
    of.used, of.early = 1 if pending else 0, 0  # what a unit used is not marked
