"""Routers of the colors whose routes change: they hand on runs of wavelets, not wavelets.

A run is a stretch of a stream between two control wavelets, or one control wavelet. What a
router does with it depends on its switch position alone; so runs move as wavelets would, and
a multicast copies the description of a run, never the run. Where a run reaches a core or the
edge, its wavelets are copied into a stream of arrivals, which is read as any other.
"""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.kernels.plain import side_of
from wsc.runtime.routes import NOWHERE
from wsc.runtime.schedule import FEED
from wsc.runtime.tables import CONTROL_INDEX
from wsc.runtime.values.compiled import Machine, kernel
from wsc.runtime.values.edge import (
    AFTER_EACH,
    CHUNK,
    EDGE_QUEUES,
    ELEMENT,
    feed,
    pass_control,
    shape_of,
)
from wsc.runtime.values.records import SIDES, UNKNOWN, WINDS
from wsc.runtime.values.streams import first_needed, reserve, too_far_ahead, wake_readers

ADVANCE, RESET = CONTROL_INDEX[Control.ADVANCE], CONTROL_INDEX[Control.RESET]
RAMP, FROM_CORE = 4, 5  # the link to the core and the one from it, behind N, E, S, W
NO_STREAM = -1  # of the run of a control wavelet
MOST_NEW = 8  # runs that a router makes in one step, and some


# --- runs ---------------------------------------------------------------------------------


@kernel
def list_router(m: Machine, slot: int) -> None:
    """A router may have something to do."""
    router, now = m.routers[slot], m.now[0]
    if router.listed == 0:
        router.listed = 1
        m.listed[now.listed] = slot
        now.listed += 1


@kernel
def new_run(m: Machine) -> int:
    """A run from the pool, with nothing behind it; callers see to it that there is one."""
    now = m.now[0]
    number = now.free_run
    if number >= 0:
        now.free_run = m.runs[number].next
    else:
        number = now.runs_used
        now.runs_used += 1
    m.runs[number].next = -1
    return number


@kernel
def new_stretch(m: Machine, stream: int, lane: int, start: int, count: int) -> int:
    """A run of wavelets: so many of a lane of a stream, from a position on."""
    number = new_run(m)
    run = m.runs[number]
    run.stream, run.lane, run.start, run.count, run.control = stream, lane, start, count, 0
    m.streams[stream].held += 1
    return number


@kernel
def new_control(m: Machine, control: int) -> int:
    """A run of one control wavelet."""
    number = new_run(m)
    run = m.runs[number]
    run.stream, run.lane, run.start, run.count, run.control = NO_STREAM, 0, 0, 0, control
    return number


@kernel
def copy_of(m: Machine, number: int) -> int:
    """Another run of the same wavelets."""
    run = m.runs[number]
    if run.stream == NO_STREAM:
        return new_control(m, run.control)
    return new_stretch(m, run.stream, run.lane, run.start, run.count)


@kernel
def drop(m: Machine, run: int) -> None:
    """Give a run back to the pool."""
    if m.runs[run].stream != NO_STREAM:
        m.streams[m.runs[run].stream].held -= 1
    m.runs[run].next = m.now[0].free_run
    m.now[0].free_run = run


# --- into a router ------------------------------------------------------------------------


@kernel
def append(m: Machine, slot: int, run: int) -> None:
    """Put a run into a router's buffer."""
    router = m.routers[slot]
    if router.first < 0:
        end_leaps(m, slot)
        router.first = run
    else:
        m.runs[router.last].next = run
    router.last = run
    # A control wavelet closes the buffer behind it until it has been acted on.
    if m.runs[run].control != 0:
        router.closed = 1
    list_router(m, slot)


@kernel
def queue_run(m: Machine, slot: int, run: int) -> None:
    """A core puts a run into its output queue."""
    router = m.routers[slot]
    if router.out_first < 0:
        router.out_first = run
    else:
        m.runs[router.out_last].next = run
    router.out_last = run
    list_router(m, slot)


@kernel
def send_run(m: Machine, slot: int, stream: int, lane: int, start: int, count: int) -> None:
    """A core sends so many wavelets of a lane of a stream, from a position on."""
    queue_run(m, slot, new_stretch(m, stream, lane, start, count))


@kernel
def send_control(m: Machine, slot: int, control: int) -> None:
    """A core sends a control wavelet."""
    queue_run(m, slot, new_control(m, control))


