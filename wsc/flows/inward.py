"""Sums towards the middle of a line in two phases: within groups of neighbours, then over them.

Each half of a row (or column) is cut into groups, beginning beside the middle. The cores of a group
pass their sums from neighbour to neighbour to the one that is next to the middle, the group's
leader. Leaders then pass on the sums of their groups to each other, over links as long as a group,
and the first leader to the middle. A core is passed through by two ramps, a link by one hop: so a
line of P tiles takes about ``2 sqrt(P/2)`` cores and P/2 hops instead of P/2 cores.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wsc.cost.groups import TILES_PER_STEP, group_of
from wsc.cost.tiles import Axis
from wsc.flows.chain import ChainStream, Towards
from wsc.flows.flow import ROOT_X, ROOT_Y, SAMPLE, Path, Strand, at, both, when
from wsc.flows.stream import Site
from wsc.isa.expr import Expr, evaluate
from wsc.isa.types import Side

GROUPS_SAMPLE = TILES_PER_STEP + 4  # tiles of a line that shows several groups of three


@dataclass(frozen=True)
class Half(Towards, ABC):
    """A flow in one half of a line, towards the middle, and what its tiles are in it."""

    @property
    def sample(self) -> tuple[int, int]:
        """A line with several groups of three tiles."""
        return (GROUPS_SAMPLE, SAMPLE) if self.along_row else (SAMPLE, GROUPS_SAMPLE)

    @property
    def root(self) -> Expr:
        """The coordinate of the middle."""
        return ROOT_X if self.along_row else ROOT_Y

    @property
    def distance(self) -> Expr:
        """Tiles to the middle; none or less in the other half and there."""
        return self.along - self.root if self.backwards else self.root - self.along

    @property
    def longest(self) -> Expr:
        """Tiles from the middle to the end of the line."""
        return self.size - 1 - self.root if self.backwards else self.root

    @property
    def group(self) -> Expr:
        """Tiles of a group."""
        return group_of(self.size)

    @property
    def place(self) -> Expr:
        """Of a tile in its group; 0 is the leader, next to the middle."""
        return (self.distance - 1) % self.group

    @property
    def number(self) -> Expr:
        """Of a tile's group, counted from the middle."""
        return (self.distance - 1) // self.group

    @property
    def inside(self) -> Expr:
        """Whether a tile is in this half; the middle is in none."""
        return when(self.distance, ">", 0)

    @property
    def followed(self) -> Expr:
        """Whether a tile of the half has a neighbour further out in its group."""
        return both(when(self.place, "<", self.group - 1), when(self.distance, "<", self.longest))

    @property
    def joined(self) -> Expr:
        """Whether there is a group further out than that of a tile of the half."""
        return when(self.distance - self.place + self.group, "<=", self.longest)


@dataclass(frozen=True)
class Inward(Half):
    """Within each group of a half line, from neighbour to neighbour to the leader.

    The strands are ``even``, sent by tiles with an even coordinate, and ``odd``.
    """

    @property
    def name(self) -> str:
        """That of its side."""
        return f"inward_{self.towards.name.lower()}"

    def laid(self) -> tuple[Strand, ...]:
        """Those of the tiles with even and with odd coordinates."""
        return self._strand("even", 0), self._strand("odd", 1)

    def _strand(self, parity_name: str, parity: int) -> Strand:
        half, side = self, self.towards
        sends = both(half.inside, when(half.along % 2, "==", parity))
        receives = both(half.inside, when(half.along % 2, "==", 1 - parity))
        return Strand(
            self,
            f"{self.name}_{parity_name}",
            f"hop {side.name.lower()} within groups, sent by {parity_name} tiles",
            (
                Path(both(sends, when(half.place, ">", 0)), (at(Side.RAMP, side),)),
                Path(both(receives, half.followed), (at(side.opposite, Side.RAMP),)),
            ),
        )

    def stream(self, site: Site) -> InwardStream:
        """The times along all of its rows, or columns."""
        return InwardStream(self, site)


