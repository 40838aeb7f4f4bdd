"""A run of ``wsc run`` before it begins: what was asked for, and what is made ready for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.against import Follower, dump_file, dumps_of
from wsc.cli.common import STANDARD, Refusal, given_program, is_model, read_arrays, working
from wsc.cli.finished import COLUMNS
from wsc.cli.holding import Holding
from wsc.cli.names import Sizes, chosen_model, compiled, is_name, named_model
from wsc.cli.outputs import array_paths, given_files, require_outputs
from wsc.cli.tables import require_headings
from wsc.cli.tracing import Tracing
from wsc.cli.values import refuse_clock
from wsc.cost.steps import loop_of_steps

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.compare import Reference
    from wsc.runtime.runs import Dump

VALUES = "values"  # the engine without a clock
TIME = "time"  # the engine without values
CHECKING = "reference"  # the engine that has values and time at once
DRAWN_BYTES = 12  # of memory for each element of an input: in double precision, and as it is wanted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; the fields are the options of the command."""

    program: Path
    inputs: tuple[str, ...]
    seed: int | None
    output: Path | None
    as_json: bool
    compare: Path | None
    bind: tuple[str, ...]
    delays: int | None
    engine: str | None
    max_cycles: int | None
    max_memory: int | None
    check_races: bool
    against: Path | None
    dump_sram: tuple[str, ...]
    changed_weights: bool
    fabric: str | None
    settings: tuple[str, ...]
    precision: str | None
    dims: tuple[str, ...]
    report: Path | None
    maps: tuple[str, ...]
    every: bool
    sort: str | None
    columns: str | None
    tracing: Tracing
    holding: Holding
    sizes: Sizes

    def require(self) -> None:
        """Refuse options that do not go together, or not with the engine."""
        models = (self.compare, self.against)
        if self.bind and models == (None, None) and not is_model(self.program):
            raise Refusal(
                "--bind only serves --compare and --against; what a program was compiled with "
                "stays in it"
            )
        if self.output == STANDARD:
            raise Refusal("-o -: outputs are files in a folder: name one")
        if self.maps and self.as_json:
            raise Refusal("--map is for people; with --json the same numbers are under tiles")
        require_headings(COLUMNS, self.sort, self.columns)
        self.tracing.require()
        if self.engine == VALUES:
            clocked = ("delays", "max_cycles", "check_races", "report", "maps", "against")
            timed = {name: getattr(self, name) for name in (*clocked, "dump_sram")}
            refuse_clock(timed | {"trace": self.tracing.trace})
        elif self.engine == TIME and (self.output is not None or self.compare is not None):
            raise Refusal(
                "the time engine computes no outputs to write or compare; leave out --engine"
            )


@dataclass(frozen=True, slots=True)
class Job:
    """A run that can begin: what could be refused has not been.

    arrays: the inputs, of which those in ``drawn`` are drawn from ``seed``. baked: of ``--bind``.
    reference, follower: what outputs, and nodes, are held against. dumps: SRAM to write, and its
    files. paths: of outputs. options: for the engine; again: for further runs that only serve
    the follower. read: files that are never replaced.
    """

    wanted: Wanted
    program: Program
    arrays: dict[str, np.ndarray]
    baked: dict[str, np.ndarray]
    drawn: tuple[str, ...]
    seed: int | None
    reference: Reference | None
    follower: Follower | None
    dumps: Sequence[tuple[Dump, Path]]
    paths: Mapping[str, Path]
    options: Mapping[str, Any]
    again: Mapping[str, Any]
    read: tuple[Path, ...]

    @property
    def shown_seed(self) -> int | None:
        """The seed, if anything was drawn from it."""
        return self.seed if self.drawn else None


def prepared(wanted: Wanted) -> Job:
    """Read or compile the program, and read or draw its inputs.

    Raises:
        Refusal: an option does not suit the program, an input is missing, or a file is in the way.
    """
    given, baked = read_arrays("--input", wanted.inputs), read_arrays("--bind", wanted.bind)
    wanted.require()
    program = _loaded(wanted, baked)
    models = _models((wanted.compare, wanted.against), wanted.sizes, wanted.holding.steps)
    compare, against = models
    compared = [file for model in models for file in _model_files(model)]
    named = given_files((*wanted.inputs, *wanted.bind))
    read = (wanted.program, *program.files, *named, *compared)
    # Where results go, before the long work.
    output, trace = wanted.output, wanted.tracing.trace
    paths = {} if output is None else array_paths(output, _names(program, "output"))
    dumps = [
        (dump, dump_file(dump, output or Path())) for dump in dumps_of(program, wanted.dump_sram)
    ]
    shown = [path for path in (trace, wanted.report) if path is not None]
    require_outputs([*paths.values(), *shown, *(path for _, path in dumps)], output, read)
    # What it runs with, and what it is held against.
    timing = wanted.engine == TIME
    seed = wanted.seed if wanted.seed is not None or given or timing else 0
    needed = not timing or bool(given)
    arrays, drawn = inputs_of(program, given, seed, wanted.max_memory, needed)
    reference = None if compare is None else _reference(program, compare, baked)
    if against is not None and loop_of_steps(program.assembly) is not None:
        raise Refusal("--against follows a single run, and this program makes several steps")
    follower = None if against is None else Follower(program, against)
    options = _options(wanted, program, [dump for dump, _ in dumps], follower)
    again = options | {"trace": None, "dumps": (), "causes": False}
    if follower is not None:
        options["captures"] = follower.captures()
    return Job(
        wanted,
        program,
        arrays,
        baked,
        drawn,
        seed,
        reference,
        follower,
        dumps,
        paths,
        options,
        again,
        read,
    )


