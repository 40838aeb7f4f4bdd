"""The multicast down each column: every tile of a column takes every wavelet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Path, Strand, at, when
from wsc.flows.stream import Site, State, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import H, Y
from wsc.isa.types import Side

SLOWEST = 64.0  # cycles between two words that a tile takes, beyond which none is slower


@dataclass(frozen=True)
class Multicast(Flow):
    """From the north edge down each column, a copy into every tile."""

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        paths = (
            Path(when(Y, "<", H - 1), (at(Side.NORTH, Side.RAMP, Side.SOUTH),)),
            Path(when(Y, "==", H - 1), (at(Side.NORTH, Side.RAMP),)),
        )
        return (
            Strand(self, "weights", "weights and constants, multicast down each column", paths),
        )

    def stream(self, site: Site) -> MulticastStream:
        """The times down all columns."""
        return MulticastStream(self, site)


WEIGHTS = Multicast()


class MulticastStream(Stream):
    """What the edge feeds to all tiles of each column.

    A tile may be ahead of the slowest of its column by what lies in queues and buffers.
    fed: cycle in which the edge has fed the last wavelet so far, by column. share: cycle in which
    the column's share of the edge's bandwidth was enough for as many. A port that has fallen
    behind its share, because its column was not ready, may make up for it: one wavelet a cycle.
    """

    def __init__(self, flow: Flow, site: Site) -> None:
        rows = site.y
        self.site, self.weight = site, float(rows.weight[0])
        self.schedule = site.schedule(flow)
        hops = rows.places * site.model.fabric.hop_cycles
        self.latency = (hops + site.model.fabric.ramp_latency + 1.0)[:, None]
        ahead = rows.places[:, None] - rows.places[None, :]  # of tile j to the south of tile i
        queue, depth = site.depth(flow.strand, False), site.model.between
        self.slack = queue + 1.0 + depth * np.maximum(-ahead, 0)[:, :, None]
        self.fed = np.zeros(len(self.schedule.done))
        self.share = self.fed
        self.taken = np.zeros((len(rows.places), len(self.schedule.done)))
        self.history = History(self.taken, float(self.slack.max()))

    @property
    def feeds(self) -> Schedule | None:
        """What the edge feeds."""
        return self.schedule

    @property
    def counted(self) -> np.ndarray | None:
        """Words that each tile has taken so far."""
        return self.taken

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Tiles take wavelets in all rows of an instruction."""
        words = np.minimum(work.count[:1], self.slack[0])
        self.site.cross(walk, work, self._stepped(words, work))
        self._take(work)
        return
        yield

    def _stepped(self, words: np.ndarray, work: Work) -> np.ndarray:
        """What each row adds to the words that the rows above have taken ahead of those below."""
        ahead = np.broadcast_to(words, work.count.shape)
        return np.diff(ahead, axis=0, append=ahead[-1:]) + np.eye(len(ahead))[:, :1] * ahead[:1]

    def _take(self, work: Work) -> None:
        here = work.lanes.mask & (work.count > 0)
        work.end(work.alone, work.lanes.mask)
        if not here.any():
            return
        count = np.where(here, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now])
        if self.schedule.lookup[now]:
            self.fed = np.maximum(self.fed, self.site.asked)
            self.share = np.maximum(self.share, self.site.asked)
        upto = self.taken + count
        words = upto - self.schedule.done
        share = self.share + words * interval
        last = np.maximum(self.fed + words, share)
        held: np.ndarray | float = 0.0
        alike = (upto == upto[:1]).all()
        if alike and (self.taken == self.taken[:1]).all():
            # Ports that wait leave their share to others. These can use it only if they do not
            # wait at the same time: columns that are apart by so many cycles.
            latest = np.where(here, work.start, 0.0).max(axis=0)[here.any(axis=0)]
            apart = latest.max() - latest.min()
            pace = np.maximum(work.pace, interval)
            shared = self._slowest(work, here, upto[0], pace, self.slack[:1])[0] - apart
            share = np.maximum(share, shared)
            pace = np.maximum(work.pace, 1.0)
            taken = self._slowest(work, here, upto[0], pace, self.slack[:1])[0]
            last = np.maximum(last, np.maximum(share, taken))
            held = self._slowest(work, here, upto[0], work.pace, self.slack)
        if alike:
            self.fed, self.share = last[0], share[0]
        self.history.add(work.start, np.maximum(work.pace, interval), self.taken, here)
        done = np.maximum(np.maximum(work.alone, last + self.latency + work.pace), held)
        work.end(done, here)
        self.taken = upto
        if alike:
            self.schedule.done = upto[0].copy()

    def _slowest(
        self, work: Work, here: np.ndarray, upto: np.ndarray, pace: np.ndarray, slack: np.ndarray
    ) -> np.ndarray:
        """When the tiles of each column have taken all but ``slack`` wavelets: the latest of them.

        here: tiles that take some now. slack: [tiles that are ahead, tiles that may be slow, 1].
        What was taken before this instruction was taken by the one before.
        """
        place = upto - slack
        now = np.where(here, work.start + (place - self.taken[None]) * pace[None], 0.0)
        then = self.history.taken_at(place)
        return np.where(place > self.taken[None], now, then).max(axis=1)

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """One for each tile that takes a word; the first row is at the edge."""
        del sends
        return float(words[1:].sum()) + float(words[0].sum()) * (1 - 1 / self.weight)

    def advance(self, cycles: np.ndarray) -> None:
        """Set the clocks on."""
        self.fed = self.fed + cycles.max(axis=0)
        self.share = self.share + cycles.max(axis=0)
        self.history.advance(cycles)

    def take(self, words: np.ndarray) -> None:
        """Each tile has taken so many words more."""
        self.history.take(words)
        self.taken = self.taken + words
        self.schedule.done = self.schedule.done + words[0]

    def state(self, base: float, used: bool) -> State:
        """When the latest words were taken and fed, for a call that takes some.

        What was fed so long ago is in the queues, and keeps no tile waiting.
        """
        if not used:
            return State()
        start, pace, taken, took = self.history.needed(self.taken)
        long = -SLOWEST * self.history.most
        times = [np.maximum(self.fed - base, long), np.maximum(self.share - base, long)]
        times.append(np.where(took, start - base, 0.0))
        fed = self.schedule.done
        return State(times, [pace.copy(), taken - fed, took.copy(), self.taken - fed])

    def restore(
        self,
        walk: Walker,
        times: Iterator[np.ndarray],
        counts: Iterator[np.ndarray],
        base: float,
        used: bool,
    ) -> None:
        """The same words were taken, relative to what the edge has fed."""
        del walk
        if used:
            self.fed, self.share = next(times) + base, next(times) + base
            start = next(times) + base
            pace, taken, took = next(counts), next(counts) + self.schedule.done, next(counts)
            self.history.replace(start, pace, taken, took)
            self.taken = next(counts) + self.schedule.done


