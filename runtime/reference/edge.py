"""The edge, as the reference engine has it: which ports ask to feed, and what wavelets carry.

What the ports share, and how a transfer goes on, is in ``wsc.runtime.clocked.edge``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import fault, head_cell, room
from wsc.runtime.clocked.edge import ELEMENT, has_next, value_wanted
from wsc.runtime.clocked.routers import NEXT, NO, NOW, accepts, first_after, serve
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.reference.basics import activate_port, push
from wsc.runtime.reference.causes import (
    drains_next,
    edge_doer,
    element_comes,
    feeds_next,
    index_comes,
    sends,
)
from wsc.runtime.reference.compiled import LIBRARY, Machine, halves_at, integers_at, kernel
from wsc.runtime.reference.races import blank
from wsc.runtime.reference.records import Fault
from wsc.runtime.schedule import FEED

# --- what a wavelet carries ---------------------------------------------------------------


@kernel
def offset(s: Machine, queue: int) -> int:
    """Element of its tensor that the cursor of a queue points at."""
    cursor = s.queues[queue]
    record = s.records[cursor.record]
    shape = s.shapes[record.shape]
    at = record.base + cursor.repeat * record.step
    for d in range(shape.rank):
        at += cursor.index[d] * shape.step[d]
    if shape.lookup >= 0 and shape.direction == FEED:
        at += s.lookup_value[value_wanted(s, queue)] * shape.stride
    return at


@LIBRARY.defines(own.enter_fabric)
def enter_fabric(s: Machine, queue: int, control: int, visible: int, t: int) -> None:
    """The bits of an element, 16 or 32, become a wavelet."""
    cursor, value = s.queues[queue], 0
    if s.now[0].causes != 0:
        shape = s.shapes[s.records[cursor.record].shape]
        looked = cursor.state == ELEMENT and shape.lookup >= 0
        feeds_next(s, queue, value_wanted(s, queue) if looked else -1, shape.tensor, t)
    if cursor.state == ELEMENT:
        tensor, element = s.shapes[s.records[cursor.record].shape].tensor, offset(s, queue)
        if s.short[tensor] != 0:
            value = halves_at(s.tensors[tensor])[element]
        else:
            value = integers_at(s.tensors[tensor])[element]
    push(s, cursor.slot, value, control, visible)
    if s.now[0].races != 0:
        blank(s, cursor.slot)
    if s.now[0].causes != 0:
        sends(s, edge_doer(s, queue), cursor.slot, t)


@LIBRARY.defines(own.left_fabric)
def left_fabric(s: Machine, slot: int, side: int, t: int) -> None:
    """The arbiter and the buffer go on as after any other link."""
    s.turns[s.slots[slot].tile, side] = s.slots[slot].bit
    s.moves[slot, side] += 1
    serve(s, slot, side, t)


@LIBRARY.defines(own.keep_element)
def keep_element(s: Machine, slot: int, queue: int, t: int) -> None:
    """Write the bits of an element that leaves the fabric."""
    tensor = s.shapes[s.records[s.queues[queue].record].shape].tensor
    if s.now[0].causes != 0:
        drains_next(s, queue, slot, t)
        element_comes(s, tensor, t)
    value, element = s.cells[head_cell(s, slot)].value, offset(s, queue)
    if s.short[tensor] != 0:
        short = halves_at(s.tensors[tensor])
        short[element] = value
    else:
        words = integers_at(s.tensors[tensor])
        words[element] = value


@LIBRARY.defines(own.keep_index)
def keep_index(s: Machine, slot: int, queue: int, place: int, t: int) -> bool:
    """Note a value of a lookup, if there is such a row."""
    if s.now[0].causes != 0:
        drains_next(s, queue, slot, t)
    value, of = s.cells[head_cell(s, slot)].value, s.shapes[s.records[s.queues[queue].record].shape]
    if value < 0 or value >= s.lookups[of.lookup].rows:
        s.now[0].local = t
        fault(s, Fault.LOOKUP, s.slots[slot].tile, -1, of.transfer, value, 0)
        return False
    s.lookup_value[place] = value
    if s.now[0].causes != 0:
        index_comes(s, place, t)
    return True


# --- the ports ask ------------------------------------------------------------------------


@kernel
def can_feed(s: Machine, queue: int, t: int) -> int:
    """Whether an edge queue could feed a wavelet in cycle t: NO, NOW or NEXT."""
    has = has_next(s, queue, t)
    if has != NOW:
        return has
    cursor = s.queues[queue]
    # The router's input buffer must have room and accept from outside.
    if not room(s, cursor.slot, t):
        return NEXT if s.fifos[cursor.slot].popped == t else NO
    side = side_of(cursor.port, s.now[0].width, s.now[0].height)
    return NOW if accepts(s, cursor.slot, side) else NO


@kernel
def request_feeds(s: Machine, current: int, count: int, t: int) -> int:
    """Every listed port names the queue that it would serve; how many did."""
    requests = 0
    for index in range(count):
        port = s.port_active[current * s.now[0].port_count + index]
        s.port_listed[port] = 0
        # Queues that cannot feed before they are woken are not asked again.
        first, mask, wanted, bit = s.port_first[port], s.port_mask[port], 0, 0
        while (mask >> bit) != 0:
            if (mask >> bit) & 1:
                answer = can_feed(s, first + bit, t)
                if answer == NOW:
                    wanted |= 1 << bit
                elif answer == NO:
                    s.port_mask[port] &= ~(1 << bit)
            bit += 1
        # A port offers one wavelet a cycle; its colors take turns, as on a link.
        if wanted != 0:
            s.request_in[port] = first + first_after(wanted, s.port_turn[port])
            requests += 1
        if s.port_mask[port] != 0:
            activate_port(s, port)
    return requests
