"""Operands whose registers differ from tile to tile: in every tile they stay in their tensor."""

from __future__ import annotations

import pytest

from tests.runtime.programs import program
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.verifier import verify

OWN_PLACE = """
tensor buf : f32[{length}] at 0 size {bytes}
region all at 0,0 size {size}
main all
  i.set r, 4*x + 4*W*y
  mov.f32 [buf + r], 1.0
end
"""


@pytest.mark.parametrize("size", ["1x1", "3x1", "1x4", "2x3"])
def test_each_tile_has_an_address_of_its_own(size: str) -> None:
    """The last tile needs the last element; with one less it is the only one that is told."""
    width, height = map(int, size.split("x"))
    tiles = width * height
    for length in (tiles + 1, tiles):
        made = program(OWN_PLACE.format(length=length, bytes=4 * length, size=size), size)
        verify(made, find_fabric("wse2"))
    short = {"length": max(tiles - 1, 1), "bytes": 4 * max(tiles - 1, 1), "size": size}
    text = OWN_PLACE.format(**short)
    if tiles == 1:
        text = text.replace("4*W*y", "4")
    last = f"bytes {4 * max(tiles - 1, 1)} to {4 * max(tiles - 1, 1) + 3} of 'buf'"
    with pytest.raises(AssemblyError, match=last):
        verify(program(text, size), find_fabric("wse2"))
