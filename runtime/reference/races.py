"""Races: vector clocks of all units, and a shadow of every tile's SRAM.

A *thread* is the main thread or a stream unit of one tile, numbered ``tile * units + unit``.
Its clock holds, for each thread of the fabric, up to which of that thread's epochs it knows
that all is done; a thread begins a new epoch whenever it hands its clock on. A clock is
handed on by an issue (and back when the unit is issued again), by a wavelet, and by a count
that a wait must have consumed: docs/machine.md, "Races", has the rules. The scheme is that of
FastTrack (Flanagan and Freund, PLDI 2009): for each word the last write, and for each
thread its last read since; a remote store is a write that nobody knows until a wait on its
semaphore has.

Every function expects that the check is on (``now.races``), but for ``open_message``.
"""

from __future__ import annotations

from wsc.runtime.reference.compiled import Machine, integers_at, kernel
from wsc.runtime.reference.records import Does
from wsc.runtime.reference.vectors import FABRIC, MEMORY

ROW_BITS = 24  # a tag is an epoch (or the number of an arrival) above a row of the program
ROW_MASK = (1 << ROW_BITS) - 1
STORED = 1 << 41  # writer of a word: a remote store; semaphore and sender lie below
KNOWN = 1 << 40  # the same after a wait on the semaphore, with main as the writer
PLACE = 32  # bits below the semaphore of these
MESSAGE_BITS = 32  # a header carries the number of its message above the target
WRITER, WRITTEN, READS = 0, 1, 2  # columns of the shadow: writer, its tag, tags of the readers


@kernel
def report(
    s: Machine,
    did: int,
    who: int,
    before: int,
    does: int,
    thread: int,
    row: int,
    tile: int,
    at: int,
) -> None:
    """Note a race, once for each pair of rows."""
    count = s.now[0].race_count
    for k in range(count):
        same = s.race_found[k].row == before and s.race_found[k].now_row == row
        if same or (s.race_found[k].row == row and s.race_found[k].now_row == before):
            return
    if count == s.now[0].races:  # the room for findings
        return
    s.race_found[count].did, s.race_found[count].who, s.race_found[count].row = did, who, before
    s.race_found[count].does, s.race_found[count].now_who, s.race_found[count].now_row = (
        does,
        thread,
        row,
    )
    s.race_found[count].tile, s.race_found[count].at, s.race_found[count].cycle = (
        tile,
        at,
        s.now[0].now,
    )
    s.now[0].race_count += 1


# --- clocks -----------------------------------------------------------------------------


@kernel
def threads(s: Machine) -> int:
    """Length of a clock."""
    return s.now[0].tiles * s.now[0].units


@kernel
def join(into: int, a: int, other: int, b: int, n: int) -> None:
    """Learn all that another clock knows. into, other: addresses of tables of clocks."""
    mine, theirs = integers_at(into), integers_at(other)
    for i in range(n):
        if theirs[b + i] > mine[a + i]:
            mine[a + i] = theirs[b + i]


@kernel
def copy(into: int, a: int, other: int, b: int, n: int) -> None:
    """Overwrite a clock."""
    mine, theirs = integers_at(into), integers_at(other)
    for i in range(n):
        mine[a + i] = theirs[b + i]


@kernel
def next_epoch(s: Machine, thread: int, n: int) -> None:
    """The clock was handed on: what the thread does from now on is not in it."""
    s.race_clock[thread * n + thread] += 1


@kernel
def newest(s: Machine, fifo: int) -> int:
    """The cell of the wavelet that entered a FIFO last."""
    cell = s.fifos[fifo].head + s.fifos[fifo].count - 1
    if cell >= s.fifos[fifo].depth:
        cell -= s.fifos[fifo].depth
    return cell + s.fifos[fifo].offset


@kernel
def pass_on(s: Machine, head: int, fifo: int) -> None:
    """A wavelet went from a cell into a FIFO."""
    n = threads(s)
    copy(s.race_cell.ctypes.data, newest(s, fifo) * n, s.race_cell.ctypes.data, head * n, n)


@kernel
def blank(s: Machine, fifo: int) -> None:
    """A wavelet came from the edge, which knows nothing of the tiles."""
    n = threads(s)
    first = newest(s, fifo) * n
    for i in range(n):
        s.race_cell[first + i] = 0


@kernel
def queue_used(s: Machine, tile: int, thread: int, row: int, slot: int, does: int) -> None:
    """Two units that use one end of a queue must be in an order that never changes."""
    n, at = threads(s), 0 if does == Does.TAKE else 2
    before, tag = s.race_queue[slot, at], s.race_queue[slot, at + 1]
    other = before != 0 and before != thread + 1
    if other and s.race_clock[thread * n + before - 1] < tag >> ROW_BITS:
        was = before - 1 - tile * s.now[0].units
        report(s, does, was, tag & ROW_MASK, does, thread - tile * s.now[0].units, row, tile, slot)
    s.race_queue[slot, at] = thread + 1
    s.race_queue[slot, at + 1] = s.race_clock[thread * n + thread] << ROW_BITS | row


