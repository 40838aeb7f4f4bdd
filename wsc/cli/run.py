"""``wsc run``: execute an assembly file, report where the cycles went, compare."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.against import (
    Followed,
    Follower,
    dump_file,
    dumps_of,
    show_followed,
    told_of,
    write_dump,
)
from wsc.cli.asked import (
    dim_option,
    input_option,
    machine_option,
    precision_option,
    program_argument,
    seed_option,
)
from wsc.cli.common import (
    LARGEST,
    STANDARD,
    Memory,
    Refusal,
    bind_option,
    console,
    general,
    given_program,
    is_model,
    read_arrays,
    say_facts,
    say_json,
    set_option,
    told,
    verbose,
    working,
)
from wsc.cli.completion import Word, engines, nodes
from wsc.cli.execute import execute, trace_request, write_trace
from wsc.cli.holding import Holding, holding
from wsc.cli.maps import map_option, show_maps
from wsc.cli.names import (
    Sizes,
    chosen_model,
    compiled,
    is_name,
    named_model,
    sized,
)
from wsc.cli.outputs import (
    ReportFile,
    array_paths,
    given_files,
    require_outputs,
    write_arrays,
)
from wsc.cli.tables import PlainTable, print_table
from wsc.cli.values import Executed, execute_values, print_values, refuse_clock
from wsc.cost.steps import loop_of_steps
from wsc.isa.limits import MOST_DELAYS
from wsc.isa.shown import named

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.compare import Comparison, Reference
    from wsc.cost.predict import Prediction
    from wsc.runtime.api import RunResult
    from wsc.runtime.runs import Dump
    from wsc.views.report import KernelRow

VALUES = "values"  # the engine without a clock
TIME = "time"  # the engine without values
CHECKING = "reference"  # the engine that has values and time at once
DRAWN_BYTES = 12  # of memory for each element of an input: in double precision, and as it is wanted
MOST_ROWS = 12  # of the table of kernels, without --all


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with what is said about it.

    predicted: or why the cost model says nothing. files, trace: what was written.
    """

    program: Program
    result: RunResult
    seed: int | None
    drawn: tuple[str, ...]
    files: Mapping[str, Path]
    rows: Sequence[KernelRow]
    predicted: Prediction | str
    compared: Sequence[Comparison] | None
    undecided: str  # why there is no second opinion where outputs differ, or empty
    trace: Path | None
    stopped: str  # why it did not end, or empty
    followed: Followed | None = None  # nodes against ONNX Runtime
    dumped: Sequence[tuple[Dump, Path]] = ()  # the SRAM of tiles, and its files


