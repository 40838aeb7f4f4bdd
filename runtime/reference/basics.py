"""Wavelets in FIFOs, and the lists of who is to be visited in the next cycle.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import head_cell, tail_cell
from wsc.runtime.reference.causes import carries
from wsc.runtime.reference.compiled import LIBRARY, Machine, kernel, longs_at
from wsc.runtime.reference.races import pass_on


@kernel
def push(s: Machine, fifo: int, value: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    cell = s.cells[tail_cell(s, fifo)]
    cell.time = visible
    cell.value = value
    cell.control = control
    s.fifos[fifo].count += 1
    s.fifos[fifo].pushed += 1


@kernel
def copy_wavelet(s: Machine, source: int, into: int, visible: int, t: int) -> None:
    """Append the head of a FIFO to another one in cycle t, where it can be seen later."""
    head = head_cell(s, source)
    push(s, into, s.cells[head].value, s.cells[head].control, visible)
    if s.now[0].races != 0:
        pass_on(s, head, into)
    if s.now[0].causes != 0:
        carries(s, source, head, into, t)


# --- who is visited in the next cycle -----------------------------------------------------


@kernel
def activate(s: Machine, tile: int) -> None:
    """Put a tile on the list of routers to visit in the next cycle."""
    now = s.now[0]
    if s.tile[tile].listed == 0:
        s.tile[tile].listed = 1
        s.active[now.which * now.tiles + now.routers] = tile
        now.routers += 1


@kernel
def activate_port(s: Machine, port: int) -> None:
    """Put an edge port on the list of feeding ports."""
    now = s.now[0]
    if s.port_listed[port] == 0:
        s.port_listed[port] = 1
        s.port_active[now.port_which * now.port_count + now.ports] = port
        now.ports += 1


@LIBRARY.defines(own.ready)
def ready(s: Machine, slot: int) -> None:
    """Mark the input buffer of a color, and visit its router."""
    tile = s.slots[slot].tile
    s.tile[tile].ready |= 1 << s.slots[slot].bit
    activate(s, tile)


@LIBRARY.defines(own.emptied)
def emptied(s: Machine, slot: int) -> None:
    """Nothing of the color is left to move."""
    s.tile[s.slots[slot].tile].ready &= ~(1 << s.slots[slot].bit)


@LIBRARY.defines(own.wake_output)
def wake_output(s: Machine, slot: int) -> None:
    """Mark the output queue of a color, and visit its router."""
    tile = s.slots[slot].tile
    s.tile[tile].rising |= 1 << s.slots[slot].bit
    activate(s, tile)


@LIBRARY.defines(own.wake_drain)
def wake_drain(s: Machine, queue: int) -> None:
    """Mark the input buffer that it drains, if there is a wavelet in it."""
    slot = s.queues[queue].slot
    if s.fifos[slot].count > 0:
        ready(s, slot)


@LIBRARY.defines(own.wake_feed)
def wake_feed(s: Machine, queue: int) -> None:
    """Mark the edge queue, and visit its port."""
    port = s.queues[queue].port
    s.port_mask[port] |= 1 << s.queues[queue].bit
    activate_port(s, port)


@kernel
def shuffle(items: int, first: int, count: int, seed: int) -> None:
    """Visit in a random order, to show that the order does not matter. items: an address."""
    listed, drawn = longs_at(items), seed & 0x7FFFFFFF
    for index in range(count - 1, 0, -1):
        drawn = (drawn * 1103515245 + 12345) & 0x7FFFFFFF
        one, other = first + index, first + (drawn >> 8) % (index + 1)
        listed[one], listed[other] = listed[other], listed[one]
