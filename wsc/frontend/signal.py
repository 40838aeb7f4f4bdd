"""Spectra as contractions with constant waves; windows and mel weights as constants."""

from __future__ import annotations

import numpy as np

from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.ir.build import GraphBuilder, Value, plain_index
from wsc.ir.graph import Contract, Index, Pad
from wsc.ir.terms import Term
from wsc.isa.types import DType

LENGTH_LIMIT = 4096  # the waves of a transform are a matrix of its length squared


def waves(length: int, bins: int, parts: int, inverse: bool) -> np.ndarray:
    """[length, parts, bins, 2]: what each part of a sample adds to each part of a bin.

    parts: 1 for real samples, 2 for complex ones. inverse: the other sign, and 1 / length.
    """
    require(length <= LENGTH_LIMIT, f"a transform of {length} samples (at most {LENGTH_LIMIT})")
    turns = np.outer(np.arange(length), np.arange(bins)) % length
    angle = 2 * np.pi * turns / length * (1 if inverse else -1)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.empty((length, 2, bins, 2))
    matrix[:, 0, :, 0], matrix[:, 0, :, 1] = cos, sin
    matrix[:, 1, :, 0], matrix[:, 1, :, 1] = -sin, cos
    return matrix[:, :parts] / (length if inverse else 1)


def _real_waves(length: int) -> np.ndarray:
    """[bins, 2, length, 1]: the real signal of ``length`` from the half of its spectrum."""
    bins = length // 2 + 1
    matrix = waves(length, length, 2, inverse=True)[:bins, :, :, :1]
    twice = np.full(bins, 2.0)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    return matrix * twice[:, None, None, None]


def _fitted(build: GraphBuilder, x: Value, axis: int, size: int) -> Value:
    """x cut, or filled up with zeros, to ``size`` along an axis."""
    kept = min(size, x.shape[axis])
    high = [size - kept if i == axis else 0 for i in range(x.rank)]
    cut = build.slice_axis(x, axis, 0, kept, hint="cut")
    return build.move(cut, Pad((0,) * x.rank, tuple(high)), hint="fit")


