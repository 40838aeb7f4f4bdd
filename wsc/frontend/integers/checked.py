"""Operators on single words whose run ends where a result could need more than 32 bits.

The same is computed of the magnitudes in f32. That is within a known part of the largest that
any sum of them can be, so what it finds to be small enough has not overflowed. It may stop at
magnitudes from 2^31 - 2^21 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from wsc.frontend import wide
from wsc.frontend.integers import bounds
from wsc.frontend.integers.operand import Integer, Rule, all_words, operand_of
from wsc.frontend.registry import Call, Function, Result
from wsc.frontend.types import Kind, from_word
from wsc.frontend.wide import Wide
from wsc.ir.build import Value
from wsc.isa.types import DType

FEW = 1 << 12  # operations whose roundings together are below 2^-11


def sum_of_products(operands: Sequence[Integer]) -> int:
    """As much as any sum of products of one element of each operand."""
    counts = (max(math.prod(operand.shape), 1) for operand in operands)
    return math.prod(_sizes(operands)) * math.prod(counts)


def product(operands: Sequence[Integer]) -> int:
    """As much as any product of some of the elements."""
    counts = (min(math.prod(operand.shape), 32) for operand in operands)
    pairs = zip(_sizes(operands), counts, strict=True)
    return math.prod(size**count for size, count in pairs)


def _sizes(operands: Sequence[Integer]) -> list[int]:
    return [max(bounds.of_magnitude(operand.range)[1], 1) for operand in operands]


def checked(most: Callable[[Sequence[Integer]], int], *data: int) -> Rule:
    """The ordinary lowering, with a check of what it gives.

    most: the largest magnitude that the operands can give. data: the inputs; all, if none.
    """

    def rule(call: Call, lower: Function) -> Result:
        there = [i for i in (data or range(len(call))) if call.has(i)]
        operands = {i: operand_of(call, i) for i in there}
        signed = operands[there[0]].signed
        build, kind = call.build, Kind.INT64 if signed else Kind.UINT64
        if all_words(list(operands.values())) and most(list(operands.values())) < 2**31:
            return lower(call)
        words: dict[int, Value] = {}
        sizes: dict[int, Value] = {}
        for i, operand in operands.items():
            item = operand.item
            word = wide.fitted(build, item) if isinstance(item, Wide) else item
            words[i] = word
            sizes[i] = build.map(lambda v: from_word(v, kind).abs(), word, hint=f"size{i}")
        result = lower(call.showing(words))
        size = lower(call.showing(sizes))
        assert isinstance(result, Value)
        assert isinstance(size, Value)
        count = sum(math.prod(operand.shape) for operand in operands.values())
        limit = 2.0**31 if signed else 2.0**32
        limit = limit * (1 - 2.0**-10) if count <= FEW else limit / 2

        flag = build.map(lambda largest: largest.cast(DType.F32) < limit, size, hint="fits")
        return wide.required(build, result, flag)

    return rule
