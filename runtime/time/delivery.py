"""What wavelets set off where they arrive, for several at a time.

A core that waits takes them as they come; and what it sends on, as in a chain of sums, goes
through its router to the next tile in one go. A buffer that can go on nowhere is not asked. What
one wavelet changes is kept in variables and written once.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, control_in, delay, head_cell, moved, pop, tail_cell
from wsc.runtime.clocked.routers import WHOLE, occupy, under_way
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.time.basics import (
    LATE,
    QUEUED,
    emptied,
    enqueue,
    filled,
    push,
    put_off,
    target,
    wake_upstream,
)
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.lookahead import alone
from wsc.runtime.time.records import NEVER, Mode, Reason
from wsc.runtime.time.routers import INTO_ROUTER
from wsc.runtime.time.rows import settle_rows
from wsc.runtime.time.take import take_queued
from wsc.runtime.time.times import head_time


@kernel
def first_side(mask: int) -> int:
    """The lowest set bit."""
    side = 0
    while (mask >> side) & 1 == 0:
        side += 1
    return side


@kernel
def safe_until(s: Machine, slot: int, link: int) -> int:
    """Cycle before which a slot is known to have a link for itself."""
    if s.link[link].mask == 1 << s.slots[slot, Scol.BIT]:
        return NEVER
    return s.link[link].safe if s.link[link].owner == slot else 0


@kernel
def next_cell(s: Machine, f: int, cell: int) -> int:
    """The cell of a FIFO's ring that follows another."""
    fifos = s.fifos
    first = fifos[f, Fcol.OFFSET]
    return first if cell + 1 == first + fifos[f, Fcol.DEPTH] else cell + 1


@kernel
def start_or_wait(s: Machine, slot: int) -> None:
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


@kernel
def wake_lazily(s: Machine, slot: int, before: int) -> None:
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


@kernel
def freed(s: Machine, slot: int, before: int) -> None:
    """``wake_lazily``, if anyone may wait."""
    depth = s.fifos[slot, Fcol.DEPTH]
    if before == depth or 4 * before > depth >= 4 * s.fifos[slot, Fcol.COUNT]:
        wake_lazily(s, slot, before)


