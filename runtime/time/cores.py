"""One cycle of the cores that are due: main threads, and units that are in no group."""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import block, fetch, fold, head_cell, pop, room, schedule, unlink
from wsc.runtime.clocked.instructions import (
    begin,
    finish,
    puts_here,
    resume,
    spend,
    step_index,
    step_send,
    takes_here,
)
from wsc.runtime.clocked.operands import account, reference, row_level
from wsc.runtime.clocked.records import FRAME, OPERANDS, UNIT
from wsc.runtime.clocked.threads import loop_place, register_place, sequence, stopped
from wsc.runtime.kernels.calls import prefetch
from wsc.runtime.observations.records import SEMAPHORE, TALLY
from wsc.runtime.routes import SLOT
from wsc.runtime.tables import FABRIC, LINE, Kind
from wsc.runtime.time.basics import list_slot, push
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel
from wsc.runtime.time.groups import join
from wsc.runtime.time.members import meets
from wsc.runtime.time.messages import await_network
from wsc.runtime.time.records import ALONE, NEVER, STATION, TILE, WHEEL, Mode, Reason, place_of
from wsc.runtime.time.stations import activate, mark
from wsc.runtime.time.tiles import has, lane_of

NEAR = 4  # tiles to be visited before one whose work is fetched from memory
TAKEN, PUT = place_of(STATION, "taken"), place_of(STATION, "put")
READERS, WRITERS = place_of(STATION, "readers"), place_of(STATION, "writers")


# --- the queues of a core -------------------------------------------------------------------


@kernel
def wavelet_there(s: Machine, slot: int, t: int) -> bool:
    """Whether a core can take a wavelet from its input queue."""
    if s.slots[slot].guided == 0:
        router = s.stations[s.slot_station[slot]]
        return has(router.in_has & ~router.taken, lane_of(s, slot))
    queue = s.slots[slot].input
    return s.fifos[queue].count > 0 and s.cells[head_cell(s, queue)].time <= t


@kernel
def room_there(s: Machine, slot: int, t: int) -> bool:
    """Whether a core can put a wavelet into its output queue."""
    if s.slots[slot].guided == 0:
        router = s.stations[s.slot_station[slot]]
        return has(router.out_room & ~router.put, lane_of(s, slot))
    return room(s, s.slots[slot].output, t)


@kernel
def await_wavelet(s: Machine, thread: int, unit: int, slot: int, t: int) -> None:
    """Wait for a wavelet in an input queue."""
    block(s, thread, Reason.INPUT, slot, t)
    meets(s, s.slots[slot].reader, unit)
    s.slots[slot].reader = unit
    if s.slots[slot].guided == 0:
        mark(s, s.slot_station[slot], READERS, lane_of(s, slot))
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
        mark(s, s.slot_station[slot], WRITERS, lane_of(s, slot))
        activate(s, s.slot_station[slot], t)


@kernel
def take(s: Machine, slot: int, unit: int, t: int) -> None:
    """Take a wavelet from an input queue."""
    meets(s, s.slots[slot].reader, unit)
    s.slots[slot].reader = -1
    if s.slots[slot].guided == 0:
        station = s.slot_station[slot]
        mark(s, station, TAKEN, lane_of(s, slot))
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
    if s.slots[slot].guided == 0:
        station = s.slot_station[slot]
        mark(s, station, PUT, lane_of(s, slot))
        activate(s, station, t)
        s.puts[slot] += 1
        return
    push(s, s.slots[slot].output, control, t + 1)
    list_slot(s, slot)


# --- a row ----------------------------------------------------------------------------------


@kernel
def row_ready(s: Machine, unit: int, thread: int, row: int, t: int) -> bool:
    """Whether every queue lets the row start; otherwise the unit waits for the first."""
    instruction = s.rows[row]
    level = instruction.level
    # The sources in their order, then the destination, which is operand 0.
    for turn in range(1, instruction.count + 1):
        number = turn if turn < instruction.count else 0
        operand = s.operands[instruction.operands + number]
        if operand.kind != FABRIC:
            continue
        slot = s.unit_slot[thread, number]
        if number > 0:
            if takes_here(s, thread, operand.advance, level) and not wavelet_there(s, slot, t):
                await_wavelet(s, thread, unit, slot, t)
                return False
        elif puts_here(s, thread, operand.advance, level) and not room_there(s, slot, t):
            await_room(s, thread, unit, slot, t)
            return False
    return True


