"""The loop of the engine that runs ahead: what is known is done, then the next cycle's order.

All that waits for no order (routers, ramps, units) is run to where it is blocked. Then
the earliest cycle is taken in which an order matters: contenders for a link, ports that
share the edge's bandwidth, the dynamic network, signals. Whatever follows happens in that
cycle or later, so its contenders are all known.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import schedule, unlink
from wsc.runtime.clocked.edge import edge_phase, settle
from wsc.runtime.clocked.messages import dynamic_phase
from wsc.runtime.clocked.records import MOST_VISITS
from wsc.runtime.time import own
from wsc.runtime.time.basics import (
    LATE,
    LATE_SHIFT,
    QUEUED,
    beyond,
    list_late,
    look_at,
)
from wsc.runtime.time.compiled import LIBRARY, Machine, entry, kernel
from wsc.runtime.time.flow import (
    advance_guided,
    advance_output,
    advance_plain,
    advance_port,
    link_event,
    port_event,
)
from wsc.runtime.time.records import LATE_BUCKETS, NEVER, WHEEL, Mode, Status
from wsc.runtime.time.times import head_time
from wsc.runtime.time.units import run_unit, visit_core

# Units in a row: several wavelets move at once then, and few enough tiles stay in the cache.
UNIT_TURNS = 64

LIBRARY.includes(own)


@kernel
def begin_run(s: Machine) -> None:
    """Put every main thread and every edge queue in its first state."""
    now = s.now[0]
    for queue in range(now.queues):
        settle(s, queue)
    for tile in range(now.tiles):
        if s.unit[tile * now.units].mode == Mode.FETCH:
            run_unit(s, tile, 0, tile * now.units)


@kernel
def perform(s: Machine, task: int, late: bool) -> None:
    """Let a slot, output queue, port or unit go on as far as it can; late: if all else is done."""
    now = s.now[0]
    slots = now.slots
    if task < slots:
        if s.slots[task].guided == 0:
            advance_plain(s, task, late)
        else:
            advance_guided(s, task)
    elif task < 2 * slots:
        advance_output(s, task - slots)
    elif task >= now.port_tasks:
        advance_port(s, task - now.port_tasks, late)
    else:
        thread = task - now.unit_tasks
        tile = thread // now.units
        run_unit(s, tile, thread - tile * now.units, thread)


@kernel
def next_event(s: Machine, t: int) -> int:
    """The next cycle in which an order matters, or NEVER."""
    if s.now[0].dynamics > 0:
        return t + 1
    for ahead in range(1, WHEEL + 1):
        bucket = (t + ahead) & (WHEEL - 1)
        if s.wheel[bucket] >= 0 or s.events[bucket] >= 0:
            return t + ahead
    return NEVER


@kernel
def perform_late(s: Machine, task: int) -> bool:
    """Let a task that was put off go on, unless it has done so already."""
    late = s.queued[task] & LATE
    s.queued[task] &= QUEUED
    if late != 0:
        perform(s, task, True)
    return late != 0


@kernel
def resume_slots(s: Machine, until: int) -> bool:
    """Let the slots that were put off go on that could do something up to a cycle; if any did.

    Those of the first bucket do in any case: what is due before it is there too.
    """
    now, resumed = s.now[0], False
    last = min(until >> LATE_SHIFT, now.late_floor + LATE_BUCKETS - 1)
    last = max(last, now.late_floor)
    for bucket in range(now.late_floor, last + 1):
        if until < NEVER:
            now.late_floor = min(bucket + 1, last)  # who is put off meanwhile comes after this
        slot = s.late_first[bucket & (LATE_BUCKETS - 1)]
        s.late_first[bucket & (LATE_BUCKETS - 1)] = -1
        while slot >= 0:
            following = s.late[slot]
            now.late -= 1
            due = head_time(s, slot) if s.queued[slot] & LATE != 0 else 0
            if due >> LATE_SHIFT > bucket and until < NEVER:  # it has gone on since it was listed
                list_late(s, slot, due)
            else:
                resumed = perform_late(s, slot) or resumed
            slot = following
    return resumed


@kernel
def resume_late(s: Machine) -> bool:
    """Let what was put off go on, as nothing else can before the next event; whether any did.

    Slots wait until the cycle in which they could do something; mostly more room wakes them
    before. Ports come last: they feed the more at a time, the less is under way.
    """
    now, until = s.now[0], next_event(s, s.now[0].now)
    now.visits += now.late
    if now.late == 0:
        now.late_floor = max(now.late_floor, now.now >> LATE_SHIFT)
    elif resume_slots(s, until):
        return True
    count = now.late_ports
    now.late_ports = 0
    for index in range(count):
        perform_late(s, s.late[now.slots + index])
    return count > 0


@kernel
def next_task(s: Machine) -> int:
    """Take the youngest task of a router or port, or of some units when those are done.

    What units take from their queues in a row leaves room for several wavelets at once.
    """
    now = s.now[0]
    if now.stacked == 0:
        now.unit_turns = UNIT_TURNS
    if now.units_stacked > 0 and now.unit_turns > 0:
        now.unit_turns -= 1
        task = s.tasks[now.tasks_end - now.units_stacked]
        now.units_stacked -= 1
        return task
    now.unit_turns = 0
    now.stacked -= 1
    return s.tasks[now.stacked]


@kernel
def work(s: Machine, most: int) -> bool:
    """Do what waits for no order; False if that was more than ``most`` tasks."""
    now = s.now[0]
    for _ in range(most):
        if now.visits >= MOST_VISITS:
            return False
        now.visits += 1
        if now.stacked + now.units_stacked == 0:
            if not resume_late(s):
                return True
            continue
        task = next_task(s)
        s.queued[task] &= ~QUEUED
        perform(s, task, False)
    return False


@kernel
def visit_cores(s: Machine, t: int) -> None:
    """The tiles whose units have something to do in the order of time."""
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        s.due[count] = tile
        count += 1
        tile = s.tile[tile].next
    for index in range(count):
        tile = s.due[index]
        unlink(s, tile)
        if s.tile[tile].wake > t:
            schedule(s, tile, s.tile[tile].wake)
        else:
            visit_core(s, tile, t)


@kernel
def visit_links(s: Machine, t: int) -> None:
    """The links and ports whose contenders are looked at in this cycle; then the edge."""
    now = s.now[0]
    bucket = t & (WHEEL - 1)
    node = s.events[bucket]
    s.events[bucket] = -1
    links = now.tiles * 6
    now.feeding = 0
    now.requests = 0
    while node >= 0:
        item, following, due = s.nodes[node].item, s.nodes[node].next, s.nodes[node].due
        s.nodes[node].next = now.node
        now.node = node
        node = following
        if due > t:
            look_at(s, item, due)
        elif item >= links:
            if s.port_due[item - links] == t:
                s.port_due[item - links] = NEVER
                port_event(s, item - links, t)
        elif s.link[item].due == t:
            s.link[item].due = NEVER
            link_event(s, item, t)
    if now.feeding > 0 or now.requests > 0:
        edge_phase(s, now.feeding, now.requests, t)


@entry
def run_ahead(s: Machine, most: int) -> int:
    """Run about ``most`` tasks and cycles; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    now = s.now[0]
    if now.begun == 0:
        now.begun = 1
        begin_run(s)
    now.visits = 0
    while most > 0 and now.visits < MOST_VISITS:
        before = now.stacked + now.units_stacked
        now.visits += 1
        if not work(s, most):
            return Status.RUNNING
        most -= before + 1
        t = next_event(s, now.now)
        if beyond(s, t):
            if now.error != 0:
                now.now = now.error_time
                return Status.FAULTED
            return Status.QUIET
        now.now = now.local = t
        if s.wheel[t & (WHEEL - 1)] >= 0:
            visit_cores(s, t)
        if s.events[t & (WHEEL - 1)] >= 0:
            visit_links(s, t)
        if now.dynamics > 0:
            current, count = now.dynamic_which, now.dynamics
            now.dynamic_which = 1 - current
            now.dynamics = 0
            now.visits += count
            dynamic_phase(s, current, count, t)
    return Status.RUNNING
