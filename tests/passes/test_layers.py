"""Layers: found in a graph, laid out alike, a loop in the text; the same network all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import pytest

import wsc
import wsc.pipeline
from tests.stacks import decoder, patchwork
from wsc.errors import DoesNotFit
from wsc.frontend import import_onnx
from wsc.ir.graph import Graph
from wsc.isa.code_size import code_bytes
from wsc.isa.parser import parse
from wsc.isa.program import Call, Loop, Program, TransferLoop
from wsc.isa.turns import expanded, plain_transfers
from wsc.isa.types import DType
from wsc.models.builders import cnn, lstm, mlp, transformer_encoder
from wsc.passes.layers import find_layers
from wsc.passes.place import Place
from wsc.passes.simplify import Simplify
from wsc.views.inspect import node_view


def simplified(model: onnx.ModelProto) -> Graph:
    return Simplify().apply(import_onnx(model, {}, {}, DType.F32))


def counts(model: onnx.ModelProto) -> list[int]:
    return [layers.count for layers in find_layers(simplified(model))]


def loops(program: Program) -> list[tuple[int, int]]:
    """(turns in main, turns of the schedule) of every loop over layers."""
    mains = [item for region in program.regions for item in region.main if isinstance(item, Loop)]
    edge = [item for item in program.transfers if isinstance(item, TransferLoop)]
    return [
        (int(str(main.count.value)), play.count)  # type: ignore[union-attr]
        for main, play in zip(mains, edge, strict=True)
    ]


def plain(model: onnx.ModelProto, fabric: str, precision: str = "f32") -> wsc.Program:
    """The program without loops over layers, and with each layer laid out in its own way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "wsc.pipeline.Place", lambda fabric, same, _: Place(fabric, same, alike=False)
        )
        return wsc.compile(model, fabric, precision=precision)


