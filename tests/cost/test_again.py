"""A call that begins as an earlier one did is not walked, and takes as long as if it were."""

from __future__ import annotations

import numpy as np
import pytest

import wsc
from tests.stacks import decoder
from wsc.cost import again
from wsc.cost.predict import Prediction, predict
from wsc.cost.walk import Walk
from wsc.flows.chain import ChainStream
from wsc.flows.stream import NOTHING, after


def predicted(program: wsc.Program, patch: pytest.MonkeyPatch) -> tuple[Prediction, int]:
    """The prediction, and how many calls were walked for it."""
    seen: list[object] = []
    call = Walk._call  # pyright: ignore[reportPrivateUsage]
    patch.setattr(Walk, "_call", lambda self, *rest: (seen.append(rest[0]), call(self, *rest))[1])
    found = predict(program.assembly, program.fabric)
    patch.undo()
    return found, len(seen)


@pytest.mark.parametrize("fabric", ["4x4", "1x5", "30x3"])
def test_as_if_all_were_walked(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = wsc.compile(decoder(4), fabric)
    some, few = predicted(program, monkeypatch)
    monkeypatch.setattr(again.Calls, "again", lambda *_: False)
    whole, many = predicted(program, monkeypatch)
    assert few < many
    assert some.cycles == whole.cycles
    assert [item.added for item in some.calls] == [item.added for item in whole.calls]
    assert some.macs == whole.macs
    assert some.energy == pytest.approx(whole.energy)


@pytest.mark.parametrize("fabric", ["4x4", "1x5"])
def test_a_state_is_the_same_at_another_cycle(fabric: str) -> None:
    """Whatever part of the units and of the chains' words is under way."""
    program = wsc.compile(decoder(1), fabric)
    walk = Walk(program.assembly, program.fabric)
    walk.run()
    flows = frozenset(flow for flow, _ in walk.streams.items())
    random = np.random.default_rng(1)
    for under_way in (0.0, 0.5, 1.0):
        base, later = float(walk.time.min()), float(walk.time.min()) + 1000.0
        for times in [walk.unit, *(s.until for s in walk.streams if isinstance(s, ChainStream))]:
            some = random.random(times.shape) < under_way
            times[...] = base + np.where(some, random.integers(1, 99, times.shape), -5.0)
        state = again.State.of(walk, base, flows)
        units = np.maximum(walk.unit - base, 0.0)
        state.set_clocks(walk, later)
        state.restore(walk, later, flows)
        assert again.State.of(walk, later, flows).digest() == state.digest()
        assert (walk.unit - later == units).all()


def test_what_is_over_takes_no_place_in_a_state() -> None:
    times = np.array([[3.0, 5.0], [7.0, 4.0]])
    assert after(times, 7.0) is NOTHING
    assert after(times, 4.0, times < 5.0) is NOTHING
    assert after(times, 4.0).tolist() == [[0.0, 1.0], [3.0, 0.0]]
    assert after(times, 4.0, times < 6.0).tolist() == [[0.0, 1.0], [0.0, 0.0]]
