"""One cycle of the static network: the router buffers and queues of a color, a block at a time.

A cycle has three passes over the stations in which something may move. Each reads what the one
before has left of all of them, so their order never shows:

- ``commit``: what moved in the last cycle arrives; what can be seen and where room is, is fixed;
- ``claim``: which heads could take which links;
- ``move``: those that got theirs leave.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, moved, wake_unit
from wsc.runtime.clocked.routers import EDGE_QUEUES, INTO_ROUTER, takes
from wsc.runtime.kernels.lanes import Lanes, down, lanes_at, lowest, none, one, put_at, up, word
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.time.basics import activate_port
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import BYTES, decrease, increase, some
from wsc.runtime.time.links import LINKS, busy_links, cross
from wsc.runtime.time.records import STATION, place_of

NORTH, EAST, SOUTH, WEST = range(4)
SIZE = STATION.itemsize

FREE, SEEN = place_of(STATION, "free0"), place_of(STATION, "seen0")
IN_FREE, IN_SEEN = place_of(STATION, "in_free0"), place_of(STATION, "in_seen0")
OUT_FREE, OUT_SEEN = place_of(STATION, "out_free0"), place_of(STATION, "out_seen0")


# --- where a lane is ------------------------------------------------------------------------


@kernel
def tile_at(s: Machine, block: int, line: int, bit: int) -> int:
    """The tile of a lane of a block: its row in the block, and its column."""
    return s.corner[block] + line * s.now[0].width + bit


@kernel
def slot_at(s: Machine, station: int, line: int, bit: int) -> int:
    """The slot of a lane of a station."""
    tile = tile_at(s, s.stations[station].block, line, bit)
    return s.slot_of[tile * s.now[0].colors + s.stations[station].color]


@kernel
def activate(s: Machine, station: int, t: int) -> None:
    """Something of a station may move in cycle t + 1."""
    if station >= 0 and s.stations[station].listed != t + 1:
        now = s.now[0]
        s.stations[station].listed = t + 1
        s.listing[now.which * now.stations + now.listed] = station
        now.listed += 1


# --- what the last cycle moved --------------------------------------------------------------


@kernel
def arrivals(s: Machine, station: int) -> Lanes:
    """Buffers to which a neighbour sent a wavelet in the last cycle."""
    a, come = s.stations[station], none()
    side = s.now[0].plane * s.now[0].colors * BYTES
    pitch, at = s.now[0].pitch * BYTES, s.sent.ctypes.data + a.first * BYTES
    if a.sources & (1 << NORTH):
        come = come | lanes_at(at + SOUTH * side - BYTES)
    if a.sources & (1 << SOUTH):
        come = come | lanes_at(at + NORTH * side + BYTES)
    if a.sources & (1 << WEST):
        come = come | up(lanes_at(at + EAST * side), lanes_at(at + EAST * side - pitch))
    if a.sources & (1 << EAST):
        come = come | down(lanes_at(at + WEST * side), lanes_at(at + WEST * side + pitch))
    return come


@kernel
def come_near(s: Machine, station: int, come: Lanes, t: int) -> Lanes:
    """Which wavelets that left their routers in the last cycle can be seen in cycle t.

    The others are on their way: each has its place in the buffer already.
    """
    now, a = s.now[0], s.stations[station]
    if now.way < 2 or not come:
        return come
    ring, bent = station * now.way, come & a.bent
    straight = come & ~a.bent
    if bent:
        when = t - 1 + now.hop + now.turn
        there = s.coming[ring + (when & (now.way - 1))]
        there.lanes = there.lanes | bent
        a.until = max(a.until, when)
    if straight and now.hop > 1:
        when = t - 1 + now.hop
        there = s.coming[ring + (when & (now.way - 1))]
        there.lanes = there.lanes | straight
        a.until = max(a.until, when)
        straight = none()
    return straight


@kernel
def come_far(s: Machine, station: int, t: int) -> Lanes:
    """Which wavelets have come to the end of a longer way in cycle t."""
    there = s.coming[station * s.now[0].way + (t & (s.now[0].way - 1))]
    come = there.lanes
    if come:
        there.lanes = none()
    return come


@kernel
def commit(s: Machine, station: int, t: int) -> None:
    """What moved in the last cycle is where it went; who waited for it is woken."""
    a, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    digits = s.now[0].digits
    # What the cores took and put.
    if a.taken:
        decrease(at + IN_SEEN, digits, a.taken)
        increase(at + IN_FREE, digits, a.taken)
        a.taken = none()
    if a.put:
        decrease(at + OUT_FREE, digits, a.put)
        increase(at + OUT_SEEN, digits, a.put)
        a.put = none()
    # What neighbours and the edge sent.
    come = a.fed | arrivals(s, station)
    if come:
        decrease(at + FREE, digits, come)
        come = a.fed | come_near(s, station, come & ~a.fed, t)
        a.fed = none()
    if s.now[0].way > 1:
        come = come | come_far(s, station, t)
    if come:
        increase(at + SEEN, digits, come)
    # What has come to the end of a ramp. Its cell was taken when it set out.
    ring = station * s.now[0].ring + (t & (s.now[0].ring - 1))
    if s.rising[ring].lanes:
        increase(at + SEEN, digits, s.rising[ring].lanes)
        s.rising[ring].lanes = none()
    if s.falling[ring].lanes:
        increase(at + IN_SEEN, digits, s.falling[ring].lanes)
        s.falling[ring].lanes = none()
    # What this cycle goes by.
    a.has, a.room = some(at + SEEN, digits), some(at + FREE, digits)
    a.in_has, a.in_room = some(at + IN_SEEN, digits), some(at + IN_FREE, digits)
    a.out_has, a.out_room = some(at + OUT_SEEN, digits), some(at + OUT_FREE, digits)
    put_at(s.rooms.ctypes.data + a.first * BYTES, a.room)
    wake(s, station, t)


@kernel
def wake(s: Machine, station: int, t: int) -> None:
    """Wake who waited for what is there now."""
    a = s.stations[station]
    if a.readers & a.in_has:
        wake_units(s, station, a.readers & a.in_has, False, t)
        a.readers = a.readers & ~a.in_has
    if a.writers & a.out_room:
        wake_units(s, station, a.writers & a.out_room, True, t)
        a.writers = a.writers & ~a.out_room
    if a.feeders & a.room:
        wake_ports(s, station, a.feeders & a.room)
        a.feeders = a.feeders & ~a.room


@kernel
def wake_units(s: Machine, station: int, which: Lanes, puts: bool, t: int) -> None:
    """Wake the unit that waits at each of some queues. puts: for room, not for a wavelet."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            slot = slot_at(s, station, line, lowest(rest))
            rest &= rest - 1
            unit = s.slots[slot].writer if puts else s.slots[slot].reader
            wake_unit(s, s.slots[slot].tile, unit, t)


