"""``wsc estimate``: what a model or program will cost, without executing it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from wsc.cli.common import (
    Refusal,
    console,
    general,
    given_program,
    is_model,
    model_options,
    noted,
    read_arrays,
    read_dims,
    say_json,
    set_option,
    training_options,
    verbose,
    working,
)
from wsc.cli.run import MOST_ROWS, fabric_name, short_time
from wsc.cli.tables import PlainTable, print_table

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.cost.predict import Prediction
    from wsc.inspect import SramUse
    from wsc.report import EstimatedRow


@dataclass(frozen=True, slots=True)
class Estimate:
    """A prediction with what is said about it. trust: sentences on where it was checked."""

    program: Program
    prediction: Prediction
    rows: Sequence[EstimatedRow]
    sram: SramUse
    trust: Sequence[str]
    seconds: float


@click.command("estimate")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.onnx|PROGRAM.wsa")
@model_options
@click.option("--train", is_flag=True, help="Predict a training step of the model.")
@training_options
@click.option("--batch", type=click.IntRange(1), metavar="B", help="Samples of a run.")
@set_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--all", "every", is_flag=True, help="Every row of the table of kernels.")
@general
def command(
    model: Path, fabric: str | None, dims: tuple[str, ...], bind: tuple[str, ...],
    precision: str, settings: tuple[str, ...], train: bool, loss: str, optimizer: str,
    groups: tuple[str, ...], trainable: tuple[str, ...], clip: float, accumulate: int,
    batch: int | None, as_json: bool,
    every: bool,
) -> None:  # fmt: skip
    """Predict what a model costs on a fabric: cycles, bounds, I/O, SRAM, energy.

    The model is compiled, and the cost model walks through its program on some tiles;
    nothing is executed. A program that is compiled already is taken as it is; with --fabric
    or --set it is put on another machine.
    """
    start = time.perf_counter()
    if train:
        options = {
            "loss": loss, "optimizer": optimizer, "groups": groups, "trainable": trainable,
            "clip": clip, "over": accumulate, "batch": batch,
        }  # fmt: skip
        program = _step(model, fabric, dims, bind, precision, settings, options)
    else:
        program = _given(model, fabric, dims, bind, precision, settings)
    estimate = estimated(program, start)
    if as_json:
        say_json(as_object(estimate))
    else:
        show(estimate, every)


def _step(
    model: Path, fabric: str | None, dims: tuple[str, ...], bind: tuple[str, ...], precision: str,
    settings: tuple[str, ...], options: dict[str, Any],
) -> Program:  # fmt: skip
    """One run of a training step: the store's work at its end costs the fabric nothing."""
    from wsc.api import compile_step
    from wsc.isa.machine import read_settings

    if not is_model(model) or bind:
        raise Refusal("--train is for a model, and takes no --bind")
    with noted(), working("compiling"):
        return compile_step(
            model, fabric=fabric, dims=read_dims(dims), precision=precision,
            settings=dict(read_settings(settings)), **options,
        )  # fmt: skip


def _given(
    model: Path, fabric: str | None, dims: tuple[str, ...], bind: tuple[str, ...], precision: str,
    settings: tuple[str, ...],
) -> Program:  # fmt: skip
    if not is_model(model) and bind:
        raise Refusal(f"--bind: {model} is compiled, and says that itself")
    chosen = click.get_current_context().get_parameter_source("precision")
    stated = precision if is_model(model) or chosen is ParameterSource.COMMANDLINE else None
    return given_program(model, fabric, dims, read_arrays("--bind", bind), stated, settings)


def estimated(program: Program, start: float) -> Estimate:
    """Predict; ``start`` is when the work began."""
    from wsc.cost.agreement import load
    from wsc.cost.predict import Unpredictable, predict
    from wsc.inspect import sram_use
    from wsc.report import estimated_rows

    assembly, fabric = program.assembly, program.fabric
    with working("predicting"):
        try:
            prediction = predict(assembly, fabric)
        except Unpredictable as reason:
            raise Refusal(f"this program cannot be predicted: {reason}") from None
    rows = estimated_rows(assembly, fabric, prediction)
    trust = load().sentences(assembly, fabric.name)
    seconds = time.perf_counter() - start
    return Estimate(program, prediction, rows, sram_use(assembly, fabric), trust, seconds)


