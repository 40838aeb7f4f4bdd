"""Rows of SRAM multiplied by the wavelets of a queue, many wavelets at a time."""

from __future__ import annotations

from wsc.runtime.engine.bits import bits_float
from wsc.runtime.engine.dispatch import int32, jit
from wsc.runtime.engine.kernel_common import value_in
from wsc.runtime.engine.kernel_vector import axpy
from wsc.runtime.engine.layout import C, F, G, State, U
from wsc.runtime.routes import Fcol, Scol


@jit
def take_queued(
    s: State, tile: int, me: int, queue: int, t: int, most: int, end: int
) -> int:  # fmt: skip
    """Take the wavelets of a queue into the table of values, one for each row of a unit.

    t: first cycle in which a row could start; none starts in cycle ``end`` or later.

    Returns:
        How many rows start; the last in the cycle in which the queue was last popped.
    """
    fifos, cells, start = s.fifos, s.cells, t
    count, depth = fifos[queue, Fcol.COUNT], fifos[queue, Fcol.DEPTH]
    head, offset = fifos[queue, Fcol.HEAD], fifos[queue, Fcol.OFFSET]
    cycles, done, most, popped = s.unit[me, U.CYCLES], 0, min(most, count), 0
    while done < most:
        cell = offset + head
        start = max(start, cells[cell, 0])
        if start >= end:
            break
        cells[cell, 0], popped = start + 1, start
        s.values[done] = value_in(s, cell)
        head = 0 if head + 1 == depth else head + 1
        done += 1
        start += cycles
    if done > 0:
        fifos[queue, Fcol.HEAD], fifos[queue, Fcol.COUNT] = head, count - done
        fifos[queue, Fcol.POPPED] = popped
        if me == tile * s.g[G.UNITS]:
            s.counters[tile, C.INPUT] += popped + cycles - t - done * cycles
    return done


@jit
def multiply_values(
    s: State, tile: int, me: int, row: int, level: int, done: int, count: int
) -> int:  # fmt: skip
    """Multiply rows by entries ``done`` to ``count`` of the table of values.

    Returns:
        How many: the last row of the innermost loop around them is left to the general way.
    """
    u, outer = s.unit, level - 1
    k, n = 3 - s.forms[row, F.INPUT], u[me, U.EXTENT + level]
    some = min(count - done, u[me, U.EXTENT + outer] - u[me, U.INDEX + outer] - 1)
    base, inner, step = tile * s.g[G.BYTES], U.STRIDE + 4 * level, U.STRIDE + 4 * outer
    into, by = (base + u[me, U.AT]) >> 2, u[me, inner] >> 2
    other, by_other = (base + u[me, U.AT + k]) >> 2, u[me, inner + k] >> 2
    next_into, next_other = u[me, step] >> 2, u[me, step + k] >> 2
    for index in range(done, done + some):
        axpy(s.f32, n, into, by, other, by_other, bits_float(int32(s.values[index])))
        into += next_into
        other += next_other
    u[me, U.INDEX + outer] += some
    for operand in range(s.forms[row, F.OPERANDS]):
        u[me, U.AT + operand] += some * u[me, step + operand]
    return some


@jit
def multiply_rows(s: State, tile: int, me: int, row: int, level: int, t: int) -> int:
    """Multiply rows by the wavelets that wait, up to the end of the innermost loop around them.

    Returns:
        How many; the unit's next cycle is in its record.
    """
    u, outer = s.unit, level - 1
    queue = s.slots[u[me, U.SLOT + s.forms[row, F.INPUT]], Scol.INPUT]
    most = min(u[me, U.EXTENT + outer] - u[me, U.INDEX + outer] - 1, u[me, U.LEFT] - 1)
    done = take_queued(s, tile, me, queue, t, most, s.g[G.LIMIT])
    if done > 0:
        multiply_values(s, tile, me, row, level, 0, done)
        u[me, U.WAKE] = s.fifos[queue, Fcol.POPPED] + u[me, U.CYCLES]
    return done
