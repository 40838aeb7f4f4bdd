"""Refusals of what does not fit: what takes the bytes, and what would make it fit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import wsc
from wsc.errors import DoesNotFit
from wsc.frontend.store import Seed
from wsc.isa.fabric import find_fabric
from wsc.models.language import Task, build, find_shape

SHAPE = find_shape("gpt2").sized(layers=1, hidden=64, heads=4, vocabulary=64)


def refusal(sram: int, mesh: str = "4x4", layers: int = 1, precision: str = "f32") -> str:
    fabric = find_fabric(mesh)
    model = build(SHAPE.sized(layers=layers), Task(16))
    with pytest.raises(DoesNotFit) as caught:
        wsc.compile(model, replace(fabric, sram_bytes=sram), precision=precision, weights=Seed(0))
    return str(caught.value)


def test_code_says_how_much_each_layer_takes() -> None:
    """And as many layers as it says do fit."""
    text = refusal(12_288, "8x8", layers=9)
    assert "in each of 9 layers" in text
    found = re.search(r"about (\d+) layers would fit", text)
    assert found
    fit = int(found[1])
    assert 2 < fit < 9
    fabric = replace(find_fabric("8x8"), sram_bytes=12_288)
    wsc.compile(build(SHAPE.sized(layers=fit - 1), Task(16)), fabric, weights=Seed(0))
    with pytest.raises(DoesNotFit):
        wsc.compile(build(SHAPE.sized(layers=fit + 2), Task(16)), fabric, weights=Seed(0))


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
