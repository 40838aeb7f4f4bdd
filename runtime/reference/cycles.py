"""The loop over cycles; the only compiled function that is called from Python."""

from __future__ import annotations

from wsc.runtime.reference.basics import MOST_VISITS, schedule, shuffle
from wsc.runtime.reference.compiled import Machine, entry, kernel
from wsc.runtime.reference.edge import edge_phase, request_feeds, settle
from wsc.runtime.reference.messages import dynamic_phase
from wsc.runtime.reference.records import WHEEL, Mode, Status
from wsc.runtime.reference.routers import router_phase
from wsc.runtime.reference.threads import core_phase


@kernel
def start(s: Machine) -> None:
    """Put every main thread and every edge queue in its first state."""
    g = s.now[0]
    for tile in range(g.tiles):
        if s.unit[tile * g.units].mode == Mode.FETCH:
            schedule(s, tile, 0)
    for queue in range(g.queues):
        settle(s, queue)


@kernel
def static_cycle(s: Machine, t: int) -> None:
    """Routers and edge; each reads what the last cycle left and lists who is next."""
    g = s.now[0]
    current, count = g.which, g.routers
    g.which = 1 - current
    g.routers = 0
    port_list, ports = g.port_which, g.ports
    g.port_which = 1 - port_list
    g.ports = 0
    g.requests = 0
    if g.shuffle != 0:
        shuffle(s.active.ctypes.data, current * g.tiles, count, g.shuffle + 2 * t)
        shuffle(s.port_active.ctypes.data, port_list * g.port_count, ports, g.shuffle + 3 * t)
    requests = request_feeds(s, port_list, ports, t) if ports > 0 else 0
    if count > 0:
        router_phase(s, current, count, t)
    if requests > 0 or g.requests > 0:
        edge_phase(s, requests, g.requests, t)


@kernel
def next_time(s: Machine, t: int, until: int) -> int:
    """The next cycle in which anything can happen; -1 if nothing ever can."""
    g = s.now[0]
    if g.routers > 0 or g.ports > 0 or g.dynamics > 0:
        return t + 1
    for ahead in range(1, WHEEL + 1):
        if s.wheel[(t + ahead) & (WHEEL - 1)] >= 0:
            return t + ahead
    return -1


@entry
def run_until(s: Machine, until: int) -> int:
    """Step to cycle ``until`` at most; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    g = s.now[0]
    g.visits = 0
    if g.now < 0:
        g.now = 0
        start(s)
    while g.now < until and g.visits < MOST_VISITS:
        t = g.now
        g.local = t
        g.visits += g.routers + g.ports + g.dynamics
        if s.wheel[t & (WHEEL - 1)] >= 0:
            core_phase(s, t)
        if g.routers > 0 or g.ports > 0:
            static_cycle(s, t)
        if g.dynamics > 0:
            current, count = g.dynamic_which, g.dynamics
            g.dynamic_which = 1 - current
            g.dynamics = 0
            if g.shuffle != 0:
                shuffle(s.dyn_active.ctypes.data, current * g.tiles, count, g.shuffle + 5 * t)
            dynamic_phase(s, current, count, t)
        if g.error != 0:
            return Status.FAULTED
        following = next_time(s, t, until)
        if following < 0:
            return Status.QUIET
        g.now = following
    return Status.RUNNING
