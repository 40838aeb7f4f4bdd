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

from wsc.runtime.observations.records import (
    ENTRY,
    NEVER,
    PASS,
    SEMAPHORE,
    STATEMENT,
    TALLY,
    TRACED,
    Fault,
    Mode,
    Reason,
    Status,
)
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import Hcol, Qcol, Rcol
from wsc.runtime.tables import MAX_DIMS, Col, Ocol

__all__ = ["NEVER", "TABLES", "WHEEL", "Counts", "Does", "Fault", "Mode", "Reason", "Status"]

WHEEL = 4096  # cycles that the wheel of tiles looks ahead
FLAT = 0  # columns of a table of one dimension
OPERANDS = 4


class Counts(IntEnum):
    """Which counter the steps of an instruction add to."""

    MACS_F32 = 4
    MACS_F16 = 5
    ELEMENTS = 6


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
        ("now", np.int64),
        ("dynamics", np.int64),
        ("dynamic_which", np.int64),
        ("last", np.int64),  # cycle after the last event
        ("error", np.int64),
        ("error_tile", np.int64),
        ("error_unit", np.int64),
        ("error_row", np.int64),
        ("error_a", np.int64),
        ("error_b", np.int64),
        ("credit_in", np.int64),
        ("credit_out", np.int64),
        ("credit_time", np.int64),
        ("turn_in", np.int64),
        ("turn_out", np.int64),
        ("requests", np.int64),
        ("queues_left", np.int64),
        ("bytes_in", np.int64),
        ("bytes_out", np.int64),
        ("moved", np.int64),  # elements that crossed the edge
        ("seed", np.int64),
        ("width", np.int64),
        ("height", np.int64),
        ("ramp", np.int64),
        ("io", np.int64),
        ("units", np.int64),
        ("registers", np.int64),
        ("calls", np.int64),
        ("loops", np.int64),
        ("semaphores", np.int64),
        ("bytes", np.int64),
        ("colors", np.int64),
        ("issue", np.int64),
        ("depth", np.int64),  # of a dynamic buffer
        ("tiles", np.int64),
        ("queues", np.int64),
        ("port_count", np.int64),
        ("local", np.int64),  # cycle in which the unit that is being run is
        ("error_time", np.int64),
        (
            "late_floor",
            np.int64,
        ),  # first bucket of the slots that were put off; those before it are empty
        ("trace", np.int64),  # entries that each traced unit has room for; 0 when nothing is traced
        (
            "visits",
            np.int64,
        ),  # of units and routers, or instructions and rows, since the loop was entered
        (
            "error_turn",
            np.int64,
        ),  # of the fault among those at its tile in its cycle; see ``fault``
        ("parked", np.int64),  # never: this engine waits for no limit
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
        ("x", np.int64),
        ("y", np.int64),
        ("pc", np.int64),
        ("depth", np.int64),
        ("frame", np.int64),  # first register of the window
        ("statement", np.int64),
        ("wake", np.int64),
        ("next", np.int64),
        ("previous", np.int64),
        ("bucket", np.int64),
        ("region", np.int64),
        ("routing", np.int64),  # in the list of tiles with dynamic traffic
        ("top", np.int64),  # highest SRAM byte touched
        (
            "passing",
            np.int64,
        ),  # through a statement of main that it is in, or takes next; -1: not counted
        ("ready", np.int64),  # mask of slots whose router buffer may be able to move
        ("rising", np.int64),  # mask of slots whose output queue may be able to move
        ("listed", np.int64),
    ]
)

UNIT = np.dtype(  # a unit
    [
        ("mode", np.int64),
        ("wake", np.int64),
        ("reason", np.int64),
        ("since", np.int64),
        ("what", np.int64),  # slot, semaphore or unit that it waits for
        ("row", np.int64),
        ("left", np.int64),  # rows to go
        ("cycles", np.int64),  # cycles of a row
        ("steps", np.int64),  # steps of a row
        ("statement", np.int64),
        ("target", np.int64),
        ("phase", np.int64),
        ("length", np.int64),  # cycles of an instruction without fabric operand, from its start
        ("need", np.int64),  # count that a wait needs
    ]
)

TRAIT = np.dtype(  # what the steps of an instruction add to
    [("counts", np.int64), ("bytes", np.int64)]  # a ``Counts``; bytes of SRAM
)

BUFFER = np.dtype(  # an input buffer of the dynamic network
    [
        ("head", np.int64),
        ("count", np.int64),
        ("popped", np.int64),
        ("output", np.int64),  # output that the message under way takes, or -1
        ("pushed", np.int64),
    ]
)

CELL = np.dtype(  # a place of a FIFO
    [
        ("time", np.int64),  # cycle from which its wavelet can be seen, or it can be filled again
        ("value", np.int32),
        ("control", np.int32),  # what a control wavelet asks for; 0 for data
    ]
)

