"""Every number of a fabric has a range, however the fabric is made."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from wsc.isa.fabric import PRESETS, Fabric, FabricError, find_fabric, presets, read_fabric
from wsc.isa.table import Timing

TINY = find_fabric("tiny")
NUMBERS = [
    item.name
    for item in fields(Fabric)
    if isinstance(getattr(TINY, item.name), int) and item.name != "dynamic"
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, 1 << 62, 1.5, True, "8"])
def test_a_number_beyond_its_range_is_refused_in_python(name: str, value: object) -> None:
    with pytest.raises(FabricError, match=r"fabric 'tiny': '[a-z_.]+' must be \d+ to \d+; got"):
        replace(TINY, **{name: value})


@pytest.mark.parametrize("queues", [(), (0,), (4, 1 << 20), (1,) * 63])
def test_queues_have_a_range_in_number_and_depth(queues: tuple[int, ...]) -> None:
    for name in ("input_queues", "output_queues"):
        with pytest.raises(FabricError, match=r"ramp\.(in|out)put_queues"):
            replace(TINY, **{name: queues})


@pytest.mark.parametrize("timing", list(Timing))
def test_every_timing_has_a_range(timing: Timing) -> None:
    row = TINY.timing[timing]
    for part, value in (("startup", 1 << 40), ("startup", -1), ("cycles", 1 << 40)):
        if part == "cycles" and not row.group:
            continue
        changed = TINY.timing | {timing: replace(row, **{part: value})}
        with pytest.raises(FabricError, match=rf"timing\.{timing.value}\.{part}"):
            replace(TINY, timing=changed)
    for dtype in row.group:
        changed = TINY.timing | {timing: replace(row, group=row.group | {dtype: 0})}
        with pytest.raises(FabricError, match=rf"timing\.{timing.value}\.{dtype.value}"):
            replace(TINY, timing=changed)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_energies_are_finite(value: float) -> None:
    with pytest.raises(FabricError, match=r"energy\.hop"):
        replace(TINY, energy=TINY.energy | {"hop": value})


def test_a_window_is_a_part_of_the_register_file() -> None:
    with pytest.raises(FabricError, match=r"'core.window' is 32, more than the 16"):
        replace(TINY, registers=16)


@pytest.mark.parametrize("name", presets())
def test_a_number_of_a_file_is_refused_with_the_file(name: str, tmp_path: Path) -> None:
    text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    (tmp_path / "other.toml").write_text(
        text.replace("dimensions = { value = ", "dimensions = { value = 9"), encoding="utf-8"
    )
    wanted = r"other\.toml: fabric '\w+': 'core\.dimensions' must be 1 to 8; got 9\d"
    with pytest.raises(FabricError, match=wanted):
        read_fabric(tmp_path / "other.toml")
