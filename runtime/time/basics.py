"""Compiled primitives that all phases of a cycle share: FIFOs, wake-ups, faults.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import RAMP, tail_cell
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel
from wsc.runtime.time.records import LATE_BUCKETS, NEVER, WHEEL

# Of a task: it is on a stack; it is in the list of those put off; that entry is still good.
QUEUED, LISTED, LATE = 1, 2, 4
LATE_SHIFT = 3  # slots that were put off go on together if they are due in the same 8 cycles


@kernel
def target(s: Machine, slot: int, side: int) -> int:
    """The FIFO that a link of a slot leads to; negative beyond the edge."""
    return s.slots[slot].input if side == RAMP else s.slots[slot].next[side]


@kernel
def push(s: Machine, fifo: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    cell = tail_cell(s, fifo)
    s.cells[cell].time = visible
    s.cells[cell].control = control
    s.fifos[fifo].count += 1
    s.fifos[fifo].pushed += 1


@kernel
def beyond(s: Machine, t: int) -> bool:
    """Whether cycle t is not to be simulated; notes that something could have gone on then."""
    if t < s.now[0].limit:
        return False
    if t < NEVER:
        s.now[0].parked = 1
    return True


@kernel
def enqueue(s: Machine, task: int) -> None:
    """A slot, output queue or unit may be able to go on ."""
    queued = s.queued[task]
    if queued & QUEUED == 0:
        now = s.now[0]
        s.queued[task] = queued & LISTED | QUEUED
        if now.unit_tasks <= task < now.port_tasks:
            now.units_stacked += 1
            s.tasks[now.tasks_end - now.units_stacked] = task
        else:
            s.tasks[now.stacked] = task
            now.stacked += 1


@kernel
def list_late(s: Machine, slot: int, due: int) -> None:
    """Add a slot to the buckets of those that were put off; each is in one at most."""
    floor = s.now[0].late_floor
    at = min(max(due >> LATE_SHIFT, floor), floor + LATE_BUCKETS - 1) & (LATE_BUCKETS - 1)
    s.late[slot] = s.late_first[at]
    s.late_first[at] = slot
    s.now[0].late += 1


@kernel
def put_off(s: Machine, slot: int, due: int) -> None:
    """Let a slot that is on no stack wait for its turn until cycle ``due``, or until it is woken.

    due: cycle before which it would do nothing.
    """
    queued = s.queued[slot]
    if queued & LISTED == 0:
        list_late(s, slot, due)
    s.queued[slot] = queued | LISTED | LATE


@kernel
def put_off_port(s: Machine, task: int) -> None:
    """Let a port that is on no stack wait until there is nothing else to do."""
    now, queued = s.now[0], s.queued[task]
    if queued & LISTED == 0:
        s.late[now.slots + now.late_ports] = task
        now.late_ports += 1
    s.queued[task] = queued | LISTED | LATE


@kernel
def free_stale_nodes(s: Machine) -> None:
    """Free the nodes of looks that an earlier look has replaced; a link or port keeps one.

    It can have several for one cycle: an earlier look came between and was done.
    """
    now, links = s.now[0], s.now[0].tiles * 6
    for bucket in range(WHEEL):
        node, kept = s.events[bucket], -1
        while node >= 0:
            item, following = s.nodes[node].item, s.nodes[node].next
            due = s.link[item].due if item < links else s.port_due[item - links]
            if due == s.nodes[node].due:
                s.nodes[node].next = kept
                kept = node
                note_due(s, item, -1)  # no other node is of this look
            else:
                s.nodes[node].next = now.node
                now.node = node
            node = following
        s.events[bucket] = kept
    for bucket in range(WHEEL):
        node = s.events[bucket]
        while node >= 0:
            note_due(s, s.nodes[node].item, s.nodes[node].due)
            node = s.nodes[node].next


@kernel
def note_due(s: Machine, item: int, due: int) -> None:
    """Set the cycle in which a link's or port's contenders are looked at."""
    links = s.now[0].tiles * 6
    if item < links:
        s.link[item].due = due
    else:
        s.port_due[item - links] = due


@kernel
def filled(s: Machine, slot: int) -> None:
    """Note that a router buffer holds wavelets."""
    s.occupied[s.slots[slot].tile].buffers |= 1 << s.slots[slot].bit


@LIBRARY.defines(own.emptied)
def emptied(s: Machine, slot: int) -> None:
    """Note that a router buffer holds none."""
    s.occupied[s.slots[slot].tile].buffers &= ~(1 << s.slots[slot].bit)


@kernel
def look_at(s: Machine, item: int, due: int) -> None:
    """Look at a link's or port's contenders in cycle ``due``; see ``flow``."""
    now = s.now[0]
    if now.node < 0:
        free_stale_nodes(s)
    node = now.node
    now.node = s.nodes[node].next
    horizon = now.now + WHEEL - 1
    bucket = (due if due < horizon else horizon) & (WHEEL - 1)
    s.nodes[node].item = item
    s.nodes[node].next = s.events[bucket]
    s.nodes[node].due = due
    s.events[bucket] = node


@kernel
def look_at_port(s: Machine, port: int, due: int) -> None:
    """Look at the queues of a port in cycle ``due``, if not earlier."""
    if s.port_due[port] > due:
        s.port_due[port] = due
        look_at(s, s.now[0].tiles * 6 + port, due)


@kernel
def look_at_link(s: Machine, link: int, due: int) -> None:
    """Look at the contenders of a link in cycle ``due``, if not earlier."""
    if s.link[link].due > due:
        s.link[link].due = due
        look_at(s, link, due)


@LIBRARY.defines(own.ready)
def ready(s: Machine, slot: int) -> None:
    """The head of a router's input buffer may be able to move."""
    filled(s, slot)
    enqueue(s, slot)


@LIBRARY.defines(own.wake_feed)
def wake_feed(s: Machine, queue: int) -> None:
    """An edge queue may be able to feed."""
    enqueue(s, s.now[0].port_tasks + s.queues[queue].port)


@LIBRARY.defines(own.wake_output)
def wake_output(s: Machine, slot: int) -> None:
    """The head of a core's output queue may be able to enter the router."""
    enqueue(s, s.now[0].slots + slot)