@click.command("run")
@program_argument
@input_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each output as NAME.npy; characters that do not belong in a file name become _.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx|NAME",
    help="Hold the outputs against ONNX Runtime; exit 1 beyond the tolerance.",
)
@bind_option(
    "Bake an input of a model in as a constant; of a program, with --compare: the values of an "
    "input that was baked in. May be repeated."
)
@click.option(
    "--delays",
    type=click.IntRange(0, MOST_DELAYS),
    metavar="SEED",
    help="Delay wavelets at random: other cycles, the same values.",
)
@click.option(
    "--engine",
    type=Word(engines),
    metavar="NAME",
    help="values (no clock), time (cycles alone, without inputs and weights) or reference (both at "
    "once, cycle by cycle). [default: values, then time]",
)
@click.option(
    "--max-cycles",
    type=click.IntRange(1, LARGEST),
    metavar="N",
    help="Stop there, with what was counted until then; exit 2.",
)
@click.option(
    "--max-memory",
    type=Memory(),
    metavar="BYTES",
    help="Refuse to take more; K, M and G are understood. [default: what is free]",
)
@click.option(
    "--check-races",
    is_flag=True,
    help="Find memory that is shared without synchronisation; the reference engine, slower.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Record what tiles did, for ui.perfetto.dev; compressed if FILE ends in .gz.",
)
@click.option(
    "--trace-tiles",
    metavar="TILES",
    help='Tiles to record, as in "0,0;3,*;4-6,2;middle"; also corners, all. '
    "[default: corners;middle]",
)
@click.option(
    "--trace-events",
    type=click.IntRange(1, LARGEST),
    metavar="N",
    help="Most entries to record, shared by all units of these tiles. [default: 200000]",
)
@click.option(
    "--trace-from",
    type=click.IntRange(0, LARGEST),
    metavar="CYCLE",
    help="First cycle to record. [default: 0]",
)
@click.option(
    "--trace-cycles",
    type=click.IntRange(1, LARGEST),
    metavar="N",
    help="How many cycles to record. [default: all]",
)
@click.option(
    "--trace-node",
    type=Word(nodes),
    metavar="ONNX_NODE",
    help="Record what tiles do for this node alone.",
)
@click.option(
    "--trace-arrows",
    is_flag=True,
    help="Arrows from who was late to who waited, both among these tiles; the reference engine.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx|NAME",
    help="Name the first node whose values differ from ONNX Runtime's; the reference engine.",
)
@click.option(
    "--dump-sram",
    "dump_sram",
    multiple=True,
    metavar="X,Y@CYCLE",
    help="Write the SRAM of a tile, as it is when the cycle begins, to sram-X-Y-CYCLE.npz, in the "
    "folder of -o; the reference engine. May be repeated.",
)
@click.option(
    "--changed-weights",
    is_flag=True,
    help="Take weights that are not those that the program was compiled with.",
)
@machine_option
@set_option
@precision_option
@dim_option
@click.option(
    "--report",
    type=ReportFile(),
    help="Write the run as a page, as rows or as node data, as wsc report does.",
)
@map_option
@click.option("--all", "every", is_flag=True, help="Every row of the table of kernels.")
@holding
@sized
@general
def command(
    program: Path,
    inputs: tuple[str, ...],
    seed: int | None,
    output: Path | None,
    as_json: bool,
    compare: Path | None,
    bind: tuple[str, ...],
    delays: int | None,
    engine: str | None,
    max_cycles: int | None,
    max_memory: int | None,
    check_races: bool,
    trace: Path | None,
    trace_tiles: str | None,
    trace_events: int | None,
    trace_from: int | None,
    trace_cycles: int | None,
    trace_node: str | None,
    trace_arrows: bool,
    against: Path | None,
    dump_sram: tuple[str, ...],
    changed_weights: bool,
    fabric: str | None,
    settings: tuple[str, ...],
    precision: str | None,
    dims: tuple[str, ...],
    report: Path | None,
    maps: tuple[str, ...],
    every: bool,
    holding: Holding,
    sizes: Sizes,
) -> int:
    """Run a program on the simulated fabric. A model, in a file or by name (see wsc models), is
    compiled for that; - is standard input. A program whose weights are those of a checkpoint is
    given its folder again (--checkpoint).

    Inputs come from --input, or are drawn from --seed: floats from the standard normal
    distribution, integers from 0 to 15 (and below the rows of any table in the weight store
    and the size of any dimension that indices are checked for), booleans as either; inputs with
    "mask" in their name are all ones.

    With --compare, the largest absolute error of each output may be at most 1e-4 (f32)
    or 2e-2 (f16) of the output's largest magnitude, and integers must be equal; else the exit
    code is 1. Outputs that differ are held against ONNX's reference evaluator in double
    precision, too: they agree if they are right by that and ONNX Runtime is farther from it.

    With --against, values are compared node by node, in the order of the run, where a node has
    a tensor of its own: exit 1 at the first that differs.

    In a trace, 1 us is 1 cycle.
    """
    given, baked = read_arrays("--input", inputs), read_arrays("--bind", bind)
    if baked and compare is None and against is None and not is_model(program):
        raise Refusal(
            "--bind only serves --compare and --against; what a program was compiled with stays "
            "in it"
        )
    if output == STANDARD:
        raise Refusal("-o -: outputs are files in a folder: name one")
    if trace == STANDARD:
        raise Refusal("--trace -: standard output has what is said of the run: name a file")
    if maps and as_json:
        raise Refusal("--map is for people; with --json the same numbers are under tiles")
    recorded = {
        "tiles": trace_tiles,
        "events": trace_events,
        "first": trace_from,
        "cycles": trace_cycles,
        "node": trace_node,
    }
    _require_trace(trace, recorded, trace_arrows)
    timed = {"delays": delays, "max_cycles": max_cycles, "check_races": check_races, "trace": trace}
    timed |= {"report": report, "maps": maps, "against": against, "dump_sram": dump_sram}
    _require_sense(engine, timed, output is not None or compare is not None)
    loaded = _loaded(
        program, fabric, dims, baked, precision, settings, sizes, compare or against, holding
    )
    compare, against = _models((compare, against), sizes, holding.steps)
    models = (*_model_files(compare), *_model_files(against))
    read = (program, *loaded.files, *given_files((*inputs, *bind)), *models)
    paths = {} if output is None else array_paths(output, _names(loaded, "output"))
    dumps = dumps_of(loaded, dump_sram)
    dump_paths = [dump_file(dump, output or Path()) for dump in dumps]
    shown = [path for path in (trace, report) if path is not None]
    require_outputs([*paths.values(), *shown, *dump_paths], output, read)
    used = seed if seed is not None or given or engine == TIME else 0
    arrays, drawn = inputs_of(loaded, given, used, max_memory, engine != TIME or bool(given))
    reference = None if compare is None else _reference(loaded, compare, baked)
    if against is not None and loop_of_steps(loaded.assembly) is not None:
        raise Refusal("--against follows a single run, and this program makes several steps")
    follower = None if against is None else Follower(loaded, against)
    options: dict[str, Any] = {
        "engine": engine,
        "delays": delays,
        "max_cycles": max_cycles,
        "max_memory": max_memory,
        "check_races": check_races,
        "changed_weights": changed_weights,
        "trace": None if trace is None else trace_request(loaded, recorded),
    }
    if trace_arrows:
        options |= {"engine": engine or CHECKING, "causes": True}
    if follower is not None or dumps:
        options |= {"engine": engine or CHECKING, "dumps": dumps}
    again = options | {"trace": None, "dumps": (), "causes": False}
    if follower is not None:
        options["captures"] = follower.captures()
    after = Afterwards()

    def results(
        outputs: Mapping[str, np.ndarray],
    ) -> tuple[Mapping[str, Path], Sequence[Comparison] | None, str]:
        """Write and compare outputs, as far as that was asked for."""
        files, compared, undecided = dict[str, Path](), None, ""
        if output is not None:
            with after.step("the outputs were not written"):
                write_arrays(paths, outputs, read)
                files = paths
        with after.step("the outputs were not compared"):
            if reference is not None:
                from wsc.comparison.compare import compare_all

                compared, undecided = compare_all(
                    reference,
                    outputs,
                    arrays | baked,
                    loaded.assembly.precision,
                    holding.pairs(),
                    lambda: working("asking ONNX's reference evaluator, in double precision"),
                )
        return files, compared, undecided

    if engine == VALUES:
        values = execute_values(loaded, arrays, max_memory, changed_weights)
        files, compared, undecided = results(values.outputs)
        shown = used if drawn else None
        print_values(Executed(loaded, values, shown, drawn, files, compared, undecided), as_json)
        return _ended(after, "", compared)
    result, stopped = execute(loaded, arrays, options)
    compared, undecided, files, traced, followed = None, "", dict[str, Path](), None, None
    rows: Sequence[KernelRow] = ()
    if not stopped:
        files, compared, undecided = results(result.outputs)
        with after.step("the SRAM was not written"):
            for dump, memory, path in zip(dumps, result.dumped, dump_paths, strict=True):
                write_dump(loaded, dump, memory, path)
        with after.step("nodes were not compared"):
            if follower is not None:
                followed = follower.follow(result, arrays | baked, again)
    if trace is not None:
        with after.step("the trace was not written"):
            write_trace(trace, result, read)
            traced = trace
    shown_seed = used if drawn else None
    predicted = _predicted(loaded, after)
    if report is not None:
        with after.step("the report was not written"):
            held = replace(result, trace=None)
            from wsc.cli.report import data_of, write_report

            shown_run = data_of(loaded, held, predicted, stopped, drawn, shown_seed, str(program))
            write_report(report, [shown_run], read)
    with after.step("there is no table of kernels"):
        rows = rows_of(loaded, result, predicted)
    finished = Finished(
        loaded,
        result,
        shown_seed,
        drawn,
        files,
        rows,
        predicted,
        compared,
        undecided,
        traced,
        stopped,
        followed,
        [] if stopped else list(zip(dumps, dump_paths, strict=True)),
    )
    if as_json:
        say_json(as_object(finished))
    else:
        show(finished, every)
        show_maps(maps, loaded, result.counters)
    code = _ended(after, stopped, compared)
    return 1 if followed is not None and followed.first is not None else code


