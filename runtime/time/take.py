"""Rows that take one wavelet each, many at a time."""

from __future__ import annotations

from wsc.runtime.clocked.recording import count_wait
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import Reason


@kernel
def take_queued(s: Machine, tile: int, me: int, slot: int, t: int, most: int, end: int) -> int:
    """Take the wavelets of a slot's input queue, one for each row of a unit.

    t: first cycle in which a row could start; none starts in cycle ``end`` or later.

    Returns:
        How many rows start; the last in the cycle in which the queue was last popped.
    """
    fifos, cells, start = s.fifos, s.cells, t
    queue = s.slots[slot, Scol.INPUT]
    count, depth = fifos[queue, Fcol.COUNT], fifos[queue, Fcol.DEPTH]
    head, offset = fifos[queue, Fcol.HEAD], fifos[queue, Fcol.OFFSET]
    cycles, done, most, popped = s.unit[me].cycles, 0, min(most, count), 0
    while done < most:
        cell = offset + head
        start = max(start, cells[cell].time)
        if start >= end:
            break
        cells[cell].time, popped = start + 1, start
        head = 0 if head + 1 == depth else head + 1
        done += 1
        start += cycles
    if done > 0:
        fifos[queue, Fcol.HEAD], fifos[queue, Fcol.COUNT] = head, count - done
        fifos[queue, Fcol.POPPED] = popped
        count_wait(s, tile, me, Reason.INPUT, slot, popped + cycles - t - done * cycles)
    return done
