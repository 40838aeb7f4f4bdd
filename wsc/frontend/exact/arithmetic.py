"""Sums, products, quotients and roots of tensors of doubles.

Each is some maps one after the other: operands are made normal, a rough number is computed, and
it is rounded. Every map gives one word, and words that several need are computed once; the steps
that are the same for all operators are one procedure of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsc.frontend.exact.item import Double, mapped, of_array, on_words, paired
from wsc.ir import doubles, pairs
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Pad, Slice
from wsc.ir.pairs import Pair, Word

Binary = Callable[[GraphBuilder, Double, Double], Double]


@dataclass(frozen=True, slots=True)
class _Rough:
    """Rough numbers: their heads and sizes, see ``wsc.ir.doubles``."""

    head: Value
    size: Double


def _normal(build: GraphBuilder, size: Double) -> tuple[Value, Double]:
    """How many zeros stood above, and the size without them."""
    zeros = mapped(build, doubles.zeros_above, size, hint="zeros")
    return zeros, paired(build, doubles.raised, size, zeros, hint="normal")


def _rough(build: GraphBuilder, a: Double) -> _Rough:
    """Doubles as normal rough numbers."""
    zeros, size = _normal(build, paired(build, doubles.rough_size, a, hint="size"))
    return _Rough(mapped(build, doubles.rough_head, a, zeros, hint="head"), size)


def rounded(build: GraphBuilder, head: Value, size: Double) -> Double:
    """The nearest doubles of rough numbers."""
    zeros, size = _normal(build, size)
    head = mapped(build, doubles.lowered_head, head, zeros, hint="head")
    settled = paired(build, doubles.settled, head, size, hint="settled")
    return paired(build, doubles.rounded, head, settled)


def add(build: GraphBuilder, a: Double, b: Double) -> Double:
    """a + b."""
    swap = mapped(build, doubles.swaps, a, b, hint="swap")
    distance = mapped(build, doubles.distance, a, b, hint="distance")

    def large(flag: Word, x: Pair, y: Pair) -> Pair:
        return doubles.term(pairs.choose(flag, y, x))

    def small(flag: Word, x: Pair, y: Pair, bits: Word) -> Pair:
        return doubles.shifted(doubles.term(pairs.choose(flag, x, y)), bits)

    one = paired(build, large, swap, a, b, hint="large")
    other = paired(build, small, swap, a, b, distance, hint="small")
    size = paired(build, doubles.total, one, other, a, b, hint="sum")
    head = mapped(build, doubles.sum_head, a, b, swap, size, hint="head")
    return rounded(build, head, size)


def subtract(build: GraphBuilder, a: Double, b: Double) -> Double:
    """a - b."""
    return add(build, a, paired(build, doubles.negative, b, hint="negative"))


def multiply(build: GraphBuilder, a: Double, b: Double) -> Double:
    """a * b."""
    one = _rough(build, a)
    other = one if a == b else _rough(build, b)
    below = mapped(build, doubles.product_below, one.size, other.size, hint="below")
    size = paired(build, doubles.product_size, one.size, other.size, below, hint="product")
    return rounded(
        build, mapped(build, doubles.product_head, one.head, other.head, hint="head"), size
    )


def divide(build: GraphBuilder, a: Double, b: Double) -> Double:
    """a / b."""
    one, other = _rough(build, a), _rough(build, b)
    rest = paired(build, doubles.integer, one.size, hint="rest")
    divisor = paired(build, doubles.integer, other.size, hint="divisor")
    digits: list[Value] = []
    for _ in range(doubles.QUOTIENT_DIGITS):
        digits.append(mapped(build, doubles.quotient_digit, rest, divisor, hint="digit"))
        rest = paired(build, doubles.quotient_rest, rest, divisor, digits[-1], hint="rest")

    def size(left: Pair, *found: Word) -> Pair:
        return doubles.quotient_size(list(found), left)

    head = mapped(build, doubles.quotient_head, one.head, other.head, hint="head")
    return rounded(build, head, paired(build, size, rest, *digits, hint="quotient"))


def root(build: GraphBuilder, a: Double) -> Double:
    """The square root of a."""
    rough = _rough(build, a)

    def extended(word: Word) -> Pair:
        return pairs.extended(word, True)

    square = paired(build, doubles.radicand, rough.head, rough.size, hint="square")
    start = mapped(build, doubles.root_start, square, hint="start")
    rest = paired(build, doubles.root_first_rest, square, start, hint="rest")
    found = paired(build, extended, start, hint="root")
    for _ in range(doubles.ROOT_DIGITS):
        digit = mapped(build, doubles.root_digit, rest, found, hint="digit")
        rest = paired(build, doubles.root_rest, rest, found, digit, hint="rest")
        found = paired(build, doubles.root_next, found, digit, hint="root")
    head = mapped(build, doubles.root_head, rough.head, hint="head")
    return rounded(build, head, paired(build, doubles.root_size, found, rest, hint="root"))


def of_integer(build: GraphBuilder, words: Double | Value, signed: bool) -> Double:
    """64-bit integers, or words, as doubles. Two words are given as those of a double would be."""

    def pair(given: Pair | Word) -> Pair:
        return given if isinstance(given, Pair) else pairs.extended(given, signed)

    def size(given: Pair | Word) -> Pair:
        return doubles.integer_size(pair(given), signed)

    def head(given: Pair | Word) -> Word:
        return doubles.integer_head(pair(given), signed)

    return rounded(
        build, mapped(build, head, words, hint="head"), paired(build, size, words, hint="integer")
    )


def larger(build: GraphBuilder, a: Double, b: Double) -> Double:
    """The larger one; NaN if either is."""
    return paired(build, doubles.larger, a, b, hint="larger")


def smaller(build: GraphBuilder, a: Double, b: Double) -> Double:
    """The smaller one; NaN if either is."""
    return paired(build, doubles.smaller, a, b, hint="smaller")


def number(build: GraphBuilder, value: float) -> Double:
    """A known number."""
    return of_array(build, np.array(value, np.float64), "number")


# --- along an axis --------------------------------------------------------------------


def padded(build: GraphBuilder, x: Double, axis: int, low: int, high: int, fill: float) -> Double:
    """x with ``fill`` before and behind it along an axis."""
    if not low and not high:
        return x
    bits = int(np.float64(fill).view(np.int64))
    before = tuple(low if i == axis else 0 for i in range(x.rank))
    behind = tuple(high if i == axis else 0 for i in range(x.rank))
    top, bottom = (
        build.move(word, Pad(before, behind, value), hint="padded")
        for word, value in ((x.high, bits >> 32), (x.low, bits & 0xFFFFFFFF))
    )
    return Double(top, bottom)


def part(build: GraphBuilder, x: Double, axis: int, start: int, size: int, step: int = 1) -> Double:
    """``size`` positions of an axis from ``start`` on."""
    starts = tuple(start if i == axis else 0 for i in range(x.rank))
    sizes = tuple(size if i == axis else n for i, n in enumerate(x.shape))
    steps = tuple(step if i == axis else 1 for i in range(x.rank))
    return on_words(x, lambda word: build.move(word, Slice(starts, sizes, steps), hint="part"))


def joined(
    build: GraphBuilder, x: Double, axis: int, join: Binary, neutral: float, empty: float
) -> Double:
    """All positions of an axis joined, halves with one another; the axis stays, of size one.

    neutral: what changes nothing. empty: what stands for no position.
    """
    if not x.shape[axis]:
        shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        return of_array(build, np.full(shape, empty), "nothing")
    while (size := x.shape[axis]) > 2:
        half = -(-size // 2)
        x = padded(build, x, axis, 0, 2 * half - size, neutral)
        x = join(build, part(build, x, axis, 0, half), part(build, x, axis, half, half))
    if size == 2:
        # Both sums of both: of one position each the code would be another one, as long again.
        x = join(build, x, part(build, x, axis, 1, 2, -1))
    return part(build, x, axis, 0, 1)


def running(build: GraphBuilder, x: Double, axis: int, exclusive: bool, reverse: bool) -> Double:
    """Sums of all elements up to each one along an axis, without it if exclusive."""
    size = x.shape[axis]
    if not size:
        return x

    def moved(item: Double, by: int, fill: float) -> Double:
        """Every position as it was ``by`` earlier ones before."""
        by = min(by, size)
        low, high = (0, by) if reverse else (by, 0)
        wide = padded(build, item, axis, low, high, fill)
        return part(build, wide, axis, by if reverse else 0, size)

    if exclusive:
        x = moved(x, 1, 0.0)
    reach = 1
    while reach < size:
        x = add(build, x, moved(x, reach, -0.0))
        reach *= 2
    return x
