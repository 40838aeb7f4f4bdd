"""The dynamic network as lanes: its routers in all tiles of a block take one step together.

The rules are those of ``wsc.runtime.clocked.messages``, which visits router by router. Without
values a wavelet of a message is a bit, *last* or not, in a cell of an input buffer. A message that
has sent its header on holds an output until its last element has left, so that all wavelets between
the two move as bits. What lanes cannot say goes one by one: where a header is going (its *heading*)
when it comes to the head of a buffer or leaves it, what a core sends, and what arrives at one.

A cycle has three passes over the blocks on the list, and none shows in which order they come:
``see`` fixes what is there and where room is, ``pass_on`` lets heads leave, ``receive`` gives what
has left its cell in the next router. ``source`` is a side whose input buffer is meant, ``output`` a
side to which a head leaves.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import RAMP, moved
from wsc.runtime.clocked.messages import (
    EAST,
    HEADER,
    LAST,
    NORTH,
    SOUTH,
    TARGET_BITS,
    WEST,
    buffer_beyond,
    has_cell,
    message_place,
    push_dynamic,
    take_element,
    take_place,
    wake_senders,
)
from wsc.runtime.kernels.lanes import Lanes, down, lanes_at, lowest, none, put_at, up, word
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel
from wsc.runtime.time.counts import BYTES, increase
from wsc.runtime.time.records import (
    MESSAGE_BLOCK,
    MESSAGE_CELL,
    MESSAGE_OUTPUT,
    PASSAGE,
    PASSED_DIGITS,
    SIDES,
    place_of,
)
from wsc.runtime.time.tiles import has, only, set_lane, tile_at

TAKEN, ENDS = place_of(MESSAGE_CELL, "taken"), place_of(MESSAGE_CELL, "last")
LEADS = place_of(PASSAGE, "leads")
SENDERS = place_of(MESSAGE_BLOCK, "senders")


# --- places in tables -----------------------------------------------------------------------


@kernel
def first_cell(s: Machine, block: int, source: int) -> int:
    """The cells of an input buffer of a block: the one at the head, with the others behind it."""
    return (block * SIDES + source) * s.now[0].depth


@kernel
def coming(s: Machine, block: int, source: int, t: int) -> int:
    """What is under way to an input buffer, and is seen there from cycle t on."""
    span = s.now[0].span
    return (block * SIDES + source) * span + (t & (span - 1))


@kernel
def beside(s: Machine, at: int, side: int) -> Lanes:
    """What the neighbours on a side have in a table that goes over the borders of blocks.

    at: the address of what the tiles of this block have there.
    """
    # A row is a word away, a column a bit; the column beyond the last is in the block beside.
    pitch = s.now[0].pitch * BYTES
    if side == NORTH:
        return lanes_at(at - BYTES)
    if side == SOUTH:
        return lanes_at(at + BYTES)
    if side == EAST:
        return down(lanes_at(at), lanes_at(at + pitch))
    return up(lanes_at(at), lanes_at(at - pitch))


@kernel
def side_words(s: Machine, block: int, side: int) -> int:
    """Where a block is in such a table, which has a plane for each side: in bytes."""
    return (side * s.now[0].plane + s.message_blocks[block].first) * BYTES


# --- blocks in which something may move -------------------------------------------------------


@kernel
def list_block(s: Machine, block: int) -> None:
    """Step the dynamic routers of a block next time. block: or -1."""
    now = s.now[0]
    if block >= 0 and s.dynamic_listed[block] == 0:
        s.dynamic_listed[block] = 1
        s.dynamic_active[now.dynamic_which * now.tiles + now.dynamics] = block
        now.dynamics += 1


@kernel
def list_beside(s: Machine, block: int, side: int, which: Lanes) -> None:
    """List the block on a side if one of some tiles is at the border to it."""
    at_border = True  # of east and west only the fewest fabrics have one, and all tiles count
    if side == NORTH:
        at_border = word(which, 0) != 0
    if side == SOUTH:
        at_border = word(which, WORDS - 1) != 0
    if at_border:
        list_block(s, s.message_beside[block * 4 + side])


@kernel
def still_under_way(s: Machine, block: int) -> bool:
    """Whether a wavelet has its cell in a buffer of the block, and cannot be seen there yet."""
    first = first_cell(s, block, 0)
    for cell in range(first, first + SIDES * s.now[0].depth):
        held = s.message_cells[cell]
        if held.taken & ~held.seen:
            return True
    return False


# --- the core sends ---------------------------------------------------------------------------


@LIBRARY.defines(own.ramp_has_room)
def ramp_has_room(s: Machine, tile: int, t: int) -> bool:
    """Whether the last cell that a core may fill is free."""
    now = s.now[0]
    if now.meshed == 0:
        return has_cell(s, tile * SIDES + RAMP, t)
    cell = first_cell(s, s.tile_block[tile], RAMP) + now.depth - now.stages - 1
    return not has(s.message_cells[cell].taken, s.tile_lane[tile])


@LIBRARY.defines(own.enter_network)
def enter_network(s: Machine, tile: int, thread: int, value: int, kind: int, visible: int) -> None:
    """The wavelet takes the first free cell of the ramp queue, and comes up the ramp."""
    if s.now[0].meshed == 0:
        push_dynamic(s, tile * SIDES + RAMP, value, kind, visible)
        return
    # Both headers are known with the first: where the message and where its elements go.
    if kind == HEADER:
        target = value & ((1 << TARGET_BITS) - 1)
        place = message_place(s, thread, s.unit[thread].row)
        add_heading(s, tile * SIDES + RAMP, target, place)
    block, lane = s.tile_block[tile], s.tile_lane[tile]
    cell = first_cell(s, block, RAMP)
    while has(s.message_cells[cell].taken, lane):
        cell += 1
    at = s.message_cells.ctypes.data + cell * MESSAGE_CELL.itemsize
    set_lane(at + TAKEN, lane)
    if kind == LAST:
        set_lane(at + ENDS, lane)
    under_way = s.message_coming[coming(s, block, RAMP, visible)]
    under_way.lanes = under_way.lanes | only(lane)
    list_block(s, block)


@kernel
def await_network(s: Machine, tile: int) -> None:
    """A unit of a tile waits for the ramp queue: it looks again when a wavelet has left that."""
    if s.now[0].meshed != 0:
        at = s.message_blocks.ctypes.data + s.tile_block[tile] * MESSAGE_BLOCK.itemsize
        set_lane(at + SENDERS, s.tile_lane[tile])


@kernel
def wake_lanes(s: Machine, block: int, which: Lanes, t: int) -> None:
    """Wake the units that wait for the ramp queues of some tiles."""
    here = s.message_blocks[block]
    here.senders = here.senders & ~which
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            wake_senders(s, tile_at(s, block, line, lowest(rest)), t)
            rest &= rest - 1


# --- headings ---------------------------------------------------------------------------------


@kernel
def add_heading(s: Machine, number: int, target: int, place: int) -> None:
    """A header has got its cell in an input buffer of a tile: ``SIDES * tile + side``."""
    heading = s.headings[number * s.now[0].headings + s.heading_count[number]]
    heading.target = target
    heading.place = place
    s.heading_count[number] += 1


@kernel
def drop_heading(s: Machine, number: int) -> None:
    """The first header of an input buffer has left."""
    s.heading_count[number] -= 1
    first = number * s.now[0].headings
    for at in range(first, first + s.heading_count[number]):
        s.headings[at].target = s.headings[at + 1].target
        s.headings[at].place = s.headings[at + 1].place


@kernel
def decide(s: Machine, block: int, source: int, which: Lanes) -> None:
    """Headers that have come to the heads of their buffers find their ways: x first, then y."""
    here, width = s.message_blocks[block], s.now[0].width
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            number = tile_at(s, block, line, bit) * SIDES + source
            target, output = s.headings[number * s.now[0].headings].target, RAMP
            x, y = target % width, target // width
            if x != here.x + bit:
                output = EAST if x > here.x + bit else WEST
            elif y != here.y + line:
                output = SOUTH if y > here.y + line else NORTH
            passage = (block * SIDES + output) * SIDES + source
            at = s.passages.ctypes.data + passage * PASSAGE.itemsize
            set_lane(at + LEADS, line * WORD + bit)


@kernel
def hand_on(s: Machine, block: int, source: int, output: int, which: Lanes) -> None:
    """Headers leave through an output: their headings go with them, or reach the core."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            tile = tile_at(s, block, line, lowest(rest))
            rest &= rest - 1
            number = tile * SIDES + source
            heading = s.headings[number * s.now[0].headings]
            if output == RAMP:
                take_place(s, tile, heading.place)
            else:
                add_heading(s, buffer_beyond(s, tile, output), heading.target, heading.place)
            drop_heading(s, number)


