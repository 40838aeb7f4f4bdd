"""What wavelets set off where they arrive, for several at a time.

A core that waits takes them as they come; and what it sends on, as in a chain of sums, goes
through its router to the next tile in one go. A buffer that can go on nowhere is not asked. What
one wavelet changes is kept in variables and written once.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, control_in, delay, head_cell, moved, pop, tail_cell
from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.clocked.routers import INTO_ROUTER, WHOLE, occupy, under_way, wake_upstream
from wsc.runtime.time.basics import (
    LATE,
    QUEUED,
    emptied,
    enqueue,
    filled,
    push,
    put_off,
    target,
)
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.lookahead import alone
from wsc.runtime.time.records import NEVER, Mode, Reason
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
    if s.link[link].mask == 1 << s.slots[slot].bit:
        return NEVER
    return s.link[link].safe if s.link[link].owner == slot else 0


@kernel
def next_cell(s: Machine, fifo: int, cell: int) -> int:
    """The cell of a FIFO's ring that follows another."""
    first = s.fifos[fifo].offset
    return first if cell + 1 == first + s.fifos[fifo].depth else cell + 1


@kernel
def start_or_wait(s: Machine, slot: int) -> None:
    """Let a buffer that has got its first wavelet go on, when it can.

    What is full on all sides wakes it when it is not; until then it waits for the others.
    """
    if s.slots[slot].guided != 0 or s.queued[slot] & (QUEUED | LATE) != 0:
        enqueue(s, slot)
        return
    send, full, side = s.positions[s.slots[slot].first].send, 0, 0
    while (send >> side) != 0:
        if (send >> side) & 1:
            to = target(s, slot, side)
            if to >= 0 and s.fifos[to].count >= s.fifos[to].depth:
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
    much = 4 * s.fifos[slot].count <= s.fifos[slot].depth
    side = s.positions[s.slots[slot].first].accept
    upstream = s.slots[slot].next[side] if side != RAMP else -1
    if upstream < 0:
        if before == s.fifos[slot].depth:
            wake_upstream(s, slot)
    elif s.fifos[upstream].count > 0:
        queued = s.queued[upstream] & (QUEUED | LATE)
        if much and (queued == LATE or before == s.fifos[slot].depth):
            enqueue(s, upstream)
        elif queued == 0 and before == s.fifos[slot].depth:
            put_off(s, upstream, head_time(s, upstream))


@kernel
def freed(s: Machine, slot: int, before: int) -> None:
    """``wake_lazily``, if anyone may wait."""
    depth = s.fifos[slot].depth
    if before == depth or 4 * before > depth >= 4 * s.fifos[slot].count:
        wake_lazily(s, slot, before)


