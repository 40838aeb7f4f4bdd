"""A node of constants is what the operator gives, at every opset; what is random is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import NodeProto, TensorProto, helper

from tests.frontend.cases import compare, compare_model, floats, ints, model_of
from wsc.errors import UnsupportedOperators
from wsc.frontend import import_onnx
from wsc.frontend.fold import OUTPUT_LIMIT, is_exact
from wsc.ir.graph import Graph


def folded(path: Path, op_type: str, *arrays: np.ndarray, opset: int, **options: Any) -> Graph:
    """A node of constants against ONNX Runtime; no node may be left of it."""
    graph = compare(
        path, op_type, *arrays, const=range(len(arrays)), opset=opset, tolerance=1e-6, **options
    )
    assert not graph.nodes
    return graph


@pytest.mark.parametrize("opset", [7, 12, 13])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_softmax_flattens_before_opset_13(
    tmp_path: Path, op_type: str, axis: int | None, opset: int
) -> None:
    options = {} if axis is None else {"axis": axis}
    folded(tmp_path, op_type, floats(2, 3, 4), opset=opset, **options)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(tmp_path: Path, opset: int) -> None:
    parameters = [floats(3), floats(3), floats(3), floats(3, low=0.5)]
    folded(tmp_path, "BatchNormalization", floats(2, 3, 4), *parameters, opset=opset)


@pytest.mark.parametrize("opset", [7, 13])
def test_normalizations(tmp_path: Path, opset: int) -> None:
    folded(tmp_path, "LRN", floats(1, 5, 2, 2), opset=opset, size=3, alpha=0.5, beta=0.7)
    for p in (1, 2):
        folded(tmp_path, "LpNormalization", floats(2, 3), opset=opset, p=p, axis=1)
    folded(tmp_path, "InstanceNormalization", floats(2, 3, 4), floats(3), floats(3), opset=opset)
    folded(tmp_path, "MeanVarianceNormalization", floats(1, 2, 3, 3), opset=max(opset, 9))


@pytest.mark.parametrize("opset", [7, 13, 22])
@pytest.mark.parametrize(
    "op_type", ["Sigmoid", "Tanh", "Exp", "Softplus", "Softsign", "Elu", "HardSigmoid", "Sqrt"]
)
def test_elementwise_floats(tmp_path: Path, op_type: str, opset: int) -> None:
    low = 0.0 if op_type == "Sqrt" else -3.0
    folded(tmp_path, op_type, floats(3, 200, low=low), opset=opset)


WHOLE = np.array([[-7, -2, -1], [0, 5, 7]])


@pytest.mark.parametrize("opset", [7, 14])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
def test_integers(tmp_path: Path, op_type: str, dtype: Any, opset: int) -> None:
    """A quotient of both signs is rounded towards zero."""
    for divisor in (2, -2):
        other = np.full((3,), divisor, dtype)
        folded(tmp_path, op_type, WHOLE.astype(dtype), other, opset=opset, dtype=dtype)


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders(tmp_path: Path, fmod: int) -> None:
    folded(tmp_path, "Mod", WHOLE, np.array(3), opset=13, fmod=fmod, dtype=np.int64)
    folded(tmp_path, "Mod", WHOLE, np.array(-3), opset=13, fmod=fmod, dtype=np.int64)
    folded(tmp_path, "Mod", floats(2, 3), floats(3, low=1.0), opset=13, fmod=1)


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_extremes_of_what_is_no_number(tmp_path: Path, op_type: str) -> None:
    left = np.array([1.0, np.nan, 2.0, np.inf], np.float32)
    folded(tmp_path, op_type, left, np.array([2.0, 1.0, np.nan, 1.0], np.float32), opset=13)


@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"])
def test_reductions_of_integers(tmp_path: Path, op_type: str, opset: int) -> None:
    folded(tmp_path, op_type, ints(2, 3), opset=opset, keepdims=0, dtype=np.int64)
    if opset < 13:
        folded(tmp_path, op_type, ints(2, 3), opset=opset, axes=[1], dtype=np.int64)


@pytest.mark.parametrize("opset", [7, 13, 18])
@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceL2", "ReduceLogSumExp", "ReduceMax"])
def test_reductions_of_floats(tmp_path: Path, op_type: str, opset: int) -> None:
    axes = {"axes": [-1]} if opset < 18 else {}
    folded(tmp_path, op_type, floats(2, 3, 4), opset=opset, **axes)


@pytest.mark.parametrize("opset", [7, 18])
def test_sums_of_products(tmp_path: Path, opset: int) -> None:
    folded(tmp_path, "MatMul", floats(2, 3, 4), floats(4, 5), opset=opset)
    folded(
        tmp_path,
        "Gemm",
        floats(3, 4),
        floats(5, 3),
        floats(5),
        opset=opset,
        transA=1,
        transB=1,
        alpha=0.5,
    )
    folded(tmp_path, "Conv", floats(1, 2, 5, 5), floats(3, 2, 3, 3), opset=opset, pads=[1, 1, 1, 1])
    folded(tmp_path, "AveragePool", floats(1, 2, 5, 5), opset=opset, kernel_shape=[2, 2])
    folded(tmp_path, "MaxPool", floats(1, 2, 5, 5), opset=opset, kernel_shape=[3, 3], pads=[1] * 4)


def test_movement(tmp_path: Path) -> None:
    for opset in (9, 13):
        folded(tmp_path, "Transpose", floats(2, 3), opset=opset)
        folded(tmp_path, "Gather", floats(4, 3), np.array([-1, 0]), opset=opset)
        folded(tmp_path, "Flatten", floats(2, 3, 2), opset=opset, axis=2)
        folded(tmp_path, "Concat", floats(2, 3), floats(2, 1), opset=opset, axis=1)
        folded(tmp_path, "Reshape", floats(2, 3), np.array([0, -1]), opset=opset)
        folded(tmp_path, "Expand", floats(3, 1), np.array([2, 1, 4]), opset=opset)
        folded(tmp_path, "Tile", floats(2, 3), np.array([2, 1]), opset=opset)
        folded(tmp_path, "Where", np.array([True, False]), floats(3, 2), floats(2), opset=opset)
    folded(
        tmp_path,
        "Slice",
        floats(6, 3),
        np.array([-1]),
        np.array([-9]),
        np.array([0]),
        np.array([-2]),
        opset=13,
    )
    folded(
        tmp_path,
        "ScatterElements",
        floats(3, 3),
        ints(1, 3, low=0, high=3),
        floats(1, 3),
        opset=13,
        axis=0,
    )
    folded(tmp_path, "DepthToSpace", floats(1, 8, 2, 2), opset=13, blocksize=2)
    folded(tmp_path, "CumSum", floats(4), np.array(0), opset=13)


@pytest.mark.parametrize(
    ("array", "to"),
    [
        (np.array([1.9, -1.9, 0.0, 250.0], np.float32), TensorProto.INT32),
        (np.array([1.9, -1.9, 0.0, np.nan], np.float32), TensorProto.BOOL),
        (np.array([300, -1, 2]), TensorProto.UINT8),
        (np.array([1 / 3, 1e-8, 65519.0], np.float32), TensorProto.FLOAT16),
    ],
)
def test_conversions(tmp_path: Path, array: np.ndarray, to: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(to)
    folded(tmp_path, "Cast", array, opset=13, to=to, dtype=dtype)


def test_integers_beyond_32_bits_on_the_way_to_a_shape(tmp_path: Path) -> None:
    """Sizes are often the smaller of a size and the largest integer."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Min", ["shape", "most"], ["sizes"]),
        helper.make_node("Slice", ["x", "zeros", "sizes"], ["y"]),
    ]
    constants = {"most": np.array([2, 2**63 - 1]), "zeros": np.array([0, 0])}
    feeds = {"x": floats(3, 4)}
    compare_model(tmp_path, model_of(nodes, feeds, constants, ["y"]), feeds)


