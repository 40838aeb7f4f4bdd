"""``wsc report``: a run as one page of HTML that opens anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.asked import Asked, runnable
from wsc.cli.common import Refusal, general, say, working
from wsc.cli.execute import execute
from wsc.cli.outputs import require_outputs
from wsc.cli.run import VALUES, fabric_name, short_time
from wsc.files import write_text

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.runtime.api import RunResult


@click.command("report")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Where the page goes. [default: the program's name]",
)
@click.option(
    "--engine", metavar="NAME", help="Another engine than the default one: time, or reference."
)
@runnable
@general
def command(asked: Asked, output: Path | None, engine: str | None) -> None:
    """Run a program, and write what happened as a page: one file that asks for nothing else.

    The page shows the fabric as heat maps (busy, stalled, wavelets by color and link, SRAM), the
    kernels as a table and in time, the assembly with cycles in the margin, a roofline, memory
    and energy. A click on a node, a kernel, a line or a tile marks it everywhere.
    """
    if engine == VALUES:
        raise Refusal("--engine values has no clock, and a report is of cycles")
    output = output or Path(f"{asked.stem}.html")
    ready = asked.load()
    require_outputs([output], None, ready.files)
    options: dict[str, Any] = {
        "engine": engine,
        "max_cycles": asked.max_cycles,
        "max_memory": asked.max_memory,
    }
    result, stopped = execute(ready.program, ready.arrays, options)
    with working(f"writing {output}"):
        page = page_of(ready.program, result, stopped, ready.drawn, ready.seed)
        write_text(output, page, ready.files)
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
