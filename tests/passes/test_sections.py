"""Sections that the compiler makes: the same values, fewer bytes, and where they are taken."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from wsc import models
from wsc.api import compile_step
from wsc.cost.predict import predict
from wsc.errors import CompileError, DoesNotFit
from wsc.isa.code_size import code_bytes, section_bytes
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Call, Kind, Loop, Program, TransferLoop
from wsc.isa.sections import WORD, has_sections, is_section, parted, resident
from wsc.isa.statements import calls
from wsc.models import builders
from wsc.passes.sections import code_note, whole
from wsc.views.inspect import sram_use


@cache
def stack() -> onnx.ModelProto:
    """Three layers, which are a loop."""
    return builders.transformer_encoder(3, 8, 2, 3)


@cache
def compiled(fabric: str, code: str, name: str = "stack") -> Any:
    """The program of a network."""
    return wsc.compile(str(models.DIGITS) if name == "digits" else stack(), fabric, code=code)


def both(fabric: str, name: str = "stack") -> tuple[Any, Any]:
    """It with all of its code in the tiles, and in sections."""
    return compiled(fabric, "resident", name), compiled(fabric, "sections", name)


def feeds(program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        tensor.name: rng.standard_normal(tensor.shape).astype(tensor.host)
        for tensor in program.shown(Kind.INPUT)
    }


def code(program: Any) -> int:
    return max(code_bytes(program.assembly, program.fabric).values())


@pytest.mark.parametrize(
    ("fabric", "name"),
    [("1x1", "digits"), ("4x1", "digits"), ("1x3", "digits"), ("4x3", "stack")],
)
def test_the_same_values_from_less_code(fabric: str, name: str) -> None:
    one, other = both(fabric, name)
    assert code(other) < code(one)
    given = feeds(one.assembly)
    wanted = one.run(given, engine="values").outputs
    got = other.run(given, engine="values").outputs
    for key, array in wanted.items():
        np.testing.assert_array_equal(got[key], array)
    assert parse(other.text) == other.assembly
    assert whole(other.assembly).regions == one.assembly.regions


def test_engines_agree_and_the_cost_is_predicted() -> None:
    one, other = both("4x3")
    cycles = [program.run(feeds(one.assembly)).cycles for program in (one, other)]
    predicted = [predict(p.assembly, p.fabric).cycles for p in (one, other)]
    more = cycles[1] - cycles[0]
    assert more > 0
    assert abs(predicted[1] - predicted[0] - more) < 0.1 * more


def test_every_section_fits_its_room_and_is_fed() -> None:
    program = compiled("4x3", "sections").assembly
    fabric = find_fabric("4x3")
    (region,) = program.regions
    there, sections = parted(region.main)
    resident_now = resident(program, region.main)
    codes = [tensor for tensor in program.edge_tensors if tensor.kind is Kind.CODE]
    assert [item.number for item in sections] == [*range(1, len(codes) + 1)]
    for section, fed in zip(sections, codes, strict=True):
        needed = section_bytes(section, program, resident_now, fabric)
        assert WORD * section.words == needed
        assert fed.shape == (section.words,)
    # Nothing but heads of loops is there all the time.
    assert not any(isinstance(item, Call) for item in there)


def test_the_turns_of_layers_bring_their_sections_again() -> None:
    program = compiled("4x3", "sections").assembly
    (region,) = program.regions
    (loop,) = [item for item in region.main if isinstance(item, Loop)]
    (rounds,) = [item for item in program.transfers if isinstance(item, TransferLoop)]
    inside = [item for item in loop.body if is_section(item)]
    fed = [item.tensor for item in rounds.body if item.tensor.startswith("section_")]
    assert len(inside) == len(fed) > 1
    assert is_section(loop.body[0])


def test_auto_takes_sections_where_code_leaves_no_room_and_says_so() -> None:
    plain = compiled("4x1", "auto", "digits")
    assert not has_sections(plain.assembly.regions[0].main)
    assert plain.notes == ()
    assert plain.assembly.regions == compiled("4x1", "resident", "digits").assembly.regions
    room = sram_use(plain.assembly, plain.fabric).total - 4
    small = {"sram.bytes": room}
    with pytest.raises(DoesNotFit, match="bytes of code are"):
        wsc.compile(str(models.DIGITS), "4x1", code="resident", settings=small)
    found = wsc.compile(str(models.DIGITS), "4x1", settings=small)
    assert sram_use(found.assembly, found.fabric).total <= room
    (note,) = found.notes
    assert note.startswith("code comes from the edge in ")
    # It takes what costs the fewest cycles of what fits, not the fewest bytes.
    least = compiled("4x1", "sections", "digits")
    assert code(least) <= code(found) < code(plain)


def test_what_is_too_small_for_sections_is_refused() -> None:
    data = sram_use(compiled("4x1", "auto", "digits").assembly, find_fabric("4x1")).data
    with pytest.raises(DoesNotFit, match="bytes of code are"):
        wsc.compile(str(models.DIGITS), "4x1", settings={"sram.bytes": data + 400})


def test_a_program_that_is_short_anyway_has_none() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
    )
    program = wsc.compile(proto, "2x1", code="sections")
    assert not has_sections(program.assembly.regions[0].main)
    assert code_note(program.assembly, program.fabric) == ""


def test_a_training_step_in_sections() -> None:
    proto = builders.mlp((6, 5, 3), batch=2)
    one, other = (
        compile_step(proto, "mse", fabric="3x2", code=h) for h in ("resident", "sections")
    )
    assert code(other) < code(one)
    given = feeds(one.assembly)
    wanted, got = (p.run(given, engine="values").outputs for p in (one, other))
    for key, array in wanted.items():
        np.testing.assert_array_equal(got[key], array)


def test_calls_keep_their_order_and_names() -> None:
    one, other = both("4x3")
    mine, others = (calls(p.assembly.regions[0].main) for p in (one, other))
    assert mine == others


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(CompileError, match="code 'parts' is not known: resident, sections, auto"):
        wsc.compile(str(models.DIGITS), "4x3", code="parts")


def test_names_that_are_taken_are_left_alone() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[4, 6] section_1) => (float[4, 6] code)'
        "<float[6, 6] section = {" + ", ".join(["0.5"] * 36) + "}>"
        "{ a = MatMul(section_1, section) b = Softmax(a) c = MatMul(b, section) code = Exp(c) }"
    )
    one, other = (wsc.compile(proto, "2x3", code=way) for way in ("resident", "sections"))
    assert has_sections(other.assembly.regions[0].main)
    given = feeds(one.assembly)
    wanted, got = (p.run(given, engine="values").outputs["code"] for p in (one, other))
    np.testing.assert_array_equal(got, wanted)
