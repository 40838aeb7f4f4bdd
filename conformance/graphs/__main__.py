"""``python -m conformance.graphs``: draw valid models, try them, print a table of verdicts."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from conformance.fuzz.__main__ import shown
from conformance.fuzz.judge import GOOD, Finding, Verdict
from conformance.graphs.judge import Graphs, judged
from conformance.graphs.shrink import listing, shrunk

WRONG = (Verdict.DISAGREED, Verdict.CRASHED, Verdict.UNCLEAR)  # what can be tried again here


@click.command()
@click.option("--count", default=2000, show_default=True, help="Models.")
@click.option("--seed", default=0, show_default=True)
@click.option("--nodes", default=30, show_default=True, help="The most that a model has.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds for one model.")
@click.option("--only", "only", type=int, multiple=True, metavar="N", help="Just these numbers.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the models there that went wrong, made small, with inputs and expected outputs.",
)
@click.option("--verbose", is_flag=True, help="List every model.")
def main(
    count: int,
    seed: int,
    nodes: int,
    jobs: int,
    limit: float,
    only: tuple[int, ...],
    keep: Path | None,
    verbose: bool,
) -> None:
    """Draw valid models and hold what wsc makes of them against ONNX Runtime.

    Exits with 1 if any crashes, hangs, takes too much memory, is refused with no clear
    sentence, or has a result other than ONNX Runtime's.
    """
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, emoji=False)
    started = time.perf_counter()
    graphs = Graphs(seed, limit, nodes)
    numbers = only or range(count)
    counts, reasons = Counter[Verdict](), Counter[str]()
    for finding in shown(graphs.run(numbers, jobs), len(numbers), console):
        counts[finding.verdict] += 1
        if finding.verdict is Verdict.REFUSED:
            reasons[re.sub(r"'[^']*'|\d+", "_", finding.reason)[:110]] += 1
        # What goes wrong is told, and kept, as soon as it is found: a long run may end before.
        if verbose or finding.verdict not in (Verdict.AGREED, Verdict.REFUSED):
            console.print(str(finding), markup=False, soft_wrap=True)
        if keep is not None and finding.verdict in WRONG:
            console.print(_keep(keep, graphs, finding), markup=False, soft_wrap=True)
    table = Table("verdict", "models", box=None)
    for verdict in Verdict:
        table.add_row(verdict, str(counts[verdict]))
    console.print(table)
    for reason, number in reasons.most_common(40):
        console.print(f"refused {number:4d}  {reason}", markup=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s", markup=False)
    sys.exit(any(counts[verdict] for verdict in Verdict if verdict not in GOOD))


def _keep(folder: Path, graphs: Graphs, finding: Finding) -> str:
    """Write the smallest model that goes as wrong; its nodes as text."""
    number = finding.number
    drawn = shrunk(
        graphs.drawn(number), lambda smaller: judged(number, smaller).verdict is finding.verdict
    )
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{graphs.seed}-{number}"
    stem.with_suffix(".onnx").write_bytes(drawn.model.SerializeToString())
    wanted = zip(drawn.model.graph.output, drawn.expected, strict=True)
    arrays: dict[str, Any] = {f"in:{name}": array for name, array in drawn.feeds.items()}
    arrays |= {f"want:{value.name}": array for value, array in wanted}
    np.savez(stem.with_suffix(".npz"), **arrays)
    return listing(drawn)


if __name__ == "__main__":
    main()
