"""Units that run ahead of time: rows, instructions and the main thread, as far as is known."""

from __future__ import annotations

from wsc.runtime.clocked.basics import block, head_cell, moved, pop, schedule, tail_cell
from wsc.runtime.clocked.instructions import (
    begin,
    ends_group,
    finish,
    resume,
    starts_group,
    step_index,
    step_send,
)
from wsc.runtime.clocked.operands import FABRIC, row_level
from wsc.runtime.clocked.recording import BUSY, record, waited
from wsc.runtime.clocked.records import MOST_VISITS
from wsc.runtime.clocked.threads import sequence, stopped
from wsc.runtime.time.basics import beyond, enqueue, push
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import NEVER, Mode, Reason
from wsc.runtime.time.rows import settle_rows
from wsc.runtime.time.take import take_queued

TURN = 4096  # instructions of a unit before others have their turn
STRETCH = 1 << 20  # rows before others have theirs


@kernel
def wait_row(s: Machine, unit: int, thread: int, row: int, t: int) -> int:
    """The cycle in which the queues let a row start that could start in cycle t.

    Returns:
        NEVER if the unit is blocked, because a cycle is not known or beyond the limit.
    """
    level, first = s.rows[row].level, s.rows[row].operands
    count, tile = s.rows[row].count, thread // s.now[0].units
    for turn in range(1, count + 1):
        number = turn if turn < count else 0
        if s.operands[first + number].kind != FABRIC:
            continue
        advance, slot = s.operands[first + number].advance, s.unit_slot[thread, number]
        time, reason = t, Reason.INPUT
        if number > 0:
            if not starts_group(s, thread, advance, level):
                continue
            queue = s.slots[slot].input
            time = NEVER
            if s.fifos[queue].count > 0:
                time = s.cells[head_cell(s, queue)].time
            else:
                s.slots[slot].reader = unit
        elif ends_group(s, thread, advance, level):
            queue = s.slots[slot].output
            time, reason = NEVER, Reason.OUTPUT
            if s.fifos[queue].count < s.fifos[queue].depth:
                time = s.cells[tail_cell(s, queue)].time
            else:
                s.slots[slot].writer = unit
        if time > t:
            if beyond(s, time):
                block(s, thread, reason, slot, t)
                return NEVER
            waited(s, tile, thread, reason, slot, t, time - t)
            t = time
    return t


@kernel
def take(s: Machine, slot: int, t: int) -> None:
    """Take a wavelet from a core's input queue in cycle t."""
    queue = s.slots[slot].input
    s.slots[slot].reader = -1
    full = s.fifos[queue].count == s.fifos[queue].depth
    pop(s, queue, t)
    if full and s.fifos[slot].count > 0:
        enqueue(s, slot)


@kernel
def put(s: Machine, slot: int, control: int, t: int) -> None:
    """Put a wavelet into a core's output queue in cycle t."""
    s.slots[slot].writer = -1
    queue = s.slots[slot].output
    push(s, queue, control, t + 1)
    if s.fifos[queue].count == 1:  # else its head waits for something else
        s.occupied[s.slots[slot].tile].outputs |= 1 << s.slots[slot].bit
        enqueue(s, s.now[0].slots + slot)


