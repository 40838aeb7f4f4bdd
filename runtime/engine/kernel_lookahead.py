"""Until when a slot has a link for itself: what lets it run ahead of the others.

A link that several colors could use must be served in the order of time, unless it is
known that no other color can come before some cycle. Each bound here is a truth about
the rest of the run, so a link may keep it:

- what is ever done from now on is done in the current cycle or later;
- a main thread issues nothing before the end of the instruction that it is in, and takes from a
  color or puts on it only after the fewest cycles on any way through the program;
- a wavelet takes a cycle for each hop, and the ramp's latency at its ends;
- all slots of a tree of routes see the same wavelets, so that equal counts of wavelets
  at its root and at a slot mean that none is under way between them.
"""

from __future__ import annotations

from wsc.runtime.engine.dispatch import inlined, int64, jit
from wsc.runtime.engine.kernel_common import RAMP
from wsc.runtime.engine.kernel_router import INTO_ROUTER
from wsc.runtime.engine.kernel_times import feed_time, leave_time, rise_time, wanted_sides
from wsc.runtime.engine.layout import FAR, NEVER, F, G, K, L, Mode, Reason, State, T, U
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import Hcol, Qcol, Rcol
from wsc.runtime.tables import Col

NO_ORIGIN, UNKNOWN = -1, -(1 << 30)
FAR_AWAY = 64  # cycles for which it pays to remember that a slot stays away
PATIENCE = 64  # cycles between two looks at all slots of a color
REMOTES = 63  # semaphores that the mask of those that remote stores add to has room for


@inlined
def unit_time(s: State, me: int) -> int:
    """Cycle before which a unit does nothing more."""
    since = s.unit[me, U.SINCE] if s.unit[me, U.REASON] != Reason.NONE else s.unit[me, U.WAKE]
    return max(since, s.g[G.NOW])


@jit
def color_distance(s: State, tile: int, color: int) -> int:
    """Least cycles from the start of a main thread's next instruction to one that touches a color.

    NEVER if no such instruction follows.
    """
    forms, bound, spent = s.forms, NEVER, 0
    row, frame, depth = s.tile[tile, T.PC], s.tile[tile, T.FRAME], s.tile[tile, T.DEPTH]
    while spent < bound:
        touch = int64(s.near[row, color])
        if touch < FAR:
            bound = min(bound, spent + touch)
        leave, end = forms[row, F.LEAVE], forms[row, F.AROUND]
        if leave >= FAR:
            break
        spent += leave
        if end >= 0:
            nest = (tile * (s.g[G.CALLS] + 1) + depth) * s.g[G.LOOPS] + s.rows[end, Col.D]
            turn = s.regs[tile * s.g[G.REGISTERS] + frame + s.rows[end, Col.C]]
            spent += max(s.loops[nest] - 1 - turn, 0) * forms[end, F.TURN]
            row = end + 1
        elif depth > 0:
            depth -= 1
            at = (tile * s.g[G.CALLS] + depth) * 2
            row, frame = s.frames[at], s.frames[at + 1]
        else:
            break
    return bound


@inlined
def row_bound(s: State, me: int) -> int:
    """Cycle before which a unit starts no row: one that waits for input, not before it comes."""
    time = unit_time(s, me)
    if s.unit[me, U.REASON] == Reason.INPUT:
        slot = s.unit[me, U.WHAT]
        empty = s.fifos[slot, Fcol.COUNT] == 0
        if empty and s.fifos[s.slots[slot, Scol.INPUT], Fcol.COUNT] == 0:
            time = max(time, s.quiet[slot] + s.g[G.RAMP])
    return time


@inlined
def end_bound(s: State, me: int) -> int:
    """Cycle before which a unit does not end its instruction."""
    mode, time = s.unit[me, U.MODE], row_bound(s, me)
    if mode == Mode.ROWS:
        return time + s.unit[me, U.LEFT] * s.unit[me, U.CYCLES]
    if mode == Mode.START:
        return time + s.unit[me, U.LENGTH]
    return time


@inlined
def is_local(s: State, number: int) -> bool:
    """Whether no remote store ever adds to a semaphore."""
    return number < REMOTES and (s.g[G.REMOTE] >> number) & 1 == 0


@inlined
def signal_bound(s: State, me: int, number: int) -> int:
    """Cycle before which no stream unit of a main thread's tile signals a semaphore."""
    bound = NEVER
    for unit in range(me + 1, me + s.g[G.UNITS]):
        row = s.unit[unit, U.ROW]
        if s.unit[unit, U.MODE] != Mode.IDLE and s.rows[row, Col.DONE] == number:
            bound = min(bound, end_bound(s, unit))
    return bound


