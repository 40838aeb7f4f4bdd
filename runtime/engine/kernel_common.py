"""Compiled primitives that all phases of a cycle share: FIFOs, wake-ups, faults.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

import numpy as np

from wsc.runtime.engine.dispatch import inlined, int32, int64, jit
from wsc.runtime.engine.layout import LATE_BUCKETS, NEVER, WHEEL, Fault, G, L, Reason, State, T, U
from wsc.runtime.routes import Fcol, Scol

RAMP = 4
# Of a task: it is on a stack; it is in the list of those put off; that entry is still good.
QUEUED, LISTED, LATE = 1, 2, 4
LATE_SHIFT = 3  # slots that were put off go on together if they are due in the same 8 cycles
MOST_VISITS = 200_000  # before a loop returns, whatever the cycle: an interrupt must be heard


@jit
def fault(s: State, code: Fault, tile: int, unit: int, row: int, a: int, b: int) -> None:
    """Stop the run at the end of this cycle.

    Of several faults the first cycle's counts, then the first tile's; at a tile the core's comes
    before those of the edge, and those in the order of the transfers. So the engines, which meet
    them in other orders, tell of the same one.
    """
    g = s.g
    time = g[G.LOCAL]
    turn = row + 1 if code == Fault.LOOKUP else 0
    sooner = g[G.ERROR] == 0 or time < g[G.ERROR_TIME]
    if not sooner and time == g[G.ERROR_TIME]:
        same = tile == g[G.ERROR_TILE]
        sooner = tile < g[G.ERROR_TILE] or (same and turn < g[G.ERROR_TURN])
    if sooner:
        g[G.ERROR] = code
        g[G.ERROR_TIME] = time
        g[G.LIMIT] = min(g[G.LIMIT], time + 1)
        g[G.ERROR_TILE] = tile
        g[G.ERROR_UNIT] = unit
        g[G.ERROR_TURN] = turn
        g[G.ERROR_ROW] = row
        g[G.ERROR_A] = a
        g[G.ERROR_B] = b


@inlined
def delay(seed: int, where: int, count: int) -> int:
    """Random extra cycles, a hash of the seed, the place and how many passed before."""
    if seed == 0:
        return 0
    h = int64(seed) * 0x1E3779B97F4A7C15 + int64(where) * 0x2545F4914F6CDD1D + int64(count)
    h = (h ^ ((h >> 30) & 0x3FFFFFFFF)) * 0x3F58476D1CE4E5B9
    h = (h ^ ((h >> 27) & 0x1FFFFFFFFF)) * 0x14D049BB133111EB
    h = (h >> 31) & 0x7FFFFFFF
    if h & 3 != 0:
        return 0
    return (h >> 5) & 7


@inlined
def head_cell(fifos: np.ndarray, f: int) -> int:
    """The cell of the oldest wavelet."""
    return fifos[f, Fcol.OFFSET] + fifos[f, Fcol.HEAD]


@inlined
def tail_cell(fifos: np.ndarray, f: int) -> int:
    """The cell that is filled next; of a full FIFO the head's."""
    cell = fifos[f, Fcol.HEAD] + fifos[f, Fcol.COUNT]
    if cell >= fifos[f, Fcol.DEPTH]:
        cell -= fifos[f, Fcol.DEPTH]
    return fifos[f, Fcol.OFFSET] + cell


@inlined
def value_in(s: State, cell: int) -> int:
    """The 32 bits of a wavelet, as a signed number."""
    return int64(int32(s.cells[cell, 1]))


@inlined
def control_in(s: State, cell: int) -> int:
    """What a control wavelet asks for; 0 for data."""
    return s.cells[cell, 1] >> 32


@inlined
def target(s: State, slot: int, side: int) -> int:
    """The FIFO that a link of a slot leads to; negative beyond the edge."""
    return s.slots[slot, Scol.INPUT] if side == RAMP else s.slots[slot, Scol.NEXT + side]


@inlined
def room(s: State, f: int, t: int) -> bool:
    """Whether the state before cycle t has a free cell and accepts."""
    fifos = s.fifos
    if fifos[f, Fcol.COUNT] >= fifos[f, Fcol.DEPTH] or t < fifos[f, Fcol.OPEN]:
        return False
    return s.cells[tail_cell(fifos, f), 0] <= t


