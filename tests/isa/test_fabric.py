"""Every number of a fabric has a range, however the fabric is made."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from wsc.isa.fabric import (
    PRESETS,
    ClassTiming,
    Fabric,
    FabricError,
    description_files,
    find_fabric,
    presets,
    read_fabric,
)
from wsc.isa.table import Timing
from wsc.isa.types import DType

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
        if timing is not Timing.SEND:
            fewer = row.queue_group | {dtype: 0}
            changed = TINY.timing | {timing: replace(row, queue_group=fewer)}
            wanted = rf"timing\.{timing.value}\.queue\.{dtype.value}"
            with pytest.raises(FabricError, match=wanted):
                replace(TINY, timing=changed)


def test_a_row_takes_whole_cycles() -> None:
    row = ClassTiming(9, 1000, {DType.F16: 2920}, 2, {DType.F16: 8000})
    assert [row.row(n, DType.F16) for n in (0, 1, 2, 3, 292)] == [1, 1, 1, 2, 100]
    assert [row.row(n, DType.F16, queue=True) for n in (1, 8, 9)] == [1, 1, 2]
    assert (row.start(False), row.start(True), row.peak(DType.F16)) == (9, 2, 8.0)


def test_operands_in_a_queue_follow_those_in_sram(tmp_path: Path) -> None:
    more = 'timing.move.f16 = { value = 8, grade = "A" }\n'
    fabric = read_fabric(_file(tmp_path / "one.toml", f'base = "tiny"\n{more}'))
    assert fabric.timing[Timing.MOVE].queue_group[DType.F16] == 8
    own = 'timing.move.queue.f16 = { value = 2, grade = "A" }\n'
    fabric = read_fabric(_file(tmp_path / "two.toml", f'base = "one.toml"\n{own}'))
    move = fabric.timing[Timing.MOVE]
    assert (move.group[DType.F16], move.queue_group[DType.F16]) == (8, 2)
    changed = fabric.changed({"timing.move.f16": 16, "timing.move.startup": 7}).timing[Timing.MOVE]
    assert (changed.group[DType.F16], changed.queue_group[DType.F16]) == (16, 2)
    assert changed.queue_startup == 7


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
    beyond = text.replace("dimensions = { value = ", "dimensions = { value = 9")
    if beyond == text:  # a variant that says nothing of it
        beyond += '[core]\ndimensions = { value = 96, grade = "A" }\n'
    (tmp_path / "other.toml").write_text(beyond, encoding="utf-8")
    wanted = r"other\.toml: fabric '\w+': 'core\.dimensions' must be 1 to 8; got 9\d"
    with pytest.raises(FabricError, match=wanted):
        read_fabric(tmp_path / "other.toml")


@pytest.mark.parametrize("value", ["1.5", "true", '"8"', "[4]"])
def test_what_is_no_integer_is_refused_with_the_file(value: str, tmp_path: Path) -> None:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    changed = re.sub(r"(dimensions = \{ value = )\d+", rf"\g<1>{value}", text)
    assert changed != text
    (tmp_path / "other.toml").write_text(changed, encoding="utf-8")
    wanted = r"other\.toml: 'core\.dimensions' must be an integer; got "
    with pytest.raises(FabricError, match=wanted):
        read_fabric(tmp_path / "other.toml")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_changed_number_is_finite(value: float) -> None:
    with pytest.raises(FabricError, match=r"tiny: 'energy\.hop' must be finite; got "):
        TINY.changed({"energy.hop": value})


def _other(tmp_path: Path, old: str, new: str) -> Path:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "other.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ('thing = { value = 1, grade = "A" }', "the number 'core.thing' is not known"),
        ('a.b.c.d.e.f.g.h.i = { value = 1, grade = "A" }', "nested more than 8 deep"),
        ('a.b.c.d.e.f.g.h = { value = 1, grade = "A" }', "'core.a.b.c.d.e.f.g.h' is not known"),
    ],
)
def test_numbers_that_no_fabric_has_are_refused(line: str, fact: str, tmp_path: Path) -> None:
    with pytest.raises(FabricError, match=rf"other\.toml: .*{re.escape(fact)}"):
        read_fabric(_other(tmp_path, "[core]\n", f"[core]\n{line}\n"))


@pytest.mark.parametrize("value", ["true", '"8"', "[8]"])
def test_an_energy_is_a_number(value: str, tmp_path: Path) -> None:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    changed = re.sub(r"(io_byte = \{ value = )[\d._]+", rf"\g<1>{value}", text)
    assert changed != text
    (tmp_path / "other.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(FabricError, match=r"other\.toml: 'energy\.io_byte' must be a number; got "):
        read_fabric(tmp_path / "other.toml")


def test_whether_there_is_a_dynamic_network_is_a_truth_value() -> None:
    assert TINY.dynamic is True


def test_vector_instructions_may_start_at_once_and_no_others() -> None:
    for timing, row in TINY.timing.items():
        changed = TINY.timing | {timing: replace(row, startup=0)}
        if row.group:
            assert replace(TINY, timing=changed).timing[timing].startup == 0
        else:
            with pytest.raises(FabricError, match=rf"timing\.{timing.value}\.startup"):
                replace(TINY, timing=changed)


def test_a_rectangle_of_a_fabric_is_not_empty_and_fits() -> None:
    for size in ((1, 1), (1, TINY.height), (TINY.width, 1)):
        cut = TINY.sized(*size)
        assert (cut.width, cut.height) == size
    for size in ((0, 1), (1, 0), (TINY.width + 1, 1), (1, TINY.height + 1)):
        with pytest.raises(FabricError, match="does not fit on fabric 'tiny'"):
            TINY.sized(*size)


def _file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


DEEP = 'router.buffer_depth = { value = 8, grade = "A", note = "deep" }\n'


def test_a_variant_is_its_base_and_what_differs(tmp_path: Path) -> None:
    path = _file(tmp_path / "deep.toml", f'base = "wse2"\n{DEEP}')
    fabric, base = read_fabric(path), find_fabric("wse2")
    assert fabric.name == "deep"
    assert fabric.title == base.title
    assert fabric.numbers() == {**base.numbers(), "router.buffer_depth": 8}
    assert {item.key: item.note for item in fabric.evidence}["router.buffer_depth"] == "deep"
    assert description_files(fabric) == (path, PRESETS / "wse2.toml")


def test_a_base_is_named_from_its_variants_folder(tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    _file(tmp_path / "deep.toml", f'base = "tiny"\n{DEEP}')
    other = 'base = "../deep.toml"\nname = "mine"\nramp.latency = { value = 3, grade = "A" }\n'
    fabric = find_fabric(str(_file(tmp_path / "labs" / "lab.toml", other)))
    assert fabric.name == "mine"
    assert (fabric.ramp_latency, fabric.router_buffer_depth, fabric.width) == (3, 8, 8)
    # A base that changes after it was read is read again.
    _file(tmp_path / "deep.toml", f'base = "tiny"\n{DEEP.replace("8", "16")}')
    assert find_fabric("labs/lab.toml", tmp_path).router_buffer_depth == 16


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('base = "one.toml"\n', "its own base"),
        ('base = "none"\n', "'base' names one of"),
        ("base = 3\n", "'base' names one of"),
        ('base = "none.toml"\n', "cannot be read"),
        (
            'base = "wse2"\nrouter.depth = { value = 8, grade = "A" }\n',
            "'router.depth' is not known",
        ),
        ('base = "wse2"\nrouter.buffer_depth = { value = 8 }\n', "needs a grade"),
        ('base = "wse2"\nrouter.buffer_depth = 8\n', "must be a table"),
        ('base = "wse2"\nrouter.buffer_depth = { value = 0, grade = "A" }\n', "2 to 1024"),
    ],
)
def test_variants_that_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FabricError, match=reason) as error:
        read_fabric(_file(tmp_path / "one.toml", text))
    assert str(tmp_path) in str(error.value)


def test_the_bases_end(tmp_path: Path) -> None:
    for number in range(40):
        _file(tmp_path / f"{number}.toml", f'base = "{number + 1}.toml"\n')
    with pytest.raises(FabricError, match="more than 15 bases"):
        read_fabric(tmp_path / "0.toml")


def test_tiles_of_any_fabric(tmp_path: Path) -> None:
    path = _file(tmp_path / "deep.toml", f'base = "wse2"\n{DEEP}')
    for name, of in (("tiny", find_fabric("tiny")), (str(path), read_fabric(path))):
        assert find_fabric(f"{name}:3x2") == of.sized(3, 2)
    assert find_fabric("3x2") == find_fabric("wse2:3x2")
    for text in ("tiny:9x9", "tiny:0x1", "none:2x2", ":2x2", "tiny:2x", "tiny:"):
        with pytest.raises(FabricError):
            find_fabric(text)
