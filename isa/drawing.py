"""Weights that are drawn and not stored: any element alone, and on every machine the same.

An element depends on a key, which stands for the seed and the name of the tensor, and on its place
alone. So a stream draws what it needs when it needs it, and nobody holds a tensor. Only operations
that IEEE 754 rounds in one way are used: no machine has its own logarithm here.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from wsc.isa.program import Drawn

# The constants of SplitMix64 (Steele, Lea, Flood 2014): a counter, and a mix of its bits.
STEP = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_STEP, _FIRST, _SECOND = np.uint64(STEP), np.uint64(FIRST), np.uint64(SECOND)
_S16, _S27, _S30, _S31, _S32, _S48 = (np.uint64(n) for n in (16, 27, 30, 31, 32, 48))
_PART = np.uint64(0xFFFF)

# The sum of four numbers below 65536: its middle, and one over its deviation.
MIDDLE = 2.0 * 65535.0
UNIT = 1.0 / math.sqrt((65536.0**2 - 1.0) / 3.0)

LARGEST = 4.0
"""No element is as many deviations from the mean."""

_CHUNK = 1 << 20  # elements that are drawn at once


def drawing_key(seed: int, name: str) -> int:
    """The key of a tensor: 64 bits that its seed and its name give."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little")


def shifted_key(key: int, first: int) -> int:
    """The key of the elements of a tensor from ``first`` on."""
    return (key + first * int(_STEP)) % (1 << 64)


def drawn_value(key: Any, element: Any, mean: Any, deviation: Any) -> Any:
    """The element of a tensor, in double precision; what is stored is that in single precision.

    key, element: integers of 64 bits, or an array of them. The values are nearly normal: sums
    of four uniform ones, so they end before ``LARGEST`` deviations.
    """
    bits = np.uint64(key) + np.uint64(element) * _STEP
    bits = (bits ^ (bits >> _S30)) * _FIRST
    bits = (bits ^ (bits >> _S27)) * _SECOND
    bits = bits ^ (bits >> _S31)
    low = (bits & _PART) + ((bits >> _S16) & _PART)
    high = ((bits >> _S32) & _PART) + (bits >> _S48)
    return mean + deviation * ((np.float64(1) * (low + high) - MIDDLE) * UNIT)


def draw_weight(name: str, how: Drawn, count: int) -> np.ndarray:
    """All elements of a weight that is drawn by its name, flat, in single precision."""
    key = shifted_key(drawing_key(how.seed, name), how.first)
    values = draw(key, 0, count, how.mean, how.deviation)
    return values.reshape(how.shape).transpose(how.order).reshape(-1) if how.order else values


def draw(key: int, start: int, count: int, mean: float, deviation: float) -> np.ndarray:
    """Elements ``start`` to ``start + count`` of a flat tensor, in single precision."""
    result = np.empty(count, np.float32)
    for first in range(0, count, _CHUNK):
        size = min(_CHUNK, count - first)
        places = np.arange(start + first, start + first + size, dtype=np.uint64)
        result[first : first + size] = drawn_value(np.uint64(key), places, mean, deviation)
    return result