@jit
def issue_bound(s: State, tile: int) -> int:
    """Cycle before which a main thread starts no other instruction."""
    me = tile * s.g[G.UNITS]
    if s.unit[me, U.MODE] == Mode.HALT:
        return NEVER
    reason, what = s.unit[me, U.REASON], s.unit[me, U.WHAT]
    if reason == Reason.UNIT:
        return max(unit_time(s, me), end_bound(s, me + what))
    if reason == Reason.SEMAPHORE and s.unit[me, U.WAKE] == NEVER and is_local(s, what):
        return max(unit_time(s, me), signal_bound(s, me, what))
    return end_bound(s, me)


@inlined
def touch_bound(s: State, tile: int, slot: int) -> int:
    """Cycle before which a main thread starts no instruction that touches the color of a slot."""
    bound = issue_bound(s, tile)
    if bound == NEVER:
        return NEVER
    return min(bound + color_distance(s, tile, int64(s.slots[slot, Scol.COLOR])), NEVER)


@jit
def emit_bound(s: State, tile: int, slot: int) -> int:
    """Cycle before which the core of a tile puts nothing into the output queue of a slot."""
    me = tile * s.g[G.UNITS]
    u = s.unit
    bound = touch_bound(s, tile, slot)
    mode = u[me, U.MODE]
    if u[me, U.SLOT] == slot and mode != Mode.HALT and mode != Mode.FETCH:
        bound = unit_time(s, me)
    for unit in range(1, s.g[G.UNITS]):
        mode = u[me + unit, U.MODE]
        if u[me + unit, U.SLOT] == slot and mode != Mode.IDLE and mode != Mode.FINISH:
            bound = min(bound, row_bound(s, me + unit))
    return bound


@jit
def read_bound(s: State, tile: int, slot: int) -> int:
    """Cycle before which the core of a tile takes nothing from the input queue of a slot."""
    me = tile * s.g[G.UNITS]
    u = s.unit
    bound = touch_bound(s, tile, slot)
    for unit in range(s.g[G.UNITS]):
        mode = u[me + unit, U.MODE]
        if mode == Mode.ROWS or mode == Mode.START:
            for k in range(1, 4):
                if u[me + unit, U.SLOT + k] == slot:
                    bound = min(bound, unit_time(s, me + unit))
    return bound


@jit
def still_bound(s: State, slot: int) -> int:
    """Cycle before which nothing of a slot moves, if all others stand still; 0 if it does."""
    slots, fifos = s.slots, s.fifos
    tile, bound = slots[slot, Scol.TILE], NEVER
    if fifos[slot, Fcol.COUNT] > 0:
        pending, side = slots[slot, Scol.PENDING], 0
        if pending == 0:
            return 0
        while (pending >> side) != 0:
            if (pending >> side) & 1 and leave_time(s, slot, side) != NEVER:
                return 0
            side += 1
        if pending >> RAMP & 1:
            bound = read_bound(s, tile, slot)
    queue = slots[slot, Scol.OUTPUT]
    if queue >= 0:
        if fifos[queue, Fcol.COUNT] > 0 and rise_time(s, slot) != NEVER:
            return 0
        bound = min(bound, emit_bound(s, tile, slot))
    return bound


@jit
def stream_bound(s: State, stream: int) -> int:
    """Cycle before which nothing of a stream moves; 0 if something does.

    What stands still waits for a core that takes from a queue, puts into one, or for an
    index value. The look at all slots is repeated only after some cycles.
    """
    k, g = s.streams, s.g
    if g[G.NOW] < k[stream, K.LOOK]:
        return k[stream, K.SAFE]
    bound = NEVER
    for index in range(k[stream, K.FIRST], k[stream, K.FIRST] + k[stream, K.SLOTS]):
        bound = min(bound, still_bound(s, s.stream_slots[index]))
        if bound <= g[G.NOW]:
            break
    for index in range(k[stream, K.FEEDERS], k[stream, K.FEEDERS] + k[stream, K.QUEUES]):
        queue = s.stream_queues[index]
        if feed_time(s, queue) != NEVER or waits_for_index(s, queue):
            bound = 0
    k[stream, K.SAFE] = bound
    k[stream, K.LOOK] = g[G.NOW] + max(PATIENCE, k[stream, K.SLOTS] >> 4)
    return bound


@inlined
def waits_for_index(s: State, queue: int) -> bool:
    """Whether the next element of an edge queue needs an index value."""
    record = s.queues[queue, Qcol.RECORD]
    if record == s.queues[queue, Qcol.END]:
        return False
    return s.shapes[s.records[record, Rcol.SHAPE], Hcol.LOOKUP] >= 0


