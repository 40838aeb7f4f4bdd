"""The state of a run for time: named records and tables, from one schema.

A *slot* is a color with a route in a tile: a router buffer, and the core's queues of that color. A
*FIFO* is a router buffer or a queue of a core; its cells hold cycles, and no values. A *link* is
``tile * 6 + side``: north, east, south, west, to the core, from the core. A *unit* is the main
thread of a tile or one of its stream units, ``tile * units + unit``. Columns of the tables that
come with the image are in ``wsc.runtime.tables``, ``routes`` and ``schedule``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.runtime.clocked import records as clocked
from wsc.runtime.clocked.records import FLAT, WHEEL, Counts
from wsc.runtime.observations.records import (
    NEVER,
    Fault,
    Mode,
    Reason,
    Status,
)

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
LATE_BUCKETS = 1024  # of slots that were put off, by the cycle in which they could do something
LARGEST = 1 << 16  # branches of a tree
DEEPEST = 8  # FIFO that a branch of a tree has room for


RUN = np.dtype(  # the run
    [
        *clocked.RUN,
        ("unit_turns", np.int64),  # units that may yet go on before the routers have their turn
        ("units_stacked", np.int64),  # tasks of units, from the end of the table down
        ("slots", np.int64),
        ("feeding", np.int64),  # ports that asked in this cycle
        ("begun", np.int64),
        ("unit_tasks", np.int64),  # first task of a unit
        ("port_tasks", np.int64),  # first task of a port
        ("free_in", np.int64),  # 1 if the edge's bandwidth is enough for all ports that feed
        ("free_out", np.int64),  # and for all that drain
        ("stacked", np.int64),  # tasks of routers and ports, from the start of the table up
        ("tasks_end", np.int64),  # size of the table of tasks
        ("late", np.int64),  # slots that were put off
        ("late_floor", np.int64),  # first bucket of those; the ones before it are empty
        ("remote", np.int64),  # mask of the semaphores that remote stores add to
        ("late_ports", np.int64),  # ports that were put off
        ("node", np.int64),  # first free node of the queue of events
    ]
)

TILE = np.dtype(  # a tile
    [
        *clocked.TILE,
        ("record", np.int64),  # next of the loaded registers that the run for values has recorded
    ]
)


LINK = np.dtype(  # a link
    [
        ("mask", np.int64),  # slots of the tile that could ever use it
        ("free", np.int64),  # cycle from which it is free
        ("rest", np.int64),  # thousandths of a cycle that wavelets have taken beyond whole ones
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
        ("sink", np.int64),  # simple, one operand from a queue, nothing sent on
        ("passes", np.int64),  # simple, one operand from a queue, its result into one
        (
            "leave",
            np.int64,
        ),  # least cycles from a row to the end of the innermost loop, or of its procedure
        ("around", np.int64),  # the row that ends the innermost loop around it, or -1
        ("turn", np.int64),  # of such an end: least cycles of a turn
    ]
)

BRANCH = np.dtype(  # a router buffer of a tree; see ``trees``
    [
        ("slot", np.int64),
        ("parent", np.int64),  # branch that sends to it, or -1
        ("link", np.int64),  # over which link
        ("way", np.int64),  # cycles over it
        ("free", np.int64),  # cycle from which that link is free
        ("rest", np.int64),  # see ``LINK``
        ("safe", np.int64),  # until which it is the slot's own
        ("time", np.int64),  # cycle in which its wavelet can leave
        ("popped", np.int64),  # and in which it has left everywhere
        ("unit", np.int64),  # row of the unit that takes its wavelets, or -1
        ("rows", np.int64),  # that this unit could execute
        ("cycles", np.int64),  # of each
        ("ready", np.int64),  # cycle from which it can go on
        ("ramp_free", np.int64),
        ("ramp_safe", np.int64),
        ("cells", np.int64),  # of the buffer
        ("cell", np.int64),  # that the next wavelet gets
        ("last", np.int64),  # that the last one got
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
    [("origin", np.int64), ("hops", np.int64)]  # the slot; cycles of the hops and turns
)

# Every table: type of its elements, and columns. In compiled functions they are attributes.
TABLES: dict[str, tuple[Any, int]] = {
    **clocked.TABLES,
    "now": (RUN, FLAT),  # one RUN
    # The code: see wsc.runtime.tables.
    "forms": (FORM, FLAT),
    "near": (np.int32, FLAT),  # [row, color]: least cycles to the next touch; see ``distance``
    "deciding": (np.int8, FLAT),  # [row]: whether what it loads decides anything
    "record": (np.int32, FLAT),  # what such rows loaded, tile by tile
    "record_first": (np.int64, FLAT),  # of each tile: its first entry there
    # Cores.
    "tile": (TILE, FLAT),
    # Routers.
    "cells": (CELL, FLAT),
    "occupied": (OCCUPIED, FLAT),
    "link": (LINK, FLAT),
    # The edge.
    "port_due": (np.int64, FLAT),
    "port_free": (np.int64, FLAT),  # cycle from which a port is free
    "port_owner": (np.int64, FLAT),  # queue that has a port for itself
    "port_safe": (np.int64, FLAT),  # until this cycle
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
}
