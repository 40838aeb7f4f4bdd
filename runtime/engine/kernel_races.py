"""Races: vector clocks of all units, and a shadow of every tile's SRAM.

A *thread* is the main thread or a stream unit of one tile, numbered ``tile * units + unit``.
Its clock holds, for each thread of the fabric, up to which of that thread's epochs it knows
that all is done; a thread begins a new epoch whenever it hands its clock on. A clock is
handed on by an issue (and back when the unit is issued again), by a wavelet, and by a count
that a wait must have consumed: docs/machine.md, "Races", has the rules. The scheme is that of
FastTrack (Flanagan and Freund, PLDI 2009): for each word the last write, and for each
thread its last read since; a remote store is a write that nobody knows until a wait on its
semaphore has.

Every function expects that the check is on (``G.RACES``), but for ``open_message``.
"""

from __future__ import annotations

import numpy as np

from wsc.runtime.engine.dispatch import inlined, int64, jit
from wsc.runtime.engine.kernel_vector import FABRIC, MEMORY
from wsc.runtime.engine.layout import G, State, U
from wsc.runtime.engine.observed import Does, M, N, Seen
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col, Ocol

ROW_BITS = 24  # a tag is an epoch (or the number of an arrival) above a row of the program
ROW_MASK = (1 << ROW_BITS) - 1
STORED = 1 << 41  # writer of a word: a remote store; semaphore and sender lie below
KNOWN = 1 << 40  # the same after a wait on the semaphore, with main as the writer
PLACE = 32  # bits below the semaphore of these
MESSAGE_BITS = 32  # a header carries the number of its message above the target
WRITER, WRITTEN, READS = 0, 1, 2  # columns of the shadow: writer, its tag, tags of the readers


@jit
def report(
    s: State, did: int, who: int, before: int, does: int, me: int, row: int, tile: int, at: int
) -> None:
    """Note a race, once for each pair of rows."""
    f, count = s.race_found, s.g[G.RACE_COUNT]
    for k in range(count):
        same = f[k, Seen.ROW] == before and f[k, Seen.NOW_ROW] == row
        if same or (f[k, Seen.ROW] == row and f[k, Seen.NOW_ROW] == before):
            return
    if count == s.g[G.RACES]:  # the room for findings
        return
    f[count, Seen.DID], f[count, Seen.WHO], f[count, Seen.ROW] = did, who, before
    f[count, Seen.DOES], f[count, Seen.NOW_WHO], f[count, Seen.NOW_ROW] = does, me, row
    f[count, Seen.TILE], f[count, Seen.AT], f[count, Seen.CYCLE] = tile, at, s.g[G.NOW]
    s.g[G.RACE_COUNT] += 1


# --- clocks -----------------------------------------------------------------------------


@inlined
def threads(s: State) -> int:
    """Length of a clock."""
    return s.g[G.TILES] * s.g[G.UNITS]


@jit
def join(into: np.ndarray, a: int, other: np.ndarray, b: int, n: int) -> None:
    """Learn all that another clock knows."""
    for i in range(n):
        if other[b + i] > into[a + i]:
            into[a + i] = other[b + i]


@jit
def copy(into: np.ndarray, a: int, other: np.ndarray, b: int, n: int) -> None:
    """Overwrite a clock."""
    for i in range(n):
        into[a + i] = other[b + i]


@inlined
def next_epoch(s: State, me: int, n: int) -> None:
    """The clock was handed on: what the thread does from now on is not in it."""
    s.race_clock[me * n + me] += 1


@inlined
def newest(s: State, f: int) -> int:
    """The cell of the wavelet that entered a FIFO last."""
    cell = s.fifos[f, Fcol.HEAD] + s.fifos[f, Fcol.COUNT] - 1
    if cell >= s.fifos[f, Fcol.DEPTH]:
        cell -= s.fifos[f, Fcol.DEPTH]
    return cell + s.fifos[f, Fcol.OFFSET]


@jit
def pass_on(s: State, head: int, f: int) -> None:
    """A wavelet went from a cell into a FIFO."""
    n = threads(s)
    copy(s.race_cell, newest(s, f) * n, s.race_cell, head * n, n)


@jit
def blank(s: State, f: int) -> None:
    """A wavelet came from the edge, which knows nothing of the tiles."""
    n = threads(s)
    first = newest(s, f) * n
    for i in range(n):
        s.race_cell[first + i] = 0


