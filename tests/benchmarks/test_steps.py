"""What a step of many layers takes is reckoned from steps of few."""

from __future__ import annotations

import pytest

from benchmarks import steps
from wsc.cost.predict import predict
from wsc.isa.fabric import find_fabric


def test_each_layer_more_takes_as_long_as_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden": 16, "heads": 2, "ffn": 32, "vocabulary": 24, "layers": 9}
    shape = steps.find_shape("gpt-neox-20b").sized(**sizes)
    monkeypatch.setattr(steps, "find_shape", lambda name: shape)
    fabric = find_fabric("wse2").sized(2, 2)
    rate = steps.predicted("gpt-j-6b", None, 2, 2, fabric)
    _, program = steps.compiled(steps.stepped("gpt-j-6b", 9, 2, 2, fabric).recomputing(), fabric)
    prediction = predict(program, fabric)
    assert rate.cycles == pytest.approx(prediction.cycles, rel=0.005)
    assert rate.joules == pytest.approx(sum(prediction.energy.values()) * 1e-12, rel=0.005)
    # What is computed again is no useful work.
    assert 0 < rate.macs < prediction.macs
    cells = rate.line(fabric).split(" | ")
    assert cells[0] == "| gpt-j-6b, 2 of 2"
    assert cells[4] == "44.75"
