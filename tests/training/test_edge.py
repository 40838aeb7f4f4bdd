"""What layers hand on leaves at the edge and comes back: the same gradients, to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from tests.passes.test_layers import loops
from tests.stacks import decoder
from tests.training.test_layers import results
from wsc.api import compile_step
from wsc.cost.predict import predict
from wsc.errors import CompileError
from wsc.frontend.store import Seed
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.expr import Int
from wsc.isa.program import Dim, Direction, EdgeTensor, Kind, Program, Transfer, TransferLoop
from wsc.isa.statements import calls
from wsc.isa.turns import changed, families, plain_transfers
from wsc.isa.verifier import verify
from wsc.models.language import Task, build, find_shape
from wsc.views.inspect import sram_kinds

LAYERS = 3


def step(recompute: str, model: onnx.ModelProto | None = None, **options: Any) -> wsc.Program:
    """A training step of a small decoder."""
    model = decoder(LAYERS, tokens=4) if model is None else model
    options = {"fabric": "3x2"} | options
    return compile_step(model, "mse", "sgd", recompute=recompute, **options)


def kept(program: Program) -> list[EdgeTensor]:
    """The tensors that leave and come back."""
    return [tensor for tensor in program.edge_tensors if tensor.kind is Kind.KEPT]


def taken(program: wsc.Program) -> int:
    """Bytes of a tile that are taken."""
    return program.fabric.sram_bytes - sram_kinds(program.assembly, program.fabric).free


@pytest.fixture(scope="module")
def both() -> tuple[wsc.Program, wsc.Program]:
    """With what layers hand on in SRAM, and at the edge."""
    return step("layers"), step("edge")


def test_the_layers_stay_loops(both: tuple[wsc.Program, wsc.Program]) -> None:
    stays, leaves = both
    assert loops(leaves.assembly) == loops(stays.assembly) == [(3, 3), (2, 2)]
    (family,) = [f for f in families(leaves.assembly).values() if f.head.kind is Kind.KEPT]
    assert (family.head.name, family.count) == ("kept.{layer}", LAYERS)
    assert not kept(stays.assembly)
    moved = {d: [t.tensor for t in named(leaves.assembly, d)] for d in Direction}
    assert moved[Direction.DRAIN] == ["kept.0", "kept.1", "kept.2"]
    assert moved[Direction.FEED] == ["kept.2", "kept.1", "kept.0"]


def named(program: Program, direction: Direction) -> list[Transfer]:
    """The entries that move what is kept in a direction, in the order in which they are played."""
    names = {tensor.name for tensor in kept(program)}
    entries = plain_transfers(program)
    return [t for t in entries if t.direction is direction and t.tensor in names]


@pytest.mark.parametrize("mesh", ["3x2", "1x5", "5x1"])
def test_gradients_are_those_of_what_stays_to_the_bit(
    mesh: str, both: tuple[wsc.Program, wsc.Program]
) -> None:
    model, ways = decoder(2, hidden=8, tokens=5), ("layers", "edge")
    made = both if mesh == "3x2" else [step(way, model, fabric=mesh) for way in ways]
    stays, leaves = map(results, made)
    assert stays.keys() == leaves.keys()
    for name, array in stays.items():
        assert (leaves[name] == array).all(), name


def test_engines_agree_and_the_prediction_holds(both: tuple[wsc.Program, wsc.Program]) -> None:
    program = both[1]
    random = np.random.default_rng(3)
    feeds = {name: random.standard_normal((1, 4, 16)).astype(np.float32) for name in ("x", "label")}
    runs = {name: program.run(feeds, engine=name) for name in ("values", "both", "reference")}
    for name, array in runs["values"].outputs.items():
        assert (runs["reference"].outputs[name] == array).all(), name
    cycles = runs["reference"].cycles
    assert runs["both"].cycles == cycles
    assert abs(predict(program.assembly, program.fabric).cycles / cycles - 1) < 0.05


def test_it_leaves_while_the_longest_product_of_its_layer_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = decoder(3, hidden=40, tokens=12)
    random = np.random.default_rng(4)
    shape = (1, 12, 40)
    feeds = {name: random.standard_normal(shape).astype(np.float32) for name in ("x", "label")}

    def run() -> tuple[wsc.Program, wsc.Run]:
        program = step("edge", model, fabric="5x4")
        return program, program.run(feeds, engine="both")

    beside, found = run()
    (name,) = {p.name for p in beside.assembly.procedures if p.name.endswith("_beside")}
    assert drains(beside.assembly)
    assert abs(predict(beside.assembly, beside.fabric).cycles / found.cycles - 1) < 0.05
    monkeypatch.setattr("wsc.passes.place._hides", lambda *given: False)
    plain, wanted = run()
    assert name not in {p.name for p in plain.assembly.procedures}
    assert found.cycles < wanted.cycles
    for output, array in wanted.outputs.items():
        assert (found.outputs[output] == array).all(), output


def at_the_edge(
    hidden: int, tokens: int, precision: str = "f32", **options: Any
) -> tuple[wsc.Program, dict[str, np.ndarray], int]:
    """A step whose layers send away what they are handed, its outputs and its cycles.

    All engines agree on both, no race is found, and the prediction holds.
    """
    program = step("edge", decoder(3, hidden=hidden, tokens=tokens), precision=precision, **options)
    random = np.random.default_rng(4)
    shape = (1, tokens, hidden)
    feeds = {name: random.standard_normal(shape).astype(np.float32) for name in ("x", "label")}
    if precision == "f16":
        feeds["loss.scale"] = np.array(8.0, np.float32)
    found = program.run(feeds, engine="reference", check_races=True)
    values = program.run(feeds, engine="values")
    for name, array in found.outputs.items():
        assert (values.outputs[name] == array).all(), name
    assert program.run(feeds, engine="time").cycles == found.cycles
    assert abs(program.estimate().cycles / found.cycles - 1) < 0.05
    return program, found.outputs, found.cycles


def crossings(program: wsc.Program, direction: Direction) -> list[int]:
    """How many entries of the schedule move each tensor that is kept in a direction."""
    moved = [transfer.tensor for transfer in named(program.assembly, direction)]
    return [moved.count(tensor.name) for tensor in kept(program.assembly)]


def test_it_leaves_in_parts_where_one_product_is_too_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, wanted, _ = at_the_edge(40, 12, fabric="5x4")
    monkeypatch.setattr("wsc.passes.place.Placer._least_cycles", lambda self, node: 1)
    program, found, _ = at_the_edge(40, 12, fabric="5x4")
    # Of the eight features of a tile some for each of the six products of a layer.
    assert crossings(program, Direction.DRAIN) == [6, 6, 6]
    for name, array in wanted.items():
        assert (found[name] == array).all(), name


@pytest.mark.parametrize(
    ("mesh", "precision", "parts"), [("4x3", "f32", 1), ("3x4", "f16", 2), ("1x5", "f32", 2)]
)
def test_it_comes_a_layer_ahead_while_gradients_are_made(
    mesh: str, precision: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsc.passes.place.WHOLE", 0.0)
    monkeypatch.setattr("wsc.passes.place.PIECE", 0.01)
    if parts > 1:  # as much of it as there is beside the last gradients of a layer
        monkeypatch.setattr("wsc.passes.ahead.crossing", lambda view, fabric: 1 << 40)
    options: dict[str, Any] = {"fabric": f"wse2:{mesh}", "settings": {"io.bytes_per_cycle": 4}}
    program, found, cycles = at_the_edge(16, 10, precision, **options)
    # The loop has two layers; the last one brings once more what it had itself.
    assert crossings(program, Direction.FEED)[::2] == [1, 1]
    assert crossings(program, Direction.FEED)[1] > 2 * (parts - 1)
    assert any(p.name.startswith("load_beside") for p in program.assembly.procedures)
    # Where each task is as full as any other, nothing comes ahead.
    monkeypatch.setattr("wsc.passes.ahead._alive", lambda values, among, at: [0] * len(at))
    plain, wanted, slower = at_the_edge(16, 10, precision, **options)
    assert crossings(plain, Direction.FEED) == [1, 1, 1]
    assert cycles < slower or parts > 1
    for name, array in wanted.items():
        assert (found[name] == array).all(), name


def test_what_the_first_layer_wants_comes_beside_gradients_of_the_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head's weights are no part of a layer; their gradient is made before all layers."""
    monkeypatch.setattr("wsc.passes.place.WHOLE", 0.0)
    monkeypatch.setattr("wsc.passes.place.PIECE", 0.01)
    shape = find_shape("gpt-neox-20b").sized(layers=3, hidden=16, heads=2, ffn=24, vocabulary=40)
    model = build(shape, Task(sequence=6, batch=2))
    options: dict[str, Any] = {"fabric": "wse2:4x3", "settings": {"io.bytes_per_cycle": 4}}
    random = np.random.default_rng(6)
    feeds = {name: random.integers(0, 40, (2, 6)) for name in ("input_ids", "label")}

    def run() -> tuple[wsc.Program, wsc.Run, list[str]]:
        program = compile_step(
            model, "cross_entropy", "sgd", weights=Seed(1), recompute="edge", **options
        )
        found = program.run(feeds, engine="reference")
        both = program.run(feeds, engine="both")
        assert both.cycles == found.cycles
        assert abs(program.estimate().cycles / found.cycles - 1) < 0.05
        for name, array in found.outputs.items():
            assert (both.outputs[name] == array).all(), name
        last = kept(program.assembly)[-1].name
        come = [
            call.procedure
            for region in program.assembly.regions
            for call in calls(region.main)
            if call.procedure.startswith("load") and call.nodes == (last,)
        ]
        return program, found, come

    _, found, come = run()
    assert all(name.startswith("load_beside") for name in come)
    monkeypatch.setattr("wsc.passes.ahead._first_ahead", lambda values, layers, *_: layers)
    _, wanted, before = run()
    assert len(come) >= len(before)
    assert not all(name.startswith("load_beside") for name in before)
    assert found.cycles < wanted.cycles
    for name, array in wanted.outputs.items():
        assert (found.outputs[name] == array).all(), name


