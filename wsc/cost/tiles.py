"""Representative tiles: all of a small mesh, of a large one a grid of rows and columns.

Tiles of a program do the same but for what depends on their coordinates, and most of that
changes at the ends and in the middle. A sampled coordinate stands for its neighbours. Gaps
between sampled coordinates are odd, so that even and odd tiles keep taking turns along a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa.expr import Expr, evaluate, names

MOST = 24  # coordinates of one axis; all of them on axes that have no more
FEW = 4  # changes of one extent along an axis; one that changes more often changes everywhere
MOST_CHANGES = 16  # along one axis, of all extents together
FEWEST = 4  # coordinates in between
NEAR = 3  # neighbours of both ends, and of the middle, that are always taken
GOLDEN = (5**0.5 - 1) / 2  # multiples of it are spread evenly


@dataclass(frozen=True, slots=True)
class Axis:
    """Sampled coordinates of one axis of ``size`` tiles.

    places: increasing coordinates. weight: tiles that each stands for; they sum to ``size``.
    """

    size: int
    places: np.ndarray
    weight: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every coordinate is sampled."""
        return len(self.places) == self.size

    @property
    def gaps(self) -> np.ndarray:
        """Distance of each place from the one before; the first has 0."""
        return np.diff(self.places, prepend=self.places[:1])

    def nearest(self, coordinates: np.ndarray) -> np.ndarray:
        """Index of the place that stands for each coordinate."""
        middle = (self.places[1:] + self.places[:-1] + 1) // 2
        return np.searchsorted(middle, coordinates, side="right")


def sample(size: int, most: int = MOST, changes: Iterable[int] = ()) -> Axis:
    """The representative coordinates of an axis.

    changes: coordinates where tiles begin to do more, or less, than those before; they are taken
    with the one before each. There may be more than ``most`` then.
    """
    if size <= most:
        return Axis(size, np.arange(size), np.ones(size))
    root, last = (size - 1) // 2, size - 1
    wanted = {*range(NEAR), *range(root - NEAR + 1, root + NEAR), *range(last - NEAR + 1, size)}
    wanted |= {place for change in changes for place in (change - 1, change) if 0 <= place < size}
    between = max(most - len(wanted), FEWEST)
    spread = np.linspace(0, last, between + 2).round().astype(int).tolist()
    places: list[int] = []
    for place in sorted({*wanted, *spread}):
        if not places or (place - places[-1]) % 2:
            places.append(place)
        elif place in wanted and places[-1] not in wanted:
            places[-1:] = [place] if (place - places[-2]) % 2 else [places[-1], place - 1, place]
        elif place in wanted and place - places[-1] > 1:
            places += [place - 1, place]
    found = np.array(sorted(set(places)))
    edges = np.concatenate([[0], (found[1:] + found[:-1] + 1) // 2, [size]])
    return Axis(size, found, np.diff(edges).astype(float))


def stretches(size: int, most: int) -> Axis:
    """All coordinates of an axis, or one in each of ``most`` stretches, whatever tiles do there.

    Where in its stretch differs from one to the next, so that what recurs along the axis is met
    as often as it is there.
    """
    ends = np.arange(min(most, size) + 1) * size // min(most, size)
    weight = np.diff(ends)
    inside = np.arange(len(weight)) * GOLDEN % 1.0 * weight
    return Axis(size, ends[:-1] + inside.astype(int), weight.astype(float))


def changes(
    expressions: Iterable[Expr], name: str, size: int, values: Mapping[str, Any]
) -> list[int]:
    """Where extents change along the axis ``name``: those that do at a few coordinates.

    Blocks of a tensor are of one size up to the last one; behind that, tiles have nothing.
    values: of all other names; expressions with names beyond these are left out.
    """
    known = {**values, name: np.arange(size)}
    found: set[int] = set()
    for expression in set(expressions):
        used = set(names(expression))
        if name in used and used <= known.keys():
            steps = np.flatnonzero(np.diff(evaluate(expression, known))) + 1
            if len(steps) <= FEW:
                found |= set(steps.tolist())
    return sorted(found)[:MOST_CHANGES]


@dataclass(slots=True)
class Lanes:
    """Some of the sampled tiles, as a mask of shape [rows, columns].

    weight: tiles of the mesh that each stands for, zero outside of the mask. whole: all sampled
    tiles. parts: how guards have divided them before, by statement. found: all that were divided
    from the same tiles, by their masks, so that the same tiles are one object, which what is known
    of them may be kept beside: strands (of colors that arrive or leave), by color and direction;
    counts of instructions, by instruction and size.
    """

    mask: np.ndarray
    weight: np.ndarray
    whole: bool = False
    tiles: float = field(init=False)
    parts: dict[int, tuple[Lanes | None, Lanes | None]] = field(init=False, default_factory=dict)
    found: dict[bytes, Lanes] = field(default_factory=dict[bytes, "Lanes"])
    strands: dict[tuple[str, bool], Any] = field(init=False, default_factory=dict)
    counts: dict[tuple[Any, ...], tuple[float, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.tiles = float(self.weight.sum())

    def of(self, times: np.ndarray) -> np.ndarray:
        """The times of these tiles."""
        return times if self.whole else times[self.mask]

    def divide(self, held: np.ndarray) -> tuple[Lanes | None, Lanes | None]:
        """The tiles where ``held`` is true and the others; None for no tile."""
        held = np.broadcast_to(held, self.mask.shape)
        inside = self.mask & held
        if not np.count_nonzero(inside):
            return None, self
        outside = self.mask & ~held
        if not np.count_nonzero(outside):
            return self, None
        return self._part(inside), self._part(outside)

    def _part(self, mask: np.ndarray) -> Lanes:
        """Those of a mask, which is within this one."""
        key = mask.tobytes()
        known = self.found.get(key)
        if known is None:
            known = self.found[key] = Lanes(mask, self.weight * mask, found=self.found)
        return known
