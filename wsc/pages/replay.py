"""A window of a run as a page plays it: threads, wavelets, switches and semaphores by cycle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from wsc.isa.program import Program


def replay(trace: Any, program: Program) -> dict[str, Any]:
    """What tiles and their routers did in the window of a trace of all tiles.

    tiles: of each its main thread, entries [begin, length, state, line]. Cycles count from the
    window's first. network: None if it was not recorded.
    """
    first, end = trace.window
    tiles: list[list[list[int]]] = [[] for _ in range(program.width * program.height)]
    where = trace.image.code.where
    for unit in trace.units:
        if unit.unit == 0:
            tiles[unit.tile] = [
                [begin - first, length, state, where[row].line]
                for begin, length, state, row, *_ in unit.entries.tolist()
            ]
    left_out = [trace.left_out] if trace.left_out else []
    seen = trace.network
    if seen is not None and seen.left_out is not None:
        left_out.append(f"wavelets are left out from cycle {seen.left_out:,} on")
    return {
        "first": first,
        "cycles": end - first,
        "tiles": tiles,
        "network": None if seen is None else _network(trace.image, seen, program, first),
        "left_out": "; ".join(left_out),
    }


def _network(image: Any, seen: Any, program: Program, first: int) -> dict[str, Any]:
    """Who sent when, and what stood how from when on.

    links: [tile, color, side, begin, length, begin, length, ...]; the color after the last stands
    for the dynamic network. switches: [tile, color, [way of each position], cycle, position, ...].
    semaphores: [tile, number, cycle, value, ...].
    """
    slots, dynamic = image.routes.records, len(program.colors)
    tile, color = slots.tile, slots.color
    links: dict[tuple[int, ...], list[int]] = {}
    for begin, length, slot, side in seen.wavelets.tolist():
        key = (int(tile[slot]), int(color[slot]), side)
        links.setdefault(key, list(key)).extend((begin - first, length))
    for begin, length, at, side in seen.messages.tolist():
        links.setdefault((at, dynamic, side), [at, dynamic, side]).extend((begin - first, length))
    switches: dict[int, list[Any]] = {}
    for cycle, slot, position in seen.switches.tolist():
        if slot not in switches:
            ways = [image.routes.way(slot, place) for place in range(int(slots.positions[slot]))]
            switches[slot] = [int(tile[slot]), int(color[slot]), ways]
        switches[slot] += [cycle - first, position]
    return {
        "colors": [name for name, _ in program.colors],
        "links": list(links.values()),
        "switches": list(switches.values()),
        "semaphores": _by_key(seen.semaphores, first),
    }


def _by_key(rows: np.ndarray, first: int) -> Iterable[list[int]]:
    """[tile, number, cycle, value, ...] of rows (cycle, tile, number, value)."""
    found: dict[tuple[int, int], list[int]] = {}
    for cycle, tile, number, value in rows.tolist():
        found.setdefault((tile, number), [tile, number]).extend((cycle - first, value))
    return list(found.values())
