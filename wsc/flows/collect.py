"""Blocks up each column: a tile sends its own, then lets the rest pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Path, Strand, at, when
from wsc.flows.stream import Site, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import H, Y
from wsc.isa.types import Side

CONTROL = 3.0  # between two blocks: the control wavelet goes, the switch turns, the next comes


@dataclass(frozen=True)
class Collect(Flow):
    """Up each column to the north edge, a block of each tile, by switch positions."""

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        own, others = at(Side.RAMP, Side.NORTH), at(Side.SOUTH, Side.NORTH)
        paths = (Path(when(Y, "<", H - 1), (own, others)), Path(when(Y, "==", H - 1), (own,)))
        doc = "blocks up each column: a tile sends its own, then lets the rest pass"
        return (Strand(self, "collect", doc, paths),)

    def stream(self, site: Site) -> CollectStream:
        """The times up all columns."""
        return CollectStream(self, site)


COLLECT = Collect()


class CollectStream(Stream):
    """The blocks of all columns, the northern tile's first.

    left: cycle in which the last wavelet so far left the fabric, by column.
    """

    in_blocks = True
    again = False

    def __init__(self, flow: Flow, site: Site) -> None:
        self.rows, self.schedule = site.y, site.schedule(flow)
        fabric = site.model.fabric
        self.lead = fabric.ramp_latency + 1.0  # from the instruction's row to the link
        self.latency = self.rows.places * fabric.hop_cycles + 1.0
        self.slack = site.depth(flow.strand, True) + fabric.router_buffer_depth
        self.left = np.zeros(len(self.schedule.done))

    @property
    def feeds(self) -> Schedule | None:
        """What the edge takes."""
        return self.schedule

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Tiles give their blocks."""
        here = work.lanes.mask
        count = np.where(here, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now]) if now >= 0 else 1.0
        gaps = self.rows.gaps
        free = self.left - self.latency[0]  # when the way out of the row is free
        done = work.alone
        for row in range(len(count)):
            if not here[row].any():
                continue
            own = count[row]
            skipped = max(gaps[row] - 1, 0) * (count[row - 1] * interval + CONTROL)
            pace = np.maximum(work.pace[row], interval)
            begin = free + skipped + CONTROL * (row > 0)
            late = own + 1 - self.slack  # the control wavelet behind the block needs room, too
            held = np.where(late > 0, begin + late * pace, 0.0)
            ready = work.start[row] + self.lead
            last = np.maximum(work.alone[row] + self.lead, np.maximum(begin, ready) + own * pace)
            done[row] = np.maximum(work.alone[row], held)
            free = np.where(here[row], last, free)
            self.left = np.where(here[row], last + self.latency[row], self.left)
        work.end(done, here)
        if now >= 0:
            self.schedule.done = np.where(
                here.any(axis=0), self.schedule.upto[now], self.schedule.done
            )
        return
        yield

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """As many for a word as its tile is away from the edge."""
        del sends
        return float((words * self.rows.places[:, None]).sum())

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet so far has left the fabric."""
        return float(self.left.max())
