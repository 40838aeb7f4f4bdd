"""Resize: each dimension by itself, nearest as movement, the rest as contractions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsc.frontend.movement import take
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Expand, Reshape

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

    def positions(self, size: int, out: int, scale: float) -> np.ndarray:
        """Where each output position lies along an input dimension of ``size``."""
        x = np.arange(out, dtype=np.float64)
        match self.coordinates:
            case "half_pixel":
                return (x + 0.5) / scale - 0.5
            case "half_pixel_symmetric":
                offset = size / 2 * (1 - out / (scale * size))
                return offset + (x + 0.5) / scale - 0.5
            case "pytorch_half_pixel":
                return (x + 0.5) / scale - 0.5 if out > 1 else x
            case "align_corners":
                return x * ((size - 1) / (out - 1)) if out > 1 else x
            case "asymmetric":
                return x / scale
            case _:
                require(False, f"coordinates {self.coordinates!r}")
                return x

    def matrix(self, size: int, positions: np.ndarray) -> np.ndarray:
        """[size, out]: the weight of each input element in each output element."""
        low = np.floor(positions)
        taps = (0, 1) if self.mode == "linear" else (-1, 0, 1, 2)
        result = np.zeros((size, positions.size))
        for tap in taps:
            place = low + tap
            distance = np.abs(positions - place)
            weight = 1 - distance if self.mode == "linear" else _cubic(distance, self.cubic)
            if self.exclude_outside:
                weight = np.where((place >= 0) & (place < size), weight, 0)
            rows = np.clip(place, 0, size - 1).astype(int)
            np.add.at(result, (rows, np.arange(positions.size)), weight)
        return result / result.sum(axis=0) if self.exclude_outside else result


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@lowering("Resize", since=10)
def resize(call: Call) -> Value:
    """Nearest, linear and cubic resizing to a constant size."""
    require(not call.integer("antialias", 0), "antialias")
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    require(policy == "stretch", f"keep_aspect_ratio_policy {policy!r}")
    old = call.opset < 11
    sampling = Sampling(
        call.text("mode", "nearest"),
        call.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        call.text("nearest_mode", "floor" if old else "round_prefer_floor"),
        call.number("cubic_coeff_a", -0.75),
        bool(call.integer("exclude_outside", 0)),
    )
    sizes = None if old or not call.has(3) else call.static_ints(3, "sizes")
    scales = None if sizes else call.static(1 if old else 2, "scales").reshape(-1).tolist()
    return _resized(call, sampling, scales, sizes)


@lowering("Upsample", since=9, until=9)
def upsample(call: Call) -> Value:
    """Resize of older models."""
    sampling = Sampling(call.text("mode", "nearest"), "asymmetric", "floor", -0.75, False)
    return _resized(call, sampling, call.static(1, "scales").reshape(-1).tolist(), None)


def _resized(
    call: Call, sampling: Sampling, scales: list[float] | None, sizes: list[int] | None
) -> Value:
    x = call.arg(0)
    axes = [normal_axis(axis, x.rank) for axis in call.integers("axes") or range(x.rank)]
    for number, axis in enumerate(axes):
        size = x.shape[axis]
        out = sizes[number] if sizes else math.floor(size * (scales or [])[number] + 1e-6)
        scale = out / size if sizes else float((scales or [])[number])
        if out == size and scale == 1:
            continue
        positions = sampling.positions(size, out, scale)
        if sampling.mode == "nearest":
            nearest = np.clip(_ROUNDING[sampling.rounding](positions), 0, size - 1)
            x = _nearest(call.build, x, axis, nearest.astype(np.int64))
        else:
            x = _blend(call, x, axis, sampling.matrix(size, positions))
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
    labels = [f"d{i}" for i in range(x.rank)]
    out = [*labels[:axis], "r", *labels[axis + 1 :]]
    weights = call.build.constant(matrix, call.float_type, f"weights{axis}")
    return call.build.contract(
        x, weights, " ".join(labels), f"d{axis} r", " ".join(out), f"axis{axis}"
    )
