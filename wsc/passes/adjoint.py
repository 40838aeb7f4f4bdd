"""The adjoint of each primitive: from the derivative by its result to those by its inputs.

What a primitive does to an input is linear, or is made linear at the values of the forward pass;
its adjoint is the transposed map. A contraction's are contractions, a move's a move backwards,
a gather's a scatter that adds up; a maximum's goes to where the maximum was taken from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import move_shape
from wsc.ir.graph import (
    Arg,
    Concat,
    Contract,
    Expand,
    Gather,
    Index,
    Keep,
    Lit,
    Map,
    Move,
    MoveStep,
    Node,
    Pad,
    Primitive,
    Reduce,
    Reduction,
    Ref,
    Reshape,
    Scatter,
    Slice,
    Transpose,
)
from wsc.ir.terms import Number, Term
from wsc.isa.types import DType
from wsc.isa.values import DERIVATIVES, WITHOUT


class NoDerivative(Exception):
    """An operation has no derivative; the message says which part of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node on the way back.

    inputs, output: its values. wanted: numbers of the inputs whose derivative is asked for.
    dependent: numbers of those that the trained values decide in any way, also as integers.
    """

    build: GraphBuilder
    inputs: tuple[Value, ...]
    output: Value
    wanted: Collection[int]
    dependent: Collection[int]


def adjoint(node: Node, place: Place, g: Value) -> dict[int, Value]:
    """Number of an input -> its derivative; inputs that do not matter have none.

    g: the derivative by the node's result, of its type. Raises NoDerivative.
    """
    found = _RULES[type(node.op)](node.op, place, g)
    return {
        number: place.build.cast(value, place.inputs[number].dtype)
        for number, value in found.items()
    }


# --- elementwise ----------------------------------------------------------------------


def _map(op: Map, place: Place, g: Value) -> dict[int, Value]:
    found: dict[int, Value] = {}
    reached = _reached(op, place.dependent)
    for number in place.wanted:
        if number in reached:
            value = _map_by(op, place, g, number)
            found[number] = _narrowed(place.build, value, place.inputs[number].shape)
    return found


def _map_by(op: Map, place: Place, g: Value, number: int) -> Value:
    """The derivative by one input, of the shape of the result."""

    def body(g: Term, result: Term, *inputs: Term) -> Term:
        return _backwards(op, g, result, inputs)[number]

    return place.build.map_as_is(body, g, place.output, *place.inputs, hint=f"by{number}")


def _reached(op: Map, dependent: Collection[int]) -> set[int]:
    """The inputs that derivatives reach: the walk of ``_backwards``, without its arithmetic.

    Raises NoDerivative for an instruction without one that is reached, if it depends on what is
    trained.
    """
    depends = _depends(op, dependent)
    steps = {len(op.body) - 1}
    found: set[int] = set()
    for index in range(len(op.body) - 1, -1, -1):
        step = op.body[index]
        if index not in steps:
            continue
        if step.op in WITHOUT and depends[index]:
            raise NoDerivative(f"instruction '{step.op}' has no derivative")
        if step.op not in DERIVATIVES or not step.dtype.is_float:
            continue
        # Which operands a rule gives something for does not depend on the values of terms.
        operands = (arg.value if isinstance(arg, Lit) else _Probe() for arg in step.args)
        flows = DERIVATIVES[step.op](_Probe(), _Probe(), *operands)
        for arg, flow in zip(step.args, flows, strict=True):
            if flow is None:
                continue
            if isinstance(arg, Ref):
                steps.add(arg.step)
            elif isinstance(arg, Arg):
                found.add(arg.index)
    return found


class _Probe:
    """Stands for any term where a rule is only asked what it gives."""

    def op(self, *_: object) -> _Probe:
        return self

    rop = select = cast_like = op
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = op
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = op

    def __neg__(self) -> _Probe:
        return self


def _depends(op: Map, dependent: Collection[int]) -> list[bool]:
    """For each step whether its operands follow from dependent inputs."""
    depends: list[bool] = []
    for step in op.body:
        depends.append(
            any(
                (isinstance(arg, Arg) and arg.index in dependent)
                or (isinstance(arg, Ref) and depends[arg.step])
                for arg in step.args
            )
        )
    return depends


def _backwards(op: Map, g: Term, result: Term, inputs: Sequence[Term]) -> dict[int, Term]:
    """The steps once more, then their derivatives from the last to the first."""
    values: list[Term] = []

    def operand(arg: Arg | Ref | Lit) -> Number:
        match arg:
            case Arg(index):
                return inputs[index]
            case Ref(number):
                return values[number]
            case Lit(value):
                return value

    last = len(op.body) - 1
    for number, step in enumerate(op.body):
        # What the last step gives is known; a step that nobody needs is left out of the map.
        again = result if number == last else g.apply(step.op, step.dtype, map(operand, step.args))
        values.append(again)
    steps: dict[int, Term] = {last: g}
    found: dict[int, Term] = {}
    for number in range(last, -1, -1):
        step, reached = op.body[number], steps.get(number)
        if reached is None or step.op not in DERIVATIVES or not step.dtype.is_float:
            continue
        flows = DERIVATIVES[step.op](reached, values[number], *map(operand, step.args))
        for arg, flow in zip(step.args, flows, strict=True):
            if flow is None or isinstance(arg, Lit):
                continue
            table, key = (steps, arg.step) if isinstance(arg, Ref) else (found, arg.index)
            table[key] = table[key] + flow if key in table else flow
    return found


def _narrowed(build: GraphBuilder, value: Value, shape: tuple[int, ...]) -> Value:
    """Sums over the dimensions along which an operand of this shape was broadcast."""
    shift = value.rank - len(shape)
    axes = [
        axis
        for axis, size in enumerate(value.shape)
        if axis < shift or (shape[axis - shift] == 1 and size > 1)
    ]
    summed = build.reduce(Reduction.SUM, value, axes, True, "sum")
    return build.reshape(summed, shape, "narrow")


# --- sums over labels -----------------------------------------------------------------


@dataclass(slots=True)
class _Labels:
    """How a derivative by one operand is written with labels.

    out: labels of its dimensions. g: the index of each dimension of the result's derivative.
    after: movement that makes the operand's shape of what the labels give. spread: label of the
    result -> how far its positions are apart in the operand. flipped: labels that run backwards.
    extents: sizes of labels, the new ones too.
    """

    out: list[str]
    g: list[Index]
    extents: dict[str, int]
    spread: dict[str, int]
    flipped: set[str]
    after: list[MoveStep]


def _labels(
    target: Sequence[Index],
    shape: Sequence[int],
    other: set[str],
    out: Sequence[str],
    extents: dict[str, int],
) -> _Labels:
    """The labels of a derivative by the operand that ``target`` indexes.

    shape: the operand's. other: the labels that the other operand has.
    """
    plan = _Labels([], [_plain(label) for label in out], dict(extents), {}, set(), [])
    known = other | {label for label in out if label}
    joined: list[int] = []  # sizes with every label a dimension of its own
    opened: list[tuple[list[int], int, int, int]] = []  # (sizes, offset, step, size) of dimensions
    seen: set[str] = set()
    for number, (entry, size) in enumerate(zip(target, shape, strict=True)):
        names = [label for label, _ in entry.terms]
        if seen & set(names) or len(set(names)) < len(names):
            raise NoDerivative("a label indexes two dimensions of one operand")
        seen |= set(names)
        if _is_radix(entry, size, extents):
            order = sorted(entry.terms, key=lambda term: -term[1])
            sizes = [extents[label] for label, _ in order]
            plan.out += [label if label in known else "" for label, _ in order]
            opened.append((sizes, 0, 1, size))
        elif len(names) <= 1:
            label, step = entry.terms[0] if names else ("", 1)
            if step < 1:
                raise NoDerivative("an index runs backwards")
            count = extents[label] if label else 1
            plan.out.append(label if label in known else "")
            opened.append(([count], entry.offset, step, size))
        else:
            _window(plan, entry, f"i{number}", size, other, list(out))
            opened.append(([size], 0, 1, size))
        joined += opened[-1][0]
    # What no other operand has a part in is the same all along its labels.
    plan.after.append(Expand(tuple(joined)))
    plan.after.append(Reshape(tuple(math.prod(sizes) for sizes, *_ in opened)))
    now = [math.prod(sizes) for sizes, *_ in opened]
    for axis, (_, offset, step, size) in enumerate(opened):
        plan.after += spaced(now, axis, offset, step, size)
        now[axis] = size
    return plan


def _plain(label: str) -> Index:
    return Index(((label, 1),) if label else ())


def _is_radix(entry: Index, size: int, extents: dict[str, int]) -> bool:
    """Whether the labels are digits of the position, which takes every value once."""
    place = 1
    for label, coefficient in sorted(entry.terms, key=lambda term: term[1]):
        if coefficient != place and extents[label] > 1:
            return False
        place *= extents[label]
    return bool(entry.terms) and entry.offset == 0 and place == size


def _window(
    plan: _Labels, entry: Index, name: str, size: int, other: set[str], out: list[str]
) -> None:
    """Windows: position i of the operand meets the results at ``(i - k*d - offset) / s``.

    The results stand s apart, with zeros between, and k runs backwards: so the index of the
    results is a sum of i and k.
    """
    heads = [term for term in entry.terms if term[0] in out and term[0] not in other]
    if not heads or any(coefficient < 1 for _, coefficient in entry.terms):
        raise NoDerivative("windows of this form")
    (head, step), *_ = sorted(heads, key=lambda term: -term[1])
    offset, terms = -entry.offset, [(name, 1)]
    for label, coefficient in entry.terms:
        if label == head:
            continue
        plan.flipped.add(label)
        offset -= coefficient * (plan.extents[label] - 1)
        terms.append((label, coefficient))
    plan.spread[head] = step
    plan.g[out.index(head)] = Index(tuple(terms), offset)
    plan.extents[name] = size
    plan.out.append(name)


def spaced(shape: Sequence[int], axis: int, offset: int, step: int, size: int) -> list[MoveStep]:
    """Positions of one axis put ``step`` apart from ``offset`` on, in a dimension of ``size``."""
    steps: list[MoveStep] = []
    rank, before, after = len(shape), tuple(shape[:axis]), tuple(shape[axis + 1 :])
    count = shape[axis]
    if step > 1:
        high = [0] * (rank + 1)
        high[axis + 1] = step - 1
        steps.append(Reshape((*before, count, 1, *after)))
        steps.append(Pad((0,) * (rank + 1), tuple(high)))
        steps.append(Reshape((*before, count * step, *after)))
        count = (count - 1) * step + 1
        steps.append(_along((*before, count * step, *after), axis, 0, count))
    first = max(-offset, 0)
    last = min(count, size - offset)
    if first or last < count:
        steps.append(_along((*before, count, *after), axis, first, last - first))
        count, offset = last - first, offset + first
    low, high = offset, size - offset - count
    if low or high:
        sides = [tuple(n if i == axis else 0 for i in range(rank)) for n in (low, high)]
        steps.append(Pad(sides[0], sides[1]))
    return steps


def _along(shape: Sequence[int], axis: int, start: int, count: int) -> Slice:
    """A slice of one axis."""
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    sizes = tuple(count if i == axis else size for i, size in enumerate(shape))
    return Slice(starts, sizes, (1,) * len(shape))


def _spread(build: GraphBuilder, g: Value, out: Sequence[str], plan: _Labels) -> Value:
    """The result's derivative with zeros between its positions, and flipped as the plan says."""
    for axis, label in enumerate(out):
        step = plan.spread.get(label, 1)
        if step > 1:
            shape = list(g.shape)
            size = (shape[axis] - 1) * step + 1
            g = build.move(g, *spaced(shape, axis, 0, step, size), hint="spread")
        if label in plan.flipped:
            g = _flipped(build, g, axis)
    return g


