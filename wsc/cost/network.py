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
    """[rows, columns]: cycle in which the last message has arrived; 0 where none does.

    ramp: cycles from a core into the network. hop: those from a router to the next one.
    """
    found = np.zeros((len(y.places), len(x.places)))
    if not batches:
        return found
    row, column, to_x, to_y, _, wavelets, first, last = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in Messages.__slots__
    )
    lines_x, wide_x = _targets(batches, "to_x", x, y)
    lines_y, wide_y = _targets(batches, "to_y", x, y)
    at_x, at_y = x.nearest(to_x), y.nearest(to_y)
    across = np.abs(to_x - x.places[column]) * hop
    down = np.abs(to_y - y.places[row]) * hop
    # Along its row a message shares links with those of the columns that its tile stands for.
    begin, load = first + ramp, wavelets * x.weight[column]
    ways = Ways(row, x.places[column], to_x, column, at_x)
    through = _line(ways, load, begin, hop, x)
    begin = np.maximum(begin + across, through - load)
    end = np.maximum(last + ramp + across, through) + down
    # In the column of its target it meets those of all rows that send there.
    load = wavelets * x.weight[column] * y.weight[row] / wide_x
    ways = Ways(lines_x, y.places[row], to_y, row, at_y)
    through = _line(ways, load, begin, hop, y)
    begin = np.maximum(begin + down, through - load)
    end = np.maximum(end, through)
    # A tile takes one wavelet a cycle.
    _, tile = np.unique(lines_x * 2 * y.size + lines_y, return_inverse=True)
    end = np.maximum(end, _in_turn(tile, begin, load / wide_y)) + 1.0
    np.maximum.at(found, (at_y, at_x), end)
    return found


def _targets(batches: list[Messages], to: str, x: Axis, y: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Which columns (``to_x``) or rows (``to_y``) messages go to: a number for each, and how many.

    A sampled tile stands for many neighbours, whose targets may be neighbours as well: such
    messages go to a stretch of lines, and each line gets a part of them. Where tiles of several
    lines send to the same one, they go to that one; what tiles of a single line have in common says
    nothing of their neighbours.
    """
    axis, sender = (x, "column") if to == "to_x" else (y, "row")
    gap = int(axis.gaps.max(initial=1))
    numbers: list[np.ndarray] = []
    wide: list[np.ndarray] = []
    for batch in batches:
        target = getattr(batch, to).astype(np.int64)
        if (target == target[0]).all() and _several(getattr(batch, sender), axis):
            numbers.append(target)
            wide.append(np.ones(len(target)))
            continue
        # Stretches that several sampled tiles send to: in a finer grid some would get nothing.
        stretch = axis.nearest(target) if gap <= NARROW else target // (WIDE * gap)
        numbers.append(axis.size + stretch)
        # How many lines of the stretch get some: those of one target and its neighbours', for each.
        one, which = np.unique(target, return_inverse=True)
        spans, lines = np.ones(len(one)), np.zeros(int(stretch.max()) + 1)
        np.maximum.at(spans, which, _span(batch, target, x, y))
        stretch_of = np.zeros(len(one), np.int64)
        stretch_of[which] = stretch
        np.add.at(lines, stretch_of, spans)
        wide.append(lines[stretch])
    return np.concatenate(numbers), np.concatenate(wide)


def _several(places: np.ndarray, axis: Axis) -> bool:
    """Whether these are more than one sampled coordinate, or one that stands for itself alone."""
    return bool((places != places[0]).any() or axis.weight[places[0]] == 1)


def _span(batch: Messages, target: np.ndarray, x: Axis, y: Axis) -> np.ndarray:
    """To how many lines the tiles send that each sampled one stands for."""
    shape = len(y.places), len(x.places)
    known, table = np.zeros(shape, bool), np.zeros(shape)
    known[batch.row, batch.column] = True
    table[batch.row, batch.column] = target
    span = _steps(table, known, y) * y.weight[:, None] + _steps(table.T, known.T, x).T * x.weight
    return np.maximum(span[batch.row, batch.column], 1.0)


def _steps(table: np.ndarray, known: np.ndarray, axis: Axis) -> np.ndarray:
    """By how much targets change from a tile to the next one along the first axis of a table."""
    both = known[1:] & known[:-1]
    step = np.where(both, np.abs(np.diff(table, axis=0)) / axis.gaps[1:, None], 0.0)
    found, count = np.zeros(table.shape), np.zeros(table.shape)
    for part in (slice(1, None), slice(None, -1)):
        found[part] += step
        count[part] += both
    return found / np.maximum(count, 1)


@dataclass(frozen=True, slots=True)
class Ways:
    """How messages go along a row or a column: one entry for each.

    line: which row or column. source, target: coordinates of both ends. start, stop: the sampled
    places that stand for them.
    """

    line: np.ndarray
    source: np.ndarray
    target: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def _line(ways: Ways, wavelets: np.ndarray, begin: np.ndarray, hop: int, axis: Axis) -> np.ndarray:
    """For each message the cycle in which it has come to the end of its way along a line.

    begin: when it starts there. A link takes a wavelet a cycle, of messages in the order in
    which they come to it.
    """
    latest = np.zeros(len(begin))
    for ahead in (1, -1):
        low, high = (ways.start, ways.stop) if ahead > 0 else (ways.stop, ways.start)
        # Cycles of a clock that moves along the line as fast as a wavelet does.
        moving = begin - ahead * ways.source * hop
        some = np.flatnonzero(low < high)
        order = some[np.lexsort((moving[some], ways.line[some]))]
        for link in range(len(axis.places) - 1):  # between the places link and link + 1
            over = order[(low[order] <= link) & (high[order] > link)]
            if len(over):
                through = _queued(ways.line[over], moving[over], wavelets[over])
                came = through + ahead * ways.target[over] * hop
                latest[over] = np.maximum(latest[over], came)
    return latest


def _in_turn(place: np.ndarray, begin: np.ndarray, wavelets: np.ndarray) -> np.ndarray:
    """When messages have passed that come to places which take a wavelet a cycle."""
    order = np.lexsort((begin, place))
    through = np.zeros(len(begin))
    through[order] = _queued(place[order], begin[order], wavelets[order])
    return through


def _queued(place: np.ndarray, begin: np.ndarray, wavelets: np.ndarray) -> np.ndarray:
    """As ``_in_turn``, for messages in the order of their places, and of their times."""
    sums = np.cumsum(wavelets)
    idle = begin - (sums - wavelets)  # when the first of a stretch without a pause would have come
    # Each place has a stretch of numbers of its own, above those of the places before it.
    _, number = np.unique(place, return_inverse=True)
    apart = number * (float(np.ptp(idle)) + 1.0)
    return np.maximum.accumulate(idle + apart) - apart + sums


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
        return np.zeros((height, width)), np.zeros((height, width))
    sender, target, wavelets, first, last = (
        np.concatenate(parts)
        for parts in zip(*(_one_by_one(batch, width) for batch in batches), strict=True)
    )
    order = np.argsort(sender, kind="stable")
    begin = np.searchsorted(sender[order], np.arange(width * height + 1))
    sends = Sends(begin, target[order], wavelets[order], first[order], last[order])
    arrived, ends = follow(sends, width, height, depth, ramp, hop, compiled)
    return arrived.reshape(height, width), ends.reshape(height, width)


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
        came = np.zeros((len(y.places), len(x.places)))
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
        came, ends = (np.where(cycle > 0, cycle + begin, 0.0) for cycle in self.seen[key])
        return came, ends
