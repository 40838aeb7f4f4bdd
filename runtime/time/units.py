"""Units that run ahead of time: rows, instructions and the main thread, as far as is known."""

from __future__ import annotations

from wsc.runtime.clocked.basics import block, head_cell, moved, pop, schedule, tail_cell
from wsc.runtime.clocked.instructions import ends_group, finish, resume, starts_group
from wsc.runtime.clocked.operands import row_level
from wsc.runtime.clocked.recording import BUSY, record, waited
from wsc.runtime.clocked.threads import stopped
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.tables import Col, Ocol
from wsc.runtime.time.basics import MOST_VISITS, beyond, enqueue, push
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.instructions import begin, step_send
from wsc.runtime.time.operands import FABRIC
from wsc.runtime.time.records import NEVER, Mode, Reason
from wsc.runtime.time.rows import settle_rows, step_index
from wsc.runtime.time.take import take_queued
from wsc.runtime.time.threads import sequence

TURN = 4096  # instructions of a unit before others have their turn
STRETCH = 1 << 20  # rows before others have theirs


@kernel
def wait_row(s: Machine, unit: int, me: int, row: int, t: int) -> int:
    """The cycle in which the queues let a row start that could start in cycle t.

    Returns:
        NEVER if the unit is blocked, because a cycle is not known or beyond the limit.
    """
    level, operand = s.rows[row, Col.LEVEL], s.rows[row, Col.OPERANDS]
    count, tile = s.rows[row, Col.COUNT], me // s.now[0].units
    for turn in range(1, count + 1):
        k = turn if turn < count else 0
        if s.operands[operand + k, Ocol.KIND] != FABRIC:
            continue
        advance, slot = s.operands[operand + k, Ocol.ADVANCE], s.unit_slot[me, k]
        time, reason = t, Reason.INPUT
        if k > 0:
            if not starts_group(s, me, advance, level):
                continue
            queue = s.slots[slot, Scol.INPUT]
            time = NEVER
            if s.fifos[queue, Fcol.COUNT] > 0:
                time = s.cells[head_cell(s, queue)].time
            else:
                s.slots[slot, Scol.READER] = unit
        elif ends_group(s, me, advance, level):
            queue = s.slots[slot, Scol.OUTPUT]
            time, reason = NEVER, Reason.OUTPUT
            if s.fifos[queue, Fcol.COUNT] < s.fifos[queue, Fcol.DEPTH]:
                time = s.cells[tail_cell(s, queue)].time
            else:
                s.slots[slot, Scol.WRITER] = unit
        if time > t:
            if beyond(s, time):
                block(s, me, reason, slot, t)
                return NEVER
            waited(s, tile, me, reason, slot, t, time - t)
            t = time
    return t


@kernel
def take(s: Machine, slot: int, t: int) -> None:
    """Take a wavelet from a core's input queue in cycle t."""
    queue = s.slots[slot, Scol.INPUT]
    s.slots[slot, Scol.READER] = -1
    full = s.fifos[queue, Fcol.COUNT] == s.fifos[queue, Fcol.DEPTH]
    pop(s, queue, t)
    if full and s.fifos[slot, Fcol.COUNT] > 0:
        enqueue(s, slot)


