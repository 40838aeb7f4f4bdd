"""Element types of ONNX on 32-bit words, held against ONNX's reference evaluator."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from wsc import backend
from wsc.errors import CompileError
from wsc.runtime.errors import InputError

RNG = np.random.default_rng(8)
REALS = np.array(
    [
        0.0,
        -0.0,
        0.3,
        0.48,
        1.0,
        1.0625,
        1.1875,
        -2.5,
        3.7,
        5.0,
        -6.5,
        240,
        248,
        449,
        464,
        465,
        70000,
        -57344,
        61440,
        65519,
        65520,
        1e-7,
        -1e-9,
        2.0**-17,
        1e6,
        -3e38,
        1e38,
        np.nan,
        np.inf,
        -np.inf,
    ],
    np.float32,
)
FORMATS = ["BFLOAT16", "FLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"]
U32 = np.array([0, 1, 2**31 - 1, 2**31, 2**31 + 129, 2**32 - 1, 12345, 3_000_000_000], np.uint32)


def model_of(
    nodes: list[onnx.NodeProto], feeds: dict[str, np.ndarray], target: int, shape: tuple[int, ...]
) -> onnx.ModelProto:
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    result = helper.make_tensor_value_info("y", target, shape)
    graph = helper.make_graph(nodes, "case", infos, [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 26)], ir_version=13)


def run(
    op_type: str, *inputs: np.ndarray, target: int | None = None, then: int = 0, **attributes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """What the fabric and the reference give for one node; with ``then``, and a cast behind it."""
    feeds = {f"x{i}": array for i, array in enumerate(inputs)}
    name = "h" if then else "y"
    nodes = [helper.make_node(op_type, list(feeds), [name], None, None, None, None, **attributes)]
    if then:
        nodes.append(helper.make_node("Cast", ["h"], ["y"], to=then))
    kind = then or target or helper.np_dtype_to_tensor_dtype(inputs[0].dtype)
    model = model_of(nodes, feeds, int(kind), inputs[0].shape)
    with np.errstate(all="ignore"):
        want = np.asarray(next(iter(ReferenceEvaluator(model).run(None, feeds))))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", int(kind), want.shape))
        (got,) = backend.run_model(model, list(inputs))
    return got, want


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Equal to the bit, up to the encoding of NaN and the sign of zero."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    left, right = (array.astype(np.float64) for array in (got, want))
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("name", FORMATS)
def test_a_cast_rounds_as_the_reference_does(name: str, saturate: int) -> None:
    """Read back as f32, so that it is the instruction that rounds and not the edge."""
    target = getattr(TensorProto, name)
    same(*run("Cast", REALS, to=target, saturate=saturate, then=TensorProto.FLOAT))
    same(*run("Cast", REALS, to=target, saturate=saturate, target=target))


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
@pytest.mark.parametrize("saturate", [0, 1])
def test_powers_of_two(mode: str, saturate: int) -> None:
    values = np.array([0, 0.124, 0.25, 1.1, 1.5, 1.6, 2, 3e38, 2.0**127, 1e-39, np.inf], np.float32)
    attributes: dict[str, Any] = {"round_mode": mode, "saturate": saturate}
    to = TensorProto.FLOAT8E8M0
    same(*run("Cast", values, to=to, target=to, **attributes))
    same(*run("Cast", values, to=to, then=TensorProto.FLOAT, **attributes))


def test_fp4_saturates_and_has_no_nan() -> None:
    to = TensorProto.FLOAT4E2M1
    got, want = run("Cast", REALS, to=to, target=to)
    same(got, want)


@pytest.mark.parametrize("name", ["INT4", "UINT4", "INT2", "UINT2", "INT8", "UINT16", "INT32"])
def test_integers_wrap_in_casts(name: str) -> None:
    target = getattr(TensorProto, name)
    values = np.arange(-9, 16, dtype=np.float32) + np.float32(0.4)
    same(*run("Cast", values, to=target, target=target))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Mod", "Max", "Less", "BitShift"])
def test_narrow_integers_wrap(op_type: str, dtype: Any) -> None:
    info = np.iinfo(dtype)
    a = np.array([info.min, info.max, info.min, 7, info.max, 1], dtype)
    b = np.array([info.max, info.max, 1, 3, 2, info.max], dtype)
    attributes: dict[str, Any] = {"direction": "RIGHT"} if op_type == "BitShift" else {}
    target = TensorProto.BOOL if op_type == "Less" else None
    same(*run(op_type, a, b, target=target, **attributes))


def test_magnitudes_and_negatives_wrap() -> None:
    a = np.array([-128, 127, -1], np.int8)
    for op_type in ("Abs", "Neg"):
        same(*run(op_type, a))


@pytest.mark.parametrize("op_type", ["Less", "GreaterOrEqual", "Max", "Min", "Div", "Mod", "Sub"])
@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_words_without_sign(op_type: str, dtype: Any) -> None:
    a, b = U32.astype(dtype), np.maximum(RNG.permutation(U32), 1).astype(dtype)
    if op_type == "Sub":
        a, b = np.maximum(a, b), np.minimum(a, b)
    target = TensorProto.BOOL if op_type in ("Less", "GreaterOrEqual") else None
    same(*run(op_type, a, b, target=target))


def test_more_words_without_sign() -> None:
    words = U32.reshape(2, 4)
    same(*run("Cast", words, to=TensorProto.FLOAT, target=TensorProto.FLOAT))
    same(*run("Sign", words))
    same(*run("Abs", words))
    same(*run("Clip", words, np.array(5, np.uint32), np.array(2**31 + 4, np.uint32)))
    for op_type in ("ReduceMax", "ReduceMin"):
        same(*run(op_type, words, np.array([1], np.int64)))
    same(*run("ArgMax", words, target=TensorProto.INT64, axis=1))
    for direction in ("LEFT", "RIGHT"):
        same(*run("BitShift", words, np.full((1, 1), 31, np.uint32), direction=direction))
    values = np.array([0, 1.9, 2**31, 4294967040, 3e9], np.float32)
    same(*run("Cast", values, to=TensorProto.UINT32, target=TensorProto.UINT32))


def test_shifts_by_more_than_the_width() -> None:
    a = np.array([-8, 7, -1, 100], np.int32)
    for direction in ("LEFT", "RIGHT"):
        for b in ([0, 31, 32, 40], [-1, 1, 2, 3]):
            same(*run("BitShift", a, np.array(b, np.int32), direction=direction))


@pytest.mark.parametrize(
    ("array", "target"),
    [
        (REALS[:8], TensorProto.INT32),
        (np.array([1065353216, -1082130432, 7], np.int32), TensorProto.FLOAT),
        (np.array([200, 3], np.uint8), TensorProto.INT8),
        (np.array([1.5, -2.0], ml_dtypes.bfloat16), TensorProto.UINT16),
        (np.array([2**31], np.uint32), TensorProto.INT32),
    ],
    ids=["float", "word", "narrow", "bf16", "unsigned"],
)
def test_bits_as_another_type(array: np.ndarray, target: int) -> None:
    got, want = run("BitCast", array, to=target, target=target)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", ["INT4", "UINT4", "INT16", "FLOAT8E4M3FN", "FLOAT4E2M1"])
def test_quantised_there_and_back(name: str) -> None:
    target = getattr(TensorProto, name)
    dtype = helper.tensor_dtype_to_np_dtype(target)
    x = RNG.uniform(-40, 40, (3, 8)).astype(np.float32)
    scale = np.array([0.5, 2.0, 4.0], np.float32)
    zero = np.zeros(3, dtype)
    codes, want = run("QuantizeLinear", x, scale, zero, target=target, axis=0)
    same(codes, want)
    same(*run("DequantizeLinear", want, scale, zero, target=TensorProto.FLOAT, axis=0))


def test_outputs_of_narrow_floats_are_rounded_by_the_program() -> None:
    x = RNG.standard_normal(64).astype(ml_dtypes.bfloat16)
    y = RNG.standard_normal(64).astype(ml_dtypes.bfloat16)
    got, want = run("Mul", x, y)
    same(got, want)
    node = helper.make_node("Mul", ["a", "b"], ["y"])
    rep = backend.prepare(model_of([node], {"a": x, "b": y}, TensorProto.BFLOAT16, (64,)))
    assert rep.program is not None
    assert "to_bf16" in rep.program.text


@pytest.mark.parametrize(
    ("array", "what"),
    [(np.array([2**31]), "2147483648"), (np.array([2**32], np.uint64), "4294967296")],
)
def test_whole_numbers_beyond_a_word_are_refused(array: np.ndarray, what: str) -> None:
    with pytest.raises(InputError, match=rf"{what} at \[0\] does not fit 32 bits"):
        run("Neg" if array.dtype == np.int64 else "Identity", array)


def test_doubles_beyond_the_range_of_floats_are_refused() -> None:
    with pytest.raises(InputError, match="a value beyond f32's range"):
        run("Neg", np.array([1.0, 1e300]))


def test_what_has_no_words_is_refused() -> None:
    with pytest.raises(CompileError, match="no such words here"):
        run("BitCast", np.ones(2, np.float64), to=TensorProto.INT64, target=TensorProto.INT64)
    with pytest.raises(CompileError, match="element type COMPLEX64"):
        run("Identity", np.ones(2, np.complex64))
