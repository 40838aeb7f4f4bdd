"""Instructions with queue operands: captured at issue, done when their wavelets are there."""

from __future__ import annotations

from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.runtime.tables import Col, Kind, Ocol
from wsc.runtime.values.compiled import Machine, bits_of, kernel
from wsc.runtime.values.edge import supply
from wsc.runtime.values.multiply import multiply
from wsc.runtime.values.records import MOST_OPERANDS, Fault, Mode
from wsc.runtime.values.remote import elsewhere, push_words
from wsc.runtime.values.routers import send_run
from wsc.runtime.values.streams import (
    catch_up,
    reserve,
    too_far_ahead,
    wake_producer,
    wake_readers,
)
from wsc.runtime.values.vector import (
    ADVANCE,
    CODE,
    COLOR,
    COUNT,
    DIMS,
    DTYPE,
    F16,
    FABRIC,
    I32,
    INTEGER,
    LEVEL,
    MACS,
    MEMORY,
    OF_KIND,
    OF_TYPE,
    OPERANDS,
    PRODUCTS,
    RANK,
    calculate,
    group,
    half_bits,
    place,
    wavelets,
)

DIMENSIONS, UNIT, DONE, KIND = int(Col.DIMS), int(Col.UNIT), int(Col.DONE), int(Col.KIND)
SEND = int(Kind.SEND)
VALUE, STRIDES = int(Ocol.VALUE), int(Ocol.STRIDES)
INPUT, OUTPUT = 1, 2  # bits of ``queues_there``
QUEUE, ADDRESS, ALIGNMENT = int(Fault.QUEUE), int(Fault.ADDRESS), int(Fault.ALIGNMENT)
EXTENT, TOO_MANY, ROW = int(Fault.EXTENT), int(Fault.STEPS), int(Fault.ROW)
STEPS, PARTS = int(Mode.STEPS), int(Mode.PARTS)
IN_COLUMN, OUT_COLUMN = 7, 8  # how the fault of a missing queue is told apart
MOST_RUNS = 16


@kernel
def fail(m: Machine, fault: int, thread: int, unit: int, row: int, value: int, bound: int) -> None:
    """Note what stops the run: what was found, and what it is held against."""
    now = m.now
    now[0].fault, now[0].fault_tile, now[0].fault_unit = fault, thread, unit
    now[0].fault_row, now[0].fault_value, now[0].fault_bound = row, value, bound
    now[0].fault_statement = m.threads[thread].statement


@kernel
def reference(m: Machine, thread: int, ref: int) -> int:
    """Static part plus registers, for the first row of a thread.

    ``row_end`` becomes the first row behind it whose value differs, if that comes sooner.
    """
    t = m.threads[thread]
    at, stride = m.refs[ref, 0] + t.x * m.refs[ref, 1], m.refs[ref, 2]
    value = 0 + m.pool[at + t.y * stride]
    if stride != 0:
        top = thread % m.now[0].height - t.y
        other, last = t.y + 1, m.now[0].row_end - top
        while other < last and m.pool[at + other * stride] == value:
            other += 1
        m.now[0].row_end = other + top
    for index in range(m.refs[ref, 3], m.refs[ref, 3] + m.refs[ref, 4]):
        value += m.regs[thread * m.now[0].registers + t.frame + m.registers[index]]
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
def count_steps(m: Machine, thread: int, row: int, task: int) -> int:
    """Evaluate the extents of an instruction into a task: its steps, or -1 after a fault.

    Each extent is a word at most, and the product is bounded before each is multiplied in.
    """
    unit, rank, level = m.rows[row, UNIT], m.rows[row, RANK], m.rows[row, LEVEL]
    if level < 0:
        level = max(rank - 1, 0)
    total, inner, empty = 1, 1, False
    for d in range(rank):
        extent = reference(m, thread, m.lists[m.rows[row, DIMENSIONS] + d])
        if extent > MOST_WORD:
            fail(m, EXTENT, thread, unit, row, extent, MOST_WORD)
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
        fail(m, ROW, thread, unit, row, MOST_ROW, 0)
        return -1
    if total > MOST_STEPS:
        fail(m, TOO_MANY, thread, unit, row, MOST_STEPS, 0)
        return -1
    return total


