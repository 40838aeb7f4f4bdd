"""The fast engine: everything runs ahead in its own time, and only contenders wait for order.

It keeps the time of the reference engine to the cycle, and its counters; see
``kernel_ahead`` for how, and docs/adr/0005 for why.
"""

from __future__ import annotations

import numpy as np

from runtime.engine import Options, Outcome, compiled
from runtime.engine.ahead import count_moves, with_lookahead
from runtime.engine.drive import drive
from runtime.engine.pointer import Pointer
from runtime.engine.state import make_state
from runtime.image import Image
from runtime.store import make_outputs
from runtime.trace import read_trace

_FIRST_SLICE = 200_000  # tasks


class FastEngine:
    """Runs an image ahead of time; see ``runtime.engine.Engine``."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end; the errors are those of the ``Engine`` protocol."""
        outputs = make_outputs(image.program)
        state = with_lookahead(image, make_state(image, inputs, outputs, options), options)
        loop = compiled.FAST.prepare(options.compiling)
        address = Pointer(state, compiled.CORES.address())

        def step(tasks: int) -> int:
            return loop(address, tasks)

        cycles, counters = drive(
            image, state, options, step, _FIRST_SLICE, lambda: count_moves(image, state)
        )
        return Outcome(outputs, cycles, counters, read_trace(image, state, cycles))
