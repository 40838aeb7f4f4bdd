"""Every kernel over odd shapes and fabrics, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

import wsc
from tests.fabric import build, compare
from tests.frontend.cases import floats, ints, model_of, node
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Transfer
from wsc.isa.types import DType
from wsc.kernels.contract import fastest_row

FABRICS = ("1x1", "4x3", "1x5", "6x1", "7x7")


def case(op, feeds, constants=None, outputs=("y0",), **attributes):  # type: ignore[no-untyped-def]
    constants = constants or {}
    count = len(feeds) + len(constants)
    return model_of([node(op, count, len(outputs), **attributes)], feeds, constants, outputs)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (16, 24, 40), (2, 33, 1), (1, 50, 9)])
def test_streamed_matmul(shape: tuple[int, int, int], fabric: str) -> None:
    m, k, n = shape
    feeds, weights = {"x0": floats(m, k)}, {"x1": floats(k, n)}
    compare(case("MatMul", feeds, weights), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 7), (7, 3)),
        ((3, 5, 8), (3, 8, 6)),
        ((2, 3, 4, 5), (5, 7)),
        ((1, 64), (64, 12)),
        ((3, 16, 32), (3, 32, 16)),
    ],
)
def test_resident_matmul(shapes, fabric: str) -> None:  # type: ignore[no-untyped-def]
    feeds = {"x0": floats(*shapes[0]), "x1": floats(*shapes[1])}
    compare(case("MatMul", feeds), feeds, fabric)


CONVOLUTIONS = [
    ((1, 3, 9, 10), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 4, 8, 8), (6, 4, 1, 1), {"strides": [2, 2]}),
    ((1, 6, 11, 7), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 4, 12, 6), (8, 2, 3, 2), {"group": 2, "dilations": [2, 1], "pads": [0, 1, 2, 0]}),
    ((1, 5, 20), (7, 5, 3), {"pads": [1, 1], "strides": [2]}),
]


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("shape", "weights", "attributes"), CONVOLUTIONS)
def test_convolution(shape, weights, attributes, fabric: str) -> None:  # type: ignore[no-untyped-def]
    feeds = {"x0": floats(*shape)}
    constants = {"x1": floats(*weights), "x2": floats(weights[0])}
    compare(case("Conv", feeds, constants, **attributes), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling(op: str, fabric: str) -> None:
    feeds = {"x0": floats(1, 5, 11, 9)}
    model = case(op, feeds, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    compare(model, feeds, fabric)


# Windows as wide as their step: a layout in blocks without halo, whose last tile has more room
# than elements, and a window that reads there.
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("kernel", "size"), [(2, 5), (2, 7), (3, 10), (4, 9)])
def test_windows_beyond_the_end(kernel: int, size: int, fabric: str) -> None:
    feeds = {"x0": floats(1, 3, size, 6, low=-3.0, high=-1.0)}
    shape: dict[str, Any] = {"kernel_shape": [kernel, 3], "strides": [kernel, 1]}
    around: dict[str, Any] = {"pads": [0, 0, kernel - 1, 0]}
    compare(case("MaxPool", feeds, **shape, **around), feeds, fabric)
    compare(case("MaxPool", feeds, **shape, ceil_mode=1), feeds, fabric)
    weights = {"x1": floats(4, 3, kernel, 3)}
    compare(case("Conv", feeds, weights, **shape, **around), feeds, fabric)
    before = [  # what they leave in memory is no neutral element
        helper.make_node("Exp", ["x0"], ["e"]),
        helper.make_node("Mul", ["e", "x0"], ["m"]),
        helper.make_node("Conv", ["m", "x1"], ["y0"], **shape, **around),
    ]
    compare(model_of(before, feeds, weights, ["y0"]), feeds, fabric)


# The layout that a grouped convolution wants of its weights has larger blocks than a reduction's.
@pytest.mark.parametrize("fabric", [*FABRICS, "5x3", "3x5"])
@pytest.mark.parametrize(
    "op", ["GlobalAveragePool", "GlobalMaxPool", "ReduceSum", "Softmax", "Exp"]
)
def test_a_reduction_of_what_windows_read(op: str, fabric: str) -> None:
    feeds = {"x0": floats(1, 4, 5, 5), "x1": floats(8, 1, 3, 3)}
    conv = helper.make_node(
        "Conv", ["x0", "x1"], ["y0"], group=4, pads=[1, 0, 1, 0], strides=[2, 2]
    )
    reads = [
        helper.make_node("Tanh", ["x1"], ["e"]),
        *[helper.make_node(op, [name], [out]) for name, out in (("x1", "y1"), ("e", "y2"))],
    ]
    for nodes in ([conv, *reads], [*reads, conv]):
        compare(model_of(nodes, feeds, {}, ["y0", "y1", "y2"]), feeds, fabric)


# Windows that leave the last rows unread: their layout does not hold these, which others want.
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_windows_that_leave_a_rest(op: str, fabric: str) -> None:
    feeds = {"x0": floats(1, 2, 5, 5), "x1": floats(4, 3)}
    for source in ("x0", "tanh", "joined"):  # from the edge, from its home, from a movement
        before = [
            helper.make_node("Tanh", ["x0"], ["tanh"]),
            helper.make_node("Concat", ["x0", "tanh"], ["joined"], axis=1),
        ]
        nodes = [
            helper.make_node("Exp", ["x1"], ["y0"]),
            helper.make_node(op, [source], ["y1"], kernel_shape=[2, 3], strides=[2, 2]),
            helper.make_node("Transpose", [source], ["y2"], perm=[3, 2, 1, 0]),
        ]
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
            listed = [*before, *(nodes[i] for i in order)]
            compare(model_of(listed, feeds, {}, ["y0", "y1", "y2"]), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"])
@pytest.mark.parametrize("axes", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_reduction(op: str, axes: list[int], fabric: str) -> None:
    # A product of many values far from one is a subnormal number, whose last bits are few.
    low, high = (0.8, 1.25) if op == "ReduceProd" else (-2.0, 2.0)
    feeds = {"x0": floats(4, 9, 7, low=low, high=high)}
    if op == "ReduceSum":
        model = case(op, feeds, {"x1": np.array(axes, np.int64)}, keepdims=0)
    else:
        model = case(op, feeds, axes=axes, keepdims=1)
    compare(model, feeds, fabric)


MOVES = [
    ("Transpose", (4, 9, 7), {}, {"perm": [2, 0, 1]}),
    ("Reshape", (4, 9, 8), {"x1": np.array([6, 48])}, {}),
    ("Reshape", (6, 384), {"x1": np.array([6, 12, 32])}, {}),
    (
        "Slice",
        (9, 14),
        {
            "x1": np.array([1, 12]),
            "x2": np.array([8, 0]),
            "x3": np.array([0, 1]),
            "x4": np.array([3, -2]),
        },
        {},
    ),
    ("Expand", (1, 7), {"x1": np.array([3, 5, 7])}, {}),
    ("Tile", (3, 4), {"x1": np.array([2, 3])}, {}),
    ("Pad", (5, 6), {"x1": np.array([1, 2, 0, 3]), "x2": np.float32(2.5)}, {}),
    ("Pad", (1, 12), {"x1": np.array([0, 3, 0, 4])}, {"mode": "reflect"}),
    ("Flatten", (3, 4, 5), {}, {"axis": 1}),
]


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("op", "shape", "constants", "attributes"), MOVES)
def test_movement(op, shape, constants, attributes, fabric: str) -> None:  # type: ignore[no-untyped-def]
    feeds = {"x0": floats(*shape)}
    compare(case(op, feeds, constants, **attributes), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(axis: int, fabric: str) -> None:
    shapes = [[3, 5, 4] for _ in range(3)]
    for number, shape in enumerate(shapes):
        shape[axis] += number
    feeds = {f"x{i}": floats(*shape) for i, shape in enumerate(shapes)}
    compare(case("Concat", feeds, axis=axis), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("axis", [0, 1])
def test_gather_on_fabric(axis: int, fabric: str) -> None:
    feeds = {"x0": floats(6, 10), "x1": ints(2, 4, low=-6, high=6)}
    compare(case("Gather", feeds, axis=axis), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("shape", [(3, 11), (3, 6, 6)])
def test_lookup_in_the_weight_store(shape: tuple[int, ...], fabric: str) -> None:
    feeds = {"x0": ints(*shape, low=-90, high=90)}
    table = numpy_helper.from_array(floats(100, 17), "table")
    model = model_of(
        [helper.make_node("Gather", ["table", "x0"], ["y0"], name="/embed")], feeds, {}, ["y0"]
    )
    model.graph.initializer.append(table)
    compare(model, feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("shape", [(11,), (3, 11), (11, 3), (5, 6, 2)])
def test_a_lookup_of_some_rows_at_a_time(
    shape: tuple[int, ...], made: bool, fabric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row numbers that take more of a tile than they may; made: on the fabric, some negative."""
    monkeypatch.setattr("wsc.passes.place.SHARE_OF_NUMBERS", 4e-4)  # four or five of them
    feeds = {"x0": ints(*shape, low=0, high=90)}
    table = numpy_helper.from_array(floats(100, 17), "table")
    nodes = [helper.make_node("Gather", ["table", "x1" if made else "x0"], ["y0"], name="/embed")]
    if made:
        nodes.insert(0, helper.make_node("Neg", ["x0"], ["x1"]))
    model = model_of(nodes, feeds, {}, ["y0"])
    model.graph.initializer.append(table)
    compare(model, feeds, fabric)
    program = build(model, fabric, DType.F32).assembly
    looked = [t for t in program.transfers if isinstance(t, Transfer) and t.lookup is not None]
    assert len(looked) > 1


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("op", ["Softmax", "Erf", "HardSwish", "Sigmoid"])
def test_activation(op: str, fabric: str) -> None:
    feeds = {"x0": floats(5, 6, 13)}
    compare(case(op, feeds), feeds, fabric)


