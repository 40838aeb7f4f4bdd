"""Units that execute one instruction at a time in several tiles: their rows, as lanes.

A row starts when its unit is done with the one before and its queues let it. What a row does to
SRAM takes no part in time, so that a group of units needs the state of their queues alone. How
many rows are to go is a count of a few digits; the rest is in the unit's record.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved, schedule
from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.kernels.calls import longs_at
from wsc.runtime.kernels.lanes import Lanes, lowest, none, one, word
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import DIGIT, decrease, increase, some
from wsc.runtime.time.records import (
    DUE,
    GROUP,
    LEFT_DIGITS,
    MOST_LEFT,
    NEVER,
    Mode,
    Reason,
    place_of,
)
from wsc.runtime.time.rows import settle_rows
from wsc.runtime.time.stations import activate, tile_at

SIZE = GROUP.itemsize
LEAST_ROWS = 3  # for which it pays to come to a group
ALONE = -1  # in ``joined``, of a unit whose instruction no group executes

LEFT = place_of(GROUP, "left0")
HELD, LATE = place_of(GROUP, "held0"), place_of(GROUP, "late0")


@kernel
def station_or_none(s: Machine, thread: int, k: int) -> int:
    """The station of an operand's color if its queues are lanes, -1 if not."""
    slot = s.unit_slot[thread, k]
    return s.slot_station[slot] if s.slots[slot].guided == 0 else -1


@kernel
def find_group(
    s: Machine, block: int, unit: int, thread: int, first: int, second: int, onto: int
) -> int:
    """The group that executes a unit's instruction in a block, made if there is none; or -1."""
    now, u = s.now[0], s.unit[thread]
    g = s.group_first[block * now.units + unit]
    while g >= 0:
        q = s.groups[g]
        same = q.row == u.row and q.cycles == u.cycles
        if same and q.first == first and q.second == second and q.onto == onto:
            return g
        g = q.next
    g = now.free_group
    if g < 0:
        return -1
    q = s.groups[g]
    now.free_group = q.next
    q.unit, q.block, q.row, q.cycles = unit, block, u.row, u.cycles
    q.first, q.second, q.onto, q.members = first, second, onto, 0
    q.next = s.group_first[block * now.units + unit]
    s.group_first[block * now.units + unit] = g
    q.place = now.groups
    s.live[now.groups] = g
    now.groups += 1
    return g


