"""``python -m conformance``: run the tests, print a table, write JSON lines and a page."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from conformance.page import rewritten, show
from conformance.pool import run_all
from conformance.run import FAILED, PASSED, REFUSED, Record, choose
from conformance.suite import (
    FABRIC,
    LARGER,
    LIGHT_FABRIC,
    LIGHT_LARGER,
    LIGHT_LIMIT,
    LIMIT,
    SUITES,
    load_cases,
)

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Choice([*SUITES, "all"]),
    default=("node",),
    show_default=True,
    help="Which tests; 'all' leaves out the large networks of 'light'.",
)
@click.option("--filter", "pattern", default="", metavar="REGEX", help="Names that it matches.")
@click.option("--fabric", help=f"As for wsc compile; {FABRIC}, or {LIGHT_FABRIC} for 'light'.")
@click.option(
    "--larger",
    multiple=True,
    metavar="FABRIC",
    help=f"Where a test does not fit: fabrics to try in turn; {' and '.join(LARGER)}.",
)
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option(
    "--limit", type=float, help=f"Seconds for one test; {LIMIT:g}, or {LIGHT_LIMIT:g} for 'light'."
)
@click.option(
    "--random", "with_random", is_flag=True, help="Try other values for each that passes."
)
@click.option("--json", "lines", type=_FILE, metavar="FILE.jsonl", help="A line for each test.")
@click.option("--markdown", "page", type=_FILE, metavar="FILE.md", help="Write the page.")
@click.option(
    "--choose",
    "chosen_file",
    type=_FILE,
    metavar="FILE.txt",
    help="Write the names of a few tests: the quickest that passes of each operator.",
)
@click.option("--verbose", is_flag=True, help="List every test that does not pass.")
def main(
    suites: tuple[str, ...],
    pattern: str,
    fabric: str | None,
    larger: tuple[str, ...],
    jobs: int,
    limit: float | None,
    with_random: bool,
    lines: Path | None,
    page: Path | None,
    chosen_file: Path | None,
    verbose: bool,
) -> None:
    """Run ONNX's own backend tests on the simulated fabric."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False)
    started = time.perf_counter()
    chosen = SUITES[:-1] if "all" in suites else tuple(dict.fromkeys(suites))
    large = "light" in chosen
    fabric = fabric or (LIGHT_FABRIC if large else FABRIC)
    limit = limit or (LIGHT_LIMIT if large else LIMIT)
    larger = larger or (LIGHT_LARGER if large else LARGER)
    cases = load_cases(chosen, pattern)
    if not cases:
        raise click.ClickException(f"no test matches {pattern!r}")
    records: list[Record] = []
    counts = dict.fromkeys((PASSED, FAILED, REFUSED), 0)
    columns = ("{task.description}", "{task.fields[counts]}")
    with Progress(
        TextColumn(columns[0]),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(columns[1]),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    ) as progress:
        task = progress.add_task("tests", total=len(cases), counts="")
        for record in run_all(cases, fabric, jobs, limit, with_random, larger):
            records.append(record)
            counts[record.status] += 1
            text = "  ".join(f"{count} {status}" for status, count in counts.items())
            progress.update(task, advance=1, counts=text, refresh=True)
    order = {case.name: number for number, case in enumerate(cases)}
    records.sort(key=lambda record: order[record.name])
    show(records, console, verbose)
    console.print(f"{time.perf_counter() - started:.0f} s", markup=False)
    if lines is not None:
        lines.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record.as_dict()) + "\n" for record in records)
        lines.write_text(text, encoding="utf-8")
    if chosen_file is not None:
        chosen_file.write_text("\n".join(choose(records)) + "\n", encoding="utf-8")
    if page is not None:
        old = page.read_text(encoding="utf-8") if page.exists() else ""
        page.write_text(rewritten(old, records, fabric, chosen, pattern), encoding="utf-8")


if __name__ == "__main__":
    main()
