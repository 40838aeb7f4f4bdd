"""The loop over cycles; the only compiled function that is called from Python."""

from __future__ import annotations

from numba import njit

from wsc.runtime.engine.dispatch import JIT, inlined, jit
from wsc.runtime.engine.kernel_common import MOST_VISITS, schedule
from wsc.runtime.engine.kernel_dynamic import dynamic_phase
from wsc.runtime.engine.kernel_edge import edge_phase, request_feeds, settle
from wsc.runtime.engine.kernel_main import core_phase, shuffle
from wsc.runtime.engine.kernel_router import router_phase
from wsc.runtime.engine.layout import WHEEL, G, Mode, State, U

RUNNING, QUIET, FAULTED = 0, 1, 2


@jit
def start(s: State) -> None:
    """Put every main thread and every edge queue in its first state."""
    g = s.g
    for tile in range(g[G.TILES]):
        if s.unit[tile * g[G.UNITS], U.MODE] == Mode.FETCH:
            schedule(s, tile, 0)
    for queue in range(g[G.QUEUES]):
        settle(s, queue)


@jit
def static_cycle(s: State, t: int) -> None:
    """Routers and edge; each reads what the last cycle left and lists who is next."""
    g = s.g
    current, count = g[G.WHICH], g[G.ROUTERS]
    g[G.WHICH] = 1 - current
    g[G.ROUTERS] = 0
    port_list, ports = g[G.PORT_WHICH], g[G.PORTS]
    g[G.PORT_WHICH] = 1 - port_list
    g[G.PORTS] = 0
    g[G.REQUESTS] = 0
    if g[G.SHUFFLE] != 0:
        shuffle(s.active, current, count, g[G.SHUFFLE] + 2 * t)
        shuffle(s.port_active, port_list, ports, g[G.SHUFFLE] + 3 * t)
    requests = request_feeds(s, port_list, ports, t) if ports > 0 else 0
    if count > 0:
        router_phase(s, current, count, t)
    if requests > 0 or g[G.REQUESTS] > 0:
        edge_phase(s, requests, g[G.REQUESTS], t)


@inlined
def next_time(s: State, t: int, until: int) -> int:
    """The next cycle in which anything can happen; -1 if nothing ever can."""
    g = s.g
    if g[G.ROUTERS] > 0 or g[G.PORTS] > 0 or g[G.DYNAMICS] > 0:
        return t + 1
    for ahead in range(1, WHEEL + 1):
        if s.wheel[(t + ahead) & (WHEEL - 1)] >= 0:
            return t + ahead
    return -1


@njit(**JIT)
def run_until(s: State, until: int) -> int:
    """Step to cycle ``until`` at most; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    g = s.g
    g[G.VISITS] = 0
    if g[G.NOW] < 0:
        g[G.NOW] = 0
        start(s)
    while g[G.NOW] < until and g[G.VISITS] < MOST_VISITS:
        t = g[G.NOW]
        g[G.LOCAL] = t
        g[G.VISITS] += g[G.ROUTERS] + g[G.PORTS] + g[G.DYNAMICS]
        if s.wheel[t & (WHEEL - 1)] >= 0:
            core_phase(s, t)
        if g[G.ROUTERS] > 0 or g[G.PORTS] > 0:
            static_cycle(s, t)
        if g[G.DYNAMICS] > 0:
            current, count = g[G.DYNAMIC_WHICH], g[G.DYNAMICS]
            g[G.DYNAMIC_WHICH] = 1 - current
            g[G.DYNAMICS] = 0
            if g[G.SHUFFLE] != 0:
                shuffle(s.dyn_active, current, count, g[G.SHUFFLE] + 5 * t)
            dynamic_phase(s, current, count, t)
        if g[G.ERROR] != 0:
            return FAULTED
        following = next_time(s, t, until)
        if following < 0:
            return QUIET
        g[G.NOW] = following
    return RUNNING
