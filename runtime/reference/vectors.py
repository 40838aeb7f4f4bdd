"""What vector instructions compute: steps over SRAM and what came from queues."""

from __future__ import annotations

import numpy as np

from wsc.isa.rounding import half_encoding
from wsc.isa.table import TABLE, Inner
from wsc.isa.types import DType
from wsc.isa.values import MOVES, VALUES, Class
from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.operands import reference
from wsc.runtime.reference.compiled import (
    LIBRARY,
    NAN,
    Machine,
    bits_of,
    float_of,
    kernel,
    look,
    of_reals,
    operate,
)
from wsc.runtime.reference.races import touch_steps
from wsc.runtime.reference.records import OPERANDS, Fault
from wsc.runtime.tables import INTEGER, MEMORY, TYPE_INDEX

PRODUCTS = np.array([row.inner is Inner.PRODUCTS for row in TABLE])
F16, I32 = TYPE_INDEX[DType.F16], TYPE_INDEX[DType.I32]
MOVING = np.array([row.name in MOVES for row in TABLE])
ACCUMULATING = np.array([row.accumulates for row in TABLE])
encode = kernel(half_encoding)
fmac_value = of_reals(VALUES["fmac", Class.FLOAT], 3)
VISIT_STEPS = 1 << 8  # steps that count as one visit; see ``records.MOST_VISITS``


# --- elements -----------------------------------------------------------------------------


@kernel
def load_bits(s: Machine, at: int, kind: int) -> int:
    """The bits of an element at a byte of all SRAM."""
    return s.halves[at >> 1] if kind == F16 else s.sram[at >> 2]


@kernel
def store_bits(s: Machine, at: int, kind: int, bits: int) -> None:
    """Write the bits of an element at a byte of all SRAM."""
    if kind == F16:
        s.halves[at >> 1] = bits
    else:
        s.sram[at >> 2] = bits


@kernel
def encoded(whole: int, kind: int) -> int:
    """An integer as the bits of an element of a type."""
    if kind == I32:
        return (whole << 32) >> 32
    if kind == F16:
        return encode(bits_of(float(whole)))
    return bits_of(float(whole))


@kernel
def widened(s: Machine, bits: int, kind: int) -> int:
    """The word that an operation takes for the bits of an element: an f16 becomes an f32."""
    return bits_of(s.half[bits & 0xFFFF]) if kind == F16 else bits


@LIBRARY.defines(own.capture_place)
def capture_place(s: Machine, thread: int, row: int) -> int:
    """The unit's own row: each step has its indices and addresses."""
    return thread


@LIBRARY.defines(own.hold)
def hold(s: Machine, tile: int, thread: int, number: int, operand: int) -> None:
    """The bits of an integer from registers, or of a literal, in the operand's type."""
    of = s.operands[operand]
    if of.kind == INTEGER:
        s.unit_held[thread, number] = encoded(reference(s, of.value, tile), of.type)
    else:
        s.unit_held[thread, number] = s.literals[of.value, of.type]


@kernel
def element(s: Machine, number: int, row: int, thread: int) -> int:
    """The bits of an operand's element: in SRAM where the unit is, or held."""
    operand = s.operands[s.rows[row].operands + number]
    if operand.kind != MEMORY:
        return s.unit_held[thread, number]
    return load_bits(s, s.at[number], operand.type)


# --- an instruction, dimension by dimension -----------------------------------------------


@LIBRARY.defines(own.execute)
def execute(s: Machine, tile: int, row: int, thread: int) -> None:
    """All steps at once: nothing can come between them in a program free of races."""
    if s.now[0].races != 0:
        touch_steps(s, tile, row, thread, 0)
    steps(s, tile, row, thread, 0)
    s.now[0].visits += s.unit[thread].steps * s.unit[thread].left // VISIT_STEPS


