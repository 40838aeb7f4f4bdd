"""How many outputs the forms with a chain sum at a time."""

from __future__ import annotations

import pytest

from wsc.cost import CostModel
from wsc.ir.graph import Contract, Index, Type
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.passes.contraction import CHUNK_WORDS, LONG_CHUNK_WORDS, choose_contraction

TOKENS, BLOCK = 33, 36  # in a tile


@pytest.mark.parametrize(
    ("summed", "dtype", "limit"),
    [
        (9, DType.F16, LONG_CHUNK_WORDS),
        (30, DType.F16, CHUNK_WORDS),
        (9, DType.F32, CHUNK_WORDS),
    ],
)
def test_chunks_are_longer_where_they_would_be_done_at_once(
    summed: int, dtype: DType, limit: int
) -> None:
    fabric = find_fabric("wse2:64x3")
    m, k, n = TOKENS * fabric.height, summed * fabric.width, BLOCK * fabric.width
    labels = [Index(((label, 1),)) for label in "mkn"]
    sizes = (("m", m), ("k", k), ("n", n))
    op = Contract((labels[0], labels[1]), (labels[1], labels[2]), ("m", "n"), sizes)
    types = Type(dtype, (m, k)), Type(dtype, (k, n))
    choice = choose_contraction(op, *types, True, None, None, CostModel(fabric))
    assert choice is not None
    assert choice.reduce
    parts = -(-BLOCK // (limit // TOKENS))
    assert choice.chunk == -(-BLOCK // parts)