@jit
def queue_used(s: State, tile: int, me: int, row: int, slot: int, does: int) -> None:
    """Two units that use one end of a queue must be in an order that never changes."""
    n, at = threads(s), 0 if does == Does.TAKE else 2
    before, tag = s.race_queue[slot, at], s.race_queue[slot, at + 1]
    other = before != 0 and before != me + 1
    if other and s.race_clock[me * n + before - 1] < tag >> ROW_BITS:
        was = before - 1 - tile * s.g[G.UNITS]
        report(s, does, was, tag & ROW_MASK, does, me - tile * s.g[G.UNITS], row, tile, slot)
    s.race_queue[slot, at] = me + 1
    s.race_queue[slot, at + 1] = int64(s.race_clock[me * n + me]) << ROW_BITS | row


@jit
def claim(s: State, tile: int, me: int, row: int) -> None:
    """An instruction starts that will take from queues, or put into one."""
    operand = s.rows[row, Col.OPERANDS]
    for k in range(s.rows[row, Col.COUNT]):
        if s.operands[operand + k, Ocol.KIND] == FABRIC:
            does = Does.PUT if k == 0 else Does.TAKE
            queue_used(s, tile, me, row, s.unit[me, U.SLOT + k], does)


@jit
def took(s: State, tile: int, me: int, row: int, slot: int, head: int) -> None:
    """A unit takes a wavelet: it learns what the sender knew."""
    n = threads(s)
    queue_used(s, tile, me, row, slot, Does.TAKE)
    join(s.race_clock, me * n, s.race_cell, head * n, n)


@jit
def put(s: State, tile: int, me: int, row: int, slot: int) -> None:
    """A unit has put a wavelet into its output queue."""
    n = threads(s)
    queue_used(s, tile, me, row, slot, Does.PUT)
    copy(s.race_cell, newest(s, s.slots[slot, Scol.OUTPUT]) * n, s.race_clock, me * n, n)
    next_epoch(s, me, n)


@jit
def issued(s: State, tile: int, me: int, other: int, row: int) -> None:
    """Main issues on a unit: what the unit did before is done, what main did is known to it."""
    n, done = threads(s), s.rows[row, Col.DONE]
    join(s.race_clock, me * n, s.race_clock, other * n, n)
    join(s.race_clock, other * n, s.race_clock, me * n, n)
    next_epoch(s, other, n)
    next_epoch(s, me, n)
    s.race_pending[other] = done + 1
    if done >= 0:
        s.race_counts[tile * s.g[G.SEMAPHORES] + done, N.UNITS] += 1


# --- SRAM -------------------------------------------------------------------------------


@jit
def used(s: State, tile: int, writer: int, tag: int) -> int:
    """A word that main knows of through a wait is used; the thread that counts as its writer.

    If a store that came too early could have let that wait through, this is a race.
    """
    c, semaphore = s.race_counts, (writer >> PLACE) & 0xFF
    place = tile * s.g[G.SEMAPHORES] + semaphore
    if tag >> ROW_BITS == c[place, N.WAIT_EPOCH]:
        c[place, N.USED] = 1
        if c[place, N.EARLY] != 0:
            report(
                s, Does.WAIT, 0, c[place, N.WAIT_ROW], Does.STORE, c[place, N.EARLY_FROM],
                c[place, N.EARLY] - 1, tile, semaphore,
            )  # fmt: skip
    return int64(1)


@inlined
def check_writer(
    s: State, tile: int, me: int, row: int, cell: int, at: int, does: int, n: int
) -> None:
    """Whether this thread knows that the last write to a word is done."""
    writer, tag = s.race_shadow[cell + WRITER], s.race_shadow[cell + WRITTEN]
    mine = me - tile * s.g[G.UNITS]
    if writer >= STORED:
        sender = (writer & ((1 << PLACE) - 1)) // s.g[G.UNITS]
        report(s, Does.STORE, sender, tag & ROW_MASK, does, mine, row, tile, at)
        return
    if writer >= KNOWN:
        writer = used(s, tile, writer, tag)
    other = writer != 0 and writer != mine + 1
    if other and s.race_clock[me * n + tile * s.g[G.UNITS] + writer - 1] < tag >> ROW_BITS:
        report(s, Does.WRITE, writer - 1, tag & ROW_MASK, does, mine, row, tile, at)