@kernel
def accepts(m: Machine, slot: int, side: int) -> bool:
    """Whether a router's buffer takes from a side now."""
    router = m.routers[slot]
    if router.closed != 0:
        return False
    return m.positions[m.slots[slot].first + router.position].accept == side


# --- out of the routers -------------------------------------------------------------------


@kernel
def arrive(m: Machine, stream: int, lane: int, number: int) -> bool:
    """Copy a run to the end of a stream of arrivals; False while that is too far ahead."""
    run = m.runs[number]
    if too_far_ahead(m, stream, lane, run.count):
        m.now[0].blocked = 1
        return False
    first = m.streams[stream].first
    if not reserve(m, stream, m.written[first + lane] + run.count):
        return False
    there, here = m.streams[stream], m.streams[run.stream]
    target = there.address + (m.written[first + lane] - there.base) * there.lanes + lane
    start = here.address + (run.start - here.base) * here.lanes + run.lane
    for i in range(run.count):
        m.words[target + i * there.lanes] = m.words[start + i * here.lanes]
    m.written[first + lane] += run.count
    wake_readers(m, stream)
    return True


# --- routers that only hand on ------------------------------------------------------------


@kernel
def straighten(m: Machine, slot: int) -> int:
    """Find out, and note, the slot to which a router hands on as its switch stands.

    It is ``WINDS`` where there are several, the core or the edge, or where the one beyond takes
    from another side.
    """
    router, route, now = m.routers[slot], m.slots[slot], m.now[0]
    # The one side on which it sends, if it is one of the four.
    send, side = m.positions[route.first + router.position].send, 0
    while side < SIDES and send != 1 << side:
        side += 1
    beyond = route.next[side] if side < SIDES else WINDS
    if beyond >= 0:
        there = m.slots[beyond].first + m.routers[beyond].position
        if m.positions[there].accept != (side + 2) & 3:
            beyond = WINDS
    # Its line: a column of tiles if it sends north or south, else a row of them.
    x, y = route.tile % now.width, route.tile // now.width
    across = x if side & 1 == 0 else now.width + y
    router.line = route.color * (now.width + now.height) + across
    router.side = side
    router.settled = router.position == route.positions - 1
    router.straight = max(beyond, WINDS)
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
    for side in range(SIDES):
        beyond = m.slots[slot].next[side]
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
    routers, wavelets, leaps, even = m.routers, max(count, 1), 0, True
    begin = routers[slot]
    while routers[slot].first < 0:
        here = routers[slot]
        beyond = here.straight
        if beyond == UNKNOWN:
            beyond = straighten(m, slot)
        settled, side = here.settled != 0, here.side
        # An advance goes through where there is nothing to advance to; another control does not.
        if beyond < 0 or (control != 0 and (control != ADVANCE or not settled)):
            break
        if here.leap >= 0 and here.since == m.lines[here.line] and routers[here.leap].closed == 0:
            beyond = here.leap
        if routers[beyond].closed != 0:
            break
        even = even and settled and side == begin.side
        # Of all routers on the way: a sum along the line when the run has ended.
        m.passes[slot, side] += wavelets
        m.passes[beyond, side] -= wavelets
        slot = beyond
        leaps += 1
    if even and leaps > 1:
        begin.leap = slot
        begin.since = m.lines[begin.line]
    return slot


# --- what a router does -------------------------------------------------------------------


