"""A random program under construction: the mesh with its routes, and the code of each tile.

Every tile that takes part in a piece of traffic does its share in one global order of
pieces. The first piece that is not done then always finds all its tiles at it, so nothing
waits in a circle, whatever the buffers hold. Threads of a tile touch only memory of their
own, or constants that were written before any of them started: there are no races.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wsc.isa.fabric import Fabric

Spot = tuple[int, int]
Position = tuple[str, str]  # receive side, send sides as the text has them

STEPS = {"N": (0, -1), "E": (1, 0), "S": (0, 1), "W": (-1, 0)}
OPPOSITE = {"N": "S", "S": "N", "E": "W", "W": "E"}
BYTES = {"f32": 4, "i32": 4, "f16": 2}
CONSTANTS = {"f32": 0, "i32": 128, "f16": 256}  # byte at which 32 elements of the type stand
KEPT, TOP, ELEMENTS = 384, 16128, 4096  # first byte of results, end of data, of an edge tensor
ROWS, WIDE = 64, 9  # of the table for lookups
UNITS = 4  # stream units that programs use at most; unit u signals semaphore u


@dataclass(slots=True)
class Tile:
    """Code of one tile's main thread, and what its threads hold."""

    at: Spot
    rng: random.Random
    fabric: Fabric
    lines: list[str] = field(default_factory=list[str])
    top: int = KEPT
    threads: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    signals: dict[int, int] = field(default_factory=dict[int, int])
    late: list[str] = field(default_factory=list[str])
    results: list[int] = field(default_factory=list[int])
    semaphore: int = UNITS

    def take(self, size: int) -> int:
        """The address of fresh memory."""
        at, self.top = self.top, self.top + (size + 3) // 4 * 4
        assert self.top <= TOP, f"the traffic through tile {self.at} needs {self.top} bytes"
        return at

    def thread(self, color: str, way: str) -> int:
        """The thread that has a queue for itself: 0 is main, u + 1 a stream unit."""
        units = min(self.fabric.stream_units, UNITS)
        if (color, way) not in self.threads:
            busy = self.rng.random() < 0.5 and units
            self.threads[color, way] = self.rng.randint(1, units) if busy else 0
        return self.threads[color, way]

    def issue(self, thread: int, text: str, result: int | None = None) -> None:
        """An instruction of a thread; ``result`` is where it leaves something to look at."""
        if self.late and self.rng.random() < 0.2:
            self.lines.append(self.late.pop(0))
        if thread == 0:
            self.lines.append(text)
        elif self.rng.random() < 0.85:
            self.signals[thread - 1] = self.signals.get(thread - 1, 0) + 1
            self.lines.append(f"async {thread - 1} -> s{thread - 1}: {text}")
        else:
            self.lines.append(f"async {thread - 1}: {text}")
            result = None
        if result is not None:
            self.results.append(result)
        if thread and thread - 1 in self.signals and self.rng.random() < 0.15:
            self.settle(thread - 1)

    def settle(self, unit: int) -> None:
        """Wait until a unit has done all that it signals."""
        count = self.signals.pop(unit, 0)
        if count:
            self.lines.append(f"wait s{unit}, {count}")

    def finish(self) -> None:
        """Wait for everything that is still to come."""
        self.lines += self.late
        self.late.clear()
        for unit in sorted(self.signals):
            self.settle(unit)


