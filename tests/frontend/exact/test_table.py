"""Operators on doubles, against ONNX's reference evaluator, to the bit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import TensorProto, helper

from tests.doubles import RANDOM, SPECIAL, drawn, same, words
from tests.frontend.cases import model_of, node, run_evaluator
from tests.oracle import evaluate
from wsc.errors import CompileError, UnsupportedOperators
from wsc.frontend import import_onnx
from wsc.ir.graph import Graph
from wsc.ir.text import parse_graph, print_graph


def doubles(*shape: int) -> np.ndarray:
    """Doubles whose sums, also of squares, are not rounded, and which no f32 holds."""
    return RANDOM.integers(-(2**25), 2**25, shape) / 1024.0


def _model(
    op_type: str,
    inputs: Sequence[np.ndarray | None],
    const: Sequence[int],
    outputs: int,
    opset: int,
    attributes: Mapping[str, Any],
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    given = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
    constants = {name: array for name, array in given.items() if int(name[1:]) in const}
    feeds = {name: array for name, array in given.items() if name not in constants}
    one = node(op_type, len(inputs), outputs, **attributes)
    one.input[:] = [name if name in given else "" for name in one.input]
    return model_of([one], feeds, constants, list(one.output), opset), feeds


def run(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """NumPy's answer to a graph; the host gives doubles as their words."""
    given: dict[str, np.ndarray] = {}
    for item in graph.inputs:
        if item.high:
            given[item.high], given[item.name] = words(feeds[item.name])
        elif item.name in feeds:
            given[item.name] = feeds[item.name]
    return evaluate(graph, given)


def exact(
    op_type: str,
    *inputs: np.ndarray | None,
    const: Sequence[int] = (),
    outputs: int = 1,
    opset: int = 18,
    want: Sequence[np.ndarray] | None = None,
    wide: Sequence[str] = (),
    **attributes: Any,
) -> None:
    """Hold a model of one operator against the reference evaluator, or what it should give."""
    model, feeds = _model(op_type, inputs, const, outputs, opset, attributes)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")  # nothing is computed in single precision
        graph = import_onnx(model, wide=wide, exact=True)
        got = run(graph, feeds)
        wanted = run_evaluator(model, feeds) if want is None else want
    for name, array in zip(got, wanted, strict=True):
        assert (got[name].shape, got[name].dtype) == (array.shape, array.dtype)
        if array.dtype == np.float64:
            same(np.where(np.isnan(got[name]), np.nan, got[name]), array)
        else:
            np.testing.assert_array_equal(got[name], array)


A = np.concatenate([drawn(8), SPECIAL])
B = np.roll(A, 5)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("const", [(), (1,)])
def test_arithmetic(op_type: str, const: Sequence[int]) -> None:
    exact(op_type, A, B, const=const)
    exact(op_type, doubles(3, 1), doubles(4), const=const)
    exact(op_type, doubles(2, 3), np.array(0.1), const=const)


@pytest.mark.parametrize("op_type", ["Neg", "Abs", "Sqrt", "Reciprocal", "IsNaN", "IsInf"])
def test_unary(op_type: str) -> None:
    exact(op_type, A, opset=20)


def test_sign_and_relu() -> None:
    with np.errstate(invalid="ignore"):
        exact("Sign", A, want=[np.where(A == 0, A, np.sign(A))])
    exact("Relu", np.array([1e300, -1e-310, np.inf]), want=[np.array([1e300, 0.0, np.inf])])


@pytest.mark.parametrize(("negative", "positive"), [(0, 1), (1, 0)])
def test_infinities_of_one_sign(negative: int, positive: int) -> None:
    exact("IsInf", A, detect_negative=negative, detect_positive=positive, opset=20)


