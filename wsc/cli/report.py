"""``wsc report``: a run as one page of HTML that opens anywhere, or in another format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.asked import Asked, runnable
from wsc.cli.common import LARGEST, Refusal, general, say, working
from wsc.cli.completion import Word, engines
from wsc.cli.execute import execute
from wsc.cli.finished import engine_name, fabric_name, prediction_of, rows_of, short_time
from wsc.cli.job import VALUES
from wsc.cli.outputs import ReportFile, require_outputs
from wsc.store.files import write_text

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.cost.predict import Prediction
    from wsc.runtime.api import RunResult
    from wsc.runtime.trace import TraceRequest

MOST_REPLAYED = 100_000  # cycles
MOST_ENTRIES = 2_000_000  # of a replay
UNITS = 4  # of a tile at most, as a rule; a replay needs the room of the main thread alone
MOST_WINDOWS = 16


class Cycles(click.ParamType):
    """A window of cycles, FIRST-LAST: its first cycle, and the one after its last."""

    name = "cycles"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """The two numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)-(\d+)", value.replace(",", ""))
        if not found or not int(found[1]) <= int(found[2]) < LARGEST:
            raise Refusal(f"--window {value}: is of the form FIRST-LAST, such as 5000-5599")
        return int(found[1]), int(found[2]) + 1


@click.command("report")
@click.option(
    "-o",
    "--output",
    type=ReportFile(),
    help="Where the report goes; the ending says its format. [default: a page, PROGRAM.html]",
)
@click.option(
    "--engine",
    type=Word(engines),
    metavar="NAME",
    help="Another engine than the default one: time, or reference.",
)
@click.option(
    "--replay",
    type=click.IntRange(0, LARGEST),
    metavar="CYCLE",
    help="Replay what tiles did from this cycle on.",
)
@click.option(
    "--replay-cycles",
    type=click.IntRange(1, MOST_REPLAYED),
    default=500,
    show_default=True,
    metavar="N",
    help="How many cycles of it.",
)
@click.option(
    "--window",
    "windows",
    multiple=True,
    type=Cycles(),
    metavar="FIRST-LAST",
    help="Show the heat maps and waits of these cycles too. May be repeated.",
)
@runnable
@click.argument("others", nargs=-1, type=click.Path(path_type=Path), metavar="[ANOTHER...]")
@general
def command(
    asked: Asked,
    others: tuple[Path, ...],
    output: Path | None,
    engine: str | None,
    replay: int | None,
    replay_cycles: int,
    windows: tuple[tuple[int, int], ...],
) -> None:
    """Run a program, and write what happened as a page: one file that asks for nothing else.

    As FILE.csv, the kernels are rows. As FILE.json, the cycles of the ONNX nodes are node data
    for Model Explorer.

    Of several programs each is run, with the same options; the page shows any of them, and their
    kernels side by side.

    The page shows the fabric as heat maps (busy, stalled, wavelets by color and link, SRAM), the
    kernels as a table and in time, the assembly with cycles in the margin, a roofline, memory
    and energy. A click on a node, a kernel, a line or a tile marks it everywhere.
    """
    if engine == VALUES:
        raise Refusal("--engine values has no clock, and a report is of cycles")
    output = output or Path(f"{asked.stem}.html")
    if others:
        require_several(output)
    shown = windows if replay is None else (*windows, (replay, replay + replay_cycles))
    if len(windows) > MOST_WINDOWS:
        raise Refusal(f"--window: a page has room for {MOST_WINDOWS} windows, not {len(windows)}")
    pages: list[dict[str, Any]] = []
    files: list[Path] = []
    ended: list[str] = []
    for one in (asked, *(replace(asked, program=other) for other in others)):
        ready = one.load()
        files += ready.files
        require_outputs([output], None, files)
        options: dict[str, Any] = {
            "engine": engine,
            "max_cycles": one.max_cycles,
            "max_memory": one.max_memory,
            "trace": None
            if replay is None
            else replay_request(ready.program, replay, replay_cycles),
            "windows": shown,
        }
        result, stopped = execute(ready.program, ready.arrays, options)
        name = str(one.program)
        firsts = [first for first, _ in shown]
        pages.append(
            data_of(
                ready.program,
                result,
                prediction_of(ready.program),
                stopped,
                ready.drawn,
                ready.seed,
                name,
                firsts,
            )
        )
        ended += [stopped] if stopped else []
        say(f"{name}: {result.cycles:,} cycles", error=True)
    write_report(output, pages, files)
    if ended:
        raise Refusal(f"{'; '.join(ended)}; the page shows what was counted until then")


def require_several(output: Path) -> None:
    """Refuse a format that has no room for more runs than one."""
    from wsc.pages import format_of

    chosen = format_of(output)
    if not chosen.several:
        raise Refusal(f"{output}: a {chosen.ending} report has room for one run ({chosen.title})")


def replay_request(program: Program, first: int, cycles: int) -> TraceRequest:
    """What a run has to record so that its main threads can be replayed from a cycle on."""
    from wsc.runtime.trace import TraceRequest

    tiles = program.assembly.width * program.assembly.height
    events = min(tiles * cycles * UNITS, MOST_ENTRIES)
    return TraceRequest("all", events, first, cycles, network=True)


def write_report(output: Path, runs: Sequence[dict[str, Any]], files: Iterable[Path]) -> None:
    """Write the report of some runs whole, or not at all. files: are read, and never replaced."""
    from wsc.pages import format_of

    with working(f"writing {output}"):
        write_text(output, format_of(output).write(runs), files)
    say(f"{output}: {output.stat().st_size:,} bytes", error=True)


def data_of(
    program: Program,
    result: RunResult,
    predicted: Prediction | str,
    stopped: str,
    drawn: tuple[str, ...],
    seed: int | None,
    name: str,
    firsts: Sequence[int] = (),
) -> dict[str, Any]:
    """What the report of a run shows.

    predicted: or why the cost model says nothing. stopped: why it did not end, or empty. name: of
    the run. firsts: first cycles of its windows.
    """
    from wsc.pages import report_data

    assembly, fabric, counters = program.assembly, program.fabric, result.counters
    rows = rows_of(program, result, predicted)
    unknown = isinstance(predicted, str)
    known = f"nothing: {predicted}" if unknown else f"{predicted.cycles:,} cycles"
    seconds = short_time(result.cycles / fabric.clock_hertz)
    facts = [
        ("fabric", fabric_name(program)),
        ("cycles", f"{result.cycles:,} ({seconds} at {fabric.clock_hertz / 1e9:g} GHz)"),
        ("predicted", known),
        ("utilization", f"{counters.utilization:.2%} of all multiply-accumulates possible"),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("energy", f"{math.fsum(counters.energy.values()) * 1e-6:,.3f} uJ, modelled"),
        ("precision", assembly.precision.value),
        ("simulated", f"by {engine_name(result.engine)}"),
    ]
    if drawn:
        facts.append(("drawn", f"{', '.join(drawn)} from seed {seed}"))
    if stopped:
        facts.insert(0, ("stopped", stopped.splitlines()[0]))
    windows = list(zip(firsts, result.windows, strict=True))
    facts += [
        ("window", f"the run had ended before cycle {first:,}")
        for first, counted in windows
        if not counted.cycles
    ]
    facts += [("note", note) for note in program.notes]
    return report_data(assembly, fabric, counters, rows, facts, result.trace, name, windows)
