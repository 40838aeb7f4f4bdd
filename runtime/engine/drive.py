"""Runs a compiled loop in slices, so that progress is shown and an interrupt is heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from wsc.runtime.counters import Counters, collect
from wsc.runtime.engine import Options, deadlock
from wsc.runtime.engine.kernel_run import FAULTED, QUIET
from wsc.runtime.engine.layout import NEVER, G, State
from wsc.runtime.engine.observe import observed_run
from wsc.runtime.errors import CycleLimit, Deadlock, ExecutionFault
from wsc.runtime.image import Image

_SLICE_SECONDS = 0.25
_MOST_WORK = 1 << 40  # the loops return before that when they have done much

Slice = Callable[[int], int]
"""Runs for so much work (of the engine's own unit) and returns the loop's status."""


def drive(
    image: Image, state: State, options: Options, step: Slice, first: int,
    go_over: Callable[[], int], settle: Callable[[], None] = lambda: None,
) -> tuple[int, Counters]:  # fmt: skip
    """Run to the end: its cycles and counters.

    first: work of the first slice; the later ones take about a quarter of a second.
    go_over: runs the cycle of the limit too and returns the loop's status, RUNNING if more is left.
    settle: brings counts that the engine keeps otherwise into the state.

    Raises:
        ExecutionFault, Deadlock, CycleLimit, Race, Interrupted: the run did not end well.
    """
    with observed_run(image, state, options):
        return _drive(image, state, options, step, first, go_over, settle)


def _drive(
    image: Image, state: State, options: Options, step: Slice, first: int,
    go_over: Callable[[], int], settle: Callable[[], None],
) -> tuple[int, Counters]:  # fmt: skip
    g, limit, work = state.g, options.max_cycles or NEVER, first
    while True:
        before = time.perf_counter()
        status = step(work)
        spent = time.perf_counter() - before
        if status == FAULTED:
            message, where = deadlock.describe_fault(image, state)
            raise ExecutionFault(message, int(g[G.NOW]), where)
        if g[G.NOW] >= limit or (status == QUIET and g[G.PARKED]):
            settle()
            counters = collect(image, state, limit)
            # Threads that reach their end in the cycle of the limit need no cycle of it.
            if not deadlock.drained(state) or go_over() != QUIET or g[G.LAST] >= limit:
                raise CycleLimit(f"the run did not end within {limit} cycles", limit, counters)
            status = QUIET
        if status == QUIET:
            cycles = int(g[G.LAST]) + 1
            if not deadlock.finished(image, state):
                raise Deadlock(deadlock.report(image, state, cycles), cycles)
            if options.progress is not None:
                options.progress(cycles, 1.0)
            settle()
            return cycles, collect(image, state, cycles)
        if options.progress is not None:
            total = image.schedule.elements
            options.progress(int(g[G.NOW]), int(g[G.MOVED]) / total if total else 0.0)
        work = min(max(int(work * _SLICE_SECONDS / max(spent, 1e-4)), 1), 2 * work, _MOST_WORK)


def engine_state(state: State, values: dict[str, Any]) -> State:
    """A state with some arrays replaced."""
    unknown = set(values) - set(State._fields)
    assert not unknown, unknown
    return state._replace(**{name: np.ascontiguousarray(value) for name, value in values.items()})
