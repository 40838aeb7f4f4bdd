"""An estimate walks a few layers and counts the others as those."""

from __future__ import annotations

import numpy as np
import pytest

import wsc
from tests.stacks import decoder
from wsc.cost import steady
from wsc.cost.predict import predict
from wsc.cost.walk import Walk


def walked(model_layers: int, patch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(predicted cycles, calls that were walked)."""
    program = wsc.compile(decoder(model_layers), "4x4")
    seen: list[object] = []
    call = Walk._call  # pyright: ignore[reportPrivateUsage]
    patch.setattr(Walk, "_call", lambda self, *rest: (seen.append(rest[0]), call(self, *rest))[1])
    prediction = predict(program.assembly, program.fabric)
    patch.undo()
    assert prediction.macs == sum(item.macs for item in prediction.calls)
    assert sum(item.added for item in prediction.calls) <= prediction.cycles
    return prediction.cycles, len(seen)


def test_deep_networks_take_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    cycles, calls = walked(12, monkeypatch)
    deeper, still = walked(24, monkeypatch)
    assert still == calls
    assert deeper == pytest.approx(2 * cycles, rel=0.02)


def test_the_others_take_as_long_as_if_they_were_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    cycles, _ = walked(9, monkeypatch)
    monkeypatch.setattr(steady.Layers, "skip", lambda self, walk, turn: 0)
    program = wsc.compile(decoder(9), "4x4")
    whole = predict(program.assembly, program.fabric)
    assert whole.cycles == pytest.approx(cycles, rel=1e-3)
    run = program.run({"x": np.ones((1, 6, 16), np.float32)})
    assert run.cycles == pytest.approx(cycles, rel=0.05)
