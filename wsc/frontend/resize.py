"""Resize: each dimension by itself, nearest as movement, the rest as contractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from wsc.frontend.movement import take
from wsc.frontend.reduce import iota
from wsc.frontend.registry import LONGEST, Call, lowering, normal_axis, require
from wsc.frontend.sample import OFFSETS, Border, taps
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Expand, Reduction, Reshape
from wsc.ir.terms import Term
from wsc.isa.types import DType

_ROUNDING = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How positions of the output are looked up in the input (ONNX's attributes)."""

    mode: str
    coordinates: str
    rounding: str
    cubic: float
    exclude_outside: bool
    antialias: bool = False

    def positions(self, size: int, out: int, scale: float) -> np.ndarray:
        """Where each output position lies along an input dimension of ``size``.

        With a scale the width of the output need not be whole; ``out`` is then its floor.
        """
        x = np.arange(out, dtype=np.float64)
        width = out if abs(scale * size - out) < 1e-6 else scale * size
        match self.coordinates:
            case "half_pixel":
                return (x + 0.5) / scale - 0.5
            case "half_pixel_symmetric":
                offset = size / 2 * (1 - out / (scale * size))
                return offset + (x + 0.5) / scale - 0.5
            case "pytorch_half_pixel":
                return (x + 0.5) / scale - 0.5 if out > 1 else x
            case "align_corners":
                return x * ((size - 1) / (width - 1)) if width != 1 else x * 0
            case "asymmetric":
                return x / scale
            case _:
                require(False, f"coordinates {self.coordinates!r}")
                return x

    def matrix(self, size: int, positions: np.ndarray, scale: float) -> np.ndarray:
        """[size, out]: the weight of each input element in each output element."""
        low = np.floor(positions)
        # An antialiasing filter is the same one, wider by the factor of the shrinking.
        narrow = min(scale, 1.0) if self.antialias else 1.0
        first = math.floor((-1 if self.mode == "linear" else -2) / narrow) + 1
        result = np.zeros((size, positions.size))
        for tap in range(first, 2 - first):
            place = low + tap
            distance = np.abs(positions - place) * narrow
            near = np.maximum(1 - distance, 0)
            weight = near if self.mode == "linear" else _cubic(distance, self.cubic)
            if self.exclude_outside:
                weight = np.where((place >= 0) & (place < size), weight, 0)
            rows = np.clip(place, 0, size - 1).astype(int)
            np.add.at(result, (rows, np.arange(positions.size)), weight)
        return result / result.sum(axis=0) if self.exclude_outside or self.antialias else result


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@lowering(
    "Resize",
    since=10,
    quiet=(
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "nearest_mode",
    ),
    sizes={2: "the scales of the sizes", 3: "the sizes of the result"},
)
def resize(call: Call) -> Value:
    """Nearest, linear and cubic resizing to a constant size, of the whole or of a region."""
    old = call.opset < 11
    sampling = Sampling(
        call.text("mode", "nearest"),
        call.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        call.text("nearest_mode", "floor" if old else "round_prefer_floor"),
        call.number("cubic_coeff_a", -0.75),
        call.flag("exclude_outside", False),
        call.flag("antialias", False),
    )
    require(sampling.mode in OFFSETS, f"mode {sampling.mode!r}")
    require(sampling.rounding in _ROUNDING, f"nearest_mode {sampling.rounding!r}")
    require(sampling.mode != "nearest" or not sampling.antialias, "antialias of nearest elements")
    sizes = None if old or not call.has(3) else call.static_ints(3, "sizes")
    if sizes and call.has(2):
        given = call.static(2, "scales").size
        require(given == 0, f"{given} scales beside {len(sizes)} sizes")
    scales = None if sizes else call.static(1 if old else 2, "scales").reshape(-1).tolist()
    return _resized(call, sampling, scales, sizes)


@lowering("Upsample", since=7, until=9, sizes={1: "the scales of the sizes"})
def upsample(call: Call) -> Value:
    """Resize of older models."""
    sampling = Sampling(call.text("mode", "nearest"), "asymmetric", "floor", -0.75, False)
    scales = call.numbers("scales") if call.opset < 9 else None
    if scales is None:
        scales = call.static(1, "scales").reshape(-1).tolist()
    return _resized(call, sampling, scales, None)


@dataclass(frozen=True, slots=True)
class Target:
    """An axis, its size afterwards, and the scale, which times the size need not be whole."""

    axis: int
    out: int
    scale: float


def _targets(call: Call, scales: list[float] | None, sizes: list[int] | None) -> list[Target]:
    shape = call.arg(0).shape
    axes = [normal_axis(axis, len(shape)) for axis in call.integers("axes") or range(len(shape))]
    given = sizes if sizes is not None else scales or []
    require(len(given) == len(axes), f"{len(given)} sizes or scales for {len(axes)} axes")
    if sizes is None:
        result = [
            Target(axis, math.floor(shape[axis] * scale + 1e-6), float(scale))
            for axis, scale in zip(axes, scales or [], strict=True)
        ]
    else:
        result = [
            Target(axis, size, size / shape[axis]) for axis, size in zip(axes, sizes, strict=True)
        ]
        policy = call.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            require(policy in ("not_larger", "not_smaller"), f"keep_aspect_ratio_policy {policy!r}")
            pick = min if policy == "not_larger" else max
            scale = pick(target.scale for target in result)
            result = [Target(axis, int(scale * shape[axis] + 0.5), scale) for axis in axes]
    require(all(target.out > 0 for target in result), "the result has no elements")
    longest = max((target.out for target in result), default=1)
    require(longest <= LONGEST, f"a dimension of {longest} (at most {LONGEST})")
    return result


