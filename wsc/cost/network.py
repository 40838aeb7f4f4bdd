"""Times of remote stores: messages X then Y, and the links that they share.

A link carries one wavelet a cycle, so what crosses it ends no earlier than the first of it comes
plus all of it; a message is there when the last link of its way that is so late has let
it pass. Each sampled tile stands for its neighbours: along a line their messages share links,
across it they do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from wsc.cost.tiles import Axis, sample
from wsc.cost.wormhole import Sends, follow

HEADERS = 2
MOST = 12_000  # messages of one move that are followed one by one ...
BUDGET = (
    40_000  # ... and so many more of the first moves of a program: small ones are followed whole
)
MANY = 8_000  # messages, from which on it is worth to load compiled code
NARROW = 8  # tiles between sampled ones, so few that one stands for all of them
WIDE = 2  # such gaps, where they are wider: the messages of one tile's neighbours are spread so far
MERGES = 8  # routers of its way at which a message shares a link, from which on it is starved
SPREAD = (5**0.5 - 1) / 2  # multiples of it are spread evenly


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of some sampled tiles, one entry for each tile.

    row, column: index of the sending tile among the sampled ones. to_x, to_y: target's
    coordinates. count: messages, one after the other. wavelets: of all of them, headers
    included. first, last: cycles in which the first and
    the last wavelet leave the core.
    """

    row: np.ndarray
    column: np.ndarray
    to_x: np.ndarray
    to_y: np.ndarray
    count: np.ndarray
    wavelets: np.ndarray
    first: np.ndarray
    last: np.ndarray


def arrivals(batches: list[Messages], x: Axis, y: Axis, ramp: int, hop: int = 1) -> np.ndarray:
    """[rows, columns]: cycle in which the last message has arrived; -inf where none does.

    ramp: cycles from a core into the network. hop: those from a router to the next one.
    """
    found = np.full((len(y.places), len(x.places)), -np.inf)
    if not batches:
        return found
    row, column, to_x, to_y, _, wavelets, first, last = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in Messages.__slots__
    )
    lines_x, wide_x = _targets(batches, "column", "to_x", x)
    lines_y, wide_y = _targets(batches, "row", "to_y", y)
    at_x, at_y = x.nearest(to_x), y.nearest(to_y)
    across = np.abs(to_x - x.places[column]) * hop
    hops = across + np.abs(to_y - y.places[row]) * hop
    begin = first + ramp
    # Along its row a message shares links with those of the columns that its tile stands for.
    rows = _line(row, column, at_x, wavelets * x.weight[column], begin, x.places)
    # In the column of its target it meets those of all rows that send there.
    weight = wavelets * x.weight[column] * y.weight[row] / wide_x
    columns = _line(lines_x, row, at_y, weight, begin + across, y.places)
    end = np.maximum(last + ramp, np.maximum(rows.end, columns.end - across))
    # One that waits to turn into a column keeps those behind it in its row.
    held = columns.late > 0
    end = np.where(held, np.maximum(end, rows.end + columns.end - begin - across), end)
    end += hops + 1.0
    # A tile takes one wavelet a cycle.
    tiles, tile = np.unique(lines_x * 2 * y.size + lines_y, return_inverse=True)
    arrived, load = np.full(len(tiles), np.inf), np.zeros(len(tiles))
    np.minimum.at(arrived, tile, begin + hops)
    np.add.at(load, tile, weight / wide_y)
    end = np.maximum(end, (arrived + load)[tile] + 1.0)
    np.maximum.at(found, (at_y, at_x), end)
    return found


def _targets(
    batches: list[Messages], sender: str, target: str, axis: Axis
) -> tuple[np.ndarray, np.ndarray]:
    """Which coordinates the messages go to: a number for each, and how many tiles that is.

    Where most tiles are sampled, each message goes to the place that stands for its target. Else a
    sampled tile stands for many neighbours, whose targets are neighbours as well: such messages go
    to all of a stretch of tiles. Where tiles of several coordinates send to the same one, they go
    to that one; what tiles of a single coordinate have in common says nothing of their neighbours.
    """
    gap = int(axis.gaps.max(initial=1))
    numbers: list[np.ndarray] = []
    wide: list[np.ndarray] = []
    for batch in batches:
        to = getattr(batch, target).astype(np.int64)
        if gap <= NARROW:
            place = axis.nearest(to)
            numbers.append(place)
            wide.append(axis.weight[place])
            continue
        # Stretches that several sampled tiles send to: in a finer grid some would get nothing.
        length = WIDE * gap
        alike = (to == to[0]).all() and _several(getattr(batch, sender), axis)
        stretch = to // length * length
        numbers.append(to if alike else axis.size + stretch)
        wide.append(
            np.ones(len(to)) if alike else np.minimum(length, axis.size - stretch).astype(float)
        )
    return np.concatenate(numbers), np.concatenate(wide)


