"""What chosen tiles did, cycle by cycle, as a file that Perfetto and Chrome's viewer open.

The file has the JSON form of the Trace Event Format ("complete" events of phase ``X``, and
metadata). A tile is a process, its main thread and stream units are threads; the first
process holds the statements of main over the whole region. One cycle is shown as one
microsecond: the format counts in those, and cycles stay whole numbers.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wsc.isa.counted import StatementCycles
from wsc.isa.shown import Facts, Shown, escaped, named
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.observations.records import Reason
from wsc.runtime.tables import COUNTED

if TYPE_CHECKING:
    from wsc.runtime.image import Image
    from wsc.runtime.observations.causes import Causes
    from wsc.runtime.observations.records import Network

DEFAULT_TILES = "corners;middle"
DEFAULT_EVENTS = 200_000
MOST_POINTS = 1000  # of a track of numbers
STATES = (
    "busy",
    "stalled on input",
    "stalled on output",
    "waiting for a semaphore",
    "waiting for a unit",
    "stalled on the dynamic network",
)
_REGION, _FIRST_TILE = 1, 2  # numbers of processes in the file


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """Which tiles to record, and the most entries to keep, shared evenly by their units.

    tiles: parts joined by ``;``, each ``X,Y`` in the program's rectangle, where ``*`` stands
    for all and ``A-B`` for some; or ``corners``, ``middle``, ``all``. first, cycles: the window
    that is recorded; None: to the end. node: what is recorded is for this ONNX node, if it is not
    empty. network: what all routers and semaphores did in the window is recorded, too.
    """

    tiles: str = DEFAULT_TILES
    events: int = DEFAULT_EVENTS
    first: int = 0
    cycles: int | None = None
    node: str = ""
    network: bool = False

    def chosen(self, width: int, height: int) -> tuple[int, ...]:
        """Numbers of the tiles, y * width + x, in order.

        Raises:
            RuntimeFault: a part is not understood, or names no tile of the rectangle.
        """
        columns, rows = sorted({0, width - 1}), sorted({0, height - 1})
        named = {
            "corners": [(x, y) for y in rows for x in columns],
            "middle": [(width // 2, height // 2)],
            "all": [(x, y) for y in range(height) for x in range(width)],
        }
        tiles: set[int] = set()
        for part in (part.strip() for part in self.tiles.split(";")):
            places = named.get(part)
            if places is None:
                x, comma, y = part.partition(",")
                if not comma:
                    raise RuntimeFault(f"tiles '{part}': X,Y is wanted, or {', '.join(named)}")
                places = [
                    (i, j) for j in _span(part, y, height, "y") for i in _span(part, x, width, "x")
                ]
            tiles.update(y * width + x for x, y in places)
        return tuple(sorted(tiles))


def _span(part: str, text: str, size: int, axis: str) -> range:
    text = text.strip()
    if text == "*":
        return range(size)
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not found:
        raise RuntimeFault(f"tiles '{part}': '{text}' is no number, A-B or *")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < size:
        raise RuntimeFault(f"tiles '{part}': {axis} lies in 0 to {size - 1}")
    return range(first, last + 1)


@dataclass(frozen=True, slots=True, repr=False)
class UnitTrace(Shown):
    """One unit of a tile (0: the main thread).

    entries: rows of (begin, length, state, row of the program, statement of main, what was waited
    for: a slot of the routes, a semaphore or a unit), in the order of time. lost: entries
    beyond the room, the first of them in cycle ``since``.
    """

    tile: int
    unit: int
    entries: np.ndarray
    lost: int
    since: int

    def _facts(self) -> Facts:
        spent = ", ".join(f"{cycles:,} {name}" for name, cycles in self.cycles().items() if cycles)
        return [
            ("tile", f"{self.tile}"),
            ("unit", f"{self.unit}"),
            ("entries", f"{len(self.entries):,}"),
            ("cycles", spent),
        ]

    def cycles(self) -> dict[str, int]:
        """Cycles in each state."""
        sums = np.bincount(self.entries[:, 2], self.entries[:, 1], len(STATES)).astype(int)
        return dict(zip(STATES, sums.tolist(), strict=True))


@dataclass(frozen=True, slots=True, repr=False)
class Trace(Shown):
    """What a run recorded.

    window: the first cycle that was, and the first behind it that was not. causes: who waited for
    whom, if the run has kept that; the file then has arrows from who was late to who waited.
    network: what routers and semaphores did, if that was asked for.
    """

    image: Image
    units: tuple[UnitTrace, ...]
    statements: tuple[StatementCycles, ...]
    cycles: int
    window: tuple[int, int]
    causes: Causes | None = None
    network: Network | None = None

    def _facts(self) -> Facts:
        tiles = {unit.tile for unit in self.units}
        entries = sum(len(unit.entries) for unit in self.units)
        return [
            ("window", f"cycles {self.window[0]:,} to {self.window[1] - 1:,}"),
            ("tiles", f"{len(tiles):,}"),
            ("entries", f"{entries:,}"),
            *([("left out", self.left_out)] if self.left_out else []),
        ]

    @property
    def left_out(self) -> str:
        """A sentence on entries for which there was no room; empty if all are there."""
        if self.window[0] >= max(self.cycles, 1):
            return (
                f"nothing was recorded: the run has {self.cycles:,} cycles, and the window begins "
                f"with cycle {self.window[0]:,}"
            )
        lost = sum(unit.lost for unit in self.units)
        if not lost:
            return ""
        kept = sum(len(unit.entries) for unit in self.units)
        since = min(unit.since for unit in self.units if unit.lost)
        return (
            f"{lost:,} of {lost + kept:,} entries of the trace are left out, the first of them in "
            f"cycle {since:,}; choose fewer tiles, a window of cycles, a node, or room for more"
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """The events of the file, metadata first in each process."""
        yield from _region_events(self)
        yield from _counts(self)
        for unit in self.units:
            if unit.unit == 0:
                x, y = unit.tile % self.image.program.width, unit.tile // self.image.program.width
                yield from _process(_FIRST_TILE + unit.tile, f"tile ({x}, {y})")
            yield from _UnitWriter(self.image, unit).events()
        if self.causes is not None:
            yield from _arrows(self, self.causes)

    def write(self, file: IO[str]) -> None:
        """Write the JSON object."""
        file.write('{"traceEvents":[\n')
        for number, event in enumerate(self.events()):
            file.write((",\n" if number else "") + json.dumps(event, separators=(",", ":")))
        notes = {
            "time": "1 us in this file is 1 cycle",
            "clock_hertz": self.image.fabric.clock_hertz,
            "cycles": self.cycles,
            "window": list(self.window),
            "left_out": self.left_out,
        }
        file.write(f'\n],"displayTimeUnit":"ns","otherData":{json.dumps(notes)}}}\n')


# --- the file's events --------------------------------------------------------------------


def _process(pid: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": pid}}


def _thread(pid: int, tid: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}
    yield {
        "ph": "M",
        "pid": pid,
        "tid": tid,
        "name": "thread_sort_index",
        "args": {"sort_index": tid},
    }


def _slice(
    pid: int, tid: int, name: str, category: str, begin: int, end: int, args: dict[str, Any]
) -> dict[str, Any]:
    shown = {key: escaped(item) if isinstance(item, str) else item for key, item in args.items()}
    return {
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "name": name,
        "cat": category,
        "ts": begin,
        "dur": end - begin,
        "args": shown,
    }


def _region_events(trace: Trace) -> Iterator[dict[str, Any]]:
    """The statements of main over all tiles; those that overlap in time lie on other tracks."""
    yield from _process(_REGION, "statements of main, all tiles")
    ends: list[int] = []
    for item in sorted(trace.statements, key=lambda item: item.start):
        begin, end = max(item.start, trace.window[0]), min(item.end, trace.window[1])
        if end <= begin:
            continue
        track = next((i for i, last in enumerate(ends) if last <= begin), len(ends))
        if track == len(ends):
            ends.append(0)
            yield from _thread(_REGION, track, f"track {track}")
        ends[track] = end
        statement = item.statement
        args = {
            "line": statement.where.line,
            "node": named(statement.nodes),
            "region": statement.region,
            "busy cycles of main threads": item.busy,
            "multiply-accumulates": item.macs,
        }
        yield _slice(_REGION, track, statement.text, "statement", begin, end, args)


def _counts(trace: Trace) -> Iterator[dict[str, Any]]:
    """A track of numbers: how many main threads of the traced tiles are in each state.

    A point is the mean over a part of the window.
    """
    begin, end = trace.window
    parts = min(MOST_POINTS, end - begin)
    if parts <= 0:
        return
    edges = begin + (end - begin) * np.arange(parts + 1) // parts
    sums = np.zeros((len(STATES), parts))
    for unit in trace.units:
        if unit.unit == 0:
            for state in range(len(STATES)):
                of_it = unit.entries[unit.entries[:, 2] == state]
                sums[state] += _covered(of_it[:, 0], of_it[:, 1], edges)
    shown = [state for state in range(len(STATES)) if sums[state].any()]
    for part, means in enumerate((sums / np.diff(edges)).T.tolist()):
        yield {
            "ph": "C",
            "pid": _REGION,
            "name": "main threads of the traced tiles",
            "ts": int(edges[part]),
            "args": {STATES[state]: round(means[state], 3) for state in shown},
        }


def _covered(begins: np.ndarray, lengths: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Cycles of intervals in order, without overlaps, that lie between each two edges."""
    if not len(begins):
        return np.zeros(len(edges) - 1)
    before = np.concatenate([[0], np.cumsum(lengths)])
    places = np.searchsorted(begins, edges, side="right") - 1
    inside = np.clip(edges - begins[np.maximum(places, 0)], 0, lengths[np.maximum(places, 0)])
    return np.diff(np.where(places < 0, 0, before[np.maximum(places, 0)] + inside))