class History:
    """When tiles took the words of a stream: one entry for each instruction that took some.

    most: words behind the newest ones that are still asked for. start, pace: of the instruction;
    taken: words before it; took: the tiles that it ran in.
    """

    def __init__(self, taken: np.ndarray, most: float) -> None:
        self.most, self.count = most, 0
        self.start = np.zeros((8, *taken.shape))
        self.pace, self.taken = self.start.copy(), self.start.copy()
        self.took = np.zeros((8, *taken.shape), bool)

    def add(self, start: np.ndarray, pace: np.ndarray, taken: np.ndarray, took: np.ndarray) -> None:
        """An instruction that began to take in cycle ``start``, with ``taken`` words before."""
        if self.count == len(self.start):
            self._make_room(float(taken.max()) - self.most)
        self.start[self.count], self.pace[self.count] = start, pace
        self.taken[self.count], self.took[self.count] = taken, took
        self.count += 1

    def _make_room(self, oldest: float) -> None:
        """Forget what nobody asks for; there is room for more behind it."""
        kept = slice(self._gone(oldest), self.count)
        self.replace(*(a[kept] for a in (self.start, self.pace, self.taken, self.took)))

    def _gone(self, oldest: float) -> int:
        """Entries whose words all come before one."""
        upto = self.taken[1 : self.count].max(axis=(1, 2))
        return int(np.searchsorted(upto, oldest))

    def needed(self, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(start, pace, taken, took) of entries that are still asked for; so much is taken now."""
        part = slice(self._gone(float(taken.max()) - self.most), self.count)
        return self.start[part], self.pace[part], self.taken[part], self.took[part]

    def replace(
        self, start: np.ndarray, pace: np.ndarray, taken: np.ndarray, took: np.ndarray
    ) -> None:
        """Make these the entries."""
        self.count = len(start)
        room = np.zeros((len(start) + 8, *start.shape[1:]))
        self.start, self.pace, self.taken = (
            np.concatenate([array, room]) for array in (start, pace, taken)
        )
        self.took = np.concatenate([took, room.astype(bool)])

    def advance(self, cycles: np.ndarray) -> None:
        """As if all had been taken so many cycles later."""
        self.start[: self.count] += cycles

    def take(self, words: np.ndarray) -> None:
        """As if so many words more had been taken before each."""
        self.taken[: self.count] += words

    def taken_at(self, word: np.ndarray) -> np.ndarray:
        """When each tile took a word, by its number: [askers, tiles, columns]; 0 before all."""
        if not self.count:
            return np.zeros(word.shape)
        column = int(np.argmax(self.taken[self.count - 1].max(axis=0)))
        before = self.taken[: self.count, :, column].max(axis=1)
        entry = np.searchsorted(before, word[:, :, column].ravel(), side="left") - 1
        entry = entry.reshape(word.shape[:2])
        tile = np.arange(word.shape[1])[None, :]
        chosen = np.maximum(entry, 0)
        start, pace, taken = (a[chosen, tile] for a in (self.start, self.pace, self.taken))
        found = start + np.maximum(word - taken, 0) * pace
        took = self.took[chosen, tile] & (entry >= 0)[:, :, None]
        return np.where(took, found, 0.0)