@kernel
def stream_rows(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> bool:
    """``run_rows`` where every queue advances with every row, which is most of all work."""
    first, second, emits = s.forms[row].input, s.forms[row].second, s.forms[row].emits
    cycles, left = s.unit[thread].cycles, s.unit[thread].left
    most = min(left, STRETCH)
    slot1 = s.unit_slot[thread, first] if first >= 0 else 0
    slot2 = s.unit_slot[thread, second] if second >= 0 else 0
    slot0 = s.unit_slot[thread, 0] if emits else 0
    q1 = s.slots[slot1].input if first >= 0 else 0
    q2 = s.slots[slot2].input if second >= 0 else 0
    q0 = s.slots[slot0].output if emits else 0
    sink = s.forms[row].sink != 0 and s.now[0].trace == 0
    empty0 = emits != 0 and s.fifos[q0].count == 0
    full1 = first >= 0 and s.fifos[q1].count == s.fifos[q1].depth
    full2 = second >= 0 and s.fifos[q2].count == s.fifos[q2].depth
    done, ended, blocked = 0, t, Reason.NONE
    what = 0
    while done < most:
        if sink:
            some = take_queued(s, tile, thread, slot1, t, most - done, s.now[0].limit)
            if some > 0:
                done += some
                t = ended = s.fifos[q1].popped + cycles
                if done == most or beyond(s, t):
                    break
        if first >= 0:
            what, blocked = slot1, Reason.INPUT
            if s.fifos[q1].count == 0:
                s.slots[slot1].reader = unit
                break
            time = s.cells[head_cell(s, q1)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, thread, Reason.INPUT, what, t, time - t)
                t = time
        if second >= 0:
            what, blocked = slot2, Reason.INPUT
            if s.fifos[q2].count == 0:
                s.slots[slot2].reader = unit
                break
            time = s.cells[head_cell(s, q2)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, thread, Reason.INPUT, what, t, time - t)
                t = time
        if emits:
            what, blocked = slot0, Reason.OUTPUT
            if s.fifos[q0].count >= s.fifos[q0].depth:
                s.slots[slot0].writer = unit
                break
            time = s.cells[tail_cell(s, q0)].time
            if time > t:
                if beyond(s, time):
                    break
                waited(s, tile, thread, Reason.OUTPUT, what, t, time - t)
                t = time
        blocked = Reason.NONE
        if first >= 0:
            pop(s, q1, t)
        if second >= 0:
            pop(s, q2, t)
        if emits:
            push(s, q0, 0, t + 1)
        record(s, thread, BUSY, 0, t, cycles)
        done += 1
        t += cycles
        ended = t
        if beyond(s, t):
            break
    if blocked != Reason.NONE:
        block(s, thread, blocked, what, t)
    if done > 0:
        settle_rows(s, tile, unit, thread, row, done, ended)
        if first >= 0:
            s.slots[slot1].reader = unit if blocked == Reason.INPUT and what == slot1 else -1
            if full1 and s.fifos[slot1].count > 0:
                enqueue(s, slot1)
        if second >= 0:
            s.slots[slot2].reader = unit if blocked == Reason.INPUT and what == slot2 else -1
            if full2 and s.fifos[slot2].count > 0:
                enqueue(s, slot2)
        if emits:
            s.slots[slot0].writer = unit if blocked == Reason.OUTPUT else -1
            if empty0:
                s.occupied[tile].outputs |= 1 << s.slots[slot0].bit
                enqueue(s, s.now[0].slots + slot0)
    s.unit[thread].left = left - done
    if blocked == Reason.NONE:
        s.unit[thread].wake = t
    if done == most and done < left:
        enqueue(s, s.now[0].unit_tasks + thread)
    return done == left


@kernel
def run_rows(s: Machine, tile: int, unit: int, thread: int, t: int) -> bool:
    """Run the rows of an instruction from cycle t on; whether all are done."""
    row, ended = s.unit[thread].row, t
    if s.forms[row].simple != 0:
        return stream_rows(s, tile, unit, thread, row, t)
    level, first = row_level(s, row), s.rows[row].operands
    count = s.rows[row].count
    cycles, done, left = s.unit[thread].cycles, 0, s.unit[thread].left
    most = min(left, STRETCH)
    while done < most:
        start = wait_row(s, unit, thread, row, t)
        if start == NEVER:
            break
        t = s.now[0].local = start
        for number in range(1, count):
            if s.operands[first + number].kind == FABRIC and starts_group(
                s, thread, s.operands[first + number].advance, level
            ):
                take(s, s.unit_slot[thread, number], t)
        slot = s.unit_slot[thread, 0]
        if slot >= 0 and ends_group(s, thread, s.operands[first].advance, level):
            put(s, slot, 0, t)
        step_index(s, thread, level)
        record(s, thread, BUSY, 0, t, cycles)
        done += 1
        t += cycles
        ended = t
        if beyond(s, t):
            break
    s.unit[thread].left = left - done
    if s.unit[thread].reason == Reason.NONE:
        s.unit[thread].wake = t
    if done > 0:
        settle_rows(s, tile, unit, thread, row, done, ended)
    if done == most and done < left:
        enqueue(s, s.now[0].unit_tasks + thread)
    return done == left


@kernel
def send_control(s: Machine, tile: int, thread: int, t: int) -> bool:
    """Put a control wavelet into its queue, in cycle t or later; False while blocked."""
    slot = s.unit_slot[thread, 0]
    queue = s.slots[slot].output
    time = NEVER
    if s.fifos[queue].count < s.fifos[queue].depth:
        time = max(t, s.cells[tail_cell(s, queue)].time)
    else:
        s.slots[slot].writer = 0
    if beyond(s, time):
        block(s, thread, Reason.OUTPUT, slot, t)
        return False
    waited(s, tile, thread, Reason.OUTPUT, slot, t, time - t)
    record(s, thread, BUSY, 0, time, 1)
    put(s, slot, s.rows[s.unit[thread].row].control, time)
    s.unit[thread].mode = Mode.FETCH
    s.unit[thread].wake = time + 1
    s.counters[tile].busy += 1
    s.statements[s.unit[thread].statement].busy += 1
    moved(s, time)
    return True


@kernel
def run_unit(s: Machine, tile: int, unit: int, thread: int) -> None:
    """Run a unit until it waits, ends, or needs the order of time."""
    now = s.now[0]
    reason = s.unit[thread].reason
    if reason > Reason.OUTPUT:
        return
    if reason != Reason.NONE:
        s.unit[thread].wake = s.unit[thread].since
        s.unit[thread].reason = Reason.NONE
    for _ in range(TURN):
        if now.visits >= MOST_VISITS:
            break
        t, mode = s.unit[thread].wake, s.unit[thread].mode
        if mode == Mode.FINISH or mode == Mode.SENDING:
            schedule(s, tile, max(t, now.now + 1))
            return
        if mode == Mode.IDLE or mode == Mode.HALT or beyond(s, t):
            return
        now.local = t
        now.visits += 1
        if mode == Mode.ROWS:
            if not run_rows(s, tile, unit, thread, t):
                return
            s.unit[thread].mode = Mode.FETCH if unit == 0 else Mode.FINISH
        elif mode == Mode.START:
            begin(s, tile, unit, thread, s.unit[thread].row, t)
        elif mode == Mode.CONTROL:
            if not send_control(s, tile, thread, t):
                return
        else:
            sequence(s, tile, thread, t)
            if s.unit[thread].reason != Reason.NONE:
                if s.unit[thread].wake < NEVER:
                    schedule(s, tile, max(s.unit[thread].wake, now.now + 1))
                return
            if stopped(s, tile, t):
                return
    enqueue(s, now.unit_tasks + thread)


@kernel
def visit_core(s: Machine, tile: int, t: int) -> None:
    """What the units of a tile do in the order of time: signals, messages, ends of waits."""
    units = s.now[0].units
    base = tile * units
    for unit in range(1, units):
        thread = base + unit
        if s.unit[thread].wake <= t:
            mode = s.unit[thread].mode
            if mode == Mode.FINISH:
                finish(s, tile, unit, thread, t)
            elif mode == Mode.SENDING:
                resume(s, tile, unit, thread, t)
                step_send(s, tile, unit, thread, t)
    reason = s.unit[base].reason
    if s.unit[base].wake <= t:
        if s.unit[base].mode == Mode.SENDING:
            resume(s, tile, 0, base, t)
            step_send(s, tile, 0, base, t)
            if s.unit[base].mode == Mode.FETCH:
                enqueue(s, s.now[0].unit_tasks + base)
        elif reason > Reason.OUTPUT:
            time = max(t, s.unit[base].since)
            resume(s, tile, 0, base, time)
            s.unit[base].wake = time
            enqueue(s, s.now[0].unit_tasks + base)
    soonest = NEVER
    for unit in range(units):
        mode, reason = s.unit[base + unit].mode, s.unit[base + unit].reason
        if mode == Mode.FINISH or mode == Mode.SENDING or reason > Reason.OUTPUT:
            soonest = min(soonest, s.unit[base + unit].wake)
    if soonest < NEVER:
        schedule(s, tile, max(soonest, t + 1))
