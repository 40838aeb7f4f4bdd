"""Run a program: named arrays in, named arrays, cycles and counters out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from wsc.isa.asked import asked
from wsc.isa.fabric import Fabric
from wsc.isa.limits import MOST_COUNT, MOST_DELAYS
from wsc.isa.program import Kind, Program
from wsc.isa.shown import Shown
from wsc.runtime.both import run_both
from wsc.runtime.counters import Counters
from wsc.runtime.decisions import Decision, decisions
from wsc.runtime.engine import BOTH, CHECKING, TIME, TIMED, VALUES, choose_engine
from wsc.runtime.errors import InputError, LoadError, RuntimeFault
from wsc.runtime.frames import output_facts, run_facts, statements_frame
from wsc.runtime.image import Image, load
from wsc.runtime.needs import observer_bytes, require_for_run
from wsc.runtime.observations.causes import Causes, Why
from wsc.runtime.runs import Capture, Dump, Options, Outcome
from wsc.runtime.store import check_inputs, host_outputs
from wsc.runtime.trace import Trace, TraceRequest
from wsc.runtime.work import Work

if TYPE_CHECKING:
    from wsc.runtime.reference.session import Session


@dataclass(frozen=True, slots=True, repr=False)
class ValuesResult(Shown):
    """What a run without a clock gives. outputs, wall_seconds: as in ``RunResult``.

    counters: what does not depend on time. cycles: None, since nobody counted them.
    """

    outputs: dict[str, np.ndarray]
    counters: Work
    wall_seconds: float
    engine: str = VALUES
    cycles: None = None
    trace: None = None

    def _facts(self) -> list[tuple[str, str]]:
        return [("engine", self.engine), *output_facts(self.outputs)]


@dataclass(frozen=True, slots=True, repr=False)
class RunResult(Shown):
    """outputs: in the host's shapes and dtypes. wall_seconds: loading and compiling excluded
    only when the image was given. trace, windows, causes, captured, dumped: what was recorded,
    if that was asked for."""

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters
    wall_seconds: float
    engine: str
    trace: Trace | None = None
    windows: tuple[Counters, ...] = ()
    causes: Causes | None = field(default=None, repr=False)
    captured: tuple[np.ndarray, ...] = field(default=(), repr=False)
    dumped: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def why(
        self, tile: tuple[int, int] | None = None, node: str | None = None, line: int | None = None
    ) -> Why:
        """What a tile, node or line waited for and who was late; without any, the critical path.

        Raises:
            RuntimeFault: the run has not kept that, or there is no such tile, node or line.
        """
        if self.causes is None:
            raise RuntimeFault("this run has not kept who waited for whom: run it with causes=True")
        return self.causes.why(tile, node, line)

    @property
    def utilization(self) -> float:
        """Multiply-accumulates done, over those that all tiles could have done in the time."""
        return self.counters.utilization

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each statement of main that ran.

        Raises:
            RuntimeFault: pandas is missing.
        """
        return statements_frame(self.counters.statements)

    def _facts(self) -> list[tuple[str, str]]:
        return run_facts(self.outputs, self.cycles, self.counters, self.engine)


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
    compiling: Callable[[str], None] | None = None,
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
    windows: Sequence[tuple[int, int]] = (),
    causes: bool = False,
    captures: Sequence[Capture] = (),
    dumps: Sequence[Dump] = (),
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
    windows: Sequence[tuple[int, int]] = (),
    causes: bool = False,
    captures: Sequence[Capture] = (),
    dumps: Sequence[Dump] = (),
    max_memory: int | None = None,
    changed_weights: bool = False,
    checkpoint: Path | None = None,
) -> RunResult | ValuesResult:
    """Execute a program on the simulated fabric.

    Args:
        program: a program, or an image that ``wsc.runtime.load`` made of one.
        inputs: one array for each input, in the host's shape and dtype.
        weights_dir, fabric: as for ``wsc.runtime.load``.
        engine: None runs for values and for time, or takes the engine that checks races.
            "values" has no clock: it gives outputs, and counters that do not depend on time,
            and takes none of the options that do. "time" has no values: it gives cycles and
            counters, and needs neither inputs nor weights unless data decide about time; it
            then runs for values first. "reference" has both at once.
        delays: seed of random delays; they change cycles and never values.
        max_cycles: stop with ``CycleLimit`` there.
        progress: called with (cycle, fraction of the edge's elements moved); the cycle is 0
            where there is no clock.
        shuffle: seed of a random order of visiting tiles; nothing may depend on it.
        compiling: called with an empty text if an engine must be compiled, which takes a few
            seconds and is kept for later runs; with the reason, if it cannot be kept.
            Without it, that reason is a ``RuntimeWarning``.
        check_races: end with ``Race`` if units or remote stores share memory without order.
        trace: what to record; the result then has a ``trace``.
        windows: of which cycles the counters are wanted too: of each the first cycle, and the one
            after its last. The result has ``windows``, in this order.
        causes: keep who waited for whom; the result can then tell ``why``. Takes the reference
            engine.
        captures, dumps: what to keep of SRAM when tiles leave a statement of main, and when
            a cycle begins; they take the reference engine too.
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
    name = choose_engine(engine, check_races, causes or bool(captures or dumps))
    timed = {
        "delays": delays,
        "max_cycles": max_cycles,
        "shuffle": shuffle,
        "trace": trace,
        "windows": windows or None,
    }
    if name == VALUES:
        refuse_timed([option for option, value in timed.items() if value is not None])
    max_memory = whole("max_memory", max_memory, 0, MOST_COUNT)
    delays = whole("delays", delays, 0, MOST_DELAYS)
    max_cycles = whole("max_cycles", max_cycles, 1, MOST_COUNT)
    options = Options(
        delays,
        max_cycles,
        progress,
        shuffle,
        compiling,
        check_races,
        trace,
        read_windows(windows),
        causes,
        tuple(captures),
        tuple(dumps),
    )

    def loaded(engine: str) -> Image:
        if isinstance(program, Image):
            return program
        return load(program, fabric, weights_dir, max_memory, changed_weights, engine, checkpoint)

    image = loaded(name)
    if name == TIME:
        found = decisions(image)
        if found.first is None:
            require_for_run(image, TIME, max_memory, observer_bytes(image, options))
            return _result(image, run_time_alone(image, options), TIME, started)
        require_inputs(image.program, inputs, found.first)
        image = loaded(BOTH)
    require_weights(image)
    flat = check_inputs(image.program, inputs)
    if name == VALUES:
        return _run_values(image, flat, options, max_memory, started)
    require_for_run(image, name, max_memory, observer_bytes(image, options))
    if name == CHECKING:
        from wsc.runtime.reference.engine import ReferenceEngine  # compiled code is loaded only now

        return _result(image, ReferenceEngine().run(image, flat, options), name, started)
    outcome, by_reference = run_both(image, flat, options, max_memory)
    if name == TIME:
        outcome = replace(outcome, outputs={})
    return _result(image, outcome, CHECKING if by_reference else name, started)


def open_session(
    program: Program,
    inputs: Mapping[str, np.ndarray],
    *,
    weights_dir: Path | None = None,
    fabric: Fabric | None = None,
    delays: int | None = None,
    max_memory: int | None = None,
    checkpoint: Path | None = None,
    compiling: Callable[[str], None] | None = None,
) -> Session:
    """A run that is taken in steps; the arguments are those of ``run``.

    Raises:
        InputError, LoadError, MemoryLimit: as ``run``.
    """
    from wsc.runtime.reference.session import Session  # compiled code is loaded only now

    options = Options(whole("delays", delays, 0, MOST_DELAYS), compiling=compiling)
    image = load(program, fabric, weights_dir, max_memory, False, CHECKING, checkpoint)
    flat = check_inputs(image.program, inputs)
    require_for_run(image, CHECKING, max_memory, observer_bytes(image, options))
    return Session(image, flat, options)


def run_time_alone(image: Image, options: Options) -> Outcome:
    """Run for cycles a program in which data decide nothing."""
    from wsc.runtime.time.engine import run_time  # compiled code is loaded only now

    return run_time(image, None, options)


def require_weights(image: Image) -> None:
    """Refuse a run for values of an image that was loaded for time alone.

    Raises:
        LoadError: it has no weights, and the program has.
    """
    weights = [tensor for tensor in image.program.edge_tensors if tensor.kind is Kind.WEIGHT]
    if weights and not image.weights:
        raise LoadError(
            f"the image was loaded for the {TIME} engine, without the program's weights; load it "
            "for another engine to run it for values"
        )


def require_inputs(program: Program, inputs: Mapping[str, np.ndarray], decision: Decision) -> None:
    """Refuse a run for time without the inputs that its cycles depend on.

    Raises:
        InputError: none is given, and there are some.
    """
    names = [tensor.name for tensor in program.shown(Kind.INPUT)]
    if names and not inputs:
        raise InputError(
            f"{decision.sentence()}: so the cycles depend on data, and a run for time needs the "
            f"inputs ({', '.join(names)}; {asked('--seed N', 'program.draw(N)')} draws them) and "
            "the weights too"
        )


def _result(image: Image, outcome: Outcome, engine: str, started: float) -> RunResult:
    outputs = host_outputs(image.program, outcome.outputs) if outcome.outputs else {}
    seconds = time.perf_counter() - started
    return RunResult(
        outputs,
        outcome.cycles,
        outcome.counters,
        seconds,
        engine,
        outcome.trace,
        outcome.windows,
        outcome.causes,
        outcome.captured,
        outcome.dumped,
    )


def _run_values(
    image: Image,
    flat: dict[str, np.ndarray],
    options: Options,
    max_memory: int | None,
    started: float,
) -> ValuesResult:
    require_for_run(image, VALUES, max_memory)
    from wsc.runtime.values.engine import execute  # compiled code is loaded only now

    progress = options.progress
    tell = None if progress is None else lambda part: progress(0, part)
    executed = execute(
        image, flat, progress=tell, max_memory=max_memory, compiling=options.compiling
    )
    outputs = host_outputs(image.program, executed.outputs)
    return ValuesResult(outputs, executed.work, time.perf_counter() - started)


def whole(name: str, value: int | None, least: int, most: int) -> int | None:
    """An option that is a whole number, as Python's own; None stays None.

    Raises:
        RuntimeFault: it is no whole number, or not in least to most.
    """
    if value is None:
        return None
    try:
        number = index(value)
    except TypeError:
        raise RuntimeFault(f"{name} is a whole number, not {type(value).__name__}") from None
    if not least <= number <= most:
        raise RuntimeFault(f"{name} is a whole number from {least} to {most}")
    return number


def read_windows(windows: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Windows of cycles, with Python's own integers.

    Raises:
        RuntimeFault: one is no (first, after), or has no cycle.
    """
    made: list[tuple[int, int]] = []
    for window in windows:
        try:
            first, after = map(index, window)
        except (TypeError, ValueError):
            raise RuntimeFault(
                f"a window is (first cycle, the one after its last), not {window!r}"
            ) from None
        if not 0 <= first < after <= MOST_COUNT:
            raise RuntimeFault(f"the window {first} to {after} has no cycle")
        made.append((first, after))
    return tuple(made)


def refuse_timed(options: Sequence[str]) -> None:
    """Refuse options that mean nothing without a clock.

    Raises:
        RuntimeFault: there are some, with their names.
    """
    if options:
        raise RuntimeFault(
            f"the {VALUES} engine has no clock: it does not take {', '.join(options)}; "
            f"the engines {' and '.join(TIMED)} do"
        )
