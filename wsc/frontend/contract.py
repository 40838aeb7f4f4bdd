"""Matrix products and convolutions: each is one contraction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wsc.frontend.registry import LONGEST, Call, lowering, require
from wsc.ir.build import GraphBuilder, Value, plain_index
from wsc.ir.graph import Contract, Index, Pad, Reshape, Slice
from wsc.ir.terms import Term

# --- matrix products ----------------------------------------------------------------


def matmul(
    build: GraphBuilder,
    a: Value,
    b: Value,
    hint: str = "",
    flip_a: bool = False,
    flip_b: bool = False,
) -> Value:
    """NumPy's matmul as one contraction; broadcast batch dimensions are not expanded.

    flip_a, flip_b: the operand's last two dimensions stand transposed.
    """
    matrix_a = ["k"] if a.rank == 1 else ["k", "m"] if flip_a else ["m", "k"]
    matrix_b = ["k"] if b.rank == 1 else ["n", "k"] if flip_b else ["k", "n"]
    batch_a, batch_b = a.shape[: -len(matrix_a)], b.shape[: -len(matrix_b)]
    rank = max(len(batch_a), len(batch_b))
    wide_a = (0,) * (rank - len(batch_a)) + batch_a
    wide_b = (0,) * (rank - len(batch_b)) + batch_b
    labels = [f"b{axis}" for axis in range(rank)]
    spec_a: list[str] = []
    spec_b: list[str] = []
    for label, size_a, size_b in zip(labels, wide_a, wide_b, strict=True):
        # Size 0 says that the operand does not have the dimension at all.
        if size_a:
            spec_a.append("." if size_a == 1 < size_b else label)
        if size_b:
            spec_b.append("." if size_b == 1 and size_a else label)
    out = [*labels, *(["m"] if a.rank > 1 else []), *(["n"] if b.rank > 1 else [])]
    return build.contract(
        a, b, " ".join(spec_a + matrix_a), " ".join(spec_b + matrix_b), " ".join(out), hint
    )


@lowering("MatMul")
def matmul_(call: Call) -> Value:
    """Matrix product, batched as in NumPy."""
    return matmul(call.build, call.arg(0), call.arg(1))


@lowering("FusedMatMul", domain="com.microsoft")
def fused_matmul(call: Call) -> Value:
    """alpha * matmul of operands that may be transposed."""
    require(
        not call.flag("transBatchA", False) and not call.flag("transBatchB", False), "transBatch"
    )
    alpha = call.number("alpha", 1.0)
    flip_a, flip_b = call.flag("transA", False), call.flag("transB", False)
    product = matmul(call.build, call.arg(0), call.arg(1), "", flip_a, flip_b)
    return product if alpha == 1 else call.build.map(lambda x: x * alpha, product, hint="scale")


@lowering("Gemm", quiet=("beta",))
def gemm(call: Call) -> Value:
    """alpha * a' b' + beta * c."""
    call.integer("broadcast", 0)  # before opset 7; c is broadcast either way
    flip_a, flip_b = call.flag("transA", False), call.flag("transB", False)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    product = matmul(call.build, call.arg(0), call.arg(1), "product", flip_a, flip_b)
    bias = call.maybe(2)
    if bias is None:
        return call.build.map(lambda x: x * alpha, product) if alpha != 1 else product

    def scaled(x: Term, factor: float) -> Term:
        return x if factor == 1 else x * factor

    return call.build.map(lambda x, c: scaled(x, alpha) + scaled(c, beta), product, bias)


# --- convolutions -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A window sliding along one spatial dimension: sizes in elements."""

    size: int
    kernel: int
    stride: int
    dilation: int
    low: int
    high: int
    out: int

    def index(self, out: str, inner: str) -> Index:
        """Position of kernel element ``inner`` of window ``out`` in the input."""
        return Index(((out, self.stride), (inner, self.dilation)), -self.low)


