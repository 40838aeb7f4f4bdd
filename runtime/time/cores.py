"""One cycle of the cores that are due: main threads, and units that are in no group."""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import block, fold, head_cell, pop, room, schedule, unlink
from wsc.runtime.clocked.instructions import (
    begin,
    ends_group,
    finish,
    resume,
    spend,
    starts_group,
    step_index,
    step_send,
)
from wsc.runtime.clocked.operands import FABRIC, account, reference, row_level
from wsc.runtime.clocked.threads import sequence, stopped
from wsc.runtime.kernels.lanes import Lanes, word
from wsc.runtime.kernels.words import WORD
from wsc.runtime.tables import Kind
from wsc.runtime.time.basics import list_slot, push
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel
from wsc.runtime.time.edge import set_lane
from wsc.runtime.time.groups import ALONE, join, meets
from wsc.runtime.clocked.records import UNIT
from wsc.runtime.kernels.calls import LINE, prefetch
from wsc.runtime.time.records import NEVER, STATION, TILE, WHEEL, Mode, Reason, place_of

AHEAD = 4
from wsc.runtime.time.stations import activate

TAKEN, PUT = place_of(STATION, "taken"), place_of(STATION, "put")
READERS, WRITERS = place_of(STATION, "readers"), place_of(STATION, "writers")


