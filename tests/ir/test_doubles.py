"""Doubles as pairs of words, against those of NumPy, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wsc.ir import doubles, pairs
from wsc.ir.doubles import Rough
from wsc.ir.fold import map_arrays
from wsc.ir.graph import Type
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term, trace
from wsc.isa.types import DType

_RANDOM = np.random.default_rng(64)


def _drawn(count: int) -> np.ndarray:
    """Doubles of all kinds: of any bits, near one another, near powers of two, integers."""
    bits = _RANDOM.integers(-(2**63), 2**63, count, np.int64).view(np.float64)
    near = 1.0 + _RANDOM.integers(-4, 5, count) * 2.0**-52
    powers = np.ldexp(near, _RANDOM.integers(-1074, 1024, count))
    plain = _RANDOM.normal(size=count) * 10.0 ** _RANDOM.integers(-20, 20, count)
    whole = _RANDOM.integers(-(2**53), 2**53, count).astype(np.float64)
    return np.concatenate([bits, powers, near, plain, whole])


SPECIAL = np.array([
    0.0, 1.0, 1.5, 3.0, 2.0**-1074, 2.0**-1022, 2.0**-1022 - 2.0**-1074, 2.0**1023 * (2 - 2.0**-52),
    np.inf, 16777217.0, 1 + 2.0**-40, 1732900000.123456, 1e300, 2.0**31, 2.0**32, 2.0**53 + 2,
    2.0**63, 2.0**-149, 2.0**-150, 2.0**-126, 3.4028235677973366e38, 0.1, 2147483647.5,
])  # fmt: skip
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, [np.nan]])
ONE = np.concatenate([_drawn(60), np.repeat(SPECIAL, len(SPECIAL))])
OTHER = np.concatenate([_RANDOM.permutation(_drawn(60)), np.tile(SPECIAL, len(SPECIAL))])


def words(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The high and the low words of 64-bit elements."""
    bits = np.ascontiguousarray(array).view(np.uint64)
    high, low = bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)
    return high.astype(np.uint32).view(np.int32), low.astype(np.uint32).view(np.int32)


def mapped(body: Callable[..., Word | Term], *inputs: np.ndarray) -> np.ndarray:
    """What a map gives for columns of words or floats."""
    dtypes = [DType.F32 if array.dtype == np.float32 else DType.I32 for array in inputs]

    def traced(*terms: Term) -> Term:
        result = body(*terms)
        term = result.value if isinstance(result, Word) else result
        assert isinstance(term, Term)
        return term

    op = trace(traced, dtypes)
    if isinstance(op, int):
        return inputs[op]
    last = op.body[-1]
    floats = last.op == "from_bits"
    return map_arrays(op, inputs, Type(DType.F32 if floats else DType.I32, inputs[0].shape))


def pairs_of(body: Callable[..., Pair], *operands: np.ndarray) -> np.ndarray:
    """The 64 bits of what a function of pairs gives for 64-bit elements."""
    inputs = [word for array in operands for word in words(array)]

    def part(name: str) -> np.ndarray:
        return mapped(lambda *terms: getattr(body(*_given(terms)), name), *inputs)

    high, low = part("high").astype(np.int64), part("low").view(np.uint32)
    return (high << 32) | low


def flags_of(body: Callable[..., Word], *operands: np.ndarray) -> np.ndarray:
    """The words that a function of pairs gives."""
    inputs = [word for array in operands for word in words(array)]
    return mapped(lambda *terms: body(*_given(terms)), *inputs)


def _given(terms: tuple[Term, ...]) -> list[Pair]:
    both = zip(terms[::2], terms[1::2], strict=True)
    return [Pair(as_word(high), as_word(low)) for high, low in both]


def _divide(a: Pair, b: Pair) -> Pair:
    one, other = doubles.rough(a), doubles.rough(b)
    rest, divisor = doubles.integer(one.size), doubles.integer(other.size)
    digits: list[Word] = []
    for _ in range(doubles.QUOTIENT_DIGITS):
        digits.append(doubles.quotient_digit(rest, divisor))
        rest = doubles.quotient_rest(rest, divisor, digits[-1])
    head = doubles.quotient_head(one.head, other.head)
    return doubles.rounded(Rough(head, doubles.quotient_size(digits, rest)))


def _root(a: Pair) -> Pair:
    one = doubles.rough(a)
    square = doubles.radicand(one)
    start = doubles.root_start(square)
    rest, root = doubles.root_first_rest(square, start), Pair(start.shr(31), start)
    for _ in range(doubles.ROOT_DIGITS):
        digit = doubles.root_digit(rest, root)
        rest, root = doubles.root_rest(rest, root, digit), doubles.root_next(root, digit)
    return doubles.rounded(Rough(doubles.root_head(one.head), doubles.root_size(root, rest)))


def _same(got: np.ndarray, wanted: np.ndarray) -> None:
    """Equal to the bit; every NaN is the one that is computed."""
    bits = np.where(np.isnan(wanted), 0x7FF8 << 48, wanted.view(np.int64))
    np.testing.assert_array_equal(got, bits)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (lambda a, b: doubles.rounded(doubles.add(a, b)), np.add),
        (lambda a, b: doubles.rounded(doubles.add(a, doubles.negative(b))), np.subtract),
        (
            lambda a, b: doubles.rounded(doubles.multiply(doubles.rough(a), doubles.rough(b))),
            np.multiply,
        ),
        (_divide, np.divide),
    ],
)
def test_arithmetic_is_that_of_ieee_754(body: Callable[..., Pair], wanted: np.ufunc) -> None:
    with np.errstate(all="ignore"):
        _same(pairs_of(body, ONE, OTHER), wanted(ONE, OTHER))


