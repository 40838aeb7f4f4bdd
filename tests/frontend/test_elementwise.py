"""Elementwise operators against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontend.cases import compare, floats, ints
from wsc import backend
from wsc.ir.graph import Lit, Map
from wsc.isa.types import DType


@pytest.mark.parametrize(
    "op_type",
    [
        "Abs",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "Reciprocal",
        "Exp",
        "Tanh",
        "Erf",
        "Sin",
        "Cos",
        "Tan",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Neg",
        "Relu",
        "Sigmoid",
        "LeakyRelu",
        "Elu",
        "Celu",
        "Selu",
        "HardSigmoid",
        "HardSwish",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Shrink",
        "Identity",
        "Dropout",
    ],
)
def test_unary(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(3, 1, 5, low=-4, high=4))


@pytest.mark.parametrize("op_type", ["Sqrt", "Log"])
def test_unary_of_positive(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(7, low=0.01, high=9))


@pytest.mark.parametrize("op_type", ["Asin", "Acos", "Atanh"])
def test_unary_of_unit_interval(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(7, low=-0.99, high=0.99))


def test_acosh(tmp_path: Path) -> None:
    compare(tmp_path, "Acosh", floats(7, low=1.1, high=9))


@pytest.mark.parametrize("op_type", ["Mish"])
def test_opset_18(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(9, low=-30, high=30), opset=18)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(tmp_path: Path, approximate: str) -> None:
    compare(tmp_path, "Gelu", floats(9, low=-5, high=5), opset=20, approximate=approximate)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("LeakyRelu", {"alpha": 1.5}),
        ("LeakyRelu", {"alpha": -0.5}),
        ("Elu", {"alpha": 2.0}),
        ("Celu", {"alpha": 0.5}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.1}),
        ("Shrink", {"bias": 0.3, "lambd": 0.7}),
        ("ThresholdedRelu", {"alpha": 0.4}),
    ],
)
def test_activation_attributes(tmp_path: Path, op_type: str, attributes: dict[str, Any]) -> None:
    compare(tmp_path, op_type, floats(11), **attributes)


def test_infinities_survive_the_sigmoid(tmp_path: Path) -> None:
    x = np.array([-np.inf, -200, 0, 200, np.inf], np.float32)
    compare(tmp_path, "Sigmoid", x)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((4, 1, 3), (5, 1)), ((3,), ())])
def test_binary(tmp_path: Path, op_type: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    compare(tmp_path, op_type, *(floats(*shape, low=0.5) for shape in shapes))


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_binary_integers(tmp_path: Path, op_type: str) -> None:
    b = ints(3, 1)
    b[b == 0] = 2
    compare(tmp_path, op_type, ints(3, 4), b)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_narrow_integers_wrap(tmp_path: Path, dtype: type) -> None:
    a, b = (np.array(values).astype(dtype) for values in ([100, 120, 3], [100, 7, 5]))
    compare(tmp_path, "Add", a, b)
    compare(tmp_path, "Sub", b, a)


@pytest.mark.parametrize("op_type", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparison(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, ints(3, 4), ints(4))
    compare(tmp_path, op_type, floats(3, 4).round(), floats(4).round())


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor"])
def test_logic(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, ints(3, 4) > 0, ints(4) > 0)


def test_not(tmp_path: Path) -> None:
    compare(tmp_path, "Not", ints(7) > 0)


@pytest.mark.parametrize("op_type", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bitwise(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, ints(9, low=-99, high=99), ints(9, low=-99, high=99), opset=18)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_bitwise_not(tmp_path: Path, dtype: type) -> None:
    compare(tmp_path, "BitwiseNot", ints(9, low=0, high=99, dtype=dtype), opset=18)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_bit_shift(tmp_path: Path, direction: str) -> None:
    a, b = ints(9, low=0, high=255, dtype=np.uint8), ints(9, low=0, high=8, dtype=np.uint8)
    compare(tmp_path, "BitShift", a, b, direction=direction)


@pytest.mark.parametrize("fmod", [0, 1])
def test_mod(tmp_path: Path, fmod: int) -> None:
    compare(tmp_path, "Mod", ints(9, low=-50, high=50), ints(9, low=1, high=9), fmod=fmod)
    compare(tmp_path, "Mod", -ints(9, low=1, high=50), ints(9, low=1, high=9), fmod=fmod)


def test_float_mod(tmp_path: Path) -> None:
    compare(tmp_path, "Mod", floats(9), floats(9, low=0.3, high=0.9), fmod=1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -1.0, -0.5, 1.7])
def test_constant_power(tmp_path: Path, exponent: float) -> None:
    x, e = floats(7, low=0.1), np.array(exponent, np.float32)
    graph = compare(tmp_path, "Pow", x, e, const=[1])
    assert not graph.constants


def test_square_is_a_product(tmp_path: Path) -> None:
    graph = compare(tmp_path, "Pow", floats(4), np.array([2], np.int64), const=[1])
    (node,) = graph.nodes
    assert isinstance(node.op, Map)
    assert [step.op for step in node.op.body] == ["mul"]


def test_power_by_a_tensor(tmp_path: Path) -> None:
    compare(tmp_path, "Pow", floats(7, low=0.1), floats(7))
    base, exponent = ints(40, low=-9, high=10, dtype=np.int32), ints(40, low=0, high=10)
    compare(tmp_path, "Pow", base, exponent.astype(np.int32))
    compare(tmp_path, "Pow", abs(base), exponent.astype(np.float32))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (np.float32, np.int64),
        (np.int64, np.float32),
        (np.float32, np.bool_),
        (np.bool_, np.float32),
        (np.int32, np.bool_),
        (np.bool_, np.int64),
        (np.int64, np.int32),
        (np.int32, np.uint8),
        (np.int32, np.int8),
        (np.float32, np.float64),
    ],
)
def test_cast(tmp_path: Path, source: type, target: type) -> None:
    from onnx import helper

    x = floats(9, low=-3, high=3).astype(source)
    compare(tmp_path, "Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(target)))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (None, 0.5), (0.0, None), (None, None)])
@pytest.mark.parametrize("const", [[1, 2], []])
def test_clip(tmp_path: Path, bounds: tuple[float | None, ...], const: list[int]) -> None:
    arrays = [None if b is None else np.array(b, np.float32) for b in bounds]
    compare(tmp_path, "Clip", floats(9), *arrays, const=const)


def test_clip_bounds_beyond_32_bits_are_no_bounds(tmp_path: Path) -> None:
    graph = compare(tmp_path, "Clip", ints(5), np.array(-(2**60)), np.array(2**60), const=[1, 2])
    assert not graph.nodes


def test_old_clip(tmp_path: Path) -> None:
    compare(tmp_path, "Clip", floats(9), opset=8, min=-0.5, max=0.25)


def test_where(tmp_path: Path) -> None:
    compare(tmp_path, "Where", ints(3, 1) > 0, floats(1, 4), floats(3, 4))
    compare(tmp_path, "Where", ints(3, 1) > 0, ints(1, 4), ints())


def test_is_nan_and_is_inf(tmp_path: Path) -> None:
    x = np.array([1, np.nan, np.inf, -np.inf], np.float32)
    compare(tmp_path, "IsNaN", x)
    compare(tmp_path, "IsInf", x)
    compare(tmp_path, "IsInf", x, detect_negative=0)
    compare(tmp_path, "IsInf", x, detect_positive=0)


def test_prelu(tmp_path: Path) -> None:
    compare(tmp_path, "PRelu", floats(2, 3, 4), floats(3, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantize(tmp_path: Path, dtype: type, axis: int | None) -> None:
    size = () if axis is None else (3,)
    scale = floats(*size, low=0.01, high=0.05)
    zero = ints(*size, low=0, high=9, dtype=dtype)
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    compare(tmp_path, "QuantizeLinear", floats(2, 3, 4), scale, zero, **attributes)
    x = ints(2, 3, 4, low=0, high=100, dtype=dtype)
    compare(tmp_path, "DequantizeLinear", x, scale, zero, **attributes)


@pytest.mark.parametrize("op_type", ["Gelu", "FastGelu", "QuickGelu"])
def test_microsoft_gelu(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(9), domain="com.microsoft", tolerance=1e-4)


@pytest.mark.parametrize("op_type", ["BiasGelu", "FastGelu"])
def test_microsoft_gelu_with_bias(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(2, 9), floats(9), domain="com.microsoft", tolerance=1e-4)


def test_scalar_constants_become_literals(tmp_path: Path) -> None:
    graph = compare(tmp_path, "Mul", floats(3), np.array([0.5], np.float32), const=[1])
    (node,) = graph.nodes
    assert isinstance(node.op, Map)
    assert node.op.body[0].args[1] == Lit(0.5)
    assert not graph.constants


def test_a_scalar_that_adds_a_dimension_stays(tmp_path: Path) -> None:
    compare(tmp_path, "Mul", floats(3), np.array([[[0.5]]], np.float32), const=[1])


def test_masks_stay_finite_in_f16(tmp_path: Path) -> None:
    x = np.array([0.0, 0.0], np.float32)
    mask = np.array(-3.4e38, np.float32)
    graph = compare(tmp_path, "Mul", x, mask, const=[1], precision=DType.F16)
    (node,) = graph.nodes
    assert isinstance(node.op, Map)
    assert node.op.body[0].args[1] == Lit(-65504.0)


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [((4,), {}), ((3, 4), {}), ((2,), {"axis": 0}), ((3,), {"axis": 1}), ((1, 1), {"axis": 0})],
)
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Pow"])
def test_broadcast_by_attributes(op_type: str, shape: tuple[int, ...], attributes: Any) -> None:
    """Before opset 7 attributes said where the second operand stands in the first."""
    a, b = floats(2, 3, 4, low=0.5), floats(*shape, low=0.5)
    operator = helper.make_node(op_type, ["a", "b"], ["y"], None, None, None, None, **attributes)
    operator.attribute.append(helper.make_attribute("broadcast", 1))
    infos = [helper.make_tensor_value_info(n, 1, list(v.shape)) for n, v in (("a", a), ("b", b))]
    result = helper.make_tensor_value_info("y", 1, [2, 3, 4])
    graph = helper.make_graph([operator], "old", infos, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)])
    (got,) = backend.run_model(model, [a, b])
    behind = 3 - attributes.get("axis", 3 - b.ndim) - b.ndim
    rows = {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
    }
    want = rows[op_type](a, b.reshape(*b.shape, *(1,) * behind))
    np.testing.assert_allclose(got, want, rtol=1e-5)
