"""``python -m benchmarks``: measure, print tables with targets, write JSON."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.report import Result, machine, machine_lines, markdown, show
from benchmarks.suites import BY_NAME, LARGE, SUITES


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SUITES)), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Small meshes, fewer networks; about two minutes.")
@click.option("--large", is_flag=True, help="Also what takes minutes and gigabytes.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    default=Path("build/benchmarks.json"),
    show_default=True,
    help="Where the figures go.",
)
@click.option(
    "--markdown",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md",
    help="Write the tables as a page, too.",
)
def main(names: tuple[str, ...], quick: bool, large: bool, output: Path, page: Path | None) -> None:
    """Run the benchmarks NAME... (all of them without a name): engine, wafer,
    minilm, text, utilisation, networks, collectives, values, published. A target that is missed
    is said to be missed; the exit code is 0 all the same. Collectives run in full, and write
    docs/collectives.md, only when asked for by name."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False)
    found = machine()
    for line in machine_lines(found):
        console.print(line, markup=False)
    console.print()
    results: list[Result] = []
    start = time.perf_counter()
    for name in dict.fromkeys(names) or SUITES:
        suite = LARGE.get(name, SUITES[name]) if large else SUITES[name]
        result = suite(quick or (name in BY_NAME and name not in names))
        show(result, console)
        results.append(result)
    write(output, results, found, time.perf_counter() - start)
    for result in results:
        if result.name in names and not quick:
            for path, text in result.files.items():
                path.write_text(text, encoding="utf-8")
    missed = [target.what for result in results for target in result.targets if not target.met]
    console.print(f"{time.perf_counter() - start:.0f} s in all; figures in {output}", markup=False)
    console.print(f"targets missed: {'; '.join(missed) or 'none'}", markup=False)
    if page is not None:
        command = shlex.join(["python", "-m", "benchmarks", *names, *(["--quick"] * quick)])
        page.write_text(markdown(results, found, command), encoding="utf-8")


def write(path: Path, results: list[Result], found: dict[str, Any], seconds: float) -> None:
    """Everything as one JSON object."""
    whole = {
        "machine": found,
        "seconds": seconds,
        "results": {
            result.name: {
                "title": result.title,
                "targets": [target.as_dict() for target in result.targets],
                "figures": result.raw,
            }
            for result in results
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
