"""Whether as many wavelets come to each end of a stream as are taken there.

Counts need no clock: a stream has one producer, and its routers follow control wavelets alone. What
cores and feeds put into a color is brought along its routes to each core and each drain. One
wavelet too few, and somebody waits for ever; one too many, and it never arrives. Where a color has
elements of several types, those of each are counted too: each end takes as many of a type as come.
A color of which only a run knows a count is left to the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from wsc.isa.program import Op, Transfer
from wsc.isa.types import Control, DType, Side
from wsc.isa.verify.context import NEIGHBOURS, SIDES, Context
from wsc.isa.verify.elements import ONE_TYPE
from wsc.isa.verify.ends import Counts, Ends, Pieces
from wsc.isa.verify.facts import Facts
from wsc.isa.verify.follow import followed
from wsc.isa.verify.routes import SHIFT, Network, boundary
from wsc.isa.verify.switches import Part, Stuck, Switched, TooMany


def counts(context: Context, network: Network) -> None:
    """Cores and drains take as many wavelets as come to them. Expects all else to be well."""
    facts = Facts(context.program)
    cores = {region.name: followed(context, region, facts) for region in context.program.regions}
    if context.found:
        return
    ends = Ends(context, cores)
    for color in network.paths:
        if color not in ends.unknown:
            _Color(context, network, ends, color).check()


class _Color:
    """One color over the whole rectangle."""

    def __init__(self, context: Context, network: Network, ends: Ends, color: str) -> None:
        self.context, self.ends, self.color = context, ends, color
        self.owner = network.owner[color]
        self.paths = network.paths[color]
        self.sends = {side: network.sends(color, side) for side in SIDES}
        self.height, self.width = self.owner.shape
        self.dtype: DType | None = None  # of the wavelets that are counted now; None for all

    def check(self) -> None:
        """Report the first end at which another number comes than is taken, of all or of a type."""
        if self._agree():
            types = self._types()
            for self.dtype in sorted(types, key=lambda t: t.value) if len(types) > 1 else ():
                if not self._agree():
                    return

    def _types(self) -> set[DType]:
        """The types of the elements that come to the ends of the color, or are taken there."""
        found: set[DType | None] = set()
        for traffic in self.ends.cores.values():
            found.update(traffic.taken.get(self.color, ()))
            found.update(t for burst in traffic.put.get(self.color, ()) for t in burst.counts)
        for (color, _), port in self.ends.ports.items():
            if color == self.color:
                found.update(port.taken)
                parts = {id(part): part for part in port.played}
                found.update(piece.dtype for part in parts.values() for piece in part)
        return {dtype for dtype in found if dtype is not None}

    def _agree(self) -> bool:
        """Whether each end takes what comes to it; a report if not."""
        routes = [self.context.program.routes[n - 1] for n in np.unique(self.owner[self.owner > 0])]
        if all(len(route.positions) == 1 for route in routes):
            came = self._through_fixed()
        else:
            found = self._through_switches()
            if found is None:
                return False
            came = found
        if not self._cores(came(Side.RAMP)):
            return False
        for side in NEIGHBOURS:
            port = self.ends.ports.get((self.color, side))
            if port is not None and port.taken and port.transfer is not None:
                line = _boundary(came(side), side)
                taken = np.zeros_like(line) + self._counted(port.taken)
                if not self._drains(taken, line, side, port.transfer):
                    return False
        return True

    def _counted(self, counts: Mapping[Any, Any]) -> Any:
        """Of numbers by type, that of the wavelets that are counted now."""
        return sum(counts.values()) if self.dtype is None else counts.get(self.dtype, 0)

    def _counts(self, dtype: DType | None) -> bool:
        """Whether wavelets of a type are counted now; control wavelets, of no type, always are."""
        return self.dtype is None or dtype is None or dtype is self.dtype

    # Where each position is the only one: as many come as the one producer puts.

    def _through_fixed(self) -> Callable[[Side], Counts]:
        """Wavelets with data that leave each tile on a side."""
        size = self.width * self.height
        producer = np.arange(size).reshape(self.height, self.width)
        supply = np.zeros((self.height, self.width), np.int64)
        for control, grid in self._put():
            if control is Control.NONE:
                supply += grid * (self.paths[Side.RAMP] != 0)
        for side in NEIGHBOURS:
            receives = self.paths[side] != 0
            here, there = SHIFT[side]
            neighbours = np.arange(size).reshape(self.height, self.width)[there]
            producer[here] = np.where(receives[here], neighbours, producer[here])
            port = self.ends.ports.get((self.color, side))
            for piece in chain.from_iterable(port.played if port is not None else ()):
                if piece.control is Control.NONE and self._counts(piece.dtype):
                    at_edge = _boundary(supply, side)
                    at_edge += piece.counts * _boundary(receives, side)
        # Each tile's neighbour towards the producer; then the neighbour's, and so on, twice as far.
        towards = producer.ravel()
        while True:
            further = towards[towards]
            if np.array_equal(further, towards):
                break
            towards = further
        passing = supply.ravel()[towards].reshape(self.height, self.width)
        return lambda side: passing * self.sends[side]

    # Where control wavelets switch: item for item.

    def _through_switches(self) -> Callable[[Side], Counts] | None:
        """Wavelets with data that leave each tile on a side; None where that is not known."""
        played = {
            side: self._counted_parts(self.ends.ports[self.color, side].played)
            for side in NEIGHBOURS
            if (self.color, side) in self.ends.ports
        }
        positions = [route.positions for route in self.context.program.routes]
        receives = {side: self.paths[side] != 0 for side in NEIGHBOURS}
        owner = self.owner.astype(np.int64)
        try:
            found = Switched(owner, positions, receives, list(self._put()), played).leaving()
        except TooMany:
            return None
        except Stuck as stuck:
            self._stuck(stuck)
            return None
        return lambda side: found[side]

    def _counted_parts(self, played: Sequence[Pieces]) -> list[Part]:
        """Of what a port plays, the wavelets that are counted now. Equal parts stay one object."""
        parts = {
            id(part): [(p.control, p.counts) for p in part if self._counts(p.dtype)]
            for part in played
        }
        return [parts[id(part)] for part in played]

    # What is told.

    def _put(self) -> Iterator[tuple[Control, Counts]]:
        """What cores put into the color, one piece after the other, in every tile."""
        for name, traffic in self.ends.cores.items():
            area = self.context.tiles(self.context.regions[name])
            for burst in traffic.put.get(self.color, ()):
                grid = np.zeros((self.height, self.width), np.int64)
                controls = burst.control is not Control.NONE
                grid[area] = burst.counts[None] if controls else self._counted(burst.counts)
                yield burst.control, grid

    def _cores(self, came: Counts) -> bool:
        """Whether each core takes what comes to it."""
        taken = np.zeros((self.height, self.width), np.int64)
        for name, traffic in self.ends.cores.items():
            if self.color in traffic.taken:
                area = self.context.tiles(self.context.regions[name])
                taken[area] = self._counted(traffic.taken[self.color])
        wrong = came != taken
        if not wrong.any():
            return True
        y, x = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        tile, there, wanted = f"tile {x},{y}", int(came[y, x]), int(taken[y, x])
        if self.dtype is not None:
            message = (
                f"{self._wavelets(there)} come to {tile}{self._fed()}, and its code takes "
                f"{wanted} as {self.dtype.value}: {ONE_TYPE}"
            )
        elif there < wanted:
            message = (
                f"{tile} takes {self._wavelets(wanted)}, and {there} come to it{self._fed()}: "
                "it would wait for ever"
            )
        else:
            message = (
                f"{self._wavelets(there)} come to {tile}{self._fed()}, and its code takes "
                f"{wanted}: the run would never end"
            )
        route = self.context.program.routes[int(self.owner[y, x]) - 1]
        self.context.say(message, self._taker(int(x), int(y)) or route, self.color)
        return False

    def _drains(self, taken: Counts, came: Counts, side: Side, transfer: Transfer) -> bool:
        """Whether the drains of a side take what comes to their ports."""
        wrong = came != taken
        if not wrong.any():
            return True
        place = int(np.argmax(wrong))
        there, wanted = int(came[place]), int(taken[place])
        end = "they would wait for ever" if there < wanted else "the run would never end"
        if self.dtype is not None:
            end = ONE_TYPE
        self.context.say(
            f"{self._wavelets(there)} come to port {place} of side {side.value}, and "
            f"{wanted} are taken there: {end}",
            transfer,
            self.color,
        )
        return False

    def _stuck(self, stuck: Stuck) -> None:
        y, x = divmod(stuck.tile, self.width)
        route = self.context.program.routes[int(self.owner[y, x]) - 1]
        self.context.say(
            f"{self._wavelets(stuck.count)} that come to tile {x},{y} from "
            f"{stuck.side.value} never pass: its route ends in position {stuck.at}, which receives "
            f"from {route.positions[stuck.at].receive.value}",
            route,
            self.color,
        )

    def _fed(self) -> str:
        """Where the color is fed, if the edge does that."""
        ports = [port for (color, _), port in self.ends.ports.items() if color == self.color]
        lines = [p.transfer.where.line for p in ports if p.played and p.transfer is not None]
        return f" (fed in line {lines[-1]})" if lines and lines[-1] else ""

    def _wavelets(self, count: int) -> str:
        """``4 wavelets of 'ins'``, with their type where the color has several."""
        wavelets = "wavelet" if count == 1 else "wavelets"
        of = "" if self.dtype is None else f" with {self.dtype.value}"
        return f"{count} {wavelets}{of} of '{self.color}'"

    def _taker(self, x: int, y: int) -> Op | None:
        """An instruction that takes the color, of the region that has the tile."""
        for region in self.context.program.regions:
            across = region.left <= x < region.left + region.width
            if across and region.top <= y < region.top + region.height:
                return self.ends.cores[region.name].ops.get((False, self.color))
        return None


def _boundary(grid: npt.NDArray[Any], side: Side) -> npt.NDArray[Any]:
    """The tiles of one side of the program: a view."""
    return grid[boundary(side)].reshape(-1)
