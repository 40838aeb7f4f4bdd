"""What stops a run, in the words that all engines share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wsc.isa.program import Location, Program
from wsc.isa.shown import named
from wsc.isa.values import PARTIAL
from wsc.runtime.code import Code
from wsc.runtime.errors import place
from wsc.runtime.image import Image
from wsc.runtime.schedule import DRAIN, FEED
from wsc.runtime.tables import Records

MOST_LINES, MOST_TILES = 24, 4


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that waits: where, what it says, and the line it stands on."""

    tile: int
    text: str
    where: Location


def coordinates(program: Program, tile: int) -> str:
    """``(x, y)`` in the program's rectangle; tiles are numbered by rows."""
    return f"({tile % program.width}, {tile // program.width})"


def unit_name(unit: int) -> str:
    """A unit of a tile as people know it."""
    return "main thread" if unit == 0 else f"stream unit {unit - 1}"


def grouped(program: Program, head: str, waits: Iterable[Wait]) -> str:
    """A report of waits: equal ones of several tiles share a line."""
    groups: dict[tuple[str, Location], list[int]] = {}
    for wait in waits:
        groups.setdefault((wait.text, wait.where), []).append(wait.tile)
    lines = [head]
    for (text, where), tiles in list(groups.items())[:MOST_LINES]:
        named = ", ".join(coordinates(program, tile) for tile in tiles[:MOST_TILES])
        more = f" and {len(tiles) - MOST_TILES} more" if len(tiles) > MOST_TILES else ""
        lines.append(f"  {place(where)}tile{'s' * (len(tiles) > 1)} {named}{more}: {text}")
    if len(groups) > MOST_LINES:
        lines.append(f"  and {len(groups) - MOST_LINES} more kinds of waits")
    return "\n".join(lines)


def edge_waits(
    image: Image, queues: Records, awaited: np.ndarray, feeds_want: str
) -> Iterator[Wait]:
    """Transfers of the edge that are not done.

    queues: the table of the edge's queues as an engine left it. awaited: elements of each edge
    tensor that are still to be drained before it is fed. feeds_want: what a feed waits for that
    has its elements.
    """
    for cursor in queues[queues.record < queues.end]:
        slot = image.routes.records[int(cursor.slot)]
        shape = image.schedule.shape_of(int(cursor.record))
        transfer = image.transfers[int(shape.transfer)]
        direction = int(shape.direction)
        missing = int(awaited[shape.tensor])
        if direction == FEED and shape.lookup >= 0:
            what = f"the feed of '{transfer.tensor}' waits for index values or {feeds_want}"
        elif direction == FEED and missing:
            whole = int(image.schedule.awaited[shape.tensor])
            what = (
                f"the feed of '{transfer.tensor}' waits until the {missing} of its {whole} "
                "elements that are missing have been drained"
            )
        elif direction == FEED:
            what = f"the feed of '{transfer.tensor}' waits for {feeds_want}"
        elif direction == DRAIN:
            what = f"the drain into '{transfer.tensor}' waits for wavelets"
        else:
            what = f"the lookup in '{transfer.tensor}' waits for index values"
        color = image.program.colors[int(slot.color)][0]
        yield Wait(int(slot.tile), f"{what} (color '{color}')", transfer.where)


def sentence(where: Location, at: str, what: str, nodes: tuple[str, ...]) -> str:
    """A fault: where in the text, at what of the machine, what, and for which ONNX nodes if any."""
    return f"{place(where)}{at}: {what}" + (f", for node '{named(nodes)}'" if nodes else "")


def nodes_of(code: Code, statement: int) -> tuple[str, ...]:
    """The ONNX nodes of a statement of main, if it has some."""
    return code.statements[statement].nodes if 0 <= statement < len(code.statements) else ()


def fault_text(
    program: Program, name: str, instruction: str, value: int, bound: int, outward: bool
) -> str:
    """What an instruction did that the machine does not allow.

    name: of the member of the engine's ``Fault``. value: what was found. bound: what it is held
    against, or a second number. outward: of a queue that is missing, whether it would lead to the
    router.
    """
    if name == "DOMAIN":
        return PARTIAL[instruction].refusal.format(a=value, b=bound)
    if name == "QUEUE":
        way = "to" if outward else "from"
        return f"no route {way} the router for color '{program.colors[value][0]}' in this tile"
    return {
        "ADDRESS": f"SRAM address {value} is out of range, the program's data has {bound} bytes",
        "ALIGNMENT": f"SRAM address {value} or a stride is no multiple of {bound} bytes",
        "NEGATIVE": f"the count {value} is negative",
        "TARGET": f"the target tile ({value}, {bound}) is outside the region",
        "CALLS": f"calls nest deeper than {value}",
        "REGISTERS": f"the register windows need more than {value} registers",
        "EXTENT": f"{value} turns or steps of one dimension, and there may be {bound}",
        "STEPS": f"more than {value} steps in one instruction",
        "ROW": f"more than {value} steps in one row",
        "RECORD": "the run for values did not come to this line so often; the program has a race, "
        "or the simulator a fault",
    }[name]
