"""``wsc run``: execute an assembly file, report where the cycles went, compare."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import (
    Memory,
    Refusal,
    bind_option,
    console,
    general,
    plain_table,
    print_table,
    read_arrays,
    require_folder,
    verbose,
    working,
    write_arrays,
)
from wsc.cli.execute import execute, trace_request, write_trace
from wsc.cli.values import Executed, execute_values, print_values, refuse_clock

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from runtime.api import RunResult
    from wsc.api import Program
    from wsc.compare import Comparison, Reference
    from wsc.cost.predict import Prediction
    from wsc.report import KernelRow

VALUES = "values"  # the engine without a clock
MOST_ROWS = 12  # of the table of kernels, without --all
INTEGER_BOUND = 16  # drawn integers lie below it: small enough for any vocabulary
WIDE = 60  # characters of a node's name in a table


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with what is said about it. predicted: or why the cost model says nothing."""

    program: Program
    result: RunResult
    seed: int | None
    drawn: tuple[str, ...]
    files: Mapping[str, Path]
    rows: Sequence[KernelRow]
    predicted: Prediction | str
    compared: Sequence[Comparison] | None
    trace: Path | None
    stopped: str  # why it did not end, or empty


@click.command("run")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM.wsa")
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input. May be repeated."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Draw the inputs that are not given. [default: 0, if none is given]",
)
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
    metavar="MODEL.onnx",
    help="Hold the outputs against ONNX Runtime; exit 1 beyond the tolerance.",
)
@bind_option("With --compare: the values of an input that was baked in. May be repeated.")
@click.option(
    "--delays",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Delay wavelets at random: other cycles, the same values.",
)
@click.option(
    "--engine",
    metavar="NAME",
    help="Another engine than the default one: reference, or values, which has no clock.",
)
@click.option(
    "--max-cycles",
    type=click.IntRange(min=1),
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
    type=click.IntRange(min=1),
    metavar="N",
    help="Most entries to record, shared by all units of these tiles. [default: 200000]",
)
@click.option("--all", "every", is_flag=True, help="Every row of the table of kernels.")
@general
def command(
    program: Path, inputs: tuple[str, ...], seed: int | None, output: Path | None, as_json: bool,
    compare: Path | None, bind: tuple[str, ...], delays: int | None, engine: str | None,
    max_cycles: int | None, max_memory: int | None, check_races: bool, trace: Path | None,
    trace_tiles: str | None, trace_events: int | None, every: bool,
) -> int:  # fmt: skip
    """Run PROGRAM.wsa on the simulated fabric.

    Inputs come from --input, or are drawn from --seed: floats from the standard normal
    distribution, integers from 0 to 15 (and below the rows of any table in the weight
    store), booleans as either; inputs with "mask" in their name are all ones.

    With --compare, the largest absolute error of each output may be at most 1e-4 (f32)
    or 2e-2 (f16) of the output's largest magnitude; else the exit code is 1.

    In a trace, 1 us is 1 cycle.
    """
    given, baked = read_arrays("--input", inputs), read_arrays("--bind", bind)
    if output is not None and output.exists() and not output.is_dir():
        raise Refusal(f"-o {output}: is a file, not a folder")
    if baked and compare is None:
        raise Refusal("--bind only serves --compare; what a program was compiled with stays in it")
    if trace is not None:
        require_folder(trace)
    elif trace_tiles is not None or trace_events is not None:
        raise Refusal("--trace-tiles and --trace-events only serve --trace FILE")
    if engine == VALUES:
        refuse_clock(
            {"delays": delays, "max_cycles": max_cycles, "check_races": check_races, "trace": trace}
        )
    loaded = _load(program)
    used = seed if seed is not None or given else 0
    arrays, drawn = _inputs(loaded, given, used)
    reference = None if compare is None else _reference(loaded, compare, baked)
    options: dict[str, Any] = {
        "engine": engine, "delays": delays, "max_cycles": max_cycles, "max_memory": max_memory,
        "check_races": check_races,
        "trace": None if trace is None else trace_request(loaded, trace_tiles, trace_events),
    }  # fmt: skip
    if engine == VALUES:
        values = execute_values(loaded, arrays, max_memory)
        compared = reference and _compare(loaded, reference, values.outputs, arrays | baked)
        files = output and write_arrays(output, values.outputs)
        shown = used if drawn else None
        print_values(Executed(loaded, values, shown, drawn, files or {}, compared), as_json)
        return int(compared is not None and not all(item.agrees for item in compared))
    result, stopped = execute(loaded, arrays, options)
    compared = files = None
    if not stopped:
        compared = reference and _compare(loaded, reference, result.outputs, arrays | baked)
        files = output and write_arrays(output, result.outputs)
    if trace is not None:
        write_trace(trace, result)
    from wsc.report import kernel_rows

    predicted = _predicted(loaded)
    known = None if isinstance(predicted, str) else predicted
    rows = kernel_rows(loaded.assembly, loaded.fabric, result.counters.statements, known)
    shown_seed = used if drawn else None
    finished = Finished(
        loaded, result, shown_seed, drawn, files or {}, rows, predicted, compared, trace, stopped
    )
    if as_json:
        click.echo(json.dumps(as_object(finished), indent=2, allow_nan=False))
    else:
        show(finished, every)
    if stopped:
        raise Refusal(stopped)
    return int(compared is not None and not all(item.agrees for item in compared))


