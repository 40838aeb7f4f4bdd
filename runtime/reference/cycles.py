"""The loop over cycles; the only compiled function that is called from Python.

In each cycle the cores come first, then routers and edge, then the dynamic network. All read what
the cycle before has left and write for the next one, so that their order, and the order of
tiles within each, never shows. A cycle in which nothing can happen is left out.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import schedule
from wsc.runtime.clocked.edge import edge_phase, settle
from wsc.runtime.clocked.messages import dynamic_phase
from wsc.runtime.clocked.records import MOST_VISITS
from wsc.runtime.reference import messages, own
from wsc.runtime.reference.basics import shuffle
from wsc.runtime.reference.compiled import LIBRARY, Machine, entry, kernel
from wsc.runtime.reference.cores import core_phase
from wsc.runtime.reference.edge import request_feeds
from wsc.runtime.reference.records import WHEEL, Mode, Status
from wsc.runtime.reference.routers import router_phase

LIBRARY.includes(messages)
LIBRARY.includes(own)


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
    # There are two lists of routers, and of ports: this cycle's is read, the next one's is filled.
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
    # Ports ask to feed, and routers move; those at the edge ask to drain. Then the edge serves.
    feeds = request_feeds(s, port_list, ports, t) if ports > 0 else 0
    if count > 0:
        router_phase(s, current, count, t)
    if feeds > 0 or now.requests > 0:
        edge_phase(s, feeds, now.requests, t)


@kernel
def dynamic_cycle(s: Machine, t: int) -> None:
    """The dynamic routers, from the one of their two lists that the last cycle has filled."""
    now = s.now[0]
    current, count = now.dynamic_which, now.dynamics
    now.dynamic_which = 1 - current
    now.dynamics = 0
    if now.shuffle != 0:
        shuffle(s.dynamic_active.ctypes.data, current * now.tiles, count, now.shuffle + 5 * t)
    dynamic_phase(s, current, count, t)


@kernel
def next_time(s: Machine, t: int) -> int:
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
            dynamic_cycle(s, t)
        if now.error != 0:
            return Status.FAULTED
        following = next_time(s, t)
        if following < 0:
            return Status.QUIET
        now.now = following
    return Status.RUNNING
