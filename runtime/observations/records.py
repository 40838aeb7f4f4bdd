"""Records that engines with a clock share with those who look at them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from wsc.runtime.tables import Records

NEVER = 1 << 62


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


class Fault(IntEnum):
    """What stopped a run; the words are in ``wsc.runtime.stops``."""

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
    RECORD = 13  # more was loaded than the run for values has recorded


class Status(IntEnum):
    """Why the loop has returned."""

    RUNNING = 0  # it has done much
    QUIET = 1  # nothing can ever move again
    FAULTED = 2


TALLY = np.dtype(  # the counters of a tile
    [
        ("busy", np.int64),
        ("input", np.int64),
        ("output", np.int64),
        ("waiting", np.int64),
        ("macs_f32", np.int64),
        ("macs_f16", np.int64),
        ("elements", np.int64),
        ("sram", np.int64),  # bytes read and written
        ("unit_busy", np.int64),
        ("scalars", np.int64),
        ("end", np.int64),
    ]
)

STATEMENT = np.dtype(  # the counters of a statement of main
    [
        ("start", np.int64),
        ("end", np.int64),
        ("busy", np.int64),
        ("macs", np.int64),
        ("elements", np.int64),
        ("inside", np.int64),  # cycles that main threads were in it, over all tiles
    ]
)

STAY = np.dtype(  # of tiles at a statement of main: first start, last end
    [("start", np.int64), ("end", np.int64)]
)

TRACED = np.dtype(  # where a unit's part of the trace lies
    [
        ("first", np.int64),  # -1: not traced
        ("used", np.int64),
        ("lost", np.int64),  # entries for which there was no room
        ("since", np.int64),  # cycle of the first of those
    ]
)

ENTRY = np.dtype(  # an entry of the trace
    [
        ("begin", np.int64),
        ("length", np.int64),
        ("state", np.int64),
        ("row", np.int64),
        ("statement", np.int64),
        ("what", np.int64),  # it waited for, as in a unit; 0 where it was busy
    ]
)

SEMAPHORE = np.dtype(
    [
        ("value", np.int64),
        ("added", np.int64),  # in cycle ``cycle``: visible from the next one on
        ("cycle", np.int64),
        ("waited", np.int64),  # cycles of the main thread
    ]
)


@dataclass(frozen=True, slots=True)
class Observations:
    """What an engine leaves of a run, wherever it has stopped. One entry for each:

    tile: region's statement it is in (``statement``), its stay (``stay``), highest byte of
    SRAM touched (``top``), cycle in which it came to its statement (``entered``). unit: mode,
    reason, since, what, need, row, statement. counters: a ``TALLY`` for each tile. statements,
    stays: of main. moves, lost: wavelets, and lost cycles, of a slot on each link. stalls:
    cycles that the main thread waited for a slot's input, and for room in its output. waits:
    likewise, for each row of the code and ``Reason``. dynamic_links: of a tile. counted:
    instructions. slots, fifos, queues, awaited, positions: tables of the image as the run has left
    them.
    held: wavelets in each buffer of the dynamic network. traced, trace: where each unit's
    entries are, and these. traced_statements: whether each is traced.
    """

    units: int
    now: np.ndarray  # one record of the run
    tile: np.ndarray
    unit: np.ndarray
    counters: np.ndarray
    statements: np.ndarray
    stays: np.ndarray
    moves: np.ndarray
    lost: np.ndarray
    stalls: np.ndarray
    waits: np.ndarray
    dynamic_links: np.ndarray
    counted: np.ndarray
    semaphores: np.ndarray
    slots: Records
    fifos: Records
    queues: Records
    awaited: np.ndarray
    positions: Records
    held: np.ndarray
    traced: np.ndarray
    trace: np.ndarray
    traced_statements: np.ndarray


@dataclass(frozen=True, slots=True)
class Network:
    """What routers and semaphores did in a window; a row for each entry, in the order of time.

    wavelets: begin, length, slot of the routes, side (N, E, S, W, to the core, from the core): in
    these cycles one wavelet after the other left. messages: the same of the dynamic network, with
    the tile in place of the slot. switches: cycle, slot, position that its switch has from then on;
    the first cycle has all switches. semaphores: cycle, tile, number, value from then on;
    the first cycle has those that are not 0. left_out: wavelets were, from some cycle on.
    """

    wavelets: np.ndarray
    messages: np.ndarray
    switches: np.ndarray
    semaphores: np.ndarray
    left_out: int | None = None
