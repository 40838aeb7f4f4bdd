"""What carries a remote store: the buffers of the dynamic network, and who waits for them."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, wake_unit
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.records import Reason
from wsc.runtime.tables import Col, Ocol


@kernel
def dyn_room(s: Machine, f: int, t: int) -> bool:
    """Whether the state before cycle t has a free slot."""
    used = s.dyn[f].count + (1 if s.dyn[f].popped == t else 0)
    # The way from the core is no link between routers: all that is on it has a place in the queue.
    stages = s.now[0].stages if f % 5 == RAMP else 0
    return used < s.now[0].depth - stages


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
