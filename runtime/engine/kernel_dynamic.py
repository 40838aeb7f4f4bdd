"""One cycle of the dynamic network: remote stores, wormhole, x then y."""

from __future__ import annotations

from wsc.runtime.engine.dispatch import inlined, int32, int64, jit
from wsc.runtime.engine.kernel_common import RAMP, add_semaphore, block, delay, moved, wake_unit
from wsc.runtime.engine.kernel_races import (
    MESSAGE_BITS,
    close_message,
    open_message,
    stored,
    touch,
)
from wsc.runtime.engine.kernel_router import first_after
from wsc.runtime.engine.kernel_vector import store
from wsc.runtime.engine.layout import C, D, G, P, Reason, State, T, U
from wsc.runtime.engine.observed import Does
from wsc.runtime.tables import Col, Ocol

HEADER, PLACE, DATA, LAST = 0, 1, 2, 3
LAST_SERVED = 5  # columns of dyn_hold behind the five holders


@inlined
def dyn_room(s: State, f: int, t: int) -> bool:
    """Whether the state before cycle t has a free slot."""
    used = s.dyn[f, D.COUNT] + (1 if s.dyn[f, D.POPPED] == t else 0)
    return used < s.g[G.DEPTH]


@jit
def dyn_push(s: State, f: int, value: int, kind: int, visible: int) -> None:
    """Append a wavelet to an input buffer and put its tile on the list."""
    cell = s.dyn[f, D.HEAD] + s.dyn[f, D.COUNT]
    if cell >= s.g[G.DEPTH]:
        cell -= s.g[G.DEPTH]
    cell += f * s.g[G.DEPTH]
    s.dyn_value[cell] = value
    s.dyn_kind[cell] = kind
    s.dyn_time[cell] = visible
    s.dyn[f, D.COUNT] += 1
    s.dyn[f, D.PUSHED] += 1
    dyn_activate(s, f // 5)


@jit
def dyn_activate(s: State, tile: int) -> None:
    """Visit a tile's dynamic router in the next cycle."""
    if s.tile[tile, T.ROUTING] == 0:
        s.tile[tile, T.ROUTING] = 1
        s.dyn_active[s.g[G.DYNAMIC_WHICH], s.g[G.DYNAMICS]] = tile
        s.g[G.DYNAMICS] += 1


@jit
def wake_senders(s: State, tile: int, t: int) -> None:
    """Units that wait for the ramp queue may look again."""
    base = tile * s.g[G.UNITS]
    for unit in range(s.g[G.UNITS]):
        if s.unit[base + unit, U.REASON] == Reason.DYNAMIC:
            wake_unit(s, tile, unit, t)


@inlined
def element_address(s: State, me: int, row: int) -> int:
    """Where the next element of a message lies in the tile's SRAM."""
    at = s.unit[me, U.BASE + 1]
    for d in range(s.rows[row, Col.RANK]):
        at += s.unit[me, U.INDEX + d] * s.unit[me, U.STRIDE + 4 * d + 1]
    return at


@inlined
def element_bits(s: State, at: int, size: int) -> int:
    """An element from SRAM."""
    return int64(s.u16[at >> 1]) if size == 2 else int64(s.i32[at >> 2])


@jit
def message_place(s: State, me: int, row: int) -> int:
    """Second header: address, stride, element type and semaphore, in one word."""
    rank, at, stride = s.rows[row, Col.RANK], s.unit[me, U.BASE], int64(0)
    for d in range(rank - 1):
        at += s.unit[me, U.INDEX + d] * s.unit[me, U.STRIDE + 4 * d]
    if rank > 0:
        stride = s.unit[me, U.STRIDE + 4 * (rank - 1)]
    kind = int64(s.operands[s.rows[row, Col.OPERANDS], Ocol.TYPE])
    packed = at | (stride & 0xFFFFFF) << 24 | kind << 48
    return packed | int64(s.rows[row, Col.D]) << 50


@jit
def send_step(s: State, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Put one wavelet of a message into the ramp queue, or wait for room or for the turn."""
    u, f = s.unit, tile * 5 + RAMP
    owner = s.dyn_lock[tile, 0]
    taken = owner >= 0 and owner != unit
    if taken or (owner < 0 and s.dyn_lock[tile, 1] == t) or not dyn_room(s, f, t):
        block(s, me, Reason.DYNAMIC, 0, t)
        if not taken and owner < 0 and s.dyn_lock[tile, 1] == t:
            u[me, U.WAKE] = t + 1
        return
    visible = t + s.g[G.RAMP] + delay(s.g[G.SEED], -7 - f, s.dyn[f, D.PUSHED])
    moved(s, t)
    if u[me, U.PHASE] == 0:
        s.dyn_lock[tile, 0] = unit
        dyn_push(s, f, u[me, U.TARGET] | open_message(s, me, row), HEADER, visible)
        u[me, U.PHASE] = 1
        return
    if u[me, U.PHASE] == 1:
        dyn_push(s, f, message_place(s, me, row), PLACE, visible)
        u[me, U.PHASE] = 2
        return
    size = 2 if s.operands[s.rows[row, Col.OPERANDS], Ocol.TYPE] == 1 else 4
    at = element_address(s, me, row)
    if s.g[G.RACES] != 0:
        touch(s, tile, me, row, at, size, Does.READ)
    bits = element_bits(s, tile * s.g[G.BYTES] + at, size)
    s.counters[tile, C.ELEMENTS] += 1
    s.statements[u[me, U.STATEMENT], P.ELEMENTS] += 1
    s.counters[tile, C.SRAM] += size
    d = s.rows[row, Col.RANK] - 1
    last = True
    if d >= 0:
        u[me, U.INDEX + d] += 1
        last = u[me, U.INDEX + d] == u[me, U.EXTENT + d]
    dyn_push(s, f, bits, LAST if last else DATA, visible)
    if last:
        end_message(s, tile, me, d, t)


@jit
def end_message(s: State, tile: int, me: int, d: int, t: int) -> None:
    """Release the ramp queue and step to the next message."""
    u = s.unit
    if d >= 0:
        u[me, U.INDEX + d] = 0
        d -= 1
    while d >= 0:
        u[me, U.INDEX + d] += 1
        if u[me, U.INDEX + d] < u[me, U.EXTENT + d]:
            break
        u[me, U.INDEX + d] = 0
        d -= 1
    u[me, U.PHASE] = 0
    u[me, U.LEFT] -= 1
    s.dyn_lock[tile, 0] = -1
    s.dyn_lock[tile, 1] = t
    wake_senders(s, tile, t + 1)


@inlined
def way(s: State, tile: int, target: int) -> int:
    """Output of a message: x first, then y, then the core."""
    width = s.g[G.WIDTH]
    x, y, tx, ty = tile % width, tile // width, target % width, target // width
    if tx != x:
        return 1 if tx > x else 3
    if ty != y:
        return 2 if ty > y else 0
    return RAMP


@inlined
def beyond_tile(s: State, tile: int, side: int) -> int:
    """The neighbour on a side; a message never leaves the rectangle."""
    if side == 0:
        return tile - s.g[G.WIDTH]
    if side == 1:
        return tile + 1
    return tile + s.g[G.WIDTH] if side == 2 else tile - 1


@jit
def arrive(s: State, tile: int, value: int, kind: int, t: int) -> None:
    """A wavelet reaches its core."""
    m = s.dyn_message
    if kind == HEADER:
        if s.g[G.RACES] != 0:
            s.race_current[tile] = value >> MESSAGE_BITS
        return
    if kind == PLACE:
        m[tile, 0] = value & 0xFFFFFF
        m[tile, 1] = ((value >> 24 & 0xFFFFFF) ^ 0x800000) - 0x800000
        m[tile, 2] = (value >> 48) & 3
        m[tile, 3] = value >> 50
        return
    store(s, tile * s.g[G.BYTES] + m[tile, 0], m[tile, 2], int64(int32(value)))
    size = 2 if m[tile, 2] == 1 else 4
    if s.g[G.RACES] != 0:
        stored(s, tile, m[tile, 0], size, m[tile, 3])
        if kind == LAST:
            close_message(s, tile)
    s.tile[tile, T.TOP] = max(s.tile[tile, T.TOP], m[tile, 0] + size)
    s.counters[tile, C.SRAM] += size
    m[tile, 0] += m[tile, 1]
    add_semaphore(s, tile, m[tile, 3], 1, t)


@jit
def dyn_move(s: State, tile: int, source: int, out: int, t: int) -> None:
    """Move the head of an input through an output."""
    f, depth = tile * 5 + source, s.g[G.DEPTH]
    cell = f * depth + s.dyn[f, D.HEAD]
    value, kind = s.dyn_value[cell], s.dyn_kind[cell]
    head = s.dyn[f, D.HEAD] + 1
    s.dyn[f, D.HEAD] = 0 if head == depth else head
    s.dyn[f, D.COUNT] -= 1
    s.dyn[f, D.POPPED] = t
    s.dyn[f, D.OUTPUT] = -1 if kind == LAST else out
    s.dyn_hold[tile, out] = -1 if kind == LAST else source
    s.dyn_hold[tile, LAST_SERVED + out] = source
    s.dyn_links[tile, out] += 1
    if source == RAMP:
        wake_senders(s, tile, t + 1)
    if out == RAMP:
        arrive(s, tile, value, kind, t)
    else:
        there = beyond_tile(s, tile, out) * 5 + ((out + 2) & 3)
        extra = delay(s.g[G.SEED], -7 - there, s.dyn[there, D.PUSHED])
        dyn_push(s, there, value, kind, t + 1 + extra)
    moved(s, t)


@jit
def dyn_visit(s: State, tile: int, t: int) -> bool:
    """Decide and move for one dynamic router; whether it has anything left."""
    wanted = 0  # five bits of inputs for each output
    for source in range(5):
        f = tile * 5 + source
        if s.dyn[f, D.COUNT] == 0:
            continue
        cell = f * s.g[G.DEPTH] + s.dyn[f, D.HEAD]
        if s.dyn_time[cell] > t:
            continue
        out = s.dyn[f, D.OUTPUT]
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
        left += s.dyn[tile * 5 + source, D.COUNT]
    return left > 0


@jit
def dynamic_phase(s: State, current: int, count: int, t: int) -> None:
    """One cycle of all dynamic routers on the current list."""
    for index in range(count):
        tile = s.dyn_active[current, index]
        s.tile[tile, T.ROUTING] = 0
        if dyn_visit(s, tile, t):
            dyn_activate(s, tile)
