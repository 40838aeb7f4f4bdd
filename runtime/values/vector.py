"""One instruction, for neighbouring rows of a column at once: operands in, operation, result out.

The rows are lanes. A step of the instruction is one element in each lane; steps are done in
the order of the text, as many at a time as do not depend on each other.

``begin_job`` says which lanes of which task, ``place`` where their operands begin and how they go
on from step to step (``placed``, ``count`` and ``step``), and ``calculate`` does the steps.
``fmac`` is in ``multiply``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.rounding import half_encoding
from wsc.isa.table import TABLE, Inner
from wsc.isa.types import DType
from wsc.isa.values import MOVES
from wsc.runtime.tables import FABRIC, MAX_DIMS, MEMORY, TYPE_INDEX
from wsc.runtime.values.compiled import Machine, bits_of, kernel, look, operate
from wsc.runtime.values.records import MOST_OPERANDS, Fault, Held
from wsc.runtime.values.streams import copy, fill

F16, I32 = TYPE_INDEX[DType.F16], TYPE_INDEX[DType.I32]
PRODUCTS: Any = np.array([row.inner is Inner.PRODUCTS for row in TABLE])
MACS: Any = np.array([row.macs for row in TABLE])  # that a step of an instruction counts
MOVING: Any = np.array([row.name in MOVES for row in TABLE])


# --- wavelets of operands -----------------------------------------------------------------


@kernel
def wavelets(m: Machine, task: int, advance: int) -> int:
    """How many wavelets an operand takes or gives that advances with so many names."""
    count = 1
    for d in range(advance):
        count *= m.extents[task, d]
    return count


@kernel
def group(m: Machine, task: int, advance: int, level: int) -> int:
    """Rows of steps for each wavelet of an operand."""
    count = 1
    for d in range(advance, level):
        count *= m.extents[task, d]
    return count


@kernel
def position(m: Machine, task: int, k: int, step_row: int) -> int:
    """Place of an operand's wavelet in a row of steps among those that the instruction takes."""
    row = m.rows[m.tasks[task].row]
    own = m.operands[row.operands + k]
    # The row of steps in which the wavelet is taken: it stays for the rows of its group.
    rows = group(m, task, own.advance, row.level)
    taken, before = step_row // rows * rows, 0
    # Before it, operands that share its queue have taken one for each of their groups so far, and
    # those that come first in the text take theirs of this row first.
    for j in range(1, row.count):
        other = m.operands[row.operands + j]
        if other.kind == FABRIC and other.color == own.color:
            size = group(m, task, other.advance, row.level)
            before += (taken + size - 1) // size
            if j < k and taken % size == 0:
                before += 1
    return before


# --- where operands are -------------------------------------------------------------------


@kernel
def begin_job(m: Machine, task: int, y: int, lanes: int) -> None:
    """Some of a task's rows of tiles, from row ``y`` on, are the lanes from now on."""
    now, job, x = m.now[0], m.job[0], m.tasks[task].x
    job.task = task
    job.x = x
    job.y = y
    job.lanes = lanes
    job.column = now.memory + x * now.words * now.height + y


@kernel
def place_memory(m: Machine, k: int, first: int, step_row: int) -> None:
    """An operand in SRAM: where its first element is, and words (f16: bytes) between elements."""
    job, placed, height = m.job[0], m.placed[k], m.now[0].height
    task = job.task
    row = m.rows[m.tasks[task].row]
    # The number of a row of steps is one of several digits: an index for each outer dimension.
    address, rest = m.bases[task, k], step_row
    for d in range(first - 1, -1, -1):
        address += rest % m.extents[task, d] * m.strides[task, k * MAX_DIMS + d]
        rest //= m.extents[task, d]
    placed.spread = 1
    if m.operands[row.operands + k].type == F16:
        placed.held, placed.at = Held.HALF_MEMORY, address
        for d in range(first, row.rank):
            m.step[k, d] = m.strides[task, k * MAX_DIMS + d]
        return
    # Words of one address lie together for all rows of tiles, so the next address is `height` on.
    placed.held, placed.at = Held.WORDS, job.column + (address >> 2) * height
    for d in range(first, row.rank):
        m.step[k, d] = (m.strides[task, k * MAX_DIMS + d] >> 2) * height


