"""Threads: the main threads of neighbouring rows, interpreted together while they agree."""

from __future__ import annotations

from wsc.isa.limits import MOST_WORD
from wsc.runtime.kernels.plain import holds
from wsc.runtime.tables import Col, Kind
from wsc.runtime.values.compiled import Machine, kernel, look, operate
from wsc.runtime.values.multiply import multiply
from wsc.runtime.values.records import Fault, Standing
from wsc.runtime.values.remote import SLOPE, TARGET_X, TARGET_Y, elsewhere, push_words
from wsc.runtime.values.routers import send_run
from wsc.runtime.values.tasks import (
    ADDRESS,
    ALIGNMENT,
    EXTENT,
    KIND,
    OUT_COLUMN,
    OUTPUT,
    QUEUE,
    SEND,
    UNIT,
    account,
    capture,
    fail,
    finish,
    reference,
    try_task,
)
from wsc.runtime.values.vector import (
    CODE,
    COUNT,
    DOMAIN,
    F16,
    LEVEL,
    OF_TYPE,
    OPERANDS,
    PRODUCTS,
    RANK,
    calculate,
    place,
)

ARGUMENTS, COLOR = int(Col.DIMS), int(Col.COLOR)
SCALAR, LOAD, STORE, VECTOR = int(Kind.SCALAR), int(Kind.LOAD), int(Kind.STORE), int(Kind.VECTOR)
CONTROL, WAIT, SIGNAL = int(Kind.CONTROL), int(Kind.WAIT), int(Kind.SIGNAL)
LOOP, NEXT, IF, JUMP = int(Kind.LOOP), int(Kind.NEXT), int(Kind.IF), int(Kind.JUMP)
CALL, RETURN, HALT = int(Kind.CALL), int(Kind.RETURN), int(Kind.END)
RUNS, TASK, SEMAPHORE = int(Standing.RUNS), int(Standing.TASK), int(Standing.SEMAPHORE)
BUSY, HALTED = int(Standing.UNIT), int(Standing.HALTED)
NEGATIVE, TARGET, CALLS = int(Fault.NEGATIVE), int(Fault.TARGET), int(Fault.CALLS)
REGISTERS, STATEMENT = int(Fault.REGISTERS), int(Col.STATEMENT)
SCALAR_WORK = 64  # steps of vector instructions that take as long as one that a thread interprets


