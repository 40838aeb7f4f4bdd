"""The reference engine: evaluate, then commit, cycle by cycle. It specifies values and time."""

from __future__ import annotations

import numpy as np

from wsc.runtime.clocked.tables import observe
from wsc.runtime.errors import CycleLimit, Deadlock, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.observations.drive import drive
from wsc.runtime.observations.records import NEVER, Status
from wsc.runtime.observations.tracing import read_trace
from wsc.runtime.observations.watching import Watch
from wsc.runtime.reference.captured import memory_of, read_captures
from wsc.runtime.reference.chains import read_causes
from wsc.runtime.reference.compiled import LIBRARY
from wsc.runtime.reference.cycles import run_until
from wsc.runtime.reference.findings import refuse_races
from wsc.runtime.reference.tables import make_machine
from wsc.runtime.runs import Options, Outcome
from wsc.runtime.store import make_outputs

_FIRST_SLICE = 1_000_000  # tile-cycles


class ReferenceEngine:
    """Steps an image cycle by cycle; see ``wsc.runtime.runs.Engine``."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end; the errors are those of the ``Engine`` protocol."""
        LIBRARY.prepare(options.compiling)
        outputs = make_outputs(image.program)
        machine, _kept = make_machine(image, inputs | outputs, options)
        seen, now, limit = observe(machine), machine.now, options.max_cycles or NEVER

        watch = Watch(image, seen, options)
        waiting = sorted(range(len(options.dumps)), key=lambda i: options.dumps[i].cycle)
        dumped: dict[int, np.ndarray] = {}

        def step(cycles: int, until: int) -> int:
            until = min(max(int(now["now"][0]), 0) + cycles, until)
            if waiting:
                until = min(until, options.dumps[waiting[0]].cycle)
            status = run_until(machine, until)
            while waiting and (
                status != Status.RUNNING or now["now"][0] >= options.dumps[waiting[0]].cycle
            ):
                number = waiting.pop(0)
                dumped[number] = memory_of(image, machine, options.dumps[number])
            return status

        def go_over() -> int:
            status = int(Status.RUNNING)
            while status == Status.RUNNING and now["now"][0] <= limit:
                status = run_until(machine, limit + 1)
            return status

        def look(error: RuntimeFault | None) -> None:
            if options.causes and isinstance(error, (CycleLimit, Deadlock)):
                error.causes = read_causes(image, machine, error.cycle or 0)
            refuse_races(image, machine, error)

        first = max(_FIRST_SLICE // image.tiles, 1)
        cycles, counters = drive(image, seen, options, watch, step, first, go_over, look=look)
        causes = read_causes(image, machine, cycles) if options.causes else None
        return Outcome(
            outputs,
            cycles,
            counters,
            read_trace(image, seen, cycles, causes, watch.network()),
            watch.windows(),
            causes,
            read_captures(image, machine, options.captures),
            tuple(dumped[number] for number in range(len(options.dumps))),
        )
