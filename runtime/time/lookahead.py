"""Until when a slot has a link for itself: what lets it run ahead of the others.

A link that several colors could use must be served in the order of time, unless it is
known that no other color can come before some cycle. Each bound here is a truth about
the rest of the run, so a link may keep it:

- what is ever done from now on is done in the current cycle or later;
- a main thread issues nothing before the end of the instruction that it is in, and takes from a
  color or puts on it only after the fewest cycles on any way through the program;
- a wavelet takes the fabric's cycles for each hop and turn, and the ramp's latency at its ends;
- all slots of a tree of routes see the same wavelets, so that equal counts of wavelets
  at its root and at a slot mean that none is under way between them.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.routers import INTO_ROUTER
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import FAR, NEVER, Mode, Reason
from wsc.runtime.time.times import feed_time, leave_time, rise_time, wanted_sides

NO_ORIGIN, UNKNOWN = -1, -(1 << 30)
FAR_AWAY = 64  # cycles for which it pays to remember that a slot stays away
PATIENCE = 64  # cycles between two looks at all slots of a color
REMOTES = 63  # semaphores that the mask of those that remote stores add to has room for


@kernel
def unit_time(s: Machine, thread: int) -> int:
    """Cycle before which a unit does nothing more."""
    since = s.unit[thread].since if s.unit[thread].reason != Reason.NONE else s.unit[thread].wake
    return max(since, s.now[0].now)


@kernel
def color_distance(s: Machine, tile: int, color: int) -> int:
    """Least cycles from the start of a main thread's next instruction to one that touches a color.

    NEVER if no such instruction follows.
    """
    bound, spent = NEVER, 0
    row, frame, depth = s.tile[tile].pc, s.tile[tile].frame, s.tile[tile].depth
    while spent < bound:
        touch = s.near[row * s.now[0].colors + color]
        if touch < FAR:
            bound = min(bound, spent + touch)
        leave, end = s.forms[row].leave, s.forms[row].around
        if leave >= FAR:
            break
        spent += leave
        if end >= 0:
            nest = (tile * (s.now[0].calls + 1) + depth) * s.now[0].loops + s.rows[end].nest
            turn = s.regs[tile * s.now[0].registers + frame + s.rows[end].counter]
            spent += max(s.loops[nest] - 1 - turn, 0) * s.forms[end].turn
            row = end + 1
        elif depth > 0:
            depth -= 1
            back = s.frames[tile * s.now[0].calls + depth]
            row, frame = back.row, back.frame
        else:
            break
    return bound


@kernel
def row_bound(s: Machine, thread: int) -> int:
    """Cycle before which a unit starts no row: one that waits for input, not before it comes."""
    time = unit_time(s, thread)
    if s.unit[thread].reason == Reason.INPUT:
        slot = s.unit[thread].what
        empty = s.fifos[slot].count == 0
        if empty and s.fifos[s.slots[slot].input].count == 0:
            time = max(time, s.quiet[slot] + s.now[0].ramp)
    return time


@kernel
def end_bound(s: Machine, thread: int) -> int:
    """Cycle before which a unit does not end its instruction."""
    mode, time = s.unit[thread].mode, row_bound(s, thread)
    if mode == Mode.ROWS:
        return time + s.unit[thread].left * s.unit[thread].cycles
    if mode == Mode.START:
        return time + s.unit[thread].length
    return time


@kernel
def is_local(s: Machine, number: int) -> bool:
    """Whether no remote store ever adds to a semaphore."""
    return number < REMOTES and (s.now[0].remote >> number) & 1 == 0


@kernel
def signal_bound(s: Machine, thread: int, number: int) -> int:
    """Cycle before which no stream unit of a main thread's tile signals a semaphore."""
    bound = NEVER
    for unit in range(thread + 1, thread + s.now[0].units):
        row = s.unit[unit].row
        if s.unit[unit].mode != Mode.IDLE and s.rows[row].done == number:
            bound = min(bound, end_bound(s, unit))
    return bound