def test_neighbours() -> None:
    """Differences that lose most bits, and quotients near one."""
    a = _drawn(40)
    b = (a.view(np.int64) + _RANDOM.integers(-3, 4, len(a))).view(np.float64)
    with np.errstate(all="ignore"):
        _same(
            pairs_of(lambda x, y: doubles.rounded(doubles.add(x, doubles.negative(y))), a, b), a - b
        )
        _same(pairs_of(_divide, a, b), a / b)


def test_roots() -> None:
    squares = _RANDOM.integers(1, 2**26, 40).astype(np.float64) ** 2
    near = np.concatenate([np.nextafter(squares, 0), squares, np.nextafter(squares, np.inf)])
    a = np.concatenate([_drawn(60), SPECIAL, near])
    with np.errstate(all="ignore"):
        _same(pairs_of(_root, a), np.sqrt(a))


def test_rounding_keeps_every_double() -> None:
    a = np.concatenate([_drawn(20), SPECIAL])
    _same(pairs_of(lambda x: doubles.rounded(doubles.rough(x)), a), a)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (doubles.less, np.less),
        (doubles.at_most, np.less_equal),
        (doubles.equal, np.equal),
    ],
)
def test_order(body: Callable[..., Word], wanted: np.ufunc) -> None:
    one, other = np.concatenate([ONE, ONE]), np.concatenate([OTHER, ONE])
    np.testing.assert_array_equal(flags_of(body, one, other), wanted(one, other))


def test_extremes() -> None:
    _same(pairs_of(doubles.larger, ONE, OTHER) & -1, _signed(np.maximum, ONE, OTHER))
    _same(pairs_of(doubles.smaller, ONE, OTHER), _signed(np.minimum, ONE, OTHER))


def _signed(wanted: np.ufunc, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The extreme, of two zeros that with the sign that belongs to it."""
    zeros = (a == 0) & (b == 0)
    signs = np.signbit(a) & np.signbit(b) if wanted is np.maximum else np.signbit(a) | np.signbit(b)
    return np.where(zeros, np.where(signs, -0.0, 0.0), wanted(a, b))


def test_signs() -> None:
    a = np.concatenate([_drawn(20), SPECIAL])
    np.testing.assert_array_equal(pairs_of(doubles.negative, a), (-a).view(np.int64))
    np.testing.assert_array_equal(pairs_of(doubles.magnitude, a), np.abs(a).view(np.int64))
    _same(pairs_of(doubles.sign, a) & -1, np.where(a == 0, a, np.sign(a)))
    np.testing.assert_array_equal(flags_of(doubles.is_nan, a), np.isnan(a))
    np.testing.assert_array_equal(flags_of(doubles.is_infinite, a), np.isinf(a))


def test_singles() -> None:
    bits = _RANDOM.integers(-(2**31), 2**31, 400).astype(np.int32)
    small = _RANDOM.integers(0, 2**24, 100).astype(np.int32)
    with np.errstate(all="ignore"):
        x = np.concatenate([bits, small]).view(np.float32)
        x = np.concatenate([x, SPECIAL.astype(np.float32)])
        high = mapped(lambda v: doubles.from_f32(v).high, x).astype(np.int64)
        low = mapped(lambda v: doubles.from_f32(v).low, x).view(np.uint32)
        _same((high << 32) | low, x.astype(np.float64))
        a = np.concatenate([_drawn(60), SPECIAL, _between(x)])
        got = mapped(lambda *t: doubles.to_f32(_given(t)[0]), *words(a))
        wanted = a.astype(np.float32)
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(got[numbers].view(np.int32), wanted[numbers].view(np.int32))
    assert np.isnan(got[~numbers]).all()


def _between(x: np.ndarray) -> np.ndarray:
    """Halfway between two singles, and beside that."""
    finite = x[np.isfinite(x)]
    half = (finite.astype(np.float64) + np.nextafter(finite, np.float32(np.inf))) / 2
    return np.concatenate([half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf)])


@pytest.mark.parametrize("signed", [True, False])
def test_integers(signed: bool) -> None:
    dtype = np.int64 if signed else np.uint64
    n = _RANDOM.integers(-(2**63), 2**63, 200, np.int64) >> _RANDOM.integers(0, 64, 200)
    n = np.concatenate([n, [0, 1, -1, 2**53 + 1, 2**53 + 3, 2**63 - 1, -(2**63)]]).view(dtype)
    _same(pairs_of(lambda a: doubles.rounded(doubles.from_integer(a, signed)), n), n.astype(float))
    back = np.concatenate([n.astype(float), n.astype(float) / 3, SPECIAL])
    low, high = (-(2.0**63), 2.0**63) if signed else (0.0, 2.0**64)
    back = back[(back >= low) & (back < high)]
    got = pairs_of(lambda a: doubles.to_integer(a, 64, signed), back)
    np.testing.assert_array_equal(got.view(dtype), back.astype(dtype))


def test_what_no_integer_is() -> None:
    a = np.array([np.inf, -np.inf, np.nan, 1e300, -1e300, 2.0**31, -(2.0**31) - 1, 2.0**31 - 0.5])
    got = pairs_of(lambda x: doubles.to_integer(x, 32, True), a)
    most, least = 2**31 - 1, -(2**31)
    assert got.tolist() == [most, least, 0, most, least, most, least, most]
    got = pairs_of(lambda x: doubles.to_integer(x, 64, True), a[:5])
    assert got.tolist() == [2**63 - 1, -(2**63), 0, 2**63 - 1, -(2**63)]


def test_a_known_double_is_no_instruction() -> None:
    one = pairs.number(int(np.float64(1.5).view(np.int64)))
    a = np.array([2.5, -0.0])
    _same(pairs_of(lambda x: doubles.larger(x, one), a), np.array([2.5, 1.5]))
