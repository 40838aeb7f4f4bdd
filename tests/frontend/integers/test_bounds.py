"""Ranges of results hold all results, tried exhaustively on small operands."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest

from wsc.frontend.integers import bounds

ENDS = range(-4, 5)
RANGES = [(low, high) for low in ENDS for high in ENDS if low <= high]


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@pytest.mark.parametrize(
    ("ranged", "value"),
    [
        (bounds.of_sum, operator.add),
        (bounds.of_difference, operator.sub),
        (bounds.of_product, operator.mul),
        (bounds.of_quotient, quotient),
        (bounds.of_modulus, operator.mod),
        (bounds.of_remainder, lambda a, b: a - b * quotient(a, b)),
        (bounds.of_smaller, min),
        (bounds.of_larger, max),
        (bounds.of_bits, operator.and_),
        (bounds.of_bits, operator.or_),
        (bounds.of_bits, operator.xor),
        (bounds.of_common_bits, operator.and_),
        (lambda a, _: bounds.of_negation(a), lambda a, _: -a),
        (lambda a, _: bounds.of_magnitude(a), lambda a, _: abs(a)),
    ],
)
def test_all_results_are_inside(
    ranged: Callable[..., tuple[int, int]], value: Callable[[int, int], int]
) -> None:
    divides = value in (quotient, operator.mod) or ranged is bounds.of_remainder
    for a in RANGES:
        for b in RANGES:
            low, high = ranged(a, b)
            for x in range(a[0], a[1] + 1):
                for y in range(b[0], b[1] + 1):
                    if y or not divides:
                        assert low <= value(x, y) <= high, (a, b, x, y)
