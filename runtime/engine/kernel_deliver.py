"""What wavelets set off where they arrive, for several at a time.

A core that waits takes them as they come; and what it sends on, as in a chain of sums, goes
through its router to the next tile in one go. A buffer that can go on nowhere is not asked. What
one wavelet changes is kept in variables and written once.
"""

from __future__ import annotations

import numpy as np

from wsc.runtime.engine.dispatch import inlined, int32, jit
from wsc.runtime.engine.kernel_common import (
    LATE,
    QUEUED,
    RAMP,
    control_in,
    delay,
    emptied,
    enqueue,
    filled,
    head_cell,
    moved,
    pop,
    push,
    put_off,
    tail_cell,
    target,
    value_in,
    wake_upstream,
)
from wsc.runtime.engine.kernel_lookahead import alone
from wsc.runtime.engine.kernel_multiply import take_queued
from wsc.runtime.engine.kernel_router import INTO_ROUTER
from wsc.runtime.engine.kernel_rows import settle_rows, step_index, sum_step
from wsc.runtime.engine.kernel_times import head_time
from wsc.runtime.engine.layout import NEVER, C, F, G, L, Mode, Reason, State, U
from wsc.runtime.engine.pointer import Ask, ask_cores
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col


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


@inlined
def next_cell(fifos: np.ndarray, f: int, cell: int) -> int:
    """The cell of a FIFO's ring that follows another."""
    first = fifos[f, Fcol.OFFSET]
    return first if cell + 1 == first + fifos[f, Fcol.DEPTH] else cell + 1


@inlined
def start_or_wait(s: State, slot: int) -> None:
    """Let a buffer that has got its first wavelet go on, when it can.

    What is full on all sides wakes it when it is not; until then it waits for the others.
    """
    if s.slots[slot, Scol.GUIDED] != 0 or s.queued[slot] & (QUEUED | LATE) != 0:
        enqueue(s, slot)
        return
    send, full, side = s.positions[s.slots[slot, Scol.FIRST], 1], 0, 0
    while (send >> side) != 0:
        if (send >> side) & 1:
            to = target(s, slot, side)
            if to >= 0 and s.fifos[to, Fcol.COUNT] >= s.fifos[to, Fcol.DEPTH]:
                full |= 1 << side
        side += 1
    if full == 0:
        enqueue(s, slot)
    elif full != send:
        put_off(s, slot, head_time(s, slot))


@jit
def wake_lazily(s: State, slot: int, before: int) -> None:
    """Wake who feeds a buffer from which wavelets have gone; it had ``before``.

    For little room a router buffer waits, if it has time, until there is more.
    """
    much = 4 * s.fifos[slot, Fcol.COUNT] <= s.fifos[slot, Fcol.DEPTH]
    side = s.positions[s.slots[slot, Scol.FIRST], 0]
    upstream = s.slots[slot, Scol.NEXT + side] if side != RAMP else -1
    if upstream < 0:
        if before == s.fifos[slot, Fcol.DEPTH]:
            wake_upstream(s, slot)
    elif s.fifos[upstream, Fcol.COUNT] > 0:
        queued = s.queued[upstream] & (QUEUED | LATE)
        if much and (queued == LATE or before == s.fifos[slot, Fcol.DEPTH]):
            enqueue(s, upstream)
        elif queued == 0 and before == s.fifos[slot, Fcol.DEPTH]:
            put_off(s, upstream, head_time(s, upstream))


@inlined
def freed(s: State, slot: int, before: int) -> None:
    """``wake_lazily``, if anyone may wait."""
    depth = s.fifos[slot, Fcol.DEPTH]
    if before == depth or 4 * before > depth >= 4 * s.fifos[slot, Fcol.COUNT]:
        wake_lazily(s, slot, before)


