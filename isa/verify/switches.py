"""What routers with switch positions do to streams, item for item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsc.isa.program import Position
from wsc.isa.types import Control, Side
from wsc.isa.verify.context import NEIGHBOURS, SIDES, Mask
from wsc.isa.verify.routes import SHIFT

Counts = npt.NDArray[np.int64]
Item = tuple[Control, int]  # of a stream: so many wavelets with data, or control wavelets
Stream = tuple[Item, ...]
Part = Sequence[tuple[Control, Counts]]  # of what the ports of a side play, one after the other

MOST_ITEMS = 1_000_000  # of the streams of a color that are followed through its routers


class TooMany(Exception):
    """The streams of a color have too many items to be followed, or wait for each other."""


class Stuck(Exception):
    """Wavelets never pass a router.

    tile: its number, row by row. side, count: where how many of them come from. at: the last
    switch position.
    """

    def __init__(self, tile: int, side: Side, count: int, at: int) -> None:
        super().__init__(tile, side, count, at)
        self.tile, self.side, self.count, self.at = tile, side, count, at


@dataclass
class Switched:
    """The routers of a color over the whole rectangle, row by row.

    owner: for each tile the number of its route plus one, or 0. positions: of each route.
    receives: for each side, where some position receives from it. put: what cores put into the
    color, piece for piece. played: the same for the ports of each side, in parts; equal parts may
    be one object, and are looked at once then.
    """

    owner: Counts
    positions: Sequence[tuple[Position, ...]]
    receives: Mapping[Side, Mask]
    put: Part
    played: Mapping[Side, Sequence[Part]]

    def leaving(self) -> dict[Side, Counts]:
        """How many wavelets with data leave each tile on each side.

        A tile is passed when all are that it receives from; all that can be, at once.

        Raises:
            Stuck: not all that comes to some router leaves it.
            TooMany: it takes too long to tell.
        """
        self.routers = Routers()
        self.out = {side: np.zeros(self.owner.shape, np.int64) for side in SIDES}
        self.own = self._own()
        self.fed = {side: self._fed(side) for side in NEIGHBOURS}
        waiting = self._waiting()
        left = np.count_nonzero(self.owner)
        ready = np.argwhere((self.owner != 0) & (waiting == 0))
        while ready.size:
            left -= len(ready)
            self._pass(ready)
            ready = self._following(ready, waiting)
        if left:
            raise TooMany  # two tiles receive from each other, in different positions
        data = np.array([self.routers.data(n) for n in range(len(self.routers.streams))])
        return {side: data[numbers] for side, numbers in self.out.items()}

    def _own(self) -> Counts:
        """The number of the stream that the core of each tile puts into the color."""
        if not self.put:
            return np.zeros(self.owner.shape, np.int64)
        firsts, which = _alike([grid for _, grid in self.put])
        numbers = [
            self.routers.number(
                joined((control, int(grid.flat[tile])) for control, grid in self.put)
            )
            for tile in firsts.tolist()
        ]
        return np.array(numbers)[which].reshape(self.owner.shape)

    def _fed(self, side: Side) -> Counts:
        """The number of the stream that the edge plays into each port of a side.

        Raises:
            TooMany: these streams alone have more items than are followed.
        """
        played = self.played.get(side, ())
        parts = {id(part): part for part in played}
        lines = [line for part in parts.values() for _, line in part]
        if not lines:
            return np.zeros(self.owner.shape[_along(side)], np.int64)
        firsts, which = _alike(lines)
        numbers: list[int] = []
        items = 0
        for port in firsts.tolist():
            own = {
                key: joined((control, int(line[port])) for control, line in part)
                for key, part in parts.items()
            }
            stream = _behind_each_other(own[id(part)] for part in played)
            items += len(stream)
            if items > MOST_ITEMS:
                raise TooMany
            numbers.append(self.routers.number(stream))
        return np.array(numbers)[which]

    def _waiting(self) -> Counts:
        """How many neighbours with a route each tile receives from."""
        waiting = np.zeros(self.owner.shape, np.int64)
        for side in NEIGHBOURS:
            here, there = SHIFT[side]
            waiting[here] += self.receives[side][here] & (self.owner[there] != 0)
        return waiting

    def _pass(self, tiles: Counts) -> None:
        """Follow the streams through the routers of tiles; those alike are one piece of work."""
        y, x = tiles.T
        columns = [self.owner[y, x], self.own[y, x]]
        columns += [self._entering(tiles, side) for side in NEIGHBOURS]
        firsts, which = _alike(columns)
        table = np.stack(columns, axis=1)[firsts]
        for number, (route, own, *row) in enumerate(table.tolist()):
            here = tiles[which == number]
            entering = dict(zip(NEIGHBOURS, row, strict=True))
            entering[Side.RAMP] = own
            passed, left, at = self.routers.passed(self.positions[route - 1], entering)
            if left is not None:
                raise Stuck(int(here[0] @ (self.owner.shape[1], 1)), *left, at)
            for side, stream in passed.items():
                self.out[side][here[:, 0], here[:, 1]] = stream

    def _entering(self, tiles: Counts, side: Side) -> Counts:
        """The number of the stream that comes to each tile from a side."""
        there, inside = self._beyond(tiles, side)
        found = self.fed[side][tiles[:, _along(side)]]
        found[inside] = self.out[side.opposite][there[:, 0], there[:, 1]]
        return found * self.receives[side][tiles[:, 0], tiles[:, 1]]

    def _following(self, tiles: Counts, waiting: Counts) -> Counts:
        """The tiles that waited for no others than these."""
        found: list[Counts] = []
        for side in NEIGHBOURS:
            there, _ = self._beyond(tiles, side)
            y, x = there.T
            there = there[self.receives[side.opposite][y, x] & (self.owner[y, x] != 0)]
            y, x = there.T
            waiting[y, x] -= 1
            found.append(there[waiting[y, x] == 0])
        return np.concatenate(found)

    def _beyond(self, tiles: Counts, side: Side) -> tuple[Counts, Mask]:
        """The neighbours on a side, for the tiles that have one, and which these are."""
        dx, dy = side.step
        there = tiles + np.array((dy, dx))
        inside: Mask = np.all((there >= 0) & (there < self.owner.shape), axis=1)
        return there[inside], inside


class Routers:
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
            TooMany: more is followed than is worth while.
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
                raise TooMany
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
        numbers = {side: self.number(joined(items)) for side, items in out.items()}
        return numbers, left[0] if left else None, at


def joined(items: Iterable[Item]) -> Stream:
    """A stream without empty items, equal neighbours as one."""
    found: list[Item] = []
    for control, count in items:
        if count and found and found[-1][0] is control:
            found[-1] = (control, found[-1][1] + count)
        elif count:
            found.append((control, count))
    return tuple(found)


def _behind_each_other(streams: Iterable[Stream]) -> Stream:
    """Streams, each without empty items or equal neighbours, as one."""
    found: list[Item] = []
    for stream in streams:
        if found and stream and found[-1][0] is stream[0][0]:
            control, count = stream[0]
            found[-1] = (control, found[-1][1] + count)
            found += stream[1:]
        else:
            found += stream
    return tuple(found)


def _alike(grids: Sequence[Counts]) -> tuple[Counts, Counts]:
    """The first of all places with the same values in all grids, and for each place which it is.

    Places of a grid are counted row by row. There may be hundreds of thousands of grids, most of
    them one object: places are told apart by numbers made of their values, and then held against
    the first one, value for value.
    """
    distinct = [grid.ravel() for grid in {id(grid): grid for grid in grids}.values()]
    made = np.zeros(distinct[0].size, np.uint64)
    for line in distinct:
        made = made * np.uint64(0x9E3779B97F4A7C15) + line.astype(np.uint64) + np.uint64(1)
    _, firsts, which = np.unique(made, return_index=True, return_inverse=True)
    which = which.ravel()
    if not all(np.array_equal(line, line[firsts][which]) for line in distinct):
        table = np.stack(distinct, axis=1)
        _, firsts, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return firsts, which.ravel()


def _along(side: Side) -> int:
    """The axis of (row, column) that counts the ports of a side."""
    return 1 if side in (Side.NORTH, Side.SOUTH) else 0