@kernel
def wake_ports(s: Machine, station: int, which: Lanes) -> None:
    """Let the ports that feed some buffers look again."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            slot = slot_at(s, station, line, lowest(rest))
            rest &= rest - 1
            side = s.positions[s.slots[slot].first].accept
            queue = EDGE_QUEUES - s.slots[slot].next[side]
            activate_port(s, s.queues[queue].port)


# --- who could take which link --------------------------------------------------------------


@kernel
def claim_link(s: Machine, station: int, side: int, wants: Lanes) -> None:
    """Note where a station could take the link on a side; it gets it where no other can want it."""
    block, mine = s.stations[station].block, s.claims[station * LINKS + side]
    at = block * LINKS + side
    mine.wants = wants
    if s.members_first[at + 1] - s.members_first[at] < 2:
        mine.won = wants
        return
    mine.won = none()
    if wants:
        contend(s, block, side)


@kernel
def claim_way(s: Machine, station: int, side: int, wants: Lanes, t: int) -> None:
    """The same for a link to another router; one that is still taken is looked at again."""
    free = wants
    if s.now[0].link_digits > 0 and wants:
        busy = busy_links(s, s.stations[station].block, side)
        free = wants & ~busy
        if wants & busy:
            activate(s, station, t)
    claim_link(s, station, side, free)


@kernel
def contend(s: Machine, block: int, side: int) -> None:
    """A link of a block's tiles is wanted, and several colors could."""
    now = s.now[0]
    if s.wanting[block] == 0:
        s.wanting_blocks[now.blocks] = block
        now.blocks += 1
    s.wanting[block] |= 1 << side


@kernel
def claim(s: Machine, station: int, t: int) -> None:
    """Which heads could leave on which sides: those that are seen, where there is room."""
    a = s.stations[station]
    at, pitch = s.rooms.ctypes.data + a.first * BYTES, s.now[0].pitch * BYTES
    if a.ways & (1 << NORTH):
        room = lanes_at(at - BYTES)
        claim_way(s, station, NORTH, a.has & a.to_north & ~a.had_north & room, t)
    if a.ways & (1 << EAST):
        room = down(a.room, lanes_at(at + pitch))
        claim_way(s, station, EAST, a.has & a.to_east & ~a.had_east & room, t)
    if a.ways & (1 << SOUTH):
        room = lanes_at(at + BYTES)
        claim_way(s, station, SOUTH, a.has & a.to_south & ~a.had_south & room, t)
    if a.ways & (1 << WEST):
        room = up(a.room, lanes_at(at - pitch))
        claim_way(s, station, WEST, a.has & a.to_west & ~a.had_west & room, t)
    if a.ways & (1 << RAMP):
        claim_link(s, station, RAMP, a.has & a.to_core & ~a.had_core & a.in_room)
    if a.ways & (1 << INTO_ROUTER):
        claim_link(s, station, INTO_ROUTER, a.out_has & a.from_core & a.room)
    if a.has & a.leaves:
        claim_edge(s, station)