# Where a formula of exponentials and logarithms overflows, or keeps no digit.
DIGITS = {
    "Sinh": (np.sinh, [88.85, 89.2, -88.95, 1e-5, -3e-6, 2e-8]),
    "Cosh": (np.cosh, [88.85, 89.2, -88.95, 1e-5]),
    "Asinh": (np.arcsinh, [1e-5, -3e-6, 2e-8, 3e38, -2e19, 1.5]),
    "Acosh": (np.arccosh, [1.00001, 2e19, 3e38, 1.5]),
    "Atanh": (np.arctanh, [1e-5, -3e-6, 2e-8, 0.999999]),
    "Acos": (np.arccos, [0.999999, -0.999999, 0.5]),
    "Softplus": (lambda x: np.logaddexp(0, x), [-12.3392, -15, -20, -80, 3]),
    "Mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), [-12.3392, -15, -20, -80, 3, 1e30]),
    "Elu": (lambda x: np.where(x < 0, np.expm1(x), x), [-1e-5, -3e-8, -2]),
    "Celu": (lambda x: np.where(x < 0, np.expm1(x), x), [-1e-5, -3e-8, -2]),
}


@pytest.mark.parametrize("op", DIGITS)
def test_digits_are_kept(op: str) -> None:
    exact, values = DIGITS[op]
    x = np.array(values, np.float32)
    model = model_of([node(op, 1)], {"x0": x}, {}, ["y0"], opset=22)
    got = build(model, "2x2").run({"x0": x}, engine="values").outputs["y0"]
    np.testing.assert_allclose(got, exact(x.astype(np.float64)), rtol=4 * 2.0**-23, atol=0)


