"""``wsc estimate``: what a model or program will cost, without executing it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from wsc.cli.common import (
    Refusal,
    console,
    following,
    general,
    given_program,
    is_model,
    model_options,
    noted,
    read_arrays,
    read_dims,
    say_facts,
    say_json,
    set_option,
    verbose,
    working,
)
from wsc.cli.completion import Given
from wsc.cli.costs import Asking, StepCosts, costing, step_costs
from wsc.cli.finished import (
    MOST_ROWS,
    fabric_name,
    of_bound,
    print_kernels,
    say_beside,
    short_time,
    utilization,
)
from wsc.cli.holding import Holding, holding
from wsc.cli.names import (
    FABRIC,
    Named,
    Sizes,
    chosen_model,
    compiled,
    model_of,
    of_run,
    own_sizes,
    sized,
    source_files,
    trained_precision,
)
from wsc.cli.outputs import ReportFile, given_files, require_outputs
from wsc.cli.tables import PlainTable, arranged, print_table, require_headings
from wsc.cli.training import Training, require_training, training
from wsc.isa.shown import named

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.cost.predict import Prediction
    from wsc.cost.steps import StepCycles
    from wsc.views.inspect import SramKinds
    from wsc.views.report import EstimatedRow


COLUMNS = (
    "line",
    "kernel",
    "node",
    "start",
    "added",
    "share",
    "MACs",
    "bound by",
    "of bound",
)
"""Of the table of kernels."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A prediction with what is said about it.

    trust: sentences on where it was checked. tokens: that one run of a model by name takes, over
    all its sequences; None of other models. step: what a training step costs.
    """

    program: Program
    prediction: Prediction
    rows: Sequence[EstimatedRow]
    sram: SramKinds
    trust: Sequence[str]
    seconds: float
    tokens: int | None = None
    step: StepCosts | None = None

    @property
    def seconds_on_the_fabric(self) -> float:
        """Of one run."""
        return self.prediction.cycles / self.program.fabric.clock_hertz

    @property
    def steps(self) -> StepCycles | None:
        """Cycles of the steps of a run, if it makes several."""
        from wsc.cost.steps import step_cycles

        return step_cycles(self.program.assembly, self.prediction)

    @property
    def tokens_per_second(self) -> float | None:
        """Of a model by name. What a run of several steps does once is left out."""
        if self.tokens is None:
            return None
        steps = self.steps
        if steps is None:
            return self.tokens / self.seconds_on_the_fabric
        return self.tokens * self.program.fabric.clock_hertz / (steps.each * steps.count)


report_option = click.option(
    "--report",
    type=ReportFile(),
    help="Write what is predicted as a page, as wsc report writes what has run; as .csv or .json, "
    "kernels as rows, or cycles by node.",
)


@click.command("estimate")
@click.argument("model", type=Given(), metavar="MODEL.onnx|NAME|PROGRAM.wsa")
@model_options
@click.option("--train", is_flag=True, help="Predict a training step of the model.")
@training
@click.option(
    "--wafers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Wafers that share out the runs of a training step (--accumulate, a multiple of N).",
)
@costing
@set_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@report_option
@click.option("--all", "every", is_flag=True, help="Every row of the table of kernels.")
@arranged
@holding
@sized
@general
def command(
    model: Path,
    fabric: str | None,
    dims: tuple[str, ...],
    bind: tuple[str, ...],
    precision: str,
    settings: tuple[str, ...],
    train: bool,
    training: Training,
    wafers: int,
    asking: Asking,
    as_json: bool,
    report: Path | None,
    every: bool,
    sort: str | None,
    columns: str | None,
    holding: Holding,
    sizes: Sizes,
) -> None:
    """Predict what a model costs on a fabric: cycles, bounds, I/O, SRAM, energy.

    The model is compiled, and the cost model walks through its program on some tiles;
    nothing is executed. A program that is compiled already is taken as it is; with --fabric
    or --set it is put on another machine.
    """
    start = time.perf_counter()
    require_training(train)
    require_headings(COLUMNS, sort, columns)
    asked = training.runs(sizes.batch) if train else None
    if isinstance(asked, int):
        _require_shares(wafers, asked)
    named = chosen_model(model, own_sizes(model, sizes) if train else sizes, holding.steps)
    _require_model(named, train, holding)
    read = (*source_files(named), *given_files(bind), *asking.files)
    require_outputs([] if report is None else [report], None, read)
    tokens = named.tokens if isinstance(named, Named) else None
    if train:

        def compiled_in(runs: int, batch: int | None) -> Program:
            chosen = of_run(model, named, sizes, batch)
            shared = training.options() | {"over": runs, "batch": batch, "code": holding.code}
            return _step(chosen, fabric, dims, bind, precision, settings, shared)

        program, runs = training.shared_out(sizes.batch, wafers, compiled_in)
        if tokens is not None and not isinstance(asked, int):
            tokens //= runs
    elif isinstance(named, Named):
        _refuse_sizes(model, dims, bind)
        program = compiled(named, fabric or FABRIC, precision, settings, holding.options())
    else:
        program = _given(model, fabric, dims, bind, precision, settings, holding)
    estimate = estimated(program, start, tokens)
    if train:
        step = step_costs(program, estimate.prediction, asking, wafers, tokens)
        estimate = replace(estimate, step=step)
    # Those of a program that was compiled before are told when it is read.
    made = train or isinstance(named, Named) or is_model(named)
    notes = program.notes if made else ()
    if report is not None:
        report_estimate(estimate, str(model), report, read)
    if as_json:
        say_json(as_object(estimate) | ({"notes": list(notes)} if notes or train else {}))
    else:
        show(estimate, every, notes, sort, columns)


def _require_shares(wafers: int, runs: int) -> None:
    from wsc.cost.interconnect import require_shares

    require_shares(wafers, runs)


def _require_model(named: Path | Named, train: bool, holding: Holding) -> None:
    """Refuse what is said of a model where there is none, or where it is trained."""
    flag = holding.given()
    if flag and train:
        raise Refusal(f"--train takes no {flag}")
    flag = flag or ("--code" if holding.coded else None)
    if flag and isinstance(named, Path) and not is_model(named):
        raise Refusal(f"{flag}: {named} is compiled, and says that itself")


def _refuse_sizes(model: Path | str, dims: tuple[str, ...], bind: tuple[str, ...]) -> None:
    if dims or bind:
        flag = "--dim" if dims else "--bind"
        raise Refusal(f"{flag}: {model} is a name, and its sizes have flags of their own")


def _step(
    model: Path | Named,
    fabric: str | None,
    dims: tuple[str, ...],
    bind: tuple[str, ...],
    precision: str,
    settings: tuple[str, ...],
    options: dict[str, Any],
) -> Program:
    """One run of a training step: the store's work at its end costs the fabric nothing."""
    from wsc.api import compile_step
    from wsc.isa.machine import read_settings

    if isinstance(model, Named):
        _refuse_sizes(model.shape.name, dims, bind)
        fabric = fabric or FABRIC
    elif not is_model(model) or bind:
        raise Refusal("--train is for a model, and takes no --bind")
    with noted(), working("compiling") as line:
        return compile_step(
            **model_of(model),
            observe=following(line),
            fabric=fabric,
            dims=read_dims(dims),
            precision=trained_precision(model, precision),
            settings=dict(read_settings(settings)),
            **options,
        )


