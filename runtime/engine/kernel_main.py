"""One cycle of the cores: the main thread, and the visit of all units that are due."""

from __future__ import annotations

import numpy as np

from wsc.isa.limits import MOST_WORD
from wsc.runtime.engine.dispatch import LIMITED, allowed, apply_int, inlined, int32, int64, jit
from wsc.runtime.engine.kernel_common import (
    add_semaphore,
    block,
    delay,
    enqueue,
    fault,
    fold,
    moved,
    schedule,
    unlink,
)
from wsc.runtime.engine.kernel_core import resume, spend, step_unit
from wsc.runtime.engine.kernel_races import issued, queue_used, signalled, touch, waited
from wsc.runtime.engine.kernel_vector import capture, reference
from wsc.runtime.engine.layout import NEVER, WHEEL, C, Fault, G, Mode, P, Reason, State, T, U
from wsc.runtime.engine.observed import Does
from wsc.runtime.routes import Scol
from wsc.runtime.tables import Col, Kind


@jit
def enter_statement(s: State, tile: int, me: int, statement: int, t: int) -> None:
    """The main thread goes on with another statement of main."""
    old, number = s.tile[tile, T.STATEMENT], s.tile[tile, T.PASS]
    if old >= 0:
        s.statements[old, P.END] = max(s.statements[old, P.END], t)
        if number >= 0:
            s.passes[number, 1] = max(s.passes[number, 1], t)
            number += 1
            s.tile[tile, T.PASS] = number
    if statement >= 0:
        if number >= 0:
            s.passes[number, 0] = min(s.passes[number, 0], t)
        s.statements[statement, P.START] = min(s.statements[statement, P.START], t)
        s.unit[me, U.STATEMENT] = statement
    s.tile[tile, T.STATEMENT] = statement


@jit
def holds(relation: int, left: int, right: int) -> bool:
    """The relations in the order of ``wsc.runtime.tables.RELATIONS``."""
    if relation == 0:
        return left == right
    if relation == 1:
        return left != right
    if relation == 2:
        return left < right
    if relation == 3:
        return left <= right
    return left > right if relation == 4 else left >= right


@jit
def call(s: State, tile: int, row: int, pc: int) -> int:
    """Enter a procedure: a new window, arguments first, all else zero. The next row."""
    g, rows = s.g, s.rows
    depth, frame = s.tile[tile, T.DEPTH], s.tile[tile, T.FRAME]
    new = frame + rows[row, Col.D]
    if depth >= g[G.CALLS]:
        fault(s, Fault.CALLS, tile, 0, row, g[G.CALLS], 0)
        return pc
    if new + rows[row, Col.RANK] > g[G.REGISTERS]:
        fault(s, Fault.REGISTERS, tile, 0, row, g[G.REGISTERS], 0)
        return pc
    start = tile * g[G.REGISTERS]
    for register in range(new, new + rows[row, Col.RANK]):
        s.regs[start + register] = 0
    for k in range(rows[row, Col.COUNT]):
        value = reference(s, s.lists[rows[row, Col.DIMS] + k], tile)
        s.regs[start + new + k] = int32(value)
    s.frames[(tile * g[G.CALLS] + depth) * 2] = pc + 1
    s.frames[(tile * g[G.CALLS] + depth) * 2 + 1] = frame
    s.tile[tile, T.DEPTH] = depth + 1
    s.tile[tile, T.FRAME] = new
    return rows[row, Col.A]


@jit
def memory_word(s: State, tile: int, row: int) -> int:
    """Index of the word that ``i.load`` or ``i.store`` addresses, or -1 after a fault."""
    address = reference(s, s.rows[row, Col.B], tile)
    if address < 0 or address + 4 > s.g[G.BYTES]:
        fault(s, Fault.ADDRESS, tile, 0, row, address, s.g[G.BYTES])
        return -1
    if address & 3:
        fault(s, Fault.ALIGNMENT, tile, 0, row, address, 4)
        return -1
    s.tile[tile, T.TOP] = max(s.tile[tile, T.TOP], address + 4)
    s.counters[tile, C.SRAM] += 4
    return (tile * s.g[G.BYTES] + address) >> 2


@jit
def scalar(s: State, tile: int, row: int) -> None:
    """``i.*`` instructions on registers and words."""
    rows = s.rows
    kind = rows[row, Col.KIND]
    target = tile * s.g[G.REGISTERS] + s.tile[tile, T.FRAME] + rows[row, Col.A]
    if kind == Kind.SCALAR:
        a, b = reference(s, rows[row, Col.B], tile), reference(s, rows[row, Col.C], tile)
        a, b = int64(int32(a)), int64(int32(b))
        opcode = rows[row, Col.OPCODE]
        if LIMITED[opcode] != 0 and not allowed(opcode, a, b):
            fault(s, Fault.DOMAIN, tile, 0, row, a, b)
            return
        s.regs[target] = int32(apply_int(opcode, a, b, int64(0)))
        return
    word = memory_word(s, tile, row)
    if word >= 0:
        if s.g[G.RACES] != 0:
            does = Does.READ if kind == Kind.LOAD else Does.WRITE
            touch(s, tile, tile * s.g[G.UNITS], row, (word << 2) - tile * s.g[G.BYTES], 4, does)
        if kind == Kind.LOAD:
            s.regs[target] = s.i32[word]
        else:
            s.i32[word] = int32(reference(s, rows[row, Col.C], tile))


