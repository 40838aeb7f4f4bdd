"""The ends of a stream have one element type: whatever end has another, it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Kind
from wsc.isa.types import DType
from wsc.isa.verifier import verify
from wsc.isa.verify.elements import ONE_TYPE

WRITTEN = sorted((Path(__file__).parents[3] / "tests" / "programs").glob("*.wsa"))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_another_type_at_the_edge_is_told(path: Path) -> None:
    program = parse(path.read_text(encoding="utf-8"))
    fabric = find_fabric(program.fabric)
    verify(program, fabric)
    for place, tensor in enumerate(program.edge_tensors):
        if tensor.kind is Kind.CODE:  # words of instructions have no other type
            continue
        for dtype in set(DType) - {tensor.dtype}:
            tensors = list(program.edge_tensors)
            tensors[place] = replace(tensor, dtype=dtype)
            with pytest.raises(AssemblyError, match=ONE_TYPE):
                verify(program.with_(edge_tensors=tuple(tensors)), fabric)


# One color brings floats to one tile and integers to another, one after the other.
DEALT = """wsc 1
fabric "tiny" 1x2
input a : f32[8] "float32"
input b : i32[8] "int32"
tensor buf : f32[8] at 0 size 32
color deal = 0
region all at 0,0 size 1x2
route deal in all when y == 0 : N -> RAMP | N -> S
route deal in all when y == 1 : N -> RAMP
main all
  if y == 0
    mov.{first} [buf + 4*i], <deal> for i:8
  else
    {second}
  end
end
feed deal in all side N from a[i] for i:8 then advance
feed deal in all side N from b[i] for i:8
"""
LOOP = "i.load n, [buf]\n    loop t: n\n      mov.f32 [buf], <deal>\n    end"


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("f32", "mov.i32 [buf + 4*i], <deal> for i:8", ""),
        # As many of each type as there are: only where they go shows that they are mixed up.
        (
            "i32",
            "mov.f32 [buf + 4*i], <deal> for i:8",
            "8 wavelets with f32 of 'deal' come to tile 0,0",
        ),
        ("f32", "mov.f32 [buf + 4*i], <deal> for i:8", "this puts i32 into 'deal', and f32"),
        ("f16", "mov.i32 [buf + 4*i], <deal> for i:8", "this takes f16 from 'deal', and f32"),
        # How many are taken data decide, and as what they are taken is in the text.
        ("f32", LOOP, "this puts i32 into 'deal', and f32"),
    ],
)
def test_types_in_turn(first: str, second: str, place: str) -> None:
    text = DEALT.format(first=first, second=second)
    program, fabric = parse(text), find_fabric("tiny")
    if not place:
        verify(program, fabric, text)
        return
    with pytest.raises(AssemblyError) as error:
        verify(program, fabric, text)
    said = error.value.diagnostics[0].message
    assert place in said
    assert ONE_TYPE in said


TURNS = """wsc 1
fabric "tiny" 1x1
weight "w.0" : f32[4] "w.bin" at 0
weight "w.1" : {dtype}[4] "w.bin" at 16
tensor buf : f32[4] at 0 size 16
color ins = 0
region all at 0,0 size 1x1
route ins in all : N -> RAMP
main all
  loop layer: 2
    mov.f32 [buf + 4*i], <ins> for i:4
  end
end
loop layer: 2
  feed ins in all side N from "w.{{layer}}"[i] for i:4
end
"""


def test_a_later_turn_that_feeds_another_type() -> None:
    fabric = find_fabric("tiny")
    verify(parse(TURNS.format(dtype="f32")), fabric)
    with pytest.raises(AssemblyError, match=ONE_TYPE):
        verify(parse(TURNS.format(dtype="i32")), fabric)
