"""Operands that determine a shape, which a program must know before it is compiled.

A program's shapes are static. Where a model takes such an operand as a graph input, a
caller who has its values (``wsc.backend`` has them at the first run) may bind it as a
constant. This table says which operands these are; nothing else may be bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

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
    ("MaxUnpool", 2): "the shape of the result",
    ("MelWeightMatrix", 0): "the number of bands, a size of the result",
    ("MelWeightMatrix", 1): "the length of the transform, which sizes the result",
    ("NonMaxSuppression", 2): "the largest number of boxes",
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
    """A graph input that feeds nothing but operands that determine shapes.

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
    """Who reads what in a graph and in the graphs of its nodes' attributes."""

    readers: dict[str, list[tuple[NodeProto, int]]] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)
    seen: dict[str, tuple[str, int] | None] = field(default_factory=dict)

    def collect(self, graph: GraphProto) -> None:
        self.results.update(output.name for output in graph.output)
        for node in graph.node:
            for index, name in enumerate(node.input):
                self.readers.setdefault(name, []).append((node, index))
            for inner in _inner_graphs(node):
                self.collect(inner)

    def operand(self, name: str) -> tuple[str, int] | None:
        """The first shape operand behind a value that reaches nothing else, else None."""
        if name not in self.seen:
            self.seen[name] = None  # what a cycle would find
            self.seen[name] = self._find(name)
        return self.seen[name]

    def _find(self, name: str) -> tuple[str, int] | None:
        if name in self.results:
            return None
        found: list[tuple[str, int]] = []
        for node, index in self.readers.get(name, []):
            standard = node.domain in ("", "ai.onnx")
            if standard and node.op_type in _VALUE_BLIND:
                continue
            if standard and (node.op_type, index) in SHAPE_OPERANDS:
                found.append((node.op_type, index))
                continue
            behind = [self.operand(output) for output in node.output if output]
            if None in behind or not behind or any(_inner_graphs(node)):
                return None
            found.extend(item for item in behind if item is not None)
        return found[0] if found else None


def _inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def shape_operands(model: ModelProto) -> list[ShapeOperand]:
    """The graph inputs that may be bound: they feed shape operands and nothing else.

    They may do so through nodes whose results feed shape operands alone. An input with
    an initializer is constant already.
    """
    uses = _Uses()
    uses.collect(model.graph)
    constant = {tensor.name for tensor in model.graph.initializer}
    found: list[ShapeOperand] = []
    for value in model.graph.input:
        operand = None if value.name in constant else uses.operand(value.name)
        if operand is not None:
            found.append(ShapeOperand(value.name, *operand, SHAPE_OPERANDS[operand]))
    return found
