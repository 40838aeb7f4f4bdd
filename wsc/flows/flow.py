"""What a flow is: its strands, the paths that each takes, and what they conflict with.

A strand gets one color. Most flows have one; a core that forwards what it receives needs two
colors, one to receive and one to send, so that a chain has two, which tiles with even and odd
coordinates swap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from wsc.isa.expr import Expr, H, W, binary, evaluate
from wsc.isa.program import Position, Queue, Route
from wsc.isa.types import Side

if TYPE_CHECKING:
    from wsc.flows.stream import Site, Stream

REGION = "all"
ROOT_X = (W - 1) // 2
ROOT_Y = (H - 1) // 2
SAMPLE = 8  # paths are patterns of x, y, W, H; a small mesh shows all of their cases

Table = Mapping[tuple[int, int], tuple[Position, ...]]


@dataclass(frozen=True, slots=True)
class Path:
    """Switch positions in the tiles where ``guard`` holds (None: all)."""

    guard: Expr | None
    positions: tuple[Position, ...]

    def holds(self, place: Mapping[str, int]) -> bool:
        """Whether it is that of a tile. place: x, y, W and H."""
        return self.guard is None or bool(evaluate(self.guard, place))


@dataclass(frozen=True, slots=True)
class Strand:
    """The part of a flow that gets a color, under the name by which kernels ask for it.

    doc: what streams along it.
    """

    flow: Flow
    name: str
    doc: str
    paths: tuple[Path, ...]

    def queue(self, labels: tuple[str, ...] | None = None) -> Queue:
        """The operand of an instruction.

        labels: iteration names with which it advances; None for all.
        """
        return Queue(self.name, labels)

    def routes(self, color: str) -> tuple[Route, ...]:
        """Its paths as the routes of a color."""
        return tuple(Route(color, REGION, path.guard, path.positions) for path in self.paths)

    def begins(self, place: Mapping[str, int]) -> bool:
        """Whether wavelets leave the core of a tile on it. place: x, y, W and H."""
        return any(
            position.receive is Side.RAMP
            for path in self.paths
            if path.holds(place)
            for position in path.positions
        )

    def ends(self, place: Mapping[str, int]) -> bool:
        """Whether wavelets arrive at the core of a tile on it. place: x, y, W and H."""
        return any(
            Side.RAMP in position.send
            for path in self.paths
            if path.holds(place)
            for position in path.positions
        )

    def table(self, width: int, height: int) -> Table:
        """Tile -> switch positions on a mesh of the given size."""
        return _table(self.paths, width, height)

    def conflicts(self, other: Strand) -> bool:
        """Whether the two may not share a color.

        Where both pass through a tile, each needs its own route there. Nor do they share one if
        they go opposite ways: a color keeps one direction along each axis, and wavelets that only
        go on can close no circle of waits, on any mesh.
        """
        mine, others = self.flow.sample, other.flow.sample
        mesh = max(mine[0], others[0]), max(mine[1], others[1])
        one, two = self.table(*mesh), other.table(*mesh)
        return bool(one.keys() & two.keys()) or _opposite(one, two)

    def circle(self, width: int = SAMPLE, height: int = SAMPLE) -> list[tuple[int, int]] | None:
        """Tiles around which a wavelet could wait for itself, or None."""
        return _circle(self.paths, width, height)


@lru_cache(maxsize=256)
def _table(paths: tuple[Path, ...], width: int, height: int) -> Table:
    """Programs share their flows, and all are looked at on the mesh of the sample."""
    place = {"x": np.arange(width)[None, :], "y": np.arange(height)[:, None]}
    place |= {"W": np.array(width), "H": np.array(height)}
    table: dict[tuple[int, int], tuple[Position, ...]] = {}
    for path in paths:
        held = 1 if path.guard is None else evaluate(path.guard, place)
        rows, columns = np.nonzero(np.broadcast_to(held, (height, width)))
        tiles = zip(columns.tolist(), rows.tolist(), strict=True)
        table.update(dict.fromkeys(tiles, path.positions))
    return table


@lru_cache(maxsize=256)
def _circle(paths: tuple[Path, ...], width: int, height: int) -> list[tuple[int, int]] | None:
    graph: nx.DiGraph = nx.DiGraph()
    for (x, y), positions in _table(paths, width, height).items():
        for side in (side for position in positions for side in position.send):
            if side is not Side.RAMP:
                dx, dy = side.step
                graph.add_edge((x, y), (x + dx, y + dy))
    try:
        return [edge[0] for edge in nx.find_cycle(graph)]
    except nx.NetworkXNoCycle:
        return None


def _opposite(one: Table, two: Table) -> bool:
    """Whether two tables have links that go opposite ways along an axis."""
    first, second = (
        {side for positions in table.values() for position in positions for side in position.send}
        for table in (one, two)
    )
    return any(side is not Side.RAMP and side.opposite in second for side in first)


class Flow(ABC):
    """A pattern in which kernels send wavelets over the region.

    It owns its paths and, as its stream, the times of what goes along them.
    """

    @property
    def sample(self) -> tuple[int, int]:
        """Columns and rows of a mesh that shows all cases of its paths."""
        return SAMPLE, SAMPLE

    @property
    def side(self) -> Side:
        """The side of the mesh at which it meets the edge, if it does."""
        return Side.NORTH

    def alone(self, axis: str, size: int) -> tuple[int, ...]:
        """Coordinates along an axis of ``size`` tiles for which no others can stand."""
        del axis, size
        return ()

    @cached_property
    def strands(self) -> tuple[Strand, ...]:
        """Its strands."""
        return self.laid()

    @abstractmethod
    def laid(self) -> tuple[Strand, ...]:
        """Make its strands."""

    @property
    def strand(self) -> Strand:
        """The strand of a flow that has no other."""
        (only,) = self.strands
        return only

    @abstractmethod
    def stream(self, site: Site) -> Stream:
        """The times of its wavelets in one program, before the first one has left."""


def at(receive: Side, *send: Side) -> Position:
    """A switch position."""
    return Position(receive, send)


def when(left: Expr, relation: str, right: int | Expr) -> Expr:
    """One where ``left relation right`` holds, else zero."""
    return binary(relation, left, right)


def both(left: Expr, right: Expr) -> Expr:
    """Where two conditions hold."""
    return left * right
