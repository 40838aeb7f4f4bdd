"""Errors against a reference."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.cli.helpers import mlp
from wsc.comparison.compare import Reference, compare, with_opinion
from wsc.errors import CompileError
from wsc.isa.types import DType


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
        ([], ["logits"], "bind=\\{'x': array"),
    ):
        with pytest.raises(CompileError, match=reason):
            reference.require(inputs, outputs)


def test_a_reference_without_its_input(tmp_path: Path) -> None:
    reference = Reference(mlp(tmp_path))
    with pytest.raises(CompileError, match="ONNX Runtime"):
        reference.run({"x": np.zeros((3, 3), np.float32)}, ["logits"])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8, np.bool_, ml_dtypes.int4])
def test_what_is_not_rounded_must_be_equal(dtype: type) -> None:
    reference = np.array([1, 0, 1]).astype(dtype)
    assert compare("y", reference, reference, DType.F16).agrees
    item = compare("y", np.array([1, 0, 0]).astype(dtype), reference, DType.F16)
    assert not item.agrees
    assert (item.index, item.ours, item.reference, item.absolute) == ((2,), 0, 1, 1.0)


def test_large_integers_differ_by_one() -> None:
    reference = np.array([2**62, 2**53], np.int64)
    item = compare("y", reference + np.array([0, 1]), reference, DType.F32)
    assert not item.agrees
    assert (item.ours, item.reference) == (2**53 + 1, 2**53)


def test_strings_must_be_equal() -> None:
    words = np.array(["cat", "dog"], object)
    assert compare("y", words, words, DType.F32).agrees
    item = compare("y", np.array(["cat", "cow"], object), words, DType.F32)
    assert (item.agrees, item.ours, item.reference) == (False, "cow", "dog")


def test_a_second_opinion_decides_only_against_the_reference_that_is_off() -> None:
    double = {"y": np.array([1.0, 2.0])}
    right, off = np.array([1.0, 2.00001]), np.array([1.0, 2.01])
    for ours, reference, agrees in ((right, off, True), (off, right, False), (off, -off, False)):
        first = compare("y", ours, reference, DType.F32)
        assert not first.agrees
        (item,) = with_opinion([first], {"y": ours}, {"y": reference}, double, DType.F32)
        assert item.opinion is not None
        assert item.agrees is item.reference_is_off is agrees
        assert json.loads(json.dumps(item.as_dict()))["second_opinion"]["ours"] == pytest.approx(
            item.opinion.ours
        )


def test_no_opinion_on_what_agrees_or_has_no_result_in_double() -> None:
    one = {"y": np.ones(2)}
    fine = compare("y", one["y"], one["y"], DType.F32)
    other = compare("y", one["y"], 2 * one["y"], DType.F32)
    assert with_opinion([fine], one, one, one, DType.F32) == [fine]
    assert with_opinion([other], one, one, {}, DType.F32) == [other]
