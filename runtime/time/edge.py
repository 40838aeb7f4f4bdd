"""The edge, as the time engine has it: which ports ask to feed, and what crosses it as lanes.

What the ports share, and how a transfer goes on, is in ``wsc.runtime.clocked.edge``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import room
from wsc.runtime.clocked.edge import has_next
from wsc.runtime.clocked.routers import NO, NOW, accepts, first_after, serve
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.time.arbiters import used_edge
from wsc.runtime.time.basics import activate_port, list_slot, push
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel
from wsc.runtime.time.crossbar import leave_fabric
from wsc.runtime.time.records import STATION, place_of
from wsc.runtime.time.stations import activate, mark
from wsc.runtime.time.tiles import has, lane_of

FED, FEEDERS = place_of(STATION, "fed"), place_of(STATION, "feeders")


@kernel
def buffer_takes(s: Machine, slot: int, t: int) -> bool:
    """Whether a router buffer takes a wavelet from the edge in cycle t; else its port is woken."""
    if s.slots[slot].guided != 0:
        return room(s, slot, t)
    station, lane = s.slot_station[slot], lane_of(s, slot)
    if has(s.stations[station].room, lane):
        return True
    mark(s, station, FEEDERS, lane)
    return False


@kernel
def feeds(s: Machine, queue: int, t: int) -> int:
    """Whether an edge queue could feed a wavelet in cycle t: NO, NOW or NEXT."""
    has = has_next(s, queue, t)
    if has != NOW:
        return has
    cursor = s.queues[queue]
    # The router takes it from this side, as its switch is now, and has a free cell.
    side = side_of(cursor.port, s.now[0].width, s.now[0].height)
    if not accepts(s, cursor.slot, side):
        return NO
    return NOW if buffer_takes(s, cursor.slot, t) else NO


@kernel
def request_feeds(s: Machine, t: int) -> int:
    """Every listed port names the queue that it would serve; how many did."""
    now, requests = s.now[0], 0
    first, count = now.ports_which * now.port_count, now.ports
    now.ports_which = 1 - now.ports_which
    now.ports = 0
    for index in range(count):
        port = s.port_list[first + index]
        s.port_listed[port] = 0
        # Its queues take turns; the port asks for one of them in a cycle.
        wanted, again = 0, False
        for queue in range(s.port_first[port], s.port_first[port + 1]):
            answer = feeds(s, queue, t)
            again = again or answer != NO
            if answer == NOW:
                wanted |= 1 << (queue - s.port_first[port])
        if wanted != 0:
            s.request_in[port] = s.port_first[port] + first_after(wanted, s.port_turn[port])
            requests += 1
        if again:
            activate_port(s, port)
    return requests


@LIBRARY.defines(own.wake_drain)
def wake_drain(s: Machine, queue: int) -> None:
    """Look at the buffer that it drains."""
    slot = s.queues[queue].slot
    if s.slots[slot].guided != 0:
        list_slot(s, slot)
    else:
        activate(s, s.slot_station[slot], s.now[0].local)


@LIBRARY.defines(own.enter_fabric)
def enter_fabric(s: Machine, queue: int, control: int, visible: int, t: int) -> None:
    """A wavelet without contents; as a lane it is in the buffer when its station is committed."""
    slot = s.queues[queue].slot
    if s.slots[slot].guided != 0:
        push(s, slot, control, visible)
        return
    station = s.slot_station[slot]
    mark(s, station, FED, lane_of(s, slot))
    activate(s, station, t)
    s.fifos[slot].pushed += 1


@LIBRARY.defines(own.left_fabric)
def left_fabric(s: Machine, slot: int, side: int, t: int) -> None:
    """The arbiter and the buffer go on as after any other link."""
    station, lane = s.slot_station[slot], lane_of(s, slot)
    if s.slots[slot].guided == 0:
        leave_fabric(s, station, side, lane, t)
        return
    s.moves[slot, side] += 1
    serve(s, slot, side, t)
    used_edge(s, station, side, lane)