# --- whose turn it is at an output ------------------------------------------------------------


@kernel
def room_beyond(s: Machine, block: int, output: int) -> Lanes:
    """Where the buffer beyond an output had a free cell when the cycle began; a core has room."""
    if output == RAMP:
        return ~none()
    at = s.message_rooms.ctypes.data + side_words(s, block, (output + 2) & 3)
    return beside(s, at, output)


@kernel
def arbitrate(s: Machine, block: int, output: int) -> Lanes:
    """Give an output of each tile to one of the heads that could take it; tiles where one does."""
    first, inputs = (block * SIDES + output) * SIDES, block * SIDES
    # leading: tiles in which a message goes this way. held: and has sent its header on already.
    leading, held = none(), none()
    for source in range(SIDES):
        leads = s.passages[first + source].leads
        leading = leading | leads
        held = held | (leads & s.message_inputs[inputs + source].started)
    if not leading:
        return leading
    # A head asks that is seen, where there is room beyond. Others than the message that holds an
    # output wait for its end.
    room, wanted, clash = room_beyond(s, block, output), none(), none()
    for source in range(SIDES):
        passage, started = s.passages[first + source], s.message_inputs[inputs + source].started
        seen = s.message_cells[first_cell(s, block, source)].seen
        asks = passage.leads & seen & room & (started | ~held)
        passage.asks, passage.won = asks, asks
        clash = clash | (wanted & asks)
        wanted = wanted | asks
    if clash:
        take_turns(s, first)
    if wanted:
        for source in range(SIDES):
            passage = s.passages[first + source]
            passage.served = (passage.served & ~wanted) | passage.won
    return wanted


