"""The loop of the engine that runs ahead: what is known is done, then the next cycle's order.

All that waits for no order (routers, ramps, units) is run to where it is blocked. Then
the earliest cycle is taken in which an order matters: contenders for a link, ports that
share the edge's bandwidth, the dynamic network, signals. Whatever follows happens in that
cycle or later, so its contenders are all known.
"""

from __future__ import annotations

from numba import njit

from wsc.runtime.engine.dispatch import JIT, inlined, jit
from wsc.runtime.engine.kernel_common import (
    LATE,
    LATE_SHIFT,
    MOST_VISITS,
    QUEUED,
    beyond,
    list_late,
    look_at,
    schedule,
    unlink,
)
from wsc.runtime.engine.kernel_edge import edge_phase, settle
from wsc.runtime.engine.kernel_flow import (
    advance_guided,
    advance_output,
    advance_plain,
    advance_port,
    link_event,
    port_event,
)
from wsc.runtime.engine.kernel_run import FAULTED, QUIET, RUNNING
from wsc.runtime.engine.kernel_times import head_time
from wsc.runtime.engine.layout import LATE_BUCKETS, NEVER, WHEEL, G, L, Mode, State, T, U
from wsc.runtime.engine.pointer import Ask, ask_cores
from wsc.runtime.routes import Scol

# Units in a row: several wavelets move at once then, and few enough tiles stay in the cache.
UNIT_TURNS = 64


@jit
def begin_run(s: State) -> None:
    """Put every main thread and every edge queue in its first state."""
    g = s.g
    for queue in range(g[G.QUEUES]):
        settle(s, queue)
    for tile in range(g[G.TILES]):
        if s.unit[tile * g[G.UNITS], U.MODE] == Mode.FETCH:
            ask_cores(s, Ask.RUN_UNIT, tile, 0, tile * g[G.UNITS])


@jit
def perform(s: State, task: int, late: bool) -> None:
    """Let a slot, output queue, port or unit go on as far as it can; late: if all else is done."""
    g = s.g
    slots = g[G.SLOTS]
    if task < slots:
        if s.slots[task, Scol.GUIDED] == 0:
            advance_plain(s, task, late)
        else:
            advance_guided(s, task)
    elif task < 2 * slots:
        advance_output(s, task - slots)
    elif task >= g[G.PORT_TASKS]:
        advance_port(s, task - g[G.PORT_TASKS], late)
    else:
        me = task - g[G.UNIT_TASKS]
        tile = me // g[G.UNITS]
        ask_cores(s, Ask.RUN_UNIT, tile, me - tile * g[G.UNITS], me)


@inlined
def next_event(s: State, t: int) -> int:
    """The next cycle in which an order matters, or NEVER."""
    if s.g[G.DYNAMICS] > 0:
        return t + 1
    for ahead in range(1, WHEEL + 1):
        bucket = (t + ahead) & (WHEEL - 1)
        if s.wheel[bucket] >= 0 or s.events[bucket] >= 0:
            return t + ahead
    return NEVER


@jit
def perform_late(s: State, task: int) -> bool:
    """Let a task that was put off go on, unless it has done so already."""
    late = s.queued[task] & LATE
    s.queued[task] &= QUEUED
    if late != 0:
        perform(s, task, True)
    return late != 0


@jit
def resume_slots(s: State, until: int) -> bool:
    """Let the slots that were put off go on that could do something up to a cycle; if any did.

    Those of the first bucket do in any case: what is due before it is there too.
    """
    g, resumed = s.g, False
    last = min(until >> LATE_SHIFT, g[G.LATE_FLOOR] + LATE_BUCKETS - 1)
    last = max(last, g[G.LATE_FLOOR])
    for bucket in range(g[G.LATE_FLOOR], last + 1):
        if until < NEVER:
            g[G.LATE_FLOOR] = min(bucket + 1, last)  # who is put off meanwhile comes after this
        slot = s.late_first[bucket & (LATE_BUCKETS - 1)]
        s.late_first[bucket & (LATE_BUCKETS - 1)] = -1
        while slot >= 0:
            following = s.late[slot]
            g[G.LATE] -= 1
            due = head_time(s, slot) if s.queued[slot] & LATE != 0 else 0
            if due >> LATE_SHIFT > bucket and until < NEVER:  # it has gone on since it was listed
                list_late(s, slot, due)
            else:
                resumed |= perform_late(s, slot)
            slot = following
    return resumed


