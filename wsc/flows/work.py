"""A vector instruction that is about to run, as streams see it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wsc.cost.tiles import Lanes


@dataclass(slots=True)
class Work:
    """A vector instruction that is about to run in some tiles.

    Arrays have the shape [rows, columns] of the sampled tiles. start: first cycle in which a row
    may start. count: rows, each of ``pace`` cycles. over: where it is known when the instruction
    is over. done: that cycle; of no meaning elsewhere. waiting: its tiles in which the end is not
    known yet. known: whether there are none.
    """

    lanes: Lanes
    start: np.ndarray
    count: np.ndarray
    pace: np.ndarray
    over: np.ndarray = field(init=False)
    done: np.ndarray = field(init=False)
    waiting: np.ndarray = field(init=False)
    known: bool = field(init=False)
    _last: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.over = np.zeros(self.lanes.mask.shape, bool)
        self.done = np.zeros(self.lanes.mask.shape)
        self.waiting = self.lanes.mask.copy()
        self.known = not self.waiting.any()

    @property
    def alone(self) -> np.ndarray:
        """End of the instruction if nothing keeps it waiting."""
        return self.start + self.count * self.pace

    @property
    def last(self) -> float:
        """When it is over in all its tiles, of those where that is known."""
        if self._last is None:
            self._last = float(self.done.max(initial=0.0, where=self.lanes.mask & self.over))
        return self._last

    def put_off(self, cycles: np.ndarray) -> None:
        """It is over so many cycles later."""
        self.done += cycles
        self._last = None

    def end(self, done: np.ndarray, where: np.ndarray) -> None:
        """Set the cycle in which it is over, in some tiles."""
        np.copyto(self.done, done, where=where)
        self.over |= where
        self._last = None
        self.waiting &= ~where
        self.known = not self.waiting.any()
