"""Where a value lies before it is moved."""

from __future__ import annotations

import pytest

from wsc.ir.graph import Slice
from wsc.ir.layout import Mesh, block, whole
from wsc.passes.views import PARTS, before_steps

MESH = Mesh(75, 99)


@pytest.mark.parametrize("size", [400, 401, 402])
@pytest.mark.parametrize("parts", [PARTS - 1, PARTS, PARTS + 1])
def test_what_is_cut_into_several_parts_lies_along_the_free_axis(size: int, parts: int) -> None:
    """Also where the last part is shorter than the others."""
    cut = Slice((0, 0), (-(-size // parts), 64), (1, 1))
    wanted = (whole(cut.sizes[0]), block(64, "x", MESH))
    found = before_steps(wanted, (size, 64), (cut,), MESH)
    first = block(size, "y", MESH) if parts >= PARTS else whole(size)
    assert found == (first, wanted[1])
