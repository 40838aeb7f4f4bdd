"""Vector instructions: operands captured at issue, rows of steps over SRAM and queues."""

from __future__ import annotations

import numpy as np

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.isa.table import OPCODE
from wsc.runtime.engine.bits import bits_float, decode, encode, one_nan
from wsc.runtime.engine.dispatch import (
    ACCUMULATING,
    LIMITED,
    MOVING,
    allowed,
    apply_float,
    apply_int,
    float32,
    float64,
    fmac_value,
    inlined,
    int32,
    int64,
    jit,
)
from wsc.runtime.engine.kernel_common import fault
from wsc.runtime.engine.layout import C, F, Fault, G, P, State, T, U
from wsc.runtime.tables import MAX_DIMS, Col, Ocol

FMAC, ADD = OPCODE["fmac"], OPCODE["add"]
MEMORY, FABRIC, INTEGER, REAL = 0, 1, 2, 3
MOST_AT_ONCE = 1 << 20  # steps of an instruction that is executed whole when it starts
VISIT_STEPS = 1 << 8  # steps that count as one visit; see ``kernel_common.MOST_VISITS``


@inlined
def reference(s: State, ref: int, tile: int) -> int:
    """The value of static plus registers in a tile's current window."""
    refs = s.refs
    value = int64(
        s.pool[refs[ref, 0] + s.tile[tile, T.X] * refs[ref, 1] + s.tile[tile, T.Y] * refs[ref, 2]]
    )
    frame = tile * s.g[G.REGISTERS] + s.tile[tile, T.FRAME]
    for index in range(refs[ref, 3], refs[ref, 3] + refs[ref, 4]):
        value += s.regs[frame + s.registers[index]]
    return value


@inlined
def times(a: int, b: int, most: int) -> int:
    """``a * b`` of positive numbers, or one more than ``most`` if it is beyond."""
    return a * b if a <= most // b else most + 1


@inlined
def row_level(s: State, row: int) -> int:
    """How many outer dimensions tell the rows of an instruction apart."""
    level = s.rows[row, Col.LEVEL]
    return level if level >= 0 else max(s.rows[row, Col.RANK] - 1, 0)


