"""Casts: from the middle of each row, or column, to both of its ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wsc.cost.tiles import Axis
from wsc.flows.flow import ROOT_X, ROOT_Y, Flow, Path, Strand, at, both, when
from wsc.flows.stream import NOTHING, Site, State, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import H, W, X, Y
from wsc.isa.types import Side


@dataclass(frozen=True)
class Cast(Flow):
    """A multicast from the middle of each row (or of each column) to both of its ends."""

    along_row: bool

    @property
    def name(self) -> str:
        """That of its line."""
        return "row" if self.along_row else "column"

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        if self.along_row:
            along, size, root, low, high = X, W, ROOT_X, Side.WEST, Side.EAST
        else:
            along, size, root, low, high = Y, H, ROOT_Y, Side.NORTH, Side.SOUTH
        last = size - 1
        at_root = when(along, "==", root)
        below, above = when(along, "<", root), when(along, ">", root)
        paths = (
            # The root sends both ways, or one way where the line has two tiles.
            Path(
                both(at_root, both(when(root, ">", 0), when(root, "<", last))),
                (at(Side.RAMP, low, high),),
            ),
            Path(
                both(at_root, both(when(root, "==", 0), when(root, "<", last))),
                (at(Side.RAMP, high),),
            ),
            # Every other tile takes a copy; the last ones pass none on.
            Path(both(below, when(along, ">", 0)), (at(high, low, Side.RAMP),)),
            Path(both(below, when(along, "==", 0)), (at(high, Side.RAMP),)),
            Path(both(above, when(along, "<", last)), (at(low, high, Side.RAMP),)),
            Path(both(above, when(along, "==", last)), (at(low, Side.RAMP),)),
        )
        doc = f"broadcast from the middle of a {self.name}"
        return (Strand(self, f"{self.name}_cast", doc, paths),)

    def stream(self, site: Site) -> CastStream:
        """The times along all of its rows, or columns."""
        axis = site.x if self.along_row else site.y
        return CastStream(self, site, axis, site.between(self.strand, 1))


ROW_CAST, COLUMN_CAST = Cast(True), Cast(False)


class CastStream(Stream):
    """Broadcasts of all rows (or columns): the root sends, the others receive.

    first, last: cycles in which the first and the last wavelet of the latest broadcast left the
    root. sent, received: broadcasts so far. delay: cycles from the root to each tile.
    """

    def __init__(self, flow: Cast, site: Site, axis: Axis, slack: int) -> None:
        root = (axis.size - 1) // 2
        self.along, self.slack = int(flow.along_row), slack
        self.place = int(axis.nearest(np.array([root]))[0])
        hops = np.abs(axis.places - root) * site.model.fabric.hop_cycles
        distance = hops + float(site.model.ramp + 2)
        self.delay = distance[None, :] if flow.along_row else distance[:, None]
        self.first, self.last = np.zeros(site.shape), np.zeros(site.shape)
        self.sent, self.received = np.zeros(site.shape, int), np.zeros(site.shape, int)

    def _root(self, array: np.ndarray) -> np.ndarray:
        place = slice(self.place, self.place + 1)
        return array[:, place] if self.along else array[place, :]

    @property
    def ahead(self) -> np.ndarray:
        """How many broadcasts each tile has yet to receive; none at the root."""
        found = self._root(self.sent) - self.received
        self._root(found)[...] = 0
        return found

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """The root's part, or that of the others, once the root has sent."""
        if not receives:
            self._send(work)
            return
        while not self._ready(work):
            yield
        self._receive(work, walk.time)

    def _send(self, work: Work) -> None:
        """The root's part; it ends when its wavelets are in the queue."""
        here = work.lanes.mask
        np.copyto(self.first, work.start, where=here)
        np.copyto(self.last, work.alone - work.pace, where=here)
        self.sent += here
        work.end(work.alone, here)

    def _ready(self, work: Work) -> bool:
        """Whether the roots of these tiles have sent."""
        some = work.lanes.mask & (work.count > 0)
        return bool((self._root(self.sent) > self.received)[some].all())

    def _receive(self, work: Work, time: np.ndarray) -> None:
        """The others' part; roots that are held up by them wait, in ``time``."""
        here = work.lanes.mask
        some = here & (work.count > 0)
        came = self._root(self.last) + self.delay + work.pace
        begun = self._root(self.first) + self.delay + work.count * work.pace
        whole = np.maximum(work.alone, np.maximum(came, begun))
        work.end(np.where(some, whole, work.alone), here)
        self.received += some
        held = work.start + (work.count - self.slack) * work.pace
        waits = some & (work.count > self.slack)  # what fits between the two keeps no root waiting
        held = np.where(waits, held, 0.0).max(axis=self.along, keepdims=True)
        root = self._root(time)
        np.maximum(root, held, out=root)

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """Each tile's copy comes over one link."""
        return 0.0 if sends else float(words.sum())

    def advance(self, cycles: np.ndarray) -> None:
        """Set the clocks on."""
        self.first += cycles
        self.last += cycles

    def state(self, base: float, used: bool) -> State:
        """The broadcasts that some have yet to receive."""
        del used
        ahead = self.ahead
        some = (ahead > 0).any(axis=self.along, keepdims=True)
        if not some.any():
            return State([NOTHING, NOTHING], [ahead])
        times = [np.where(some, array - base, 0.0) for array in (self.first, self.last)]
        return State(times, [ahead])

    def restore(
        self,
        walk: Walker,
        times: Iterator[np.ndarray],
        counts: Iterator[np.ndarray],
        base: float,
        used: bool,
    ) -> None:
        """As many broadcasts are ahead; those before do not matter."""
        del walk, used
        self.sent, self.received = np.zeros_like(self.sent), -next(counts)
        self.first, self.last = (np.full(self.sent.shape, base) + next(times) for _ in range(2))
