"""``wsc fabrics``: the fabrics, their numbers, and the evidence for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import console, general, say_json
from wsc.cli.completion import Word
from wsc.cli.completion import fabrics as known_fabrics
from wsc.cli.tables import PlainTable, print_table

if TYPE_CHECKING:
    from wsc.isa.fabric import Fabric

GRADES = (
    "P primary source, S second hand, D derived from other rows, A assumed, M measured by others"
)


@click.command("fabrics")
@click.argument("name", type=Word(known_fabrics), required=False, metavar="[NAME|WxH|FILE.toml]")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@general
def command(name: str | None, as_json: bool) -> None:
    """List the fabrics that ship with wsc, or every number of one with its evidence."""
    from wsc.isa.fabric import find_fabric, presets

    fabrics = [find_fabric(name)] if name else [find_fabric(preset) for preset in presets()]
    if as_json:
        described = [as_object(fabric) for fabric in fabrics]
        say_json(described[0] if name else described)
    elif name:
        show_one(fabrics[0])
    else:
        show_all(fabrics)


def as_object(fabric: Fabric) -> dict[str, Any]:
    """A fabric for JSON."""
    return {
        "name": fabric.name,
        "title": fabric.title,
        "width": fabric.width,
        "height": fabric.height,
        "source": fabric.source,
        "numbers": [
            {
                "key": item.key,
                "value": item.value,
                "grade": item.grade.value,
                "note": item.note,
            }
            for item in fabric.evidence
        ],
    }


def show_all(fabrics: list[Fabric]) -> None:
    """One row a fabric."""
    table = PlainTable(
        "fabric",
        "tiles",
        "clock",
        "SRAM a tile",
        "colors",
        "I/O a cycle",
        "P/S/D/A/M",
        "title",
        right=("clock", "SRAM a tile", "colors", "I/O a cycle"),
        leaving=("title", "colors"),
    )
    for fabric in fabrics:
        grades = [item.grade.value for item in fabric.evidence]
        table.add_row(
            fabric.name,
            f"{fabric.width}x{fabric.height}",
            f"{fabric.clock_hertz / 1e9:g} GHz",
            f"{fabric.sram_bytes:,} B",
            str(fabric.colors),
            f"{fabric.io_bytes_per_cycle:,} B",
            "/".join(str(grades.count(grade)) for grade in "PSDAM"),
            fabric.title,
        )
    screen = console()
    print_table(screen, table)
    screen.print(f"\nnumbers by grade of evidence: {GRADES}")
    screen.print("wsc fabrics NAME shows every number; a size such as 16x16 means tiles of wse2")


def show_one(fabric: Fabric) -> None:
    """Every number, its grade and note."""
    screen = console()
    screen.print(f"{fabric.name}: {fabric.title}")
    screen.print(f"{fabric.width}x{fabric.height} tiles; {fabric.source}\n")
    table = PlainTable("number", "value", "grade", "note", right=("value",))
    for item in fabric.evidence:
        value = item.value
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if isinstance(value, int) and abs(value) >= 1_000_000:
            text = f"{value:,}"
        table.add_row(item.key, text, item.grade.value, item.note)
    print_table(screen, table)
    screen.print(f"\ngrades: {GRADES}")
