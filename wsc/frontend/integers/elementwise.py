"""Elementwise operators on 64-bit integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from wsc.frontend import wide
from wsc.frontend.integers import bounds
from wsc.frontend.integers.checked import checked, product
from wsc.frontend.integers.operand import (
    Integer,
    Rule,
    all_words,
    assume,
    compute,
    known_within,
    mapped,
    operand_of,
    operands_of,
    ranges_of,
    wrapped,
)
from wsc.frontend.registry import Call, Function, Result, require
from wsc.frontend.types import FLOATS, Kind, ordered
from wsc.frontend.wide import Range, Wide
from wsc.ir import pairs
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import broadcast
from wsc.ir.pairs import Pair, Word, as_word


def elementwise(ranged: Callable[..., Range], body: Callable[..., Pair]) -> Rule:
    """Operators whose operands and result have one type."""

    def rule(call: Call, lower: Function) -> Result:
        build, operands = call.build, operands_of(call)
        signed = operands[0].signed
        interval = wrapped(ranged(*ranges_of(operands)), signed)
        if all_words(operands) and wide.within(interval, wide.narrow(signed)):
            return known_within(interval, call, lower)
        require(call.opset >= 7, "64-bit integers beyond 32 bits before opset 7")
        return compute(build, body, operands, interval, signed)

    return rule


def folded(step: Callable[[Pair, Pair], Pair]) -> Callable[..., Pair]:
    """An operation on two pairs, on any number of them."""
    return lambda *each: reduce(step, each)


def compared(body: Callable[[Pair, Pair, bool], Word]) -> Rule:
    """Operators that give a truth value."""

    def rule(call: Call, lower: Function) -> Result:
        operands = operands_of(call)
        if all_words(operands):
            return lower(call)
        signed = operands[0].signed
        return mapped(call.build, lambda a, b: body(a, b, signed), operands, "flag")

    return rule


def less(a: Pair, b: Pair, signed: bool) -> Word:
    """a < b."""
    return pairs.less(a, b, signed)


def at_most(a: Pair, b: Pair, signed: bool) -> Word:
    """a <= b."""
    return pairs.less(b, a, signed) ^ 1


def sign(call: Call, lower: Function) -> Result:
    """``Sign``."""
    x = operand_of(call, 0)
    if all_words([x]):
        return lower(call)

    def body(a: Pair) -> Word:
        positive = pairs.equal(a, pairs.number(0)) ^ 1
        return a.high.less(0).choose(-1, positive) if x.signed else positive

    return mapped(call.build, body, [x], "sign")


def absolute(call: Call, lower: Function) -> Result:
    """``Abs``."""
    x = operand_of(call, 0)
    if not x.signed:
        return x.item  # unsigned ones are their own magnitudes
    return elementwise(bounds.of_magnitude, pairs.magnitude)(call, lower)


def extremum(call: Call, lower: Function) -> Result:
    """``Max`` and ``Min``: a bound that cannot be met is left out."""
    operands, largest = operands_of(call), call.node.op_type == "Max"
    if all_words(operands):
        return known_within(
            (bounds.of_larger if largest else bounds.of_smaller)(*ranges_of(operands)), call, lower
        )
    return _bounded(call, operands, [largest] * len(operands))


def clip(call: Call, lower: Function) -> Result:
    """``Clip``, as a maximum and a minimum."""
    operands = operands_of(call)
    rows = [index == 1 for index in (1, 2) if call.has(index)]
    if not all_words(operands):
        return _bounded(call, operands, [True, *rows])
    interval = operands[0].range
    for operand, up in zip(operands[1:], rows, strict=True):
        interval = (bounds.of_larger if up else bounds.of_smaller)(interval, operand.range)
    return known_within(interval, call, lower)


def _bounded(call: Call, operands: Sequence[Integer], largest: Sequence[bool]) -> Value | Wide:
    """The first operand, bounded by the others in turn; a bound that cannot be met is left out.

    largest: for each operand whether the larger one is taken.
    """
    build = call.build
    result = operands[0]
    for other, up in zip(operands[1:], largest[1:], strict=True):
        one, two = result.range, other.range
        if (one[0] >= two[1]) if up else (one[1] <= two[0]):
            continue
        if (two[0] >= one[1]) if up else (two[1] <= one[0]):
            result = other
            continue
        interval = (bounds.of_larger if up else bounds.of_smaller)(one, two)
        result = Integer(_bound(build, result, other, interval, up), interval, result.signed)
    shape = broadcast([operand.shape for operand in operands])
    return wide.on_words(result.item, lambda word: build.expand(word, shape))


def _bound(
    build: GraphBuilder, one: Integer, two: Integer, interval: Range, up: bool
) -> Value | Wide:
    signed = one.signed
    if isinstance(one.item, Value) and isinstance(two.item, Value):
        kind = Kind.INT64 if signed else Kind.UINT64
        row = "max" if up else "min"
        result = build.map(
            lambda a, b: ordered(ordered(a, kind).op(row, ordered(b, kind)), kind),
            one.item,
            two.item,
            hint=row,
        )
        assume(build, result, interval)
        return result

    def body(a: Pair, b: Pair) -> Pair:
        return pairs.choose(pairs.less(a, b, signed), *((b, a) if up else (a, b)))

    return compute(build, body, [one, two], interval, signed)


def where(call: Call, lower: Function) -> Result:
    """``Where``."""
    operands = [operand_of(call, 1), operand_of(call, 2)]
    if all_words(operands):
        return lower(call)
    build, flag = call.build, call.arg(0)
    interval = wide.joined(*(operand.range for operand in operands))
    flags = Integer(flag, (0, 1), True)

    def body(chosen: Pair, a: Pair, b: Pair) -> Pair:
        return pairs.choose(chosen.low, a, b)

    return compute(build, body, [flags, *operands], interval, operands[0].signed)


def bitwise_not(call: Call, lower: Function) -> Result:
    """``BitwiseNot``."""

    def ranged(a: Range) -> Range:
        return (~a[1], ~a[0]) if signed else (2**64 - 1 - a[1], 2**64 - 1 - a[0])

    signed = operand_of(call, 0).signed
    return elementwise(ranged, lambda a: pairs.bitwise("xor", a, pairs.number(-1)))(call, lower)


def shift(call: Call, lower: Function) -> Result:
    """``BitShift``."""
    left, signed = call.text("direction", "LEFT") == "LEFT", operand_of(call, 0).signed

    def ranged(a: Range, b: Range) -> Range:
        least, most = max(b[0], 0), min(b[1], 64)
        if least > most:
            return 0, 0
        shifted = [x << n if left else x >> n for x in a for n in (least, most)]
        return wide.joined((min(shifted), max(shifted)), (0, 0))

    def body(a: Pair, b: Pair) -> Pair:
        # As many bits as cannot be: a count of more than 32 bits, or a negative one.
        count = b.high.eq(0).choose(b.low, -1)
        return pairs.shift_left(a, count) if left else pairs.shift_right(a, count, signed)

    return elementwise(ranged, body)(call, lower)


def power(call: Call, lower: Function) -> Result:
    """``Pow``: by a constant exponent by squaring, otherwise checked."""
    build, x, exponent = call.build, operand_of(call, 0), call.maybe_static(1)
    if call.onnx_type(1) in FLOATS:
        return lower(call)
    limits = None
    if exponent is None:
        powers = operand_of(call, 1).range
    else:
        powers = int(exponent.min()), int(exponent.max())
    if powers[1] <= 64:
        most = bounds.of_magnitude(x.range)[1] ** max(powers[1], 0)
        limits = (-most if x.range[0] < 0 else 0), max(most, 1)
    narrow = wide.narrow(x.signed)
    if limits is not None and isinstance(x.item, Value) and wide.within(limits, narrow):
        return known_within(limits, call, lower)
    if exponent is None or exponent.size != 1 or limits is None or powers[0] < 1:
        return checked(product, 0)(call, lower)

    def body(a: Pair) -> Pair:
        return _whole_power(a, powers[0])

    return compute(build, body, [x], wrapped(limits, x.signed), x.signed)


def _whole_power(a: Pair, exponent: int) -> Pair:
    if exponent == 1:
        return a
    half = _whole_power(pairs.multiply(a, a), exponent // 2)
    return pairs.multiply(half, a) if exponent % 2 else half


def divided(name: str) -> Rule:
    """``Div`` and ``Mod``."""

    def rule(call: Call, lower: Function) -> Result:
        rows = {"Div": ("div", bounds.of_quotient), "Mod": ("mod", bounds.of_modulus)}
        row, ranged = rows[name]
        if name == "Mod" and call.flag("fmod", False):
            row, ranged = "rem", bounds.of_remainder
        a, b = operand_of(call, 0), operand_of(call, 1)
        signed = a.signed
        row = row if signed or row == "div" else "rem"
        interval = wrapped(ranged(a.range, b.range), signed)
        if all_words([a, b]) and wide.within(interval, wide.narrow(signed)):
            return known_within(interval, call, lower)
        if all_words([a, b]):
            return _quotient_of_words(call, a, b, interval, lower)
        short = isinstance(b.item, Value)
        b = replace(b, item=wide.divisor(call.build, b.item))

        def body(x: Pair, y: Pair) -> Pair:
            return division(x, y, row, signed, short)

        return compute(call.build, body, [a, b], interval, signed)

    return rule


def _quotient_of_words(
    call: Call, a: Integer, b: Integer, interval: Range, lower: Function
) -> Result:
    """The quotient of words is one, but for -2^31 / -1, whose low word is right too."""
    quotient = lower(call)
    assert isinstance(quotient, Value)
    result = Integer(quotient, interval, True)

    def high(x: Pair, y: Pair, q: Pair) -> Word:
        return ((x.low ^ y.low) | (q.low ^ -1)).less(0).choose(q.high, 0)

    return Wide(mapped(call.build, high, [a, b, result], "high"), quotient, interval, True)


def division(a: Pair, b: Pair, row: str, signed: bool, short: bool = False) -> Pair:
    """A quotient (towards zero), or a remainder with the sign of a (rem) or of b (mod).

    short: whether b is known to be one word.
    """
    divisor = pairs.magnitude(b) if signed else b
    if short:
        divisor = Pair(as_word(0), divisor.low)  # a magnitude of at most 2^31, read as unsigned
    quotient, rest = pairs.divide(pairs.magnitude(a) if signed else a, divisor)
    opposite = (a.high ^ b.high).less(0)
    if not signed:
        return quotient if row == "div" else rest
    if row == "div":
        return pairs.choose(opposite, pairs.negative(quotient), quotient)
    signed_rest = pairs.choose(a.high.less(0), pairs.negative(rest), rest)
    if row == "rem":
        return signed_rest
    other = opposite & (pairs.equal(rest, pairs.number(0)) ^ 1)
    return pairs.choose(other, pairs.add(signed_rest, b), signed_rest)