@pytest.mark.parametrize("fabric", ["4x3", "7x7"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (16, 24, 40), (1, 50, 9)])
def test_half_precision(shape: tuple[int, int, int], fabric: str) -> None:
    m, k, n = shape
    feeds, weights = {"x0": floats(m, k)}, {"x1": floats(k, n)}
    compare(case("MatMul", feeds, weights), feeds, fabric, DType.F16)
    compare(case("Softmax", feeds), feeds, fabric, DType.F16)


@pytest.mark.parametrize("fabric", ["1x1", "4x3"])
@pytest.mark.parametrize("shapes", [((3, 9), (9, 20)), ((3, 5, 8), (3, 8, 23)), ((7, 6), (6, 5))])
def test_halves_in_sram(shapes: tuple[tuple[int, ...], ...], fabric: str) -> None:
    """Rows of multiply-accumulates go along the label that leaves the fewest lanes idle."""
    feeds = {"x0": floats(*shapes[0]), "x1": floats(*shapes[1])}
    compare(case("MatMul", feeds), feeds, fabric, DType.F16)


@pytest.mark.parametrize(
    ("tokens", "outputs", "dtype", "row"),
    [
        (3, 40, DType.F16, "n"),
        (4, 40, DType.F16, ""),
        (5, 8, DType.F16, "n"),
        (3, 2, DType.F16, "k"),  # that of what is summed, in whose order the terms stay
        (4, 2, DType.F16, ""),
        (1, 40, DType.F16, ""),  # the row is that of what is summed
        (3, 40, DType.F32, ""),
    ],
)
def test_the_row_that_fills_the_lanes(tokens: int, outputs: int, dtype: DType, row: str) -> None:
    rooms = {"m": tokens, "k": 8, "n": outputs}
    assert fastest_row((["n"], ["k"], ["m"]), rooms, find_fabric("wse2"), dtype) == row