def _options(
    wanted: Wanted, program: Program, dumps: Sequence[Dump], follower: Follower | None
) -> dict[str, Any]:
    """What ``Program.run`` takes, without what the follower wants to see."""
    options: dict[str, Any] = {
        "engine": wanted.engine,
        "delays": wanted.delays,
        "max_cycles": wanted.max_cycles,
        "max_memory": wanted.max_memory,
        "check_races": wanted.check_races,
        "changed_weights": wanted.changed_weights,
        "trace": wanted.tracing.request(program),
    }
    # Causes, memory and nodes are known to the engine that has values and time at once.
    if wanted.tracing.trace_arrows:
        options |= {"engine": wanted.engine or CHECKING, "causes": True}
    if follower is not None or dumps:
        options |= {"engine": wanted.engine or CHECKING, "dumps": dumps}
    return options


def _loaded(wanted: Wanted, baked: dict[str, np.ndarray]) -> Program:
    """The program in a file, that of a model in one, or that of a model by name."""
    program, holding, sizes = wanted.program, wanted.holding, wanted.sizes
    compare = wanted.compare or wanted.against
    if is_name(program):
        named, held = named_model(str(program), sizes, holding.steps), holding.options()
        return compiled(named, wanted.fabric, wanted.precision, wanted.settings, held)
    _require_no_sizes(program, sizes, compare)
    held = holding.options() if is_model(program) else None
    if held is None and holding.given() and (holding.hold or compare is None):
        raise Refusal(f"{holding.given()}: {program} is compiled, and says that itself")
    loaded = given_program(
        program,
        wanted.fabric,
        wanted.dims,
        baked,
        wanted.precision,
        wanted.settings,
        located=True,
        held=held,
    )
    loaded.checkpoint = loaded.checkpoint or sizes.checkpoint
    return loaded


def _require_no_sizes(program: Path, sizes: Sizes, compare: Path | None) -> None:
    """Refuse sizes for a file, unless they are those of a name to compare with."""
    if compare is None or not is_name(compare):
        chosen_model(program, replace(sizes, checkpoint=None))


def _models(models: Sequence[Path | None], sizes: Sizes, steps: int | None) -> list[Path | None]:
    """The files of the models to compare with; that of a model by name is there for this run."""
    files: dict[Path, Path] = {}
    for model in models:
        if model is None or model in files:
            continue
        files[model] = model
        if is_name(model):
            with working("writing the weights for ONNX Runtime"):
                held = named_model(str(model), sizes, steps).file()
                files[model] = click.get_current_context().with_resource(held)
    return [None if model is None else files[model] for model in models]


def _model_files(model: Path | None) -> tuple[Path, ...]:
    """The files of a model that outputs are compared with."""
    if model is None:
        return ()
    from wsc.frontend.load import model_files

    return model_files(model)


def inputs_of(
    program: Program,
    given: dict[str, np.ndarray],
    seed: int | None,
    limit: int | None,
    needed: bool,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays given and those drawn; the names of the latter. needed: all of them are."""
    from wsc.isa.program import Kind
    from wsc.runtime.memory import require_memory

    tensors = program.assembly.shown(Kind.INPUT)
    missing = [tensor.name for tensor in tensors if tensor.name not in given]
    if missing and seed is None and needed:
        flags = " ".join(f"--input {name}=FILE.npy" for name in missing)
        raise Refusal(f"inputs are missing: {flags}, or --seed N to draw them")
    if seed is None:
        return given, ()
    wanted = sum(math.prod(tensor.shape) for tensor in tensors)
    require_memory({"inputs to draw": wanted * DRAWN_BYTES}, limit)
    drawn = program.draw(seed)
    return {**{name: drawn[name] for name in missing}, **given}, tuple(missing)


def _names(program: Program, kind: str) -> list[str]:
    from wsc.isa.program import Kind

    return [tensor.name for tensor in program.assembly.shown(Kind(kind))]


def _reference(program: Program, model: Path, baked: dict[str, np.ndarray]) -> Reference:
    """ONNX Runtime with the model, checked against the program before the long work."""
    from wsc.comparison.compare import Reference

    reference = Reference(model)
    reference.require([*_names(program, "input"), *baked], _names(program, "output"))
    return reference