def _flipped(build: GraphBuilder, value: Value, axis: int) -> Value:
    size = value.shape[axis]
    return build.slice_axis(value, axis, size - 1, size, -1, "flip")


def _contract(op: Contract, place: Place, g: Value) -> dict[int, Value]:
    return {number: _contract_by(op, place, g, number) for number in place.wanted}


def _contract_by(op: Contract, place: Place, g: Value, number: int) -> Value:
    """sum over the other labels of g * other, indexed as the operand is."""
    build, target = place.build, place.inputs[number]
    indices = (op.index_a, op.index_b)
    own, others = indices[number], indices[1 - number]
    other = place.inputs[1 - number]
    names = {label for entry in others for label, _ in entry.terms}
    plan = _labels(own, target.shape, names, op.out, dict(op.extents))
    if number == 1 and plan.spread:
        raise NoDerivative("windows over the second operand")
    g = _spread(build, g, op.out, plan)
    for axis, entry in enumerate(others):
        labels = [label for label, _ in entry.terms]
        if plan.flipped.intersection(labels):
            if len(labels) > 1 or plan.extents[labels[0]] != other.shape[axis]:
                raise NoDerivative("windows of this form")
            other = _flipped(build, other, axis)
    # Windows are over the first operand of a contraction. Else it is the one that has more of the
    # result to itself: that is what is shared out over the rows of tiles.
    left, right = ((g, plan.g), (other, others))
    windows = any(len(entry.terms) != 1 or entry.offset for entry in others)
    if number == 1 and (windows or _own(others, plan) >= _own(plan.g, plan)):
        left, right = right, left
    first, second = build.aligned([left[0], right[0]])
    used = {label for _, index in (left, right) for entry in index for label, _ in entry.terms}
    extents = tuple((label, size) for label, size in plan.extents.items() if label in used)
    named = tuple(label for label in plan.out if label)
    backwards = Contract(tuple(left[1]), tuple(right[1]), named, extents)
    result = build.add(backwards, [first, second], f"by{number}")
    ones = Reshape(tuple(plan.extents[label] if label else 1 for label in plan.out))
    return build.move(result, ones, *plan.after, hint="whole")


