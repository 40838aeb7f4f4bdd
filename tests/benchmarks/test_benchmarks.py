"""The benchmarks measure what they say: patterns, targets, the page, a process of its own."""

from __future__ import annotations

from typing import Any

import pytest
from numba.core import ir
from numba.core.compiler import run_frontend

from benchmarks.patterns import PATTERNS, saturated, streamed
from benchmarks.process import measured
from benchmarks.report import Result, Target, machine, markdown
from benchmarks.uncounted import leave_out
from wsc import runtime
from wsc.isa.verifier import verify
from wsc.runtime.engine import kernel_flow, kernel_main, kernel_rows, kernel_tree, kernel_unit


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_verify(name: str) -> None:
    pattern = PATTERNS[name]("8x6", 20)
    verify(pattern.program, pattern.fabric.sized(8, 6))


def test_saturated_links_are_busy_in_nearly_every_cycle() -> None:
    pattern = saturated("6x5", 500)
    result = runtime.run(pattern.program, {}, fabric=pattern.fabric)
    links = 2 * 5 * 5 + 2 * 4 * 4  # both ways along 5 rows, and along the inner 4 columns
    assert result.counters.links[..., :4].sum() == links * 500
    assert result.cycles < 1.1 * 500


def test_streamed_weights_multiply_in_every_tile() -> None:
    pattern = streamed("3x2", 50)
    result = runtime.run(pattern.program, pattern.inputs, fabric=pattern.fabric)
    assert result.counters.macs_f32 == 3 * 2 * 50 * 16
    assert result.counters.utilization > 0.9


def test_targets_are_met_or_missed_and_the_page_says_so() -> None:
    good, bad = Target("a", 1, 2, "s"), Target("b", 49.9, 50, "%", at_least=True)
    assert (good.met, bad.met) == (True, False)
    result = Result("t", "Title", ("what", "n"), [["x", "1"]], [good, bad], ["A note."])
    page = markdown([result], machine(), "python -m benchmarks t")
    assert "| a | at most 2 s | 1 s | met |" in page
    assert "| b | at least 50 % | 49.9 % | missed |" in page
    assert "| what | n |\n| --- | ---: |\n| x | 1 |\n\nA note." in page


def test_a_task_runs_in_a_process_of_its_own() -> None:
    found = measured(
        "engine", {"program": "streamed fmac", "size": "2x2", "count": 4, "repeats": 1}
    )
    assert found["macs"] == 2 * 2 * 4 * 16
    assert 2**25 < found["peak_bytes"] < 2**32
    assert found["process_seconds"] > found["load_seconds"]
    with pytest.raises(RuntimeError, match="benchmark task 'engine' failed"):
        measured("engine", {})


@pytest.mark.parametrize(
    ("kernel", "counting", "other"),
    [
        (kernel_rows.settle_rows, 3, 1),
        (kernel_main.enter_statement, 5, 2),
        (kernel_tree.feed_through, 1, 4),  # bytes; elements, values and the port
        (kernel_unit.send_control, 3, 3),
        (kernel_unit.wait_row, 1, 2),
        (kernel_flow.serve_link, 0, 2),
    ],
)
def test_an_engine_without_counters_leaves_out_what_counts(
    kernel: Any, counting: int, other: int
) -> None:
    function = run_frontend(kernel.py_func)
    assert (_stores(function), "lose" in _calls(function)) == (
        counting + other, kernel is kernel_flow.serve_link,
    )  # fmt: skip
    leave_out(function)
    assert _stores(function) == other
    assert not {"lose", "account"} & _calls(function)


def _stores(function: Any) -> int:
    return sum(len(list(b.find_insts(ir.SetItem))) for b in function.blocks.values())


def _calls(function: Any) -> set[str]:
    names: dict[str, str] = {}
    called: set[str] = set()
    for block in function.blocks.values():
        for statement in block.find_insts(ir.Assign):
            value: Any = statement.value
            if isinstance(value, ir.Global):
                names[statement.target.name] = value.name
            elif isinstance(value, ir.Expr) and value.op == "call":
                called.add(names.get(value.func.name, ""))
    return called
