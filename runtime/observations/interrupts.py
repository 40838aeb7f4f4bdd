"""Where a run was when it stopped: for those who interrupt it, and for limits of cycles."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import numpy as np

from wsc.isa.counted import MainStatement
from wsc.isa.shown import named
from wsc.runtime.errors import CycleLimit, Deadlock, Interrupted, RuntimeFault, spot
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.observations.records import Mode, Observations
from wsc.runtime.observations.tracing import read_trace
from wsc.runtime.observations.watching import Watch


@contextmanager
def observed_run(
    image: Image,
    seen: Observations,
    watch: Watch,
    look: Callable[[RuntimeFault | None], None],
) -> Generator[None]:
    """Turn what was noted into errors when the block ends, however it does.

    look: called at the end, with the error of the run if there is one; may raise another one.

    Raises:
        Interrupted: in place of ``KeyboardInterrupt``, with the place where the run was.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(_standing(image, seen)) from None
    except RuntimeFault as error:
        if isinstance(error, (CycleLimit, Deadlock)) and error.cycle is not None:
            error.trace = read_trace(image, seen, error.cycle, network=watch.network())
            error.windows = watch.windows()
        look(error)
        raise
    look(None)


def _standing(image: Image, seen: Observations) -> str:
    """Cycle, part of the edge's work that is done, and the statement that most tiles are in."""
    now, total = seen.now[0], image.schedule.elements
    runs = np.nonzero(image.tile_region != NO_REGION)[0]
    main = seen.unit[:: seen.units]
    running = runs[main["mode"][runs] != Mode.HALT]
    cycle = max(int(now["now"]), 0)
    text = f"interrupted in cycle {cycle:,}"
    if total:
        text += f", {int(now['moved']) / total:.0%} of the edge's elements moved"
    if not len(running):
        return text + "; all main threads have ended"
    at = seen.tile["statement"][running]
    numbers, counts = np.unique(at[at >= 0], return_counts=True)
    if not len(numbers):
        return text + "; no tile has begun"
    most = int(numbers[counts.argmax()])
    return (
        f"{text}; {int(counts.max()):,} of {len(runs):,} tiles in "
        f"{_statement(image.code.statements[most])}"
    )


def _statement(statement: MainStatement) -> str:
    nodes = f" ({named(statement.nodes)})" if statement.nodes else ""
    return f"'{statement.text}'{nodes} at {spot(statement.where)}"