def _resized(
    call: Call, sampling: Sampling, scales: list[float] | None, sizes: list[int] | None
) -> Value:
    x, targets = call.arg(0), _targets(call, scales, sizes)
    if sampling.coordinates == "tf_crop_and_resize":
        return cropped(call, sampling, targets)
    call.has(1)  # a region is of no effect otherwise
    for axis, out, scale in ((target.axis, target.out, target.scale) for target in targets):
        size = x.shape[axis]
        if out == size and scale == 1:
            continue
        positions = sampling.positions(size, out, scale)
        if sampling.mode == "nearest":
            nearest = np.clip(_ROUNDING[sampling.rounding](positions), 0, size - 1)
            x = _nearest(call.build, x, axis, nearest.astype(np.int64))
        else:
            x = _blend(call, x, axis, sampling.matrix(size, positions, scale))
    return x


def _nearest(build: GraphBuilder, x: Value, axis: int, places: np.ndarray) -> Value:
    """Positions of an axis; where each is repeated as often, nothing is looked up."""
    size = x.shape[axis]
    repeat, rest = divmod(places.size, size)
    if rest or not np.array_equal(places, np.repeat(np.arange(size), repeat)):
        return take(build, x, places, places.shape, axis)
    head, tail = x.shape[:axis], x.shape[axis + 1 :]
    return build.move(
        x,
        Reshape((*head, size, 1, *tail)),
        Expand((*head, size, repeat, *tail)),
        Reshape((*head, size * repeat, *tail)),
    )


def _blend(call: Call, x: Value, axis: int, matrix: np.ndarray) -> Value:
    weights = call.build.constant(matrix, call.float_type, f"weights{axis}")
    return _along(call.build, x, axis, weights)


def _along(build: GraphBuilder, x: Value, axis: int, weights: Value) -> Value:
    """x with one axis multiplied by weights [size, out]."""
    labels = [f"d{i}" for i in range(x.rank)]
    out = [*labels[:axis], "r", *labels[axis + 1 :]]
    return build.contract(x, weights, " ".join(labels), f"d{axis} r", " ".join(out), f"axis{axis}")


# --- regions --------------------------------------------------------------------------

_ROWS: dict[str, Callable[[Term], Term]] = {
    "round_prefer_floor": lambda p: (p - 0.5).op("ceil"),
    "round_prefer_ceil": lambda p: (p + 0.5).op("floor"),
    "floor": lambda p: p.op("floor"),
    "ceil": lambda p: p.op("ceil"),
}


def cropped(call: Call, sampling: Sampling, targets: list[Target]) -> Value:
    """tf_crop_and_resize: a region that may be data; what lies beyond the image has one value."""
    build, x, beyond = call.build, call.arg(0), call.number("extrapolation_value", 0.0)
    region = call.arg(1)
    require(region.type.size == 2 * len(targets), f"a region of {region.type.size} numbers")
    outside: list[Value] = []
    for number, target in enumerate(targets):
        size, out = x.shape[target.axis], target.out
        ends = [
            build.reshape(build.slice_axis(region, 0, start, 1, hint="end"), ())
            for start in (number, number + len(targets))
        ]
        steps = np.arange(out) / (out - 1) if out > 1 else np.array([0.5])
        place = build.map_wide(
            lambda a, b, t, n=size - 1: a * n + (b - a) * t * n,
            *ends,
            build.constant(steps, DType.F32, "steps"),
            hint=f"place{target.axis}",
            keep=True,
        )
        line = tuple(out if axis == target.axis else 1 for axis in range(x.rank))
        flags = build.map(
            lambda p, n=size: (p < 0.0) | (p > n - 1.0), place, hint=f"outside{target.axis}"
        )
        outside.append(build.reshape(flags, line))
        x = _along(build, x, target.axis, _run_weights(build, place, size, sampling, x.dtype))
    far = build.map(lambda *flags: reduce(lambda a, b: a | b, flags), *outside, hint="outside")
    return build.map(lambda v, f: f.select(beyond, v), x, far)


def _run_weights(
    build: GraphBuilder, place: Value, size: int, sampling: Sampling, dtype: DType
) -> Value:
    """[size, out]: the weight of each element at each position, from its neighbours' weights."""
    if sampling.mode == "nearest":
        place = build.map(_ROWS[sampling.rounding], place, hint="nearest")
    padding = "zeros" if sampling.exclude_outside else "border"
    found = taps(build, place, Border(size, padding), sampling.mode, "tap", sampling.cubic)
    given = [value for tap in found for value in (tap.index, tap.weight) if value is not None]

    def body(n: Term, *terms: Term) -> Term:
        pairs = list(terms)
        total: Term | None = None
        for tap in found:
            hit = pairs.pop(0).eq(n)
            part = hit.cast(DType.F32) if tap.weight is None else hit.select(pairs.pop(0), 0.0)
            total = part if total is None else total + part
        assert total is not None
        return total.cast(dtype)

    weights = build.map(body, iota(build, size, 0, 2), *given, hint="weights")
    if not sampling.exclude_outside:
        return weights
    total = build.reduce(Reduction.SUM, weights, [0], True, "total")
    return build.map(lambda w, t: w / t, weights, total, hint="normal")