@jit
def resume_late(s: State) -> bool:
    """Let what was put off go on, as nothing else can before the next event; whether any did.

    Slots wait until the cycle in which they could do something; mostly more room wakes them
    before. Ports come last: they feed the more at a time, the less is under way.
    """
    g, until = s.g, next_event(s, s.g[G.NOW])
    g[G.VISITS] += g[G.LATE]
    if g[G.LATE] == 0:
        g[G.LATE_FLOOR] = max(g[G.LATE_FLOOR], g[G.NOW] >> LATE_SHIFT)
    elif resume_slots(s, until):
        return True
    count = g[G.LATE_PORTS]
    g[G.LATE_PORTS] = 0
    for index in range(count):
        perform_late(s, s.late[g[G.SLOTS] + index])
    return count > 0


@inlined
def next_task(s: State) -> int:
    """Take the youngest task of a router or port, or of some units when those are done.

    What units take from their queues in a row leaves room for several wavelets at once.
    """
    g = s.g
    if g[G.STACKED] == 0:
        g[G.UNIT_TURNS] = UNIT_TURNS
    if g[G.UNITS_STACKED] > 0 and g[G.UNIT_TURNS] > 0:
        g[G.UNIT_TURNS] -= 1
        task = s.tasks[g[G.TASKS_END] - g[G.UNITS_STACKED]]
        g[G.UNITS_STACKED] -= 1
        return int(task)
    g[G.UNIT_TURNS] = 0
    g[G.STACKED] -= 1
    return int(s.tasks[g[G.STACKED]])


@jit
def work(s: State, most: int) -> bool:
    """Do what waits for no order; False if that was more than ``most`` tasks."""
    g = s.g
    for _ in range(most):
        if g[G.VISITS] >= MOST_VISITS:
            return False
        g[G.VISITS] += 1
        if g[G.STACKED] + g[G.UNITS_STACKED] == 0:
            if not resume_late(s):
                return True
            continue
        task = next_task(s)
        s.queued[task] &= ~QUEUED
        perform(s, task, False)
    return False


@jit
def visit_cores(s: State, t: int) -> None:
    """The tiles whose units have something to do in the order of time."""
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        s.due[0, count] = tile
        count += 1
        tile = s.tile[tile, T.NEXT]
    for index in range(count):
        tile = s.due[0, index]
        unlink(s, tile)
        if s.tile[tile, T.WAKE] > t:
            schedule(s, tile, s.tile[tile, T.WAKE])
        else:
            ask_cores(s, Ask.VISIT_CORE, tile, t, 0)


@jit
def visit_links(s: State, t: int) -> None:
    """The links and ports whose contenders are looked at in this cycle; then the edge."""
    g, nodes = s.g, s.nodes
    bucket = t & (WHEEL - 1)
    node = s.events[bucket]
    s.events[bucket] = -1
    links = g[G.TILES] * 6
    g[G.FEEDING] = 0
    g[G.REQUESTS] = 0
    while node >= 0:
        item, following, due = nodes[node, 0], nodes[node, 1], nodes[node, 2]
        nodes[node, 1] = g[G.NODE]
        g[G.NODE] = node
        node = following
        if due > t:
            look_at(s, item, due)
        elif item >= links:
            if s.port_due[item - links] == t:
                s.port_due[item - links] = NEVER
                port_event(s, item - links, t)
        elif s.link[item, L.DUE] == t:
            s.link[item, L.DUE] = NEVER
            link_event(s, item, t)
    if g[G.FEEDING] > 0 or g[G.REQUESTS] > 0:
        edge_phase(s, g[G.FEEDING], g[G.REQUESTS], t)


@njit(**JIT)
def run_ahead(s: State, most: int) -> int:
    """Run about ``most`` tasks and cycles; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    g = s.g
    if g[G.BEGUN] == 0:
        g[G.BEGUN] = 1
        begin_run(s)
    g[G.VISITS] = 0
    while most > 0 and g[G.VISITS] < MOST_VISITS:
        before = g[G.STACKED] + g[G.UNITS_STACKED]
        g[G.VISITS] += 1
        if not work(s, most):
            return RUNNING
        most -= before + 1
        t = next_event(s, g[G.NOW])
        if beyond(s, t):
            if g[G.ERROR] != 0:
                g[G.NOW] = g[G.ERROR_TIME]
                return FAULTED
            return QUIET
        g[G.NOW] = g[G.LOCAL] = t
        if s.wheel[t & (WHEEL - 1)] >= 0:
            visit_cores(s, t)
        if s.events[t & (WHEEL - 1)] >= 0:
            visit_links(s, t)
        if g[G.DYNAMICS] > 0:
            current, count = g[G.DYNAMIC_WHICH], g[G.DYNAMICS]
            g[G.DYNAMIC_WHICH] = 1 - current
            g[G.DYNAMICS] = 0
            g[G.VISITS] += count
            ask_cores(s, Ask.MOVE_DYNAMIC, current, count, t)
    return RUNNING