def test_weights_become_the_same() -> None:
    random = np.random.default_rng(5)
    batches = [
        {name: random.standard_normal((1, 4, 8)).astype(np.float32) for name in ("x", "label")}
        for _ in range(2)
    ]
    found: list[dict[str, np.ndarray]] = []
    for way in ("layers", "edge"):
        trainer = wsc.train(
            decoder(2, hidden=8, tokens=4),
            loss="mse",
            optimizer="adam",
            fabric="2x2",
            recompute=way,
        )
        for batch in batches:
            trainer.step(batch)
        found.append({name: np.asarray(array) for name, array in trainer.weights.items()})
    stays, leaves = found
    assert all((leaves[name] == array).all() for name, array in stays.items())


def test_what_has_no_room_leaves(both: tuple[wsc.Program, wsc.Program]) -> None:
    stays, leaves = both
    size = LAYERS * 4 * 16 * 4
    says = f"what layers hand on leaves at the edge and comes back, {size} bytes each way"
    again = f"the activations of {LAYERS} layers are computed again in the backward pass"
    assert leaves.notes == (f"{again}; {says}",)
    room = (taken(stays) + taken(leaves)) // 2
    program = step("auto", settings={"sram.bytes": room}, code="resident")
    assert program.notes == (f"{again}; {says}: there is no room for it",)
    assert program.assembly.work == stays.assembly.work


