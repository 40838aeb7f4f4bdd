"""The benchmarks measure what they say: patterns, targets, the page, a process of its own."""

from __future__ import annotations

import pytest

from benchmarks.patterns import PATTERNS, saturated, streamed
from benchmarks.process import measured
from benchmarks.report import Result, Target, machine, markdown
from wsc import runtime
from wsc.isa.verifier import verify


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