def test_rows_of_what_is_summed_wait_for_each_step() -> None:
    """On a fabric on which a sum into one word takes longer, they are no shorter."""
    order, rooms = (["n"], ["k"], ["m"]), {"m": 3, "k": 8, "n": 2}
    fabric = find_fabric("wse2")
    assert fastest_row(order, rooms, fabric, DType.F16) == "k"
    waits = replace(fabric, dependent_cycles=2)
    assert fastest_row(order, rooms, waits, DType.F16) == ""


LARGE_HALVES = {
    "AveragePool": ({"x0": floats(1, 3, 9, 7, low=2e4, high=6e4)}, {}, {"kernel_shape": [3, 2]}),
    "LpNormalization": ({"x0": floats(5, 9, low=300, high=400)}, {}, {}),
    "LayerNormalization": (
        {"x0": floats(5, 12, low=-6e4, high=6e4)},
        {"x1": floats(12), "x2": floats(12)},
        {},
    ),
    "LRN": ({"x0": floats(1, 5, 3, 4, low=300, high=6e4)}, {}, {"size": 3, "alpha": 0.01}),
}


@pytest.mark.parametrize("fabric", ["4x3", "1x5"])
@pytest.mark.parametrize("op", LARGE_HALVES)
def test_half_precision_does_not_overflow_between(op: str, fabric: str) -> None:
    feeds, weights, attributes = LARGE_HALVES[op]
    compare(case(op, feeds, weights, **attributes), feeds, fabric, DType.F16)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_of_rows(reduction: str, fabric: str) -> None:
    places = np.array([[4], [0], [-2]]) if reduction == "none" else ints(5, 1, low=-6, high=6)
    feeds = {"x0": floats(6, 10), "x1": places, "x2": floats(len(places), 10)}
    compare(case("ScatterND", feeds, reduction=reduction), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
def test_scatter_of_elements(fabric: str) -> None:
    feeds = {"x0": floats(5, 7), "x1": ints(3, 6, low=-5, high=5), "x2": floats(3, 6)}
    compare(case("ScatterElements", feeds, reduction="add"), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("axis", [0, 1])
def test_outputs_whose_size_data_decide(axis: int, fabric: str) -> None:
    feeds = {"x0": floats(7, 5), "x1": np.array([True, False, True, True])}
    compare(case("Compress", feeds, axis=axis), feeds, fabric)
    feeds = {"x0": ints(6, 3, low=0, high=2)}
    compare(case("Unique", feeds, outputs=("y0", "y1", "y2", "y3"), axis=0), feeds, fabric)
    compare(case("NonZero", feeds), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
def test_indices_that_stand_transposed(fabric: str) -> None:
    """A transposed view of what every tile holds is no list in its own order."""
    feeds = {"x0": floats(6, 10), "x1": ints(2, 4, low=-6, high=6)}
    nodes = [
        helper.make_node("Transpose", ["x1"], ["t"], name="/turn"),
        helper.make_node("Gather", ["x0", "x1"], ["y0"], name="/straight"),
        helper.make_node("Gather", ["x0", "t"], ["y1"], name="/turned"),
    ]
    compare(model_of(nodes, feeds, {}, ["y0", "y1"]), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
def test_max_pool_of_integers(fabric: str) -> None:
    feeds = {"x0": ints(1, 3, 8, 7, low=0, high=200, dtype=np.uint8)}
    compare(case("MaxPool", feeds, kernel_shape=[3, 2], pads=[1, 1, 1, 0]), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
def test_scans(fabric: str) -> None:
    feeds = {"x0": floats(3, 150, low=-1, high=1)}
    axis = {"x1": np.array(1)}
    compare(case("CumSum", feeds, axis, exclusive=1, reverse=1), feeds, fabric)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("shape", [(64,), (1, 64), (64, 1)])
def test_a_column_of_products_has_one_holder(shape: tuple[int, ...], fabric: str) -> None:
    """Products summed along the row end in its first tile, whatever shape they take on."""
    feeds = {"x0": floats(1, 64, 4), "x1": floats(1, 4, 1)}
    nodes = [
        helper.make_node("Relu", ["x0"], ["a"], name="/a"),
        helper.make_node("Relu", ["x1"], ["b"], name="/b"),
        helper.make_node("MatMul", ["a", "b"], ["m"], name="/m"),
        helper.make_node("Reshape", ["m", "shape"], ["s"], name="/s"),
        helper.make_node("Tanh", ["s"], ["t"], name="/t"),
        helper.make_node("ReduceSum", ["t"], ["u"], name="/u"),
        helper.make_node("Sub", ["t", "u"], ["v"], name="/v"),
        helper.make_node("Concat", ["s", "t", "v", "s"], ["y0"], name="/y", axis=-1),
    ]
    model = model_of(nodes, feeds, {"shape": np.array(shape)}, ["y0"])
    compare(model, feeds, fabric)


@pytest.mark.parametrize("fabric", ["4x4", "3x5", "1x4", "7x1"])
@pytest.mark.parametrize("shape", [(1, 300, 40), (5, 70, 9), (1, 2000, 20)])
def test_equal_weights_give_equal_sums_in_the_same_order(
    shape: tuple[int, int, int], fabric: str
) -> None:
    m, k, n = shape
    feeds = {"x0": floats(m, k)}
    weights = {"x1": np.repeat(floats(k, 1), n, axis=1)}
    program = wsc.compile(case("MatMul", feeds, weights), fabric, same_order=True)
    result = program.run(feeds, engine="values").outputs["y0"]
    np.testing.assert_array_equal(result, np.repeat(result[:, :1], n, axis=1))
    np.testing.assert_allclose(result, feeds["x0"] @ weights["x1"], rtol=1e-4, atol=1e-4)
    # One column has nothing to reduce over; seven take a short sum whole.
    several = fabric != "1x4" and (k == 2000 or fabric != "7x1")
    assert ("turn_east" in program.text) == several


@pytest.mark.parametrize("fabric", ["4x4", "3x5", "1x4", "7x1"])
def test_equal_filters_give_equal_channels(fabric: str) -> None:
    feeds = {"x0": floats(1, 16, 12, 12)}
    weights = {"x1": np.repeat(floats(1, 16, 3, 3), 24, axis=0)}
    model = case("Conv", feeds, weights, pads=[1, 1, 1, 1])
    program = wsc.compile(model, fabric, same_order=True)
    result = program.run(feeds, engine="values").outputs["y0"]
    np.testing.assert_array_equal(result, np.repeat(result[:, :1], 24, axis=1))
    assert ("turn_east" in program.text) == (fabric == "4x4")


@pytest.mark.parametrize("fabric", ["4x4", "3x5", "2x1", "7x1"])
@pytest.mark.parametrize("precision", [DType.F32, DType.F16])
def test_sums_that_go_to_the_last_column_and_back(precision: DType, fabric: str) -> None:
    """More outputs than columns, fewer, and blocks of several parts with a short one behind."""
    for shape, n in (((1, 2000), 20), ((1, 1500), 2), ((3, 1800), 602)):
        feeds = {"x0": floats(*shape)}
        model = case("MatMul", feeds, {"x1": floats(shape[1], n)})
        compare(model, feeds, fabric, precision, same_order=True)


@pytest.mark.parametrize("fabric", ["4x2", "3x3"])
def test_owners_whose_sums_come_in_several_parts(fabric: str) -> None:
    """Sums are cleared while others accumulate, and joined part by part at their owner."""
    feeds = {"x0": floats(16, 96)}
    model = case("MatMul", feeds, {"x1": floats(96, 600)})
    program = build(model, fabric)
    assert "call clear_f32" in program.text
    compare(model, feeds, fabric)


# A window that begins behind the first element, of a value that is moved to it and read elsewhere.
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("shape", "axis"), [((1, 8, 2, 3), 0), ((1, 8, 2, 3), 2), ((2, 1), 1)])
def test_running_sums_that_leave_out_their_own(shape, axis: int, fabric: str) -> None:  # type: ignore[no-untyped-def]
    feeds = {"x0": floats(*shape)}
    nodes = [
        helper.make_node("Exp", ["x0"], ["e"]),
        helper.make_node("CumSum", ["e", "axis"], ["y0"], exclusive=1, reverse=1),
        helper.make_node("Tanh", ["e"], ["y1"]),
    ]
    axes = {"axis": np.array(axis, np.int64)}
    compare(model_of(nodes, feeds, axes, ["y0", "y1"]), feeds, fabric)