def _own(index: Sequence[Index], plan: _Labels) -> int:
    """How many elements of the result differ by the labels of an operand."""
    labels = {label for entry in index for label, _ in entry.terms}
    return math.prod(plan.extents[label] for label in labels & set(plan.out))


def _reduce(op: Reduce, place: Place, g: Value) -> dict[int, Value]:
    if not place.wanted or op.still:
        return {}
    (x,) = place.inputs
    if op.kind is Reduction.SUM:
        return {0: _sum(op, place, x, g)}
    labels = [label for entry in op.index for label, _ in entry.terms]
    # A diagonal is no plain reduction either: its places are found one by one.
    windows = len(set(labels)) < len(labels) or any(
        len(entry.terms) != 1
        or entry.offset != 0
        or entry.terms[0][1] != 1
        or dict(op.extents)[entry.terms[0][0]] != size
        for entry, size in zip(op.index, x.shape, strict=True)
        if entry.terms or size > 1
    )
    if op.kind is Reduction.PROD:
        if windows:
            raise NoDerivative("a product over windows")
        return {0: _product(op, place, x, g)}
    return {0: (_largest_of_windows if windows else _largest)(op, place, x, g)}


def _sum(op: Reduce, place: Place, x: Value, g: Value) -> Value:
    """Each element had a part in the sums over it: those of a plain sum in one."""
    build = place.build
    plan = _labels(op.index, x.shape, set(), op.out, dict(op.extents))
    if not plan.spread:
        return build.move(_arranged(build, g, op.out, plan.out), *plan.after, hint="spread")
    g = _spread(build, g, op.out, plan)
    used = {label for entry in plan.g for label, _ in entry.terms}
    extents = tuple((label, size) for label, size in plan.extents.items() if label in used)
    wide = g.dtype is DType.F16
    back = Reduce(Reduction.SUM, tuple(plan.g), tuple(plan.out), extents, wide)
    return build.move(build.add(back, [g], "sum"), *plan.after, hint="spread")