@kernel
def steps(s: Machine, tile: int, row: int, thread: int, first: int) -> int:
    """Execute the dimensions from ``first`` on at the unit's outer indices.

    Returns:
        The bits of the last result; operands without a value are noted as a fault.
    """
    rank, operands = s.rows[row].rank, s.rows[row].count
    for d in range(first, rank):
        s.unit_index[thread, d] = 0
    count = s.unit_extent[thread, rank - 1] if rank > first else 1
    last = 0
    while True:
        # Where each operand is at the outer indices, and how far it goes with the innermost one.
        for number in range(operands):
            at = tile * s.now[0].bytes + s.unit_base[thread, number]
            for d in range(rank):
                at += s.unit_index[thread, d] * s.unit_stride[thread, OPERANDS * d + number]
            s.at[number] = at
            s.go_on[number] = 0
            if rank > first:
                s.go_on[number] = s.unit_stride[thread, OPERANDS * (rank - 1) + number]
        last = line(s, tile, row, thread, count)
        # The next indices, the innermost dimension apart.
        d = rank - 2
        while d >= first:
            s.unit_index[thread, d] += 1
            if s.unit_index[thread, d] < s.unit_extent[thread, d]:
                break
            s.unit_index[thread, d] = 0
            d -= 1
        if d < first:
            return last


# --- the innermost dimension --------------------------------------------------------------


@kernel
def line(s: Machine, tile: int, row: int, thread: int, count: int) -> int:
    """The ``count`` steps of the innermost dimension; the bits of the last result."""
    opcode = s.rows[row].opcode
    if MOVING[opcode] != 0:
        return move_line(s, row, thread, count)
    if PRODUCTS[opcode]:
        return multiply_line(s, row, thread, count)
    return operate_line(s, tile, row, thread, count)


@kernel
def go_on(s: Machine, operands: int) -> None:
    """Go to the next step of the innermost dimension."""
    for number in range(operands):
        s.at[number] += s.go_on[number]


@kernel
def move_line(s: Machine, row: int, thread: int, count: int) -> int:
    """A move keeps every bit."""
    into, bits = s.operands[s.rows[row].operands], 0
    for _ in range(count):
        bits = element(s, 1, row, thread)
        if into.kind == MEMORY:
            store_bits(s, s.at[0], into.type, bits)
        go_on(s, 2)
    return bits


@kernel
def multiply_line(s: Machine, row: int, thread: int, count: int) -> int:
    """``fmac``: f32 sums of products of f32 or f16."""
    first = s.rows[row].operands
    left, right = s.operands[first + 1].type, s.operands[first + 2].type
    for _ in range(count):
        one = float_of(widened(s, element(s, 1, row, thread), left))
        other = float_of(widened(s, element(s, 2, row, thread), right))
        total = fmac_value(float_of(s.sram[s.at[0] >> 2]), one, other)
        s.sram[s.at[0] >> 2] = bits_of(total if total == total else NAN)
        go_on(s, 3)
    return 0


@kernel
def operate_line(s: Machine, tile: int, row: int, thread: int, count: int) -> int:
    """Any other operation, element by element, by the compiled form of its value function."""
    instruction, bits = s.rows[row], 0
    first, operands, opcode = instruction.operands, instruction.count, instruction.opcode
    accumulates, into = ACCUMULATING[opcode], s.operands[first]
    whole = 1 if instruction.dtype == I32 else 0
    function, domain = s.operations[opcode, whole], s.domains[opcode] * whole
    words = s.words
    base = words.ctypes.data
    for _ in range(count):
        # The operands as words; what is accumulated is the first of them.
        place = 1
        for number in range(1 - accumulates, operands):
            kind = s.operands[first + number].type
            words[place] = widened(s, element(s, number, row, thread), kind)
            place += 1
        # Some have no value for some integers: a division by zero, an index outside.
        if domain != 0 and look(domain, base, base + 4, base + 8, base + 12, 1) == 0:
            unit = thread - tile * s.now[0].units
            fault(s, Fault.DOMAIN, tile, unit, row, words[1], words[2])
            return 0
        operate(function, base, base + 4, base + 8, base + 12, 1)
        bits = encode(words[0]) if into.type == F16 else words[0]
        if into.kind == MEMORY:
            store_bits(s, s.at[0], into.type, bits)
        go_on(s, operands)
    return bits
