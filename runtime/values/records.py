"""The state of a run: named records and tables, made once for each run.

Rows of tiles are lanes. Word ``w`` of the tile in column ``x`` and row ``y`` lies at
``memory + (x * words + w) * height + y``: in one column the rows are neighbours. Tiles are
numbered by columns, ``x * height + y``.

A *thread* is the main thread of several neighbouring rows of a column that are in the same
state; it has the number of its first tile. Where something differs between its rows it is
split, and threads that have become equal again are joined. A *task* is an instruction with
queue operands, of a thread or of a stream unit, with its operands captured; it has the number
``tile * units + unit`` of its first tile.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from wsc.runtime.routes import POSITION, SLOT
from wsc.runtime.schedule import LOOKUP, QUEUE, RECORD, SHAPE
from wsc.runtime.tables import DTYPES, MAX_DIMS, OPERAND, REFERENCE, REGION, ROW

FLAT = 0  # columns of a table of one dimension
MOST_OPERANDS = 4
SIDES = 4  # N, E, S, W
MOST_LISTED = 1 << 13  # steps of an ``fmac`` that are listed

THREAD = np.dtype(
    [
        ("end", np.int64),  # row behind its last one; zero: no thread begins here
        ("state", np.int64),  # a ``Standing``
        ("row", np.int64),  # row of the code
        ("frame", np.int64),  # first register of the window
        ("top", np.int64),  # register behind the window
        ("depth", np.int64),  # calls
        ("region", np.int64),
        ("statement", np.int64),  # of main that it is in, or -1
        ("x", np.int64),  # of its first tile in the region; set for every tile
        ("y", np.int64),
    ]
)

TASK = np.dtype(
    [
        ("x", np.int64),  # of its first tile
        ("y", np.int64),
        ("end", np.int64),  # row of tiles behind its last one
        ("unit", np.int64),  # stream unit + 1, 0 for the main thread
        ("row", np.int64),  # row of the code
        ("done", np.int64),  # rows of steps that are done
        ("rows", np.int64),  # rows of steps: the product of the outer extents
        ("steps", np.int64),  # steps of a row
        ("level", np.int64),  # outer dimensions that tell rows apart
        ("long", np.int64),  # so many steps that it is done in portions
        ("statement", np.int64),  # of main that it works for, or -1
        ("uneven", np.int64),  # operands share a queue and advance differently
        # Of a remote store: the tile that its first row writes to, and rows that the target moves
        # on from row to row, 0 or 1.
        ("target_x", np.int64),
        ("target_y", np.int64),
        ("slope", np.int64),
    ]
)

# The instruction that is being done now, for neighbouring rows of tiles: its lanes.
JOB = np.dtype(
    [
        ("task", np.int64),
        ("x", np.int64),
        ("y", np.int64),  # of the first lane
        ("lanes", np.int64),
        ("dims", np.int64),  # that are left: those of one step are dropped, others joined
        ("column", np.int64),  # address of the first word of SRAM in its first lane
    ]
)

# An operand of that instruction.
PLACED = np.dtype(
    [
        ("at", np.int64),  # address of its first element, in words; in bytes of SRAM if HALF_MEMORY
        ("held", np.int64),  # a ``Held``
        ("spread", np.int64),  # words from lane to lane: 0 or 1
    ]
)

# One of the steps of an ``fmac`` that add to one place: words to its factors.
ADDEND = np.dtype(
    [
        ("lanes", np.int64),  # to the factor that each lane has for itself
        ("all", np.int64),  # to the one that is the same for all lanes
    ]
)

# A dimension of an ``fmac`` whose steps add to places of their own; words from turn to turn.
TURN = np.dtype(
    [
        ("count", np.int64),
        ("sum", np.int64),
        ("lanes", np.int64),
        ("all", np.int64),
        ("index", np.int64),
    ]
)

# A call: where it returns to.
FRAME = np.dtype(
    [
        ("row", np.int64),  # of the code
        ("frame", np.int64),  # first register of the caller's window
    ]
)

STREAM = np.dtype(
    [
        ("first", np.int64),  # its first lane in ``written``
        ("lanes", np.int64),
        ("base", np.int64),  # position of the first wavelet that is kept
        ("capacity", np.int64),  # positions that there is room for
        ("address", np.int64),
        ("usual", np.int64),  # words of the block that it last gave back
        ("readers", np.int64),  # its first one in ``readers``
        ("reader_count", np.int64),
        ("queue", np.int64),  # the edge's queue that makes it, or -1
        ("color", np.int64),
        ("column", np.int64),
        ("guided", np.int64),  # routers move runs of it
        ("mirror", np.int64),  # it repeats one of another band
        ("held", np.int64),  # runs that are under way in routers
        ("awaited", np.int64),  # its producer waits for its readers
    ]
)

# A stream in which another band reads, and the one that it repeats.
MIRROR = np.dtype([("mirror", np.int64), ("stream", np.int64)])

# What as many tiles below each other have loaded, for the run for time; see ``record``.
NOTE = np.dtype([("tile", np.int64), ("count", np.int64), ("word", np.int64)])

# A tensor outside the fabric.
TENSOR = np.dtype(
    [
        ("address", np.int64),
        ("held", np.int64),  # how; see ``produce``
    ]
)

RUN = np.dtype(
    [
        ("stream", np.int64),
        ("lane", np.int64),
        ("start", np.int64),
        ("count", np.int64),
        ("control", np.int64),  # a control wavelet instead
        ("next", np.int64),
    ]
)

ROUTER = np.dtype(
    [
        ("first", np.int32),  # runs in its buffer, or -1
        ("last", np.int32),
        ("out_first", np.int32),  # runs in the core's output queue
        ("out_last", np.int32),
        ("position", np.int32),  # of its switch
        ("pending", np.int32),  # sides that the first run has still to leave on
        ("closed", np.int32),  # behind a control wavelet
        ("listed", np.int32),
        ("arrival", np.int32),  # stream of what arrives at the core, or -1
        ("straight", np.int32),  # slot beyond if all it does is hand on, ``WINDS`` or ``UNKNOWN``
        ("side", np.int32),  # over which it hands on then
        ("settled", np.int32),  # its switch is in its last position
        ("line", np.int32),  # of ``lines``: the row or column of its color along which it does
        ("leap", np.int32),  # slot farther along; all routers from here to there only hand on
        ("since", np.int32),  # the line's number when that was so
    ]
)
WINDS, UNKNOWN = -1, -2
INPUT, OUTPUT = 1, 2  # bits of ``queues_there``: which queues of a color a core has

RUNNING = np.dtype(
    [
        ("width", np.int64),
        ("height", np.int64),
        ("units", np.int64),
        ("colors", np.int64),
        ("semaphores", np.int64),
        ("registers", np.int64),
        ("calls", np.int64),  # that can be in each other
        ("loops", np.int64),  # that one procedure can nest
        ("loop_words", np.int64),  # of each thread in ``loops``
        ("bytes", np.int64),  # of SRAM in each tile
        ("words", np.int64),
        ("memory", np.int64),  # address of the first word of SRAM
        ("buffers", np.int64),  # address of the band's scratch for the first operand
        ("scratch", np.int64),  # words of scratch for each operand
        ("free", np.int64),  # first address of storage that was never used
        ("end_of_storage", np.int64),
        ("ahead", np.int64),  # words that a producer may be ahead of its readers
        ("limited", np.int64),  # some producer has been held back for that
        ("portion", np.int64),  # steps, of all rows of tiles, before others have their turn
        ("portion_rows", np.int64),  # and rows of steps that are done one after the other
        ("mode", np.int64),  # a ``Mode``
        ("row_end", np.int64),  # where the rows end that agree with the first one
        ("left", np.int64),  # work until Python is asked for the next
        ("turns", np.int64),  # that the ``fmac`` has which is being done
        ("first_column", np.int64),  # of the band
        ("end_column", np.int64),  # behind its last one
        ("place", np.int64),  # columns of the band that were visited in this turn
        ("turn", np.int64),  # 0: to the east, 1: back
        ("alone", np.int64),  # no other band runs now
        ("posts", np.int64),  # some remote store to another band waits until none does
        ("mirrors", np.int64),  # rows of ``mirrors`` that are filled
        ("listed", np.int64),  # routers that have something to do
        ("blocked", np.int64),  # some router waits for readers, or for room in the pool
        ("free_run", np.int64),  # first unused one of ``runs``, or -1
        ("runs_used", np.int64),
        ("run_room", np.int64),  # length of ``runs``
        ("noted", np.int64),  # rows of ``notes`` that are filled
        ("note_room", np.int64),  # length of ``notes``
        ("edge_queues", np.int64),
        ("slots", np.int64),
        ("fault", np.int64),  # a ``Fault``
        ("fault_tile", np.int64),
        ("fault_unit", np.int64),
        ("fault_row", np.int64),
        ("fault_statement", np.int64),
        ("fault_value", np.int64),
        ("fault_bound", np.int64),
        ("moved", np.int64),  # elements of the edge
        ("elements", np.int64),
        ("macs_f32", np.int64),
        ("macs_f16", np.int64),
        ("sram_bytes", np.int64),
        ("sram_top", np.int64),
        ("bytes_in", np.int64),
        ("bytes_out", np.int64),
        ("dynamic_hops", np.int64),
    ]
)


class Standing(IntEnum):
    """What a thread does."""

    RUNS = 0
    TASK = 1  # its instruction waits for wavelets
    SEMAPHORE = 2
    UNIT = 3  # it wants to issue on a unit that is busy
    HALTED = 4


class Held(IntEnum):
    """How the elements of an operand lie."""

    WORDS = 0  # one behind the other
    HALF_MEMORY = 1  # f16 in SRAM: two in a word of each lane
    HALF_STREAM = 2  # f16, each in a word of its own
    LITERAL = 3


class Mode(IntEnum):
    """How hard the engine looks for something to do."""

    WHOLE = 0  # threads and tasks with all of their rows
    PARTS = 1  # rows of a thread or task that can go on part from those that cannot
    STEPS = 2  # instructions do as many steps as they have wavelets


class Fault(IntEnum):
    """What stops a run; the words are in ``wsc.runtime.stops``."""

    NONE = 0
    ADDRESS = 1
    ALIGNMENT = 2
    QUEUE = 3
    NEGATIVE = 4
    TARGET = 5
    CALLS = 6
    REGISTERS = 7
    DOMAIN = 8
    LOOKUP = 9
    MEMORY = 10  # of the host
    EXTENT = 11
    STEPS = 12
    ROW = 13


# Every table: type of its elements, and columns. In compiled functions they are attributes.
TABLES: dict[str, tuple[Any, int]] = {
    "now": (RUNNING, FLAT),  # one RUNNING
    "words": (np.int32, FLAT),  # scratch, SRAM, and storage of streams
    "reals": (np.float32, FLAT),  # the same as f32
    "halves": (np.uint16, FLAT),  # the same as 16-bit words
    "half": (np.float32, FLAT),  # the f32 of each f16 encoding
    # The code: see wsc.runtime.tables.
    "rows": (ROW, FLAT),
    "operands": (OPERAND, FLAT),
    "refs": (REFERENCE, FLAT),
    "lists": (np.int32, FLAT),
    "registers": (np.int32, FLAT),
    "pool": (np.int32, FLAT),
    "literals": (np.int32, len(DTYPES)),  # bits of each literal, for each of the types
    "operations": (np.int64, 2),  # [opcode, whole]: addresses of compiled loops
    "domains": (np.int64, FLAT),  # [opcode]: address of what looks at integer operands, or 0
    "step_bytes": (np.int64, FLAT),  # [row of the code]: bytes of SRAM for each step
    "regions": (REGION, FLAT),
    "deciding": (np.int8, FLAT),  # [row of the code]: a run for time needs what it loads
    "notes": (NOTE, FLAT),
    # Threads and tasks.
    "threads": (THREAD, FLAT),
    "regs": (np.int32, FLAT),  # [thread, register]
    "loops": (np.int64, FLAT),  # [thread, calls, nest]: turns, 0 outside the loop
    "frames": (FRAME, FLAT),  # [thread, calls]
    "tasks": (TASK, FLAT),
    "extents": (np.int64, MAX_DIMS),
    "strides": (np.int64, MOST_OPERANDS * MAX_DIMS),  # MAX_DIMS * operand + dimension
    # Address of an operand in SRAM; of one in a queue its place among those that share the queue.
    "bases": (np.int64, MOST_OPERANDS),
    "scalars": (np.int32, MOST_OPERANDS),  # bits of the operands that are numbers
    "owner": (np.int64, FLAT),  # [column, unit, row]: first row of the unit's task and 1, or 0
    "busy": (np.int64, FLAT),  # [column, unit]: rows whose unit is busy
    "semaphores": (np.int64, FLAT),  # [column, semaphore, row]
    "dirty": (np.int64, FLAT),  # [column]: something has changed there
    "counted": (np.int64, FLAT),
    # Streams.
    "streams": (STREAM, FLAT),
    "written": (np.int64, FLAT),  # wavelets that each lane has had
    "stream_of": (np.int64, FLAT),  # [column, color]: what cores of the column send
    "queues_there": (np.uint8, FLAT),  # [column, color, row]: ``INPUT`` and ``OUTPUT``
    # Readers are queues of cores, [column, color, row], then edge queues, then mirrors.
    "source": (np.int64, FLAT),  # of each reader, the stream that it reads, or -1
    "lane": (np.int64, FLAT),  # and the lane of it
    "cursor": (np.int64, FLAT),  # and the position that it takes next
    "readers": (np.int64, FLAT),  # columns, or width + edge queue, or those and mirror
    "mirrors": (MIRROR, FLAT),
    "free_storage": (np.int64, FLAT),  # [size class]: first free piece, or 0
    # Routers of colors whose routes change.
    "slots": (SLOT, FLAT),
    "slot_of": (np.int32, FLAT),  # [tile by rows, color]
    "positions": (POSITION, FLAT),
    "routers": (ROUTER, FLAT),
    "runs": (RUN, FLAT),
    "listed": (np.int64, FLAT),
    "moves": (np.int64, SIDES + 2),  # [slot, side]; then to the core, and from it
    "passes": (np.int64, SIDES),  # [slot, side]: what begins to be handed on, less what ends
    "lines": (np.int64, FLAT),  # [color, column or row]: how often leaps there came to an end
    # The edge.
    "records": (RECORD, FLAT),
    "shapes": (SHAPE, FLAT),
    "queues": (QUEUE, FLAT),
    "tensors": (TENSOR, FLAT),
    "lookups": (LOOKUP, FLAT),
    "lookup_count": (np.int64, FLAT),
    "lookup_value": (np.int64, FLAT),
    "awaited": (np.int64, FLAT),  # of each edge tensor: what is to be drained before it is fed
    "feeding": (np.int64, FLAT),  # stream that an edge queue makes, or -1
    # Room for one instruction at a time.
    "job": (JOB, FLAT),  # one JOB
    "placed": (PLACED, FLAT),  # [operand]
    "count": (np.int64, FLAT),  # [dimension]: steps
    "step": (np.int64, MAX_DIMS),  # [operand, dimension]: from one step to the next
    "index": (np.int64, FLAT),  # [dimension]
    "addends": (ADDEND, FLAT),
    "turns": (TURN, FLAT),  # the innermost one first
}