@dataclass(frozen=True)
class Lead(Half):
    """From the leader of a group to the next one, and from the first to the middle.

    The strands are ``even``, sent by leaders of groups with an even number, and ``odd``.
    """

    @property
    def name(self) -> str:
        """That of its side."""
        return f"lead_{self.towards.name.lower()}"

    def alone(self, axis: str, size: int) -> tuple[int, ...]:
        """The two leaders that are furthest out: where they begin, all others have to wait."""
        if (axis == "x") is not self.along_row:
            return ()
        tiles = {self.size.name: size}
        said = self.root, self.group, self.longest
        root, group, longest = (evaluate(node, tiles) for node in said)
        found = [*range(1, longest + 1, group)][-2:]
        return tuple(root + d if self.backwards else root - d for d in found)

    def laid(self) -> tuple[Strand, ...]:
        """Those of the groups with even and with odd numbers."""
        return self._strand("even", 0), self._strand("odd", 1)

    def _strand(self, parity_name: str, parity: int) -> Strand:
        half, side = self, self.towards
        leads = both(half.inside, when(half.place, "==", 0))
        mine, others = (when(half.number % 2, "==", p) for p in (parity, 1 - parity))
        between = both(both(half.inside, when(half.place, ">", 0)), both(others, half.joined))
        paths = [
            Path(both(leads, mine), (at(Side.RAMP, side),)),
            Path(between, (at(side.opposite, side),)),
            Path(both(both(leads, others), half.joined), (at(side.opposite, Side.RAMP),)),
        ]
        if parity == 0:
            last = both(when(half.along, "==", half.root), when(half.longest, ">", 0))
            paths.append(Path(last, (at(side.opposite, Side.RAMP),)))
        doc = f"hop {side.name.lower()} between the leaders of groups, sent by {parity_name} groups"
        return Strand(self, f"{self.name}_{parity_name}", doc, tuple(paths))

    def stream(self, site: Site) -> LeadStream:
        """The times along all of its rows, or columns."""
        return LeadStream(self, site)


INWARD = {side: Inward(side) for side in (Side.EAST, Side.WEST, Side.SOUTH, Side.NORTH)}
LEAD = {side: Lead(side) for side in INWARD}


@dataclass(frozen=True, slots=True)
class _Places:
    """The sampled tiles of a half line, in the order in which words pass them.

    distance: tiles to the middle; place, number: in the group, and of it. group: its tiles.
    longest: distance of the last tile.
    """

    distance: np.ndarray
    place: np.ndarray
    number: np.ndarray
    group: int
    longest: int

    @classmethod
    def of(cls, half: Half, axis: Axis) -> _Places:
        """Those of a sampled axis."""
        along = axis.places[::-1] if half.backwards else axis.places
        tiles = {half.along.name: along, half.size.name: axis.size}
        said = half.distance, half.place, half.number, half.group, half.longest
        return cls(*(evaluate(node, tiles) for node in said))


class InwardStream(ChainStream):
    """Streams from neighbour to neighbour within groups."""

    far: ClassVar[bool] = True

    def __init__(self, flow: Inward, site: Site) -> None:
        half = flow
        axis, hop = site.x if half.along_row else site.y, site.model.hop
        super().__init__(flow, site, axis, hop, site.between(flow.strands[0], 2))
        tiles = _Places.of(half, axis)
        for here in np.flatnonzero(tiles.distance > 0):
            # Behind the last sampled tile of its group there are so many more.
            further = min(tiles.group - 1 - tiles.place[here], tiles.longest - tiles.distance[here])
            self.before[here], self.delay[here] = -1, further * hop
            if here and tiles.number[here - 1] == tiles.number[here]:
                self.before[here] = here - 1
                self.delay[here] = self.gaps[here] * hop


class LeadStream(ChainStream):
    """Streams from leader to leader, and to the middle."""

    far: ClassVar[bool] = True

    def __init__(self, flow: Lead, site: Site) -> None:
        half, model = flow, site.model
        axis = site.x if half.along_row else site.y
        tiles = _Places.of(half, axis)
        near = model.hop
        hop = near + (tiles.group - 1) * model.fabric.hop_cycles
        super().__init__(flow, site, axis, hop, site.between(flow.strands[0], tiles.group + 1))
        self.distance = tiles.group
        self.gaps = np.ones_like(self.gaps)
        groups = -(-tiles.longest // tiles.group)
        previous = -1
        for here in np.flatnonzero(tiles.distance >= 0):
            middle = tiles.distance[here] == 0
            if not middle and tiles.place[here] > 0:
                continue
            number = -1 if middle else tiles.number[here]
            before = groups if previous < 0 else tiles.number[previous]
            passed = before - number - (previous < 0)  # links from the one that began, or is known
            self.before[here], self.gaps[here] = previous, max(passed, 1)
            self.delay[here] = passed * hop - (hop - near if middle and passed else 0)
            previous = here

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """A word goes over as many links as a group has tiles."""
        return float(words.sum()) * self.distance if sends else 0.0
