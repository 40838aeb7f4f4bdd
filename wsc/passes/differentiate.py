"""Graph to graph: the derivative of a scalar by the values that training changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np

from wsc.errors import CompileError, shortened
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import check_graph
from wsc.ir.graph import Graph, GraphOutput, Map, Move, Node, Reduce, Slice
from wsc.ir.naming import KEYS, LOOK, ROWS, block_of, numbered_block
from wsc.isa.types import DType
from wsc.isa.values import WITHOUT
from wsc.passes.adjoint import NoDerivative, Place, adjoint, spaced
from wsc.passes.layers import Layers, find_layers
from wsc.passes.stage import Pass

GRADIENT = ".grad"
STILL = ".still"  # behind the name of a node that counts as a constant
AGAIN = ".again"  # behind the name of a node that is computed once more
SHOWN = 20  # operators that are listed where there is no derivative


def computed_again(name: str) -> bool:
    """Whether a node, or what it gives, is of a layer that the backward pass computes once more."""
    return AGAIN in name


@dataclass(frozen=True, slots=True)
class Differentiate(Pass[Graph, Graph]):
    """Add the derivative of a loss by each of some values: reverse mode, one rule a primitive.

    Requires a checked graph with an output of one float, the loss, and float values ``by``;
    ensures a checked graph with the same nodes and outputs, and one output ``NAME.grad`` more for
    each of them, of its shape and type. Values that do not decide the loss are refused, or get no
    output where ``lenient`` says so. What has no derivative is refused: all of it, by operator and
    node.

    scale: an input of one float by which all gradients are multiplied, so that small ones stay
    above the least that halves have; "" for none. recompute: of layers that repeat, only what one
    hands to the next is kept; before the derivative of a layer its nodes are computed once more.
    """

    loss: str
    by: tuple[str, ...]
    scale: str = ""
    lenient: bool = False
    recompute: bool = False
    name: ClassVar[str] = "differentiate"

    def apply(self, stage: Graph) -> Graph:
        """The graph with the gradients as further outputs."""
        graph = stage
        build = GraphBuilder.of(graph)
        values = {output.name: output.value for output in graph.outputs}
        loss = build.value(values[self.loss])
        if loss.type.size != 1 or not loss.dtype.is_float:
            raise CompileError(
                f"output {shortened(self.loss)!r} is {loss.dtype.value}{list(loss.shape)}, and no "
                "loss: a loss is one float"
            )
        seed = build.value(self.scale) if self.scale else build.constant(np.ones(()), DType.F32)
        layers = find_layers(graph) if self.recompute else []
        found = _Backwards(graph, build, loss, self.by, layers).run(seed)
        without = [name for name in self.by if name not in found]
        if without and not (self.lenient and found):
            listed = ", ".join(map(shortened, without))
            raise CompileError(f"the loss does not change with {listed}: name other weights")
        outputs = list(graph.outputs)
        for name, gradient in found.items():
            host = gradient.dtype.numpy.name
            outputs.append(GraphOutput(f"{name}{GRADIENT}", gradient.name, host))
        return build.finish(outputs).with_(files=graph.files)

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        check_graph(after)
        if after.outputs[: len(before.outputs)] != before.outputs:
            yield "the outputs of the graph are others"
        there = {node.output: node for node in after.nodes}
        for node in before.nodes:
            if there.get(node.output) != node:
                yield f"node '{node.name}' is another or gone"
        given = [output.name for output in after.outputs[len(before.outputs) :]]
        wanted = [f"{name}{GRADIENT}" for name in self.by]
        if self.lenient:
            wanted = [name for name in wanted if name in given]
        if given != wanted:
            yield f"the outputs more are {', '.join(given)}, and not {', '.join(wanted)}"
        types = after.types()
        for output in after.outputs[len(before.outputs) :]:
            value = output.name.removesuffix(GRADIENT)
            if types[output.value] != types.get(value):
                yield f"the gradient of '{value}' is not of its shape and type"


def derivatives(
    build: GraphBuilder, output: Value, by: Sequence[Value], seed: Value
) -> list[Value | None]:
    """What ``seed``, the derivative by ``output``, gives for each of some values before it.

    The nodes that lead from these to ``output`` are those that the builder has; more are added
    behind them. None of a value that does not decide the output.

    Raises CompileError for what has no derivative.
    """
    names = tuple(value.name for value in by)
    found = _Backwards(build.so_far(), build, output, names, ()).run(seed)
    return [found.get(name) for name in names]


@dataclass(frozen=True, slots=True)
class _Part:
    """``count`` positions of one dimension of a value, every ``step``-th from ``start`` on."""

    axis: int
    start: int
    count: int
    step: int = 1

    @property
    def beside(self) -> tuple[_Part, ...]:
        """The parts of as many positions that together have all of a stretch, this one first."""
        return tuple(replace(self, start=self.start + more) for more in range(self.step))


def _stretches(nodes: Sequence[Node]) -> dict[int, int]:
    """The last node of each stretch that is computed for its derivative alone -> its first one."""
    found: dict[int, int] = {}
    first, before = 0, ""
    for number, node in enumerate((*nodes, None)):
        here = "" if node is None else block_of(node.name, KEYS, ROWS)
        if here != before:
            if before:
                found[number - 1] = first
            first, before = number, here
    return found


def _flows(node: Node, value: str) -> bool:
    """Whether a derivative goes on to what a node reads.

    What is added to the scores of attention in blocks, or multiplies them, has its derivative of
    one of both walks.
    """
    return not (isinstance(node.op, Map) and block_of(node.name, KEYS)) or bool(block_of(value))


def _left_out(part: Value, behind: Value) -> int:
    """How many blocks were left out between those that give two parts of a gradient."""
    first, second = numbered_block(part.name), numbered_block(behind.name)
    if first is None or second is None or first[0] != second[0]:
        return 0
    return max(second[1] - first[1] - 1, 0)


class _Backwards:
    """The walk over the nodes, from the last to the first."""

    def __init__(
        self,
        graph: Graph,
        build: GraphBuilder,
        loss: Value,
        by: Iterable[str],
        recomputed: Iterable[Layers],
    ) -> None:
        self.graph, self.build, self.loss, self.by = graph, build, loss, tuple(by)
        self.types = graph.types()
        # The last node of each layer that is computed again -> its first one.
        self.begins = {
            start + layers.period - 1: start
            for layers in recomputed
            for start in range(layers.start, layers.end, layers.period)
        }
        # The same of stretches that are computed once more each, whatever layers are.
        self.stretches = _stretches(graph.nodes)
        self.again: dict[str, str] = {}  # a value of the layer at hand -> the same, computed again
        self.inside = set[str]()  # what such a stretch gives, if the walk is within one
        self.gradients: dict[str, Value] = {}
        self.parts: dict[str, dict[_Part, Value]] = {}
        self.refused: dict[tuple[str, str], None] = {}

    def run(self, seed: Value) -> Mapping[str, Value]:
        """Value name -> the derivative of the loss by it."""
        dependent, varied = self._forward()
        whole = self.build.cast(self.build.reshape(seed, self.loss.shape), self.loss.dtype)
        self.gradients[self.loss.name] = whole
        outside, first = dict[str, str](), -1
        for number, node in reversed(list(enumerate(self.graph.nodes))):
            with self.build.at(f"{node.name}{GRADIENT}", node.origin):
                self._complete(node.output)
            if number in self.begins:
                self.again = {}
                self._recompute(self.graph.nodes[self.begins[number] : number + 1], AGAIN)
            if number in self.stretches and self._reached(number):
                outside, first = dict(self.again), self.stretches[number]
                self.inside = {item.output for item in self.graph.nodes[first : number + 1]}
                self._recompute(self.graph.nodes[first : number + 1], ".anew")
            if node.output in self.parts:
                with self.build.at(f"{node.name}{GRADIENT}", node.origin):
                    self._whole(node.output)
            if node.output in self.gradients and node.output in varied:
                self._node(node, dependent, varied)
            if number == first:
                self.again, first, self.inside = outside, -1, set[str]()
        if self.refused:
            listed = [f"{what} ({why})" for what, why in self.refused]
            more = f", and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
            raise CompileError(f"no derivative of {', '.join(listed[:SHOWN])}{more}")
        for name in [name for name in self.by if name in self.parts]:
            with self.build.at(f"{name}{GRADIENT}", (name,)):
                self._whole(name)
        return {name: self.gradients[name] for name in self.by if name in self.gradients}

    def _forward(self) -> tuple[set[str], set[str]]:
        """What the trained values decide: at all, and as floats all the way.

        What is made of the bits of a float counts as one: it is where the walk is refused.
        """
        dependent, varied = set(self.by), set(self.by)
        for node in self.graph.nodes:
            if dependent.intersection(node.inputs):
                dependent.add(node.output)
                if isinstance(node.op, Map) and any(step.op in WITHOUT for step in node.op.body):
                    varied.add(node.output)
            # What the walk of the forward pass over blocks gives counts as constants, and so does
            # what a block of the derivative has a part of: see ``keys``.
            still = LOOK in node.name or STILL in node.name
            still = still or (isinstance(node.op, Reduce) and node.op.still)
            if varied.intersection(node.inputs) and node.type.dtype.is_float and not still:
                varied.add(node.output)
        return dependent, varied

    def _reached(self, last: int) -> bool:
        """Whether a derivative goes through a stretch of nodes."""
        nodes = self.graph.nodes[self.stretches[last] : last + 1]
        return any(node.output in self.gradients for node in nodes)

    def _recompute(self, nodes: Sequence[Node], mark: str) -> None:
        """Compute a layer once more, from what the layer before hands on; or a stretch of nodes.

        What no derivative reads is dropped later, by who simplifies the graph. mark: behind the
        names of these nodes.
        """
        for node in nodes:
            inputs = [self.build.value(self.again.get(name, name)) for name in node.inputs]
            with self.build.at(f"{node.name}{mark}", node.origin):
                self.again[node.output] = self.build.add(node.op, inputs).name

    def _value(self, name: str) -> Value:
        """A value of the forward pass, as the backward pass reads it."""
        return Value(self.again.get(name, name), self.types[name])

    def _node(self, node: Node, dependent: set[str], varied: set[str]) -> None:
        place = Place(
            self.build,
            tuple(map(self._value, node.inputs)),
            self._value(node.output),
            [n for n, name in enumerate(node.inputs) if name in varied and _flows(node, name)],
            [n for n, name in enumerate(node.inputs) if name in dependent],
        )
        try:
            with self.build.at(f"{node.name}{GRADIENT}", node.origin):
                part = self._slice(node)
                if part is not None and place.wanted:
                    self._keep(node.inputs[0], part, self.gradients[node.output])
                    return
                found = adjoint(node, place, self.gradients[node.output])
                for number, gradient in found.items():
                    name = node.inputs[number]
                    # A block's part of a join has its own place first, then those of blocks that
                    # were left out.
                    if not (block_of(name) and name in node.inputs[:number]):
                        self._add(name, gradient)
        except NoDerivative as error:
            what = ", ".join(node.origin) or node.name
            self.refused.setdefault((f"node '{shortened(what)}'", str(error)))
            # Go on behind it, so that all refusals come at once.
            for number in place.wanted:
                self.gradients.setdefault(node.inputs[number], place.inputs[number])

    def _slice(self, node: Node) -> _Part | None:
        """What a node takes of a value, if it is some positions of one dimension."""
        if not isinstance(node.op, Move) or len(node.op.steps) != 1:
            return None
        (step,) = node.op.steps
        shape = self.types[node.inputs[0]].shape
        if not isinstance(step, Slice) or min(step.steps, default=0) < 1:
            return None
        cut = [axis for axis, size in enumerate(step.sizes) if size < shape[axis]]
        if len(cut) != 1:
            return None
        (axis,) = cut
        count = step.sizes[axis]
        return _Part(axis, step.starts[axis], count, step.steps[axis] if count > 1 else 1)

    def _keep(self, name: str, part: _Part, gradient: Value) -> None:
        """Remember what is given for a part of a value until all of its readers have given."""
        parts = self.parts.setdefault(name, {})
        before = parts.get(part)
        if before is not None:
            gradient = self.build.map(lambda a, b: a + b, before, gradient, hint="both")
        parts[part] = gradient

    def _whole(self, name: str) -> None:
        """Bring together what those give that read parts of a value.

        Parts of one dimension that are side by side, or between each other, are joined, so that
        they need not be padded and added; the others are. Where blocks were left out, the one
        before them stands for each of their parts.
        """
        parts = self._threaded(self.parts.pop(name, {}))
        shape = self.types[name].shape
        for axis in dict.fromkeys(part.axis for part in parts):
            mine = sorted((part for part in parts if part.axis == axis), key=lambda p: p.start)
            left = [_left_out(parts[a], parts[b]) for a, b in pairwise(mine)]
            stand = list(zip(mine, [1 + more for more in (*left, 0)], strict=True))
            ends = [0, *accumulate(part.count * times for part, times in stand)]
            if ends[-1] == shape[axis] and all(
                part.start == end and part.step == 1 for part, end in zip(mine, ends, strict=False)
            ):
                joined = [parts[part] for part, times in stand for _ in range(times)]
                self._add(name, self.build.concat(joined, axis, "parts"))
                continue
            for part in mine:
                steps = spaced(parts[part].shape, axis, part.start, part.step, shape[axis])
                self._add(name, self.build.move(parts[part], *steps, hint="back"))

    def _threaded(self, parts: dict[_Part, Value]) -> dict[_Part, Value]:
        """The parts, in which every second one and those between them are one, and so on."""
        found = dict(parts)
        for part in sorted(parts, key=lambda part: part.start):
            beside = part.beside
            if len(beside) == 1 or any(other not in found for other in beside):
                continue
            values = [found.pop(other) for other in beside]
            axis, shape = part.axis, values[0].shape
            single = (*shape[: axis + 1], 1, *shape[axis + 1 :])
            joined = self.build.concat(
                [self.build.reshape(value, single) for value in values], axis + 1, "threads"
            )
            count = part.count * part.step
            whole = _Part(axis, part.start, count)
            value = self.build.reshape(joined, (*shape[:axis], count, *shape[axis + 1 :]))
            if whole in found:
                value = self.build.map(lambda a, b: a + b, found[whole], value, hint="both")
            found[whole] = value
        return found

    def _add(self, name: str, gradient: Value) -> None:
        """A value that several nodes read has the sum of what they give.

        Blocks of an attention are many, and each gives a part: parts are added in single precision.
        """
        before = self.gradients.get(name)
        if before is not None and self.inside and name not in self.inside:
            both = [self.build.cast(value, DType.F32) for value in (before, gradient)]
            gradient = self.build.map(lambda a, b: a + b, *both, hint="both")
        elif before is not None:
            gradient = self.build.map(lambda a, b: a + b, before, gradient, hint="both")
        self.gradients[name] = gradient

    def _complete(self, name: str) -> None:
        """A gradient whose parts were added in single precision, in the type of its value."""
        found = self.gradients.get(name)
        if found is not None:
            self.gradients[name] = self.build.cast(found, self.types[name].dtype)
