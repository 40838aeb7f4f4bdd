"""64-bit integers that can leave 32 bits: two words, and what is known of their values (ADR 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Type
from wsc.ir.pairs import as_word
from wsc.ir.terms import Term
from wsc.isa.types import DType

Range = tuple[int, int]  # least and largest value, both inside


def narrow(signed: bool) -> Range:
    """The 64-bit integers that one word holds."""
    return (-(2**31), 2**31 - 1) if signed else (0, 2**32 - 1)


def whole(signed: bool) -> Range:
    """All 64-bit integers."""
    return (-(2**63), 2**63 - 1) if signed else (0, 2**64 - 1)


def within(inner: Range, outer: Range) -> bool:
    """Whether a range lies in another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


@dataclass(frozen=True, slots=True)
class Wide:
    """A tensor of 64-bit integers of which some may need more than one word.

    high, low: the words of all elements, of one shape. range: what the integers lie in;
    it leaves that of one word. signed: int64, not uint64.
    """

    high: Value
    low: Value
    range: Range
    signed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The static shape."""
        return self.low.shape

    @property
    def words(self) -> tuple[Value, Value]:
        """Both words, the high one first."""
        return self.high, self.low


def joined(*ranges: Range) -> Range:
    """The least range that holds all of these."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def of_value(build: GraphBuilder, value: Value, signed: bool) -> Range:
    """What the integers of a word lie in."""
    low, high = (int(bound) for bound in build.interval(value))
    return (low, high) if signed or low >= 0 else narrow(signed)


def extended(build: GraphBuilder, item: Value | Wide, signed: bool) -> Wide:
    """Any tensor of 64-bit integers as two words."""
    if isinstance(item, Wide):
        return item
    if signed:
        high = build.map(lambda word: word.op("shr", 31), item, hint="sign")
    else:
        high = build.expand(build.constant(np.zeros(()), DType.I32, "zero"), item.shape, "zeros")
    return Wide(high, item, of_value(build, item, signed), signed)


def alike(build: GraphBuilder, items: Sequence[Value | Wide]) -> list[Wide]:
    """Tensors of one type, one at least of two words, all as two words."""
    signed = next(item.signed for item in items if isinstance(item, Wide))
    return [extended(build, item, signed) for item in items]


def of_words(high: Value, low: Value, interval: Range, signed: bool) -> Value | Wide:
    """A 64-bit integer: one word, if it cannot leave 32 bits."""
    return low if within(interval, narrow(signed)) else Wide(high, low, interval, signed)


def low_words(array: np.ndarray) -> np.ndarray:
    """The low words of 64-bit integers."""
    return np.bitwise_and(array, array.dtype.type(0xFFFFFFFF)).astype(np.uint32).view(np.int32)


def high_words(array: np.ndarray) -> np.ndarray:
    """The high words of 64-bit integers; those of int64 have the sign."""
    top = array >> array.dtype.type(32)
    return low_words(top)


def fits(array: np.ndarray) -> bool:
    """Whether all integers of an array fit one word."""
    if not array.size:
        return True
    return within((int(array.min()), int(array.max())), narrow(array.dtype.kind != "u"))


def of_array(build: GraphBuilder, array: np.ndarray, hint: str) -> Value | Wide:
    """A constant of integers."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or fits(array):
        return build.constant(array, DType.I32, hint)
    high, low = (
        build.constant(words(array), DType.I32, f"{hint}.{part}")
        for part, words in (("high", high_words), ("low", low_words))
    )
    return Wide(high, low, (int(array.min()), int(array.max())), array.dtype.kind == "i")


def constant(build: GraphBuilder, name: str, array: Callable[[], np.ndarray]) -> Wide:
    """A stored tensor of 64-bit integers, some of which need both words."""
    values = array()
    low, high = (
        build.lazy_constant(
            f"{name}.{part}",
            Type(DType.I32, tuple(int(size) for size in values.shape)),
            lambda words=words: words(array()),
        )
        for part, words in (("low", low_words), ("high", high_words))
    )
    interval = int(values.min()), int(values.max())
    return Wide(high, low, interval, values.dtype.kind == "i")


def host(build: GraphBuilder, item: Wide) -> np.ndarray | None:
    """The integers, if they are constants."""
    high, low = (build.host(word) for word in item.words)
    return None if high is None or low is None else of_both(high, low, item.signed)


def of_both(high: np.ndarray, low: np.ndarray, signed: bool) -> np.ndarray:
    """The 64-bit integers of two arrays of words."""
    joined = np.asarray((high.astype(np.int64) << 32) | low.view(np.uint32))
    return joined if signed else joined.view(np.uint64)


def fitted(build: GraphBuilder, item: Wide) -> Value:
    """The integers in one word each; one that does not fit stops the run."""

    def fits(high: Term, low: Term) -> Term:
        top = as_word(low).shr(31) if item.signed else as_word(0)
        return high.eq(top.value)

    value = required(build, item.low, build.map(fits, *item.words, hint="fits"))
    low, high = narrow(item.signed)
    if item.signed or item.range[1] < 2**31:
        build.assume(value, (max(item.range[0], low), min(item.range[1], high)))
    return value


def divisor(build: GraphBuilder, item: Value | Wide) -> Value | Wide:
    """A divisor that is not 0 where the quotient by it does not count."""
    if isinstance(item, Value):
        return build.divisor(item)
    return Wide(item.high, build.divisor(item.low), item.range, item.signed)


def required(build: GraphBuilder, word: Value, flag: Value) -> Value:
    """The word; the run stops where its flag is 0, unless what is added now does not count."""
    flag = build.divisor(flag)
    return build.map(lambda value, fits: value.op("fit", fits), word, flag, hint="fit")


def on_words(item: Value | Wide, change: Callable[[Value], Value]) -> Value | Wide:
    """A tensor changed in a way that only moves elements."""
    if isinstance(item, Value):
        return change(item)
    return Wide(change(item.high), change(item.low), item.range, item.signed)
