"""Walk a program as its tiles do, for the times alone: no value of SRAM is computed.

All representative tiles (``wsc.cost.tiles``) go through the text together; their times, and
registers that differ between them, are arrays. A guard divides the tiles into two groups
that take turns: one that needs a stream which the other has yet to send lets it go first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from wsc.cost.again import Calls, State
from wsc.cost.decisive import Scalars, is_scalar
from wsc.cost.steady import LONG, Layers, Rhythm
from wsc.cost.threads import Frame, Pass, Repeated, Span, Steps, Threads
from wsc.cost.tiles import Lanes
from wsc.cost.unpredictable import Unpredictable
from wsc.isa.expr import Name, apply, evaluate, names
from wsc.isa.program import Call, If, Loop, Op, Procedure, Statement
from wsc.isa.statements import assigned, expressions, statements
from wsc.isa.table import BY_NAME, CONTROL_TIMING, Category, Timing

MOST_TURNS = 1 << 20  # of all loops together, those left out aside: it ends in moments


class Walk(Threads):
    """All sampled tiles on their way through main."""

    def run(self) -> None:
        """Walk through main.

        Raises:
            Unpredictable: the program does what the model has no formula for.
        """
        (region,) = self.program.regions
        self._turns = 0
        self._registers = frozenset(assigned(region.main))
        self._decisive = self._decisive_in_main
        self._number(region.main, ())
        self.calls = Calls(self.procedures)
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = -1
            self.main_frame = dict.fromkeys(self._registers, 0)
            for _ in self._main(region.main, self.main_frame, self.all):
                if self.progress == seen:
                    if self.forced:
                        raise Unpredictable("tiles wait for streams in another order than the text")
                    self.forced = True
                else:
                    self.forced = False
                seen = self.progress
            self.calls.settle(self)
            self._settle()

    @property
    def end(self) -> int:
        """The cycle in which everything is done: threads, units, wavelets on their way out."""
        units = self.unit.max(initial=0, where=~self.busy)
        ends = (self.time.max(), units, self.streams.drained)
        return round(float(max(ends)))

    def _main(self, body: tuple[Statement, ...], frame: Frame, lanes: Lanes) -> Steps:
        for part in self._gathered(body):
            statement = part[0]
            start = float(lanes.of(self.time).min())
            key = self._pass(statement, frame)
            span = self.spans.get(key)
            if not isinstance(span, Span):
                span = self.spans[key] = Span(statement, start)
            span.start = min(span.start, start)
            outer, self.current = self.current, span
            head = float(lanes.of(self.time).max())
            if isinstance(statement, Loop | If):
                yield from self._nested(statement, frame, lanes)
                span.leave(head + self.fabric.timing[Timing.BRANCH].startup)
            else:
                call = statement if isinstance(statement, Call) and lanes.whole else None
                if call is None or not self._again(call, frame):
                    if not is_scalar(statement):
                        self.calls.last = None
                        self.calls.settle(self)
                    yield from self._block(part, frame, lanes)
                    if call is not None:
                        self.calls.learn(self)
                span.leave(float(lanes.of(self.time).max()))
            self.current = outer

    def _gathered(self, body: tuple[Statement, ...]) -> tuple[tuple[Statement, ...], ...]:
        """A body of main: each statement alone, but scalar ones that follow each other together."""
        found = self._parts.get(id(body))
        if found is None or found[0] is not body:
            parts: list[tuple[Statement, ...]] = []
            for scalar, group in groupby(body, is_scalar):
                members = tuple(group)
                parts += [members] if scalar else [(statement,) for statement in members]
            found = self._parts[id(body)] = body, tuple(parts)
        return found[1]

    def _number(self, body: Iterable[Statement], around: tuple[tuple[int, str], ...]) -> None:
        """Note each statement's number in the text, and the loops around it."""
        for statement in body:
            number = len(self._places)
            self._places[id(statement)] = (around, number)
            if isinstance(statement, Loop):
                self._number(statement.body, (*around, (number, statement.register)))
            elif isinstance(statement, If):
                self._number((*statement.then, *statement.otherwise), around)

    def _pass(self, statement: Statement, frame: Frame) -> Pass:
        """Which time it is that a statement of main runs; such passes have the order of time."""
        around, number = self._places[id(statement)]
        return (*(part for loop, name in around for part in (loop, frame[name])), number)

    def _nested(self, statement: Loop | If, frame: Frame, lanes: Lanes) -> Steps:
        if isinstance(statement, If):
            yield from self._if(statement, frame, lanes, self._main)
        else:
            yield from self._loop(statement, frame, lanes, self._main)

    def _block(self, body: tuple[Statement, ...], frame: Frame, lanes: Lanes) -> Steps:
        for statement in self._condensed(body):
            if isinstance(statement, Scalars):
                self._scalars(statement, frame, lanes)
            elif isinstance(statement, Op):
                category = BY_NAME[statement.name].category
                if category is Category.VECTOR:
                    yield from self._vector(statement, frame, lanes)
                elif category is Category.SEND:
                    yield from self._send(statement, frame, lanes)
                elif statement.name == "wait":
                    yield from self._wait(statement, frame, lanes)
                elif statement.name == "signal":
                    self._signal(statement, frame, lanes)
                else:
                    self._control(lanes)
            elif isinstance(statement, Call):
                yield from self._call(statement, frame, lanes)
            elif isinstance(statement, If):
                yield from self._if(statement, frame, lanes, self._block)
            else:
                yield from self._loop(statement, frame, lanes, self._block)

    def _given(self, call: Call, frame: Frame) -> Frame:
        """A call's arguments, those that decide times."""
        needed = self.decisive[call.procedure]
        given = [(name, value) for name, value in call.arguments if name in needed]
        return {name: self._code(value)(frame) for name, value in given}

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """As for all threads; what main did last is longer ago for some tiles than for others."""
        self.calls.last = None
        super().advance(cycles, words)

    def _again(self, call: Call, frame: Frame) -> bool:
        """Do what an earlier call of main did, if one began as this one does."""
        return self.calls.again(self, call, self._given(call, frame))

    def stands(self) -> bytes | None:
        """A digest of all that decides times from now on, but for what the edge feeds next.

        It is relative to the first tile's clock; None while something is on its way.
        """
        if not self.quiet():
            return None
        flows = frozenset(flow for flow, _ in self.streams.items())
        return State.of(self, float(self.time.min()), flows).digest()

    def quiet(self) -> bool:
        """Whether no unit is at work on what others have to do first, and no message is out."""
        self._settle()
        return not self.works and not self.messages

    def _call(self, call: Call, frame: Frame, lanes: Lanes) -> Steps:
        procedure = self.procedures[call.procedure]
        sends = self.sources.enter(call, frame, lanes.whole)
        self._single(lanes, CONTROL_TIMING["call"])
        needed = self.decisive[call.procedure]
        values = {
            name: self._code(value)(frame) for name, value in call.arguments if name in needed
        }
        outer = self._registers, self._decisive
        mine = _registers(procedure), needed
        window = dict.fromkeys(mine[0], 0) | values
        self._registers, self._decisive = mine
        for _ in self._block(procedure.body, window, lanes):
            self._registers, self._decisive = outer
            yield
            self._registers, self._decisive = mine
        self._registers, self._decisive = outer
        if sends:
            self.sources.leave()

    def _if(self, guard: If, frame: Frame, lanes: Lanes, body: Any) -> Steps:
        self._single(lanes, CONTROL_TIMING["if"])
        then, otherwise = self._divide(guard, frame, lanes)
        mine, fabric = (self._registers, self._decisive), self.fabric
        # A branch that is taken leaves the first block out; so does, with the second, its end.
        more = fabric.branch_taken_cycles - fabric.timing[Timing.BRANCH].startup
        if otherwise is not None:
            self._spend(otherwise, more)
        leave = max(more, 0) if guard.otherwise else 0
        groups = [(guard.then, then, leave), (guard.otherwise, otherwise, 0)]
        threads = [
            self._side(body(part, frame, group), group, end)
            for part, group, end in groups
            if group is not None and (part or end)
        ]
        while threads:
            before, waiting = self.progress, []
            for thread in threads:
                self._registers, self._decisive = mine
                try:
                    next(thread)
                except StopIteration:
                    self.progress += 1
                else:
                    waiting.append(thread)
            threads = waiting
            if threads and self.progress == before:
                yield
        self._registers, self._decisive = mine

    def _side(self, body: Steps, lanes: Lanes, leave: int) -> Steps:
        """One side of a condition, and the jump over the other one."""
        yield from body
        if leave:
            self._spend(lanes, leave)

    def _divide(self, guard: If, frame: Frame, lanes: Lanes) -> tuple[Lanes | None, Lanes | None]:
        known = lanes.parts.get(id(guard))
        if known is not None:
            return known
        relation = guard.relation
        held = apply(relation, self._code(guard.left)(frame), self._code(guard.right)(frame))
        if not isinstance(held, np.ndarray):
            return (lanes, None) if held else (None, lanes)
        parts = lanes.divide(held != 0)
        if not (set(names(guard.left)) | set(names(guard.right))) & self._registers:
            lanes.parts[id(guard)] = parts
        return parts

    def _loop(self, loop: Loop, frame: Frame, lanes: Lanes, body: Any) -> Steps:
        self._single(lanes, CONTROL_TIMING["loop"])
        count = self._code(loop.count)(frame)
        most = int(np.max(np.where(lanes.mask, count, 0)))
        rhythm: Rhythm | Layers | None = None
        if not isinstance(count, np.ndarray):
            if self._layered(loop):
                rhythm = Layers(self._places[id(loop)][1], most)
            elif most > LONG and not self._followed(loop):
                rhythm = Rhythm.of(self._compared(loop), most)
        turn = -1
        while turn < most - 1:
            turn += 1
            group: Lanes | None = lanes
            if isinstance(count, np.ndarray):
                group, _ = lanes.divide(count > turn)
            if group is None:
                return
            if turn and self.fabric.branch_back_cycles:
                self._spend(group, self.fabric.branch_back_cycles)
            frame[loop.register] = turn
            self._turns += 1
            if self._turns > MOST_TURNS:
                raise Unpredictable(f"its loops have more than {MOST_TURNS} turns to walk")
            yield from body(loop.body, frame, group)
            if rhythm is not None:
                self.calls.settle(self)
                turn += rhythm.skip(self, turn)

    def _layered(self, loop: Loop) -> bool:
        """Whether it is a loop of main, within no other, in whose turns the same calls are made."""
        around = self._places.get(id(loop), (((0, ""),), 0))[0]
        if around or any(isinstance(item, If) for item in statements(loop.body)):
            return False
        used = {
            name for item in statements(loop.body) for e in expressions(item) for name in names(e)
        }
        return loop.register not in used

    def repeat(self, loop: int, turn: int, more: int, cycles: float) -> None:
        """Note statements in ``more`` turns behind ``turn`` as so much later than in that one."""
        last = [
            (key, replace(span))
            for key, span in self.spans.items()
            if key[:2] == (loop, turn) and isinstance(span, Span)
        ]
        last.sort(key=itemgetter(0))
        # They pass behind all of that turn. No statement of main has a key of this length.
        self.spans[loop, turn + 1] = Repeated(tuple(span for _, span in last), more, cycles)

    def _compared(self, loop: Loop) -> list[int]:
        """The sampled coordinates that guards in a loop compare with its counter."""
        guards = [item for item in statements(loop.body) if isinstance(item, If)]
        sides = [{*names(guard.left), *names(guard.right)} for guard in guards]
        with_counter = [side for side in sides if loop.register in side]
        found: list[int] = []
        for name, axis in (("x", self.x), ("y", self.y)):
            if any(name in side for side in with_counter):
                found += axis.places.tolist()
        for guard in guards:
            # Rows have their turns at equal distances over those of a loop.
            if guard.left == Name(loop.register) and "y" in names(guard.right):
                found += np.unique(evaluate(guard.right, self.env)).tolist()
        return found

    def _followed(self, loop: Loop) -> bool:
        """Whether each turn is followed: it sends remote stores, or has calls of main."""
        known = self._sending.get(id(loop))
        if known is None:
            found = [item for item in statements(loop.body) if isinstance(item, Op | Call)]
            known = any(
                isinstance(i, Op) and BY_NAME[i.name].category is Category.SEND for i in found
            )
            known |= id(loop) in self._places and any(isinstance(i, Call) for i in found)
            self._sending[id(loop)] = known
        return known


def _registers(procedure: Procedure) -> frozenset[str]:
    return frozenset(assigned(procedure.body)) | frozenset(procedure.parameters)
