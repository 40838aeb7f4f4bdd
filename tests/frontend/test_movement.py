"""Movement against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontend.cases import (
    compare,
    compare_model,
    floats,
    ints,
    model_of,
    refuse,
    run_evaluator,
)
from wsc.ir.graph import Gather, Move


def at(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


@pytest.mark.parametrize("shape", [(6, 4), (-1,), (0, -1), (2, 0, 1, 4), (1, 24)])
def test_reshape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    compare(tmp_path, "Reshape", floats(2, 3, 4), at(*shape), const=[1])


@pytest.mark.parametrize("axis", [0, 1, 3, -1])
def test_flatten(tmp_path: Path, axis: int) -> None:
    compare(tmp_path, "Flatten", floats(2, 3, 4), axis=axis)


@pytest.mark.parametrize("axes", [None, (1,), (-1, 1)])
def test_squeeze(tmp_path: Path, axes: tuple[int, ...] | None) -> None:
    given = [] if axes is None else [at(*axes)]
    compare(tmp_path, "Squeeze", floats(2, 1, 3, 1), *given, const=[1])
    if axes is not None:
        compare(tmp_path, "Squeeze", floats(2, 1, 3, 1), opset=11, axes=axes)


@pytest.mark.parametrize("axes", [(0,), (-1, 1), (0, 4)])
def test_unsqueeze(tmp_path: Path, axes: tuple[int, ...]) -> None:
    compare(tmp_path, "Unsqueeze", floats(2, 3, 4), at(*axes), const=[1])
    compare(tmp_path, "Unsqueeze", floats(2, 3, 4), opset=11, axes=axes)


@pytest.mark.parametrize("perm", [None, [1, 0, 2], [2, 0, 1]])
def test_transpose(tmp_path: Path, perm: list[int] | None) -> None:
    attributes: dict[str, Any] = {} if perm is None else {"perm": perm}
    compare(tmp_path, "Transpose", floats(2, 3, 4), **attributes)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 1), (5, 2, 3, 4)])
def test_expand(tmp_path: Path, shape: tuple[int, ...]) -> None:
    compare(tmp_path, "Expand", floats(1, 3, 1), at(*shape), const=[1])


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1,), (5,), (0,), (2,)),
        ((-1,), (-(2**63),), (1,), (-1,)),
        ((-1,), (-(2**31),), (0,), (-2,)),
        ((0, 1), (2**63 - 1, -1), None, None),
        ((4,), (1,), (-1,), (-1,)),
        ((-100,), (3,), (0,), None),
    ],
)
def test_slice(
    tmp_path: Path,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None,
    steps: tuple[int, ...] | None,
) -> None:
    arrays = [None if item is None else at(*item) for item in (starts, ends, axes, steps)]
    compare(tmp_path, "Slice", floats(7, 6), *arrays, const=[1, 2, 3, 4])


def test_parts_without_elements(tmp_path: Path) -> None:
    x = floats(5, 4)
    compare(tmp_path, "Slice", x, at(3), at(3), at(1), const=[1, 2, 3])
    compare(tmp_path, "Split", x, at(4, 0, 1), const=[1], outputs=3)
    feeds = {"x0": x}
    nodes = [
        helper.make_node("Split", ["x0", "sizes"], ["a", "b"], name="/split", axis=1),
        helper.make_node("Concat", ["b", "a", "b"], ["y"], name="/join", axis=1),
        helper.make_node("Concat", ["b", "b"], ["z"], name="/none", axis=1),
    ]
    compare_model(tmp_path, model_of(nodes, feeds, {"sizes": at(4, 0)}, ["y", "z"]), feeds)


def test_old_slice(tmp_path: Path) -> None:
    compare(tmp_path, "Slice", floats(7, 6), opset=9, starts=[1, 0], ends=[5, 3], axes=[1, 0])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(tmp_path: Path, axis: int) -> None:
    shapes = [[2, 3, 4] for _ in range(3)]
    for number, shape in enumerate(shapes):
        shape[axis] = number + 1
    compare(tmp_path, "Concat", *(floats(*shape) for shape in shapes), axis=axis)


def test_split(tmp_path: Path) -> None:
    compare(tmp_path, "Split", floats(7, 3), at(2, 4, 1), const=[1], outputs=3)
    compare(tmp_path, "Split", floats(3, 6), outputs=2, axis=-1)
    compare(tmp_path, "Split", floats(3, 7), outputs=3, opset=18, axis=1, num_outputs=3)
    compare(tmp_path, "Split", floats(7, 3), outputs=2, opset=11, split=[3, 4])


def test_tile(tmp_path: Path) -> None:
    compare(tmp_path, "Tile", floats(2, 3), at(3, 2), const=[1])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(tmp_path: Path, mode: str) -> None:
    compare(tmp_path, "DepthToSpace", floats(1, 8, 2, 3), blocksize=2, mode=mode)


def test_space_to_depth(tmp_path: Path) -> None:
    compare(tmp_path, "SpaceToDepth", floats(1, 2, 4, 6), blocksize=2)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("pads", [(1, 0, 0, 2), (0, 2, 3, 1), (0, -1, 1, 2)])
def test_pad(tmp_path: Path, mode: str, pads: tuple[int, ...]) -> None:
    compare(tmp_path, "Pad", floats(5, 4), at(*pads), const=[1], mode=mode)


def test_pad_values_axes_and_wrap(tmp_path: Path) -> None:
    value = np.array(7.5, np.float32)
    compare(tmp_path, "Pad", floats(5, 4), at(1, 2), value, at(1), const=[1, 2, 3], opset=18)
    compare(tmp_path, "Pad", floats(5, 4), at(1, 2, 0, 3), const=[1], opset=19, mode="wrap")
    compare(tmp_path, "Pad", floats(5, 4), at(1, -1, 0, 3), value, const=[1])
    compare(tmp_path, "Pad", floats(5, 4), opset=10, pads=[1, 0, 0, 2], value=2.0)


@pytest.mark.parametrize(
    ("indices", "primitive"),
    [
        (at(1, 2, 3), Move),
        (at(4, 2, 0), Move),
        (np.array(-1), Move),
        (at(3, 0, 4), Gather),
        (at(2, 2), Gather),
        (np.array([[0, 1], [2, 3]]), Move),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_gather_of_constants(
    tmp_path: Path, indices: np.ndarray, primitive: type, axis: int
) -> None:
    graph = compare(tmp_path, "Gather", floats(5, 6), indices, const=[1], axis=axis)
    assert [type(node.op) for node in graph.nodes] == [primitive]


@pytest.mark.parametrize("axis", [0, -1])
def test_gather(tmp_path: Path, axis: int) -> None:
    compare(tmp_path, "Gather", floats(5, 6), ints(2, 3, low=-5, high=5), axis=axis)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [-1, 0, 2])
def test_trilu(tmp_path: Path, upper: int, k: int) -> None:
    compare(tmp_path, "Trilu", floats(2, 4, 5), np.array(k), const=[1], upper=upper)
    compare(tmp_path, "Trilu", floats(2, 4, 5), np.array(k), upper=upper)


def test_one_hot(tmp_path: Path) -> None:
    values = np.array([0.5, 2.0], np.float32)
    depth = np.array(6)
    for axis in (-1, 0, 1):
        compare(
            tmp_path, "OneHot", ints(2, 3, low=-6, high=7), depth, values, const=[1, 2], axis=axis
        )


# --- pads of any width, and results without elements -----------------------------------------


@pytest.mark.parametrize("mode", ["wrap", "edge"])
@pytest.mark.parametrize(
    "pads", [[0, 7, 0, 9], [3, 0, 0, 3], [0, 2, 1, 2], [0, -1, 0, 7], [-1, 0, 5, -2]]
)
def test_pads_that_are_longer_than_the_data(tmp_path: Path, mode: str, pads: list[int]) -> None:
    value = np.array(7, np.float32)
    for more in ([], [value]):
        compare(
            tmp_path, "Pad", floats(2, 3), np.array(pads), *more, const=[1], opset=19, mode=mode
        )


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("widths", [(0, 9), (7, 0), (5, 8)])
def test_reflections_that_are_longer_than_the_data(
    tmp_path: Path, size: int, widths: tuple[int, int]
) -> None:
    """ONNX Runtime refuses them; NumPy goes there and back again."""
    pads = np.array([0, widths[0], 0, widths[1]])
    compare(
        tmp_path,
        "Pad",
        floats(2, size),
        pads,
        const=[1],
        opset=19,
        mode="reflect",
        oracle=run_evaluator,
    )


@pytest.mark.parametrize(
    "pads", [[0, -4, 0, 6], [0, 6, 0, -4], [0, -1, 0, -2], [-2, 0, 3, 0], [0, -3, 0, 0]]
)
@pytest.mark.parametrize("known", [True, False])
def test_pads_that_cut_everything_off(tmp_path: Path, pads: list[int], known: bool) -> None:
    value = np.array(7, np.float32)
    const = [1, 2] if known else [1]
    compare(tmp_path, "Pad", floats(2, 3), np.array(pads), value, const=const, opset=18)


def test_a_pad_to_less_than_nothing_is_refused() -> None:
    reason = refuse("Pad", floats(2, 3), np.array([0, -2, 0, -2]), const=[1], opset=18)
    assert reason == "a result of shape [2, -1]"


def test_movement_of_nothing(tmp_path: Path) -> None:
    compare(tmp_path, "Tile", floats(2, 3), np.array([0, 2]), const=[1])
    compare(tmp_path, "Gather", floats(2, 3), np.zeros((0, 2), np.int64), const=[1], axis=1)
    compare(tmp_path, "Gather", floats(0, 3), np.array([2, 0]), const=[1], axis=1)
