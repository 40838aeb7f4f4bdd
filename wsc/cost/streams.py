"""Times of streams between tiles, and between tiles and the edge.

A stream is known by the time of its first and of its last wavelet: rows of one instruction
take their wavelets at an even pace, that of the slowest of its partners. Arrays have the shape
[rows, columns] of the sampled tiles, and hold cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wsc.cost.model import CostModel
from wsc.cost.tiles import Axis, Lanes

ABSENT = np.inf  # of a token: it is not there
PROMISED = np.nan  # of a time: it will be known when the stream's partners are


@dataclass(slots=True)
class Work:
    """A vector instruction that is about to run in some tiles.

    start: first cycle in which a row may start. count: rows, each of ``pace`` cycles.
    done: cycle in which it is over; ``PROMISED`` until known.
    """

    lanes: Lanes
    start: np.ndarray
    count: np.ndarray
    pace: np.ndarray
    done: np.ndarray

    @property
    def alone(self) -> np.ndarray:
        """End of the instruction if nothing keeps it waiting."""
        return self.start + self.count * self.pace

    @property
    def known(self) -> bool:
        """Whether the end is known in all its tiles."""
        return not np.isnan(self.done[self.lanes.mask]).any()


@dataclass(slots=True)
class Posted:
    """One instruction on a chain: what it is, whether it receives and whether it sends."""

    work: Work
    receives: bool
    sends: bool


class Chain:
    """Streams from neighbour to neighbour in one direction: each core receives, adds, passes on.

    slack: wavelets that lie between two cores when the second does not take them. gaps: tiles
    from each place of the chain to the next one.
    """

    def __init__(
        self, shape: tuple[int, int], axis: Axis, turn: tuple[bool, bool], hop: int, slack: int
    ) -> None:
        self.turn, self.hop, self.slack = turn, hop, slack
        _, backwards = turn
        gaps = axis.gaps if not backwards else np.append(0, axis.gaps[:0:-1])
        self.gaps = gaps
        self.delay = gaps * float(hop)
        self.first, self.last = np.zeros(shape), np.zeros(shape)
        self.sent = np.zeros(shape, bool)  # by the tile, not yet received by the next one
        self.posted: list[Posted] = []

    def _view(self, array: np.ndarray) -> np.ndarray:
        """The array as [along the chain, across it]."""
        upright, backwards = self.turn
        array = array if upright else array.T
        return array[::-1] if backwards else array

    def busy(self, lanes: Lanes) -> bool:
        """Whether an earlier instruction of these tiles has not found its partners yet."""
        return any(
            (item.work.lanes.mask & lanes.mask & np.isnan(item.work.done)).any()
            for item in self.posted
        )

    def resolve(self) -> bool:
        """Find the times of all instructions whose partners are there; whether there were any."""
        if not self.posted:
            return False
        shape = self.first.shape
        todo, receives, sends = (np.zeros(shape, bool) for _ in range(3))
        start, count, pace, done = (np.zeros(shape) for _ in range(4))
        for item in self.posted:
            at = item.work.lanes.mask & np.isnan(item.work.done)
            todo |= at
            receives |= at & item.receives
            sends |= at & item.sends
            for target, source in (
                (start, item.work.start),
                (count, item.work.count),
                (pace, item.work.pace),
            ):
                np.copyto(target, source, where=at)
        found = self._sweep(todo, receives, sends, start, count, pace, done)
        if not found.any():
            return False
        for item in self.posted:
            at = item.work.lanes.mask & found & np.isnan(item.work.done)
            np.copyto(item.work.done, done, where=at)
        self.posted = [item for item in self.posted if not item.work.known]
        return True

    def _sweep(self, *arrays: np.ndarray) -> np.ndarray:
        """Go along the chain once; where times are found now."""
        todo, receives, sends, start, count, pace, done = map(self._view, arrays)
        sent, first, last = map(self._view, (self.sent, self.first, self.last))
        found = np.zeros(self.first.shape, bool)
        marks = self._view(found)
        for place in range(len(todo)):
            here = todo[place]
            if not here.any():
                continue
            begin, more = start[place], np.maximum(count[place] - 1, 0) * pace[place]
            final = begin + more
            if place:
                ready = here & (~receives[place] | sent[place - 1])
                took = ready & receives[place]
                came = self.delay[place]
                begin = np.where(took, np.maximum(begin, first[place - 1] + came), begin)
                final = np.where(
                    took, np.maximum(begin + more, last[place - 1] + came), begin + more
                )
                # The sender waits for its neighbour, which need not be the next sampled tile: the
                # tiles between the two hold as many wavelets, each, as fit in between two cores.
                room = self.slack * self.gaps[place]
                held = start[place] + (count[place] - room) * pace[place]
                if self.gaps[place] > 1:
                    near = first[place - 1] + self.hop + (count[place] - self.slack) * pace[place]
                    held = np.where(count[place] > room, np.maximum(held, near), near)
                before = took & marks[place - 1] & (count[place] > self.slack)
                done[place - 1] = np.where(
                    before, np.maximum(done[place - 1], held), done[place - 1]
                )
                sent[place - 1] &= ~took
            else:
                ready = here & ~receives[place]
            done[place] = np.where(ready, final + pace[place], done[place])
            first[place] = np.where(ready & sends[place], begin, first[place])
            last[place] = np.where(ready & sends[place], final, last[place])
            sent[place] |= ready & sends[place]
            marks[place] = ready
        return found


class Cast:
    """A multicast from the middle of each row or column to both of its ends."""

    def __init__(
        self, shape: tuple[int, int], axis: Axis, along: int, model: CostModel, slack: int
    ) -> None:
        root = (axis.size - 1) // 2
        self.along, self.slack = along, slack
        self.place = int(axis.nearest(np.array([root]))[0])
        hops = np.abs(axis.places - root) * model.fabric.hop_cycles
        distance = hops + float(model.ramp + 2)
        self.delay = distance[None, :] if along else distance[:, None]
        self.first, self.last = np.zeros(shape), np.zeros(shape)
        self.sent, self.received = np.zeros(shape, int), np.zeros(shape, int)

    def _root(self, array: np.ndarray) -> np.ndarray:
        place = slice(self.place, self.place + 1)
        return array[:, place] if self.along else array[place, :]

    @property
    def ahead(self) -> np.ndarray:
        """How many multicasts each tile has yet to receive; none at the root."""
        found = self._root(self.sent) - self.received
        self._root(found)[...] = 0
        return found

    def send(self, work: Work) -> None:
        """The root's part; it ends when its wavelets are in the queue."""
        at = work.lanes.mask
        np.copyto(self.first, work.start, where=at)
        np.copyto(self.last, work.alone - work.pace, where=at)
        self.sent += at
        np.copyto(work.done, work.alone, where=at)

    def ready(self, work: Work) -> bool:
        """Whether the roots of these tiles have sent."""
        some = work.lanes.mask & (work.count > 0)
        return bool((self._root(self.sent) > self.received)[some].all())

    def receive(self, work: Work, time: np.ndarray) -> None:
        """The others' part; roots that are held up by them wait, in ``time``."""
        at = work.lanes.mask
        some = at & (work.count > 0)
        came = self._root(self.last) + self.delay + work.pace
        begun = self._root(self.first) + self.delay + work.count * work.pace
        whole = np.maximum(work.alone, np.maximum(came, begun))
        np.copyto(work.done, np.where(some, whole, work.alone), where=at)
        self.received += some
        held = work.start + (work.count - self.slack) * work.pace
        waits = some & (work.count > self.slack)  # what fits between the two keeps no root waiting
        held = np.where(waits, held, -np.inf).max(axis=self.along, keepdims=True)
        root = self._root(time)
        np.maximum(root, held, out=root)