@kernel
def issue_bound(s: Machine, tile: int) -> int:
    """Cycle before which a main thread starts no other instruction."""
    thread = tile * s.now[0].units
    if s.unit[thread].mode == Mode.HALT:
        return NEVER
    reason, what = s.unit[thread].reason, s.unit[thread].what
    if reason == Reason.UNIT:
        return max(unit_time(s, thread), end_bound(s, thread + what))
    if reason == Reason.SEMAPHORE and s.unit[thread].wake == NEVER and is_local(s, what):
        return max(unit_time(s, thread), signal_bound(s, thread, what))
    return end_bound(s, thread)


@kernel
def touch_bound(s: Machine, tile: int, slot: int) -> int:
    """Cycle before which a main thread starts no instruction that touches the color of a slot."""
    bound = issue_bound(s, tile)
    if bound == NEVER:
        return NEVER
    return min(bound + color_distance(s, tile, s.slots[slot].color), NEVER)


@kernel
def emit_bound(s: Machine, tile: int, slot: int) -> int:
    """Cycle before which the core of a tile puts nothing into the output queue of a slot."""
    thread = tile * s.now[0].units
    bound = touch_bound(s, tile, slot)
    mode = s.unit[thread].mode
    if s.unit_slot[thread, 0] == slot and mode != Mode.HALT and mode != Mode.FETCH:
        bound = unit_time(s, thread)
    for unit in range(1, s.now[0].units):
        mode = s.unit[thread + unit].mode
        if s.unit_slot[thread + unit, 0] == slot and mode != Mode.IDLE and mode != Mode.FINISH:
            bound = min(bound, row_bound(s, thread + unit))
    return bound


@kernel
def read_bound(s: Machine, tile: int, slot: int) -> int:
    """Cycle before which the core of a tile takes nothing from the input queue of a slot."""
    thread = tile * s.now[0].units
    bound = touch_bound(s, tile, slot)
    for unit in range(s.now[0].units):
        mode = s.unit[thread + unit].mode
        if mode == Mode.ROWS or mode == Mode.START:
            for operand in range(1, 4):
                if s.unit_slot[thread + unit, operand] == slot:
                    bound = min(bound, unit_time(s, thread + unit))
    return bound


@kernel
def still_bound(s: Machine, slot: int) -> int:
    """Cycle before which nothing of a slot moves, if all others stand still; 0 if it does."""
    tile, bound = s.slots[slot].tile, NEVER
    if s.fifos[slot].count > 0:
        pending, side = s.slots[slot].pending, 0
        if pending == 0:
            return 0
        while (pending >> side) != 0:
            if (pending >> side) & 1 and leave_time(s, slot, side) != NEVER:
                return 0
            side += 1
        if pending >> RAMP & 1:
            bound = read_bound(s, tile, slot)
    queue = s.slots[slot].output
    if queue >= 0:
        if s.fifos[queue].count > 0 and rise_time(s, slot) != NEVER:
            return 0
        bound = min(bound, emit_bound(s, tile, slot))
    return bound


@kernel
def stream_bound(s: Machine, stream: int) -> int:
    """Cycle before which nothing of a stream moves; 0 if something does.

    What stands still waits for a core that takes from a queue, puts into one, or for an
    index value. The look at all slots is repeated only after some cycles.
    """
    now = s.now[0]
    if now.now < s.streams[stream].look:
        return s.streams[stream].safe
    bound = NEVER
    for index in range(s.streams[stream].first, s.streams[stream].first + s.streams[stream].slots):
        bound = min(bound, still_bound(s, s.stream_slots[index]))
        if bound <= now.now:
            break
    for index in range(
        s.streams[stream].feeders, s.streams[stream].feeders + s.streams[stream].queues
    ):
        queue = s.stream_queues[index]
        if feed_time(s, queue) != NEVER or waits_for_index(s, queue):
            bound = 0
    s.streams[stream].safe = bound
    s.streams[stream].look = now.now + max(PATIENCE, s.streams[stream].slots >> 4)
    return bound


@kernel
def waits_for_index(s: Machine, queue: int) -> bool:
    """Whether the next element of an edge queue needs an index value."""
    record = s.queues[queue].record
    if record == s.queues[queue].end:
        return False
    return s.shapes[s.records[record].shape].lookup >= 0