@kernel
def claim_edge(s: Machine, station: int) -> None:
    """Which heads could leave over the edge: those whose transfers take them."""
    a = s.stations[station]
    for line in range(WORDS):
        rest = word(a.has & a.leaves, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            slot = slot_at(s, station, line, bit)
            send = s.positions[s.slots[slot].first].send & ~sides_had(s, station, line, bit)
            for side in range(4):
                beyond = s.slots[slot].next[side]
                leads_to_port = (send >> side) & 1 and NOWHERE < beyond < OUTSIDE
                if leads_to_port and takes(s, EDGE_QUEUES - beyond):
                    mine = s.claims[station * LINKS + side]
                    mine.wants = mine.wants | one(line, bit)
                    contend(s, a.block, side)


@kernel
def sides_had(s: Machine, station: int, line: int, bit: int) -> int:
    """Mask of the sides on which the head of a lane has left already."""
    a = s.stations[station]
    had = (word(a.had_north, line) >> bit) & 1
    had |= ((word(a.had_east, line) >> bit) & 1) << EAST
    had |= ((word(a.had_south, line) >> bit) & 1) << SOUTH
    had |= ((word(a.had_west, line) >> bit) & 1) << WEST
    return had


# --- whose turn it is -----------------------------------------------------------------------


@kernel
def arbitrate(s: Machine, block: int, side: int) -> None:
    """Give a link of each tile to one of the colors that want it, in turns."""
    first, end = s.members_first[block * LINKS + side], s.members_first[block * LINKS + side + 1]
    # A link over the edge is used only when there is bandwidth too; see ``used_edge``.
    wanted, clash, inner = none(), none(), ~s.edges[block * LINKS + side].lanes
    for index in range(first, end):
        wants = s.claims[s.members[index] * LINKS + side].wants
        clash = clash | (wanted & wants)
        wanted = wanted | wants
    if not clash:
        for index in range(first, end):
            mine = s.claims[s.members[index] * LINKS + side]
            mine.won = mine.wants
            mine.last = (mine.last & ~(wanted & inner)) | (mine.wants & inner)
        return
    # First the colors after the one that had the link last, then the others.
    passed, served = none(), none()
    for index in range(first, end):
        mine = s.claims[s.members[index] * LINKS + side]
        mine.won = mine.wants & passed & ~served
        served = served | mine.won
        passed = passed | mine.last
    for index in range(first, end):
        mine = s.claims[s.members[index] * LINKS + side]
        mine.won = mine.won | (mine.wants & ~served)
        served = served | mine.won
        mine.last = (mine.last & ~(wanted & inner)) | (mine.won & inner)
        if mine.wants & ~mine.won:
            lose(s, s.members[index], side, mine.wants & ~mine.won)


@kernel
def used_edge(s: Machine, station: int, side: int, lane: int) -> None:
    """A station was the last that used a link over the edge."""
    at = s.stations[station].block * LINKS + side
    mine = one(lane // WORD, lane % WORD)
    for index in range(s.members_first[at], s.members_first[at + 1]):
        other = s.claims[s.members[index] * LINKS + side]
        other.last = other.last & ~mine
    s.claims[station * LINKS + side].last = s.claims[station * LINKS + side].last | mine


@kernel
def lose(s: Machine, station: int, side: int, which: Lanes) -> None:
    """Count a cycle in which a color could have taken a link that another took."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            s.lost[slot_at(s, station, line, lowest(rest)), side] += 1
            rest &= rest - 1


# --- what leaves ----------------------------------------------------------------------------


@kernel
def send(s: Machine, station: int, side: int, which: Lanes) -> None:
    """Show the neighbours on a side what leaves for them."""
    sides = s.now[0].plane * s.now[0].colors
    put_at(s.sent.ctypes.data + (side * sides + s.stations[station].first) * BYTES, which)


@kernel
def ask_edge(s: Machine, station: int) -> bool:
    """Heads that got a link over the edge ask for bandwidth; whether any did.

    One that no transfer takes is looked at again when one does (``wake_drain``).
    """
    a, before = s.stations[station], s.now[0].requests
    if not (a.has & a.leaves):
        return False
    for side in range(4):
        mine, edge = s.claims[station * LINKS + side], s.edges[a.block * LINKS + side].lanes
        asks = mine.won & a.leaves & edge
        mine.won = mine.won & ~asks
        for line in range(WORDS):
            rest = word(asks, line)
            while rest != 0:
                slot = slot_at(s, station, line, lowest(rest))
                rest &= rest - 1
                queue = EDGE_QUEUES - s.slots[slot].next[side]
                s.request_out[s.queues[queue].port] = slot
                s.now[0].requests += 1
    return s.now[0].requests > before


@kernel
def leave_fabric(s: Machine, station: int, side: int, lane: int, t: int) -> None:
    """The head of a lane has left over the edge."""
    a, mine = s.stations[station], one(lane // WORD, lane % WORD)
    if side == NORTH:
        a.had_north = a.had_north | mine
    elif side == EAST:
        a.had_east = a.had_east | mine
    elif side == SOUTH:
        a.had_south = a.had_south | mine
    else:
        a.had_west = a.had_west | mine
    used_edge(s, station, side, lane)
    drop_heads(s, station)
    activate_around(s, station, t)


@kernel
def drop_heads(s: Machine, station: int) -> None:
    """A head that has left everywhere frees its cell."""
    a, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    digits = s.now[0].digits
    still = a.stuck | (a.to_core & ~a.had_core)
    still = still | (a.to_north & ~a.had_north) | (a.to_south & ~a.had_south)
    still = still | (a.to_east & ~a.had_east) | (a.to_west & ~a.had_west)
    gone = a.has & ~still
    if gone:
        decrease(at + SEEN, digits, gone)
        increase(at + FREE, digits, gone)
        a.had_north, a.had_east = a.had_north & ~gone, a.had_east & ~gone
        a.had_south, a.had_west = a.had_south & ~gone, a.had_west & ~gone
        a.had_core = a.had_core & ~gone


@kernel
def activate_around(s: Machine, station: int, t: int) -> None:
    """Something of a station moved in cycle t: it and those beside it may go on in the next."""
    a = s.stations[station]
    activate(s, station, t)
    activate(s, a.north, t)
    activate(s, a.east, t)
    activate(s, a.south, t)
    activate(s, a.west, t)


@kernel
def move(s: Machine, station: int, t: int) -> None:
    """Heads leave over the links that they got, and are gone when they have left everywhere."""
    a, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    links, digits = station * LINKS, s.now[0].digits
    any_won, lost, asked = none(), none(), ask_edge(s, station)
    if a.ways & (1 << NORTH):
        won = s.claims[links + NORTH].won
        send(s, station, NORTH, won)
        cross(s, a.block, NORTH, won)
        a.had_north = a.had_north | won
        any_won, lost = any_won | won, lost | (s.claims[links + NORTH].wants & ~won)
    if a.ways & (1 << EAST):
        won = s.claims[links + EAST].won
        send(s, station, EAST, won)
        cross(s, a.block, EAST, won)
        a.had_east = a.had_east | won
        any_won, lost = any_won | won, lost | (s.claims[links + EAST].wants & ~won)
    if a.ways & (1 << SOUTH):
        won = s.claims[links + SOUTH].won
        send(s, station, SOUTH, won)
        cross(s, a.block, SOUTH, won)
        a.had_south = a.had_south | won
        any_won, lost = any_won | won, lost | (s.claims[links + SOUTH].wants & ~won)
    if a.ways & (1 << WEST):
        won = s.claims[links + WEST].won
        send(s, station, WEST, won)
        cross(s, a.block, WEST, won)
        a.had_west = a.had_west | won
        any_won, lost = any_won | won, lost | (s.claims[links + WEST].wants & ~won)
    ramp, ring = s.now[0].ramp, station * s.now[0].ring
    there = ring + ((t + ramp) & (s.now[0].ring - 1))
    if a.ways & (1 << RAMP):
        won = s.claims[links + RAMP].won
        a.had_core = a.had_core | won
        any_won, lost = any_won | won, lost | (s.claims[links + RAMP].wants & ~won)
        if won:
            decrease(at + IN_FREE, digits, won)
            s.falling[there].lanes = won
            a.until = max(a.until, t + ramp)
    drop_heads(s, station)
    if a.ways & (1 << INTO_ROUTER):
        won = s.claims[links + INTO_ROUTER].won
        any_won, lost = any_won | won, lost | (s.claims[links + INTO_ROUTER].wants & ~won)
        if won:
            decrease(at + OUT_SEEN, digits, won)
            increase(at + OUT_FREE, digits, won)
            decrease(at + FREE, digits, won)
            s.rising[there].lanes = won
            a.until = max(a.until, t + ramp)
    if any_won:
        moved(s, t)
        activate_around(s, station, t)
    elif lost or asked or a.until > t:
        activate(s, station, t)
