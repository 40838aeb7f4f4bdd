"""The trace of a run, from what an engine leaves."""

from __future__ import annotations

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

from wsc.runtime.image import Image
from wsc.runtime.observations.collect import collect_statements
from wsc.runtime.observations.records import ENTRY, TRACED, Observations, Reason
from wsc.runtime.runs import Options
from wsc.runtime.trace import Trace, UnitTrace


def trace_tables(image: Image, units: int, options: Options) -> tuple[np.ndarray, np.ndarray, int]:
    """Where each unit's entries go, room for them, and how many each traced unit has room for."""
    request = options.trace
    if request is None:
        return np.zeros(1, TRACED), np.zeros(1, ENTRY), 0
    tiles = request.chosen(image.program.width, image.program.height)
    room = max(request.events // (len(tiles) * units), 1)
    traced = np.zeros((image.tiles, units), TRACED)
    traced["first"] = traced["since"] = -1
    places = np.arange(len(tiles) * units).reshape(len(tiles), units)
    traced["first"][list(tiles)] = places * room
    return traced.reshape(-1), np.zeros(places.size * room, ENTRY), room


def read_trace(image: Image, seen: Observations, cycles: int) -> Trace | None:
    """Take the recorded entries out of an engine's state; None when nothing was asked for.

    Waits that had not ended count up to ``cycles``; nothing reaches beyond.
    """
    if not int(seen.now["trace"][0]):
        return None
    units: list[UnitTrace] = []
    for me in np.nonzero(seen.traced["first"] >= 0)[0].tolist():
        first, used, lost, since = seen.traced[me].tolist()
        entries = structured_to_unstructured(seen.trace[first : first + used])
        unit = seen.unit[me]
        if unit["reason"] != Reason.NONE and not lost:
            begin = int(unit["since"])
            rest = (int(unit[name]) for name in ("reason", "row", "statement", "what"))
            entries = np.vstack([entries, np.array([(begin, cycles - begin, *rest)], np.int64)])
        entries = entries[entries[:, 0] < cycles].copy()
        entries[:, 1] = np.minimum(entries[:, 1], cycles - entries[:, 0])
        tile, number = divmod(me, seen.units)
        units.append(UnitTrace(tile, number, entries, lost, since))
    return Trace(image, tuple(units), collect_statements(image, seen, cycles), cycles)
