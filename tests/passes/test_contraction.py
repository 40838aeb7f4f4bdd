"""Forms of products: how many outputs a chain sums at a time, and outputs without a label."""

from __future__ import annotations

import pytest

from wsc.cost import CostModel
from wsc.ir.graph import Contract, Index, Type
from wsc.ir.layout import Mesh, dense_view
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.kernels.contract import Labels
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


def test_a_dimension_of_one_has_no_label() -> None:
    fabric = find_fabric("wse2:4x3")
    k, n = Index((("k", 1),)), Index((("n", 1),))
    op = Contract((Index(()), k), (k, n), ("", "n"), (("k", 16), ("n", 12)))
    types = Type(DType.F32, (1, 16)), Type(DType.F32, (16, 12))
    choice = choose_contraction(op, *types, True, None, None, CostModel(fabric))
    assert choice is not None
    a, out = (dense_view(extents, DType.F32, "v") for extents in (choice.a, choice.out))
    task = choice.task(op, a, None, "w", out, ())
    labels = Labels(task, Mesh(fabric.width, fabric.height))
    assert labels.size == {"k": 16, "n": 12}
