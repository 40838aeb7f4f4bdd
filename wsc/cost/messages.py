"""Remote stores that are on their way at the same time, as tiles of a sample send them.

Sampled tiles, of which times are known, are few. What is sent is found for many more (``senders``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any

import numpy as np

from wsc.cost.senders import Sent
from wsc.cost.tiles import Axis

HEADERS = 2  # wavelets of each message before its elements
DIGITS = 2  # of a cycle, to which times are the same


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

    @property
    def turns(self) -> int:
        """How many instructions send."""
        return int(self.turn[-1]) + 1

    def digest(self, *others: Any) -> bytes:
        """A digest of it all; equal if the same is sent at other times, each as much later.

        others: what else is to be equal.
        """
        begin = self.first.min()
        found = blake2b(repr(others).encode())
        for item in fields(self):
            values = getattr(self, item.name)
            if item.name in ("first", "last"):
                values = np.round(values - begin, DIGITS) + 0.0
            found.update(values.tobytes())
        return found.digest()


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


def of_all(sent: list[Sent], sampled: Sample, across: Axis, down: Axis, x: Axis, y: Axis) -> Sample:
    """What the tiles in the columns ``across`` and the rows ``down`` send.

    sampled: what is sent by those of which times are known: others send at the time of the nearest
    of these.
    """
    width, height = len(across.places), len(down.places)
    shape = height, width
    at = [np.nonzero(np.broadcast_to(part.sends, shape)) for part in sent]
    row, column = (np.concatenate([tiles[axis] for tiles in at]) for axis in (0, 1))

    def each(values: list[Any]) -> np.ndarray:
        parts = zip(values, at, strict=True)
        return np.concatenate([np.broadcast_to(part, shape)[tiles] for part, tiles in parts])

    wavelets = each([part.messages * (part.words + HEADERS) for part in sent]).astype(float)
    turn = np.repeat(np.arange(len(sent)), [len(tiles[0]) for tiles in at])
    # A tile's messages go one after the other, all of them in the time of a sampled tile. What it
    # takes beyond the wavelets is spent evenly over the turns, those without a message too.
    tile = row * width + column
    order = np.argsort(tile, kind="stable")
    through = np.empty(len(tile))
    through[order] = np.cumsum(wavelets[order])
    whole = np.bincount(tile, wavelets, minlength=width * height)
    through -= (np.cumsum(whole) - whole)[tile]
    begin, span = _spans(sampled, x, y)
    near = y.nearest(down.places)[row], x.nearest(across.places)[column]
    begins, ends = np.zeros((2, len(whole)), np.int64)
    begins[tile[::-1]], ends[tile] = turn[::-1], turn  # the first turn of each tile, and the last
    turns = (ends - begins)[tile]
    spare = np.where(turns > 0, np.maximum(span[near] - whole[tile], 0.0), 0.0)
    pace = (span[near] - spare) / whole[tile]
    last = begin[near] + through * pace + spare * (turn - begins[tile]) / np.maximum(turns, 1)
    return Sample(
        turn,
        across.places[column],
        down.places[row],
        across.weight[column],
        down.weight[row],
        each([part.to_x for part in sent]),
        each([part.to_y for part in sent]),
        wavelets,
        last - wavelets * pace,
        last,
    )


def _spans(sampled: Sample, x: Axis, y: Axis) -> tuple[np.ndarray, np.ndarray]:
    """[rows, columns] of sampled tiles: when each begins to send, and how long it does."""
    sends = np.zeros((len(y.places), len(x.places)), bool)
    at = y.nearest(sampled.y), x.nearest(sampled.x)
    sends[at] = True
    # No tile begins after the last message, or ends before the first.
    first = np.full(sends.shape, sampled.first.max())
    last = np.full(sends.shape, sampled.last.min())
    np.minimum.at(first, at, sampled.first)
    np.maximum.at(last, at, sampled.last)
    begin = np.where(sends, first, sampled.first.min())
    span = np.where(sends, last - first, 0.0)
    return begin, np.where(sends, span, span[sends].mean())