# --- doing it ---------------------------------------------------------------------


def _loaded(
    program: Path,
    fabric: str | None,
    dims: tuple[str, ...],
    baked: dict[str, np.ndarray],
    precision: str | None,
    settings: tuple[str, ...],
    sizes: Sizes,
    compare: Path | None,
    holding: Holding,
) -> Program:
    """The program in a file, that of a model in one, or that of a model by name."""
    if is_name(program):
        named, held = named_model(str(program), sizes, holding.steps), holding.options()
        return compiled(named, fabric, precision, settings, held)
    _require_no_sizes(program, sizes, compare)
    held = holding.options() if is_model(program) else None
    if held is None and holding.given() and (holding.hold or compare is None):
        raise Refusal(f"{holding.given()}: {program} is compiled, and says that itself")
    loaded = given_program(
        program, fabric, dims, baked, precision, settings, located=True, held=held
    )
    loaded.checkpoint = loaded.checkpoint or sizes.checkpoint
    return loaded


def _require_trace(trace: Path | None, recorded: Mapping[str, Any], arrows: bool) -> None:
    """Refuse options of a trace that is not recorded."""
    flags = {"first": "--trace-from"}
    given = [flags.get(name, f"--trace-{name}") for name, value in recorded.items() if value]
    given += ["--trace-arrows"] if arrows else []
    if trace is None and given:
        raise Refusal(f"{given[0]} only serves --trace FILE")


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


