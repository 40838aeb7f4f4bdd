"""Cycles without values, tiles as lanes: every cycle is stepped, for up to 512 tiles at once."""

from __future__ import annotations

from wsc.runtime.clocked.tables import observe
from wsc.runtime.image import Image
from wsc.runtime.observations.drive import drive
from wsc.runtime.observations.records import NEVER, Status
from wsc.runtime.observations.tracing import read_trace
from wsc.runtime.observations.watching import Watch
from wsc.runtime.record import Record
from wsc.runtime.runs import Options, Outcome
from wsc.runtime.time.compiled import LIBRARY
from wsc.runtime.time.loop import run_cycles, settle_groups
from wsc.runtime.time.standing import count_moves, show, show_messages
from wsc.runtime.time.tables import make_machine

_FIRST_SLICE = 2_000  # cycles


class _Shared(Exception):
    """Two units have come to one end of a queue: who is served then is known unit by unit."""


def run_time(image: Image, record: Record | None, options: Options) -> Outcome:
    """Run an image for its cycles; the errors are those of the ``Engine`` protocol.

    record: what registers were loaded with, for a program that needs it (``runtime.decisions``).
    A program in which two units race for a queue is run again, without groups.
    """
    LIBRARY.prepare(options.compiling)
    try:
        return _run(image, record, options, options.trace is not None)
    except _Shared:
        return _run(image, record, options, alone=True)


def _run(image: Image, record: Record | None, options: Options, alone: bool) -> Outcome:
    """Run to the end. alone: no unit comes to a group."""
    machine, stations = make_machine(image, record, options)
    seen, now, limit = observe(machine), machine.now, options.max_cycles or NEVER
    now["alone"] = alone
    watch = Watch(image, seen, options)

    def stand(status: int, until: int) -> int:
        """Show where a run stands that has come to its end, or to where it is to stand."""
        if now["shared"][0] and not alone:
            raise _Shared
        if status != Status.RUNNING or now["now"][0] >= until:
            at = int(now["now"][0])
            settle_groups(machine, at + 1 if status == Status.QUIET else at)
            show(machine, stations)
            show_messages(machine)
        return status

    def step(cycles: int, until: int) -> int:
        return stand(run_cycles(machine, min(max(int(now["now"][0]), 0) + cycles, until)), until)

    def go_over() -> int:
        status = int(Status.RUNNING)
        while status == Status.RUNNING and now["now"][0] <= limit:
            status = stand(run_cycles(machine, limit + 1), limit)
        return status

    def finish() -> None:
        count_moves(machine, stations)

    cycles, counters = drive(image, seen, options, watch, step, _FIRST_SLICE, go_over, finish)
    trace = read_trace(image, seen, cycles, network=watch.network())
    return Outcome({}, cycles, counters, trace, watch.windows())
