"""Activations that are kept, and those that the backward pass computes again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from tests.passes.test_layers import loops
from tests.stacks import Stack, decoder, residual
from tests.training.networks import NETWORKS
from tests.training.test_layers import results
from wsc.api import compile_step
from wsc.errors import CompileError, DoesNotFit
from wsc.ir.graph import Keep
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.pipeline import Compiled, run_passes
from wsc.training.losses import parse_loss
from wsc.training.recompute import lowered_step
from wsc.training.step import Step, build_step, parse_optimizer
from wsc.views.inspect import sram_kinds

LAYERS = 6


def step(recompute: str, **options: Any) -> wsc.Program:
    """A training step of a small decoder."""
    return compile_step(decoder(LAYERS), "mse", "sgd", fabric="3x3", recompute=recompute, **options)


@pytest.fixture(scope="module")
def both() -> tuple[wsc.Program, wsc.Program]:
    """With activations kept, and with those of layers computed again."""
    return step("none"), step("layers")


def values(program: wsc.Program) -> int:
    """Bytes of a tile that values take."""
    return sram_kinds(program.assembly, program.fabric).values


def tile(program: wsc.Program) -> int:
    """Bytes of a tile that are taken."""
    return program.fabric.sram_bytes - sram_kinds(program.assembly, program.fabric).free


def test_gradients_are_those_of_kept_activations_in_less_room(
    both: tuple[wsc.Program, wsc.Program],
) -> None:
    kept, again = both
    assert loops(again.assembly) == [(LAYERS, LAYERS), (LAYERS - 1, LAYERS - 1)]
    assert values(again) < 0.8 * values(kept)
    first, second = results(kept), results(again)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def dropping(layers: int) -> onnx.ModelProto:
    """Layers that drop elements at two places each."""
    stack = Stack(hidden=8, heads=2, tokens=6)
    stack.constant("ratio", np.array(0.25, np.float32))
    x = "x"
    for name in (f"h.{layer}" for layer in range(layers)):
        inner = stack.dense(f"{name}.up", stack.norm(f"{name}.ln", x), 8, 16)
        inner = stack.node("Dropout", f"{name}.drop_in", inner, "ratio")
        inner = stack.dense(f"{name}.down", stack.node("Gelu", f"{name}.gelu", inner), 16, 8)
        dropped = stack.node("Dropout", f"{name}.drop", inner, "ratio")
        x = stack.node("Add", f"{name}.out", x, dropped)
    return stack.model(x)


def test_layers_that_drop_are_turns_of_a_loop_and_drop_what_each_of_them_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(recompute: str, fabric: str = "3x2") -> wsc.Program:
        return compile_step(dropping(5), "mse", "sgd", fabric=fabric, recompute=recompute)

    def dropped(program: wsc.Program) -> dict[str, np.ndarray]:
        return results(program, {"dropout.seed": np.array(7, np.int32)})

    programs = {way: made(way) for way in ("none", "layers", "edge")}
    for way in ("layers", "edge"):
        assert loops(programs[way].assembly) == [(5, 5), (3, 3)]
    assert loops(programs["none"].assembly) == [(2, 2), (3, 3)]
    monkeypatch.setattr("wsc.passes.place.find_layers", lambda graph: [])
    plain = made("none", "1x4")
    assert loops(plain.assembly) == []
    wanted = dropped(plain)
    for program in programs.values():
        for name, array in dropped(program).items():
            np.testing.assert_allclose(array, wanted[name], 1e-4, 1e-6, err_msg=name)


def test_what_fits_is_kept_and_what_does_not_is_computed_again(
    both: tuple[wsc.Program, wsc.Program],
) -> None:
    kept, again = both
    assert kept.notes == (f"the activations of {LAYERS} layers are kept",)
    room = (tile(kept) + tile(again)) // 2
    program = step("auto", settings={"sram.bytes": room}, code="resident")
    assert program.notes == (f"{again.notes[0]}: kept, they do not fit",)
    assert tile(program) <= room


def test_a_model_without_layers_has_none_to_compute_again() -> None:
    network = NETWORKS["mlp"]()
    with pytest.raises(CompileError, match="no layers that repeat"):
        compile_step(network.model, batch=2, fabric="2x2", recompute="layers")
    assert compile_step(network.model, batch=2, fabric="2x2").notes == ()
    with pytest.raises(CompileError, match="none, layers, edge, auto, not 'some'"):
        wsc.train(network.model, recompute="some")


@pytest.mark.parametrize(
    ("room", "wanted"), [(20_000, ["none", "layers", "edge"]), (500, ["edge", "layers"])]
)
def test_what_is_larger_than_all_tiles_is_not_tried(room: int, wanted: list[str]) -> None:
    asked: list[str] = []

    def lower(step: Step) -> Compiled:
        assert step.differentiate is not None
        leaves = any(isinstance(node.op, Keep) for node in step.graph.nodes)
        again = "edge" if leaves else "layers"
        asked.append(again if step.differentiate.recompute else "none")
        raise DoesNotFit("no room")

    made = build_step(decoder(LAYERS), parse_loss("mse"), parse_optimizer("sgd"))
    fabric = replace(find_fabric("wse2").sized(3, 3), sram_bytes=room)
    with pytest.raises(DoesNotFit, match="no room"):
        lowered_step(made, "auto", lower, fabric)
    assert asked == wanted


@pytest.mark.parametrize(("times", "wanted"), [(2, ["edge"]), (4, ["edge", "layers"])])
def test_what_a_step_takes_without_what_is_handed_on_says_enough(
    times: int, wanted: list[str]
) -> None:
    """Where that leaves too little, the step that keeps it in its tiles is not compiled.

    times: of what a step takes without it, as the room of a tile.
    """
    made = build_step(residual(24), parse_loss("mse"), parse_optimizer("sgd"))
    fabric = find_fabric("wse2").sized(3, 3)
    away = made.recomputing(away=True)
    compiled = run_passes(away.network, fabric, DType.F32, "step", code="resident")
    values = sram_kinds(compiled.program, fabric).values
    asked: list[str] = []

    def lower(step: Step) -> Compiled:
        assert step.differentiate is not None
        if not step.differentiate.recompute:
            raise DoesNotFit("no room")
        asked.append("edge" if step.away else "layers")
        return compiled

    lowered_step(made, "auto", lower, replace(fabric, sram_bytes=times * values))
    assert asked == wanted