@kernel
def leave_to_core(m: Machine, slot: int, number: int) -> bool:
    """Hand the first run of a router to its core; whether it went."""
    if m.runs[number].control != 0:
        return True  # a core has nothing to do with it
    return arrive(m, m.routers[slot].arrival, m.slots[slot].tile // m.now[0].width, number)


@kernel
def leave_to_edge(m: Machine, queue: int, number: int) -> bool:
    """Hand the first run of a router to an edge queue; whether it went."""
    now, shape = m.now[0], shape_of(m, queue)
    if shape < 0 or m.shapes[shape].direction == FEED:
        return False
    reader = now.width * now.colors * now.height + queue
    return arrive(m, m.source[reader], 0, number)


@kernel
def leave(m: Machine, slot: int, side: int, number: int) -> bool:
    """Hand the first run of a router on over one side; whether it went."""
    run, beyond = m.runs[number], WINDS
    if side != RAMP:
        beyond = m.slots[slot].next[side]
    went = True
    if side == RAMP:
        went = leave_to_core(m, slot, number)
    elif beyond >= 0:
        went = accepts(m, beyond, (side + 2) & 3)
        if went:
            there = pass_through(m, beyond, run.count, run.control)
            append(m, there, copy_of(m, number))
    elif beyond == NOWHERE:
        went = False
    elif run.control == 0:
        # The edge takes what a transfer there asks for; a control wavelet just leaves.
        went = beyond <= EDGE_QUEUES and leave_to_edge(m, EDGE_QUEUES - beyond, number)
    if went:
        m.moves[slot, side] += max(run.count, 1)
    return went


@kernel
def wake_upstream(m: Machine, slot: int) -> None:
    """Whoever feeds a router may find that it accepts."""
    for side in range(SIDES):
        beyond = m.slots[slot].next[side]
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
    router, route, control = m.routers[slot], m.slots[slot], m.runs[run].control
    if router.pending == 0:
        # An advance that finds a next position turns the switch, and ends here.
        if control == ADVANCE and router.position < route.positions - 1:
            switch(m, slot, router.position + 1)
            finish_run(m, slot, run)
            return True
        router.pending = m.positions[route.first + router.position].send
    went = False
    for side in range(SIDES + 1):
        if (router.pending >> side) & 1 and leave(m, slot, side, run):
            router.pending &= ~(1 << side)
            went = True
    if went and router.pending == 0:
        # A reset goes on its way, and then turns the switch back.
        if control == RESET:
            switch(m, slot, 0)
        finish_run(m, slot, run)
    return went


@kernel
def route(m: Machine, slot: int) -> bool:
    """Do what one router can do; whether that was anything."""
    now, router, some = m.now[0], m.routers[slot], False
    while True:
        if now.run_room - now.runs_used < MOST_NEW:
            now.blocked = 1  # the pool must grow first
            return some
        went = False
        out = router.out_first
        if out >= 0 and accepts(m, slot, RAMP):
            router.out_first = m.runs[out].next
            m.runs[out].next = -1
            m.moves[slot, FROM_CORE] += max(m.runs[out].count, 1)
            append(m, slot, out)
            went = True
        run = router.first
        if run >= 0:
            went = went or hand_on(m, slot, run)
        if not went:
            return some
        some = True


# --- all of them --------------------------------------------------------------------------


@kernel
def feed_guided(m: Machine, queue: int) -> bool:
    """Feed the next run or control wavelet of a port, if its router takes it."""
    now, cursor, stream = m.now[0], m.queues[queue], m.feeding[queue]
    number = shape_of(m, queue)
    if number < 0 or m.shapes[number].direction != FEED:
        return False
    slot = cursor.slot
    if not accepts(m, slot, side_of(cursor.port, now.width, now.height)):
        return False
    if cursor.state != ELEMENT:
        shape = m.shapes[number]
        control = shape.then if cursor.state == AFTER_EACH else shape.final
        append(m, slot, new_control(m, control))
        now.bytes_in += 4
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
        append(m, slot, new_stretch(m, stream, 0, top, count))
    m.streams[stream].held -= 1
    return count > 0


@kernel
def route_listed(m: Machine) -> bool:
    """Let routers go on until none can; whether any did."""
    now, some = m.now[0], False
    while now.listed > 0:
        now.listed -= 1
        slot = m.listed[now.listed]
        m.routers[slot].listed = 0
        if route(m, slot):
            some = True
    return some


@kernel
def route_all(m: Machine) -> bool:
    """Let routers and guided ports go on until none can; whether any did."""
    now = m.now[0]
    if now.blocked != 0:
        now.blocked = 0
        for slot in range(now.slots):
            if m.routers[slot].first >= 0 or m.routers[slot].out_first >= 0:
                list_router(m, slot)
    some = route_listed(m)
    went = True
    while went and now.fault == 0 and now.left > 0:
        # One port after the other: the routers of its column are then at hand.
        went = False
        for queue in range(now.edge_queues):
            if m.feeding[queue] >= 0 and m.streams[m.feeding[queue]].guided != 0:
                while now.blocked == 0 and now.left > 0 and feed_guided(m, queue):
                    some = went = True
                    route_listed(m)
    return some
