"""Routers of the colors whose routes change: they hand on runs of wavelets, not wavelets.

A run is a stretch of a stream between two control wavelets, or one control wavelet. What a
router does with it depends on its switch position alone; so runs move as wavelets would, and
a multicast copies the description of a run, never the run. Where a run reaches a core or the
edge, its wavelets are copied into a stream of arrivals, which is read as any other.
"""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.routes import NOWHERE, Scol
from wsc.runtime.schedule import FEED, Hcol, Qcol
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.values.compiled import Machine, kernel
from wsc.runtime.values.edge import CHUNK, feed, pass_control, shape_of
from wsc.runtime.values.records import UNKNOWN, WINDS
from wsc.runtime.values.streams import first_needed, reserve, too_far_ahead, wake_readers

ADVANCE, RESET = CONTROL_INDEX[Control.ADVANCE], CONTROL_INDEX[Control.RESET]
RAMP, FROM_CORE = 4, 5
MOST_NEW = 8  # runs that a router makes in one step, and some
TILE, COLOR, NEXT = int(Scol.TILE), int(Scol.COLOR), int(Scol.NEXT)
FIRST, POSITIONS = int(Scol.FIRST), int(Scol.POSITIONS)
SLOT, PORT, STATE = int(Qcol.SLOT), int(Qcol.PORT), int(Qcol.STATE)
THEN, FINAL, DIRECTION = int(Hcol.THEN), int(Hcol.FINAL), int(Hcol.DIRECTION)


@kernel
def list_router(m: Machine, slot: int) -> None:
    """A router may have something to do."""
    if m.routers[slot].listed == 0:
        m.routers[slot].listed = 1
        m.listed[m.now[0].listed] = slot
        m.now[0].listed += 1


@kernel
def new_run(m: Machine, stream: int, lane: int, start: int, count: int, control: int) -> int:
    """A run from the pool; -1 if the pool is used up."""
    now = m.now
    number = now[0].free_run
    if number >= 0:
        now[0].free_run = m.runs[number].next
    else:
        number = now[0].runs_used
        now[0].runs_used += 1
    m.runs[number].stream, m.runs[number].lane = stream, lane
    m.runs[number].start, m.runs[number].count = start, count
    m.runs[number].control, m.runs[number].next = control, -1
    if stream >= 0:
        m.streams[stream].held += 1
    return number


@kernel
def append(m: Machine, slot: int, run: int) -> None:
    """Put a run into a router's buffer."""
    last = m.routers[slot].last
    if m.routers[slot].first < 0:
        end_leaps(m, slot)
        m.routers[slot].first = run
    else:
        m.runs[last].next = run
    m.routers[slot].last = run
    if m.runs[run].control != 0:
        m.routers[slot].closed = 1
    list_router(m, slot)


@kernel
def drop(m: Machine, run: int) -> None:
    """Give a run back to the pool."""
    if m.runs[run].stream >= 0:
        m.streams[m.runs[run].stream].held -= 1
    m.runs[run].next = m.now[0].free_run
    m.now[0].free_run = run


@kernel
def send_run(
    m: Machine, slot: int, stream: int, lane: int, start: int, count: int, control: int
) -> None:
    """A core puts a run, or a control wavelet, into its output queue."""
    run = new_run(m, stream, lane, start, count, control)
    if m.routers[slot].out_first < 0:
        m.routers[slot].out_first = run
    else:
        m.runs[m.routers[slot].out_last].next = run
    m.routers[slot].out_last = run
    list_router(m, slot)


@kernel
def accepts(m: Machine, slot: int, side: int) -> bool:
    """Whether a router's buffer takes from a side now."""
    if m.routers[slot].closed != 0:
        return False
    return m.positions[m.slots[slot, FIRST] + m.routers[slot].position, 0] == side


@kernel
def arrive(m: Machine, stream: int, lane: int, run: int) -> bool:
    """Copy a run to the end of a stream of arrivals; False while that is too far ahead."""
    r = m.runs[run]
    if too_far_ahead(m, stream, lane, r.count):
        m.now[0].blocked = 1
        return False
    first = m.streams[stream].first
    if not reserve(m, stream, m.written[first + lane] + r.count):
        return False
    there, here = m.streams[stream], m.streams[r.stream]
    target = there.address + (m.written[first + lane] - there.base) * there.lanes + lane
    start = here.address + (r.start - here.base) * here.lanes + r.lane
    for i in range(r.count):
        m.words[target + i * there.lanes] = m.words[start + i * here.lanes]
    m.written[first + lane] += r.count
    wake_readers(m, stream)
    return True


