"""``python -m benchmarks.whole``: language models by name, all layers, by the values engine.

Weights are drawn from a seed. What each layer hands to the next is an output of the program: so
each layer is held against ONNX Runtime by itself. Its graph gets what the layer before gave on the
fabric, and the weights of that layer alone.
"""

from __future__ import annotations

import re
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import wsc
from wsc.comparison.compare import Reference
from wsc.frontend.store import Drawing, Seed
from wsc.isa.drawing import draw, drawing_key
from wsc.models.language import Task, build, find_shape

MODELS = ("gpt-neo-2.7b", "gpt-j-6b")
NUMBER = re.compile(r"\.(\d+)\.")
IDS = "input_ids"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a model: its nodes, what it gets from the layer before, what it gives."""

    nodes: tuple[onnx.NodeProto, ...]
    given: str
    gives: str


@click.command()
@click.argument("names", nargs=-1)
@click.option("--fabric", default="wse2:64x64", show_default=True)
@click.option("--sequence", default=128, show_default=True)
@click.option("--layers", type=int, help="Of the model's; all by default.")
@click.option("--hidden", type=int)
@click.option("--heads", type=int)
@click.option("--ffn", type=int)
@click.option("--vocabulary", type=int)
@click.option("--precision", default="f16", show_default=True)
def main(
    names: tuple[str, ...],
    fabric: str,
    sequence: int,
    precision: str,
    **sizes: int | None,
) -> None:
    """Run models whole, and hold each of their layers against ONNX Runtime."""
    for name in names or MODELS:
        shape = find_shape(name).sized(**sizes)
        model = build(shape, Task(sequence=sequence))
        layers = layers_of(model)
        _show(model, layers)
        began = time.perf_counter(), time.process_time()
        program = wsc.compile(model, fabric=fabric, precision=precision, weights=Seed(0))
        compiled = time.perf_counter(), time.process_time()
        ids = np.random.default_rng(0).integers(0, shape.vocabulary, (1, sequence))
        given = program.run({IDS: ids}, engine="values").outputs
        ran = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        click.echo(
            f"{name}, {len(layers)} layers, {sequence} tokens, {fabric}, {precision}: "
            f"compiled in {compiled[1] - began[1]:.1f} CPU s, run in {ran[1] - compiled[1]:.1f} "
            f"CPU s ({ran[0] - compiled[0]:.1f} s), {peak:.1f} GiB"
        )
        errors = [error_of(model, layer, given) for layer in layers]
        worst = int(np.argmax(errors))
        click.echo(
            f"  {len(errors)} layers against ONNX Runtime: {errors[worst]:.1e} of the largest "
            f"value at worst, in layer {worst}"
        )


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """The layers of a model, in order; their nodes have their number in their name."""
    found: dict[int, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        number = NUMBER.search(node.name)
        if number is not None:
            found.setdefault(int(number[1]), []).append(node)
    made = [{name for node in found[i] for name in node.output} for i in sorted(found)]
    read = [{name for node in found[i] for name in node.input} for i in sorted(found)]
    rest = {
        name for node in model.graph.node if not NUMBER.search(node.name) for name in node.input
    }
    layers: list[Layer] = []
    (first,) = read[0] & _computed(model) - made[0]
    for number in sorted(found):
        behind = read[number + 1] if number + 1 < len(read) else rest
        (gives,) = made[number] & behind
        given = layers[-1].gives if layers else first
        layers.append(Layer(tuple(found[number]), given, gives))
    return layers


def _computed(model: onnx.ModelProto) -> set[str]:
    """All values that depend on the words."""
    found = {IDS}
    for node in model.graph.node:
        if found & {*node.input}:
            found.update(node.output)
    return found


def _show(model: onnx.ModelProto, layers: list[Layer]) -> None:
    """Make what the layers get and give outputs of the model."""
    for name in (layers[0].given, *(layer.gives for layer in layers)):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def error_of(model: onnx.ModelProto, layer: Layer, given: dict[str, np.ndarray]) -> float:
    """By how much a layer's result differs from ONNX Runtime's, over the largest that there is."""
    shape = list(given[layer.given].shape)
    inputs = [helper.make_tensor_value_info(layer.given, TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(layer.gives, TensorProto.FLOAT, None)]
    nodes = [*_shared(model, layer), *layer.nodes]
    wanted = {name for node in nodes for name in node.input}
    weights = list(_weights(model, wanted))
    graph = helper.make_graph(nodes, "layer", inputs, outputs, weights)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(alone, path)
        feeds = {layer.given: given[layer.given].astype(np.float32)}
        result = Reference(path).run(feeds, [layer.gives])[layer.gives]
    ours = given[layer.gives].astype(np.float64)
    return float(np.abs(ours - result).max() / np.abs(result).max())


def _shared(model: onnx.ModelProto, layer: Layer) -> Iterator[onnx.NodeProto]:
    """Nodes outside of all layers that a layer reads, and those that they read."""
    made = {name: node for node in model.graph.node for name in node.output}
    own = {name for node in layer.nodes for name in node.output}
    seen = {layer.given}
    order: list[onnx.NodeProto] = []

    def visit(name: str) -> None:
        if name in seen or name in own or name not in made:
            return
        seen.update(made[name].output)
        for source in made[name].input:
            visit(source)
        order.append(made[name])

    for node in layer.nodes:
        for name in node.input:
            visit(name)
    yield from order


def _weights(model: onnx.ModelProto, wanted: set[str]) -> Iterator[TensorProto]:
    """The initializers of these names, with their data."""
    for tensor in model.graph.initializer:
        if tensor.name not in wanted:
            continue
        if tensor.data_location != TensorProto.EXTERNAL:
            yield tensor
            continue
        source = Seed(0).sources([tensor])[tensor.name]
        assert isinstance(source, Drawing)
        how, count = source.how, int(np.prod(tensor.dims))
        values = draw(drawing_key(how.seed, source.key), 0, count, how.mean, how.deviation)
        array = values.astype(np.float32).reshape(tuple(tensor.dims))
        yield numpy_helper.from_array(array, tensor.name)


if __name__ == "__main__":
    main()
