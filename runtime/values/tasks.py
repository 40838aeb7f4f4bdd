"""Instructions with queue operands: captured at issue, done when their wavelets are there.

A task goes through four steps: ``capture`` evaluates extents, addresses, strides and scalars when
the thread issues it; ``rows_ready`` asks how far its wavelets reach; ``advance_rows`` does rows of
steps for all rows of tiles that agree; ``complete`` takes the wavelets off the queues and signals.
``try_task`` is the way through all but the first.
"""

from __future__ import annotations

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.runtime.tables import FABRIC, INTEGER, MAX_DIMS, MEMORY, Kind
from wsc.runtime.values.compiled import Machine, bits_of, kernel
from wsc.runtime.values.edge import supply
from wsc.runtime.values.multiply import multiply
from wsc.runtime.values.records import INPUT, MOST_OPERANDS, OUTPUT, Fault, Mode
from wsc.runtime.values.remote import elsewhere, push_words
from wsc.runtime.values.routers import send_run
from wsc.runtime.values.streams import (
    catch_up,
    reserve,
    taken,
    too_far_ahead,
    wake_readers,
)
from wsc.runtime.values.vector import (
    F16,
    I32,
    MACS,
    PRODUCTS,
    begin_job,
    calculate,
    element_bytes,
    group,
    half_bits,
    place,
    wavelets,
)

NO_INPUT, NO_OUTPUT = 7, 8  # bounds of the fault of a queue that is not there: which one
MOST_RUNS = 16  # that one instruction puts into a router's queue, and some
NOTHING, SOME, ALL = 0, 1, 2  # what ``try_task`` has done


# --- faults -------------------------------------------------------------------------------


@kernel
def fail_task(m: Machine, fault: int, task: int, value: int, bound: int) -> None:
    """Note that a task stops the run: what was found, and what it is held against."""
    now, t = m.now[0], m.tasks[task]
    now.fault, now.fault_tile, now.fault_unit = fault, t.x * now.height + t.y, t.unit
    now.fault_row, now.fault_statement = t.row, t.statement
    now.fault_value, now.fault_bound = value, bound


@kernel
def fail_thread(m: Machine, fault: int, thread: int, value: int, bound: int) -> None:
    """Note that the row at which a thread is stops the run."""
    now, here = m.now[0], m.threads[thread]
    now.fault, now.fault_tile, now.fault_unit = fault, thread, 0
    now.fault_row, now.fault_statement = here.row, here.statement
    now.fault_value, now.fault_bound = value, bound


# --- capture ------------------------------------------------------------------------------


@kernel
def reference(m: Machine, thread: int, ref: int) -> int:
    """Static part plus registers, for the first row of a thread.

    ``row_end`` becomes the first row behind it whose value differs, if that comes sooner.
    """
    now, here, of = m.now[0], m.threads[thread], m.refs[ref]
    at = of.pool + here.x * of.by_x
    value = 0 + m.pool[at + here.y * of.by_y]
    if of.by_y != 0:
        # Rows of the fabric are counted from the top of the thread's region here.
        top = thread % now.height - here.y
        other, last = here.y + 1, now.row_end - top
        while other < last and m.pool[at + other * of.by_y] == value:
            other += 1
        now.row_end = other + top
    window = thread * now.registers + here.frame
    for index in range(of.first, of.first + of.count):
        value += m.regs[window + m.registers[index]]
    return value


@kernel
def integer_bits(value: int, of: int) -> int:
    """The bits of an integer scalar in an element type."""
    if of == I32:
        return (value + 0x80000000) % 0x100000000 - 0x80000000
    if of == F16:
        return half_bits(float(value))
    return 0 + bits_of(float(value))


@kernel
def times(a: int, b: int, most: int) -> int:
    """``a * b`` of positive numbers, or one more than ``most`` if it is beyond."""
    return a * b if a <= most // b else most + 1


