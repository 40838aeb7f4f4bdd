"""Chains: from neighbour to neighbour along a row or a column, each core adds and passes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wsc.cost.compiled import by_numba
from wsc.cost.tiles import Axis, Lanes
from wsc.flows.flow import ROOT_Y, Flow, Path, Strand, at, both, when
from wsc.flows.stream import Site, State, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import Expr, H, Int, Name, W, X, Y
from wsc.isa.types import Side

MOST_INTERPRETED = 300  # sampled tiles whose chains are followed without Numba


@dataclass(frozen=True)
class Towards(Flow):
    """Streams towards one side, in which cores add their own to what they pass on."""

    towards: Side

    @property
    def along_row(self) -> bool:
        """Whether it runs along rows."""
        return self.towards in (Side.EAST, Side.WEST)

    @property
    def backwards(self) -> bool:
        """Whether it runs against the coordinate."""
        return self.towards in (Side.WEST, Side.NORTH)

    @property
    def along(self) -> Name:
        """The coordinate along its line."""
        return X if self.along_row else Y

    @property
    def size(self) -> Name:
        """Tiles of the line."""
        return W if self.along_row else H


@dataclass(frozen=True)
class Chain(Towards):
    """Chains that run towards one side, in every row or every column.

    Row chains may end anywhere; column chains end in the middle row, which saves queues. The
    strands are ``even``, sent by tiles with an even coordinate, and ``odd``.
    """

    @property
    def name(self) -> str:
        """That of its side."""
        return self.towards.name.lower()

    def laid(self) -> tuple[Strand, ...]:
        """Those of the tiles with even and with odd coordinates."""
        return self._strand("even", 0), self._strand("odd", 1)

    @property
    def _ends(self) -> tuple[Expr, Expr, Expr]:
        """Coordinate along it; that of the first tile, and of the last one that may receive."""
        first = self.size - 1 if self.backwards else Int(0)
        if self.along_row:
            return self.along, first, Int(0) if self.backwards else self.size - 1
        return self.along, first, ROOT_Y

    def _strand(self, parity_name: str, parity: int) -> Strand:
        along, first, last = self._ends
        onward = ">" if self.backwards else "<"
        has_next = when(along, onward, last)
        has_previous = both(when(along, "!=", first), when(along, onward + "=", last))
        sends, receives = when(along % 2, "==", parity), when(along % 2, "==", 1 - parity)
        return Strand(
            self,
            f"{self.name}_{parity_name}",
            f"hop of the chains that run {self.name}, sent by {parity_name} tiles",
            (
                Path(both(sends, has_next), (at(Side.RAMP, self.towards),)),
                Path(both(receives, has_previous), (at(self.towards.opposite, Side.RAMP),)),
            ),
        )

    def stream(self, site: Site) -> ChainStream:
        """The times along all of its rows, or columns."""
        slack = site.between(self.strands[0], 2)
        axis = site.x if self.along_row else site.y
        return ChainStream(self, site, axis, site.model.hop, slack)


EAST, WEST, SOUTH, NORTH = (Chain(s) for s in (Side.EAST, Side.WEST, Side.SOUTH, Side.NORTH))


@dataclass(slots=True)
class Posted:
    """One instruction on a chain: what it is, whether it receives and whether it sends."""

    work: Work
    receives: bool
    sends: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Instructions that wait on a chain, by tiles.

    todo: where there is one. receives, sends: what it does. start, count, pace: as of its work.
    """

    todo: np.ndarray
    receives: np.ndarray
    sends: np.ndarray
    start: np.ndarray
    count: np.ndarray
    pace: np.ndarray


@dataclass(frozen=True, slots=True)
class Coming:
    """Words that come up ramps: how many, from when on and until when, by tiles."""

    count: np.ndarray
    since: np.ndarray
    until: np.ndarray