def _require_sense(engine: str | None, timed: Mapping[str, Any], outputs: bool) -> None:
    """Refuse what an engine cannot give. timed: options for a clock. outputs: they are wanted."""
    if engine == VALUES:
        refuse_clock(timed)
    elif engine == TIME and outputs:
        raise Refusal("the time engine computes no outputs to write or compare; leave out --engine")


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


class Afterwards:
    """What is done with the results of a run. Where it fails, the results are shown all the same.

    failed: sentences on what did not succeed. interrupt: the first one that came meanwhile.
    """

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.interrupt: KeyboardInterrupt | None = None

    @contextmanager
    def step(self, what: str) -> Generator[None]:
        """Do one thing more; ``what`` says what is missing without it."""
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupt = self.interrupt or error
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has its results
            self.failed.append(f"{what}: {told(error)}")


def _ended(after: Afterwards, stopped: str, compared: Sequence[Comparison] | None) -> int:
    """The exit code, when all that is known has been shown.

    Raises:
        KeyboardInterrupt: it came after the run.
        Refusal: the run was stopped, or something failed after it.
    """
    if after.interrupt is not None:
        raise after.interrupt
    if stopped or after.failed:
        raise Refusal("; ".join(filter(None, (stopped, *after.failed))))
    return int(compared is not None and not all(item.agrees for item in compared))


