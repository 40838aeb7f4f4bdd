"""An estimate walks a few layers and counts the others as those."""

from __future__ import annotations

import numpy as np
import pytest

import wsc
from tests.stacks import decoder
from wsc.api import compile_step
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


def test_what_layers_hand_on_and_take_back_comes_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks cross the edge in every layer of a step, forwards and backwards."""
    step = compile_step(decoder(9), "mse", "sgd", fabric="4x4", recompute="edge")
    skip, skipped = steady.Layers.skip, list[int]()

    def watched(self: steady.Layers, walk: Walk, turn: int) -> int:
        skipped.append(skip(self, walk, turn))
        return skipped[-1]

    monkeypatch.setattr(steady.Layers, "skip", watched)
    few = predict(step.assembly, step.fabric)
    assert sum(skipped) >= 6
    monkeypatch.setattr(steady.Layers, "skip", lambda self, walk, turn: 0)
    whole = predict(step.assembly, step.fabric)
    assert whole.cycles == pytest.approx(few.cycles, rel=1e-3)
    assert whole.macs == few.macs
    assert whole.energy == pytest.approx(few.energy)
