"""The state of a run: one tuple of flat arrays, and the columns of those that have some."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from wsc.runtime.engine.observed import E, M, N, R, Seen
from wsc.runtime.schedule import Hcol, Qcol, Rcol
from wsc.runtime.tables import MAX_DIMS, Col, Ocol

NEVER = 1 << 62
FAR = 1 << 30  # cycles to what is never reached, or later than counts; see ``distance``
WHEEL = 4096  # cycles that the timing wheel looks ahead
LATE_BUCKETS = 1024  # of slots that were put off, by the cycle in which they could do something


class T(IntEnum):
    """Columns of the tile table (int64)."""

    X = 0
    Y = 1
    PC = 2
    DEPTH = 3
    FRAME = 4  # first register of the window
    STATEMENT = 5
    WAKE = 6
    NEXT = 7
    PREVIOUS = 8
    BUCKET = 9
    READY = 10  # slots whose router buffer may be able to move
    RISING = 11  # slots whose output queue may be able to move
    LISTED = 12
    REGION = 13
    ROUTING = 14  # in the list of tiles with dynamic traffic
    TOP = 15  # highest SRAM byte touched
    PASS = 16  # through a statement of main that it is in, or takes next; -1: not counted


class U(IntEnum):
    """Columns of the unit table (int64), in the order of how often they are used."""

    MODE = 0
    WAKE = 1
    REASON = 2
    SINCE = 3
    WHAT = 4  # slot, semaphore or unit that it waits for
    ROW = 5
    LEFT = 6  # rows to go
    CYCLES = 7  # cycles of a row
    SLOT = 8  # of each operand: its queue's
    AT = 12  # addresses of the next row
    HELD = 16  # its value, if it is held
    STEPS = 20  # steps of a row
    STATEMENT = 21
    TARGET = 22
    PHASE = 23
    LENGTH = 24  # cycles of an instruction without fabric operand, from its start
    NEED = 25  # count that a wait needs
    BASE = 26
    INDEX = 32
    EXTENT = INDEX + MAX_DIMS
    STRIDE = EXTENT + MAX_DIMS  # of each dimension, for four operands
    SIZE = STRIDE + 4 * MAX_DIMS


class Mode(IntEnum):
    """What a unit is doing."""

    IDLE = 0
    FETCH = 1
    START = 2
    ROWS = 3
    SENDING = 4
    CONTROL = 5
    FINISH = 6
    HALT = 7


class Reason(IntEnum):
    """What a unit waits for."""

    NONE = 0
    INPUT = 1
    OUTPUT = 2
    SEMAPHORE = 3
    UNIT = 4
    DYNAMIC = 5


class C(IntEnum):
    """Columns of the tile counters (int64)."""

    BUSY = 0
    INPUT = 1
    OUTPUT = 2
    WAITING = 3
    MACS_F32 = 4
    MACS_F16 = 5
    ELEMENTS = 6
    SRAM = 7  # bytes read and written
    UNIT_BUSY = 8
    SCALARS = 9
    END = 10


class P(IntEnum):
    """Columns of the statement counters (int64)."""

    START = 0
    END = 1
    BUSY = 2
    MACS = 3
    ELEMENTS = 4


class G(IntEnum):
    """Globals (int64)."""

    NOW = 0
    ROUTERS = 1  # tiles in the current router list
    WHICH = 2
    PORTS = 3
    PORT_WHICH = 4
    DYNAMICS = 5
    DYNAMIC_WHICH = 6
    LAST = 7  # cycle after the last event
    ERROR = 8
    ERROR_TILE = 9
    ERROR_UNIT = 10
    ERROR_ROW = 11
    ERROR_A = 12
    ERROR_B = 13
    CREDIT_IN = 14
    CREDIT_OUT = 15
    CREDIT_TIME = 16
    TURN_IN = 17
    TURN_OUT = 18
    REQUESTS = 19
    QUEUES_LEFT = 20
    BYTES_IN = 21
    BYTES_OUT = 22
    MOVED = 23  # elements that crossed the edge
    SEED = 24
    SHUFFLE = 25
    WIDTH = 26
    HEIGHT = 27
    RAMP = 28
    IO = 29
    UNITS = 30
    WINDOW = 31
    REGISTERS = 32
    CALLS = 33
    LOOPS = 34
    SEMAPHORES = 35
    BYTES = 36
    COLORS = 37
    ISSUE = 38
    DEPTH = 39  # of a dynamic buffer
    TILES = 40
    QUEUES = 41
    PORT_COUNT = 42
    LOCAL = 43  # cycle in which the unit that is being run is
    ERROR_TIME = 44
    AHEAD = 45  # 1 in the engine that runs ahead
    LIMIT = 46  # no one starts anything from this cycle on
    LATE_FLOOR = 47  # first bucket of the slots that were put off; those before it are empty
    UNIT_TURNS = 48  # units that may yet go on before the routers have their turn
    UNITS_STACKED = 49  # tasks of units, from the end of the table down
    NODE = 50  # first free node of the queue of events
    SLOTS = 51
    FEEDING = 52  # ports that asked in this cycle
    BEGUN = 53
    PARKED = 54  # something waits for nothing but the limit
    UNIT_TASKS = 55  # first task of a unit
    PORT_TASKS = 56  # first task of a port
    FREE_IN = 57  # 1 if the edge's bandwidth is enough for all ports that feed
    FREE_OUT = 58  # and for all that drain
    TRACE = 59  # entries that each traced unit has room for; 0 when nothing is traced
    RACES = 60  # room for findings; 0 when races are not looked for
    RACE_COUNT = 61
    RACE_FREE = 62  # first free message
    RACE_SHIFT = 63  # of an address to its granule, the smallest element of the program
    VISITS = 64  # of units and routers, or instructions and rows, since the loop was entered
    STACKED = 65  # tasks of routers and ports, from the start of the table up
    TASKS_END = 66  # size of the table of tasks
    LATE = 67  # slots that were put off
    REMOTE = 68  # mask of the semaphores that remote stores add to
    LATE_PORTS = 69  # ports that were put off
    ERROR_TURN = 70  # of the fault among those at its tile in its cycle; see ``fault``
    SIZE = 71


class L(IntEnum):
    """Columns of the link table (int64): tile * 6 + side, as in ``State.moves``."""

    MASK = 0  # slots of the tile that could ever use it
    FREE = 1  # cycle from which it is free
    DUE = 2  # cycle in which its contenders are looked at, or NEVER
    OWNER = 3  # slot that has it for itself
    SAFE = 4  # until this cycle
    FAR = 5  # slots of the tile that do not want it
    UNTIL = 6  # before this cycle, those that are far
    SIZE = 8  # a cache line


class F(IntEnum):
    """Columns of the table of forms: what the rows of an instruction have in common."""

    SIMPLE = 0  # every queue advances with every row, and a row has one dimension at most
    INPUT = 1  # number of the first operand from a queue, or -1
    SECOND = 2  # of the second
    EMITS = 3
    OPERANDS = 4  # how many
    AXPY = 5  # an f32 multiply-accumulate of rows into memory with one factor held
    BULK = 6  # and nothing else comes from a queue: see ``kernel_multiply``
    COUNTER = 7  # column of the tile counters for its steps
    BYTES = 8  # of SRAM that a step touches
    SINK = 9  # simple, one operand from a queue, nothing sent on, and it cannot fault
    SUM = 10  # simple, of single f32 elements: one from a queue is added to one in memory
    PASSES = 11  # simple, one operand from a queue, its result into one, and it cannot fault
    LEAVE = 12  # least cycles from a row to the end of the innermost loop, or of its procedure
    AROUND = 13  # the row that ends the innermost loop around it, or -1
    TURN = 14  # of such an end: least cycles of a turn


class B(IntEnum):
    """Columns of the table of branches (int64): router buffers of a tree; see ``kernel_tree``."""

    SLOT = 0
    PARENT = 1  # branch that sends to it, or -1
    LINK = 2  # over which link
    FREE = 3  # cycle from which that link is free
    SAFE = 4  # until which it is the slot's own
    TIME = 5  # cycle in which its wavelet can leave
    POPPED = 6  # and in which it has left everywhere
    UNIT = 7  # row of the unit that takes its wavelets, or -1
    ROWS = 8  # that this unit could execute
    CYCLES = 9  # of each
    READY = 10  # cycle from which it can go on
    RAMP_FREE = 11
    RAMP_SAFE = 12
    DEPTH = 13  # cells of the core's input queue
    NEXT = 14  # the next of them
    CELLS = 16  # cycle from which each cell of its buffer can be filled
    QUEUE = 24  # and of the core's input queue
    SIZE = 32


class K(IntEnum):
    """Columns of the stream table (int64)."""

    FIRST = 0  # first of its slots in ``stream_slots``
    SLOTS = 1
    FEEDERS = 2  # first of its edge queues in ``stream_queues``
    QUEUES = 3
    SAFE = 4  # nothing of it moves before this cycle
    LOOK = 5  # cycle of the next look


class Fault(IntEnum):
    """What stopped a run."""

    NONE = 0
    ADDRESS = 1
    ALIGNMENT = 2
    NEGATIVE = 3
    TARGET = 4
    CALLS = 5
    REGISTERS = 6
    DOMAIN = 7
    LOOKUP = 8
    QUEUE = 9
    EXTENT = 10
    STEPS = 11
    ROW = 12


class D(IntEnum):
    """Columns of the dynamic network's input buffers (int64)."""

    HEAD = 0
    COUNT = 1
    POPPED = 2
    OUTPUT = 3  # output that the message under way takes, or -1
    PUSHED = 4