def _several(places: np.ndarray, axis: Axis) -> bool:
    """Whether these are more than one sampled coordinate, or one that stands for itself alone."""
    return bool((places != places[0]).any() or axis.weight[places[0]] == 1)


@dataclass(frozen=True, slots=True)
class _Line:
    """When messages along lines are through. late: how much of that is not due to the words on
    the links of their own way, but to those that go first."""

    end: np.ndarray
    late: np.ndarray


def _line(
    line: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    wavelets: np.ndarray,
    begin: np.ndarray,
    places: np.ndarray,
) -> _Line:
    """For each message the cycle in which the latest link of its way along a line is through.

    line: which line it runs on. start, stop: indices of places on it. begin: when it starts there.
    places: coordinates.

    At each router on its way a message takes turns with those that enter there, so that one that
    has passed many has next to none left: it waits until they are through, and they, before,
    until those are that enter on their own way.
    """
    bound, whole = np.full(len(line), -np.inf), np.full(len(line), -np.inf)
    lines, links = int(line.max()) + 1, len(places) - 1
    for ahead in (True, False):
        low, high = (start, stop) if ahead else (stop, start)
        # What is through the link behind each place: the load of it and of those before it.
        through = np.zeros((links + 2, lines))
        # The links that come last on the ways come first.
        for link in range(links - 1, -1, -1) if ahead else range(links):  # to place link + 1
            over = (low <= link) & (high > link)
            if not over.any():
                continue
            mine = line[over]
            load, soonest = np.zeros(lines), np.full(lines, np.inf)
            np.add.at(load, mine, wavelets[over])
            np.minimum.at(soonest, mine, begin[over])
            bound[over] = np.maximum(bound[over], (load + soonest)[mine])
            # The link behind the place where these stop on average: what is through it without
            # them, or before them, goes first.
            stops = _mean(mine, places[stop[over]], wavelets[over], load)
            apart = _mean(
                mine, np.abs(places[stop[over]] - places[start[over]]), wavelets[over], load
            )
            middle = (places[1:] + places[:-1] + 1) // 2
            beyond = np.searchsorted(middle, stops, side="right") - (0 if ahead else 1)
            beyond = np.where(apart >= MERGES, np.clip(beyond, -1, links), links)
            both = over & (low <= beyond[line]) & (high > beyond[line])
            shared = np.zeros(lines)
            np.add.at(shared, line[both], wavelets[both])
            later = np.maximum(through[beyond, np.arange(lines)] - shared, 0.0)
            through[link] = load + later
            whole[over] = np.maximum(whole[over], (load + later + soonest)[mine])
    moves = np.isfinite(bound)
    return _Line(whole, np.where(moves, whole - np.where(moves, bound, 0.0), 0.0))


