"""What tiles send in a call, found by their arithmetic alone, for many more tiles than are walked.

To whom a tile sends follows from its coordinates, and neighbours may send to tiles far apart: the
places of a column's features in their heads are counted modulo a head's size. A few sampled tiles
say little about the links that all of them share. But to find what is sent takes registers only: no
time, no stream, no memory. So this part of a call is gone through for a finer sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.cost.registers import result
from wsc.cost.tiles import Axis, stretches
from wsc.isa.expr import Binary, Expr, Int, Name, apply, binary, names, substitute
from wsc.isa.program import Call, If, Loop, Op, Procedure, Scalar, Statement
from wsc.isa.statements import blocks, statements
from wsc.isa.table import BY_NAME, OPERATORS, Category

TILES = 66_000  # of which is found what they send (all of 256 x 256), and ...
ENTRIES = 600_000  # ... of all their messages that many, but at least those of ...
FEWEST = 4_000  # ... so many tiles
Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What one instruction sends at one time: for each tile, or the same for several.

    op: the instruction. sends: whether a tile does. to_x, to_y: its target. messages: how many of
    them. words: elements of each.
    """

    op: Op
    sends: Any
    to_x: Any
    to_y: Any
    messages: Any
    words: Any


def places(width: int, height: int, turns: int) -> tuple[Axis, Axis]:
    """Columns and rows of a sample of tiles that send so many times: all, or many of them."""
    tiles = min(max(ENTRIES // turns, FEWEST), TILES)
    columns = min(width, max(math.isqrt(tiles), tiles // height))
    return stretches(width, columns), stretches(height, max(tiles // columns, 1))


class Senders:
    """Goes through procedures as tiles of a sample do, as far as it decides what they send."""

    def __init__(self, procedures: Mapping[str, Procedure], env: Mapping[str, Any]) -> None:
        self._procedures, self._env = procedures, dict(env)
        self._bodies: dict[str, tuple[tuple[Statement, ...], frozenset[str]]] = {}

    def some(self, procedure: str) -> bool:
        """Whether anything is sent in a procedure, or in those that it calls."""
        return bool(self._body(procedure)[0])

    def arguments(self, call: Call) -> set[str]:
        """Names in the arguments of a call that decide what is sent in it."""
        return {name for value in self._used(call) for name in names(value)}

    def sent(self, call: Call, frame: Frame, x: np.ndarray, y: np.ndarray) -> list[Sent]:
        """What is sent in a call, in order. frame: the caller's registers. x, y: coordinates."""
        self._env |= {"x": x[None, :], "y": y[:, None]}
        frame = {
            name: self._value(value, {}) if isinstance(value, Expr) else value
            for name, value in frame.items()
        }
        self._found: list[Sent] = []
        self._call(call, frame, True)
        return self._found

    def _body(self, name: str) -> tuple[tuple[Statement, ...], frozenset[str]]:
        """The statements of a procedure that decide what is sent, and the registers in these."""
        if name not in self._bodies:
            body = self._procedures[name].body
            needed = self._needed(body)
            self._bodies[name] = self._deciding(body, needed), frozenset(needed)
        return self._bodies[name]

    def _needed(self, body: tuple[Statement, ...]) -> set[str]:
        """Registers that decide who sends what to whom, and those that they are computed from."""
        found: set[str] = set()
        while True:
            before = len(found)
            for statement in statements(body):
                if self._matters(statement, found):
                    found |= {name for part in self._used(statement) for name in names(part)}
            if len(found) == before:
                return found

    def _matters(self, statement: Statement, needed: set[str] | frozenset[str]) -> bool:
        if isinstance(statement, Op):
            return BY_NAME[statement.name].category is Category.SEND or statement.register in needed
        if isinstance(statement, Call):
            return self.some(statement.procedure)
        return any(self._matters(item, needed) for block in blocks(statement) for item in block)

    def _used(self, statement: Statement) -> list[Expr]:
        """The expressions of a statement that decide what is sent in it."""
        if isinstance(statement, Loop):
            return [statement.count]
        if isinstance(statement, If):
            return [statement.left, statement.right]
        if isinstance(statement, Call):
            needed = self._body(statement.procedure)[1]
            return [value for name, value in statement.arguments if name in needed]
        values = [item.value for item in statement.operands if isinstance(item, Scalar)]
        return [*values, *(dim.extent for dim in statement.dims), *(statement.target or ())]

    def _deciding(
        self, body: Iterable[Statement], needed: set[str] | frozenset[str]
    ) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in body:
            if not self._matters(statement, needed):
                continue
            if isinstance(statement, Loop):
                inner = self._deciding(statement.body, needed)
                statement = Loop(statement.register, statement.count, inner)
            elif isinstance(statement, If):
                then, otherwise = (self._deciding(block, needed) for block in blocks(statement))
                left, relation, right = statement.left, statement.relation, statement.right
                statement = If(left, relation, right, then, otherwise)
            found.append(statement)
        return tuple(found)

    def _value(self, node: Expr, frame: Frame) -> Any:
        if isinstance(node, Binary):
            return apply(node.op, self._value(node.left, frame), self._value(node.right, frame))
        if isinstance(node, Int):
            return node.value
        assert isinstance(node, Name)
        return frame[node.name] if node.name in frame else self._env[node.name]

    def _call(self, call: Call, frame: Frame, lanes: Any) -> None:
        body, needed = self._body(call.procedure)
        window = dict.fromkeys(needed - self._env.keys(), 0)
        for name, value in call.arguments:
            if name in needed:
                window[name] = self._value(value, frame)
        self._block(body, window, lanes)

    def _block(self, body: tuple[Statement, ...], frame: Frame, lanes: Any) -> None:
        for statement in body:
            if isinstance(statement, Op):
                if BY_NAME[statement.name].category is Category.SEND:
                    self._send(statement, frame, lanes)
                else:
                    self._compute(statement, frame, lanes)
            elif isinstance(statement, Call):
                self._call(statement, frame, lanes)
            elif isinstance(statement, Loop):
                self._loop(statement, frame, lanes)
            else:
                left, right = (self._value(n, frame) for n in (statement.left, statement.right))
                held = apply(statement.relation, left, right) != 0
                for block, group in (
                    (statement.then, lanes & held),
                    (statement.otherwise, lanes & np.logical_not(held)),
                ):
                    if block and np.any(group):
                        self._block(block, frame, group)

    def _loop(self, loop: Loop, frame: Frame, lanes: Any) -> None:
        count = self._value(loop.count, frame)
        for turn in range(int(np.max(np.where(lanes, count, 0)))):
            frame[loop.register] = turn
            group = lanes & (count > turn)
            if np.any(group):
                self._block(loop.body, frame, group)

    def _compute(self, op: Op, frame: Frame, lanes: Any) -> None:
        """Give a register the value of a scalar instruction, in the tiles that do it."""
        assert op.register is not None
        values = [
            self._value(item.value, frame) for item in op.operands if isinstance(item, Scalar)
        ]
        value = result(op, values)
        if not np.all(lanes):
            value = np.where(lanes, value, frame.get(op.register, 0))
        frame[op.register] = value

    def _send(self, op: Op, frame: Frame, lanes: Any) -> None:
        extents = [np.maximum(self._value(dim.extent, frame), 0) for dim in op.dims]
        words = extents[-1] if extents else 1
        messages: Any = 1
        for extent in extents[:-1]:
            messages = messages * extent
        sends = lanes & (messages * words > 0)
        assert op.target is not None
        to_x, to_y = (self._value(part, frame) for part in op.target)
        self._found.append(Sent(op, sends, to_x, to_y, messages, words))


@dataclass(slots=True)
class Formula:
    """What a register of main was computed from, put together when it is asked for.

    known: what the registers in its operands held, numbers or formulas.
    """

    op: Op
    known: dict[str, int | Formula]
    _made: Expr | None = None

    def expression(self) -> Expr:
        """The register's value in coordinates."""
        if self._made is None:
            values = {
                name: part.expression() if isinstance(part, Formula) else part
                for name, part in self.known.items()
            }
            operands = [substitute(operand, values) for operand in _operands(self.op)]
            operator = OPERATORS.get(self.op.name)
            self._made = operands[0] if operator is None else binary(operator, *operands)
        return self._made


def _operands(op: Op) -> list[Expr]:
    return [item.value for item in op.operands if isinstance(item, Scalar)]


@dataclass(slots=True)
class Source:
    """A call that sends.

    frame: the caller's registers. over: instructions whose messages have come.
    """

    call: Call
    frame: Frame
    over: set[int] = field(default_factory=set)


class Sources:
    """Calls whose messages are on their way.

    A tile waits for all that has been sent before. What was sent in calls for which that is not
    known (they are in a branch, or their arguments are from memory) is not told.
    """

    def __init__(self, senders: Senders) -> None:
        self._senders = senders
        self._calls: list[Source | None] = []
        self._ops: set[int] = set()
        self._inside = False
        self._formulas: dict[str, Formula] = {}
        self._used: dict[int, tuple[Op, frozenset[str]]] = {}  # names in operands

    def enter(self, call: Call, frame: Frame, whole: bool) -> bool:
        """Tiles come to a call, all of them if ``whole``.

        Returns:
            Whether it is a call that sends, within no other.
        """
        if self._inside or not self._senders.some(call.procedure):
            return False
        used = self._senders.arguments(call)
        mine = {name: self._known(name, value) for name, value in frame.items() if name in used}
        mine = {
            name: value.expression() if isinstance(value, Formula) else value
            for name, value in mine.items()
        }
        known = whole and not any(isinstance(value, np.ndarray) for value in mine.values())
        self._calls.append(Source(call, mine) if known else None)
        self._inside = True
        return True

    def computed(self, op: Op, frame: Frame, value: Any, whole: bool) -> None:
        """A register of main gets another value, in all tiles if ``whole``.

        frame: the values before.
        """
        assert op.register is not None
        if not whole or not isinstance(value, np.ndarray):
            # A number that all tiles have is its own formula.
            self._formulas.pop(op.register, None)
            return
        known = {name: self._known(name, frame[name]) for name in self._names(op) & frame.keys()}
        self._formulas.pop(op.register, None)
        if any(isinstance(part, np.ndarray) for part in known.values()):
            return
        if op.name == "i.set" or op.name in OPERATORS:
            self._formulas[op.register] = Formula(op, known)

    def _names(self, op: Op) -> frozenset[str]:
        """The names in the operands of an instruction of main."""
        if id(op) not in self._used:
            found = frozenset(name for operand in _operands(op) for name in names(operand))
            self._used[id(op)] = op, found
        return self._used[id(op)][1]

    def _known(self, name: str, value: Any) -> Any:
        """A register's value, or its formula in coordinates where it differs between tiles."""
        return self._formulas.get(name, value) if isinstance(value, np.ndarray) else value

    def leave(self) -> None:
        """They leave it."""
        self._inside = False
        if not self._ops:
            self._calls = []

    def sends(self, op: Op) -> None:
        """Some of them send."""
        if not self._inside:
            self._calls.append(None)
        self._ops.add(id(op))

    def sent(self, x: np.ndarray, y: np.ndarray) -> list[Sent] | None:
        """What tiles of these coordinates have sent since the others waited last, in order.

        None if it is not known.
        """
        found: list[Sent] = []
        for source in self._calls:
            if source is None or source.over & self._ops:
                return None
            for part in self._senders.sent(source.call, source.frame, x, y):
                if id(part.op) in self._ops:
                    found.append(part)
        return found

    def wait(self) -> None:
        """Tiles have waited for all of it."""
        for source in self._calls:
            if source is not None:
                source.over |= self._ops
        self._calls = self._calls[-1:] if self._inside else []
        self._ops = set()
