"""Columns of what is noted beside a run: races and traces. Empty tables when nobody asks."""

from __future__ import annotations

from enum import IntEnum


class Does(IntEnum):
    """What a unit does with a word, a queue or a count."""

    READ = 0
    WRITE = 1
    STORE = 2  # a remote store
    TAKE = 3
    PUT = 4
    WAIT = 5  # for counts that a STORE may give in another's place


class N(IntEnum):
    """Columns of the counts of a semaphore: what was added, by whom, and what waits took."""

    MAIN = 0
    UNITS = 1  # issued, done or not
    STORES = 2
    TAKEN = 3
    SENDER = 4  # of the stores not yet known: thread + 1, 0 none, -1 several
    LOW = 5  # granules that they lie in
    HIGH = 6
    WAIT_EPOCH = 7  # main thread's epoch and row at the last wait that knew of stores or units
    WAIT_ROW = 8
    WAIT_SENDER = 9  # whom that wait relied on, as SENDER; -1 also for units
    USED = 10  # whether words that this wait was for have been used since
    EARLY = 11  # row + 1 of a store that could have been counted for it in another's place
    EARLY_FROM = 12  # the tile that sent it


class Seen(IntEnum):
    """Columns of what was found: who did what before, and who now."""

    DID = 0
    WHO = 1  # unit of the tile; for a remote store the sending tile
    ROW = 2
    DOES = 3
    NOW_WHO = 4
    NOW_ROW = 5
    TILE = 6
    AT = 7  # byte address, color slot, or semaphore
    CYCLE = 8
    SIZE = 9


class M(IntEnum):
    """Columns of the messages under way."""

    SENDER = 0
    ROW = 1
    NEXT = 2  # free message
    COUNTED = 3  # whether an element has arrived


class E(IntEnum):
    """Columns of the entries (int64)."""

    BEGIN = 0
    LENGTH = 1
    STATE = 2
    ROW = 3
    STATEMENT = 4


class R(IntEnum):
    """Columns of the table of units that says where each one's entries lie (int64)."""

    FIRST = 0  # -1: not traced
    USED = 1
    LOST = 2  # entries for which there was no room
    SINCE = 3  # cycle of the first of those
