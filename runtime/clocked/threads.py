"""The main thread of a core: it goes through its rows of the code, and starts its stream units."""

from __future__ import annotations

from wsc.isa.limits import MOST_WORD
from wsc.runtime.clocked.basics import add_semaphore, block, delay, fault, fold, moved
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.instructions import begin, spend
from wsc.runtime.clocked.messages import HEADER
from wsc.runtime.clocked.operands import capture, reference, startup
from wsc.runtime.clocked.own import (
    count_taken,
    goes_ahead,
    leaves_statement,
    load_word,
    main_ended,
    queue_used,
    signalled,
    starts,
    store_word,
    unit_started,
)
from wsc.runtime.clocked.records import NEVER, Fault, Mode, Reason
from wsc.runtime.kernels.calls import look, operate
from wsc.runtime.kernels.plain import holds
from wsc.runtime.routes import Scol
from wsc.runtime.tables import Kind


@kernel
def stopped(s: Machine, tile: int, t: int) -> bool:
    """Whether a fault, here or in a tile that counts before this one, ends a tile's run."""
    now = s.now[0]
    if now.error == 0 or now.error_time > t:
        return False
    if now.error_time < t or now.error_tile < tile:
        return True
    return now.error_tile == tile and now.error_turn == 0


@kernel
def enter_statement(s: Machine, tile: int, main: int, statement: int, t: int) -> None:
    """The main thread goes on with another statement of main; -1 at its end."""
    here = s.tile[tile]
    old, number = here.statement, here.stay
    if old >= 0:
        s.statements[old].end = max(s.statements[old].end, t)
        s.statements[old].inside += t - here.entered
        if number >= 0:
            s.stays[number].end = max(s.stays[number].end, t)
            number += 1
            here.stay = number
    if statement >= 0:
        if number >= 0:
            s.stays[number].start = min(s.stays[number].start, t)
        s.statements[statement].start = min(s.statements[statement].start, t)
        s.unit[main].statement = statement
    here.statement = statement
    here.entered = t


# --- windows and loops --------------------------------------------------------------------


@kernel
def register_place(s: Machine, tile: int, number: int) -> int:
    """Where a register of the current window is."""
    return tile * s.now[0].registers + s.tile[tile].frame + number


@kernel
def loop_place(s: Machine, tile: int, nest: int) -> int:
    """Where the turns of a loop are noted; nest: loops around it in the current procedure."""
    return (tile * (s.now[0].calls + 1) + s.tile[tile].depth) * s.now[0].loops + nest


@kernel
def call(s: Machine, tile: int, row: int) -> int:
    """Enter a procedure: a new window, arguments first, all else zero. The next row."""
    now, here, callee = s.now[0], s.tile[tile], s.rows[row]
    new = here.frame + callee.window
    if here.depth >= now.calls:
        fault(s, Fault.CALLS, tile, 0, row, now.calls, 0)
        return row
    if new + callee.rank > now.registers:
        fault(s, Fault.REGISTERS, tile, 0, row, now.registers, 0)
        return row
    first = tile * now.registers + new
    for register in range(first, first + callee.rank):
        s.regs[register] = 0
    for argument in range(callee.count):
        s.regs[first + argument] = reference(s, s.lists[callee.dims + argument], tile)
    back = s.frames[tile * now.calls + here.depth]
    back.row, back.frame = row + 1, here.frame
    here.depth += 1
    here.frame = new
    return callee.branch


@kernel
def leave(s: Machine, tile: int) -> int:
    """Return from a procedure, to the window of its caller. The next row."""
    here = s.tile[tile]
    here.depth -= 1
    back = s.frames[tile * s.now[0].calls + here.depth]
    here.frame = back.frame
    return back.row


@kernel
def enter_loop(s: Machine, tile: int, row: int) -> int:
    """The head of a loop: its turns are evaluated once. The next row, or -1 after a fault."""
    loop = s.rows[row]
    turns = reference(s, loop.amount, tile)
    if turns > MOST_WORD:  # its register could not count so far
        fault(s, Fault.EXTENT, tile, 0, row, turns, MOST_WORD)
        return -1
    s.loops[loop_place(s, tile, loop.nest)] = turns
    s.regs[register_place(s, tile, loop.counter)] = 0
    return row + 1 if turns > 0 else loop.branch


