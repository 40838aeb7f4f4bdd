"""Doubles as pairs of words, against those of NumPy, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.doubles import ONE, OTHER, RANDOM, SPECIAL, drawn, same, words
from wsc.ir import doubles, pairs
from wsc.ir.fold import map_arrays
from wsc.ir.graph import Type
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term, trace
from wsc.isa.types import DType


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
    same(pairs_of(doubles.larger, ONE, OTHER), _signed(np.maximum, ONE, OTHER))
    same(pairs_of(doubles.smaller, ONE, OTHER), _signed(np.minimum, ONE, OTHER))


def _signed(wanted: np.ufunc, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The extreme, of two zeros that with the sign that belongs to it."""
    zeros = (a == 0) & (b == 0)
    signs = np.signbit(a) & np.signbit(b) if wanted is np.maximum else np.signbit(a) | np.signbit(b)
    return np.where(zeros, np.where(signs, -0.0, 0.0), wanted(a, b))


def test_signs() -> None:
    a = np.concatenate([drawn(20), SPECIAL])
    np.testing.assert_array_equal(pairs_of(doubles.negative, a), (-a).view(np.int64))
    np.testing.assert_array_equal(pairs_of(doubles.magnitude, a), np.abs(a).view(np.int64))
    same(pairs_of(doubles.sign, a), np.where(a == 0, a, np.sign(a)))
    np.testing.assert_array_equal(flags_of(doubles.is_nan, a), np.isnan(a))
    np.testing.assert_array_equal(flags_of(doubles.is_infinite, a), np.isinf(a))


def test_singles() -> None:
    bits = RANDOM.integers(-(2**31), 2**31, 400).astype(np.int32)
    small = RANDOM.integers(0, 2**24, 100).astype(np.int32)
    with np.errstate(all="ignore"):
        x = np.concatenate([bits, small]).view(np.float32)
        x = np.concatenate([x, SPECIAL.astype(np.float32)])
        high = mapped(lambda v: doubles.from_f32(v).high, x).astype(np.int64)
        low = mapped(lambda v: doubles.from_f32(v).low, x).view(np.uint32)
        same((high << 32) | low, x.astype(np.float64))
        a = np.concatenate([drawn(60), SPECIAL, _between(x)])
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
    a = np.concatenate([drawn(60), SPECIAL, RANDOM.integers(-(2**53), 2**53, 60) / 8])
    low, high = (-(2.0**63), 2.0**63) if signed else (0.0, 2.0**64)
    a = a[(a >= low) & (a < high)]
    got = pairs_of(lambda x: doubles.to_integer(x, 64, signed), a)
    dtype = np.int64 if signed else np.uint64
    np.testing.assert_array_equal(got.view(dtype), a.astype(dtype))


def test_what_is_rounded_to_odd_first_can_be_rounded_again() -> None:
    a = RANDOM.normal(size=200) * 2.0 ** RANDOM.integers(-30, 20, 200)
    halves = np.arange(1, 100, 2) * 2.0**-11 + 1
    a = np.concatenate([a, halves, np.nextafter(halves, 0), np.nextafter(halves, 9)])
    odd = mapped(lambda *t: doubles.to_f32(_given(t)[0], odd=True), *words(a))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(odd.astype(np.float16), a.astype(np.float16))


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
    same(pairs_of(lambda x: doubles.larger(x, one), a), np.array([2.5, 1.5]))
