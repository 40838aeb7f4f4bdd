"""Doubles of all kinds, and how results are held against them."""

from __future__ import annotations

import numpy as np

RANDOM = np.random.default_rng(64)


def drawn(count: int) -> np.ndarray:
    """Doubles of all kinds: of any bits, near one another, near powers of two, integers."""
    bits = RANDOM.integers(-(2**63), 2**63, count, np.int64).view(np.float64)
    near = 1.0 + RANDOM.integers(-4, 5, count) * 2.0**-52
    powers = np.ldexp(near, RANDOM.integers(-1074, 1024, count))
    plain = RANDOM.normal(size=count) * 10.0 ** RANDOM.integers(-20, 20, count)
    whole = RANDOM.integers(-(2**53), 2**53, count).astype(np.float64)
    return np.concatenate([bits, powers, near, plain, whole])


_POSITIVE = np.array(
    [
        0.0,
        1.0,
        1.5,
        3.0,
        2.0**-1074,
        2.0**-1022,
        2.0**-1022 - 2.0**-1074,
        2.0**1023 * (2 - 2.0**-52),
        np.inf,
        16777217.0,
        1 + 2.0**-40,
        1732900000.123456,
        1e300,
        2.0**31,
        2.0**32,
        2.0**53 + 2,
        2.0**63,
        2.0**-149,
        2.0**-150,
        2.0**-126,
        3.4028235677973366e38,
        0.1,
        2147483647.5,
    ]
)
SPECIAL = np.concatenate([_POSITIVE, -_POSITIVE, [np.nan]])
ONE = np.concatenate([drawn(60), np.repeat(SPECIAL, len(SPECIAL))])
OTHER = np.concatenate([RANDOM.permutation(drawn(60)), np.tile(SPECIAL, len(SPECIAL))])


def words(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The high and the low words of 64-bit elements."""
    bits = np.asarray(array, order="C").view(np.uint64)
    high, low = bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)
    return np.asarray(high).astype(np.uint32).view(np.int32), np.asarray(low).astype(
        np.uint32
    ).view(np.int32)


def same(got: np.ndarray, wanted: np.ndarray) -> None:
    """Equal to the bit; every NaN is the one that is computed."""
    bits = np.where(np.isnan(wanted), 0x7FF8 << 48, wanted.view(np.int64))
    np.testing.assert_array_equal(got.view(np.int64), bits)
