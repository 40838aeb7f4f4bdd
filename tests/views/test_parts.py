"""Layers and parts, as the names of nodes tell them."""

from __future__ import annotations

import pytest

from wsc.cost import Bound
from wsc.views.parts import Place, part_rows, place_of
from wsc.views.report import EstimatedRow


@pytest.mark.parametrize(
    ("node", "layer", "part"),
    [
        ("transformer.h.3.attn.q_proj.matmul", "h.3", "attn.q_proj"),
        ("/encoder/layer.11/output/dense/MatMul", "layer.11", "output.dense"),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.bias", "layers.0", "mlp.dense_h_to_4h"),
        ("rotary.cos.wide~1", "", "rotary.cos.wide"),
        ("lm_head.matmul", "", "lm_head"),
        ("MatMul_7", "", "MatMul_7"),
        ("kept.43", "kept.43", "kept"),
        ("0", "", "0"),
        ("h.1", "h.1", "h"),
        ("", "", ""),
    ],
)
def test_places(node: str, layer: str, part: str) -> None:
    assert place_of((node,)) == Place(layer, part)
    assert place_of((node, "h.1.other, h.2")) == Place(layer, part)
    assert place_of(()) == Place("", "")


def row(node: str, cycles: int, bound: Bound) -> EstimatedRow:
    """A call for a node, as predicted."""
    return EstimatedRow(0, 0, "kernel", (node,), 0, cycles, 0, bound, {})


def test_a_part_that_adds_less_than_its_bound_is_beside_the_last_one_that_adds_more() -> None:
    rows = part_rows(
        [
            row("h.0.attn.matmul", 100, Bound(90, 20, 0)),
            row("h.0.mlp.matmul", 5, Bound(0, 50, 0)),
            row("h.0.norm.add", 0, Bound(0, 0, 1)),
            row("h.1.attn.matmul", 100, Bound(90, 20, 0)),
            row("h.0.other.add", 7, Bound(0, 0, 0)),
            row("lm_head.matmul", 30, Bound(0, 0, 31)),
        ]
    )
    assert [(item.part, item.beside) for item in rows] == [
        ("attn", ""),
        ("mlp", "attn"),
        ("norm", "attn"),
        ("other", ""),
        ("lm_head", "other"),
    ]
    assert all(item.beside or item.utilization <= 1 for item in rows)