@kernel
def arrival_bound(s: Machine, slot: int) -> int:
    """Cycle before which an empty router buffer has no head that can leave; 0 if unknown."""
    if s.fifos[slot].count != 0:
        return 0
    if s.slots[slot].guided != 0:
        return stream_bound(s, s.stream[slot])
    origin, hops = s.origins[slot].origin, s.origins[slot].hops
    if origin == NO_ORIGIN:
        return NEVER
    if origin == UNKNOWN:
        return 0
    seen = s.fifos[slot].pushed
    if origin < 0:
        queue = -2 - origin
        first = s.queues[queue].slot
        if s.fifos[first].pushed != seen:
            return 0
        if s.queues[queue].record == s.queues[queue].end:
            return NEVER
        return s.now[0].now + 1 + hops
    queue = s.slots[origin].output
    if s.fifos[queue].pushed != seen:
        return 0
    return emit_bound(s, s.slots[origin].tile, origin) + 1 + s.now[0].ramp + hops


@kernel
def present_bound(s: Machine, side: int, slot: int) -> int:
    """``rival_bound`` of a slot with wavelets: when its head can leave, or a cell is freed."""
    tile = s.slots[slot].tile
    if side == INTO_ROUTER:
        time = rise_time(s, slot)
        return time if time != NEVER else s.now[0].now + 1
    pending, after = wanted_sides(s, slot), 0
    if pending == 0:
        return 0
    if (pending >> side) & 1 == 0:
        if pending != 1 << RAMP:
            return s.now[0].now + 1
        side, after = RAMP, 1  # the next may want the link when the head is in the core
    time = leave_time(s, slot, side)
    if time != NEVER:
        return time + after
    if side == RAMP:
        return read_bound(s, tile, slot) + 1 + after
    return s.now[0].now + 1


@kernel
def rival_bound(s: Machine, side: int, slot: int, t: int) -> int:
    """Cycle before which a slot wants no link on a side."""
    if side == INTO_ROUTER:
        if s.fifos[s.slots[slot].output].count > 0:
            return present_bound(s, side, slot)
        return emit_bound(s, s.slots[slot].tile, slot) + 1
    if s.fifos[slot].count > 0:
        return present_bound(s, side, slot)
    if s.quiet[slot] <= t:
        s.quiet[slot] = arrival_bound(s, slot)
    return s.quiet[slot]


@kernel
def ask_others(s: Machine, link: int, side: int, slot: int, mask: int, first: int, t: int) -> bool:
    """Whether no other slot comes up to cycle t."""
    bound, bit = NEVER, 0
    near = near_slots(s, link, mask, t)
    while (near >> bit) != 0:
        if (near >> bit) & 1:
            soonest = rival_bound(s, side, first + bit, t)
            if soonest <= t:
                return False
            if not far(s, link, bit, soonest, t):
                bound = min(bound, soonest)
        bit += 1
    s.link[link].owner, s.link[link].safe = slot, min(bound, s.link[link].until)
    return True


@kernel
def near_slots(s: Machine, link: int, mask: int, t: int) -> int:
    """Those of a mask of slots that are not known to stay away from a link in cycle t."""
    if t >= s.link[link].until:
        s.link[link].far, s.link[link].until = 0, NEVER
    return mask & ~s.link[link].far


@kernel
def far(s: Machine, link: int, bit: int, bound: int, t: int) -> bool:
    """Note that a slot stays away from a link for long, if it does."""
    if bound <= t + FAR_AWAY:
        return False
    s.link[link].far |= 1 << bit
    s.link[link].until = min(s.link[link].until, bound)
    return True


@kernel
def alone(s: Machine, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot has a link for itself up to and in cycle t."""
    link, first = tile * 6 + side, s.slot_first[tile]
    if s.link[link].owner == slot and t < s.link[link].safe:
        return True
    mask = s.link[link].mask & ~(1 << (slot - first))
    if mask == 0:
        return True
    return ask_others(s, link, side, slot, mask, first, t)
