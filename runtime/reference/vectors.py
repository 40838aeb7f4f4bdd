"""Vector instructions: operands captured at issue, rows of steps over SRAM and queues."""

from __future__ import annotations

import numpy as np

from wsc.isa.rounding import half_encoding
from wsc.isa.table import TABLE, Inner
from wsc.isa.types import DType
from wsc.isa.values import MOVES, VALUES, Class
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.operands import count_steps, covered, measure, reference
from wsc.runtime.reference.compiled import (
    NAN,
    Machine,
    bits_of,
    float_of,
    kernel,
    look,
    of_reals,
    operate,
)
from wsc.runtime.reference.records import Counts, Fault
from wsc.runtime.tables import MAX_DIMS, TYPE_INDEX, Col, Ocol

PRODUCTS = np.array([row.inner is Inner.PRODUCTS for row in TABLE])
F16, I32 = TYPE_INDEX[DType.F16], TYPE_INDEX[DType.I32]
MOVING = np.array([row.name in MOVES for row in TABLE])
ACCUMULATING = np.array([row.accumulates for row in TABLE])
encode = kernel(half_encoding)
fmac_value = of_reals(VALUES["fmac", Class.FLOAT], 3)
MEMORY, FABRIC, INTEGER, REAL = 0, 1, 2, 3
MOST_AT_ONCE = 1 << 20  # steps of an instruction that is executed whole when it starts
VISIT_STEPS = 1 << 8  # steps that count as one visit; see ``basics.MOST_VISITS``


@kernel
def capture(s: Machine, tile: int, row: int, unit: int) -> bool:
    """Evaluate extents, addresses, strides and scalars of an instruction into a unit.

    Returns:
        Whether all is well; otherwise a fault is noted.
    """
    rows = s.rows
    me = tile * s.now[0].units + unit
    rank = rows[row, Col.RANK]
    total = count_steps(s, tile, row, unit)
    if total < 0:
        return False
    for k in range(rows[row, Col.COUNT]):
        operand = rows[row, Col.OPERANDS] + k
        kind = s.operands[operand, Ocol.KIND]
        s.unit_slot[me, k] = -1
        for d in range(MAX_DIMS):
            s.unit_stride[me, 4 * d + k] = 0
        if kind == MEMORY:
            s.unit_base[me, k] = reference(s, s.operands[operand, Ocol.VALUE], tile)
            for d in range(rank):
                stride = reference(s, s.lists[s.operands[operand, Ocol.STRIDES] + d], tile)
                s.unit_stride[me, 4 * d + k] = stride
            if total > 0 and not covered(s, tile, row, unit, k):
                return False
        elif kind == FABRIC:
            slot = s.slot_of[tile * s.now[0].colors + s.operands[operand, Ocol.COLOR]]
            column = 8 if k == 0 else 7
            if slot < 0 or s.slots[slot, column] < 0:
                color = s.operands[operand, Ocol.COLOR]
                fault(s, Fault.QUEUE, tile, unit, row, color, column)
                return False
            s.unit_slot[me, k] = slot
        elif kind == INTEGER:
            whole = reference(s, s.operands[operand, Ocol.VALUE], tile)
            s.unit_held[me, k] = encoded(whole, s.operands[operand, Ocol.TYPE])
        else:
            literal = s.operands[operand, Ocol.VALUE]
            s.unit_held[me, k] = s.literals[literal, s.operands[operand, Ocol.TYPE]]
    measure(s, row, me, total)
    return True


# --- values -----------------------------------------------------------------------------


@kernel
def encoded(whole: int, kind: int) -> int:
    """An integer as the bits of an element of a type."""
    if kind == I32:
        return (whole << 32) >> 32
    if kind == F16:
        return encode(bits_of(float(whole)))
    return bits_of(float(whole))


@kernel
def store(s: Machine, address: int, kind: int, bits: int) -> None:
    """Write the bits of an element."""
    if kind == F16:
        s.halves[address >> 1] = bits
    else:
        s.sram[address >> 2] = bits


@kernel
def widened(s: Machine, bits: int, kind: int) -> int:
    """The word that an operation takes for the bits of an element: an f16 becomes an f32."""
    return bits_of(s.half[bits & 0xFFFF]) if kind == F16 else bits


@kernel
def element(s: Machine, k: int, row: int, me: int) -> int:
    """The bits of an operand's element: in SRAM where the unit is, or held."""
    operand = s.rows[row, Col.OPERANDS] + k
    if s.operands[operand, Ocol.KIND] != MEMORY:
        return s.unit_held[me, k]
    at = s.at[k]
    return s.halves[at >> 1] if s.operands[operand, Ocol.TYPE] == F16 else s.sram[at >> 2]


