"""The same operators in f16: every float narrows, and sums stay in range."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.frontend.cases import compare, floats, run_evaluator, run_reference
from wsc.ir.graph import Graph
from wsc.isa.types import DType

MICROSOFT = "com.microsoft"
CASES: list[tuple[str, list[np.ndarray], list[int], dict[str, Any]]] = [
    ("Gemm", [floats(3, 4), floats(4, 5), floats(5)], [1, 2], {}),
    ("Conv", [floats(1, 3, 7), floats(4, 3, 3), floats(4)], [1, 2], {"pads": [1, 1]}),
    ("Softmax", [floats(2, 9)], [], {}),
    ("LogSoftmax", [floats(2, 9)], [], {}),
    ("LayerNormalization", [floats(2, 9), floats(9), floats(9)], [1, 2], {}),
    ("ReduceL2", [floats(2, 9, low=100, high=400)], [], {}),
    ("Pow", [floats(9, low=200, high=250), np.array(2, np.float32)], [1], {}),
    ("AveragePool", [floats(1, 2, 9)], [], {"kernel_shape": [3]}),
    ("GlobalAveragePool", [floats(1, 2, 9, 9)], [], {}),
    (
        "BatchNormalization",
        [floats(2, 3, 4), *(floats(3, low=0.5) for _ in range(4))],
        [1, 2, 3, 4],
        {},
    ),
    ("CumSum", [floats(2, 5), np.array(1)], [1], {}),
    ("Where", [floats(3) > 0, floats(3), np.array(1e6, np.float32)], [2], {}),
]


def float_types(graph: Graph) -> set[DType]:
    return {type_.dtype for type_ in graph.types().values() if type_.dtype.is_float}


@pytest.mark.parametrize(("op_type", "inputs", "const", "attributes"), CASES[:-1])
def test_f16(
    tmp_path: Path,
    op_type: str,
    inputs: list[np.ndarray],
    const: list[int],
    attributes: dict[str, Any],
) -> None:
    graph = compare(
        tmp_path,
        op_type,
        *inputs,
        const=const,
        precision=DType.F16,
        tolerance=1e-2,
        **attributes,
    )
    assert DType.F16 in float_types(graph)


def _scalar(value: float, kind: Any = np.float32) -> np.ndarray:
    return np.array(value, kind)


_BYTES = np.arange(60, dtype=np.uint8)
_BOXES = np.array([[0, 0, 3, 3], [1, 0.5, 4, 2.5]], np.float32)
_EIGHTHS = (np.arange(15) / 8 - 1).astype(np.float32)
_REGION = np.array([0.25, 0.125, 0.75, 1.125], np.float32)
# Positions and scales that are f32 meet values that are f16; scales are given when it runs.
MIXED: dict[str, tuple[str, list[np.ndarray | None], dict[str, Any]]] = {
    "regions": (
        "RoiAlign",
        [floats(2, 2, 5, 6), _BOXES, np.array([0, 1])],
        {"sampling_ratio": 2, "output_height": 2, "output_width": 3},
    ),
    "deformed": (
        "DeformConv",
        [floats(1, 2, 4, 5), floats(3, 2, 2, 2), floats(1, 8, 3, 4)],
        {"opset": 19, "tolerance": 2e-2},
    ),
    "cropped": (
        "Resize",
        [floats(1, 2, 5, 6), _REGION, None, np.array([4, 3])],
        {
            "const": [3],
            "opset": 18,
            "mode": "linear",
            "axes": [2, 3],
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "oracle": run_evaluator,
        },
    ),
    "dynamic": ("DynamicQuantizeLinear", [_EIGHTHS], {"outputs": 3}),
    "dynamic_product": (
        "DynamicQuantizeMatMul",
        [_EIGHTHS.reshape(3, 5), _BYTES[:20].reshape(5, 4), _scalar(0.25), _scalar(7, np.uint8)],
        {"domain": MICROSOFT, "tolerance": 2e-2},
    ),
    "scaled_product": (
        "MatMulIntegerToFloat",
        [
            _BYTES[:15].reshape(3, 5),
            _BYTES[:20].reshape(5, 4),
            _scalar(0.25),
            np.array([0.25, 0.5, 1, 2], np.float32),
        ],
        {"domain": MICROSOFT},
    ),
    "sums": (
        "QLinearAdd",
        [
            _BYTES,
            _scalar(0.25),
            _scalar(30, np.uint8),
            _BYTES[::-1].copy(),
            _scalar(0.5),
            _scalar(3, np.uint8),
            _scalar(1),
            _scalar(9, np.uint8),
        ],
        {"domain": MICROSOFT, "dtype": np.uint8},
    ),
    "bands": (
        "MelWeightMatrix",
        [
            _scalar(8, np.int64),
            _scalar(16, np.int64),
            _scalar(8192, np.int64),
            _scalar(0),
            _scalar(4096),
        ],
        {"const": [0, 1, 2]},
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_f16_beside_f32(tmp_path: Path, name: str) -> None:
    op_type, inputs, attributes = MIXED[name]
    given: dict[str, Any] = {"tolerance": 1e-2} | attributes
    compare(tmp_path, op_type, *inputs, precision=DType.F16, **given)


def halves(*shape: int, low: float, high: float) -> np.ndarray:
    """Random values that f16 holds."""
    return floats(*shape, low=low, high=high).astype(np.float16).astype(np.float32)


def _triple(low: float, high: float) -> list[np.ndarray]:
    """A value with scales and shifts of its four channels."""
    return [
        halves(2, 4, 3, 3, low=low, high=high),
        halves(4, low=1, high=2),
        halves(4, low=0, high=1),
    ]


LARGE, SMALL = halves(3, 8, low=-6e4, high=6e4), halves(3, 8, low=-3e-4, high=3e-4)
IMAGE = halves(2, 4, 3, 3, low=2e4, high=6e4)
TOTALS = [float(x) for x in (60000, 60000, -60000)]

# What f16 would overflow, or lose, between inputs and results that it holds.
BETWEEN: dict[str, tuple[str, list[np.ndarray], dict[str, Any]]] = {
    "lp_norm": ("LpNormalization", [np.array([[300, 400], [6e4, -6e4]], np.float32)], {}),
    "lp_norm_1": ("LpNormalization", [LARGE], {"p": 1}),
    "lp_norm_small": ("LpNormalization", [SMALL], {}),
    "average": ("AveragePool", [IMAGE], {"kernel_shape": [3, 3]}),
    "average_edges": ("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
    "global_average": ("GlobalAveragePool", [IMAGE], {}),
    "lp_pool": ("LpPool", [halves(1, 2, 8, low=200, high=9e3)], {"kernel_shape": [4]}),
    "global_lp_pool": ("GlobalLpPool", [halves(1, 2, 8, low=200, high=9e3)], {}),
    "layer": ("LayerNormalization", [LARGE, floats(8), floats(8)], {}),
    "layer_small": ("LayerNormalization", [SMALL, floats(8), floats(8)], {"epsilon": 1e-12}),
    "instance": ("InstanceNormalization", _triple(-6e4, 6e4), {}),
    "instance_small": ("InstanceNormalization", _triple(-3e-4, 3e-4), {"epsilon": 1e-12}),
    "mean_variance": ("MeanVarianceNormalization", [IMAGE - 3e4], {}),
    "response": ("LRN", [halves(1, 6, 2, 2, low=300, high=6e4)], {"size": 3, "alpha": 0.01}),
    "batch": (
        "BatchNormalization",
        [IMAGE, *(np.full(4, n, np.float32) for n in (2.0, 0.5, 4e4, 2.5e7))],
        {},
    ),
    "batch_narrow": (
        "BatchNormalization",
        [
            halves(1, 4, 3, low=999, high=1001),
            *(np.full(4, n, np.float32) for n in (1, 0, 1e3, 1e-6)),
        ],
        {"epsilon": 1e-9},
    ),
    "mean": ("Mean", [LARGE, LARGE, LARGE], {}),
    "sum": ("Sum", [np.array([x], np.float32) for x in TOTALS], {}),
    "reduce_mean": ("ReduceMean", [LARGE], {}),
    "reduce_l2": ("ReduceL2", [LARGE / 16], {"axes": [1]}),
    "reduce_log_sum": ("ReduceLogSum", [np.abs(LARGE)], {}),
    "reduce_log_sum_exp": ("ReduceLogSumExp", [np.zeros((1, 70000), np.float32)], {"axes": [1]}),
    "reduce_prod": ("ReduceProd", [np.array([3e4, 3e4, 1e-3, 1e-3], np.float32)], {}),
    "softmax": ("Softmax", [np.zeros((1, 70000), np.float32)], {}),
    "log_softmax": ("LogSoftmax", [np.zeros((1, 70000), np.float32)], {}),
    "power": ("Pow", [halves(8, low=200, high=300), np.array(-2, np.float32)], {}),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_f16_holds_does_not_overflow_between(tmp_path: Path, name: str) -> None:
    """Against ONNX Runtime in f32: only inputs, weights and results are rounded to f16."""
    op_type, inputs, attributes = BETWEEN[name]
    several = op_type in ("Mean", "Sum")
    want: list[np.ndarray] = []

    def oracle(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        want.extend(run_reference(model, feeds))
        return want

    compare(
        tmp_path,
        op_type,
        *inputs,
        const=[] if several else range(1, len(inputs)),
        precision=DType.F16,
        tolerance=4e-3,
        oracle=oracle,
        **attributes,
    )
    # The tolerance is of the largest value: a zero in the place of a small one would pass.
    assert np.isfinite(want[0]).all()
    assert np.abs(want[0]).max() > 1e-6


def test_f32_graphs_hold_no_f16(tmp_path: Path) -> None:
    for op_type, inputs, const, attributes in CASES:
        graph = compare(tmp_path, op_type, *inputs, const=const, **attributes)
        assert float_types(graph) == {DType.F32}
