"""A vector instruction that is about to run, as streams see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np

from wsc.cost.tiles import Lanes

MOST_RECENT = 32  # that are remembered before the old ones are forgotten


@dataclass(slots=True)
class Work:
    """A vector instruction that is about to run in some tiles.

    Arrays have the shape [rows, columns] of the sampled tiles. start: first cycle in which a row
    may start. count: rows, each of ``pace`` cycles. waiting: its tiles in which it is not known yet
    when the instruction is over. done: that cycle; of no meaning where it is not known. known:
    whether it is everywhere. apart: whether the edge decides when it is over, and not what tiles do
    meanwhile.
    """

    lanes: Lanes
    start: np.ndarray
    count: np.ndarray
    pace: np.ndarray
    done: np.ndarray = field(init=False)
    waiting: np.ndarray = field(init=False)
    known: bool = field(init=False)
    apart: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.done = np.zeros(self.lanes.mask.shape)
        self.waiting = self.lanes.mask.copy()
        self.known = not np.count_nonzero(self.waiting)

    @property
    def alone(self) -> np.ndarray:
        """End of the instruction if nothing keeps it waiting."""
        return self.start + self.count * self.pace

    @property
    def last(self) -> float:
        """When it is over in all its tiles, without end where that is not known."""
        return float(self.done.max(initial=0.0, where=self.lanes.mask)) if self.known else inf

    def put_off(self, cycles: np.ndarray) -> None:
        """It is over so many cycles later."""
        self.done += cycles

    def end(self, done: np.ndarray, where: np.ndarray) -> None:
        """Set the cycle in which it is over, in some tiles."""
        np.copyto(self.done, done, where=where)
        self.waiting &= ~where
        self.known = not np.count_nonzero(self.waiting)
