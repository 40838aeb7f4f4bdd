"""Code followed in all tiles of a region at once, as far as the text alone decides what it does.

Registers are numbers, or arrays with one number for each tile. From that come the wavelets that
cores take from each color and put into it, and the bytes that operands reach whose address or
extent is a register. What only a run knows (a number from memory, and all that follows from it) is
left to the run: nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.limits import MOST_NUMBER, fits_word
from wsc.isa.program import (
    Call,
    If,
    Loop,
    Mem,
    Op,
    Queue,
    Region,
    Scalar,
    Statement,
    Tensor,
)
from wsc.isa.spans import Span, spanned
from wsc.isa.table import BY_NAME, Category
from wsc.isa.types import Control, DType
from wsc.isa.values import VALUES, Class, wrap
from wsc.isa.verify.context import Context, Mask
from wsc.isa.verify.facts import End, Facts, Scope, ends_of
from wsc.isa.verify.tiles import element_type, within

Number = int | npt.NDArray[np.int64]  # the same in all tiles, or one for each
ByType = dict[DType | None, Number]  # of wavelets, by the type of their elements

MOST_VISITS = 20_000  # statements that are followed in a region; fewer where it has many tiles
MANY_TILES = 1 << 16
MOST_BURSTS = 4_096  # of a color
MOST_MARKED = 1 << 22  # rows of operands that there may be, for which a mark each is kept
FEW_TURNS = 2  # of a loop in which addresses alone differ from turn to turn, and the last turn
MANY_TURNS = 256  # of one in which a register goes on from turn to turn


@dataclass(frozen=True, slots=True)
class Value:
    """A register or an operand.

    number: None where only a run knows it. tensor: the tensor whose address is part of it; the
    number then counts from the tensor's first byte.
    """

    number: Number | None
    tensor: Tensor | None = None

    @property
    def whole(self) -> Number | None:
        """The number itself, the tensor's address included."""
        if self.number is None or self.tensor is None:
            return self.number
        return self.number + self.tensor.address


NOBODY_KNOWS = Value(None)
Window = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Burst:
    """Wavelets that follow each other in a color: data, or equal control wavelets.

    counts: how many elements of each type; of control wavelets one number, under no type.
    """

    control: Control
    counts: ByType

    def add(self, other: ByType, there: Number = 1) -> Burst:
        """With more wavelets behind it, in the tiles that are there."""
        counts = dict(self.counts)
        for dtype, count in other.items():
            counts[dtype] = counts.get(dtype, 0) + count * there
        return Burst(self.control, counts)


@dataclass(slots=True)
class Traffic:
    """What the cores of a region take from each color and put into it, from beginning to end.

    unknown: the ends of queues of which only a run knows how many wavelets pass. ops: an
    instruction that uses each end.
    """

    taken: dict[str, ByType] = field(default_factory=dict[str, ByType])
    put: dict[str, list[Burst]] = field(default_factory=dict[str, list[Burst]])
    unknown: set[End] = field(default_factory=set[End])
    ops: dict[End, Op] = field(default_factory=dict[End, Op])

    def take(self, color: str, dtype: DType | None, count: Number) -> None:
        """Count wavelets that cores take."""
        taken = self.taken.setdefault(color, {})
        taken[dtype] = taken.get(dtype, 0) + count

    def send(self, color: str, control: Control, counts: ByType, there: Number = 1) -> None:
        """Count wavelets that cores put into a color, behind those that are counted already."""
        bursts = self.put.setdefault(color, [])
        if bursts and bursts[-1].control is control:
            bursts[-1] = bursts[-1].add(counts, there)
        elif len(bursts) < MOST_BURSTS:
            bursts.append(Burst(control, {}).add(counts, there))
        else:
            self.unknown.add((True, color))

    def add(self, other: Traffic, times: Number = 1) -> None:
        """Append what happens in other code, so many times one after the other."""
        for color, counts in other.taken.items():
            for dtype, count in counts.items():
                total = _product(count, times)
                if total is None:
                    self.unknown.add((False, color))
                else:
                    self.take(color, dtype, total)
        for color, bursts in other.put.items():
            totals = {t: _product(count, times) for t, count in bursts[0].counts.items()}
            known = {t: total for t, total in totals.items() if total is not None}
            if len(known) < len(totals):
                self.unknown.add((True, color))
                continue
            if len(bursts) == 1:
                self.send(color, bursts[0].control, known)
                continue
            for turn in range(min(int(np.max(times)), MOST_BURSTS)):
                there = (np.asarray(times) > turn).astype(np.int64)
                for burst in bursts:
                    self.send(color, burst.control, burst.counts, there)
        self.unknown |= other.unknown
        for end, op in other.ops.items():
            self.ops.setdefault(end, op)