@jit
def semaphore(s: State, tile: int, me: int, row: int, t: int) -> bool:
    """``wait`` and ``signal``; False while the count is not there."""
    rows = s.rows
    number = rows[row, Col.A]
    count = reference(s, rows[row, Col.B], tile)
    if count < 0:
        fault(s, Fault.NEGATIVE, tile, 0, row, count, 0)
        return False
    if rows[row, Col.KIND] == Kind.SIGNAL:
        add_semaphore(s, tile, number, count, t)
        if s.g[G.RACES] != 0:
            signalled(s, tile, number, count)
        return True
    at = tile * s.g[G.SEMAPHORES] + number
    fold(s, at, t)
    if s.semaphores[at, 0] < count:
        block(s, me, Reason.SEMAPHORE, number, t)
        s.unit[me, U.NEED] = count
        if s.semaphores[at, 1] > 0:
            s.unit[me, U.WAKE] = t + 1
        return False
    s.semaphores[at, 0] -= count
    if s.g[G.RACES] != 0:
        waited(s, tile, row, number, count)
    return True


@jit
def issue(s: State, tile: int, me: int, row: int, t: int) -> bool:
    """Issue an instruction on a stream unit; False while the unit is busy."""
    unit = s.rows[row, Col.UNIT]
    other = me + unit
    if s.unit[other, U.MODE] != Mode.IDLE:
        block(s, me, Reason.UNIT, unit, t)
        return False
    s.unit[other, U.STATEMENT] = s.unit[me, U.STATEMENT]
    if not prepare(s, tile, row, unit):
        return False
    if s.g[G.RACES] != 0:
        issued(s, tile, me, other, row)
    s.unit[other, U.ROW] = row
    s.unit[other, U.MODE] = Mode.START
    start = t + max(s.g[G.ISSUE], 1)
    start += delay(s.g[G.SEED], -1 - other, t)
    s.unit[other, U.WAKE] = start
    if s.g[G.AHEAD] != 0:
        enqueue(s, s.g[G.UNIT_TASKS] + other)
    spend(s, tile, 0, me, max(s.g[G.ISSUE], 1), t)
    return True


@jit
def prepare(s: State, tile: int, row: int, unit: int) -> bool:
    """Capture the operands; for a send also its target."""
    if not capture(s, tile, row, unit):
        return False
    if s.rows[row, Col.KIND] == Kind.SEND:
        region = s.tile[tile, T.REGION]
        x = reference(s, s.rows[row, Col.B], tile)
        y = reference(s, s.rows[row, Col.C], tile)
        if x < 0 or y < 0 or x >= s.regions[region, 2] or y >= s.regions[region, 3]:
            fault(s, Fault.TARGET, tile, unit, row, x, y)
            return False
        me = tile * s.g[G.UNITS] + unit
        gx, gy = x + s.regions[region, 0], y + s.regions[region, 1]
        s.unit[me, U.TARGET] = gy * s.g[G.WIDTH] + gx
        s.unit[me, U.PHASE] = 0
        s.unit[me, U.CYCLES] = max(s.timing[s.rows[row, Col.TIMING], 1], 1)
    return True


@jit
def start_control(s: State, tile: int, me: int, row: int, t: int) -> None:
    """Start to send a control wavelet."""
    slot = s.slot_of[tile * s.g[G.COLORS] + s.rows[row, Col.COLOR]]
    if slot < 0 or s.slots[slot, Scol.OUTPUT] < 0:
        fault(s, Fault.QUEUE, tile, 0, row, s.rows[row, Col.COLOR], 8)
        return
    if s.g[G.RACES] != 0:
        queue_used(s, tile, me, row, slot, Does.PUT)
    s.unit[me, U.SLOT] = slot
    s.unit[me, U.MODE] = Mode.CONTROL
    spend(s, tile, 0, me, s.timing[s.rows[row, Col.TIMING], 0], t)


