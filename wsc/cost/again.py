"""Calls of main that were walked before: the same procedure, begun in the same state.

Layers of a network are alike, so most calls of a deep one begin as an earlier one did, later by
some cycles. What that one did to the clocks is then done again, and nothing is walked.

A call is known by its procedure, by the arguments that decide times, by what the edge feeds
next, and by the clocks of all tiles, units and streams relative to the first tile's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from wsc.cost.flows import flows_of_color
from wsc.cost.steady import set_tally, tally_of
from wsc.isa.program import Call, Op, Procedure
from wsc.isa.program import Fabric as Queue
from wsc.isa.statements import statements

if TYPE_CHECKING:
    from wsc.cost.streams import Schedule
    from wsc.cost.walk import Walk

Key = tuple[str, bytes]  # procedure, and a digest of all that decides times
DIGITS = 2  # of a cycle, to which two states are the same
WEIGHTS = "weights"
EDGE = frozenset({"scatter", "collect", "indices"})  # blocks in an order of their own


@dataclass(frozen=True, slots=True)
class Fed:
    """What a call takes of the transfers that feed the weights: as far as it decides times.

    left: [transfers, columns] elements to the end of each. interval: of each.
    """

    left: np.ndarray
    interval: np.ndarray

    @staticmethod
    def of(schedule: Schedule, first: int, count: int) -> Fed:
        """Of ``count`` transfers from number ``first`` on."""
        part = slice(first, first + count)
        return Fed(schedule.upto[part] - schedule.done, schedule.interval[part])

    def same(self, other: Fed) -> bool:
        """Whether both feed the same."""
        return np.array_equal(self.left, other.left) and np.array_equal(
            self.interval, other.interval
        )


@dataclass(slots=True)
class State:
    """The clocks of a walk relative to a cycle, and what else decides times.

    times: cycles. counts: all else, such as which streams have been sent. semaphores: to which
    the tokens belong that are at the end of ``times``.
    """

    times: list[np.ndarray]
    counts: list[np.ndarray]
    semaphores: tuple[int, ...]

    @staticmethod
    def of(walk: Walk, base: float, weights: bool) -> State:
        """The state now; that of the weights only for calls that take some."""
        streams = walk.streams
        # A unit or a token that is ready before all tiles are is ready.
        times = [walk.time - base, np.maximum(walk.unit - base, 0.0)]
        counts: list[np.ndarray] = []
        for stream in streams.chains.values():
            counts.append(stream.sent.copy())
            times += [np.where(stream.sent, a - base, 0.0) for a in (stream.first, stream.last)]
        for cast in streams.casts.values():
            ahead = cast.ahead
            counts.append(ahead)
            some = (ahead > 0).any(axis=cast.along, keepdims=True)
            times += [np.where(some, a - base, 0.0) for a in (cast.first, cast.last)]
        if weights:
            flow = streams.weights
            start, pace, taken = flow.history.needed(flow.taken)
            times += [flow.fed - base, flow.share - base, start - base]
            counts += [pace.copy(), taken - flow.schedule.done, flow.taken - flow.schedule.done]
        tokens = [
            (number, np.maximum(token - base, 0.0))
            for number, found in sorted(walk.tokens.items())
            for token in found
            if np.isfinite(token).any()
        ]
        times += [token for _, token in tokens]
        return State(times, counts, tuple(number for number, _ in tokens))

    def rounded(self) -> list[np.ndarray]:
        """All arrays; equal for states that are the same but for parts of a cycle."""
        return [*(np.round(array, DIGITS) + 0.0 for array in self.times), *self.counts]

    def restore(self, walk: Walk, base: float, weights: bool) -> None:
        """Make it the state of a walk."""
        streams = walk.streams
        times, counts = iter(self.times), iter(self.counts)
        walk.time = next(times) + base
        walk.unit = next(times) + base
        for stream in streams.chains.values():
            stream.sent = next(counts).copy()
            stream.first, stream.last = next(times) + base, next(times) + base
        for cast in streams.casts.values():
            cast.sent, cast.received = np.zeros_like(cast.sent), -next(counts)
            cast.first, cast.last = next(times) + base, next(times) + base
        if weights:
            flow = streams.weights
            flow.fed, flow.share = next(times) + base, next(times) + base
            start = next(times) + base
            pace, taken = next(counts), next(counts) + flow.schedule.done
            flow.history.replace(start, pace, taken)
            flow.taken = next(counts) + flow.schedule.done
        walk.tokens = {}
        for number, token in zip(self.semaphores, times, strict=True):
            walk.tokens.setdefault(number, []).append(token + base)


@dataclass(frozen=True, slots=True)
class Done:
    """What a call did.

    fed: what it took. words: how many elements of each column. state: behind it, relative to the
    first tile's cycle before it. tally, macs: the work that it added.
    """

    fed: Fed
    words: np.ndarray
    state: State
    tally: np.ndarray
    macs: float


@dataclass(frozen=True, slots=True)
class Begun:
    """How the call began that is being walked; the fields as those of ``Done``, before it."""

    key: Key
    base: float
    weights: bool
    fed: np.ndarray
    tally: np.ndarray
    macs: float


@dataclass(slots=True)
class Calls:
    """All calls that were walked so far, by how they began."""

    procedures: dict[str, Procedure]
    known: dict[Key, list[Done]] = field(default_factory=dict[Key, list[Done]])
    flows: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    begun: Begun | None = None

    def again(self, walk: Walk, call: Call, arguments: dict[str, Any]) -> bool:
        """Do what an earlier call did that began like this one; whether there was any.

        arguments: those that decide times. If there was none, ``learn`` is called when the call
        has been walked.
        """
        self.begun = None
        used = self._flows(call.procedure)
        base = float(walk.time.min())
        scattered = (walk.streams.scatter.ended > base).any()  # blocks are still on their way
        if used & EDGE or scattered or not walk.quiet():
            return False
        weights = WEIGHTS in used
        key = self._key(call, arguments, State.of(walk, base, weights))
        schedule = walk.streams.weights.schedule
        first = schedule.begun
        for done in self.known.get(key, ()):
            if done.fed.same(Fed.of(schedule, first, len(done.fed.interval))):
                schedule.done = schedule.done + done.words
                done.state.restore(walk, base, weights)
                set_tally(walk, tally_of(walk) + done.tally, _macs(walk) + done.macs)
                return True
        fed = schedule.done.copy()
        self.begun = Begun(key, base, weights, fed, tally_of(walk), _macs(walk))
        return False

    def learn(self, walk: Walk) -> None:
        """Note what the call did that ``again`` did not know."""
        begun, schedule = self.begun, walk.streams.weights.schedule
        if begun is None or not walk.quiet():
            return
        words = schedule.done - begun.fed
        first = schedule.number(begun.fed.sum())
        last = schedule.number(schedule.done.sum() - 1.0) if words.any() else first - 1
        part = slice(first, last + 1)
        if schedule.lookup[part].any():  # its rows wait for numbers from the fabric
            return
        fed = Fed(schedule.upto[part] - begun.fed, schedule.interval[part])
        state = State.of(walk, begun.base, begun.weights)
        more = tally_of(walk) - begun.tally
        done = Done(fed, words, state, more, _macs(walk) - begun.macs)
        self.known.setdefault(begun.key, []).append(done)

    def _key(self, call: Call, arguments: dict[str, Any], state: State) -> Key:
        seen = blake2b(repr(state.semaphores).encode())
        for name, value in sorted(arguments.items()):
            array = np.asarray(value)
            seen.update(f"{name} {array.shape}".encode() + array.tobytes())
        for array in state.rounded():
            seen.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return call.procedure, seen.digest()

    def _flows(self, name: str) -> frozenset[str]:
        """The flows that a procedure uses, and those that it calls."""
        if name not in self.flows:
            found: set[str] = set()
            for item in statements(self.procedures[name].body):
                if isinstance(item, Call):
                    found |= self._flows(item.procedure)
                elif isinstance(item, Op):
                    colors = [o.color for o in item.operands if isinstance(o, Queue)]
                    colors += [item.color] if item.color is not None else []
                    found.update(flow for color in colors for flow in flows_of_color(color))
            self.flows[name] = frozenset(found)
        return self.flows[name]


def _macs(walk: Walk) -> float:
    return walk.current.macs if walk.current is not None else 0.0
