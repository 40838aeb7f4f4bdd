"""Spectra, windows and mel weights against ONNX Runtime and the reference evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, refuse, run_evaluator


@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("axis", "length"), [(1, None), (-2, 8), (1, 5), (1, 3)])
def test_dft(tmp_path: Path, inverse: int, parts: int, axis: int, length: int | None) -> None:
    count = None if length is None else np.array(length)
    compare(
        tmp_path,
        "DFT",
        floats(2, 5, parts),
        count,
        np.array(axis),
        const=[1, 2],
        opset=20,
        inverse=inverse,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("length", [None, 6, 7])
def test_half_spectra(tmp_path: Path, length: int | None) -> None:
    count = None if length is None else np.array(length)
    place = np.array(1)
    compare(
        tmp_path,
        "DFT",
        floats(2, 6, 3, 1),
        count,
        place,
        const=[1, 2],
        opset=20,
        onesided=1,
        oracle=run_evaluator,
    )
    compare(
        tmp_path,
        "DFT",
        floats(2, 4, 3, 2),
        count,
        place,
        const=[1, 2],
        opset=20,
        onesided=1,
        inverse=1,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("const", [[1, 2, 3], [1, 3]])
def test_stft(tmp_path: Path, onesided: int, const: list[int]) -> None:
    step, length, window = np.array(3), np.array(8), floats(8)
    signal = floats(2, 20, 1)
    compare(tmp_path, "STFT", signal, step, window, length, const=const, onesided=onesided)
    compare(tmp_path, "STFT", signal, step, None, length, const=const, onesided=onesided)


@pytest.mark.parametrize("op_type", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(tmp_path: Path, op_type: str, periodic: int) -> None:
    compare(tmp_path, op_type, np.array(10), const=[0], periodic=periodic, oracle=run_evaluator)


@pytest.mark.parametrize("const", [[0, 1], [0, 1, 2, 3, 4]])
def test_mel_weight_matrix(tmp_path: Path, const: list[int]) -> None:
    counts = [np.array(8), np.array(64), np.array(8000)]
    edges = [np.array(20.0, np.float32), np.array(3500.0, np.float32)]
    compare(tmp_path, "MelWeightMatrix", *counts, *edges, const=const)


def test_what_a_transform_refuses(tmp_path: Path) -> None:
    reason = refuse("DFT", floats(1, 5000, 1), None, np.array(1), const=[2], opset=20)
    assert reason == "a transform of 5000 samples (at most 4096)"