@kernel
def handed_on(s: Machine, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed at the link and where they are."""
    link = tile * 6 + side
    held = s.fifos[to].count
    s.fifos[to].count = held + count
    s.fifos[to].pushed += count
    s.link[link].free = free
    if s.link[link].mask != 1 << s.slots[slot].bit:
        s.turns[tile, side] = s.slots[slot].bit
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
    tile = s.slots[slot].tile
    queue, send = s.slots[slot].output, s.positions[s.slots[slot].first].send
    side = first_side(send)
    if send != 1 << side or side == RAMP or s.fifos[slot].count != 0:
        return
    if s.slots[slot].guided != 0 or s.now[0].seed != 0:
        return
    to, count = s.slots[slot].next[side], s.fifos[queue].count
    if to < 0:
        return
    most = min(count, s.fifos[to].depth - s.fifos[to].count)
    into, out, hop = tile * 6 + INTO_ROUTER, tile * 6 + side, s.now[0].ramp
    way, whole, part = s.now[0].hop, s.now[0].link_cycles, s.now[0].link_rest
    rest = s.link[out].rest
    cell, through, tail = head_cell(s, queue), head_cell(s, slot), tail_cell(s, to)
    popped, free_in, free_out = s.fifos[slot].popped, s.link[into].free, s.link[out].free
    rise, done, risen = 0, 0, 0
    safe_in, safe_out = NEVER, NEVER
    while done < most:
        rise = max(s.cells[cell].time, s.cells[through].time, free_in)
        leave = max(rise + hop, popped + 1, s.cells[tail].time, free_out)
        if done == 0:
            safe_in = owned_until(s, slot, tile, INTO_ROUTER, rise)
            if safe_in > 0:
                safe_out = owned_until(s, slot, tile, side, leave)
        if rise >= safe_in or leave >= safe_out:
            break
        s.cells[tail].time, s.cells[tail].control = leave + way, s.cells[cell].control
        s.cells[cell].time, s.cells[through].time = rise + 1, leave + 1
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
    s.fifos[queue].head = cell - s.fifos[queue].offset
    s.fifos[queue].count, s.fifos[queue].popped = count - done, risen
    s.fifos[slot].head = through - s.fifos[slot].offset
    s.fifos[slot].popped = s.fifos[slot].served = popped
    s.fifos[slot].pushed += done
    s.link[into].free, s.link[out].rest = free_in, rest
    s.turns[tile, INTO_ROUTER] = s.slots[slot].bit
    handed_on(s, slot, tile, side, to, done, free_out)
    if done == count:
        s.occupied[tile].outputs &= ~(1 << s.slots[slot].bit)
    if count == s.fifos[queue].depth and s.slots[slot].writer >= 0:
        enqueue(s, s.now[0].unit_tasks + tile * s.now[0].units + s.slots[slot].writer)
    moved(s, popped)


@kernel
def pass_on(s: Machine, tile: int, thread: int, queue: int) -> None:
    """Run rows of a unit that waits for a queue and sends on one wavelet for each that comes.

    It goes on waiting; the last row is left to the general way.
    """
    row, t, left = s.unit[thread].row, s.unit[thread].since, s.unit[thread].left - 1
    slot, cycles, done = s.unit_slot[thread, 0], s.unit[thread].cycles, 0
    out = s.slots[slot].output
    while done < left and s.fifos[queue].count > 0:
        if s.fifos[out].count == s.fifos[out].depth:
            carry(s, slot)
            if s.fifos[out].count == s.fifos[out].depth:
                break
        cell, tail = head_cell(s, queue), tail_cell(s, out)
        come = max(t, s.cells[cell].time)
        start = max(come, s.cells[tail].time)
        if start + cycles >= s.now[0].limit:
            break
        count_wait(s, tile, thread, Reason.INPUT, s.unit[thread].what, come - t)
        count_wait(s, tile, thread, Reason.OUTPUT, slot, start - come)
        pop(s, queue, start)
        push(s, out, 0, start + 1)
        t = start + cycles
        done += 1
    if done == 0:
        return
    s.unit[thread].left, s.unit[thread].since = left + 1 - done, t
    settle_rows(s, tile, thread - tile * s.now[0].units, thread, row, done, t)
    if s.fifos[out].count > 0:
        carry(s, slot)
    if s.fifos[out].count > 0:
        s.occupied[tile].outputs |= 1 << s.slots[slot].bit
        enqueue(s, s.now[0].slots + slot)


@kernel
def take_waiting(s: Machine, slot: int, tile: int, thread: int, queue: int) -> bool:
    """Let a unit take what has come to the queue that it waits at; False if it has more to do.

    It goes on waiting, as it has a row left in any case.
    """
    left = s.unit[thread].left - 1
    if (
        s.unit[thread].reason != Reason.INPUT
        or s.unit[thread].what != slot
        or s.unit[thread].mode != Mode.ROWS
    ):
        return False
    if left < 1 or s.now[0].trace != 0:
        return False
    if s.forms[s.unit[thread].row].passes != 0:
        pass_on(s, tile, thread, queue)
        return s.fifos[queue].count == 0
    if s.forms[s.unit[thread].row].sink == 0:
        return False
    cycles, since = s.unit[thread].cycles, s.unit[thread].since
    done = take_queued(s, tile, thread, slot, since, left, s.now[0].limit - cycles)
    if done > 0:
        s.unit[thread].left, s.unit[thread].since = left + 1 - done, s.fifos[queue].popped + cycles
        row = s.unit[thread].row
        settle_rows(
            s, tile, thread - tile * s.now[0].units, thread, row, done, s.unit[thread].since
        )
    return s.fifos[queue].count == 0


@kernel
def delivered(s: Machine, slot: int, tile: int, side: int, to: int, count: int, free: int) -> None:
    """Write what ``count`` wavelets over a link have changed, and wake who waits for them."""
    handed_on(s, slot, tile, side, to, count, free)
    if side == RAMP and s.slots[slot].reader >= 0:
        thread = tile * s.now[0].units + s.slots[slot].reader
        if not take_waiting(s, slot, tile, thread, to):
            enqueue(s, s.now[0].unit_tasks + thread)


@kernel
def cross(s: Machine, slot: int, tile: int, side: int, to: int, cell: int, t: int) -> None:
    """Move the wavelet of a cell over a link inside the fabric in cycle t."""
    tail, where, free = tail_cell(s, to), slot * 8 + RAMP, t + 1
    if side != RAMP:
        occupy(s, tile * 6 + side, t)
        where, free = to * 8 + side, s.link[tile * 6 + side].free
    extra = delay(s.now[0].seed, where, s.fifos[to].pushed)
    visible = t + under_way(s, slot, side) + extra
    s.cells[tail].time, s.cells[tail].control = visible, s.cells[cell].control
    delivered(s, slot, tile, side, to, 1, free)


@kernel
def left_by(s: Machine, slot: int, pending: int, served: int) -> bool:
    """Note on which sides a head has still to leave; whether on none, so that it is dropped.

    served: cycle in which it last left on a side.
    """
    before = s.fifos[slot].count
    s.slots[slot].pending, s.fifos[slot].served = pending, served
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
    tile, queue = s.slots[slot].tile, s.slots[slot].output
    head = head_cell(s, queue)
    control = control_in(s, head)
    extra = delay(s.now[0].seed, slot * 8 + INTO_ROUTER, s.fifos[slot].pushed)
    push(s, slot, control, t + s.now[0].ramp + extra)
    if s.slots[slot].guided != 0:
        s.moves[slot, INTO_ROUTER] += 1
        if control != 0:
            s.fifos[slot].open = NEVER
    if s.fifos[slot].count == 1:  # else its head waits for something else
        filled(s, slot)
        enqueue(s, slot)
    full = s.fifos[queue].count == s.fifos[queue].depth
    pop(s, queue, t)
    s.link[tile * 6 + INTO_ROUTER].free = t + 1
    s.turns[tile, INTO_ROUTER] = s.slots[slot].bit
    if s.fifos[queue].count == 0:
        s.occupied[tile].outputs &= ~(1 << s.slots[slot].bit)
    if full and s.slots[slot].writer >= 0:
        enqueue(s, s.now[0].unit_tasks + tile * s.now[0].units + s.slots[slot].writer)
    moved(s, t)