@kernel
def end_turn(s: Machine, tile: int, row: int) -> int:
    """The end of a loop's body: another turn, or the row behind it. The next row."""
    loop = s.rows[row]
    counter = register_place(s, tile, loop.counter)
    if s.regs[counter] + 1 >= s.loops[loop_place(s, tile, loop.nest)]:
        return row + 1
    s.regs[counter] += 1
    return loop.branch


# --- scalar instructions ------------------------------------------------------------------


@kernel
def word_address(s: Machine, tile: int, row: int) -> int:
    """The address of ``i.load`` or ``i.store`` in the tile's SRAM, or -1 after a fault."""
    address = reference(s, s.rows[row].address, tile)
    if address < 0 or address + 4 > s.now[0].bytes:
        fault(s, Fault.ADDRESS, tile, 0, row, address, s.now[0].bytes)
        return -1
    if address & 3:
        fault(s, Fault.ALIGNMENT, tile, 0, row, address, 4)
        return -1
    s.tile[tile].top = max(s.tile[tile].top, address + 4)
    s.counters[tile].sram += 4
    return address


@kernel
def calculate(s: Machine, tile: int, row: int, left: int, right: int) -> None:
    """An operation on two words, by the compiled form of its value function."""
    words, opcode = s.words, s.rows[row].opcode
    words[1], words[2] = left, right
    base, domain = words.ctypes.data, s.domains[opcode]
    if domain != 0 and look(domain, base, base + 4, base + 8, base, 1) == 0:
        fault(s, Fault.DOMAIN, tile, 0, row, words[1], words[2])
        return
    operate(s.operations[opcode, 1], base, base + 4, base + 8, base + 8, 1)
    s.regs[register_place(s, tile, s.rows[row].target)] = words[0]


@kernel
def scalar(s: Machine, tile: int, row: int) -> None:
    """``i.*`` instructions on registers and words of SRAM."""
    instruction = s.rows[row]
    if instruction.kind == Kind.SCALAR:
        left = reference(s, instruction.left, tile)
        calculate(s, tile, row, left, reference(s, instruction.right, tile))
        return
    address = word_address(s, tile, row)
    if address < 0:
        return
    if instruction.kind == Kind.LOAD:
        word = load_word(s, tile, row, address)
        s.regs[register_place(s, tile, instruction.target)] = word
    else:
        store_word(s, tile, row, address, reference(s, instruction.right, tile))


# --- semaphores ---------------------------------------------------------------------------


@kernel
def semaphore(s: Machine, tile: int, main: int, row: int, t: int) -> bool:
    """``wait`` and ``signal``; False while the count is not there."""
    number, count = s.rows[row].semaphore, reference(s, s.rows[row].amount, tile)
    if count < 0:
        fault(s, Fault.NEGATIVE, tile, 0, row, count, 0)
        return False
    if s.rows[row].kind == Kind.SIGNAL:
        add_semaphore(s, tile, number, count, t)
        signalled(s, tile, number, count, t)
        return True
    # What was added in this very cycle can be seen in the next.
    place = tile * s.now[0].semaphores + number
    fold(s, place, t)
    held = s.semaphores[place]
    if held.value < count:
        block(s, main, Reason.SEMAPHORE, number, t)
        s.unit[main].need = count
        if held.added > 0:
            s.unit[main].wake = t + 1
        return False
    count_taken(s, tile, row, number, count, t)
    held.value -= count
    return True


# --- instructions for units ---------------------------------------------------------------


@kernel
def prepare(s: Machine, tile: int, row: int, unit: int) -> bool:
    """Capture the operands; for a send also its target."""
    if not capture(s, tile, row, unit):
        return False
    instruction = s.rows[row]
    if instruction.kind == Kind.SEND:
        region, state = s.regions[s.tile[tile].region], s.unit[tile * s.now[0].units + unit]
        x = reference(s, instruction.target_x, tile)
        y = reference(s, instruction.target_y, tile)
        if x < 0 or y < 0 or x >= region.width or y >= region.height:
            fault(s, Fault.TARGET, tile, unit, row, x, y)
            return False
        state.target = (y + region.top) * s.now[0].width + x + region.left
        state.phase = HEADER
        state.cycles = max(s.timing[instruction.timing].cycles, 1)
    return True


