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

    more_if_used = True

    def __init__(self, flow: Flow, site: Site) -> None:
        rows = site.y
        self.site, self.weight = site, float(rows.weight[0])
        self.schedule = site.schedule(flow)
        self.way = (rows.places * site.model.fabric.hop_cycles)[:, None]
        self.latency = self.way + site.model.fabric.ramp_latency + 1.0
        self.queue, depth = site.depth(flow.strand, False), site.model.between
        # A tile may be ahead by its queue of those to the north, and of those to the south by the
        # buffers in between, too: pairs of a tile and one of these, ordered by the first.
        count = len(rows.places)
        ahead, behind = np.triu_indices(count, 1)
        between = depth * (rows.places[behind] - rows.places[ahead])
        self.slow = np.concatenate([np.arange(count), behind])
        self.slack = self.queue + 1.0 + np.concatenate([np.zeros(count), between])[:, None]
        self.begins = np.searchsorted(ahead, np.arange(count - 1))
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
        self.site.cross(walk, work, self._before(work))
        late = sum(stream.slowed(work) for stream in self.site.streams.values())
        work.pace = work.pace + late / np.maximum(work.count, 1.0)
        self._take(work)
        for stream in self.site.streams.values():
            stream.joined(walk, work)
        return
        yield

    def _before(self, work: Work) -> np.ndarray:
        """Cycles by which words that pass each row make the block of the next one later.

        Words wait in the queues of all rows, and in the routers. A row that has its block begins to
        take them, and those behind move on by a router's buffer. Where the edge's bandwidth is
        short, links have cycles to spare, and each word that comes in takes its part of that.
        """
        block, self.site.block = self.site.block, 0.0
        if not block:
            return np.zeros(work.count.shape)
        now = self.schedule.current(work.count.max(axis=0))
        left = self.schedule.upto[now] - self.schedule.done
        first = np.minimum(left, self.queue + 1.0)
        # Measured: half of what a tile takes at once moves on by a row before the next block has.
        step = np.minimum(np.minimum(left - first, work.count[0]) / 2, self.site.model.between)
        step = np.minimum(step, 2.0 * block - 1.0)  # they take turns with the words of a block
        step = np.minimum(step, (block + 3.0) / work.pace[0])
        words = np.append(self.site.y.gaps[1:], 0)[:, None] * step
        words[0] += first
        interval = float(self.schedule.interval[now])
        if interval > 1.0:
            words = interval * np.diff(np.minimum(words.cumsum(axis=0), left), axis=0, prepend=0.0)
        return words

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
            slow = self._slow(work, here, upto[0])
            shared = slow.north(np.maximum(work.pace, interval)) - apart
            share = np.maximum(share, shared)
            taken = slow.north(np.maximum(work.pace, 1.0))
            last = np.maximum(last, np.maximum(share, taken))
            held = slow.all(work.pace)
        if alike:
            self.fed, self.share = last[0], share[0]
        self.history.add(work.start, np.maximum(work.pace, interval), self.taken, here)
        done = np.maximum(np.maximum(work.alone, last + self.latency + work.pace), held)
        work.end(done, here)
        self.taken = upto
        if alike:
            self.schedule.done = upto[0].copy()

    def _slow(self, work: Work, here: np.ndarray, upto: np.ndarray) -> Slow:
        """What tiles wait for that are to have taken ``upto`` words. here: those that take some."""
        place, taken = upto - self.slack, self.taken[self.slow]
        then = self.history.taken_at(place, self.slow)
        now, start = here[self.slow], work.start[self.slow]
        return Slow(self.slow, self.begins, self.way, place - taken, start, now, then)

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


@dataclass(frozen=True, slots=True)
class Slow:
    """The tiles that others wait for: each of a column in turn, then pairs of a tile and one
    to the south of it.

    Arrays have the shape [tiles and pairs, columns]. slow: the row of the tile that may be slow.
    begins: pairs before those of each row but the last. way: cycles from the edge to each row.
    words: those of the instruction that it must have taken; what was before was taken by the one
    before, at the times in ``then``. start: of the instruction, where it runs ``now``.
    """

    slow: np.ndarray
    begins: np.ndarray
    way: np.ndarray
    words: np.ndarray
    start: np.ndarray
    now: np.ndarray
    then: np.ndarray

    def north(self, pace: np.ndarray) -> np.ndarray:
        """When enough words were taken for the first tiles of all columns, at a pace."""
        count = len(self.begins) + 1
        part = np.concatenate([np.arange(1), np.arange(count, 2 * count - 1)])
        return self._times(pace, part).max(axis=0)

    def all(self, pace: np.ndarray) -> np.ndarray:
        """The same for all tiles."""
        times = self._times(pace, slice(None))
        count = len(self.begins) + 1
        # What a tile lets pass is still on its way to those to the south.
        found = np.maximum.accumulate(times[:count] - self.way, axis=0) + self.way
        if count > 1:
            south = np.maximum.reduceat(times[count:], self.begins, axis=0)
            found[:-1] = np.maximum(found[:-1], south)
        return found

    def _times(self, pace: np.ndarray, part: slice | np.ndarray) -> np.ndarray:
        words = self.words[part]
        now = np.where(self.now[part], self.start[part] + words * pace[self.slow[part]], 0.0)
        return np.where(words > 0, now, self.then[part])


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

    def taken_at(self, word: np.ndarray, tile: np.ndarray) -> np.ndarray:
        """When tiles took words, by their numbers [tiles, columns]; 0 before all."""
        if not self.count:
            return np.zeros(word.shape)
        column = int(np.argmax(self.taken[self.count - 1].max(axis=0)))
        before = self.taken[: self.count, :, column].max(axis=1)
        entry = np.searchsorted(before, word[:, column], side="left") - 1
        chosen = np.maximum(entry, 0)
        start, pace, taken = (a[chosen, tile] for a in (self.start, self.pace, self.taken))
        found = start + np.maximum(word - taken, 0) * pace
        took = self.took[chosen, tile] & (entry >= 0)[:, None]
        return np.where(took, found, 0.0)
