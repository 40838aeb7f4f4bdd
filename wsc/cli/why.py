"""``wsc why``: what a tile, a node or a line waited for, and who was late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.asked import Asked, runnable
from wsc.cli.common import LARGEST, Refusal, console, coordinates, general, say_json
from wsc.cli.completion import Word, nodes
from wsc.cli.execute import execute
from wsc.cli.tables import PlainTable, print_table

if TYPE_CHECKING:
    from wsc.runtime.observations.causes import Place, Step, Wait, Why

MOST_WAITS, MOST_LINES, MOST_STEPS = 8, 10, 24  # rows of each table, without --all


@click.command("why")
@click.option("--tile", metavar="X,Y", help="Of this tile.")
@click.option(
    "--node",
    type=Word(nodes),
    metavar="ONNX_NODE",
    help="Of the statements of main for this ONNX node.",
)
@click.option("--line", type=click.IntRange(1, LARGEST), metavar="N", help="Of this line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--all", "every", is_flag=True, help="Every row of every table.")
@runnable
@general
def command(
    asked: Asked, tile: str | None, node: str | None, line: int | None, as_json: bool, every: bool
) -> None:
    """Run a program, and say what a tile, node or line waited for: by color, semaphore or unit,
    with the cycles, and who was late with it.

    Below that is the chain behind the longest of these waits: what the one that was late did and
    had waited for itself, and so on back to the first cycle. Without --tile, --node and --line
    it is the chain behind the run as a whole, its critical path. The cycles of a chain sum to
    the cycle that it leads to: those of its lines, and those on the way between two of them, which
    are hops, other colors on a link, and full buffers.

    This runs the reference engine, cycle by cycle; --max-cycles stops it early.
    """
    place = None if tile is None else coordinates("--tile", tile)
    ready = asked.load()
    options: dict[str, Any] = {
        "engine": None,
        "max_cycles": asked.max_cycles,
        "max_memory": asked.max_memory,
        "causes": True,
    }
    result, stopped = execute(ready.program, ready.arrays, options)
    why = result.why(tile=place, node=node, line=line)
    if as_json:
        say_json({"cycles": result.cycles, "stopped": stopped or None, **why.as_dict()})
    else:
        show(why, result.cycles, every)
    if stopped:
        raise Refusal(stopped)


def show(why: Why, cycles: int, every: bool) -> None:
    """The waits, the chain and its lines, for people."""
    screen = console()
    if why.subject == "the run":
        screen.print(f"the critical path of the run, {cycles:,} cycles")
    elif why.waits:
        waited = sum(wait.cycles for wait in why.waits)
        screen.print(f"{why.subject}: threads waited {waited:,} cycles\n")
        _show_waits(why, every)
        if not why.steps:
            screen.print("\nnone of these waits had ended when the run did")
            return
        screen.print(f"\nthe longest of these waits ended in cycle {why.ends:,}, because:")
    else:
        screen.print(f"{why.subject}: nothing waited")
        return
    screen.print()
    _show_steps(_joined(why.steps), every)
    if why.begins:
        screen.print(f"what was before cycle {why.begins:,} is no longer kept")
    screen.print("\nthe lines of this chain")
    table = PlainTable("cycles", "line", "what", "node", right=("cycles", "line"), cut="node")
    lines = why.lines()
    for place, spent in lines if every else lines[:MOST_LINES]:
        table.add_row(f"{spent:,}", _line(place), place.text, place.node)
    print_table(screen, table)
    _left_out(len(lines), MOST_LINES, every)


def _show_waits(why: Why, every: bool) -> None:
    table = PlainTable(
        "cycles",
        "who",
        "line",
        "what",
        "node",
        "waited for",
        "late was",
        "at line",
        right=("cycles", "line", "at line"),
        leaving=("node", "what"),
        cut="node",
    )
    groups = _grouped(why.waits)
    for waits in groups if every else groups[:MOST_WAITS]:
        wait = waits[0]
        late = ("", "") if wait.late is None else (wait.late.doer, _line(wait.late))
        place = wait.place
        more = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
        table.add_row(
            f"{sum(wait.cycles for wait in waits):,}",
            place.doer + more,
            _line(place),
            place.text,
            place.node,
            wait.waited_for if wait.ended else f"{wait.waited_for}, until the end",
            *late,
        )
    print_table(console(), table)
    _left_out(len(groups), MOST_WAITS, every)


def _grouped(waits: Iterable[Wait]) -> list[list[Wait]]:
    """Waits that differ in the tiles alone, the most cycles first; the longest first in each."""
    groups: dict[tuple[Any, ...], list[Wait]] = {}
    for wait in waits:
        late = None if wait.late is None else (wait.late.where, wait.late.text)
        place = wait.place
        key = (place.where, place.text, place.node, wait.waited_for, wait.ended, late)
        groups.setdefault(key, []).append(wait)
    return sorted(groups.values(), key=lambda group: -sum(wait.cycles for wait in group))


def _show_steps(steps: Sequence[tuple[Step, Step, int, int]], every: bool) -> None:
    table = PlainTable(
        "until",
        "cycles",
        "way",
        "who",
        "line",
        "what",
        "node",
        "after it had waited for",
        right=("until", "cycles", "way", "line"),
        leaving=("what",),
        cut="node",
    )
    for latest, first, busy, way in steps if every else steps[:MOST_STEPS]:
        place = latest.place
        who = place.doer
        if first is not latest:
            who += f" to {first.place.doer.removeprefix('tile ')}"
        table.add_row(
            f"{latest.end:,}",
            f"{busy:,}",
            f"{way:,}",
            who,
            _line(place),
            place.text,
            place.node,
            latest.waited_for,
        )
    print_table(console(), table)
    _left_out(len(steps), MOST_STEPS, every)


def _joined(steps: Iterable[Step]) -> list[tuple[Step, Step, int, int]]:
    """Steps in a row that do the same: the latest, the first, the cycles of all, and their ways.

    So a chain of sums that runs from tile to tile is one row, and so is a loop of instructions
    that nothing holds up, by its line.
    """
    joined: list[tuple[Step, Step, int, int]] = []
    for step in steps:
        busy = step.end - step.begin
        if joined:
            latest, first, before, way = joined[-1]
            if _alike(latest, first, step):
                joined[-1] = (latest, step, before + busy, way + step.way)
                continue
        joined.append((step, step, busy, step.way))
    return joined


def _alike(latest: Step, first: Step, step: Step) -> bool:
    """Whether a step goes on with what those before it did, in another tile."""
    one, other = first.place, step.place
    same = (one.where, one.text, one.node) == (other.where, other.text, other.node)
    relayed = bool(latest.waited_for) == bool(step.waited_for)
    return same and relayed


def _line(place: Place) -> str:
    return str(place.where.line or "")


def _left_out(rows: int, most: int, every: bool) -> None:
    if rows > most and not every:
        console().print(f"{rows - most:,} more; --all shows them")
