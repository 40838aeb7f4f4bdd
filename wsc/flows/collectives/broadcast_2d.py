"""Broadcast over a rectangle: along the row of tile (0, 0), and from there down all columns."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import Collective, depth
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.expr import H, W, X, Y
from wsc.isa.fabric import Fabric
from wsc.isa.types import Side

RAMP, NORTH, EAST, SOUTH, WEST = Side.RAMP, Side.NORTH, Side.EAST, Side.SOUTH, Side.WEST


@dataclass(frozen=True)
class Broadcast2D(Collective):
    """From tile (0, 0) to every other tile of ``width`` x ``height``, two or more each way."""

    width: int
    height: int

    @property
    def sample(self) -> tuple[int, int]:
        """The rectangle itself."""
        return self.width, self.height

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        top, left = when(Y, "==", 0), when(X, "==", 0)
        between = both(both(when(X, ">", 0), when(X, "<", W - 1)), top)
        paths = (
            Path(both(left, top), (at(RAMP, EAST, SOUTH),)),
            Path(between, (at(WEST, RAMP, EAST, SOUTH),)),
            Path(both(when(X, "==", W - 1), top), (at(WEST, RAMP, SOUTH),)),
            Path(both(when(Y, ">", 0), when(Y, "<", H - 1)), (at(NORTH, RAMP, SOUTH),)),
            Path(when(Y, "==", H - 1), (at(NORTH, RAMP),)),
        )
        return (Strand(self, "cast", "the vector of tile (0, 0)", paths),)

    def cycles(self, fabric: Fabric, words: int) -> float:
        """The words one after the other, and the way to the corner."""
        return words + (self.width + self.height - 2) * fabric.hop_cycles + depth(fabric)
