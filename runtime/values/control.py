"""Threads: the main threads of neighbouring rows, interpreted together while they agree.

``run_thread`` goes through rows of the code, and has a function for each kind of them. Where one
finds that rows of tiles differ, it lowers ``row_end``: from there on they are split off, and come
to the same row of the code by themselves.
"""

from __future__ import annotations

from wsc.isa.limits import MOST_WORD
from wsc.runtime.kernels.plain import holds
from wsc.runtime.tables import Kind
from wsc.runtime.values.compiled import Machine, kernel, look, operate
from wsc.runtime.values.records import OUTPUT, Fault, Mode, Standing
from wsc.runtime.values.remote import elsewhere, push_words
from wsc.runtime.values.routers import send_control
from wsc.runtime.values.tasks import (
    ALL,
    NO_OUTPUT,
    account,
    capture,
    fail_task,
    fail_thread,
    finish,
    perform,
    reference,
    try_task,
)
from wsc.runtime.values.vector import begin_job, element_bytes

SCALAR_WORK = 64  # steps of vector instructions that take as long as one that a thread interprets
SPARE_RUNS = 16  # that are left in the pool when a control wavelet is sent


# --- windows, loops and rows of tiles -----------------------------------------------------


@kernel
def register_place(m: Machine, thread: int, number: int) -> int:
    """Where a register of a thread's current window is."""
    return thread * m.now[0].registers + m.threads[thread].frame + number


@kernel
def loop_place(m: Machine, thread: int, nest: int) -> int:
    """Where the turns of a loop are noted; nest: loops around it in the current procedure."""
    now = m.now[0]
    return thread * now.loop_words + m.threads[thread].depth * now.loops + nest


