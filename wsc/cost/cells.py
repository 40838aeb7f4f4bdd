"""Messages of a large mesh: those from one cell of tiles to another are followed as one.

Tiles side by side do much the same, and what they send meets on the same links. So the mesh is
cut into cells, and each becomes a router of a grid, on which messages are followed as those of
single tiles are (``wormhole``). A message there stands for all that goes from one cell to another
in some turns of a loop. How long it takes to pass is the number of its wavelets for each of the
lines over which they are spread: rows of its senders, columns and tiles of its targets. Of a link
of the grid, which is as many links of the mesh as its cell has rows or columns, it takes a part.
These links have lanes, each for a few of the rows or columns, which do not wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wsc.cost.messages import Sample
from wsc.cost.tiles import Axis
from wsc.cost.wormhole import FAR, SHORT, Grid, Sends, follow

STAGES = 400_000  # routers passed by all messages of a move together, at most
BUDGET = 1_200_000  # ... and so many in the first moves of a program if each tile has a router
# Cells along each axis, if the other one has as many, and lanes of a link between them: the
# coarser, the less exact.
GRIDS = ((24, 8), (16, 8), (12, 8), (8, 8), (8, 4), (8, 2), (8, 1))
WIDEST = 8  # tiles between those of a sample that send, if those between them do
FINER = 1.2  # steps in which cells get smaller


@dataclass(frozen=True, slots=True)
class Cells:
    """One axis, cut into cells. of: the cell of each coordinate. tiles: along each cell."""

    of: np.ndarray
    tiles: np.ndarray

    def lanes(self, count: int) -> np.ndarray:
        """The lane of each coordinate, if each cell has so many side by side."""
        begins = np.cumsum(self.tiles) - self.tiles
        inside = (np.arange(len(self.of)) - begins[self.of]) * count // self.tiles[self.of]
        return self.of * count + inside.astype(np.int64)

    @property
    def count(self) -> int:
        """Cells along the axis."""
        return len(self.tiles)

    @staticmethod
    def single(size: int) -> Cells:
        """A cell for each tile."""
        return Cells(np.arange(size), np.ones(size))

    @staticmethod
    def cut(size: int, most: int, ends: tuple[np.ndarray, ...]) -> Cells:
        """At most so many cells, smaller ones where many messages begin or end.

        An axis is halved, and so are the halves: lines that do alike are in cells of one size, and
        these begin at the same places along both axes.

        ends: coordinates of senders, and of targets.
        """
        if size <= most:
            return Cells.single(size)
        dense = np.zeros(size)
        for found in (np.flatnonzero(np.bincount(part)) for part in ends if len(part)):
            # What is between coordinates of a sample is as those are.
            gap = min(int(np.diff(found).max(initial=1)), WIDEST)
            here = np.zeros(size + gap, bool)
            here[(found[:, None] + np.arange(gap)).ravel()] = True
            dense[here[:size]] += 1.0 / here[:size].sum()
        before = np.concatenate([[0.0], np.cumsum(dense)])
        limit, kept, cuts = 2.0, [0], [0]
        while len(cuts) <= most and limit > 1.0 / size / size:
            kept, limit = cuts, limit / FINER
            cuts = _halved(before, limit, 0, 1 << (size - 1).bit_length())
        number = np.searchsorted(kept, np.arange(size), side="right") - 1
        return Cells(number, np.bincount(number).astype(float))


def _halved(before: np.ndarray, limit: float, begin: int, end: int) -> list[int]:
    """Where cells begin, none of which has more than so much, unless it is a single tile."""
    size = len(before) - 1
    if begin >= size:
        return []
    if end - begin == 1 or before[min(end, size)] - before[begin] <= limit:
        return [begin]
    middle = (begin + end) // 2
    return _halved(before, limit, begin, middle) + _halved(before, limit, middle, end)


@dataclass(frozen=True, slots=True)
class Flows:
    """Messages between cells, in the order of their senders, and of turns.

    lanes: those of each link. source, target: numbered as in ``wormhole.Sends``. keys: what tells
    them apart, in their order; each: the key of each entry of the sample.
    """

    x: Cells
    y: Cells
    lanes: int
    source: np.ndarray
    target: np.ndarray
    keys: np.ndarray
    each: np.ndarray

    def of(self) -> np.ndarray:
        """Which of them each entry of the sample belongs to."""
        return np.searchsorted(self.keys, self.each)

    @property
    def stages(self) -> int:
        """Routers that they pass, together."""
        wide, lanes = self.x.count, self.lanes
        across = np.abs(self.source % wide - self.target // lanes % wide)
        down = np.abs(self.source // (wide * lanes) - self.target // (wide * lanes))
        return int((across + down + 1).sum())

    @staticmethod
    def between(x: Cells, y: Cells, sent: Sample, parts: int, lanes: int) -> Flows:
        """Those of a sample, if its turns are taken together to so many parts."""
        targets = x.count * y.count * lanes
        source = y.lanes(lanes)[sent.y] * x.count + x.of[sent.x]
        target = y.of[sent.to_y] * x.count * lanes + x.lanes(lanes)[sent.to_x]
        part = sent.turn * parts // sent.turns
        each = (source * parts + part) * targets + target
        keys = _distinct(each)
        return Flows(x, y, lanes, keys // (parts * targets), keys % targets, keys, each)


@dataclass(frozen=True, slots=True)
class Known:
    """Messages that were followed. begin: cycle of the first one. came, ends: see ``Moves``.

    stages: routers that they passed.
    """

    begin: float
    came: np.ndarray
    ends: np.ndarray
    stages: int


@dataclass(slots=True)
class Moves:
    """Follows the messages of a program's moves, in the first of them those of single tiles.

    budget: routers that may be passed before the others are followed by cells alone. known: what
    was found of messages that were sent so before, with the cycle of the first one.
    """

    budget: float = BUDGET
    known: dict[bytes, Known] = field(default_factory=dict[bytes, "Known"])

    def arrivals(
        self, sent: Sample, x: Axis, y: Axis, depth: int, ramp: int, hop: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """When the last message has come to each sampled tile, and when its own last one is off.

        depth: wavelets of an input buffer. ramp: cycles from a core into the network. hop: those
        from a router to the next one.

        Returns:
            Two times cycles, [rows, columns] of sampled tiles; 0 where there is none.
        """
        begin, alike = float(sent.first.min()), sent.digest(self.budget > 0, depth, ramp, hop)
        known = self.known.get(alike)
        if known is None:
            known = Known(begin, *self._followed(sent, x, y, depth, ramp, hop))
            self.known[alike] = known
        self.budget -= known.stages
        later = begin - known.begin
        came, ends = (np.where(time > 0, time + later, 0.0) for time in (known.came, known.ends))
        return came, ends

    def _followed(
        self, sent: Sample, x: Axis, y: Axis, depth: int, ramp: int, hop: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Both times, and the routers that were passed."""
        flows = flows_of(sent, x.size, y.size, STAGES, self.budget > 0)
        lanes = flows.lanes
        grid = Grid(flows.x.tiles, flows.y.tiles, lanes)
        came, ends = follow(_sends(flows, sent), grid, depth, ramp, hop, compiled=True)
        came = came.reshape(flows.y.count, flows.x.count * lanes)
        ends = ends.reshape(flows.y.count * lanes, flows.x.count)
        return (
            came[np.ix_(flows.y.of[y.places], flows.x.lanes(lanes)[x.places])],
            ends[np.ix_(flows.y.lanes(lanes)[y.places], flows.x.of[x.places])],
            flows.stages,
        )