@kernel
def handed_on(s: Machine, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed at the link and where they are."""
    fifos, link = s.fifos, tile * 6 + side
    held = fifos[to, Fcol.COUNT]
    fifos[to, Fcol.COUNT] = held + count
    fifos[to, Fcol.PUSHED] += count
    s.link[link].free = free
    if s.link[link].mask != 1 << s.slots[slot, Scol.BIT]:
        s.turns[tile, side] = s.slots[slot, Scol.BIT]
    if side != RAMP and held == 0:  # else its head waits for something else
        filled(s, to)
        start_or_wait(s, to)


@kernel
def owned_until(s: Machine, slot: int, tile: int, side: int, t: int) -> int:
    """Cycle before which a slot has a link for itself, or the limit; 0 if not in cycle t."""
    link = tile * 6 + side
    if safe_until(s, slot, link) <= t and not alone(s, tile, side, slot, t):
        return 0
    return min(safe_until(s, slot, link), s.now[0].limit)


@kernel
def carry(s: Machine, slot: int) -> None:
    """Pass what a core sends through its empty router to the next, if nothing is in the way.

    The output queue holds wavelets; the rest are left in it. Switches are in the way.
    """
    fifos, cells, tile = s.fifos, s.cells, s.slots[slot, Scol.TILE]
    queue, send = s.slots[slot, Scol.OUTPUT], s.positions[s.slots[slot, Scol.FIRST], 1]
    side = first_side(send)
    if send != 1 << side or side == RAMP or fifos[slot, Fcol.COUNT] != 0:
        return
    if s.slots[slot, Scol.GUIDED] != 0 or s.now[0].seed != 0:
        return
    to, count = s.slots[slot, Scol.NEXT + side], fifos[queue, Fcol.COUNT]
    if to < 0:
        return
    most = min(count, fifos[to, Fcol.DEPTH] - fifos[to, Fcol.COUNT])
    into, out, hop = tile * 6 + INTO_ROUTER, tile * 6 + side, s.now[0].ramp
    way, whole, part = s.now[0].hop, s.now[0].link_cycles, s.now[0].link_rest
    rest = s.link[out].rest
    cell, through, tail = head_cell(s, queue), head_cell(s, slot), tail_cell(s, to)
    popped, free_in, free_out = fifos[slot, Fcol.POPPED], s.link[into].free, s.link[out].free
    rise, done, risen = 0, 0, 0
    safe_in, safe_out = NEVER, NEVER
    while done < most:
        rise = max(cells[cell].time, cells[through].time, free_in)
        leave = max(rise + hop, popped + 1, cells[tail].time, free_out)
        if done == 0:
            safe_in = owned_until(s, slot, tile, INTO_ROUTER, rise)
            if safe_in > 0:
                safe_out = owned_until(s, slot, tile, side, leave)
        if rise >= safe_in or leave >= safe_out:
            break
        cells[tail].time, cells[tail].control = leave + way, cells[cell].control
        cells[cell].time, cells[through].time = rise + 1, leave + 1
        free_in, free_out, popped, risen = rise + 1, leave + whole, leave, rise
        rest += part
        if rest >= WHOLE:
            free_out += 1
            rest -= WHOLE
        cell, through = next_cell(s, queue, cell), next_cell(s, slot, through)
        tail = next_cell(s, to, tail)
        done += 1
    if done == 0:
        return
    fifos[queue, Fcol.HEAD] = cell - fifos[queue, Fcol.OFFSET]
    fifos[queue, Fcol.COUNT], fifos[queue, Fcol.POPPED] = count - done, risen
    fifos[slot, Fcol.HEAD] = through - fifos[slot, Fcol.OFFSET]
    fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = popped
    fifos[slot, Fcol.PUSHED] += done
    s.link[into].free, s.link[out].rest = free_in, rest
    s.turns[tile, INTO_ROUTER] = s.slots[slot, Scol.BIT]
    handed_on(s, slot, tile, side, to, done, free_out)
    if done == count:
        s.occupied[tile].outputs &= ~(1 << s.slots[slot, Scol.BIT])
    if count == fifos[queue, Fcol.DEPTH] and s.slots[slot, Scol.WRITER] >= 0:
        enqueue(s, s.now[0].unit_tasks + tile * s.now[0].units + s.slots[slot, Scol.WRITER])
    moved(s, popped)


@kernel
def pass_on(s: Machine, tile: int, me: int, queue: int) -> None:
    """Run rows of a unit that waits for a queue and sends on one wavelet for each that comes.

    It goes on waiting; the last row is left to the general way.
    """
    u, fifos, cells = s.unit, s.fifos, s.cells
    row, t, left = u[me].row, u[me].since, u[me].left - 1
    slot, cycles, done = s.unit_slot[me, 0], u[me].cycles, 0
    out = s.slots[slot, Scol.OUTPUT]
    while done < left and fifos[queue, Fcol.COUNT] > 0:
        if fifos[out, Fcol.COUNT] == fifos[out, Fcol.DEPTH]:
            carry(s, slot)
            if fifos[out, Fcol.COUNT] == fifos[out, Fcol.DEPTH]:
                break
        cell, tail = head_cell(s, queue), tail_cell(s, out)
        come = max(t, cells[cell].time)
        start = max(come, cells[tail].time)
        if start + cycles >= s.now[0].limit:
            break
        if me == tile * s.now[0].units:
            s.counters[tile].input += come - t
            s.counters[tile].output += start - come
        pop(s, queue, start)
        push(s, out, 0, start + 1)
        t = start + cycles
        done += 1
    if done == 0:
        return
    u[me].left, u[me].since = left + 1 - done, t
    settle_rows(s, tile, me - tile * s.now[0].units, me, row, done, t)
    if fifos[out, Fcol.COUNT] > 0:
        carry(s, slot)
    if fifos[out, Fcol.COUNT] > 0:
        s.occupied[tile].outputs |= 1 << s.slots[slot, Scol.BIT]
        enqueue(s, s.now[0].slots + slot)


@kernel
def take_waiting(s: Machine, slot: int, tile: int, me: int, queue: int) -> bool:
    """Let a unit take what has come to the queue that it waits at; False if it has more to do.

    It goes on waiting, as it has a row left in any case.
    """
    u, left = s.unit, s.unit[me].left - 1
    if u[me].reason != Reason.INPUT or u[me].what != slot or u[me].mode != Mode.ROWS:
        return False
    if left < 1 or s.now[0].trace != 0:
        return False
    if s.forms[u[me].row].passes != 0:
        pass_on(s, tile, me, queue)
        return s.fifos[queue, Fcol.COUNT] == 0
    if s.forms[u[me].row].sink == 0:
        return False
    cycles, since = u[me].cycles, u[me].since
    done = take_queued(s, tile, me, queue, since, left, s.now[0].limit - cycles)
    if done > 0:
        u[me].left, u[me].since = left + 1 - done, s.fifos[queue, Fcol.POPPED] + cycles
        row = u[me].row
        settle_rows(s, tile, me - tile * s.now[0].units, me, row, done, u[me].since)
    return s.fifos[queue, Fcol.COUNT] == 0


@kernel
def delivered(s: Machine, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed, and wake who waits for them."""
    handed_on(s, slot, tile, side, to, count, free)
    if side == RAMP and s.slots[slot, Scol.READER] >= 0:
        me = tile * s.now[0].units + s.slots[slot, Scol.READER]
        if not take_waiting(s, slot, tile, me, to):
            enqueue(s, s.now[0].unit_tasks + me)


@kernel
def cross(s: Machine, slot: int, tile: int, side: int, to: int, cell: int, t: int) -> None:
    """Move the wavelet of a cell over a link inside the fabric in cycle t."""
    tail, where, free = tail_cell(s, to), slot * 8 + RAMP, t + 1
    if side != RAMP:
        occupy(s, tile * 6 + side, t)
        where, free = to * 8 + side, s.link[tile * 6 + side].free
    extra = delay(s.now[0].seed, where, s.fifos[to, Fcol.PUSHED])
    visible = t + under_way(s, slot, side) + extra
    s.cells[tail].time, s.cells[tail].control = visible, s.cells[cell].control
    delivered(s, slot, tile, side, to, 1, free)


@kernel
def left_by(s: Machine, slot: int, pending: int, served: int) -> bool:
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


@kernel
def rise_at(s: Machine, slot: int, t: int) -> None:
    """Move the head of a core's output queue into the router in cycle t."""
    slots, fifos = s.slots, s.fifos
    tile, queue = slots[slot, Scol.TILE], slots[slot, Scol.OUTPUT]
    head = head_cell(s, queue)
    control = control_in(s, head)
    extra = delay(s.now[0].seed, slot * 8 + INTO_ROUTER, fifos[slot, Fcol.PUSHED])
    push(s, slot, control, t + s.now[0].ramp + extra)
    if slots[slot, Scol.GUIDED] != 0:
        s.moves[slot, INTO_ROUTER] += 1
        if control != 0:
            fifos[slot, Fcol.OPEN] = NEVER
    if fifos[slot, Fcol.COUNT] == 1:  # else its head waits for something else
        filled(s, slot)
        enqueue(s, slot)
    full = fifos[queue, Fcol.COUNT] == fifos[queue, Fcol.DEPTH]
    pop(s, queue, t)
    s.link[tile * 6 + INTO_ROUTER].free = t + 1
    s.turns[tile, INTO_ROUTER] = slots[slot, Scol.BIT]
    if fifos[queue, Fcol.COUNT] == 0:
        s.occupied[tile].outputs &= ~(1 << slots[slot, Scol.BIT])
    if full and slots[slot, Scol.WRITER] >= 0:
        enqueue(s, s.now[0].unit_tasks + tile * s.now[0].units + slots[slot, Scol.WRITER])
    moved(s, t)
