"""Ring all-reduce: the line is closed by a way back from its last tile to tile 0."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.flows.collectives.alone import OverLine, depth, startup
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.fabric import Fabric
from wsc.isa.types import Side

RAMP = Side.RAMP


@dataclass(frozen=True)
class RingReduce(OverLine):
    """Chunks of the vector from tile to tile around the ring: once for sums, once to share them."""

    def laid(self) -> tuple[Strand, ...]:
        """Those that even and that odd tiles send to the next one, and the way back."""
        return self._onward("even", 0), self._onward("odd", 1), self._back()

    def _onward(self, name: str, parity: int) -> Strand:
        x, line = self.place, self.line
        sends = both(when(x % 2, "==", parity), when(x, "<", line.size - 1))
        receives = both(when(x % 2, "==", 1 - parity), when(x, ">", 0))
        paths = (Path(sends, (at(RAMP, line.ahead),)), Path(receives, (at(line.back, RAMP),)))
        return Strand(self, name, f"hop around the ring, sent by {name} tiles", paths)

    def _back(self) -> Strand:
        x, size, ahead, back = self.place, self.line.size, self.line.ahead, self.line.back
        paths = (
            Path(when(x, "==", size - 1), (at(RAMP, back),)),
            Path(both(when(x, ">", 0), when(x, "<", size - 1)), (at(ahead, back),)),
            Path(when(x, "==", 0), (at(ahead, RAMP),)),
        )
        return Strand(self, "back", "from the last tile to tile 0", paths)

    def cycles(self, fabric: Fabric, words: int) -> float:
        """Each round issues and starts an instruction that sends, and moves whole words.

        With one or two chunks, none of them passes the long way back twice.
        """
        rounds = 2 * (self.tiles - 1)
        hops = 4 * self.tiles - 6 if words > 2 else 3 * self.tiles - 4
        chunk = -(-words // self.tiles)
        each = chunk + depth(fabric) + fabric.issue_cycles + startup(fabric)
        return rounds * each + fabric.hop_cycles * hops
