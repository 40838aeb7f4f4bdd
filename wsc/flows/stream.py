"""Times of the wavelets on one flow, while the cost model walks a program.

A stream is known by the time of its first and of its last wavelet: rows of one instruction
take their wavelets at an even pace, that of the slowest of its partners. Arrays have the shape
[rows, columns] of the sampled tiles, and hold cycles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from wsc.cost.model import CostModel
from wsc.cost.tiles import Axis
from wsc.cost.unpredictable import Unpredictable
from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Strand
from wsc.flows.work import Work

Steps = Generator[None]


class Walker(Protocol):
    """What a stream knows of the walk through a program that brings it instructions.

    time: of the tiles' main threads. progress: grows whenever something has become known.
    """

    time: np.ndarray
    progress: int

    def postpone(self, cycles: float) -> None:
        """The last blocks from the edge come so much later, and what follows them."""
        ...

    def make_later(self, work: Work, cycles: np.ndarray) -> None:
        """An instruction on a stream unit, whose end was known, ends so many cycles later."""
        ...

    def scattering(self) -> None:
        """The statement that runs now takes blocks from the edge, which later ones may delay."""
        ...


@dataclass(slots=True)
class Site:
    """Where streams run: the numbers of the fabric, the sampled tiles, queues, and the edge.

    depth: words of the shallowest queue of a strand, of those into which cores send (True) or from
    which they receive (False); 0 where there is none. schedule: what the edge feeds to a flow,
    or takes from it. streams: all of the program. asked: cycle in which the numbers of a lookup are
    at the edge. block: words of the longest block that tiles have just taken, one after the other;
    0 when others have crossed these.
    """

    model: CostModel
    x: Axis
    y: Axis
    depth: Callable[[Strand, bool], int]
    schedule: Callable[[Flow], Schedule]
    streams: dict[Flow, Stream] = field(default_factory=dict["Flow", "Stream"])
    asked: float = 0.0
    block: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of sampled tiles."""
        return len(self.y.places), len(self.x.places)

    def between(self, strand: Strand, routers: int) -> int:
        """Wavelets that lie between two cores when the second does not take them."""
        ends = self.depth(strand, True) + self.depth(strand, False)
        return ends + routers * self.model.between

    def cross(self, walk: Walker, work: Work, words: np.ndarray) -> None:
        """So many words go down the links over which others may be on their way, too."""
        for stream in self.streams.values():
            walk.postpone(stream.crossed(work, words, walk.time))


@dataclass(slots=True)
class State:
    """What of a stream decides times: cycles relative to one, and all else."""

    times: list[np.ndarray] = field(default_factory=list[np.ndarray])
    counts: list[np.ndarray] = field(default_factory=list[np.ndarray])


NOTHING = np.zeros(())  # in a state: for every tile, of what is nowhere under way


def after(times: np.ndarray, base: float, where: np.ndarray | None = None) -> np.ndarray:
    """Cycles from ``base`` to each of some times, 0 to those before it; ``NOTHING`` if all are.

    where: tiles whose times count; in the others there are 0.
    """
    later = times > base if where is None else (times > base) & where
    return np.where(later, times - base, 0.0) if np.count_nonzero(later) else NOTHING


class Stream(ABC):
    """The times of the wavelets of one flow.

    in_blocks: whether the tiles of a column have blocks of their own, one after the other.
    again: whether what a call does with it may be taken from an earlier call.
    more_if_used: whether its state says more to calls that use it.
    """

    in_blocks: ClassVar[bool] = False
    again: ClassVar[bool] = True
    more_if_used: ClassVar[bool] = False

    @property
    def feeds(self) -> Schedule | None:
        """What the edge feeds, or takes; None for a flow between tiles."""
        return None

    @property
    def counted(self) -> np.ndarray | None:
        """Words that each tile has taken so far; None unless all tiles of a column take all."""
        return None

    @abstractmethod
    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Give the instruction its times, or take note of it until its partners are there."""

    def turn(self, walk: Walker, work: Work, onward: Stream) -> Steps:
        """An instruction that receives here and sends on another flow."""
        del walk, work, onward
        raise Unpredictable("an instruction forwards from a flow that no kernel forwards from")
        yield

    def resolve(self) -> bool:
        """Find times of instructions whose partners are there; whether there were any."""
        return False

    def crossed(self, work: Work, words: np.ndarray, time: np.ndarray) -> float:
        """Others send ``words`` down the links that they share with this stream.

        What of it is on its way comes so much later, in ``time`` too.

        Returns:
            By how much the last of it does.
        """
        del work, words, time
        return 0.0

    def slowed(self, work: Work) -> np.ndarray | float:
        """By how much an instruction takes its words later, of another stream.

        A ramp carries a wavelet a cycle, and those of this stream go over it in turn with them.
        """
        del work
        return 0.0

    def joined(self, walk: Walker, work: Work) -> None:
        """An instruction whose times are known has taken words of another stream.

        They have come up the ramps in turn with those of this one.
        """
        del walk, work

    @abstractmethod
    def hops(self, words: np.ndarray, sends: bool) -> float:
        """Links that wavelets cross, for an instruction of ``words`` in each sampled tile."""

    def advance(self, cycles: np.ndarray) -> None:
        """Set the clocks on."""
        del cycles

    def take(self, words: np.ndarray) -> None:
        """Each tile has taken so many words more, of a stream that counts them."""
        del words

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet so far has left the fabric."""
        return 0.0

    def state(self, base: float, used: bool) -> State:
        """What decides times, relative to cycle ``base``. used: by the call that it is for."""
        del base, used
        return State()

    def restore(
        self,
        walk: Walker,
        times: Iterator[np.ndarray],
        counts: Iterator[np.ndarray],
        base: float,
        used: bool,
    ) -> None:
        """Make that its state which ``state`` gave, at another cycle."""
        del walk, times, counts, base, used
