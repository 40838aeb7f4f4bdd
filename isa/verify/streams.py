"""Whether as many wavelets come to each end of a stream as are taken there.

Counts need no clock: a stream has one producer, and its routers follow control wavelets alone. What
cores and feeds put into a color is brought along its routes to each core and each drain. One
wavelet too few, and somebody waits for ever; one too many, and it never arrives. A color of which
only a run knows a count is left to the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.program import Direction, Op, Position, Region, Transfer
from wsc.isa.types import Control, Side
from wsc.isa.verify.context import NEIGHBOURS, SIDES, Context
from wsc.isa.verify.facts import Facts
from wsc.isa.verify.follow import Traffic, followed
from wsc.isa.verify.routes import Network, boundary, side_length
from wsc.isa.verify.transfers import ports_of

Counts = npt.NDArray[np.int64]
Item = tuple[Control, int]  # of a stream: so many wavelets with data, or control wavelets
Stream = tuple[Item, ...]
Place = tuple[int, int]  # column and row of a tile

MOST_ITEMS = 1_000_000  # of the streams of a color that are followed through its routers
MOST_REPETITIONS = 4_096  # of a transfer with control wavelets in between


def counts(context: Context, network: Network) -> None:
    """Cores and drains take as many wavelets as come to them. Expects all else to be well."""
    facts = Facts(context.program)
    cores = {region.name: followed(context, region, facts) for region in context.program.regions}
    if context.found:
        return
    ends = _Ends(context, cores)
    for color in network.paths:
        if color not in ends.unknown:
            _Color(context, network, ends, color).check()


@dataclass(slots=True)
class _Port:
    """What the edge does with a color on one side: plays it, and takes so many at each place."""

    played: list[tuple[Control, Counts]] = field(default_factory=list[tuple[Control, Counts]])
    taken: Counts | None = None
    transfer: Transfer | None = None


@dataclass
class _Ends:
    """What cores and the edge put into each color and take from it.

    unknown: the colors of which only a run knows a count.
    """

    context: Context
    cores: dict[str, Traffic]
    unknown: set[str] = field(default_factory=set[str])
    ports: dict[tuple[str, Side], _Port] = field(default_factory=dict[tuple[str, Side], _Port])

    def __post_init__(self) -> None:
        for traffic in self.cores.values():
            self.unknown |= {color for _, color in traffic.unknown}
        for transfer in self.context.program.transfers:
            self._transfer(transfer)

    def _transfer(self, transfer: Transfer) -> None:
        region = self.context.regions[transfer.region]
        once, guard = self._repetitions(transfer, region)
        count = transfer.repeat[1] if transfer.repeat else 1
        parts = len(once)  # repetitions that are told apart
        rows = transfer.lookup.count if transfer.lookup else 1
        controls = transfer.then is not Control.NONE or transfer.final is not Control.NONE
        if controls and not 0 < count * rows <= MOST_REPETITIONS:
            self.unknown.add(transfer.color)
            return
        total = once.sum(axis=0) * rows * (count if parts == 1 else 1)
        port = self._port(transfer.color, transfer.side)
        port.transfer = transfer
        if transfer.direction is Direction.DRAIN:
            self._take(port, region, transfer.side, total)
        elif transfer.then is Control.NONE:
            self._play(port, region, transfer.side, Control.NONE, total)
        else:
            for number in range(count):
                here = once[number % parts] * rows
                self._play(port, region, transfer.side, Control.NONE, here)
                self._play(port, region, transfer.side, transfer.then, guard)
        if transfer.final is not Control.NONE:
            self._play(port, region, transfer.side, transfer.final, guard)
        if transfer.lookup is not None:
            rows = transfer.lookup
            values = np.zeros(side_length(region, rows.side), np.int64)
            values[rows.port] = rows.count * count
            asked = self._port(rows.color, rows.side)
            asked.transfer = transfer
            self._take(asked, region, rows.side, values)

    def _repetitions(self, transfer: Transfer, region: Region) -> tuple[Counts, Counts]:
        """[repetitions, ports]: elements of each; one row where they are equal. And the guard."""
        env = ports_of(region, transfer.side, self.context)
        name, count = transfer.repeat or ("", 1)
        if any(name in ex.names(dim.extent) for dim in transfer.dims):
            env[name] = np.arange(count)[:, None]
        shape = (1, side_length(region, transfer.side))
        guard = self.context.guard_values(transfer.guard, env, transfer)
        guard = np.broadcast_to(guard, shape)[0].astype(np.int64)
        product = np.ones(shape, np.int64)
        for dim in transfer.dims:
            product = product * np.maximum(ex.evaluate(dim.extent, env), 0)
        return product * guard, guard

    def _port(self, color: str, side: Side) -> _Port:
        return self.ports.setdefault((color, side), _Port())

    def _line(self, region: Region, side: Side, values: Counts) -> Counts:
        """Values at the ports of a region as those of a whole side of the program."""
        program = self.context.program
        along_row = side in (Side.NORTH, Side.SOUTH)
        line = np.zeros(program.width if along_row else program.height, np.int64)
        start = region.left if along_row else region.top
        line[start : start + len(values)] = values
        return line

    def _play(
        self, port: _Port, region: Region, side: Side, control: Control, values: Counts
    ) -> None:
        port.played.append((control, self._line(region, side, values)))

    def _take(self, port: _Port, region: Region, side: Side, values: Counts) -> None:
        line = self._line(region, side, values)
        port.taken = line if port.taken is None else port.taken + line


class _TooMany(Exception):
    """The streams of a color have too many items to be followed."""


class _Color:
    """One color over the whole rectangle."""

    def __init__(self, context: Context, network: Network, ends: _Ends, color: str) -> None:
        self.context, self.ends, self.color = context, ends, color
        self.owner = network.owner[color]
        self.paths = network.paths[color]
        self.sends = {side: network.sends(color, side) for side in SIDES}
        self.height, self.width = self.owner.shape

    def check(self) -> None:
        """Report the first end at which another number comes than is taken."""
        routes = [self.context.program.routes[n - 1] for n in np.unique(self.owner[self.owner > 0])]
        if all(len(route.positions) == 1 for route in routes):
            came = self._through_fixed()
        else:
            found = self._through_switches()
            if found is None:
                return
            came = found
        if not self._cores(came(Side.RAMP)):
            return
        for side in NEIGHBOURS:
            port = self.ends.ports.get((self.color, side))
            if port is not None and port.taken is not None and port.transfer is not None:
                line = _boundary(came(side), side)
                if not self._drains(port.taken, line, side, port.transfer):
                    return

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
            tiles = np.flatnonzero(receives)
            beyond, inside = self._neighbours(tiles, side)
            producer.ravel()[tiles[inside]] = beyond[inside]
            port = self.ends.ports.get((self.color, side))
            for control, line in port.played if port is not None else ():
                if control is Control.NONE:
                    at_edge = _boundary(supply, side)
                    at_edge += line * _boundary(receives, side)
        # Each tile's neighbour towards the producer; then the neighbour's, and so on, twice as far.
        towards = producer.ravel()
        while True:
            further = towards[towards]
            if np.array_equal(further, towards):
                break
            towards = further
        passing = supply.ravel()[towards].reshape(self.height, self.width)
        return lambda side: passing * self.sends[side]

    # Where control wavelets switch: item for item, all routers whose streams are known at once.

    def _through_switches(self) -> Callable[[Side], Counts] | None:
        """Wavelets with data that leave each tile on a side; None after a report."""
        routers = _Routers()
        try:
            out = self._followed(routers)
        except _TooMany:
            return None
        if out is None:
            return None
        data = np.array([routers.data(number) for number in range(len(routers.streams))])
        return lambda side: data[out[side]].reshape(self.height, self.width)

    def _followed(self, routers: _Routers) -> dict[Side, Counts] | None:
        """The numbers of the streams that leave each tile on each side; None after a report.

        Raises:
            _TooMany: there is too much to follow, or two tiles receive from each other.
        """
        size, owner = self.width * self.height, self.owner.ravel()
        out = {side: np.zeros(size, np.int64) for side in SIDES}
        bursts = list(self._put())
        controls = [control for control, _ in bursts]
        put = np.array([grid.ravel() for _, grid in bursts], np.int64).reshape(-1, size)
        fed = {side: self._fed_streams(side, routers) for side in NEIGHBOURS}
        receives = {side: self.paths[side].ravel() != 0 for side in NEIGHBOURS}
        waiting = np.zeros(size, np.int64)  # neighbours that a tile receives from, not yet done
        for side in NEIGHBOURS:
            tiles = np.flatnonzero(receives[side])
            beyond, inside = self._neighbours(tiles, side)
            waiting[tiles[inside]] += owner[beyond[inside]] != 0
        left = np.count_nonzero(owner)
        ready = np.flatnonzero((owner != 0) & (waiting == 0))
        while ready.size:
            left -= len(ready)
            rows = [owner[ready], *put[:, ready]]
            for side in NEIGHBOURS:
                beyond, inside = self._neighbours(ready, side)
                at_edge = fed[side][self._along(ready, side)]
                rows.append(
                    np.where(inside, out[side.opposite][np.where(inside, beyond, 0)], at_edge)
                    * receives[side][ready]
                )
            table, which = np.unique(np.stack(rows, axis=1), axis=0, return_inverse=True)
            for number, row in enumerate(table.tolist()):
                here = ready[which == number]
                positions = self.context.program.routes[row[0] - 1].positions
                own = _joined(zip(controls, row[1 : 1 + len(bursts)], strict=True))
                entering = dict(zip(NEIGHBOURS, row[1 + len(bursts) :], strict=True))
                entering[Side.RAMP] = routers.number(own)
                passed, stays, at = routers.passed(positions, entering)
                if stays is not None:
                    y, x = divmod(int(here[0]), self.width)
                    self._stuck((x, y), stays, at, positions)
                    return None
                for side, stream in passed.items():
                    out[side][here] = stream
            following: list[Counts] = []
            for side in NEIGHBOURS:
                beyond, inside = self._neighbours(ready, side)
                tiles = beyond[inside]
                tiles = tiles[receives[side.opposite][tiles] & (owner[tiles] != 0)]
                waiting[tiles] -= 1
                following.append(tiles[waiting[tiles] == 0])
            ready = np.unique(np.concatenate(following))
        if left:
            raise _TooMany
        return out

    def _neighbours(self, tiles: Counts, side: Side) -> tuple[Counts, npt.NDArray[np.bool_]]:
        """The tiles beyond a side, and which of them there are."""
        dx, dy = side.step
        x, y = tiles % self.width + dx, tiles // self.width + dy
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        return y * self.width + x, inside

    def _along(self, tiles: Counts, side: Side) -> Counts:
        """The places of tiles along a side."""
        in_row = side in (Side.NORTH, Side.SOUTH)
        return tiles % self.width if in_row else tiles // self.width

    def _fed_streams(self, side: Side, routers: _Routers) -> Counts:
        """The number of the stream that the edge plays into each port of a side."""
        length = self.width if side in (Side.NORTH, Side.SOUTH) else self.height
        port = self.ends.ports.get((self.color, side))
        if port is None or not port.played:
            return np.zeros(length, np.int64)
        controls = [control for control, _ in port.played]
        table, which = np.unique(
            np.stack([line for _, line in port.played], axis=1), axis=0, return_inverse=True
        )
        numbers = [
            routers.number(_joined(zip(controls, row, strict=True))) for row in table.tolist()
        ]
        return np.array(numbers, np.int64)[which.ravel()]

    # What is told.

    def _put(self) -> Iterator[tuple[Control, Counts]]:
        """What cores put into the color, one piece after the other, in every tile."""
        for name, traffic in self.ends.cores.items():
            area = self.context.tiles(self.context.regions[name])
            for burst in traffic.put.get(self.color, ()):
                grid = np.zeros((self.height, self.width), np.int64)
                grid[area] = burst.count
                yield burst.control, grid

    def _cores(self, came: Counts) -> bool:
        """Whether each core takes what comes to it."""
        taken = np.zeros((self.height, self.width), np.int64)
        for name, traffic in self.ends.cores.items():
            if self.color in traffic.taken:
                area = self.context.tiles(self.context.regions[name])
                taken[area] = traffic.taken[self.color]
        wrong = came != taken
        if not wrong.any():
            return True
        y, x = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        tile, there, wanted = f"tile {x},{y}", int(came[y, x]), int(taken[y, x])
        if there < wanted:
            message = (
                f"{tile} takes {_wavelets(wanted)} of '{self.color}', and {there} come to it"
                f"{self._fed()}: it would wait for ever"
            )
        else:
            message = (
                f"{_wavelets(there)} of '{self.color}' come to {tile}{self._fed()}, and its code "
                f"takes {wanted}: the run would never end"
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
        self.context.say(
            f"{_wavelets(there)} of '{self.color}' come to port {place} of side {side.value}, and "
            f"{wanted} are taken there: {end}",
            transfer,
            self.color,
        )
        return False

    def _stuck(
        self, place: Place, left: tuple[Side, int], at: int, positions: tuple[Position, ...]
    ) -> None:
        x, y = place
        side, count = left
        self.context.say(
            f"{_wavelets(count)} of '{self.color}' that come to tile {x},{y} from {side.value} "
            f"never pass: its route ends in position {at}, which receives from "
            f"{positions[at].receive.value}",
            self.context.program.routes[int(self.owner[y, x]) - 1],
            self.color,
        )

    def _fed(self) -> str:
        """Where the color is fed, if the edge does that."""
        ports = [port for (color, _), port in self.ends.ports.items() if color == self.color]
        lines = [p.transfer.where.line for p in ports if p.played and p.transfer is not None]
        return f" (fed in line {lines[-1]})" if lines and lines[-1] else ""

    def _taker(self, x: int, y: int) -> Op | None:
        """An instruction that takes the color, of the region that has the tile."""
        for region in self.context.program.regions:
            across = region.left <= x < region.left + region.width
            if across and region.top <= y < region.top + region.height:
                return self.ends.cores[region.name].ops.get((False, self.color))
        return None


class _Routers:
    """What routers do to streams. Equal streams have one number, and are followed once."""

    def __init__(self) -> None:
        self.streams: list[Stream] = [()]
        self.numbers: dict[Stream, int] = {(): 0}
        self.known: dict[object, tuple[dict[Side, int], tuple[Side, int] | None, int]] = {}
        self.left = MOST_ITEMS

    def number(self, stream: Stream) -> int:
        """The number of a stream."""
        if stream not in self.numbers:
            self.numbers[stream] = len(self.streams)
            self.streams.append(stream)
        return self.numbers[stream]

    def data(self, number: int) -> int:
        """How many wavelets of a stream have data."""
        return sum(count for control, count in self.streams[number] if control is Control.NONE)

    def passed(
        self, positions: tuple[Position, ...], entering: dict[Side, int]
    ) -> tuple[dict[Side, int], tuple[Side, int] | None, int]:
        """What leaves on each side; the side and number of what does not; the last position.

        Raises:
            _TooMany: more is followed than is worth while.
        """
        key = positions, *entering.values()
        if key not in self.known:
            self.known[key] = self._passed(positions, entering)
        return self.known[key]

    def _passed(
        self, positions: tuple[Position, ...], entering: dict[Side, int]
    ) -> tuple[dict[Side, int], tuple[Side, int] | None, int]:
        waiting = {side: list(self.streams[number])[::-1] for side, number in entering.items()}
        out: dict[Side, list[Item]] = {side: [] for p in positions for side in p.send}
        at, last = 0, len(positions) - 1
        while items := waiting[positions[at].receive]:
            self.left -= 1
            if self.left < 0:
                raise _TooMany
            control, count = items.pop()
            switches = control is Control.RESET or (control is Control.ADVANCE and at < last)
            if switches and count > 1:  # the others meet another position
                items.append((control, count - 1))
                count = 1
            if control is Control.ADVANCE and at < last:  # absorbed
                at += 1
                continue
            for side in positions[at].send:
                out[side].append((control, count))
            if control is Control.RESET:
                at = 0
        left = [(side, sum(n for _, n in items)) for side, items in waiting.items() if items]
        numbers = {side: self.number(_joined(items)) for side, items in out.items()}
        return numbers, left[0] if left else None, at


def _joined(items: Iterable[Item]) -> Stream:
    """A stream without empty items, equal neighbours as one."""
    found: list[Item] = []
    for control, count in items:
        if count and found and found[-1][0] is control:
            found[-1] = (control, found[-1][1] + count)
        elif count:
            found.append((control, count))
    return tuple(found)


def _boundary(grid: Counts | npt.NDArray[np.bool_], side: Side) -> Counts:
    """The tiles of one side of the program: a view."""
    return grid[boundary(side)].reshape(-1)


def _wavelets(count: int) -> str:
    return f"{count} wavelet" if count == 1 else f"{count} wavelets"
