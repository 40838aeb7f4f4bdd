"""Star reduce: every tile sends its words to tile 0, the nearest first."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import OverLine, depth, startup
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.fabric import Fabric
from wsc.isa.types import Side

RAMP = Side.RAMP


@dataclass(frozen=True)
class StarReduce(OverLine):
    """To tile 0, which adds vector after vector.

    A router first sends what comes up its ramp. The control wavelet behind that opens the way for
    the tiles ahead.
    """

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        x, size, ahead, back = self.place, self.line.size, self.line.ahead, self.line.back
        own, others = at(RAMP, back), at(ahead, back)
        paths = (
            Path(when(x, "==", 0), (at(ahead, RAMP),)),
            Path(both(when(x, ">", 0), when(x, "<", size - 1)), (own, others)),
            Path(when(x, "==", size - 1), (own,)),
        )
        return (Strand(self, "star", "the vectors of all other tiles, nearest first", paths),)

    def cycles(self, fabric: Fabric, words: int) -> float:
        """Between two vectors a control wavelet switches a router.

        The router takes a cycle to act on it, and gets the next vector's first word in the
        cycle after. The control wavelet comes later than the end of its vector by the start-up
        of the instruction that sends it, unless the vector is still in the tile's buffers.
        """
        held = fabric.output_queues[0] + fabric.router_buffer_depth
        switch = 2 if words <= held else 1 + startup(fabric)
        vectors = words * (self.tiles - 1) + switch * max(0, self.tiles - 2)
        return vectors + depth(fabric) + fabric.hop_cycles