@jit
def touch(s: State, tile: int, me: int, row: int, at: int, size: int, does: int) -> None:
    """A thread of the tile reads or writes ``size`` bytes at an address."""
    n, units, shift = threads(s), s.g[G.UNITS], s.g[G.RACE_SHIFT]
    width, shadow = READS + units, s.race_shadow
    first, mine = tile * units, me - tile * units
    now = int64(s.race_clock[me * n + me]) << ROW_BITS | row
    for granule in range(at >> shift, ((at + size - 1) >> shift) + 1):
        cell = (tile * (s.g[G.BYTES] >> shift) + granule) * width
        if does == Does.READ:
            if shadow[cell + READS + mine] != now:
                check_writer(s, tile, me, row, cell, at, does, n)
                shadow[cell + READS + mine] = now
            continue
        check_writer(s, tile, me, row, cell, at, does, n)
        for unit in range(units):
            tag = shadow[cell + READS + unit]
            if tag != 0 and unit != mine and s.race_clock[me * n + first + unit] < tag >> ROW_BITS:
                report(s, Does.READ, unit, tag & ROW_MASK, does, mine, row, tile, at)
            shadow[cell + READS + unit] = 0
        shadow[cell + WRITER] = mine + 1
        shadow[cell + WRITTEN] = now


@jit
def touch_steps(s: State, tile: int, row: int, me: int, first: int) -> None:
    """The words of the dimensions from ``first`` on, sources before the destination.

    The inner indices serve as scratch; ``steps`` sets them to zero again.
    """
    u, rank, operand = s.unit, s.rows[row, Col.RANK], s.rows[row, Col.OPERANDS]
    count = s.rows[row, Col.COUNT]
    for turn in range(1, count + 1):
        k = turn if turn < count else 0
        if s.operands[operand + k, Ocol.KIND] != MEMORY:
            continue
        at = u[me, U.BASE + k]
        for d in range(rank):
            if d < first:
                at += u[me, U.INDEX + d] * u[me, U.STRIDE + 4 * d + k]
            else:
                u[me, U.INDEX + d] = 0
        size = 2 if s.operands[operand + k, Ocol.TYPE] == 1 else 4
        does = Does.WRITE if k == 0 else Does.READ
        while True:
            touch(s, tile, me, row, at, size, does)
            d = rank - 1
            while d >= first:
                stride = u[me, U.STRIDE + 4 * d + k]
                if stride != 0:  # else the same word again
                    u[me, U.INDEX + d] += 1
                    if u[me, U.INDEX + d] < u[me, U.EXTENT + d]:
                        at += stride
                        break
                    u[me, U.INDEX + d] = 0
                    at -= stride * (u[me, U.EXTENT + d] - 1)
                d -= 1
            if d < first:
                break


# --- remote stores and semaphores ---------------------------------------------------------


@jit
def begin_message(s: State, me: int, row: int) -> int:
    """Give a message a number and the sender's clock."""
    n, number = threads(s), s.g[G.RACE_FREE]
    m = s.race_messages
    s.g[G.RACE_FREE] = m[number, M.NEXT]
    m[number, M.SENDER], m[number, M.ROW], m[number, M.COUNTED] = me, row, 0
    copy(s.race_message, number * n, s.race_clock, me * n, n)
    next_epoch(s, me, n)
    return number


@inlined
def open_message(s: State, me: int, row: int) -> int:
    """What a header carries above its target; nothing when the check is off."""
    if s.g[G.RACES] == 0:
        return int64(0)
    return begin_message(s, me, row) << MESSAGE_BITS


@jit
def close_message(s: State, tile: int) -> None:
    """The last element has arrived."""
    number = s.race_current[tile]
    s.race_messages[number, M.NEXT] = s.g[G.RACE_FREE]
    s.g[G.RACE_FREE] = number


@jit
def check_stored(s: State, tile: int, cell: int, at: int, number: int) -> None:
    """Whether the sender of a message knows that all use of a word is over."""
    n, units, shadow = threads(s), s.g[G.UNITS], s.race_shadow
    knows, first = number * n, tile * units
    sender, row = s.race_messages[number, M.SENDER], s.race_messages[number, M.ROW]
    writer, tag = shadow[cell + WRITER], shadow[cell + WRITTEN]
    if writer >= STORED:  # one sender's stores arrive in order
        other = writer & ((1 << PLACE) - 1)
        if other != sender:
            report(
                s, Does.STORE, other // units, tag & ROW_MASK, Does.STORE, sender // units, row,
                tile, at,
            )  # fmt: skip
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


@jit
def stored(s: State, tile: int, at: int, size: int, semaphore: int) -> None:
    """An element of the message that this tile receives is written and counted."""
    units, shift, number = s.g[G.UNITS], s.g[G.RACE_SHIFT], s.race_current[tile]
    c, place = s.race_counts, tile * s.g[G.SEMAPHORES] + semaphore
    sender, row = s.race_messages[number, M.SENDER], s.race_messages[number, M.ROW]
    c[place, N.STORES] += 1
    low, high = at >> shift, (at + size - 1) >> shift
    for granule in range(low, high + 1):
        cell = (tile * (s.g[G.BYTES] >> shift) + granule) * (READS + units)
        check_stored(s, tile, cell, at, number)
        s.race_shadow[cell + WRITER] = STORED | semaphore << PLACE | sender
        s.race_shadow[cell + WRITTEN] = c[place, N.STORES] << ROW_BITS | row
    if c[place, N.SENDER] == 0:
        c[place, N.SENDER], c[place, N.LOW], c[place, N.HIGH] = sender + 1, low, high
    else:
        c[place, N.LOW] = min(c[place, N.LOW], low)
        c[place, N.HIGH] = max(c[place, N.HIGH], high)
        if c[place, N.SENDER] != sender + 1:
            c[place, N.SENDER] = -1
    if s.race_messages[number, M.COUNTED] == 0:
        s.race_messages[number, M.COUNTED] = 1
        counted(s, tile, place, number)


