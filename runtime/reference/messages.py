"""One cycle of the dynamic network: remote stores, wormhole, x then y."""

from __future__ import annotations

from wsc.runtime.reference.basics import (
    RAMP,
    add_semaphore,
    block,
    delay,
    moved,
    wake_unit,
)
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.races import (
    MESSAGE_BITS,
    close_message,
    open_message,
    stored,
    touch,
)
from wsc.runtime.reference.records import Does, Reason
from wsc.runtime.reference.routers import first_after
from wsc.runtime.reference.vectors import store
from wsc.runtime.tables import Col, Ocol

HEADER, PLACE, DATA, LAST = 0, 1, 2, 3
LAST_SERVED = 5  # columns of dyn_hold behind the five holders


@kernel
def dyn_room(s: Machine, f: int, t: int) -> bool:
    """Whether the state before cycle t has a free slot."""
    used = s.dyn[f].count + (1 if s.dyn[f].popped == t else 0)
    return used < s.now[0].depth


@kernel
def dyn_push(s: Machine, f: int, value: int, kind: int, visible: int) -> None:
    """Append a wavelet to an input buffer and put its tile on the list."""
    cell = s.dyn[f].head + s.dyn[f].count
    if cell >= s.now[0].depth:
        cell -= s.now[0].depth
    cell += f * s.now[0].depth
    s.dyn_value[cell] = value
    s.dyn_kind[cell] = kind
    s.dyn_time[cell] = visible
    s.dyn[f].count += 1
    s.dyn[f].pushed += 1
    dyn_activate(s, f // 5)


@kernel
def dyn_activate(s: Machine, tile: int) -> None:
    """Visit a tile's dynamic router in the next cycle."""
    if s.tile[tile].routing == 0:
        s.tile[tile].routing = 1
        s.dyn_active[s.now[0].dynamic_which * s.now[0].tiles + s.now[0].dynamics] = tile
        s.now[0].dynamics += 1


@kernel
def wake_senders(s: Machine, tile: int, t: int) -> None:
    """Units that wait for the ramp queue may look again."""
    base = tile * s.now[0].units
    for unit in range(s.now[0].units):
        if s.unit[base + unit].reason == Reason.DYNAMIC:
            wake_unit(s, tile, unit, t)


@kernel
def element_address(s: Machine, me: int, row: int) -> int:
    """Where the next element of a message lies in the tile's SRAM."""
    at = s.unit_base[me, 1]
    for d in range(s.rows[row, Col.RANK]):
        at += s.unit_index[me, d] * s.unit_stride[me, 4 * d + 1]
    return at


@kernel
def element_bits(s: Machine, at: int, size: int) -> int:
    """An element from SRAM."""
    return s.halves[at >> 1] if size == 2 else s.sram[at >> 2]


@kernel
def message_place(s: Machine, me: int, row: int) -> int:
    """Second header: address, stride, element type and semaphore, in one word."""
    rank, at, stride = s.rows[row, Col.RANK], s.unit_base[me, 0], 0
    for d in range(rank - 1):
        at += s.unit_index[me, d] * s.unit_stride[me, 4 * d]
    if rank > 0:
        stride = s.unit_stride[me, 4 * (rank - 1)]
    kind = s.operands[s.rows[row, Col.OPERANDS], Ocol.TYPE]
    packed = at | (stride & 0xFFFFFF) << 24 | kind << 48
    return packed | s.rows[row, Col.D] << 50


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
        dyn_push(s, f, u[me].target | open_message(s, me, row), HEADER, visible)
        u[me].phase = 1
        return
    if u[me].phase == 1:
        dyn_push(s, f, message_place(s, me, row), PLACE, visible)
        u[me].phase = 2
        return
    size = 2 if s.operands[s.rows[row, Col.OPERANDS], Ocol.TYPE] == 1 else 4
    at = element_address(s, me, row)
    if s.now[0].races != 0:
        touch(s, tile, me, row, at, size, Does.READ)
    bits = element_bits(s, tile * s.now[0].bytes + at, size)
    s.counters[tile].elements += 1
    s.statements[u[me].statement].elements += 1
    s.counters[tile].sram += size
    d = s.rows[row, Col.RANK] - 1
    last = True
    if d >= 0:
        s.unit_index[me, d] += 1
        last = s.unit_index[me, d] == s.unit_extent[me, d]
    dyn_push(s, f, bits, LAST if last else DATA, visible)
    if last:
        end_message(s, tile, me, d, t)


@kernel
def end_message(s: Machine, tile: int, me: int, d: int, t: int) -> None:
    """Release the ramp queue and step to the next message."""
    u = s.unit
    if d >= 0:
        s.unit_index[me, d] = 0
        d -= 1
    while d >= 0:
        s.unit_index[me, d] += 1
        if s.unit_index[me, d] < s.unit_extent[me, d]:
            break
        s.unit_index[me, d] = 0
        d -= 1
    u[me].phase = 0
    u[me].left -= 1
    s.dyn_lock[tile].unit = -1
    s.dyn_lock[tile].released = t
    wake_senders(s, tile, t + 1)


@kernel
def way(s: Machine, tile: int, target: int) -> int:
    """Output of a message: x first, then y, then the core."""
    width = s.now[0].width
    x, y, tx, ty = tile % width, tile // width, target % width, target // width
    if tx != x:
        return 1 if tx > x else 3
    if ty != y:
        return 2 if ty > y else 0
    return RAMP


@kernel
def beyond_tile(s: Machine, tile: int, side: int) -> int:
    """The neighbour on a side; a message never leaves the rectangle."""
    if side == 0:
        return tile - s.now[0].width
    if side == 1:
        return tile + 1
    return tile + s.now[0].width if side == 2 else tile - 1


@kernel
def arrive(s: Machine, tile: int, value: int, kind: int, t: int) -> None:
    """A wavelet reaches its core."""
    if kind == HEADER:
        if s.now[0].races != 0:
            s.race_current[tile] = value >> MESSAGE_BITS
        return
    message = s.dyn_message[tile]
    if kind == PLACE:
        message.address = value & 0xFFFFFF
        message.stride = ((value >> 24 & 0xFFFFFF) ^ 0x800000) - 0x800000
        message.kind = (value >> 48) & 3
        message.semaphore = value >> 50
        return
    store(s, tile * s.now[0].bytes + message.address, message.kind, value)
    size = 2 if message.kind == 1 else 4
    if s.now[0].races != 0:
        stored(s, tile, message.address, size, message.semaphore)
        if kind == LAST:
            close_message(s, tile)
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
    if out == RAMP:
        arrive(s, tile, value, kind, t)
    else:
        there = beyond_tile(s, tile, out) * 5 + ((out + 2) & 3)
        extra = delay(s.now[0].seed, -7 - there, s.dyn[there].pushed)
        dyn_push(s, there, value, kind, t + 1 + extra)
    moved(s, t)


@kernel
def dyn_visit(s: Machine, tile: int, t: int) -> bool:
    """Decide and move for one dynamic router; whether it has anything left."""
    wanted = 0  # five bits of inputs for each output
    for source in range(5):
        f = tile * 5 + source
        if s.dyn[f].count == 0:
            continue
        cell = f * s.now[0].depth + s.dyn[f].head
        if s.dyn_time[cell] > t:
            continue
        out = s.dyn[f].output
        if out < 0:
            out = way(s, tile, s.dyn_value[cell] & ((1 << MESSAGE_BITS) - 1))
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
    left = 0
    for source in range(5):
        left += s.dyn[tile * 5 + source].count
    return left > 0


@kernel
def dynamic_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of all dynamic routers on the current list."""
    for index in range(count):
        tile = s.dyn_active[current * s.now[0].tiles + index]
        s.tile[tile].routing = 0
        if dyn_visit(s, tile, t):
            dyn_activate(s, tile)