def _arrows(trace: Trace, causes: Causes) -> Iterator[dict[str, Any]]:
    """Arrows from the deed of who was late to the end of the wait, where both are traced."""
    begin, end = trace.window
    traced = np.array([unit.tile * causes.units + unit.unit for unit in trace.units])
    events = causes.events
    at = np.searchsorted(events["number"], events["cause"])
    at = np.minimum(at, max(len(events) - 1, 0))
    known = events["number"][at] == events["cause"]
    late, waits = events[at[known]], events[known]
    ends = (waits["left"] >= begin) & (waits["left"] < end) & (waits["begin"] > begin)
    ends &= (waits["begin"] <= end) & (waits["waited"] > 0) & (late["who"] != waits["who"])
    ends &= np.isin(waits["who"], traced) & np.isin(late["who"], traced)
    for number, (from_, to) in enumerate(zip(late[ends], waits[ends], strict=True)):
        last = int(to["begin"]) - 1  # of the wait
        start = min(int(to["left"]), last)
        for phase, who, cycle in (("s", from_["who"], start), ("f", to["who"], last)):
            tile, unit = divmod(int(who), causes.units)
            arrow = {"ph": phase, "pid": _FIRST_TILE + tile, "tid": unit, "ts": cycle}
            binding = {"bp": "e"} if phase == "f" else {}
            yield {**arrow, **binding, "id": number, "name": "waited for", "cat": "wait"}


