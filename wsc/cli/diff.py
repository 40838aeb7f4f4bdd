"""``wsc diff``: what a change changed, between two programs, dumps or runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import (
    STANDARD,
    Refusal,
    console,
    general,
    say,
    say_json,
    standard_file,
    working,
)
from wsc.cli.tables import PlainTable, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from wsc.differences import Change, Difference, Side

MOST_ROWS = 12  # of one table, without --all
LONGEST = 60  # characters of a text in a table
DIFFERENT = 1  # the exit code


@click.command("diff")
@click.argument("before", type=click.Path(path_type=Path), metavar="A")
@click.argument("after", type=click.Path(path_type=Path), metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--all", "every", is_flag=True, help="Every row.")
@general
def command(before: Path, after: Path, as_json: bool, every: bool) -> int:
    """Compare A and B: two programs, two runs, or two dumps of the IR.

    Programs (.wsa) are compared by node, kernel, layout and SRAM, and by the cycles that the cost
    model predicts. Runs are what wsc run --json or estimate --json wrote: by node, kernel
    and color. Dumps are files of wsc compile --dump-ir, or its whole folder: by value, buffer
    and task.

    The exit code is 1 if anything differs.
    """
    from wsc.differences import compare, read

    if before == after == STANDARD:
        raise Refusal("-: standard input is one of the two, not both")
    paths = [standard_file("standard input") if p == STANDARD else p for p in (before, after)]
    with working("comparing"):
        sides = read(paths[0]), read(paths[1])
        found = compare(*sides)
    if as_json:
        say_json(as_object(found, sides))
    else:
        show(found, sides, (before, after), every)
    return DIFFERENT if any(found) else 0


def as_object(found: Sequence[Difference], sides: tuple[Side, Side]) -> dict[str, Any]:
    """The differences for JSON."""
    return {
        "kind": sides[0].kind,
        "notes": [list(side.notes) for side in sides],
        "tables": [
            {
                "title": item.title,
                "removed": {name: dict(fields) for name, fields in item.removed.items()},
                "added": {name: dict(fields) for name, fields in item.added.items()},
                "changed": [
                    {
                        "name": change.name,
                        "field": change.field,
                        "before": change.before,
                        "after": change.after,
                    }
                    for change in item.changed
                ],
            }
            for item in found
            if item
        ],
    }


def show(
    found: Sequence[Difference], sides: tuple[Side, Side], paths: tuple[Path, Path], every: bool
) -> None:
    """The differences for people, on standard output."""
    screen = console()
    for path, side in zip(paths, sides, strict=True):
        for note in side.notes:
            say(f"note: {path}: {note}", error=True)
    if not any(found):
        screen.print("no difference")
    for item in found:
        if item:
            screen.print(f"\n{item.title}")
            _show(screen, item, every)


def _show(screen: Console, item: Difference, every: bool) -> None:
    for mark, rows in (("-", item.removed), ("+", item.added)):
        for name, fields in list(rows.items())[: None if every else MOST_ROWS]:
            parts = [f"{key} {_text(value)}".strip() for key, value in fields.items()]
            screen.print(f"{mark} {name}: {', '.join(part for part in parts if part)}")
        _left(screen, len(rows), every)
    names = list(dict.fromkeys(change.name for change in item.changed))
    shown = set(names if every else names[:MOST_ROWS])
    changes = [change for change in item.changed if change.name in shown]
    numbers = [change for change in changes if change.amount is not None]
    if numbers:
        table = PlainTable(
            "name",
            "field",
            "A",
            "B",
            "change",
            "of A",
            right=("A", "B", "change", "of A"),
            leaving=("of A",),
            cut="name",
        )
        for change in numbers:
            share = "" if change.share is None else f"{change.share:+.1%}"
            table.add_row(
                change.name,
                change.field,
                _text(change.before),
                _text(change.after),
                _signed(change),
                share,
            )
        print_table(screen, table)
    for change in changes:
        if change.amount is None:
            _show_texts(screen, change)
    _left(screen, len(names), every)


def _show_texts(screen: Console, change: Change) -> None:
    from wsc.differences.compare import hunks

    head = f"{change.name} {change.field}".strip()
    before, after = _text(change.before), _text(change.after)
    if max(len(before), len(after)) <= LONGEST:
        screen.print(f"  {head}: {before or 'nothing'} -> {after or 'nothing'}")
        return
    parts = [f"{one or 'nothing'} -> {two or 'nothing'}" for one, two in hunks(before, after)]
    screen.print(f"  {head}: {'; '.join(parts)}")


def _left(screen: Console, count: int, every: bool) -> None:
    if not every and count > MOST_ROWS:
        screen.print(f"  {count - MOST_ROWS} more; --all shows them")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _signed(change: Change) -> str:
    amount = change.amount
    return f"{amount:+,.6g}" if isinstance(amount, float) else f"{amount:+,}"
