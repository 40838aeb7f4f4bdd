"""A call that begins as an earlier one did is not walked, and takes as long as if it were."""

from __future__ import annotations

import pytest

import wsc
from tests.stacks import decoder
from wsc.cost import again
from wsc.cost.predict import Prediction, predict
from wsc.cost.walk import Walk


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