def inputs(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    (value,) = model.graph.input
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {value.name: random.standard_normal(shape).astype(np.float32)}


def agree(
    model: onnx.ModelProto, program: wsc.Program, tolerance: float = 2e-5, engine: str = "values"
) -> int | None:
    """Hold a program's outputs against ONNX Runtime's. The cycles, of an engine with a clock."""
    feeds = inputs(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, feeds)
    result = program.run(feeds, engine=engine)
    for output, value in zip(session.get_outputs(), wanted, strict=True):
        np.testing.assert_allclose(
            result.outputs[output.name], np.asarray(value), tolerance, tolerance
        )
    return result.cycles


# --- found ------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [2, 3, 6])
def test_as_many_layers_as_there_are(layers: int) -> None:
    assert counts(decoder(layers)) == [layers]
    assert counts(decoder(layers, caches=True)) == [layers]
    assert counts(transformer_encoder(layers, 16, 2, 4)) == [layers]


def test_a_layer_begins_where_one_value_is_handed_on() -> None:
    graph = simplified(decoder(3))
    (layers,) = find_layers(graph)
    first = graph.nodes[layers.start]
    assert first.origin == ("h.0.ln_1",)
    ((name, place),) = layers.carried
    assert name == "x"
    assert graph.nodes[layers.start + place].origin[-1] == "h.0.out"


def test_two_stacks_in_one_network() -> None:
    assert counts(patchwork(3)) == [3, 3]


def test_what_is_no_stack_of_layers() -> None:
    assert counts(decoder(1)) == []
    assert counts(lstm(4, 4, 12)) == []  # steps have the same weights: a recurrence
    assert counts(mlp((32, 24, 16, 8))) == []  # of different widths
    assert counts(mlp((8, 8, 8))) == []  # too short to be worth a loop


def test_names_say_where_a_layer_begins() -> None:
    graph = simplified(mlp([24] * 7, batch=4))
    (layers,) = find_layers(graph)
    body = graph.nodes[layers.start : layers.start + layers.period]
    assert [node.origin[0] for node in body] == ["fc0", "fc0"]


@pytest.mark.parametrize(
    "model", [decoder(2, caches=True), patchwork(2)], ids=["decoder", "patchwork"]
)
def test_what_cannot_be_laid_out_alike_is_placed_as_any_other_nodes(
    model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays of the layers that were tried: the text is that without a search for them."""
    wanted = plain(model, "2x2").text
    monkeypatch.setattr("wsc.passes.stack._Stack.others", lambda stack: None)
    assert wsc.compile(model, "2x2", precision="f32").text == wanted


# --- laid out, in the text --------------------------------------------------------------


def counts_alike(line: str) -> list[str]:
    """The words of a line, with forty for four and 39 for three."""
    return re.sub(r"39|3", "39", re.sub(r"40|4", "40", line)).split()


def test_the_text_of_forty_layers_is_that_of_four() -> None:
    four, forty = (wsc.compile(decoder(count), "4x4") for count in (4, 40))
    ours, theirs = (program.text.splitlines() for program in (four, forty))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):  # columns are as wide as their names
        if not mine.startswith("work "):
            assert counts_alike(mine) == counts_alike(other)
    assert code_bytes(four.assembly, four.fabric) == code_bytes(forty.assembly, forty.fabric)
    assert loops(forty.assembly) == [(40, 40)]
    assert parse(forty.text) == forty.assembly
    assert "h.{layer}.up.weight" in forty.text


@pytest.mark.parametrize(
    ("fabric", "model", "wanted"),
    [
        ("1x1", decoder(2), [(2, 2)]),
        ("3x5", decoder(3, caches=True), [(3, 3)]),
        ("4x4", decoder(6), [(6, 6)]),
        ("3x5", decoder(3, name="part{:02d}"), [(3, 3)]),
        ("1x1", patchwork(2), [(2, 2), (2, 2)]),
        ("4x4", patchwork(2), [(2, 2), (2, 2)]),
    ],
)
def test_a_loop_computes_what_its_layers_do(
    fabric: str, model: onnx.ModelProto, wanted: list[tuple[int, int]]
) -> None:
    program, other = wsc.compile(model, fabric), plain(model, fabric)
    assert loops(program.assembly) == wanted
    assert loops(other.assembly) == []
    cycles, others = (agree(model, each, engine="both") for each in (program, other))
    assert cycles is not None
    assert others is not None
    assert cycles <= 1.02 * others
    code, whole = (max(code_bytes(p.assembly, p.fabric).values()) for p in (program, other))
    assert code < whole


@pytest.mark.parametrize("fabric", ["1x1", "3x5"])
def test_the_streams_are_those_of_the_layers(fabric: str) -> None:
    model = decoder(4)
    program, other = wsc.compile(model, fabric).assembly, plain(model, fabric).assembly

    def played(program: Program) -> list[tuple[str, tuple[str, ...]]]:
        return [(t.tensor, t.nodes) for t in plain_transfers(program) if t.tensor.startswith("h.")]

    assert played(program) == played(other)


def test_buffers_that_take_turns_make_turns_of_two_layers() -> None:
    """A product cannot overwrite its operand: on one tile even and odd layers have two places."""
    model = mlp([24] * 10, batch=4)
    program = wsc.compile(model, "1x1")
    ((turns, _),) = loops(program.assembly)
    assert turns == 4
    agree(model, program)


def test_blocks_of_a_convolutional_network() -> None:
    model = cnn((4, 10, 10), [4] * 7, kernel=3, padding=1, pooled=0, hidden=(16,))
    program = wsc.compile(model, "3x2")
    assert [turns for turns, _ in loops(program.assembly)] == [7]
    agree(model, program)


def test_all_engines_run_a_loop_of_the_schedule() -> None:
    model = decoder(3)
    program, feeds = wsc.compile(model, "3x2"), inputs(model)
    runs = [program.run(feeds, engine=engine) for engine in ("both", "reference", "values")]
    assert runs[0].cycles == runs[1].cycles
    for run in runs[1:]:
        np.testing.assert_array_equal(run.outputs["y"], runs[0].outputs["y"])
    races = program.run(feeds, check_races=True)
    np.testing.assert_array_equal(races.outputs["y"], runs[0].outputs["y"])


def test_halves() -> None:
    model = decoder(4)
    program = wsc.compile(model, "4x4", precision="f16")
    assert loops(program.assembly) == [(4, 4)]
    agree(model, program, 2e-2)


def test_layers_that_only_fit_in_their_own_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit when all layers are alike is compiled as if there were no layers."""
    model = decoder(3)
    tries: list[bool] = []
    passes = wsc.pipeline.passes

    def strict(*arguments: object) -> object:
        tries.append(bool(arguments[4]))
        if arguments[4]:
            raise DoesNotFit("no room")
        return passes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("wsc.pipeline.passes", strict)
    program = wsc.compile(model, "4x4")
    assert tries == [True, False]
    assert loops(program.assembly) == []
    tries.clear()
    with pytest.raises(DoesNotFit, match="no room"):
        wsc.compile(decoder(1), "4x4")  # there is nothing else to try
    assert tries == [True]


def test_the_node_of_each_turn() -> None:
    program = wsc.compile(decoder(5), "4x4").assembly
    for turn in (0, 4):
        view = node_view(program, f"h.{turn}.up")
        assert any(line.line.text.strip().startswith("call matmul") for line in view.lines)
        assert [transfer.tensor for transfer, _ in view.streams] == [f"h.{turn}.up.weight"]


def turned(program: Program) -> Iterator[str]:
    """The nodes of main's calls in the order in which they run."""
    tables = dict(program.names)
    for item in program.regions[0].main:
        if isinstance(item, Loop):
            for turn in range(int(str(item.count.value))):  # type: ignore[union-attr]
                for call in item.body:
                    if isinstance(call, Call):
                        yield from expanded(call.nodes, item.register, turn, tables)
        elif isinstance(item, Call):
            yield from item.nodes


@pytest.mark.parametrize("name", ["h.{}", "part{:02d}"])
def test_calls_are_for_the_nodes_of_their_layer(name: str) -> None:
    model = decoder(4, name=name)
    found = dict.fromkeys(turned(wsc.compile(model, "4x4").assembly))
    wanted = dict.fromkeys(turned(plain(model, "4x4").assembly))
    assert {node for node in found if "up" in node} == {node for node in wanted if "up" in node}
    assert set(wanted) <= set(found)