@kernel
def straighten(m: Machine, slot: int) -> int:
    """Find out, and note, the slot to which a router hands on as its switch stands.

    It is ``WINDS`` where there are several, the core or the edge, or where the one beyond takes
    from another side.
    """
    position, width = m.routers[slot].position, m.now[0].width
    send, side = m.positions[m.slots[slot, FIRST] + position, 1], 0
    while side < 4 and send != 1 << side:
        side += 1
    beyond = m.slots[slot, NEXT + side] if side < 4 else WINDS
    if beyond >= 0:
        there = m.slots[beyond, FIRST] + m.routers[beyond].position
        if m.positions[there, 0] != (side + 2) & 3:
            beyond = WINDS
    tile, line = m.slots[slot, TILE], m.slots[slot, COLOR] * (width + m.now[0].height)
    m.routers[slot].line = line + (tile % width if side & 1 == 0 else width + tile // width)
    m.routers[slot].side = side
    m.routers[slot].settled = position == m.slots[slot, POSITIONS] - 1
    m.routers[slot].straight = max(beyond, WINDS)
    return max(beyond, WINDS)


@kernel
def end_leaps(m: Machine, slot: int) -> None:
    """A router does more than hand on from now on: nothing leaps over it any more."""
    if m.routers[slot].straight >= 0:
        m.lines[m.routers[slot].line] += 1


@kernel
def switch(m: Machine, slot: int, position: int) -> None:
    """Turn a router's switch; its neighbours may no longer be taken from, or now be."""
    end_leaps(m, slot)
    m.routers[slot].position = position
    m.routers[slot].straight = UNKNOWN
    for side in range(4):
        beyond = m.slots[slot, NEXT + side]
        if beyond >= 0 and m.routers[beyond].straight != UNKNOWN:
            before, line = m.routers[beyond].straight, m.routers[beyond].line
            if straighten(m, beyond) != before and before >= 0:
                m.lines[line] += 1


@kernel
def pass_through(m: Machine, slot: int, count: int, control: int) -> int:
    """Follow a run through empty routers that only hand it on; the first that does not.

    A way that was followed before is leapt over, so a run that crosses a whole column costs
    little: along it nothing has changed while the number of its line has not.
    """
    routers, wavelets, first, leaps, even = m.routers, max(count, 1), slot, 0, True
    while routers[slot].first < 0:
        beyond = routers[slot].straight
        if beyond == UNKNOWN:
            beyond = straighten(m, slot)
        settled, side = routers[slot].settled != 0, routers[slot].side
        if beyond < 0 or (control != 0 and (control != ADVANCE or not settled)):
            break
        if routers[slot].leap >= 0 and routers[slot].since == m.lines[routers[slot].line]:
            far = routers[slot].leap
            beyond = far if routers[far].closed == 0 else beyond
        if routers[beyond].closed != 0:
            break
        even = even and settled and side == routers[first].side
        # Of all routers on the way: a sum along the line when the run has ended.
        m.passes[slot, side] += wavelets
        m.passes[beyond, side] -= wavelets
        slot = beyond
        leaps += 1
    if even and leaps > 1:
        routers[first].leap = slot
        routers[first].since = m.lines[routers[first].line]
    return slot


@kernel
def leave(m: Machine, slot: int, side: int, run: int) -> bool:
    """Hand the first run on over one side; whether it went."""
    control, count = m.runs[run].control, m.runs[run].count
    if side == RAMP:
        if control == 0:
            row = m.slots[slot, TILE] // m.now[0].width
            if not arrive(m, m.routers[slot].arrival, row, run):
                return False
    else:
        beyond = m.slots[slot, NEXT + side]
        if beyond >= 0:
            if not accepts(m, beyond, (side + 2) & 3):
                return False
            r = m.runs[run]
            beyond = pass_through(m, beyond, count, control)
            append(m, beyond, new_run(m, r.stream, r.lane, r.start, r.count, r.control))
        elif beyond == NOWHERE:
            return False
        elif control == 0:
            if beyond > -2:
                return False
            queue = -2 - beyond
            shape = shape_of(m, queue)
            if shape < 0 or m.shapes[shape, DIRECTION] == FEED:
                return False
            reader = m.now[0].width * m.now[0].colors * m.now[0].height + queue
            if not arrive(m, m.source[reader], 0, run):
                return False
    m.moves[slot, side] += max(count, 1)
    return True


@kernel
def wake_upstream(m: Machine, slot: int) -> None:
    """Whoever feeds a router may find that it accepts."""
    for side in range(4):
        beyond = m.slots[slot, NEXT + side]
        if beyond >= 0:
            list_router(m, beyond)


@kernel
def finish_run(m: Machine, slot: int, run: int) -> None:
    """The first run has left on all sides, or was acted on."""
    m.routers[slot].first = m.runs[run].next
    if m.runs[run].control != 0:
        m.routers[slot].closed = 0
    drop(m, run)
    wake_upstream(m, slot)


@kernel
def hand_on(m: Machine, slot: int, run: int) -> bool:
    """Move the first run of a buffer; whether anything changed."""
    router, control = m.routers, m.runs[run].control
    if router[slot].pending == 0:
        if control == ADVANCE and router[slot].position < m.slots[slot, POSITIONS] - 1:
            switch(m, slot, router[slot].position + 1)
            finish_run(m, slot, run)
            return True
        row = m.slots[slot, FIRST] + router[slot].position
        router[slot].pending = m.positions[row, 1]
    went = False
    for side in range(5):
        if (router[slot].pending >> side) & 1 and leave(m, slot, side, run):
            router[slot].pending &= ~(1 << side)
            went = True
    if went and router[slot].pending == 0:
        if control == RESET:
            switch(m, slot, 0)
        finish_run(m, slot, run)
    return went


@kernel
def route(m: Machine, slot: int) -> bool:
    """Do what one router can do; whether that was anything."""
    some = False
    while True:
        if m.now[0].run_room - m.now[0].runs_used < MOST_NEW:
            m.now[0].blocked = 1  # the pool must grow first
            return some
        went = False
        out = m.routers[slot].out_first
        if out >= 0 and accepts(m, slot, RAMP):
            m.routers[slot].out_first = m.runs[out].next
            m.runs[out].next = -1
            m.moves[slot, FROM_CORE] += max(m.runs[out].count, 1)
            append(m, slot, out)
            went = True
        run = m.routers[slot].first
        if run >= 0:
            went = went or hand_on(m, slot, run)
        if not went:
            return some
        some = True


@kernel
def feed_guided(m: Machine, queue: int) -> bool:
    """Feed the next run or control wavelet of a port, if its router takes it."""
    stream, slot = m.feeding[queue], m.queues[queue, SLOT]
    shape = shape_of(m, queue)
    if shape < 0 or m.shapes[shape, DIRECTION] != FEED:
        return False
    if not accepts(m, slot, side_of(m.queues[queue, PORT], m.now[0].width, m.now[0].height)):
        return False
    if m.queues[queue, STATE] != 0:
        control = m.shapes[shape, THEN if m.queues[queue, STATE] == 1 else FINAL]
        append(m, slot, new_run(m, -1, 0, 0, 0, control))
        m.now[0].bytes_in += 4
        pass_control(m, queue)
        return True
    if m.routers[slot].first >= 0:
        return False  # one run at a time: the edge waits until the last one has gone
    low, top = first_needed(m, stream)
    if low == top:
        m.streams[stream].base = top
    m.streams[stream].held += 1  # what is fed now is kept until there is a run of it
    count = feed(m, queue, CHUNK)
    if count > 0:
        append(m, slot, new_run(m, stream, 0, top, count, 0))
    m.streams[stream].held -= 1
    return count > 0


@kernel
def route_listed(m: Machine) -> bool:
    """Let routers go on until none can; whether any did."""
    some = False
    while m.now[0].listed > 0:
        m.now[0].listed -= 1
        slot = m.listed[m.now[0].listed]
        m.routers[slot].listed = 0
        if route(m, slot):
            some = True
    return some


@kernel
def route_all(m: Machine) -> bool:
    """Let routers and guided ports go on until none can; whether any did."""
    now = m.now
    if now[0].blocked != 0:
        now[0].blocked = 0
        for slot in range(now[0].slots):
            if m.routers[slot].first >= 0 or m.routers[slot].out_first >= 0:
                list_router(m, slot)
    some = route_listed(m)
    went = True
    while went and now[0].fault == 0 and now[0].left > 0:
        # One port after the other: the routers of its column are then at hand.
        went = False
        for queue in range(now[0].edge_queues):
            if m.feeding[queue] >= 0 and m.streams[m.feeding[queue]].guided != 0:
                while now[0].blocked == 0 and now[0].left > 0 and feed_guided(m, queue):
                    some = went = True
                    route_listed(m)
    return some
