"""Remote stores: words of a tile that are written into another, and its semaphore."""

from __future__ import annotations

from wsc.runtime.tables import MAX_DIMS
from wsc.runtime.values.compiled import Machine, kernel
from wsc.runtime.values.streams import copy
from wsc.runtime.values.vector import F16


@kernel
def elsewhere(m: Machine, task: int) -> bool:
    """Whether a remote store goes to another band, which may run just now."""
    now, x = m.now[0], m.tasks[task].target_x
    return now.alone == 0 and (x < now.first_column or x >= now.end_column)


@kernel
def push_step(m: Machine, task: int, target: int, source: int, short: int) -> None:
    """Write one element of each row of a task into that of its target.

    target, source: addresses in the target's and the own SRAM. short: the elements are f16.
    """
    now, t = m.now[0], m.tasks[task]
    lanes, height, slope = t.end - t.y, now.height, t.slope
    one = now.memory + (t.x * now.words + (source >> 2)) * height + t.y
    two = now.memory + (t.target_x * now.words + (target >> 2)) * height + t.target_y
    if short:
        one, two = 2 * one + ((source >> 1) & 1), 2 * two + ((target >> 1) & 1)
        for lane in range(lanes):
            m.halves[two + 2 * slope * lane] = m.halves[one + 2 * lane]
    elif slope == 1:
        copy(m, two, one, lanes)
    else:  # all into one tile: the last row's word stays
        m.words[two] = m.words[one + lanes - 1]


@kernel
def push_words(m: Machine, task: int, begin: int, end: int) -> None:
    """Do steps of a remote store for all rows of its task, and add them to the semaphore."""
    now, t = m.now[0], m.tasks[task]
    row = m.rows[t.row]
    short = m.operands[row.operands].type == F16
    # The number of a step is one of several digits: an index for each dimension.
    target, source, rest = m.bases[task, 0], m.bases[task, 1], begin
    for d in range(row.rank - 1, -1, -1):
        m.index[d] = rest % m.extents[task, d]
        rest //= m.extents[task, d]
        target += m.index[d] * m.strides[task, d]
        source += m.index[d] * m.strides[task, MAX_DIMS + d]
    for _ in range(end - begin):
        push_step(m, task, target, source, short)
        # The innermost index goes on; one that has come to its end carries into the next outer one.
        d = row.rank - 1
        while d >= 0:
            m.index[d] += 1
            ended = m.index[d] == m.extents[task, d]
            steps = 1 - m.extents[task, d] if ended else 1
            target += steps * m.strides[task, d]
            source += steps * m.strides[task, MAX_DIMS + d]
            if not ended:
                break
            m.index[d] = 0
            d -= 1
    # Each word that arrives counts.
    lanes = t.end - t.y
    at = (t.target_x * now.semaphores + row.counted_on) * now.height + t.target_y
    for lane in range(lanes):
        m.semaphores[at + t.slope * lane] += end - begin
    m.dirty[t.target_x] = 1
    now.left -= (end - begin) * lanes
