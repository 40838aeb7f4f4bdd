"""What is said of a run that has ended: its facts, its kernels, its outputs, and what they were
held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsc.cli.against import Followed, show_followed, told_of
from wsc.cli.common import console, say_facts, verbose, working
from wsc.cli.tables import PlainTable, print_table
from wsc.isa.shown import named

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.compare import Comparison
    from wsc.cost.model import Bound
    from wsc.cost.predict import Prediction
    from wsc.runtime.api import RunResult
    from wsc.runtime.runs import Dump
    from wsc.views.report import KernelRow

MOST_ROWS = 12  # of the table of kernels, without --all
BESIDE = "beside"  # said of a row whose bound is more than its cycles
COLUMNS = (
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
)
"""Of the table of kernels."""


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


def utilization(program: Program, part: float) -> str:
    """A utilization in words: programs written by hand do not say what is useful."""
    text = f"{part:.2%} of all multiply-accumulates possible"
    return text if program.assembly.work is None else f"{text}, repeated work left out"


def of_bound(bound: Bound, cycles: int) -> str:
    """How near cycles are to a bound; a word where most of what it counts is done beside others."""
    if not bound.roofline:
        return ""
    return BESIDE if bound.beside(cycles) else f"{bound.part_of(cycles):.0%}"


def say_beside(rows: Iterable[tuple[Bound, int]]) -> None:
    """Below a table of bounds and cycles: what the word in it means, if it is there."""
    if any(bound.beside(cycles) for bound, cycles in rows):
        console().print(
            f"{BESIDE}: it adds fewer cycles than its bound, most of it runs while others do"
        )


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


def show(
    finished: Finished, every: bool, sort: str | None = None, columns: str | None = None
) -> None:
    """The report for people, on standard output. sort, columns: of ``PlainTable.chosen``."""
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
    show_kernels(finished, every, sort, columns)
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


def show_kernels(finished: Finished, every: bool, sort: str | None, columns: str | None) -> None:
    """One row for each call: its cycles, its roofline, and where the other cycles go."""
    from wsc.views.report import busy_shares, mac_rate

    assembly, total = finished.program.assembly, max(finished.result.cycles, 1)
    rate, tiles = mac_rate(finished.program.fabric, assembly.precision), assembly.width
    tiles *= assembly.height
    longest = sorted(finished.rows, key=lambda row: -row.added)[:MOST_ROWS]
    rows = list(finished.rows) if every or sort else sorted(longest, key=lambda row: row.number)
    table = PlainTable(
        *COLUMNS,
        right=[name for name in COLUMNS if name not in ("kernel", "node", "bound by")],
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
            row.bound.limit if row.bound.roofline else "",
            of_bound(row.bound, row.cycles),
            *(f"{parts[name]:.0%}" for name in ("mac", "other", "wait")),
        )
    print_kernels(table.chosen(sort, columns), len(finished.rows), every)
    say_beside((row.bound, row.cycles) for row in rows)


def print_kernels(table: PlainTable, count: int, every: bool) -> None:
    """Print a table of kernels, its first rows alone unless every one is wanted.

    count: kernels that there are; how many are left out is said below.
    """
    table.rows = table.rows if every else table.rows[:MOST_ROWS]
    print_table(console(), table)
    left = count - len(table.rows)
    if left:
        console().print(f"{left} shorter rows are left out; --all shows them")


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
