"""Bands of columns, each run by a core of the host: what a run gives never depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.agreement import differences, random_inputs
from tests.runtime.generate import generate
from tests.runtime.programs import program
from tests.runtime.values.test_engine import WRITTEN
from wsc import runtime
from wsc.isa.parser import parse
from wsc.runtime.decisions import decisions
from wsc.runtime.errors import Deadlock, ExecutionFault
from wsc.runtime.image import Image
from wsc.runtime.store import check_inputs
from wsc.runtime.values import bands, engine
from wsc.runtime.values.engine import Executed, Execution


def executed(image: Image, inputs: Mapping[str, np.ndarray], count: int) -> Executed | None:
    """A run in so many bands, with what a run for time needs; None if it does not end well."""
    flat = check_inputs(image.program, inputs)
    try:
        return Execution(image, flat, None, decisions(image).deciding, count).run(None)
    except (ExecutionFault, Deadlock):
        return None


def assert_same(image: Image, inputs: Mapping[str, np.ndarray]) -> bool:
    """One, two and three bands give the same; whether the run ends well."""
    one = executed(image, inputs, 1)
    for count in range(2, min(image.program.width, 3) + 1):
        found = list(differences(one, executed(image, inputs, count), f"{count} bands"))
        assert not found, "\n".join(found[:20])
    return one is not None


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands hand over what they have after a few instructions."""
    monkeypatch.setattr(engine, "BAND_SLICE", 500)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_written_programs(path: Path) -> None:
    written = parse(path.read_text(encoding="utf-8"), str(path))
    assert assert_same(runtime.load(written, weights_dir=path.parent), random_inputs(written))


def test_random_programs() -> None:
    well = 0
    for seed in range(1100, 1140):
        case = generate(seed)
        well += assert_same(runtime.load(case.program, case.fabric), case.inputs)
    assert well > 20


def test_a_run_that_does_not_end_well_is_told_by_one_band() -> None:
    """The sentence names what the first tile waits for, whoever found that out."""
    body = """
color row = 0
tensor buf : f32[1] at 0 size 4
region all at 0,0 size 4x1
route row in all when x == 0 : RAMP -> E
route row in all when x > 0 : W -> RAMP
main all
  if x > 0
    mov.f32 [buf], <row>
  end
end
"""
    image = runtime.load(program(body, "4x1"))
    told = []
    for count in (1, 2):
        with pytest.raises(Deadlock) as error:
            engine.execute(image, {}, bands=count)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_to_look_at_what_waits_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends although in each column more threads wait than a turn has work."""
    body = """
region all at 0,0 size 8x9
main all
  if y % 2 == 0
    wait s0, 1
  else
    wait s1, 1
  end
end
"""
    monkeypatch.setattr(engine, "BAND_SLICE", 130)
    image = runtime.load(program(body, "8x9"))
    with pytest.raises(Deadlock):
        engine.execute(image, {}, bands=2)


@pytest.mark.parametrize(
    ("width", "work", "cores", "wanted"),
    [(64, 1 << 40, 2, 2), (6, 1 << 40, 8, 1), (750, 1 << 40, 64, 8), (64, 1000, 2, 1)],
)
def test_bands_are_for_large_programs(
    width: int, work: int, cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "hosts", lambda: cores)
    case = generate(1100)
    image = runtime.load(case.program, case.fabric)
    image = replace(image, program=replace(case.program, width=width, work=work))
    assert bands.worthwhile(image) == wanted