@kernel
def place_result(m: Machine, step_row: int) -> None:
    """A result that is sent: behind what the core has sent on the color."""
    job, placed, now = m.job[0], m.placed[0], m.now[0]
    task = m.tasks[job.task]
    row = m.rows[task.row]
    operand = m.operands[row.operands]
    s = m.streams[m.stream_of[job.x * now.colors + operand.color]]
    # What this call sends is counted when all of it is done.
    size = group(m, job.task, operand.advance, row.level)
    at = m.written[s.first + job.y] + step_row // size - task.done // size - s.base
    placed.at = s.address + at * s.lanes + job.y
    placed.held = Held.HALF_STREAM if operand.type == F16 else Held.WORDS
    placed.spread = 1
    for d in range(row.rank):
        m.step[0, d] = m.strides[job.task, d] * s.lanes


@kernel
def place_arrived(m: Machine, k: int, first: int, step_row: int) -> None:
    """An operand that arrives: where the reader's cursor is in its stream."""
    job, placed, now = m.job[0], m.placed[k], m.now[0]
    row = m.rows[m.tasks[job.task].row]
    operand = m.operands[row.operands + k]
    reader = (job.x * now.colors + operand.color) * now.height + job.y
    s = m.streams[m.source[reader]]
    before = position(m, job.task, k, step_row) if first > 0 else m.bases[job.task, k]
    at = m.cursor[reader] + before - s.base
    placed.at = s.address + at * s.lanes + m.lane[reader]
    placed.held = Held.HALF_STREAM if operand.type == F16 else Held.WORDS
    # A multicast: all rows read the same lane.
    same = job.lanes > 1 and m.lane[reader + 1] == m.lane[reader]
    placed.spread = 0 if same else 1
    for d in range(row.rank):
        m.step[k, d] = m.strides[job.task, k * MAX_DIMS + d] * s.lanes


@kernel
def join(m: Machine, first: int) -> int:
    """Drop dimensions of one step; join neighbours that go on evenly for all operands.

    first: the outermost dimension that counts. Returns how many are left.
    """
    task, made = m.job[0].task, 0
    row = m.rows[m.tasks[task].row]
    for d in range(first, row.rank):
        extent = m.extents[task, d]
        if extent == 1:
            continue
        even = made > 0
        for k in range(row.count):
            even = even and m.step[k, made - 1] == m.step[k, d] * extent
        if not even:
            m.count[made] = 1
            made += 1
        m.count[made - 1] *= extent
        for k in range(row.count):
            m.step[k, made - 1] = m.step[k, d]
    return made


@kernel
def place(m: Machine, first: int, step_row: int) -> None:
    """Find the operands of the job, for dimensions from ``first`` on.

    step_row: the row of steps, if only one is wanted.
    """
    row = m.rows[m.tasks[m.job[0].task].row]
    for k in range(row.count):
        kind = m.operands[row.operands + k].kind
        if kind == MEMORY:
            place_memory(m, k, first, step_row)
        elif kind != FABRIC:
            m.placed[k].held, m.placed[k].spread = Held.LITERAL, 0
            for d in range(first, row.rank):
                m.step[k, d] = 0
        elif k == 0:
            place_result(m, step_row)
        else:
            place_arrived(m, k, first, step_row)
    m.job[0].dims = join(m, first)


# --- elements in, and out -----------------------------------------------------------------

encode = kernel(half_encoding)


@kernel
def half_bits(value: float) -> int:
    """The f16 encoding nearest to an f32, ties to even."""
    return encode(bits_of(value))


@kernel
def half_place(m: Machine, address: int) -> int:
    """Where the f16 at an address of SRAM is in the first lane, among all 16-bit words."""
    word = m.job[0].column + (address >> 2) * m.now[0].height
    return 2 * word + ((address >> 1) & 1)


@kernel
def scratch(m: Machine, k: int) -> int:
    """Address of the band's scratch for an operand."""
    return m.now[0].buffers + k * m.now[0].scratch


@kernel
def fetch_words(m: Machine, k: int, at: int, step: int, count: int) -> int:
    """``fetch`` of an operand in words."""
    lanes, buffer = m.job[0].lanes, scratch(m, k)
    if m.placed[k].spread == 0:
        for i in range(count):
            fill(m, buffer + i * lanes, m.words[at + i * step], lanes)
        return buffer
    if count == 1 or step == lanes:
        return at
    for i in range(count):
        copy(m, buffer + i * lanes, at + i * step, lanes)
    return buffer


