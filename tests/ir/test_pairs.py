"""64-bit integers as pairs of words, against the integers of Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.oracle import map_arrays
from wsc.ir import pairs
from wsc.ir.graph import Map
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term, trace
from wsc.isa.types import DType

_SMALL = [0, 1, 2, 255, 1000, 2**16 - 1, 2**16, 2**24 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32]
_LARGE = [2**32 + 1, 2**33 + 257, 2**40 + 1, 2**53 + 1, 2**56 + 2**32 + 1, 2**62 + 1, 2**63 - 1]
_RANDOM = np.random.default_rng(3)
_DRAWN = [int(_RANDOM.integers(2**62)) >> int(_RANDOM.integers(62)) for _ in range(12)]
SIGNED = [s * n for n in (*_SMALL, *_LARGE, *_DRAWN) for s in (1, -1)] + [-(2**63)]
UNSIGNED = [n % 2**64 for n in SIGNED]


def _words(values: list[int]) -> list[np.ndarray]:
    array = np.array([value % 2**64 for value in values], np.uint64)
    return [
        (array >> np.uint64(32)).astype(np.uint32).view(np.int32),
        array.astype(np.uint32).view(np.int32),
    ]


def _run(body: Callable[..., Term], *inputs: np.ndarray) -> np.ndarray:
    """A map over columns of words or floats."""
    dtypes = [DType.F32 if array.dtype == np.float32 else DType.I32 for array in inputs]
    traced = trace(body, dtypes)
    return inputs[traced] if isinstance(traced, int) else map_arrays(traced, list(inputs))


def _term(word: Word) -> Term:
    assert isinstance(word.value, Term)
    return word.value


def _given(words: Sequence[Term]) -> list[Pair]:
    """Pairs of high and low words that stand in turn."""
    both = zip(words[::2], words[1::2], strict=True)
    return [Pair(as_word(high), as_word(low)) for high, low in both]


def _pairs(body: Callable[..., Pair], *operands: list[int]) -> list[int]:
    """The unsigned 64-bit results of a function of pairs."""
    inputs = [word for values in operands for word in _words(values)]

    def part(name: str) -> np.ndarray:
        def traced(*words: Term) -> Term:
            value = getattr(body(*_given(words)), name).value
            return value if isinstance(value, Term) else words[0] * 0 + value

        return _run(traced, *inputs).view(np.uint32).astype(object)

    return list(part("high") * 2**32 + part("low"))


def _flags(body: Callable[[Pair, Pair], Word], a: list[int], b: list[int]) -> list[int]:
    def traced(*words: Term) -> Term:
        one, other = _given(words)
        return _term(body(one, other))

    return _run(traced, *_words(a), *_words(b)).tolist()


def _crossed(values: list[int]) -> tuple[list[int], list[int]]:
    return values, values[7:] + values[:7]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (pairs.add, operator.add),
        (pairs.subtract, operator.sub),
        (pairs.multiply, operator.mul),
        (lambda a, b: pairs.bitwise("xor", a, b), operator.xor),
    ],
)
def test_rings(body: Callable[..., Pair], wanted: Callable[[int, int], int]) -> None:
    a, b = _crossed(SIGNED)
    assert _pairs(body, a, b) == [wanted(x, y) % 2**64 for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("known", [0, 1, -1, 31, 2**31, 2**32, 2**40 + 3, -(2**63)])
def test_known_operands_leave_no_instruction_without_a_term(known: int) -> None:
    for body, wanted in ((pairs.add, operator.add), (pairs.multiply, operator.mul)):
        got = _pairs(lambda a, body=body: body(a, pairs.number(known)), SIGNED)
        assert got == [wanted(x, known) % 2**64 for x in SIGNED]


def test_signs() -> None:
    assert _pairs(pairs.negative, SIGNED) == [-x % 2**64 for x in SIGNED]
    assert _pairs(pairs.magnitude, SIGNED) == [abs(x) for x in SIGNED]


@pytest.mark.parametrize(("signed", "values"), [(True, SIGNED), (False, UNSIGNED)])
def test_order(signed: bool, values: list[int]) -> None:
    a, b = _crossed(values)
    a, b = a + values[:5], b + values[:5]
    both = list(zip(a, b, strict=True))
    assert _flags(lambda x, y: pairs.less(x, y, signed), a, b) == [x < y for x, y in both]
    assert _flags(pairs.equal, a, b) == [x == y for x, y in both]


@pytest.mark.parametrize("bits", [0, 1, 5, 31, 32, 33, 63, 64, 70])
@pytest.mark.parametrize("known", [True, False])
def test_shifts(bits: int, known: bool) -> None:
    count = [bits] * len(SIGNED)

    def by(b: Pair) -> Word:
        return as_word(bits) if known else b.low

    left = _pairs(lambda a, b: pairs.shift_left(a, by(b)), SIGNED, count)
    assert left == [x << bits & (2**64 - 1) for x in SIGNED]
    right = _pairs(lambda a, b: pairs.shift_right(a, by(b), True), SIGNED, count)
    assert right == [(x >> bits) % 2**64 for x in SIGNED]
    plain = _pairs(lambda a, b: pairs.shift_right(a, by(b), False), UNSIGNED, count)
    assert plain == [x >> bits for x in UNSIGNED]


@pytest.mark.parametrize(
    "divisor",
    [
        1,
        3,
        1000,
        65536,
        65537,
        86_400_000,
        2**31,
        2**32 - 1,
        2**32,
        2**32 + 1,
        86_400 * 10**9,
        2**40 - 1,
        2**63,
        2**64 - 1,
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_division(divisor: int, known: bool) -> None:
    divisors = [divisor] * len(UNSIGNED)

    def by(b: Pair) -> Pair:
        return pairs.number(divisor) if known else b

    quotient = _pairs(lambda a, b: pairs.divide(a, by(b))[0], UNSIGNED, divisors)
    assert quotient == [x // divisor for x in UNSIGNED]
    rest = _pairs(lambda a, b: pairs.divide(a, by(b))[1], UNSIGNED, divisors)
    assert rest == [x % divisor for x in UNSIGNED]


def test_division_of_neighbours() -> None:
    a, b = _crossed(UNSIGNED)
    b = [max(x, 1) for x in b]
    assert _pairs(lambda x, y: pairs.divide(x, y)[0], a, b) == [
        x // y for x, y in zip(a, b, strict=True)
    ]


@pytest.mark.parametrize(("signed", "values"), [(True, SIGNED), (False, UNSIGNED)])
def test_to_float_is_rounded_once(signed: bool, values: list[int]) -> None:
    near = [n + d for n in (2**24, 2**25, 2**33 + 2**9, 2**40, 2**57) for d in range(-3, 700, 51)]
    values = [*values, *near]
    high, low = _words(values)
    got = _run(lambda high, low: pairs.to_f32(Pair(as_word(high), as_word(low)), signed), high, low)
    dtype = np.int64 if signed else np.uint64
    assert got.tolist() == np.array(values, dtype).astype(np.float32).tolist()


@pytest.mark.parametrize("signed", [True, False])
def test_from_float_is_exact_and_saturates(signed: bool) -> None:
    values = np.array([*SIGNED[:-1], 0.5, -0.75, 1e30, np.inf], np.float32)
    if signed:
        values = np.append(values, np.array([-1e30, -np.inf, -(2.0**63)], np.float32))

    def part(name: str) -> np.ndarray:
        def body(x: Term) -> Term:
            return _term(getattr(pairs.from_f32(x, signed), name))

        return _run(body, values).view(np.uint32).astype(object)

    low, high = (-(2**63), 2**63 - 1) if signed else (-(2**64), 2**64 - 1)
    wanted = [
        (min(max(int(x), low), high) if np.isfinite(x) else (high if x > 0 else low)) % 2**64
        for x in values.tolist()
    ]
    assert list(part("high") * 2**32 + part("low")) == wanted
    assert isinstance(trace(lambda x: _term(pairs.from_f32(x, signed).low), [DType.F32]), Map)
