"""Which addresses a strided access reaches, by arithmetic that cannot wrap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.isa.expr import Affine, NotAffine, names, split
from wsc.isa.limits import MOST_NUMBER
from wsc.isa.program import Transfer

_FAR = 4 * MOST_NUMBER  # a span that ends the addition: no address that far is any good


@dataclass(frozen=True, slots=True)
class Span:
    """least, greatest: addresses of the first byte or element. some: whether there is a step.

    Each is an integer array that broadcasts with the bases. Beyond ``MOST_NUMBER`` they are
    lower bounds of the magnitude.
    """

    least: np.ndarray
    greatest: np.ndarray
    some: np.ndarray

    def beyond(self, size: int) -> np.ndarray:
        """Where a step touches something outside [0, size)."""
        return self.some & ((self.least < 0) | (self.greatest >= size))

    def meets(self, begin: int, end: int) -> np.ndarray:
        """Where it touches something within [begin, end), or steps over a part of that."""
        return self.some & (self.least < end) & (self.greatest >= begin)

    def joined(self, other: Span) -> Span:
        """From the least of both to the greatest of both."""
        least = np.where(self.some, self.least, other.least)
        greatest = np.where(self.some, self.greatest, other.greatest)
        return Span(
            np.where(other.some, np.minimum(least, other.least), least),
            np.where(other.some, np.maximum(greatest, other.greatest), greatest),
            self.some | other.some,
        )


def spanned(base: Any, dims: Iterable[tuple[Any, Any]]) -> Span:
    """What ``base + sum(index * stride)`` reaches while each index runs below its extent.

    base, and extent and stride of each dimension: integers or integer arrays that broadcast,
    their magnitudes up to ``MOST_NUMBER``. Up to a thousand dimensions then stay within 64 bits.
    """
    least = greatest = np.asarray(base, np.int64)
    some = np.ones((), bool)
    for extent, stride in dims:
        side = _side(np.asarray(extent, np.int64), np.asarray(stride, np.int64))
        least = least + np.minimum(side, 0)
        greatest = greatest + np.maximum(side, 0)
        some = some & (np.asarray(extent) > 0)
    least, greatest, some = np.broadcast_arrays(least, greatest, some)
    return Span(least, greatest, some)


def elements(counts: Iterable[Any]) -> int:
    """The most steps that nested counts (integers, or arrays of them) can give, exactly."""
    return math.prod(max(int(np.max(count, initial=0)), 0) for count in counts)


def _side(extent: np.ndarray, stride: np.ndarray) -> np.ndarray:
    """``(extent - 1) * stride``, or about ``_FAR`` of its sign where it is more than that."""
    pace = np.abs(stride)
    steps = np.minimum(np.maximum(extent - 1, 0), _FAR // np.maximum(pace, 1))
    return np.sign(stride) * steps * pace


def split_offset(transfer: Transfer) -> tuple[Affine, bool]:
    """A transfer's offset as strides, and whether its repetitions differ in more than one.

    If they do, the name of the repetition is left in the static parts, to be evaluated with them.

    Raises:
        wsc.isa.expr.NotAffine: the offset is no sum of names times strides.
    """
    row = () if transfer.lookup is None else (transfer.lookup.row,)
    dims = (*row, *(dim.name for dim in transfer.dims))
    name = transfer.repeat[0] if transfer.repeat else ""
    if not any(name in names(dim.extent) for dim in transfer.dims):
        try:
            affine = split(transfer.offset, frozenset(), (*dims, name))
        except NotAffine:
            pass
        else:
            if all(name not in names(stride) for stride in affine.strides.values()):
                return affine, False
    return split(transfer.offset, frozenset(), dims), True


def show_address(value: int) -> str:
    """An end of a span, for a message."""
    if abs(value) <= MOST_NUMBER:
        return str(value)
    return f"more than {MOST_NUMBER}" if value > 0 else f"less than {-MOST_NUMBER}"