@kernel
def claim(s: Machine, tile: int, thread: int, row: int) -> None:
    """An instruction starts that will take from queues, or put into one."""
    operand = s.rows[row].operands
    for k in range(s.rows[row].count):
        if s.operands[operand + k].kind == FABRIC:
            does = Does.PUT if k == 0 else Does.TAKE
            queue_used(s, tile, thread, row, s.unit_slot[thread, k], does)


@kernel
def took(s: Machine, tile: int, thread: int, row: int, slot: int, head: int) -> None:
    """A unit takes a wavelet: it learns what the sender knew."""
    n = threads(s)
    queue_used(s, tile, thread, row, slot, Does.TAKE)
    join(s.race_clock.ctypes.data, thread * n, s.race_cell.ctypes.data, head * n, n)


@kernel
def put(s: Machine, tile: int, thread: int, row: int, slot: int) -> None:
    """A unit has put a wavelet into its output queue."""
    n = threads(s)
    queue_used(s, tile, thread, row, slot, Does.PUT)
    copy(
        s.race_cell.ctypes.data,
        newest(s, s.slots[slot].output) * n,
        s.race_clock.ctypes.data,
        thread * n,
        n,
    )
    next_epoch(s, thread, n)


@kernel
def issued(s: Machine, tile: int, thread: int, other: int, row: int) -> None:
    """Main issues on a unit: what the unit did before is done, what main did is known to it."""
    n, done = threads(s), s.rows[row].done
    join(s.race_clock.ctypes.data, thread * n, s.race_clock.ctypes.data, other * n, n)
    join(s.race_clock.ctypes.data, other * n, s.race_clock.ctypes.data, thread * n, n)
    next_epoch(s, other, n)
    next_epoch(s, thread, n)
    s.race_pending[other] = done + 1
    if done >= 0:
        s.race_counts[tile * s.now[0].semaphores + done].units += 1


# --- SRAM -------------------------------------------------------------------------------


@kernel
def used(s: Machine, tile: int, writer: int, tag: int) -> int:
    """A word that main knows of through a wait is used; the thread that counts as its writer.

    If a store that came too early could have let that wait through, this is a race.
    """
    semaphore = (writer >> PLACE) & 0xFF
    place = tile * s.now[0].semaphores + semaphore
    if tag >> ROW_BITS == s.race_counts[place].wait_epoch:
        s.race_counts[place].used = 1
        if s.race_counts[place].early != 0:
            report(
                s,
                Does.WAIT,
                0,
                s.race_counts[place].wait_row,
                Does.STORE,
                s.race_counts[place].early_from,
                s.race_counts[place].early - 1,
                tile,
                semaphore,
            )
    return 1


@kernel
def check_writer(
    s: Machine, tile: int, thread: int, row: int, cell: int, at: int, does: int, n: int
) -> None:
    """Whether this thread knows that the last write to a word is done."""
    writer, tag = s.race_shadow[cell + WRITER], s.race_shadow[cell + WRITTEN]
    mine = thread - tile * s.now[0].units
    if writer >= STORED:
        sender = (writer & ((1 << PLACE) - 1)) // s.now[0].units
        report(s, Does.STORE, sender, tag & ROW_MASK, does, mine, row, tile, at)
        return
    if writer >= KNOWN:
        writer = used(s, tile, writer, tag)
    other = writer != 0 and writer != mine + 1
    if other and s.race_clock[thread * n + tile * s.now[0].units + writer - 1] < tag >> ROW_BITS:
        report(s, Does.WRITE, writer - 1, tag & ROW_MASK, does, mine, row, tile, at)


@kernel
def touch(s: Machine, tile: int, thread: int, row: int, at: int, size: int, does: int) -> None:
    """A thread of the tile reads or writes ``size`` bytes at an address."""
    n, units, shift = threads(s), s.now[0].units, s.now[0].race_shift
    width, shadow = READS + units, s.race_shadow
    first, mine = tile * units, thread - tile * units
    now = s.race_clock[thread * n + thread] << ROW_BITS | row
    for granule in range(at >> shift, ((at + size - 1) >> shift) + 1):
        cell = (tile * (s.now[0].bytes >> shift) + granule) * width
        if does == Does.READ:
            if shadow[cell + READS + mine] != now:
                check_writer(s, tile, thread, row, cell, at, does, n)
                shadow[cell + READS + mine] = now
            continue
        check_writer(s, tile, thread, row, cell, at, does, n)
        for unit in range(units):
            tag = shadow[cell + READS + unit]
            if (
                tag != 0
                and unit != mine
                and s.race_clock[thread * n + first + unit] < tag >> ROW_BITS
            ):
                report(s, Does.READ, unit, tag & ROW_MASK, does, mine, row, tile, at)
            shadow[cell + READS + unit] = 0
        shadow[cell + WRITER] = mine + 1
        shadow[cell + WRITTEN] = now