@kernel
def capture_memory(m: Machine, thread: int, row: int, task: int, k: int, total: int) -> bool:
    """A memory operand; False after a fault.

    A stride larger than SRAM leaves it with the second index, so that the others can be
    multiplied by any extent without wrapping.
    """
    unit, rank, most = m.rows[row, UNIT], m.rows[row, RANK], m.now[0].bytes
    operand = m.rows[row, OPERANDS] + k
    base = reference(m, thread, m.operands[operand, VALUE])
    size = 2 if m.operands[operand, OF_TYPE] == F16 else 4
    low, high, odd = base, base, base
    for d in range(rank):
        stride = reference(m, thread, m.lists[m.operands[operand, STRIDES] + d])
        m.strides[task, k * DIMS + d] = stride
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
            fail(m, ADDRESS, thread, unit, row, low if low < 0 else high, most)
            return False
        if odd & (size - 1) != 0:
            fail(m, ALIGNMENT, thread, unit, row, base, size)
            return False
        m.now[0].sram_top = max(m.now[0].sram_top, high + size)
    return True


@kernel
def capture_queue(m: Machine, thread: int, row: int, task: int, k: int) -> bool:
    """A queue operand; False after a fault: no queue is there."""
    now, unit, rank = m.now, m.rows[row, UNIT], m.rows[row, RANK]
    first = m.rows[row, OPERANDS]
    color, advance = m.operands[first + k, COLOR], m.operands[first + k, ADVANCE]
    x, y = thread // now[0].height, thread % now[0].height
    queue = (x * now[0].colors + color) * now[0].height
    wanted = OUTPUT if k == 0 else INPUT
    if m.queues_there[queue + y] & wanted == 0:
        fail(m, QUEUE, thread, unit, row, color, OUT_COLUMN if k == 0 else IN_COLUMN)
        return False
    other = y + 1
    while other < now[0].row_end and m.queues_there[queue + other] & wanted != 0:
        other += 1
    now[0].row_end = other
    sharing, order = 1, 0
    if k > 0:
        sharing = 0
        for j in range(1, m.rows[row, COUNT]):
            if m.operands[first + j, OF_KIND] == FABRIC and m.operands[first + j, COLOR] == color:
                if m.operands[first + j, ADVANCE] != advance:
                    m.tasks[task].uneven = 1
                sharing += 1
                order += 1 if j < k else 0
    m.bases[task, k] = order
    each = sharing
    for d in range(rank - 1, -1, -1):
        if d >= advance:
            m.strides[task, k * DIMS + d] = 0
        else:
            m.strides[task, k * DIMS + d] = each
            each *= max(m.extents[task, d], 0)
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
def capture(m: Machine, thread: int, row: int, task: int) -> int:
    """Evaluate extents, addresses, strides and scalars of an instruction into a task.

    Returns the number of steps, or -1 after a fault. ``row_end`` is moved as by ``reference``.
    """
    rank, level, operand = m.rows[row, RANK], m.rows[row, LEVEL], m.rows[row, OPERANDS]
    m.tasks[task].row, m.tasks[task].done, m.tasks[task].uneven = row, 0, 0
    m.tasks[task].statement = m.threads[thread].statement
    total = count_steps(m, thread, row, task)
    if total < 0:
        return -1
    for k in range(m.rows[row, COUNT]):
        kind, of = m.operands[operand + k, OF_KIND], m.operands[operand + k, OF_TYPE]
        if kind == MEMORY:
            if not capture_memory(m, thread, row, task, k, total):
                return -1
        elif kind == FABRIC:
            if not capture_queue(m, thread, row, task, k):
                return -1
        elif kind == INTEGER:
            whole = reference(m, thread, m.operands[operand + k, VALUE])
            m.held[task, k] = integer_bits(whole, of)
        else:
            m.held[task, k] = m.literals[m.operands[operand + k, VALUE], of]
    lanes = m.now[0].row_end - thread % m.now[0].height
    m.tasks[task].long = 1 if total > m.now[0].portion // lanes else 0
    outer = max(level, 0)
    if level < 0 and m.tasks[task].long != 0:
        outer = innermost_level(m, task, rank, m.now[0].portion // lanes)
    steps = 1 if total > 0 else 0
    for d in range(outer, rank):
        steps *= max(m.extents[task, d], 0)
    m.tasks[task].level, m.tasks[task].steps = outer, steps
    m.tasks[task].rows = total // steps if total > 0 else 0
    return total


@kernel
def available(m: Machine, task: int, reader: int, k: int) -> int:
    """Wavelets that an operand's queue has for it, as far as it needs them.

    The edge is asked to feed what is missing.
    """
    stream = m.source[reader]
    if stream < 0:
        return 0
    row = m.tasks[task].row
    first, need = m.rows[row, OPERANDS], 0
    color = m.operands[first + k, COLOR]
    for j in range(1, m.rows[row, COUNT]):
        if m.operands[first + j, OF_KIND] == FABRIC and m.operands[first + j, COLOR] == color:
            need += wavelets(m, task, m.operands[first + j, ADVANCE])
    end, lane = m.cursor[reader] + need, m.streams[stream].first + m.lane[reader]
    if m.tasks[task].long != 0:
        end = min(end, m.written[lane] + m.now[0].portion_rows)
    supply(m, stream, end)
    there = m.written[lane] - m.cursor[reader]
    return min(there, need) if there < need else need


@kernel
def uneven_rows(m: Machine, task: int, k: int, there: int, level: int) -> int:
    """The same for operands that share a queue and advance differently."""
    row = m.tasks[task].row
    first, low, high = m.rows[row, OPERANDS], 0, m.tasks[task].rows
    color = m.operands[first + k, COLOR]
    while low < high:  # the last number of rows that need no more than are there
        middle, taken = (low + high + 1) // 2, 0
        for j in range(1, m.rows[row, COUNT]):
            if m.operands[first + j, OF_KIND] == FABRIC and m.operands[first + j, COLOR] == color:
                each = group(m, task, m.operands[first + j, ADVANCE], level)
                taken += (middle + each - 1) // each
        if taken <= there:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def rows_ready(m: Machine, task: int, x: int, y: int) -> int:
    """How many rows of steps of a task have their wavelets, in row y of a column."""
    row = m.tasks[task].row
    first, level, ready = m.rows[row, OPERANDS], m.rows[row, LEVEL], m.tasks[task].rows
    for k in range(m.rows[row, COUNT]):
        if m.operands[first + k, OF_KIND] != FABRIC:
            continue
        color, advance = m.operands[first + k, COLOR], m.operands[first + k, ADVANCE]
        if k == 0:
            stream = m.stream_of[x * m.now[0].colors + color]
            count = wavelets(m, task, advance)
            if m.tasks[task].long != 0:
                count = min(count, m.now[0].portion_rows)
            if too_far_ahead(m, stream, y, count):
                return m.tasks[task].done
            if m.now[0].run_room - m.now[0].runs_used < MOST_RUNS + m.now[0].height:
                return m.tasks[task].done
            continue
        reader = (x * m.now[0].colors + color) * m.now[0].height + y
        there = available(m, task, reader, k)
        if m.tasks[task].uneven == 0:
            own = 1 if there > m.bases[task, k] else 0
            if advance > 0:
                each = m.strides[task, k * DIMS + advance - 1]
                own = max((there - m.bases[task, k] + each - 1) // each, 0)
            ready = min(ready, own * group(m, task, advance, level))
        else:
            ready = min(ready, uneven_rows(m, task, k, there, level))
    return ready


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
def agreeing(m: Machine, task: int, x: int, y: int, end: int) -> int:
    """The first row behind y whose queues hold something else for a task than those of y."""
    row = m.tasks[task].row
    first = m.rows[row, OPERANDS]
    for k in range(m.rows[row, COUNT]):
        if m.operands[first + k, OF_KIND] != FABRIC:
            continue
        column = x * m.now[0].colors + m.operands[first + k, COLOR]
        if k == 0:
            end = sent_alike(m, m.streams[m.stream_of[column]].first, y, end)
        else:
            end = reading_alike(m, column * m.now[0].height, y, end)
    return end


@kernel
def perform(
    m: Machine, task: int, unit: int, x: int, y: int, lanes: int, first: int, r: int
) -> None:
    """Do the steps of a task for some rows; with ``first`` those of row r of steps alone."""
    dims = place(m, task, x, y, lanes, first, r)
    if PRODUCTS[m.rows[m.tasks[task].row, CODE]]:
        multiply(m, task, x, y, lanes, dims)
    else:
        calculate(m, task, unit, x, y, lanes, dims)


@kernel
def account(m: Machine, row: int, steps: int) -> None:
    """Count what steps do."""
    now = m.now
    now[0].sram_bytes += steps * m.traits[row]
    macs = MACS[m.rows[row, CODE]]
    if macs == 0:
        now[0].elements += steps
    elif m.rows[row, DTYPE] == F16:
        now[0].macs_f16 += steps * macs
    else:
        now[0].macs_f32 += steps * macs


@kernel
def advance_rows(m: Machine, task: int, unit: int, x: int, y: int, lanes: int, end: int) -> None:
    """Do rows of steps up to ``end`` for rows of tiles that agree in all queues."""
    row = m.tasks[task].row
    first, level, begin = m.rows[row, OPERANDS], m.tasks[task].level, m.tasks[task].done
    stream, color, made = -1, 0, 0
    if m.operands[first, OF_KIND] == FABRIC:
        color = m.operands[first, COLOR]
        size = group(m, task, m.operands[first, ADVANCE], level)
        made = end // size - begin // size
        stream = m.stream_of[x * m.now[0].colors + color]
        if m.streams[stream].guided != 0 and m.streams[stream].held == 0:
            catch_up(m, stream)
        top = m.written[m.streams[stream].first + y] + (end + size - 1) // size - begin // size
        if not reserve(m, stream, top):
            return
    if begin == 0 and end == m.tasks[task].rows and m.tasks[task].uneven == 0:
        perform(m, task, unit, x, y, lanes, 0, 0)
    else:
        for r in range(begin, end):
            perform(m, task, unit, x, y, lanes, level, r)
    if m.now[0].fault != 0:
        return
    if stream >= 0 and made > 0:
        start, written = m.streams[stream].first + y, m.written
        for lane in range(start, start + lanes):
            written[lane] += made
        if m.streams[stream].guided != 0:
            for lane in range(y, y + lanes):
                tile = lane * m.now[0].width + x
                slot = m.slot_of[tile * m.now[0].colors + color]
                send_run(m, slot, stream, lane, m.written[start - y + lane] - made, made, 0)
        wake_readers(m, stream)
    account(m, row, (end - begin) * m.tasks[task].steps * lanes)
    m.now[0].left -= (end - begin) * m.tasks[task].steps * lanes


@kernel
def finish(m: Machine, row: int, unit: int, x: int, y: int, end: int) -> None:
    """A unit has done an instruction in some rows: it signals."""
    done = m.rows[row, DONE]
    if unit > 0 and done >= 0:
        start = (x * m.now[0].semaphores + done) * m.now[0].height
        semaphores = m.semaphores
        for at in range(start + y, start + end):
            semaphores[at] += 1
        m.dirty[x] = 1


@kernel
def complete(m: Machine, task: int, unit: int, x: int) -> None:
    """All rows of steps are done: take the wavelets off the queues, and signal."""
    now, height = m.now, m.now[0].height
    row, y = m.tasks[task].row, task // m.now[0].units % m.now[0].height
    first, end = m.rows[row, OPERANDS], m.tasks[task].end
    if m.tasks[task].rows > 0 and m.tasks[task].steps > 0:
        for k in range(1, m.rows[row, COUNT]):
            if m.operands[first + k, OF_KIND] == FABRIC:
                count = wavelets(m, task, m.operands[first + k, ADVANCE])
                queue = (x * now[0].colors + m.operands[first + k, COLOR]) * height
                cursor = m.cursor
                for reader in range(queue + y, queue + end):
                    cursor[reader] += count
                wake_producer(m, m.source[queue + y])
    finish(m, row, unit, x, y, end)


@kernel
def split_task(m: Machine, task: int, unit: int, x: int, at: int) -> None:
    """The rows of a task from ``at`` on become a task of their own."""
    now, y = m.now, task // m.now[0].units % m.now[0].height
    other = task + (at - y) * now[0].units
    m.tasks[other].end = m.tasks[task].end
    m.tasks[other].row, m.tasks[other].done = m.tasks[task].row, m.tasks[task].done
    m.tasks[other].rows, m.tasks[other].steps = m.tasks[task].rows, m.tasks[task].steps
    m.tasks[other].level, m.tasks[other].long = m.tasks[task].level, m.tasks[task].long
    m.tasks[other].statement = m.tasks[task].statement
    m.tasks[other].uneven = m.tasks[task].uneven
    for d in range(DIMS):
        m.extents[other, d] = m.extents[task, d]
    for k in range(MOST_OPERANDS):
        m.bases[other, k], m.held[other, k] = m.bases[task, k], m.held[task, k]
        for d in range(k * DIMS, k * DIMS + DIMS):
            m.strides[other, d] = m.strides[task, d]
    m.tasks[task].end = at
    if unit > 0:
        start = (x * now[0].units + unit) * now[0].height
        for place_ in range(start + at, start + m.tasks[other].end):
            m.owner[place_] = at + 1


@kernel
def ready_end(m: Machine, task: int, x: int, y: int, end: int, whole: int) -> tuple[int, int]:
    """(rows of steps that row y of a column can do, row behind those that agree with it)."""
    ready = rows_ready(m, task, x, y)
    if whole and ready < m.tasks[task].rows:
        ready = m.tasks[task].done
    return ready, agreeing(m, task, x, y, end)


@kernel
def push_portion(m: Machine, task: int, unit: int, x: int, y: int) -> int:
    """Do a portion of a long remote store; the results of ``try_task``."""
    begin = m.tasks[task].done
    most = max(m.now[0].portion // (m.tasks[task].end - y), 1)
    end = min(m.tasks[task].rows * m.tasks[task].steps, begin + most)
    push_words(m, task, x, y, begin, end)
    m.tasks[task].done = end
    if end < m.tasks[task].rows * m.tasks[task].steps:
        return 1
    finish(m, m.tasks[task].row, unit, x, y, m.tasks[task].end)
    return 2


@kernel
def try_task(m: Machine, task: int, unit: int, x: int) -> int:
    """Do a task, in all of its rows; in other modes in some, which are split off.

    Of a long one it does a portion, in any mode.

    Returns 2 if it is complete, 1 if part of it was done, 0 if nothing was.
    """
    now, y = m.now, task // m.now[0].units % m.now[0].height
    rows, end, mode = m.tasks[task].rows, m.tasks[task].end, now[0].mode
    if m.rows[m.tasks[task].row, KIND] == SEND:
        if elsewhere(m, task):
            now[0].posts = 1
            return 0
        return push_portion(m, task, unit, x, y)
    long = m.tasks[task].long != 0
    if mode < PARTS and not long:
        # Mostly all rows agree; otherwise all must be ready before any begins.
        ready, other = ready_end(m, task, x, y, end, True)
        middle = other
        while ready == rows and other < end:
            ready, other = ready_end(m, task, x, other, end, True)
        if ready < rows:
            return 0
        start, other = y, middle
        while now[0].fault == 0:
            advance_rows(m, task, unit, x, start, other - start, rows)
            if other == end:
                break
            start = other
            other = agreeing(m, task, x, start, end)
        complete(m, task, unit, x)
        return 2
    ready, other = ready_end(m, task, x, y, end, mode < STEPS and not long)
    if long:
        steps = m.tasks[task].steps
        other = min(other, y + max(m.now[0].portion // steps, 1))
        most = min(max(m.now[0].portion // (steps * (other - y)), 1), m.now[0].portion_rows)
        ready = min(ready, m.tasks[task].done + most)
    if other < end:
        split_task(m, task, unit, x, other)
    if ready <= m.tasks[task].done:
        return 0
    advance_rows(m, task, unit, x, y, other - y, ready)
    m.tasks[task].done = ready
    if ready < rows:
        return 1
    complete(m, task, unit, x)
    return 2
