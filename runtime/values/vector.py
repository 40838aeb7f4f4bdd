"""One instruction, for neighbouring rows of a column at once: operands in, operation, result out.

The rows are lanes. A step of the instruction is one element in each lane; steps are done in
the order of the text, as many at a time as do not depend on each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.rounding import half_encoding
from wsc.isa.table import TABLE, Inner
from wsc.isa.types import DType
from wsc.isa.values import MOVES
from wsc.runtime.tables import MAX_DIMS, TYPE_INDEX, Col, Ocol
from wsc.runtime.values.compiled import Machine, bits_of, kernel, look, operate
from wsc.runtime.values.records import Fault
from wsc.runtime.values.streams import copy, fill

MEMORY, FABRIC, INTEGER = 0, 1, 2
WORDS, HALF_MEMORY, HALF_WORDS, LITERAL = 0, 1, 2, 3
DIMS = MAX_DIMS
OPERANDS, COUNT, RANK, LEVEL = int(Col.OPERANDS), int(Col.COUNT), int(Col.RANK), int(Col.LEVEL)
CODE, DTYPE = int(Col.OPCODE), int(Col.DTYPE)
OF_KIND, OF_TYPE, ADVANCE = int(Ocol.KIND), int(Ocol.TYPE), int(Ocol.ADVANCE)
COLOR = int(Ocol.COLOR)
F16, I32 = TYPE_INDEX[DType.F16], TYPE_INDEX[DType.I32]
PRODUCTS: Any = np.array([row.inner is Inner.PRODUCTS for row in TABLE])
MACS: Any = np.array([row.macs for row in TABLE])  # that a step of an instruction counts
MOVING: Any = np.array([row.name in MOVES for row in TABLE])
DOMAIN = int(Fault.DOMAIN)


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
def position(m: Machine, task: int, k: int, r: int) -> int:
    """Place of an operand's wavelet in row r among those that the instruction takes."""
    row = m.tasks[task].row
    level, first = m.rows[row, LEVEL], m.rows[row, OPERANDS]
    color = m.operands[first + k, COLOR]
    own = group(m, task, m.operands[first + k, ADVANCE], level)
    start, before = r // own * own, 0
    for j in range(1, m.rows[row, COUNT]):
        if m.operands[first + j, OF_KIND] == FABRIC and m.operands[first + j, COLOR] == color:
            size = group(m, task, m.operands[first + j, ADVANCE], level)
            before += (start + size - 1) // size
            if j < k and start % size == 0:
                before += 1
    return before


@kernel
def join(m: Machine, task: int, first: int, rank: int, count: int) -> int:
    """Drop dimensions of one step; join neighbours that go on evenly for all operands."""
    made = 0
    for d in range(first, rank):
        extent = m.extents[task, d]
        if extent == 1:
            continue
        even = made > 0
        for k in range(count):
            even = even and m.step[k, made - 1] == m.step[k, d] * extent
        if not even:
            m.count[made] = 1
            made += 1
        m.count[made - 1] *= extent
        for k in range(count):
            m.step[k, made - 1] = m.step[k, d]
    return made


@kernel
def place(m: Machine, task: int, x: int, y: int, lanes: int, first: int, r: int) -> int:
    """Fill the tables of operands for lanes from row y on, and dimensions from ``first`` on.

    r: the row of steps, if only one is wanted. Returns the dimensions that are left when those
    of one step are dropped and those that go on evenly are joined.
    """
    height = m.now[0].height
    row = m.tasks[task].row
    rank, level, operand = m.rows[row, RANK], m.rows[row, LEVEL], m.rows[row, OPERANDS]
    count = m.rows[row, COUNT]
    for k in range(count):
        kind, of = m.operands[operand + k, OF_KIND], m.operands[operand + k, OF_TYPE]
        at, each = 0, 0
        m.kind[k], m.spread[k] = LITERAL, 0
        if kind == MEMORY:
            at, rest = m.bases[task, k], r
            for d in range(first - 1, -1, -1):
                at += rest % m.extents[task, d] * m.strides[task, k * DIMS + d]
                rest //= m.extents[task, d]
            m.kind[k], m.spread[k] = WORDS, 1
            if of == F16:
                m.kind[k], each = HALF_MEMORY, 1
            else:
                at, each = (at >> 2) * height + m.now[0].memory, height
                at += x * m.now[0].words * height + y
        elif kind == FABRIC:
            color, advance = m.operands[operand + k, COLOR], m.operands[operand + k, ADVANCE]
            reader = (x * m.now[0].colors + color) * height + y
            if k == 0:
                stream = m.stream_of[x * m.now[0].colors + color]
                s = m.streams[stream]
                size = group(m, task, advance, level)
                at = m.written[s.first + y] - m.tasks[task].done // size + r // size - s.base
                at = s.address + at * s.lanes + y
                each, m.spread[k] = s.lanes, 1
            else:
                s = m.streams[m.source[reader]]
                at = m.cursor[reader] - s.base
                at += position(m, task, k, r) if first > 0 else m.bases[task, k]
                at = s.address + at * s.lanes + m.lane[reader]
                each, m.spread[k] = s.lanes, 1
                if lanes > 1 and m.lane[reader + 1] == m.lane[reader]:
                    m.spread[k] = 0
            m.kind[k] = HALF_WORDS if of == F16 else WORDS
        m.at[k] = at
        for d in range(first, rank):
            stride = m.strides[task, k * DIMS + d]
            if kind == MEMORY and of != F16:
                stride >>= 2
            m.step[k, d] = stride * each
    return join(m, task, first, rank, count)


