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
from wsc.runtime.clocked.routers import WHOLE, under_way
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import Hcol, Qcol, Rcol
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.delivery import safe_until
from wsc.runtime.time.edge import advance, size_of
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
    unit = s.slots[slot, Scol.READER]
    if unit < 0:
        return -1
    me, u = s.slots[slot, Scol.TILE] * s.now[0].units + unit, s.unit
    waits = u[me].reason == Reason.INPUT and u[me].what == slot
    if not waits or u[me].mode != Mode.ROWS or u[me].left <= LEAST:
        return -1
    return me if s.forms[u[me].row].sink != 0 else -1


@kernel
def rests(s: Machine, slot: int) -> bool:
    """Whether nothing is under way at a slot, and its core, if it is sent there, waits."""
    if s.fifos[slot, Fcol.COUNT] != 0:
        return False
    send = s.positions[s.slots[slot, Scol.FIRST], 1]
    if (send >> RAMP) & 1 == 0:
        return send != 0
    return resting_unit(s, slot) >= 0 and s.fifos[s.slots[slot, Scol.INPUT], Fcol.COUNT] == 0


@kernel
def gather(s: Machine, root: int, t: int) -> int:
    """List the branches of a tree, parents first: how many; 0 if it does not rest."""
    b, slots = s.branches, s.slots
    b[0].slot, b[0].parent, count, done = root, -1, 1, 0
    while done < count:
        slot = b[done].slot
        if s.unrest[slot] == NO_TREE:
            s.unrest[root] = NO_TREE
            return 0
        if not rests(s, slot) or not load(s, done, slot, t):
            s.unrest[root] = slot
            return 0
        tile, send = slots[slot, Scol.TILE], s.positions[slots[slot, Scol.FIRST], 1]
        if count + 4 > LARGEST:
            s.unrest[root] = NO_TREE
            return 0
        for side in range(4):
            if (send >> side) & 1:
                safe = bound_of_link(s, tile, side, slot, t)
                if safe == 0 or slots[slot, Scol.NEXT + side] < 0:
                    s.unrest[root] = slot if safe == 0 else NO_TREE
                    return 0
                b[count].slot, b[count].parent = slots[slot, Scol.NEXT + side], done
                b[count].link, b[count].safe = tile * 6 + side, safe
                b[count].way = under_way(s, slot, side)
                count += 1
        done += 1
    return count


@kernel
def load(s: Machine, branch: int, slot: int, t: int) -> bool:
    """Fill in who takes the wavelets of a slot that rests; False if the ramp is not its own."""
    b, tile = s.branches, s.slots[slot, Scol.TILE]
    b[branch].unit = -1
    send = s.positions[s.slots[slot, Scol.FIRST], 1]
    if (send >> RAMP) & 1:
        me = tile * s.now[0].units + s.slots[slot, Scol.READER]
        b[branch].unit, b[branch].rows = me, s.unit[me].left - 1
        b[branch].cycles = s.unit[me].cycles
        start = max(t, s.unit[me].since) + LEAST * s.unit[me].cycles
        b[branch].ramp_safe = bound_of_link(s, tile, RAMP, slot, start)
        if b[branch].ramp_safe == 0:
            return False
    return True


@kernel
def read_rings(s: Machine, branch: int, slot: int, queue: int) -> None:
    """Copy the cycles from which the cells of empty FIFOs can be filled, the next first.

    queue: the core's input queue, or -1.
    """
    into, fifos = s.branch_cells, s.fifos
    offset, depth, head = fifos[slot, Fcol.OFFSET], fifos[slot, Fcol.DEPTH], fifos[slot, Fcol.HEAD]
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        into[branch, k] = s.cells[offset + at].time
    if queue < 0:
        return
    into = s.branch_queue
    offset, depth, head = (
        fifos[queue, Fcol.OFFSET],
        fifos[queue, Fcol.DEPTH],
        fifos[queue, Fcol.HEAD],
    )
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        into[branch, k] = s.cells[offset + at].time


@kernel
def turn_ring(s: Machine, f: int, count: int) -> None:
    """Move head and count of an empty FIFO behind ``count`` wavelets that have passed."""
    s.fifos[f, Fcol.HEAD] = (s.fifos[f, Fcol.HEAD] + count) % s.fifos[f, Fcol.DEPTH]
    s.fifos[f, Fcol.PUSHED] += count


@kernel
def write_rings(s: Machine, branch: int, slot: int, queue: int, count: int) -> None:
    """The reverse of ``read_rings``, after ``count`` wavelets."""
    out, fifos = s.branch_cells, s.fifos
    offset, depth, head = fifos[slot, Fcol.OFFSET], fifos[slot, Fcol.DEPTH], fifos[slot, Fcol.HEAD]
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        s.cells[offset + at].time = out[branch, k]
    turn_ring(s, slot, count)
    if queue < 0:
        return
    out = s.branch_queue
    offset, depth, head = (
        fifos[queue, Fcol.OFFSET],
        fifos[queue, Fcol.DEPTH],
        fifos[queue, Fcol.HEAD],
    )
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        s.cells[offset + at].time = out[branch, k]
    turn_ring(s, queue, count)


