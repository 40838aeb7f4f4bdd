"""Many wavelets through a whole tree of routers at once, to cores that wait for nothing else.

A stream without switches is a tree: where its wavelets enter, the router buffers that they
pass, and the cores that take them. While the tree rests (nothing is under way in it, and every
core at it waits for its next wavelet), all cycles of the next wavelets follow from those of
the last ones: when a cell was freed, when a link was used, when a core was done. So the tree
is walked once for each wavelet, parents first, in a table that holds only these cycles, and
each core executes its rows when all cycles are known. On links that other colors share this
goes on as long as they are known to stay away.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, moved
from wsc.runtime.clocked.edge import advance, size_of
from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.clocked.routers import WHOLE, under_way
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.delivery import safe_until
from wsc.runtime.time.lookahead import alone
from wsc.runtime.time.records import LARGEST, Mode, Reason
from wsc.runtime.time.rows import settle_rows

LEAST, MOST = 8, 1024  # wavelets that are worth it, and that there is room for
WORK = 1 << 21  # wavelets at branches before the run may be interrupted
NO_TREE = -2  # a color with switches, or that leaves the fabric


@kernel
def bound_of_link(s: Machine, tile: int, side: int, slot: int, t: int) -> int:
    """Cycle until which a slot has a link for itself; 0 if that is not beyond cycle t."""
    link = tile * 6 + side
    if not alone(s, tile, side, slot, t):
        return 0
    return safe_until(s, slot, link)


@kernel
def resting_unit(s: Machine, slot: int) -> int:
    """The row of the unit that waits for the wavelets of a slot and sends none on; or -1."""
    unit = s.slots[slot].reader
    if unit < 0:
        return -1
    thread = s.slots[slot].tile * s.now[0].units + unit
    waits = s.unit[thread].reason == Reason.INPUT and s.unit[thread].what == slot
    if not waits or s.unit[thread].mode != Mode.ROWS or s.unit[thread].left <= LEAST:
        return -1
    return thread if s.forms[s.unit[thread].row].sink != 0 else -1


@kernel
def rests(s: Machine, slot: int) -> bool:
    """Whether nothing is under way at a slot, and its core, if it is sent there, waits."""
    if s.fifos[slot].count != 0:
        return False
    send = s.positions[s.slots[slot].first].send
    if (send >> RAMP) & 1 == 0:
        return send != 0
    return resting_unit(s, slot) >= 0 and s.fifos[s.slots[slot].input].count == 0


@kernel
def gather(s: Machine, root: int, t: int) -> int:
    """List the branches of a tree, parents first: how many; 0 if it does not rest."""
    s.branches[0].slot, s.branches[0].parent, count, done = root, -1, 1, 0
    while done < count:
        slot = s.branches[done].slot
        if s.unrest[slot] == NO_TREE:
            s.unrest[root] = NO_TREE
            return 0
        if not rests(s, slot) or not load(s, done, slot, t):
            s.unrest[root] = slot
            return 0
        tile, send = s.slots[slot].tile, s.positions[s.slots[slot].first].send
        if count + 4 > LARGEST:
            s.unrest[root] = NO_TREE
            return 0
        for side in range(4):
            if (send >> side) & 1:
                safe = bound_of_link(s, tile, side, slot, t)
                if safe == 0 or s.slots[slot].next[side] < 0:
                    s.unrest[root] = slot if safe == 0 else NO_TREE
                    return 0
                s.branches[count].slot, s.branches[count].parent = s.slots[slot].next[side], done
                s.branches[count].link, s.branches[count].safe = tile * 6 + side, safe
                s.branches[count].way = under_way(s, slot, side)
                count += 1
        done += 1
    return count


@kernel
def load(s: Machine, branch: int, slot: int, t: int) -> bool:
    """Fill in who takes the wavelets of a slot that rests; False if the ramp is not its own."""
    tile = s.slots[slot].tile
    s.branches[branch].unit = -1
    send = s.positions[s.slots[slot].first].send
    if (send >> RAMP) & 1:
        thread = tile * s.now[0].units + s.slots[slot].reader
        s.branches[branch].unit, s.branches[branch].rows = thread, s.unit[thread].left - 1
        s.branches[branch].cycles = s.unit[thread].cycles
        start = max(t, s.unit[thread].since) + LEAST * s.unit[thread].cycles
        s.branches[branch].ramp_safe = bound_of_link(s, tile, RAMP, slot, start)
        if s.branches[branch].ramp_safe == 0:
            return False
    return True


@kernel
def read_rings(s: Machine, branch: int, slot: int, queue: int) -> None:
    """Copy the cycles from which the cells of empty FIFOs can be filled, the next first.

    queue: the core's input queue, or -1.
    """
    into = s.branch_cells
    offset, depth, head = s.fifos[slot].offset, s.fifos[slot].depth, s.fifos[slot].head
    for place in range(depth):
        at = head + place if head + place < depth else head + place - depth
        into[branch, place] = s.cells[offset + at].time
    if queue < 0:
        return
    into = s.branch_queue
    offset, depth, head = (
        s.fifos[queue].offset,
        s.fifos[queue].depth,
        s.fifos[queue].head,
    )
    for place in range(depth):
        at = head + place if head + place < depth else head + place - depth
        into[branch, place] = s.cells[offset + at].time


@kernel
def turn_ring(s: Machine, fifo: int, count: int) -> None:
    """Move head and count of an empty FIFO behind ``count`` wavelets that have passed."""
    s.fifos[fifo].head = (s.fifos[fifo].head + count) % s.fifos[fifo].depth
    s.fifos[fifo].pushed += count


@kernel
def write_rings(s: Machine, branch: int, slot: int, queue: int, count: int) -> None:
    """The reverse of ``read_rings``, after ``count`` wavelets."""
    out = s.branch_cells
    offset, depth, head = s.fifos[slot].offset, s.fifos[slot].depth, s.fifos[slot].head
    for place in range(depth):
        at = head + place if head + place < depth else head + place - depth
        s.cells[offset + at].time = out[branch, place]
    turn_ring(s, slot, count)
    if queue < 0:
        return
    out = s.branch_queue
    offset, depth, head = (
        s.fifos[queue].offset,
        s.fifos[queue].depth,
        s.fifos[queue].head,
    )
    for place in range(depth):
        at = head + place if head + place < depth else head + place - depth
        s.cells[offset + at].time = out[branch, place]
    turn_ring(s, queue, count)


@kernel
def open_branches(s: Machine, branches: int, free: int, safe: int) -> int:
    """Set every branch to the cycles of the last wavelets; how many more its cores could take.

    free, safe: cycle from which the root takes a wavelet, and until when it may.
    """
    most, root = MOST, s.branches[0]
    root.free, root.safe, root.way, root.rest = free, safe, 1, 0
    for branch in range(branches):
        here = s.branches[branch]
        slot, thread = here.slot, here.unit
        read_rings(s, branch, slot, s.slots[slot].input if thread >= 0 else -1)
        if branch > 0:
            here.free = s.link[here.link].free
            here.rest = s.link[here.link].rest
        here.cells, here.cell = s.fifos[slot].depth, 0
        here.popped = s.fifos[slot].popped
        if thread >= 0:
            here.depth, here.next = s.fifos[s.slots[slot].input].depth, 0
            here.ramp_free = s.link[s.slots[slot].tile * 6 + RAMP].free
            here.ready = s.unit[thread].since
            most = min(most, here.rows)
    return most


@kernel
def flow(s: Machine, branches: int, most: int) -> int:
    """Let wavelets flow through the tree; how many did before one came too late for a bound.

    After fewer than ``most`` wavelets the table holds parts of one more.
    """
    ramp, limit = s.now[0].ramp, s.now[0].limit
    whole, part = s.now[0].link_cycles, s.now[0].link_rest
    for wavelet in range(most):
        for branch in range(branches):
            here = s.branches[branch]
            popped, cell, at = here.popped, here.cell, here.free
            # The cell of the wavelet before is free when that one had left on all sides.
            if wavelet > 0:
                s.branch_cells[branch, here.last] = popped + 1
            at = max(at, s.branch_cells[branch, cell])
            if here.parent >= 0:
                parent = s.branches[here.parent]
                at = max(at, parent.time)
                parent.popped = max(parent.popped, at)
            if at >= here.safe or at >= limit:
                return wavelet
            # The link is taken, if it is one: over the edge a wavelet takes a cycle.
            here.free = at + 1
            if here.parent >= 0:
                here.free = at + whole
                here.rest += part
                if here.rest >= WHOLE:
                    here.free += 1
                    here.rest -= WHOLE
            here.last = cell
            here.cell = cell + 1 if cell + 1 < here.cells else 0
            time = max(at + here.way, popped + 1)
            here.time = time
            here.popped = 0
            # Down the ramp into the core, which takes it when it has done its row.
            if here.unit >= 0:
                queue = here.next
                here.next = queue + 1 if queue + 1 < here.depth else 0
                at = max(time, here.ramp_free, s.branch_queue[branch, queue])
                ready = max(at + ramp, here.ready)
                if at >= here.ramp_safe or ready >= limit:
                    return wavelet
                here.ramp_free = at + 1
                here.popped = at
                s.branch_queue[branch, queue] = ready + 1
                here.ready = ready + here.cycles
    for branch in range(branches):
        s.branch_cells[branch, s.branches[branch].last] = s.branches[branch].popped + 1
    return most


@kernel
def close_branches(s: Machine, branches: int, count: int) -> None:
    """Write what ``count`` wavelets have changed, and let the cores execute their rows."""
    for branch in range(branches):
        slot, thread = s.branches[branch].slot, s.branches[branch].unit
        tile, bit = s.slots[slot].tile, s.slots[slot].bit
        write_rings(s, branch, slot, s.slots[slot].input if thread >= 0 else -1, count)
        s.fifos[slot].popped = s.fifos[slot].served = s.branches[branch].popped
        moved(s, s.branches[branch].popped)
        if branch > 0:
            link = s.branches[branch].link
            s.link[link].free, s.link[link].rest = s.branches[branch].free, s.branches[branch].rest
            before = s.branches[s.branches[branch].parent].slot
            s.turns[link // 6, link % 6] = s.slots[before].bit
        if thread >= 0:
            queue = s.slots[slot].input
            s.fifos[queue].popped = s.branches[branch].ready - s.branches[branch].cycles
            s.link[tile * 6 + RAMP].free = s.branches[branch].ramp_free
            s.turns[tile, RAMP] = bit
            busy = count * s.branches[branch].cycles
            stalled = s.branches[branch].ready - s.unit[thread].since - busy
            count_wait(s, tile, thread, Reason.INPUT, slot, stalled)
            s.unit[thread].left -= count
            s.unit[thread].since = s.branches[branch].ready
            row, unit = s.unit[thread].row, thread - tile * s.now[0].units
            settle_rows(s, tile, unit, thread, row, count, s.branches[branch].ready)
    s.now[0].visits += count * branches


@kernel
def through_tree(s: Machine, branches: int, free: int, safe: int, most: int) -> int:
    """How many wavelets pass a tree, ``most`` at most; 0 if too few can.

    They enter the root's buffer from cycle ``free`` on, one a cycle, before cycle ``safe``;
    the rows follow with ``close_branches``.
    """
    most = min(most, open_branches(s, branches, free, safe), max(WORK // branches, LEAST))
    done = flow(s, branches, most)
    if done < LEAST:
        return 0
    if done < most:
        open_branches(s, branches, free, safe)
        flow(s, branches, done)
    return done


@kernel
def elements_left(s: Machine, queue: int) -> int:
    """Elements of the record that an edge queue feeds, if it feeds one without lookups."""
    record = s.queues[queue].record
    shape = s.records[record].shape
    if s.shapes[shape].lookup >= 0 or s.shapes[shape].then != 0:
        return 0
    done, size = 0, 1
    for d in range(s.shapes[shape].rank):
        done = done * s.shapes[shape].extent[d] + s.queues[queue].index[d]
        size *= s.shapes[shape].extent[d]
    return (s.records[record].repeat - s.queues[queue].repeat) * size - done


@kernel
def feed_through(s: Machine, port: int, queue: int) -> None:
    """Feed a tree that rests, as long as the port is the queue's own."""
    now, root, free = s.now[0], s.queues[queue].slot, max(s.port_free[port], s.now[0].now)
    unrest, most = s.unrest[root], elements_left(s, queue)
    if most < LEAST or (unrest >= 0 and not rests(s, unrest)):
        return
    branches = gather(s, root, free + LEAST)
    if branches == 0:
        return
    safe = min(s.port_safe[port], s.port_due[port])
    count = through_tree(s, branches, free, safe, most)
    if count == 0:
        return
    size = size_of(s, queue)
    for _ in range(count):
        advance(s, queue)
    now.moved += count
    now.bytes_in += count * size
    s.port_turn[port] = s.queues[queue].bit
    s.port_free[port] = s.branches[0].free
    close_branches(s, branches, count)
