"""Results whose size the data decide, against ONNX's reference evaluator and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import helper

from tests.frontend.cases import compare, floats, ints, model_of, node, refuse
from wsc.errors import UnsupportedOperators
from wsc.frontend import import_model


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (2, 3, 50)])
def test_non_zero(tmp_path: Path, shape: tuple[int, ...]) -> None:
    graph = compare(tmp_path, "NonZero", ints(*shape, low=0, high=2))
    assert graph.outputs[0].length is not None
    compare(tmp_path, "NonZero", np.zeros(shape, np.float32))
    compare(tmp_path, "NonZero", floats(*shape))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_compress(tmp_path: Path, axis: int | None) -> None:
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    for condition in ([True, False, True, True], [False, False], [True], [False, True, True]):
        flags = np.array(condition)
        compare(tmp_path, "Compress", floats(5, 4), flags, **attributes)
        graph = compare(tmp_path, "Compress", floats(5, 4), flags, const=[1], **attributes)
        assert graph.outputs[0].length is None


@pytest.mark.parametrize("ordered", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_unique(tmp_path: Path, ordered: int, axis: int | None) -> None:
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    # Few values, so that slices are equal too.
    for x in (ints(6, 2, 3, low=0, high=2), floats(5, 4).round()):
        compare(tmp_path, "Unique", x, outputs=4, sorted=ordered, **attributes)
    compare(tmp_path, "Unique", ints(9, low=-3, high=3))


def boxes(batch: int, count: int) -> np.ndarray:
    corners = floats(batch, count, 2, low=0, high=1)
    sizes = floats(batch, count, 2, low=0.2, high=1)
    both = np.concatenate([corners, corners + sizes], axis=-1)
    both[:, ::2] = both[:, ::2, [2, 3, 0, 1]]  # corners in any order
    return both


@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("most", [0, 1, 2, 20])
def test_non_max_suppression(tmp_path: Path, centred: int, most: int) -> None:
    scores = floats(2, 3, 9, low=0, high=1)
    scores[:, :, 4] = scores[:, :, 7]  # equal scores keep their order
    limits = [np.array([most]), np.array([0.3], np.float32), np.array([0.2], np.float32)]
    found = floats(2, 9, 4, low=0.3, high=1) if centred else boxes(2, 9)
    compare(tmp_path, "NonMaxSuppression", found, scores, *limits, center_point_box=centred)
    compare(tmp_path, "NonMaxSuppression", found, scores, *limits[:2], center_point_box=centred)


def test_sums_over_a_size_that_data_decide_are_refused() -> None:
    feeds = {"x0": floats(3, 4)}
    nodes = [node("NonZero", 1), helper.make_node("ReduceSum", ["y0"], ["z"], name="/sum")]
    model = model_of(nodes, feeds, {}, ["z"])
    with pytest.raises(UnsupportedOperators) as caught:
        import_model(onnx_ir.from_proto(model))
    (operator,) = caught.value.operators
    assert (operator.op_type, operator.nodes) == ("ReduceSum", ("/sum",))
    assert operator.reason == (
        "the size of 'y0' along axis 1 depends on data, which this operator cannot take"
    )


def test_what_is_too_much(tmp_path: Path) -> None:
    assert "comparisons" in refuse("Unique", floats(2000))


def test_unique_tells_what_is_no_number_from_numbers(tmp_path: Path) -> None:
    x = np.array([2, np.nan, 7, -0.0, np.nan, 0, 2, np.inf], np.float32)

    def by_numpy(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = np.unique(feeds["x0"], return_index=True, return_inverse=True, return_counts=True)
        return [np.asarray(array) for array in found]

    compare(tmp_path, "Unique", x, outputs=4, oracle=by_numpy)
    reason = refuse("NonMaxSuppression", boxes(1, 200), floats(1, 1, 200))
    assert reason == "200 boxes (at most 128)"
    reason = refuse("Compress", floats(3), np.array([True] * 4))
    assert reason == "4 conditions for 3 slices"
