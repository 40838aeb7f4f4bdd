"""One cycle of the cores: the main thread, and the visit of all units that are due."""

from __future__ import annotations

from wsc.isa.limits import MOST_WORD
from wsc.runtime.clocked.basics import (
    add_semaphore,
    block,
    delay,
    fault,
    fold,
    moved,
    schedule,
    unlink,
)
from wsc.runtime.clocked.instructions import resume, spend
from wsc.runtime.clocked.operands import reference, startup
from wsc.runtime.clocked.threads import calculate, call, enter_statement, stopped
from wsc.runtime.kernels.plain import holds
from wsc.runtime.reference.basics import shuffle
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.races import issued, queue_used, signalled, touch, waited
from wsc.runtime.reference.records import NEVER, WHEEL, Does, Fault, Mode, Reason
from wsc.runtime.reference.units import step_unit
from wsc.runtime.reference.vectors import capture
from wsc.runtime.routes import Scol
from wsc.runtime.tables import Col, Kind, Tcol


@kernel
def memory_word(s: Machine, tile: int, row: int) -> int:
    """Index of the word that ``i.load`` or ``i.store`` addresses, or -1 after a fault."""
    address = reference(s, s.rows[row, Col.B], tile)
    if address < 0 or address + 4 > s.now[0].bytes:
        fault(s, Fault.ADDRESS, tile, 0, row, address, s.now[0].bytes)
        return -1
    if address & 3:
        fault(s, Fault.ALIGNMENT, tile, 0, row, address, 4)
        return -1
    s.tile[tile].top = max(s.tile[tile].top, address + 4)
    s.counters[tile].sram += 4
    return (tile * s.now[0].bytes + address) >> 2


@kernel
def scalar(s: Machine, tile: int, row: int) -> None:
    """``i.*`` instructions on registers and words."""
    rows = s.rows
    kind = rows[row, Col.KIND]
    target = tile * s.now[0].registers + s.tile[tile].frame + rows[row, Col.A]
    if kind == Kind.SCALAR:
        a, b = reference(s, rows[row, Col.B], tile), reference(s, rows[row, Col.C], tile)
        calculate(s, tile, row, target, a, b)
        return
    word = memory_word(s, tile, row)
    if word >= 0:
        if s.now[0].races != 0:
            does = Does.READ if kind == Kind.LOAD else Does.WRITE
            touch(s, tile, tile * s.now[0].units, row, (word << 2) - tile * s.now[0].bytes, 4, does)
        if kind == Kind.LOAD:
            s.regs[target] = s.sram[word]
        else:
            s.sram[word] = reference(s, rows[row, Col.C], tile)


@kernel
def semaphore(s: Machine, tile: int, me: int, row: int, t: int) -> bool:
    """``wait`` and ``signal``; False while the count is not there."""
    rows = s.rows
    number = rows[row, Col.A]
    count = reference(s, rows[row, Col.B], tile)
    if count < 0:
        fault(s, Fault.NEGATIVE, tile, 0, row, count, 0)
        return False
    if rows[row, Col.KIND] == Kind.SIGNAL:
        add_semaphore(s, tile, number, count, t)
        if s.now[0].races != 0:
            signalled(s, tile, number, count)
        return True
    at = tile * s.now[0].semaphores + number
    fold(s, at, t)
    if s.semaphores[at].value < count:
        block(s, me, Reason.SEMAPHORE, number, t)
        s.unit[me].need = count
        if s.semaphores[at].added > 0:
            s.unit[me].wake = t + 1
        return False
    s.semaphores[at].value -= count
    if s.now[0].races != 0:
        waited(s, tile, row, number, count)
    return True


@kernel
def issue(s: Machine, tile: int, me: int, row: int, t: int) -> bool:
    """Issue an instruction on a stream unit; False while the unit is busy."""
    unit = s.rows[row, Col.UNIT]
    other = me + unit
    if s.unit[other].mode != Mode.IDLE:
        block(s, me, Reason.UNIT, unit, t)
        return False
    s.unit[other].statement = s.unit[me].statement
    if not prepare(s, tile, row, unit):
        return False
    if s.now[0].races != 0:
        issued(s, tile, me, other, row)
    s.unit[other].row = row
    s.unit[other].mode = Mode.START
    start = t + max(s.now[0].issue, 1)
    start += delay(s.now[0].seed, -1 - other, t)
    s.unit[other].wake = start
    spend(s, tile, 0, me, max(s.now[0].issue, 1), t)
    return True


@kernel
def prepare(s: Machine, tile: int, row: int, unit: int) -> bool:
    """Capture the operands; for a send also its target."""
    if not capture(s, tile, row, unit):
        return False
    if s.rows[row, Col.KIND] == Kind.SEND:
        region = s.tile[tile].region
        x = reference(s, s.rows[row, Col.B], tile)
        y = reference(s, s.rows[row, Col.C], tile)
        if x < 0 or y < 0 or x >= s.regions[region, 2] or y >= s.regions[region, 3]:
            fault(s, Fault.TARGET, tile, unit, row, x, y)
            return False
        me = tile * s.now[0].units + unit
        gx, gy = x + s.regions[region, 0], y + s.regions[region, 1]
        s.unit[me].target = gy * s.now[0].width + gx
        s.unit[me].phase = 0
        s.unit[me].cycles = max(s.timing[s.rows[row, Col.TIMING], Tcol.CYCLES], 1)
    return True


