"""Outputs are drained once, all of them; cores that routes lead to have code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.verifier import doubts, verify
from wsc.isa.verify.coverage import _distinct  # pyright: ignore[reportPrivateUsage]

TEXT = """wsc 1
fabric "tiny" 2x2
output r : f32[2, 8] "float32"
color c = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x2
route c in all when y == 1 : RAMP -> S
route c in all when y == 0 : RAMP -> N
main all
  if y == 0
    mov.f32 <c>, [t] for i:NORTH
  else
    mov.f32 <c>, [t] for i:SOUTH
  end
end
"""

# How many wavelets the tiles send to each side, and the drains.
COVERED = {
    "a side each": (4, 4, ["side N from r[8*x + i] for i:4", "side S from r[8*x + i + 4] for i:4"]),
    "interleaved": (8, 0, ["side N from r[2*i + x] for i:8", "side S from r[0] for i:0"]),
    "repeated": (
        8,
        0,
        ["side N from r[8*x + 2*n + i] repeat n:4 for i:2", "side S from r[0] for i:0"],
    ),
    "ragged": (
        8,
        0,
        [
            "side N from r[8*x + 3*n + i] repeat n:3 for i:min(3, 8 - 3*n)",
            "side S from r[0] for i:0",
        ],
    ),
    "one port": ("16*x", 0, ["side N from r[i] for i:16*x", "side S from r[0] for i:0"]),
    "backwards": (8, 0, ["side N from r[8*x + 7 - i] for i:8", "side S from r[0] for i:0"]),
}

WRONG = {
    "not at all": (["side N from r[0] for i:0", "side S from r[0] for i:0"], "0 of the 16"),
    "one short": (
        ["side N from r[8*x + i] for i:7", "side S from r[0] for i:0"],
        "14 of the 16 elements of 'r' are drained, not element 7",
    ),
    "one twice": (
        ["side N from r[7*x + i] for i:8", "side S from r[0] for i:0"],
        "element 7 of 'r' is drained twice",
    ),
    "within a port": (
        ["side N from r[8*x + 0*i] for i:8", "side S from r[0] for i:0"],
        "element 0 of 'r' is drained twice",
    ),
    "on both sides": (
        ["side N from r[8*x + i] for i:4", "side S from r[8*x + i] for i:4"],
        "element 0 of 'r' is drained twice",
    ),
    "too many": (
        ["side N from r[i] for i:16", "side S from r[i] for i:16"],
        "is drained twice|more elements than the 16",
    ),
}


def check(drains: list[str], north: int | str = 8, south: int | str = 8, text: str = TEXT) -> None:
    whole = text.replace("NORTH", str(north)).replace("SOUTH", str(south))
    whole += "".join(f"drain c in all {drain}\n" for drain in drains)
    verify(parse(whole), find_fabric("tiny"), whole)


@pytest.mark.parametrize("name", COVERED)
def test_an_output_may_be_drained_in_any_way_that_covers_it(name: str) -> None:
    north, south, drains = COVERED[name]
    check(drains, north, south)


@pytest.mark.parametrize("name", WRONG)
def test_an_output_is_drained_once_and_whole(name: str) -> None:
    drains, message = WRONG[name]
    with pytest.raises(AssemblyError, match=message):
        check(drains)


def test_cores_that_routes_lead_to_have_code() -> None:
    text = TEXT[: TEXT.index("main all")]
    with pytest.raises(AssemblyError, match="region 'all' has no code, and routes lead to or from"):
        check(COVERED["a side each"][2], text=text)


def test_procedures_are_of_use() -> None:
    text = 'wsc 1\nfabric "tiny" 1x1\nregion all at 0,0 size 1x1\nproc p()\n  i.set a, 1\nend\n'
    with pytest.raises(AssemblyError, match=r"4:6: no region has a 'main', so .* is never called"):
        verify(parse(text), find_fabric("tiny"), text)


@given(st.integers(0, 12), st.integers(1, 4), st.integers(0, 2), st.integers(0, 1 << 32))
def test_rows_that_differ_are_those_of_numpy(rows: int, columns: int, most: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(-most, most + 1, (rows, columns))
    shapes, which = _distinct(table)
    expected, places = np.unique(table, axis=0, return_inverse=True)
    assert shapes.tolist() == expected.tolist()
    assert which.tolist() == places.ravel().tolist()


FED = """wsc 1
fabric "tiny" 2x1
input a : f32[4, 8] "float32"
input rest : i32[3] "int32"
color c = 0
tensor t : f32[16] at 0 size 64
region all at 0,0 size 2x1
route c in all : N -> RAMP
main all
  mov.f32 [t + 4*i], <c> for i:COUNT
end
"""

LEFT_OUT = {
    "a[8*x + i] for i:8": "16 of the 32 elements of input 'a' are fed, not element 16",
    "a[16*x + 2*i] for i:8": "16 of the 32 elements of input 'a' are fed, not element 1",
    "a[i] for i:8": "8 of the 32 elements of input 'a' are fed, not element 8",  # by both ports
    "a[16*x + 8*n + i] repeat n:2 for i:8": "",
    "a[31 - 16*x - i] for i:16": "",
    "a[16*x + i] for i:0": "no element of input 'a' is fed; it has no effect",
}


@pytest.mark.parametrize("feed", LEFT_OUT)
def test_what_is_not_fed_is_told(feed: str) -> None:
    """A feed may leave elements of an input out; where that is, and how many, is told."""
    count = 16 if "repeat" in feed else int(feed.rpartition(":")[2])
    text = FED.replace("COUNT", str(count))
    text += f"feed c in all side N from {feed}\n"
    program, fabric = parse(text), find_fabric("tiny")
    verify(program, fabric, text)
    said = {item.location.line: item.message for item in doubts(program, fabric, text)}
    assert said.pop(4) == "no element of input 'rest' is fed; it has no effect"
    assert list(said) == ([3] if LEFT_OUT[feed] else [])
    assert said.get(3, "").startswith(LEFT_OUT[feed])
