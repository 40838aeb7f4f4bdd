"""Chains: from neighbour to neighbour along a row or a column, each core adds and passes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wsc.cost.compiled import run_on_arrays
from wsc.cost.tiles import Axis, Lanes
from wsc.flows.flow import ROOT_Y, Flow, Path, Strand, at, both, when
from wsc.flows.stream import NOTHING, Site, State, Steps, Stream, Walker
from wsc.flows.work import MOST_RECENT, Work
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
class Coming:
    """Words that come up ramps: how many, from when on and until when, by tiles."""

    count: np.ndarray
    since: np.ndarray
    until: np.ndarray


# The rows of a chain's tables, which have a number for each tile: 1.0 or 0.0 for whether it is so.
# What is kept of a chain, and how many rows that are,
SENT, FIRST, LAST, COME, SINCE, UNTIL, IDLE, APART, BEHIND, HOLDS, ENDED, KEPT = range(12)
# and what is asked of it: whether an instruction waits, whether it receives and sends, its rows.
TODO, RECEIVES, SENDS, START, COUNT, PACE, ASKED = range(7)


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
    kept: all of these numbers, and others of the last instruction of each tile, in a table. asked:
    what has been posted and waits, in another one.
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
        # Chains side by side, and whether the tables go along rows, and backwards.
        self._across = site.shape[0 if flow.along_row else 1]
        self._along_row, self._backwards = flow.along_row, flow.backwards
        self.kept, self.asked = self._table(KEPT), self._table(ASKED)
        self._wanted = tuple(map(self._tiles, self.asked))
        self.sent, self.first, self.last = (self._tiles(self.kept[n]) for n in (SENT, FIRST, LAST))
        self.come, self.since, self.until, self.idle, self.ended = (
            self._tiles(self.kept[n]) for n in (COME, SINCE, UNTIL, IDLE, ENDED)
        )
        self._coming = Coming(self.come, self.since, self.until)
        self.posted: list[Posted] = []
        self.recent: list[Work] = []
        self.swept = False

    def _table(self, count: int) -> np.ndarray:
        """So many numbers for each tile, as [number, tile].

        Tiles are in the order of the chain, those of one place of all chains one behind the other.
        """
        return np.zeros((count, self.site.shape[0] * self.site.shape[1]))

    def _tiles(self, row: np.ndarray) -> np.ndarray:
        """A row of a table as [rows, columns] of the sampled tiles: a view."""
        found = row.reshape(-1, self._across)
        found = found[::-1] if self._backwards else found
        return found.T if self._along_row else found

    def _ordered(self, array: np.ndarray) -> np.ndarray:
        """An array of [rows, columns] as a row of a table: a copy."""
        array = array.T if self._along_row else array
        return (array[::-1] if self._backwards else array).flatten()

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
        found, done = self._sweep(self.kept, asked, self._others(asked))
        if not np.count_nonzero(found):
            return False
        for item in self.posted:
            item.work.end(done, item.work.waiting & found)
        self.recent += [item.work for item in self.posted if item.work.known]
        self.posted = [item for item in self.posted if not item.work.known]
        if len(self.recent) > MOST_RECENT:
            # What is the last instruction of no tile does not become later.
            self.recent = [w for w in self.recent if ((w.done == self.ended) & w.lanes.mask).any()]
        return True

    def _asked(self) -> np.ndarray:
        """What has been posted and waits: a table, which the next one replaces."""
        self.asked.fill(0.0)
        todo, receives, sends, start, count, pace = self._wanted
        for item in self.posted:
            here = item.work.waiting
            np.copyto(todo, 1.0, where=here)
            if item.receives:
                np.copyto(receives, 1.0, where=here)
            if item.sends:
                np.copyto(sends, 1.0, where=here)
            np.copyto(start, item.work.start, where=here)
            np.copyto(count, item.work.count, where=here)
            np.copyto(pace, item.work.pace, where=here)
        return self.asked

    def _others(self, asked: np.ndarray) -> list[Coming]:
        """Words of other chains that come up the same ramps at the time of our own.

        Blocks that fit into the queues are left out.
        """
        mine = (asked[RECEIVES] > 0) & (asked[COUNT] > self.slack)
        if not np.count_nonzero(mine):
            return []
        here, begin = self._tiles(mine), asked[START][mine].min()
        found: list[Coming] = []
        for other in self.site.streams.values():
            if isinstance(other, ChainStream) and other is not self:
                words = other.coming()
                late = words.until > begin
                if np.count_nonzero(late) and np.count_nonzero(here & (words.count > 0) & late):
                    found.append(words)
        return found

    def coming(self) -> Coming:
        """The words that each tile has received last, or will with what has been posted."""
        if self.swept or not self.posted:
            return self._coming
        kept = self.kept.copy()
        self._sweep(kept, self._asked(), [])
        return Coming(*(self._tiles(kept[number]) for number in (COME, SINCE, UNTIL)))

    def _sweep(
        self, kept: np.ndarray, asked: np.ndarray, others: list[Coming]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Go along the chain once.

        kept: what is known of it, which changes. asked: of ``_asked``. others: words that share the
        ramps.

        Returns:
            Where times are found now, and when instructions end there.
        """
        shared = np.zeros((3, len(others), kept.shape[1]))
        for number, words in enumerate(others):
            for place, array in enumerate((words.since, words.until, words.count)):
                shared[place, number] = self._ordered(array)
        ways = map(float, (self.site.model.ramp, self.queue, self.slack, self.hop))
        found = np.zeros(kept.shape[1])
        self._along(_pass_on, [self.far, *ways], [shared, asked], [kept, found])
        return self._tiles(found) > 0, self._tiles(kept[ENDED])

    def _along(
        self,
        run: Callable[..., None],
        numbers: Sequence[float],
        given: Sequence[np.ndarray],
        changed: Sequence[np.ndarray],
    ) -> None:
        """Let a function go along all chains side by side, on rows of tables.

        changed: arrays that it changes, behind those that are given.
        """
        line = [self.before, self.delay, self.gaps.astype(float), *given]
        compiled = self.kept.shape[1] > MOST_INTERPRETED
        run_on_arrays(run, [self._across, *numbers], line, changed, compiled)

    def joined(self, walk: Walker, work: Work) -> None:
        """Words of another stream come up the ramps in turn with the last ones of this one.

        Where a ramp has no cycles to spare, each of them makes these later by one.
        """
        self.recent = [item for item in self.recent if (item.done > work.start).any()]
        if not self.recent:
            return
        here = work.lanes.mask & (work.count > 0) & (self.until > work.start)
        if not np.count_nonzero(here):
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
        self._along(_hold_up, [], [self._ordered(cycles)], [self.kept])
        later = self.ended - before
        held = later > 0
        for item in self.recent if np.count_nonzero(held) else ():
            last_one = item.lanes.mask & (item.done == before) & held
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
        times, come, sent = [NOTHING] * 4, NOTHING, NOTHING
        if self.sent.any():
            sent = self.sent.copy()
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
        return State(times, [sent, come])

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
        for part in (self.sent, self.come):
            part[...] = next(counts)
        for part in (self.first, self.last, self.since, self.until):
            np.add(next(times), base, out=part)


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
    shared: Any,
    asked: Any,
    kept: Any,
    found: Any,
) -> None:
    """Go along ``across`` chains side by side: who has its words, and when they pass.

    ramp: cycles of a ramp's way. before, delay, gaps: by place, as in ``ChainStream``. shared: when
    words of others on the ramp begin, when they end, and how many they are. asked, kept: tables, of
    which the second changes. found: where times are found now.
    """
    others_since, others_until, others_count = shared[0], shared[1], shared[2]
    todo, receives, sends = asked[TODO], asked[RECEIVES], asked[SENDS]
    start, count, pace = asked[START], asked[COUNT], asked[PACE]
    sent, first, last = kept[SENT], kept[FIRST], kept[LAST]
    come, since, until, idle = kept[COME], kept[SINCE], kept[UNTIL], kept[IDLE]
    apart, behind, holds, ended = kept[APART], kept[BEHIND], kept[HOLDS], kept[ENDED]
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
            ready, begin, between = receives[at] == 0, start[at], pace[at]
            more = max(count[at] - 1.0, 0.0) * pace[at]
            end = begin + more
            if previous >= 0:
                prior = previous * across + lane
                if receives[at] and sent[prior]:
                    ready = took[at] = True
                    sent[prior] = 0.0
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
                first[at], last[at], sent[at] = begin, end, 1.0
            if took[at]:
                come[at], since[at], until[at] = count[at], begin, end + 1.0
                idle[at] = end + 1.0 - begin - count[at] - later[at]
            found[at], ended[at], apart[at], holds[at] = 1.0, end + pace[at], between, 0.0
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
            holds[at] = 1.0
            held = start[at] + (count[at] - room) * pace[at]
            if gaps[place] > 1.0:
                near = first[prior] + hop + (count[at] - slack) * pace[at]
                held = max(held, near) if count[at] > room else near
            if ended[at] > final[at] - later[at] + pace[at]:
                held = max(held, ended[at] - behind[at])
            ended[prior] = max(ended[prior], held)
            apart[prior] = max(apart[prior], apart[at])


def _hold_up(across: Any, before: Any, delay: Any, gaps: Any, cycles: Any, kept: Any) -> None:
    """The last words that came are so many cycles later, and so is what waits for them.

    cycles: those of each tile; they become those by which its words are later after all. kept: the
    chain's table.
    """
    last, until, ended = kept[LAST], kept[UNTIL], kept[ENDED]
    apart, behind, holds = kept[APART], kept[BEHIND], kept[HOLDS]
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
