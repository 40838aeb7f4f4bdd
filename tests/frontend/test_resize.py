"""Resizing against ONNX Runtime; where that differs from ONNX, the reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, refuse, run_evaluator


def at(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        {"mode": "nearest"},
        {"mode": "linear"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
        {"mode": "cubic"},
        {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        {"mode": "nearest", "nearest_mode": "ceil"},
        {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    ],
)
@pytest.mark.parametrize("sizes", [(1, 2, 6, 8), (1, 2, 5, 7), (1, 2, 2, 3)])
def test_resize(tmp_path: Path, attributes: dict[str, Any], sizes: tuple[int, ...]) -> None:
    compare(tmp_path, "Resize", floats(1, 2, 3, 4), None, None, at(*sizes), const=[3], **attributes)


def test_resize_by_scales(tmp_path: Path) -> None:
    scales = np.array([1, 1, 2, 1.5], np.float32)
    compare(tmp_path, "Resize", floats(1, 2, 3, 4), None, scales, const=[2], mode="linear")
    compare(tmp_path, "Upsample", floats(1, 2, 3, 4), scales, const=[1], opset=9, mode="nearest")
    compare(
        tmp_path,
        "Upsample",
        floats(1, 2, 3, 4),
        opset=8,
        mode="linear",
        scales=[1.0, 1.0, 2.0, 2.0],
    )


def test_a_region_that_the_mode_does_not_read(tmp_path: Path) -> None:
    region, scales = floats(8), np.array([1, 1, 2, 2], np.float32)
    compare(tmp_path, "Resize", floats(1, 2, 3, 4), region, scales, const=[1, 2], opset=11)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("sizes", [(3, 4), (6, 9), (7, 3)])
def test_antialiased_resize(tmp_path: Path, mode: str, sizes: tuple[int, int]) -> None:
    x = floats(1, 2, 7, 9)
    compare(
        tmp_path,
        "Resize",
        x,
        None,
        None,
        at(1, 2, *sizes),
        const=[3],
        opset=18,
        mode=mode,
        antialias=1,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_that_keeps_its_aspect(tmp_path: Path, policy: str, mode: str) -> None:
    compare(
        tmp_path,
        "Resize",
        floats(1, 2, 3, 5),
        None,
        None,
        at(7, 8),
        const=[3],
        opset=18,
        mode=mode,
        axes=[2, 3],
        keep_aspect_ratio_policy=policy,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("region", [(0.1, 0.2, 0.8, 0.9), (-0.2, 0.3, 1.1, 0.6), (0.9, 1, 0.1, 0)])
def test_resize_of_a_region_that_is_data(
    tmp_path: Path, mode: str, region: tuple[float, ...]
) -> None:
    roi = np.array(region, np.float32)
    compare(
        tmp_path,
        "Resize",
        floats(1, 2, 5, 6),
        roi,
        None,
        at(4, 3),
        const=[3],
        opset=18,
        mode=mode,
        axes=[2, 3],
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=9.0,
        oracle=run_evaluator,
        tolerance=1e-4,
    )


def test_sizes_beside_scales_that_are_none(tmp_path: Path) -> None:
    none = np.zeros(0, np.float32)
    compare(
        tmp_path,
        "Resize",
        floats(1, 2, 5, 6),
        none,
        none,
        at(1, 2, 4, 3),
        const=[1, 2, 3],
        opset=11,
        mode="linear",
    )
    scales = np.array([1, 1, 2, 2], np.float32)
    reason = refuse(
        "Resize", floats(1, 2, 3, 4), none, scales, at(1, 2, 6, 8), const=[1, 2, 3], opset=11
    )
    assert reason == "4 scales beside 4 sizes"


def test_align_corners_by_scales_that_leave_a_part_of_an_element(tmp_path: Path) -> None:
    scales = np.array([1, 1, 0.6, 0.6], np.float32)
    compare(
        tmp_path,
        "Resize",
        floats(1, 1, 3, 4),
        None,
        scales,
        const=[2],
        mode="linear",
        coordinate_transformation_mode="align_corners",
        oracle=run_evaluator,
    )


def test_what_resize_refuses(tmp_path: Path) -> None:
    x = floats(1, 2, 3, 4)
    assert "antialias" in refuse(
        "Resize", x, None, None, at(1, 2, 2, 2), const=[3], opset=18, antialias=1
    )
    assert "2 sizes or scales for 4 axes" in refuse(
        "Resize", x, None, None, at(2, 2), const=[3], opset=18
    )
