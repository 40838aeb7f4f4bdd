"""``python -m conformance.sabotage``: change the code, run the tests, tell what nobody saw."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from conformance.sabotage.areas import AREAS, Area
from conformance.sabotage.mutate import Change, changed, changes
from conformance.sabotage.runs import Outcome, load_libraries, outcome_of

ROOT = Path(__file__).parents[2]
CHOSEN = Path(__file__).with_name("chosen.toml")
COPIED = (
    "isa",
    "runtime",
    "wsc",
    "models",
    "tests",
    "conformance",
    "benchmarks",
    "docs",
    "pyproject.toml",
    "README.md",
)


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A change of a file. same: why it changes nothing, if it does not."""

    path: str
    change: Change
    same: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.change.line} {self.change.key[:150]}"


@click.command()
@click.option("--area", "areas", multiple=True, type=click.Choice([*AREAS]), help="Those alone.")
@click.option("--sample", type=int, metavar="N", help="N others by chance in each area.")
@click.option("--seed", default=1, show_default=True, help="Which ones.")
@click.option("--file", "pattern", default="", help="Files whose path holds this.")
@click.option("--function", default="", help="Functions of this name.")
@click.option("--list", "listed", is_flag=True, help="Say what would be changed, and run nothing.")
def main(
    areas: tuple[str, ...], sample: int | None, seed: int, pattern: str, function: str, listed: bool
) -> None:
    """Change the code by one small fault at a time, in a copy, and run the tests of its area.

    Without --sample the changes are those that chosen.toml names. A change that no test sees is a
    test that is missing, or a change that means the same: that has its reason there, and is not
    run. Nothing here is run by continuous integration.
    """
    counts, passed = Counter[str](), list[Sabotage]()
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="wsc-sabotage-") as name:
        folder = Path(name)
        for part in COPIED:
            _copy(ROOT / part, folder / part)
        for area in areas or tuple(AREAS):
            found = chosen(AREAS[area])
            if sample is not None:
                found = _others(AREAS[area], found, pattern, function)
                found = random.Random(seed).sample(found, min(sample, len(found)))
            if not listed and any(not sabotage.same for sabotage in found):
                _require_passing(AREAS[area], folder)
            for sabotage in found:
                if pattern not in sabotage.path or function not in ("", sabotage.change.function):
                    continue
                if listed or sabotage.same:
                    counts["the same"] += bool(sabotage.same)
                    click.echo(f"{'the same' if sabotage.same else '':8} {area}: {sabotage}")
                    continue
                started = time.monotonic()
                outcome = _tried(sabotage, AREAS[area], folder)
                counts[outcome] += 1
                if outcome is Outcome.PASSED:
                    passed.append(sabotage)
                click.echo(f"{outcome:8} {time.monotonic() - started:4.0f} s  {area}: {sabotage}")
    click.echo(", ".join(f"{number} {word}" for word, number in counts.items()))
    for sabotage in passed:
        click.echo(f"  {sabotage}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # The package names the folders beside it by links, which stay links in the copy.
        ignored = shutil.ignore_patterns(".git", "__pycache__")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    else:
        shutil.copy(source, target)


def chosen(area: Area) -> list[Sabotage]:
    """The changes of an area that ``chosen.toml`` names.

    Raises:
        click.ClickException: the code that one is made to is not there.
    """
    table = tomllib.loads(CHOSEN.read_text(encoding="utf-8"))
    found: list[Sabotage] = []
    for path in _paths(area):
        named = table.get(path, {})
        known = {item.key: item for item in changes((ROOT / path).read_text(encoding="utf-8"))}
        keys = dict.fromkeys(named.get("seen", []), "") | named.get("same", {})
        lost = [key for key in keys if key not in known]
        if lost:
            raise click.ClickException(f"{path}: no code reads like: {lost[0]}")
        found += [Sabotage(path, known[key], same) for key, same in keys.items()]
    return found


def _others(area: Area, known: list[Sabotage], pattern: str, function: str) -> list[Sabotage]:
    taken = {(sabotage.path, sabotage.change.key) for sabotage in known}
    return [
        Sabotage(path, change)
        for path in _paths(area)
        if pattern in path
        for change in changes((ROOT / path).read_text(encoding="utf-8"))
        if function in ("", change.function) and (path, change.key) not in taken
    ]


def _paths(area: Area) -> Iterator[str]:
    for glob in area.files:
        yield from (path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob(glob)))


def _require_passing(area: Area, folder: Path) -> None:
    """The tests pass in the copy as it is: else they would see what is not there."""
    for test in area.tests:
        outcome = outcome_of([test], area.limit, folder, ROOT)
        if outcome is not Outcome.PASSED:
            raise click.ClickException(f"{test} does not pass without a change: {outcome}")


def _tried(sabotage: Sabotage, area: Area, folder: Path) -> Outcome:
    """What the tests of the area say to a change."""
    file = folder / sabotage.path
    before = file.read_text(encoding="utf-8")
    file.write_text(changed(before, sabotage.change), encoding="utf-8")
    try:
        outcomes = (outcome_of([test], area.limit, folder, ROOT) for test in area.tests)
        return next((word for word in outcomes if word is not Outcome.PASSED), Outcome.PASSED)
    finally:
        file.write_text(before, encoding="utf-8")


if __name__ == "__main__":
    main()