class State(NamedTuple):
    """Everything that the compiled loops read and write."""

    g: np.ndarray
    rows: np.ndarray
    operands: np.ndarray
    refs: np.ndarray
    lists: np.ndarray
    registers: np.ndarray
    pool: np.ndarray
    reals: np.ndarray
    timing: np.ndarray
    regions: np.ndarray
    tile: np.ndarray
    unit: np.ndarray
    regs: np.ndarray
    frames: np.ndarray
    loops: np.ndarray
    semaphores: np.ndarray  # value, added, cycle of the last addition
    bytes: np.ndarray
    f32: np.ndarray
    i32: np.ndarray
    u16: np.ndarray
    half: np.ndarray
    slots: np.ndarray
    slot_first: np.ndarray
    slot_of: np.ndarray
    positions: np.ndarray
    fifos: np.ndarray
    cells: np.ndarray  # cycle from which it can be seen, or filled; value and control
    turns: np.ndarray  # last slot served for N, E, S, W, to the core, from the core
    wheel: np.ndarray
    due: np.ndarray
    active: np.ndarray  # two lists of tiles
    records: np.ndarray
    shapes: np.ndarray
    queues: np.ndarray
    port_first: np.ndarray
    port_mask: np.ndarray
    port_turn: np.ndarray
    port_listed: np.ndarray
    port_active: np.ndarray
    request_in: np.ndarray
    request_out: np.ndarray
    lookups: np.ndarray
    lookup_count: np.ndarray
    lookup_value: np.ndarray
    lookup_time: np.ndarray
    tensors: np.ndarray  # address, storage code, fabric type
    dyn: np.ndarray
    dyn_value: np.ndarray
    dyn_kind: np.ndarray
    dyn_time: np.ndarray
    dyn_hold: np.ndarray  # input that holds each output, or -1; then the last served
    dyn_message: np.ndarray  # address, stride, element type, semaphore of an arriving message
    dyn_lock: np.ndarray  # unit that holds the ramp queue (-1 none), cycle of its release
    dyn_active: np.ndarray
    traced: np.ndarray  # for each unit: its part of the trace
    trace: np.ndarray
    race_shadow: np.ndarray  # for each granule: writer, its tag, a tag for each reader
    race_clock: np.ndarray  # for each thread: the epochs of all threads that it knows
    race_cell: np.ndarray  # the same for each wavelet, by cell
    race_message: np.ndarray  # for each message
    race_counted: np.ndarray  # for each semaphore: what its remote stores knew
    race_messages: np.ndarray
    race_counts: np.ndarray
    race_pending: (
        np.ndarray
    )  # for each unit: semaphore + 1 that main does not know it has signalled
    race_current: np.ndarray  # for each tile: the message that arrives
    race_queue: np.ndarray  # for each slot: thread + 1 and tag of who took last, and who put
    race_found: np.ndarray
    counted: np.ndarray
    counters: np.ndarray
    statements: np.ndarray
    passes: np.ndarray  # of each pass through a statement of main: first start, last end
    moves: np.ndarray  # wavelets of a slot out on N, E, S, W, to the core, from the core
    lost: np.ndarray  # and cycles that it lost to other colors on these links
    # Of the engine that runs ahead:
    link: np.ndarray
    origins: np.ndarray  # where a slot's wavelets come from (see ``lookahead``), and hops
    quiet: np.ndarray  # of each slot: cycle before which its buffer stays empty
    occupied: np.ndarray  # of each tile: slots with wavelets, and with wavelets in output queues
    stream: np.ndarray  # of each slot: its stream, the slots that its wavelets could ever meet
    streams: np.ndarray
    stream_slots: np.ndarray
    stream_queues: np.ndarray
    tasks: np.ndarray  # slots, output queues, ports and units that may be able to go on: two stacks
    late: np.ndarray  # of each slot that was put off: the next of its bucket; then ports
    late_first: np.ndarray  # of each bucket: its first slot, or -1
    queued: np.ndarray  # of each task: bits of ``kernel_common.QUEUED``, ``LISTED`` and ``LATE``
    events: np.ndarray  # wheel of links and ports: first node of each cycle
    nodes: np.ndarray  # link or port, next node, cycle
    port_due: np.ndarray
    port_free: np.ndarray  # cycle from which a port is free
    port_owner: np.ndarray  # queue that has a port for itself
    port_safe: np.ndarray  # until this cycle
    unrest: np.ndarray  # of each slot: where its tree was last seen not to rest, or NO_TREE
    branches: np.ndarray
    values: np.ndarray  # wavelets that several rows take
    forms: np.ndarray  # of each row of the code
    near: np.ndarray  # of each row: least cycles to the next touch of each color; see ``distance``
    dyn_links: np.ndarray