@kernel
def take_turns(s: Machine, first: int) -> None:
    """Several headers ask for one output: the next input after the one that was served last."""
    # First the inputs after that one, then the others. passed: tiles in which it has been passed;
    # given: tiles whose output is given away.
    passed, given = none(), none()
    for source in range(SIDES):
        passage = s.passages[first + source]
        passage.won = passage.asks & passed & ~given
        given = given | passage.won
        passed = passed | passage.served
    for source in range(SIDES):
        passage = s.passages[first + source]
        passage.won = passage.won | (passage.asks & ~given)
        given = given | passage.won


# --- heads leave ------------------------------------------------------------------------------


@kernel
def leave(s: Machine, block: int, output: int, sent: Lanes, t: int) -> None:
    """The heads that got an output leave through it. sent: the tiles in which one does."""
    first, headers, last = (block * SIDES + output) * SIDES, none(), none()
    for source in range(SIDES):
        passage, buffer = s.passages[first + source], s.message_inputs[block * SIDES + source]
        won = passage.won
        if not won:
            continue
        # The output is the message's from its header to its last element.
        begins = won & ~buffer.started
        ends = won & s.message_cells[first_cell(s, block, source)].last
        if begins:
            hand_on(s, block, source, output, begins)
        buffer.gone = buffer.gone | won
        buffer.started = (buffer.started | begins) & ~ends
        buffer.decided = buffer.decided & ~ends
        passage.leads = passage.leads & ~ends
        headers, last = headers | begins, last | ends
    count_passed(s, block, output, sent)
    if output == RAMP:
        arrive(s, block, sent, headers, t)
        return
    at = side_words(s, block, output)
    put_at(s.message_sent.ctypes.data + at, sent)
    put_at(s.message_last.ctypes.data + at, last)
    list_beside(s, block, output, sent)


@kernel
def count_passed(s: Machine, block: int, output: int, sent: Lanes) -> None:
    """Count a wavelet over a link of some tiles. A count that is full begins anew."""
    at = s.message_outputs.ctypes.data + (block * SIDES + output) * MESSAGE_OUTPUT.itemsize
    over = increase(at, PASSED_DIGITS, sent)
    if not over:
        return
    for line in range(WORDS):
        rest = word(over, line)
        while rest != 0:
            s.dynamic_links[tile_at(s, block, line, lowest(rest)), output] += 1 << PASSED_DIGITS
            rest &= rest - 1


@kernel
def arrive(s: Machine, block: int, sent: Lanes, headers: Lanes, t: int) -> None:
    """Wavelets reach their cores. Behind the first header comes the second, then the elements."""
    here = s.message_blocks[block]
    seconds = sent & ~headers & here.placing
    here.placing = (here.placing & ~seconds) | headers
    elements = sent & ~headers & ~seconds
    for line in range(WORDS):
        rest = word(elements, line)
        while rest != 0:
            take_element(s, tile_at(s, block, line, lowest(rest)), 0, False, 0, t)
            rest &= rest - 1


