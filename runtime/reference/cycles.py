"""The loop over cycles; the only compiled function that is called from Python."""

from __future__ import annotations

from wsc.runtime.clocked.basics import schedule
from wsc.runtime.reference.basics import MOST_VISITS, shuffle
from wsc.runtime.reference.compiled import Machine, entry, kernel
from wsc.runtime.reference.edge import edge_phase, request_feeds, settle
from wsc.runtime.reference.messages import dynamic_phase
from wsc.runtime.reference.records import WHEEL, Mode, Status
from wsc.runtime.reference.routers import router_phase
from wsc.runtime.reference.threads import core_phase


@kernel
def start(s: Machine) -> None:
    """Put every main thread and every edge queue in its first state."""
    now = s.now[0]
    for tile in range(now.tiles):
        if s.unit[tile * now.units].mode == Mode.FETCH:
            schedule(s, tile, 0)
    for queue in range(now.queues):
        settle(s, queue)


@kernel
def static_cycle(s: Machine, t: int) -> None:
    """Routers and edge; each reads what the last cycle left and lists who is next."""
    now = s.now[0]
    current, count = now.which, now.routers
    now.which = 1 - current
    now.routers = 0
    port_list, ports = now.port_which, now.ports
    now.port_which = 1 - port_list
    now.ports = 0
    now.requests = 0
    if now.shuffle != 0:
        shuffle(s.active.ctypes.data, current * now.tiles, count, now.shuffle + 2 * t)
        shuffle(s.port_active.ctypes.data, port_list * now.port_count, ports, now.shuffle + 3 * t)
    requests = request_feeds(s, port_list, ports, t) if ports > 0 else 0
    if count > 0:
        router_phase(s, current, count, t)
    if requests > 0 or now.requests > 0:
        edge_phase(s, requests, now.requests, t)


@kernel
def next_time(s: Machine, t: int, until: int) -> int:
    """The next cycle in which anything can happen; -1 if nothing ever can."""
    now = s.now[0]
    if now.routers > 0 or now.ports > 0 or now.dynamics > 0:
        return t + 1
    for ahead in range(1, WHEEL + 1):
        if s.wheel[(t + ahead) & (WHEEL - 1)] >= 0:
            return t + ahead
    return -1


@entry
def run_until(s: Machine, until: int) -> int:
    """Step to cycle ``until`` at most; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    now = s.now[0]
    now.visits = 0
    if now.now < 0:
        now.now = 0
        start(s)
    while now.now < until and now.visits < MOST_VISITS:
        t = now.now
        now.local = t
        now.visits += now.routers + now.ports + now.dynamics
        if s.wheel[t & (WHEEL - 1)] >= 0:
            core_phase(s, t)
        if now.routers > 0 or now.ports > 0:
            static_cycle(s, t)
        if now.dynamics > 0:
            current, count = now.dynamic_which, now.dynamics
            now.dynamic_which = 1 - current
            now.dynamics = 0
            if now.shuffle != 0:
                shuffle(s.dyn_active.ctypes.data, current * now.tiles, count, now.shuffle + 5 * t)
            dynamic_phase(s, current, count, t)
        if now.error != 0:
            return Status.FAULTED
        following = next_time(s, t, until)
        if following < 0:
            return Status.QUIET
        now.now = following
    return Status.RUNNING