@kernel
def count_steps(m: Machine, thread: int, task: int) -> int:
    """Evaluate the extents of an instruction into a task: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    row = m.rows[m.tasks[task].row]
    level = row.level if row.level >= 0 else max(row.rank - 1, 0)
    total, inner, empty = 1, 1, False
    for d in range(row.rank):
        extent = reference(m, thread, m.lists[row.dims + d])
        if extent > MOST_WORD:
            fail_task(m, Fault.EXTENT, task, extent, MOST_WORD)
            return -1
        m.extents[task, d] = extent
        if extent <= 0:
            empty = True
            continue
        total = times(total, extent, MOST_STEPS)
        if d >= level:
            inner = times(inner, extent, MOST_ROW)
    if empty:
        return 0
    if inner > MOST_ROW:
        fail_task(m, Fault.ROW, task, MOST_ROW, 0)
        return -1
    if total > MOST_STEPS:
        fail_task(m, Fault.STEPS, task, MOST_STEPS, 0)
        return -1
    return total


@kernel
def capture_memory(m: Machine, thread: int, task: int, k: int, total: int) -> bool:
    """A memory operand of an instruction of so many steps; False after a fault.

    A stride larger than SRAM leaves it with the second index, so that the others can be
    multiplied by any extent without wrapping.
    """
    row, most = m.rows[m.tasks[task].row], m.now[0].bytes
    operand = m.operands[row.operands + k]
    base = reference(m, thread, operand.value)
    size = element_bytes(m, row.operands + k)
    low, high, odd = base, base, base
    for d in range(row.rank):
        stride = reference(m, thread, m.lists[operand.strides + d])
        m.strides[task, k * MAX_DIMS + d] = stride
        more = m.extents[task, d] - 1
        if more > 0:
            odd |= stride
            if stride > most or stride < -most:
                more = 1
            low += min(more * stride, 0)
            high += max(more * stride, 0)
    m.bases[task, k] = base
    if total > 0:
        if low < 0 or high + size > most:
            fail_task(m, Fault.ADDRESS, task, low if low < 0 else high, most)
            return False
        if odd & (size - 1) != 0:
            fail_task(m, Fault.ALIGNMENT, task, base, size)
            return False
        m.now[0].sram_top = max(m.now[0].sram_top, high + size)
    return True


@kernel
def share_queue(m: Machine, task: int, k: int) -> int:
    """How many operands take from the queue of one; its place among them becomes its base."""
    row, sharing, order = m.rows[m.tasks[task].row], 0, 0
    own = m.operands[row.operands + k]
    for j in range(1, row.count):
        other = m.operands[row.operands + j]
        if other.kind == FABRIC and other.color == own.color:
            if other.advance != own.advance:
                m.tasks[task].uneven = 1
            sharing += 1
            order += 1 if j < k else 0
    m.bases[task, k] = order
    return sharing


@kernel
def capture_queue(m: Machine, task: int, k: int) -> bool:
    """A queue operand; False after a fault: no queue is there."""
    now, t = m.now[0], m.tasks[task]
    row = m.rows[t.row]
    operand, sends = m.operands[row.operands + k], k == 0
    # Rows of tiles that have the queue are done together.
    queue = (t.x * now.colors + operand.color) * now.height
    wanted = OUTPUT if sends else INPUT
    if m.queues_there[queue + t.y] & wanted == 0:
        fail_task(m, Fault.QUEUE, task, operand.color, NO_OUTPUT if sends else NO_INPUT)
        return False
    other = t.y + 1
    while other < now.row_end and m.queues_there[queue + other] & wanted != 0:
        other += 1
    now.row_end = other
    # A wavelet serves all steps of the dimensions with which the operand does not advance.
    further = 1
    if sends:
        m.bases[task, k] = 0
    else:
        further = share_queue(m, task, k)
    for d in range(row.rank - 1, -1, -1):
        if d >= operand.advance:
            m.strides[task, k * MAX_DIMS + d] = 0
        else:
            m.strides[task, k * MAX_DIMS + d] = further
            further *= max(m.extents[task, d], 0)
    return True


@kernel
def capture_operand(m: Machine, thread: int, task: int, k: int, total: int) -> bool:
    """An operand of an instruction of so many steps; False after a fault."""
    operand = m.operands[m.rows[m.tasks[task].row].operands + k]
    if operand.kind == MEMORY:
        return capture_memory(m, thread, task, k, total)
    if operand.kind == FABRIC:
        return capture_queue(m, task, k)
    if operand.kind == INTEGER:
        m.scalars[task, k] = integer_bits(reference(m, thread, operand.value), operand.type)
    else:
        m.scalars[task, k] = m.literals[operand.value, operand.type]
    return True


@kernel
def innermost_level(m: Machine, task: int, rank: int, most: int) -> int:
    """How many outer dimensions leave rows of at most so many steps, or of the last dimension."""
    level = max(rank - 1, 0)
    steps = m.extents[task, level]
    while level > 0 and m.extents[task, level - 1] <= most // steps:
        level -= 1
        steps *= m.extents[task, level]
    return level


@kernel
def capture(m: Machine, thread: int, task: int) -> int:
    """Evaluate extents, addresses, strides and scalars of a thread's instruction into a task.

    Returns the number of steps, or -1 after a fault. ``row_end`` is moved as by ``reference``.
    """
    now, here, t = m.now[0], m.threads[thread], m.tasks[task]
    row = m.rows[here.row]
    t.x, t.y = thread // now.height, thread % now.height
    t.unit, t.row, t.statement = row.unit, here.row, here.statement
    t.done = t.uneven = 0
    total = count_steps(m, thread, task)
    if total < 0:
        return -1
    for k in range(row.count):
        if not capture_operand(m, thread, task, k, total):
            return -1
    # What is long is done in portions; without a queue operand its rows may then be any.
    most = now.portion // (now.row_end - t.y)
    t.long = 1 if total > most else 0
    outer = max(row.level, 0)
    if row.level < 0 and t.long != 0:
        outer = innermost_level(m, task, row.rank, most)
    steps = 1 if total > 0 else 0
    for d in range(outer, row.rank):
        steps *= max(m.extents[task, d], 0)
    t.level, t.steps = outer, steps
    t.rows = total // steps if total > 0 else 0
    return total


# --- how far wavelets reach ---------------------------------------------------------------


@kernel
def available(m: Machine, task: int, reader: int, k: int) -> int:
    """Wavelets that an operand's queue has for it, as far as it needs them.

    The edge is asked to feed what is missing.
    """
    stream, t = m.source[reader], m.tasks[task]
    if stream < 0:
        return 0
    row, need = m.rows[t.row], 0
    color = m.operands[row.operands + k].color
    for j in range(1, row.count):
        other = m.operands[row.operands + j]
        if other.kind == FABRIC and other.color == color:
            need += wavelets(m, task, other.advance)
    end, lane = m.cursor[reader] + need, m.streams[stream].first + m.lane[reader]
    if t.long != 0:
        end = min(end, m.written[lane] + m.now[0].portion_rows)
    supply(m, stream, end)
    return min(m.written[lane] - m.cursor[reader], need)


@kernel
def uneven_rows(m: Machine, task: int, k: int, there: int) -> int:
    """Rows of steps for which so many wavelets suffice that operands share unevenly."""
    row, low, high = m.rows[m.tasks[task].row], 0, m.tasks[task].rows
    color = m.operands[row.operands + k].color
    while low < high:  # the last number of rows that need no more than are there
        middle, taken = (low + high + 1) // 2, 0
        for j in range(1, row.count):
            other = m.operands[row.operands + j]
            if other.kind == FABRIC and other.color == color:
                rows = group(m, task, other.advance, row.level)
                taken += (middle + rows - 1) // rows
        if taken <= there:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def room_to_send(m: Machine, task: int, y: int) -> bool:
    """Whether a task should send now in row ``y`` of tiles, and not wait for its readers."""
    now, t = m.now[0], m.tasks[task]
    operand = m.operands[m.rows[t.row].operands]
    count = wavelets(m, task, operand.advance)
    if t.long != 0:
        count = min(count, now.portion_rows)
    if too_far_ahead(m, m.stream_of[t.x * now.colors + operand.color], y, count):
        return False
    return now.run_room - now.runs_used >= MOST_RUNS + now.height


@kernel
def rows_arrived(m: Machine, task: int, k: int, y: int) -> int:
    """Rows of steps for which an operand has its wavelets, in row ``y`` of tiles."""
    now, t = m.now[0], m.tasks[task]
    row = m.rows[t.row]
    operand = m.operands[row.operands + k]
    reader = (t.x * now.colors + operand.color) * now.height + y
    there = available(m, task, reader, k)
    if t.uneven != 0:
        return uneven_rows(m, task, k, there)
    # Those that share the queue take one each in turn; the first own one comes after ``before``.
    before = m.bases[task, k]
    own = 1 if there > before else 0
    if operand.advance > 0:
        sharing = m.strides[task, k * MAX_DIMS + operand.advance - 1]
        own = max((there - before + sharing - 1) // sharing, 0)
    return own * group(m, task, operand.advance, row.level)


@kernel
def rows_ready(m: Machine, task: int, y: int) -> int:
    """How many rows of steps of a task can be done, in row ``y`` of tiles."""
    t = m.tasks[task]
    row, ready = m.rows[t.row], t.rows
    for k in range(row.count):
        if m.operands[row.operands + k].kind == FABRIC:
            if k > 0:
                ready = min(ready, rows_arrived(m, task, k, y))
            elif not room_to_send(m, task, y):
                return t.done
    return ready


# --- rows of tiles that agree -------------------------------------------------------------


@kernel
def sent_alike(m: Machine, start: int, y: int, end: int) -> int:
    """The first row behind y that has sent another number of wavelets than y, up to ``end``."""
    written = m.written[start : start + end]
    # Mostly all rows agree: a loop that does not end early looks at many at once.
    differing = 0
    for other in range(y + 1, end):
        differing |= written[other] ^ written[y]
    if differing == 0:
        return end
    other = y + 1
    while written[other] == written[y]:
        other += 1
    return other


@kernel
def reading_alike(m: Machine, queue: int, y: int, end: int) -> int:
    """The first row behind y that reads otherwise than y, up to ``end``.

    Rows read alike if they take from one stream at one position, each from its own lane or all
    from one, and find as many wavelets there.
    """
    if end == y + 1:
        return end
    source, cursor = m.source[queue : queue + end], m.cursor[queue : queue + end]
    lane = m.lane[queue : queue + end]
    stream, taken, at = source[y], cursor[y], lane[y]
    start = m.streams[stream].first + at if stream >= 0 else 0
    step = min(max(lane[y + 1] - at, 0), 1)
    differing = 0
    for other in range(y + 1, end):
        differing |= source[other] ^ stream
        differing |= cursor[other] ^ taken
        differing |= lane[other] ^ (at + step * (other - y))
    # Only now are the lanes known to be those of the stream.
    if differing == 0 and step == 1:
        for i in range(1, end - y):
            differing |= m.written[start + i] ^ m.written[start]
    if differing == 0:
        return end
    other = y + 1
    while (
        other < end
        and source[other] == stream
        and cursor[other] == taken
        and lane[other] == at + step * (other - y)
        and m.written[start + step * (other - y)] == m.written[start]
    ):
        other += 1
    return other


@kernel
def agreeing(m: Machine, task: int, y: int, end: int) -> int:
    """The first row behind y whose queues hold something else for a task than those of y."""
    now, t = m.now[0], m.tasks[task]
    row = m.rows[t.row]
    for k in range(row.count):
        operand = m.operands[row.operands + k]
        if operand.kind != FABRIC:
            continue
        column = t.x * now.colors + operand.color
        if k == 0:
            end = sent_alike(m, m.streams[m.stream_of[column]].first, y, end)
        else:
            end = reading_alike(m, column * now.height, y, end)
    return end


# --- rows of steps ------------------------------------------------------------------------


@kernel
def perform(m: Machine, first: int, step_row: int) -> None:
    """Do the steps of the job: all, or if ``first`` is not zero those of one row of steps."""
    place(m, first, step_row)
    if PRODUCTS[m.rows[m.tasks[m.job[0].task].row].opcode]:
        multiply(m)
    else:
        calculate(m)


@kernel
def account(m: Machine, number: int, steps: int) -> None:
    """Count what so many steps of a row of the code do."""
    now, row = m.now[0], m.rows[number]
    now.left -= steps
    now.sram_bytes += steps * m.step_bytes[number]
    macs = MACS[row.opcode]
    if macs == 0:
        now.elements += steps
    elif row.dtype == F16:
        now.macs_f16 += steps * macs
    else:
        now.macs_f32 += steps * macs


@kernel
def sent_by(m: Machine, task: int, end: int) -> int:
    """Wavelets that a task sends with its rows of steps up to ``end``; 0 if it sends none."""
    row = m.rows[m.tasks[task].row]
    operand = m.operands[row.operands]
    if operand.kind != FABRIC:
        return 0
    size = group(m, task, operand.advance, m.tasks[task].level)
    return end // size - m.tasks[task].done // size


@kernel
def make_room(m: Machine, task: int, y: int, end: int) -> bool:
    """Room in the stream for what a task sends up to a row of steps; False after a fault."""
    now, t = m.now[0], m.tasks[task]
    operand = m.operands[m.rows[t.row].operands]
    stream = m.stream_of[t.x * now.colors + operand.color]
    if m.streams[stream].guided != 0 and m.streams[stream].held == 0:
        catch_up(m, stream)
    # A wavelet of which only some steps are done has its place already.
    size = group(m, task, operand.advance, t.level)
    more = (end + size - 1) // size - t.done // size
    return reserve(m, stream, m.written[m.streams[stream].first + y] + more)


@kernel
def send_wavelets(m: Machine, task: int, y: int, lanes: int, made: int) -> None:
    """What some rows of a task have made enters the fabric."""
    now, t = m.now[0], m.tasks[task]
    color = m.operands[m.rows[t.row].operands].color
    stream = m.stream_of[t.x * now.colors + color]
    first, written = m.streams[stream].first, m.written
    for lane in range(first + y, first + y + lanes):
        written[lane] += made
    # Where routes change, routers hand it on run by run; else whoever reads finds it.
    if m.streams[stream].guided != 0:
        for lane in range(y, y + lanes):
            slot = m.slot_of[(lane * now.width + t.x) * now.colors + color]
            send_run(m, slot, stream, lane, written[first + lane] - made, made)
    wake_readers(m, stream)


@kernel
def advance_rows(m: Machine, task: int, y: int, lanes: int, end: int) -> None:
    """Do rows of steps up to ``end`` for rows of tiles that agree in all queues."""
    t = m.tasks[task]
    begin, made = t.done, sent_by(m, task, end)
    sends = m.operands[m.rows[t.row].operands].kind == FABRIC
    if sends and not make_room(m, task, y, end):
        return
    begin_job(m, task, y, lanes)
    if begin == 0 and end == t.rows and t.uneven == 0:
        perform(m, 0, 0)
    else:
        for step_row in range(begin, end):
            perform(m, t.level, step_row)
    if m.now[0].fault != 0:
        return
    if made > 0:
        send_wavelets(m, task, y, lanes, made)
    account(m, t.row, (end - begin) * t.steps * lanes)


# --- the end ------------------------------------------------------------------------------


@kernel
def finish(m: Machine, task: int) -> None:
    """An instruction is done in all rows of its task: a stream unit signals."""
    now, t = m.now[0], m.tasks[task]
    done = m.rows[t.row].done
    if t.unit > 0 and done >= 0:
        start, semaphores = (t.x * now.semaphores + done) * now.height, m.semaphores
        for at in range(start + t.y, start + t.end):
            semaphores[at] += 1
        m.dirty[t.x] = 1


@kernel
def complete(m: Machine, task: int) -> None:
    """All rows of steps are done: take the wavelets off the queues, and signal."""
    now, t, cursor = m.now[0], m.tasks[task], m.cursor
    row = m.rows[t.row]
    if t.rows > 0 and t.steps > 0:
        for k in range(1, row.count):
            operand = m.operands[row.operands + k]
            if operand.kind == FABRIC:
                count = wavelets(m, task, operand.advance)
                queue = (t.x * now.colors + operand.color) * now.height
                for reader in range(queue + t.y, queue + t.end):
                    cursor[reader] += count
                taken(m, queue + t.y)
    finish(m, task)


@kernel
def split_task(m: Machine, task: int, at: int) -> None:
    """The rows of a task from ``at`` on become a task of their own."""
    now, t = m.now[0], m.tasks[task]
    number = task + (at - t.y) * now.units
    other = m.tasks[number]
    other.x, other.y, other.end = t.x, at, t.end
    other.unit, other.row, other.statement = t.unit, t.row, t.statement
    other.done, other.rows, other.steps = t.done, t.rows, t.steps
    other.level, other.long, other.uneven = t.level, t.long, t.uneven
    for d in range(MAX_DIMS):
        m.extents[number, d] = m.extents[task, d]
    for k in range(MOST_OPERANDS):
        m.bases[number, k], m.scalars[number, k] = m.bases[task, k], m.scalars[task, k]
        for d in range(k * MAX_DIMS, (k + 1) * MAX_DIMS):
            m.strides[number, d] = m.strides[task, d]
    t.end = at
    if t.unit > 0:
        start = (t.x * now.units + t.unit) * now.height
        for row in range(start + at, start + other.end):
            m.owner[row] = at + 1


@kernel
def ready_end(m: Machine, task: int, y: int, whole: int) -> tuple[int, int]:
    """(rows of steps that row y of tiles can do, row behind those that agree with it).

    whole: all rows of steps or none.
    """
    t = m.tasks[task]
    ready = rows_ready(m, task, y)
    if whole and ready < t.rows:
        ready = t.done
    return ready, agreeing(m, task, y, t.end)


@kernel
def push_portion(m: Machine, task: int) -> int:
    """Do a portion of a remote store; what ``try_task`` gives."""
    t = m.tasks[task]
    begin, steps = t.done, t.rows * t.steps
    end = min(steps, begin + max(m.now[0].portion // (t.end - t.y), 1))
    push_words(m, task, begin, end)
    t.done = end
    if end < steps:
        return SOME
    finish(m, task)
    return ALL


@kernel
def try_whole(m: Machine, task: int) -> int:
    """Do a task in all of its rows of tiles, if all of them are ready: ``ALL`` or ``NOTHING``."""
    t = m.tasks[task]
    # Mostly all rows agree; otherwise all must be ready before any begins.
    ready, other = ready_end(m, task, t.y, True)
    agree = other
    while ready == t.rows and other < t.end:
        ready, other = ready_end(m, task, other, True)
    if ready < t.rows:
        return NOTHING
    start, other = t.y, agree
    while m.now[0].fault == 0:
        advance_rows(m, task, start, other - start, t.rows)
        if other == t.end:
            break
        start = other
        other = agreeing(m, task, start, t.end)
    complete(m, task)
    return ALL


@kernel
def try_part(m: Machine, task: int) -> int:
    """Do what can be done of a task in its first rows of tiles; the others are split off."""
    now, t = m.now[0], m.tasks[task]
    ready, other = ready_end(m, task, t.y, now.mode != Mode.STEPS and t.long == 0)
    if t.long != 0:
        other = min(other, t.y + max(now.portion // t.steps, 1))
        most = max(now.portion // (t.steps * (other - t.y)), 1)
        ready = min(ready, t.done + min(most, now.portion_rows))
    if other < t.end:
        split_task(m, task, other)
    if ready <= t.done:
        return NOTHING
    advance_rows(m, task, t.y, other - t.y, ready)
    t.done = ready
    if ready < t.rows:
        return SOME
    complete(m, task)
    return ALL


@kernel
def try_task(m: Machine, task: int) -> int:
    """Do a task, in all of its rows; in other modes in some, which are split off.

    Of a long one it does a portion, in any mode. Returns ``ALL`` if it is complete, ``SOME`` if
    part of it was done, ``NOTHING`` if nothing was.
    """
    now, t = m.now[0], m.tasks[task]
    if m.rows[t.row].kind == Kind.SEND:
        if elsewhere(m, task):
            now.posts = 1
            return NOTHING
        return push_portion(m, task)
    if now.mode == Mode.WHOLE and t.long == 0:
        return try_whole(m, task)
    return try_part(m, task)