def auto_pad(call: Call) -> str:
    """How padding is chosen, NOTSET if the node tells it."""
    auto = call.text("auto_pad", "NOTSET")
    require(auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad {auto!r}")
    return auto


def windows(call: Call, sizes: tuple[int, ...], kernels: tuple[int, ...]) -> list[Window]:
    """The windows that a node's attributes describe, one a spatial dimension."""
    rank = len(sizes)
    strides, dilations = (
        call.integers("strides") or [1] * rank,
        call.integers("dilations") or [1] * rank,
    )
    pads = call.integers("pads") or [0] * (2 * rank)
    auto, ceil = auto_pad(call), call.flag("ceil_mode", False)
    result: list[Window] = []
    for axis, (size, kernel) in enumerate(zip(sizes, kernels, strict=True)):
        stride, dilation = strides[axis], dilations[axis]
        require(stride > 0 and dilation > 0 and kernel > 0, "a stride, dilation or kernel below 1")
        reach = (kernel - 1) * dilation + 1
        low, high = pads[axis], pads[axis + rank]
        if auto == "VALID":
            low = high = 0
        elif auto != "NOTSET":
            total = max(0, (-(-size // stride) - 1) * stride + reach - size)
            low = total // 2 if auto == "SAME_UPPER" else total - total // 2
            high = total - low
        require(low >= 0 and high >= 0, "negative pads")
        span = size + low + high - reach
        require(span >= 0, f"a window of {reach} over {size + low + high} elements")
        out = span // stride + 1
        # A last window that would start in the padding behind the data is left out.
        if ceil and span % stride and out * stride < size + low:
            out += 1
        require(out <= LONGEST, f"{out} windows along a dimension (at most {LONGEST})")
        result.append(Window(size, kernel, stride, dilation, low, high, out))
    return result


def thinned(build: GraphBuilder, x: Value, spatial: list[Window]) -> tuple[Value, list[Window]]:
    """Without the elements that no window reads: stride and dilation may have a common divisor.

    x: [N, C, ...]. Windows then read every g-th element alone, from the first in their phase.
    """
    starts, sizes, steps = [0, 0], list(x.shape[:2]), [1, 1]
    windows_left: list[Window] = []
    for window in spatial:
        step = math.gcd(window.stride, window.dilation) if window.kernel > 1 else 1
        first = -window.low % step
        size = max(-(-(window.size - first) // step), 0)
        if not size:  # all windows stand in the padding
            return x, spatial
        starts, sizes, steps = [*starts, first], [*sizes, size], [*steps, step]
        low = (window.low + first) // step
        windows_left.append(
            Window(
                size,
                window.kernel,
                window.stride // step,
                window.dilation // step,
                low,
                window.high // step,
                window.out,
            )
        )
    read = Slice(tuple(starts), tuple(sizes), tuple(steps))
    return build.move(x, read, hint="thin"), windows_left


def convolve(
    build: GraphBuilder, x: Value, weight: Value, spatial: list[Window], groups: int, hint: str
) -> Value:
    """Grouped convolution: x [N, G*C, ...], weight [G*O, C, ...] -> [N, G*O, ...]."""
    outputs, channels = weight.shape[0] // groups, weight.shape[1]
    require(x.shape[1] == groups * channels, f"{x.shape[1]} channels for {groups} groups")
    x, spatial = thinned(build, x, spatial)
    extents: dict[str, int] = {"n": x.shape[0]}
    split_a: list[tuple[str, int]] = []
    split_b: list[tuple[str, int]] = []
    out = ["n"]
    if groups > 1:
        extents["g"] = groups
        split_a.append(("g", channels))
        split_b.append(("g", outputs))
        out.append("g")
    if groups == 1 or outputs > 1:
        extents["o"] = outputs
        split_b.append(("o", 1))
        out.append("o")
    inner: list[tuple[str, int]] = []
    if groups == 1 or channels > 1:
        extents["c"] = channels
        inner.append(("c", 1))
    index_a = [plain_index("n"), Index((*split_a, *inner))]
    index_b = [Index(tuple(split_b)), Index(tuple(inner))]
    for axis, window in enumerate(spatial):
        extents[f"y{axis}"], extents[f"k{axis}"] = window.out, window.kernel
        index_a.append(window.index(f"y{axis}", f"k{axis}"))
        index_b.append(plain_index(f"k{axis}"))
        out.append(f"y{axis}")
    op = Contract(tuple(index_a), tuple(index_b), tuple(out), tuple(extents.items()))
    result = build.add(op, build.aligned([x, weight]), hint)
    shape = (x.shape[0], groups * outputs, *(window.out for window in spatial))
    return build.reshape(result, shape, "join")


def add_channel_bias(call: Call, x: Value, bias: Value | None) -> Value:
    """x + bias along dimension 1."""
    if bias is None:
        return x
    shape = (bias.shape[0],) + (1,) * (x.rank - 2)
    wide = call.build.reshape(bias, shape)
    return call.build.map(lambda v, b: v + b, x, wide, hint="bias")


@lowering("Conv", quiet=("kernel_shape",))
def conv(call: Call) -> Value:
    """Convolution in any number of dimensions, with groups, strides, dilations and pads."""
    x, weight = call.arg(0), call.arg(1)
    spatial = windows(call, x.shape[2:], weight.shape[2:])
    groups = call.integer("group", 1)
    return add_channel_bias(
        call, convolve(call.build, x, weight, spatial, groups, ""), call.maybe(2)
    )


@lowering("ConvTranspose", quiet=("kernel_shape",))
def conv_transpose(call: Call) -> Value:
    """Transposed convolution: zeros between the inputs, then a plain convolution."""
    x, weight = call.arg(0), call.arg(1)
    rank, groups = x.rank - 2, call.integer("group", 1)
    require(groups > 0 and weight.shape[0] % groups == 0, f"{groups} groups")
    strides = call.integers("strides") or [1] * rank
    dilations = call.integers("dilations") or [1] * rank
    spatial: list[Window] = []
    for axis in range(rank):
        low, out = _transposed_extent(call, axis, x.shape[2 + axis], weight.shape[2 + axis])
        kernel, dilation = weight.shape[2 + axis], dilations[axis]
        size = (x.shape[2 + axis] - 1) * strides[axis] + 1
        reach = (kernel - 1) * dilation
        spatial.append(Window(size, kernel, 1, dilation, reach - low, 0, out))
    apart = spread(call.build, x, strides)
    flipped = _flip_weight(call.build, weight, groups)
    result = convolve(call.build, apart, flipped, spatial, groups, "")
    return add_channel_bias(call, result, call.maybe(2))


def _transposed_extent(call: Call, axis: int, size: int, kernel: int) -> tuple[int, int]:
    """(padding before, output size) of one spatial dimension, as ONNX defines them."""
    rank = len(call.arg(0).shape) - 2
    stride = (call.integers("strides") or [1] * rank)[axis]
    reach = (kernel - 1) * (call.integers("dilations") or [1] * rank)[axis] + 1
    extra = (call.integers("output_padding") or [0] * rank)[axis]
    pads = call.integers("pads") or [0] * (2 * rank)
    auto, shape = auto_pad(call), call.integers("output_shape")
    full = stride * (size - 1) + extra + reach
    if shape is not None:
        out = shape[-rank:][axis]
    elif auto.startswith("SAME"):
        out = size * stride
    else:
        low, high = (0, 0) if auto == "VALID" else (pads[axis], pads[axis + rank])
        return low, full - low - high
    total = full - out
    return (total // 2 if auto == "SAME_UPPER" else total - total // 2), out


def spread(build: GraphBuilder, x: Value, strides: list[int]) -> Value:
    """stride - 1 zeros between neighbours of every spatial dimension."""
    for axis, stride in enumerate(strides, start=2):
        if stride == 1:
            continue
        shape, size = x.shape, x.shape[axis]
        high = [0] * (x.rank + 1)
        high[axis + 1] = stride - 1
        joined = (*shape[:axis], size * stride, *shape[axis + 1 :])
        kept = (*shape[:axis], (size - 1) * stride + 1, *shape[axis + 1 :])
        x = build.move(
            x,
            Reshape((*shape[: axis + 1], 1, *shape[axis + 1 :])),
            Pad((0,) * (x.rank + 1), tuple(high)),
            Reshape(joined),
            Slice((0,) * len(kept), kept, (1,) * len(kept)),
            hint="spread",
        )
    return x


def _flip_weight(build: GraphBuilder, weight: Value, groups: int) -> Value:
    """[G*C, O, ...] -> [G*O, C, ...] with every kernel dimension reversed."""
    rows, outputs, *kernel = weight.shape
    channels, rank = rows // groups, len(kernel)
    split = build.reshape(weight, (groups, channels, outputs, *kernel), "split")
    swapped = build.transpose(split, (0, 2, 1, *range(3, 3 + rank)), "swap")
    shape = (groups * outputs, channels, *kernel)
    starts = (0, 0, *(size - 1 for size in kernel))
    return build.move(
        swapped, Reshape(shape), Slice(starts, shape, (1, 1, *(-1,) * rank)), hint="flip"
    )