def _predicted(program: Program, after: Afterwards) -> Prediction | str:
    """What the cost model says of the program, or why it says nothing."""
    try:
        return prediction_of(program)
    except KeyboardInterrupt as error:
        after.interrupt = after.interrupt or error
        return str(error) or "interrupted"
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has its results
        return told(error)


def prediction_of(program: Program) -> Prediction | str:
    """What the cost model says of a program, or why it has no formula for it."""
    with working("predicting"):
        from wsc.cost.predict import Unpredictable, predict

        try:
            return predict(program.assembly, program.fabric)
        except Unpredictable as reason:
            return str(reason)


def rows_of(program: Program, result: RunResult, predicted: Prediction | str) -> list[KernelRow]:
    """The kernels of a run, beside what was predicted of them."""
    from wsc.views.report import kernel_rows

    known = None if isinstance(predicted, str) else predicted
    return kernel_rows(program.assembly, program.fabric, result.counters.statements, known)


# --- saying it --------------------------------------------------------------------


def utilization(program: Program, part: float) -> str:
    """A utilization in words: programs written by hand do not say what is useful."""
    text = f"{part:.2%} of all multiply-accumulates possible"
    return text if program.assembly.work is None else f"{text}, repeated work left out"


def fabric_name(program: Program) -> str:
    """The rectangle, the fabric that it is of, and the numbers that were changed."""
    from wsc.isa.operands import show_number

    assembly = program.assembly
    changed = "".join(f", {key} = {show_number(value)}" for key, value in assembly.settings)
    return f"{assembly.width}x{assembly.height} tiles of {program.fabric.name}{changed}"


def as_object(finished: Finished) -> dict[str, Any]:
    """Everything known about a run, for JSON."""
    result, counters = finished.result, finished.result.counters
    fabric, predicted = finished.program.fabric, finished.predicted
    made: dict[str, Any] = {
        "cycles": result.cycles,
        "predicted_cycles": None if isinstance(predicted, str) else predicted.cycles,
        "outputs": outputs_of(result.outputs, finished.files),
        "useful_utilization": counters.utilization,
        "wall_seconds": result.wall_seconds,
        "engine": result.engine,
        "stopped": finished.stopped or None,
        **setting(finished.program),
        "seconds_on_the_fabric": result.cycles / fabric.clock_hertz,
        "seed": finished.seed,
        "drawn_inputs": list(finished.drawn),
        "io_bytes": {"in": counters.io_bytes_in, "out": counters.io_bytes_out},
        "energy_picojoules": {**counters.energy, "total": math.fsum(counters.energy.values())},
        "counters": counters.as_dict(),
        "tiles": counters.per_tile(),
        "kernels": [row.as_dict() for row in finished.rows],
    }
    if finished.trace is not None and result.trace is not None:
        made["trace"] = {"file": str(finished.trace), "left_out": result.trace.left_out or None}
    if finished.dumped:
        made["sram"] = [str(path) for _, path in finished.dumped]
    if finished.followed is not None:
        made["against"] = finished.followed.as_dict()
    if finished.compared is not None:
        made["comparison"] = [item.as_dict() for item in finished.compared]
        made["agrees"] = all(item.agrees for item in finished.compared)
        made["no_second_opinion"] = finished.undecided or None
    return made