# Element type and rank of every field; COLUMNS: the fixed numbers of columns. Tables are
# int64 throughout, so that each compiled function has one signature.
_TABLES = (
    *("rows", "operands", "refs", "timing", "regions", "tile", "unit", "semaphores", "cells"),
    *("positions", "fifos", "due", "active", "records", "shapes", "queues", "port_active"),
    *("lookups", "tensors", "dyn", "dyn_message", "dyn_lock", "dyn_active", "counters"),
    *("statements", "passes", "moves", "lost", "dyn_links", "link", "origins", "occupied"),
    *("streams", "nodes", "forms", "branches"),
    *("traced", "trace", "race_messages", "race_counts", "race_queue", "race_found"),
)
_NARROW: dict[str, tuple[str, int]] = {
    "pool": ("int32", 1),
    "regs": ("int32", 1),
    "i32": ("int32", 1),
    "slots": ("int32", 2),
    "reals": ("float64", 1),
    "bytes": ("uint8", 1),
    "f32": ("float32", 1),
    "u16": ("uint16", 1),
    "half": ("float32", 1),
    "turns": ("int8", 2),
    "near": ("int32", 2),
    "port_listed": ("int8", 1),
    "dyn_kind": ("int8", 1),
    "dyn_hold": ("int8", 2),
    "queued": ("int8", 1),
    "race_clock": ("int32", 1),
    "race_cell": ("int32", 1),
    "race_message": ("int32", 1),
    "race_counted": ("int32", 1),
}
FIELDS: dict[str, tuple[str, int]] = {
    name: _NARROW.get(name, ("int64", 2 if name in _TABLES else 1)) for name in State._fields
}
COLUMNS: dict[str, int] = {
    "rows": len(Col), "operands": len(Ocol), "refs": 5, "timing": 5, "regions": 4,
    "tile": len(T), "unit": int(U.SIZE), "semaphores": 3, "slots": 16, "cells": 2, "positions": 2,
    "fifos": 8, "turns": 6, "records": len(Rcol), "shapes": Hcol.STEP + MAX_DIMS,
    "queues": Qcol.INDEX + MAX_DIMS, "lookups": 3, "tensors": 3, "dyn": len(D), "dyn_hold": 10,
    "dyn_message": 4, "dyn_lock": 2, "counters": len(C), "statements": len(P), "passes": 2,
    "moves": 6, "lost": 6, "link": int(L.SIZE), "origins": 2,
    "occupied": 2, "streams": len(K), "nodes": 3,
    "forms": len(F), "dyn_links": 5, "branches": int(B.SIZE),
    "traced": len(R), "trace": len(E), "race_messages": len(M), "race_counts": len(N),
    "race_queue": 4, "race_found": int(Seen.SIZE),
}  # fmt: skip
