"""Units that execute one instruction at a time in several tiles: their rows, as lanes.

A row starts when its unit is done with the one before and its queues let it. What a row does to
SRAM takes no part in time, so that a group of units needs the state of their queues alone. A unit
comes to a group with the first row of its instruction, and leaves it with the last one
(``members``). ``number`` is that of a group, and ``group`` its record.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import moved
from wsc.runtime.kernels.lanes import Lanes, none
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import decrease, exactly_one, increase, some
from wsc.runtime.time.members import (
    LEFT,
    NO_ROOM,
    NO_SECOND,
    SIZE,
    fetch_members,
    leave_or_load,
    load_rows,
    use_queues,
    wait_longer,
)
from wsc.runtime.time.records import DUE, LEFT_DIGITS, MOST_LEFT, NEVER
from wsc.runtime.time.stations import activate
from wsc.runtime.time.tiles import only

LEAST_ROWS = 3  # for which it pays to come to a group


# --- a unit comes -------------------------------------------------------------------------


@kernel
def station_or_none(s: Machine, thread: int, operand: int) -> int:
    """The station of an operand's color if its queues are lanes, -1 if not."""
    slot = s.unit_slot[thread, operand]
    return s.slot_station[slot] if s.slots[slot].guided == 0 else -1


@kernel
def find_group(
    s: Machine, block: int, unit: int, thread: int, first_input: int, second_input: int, output: int
) -> int:
    """The group that executes a unit's instruction in a block, made if there is none; or -1.

    first_input, second_input, output: stations of the operands, or -1.
    """
    now, state = s.now[0], s.unit[thread]
    number = s.group_first[block * now.units + unit]
    while number >= 0:
        group = s.groups[number]
        same = group.row == state.row and group.cycles == state.cycles
        same = same and group.first_input == first_input and group.second_input == second_input
        if same and group.output == output:
            return number
        number = group.next
    number = now.free_group
    if number < 0:
        return -1
    group = s.groups[number]
    now.free_group = group.next
    group.unit, group.block, group.row, group.cycles = unit, block, state.row, state.cycles
    group.first_input, group.second_input, group.output = first_input, second_input, output
    group.members = 0
    group.next = s.group_first[block * now.units + unit]
    s.group_first[block * now.units + unit] = number
    group.place = now.groups
    s.live[now.groups] = number
    now.groups += 1
    return number


@kernel
def join(s: Machine, tile: int, unit: int, thread: int, t: int) -> bool:
    """Let a group execute the rows of a unit from cycle t on, if one can."""
    state, member = s.unit[thread], s.member[thread]
    profile = s.profiles[state.row]
    if s.now[0].alone != 0:
        return False
    # A group knows no index: every queue advances with every row, in a cycle of its ring.
    if profile.simple == 0 or state.left < LEAST_ROWS or state.cycles >= DUE:
        return False
    # All its queues are lanes, and no two of them are one.
    first_input, second_input, output = -1, -1, -1
    if profile.first_input >= 0:
        first_input = station_or_none(s, thread, profile.first_input)
        if first_input < 0:
            return False
    if profile.second_input >= 0:
        second_input = station_or_none(s, thread, profile.second_input)
        if second_input < 0 or second_input == first_input:
            return False
    if profile.emits != 0:
        output = station_or_none(s, thread, 0)
        if output < 0:
            return False
    block = s.tile_block[tile]
    number = find_group(s, block, unit, thread, first_input, second_input, output)
    if number < 0:
        return False
    # The unit sleeps from here on: the group has its rows, and wakes it after the last one.
    use_queues(s, number, thread, unit, unit)
    group, lane = s.groups[number], s.tile_lane[tile]
    mine = only(lane)
    group.all = group.all | mine
    group.ready = group.ready | mine
    group.members += 1
    member.rows, member.no_room, member.no_second = state.left, 0, 0
    state.since = t
    state.wake = NEVER
    load_rows(s, number, thread, lane)
    return True


@kernel
def dissolve(s: Machine, number: int) -> None:
    """Free a group without members."""
    now, group = s.now[0], s.groups[number]
    # It leaves the chain of its unit and block, and the list of groups that have members: the
    # last of these takes its place.
    at = group.block * now.units + group.unit
    before = s.group_first[at]
    if before == number:
        s.group_first[at] = group.next
    else:
        while s.groups[before].next != number:
            before = s.groups[before].next
        s.groups[before].next = group.next
    now.groups -= 1
    last = s.live[now.groups]
    s.live[group.place] = last
    s.groups[last].place = group.place
    group.next = now.free_group
    now.free_group = number


