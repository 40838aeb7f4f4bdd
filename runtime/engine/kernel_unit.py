"""Units that run ahead of time: rows, instructions and the main thread, as far as is known."""

from __future__ import annotations

from wsc.runtime.engine.bits import bits_float
from wsc.runtime.engine.dispatch import inlined, int32, jit
from wsc.runtime.engine.kernel_common import (
    MOST_VISITS,
    beyond,
    block,
    enqueue,
    head_cell,
    moved,
    pop,
    push,
    schedule,
    tail_cell,
    value_in,
)
from wsc.runtime.engine.kernel_core import (
    begin,
    ends_group,
    finish,
    resume,
    starts_group,
    step_unit,
)
from wsc.runtime.engine.kernel_main import sequence, stopped
from wsc.runtime.engine.kernel_multiply import multiply_rows
from wsc.runtime.engine.kernel_rows import row_steps, settle_rows, step_index, sum_step
from wsc.runtime.engine.kernel_trace import BUSY, record
from wsc.runtime.engine.kernel_vector import FABRIC, axpy, row_level
from wsc.runtime.engine.layout import NEVER, C, F, G, Mode, P, Reason, State, U
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col, Ocol

TURN = 4096  # instructions or rows of a unit before others have their turn
STRETCH = 1 << 22  # steps of an instruction before others have theirs


