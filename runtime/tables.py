"""Columns and codes of the flat tables; the engines index with them."""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np

from wsc.isa.limits import MOST_DIMENSIONS
from wsc.isa.table import TABLE, Timing
from wsc.isa.types import Control, DType

MAX_DIMS = MOST_DIMENSIONS
DTYPES = (DType.F32, DType.F16, DType.I32)
TYPE_INDEX = {dtype: number for number, dtype in enumerate(DTYPES)}
ELEMENT_BYTES: Any = np.array([2 if dtype is DType.F16 else 4 for dtype in DTYPES])
CONTROL_INDEX = {control: number for number, control in enumerate(Control)}
RELATIONS = ("==", "!=", "<", "<=", ">", ">=")
CLASS_INDEX = {timing: number for number, timing in enumerate(Timing)}
# Structured control is counted as if it were rows behind those of the table.
COUNTED = (*(row.name for row in TABLE), "loop", "if", "call")


LINE = 64  # bytes that come from memory at once
Records = Any  # a NumPy record array, whose attributes are those of a type made below


def record_type(columns: type[IntEnum], of: Any, width: int) -> np.dtype[np.void]:
    """A row of a table as a record: each column is a field, by its name in small letters.

    width: columns of the table. What lies between a column and the next named one is part of it,
    an array. Names for one column are names for one field.
    """
    fields = columns.__members__
    starts = sorted({*fields.values(), width})
    spans = {start: end - start for start, end in pairwise(starts)}
    size = np.dtype(of).itemsize
    return np.dtype(
        {
            "names": [name.lower() for name in fields],
            "formats": [of if spans[c] == 1 else (of, spans[c]) for c in fields.values()],
            "offsets": [size * c for c in fields.values()],
            "itemsize": size * width,
        }
    )


def as_records(table: np.ndarray, record: np.dtype[np.void]) -> np.ndarray:
    """The same memory, a record for each row."""
    return table.view(record).reshape(-1)


def by_name(table: np.ndarray, record: np.dtype[np.void]) -> Records:
    """The same memory for Python that looks at rows: columns are attributes, of one or of all."""
    return table.view(record).reshape(-1).view(np.recarray)


def as_columns(table: np.ndarray, of: Any) -> np.ndarray:
    """The reverse of ``as_records``."""
    return table.view(of).reshape(len(table), table.itemsize // np.dtype(of).itemsize)


def zeros(rows: int, of: Any) -> np.ndarray:
    """A table of zeros that begins with a line of the processor's cache.

    So a record of 64 bytes is one line, and lanes that an operation takes are one, too.
    """
    size = rows * np.dtype(of).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(of)


class Kind(IntEnum):
    """What the engine does with a row of the instruction table."""

    SCALAR = 0
    LOAD = 1
    STORE = 2
    VECTOR = 3
    SEND = 4
    CONTROL = 5
    WAIT = 6
    SIGNAL = 7
    LOOP = 8
    NEXT = 9
    IF = 10
    JUMP = 11
    CALL = 12
    RETURN = 13
    END = 14


class Col(IntEnum):
    """Columns of the instruction table (int32)."""

    KIND = 0
    OPCODE = 1  # row of COUNTED
    DTYPE = 2
    TIMING = 3
    # Four numbers of which each kind of row has its own use.
    TARGET = 4  # the register that is written
    BRANCH = 4  # the row that a jump, a loop, an ``if`` or a call leads to
    SEMAPHORE = 4  # of a wait or signal
    LEFT = 5  # references: left operand,
    ADDRESS = 5  # address of a load or store,
    AMOUNT = 5  # turns of a loop, count of a wait or signal,
    TARGET_X = 5  # and tile of a send
    RIGHT = 6  # references: right operand, or what is stored,
    TARGET_Y = 6  # and tile of a send
    COUNTER = 6  # the register that counts a loop
    RELATION = 7  # of an ``if``
    NEST = 7  # loops around a loop
    WINDOW = 7  # registers of the caller
    COUNTED_ON = 7  # the semaphore that a remote store adds to
    CONTROL = 7  # what a control wavelet asks for
    OPERANDS = 8  # first row of the operand table
    COUNT = 9  # operands, or arguments of a call
    DIMS = 10  # first of the references to the extents
    RANK = 11  # dimensions, or registers of the called procedure
    UNIT = 12  # stream unit + 1, 0 for the main thread
    DONE = 13  # semaphore signalled when done, or -1
    LEVEL = 14  # outer dimensions that form rows; -1 without queue operand
    STATEMENT = 15  # statement of main, or -1 within a procedure
    COLOR = 16


class Tcol(IntEnum):
    """Columns of the table of timing classes (int64), a row for each class."""

    STARTUP = 0
    GROUP = 1  # three columns, in the order of ``DTYPES``: elements that take CYCLES
    QUEUE = 4  # the four columns again, for an instruction with an operand in a queue
    QUEUE_STARTUP = 4
    QUEUE_GROUP = 5
    CYCLES = 8


MEMORY, FABRIC, INTEGER, REAL = range(4)  # kinds of operands


class Ocol(IntEnum):
    """Columns of the operand table (int32)."""

    KIND = 0  # MEMORY, FABRIC: a queue, INTEGER or REAL
    TYPE = 1
    VALUE = 2  # reference to address or integer, or index of the real
    COLOR = 3
    ADVANCE = 4  # outer dimensions with which a queue operand advances
    STRIDES = 5  # first of the references to the strides


ROW = record_type(Col, np.int32, len(Col))
OPERAND = record_type(Ocol, np.int32, len(Ocol))
REFERENCE = np.dtype(  # static plus registers: a place of the pool, x and y away, and registers
    [(name, np.int32) for name in ("pool", "by_x", "by_y", "first", "count")]
)
REGION = np.dtype([(name, np.int32) for name in ("left", "top", "width", "height")])
TIMING = record_type(Tcol, np.int64, Tcol.CYCLES + 1)