@kernel
def split_thread(m: Machine, thread: int, at: int) -> None:
    """The rows of a thread from ``at`` on become a thread of their own, in the same state."""
    now, here = m.now[0], m.threads[thread]
    if at >= here.end:
        return
    number = thread + at - thread % now.height
    other = m.threads[number]
    other.end, other.state, other.row, other.frame = here.end, here.state, here.row, here.frame
    other.top, other.depth, other.region = here.top, here.depth, here.region
    other.statement = here.statement
    for i in range(now.registers):
        m.regs[number * now.registers + i] = m.regs[thread * now.registers + i]
    for i in range(now.loop_words):
        m.loops[number * now.loop_words + i] = m.loops[thread * now.loop_words + i]
    for i in range(now.calls):
        there, frame = m.frames[number * now.calls + i], m.frames[thread * now.calls + i]
        there.row, there.frame = frame.row, frame.frame
    here.end = at
    m.dirty[thread // now.height] = 1


# --- branches, loops and calls ------------------------------------------------------------


@kernel
def decide(m: Machine, thread: int, number: int) -> bool:
    """Whether the condition of an ``if`` holds; rows that decide otherwise are split off."""
    now, here, row = m.now[0], m.threads[thread], m.rows[number]
    left, right = reference(m, thread, row.left), reference(m, thread, row.right)
    answer = holds(row.relation, left, right)
    if now.row_end < here.end:
        # The static parts differ below. Registers are the same in all rows of a thread, so what
        # they add is known from the first one.
        one, two = m.refs[row.left], m.refs[row.right]
        left_at, right_at = one.pool + here.x * one.by_x, two.pool + here.x * two.by_x
        left -= m.pool[left_at + here.y * one.by_y]
        right -= m.pool[right_at + here.y * two.by_y]
        top = thread % now.height - here.y
        other, last = here.y + 1, here.end - top
        while other < last:
            left_there = left + m.pool[left_at + other * one.by_y]
            right_there = right + m.pool[right_at + other * two.by_y]
            if holds(row.relation, left_there, right_there) != answer:
                break
            other += 1
        now.row_end = other + top
    return answer


@kernel
def enter_loop(m: Machine, thread: int, number: int) -> int:
    """Begin a loop: note its turns, its register at zero. The next row of the code."""
    row = m.rows[number]
    count = reference(m, thread, row.amount)
    if count > MOST_WORD:  # its register could not count so far
        fail_thread(m, Fault.EXTENT, thread, count, MOST_WORD)
        return number
    split_thread(m, thread, m.now[0].row_end)
    m.regs[register_place(m, thread, row.counter)] = 0
    m.loops[loop_place(m, thread, row.nest)] = max(count, 0)
    return number + 1 if count > 0 else row.branch


@kernel
def next_turn(m: Machine, thread: int, number: int) -> int:
    """The end of a loop's body: once more, or on. The next row of the code."""
    row = m.rows[number]
    register, turns = register_place(m, thread, row.counter), loop_place(m, thread, row.nest)
    if m.regs[register] + 1 < m.loops[turns]:
        m.regs[register] += 1
        return row.branch
    m.loops[turns] = 0
    return number + 1


@kernel
def call(m: Machine, thread: int, number: int) -> int:
    """Enter a procedure: a new window, arguments first, all else zero. The next row of the code."""
    now, here, row = m.now[0], m.threads[thread], m.rows[number]
    window = here.frame + row.window  # behind that of the caller
    if here.depth >= now.calls:
        fail_thread(m, Fault.CALLS, thread, now.calls, 0)
        return number
    if window + row.rank > now.registers:
        fail_thread(m, Fault.REGISTERS, thread, now.registers, 0)
        return number
    first = thread * now.registers + window
    for register in range(first + row.count, first + row.rank):
        m.regs[register] = 0
    for k in range(row.count):
        m.regs[first + k] = reference(m, thread, m.lists[row.dims + k])
    split_thread(m, thread, now.row_end)
    back = m.frames[thread * now.calls + here.depth]
    back.row, back.frame = number + 1, here.frame
    here.depth += 1
    here.frame, here.top = window, window + row.rank
    return row.branch


@kernel
def leave_procedure(m: Machine, thread: int) -> int:
    """Return from a procedure. The next row of the code."""
    here = m.threads[thread]
    here.depth -= 1
    back = m.frames[thread * m.now[0].calls + here.depth]
    here.top, here.frame = here.frame, back.frame
    return back.row


# --- scalar instructions ------------------------------------------------------------------


@kernel
def compute(m: Machine, thread: int, number: int) -> None:
    """``i.*`` on registers."""
    now, row = m.now[0], m.rows[number]
    a, b = reference(m, thread, row.left), reference(m, thread, row.right)
    # Operands and result are words of the band's scratch.
    result = now.buffers
    m.words[result + 1], m.words[result + 2] = a, b
    place, domain = m.words.ctypes.data + 4 * result, m.domains[row.opcode]
    if domain != 0 and look(domain, place, place + 4, place + 8, place, 1) == 0:
        fail_thread(m, Fault.DOMAIN, thread, m.words[result + 1], m.words[result + 2])
        return
    split_thread(m, thread, now.row_end)
    operate(m.operations[row.opcode, 1], place, place + 4, place + 8, place + 8, 1)
    m.regs[register_place(m, thread, row.target)] = m.words[result]


@kernel
def word_address(m: Machine, thread: int, number: int) -> int:
    """Where the word is that ``i.load`` or ``i.store`` names in the first row of tiles, or -1."""
    now = m.now[0]
    address = reference(m, thread, m.rows[number].address)
    if address < 0 or address + 4 > now.bytes:
        fail_thread(m, Fault.ADDRESS, thread, address, now.bytes)
        return -1
    if address & 3:
        fail_thread(m, Fault.ALIGNMENT, thread, address, 4)
        return -1
    now.sram_top = max(now.sram_top, address + 4)
    x, y = thread // now.height, thread % now.height
    return now.memory + (x * now.words + (address >> 2)) * now.height + y


@kernel
def load(m: Machine, thread: int, number: int) -> None:
    """``i.load``; rows that load another word are split off."""
    now, row, y = m.now[0], m.rows[number], thread % m.now[0].height
    word = word_address(m, thread, number)
    if word < 0:
        return
    value, other = m.words[word], y + 1
    while other < now.row_end and m.words[word + other - y] == value:
        other += 1
    now.row_end = other
    split_thread(m, thread, other)
    m.regs[register_place(m, thread, row.target)] = value
    now.sram_bytes += 4 * (other - y)
    if m.deciding[number] != 0:
        note = m.notes[now.noted]
        note.tile, note.count, note.word = thread, other - y, value
        now.noted += 1


@kernel
def store(m: Machine, thread: int, number: int) -> None:
    """``i.store``."""
    now = m.now[0]
    word = word_address(m, thread, number)
    if word < 0:
        return
    value = reference(m, thread, m.rows[number].right)
    lanes = now.row_end - thread % now.height
    for lane in range(lanes):
        m.words[word + lane] = value
    now.sram_bytes += 4 * lanes


# --- semaphores and control wavelets ------------------------------------------------------


@kernel
def signal(m: Machine, thread: int, number: int) -> None:
    """``signal``: add to a semaphore in all rows of tiles."""
    now, row, semaphores = m.now[0], m.rows[number], m.semaphores
    count = reference(m, thread, row.amount)
    if count < 0:
        fail_thread(m, Fault.NEGATIVE, thread, count, 0)
        return
    x, y = thread // now.height, thread % now.height
    start = (x * now.semaphores + row.semaphore) * now.height
    for at in range(start + y, start + now.row_end):
        semaphores[at] += count


@kernel
def wait(m: Machine, thread: int, number: int) -> bool:
    """``wait``; False while some row of tiles does not have the count.

    Where parts may go on, the rows behind the first that differs are split off.
    """
    now, row, semaphores = m.now[0], m.rows[number], m.semaphores
    count = reference(m, thread, row.amount)
    if count < 0:
        fail_thread(m, Fault.NEGATIVE, thread, count, 0)
        return False
    x, y = thread // now.height, thread % now.height
    start = (x * now.semaphores + row.semaphore) * now.height
    enough, other, last = semaphores[start + y] >= count, y + 1, now.row_end
    while other < last and (semaphores[start + other] >= count) == enough:
        other += 1
    if other < last:
        if now.mode == Mode.WHOLE:
            return False
        now.row_end = other
    if enough:
        for at in range(start + y, start + other):
            semaphores[at] -= count
    return enough


@kernel
def control(m: Machine, thread: int, number: int) -> None:
    """Send a control wavelet, in all rows of tiles that have the queue."""
    now, row = m.now[0], m.rows[number]
    x, y = thread // now.height, thread % now.height
    queue = (x * now.colors + row.color) * now.height
    if m.queues_there[queue + y] & OUTPUT == 0:
        fail_thread(m, Fault.QUEUE, thread, row.color, NO_OUTPUT)
        return
    other = y
    while other < now.row_end and m.queues_there[queue + other] & OUTPUT != 0:
        send_control(m, m.slot_of[(other * now.width + x) * now.colors + row.color], row.control)
        other += 1
    now.row_end = other


# --- vector instructions and sends --------------------------------------------------------


@kernel
def unit_free(m: Machine, thread: int, unit: int) -> bool:
    """Whether a stream unit is free in all rows; in other modes those that differ part."""
    now, owner = m.now[0], m.owner
    y, last = thread % now.height, now.row_end
    start = (thread // now.height * now.units + unit) * now.height
    free, other = owner[start + y] == 0, y + 1
    while other < last and (owner[start + other] == 0) == free:
        other += 1
    if other < last:
        if now.mode == Mode.WHOLE:
            return False
        now.row_end = other
    return free


@kernel
def aim(m: Machine, thread: int, task: int) -> None:
    """Find the tiles that a remote store writes to: ``target_x``, ``target_y`` and ``slope``.

    The target's row may go on with the sender's: rows are then sent together.
    """
    now, here, t = m.now[0], m.threads[thread], m.tasks[task]
    row, region = m.rows[t.row], m.regions[here.region]
    tx = reference(m, thread, row.target_x)
    # Rows whose targets go on by one row each, or are all the same, are not parted by it.
    end, ref = now.row_end, m.refs[row.target_y]
    now.row_end = t.y + 1
    ty = reference(m, thread, row.target_y)
    now.row_end = end
    at = ref.pool + here.x * ref.by_x + here.y * ref.by_y
    t.slope = 0
    if t.y + 1 < end and ref.by_y != 0:
        t.slope = min(max(m.pool[at + ref.by_y] - m.pool[at], 0), 1)
        lane = 1
        while lane < end - t.y and m.pool[at + lane * ref.by_y] == m.pool[at] + t.slope * lane:
            lane += 1
        now.row_end = t.y + lane
    # Rows whose targets are below the region fail by themselves.
    last = ty + t.slope * (now.row_end - t.y - 1)
    if t.slope == 1 and last >= region.height > ty:
        now.row_end = t.y + region.height - ty
    if tx < 0 or ty < 0 or tx >= region.width or ty >= region.height:
        fail_task(m, Fault.TARGET, task, tx, ty)
        return
    t.target_x, t.target_y = tx + region.left, ty + region.top


@kernel
def count_send(m: Machine, task: int, total: int) -> None:
    """Count what a remote store of so many steps does."""
    now, t = m.now[0], m.tasks[task]
    row, lanes = m.rows[t.row], now.row_end - t.y
    inner = m.extents[task, row.rank - 1] if row.rank > 0 else 1
    # Each run of the innermost dimension is a message, with a header of two flits.
    flits = total + 2 * (total // inner)
    hops = abs(t.target_x - t.x) * lanes
    for lane in range(lanes):
        hops += abs(t.target_y + t.slope * lane - t.y - lane)
    now.dynamic_hops += hops * flits
    now.elements += total * lanes
    now.sram_bytes += 2 * element_bytes(m, row.operands) * total * lanes


@kernel
def do_at_once(m: Machine, task: int, total: int) -> bool:
    """Do an instruction that waits for nothing, or a short remote store; whether it was one.

    total: its steps.
    """
    t = m.tasks[task]
    row, lanes = m.rows[t.row], t.end - t.y
    if total > 0:
        if t.long != 0:
            return False
        if row.kind == Kind.SEND:
            if elsewhere(m, task):
                return False
            push_words(m, task, 0, total)
        elif row.level < 0:
            begin_job(m, task, t.y, lanes)
            perform(m, 0, 0)
            if m.now[0].fault != 0:
                return True
            account(m, t.row, total * lanes)
        else:
            return False
    finish(m, task)
    return True


@kernel
def take_unit(m: Machine, task: int) -> None:
    """A stream unit has a task from now on, in all of its rows."""
    now, t, owner = m.now[0], m.tasks[task], m.owner
    start = (t.x * now.units + t.unit) * now.height
    for at in range(start + t.y, start + t.end):
        owner[at] = t.y + 1
    m.busy[t.x * now.units + t.unit] += t.end - t.y


@kernel
def start(m: Machine, thread: int, number: int) -> bool:
    """Begin a vector instruction or send; whether the thread goes on.

    What has no queue operand, and what has its wavelets, is done at once.
    """
    now, here, row = m.now[0], m.threads[thread], m.rows[number]
    if row.unit > 0 and not unit_free(m, thread, row.unit):
        here.state = Standing.UNIT
        return False
    task = thread * now.units + row.unit
    t, total = m.tasks[task], capture(m, thread, task)
    if total < 0:
        return False
    if row.kind == Kind.SEND:
        aim(m, thread, task)
        if now.fault == 0 and total > 0:
            count_send(m, task, total)
    t.end = now.row_end
    split_thread(m, thread, t.end)
    if now.fault != 0:
        return False
    if do_at_once(m, task, total):
        return now.fault == 0
    tries = row.kind == Kind.VECTOR and now.mode == Mode.WHOLE and t.long == 0
    if tries and try_task(m, task) == ALL:
        return now.fault == 0
    if row.unit == 0:
        here.state = Standing.TASK
        return False
    take_unit(m, task)
    return True


# --- the thread ---------------------------------------------------------------------------


@kernel
def follow(m: Machine, thread: int, number: int) -> int:
    """Do a row of the code that waits for nothing: the next row of the code."""
    row = m.rows[number]
    kind = row.kind
    if kind == Kind.IF:
        return number + 1 if decide(m, thread, number) else row.branch
    if kind == Kind.CALL:
        return call(m, thread, number)
    if kind == Kind.LOOP:
        return enter_loop(m, thread, number)
    if kind == Kind.SCALAR:
        compute(m, thread, number)
    elif kind == Kind.LOAD:
        load(m, thread, number)
    elif kind == Kind.STORE:
        store(m, thread, number)
    elif kind == Kind.SIGNAL:
        signal(m, thread, number)
    else:
        control(m, thread, number)
    return number + 1


@kernel
def has_room(m: Machine, number: int) -> bool:
    """Whether there is room for what a row of the code leaves: notes, or runs of routers."""
    now, kind = m.now[0], m.rows[number].kind
    if kind == Kind.LOAD and now.noted == now.note_room:
        now.left = 0  # Python makes room, and the thread comes back to this row
        return False
    return kind != Kind.CONTROL or now.run_room - now.runs_used >= now.height + SPARE_RUNS


@kernel
def run_thread(m: Machine, thread: int) -> bool:
    """Run a thread until it waits or ends; whether it did anything."""
    now, here, some = m.now[0], m.threads[thread], False
    while now.fault == 0 and now.left > 0:
        number = here.row
        row = m.rows[number]
        now.left -= SCALAR_WORK
        if row.statement >= 0:
            here.statement = row.statement
        # What only leads to another row is the same for all rows of tiles, and is not counted.
        if row.kind == Kind.JUMP:
            here.row = row.branch
            continue
        if row.kind == Kind.NEXT:
            here.row = next_turn(m, thread, number)
            continue
        if row.kind == Kind.RETURN:
            here.row = leave_procedure(m, thread)
            continue
        if row.kind == Kind.END:
            here.state = Standing.HALTED
            return True
        now.row_end = here.end
        following, goes_on = number + 1, True
        if row.kind in (Kind.VECTOR, Kind.SEND):
            goes_on = start(m, thread, number)
            if not goes_on and here.state == Standing.UNIT:
                now.left += SCALAR_WORK  # to look whether a thread still waits is no work
                split_thread(m, thread, now.row_end)
                return some
            now.row_end = here.end
        elif row.kind == Kind.WAIT:
            if not wait(m, thread, number):
                now.left += SCALAR_WORK
                if now.fault == 0:
                    here.state = Standing.SEMAPHORE
                    split_thread(m, thread, now.row_end)
                return some
        elif not has_room(m, number):
            return some or now.left <= 0
        else:
            following = follow(m, thread, number)
        if now.fault != 0:
            return True
        # The rows that did as the first one go on together; the instruction counts for each.
        split_thread(m, thread, now.row_end)
        m.counted[row.opcode] += here.end - thread % now.height
        here.row = following
        some = True
        now.mode = Mode.WHOLE
        if not goes_on:
            return True
    return True
