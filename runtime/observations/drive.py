"""Runs a compiled loop in slices, so that progress is shown and an interrupt is heard."""

from __future__ import annotations

import time
from collections.abc import Callable

from wsc.runtime.counters import Counters
from wsc.runtime.errors import CycleLimit, Deadlock, ExecutionFault, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.observations import deadlock
from wsc.runtime.observations.collect import collect
from wsc.runtime.observations.interrupts import observed_run
from wsc.runtime.observations.records import NEVER, Observations, Status
from wsc.runtime.observations.watching import Watch
from wsc.runtime.runs import Options

_SLICE_SECONDS = 0.25
_MOST_WORK = 1 << 40  # the loops return before that when they have done much

Slice = Callable[[int, int], int]
"""Runs for so much work (of the engine's own unit), up to a cycle; returns the loop's status."""


def drive(
    image: Image,
    seen: Observations,
    options: Options,
    watch: Watch,
    step: Slice,
    first: int,
    go_over: Callable[[], int],
    settle: Callable[[], None] = lambda: None,
    look: Callable[[RuntimeFault | None], None] = lambda _error: None,
) -> tuple[int, Counters]:
    """Run to the end: its cycles and counters.

    watch: where the run is to stand in between. first: work of the first slice; the later ones
    take about a quarter of a second. go_over: runs the cycle of the limit too and returns the
    loop's status, RUNNING if more is left. settle: brings counts that the engine keeps otherwise
    into what is seen. look: see ``observed_run``.

    Raises:
        ExecutionFault, Deadlock, CycleLimit, Race, Interrupted: the run did not end well.
    """
    with observed_run(image, seen, watch, look):
        return _drive(image, seen, options, watch, step, first, go_over, settle)


def _drive(
    image: Image,
    seen: Observations,
    options: Options,
    watch: Watch,
    step: Slice,
    first: int,
    go_over: Callable[[], int],
    settle: Callable[[], None],
) -> tuple[int, Counters]:
    now, limit, work = seen.now[0], options.max_cycles or NEVER, first

    def counted(cycles: int) -> Counters:
        return collect(image, seen, cycles)

    def ended(cycles: int) -> Counters:
        settle()
        counters = counted(cycles)
        watch.end(cycles, counters)
        return counters

    while True:
        # The run stands where it is to be looked at; what is there counts as it does at a limit.
        until = min(watch.next(), limit)
        before = time.perf_counter()
        status = step(work, until)
        spent = time.perf_counter() - before
        if status == Status.FAULTED:
            message, where = deadlock.describe_fault(image, seen)
            raise ExecutionFault(message, int(now["now"]), where)
        if now["now"] >= limit:
            counters = ended(limit)
            # Threads that reach their end in the cycle of the limit need no cycle of it.
            if not deadlock.drained(seen) or go_over() != Status.QUIET or now["last"] >= limit:
                raise CycleLimit(f"the run did not end within {limit} cycles", limit, counters)
            status = Status.QUIET
        if status == Status.QUIET:
            cycles = int(now["last"]) + 1
            if not deadlock.finished(image, seen):
                counters = ended(cycles)
                told = deadlock.report(image, seen, cycles)
                raise Deadlock(told, cycles, counters=counters)
            if options.progress is not None:
                options.progress(cycles, 1.0)
            return cycles, ended(cycles)
        if now["now"] >= until:
            settle()
            watch.look(until, counted)
            continue
        if options.progress is not None:
            total = image.schedule.elements
            options.progress(int(now["now"]), int(now["moved"]) / total if total else 0.0)
        work = min(max(int(work * _SLICE_SECONDS / max(spent, 1e-4)), 1), 2 * work, _MOST_WORK)