class _Enough(Exception):
    """No more is followed."""


def followed(context: Context, region: Region, facts: Facts) -> Traffic:
    """What the region's cores do, after a report of operands that leave their tensors."""
    follower = _Follower(context, region, facts)
    scope = facts.main(region)
    try:
        follower.block(region.main, scope, dict.fromkeys(scope.registers, Value(0)), None)
    except _Enough:
        follower.traffic.unknown |= facts.ends(region.main)
    return follower.traffic


@dataclass(slots=True)
class _Operand:
    """An expression: what is static of it, the registers added, the strides of iteration names."""

    static: Value
    registers: tuple[str, ...]
    strides: tuple[tuple[str, _Operand], ...] = ()


@dataclass
class _Follower:
    """Follows a region's main. Where: the tiles that are there, None for all."""

    context: Context
    region: Region
    facts: Facts
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self.environment = self.context.environment(self.region)
        self.operands: dict[tuple[str, int], _Operand] = {}
        self.counting = True  # wavelets, not addresses alone
        self.known: dict[object, Traffic] = {}  # of calls with arguments that decide it
        self.seen: set[object] = set()  # calls of which all addresses have been looked at
        self.callers: list[Call] = []
        self.said: set[tuple[int, int]] = set()
        # Of loops of which some turns are followed: what operands without a tensor reach in these.
        self.between: list[dict[object, Span]] = []
        tiles = self.region.width * self.region.height
        self.left = MOST_VISITS * MANY_TILES // max(tiles, MANY_TILES)

    # Values.

    def _operand(self, node: ex.Expr, scope: Scope, dims: tuple[str, ...] = ()) -> _Operand:
        key = scope.name, id(node)
        found = self.operands.get(key)
        if found is None:
            found = self.operands[key] = self._split(node, scope, dims)
        return found

    def _split(self, node: ex.Expr, scope: Scope, dims: tuple[str, ...]) -> _Operand:
        affine = ex.split(node, scope.registers, dims)
        strides = tuple(
            (name, self._split(stride, scope, ())) for name, stride in affine.strides.items()
        )
        number = ex.evaluate(affine.static, self.environment)
        base = ex.base(affine.static, self.context.tensors)
        if base:
            tensor = self.context.tensors[base]
            return _Operand(Value(number - tensor.address, tensor), affine.registers, strides)
        return _Operand(Value(number), affine.registers, strides)

    def _value(self, operand: _Operand, window: Window) -> Value:
        value = operand.static
        for name in operand.registers:
            other = window[name]
            if value.number is None or other.number is None:
                return NOBODY_KNOWS
            if value.tensor is not None and other.tensor is not None:
                # The sum of two addresses is the address of nothing in particular.
                value = Value(value.number + other.number + value.tensor.address, other.tensor)
                value = Value(value.whole)
            else:
                value = Value(value.number + other.number, value.tensor or other.tensor)
        return value

    def _number(self, node: ex.Expr, scope: Scope, window: Window) -> Number | None:
        return self._value(self._operand(node, scope), window).whole

    # Statements.

    def block(
        self, body: tuple[Statement, ...], scope: Scope, window: Window, where: Mask | None
    ) -> None:
        """Follow statements; the window is changed as they change it."""
        for statement in body:
            self.left -= 1
            if self.left < 0:
                raise _Enough
            if isinstance(statement, Op):
                self._op(statement, scope, window, where)
            elif isinstance(statement, Call):
                self._call(statement, scope, window, where)
            elif isinstance(statement, Loop):
                self._loop(statement, scope, window, where)
            else:
                self._if(statement, scope, window, where)

    def _call(self, call: Call, scope: Scope, window: Window, where: Mask | None) -> None:
        callee = self.facts.scope(call.procedure)
        if not callee.matters:
            return
        arguments = {
            name: self._value(self._operand(node, scope), window) for name, node in call.arguments
        }
        common = call.procedure, _mask_key(where)
        counted = *common, *(_value_key(arguments[name]) for name in callee.decisive)
        seen = *common, *self._keys(callee, arguments)
        if seen not in self.seen:
            self.seen.add(seen)
            outer, self.traffic = self.traffic, Traffic()
            whole, self.counting = self.counting, self.counting and counted not in self.known
            self.callers.append(call)
            inner: Window = dict.fromkeys(callee.registers, Value(0)) | arguments
            self.block(callee.body, callee, inner, where)
            self.callers.pop()
            if self.counting:
                self.known[counted] = self.traffic
            self.traffic, self.counting = outer, whole
        if self.counting and self.known[counted].ops:
            self.traffic.add(self.known[counted])

    def _keys(self, callee: Scope, arguments: Window) -> Iterable[object]:
        """What calls of a procedure may differ in for what is asked here."""
        for name in callee.parameters:
            value = arguments[name]
            if value.tensor is not None and name in callee.addresses:
                # Of a tensor that serves as an address alone, only its length matters.
                yield value.tensor.bytes, _number_key(value.number)
            else:
                yield _value_key(value)

    def _if(self, branch: If, scope: Scope, window: Window, where: Mask | None) -> None:
        sides = [self._number(node, scope, window) for node in (branch.left, branch.right)]
        if sides[0] is None or sides[1] is None:
            self._leave(branch, window)
            return
        holds = ex.apply(branch.relation, sides[0], sides[1])
        if isinstance(holds, int):
            self.block(branch.then if holds else branch.otherwise, scope, window, where)
            return
        mask = np.atleast_2d(holds != 0)
        for body, there in ((branch.then, mask), (branch.otherwise, ~mask)):
            inside = _narrow(where, there) if body else False
            if inside is False:
                continue
            if inside is None or inside is where:
                self.block(body, scope, window, where)
                continue
            # Some tiles come here, others do not: their registers part.
            other = dict(window)
            self.block(body, scope, other, inside)
            for name, value in other.items():
                if value is not window[name]:
                    window[name] = _joined(inside, value, window[name])

    def _loop(self, loop: Loop, scope: Scope, window: Window, where: Mask | None) -> None:
        count = self._number(loop.count, scope, window)
        if count is None:
            self._leave(loop, window)
            return
        turns = int(np.max(count))
        if turns < 1:
            return
        facts = scope.loops[id(loop)]
        counted = facts.flow and self.counting
        if counted and turns > self.left:
            raise _Enough
        every = counted or (facts.carried and not facts.flow and turns <= MANY_TURNS)
        if facts.matters:
            numbers = list(range(turns if every else min(turns, FEW_TURNS)))
            if len(numbers) < turns and not facts.carried:
                numbers.append(turns - 1)
            self._turns(loop, scope, window, where, count, numbers)
        if every or not facts.matters:
            last = count - 1
        else:
            self._forget(loop, window)
            last = count - 1 if isinstance(count, int) else None
        window[loop.register] = Value(last)

    def _turns(
        self,
        loop: Loop,
        scope: Scope,
        window: Window,
        where: Mask | None,
        count: Number,
        numbers: list[int],
    ) -> None:
        """Follow the turns with these numbers. If not all differ, the first counts for all."""
        alike = not scope.loops[id(loop)].flow
        outer = self.traffic
        skips = len(numbers) < int(np.max(count))
        if skips:
            self.between.append({})
        for turn in numbers:
            inside = where
            if not isinstance(count, int):
                inside = _narrow(where, np.atleast_2d(count > turn))
            if inside is False:
                break
            window[loop.register] = Value(turn)
            self.traffic = Traffic() if alike else outer
            self.block(loop.body, scope, window, inside)
            if alike and turn == 0:
                outer.add(self.traffic, _clipped(count, MOST_NUMBER))
        self.traffic = outer
        if skips:
            self.between.pop()

    def _leave(self, statement: Loop | If, window: Window) -> None:
        """A statement runs in a way that is not known: so is all that it does."""
        self.traffic.unknown |= self.facts.ends((statement,))
        self._forget(statement, window)

    def _forget(self, statement: Loop | If, window: Window) -> None:
        window.update(dict.fromkeys(self.facts.assigned(statement), NOBODY_KNOWS))

    # Instructions.

    def _op(self, op: Op, scope: Scope, window: Window, where: Mask | None) -> None:
        if op.register is not None:
            window[op.register] = self._scalar(op, scope, window)
            return
        facts = scope.ops.get(id(op))
        if facts is None:  # it uses no queue, and its addresses have been looked at
            return
        extents = {dim.name: self._number(dim.extent, scope, window) for dim in op.dims}
        if facts.ends:
            self._queues(op, extents, where)
        for index in facts.operands:
            self._address(op, index, scope, window, extents, where)

    def _scalar(self, op: Op, scope: Scope, window: Window) -> Value:
        """What an instruction leaves in its register."""
        if BY_NAME[op.name].category is not Category.SCALAR:
            return NOBODY_KNOWS
        values = [
            self._value(self._operand(operand.value, scope), window)
            for operand in op.operands
            if isinstance(operand, Scalar)
        ]
        tensors = [value.tensor for value in values if value.tensor is not None]
        if len(tensors) == 1 and op.name in ("i.set", "i.add"):
            numbers = [value.number for value in values]  # still an address within the tensor
        else:
            numbers, tensors = [value.whole for value in values], []
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers):
            return NOBODY_KNOWS
        try:
            result = _computed(op.name, known)
        except ArithmeticError:
            return NOBODY_KNOWS
        return Value(result, tensors[0] if tensors else None)

    def _queues(self, op: Op, extents: dict[str, Number | None], where: Mask | None) -> None:
        """Count the wavelets of an instruction."""
        traffic = self.traffic
        for end in ends_of(op):
            traffic.ops.setdefault(end, op)
        known = {name: extent for name, extent in extents.items() if extent is not None}
        if len(known) < len(extents):
            traffic.unknown |= set(ends_of(op))
            return
        tiles: Number = 1 if where is None else where.astype(np.int64)
        if op.color is not None:
            traffic.send(op.color, op.control, {None: tiles})
        for index, operand in enumerate(op.operands):
            if not isinstance(operand, Queue):
                continue
            count: Number | None = tiles
            for name, extent in known.items():
                advances = operand.dims is None or name in operand.dims
                each = _clipped(extent, MOST_NUMBER if advances else 1)
                count = None if count is None else _product(count, each)
            if count is None:
                traffic.unknown.add((index == 0, operand.color))
            elif index == 0:
                traffic.send(operand.color, Control.NONE, {element_type(op, index): count})
            else:
                traffic.take(operand.color, element_type(op, index), count)

    def _address(
        self,
        op: Op,
        index: int,
        scope: Scope,
        window: Window,
        extents: dict[str, Number | None],
        where: Mask | None,
    ) -> None:
        """Report an operand that leaves the tensor whose address it has."""
        operand = op.operands[index]
        assert isinstance(operand, Mem)
        split = self._operand(operand.address, scope, tuple(dim.name for dim in op.dims))
        base = self._value(split, window)
        if base.number is None or (id(op), index) in self.said:
            return
        if base.tensor is None and not self.context.rooms:
            return
        moved: list[tuple[Number, Number]] = []
        strides = dict(split.strides)
        for dim in op.dims:
            extent = extents[dim.name]
            part = strides.get(dim.name)
            stride = 0 if part is None else self._value(part, window).whole
            if extent is None or stride is None:
                return
            moved.append((extent, stride))
        size = element_type(op, index).bytes
        if base.tensor is not None and _surely_within(base.number, moved, base.tensor.bytes - size):
            return
        span = spanned(base.number, moved)
        if base.tensor is None:
            # What lies between the turns that are followed is reached in others.
            span = replace(span, greatest=span.greatest + size - 1)
            for reached in self.between:
                place = id(op), index, *map(id, self.callers)
                span = reached[place] = span.joined(reached.get(place, span))
        everywhere = np.ones((1, 1), bool)
        lines = [f" (called in line {c.where.line})" for c in self.callers[-1:] if c.where.line]
        mask = everywhere if where is None else where
        if not within(
            self.context, self.region, op, index, span, base.tensor, mask, "".join(lines)
        ):
            self.said.add((id(op), index))


