"""Rows that take one wavelet each, many at a time."""

from __future__ import annotations

from wsc.runtime.time.compiled import Machine, kernel


@kernel
def take_queued(s: Machine, tile: int, thread: int, queue: int, t: int, most: int, end: int) -> int:
    """Take the wavelets of a queue, one for each row of a unit.

    t: first cycle in which a row could start; none starts in cycle ``end`` or later.

    Returns:
        How many rows start; the last in the cycle in which the queue was last popped.
    """
    start = t
    count, depth = s.fifos[queue].count, s.fifos[queue].depth
    head, offset = s.fifos[queue].head, s.fifos[queue].offset
    cycles, done, most, popped = s.unit[thread].cycles, 0, min(most, count), 0
    while done < most:
        cell = offset + head
        start = max(start, s.cells[cell].time)
        if start >= end:
            break
        s.cells[cell].time, popped = start + 1, start
        head = 0 if head + 1 == depth else head + 1
        done += 1
        start += cycles
    if done > 0:
        s.fifos[queue].head, s.fifos[queue].count = head, count - done
        s.fifos[queue].popped = popped
        if thread == tile * s.now[0].units:
            s.counters[tile].input += popped + cycles - t - done * cycles
    return done
