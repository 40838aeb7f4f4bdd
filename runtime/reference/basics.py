"""Compiled primitives that all phases of a cycle share: FIFOs, wake-ups, faults.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, tail_cell
from wsc.runtime.reference.compiled import Machine, kernel, longs_at

MOST_VISITS = 200_000  # before a loop returns, whatever the cycle: an interrupt must be heard


@kernel
def value_in(s: Machine, cell: int) -> int:
    """The 32 bits of a wavelet, as a signed number."""
    return s.cells[cell].value


@kernel
def push(s: Machine, fifo: int, value: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    cell = tail_cell(s, fifo)
    s.cells[cell].time = visible
    s.cells[cell].value = value
    s.cells[cell].control = control
    s.fifos[fifo].count += 1
    s.fifos[fifo].pushed += 1


@kernel
def activate(s: Machine, tile: int) -> None:
    """Put a tile on the list of routers to visit in the next cycle."""
    if s.tile[tile].listed == 0:
        s.tile[tile].listed = 1
        which = s.now[0].which
        s.active[which * s.now[0].tiles + s.now[0].routers] = tile
        s.now[0].routers += 1


@kernel
def activate_port(s: Machine, port: int) -> None:
    """Put an edge port on the list of feeding ports."""
    if s.port_listed[port] == 0:
        s.port_listed[port] = 1
        s.port_active[s.now[0].port_which * s.now[0].port_count + s.now[0].ports] = port
        s.now[0].ports += 1


@kernel
def ready(s: Machine, slot: int) -> None:
    """The head of a router buffer may be able to move."""
    tile = s.slots[slot].tile
    s.tile[tile].ready |= 1 << s.slots[slot].bit
    activate(s, tile)


@kernel
def wake_feed(s: Machine, queue: int) -> None:
    """An edge queue may be able to feed."""
    port = s.queues[queue].port
    s.port_mask[port] |= 1 << s.queues[queue].bit
    activate_port(s, port)


@kernel
def wake_upstream(s: Machine, slot: int) -> None:
    """A router buffer has room or accepts from another side: whoever feeds it may move."""
    position = s.slots[slot].first + s.slots[slot].position
    side = s.positions[position].accept
    if side == RAMP:
        tile = s.slots[slot].tile
        s.tile[tile].rising |= 1 << s.slots[slot].bit
        activate(s, tile)
        return
    before = s.slots[slot].next[side]
    if before >= 0:
        if s.fifos[before].count > 0:
            ready(s, before)
    elif -(1 << 30) < before <= -2:
        wake_feed(s, -2 - before)


@kernel
def shuffle(items: int, first: int, count: int, seed: int) -> None:
    """Visit in a random order, to show that the order does not matter. items: an address."""
    listed, h = longs_at(items), seed & 0x7FFFFFFF
    for index in range(count - 1, 0, -1):
        h = (h * 1103515245 + 12345) & 0x7FFFFFFF
        one, other = first + index, first + (h >> 8) % (index + 1)
        listed[one], listed[other] = listed[other], listed[one]
