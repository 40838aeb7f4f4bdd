"""Where a transfer at the edge has got to."""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel


@kernel
def value_wanted(s: Machine, queue: int) -> int:
    """Number of the lookup value that the cursor of a feeding queue needs."""
    record = s.queues[queue].record
    shape = s.records[record].shape
    before = s.records[record].before + s.queues[queue].repeat
    number = before * s.shapes[shape].rows + s.queues[queue].row
    return s.lookups[s.shapes[shape].lookup].first + number


@kernel
def end_repetition(s: Machine, queue: int, shape: int) -> None:
    """All elements of a repetition are done."""
    if s.shapes[shape].then != 0:
        s.queues[queue].state = 1
    else:
        s.queues[queue].repeat += 1