@jit
def sequence(s: State, tile: int, me: int, t: int) -> None:
    """Run the main thread in cycle t, until an instruction takes time, waits or is a vector one.

    A vector instruction or send is only prepared; whoever keeps the unit's time starts it.
    """
    rows, u = s.rows, s.unit
    frame0 = tile * s.g[G.REGISTERS]
    s.g[G.LOCAL] = t
    while not stopped(s, tile, t):
        row = s.tile[tile, T.PC]
        kind, statement = rows[row, Col.KIND], rows[row, Col.STATEMENT]
        if statement >= 0 and statement != s.tile[tile, T.STATEMENT]:
            enter_statement(s, tile, me, statement, t)
        u[me, U.ROW] = row
        following = row + 1
        if kind == Kind.JUMP:
            s.tile[tile, T.PC] = rows[row, Col.A]
            continue
        if kind == Kind.NEXT:
            register = frame0 + s.tile[tile, T.FRAME] + rows[row, Col.C]
            nest = (tile * (s.g[G.CALLS] + 1) + s.tile[tile, T.DEPTH]) * s.g[G.LOOPS]
            if s.regs[register] + 1 < s.loops[nest + rows[row, Col.D]]:
                s.regs[register] += 1
                following = rows[row, Col.A]
            s.tile[tile, T.PC] = following
            continue
        if kind == Kind.RETURN:
            s.tile[tile, T.DEPTH] -= 1
            frame = (tile * s.g[G.CALLS] + s.tile[tile, T.DEPTH]) * 2
            s.tile[tile, T.PC] = s.frames[frame]
            s.tile[tile, T.FRAME] = s.frames[frame + 1]
            continue
        if kind == Kind.END:
            enter_statement(s, tile, me, -1, t)
            u[me, U.MODE] = Mode.HALT
            u[me, U.WAKE] = NEVER
            s.counters[tile, C.END] = t
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
                u[me, U.MODE] = Mode.START
            cycles = int64(0)
        elif kind == Kind.CONTROL:
            start_control(s, tile, me, row, t)
            cycles = int64(0)
        elif kind == Kind.WAIT or kind == Kind.SIGNAL:
            if not semaphore(s, tile, me, row, t):
                return
        elif kind == Kind.LOOP:
            count = reference(s, rows[row, Col.B], tile)
            if count > MOST_WORD:  # its register could not count so far
                fault(s, Fault.EXTENT, tile, 0, row, count, MOST_WORD)
                return
            nest = (tile * (s.g[G.CALLS] + 1) + s.tile[tile, T.DEPTH]) * s.g[G.LOOPS]
            s.loops[nest + rows[row, Col.D]] = count
            s.regs[frame0 + s.tile[tile, T.FRAME] + rows[row, Col.C]] = 0
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
        s.tile[tile, T.PC] = following
        if cycles > 0:
            s.counters[tile, C.SCALARS] += 1
            spend(s, tile, 0, me, cycles, t)
        if u[me, U.WAKE] > t or u[me, U.MODE] != Mode.FETCH:
            return


@inlined
def stopped(s: State, tile: int, t: int) -> bool:
    """Whether a fault, here or in a tile that counts before this one, ends a tile's run."""
    g = s.g
    if g[G.ERROR] == 0 or g[G.ERROR_TIME] > t:
        return False
    if g[G.ERROR_TIME] < t or g[G.ERROR_TILE] < tile:
        return True
    return g[G.ERROR_TILE] == tile and g[G.ERROR_TURN] == 0


@jit
def core_phase(s: State, t: int) -> None:
    """One cycle of all cores that are due."""
    g = s.g
    bucket, count = t & (WHEEL - 1), 0
    tile = s.wheel[bucket]
    while tile >= 0:
        following = s.tile[tile, T.NEXT]
        s.due[0, count] = tile
        count += 1
        tile = following
    g[G.VISITS] += count
    if g[G.SHUFFLE] != 0:
        shuffle(s.due, 0, count, g[G.SHUFFLE] + t)
    units = g[G.UNITS]
    for index in range(count):
        tile = s.due[0, index]
        unlink(s, tile)
        base = tile * units
        for unit in range(1, units):
            while s.unit[base + unit, U.WAKE] <= t and not stopped(s, tile, t):
                step_unit(s, tile, unit, base + unit, t)
        while s.unit[base, U.WAKE] <= t and not stopped(s, tile, t):
            resume(s, tile, 0, base, t)
            if s.unit[base, U.MODE] == Mode.FETCH:
                sequence(s, tile, base, t)
            else:
                step_unit(s, tile, 0, base, t)
        soonest = NEVER
        for unit in range(units):
            soonest = min(soonest, s.unit[base + unit, U.WAKE])
        if soonest < NEVER and g[G.ERROR] == 0:
            schedule(s, tile, max(soonest, t + 1))


@jit
def shuffle(items: np.ndarray, which: int, count: int, seed: int) -> None:
    """Visit in a random order, to show that the order does not matter."""
    h = int64(seed) & 0x7FFFFFFF
    for index in range(count - 1, 0, -1):
        h = (h * 1103515245 + 12345) & 0x7FFFFFFF
        other = (h >> 8) % (index + 1)
        items[which, index], items[which, other] = items[which, other], items[which, index]