@kernel
def fetch(m: Machine, k: int, at: int, step: int, count: int, raw: int) -> int:
    """Address of so many steps of an operand, contiguous; copied if they do not lie so.

    at, step: of the first one, and on to the next. raw: 16-bit words stay what they are, and are
    not widened to f32.
    """
    held, spread, lanes = m.placed[k].held, m.placed[k].spread, m.job[0].lanes
    buffer = scratch(m, k)
    if held == Held.LITERAL:
        return buffer
    if held == Held.WORDS or (held == Held.HALF_STREAM and raw):
        return fetch_words(m, k, at, step, count)
    for i in range(count):
        target = buffer + i * lanes
        if held == Held.HALF_STREAM:
            source = at + i * step
            for lane in range(lanes):
                m.reals[target + lane] = m.half[m.words[source + lane * spread] & 0xFFFF]
            continue
        source = half_place(m, at + i * step)
        if raw:
            for lane in range(lanes):
                m.words[target + lane] = m.halves[source + 2 * lane]
        else:
            for lane in range(lanes):
                m.reals[target + lane] = m.half[m.halves[source + 2 * lane]]
    return buffer


@kernel
def put(m: Machine, source: int, at: int, step: int, count: int, raw: int) -> None:
    """Write contiguous results to where the first operand is, step after step."""
    held, lanes = m.placed[0].held, m.job[0].lanes
    if held == Held.WORDS or (held == Held.HALF_STREAM and raw):
        if source == at:
            return
        if step == lanes:
            copy(m, at, source, count * lanes)
            return
        for i in range(count):
            copy(m, at + i * step, source + i * lanes, lanes)
        return
    for i in range(count):
        start = source + i * lanes
        if held == Held.HALF_STREAM:
            target = at + i * step
            for lane in range(lanes):
                m.words[target + lane] = half_bits(m.reals[start + lane])
            continue
        target = half_place(m, at + i * step)
        for lane in range(lanes):
            if raw:
                m.halves[target + 2 * lane] = m.words[start + lane] & 0xFFFF
            else:
                m.halves[target + 2 * lane] = half_bits(m.reals[start + lane])


# --- what depends on what -----------------------------------------------------------------


@kernel
def element_bytes(m: Machine, operand: int) -> int:
    """Bytes of an element of an operand of the code."""
    return 2 if m.operands[operand].type == F16 else 4


@kernel
def reach(m: Machine, task: int, k: int, size: int) -> tuple[int, int]:
    """(lowest byte, one behind the highest) that an operand in memory touches."""
    low = m.bases[task, k]
    high = low + size
    for d in range(m.rows[m.tasks[task].row].rank):
        span = (m.extents[task, d] - 1) * m.strides[task, k * MAX_DIMS + d]
        low += min(span, 0)
        high += max(span, 0)
    return low, high


@kernel
def distinct(m: Machine, task: int, size: int) -> bool:
    """Whether every step writes another place in memory."""
    reached, left = size, 0
    rank = m.rows[m.tasks[task].row].rank
    for d in range(rank):
        if m.extents[task, d] > 1:
            left |= 1 << d
    # From the least stride up: each must step over all that the lesser ones reach.
    while left != 0:
        least, which = 1 << 40, -1
        for d in range(rank):
            if (left >> d) & 1 and abs(m.strides[task, d]) < least:
                least, which = abs(m.strides[task, d]), d
        if least < reached:
            return False
        reached += least * (m.extents[task, which] - 1)
        left &= ~(1 << which)
    return True


@kernel
def overlap(m: Machine, task: int) -> int:
    """0: nothing that is written is read; 1: a step reads what it writes itself; 2: others do."""
    row, found = m.rows[m.tasks[task].row], 0
    if m.operands[row.operands].kind != MEMORY:
        return 0
    size = element_bytes(m, row.operands)
    low, high = reach(m, task, 0, size)
    for k in range(1, row.count):
        if m.operands[row.operands + k].kind != MEMORY:
            continue
        width = element_bytes(m, row.operands + k)
        first, last = reach(m, task, k, width)
        if last <= low or first >= high:
            continue
        same = width == size and m.bases[task, k] == m.bases[task, 0]
        for d in range(row.rank):
            if m.extents[task, d] > 1:
                same = same and m.strides[task, k * MAX_DIMS + d] == m.strides[task, d]
        if not same or not distinct(m, task, size):
            return 2
        found = 1
    return found


