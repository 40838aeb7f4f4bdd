"""Races: the tables in which they are looked for, and what is said of those found."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.program import Location
from wsc.isa.types import DType
from wsc.runtime.errors import Finding, Race, RuntimeFault, spot
from wsc.runtime.image import Image
from wsc.runtime.reference.compiled import Machine
from wsc.runtime.reference.races import READS
from wsc.runtime.reference.records import COUNT, END, FINDING, STORE, Does
from wsc.runtime.stops import coordinates, unit_name
from wsc.runtime.tables import COUNTED, TYPE_INDEX, Kind

MOST_FOUND = 100  # pairs of lines
_DOING = {
    Does.READ: ("reads", "read"),
    Does.WRITE: ("writes", "wrote"),
    Does.STORE: ("stores into", "stored into"),
    Does.TAKE: ("takes from", "took from"),
    Does.PUT: ("puts into", "put into"),
}


def race_tables(image: Image, check: bool, now: np.ndarray) -> dict[str, np.ndarray]:
    """The tables of the check; of one entry if it is off. now: the record that switches it on."""
    threads = image.tiles * int(now["units"][0])
    sizes = race_sizes(image, int(now["units"][0])) if check else {}
    made: dict[str, Any] = {
        name: np.zeros(sizes.get(name, shape), dtype) for name, (shape, dtype) in _EMPTY.items()
    }
    if check:
        made["race_clock"].reshape(threads, -1)[:] = np.eye(threads, dtype=np.int32)
        made["race_messages"]["next"] = np.arange(1, len(made["race_messages"]) + 1)
        now["races"], now["race_shift"] = MOST_FOUND, _granule(image)
    return made


_EMPTY: dict[str, tuple[int | tuple[int, int], Any]] = {
    "race_shadow": (1, np.int64),
    "race_clock": (1, np.int32),
    "race_cell": (1, np.int32),
    "race_message": (1, np.int32),
    "race_counted": (1, np.int32),
    "race_messages": (1, STORE),
    "race_counts": (1, COUNT),
    "race_pending": (1, np.int64),
    "race_current": (1, np.int64),
    "race_ends": (1, END),
    "race_found": (1, FINDING),
}


def race_sizes(image: Image, units: int) -> dict[str, int | tuple[int, int]]:
    """Shapes of the tables that the race check keeps for an image with so many threads a tile."""
    threads, semaphores = image.tiles * units, image.tiles * image.fabric.semaphores
    granules = image.tiles * (image.data_bytes >> _granule(image))
    # A message under way holds a place in some buffer, or its sender's ramp queue.
    messages = image.tiles * (5 * image.fabric.dynamic_places + 1) if image.code.sends else 1
    return {
        "race_shadow": granules * (READS + units),
        "race_clock": threads * threads,
        "race_cell": image.routes.cells * threads,
        "race_message": messages * threads,
        "race_counted": semaphores * threads if image.code.sends else 1,
        "race_messages": messages,
        "race_counts": semaphores,
        "race_pending": threads,
        "race_current": image.tiles,
        "race_ends": 2 * len(image.routes.slots),
        "race_found": MOST_FOUND,
    }


def _granule(image: Image) -> int:
    """Bits of an address within the smallest element that the program has."""
    short = image.code.operand_records.type == TYPE_INDEX[DType.F16]
    return 1 if short.any() else 2


def refuse_races(image: Image, machine: Machine, error: RuntimeFault | None) -> None:
    """Raise ``Race`` if races were found; they come before what else stopped the run."""
    count = int(machine.now["race_count"][0])
    if not count:
        return
    found: dict[tuple[Location, Location], Finding] = {}
    for found_row in machine.race_found[:count]:
        row = {name: int(found_row[name]) for name in FINDING.names or ()}
        finding = _finding(image, machine, row)
        found.setdefault(finding.places, finding)
    lines = [f"{len(found)} race{'s' * (len(found) > 1)}: the values may depend on timing"]
    lines += [f"  {finding.text}" for finding in found.values()]
    if count == MOST_FOUND:
        lines.append(f"  and maybe more: {MOST_FOUND} is the most that is noted")
    if error is not None:
        lines.append(f"the run then stopped: {error}")
    raise Race("\n".join(lines), tuple(found.values())) from error


def _finding(image: Image, machine: Machine, row: dict[str, int]) -> Finding:
    before, now = image.code.where[row["row"]], image.code.where[row["now_row"]]
    does, at, tile = Does(row["does"]), row["at"], row["tile"]
    lead = f"{spot(now)}: tile {coordinates(image.program, tile)}, cycle {row['cycle']:,}: "
    later = _who(image, does, row["now_who"])
    if row["did"] == Does.WAIT:
        text = (
            f"{lead}{later} adds to semaphore s{at} by 'send' and could do so before the 'wait' at "
            f"{spot(before)} has what it relies on"
        )
        return Finding(text, row["cycle"], (before, now))
    did = Does(row["did"])
    if did is Does.WRITE and machine.rows["kind"][row["row"]] == Kind.SEND:
        did, row["who"] = Does.STORE, tile  # a store that main knows of counts as its own
    earlier = _who(image, did, row["who"])
    what = _place(image, machine, does, at)
    ops = [COUNTED[int(machine.rows["opcode"][number])] for number in (row["row"], row["now_row"])]
    text = (
        f"{lead}{later} {_DOING[does][0]} {what} by '{ops[1]}'; {earlier} {_DOING[did][1]} it by "
        f"'{ops[0]}' at {spot(before)}, with no synchronisation between them"
    )
    return Finding(text, row["cycle"], (before, now))


def _who(image: Image, does: Does, who: int) -> str:
    if does is Does.STORE:
        return f"tile {coordinates(image.program, who)}"
    return f"the {unit_name(who)}"


def _place(image: Image, machine: Machine, does: Does, at: int) -> str:
    if does in (Does.TAKE, Does.PUT):
        color = image.program.colors[int(machine.slots["color"][at])][0]
        return f"the {'input' if does is Does.TAKE else 'output'} queue of color '{color}'"
    names = [
        f"'{tensor.name}'"
        for tensor in image.program.tensors
        if tensor.address <= at < tensor.address + tensor.bytes
    ]
    return f"SRAM byte {at}{' of ' * bool(names)}{' or '.join(names)}"
