"""Run a program: named arrays in, named arrays, cycles and counters out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np

from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.runtime.counters import Counters
from wsc.runtime.engine import CHECKING, ENGINES, VALUES, Options, choose_engine, find_engine
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.image import Image, load
from wsc.runtime.memory import require_for_run
from wsc.runtime.store import check_inputs, host_outputs
from wsc.runtime.trace import Trace, TraceRequest
from wsc.runtime.work import Work


@dataclass(frozen=True, slots=True)
class ValuesResult:
    """What a run without a clock gives. outputs, wall_seconds: as in ``RunResult``.

    counters: what does not depend on time. cycles: None, since nobody counted them.
    """

    outputs: dict[str, np.ndarray]
    counters: Work
    wall_seconds: float
    engine: str = VALUES
    cycles: None = None
    trace: None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """outputs: in the host's shapes and dtypes. wall_seconds: loading and compiling excluded
    only when the image was given. trace: what was recorded, if that was asked for."""

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters
    wall_seconds: float
    engine: str
    trace: Trace | None = None

    @property
    def utilization(self) -> float:
        """Multiply-accumulates done, over those that all tiles could have done in the time."""
        return self.counters.utilization


@overload  # the more special one first: "values" is a str too
def run(  # pyright: ignore[reportOverlappingOverload]
    program: Program | Image,
    inputs: Mapping[str, np.ndarray],
    *,
    engine: Literal["values"],
    weights_dir: Path | None = None,
    fabric: Fabric | None = None,
    progress: Callable[[int, float], None] | None = None,
    max_memory: int | None = None,
    changed_weights: bool = False,
    checkpoint: Path | None = None,
) -> ValuesResult: ...


@overload
def run(
    program: Program | Image,
    inputs: Mapping[str, np.ndarray],
    *,
    weights_dir: Path | None = None,
    fabric: Fabric | None = None,
    engine: str | None = None,
    delays: int | None = None,
    max_cycles: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    shuffle: int | None = None,
    compiling: Callable[[str], None] | None = None,
    check_races: bool = False,
    trace: TraceRequest | None = None,
    max_memory: int | None = None,
    changed_weights: bool = False,
    checkpoint: Path | None = None,
) -> RunResult: ...


def run(
    program: Program | Image,
    inputs: Mapping[str, np.ndarray],
    *,
    weights_dir: Path | None = None,
    fabric: Fabric | None = None,
    engine: str | None = None,
    delays: int | None = None,
    max_cycles: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    shuffle: int | None = None,
    compiling: Callable[[str], None] | None = None,
    check_races: bool = False,
    trace: TraceRequest | None = None,
    max_memory: int | None = None,
    changed_weights: bool = False,
    checkpoint: Path | None = None,
) -> RunResult | ValuesResult:
    """Execute a program on the simulated fabric.

    Args:
        program: a program, or an image that ``wsc.runtime.load`` made of one.
        inputs: one array for each input, in the host's shape and dtype.
        weights_dir, fabric: as for ``wsc.runtime.load``.
        engine: name of the engine; None takes the default one, or the one that checks races.
            "values" has no clock: it gives outputs, and counters that do not depend on time,
            and takes none of the options that do.
        delays: seed of random delays; they change cycles and never values.
        max_cycles: stop with ``CycleLimit`` there.
        progress: called with (cycle, fraction of the edge's elements moved); the cycle is 0
            where there is no clock.
        shuffle: seed of a random order of visiting tiles; nothing may depend on it.
        compiling: called with an empty text if the engine itself must be compiled, which takes a
            quarter of a minute and is kept for later runs; with the reason, if it cannot be kept.
            Without it, that reason is a ``RuntimeWarning``. The values engine, which is made of
            parts that are compiled when they are first used, does not call it.
        check_races: end with ``Race`` if units or remote stores share memory without order.
        trace: what to record; the result then has a ``trace``.
        max_memory: bytes that the run may take; None stands for what the machine has free.
        changed_weights: as for ``wsc.runtime.load``.

    Raises:
        InputError: an input is unknown, missing, or not of its shape and dtype.
        LoadError: the program does not fit the fabric, a weight is missing, or its file is
            not the one that the program was saved with.
        MemoryLimit: the run would take more than ``max_memory``.
        ExecutionFault, Deadlock, CycleLimit, Race: the run did not end well.
        Interrupted: a ``KeyboardInterrupt`` that says where the run was.
    """
    started = time.perf_counter()
    name = choose_engine(engine, check_races)
    if isinstance(program, Image):
        image = program
    else:
        image = load(program, fabric, weights_dir, max_memory, changed_weights, checkpoint)
    if name == VALUES:
        timed = {
            "delays": delays, "max_cycles": max_cycles, "shuffle": shuffle, "trace": trace,
        }  # fmt: skip
        refuse_timed([option for option, value in timed.items() if value is not None])
        return _run_values(image, inputs, progress, max_memory, started)
    options = Options(delays, max_cycles, progress, shuffle, compiling, check_races, trace)
    require_for_run(image, options, name != CHECKING, max_memory)
    flat = check_inputs(image.program, inputs)
    outcome = find_engine(name).run(image, flat, options)
    outputs = host_outputs(image.program, outcome.outputs)
    seconds = time.perf_counter() - started
    return RunResult(outputs, outcome.cycles, outcome.counters, seconds, name, outcome.trace)


def _run_values(
    image: Image, inputs: Mapping[str, np.ndarray], progress: Callable[[int, float], None] | None,
    max_memory: int | None, started: float,
) -> ValuesResult:  # fmt: skip
    flat = check_inputs(image.program, inputs)
    from wsc.runtime.values.engine import execute  # compiled code is loaded only now

    tell = None if progress is None else lambda part: progress(0, part)
    executed = execute(image, flat, progress=tell, max_memory=max_memory)
    outputs = host_outputs(image.program, executed.outputs)
    return ValuesResult(outputs, executed.work, time.perf_counter() - started)


def refuse_timed(options: Sequence[str]) -> None:
    """Refuse options that mean nothing without a clock.

    Raises:
        RuntimeFault: there are some, with their names.
    """
    if options:
        raise RuntimeFault(
            f"the {VALUES} engine has no clock: it does not take {', '.join(options)}; "
            f"the engines {' and '.join(ENGINES)} do"
        )
