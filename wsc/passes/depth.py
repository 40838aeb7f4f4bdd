"""Deep networks: a few of the layers go through the passes, and stand for those between them.

Layers that differ in their weights alone are laid out alike and become a loop. So what the passes
make of a network of four such layers says what they make of one of ninety-six: the loop has more
turns, and the names in it go on. The layers in the middle are left out of the graph, and come
back as turns of the loop. Where that cannot be shown, all layers go through the passes.
"""

from __future__ import annotations

from dataclasses import replace

from wsc.ir.cut import BEFORE, Cut
from wsc.ir.graph import Graph, Node
from wsc.ir.ranges import MOST_READ
from wsc.passes.layers import Layers, find_layers

KEPT = 4  # layers that are kept at least
TOGETHER = 4  # layers that take turns at most: as many, or a multiple of it, are left out


def shorten(graph: Graph) -> tuple[Graph, Cut] | None:
    """A simplified graph without the layers in the middle of a deep stack, and what these are.

    None where there is no such stack, or where a layer has more of its own than weights: inputs,
    outputs, small integers (whose values may decide what becomes of a node), or something that
    training keeps or changes.
    """
    if any(constant.state for constant in graph.constants):
        return None
    stacks = find_layers(graph)
    if len(stacks) != 1:
        return None
    (layers,) = stacks
    left = (layers.count - KEPT) // TOGETHER * TOGETHER
    if left < TOGETHER or layers.kept or not _weights_alone(graph, layers):
        return None
    families = _families(graph, layers)
    first = layers.start + BEFORE * layers.period
    last = first + left * layers.period
    made = {node.output: number for number, node in enumerate(graph.nodes)}
    gone = {node.output for node in graph.nodes[first:last]}
    if families is None or any(gone.intersection(output.values) for output in graph.outputs):
        return None

    def handed(name: str) -> str:
        """What the layer behind those left out gets in the place of what it is handed."""
        return graph.nodes[made[name] - (last - first)].output if name in gone else name

    following = graph.nodes[last : last + layers.period]
    rest = graph.nodes[last + layers.period :]
    if any(gone.intersection(node.inputs) for node in rest):
        return None
    nodes: list[Node] = [*graph.nodes[:first]]
    nodes += [replace(node, inputs=tuple(map(handed, node.inputs))) for node in following]
    read = {name for node in (*nodes, *rest) for name in node.inputs}
    read |= {name for output in graph.outputs for name in output.values}
    constants = tuple(constant for constant in graph.constants if constant.name in read)
    short = graph.with_(nodes=(*nodes, *rest), constants=constants)
    return short, Cut(left, families, graph.constants)


def _weights_alone(graph: Graph, layers: Layers) -> bool:
    """Whether all that a layer has of its own are constants whose values decide nothing."""
    constants = {constant.name: constant for constant in graph.constants}
    own = [constants.get(name) for name in layers.own]
    return all(
        item is not None and (item.type.dtype.is_float or item.type.size > MOST_READ)
        for item in own
    )


def _families(graph: Graph, layers: Layers) -> dict[str, tuple[str, ...]] | None:
    """Each name of a layer -> those of all; None if one name would be of several families."""
    found: dict[str, tuple[str, ...]] = {}
    for place in range(layers.start, layers.start + layers.period):
        nodes = graph.nodes[place : layers.end : layers.period]
        if len({len(node.origin) for node in nodes}) > 1:
            return None
        columns = [
            tuple(node.output for node in nodes),
            *zip(*(node.origin for node in nodes), strict=True),
            *(
                column
                for column in zip(*(node.inputs for node in nodes), strict=True)
                if column[0] in layers.own
            ),
        ]
        for column in columns:
            if len(set(column)) == 1:  # a name that all layers share
                continue
            for name in column:
                if found.setdefault(name, column) != column:
                    return None
    return found
