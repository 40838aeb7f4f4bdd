"""Tensors of doubles as two tensors of words, and maps over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import broadcast
from wsc.ir.graph import Type
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term
from wsc.isa.types import DType


@dataclass(frozen=True, slots=True)
class Double:
    """A tensor of float64: the words of the 64 bits of its elements, of one shape."""

    high: Value
    low: Value

    @property
    def shape(self) -> tuple[int, ...]:
        """The static shape."""
        return self.low.shape

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return self.low.rank

    @property
    def words(self) -> tuple[Value, Value]:
        """Both words, the high one first."""
        return self.high, self.low


Operand = Double | Value


def high_words(array: np.ndarray) -> np.ndarray:
    """The high words of an array of float64."""
    return _words(array, 32)


def low_words(array: np.ndarray) -> np.ndarray:
    """The low words of an array of float64."""
    return _words(array, 0)


def _words(array: np.ndarray, shift: int) -> np.ndarray:
    bits = np.asarray(array, np.float64, order="C").view(np.uint64)
    return np.asarray(bits >> np.uint64(shift)).astype(np.uint32).view(np.int32)


def of_array(build: GraphBuilder, array: np.ndarray, hint: str) -> Double:
    """A constant."""
    high = build.constant(high_words(array), DType.I32, f"{hint}.high")
    return Double(high, build.constant(low_words(array), DType.I32, f"{hint}.low"))


def stored(
    build: GraphBuilder, name: str, shape: tuple[int, ...], load: Callable[[], Any]
) -> Double:
    """A constant whose values ``load`` returns when they are wanted."""
    high, low = (
        build.lazy_constant(
            f"{name}.{part}",
            Type(DType.I32, shape),
            lambda words=words: words(load().reshape(shape)),
        )
        for part, words in (("high", high_words), ("low", low_words))
    )
    return Double(high, low)


def host(build: GraphBuilder, item: Double) -> np.ndarray | None:
    """The numbers, if they are constants."""
    high, low = (build.host(word) for word in item.words)
    if high is None or low is None:
        return None
    bits = np.asarray((high.astype(np.int64) << 32) | low.view(np.uint32))
    return bits.view(np.float64)


def on_words(item: Double, change: Callable[[Value], Value]) -> Double:
    """A tensor changed in a way that only moves elements."""
    return Double(change(item.high), change(item.low))


def mapped(
    build: GraphBuilder, body: Callable[..., Word | Term], *operands: Operand, hint: str
) -> Value:
    """One word, or float, of each element.

    ``body`` takes a pair for each tensor of doubles, and for each value a word or a float.
    """
    shape = broadcast([operand.shape for operand in operands])
    values: list[Value] = []
    for operand in operands:
        values += operand.words if isinstance(operand, Double) else (operand,)
    known: list[int] = []

    def traced(*terms: Term) -> Term:
        rest = list(terms)
        given: list[Pair | Word | Term] = []
        for operand in operands:
            term = rest.pop(0)
            if isinstance(operand, Double):
                given.append(Pair(as_word(term), as_word(rest.pop(0))))
            else:
                given.append(term if term.dtype.is_float else as_word(term))
        result = body(*given)
        value = result.value if isinstance(result, Word) else result
        if isinstance(value, Term):
            return value
        known.append(value)
        return terms[0]

    result = build.map(traced, *values, hint=hint)
    if known:
        result = build.constant(np.array(known[0]), DType.I32, hint)
    return result if result.shape == shape else build.expand(result, shape, hint)


def paired(
    build: GraphBuilder, body: Callable[..., Pair], *operands: Operand, hint: str = ""
) -> Double:
    """The doubles whose words ``body`` makes."""
    prefix = f"{hint}." if hint else ""
    high = mapped(build, lambda *each: body(*each).high, *operands, hint=f"{prefix}high")
    return Double(
        high, mapped(build, lambda *each: body(*each).low, *operands, hint=f"{prefix}low")
    )