# --- doing it ---------------------------------------------------------------------


def _load(path: Path) -> Program:
    with working(f"reading {path}"):
        from wsc.api import load

        return load(path)


def _inputs(
    program: Program, given: dict[str, np.ndarray], seed: int | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays given and those drawn; the names of the latter."""
    from isa.program import Kind

    tensors = [t for t in program.assembly.edge_tensors if t.kind is Kind.INPUT]
    missing = [tensor.name for tensor in tensors if tensor.name not in given]
    if missing and seed is None:
        flags = " ".join(f"--input {name}=FILE.npy" for name in missing)
        raise Refusal(f"inputs are missing: {flags}, or --seed N to draw them")
    if seed is None:
        return given, ()
    drawn = draw(program, seed)
    return {**{name: drawn[name] for name in missing}, **given}, tuple(missing)


def draw(program: Program, seed: int) -> dict[str, np.ndarray]:
    """Inputs for a program; each depends on the seed and on its place alone."""
    import numpy as np

    from isa.program import Kind

    assembly = program.assembly
    rows = {tensor.name: tensor.shape[0] for tensor in assembly.edge_tensors if tensor.shape}
    tables = [rows[item.tensor] for item in assembly.transfers if item.lookup is not None]
    bound = min([INTEGER_BOUND, *tables])
    arrays: dict[str, np.ndarray] = {}
    for place, tensor in enumerate(t for t in assembly.edge_tensors if t.kind is Kind.INPUT):
        random = np.random.default_rng([seed, place])
        dtype = tensor.host
        if "mask" in tensor.name.lower():
            values: Any = np.ones(tensor.shape)
        elif dtype.kind == "b":
            values = random.integers(0, 2, tensor.shape)
        elif dtype.kind in "iu":
            values = random.integers(0, bound, tensor.shape)
        else:
            values = random.standard_normal(tensor.shape)
        arrays[tensor.name] = np.asarray(values).astype(dtype)
    return arrays


def _names(program: Program, kind: str) -> list[str]:
    return [t.name for t in program.assembly.edge_tensors if t.kind.value == kind]


def _reference(program: Program, model: Path, baked: dict[str, np.ndarray]) -> Reference:
    """ONNX Runtime with the model, checked against the program before the long work."""
    from wsc.compare import Reference

    reference = Reference(model)
    reference.require([*_names(program, "input"), *baked], _names(program, "output"))
    return reference


def _compare(
    program: Program, reference: Reference, outputs: Mapping[str, np.ndarray],
    arrays: dict[str, np.ndarray],
) -> list[Comparison]:  # fmt: skip
    from wsc.compare import compare

    expected = reference.run(arrays, list(outputs))
    precision = program.assembly.precision
    return [compare(name, value, expected[name], precision) for name, value in outputs.items()]


def _predicted(program: Program) -> Prediction | str:
    """What the cost model says of the program, or why it says nothing."""
    from wsc.cost.predict import Unpredictable, predict

    with working("predicting"):
        try:
            return predict(program.assembly, program.fabric)
        except Unpredictable as reason:
            return str(reason)


# --- saying it --------------------------------------------------------------------


def fabric_name(program: Program) -> str:
    """The rectangle and the fabric that it is of."""
    return f"{program.assembly.width}x{program.assembly.height} tiles of {program.fabric.name}"


def as_object(finished: Finished) -> dict[str, Any]:
    """Everything known about a run, for JSON."""
    result, counters = finished.result, finished.result.counters
    fabric, predicted = finished.program.fabric, finished.predicted
    made: dict[str, Any] = {
        "cycles": result.cycles,
        "predicted_cycles": None if isinstance(predicted, str) else predicted.cycles,
        "outputs": outputs_of(result.outputs, finished.files),
        "utilization": counters.utilization,
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
    }  # fmt: skip
    if finished.trace is not None and result.trace is not None:
        made["trace"] = {"file": str(finished.trace), "left_out": result.trace.left_out or None}
    if finished.compared is not None:
        made["comparison"] = [item.as_dict() for item in finished.compared]
        made["agrees"] = all(item.agrees for item in finished.compared)
    return made


def outputs_of(
    outputs: Mapping[str, np.ndarray], files: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """Names, shapes, types and files of outputs, for JSON."""
    return [
        {
            "name": name, "shape": list(array.shape), "dtype": array.dtype.name,
            "file": str(files[name]) if name in files else None,
        }
        for name, array in outputs.items()
    ]  # fmt: skip


def setting(program: Program) -> dict[str, Any]:
    """What ran where, for JSON."""
    assembly, fabric = program.assembly, program.fabric
    return {
        "fabric": {
            "name": fabric.name, "width": assembly.width, "height": assembly.height,
            "clock_hertz": fabric.clock_hertz,
        },
        "precision": assembly.precision.value,
        "model": assembly.model,
    }  # fmt: skip


def outputs_table(outputs: Mapping[str, np.ndarray], files: Mapping[str, Path]) -> Table:
    """Shapes and ranges of outputs."""
    table = plain_table("output", "shape", "dtype", "least", "largest", "file")
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
        screen.print(f"{finished.stopped}; what was counted until then:")
    if result.outputs:
        print_table(screen, outputs_table(result.outputs, finished.files))
    clock = finished.program.fabric.clock_hertz
    seconds = short_time(result.cycles / clock)
    screen.print()
    facts = [
        ("fabric", fabric_name(finished.program)),
        ("cycles", f"{result.cycles:,} ({seconds} at {clock / 1e9:g} GHz)"),
        ("predicted", _prediction_text(finished)),
        ("utilization", f"{counters.utilization:.2%} of all multiply-accumulates possible"),
        ("main threads", _thread_shares(counters)),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("energy", f"{math.fsum(counters.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        ("simulated", f"in {result.wall_seconds:.2f} s by the {result.engine} engine"),
    ]
    if finished.trace is not None and result.trace is not None:
        facts.append(("trace", f"{finished.trace}: open it at https://ui.perfetto.dev"))
        if result.trace.left_out:
            facts.append(("", result.trace.left_out))
    if finished.drawn:
        facts.append(("drawn", f"{', '.join(finished.drawn)} from seed {finished.seed}"))
    if verbose():
        instructions = ", ".join(f"{n:,} {name}" for name, n in counters.instructions.items())
        facts.append(("executed", instructions))
        energy = ", ".join(f"{name} {value * 1e-6:,.3f}" for name, value in counters.energy.items())
        facts.append(("energy, uJ", energy))
    for head, text in facts:
        screen.print(f"{head:<13} {text}")
    screen.print()
    show_kernels(finished, every)
    if finished.compared is not None:
        show_comparison(finished.compared)


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
        "busy": counters.busy, "stalled on input": counters.stalled_input,
        "stalled on output": counters.stalled_output, "waiting": counters.waiting,
        "idle": counters.idle,
    }  # fmt: skip
    return ", ".join(f"{array.sum() / total:.1%} {name}" for name, array in parts.items())


def short_time(seconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def show_kernels(finished: Finished, every: bool) -> None:
    """One row for each call: its cycles, its roofline, and where the other cycles go."""
    from wsc.report import busy_shares, mac_rate

    assembly, total = finished.program.assembly, max(finished.result.cycles, 1)
    rate, tiles = mac_rate(finished.program.fabric, assembly.precision), assembly.width
    tiles *= assembly.height
    longest = sorted(finished.rows, key=lambda row: -row.cycles)[:MOST_ROWS]
    rows = list(finished.rows) if every else sorted(longest, key=lambda row: row.number)
    numbers = (
        "line", "start", "cycles", "share", "MACs", "of bound", "mac", "other", "wait", "added",
        "predicted", "off",
    )  # fmt: skip
    table = plain_table(
        "line", "kernel", "node", "start", "cycles", "share", "MACs", "bound by", "of bound",
        "mac", "other", "wait", "added", "predicted", "off", right=numbers,
    )  # fmt: skip
    for row in rows:
        parts = busy_shares(row, rate, tiles)
        bounded = row.bound.roofline > 0
        table.add_row(
            str(row.line or ""), row.procedure, shortened(row.node), f"{row.start:,}",
            f"{row.cycles:,}", f"{row.cycles / total:.1%}", f"{row.total_macs:,}",
            row.bound.limit if bounded else "", f"{row.utilization:.0%}" if bounded else "",
            *(f"{parts[name]:.0%}" for name in ("mac", "other", "wait")), f"{row.added:,}",
            *(
                ("", "") if row.predicted is None
                else (f"{row.predicted:,}", difference(row.predicted, row.added))
            ),
        )  # fmt: skip
    screen = console()
    print_table(screen, table)
    left = len(finished.rows) - len(rows)
    if left:
        screen.print(f"{left} shorter rows are left out; --all shows them")


def shortened(text: str, most: int = WIDE) -> str:
    """The end of a long name, which tells nodes apart."""
    return text if len(text) <= most else "..." + text[3 - most :]


def show_comparison(compared: Sequence[Comparison]) -> None:
    """The errors of each output, and the verdict."""
    screen = console()
    table = plain_table(
        "output", "max abs error", "relative", "tolerance", "at", "here", "ONNX Runtime", "",
        right=("max abs error", "relative", "tolerance", "here", "ONNX Runtime"),
    )  # fmt: skip
    for item in compared:
        table.add_row(
            item.name, f"{item.absolute:.3e}", f"{item.relative:.3e}", f"{item.tolerance:g}",
            ",".join(map(str, item.index)), f"{item.ours:.7g}", f"{item.reference:.7g}",
            "agrees" if item.agrees else "DIFFERS",
        )  # fmt: skip
    screen.print()
    print_table(screen, table)
    worst = max(compared, key=lambda item: item.relative, default=None)
    if worst is None:
        return
    beyond = sum(not item.agrees for item in compared)
    verdict = f"{beyond} of {len(compared)} outputs differ" if beyond else "all outputs agree"
    screen.print(
        f"{verdict} with ONNX Runtime; worst: {worst.name}, {worst.relative:.3e} of its "
        f"largest magnitude {worst.magnitude:.6g}"
    )
