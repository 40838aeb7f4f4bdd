"""Reductions, softmaxes, normalisations and pools against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.frontend.cases import compare, floats, ints, refuse, run_evaluator, run_reference
from wsc.isa.types import DType

REDUCTIONS = [
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSumExp",
    "ReduceLogSum",
]


@pytest.mark.parametrize("op_type", REDUCTIONS)
@pytest.mark.parametrize("axes", [None, (1,), (0, -1)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduction(
    tmp_path: Path, op_type: str, axes: tuple[int, ...] | None, keepdims: int
) -> None:
    array = None if axes is None else np.array(axes, np.int64)
    x = floats(2, 3, 4, low=0.5)
    compare(tmp_path, op_type, x, array, const=[1], opset=18, keepdims=keepdims)


@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
def test_old_and_integer_reductions(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(2, 3, 4), opset=11, axes=[0, 2])
    compare(tmp_path, op_type, ints(2, 3, 4, dtype=np.int32), opset=11, axes=[1], keepdims=0)


def test_no_axes_means_no_reduction(tmp_path: Path) -> None:
    compare(tmp_path, "ReduceSum", floats(2, 3), opset=18, noop_with_empty_axes=1)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_arg_extremum(tmp_path: Path, op_type: str, axis: int, last: int, keepdims: int) -> None:
    x = ints(4, 7, low=0, high=3).astype(np.float32)
    compare(tmp_path, op_type, x, axis=axis, select_last_index=last, keepdims=keepdims)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_top_k(tmp_path: Path, largest: int, axis: int) -> None:
    x = ints(4, 7, low=0, high=5).astype(np.float32)
    for count in (1, 3, x.shape[axis]):
        k = np.array([count])
        compare(tmp_path, "TopK", x, k, const=[1], outputs=2, axis=axis, largest=largest)


@pytest.mark.parametrize("count", [3, 100])
def test_top_k_of_many(tmp_path: Path, count: int) -> None:
    """Picked one after the other, or ranked by comparing all pairs; infinities are values too."""
    x = floats(2, 300)
    x[0] = -np.inf
    x[0, 7], x[0, 250] = 1, np.inf
    compare(tmp_path, "TopK", x, np.array([count]), const=[1], outputs=2)
    reason = refuse("TopK", floats(2000), np.array([1000]), const=[1], outputs=2)
    assert reason == "k = 1000 takes 4000000 comparisons of pairs"


# Values that are as bad as any can be, among them the least of their type.
WORST = {
    "int32": np.array([-(2**31), 2**31 - 1, -(2**31), 0, 2**31 - 1, -(2**31)], np.int32),
    "int8": np.array([-128, 127, -128, 0, 127, -128], np.int8),
    "uint8": np.array([0, 255, 0, 7, 255, 0], np.uint8),
    "uint32": np.array([0, 2**32 - 1, 0, 2**31, 2**32 - 1, 0], np.uint32),
    "float32": np.array([-np.inf, np.inf, -np.inf, 0, -0.0, -np.inf], np.float32),
    "float16": np.array([-np.inf, np.inf, -np.inf, -65504, 65504, -np.inf], np.float16),
    "nan": np.array([2, np.nan, 7, -np.inf, np.inf, np.nan], np.float32),
    "nan16": np.array([2, np.nan, np.inf, -np.inf, 65504, np.nan], np.float16),
    "nan_first": np.array([np.nan, 2, 7, np.nan, 1, 2], np.float32),
    "nan_only": np.array([np.nan, np.nan, np.nan], np.float32),
}


@pytest.mark.parametrize("name", [name for name in WORST if name != "uint32"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_an_index_of_an_extremum_is_always_one(
    tmp_path: Path, op_type: str, last: int, name: str
) -> None:
    compare(tmp_path, op_type, WORST[name], axis=0, select_last_index=last, keepdims=0)


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("repeats", [1, 40])
def test_top_k_shows_what_the_input_has(
    tmp_path: Path, repeats: int, largest: int, name: str
) -> None:
    """Ranked, and picked one after the other."""
    x = np.tile(WORST[name], repeats)
    count = min(len(x), 64)

    def by_numpy(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """For the types that ONNX Runtime lacks."""
        value = feeds["x0"].astype(np.int64)
        order = np.argsort(-value if largest else value, kind="stable")[:count]
        return [feeds["x0"][order], order]

    oracle = by_numpy if "int" in name else run_reference
    compare(
        tmp_path, "TopK", x, np.array([count]), const=[1], outputs=2, largest=largest, oracle=oracle
    )


def test_a_hot_element_is_one_of_the_vector(tmp_path: Path) -> None:
    x = np.stack([WORST[name] for name in ("float32", "nan", "nan16")])
    compare(tmp_path, "Hardmax", x.astype(np.float32), axis=1)


def test_places_of_a_pool_are_never_in_the_padding(tmp_path: Path) -> None:
    x = np.full((1, 1, 4, 5), -np.inf, np.float32)
    x[0, 0, 3, 4] = 1
    for data in (x, floats(1, 2, 4, 5) - 5):
        attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        compare(tmp_path, "MaxPool", data, outputs=2, opset=12, **attributes)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cum_sum(tmp_path: Path, exclusive: int, reverse: int) -> None:
    axis = np.array(1)
    flags: dict[str, Any] = {"exclusive": exclusive, "reverse": reverse}
    compare(tmp_path, "CumSum", floats(2, 5, 3), axis, const=[1], **flags)
    compare(tmp_path, "CumSum", ints(2, 5), axis, const=[1], **flags)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("size", [5, 64, 150])
def test_scans(tmp_path: Path, exclusive: int, reverse: int, size: int) -> None:
    flags: dict[str, Any] = {"exclusive": exclusive, "reverse": reverse}
    axis = np.array(-2)
    large = ints(2, size, 3, low=-(2**24), high=2**24, dtype=np.int32)
    compare(tmp_path, "CumSum", large, axis, const=[1], **flags)
    compare(tmp_path, "CumSum", floats(2, size, 3), axis, const=[1], **flags)
    near_one = floats(2, size, 3, low=0.8, high=1.25)
    compare(tmp_path, "CumProd", near_one, axis, const=[1], opset=26, oracle=run_evaluator, **flags)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(tmp_path: Path, op_type: str, axis: int) -> None:
    compare(tmp_path, op_type, floats(2, 5, 3, low=-30, high=30), axis=axis)
    if op_type != "Hardmax":
        compare(tmp_path, op_type, floats(2, 5, 3), opset=11, axis=axis)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_layer_normalization(tmp_path: Path, axis: int, bias: bool) -> None:
    shape = (3, 8)[axis:] if axis < 0 else (3, 8)
    arrays = [floats(2, 3, 8), floats(*shape), *([floats(*shape)] if bias else [])]
    compare(tmp_path, "LayerNormalization", *arrays, const=[1, 2], axis=axis, epsilon=1e-6)


def test_layer_normalization_of_large_values_in_f16(tmp_path: Path) -> None:
    x = floats(2, 512, low=-900, high=900)
    scale = np.ones(512, np.float32)
    compare(
        tmp_path, "LayerNormalization", x, scale, const=[1], precision=DType.F16, tolerance=5e-3
    )


@pytest.mark.parametrize("const", [[1, 2, 3, 4], []])
def test_batch_normalization(tmp_path: Path, const: list[int]) -> None:
    x, stats = floats(2, 3, 4, 5), [floats(3), floats(3), floats(3), floats(3, low=0.2)]
    graph = compare(tmp_path, "BatchNormalization", x, *stats, const=const)
    assert len(graph.nodes) == 1 or not const


def test_batch_normalization_in_training(tmp_path: Path) -> None:
    x, stats = floats(2, 3, 4, 5), [floats(3), floats(3), floats(3), floats(3, low=0.2)]
    compare(tmp_path, "BatchNormalization", x, *stats, outputs=3, training_mode=1, momentum=0.8)


def test_instance_normalization(tmp_path: Path) -> None:
    compare(tmp_path, "InstanceNormalization", floats(2, 3, 4, 5), floats(3), floats(3))


def test_group_normalization(tmp_path: Path) -> None:
    x = floats(2, 6, 4, 5)
    compare(tmp_path, "GroupNormalization", x, floats(6), floats(6), opset=21, num_groups=3)


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(tmp_path: Path, p: int) -> None:
    compare(tmp_path, "LpNormalization", floats(2, 3, 4), p=p, axis=1)
    zeros = np.zeros((2, 3), np.float32)
    compare(tmp_path, "LpNormalization", zeros, p=p, oracle=run_evaluator)


def test_other_normalizations(tmp_path: Path) -> None:
    compare(tmp_path, "MeanVarianceNormalization", floats(2, 3, 4, 5), tolerance=1e-4)
    compare(tmp_path, "LRN", floats(1, 7, 3, 3), size=3, alpha=0.1, beta=0.7, bias=1.5)
    x = floats(2, 3, 8)
    microsoft = {"domain": "com.microsoft", "epsilon": 1e-5}
    compare(
        tmp_path,
        "SkipLayerNormalization",
        x,
        floats(2, 3, 8),
        floats(8),
        floats(8),
        floats(8),
        **microsoft,
    )
    compare(tmp_path, "RMSNormalization", x, floats(8), opset=23, axis=-1)
    compare(
        tmp_path, "SkipSimplifiedLayerNormalization", x, floats(2, 3, 8), floats(8), **microsoft
    )


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 2, 6, 7), {"kernel_shape": [2, 3]}),
    ((1, 2, 6, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (
        (1, 2, 7, 7),
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 0], "ceil_mode": 1},
    ),
    ((1, 2, 8), {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    ((1, 2, 9), {"kernel_shape": [2], "strides": [3], "ceil_mode": 1}),
    ((1, 2, 9), {"kernel_shape": [3], "auto_pad": "SAME_UPPER", "strides": [2]}),
    ((1, 2, 4, 5, 6), {"kernel_shape": [2, 2, 2], "strides": [1, 2, 2]}),
]


@pytest.mark.parametrize(("shape", "attributes"), POOLS)
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_pool(
    tmp_path: Path, op_type: str, shape: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    compare(tmp_path, op_type, floats(*shape), opset=19, **attributes)


@pytest.mark.parametrize(("shape", "attributes"), POOLS)
@pytest.mark.parametrize("order", [0, 1])
def test_indices_of_a_max_pool(
    tmp_path: Path, shape: tuple[int, ...], attributes: dict[str, Any], order: int
) -> None:
    # Few values, so that windows hold equal ones.
    for x in (floats(*shape), floats(*shape).round()):
        compare(tmp_path, "MaxPool", x, outputs=2, opset=12, storage_order=order, **attributes)


@pytest.mark.parametrize(("shape", "attributes"), POOLS[:4])
def test_average_pool_that_counts_its_padding(
    tmp_path: Path, shape: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    compare(tmp_path, "AveragePool", floats(*shape), opset=19, count_include_pad=1, **attributes)


def test_dilated_max_pool_of_negative_values(tmp_path: Path) -> None:
    x = floats(1, 2, 9, low=-5, high=-1)
    compare(tmp_path, "MaxPool", x, kernel_shape=[3], dilations=[2], pads=[1, 1])


@pytest.mark.parametrize("op_type", ["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"])
def test_global_pool(tmp_path: Path, op_type: str) -> None:
    compare(tmp_path, op_type, floats(2, 3, 4, 5))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(tmp_path: Path, p: int) -> None:
    compare(tmp_path, "LpPool", floats(1, 2, 6), kernel_shape=[2], p=p)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(
    "op_type",
    [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    ],
)
def test_no_axes_and_nothing_to_do(tmp_path: Path, op_type: str, keep: int) -> None:
    """Each element stays where it is, whatever keepdims says."""
    compare(
        tmp_path,
        op_type,
        floats(2, 3, low=0.5),
        np.zeros(0, np.int64),
        const=[1],
        opset=18,
        noop_with_empty_axes=1,
        keepdims=keep,
    )
