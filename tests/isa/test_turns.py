"""Loops of the edge's schedule, and names that go on with their turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsc.isa import turns
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import EdgeTensor, Program, Transfer, TransferLoop
from wsc.isa.turns import common, expand, plain_transfers
from wsc.isa.verifier import verify

FABRIC = find_fabric("2x1")
HEAD = """wsc 1
fabric "wse2" 2x1
"""
REST = """output r : f32[16]
color ins = 0
color outs = 1
tensor buf : f32[16] at 0 size 64
region all at 0,0 size 2x1
route ins in all : N -> RAMP
route outs in all when x == 0 : RAMP -> N
main all
  loop layer: 3
    mov.f32 [buf + 4*i], <ins> for i:16
  end
  if x == 0
    mov.f32 <outs>, [buf + 4*i] for i:16
  end
end
"""
DRAIN = "drain outs in all side N when x == 0 from r[i] for i:16\n"
FAMILY = 'weight "h.{layer}.w" : f32[48] "m.bin" at 64 + 256*layer for layer:3\n'
LOOP = """loop layer: 3
  feed ins in all side N from "h.{layer}.w"[16*layer + i] for i:16 @"/h.{layer+4}/proj"
end
"""


def made(family: str = FAMILY, loop: str = LOOP, head: str = "") -> Program:
    return parse(f"{HEAD}{head}{family}{REST}{loop}{DRAIN}")


# --- names ------------------------------------------------------------------------------

pieces = st.text(alphabet="ab./:_-{}", max_size=5)
rising = st.builds(lambda a, b: f"{{{a}*t+{b}}}", st.integers(2, 99), st.integers(1, 999))
places = st.one_of(
    st.just("{t}"), st.just("{t+1}"), st.just("{99-t}"), st.just("{900-7*t}"), rising
)


@given(st.lists(st.one_of(pieces, places), max_size=4).map("".join), st.integers(2, 9))
def test_one_text_stands_for_those_that_it_gives(pattern: str, turns: int) -> None:
    texts = [expand(pattern, "t", turn) for turn in range(turns)]
    found = common(texts, "t")
    if found is not None:
        assert [expand(found, "t", turn) for turn in range(turns)] == texts
    elif "{" not in "".join(texts):
        numbers = [text for text in texts if any(c.isdigit() for c in text)]
        assert numbers, "texts without numbers that are equal have themselves in common"


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["h.0.w", "h.1.w", "h.2.w"], "h.{t}.w"),
        (["onnx::MatMul_301", "onnx::MatMul_317"], "onnx::MatMul_{16*t+301}"),
        (["a9", "a10", "a11"], "a{t+9}"),
        (["a3", "a2", "a1"], "a{3-t}"),
        (["8,h.0", "8,h.2"], "8,h.{2*t}"),
        (["same", "same"], "same"),
        (["a0", "a1", "a3"], None),  # not evenly
        (["a00", "a01"], None),  # zeros before a number are lost
        (["a0", "b1"], None),
        (["a{t}", "a{t}"], None),  # braces that would be taken for a place
        (["a{0}", "a{1}"], "a{{t}}"),
    ],
)
def test_what_texts_have_in_common(texts: list[str], wanted: str | None) -> None:
    assert common(texts, "t") == wanted


def test_other_braces_are_text() -> None:
    for text in ("{}", "{x}", "{layer*2}", "{-layer}", "{layer", "{t[0]}", "{layer2}"):
        assert expand(text, "layer", 3, {"t": ("a",)}) == text
    assert expand("{t[layer]}{n[layer]}", "layer", 1, {"t": ("a", "b")}) == "b{n[layer]}"


# --- text -------------------------------------------------------------------------------


def test_a_line_declares_a_family_of_weights() -> None:
    program = made()
    weights = [tensor for tensor in program.edge_tensors if tensor.file]
    assert [tensor.name for tensor in weights] == ["h.0.w", "h.1.w", "h.2.w"]
    assert [tensor.byte_offset for tensor in weights] == [64, 320, 576]
    text = print_program(program)
    assert FAMILY in text
    assert LOOP in text
    assert parse(text) == program


@pytest.mark.parametrize(
    "places",
    [
        ("at 64", "at 320", "at 900"),  # not evenly
        ("at 576", "at 320", "at 64"),  # backwards
        ('key "q"', 'key "k"', 'key "v"'),  # names that do not go on
    ],
)
def test_weights_that_are_not_alike_have_lines_of_their_own(places: tuple[str, ...]) -> None:
    lines = "".join(
        f'weight "h.{k}.w" : f32[48] "m.bin" {place}\n' for k, place in enumerate(places)
    )
    program = made(lines)
    text = print_program(program)
    assert text.count("weight ") == 3
    assert parse(text) == program


def test_names_from_a_table() -> None:
    names = 'names odd = "h.0.w", "h.1.w", "last"\n'
    family = FAMILY.replace("h.{layer}.w", "{odd[layer]}")
    program = made(family, LOOP.replace("h.{layer}.w", "{odd[layer]}"), names)
    assert [t.tensor for t in plain_transfers(program)] == ["h.0.w", "h.1.w", "last", "r"]
    text = print_program(program)
    assert family in text
    assert parse(text) == program
    verify(program, FABRIC)


# --- meaning ----------------------------------------------------------------------------


def test_turns_are_played_one_after_the_other() -> None:
    program = made()
    (loop, _) = program.transfers
    assert isinstance(loop, TransferLoop)
    played = plain_transfers(program)
    assert [transfer.tensor for transfer in played] == ["h.0.w", "h.1.w", "h.2.w", "r"]
    assert [transfer.nodes for transfer in played[:3]] == [
        ("/h.4/proj",),
        ("/h.5/proj",),
        ("/h.6/proj",),
    ]
    by_hand = made(
        loop="".join(
            f'feed ins in all side N from "h.{k}.w"[{at}] for i:16 @"/h.{k + 4}/proj"\n'
            for k, at in enumerate(("i", "16 + i", "32 + i"))
        )
    )
    assert plain_transfers(by_hand) == played
    verify(program, FABRIC)
    verify(by_hand, FABRIC)


def test_the_counter_stands_in_guards_extents_and_places() -> None:
    entry = 'feed ins in all side N when x < {} from "h.{}.w"[{}] for i:{}\n'
    inside = entry.format("layer", "{layer}", "16*layer + i", "16 - layer")
    loop = f"loop layer: 3\n{inside}end\n"
    by_hand = "".join(
        entry.format(turn, turn, place, 16 - turn)
        for turn, place in enumerate(("i", "16 + i", "32 + i"))
    )
    assert plain_transfers(made(loop=loop)) == plain_transfers(made(loop=by_hand))


def test_turns_are_played_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    program = made()
    monkeypatch.setattr(turns, "MOST_TRANSFERS", 3)
    assert len(plain_transfers(program)) == 4  # the loop's, and the drain
    monkeypatch.setattr(turns, "MOST_TRANSFERS", 2)
    with pytest.raises(ValueError, match="more than 2 entries in all turns"):
        plain_transfers(program)


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        (LOOP.replace("layer: 3", "layer: 4"), "there is no edge tensor 'h.3.w' for turn 3"),
        (LOOP.replace("16*layer", "17*layer"), "moves elements 34 to 49 of 'h.2.w', which has 48"),
        (LOOP.replace("layer: 3", "layer: 9999999"), "more than 1048576 entries"),
        (LOOP.replace("loop layer", "loop buf"), "has the name of a tensor"),
        (LOOP.replace("for i:16", "for layer:16"), "has the name of a counter"),
    ],
)
def test_what_the_verifier_says_of_a_loop(loop: str, message: str) -> None:
    with pytest.raises(AssemblyError, match=message):
        verify(made(loop=loop), FABRIC)


@pytest.mark.parametrize("place", ["64 - 8*layer", "layer*layer", "8*turn", "0 - 4"])
def test_places_in_a_file_go_on_evenly(place: str) -> None:
    with pytest.raises(AssemblyError, match="place"):
        made(FAMILY.replace("64 + 256*layer", place))


def test_an_output_that_a_turn_drains_again() -> None:
    program = made()
    drain = program.transfers[-1]
    assert isinstance(drain, Transfer)
    twice = program.with_(transfers=(program.transfers[0], TransferLoop("turn", 2, (drain,))))
    with pytest.raises(AssemblyError, match="more elements than the 16 of 'r'"):
        verify(twice, FABRIC)


def test_all_turns_of_a_family_have_their_own_type() -> None:
    program = made()
    small = [
        EdgeTensor(t.name, t.kind, t.dtype, (16,), t.host_dtype, t.file, byte_offset=0)
        if t.name == "h.2.w"
        else t
        for t in program.edge_tensors
    ]
    with pytest.raises(AssemblyError, match=r"'h\.2\.w', which has 16"):
        verify(program.with_(edge_tensors=tuple(small)), FABRIC)