@lowering("DFT", since=17, sizes={1: "the length of the signal", 2: "the axis whose size changes"})
def dft(call: Call) -> Value:
    """Discrete Fourier transform along an axis, of real or complex numbers, and its inverse."""
    build, x = call.build, call.arg(0)
    axis = normal_axis(_dft_axis(call), x.rank)
    require(axis < x.rank - 1, "the transform along the dimension of the complex parts")
    inverse, half = call.flag("inverse", False), call.flag("onesided", False)
    size, parts = x.shape[axis], x.shape[-1]
    require(parts in (1, 2), f"{parts} parts of a number")
    length = 2 * (size - 1) if inverse and half else size
    if call.has(1):
        length = int(call.static(1, "the length").reshape(()).item())
    require(length > 0, "a transform of no samples")
    if inverse and half:
        matrix = _real_waves(length)[:, :parts]
    else:
        matrix = waves(length, length // 2 + 1 if half else length, parts, inverse)
    x = _fitted(build, x, axis, matrix.shape[0])
    labels = [f"d{i}" for i in range(x.rank)]
    out = [*labels[:axis], "k", *labels[axis + 1 : -1], "r"]
    weights = build.constant(matrix, x.dtype, "waves")
    spec = f"d{axis} d{x.rank - 1} k r"
    return build.contract(x, weights, " ".join(labels), spec, " ".join(out))


def _dft_axis(call: Call) -> int:
    if call.opset < 20:
        return call.integer("axis", 1)
    return int(call.static(2, "the axis").reshape(()).item()) if call.has(2) else -2


@lowering(
    "STFT",
    since=17,
    sizes={1: "the step, which decides the number of frames", 3: "the length of a frame"},
)
def stft(call: Call) -> Value:
    """Spectra of windows sliding over a signal."""
    build, x = call.build, call.arg(0)
    step = int(call.static(1, "the frame step").reshape(()).item())
    x = build.reshape(x, (*x.shape, 1)) if x.rank == 2 else x
    require(x.rank == 3 and x.shape[2] in (1, 2), f"a signal of shape {x.shape}")
    batch, size, parts = x.shape
    window = call.maybe(2)
    if call.has(3):
        length = int(call.static(3, "the frame length").reshape(()).item())
    else:
        require(window is not None, "neither a window nor a frame length")
        assert window is not None
        length = window.type.size
    require(step > 0 and 0 < length <= size, f"frames of {length} in a signal of {size}")
    half = call.flag("onesided", True)
    require(not half or parts == 1, "half of a complex signal's spectrum")
    frames = (size - length) // step + 1
    bins = length // 2 + 1 if half else length
    weights = build.constant(waves(length, bins, parts, False), x.dtype, "waves")
    if window is not None:
        shaped = build.reshape(window, (length, 1, 1, 1), "window")
        weights = build.map(lambda w, h: w * h, weights, shaped, hint="windowed")
    index_a = (plain_index("b"), Index((("f", step), ("n", 1))), plain_index("c"))
    index_b = tuple(plain_index(label) for label in "nckr")
    sizes = {"b": batch, "f": frames, "n": length, "c": parts, "k": bins, "r": 2}
    op = Contract(index_a, index_b, ("b", "f", "k", "r"), tuple(sizes.items()))
    return build.add(op, build.aligned([x, weights]))


# --- constants ----------------------------------------------------------------------

# Coefficients of the cosines of 0, 1 and 2 turns.
_WINDOWS = {
    "HannWindow": (0.5, -0.5),
    "HammingWindow": (25 / 46, -21 / 46),
    "BlackmanWindow": (0.42, -0.5, 0.08),
}


@lowering(
    "HannWindow", "HammingWindow", "BlackmanWindow", since=17, sizes={0: "the length of the window"}
)
def window_(call: Call) -> Value:
    """A sum of cosines over a constant length."""
    size = int(call.static(0, "the size").reshape(()).item())
    require(size > 0, "a window of no elements")
    period = size if call.flag("periodic", True) else max(size - 1, 1)
    turn = 2 * np.pi * np.arange(size) / period
    terms = enumerate(_WINDOWS[call.node.op_type])
    total = sum((factor * np.cos(turn * count) for count, factor in terms), np.zeros(size))
    return call.build.constant(total, call.float_type, "window")


@lowering(
    "MelWeightMatrix",
    since=17,
    sizes={
        0: "the number of bands, a size of the result",
        1: "the length of the transform, which sizes the result",
    },
)
def mel_weight_matrix(call: Call) -> Value:
    """Triangles over the bins of a spectrum, evenly apart on the mel scale between two edges."""
    build = call.build
    count = int(call.static(0, "the number of bands").reshape(()).item())
    length = int(call.static(1, "the length of the transform").reshape(()).item())
    require(count > 0 and length > 0, "the result has no elements")
    rate, low, high = (build.reshape(call.arg(i), (), "scalar") for i in (2, 3, 4))
    places = build.constant(np.arange(count + 2), DType.F32, "places")

    def edge(place: Term, rate: Term, low: Term, high: Term) -> Term:
        mels = [(f * (1 / 700) + 1).log() for f in (low, high)]
        mel = mels[0] + place * (1 / (count + 2)) * (mels[1] - mels[0])
        hertz = (mel.exp() - 1) * (700 * (length + 1))
        return (hertz / rate.cast(DType.F32)).op("floor").cast(DType.I32)

    edges = build.map_wide(edge, places, rate, low, high, hint="edges")
    shaped = [
        build.reshape(build.slice_axis(edges, 0, start, count, hint="edge"), (1, count))
        for start in range(3)
    ]
    dtype = call.float_type if call.integer("output_datatype", 1) in (1, 10, 11, 16) else DType.I32

    def weight(row: Term, left: Term, centre: Term, right: Term) -> Term:
        def part(a: Term, b: Term) -> Term:
            return a.cast(DType.F32) / b.max(1).cast(DType.F32)

        rising = (row >= left) & (row <= centre)
        up = rising.select(part(row - left, centre - left), 0.0)
        up = left.eq(centre).select(row.eq(centre).cast(DType.F32), up)
        falling = (row >= centre) & (row < right)
        return falling.select(part(right - row, right - centre), up).cast(dtype)

    return build.map(weight, iota(build, length // 2 + 1, 0, 2), *shaped)
