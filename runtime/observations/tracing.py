"""The trace of a run, from what an engine leaves."""

from __future__ import annotations

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

from wsc.runtime.image import Image
from wsc.runtime.nodes import statements_of
from wsc.runtime.observations.causes import Causes
from wsc.runtime.observations.collect import collect_statements
from wsc.runtime.observations.records import ENTRY, NEVER, TRACED, Network, Observations, Reason
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


def trace_window(options: Options) -> dict[str, int]:
    """The fields of a run that say which cycles are traced."""
    request = options.trace
    if request is None:
        return {}
    until = NEVER if request.cycles is None else request.first + request.cycles
    return {"trace_from": request.first, "trace_until": until}


def traced_statements(image: Image, options: Options) -> np.ndarray:
    """Whether each statement of main is traced."""
    request = options.trace
    if request is None or not request.node:
        return np.ones(len(image.code.statements) + 1, np.int8)
    return np.append(statements_of(image.program, request.node), False).astype(np.int8)


def read_trace(
    image: Image,
    seen: Observations,
    cycles: int,
    causes: Causes | None = None,
    network: Network | None = None,
) -> Trace | None:
    """Take the recorded entries out of an engine's state; None when nothing was asked for.

    Waits that had not ended count up to ``cycles``; nothing reaches beyond.
    """
    if not int(seen.now["trace"][0]):
        return None
    units: list[UnitTrace] = []
    begin_at, end_at = (int(seen.now[name][0]) for name in ("trace_from", "trace_until"))
    end_at = min(end_at, cycles)
    for me in np.nonzero(seen.traced["first"] >= 0)[0].tolist():
        first, used, lost, since = seen.traced[me].tolist()
        entries = structured_to_unstructured(seen.trace[first : first + used])
        unit = seen.unit[me]
        if _is_open(seen, unit) and not lost:
            begin = max(int(unit["since"]), begin_at)
            rest = (int(unit[name]) for name in ("reason", "row", "statement", "what"))
            entries = np.vstack([entries, np.array([(begin, end_at - begin, *rest)], np.int64)])
        entries = entries[entries[:, 0] < end_at].copy()
        entries[:, 1] = np.minimum(entries[:, 1], end_at - entries[:, 0])
        tile, number = divmod(me, seen.units)
        units.append(UnitTrace(tile, number, entries, lost, since))
    statements = collect_statements(image, seen, cycles)
    return Trace(image, tuple(units), statements, cycles, (begin_at, end_at), causes, network)


def _is_open(seen: Observations, unit: np.void) -> bool:
    """Whether a unit waits, in a statement that is traced."""
    return bool(unit["reason"] != Reason.NONE and seen.traced_statements[unit["statement"]])
