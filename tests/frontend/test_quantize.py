"""Quantised operators against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import RNG, compare, floats, ints
from wsc.errors import UnsupportedOperators

MICROSOFT = "com.microsoft"


def _bytes(*shape: int) -> np.ndarray:
    return ints(*shape, low=0, high=256, dtype=np.uint8)


def _signed(*shape: int) -> np.ndarray:
    return ints(*shape, low=-127, high=128, dtype=np.int8)


def _scalar(value: float, dtype: Any = np.float32) -> np.ndarray:
    return np.array(value, dtype)


@pytest.mark.parametrize("inner", [5, 600])
def test_matmul_integer(tmp_path: Path, inner: int) -> None:
    compare(
        tmp_path,
        "MatMulInteger",
        _bytes(3, inner),
        _signed(inner, 4),
        _scalar(120, np.uint8),
        _signed(4),
        const=[1, 3],
        tolerance=0,
    )


@pytest.mark.parametrize(("channels", "group"), [(3, 1), (40, 1), (4, 2)])
def test_conv_integer(tmp_path: Path, channels: int, group: int) -> None:
    compare(
        tmp_path,
        "ConvInteger",
        _bytes(2, channels, 6, 5),
        _bytes(4, channels // group, 3, 3),
        _scalar(7, np.uint8),
        const=[1],
        pads=[1, 1, 1, 1],
        strides=[2, 1],
        group=group,
        tolerance=0,
    )


def test_qlinear_matmul(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "QLinearMatMul",
        _bytes(2, 3, 8),
        _scalar(0.02),
        _scalar(110, np.uint8),
        _signed(8, 4),
        floats(4, low=0.01, high=0.03),
        np.zeros(4, np.int8),
        _scalar(0.4),
        _scalar(128, np.uint8),
        const=[3, 4, 5],
        tolerance=0,
    )


def test_qlinear_conv(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "QLinearConv",
        _bytes(1, 3, 6, 6),
        _scalar(0.02),
        _scalar(100, np.uint8),
        _signed(4, 3, 3, 3),
        floats(4, low=0.01, high=0.03),
        np.zeros(4, np.int8),
        _scalar(0.2),
        _scalar(90, np.uint8),
        ints(4, low=-500, high=500, dtype=np.int32),
        const=[3, 4, 5, 8],
        pads=[1, 1, 1, 1],
        tolerance=0,
    )


@pytest.mark.parametrize("low", [-2.0, 1.0])
def test_dynamic_quantize_linear(tmp_path: Path, low: float) -> None:
    compare(tmp_path, "DynamicQuantizeLinear", floats(3, 7, low=low), outputs=3)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks(tmp_path: Path, axis: int) -> None:
    shape = (3, 4) if axis == 0 else (6, 2)
    scale, zero = floats(*shape, low=0.01, high=0.1), ints(*shape, low=-9, high=9, dtype=np.int8)
    given: dict[str, Any] = {"axis": axis, "block_size": 2, "opset": 21}
    compare(tmp_path, "QuantizeLinear", floats(6, 4), scale, zero, **given)
    compare(tmp_path, "DequantizeLinear", _signed(6, 4), scale, zero, **given)


# --- com.microsoft ------------------------------------------------------------------------


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_binary(tmp_path: Path, op_type: str) -> None:
    compare(
        tmp_path,
        op_type,
        _bytes(2, 3, 4),
        _scalar(0.05),
        _scalar(120, np.uint8),
        _bytes(3, 1),
        _scalar(0.03),
        _scalar(90, np.uint8),
        _scalar(0.1),
        _scalar(128, np.uint8),
        domain=MICROSOFT,
        dtype=np.uint8,
        tolerance=0,
    )


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_halves_are_rounded_with_the_zero_point(
    tmp_path: Path, op_type: str, zero: int, kind: type
) -> None:
    a, b = np.arange(40, 60, dtype=kind).reshape(20, 1), np.arange(40, 60, dtype=kind)
    out = [_scalar(1.0 if op_type == "QLinearAdd" else 8.0), _scalar(zero, kind)]
    compare(
        tmp_path,
        op_type,
        a,
        _scalar(0.5),
        _scalar(50, kind),
        b,
        _scalar(0.5),
        _scalar(49, kind),
        *out,
        domain=MICROSOFT,
        dtype=kind,
        tolerance=0,
    )


@pytest.mark.parametrize("op_type", ["QLinearLeakyRelu", "QLinearSigmoid"])
def test_unary(tmp_path: Path, op_type: str) -> None:
    # ONNX Runtime looks results up in a table whose steps may be one off.
    scale = 1 / 256 if op_type == "QLinearSigmoid" else 0.05
    compare(
        tmp_path,
        op_type,
        _bytes(4, 9),
        _scalar(0.05),
        _scalar(120, np.uint8),
        _scalar(scale),
        _scalar(0 if op_type == "QLinearSigmoid" else 120, np.uint8),
        domain=MICROSOFT,
        dtype=np.uint8,
        tolerance=0.004,
    )


def test_global_average_pool(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "QLinearGlobalAveragePool",
        _bytes(2, 3, 4, 5),
        _scalar(0.05),
        _scalar(120, np.uint8),
        _scalar(0.02),
        _scalar(100, np.uint8),
        domain=MICROSOFT,
        dtype=np.uint8,
        tolerance=0.004,
    )


def test_concat(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "QLinearConcat",
        _scalar(0.1),
        _scalar(128, np.uint8),
        _bytes(2, 3),
        _scalar(0.05),
        _scalar(120, np.uint8),
        _bytes(2, 2),
        _scalar(0.2),
        _scalar(100, np.uint8),
        const=[0, 1, 3, 4, 6, 7],
        domain=MICROSOFT,
        dtype=np.uint8,
        axis=1,
        tolerance=0.004,
    )


@pytest.mark.parametrize("quantised", [False, True])
def test_gemm(tmp_path: Path, quantised: bool) -> None:
    rest = [_scalar(0.5), _scalar(128, np.uint8)] if quantised else []
    compare(
        tmp_path,
        "QGemm",
        _bytes(3, 6),
        _scalar(0.02),
        _scalar(120, np.uint8),
        _signed(4, 6),
        _scalar(0.01),
        _scalar(0, np.int8),
        ints(4, dtype=np.int32),
        *rest,
        const=[3, 4, 5],
        domain=MICROSOFT,
        transB=1,
        dtype=np.uint8 if quantised else np.float32,
    )


def test_matmul_integer_to_float(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "MatMulIntegerToFloat",
        _bytes(3, 6),
        _signed(6, 4),
        _scalar(0.02),
        floats(4, low=0.01, high=0.02),
        _scalar(120, np.uint8),
        np.zeros(4, np.int8),
        floats(4),
        const=[1, 3, 5, 6],
        domain=MICROSOFT,
    )


def test_dynamic_quantize_matmul(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "DynamicQuantizeMatMul",
        floats(3, 6),
        _signed(6, 4),
        floats(4, low=0.01, high=0.02),
        np.zeros(4, np.int8),
        floats(4),
        const=[1, 2, 3, 4],
        domain=MICROSOFT,
    )


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_matmul_nbits(tmp_path: Path, bits: int, zeros: bool) -> None:
    rows, inner, block = 5, 48, 32
    count = 2
    packed = _bytes(rows, count, block * bits // 8)
    scales = floats(rows * count, low=0.01, high=0.02)
    points = _bytes(rows * (count * bits // 8)) if zeros else None
    compare(
        tmp_path,
        "MatMulNBits",
        floats(2, 3, inner),
        packed,
        scales,
        points,
        const=[1, 2, 3] if zeros else [1, 2],
        domain=MICROSOFT,
        K=inner,
        N=rows,
        bits=bits,
        block_size=block,
        tolerance=1e-4,
    )


def test_matmul_nbits_of_a_matrix_that_is_an_input(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperators, match="the matrix must be a constant"):
        compare(
            tmp_path,
            "MatMulNBits",
            floats(2, 32),
            _bytes(5, 1, 16),
            floats(5),
            domain=MICROSOFT,
            K=32,
            N=5,
            bits=4,
            block_size=32,
        )


@pytest.mark.parametrize("columns", [False, True])
def test_dynamic_quantize_lstm(tmp_path: Path, columns: bool) -> None:
    steps, batch, width, hidden = 4, 2, 5, 3
    weight, recurrent = _signed(1, width, 4 * hidden), _signed(1, hidden, 4 * hidden)
    shape = (1, 4 * hidden) if columns else (1,)
    scales = [RNG.uniform(0.002, 0.006, shape).astype(np.float32) for _ in range(2)]
    zeros = np.zeros(shape, np.int8)
    compare(
        tmp_path,
        "DynamicQuantizeLSTM",
        floats(steps, batch, width),
        weight,
        recurrent,
        floats(1, 8 * hidden),
        None,
        None,
        None,
        None,
        scales[0],
        zeros,
        scales[1],
        zeros,
        const=[1, 2, 3, 8, 9, 10, 11],
        outputs=3,
        domain=MICROSOFT,
        hidden_size=hidden,
        tolerance=1e-3,
    )