@pytest.mark.parametrize("op_type", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
def test_comparisons(op_type: str) -> None:
    exact(op_type, A, B)
    exact(op_type, A, A.copy())
    exact(op_type, A, np.array(16777217.0), const=[1])


def test_the_nearest_single_is_another_number() -> None:
    exact("Equal", np.array([16777217.0, 1 + 2.0**-40]), np.array([16777216.0, 1.0]))


@pytest.mark.parametrize("op_type", ["Max", "Min", "Sum", "Mean"])
def test_several_operands(op_type: str) -> None:
    exact(op_type, doubles(5), doubles(5), doubles(1))
    exact(op_type, doubles(5))


@pytest.mark.parametrize("bounds", [(-1.0, 1e-300), (None, 3.5), (2.0, None), (None, None)])
def test_clip(bounds: tuple[float | None, float | None]) -> None:
    limits = [None if bound is None else np.array(bound) for bound in bounds]
    least, most = (-np.inf if bounds[0] is None else bounds[0]), bounds[1]
    wanted = np.minimum(np.maximum(A, least), np.inf if most is None else most)
    exact("Clip", A, *limits, const=[1, 2], want=[wanted])


def test_powers() -> None:
    exact("Pow", doubles(2, 3), np.array(2.0), const=[1])
    exact("Pow", doubles(2, 3), np.array([2], np.int64), const=[1])


def test_where() -> None:
    exact("Where", A > 0, A, B)
    exact("Where", np.array([[True], [False]]), doubles(3), np.array(0.1), const=[2])


REDUCTIONS = [
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceL1",
    "ReduceSumSquare",
]


@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_reductions(op_type: str) -> None:
    exact(op_type, doubles(2, 3, 4), np.array([0, -1]), const=[1], keepdims=0)


@pytest.mark.parametrize(("axes", "keep"), [([1], 1), ([-1], 0), ([0, 1, 2], 1), (None, 0)])
@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMax"])
def test_axes(op_type: str, axes: list[int] | None, keep: int) -> None:
    given = None if axes is None else np.array(axes)
    exact(op_type, doubles(2, 3, 4), given, const=[1], keepdims=keep)


def test_reductions_over_no_axis_and_by_attribute() -> None:
    none = np.array([], np.int64)
    exact("ReduceSum", doubles(2, 3), none, const=[1], noop_with_empty_axes=1)
    exact("ReduceSum", doubles(2, 3), opset=11, axes=[1])
    exact("ReduceProd", RANDOM.integers(1, 60, (2, 7)) * 1.0, np.array([1]), const=[1])


def test_a_sum_of_seconds_keeps_microseconds() -> None:
    times = 1732900000.123456 + np.arange(6) * 2.0**-20
    exact("ReduceMax", times, keepdims=0)
    exact("Sub", times, times[:1].copy())


@pytest.mark.parametrize("attributes", [{}, {"exclusive": 1}, {"reverse": 1}])
def test_cumulative_sums(attributes: dict[str, Any]) -> None:
    exact("CumSum", doubles(2, 5), np.array(1), const=[1], **attributes)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (3,)),
        ((2, 2, 3), (3, 1)),
        ((2, 1, 1, 3), (2, 3, 2)),
        ((3,), (2, 3, 2)),
    ],
)
def test_matrix_products(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    exact("MatMul", doubles(*left), doubles(*right))


@pytest.mark.parametrize("flips", [(0, 0), (1, 1)])
def test_gemm(flips: tuple[int, int]) -> None:
    a = doubles(*((3, 2) if flips[0] else (2, 3)))
    b = doubles(*((4, 3) if flips[1] else (3, 4)))
    exact("Gemm", a, b, doubles(4), const=[1], transA=flips[0], transB=flips[1], alpha=0.5)
    exact("Gemm", a, b, transA=flips[0], transB=flips[1])


FLOATS = [TensorProto.FLOAT, TensorProto.FLOAT16]
WHOLE = [TensorProto.INT64, TensorProto.UINT64, TensorProto.INT32, TensorProto.UINT32]
NARROW = [TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.BOOL]


@pytest.mark.parametrize("kind", [*FLOATS, *WHOLE, *NARROW])
def test_casts(kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if kind in FLOATS:
        a = np.concatenate([drawn(20), SPECIAL, 1 + np.arange(1, 99, 2) * 2.0**-11 + 2.0**-40])
    else:
        bits = dtype.itemsize * 8
        a = RANDOM.integers(0, 2 ** min(bits - 1, 62), 40) + 0.75
        a = a if dtype.kind in "ub" else np.concatenate([a, -a])
    with np.errstate(all="ignore"):
        there = a.astype(dtype)
    exact("Cast", a, to=kind, want=[there])
    back = there.astype(np.float64)
    wide = ["x0"] if kind in (TensorProto.INT64, TensorProto.UINT64) else []
    exact("Cast", there, wide=wide, to=TensorProto.DOUBLE, want=[back])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_large_integers_are_rounded_once(dtype: Any) -> None:
    n = np.array([0, 2**53 + 1, 2**53 + 3, 2**62 + 2**9 + 1, 2**63 - 1], dtype)
    n = np.concatenate([n, n.max() - n, 0 - n])  # unsigned ones modulo 2^64
    exact("Cast", n, wide=["x0"], to=TensorProto.DOUBLE)
    short = n[(n >= 0) & (n < 2**31)]
    exact("Cast", short, to=TensorProto.DOUBLE)
    single = n.astype(np.float64).astype(np.float32)
    exact("CastLike", n.astype(np.float64), np.zeros(1, np.float32), const=[1], want=[single])


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes"),
    [
        ("Transpose", [], {"perm": [1, 0]}),
        ("Reshape", [np.array([3, 2])], {}),
        ("Gather", [np.array([1, 0, -1])], {"axis": 1}),
        ("GatherElements", [np.array([[1, 0, 1]])], {"axis": 0}),
        ("Slice", [np.array([0]), np.array([1])], {}),
        ("Expand", [np.array([2, 2, 3])], {}),
        ("Tile", [np.array([2, 1])], {}),
        ("Squeeze", [], {}),
        ("Unsqueeze", [np.array([0])], {}),
        ("Flatten", [], {}),
        ("Pad", [np.array([0, 1, 1, 0])], {}),
        ("Pad", [np.array([0, 1, 1, 0]), np.array(0.1)], {}),
        ("Identity", [], {}),
        ("Shape", [], {}),
        ("ScatterND", [np.array([[1]]), doubles(1, 3)], {}),
    ],
)
def test_movement(op_type: str, operands: list[np.ndarray], attributes: dict[str, Any]) -> None:
    const = range(1, len(operands) + 1)
    exact(op_type, doubles(2, 3) + 2.0**-40, *operands, const=const, **attributes)


def test_split_and_concat() -> None:
    exact("Split", doubles(4, 3), outputs=2, num_outputs=2)
    exact("Concat", doubles(1, 3), doubles(2, 3), const=[1], axis=0)


def test_nothing() -> None:
    exact("Neg", np.zeros((0, 2)))
    exact("ReduceSum", np.zeros((0, 2)), np.array([0]), const=[1])


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "reason"),
    [
        ("Exp", [doubles(3)], {}, "cannot compute exactly"),
        ("Softmax", [doubles(3)], {}, "cannot compute exactly"),
        ("Floor", [doubles(3)], {}, "cannot compute exactly"),
        ("Pow", [doubles(3), doubles(3)], {}, "the constants 1 and 2"),
        ("NonZero", [doubles(3)], {}, "cannot compute exactly"),
        ("HannWindow", [np.array(4)], {"output_datatype": 11}, "cannot compute exactly"),
        ("Cast", [doubles(3)], {"to": TensorProto.STRING}, "not of numbers"),
        ("ScatterND", [doubles(3), np.array([[1]]), doubles(1)], {"reduction": "add"}, "'add'"),
    ],
)
def test_what_is_refused(
    op_type: str, inputs: list[np.ndarray], attributes: dict[str, Any], reason: str
) -> None:
    model, _ = _model(op_type, inputs, (), 1, 18, attributes)
    with pytest.raises(UnsupportedOperators, match=f"{reason}.* at /case/op"):
        import_onnx(model, exact=True)


