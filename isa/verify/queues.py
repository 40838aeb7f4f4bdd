"""A queue at the ramp has one reader and one writer at a time, where the text can tell.

Main of a few tiles of each region is followed as far as its path is known without data: the first
turns of its loops, and the branches that static values decide. What a stream unit was issued to do
is outstanding until main issues on that unit again, or something may have told main that it is
done. If main then uses the same end of a queue, or issues another unit on it, no run of the program
has an order between the two. What is not followed here is left to the race check of a run.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from wsc.isa import expr as ex
from wsc.isa.program import Call, If, Loop, Op, Procedure, Queue, Region, Scalar, Statement
from wsc.isa.statements import (
    Use,
    assigned,
    expressions,
    instructions,
    reachable,
    statements,
)
from wsc.isa.table import BY_NAME, Category
from wsc.isa.types import Side
from wsc.isa.values import VALUES, Class, wrap
from wsc.isa.verify.context import Context

TURNS = 3  # of a loop that are followed: two buffers take turns in the third
MOST_STATEMENTS = 2_000  # that are followed in a tile

MAIN = 0  # threads of a tile: the main thread, then the stream units
End = tuple[bool, str]  # of a queue: whether it is an output queue, and the color
Values = dict[str, int | None]  # of registers; None: only a run knows


class _Enough(Exception):
    """No more is followed."""


def shared(context: Context) -> None:
    """No two threads of a tile are at one end of a queue at a time."""
    told = _Signals(context)
    said: set[tuple[int, int]] = set()
    for region in context.program.regions:
        code = [region.main, *(context.bodies[n] for n in reachable(region.main, context.bodies))]
        contended = _contended(code)
        if contended:
            issuing: dict[str, bool] = {}
            for tile in _samples(region, code):
                _Walk(context, region, told, tile, contended, issuing, said).run()


def _contended(code: list[tuple[Statement, ...]]) -> set[End]:
    """The ends of queues that more than one thread uses, at whatever times."""
    users: dict[End, set[int]] = {}
    for body in code:
        for statement in statements(body):
            if isinstance(statement, Op):
                for end in _ends(statement):
                    users.setdefault(end, set()).add(_thread(statement))
    return {end for end, threads in users.items() if len(threads) > 1}


def _samples(region: Region, code: list[tuple[Statement, ...]]) -> list[tuple[int, int]]:
    """Tiles that stand for all: the corners, two beside the first, and the middle."""
    used = {name for body in code for node in _expressions(body) for name in ex.names(node)}

    width = region.width if "x" in used else 1
    height = region.height if "y" in used else 1
    tiles = [(x, y) for y in (0, height - 1) for x in (0, width - 1)]
    tiles += [(min(1, width - 1), 0), (0, min(1, height - 1)), (width // 2, height // 2)]
    return list(dict.fromkeys(tiles))


def _expressions(body: tuple[Statement, ...]) -> list[ex.Expr]:
    """What decides the path, and the values of registers."""
    beyond = (Use.ADDRESS, Use.TARGET)
    return [node for statement in statements(body) for node in expressions(statement, but=beyond)]


def _thread(op: Op) -> int:
    return MAIN if op.asynchronous is None else op.asynchronous.unit + 1


def _ends(op: Op) -> list[End]:
    """The ends of queues that an instruction uses."""
    found = [
        (index == 0, operand.color)
        for index, operand in enumerate(op.operands)
        if isinstance(operand, Queue)
    ]
    return [*found, (True, op.color)] if op.color is not None else found


class _Signals:
    """What a wavelet or a semaphore may tell a main thread of what other threads have done."""

    def __init__(self, context: Context) -> None:
        program = context.program
        # Wavelets of a color that only the edge feeds tell nothing of the tiles.
        self.telling = {
            route.color
            for route in program.routes
            if any(position.receive is Side.RAMP for position in route.positions)
        }
        bodies = [*(r.main for r in program.regions), *context.bodies.values()]
        ops = [op for body in bodies for op in instructions(body)]
        # A remote store, or a unit that has taken such a wavelet, may know more than its own end.
        self.general = {op.semaphore for op in ops if BY_NAME[op.name].category is Category.SEND}
        for op in ops:
            if op.asynchronous is not None and self.takes(op):
                self.general.add(op.asynchronous.semaphore)

    def takes(self, op: Op) -> bool:
        """Whether an instruction takes wavelets that tell something."""
        return any(not output and color in self.telling for output, color in _ends(op))


@dataclass
class _Walk:
    """Follows main in one tile."""

    context: Context
    region: Region
    told: _Signals
    tile: tuple[int, int]
    contended: set[End]
    issuing: dict[str, bool]  # see ``_issues``
    said: set[tuple[int, int]]
    outstanding: dict[int, Op] = field(default_factory=dict[int, Op])
    followed: int = 0
    procedures: Mapping[str, Procedure] = field(init=False)
    static: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.procedures = {p.name: p for p in self.context.program.procedures}
        x, y = self.tile
        size = {"W": self.region.width, "H": self.region.height}
        self.static = {**self.context.symbols, "x": x, "y": y, **size}

    def run(self) -> None:
        """Follow main to its end, or as far as it is known."""
        with suppress(_Enough):
            self._block(self.region.main, dict.fromkeys(assigned(self.region.main), 0))

    def _value(self, node: ex.Expr, registers: Values) -> int | None:
        if isinstance(node, ex.Int):
            return node.value
        if isinstance(node, ex.Name):
            return registers[node.name] if node.name in registers else self.static[node.name]
        known = ChainMap[str, Any](registers, self.static)
        if any(known[name] is None for name in ex.names(node)):
            return None
        try:
            return int(ex.evaluate(node, known))
        except ZeroDivisionError:
            return None

    def _block(self, body: tuple[Statement, ...], registers: Values) -> None:
        for statement in body:
            self.followed += 1
            if self.followed > MOST_STATEMENTS:
                raise _Enough
            if isinstance(statement, Op):
                self._op(statement, registers)
            elif isinstance(statement, Loop):
                self._loop(statement, registers)
            elif isinstance(statement, If):
                self._if(statement, registers)
            else:
                self._call(statement, registers)

    def _loop(self, loop: Loop, registers: Values) -> None:
        count = self._value(loop.count, registers)
        for turn in range(min(count or 0, TURNS)):
            registers[loop.register] = turn
            self._block(loop.body, registers)
        if count is None or count > TURNS:
            self._forget(loop.body, registers)
            registers[loop.register] = None if count is None else count - 1

    def _if(self, branch: If, registers: Values) -> None:
        holds = self._value(ex.Binary(branch.relation, branch.left, branch.right), registers)
        if holds is None:
            self._forget((*branch.then, *branch.otherwise), registers)
        else:
            self._block(branch.then if holds else branch.otherwise, registers)

    def _forget(self, body: tuple[Statement, ...], registers: Values) -> None:
        """Statements ran in a way that is not known: so is all that they could have changed."""
        registers.update(dict.fromkeys(assigned(body), None))
        self.outstanding.clear()

    def _call(self, call: Call, registers: Values) -> None:
        if not self.outstanding and not self._issues(call.procedure):
            return
        procedure = self.procedures[call.procedure]
        window: Values = dict.fromkeys(assigned(procedure.body), 0)
        window |= dict.fromkeys(procedure.parameters, 0)
        window |= {name: self._value(value, registers) for name, value in call.arguments}
        self._block(procedure.body, window)

    def _issues(self, name: str) -> bool:
        """Whether a procedure, or one that it calls, issues on an end that others use too."""
        if name not in self.issuing:
            bodies = self.context.bodies
            body = bodies[name]
            names = (name, *reachable(body, bodies))
            self.issuing[name] = any(
                isinstance(statement, Op)
                and statement.asynchronous is not None
                and not self.contended.isdisjoint(_ends(statement))
                for each in names
                for statement in statements(bodies[each])
            )
        return self.issuing[name]

    def _op(self, op: Op, registers: Values) -> None:
        category = BY_NAME[op.name].category
        if category is Category.SEMAPHORE:
            if op.name == "wait":
                self._wait(op)
        elif op.register is not None:
            registers[op.register] = self._scalar(op, registers)
        else:
            self._use(op, registers)

    def _scalar(self, op: Op, registers: Values) -> int | None:
        """What a scalar instruction leaves in its register; None if memory decides."""
        if BY_NAME[op.name].category is not Category.SCALAR:
            return None
        values = [self._value(o.value, registers) for o in op.operands if isinstance(o, Scalar)]
        if None in values:
            return None
        try:
            return wrap(VALUES[op.name, Class.INT](*values))
        except ZeroDivisionError:
            return None

    def _wait(self, op: Op) -> None:
        if op.semaphore in self.told.general:
            self.outstanding.clear()
        self.outstanding = {
            thread: other
            for thread, other in self.outstanding.items()
            if other.asynchronous is not None and other.asynchronous.semaphore != op.semaphore
        }

    def _use(self, op: Op, registers: Values) -> None:
        """A vector instruction, a send or a control wavelet."""
        thread = _thread(op)
        self.outstanding.pop(thread, None)  # an issue waits until the unit is free
        ends = self.contended.intersection(_ends(op))
        if ends and (thread != MAIN or self.outstanding) and self._has_steps(op, registers):
            for end in ends:
                self._check(op, end)
            if thread != MAIN:
                self.outstanding[thread] = op
        if thread == MAIN and self.outstanding and self.told.takes(op):
            self.outstanding.clear()

    def _has_steps(self, op: Op, registers: Values) -> bool:
        extents = [self._value(dim.extent, registers) for dim in op.dims]
        return all(extent is not None and extent > 0 for extent in extents)

    def _check(self, op: Op, end: End) -> None:
        for thread, other in self.outstanding.items():
            if end in _ends(other) and (id(op), id(other)) not in self.said:
                self.said.add((id(op), id(other)))
                output, color = end
                x, y = self.region.left + self.tile[0], self.region.top + self.tile[1]
                line = f" (line {other.where.line})" if other.where.line else ""
                way, user = ("output", "writer") if output else ("input", "reader")
                self.context.say(
                    f"nothing says that stream unit {thread - 1} is done with the {way} queue of "
                    f"'{color}'{line} when tile {x},{y} comes here: a queue has one {user} at a "
                    f"time; wait for the unit's semaphore first",
                    op,
                    color,
                )
