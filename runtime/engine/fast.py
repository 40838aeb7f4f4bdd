"""The fast engine: everything runs ahead in its own time, and only contenders wait for order.

It keeps the time of the reference engine to the cycle, and its counters; see
``kernel_ahead`` for how, and docs/adr/0005 for why.
"""

from __future__ import annotations

import numpy as np

from wsc.runtime.engine import Options, Outcome, compiled
from wsc.runtime.engine.ahead import count_moves, with_lookahead
from wsc.runtime.engine.drive import drive
from wsc.runtime.engine.kernel_common import QUEUED
from wsc.runtime.engine.kernel_run import RUNNING
from wsc.runtime.engine.layout import G, Mode, State, U
from wsc.runtime.engine.pointer import Pointer
from wsc.runtime.engine.state import make_state
from wsc.runtime.image import Image
from wsc.runtime.store import make_outputs
from wsc.runtime.trace import read_trace

_FIRST_SLICE = 200_000  # tasks


class FastEngine:
    """Runs an image ahead of time; see ``wsc.runtime.engine.Engine``."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end; the errors are those of the ``Engine`` protocol."""
        outputs = make_outputs(image.program)
        state = with_lookahead(image, make_state(image, inputs, outputs, options), options)
        loop = compiled.FAST.prepare(options.compiling)
        address = Pointer(state, compiled.CORES.address())

        def step(tasks: int) -> int:
            return loop(address, tasks)

        def go_over() -> int:
            _lift_limit(state)
            status = RUNNING
            while status == RUNNING:
                status = loop(address, _FIRST_SLICE)
            return RUNNING if state.g[G.PARKED] else status

        cycles, counters = drive(
            image, state, options, step, _FIRST_SLICE, go_over, lambda: count_moves(image, state)
        )
        return Outcome(outputs, cycles, counters, read_trace(image, state, cycles))


def _lift_limit(state: State) -> None:
    """Let the units of a run that has come to its limit go on for one cycle more."""
    g = state.g
    g[G.LIMIT] += 1
    g[G.PARKED] = 0
    modes = state.unit[:, U.MODE]
    tasks = g[G.UNIT_TASKS] + np.nonzero((modes != Mode.IDLE) & (modes != Mode.HALT))[0]
    state.queued[tasks] |= QUEUED
    state.tasks[g[G.TASKS_END] - 1 - np.arange(len(tasks))] = tasks
    g[G.UNITS_STACKED] = len(tasks)
