"""Chain reduce: every core adds its words to those from ahead, and passes the sums on."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import Line, OverLine, depth
from wsc.flows.flow import Flow, Path, Strand, at, both, when
from wsc.isa.expr import Expr
from wsc.isa.fabric import Fabric
from wsc.isa.types import Side


@dataclass(frozen=True)
class ChainReduce(OverLine):
    """To tile 0, from neighbour to neighbour."""

    @property
    def last(self) -> Expr:
        """Where nothing comes from ahead."""
        return when(self.place, "==", self.line.size - 1)

    def laid(self) -> tuple[Strand, ...]:
        """Those that even and that odd tiles receive."""
        return links(self, self.line, self.place, self.last)

    def cycles(self, fabric: Fabric, words: int) -> float:
        """The words one after the other, and a passage through a core for each hop."""
        return words + (depth(fabric) + fabric.hop_cycles) * (self.tiles - 1)


def links(flow: Flow, line: Line, place: Expr, last: Expr) -> tuple[Strand, Strand]:
    """Two strands for a chain towards place 0: received by even places, and by odd ones.

    A core that forwards needs two colors, one to receive and one to send. last: holds where
    nothing comes from ahead.
    """

    def link(name: str, parity: int) -> Strand:
        receives = both(when(place % 2, "==", parity), when(last, "==", 0))
        sends = both(when(place % 2, "==", 1 - parity), when(place, ">", 0))
        paths = (
            Path(receives, (at(line.ahead, Side.RAMP),)),
            Path(sends, (at(Side.RAMP, line.back),)),
        )
        return Strand(flow, name, f"hop of the chain, received by {name} places", paths)

    return link("even", 0), link("odd", 1)
