"""Sampling at positions that are data, against ONNX Runtime and the reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest

from tests.frontend.cases import (
    compare,
    floats,
    ints,
    model_of,
    node,
    refuse,
    run_evaluator,
    run_reference,
)
from tests.oracle import evaluate
from wsc.frontend import import_model


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_grid_sample(tmp_path: Path, mode: str, padding: str, aligned: int) -> None:
    x, grid = floats(2, 3, 4, 5), floats(2, 7, 5, 2, low=-2.5, high=2.5)
    # ONNX Runtime does not clamp the positions of a cubic.
    oracle = run_evaluator if mode == "cubic" else run_reference
    compare(
        tmp_path,
        "GridSample",
        x,
        grid,
        mode=mode,
        padding_mode=padding,
        opset=20,
        align_corners=aligned,
        tolerance=1e-4,
        oracle=oracle,
    )


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_grid_sample_of_volumes(tmp_path: Path, mode: str) -> None:
    x, grid = floats(1, 2, 3, 4, 5), floats(1, 2, 3, 2, 3, low=-1.2, high=1.2)
    compare(tmp_path, "GridSample", x, grid, opset=20, mode=mode, tolerance=1e-4)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("value", [1e30, -1e30, np.inf, -np.inf])
def test_positions_beyond_any_image_are_zeros(mode: str, value: float) -> None:
    # ONNX Runtime converts them to integers, whatever comes of it.
    feeds = {"x0": floats(1, 2, 3, 3), "x1": np.full((1, 2, 2, 2), value, np.float32)}
    model = model_of([node("GridSample", 2, mode=mode)], feeds, {}, ["y0"])
    found = evaluate(import_model(onnx_ir.from_proto(model)), feeds)["y0"]
    np.testing.assert_array_equal(found, np.zeros((1, 2, 2, 2)))


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_affine_grid(tmp_path: Path, aligned: int, size: tuple[int, ...]) -> None:
    rank = len(size) - 2
    theta = floats(2, rank, rank + 1)
    compare(
        tmp_path, "AffineGrid", theta, np.array(size), const=[1], opset=20, align_corners=aligned
    )


BOXES: list[tuple[dict[str, Any], int]] = [
    ({"output_height": 2, "output_width": 3, "sampling_ratio": 2}, 16),
    ({"output_height": 3, "output_width": 2, "sampling_ratio": 1, "spatial_scale": 0.5}, 16),
    ({"sampling_ratio": 3, "coordinate_transformation_mode": "output_half_pixel"}, 16),
    ({"output_height": 2, "output_width": 2, "sampling_ratio": 2}, 10),
]


@pytest.mark.parametrize(("attributes", "opset"), BOXES)
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align(tmp_path: Path, attributes: dict[str, Any], opset: int, mode: str) -> None:
    low = floats(4, 2, low=-2, high=5)
    boxes = np.concatenate([low, low + floats(4, 2, low=0.1, high=6)], axis=1)
    images = ints(4, low=0, high=2)
    compare(
        tmp_path,
        "RoiAlign",
        floats(2, 3, 6, 7),
        boxes,
        images,
        opset=opset,
        mode=mode,
        tolerance=1e-4,
        **attributes,
    )


def test_roi_align_without_a_number_of_samples(tmp_path: Path) -> None:
    reason = refuse("RoiAlign", floats(1, 1, 4, 4), floats(2, 4), ints(2, low=0, high=1))
    assert "sampling_ratio 0" in reason


@pytest.mark.parametrize(
    ("group", "parts", "attributes"),
    [
        (1, 1, {}),
        (2, 2, {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
        (1, 2, {"dilations": [2, 1], "pads": [1, 1, 1, 1]}),
    ],
)
@pytest.mark.parametrize("mask", [False, True])
def test_deform_conv(
    tmp_path: Path, group: int, parts: int, attributes: dict[str, Any], mask: bool
) -> None:
    x, weight = floats(2, 4, 6, 7), floats(4, 4 // group, 2, 3)
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0] * 4)
    height, width = (
        (n + pads[i] + pads[i + 2] - (k - 1) * dilations[i] - 1) // strides[i] + 1
        for i, (n, k) in enumerate(((6, 2), (7, 3)))
    )
    offset = floats(2, parts * 12, height, width)
    masks = floats(2, parts * 6, height, width) if mask else None
    compare(
        tmp_path,
        "DeformConv",
        x,
        weight,
        offset,
        floats(4),
        masks,
        opset=19,
        group=group,
        offset_group=parts,
        oracle=run_evaluator,
        tolerance=1e-4,
        **attributes,
    )
