"""Heads leave over the links that they got, and are dropped when they have left on all sides."""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, moved
from wsc.runtime.clocked.routers import EDGE_QUEUES, INTO_ROUTER
from wsc.runtime.kernels.lanes import Lanes, lanes_at, lowest, none, put_at, word
from wsc.runtime.kernels.words import WORDS
from wsc.runtime.time.arbiters import used_edge
from wsc.runtime.time.buffers import FREE, IN_FREE, OUT_FREE, OUT_SEEN, SEEN
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import BYTES, DIGIT, decrease, increase
from wsc.runtime.time.links import LINKS, cross
from wsc.runtime.time.stations import HAD, SIZE, activate, activate_around, mark
from wsc.runtime.time.tiles import slot_at


@kernel
def send(s: Machine, station: int, side: int, which: Lanes) -> None:
    """Heads leave for the neighbours on a side: they see it, and their links are taken."""
    # ``sent`` has a part for each side, with a place for each color in each block.
    part, router = s.now[0].plane * s.now[0].colors, s.stations[station]
    put_at(s.sent.ctypes.data + (side * part + router.first) * BYTES, which)
    cross(s, router.block, side, which)


@kernel
def ask_edge(s: Machine, station: int) -> bool:
    """Heads that got a link over the edge ask for bandwidth; whether any did.

    One that no transfer takes is looked at again when one does (``wake_drain``).
    """
    router, before = s.stations[station], s.now[0].requests
    if not (router.has & router.leaves):
        return False
    for side in range(4):
        mine, edge = s.claims[station * LINKS + side], s.edges[router.block * LINKS + side].lanes
        # It leaves when the bandwidth of this cycle has been shared out (``edge_phase``).
        asks = mine.won & router.leaves & edge
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
    mark(s, station, HAD + side * DIGIT, lane)
    used_edge(s, station, side, lane)
    drop_heads(s, station)
    activate_around(s, station, t)


@kernel
def drop_heads(s: Machine, station: int) -> None:
    """A head that has left everywhere frees its cell."""
    router, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    digits = s.now[0].digits
    # Who has still to leave on some side: a head of a multicast may go one way before the other.
    still = router.stuck | (router.to_core & ~router.had_core)
    still = still | (router.to_north & ~router.had_north) | (router.to_south & ~router.had_south)
    still = still | (router.to_east & ~router.had_east) | (router.to_west & ~router.had_west)
    gone = router.has & ~still
    if gone:
        decrease(at + SEEN, digits, gone)
        increase(at + FREE, digits, gone)
        router.had_north, router.had_east = router.had_north & ~gone, router.had_east & ~gone
        router.had_south, router.had_west = router.had_south & ~gone, router.had_west & ~gone
        router.had_core = router.had_core & ~gone


@kernel
def move(s: Machine, station: int, t: int) -> None:
    """Heads leave over the links that they got, and are gone when they have left everywhere."""
    router, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    claims, digits = station * LINKS, s.now[0].digits
    # lost: heads that got none of a link that they could have taken; they try again.
    any_won, lost, asked = none(), none(), ask_edge(s, station)
    # To the neighbours, who look at ``sent`` when they are committed.
    for side in range(4):
        if router.ways & (1 << side):
            mine, had = s.claims[claims + side], at + HAD + side * DIGIT
            send(s, station, side, mine.won)
            put_at(had, lanes_at(had) | mine.won)
            any_won, lost = any_won | mine.won, lost | (mine.wants & ~mine.won)
    # Down the ramp: the wavelet has its cell of the core's queue at once, and is seen there when
    # the ramp's latency is over.
    ramp, ring = s.now[0].ramp, station * s.now[0].ring
    over = ring + ((t + ramp) & (s.now[0].ring - 1))
    if router.ways & (1 << RAMP):
        mine = s.claims[claims + RAMP]
        router.had_core = router.had_core | mine.won
        any_won, lost = any_won | mine.won, lost | (mine.wants & ~mine.won)
        if mine.won:
            decrease(at + IN_FREE, digits, mine.won)
            s.falling[over].lanes = mine.won
            router.until = max(router.until, t + ramp)
    drop_heads(s, station)
    # Up from the core: the cell in the output queue is free, and one here is taken.
    if router.ways & (1 << INTO_ROUTER):
        mine = s.claims[claims + INTO_ROUTER]
        any_won, lost = any_won | mine.won, lost | (mine.wants & ~mine.won)
        if mine.won:
            decrease(at + OUT_SEEN, digits, mine.won)
            increase(at + OUT_FREE, digits, mine.won)
            decrease(at + FREE, digits, mine.won)
            s.rising[over].lanes = mine.won
            router.until = max(router.until, t + ramp)
    if any_won:
        moved(s, t)
        activate_around(s, station, t)
    elif lost or asked or router.until > t:
        activate(s, station, t)