@inlined
def push(s: State, f: int, value: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    fifos = s.fifos
    cell = tail_cell(fifos, f)
    s.cells[cell, 0] = visible
    s.cells[cell, 1] = int64(value) & 0xFFFFFFFF | int64(control) << 32
    fifos[f, Fcol.COUNT] += 1
    fifos[f, Fcol.PUSHED] += 1


@inlined
def pop(s: State, f: int, t: int) -> None:
    """Drop the head in cycle t; its cell is free from the next on."""
    fifos = s.fifos
    s.cells[head_cell(fifos, f), 0] = t + 1
    head = fifos[f, Fcol.HEAD] + 1
    fifos[f, Fcol.HEAD] = 0 if head == fifos[f, Fcol.DEPTH] else head
    fifos[f, Fcol.COUNT] -= 1
    fifos[f, Fcol.POPPED] = t


@jit
def activate(s: State, tile: int) -> None:
    """Put a tile on the list of routers to visit in the next cycle."""
    if s.tile[tile, T.LISTED] == 0:
        s.tile[tile, T.LISTED] = 1
        which = s.g[G.WHICH]
        s.active[which, s.g[G.ROUTERS]] = tile
        s.g[G.ROUTERS] += 1


@jit
def activate_port(s: State, port: int) -> None:
    """Put an edge port on the list of feeding ports."""
    if s.port_listed[port] == 0:
        s.port_listed[port] = 1
        s.port_active[s.g[G.PORT_WHICH], s.g[G.PORTS]] = port
        s.g[G.PORTS] += 1


@inlined
def beyond(s: State, t: int) -> bool:
    """Whether cycle t is not to be simulated; notes that something could have gone on then."""
    if t < s.g[G.LIMIT]:
        return False
    if t < NEVER:
        s.g[G.PARKED] = 1
    return True


@jit
def enqueue(s: State, task: int) -> None:
    """A slot, output queue or unit may be able to go on (the engine that runs ahead)."""
    queued = s.queued[task]
    if queued & QUEUED == 0:
        g = s.g
        s.queued[task] = queued & LISTED | QUEUED
        if g[G.UNIT_TASKS] <= task < g[G.PORT_TASKS]:
            g[G.UNITS_STACKED] += 1
            s.tasks[g[G.TASKS_END] - g[G.UNITS_STACKED]] = task
        else:
            s.tasks[g[G.STACKED]] = task
            g[G.STACKED] += 1


@inlined
def list_late(s: State, slot: int, due: int) -> None:
    """Add a slot to the buckets of those that were put off; each is in one at most."""
    floor = s.g[G.LATE_FLOOR]
    at = min(max(due >> LATE_SHIFT, floor), floor + LATE_BUCKETS - 1) & (LATE_BUCKETS - 1)
    s.late[slot] = s.late_first[at]
    s.late_first[at] = slot
    s.g[G.LATE] += 1


@jit
def put_off(s: State, slot: int, due: int) -> None:
    """Let a slot that is on no stack wait for its turn until cycle ``due``, or until it is woken.

    due: cycle before which it would do nothing.
    """
    queued = s.queued[slot]
    if queued & LISTED == 0:
        list_late(s, slot, due)
    s.queued[slot] = queued | LISTED | LATE


@jit
def put_off_port(s: State, task: int) -> None:
    """Let a port that is on no stack wait until there is nothing else to do."""
    g, queued = s.g, s.queued[task]
    if queued & LISTED == 0:
        s.late[g[G.SLOTS] + g[G.LATE_PORTS]] = task
        g[G.LATE_PORTS] += 1
    s.queued[task] = queued | LISTED | LATE


@jit
def free_stale_nodes(s: State) -> None:
    """Free the nodes of looks that an earlier look has replaced."""
    g, nodes, links = s.g, s.nodes, s.g[G.TILES] * 6
    for bucket in range(WHEEL):
        node, kept = s.events[bucket], -1
        while node >= 0:
            item, following = nodes[node, 0], nodes[node, 1]
            due = s.link[item, L.DUE] if item < links else s.port_due[item - links]
            if due == nodes[node, 2]:
                nodes[node, 1] = kept
                kept = node
            else:
                nodes[node, 1] = g[G.NODE]
                g[G.NODE] = node
            node = following
        s.events[bucket] = kept


@inlined
def filled(s: State, slot: int) -> None:
    """Note that a router buffer holds wavelets."""
    s.occupied[s.slots[slot, Scol.TILE], 0] |= 1 << s.slots[slot, Scol.BIT]


@inlined
def emptied(s: State, slot: int) -> None:
    """Note that a router buffer holds none."""
    s.occupied[s.slots[slot, Scol.TILE], 0] &= ~(1 << s.slots[slot, Scol.BIT])


@jit
def look_at(s: State, item: int, due: int) -> None:
    """Look at a link's or port's contenders in cycle ``due``; see ``kernel_flow``."""
    g = s.g
    if g[G.NODE] < 0:
        free_stale_nodes(s)
    node = g[G.NODE]
    g[G.NODE] = s.nodes[node, 1]
    horizon = g[G.NOW] + WHEEL - 1
    bucket = (due if due < horizon else horizon) & (WHEEL - 1)
    s.nodes[node, 0] = item
    s.nodes[node, 1] = s.events[bucket]
    s.nodes[node, 2] = due
    s.events[bucket] = node


@jit
def look_at_port(s: State, port: int, due: int) -> None:
    """Look at the queues of a port in cycle ``due``, if not earlier."""
    if s.port_due[port] > due:
        s.port_due[port] = due
        look_at(s, s.g[G.TILES] * 6 + port, due)


@jit
def look_at_link(s: State, link: int, due: int) -> None:
    """Look at the contenders of a link in cycle ``due``, if not earlier."""
    if s.link[link, L.DUE] > due:
        s.link[link, L.DUE] = due
        look_at(s, link, due)


@jit
def ready(s: State, slot: int) -> None:
    """The head of a router buffer may be able to move."""
    if s.g[G.AHEAD] != 0:
        filled(s, slot)
        enqueue(s, slot)
        return
    tile = s.slots[slot, Scol.TILE]
    s.tile[tile, T.READY] |= 1 << s.slots[slot, Scol.BIT]
    activate(s, tile)


@jit
def wake_feed(s: State, queue: int) -> None:
    """An edge queue may be able to feed."""
    port = s.queues[queue, 0]
    if s.g[G.AHEAD] != 0:
        enqueue(s, s.g[G.PORT_TASKS] + port)
        return
    s.port_mask[port] |= 1 << s.queues[queue, 2]
    activate_port(s, port)


@jit
def wake_upstream(s: State, slot: int) -> None:
    """A router buffer has room or accepts from another side: whoever feeds it may move."""
    slots = s.slots
    position = slots[slot, Scol.FIRST] + slots[slot, Scol.POSITION]
    side = s.positions[position, 0]
    if side == RAMP:
        if s.g[G.AHEAD] != 0:
            enqueue(s, s.g[G.SLOTS] + slot)
            return
        tile = slots[slot, Scol.TILE]
        s.tile[tile, T.RISING] |= 1 << slots[slot, Scol.BIT]
        activate(s, tile)
        return
    before = slots[slot, Scol.NEXT + side]
    if before >= 0:
        if s.fifos[before, Fcol.COUNT] > 0:
            ready(s, before)
    elif -(1 << 30) < before <= -2:
        wake_feed(s, -2 - before)


@jit
def unlink(s: State, tile: int) -> None:
    """Take a tile out of the timing wheel."""
    bucket = s.tile[tile, T.BUCKET]
    if bucket >= 0:
        after, before = s.tile[tile, T.NEXT], s.tile[tile, T.PREVIOUS]
        if before >= 0:
            s.tile[before, T.NEXT] = after
        else:
            s.wheel[bucket] = after
        if after >= 0:
            s.tile[after, T.PREVIOUS] = before
        s.tile[tile, T.BUCKET] = -1


@jit
def schedule(s: State, tile: int, time: int) -> None:
    """Visit a tile's units in cycle ``time``, if not earlier."""
    if s.tile[tile, T.BUCKET] >= 0 and s.tile[tile, T.WAKE] <= time:
        return
    unlink(s, tile)
    s.tile[tile, T.WAKE] = time
    horizon = s.g[G.NOW] + WHEEL - 1
    bucket = (time if time < horizon else horizon) & (WHEEL - 1)
    first = s.wheel[bucket]
    s.tile[tile, T.NEXT] = first
    s.tile[tile, T.PREVIOUS] = -1
    s.tile[tile, T.BUCKET] = bucket
    if first >= 0:
        s.tile[first, T.PREVIOUS] = tile
    s.wheel[bucket] = tile


@jit
def wake_unit(s: State, tile: int, unit: int, time: int) -> None:
    """End a unit's wait in cycle ``time``; it then looks again."""
    row = tile * s.g[G.UNITS] + unit
    if s.unit[row, U.WAKE] > time:
        s.unit[row, U.WAKE] = time
        schedule(s, tile, time)


@inlined
def fold(s: State, semaphore: int, t: int) -> None:
    """Make the additions of earlier cycles visible."""
    if s.semaphores[semaphore, 2] < t:
        s.semaphores[semaphore, 0] += s.semaphores[semaphore, 1]
        s.semaphores[semaphore, 1] = 0


@jit
def add_semaphore(s: State, tile: int, number: int, count: int, t: int) -> None:
    """Add to a semaphore at the end of cycle t."""
    semaphore = tile * s.g[G.SEMAPHORES] + number
    fold(s, semaphore, t)
    s.semaphores[semaphore, 1] += count
    s.semaphores[semaphore, 2] = t
    main = tile * s.g[G.UNITS]
    if s.unit[main, U.REASON] == Reason.SEMAPHORE and s.unit[main, U.WHAT] == number:
        wake_unit(s, tile, 0, t + 1)


@jit
def block(s: State, me: int, reason: Reason, what: int, t: int) -> None:
    """Wait until woken; the cycles from t on count for the reason."""
    s.unit[me, U.REASON] = reason
    s.unit[me, U.WHAT] = what
    s.unit[me, U.SINCE] = t
    s.unit[me, U.WAKE] = NEVER


@inlined
def moved(s: State, t: int) -> None:
    """Note that something happened in cycle t."""
    s.g[G.LAST] = max(s.g[G.LAST], t)
