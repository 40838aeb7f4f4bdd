"""Long recurrences against ONNX Runtime: their steps are turns of a loop of main."""

from __future__ import annotations

import pytest

from tests.e2e.long import feeds_of, long_recurrence, long_scan
from tests.fabric import build, compare
from wsc.cost.agreement import pairs
from wsc.cost.predict import predict
from wsc.isa.code_size import code_bytes
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Loop
from wsc.views.report import kernel_rows

MODELS = {
    "LSTM": long_recurrence("LSTM", 24, 6),
    "GRU": long_recurrence("GRU", 20, 5, batch=2),
    "RNN": long_recurrence("RNN", 20, 6, direction="reverse"),
    "both": long_recurrence("LSTM", 18, 4, direction="bidirectional"),
    "scan": long_scan(20, 7),
}


@pytest.mark.parametrize("fabric", ["4x4", "1x1", "3x5"])
@pytest.mark.parametrize("name", MODELS)
def test_values(name: str, fabric: str) -> None:
    compare(MODELS[name], feeds_of(MODELS[name]), fabric)


def test_code_does_not_grow_with_the_steps() -> None:
    sizes: list[int] = []
    for steps in (40, 300):
        program = build(long_recurrence("LSTM", steps, 16), "4x4")
        sizes.append(code_bytes(program.assembly, program.fabric)["all"])
    assert abs(sizes[1] - sizes[0]) < 16
    text = print_program(program.assembly)
    assert len(text.splitlines()) < 650
    assert print_program(parse(text)) == text


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_cycles_of_calls_in_a_loop(name: str) -> None:
    """Counted and predicted over all turns; together they are the run."""
    model = MODELS[name]
    program = build(model, "4x4")
    assert any(isinstance(item, Loop) for item in program.assembly.regions[0].main)
    run = program.run(feeds_of(model))
    prediction = predict(program.assembly, program.fabric)
    assert [pair for pair in pairs(prediction, run.counters.statements) if not pair.agrees] == []
    rows = kernel_rows(program.assembly, program.fabric, run.counters.statements, prediction)
    assert 0 <= run.cycles - sum(row.added for row in rows) < 20
    assert all(row.added <= row.cycles for row in rows)
    assert all(row.utilization <= 1 for row in rows)
