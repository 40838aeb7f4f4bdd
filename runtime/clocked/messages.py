"""The dynamic network: remote stores as messages, wormhole, x first, then y.

A tile's dynamic router has five input buffers, one for each side and one that the core fills, the
*ramp queue*. It has as many outputs; both are numbered ``SIDES * tile + side``. A message holds
each output that it passes from its first header to its last element, so that messages never mix on
a link.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import (
    RAMP,
    add_semaphore,
    block,
    delay_of_message,
    moved,
    wake_unit,
)
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.own import (
    element_arrived,
    enter_network,
    header_arrived,
    message_passed,
    message_sent,
    open_message,
    ramp_has_room,
    read_element,
)
from wsc.runtime.clocked.records import BUFFER, DYNAMIC_CELL, OPERANDS, OUTPUT, SIDES, Reason
from wsc.runtime.clocked.routers import first_after
from wsc.runtime.kernels.calls import prefetch
from wsc.runtime.kernels.lanes import lowest
from wsc.runtime.tables import ELEMENT_BYTES

HEADER, PLACE, DATA, LAST = 0, 1, 2, 3  # kinds of wavelets: two headers, elements, the last one
TARGET_BITS = 32  # of the first header; above it is what an engine adds
# The second header is one word: address, stride with its sign, element type and semaphore.
ADDRESS_BITS, STRIDE_BITS, TYPE_BITS = 24, 24, 2
STRIDE_AT = ADDRESS_BITS
TYPE_AT = STRIDE_AT + STRIDE_BITS
SEMAPHORE_AT = TYPE_AT + TYPE_BITS
NORTH, EAST, SOUTH, WEST = 0, 1, 2, 3
NEAR = 4  # routers to be visited before one whose heads are fetched from memory


# --- buffers ------------------------------------------------------------------------------


@kernel
def has_cell(s: Machine, buffer: int, t: int) -> bool:
    """Whether the state before cycle t has a free cell."""
    used = s.dynamic_inputs[buffer].count + (1 if s.dynamic_inputs[buffer].popped == t else 0)
    # The way from the core is no link between routers: all that is on it has a place in the queue.
    stages = s.now[0].stages if buffer % SIDES == RAMP else 0
    return used < s.now[0].depth - stages


@kernel
def activate_dynamic(s: Machine, tile: int) -> None:
    """Visit a tile's dynamic router in the next cycle."""
    now = s.now[0]
    if s.dynamic_listed[tile] == 0:
        s.dynamic_listed[tile] = 1
        s.dynamic_active[now.dynamic_which * now.tiles + now.dynamics] = tile
        now.dynamics += 1