@inlined
def rows_of_turn(s: State, me: int) -> int:
    """How many rows a unit executes before others have their turn."""
    return min(s.unit[me, U.LEFT], max(STRETCH // s.unit[me, U.STEPS], 1))


@jit
def wait_row(s: State, unit: int, me: int, row: int, t: int) -> int:
    """The cycle in which the queues let a row start that could start in cycle t.

    Returns:
        NEVER if the unit is blocked, because a cycle is not known or beyond the limit.
    """
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    count, tile = s.rows[row, Col.COUNT], me // s.g[G.UNITS]
    for turn in range(1, count + 1):
        k = turn if turn < count else 0
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        advance, slot = s.operands[operand + k, Ocol.ADVANCE], s.unit[me, U.SLOT + k]
        time, reason, column = t, Reason.INPUT, C.INPUT
        if k > 0:
            if not starts_group(s, me, advance, level):
                continue
            queue = s.slots[slot, Scol.INPUT]
            time = NEVER
            if s.fifos[queue, Fcol.COUNT] > 0:
                time = s.cells[head_cell(s.fifos, queue), 0]
            else:
                s.slots[slot, Scol.READER] = unit
        elif ends_group(s, me, advance, level):
            queue = s.slots[slot, Scol.OUTPUT]
            time, reason, column = NEVER, Reason.OUTPUT, C.OUTPUT
            if s.fifos[queue, Fcol.COUNT] < s.fifos[queue, Fcol.DEPTH]:
                time = s.cells[tail_cell(s.fifos, queue), 0]
            else:
                s.slots[slot, Scol.WRITER] = unit
        if time > t:
            if beyond(s, time):
                block(s, me, reason, slot, t)
                return NEVER
            if unit == 0:
                s.counters[tile, column] += time - t
            record(s, me, reason, t, time - t)
            t = time
    return t


@inlined
def take(s: State, slot: int, t: int) -> int:
    """Take a wavelet from a core's input queue in cycle t."""
    queue = s.slots[slot, Scol.INPUT]
    value = value_in(s, head_cell(s.fifos, queue))
    s.slots[slot, Scol.READER] = -1
    full = s.fifos[queue, Fcol.COUNT] == s.fifos[queue, Fcol.DEPTH]
    pop(s, queue, t)
    if full and s.fifos[slot, Fcol.COUNT] > 0:
        enqueue(s, slot)
    return value


@inlined
def put(s: State, slot: int, value: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue in cycle t."""
    s.slots[slot, Scol.WRITER] = -1
    queue = s.slots[slot, Scol.OUTPUT]
    push(s, queue, int32(value), control, t + 1)
    if s.fifos[queue, Fcol.COUNT] == 1:  # else its head waits for something else
        s.occupied[s.slots[slot, Scol.TILE], 1] |= 1 << s.slots[slot, Scol.BIT]
        enqueue(s, s.g[G.SLOTS] + slot)


@jit
def stream_rows(s: State, tile: int, unit: int, me: int, row: int, t: int) -> bool:
    """``run_rows`` where every queue advances with every row, which is most of all work."""
    u, fifos, cells = s.unit, s.fifos, s.cells
    first, second, emits = s.forms[row, F.INPUT], s.forms[row, F.SECOND], s.forms[row, F.EMITS]
    level, cycles, left = s.rows[row, Col.LEVEL], u[me, U.CYCLES], u[me, U.LEFT]
    most = rows_of_turn(s, me)
    slot1 = u[me, U.SLOT + first] if first >= 0 else 0
    slot2 = u[me, U.SLOT + second] if second >= 0 else 0
    slot0 = u[me, U.SLOT] if emits else 0
    q1 = s.slots[slot1, Scol.INPUT] if first >= 0 else 0
    q2 = s.slots[slot2, Scol.INPUT] if second >= 0 else 0
    q0 = s.slots[slot0, Scol.OUTPUT] if emits else 0
    sums = s.forms[row, F.SUM]
    axpy_form, bulk = s.forms[row, F.AXPY], s.forms[row, F.BULK] and s.g[G.TRACE] == 0
    empty0 = emits != 0 and fifos[q0, Fcol.COUNT] == 0
    full1 = first >= 0 and fifos[q1, Fcol.COUNT] == fifos[q1, Fcol.DEPTH]
    full2 = second >= 0 and fifos[q2, Fcol.COUNT] == fifos[q2, Fcol.DEPTH]
    done, ended, blocked = 0, t, Reason.NONE
    what = 0
    while done < most:
        if bulk:
            u[me, U.LEFT] = most - done
            some = multiply_rows(s, tile, me, row, level, t)
            if some > 0:
                done += some
                t = ended = u[me, U.WAKE]
                if beyond(s, t):
                    break
        if first >= 0:
            what, blocked = slot1, Reason.INPUT
            if fifos[q1, Fcol.COUNT] == 0:
                s.slots[slot1, Scol.READER] = unit
                break
            time = cells[head_cell(fifos, q1), 0]
            if time > t:
                if beyond(s, time):
                    break
                if unit == 0:
                    s.counters[tile, C.INPUT] += time - t
                record(s, me, Reason.INPUT, t, time - t)
                t = time
        if second >= 0:
            what, blocked = slot2, Reason.INPUT
            if fifos[q2, Fcol.COUNT] == 0:
                s.slots[slot2, Scol.READER] = unit
                break
            time = cells[head_cell(fifos, q2), 0]
            if time > t:
                if beyond(s, time):
                    break
                if unit == 0:
                    s.counters[tile, C.INPUT] += time - t
                record(s, me, Reason.INPUT, t, time - t)
                t = time
        if emits:
            what, blocked = slot0, Reason.OUTPUT
            if fifos[q0, Fcol.COUNT] >= fifos[q0, Fcol.DEPTH]:
                s.slots[slot0, Scol.WRITER] = unit
                break
            time = cells[tail_cell(fifos, q0), 0]
            if time > t:
                if beyond(s, time):
                    break
                if unit == 0:
                    s.counters[tile, C.OUTPUT] += time - t
                record(s, me, Reason.OUTPUT, t, time - t)
                t = time
        blocked = Reason.NONE
        if first >= 0:
            u[me, U.HELD + first] = value_in(s, head_cell(fifos, q1))
            pop(s, q1, t)
        if second >= 0:
            u[me, U.HELD + second] = value_in(s, head_cell(fifos, q2))
            pop(s, q2, t)
        if axpy_form:
            k = 3 - first
            scale = bits_float(int32(u[me, U.HELD + first]))
            base = tile * s.g[G.BYTES]
            axpy(
                s.f32, u[me, U.EXTENT + level], (base + u[me, U.AT]) >> 2,
                u[me, U.STRIDE + 4 * level] >> 2, (base + u[me, U.AT + k]) >> 2,
                u[me, U.STRIDE + 4 * level + k] >> 2, scale,
            )  # fmt: skip
        else:
            s.g[G.LOCAL] = t
            last = sum_step(s, tile, me, first) if sums else row_steps(s, tile, row, me, level)
            if emits:
                push(s, q0, int32(last), 0, t + 1)
        step_index(s, me, row, level)
        record(s, me, BUSY, t, cycles)
        done += 1
        t += cycles
        ended = t
        if beyond(s, t):
            break
    if blocked != Reason.NONE:
        block(s, me, blocked, what, t)
    if done > 0:
        settle_rows(s, tile, unit, me, row, done, ended)
        if first >= 0:
            s.slots[slot1, Scol.READER] = unit if blocked == Reason.INPUT and what == slot1 else -1
            if full1 and fifos[slot1, Fcol.COUNT] > 0:
                enqueue(s, slot1)
        if second >= 0:
            s.slots[slot2, Scol.READER] = unit if blocked == Reason.INPUT and what == slot2 else -1
            if full2 and fifos[slot2, Fcol.COUNT] > 0:
                enqueue(s, slot2)
        if emits:
            s.slots[slot0, Scol.WRITER] = unit if blocked == Reason.OUTPUT else -1
            if empty0:
                s.occupied[tile, 1] |= 1 << s.slots[slot0, Scol.BIT]
                enqueue(s, s.g[G.SLOTS] + slot0)
    u[me, U.LEFT] = left - done
    if blocked == Reason.NONE:
        u[me, U.WAKE] = t
    if done == most and done < left:
        enqueue(s, s.g[G.UNIT_TASKS] + me)
    return done == left


@jit
def run_rows(s: State, tile: int, unit: int, me: int, t: int) -> bool:
    """Run the rows of an instruction from cycle t on; whether all are done."""
    u = s.unit
    row, ended = u[me, U.ROW], t
    if s.forms[row, F.SIMPLE] != 0:
        return stream_rows(s, tile, unit, me, row, t)
    level, operand = row_level(s, row), s.rows[row, Col.OPERANDS]
    count = s.rows[row, Col.COUNT]
    cycles, done, left = u[me, U.CYCLES], 0, u[me, U.LEFT]
    most = rows_of_turn(s, me)
    while done < most:
        start = wait_row(s, unit, me, row, t)
        if start == NEVER:
            break
        t = s.g[G.LOCAL] = start
        for k in range(1, count):
            if s.operands[operand + k, Ocol.KIND] == FABRIC and starts_group(
                s, me, s.operands[operand + k, Ocol.ADVANCE], level
            ):
                u[me, U.HELD + k] = take(s, u[me, U.SLOT + k], t)
        last = row_steps(s, tile, row, me, level)
        slot = u[me, U.SLOT]
        if slot >= 0 and ends_group(s, me, s.operands[operand, Ocol.ADVANCE], level):
            put(s, slot, last, 0, t)
        step_index(s, me, row, level)
        record(s, me, BUSY, t, cycles)
        done += 1
        t += cycles
        ended = t
        if beyond(s, t):
            break
    u[me, U.LEFT] = left - done
    if u[me, U.REASON] == Reason.NONE:
        u[me, U.WAKE] = t
    if done > 0:
        settle_rows(s, tile, unit, me, row, done, ended)
    if done == most and done < left:
        enqueue(s, s.g[G.UNIT_TASKS] + me)
    return done == left


@jit
def send_control(s: State, tile: int, me: int, t: int) -> bool:
    """Put a control wavelet into its queue, in cycle t or later; False while blocked."""
    u = s.unit
    slot = u[me, U.SLOT]
    queue = s.slots[slot, Scol.OUTPUT]
    time = NEVER
    if s.fifos[queue, Fcol.COUNT] < s.fifos[queue, Fcol.DEPTH]:
        time = max(t, s.cells[tail_cell(s.fifos, queue), 0])
    else:
        s.slots[slot, Scol.WRITER] = 0
    if beyond(s, time):
        block(s, me, Reason.OUTPUT, slot, t)
        return False
    s.counters[tile, C.OUTPUT] += time - t
    record(s, me, Reason.OUTPUT, t, time - t)
    record(s, me, BUSY, time, 1)
    put(s, slot, 0, s.rows[u[me, U.ROW], Col.D], time)
    u[me, U.MODE] = Mode.FETCH
    u[me, U.WAKE] = time + 1
    s.counters[tile, C.BUSY] += 1
    s.statements[u[me, U.STATEMENT], P.BUSY] += 1
    moved(s, time)
    return True


@jit
def run_unit(s: State, tile: int, unit: int, me: int) -> None:
    """Run a unit until it waits, ends, or needs the order of time."""
    u, g = s.unit, s.g
    reason = u[me, U.REASON]
    if reason > Reason.OUTPUT:
        return
    if reason != Reason.NONE:
        u[me, U.WAKE] = u[me, U.SINCE]
        u[me, U.REASON] = Reason.NONE
    for _ in range(TURN):
        if g[G.VISITS] >= MOST_VISITS:
            break
        t, mode = u[me, U.WAKE], u[me, U.MODE]
        if mode == Mode.FINISH or mode == Mode.SENDING:
            schedule(s, tile, max(t, g[G.NOW] + 1))
            return
        if mode == Mode.IDLE or mode == Mode.HALT or beyond(s, t):
            return
        g[G.LOCAL] = t
        g[G.VISITS] += 1
        if mode == Mode.ROWS:
            if not run_rows(s, tile, unit, me, t):
                return
            u[me, U.MODE] = Mode.FETCH if unit == 0 else Mode.FINISH
        elif mode == Mode.START:
            begin(s, tile, unit, me, u[me, U.ROW], t)
            if u[me, U.MODE] == Mode.ROWS:
                for k in range(s.rows[u[me, U.ROW], Col.COUNT]):
                    u[me, U.AT + k] = u[me, U.BASE + k]
        elif mode == Mode.CONTROL:
            if not send_control(s, tile, me, t):
                return
        else:
            sequence(s, tile, me, t)
            if u[me, U.REASON] != Reason.NONE:
                if u[me, U.WAKE] < NEVER:
                    schedule(s, tile, max(u[me, U.WAKE], g[G.NOW] + 1))
                return
            if stopped(s, tile, t):
                return
    enqueue(s, g[G.UNIT_TASKS] + me)


@jit
def visit_core(s: State, tile: int, t: int) -> None:
    """What the units of a tile do in the order of time: signals, messages, ends of waits."""
    u, units = s.unit, s.g[G.UNITS]
    base = tile * units
    for unit in range(1, units):
        me = base + unit
        if u[me, U.WAKE] <= t:
            mode = u[me, U.MODE]
            if mode == Mode.FINISH:
                finish(s, tile, unit, me, t)
            elif mode == Mode.SENDING:
                step_unit(s, tile, unit, me, t)
    reason = u[base, U.REASON]
    if u[base, U.WAKE] <= t:
        if u[base, U.MODE] == Mode.SENDING:
            step_unit(s, tile, 0, base, t)
            if u[base, U.MODE] == Mode.FETCH:
                enqueue(s, s.g[G.UNIT_TASKS] + base)
        elif reason > Reason.OUTPUT:
            time = max(t, u[base, U.SINCE])
            resume(s, tile, 0, base, time)
            u[base, U.WAKE] = time
            enqueue(s, s.g[G.UNIT_TASKS] + base)
    soonest = NEVER
    for unit in range(units):
        mode, reason = u[base + unit, U.MODE], u[base + unit, U.REASON]
        if mode == Mode.FINISH or mode == Mode.SENDING or reason > Reason.OUTPUT:
            soonest = min(soonest, u[base + unit, U.WAKE])
    if soonest < NEVER:
        schedule(s, tile, max(soonest, t + 1))