@jit
def arrival_bound(s: State, slot: int) -> int:
    """Cycle before which an empty router buffer has no head that can leave; 0 if unknown."""
    if s.fifos[slot, Fcol.COUNT] != 0:
        return 0
    if s.slots[slot, Scol.GUIDED] != 0:
        return stream_bound(s, s.stream[slot])
    origin, hops = s.origins[slot, 0], s.origins[slot, 1]
    if origin == NO_ORIGIN:
        return NEVER
    if origin == UNKNOWN:
        return 0
    seen = s.fifos[slot, Fcol.PUSHED]
    if origin < 0:
        queue = -2 - origin
        first = s.queues[queue, Qcol.SLOT]
        if s.fifos[first, Fcol.PUSHED] != seen:
            return 0
        if s.queues[queue, Qcol.RECORD] == s.queues[queue, Qcol.END]:
            return NEVER
        return s.g[G.NOW] + 1 + hops
    queue = s.slots[origin, Scol.OUTPUT]
    if s.fifos[queue, Fcol.PUSHED] != seen:
        return 0
    return emit_bound(s, s.slots[origin, Scol.TILE], origin) + 1 + s.g[G.RAMP] + hops


@jit
def present_bound(s: State, side: int, slot: int) -> int:
    """``rival_bound`` of a slot with wavelets: when its head can leave, or a cell is freed."""
    tile = s.slots[slot, Scol.TILE]
    if side == INTO_ROUTER:
        time = rise_time(s, slot)
        return time if time != NEVER else s.g[G.NOW] + 1
    pending, after = wanted_sides(s, slot), 0
    if pending == 0:
        return 0
    if (pending >> side) & 1 == 0:
        if pending != 1 << RAMP:
            return s.g[G.NOW] + 1
        side, after = RAMP, 1  # the next may want the link when the head is in the core
    time = leave_time(s, slot, side)
    if time != NEVER:
        return time + after
    if side == RAMP:
        return read_bound(s, tile, slot) + 1 + after
    return s.g[G.NOW] + 1


@jit
def rival_bound(s: State, side: int, slot: int, t: int) -> int:
    """Cycle before which a slot wants no link on a side."""
    if side == INTO_ROUTER:
        if s.fifos[s.slots[slot, Scol.OUTPUT], Fcol.COUNT] > 0:
            return present_bound(s, side, slot)
        return emit_bound(s, s.slots[slot, Scol.TILE], slot) + 1
    if s.fifos[slot, Fcol.COUNT] > 0:
        return present_bound(s, side, slot)
    if s.quiet[slot] <= t:
        s.quiet[slot] = arrival_bound(s, slot)
    return s.quiet[slot]


@jit
def ask_others(s: State, link: int, side: int, slot: int, mask: int, first: int, t: int) -> bool:
    """Whether no other slot comes up to cycle t."""
    k, bound, bit = s.link, NEVER, 0
    near = near_slots(s, link, mask, t)
    while (near >> bit) != 0:
        if (near >> bit) & 1:
            soonest = rival_bound(s, side, first + bit, t)
            if soonest <= t:
                return False
            if not far(s, link, bit, soonest, t):
                bound = min(bound, soonest)
        bit += 1
    k[link, L.OWNER], k[link, L.SAFE] = slot, min(bound, k[link, L.UNTIL])
    return True


@inlined
def near_slots(s: State, link: int, mask: int, t: int) -> int:
    """Those of a mask of slots that are not known to stay away from a link in cycle t."""
    if t >= s.link[link, L.UNTIL]:
        s.link[link, L.FAR], s.link[link, L.UNTIL] = 0, NEVER
    return int(mask & ~s.link[link, L.FAR])


@inlined
def far(s: State, link: int, bit: int, bound: int, t: int) -> bool:
    """Note that a slot stays away from a link for long, if it does."""
    if bound <= t + FAR_AWAY:
        return False
    s.link[link, L.FAR] |= 1 << bit
    s.link[link, L.UNTIL] = min(s.link[link, L.UNTIL], bound)
    return True


@inlined
def alone(s: State, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot has a link for itself up to and in cycle t."""
    k, link, first = s.link, tile * 6 + side, s.slot_first[tile]
    if k[link, L.OWNER] == slot and t < k[link, L.SAFE]:
        return True
    mask = k[link, L.MASK] & ~(1 << (slot - first))
    if mask == 0:
        return True
    return ask_others(s, link, side, slot, mask, first, t)