class ChainStream(Stream):
    """Streams from neighbour to neighbour in one direction.

    hop: what a core adds to the time of a wavelet. slack: wavelets that lie between two cores when
    the second does not take them. gaps: tiles from each place of the chain to the next one. sent:
    where a tile has sent what the next one has not received yet. first, last: cycles in which the
    first and the last wavelet of what was sent last have left. come: the words that each tile
    received last; since, until: the cycles in which these came up its ramp. before: the sampled
    place that sends to each one, which is nearer to the begin; -1 where there is none. swept:
    whether nothing was posted since the chain was gone along. Who finds its partners does not
    depend on times, so that going along it again finds none.
    """

    far: ClassVar[bool] = False  # whether senders may lie between two sampled tiles

    def __init__(self, flow: Towards, site: Site, axis: Axis, hop: int, slack: int) -> None:
        self.flow, self.site, self.hop, self.slack = flow, site, hop, slack
        gaps = axis.gaps if not flow.backwards else np.append(0, axis.gaps[:0:-1])
        self.gaps = gaps
        self.delay = gaps * float(hop)
        self.before = np.arange(len(gaps)) - 1
        self.first, self.last = np.zeros(site.shape), np.zeros(site.shape)
        self.sent = np.zeros(site.shape, bool)
        self.come, self.since, self.until = (np.zeros(site.shape) for _ in range(3))
        self.posted: list[Posted] = []
        self.swept = False

    def _view(self, array: np.ndarray) -> np.ndarray:
        """The array as [along the chain, across it]."""
        array = array.T if self.flow.along_row else array
        return array[::-1] if self.flow.backwards else array

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """Post an instruction; its times are found when its partners are there."""
        self._share_links(walk, work, sends)
        yield from self._post(walk, work, receives, sends)

    def turn(self, walk: Walker, work: Work, onward: Stream) -> Steps:
        """The end of this chain is the beginning of another: wavelets leave as they come."""
        self._share_links(walk, work, True)
        taken = Work(work.lanes, work.start, work.count, work.pace)
        yield from self._post(walk, taken, True, True)
        while not taken.known:
            if self.resolve():
                walk.progress += 1
            else:
                yield
        steps = np.maximum(work.count - 1, 1)
        work.pace = np.maximum(work.pace, (self.last - self.first) / steps)
        work.start = np.where(work.count > 0, self.first, work.start)
        yield from onward.run(walk, work, False, True)

    def _share_links(self, walk: Walker, work: Work, sends: bool) -> None:
        """Words that go south share their links with all that comes down from the edge."""
        if self.flow.towards is Side.SOUTH:
            waiting = np.minimum(work.count, self.slack)
            self.site.cross(walk, work, waiting if sends else work.count - waiting)

    def _post(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        work.end(work.alone, work.lanes.mask & (work.count == 0))
        if work.known:  # no words in any tile: nothing is sent
            return
        while self.busy(work.lanes):
            if self.resolve():
                walk.progress += 1
            elif self.busy(work.lanes):
                yield
        self.posted.append(Posted(work, receives, sends))
        self.swept = False

    def busy(self, lanes: Lanes) -> bool:
        """Whether an earlier instruction of these tiles has not found its partners yet."""
        return any((item.work.waiting & lanes.mask).any() for item in self.posted)

    def resolve(self) -> bool:
        """Find the times of all instructions whose partners are there; whether there were any."""
        if self.swept or not self.posted:
            return False
        self.swept = True
        asked = self._asked()
        found, done = self._sweep(asked, self._others(asked))
        if not found.any():
            return False
        for item in self.posted:
            item.work.end(done, item.work.waiting & found)
        self.posted = [item for item in self.posted if not item.work.known]
        return True

    def _asked(self) -> Asked:
        """What has been posted and waits."""
        shape = self.first.shape
        todo, receives, sends = (np.zeros(shape, bool) for _ in range(3))
        start, count, pace = (np.zeros(shape) for _ in range(3))
        for item in self.posted:
            here = item.work.waiting
            todo |= here
            receives |= here & item.receives
            sends |= here & item.sends
            for target, source in (
                (start, item.work.start),
                (count, item.work.count),
                (pace, item.work.pace),
            ):
                np.copyto(target, source, where=here)
        return Asked(todo, receives, sends, start, count, pace)

    def _others(self, asked: Asked) -> list[Coming]:
        """Words of other chains that come up the same ramps at the time of our own.

        Blocks that fit into the queues are left out.
        """
        here = asked.todo & asked.receives & (asked.count > self.slack)
        if not here.any():
            return []
        others = (other for other in self.site.streams.values() if isinstance(other, ChainStream))
        found = (other.coming() for other in others if other is not self)
        begin = asked.start[here].min()
        return [
            words for words in found if (here & (words.count > 0) & (words.until > begin)).any()
        ]

    def coming(self) -> Coming:
        """The words that each tile has received last, or will with what has been posted."""
        if not self.posted or self.swept:
            return Coming(self.come, self.since, self.until)
        kept = self.first, self.last, self.sent, self.come, self.since, self.until
        before = [array.copy() for array in kept]
        self._sweep(self._asked(), [])
        found = Coming(self.come.copy(), self.since.copy(), self.until.copy())
        for array, old in zip(kept, before, strict=True):
            np.copyto(array, old)
        return found

    def _sweep(self, asked: Asked, others: list[Coming]) -> tuple[np.ndarray, np.ndarray]:
        """Go along the chain once; where times are found now, and when instructions end there.

        others: words that share the ramps.
        """
        kept = self.sent, self.first, self.last, self.come, self.since, self.until
        given = asked.todo, asked.receives, asked.sends, asked.start, asked.count, asked.pace
        shape = self._view(self.first).shape
        shared = np.empty((2, len(others), self.first.size))
        for number, words in enumerate(others):
            shared[0, number] = self._view(words.since).ravel()
            shared[1, number] = self._view(words.count).ravel()
        # Tiles in the order of the chain; those of one place are one behind the other.
        flat = [self._view(array).flatten() for array in (*given, *kept)]
        tables: list[Any] = [*flat, np.zeros(self.first.size, bool), np.zeros(self.first.size)]
        run: Callable[..., None] = by_numba(_pass_on)
        line: list[Any] = [self.before, self.delay, self.gaps.astype(float), *shared]
        if self.first.size <= MOST_INTERPRETED:  # Python's lists are faster there
            run = _pass_on
            line, tables = ([array.tolist() for array in part] for part in (line, tables))
        run(shape[1], self.far, float(self.hop), float(self.slack), *line, *tables)
        for array, values in zip(kept, tables[len(given) : -2], strict=True):
            self._view(array)[...] = np.asarray(values).reshape(shape)
        found, ended = np.empty_like(self.sent), np.empty_like(self.first)
        self._view(found)[...] = np.asarray(tables[-2]).reshape(shape)
        self._view(ended)[...] = np.asarray(tables[-1]).reshape(shape)
        return found, ended

    def slowed(self, work: Work) -> np.ndarray | float:
        """While words come up a ramp, every other wavelet is one of them.

        Where the instruction takes words less often, they find room between these.
        """
        self.resolve()
        if not (self.until > work.start).any():
            return 0.0  # all have come
        begin = np.maximum(self.since, work.start)
        part = (self.until - begin) / np.maximum(self.until - self.since, 1.0)
        words = self.come * np.clip(part, 0.0, 1.0)
        both = np.minimum(words, work.count - (begin - work.start) / work.pace)
        return np.maximum(both, 0.0) * np.maximum(2.0 - work.pace, 0.0)

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """One for each word that is sent."""
        return float(words.sum()) if sends else 0.0

    def advance(self, cycles: np.ndarray) -> None:
        """Set the clocks on."""
        for times in (self.first, self.last, self.since, self.until):
            times += cycles

    def state(self, base: float, used: bool) -> State:
        """Where words are on their way; what left longer ago than it takes has arrived."""
        del used
        nothing = np.zeros(self.site.shape)
        times, come = [nothing] * 4, nothing
        if self.sent.any():
            longest = -self.delay.max()
            times[:2] = (
                np.where(self.sent, np.maximum(array - base, longest), 0.0)
                for array in (self.first, self.last)
            )
        under_way = self.until > base
        if under_way.any():
            times[2:] = (
                np.where(under_way, array - base, 0.0) for array in (self.since, self.until)
            )
            come = np.where(under_way, self.come, 0.0)
        return State(times, [self.sent.copy(), come])

    def restore(
        self,
        walk: Walker,
        times: Iterator[np.ndarray],
        counts: Iterator[np.ndarray],
        base: float,
        used: bool,
    ) -> None:
        """The same words are on their way."""
        del walk, used
        self.swept = False
        self.sent, self.come = next(counts).copy(), next(counts).copy()
        self.first, self.last = next(times) + base, next(times) + base
        self.since, self.until = next(times) + base, next(times) + base


def _pass_on(
    across: Any,
    far: Any,
    hop: Any,
    slack: Any,
    before: Any,
    delay: Any,
    gaps: Any,
    others_since: Any,
    others_count: Any,
    todo: Any,
    receives: Any,
    sends: Any,
    start: Any,
    count: Any,
    pace: Any,
    sent: Any,
    first: Any,
    last: Any,
    come: Any,
    since: Any,
    until: Any,
    found: Any,
    ended: Any,
) -> None:
    """Go along ``across`` chains side by side: who has its words, and when they pass.

    The tiles of one place of all chains are one behind the other. before, delay, gaps: by place, as
    in ``ChainStream``. others_since, others_count: words of others on the ramp. todo ... pace: as
    in ``Asked``. sent ... until: as in ``ChainStream``, and changed. found, ended: where times are
    found now, and when instructions end there.
    """
    places = len(before)
    took = [False] * (places * across)
    final = [0.0] * (places * across)  # when the last word passes
    later = [0.0] * (places * across)  # by how much others on the ramp hold that up
    for place in range(places):
        previous = before[place]
        for lane in range(across):
            at = place * across + lane
            if not todo[at]:
                continue
            ready, begin = not receives[at], start[at]
            more = max(count[at] - 1.0, 0.0) * pace[at]
            end = begin + more
            if previous >= 0:
                prior = previous * across + lane
                if receives[at] and sent[prior]:
                    ready = took[at] = True
                    sent[prior] = False
                    begin = max(begin, first[prior] + delay[place])
                    end = max(begin + more, last[prior] + delay[place])
                    for other in range(len(others_since)):
                        # While both come, each has every other cycle.
                        ahead = (others_since[other][at] - begin) / max(pace[at], 1.0)
                        mine = count[at] - max(ahead, 0.0)
                        both = max(min(mine, others_count[other][at] - max(-ahead, 0.0)), 0.0)
                        later[at] += both * max(2.0 - pace[at], 0.0)
                    end += later[at]
            elif far:
                # Nobody before it is sampled: they begin when it does itself.
                ready = True
                if receives[at]:
                    begin += delay[place]
                end = begin + more
            final[at] = end
            if not ready:
                continue
            if sends[at]:
                first[at], last[at], sent[at] = begin, end, True
            if took[at]:
                come[at], since[at], until[at] = count[at], begin, end + 1.0
            found[at], ended[at] = True, end + pace[at]
    # The sender waits for its neighbour, which need not be the next sampled tile: the
    # tiles between the two hold as many wavelets, each, as fit in between two cores.
    # One that is held itself passes the last words on at its pace, so it holds those before it:
    # from the end of the chain to its begin.
    for place in range(places - 1, -1, -1):
        room = slack * gaps[place]
        for lane in range(across):
            at, prior = place * across + lane, before[place] * across + lane
            if not took[at] or not found[prior] or count[at] <= slack:
                continue
            held = start[at] + (count[at] - room) * pace[at]
            if gaps[place] > 1:
                near = first[prior] + hop + (count[at] - slack) * pace[at]
                held = max(held, near) if count[at] > room else near
            if ended[at] > final[at] - later[at] + pace[at]:
                held = max(held, ended[at] - room * pace[at])
            ended[prior] = max(ended[prior], held)