encode = kernel(half_encoding)


@kernel
def half_bits(value: float) -> int:
    """The f16 encoding nearest to an f32, ties to even."""
    return encode(bits_of(value))


@kernel
def fetch(
    m: Machine, k: int, at: int, step: int, count: int, lanes: int, column: int, raw: int
) -> int:
    """Address of so many steps of an operand, contiguous; copied if they do not lie so."""
    kind, spread, height = m.kind[k], m.spread[k], m.now[0].height
    buffer = m.now[0].buffers + k * m.now[0].scratch
    if kind == LITERAL:
        return buffer
    if kind == WORDS or (kind == HALF_WORDS and raw):
        if spread == 1 and (count == 1 or step == lanes):
            return at
        if spread == 1:
            for i in range(count):
                copy(m, buffer + i * lanes, at + i * step, lanes)
        else:
            for i in range(count):
                fill(m, buffer + i * lanes, m.words[at + i * step], lanes)
        return buffer
    if kind == HALF_MEMORY:
        for i in range(count):
            address, target = at + i * step, buffer + i * lanes
            source = 2 * (column + (address >> 2) * height) + ((address >> 1) & 1)
            if raw:
                for lane in range(lanes):
                    m.words[target + lane] = m.halves[source + 2 * lane]
            else:
                for lane in range(lanes):
                    m.reals[target + lane] = m.half[m.halves[source + 2 * lane]]
        return buffer
    for i in range(count):
        source, target = at + i * step, buffer + i * lanes
        for lane in range(lanes):
            m.reals[target + lane] = m.half[m.words[source + lane * spread] & 0xFFFF]
    return buffer


@kernel
def put(
    m: Machine, source: int, at: int, step: int, count: int, lanes: int, column: int, raw: int
) -> None:
    """Write contiguous results to where the first operand is, step after step."""
    kind, height = m.kind[0], m.now[0].height
    if kind == WORDS or (kind == HALF_WORDS and raw):
        if source == at:
            return
        if step == lanes:
            copy(m, at, source, count * lanes)
            return
        for i in range(count):
            copy(m, at + i * step, source + i * lanes, lanes)
        return
    for i in range(count):
        target, start = at + i * step, source + i * lanes
        if kind == HALF_MEMORY:
            first = 2 * (column + (target >> 2) * height) + ((target >> 1) & 1)
            for lane in range(lanes):
                if raw:
                    m.halves[first + 2 * lane] = m.words[start + lane] & 0xFFFF
                else:
                    m.halves[first + 2 * lane] = half_bits(m.reals[start + lane])
        else:
            for lane in range(lanes):
                m.words[target + lane] = half_bits(m.reals[start + lane])


@kernel
def reach(m: Machine, task: int, k: int, first: int, size: int) -> tuple[int, int]:
    """(lowest byte, one behind the highest) that an operand in memory touches."""
    low = m.bases[task, k]
    high = low + size
    for d in range(first, m.rows[m.tasks[task].row, RANK]):
        span = (m.extents[task, d] - 1) * m.strides[task, k * DIMS + d]
        low += min(span, 0)
        high += max(span, 0)
    return low, high


