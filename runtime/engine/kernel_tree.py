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

from wsc.runtime.engine.dispatch import inlined, jit
from wsc.runtime.engine.kernel_common import RAMP, moved
from wsc.runtime.engine.kernel_deliver import safe_until
from wsc.runtime.engine.kernel_edge import advance, fetch, offset, size_of
from wsc.runtime.engine.kernel_lookahead import alone
from wsc.runtime.engine.layout import B, C, F, G, L, Mode, Reason, State, U
from wsc.runtime.engine.pointer import Ask, ask_cores
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import Hcol, Qcol, Rcol

LEAST, MOST = 8, 1024  # wavelets that are worth it, and that there is room for
LARGEST = 1 << 16  # branches of a tree
WORK = 1 << 21  # wavelets at branches before the run may be interrupted
LONGEST = 1 << 14  # steps of a row at a branch; an interrupt is heard after all rows
DEEPEST = B.QUEUE - B.CELLS  # FIFO that a branch has room for
NO_TREE = -2  # a color with switches, or that leaves the fabric


@jit
def bound_of_link(s: State, tile: int, side: int, slot: int, t: int) -> int:
    """Cycle until which a slot has a link for itself; 0 if that is not beyond cycle t."""
    link = tile * 6 + side
    if not alone(s, tile, side, slot, t):
        return 0
    return safe_until(s, slot, link)


@inlined
def resting_unit(s: State, slot: int) -> int:
    """The row of the unit that waits for the wavelets of a slot and sends none on; or -1."""
    unit = s.slots[slot, Scol.READER]
    if unit < 0:
        return -1
    me, u = s.slots[slot, Scol.TILE] * s.g[G.UNITS] + unit, s.unit
    waits = u[me, U.REASON] == Reason.INPUT and u[me, U.WHAT] == slot
    if not waits or u[me, U.MODE] != Mode.ROWS or u[me, U.LEFT] <= LEAST:
        return -1
    if u[me, U.STEPS] > LONGEST:
        return -1
    return me if s.forms[u[me, U.ROW], F.SINK] != 0 else -1


@jit
def rests(s: State, slot: int) -> bool:
    """Whether nothing is under way at a slot, and its core, if it is sent there, waits."""
    if s.fifos[slot, Fcol.COUNT] != 0:
        return False
    send = s.positions[s.slots[slot, Scol.FIRST], 1]
    if (send >> RAMP) & 1 == 0:
        return send != 0
    return resting_unit(s, slot) >= 0 and s.fifos[s.slots[slot, Scol.INPUT], Fcol.COUNT] == 0


@jit
def gather(s: State, root: int, t: int) -> int:
    """List the branches of a tree, parents first: how many; 0 if it does not rest."""
    b, slots = s.branches, s.slots
    b[0, B.SLOT], b[0, B.PARENT], count, done = root, -1, 1, 0
    while done < count:
        slot = b[done, B.SLOT]
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
                b[count, B.SLOT], b[count, B.PARENT] = slots[slot, Scol.NEXT + side], done
                b[count, B.LINK], b[count, B.SAFE] = tile * 6 + side, safe
                count += 1
        done += 1
    return count


@jit
def load(s: State, branch: int, slot: int, t: int) -> bool:
    """Fill in who takes the wavelets of a slot that rests; False if the ramp is not its own."""
    b, tile = s.branches, s.slots[slot, Scol.TILE]
    b[branch, B.UNIT] = -1
    send = s.positions[s.slots[slot, Scol.FIRST], 1]
    if (send >> RAMP) & 1:
        me = tile * s.g[G.UNITS] + s.slots[slot, Scol.READER]
        b[branch, B.UNIT], b[branch, B.ROWS] = me, s.unit[me, U.LEFT] - 1
        b[branch, B.CYCLES] = s.unit[me, U.CYCLES]
        start = max(t, s.unit[me, U.SINCE]) + LEAST * s.unit[me, U.CYCLES]
        b[branch, B.RAMP_SAFE] = bound_of_link(s, tile, RAMP, slot, start)
        if b[branch, B.RAMP_SAFE] == 0:
            return False
    return True


@inlined
def read_ring(s: State, branch: int, column: int, f: int) -> None:
    """Copy the cycles from which the cells of an empty FIFO can be filled, the next first."""
    offset, depth, head = s.fifos[f, Fcol.OFFSET], s.fifos[f, Fcol.DEPTH], s.fifos[f, Fcol.HEAD]
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        s.branches[branch, column + k] = s.cells[offset + at, 0]


@inlined
def write_ring(s: State, branch: int, column: int, f: int, count: int) -> None:
    """The reverse of ``read_ring``, after ``count`` wavelets."""
    offset, depth, head = s.fifos[f, Fcol.OFFSET], s.fifos[f, Fcol.DEPTH], s.fifos[f, Fcol.HEAD]
    for k in range(depth):
        at = head + k if head + k < depth else head + k - depth
        s.cells[offset + at, 0] = s.branches[branch, column + k]
    s.fifos[f, Fcol.HEAD] = (head + count) % depth
    s.fifos[f, Fcol.PUSHED] += count