@dataclass(slots=True)
class Schedule:
    """What the edge feeds (or takes) at each sampled column on one color, in its order.

    upto: elements up to the end of each transfer [transfers, columns]. interval: cycles
    between two wavelets of a port while that transfer runs. lookup: whether its rows wait
    for numbers from the fabric. control: cycles between two control wavelets of a port.
    done: elements of each column so far.
    """

    upto: np.ndarray
    interval: np.ndarray
    lookup: np.ndarray
    control: np.ndarray
    done: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.done = np.zeros(self.upto.shape[1])

    def number(self, element: float) -> int:
        """The transfer that an element belongs to, counted over all columns from 0 on."""
        return int(np.searchsorted(self.upto.sum(axis=1), element + 0.5))

    def current(self, wanted: np.ndarray) -> int:
        """The transfer that the next elements belong to, of the column that wants the most."""
        column = int(np.argmax(wanted))
        if not len(self.upto):
            return -1
        at = int(np.searchsorted(self.upto[:, column], self.done[column] + 0.5))
        return min(at, len(self.upto) - 1)


class Multicast:
    """Weights down the columns: every tile of a column takes every wavelet.

    A tile may be ahead of the slowest of its column by what lies in queues and buffers.
    fed: cycle in which the edge has fed the last wavelet so far, by column. share: cycle in which
    the column's share of the edge's bandwidth was enough for as many. A port that has fallen
    behind its share, because its column was not ready, may make up for it: one wavelet a cycle.
    """

    def __init__(self, model: CostModel, rows: Axis, schedule: Schedule, queue: int) -> None:
        self.schedule = schedule
        hops = rows.places * model.fabric.hop_cycles
        self.latency = (hops + model.fabric.ramp_latency + 1.0)[:, None]
        ahead = rows.places[:, None] - rows.places[None, :]  # of tile j to the south of tile i
        depth = model.between
        self.slack = queue + 1.0 + depth * np.maximum(-ahead, 0)[:, :, None]
        self.fed = np.zeros(len(schedule.done))
        self.share = self.fed
        self.taken = np.zeros((len(rows.places), len(schedule.done)))
        self.history = History(self.taken, float(self.slack.max()))
        self.asked = -np.inf  # cycle in which the numbers of a lookup are at the edge

    def take(self, work: Work) -> None:
        """Times of an instruction that takes wavelets in all its rows."""
        at = work.lanes.mask & (work.count > 0)
        np.copyto(work.done, work.alone, where=work.lanes.mask)
        if not at.any():
            return
        count = np.where(at, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now])
        if self.schedule.lookup[now]:
            self.fed = np.maximum(self.fed, self.asked)
            self.share = np.maximum(self.share, self.asked)
        upto = self.taken + count
        start = np.where(at, work.start, -np.inf)
        words = upto - self.schedule.done
        share = self.share + words * interval
        last = np.maximum(self.fed + words, share)
        held = -np.inf
        alike = (upto == upto[:1]).all()
        if alike and (self.taken == self.taken[:1]).all():
            # Ports that wait leave their share to others. These can use it only if they do not
            # wait at the same time: columns that are apart by so many cycles.
            latest = start.max(axis=0)[at.any(axis=0)]
            apart = latest.max() - latest.min()
            pace = np.maximum(work.pace, interval)
            shared = self._slowest(start, upto[0], pace, self.slack[:1])[0] - apart
            share = np.maximum(share, shared)
            pace = np.maximum(work.pace, 1.0)
            taken = self._slowest(start, upto[0], pace, self.slack[:1])[0]
            last = np.maximum(last, np.maximum(share, taken))
            held = self._slowest(start, upto[0], work.pace, self.slack)
        if alike:
            self.fed, self.share = last[0], share[0]
        self.history.add(start, np.maximum(work.pace, interval), self.taken)
        done = np.maximum(np.maximum(work.alone, last + self.latency + work.pace), held)
        np.copyto(work.done, done, where=at)
        self.taken = upto
        if (upto == upto[:1]).all():
            self.schedule.done = upto[0].copy()

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """As if ``words`` had been taken by each tile in so many cycles."""
        self.fed = self.fed + cycles.max(axis=0)
        self.share = self.share + cycles.max(axis=0)
        self.history.advance(cycles, words)
        self.taken = self.taken + words
        self.schedule.done = self.schedule.done + words[0]

    def _slowest(
        self, start: np.ndarray, upto: np.ndarray, pace: np.ndarray, slack: np.ndarray
    ) -> np.ndarray:
        """When the tiles of each column have taken all but ``slack`` wavelets: the latest of them.

        slack: [tiles that are ahead, tiles that may be slow, 1]. What was taken before this
        instruction was taken by the one before.
        """
        place = upto - slack
        now = start[None] + (place - self.taken[None]) * pace[None]
        then = self.history.taken_at(place)
        return np.where(place > self.taken[None], now, then).max(axis=1)


