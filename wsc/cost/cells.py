"""Messages of a large mesh: those from one cell of tiles to another are followed as one.

Tiles side by side do much the same, and what they send meets on the same links. So the mesh is cut
into some cells, and each becomes a router of a small grid, on which messages are followed as those of single
tiles are (``wormhole``). A message there stands for all that goes from one cell to another in some
turns of a loop. How long it takes to pass a link is the number of its wavelets for each of the lines over
which they are spread: rows of its senders, columns and tiles of its targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.cost.messages import HEADERS, Messages
from wsc.cost.senders import Sent
from wsc.cost.tiles import Axis
from wsc.cost.wormhole import Grid, Sends, follow

CELLS = 16  # along each axis, where the other one has as many
MOST = 4_000  # messages between cells


@dataclass(frozen=True, slots=True)
class Cells:
    """One axis, cut into cells of nearly the same number of tiles."""

    size: int
    count: int

    def of(self, coordinates: np.ndarray) -> np.ndarray:
        """The cell of each coordinate."""
        return coordinates.astype(np.int64) * self.count // self.size

    @property
    def tiles(self) -> np.ndarray:
        """Tiles along each cell."""
        return np.bincount(self.of(np.arange(self.size)), minlength=self.count)


def cut(width: int, height: int) -> tuple[Cells, Cells]:
    """Cells of both axes; a short axis leaves its share to the other one."""
    rows = min(height, CELLS)
    columns = min(width, CELLS * CELLS // rows)
    rows = min(height, CELLS * CELLS // columns)
    return Cells(width, columns), Cells(height, rows)


@dataclass(frozen=True, slots=True)
class Sample:
    """Messages of some tiles, an entry for each tile and turn, in the order of turns.

    turn: number of the instruction that sends. x, y: coordinates of the senders. wide, high:
    columns and rows that each stands for. to_x, to_y: coordinates of the targets. wavelets: of all
    messages. first, last: cycles in which the first and the last wavelet leave the core.
    """

    turn: np.ndarray
    x: np.ndarray
    y: np.ndarray
    wide: np.ndarray
    high: np.ndarray
    to_x: np.ndarray
    to_y: np.ndarray
    wavelets: np.ndarray
    first: np.ndarray
    last: np.ndarray


def of_batches(batches: list[Messages], x: Axis, y: Axis) -> Sample:
    """What sampled tiles send, each for its neighbours."""
    turn = np.repeat(np.arange(len(batches)), [len(batch.row) for batch in batches])
    row, column, to_x, to_y, _, wavelets, first, last = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in Messages.__slots__
    )
    return Sample(
        turn,
        x.places[column],
        y.places[row],
        x.weight[column],
        y.weight[row],
        to_x.astype(np.int64),
        to_y.astype(np.int64),
        wavelets,
        first,
        last,
    )


def of_all(
    sent: list[Sent], sampled: Sample, across: np.ndarray, down: np.ndarray, x: Axis, y: Axis
) -> Sample:
    """What the tiles with the coordinates ``across`` and ``down`` send.

    sampled: what is sent by those of which times are known: others send at the time of the nearest of these.
    """
    shape = len(down), len(across)
    at = [np.nonzero(np.broadcast_to(part.sends, shape)) for part in sent]
    row, column = (np.concatenate([tiles[axis] for tiles in at]) for axis in (0, 1))

    def each(values: list[Any]) -> np.ndarray:
        parts = zip(values, at, strict=True)
        return np.concatenate([np.broadcast_to(part, shape)[tiles] for part, tiles in parts])

    wavelets = each([part.messages * (part.words + HEADERS) for part in sent]).astype(float)
    # A tile's messages go one after the other, as fast as those of the sampled tiles on average.
    tile = row * len(across) + column
    order = np.argsort(tile, kind="stable")
    through = np.empty(len(tile))
    through[order] = np.cumsum(wavelets[order])
    whole = np.bincount(tile, wavelets, minlength=len(across) * len(down))
    through -= (np.cumsum(whole) - whole)[tile]
    begin, span = _spans(sampled, x, y)
    near = y.nearest(down)[row], x.nearest(across)[column]
    share = through / whole[tile], wavelets / whole[tile]
    last = begin[near] + span[near] * share[0]
    return Sample(
        np.repeat(np.arange(len(sent)), [len(tiles[0]) for tiles in at]),
        across[column],
        down[row],
        np.full(len(row), x.size / len(across)),
        np.full(len(row), y.size / len(down)),
        each([part.to_x for part in sent]),
        each([part.to_y for part in sent]),
        wavelets,
        last - span[near] * share[1],
        last,
    )


def _spans(sampled: Sample, x: Axis, y: Axis) -> tuple[np.ndarray, np.ndarray]:
    """[rows, columns] of sampled tiles: when each begins to send, and how long it does."""
    first = np.full((len(y.places), len(x.places)), np.inf)
    last = np.full(first.shape, -np.inf)
    at = y.nearest(sampled.y), x.nearest(sampled.x)
    np.minimum.at(first, at, sampled.first)
    np.maximum.at(last, at, sampled.last)
    sends = np.isfinite(first)
    begin = np.where(sends, first, first.min())
    span = np.where(sends, last, 0.0) - np.where(sends, first, 0.0)
    return begin, np.where(sends, span, span[sends].mean())


def arrivals(
    sent: Sample, x: Axis, y: Axis, depth: int, ramp: int, hop: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """[rows, columns] of sampled tiles: the cycle in which the last message has arrived, and that in which the
    sender's last wavelet is off; 0 where there is none.

    depth: wavelets of an input buffer. ramp: cycles from a core into the network. hop: those from a
    router to the next one.
    """
    columns, rows = cut(x.size, y.size)
    came, ends = between_cells(sent, columns, rows, depth, ramp, hop)
    at = np.ix_(rows.of(y.places), columns.of(x.places))
    return came[at], ends[at]


def between_cells(
    sent: Sample, x: Cells, y: Cells, depth: int, ramp: float, hop: float, compiled: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """[rows, columns] of cells: what ``arrivals`` gives for tiles."""
    at_x, at_y, to_x, to_y = x.of(sent.x), y.of(sent.y), x.of(sent.to_x), y.of(sent.to_y)
    source, target = at_y * x.count + at_x, to_y * x.count + to_x
    cells = x.count * y.count
    words = sent.wavelets * sent.wide * sent.high
    # Lines over which wavelets are spread: a cell's rows of senders, columns and tiles of targets.
    across = _rows(source, sent, cells)[source]
    columns, rows = _lines(sent, sent.to_x, to_x, x)[to_x], _lines(sent, sent.to_y, to_y, y)[to_y]
    # Turns are taken together until there are few enough messages.
    turns = together = int(sent.turn[-1]) + 1
    part = sent.turn
    while True:
        key = (source * together + part) * cells + target
        keys, which = np.unique(key, return_inverse=True)
        if len(keys) <= MOST or together == 1:
            break
        together = max(min(together * MOST // len(keys), together - 1), 1)
        part = sent.turn * together // turns
    weight = np.bincount(which, words)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(which, values * words) / weight

    times = [np.bincount(which, words / lines) for lines in (across, columns, columns * rows)]
    begin = np.searchsorted(keys // (together * cells), np.arange(cells + 1))
    sends = Sends(begin, keys % cells, *times, mean(sent.first), mean(sent.last))
    grid = Grid(x.tiles.astype(float), y.tiles.astype(float))
    came, ends = follow(sends, grid, depth, ramp, hop, compiled)
    return came.reshape(y.count, x.count), ends.reshape(y.count, x.count)


def _rows(source: np.ndarray, sent: Sample, cells: int) -> np.ndarray:
    """How many rows of each cell have senders."""
    size = int(sent.y.max()) + 1
    keys, first = np.unique(source * size + sent.y, return_index=True)
    return np.bincount(keys // size, sent.high[first], minlength=cells)


def _lines(sent: Sample, to: np.ndarray, cell: np.ndarray, axis: Cells) -> np.ndarray:
    """Over how many columns, or rows, of each cell its targets are spread.

    Those that are known stand for more where the target changes from one sender of the sample to the next.
    """
    keys = np.unique(to)
    known = np.bincount(axis.of(keys), minlength=axis.count)
    low, high = np.full(axis.count, axis.size), np.full(axis.count, -1)
    np.minimum.at(low, axis.of(keys), keys)
    np.maximum.at(high, axis.of(keys), keys)
    for along, beside, stand in ((sent.x, sent.y, sent.wide), (sent.y, sent.x, sent.high)):
        order = np.lexsort((along, beside, sent.turn))
        same = (np.diff(sent.turn[order]) == 0) & (np.diff(beside[order]) == 0)
        changes = float((np.diff(to[order]) != 0)[same].mean()) if same.any() else 1.0
        known = known * (1.0 + (float(stand.mean()) - 1.0) * changes)
    return np.clip(known, 1.0, np.maximum(high - low + 1, 1))
