"""Chains: from neighbour to neighbour along a row or a column, each core adds and passes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

FIRST_OWNERS = 24  # columns that are all followed at the begin of a row
LONG = 256  # columns of a row on which those are a small part of all
MOST_INTERPRETED = 300  # sampled tiles whose chains are followed without Numba
LARGEST_PART = 0.75  # of a ramp's cycles that other words have beside those of a chain


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

    Row chains may end anywhere; column chains end in the middle row, which saves queues, but for
    those that are ``whole``: they end at the edge. The strands are ``even``, sent by tiles with an
    even coordinate, and ``odd``.
    """

    whole: bool = False

    @property
    def name(self) -> str:
        """That of its side; what goes up whole columns rises."""
        return "rise" if self.whole else self.towards.name.lower()

    def laid(self) -> tuple[Strand, ...]:
        """Those of the tiles with even and with odd coordinates."""
        return self._strand("even", 0), self._strand("odd", 1)

    def alone(self, axis: str, size: int) -> tuple[int, ...]:
        """The first columns: blocks end there in turn before both ways have found their distance.

        In each turn the blocks of both ways come up the ramp of one tile, and the one that comes
        second falls back, until each has a ramp for itself. On a long axis that is a small part.
        """
        if axis != "x" or not self.along_row or size > LONG:
            return ()
        return tuple(range(1, min(FIRST_OWNERS, size)))

    @property
    def _ends(self) -> tuple[Expr, Expr, Expr]:
        """Coordinate along it; that of the first tile, and of the last one that may receive."""
        first = self.size - 1 if self.backwards else Int(0)
        if self.along_row or self.whole:
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
RISE = Chain(Side.NORTH, whole=True)


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
    the second does not take them; queue: those of them that lie in its queue. gaps: tiles from each
    place of the chain to the next one. sent: where a tile has sent what the next one has not
    received yet. first, last: cycles in which the first and the last wavelet of what was sent last
    have left. come: the words that each tile received last; since, until: the cycles in which these
    came up its ramp; idle: those of them in which no chain used it. before: the sampled place that
    sends to each one, which is nearer to the begin; -1 where there is none. swept: whether nothing
    was posted since the chain was gone along. Who finds its partners does not depend on times, so
    that going along it again finds none.
    recent: instructions whose times are known, but may become later (``joined``). Of the last one
    of each tile: ended, the cycle in which it is over; apart, cycles between its last words;
    behind, cycles from the end of the one before to its own, if that is held up by it; holds,
    whether that has to wait for it.
    """

    far: ClassVar[bool] = False  # whether senders may lie between two sampled tiles

    def __init__(self, flow: Towards, site: Site, axis: Axis, hop: int, slack: int) -> None:
        self.flow, self.site, self.hop, self.slack = flow, site, hop, slack
        gaps = axis.gaps if not flow.backwards else np.append(0, axis.gaps[:0:-1])
        self.gaps = gaps
        self.delay = gaps * float(hop)
        self.before = np.arange(len(gaps)) - 1
        self.queue = site.depth(flow.strands[0], False)
        self.first, self.last = np.zeros(site.shape), np.zeros(site.shape)
        self.sent = np.zeros(site.shape, bool)
        self.come, self.since, self.until = (np.zeros(site.shape) for _ in range(3))
        self.idle, self.ended, self.apart = (np.zeros(site.shape) for _ in range(3))
        self.behind, self.holds = np.zeros(site.shape), np.zeros(site.shape, bool)
        self.posted: list[Posted] = []
        self.recent: list[Work] = []
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
        found, done, holds = self._sweep(asked, self._others(asked))
        if not found.any():
            return False
        np.copyto(self.ended, done, where=found)
        np.copyto(self.holds, holds, where=found)
        for item in self.posted:
            item.work.end(done, item.work.waiting & found)
        self.recent += [item.work for item in self.posted if item.work.known]
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
        before = [array.copy() for array in self._kept]
        self._sweep(self._asked(), [])
        found = Coming(self.come.copy(), self.since.copy(), self.until.copy())
        for array, old in zip(self._kept, before, strict=True):
            np.copyto(array, old)
        return found

    @property
    def _kept(self) -> list[np.ndarray]:
        """What going along the chain changes."""
        words = [self.come, self.since, self.until]
        return [self.sent, self.first, self.last, *words, self.idle, self.apart, self.behind]

    def _sweep(
        self, asked: Asked, others: list[Coming]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Go along the chain once.

        others: words that share the ramps.

        Returns:
            Where times are found now, when instructions end there, and where those of the tile
            before wait for them.
        """
        given = [asked.todo, asked.receives, asked.sends, asked.start, asked.count, asked.pace]
        shared = np.empty((3, len(others), self.first.size))
        for number, words in enumerate(others):
            for place, array in enumerate((words.since, words.until, words.count)):
                shared[place, number] = self._view(array).ravel()
        found, ended = np.zeros(self.first.shape, bool), np.zeros(self.first.shape)
        holds = np.zeros(self.first.shape, bool)
        ways = self.site.model.ramp, self.queue, self.slack, self.hop
        run = self._compiled(_pass_on)
        self._along(
            run, [self.far, *map(float, ways)], shared, given, [*self._kept, found, ended, holds]
        )
        return found, ended, holds

    def _compiled(self, run: Callable[..., None]) -> Callable[..., None]:
        """A function that goes along chains, as fast as is worth while."""
        return run if self.first.size <= MOST_INTERPRETED else by_numba(run)

    def _along(
        self,
        run: Callable[..., None],
        numbers: Sequence[float],
        shared: np.ndarray,
        given: Sequence[np.ndarray],
        changed: Sequence[np.ndarray],
    ) -> None:
        """Let a function go along all chains side by side.

        Tiles are in the order of the chain, those of one place of all chains one behind the other.
        changed: arrays that it changes, behind those that are given.
        """
        shape = self._view(self.first).shape
        line: list[Any] = [self.before, self.delay, self.gaps.astype(float), *shared]
        tables: list[Any] = [self._view(array).flatten() for array in (*given, *changed)]
        if self.first.size <= MOST_INTERPRETED:  # Python's lists are faster there
            line, tables = ([array.tolist() for array in part] for part in (line, tables))
        run(shape[1], *numbers, *line, *tables)
        for array, values in zip(changed, tables[len(given) :], strict=True):
            self._view(array)[...] = np.asarray(values).reshape(shape)

    def joined(self, walk: Walker, work: Work) -> None:
        """Words of another stream come up the ramps in turn with the last ones of this one.

        Where a ramp has no cycles to spare, each of them makes these later by one.
        """
        self.recent = [item for item in self.recent if (item.done > work.start).any()]
        here = work.lanes.mask & (work.count > 0) & (self.until > work.start)
        if not self.recent or not here.any():
            return
        # The part of the ramp's cycles that they take, and how many of them come in between.
        part = np.minimum(work.count / np.maximum(work.done - work.start, 1.0), LARGEST_PART)
        begin = np.maximum(work.start, self.since)
        left = self.until - begin
        others = np.minimum(left * part / (1.0 - part), work.count - (begin - work.start) * part)
        spare = self.idle * left / np.maximum(self.until - self.since, 1.0)
        self._make_later(walk, np.where(here, np.maximum(others - spare, 0.0), 0.0))

    def _make_later(self, walk: Walker, cycles: np.ndarray) -> None:
        """The last words that tiles received came so much later, and what waits for them is."""
        before = self.ended.copy()
        given = [self.holds, self.apart, self.behind]
        changed = [cycles, self.last, self.until, self.ended]
        self._along(self._compiled(_hold_up), [], np.empty((0, 0)), given, changed)
        later = self.ended - before
        for item in self.recent:
            last_one = item.lanes.mask & (item.done == before) & (later > 0)
            if last_one.any():
                walk.make_later(item, np.where(last_one, later, 0.0))

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
        for times in (self.first, self.last, self.since, self.until, self.ended):
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
        self.swept, self.recent = False, []
        self.sent, self.come = next(counts).copy(), next(counts).copy()
        self.first, self.last = next(times) + base, next(times) + base
        self.since, self.until = next(times) + base, next(times) + base


