"""The machine of a program: a named fabric, the numbers that were changed, and a digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import PRESETS, Fabric, FabricError, Grade, find_fabric, followed, read_fabric
from wsc.isa.machine import described, machine_of, read_settings, strange
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Program
from wsc.isa.table import Timing

KEYS = tuple(find_fabric("wse2").numbers())


def _program(fabric: Fabric) -> Program:
    """The program after a way through text."""
    return parse(print_program(described(Program("", 2, 2), fabric)))


def _other(key: str, value: Any) -> Any:
    """Another number of the same kind, in its range."""
    if key == "dynamic.present":
        return 1 - value
    if isinstance(value, tuple):
        return (*value, 3)
    return value + 1


@pytest.mark.parametrize("preset", ["wse2", "tiny"])
@pytest.mark.parametrize("key", KEYS)
def test_every_number_is_kept(preset: str, key: str) -> None:
    fabric = find_fabric(preset)
    changed = fabric.changed({key: _other(key, fabric.numbers()[key])})
    assert changed != fabric
    program = _program(changed)
    assert program.fabric == preset
    within = replace(changed, width=fabric.width, height=fabric.height)
    assert machine_of(program) in (changed, within)
    assert not strange(program, machine_of(program))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(KEYS), unique=True, max_size=6))
def test_numbers_change_together(keys: list[str]) -> None:
    fabric = find_fabric("wse2")
    numbers = fabric.numbers()
    changed = fabric.changed({key: _other(key, numbers[key]) for key in keys})
    follow = {key for key in KEYS if followed(key) in keys}
    assert {k for k, v in changed.numbers().items() if v != numbers[k]} == {*keys, *follow}
    assert machine_of(_program(changed)).numbers() == changed.numbers()


def test_a_fabric_as_it_is_has_no_settings() -> None:
    for preset in ("wse2", "tiny"):
        program = _program(find_fabric(preset).sized(2, 2))
        assert program.settings == ()
        assert machine_of(program) == find_fabric(preset)


def test_fields_changed_in_python_are_kept() -> None:
    fabric = find_fabric("wse2")
    timing = {**fabric.timing, Timing.MOVE: replace(fabric.timing[Timing.MOVE], startup=9)}
    changed = replace(fabric, io_bytes_per_cycle=8, timing=timing, name="mine")
    text = print_program(described(Program("", 2, 2), changed))
    assert "set io.bytes_per_cycle = 8\nset timing.move.startup = 9\n" in text
    assert "set timing.move.queue.startup = 2\n" in text  # what was said of SRAM alone
    assert machine_of(parse(text)).numbers() == changed.numbers()


def test_a_fabric_made_in_python_is_kept() -> None:
    """It has no description: it is told by what differs from the default one."""
    fabric = replace(find_fabric("tiny"), source="", evidence=())
    program = _program(fabric)
    assert program.fabric == "wse2"
    assert machine_of(program).numbers() == {
        **fabric.numbers(),
        "size.width": 750,
        "size.height": 994,
    }


def test_a_number_changed_in_python_keeps_its_range() -> None:
    with pytest.raises(FabricError, match=r"router\.buffer_depth"):
        described(Program("", 2, 2), replace(find_fabric("wse2"), router_buffer_depth=0))


def test_a_changed_number_is_graded_as_assumed() -> None:
    fabric = find_fabric("wse2").changed({"io.bytes_per_cycle": 8})
    grades = {item.key: item.grade for item in fabric.evidence}
    assert grades["io.bytes_per_cycle"] is Grade.ASSUMED
    assert grades["router.colors"] is Grade.PRIMARY


def test_a_larger_fabric_is_kept() -> None:
    fabric = replace(find_fabric("wse2"), width=2000)
    assert machine_of(_program(fabric)).width == 2000


def test_a_description_of_ones_own(tmp_path: Path) -> None:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    path = tmp_path / "lab.toml"
    path.write_text(text, encoding="utf-8")
    program = _program(replace(read_fabric(path), io_bytes_per_cycle=8))
    assert program.fabric == str(path)
    assert dict(program.settings) == {"io.bytes_per_cycle": 8}
    assert not strange(program, machine_of(program))
    # The file gets other numbers: what was changed is kept, and the rest is said.
    path.write_text(text.replace("buffer_depth = { value = 2", "buffer_depth = { value = 7"))
    there = machine_of(program)
    assert there.io_bytes_per_cycle == 8
    assert "not those that the program was compiled for" in strange(program, there)


def test_a_fabric_is_kept_when_its_file_has_changed_since_it_was_read(tmp_path: Path) -> None:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    path = tmp_path / "lab.toml"
    path.write_text(text, encoding="utf-8")
    fabric = read_fabric(path)
    path.write_text(text.replace("buffer_depth = { value = 2", "buffer_depth = { value = 7"))
    assert machine_of(_program(fabric)).numbers() == fabric.numbers()


def test_settings_as_text() -> None:
    given_ = ["io.bytes_per_cycle=8", "ramp.input_queues = [6, 6]", "energy.hop=0.5"]
    assert read_settings(given_) == (
        ("io.bytes_per_cycle", 8),
        ("ramp.input_queues", (6, 6)),
        ("energy.hop", 0.5),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("io.bytes_per_cycle", "wants KEY=NUMBER"),
        ("io.bytes_per_cyle=8", r"did you mean 'io\.bytes_per_cycle'"),
        ("=8", "no number ''"),
        ("io.bytes_per_cycle=", "wants a number"),
        ("io.bytes_per_cycle=many", "wants a number"),
        ('io.bytes_per_cycle="8"', "wants a number"),
        ("io.bytes_per_cycle=true", "wants a number"),
        ("io.bytes_per_cycle=[1.5]", "wants a number"),
        ("io.bytes_per_cycle={a = 1}", "wants a number"),
        ("io.bytes_per_cycle=8\nio.other = 1", "wants a number"),
    ],
)
def test_settings_that_are_none(text: str, reason: str) -> None:
    with pytest.raises(FabricError, match=reason):
        read_settings([text])


def test_a_setting_given_twice() -> None:
    with pytest.raises(FabricError, match="given twice"):
        read_settings(["energy.hop=1.0"] * 2)


@pytest.mark.parametrize("value", [0, -1, 1.5, (1, 2)])
def test_a_number_out_of_its_range(value: Any) -> None:
    with pytest.raises(FabricError, match=r"io\.bytes_per_cycle"):
        find_fabric("wse2").changed({"io.bytes_per_cycle": value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_an_energy_out_of_its_range(value: float) -> None:
    with pytest.raises(FabricError, match=r"energy\.hop"):
        find_fabric("wse2").changed({"energy.hop": value})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("set io.bytes_per_cyle = 8", r"3:5: fabrics have no number .* did you mean"),
        ("set io.bytes_per_cycle = 8\nset io.bytes_per_cycle = 9", "4:5: .* is set twice"),
        ('set io.bytes_per_cycle = "8"', "3:26: expected"),
    ],
)
def test_a_line_that_sets_no_number(line: str, reason: str) -> None:
    with pytest.raises(AssemblyError, match=reason):
        parse(f'wsc 1\nfabric "wse2" 2x2\n{line}\n')