def _given(
    model: Path,
    fabric: str | None,
    dims: tuple[str, ...],
    bind: tuple[str, ...],
    precision: str,
    settings: tuple[str, ...],
    holding: Holding,
) -> Program:
    if not is_model(model) and bind:
        raise Refusal(f"--bind: {model} is compiled, and says that itself")
    chosen = click.get_current_context().get_parameter_source("precision")
    stated = precision if is_model(model) or chosen is ParameterSource.COMMANDLINE else None
    held = holding.options() if is_model(model) else None
    return given_program(
        model, fabric, dims, read_arrays("--bind", bind), stated, settings, held=held
    )


def estimated(program: Program, start: float, tokens: int | None = None) -> Estimate:
    """Predict. start: when the work began. tokens: of one run, if they are known."""
    from wsc.cost.agreement import load
    from wsc.cost.predict import Unpredictable, predict
    from wsc.views.inspect import sram_kinds
    from wsc.views.report import estimated_rows

    assembly, fabric = program.assembly, program.fabric
    with working("predicting"):
        try:
            prediction = predict(assembly, fabric)
        except Unpredictable as reason:
            raise Refusal(f"this program cannot be predicted: {reason}") from None
    rows = estimated_rows(assembly, fabric, prediction)
    trust = load().sentences(assembly, fabric.name)
    seconds = time.perf_counter() - start
    use = sram_kinds(assembly, fabric)
    return Estimate(program, prediction, rows, use, trust, seconds, tokens)


