"""Blocks up each column: a tile sends its own, then lets the rest pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Path, Strand, at, when
from wsc.flows.stream import Site, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import H, Y
from wsc.isa.table import Timing
from wsc.isa.types import Side

ROOM = 3.0  # cycles until a word that has left makes room for the core's next one
TURN = 1.0  # cycles after a control wavelet has passed until the switch has turned


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

    left: cycle in which the last block so far has left the fabric, and the control wavelet behind
    it has come to its router, by column. chosen: cycles in which a core chooses and begins to
    send that.
    """

    in_blocks = True
    again = False

    def __init__(self, flow: Flow, site: Site) -> None:
        self.columns, self.rows, self.model = site.x, site.y, site.model
        self.schedule = site.schedule(flow)
        fabric = site.model.fabric
        self.lead = fabric.ramp_latency + 1.0  # from the instruction's row to the link
        self.latency = self.rows.places * fabric.hop_cycles + 1.0
        self.slack = site.depth(flow.strand, True) + fabric.router_buffer_depth
        timing = fabric.timing
        self.chosen = timing[Timing.BRANCH].startup + timing[Timing.MOVE].start(queue=True)
        self.left = np.zeros(len(self.schedule.done))

    def _between(self, words: np.ndarray) -> np.ndarray:
        """Cycles from a tile's last word to the next tile's first one, if both have waited."""
        full = self.chosen + self.lead - (self.slack * self.model.link - ROOM)
        found = np.maximum(self.model.link, np.where(words > self.slack, full, 0.0)) + TURN
        return np.where(words > 0, found, 0.0)

    @property
    def feeds(self) -> Schedule | None:
        """What the edge takes."""
        return self.schedule

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Tiles give their blocks."""
        here = work.lanes.mask
        count = np.where(here, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        link = self.model.link
        left, done = self._blocks(work, here, count, link, now)
        interval = float(self.schedule.interval[now]) if now >= 0 else link
        if interval > link:
            # A port that takes nothing leaves its share of the bandwidth to the others: the
            # blocks of a column are through with a fair share, or when all columns are.
            shared, later = self._blocks(work, here, count, interval, now)
            whole = self._whole(work, here, interval, now)
            left = np.maximum(left, np.minimum(shared, whole))
            done = np.maximum(done, np.minimum(later, whole))
        self.left = left
        work.end(done, here)
        if now >= 0:
            self.schedule.done = np.where(
                here.any(axis=0), self.schedule.upto[now], self.schedule.done
            )
        return
        yield

    def _blocks(
        self, work: Work, here: np.ndarray, count: np.ndarray, interval: float, now: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """When the last wavelet leaves, by column, and when each tile's instruction is over.

        interval: cycles between two words of a port, at least. now: what the edge takes them for;
        where tiles have their turn, a control wavelet lets the next tile's block pass.
        """
        turns = now < 0 or bool(self.schedule.in_turn[now])
        gaps, link = self.rows.gaps, self.model.link
        between = self._between(count)
        words = self.schedule.between(now, count, gaps)
        left, done = self.left, work.alone
        for row in range(len(count)):
            if not here[row].any():
                continue
            own, way = count[row], self.latency[row]
            # Tiles between this sampled one and the one before are like that one.
            before = max(row - 1, 0)
            skipped = words[row] * interval + max(gaps[row] - 1, 0) * between[before]
            pace = np.maximum(work.pace[row], interval)
            free = np.where(left > 0, left + TURN, 0.0) + skipped  # when the way out is free
            late = own + 1 - self.slack  # the control wavelet behind the block needs room, too
            ready = work.alone[row] + self.lead + way
            begin = np.maximum(free, ready - own * work.pace[row])
            held = np.where(late > 0, begin - way + late * pace, 0.0)
            last = np.maximum(ready, begin + own * pace)
            done[row] = np.maximum(work.alone[row], held)
            if turns:
                # If the block does not fit into the tile's buffers, its instruction ends when all
                # but those words have left. Then follow the condition that chooses the control
                # wavelet, and the instruction that sends it.
                full = last - self.slack * link + ROOM + self.lead
                ended = np.where(own > self.slack, np.maximum(ready, full), ready)
                control = ended + self.chosen
                # A tile without a block has turned its switch beforehand.
                last = np.where(
                    own > 0, np.maximum(last + link, control), np.maximum(left, control)
                )
            left = np.where(here[row], last, left)
        return left, done

    def _whole(self, work: Work, here: np.ndarray, interval: float, now: int) -> float:
        """When all columns are through, if the edge always takes what there is.

        interval: cycles between two words of a port with a fair share. now: what the edge takes.
        """
        words = self.schedule.elements(now) * self.columns.weight
        busy = float(self.columns.weight[words > 0].sum())
        ready = work.start + self.lead + self.latency[:, None]
        first = np.maximum(ready.min(axis=0, where=here, initial=float(ready.max())), self.left)
        order = np.argsort(first)
        cycles = np.cumsum(words[order]) * interval / max(busy, 1.0)
        after = np.append(0.0, cycles[:-1])
        return float((first[order] + cycles[-1] - after).max())

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """As many for a word as its tile is away from the edge."""
        del sends
        return float((words * self.rows.places[:, None]).sum())

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet so far has left the fabric."""
        return float(self.left.max())
