"""One cycle of the dynamic network: remote stores, wormhole, x then y."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, add_semaphore, block, delay, moved
from wsc.runtime.clocked.messages import (
    beyond_tile,
    dyn_activate,
    dyn_push,
    dyn_room,
    end_message,
    message_place,
    wake_senders,
    way,
)
from wsc.runtime.clocked.routers import first_after
from wsc.runtime.tables import Col, Ocol
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import Reason

HEADER, PLACE, DATA, LAST = 0, 1, 2, 3
LAST_SERVED = 5  # columns of dyn_hold behind the five holders


@kernel
def send_step(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Put one wavelet of a message into the ramp queue, or wait for room or for the turn."""
    u, f = s.unit, tile * 5 + RAMP
    owner = s.dyn_lock[tile].unit
    taken = owner >= 0 and owner != unit
    if taken or (owner < 0 and s.dyn_lock[tile].released == t) or not dyn_room(s, f, t):
        block(s, me, Reason.DYNAMIC, 0, t)
        if not taken and owner < 0 and s.dyn_lock[tile].released == t:
            u[me].wake = t + 1
        return
    visible = t + s.now[0].ramp + delay(s.now[0].seed, -7 - f, s.dyn[f].pushed)
    moved(s, t)
    if u[me].phase == 0:
        s.dyn_lock[tile].unit = unit
        dyn_push(s, f, u[me].target, HEADER, visible)
        u[me].phase = 1
        return
    if u[me].phase == 1:
        dyn_push(s, f, message_place(s, me, row), PLACE, visible)
        u[me].phase = 2
        return
    size = 2 if s.operands[s.rows[row, Col.OPERANDS], Ocol.TYPE] == 1 else 4
    s.counters[tile].elements += 1
    s.statements[u[me].statement].elements += 1
    s.counters[tile].sram += size
    d = s.rows[row, Col.RANK] - 1
    last = True
    if d >= 0:
        s.unit_index[me, d] += 1
        last = s.unit_index[me, d] == s.unit_extent[me, d]
    dyn_push(s, f, 0, LAST if last else DATA, visible)
    if last:
        end_message(s, tile, me, d, t)


@kernel
def arrive(s: Machine, tile: int, value: int, kind: int, t: int) -> None:
    """A wavelet reaches its core."""
    if kind == HEADER:
        return
    message = s.dyn_message[tile]
    if kind == PLACE:
        message.address = value & 0xFFFFFF
        message.stride = ((value >> 24 & 0xFFFFFF) ^ 0x800000) - 0x800000
        message.kind = (value >> 48) & 3
        message.semaphore = value >> 50
        return
    size = 2 if message.kind == 1 else 4
    s.tile[tile].top = max(s.tile[tile].top, message.address + size)
    s.counters[tile].sram += size
    message.address += message.stride
    add_semaphore(s, tile, message.semaphore, 1, t)


@kernel
def dyn_move(s: Machine, tile: int, source: int, out: int, t: int) -> None:
    """Move the head of an input through an output."""
    f, depth = tile * 5 + source, s.now[0].depth
    cell = f * depth + s.dyn[f].head
    value, kind = s.dyn_value[cell], s.dyn_kind[cell]
    head = s.dyn[f].head + 1
    s.dyn[f].head = 0 if head == depth else head
    s.dyn[f].count -= 1
    s.dyn[f].popped = t
    s.dyn[f].output = -1 if kind == LAST else out
    s.dyn_hold[tile, out] = -1 if kind == LAST else source
    s.dyn_hold[tile, LAST_SERVED + out] = source
    s.dyn_links[tile, out] += 1
    if source == RAMP:
        wake_senders(s, tile, t + 1)
    else:
        dyn_activate(s, beyond_tile(s, tile, source))  # it may have waited for room
    if out == RAMP:
        arrive(s, tile, value, kind, t)
    else:
        there = beyond_tile(s, tile, out) * 5 + ((out + 2) & 3)
        extra = delay(s.now[0].seed, -7 - there, s.dyn[there].pushed)
        dyn_push(s, there, value, kind, t + 1 + extra)
    moved(s, t)


@kernel
def dyn_visit(s: Machine, tile: int, t: int) -> bool:
    """Decide and move for one dynamic router; whether to look at it again in the next cycle.

    A head that waits for room or for its turn is looked at again when something moves here, or
    makes room there.
    """
    wanted, again = 0, False  # five bits of inputs for each output
    for source in range(5):
        f = tile * 5 + source
        if s.dyn[f].count == 0:
            continue
        cell = f * s.now[0].depth + s.dyn[f].head
        if s.dyn_time[cell] > t:
            again = True
            continue
        out = s.dyn[f].output
        if out < 0:
            out = way(s, tile, s.dyn_value[cell])
            if s.dyn_hold[tile, out] >= 0:
                continue
        if out != RAMP:
            there = beyond_tile(s, tile, out) * 5 + ((out + 2) & 3)
            if not dyn_room(s, there, t):
                continue
        wanted |= 1 << (5 * out + source)
    for out in range(5):
        mask = (wanted >> (5 * out)) & 31
        if mask != 0:
            source = first_after(mask, s.dyn_hold[tile, LAST_SERVED + out])
            dyn_move(s, tile, source, out, t)
    return again or wanted != 0


@kernel
def dynamic_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of all dynamic routers on the current list."""
    first = current * s.now[0].tiles
    for index in range(first, first + count):
        s.tile[s.dyn_active[index]].routing = 0
    for index in range(first, first + count):
        tile = s.dyn_active[index]
        if dyn_visit(s, tile, t):
            dyn_activate(s, tile)
