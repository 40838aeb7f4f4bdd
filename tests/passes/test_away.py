"""What layers are handed is sent away at their beginning, and read again behind the loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stacks import decoder, patchwork
from wsc.ir.graph import Graph, Keep
from wsc.ir.text import parse_graph, print_graph
from wsc.passes.away import Away
from wsc.passes.layers import find_layers
from wsc.passes.stage import run
from wsc.training.losses import parse_loss
from wsc.training.step import LOSS, build_step, parse_optimizer


def away(model: object) -> tuple[Graph, Graph]:
    """The graph of a step that computes layers again, and the one whose layers send away."""
    step = build_step(model, parse_loss("mse"), parse_optimizer("sgd"))  # type: ignore[arg-type]
    return step.recomputing().graph, step.recomputing(away=True).graph


@pytest.mark.parametrize("layers", [2, 5])
def test_each_layer_sends_away_what_it_is_handed(layers: int) -> None:
    before, after = away(decoder(layers))
    keeps = [node for node in after.nodes if isinstance(node.op, Keep)]
    assert [node.output for node in keeps] == [f"kept.{layer}" for layer in range(layers)]
    forward = find_layers(after)[0]
    begins = range(forward.start, forward.end, forward.period)
    assert [after.nodes[number] for number in begins] == keeps
    gone = {node.inputs[0] for node in keeps}
    turn = next(output.value for output in after.outputs if output.name == LOSS)
    behind = [node.output for node in after.nodes].index(turn)
    assert not any(gone.intersection(node.inputs) for node in after.nodes[behind + 1 :])
    assert any(gone.intersection(node.inputs) for node in before.nodes)


def test_two_stacks_have_names_of_their_own() -> None:
    _, after = away(patchwork(3))
    names = [node.output for node in after.nodes if isinstance(node.op, Keep)]
    assert names == [f"{stem}.{layer}" for stem in ("kept", "kept2") for layer in range(3)]


def test_the_text_of_such_a_graph_is_read_again() -> None:
    _, after = away(decoder(2))
    assert "= keep(%x)" in print_graph(after)
    assert parse_graph(print_graph(after)) == after


def test_what_has_no_layers_stays_as_it_is() -> None:
    step = build_step(decoder(1), parse_loss("mse"), parse_optimizer("sgd"))
    assert run(Away(LOSS), step.graph) == step.graph


def test_a_reader_of_what_has_been_sent_away_is_told() -> None:
    before, after = away(decoder(2))
    back = {node.output: node.inputs[0] for node in after.nodes if isinstance(node.op, Keep)}
    wrong = after.with_(
        nodes=tuple(
            node
            if isinstance(node.op, Keep)
            else replace(node, inputs=tuple(back.get(name, name) for name in node.inputs))
            for node in after.nodes
        )
    )
    sentences = [*Away(LOSS).broken(before, wrong)]
    assert sentences
    assert all("which has been sent away" in sentence for sentence in sentences)