def _arranged(build: GraphBuilder, g: Value, have: Sequence[str], want: Sequence[str]) -> Value:
    """Dimensions in the order of the wanted labels; "" is a dimension of one."""
    kept = [label for label in have if label]
    sizes = {label: size for label, size in zip(have, g.shape, strict=True) if label}
    named = [label for label in want if label]
    g = build.reshape(g, [sizes[label] for label in kept], "kept")
    # What the operand has no label for was counted once.
    g = build.transpose(g, [kept.index(label) for label in named], "order")
    return build.reshape(g, [sizes[label] if label else 1 for label in want], "wide")


def _kept(op: Reduce, place: Place, value: Value, x: Value) -> Value:
    """A value of the result's shape, with the rank of the operand."""
    want = [
        label if label in op.out else ""
        for label in (entry.terms[0][0] if entry.terms else "" for entry in op.index)
    ]
    return _arranged(place.build, value, op.out, want)


def _largest(op: Reduce, place: Place, x: Value, g: Value) -> Value:
    """To the elements that are the maximum, in equal parts."""
    build, axes = place.build, _summed(op)
    top, wide = _kept(op, place, place.output, x), _kept(op, place, g, x)
    hits = build.map(lambda v, m: v.eq(m).cast(v.dtype), x, top, hint="hits")
    count = build.reduce(Reduction.SUM, hits, axes, True, "count")
    return build.map(lambda h, c, d: h * (d / c), hits, count, wide, hint="part")