def _mean(
    line: np.ndarray, values: np.ndarray, weight: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """The weighted mean of the values on each line; 0 where there are none."""
    found = np.zeros(len(total))
    np.add.at(found, line, values * weight)
    return found / np.where(total > 0, total, 1.0)


def simulate(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: float,
    hop: float = 1.0,
    compiled: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """What ``arrivals`` gives, and the cycles in which the senders' last wavelets are off.

    For meshes whose tiles are all sampled.
    """
    width, height = len(x.places), len(y.places)
    if not batches:
        nothing = np.full((height, width), -np.inf)
        return nothing, nothing.copy()
    sender, target, wavelets, first, last = (
        np.concatenate(parts)
        for parts in zip(*(_one_by_one(batch, width) for batch in batches), strict=True)
    )
    order = np.argsort(sender, kind="stable")
    begin = np.searchsorted(sender[order], np.arange(width * height + 1))
    sends = Sends(begin, target[order], wavelets[order], first[order], last[order])
    arrived, ends = follow(sends, width, height, depth, ramp, hop, compiled)
    found = np.where(arrived >= 0, arrived + 1.0, -np.inf)
    return found.reshape(height, width), ends.reshape(height, width)


def _one_by_one(batch: Messages, width: int) -> tuple[np.ndarray, ...]:
    """The messages of a batch: sender, target, wavelets, first and last cycle of each."""
    count = batch.count.astype(np.int64)
    numbers = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step = np.repeat((batch.last - batch.first + 1) / batch.count, count)
    first = np.repeat(batch.first, count) + numbers * step
    last = np.repeat(batch.first, count) + (numbers + 1) * step - 1
    source = np.repeat(batch.row * width + batch.column, count).astype(np.int64)
    target = np.repeat(batch.to_y * width + batch.to_x, count).astype(np.int64)
    wavelets = np.repeat(batch.wavelets // batch.count, count).astype(np.int64)
    return source, target, wavelets, first, last


def _thinned(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: int,
    hop: int,
    scale: float,
    compiled: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``simulate``, with one of ``scale`` messages, and time that runs so much faster.

    Each sender begins to count elsewhere, or those that are kept would all be of the same batches.
    """
    rows, columns = np.mgrid[: len(y.places), : len(x.places)]
    sent = (rows * SPREAD + columns * SPREAD**2) % 1.0 * scale  # messages before, by sender
    fewer: list[Messages] = []
    for batch in batches:
        before = sent[batch.row, batch.column]
        sent[batch.row, batch.column] += batch.count
        after = sent[batch.row, batch.column]
        kept = np.floor(after / scale) - np.floor(before / scale)
        some = kept > 0
        fields = {name: getattr(batch, name)[some] for name in Messages.__slots__}
        fields["wavelets"] = fields["wavelets"] // fields["count"] * kept[some]
        fields["count"] = kept[some]
        fields["first"] = fields["first"] / scale
        fields["last"] = (fields["last"] + 1) / scale - 1
        fewer.append(Messages(**fields))
    came, ends = simulate(fewer, x, y, depth, ramp / scale, hop / scale, compiled)
    return came * scale, ends * scale


def followed(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: int,
    most: float,
    compiled: bool = False,
    hop: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``simulate`` from cycle 0 on, following at most about ``most`` messages.

    Where there are more, the times with fewer and with half of these are continued to all of them:
    messages get into each other's way the less, the fewer stand for the others.
    """
    total = _count(batches)
    scale = total / most * 1.5
    if total <= most:
        return simulate(batches, x, y, depth, ramp, hop, compiled)
    near, far = (_thinned(batches, x, y, depth, ramp, hop, s, compiled) for s in (scale, 2 * scale))
    latest = [max(float(array.max(initial=0)) for array in found) for found in (near, far)]
    longer = 1.0
    if latest[1] > 0:
        longer = min(max(1.0 + (1.0 - latest[1] / latest[0]) * (1 - 1 / scale), 1.0), 2.0)
    return near[0] * longer, near[1] * longer


def _count(batches: list[Messages]) -> float:
    return sum(float(batch.count.sum()) for batch in batches)


def _lines(batches: list[Messages]) -> str:
    """``row`` or ``column`` if every message stays in that of its sender; empty otherwise."""
    if all((batch.to_y == batch.row).all() for batch in batches):
        return "row"
    return "column" if all((batch.to_x == batch.column).all() for batch in batches) else ""


def _of_line(batches: list[Messages], along: str, line: int) -> list[Messages]:
    """The messages of one row, or column, as those of a mesh that has no other."""
    to = "to_y" if along == "row" else "to_x"
    found: list[Messages] = []
    for batch in batches:
        mine = getattr(batch, along) == line
        if mine.any():
            fields = {name: getattr(batch, name)[mine] for name in Messages.__slots__}
            nothing = np.zeros_like(fields[along])
            found.append(Messages(**fields | {along: nothing, to: nothing}))
    return found


@dataclass(slots=True)
class Patterns:
    """Results of ``simulate``, kept: equal layers send the same messages in the same rhythm.

    count: messages followed so far; code is compiled for them when there are many.
    """

    seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    budget: float = BUDGET
    count: float = 0.0

    def times(
        self, batches: list[Messages], x: Axis, y: Axis, depth: int, ramp: int, hop: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """As ``simulate``."""
        along = _lines(batches)
        if not along or min(len(x.places), len(y.places)) == 1:
            return self._times(batches, x, y, depth, ramp, hop)
        # Rows that send along themselves alone do not meet, and mostly do the same.
        came = np.full((len(y.places), len(x.places)), -np.inf)
        ends = came.copy()
        one = sample(1)
        for line in range(len(y.places) if along == "row" else len(x.places)):
            mine = _of_line(batches, along, line)
            if mine:
                place = (line, slice(None)) if along == "row" else (slice(None), line)
                axes = (x, one) if along == "row" else (one, y)
                found = self._times(mine, *axes, depth, ramp, hop)
                came[place], ends[place] = (array.ravel() for array in found)
        return came, ends

    def _times(
        self, batches: list[Messages], x: Axis, y: Axis, depth: int, ramp: int, hop: int
    ) -> tuple[np.ndarray, np.ndarray]:
        begin = min((float(batch.first.min()) for batch in batches), default=0.0)
        moved = [
            replace(batch, first=batch.first - begin, last=batch.last - begin) for batch in batches
        ]
        key = b"|".join(
            np.ascontiguousarray(getattr(batch, name)).tobytes()
            for batch in moved
            for name in Messages.__slots__
        )
        key += b"%d,%d" % (len(x.places), len(y.places))
        if key not in self.seen:
            count = _count(moved)
            most = max(self.budget, MOST)
            self.budget -= count if count <= most else 0
            most = most if count <= most else MOST
            self.count += min(count, most)
            self.seen[key] = followed(moved, x, y, depth, ramp, most, self.count > MANY, hop)
        came, ends = self.seen[key]
        return came + begin, ends + begin
