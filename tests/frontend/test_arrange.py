"""Crops, columns, reversed sequences and n-grams against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, ints, refuse


@pytest.mark.parametrize("shape", [(4, 6), (9, 3), (5, 10), (7, 7)])
def test_center_crop_pad(tmp_path: Path, shape: tuple[int, ...]) -> None:
    compare(tmp_path, "CenterCropPad", floats(7, 7), np.array(shape), const=[1], opset=18)
    compare(
        tmp_path,
        "CenterCropPad",
        floats(2, 7, 6, 3),
        np.array(shape),
        const=[1],
        opset=18,
        axes=[1, -1],
    )


BLOCKS: list[tuple[tuple[int, ...], tuple[int, ...], int, dict[str, Any]]] = [
    ((5, 5), (1, 5), 5, {}),
    ((5, 6), (2, 3), 4, {"strides": [3, 2]}),
    ((5, 5), (2, 2), 16, {"pads": [1, 0, 1, 0], "dilations": [3, 1]}),
    ((4, 5, 3), (2, 1, 3), 15, {}),
]


@pytest.mark.parametrize(("image", "block", "count", "attributes"), BLOCKS)
def test_col2im(
    tmp_path: Path,
    image: tuple[int, ...],
    block: tuple[int, ...],
    count: int,
    attributes: dict[str, Any],
) -> None:
    x = floats(2, 3 * int(np.prod(block)), count)
    compare(
        tmp_path,
        "Col2Im",
        x,
        np.array(image),
        np.array(block),
        const=[1, 2],
        opset=18,
        **attributes,
    )


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0)])
def test_reverse_sequence(tmp_path: Path, time: int, batch: int) -> None:
    lengths = np.array([1, 4, 2])
    shape = (4, 3, 2) if batch == 1 else (3, 4, 2)
    attributes: dict[str, Any] = {"time_axis": time, "batch_axis": batch}
    compare(tmp_path, "ReverseSequence", floats(*shape), lengths, **attributes)
    compare(tmp_path, "ReverseSequence", floats(*shape[:2]), lengths, **attributes)


@pytest.mark.parametrize("k", [-1, 0, 2])
def test_eye_like(tmp_path: Path, k: int) -> None:
    compare(tmp_path, "EyeLike", floats(3, 5), k=k)
    compare(tmp_path, "EyeLike", ints(4, 2, dtype=np.int32), k=k, dtype=1)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize(("low", "high", "gaps"), [(1, 1, 0), (2, 2, 5), (1, 2, 1), (2, 3, 0)])
def test_counts_of_n_grams(tmp_path: Path, mode: str, low: int, high: int, gaps: int) -> None:
    pool = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 1, 2, 3, 2, 2, 2]
    attributes = {
        "mode": mode,
        "min_gram_length": low,
        "max_gram_length": high,
        "max_skip_count": gaps,
        "pool_int64s": pool,
        "ngram_counts": [0, 4, 10],
        "ngram_indexes": [0, 1, 2, 3, 4, 8, 6, 5, 7],
        "weights": [0.5, 1, 2, 3, 4, 5, 6, 7, 8],
    }
    compare(tmp_path, "TfIdfVectorizer", ints(2, 12, low=1, high=9), **attributes)
    compare(tmp_path, "TfIdfVectorizer", ints(4, low=1, high=4, dtype=np.int32), **attributes)


def test_what_is_refused(tmp_path: Path) -> None:
    reason = refuse(
        "ReverseSequence", floats(2, 3, 4), np.array([1, 2, 3, 4]), time_axis=1, batch_axis=2
    )
    assert reason == "time and batch are not the first two dimensions"
