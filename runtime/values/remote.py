"""Remote stores: words of a tile that are written into another, and its semaphore."""

from __future__ import annotations

from wsc.runtime.tables import Col
from wsc.runtime.values.compiled import Machine, kernel
from wsc.runtime.values.streams import copy
from wsc.runtime.values.vector import DIMS, F16, OF_TYPE, OPERANDS, RANK

COUNTED_BY = int(Col.COUNTED_ON)  # the semaphore
TARGET_X, TARGET_Y, SLOPE = 2, 3, 2  # columns of ``bases`` and ``held`` that no operand needs


@kernel
def elsewhere(m: Machine, task: int) -> bool:
    """Whether a remote store goes to another band, which may run just now."""
    now, x = m.now, m.bases[task, TARGET_X]
    return now[0].alone == 0 and (x < now[0].first_column or x >= now[0].end_column)


@kernel
def push_words(m: Machine, task: int, x: int, y: int, begin: int, end: int) -> None:
    """Do steps of a remote store for all rows of its task, and add them to the semaphore."""
    now, height, row = m.now, m.now[0].height, m.tasks[task].row
    lanes, slope = m.tasks[task].end - y, m.held[task, SLOPE]
    gx, gy = m.bases[task, TARGET_X], m.bases[task, TARGET_Y]
    source = now[0].memory + x * now[0].words * height + y
    target = now[0].memory + gx * now[0].words * height + gy
    rank, rest = m.rows[row, RANK], begin
    d0, a = m.bases[task, 0], m.bases[task, 1]
    for d in range(rank - 1, -1, -1):
        m.index[d] = rest % m.extents[task, d]
        rest //= m.extents[task, d]
        d0 += m.index[d] * m.strides[task, d]
        a += m.index[d] * m.strides[task, DIMS + d]
    short = m.operands[m.rows[row, OPERANDS], OF_TYPE] == F16
    for _ in range(end - begin):
        one, two = source + (a >> 2) * height, target + (d0 >> 2) * height
        if short:
            one, two = 2 * one + ((a >> 1) & 1), 2 * two + ((d0 >> 1) & 1)
            for lane in range(lanes):
                m.halves[two + 2 * slope * lane] = m.halves[one + 2 * lane]
        elif slope == 1:
            copy(m, two, one, lanes)
        else:  # all into one tile: the last row's word stays
            m.words[two] = m.words[one + lanes - 1]
        d = rank - 1
        while d >= 0:
            m.index[d] += 1
            back = 1
            if m.index[d] == m.extents[task, d]:
                back = 1 - m.extents[task, d]
            d0 += back * m.strides[task, d]
            a += back * m.strides[task, DIMS + d]
            if m.index[d] < m.extents[task, d]:
                break
            m.index[d] = 0
            d -= 1
    at = (gx * now[0].semaphores + m.rows[row, COUNTED_BY]) * height + gy
    for lane in range(lanes):
        m.semaphores[at + slope * lane] += end - begin
    m.dirty[gx] = 1
    now[0].left -= (end - begin) * lanes