@kernel
def open_branches(s: Machine, branches: int, free: int, safe: int) -> int:
    """Set every branch to the cycles of the last wavelets; how many more its cores could take.

    free, safe: cycle from which the root takes a wavelet, and until when it may.
    """
    b, most = s.branches, MOST
    b[0].free, b[0].safe, b[0].way, b[0].rest = free, safe, 1, 0
    for branch in range(branches):
        slot, me = b[branch].slot, b[branch].unit
        read_rings(s, branch, slot, s.slots[slot, Scol.INPUT] if me >= 0 else -1)
        if branch > 0:
            b[branch].free = s.link[b[branch].link].free
            b[branch].rest = s.link[b[branch].link].rest
        b[branch].cells, b[branch].cell = s.fifos[slot, Fcol.DEPTH], 0
        b[branch].popped = s.fifos[slot, Fcol.POPPED]
        if me >= 0:
            tile = s.slots[slot, Scol.TILE]
            queue = s.slots[slot, Scol.INPUT]
            b[branch].depth, b[branch].next = s.fifos[queue, Fcol.DEPTH], 0
            b[branch].ramp_free = s.link[tile * 6 + RAMP].free
            b[branch].ready = s.unit[me].since
            most = min(most, b[branch].rows)
    return most


@kernel
def flow(s: Machine, branches: int, most: int) -> int:
    """Let wavelets flow through the tree; how many did before one came too late for a bound.

    After fewer than ``most`` wavelets the table holds parts of one more.
    """
    b, ramp, limit = s.branches, s.now[0].ramp, s.now[0].limit
    whole, part = s.now[0].link_cycles, s.now[0].link_rest
    for k in range(most):
        for i in range(branches):
            popped, parent, at = b[i].popped, b[i].parent, b[i].free
            cell = b[i].cell
            if k > 0:
                s.branch_cells[i, b[i].last] = popped + 1
            at = max(at, s.branch_cells[i, cell])
            if parent >= 0:
                at = max(at, b[parent].time)
                b[parent].popped = max(b[parent].popped, at)
            if at >= b[i].safe or at >= limit:
                return k
            # The link is taken, if it is one: over the edge a wavelet takes a cycle.
            b[i].free = at + 1
            if parent >= 0:
                b[i].free = at + whole
                b[i].rest += part
                if b[i].rest >= WHOLE:
                    b[i].free += 1
                    b[i].rest -= WHOLE
            b[i].last = cell
            b[i].cell = cell + 1 if cell + 1 < b[i].cells else 0
            time = max(at + b[i].way, popped + 1)
            b[i].time = time
            b[i].popped = 0
            if b[i].unit >= 0:
                queue = b[i].next
                b[i].next = queue + 1 if queue + 1 < b[i].depth else 0
                at = max(time, b[i].ramp_free, s.branch_queue[i, queue])
                ready = max(at + ramp, b[i].ready)
                if at >= b[i].ramp_safe or ready >= limit:
                    return k
                b[i].ramp_free = at + 1
                b[i].popped = at
                s.branch_queue[i, queue] = ready + 1
                b[i].ready = ready + b[i].cycles
    for i in range(branches):
        s.branch_cells[i, b[i].last] = b[i].popped + 1
    return most


@kernel
def close_branches(s: Machine, branches: int, count: int) -> None:
    """Write what ``count`` wavelets have changed, and let the cores execute their rows."""
    b, fifos = s.branches, s.fifos
    for branch in range(branches):
        slot, me = b[branch].slot, b[branch].unit
        tile, bit = s.slots[slot, Scol.TILE], s.slots[slot, Scol.BIT]
        write_rings(s, branch, slot, s.slots[slot, Scol.INPUT] if me >= 0 else -1, count)
        fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = b[branch].popped
        moved(s, b[branch].popped)
        if branch > 0:
            link = b[branch].link
            s.link[link].free, s.link[link].rest = b[branch].free, b[branch].rest
            before = b[b[branch].parent].slot
            s.turns[link // 6, link % 6] = s.slots[before, Scol.BIT]
        if me >= 0:
            queue = s.slots[slot, Scol.INPUT]
            fifos[queue, Fcol.POPPED] = b[branch].ready - b[branch].cycles
            s.link[tile * 6 + RAMP].free = b[branch].ramp_free
            s.turns[tile, RAMP] = bit
            if me == tile * s.now[0].units:
                busy = count * b[branch].cycles
                s.counters[tile].input += b[branch].ready - s.unit[me].since - busy
            s.unit[me].left -= count
            s.unit[me].since = b[branch].ready
            row, unit = s.unit[me].row, me - tile * s.now[0].units
            settle_rows(s, tile, unit, me, row, count, b[branch].ready)
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
    q, record = s.queues, s.queues[queue, Qcol.RECORD]
    shape = s.records[record, Rcol.SHAPE]
    if s.shapes[shape, Hcol.LOOKUP] >= 0 or s.shapes[shape, Hcol.THEN] != 0:
        return 0
    done, size = 0, 1
    for d in range(s.shapes[shape, Hcol.RANK]):
        done = done * s.shapes[shape, Hcol.EXTENT + d] + q[queue, Qcol.INDEX + d]
        size *= s.shapes[shape, Hcol.EXTENT + d]
    return (s.records[record, Rcol.REPEAT] - q[queue, Qcol.REPEAT]) * size - done


@kernel
def feed_through(s: Machine, port: int, queue: int) -> None:
    """Feed a tree that rests, as long as the port is the queue's own."""
    now, root, free = s.now[0], s.queues[queue, Qcol.SLOT], max(s.port_free[port], s.now[0].now)
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
    s.port_turn[port] = s.queues[queue, Qcol.BIT]
    s.port_free[port] = s.branches[0].free
    close_branches(s, branches, count)