@kernel
def distinct(m: Machine, task: int, size: int) -> bool:
    """Whether every step writes another place in memory."""
    reached, left = size, 0
    rank = m.rows[m.tasks[task].row, RANK]
    for d in range(rank):
        if m.extents[task, d] > 1:
            left |= 1 << d
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
    row = m.tasks[task].row
    operand, found = m.rows[row, OPERANDS], 0
    if m.operands[operand, OF_KIND] != MEMORY:
        return 0
    size = 2 if m.operands[operand, OF_TYPE] == F16 else 4
    low, high = reach(m, task, 0, 0, size)
    for k in range(1, m.rows[row, COUNT]):
        if m.operands[operand + k, OF_KIND] != MEMORY:
            continue
        width = 2 if m.operands[operand + k, OF_TYPE] == F16 else 4
        first, last = reach(m, task, k, 0, width)
        if last <= low or first >= high:
            continue
        same = width == size and m.bases[task, k] == m.bases[task, 0]
        for d in range(m.rows[row, RANK]):
            if m.extents[task, d] > 1:
                same = same and m.strides[task, k * DIMS + d] == m.strides[task, d]
        if not same or not distinct(m, task, size):
            return 2
        found = 1
    return found


@kernel
def outside(
    m: Machine, task: int, unit: int, x: int, y: int, a: int, b: int, count: int, lanes: int
) -> bool:
    """Note a fault if the instruction has no value for some operands."""
    base, address = m.words.ctypes.data, m.domains[m.rows[m.tasks[task].row, CODE]]
    i = look(address, base, base + 4 * a, base + 4 * b, base, count * lanes)
    if i == count * lanes:
        return False
    now = m.now
    now[0].fault, now[0].fault_unit = DOMAIN, unit
    now[0].fault_tile = x * now[0].height + y + i % lanes
    now[0].fault_row, now[0].fault_statement = m.tasks[task].row, m.tasks[task].statement
    now[0].fault_value, now[0].fault_bound = m.words[a + i], m.words[b + i]
    return True


@kernel
def calculate(m: Machine, task: int, unit: int, x: int, y: int, lanes: int, dims: int) -> None:
    """Do the steps of an instruction that the tables of operands describe."""
    row, scratch, buffers = m.tasks[task].row, m.now[0].scratch, m.now[0].buffers
    opcode, count, operand = m.rows[row, CODE], m.rows[row, COUNT], m.rows[row, OPERANDS]
    whole = 1 if m.rows[row, DTYPE] == I32 else 0
    raw, limited = MOVING[opcode], whole == 1 and m.domains[opcode] != 0
    column = m.now[0].memory + x * m.now[0].words * m.now[0].height + y
    found = overlap(m, task)
    n = m.count[dims - 1] if dims > 0 else 1
    most = min(n, max(scratch // lanes, 1)) if found < 2 else 1
    for k in range(1, count):
        if m.kind[k] == LITERAL:
            value = m.held[task, k]
            if m.operands[operand + k, OF_TYPE] == F16 and not raw:
                value = bits_of(m.half[value & 0xFFFF])
            fill(m, buffers + k * scratch, value, most * lanes)
    address, base = m.operations[opcode, whole], m.words.ctypes.data
    d0, a0, b0, c0 = m.at[0], m.at[1], m.at[2], m.at[3]
    inner = dims - 1 if dims > 0 else 0
    dd, da, db, dc = m.step[0, inner], m.step[1, inner], m.step[2, inner], m.step[3, inner]
    if dims == 0:
        dd, da, db, dc = 0, 0, 0, 0
    direct = m.kind[0] == WORDS and found == 0
    for d in range(dims):
        m.index[d] = 0
    while True:
        done = 0
        while done < n:
            some = min(most, n - done)
            a = fetch(m, 1, a0 + done * da, da, some, lanes, column, raw)
            at = d0 + done * dd
            if raw:
                put(m, a, at, dd, some, lanes, column, True)
            else:
                b, c = a, a
                if count > 2:
                    b = fetch(m, 2, b0 + done * db, db, some, lanes, column, False)
                if count > 3:
                    c = fetch(m, 3, c0 + done * dc, dc, some, lanes, column, False)
                if limited and outside(m, task, unit, x, y, a, b, some, lanes):
                    return
                target = at if direct and (some == 1 or dd == lanes) else buffers
                operate(
                    address,
                    base + 4 * target,
                    base + 4 * a,
                    base + 4 * b,
                    base + 4 * c,
                    some * lanes,
                )
                put(m, target, at, dd, some, lanes, column, False)
            done += some
        d = dims - 2
        while d >= 0:
            m.index[d] += 1
            back = 1
            if m.index[d] == m.count[d]:
                back = 1 - m.count[d]
            d0 += back * m.step[0, d]
            a0 += back * m.step[1, d]
            b0 += back * m.step[2, d]
            c0 += back * m.step[3, d]
            if m.index[d] < m.count[d]:
                break
            m.index[d] = 0
            d -= 1
        if d < 0:
            return