def test_large_integers_on_the_way_to_small_ones(tmp_path: Path) -> None:
    """Remainders and bits of numbers beyond 32 bits, as hashes have them."""
    large = np.array([2**40 + 7, 2**62 + 5])
    for kind, other in (("Mod", np.array(97)), ("BitwiseAnd", np.array(255))):
        folded(tmp_path, kind, large, other, opset=18, dtype=np.int64)
    folded(tmp_path, "Div", large, np.array(2**38), opset=18, dtype=np.int64)


@pytest.mark.parametrize(
    ("op_type", "arrays", "options"),
    [
        ("Div", ([-(2**40) - 7, 2**62 + 5, 9], [2**33, -7, -2]), {}),
        ("Mod", ([-(2**40) - 7, 2**40 + 9], 97), {"fmod": 1}),
        ("Pow", ([3, -5, 10], 18), {}),
        ("Neg", ([2**31, -(2**31)],), {}),
        ("CumSum", ([2**31 - 1, 1, 1], 0), {}),
        ("ReduceProd", ([2**31, 2**31 - 1],), {"keepdims": 0}),
        ("Clip", ([2**40, -1], 0, 2**62), {}),
        ("Tile", ([2**40, 1], [2]), {}),
    ],
)
def test_integers_beyond_32_bits(
    tmp_path: Path, op_type: str, arrays: tuple[Any, ...], options: dict[str, int]
) -> None:
    """Whether NumPy gives the constant, or the operator's lowering to pairs of words."""
    given = [np.array(array) for array in arrays]
    folded(tmp_path, op_type, *given, opset=18, dtype=np.int64, **options)