@kernel
def touch_steps(s: Machine, tile: int, row: int, thread: int, first: int) -> None:
    """The words of the dimensions from ``first`` on, sources before the destination.

    The inner indices serve as scratch; ``steps`` sets them to zero again.
    """
    rank, operand = s.rows[row].rank, s.rows[row].operands
    count = s.rows[row].count
    for turn in range(1, count + 1):
        k = turn if turn < count else 0
        if s.operands[operand + k].kind != MEMORY:
            continue
        at = s.unit_base[thread, k]
        for d in range(rank):
            if d < first:
                at += s.unit_index[thread, d] * s.unit_stride[thread, 4 * d + k]
            else:
                s.unit_index[thread, d] = 0
        size = 2 if s.operands[operand + k].type == 1 else 4
        does = Does.WRITE if k == 0 else Does.READ
        while True:
            touch(s, tile, thread, row, at, size, does)
            d = rank - 1
            while d >= first:
                stride = s.unit_stride[thread, 4 * d + k]
                if stride != 0:  # else the same word again
                    s.unit_index[thread, d] += 1
                    if s.unit_index[thread, d] < s.unit_extent[thread, d]:
                        at += stride
                        break
                    s.unit_index[thread, d] = 0
                    at -= stride * (s.unit_extent[thread, d] - 1)
                d -= 1
            if d < first:
                break


# --- remote stores and semaphores ---------------------------------------------------------


@kernel
def begin_message(s: Machine, thread: int, row: int) -> int:
    """Give a message a number and the sender's clock."""
    n, number = threads(s), s.now[0].race_free
    s.now[0].race_free = s.race_messages[number].next
    s.race_messages[number].sender, s.race_messages[number].row, s.race_messages[number].counted = (
        thread,
        row,
        0,
    )
    copy(s.race_message.ctypes.data, number * n, s.race_clock.ctypes.data, thread * n, n)
    next_epoch(s, thread, n)
    return number


@kernel
def open_message(s: Machine, thread: int, row: int) -> int:
    """What a header carries above its target; nothing when the check is off."""
    if s.now[0].races == 0:
        return 0
    return begin_message(s, thread, row) << MESSAGE_BITS


@kernel
def close_message(s: Machine, tile: int) -> None:
    """The last element has arrived."""
    number = s.race_current[tile]
    s.race_messages[number].next = s.now[0].race_free
    s.now[0].race_free = number


