"""What the flow of a single collective is: strands, as of any flow, and cycles in closed form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NoReturn

from wsc.cost.unpredictable import Unpredictable
from wsc.flows.flow import Flow
from wsc.flows.stream import Site
from wsc.isa.expr import Expr, H, Name, W, X, Y
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing
from wsc.isa.types import Side


@dataclass(frozen=True, slots=True)
class Line:
    """A row or a column of tiles: its coordinate, its number of tiles, and its two sides.

    ahead is away from tile 0, back is towards it.
    """

    along: Name
    size: Name
    ahead: Side
    back: Side

    @property
    def outward(self) -> Side:
        """The side across the line from which its tiles have their input."""
        return Side.NORTH if self.along == X else Side.WEST

    def mesh(self, tiles: int) -> tuple[int, int]:
        """Columns and rows of a line of so many tiles."""
        return (tiles, 1) if self.along == X else (1, tiles)


ROW = Line(X, W, Side.EAST, Side.WEST)
COLUMN = Line(Y, H, Side.SOUTH, Side.NORTH)


class Alone(Flow):
    """A flow of a program that does one collective and nothing else."""

    def stream(self, site: Site) -> NoReturn:
        """Refuse: no walk knows its times.

        Raises:
            Unpredictable: always.
        """
        del site
        raise Unpredictable(f"{type(self).__name__} is the flow of a collective by itself")


class Collective(Alone):
    """The flow of a collective over ``tiles`` tiles of a line, or over a rectangle."""

    @abstractmethod
    def cycles(self, fabric: Fabric, words: int) -> float:
        """Cycles for vectors of ``words`` words.

        They run from the first word that a core sends until the last result is in SRAM. The input
        is in all tiles by then.
        """


@dataclass(frozen=True)
class OverLine(Collective):
    """A collective over a line of ``tiles`` tiles."""

    line: Line
    tiles: int

    @property
    def sample(self) -> tuple[int, int]:
        """The line itself."""
        return self.line.mesh(self.tiles)

    @property
    def place(self) -> Expr:
        """The coordinate along the line."""
        return self.line.along


def depth(fabric: Fabric) -> int:
    """What passing through a core costs beside the hops: down a ramp and up another."""
    return 2 * fabric.ramp_latency + 1


def startup(fabric: Fabric) -> int:
    """Cycles before the first row of an instruction that moves words of a queue."""
    return fabric.timing[Timing.MOVE].start(queue=True)
