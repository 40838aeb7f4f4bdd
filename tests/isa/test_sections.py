"""Sections: what is in a tile and what comes, the text, and what the verifier does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsc.isa.code_size import code_bytes, section_bytes, tile_parts
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.sections import parted, resident, room_bytes
from wsc.isa.verifier import verify
from wsc.views.inspect import sram_kinds, sram_use

SECTIONS = (Path(__file__).parents[1] / "programs" / "sections.wsa").read_text()
TINY = find_fabric("tiny").sized(3, 2)
VECTOR, DESCRIPTOR, DIMENSION, SCALAR = 8, 8, 4, 4
# The first turns and the last one lie on both sides of the code.
SKIPPED = """loop n: 30
      i.mul t, n, 4
      mov.f32 [t + 4*i], 0.0 for i:1
    end"""
HEAD = VECTOR + DESCRIPTOR + DIMENSION  # of a section: it is there all the time


def test_the_text_is_read_back_as_it_is_printed():
    program = parse(SECTIONS)
    verify(program, TINY)
    assert parse(print_program(program)) == program


def test_a_section_ends_before_the_next_one_and_before_a_loop_that_has_some():
    (region,) = parse(SECTIONS).regions
    there, (first, second) = parted(region.main)
    assert [type(item).__name__ for item in there] == ["Op", "Loop", "If"]
    assert len(first.body) == 2
    assert len(second.body) == 1
    assert (first.number, first.words, first.color) == (1, 9, "ins")


def test_procedures_come_with_sections_but_those_that_coordinates_decide():
    program = parse(SECTIONS)
    (region,) = program.regions
    _, (first, second) = parted(region.main)
    there = resident(program, region.main)
    assert there == {"west"}
    call, back = SCALAR, SCALAR
    assert section_bytes(first, program, there, TINY) == HEAD + call + back
    double = VECTOR + 3 * DESCRIPTOR + DIMENSION
    assert section_bytes(second, program, there, TINY) == call + 4 + double + back


def test_a_tile_has_the_room_of_sections_and_what_is_there_all_the_time():
    program = parse(SECTIONS)
    (region,) = program.regions
    parts = tile_parts(program, region, TINY)
    assert sorted(parts) == ["", "west"]
    sends = SCALAR + VECTOR + DESCRIPTOR + DIMENSION
    assert parts[""].tolist() == [
        [HEAD + SCALAR + HEAD + sends, *[HEAD + SCALAR + HEAD + SCALAR] * 2],
        [HEAD + SCALAR + HEAD + SCALAR] * 3,
    ]
    assert parts["west"].tolist() == [[3 * SCALAR, SCALAR, SCALAR]] * 2
    assert room_bytes(program) == 48
    code = HEAD + SCALAR + HEAD + sends + 3 * SCALAR + 48
    assert code_bytes(program, TINY) == {"all": code}
    use, kinds = sram_use(program, TINY), sram_kinds(program, TINY)
    assert (use.data, use.code) == (32, code)
    assert (kinds.values, kinds.weights, kinds.code) == (32, 0, code)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("feed ins in all side N from first[i] for i:9\n", "", "53 wavelets of 'ins', and 44 come"),
        # The words say which section they are of, and not which place they are for.
        ("first[i] for i:9", "first[i] for i:8", "fed whole and in order, 'first[i] for i:9'"),
        ("first[i] for i:9", "first[8 - i] for i:9", "whole and in order"),
        ("first[i] for i:9", "first[0] for i:9", "whole and in order"),
        ("first[i] for i:9", "first[x] for i:9", "whole and in order"),
        ("second[i] for i:12", "second[3*i + j] for i:4, j:3", "'second[i] for i:12'"),
        ("second[i] for i:12", "second[i*(k - 1)*(k - 1)] for i:12", "'second[i] for i:12'"),
        # What lies in the room is run: no data is written there, and none is there.
        ("mov.f32 <outs>, [buf + 4*i]", "mov.f32 <outs>, [code + 4*i]", "'code' is where code of"),
        ("double(at = buf)", "double(at = code)", "'code' is where code of sections is, and no"),
        ("wait s0, 1", "i.store [code], 1", "'code' is where code of sections is, and no data"),
        ("size 48", "size 48\ntensor d : f32[8] at 64 size 32 shares code", "'d' lies over 'code'"),
        # Nor by a number, in whatever way that comes to be one.
        ("wait s0, 1", "i.store [40], 1", "[40] covers or steps over bytes 32 to 79 in tile 0,0"),
        ("<outs>, [buf + 4*i]", "<outs>, [8 + 4*i]", "where 'code' has code of sections: data"),
        ("double(at = buf)", "double(at = 64)", "[at + 4*i] covers or steps over bytes 32 to 79"),
        ("double(at = buf)", "double(at = k + 8)", "(called in line 42), where 'code' has"),
        ("wait s0, 1", SKIPPED, "[t + 4*i] covers or steps over bytes 32 to 79"),
        ("loop k: 3\n  feed", "loop k: 2\n  feed", "it would wait for ever"),
        ("{1} for i:9", "{3} for i:9", "no code of section 3: there are 1 to 2"),
        ("{1} for i:9", "{0} for i:9", "no code of section 0"),
        ("code second : i32[12]", "code second : i32[13]", "has shape [13], and 12 words"),
        ("code first  : i32[9]", "code first  : f32[9]", "'first' is i32[words]"),
        ("code first  : i32[9]", "code first  : i32[3, 3]", "'first' is i32[words]"),
        ("{2} for i:12", "{1} for i:12", "has shape [9], and 12 words are taken"),
        ("code second", "code more : i32[4]\ncode second", "no section takes the code 'second'"),
        ("size 48", "size 44", "needs 48 bytes in each tile and has 44"),
        ("i32[12] at 32 size 48", "i32[9] at 32 size 36", "takes 48 bytes of code, and 'code' has"),
        ("call west()", "call west()\n  call west()\n  call west()\n  call west()", "10 words"),
        ("[code + 4*i], <ins>, {1}", "[code + 4*i], [buf + 4*i], {1}", "a section is written"),
        ("[code + 4*i], <ins>, {1}", "[code + 8*i], <ins>, {1}", "a section is written"),
        ("[code + 4*i], <ins>, {1}", "[4*i], <ins>, {1}", "a section is written"),
        ("{1} for i:9", "{1} for i:3, j:3", "a section is written"),
        ("{1} for i:9", "{x} for i:9", "a section is written"),
        ("{1} for i:9", "{2 - 1} for i:9", "a section is written"),
        ("signal s0, 1\n", "section.i32 [code + 4*i], <ins>, {1} for i:9\n", "in procedure 'west'"),
        (
            "    mov.f32 <outs>",
            "    section.i32 [code + 4*i], <ins>, {1} for i:9\n    mov.f32 <outs>",
            "not under a condition",
        ),
    ],
)
def test_what_is_refused(old: str, new: str, said: str) -> None:
    assert old in SECTIONS
    text = SECTIONS.replace(old, new, 1)
    with pytest.raises(AssemblyError) as error:
        verify(parse(text), TINY, text)
    assert said in str(error.value)


@pytest.mark.parametrize("at", ["0", "80", "k + 96", "2*buf + 80"])
def test_a_number_beside_the_code_is_an_address(at: str) -> None:
    text = SECTIONS.replace("double(at = buf)", f"double(at = {at})")
    verify(parse(text), TINY, text)


@pytest.mark.parametrize(("there", "fits"), [(160, True), (156, False)])
def test_room_of_sections_counts_once(there: int, fits: bool) -> None:
    program = parse(SECTIONS)
    code = code_bytes(program, TINY)["all"]
    assert 32 + code == 160
    fabric = TINY.changed({"sram.bytes": there})
    if fits:
        verify(program, fabric)
        return
    with pytest.raises(AssemblyError, match="needs 160 bytes of SRAM in each tile, 80 of data"):
        verify(program, fabric)