@kernel
def check_stored(s: Machine, tile: int, cell: int, at: int, number: int) -> None:
    """Whether the sender of a message knows that all use of a word is over."""
    n, units, shadow = threads(s), s.now[0].units, s.race_shadow
    knows, first = number * n, tile * units
    sender, row = s.race_messages[number].sender, s.race_messages[number].row
    writer, tag = shadow[cell + WRITER], shadow[cell + WRITTEN]
    if writer >= STORED:  # one sender's stores arrive in order
        other = writer & ((1 << PLACE) - 1)
        if other != sender:
            report(
                s,
                Does.STORE,
                other // units,
                tag & ROW_MASK,
                Does.STORE,
                sender // units,
                row,
                tile,
                at,
            )
    elif writer != 0:
        unit = 0 if writer >= KNOWN else writer - 1
        did = Does.STORE if writer >= KNOWN else Does.WRITE
        if s.race_message[knows + first + unit] < tag >> ROW_BITS:
            who = tile if writer >= KNOWN else unit
            report(s, did, who, tag & ROW_MASK, Does.STORE, sender // units, row, tile, at)
    for unit in range(units):
        tag = shadow[cell + READS + unit]
        if tag != 0 and s.race_message[knows + first + unit] < tag >> ROW_BITS:
            report(s, Does.READ, unit, tag & ROW_MASK, Does.STORE, sender // units, row, tile, at)
        shadow[cell + READS + unit] = 0


@kernel
def stored(s: Machine, tile: int, at: int, size: int, semaphore: int) -> None:
    """An element of the message that this tile receives is written and counted."""
    units, shift, number = s.now[0].units, s.now[0].race_shift, s.race_current[tile]
    place = tile * s.now[0].semaphores + semaphore
    sender, row = s.race_messages[number].sender, s.race_messages[number].row
    s.race_counts[place].stores += 1
    low, high = at >> shift, (at + size - 1) >> shift
    for granule in range(low, high + 1):
        cell = (tile * (s.now[0].bytes >> shift) + granule) * (READS + units)
        check_stored(s, tile, cell, at, number)
        s.race_shadow[cell + WRITER] = STORED | semaphore << PLACE | sender
        s.race_shadow[cell + WRITTEN] = s.race_counts[place].stores << ROW_BITS | row
    if s.race_counts[place].sender == 0:
        s.race_counts[place].sender, s.race_counts[place].low, s.race_counts[place].high = (
            sender + 1,
            low,
            high,
        )
    else:
        s.race_counts[place].low = min(s.race_counts[place].low, low)
        s.race_counts[place].high = max(s.race_counts[place].high, high)
        if s.race_counts[place].sender != sender + 1:
            s.race_counts[place].sender = -1
    if s.race_messages[number].counted == 0:
        s.race_messages[number].counted = 1
        counted(s, tile, place, number)


@kernel
def counted(s: Machine, tile: int, place: int, number: int) -> None:
    """The first count of a message: could it have come before a wait that relied on others?"""
    n, main = threads(s), tile * s.now[0].units
    sender, row = s.race_messages[number].sender, s.race_messages[number].row
    relied = s.race_counts[place].wait_sender
    other = relied != 0 and relied != sender + 1
    if other and s.race_message[number * n + main] < s.race_counts[place].wait_epoch:
        if s.race_counts[place].used != 0:
            semaphore = place - tile * s.now[0].semaphores
            report(
                s,
                Does.WAIT,
                0,
                s.race_counts[place].wait_row,
                Does.STORE,
                sender // s.now[0].units,
                row,
                tile,
                semaphore,
            )
        elif s.race_counts[place].early == 0:
            s.race_counts[place].early, s.race_counts[place].early_from = (
                row + 1,
                sender // s.now[0].units,
            )
    join(s.race_counted.ctypes.data, place * n, s.race_message.ctypes.data, number * n, n)


@kernel
def known(s: Machine, tile: int, semaphore: int, most: int) -> None:
    """The main thread knows of the first ``most`` stores on a semaphore: as if it had written."""
    n, main, units = threads(s), tile * s.now[0].units, s.now[0].units
    place, shift, shadow = (
        tile * s.now[0].semaphores + semaphore,
        s.now[0].race_shift,
        s.race_shadow,
    )
    epoch = s.race_clock[main * n + main] << ROW_BITS
    for granule in range(s.race_counts[place].low, s.race_counts[place].high + 1):
        cell = (tile * (s.now[0].bytes >> shift) + granule) * (READS + units)
        unknown = shadow[cell + WRITER] >> PLACE == STORED >> PLACE | semaphore
        if unknown and shadow[cell + WRITTEN] >> ROW_BITS <= most:
            shadow[cell + WRITER] = KNOWN | semaphore << PLACE
            shadow[cell + WRITTEN] = epoch | (shadow[cell + WRITTEN] & ROW_MASK)


@kernel
def signalled(s: Machine, tile: int, semaphore: int, count: int) -> None:
    """The main thread adds to a semaphore."""
    s.race_counts[tile * s.now[0].semaphores + semaphore].main += count


@kernel
def waited(s: Machine, tile: int, row: int, semaphore: int, count: int) -> None:
    """The main thread has taken ``count``: it knows of what must have been counted for that."""
    if count == 0:
        return
    n, main = threads(s), tile * s.now[0].units
    place = tile * s.now[0].semaphores + semaphore
    s.race_counts[place].taken += count
    sure = s.race_counts[place].taken - s.race_counts[place].main - s.race_counts[place].units
    relied, pending = s.race_counts[place].sender, False
    for unit in range(1, s.now[0].units):
        pending = pending or s.race_pending[main + unit] == semaphore + 1
    if sure == s.race_counts[place].stores:  # all that was ever added is taken
        for unit in range(1, s.now[0].units):
            if s.race_pending[main + unit] == semaphore + 1:
                join(
                    s.race_clock.ctypes.data,
                    main * n,
                    s.race_clock.ctypes.data,
                    (main + unit) * n,
                    n,
                )
                s.race_pending[main + unit] = 0
        if s.race_counts[place].sender != 0:
            known(s, tile, semaphore, s.race_counts[place].stores)
            join(s.race_clock.ctypes.data, main * n, s.race_counted.ctypes.data, place * n, n)
            s.race_counts[place].sender = 0
    elif relied > 0 and not pending:  # one sender, whose stores arrive in order
        known(s, tile, semaphore, sure)
    else:
        return
    s.race_counts[place].wait_sender = -1 if pending else relied
    s.race_counts[place].wait_epoch = s.race_clock[main * n + main]
    s.race_counts[place].wait_row = row
    s.race_counts[place].used, s.race_counts[place].early = (
        1 if pending else 0,
        0,
    )  # what a unit used is not marked
