"""One cycle of the cores: the main thread, and the visit of all units that are due."""

from __future__ import annotations

from wsc.isa.limits import MOST_WORD
from wsc.runtime.clocked.basics import add_semaphore, block, delay, fault, fold, moved
from wsc.runtime.clocked.instructions import spend
from wsc.runtime.clocked.operands import reference
from wsc.runtime.clocked.threads import calculate, call, enter_statement, stopped
from wsc.runtime.kernels.plain import holds
from wsc.runtime.routes import Scol
from wsc.runtime.tables import Col, Kind
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.operands import capture
from wsc.runtime.time.records import NEVER, Fault, Mode, Reason


@kernel
def allowed_word(s: Machine, tile: int, row: int) -> bool:
    """Whether the word that ``i.load`` or ``i.store`` addresses is one; else a fault is noted."""
    address = reference(s, s.rows[row, Col.B], tile)
    if address < 0 or address + 4 > s.now[0].bytes:
        fault(s, Fault.ADDRESS, tile, 0, row, address, s.now[0].bytes)
        return False
    if address & 3:
        fault(s, Fault.ALIGNMENT, tile, 0, row, address, 4)
        return False
    s.tile[tile].top = max(s.tile[tile].top, address + 4)
    s.counters[tile].sram += 4
    return True


@kernel
def recorded(s: Machine, tile: int, row: int) -> int:
    """What ``i.load`` loaded in the run for values, if that decides anything here."""
    if s.deciding[row] == 0:
        return 0
    place = s.tile[tile].record
    if place >= s.record_first[tile + 1]:
        fault(s, Fault.RECORD, tile, 0, row, 0, 0)
        return 0
    s.tile[tile].record = place + 1
    return int(s.record[place])


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
    if allowed_word(s, tile, row) and kind == Kind.LOAD:
        s.regs[target] = recorded(s, tile, row)


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
        s.unit[me].cycles = max(s.timing[s.rows[row, Col.TIMING], 1], 1)
    return True


@kernel
def start_control(s: Machine, tile: int, me: int, row: int, t: int) -> None:
    """Start to send a control wavelet."""
    slot = s.slot_of[tile * s.now[0].colors + s.rows[row, Col.COLOR]]
    if slot < 0 or s.slots[slot, Scol.OUTPUT] < 0:
        fault(s, Fault.QUEUE, tile, 0, row, s.rows[row, Col.COLOR], 8)
        return
    s.unit_slot[me, 0] = slot
    s.unit[me].mode = Mode.CONTROL
    spend(s, tile, 0, me, s.timing[s.rows[row, Col.TIMING], 0], t)


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
            continue
        if kind == Kind.NEXT:
            register = frame0 + s.tile[tile].frame + rows[row, Col.C]
            nest = (tile * (s.now[0].calls + 1) + s.tile[tile].depth) * s.now[0].loops
            if s.regs[register] + 1 < s.loops[nest + rows[row, Col.D]]:
                s.regs[register] += 1
                following = rows[row, Col.A]
            s.tile[tile].pc = following
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
        cycles = s.timing[rows[row, Col.TIMING], 0]
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
                following = rows[row, Col.A]
        elif kind == Kind.IF:
            left = reference(s, rows[row, Col.B], tile)
            right = reference(s, rows[row, Col.C], tile)
            if not holds(rows[row, Col.D], left, right):
                following = rows[row, Col.A]
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
