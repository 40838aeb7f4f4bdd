"""The ends of a program of one collective: vectors from the edge into tiles, and out again."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import Alone
from wsc.flows.flow import Path, Strand, at, when
from wsc.isa.expr import X, Y
from wsc.isa.types import Side

FIRST = X + Y  # zero in tile 0 alone, and the number of a tile in its line


@dataclass(frozen=True)
class Load(Alone):
    """From a side of the line into the cores of all of its tiles, or of tile 0."""

    outward: Side
    all_tiles: bool

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        guard = None if self.all_tiles else when(FIRST, "==", 0)
        path = Path(guard, (at(self.outward, Side.RAMP),))
        return (Strand(self, "load", "vectors from the edge", (path,)),)


@dataclass(frozen=True)
class Unload(Alone):
    """From the cores of all tiles, or of tile 0, to the side opposite the input.

    flat: of a rectangle, in which a tile's own vector leaves before those of the tiles above it.
    """

    outward: Side
    all_tiles: bool
    flat: bool

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        away = self.outward.opposite
        own, others = at(Side.RAMP, away), at(self.outward, away)
        if self.flat:
            below, top = when(Y, ">", 0), when(Y, "==", 0)
            paths = (Path(below, (own, others)), Path(top, (own,)))
        else:
            guard = None if self.all_tiles else when(FIRST, "==", 0)
            paths = (Path(guard, (own,)),)
        return (Strand(self, "out", "vectors to the edge", paths),)
