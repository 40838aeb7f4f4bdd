"""What the backward pass computes again comes late: right before a derivative wants it.

The groups of an attention each have shares that only their own derivative reads. Computed again
one group at a time there is room for one of them, not for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from wsc.ir.check import check_graph
from wsc.ir.graph import Concat, Graph, Map, Move, Node
from wsc.ir.naming import in_blocks
from wsc.passes.differentiate import computed_again
from wsc.passes.simplify import drop_dead
from wsc.passes.stage import Pass


@dataclass(frozen=True, slots=True)
class Late(Pass[Graph, Graph]):
    """Nodes of layers that are computed again, in another order.

    Requires a checked graph; ensures one with the same nodes but for dead ones, and that no layer's
    nodes are among those of another one. A node that is computed again comes before the first
    derivative that needs it, or when nothing else reads any more what it is computed of. The
    gradient of a weight, which nothing reads, waits for what would have to be computed for it
    alone.
    """

    name: ClassVar[str] = "late"

    def apply(self, stage: Graph) -> Graph:
        """The graph in that order."""
        graph = drop_dead(stage)
        return graph.with_(nodes=tuple(_Order(graph).run()))

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        check_graph(after)
        there = {node.output: node for node in after.nodes}
        for node in drop_dead(before).nodes:
            if there.get(node.output) != node:
                yield f"node '{node.name}' is another or gone"


@dataclass(slots=True)
class _Order:
    """The nodes in their order so far.

    again: of the layer at hand, by output: what is to be computed again and is not yet. waiting:
    its nodes that wait. free: what is the gradient of a weight, but for its form. left: of each
    value, the readers that are not in the order yet. served: values that a derivative has read.
    """

    graph: Graph
    found: list[Node] = field(default_factory=list[Node])
    again: dict[str, Node] = field(default_factory=dict[str, Node])
    waiting: list[Node] = field(default_factory=list[Node])
    free: set[str] = field(init=False)
    left: dict[str, dict[str, Node]] = field(default_factory=dict[str, dict[str, Node]])
    served: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        for node in self.graph.nodes:
            for name in node.inputs:
                self.left.setdefault(name, {})[node.output] = node
        self.free = set[str]()
        for node in reversed(self.graph.nodes):
            readers = self.left.get(node.output, {}).values()
            if all(item.output in self.free and _follows(item) for item in readers):
                self.free.add(node.output)

    def run(self) -> list[Node]:
        """The nodes, layer by layer."""
        turned = False
        for node in self.graph.nodes:
            if computed_again(node.name):
                if turned:  # the derivative of the layer before is complete
                    self._finish()
                turned = False
                self.again[node.output] = node
                continue
            turned = turned or bool(self.again)
            if node.output not in self.free:
                self._place(node)
                continue
            # Gradients of weights come together, between two groups and not within one.
            self.waiting.append(node)
            self._take_turns()
        self._finish()
        return self.found

    def _finish(self) -> None:
        """Put all of a layer in its place."""
        waiting, self.waiting = self.waiting, []
        for node in waiting:
            self._place(node)
        for node in list(self.again.values()):
            self._need(node.output)

    def _lacks(self, node: Node) -> bool:
        """Whether something would have to be computed for a node; to move values is free."""
        for name in node.inputs:
            before = self.again.get(name)
            if before is None:
                if any(name == other.output for other in self.waiting):
                    return True
                continue
            if not isinstance(before.op, Move | Concat) or self._lacks(before):
                return True
        return False

    def _take_turns(self) -> None:
        """Put those that wait in their places for which nothing more would have to be computed."""
        waiting, self.waiting = self.waiting, []
        for node in waiting:
            if self._lacks(node):
                self.waiting.append(node)
            else:
                self._place(node)

    def _place(self, node: Node) -> None:
        """Put a derivative in its place."""
        self._put(node)
        self.served.update(node.inputs)
        self._die(node)

    def _need(self, name: str) -> None:
        """Compute a value again, if it is not there.

        Of what goes block by block all that comes before it is next, in its order: else all
        blocks would have their shares before one of them is done with.
        """
        node = self.again.get(name)
        whole = "" if node is None else in_blocks(node.name)
        names = [name]
        if whole:
            alike = [other for other, item in self.again.items() if in_blocks(item.name) == whole]
            names = alike[: alike.index(name) + 1]
        for item in names:
            before = self.again.pop(item, None)
            if before is not None:
                self._put(before)

    def _put(self, node: Node) -> None:
        for name in node.inputs:
            self._need(name)
        self.found.append(node)
        for name in dict.fromkeys(node.inputs):
            del self.left[name][node.output]

    def _die(self, node: Node) -> None:
        """Compute now what would keep a value alive that derivatives have no more use for."""
        names = list(node.inputs)
        while names:
            name = names.pop()
            left = self.left[name].values()
            if name not in self.served or not computed_again(name) or not left:
                continue
            if all(item.output in self.again and self._alone(item) for item in left):
                for item in list(left):
                    self._need(item.output)
                    names += item.inputs

    def _alone(self, node: Node) -> bool:
        """Whether all that a node reads is there."""
        return not any(name in self.again for name in node.inputs)


def _follows(node: Node) -> bool:
    """Whether a node gives what it reads in another form."""
    return isinstance(node.op, Move) or (isinstance(node.op, Map) and len(node.inputs) == 1)
