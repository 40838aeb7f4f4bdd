"""Rows that take one wavelet each, many at a time."""

from __future__ import annotations

from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import Reason


@kernel
def take_queued(s: Machine, tile: int, thread: int, slot: int, t: int, most: int, end: int) -> int:
    """Take the wavelets of a slot's input queue, one for each row of a unit.

    t: first cycle in which a row could start; none starts in cycle ``end`` or later.

    Returns:
        How many rows start; the last in the cycle in which the queue was last popped.
    """
    start, queue = t, s.slots[slot].input
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
        count_wait(s, tile, thread, Reason.INPUT, slot, popped + cycles - t - done * cycles)
    return done
