"""Stations: a color in a block, and who of them may move in the next cycle.

The network of a cycle has three passes over the stations in which something may move. Each reads
what the one before has left of all of them, so their order never shows:

- ``commit`` (``buffers``): what moved in the last cycle arrives, and it is fixed what can be seen
  and where room is;
- ``claim`` and ``arbitrate`` (``arbiters``): which heads could take which links, and which do;
- ``move`` (``crossbar``): those that got theirs leave.

``station`` is a number. Its record is called ``router``: it has the input buffers of that color's
routers in all tiles of the block, and the cores' queues behind their ramps.
"""

from __future__ import annotations

from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import STATION, place_of
from wsc.runtime.time.tiles import set_lane

NORTH, EAST, SOUTH, WEST = range(4)
SIZE = STATION.itemsize
HAD = place_of(STATION, "had_north")  # and so for each side: a value of lanes farther


@kernel
def activate(s: Machine, station: int, t: int) -> None:
    """Something of a station may move in cycle t + 1. station: or -1."""
    if station >= 0 and s.stations[station].listed != t + 1:
        now = s.now[0]
        s.stations[station].listed = t + 1
        s.listing[now.which * now.stations + now.listed] = station
        now.listed += 1


@kernel
def activate_around(s: Machine, station: int, t: int) -> None:
    """Something of a station moved in cycle t: it and those beside it may go on in the next."""
    router = s.stations[station]
    activate(s, station, t)
    activate(s, router.north, t)
    activate(s, router.east, t)
    activate(s, router.south, t)
    activate(s, router.west, t)


@kernel
def mark(s: Machine, station: int, field: int, lane: int) -> None:
    """Set a tile's lane in a field of a station. field: its place in the record."""
    set_lane(s.stations.ctypes.data + station * SIZE + field, lane)
