"""``python -m conformance.sabotage``: change the code, run the tests, tell what nobody saw."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from conformance.sabotage.areas import AREAS, Area
from conformance.sabotage.mutate import Change, changed, changes

ROOT = Path(__file__).parents[2]
COPIED = ("isa", "runtime", "wsc", "models", "tests", "conformance", "benchmarks", "docs",
          "pyproject.toml", "README.md")  # fmt: skip
SEEN, TOO_LONG, PASSED = "seen", "too long", "PASSED"
NOT_RUN = (3, 4, 5)  # pytest itself failed, or found no tests


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A change of a file."""

    path: str
    change: Change

    def __str__(self) -> str:
        return f"{self.path}:{self.change.line} ({self.change.function}) {self.change.what}"


@click.command()
@click.option("--area", "areas", multiple=True, type=click.Choice([*AREAS]), help="Those alone.")
@click.option("--each", default=20, show_default=True, help="Changes in each area, by chance.")
@click.option("--seed", default=1, show_default=True, help="Which ones.")
@click.option("--file", "pattern", default="", help="Files whose path holds this.")
@click.option("--function", default="", help="Functions of this name.")
@click.option("--list", "listed", is_flag=True, help="Say what would be changed, and run nothing.")
def main(
    areas: tuple[str, ...], each: int, seed: int, pattern: str, function: str, listed: bool
) -> None:
    """Change the code by one small fault at a time, in a copy, and run the tests of its area.

    A change that no test sees is a test that is missing, or a change that means the same: read
    the list. Nothing here is run by continuous integration.
    """
    seen, passed = 0, list[Sabotage]()
    with tempfile.TemporaryDirectory(prefix="wsc-sabotage-") as name:
        folder = Path(name)
        for part in COPIED:
            _copy(ROOT / part, folder / part)
        for area in areas or tuple(AREAS):
            for sabotage in _chosen(AREAS[area], each, seed, pattern, function):
                if listed:
                    click.echo(f"{area}: {sabotage}")
                    continue
                started = time.monotonic()
                word = _seen(sabotage, AREAS[area], folder)
                seen += word != PASSED
                if word == PASSED:
                    passed.append(sabotage)
                click.echo(f"{word:8} {time.monotonic() - started:4.0f} s  {area}: {sabotage}")
    if not listed:
        click.echo(f"{seen} of {seen + len(passed)} were seen; these passed:")
        for sabotage in passed:
            click.echo(f"  {sabotage}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # The package names the folders beside it by links, which stay links in the copy.
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    else:
        shutil.copy(source, target)


def _chosen(area: Area, each: int, seed: int, pattern: str, function: str) -> Iterator[Sabotage]:
    found = [
        Sabotage(path.relative_to(ROOT).as_posix(), change)
        for glob in area.files
        for path in sorted(ROOT.glob(glob))
        if pattern in path.as_posix()
        for change in changes(path.read_text(encoding="utf-8"))
        if function in ("", change.function)
    ]
    yield from random.Random(seed).sample(found, min(each, len(found)))


def _seen(sabotage: Sabotage, area: Area, folder: Path) -> str:
    """How the tests saw a change; that one took too long may be a slow machine's fault."""
    file = folder / sabotage.path
    before = file.read_text(encoding="utf-8")
    file.write_text(changed(before, sabotage.change), encoding="utf-8")
    try:
        words = (_runs(test, area.limit, folder) for test in area.tests)
        return next((word for word in words if word != PASSED), PASSED)
    finally:
        file.write_text(before, encoding="utf-8")


def _runs(test: str, limit: int, folder: Path) -> str:
    # A process of its own for each file of tests: the first that fails ends it.
    command = [
        sys.executable,
        "-m",
        "pytest",
        test,
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
    ]
    settings = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    try:
        done = subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return TOO_LONG
    if done.returncode in NOT_RUN:
        raise click.ClickException(f"{test}: pytest did not run\n{done.stdout.decode()[-2000:]}")
    return SEEN if done.returncode else PASSED


if __name__ == "__main__":
    main()