@kernel
def pop(s: Machine, block: int, source: int, gone: Lanes) -> None:
    """Drop the heads of some tiles: what was behind them moves up a cell."""
    first = first_cell(s, block, source)
    end = first + s.now[0].depth
    for number in range(first, end):
        cell = s.message_cells[number]
        cell.taken, cell.seen = cell.taken & ~gone, cell.seen & ~gone
        cell.last = cell.last & ~gone
        if number + 1 == end:
            return
        behind = s.message_cells[number + 1]
        if not (behind.taken & gone):
            return
        cell.taken = cell.taken | (behind.taken & gone)
        cell.seen = cell.seen | (behind.seen & gone)
        cell.last = cell.last | (behind.last & gone)


# --- a cycle ------------------------------------------------------------------------------------


@kernel
def see(s: Machine, block: int, t: int) -> None:
    """What has come to the end of its way by cycle t is seen, and it is fixed where room is."""
    depth = s.now[0].depth
    for source in range(SIDES):
        first, there = first_cell(s, block, source), s.message_coming[coming(s, block, source, t)]
        come = there.lanes
        if come:
            there.lanes = none()
            # A wavelet is seen behind those that are: from the last cell on, so that each takes
            # the state that the one before it had.
            for number in range(first + depth - 1, first, -1):
                cell = s.message_cells[number]
                cell.seen = cell.seen | (come & s.message_cells[number - 1].seen)
            s.message_cells[first].seen = s.message_cells[first].seen | come
        if source != RAMP:
            room = ~s.message_cells[first + depth - 1].taken
            put_at(s.message_rooms.ctypes.data + side_words(s, block, source), room)


@kernel
def pass_on(s: Machine, block: int, t: int) -> None:
    """Heads that get their outputs in cycle t leave."""
    inputs, any_gone = block * SIDES, none()
    for source in range(SIDES):
        buffer = s.message_inputs[inputs + source]
        buffer.gone = none()
        headers = s.message_cells[first_cell(s, block, source)].seen & ~buffer.decided
        if headers:
            decide(s, block, source, headers)
            buffer.decided = buffer.decided | headers
    for output in range(SIDES):
        sent = arbitrate(s, block, output)
        if sent:
            leave(s, block, output, sent, t)
    # Their cells are free. Who may have waited for that: a unit that sends, or the router before.
    for source in range(SIDES):
        gone = s.message_inputs[inputs + source].gone
        if not gone:
            continue
        any_gone = any_gone | gone
        pop(s, block, source, gone)
        if source != RAMP:
            list_beside(s, block, source, gone)
        elif gone & s.message_blocks[block].senders:
            wake_lanes(s, block, gone & s.message_blocks[block].senders, t + 1)
    if any_gone:
        moved(s, t)
        list_block(s, block)
    elif still_under_way(s, block):
        list_block(s, block)


@kernel
def receive(s: Machine, block: int, t: int) -> None:
    """What neighbours have sent in cycle t gets its cell, and is seen when the hop is over."""
    depth, hop = s.now[0].depth, s.now[0].hop
    for source in range(4):
        at = side_words(s, block, (source + 2) & 3)
        come = beside(s, s.message_sent.ctypes.data + at, source)
        if not come:
            continue
        last = beside(s, s.message_last.ctypes.data + at, source)
        # The first cell that is free: the one behind those that are taken.
        first = first_cell(s, block, source)
        for number in range(first + depth - 1, first, -1):
            cell = s.message_cells[number]
            here = come & s.message_cells[number - 1].taken & ~cell.taken
            cell.taken, cell.last = cell.taken | here, cell.last | (here & last)
        cell = s.message_cells[first]
        here = come & ~cell.taken
        cell.taken, cell.last = cell.taken | here, cell.last | (here & last)
        under_way = s.message_coming[coming(s, block, source, t + hop)]
        under_way.lanes = under_way.lanes | come


@kernel
def forget_sent(s: Machine, block: int) -> None:
    """What a block has sent is received."""
    for side in range(4):
        put_at(s.message_sent.ctypes.data + side_words(s, block, side), none())


@kernel
def message_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of the dynamic routers of all blocks on the current list."""
    now, first = s.now[0], current * s.now[0].tiles
    for index in range(first, first + count):
        s.dynamic_listed[s.dynamic_active[index]] = 0
        see(s, s.dynamic_active[index], t)
    for index in range(first, first + count):
        pass_on(s, s.dynamic_active[index], t)
    # Who may have been sent something is on the list of the next cycle by now.
    following = now.dynamic_which * now.tiles
    for index in range(following, following + now.dynamics):
        receive(s, s.dynamic_active[index], t)
    for index in range(first, first + count):
        forget_sent(s, s.dynamic_active[index])
