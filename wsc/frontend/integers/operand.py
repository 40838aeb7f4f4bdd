"""Operands that are 64-bit integers, and maps that compute pairs of words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.frontend import wide
from wsc.frontend.registry import Call, Function, Result
from wsc.frontend.types import UNSIGNED, Kind
from wsc.frontend.wide import Range, Wide
from wsc.ir import pairs
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import broadcast
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term
from wsc.isa.types import DType

LONG = frozenset({Kind.INT64, Kind.UINT64})

# What a node becomes, from its call and its ordinary lowering.
Rule = Callable[[Call, Function], Result]


@dataclass(frozen=True, slots=True)
class Integer:
    """An operand: its words, and what is known of its values.

    signed: whether a single word has a sign.
    """

    item: Value | Wide
    range: Range
    signed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The static shape."""
        return self.item.shape


def integer_of(build: GraphBuilder, item: Value | Wide, kind: Kind | None) -> Integer:
    """A tensor of the ONNX type ``kind`` as an operand."""
    if isinstance(item, Wide):
        return Integer(item, item.range, item.signed)
    signed = kind not in UNSIGNED
    return Integer(item, wide.of_value(build, item, signed), signed)


def _tensor(call: Call, index: int) -> Value | Wide:
    """An input that is a tensor; ``Call.arg`` says what is wrong with another."""
    item = call.item(index)
    return item if isinstance(item, Value | Wide) else call.arg(index)


def operand_of(call: Call, index: int) -> Integer:
    """An input of a node as an operand."""
    return integer_of(call.build, _tensor(call, index), call.onnx_type(index))


def operands_of(call: Call) -> list[Integer]:
    """All inputs of a node that are there."""
    return [operand_of(call, i) for i, value in enumerate(call.node.inputs) if value is not None]


def all_words(operands: Sequence[Integer]) -> bool:
    """Whether all operands are words."""
    return all(isinstance(operand.item, Value) for operand in operands)


def ranges_of(operands: Sequence[Integer]) -> list[Range]:
    """The ranges of some operands."""
    return [operand.range for operand in operands]


def mapped(
    build: GraphBuilder, body: Callable[..., Word | Term], operands: Sequence[Integer], hint: str
) -> Value:
    """One word, or float, of each element; ``body`` takes a pair for each operand."""
    shapes = [operand.shape for operand in operands]
    known = [_known(build, operand) for operand in operands]
    shape = broadcast(shapes)
    read = [s for s, number in zip(shapes, known, strict=True) if number is None]
    if not read or broadcast(read) != shape:
        known = [None] * len(operands)
    values: dict[Value, int] = {}
    for operand, number in zip(operands, known, strict=True):
        if number is None:
            for word in _words(operand.item):
                values.setdefault(word, len(values))
    alike: list[int] = []

    def traced(*terms: Term) -> Term:
        given: list[Pair] = []
        for operand, number in zip(operands, known, strict=True):
            if number is not None:
                given.append(pairs.number(number))
                continue
            words = [as_word(terms[values[word]]) for word in _words(operand.item)]
            both = len(words) == 2
            given.append(Pair(*words) if both else pairs.extended(words[0], operand.signed))
        result = body(*given)
        value = result.value if isinstance(result, Word) else result
        if isinstance(value, Term):
            return value
        alike.append(value)
        return terms[0]

    result = build.map(traced, *values, hint=hint)
    if alike:
        result = build.constant(np.array(alike[0]), DType.I32, hint)
    return result if result.shape == shape else build.expand(result, shape, hint)


def _words(item: Value | Wide) -> tuple[Value, ...]:
    return item.words if isinstance(item, Wide) else (item,)


def _known(build: GraphBuilder, operand: Integer) -> int | None:
    """The number that an operand is, if it is one."""
    item = operand.item
    if math.prod(item.shape) != 1:
        return None
    array = wide.host(build, item) if isinstance(item, Wide) else build.host(item)
    if array is None:
        return None
    number = int(array.reshape(()).item())
    return number if operand.signed or isinstance(item, Wide) else number & 0xFFFFFFFF


def compute(
    build: GraphBuilder,
    body: Callable[..., Pair],
    operands: Sequence[Integer],
    interval: Range,
    signed: bool,
) -> Value | Wide:
    """The pairs that ``body`` makes; one word where the result cannot leave 32 bits."""
    low = mapped(build, lambda *each: body(*each).low, operands, "low")
    if wide.within(interval, wide.narrow(signed)):
        assume(build, low, interval)
        return low
    high = mapped(build, lambda *each: body(*each).high, operands, "high")
    return Wide(high, low, interval, signed)


def assume(build: GraphBuilder, word: Value, interval: Range) -> None:
    """Note the range of a word, unless it has unsigned values that are negative words."""
    if interval[1] < 2**31:
        build.assume(word, interval)


def wrapped(interval: Range, signed: bool) -> Range:
    """The range of a result modulo 2^64."""
    every = wide.whole(signed)
    return interval if wide.within(interval, every) else every


def known_within(interval: Range, call: Call, lower: Function) -> Result:
    """The ordinary result, with what is known of its values."""
    result = lower(call)
    if isinstance(result, Value):
        assume(call.build, result, interval)
    return result


def word_of(build: GraphBuilder, operand: Integer, part: str) -> Value:
    """The high or the low words of an operand."""
    if part == "low" and isinstance(operand.item, Value):
        return operand.item
    both = wide.extended(build, operand.item, operand.signed)
    return both.high if part == "high" else both.low