@kernel
def has(which: Lanes, lane: int) -> bool:
    """Whether a lane is set."""
    return (word(which, lane // WORD) >> (lane % WORD)) & 1 != 0


@kernel
def wavelet_there(s: Machine, slot: int, t: int) -> bool:
    """Whether a core can take a wavelet from its input queue."""
    if s.slots[slot].guided == 0:
        a, lane = s.stations[s.slot_station[slot]], s.tile_lane[s.slots[slot].tile]
        return has(a.in_has & ~a.taken, lane)
    queue = s.slots[slot].input
    return s.fifos[queue].count > 0 and s.cells[head_cell(s, queue)].time <= t


@kernel
def room_there(s: Machine, slot: int, t: int) -> bool:
    """Whether a core can put a wavelet into its output queue."""
    if s.slots[slot].guided == 0:
        a, lane = s.stations[s.slot_station[slot]], s.tile_lane[s.slots[slot].tile]
        return has(a.out_room & ~a.put, lane)
    return room(s, s.slots[slot].output, t)


@kernel
def await_wavelet(s: Machine, thread: int, unit: int, slot: int, t: int) -> None:
    """Wait for a wavelet in an input queue."""
    block(s, thread, Reason.INPUT, slot, t)
    meets(s, s.slots[slot].reader, unit)
    s.slots[slot].reader = unit
    if s.slots[slot].guided == 0:
        tile = s.slots[slot].tile
        set_lane(s, s.slot_station[slot], READERS, s.tile_lane[tile])
        activate(s, s.slot_station[slot], t)
        return
    queue = s.slots[slot].input
    if s.fifos[queue].count > 0:
        s.unit[thread].wake = s.cells[head_cell(s, queue)].time


@kernel
def await_room(s: Machine, thread: int, unit: int, slot: int, t: int) -> None:
    """Wait for room in an output queue."""
    block(s, thread, Reason.OUTPUT, slot, t)
    meets(s, s.slots[slot].writer, unit)
    s.slots[slot].writer = unit
    if s.slots[slot].guided == 0:
        tile = s.slots[slot].tile
        set_lane(s, s.slot_station[slot], WRITERS, s.tile_lane[tile])
        activate(s, s.slot_station[slot], t)


@kernel
def take(s: Machine, slot: int, unit: int, t: int) -> None:
    """Take a wavelet from an input queue."""
    meets(s, s.slots[slot].reader, unit)
    s.slots[slot].reader = -1
    if s.slots[slot].guided == 0:
        station = s.slot_station[slot]
        set_lane(s, station, TAKEN, s.tile_lane[s.slots[slot].tile])
        activate(s, station, t)
        return
    pop(s, s.slots[slot].input, t)
    if s.fifos[slot].count > 0:
        list_slot(s, slot)


@kernel
def put(s: Machine, slot: int, unit: int, control: int, t: int) -> None:
    """Put a wavelet into an output queue."""
    meets(s, s.slots[slot].writer, unit)
    s.slots[slot].writer = -1
    queue = s.slots[slot].output
    if s.slots[slot].guided == 0:
        station = s.slot_station[slot]
        set_lane(s, station, PUT, s.tile_lane[s.slots[slot].tile])
        activate(s, station, t)
        s.fifos[queue].pushed += 1
        return
    push(s, queue, control, t + 1)
    list_slot(s, slot)


@kernel
def row_ready(s: Machine, unit: int, thread: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    level, operand = s.rows[row].level, s.rows[row].operands
    for turn in range(1, s.rows[row].count + 1):
        k = turn if turn < s.rows[row].count else 0
        if s.operands[operand + k].kind != FABRIC:
            continue
        advance, slot = s.operands[operand + k].advance, s.unit_slot[thread, k]
        if k > 0 and starts_group(s, thread, advance, level) and not wavelet_there(s, slot, t):
            await_wavelet(s, thread, unit, slot, t)
            return False
        if k == 0 and ends_group(s, thread, advance, level) and not room_there(s, slot, t):
            await_room(s, thread, unit, slot, t)
            return False
    return True


@kernel
def run_row(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start one row of an instruction, if its queues allow."""
    if not row_ready(s, unit, thread, row, t):
        return
    level = row_level(s, row)
    operand = s.rows[row].operands
    for k in range(1, s.rows[row].count):
        fabric = s.operands[operand + k].kind == FABRIC
        if fabric and starts_group(s, thread, s.operands[operand + k].advance, level):
            take(s, s.unit_slot[thread, k], unit, t)
    slot = s.unit_slot[thread, 0]
    if slot >= 0 and ends_group(s, thread, s.operands[operand].advance, level):
        put(s, slot, unit, 0, t)
    account(s, tile, row, thread, s.unit[thread].steps)
    s.unit[thread].left -= 1
    step_index(s, thread, level)
    if s.unit[thread].left == 0:
        s.unit[thread].mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, s.unit[thread].cycles, t)


@kernel
def send_control(s: Machine, tile: int, thread: int, t: int) -> None:
    """Put a control wavelet into its queue, or wait for room."""
    slot = s.unit_slot[thread, 0]
    if not room_there(s, slot, t):
        await_room(s, thread, 0, slot, t)
        return
    put(s, slot, 0, s.rows[s.unit[thread].row].control, t)
    s.unit[thread].mode = Mode.FETCH
    spend(s, tile, 0, thread, 1, t)


# --- threads that go ahead ------------------------------------------------------------------


@kernel
def has_counted(s: Machine, tile: int, row: int, t: int) -> bool:
    """Whether a ``wait`` in cycle t, which has not come, finds its count; nobody else takes it."""
    place = tile * s.now[0].semaphores + s.rows[row].semaphore
    count = reference(s, s.rows[row].amount, tile)
    fold(s, place, t)
    return count >= 0 and s.semaphores[place].value >= count


@LIBRARY.defines(own.goes_ahead)
def goes_ahead(s: Machine, tile: int, main: int, row: int, t: int) -> bool:
    """Where it neither waits nor does what another could see before cycle t.

    Registers, an instruction that begins, a unit that is idle and a count that is there already
    depend on nothing that the rest of the machine does until then. So the thread is visited
    when it has to do with others, and not after each scalar instruction.
    """
    now, kind, unit = s.now[0], s.rows[row].kind, s.rows[row].unit
    # The run stands still at its limit, and must be heard of between two calls of the loop.
    if t >= now.until or t - now.now >= WHEEL:
        return False
    now.visits += 1
    if kind == Kind.END or kind == Kind.SIGNAL:
        return False
    if kind == Kind.WAIT:
        return has_counted(s, tile, row, t)
    if kind == Kind.VECTOR or kind == Kind.SEND:
        return unit == 0 or s.unit[main + unit].mode == Mode.IDLE
    return True


@LIBRARY.defines(own.unit_started)
def unit_started(s: Machine, tile: int, main: int, thread: int, row: int, t: int) -> None:
    """What a unit was issued begins in a cycle that is known: no visit is needed for it."""
    if s.unit[thread].wake < s.now[0].until:
        begin(s, tile, thread - main, thread, row, s.unit[thread].wake)


@LIBRARY.defines(own.starts)
def starts(s: Machine, thread: int, row: int, t: int) -> None:
    """A new instruction may come to a group."""
    s.joined[thread] = 0


# --- a unit --------------------------------------------------------------------------------


@kernel
def step_unit(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Go on with whatever a unit is doing."""
    resume(s, tile, unit, thread, t)
    mode = s.unit[thread].mode
    if mode == Mode.FETCH:
        sequence(s, tile, thread, t)
        s.now[0].local = t
    elif mode == Mode.FINISH:
        finish(s, tile, unit, thread, t)
    elif mode == Mode.START:
        begin(s, tile, unit, thread, s.unit[thread].row, t)
    elif mode == Mode.ROWS:
        # Who comes to no group with its first row does not try again.
        if s.joined[thread] == ALONE or not join(s, tile, unit, thread, t):
            s.joined[thread] = ALONE
            run_row(s, tile, unit, thread, s.unit[thread].row, t)
    elif mode == Mode.SENDING:
        step_send(s, tile, unit, thread, t)
    else:
        send_control(s, tile, thread, t)


@kernel
def expect(s: Machine, tile: int) -> None:
    """Fetch what the visit of a tile begins with from memory while others are visited."""
    place = s.tile.ctypes.data + tile * TILE.itemsize
    for line in range(0, TILE.itemsize, LINE):
        prefetch(place + line)
    unit = s.unit.ctypes.data + tile * s.now[0].units * UNIT.itemsize
    for line in range(0, s.now[0].units * UNIT.itemsize, LINE):
        prefetch(unit + line)


@kernel
def visit_cores(s: Machine, t: int) -> None:
    """One cycle of all cores that are due."""
    now = s.now[0]
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        s.due[count] = tile
        count += 1
        tile = s.tile[tile].next
    now.visits += count
    units = now.units
    for index in range(count):
        if index + AHEAD < count:
            expect(s, s.due[index + AHEAD])
        tile = s.due[index]
        unlink(s, tile)
        base = tile * units
        for unit in range(1, units):
            while s.unit[base + unit].wake <= t and not stopped(s, tile, t):
                step_unit(s, tile, unit, base + unit, t)
        while s.unit[base].wake <= t and not stopped(s, tile, t):
            step_unit(s, tile, 0, base, t)
        soonest = NEVER
        for unit in range(units):
            soonest = min(soonest, s.unit[base + unit].wake)
        if soonest < NEVER:
            schedule(s, tile, max(soonest, t + 1))
