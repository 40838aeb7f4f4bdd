"""Operands that determine a shape, which a program must know before it is compiled.

A program's shapes are static. Where a model takes such an operand as a graph input, a
caller who has its values (``wsc.backend`` has them at the first run) may bind it as a
constant. This table says which operands these are; nothing else may be bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from wsc.errors import CompileError

_AXES = "the axes decide which dimensions remain"
_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip

# (operator of ai.onnx, number of the input) -> what of the shape it decides.
SHAPE_OPERANDS: dict[tuple[str, int], str] = {
    **{(name, 1): _AXES for name in _REDUCTIONS},
    ("AffineGrid", 1): "the size of the grid",
    ("BlackmanWindow", 0): "the length of the window",
    ("CenterCropPad", 1): "the sizes of the result",
    ("Col2Im", 1): "the sizes of the image",
    ("Col2Im", 2): "the sizes of a block",
    ("ConstantOfShape", 0): "the shape of the result",
    ("CumProd", 1): "the axis, along which sizes differ",
    ("CumSum", 1): "the axis, along which sizes differ",
    ("DFT", 1): "the length of the signal",
    ("DFT", 2): "the axis whose size changes",
    ("Expand", 1): "the shape of the result",
    ("HammingWindow", 0): "the length of the window",
    ("HannWindow", 0): "the length of the window",
    ("Loop", 0): "the trip count, which sizes the scan outputs",
    ("Loop", 1): "whether there is a first turn, which sizes the scan outputs",
    ("MaxUnpool", 2): "the shape of the result",
    ("MelWeightMatrix", 0): "the number of bands, a size of the result",
    ("MelWeightMatrix", 1): "the length of the transform, which sizes the result",
    ("OneHot", 1): "the size of the new dimension",
    ("Pad", 1): "the widths of the padding",
    ("Pad", 3): "the axes that are padded",
    ("Range", 0): "with limit and delta, the number of elements",
    ("Range", 1): "with start and delta, the number of elements",
    ("Range", 2): "with start and limit, the number of elements",
    ("Reshape", 1): "the shape of the result",
    ("Resize", 2): "the scales of the sizes",
    ("Resize", 3): "the sizes of the result",
    ("STFT", 1): "the step, which decides the number of frames",
    ("STFT", 3): "the length of a frame",
    ("SequenceAt", 1): "which tensor, and so which shape",
    ("SequenceErase", 1): "which tensors, and so which shapes, remain",
    ("SequenceInsert", 2): "the order of the tensors, and so of their shapes",
    ("Slice", 1): "the starts, which decide the sizes",
    ("Slice", 2): "the ends, which decide the sizes",
    ("Slice", 3): "the axes that are cut",
    ("Slice", 4): "the steps, which decide the sizes",
    ("Split", 1): "the sizes of the parts",
    ("SplitToSequence", 1): "the sizes of the parts",
    ("Squeeze", 1): "the axes that go",
    ("Tile", 1): "the repeats of the dimensions",
    ("TopK", 1): "k, the size of the result",
    ("Unsqueeze", 1): "the axes that come",
    ("Upsample", 1): "the scales of the sizes",
}

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
    if node.domain not in ("", "ai.onnx") or (node.op_type, index) not in SHAPE_OPERANDS:
        return False
    return node.op_type != "Loop" or _has_lengths(node)


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
            found.append(ShapeOperand(value.name, *operand, SHAPE_OPERANDS[operand]))
    return found