def report_estimate(estimate: Estimate, name: str, path: Path, read: Iterable[Path]) -> None:
    """Write the report of a prediction.

    name: of the program. read: files that are never replaced.
    """
    from wsc.cli.report import write_report
    from wsc.pages import estimate_data

    program = estimate.program
    made = estimate_data(
        program.assembly,
        program.fabric,
        estimate.prediction,
        estimate.rows,
        facts_of(estimate),
        name,
    )
    write_report(path, [made], read)


def as_object(estimate: Estimate) -> dict[str, Any]:
    """Everything known, for JSON."""
    from wsc.views.parts import part_rows

    prediction, program, use = estimate.prediction, estimate.program, estimate.sram
    assembly, fabric = program.assembly, program.fabric
    return {
        "cycles": prediction.cycles,
        "seconds": estimate.seconds_on_the_fabric,
        "tokens": estimate.tokens,
        "tokens_per_second": estimate.tokens_per_second,
        "steps": None
        if estimate.steps is None
        else {
            "count": estimate.steps.count,
            "cycles_each": estimate.steps.each,
            "cycles_once": estimate.steps.once,
        },
        "useful_utilization": prediction.utilization,
        "useful_macs": prediction.macs if assembly.work is None else assembly.work,
        "macs": prediction.macs,
        "fabric": {
            "name": fabric.name,
            "width": assembly.width,
            "height": assembly.height,
            "clock_hertz": fabric.clock_hertz,
        },
        "precision": assembly.precision.value,
        "model": assembly.model,
        "io_bytes": {"in": prediction.io_bytes_in, "out": prediction.io_bytes_out},
        "sram": {
            "values": use.values,
            "weights": use.weights,
            "code": use.code,
            "free": use.free,
            "limit": fabric.sram_bytes,
        },
        "energy_picojoules": {
            **prediction.energy,
            "total": math.fsum(prediction.energy.values()),
        },
        "sampled": prediction.sampled,
        "agreement": list(estimate.trust),
        "estimate_seconds": estimate.seconds,
        **({} if estimate.step is None else {"step": estimate.step.as_dict()}),
        "parts": [row.as_dict() for row in part_rows(estimate.rows)],
        "kernels": [row.as_dict() for row in estimate.rows],
    }