def test_texts(tmp_path: Path) -> None:
    """They are compared and read as numbers here: the fabric has none."""
    nodes = [
        helper.make_node("Equal", ["names", "name"], ["same"]),
        helper.make_node("Cast", ["same"], ["flags"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["digits"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["flags", "numbers"], ["sum"]),
        helper.make_node("Mul", ["sum", "x"], ["y"]),
    ]
    constants = {
        "names": np.array(["a", "b", "a"], dtype=object),
        "name": np.array(["a"], dtype=object),
        "digits": np.array(["1.5", "-2e3", "3"], dtype=object),
    }
    feeds = {"x": floats(3)}
    compare_model(tmp_path, model_of(nodes, feeds, constants, ["y"], opset=19), feeds)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Bernoulli", ["k"], ["r"]),
        helper.make_node("RandomNormalLike", ["k"], ["r"]),
        helper.make_node("RandomUniform", [], ["r"], shape=[3]),
        helper.make_node("Multinomial", ["rows"], ["r"]),
    ],
    ids=lambda node: node.op_type,
)
def test_what_is_random_is_refused(tmp_path: Path, node: NodeProto) -> None:
    nodes = [node, helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT)]
    constants = {"k": floats(3, low=0.0, high=1.0), "rows": floats(1, 3)}
    model = model_of(nodes, {}, constants, ["y"])
    file = tmp_path / "m.onnx"
    onnx.save(model, file)
    with pytest.raises(UnsupportedOperators, match=f"{node.op_type} .*it draws random numbers"):
        import_onnx(file)


def test_weights_that_only_move_are_neither_copied_nor_computed(tmp_path: Path) -> None:
    """They stay where they are until the program is written."""
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("Reshape", ["t", "shape"], ["r"]),
        helper.make_node("MatMul", ["x", "r"], ["y"]),
    ]
    large = np.zeros((1024, 1024), np.float32)
    feeds, constants = {"x": floats(1, 1024)}, {"w": large, "shape": np.array([1024, 1024])}
    graph = compare_model(tmp_path, model_of(nodes, feeds, constants, ["y"]), feeds)
    assert len(graph.nodes) == 1


@pytest.mark.parametrize(("rows", "folds"), [(1, True), (1 << 10, True), ((1 << 10) + 1, False)])
def test_products_of_sizes_are_not_computed_beyond_a_bound(rows: int, folds: bool) -> None:
    """What broadcasts may be far larger than its operands, and than any memory."""
    columns = OUTPUT_LIMIT >> 10
    operands = [
        ir.Value(const_value=ir.tensor(np.ones(shape, np.float32)))
        for shape in ((rows, 1), (1, columns))
    ]
    node = ir.node("Mul", operands)
    node.outputs[0].shape = ir.Shape((rows, columns))
    assert is_exact(node, 17) == folds
