"""``python -m conformance.fuzz``: change models, try them, print a table of verdicts."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from conformance.fuzz.judge import GOOD, Finding, Verdict
from conformance.fuzz.machine import Programs
from conformance.fuzz.run import Fuzzer
from conformance.suite import load_cases


@click.command()
@click.option("--count", default=2000, show_default=True, help="Changed models.")
@click.option("--seed", default=0, show_default=True)
@click.option("--filter", "pattern", default="", metavar="REGEX", help="Tests that it matches.")
@click.option("--fabric", default="4x4", show_default=True, help="As for wsc compile.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--limit", default=10.0, show_default=True, help="Seconds for one model.")
@click.option("--only", "only", type=int, multiple=True, metavar="N", help="Just these numbers.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the models there that went wrong.",
)
@click.option("--verbose", is_flag=True, help="List every model.")
@click.option("--programs", is_flag=True, help="Random programs and fabrics, not models.")
def main(
    count: int,
    seed: int,
    pattern: str,
    fabric: str,
    jobs: int,
    limit: float,
    only: tuple[int, ...],
    keep: Path | None,
    verbose: bool,
    programs: bool,
) -> None:
    """Change models of ONNX's own suite at random and try them; or make programs at random.

    Exits with 1 if any crashes, hangs, takes too much memory, is refused with no clear
    sentence, or has a result other than the reference evaluator's.
    """
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False)
    started = time.perf_counter()
    if programs:
        fuzzer = Programs(seed, limit)
    else:
        fuzzer = Fuzzer(load_cases(["node"], pattern), seed, fabric, limit)
    numbers = only or range(count)
    findings = list(shown(fuzzer.run(numbers, jobs), len(numbers), console))
    findings.sort(key=lambda finding: finding.number)
    for finding in findings:
        if verbose or finding.verdict not in GOOD:
            console.print(str(finding), markup=False, soft_wrap=True)
            if keep is not None and finding.verdict not in GOOD:
                keep.mkdir(parents=True, exist_ok=True)
                fuzzer.keep(finding.number, keep / f"{seed}-{finding.number}")
    counts = Counter(finding.verdict for finding in findings)
    table = Table("verdict", "programs" if programs else "models", box=None)
    for verdict in Verdict:
        table.add_row(verdict, str(counts[verdict]))
    console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s", markup=False)
    sys.exit(any(finding.verdict not in GOOD for finding in findings))


def shown(findings: Iterator[Finding], count: int, console: Console) -> Iterator[Finding]:
    """The findings as they come, with a progress bar."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    ) as progress:
        task = progress.add_task("models", total=count)
        for finding in findings:
            progress.update(task, advance=1, refresh=True)
            yield finding


if __name__ == "__main__":
    main()
