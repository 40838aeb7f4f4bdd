"""Calls of main that were walked before: the same procedure, begun in the same state.

Layers of a network are alike, so most calls of a deep one begin as an earlier one did, later by
some cycles. What that one did to the clocks is then done again, and nothing is walked.

A call is known by its procedure, by the arguments that decide times, by what the edge feeds
next, and by the clocks of all tiles, units and streams relative to the first tile's.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from wsc.cost.steady import set_tally, tally_of
from wsc.cost.threads import Token
from wsc.flows.flow import Flow
from wsc.flows.stream import after
from wsc.isa.program import Call, Procedure
from wsc.isa.statements import calls, colors_of

if TYPE_CHECKING:
    from wsc.cost.walk import Walk
    from wsc.flows.feed import Schedule

# Procedure, arguments that decide times, and a digest of the state.
Key = tuple[str, tuple[tuple[str, Hashable], ...], bytes]
DIGITS = 2  # of a cycle, to which two states are the same
SAME = 1e-6  # of a cycle, by which equal times may differ after sums


@dataclass(frozen=True, slots=True)
class Fed:
    """What a call takes of what the edge feeds on one color.

    words: elements of each column. left: [transfers, columns] elements to the end of each transfer
    that they are of. pace: cycles between two wavelets, and between two control wavelets, of each.
    """

    words: np.ndarray
    left: np.ndarray
    pace: np.ndarray

    @staticmethod
    def of(schedule: Schedule, before: np.ndarray) -> Fed | None:
        """What was taken since ``before``; None of rows that wait for numbers from the fabric."""
        words = schedule.done - before
        first = schedule.number(float(before.sum()))
        last = schedule.number(float(schedule.done.sum()) - 1.0) if words.any() else first - 1
        part = slice(first, last + 1)
        if schedule.lookup[part].any():
            return None
        return Fed(words, schedule.upto[part] - before, _pace(schedule, part))

    def next(self, schedule: Schedule) -> bool:
        """Whether the edge feeds the same next."""
        first = schedule.number(float(schedule.done.sum()))
        part = slice(first, first + len(self.left))
        left = schedule.upto[part] - schedule.done
        return np.array_equal(left, self.left) and np.array_equal(_pace(schedule, part), self.pace)


def _pace(schedule: Schedule, part: slice) -> np.ndarray:
    return np.stack([schedule.interval[part], schedule.control[part]])


@dataclass(slots=True)
class State:
    """The clocks of a walk relative to a cycle, and what else decides times.

    times: cycles. counts: all else, such as which streams have been sent. Of what is nowhere under
    way there is the single number zero, in place of one for each tile. semaphores: to which the
    tokens belong that are at the end of both.
    """

    times: list[np.ndarray]
    counts: list[np.ndarray]
    semaphores: tuple[int, ...]

    @staticmethod
    def of(walk: Walk, base: float, used: frozenset[Flow]) -> State:
        """The state now; used: the flows that a call uses."""
        # A unit or a token that is ready before all tiles are is ready.
        times = [walk.time - base, *(after(unit, base) for unit in walk.unit)]
        counts: list[np.ndarray] = []
        for stream, own_use in walk.streams.told(used):
            own = stream.state(base, own_use)
            times += own.times
            counts += own.counts
        tokens = [
            (number, token)
            for number, found in sorted(walk.tokens.items())
            for token in found
            if token.there
        ]
        times += [after(token.time, base, token.here) for _, token in tokens]
        counts += [token.here.copy() for _, token in tokens]
        return State(times, counts, tuple(number for number, _ in tokens))

    def digest(self) -> bytes:
        """A digest of it all; equal for states that are the same but for parts of a cycle."""
        arrays = [*self.times, *self.counts]
        shapes = [(array.shape, array.dtype.char) for array in arrays]
        seen = blake2b(repr((self.semaphores, shapes)).encode())
        # There are dozens of arrays of a few hundred tiles: they are rounded as one.
        times = np.concatenate([array.ravel() for array in self.times])
        seen.update((np.round(times, DIGITS) + 0.0).tobytes())
        seen.update(b"".join(array.tobytes() for array in self.counts))
        return seen.digest()

    def set_clocks(self, walk: Walk, base: float) -> None:
        """Let the tiles of a walk be where they are in it."""
        walk.time = self.times[0] + base

    def restore(self, walk: Walk, base: float, used: frozenset[Flow]) -> None:
        """Make it the state of a walk, but for the clocks of its tiles (``set_clocks``)."""
        times, counts = iter(self.times[1:]), iter(self.counts)
        walk.unit = np.empty_like(walk.unit)
        for unit in walk.unit:
            np.add(next(times), base, out=unit)
        for stream, own_use in walk.streams.told(used):
            stream.restore(walk, times, counts, base, own_use)
        walk.tokens, walk.recent = {}, []
        for number, time, here in zip(self.semaphores, times, counts, strict=True):
            since = np.full(here.shape, base) + time
            token = Token(here.copy(), since, np.zeros_like(here))
            walk.tokens.setdefault(number, []).append(token)


@dataclass(frozen=True, slots=True)
class Done:
    """What a call did.

    number: its own among all that are known. used: the flows that it used. fed: what it took of
    what the edge feeds, by the number of the schedule. state: behind it, relative to the first
    tile's cycle before it. tally, macs: the work that it added.
    """

    number: int
    used: frozenset[Flow]
    fed: tuple[tuple[int, Fed], ...]
    state: State
    tally: np.ndarray
    macs: float


@dataclass(frozen=True, slots=True)
class Begun:
    """How the call began that is being walked.

    base: cycle of the first tile. used: flows. taken: elements that the edge has fed, by schedule.
    asked, postponed: of the walk. tally, macs: work done before.
    """

    key: Key
    base: float
    used: frozenset[Flow]
    taken: tuple[np.ndarray, ...]
    asked: float
    postponed: int
    tally: np.ndarray
    macs: float


@dataclass(frozen=True, slots=True)
class Pending:
    """What the last call leaves, which was done again at a cycle; nobody has looked at it yet."""

    done: Done
    base: float


@dataclass(slots=True)
class Calls:
    """All calls that were walked so far, by how they began.

    last: what main has done last, and when each tile was through, if nothing has happened since but
    what takes all tiles the same time. digests: of the states behind that, by what was done, by
    that time, and by the flows that are used next. pending: units, tokens and streams are as that
    call leaves them, though a walk does not have it yet: most calls of a deep network are done
    again, one behind the other, and only the times of tiles are asked for in between.
    """

    procedures: dict[str, Procedure]
    known: dict[Key, list[Done]] = field(default_factory=dict[Key, list[Done]])
    flows: dict[str, frozenset[Flow]] = field(default_factory=dict[str, frozenset[Flow]])
    begun: Begun | None = None
    last: tuple[Done, np.ndarray] | None = None
    digests: dict[tuple[int, float, frozenset[Flow]], bytes] = field(default_factory=dict)
    pending: Pending | None = None
    count: int = 0

    def again(self, walk: Walk, call: Call, arguments: dict[str, Any]) -> bool:
        """Do what an earlier call did that began like this one; whether there was any.

        arguments: those that decide times. If there was none, ``learn`` is called when the call
        has been walked.
        """
        self.begun = None
        used = self._flows(walk, call.procedure)
        mine = [stream for stream, own_use in walk.streams.told(used) if own_use]
        if not all(stream.again for stream in mine) or not (self.pending or walk.quiet()):
            self.settle(walk)
            return False
        base = float(walk.time.min())
        key = call.procedure, _known(arguments), self._digest(walk, base, used)
        self.last = None
        schedules = _schedules(walk)
        for done in self.known.get(key, ()):
            if all(fed.next(schedules[number]) for number, fed in done.fed):
                if self.pending is not None and not self.pending.done.used <= used:
                    self.settle(walk)
                for number, fed in done.fed:
                    schedules[number].done = schedules[number].done + fed.words
                done.state.set_clocks(walk, base)
                self.pending = Pending(done, base)
                if any(stream.in_blocks for stream in mine):
                    self.settle(walk)  # the blocks are of the statement that runs now
                set_tally(walk, tally_of(walk) + done.tally, _macs(walk) + done.macs)
                self.last = done, walk.time.copy()
                return True
        self.settle(walk)
        taken = tuple(part.done.copy() for part in schedules)
        seen = walk.streams.site.asked, walk.postponed
        self.begun = Begun(key, base, used, taken, *seen, tally_of(walk), _macs(walk))
        return False

    def settle(self, walk: Walk) -> None:
        """Give the walk what the last call leaves, if it does not have it yet."""
        if self.pending is not None:
            done, base = self.pending.done, self.pending.base
            self.pending = None
            done.state.restore(walk, base, done.used)

    def learn(self, walk: Walk) -> None:
        """Note what the call did that ``again`` did not know.

        Not what asks for rows of a lookup, or makes calls before it longer.
        """
        begun = self.begun
        if begun is None or not walk.quiet() or walk.postponed != begun.postponed:
            return
        found: list[tuple[int, Fed]] = []
        for number, (part, old) in enumerate(zip(_schedules(walk), begun.taken, strict=True)):
            if (part.done != old).any():
                fed = Fed.of(part, old)
                if fed is None:
                    return
                found.append((number, fed))
        if walk.streams.site.asked != begun.asked:
            return
        state = State.of(walk, begun.base, begun.used)
        self.count += 1
        done = Done(
            self.count,
            begun.used,
            tuple(found),
            state,
            tally_of(walk) - begun.tally,
            _macs(walk) - begun.macs,
        )
        self.known.setdefault(begun.key, []).append(done)

    def _digest(self, walk: Walk, base: float, used: frozenset[Flow]) -> bytes:
        """A digest of the state, for a call that uses these flows."""
        if self.last is None:
            return self._made(walk, base, used)
        done, through = self.last
        since = walk.time - through
        later, latest = round(float(since.min()), DIGITS), float(since.max())
        told = done.used is used or all(
            before or not stream.more_if_used
            for (stream, before), (_, now) in zip(
                walk.streams.told(done.used), walk.streams.told(used), strict=True
            )
            if now
        )
        if not told or abs(latest - later) > SAME:
            return self._made(walk, base, used)
        # Nothing but that decides the state: a call that was done again leaves a known one.
        key = done.number, later, used
        if key not in self.digests:
            self.digests[key] = self._made(walk, base, used)
        return self.digests[key]

    def _made(self, walk: Walk, base: float, used: frozenset[Flow]) -> bytes:
        """The digest, of the state as it is."""
        self.settle(walk)
        return State.of(walk, base, used).digest()

    def _flows(self, walk: Walk, name: str) -> frozenset[Flow]:
        """The flows whose colors a procedure uses, or those that it calls."""
        if name not in self.flows:
            body = self.procedures[name].body
            carried = walk.streams.carried
            found = {strand.flow for color in colors_of(body) for strand in carried.get(color, ())}
            for call in calls(body):
                found |= self._flows(walk, call.procedure)
            self.flows[name] = frozenset(found)
        return self.flows[name]


def _known(arguments: dict[str, Any]) -> tuple[tuple[str, Hashable], ...]:
    """Arguments as they can be looked up: numbers, or those of all tiles."""
    return tuple(
        (name, (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value)
        for name, value in arguments.items()
    )


def _schedules(walk: Walk) -> list[Schedule]:
    """Of the streams that calls may use again."""
    return [feeds for s in walk.streams if s.again and (feeds := s.feeds) is not None]


def _macs(walk: Walk) -> float:
    return walk.current.macs if walk.current is not None else 0.0