def as_object(estimate: Estimate) -> dict[str, Any]:
    """Everything known, for JSON."""
    prediction, program, use = estimate.prediction, estimate.program, estimate.sram
    assembly, fabric = program.assembly, program.fabric
    return {
        "cycles": prediction.cycles,
        "seconds_on_the_fabric": prediction.cycles / fabric.clock_hertz,
        "utilization": prediction.utilization,
        "macs": prediction.macs,
        "fabric": {
            "name": fabric.name, "width": assembly.width, "height": assembly.height,
            "clock_hertz": fabric.clock_hertz,
        },
        "precision": assembly.precision.value,
        "model": assembly.model,
        "io_bytes": {"in": prediction.io_bytes_in, "out": prediction.io_bytes_out},
        "sram_bytes": {
            "data": use.data, "code": use.code, "total": use.total, "limit": use.limit,
        },
        "energy_picojoules": {
            **prediction.energy, "total": math.fsum(prediction.energy.values()),
        },
        "sampled": prediction.sampled,
        "agreement": list(estimate.trust),
        "estimate_seconds": estimate.seconds,
        "kernels": [row.as_dict() for row in estimate.rows],
    }  # fmt: skip


def show(estimate: Estimate, every: bool) -> None:
    """The report for people, on standard output."""
    screen, prediction, use = console(), estimate.prediction, estimate.sram
    clock = estimate.program.fabric.clock_hertz
    walked = "a sample of the tiles" if prediction.sampled else "all tiles"
    facts = [
        ("fabric", fabric_name(estimate.program)),
        (
            "cycles",
            f"{prediction.cycles:,} ({short_time(prediction.cycles / clock)} at "
            f"{clock / 1e9:g} GHz), predicted",
        ),
        ("utilization", f"{prediction.utilization:.2%} of all multiply-accumulates possible"),
        ("edge", f"{prediction.io_bytes_in:,} bytes in, {prediction.io_bytes_out:,} out"),
        (
            "sram",
            f"{use.total:,} of {use.limit:,} bytes a tile: {use.data:,} data, {use.code:,} code",
        ),
        ("energy", f"{math.fsum(prediction.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        ("estimated", f"in {estimate.seconds:.2f} s, with {walked}; nothing was executed"),
        *(("agreement" if not place else "", text) for place, text in enumerate(estimate.trust)),
    ]
    if verbose():
        energy = ", ".join(f"{key} {value * 1e-6:,.3f}" for key, value in prediction.energy.items())
        facts.append(("energy, uJ", energy))
    for head, text in facts:
        screen.print(f"{head:<13} {text}")
    screen.print()
    show_kernels(estimate, every)


def show_kernels(estimate: Estimate, every: bool) -> None:
    """One row for each call: the cycles that it adds, and its roofline."""
    total = max(estimate.prediction.cycles, 1)
    longest = sorted(estimate.rows, key=lambda row: -row.cycles)[:MOST_ROWS]
    rows = list(estimate.rows) if every else sorted(longest, key=lambda row: row.number)
    table = PlainTable(
        "line", "kernel", "node", "start", "added", "share", "MACs", "bound by", "of bound",
        right=("line", "start", "added", "share", "MACs", "of bound"),
        leaving=("start", "MACs", "bound by", "of bound", "line"), cut="node",
    )  # fmt: skip
    for row in rows:
        bounded = row.bound.roofline > 0
        table.add_row(
            str(row.line or ""), row.procedure, row.node, f"{row.start:,}",
            f"{row.cycles:,}", f"{row.cycles / total:.1%}", f"{row.macs:,}",
            row.bound.limit if bounded else "",
            f"{row.utilization:.0%}" if bounded else "",
        )  # fmt: skip
    screen = console()
    print_table(screen, table)
    left = len(estimate.rows) - len(rows)
    if left:
        screen.print(f"{left} shorter rows are left out; --all shows them")
