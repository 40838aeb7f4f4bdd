"""A product that only the edge wants leaves along the rows while it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from tests.fabric import build, compare
from tests.frontend.cases import floats, model_of, node
from wsc.isa.types import DType
from wsc.passes.place import Placer

ODD = [
    # rows of x, its columns, columns of the result; tiles
    ((48, 40, 60), "6x8"),
    ((37, 20, 55), "9x7"),
    ((16, 120, 60), "5x1"),  # one row
    ((40, 30, 50), "2x9"),  # two columns: both blocks leave behind the turns
    ((90, 20, 100), "3x11"),
    ((96, 20, 26), "8x12"),  # seven owners in eight columns, the last one with fewer outputs
]
WORTH = [((128, 32, 350), "4x16"), ((40, 64, 250), "2x9"), ((96, 64, 256), "6x8")]


def product(shape: tuple[int, int, int]) -> tuple[Any, dict[str, np.ndarray]]:
    m, k, n = shape
    feeds = {"x0": floats(m, k)}
    return model_of([node("MatMul", 2, 1)], feeds, {"x1": floats(k, n)}, ("y0",)), feeds


def leaves(program: Any) -> bool:
    return "drain leave in all side W" in program.text


@pytest.mark.parametrize("precision", [DType.F32, DType.F16])
@pytest.mark.parametrize(("shape", "fabric"), ODD)
def test_engines_agree_wherever_it_is_done(
    shape: tuple[int, int, int], fabric: str, precision: DType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsc.passes.place.leaving_gains", lambda *_: 1)
    model, feeds = product(shape)
    assert leaves(build(model, fabric, precision))
    compare(model, feeds, fabric, precision)


@pytest.mark.parametrize(("shape", "fabric"), WORTH)
def test_it_gives_the_same_bits_in_fewer_cycles_which_are_predicted(
    shape: tuple[int, int, int], fabric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, feeds = product(shape)
    program = build(model, fabric)
    assert leaves(program)
    end = compare(model, feeds, fabric)
    assert program.estimate().cycles == pytest.approx(end.cycle, rel=0.01)
    monkeypatch.setattr(Placer, "_leaving_west", lambda *_: "")
    assert not leaves(build(model, fabric))
    before = compare(model, feeds, fabric)
    np.testing.assert_array_equal(end.outputs["y0"], before.outputs["y0"])
    assert end.cycle < before.cycle


@pytest.mark.parametrize(
    "why",
    ["another node reads it", "two outputs", "one column", "rows are slower", "few units", "order"],
)
def test_it_stays_and_leaves_up_the_columns(why: str) -> None:
    shape = (40, 30, 150) if why != "rows are slower" else (8, 30, 600)
    model, _ = product(shape)
    fabric = {"one column": "1x9", "rows are slower": "9x2", "few units": "tiny:2x8"}.get(
        why, "2x9"
    )
    m, _, n = shape
    if why == "another node reads it":
        feeds, weights = {"x0": floats(m, 30)}, {"x1": floats(30, n)}
        nodes = [node("MatMul", 2, 1)]
        nodes[0].output[0] = "h"
        relu = node("Relu", 1, 1)
        relu.input[0] = "h"
        model = model_of([*nodes, relu], feeds, weights, ("y0",))
    elif why == "two outputs":
        nodes = [node("MatMul", 2, 1), node("Relu", 1, 1)]
        nodes[1].output[0] = "y1"
        model = model_of(nodes, {"x0": floats(m, 30)}, {"x1": floats(30, n)}, ("y0", "y1"))
    program = build(model, fabric, same_order=why == "order")
    assert not leaves(program)


def test_each_step_has_its_own_results(tmp_path: Path) -> None:
    """With streamed weights too: what leaves in a step has its place behind that of the last."""
    model, feeds = product((64, 24, 200))
    onnx.save(model, tmp_path / "model.onnx")
    ways = [
        wsc.compile(tmp_path / "model.onnx", fabric="8x8", hold=hold, steps=2)
        for hold in ("stream", "resident")
    ]
    steps = np.stack([feeds["x0"], feeds["x0"] + 1])
    one, other = (program.run({"x0": steps}).outputs["y0"] for program in ways)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_where_its_code_has_no_room_it_is_stored() -> None:
    model, _ = product((64, 24, 200))
    long = {"code.scalar_bytes": 64}  # so that code is most of what a tile has
    assert leaves(wsc.compile(model, fabric="8x8", settings=long))
    program = wsc.compile(model, fabric="8x8", settings=long | {"sram.bytes": 6500})
    assert not leaves(program)
