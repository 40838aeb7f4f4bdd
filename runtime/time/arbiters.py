"""The arbiter of each link: which colors could take it in this cycle, and whose turn it is.

Links of a tile are to its four neighbours, down the ramp to its core, and up from the core.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.routers import EDGE_QUEUES, INTO_ROUTER, takes
from wsc.runtime.kernels.lanes import Lanes, down, lanes_at, lowest, none, one, up, word
from wsc.runtime.kernels.words import WORDS
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import BYTES, DIGIT
from wsc.runtime.time.links import LINKS, busy_links
from wsc.runtime.time.stations import EAST, HAD, NORTH, SIZE, SOUTH, WEST, activate
from wsc.runtime.time.tiles import only, slot_at

# --- who could take which link --------------------------------------------------------------


@kernel
def claim_link(s: Machine, station: int, side: int, wants: Lanes) -> None:
    """Note where a station could take the link on a side; it gets it where no other can want it."""
    block, mine = s.stations[station].block, s.claims[station * LINKS + side]
    link = block * LINKS + side
    mine.wants = wants
    if s.rivals_first[link + 1] - s.rivals_first[link] < 2:
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
    router = s.stations[station]
    at, pitch = s.rooms.ctypes.data + router.first * BYTES, s.now[0].pitch * BYTES
    # To a neighbour goes a head that its route sends this way, that has not gone this way yet, and
    # for which the buffer beyond had room when the cycle began. The neighbour's room is a word or
    # a bit away; beyond the edge of the fabric there is none.
    if router.ways & (1 << NORTH):
        room = lanes_at(at - BYTES)
        claim_way(s, station, NORTH, router.has & router.to_north & ~router.had_north & room, t)
    if router.ways & (1 << EAST):
        room = down(router.room, lanes_at(at + pitch))
        claim_way(s, station, EAST, router.has & router.to_east & ~router.had_east & room, t)
    if router.ways & (1 << SOUTH):
        room = lanes_at(at + BYTES)
        claim_way(s, station, SOUTH, router.has & router.to_south & ~router.had_south & room, t)
    if router.ways & (1 << WEST):
        room = up(router.room, lanes_at(at - pitch))
        claim_way(s, station, WEST, router.has & router.to_west & ~router.had_west & room, t)
    # Down the ramp it needs a cell of the core's input queue; what comes up needs one here.
    if router.ways & (1 << RAMP):
        falls = router.has & router.to_core & ~router.had_core & router.in_room
        claim_link(s, station, RAMP, falls)
    if router.ways & (1 << INTO_ROUTER):
        claim_link(s, station, INTO_ROUTER, router.out_has & router.from_core & router.room)
    # Over the edge of the fabric it needs a transfer that takes it.
    if router.has & router.leaves:
        claim_edge(s, station)


@kernel
def claim_edge(s: Machine, station: int) -> None:
    """Which heads could leave over the edge: those whose transfers take them."""
    router = s.stations[station]
    for line in range(WORDS):
        rest = word(router.has & router.leaves, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            slot = slot_at(s, station, line, bit)
            # The sides on which it has still to leave; of them, those that lead to a port.
            send = s.positions[s.slots[slot].first].send & ~sides_had(s, station, line, bit)
            for side in range(4):
                beyond = s.slots[slot].next[side]
                leads_to_port = (send >> side) & 1 and NOWHERE < beyond < OUTSIDE
                if leads_to_port and takes(s, EDGE_QUEUES - beyond):
                    mine = s.claims[station * LINKS + side]
                    mine.wants = mine.wants | one(line, bit)
                    contend(s, router.block, side)


@kernel
def sides_had(s: Machine, station: int, line: int, bit: int) -> int:
    """Mask of the sides on which the head of a lane has left already."""
    at, had = s.stations.ctypes.data + station * SIZE + HAD, 0
    for side in range(4):
        had |= ((word(lanes_at(at + side * DIGIT), line) >> bit) & 1) << side
    return had


# --- whose turn it is -----------------------------------------------------------------------


@kernel
def arbitrate(s: Machine, block: int, side: int) -> None:
    """Give a link of each tile to one of the colors that want it, in turns."""
    link = block * LINKS + side
    first, end = s.rivals_first[link], s.rivals_first[link + 1]
    # Who has a link over the edge uses it only when there is bandwidth too. So who was the last
    # there is noted when it has left (``used_edge``), and here for all other links.
    inner = ~s.edges[link].lanes
    # Where no tile has two colors that want its link, each gets what it wants.
    wanted, clash = none(), none()
    for index in range(first, end):
        wants = s.claims[s.rivals[index] * LINKS + side].wants
        clash = clash | (wanted & wants)
        wanted = wanted | wants
    if not clash:
        for index in range(first, end):
            mine = s.claims[s.rivals[index] * LINKS + side]
            mine.won = mine.wants
            mine.last = (mine.last & ~(wanted & inner)) | (mine.wants & inner)
        return
    # Else first the colors after the one that had the link last, then the others, in two passes
    # over the colors in their order. passed: tiles in which that color has been passed; served:
    # tiles whose link is given away.
    passed, served = none(), none()
    for index in range(first, end):
        mine = s.claims[s.rivals[index] * LINKS + side]
        mine.won = mine.wants & passed & ~served
        served = served | mine.won
        passed = passed | mine.last
    for index in range(first, end):
        mine = s.claims[s.rivals[index] * LINKS + side]
        mine.won = mine.won | (mine.wants & ~served)
        served = served | mine.won
        mine.last = (mine.last & ~(wanted & inner)) | (mine.won & inner)
        if mine.wants & ~mine.won:
            lose(s, s.rivals[index], side, mine.wants & ~mine.won)


@kernel
def used_edge(s: Machine, station: int, side: int, lane: int) -> None:
    """A station was the last that used a link over the edge."""
    link, mine = s.stations[station].block * LINKS + side, only(lane)
    for index in range(s.rivals_first[link], s.rivals_first[link + 1]):
        other = s.claims[s.rivals[index] * LINKS + side]
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