def outputs_of(
    outputs: Mapping[str, np.ndarray], files: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """Names, shapes, types and files of outputs, for JSON."""
    return [
        {
            "name": name,
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "file": str(files[name]) if name in files else None,
        }
        for name, array in outputs.items()
    ]


def setting(program: Program) -> dict[str, Any]:
    """What ran where, for JSON."""
    assembly, fabric = program.assembly, program.fabric
    return {
        "fabric": {
            "name": fabric.name,
            "width": assembly.width,
            "height": assembly.height,
            "clock_hertz": fabric.clock_hertz,
            "changed": dict(assembly.settings),
        },
        "precision": assembly.precision.value,
        "model": assembly.model,
    }


def outputs_table(outputs: Mapping[str, np.ndarray], files: Mapping[str, Path]) -> PlainTable:
    """Shapes and ranges of outputs."""
    table = PlainTable("output", "shape", "dtype", "least", "largest", "file")
    for name, array in outputs.items():
        shape = "x".join(map(str, array.shape)) or "scalar"
        low, high = (f"{array.min():.6g}", f"{array.max():.6g}") if array.size else ("", "")
        table.add_row(name, shape, array.dtype.name, low, high, str(files.get(name, "")))
    return table


def show(finished: Finished, every: bool) -> None:
    """The report for people, on standard output."""
    screen = console()
    result, counters = finished.result, finished.result.counters
    if finished.stopped:
        head = finished.stopped.splitlines()[0]  # the error has the rest, who waits for whom
        screen.print(f"{head}; what was counted until then:")
    if result.outputs:
        print_table(screen, outputs_table(result.outputs, finished.files))
    clock = finished.program.fabric.clock_hertz
    seconds = short_time(result.cycles / clock)
    screen.print()
    facts = [
        ("fabric", fabric_name(finished.program)),
        ("cycles", f"{result.cycles:,} ({seconds} at {clock / 1e9:g} GHz)"),
        ("predicted", _prediction_text(finished)),
        ("utilization", utilization(finished.program, counters.utilization)),
        ("main threads", _thread_shares(counters)),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("energy", f"{math.fsum(counters.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        ("simulated", f"in {result.wall_seconds:.2f} s by {engine_name(result.engine)}"),
    ]
    if finished.trace is not None and result.trace is not None:
        facts.append(("trace", f"{finished.trace}: open it at https://ui.perfetto.dev"))
        if result.trace.left_out:
            facts.append(("", result.trace.left_out))
    facts += [("SRAM", told_of(dump, path, result.cycles)) for dump, path in finished.dumped]
    if finished.drawn:
        facts.append(("drawn", f"{', '.join(finished.drawn)} from seed {finished.seed}"))
    if verbose():
        instructions = ", ".join(f"{n:,} {name}" for name, n in counters.instructions.items())
        facts.append(("executed", instructions))
        energy = ", ".join(f"{name} {value * 1e-6:,.3f}" for name, value in counters.energy.items())
        facts.append(("energy, uJ", energy))
    say_facts(facts)
    screen.print()
    show_kernels(finished, every)
    if finished.compared is not None:
        show_comparison(finished.compared, finished.undecided)
    if finished.followed is not None:
        show_followed(finished.followed)


def engine_name(name: str) -> str:
    """An engine in a sentence."""
    return f"the {name} engine" if name != "both" else "the engines for values and for time"


def _prediction_text(finished: Finished) -> str:
    predicted, cycles = finished.predicted, finished.result.cycles
    if isinstance(predicted, str):
        return f"nothing: {predicted}"
    return f"{predicted.cycles:,} cycles, {difference(predicted.cycles, cycles)}"


def difference(predicted: int, measured: int) -> str:
    """How far a prediction lies from what was measured, in percent of that."""
    if predicted == measured:
        return "0.0%"
    return f"{predicted / measured - 1:+.1%}" if measured else f"{predicted:+,}"


def _thread_shares(counters: Any) -> str:
    total = max(counters.busy.size * counters.cycles, 1)
    parts = {
        "busy": counters.busy,
        "stalled on input": counters.stalled_input,
        "stalled on output": counters.stalled_output,
        "waiting": counters.waiting,
        "idle": counters.idle,
    }
    return ", ".join(f"{array.sum() / total:.1%} {name}" for name, array in parts.items())


def short_time(seconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def show_kernels(finished: Finished, every: bool) -> None:
    """One row for each call: its cycles, its roofline, and where the other cycles go."""
    from wsc.views.report import busy_shares, mac_rate

    assembly, total = finished.program.assembly, max(finished.result.cycles, 1)
    rate, tiles = mac_rate(finished.program.fabric, assembly.precision), assembly.width
    tiles *= assembly.height
    longest = sorted(finished.rows, key=lambda row: -row.added)[:MOST_ROWS]
    rows = list(finished.rows) if every else sorted(longest, key=lambda row: row.number)
    numbers = (
        "line",
        "share",
        "added",
        "predicted",
        "off",
        "cycles",
        "start",
        "MACs",
        "of bound",
        "mac",
        "other",
        "wait",
    )
    table = PlainTable(
        "line",
        "kernel",
        "node",
        "share",
        "added",
        "predicted",
        "off",
        "cycles",
        "start",
        "MACs",
        "bound by",
        "of bound",
        "mac",
        "other",
        "wait",
        right=numbers,
        leaving=(
            "start",
            "MACs",
            "mac",
            "other",
            "wait",
            "cycles",
            "bound by",
            "of bound",
            "off",
            "predicted",
            "line",
        ),
        cut="node",
    )
    for row in rows:
        parts = busy_shares(row, rate, tiles)
        bounded = row.bound.roofline > 0
        table.add_row(
            str(row.line or ""),
            row.procedure,
            named(row.nodes),
            f"{row.added / total:.1%}",
            f"{row.added:,}",
            *(
                ("", "")
                if row.predicted is None
                else (f"{row.predicted:,}", difference(row.predicted, row.added))
            ),
            f"{row.cycles:,}",
            f"{row.start:,}",
            f"{row.total_macs:,}",
            row.bound.limit if bounded else "",
            f"{row.utilization:.0%}" if bounded else "",
            *(f"{parts[name]:.0%}" for name in ("mac", "other", "wait")),
        )
    screen = console()
    print_table(screen, table)
    left = len(finished.rows) - len(rows)
    if left:
        screen.print(f"{left} shorter rows are left out; --all shows them")


def show_comparison(compared: Sequence[Comparison], undecided: str) -> None:
    """The errors of each output, and the verdict.

    undecided: why there is no second opinion on outputs that differ, or empty.
    """
    screen = console()
    table = PlainTable(
        "output",
        "max abs error",
        "relative",
        "tolerance",
        "at",
        "here",
        "ONNX Runtime",
        "",
        right=("max abs error", "relative", "tolerance", "here", "ONNX Runtime"),
    )
    for item in compared:
        table.add_row(
            item.name,
            f"{item.absolute:.3e}",
            f"{item.relative:.3e}",
            f"{item.tolerance:g}",
            ",".join(map(str, item.index)),
            _element(item.ours),
            _element(item.reference),
            "agrees" if item.agrees else "DIFFERS",
        )
    screen.print()
    print_table(screen, table)
    for item in compared:
        if item.opinion is not None:
            off = "ONNX Runtime is the less exact: " if item.reference_is_off else ""
            screen.print(
                f"{item.name}: {off}from the result in double precision this is off by "
                f"{item.opinion.ours:.3e}, ONNX Runtime by {item.opinion.reference:.3e}"
            )
    if undecided:
        screen.print(f"ONNX's reference evaluator gives no second opinion: {undecided}")
    worst = max(compared, key=lambda item: item.relative, default=None)
    if worst is None:
        return
    beyond = sum(not item.agrees for item in compared)
    off = sum(item.reference_is_off for item in compared)
    verdict = f"{beyond} of {len(compared)} outputs differ" if beyond else "all outputs agree"
    whom = "ONNX Runtime, or with double precision where that is off" if off else "ONNX Runtime"
    screen.print(
        f"{verdict} with {whom}; worst: {worst.name}, {worst.relative:.3e} of its "
        f"largest magnitude {worst.magnitude:.6g}"
    )


def _element(value: float | int | str) -> str:
    """A value of an output: seven digits of a float, all of an integer."""
    return f"{value:.7g}" if isinstance(value, float) else str(value)
