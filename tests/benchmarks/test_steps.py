"""What a step of many layers takes, by a few that stand for all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import steps
from wsc.cost.predict import predict
from wsc.isa.fabric import find_fabric


def test_the_rate_is_that_of_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden": 16, "heads": 2, "ffn": 32, "vocabulary": 24, "layers": 8}
    shape = steps.find_shape("gpt-neox-20b").sized(**sizes)
    monkeypatch.setattr(steps, "find_shape", lambda name: shape)
    fabric = find_fabric("wse2").sized(2, 2)
    rate = steps.predicted("gpt-j-6b", None, 2, 2, fabric, away=True)
    step = replace(steps.stepped("gpt-j-6b", 8, 2, 2, fabric), short=None).recomputing(away=True)
    _, program = steps.compiled(step, fabric)
    prediction = predict(program, fabric)
    assert rate.cycles == prediction.cycles
    assert rate.joules == pytest.approx(sum(prediction.energy.values()) * 1e-12)
    # What is computed again is no useful work.
    assert 0 < rate.macs < prediction.macs
    cells = rate.line(fabric).split(" | ")
    assert cells[0] == "| gpt-j-6b, 2 of 2"
    assert cells[4] == "44.75"