LOCK = np.dtype(  # the ramp queue of the dynamic network
    [
        ("unit", np.int64),  # that holds it, or -1
        ("released", np.int64),  # in that cycle
    ]
)

MESSAGE = np.dtype(  # that arrives at a tile: where its next element goes
    [("address", np.int64), ("stride", np.int64), ("kind", np.int64), ("semaphore", np.int64)]
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
    "now": (RUN, FLAT),  # one RUN
    # The code: see wsc.runtime.tables.
    "rows": (np.int32, len(Col)),
    "operands": (np.int32, len(Ocol)),
    "refs": (np.int32, 5),
    "lists": (np.int32, FLAT),
    "registers": (np.int32, FLAT),
    "pool": (np.int32, FLAT),
    "timing": (np.int64, 5),
    "regions": (np.int32, 4),
    "traits": (TRAIT, FLAT),
    "literals": (np.int32, 3),  # bits of each literal, for each of the three types
    "half": (np.float32, FLAT),  # the f32 of each f16 encoding
    "operations": (np.int64, 2),  # addresses of compiled value functions
    "domains": (np.int64, FLAT),  # [opcode]: address of what looks at integer operands, or 0
    "words": (np.int32, FLAT),  # room for an operation: its result and its operands
    "at": (np.int64, FLAT),  # room for a line of steps: the address of each operand
    "go_on": (np.int64, FLAT),  # and its stride
    # Cores.
    "sram": (np.int32, FLAT),  # of all tiles, as words
    "halves": (np.uint16, FLAT),  # the same as 16-bit words
    "tile": (TILE, FLAT),
    "unit": (UNIT, FLAT),
    "unit_slot": (np.int64, OPERANDS),  # of each operand of a unit's instruction: its slot, or -1
    "unit_base": (np.int64, OPERANDS),  # its first address
    "unit_held": (np.int64, OPERANDS),  # the bits of its element, if that is held
    "unit_index": (np.int64, MAX_DIMS),
    "unit_extent": (np.int64, MAX_DIMS),
    "unit_stride": (np.int64, OPERANDS * MAX_DIMS),  # 4 * dimension + operand
    "regs": (np.int32, FLAT),  # [tile, register]
    "frames": (np.int64, FLAT),  # [tile, calls]: row to return to, and frame
    "loops": (np.int64, FLAT),  # [tile, calls, nest]: turns
    "semaphores": (SEMAPHORE, FLAT),
    "wheel": (np.int64, FLAT),  # first tile of each cycle
    "due": (np.int64, FLAT),
    # Routers.
    "slots": (np.int32, int(Scol.GUIDED) + 1),
    "slot_first": (np.int32, FLAT),
    "slot_of": (np.int32, FLAT),  # [tile, color]
    "positions": (np.int32, 2),
    "fifos": (np.int64, len(Fcol)),
    "cells": (CELL, FLAT),
    "turns": (np.int8, 6),  # last slot served on each link of a tile
    "active": (np.int64, FLAT),  # two lists of tiles whose routers may be able to move
    # The edge.
    "tensors": (np.int64, 2),  # address, and whether its elements are f16
    "records": (np.int64, len(Rcol)),
    "shapes": (np.int64, Hcol.STEP + MAX_DIMS),
    "queues": (np.int64, Qcol.INDEX + MAX_DIMS),
    "port_first": (np.int64, FLAT),
    "port_turn": (np.int64, FLAT),
    "port_mask": (np.int64, FLAT),  # queues of a port that may be able to feed
    "port_listed": (np.int8, FLAT),
    "port_active": (np.int64, FLAT),
    "request_in": (np.int64, FLAT),
    "request_out": (np.int64, FLAT),
    "lookups": (np.int64, 3),
    "lookup_count": (np.int64, FLAT),
    "lookup_value": (np.int64, FLAT),
    "lookup_time": (np.int64, FLAT),
    # The dynamic network.
    "dyn": (BUFFER, FLAT),
    "dyn_value": (np.int64, FLAT),
    "dyn_kind": (np.int8, FLAT),
    "dyn_time": (np.int64, FLAT),
    "dyn_hold": (np.int8, 10),  # input that holds each output, or -1; then the last served
    "dyn_message": (MESSAGE, FLAT),
    "dyn_lock": (LOCK, FLAT),
    "dyn_active": (np.int64, FLAT),
    # What is counted and recorded.
    "counted": (np.int64, FLAT),
    "counters": (TALLY, FLAT),
    "statements": (STATEMENT, FLAT),
    "passes": (PASS, FLAT),
    "moves": (np.int64, 6),  # wavelets of a slot over each link
    "lost": (np.int64, 6),  # and cycles that it lost to other colors there
    "dyn_links": (np.int64, 5),
    "traced": (TRACED, FLAT),
    "trace": (ENTRY, FLAT),
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