def _surely_within(base: Number, moved: Iterable[tuple[Number, Number]], last: int) -> bool:
    """Whether all bytes lie from 0 to ``last``; what differs from tile to tile is not looked at."""
    if not isinstance(base, int):
        return False
    least = greatest = base
    for extent, stride in moved:
        if not isinstance(extent, int) or not isinstance(stride, int):
            return False
        side = (extent - 1) * stride if extent > 0 else 0
        least, greatest = least + min(side, 0), greatest + max(side, 0)
    return least >= 0 and greatest <= last


def _product(one: Number, other: Number) -> Number | None:
    """The product; None where it is so large that nobody would see the end of it."""
    if isinstance(one, int) and isinstance(other, int):
        product = one * other
        return product if product <= MOST_NUMBER else None
    return one * other if int(np.max(one)) * int(np.max(other)) <= MOST_NUMBER else None


def _clipped(number: Number, most: int) -> Number:
    """The number, at least 0 and at most ``most``."""
    if isinstance(number, int):
        return max(min(number, most), 0)
    return np.clip(number, 0, most)


def _narrow(where: Mask | None, mask: Mask) -> Mask | Literal[False] | None:
    """The tiles of ``where`` that are in ``mask``: None for all, False for none."""
    if mask.all():
        return where
    inside = mask if where is None else where & mask
    if inside.any():
        return inside
    return False