BRANCHES = """<ir_version: 10, opset_import: ["" : 18]>
g (bool c, double[3] x) => (KIND y) {
    y = If (c) <then_branch = t () => (KIND a) { a = THEN },
                else_branch = e () => (KIND b) { b = ELSE }>
}"""


@pytest.mark.parametrize(
    ("kind", "then", "other", "wanted"),
    [
        ("bool[3]", "Less (x, x)", "Equal (x, x)", [[False, False, False], [True, False, True]]),
        ("double[3]", "Neg (x)", "Add (x, x)", [[-1.0, np.nan, -1e300], [2.0, np.nan, 2e300]]),
    ],
)
def test_branches(kind: str, then: str, other: str, wanted: list[list[Any]]) -> None:
    text = BRANCHES.replace("KIND", kind).replace("THEN", then).replace("ELSE", other)
    graph = import_onnx(onnx.parser.parse_model(text), exact=True)
    x = np.array([1.0, np.nan, 1e300])
    for flag, values in zip((True, False), wanted, strict=True):
        got = run(graph, {"c": np.array(flag), "x": x})["y"]
        np.testing.assert_array_equal(got, np.array(values))


REFUSED = {
    "Loop": """g (double[3] x) => (double[3] y) {
        n = Constant <value: tensor = int64[1] {2}> ()
        y = Loop (n, , x) <body = b (int64 i, bool k, double[3] v) => (bool c, double[3] w)
            { c = Identity (k)
              w = Add (v, x) }>
    }""",
    "Gather": """g (int64[3] n, double[3] x) => (double[1, s] y) {
        z = NonZero (n)
        y = Gather (x, z)
    }""",
    "Cast": """g (int64[3] n) => (double[1, s] y) {
        z = NonZero (n)
        y = Cast <to = 11> (z)
    }""",
    "SequenceConstruct": """g (double[3] x) => (seq(double[3]) y) {
        y = SequenceConstruct (x, x)
    }""",
}


