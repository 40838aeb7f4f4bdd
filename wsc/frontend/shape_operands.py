"""Operands that determine a shape, which a program must know before it is compiled.

A program's shapes are static. Where a model takes such an operand as a graph input, a
caller who has its values (``wsc.backend`` has them at the first run) may bind it as a
constant. Their lowerings say which operands these are (``sizes``); nothing else may be bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from wsc.errors import CompileError
from wsc.frontend import load_lowerings
from wsc.frontend.registry import entries

# Operators that read the shape of their input and none of its values.
_VALUE_BLIND = frozenset({"Shape", "Size"})


@dataclass(frozen=True, slots=True)
class ShapeOperand:
    """A graph input that determines shapes.

    op_type, index: the first of these operands; why: what it decides.
    """

    name: str
    op_type: str
    index: int
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.op_type} input {self.index}: {self.why})"


@dataclass(slots=True)
class _Uses:
    """Who reads what in a graph and in the graphs of its nodes' attributes.

    passed: what a branch gives -> what its If gives.
    """

    readers: dict[str, list[tuple[NodeProto, int]]] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)
    passed: dict[str, list[str]] = field(default_factory=dict)
    only: dict[str, tuple[str, int] | None] = field(default_factory=dict)
    among: dict[str, tuple[str, int] | None] = field(default_factory=dict)

    def collect(self, graph: GraphProto) -> None:
        self.results.update(output.name for output in graph.output)
        self._nodes(graph)

    def _nodes(self, graph: GraphProto) -> None:
        for node in graph.node:
            for index, name in enumerate(node.input):
                self.readers.setdefault(name, []).append((node, index))
            for inner in _inner_graphs(node):
                if node.op_type != "If":
                    self.collect(inner)
                    continue
                self._nodes(inner)
                for mine, outer in zip(inner.output, node.output, strict=False):
                    self.passed.setdefault(mine.name, []).append(outer)

    def operand(self, name: str) -> tuple[str, int] | None:
        """The first shape operand behind a value that reaches nothing else, else None."""
        if name not in self.only:
            self.only[name] = None  # what a cycle would find
            self.only[name] = self._find(name)
        return self.only[name]

    def _find(self, name: str) -> tuple[str, int] | None:
        if name in self.results:
            return None
        found: list[tuple[str, int]] = []
        for node, index in self.readers.get(name, []):
            standard = node.domain in ("", "ai.onnx")
            if standard and node.op_type in _VALUE_BLIND:
                continue
            if _decides(node, index):
                found.append((node.op_type, index))
                continue
            behind = [self.operand(output) for output in node.output if output]
            if None in behind or not behind or any(_inner_graphs(node)):
                return None
            found.extend(item for item in behind if item is not None)
        for outer in self.passed.get(name, []):
            behind_it = self.operand(outer)
            if behind_it is None:
                return None
            found.append(behind_it)
        return found[0] if found else None

    def reached(self, name: str) -> tuple[str, int] | None:
        """A shape operand that depends on a value, whatever else does, or None."""
        if name not in self.among:
            self.among[name] = None
            self.among[name] = self._reach(name)
        return self.among[name]

    def _reach(self, name: str) -> tuple[str, int] | None:
        onward = list(self.passed.get(name, []))
        for node, index in self.readers.get(name, []):
            if _decides(node, index):
                return node.op_type, index
            if node.op_type not in _VALUE_BLIND and not any(_inner_graphs(node)):
                onward += [output for output in node.output if output]
        return next((item for output in onward if (item := self.reached(output))), None)


def _decides(node: NodeProto, index: int) -> bool:
    """Whether an input of a node determines a shape."""
    if _what(node.op_type, index) is None or node.domain not in ("", "ai.onnx"):
        return False
    return node.op_type != "Loop" or _has_lengths(node)


def _what(op_type: str, index: int) -> str | None:
    """What an operand of an operator of ai.onnx decides of a shape, whatever the opset."""
    return next(
        (entry.sizes[index] for entry in entries("", op_type) if index in entry.sizes), None
    )


def _has_lengths(loop: NodeProto) -> bool:
    """Whether the number of turns shows in a length: of a scan output, or of a sequence."""
    carried = len(loop.input) - 2
    bodies = list(_inner_graphs(loop))
    kept = [item for body in bodies for item in body.output[1 : 1 + carried]]
    return len(loop.output) > carried or any(not item.type.HasField("tensor_type") for item in kept)


def _is_scalar(value: ValueInfoProto) -> bool:
    """Whether an input is a single number."""
    kind = value.type.tensor_type
    sizes = [dim.dim_value for dim in kind.shape.dim]
    return kind.HasField("shape") and sizes in ([], [1])


def _inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def shape_operands(model: ModelProto) -> list[ShapeOperand]:
    """The graph inputs that may be bound: they feed shape operands and nothing else.

    They may do so through nodes whose results feed shape operands alone. A single number
    may feed other nodes too, as the start of a range does when the number of its elements
    is computed from it: without its value there is no shape. An input with an initializer
    is constant already.
    """
    load_lowerings()
    uses = _Uses()
    uses.collect(model.graph)
    try:
        return _found(model, uses)
    except RecursionError:
        raise CompileError("the nodes of the model are not in the order of their edges") from None


def _found(model: ModelProto, uses: _Uses) -> list[ShapeOperand]:
    # From the back, so that what a value reaches is known: a long chain is no deep recursion.
    for name in reversed(uses.readers):
        uses.operand(name)
        uses.reached(name)
    constant = {tensor.name for tensor in model.graph.initializer}
    found: list[ShapeOperand] = []
    for value in model.graph.input:
        operand = None if value.name in constant else uses.operand(value.name)
        if operand is None and value.name not in constant and _is_scalar(value):
            operand = uses.reached(value.name)
        if operand is not None:
            found.append(ShapeOperand(value.name, *operand, _what(*operand) or ""))
    return found
