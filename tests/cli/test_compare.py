"""Errors against a reference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from isa.types import DType
from tests.cli.helpers import mlp
from wsc.compare import Reference, compare
from wsc.errors import CompileError


def test_the_worst_element() -> None:
    reference = np.array([[1.0, -8.0], [2.0, 4.0]], np.float32)
    ours = reference + np.array([[0, 0], [0.5, 0.25]], np.float32)
    item = compare("y", ours, reference, DType.F32)
    assert (item.absolute, item.relative, item.index) == (0.5, 0.0625, (1, 0))
    assert (item.ours, item.reference, item.magnitude) == (2.5, 2.0, 8.0)
    assert not item.agrees


@pytest.mark.parametrize(("dtype", "tolerance"), [(DType.F32, 1e-4), (DType.F16, 2e-2)])
def test_tolerance_is_a_part_of_the_largest_magnitude(dtype: DType, tolerance: float) -> None:
    reference = np.array([0.0, 100.0])
    for size, agrees in ((99, True), (101, False)):
        ours = reference + np.array([size * tolerance, 0])
        assert compare("y", ours, reference, dtype).agrees is agrees


def test_values_that_are_not_finite() -> None:
    reference = np.array([np.inf, -np.inf, np.nan, 1.0])
    assert compare("y", reference, reference, DType.F32).agrees
    for wrong in (np.nan, np.inf):
        item = compare("y", np.array([np.inf, -np.inf, np.nan, wrong]), reference, DType.F32)
        assert math.isinf(item.absolute)
        assert not item.agrees
        assert item.as_dict()["absolute"] == "inf"


def test_zero_references_and_empty_outputs() -> None:
    zeros = np.zeros(3)
    assert compare("y", zeros, zeros, DType.F32).agrees
    assert not compare("y", zeros + 1, zeros, DType.F32).agrees
    assert compare("y", np.zeros((0, 2)), np.zeros((0, 2)), DType.F32).agrees


def test_other_shapes() -> None:
    with pytest.raises(CompileError, match=r"shape \[2\], ONNX Runtime gives \[3\]"):
        compare("y", np.zeros(2), np.zeros(3), DType.F32)


def test_a_reference_of_another_model(tmp_path: Path) -> None:
    reference = Reference(mlp(tmp_path))
    reference.require(["x"], ["logits"])
    for inputs, outputs, reason in (
        (["x"], ["scores"], "no output 'scores'"),
        (["x", "z"], ["logits"], "no input 'z'"),
        ([], ["logits"], "--bind x="),
    ):
        with pytest.raises(CompileError, match=reason):
            reference.require(inputs, outputs)


def test_a_reference_without_its_input(tmp_path: Path) -> None:
    reference = Reference(mlp(tmp_path))
    with pytest.raises(CompileError, match="ONNX Runtime"):
        reference.run({"x": np.zeros((3, 3), np.float32)}, ["logits"])
