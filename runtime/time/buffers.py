"""Input buffers of routers, and the queues of cores, as counts: what the last cycle has moved.

A full cell is a wavelet that can be seen (``seen``) or is on its way; an empty one is free
(``free``). A wavelet takes its cell when it sets out, and is seen when its way is over.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import wake_unit
from wsc.runtime.clocked.routers import EDGE_QUEUES
from wsc.runtime.kernels.lanes import Lanes, down, lanes_at, lowest, none, put_at, up, word
from wsc.runtime.kernels.words import WORDS
from wsc.runtime.time.basics import activate_port
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import BYTES, decrease, increase, some
from wsc.runtime.time.records import STATION, place_of
from wsc.runtime.time.stations import EAST, NORTH, SIZE, SOUTH, WEST
from wsc.runtime.time.tiles import slot_at

FREE, SEEN = place_of(STATION, "free0"), place_of(STATION, "seen0")
IN_FREE, IN_SEEN = place_of(STATION, "in_free0"), place_of(STATION, "in_seen0")
OUT_FREE, OUT_SEEN = place_of(STATION, "out_free0"), place_of(STATION, "out_seen0")


@kernel
def arrivals(s: Machine, station: int) -> Lanes:
    """Buffers to which a neighbour sent a wavelet in the last cycle."""
    router, come = s.stations[station], none()
    side = s.now[0].plane * s.now[0].colors * BYTES
    pitch, at = s.now[0].pitch * BYTES, s.sent.ctypes.data + router.first * BYTES
    # What comes from the north is what the tile a row, a word, above has sent to the south; what
    # comes from the west is a bit away, from the first column on in the block beside this one.
    if router.sources & (1 << NORTH):
        come = come | lanes_at(at + SOUTH * side - BYTES)
    if router.sources & (1 << SOUTH):
        come = come | lanes_at(at + NORTH * side + BYTES)
    if router.sources & (1 << WEST):
        come = come | up(lanes_at(at + EAST * side), lanes_at(at + EAST * side - pitch))
    if router.sources & (1 << EAST):
        come = come | down(lanes_at(at + WEST * side), lanes_at(at + WEST * side + pitch))
    return come


@kernel
def come_near(s: Machine, station: int, come: Lanes, t: int) -> Lanes:
    """Which wavelets that left their routers in the last cycle can be seen in cycle t.

    The others are on their way: each has its place in the buffer already.
    """
    now, router = s.now[0], s.stations[station]
    if now.way < 2 or not come:
        return come
    # They left in cycle t - 1, and are put on the ring at the cycle in which their way is over:
    # a turn between the axes makes it longer.
    ring, bent = station * now.way, come & router.bent
    straight = come & ~router.bent
    if bent:
        when = t - 1 + now.hop + now.turn
        there = s.coming[ring + (when & (now.way - 1))]
        there.lanes = there.lanes | bent
        router.until = max(router.until, when)
    if straight and now.hop > 1:
        when = t - 1 + now.hop
        there = s.coming[ring + (when & (now.way - 1))]
        there.lanes = there.lanes | straight
        router.until = max(router.until, when)
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
    router, at = s.stations[station], s.stations.ctypes.data + station * SIZE
    digits = s.now[0].digits
    # What the cores took and put.
    if router.taken:
        decrease(at + IN_SEEN, digits, router.taken)
        increase(at + IN_FREE, digits, router.taken)
        router.taken = none()
    if router.put:
        decrease(at + OUT_FREE, digits, router.put)
        increase(at + OUT_SEEN, digits, router.put)
        router.put = none()
    # What neighbours and the edge sent takes a cell; what the edge sent is seen at once.
    come = router.fed | arrivals(s, station)
    if come:
        decrease(at + FREE, digits, come)
        come = router.fed | come_near(s, station, come & ~router.fed, t)
        router.fed = none()
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
    # What this cycle goes by: what is freed or filled in it changes the counts alone.
    router.has, router.room = some(at + SEEN, digits), some(at + FREE, digits)
    router.in_has, router.in_room = some(at + IN_SEEN, digits), some(at + IN_FREE, digits)
    router.out_has, router.out_room = some(at + OUT_SEEN, digits), some(at + OUT_FREE, digits)
    put_at(s.rooms.ctypes.data + router.first * BYTES, router.room)  # for the neighbours
    wake(s, station, t)


@kernel
def wake(s: Machine, station: int, t: int) -> None:
    """Wake who waited for what is there now."""
    router = s.stations[station]
    if router.readers & router.in_has:
        wake_units(s, station, router.readers & router.in_has, False, t)
        router.readers = router.readers & ~router.in_has
    if router.writers & router.out_room:
        wake_units(s, station, router.writers & router.out_room, True, t)
        router.writers = router.writers & ~router.out_room
    if router.feeders & router.room:
        wake_ports(s, station, router.feeders & router.room)
        router.feeders = router.feeders & ~router.room


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
