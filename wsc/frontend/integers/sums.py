"""Sums, products and extrema of the elements of 64-bit integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

from wsc.frontend import wide
from wsc.frontend.integers import bounds
from wsc.frontend.integers.checked import checked, product
from wsc.frontend.integers.elementwise import division
from wsc.frontend.integers.moves import moved
from wsc.frontend.integers.operand import (
    LONG,
    Integer,
    Rule,
    assume,
    compute,
    known_within,
    mapped,
    operand_of,
    ranges_of,
    word_of,
    wrapped,
)
from wsc.frontend.reduce import reduce_sum
from wsc.frontend.registry import Call, Function, Result, normal_axis, require
from wsc.frontend.types import Kind, ordered
from wsc.frontend.wide import Range, Wide
from wsc.ir import pairs
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.pairs import Pair, Word, as_word


def summed(count: Callable[[Call, Sequence[Integer]], int], *data: int) -> Rule:
    """Operators whose result is a sum of elements.

    count: how many there are at most. data: the inputs that hold them.
    """

    def rule(call: Call, lower: Function) -> Result:
        operands = {i: operand_of(call, i) for i in data}
        most = count(call, list(operands.values()))
        return _total(call, lower, operands, most)

    return rule


def _total(call: Call, lower: Function, operands: dict[int, Integer], count: int) -> Value | Wide:
    """A sum of at most ``count`` elements of the operands, which ``lower`` makes of words."""
    signed = next(iter(operands.values())).signed
    each = wide.joined((0, 0), *ranges_of(list(operands.values())))
    interval = wrapped((each[0] * count, each[1] * count), signed)
    shown = {i: x.item for i, x in operands.items() if isinstance(x.item, Value)}
    if len(shown) == len(operands) and wide.within(interval, wide.narrow(signed)):
        result = lower(call.showing(shown))
        assert isinstance(result, Value)
        assume(call.build, result, interval)
        return result
    return _digits(call, lower, operands, count, interval, signed)


def _along_axes(call: Call, operands: Sequence[Integer]) -> int:
    (x,) = operands
    how = _reduced_axes(call, len(x.shape))
    return 1 if how is None else math.prod(x.shape[axis] for axis in how[0])


def along_one(call: Call, operands: Sequence[Integer]) -> int:
    """How many elements a running sum adds at most."""
    return max(operands[0].shape, default=1)


def _all_updates(call: Call, operands: Sequence[Integer]) -> int:
    return 1 + math.prod(operands[1].shape)


def scattered(call: Call, lower: Function) -> Result:
    """``ScatterElements`` and ``ScatterND``: updates replace, or join what is there."""
    how = call.text("reduction", "none")
    if how == "none":
        return moved(0, 2)(call, lower)
    if call.onnx_type(0) not in LONG or how in ("max", "min"):
        return lower(call)  # of words, which ``Call.arg`` sees to
    if how == "add":
        return summed(_all_updates, 0, 2)(call, lower)
    return checked(product, 0, 2)(call, lower)


def reduced_sum(
    ranged: Callable[[Range], Range] | None = None, body: Callable[[Pair], Pair] | None = None
) -> Rule:
    """The sum over axes of what ``body`` makes of each element.

    ranged: its range, from that of the element.
    """

    def rule(call: Call, lower: Function) -> Result:
        x, build = operand_of(call, 0), call.build
        count = _along_axes(call, [x])
        each = x.range if ranged is None else wrapped(ranged(x.range), x.signed)
        interval = wide.joined((0, 0), (each[0] * count, each[1] * count))
        if isinstance(x.item, Value) and wide.within(interval, wide.narrow(x.signed)):
            return known_within(interval, call, lower)
        if body is not None:
            x = Integer(compute(build, body, [x], each, x.signed), each, x.signed)
        how = _reduced_axes(call, len(x.shape))
        return x.item if how is None else _total(call, reduce_sum, {0: x}, count)

    return rule


def squares(x: Range) -> Range:
    """Of x * x."""
    least, most = bounds.of_magnitude(x)
    return least * least, most * most


def square(a: Pair) -> Pair:
    """a * a."""
    return pairs.multiply(a, a)


def mean(call: Call, lower: Function) -> Result:
    """``ReduceMean``: a sum, divided towards zero."""
    x, build = operand_of(call, 0), call.build
    total = reduced_sum()(call, reduce_sum)
    if isinstance(total, Value):
        return known_within(x.range, call, lower)
    assert isinstance(total, Wide)
    count = _along_axes(call, [x])

    def body(a: Pair) -> Pair:
        return division(a, pairs.number(count), "div", x.signed)

    sums = Integer(total, total.range, total.signed)
    return compute(build, body, [sums], x.range, x.signed)


def _digits(
    call: Call,
    lower: Function,
    operands: dict[int, Integer],
    count: int,
    interval: Range,
    signed: bool,
) -> Value | Wide:
    bits = next((bits for bits in (16, 8, 4) if count << bits < 2**31), 0)
    require(bits > 0, f"a sum of {count} 64-bit integers that can leave 32 bits")
    total = 64 if any(isinstance(operand.item, Wide) for operand in operands.values()) else 32
    sums: list[Integer] = []
    for first in range(0, total, bits):
        last = first + bits == total

        def digit(a: Pair, first: int = first, last: bool = last) -> Word:
            # The last one has the sign.
            word, place = (a.low, first) if first < 32 else (a.high, first - 32)
            if last:
                return word.shr(place) if signed else word.shru(place)
            return word.shru(place) & ((1 << bits) - 1)

        shown = {i: mapped(call.build, digit, [x], f"digit{first}") for i, x in operands.items()}
        part = lower(call.showing(shown))
        assert isinstance(part, Value)
        sums.append(Integer(part, (0, 0), True))

    def body(*each: Pair) -> Pair:
        shifted = (pairs.shift_left(a, as_word(bits * i)) for i, a in enumerate(each))
        return reduce(pairs.add, shifted)

    return compute(call.build, body, sums, interval, signed)


def _reduced_axes(call: Call, rank: int) -> tuple[list[int], bool] | None:
    """The axes of a reduction, and whether they stay; None if it does nothing."""
    axes, keep = call.axes(1, rank), call.flag("keepdims", True)
    if not axes and call.flag("noop_with_empty_axes", False):
        return None
    return axes or list(range(rank)), keep


def reduced_extremum(call: Call, lower: Function) -> Result:
    """The extremum of the high words, then that of the low words that stand beside it."""
    item = call.item(0)
    if not isinstance(item, Wide):
        return lower(call)
    build = call.build
    how = _reduced_axes(call, len(item.shape))
    if how is None:
        return item
    axes, keep = how
    largest = call.node.op_type == "ReduceMax"
    kind = Reduction.MAX if largest else Reduction.MIN
    worst = -(2**31) if largest else 2**31 - 1
    source = Kind.INT64 if item.signed else Kind.UINT64
    tops = build.map(lambda h: ordered(h, source), item.high, hint="ordered")
    best = build.reduce(kind, tops, axes, True, "high")
    beside = build.map(
        lambda top, most, low: top.eq(most).select(ordered(low, Kind.UINT64), worst),
        tops,
        best,
        item.low,
        hint="beside",
    )
    lowest = build.reduce(kind, beside, axes, keep, "low")
    high = build.map(lambda h: ordered(h, source), best, hint="word")
    low = build.map(lambda word: ordered(word, Kind.UINT64), lowest, hint="word")
    return Wide(build.reshape(high, low.shape), low, item.range, item.signed)


def reduced_product(call: Call, lower: Function) -> Result:
    """A product over axes: halves multiplied by each other until one is left."""
    build, x = call.build, operand_of(call, 0)
    rank, signed = len(x.shape), x.signed
    how = _reduced_axes(call, rank)
    if how is None:
        return x.item
    axes, keep = how
    axes = [normal_axis(axis, rank) for axis in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    most = max(bounds.of_magnitude(x.range)[1], 1) ** min(count, 64)
    if isinstance(x.item, Value) and most < 2**31:
        return known_within((-most if x.range[0] < 0 else 0, most), call, lower)
    others = [axis for axis in range(rank) if axis not in axes]
    kept = tuple(x.shape[axis] for axis in others)
    item = wide.on_words(
        x.item,
        lambda word: build.reshape(build.transpose(word, [*others, *axes]), (*kept, count)),
    )
    current = Integer(item, x.range, signed)
    while count > 1:
        half, odd = count // 2, count % 2
        interval = wrapped(bounds.of_product(current.range, current.range), signed)
        halves = [_cut(build, current, 0, half), _cut(build, current, half, half)]
        product = compute(build, pairs.multiply, halves, interval, signed)
        last = _cut(build, current, 2 * half, 1) if odd else None
        current = Integer(product, interval, signed)
        if last is not None:
            current = _side_by_side(build, current, last)
        count = half + odd
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)) if keep else kept
    return wide.on_words(current.item, lambda word: build.reshape(word, shape))


def _cut(build: GraphBuilder, x: Integer, first: int, size: int) -> Integer:
    """Some positions of the last axis."""
    axis = len(x.shape) - 1
    item = wide.on_words(x.item, lambda word: build.slice_axis(word, axis, first, size))
    return Integer(item, x.range, x.signed)


def _side_by_side(build: GraphBuilder, one: Integer, two: Integer) -> Integer:
    """Two operands along the last axis."""
    axis, interval = len(one.shape) - 1, wide.joined(one.range, two.range)
    high, low = (
        build.concat([word_of(build, each, part) for each in (one, two)], axis, "products")
        for part in ("high", "low")
    )
    return Integer(wide.of_words(high, low, interval, one.signed), interval, one.signed)
