"""What layers hand on leaves the fabric until the backward pass wants it.

A step that computes its layers again keeps of each of them what it is handed by the one before.
That takes room in every tile for as many layers as there are. At the edge there is room enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from wsc.ir.check import check_graph
from wsc.ir.cut import Cut
from wsc.ir.graph import Graph, Keep, Node
from wsc.ir.naming import fresh_name
from wsc.passes.layers import Layers, find_layers
from wsc.passes.stage import Pass

KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Away(Pass[Graph, Graph]):
    """A layer begins with nodes that send away what it is handed; who reads it behind the loss
    reads what comes back.

    Requires a checked graph with the output ``loss``; ensures one with the same values, in which
    no node behind the loss reads what a layer of the forward pass is handed. All layers of a stack
    begin alike, so that one of them in a loop still stands for all.
    """

    loss: str
    cut: Cut | None = None  # the layers that the graph is without: names go on behind theirs
    name: ClassVar[str] = "away"

    def apply(self, stage: Graph) -> Graph:
        """The graph with such nodes."""
        nodes = list[Node]()
        turn, handed = stage.giver(self.loss), self._handed(stage)
        back: dict[str, str] = {}
        for number, node in enumerate(stage.nodes):
            for keep in handed.get(number, ()):
                nodes.append(keep)
                back[keep.inputs[0]] = keep.output
            if number > turn:
                node = replace(node, inputs=tuple(back.get(name, name) for name in node.inputs))
            nodes.append(node)
        return stage.with_(nodes=tuple(nodes))

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        check_graph(after)
        gone = {node.inputs[0] for node in after.nodes if isinstance(node.op, Keep)}
        for node in after.nodes[after.giver(self.loss) + 1 :]:
            for name in sorted(gone.intersection(node.inputs)):
                yield f"node '{node.name}' reads '{name}', which has been sent away"
        if [n.output for n in after.nodes if not isinstance(n.op, Keep)] != [
            n.output for n in before.nodes
        ]:
            yield "the other nodes are not what they were"

    def _handed(self, graph: Graph) -> dict[int, list[Node]]:
        """The first node of each layer -> the nodes that go before it."""
        turn = graph.giver(self.loss)
        forward = graph.with_(
            nodes=graph.nodes[: turn + 1],
            outputs=tuple(output for output in graph.outputs if output.name == self.loss),
        )
        wanted = {name for node in graph.nodes[turn + 1 :] for name in node.inputs}
        types = graph.types()
        taken = {*types, *(node.name for node in graph.nodes)}
        found: dict[int, list[Node]] = {}
        stems = 0
        for layers in find_layers(forward):
            for column in _columns(forward, layers):
                if not wanted.issuperset(column):
                    continue
                stems += 1
                stem = KEPT if stems == 1 else f"{KEPT}{stems}"
                for layer, value in enumerate(column):
                    number = layer if self.cut is None else self.cut.whole(layer)
                    name = fresh_name(stem, str(number), taken)
                    taken.add(name)
                    first = layers.start + layer * layers.period
                    origin = graph.nodes[first].origin
                    keep = Node(name, Keep(), (value,), name, types[value], origin)
                    found.setdefault(first, []).append(keep)
        return found


def _columns(graph: Graph, layers: Layers) -> Iterator[tuple[str, ...]]:
    """What the layers of a stack are handed, each column layer by layer."""
    for name, place in layers.carried:
        givers = range(layers.start + place, layers.end - layers.period, layers.period)
        yield (name, *(graph.nodes[number].output for number in givers))