def _summed(op: Reduce) -> list[int]:
    """The axes of the operand that a plain reduction joins."""
    return [
        axis
        for axis, entry in enumerate(op.index)
        if not entry.terms or entry.terms[0][0] not in op.out
    ]


def _product(op: Reduce, place: Place, x: Value, g: Value) -> Value:
    """The product of the others: with one zero among them it is that of all without it."""
    build, axes = place.build, _summed(op)
    wide = _kept(op, place, g, x)
    zeros = build.map(lambda v: v.eq(0.0).cast(v.dtype), x, hint="zeros")
    count = build.reduce(Reduction.SUM, zeros, axes, True, "count")
    safe = build.map(lambda v: v.eq(0.0).select(1.0, v), x, hint="safe")
    rest = build.reduce(Reduction.PROD, safe, axes, True, "rest")

    def others(v: Term, s: Term, z: Term, c: Term, r: Term, d: Term) -> Term:
        alone = (c - z).eq(0.0)  # no zero but this element
        return alone.select(d * (r / s), 0.0)

    return build.map(others, x, safe, zeros, count, rest, wide, hint="others")


def _largest_of_windows(op: Reduce, place: Place, x: Value, g: Value) -> Value:
    """To the first element of each window that is its maximum: one place in a window at a time."""
    build, extents = place.build, dict(op.extents)
    inner = [label for label, _ in op.extents if label not in op.out]
    total: Value | None = None
    left = g
    for digits in product(*(range(extents[label]) for label in inner)):
        at = dict(zip(inner, digits, strict=True))
        index = tuple(
            Index(
                tuple(term for term in entry.terms if term[0] not in at),
                entry.offset + sum(c * at[label] for label, c in entry.terms if label in at),
            )
            for entry in op.index
        )
        one = Reduce(op.kind, index, op.out, tuple((k, v) for k, v in op.extents if k not in at))
        seen = build.add(one, [x], "place")
        part = build.map(lambda v, m, d: v.eq(m).select(d, 0.0), seen, place.output, left)
        left = build.map(lambda v, m, d: v.eq(m).select(0.0, d), seen, place.output, left)
        back = _sum(Reduce(Reduction.SUM, one.index, one.out, one.extents), place, x, part)
        total = back if total is None else build.map(lambda a, b: a + b, total, back, hint="both")
    assert total is not None
    return total


# --- movement -------------------------------------------------------------------------


def _move(op: Move, place: Place, g: Value) -> dict[int, Value]:
    if not place.wanted:
        return {}
    (x,) = place.inputs
    shapes = [x.shape]
    for step in op.steps:
        shapes.append(move_shape(step, shapes[-1]))
    for step, before in zip(reversed(op.steps), reversed(shapes[:-1]), strict=True):
        g = _moved_back(place.build, g, step, before)
    return {0: g}