@kernel
def push_dynamic(s: Machine, number: int, value: int, kind: int, visible: int) -> None:
    """Append a wavelet to an input buffer; its router is visited in the next cycle."""
    buffer, depth = s.dynamic_inputs[number], s.now[0].depth
    place = buffer.head + buffer.count
    if place >= depth:
        place -= depth
    cell = s.dynamic_cells[number * depth + place]
    cell.value = value
    cell.kind = kind
    cell.time = visible
    buffer.count += 1
    buffer.pushed += 1
    s.dynamic_waiting[number // SIDES] |= 1 << (number % SIDES)
    activate_dynamic(s, number // SIDES)


# --- the core sends -----------------------------------------------------------------------


@kernel
def wake_senders(s: Machine, tile: int, t: int) -> None:
    """Units that wait for the ramp queue may look again."""
    base = tile * s.now[0].units
    for unit in range(s.now[0].units):
        if s.unit[base + unit].reason == Reason.DYNAMIC:
            wake_unit(s, tile, unit, t)


@kernel
def message_place(s: Machine, thread: int, row: int) -> int:
    """The second header: where the elements go at the target."""
    send, stride = s.rows[row], 0
    at = s.unit_base[thread, 0]
    for d in range(send.rank - 1):
        at += s.unit_index[thread, d] * s.unit_stride[thread, OPERANDS * d]
    if send.rank > 0:
        stride = s.unit_stride[thread, OPERANDS * (send.rank - 1)]
    kind = s.operands[send.operands].type
    signed = (stride & ((1 << STRIDE_BITS) - 1)) << STRIDE_AT
    return at | signed | kind << TYPE_AT | send.counted_on << SEMAPHORE_AT


@kernel
def end_message(s: Machine, tile: int, thread: int, d: int, t: int) -> None:
    """Release the ramp queue and step to the next message."""
    if d >= 0:
        s.unit_index[thread, d] = 0
        d -= 1
    while d >= 0:
        s.unit_index[thread, d] += 1
        if s.unit_index[thread, d] < s.unit_extent[thread, d]:
            break
        s.unit_index[thread, d] = 0
        d -= 1
    s.unit[thread].phase = HEADER
    s.unit[thread].left -= 1
    s.ramp_locks[tile].unit = -1
    s.ramp_locks[tile].released = t
    wake_senders(s, tile, t + 1)


@kernel
def send_step(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Put one wavelet of a message into the ramp queue, or wait for room or for the turn."""
    ramp_queue, sender, lock = tile * SIDES + RAMP, s.unit[thread], s.ramp_locks[tile]
    # A message holds the ramp queue to its end; it is free for others in the cycle after.
    taken = lock.unit >= 0 and lock.unit != unit
    released = lock.unit < 0 and lock.released == t
    if taken or released or not ramp_has_room(s, tile, t):
        block(s, thread, Reason.DYNAMIC, 0, t)
        if released:
            sender.wake = t + 1
        return
    visible = t + s.now[0].ramp + delay_of_message(s, ramp_queue)
    moved(s, t)
    # Two headers: where the message goes, and where its elements go there.
    if sender.phase == HEADER:
        lock.unit = unit
        header = sender.target | open_message(s, thread, row) << TARGET_BITS
        enter_network(s, tile, thread, header, HEADER, visible)
        message_sent(s, tile, thread, ramp_queue, t)
        sender.phase = PLACE
        return
    if sender.phase == PLACE:
        enter_network(s, tile, thread, message_place(s, thread, row), PLACE, visible)
        message_sent(s, tile, thread, ramp_queue, t)
        sender.phase = DATA
        return
    # Then the elements, one in each step, each read when it is sent.
    bits = read_element(s, tile, thread, row)
    s.counters[tile].elements += 1
    s.statements[sender.statement].elements += 1
    s.counters[tile].sram += ELEMENT_BYTES[s.operands[s.rows[row].operands].type]
    innermost, last = s.rows[row].rank - 1, True
    if innermost >= 0:
        s.unit_index[thread, innermost] += 1
        last = s.unit_index[thread, innermost] == s.unit_extent[thread, innermost]
    enter_network(s, tile, thread, bits, LAST if last else DATA, visible)
    message_sent(s, tile, thread, ramp_queue, t)
    if last:
        end_message(s, tile, thread, innermost, t)


# --- the routers pass on ------------------------------------------------------------------


@kernel
def way(s: Machine, tile: int, target: int) -> int:
    """Output of a message: x first, then y, then the core."""
    width = s.now[0].width
    x, y, target_x, target_y = tile % width, tile // width, target % width, target // width
    if target_x != x:
        return EAST if target_x > x else WEST
    if target_y != y:
        return SOUTH if target_y > y else NORTH
    return RAMP


@kernel
def beyond_tile(s: Machine, tile: int, side: int) -> int:
    """The neighbour on a side; a message never leaves the rectangle."""
    if side == NORTH:
        return tile - s.now[0].width
    if side == EAST:
        return tile + 1
    return tile + s.now[0].width if side == SOUTH else tile - 1


@kernel
def buffer_beyond(s: Machine, tile: int, output: int) -> int:
    """The neighbour's input buffer that an output leads to."""
    return beyond_tile(s, tile, output) * SIDES + ((output + 2) & 3)


@kernel
def take_place(s: Machine, tile: int, value: int) -> None:
    """The second header of a message reaches its core: it says where the elements go."""
    # The highest bit of the stride is its sign.
    message, sign = s.arriving[tile], 1 << (STRIDE_BITS - 1)
    stride = (value >> STRIDE_AT) & ((1 << STRIDE_BITS) - 1)
    message.address = value & ((1 << ADDRESS_BITS) - 1)
    message.stride = (stride ^ sign) - sign
    message.kind = (value >> TYPE_AT) & ((1 << TYPE_BITS) - 1)
    message.semaphore = value >> SEMAPHORE_AT


@kernel
def take_element(s: Machine, tile: int, bits: int, last: bool, cell: int, t: int) -> None:
    """An element of a message reaches its core: it is written, and counted at the cycle's end."""
    message = s.arriving[tile]
    element_arrived(s, tile, bits, last, cell)
    size = ELEMENT_BYTES[message.kind]
    s.tile[tile].top = max(s.tile[tile].top, message.address + size)
    s.counters[tile].sram += size
    message.address += message.stride
    add_semaphore(s, tile, message.semaphore, 1, t)


@kernel
def arrive(s: Machine, tile: int, cell: int, t: int) -> None:
    """The wavelet of a cell reaches its core."""
    value, kind = s.dynamic_cells[cell].value, s.dynamic_cells[cell].kind
    if kind == HEADER:
        header_arrived(s, tile, value)
    elif kind == PLACE:
        take_place(s, tile, value)
    else:
        take_element(s, tile, value, kind == LAST, cell, t)


@kernel
def pass_on_dynamic(s: Machine, tile: int, source: int, output: int, t: int) -> None:
    """Move the head of an input buffer through an output."""
    number, depth = tile * SIDES + source, s.now[0].depth
    buffer = s.dynamic_inputs[number]
    cell = number * depth + buffer.head
    value, kind = s.dynamic_cells[cell].value, s.dynamic_cells[cell].kind
    buffer.head = 0 if buffer.head + 1 == depth else buffer.head + 1
    buffer.count -= 1
    buffer.popped = t
    if buffer.count == 0:
        s.dynamic_waiting[tile] &= ~(1 << source)
    # The output stays with the message until its last element.
    buffer.output = -1 if kind == LAST else output
    arbiter = s.dynamic_outputs[tile * SIDES + output]
    arbiter.holder = -1 if kind == LAST else source
    arbiter.served = source
    s.dynamic_links[tile, output] += 1
    if source == RAMP:
        wake_senders(s, tile, t + 1)
    else:
        activate_dynamic(s, beyond_tile(s, tile, source))  # it may have waited for room
    if output == RAMP:
        arrive(s, tile, cell, t)
    else:
        beyond = buffer_beyond(s, tile, output)
        visible = t + s.now[0].hop + delay_of_message(s, beyond)
        push_dynamic(s, beyond, value, kind, visible)
        message_passed(s, cell, beyond)
    moved(s, t)


@kernel
def visit_dynamic(s: Machine, tile: int, t: int) -> bool:
    """Decide and move for one dynamic router; whether to look at it again in the next cycle.

    A head that waits for room or for its turn is looked at again when something moves here, or
    makes room there.
    """
    # Each input buffer asks for the output of its head, if that is free for it and has room.
    wanted, again = 0, False  # a bit of each input, for each output
    waiting = s.dynamic_waiting[tile]
    while waiting != 0:
        source = lowest(waiting)
        waiting &= waiting - 1
        number = tile * SIDES + source
        head = s.dynamic_cells[number * s.now[0].depth + s.dynamic_inputs[number].head]
        if head.time > t:
            again = True
            continue
        # A header finds its way, and waits while another message holds that output.
        output = s.dynamic_inputs[number].output
        if output < 0:
            output = way(s, tile, head.value & ((1 << TARGET_BITS) - 1))
            if s.dynamic_outputs[tile * SIDES + output].holder >= 0:
                continue
        if output != RAMP and not has_cell(s, buffer_beyond(s, tile, output), t):
            continue
        wanted |= 1 << (SIDES * output + source)
    # The arbiter of each output takes the inputs in turn.
    for output in range(SIDES):
        mask = (wanted >> (SIDES * output)) & ((1 << SIDES) - 1)
        if mask != 0:
            source = first_after(mask, s.dynamic_outputs[tile * SIDES + output].served)
            pass_on_dynamic(s, tile, source, output, t)
    return again or wanted != 0


@kernel
def fetch_router(s: Machine, tile: int) -> None:
    """Fetch from memory what a visit of a router looks at, while others are visited.

    Input buffers that have wavelets, outputs, and counts of links.
    """
    inputs = s.dynamic_inputs.ctypes.data + tile * SIDES * BUFFER.itemsize
    waiting = s.dynamic_waiting[tile]
    while waiting != 0:
        prefetch(inputs + lowest(waiting) * BUFFER.itemsize)
        waiting &= waiting - 1
    prefetch(s.dynamic_outputs.ctypes.data + tile * SIDES * OUTPUT.itemsize)
    prefetch(s.dynamic_links.ctypes.data + tile * SIDES * 8)


@kernel
def fetch_heads(s: Machine, tile: int) -> None:
    """The same for the heads of its input buffers, which are known by then."""
    cells, depth = s.dynamic_cells.ctypes.data, s.now[0].depth
    waiting = s.dynamic_waiting[tile]
    while waiting != 0:
        number = tile * SIDES + lowest(waiting)
        waiting &= waiting - 1
        place = number * depth + s.dynamic_inputs[number].head
        prefetch(cells + place * DYNAMIC_CELL.itemsize)


@kernel
def dynamic_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of all dynamic routers on the current list."""
    # Whoever is woken by what follows, be it later on this list, is visited in the next cycle.
    first = current * s.now[0].tiles
    for index in range(first, first + count):
        s.dynamic_listed[s.dynamic_active[index]] = 0
    end = first + count
    for index in range(first, end):
        if index + 2 * NEAR < end:
            fetch_router(s, s.dynamic_active[index + 2 * NEAR])
        if index + NEAR < end:
            fetch_heads(s, s.dynamic_active[index + NEAR])
        tile = s.dynamic_active[index]
        if visit_dynamic(s, tile, t):
            activate_dynamic(s, tile)