@inlined
def handed_on(s: State, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed at the link and where they are."""
    fifos, link = s.fifos, tile * 6 + side
    held = fifos[to, Fcol.COUNT]
    fifos[to, Fcol.COUNT] = held + count
    fifos[to, Fcol.PUSHED] += count
    s.link[link, L.FREE] = free
    if s.link[link, L.MASK] != 1 << s.slots[slot, Scol.BIT]:
        s.turns[tile, side] = s.slots[slot, Scol.BIT]
    if side != RAMP and held == 0:  # else its head waits for something else
        filled(s, to)
        start_or_wait(s, to)


@inlined
def owned_until(s: State, slot: int, tile: int, side: int, t: int) -> int:
    """Cycle before which a slot has a link for itself, or the limit; 0 if not in cycle t."""
    link = tile * 6 + side
    if safe_until(s, slot, link) <= t and not alone(s, tile, side, slot, t):
        return 0
    return min(safe_until(s, slot, link), s.g[G.LIMIT])


@jit
def carry(s: State, slot: int) -> None:
    """Pass what a core sends through its empty router to the next, if nothing is in the way.

    The output queue holds wavelets; the rest are left in it. Switches are in the way.
    """
    fifos, cells, tile = s.fifos, s.cells, s.slots[slot, Scol.TILE]
    queue, send = s.slots[slot, Scol.OUTPUT], s.positions[s.slots[slot, Scol.FIRST], 1]
    side = first_side(send)
    if send != 1 << side or side == RAMP or fifos[slot, Fcol.COUNT] != 0:
        return
    if s.slots[slot, Scol.GUIDED] != 0 or s.g[G.SEED] != 0:
        return
    to, count = s.slots[slot, Scol.NEXT + side], fifos[queue, Fcol.COUNT]
    if to < 0:
        return
    most = min(count, fifos[to, Fcol.DEPTH] - fifos[to, Fcol.COUNT])
    into, out, hop = tile * 6 + INTO_ROUTER, tile * 6 + side, s.g[G.RAMP]
    cell, through, tail = head_cell(fifos, queue), head_cell(fifos, slot), tail_cell(fifos, to)
    popped, free_in, free_out = fifos[slot, Fcol.POPPED], s.link[into, L.FREE], s.link[out, L.FREE]
    rise, done, risen = 0, 0, 0
    safe_in, safe_out = NEVER, NEVER
    while done < most:
        rise = max(cells[cell, 0], cells[through, 0], free_in)
        leave = max(rise + hop, popped + 1, cells[tail, 0], free_out)
        if done == 0:
            safe_in = owned_until(s, slot, tile, INTO_ROUTER, rise)
            if safe_in > 0:
                safe_out = owned_until(s, slot, tile, side, leave)
        if rise >= safe_in or leave >= safe_out:
            break
        cells[tail, 0], cells[tail, 1] = leave + 1, cells[cell, 1]
        cells[cell, 0], cells[through, 0] = rise + 1, leave + 1
        free_in, free_out, popped, risen = rise + 1, leave + 1, leave, rise
        cell, through = next_cell(fifos, queue, cell), next_cell(fifos, slot, through)
        tail = next_cell(fifos, to, tail)
        done += 1
    if done == 0:
        return
    fifos[queue, Fcol.HEAD] = cell - fifos[queue, Fcol.OFFSET]
    fifos[queue, Fcol.COUNT], fifos[queue, Fcol.POPPED] = count - done, risen
    fifos[slot, Fcol.HEAD] = through - fifos[slot, Fcol.OFFSET]
    fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = popped
    fifos[slot, Fcol.PUSHED] += done
    s.link[into, L.FREE] = free_in
    s.turns[tile, INTO_ROUTER] = s.slots[slot, Scol.BIT]
    handed_on(s, slot, tile, side, to, done, free_out)
    if done == count:
        s.occupied[tile, 1] &= ~(1 << s.slots[slot, Scol.BIT])
    if count == fifos[queue, Fcol.DEPTH] and s.slots[slot, Scol.WRITER] >= 0:
        enqueue(s, s.g[G.UNIT_TASKS] + tile * s.g[G.UNITS] + s.slots[slot, Scol.WRITER])
    moved(s, popped)


@jit
def pass_on(s: State, tile: int, me: int, queue: int) -> None:
    """Run rows of a unit that waits for a queue and sends on one wavelet for each that comes.

    It goes on waiting; the last row is left to the general way.
    """
    u, fifos, cells = s.unit, s.fifos, s.cells
    row, t, left = u[me, U.ROW], u[me, U.SINCE], u[me, U.LEFT] - 1
    level, first, slot = s.rows[row, Col.LEVEL], s.forms[row, F.INPUT], u[me, U.SLOT]
    out, cycles, done = s.slots[slot, Scol.OUTPUT], u[me, U.CYCLES], 0
    while done < left and fifos[queue, Fcol.COUNT] > 0:
        if fifos[out, Fcol.COUNT] == fifos[out, Fcol.DEPTH]:
            carry(s, slot)
            if fifos[out, Fcol.COUNT] == fifos[out, Fcol.DEPTH]:
                break
        cell, tail = head_cell(fifos, queue), tail_cell(fifos, out)
        come = max(t, cells[cell, 0])
        start = max(come, cells[tail, 0])
        if start + cycles >= s.g[G.LIMIT]:
            break
        if me == tile * s.g[G.UNITS]:
            s.counters[tile, C.INPUT] += come - t
            s.counters[tile, C.OUTPUT] += start - come
        u[me, U.HELD + first] = value_in(s, cell)
        pop(s, queue, start)
        bits = 0
        if s.forms[row, F.SUM] != 0:
            bits = sum_step(s, tile, me, first)
        else:
            bits = ask_cores(s, Ask.ROW_STEPS, tile, row, me)
        push(s, out, int32(bits), 0, start + 1)
        step_index(s, me, row, level)
        t = start + cycles
        done += 1
    if done == 0:
        return
    u[me, U.LEFT], u[me, U.SINCE] = left + 1 - done, t
    settle_rows(s, tile, me - tile * s.g[G.UNITS], me, row, done, t)
    if fifos[out, Fcol.COUNT] > 0:
        carry(s, slot)
    if fifos[out, Fcol.COUNT] > 0:
        s.occupied[tile, 1] |= 1 << s.slots[slot, Scol.BIT]
        enqueue(s, s.g[G.SLOTS] + slot)


@jit
def take_waiting(s: State, slot: int, tile: int, me: int, queue: int) -> bool:
    """Let a unit take what has come to the queue that it waits at; False if it has more to do.

    It goes on waiting, as it has a row left in any case.
    """
    u, left = s.unit, s.unit[me, U.LEFT] - 1
    if u[me, U.REASON] != Reason.INPUT or u[me, U.WHAT] != slot or u[me, U.MODE] != Mode.ROWS:
        return False
    if left < 1 or s.g[G.TRACE] != 0:
        return False
    if s.forms[u[me, U.ROW], F.PASSES] != 0:
        pass_on(s, tile, me, queue)
        return s.fifos[queue, Fcol.COUNT] == 0
    if s.forms[u[me, U.ROW], F.SINK] == 0:
        return False
    cycles, since = u[me, U.CYCLES], u[me, U.SINCE]
    done = take_queued(s, tile, me, queue, since, left, s.g[G.LIMIT] - cycles)
    if done > 0:
        u[me, U.LEFT], u[me, U.SINCE] = left + 1 - done, s.fifos[queue, Fcol.POPPED] + cycles
        ask_cores(s, Ask.TAKE_VALUES, tile, me, done)
    return s.fifos[queue, Fcol.COUNT] == 0


@inlined
def delivered(s: State, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed, and wake who waits for them."""
    handed_on(s, slot, tile, side, to, count, free)
    if side == RAMP and s.slots[slot, Scol.READER] >= 0:
        me = tile * s.g[G.UNITS] + s.slots[slot, Scol.READER]
        if not take_waiting(s, slot, tile, me, to):
            enqueue(s, s.g[G.UNIT_TASKS] + me)


@inlined
def cross(s: State, slot: int, tile: int, side: int, to: int, cell: int, t: int) -> None:
    """Move the wavelet of a cell over a link inside the fabric in cycle t."""
    tail, where, hop = tail_cell(s.fifos, to), slot * 8 + RAMP, s.g[G.RAMP]
    if side != RAMP:
        where, hop = to * 8 + side, 1
    visible = t + hop + delay(s.g[G.SEED], where, s.fifos[to, Fcol.PUSHED])
    s.cells[tail, 0], s.cells[tail, 1] = visible, s.cells[cell, 1]
    delivered(s, slot, tile, side, to, 1, t + 1)


@inlined
def left_by(s: State, slot: int, pending: int, served: int) -> bool:
    """Note on which sides a head has still to leave; whether on none, so that it is dropped.

    served: cycle in which it last left on a side.
    """
    before = s.fifos[slot, Fcol.COUNT]
    s.slots[slot, Scol.PENDING], s.fifos[slot, Fcol.SERVED] = pending, served
    moved(s, served)
    if pending != 0:
        return False
    pop(s, slot, served)
    if before == 1:
        emptied(s, slot)
    freed(s, slot, before)
    return True


@jit
def rise_at(s: State, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    slots, fifos = s.slots, s.fifos
    tile, queue = slots[slot, Scol.TILE], slots[slot, Scol.OUTPUT]
    head = head_cell(fifos, queue)
    control = control_in(s, head)
    extra = delay(s.g[G.SEED], slot * 8 + INTO_ROUTER, fifos[slot, Fcol.PUSHED])
    push(s, slot, value_in(s, head), control, t + s.g[G.RAMP] + extra)
    if slots[slot, Scol.GUIDED] != 0:
        s.moves[slot, INTO_ROUTER] += 1
        if control != 0:
            fifos[slot, Fcol.OPEN] = NEVER
    if fifos[slot, Fcol.COUNT] == 1:  # else its head waits for something else
        filled(s, slot)
        enqueue(s, slot)
    full = fifos[queue, Fcol.COUNT] == fifos[queue, Fcol.DEPTH]
    pop(s, queue, t)
    s.link[tile * 6 + INTO_ROUTER, L.FREE] = t + 1
    s.turns[tile, INTO_ROUTER] = slots[slot, Scol.BIT]
    if fifos[queue, Fcol.COUNT] == 0:
        s.occupied[tile, 1] &= ~(1 << slots[slot, Scol.BIT])
    if full and slots[slot, Scol.WRITER] >= 0:
        enqueue(s, s.g[G.UNIT_TASKS] + tile * s.g[G.UNITS] + slots[slot, Scol.WRITER])
    moved(s, t)