@dataclass(slots=True)
class _Open:
    """A slice that may still grow."""

    name: str
    category: str
    begin: int
    args: dict[str, Any]


@dataclass(slots=True)
class _UnitWriter:
    """Nests a unit's entries: statement of main, procedures, instruction, what it waited for."""

    image: Image
    trace: UnitTrace
    statement: int = -1
    stack: list[_Open] = field(default_factory=list)

    def events(self) -> Iterator[dict[str, Any]]:
        """The unit's track; of slices that begin together, the outer one comes first."""
        pid, tid = _FIRST_TILE + self.trace.tile, self.trace.unit
        yield from _thread(pid, tid, "main thread" if tid == 0 else f"stream unit {tid - 1}")
        depth = {"statement": 0, "procedure": 1, "instruction": 2, "wait": 3}
        found = [*self._slices()]
        found.reverse()  # an inner procedure ends first
        found.sort(key=lambda event: (event["ts"], -event["dur"], depth[event["cat"]]))
        yield from found

    def _slices(self) -> Iterator[dict[str, Any]]:
        pid, tid = _FIRST_TILE + self.trace.tile, self.trace.unit
        end = 0
        for group in self._instructions():
            begin, _, _, row, statement, _ = group[0]
            if tid == 0:
                yield from self._enter(row, statement, begin, end)
            end = group[-1][0] + group[-1][1]
            yield self._instruction(group, begin, end)
            for at, length, state, row, _, what in group:
                if state:
                    args = self._awaited(state, row, what)
                    yield _slice(pid, tid, STATES[state], "wait", at, at + length, args)
        yield from self._close(0, end)

    def _instructions(self) -> Iterator[list[list[int]]]:
        """Entries of one row that follow each other without a gap."""
        group: list[list[int]] = []
        for entry in self.trace.entries.tolist():
            if group and (entry[3:5] != group[-1][3:5] or entry[0] != group[-1][0] + group[-1][1]):
                yield group
                group = []
            group.append(entry)
        if group:
            yield group

    def _instruction(self, group: list[list[int]], begin: int, end: int) -> dict[str, Any]:
        row, statement = group[0][3:5]
        args: dict[str, Any] = {"line": self.image.code.where[row].line}
        node = named(self.image.code.statements[statement].nodes) if statement >= 0 else ""
        if node:
            args["node"] = node
        for _, length, state, *_ in group:
            args[STATES[state]] = args.get(STATES[state], 0) + length
        name = COUNTED[int(self.image.code.records.opcode[row])]
        return _slice(
            _FIRST_TILE + self.trace.tile, self.trace.unit, name, "instruction", begin, end, args
        )

    def _awaited(self, state: int, row: int, what: int) -> dict[str, Any]:
        """The line of a wait, and the color, semaphore or unit."""
        args: dict[str, Any] = {"line": self.image.code.where[row].line}
        if state in (Reason.INPUT, Reason.OUTPUT):
            number = int(self.image.routes.records.color[what])
            args["color"] = self.image.program.colors[number][0]
        elif state == Reason.SEMAPHORE:
            args["semaphore"] = f"s{what}"
        elif state == Reason.UNIT:
            args["unit"] = f"stream unit {what - 1}"
        return args

    def _enter(self, row: int, statement: int, begin: int, end: int) -> Iterator[dict[str, Any]]:
        """Close and open slices until the stack is that of this row."""
        if statement != self.statement:
            yield from self._close(0, end)
            self.statement = statement
            if statement >= 0:
                item = self.image.code.statements[statement]
                args = {"line": item.where.line, "node": named(item.nodes)}
                self.stack.append(_Open(item.text, "statement", begin, args))
        starts, names = self.image.code.procedures
        owner = names[bisect_right(starts, row) - 1]
        base = 1 if statement >= 0 else 0
        # The slice of a call stands for the procedure that it calls.
        called = self.image.code.statements[statement].procedure if statement >= 0 else ""
        if not owner or owner == called:
            yield from self._close(base, end)
            return
        depth = next(
            (i for i in range(len(self.stack) - 1, base - 1, -1) if self.stack[i].name == owner), -1
        )
        if depth >= 0:
            yield from self._close(depth + 1, end)
        else:
            self.stack.append(_Open(owner, "procedure", begin, {}))

    def _close(self, depth: int, end: int) -> Iterator[dict[str, Any]]:
        pid, tid = _FIRST_TILE + self.trace.tile, self.trace.unit
        while len(self.stack) > depth:
            item = self.stack.pop()
            yield _slice(pid, tid, item.name, item.category, item.begin, end, item.args)