@jit
def count_steps(s: State, tile: int, row: int, unit: int) -> int:
    """Evaluate the extents of an instruction into a unit: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    rows, u = s.rows, s.unit
    me, level = tile * s.g[G.UNITS] + unit, row_level(s, row)
    total, inner, empty = int64(1), int64(1), False
    for d in range(rows[row, Col.RANK]):
        extent = reference(s, s.lists[rows[row, Col.DIMS] + d], tile)
        if extent > MOST_WORD:
            fault(s, Fault.EXTENT, tile, unit, row, extent, MOST_WORD)
            return int64(-1)
        u[me, U.EXTENT + d] = extent
        u[me, U.INDEX + d] = 0
        if extent <= 0:
            empty = True
            continue
        total = times(total, extent, MOST_STEPS)
        if d >= level:
            inner = times(inner, extent, MOST_ROW)
    if empty:
        return int64(0)
    if inner > MOST_ROW:
        fault(s, Fault.ROW, tile, unit, row, MOST_ROW, 0)
        return int64(-1)
    if total > MOST_STEPS:
        fault(s, Fault.STEPS, tile, unit, row, MOST_STEPS, 0)
        return int64(-1)
    return total


@jit
def covered(s: State, tile: int, row: int, unit: int, k: int) -> bool:
    """Whether all that an operand in memory covers is SRAM and aligned; otherwise a fault is noted.

    There is a step. A stride larger than SRAM leaves it with the second index, so that the
    others can be multiplied by any extent without wrapping.
    """
    u, most = s.unit, s.g[G.BYTES]
    me = tile * s.g[G.UNITS] + unit
    of = s.operands[s.rows[row, Col.OPERANDS] + k, Ocol.TYPE]
    base, size = u[me, U.BASE + k], 2 if of == 1 else 4
    low, high, odd = base, base, base
    for d in range(s.rows[row, Col.RANK]):
        more, stride = u[me, U.EXTENT + d] - 1, u[me, U.STRIDE + 4 * d + k]
        if more > 0:
            odd |= stride
            if stride > most or stride < -most:
                more = int64(1)
            low += min(more * stride, 0)
            high += max(more * stride, 0)
    if low < 0 or high + size > most:
        fault(s, Fault.ADDRESS, tile, unit, row, low if low < 0 else high, most)
        return False
    if odd & (size - 1) != 0:
        fault(s, Fault.ALIGNMENT, tile, unit, row, base, size)
        return False
    s.tile[tile, T.TOP] = max(s.tile[tile, T.TOP], high + size)
    return True


@jit
def capture(s: State, tile: int, row: int, unit: int) -> bool:
    """Evaluate extents, addresses, strides and scalars of an instruction into a unit.

    Returns:
        Whether all is well; otherwise a fault is noted.
    """
    rows, u = s.rows, s.unit
    me = tile * s.g[G.UNITS] + unit
    rank = rows[row, Col.RANK]
    total = count_steps(s, tile, row, unit)
    if total < 0:
        return False
    for k in range(rows[row, Col.COUNT]):
        operand = rows[row, Col.OPERANDS] + k
        kind, of = s.operands[operand, Ocol.KIND], s.operands[operand, Ocol.TYPE]
        u[me, U.SLOT + k] = -1
        for d in range(MAX_DIMS):
            u[me, U.STRIDE + 4 * d + k] = 0
        if kind == MEMORY:
            u[me, U.BASE + k] = reference(s, s.operands[operand, Ocol.VALUE], tile)
            for d in range(rank):
                stride = reference(s, s.lists[s.operands[operand, Ocol.STRIDES] + d], tile)
                u[me, U.STRIDE + 4 * d + k] = stride
            if total > 0 and not covered(s, tile, row, unit, k):
                return False
        elif kind == FABRIC:
            slot = s.slot_of[tile * s.g[G.COLORS] + s.operands[operand, Ocol.COLOR]]
            column = 8 if k == 0 else 7
            if slot < 0 or s.slots[slot, column] < 0:
                color = s.operands[operand, Ocol.COLOR]
                fault(s, Fault.QUEUE, tile, unit, row, color, column)
                return False
            u[me, U.SLOT + k] = slot
        elif kind == INTEGER:
            whole = reference(s, s.operands[operand, Ocol.VALUE], tile)
            u[me, U.HELD + k] = int64(encode(whole * 1.0, of)) if of != 2 else int64(int32(whole))
        else:
            u[me, U.HELD + k] = int64(encode(s.reals[s.operands[operand, Ocol.VALUE]], of))
    measure(s, row, me, total)
    return True


@jit
def measure(s: State, row: int, me: int, total: int) -> None:
    """Steps and cycles of a row, number of rows, and the whole duration."""
    rows, u = s.rows, s.unit
    rank, outer = rows[row, Col.RANK], row_level(s, row)
    steps, count = int64(1), int64(1)
    for d in range(rank):
        if d < outer:
            count *= max(u[me, U.EXTENT + d], 0)
        else:
            steps *= max(u[me, U.EXTENT + d], 0)
    timing = rows[row, Col.TIMING]
    group = s.timing[timing, 2 + rows[row, Col.DTYPE]]
    cycles = max(int64(1), (steps + group - 1) // group) * s.timing[timing, 1]
    u[me, U.STEPS] = steps
    u[me, U.CYCLES] = max(cycles, 1)
    u[me, U.LEFT] = count if total > 0 else 0
    length = s.timing[timing, 0]
    if total > 0:
        length += count * cycles
    u[me, U.LENGTH] = max(length, 1)


@inlined
def float_row(
    s: State, opcode: int, accumulate: int, n: int,
    d0: int, a0: int, b0: int, c0: int, dd: int, da: int, db: int, dc: int,
    td: int, ta: int, tb: int, tc: int, ha: float, hb: float, hc: float, memory: int,
) -> int:  # fmt: skip
    """A row of a FLOAT instruction; a source is in memory where ``memory`` has its bit."""
    last = int64(0)
    for i in range(n):
        a = load(s, a0 + i * da, ta) if memory & 2 else ha
        b = load(s, b0 + i * db, tb) if memory & 4 else hb
        c = load(s, c0 + i * dc, tc) if memory & 8 else hc
        if accumulate:
            value = apply_float(opcode, load(s, d0 + i * dd, td), a, b)
        else:
            value = apply_float(opcode, a, b, c)
        last = int64(encode(value, td))
        if memory & 1:
            store(s, d0 + i * dd, td, last)
    return last


@inlined
def load(s: State, address: int, kind: int) -> float:
    """An element of SRAM as a float64 (f32, f16 and i32 all fit)."""
    if kind == 0:
        return float64(s.f32[address >> 2])
    if kind == 1:
        return float64(s.half[s.u16[address >> 1]])
    return float64(s.i32[address >> 2])


@inlined
def store(s: State, address: int, kind: int, bits: int) -> None:
    """Write the bits of an element."""
    if kind == 1:
        s.u16[address >> 1] = np.uint16(bits & 0xFFFF)
    else:
        s.i32[address >> 2] = int32(bits)


@jit
def steps(s: State, tile: int, row: int, me: int, first: int) -> int:
    """Execute the dimensions from ``first`` on at the unit's outer indices.

    Returns:
        The bits of the last result; operands without a value are noted as a fault.
    """
    rows, u = s.rows, s.unit
    rank, opcode = rows[row, Col.RANK], rows[row, Col.OPCODE]
    count, operand = rows[row, Col.COUNT], rows[row, Col.OPERANDS]
    base = tile * s.g[G.BYTES]
    memory = 0
    d0, a0, b0, c0 = base, base, base, base
    td, ta, tb, tc = 2, 2, 2, 2
    xa, xb, xc = int64(0), int64(0), int64(0)
    for k in range(count):
        at = base
        if s.operands[operand + k, Ocol.KIND] == MEMORY:
            memory |= 1 << k
            at += u[me, U.BASE + k]
            for d in range(first):
                at += u[me, U.INDEX + d] * u[me, U.STRIDE + 4 * d + k]
        of, held = s.operands[operand + k, Ocol.TYPE], u[me, U.HELD + k]
        if k == 0:
            d0, td = at, of
        elif k == 1:
            a0, ta, xa = at, of, held
        elif k == 2:
            b0, tb, xb = at, of, held
        else:
            c0, tc, xc = at, of, held
    n = u[me, U.EXTENT + rank - 1] if rank > first else int64(1)
    dd, da, db, dc = int64(0), int64(0), int64(0), int64(0)
    if rank > first:
        inner = U.STRIDE + 4 * (rank - 1)
        dd, da = u[me, inner], u[me, inner + 1]
        db, dc = u[me, inner + 2], u[me, inner + 3]
        if count < 4:
            dc = int64(0)
        if count < 3:
            db = int64(0)
    for d in range(first, rank):
        u[me, U.INDEX + d] = 0
    last = int64(0)
    while True:
        last = line(
            s, tile, row, me, opcode, n, d0, a0, b0, c0, dd, da, db, dc, td, ta, tb, tc,
            xa, xb, xc, memory,
        )  # fmt: skip
        d = rank - 2
        while d >= first:
            stride = U.STRIDE + 4 * d
            u[me, U.INDEX + d] += 1
            back = 1 - u[me, U.EXTENT + d] if u[me, U.INDEX + d] == u[me, U.EXTENT + d] else 1
            d0 += back * u[me, stride] if memory & 1 else 0
            a0 += back * u[me, stride + 1] if memory & 2 else 0
            b0 += back * u[me, stride + 2] if memory & 4 else 0
            c0 += back * u[me, stride + 3] if memory & 8 else 0
            if u[me, U.INDEX + d] < u[me, U.EXTENT + d]:
                break
            u[me, U.INDEX + d] = 0
            d -= 1
        if d < first:
            return last


@jit
def line(
    s: State, tile: int, row: int, me: int, opcode: int, n: int,
    d0: int, a0: int, b0: int, c0: int, dd: int, da: int, db: int, dc: int,
    td: int, ta: int, tb: int, tc: int, xa: int, xb: int, xc: int, memory: int,
) -> int:  # fmt: skip
    """The innermost dimension; frequent shapes have loops of their own."""
    if MOVING[opcode] != 0:
        return mov_line(s, n, d0, a0, dd, da, td, xa, memory)
    if opcode == FMAC and (memory & 1) and ta == 0:
        if (memory & 6) != 6:
            scale = bits_float(int32(xa if memory & 4 else xb))
            x0, dx = (b0, db) if memory & 4 else (a0, da)
            if (memory & 6) == 0:
                x0, dx = d0, int64(0)
            if (memory & 6) != 0:
                axpy(s.f32, n, d0 >> 2, dd >> 2, x0 >> 2, dx >> 2, scale)
                return int64(0)
        else:
            dot(s.f32, n, d0 >> 2, dd >> 2, a0 >> 2, da >> 2, b0 >> 2, db >> 2)
            return int64(0)
    if opcode == FMAC and (memory & 1) and (memory & 6) != 0:
        half_fmac(
            s, n, d0 >> 2, dd >> 2, a0 >> 1, da >> 1, b0 >> 1, db >> 1, xa, xb, memory
        )  # fmt: skip
        return int64(0)
    if s.rows[row, Col.DTYPE] == 2:
        return int_row(
            s, tile, row, me, opcode, n, d0, a0, b0, c0, dd, da, db, dc, xa, xb, xc, memory
        )
    return float_row(
        s, opcode, ACCUMULATING[opcode], n, d0, a0, b0, c0, dd, da, db, dc, td, ta, tb, tc,
        decode(xa, ta, s.half), decode(xb, tb, s.half), decode(xc, tc, s.half), memory,
    )  # fmt: skip


@jit
def mov_line(
    s: State, n: int, d0: int, a0: int, dd: int, da: int, td: int, xa: int, memory: int
) -> int:
    """A move keeps every bit."""
    last = xa
    for i in range(n):
        if memory & 2:
            at = a0 + i * da
            last = int64(s.u16[at >> 1]) if td == 1 else int64(s.i32[at >> 2])
        if memory & 1:
            store(s, d0 + i * dd, td, last)
    return last


@jit
def axpy(f32: np.ndarray, n: int, d: int, dd: int, x: int, dx: int, scale: float) -> None:
    """``fmac`` with one factor held: unit strides have a loop that can be vectorised."""
    if dd == 1 and dx == 1:
        for i in range(n):
            f32[d + i] = one_nan(fmac_value(f32[d + i], f32[x + i], float32(scale)))
        return
    for i in range(n):
        f32[d + i * dd] = one_nan(fmac_value(f32[d + i * dd], f32[x + i * dx], float32(scale)))


@jit
def dot(f32: np.ndarray, n: int, d: int, dd: int, a: int, da: int, b: int, db: int) -> None:
    """``fmac`` with all operands in memory."""
    for i in range(n):
        value = fmac_value(f32[d + i * dd], f32[a + i * da], f32[b + i * db])
        f32[d + i * dd] = one_nan(value)


@inlined
def half_fmac(
    s: State, n: int, d: int, dd: int, a: int, da: int, b: int, db: int, xa: int, xb: int,
    memory: int,
) -> None:  # fmt: skip
    """``fmac.f16``: f16 factors, sums in f32."""
    left, right = s.half[xa & 0xFFFF], s.half[xb & 0xFFFF]
    for i in range(n):
        if memory & 2:
            left = s.half[s.u16[a + i * da]]
        if memory & 4:
            right = s.half[s.u16[b + i * db]]
        s.f32[d + i * dd] = one_nan(fmac_value(s.f32[d + i * dd], left, right))


@inlined
def int_row(
    s: State, tile: int, row: int, me: int, opcode: int, n: int,
    d0: int, a0: int, b0: int, c0: int, dd: int, da: int, db: int, dc: int,
    xa: int, xb: int, xc: int, memory: int,
) -> int:  # fmt: skip
    """A row of an INT instruction."""
    last = int64(0)
    for i in range(n):
        a = int64(s.i32[(a0 + i * da) >> 2]) if memory & 2 else xa
        b = int64(s.i32[(b0 + i * db) >> 2]) if memory & 4 else xb
        c = int64(s.i32[(c0 + i * dc) >> 2]) if memory & 8 else xc
        if LIMITED[opcode] != 0 and not allowed(opcode, a, b):
            fault(s, Fault.DOMAIN, tile, me - tile * s.g[G.UNITS], row, a, b)
            return int64(0)
        last = int64(int32(apply_int(opcode, a, b, c)))
        if memory & 1:
            s.i32[(d0 + i * dd) >> 2] = int32(last)
    return last


@inlined
def account(s: State, tile: int, row: int, me: int, done: int) -> None:
    """Count ``done`` executed steps."""
    statement, column = s.unit[me, U.STATEMENT], s.forms[row, F.COUNTER]
    s.counters[tile, column] += done
    s.counters[tile, C.SRAM] += done * s.forms[row, F.BYTES]
    s.statements[statement, P.ELEMENTS] += done
    if column != C.ELEMENTS:
        s.statements[statement, P.MACS] += done
