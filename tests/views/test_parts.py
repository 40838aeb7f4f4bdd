"""Layers and parts, as the names of nodes tell them."""

from __future__ import annotations

import pytest

from wsc.views.parts import Place, place_of


@pytest.mark.parametrize(
    ("node", "layer", "part"),
    [
        ("transformer.h.3.attn.q_proj.matmul", "h.3", "attn.q_proj"),
        ("/encoder/layer.11/output/dense/MatMul", "layer.11", "output.dense"),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.bias", "layers.0", "mlp.dense_h_to_4h"),
        ("rotary.cos.wide~1", "", "rotary.cos.wide"),
        ("lm_head.matmul", "", "lm_head"),
        ("MatMul_7", "", "MatMul_7"),
        ("0", "", "0"),
        ("h.1", "h.1", ""),
        ("", "", ""),
    ],
)
def test_places(node: str, layer: str, part: str) -> None:
    assert place_of((node,)) == Place(layer, part)
    assert place_of((node, "h.1.other, h.2")) == Place(layer, part)
    assert place_of(()) == Place("", "")
