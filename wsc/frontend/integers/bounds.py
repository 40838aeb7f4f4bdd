"""Ranges of the results of operations on integers, from those of the operands."""

from __future__ import annotations

from wsc.frontend.wide import Range


def of_sum(*ranges: Range) -> Range:
    """Of a sum of any number of operands."""
    return sum(low for low, _ in ranges), sum(high for _, high in ranges)


def of_difference(a: Range, b: Range) -> Range:
    """Of a - b."""
    return a[0] - b[1], a[1] - b[0]


def of_product(a: Range, b: Range) -> Range:
    """Of a * b."""
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def of_negation(a: Range) -> Range:
    """Of -a."""
    return -a[1], -a[0]


def of_magnitude(a: Range) -> Range:
    """Of |a|."""
    most = max(abs(a[0]), abs(a[1]))
    return (0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1]))), most


def of_quotient(a: Range, b: Range) -> Range:
    """Of a / b towards zero, by a divisor that is not 0."""
    if b[0] > 0:
        corners = [abs(x) // y * (1 if x >= 0 else -1) for x in a for y in b]
        return min(corners), max(corners)
    least = max(of_magnitude(b)[0], 1)
    most = of_magnitude(a)[1] // least
    return (0 if a[0] >= 0 and b[0] >= 0 else -most), (0 if a[1] <= 0 <= b[0] else most)


def of_modulus(a: Range, b: Range) -> Range:
    """Of a remainder with the sign of b."""
    if a[0] >= 0 and b[0] > 0 and a[1] < b[0]:
        return a
    return min(b[0] + 1, 0), max(b[1] - 1, 0)


def of_remainder(a: Range, b: Range) -> Range:
    """Of a remainder with the sign of a."""
    most = min(max(of_magnitude(b)[1] - 1, 0), of_magnitude(a)[1])
    return (-most if a[0] < 0 else 0), (most if a[1] > 0 else 0)


def of_smaller(*ranges: Range) -> Range:
    """Of the smallest of the operands."""
    return min(low for low, _ in ranges), min(high for _, high in ranges)


def of_larger(*ranges: Range) -> Range:
    """Of the largest of the operands."""
    return max(low for low, _ in ranges), max(high for _, high in ranges)


def of_bits(*ranges: Range) -> Range:
    """Of any bitwise operation: no more bits than the operands have."""
    bits = max(bound.bit_length() for each in ranges for bound in each)
    return (0 if all(low >= 0 for low, _ in ranges) else -(1 << bits)), (1 << bits) - 1


def of_common_bits(a: Range, b: Range) -> Range:
    """Of a & b."""
    least = [high for low, high in (a, b) if low >= 0]
    return (0, min(least)) if least else of_bits(a, b)
