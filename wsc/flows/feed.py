"""What the edge feeds to the ports of one flow, or takes from them, in its order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Schedule:
    """What the edge feeds (or takes) at each sampled column on one flow, in its order.

    At the west edge it is rows in place of columns.

    upto: elements up to the end of each transfer [transfers, columns]. interval: cycles
    between two wavelets of a port while that transfer runs. lookup: whether its rows wait
    for numbers from the fabric. control: cycles between two control wavelets of a port.
    in_turn: whether the tiles of a column have blocks of their own, one after the other.
    final: control wavelets behind the last of these. done: elements of each column so far.
    total: elements up to the end of each transfer, over all columns.
    """

    upto: np.ndarray
    interval: np.ndarray
    lookup: np.ndarray
    control: np.ndarray
    in_turn: np.ndarray
    final: np.ndarray
    done: np.ndarray = field(init=False)
    total: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.done = np.zeros(self.upto.shape[1])
        self.total = self.upto.sum(axis=1)

    def number(self, element: float) -> int:
        """The transfer that an element belongs to, counted over all columns from 0 on."""
        return int(np.searchsorted(self.total, element + 0.5))

    def current(self, wanted: np.ndarray) -> int:
        """The transfer that the next elements belong to, of the column that wants the most."""
        column = int(np.argmax(wanted))
        if not len(self.upto):
            return -1
        at = int(np.searchsorted(self.upto[:, column], self.done[column] + 0.5))
        return min(at, len(self.upto) - 1)

    def elements(self, at: int) -> np.ndarray:
        """The elements of a transfer, by column."""
        return self.upto[at] - self.upto[at - 1] if at else self.upto[at]

    def recurs(self, before: np.ndarray, left: int) -> bool:
        """Whether what was moved since then comes so many times more, one behind the other.

        before: ``done`` of then. Both have to be between two transfers.
        """
        if np.array_equal(before, self.done):
            return True
        begin, end = self._behind(before), self._behind(self.done)
        last = end + (end - begin) * left
        if begin < 0 or end <= begin or last > len(self.upto):
            return False
        each = np.diff(self.upto, axis=0, prepend=0)
        told = (each, self.interval, self.lookup, self.control, self.in_turn, self.final)
        turns = [a[begin:last].reshape(left + 1, end - begin, *a.shape[1:]) for a in told]
        return all(bool((array == array[:1]).all()) for array in turns)

    def _behind(self, done: np.ndarray) -> int:
        """The transfer that begins where so many elements are done; -1 within one."""
        at = int(np.searchsorted(self.total, done.sum() + 0.5))
        ends = self.upto[at - 1] if at else np.zeros(len(done))
        return at if np.array_equal(ends, done) else -1

    def between(self, at: int, count: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Elements of the tiles between each sampled one and the one before [rows, columns].

        They are like the one before, but all together what the transfer ``at`` still has in their
        column: blocks may lie apart, and then a sample has more tiles with a block, or fewer,
        than it stands for.
        count: of the sampled tiles [rows, columns]. gaps: from each of these to the one before.
        """
        before = np.vstack([count[:1], count[:-1]])
        like = np.maximum(gaps - 1, 0)[:, None] * before
        if at < 0:
            return like
        rest = self.elements(at) - count.sum(axis=0)
        found = like.sum(axis=0)
        return like * np.where((found > 0) & (rest > 0), rest / np.maximum(found, 1.0), 1.0)