def _moved_back(build: GraphBuilder, g: Value, step: MoveStep, before: tuple[int, ...]) -> Value:
    match step:
        case Reshape():
            return build.reshape(g, before, "back")
        case Transpose(perm):
            return build.transpose(g, [perm.index(axis) for axis in range(len(perm))], "back")
        case Expand():
            return build.cast(_narrowed(build, g, before), g.dtype)
        case Pad(low, _, _):
            return build.move(g, Slice(low, before, (1,) * len(before)), hint="back")
        case Slice(starts, _, steps):
            for axis, (start, stride) in enumerate(zip(starts, steps, strict=True)):
                if stride < 0:
                    g = _flipped(build, g, axis)
                    start += (g.shape[axis] - 1) * stride
                moves = spaced(g.shape, axis, start, abs(stride), before[axis])
                g = build.move(g, *moves, hint="back")
            return g


def _concat(op: Concat, place: Place, g: Value) -> dict[int, Value]:
    found: dict[int, Value] = {}
    start = 0
    for number, value in enumerate(place.inputs):
        size = value.shape[op.axis]
        if number in place.wanted:
            found[number] = place.build.slice_axis(g, op.axis, start, size, hint=f"by{number}")
        start += size
    return found


def _gather(op: Gather, place: Place, g: Value) -> dict[int, Value]:
    """What was taken several times gets the sum of its derivatives."""
    if 0 not in place.wanted:
        return {}
    build, (data, indices) = place.build, place.inputs
    count = indices.type.size
    shape = (*data.shape[: op.axis], count, *data.shape[op.axis + 1 :])
    updates = build.reshape(g, shape, "rows")
    flat = build.reshape(indices, (count,), "flat")
    into = Scatter(op.axis, Reduction.SUM, zeros=data.shape[op.axis])
    return {0: build.add(into, [flat, updates], "by0")}


def _scatter(op: Scatter, place: Place, g: Value) -> dict[int, Value]:
    if op.kind in (Reduction.MAX, Reduction.MIN, Reduction.PROD):
        raise NoDerivative(f"a scatter by {op.kind.value}")
    if op.zeros is not None:
        raise NoDerivative("a scatter into zeros")
    build, (data, indices, updates) = place.build, place.inputs
    size, count = data.shape[op.axis], indices.type.size
    found: dict[int, Value] = {}
    replaces = op.kind is None
    if 0 in place.wanted:
        nothing = build.constant(np.zeros(updates.shape), updates.dtype, "zeros")
        cleared = Scatter(op.axis, None, op.skips)
        found[0] = build.add(cleared, [g, indices, nothing], "by0") if replaces else g
    if 2 in place.wanted:
        held = indices
        if op.skips:
            held = build.map(
                lambda i: ((i >= -size) & (i < size)).select(i, 0), indices, hint="held"
            )
        taken = build.gather(g, held, op.axis, "taken")
        kept: Value | None = None
        if replaces:
            # Of several that replace one position the last stays.
            numbers = build.constant(np.arange(count, dtype=np.int32), DType.I32, "numbers")
            nobody = build.constant(np.full(size, -1, np.int32), DType.I32, "nobody")
            owner = build.add(Scatter(0, None, op.skips), [nobody, indices, numbers], "owner")
            mine = build.gather(owner, held, 0, "mine")
            kept = build.map(lambda o, n: o.eq(n), mine, numbers, hint="kept")
        elif op.skips:
            kept = build.map(lambda i: (i >= -size) & (i < size), indices, hint="kept")
        if kept is not None:
            wide = [count if axis == op.axis else 1 for axis in range(updates.rank)]
            flags = build.reshape(kept, wide, "wide")
            taken = build.map(lambda f, d: f.select(d, 0.0), flags, taken, hint="by2")
        found[2] = taken
    return found


def _keep(op: Keep, place: Place, g: Value) -> dict[int, Value]:
    del op
    return {0: g} if place.wanted else {}


_RULES: dict[type[Primitive], Callable[[Any, Place, Value], dict[int, Value]]] = {
    Map: _map,
    Reduce: _reduce,
    Contract: _contract,
    Move: _move,
    Concat: _concat,
    Gather: _gather,
    Scatter: _scatter,
    Keep: _keep,
}