@kernel
def issue(s: Machine, tile: int, main: int, row: int, t: int) -> bool:
    """Issue an instruction on a stream unit; False while the unit is busy."""
    unit = s.rows[row].unit
    thread = main + unit
    state, cycles = s.unit[thread], max(s.now[0].issue, 1)
    if state.mode != Mode.IDLE:
        block(s, main, Reason.UNIT, unit, t)
        return False
    state.statement = s.unit[main].statement
    if not prepare(s, tile, row, unit):
        return False
    # The unit starts when the issue is over.
    state.row = row
    state.mode = Mode.START
    state.wake = t + cycles + delay(s.now[0].seed, -1 - thread, t)
    unit_started(s, tile, main, thread, row, t)
    spend(s, tile, 0, main, cycles, t)
    return True


@kernel
def start_control(s: Machine, tile: int, main: int, row: int, t: int) -> None:
    """Start to send a control wavelet."""
    color = s.rows[row].color
    slot = s.slot_of[tile * s.now[0].colors + color]
    if slot < 0 or s.slots[slot].output < 0:
        fault(s, Fault.QUEUE, tile, 0, row, color, Scol.OUTPUT)
        return
    queue_used(s, tile, main, row, slot, True)
    starts(s, main, row, t)
    s.unit_slot[main, 0] = slot
    s.unit[main].mode = Mode.CONTROL
    spend(s, tile, 0, main, startup(s, row), t)


# --- the main thread ----------------------------------------------------------------------


@kernel
def sequence(s: Machine, tile: int, main: int, t: int) -> None:
    """Run the main thread from cycle t on, until it waits, or its unit has rows to go.

    What takes time ends the visit, unless an engine lets the thread go ahead (``own.goes_ahead``).
    """
    here, state, now = s.tile[tile], s.unit[main], t
    while not stopped(s, tile, now):
        row = here.pc
        if now > t and not goes_ahead(s, tile, main, row, now):
            return
        s.now[0].local = now
        instruction = s.rows[row]
        kind = instruction.kind
        if instruction.statement >= 0 and instruction.statement != here.statement:
            leaves_statement(s, tile)
            enter_statement(s, tile, main, instruction.statement, now)
            starts(s, main, row, now)
        state.row = row
        # What only says where to go on is free, or takes what the fabric says of branches; the
        # thread's end is its end.
        if kind == Kind.JUMP:
            here.pc = instruction.branch
            if s.now[0].jump > 0:
                spend(s, tile, 0, main, s.now[0].jump, now)
                now = state.wake
            continue
        if kind == Kind.NEXT:
            here.pc = end_turn(s, tile, row)
            if here.pc != row + 1 and s.now[0].back > 0:
                spend(s, tile, 0, main, s.now[0].back, now)
                now = state.wake
            continue
        if kind == Kind.RETURN:
            here.pc = leave(s, tile)
            continue
        if kind == Kind.END:
            leaves_statement(s, tile)
            enter_statement(s, tile, main, -1, now)
            main_ended(s, main, now)
            state.mode = Mode.HALT
            state.wake = NEVER
            s.counters[tile].end = now
            moved(s, now - 1)
            return
        # All others count as instructions, and most take their start-up here and now. Of vector
        # instructions, sends and control wavelets the unit keeps the time.
        following, cycles = row + 1, s.timing[instruction.timing].startup
        if kind == Kind.VECTOR or kind == Kind.SEND:
            cycles = 0
            if instruction.unit > 0:
                if not issue(s, tile, main, row, now):
                    return
            else:
                if not prepare(s, tile, row, 0):
                    return
                begin(s, tile, 0, main, row, now)
        elif kind == Kind.CONTROL:
            cycles = 0
            start_control(s, tile, main, row, now)
        elif kind == Kind.WAIT or kind == Kind.SIGNAL:
            if not semaphore(s, tile, main, row, now):
                return
        elif kind == Kind.LOOP:
            following = enter_loop(s, tile, row)
            if following < 0:
                return
            if following != row + 1:
                cycles = s.now[0].taken
        elif kind == Kind.IF:
            left = reference(s, instruction.left, tile)
            right = reference(s, instruction.right, tile)
            if not holds(instruction.relation, left, right):
                following, cycles = instruction.branch, s.now[0].taken
        elif kind == Kind.CALL:
            following = call(s, tile, row)
        else:
            scalar(s, tile, row)
        s.counted[instruction.opcode] += 1
        here.pc = following
        if cycles > 0:
            s.counters[tile].scalars += 1
            spend(s, tile, 0, main, cycles, now)
        # Without cycles, and with nothing to wait for, the next instruction has this cycle too.
        if state.mode != Mode.FETCH:
            return
        now = max(now, state.wake)