@kernel
def split_thread(m: Machine, thread: int, at: int) -> None:
    """The rows of a thread from ``at`` on become a thread of their own, in the same state."""
    y = thread % m.now[0].height
    if at >= m.threads[thread].end:
        return
    other = thread + at - y
    a, b = m.threads[thread], m.threads[other]
    b.end, b.state, b.row, b.frame = a.end, a.state, a.row, a.frame
    b.top, b.depth, b.region, b.statement = a.top, a.depth, a.region, a.statement
    for i in range(m.now[0].registers):
        m.regs[other * m.now[0].registers + i] = m.regs[thread * m.now[0].registers + i]
    for i in range(m.now[0].loop_words):
        m.loops[other * m.now[0].loop_words + i] = m.loops[thread * m.now[0].loop_words + i]
    for i in range(m.now[0].frame_words):
        m.frames[other * m.now[0].frame_words + i] = m.frames[thread * m.now[0].frame_words + i]
    m.threads[thread].end = at
    m.dirty[thread // m.now[0].height] = 1


@kernel
def decide(m: Machine, thread: int, row: int) -> bool:
    """Whether the condition of an ``if`` holds; rows that decide otherwise are split off."""
    now = m.now
    left_ref, right_ref, relation = (
        m.rows[row, Col.LEFT],
        m.rows[row, Col.RIGHT],
        m.rows[row, Col.RELATION],
    )
    left, right = reference(m, thread, left_ref), reference(m, thread, right_ref)
    answer = holds(relation, left, right)
    end = m.threads[thread].end
    if now[0].row_end < end:
        t, y = m.threads[thread], thread % now[0].height
        top, x = m.regions[t.region, 1], thread // now[0].height - m.regions[t.region, 0]
        left_at = m.refs[left_ref, 0] + x * m.refs[left_ref, 1]
        right_at = m.refs[right_ref, 0] + x * m.refs[right_ref, 1]
        left -= m.pool[left_at + (y - top) * m.refs[left_ref, 2]]
        right -= m.pool[right_at + (y - top) * m.refs[right_ref, 2]]
        other = y + 1
        while other < end:
            one = left + m.pool[left_at + (other - top) * m.refs[left_ref, 2]]
            two = right + m.pool[right_at + (other - top) * m.refs[right_ref, 2]]
            if holds(relation, one, two) != answer:
                break
            other += 1
        now[0].row_end = other
    return answer


@kernel
def call(m: Machine, thread: int, row: int) -> int:
    """Enter a procedure: a new window, arguments first, all else zero. The next row."""
    now, t = m.now, m.threads[thread]
    depth, new = t.depth, t.frame + m.rows[row, Col.WINDOW]
    if depth >= now[0].calls:
        fail(m, CALLS, thread, 0, row, now[0].calls, 0)
        return row
    if new + m.rows[row, RANK] > now[0].registers:
        fail(m, REGISTERS, thread, 0, row, now[0].registers, 0)
        return row
    count = m.rows[row, COUNT]
    for register in range(new + count, new + m.rows[row, RANK]):
        m.regs[thread * m.now[0].registers + register] = 0
    for k in range(count):
        m.regs[thread * m.now[0].registers + new + k] = reference(
            m, thread, m.lists[m.rows[row, ARGUMENTS] + k]
        )
    split_thread(m, thread, now[0].row_end)
    (
        m.frames[thread * m.now[0].frame_words + 2 * depth],
        m.frames[thread * m.now[0].frame_words + 2 * depth + 1],
    ) = row + 1, t.frame
    m.threads[thread].depth = depth + 1
    m.threads[thread].frame = new
    m.threads[thread].top = new + m.rows[row, RANK]
    return m.rows[row, Col.BRANCH]


@kernel
def word_address(m: Machine, thread: int, row: int) -> int:
    """Address of the word that ``i.load`` or ``i.store`` names in the first row, or -1."""
    now = m.now
    address = reference(m, thread, m.rows[row, Col.ADDRESS])
    if address < 0 or address + 4 > now[0].bytes:
        fail(m, ADDRESS, thread, 0, row, address, now[0].bytes)
        return -1
    if address & 3:
        fail(m, ALIGNMENT, thread, 0, row, address, 4)
        return -1
    now[0].sram_top = max(now[0].sram_top, address + 4)
    x, y = thread // now[0].height, thread % now[0].height
    return now[0].memory + (x * now[0].words + (address >> 2)) * now[0].height + y


@kernel
def scalar(m: Machine, thread: int, row: int) -> None:
    """``i.*`` instructions on registers and words."""
    now, kind, y = m.now, m.rows[row, KIND], thread % m.now[0].height
    target = m.threads[thread].frame + m.rows[row, Col.TARGET]
    if kind == SCALAR:
        a = reference(m, thread, m.rows[row, Col.LEFT])
        b = reference(m, thread, m.rows[row, Col.RIGHT])
        # Operands and result are words of the band's scratch.
        own = now[0].buffers
        m.words[own + 1], m.words[own + 2] = a, b
        base, domain = m.words.ctypes.data + 4 * own, m.domains[m.rows[row, CODE]]
        if domain != 0 and look(domain, base, base + 4, base + 8, base, 1) == 0:
            fail(m, DOMAIN, thread, 0, row, m.words[own + 1], m.words[own + 2])
            return
        split_thread(m, thread, now[0].row_end)
        operate(m.operations[m.rows[row, CODE], 1], base, base + 4, base + 8, base + 8, 1)
        m.regs[thread * m.now[0].registers + target] = m.words[own]
        return
    word = word_address(m, thread, row)
    if word < 0:
        return
    if kind == LOAD:
        value, other = m.words[word], y + 1
        while other < now[0].row_end and m.words[word + other - y] == value:
            other += 1
        now[0].row_end = other
        split_thread(m, thread, other)
        m.regs[thread * m.now[0].registers + target] = value
        if m.deciding[row] != 0:
            note = now[0].noted
            m.notes[note, 0], m.notes[note, 1], m.notes[note, 2] = thread, other - y, value
            now[0].noted = note + 1
    else:
        value = reference(m, thread, m.rows[row, Col.RIGHT])
        for lane in range(now[0].row_end - y):
            m.words[word + lane] = value
    now[0].sram_bytes += 4 * (now[0].row_end - y)


@kernel
def signal(m: Machine, thread: int, row: int) -> None:
    """``signal``: add to a semaphore in all rows."""
    now, y = m.now, thread % m.now[0].height
    count = reference(m, thread, m.rows[row, Col.AMOUNT])
    if count < 0:
        fail(m, NEGATIVE, thread, 0, row, count, 0)
        return
    x = thread // now[0].height
    start = (x * now[0].semaphores + m.rows[row, Col.SEMAPHORE]) * now[0].height
    semaphores = m.semaphores
    for at in range(start + y, start + now[0].row_end):
        semaphores[at] += count


@kernel
def wait(m: Machine, thread: int, row: int) -> bool:
    """``wait``; False while some row does not have the count.

    Where parts may go on, the rows behind the first that differs are split off.
    """
    now, y = m.now, thread % m.now[0].height
    count = reference(m, thread, m.rows[row, Col.AMOUNT])
    if count < 0:
        fail(m, NEGATIVE, thread, 0, row, count, 0)
        return False
    x = thread // now[0].height
    start = (x * now[0].semaphores + m.rows[row, Col.SEMAPHORE]) * now[0].height
    semaphores, last = m.semaphores, now[0].row_end
    enough, other = semaphores[start + y] >= count, y + 1
    while other < last and (semaphores[start + other] >= count) == enough:
        other += 1
    if other < now[0].row_end:
        if now[0].mode == 0:
            return False
        now[0].row_end = other
    if enough:
        for at in range(start + y, start + other):
            semaphores[at] -= count
    return enough


@kernel
def unit_free(m: Machine, thread: int, unit: int) -> bool:
    """Whether a stream unit is free in all rows; in other modes those that differ part."""
    now, y = m.now, thread % m.now[0].height
    start = (thread // now[0].height * now[0].units + unit) * now[0].height
    owner, last = m.owner, now[0].row_end
    free, other = owner[start + y] == 0, y + 1
    while other < last and (owner[start + other] == 0) == free:
        other += 1
    if other < now[0].row_end:
        if now[0].mode == 0:
            return False
        now[0].row_end = other
    return free


@kernel
def send(m: Machine, thread: int, row: int, task: int, total: int) -> None:
    """Find the target of a remote store, and count what it does."""
    now, height = m.now, m.now[0].height
    t, unit, y = m.threads[thread], m.rows[row, UNIT], thread % m.now[0].height
    operand = m.rows[row, OPERANDS]
    tx = reference(m, thread, m.rows[row, Col.TARGET_X])
    end = now[0].row_end
    # The target's row may go on with the sender's: rows are then sent together.
    ref = m.rows[row, Col.TARGET_Y]
    now[0].row_end = y + 1
    ty = reference(m, thread, ref)
    now[0].row_end = end
    region = m.regions[t.region]
    at = m.refs[ref, 0] + (thread // height - region[0]) * m.refs[ref, 1]
    at += (y - region[1]) * m.refs[ref, 2]
    slope, other = 0, y + 1
    if other < end and m.refs[ref, 2] != 0:
        slope = m.pool[at + m.refs[ref, 2]] - m.pool[at]
        slope = min(max(slope, 0), 1)
        while other < end and m.pool[at + (other - y) * m.refs[ref, 2]] == m.pool[at] + slope * (
            other - y
        ):
            other += 1
        now[0].row_end = other
    lanes = now[0].row_end - y
    last = ty + slope * (lanes - 1)
    if slope == 1 and last >= region[3] > ty:
        now[0].row_end = y + region[3] - ty
        lanes = now[0].row_end - y
    if tx < 0 or ty < 0 or tx >= region[2] or ty >= region[3]:
        fail(m, TARGET, thread, unit, row, tx, ty)
        return
    if total == 0:
        return
    x, gx, gy = thread // height, tx + region[0], ty + region[1]
    m.bases[task, TARGET_X], m.bases[task, TARGET_Y], m.held[task, SLOPE] = gx, gy, slope
    size, inner = 2 if m.operands[operand, OF_TYPE] == F16 else 4, 1
    if m.rows[row, RANK] > 0:
        inner = m.extents[task, m.rows[row, RANK] - 1]
    far = abs(gx - x) * lanes
    for lane in range(lanes):
        far += abs(gy + slope * lane - y - lane)
    now[0].dynamic_hops += far * (total + 2 * (total // inner))
    now[0].elements += total * lanes
    now[0].sram_bytes += 2 * size * total * lanes


@kernel
def start(m: Machine, thread: int, row: int) -> bool:
    """Begin a vector instruction or send; whether the thread goes on.

    What has no queue operand, and what has its wavelets, is done at once.
    """
    now, height = m.now, m.now[0].height
    x, y, unit = thread // height, thread % height, m.rows[row, UNIT]
    if unit > 0 and not unit_free(m, thread, unit):
        m.threads[thread].state = BUSY
        return False
    task = thread * now[0].units + unit
    total = capture(m, thread, row, task)
    if total < 0:
        return False
    if m.rows[row, KIND] == SEND:
        send(m, thread, row, task, total)
    end = now[0].row_end
    m.tasks[task].end = end
    split_thread(m, thread, end)
    if now[0].fault != 0:
        return False
    long, sends = m.tasks[task].long != 0, m.rows[row, KIND] == SEND
    if sends and total > 0 and elsewhere(m, task):
        long = True
    if sends and total > 0 and not long:
        push_words(m, task, x, y, 0, total)
    if total == 0 or (sends and not long):
        finish(m, row, unit, x, y, end)
        return True
    if m.rows[row, LEVEL] < 0 and not long:
        dims = place(m, task, x, y, end - y, 0, 0)
        if PRODUCTS[m.rows[row, CODE]]:
            multiply(m, task, x, y, end - y, dims)
        else:
            calculate(m, task, unit, x, y, end - y, dims)
        if now[0].fault != 0:
            return False
        account(m, row, total * (end - y))
        now[0].left -= total * (end - y)
        finish(m, row, unit, x, y, end)
        return True
    if now[0].mode == 0 and not long and try_task(m, task, unit, x) == 2:
        return now[0].fault == 0
    if unit == 0:
        m.threads[thread].state = TASK
        return False
    begin = (x * now[0].units + unit) * height
    owner = m.owner
    for at in range(begin + y, begin + end):
        owner[at] = y + 1
    m.busy[x * now[0].units + unit] += end - y
    return True


@kernel
def control(m: Machine, thread: int, row: int) -> bool:
    """Send a control wavelet; False after a fault, or until there is room in the pool of runs."""
    now, height = m.now, m.now[0].height
    x, y, color = thread // height, thread % height, m.rows[row, COLOR]
    queue = (x * now[0].colors + color) * height
    if m.queues_there[queue + y] & OUTPUT == 0:
        fail(m, QUEUE, thread, 0, row, color, OUT_COLUMN)
        return False
    other = y
    while other < now[0].row_end and m.queues_there[queue + other] & OUTPUT != 0:
        slot = m.slot_of[(other * now[0].width + x) * now[0].colors + color]
        send_run(m, slot, -1, other, 0, 0, m.rows[row, Col.CONTROL])
        other += 1
    now[0].row_end = other
    return True


@kernel
def run_thread(m: Machine, thread: int) -> bool:
    """Run a thread until it waits or ends; whether it did anything."""
    now, some = m.now, False
    y = thread % now[0].height
    while now[0].fault == 0 and now[0].left > 0:
        row = m.threads[thread].row
        kind, following = m.rows[row, KIND], row + 1
        now[0].left -= SCALAR_WORK
        if m.rows[row, STATEMENT] >= 0:
            m.threads[thread].statement = m.rows[row, STATEMENT]
        if kind == JUMP:
            m.threads[thread].row = m.rows[row, Col.BRANCH]
            continue
        if kind == NEXT:
            t = m.threads[thread]
            register, nest = (
                t.frame + m.rows[row, Col.COUNTER],
                t.depth * now[0].loops + m.rows[row, Col.NEST],
            )
            if (
                m.regs[thread * m.now[0].registers + register] + 1
                < m.loops[thread * m.now[0].loop_words + nest]
            ):
                m.regs[thread * m.now[0].registers + register] += 1
                following = m.rows[row, Col.BRANCH]
            else:
                m.loops[thread * m.now[0].loop_words + nest] = 0
            m.threads[thread].row = following
            continue
        if kind == RETURN:
            depth = m.threads[thread].depth - 1
            m.threads[thread].depth = depth
            m.threads[thread].top = m.threads[thread].frame
            m.threads[thread].row = m.frames[thread * m.now[0].frame_words + 2 * depth]
            m.threads[thread].frame = m.frames[thread * m.now[0].frame_words + 2 * depth + 1]
            continue
        if kind == HALT:
            m.threads[thread].state = HALTED
            return True
        now[0].row_end = m.threads[thread].end
        goes_on = True
        if kind in (VECTOR, SEND):
            goes_on = start(m, thread, row)
            if not goes_on and m.threads[thread].state == BUSY:
                split_thread(m, thread, now[0].row_end)
                return some
            if now[0].fault != 0:
                return True
            now[0].row_end = m.threads[thread].end
        elif kind == WAIT:
            if not wait(m, thread, row):
                if now[0].fault == 0:
                    m.threads[thread].state = SEMAPHORE
                    split_thread(m, thread, now[0].row_end)
                return some
        elif kind == CONTROL:
            if m.now[0].run_room - now[0].runs_used < now[0].height + 16:
                return some
            control(m, thread, row)
        elif kind == SIGNAL:
            signal(m, thread, row)
        elif kind == LOOP:
            count = reference(m, thread, m.rows[row, Col.AMOUNT])
            if count > MOST_WORD:  # its register could not count so far
                fail(m, EXTENT, thread, 0, row, count, MOST_WORD)
                return True
            t = m.threads[thread]
            register, nest = (
                t.frame + m.rows[row, Col.COUNTER],
                t.depth * now[0].loops + m.rows[row, Col.NEST],
            )
            split_thread(m, thread, now[0].row_end)
            m.regs[thread * m.now[0].registers + register] = 0
            m.loops[thread * m.now[0].loop_words + nest] = max(count, 0)
            if count <= 0:
                following = m.rows[row, Col.BRANCH]
        elif kind == IF:
            if not decide(m, thread, row):
                following = m.rows[row, Col.BRANCH]
        elif kind == CALL:
            following = call(m, thread, row)
        else:
            if kind == LOAD and now[0].noted == now[0].note_room:
                now[0].left = 0  # Python makes room, and the thread comes back to this row
                return True
            scalar(m, thread, row)
        if now[0].fault != 0:
            return True
        split_thread(m, thread, now[0].row_end)
        m.counted[m.rows[row, CODE]] += m.threads[thread].end - y
        m.threads[thread].row = following
        some = True
        now[0].mode = 0
        if not goes_on:
            return True
    return True
