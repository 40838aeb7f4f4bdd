"""The state of a run for time: named records and tables, from one schema.

A *slot* is a color with a route in a tile: a router buffer, and the core's queues of that color. A
*FIFO* is a router buffer or a queue of a core; its cells hold cycles, and no values. A *link* is
``tile * 6 + side``: north, east, south, west, to the core, from the core. A *unit* is the main
thread of a tile or one of its stream units, ``tile * units + unit``. Columns of the tables that
come with the image are in ``wsc.runtime.tables``, ``routes`` and ``schedule``.
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

__all__ = [
    "FAR",
    "LATE_BUCKETS",
    "NEVER",
    "TABLES",
    "WHEEL",
    "Counts",
    "Fault",
    "Mode",
    "Reason",
    "Status",
]

FAR = 1 << 30  # cycles to what is never reached, or later than counts; see ``distance``
WHEEL = 4096  # cycles that the wheels of tiles and of links look ahead
LATE_BUCKETS = 1024  # of slots that were put off, by the cycle in which they could do something
LARGEST = 1 << 16  # branches of a tree
DEEPEST = 8  # FIFO that a branch of a tree has room for
FLAT = 0  # columns of a table of one dimension
OPERANDS = 4


class Counts(IntEnum):
    """Which counter the steps of an instruction add to."""

    MACS_F32 = 4
    MACS_F16 = 5
    ELEMENTS = 6


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
        ("limit", np.int64),  # no one starts anything from this cycle on
        (
            "late_floor",
            np.int64,
        ),  # first bucket of the slots that were put off; those before it are empty
        ("unit_turns", np.int64),  # units that may yet go on before the routers have their turn
        ("units_stacked", np.int64),  # tasks of units, from the end of the table down
        ("slots", np.int64),
        ("feeding", np.int64),  # ports that asked in this cycle
        ("begun", np.int64),
        ("parked", np.int64),  # something waits for nothing but the limit
        ("unit_tasks", np.int64),  # first task of a unit
        ("port_tasks", np.int64),  # first task of a port
        ("free_in", np.int64),  # 1 if the edge's bandwidth is enough for all ports that feed
        ("free_out", np.int64),  # and for all that drain
        ("trace", np.int64),  # entries that each traced unit has room for; 0 when nothing is traced
        (
            "visits",
            np.int64,
        ),  # of units and routers, or instructions and rows, since the loop was entered
        ("stacked", np.int64),  # tasks of routers and ports, from the start of the table up
        ("tasks_end", np.int64),  # size of the table of tasks
        ("late", np.int64),  # slots that were put off
        ("remote", np.int64),  # mask of the semaphores that remote stores add to
        ("late_ports", np.int64),  # ports that were put off
        (
            "error_turn",
            np.int64,
        ),  # of the fault among those at its tile in its cycle; see ``fault``
        ("node", np.int64),  # first free node of the queue of events
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
        ("record", np.int64),  # next of the loaded registers that the run for values has recorded
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

LINK = np.dtype(  # a link
    [
        ("mask", np.int64),  # slots of the tile that could ever use it
        ("free", np.int64),  # cycle from which it is free
        ("due", np.int64),  # cycle in which its contenders are looked at, or NEVER
        ("owner", np.int64),  # slot that has it for itself
        ("safe", np.int64),  # until this cycle
        ("far", np.int64),  # slots of the tile that do not want it
        ("until", np.int64),  # before this cycle, those that are far
    ]
)

FORM = np.dtype(  # what the rows of an instruction have in common
    [
        (
            "simple",
            np.int64,
        ),  # every queue advances with every row, and a row has one dimension at most
        ("input", np.int64),  # number of the first operand from a queue, or -1
        ("second", np.int64),  # of the second
        ("emits", np.int64),
        ("bytes", np.int64),  # of SRAM that a step touches
        ("sink", np.int64),  # simple, one operand from a queue, nothing sent on
        ("passes", np.int64),  # simple, one operand from a queue, its result into one
        (
            "leave",
            np.int64,
        ),  # least cycles from a row to the end of the innermost loop, or of its procedure
        ("around", np.int64),  # the row that ends the innermost loop around it, or -1
        ("turn", np.int64),  # of such an end: least cycles of a turn
        ("counts", np.int64),  # a ``Counts``
    ]
)

BRANCH = np.dtype(  # a router buffer of a tree; see ``trees``
    [
        ("slot", np.int64),
        ("parent", np.int64),  # branch that sends to it, or -1
        ("link", np.int64),  # over which link
        ("free", np.int64),  # cycle from which that link is free
        ("safe", np.int64),  # until which it is the slot's own
        ("time", np.int64),  # cycle in which its wavelet can leave
        ("popped", np.int64),  # and in which it has left everywhere
        ("unit", np.int64),  # row of the unit that takes its wavelets, or -1
        ("rows", np.int64),  # that this unit could execute
        ("cycles", np.int64),  # of each
        ("ready", np.int64),  # cycle from which it can go on
        ("ramp_free", np.int64),
        ("ramp_safe", np.int64),
        ("depth", np.int64),  # cells of the core's input queue
        ("next", np.int64),  # the next of them
    ]
)

STREAM = np.dtype(  # what hangs together: slots of a color whose wavelets could ever meet
    [
        ("first", np.int64),  # first of its slots in ``stream_slots``
        ("slots", np.int64),
        ("feeders", np.int64),  # first of its edge queues in ``stream_queues``
        ("queues", np.int64),
        ("safe", np.int64),  # nothing of it moves before this cycle
        ("look", np.int64),  # cycle of the next look
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

CELL = np.dtype(  # a place of a FIFO
    [
        ("time", np.int64),  # cycle from which its wavelet can be seen, or it can be filled again
        ("control", np.int64),  # what a control wavelet asks for; 0 for data
    ]
)
NODE = np.dtype(  # an event: a look at the contenders of a link or port
    [("item", np.int64), ("next", np.int64), ("due", np.int64)]
)
OCCUPIED = np.dtype(  # masks of a tile's slots
    [
        ("buffers", np.int64),  # with wavelets in their router buffers
        ("outputs", np.int64),  # and in their output queues
    ]
)
ORIGIN = np.dtype(  # where a slot's wavelets come from; see ``lookahead``
    [("origin", np.int64), ("hops", np.int64)]
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
    "forms": (FORM, FLAT),
    "near": (np.int32, FLAT),  # [row, color]: least cycles to the next touch; see ``distance``
    "operations": (np.int64, 2),  # addresses of compiled value functions
    "domains": (np.int64, FLAT),  # [opcode]: address of what looks at integer operands, or 0
    "words": (np.int32, FLAT),  # room for an operation: its result and its operands
    "deciding": (np.int8, FLAT),  # [row]: whether what it loads decides anything
    "record": (np.int32, FLAT),  # what such rows loaded, tile by tile
    "record_first": (np.int64, FLAT),  # of each tile: its first entry there
    # Cores.
    "tile": (TILE, FLAT),
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
    "cells": (CELL, FLAT),
    "turns": (np.int8, 6),  # last slot served on each link of a tile
    "occupied": (OCCUPIED, FLAT),
    "link": (LINK, FLAT),
    # The edge.
    "records": (np.int64, len(Rcol)),
    "shapes": (np.int64, Hcol.STEP + MAX_DIMS),
    "queues": (np.int64, Qcol.INDEX + MAX_DIMS),
    "halves": (np.int8, FLAT),  # of each tensor: whether its elements are f16
    "port_first": (np.int64, FLAT),
    "port_turn": (np.int64, FLAT),
    "port_due": (np.int64, FLAT),
    "port_free": (np.int64, FLAT),  # cycle from which a port is free
    "port_owner": (np.int64, FLAT),  # queue that has a port for itself
    "port_safe": (np.int64, FLAT),  # until this cycle
    "request_in": (np.int64, FLAT),
    "request_out": (np.int64, FLAT),
    "lookups": (np.int64, 3),
    "lookup_count": (np.int64, FLAT),
    "lookup_time": (np.int64, FLAT),
    # The dynamic network.
    "dyn": (BUFFER, FLAT),
    "dyn_value": (np.int64, FLAT),  # of headers: target; address, stride, type and semaphore
    "dyn_kind": (np.int8, FLAT),
    "dyn_time": (np.int64, FLAT),
    "dyn_hold": (np.int8, 10),  # input that holds each output, or -1; then the last served
    "dyn_message": (MESSAGE, FLAT),
    "dyn_lock": (LOCK, FLAT),
    "dyn_active": (np.int64, FLAT),
    # What may go on, and when.
    "origins": (ORIGIN, FLAT),
    "quiet": (np.int64, FLAT),  # of each slot: cycle before which its buffer stays empty
    "stream": (np.int64, FLAT),  # of each slot
    "streams": (STREAM, FLAT),
    "stream_slots": (np.int64, FLAT),
    "stream_queues": (np.int64, FLAT),
    "tasks": (np.int64, FLAT),  # slots, output queues, ports and units: two stacks
    "queued": (np.int8, FLAT),  # of each task: bits of ``basics.QUEUED``, ``LISTED``, ``LATE``
    "late": (np.int64, FLAT),  # of each slot that was put off: the next of its bucket; then ports
    "late_first": (np.int64, FLAT),  # of each bucket: its first slot, or -1
    "events": (np.int64, FLAT),  # wheel of links and ports: first node of each cycle
    "nodes": (NODE, FLAT),
    "unrest": (np.int64, FLAT),  # of each slot: where its tree was last seen not to rest
    "branches": (BRANCH, FLAT),
    "branch_cells": (np.int64, DEEPEST),  # cycle from which each cell of a buffer can be filled
    "branch_queue": (np.int64, DEEPEST),  # and of the core's input queue
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
