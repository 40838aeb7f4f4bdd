"""The units of a group: who is at their queues, what they have counted, and how they leave.

How many rows are to go is a count of a few digits in the group, and the rest of it is in the
unit's record. So are cycles that a main thread waited. ``number`` is that of a group.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import fetch, schedule
from wsc.runtime.clocked.operands import account
from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.clocked.records import OPERANDS, UNIT
from wsc.runtime.kernels.calls import prefetch
from wsc.runtime.kernels.lanes import Lanes, lowest, none, one, word
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.observations.records import TALLY
from wsc.runtime.routes import SLOT
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import BYTES, read_count, take_count, write_count
from wsc.runtime.time.records import (
    DUE,
    GROUP,
    LEFT_DIGITS,
    MEMBER,
    MOST_LEFT,
    Mode,
    Reason,
    place_of,
)
from wsc.runtime.time.tiles import has, only, tile_at

SIZE = GROUP.itemsize
LEFT = place_of(GROUP, "left0")
NO_ROOM, NO_SECOND = place_of(GROUP, "no_room0"), place_of(GROUP, "no_second0")


# --- queues and rows ----------------------------------------------------------------------


@kernel
def meets(s: Machine, other: int, unit: int) -> None:
    """A unit is at an end of a core's queue where another may be (-1: none); two of them race."""
    if other >= 0 and other != unit:
        s.now[0].shared = 1


@kernel
def use_queues(s: Machine, number: int, thread: int, unit: int, user: int) -> None:
    """Write who is at the ends of the queues of a unit's operands. user: the unit, or -1."""
    group, profile = s.groups[number], s.profiles[s.unit[thread].row]
    if group.first_input >= 0:
        queue = s.slots[s.unit_slot[thread, profile.first_input]]
        meets(s, queue.reader, unit)
        queue.reader = user
    if group.second_input >= 0:
        queue = s.slots[s.unit_slot[thread, profile.second_input]]
        meets(s, queue.reader, unit)
        queue.reader = user
    if group.output >= 0:
        queue = s.slots[s.unit_slot[thread, 0]]
        meets(s, queue.writer, unit)
        queue.writer = user


@kernel
def load_rows(s: Machine, number: int, thread: int, lane: int) -> None:
    """Move rows of a unit into its count in the group, which is zero."""
    rows = min(s.unit[thread].left, MOST_LEFT)
    s.unit[thread].left -= rows
    write_count(s.groups.ctypes.data + number * SIZE + LEFT, LEFT_DIGITS, lane, rows)


@kernel
def fetch_queue(s: Machine, tile: int, station: int, waits: bool, puts: bool) -> None:
    """Fetch what a unit that leaves writes of the queue that a station has in its tile.

    waits: cycles that it waited for it, which are counted of a main thread. puts: wavelets into it.
    """
    if station >= 0:
        slot = s.slot_of[tile * s.now[0].colors + s.stations[station].color]
        prefetch(s.slots.ctypes.data + slot * SLOT.itemsize)
        if waits:
            prefetch(s.stalls.ctypes.data + slot * 2 * BYTES)
        if puts:
            prefetch(s.puts.ctypes.data + slot * BYTES)


@kernel
def fetch_members(s: Machine, number: int, which: Lanes) -> None:
    """Fetch from memory what units write when they leave, which they do with their next row."""
    group = s.groups[number]
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            tile = tile_at(s, group.block, line, lowest(rest))
            rest &= rest - 1
            thread = tile * s.now[0].units + group.unit
            fetch(s.unit.ctypes.data + thread * UNIT.itemsize, UNIT.itemsize)
            prefetch(s.unit_slot.ctypes.data + thread * OPERANDS * BYTES)
            prefetch(s.member.ctypes.data + thread * MEMBER.itemsize)
            fetch(s.counters.ctypes.data + tile * TALLY.itemsize, TALLY.itemsize)
            fetch_queue(s, tile, group.first_input, group.unit == 0, False)
            fetch_queue(s, tile, group.second_input, group.unit == 0, False)
            fetch_queue(s, tile, group.output, group.unit == 0, True)