@kernel
def put(s: Machine, slot: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue in cycle t."""
    s.slots[slot, Scol.WRITER] = -1
    queue = s.slots[slot, Scol.OUTPUT]
    push(s, queue, control, t + 1)
    if s.fifos[queue, Fcol.COUNT] == 1:  # else its head waits for something else
        s.occupied[s.slots[slot, Scol.TILE]].outputs |= 1 << s.slots[slot, Scol.BIT]
        enqueue(s, s.now[0].slots + slot)


@kernel
def stream_rows(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> bool:
    """``run_rows`` where every queue advances with every row, which is most of all work."""
    u, fifos, cells = s.unit, s.fifos, s.cells
    first, second, emits = s.forms[row].input, s.forms[row].second, s.forms[row].emits
    cycles, left = u[me].cycles, u[me].left
    most = min(left, STRETCH)
    slot1 = s.unit_slot[me, first] if first >= 0 else 0
    slot2 = s.unit_slot[me, second] if second >= 0 else 0
    slot0 = s.unit_slot[me, 0] if emits else 0
    q1 = s.slots[slot1, Scol.INPUT] if first >= 0 else 0
    q2 = s.slots[slot2, Scol.INPUT] if second >= 0 else 0
    q0 = s.slots[slot0, Scol.OUTPUT] if emits else 0
    sink = s.forms[row].sink != 0 and s.now[0].trace == 0
    empty0 = emits != 0 and fifos[q0, Fcol.COUNT] == 0
    full1 = first >= 0 and fifos[q1, Fcol.COUNT] == fifos[q1, Fcol.DEPTH]
    full2 = second >= 0 and fifos[q2, Fcol.COUNT] == fifos[q2, Fcol.DEPTH]
    done, ended, blocked = 0, t, Reason.NONE
    what = 0
    while done < most:
        if sink:
            some = take_queued(s, tile, me, slot1, t, most - done, s.now[0].limit)
            if some > 0:
                done += some
                t = ended = fifos[q1, Fcol.POPPED] + cycles
                if done == most or beyond(s, t):
                    break
        if first >= 0:
            what, blocked = slot1, Reason.INPUT
            if fifos[q1, Fcol.COUNT] == 0:
                s.slots[slot1, Scol.READER] = unit
                break
            time = cells[head_cell(s, q1)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, me, Reason.INPUT, what, t, time - t)
                t = time
        if second >= 0:
            what, blocked = slot2, Reason.INPUT
            if fifos[q2, Fcol.COUNT] == 0:
                s.slots[slot2, Scol.READER] = unit
                break
            time = cells[head_cell(s, q2)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, me, Reason.INPUT, what, t, time - t)
                t = time
        if emits:
            what, blocked = slot0, Reason.OUTPUT
            if fifos[q0, Fcol.COUNT] >= fifos[q0, Fcol.DEPTH]:
                s.slots[slot0, Scol.WRITER] = unit
                break
            time = cells[tail_cell(s, q0)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, me, Reason.OUTPUT, what, t, time - t)
                t = time
        blocked = Reason.NONE
        if first >= 0:
            pop(s, q1, t)
        if second >= 0:
            pop(s, q2, t)
        if emits:
            push(s, q0, 0, t + 1)
        record(s, me, BUSY, 0, t, cycles)
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
                s.occupied[tile].outputs |= 1 << s.slots[slot0, Scol.BIT]
                enqueue(s, s.now[0].slots + slot0)
    u[me].left = left - done
    if blocked == Reason.NONE:
        u[me].wake = t
    if done == most and done < left:
        enqueue(s, s.now[0].unit_tasks + me)
    return done == left


@kernel
def run_rows(s: Machine, tile: int, unit: int, me: int, t: int) -> bool:
    """Run the rows of an instruction from cycle t on; whether all are done."""
    u = s.unit
    row, ended = u[me].row, t
    if s.forms[row].simple != 0:
        return stream_rows(s, tile, unit, me, row, t)
    level, operand = row_level(s, row), s.rows[row, Col.OPERANDS]
    count = s.rows[row, Col.COUNT]
    cycles, done, left = u[me].cycles, 0, u[me].left
    most = min(left, STRETCH)
    while done < most:
        start = wait_row(s, unit, me, row, t)
        if start == NEVER:
            break
        t = s.now[0].local = start
        for k in range(1, count):
            if s.operands[operand + k, Ocol.KIND] == FABRIC and starts_group(
                s, me, s.operands[operand + k, Ocol.ADVANCE], level
            ):
                take(s, s.unit_slot[me, k], t)
        slot = s.unit_slot[me, 0]
        if slot >= 0 and ends_group(s, me, s.operands[operand, Ocol.ADVANCE], level):
            put(s, slot, 0, t)
        step_index(s, me, level)
        record(s, me, BUSY, 0, t, cycles)
        done += 1
        t += cycles
        ended = t
        if beyond(s, t):
            break
    u[me].left = left - done
    if u[me].reason == Reason.NONE:
        u[me].wake = t
    if done > 0:
        settle_rows(s, tile, unit, me, row, done, ended)
    if done == most and done < left:
        enqueue(s, s.now[0].unit_tasks + me)
    return done == left


@kernel
def send_control(s: Machine, tile: int, me: int, t: int) -> bool:
    """Put a control wavelet into its queue, in cycle t or later; False while blocked."""
    u = s.unit
    slot = s.unit_slot[me, 0]
    queue = s.slots[slot, Scol.OUTPUT]
    time = NEVER
    if s.fifos[queue, Fcol.COUNT] < s.fifos[queue, Fcol.DEPTH]:
        time = max(t, s.cells[tail_cell(s, queue)].time)
    else:
        s.slots[slot, Scol.WRITER] = 0
    if beyond(s, time):
        block(s, me, Reason.OUTPUT, slot, t)
        return False
    waited(s, tile, me, Reason.OUTPUT, slot, t, time - t)
    record(s, me, BUSY, 0, time, 1)
    put(s, slot, s.rows[u[me].row, Col.D], time)
    u[me].mode = Mode.FETCH
    u[me].wake = time + 1
    s.counters[tile].busy += 1
    s.statements[u[me].statement].busy += 1
    moved(s, time)
    return True


@kernel
def run_unit(s: Machine, tile: int, unit: int, me: int) -> None:
    """Run a unit until it waits, ends, or needs the order of time."""
    u, now = s.unit, s.now[0]
    reason = u[me].reason
    if reason > Reason.OUTPUT:
        return
    if reason != Reason.NONE:
        u[me].wake = u[me].since
        u[me].reason = Reason.NONE
    for _ in range(TURN):
        if now.visits >= MOST_VISITS:
            break
        t, mode = u[me].wake, u[me].mode
        if mode == Mode.FINISH or mode == Mode.SENDING:
            schedule(s, tile, max(t, now.now + 1))
            return
        if mode == Mode.IDLE or mode == Mode.HALT or beyond(s, t):
            return
        now.local = t
        now.visits += 1
        if mode == Mode.ROWS:
            if not run_rows(s, tile, unit, me, t):
                return
            u[me].mode = Mode.FETCH if unit == 0 else Mode.FINISH
        elif mode == Mode.START:
            begin(s, tile, unit, me, u[me].row, t)
        elif mode == Mode.CONTROL:
            if not send_control(s, tile, me, t):
                return
        else:
            sequence(s, tile, me, t)
            if u[me].reason != Reason.NONE:
                if u[me].wake < NEVER:
                    schedule(s, tile, max(u[me].wake, now.now + 1))
                return
            if stopped(s, tile, t):
                return
    enqueue(s, now.unit_tasks + me)


@kernel
def visit_core(s: Machine, tile: int, t: int) -> None:
    """What the units of a tile do in the order of time: signals, messages, ends of waits."""
    u, units = s.unit, s.now[0].units
    base = tile * units
    for unit in range(1, units):
        me = base + unit
        if u[me].wake <= t:
            mode = u[me].mode
            if mode == Mode.FINISH:
                finish(s, tile, unit, me, t)
            elif mode == Mode.SENDING:
                step_send(s, tile, unit, me, t)
    reason = u[base].reason
    if u[base].wake <= t:
        if u[base].mode == Mode.SENDING:
            step_send(s, tile, 0, base, t)
            if u[base].mode == Mode.FETCH:
                enqueue(s, s.now[0].unit_tasks + base)
        elif reason > Reason.OUTPUT:
            time = max(t, u[base].since)
            resume(s, tile, 0, base, time)
            u[base].wake = time
            enqueue(s, s.now[0].unit_tasks + base)
    soonest = NEVER
    for unit in range(units):
        mode, reason = u[base + unit].mode, u[base + unit].reason
        if mode == Mode.FINISH or mode == Mode.SENDING or reason > Reason.OUTPUT:
            soonest = min(soonest, u[base + unit].wake)
    if soonest < NEVER:
        schedule(s, tile, max(soonest, t + 1))
