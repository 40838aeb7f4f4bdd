"""The conformance runner: what hangs or dies, other values, and the page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from conformance.page import markdown, rewritten
from conformance.pool import run_all
from conformance.run import FAILED, PASSED, REFUSED, Record, other_values, run_case
from conformance.suite import Case, load_cases

X = np.array([1, -2, 3], np.float32)


def model_of(op_type: str, size: int = 3) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [size]) for n in "xy"]
    node = helper.make_node(op_type, ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]  # one that both references know
    graph = helper.make_graph([node], "g", infos[:1], infos[1:])
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


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
        "a": PASSED,
        "hangs": FAILED,
        "dies": FAILED,
        "wrong": FAILED,
        "b": PASSED,
    }
    assert records["hangs"].reason == "hang: more than 5 s"
    assert records["dies"].reason == "crash: the process ended with code 3"
    assert records["wrong"].reason.startswith("differs")


def test_a_refusal_is_no_failure() -> None:
    record = run_case(case_of("strange", "NoSuchOperator"), "4x4")
    assert (record.status, record.reason) == (
        REFUSED,
        "NoSuchOperator: no lowering for this operator",
    )


def test_what_does_not_fit_goes_to_the_next_larger_fabric() -> None:
    x = np.arange(40_000, dtype=np.float32)
    large = Case("a", "node", "Neg", 0.0, 0.0, lambda: (model_of("Neg", x.size), [([x], [-x])]))
    record = run_case(large, "1x1")
    assert (record.status, record.fabric) == (REFUSED, "1x1")
    assert "use more tiles" in record.reason
    records = [run_case(large, "1x1", larger=["2x1", "4x4", "5x5"]), run_case(case_of("b"), "1x1")]
    assert [(record.status, record.fabric) for record in records] == [
        (PASSED, "4x4"),
        (PASSED, "1x1"),
    ]
    page = markdown([*records, records[1]], "1x1", ["node"], "")
    assert "3 passed, 0 failed, 0 refused, 1 of those passed on 4x4" in page


def test_where_one_reference_overflows_the_other_tells() -> None:
    x = np.array([0.0, 9999.0, 10000.0], np.float32)  # e to these is beyond f32
    want = np.array([-10000.0, -1.3132617, -0.3132617], np.float32)
    case = Case(
        "a", "node", "LogSoftmax", 1e-3, 1e-7, lambda: (model_of("LogSoftmax"), [([x], [want])])
    )
    record = run_case(case, "1x1", with_random=True)
    assert (record.status, record.random) == (PASSED, "agreed")


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


def test_large_networks_keep_their_section_and_their_rows() -> None:
    usual = [run_case(case_of("a"), "4x4")]
    big = Record("test_light_b", "light", "network", PASSED, "32x8", cycles=12_345, seconds=9.6)
    other = replace(big, name="test_light_a", status=FAILED, reason="differs")
    page = rewritten("", usual, "4x4", ["node"], "")
    assert page == markdown(usual, "4x4", ["node"], "")
    both = rewritten(rewritten(page, [big], "32x8", ["light"], ""), [other], "32x8", ["light"], "a")
    assert both.startswith(page)
    row = "| b | passed | 32x8 | 12,345 | 0 | 10 |\n"
    assert both.endswith("| a | failed: differs | 32x8 | 12,345 | 0 | 10 |\n" + row)
    assert rewritten(both, usual, "4x4", ["node"], "") == both
    again = rewritten(both, [replace(other, status=PASSED)], "32x8", ["light"], "a")
    assert again == both.replace("failed: differs", "passed")
