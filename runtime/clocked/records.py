"""What both engines with a clock have in their state: fields, records and tables.

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
from wsc.runtime.tables import MAX_DIMS, Col, Ocol, Tcol

__all__ = [
    "BUFFER",
    "FLAT",
    "LOCK",
    "MESSAGE",
    "NEVER",
    "OPERANDS",
    "RUN",
    "TABLES",
    "TILE",
    "UNIT",
    "WHEEL",
    "Counts",
    "Fault",
    "Mode",
    "Reason",
    "Status",
]

WHEEL = 4096  # cycles that the wheels of an engine look ahead
FLAT = 0  # columns of a table of one dimension
OPERANDS = 4


class Counts(IntEnum):
    """Which counter the steps of an instruction add to."""

    MACS_F32 = 4
    MACS_F16 = 5
    ELEMENTS = 6


RUN: list[tuple[str, Any]] = [  # fields of the run
    ("now", np.int64),
    ("limit", np.int64),  # the time engine starts nothing from this cycle on
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
    ("depth", np.int64),  # wavelets between two routers of the dynamic network
    ("stages", np.int64),  # of these, on the way to the buffer
    ("hop", np.int64),  # cycles from one router to the next
    ("turn", np.int64),  # cycles more from one axis to the other
    ("link_cycles", np.int64),  # whole cycles that a wavelet takes a link
    ("link_rest", np.int64),  # and thousandths of one
    ("taken", np.int64),  # cycles of a branch that is taken
    ("jump", np.int64),  # of one that always is: what that adds
    ("back", np.int64),  # from the end of a turn to the next turn
    ("dependent", np.int64),  # least cycles of a step that takes the result of the one before
    ("conflict", np.int64),  # thousandths of a row's cycles where operands meet in the banks
    ("banks", np.int64),
    ("bank_bytes", np.int64),
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
]

TILE: list[tuple[str, Any]] = [  # fields of a tile
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
]

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

BUFFER = np.dtype(  # an input buffer of the dynamic network
    [
        ("head", np.int64),
        ("count", np.int64),
        ("popped", np.int64),
        ("output", np.int64),  # output that the message under way takes, or -1
        ("pushed", np.int64),
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

# Tables that both engines have: type of the elements, and columns.
TABLES: dict[str, tuple[Any, int]] = {
    # The code: see wsc.runtime.tables.
    "rows": (np.int32, len(Col)),
    "operands": (np.int32, len(Ocol)),
    "refs": (np.int32, 5),
    "lists": (np.int32, FLAT),
    "registers": (np.int32, FLAT),
    "pool": (np.int32, FLAT),
    "timing": (np.int64, int(Tcol.CYCLES) + 1),
    "regions": (np.int32, 4),
    "operations": (np.int64, 2),  # addresses of compiled value functions
    "domains": (np.int64, FLAT),  # [opcode]: address of what looks at integer operands, or 0
    "words": (np.int32, FLAT),  # room for an operation: its result and its operands
    # Cores.
    "unit": (UNIT, FLAT),
    "unit_slot": (np.int64, OPERANDS),  # of each operand of a unit's instruction: its slot, or -1
    "unit_base": (np.int64, OPERANDS),  # its first address
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
    "turns": (np.int8, 6),  # last slot served on each link of a tile
    # The edge.
    "records": (np.int64, len(Rcol)),
    "shapes": (np.int64, Hcol.STEP + MAX_DIMS),
    "queues": (np.int64, Qcol.INDEX + MAX_DIMS),
    "port_first": (np.int64, FLAT),
    "port_turn": (np.int64, FLAT),
    "request_in": (np.int64, FLAT),
    "request_out": (np.int64, FLAT),
    "lookups": (np.int64, 3),
    "lookup_count": (np.int64, FLAT),
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
}