# --- rows start ---------------------------------------------------------------------------


@kernel
def step_group(s: Machine, number: int, t: int) -> None:
    """Start the rows that can start in cycle t."""
    # Units that are done with their row in this cycle come to those that waited before it.
    group, due = s.groups[number], s.due_lanes[number * DUE + (t & (DUE - 1))]
    ready = group.ready | due.lanes
    if not ready:
        return
    due.lanes = none()
    go = ready
    # A row takes a wavelet of each operand, and then needs room for its result. What a queue was
    # asked for in this cycle by a unit that goes by itself is gone already (``taken``, ``put``).
    if group.first_input >= 0:
        first = s.stations[group.first_input]
        go = go & first.in_has & ~first.taken
    if group.second_input >= 0:
        second = s.stations[group.second_input]
        late = go & ~second.in_has
        go = go & ~late & ~second.taken
        if group.unit == 0 and late:
            count_waits(s, number, NO_SECOND, late)
    if group.output >= 0:
        output = s.stations[group.output]
        full = go & ~output.out_room
        go = go & ~full & ~output.put
        if group.unit == 0 and full:
            count_waits(s, number, NO_ROOM, full)
    group.ready = ready & ~go
    if not go:
        return
    # Cells are freed and filled when the stations are committed, in the next cycle.
    if group.first_input >= 0:
        first = s.stations[group.first_input]
        first.taken = first.taken | go
        activate(s, group.first_input, t)
    if group.second_input >= 0:
        second = s.stations[group.second_input]
        second.taken = second.taken | go
        activate(s, group.second_input, t)
    if group.output >= 0:
        output = s.stations[group.output]
        output.put = output.put | go
        activate(s, group.output, t)
    moved(s, t + group.cycles - 1)
    # Who has no row left in its count gets more of them, or goes.
    left = s.groups.ctypes.data + number * SIZE + LEFT
    decrease(left, LEFT_DIGITS, go)
    ended, soon = go & ~some(left, LEFT_DIGITS), go & exactly_one(left, LEFT_DIGITS)
    if soon:
        fetch_members(s, number, soon)
    if ended:
        go = go & ~leave_or_load(s, number, ended, t)
    # The others could start their next row when this one is over.
    if go:
        again = t + group.cycles
        after = s.due_lanes[number * DUE + (again & (DUE - 1))]
        after.lanes = after.lanes | go
        s.now[0].due_mask |= 1 << (again & (DUE - 1))
    if group.members == 0:
        dissolve(s, number)


@kernel
def step_groups(s: Machine, t: int) -> None:
    """All groups, from the last on: one without members takes no other's place."""
    now = s.now[0]
    now.due_mask &= ~(1 << (t & (DUE - 1)))
    for index in range(now.groups - 1, -1, -1):
        step_group(s, s.live[index], t)


# --- main threads wait --------------------------------------------------------------------


@kernel
def count_waits(s: Machine, number: int, which: int, waiting: Lanes) -> None:
    """Count a cycle in which main threads waited. which: count of the group, NO_ROOM or NO_SECOND.

    A count that is full begins anew, and its cycles are kept with the unit.
    """
    at = s.groups.ctypes.data + number * SIZE + which
    over = increase(at, LEFT_DIGITS, waiting)
    if over:
        wait_longer(s, number, which, over, MOST_LEFT + 1)


@kernel
def wait_on(s: Machine, cycles: int) -> None:
    """Count cycles in which nothing moved: main threads waited for what they wait for."""
    for index in range(s.now[0].groups):
        number = s.live[index]
        group = s.groups[number]
        if group.unit != 0 or not group.ready:
            continue
        # Who waits for its first operand is counted when it leaves: these cycles are what remains.
        waiting = group.ready
        if group.first_input >= 0:
            waiting = waiting & s.stations[group.first_input].in_has
        if group.second_input >= 0:
            second = s.stations[group.second_input]
            wait_longer(s, number, NO_SECOND, waiting & ~second.in_has, cycles)
            waiting = waiting & second.in_has
        if group.output >= 0:
            full = waiting & ~s.stations[group.output].out_room
            wait_longer(s, number, NO_ROOM, full, cycles)
