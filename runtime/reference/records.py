"""The state of the reference engine: named records and tables, from one schema.

A *slot* is a color with a route in a tile: a router's input buffer, and the core's queues of that
color. A *FIFO* is one of these, in cells. A *unit* is the main thread of a tile or one of its
stream units, ``tile * units + unit``. Columns of the tables that come with the image are in
``wsc.runtime.tables``, ``routes`` and ``schedule``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from wsc.runtime.clocked import records as clocked
from wsc.runtime.clocked.records import FLAT, OPERANDS, WHEEL, Counts
from wsc.runtime.observations.records import (
    NEVER,
    Fault,
    Mode,
    Reason,
    Status,
)

__all__ = ["NEVER", "TABLES", "WHEEL", "Counts", "Does", "Fault", "Mode", "Reason", "Status"]


class Does(IntEnum):
    """What a unit does with a word, a queue or a count."""

    READ = 0
    WRITE = 1
    STORE = 2  # a remote store
    TAKE = 3
    PUT = 4
    WAIT = 5  # for counts that a STORE may give in another's place


RUN = np.dtype(  # the run
    [
        *clocked.RUN,
        ("routers", np.int64),  # tiles in the current list of routers
        ("which", np.int64),  # of the two lists is the current one
        ("ports", np.int64),
        ("port_which", np.int64),
        ("shuffle", np.int64),  # seed of a random order of visits, 0 for none
        ("races", np.int64),  # room for findings; 0 when races are not looked for
        ("race_count", np.int64),
        ("race_free", np.int64),  # first free message
        ("race_shift", np.int64),  # of an address to its granule, the program's smallest element
    ]
)

TILE = np.dtype(  # a tile
    [
        *clocked.TILE,
        ("ready", np.int64),  # mask of slots whose router buffer may be able to move
        ("rising", np.int64),  # mask of slots whose output queue may be able to move
        ("listed", np.int64),
    ]
)


TRAIT = np.dtype(  # what the steps of an instruction add to
    [("counts", np.int64), ("macs", np.int64), ("bytes", np.int64)]  # a ``Counts``; bytes of SRAM
)


CELL = np.dtype(  # a place of a FIFO
    [
        ("time", np.int64),  # cycle from which its wavelet can be seen, or it can be filled again
        ("value", np.int32),
        ("control", np.int32),  # what a control wavelet asks for; 0 for data
    ]
)


COUNT = np.dtype(  # what was added to a semaphore, by whom, and what waits took
    [
        ("main", np.int64),
        ("units", np.int64),  # issued, done or not
        ("stores", np.int64),
        ("taken", np.int64),
        ("sender", np.int64),  # of the stores not yet known: thread + 1, 0 none, -1 several
        ("low", np.int64),  # granules that they lie in
        ("high", np.int64),
        (
            "wait_epoch",
            np.int64,
        ),  # main thread's epoch and row at the last wait that knew of stores or units
        ("wait_row", np.int64),
        ("wait_sender", np.int64),  # whom that wait relied on, as SENDER; -1 also for units
        ("used", np.int64),  # whether words that this wait was for have been used since
        (
            "early",
            np.int64,
        ),  # row + 1 of a store that could have been counted for it in another's place
        ("early_from", np.int64),  # the tile that sent it
    ]
)

STORE = np.dtype(  # a message under way
    [
        ("sender", np.int64),
        ("row", np.int64),
        ("next", np.int64),  # free message
        ("counted", np.int64),  # whether an element has arrived
    ]
)

FINDING = np.dtype(  # a race: who did what before, and who now
    [
        ("did", np.int64),
        ("who", np.int64),  # unit of the tile; for a remote store the sending tile
        ("row", np.int64),
        ("does", np.int64),
        ("now_who", np.int64),
        ("now_row", np.int64),
        ("tile", np.int64),
        ("at", np.int64),  # byte address, color slot, or semaphore
        ("cycle", np.int64),
    ]
)

# Every table: type of its elements, and columns. In compiled functions they are attributes.
TABLES: dict[str, tuple[Any, int]] = {
    **clocked.TABLES,
    "now": (RUN, FLAT),  # one RUN
    # The code: see wsc.runtime.tables.
    "traits": (TRAIT, FLAT),
    "literals": (np.int32, 3),  # bits of each literal, for each of the three types
    "half": (np.float32, FLAT),  # the f32 of each f16 encoding
    "at": (np.int64, FLAT),  # room for a line of steps: the address of each operand
    "go_on": (np.int64, FLAT),  # and its stride
    # Cores.
    "sram": (np.int32, FLAT),  # of all tiles, as words
    "halves": (np.uint16, FLAT),  # the same as 16-bit words
    "tile": (TILE, FLAT),
    "unit_held": (np.int64, OPERANDS),  # the bits of its element, if that is held
    # Routers.
    "cells": (CELL, FLAT),
    "active": (np.int64, FLAT),  # two lists of tiles whose routers may be able to move
    # The edge.
    "tensors": (np.int64, 2),  # address, and whether its elements are f16
    "port_mask": (np.int64, FLAT),  # queues of a port that may be able to feed
    "port_listed": (np.int8, FLAT),
    "port_active": (np.int64, FLAT),
    "lookup_value": (np.int64, FLAT),
    # Races; see ``races``.
    "race_shadow": (np.int64, FLAT),  # for each granule: writer, its tag, a tag for each reader
    "race_clock": (np.int32, FLAT),  # for each thread: the epochs of all threads that it knows
    "race_cell": (np.int32, FLAT),  # the same for each wavelet, by cell
    "race_message": (np.int32, FLAT),  # for each message
    "race_counted": (np.int32, FLAT),  # for each semaphore: what its remote stores knew
    "race_messages": (STORE, FLAT),
    "race_counts": (COUNT, FLAT),
    "race_pending": (np.int64, FLAT),  # of each unit: semaphore + 1 that main does not know of
    "race_current": (np.int64, FLAT),  # for each tile: the message that arrives
    "race_queue": (np.int64, 4),  # for each slot: thread + 1 and tag of who took last, and put
    "race_found": (FINDING, FLAT),
}