class History:
    """When tiles took the words of a stream: one entry for each instruction that took some.

    most: words behind the newest ones that are still asked for.
    """

    def __init__(self, taken: np.ndarray, most: float) -> None:
        self.most, self.count = most, 0
        self.start = np.zeros((8, *taken.shape))
        self.pace, self.taken = self.start.copy(), self.start.copy()

    def add(self, start: np.ndarray, pace: np.ndarray, taken: np.ndarray) -> None:
        """An instruction that began to take in cycle ``start``, with ``taken`` words before."""
        if self.count == len(self.start):
            self._make_room(float(taken.max()) - self.most)
        self.start[self.count], self.pace[self.count], self.taken[self.count] = start, pace, taken
        self.count += 1

    def _make_room(self, oldest: float) -> None:
        """Forget what nobody asks for; there is room for more behind it."""
        gone = self._gone(oldest)
        self.replace(*(a[gone : self.count] for a in (self.start, self.pace, self.taken)))

    def _gone(self, oldest: float) -> int:
        """Entries whose words all come before one."""
        upto = self.taken[1 : self.count].max(axis=(1, 2))
        return int(np.searchsorted(upto, oldest))

    def needed(self, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(start, pace, taken) of the entries that are still asked for; so much is taken now."""
        part = slice(self._gone(float(taken.max()) - self.most), self.count)
        return self.start[part], self.pace[part], self.taken[part]

    def replace(self, start: np.ndarray, pace: np.ndarray, taken: np.ndarray) -> None:
        """Make these the entries."""
        room = np.zeros((len(start) + 8, *start.shape[1:]))
        self.count = len(start)
        self.start, self.pace, self.taken = (
            np.concatenate([array, room]) for array in (start, pace, taken)
        )

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """As if all had been taken so many cycles and words later."""
        self.start[: self.count] += cycles
        self.taken[: self.count] += words

    def taken_at(self, word: np.ndarray) -> np.ndarray:
        """When each tile took a word, by its number: [askers, tiles, columns]; -inf before all."""
        if not self.count:
            return np.full(word.shape, -np.inf)
        column = int(np.argmax(self.taken[self.count - 1].max(axis=0)))
        before = self.taken[: self.count, :, column].max(axis=1)
        entry = np.searchsorted(before, word[:, :, column].ravel(), side="left") - 1
        entry = entry.reshape(word.shape[:2])
        tile = np.arange(word.shape[1])[None, :]
        chosen = np.maximum(entry, 0)
        start, pace, taken = (a[chosen, tile] for a in (self.start, self.pace, self.taken))
        found = start + np.maximum(word - taken, 0) * pace
        return np.where((entry >= 0)[:, :, None], found, -np.inf)


class Scatter:
    """Blocks down the columns, one tile after the other: each takes its own."""

    CONTROL = 2.0  # cycles that a port loses behind each block: the control wavelet, and its turn

    def __init__(self, model: CostModel, rows: Axis, schedule: Schedule, queue: int) -> None:
        self.rows, self.schedule = rows, schedule
        self.latency = rows.places * model.fabric.hop_cycles + model.fabric.ramp_latency + 1.0
        self.slack = queue + 1.0 + model.between * rows.places
        self.fed = np.zeros(len(schedule.done))
        self.ended = np.full((len(rows.places), len(schedule.done)), -np.inf)

    def shared(self, work: Work, words: np.ndarray, time: np.ndarray) -> float:
        """Tiles of the north that have their block send or take ``words`` over the same links.

        Blocks for the south that are still on their way come so much later, in ``time`` too.

        Returns:
            By how much the last block does.
        """
        at = work.lanes.mask & (work.count > 0)
        start = np.where(at, work.start, np.inf)
        if not (self.ended > start.min(axis=0)).any():
            return 0.0
        before = start[:, None, :] < self.ended[None, :, :]  # [a tile, tiles that it delays]
        places = self.rows.places
        before &= (places[:, None] < places[None, :])[:, :, None]
        late = (before * np.broadcast_to(words, at.shape)[:, None, :]).sum(axis=0)
        late = np.where(self.ended > -np.inf, late, 0.0)
        self.ended += late
        time += late
        work.start = work.start + late
        self.fed = self.fed + late.max(axis=0)
        return float(late.max())

    def take(self, work: Work) -> None:
        """Times of the instruction with which tiles take their blocks."""
        at = work.lanes.mask
        count = np.where(at, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now])
        gaps = self.rows.gaps
        for row in range(len(count)):
            own = count[row]
            control = max(self.CONTROL, self.schedule.control[now])
            skipped = max(gaps[row] - 1, 0) * (count[row - 1] * interval + control)
            pace = np.maximum(work.pace[row], interval)
            late = own - self.slack[row]
            held = np.where(late > 0, work.start[row] + late * pace, -np.inf)
            last = np.maximum(self.fed + skipped + own * interval, held)
            came = last + self.latency[row] + work.pace[row] - interval
            done = np.where(own > 0, np.maximum(work.alone[row], came), work.alone[row])
            np.copyto(work.done[row], done, where=at[row])
            np.copyto(self.ended[row], done, where=at[row] & (own > 0))
            self.fed = last + control
        self.schedule.done = np.where(at.any(axis=0), self.schedule.upto[now], self.schedule.done)


class Collect:
    """Blocks up the columns to the north edge, the northern tile's first.

    left: cycle in which the last wavelet so far left the fabric, by column.
    """

    CONTROL = 3.0  # between two blocks: the control wavelet goes, the switch turns, the next comes

    def __init__(self, model: CostModel, rows: Axis, schedule: Schedule, queue: int) -> None:
        self.rows, self.schedule = rows, schedule
        self.lead = model.fabric.ramp_latency + 1.0  # from the instruction's row to the link
        self.latency = rows.places * model.fabric.hop_cycles + 1.0
        self.slack = queue + model.fabric.router_buffer_depth
        self.left = np.zeros(len(schedule.done))

    def give(self, work: Work) -> None:
        """Times of the instruction with which tiles give their blocks."""
        at = work.lanes.mask
        count = np.where(at, work.count, 0.0)
        now = self.schedule.current(count.max(axis=0))
        interval = float(self.schedule.interval[now]) if now >= 0 else 1.0
        gaps = self.rows.gaps
        free = self.left - self.latency[0]  # when the way out of the row is free
        for row in range(len(count)):
            here = at[row]
            if not here.any():
                continue
            own = count[row]
            skipped = max(gaps[row] - 1, 0) * (count[row - 1] * interval + self.CONTROL)
            pace = np.maximum(work.pace[row], interval)
            begin = free + skipped + self.CONTROL * (row > 0)
            late = own + 1 - self.slack  # the control wavelet behind the block needs room, too
            held = np.where(late > 0, begin + late * pace, -np.inf)
            ready = work.start[row] + self.lead
            last = np.maximum(work.alone[row] + self.lead, np.maximum(begin, ready) + own * pace)
            np.copyto(work.done[row], np.maximum(work.alone[row], held), where=here)
            free = np.where(here, last, free)
            self.left = np.where(here, last + self.latency[row], self.left)
        if now >= 0:
            self.schedule.done = np.where(
                at.any(axis=0), self.schedule.upto[now], self.schedule.done
            )