def _pass_on(
    across: Any,
    far: Any,
    ramp: Any,
    queue: Any,
    slack: Any,
    hop: Any,
    before: Any,
    delay: Any,
    gaps: Any,
    others_since: Any,
    others_until: Any,
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
    idle: Any,
    apart: Any,
    behind: Any,
    found: Any,
    ended: Any,
    holds: Any,
) -> None:
    """Go along ``across`` chains side by side: who has its words, and when they pass.

    ramp: cycles of a ramp's way. before, delay, gaps: by place, as in ``ChainStream``. others_...:
    words of others on the ramp, as in ``Coming``. todo ... pace: as in ``Asked``. sent ... behind:
    as in ``ChainStream``, and changed. found, ended, holds: where times are found now, when
    instructions end there, and where those of the tile before wait for them.
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
            ready, begin, between = not receives[at], start[at], pace[at]
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
                        both *= max(2.0 - pace[at], 0.0)
                        later[at] += both
                        if both > 0 and end < others_until[other][at]:
                            between = max(between, 2.0)
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
                idle[at] = end + 1.0 - begin - count[at] - later[at]
            found[at], ended[at], apart[at] = True, end + pace[at], between
    # The sender waits for its neighbour, which need not be the next sampled tile: the
    # tiles between the two hold as many wavelets, each, as fit in between two cores.
    # One that is held itself passes the last words on at its pace, so it holds those before it:
    # from the end of the chain to its begin.
    for place in range(places - 1, -1, -1):
        room = slack * gaps[place]
        for lane in range(across):
            at, prior = place * across + lane, before[place] * across + lane
            if not found[at]:
                continue
            # Between the ends of both lie the words that lie between them; that there is room is
            # known a ramp's way later. No words lie in the queue of the last tile of a chain, which
            # is held up by its ramp.
            full = slack * apart[at] - (ramp if apart[at] > 1.0 else 0.0)
            final_one = not sends[at] and apart[at] > 1.0
            nearest = (slack - queue) * apart[at] if final_one else full
            behind[at] = full * (gaps[place] - 1.0) + nearest
            if not took[at] or not found[prior] or count[at] <= slack:
                continue
            holds[at] = True
            held = start[at] + (count[at] - room) * pace[at]
            if gaps[place] > 1.0:
                near = first[prior] + hop + (count[at] - slack) * pace[at]
                held = max(held, near) if count[at] > room else near
            if ended[at] > final[at] - later[at] + pace[at]:
                held = max(held, ended[at] - behind[at])
            ended[prior] = max(ended[prior], held)
            apart[prior] = max(apart[prior], apart[at])


def _hold_up(
    across: Any,
    before: Any,
    delay: Any,
    gaps: Any,
    holds: Any,
    apart: Any,
    behind: Any,
    cycles: Any,
    last: Any,
    until: Any,
    ended: Any,
) -> None:
    """The last words that came are so many cycles later, and so is what waits for them.

    cycles: those of each tile; they become those by which its words are later after all. All other
    arrays are as in ``ChainStream``.
    """
    places = len(gaps)
    # A word that is late is so for the tiles behind, too, unless it would have waited there.
    for place in range(places):
        if before[place] < 0:
            continue
        for lane in range(across):
            at, prior = place * across + lane, before[place] * across + lane
            if holds[at]:
                waited = until[at] - 1.0 - last[prior] - delay[place]
                cycles[at] = max(cycles[at], cycles[prior] - waited)
    for at in range(places * across):
        until[at] += cycles[at]
        last[at] += cycles[at]
        if cycles[at] > 0.0:
            ended[at] = max(ended[at], until[at] - 1.0 + apart[at])
    # Who sends it waits for it, but for the words that lie in between.
    for place in range(places - 1, -1, -1):
        if before[place] < 0:
            continue
        for lane in range(across):
            at, prior = place * across + lane, before[place] * across + lane
            if holds[at] and cycles[at] > 0.0:
                ended[prior] = max(ended[prior], ended[at] - behind[at])