@pytest.mark.parametrize("op_type", list(REFUSED))
def test_what_no_pair_of_words_can_pass_is_refused(op_type: str) -> None:
    text = '<ir_version: 10, opset_import: ["" : 18]>\n' + REFUSED[op_type]
    with pytest.raises(CompileError, match=rf"{op_type} .*float64"):
        import_onnx(onnx.parser.parse_model(text), exact=True)


def test_constants_are_computed_in_double_precision(tmp_path: Path) -> None:
    """What folding leaves to lowering is not in single precision either."""
    nodes = [
        helper.make_node("ReduceSum", ["k"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    k, x = np.array([2.0**53, 2.0, 2.0]), np.array([1.0])
    model = model_of(nodes, {"x": x}, {"k": k}, ["y"], 13, dtype=np.float64)
    onnx.save(model, tmp_path / "m.onnx")
    graph = import_onnx(tmp_path / "m.onnx", exact=True)
    same(run(graph, {"x": x})["y"], np.array([2.0**53 + 4]))


def test_the_text_says_which_words_are_high() -> None:
    model, _ = _model("Neg", [doubles(3)], (), 1, 18, {})
    graph = import_onnx(model, exact=True)
    assert parse_graph(print_graph(graph), {}) == graph
    assert [(item.name, item.host_dtype, item.high) for item in graph.inputs] == [
        ("x0", "float64", "x0.high"),
        ("x0.high", "int32", ""),
    ]


def test_high_words_need_a_free_name() -> None:
    nodes = [helper.make_node("Add", ["x", "x.high"], ["y"])]
    model = model_of(nodes, {"x": doubles(2), "x.high": doubles(2)}, {}, ["y"], dtype=np.float64)
    with pytest.raises(CompileError, match=r"two values are called 'x.high'"):
        import_onnx(onnx_ir.to_proto(onnx_ir.from_proto(model)), exact=True)
