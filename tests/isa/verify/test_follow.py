"""Operands whose registers differ from tile to tile: in every tile they stay in their tensor."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.programs import program
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.verifier import verify
from wsc.isa.verify.follow import _distinct  # pyright: ignore[reportPrivateUsage]

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


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3), min_size=6, max_size=6),
        min_size=1,
        max_size=3,
    )
)
def test_different_rows_of_operands_are_found_in_all_tiles(columns: list[list[int]]) -> None:
    shapes = [(2, 3), (1, 3), (2, 1)]  # of what differs in all tiles, along x alone, along y alone
    arrays = [
        np.array(column[: prod(shape)], np.int64).reshape(shape)
        for column, shape in zip(columns, shapes, strict=False)
    ]
    rows, places = _distinct(arrays)
    wanted = np.stack(np.broadcast_arrays(*arrays), axis=-1)
    assert (rows[places] == wanted).all()
    assert len({tuple(row) for row in rows.tolist()}) == len(rows) <= wanted[..., 0].size


def test_what_only_a_run_knows_is_forgotten_by_its_own_guard() -> None:
    """Behind each of many guards on a loaded number nobody knows the register that it sets."""
    names = [f"place{number}" for number in range(40)]
    text = "\ntensor buf : f32[4] at 0 size 16\nregion all at 0,0 size 1x1\nmain all\n"
    text += "".join(f"  i.set {name}, 16\n" for name in names)  # beyond the tensor
    text += "  i.load number, [buf]\n"
    for name in names:
        text += f"  if number == 0\n    i.set {name}, 0\n  else\n    i.set {name}, 4\n  end\n"
    text += "".join(f"  mov.f32 [buf + {name}], 1.0\n" for name in names) + "end\n"
    verify(program(text, "1x1"), find_fabric("wse2"))