# --- the steps ----------------------------------------------------------------------------


@kernel
def outside(m: Machine, a: int, b: int, count: int) -> bool:
    """Note a fault if the instruction has no value for some of so many operands a and b."""
    now, job, base = m.now[0], m.job[0], m.words.ctypes.data
    task = m.tasks[job.task]
    address = m.domains[m.rows[task.row].opcode]
    i = look(address, base, base + 4 * a, base + 4 * b, base, count)
    if i == count:
        return False
    now.fault, now.fault_unit = Fault.DOMAIN, task.unit
    now.fault_tile = job.x * now.height + job.y + i % job.lanes
    now.fault_row, now.fault_statement = task.row, task.statement
    now.fault_value, now.fault_bound = m.words[a + i], m.words[b + i]
    return True


@kernel
def fill_literals(m: Machine, steps: int) -> None:
    """Write operands that are numbers into scratch, for so many steps."""
    task = m.job[0].task
    row = m.rows[m.tasks[task].row]
    for k in range(1, row.count):
        if m.placed[k].held == Held.LITERAL:
            value = m.scalars[task, k]
            if m.operands[row.operands + k].type == F16 and not MOVING[row.opcode]:
                value = bits_of(m.half[value & 0xFFFF])
            fill(m, scratch(m, k), value, steps * m.job[0].lanes)


@kernel
def next_step(m: Machine, dims: int) -> bool:
    """Go on to the next step of the outer dimensions, operands with it; False behind the last."""
    d = dims - 1
    while d >= 0:
        m.index[d] += 1
        # An index that has come to its end goes back, and carries into the next outer one.
        ended = m.index[d] == m.count[d]
        steps = 1 - m.count[d] if ended else 1
        for k in range(MOST_OPERANDS):
            m.placed[k].at += steps * m.step[k, d]
        if not ended:
            return True
        m.index[d] = 0
        d -= 1
    return False


@kernel
def calculate_steps(m: Machine, begin: int, count: int, direct: int) -> None:
    """Do some steps of the innermost dimension; ``direct``: results may go where they belong."""
    job, base = m.job[0], m.words.ctypes.data
    row, last = m.rows[m.tasks[job.task].row], max(job.dims - 1, 0)
    opcode, whole = row.opcode, row.dtype == I32
    step = m.step[0, last] if job.dims > 0 else 0
    at, raw = m.placed[0].at + begin * step, MOVING[opcode]
    a = b = c = 0
    for k in range(1, row.count):
        further = m.step[k, last] if job.dims > 0 else 0
        found = fetch(m, k, m.placed[k].at + begin * further, further, count, raw)
        if k == 1:
            a = b = c = found
        elif k == 2:
            b = found
        else:
            c = found
    if raw:
        put(m, a, at, step, count, True)
        return
    elements = count * job.lanes
    if whole and m.domains[opcode] != 0 and outside(m, a, b, elements):
        return
    target = at if direct and (count == 1 or step == job.lanes) else m.now[0].buffers
    operate(
        m.operations[opcode, 1 if whole else 0],
        base + 4 * target,
        base + 4 * a,
        base + 4 * b,
        base + 4 * c,
        elements,
    )
    put(m, target, at, step, count, False)


@kernel
def calculate(m: Machine) -> None:
    """Do the steps of the job, whose operands are placed."""
    now, job = m.now[0], m.job[0]
    found, dims = overlap(m, job.task), job.dims
    # As many steps at a time as scratch has room for; one where steps read what others write.
    n = m.count[dims - 1] if dims > 0 else 1
    most = min(n, max(now.scratch // job.lanes, 1)) if found < 2 else 1
    direct = m.placed[0].held == Held.WORDS and found == 0
    fill_literals(m, most)
    for d in range(dims):
        m.index[d] = 0
    while True:
        done = 0
        while done < n:
            some = min(most, n - done)
            calculate_steps(m, done, some, direct)
            if now.fault != 0:
                return
            done += some
        if not next_step(m, dims - 1):
            return
