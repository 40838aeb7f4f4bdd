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
from wsc.runtime.clocked.records import FLAT, OPERANDS, WHEEL, fields
from wsc.runtime.observations.records import (
    NEVER,
    Fault,
    Mode,
    Reason,
    Status,
)

__all__ = ["NEVER", "OPERANDS", "TABLES", "WHEEL", "Does", "Fault", "Mode", "Reason", "Status"]


class Does(IntEnum):
    """What a unit does with a word, a queue or a count."""

    READ = 0
    WRITE = 1
    STORE = 2  # a remote store
    TAKE = 3
    PUT = 4
    WAIT = 5  # for counts that a STORE may give in another's place


RUN = np.dtype(  # the run
    clocked.RUN
    + fields(
        # Tiles and ports on the current lists, and which of the two lists each is.
        "routers",
        "which",
        "ports",
        "port_which",
        "shuffle",  # seed of a random order of visits, 0 for none
        # Races.
        "races",  # room for findings; 0 when races are not looked for
        "race_count",
        "race_free",  # first free message
        "race_shift",  # of an address to its granule, the program's smallest element
        # Causes.
        "causes",  # room for events; 0 when no causes are kept
        "event_count",  # events so far
        "moving",  # the event that lets the wavelet go on that is moved now, or -1
        "moving_time",  # the cycle of that deed
        "captures",  # whether words of SRAM are to be kept
    )
)

TILE = np.dtype(  # a tile
    clocked.TILE
    + fields(
        "ready",  # mask of slots whose input buffer may be able to move
        "rising",  # mask of slots whose output queue may be able to move
        "listed",  # on the current list of routers
    )
)


CELL = np.dtype(  # a place of a FIFO
    [
        ("time", np.int64),  # cycle from which its wavelet can be seen, or it can be filled again
        ("value", np.int32),
        ("control", np.int32),  # what a control wavelet asks for; 0 for data
    ]
)


COUNT = np.dtype(  # what was added to a semaphore, by whom, and what waits took
    fields(
        "main",
        "units",  # issued, done or not
        "stores",
        "taken",
        # The stores that no wait knows of yet.
        "sender",  # thread + 1, 0 none, -1 several
        "low",  # granules that they are in
        "high",
        # The last wait that knew of stores or units.
        "wait_epoch",  # of the main thread
        "wait_row",
        "wait_sender",  # whom it relied on, as ``sender``; -1 also for units
        "used",  # whether words that it was for have been used since
        # A store that could have been counted for that wait in another's place.
        "early",  # its row + 1
        "early_from",  # the tile that sent it
    )
)

STORE = np.dtype(  # a message under way
    fields(
        "sender",
        "row",
        "next",  # free message
        "counted",  # whether an element has arrived
    )
)

END = np.dtype(  # an end of a core's queue: who used it last
    fields(
        "thread",  # and 1 more; 0 for no one
        "tag",  # epoch and row, see ``races``
    )
)

FINDING = np.dtype(  # a race: who did what before, and who now
    fields(
        "did",
        "who",  # unit of the tile; for a remote store the sending tile
        "row",
        "does",
        "now_who",
        "now_row",
        "tile",
        "at",  # byte address, color slot, or semaphore
        "cycle",
    )
)

EVENT = np.dtype(  # a stretch of a doer's time; see ``causes``
    fields(
        "number",  # of all events; -1 where there is none
        "begin",
        "cause",  # the event that let it begin, or -1
        "left",  # the cycle in which that one did so
        "waited",  # cycles before it began, each time
        "who",  # unit, or edge queue behind all units
        "row",  # of the code; of an edge queue the record
        "statement",
        "reason",  # what it waited for, as a unit does
        "what",
    )
)

DOER = np.dtype(  # a unit or edge queue
    fields(
        "event",  # its last one, or -1
        "reason",  # what it waits for, or waited for until now
        "what",
        "since",  # of an edge queue: the cycle after its last wavelet
        "end",  # the cycle after its last deed
    )
)

ORIGIN = np.dtype(  # of a wavelet, a free cell, a count
    fields(
        "event",  # -1 if nobody is known
        "time",  # cycle of the deed
        "freed",  # of a free cell: cycle in which its wavelet was dropped
    )
)

CAPTURE = np.dtype(  # what is kept of a stay at a statement
    fields(
        "address",  # word of a tile's SRAM
        "words",
        "first",  # of the words kept of tile 0
    )
)

# Every table: type of its elements, and columns. In compiled functions they are attributes.
LINK = np.dtype(  # a link between two routers
    fields(
        "free",  # cycle from which it is
        "rest",  # thousandths of a cycle that wavelets have taken beyond whole ones
    )
)

TABLES: dict[str, tuple[Any, int]] = {
    **clocked.TABLES,
    "link": (LINK, FLAT),  # 6 * tile + side
    "now": (RUN, FLAT),  # one RUN
    # What instructions compute with.
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
    "turns": (np.int8, 6),  # last slot served on each link of a tile
    "wanted": (np.int64, FLAT),  # room for a router: the colors that could use each link
    "active": (np.int64, FLAT),  # two lists of tiles whose routers may be able to move
    # The edge.
    "tensors": (np.int64, FLAT),  # address of each edge tensor
    "port_mask": (np.int64, FLAT),  # queues of a port that may be able to feed
    "port_listed": (np.int8, FLAT),
    "port_active": (np.int64, FLAT),
    "lookup_value": (np.int64, FLAT),
    # Causes; see ``causes``.
    "events": (EVENT, FLAT),  # a ring
    "doers": (DOER, FLAT),
    "cell_causes": (ORIGIN, FLAT),  # of the wavelet in a cell, or of its freedom
    "pop_causes": (ORIGIN, FLAT),  # of each FIFO: of its last drop
    "switch_causes": (ORIGIN, FLAT),  # of each router buffer: of its last control wavelet
    "count_causes": (ORIGIN, FLAT),  # of each semaphore: of what was added last
    "lookup_causes": (ORIGIN, FLAT),
    "kept_causes": (ORIGIN, FLAT),  # of each edge tensor: of the last element drained into it
    "message_causes": (ORIGIN, FLAT),  # of each cell of the dynamic network
    # Captures; see ``captures``.
    "captured_at": (np.int64, FLAT),  # of each stay at a statement: its capture, or -1
    "capture": (CAPTURE, FLAT),
    "captured": (np.int32, FLAT),  # words
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
    "race_ends": (END, FLAT),  # for each slot: who took last from its input queue, and put
    "race_found": (FINDING, FLAT),
}