@kernel
def start_control(s: Machine, tile: int, me: int, row: int, t: int) -> None:
    """Start to send a control wavelet."""
    slot = s.slot_of[tile * s.now[0].colors + s.rows[row, Col.COLOR]]
    if slot < 0 or s.slots[slot, Scol.OUTPUT] < 0:
        fault(s, Fault.QUEUE, tile, 0, row, s.rows[row, Col.COLOR], 8)
        return
    if s.now[0].races != 0:
        queue_used(s, tile, me, row, slot, Does.PUT)
    s.unit_slot[me, 0] = slot
    s.unit[me].mode = Mode.CONTROL
    spend(s, tile, 0, me, startup(s, row), t)


@kernel
def sequence(s: Machine, tile: int, me: int, t: int) -> None:
    """Run the main thread in cycle t, until an instruction takes time, waits or is a vector one.

    A vector instruction or send is only prepared; whoever keeps the unit's time starts it.
    """
    rows, u = s.rows, s.unit
    frame0 = tile * s.now[0].registers
    s.now[0].local = t
    while not stopped(s, tile, t):
        row = s.tile[tile].pc
        kind, statement = rows[row, Col.KIND], rows[row, Col.STATEMENT]
        if statement >= 0 and statement != s.tile[tile].statement:
            enter_statement(s, tile, me, statement, t)
        u[me].row = row
        following = row + 1
        if kind == Kind.JUMP:
            s.tile[tile].pc = rows[row, Col.A]
            if s.now[0].jump > 0:
                spend(s, tile, 0, me, s.now[0].jump, t)
                return
            continue
        if kind == Kind.NEXT:
            register = frame0 + s.tile[tile].frame + rows[row, Col.C]
            nest = (tile * (s.now[0].calls + 1) + s.tile[tile].depth) * s.now[0].loops
            if s.regs[register] + 1 < s.loops[nest + rows[row, Col.D]]:
                s.regs[register] += 1
                following = rows[row, Col.A]
            s.tile[tile].pc = following
            if following != row + 1 and s.now[0].back > 0:
                spend(s, tile, 0, me, s.now[0].back, t)
                return
            continue
        if kind == Kind.RETURN:
            s.tile[tile].depth -= 1
            frame = (tile * s.now[0].calls + s.tile[tile].depth) * 2
            s.tile[tile].pc = s.frames[frame]
            s.tile[tile].frame = s.frames[frame + 1]
            continue
        if kind == Kind.END:
            enter_statement(s, tile, me, -1, t)
            u[me].mode = Mode.HALT
            u[me].wake = NEVER
            s.counters[tile].end = t
            moved(s, t - 1)
            return
        cycles = s.timing[rows[row, Col.TIMING], Tcol.STARTUP]
        if kind == Kind.VECTOR or kind == Kind.SEND:
            if rows[row, Col.UNIT] > 0:
                if not issue(s, tile, me, row, t):
                    return
            else:
                if not prepare(s, tile, row, 0):
                    return
                u[me].mode = Mode.START
            cycles = 0
        elif kind == Kind.CONTROL:
            start_control(s, tile, me, row, t)
            cycles = 0
        elif kind == Kind.WAIT or kind == Kind.SIGNAL:
            if not semaphore(s, tile, me, row, t):
                return
        elif kind == Kind.LOOP:
            count = reference(s, rows[row, Col.B], tile)
            if count > MOST_WORD:  # its register could not count so far
                fault(s, Fault.EXTENT, tile, 0, row, count, MOST_WORD)
                return
            nest = (tile * (s.now[0].calls + 1) + s.tile[tile].depth) * s.now[0].loops
            s.loops[nest + rows[row, Col.D]] = count
            s.regs[frame0 + s.tile[tile].frame + rows[row, Col.C]] = 0
            if count <= 0:
                following, cycles = rows[row, Col.A], s.now[0].taken
        elif kind == Kind.IF:
            left = reference(s, rows[row, Col.B], tile)
            right = reference(s, rows[row, Col.C], tile)
            if not holds(rows[row, Col.D], left, right):
                following, cycles = rows[row, Col.A], s.now[0].taken
        elif kind == Kind.CALL:
            following = call(s, tile, row, row)
        else:
            scalar(s, tile, row)
        s.counted[rows[row, Col.OPCODE]] += 1
        s.tile[tile].pc = following
        if cycles > 0:
            s.counters[tile].scalars += 1
            spend(s, tile, 0, me, cycles, t)
        if u[me].wake > t or u[me].mode != Mode.FETCH:
            return


@kernel
def core_phase(s: Machine, t: int) -> None:
    """One cycle of all cores that are due."""
    now = s.now[0]
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        following = s.tile[tile].next
        s.due[count] = tile
        count += 1
        tile = following
    now.visits += count
    if now.shuffle != 0:
        shuffle(s.due.ctypes.data, 0, count, now.shuffle + t)
    units = now.units
    for index in range(count):
        tile = s.due[index]
        unlink(s, tile)
        base = tile * units
        for unit in range(1, units):
            while s.unit[base + unit].wake <= t and not stopped(s, tile, t):
                step_unit(s, tile, unit, base + unit, t)
        while s.unit[base].wake <= t and not stopped(s, tile, t):
            resume(s, tile, 0, base, t)
            if s.unit[base].mode == Mode.FETCH:
                sequence(s, tile, base, t)
            else:
                step_unit(s, tile, 0, base, t)
        soonest = NEVER
        for unit in range(units):
            soonest = min(soonest, s.unit[base + unit].wake)
        if soonest < NEVER and now.error == 0:
            schedule(s, tile, max(soonest, t + 1))
