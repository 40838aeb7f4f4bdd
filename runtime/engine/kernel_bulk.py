"""What most of a run consists of, for many wavelets at a time.

A router buffer passes wavelets on over one or two links that it has for itself, and a core
multiplies a row of its SRAM by what comes. What one wavelet changes is kept in variables
and written once. Whatever is not as simple is left to the general way.
"""

from __future__ import annotations

from runtime.engine.bits import bits_float
from runtime.engine.dispatch import inlined, int32, jit
from runtime.engine.kernel_arbitrate import wake_waiting
from runtime.engine.kernel_common import (
    RAMP,
    emptied,
    enqueue,
    filled,
    tail_cell,
    target,
    value_in,
    wake_upstream,
)
from runtime.engine.kernel_vector import axpy
from runtime.engine.layout import NEVER, C, F, G, L, Mode, Reason, State, U
from runtime.engine.pointer import Ask, ask_cores
from runtime.routes import Fcol, Scol


@inlined
def first_side(mask: int) -> int:
    """The lowest set bit."""
    side = 0
    while (mask >> side) & 1 == 0:
        side += 1
    return side


@inlined
def safe_until(s: State, slot: int, link: int) -> int:
    """Cycle before which a slot is known to have a link for itself."""
    if s.link[link, L.MASK] == 1 << s.slots[slot, Scol.BIT]:
        return NEVER
    return s.link[link, L.SAFE] if s.link[link, L.OWNER] == slot else 0


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
def take_waiting(s: State, slot: int, tile: int, me: int, queue: int) -> bool:
    """Let a unit take what has come to the queue that it waits at; False if it has more to do.

    It goes on waiting, as it has a row left in any case.
    """
    u, left = s.unit, s.unit[me, U.LEFT] - 1
    if u[me, U.REASON] != Reason.INPUT or u[me, U.WHAT] != slot or u[me, U.MODE] != Mode.ROWS:
        return False
    if left < 1 or s.g[G.TRACE] != 0 or s.forms[u[me, U.ROW], F.SINK] == 0:
        return False
    cycles, since = u[me, U.CYCLES], u[me, U.SINCE]
    done = take_queued(s, tile, me, queue, since, left, s.g[G.LIMIT] - cycles)
    if done > 0:
        u[me, U.LEFT], u[me, U.SINCE] = left + 1 - done, s.fifos[queue, Fcol.POPPED] + cycles
        ask_cores(s, Ask.TAKE_VALUES, tile, me, done)
    return s.fifos[queue, Fcol.COUNT] == 0


@inlined
def delivered(s: State, slot: int, tile: int, side: int, to: int, moved: int, free: int) -> None:
    """Write what ``moved`` wavelets over a link have changed, and wake who waits for them."""
    fifos, link = s.fifos, tile * 6 + side
    held = fifos[to, Fcol.COUNT]
    fifos[to, Fcol.COUNT] = held + moved
    fifos[to, Fcol.PUSHED] += moved
    s.link[link, L.FREE] = free
    if s.link[link, L.MASK] != 1 << s.slots[slot, Scol.BIT]:
        s.turns[tile, side] = s.slots[slot, Scol.BIT]
        wake_waiting(s, link)
    if side != RAMP:
        if held == 0:  # else its head waits for something else
            filled(s, to)
            enqueue(s, to)
    elif s.slots[slot, Scol.READER] >= 0:
        me = tile * s.g[G.UNITS] + s.slots[slot, Scol.READER]
        if not take_waiting(s, slot, tile, me, to):
            enqueue(s, s.g[G.UNIT_TASKS] + me)


@jit
def relay(s: State, slot: int, send: int) -> None:
    """Pass wavelets to all sides of a buffer without switches, as long as nothing is in the way."""
    fifos, cells, tile = s.fifos, s.cells, s.slots[slot, Scol.TILE]
    side1 = first_side(send)
    others = send & ~(1 << side1)
    side2 = first_side(others) if others != 0 else side1
    to1, to2 = target(s, slot, side1), target(s, slot, side2)
    if others & (others - 1) != 0 or to1 < 0 or to2 < 0:
        return
    count = fifos[slot, Fcol.COUNT]
    most = min(count, fifos[to1, Fcol.DEPTH] - fifos[to1, Fcol.COUNT])
    most = min(most, fifos[to2, Fcol.DEPTH] - fifos[to2, Fcol.COUNT])
    if most <= 0:
        return
    link1, link2, limit = tile * 6 + side1, tile * 6 + side2, s.g[G.LIMIT]
    safe1 = min(safe_until(s, slot, link1), limit)
    safe2 = min(safe_until(s, slot, link2), limit)
    free1, free2 = s.link[link1, L.FREE], s.link[link2, L.FREE]
    hop1 = s.g[G.RAMP] if side1 == RAMP else 1
    hop2 = s.g[G.RAMP] if side2 == RAMP else 1
    head, popped = fifos[slot, Fcol.HEAD], fifos[slot, Fcol.POPPED]
    offset, depth = fifos[slot, Fcol.OFFSET], fifos[slot, Fcol.DEPTH]
    tail1, tail2 = tail_cell(fifos, to1), tail_cell(fifos, to2)
    end1 = fifos[to1, Fcol.OFFSET] + fifos[to1, Fcol.DEPTH]
    end2 = fifos[to2, Fcol.OFFSET] + fifos[to2, Fcol.DEPTH]
    moved = 0
    while moved < most:
        cell = offset + head
        time = max(cells[cell, 0], popped + 1)
        at1 = max(time, cells[tail1, 0], free1)
        at2 = at1
        if others != 0:
            at2 = max(time, cells[tail2, 0], free2)
        if at1 >= safe1 or at2 >= safe2:
            break
        bits = cells[cell, 1]
        cells[tail1, 0], cells[tail1, 1] = at1 + hop1, bits
        free1, tail1 = at1 + 1, tail1 + 1
        if tail1 == end1:
            tail1 = fifos[to1, Fcol.OFFSET]
        popped = at1
        if others != 0:
            cells[tail2, 0], cells[tail2, 1] = at2 + hop2, bits
            free2, tail2 = at2 + 1, tail2 + 1
            if tail2 == end2:
                tail2 = fifos[to2, Fcol.OFFSET]
            popped = max(at1, at2)
        cells[cell, 0] = popped + 1
        head = 0 if head + 1 == depth else head + 1
        moved += 1
    if moved == 0:
        return
    fifos[slot, Fcol.HEAD], fifos[slot, Fcol.COUNT] = head, count - moved
    fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = popped
    delivered(s, slot, tile, side1, to1, moved, free1)
    if others != 0:
        delivered(s, slot, tile, side2, to2, moved, free2)
    if count == moved:
        emptied(s, slot)
    if count == depth:
        wake_upstream(s, slot)
    s.g[G.LAST] = max(s.g[G.LAST], popped)


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
