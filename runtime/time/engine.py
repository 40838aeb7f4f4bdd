"""The time engine: cycles without values. Everything runs ahead in its own time, in order of need.

It keeps the time of the reference engine to the cycle, and its counters, and computes nothing:
wavelets have no contents here. See ``loop`` for how, and docs/adr/0018 for why. What was
loaded into registers, where that decides anything, comes from a run for values (``Record``).
"""

from __future__ import annotations

import numpy as np

from wsc.runtime.clocked.tables import observe
from wsc.runtime.image import Image
from wsc.runtime.observations.drive import drive
from wsc.runtime.observations.records import Mode, Status
from wsc.runtime.observations.tracing import read_trace
from wsc.runtime.record import Record
from wsc.runtime.runs import Options, Outcome
from wsc.runtime.time.basics import QUEUED
from wsc.runtime.time.compiled import LIBRARY, Machine
from wsc.runtime.time.loop import run_ahead
from wsc.runtime.time.tables import count_moves, make_machine

_FIRST_SLICE = 200_000  # tasks


def run_time(image: Image, record: Record | None, options: Options) -> Outcome:
    """Run an image for its cycles; the errors are those of the ``Engine`` protocol.

    record: what registers were loaded with, for a program that needs it (``runtime.decisions``).
    """
    LIBRARY.prepare(options.compiling)
    machine = make_machine(image, record, options)
    seen = observe(machine)

    def step(tasks: int) -> int:
        return run_ahead(machine, tasks)

    def go_over() -> int:
        _lift_limit(machine)
        status = int(Status.RUNNING)
        while status == Status.RUNNING:
            status = run_ahead(machine, _FIRST_SLICE)
        return Status.RUNNING if machine.now["parked"][0] else status

    cycles, counters = drive(
        image, seen, options, step, _FIRST_SLICE, go_over, lambda: count_moves(machine)
    )
    return Outcome({}, cycles, counters, read_trace(image, seen, cycles))


def _lift_limit(machine: Machine) -> None:
    """Let the units of a run that has come to its limit go on for one cycle more."""
    now, modes = machine.now[0], machine.unit["mode"]
    now["limit"] += 1
    now["parked"] = 0
    tasks = now["unit_tasks"] + np.nonzero((modes != Mode.IDLE) & (modes != Mode.HALT))[0]
    machine.queued[tasks] |= QUEUED
    machine.tasks[now["tasks_end"] - 1 - np.arange(len(tasks))] = tasks
    now["units_stacked"] = len(tasks)