def _joined(inside: Mask, value: Value, other: Value) -> Value:
    """The one value in some tiles, the other in the others."""
    if value.number is None or other.number is None or value.tensor is not other.tensor:
        return NOBODY_KNOWS
    return Value(np.where(inside, value.number, other.number), value.tensor)


def _computed(name: str, numbers: list[Number]) -> Number | None:
    """The result of a scalar instruction, in each tile.

    Raises:
        ArithmeticError: it has none for these operands.
    """
    function = VALUES[name, Class.INT]
    whole = [number for number in numbers if isinstance(number, int)]
    if len(whole) == len(numbers):
        return int(wrap(function(*whole))) if all(map(fits_word, whole)) else None
    # Few different operands there are, as a rule, however many tiles.
    rows, places = _distinct([np.asarray(number, np.int64) for number in numbers])
    if len(rows) > MOST_BURSTS:
        return None
    results = [int(wrap(function(*row))) for row in rows.tolist()]
    return np.array(results, np.int64)[places]


def _distinct(arrays: list[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], Any]:
    """The different rows of numbers that tiles have, and in each tile which one it has."""
    lows = [int(array.min()) for array in arrays]
    sizes = [int(array.max()) - low + 1 for array, low in zip(arrays, lows, strict=True)]
    if prod(sizes) > MOST_NUMBER:
        table = np.stack(np.broadcast_arrays(*arrays), axis=-1)
        rows, places = np.unique(table.reshape(-1, len(arrays)), axis=0, return_inverse=True)
        return rows, places.reshape(table.shape[:-1])
    # A row is one number, each of its places a digit of it.
    keys: Any = 0
    for array, low, size in zip(arrays, lows, sizes, strict=True):
        keys = keys * size + (array - low)
    if prod(sizes) <= MOST_MARKED:
        # Marks for the numbers that there are take less time than sorting those of all tiles.
        marks = np.zeros(prod(sizes), bool)
        marks[keys] = True
        found = np.flatnonzero(marks)
        row_of = np.empty(len(marks), np.int64)  # what is not marked is not asked for
        row_of[found] = np.arange(len(found))
        places = row_of[keys]
    else:
        found, places = np.unique(keys, return_inverse=True)
        places = places.reshape(keys.shape)
    digits = np.unravel_index(found, sizes)
    return np.stack(digits, axis=1) + np.array(lows), places


def _mask_key(where: Mask | None) -> object:
    return None if where is None else (where.shape, where.tobytes())


def _number_key(number: Number | None) -> object:
    return number if isinstance(number, int | None) else (number.shape, number.tobytes())


def _value_key(value: Value) -> object:
    return value.tensor and value.tensor.name, _number_key(value.number)
