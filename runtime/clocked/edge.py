"""Where a transfer at the edge has got to."""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.schedule import Hcol, Qcol, Rcol


@kernel
def value_wanted(s: Machine, queue: int) -> int:
    """Number of the lookup value that the cursor of a feeding queue needs."""
    record = s.queues[queue, Qcol.RECORD]
    shape = s.records[record, Rcol.SHAPE]
    before = s.records[record, Rcol.BEFORE] + s.queues[queue, Qcol.REPEAT]
    number = before * s.shapes[shape, Hcol.ROWS] + s.queues[queue, Qcol.ROW]
    return s.lookups[s.shapes[shape, Hcol.LOOKUP], 0] + number


@kernel
def end_repetition(s: Machine, queue: int, shape: int) -> None:
    """All elements of a repetition are done."""
    if s.shapes[shape, Hcol.THEN] != 0:
        s.queues[queue, Qcol.STATE] = 1
    else:
        s.queues[queue, Qcol.REPEAT] += 1
