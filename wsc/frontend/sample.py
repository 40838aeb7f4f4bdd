"""Sampling at positions that are data: interpolation as gathers of neighbours, each weighted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from wsc.frontend.registry import require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.terms import Term
from wsc.isa.types import DType

# The neighbours of a position, counted from its floor (nearest: from its rounding).
OFFSETS = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}
CUBIC = -0.75


@dataclass(frozen=True, slots=True)
class Tap:
    """One neighbour along one dimension: its index there (i32, always inside) and its weight.

    weight None stands for one.
    """

    index: Value
    weight: Value | None


@dataclass(frozen=True, slots=True)
class Border:
    """What lies around the data along a dimension of ``size``.

    padding: ``zeros``, ``border`` (the last element repeated) or ``reflection``, at the
    centres of the outer elements (``aligned``) or at their outer edges.
    """

    size: int
    padding: str
    aligned: bool = False

    def folded(self, place: Term) -> Term:
        """A position (float) brought near the data; where there are zeros, it stays outside."""
        size = self.size
        if self.padding == "zeros":
            return place.max(-3.0).min(size + 2.0)
        low, reach = (0.0, size - 1.0) if self.aligned else (-0.5, float(size))
        if self.padding == "border":
            # Up to the outer edge a cubic still sees the second element.
            beyond = (place < low) | (place > low + reach)
            return beyond.select(place.max(0.0).min(size - 1.0), place)
        if reach == 0:
            return place * 0
        away = (place - low).abs()
        turns = (away / reach).op("floor")
        rest = away - turns * reach
        odd = turns.op("mod", 2.0).eq(1.0)
        return odd.select(low + reach - rest, low + rest)

    def index(self, place: Term) -> Term:
        """The index (i32) of the element that stands for one at ``place`` (i32)."""
        size = self.size
        if self.padding == "reflection":
            period = 2 * (size - 1) if self.aligned else 2 * size
            if period:
                place = place.op("mod", period)
                place = (place < size).select(
                    place, (period if self.aligned else period - 1) - place
                )
        return place.max(0).min(size - 1)

    def inside(self, place: Term) -> Term:
        """Whether ``place`` (i32) is an element's."""
        return (place >= 0) & (place < self.size)


def _weight(fraction: Term, offset: int, mode: str, cubic: float) -> Term:
    """What the neighbour ``offset`` from the floor counts, ``fraction`` above the floor."""
    if mode == "linear":
        return fraction if offset else 1 - fraction
    d = (fraction - float(offset)).abs()
    if offset in (0, 1):
        return ((cubic + 2) * d - (cubic + 3)) * d * d + 1
    return ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic


def taps(
    build: GraphBuilder, place: Value, border: Border, mode: str, name: str, cubic: float = CUBIC
) -> list[Tap]:
    """The neighbours of positions along one dimension.

    place: f32 positions in elements, of any shape; the taps have that shape.
    """
    require(mode in OFFSETS, f"mode {mode!r}")
    require(border.padding in ("zeros", "border", "reflection"), f"padding {border.padding!r}")
    row = "round" if mode == "nearest" else "floor"
    at = place
    if mode != "nearest" or border.padding != "reflection":
        at = build.map(border.folded, at, hint=f"{name}.at")
    # Positions beyond any integer would not survive the conversion.
    far = float(2**24)
    low = build.map(lambda p: p.max(-far).min(far).op(row).cast(DType.I32), at, hint=f"{name}.low")
    result: list[Tap] = []
    for offset in OFFSETS[mode]:
        index = build.map(lambda i, o=offset: border.index(i + o), low, hint=f"{name}.index")
        result.append(Tap(index, _tap_weight(build, at, low, offset, border, mode, name, cubic)))
    return result


def _tap_weight(
    build: GraphBuilder,
    at: Value,
    low: Value,
    offset: int,
    border: Border,
    mode: str,
    name: str,
    cubic: float,
) -> Value | None:
    zeros = border.padding == "zeros"
    if mode == "nearest":
        if not zeros:
            return None
        return build.map(lambda i: border.inside(i).cast(DType.F32), low, hint=f"{name}.weight")

    def body(p: Term, i: Term) -> Term:
        weight = _weight(p - i.cast(DType.F32), offset, mode, cubic)
        return border.inside(i + offset).select(weight, 0.0) if zeros else weight

    return build.map(body, at, low, hint=f"{name}.weight")


def rows_of(build: GraphBuilder, x: Value) -> Value:
    """Images [N, C, ...] as rows [N * spatial, C], for ``sampled``."""
    space = math.prod(x.shape[2:])
    last = build.transpose(x, (0, *range(2, x.rank), 1), "channels_last")
    return build.reshape(last, (x.shape[0] * space, x.shape[1]), "rows")


def sampled(
    build: GraphBuilder,
    rows: Value,
    sizes: Sequence[int],
    axes: Sequence[Sequence[Tap]],
    base: Value,
    join: Callable[[Term, Term], Term] = lambda a, b: a + b,
) -> Value:
    """Rows at all combinations of the taps of each dimension, weighted and joined.

    rows: [N * spatial, C]. sizes: the spatial sizes. base: i32, the row at which each
    position's image starts; it broadcasts with the taps. Result: [..., C].
    """
    total: Value | None = None
    limit = rows.shape[0] - 1
    for combination in itertools.product(*axes):
        strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]

        def row(first: Term, *indices: Term, strides: Sequence[int] = strides) -> Term:
            for index, stride in zip(indices, strides, strict=True):
                first = first + index * stride
            return first.max(0).min(limit)

        place = build.map(row, base, *(tap.index for tap in combination), hint="row")
        picked = build.gather(rows, place, 0, "pick")
        factors = [tap.weight for tap in combination if tap.weight is not None]
        if factors:
            weight = build.map(_product, *factors, hint="weight")
            weight = build.expand(weight, place.shape)
            wide = build.reshape(weight, (*place.shape, 1), "wide")
            picked = build.map(lambda v, w: v * w.cast(v.dtype), picked, wide, hint="part")
        total = picked if total is None else build.map(join, total, picked, hint="sum")
    assert total is not None
    return total


def _product(*factors: Term) -> Term:
    return reduce(lambda a, b: a * b, factors)


def image_starts(build: GraphBuilder, count: int, space: int, rank: int) -> Value:
    """The first row of each of ``count`` images, along dimension 0 of ``rank``."""
    starts = np.arange(count).reshape(count, *(1,) * (rank - 1)) * space
    return build.constant(starts, DType.I32, "start")