@jit
def open_branches(s: State, branches: int, free: int, safe: int) -> int:
    """Set every branch to the cycles of the last wavelets; how many more its cores could take.

    free, safe: cycle from which the root takes a wavelet, and until when it may.
    """
    b, most = s.branches, MOST
    b[0, B.FREE], b[0, B.SAFE] = free, safe
    for branch in range(branches):
        slot, me = b[branch, B.SLOT], b[branch, B.UNIT]
        read_ring(s, branch, B.CELLS, slot)
        if branch > 0:
            b[branch, B.FREE] = s.link[b[branch, B.LINK], L.FREE]
        b[branch, B.POPPED] = s.fifos[slot, Fcol.POPPED]
        if me >= 0:
            tile = s.slots[slot, Scol.TILE]
            queue = s.slots[slot, Scol.INPUT]
            read_ring(s, branch, B.QUEUE, queue)
            b[branch, B.DEPTH], b[branch, B.NEXT] = s.fifos[queue, Fcol.DEPTH], 0
            b[branch, B.RAMP_FREE] = s.link[tile * 6 + RAMP, L.FREE]
            b[branch, B.READY] = s.unit[me, U.SINCE]
            most = min(most, b[branch, B.ROWS])
    return most


@jit
def flow(s: State, branches: int, most: int) -> int:
    """Let wavelets flow through the tree; how many did before one came too late for a bound.

    All router buffers have one depth. After fewer than ``most`` wavelets the table holds parts of
    one more.
    """
    b, hop, limit = s.branches, s.g[G.RAMP], s.g[G.LIMIT]
    depth = s.fifos[b[0, B.SLOT], Fcol.DEPTH]
    cell, last = 0, depth - 1
    for k in range(most):
        for i in range(branches):
            popped, parent, at = b[i, B.POPPED], b[i, B.PARENT], b[i, B.FREE]
            if k > 0:
                b[i, B.CELLS + last] = popped + 1
            at = max(at, b[i, B.CELLS + cell])
            if parent >= 0:
                at = max(at, b[parent, B.TIME])
                b[parent, B.POPPED] = max(b[parent, B.POPPED], at)
            if at >= b[i, B.SAFE] or at >= limit:
                return k
            b[i, B.FREE] = at + 1
            time = max(at + 1, popped + 1)
            b[i, B.TIME] = time
            b[i, B.POPPED] = 0
            if b[i, B.UNIT] >= 0:
                queue = b[i, B.NEXT]
                b[i, B.NEXT] = queue + 1 if queue + 1 < b[i, B.DEPTH] else 0
                at = max(time, b[i, B.RAMP_FREE], b[i, B.QUEUE + queue])
                ready = max(at + hop, b[i, B.READY])
                if at >= b[i, B.RAMP_SAFE] or ready >= limit:
                    return k
                b[i, B.RAMP_FREE] = at + 1
                b[i, B.POPPED] = at
                b[i, B.QUEUE + queue] = ready + 1
                b[i, B.READY] = ready + b[i, B.CYCLES]
        last = cell
        cell = cell + 1 if cell + 1 < depth else 0
    for i in range(branches):
        b[i, B.CELLS + last] = b[i, B.POPPED] + 1
    return most


@jit
def close_branches(s: State, branches: int, count: int) -> None:
    """Write what ``count`` wavelets have changed, and let the cores execute their rows."""
    b, fifos = s.branches, s.fifos
    for branch in range(branches):
        slot, me = b[branch, B.SLOT], b[branch, B.UNIT]
        tile, bit = s.slots[slot, Scol.TILE], s.slots[slot, Scol.BIT]
        write_ring(s, branch, B.CELLS, slot, count)
        fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = b[branch, B.POPPED]
        moved(s, b[branch, B.POPPED])
        if branch > 0:
            link = b[branch, B.LINK]
            s.link[link, L.FREE] = b[branch, B.FREE]
            before = b[b[branch, B.PARENT], B.SLOT]
            s.turns[link // 6, link % 6] = s.slots[before, Scol.BIT]
        if me >= 0:
            queue = s.slots[slot, Scol.INPUT]
            write_ring(s, branch, B.QUEUE, queue, count)
            fifos[queue, Fcol.POPPED] = b[branch, B.READY] - b[branch, B.CYCLES]
            s.link[tile * 6 + RAMP, L.FREE] = b[branch, B.RAMP_FREE]
            s.turns[tile, RAMP] = bit
            if me == tile * s.g[G.UNITS]:
                busy = count * b[branch, B.CYCLES]
                s.counters[tile, C.INPUT] += b[branch, B.READY] - s.unit[me, U.SINCE] - busy
            s.unit[me, U.LEFT] -= count
            s.unit[me, U.SINCE] = b[branch, B.READY]
            ask_cores(s, Ask.TAKE_VALUES, tile, me, count)
    s.g[G.VISITS] += count * branches


@jit
def through_tree(s: State, branches: int, free: int, safe: int, most: int) -> int:
    """How many wavelets pass a tree, ``most`` at most; 0 if too few can.

    They enter the root's buffer from cycle ``free`` on, one a cycle, before cycle ``safe``;
    the rows follow with ``close_branches``, when the values are known.
    """
    most = min(most, open_branches(s, branches, free, safe), max(WORK // branches, LEAST))
    done = flow(s, branches, most)
    if done < LEAST:
        return 0
    if done < most:
        open_branches(s, branches, free, safe)
        flow(s, branches, done)
    return done


@inlined
def elements_left(s: State, queue: int) -> int:
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


@jit
def feed_through(s: State, port: int, queue: int) -> None:
    """Feed a tree that rests, as long as the port is the queue's own."""
    g, root, free = s.g, s.queues[queue, Qcol.SLOT], max(s.port_free[port], s.g[G.NOW])
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
    tensor = s.shapes[s.records[s.queues[queue, Qcol.RECORD], Rcol.SHAPE], Hcol.TENSOR]
    for k in range(count):
        s.values[k] = fetch(s, tensor, offset(s, queue))
        advance(s, queue)
    g[G.MOVED] += count
    g[G.BYTES_IN] += count * size
    s.port_turn[port] = s.queues[queue, Qcol.BIT]
    s.port_free[port] = s.branches[0, B.FREE]
    close_branches(s, branches, count)