def test_a_model_without_layers_has_nothing_to_send_away() -> None:
    from tests.training.networks import NETWORKS

    with pytest.raises(CompileError, match="no layers that repeat"):
        compile_step(NETWORKS["mlp"]().model, batch=2, fabric="2x2", recompute="edge")


# --- what someone breaks is noticed -----------------------------------------------------


def drains(program: Program) -> set[str]:
    """The names in the entries that drain what is kept, as they stand in the text."""
    loops = [item for item in program.transfers if isinstance(item, TransferLoop)]
    return {t.tensor for loop in loops for t in loop.body if t.tensor.startswith("kept")}


def test_a_drain_that_is_removed_is_noticed(both: tuple[wsc.Program, wsc.Program]) -> None:
    program = both[1].assembly
    names = drains(program)

    def goes(transfer: Transfer) -> bool:
        return transfer.direction is Direction.DRAIN and transfer.tensor in names

    rest = tuple(
        replace(item, body=tuple(t for t in item.body if not goes(t)))
        if isinstance(item, TransferLoop)
        else item
        for item in program.transfers
    )
    with pytest.raises(AssemblyError, match=r"0 of the 64 elements of 'kept\.0' are"):
        verify(program.with_(transfers=rest), both[1].fabric)


def test_a_drain_that_is_one_element_short_is_noticed(
    both: tuple[wsc.Program, wsc.Program],
) -> None:
    program = both[1].assembly
    names = drains(program)

    def short(transfer: Transfer) -> Transfer:
        if transfer.direction is Direction.FEED or transfer.tensor not in names:
            return transfer
        *dims, last = transfer.dims
        return replace(transfer, dims=(*dims, Dim(last.name, last.extent - 1)))

    broken = program.with_(transfers=changed(program.transfers, short))
    with pytest.raises(AssemblyError, match=r"elements of 'kept\.0' are drained, not element"):
        verify(broken, both[1].fabric)


def test_a_feed_that_is_moved_before_its_drain_is_noticed(
    both: tuple[wsc.Program, wsc.Program],
) -> None:
    program = both[1].assembly
    first = next(t for t in plain_transfers(program) if t.tensor == "kept.2")
    feed = named(program, Direction.FEED)[0]
    assert first.direction is Direction.DRAIN
    early = replace(feed, guard=Int(0))
    broken = program.with_(transfers=(early, *program.transfers))
    with pytest.raises(AssemblyError, match=r"'kept\.2' is kept, and is fed before this entry"):
        verify(broken, both[1].fabric)
