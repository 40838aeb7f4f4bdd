"""Operators that move 64-bit integers, or look at their shape or at zeros alone."""

from __future__ import annotations

from collections.abc import Sequence

from wsc.frontend import wide
from wsc.frontend.integers.operand import Rule, operand_of, word_of
from wsc.frontend.registry import Call, Function, Item, Result
from wsc.frontend.wide import Range, Wide
from wsc.ir.build import Value


def moved(*data: int) -> Rule:
    """Operators that move elements: each word for itself. data: the inputs that are moved."""

    def rule(call: Call, lower: Function) -> Result:
        there = [i for i in (data or range(len(call))) if call.has(i)]
        items = {i: call.item(i) for i in there}
        if not any(isinstance(item, Wide) for item in items.values()):
            return lower(call)
        operands = {i: operand_of(call, i) for i in there}
        signed = next(iter(operands.values())).signed
        interval = wide.joined((0, 0), *(operand.range for operand in operands.values()))
        parts: list[Sequence[Item | None]] = []
        for part, words in (("high", wide.high_words), ("low", wide.low_words)):
            shown = {i: word_of(call.build, operand, part) for i, operand in operands.items()}
            result = lower(call.showing(shown, words))
            parts.append([result] if isinstance(result, Item) else list(result))
        return [_joined(high, low, interval, signed) for high, low in zip(*parts, strict=True)]

    return rule


def _joined(high: Item | None, low: Item | None, interval: Range, signed: bool) -> Wide:
    assert isinstance(high, Value)
    assert isinstance(low, Value)
    return Wide(high, low, interval, signed)


def seen(call: Call, lower: Function) -> Result:
    """Operators that look at the shape of their input alone."""
    item = call.item(0)
    if not isinstance(item, Wide):
        return lower(call)
    return lower(call.showing({0: item.low}))


def nonzero(call: Call, lower: Function) -> Result:
    """``NonZero``: an integer is not zero if one of its words is not."""
    item = call.item(0)
    if not isinstance(item, Wide):
        return lower(call)
    either = call.build.map(lambda high, low: high | low, *item.words, hint="bits")
    return lower(call.showing({0: either}))
