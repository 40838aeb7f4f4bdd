"""What a benchmark gives: tables, and targets with what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

PACKAGES = ("numpy", "numba", "onnx", "onnx-ir", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Target:
    """A limit, and the value that was measured against it, in ``unit``."""

    what: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def cells(self) -> list[str]:
        wanted = f"{'at least' if self.at_least else 'at most'} {number(self.limit)} {self.unit}"
        measured = f"{number(self.measured)} {self.unit}"
        return [self.what, wanted.strip(), measured.strip(), "met" if self.met else "missed"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "limit": self.limit,
            "at_least": self.at_least,
            "measured": self.measured,
            "unit": self.unit,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's outcome. left: columns that hold text. raw: everything, for JSON.

    files: pages of its own, which a full run of this benchmark by name writes.
    """

    name: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    left: int = 1
    raw: Any = field(default=None, repr=False)
    files: Mapping[Path, str] = field(default_factory=dict[Path, str], repr=False)


def number(value: float) -> str:
    """Three significant digits, or a whole number with commas."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures depend on. No names of hosts or people."""
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": _memory(),
        "load_average": _load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _commit() -> str:
    """The commit measured, marked when files differ from it; empty outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _memory() -> float | None:
    if sys.platform != "linux":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def machine_lines(found: dict[str, Any]) -> list[str]:
    """The machine, for people."""
    packages = ", ".join(f"{name} {what}" for name, what in found["packages"].items())
    memory = f", {found['memory_gib']} GiB of memory" if found["memory_gib"] else ""
    return [
        f"{found['cores']} cores ({found['processor']}){memory}, {found['system']}, "
        f"Python {found['python']}, {packages}.",
        f"Commit {found['commit'] or 'unknown'}, measured {found['date']}; "
        f"load average when the run began: {found['load_average']} "
        "(other work on the machine makes seconds longer; CPU seconds hardly, and cycles never).",
    ]


def show(result: Result, console: Console) -> None:
    """Print a result."""
    table = RichTable(title=result.title, box=box.SIMPLE_HEAD, title_justify="left")
    for place, heading in enumerate(result.headings):
        table.add_column(heading, justify="left" if place < result.left else "right")
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    for target in result.targets:
        what, wanted, measured, verdict = target.cells()
        style = "green" if target.met else "red"
        console.print(f"  [{style}]{verdict}[/]: {what}: {measured} ({wanted})")
    for note in result.notes:
        console.print(f"  {note}", markup=False)
    console.print()


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table; its first ``left`` columns hold text."""
    rule = ["---" if place < left else "---:" for place in range(len(headings))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, rule, *rows])


def markdown(results: Sequence[Result], found: dict[str, Any], command: str) -> str:
    """The page that ``docs/benchmarks.md`` is."""
    targets = [target.cells() for result in results for target in result.targets]
    parts = [
        "# Benchmarks",
        f"Written by `{command}`; `make bench` measures anew and leaves this page alone. "
        "The same run's figures in full are in the JSON file that `-o` names.",
        "\n".join(machine_lines(found)),
    ]
    if targets:
        parts += ["## Targets", markdown_table(("what", "wanted", "measured", ""), targets, 1)]
    for result in results:
        parts.append(f"## {result.title}")
        parts.append(markdown_table(result.headings, result.rows, result.left))
        parts += list(result.notes)
    return "\n\n".join(parts) + "\n"
