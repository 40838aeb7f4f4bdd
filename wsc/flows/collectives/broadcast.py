"""Broadcast over a line: tile 0 sends, and every router hands a copy to its core."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import OverLine
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.fabric import Fabric
from wsc.isa.types import Side

RAMP = Side.RAMP


@dataclass(frozen=True)
class Broadcast(OverLine):
    """From tile 0 to every other tile of the line. No core is in the way."""

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        x, size, ahead, back = self.place, self.line.size, self.line.ahead, self.line.back
        paths = (
            Path(when(x, "==", 0), (at(RAMP, ahead),)),
            Path(both(when(x, ">", 0), when(x, "<", size - 1)), (at(back, RAMP, ahead),)),
            Path(when(x, "==", size - 1), (at(back, RAMP),)),
        )
        return (Strand(self, "cast", "the vector of tile 0", paths),)

    def cycles(self, fabric: Fabric, words: int) -> float:
        """The words one after the other, up a ramp, along the line and down a ramp."""
        return words + (self.tiles - 1) * fabric.hop_cycles + 2 * fabric.ramp_latency + 1
