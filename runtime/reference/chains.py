"""The tables in which causes are kept, and what a run leaves of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.runtime.image import Image
from wsc.runtime.observations.causes import Causes
from wsc.runtime.reference.compiled import Machine
from wsc.runtime.reference.records import EVENT, ORIGIN, TABLES, Reason

MOST_EVENTS = 1 << 21  # that are kept: the last ones
_LONG_AGO = -9  # cycle


def cause_tables(image: Image, kept: bool, now: np.ndarray, cells: int) -> dict[str, np.ndarray]:
    """The tables of causes; of one entry if none are kept.

    now: the record that says so. cells: those that the dynamic network has.
    """
    units = int(now["units"][0])
    sizes = cause_sizes(image, units) | {"message_causes": cells} if kept else {}
    made: dict[str, Any] = {
        name: np.zeros(sizes.get(name, 1), TABLES[name][0]) for name in cause_sizes(image, units)
    }
    for table in made.values():
        if table.dtype == ORIGIN:
            table["event"], table["freed"] = -1, _LONG_AGO
    made["events"]["number"] = made["doers"]["event"] = -1
    if kept:
        now["causes"] = MOST_EVENTS
    return made


def cause_sizes(image: Image, units: int) -> dict[str, int]:
    """Lengths of the tables of causes of an image with so many threads a tile."""
    moving = image.tiles * 5 if image.code.sends else 0
    return {
        "events": MOST_EVENTS,
        "doers": image.tiles * units + len(image.schedule.queues) + 1,
        "cell_causes": max(image.routes.cells, 1),
        "pop_causes": len(image.routes.depths) + 1,
        "switch_causes": len(image.routes.slots) + 1,
        "count_causes": image.tiles * image.fabric.semaphores + 1,
        "lookup_causes": int(image.schedule.lookups[:, 1].sum()) + 1,
        "kept_causes": len(image.program.edge_tensors) + 1,
        "message_causes": moving * image.fabric.dynamic_places + 1,
    }


def cause_bytes(image: Image, units: int) -> int:
    """Bytes of these tables."""
    sizes = cause_sizes(image, units)
    return sum(count * np.dtype(TABLES[name][0]).itemsize for name, count in sizes.items())


def read_causes(image: Image, machine: Machine, cycles: int) -> Causes:
    """What a run has left, in the order of the events' numbers."""
    events = machine.events[machine.events["number"] >= 0]
    return Causes(
        image,
        np.sort(events, order="number"),
        machine.doers.copy(),
        _open(machine, cycles),
        int(machine.now["units"][0]),
        cycles,
    )


def _open(machine: Machine, cycles: int) -> np.ndarray:
    """The waits that had not ended, as events."""
    who = np.nonzero(machine.unit["reason"] != Reason.NONE)[0]
    unit, made = machine.unit[who], np.zeros(len(who), EVENT)
    made["number"] = made["cause"] = -1
    made["who"], made["begin"] = who, cycles
    made["waited"] = np.maximum(cycles - unit["since"], 0)
    for name in ("row", "statement", "reason", "what"):
        made[name] = unit[name]
    return made
