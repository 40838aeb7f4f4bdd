"""Blocks down each column: a tile takes its own, then lets the rest pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Path, Strand, at, when
from wsc.flows.multicast import SLOWEST
from wsc.flows.stream import Site, State, Steps, Stream, Walker, after
from wsc.flows.work import Work
from wsc.isa.expr import H, Y
from wsc.isa.types import Side

CONTROL = 2.0  # cycles that a port loses behind each block: the control wavelet, and its turn


@dataclass(frozen=True)
class Scatter(Flow):
    """From the north edge down each column, a block for each tile, by switch positions."""

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        own, others = at(Side.NORTH, Side.RAMP), at(Side.NORTH, Side.SOUTH)
        paths = (Path(when(Y, "<", H - 1), (own, others)), Path(when(Y, "==", H - 1), (own,)))
        doc = "blocks down each column: a tile takes its own, then lets the rest pass"
        return (Strand(self, "scatter", doc, paths),)

    def stream(self, site: Site) -> ScatterStream:
        """The times down all columns."""
        return ScatterStream(self, site)


SCATTER = Scatter()


class ScatterStream(Stream):
    """The blocks of all columns, one tile after the other.

    fed: cycle in which the edge has fed the last wavelet so far, by column. ended: cycle in which
    each tile had its latest block.
    """

    in_blocks = True
    more_if_used = True

    def __init__(self, flow: Flow, site: Site) -> None:
        self.site, self.rows, self.schedule = site, site.y, site.schedule(flow)
        fabric = site.model.fabric
        way = self.rows.places * fabric.hop_cycles
        self.latency = way + fabric.ramp_latency + 1.0
        self.down = float(way.max())
        queue = site.depth(flow.strand, False)
        self.slack = queue + 1.0 + site.model.between * self.rows.places
        self.fed = np.zeros(len(self.schedule.done))
        self.ended = np.zeros((len(self.rows.places), len(self.schedule.done)))

    @property
    def feeds(self) -> Schedule | None:
        """What the edge feeds."""
        return self.schedule

    def crossed(self, work: Work, words: np.ndarray, time: np.ndarray) -> float:
        """Tiles of the north that have their block send or take ``words`` over the same links."""
        here = work.lanes.mask & (work.count > 0)
        soonest = work.start.min(axis=0, where=here, initial=self.ended.max())
        if not (self.ended > soonest).any():
            return 0.0
        before = (work.start[:, None, :] < self.ended[None, :, :]) & here[:, None, :]
        places = self.rows.places  # [a tile, tiles that it delays]
        before &= (places[:, None] < places[None, :])[:, :, None]
        late = (before * np.broadcast_to(words, here.shape)[:, None, :]).sum(axis=0)
        self.ended += late
        time += late
        work.start = work.start + late
        self.fed = self.fed + late.max(axis=0)
        return float(late.max())

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Tiles take their blocks."""
        here = work.lanes.mask
        count = np.where(here, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now])
        gaps = self.rows.gaps
        done = np.zeros(here.shape)
        control = max(CONTROL, float(self.schedule.control[now]))
        between = self.schedule.between(now, count, gaps)
        for row in range(len(count)):
            own = count[row]
            skipped = between[row] * interval + max(gaps[row] - 1, 0) * control
            pace = np.maximum(work.pace[row], interval)
            late = own - self.slack[row]
            held = np.where(late > 0, work.start[row] + late * pace, 0.0)
            last = np.maximum(self.fed + skipped + own * interval, held)
            came = last + self.latency[row] + work.pace[row] - interval
            done[row] = np.where(own > 0, np.maximum(work.alone[row], came), work.alone[row])
            np.copyto(self.ended[row], done[row], where=here[row] & (own > 0))
            self.fed = last + control
        self.fed = self.fed + self.schedule.final[now] * control
        work.end(done, here)
        self.site.block = float(count.max())
        self.schedule.done = np.where(here.any(axis=0), self.schedule.upto[now], self.schedule.done)
        walk.scattering()
        return
        yield

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """As many for a word as its tile is away from the edge."""
        del sends
        return float((words * self.rows.places[:, None]).sum())

    @property
    def drained(self) -> float:
        """Cycle in which the last control wavelet so far has come to the last tile.

        It comes behind those of tiles that have no block.
        """
        return float(self.fed.max()) + self.down if self.schedule.done.any() else 0.0

    def state(self, base: float, used: bool) -> State:
        """Blocks that are still on their way; those that are there delay no others."""
        times = [after(self.ended, base)]
        counts = [np.array(self.site.block)]
        if used:
            times.append(np.maximum(self.fed - base, -SLOWEST * float(self.slack.max())))
        return State(times, counts)

    def restore(
        self,
        walk: Walker,
        times: Iterator[np.ndarray],
        counts: Iterator[np.ndarray],
        base: float,
        used: bool,
    ) -> None:
        """The same blocks are on their way."""
        self.site.block = float(next(counts))
        self.ended = np.full(self.ended.shape, base) + next(times)
        if used:
            self.fed = next(times) + base
            walk.scattering()