@jit
def counted(s: State, tile: int, place: int, number: int) -> None:
    """The first count of a message: could it have come before a wait that relied on others?"""
    n, main, c = threads(s), tile * s.g[G.UNITS], s.race_counts
    sender, row = s.race_messages[number, M.SENDER], s.race_messages[number, M.ROW]
    relied = c[place, N.WAIT_SENDER]
    other = relied != 0 and relied != sender + 1
    if other and s.race_message[number * n + main] < c[place, N.WAIT_EPOCH]:
        if c[place, N.USED] != 0:
            semaphore = place - tile * s.g[G.SEMAPHORES]
            report(
                s, Does.WAIT, 0, c[place, N.WAIT_ROW], Does.STORE, sender // s.g[G.UNITS], row,
                tile, semaphore,
            )  # fmt: skip
        elif c[place, N.EARLY] == 0:
            c[place, N.EARLY], c[place, N.EARLY_FROM] = row + 1, sender // s.g[G.UNITS]
    join(s.race_counted, place * n, s.race_message, number * n, n)


@jit
def known(s: State, tile: int, semaphore: int, most: int) -> None:
    """The main thread knows of the first ``most`` stores on a semaphore: as if it had written."""
    n, main, units = threads(s), tile * s.g[G.UNITS], s.g[G.UNITS]
    place, shift, shadow = tile * s.g[G.SEMAPHORES] + semaphore, s.g[G.RACE_SHIFT], s.race_shadow
    epoch = int64(s.race_clock[main * n + main]) << ROW_BITS
    for granule in range(s.race_counts[place, N.LOW], s.race_counts[place, N.HIGH] + 1):
        cell = (tile * (s.g[G.BYTES] >> shift) + granule) * (READS + units)
        unknown = shadow[cell + WRITER] >> PLACE == STORED >> PLACE | semaphore
        if unknown and shadow[cell + WRITTEN] >> ROW_BITS <= most:
            shadow[cell + WRITER] = KNOWN | semaphore << PLACE
            shadow[cell + WRITTEN] = epoch | (shadow[cell + WRITTEN] & ROW_MASK)


@jit
def signalled(s: State, tile: int, semaphore: int, count: int) -> None:
    """The main thread adds to a semaphore."""
    s.race_counts[tile * s.g[G.SEMAPHORES] + semaphore, N.MAIN] += count


@jit
def waited(s: State, tile: int, row: int, semaphore: int, count: int) -> None:
    """The main thread has taken ``count``: it knows of what must have been counted for that."""
    if count == 0:
        return
    n, main, c = threads(s), tile * s.g[G.UNITS], s.race_counts
    place = tile * s.g[G.SEMAPHORES] + semaphore
    c[place, N.TAKEN] += count
    sure = c[place, N.TAKEN] - c[place, N.MAIN] - c[place, N.UNITS]
    relied, pending = c[place, N.SENDER], False
    for unit in range(1, s.g[G.UNITS]):
        pending |= s.race_pending[main + unit] == semaphore + 1
    if sure == c[place, N.STORES]:  # all that was ever added is taken
        for unit in range(1, s.g[G.UNITS]):
            if s.race_pending[main + unit] == semaphore + 1:
                join(s.race_clock, main * n, s.race_clock, (main + unit) * n, n)
                s.race_pending[main + unit] = 0
        if c[place, N.SENDER] != 0:
            known(s, tile, semaphore, c[place, N.STORES])
            join(s.race_clock, main * n, s.race_counted, place * n, n)
            c[place, N.SENDER] = 0
    elif relied > 0 and not pending:  # one sender, whose stores arrive in order
        known(s, tile, semaphore, sure)
    else:
        return
    c[place, N.WAIT_SENDER] = -1 if pending else relied
    c[place, N.WAIT_EPOCH] = s.race_clock[main * n + main]
    c[place, N.WAIT_ROW] = row
    c[place, N.USED], c[place, N.EARLY] = 1 if pending else 0, 0  # what a unit used is not marked
