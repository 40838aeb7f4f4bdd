"""Long loops that have found their rhythm: the turns between two changes are not walked.

The text of a program is the same on every mesh; what grows is the count of its loops, of which
one turn is like another one a few turns later (buffers take turns) until a coordinate is
reached.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wsc.cost.threads import Threads
    from wsc.cost.walk import Walk

LONG = 64  # turns of a loop below which every one is walked
PERIODS = (3, 4)  # turns after which the same buffers are used again: three, or two or four
TOLERANCE = 0.5  # cycles by which two periods of a tile may differ
ALIKE = 1e-4  # of its cycles by which a layer may differ from the one before


@dataclass(slots=True)
class Mark:
    """Where a walk was after a turn: times, words taken, work done."""

    time: np.ndarray
    taken: np.ndarray
    tally: np.ndarray
    macs: float


@dataclass(slots=True)
class Rhythm:
    """Watches the turns of one loop.

    changes: turns at which tiles begin to do something else, in order; the last one is the end.
    """

    changes: list[int]
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=2 * max(PERIODS) + 1))

    @staticmethod
    def of(places: Iterable[int], count: int) -> Rhythm:
        """For a loop of ``count`` turns that may compare its counter with coordinates."""
        inside = {turn for place in places for turn in (place, place + 1) if turn < count}
        return Rhythm([*sorted(inside | {count - 1}), count])

    def skip(self, walk: Threads, turn: int) -> int:
        """Turns that need no walk after ``turn``; the walk's clocks are set on by as many."""
        following = self.changes[bisect_right(self.changes, turn)]
        if turn in self.changes:
            self.marks.clear()
        self.marks.append(_mark(walk))
        for period in PERIODS:
            times = (following - turn - 1) // period - 1
            if times >= 2 and self._steady(period):
                self._advance(walk, period, times)
                self.marks.clear()
                return times * period
        return 0

    def _steady(self, period: int) -> bool:
        """Whether the last turns have taken as long as those so many turns before, in each tile."""
        if len(self.marks) <= 2 * period:
            return False
        last, middle, first = (self.marks[-1 - back * period] for back in range(3))
        one, two = middle.time - first.time, last.time - middle.time
        return bool(np.abs(two - one).max() <= TOLERANCE)

    def _advance(self, walk: Threads, period: int, times: int) -> None:
        """Set the walk on by so many times what the last ``period`` turns have done."""
        middle, last = self.marks[-1 - period], self.marks[-1]
        more = (last.tally - middle.tally) * times
        walk.advance((last.time - middle.time) * times, (last.taken - middle.taken) * times)
        set_tally(walk, last.tally + more, last.macs + (last.macs - middle.macs) * times)


@dataclass(slots=True)
class Layers:
    """Watches the turns of a loop of main: layers, of which one is like another.

    number: of the loop among the statements of main. A turn is long, so that few are walked: the
    first ones, until one leaves all clocks and streams as the one before it left them, or two have
    taken the same time. states: digests of all that decides times, behind each turn; None where
    something is still on its way.
    """

    number: int
    count: int
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=3))
    edge: list[np.ndarray] = field(default_factory=list[np.ndarray])
    states: list[bytes | None] = field(default_factory=list[bytes | None])

    def skip(self, walk: Walk, turn: int) -> int:
        """Turns that need no walk after ``turn``; clocks and spans are set on by as many."""
        self.marks.append(_mark(walk))
        # What comes in blocks for each tile, or leaves so, comes in each turn, or in none.
        self.edge.append(walk.streams.blocks)
        self.states.append(walk.stands())
        left = self.count - turn - 1
        if not left or walk.messages or not (self._stands() or self._steady()):
            return 0
        # What the edge has moved meanwhile has to come as often as there are turns left.
        if not walk.streams.recurs(self.edge[-2], left):
            return 0
        middle, last = self.marks[-2], self.marks[-1]
        cycles = last.time - middle.time
        walk.streams.move_on((self.edge[-1] - self.edge[-2]) * left)
        walk.repeat(self.number, turn, left, float(cycles.max()))
        walk.advance(cycles * left, (last.taken - middle.taken) * left)
        more = (last.tally - middle.tally) * left
        set_tally(walk, last.tally + more, last.macs + (last.macs - middle.macs) * left)
        return left

    def _stands(self) -> bool:
        """Whether the last turn has left all as the one before it: the next one will, too."""
        if len(self.states) < 2 or self.states[-1] is None:
            return False
        return self.states[-1] == self.states[-2]

    def _steady(self) -> bool:
        """Whether the last two turns have taken the same time."""
        if len(self.marks) < 3:
            return False
        before, now = self.edge[-2] - self.edge[-3], self.edge[-1] - self.edge[-2]
        if (before != now).any():
            return False
        first, middle, last = self.marks
        one, two = middle.time - first.time, last.time - middle.time
        return bool(np.abs(two - one).max() <= max(TOLERANCE, ALIKE * float(two.max())))


def _mark(walk: Threads) -> Mark:
    macs = walk.current.macs if walk.current is not None else 0.0
    return Mark(walk.time.copy(), walk.streams.taken, tally_of(walk), macs)


def tally_of(walk: Threads) -> np.ndarray:
    """The work done so far by all tiles, its figures in one array."""
    values = [getattr(walk.tally, item.name) for item in fields(walk.tally) if item.name != "macs"]
    return np.array([*values, *walk.tally.macs.values()])


def set_tally(walk: Threads, values: np.ndarray, macs: float) -> None:
    """Set the work done by all tiles, and the multiply-accumulates of the statement at hand."""
    names = [item.name for item in fields(walk.tally) if item.name != "macs"]
    numbers = values.tolist()
    for name, value in zip(names, numbers, strict=False):
        setattr(walk.tally, name, value)
    for dtype, value in zip(walk.tally.macs, numbers[len(names) :], strict=True):
        walk.tally.macs[dtype] = value
    if walk.current is not None:
        walk.current.macs = macs
