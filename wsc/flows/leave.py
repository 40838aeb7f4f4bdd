"""Blocks along each row to the west edge: a tile sends its own, then lets the rest pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Path, Strand, at, when
from wsc.flows.stream import Site, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import W, X
from wsc.isa.table import Timing
from wsc.isa.types import Side

TURN = 1.0  # cycles after a control wavelet has come until the switch has turned


@dataclass(frozen=True)
class Leave(Flow):
    """Along each row to the west edge, a block of each tile, by switch positions."""

    @property
    def side(self) -> Side:
        """The west side."""
        return Side.WEST

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        own, others = at(Side.RAMP, Side.WEST), at(Side.EAST, Side.WEST)
        paths = (Path(when(X, "<", W - 1), (own, others)), Path(when(X, "==", W - 1), (own,)))
        doc = "blocks along each row: a tile sends its own, then lets the rest pass"
        return (Strand(self, "leave", doc, paths),)

    def stream(self, site: Site) -> LeaveStream:
        """The times along all rows."""
        return LeaveStream(self, site)


LEAVE = Leave()


class LeaveStream(Stream):
    """The blocks of all rows, the western tile's first; each is sent by a stream unit.

    left: cycle in which the last block so far has left the fabric, by row. words: of that block.
    transfer: number of the transfer that blocks are for; each begins with the western tile's.
    chosen: cycles from a unit's end to where the control wavelet behind it has turned the switch.
    """

    again = False

    def __init__(self, flow: Flow, site: Site) -> None:
        self.columns, self.model = site.x, site.model
        self.schedule: Schedule = site.schedule(flow)
        fabric = site.model.fabric
        self.lead = fabric.ramp_latency + 1.0  # from the instruction's row to the link
        self.latency = self.columns.places * fabric.hop_cycles + 1.0
        self.slack = site.depth(flow.strand, True) + fabric.router_buffer_depth
        timing = fabric.timing
        told = timing[Timing.SYNCHRONISE].startup + timing[Timing.BRANCH].startup + 1.0
        self.chosen = told + timing[Timing.MOVE].start(queue=True) + self.lead + TURN
        self.left, self.words = np.zeros(site.shape[0]), np.zeros(site.shape[0])
        self.transfer = -1

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Tiles give their blocks."""
        here = work.lanes.mask
        done = work.alone
        for column in np.flatnonzero(here.any(axis=0)).tolist():
            self.transfer += column == 0
            own, mine = work.count[:, column], here[:, column]
            interval = max(float(self.schedule.interval[self.transfer]), self.model.link)
            # From a tile's last word to the next tile's first one: its main thread is told, and
            # sends the control wavelet, while what is in queues and buffers leaves.
            between = max(self.chosen - self.slack * interval, 0.0) + self.model.link
            # Tiles between this sampled one and the one before have blocks like that one.
            gap = max(int(self.columns.gaps[column]) - 1, 0)
            skipped = gap * np.where(self.words > 0, self.words * interval + between, 0.0)
            ready = work.start[:, column] + self.lead + self.latency[column]
            free = np.where(self.left > 0, self.left + between, 0.0)
            begin = np.maximum(free + skipped, ready)
            pace = np.maximum(work.pace[:, column], interval)
            last = begin + own * pace
            # The instruction is over when all but the words in queues and buffers have left.
            held = last - self.latency[column] - self.lead - self.slack * pace
            done[:, column] = np.maximum(done[:, column], held)
            self.left = np.where(mine & (own > 0), last, self.left)
            self.words = np.where(mine, own, self.words)
        work.end(done, here)
        return
        yield

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """As many for a word as its tile is away from the edge."""
        del sends
        return float((words * self.columns.places[None, :]).sum())

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet so far has left the fabric."""
        return float(self.left.max())
