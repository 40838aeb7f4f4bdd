"""``wsc report``: a run as one page of HTML that opens anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import (
    LARGEST,
    Memory,
    Refusal,
    bind_option,
    general,
    given_program,
    is_model,
    read_arrays,
    say,
    set_option,
    working,
)
from wsc.cli.execute import execute
from wsc.cli.outputs import given_files, require_outputs
from wsc.cli.run import VALUES, fabric_name, inputs_of, short_time
from wsc.files import write_text

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.runtime.api import RunResult


@click.command("report")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM.wsa|MODEL.onnx|-")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Where the page goes. [default: the program's name]",
)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input. May be repeated."
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST),
    metavar="N",
    help="Draw the inputs that are not given. [default: 0, if none is given]",
)
@bind_option("Bake an input of a model in as a constant. May be repeated.")
@click.option(
    "--fabric",
    metavar="[NAME:]WxH|NAME|FILE.toml",
    help="Compile a model for this machine; run a program on it, not on its own.",
)
@set_option
@click.option(
    "-p",
    "--precision",
    type=click.Choice(["f32", "f16"]),
    help="Of a model: element type of every float. [default: f32]",
)
@click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=N",
    help="Of a model: size of a symbolic dimension. May be repeated.",
)
@click.option(
    "--engine", metavar="NAME", help="Another engine than the default one: time, or reference."
)
@click.option(
    "--max-cycles",
    type=click.IntRange(1, LARGEST),
    metavar="N",
    help="Stop there; the page shows what was counted until then.",
)
@click.option(
    "--max-memory", type=Memory(), metavar="BYTES", help="Refuse to take more for the run."
)
@general
def command(
    program: Path,
    output: Path | None,
    inputs: tuple[str, ...],
    seed: int | None,
    bind: tuple[str, ...],
    fabric: str | None,
    settings: tuple[str, ...],
    precision: str | None,
    dims: tuple[str, ...],
    engine: str | None,
    max_cycles: int | None,
    max_memory: int | None,
) -> None:
    """Run a program, and write what happened as a page: one file that asks for nothing else.

    The page shows the fabric as heat maps (busy, stalled, wavelets by color and link, SRAM), the
    kernels as a table and in time, the assembly with cycles in the margin, a roofline, memory
    and energy. A click on a node, a kernel, a line or a tile marks it everywhere.
    """
    if engine == VALUES:
        raise Refusal("--engine values has no clock, and a report is of cycles")
    if bind and not is_model(program):
        raise Refusal("--bind is for models; what a program was compiled with stays in it")
    output = output or Path(f"{'program' if str(program) == '-' else program.stem}.html")
    given, baked = read_arrays("--input", inputs), read_arrays("--bind", bind)
    loaded = given_program(program, fabric, dims, baked, precision, settings, located=True)
    read = (program, *loaded.inputs, *given_files((*inputs, *bind)))
    require_outputs([output], None, read)
    used = seed if seed is not None or given else 0
    arrays, drawn = inputs_of(loaded, given, used, max_memory, True)
    options: dict[str, Any] = {
        "engine": engine,
        "max_cycles": max_cycles,
        "max_memory": max_memory,
        "check_races": False,
    }
    result, stopped = execute(loaded, arrays, options)
    with working(f"writing {output}"):
        write_text(output, page_of(loaded, result, stopped, drawn, used), read)
    say(f"{output}: {result.cycles:,} cycles, {output.stat().st_size:,} bytes", error=True)
    if stopped:
        raise Refusal(f"{stopped}; the page shows what was counted until then")


def page_of(
    program: Program, result: RunResult, stopped: str, drawn: tuple[str, ...], seed: int | None
) -> str:
    """The page of a run. stopped: why it did not end, or empty."""
    from wsc.cost.predict import Unpredictable, predict
    from wsc.pages import page, report_data
    from wsc.report import kernel_rows

    assembly, fabric, counters = program.assembly, program.fabric, result.counters
    try:
        predicted, known = predict(assembly, fabric), ""
    except Unpredictable as reason:
        predicted, known = None, str(reason)
    rows = kernel_rows(assembly, fabric, counters.statements, predicted)
    seconds = short_time(result.cycles / fabric.clock_hertz)
    facts = [
        ("fabric", fabric_name(program)),
        ("cycles", f"{result.cycles:,} ({seconds} at {fabric.clock_hertz / 1e9:g} GHz)"),
        ("predicted", f"{predicted.cycles:,} cycles" if predicted else f"nothing: {known}"),
        ("utilization", f"{counters.utilization:.2%} of all multiply-accumulates possible"),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("energy", f"{math.fsum(counters.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        ("precision", assembly.precision.value),
        ("simulated", f"by the {result.engine} engine"),
    ]
    if drawn:
        facts.append(("drawn", f"{', '.join(drawn)} from seed {seed}"))
    if stopped:
        facts.insert(0, ("stopped", stopped))
    facts += [("note", note) for note in program.notes]
    return page(report_data(assembly, fabric, counters, rows, facts))
