"""What both engines with a clock have in their state: fields, records and tables.

A *slot* is a color with a route in a tile: a router's input buffer, and the core's queues of that
color. A *FIFO* is one of these, in cells. A *unit* is the main thread of a tile (0) or one of its
stream units; its number among those of all tiles, ``tile * units + unit``, is a *thread*. The
records of the tables that come with the image are in ``wsc.runtime.tables``, ``routes`` and
``schedule``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from wsc.runtime.observations.records import (
    ENTRY,
    NEVER,
    SEMAPHORE,
    STATEMENT,
    STAY,
    TALLY,
    TRACED,
    Fault,
    Mode,
    Reason,
    Status,
)
from wsc.runtime.routes import FIFO, POSITION, SLOT
from wsc.runtime.schedule import LOOKUP, QUEUE, RECORD, SHAPE
from wsc.runtime.tables import MAX_DIMS, OPERAND, REFERENCE, REGION, ROW, TIMING

__all__ = [
    "APPOINTMENT",
    "BUFFER",
    "DYNAMIC_CELL",
    "FLAT",
    "FRAME",
    "LOCK",
    "MESSAGE",
    "MOST_VISITS",
    "NEVER",
    "OPERANDS",
    "OUTPUT",
    "RUN",
    "SIDES",
    "TABLES",
    "TILE",
    "TRAIT",
    "UNIT",
    "WHEEL",
    "Counts",
    "Fault",
    "Mode",
    "Reason",
    "Status",
    "fields",
]

WHEEL = 4096  # cycles that the wheels of an engine look ahead
FLAT = 0  # columns of a table of one dimension
OPERANDS = 4  # of an instruction, at most
SIDES = 5  # of a dynamic router: N, E, S, W and the core; it has an input and an output on each
MOST_VISITS = 200_000  # before a loop returns, whatever the cycle: an interrupt must be heard


class Counts(IntEnum):
    """Which counter the steps of an instruction add to."""

    MACS_F32 = 4
    MACS_F16 = 5
    ELEMENTS = 6


def fields(*names: str) -> list[tuple[str, Any]]:
    """Fields of a record, each a number of 64 bits."""
    return [(name, np.int64) for name in names]


RUN = fields(  # of the run
    # Time.
    "now",  # the cycle
    "local",  # the cycle in which the unit is that is being run
    "last",  # the last cycle in which something happened
    "visits",  # of units and routers, or instructions and rows, since the loop was entered
    "seed",  # of random delays; 0 for none
    # The first fault; see ``fault``.
    "error",
    "error_time",
    "error_tile",
    "error_unit",
    "error_row",
    "error_turn",  # among those at its tile in its cycle
    "error_value",  # what was found, for its sentence
    "error_bound",  # and what it is held against
    # The edge.
    "credit_in",  # bytes that may still be fed, and drained
    "credit_out",
    "credit_time",  # cycle up to which they were given
    "turn_in",  # port that was served last
    "turn_out",
    "requests",  # ports that ask to drain in this cycle
    "queues_left",  # edge queues with transfers to do
    "bytes_in",
    "bytes_out",
    "moved",  # elements that crossed the edge
    # The dynamic network: tiles on the current list, and which of the two lists that is.
    "dynamics",
    "dynamic_which",
    # The machine.
    "width",
    "height",
    "tiles",
    "colors",
    "units",  # of a tile, main thread included
    "registers",
    "calls",  # deepest
    "loops",  # deepest in a call
    "semaphores",
    "bytes",  # of SRAM that the program's data take
    "issue",  # cycles
    "ramp",  # cycles
    "io",  # bytes in a cycle and direction
    "depth",  # wavelets between two routers of the dynamic network
    "stages",  # of these, on the way to the buffer
    "hop",  # cycles from one router to the next
    "turn",  # cycles more from one axis to the other
    "link_cycles",  # whole cycles that a wavelet takes a link
    "link_rest",  # and thousandths of one
    "taken",  # cycles of a branch that is taken
    "jump",  # of one that always is: what that adds
    "back",  # from the end of a turn to the next turn
    "dependent",  # least cycles of a step that takes the result of the one before
    "conflict",  # thousandths of a row's cycles where operands meet in the banks
    "banks",  # of SRAM
    "bank_bytes",
    "queues",  # of the edge
    "port_count",
    # The trace.
    "trace",  # entries that each traced unit has room for; 0 when nothing is traced
    "trace_from",  # first cycle that is traced
    "trace_until",  # and the first behind it that is not
)

TILE = fields(  # of a tile
    "x",  # in its region
    "y",
    "region",
    # The main thread.
    "pc",  # row of the code
    "depth",  # calls that it is in
    "frame",  # first register of the window
    "statement",  # of main, or -1
    "entered",  # cycle in which it came to that statement
    "stay",  # at a statement: the one that it is in, or comes to next; -1: not counted
    "top",  # highest SRAM byte touched
)

# When a tile is visited next, and its neighbours in that cycle's list. Apart from the rest of a
# tile and small: these lists are gone through in no order, and a cache has room for all of them.
APPOINTMENT = np.dtype(
    [
        ("time", np.int64),
        ("bucket", np.int32),  # of the wheel, or -1; see ``schedule``
        ("next", np.int32),
        ("previous", np.int32),
    ],
    align=True,
)

UNIT = np.dtype(  # a line of the processor's cache: most of what is visited is units
    [
        ("wake", np.int64),  # cycle in which it has something to do, or NEVER
        # What it waits for.
        ("since", np.int64),  # cycle
        ("need", np.int64),  # count that a wait needs
        ("what", np.int32),  # slot, semaphore or unit
        # The instruction.
        ("row", np.int32),  # of the code
        ("left", np.int64),  # rows to go
        ("cycles", np.int64),  # of a row
        ("steps", np.int32),  # of a row: ``MOST_ROW`` at most
        ("statement", np.int32),  # of main, that it is for
        ("target", np.int32),  # tile that a send goes to
        ("phase", np.int8),  # what of its message comes next
        ("reason", np.int8),  # why it waits: a ``Reason``
        ("mode", np.int8),  # what it is doing: a ``Mode``
    ],
    align=True,
)

FRAME = np.dtype(  # of a call: where it returns to
    fields("row", "frame")
)

TRAIT = np.dtype(  # of an instruction: what each step adds to
    fields(
        "counts",  # a ``Counts``
        "macs",  # multiply-accumulates
        "bytes",  # of SRAM
    )
)

BUFFER = np.dtype(  # an input buffer of the dynamic network
    [
        ("popped", np.int64),  # cycle of the last pop
        ("pushed", np.int64),  # wavelets that ever entered
        ("head", np.int32),
        ("count", np.int32),
        ("output", np.int32),  # that the message under way takes, or -1
    ],
    align=True,
)

DYNAMIC_CELL = np.dtype(  # a place of such a buffer
    fields(
        "time",  # cycle from which its wavelet can be seen
        "value",
        "kind",  # header, element; see ``messages``
    )
)

OUTPUT = np.dtype(  # of a dynamic router, with its arbiter
    [
        ("holder", np.int8),  # input whose message holds it, or -1
        ("served", np.int8),  # input that was served last
    ]
)

LOCK = np.dtype(  # of the ramp queue of the dynamic network
    fields(
        "unit",  # that holds it, or -1
        "released",  # in that cycle
    )
)

MESSAGE = np.dtype(  # that arrives at a tile: where its next element goes
    fields("address", "stride", "kind", "semaphore")
)

# Tables that both engines have: type of the elements, and columns.
TABLES: dict[str, tuple[Any, int]] = {
    # The code: see wsc.runtime.tables.
    "rows": (ROW, FLAT),
    "operands": (OPERAND, FLAT),
    "refs": (REFERENCE, FLAT),
    "lists": (np.int32, FLAT),
    "registers": (np.int32, FLAT),
    "pool": (np.int32, FLAT),
    "traits": (TRAIT, FLAT),
    "timing": (TIMING, FLAT),
    "regions": (REGION, FLAT),
    "operations": (np.int64, 2),  # addresses of compiled value functions
    "domains": (np.int64, FLAT),  # [opcode]: address of what looks at integer operands, or 0
    "words": (np.int32, FLAT),  # room for an operation: its result and its operands
    # Cores.
    "unit": (UNIT, FLAT),
    "unit_slot": (np.int64, OPERANDS),  # of each operand of a unit's instruction: its slot, or -1
    "unit_base": (np.int64, OPERANDS),  # its first address
    "unit_index": (np.int64, MAX_DIMS),
    "unit_extent": (np.int64, MAX_DIMS),
    "unit_stride": (np.int64, OPERANDS * MAX_DIMS),  # OPERANDS * dimension + operand
    "regs": (np.int32, FLAT),  # [tile, register]
    "frames": (FRAME, FLAT),  # [tile, calls]
    "loops": (np.int32, FLAT),  # [tile, calls, nest]: turns
    "semaphores": (SEMAPHORE, FLAT),
    "wheel": (np.int64, FLAT),  # first tile of each cycle
    "appointments": (APPOINTMENT, FLAT),  # of each tile
    "due": (np.int64, FLAT),
    # Routers.
    "slots": (SLOT, FLAT),
    "slot_first": (np.int32, FLAT),
    "slot_of": (np.int32, FLAT),  # [tile, color]
    "positions": (POSITION, FLAT),
    "fifos": (FIFO, FLAT),
    # The edge.
    "records": (RECORD, FLAT),
    "shapes": (SHAPE, FLAT),
    "queues": (QUEUE, FLAT),
    "port_first": (np.int64, FLAT),
    "port_turn": (np.int64, FLAT),
    "request_in": (np.int64, FLAT),
    "request_out": (np.int64, FLAT),
    "short": (np.int8, FLAT),  # of each edge tensor: whether its elements are f16
    "lookups": (LOOKUP, FLAT),
    "lookup_count": (np.int64, FLAT),
    "lookup_time": (np.int64, FLAT),
    "awaited": (np.int64, FLAT),  # of each edge tensor: what is to be drained before it is fed
    # The dynamic network.
    "dynamic_inputs": (BUFFER, FLAT),  # SIDES * tile + side
    "dynamic_cells": (DYNAMIC_CELL, FLAT),  # of the input buffers, one after the other
    "dynamic_outputs": (OUTPUT, FLAT),  # SIDES * tile + side
    "dynamic_active": (np.int64, FLAT),  # two lists of tiles whose routers have wavelets
    "dynamic_waiting": (np.int8, FLAT),  # of each tile: mask of the inputs that have wavelets
    "dynamic_listed": (np.int8, FLAT),  # of each tile: whether it is on the list that is filled
    "ramp_locks": (LOCK, FLAT),
    "arriving": (MESSAGE, FLAT),
    # What is counted and recorded.
    "counted": (np.int64, FLAT),
    "counters": (TALLY, FLAT),
    "statements": (STATEMENT, FLAT),
    "stays": (STAY, FLAT),
    "moves": (np.int64, 6),  # wavelets of a slot over each link
    "lost": (np.int64, 6),  # and cycles that it lost to other colors there
    "stalls": (np.int64, 2),  # cycles that main waited for a slot: for its input, for room in it
    "waits": (np.int64, len(Reason)),  # cycles that main threads waited at a row of the code
    "dynamic_links": (np.int64, SIDES),
    "traced": (TRACED, FLAT),
    "trace": (ENTRY, FLAT),
    "traced_statements": (np.int8, FLAT),  # of each statement of main: whether it is traced
}