@kernel
def leave_or_load(s: Machine, number: int, which: Lanes, t: int) -> Lanes:
    """Count on where rows are left; those that have started their last one leave the group."""
    group, gone = s.groups[number], none()
    for line in range(WORDS):
        rest = word(which, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            tile = tile_at(s, group.block, line, bit)
            thread = tile * s.now[0].units + group.unit
            if s.unit[thread].left > 0:
                load_rows(s, number, thread, line * WORD + bit)
            else:
                gone = gone | one(line, bit)
                leave(s, number, tile, thread, line * WORD + bit, t)
    return gone


@kernel
def leave(s: Machine, number: int, tile: int, thread: int, lane: int, t: int) -> None:
    """A unit has started its last row in cycle t: it goes on by itself when that is over."""
    group, state = s.groups[number], s.unit[thread]
    ended = t + group.cycles
    account_rows(s, number, tile, thread, lane, s.member[thread].rows, ended)
    use_queues(s, number, thread, group.unit, -1)
    group.all = group.all & ~only(lane)
    group.members -= 1
    state.reason = Reason.NONE
    state.mode = Mode.FETCH if group.unit == 0 else Mode.FINISH
    state.wake = ended
    schedule(s, tile, ended)


# --- what is counted ----------------------------------------------------------------------


@kernel
def wait_longer(s: Machine, number: int, which: int, waiting: Lanes, cycles: int) -> None:
    """Add cycles to the waits of main threads that the group's counts have no digits for.

    which: count of the group that they belong to, NO_ROOM or NO_SECOND.
    """
    for line in range(WORDS):
        rest = word(waiting, line)
        while rest != 0:
            tile = tile_at(s, s.groups[number].block, line, lowest(rest))
            rest &= rest - 1
            main = s.member[tile * s.now[0].units]
            if which == NO_ROOM:
                main.no_room += cycles
            else:
                main.no_second += cycles


@kernel
def account_rows(
    s: Machine, number: int, tile: int, thread: int, lane: int, rows: int, until: int
) -> None:
    """Count rows that a unit has started since it was counted last.

    until: the first cycle that does not count, as work or as a wait.
    """
    group, state = s.groups[number], s.unit[thread]
    busy = group.cycles * rows
    s.now[0].visits += rows
    account(s, tile, group.row, thread, state.steps * rows)
    if group.output >= 0:
        s.puts[s.unit_slot[thread, 0]] += rows
    if group.unit != 0:
        s.counters[tile].unit_busy += busy
        return
    s.counters[tile].busy += busy
    s.statements[state.statement].busy += busy
    # Of a main thread waits count too. What it waited neither for room nor for its second
    # operand, it waited for its first.
    at, member, profile = (
        s.groups.ctypes.data + number * SIZE,
        s.member[thread],
        s.profiles[group.row],
    )
    no_room = take_count(at + NO_ROOM, LEFT_DIGITS, lane) + member.no_room
    no_second = take_count(at + NO_SECOND, LEFT_DIGITS, lane) + member.no_second
    member.no_room, member.no_second = 0, 0
    no_first = until - state.since - busy - no_room - no_second
    if group.output >= 0:
        count_wait(s, tile, thread, Reason.OUTPUT, s.unit_slot[thread, 0], no_room)
    if group.first_input >= 0:
        slot = s.unit_slot[thread, profile.first_input]
        count_wait(s, tile, thread, Reason.INPUT, slot, no_first)
    if group.second_input >= 0:
        slot = s.unit_slot[thread, profile.second_input]
        count_wait(s, tile, thread, Reason.INPUT, slot, no_second)


# --- a run that stands ------------------------------------------------------------------------


@kernel
def settle_group(s: Machine, number: int, t: int) -> None:
    """Write what the units of a group have done before cycle t, and what they wait for.

    t: the cycle that comes next; or the one after it, where nothing can ever move.
    """
    group = s.groups[number]
    for line in range(WORDS):
        rest = word(group.all, line)
        while rest != 0:
            bit = lowest(rest)
            rest &= rest - 1
            tile, lane = tile_at(s, group.block, line, bit), line * WORD + bit
            thread = tile * s.now[0].units + group.unit
            state, member = s.unit[thread], s.member[thread]
            # A unit counts up to cycle t, or to the end of the row that it is in.
            waits = has(group.ready, lane)
            until = t if waits else due_cycle(s, number, lane, t)
            counted = read_count(s.groups.ctypes.data + number * SIZE + LEFT, LEFT_DIGITS, lane)
            left = state.left + counted
            account_rows(s, number, tile, thread, lane, member.rows - left, until)
            member.rows = left
            state.since = until
            state.reason = Reason.NONE
            if waits:
                note_wait(s, number, thread, lane)
                # A run that stands for good ends with its last event: no wait counts beyond that.
                if t > s.now[0].now:
                    beyond = min(s.now[0].last + 1 - t, 0)
                    count_wait(s, tile, thread, state.reason, state.what, beyond)


@kernel
def due_cycle(s: Machine, number: int, lane: int, t: int) -> int:
    """The cycle from t on in which a lane that executes a row is done with it."""
    for ahead in range(DUE):
        due = s.due_lanes[number * DUE + ((t + ahead) & (DUE - 1))]
        if has(due.lanes, lane):
            return t + ahead
    return t


@kernel
def note_wait(s: Machine, number: int, thread: int, lane: int) -> None:
    """Write what a lane waits for that could start a row."""
    group, state = s.groups[number], s.unit[thread]
    profile = s.profiles[group.row]
    operand, reason = 0, Reason.OUTPUT
    first, second = group.first_input, group.second_input
    if first >= 0 and not has(s.stations[first].in_has, lane):
        operand, reason = profile.first_input, Reason.INPUT
    elif second >= 0 and not has(s.stations[second].in_has, lane):
        operand, reason = profile.second_input, Reason.INPUT
    state.reason = reason
    state.what = s.unit_slot[thread, operand]
