"""The conformance runner: what hangs or dies, other values, and the page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from conformance.page import markdown
from conformance.pool import run_all
from conformance.run import FAILED, PASSED, REFUSED, other_values, run_case
from conformance.suite import Case, load_cases

X = np.array([1, -2, 3], np.float32)


def model_of(op_type: str) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in "xy"]
    node = helper.make_node(op_type, ["x"], ["y"])
    return helper.make_model(helper.make_graph([node], "g", infos[:1], infos[1:]))


def case_of(name: str, op_type: str = "Neg", want: Any = -X) -> Case:
    return Case(name, "node", op_type, 1e-3, 1e-7, lambda: (model_of(op_type), [([X], [want])]))


def broken(name: str, what: Any) -> Case:
    def load() -> tuple[onnx.ModelProto, Sequence[Any]]:
        what()
        raise AssertionError("not reached")

    return Case(name, "node", "Neg", 0.0, 0.0, load)


def test_a_case_that_hangs_or_dies_costs_its_own_result_alone() -> None:
    cases = [
        case_of("a"),
        broken("hangs", lambda: time.sleep(60)),
        broken("dies", lambda: os._exit(3)),
        case_of("wrong", want=X),
        case_of("b"),
    ]
    records = {record.name: record for record in run_all(cases, "4x4", 1, 5.0)}
    assert {name: record.status for name, record in records.items()} == {
        "a": PASSED, "hangs": FAILED, "dies": FAILED, "wrong": FAILED, "b": PASSED,
    }  # fmt: skip
    assert records["hangs"].reason == "hang: more than 5 s"
    assert records["dies"].reason == "crash: the process ended with code 3"
    assert records["wrong"].reason.startswith("differs")


def test_a_refusal_is_no_failure() -> None:
    record = run_case(case_of("strange", "NoSuchOperator"), "4x4")
    assert (record.status, record.reason) == (
        REFUSED, "NoSuchOperator: no lowering for this operator",
    )  # fmt: skip


def test_other_values_are_tried_against_the_reference() -> None:
    record = run_case(case_of("a"), "1x1", with_random=True)
    assert (record.status, record.random) == (PASSED, "agreed")


def test_other_values_are_like_those_given() -> None:
    rng = np.random.default_rng(0)
    floats = other_values(np.array([0.5, 2.0, 1.0], np.float16), rng)
    assert floats.dtype == np.float16
    assert (floats > 0).all()
    index = np.array([[3, 0], [2, 1]], np.int64)
    assert sorted(other_values(index, rng).ravel()) == [0, 1, 2, 3]


def test_the_suites_on_disk_are_read() -> None:
    (case,) = load_cases(["simple"], "^test_sign_model$")
    model, ((inputs, outputs),) = case.load()
    assert (case.operator, len(inputs), len(outputs)) == ("Sign", len(model.graph.input), 1)


def test_the_page_names_command_counts_and_reasons() -> None:
    records = [run_case(case, "4x4") for case in (case_of("a"), case_of("b", want=X))]
    page = markdown(records, "4x4", ["node"], "")
    assert "`python -m conformance --markdown docs/conformance.md`" in page
    assert "| Neg | 2 | 1 | 1 |  |" in page


def test_no_case_matches() -> None:
    with pytest.raises(ValueError, match="no such suite"):
        load_cases(["nodes"])