def facts_of(estimate: Estimate, notes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What is predicted, a head and a text each. notes: sentences on how it was compiled."""
    prediction, use = estimate.prediction, estimate.sram
    clock = estimate.program.fabric.clock_hertz
    walked = "a sample of the tiles" if prediction.sampled else "all tiles"
    return [
        ("fabric", fabric_name(estimate.program)),
        (
            "cycles",
            f"{prediction.cycles:,} ({short_time(estimate.seconds_on_the_fabric)} at "
            f"{clock / 1e9:g} GHz), predicted",
        ),
        *_steps(estimate),
        *_speed(estimate),
        ("utilization", utilization(estimate.program, prediction.utilization)),
        ("edge", f"{prediction.io_bytes_in:,} bytes in, {prediction.io_bytes_out:,} out"),
        (
            "sram",
            f"{use.values + use.weights + use.code:,} of "
            f"{estimate.program.fabric.sram_bytes:,} bytes a tile: {use.values:,} values, "
            f"{use.weights:,} weights, {use.code:,} code",
        ),
        ("energy", f"{math.fsum(prediction.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        *(() if estimate.step is None else estimate.step.facts()),
        ("estimated", f"in {estimate.seconds:.2f} s, with {walked}; nothing was executed"),
        *(("agreement" if not place else "", text) for place, text in enumerate(estimate.trust)),
        *(("note", note) for note in notes),
    ]


def show(
    estimate: Estimate,
    every: bool,
    notes: Sequence[str] = (),
    sort: str | None = None,
    columns: str | None = None,
) -> None:
    """The report for people, on standard output.

    notes: sentences on how it was compiled. sort, columns: of ``PlainTable.chosen``.
    """
    screen, prediction, facts = console(), estimate.prediction, facts_of(estimate, notes)
    if verbose():
        energy = ", ".join(f"{key} {value * 1e-6:,.3f}" for key, value in prediction.energy.items())
        facts.append(("energy, uJ", energy))
    say_facts(facts)
    screen.print()
    if estimate.tokens is not None:
        show_parts(estimate)
    if estimate.tokens is None or every:
        show_kernels(estimate, every, sort, columns)


def _steps(estimate: Estimate) -> list[tuple[str, str]]:
    steps = estimate.steps
    if steps is None:
        return []
    each = steps.each / estimate.program.fabric.clock_hertz
    return [
        (
            "steps",
            f"{steps.count:,} of {steps.each:,.0f} cycles each ({short_time(each)}); "
            f"{steps.once:,} before the first one",
        )
    ]


def _speed(estimate: Estimate) -> list[tuple[str, str]]:
    if estimate.tokens is None or estimate.tokens_per_second is None:
        return []
    text = f"{estimate.tokens_per_second:,.0f} tokens a second; {estimate.tokens:,} in this run"
    return [("speed", text)]


def show_parts(estimate: Estimate) -> None:
    """One row for each part of a layer, and of the network around the layers."""
    from wsc.views.parts import part_rows

    total = max(estimate.prediction.cycles, 1)
    table = PlainTable(
        "part",
        "layers",
        "added",
        "share",
        "MACs",
        "bound by",
        "of bound",
        right=("layers", "added", "share", "MACs", "of bound"),
        leaving=("MACs",),
        cut="part",
    )
    rows = part_rows(estimate.rows)
    for row in rows:
        table.add_row(
            row.part,
            str(row.layers or ""),
            f"{row.cycles:,}",
            f"{row.cycles / total:.1%}",
            f"{row.macs:,}",
            row.bound.limit if row.bound.roofline else "",
            of_bound(row.bound, row.cycles),
        )
    print_table(console(), table)
    others: dict[str, list[str]] = {}
    for row in rows:
        if row.beside:
            others.setdefault(row.beside, []).append(row.part)
    say_beside((row.bound, row.cycles) for row in rows)
    for other, parts in others.items():
        console().print(f"  {', '.join(parts)} beside {other}")


def show_kernels(estimate: Estimate, every: bool, sort: str | None, columns: str | None) -> None:
    """One row for each call: the cycles that it adds, and its roofline."""
    total = max(estimate.prediction.cycles, 1)
    longest = sorted(estimate.rows, key=lambda row: -row.cycles)[:MOST_ROWS]
    rows = list(estimate.rows) if every or sort else sorted(longest, key=lambda row: row.number)
    table = PlainTable(
        *COLUMNS,
        right=("line", "start", "added", "share", "MACs", "of bound"),
        leaving=("start", "MACs", "bound by", "of bound", "line"),
        cut="node",
    )
    for row in rows:
        table.add_row(
            str(row.line or ""),
            row.procedure,
            named(row.nodes),
            f"{row.start:,}",
            f"{row.cycles:,}",
            f"{row.cycles / total:.1%}",
            f"{row.macs:,}",
            row.bound.limit if row.bound.roofline else "",
            of_bound(row.bound, row.cycles),
        )
    print_kernels(table.chosen(sort, columns), len(estimate.rows), every)
    say_beside((row.bound, row.cycles) for row in rows)
