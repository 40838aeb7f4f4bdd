"""Sequences and optionals among the inputs of a model: one input for each tensor.

Sequence ``x`` of n tensors becomes inputs ``x.0``, ``x.1`` and so on, when its length is
given as dimension ``x``; an optional is its element, and with length 0 is empty.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from wsc.errors import CompileError
from wsc.isa.asked import dimension


def spread_inputs(graph: ir.Graph, dims: Mapping[str, int]) -> dict[str, int]:
    """Replace inputs that are no tensors; return the dimensions that remain to be bound.

    dims: symbolic dimension, ``INPUT.AXIS``, or name of a sequence -> size. Where a
    sequence does not tell the shape of its tensors, the sizes ``INPUT.NUMBER.AXIS`` do.
    Raises CompileError if a length is missing or wrong.
    """
    left = dict(dims)
    inputs: list[ir.Value] = []
    first = graph[0] if len(graph) else None
    for value in graph.inputs:
        if not isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
            inputs.append(value)
            continue
        parts, node = _parts(value, left)
        inputs.extend(parts)
        value.replace_all_uses_with(node.outputs[0], replace_graph_outputs=True)
        if first is None:
            graph.append(node)
        else:
            graph.insert_before(first, node)
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    return left


def _parts(value: ir.Value, dims: dict[str, int]) -> tuple[list[ir.Value], ir.Node]:
    """The tensors that stand for a sequence or an optional, and the node that joins them."""
    name, kind = str(value.name), value.type
    optional = isinstance(kind, ir.OptionalType)
    sequence = kind.elem_type if isinstance(kind, ir.OptionalType) else kind
    single = not isinstance(sequence, ir.SequenceType)
    assert sequence is not None
    count = dims.pop(name, 1 if optional and single else None)
    if count is None:
        raise CompileError(f"input {name!r} is a sequence: its length as {dimension(name)}")
    if count < 0 or (single and count > 1):
        raise CompileError(f"{dimension(name, count)}: not a number of tensors")
    names = [name] if single and count else [f"{name}.{i}" for i in range(count)]
    parts = [
        ir.Value(name=part, type=ir.TensorType(sequence.dtype), shape=_shape(value, part, dims))
        for part in names
    ]
    op_type = "Optional" if single else "SequenceConstruct" if count else "SequenceEmpty"
    return parts, ir.node(op_type, parts, name=f"{name}/join")


def _shape(value: ir.Value, part: str, dims: Mapping[str, int]) -> ir.Shape:
    """The declared shape, or one of open dimensions, as many as there are sizes given.

    A symbol says nothing here: the tensors of a sequence may differ in its size.
    """
    if value.shape is not None:
        return ir.Shape([size if isinstance(size, int) else None for size in value.shape])
    rank = 0
    while f"{part}.{rank}" in dims:
        rank += 1
    return ir.Shape([None] * rank)