class Plan:
    """The mesh, its regions, routes and transfers, as far as they are decided."""

    def __init__(self, rng: random.Random, fabric: Fabric, width: int, height: int) -> None:
        self.rng, self.fabric, self.width, self.height = rng, fabric, width, height
        spots = [(x, y) for y in range(height) for x in range(width)]
        self.tiles = {at: Tile(at, rng, fabric) for at in spots}
        self.colors: list[str] = []
        self.routes: dict[tuple[Spot, str], list[Position]] = {}
        self.queues: dict[tuple[Spot, str], set[str]] = {}
        self.transfers: list[str] = []
        self.procedures: dict[str, str] = {}
        self.regions = self._regions()
        self.crowded = rng.randrange(width), rng.randrange(height)
        self.crowding = rng.choice((0.0, 0.5, 0.9))
        self.fed = dict.fromkeys(BYTES, 0)
        self.drained = 0
        self.spare = 1  # queues that are kept for the results

    def _regions(self) -> list[tuple[int, int, int, int]]:
        kind, w, h = self.rng.choice("aaarct"), self.width, self.height
        if kind == "r":
            return [(0, y, w, 1) for y in range(h)]
        if kind == "c":
            return [(x, 0, 1, h) for x in range(w)]
        if kind == "t":
            return [(x, y, 1, 1) for y in range(h) for x in range(w)]
        return [(0, 0, w, h)]

    def region(self, at: Spot) -> tuple[str, int, int]:
        """Name of a tile's region, and its coordinates there."""
        for number, (left, top, width, height) in enumerate(self.regions):
            if left <= at[0] < left + width and top <= at[1] < top + height:
                return f"r{number}", at[0] - left, at[1] - top
        raise AssertionError(at)

    def spot(self) -> Spot:
        """Any tile, those of the crowded row and column before others."""
        x, y = self.rng.randrange(self.width), self.rng.randrange(self.height)
        if self.rng.random() < self.crowding:
            return (self.crowded[0], y) if self.rng.random() < 0.5 else (x, self.crowded[1])
        return x, y

    def inside(self, at: Spot) -> bool:
        """Whether there is such a tile."""
        return 0 <= at[0] < self.width and 0 <= at[1] < self.height

    def edges(self, at: Spot) -> list[str]:
        """Sides of a tile that are ports."""
        return [s for s, (dx, dy) in STEPS.items() if not self.inside((at[0] + dx, at[1] + dy))]

    def boundary(self) -> tuple[Spot, str]:
        """Any port."""
        while True:
            at = self.spot()
            if sides := self.edges(at):
                return at, self.rng.choice(sides)

    def color(self) -> str:
        """A color: a new one, or one that other tiles may use already."""
        most = self.fabric.colors - self.spare
        if not self.colors or (len(self.colors) < most and self.rng.random() < 0.7):
            self.colors.append(f"c{len(self.colors)}")
            return self.colors[-1]
        return self.rng.choice(self.colors)

    # --- routes ------------------------------------------------------------------------

    def path(self, start: Spot, end: Spot) -> list[Spot]:
        """Tiles from one to another, along x then y or the other way, at times by a third."""
        if self.rng.random() < 0.2:
            way = self.spot()
            return _without_loops(self._bend(start, way) + self._bend(way, end)[1:])
        return self._bend(start, end)

    def _bend(self, start: Spot, end: Spot) -> list[Spot]:
        (x, y), found = start, [start]
        for axis in self.rng.choice(("xy", "yx")):
            while (x if axis == "x" else y) != (end[0] if axis == "x" else end[1]):
                x += ((end[0] > x) - (end[0] < x)) if axis == "x" else 0
                y += ((end[1] > y) - (end[1] < y)) if axis == "y" else 0
                found.append((x, y))
        return found

    def line(self) -> list[Spot]:
        """Two tiles or more, each beside the next, in a row or column or round a corner."""
        for _ in range(20):
            found = self.path(self.spot(), self.spot())
            if len(found) > 1:
                return found
        return []

    def free(self, color: str, spots: Iterable[Spot]) -> bool:
        """Whether none of the tiles has a route for the color."""
        return all((at, color) not in self.routes for at in spots)

    def claim(self, color: str, at: Spot, positions: Sequence[Position]) -> bool:
        """Give a tile its route, if the core's queues suffice."""
        into = any("RAMP" in send for _, send in positions)
        out = any(receive == "RAMP" for receive, _ in positions)
        ways = [("in", into, self.fabric.input_queues), ("out", out, self.fabric.output_queues)]
        for way, needed, queues in ways:
            used = self.queues.setdefault((at, way), set())
            if needed and color not in used and len(used) + self.spare >= len(queues):
                return False
        for way, needed, _ in ways:
            if needed:
                self.queues[at, way].add(color)
        self.routes[at, color] = list(positions)
        return True

    def tree(
        self, color: str, root: Spot, receive: str, leaves: Iterable[tuple[Spot, str]]
    ) -> list[tuple[Spot, str]]:
        """Routes from a root to tiles and the sides there; the leaves that could be reached."""
        if not self.free(color, [root]):
            return []
        came, sends, kept = {root: receive}, dict[Spot, list[str]](), list[tuple[Spot, str]]()
        for at, side in leaves:
            path = self.path(root, at)
            start = max(i for i, spot in enumerate(path) if spot in came)
            new = path[start + 1 :]
            if not self.free(color, new) or (at, side) in kept or (not new and came[at] == side):
                continue
            for here, there in zip(path[start:], new, strict=False):
                step = side_of(here, there)
                sends.setdefault(here, []).append(step)
                came[there] = OPPOSITE[step]
            sends.setdefault(at, []).append(side)
            kept.append((at, side))
        done: list[Spot] = []
        for at in sends:
            if not self.claim(color, at, [(came[at], ", ".join(sends[at]))]):
                for other in done:
                    del self.routes[other, color]
                return []
            done.append(at)
        return kept

    # --- the edge ----------------------------------------------------------------------

    def feed(self, color: str, at: Spot, side: str, count: int, dtype: str, rest: str = "") -> None:
        """Play ``count`` elements into a port; with ``rest`` = ``repeat r:n``, n times as many."""
        name, x, y = self.region(at)
        first = self.fed[dtype] % (ELEMENTS - count)
        self.fed[dtype] += count
        repeat, _, then = rest.partition("|")
        self.transfers.append(
            f"feed {color} in {name} side {side} when (x == {x})*(y == {y}) "
            f"from a_{dtype}[{first} + i] {repeat} for i:{count} {then}"
        )

    def drain(self, color: str, at: Spot, side: str, count: int, dtype: str) -> None:
        """Take ``count`` elements out of a port."""
        name, x, y = self.region(at)
        first, self.drained = self.drained, self.drained + count
        self.transfers.append(
            f"drain {color} in {name} side {side} when (x == {x})*(y == {y}) "
            f"from z_{dtype}[{first} + i] for i:{count}"
        )


def side_of(here: Spot, there: Spot) -> str:
    """The side of a tile on which its neighbour lies."""
    step = there[0] - here[0], there[1] - here[1]
    return next(side for side, way in STEPS.items() if way == step)


def _without_loops(path: list[Spot]) -> list[Spot]:
    found: list[Spot] = []
    for at in path:
        if at in found:
            del found[found.index(at) :]
        found.append(at)
    return found