def flows_of(sent: Sample, width: int, height: int, most: int, single: bool = False) -> Flows:
    """The messages of the finest grid on which they pass at most so many routers.

    single: whether each tile may have a router.
    """
    far = np.abs(sent.to_x - sent.x) + np.abs(sent.to_y - sent.y) + 1
    known = sent.wide.max() == 1 and sent.high.max() == 1
    if single and known and far.sum() <= most:
        return Flows.between(Cells.single(width), Cells.single(height), sent, sent.turns, 1)
    found = _on_cells(sent, width, height, *GRIDS[0], most)
    for side, lanes in GRIDS[1:]:
        if found.stages <= most:
            break
        found = _on_cells(sent, width, height, side, lanes, most)
    return found


def _on_cells(sent: Sample, width: int, height: int, side: int, lanes: int, most: int) -> Flows:
    """The messages between about ``side`` x ``side`` cells with lanes, with turns taken together.

    most: routers that they may pass, unless all turns together pass more.
    """
    # A short axis leaves its share to the other one.
    rows = min(height, side)
    columns = min(width, side * side // rows)
    rows = min(height, side * side // columns)
    x = Cells.cut(width, _known(sent.x, sent.wide, columns), (sent.x, sent.to_x))
    y = Cells.cut(height, _known(sent.y, sent.high, rows), (sent.y, sent.to_y))
    parts = sent.turns
    found = Flows.between(x, y, sent, parts, lanes)
    while found.stages > most and parts > 1:
        parts = max(min(parts * most // found.stages, parts - 1), 1)
        found = Flows.between(x, y, sent, parts, lanes)
    return found


def _known(senders: np.ndarray, stand: np.ndarray, most: int) -> int:
    """How many cells there may be, so that each has some senders of a sample."""
    known = int(np.count_nonzero(np.bincount(senders)))
    return most if stand.max() == 1 else max(min(most, known // 2), 1)


def _sends(flows: Flows, sent: Sample) -> Sends:
    """How long each of the messages takes, of which part of its links, and when it leaves."""
    of, words = flows.of(), sent.wavelets * sent.wide * sent.high
    whole = np.bincount(of, words)
    ends = flows.x.count * flows.y.count * flows.lanes
    begin = np.searchsorted(flows.source, np.arange(ends + 1))
    rows, columns = flows.source // flows.x.count, flows.target % (flows.x.count * flows.lanes)
    # Lines of the mesh over which a message is spread, and those of which its links consist.
    more_x, more_y = _more(sent)
    tiles = sent.to_y * len(flows.x.of) + sent.to_x
    cycles: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    for line, more, link in (
        (sent.y, float(sent.high.mean()), rows),
        (sent.to_x, more_x, columns),
        (tiles, more_x * more_y, flows.target),
    ):
        mine = _lines(of, line, more)
        cycles.append(whole / mine)
        shares.append(np.minimum(mine / _lines(link[of], line, more)[link], 1.0))
    # Within the cell of its target it may pass some links more.
    inside: list[np.ndarray] = []
    for place, (axis, begins, ends) in enumerate(
        ((flows.x, sent.x, sent.to_x), (flows.y, sent.y, sent.to_y))
    ):
        ahead, held = _within(axis, begins, ends)
        part = np.bincount(of, held * words) / whole
        mean = np.bincount(of, ahead * words / axis.tiles[axis.of[ends]]) / whole
        reach = np.where(np.abs(mean) < 0.5, SHORT, FAR)
        inside.append(np.where(part > 0, np.sign(mean).astype(np.int64) * reach, 0))
        cycles.insert(2 * place + 1, np.maximum(cycles[2 * place] * part, 1.0))
        shares.insert(2 * place + 1, shares[2 * place])
    first, last = (np.bincount(of, time * words) / whole for time in (sent.first, sent.last))
    passed = np.stack(cycles), np.stack(shares), np.stack(inside)
    return Sends(begin, flows.target, *passed, first, last)


def _within(axis: Cells, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far ways go along an axis within the cell of their ends, and how much of it they hold.

    What goes a single tile on has its links for itself. Behind a few others it has next to no
    turns, so that all of a cell go one after the other.
    """
    edges = np.concatenate([[0], np.cumsum(axis.tiles)]).astype(np.int64)
    cell = axis.of[ends]
    # Those from other cells come in at the near edge.
    came = np.clip(begins, edges[cell] - 1, edges[cell + 1])
    ahead = ends - came
    far, tiles = np.abs(ahead), axis.tiles[cell]
    part = np.minimum(far / tiles, 1.0)
    serial = 1.0 - 0.5 ** np.maximum(far - 1, 0)
    return ahead, np.where(tiles > 1, part + (1.0 - part) * serial, 0.0) * (far > 0)


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Each of these numbers once, in order; none is negative."""
    # Senders stand row by row, so their keys are long runs that rise: they need only be merged.
    merged = np.sort(keys, kind="stable")
    return merged[np.diff(merged, prepend=-1) != 0]


def _lines(group: np.ndarray, line: np.ndarray, more: float) -> np.ndarray:
    """How many lines the entries of each group have. more: for how many a known one stands."""
    size = int(line.max()) + 1
    keys = _distinct(group.astype(np.int64) * size + line)
    group, line = keys // size, keys % size
    # Lines of a group stand in their order. A number without entries is no group.
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(begins[1:], len(group))
    known, apart = np.zeros((2, int(group[-1]) + 1))
    known[group[begins]], apart[group[begins]] = ends - begins, line[ends - 1] - line[begins]
    return np.clip(known * more, 1.0, apart + more)


def _more(sent: Sample) -> tuple[float, float]:
    """For how many targets a known one stands, along both axes.

    Where tiles of a sample send to another target than the next ones do, those between them have
    others again.
    """
    found = np.ones(2)
    for along, beside, stand in ((sent.x, sent.y, sent.wide), (sent.y, sent.x, sent.high)):
        if stand.max() == 1:
            continue
        line = sent.turn * (int(beside.max()) + 1) + beside
        order = np.argsort(line * (int(along.max()) + 1) + along, kind="stable")
        same = np.diff(line[order]) == 0
        for axis, to in enumerate((sent.to_x, sent.to_y)):
            changes = float((np.diff(to[order]) != 0)[same].mean()) if same.any() else 1.0
            found[axis] *= 1.0 + (float(stand.mean()) - 1.0) * changes
    return float(found[0]), float(found[1])
