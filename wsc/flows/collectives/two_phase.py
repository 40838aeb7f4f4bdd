"""Reduce in two phases: chains within groups of neighbours, then a chain over their leaders."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from wsc.errors import CompileError
from wsc.flows.collectives.alone import OverLine, depth, startup
from wsc.flows.collectives.chain import links
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.expr import Expr
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing
from wsc.isa.types import Side

RAMP = Side.RAMP


def group_of(tiles: int) -> int:
    """Tiles of a group: the divisor next to the square root.

    Of two that are equally near the smaller one.
    """
    divisors = [group for group in range(2, tiles // 2 + 1) if tiles % group == 0]
    return min(divisors, key=lambda group: abs(log2(group) - log2(tiles) / 2), default=tiles)


@dataclass(frozen=True)
class TwoPhaseReduce(OverLine):
    """To tile 0: within groups of ``group`` neighbours to the first, their leader, then over these.

    Raises:
        CompileError: the tiles do not make two or more whole groups of two or more.
    """

    group: int

    def __post_init__(self) -> None:
        if self.group < 2 or self.tiles % self.group or self.tiles < 2 * self.group:
            raise CompileError(
                f"a two-phase reduce over {self.tiles} tiles cannot have groups of {self.group}: "
                "two or more whole groups of two or more tiles are needed"
            )

    @property
    def within(self) -> Expr:
        """The place of a tile in its group; 0 is the leader."""
        return self.place % self.group

    @property
    def number(self) -> Expr:
        """Of a tile's group, counted from tile 0."""
        return self.place // self.group

    @property
    def last(self) -> Expr:
        """Where nothing comes from ahead within the group."""
        return when(self.within, "==", self.group - 1)

    def laid(self) -> tuple[Strand, ...]:
        """Those within groups, then those between leaders."""
        within = links(self, self.line, self.within, self.last)
        return (*within, self._lead("lead_even", 0), self._lead("lead_odd", 1))

    def _lead(self, name: str, parity: int) -> Strand:
        """Received by the leaders of groups with an even number, or by those with an odd one."""
        x, size, ahead, back = self.place, self.line.size, self.line.ahead, self.line.back
        leader, same = when(self.within, "==", 0), when(self.number % 2, "==", parity)
        more = when(x, "<", size - self.group)  # there is a group ahead
        between = both(when(self.within, ">", 0), same)
        others = both(leader, when(self.number % 2, "==", 1 - parity))
        paths = (
            Path(both(both(leader, same), more), (at(ahead, RAMP),)),
            Path(both(between, when(self.number, "<", size // self.group - 1)), (at(ahead, back),)),
            Path(both(others, when(self.number, ">", 0)), (at(RAMP, back),)),
        )
        return Strand(self, name, "hop between the leaders of groups", paths)

    def early(self, fabric: Fabric, words: int) -> bool:
        """Whether the last leader should pass sums on as they come.

        Yes, if the vector is no longer than its words' way to the next leader: that one has
        then finished its own group's sums when they arrive. Longer vectors would only take turns
        on links with the next group's chain.
        """
        return words <= depth(fabric) + fabric.hop_cycles * self.group

    def cycles(self, fabric: Fabric, words: int) -> float:
        """Both phases one after the other, each a chain; the second has longer links.

        The published model takes the larger of contention and distance where a leader
        meets both: it sends nothing before its second vector comes. In a short vector's
        second phase no leader waits for the first.
        """
        hop, through = fabric.hop_cycles, depth(fabric)
        first = (through + hop) * (self.group - 1)
        second = (through + hop * self.group) * (self.tiles // self.group - 1)
        if self.early(fabric, words):
            return first + second + words
        guards = 3 * fabric.timing[Timing.BRANCH].startup
        return first + second + 2 * words + guards + startup(fabric)
