"""Columns and codes of the flat tables; the engines index with them."""

from __future__ import annotations

from enum import IntEnum

from wsc.isa.limits import MOST_DIMENSIONS
from wsc.isa.table import TABLE, Timing
from wsc.isa.types import Control, DType

MAX_DIMS = MOST_DIMENSIONS
DTYPES = (DType.F32, DType.F16, DType.I32)
TYPE_INDEX = {dtype: number for number, dtype in enumerate(DTYPES)}
CONTROL_INDEX = {control: number for number, control in enumerate(Control)}
RELATIONS = ("==", "!=", "<", "<=", ">", ">=")
CLASS_INDEX = {timing: number for number, timing in enumerate(Timing)}
# Structured control is counted as if it were rows behind those of the table.
COUNTED = (*(row.name for row in TABLE), "loop", "if", "call")


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
    A = 4  # destination register, branch target, or semaphore
    B = 5  # reference: left, address, count, target x
    C = 6  # reference: right, target y
    D = 7  # relation, loop nest, window, semaphore of a send, or control
    OPERANDS = 8  # first row of the operand table
    COUNT = 9  # operands, or arguments of a call
    DIMS = 10  # first of the references to the extents
    RANK = 11  # dimensions, or registers of the called procedure
    UNIT = 12  # stream unit + 1, 0 for the main thread
    DONE = 13  # semaphore signalled when done, or -1
    LEVEL = 14  # outer dimensions that form rows; -1 without fabric operand
    STATEMENT = 15  # statement of main, or -1 within a procedure
    COLOR = 16


class Tcol(IntEnum):
    """Columns of the table of timing classes (int64), a row for each class."""

    STARTUP = 0
    GROUP = 1  # three columns, in the order of ``DTYPES``: elements that take CYCLES
    QUEUE = 4  # the four columns again, for an instruction with an operand in a queue
    CYCLES = 8


class Ocol(IntEnum):
    """Columns of the operand table (int32)."""

    KIND = 0  # 0 memory, 1 fabric, 2 integer, 3 real
    TYPE = 1
    VALUE = 2  # reference to address or integer, or index of the real
    COLOR = 3
    ADVANCE = 4  # outer dimensions with which a fabric operand advances
    STRIDES = 5  # first of the references to the strides