@kernel
def run_row(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start one row of an instruction, if its queues allow."""
    if not row_ready(s, unit, thread, row, t):
        return
    instruction, state, level = s.rows[row], s.unit[thread], row_level(s, row)
    # It takes the wavelets of its sources now. Its result is in the output queue in the next cycle,
    # whatever the row takes.
    for number in range(1, instruction.count):
        operand = s.operands[instruction.operands + number]
        if operand.kind == FABRIC and takes_here(s, thread, operand.advance, level):
            take(s, s.unit_slot[thread, number], unit, t)
    slot, result = s.unit_slot[thread, 0], s.operands[instruction.operands]
    if slot >= 0 and puts_here(s, thread, result.advance, level):
        put(s, slot, unit, 0, t)
    account(s, tile, row, thread, state.steps)
    state.left -= 1
    if s.profiles[row].indexed != 0:
        step_index(s, thread, level)
    if state.left == 0:
        state.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, state.cycles, t)


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
    s.member[thread].rows = 0


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
        member = s.member[thread]
        if member.rows == ALONE or not join(s, tile, unit, thread, t):
            member.rows = ALONE
            run_row(s, tile, unit, thread, s.unit[thread].row, t)
    elif mode == Mode.SENDING:
        step_send(s, tile, unit, thread, t)
        if s.unit[thread].reason == Reason.DYNAMIC:
            await_network(s, tile)
    else:
        send_control(s, tile, thread, t)


@kernel
def fetch_tile(s: Machine, tile: int) -> None:
    """Fetch a tile and its units from memory while others are visited."""
    main, units = tile * s.now[0].units, s.now[0].units
    fetch(s.tile.ctypes.data + tile * TILE.itemsize, TILE.itemsize)
    fetch(s.unit.ctypes.data + main * UNIT.itemsize, units * UNIT.itemsize)
    fetch(s.unit_slot.ctypes.data + main * OPERANDS * 8, units * OPERANDS * 8)


@kernel
def fetch_work(s: Machine, tile: int, t: int) -> None:
    """The same for what its units are going to look at, which is known by then."""
    now, main, first = s.now[0], tile * s.now[0].units, tile * s.now[0].semaphores
    for thread in range(main, main + now.units):
        if s.unit[thread].wake > t:
            continue
        if s.unit[thread].mode == Mode.ROWS:
            for number in range(3):  # the operands of nearly all instructions
                slot = s.unit_slot[thread, number]
                if slot >= 0:
                    prefetch(s.slots.ctypes.data + slot * SLOT.itemsize)
                    prefetch(s.slot_station.ctypes.data + slot * 8)
        elif s.unit[thread].mode == Mode.FINISH:
            done = first + s.rows[s.unit[thread].row].done
            prefetch(s.semaphores.ctypes.data + done * SEMAPHORE.itemsize)
        elif s.unit[thread].mode == Mode.FETCH:
            here = s.tile[tile]
            fetch(s.loops.ctypes.data + loop_place(s, tile, 0) * 4, LINE)
            prefetch(s.frames.ctypes.data + (tile * now.calls + here.depth) * FRAME.itemsize)
            fetch(s.regs.ctypes.data + register_place(s, tile, 0) * 4, 2 * LINE)
            fetch(s.semaphores.ctypes.data + first * SEMAPHORE.itemsize, 2 * LINE)
            fetch(s.counters.ctypes.data + tile * TALLY.itemsize, TALLY.itemsize)


@kernel
def visit_cores(s: Machine, t: int) -> None:
    """One cycle of all cores that are due."""
    # Tiles of this cycle first: whoever is scheduled anew while they are visited is for later.
    now = s.now[0]
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        s.due[count] = tile
        count += 1
        tile = s.appointments[tile].next
    now.visits += count
    units = now.units
    for index in range(count):
        if index + 2 * NEAR < count:
            fetch_tile(s, s.due[index + 2 * NEAR])
        if index + NEAR < count:
            fetch_work(s, s.due[index + NEAR], t)
        tile = s.due[index]
        unlink(s, tile)
        # Stream units before the main thread, so that it finds the signals of those that end. Each
        # goes on as long as what it does takes no time.
        base = tile * units
        for unit in range(1, units):
            while s.unit[base + unit].wake <= t and not stopped(s, tile, t):
                step_unit(s, tile, unit, base + unit, t)
        while s.unit[base].wake <= t and not stopped(s, tile, t):
            step_unit(s, tile, 0, base, t)
        # The tile comes again when the first of its units has something to do.
        soonest = NEVER
        for unit in range(units):
            soonest = min(soonest, s.unit[base + unit].wake)
        if soonest < NEVER:
            schedule(s, tile, max(soonest, t + 1))
