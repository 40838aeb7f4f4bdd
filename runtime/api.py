"""Run a program: named arrays in, named arrays, cycles and counters out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.fabric import Fabric
from isa.program import Program
from runtime.counters import Counters
from runtime.engine import Options, find_engine
from runtime.image import Image, load
from runtime.store import check_inputs, host_outputs


@dataclass(frozen=True, slots=True)
class RunResult:
    """outputs: in the host's shapes and dtypes. wall_seconds: loading and compiling excluded
    only when the image was given."""

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters
    wall_seconds: float

    @property
    def utilization(self) -> float:
        """Multiply-accumulates done, over those that all tiles could have done in the time."""
        return self.counters.utilization


def run(
    program: Program | Image,
    inputs: Mapping[str, np.ndarray],
    *,
    weights_dir: Path | None = None,
    fabric: Fabric | None = None,
    engine: str = "reference",
    delays: int | None = None,
    max_cycles: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    shuffle: int | None = None,
    compiling: Callable[[], None] | None = None,
) -> RunResult:
    """Execute a program on the simulated fabric.

    Args:
        program: a program, or an image that ``runtime.load`` made of one.
        inputs: one array for each input, in the host's shape and dtype.
        weights_dir, fabric: as for ``runtime.load``.
        engine: name of the engine.
        delays: seed of random delays; they change cycles and never values.
        max_cycles: stop with ``CycleLimit`` there.
        progress: called with (cycle, fraction of the edge's elements moved).
        shuffle: seed of a random order of visiting tiles; nothing may depend on it.
        compiling: called if the engine itself must be compiled, which takes about a minute
            and is kept for later runs.

    Raises:
        InputError: an input is unknown, missing, or not of its shape and dtype.
        LoadError: the program does not fit the fabric, or a weight is missing.
        ExecutionFault, Deadlock, CycleLimit: the run did not end well.
    """
    started = time.perf_counter()
    image = program if isinstance(program, Image) else load(program, fabric, weights_dir)
    flat = check_inputs(image.program, inputs)
    options = Options(delays, max_cycles, progress, shuffle, compiling)
    outcome = find_engine(engine).run(image, flat, options)
    outputs = host_outputs(image.program, outcome.outputs)
    return RunResult(outputs, outcome.cycles, outcome.counters, time.perf_counter() - started)
