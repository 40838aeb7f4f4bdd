"""The reference engine: evaluate, then commit, cycle by cycle. It specifies time."""

from __future__ import annotations

import numpy as np

from wsc.runtime.engine import Options, Outcome, compiled
from wsc.runtime.engine.drive import drive
from wsc.runtime.engine.kernel_run import RUNNING
from wsc.runtime.engine.layout import NEVER, G
from wsc.runtime.engine.pointer import Pointer
from wsc.runtime.engine.state import make_state
from wsc.runtime.image import Image
from wsc.runtime.store import make_outputs
from wsc.runtime.trace import read_trace

_FIRST_SLICE = 1_000_000  # tile-cycles


class ReferenceEngine:
    """Steps an image cycle by cycle; see ``wsc.runtime.engine.Engine``."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end; the errors are those of the ``Engine`` protocol."""
        outputs = make_outputs(image.program)
        state = make_state(image, inputs, outputs, options)
        loop = compiled.REFERENCE.prepare(options.compiling)
        address, limit = Pointer(state), options.max_cycles or NEVER

        def step(cycles: int) -> int:
            return loop(address, min(max(int(state.g[G.NOW]), 0) + cycles, limit))

        def go_over() -> int:
            status = RUNNING
            while status == RUNNING and state.g[G.NOW] <= limit:
                status = loop(address, limit + 1)
            return status

        first = max(_FIRST_SLICE // image.tiles, 1)
        cycles, counters = drive(image, state, options, step, first, go_over)
        return Outcome(outputs, cycles, counters, read_trace(image, state, cycles))