@kernel
def steps(s: Machine, tile: int, row: int, me: int, first: int) -> int:
    """Execute the dimensions from ``first`` on at the unit's outer indices.

    Returns:
        The bits of the last result; operands without a value are noted as a fault.
    """
    rank, count = s.rows[row, Col.RANK], s.rows[row, Col.COUNT]
    for d in range(first, rank):
        s.unit_index[me, d] = 0
    n = s.unit_extent[me, rank - 1] if rank > first else 1
    last = 0
    while True:
        # Where each operand is at the outer indices, and how far it goes with the innermost one.
        for k in range(count):
            at = tile * s.now[0].bytes + s.unit_base[me, k]
            for d in range(rank):
                at += s.unit_index[me, d] * s.unit_stride[me, 4 * d + k]
            s.at[k] = at
            s.go_on[k] = s.unit_stride[me, 4 * (rank - 1) + k] if rank > first else 0
        last = line(s, tile, row, me, n)
        # The next indices, the innermost dimension apart.
        d = rank - 2
        while d >= first:
            s.unit_index[me, d] += 1
            if s.unit_index[me, d] < s.unit_extent[me, d]:
                break
            s.unit_index[me, d] = 0
            d -= 1
        if d < first:
            return last


@kernel
def line(s: Machine, tile: int, row: int, me: int, n: int) -> int:
    """The innermost dimension; the bits of its last result."""
    opcode = s.rows[row, Col.OPCODE]
    if MOVING[opcode] != 0:
        return move_line(s, row, me, n)
    if PRODUCTS[opcode]:
        return multiply_line(s, row, me, n)
    return operate_line(s, tile, row, me, n)


@kernel
def advance(s: Machine, count: int) -> None:
    """Go to the next step of the innermost dimension."""
    for k in range(count):
        s.at[k] += s.go_on[k]


@kernel
def move_line(s: Machine, row: int, me: int, n: int) -> int:
    """A move keeps every bit."""
    operand, bits = s.rows[row, Col.OPERANDS], 0
    into = s.operands[operand, Ocol.KIND] == MEMORY
    for _ in range(n):
        bits = element(s, 1, row, me)
        if into:
            store(s, s.at[0], s.operands[operand, Ocol.TYPE], bits)
        advance(s, 2)
    return bits


@kernel
def multiply_line(s: Machine, row: int, me: int, n: int) -> int:
    """``fmac``: f32 sums of products of f32 or f16."""
    operand = s.rows[row, Col.OPERANDS]
    left, right = s.operands[operand + 1, Ocol.TYPE], s.operands[operand + 2, Ocol.TYPE]
    for _ in range(n):
        a = widened(s, element(s, 1, row, me), left)
        b = widened(s, element(s, 2, row, me), right)
        total = fmac_value(float_of(s.sram[s.at[0] >> 2]), float_of(a), float_of(b))
        s.sram[s.at[0] >> 2] = bits_of(total if total == total else NAN)
        advance(s, 3)
    return 0


@kernel
def operate_line(s: Machine, tile: int, row: int, me: int, n: int) -> int:
    """Any other operation, element by element, by the compiled form of its value function."""
    opcode, operand = s.rows[row, Col.OPCODE], s.rows[row, Col.OPERANDS]
    count, accumulates, bits = s.rows[row, Col.COUNT], ACCUMULATING[opcode], 0
    into, kind = s.operands[operand, Ocol.KIND] == MEMORY, s.operands[operand, Ocol.TYPE]
    whole = 1 if s.rows[row, Col.DTYPE] == I32 else 0
    function, domain = s.operations[opcode, whole], s.domains[opcode] * whole
    words = s.words
    base = words.ctypes.data
    for _ in range(n):
        # The operands as words; what is accumulated is the first of them.
        place = 1
        for k in range(1 - accumulates, count):
            of = s.operands[operand + k, Ocol.TYPE]
            words[place] = widened(s, element(s, k, row, me), of)
            place += 1
        if domain != 0 and look(domain, base, base + 4, base + 8, base + 12, 1) == 0:
            unit = me - tile * s.now[0].units
            fault(s, Fault.DOMAIN, tile, unit, row, words[1], words[2])
            return 0
        operate(function, base, base + 4, base + 8, base + 12, 1)
        bits = encode(words[0]) if kind == F16 else words[0]
        if into:
            store(s, s.at[0], kind, bits)
        advance(s, count)
    return bits


@kernel
def account(s: Machine, tile: int, row: int, me: int, done: int) -> None:
    """Count ``done`` executed steps."""
    trait, counters, statement = s.traits[row], s.counters[tile], s.statements[s.unit[me].statement]
    counters.sram += done * trait.bytes
    statement.elements += done
    if trait.counts == Counts.ELEMENTS:
        counters.elements += done
        return
    macs = done * trait.macs
    statement.macs += macs
    if trait.counts == Counts.MACS_F16:
        counters.macs_f16 += macs
    else:
        counters.macs_f32 += macs