@kernel
def join(s: Machine, tile: int, unit: int, thread: int, t: int) -> bool:
    """Let a group execute the rows of a unit from cycle t on, if one can."""
    row, u = s.unit[thread].row, s.unit[thread]
    form = s.forms[row]
    if s.now[0].alone != 0:
        return False
    if form.simple == 0 or u.left < LEAST_ROWS or u.cycles >= DUE:
        return False
    first, second, onto = -1, -1, -1
    if form.input >= 0:
        first = station_or_none(s, thread, form.input)
        if first < 0:
            return False
    if form.second >= 0:
        second = station_or_none(s, thread, form.second)
        if second < 0 or second == first:
            return False
    if form.emits != 0:
        onto = station_or_none(s, thread, 0)
        if onto < 0:
            return False
    g = find_group(s, s.tile_block[tile], unit, thread, first, second, onto)
    if g < 0:
        return False
    use_queues(s, g, thread, unit, unit)
    q, lane = s.groups[g], s.tile_lane[tile]
    mine = one(lane // WORD, lane % WORD)
    q.all, q.ready = q.all | mine, q.ready | mine
    q.members += 1
    s.joined[thread] = u.left
    u.since = t
    u.wake = NEVER
    u.phase, u.need = 0, 0
    load_left(s, g, thread, lane)
    return True


@kernel
def meets(s: Machine, other: int, unit: int) -> None:
    """A unit is at an end of a core's queue where another may be (-1: none); two of them race."""
    if other >= 0 and other != unit:
        s.now[0].shared = 1


@kernel
def use_queues(s: Machine, g: int, thread: int, unit: int, by: int) -> None:
    """Write who is at the ends of the queues of a unit's operands. by: the unit, or -1."""
    q, form = s.groups[g], s.forms[s.unit[thread].row]
    if q.first >= 0:
        meets(s, s.slots[s.unit_slot[thread, form.input]].reader, unit)
        s.slots[s.unit_slot[thread, form.input]].reader = by
    if q.second >= 0:
        meets(s, s.slots[s.unit_slot[thread, form.second]].reader, unit)
        s.slots[s.unit_slot[thread, form.second]].reader = by
    if q.onto >= 0:
        meets(s, s.slots[s.unit_slot[thread, 0]].writer, unit)
        s.slots[s.unit_slot[thread, 0]].writer = by


@kernel
def load_left(s: Machine, g: int, thread: int, lane: int) -> None:
    """Move rows of a unit into its count, which is zero."""
    some_rows = min(s.unit[thread].left, MOST_LEFT)
    s.unit[thread].left -= some_rows
    at = s.groups.ctypes.data + g * SIZE + LEFT
    for digit in range(LEFT_DIGITS):
        words = longs_at(at + digit * DIGIT)
        words[lane // WORD] |= ((some_rows >> digit) & 1) << (lane % WORD)


@kernel
def read_count(at: int, lane: int) -> int:
    """The count of a lane."""
    count = 0
    for digit in range(LEFT_DIGITS):
        words = longs_at(at + digit * DIGIT)
        count |= ((words[lane // WORD] >> (lane % WORD)) & 1) << digit
    return count


@kernel
def clear_count(at: int, lane: int) -> None:
    """Make the count of a lane zero."""
    for digit in range(LEFT_DIGITS):
        words = longs_at(at + digit * DIGIT)
        words[lane // WORD] &= ~(1 << (lane % WORD))


@kernel
def step_group(s: Machine, g: int, t: int) -> None:
    """Start the rows that can start in cycle t."""
    q, due = s.groups[g], s.due_lanes[g * DUE + (t & (DUE - 1))]
    ready = q.ready | due.lanes
    if not ready:
        return
    due.lanes = none()
    go = ready
    # A row takes a wavelet of each operand, and then needs room for its result.
    if q.first >= 0:
        go = go & s.stations[q.first].in_has & ~s.stations[q.first].taken
    if q.second >= 0:
        late = go & ~s.stations[q.second].in_has
        go = go & ~late & ~s.stations[q.second].taken
        if q.unit == 0 and late:
            hold(s, g, LATE, late)
    if q.onto >= 0:
        held = go & ~s.stations[q.onto].out_room
        go = go & ~held & ~s.stations[q.onto].put
        if q.unit == 0 and held:
            hold(s, g, HELD, held)
    q.ready = ready & ~go
    if not go:
        return
    if q.first >= 0:
        s.stations[q.first].taken = s.stations[q.first].taken | go
        activate(s, q.first, t)
    if q.second >= 0:
        s.stations[q.second].taken = s.stations[q.second].taken | go
        activate(s, q.second, t)
    if q.onto >= 0:
        s.stations[q.onto].put = s.stations[q.onto].put | go
        activate(s, q.onto, t)
    moved(s, t + q.cycles - 1)
    # Who has no row left in its count gets more of them, or goes.
    left = s.groups.ctypes.data + g * SIZE + LEFT
    decrease(left, LEFT_DIGITS, go)
    ended = go & ~some(left, LEFT_DIGITS)
    if ended:
        go = go & ~refill(s, g, ended, t)
    if go:
        again = t + q.cycles
        after = s.due_lanes[g * DUE + (again & (DUE - 1))]
        after.lanes = after.lanes | go
        s.now[0].due_mask |= 1 << (again & (DUE - 1))
    if q.members == 0:
        dissolve(s, g)


@kernel
def hold(s: Machine, g: int, place: int, which: Lanes) -> None:
    """Count a cycle in which main threads waited for room, or for their second operand."""
    at = s.groups.ctypes.data + g * SIZE + place
    over = increase(at, LEFT_DIGITS, which)
    if over:
        for line in range(WORDS):
            rest = word(over, line)
            while rest != 0:
                tile = tile_at(s, s.groups[g].block, line, lowest(rest))
                rest &= rest - 1
                wait_longer(s, tile, place, MOST_LEFT + 1)


@kernel
def wait_longer(s: Machine, tile: int, place: int, cycles: int) -> None:
    """Add cycles to what a count of waits has no digits for; a unit in a group has these fields."""
    main = s.unit[tile * s.now[0].units]
    if place == HELD:
        main.phase += cycles
    else:
        main.need += cycles


@kernel
def all_wait(s: Machine, g: int, place: int, which: Lanes, cycles: int) -> None:
    """Count cycles in which main threads waited."""
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            wait_longer(s, tile_at(s, s.groups[g].block, line, lowest(rest)), place, cycles)
            rest &= rest - 1


@kernel
def waits_of(s: Machine, g: int, place: int, lane: int) -> int:
    """The cycles of such waits of a lane that are counted in its group, which are gone then."""
    at = s.groups.ctypes.data + g * SIZE + place
    counted = read_count(at, lane)
    clear_count(at, lane)
    return counted


@kernel
def refill(s: Machine, g: int, which: Lanes, t: int) -> Lanes:
    """Count on where rows are left; those that have started their last one leave the group."""
    q, gone = s.groups[g], none()
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            tile = tile_at(s, q.block, line, bit)
            thread = tile * s.now[0].units + q.unit
            if s.unit[thread].left > 0:
                load_left(s, g, thread, line * WORD + bit)
            else:
                gone = gone | one(line, bit)
                leave(s, g, tile, thread, line * WORD + bit, t)
    return gone


@kernel
def account_rows(
    s: Machine, g: int, tile: int, thread: int, lane: int, done: int, until: int
) -> None:
    """Count the rows that a unit has started, and the waits of a main thread up to a cycle."""
    q = s.groups[g]
    settle_rows(s, tile, q.unit, thread, q.row, done, 1)
    if q.onto >= 0:
        slot = s.unit_slot[thread, 0]
        s.fifos[s.slots[slot].output].pushed += done
    if q.unit == 0:
        # What it did not wait for room or the second operand, it waited for the first.
        held = waits_of(s, g, HELD, lane) + s.unit[thread].phase
        late = waits_of(s, g, LATE, lane) + s.unit[thread].need
        s.unit[thread].phase, s.unit[thread].need = 0, 0
        stalled = until - s.unit[thread].since - done * q.cycles - held - late
        form = s.forms[q.row]
        if q.onto >= 0:
            count_wait(s, tile, thread, Reason.OUTPUT, s.unit_slot[thread, 0], held)
        if q.first >= 0:
            first = s.unit_slot[thread, form.input]
            count_wait(s, tile, thread, Reason.INPUT, first, stalled)
        if q.second >= 0:
            second = s.unit_slot[thread, form.second]
            count_wait(s, tile, thread, Reason.INPUT, second, late)


@kernel
def leave(s: Machine, g: int, tile: int, thread: int, lane: int, t: int) -> None:
    """A unit has started its last row in cycle t."""
    q = s.groups[g]
    ended = t + q.cycles
    account_rows(s, g, tile, thread, lane, s.joined[thread], ended)
    use_queues(s, g, thread, q.unit, -1)
    q.all = q.all & ~one(lane // WORD, lane % WORD)
    q.members -= 1
    s.unit[thread].reason = Reason.NONE
    s.unit[thread].mode = Mode.FETCH if q.unit == 0 else Mode.FINISH
    s.unit[thread].wake = ended
    schedule(s, tile, ended)


@kernel
def dissolve(s: Machine, g: int) -> None:
    """Free a group without members."""
    now, q = s.now[0], s.groups[g]
    at = q.block * now.units + q.unit
    other = s.group_first[at]
    if other == g:
        s.group_first[at] = q.next
    else:
        while s.groups[other].next != g:
            other = s.groups[other].next
        s.groups[other].next = q.next
    now.groups -= 1
    last = s.live[now.groups]
    s.live[q.place] = last
    s.groups[last].place = q.place
    q.next = now.free_group
    now.free_group = g


@kernel
def step_groups(s: Machine, t: int) -> None:
    """All groups, from the last on: one without members takes no other's place."""
    now = s.now[0]
    now.due_mask &= ~(1 << (t & (DUE - 1)))
    for index in range(now.groups - 1, -1, -1):
        step_group(s, s.live[index], t)


@kernel
def wait_on(s: Machine, cycles: int) -> None:
    """Count cycles in which nothing moved: main threads waited for what they wait for."""
    for index in range(s.now[0].groups):
        g = s.live[index]
        q = s.groups[g]
        if q.unit != 0 or not q.ready:
            continue
        held = q.ready
        if q.first >= 0:
            held = held & s.stations[q.first].in_has
        if q.second >= 0:
            all_wait(s, g, LATE, held & ~s.stations[q.second].in_has, cycles)
            held = held & s.stations[q.second].in_has
        if q.onto >= 0:
            all_wait(s, g, HELD, held & ~s.stations[q.onto].out_room, cycles)


# --- a run that stands ------------------------------------------------------------------------


@kernel
def settle_group(s: Machine, g: int, t: int) -> None:
    """Write what the units of a group have done before cycle t, and what they wait for.

    t: the cycle that comes next; or the one after it, where nothing can ever move.
    """
    q = s.groups[g]
    for line in range(WORDS):
        rest = word(q.all, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            tile, lane = tile_at(s, q.block, line, bit), line * WORD + bit
            thread = tile * s.now[0].units + q.unit
            left = s.unit[thread].left + read_count(s.groups.ctypes.data + g * SIZE + LEFT, lane)
            until = t
            if (word(q.ready, line) >> bit) & 1 == 0:
                until = due_cycle(s, g, line, bit, t)
            account_rows(s, g, tile, thread, lane, s.joined[thread] - left, until)
            s.joined[thread] = left
            s.unit[thread].since = until
            s.unit[thread].reason = Reason.NONE
            if (word(q.ready, line) >> bit) & 1 and until == t:
                note_wait(s, g, thread, line, bit)
                # A run that stands for good ends with its last event: no wait counts beyond that.
                if t > s.now[0].now:
                    u, beyond = s.unit[thread], min(s.now[0].last + 1 - t, 0)
                    count_wait(s, tile, thread, u.reason, u.what, beyond)


@kernel
def due_cycle(s: Machine, g: int, line: int, bit: int, t: int) -> int:
    """The cycle from t on in which a lane that executes a row is done with it."""
    for ahead in range(DUE):
        due = s.due_lanes[g * DUE + ((t + ahead) & (DUE - 1))]
        if (word(due.lanes, line) >> bit) & 1:
            return t + ahead
    return t


@kernel
def note_wait(s: Machine, g: int, thread: int, line: int, bit: int) -> None:
    """Write what a lane waits for that could start a row."""
    q, form = s.groups[g], s.forms[s.groups[g].row]
    k, reason = 0, Reason.OUTPUT
    if q.first >= 0 and (word(s.stations[q.first].in_has, line) >> bit) & 1 == 0:
        k, reason = form.input, Reason.INPUT
    elif q.second >= 0 and (word(s.stations[q.second].in_has, line) >> bit) & 1 == 0:
        k, reason = form.second, Reason.INPUT
    s.unit[thread].reason = reason
    s.unit[thread].what = s.unit_slot[thread, k]
