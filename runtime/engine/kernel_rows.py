"""Rows of an instruction with fabric operands: their steps, the way to the next, the counts."""

from __future__ import annotations

from wsc.runtime.engine.bits import bits_float, encode
from wsc.runtime.engine.dispatch import add_value, inlined, int32, int64, jit
from wsc.runtime.engine.kernel_common import moved
from wsc.runtime.engine.kernel_multiply import multiply_values
from wsc.runtime.engine.kernel_vector import MEMORY, VISIT_STEPS, account, line, steps
from wsc.runtime.engine.layout import C, F, G, P, State, U
from wsc.runtime.tables import Col, Ocol


@jit
def step_index(s: State, me: int, row: int, level: int) -> None:
    """Go to the next row: the outer indices, and the addresses of the operands."""
    u = s.unit
    d = level - 1
    count = s.rows[row, Col.COUNT]
    while d >= 0:
        u[me, U.INDEX + d] += 1
        around = u[me, U.INDEX + d] == u[me, U.EXTENT + d]
        by = 1 - u[me, U.EXTENT + d] if around else 1
        for k in range(count):
            u[me, U.AT + k] += by * u[me, U.STRIDE + 4 * d + k]
        if not around:
            return
        u[me, U.INDEX + d] = 0
        d -= 1


@inlined
def sum_step(s: State, tile: int, me: int, first: int) -> int:
    """Add a wavelet and an element of SRAM, f32; the bits of the sum, which memory gets too.

    first: number of the operand that comes from a queue.
    """
    u, base = s.unit, tile * s.g[G.BYTES]
    wavelet = bits_float(int32(u[me, U.HELD + first]))
    other = s.f32[(base + u[me, U.AT + 3 - first]) >> 2]
    total = add_value(wavelet, other) if first == 1 else add_value(other, wavelet)
    bits = int64(encode(total, 0))
    if u[me, U.SLOT] < 0:
        s.i32[(base + u[me, U.AT]) >> 2] = int32(bits)
    return bits


@jit
def row_steps(s: State, tile: int, row: int, me: int, level: int) -> int:
    """Execute a row; the bits of its last result."""
    rows, u = s.rows, s.unit
    rank, count, operand = rows[row, Col.RANK], rows[row, Col.COUNT], rows[row, Col.OPERANDS]
    if rank > level + 1:
        return steps(s, tile, row, me, level)
    base, memory = tile * s.g[G.BYTES], 0
    n = u[me, U.EXTENT + level] if rank > level else 1
    inner = U.STRIDE + 4 * level
    inside = rank > level
    at0, at1, at2, at3 = base + u[me, U.AT], base, base, base
    x1, x2, x3 = 0, 0, 0
    t1, t2, t3 = 2, 2, 2
    d0, d1, d2, d3 = 0, 0, 0, 0
    if s.operands[operand, Ocol.KIND] == MEMORY:
        memory = 1
        d0 = u[me, inner] if inside else 0
    if count > 1:
        at1, x1, t1 = base + u[me, U.AT + 1], u[me, U.HELD + 1], s.operands[operand + 1, Ocol.TYPE]
        memory |= 2 if s.operands[operand + 1, Ocol.KIND] == MEMORY else 0
        d1 = u[me, inner + 1] if inside else 0
    if count > 2:
        at2, x2, t2 = base + u[me, U.AT + 2], u[me, U.HELD + 2], s.operands[operand + 2, Ocol.TYPE]
        memory |= 4 if s.operands[operand + 2, Ocol.KIND] == MEMORY else 0
        d2 = u[me, inner + 2] if inside else 0
    if count > 3:
        at3, x3, t3 = base + u[me, U.AT + 3], u[me, U.HELD + 3], s.operands[operand + 3, Ocol.TYPE]
        memory |= 8 if s.operands[operand + 3, Ocol.KIND] == MEMORY else 0
        d3 = u[me, inner + 3] if inside else 0
    return line(
        s, tile, row, me, rows[row, Col.OPCODE], n, at0, at1, at2, at3, d0, d1, d2, d3,
        s.operands[operand, Ocol.TYPE], t1, t2, t3, x1, x2, x3, memory,
    )  # fmt: skip


@jit
def settle_rows(s: State, tile: int, unit: int, me: int, row: int, done: int, ended: int) -> None:
    """Account for rows that were run."""
    account(s, tile, row, me, s.unit[me, U.STEPS] * done)
    busy = s.unit[me, U.CYCLES] * done
    if unit == 0:
        s.counters[tile, C.BUSY] += busy
        s.statements[s.unit[me, U.STATEMENT], P.BUSY] += busy
    else:
        s.counters[tile, C.UNIT_BUSY] += busy
    moved(s, ended - 1)
    s.g[G.VISITS] += done + s.unit[me, U.STEPS] * done // VISIT_STEPS


@jit
def take_values(s: State, tile: int, me: int, count: int) -> None:
    """Execute rows of a unit with the wavelets of the table of values; it is done with the last."""
    row, u = s.unit[me, U.ROW], s.unit
    level, first, done = s.rows[row, Col.LEVEL], s.forms[row, F.INPUT], 0
    while done < count:
        if s.forms[row, F.BULK] != 0:
            done += multiply_values(s, tile, me, row, level, done, count)
            if done == count:
                break
        u[me, U.HELD + first] = s.values[done]
        row_steps(s, tile, row, me, level)
        step_index(s, me, row, level)
        done += 1
    settle_rows(s, tile, me - tile * s.g[G.UNITS], me, row, count, u[me, U.SINCE])
