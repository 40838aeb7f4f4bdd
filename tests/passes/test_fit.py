"""Refusals of what does not fit: what takes the bytes, and what would make it fit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import wsc
from wsc.errors import DoesNotFit
from wsc.frontend.store import Seed
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.models.language import Task, build, find_shape
from wsc.views.inspect import sram_use
from wsc.views.parts import code_of_layers

SHAPE = find_shape("gpt2").sized(layers=1, hidden=64, heads=4, vocabulary=64)


def refusal(sram: int, mesh: str = "4x4", layers: int = 1, precision: str = "f32") -> str:
    fabric = find_fabric(mesh)
    model = build(SHAPE.sized(layers=layers), Task(16))
    with pytest.raises(DoesNotFit) as caught:
        wsc.compile(
            model,
            replace(fabric, sram_bytes=sram),
            precision=precision,
            weights=Seed(0),
            code="resident",
        )
    return str(caught.value)


def test_code_and_values_are_told_apart() -> None:
    """The code alone has room, and so have the values."""
    model = build(SHAPE, Task(16))
    program = wsc.compile(model, "8x8", precision="f32", weights=Seed(0))
    use = sram_use(program.assembly, program.fabric)
    room = max(use.data, use.code) + 4
    text = refusal(room, "8x8")
    found = re.search(r"(\d+) bytes of values and (\d+) bytes of code are (\d+).*: (.*);", text)
    assert found
    data, code, total = map(int, found.groups()[:3])
    assert max(data, code) < room < data + code == total
    assert f"{code} of code" in found[4]


def test_the_code_of_each_layer() -> None:
    program = parse(
        """\
wsc 1
fabric "wse2" 1x1
region all at 0,0 size 1x1
proc p(a)
end
main all
  call p(a = 1) @"h.0.mlp.add"
  call p(a = 2) @"h.1.mlp.add"
  call p(a = 3) @"h.1.sum"
  call p(a = 4) @"lm_head.matmul"
end
"""
    )
    sizes = code_of_layers(program, find_fabric("1x1"))
    assert sizes["h.1"] == 2 * sizes["h.0"] == 2 * sizes[""] > 0


def test_values_are_listed_by_node() -> None:
    text = refusal(21_000, "1x1")
    assert re.search(r"\d+ of values \(\d+ for 'transformer", text)
    assert "as many, fewer tokens or a smaller precision" in text


def test_a_smaller_precision_is_advised_where_there_is_one() -> None:
    text = refusal(8_192, "1x1", precision="f16")
    assert "precision" not in text
    assert "fewer tokens" in text


def test_a_product_without_a_layout_says_what_its_parts_take() -> None:
    text = refusal(12_288, "1x1")
    facts = re.search(
        r"the smallest takes (\d+), (\d+) for '\S+' \[1, 16, 64\], (\d+) for the", text
    )
    assert facts
    total, operand, result = map(int, facts.groups())
    assert operand == 16 * 64 * 4
    assert operand + result <= total
