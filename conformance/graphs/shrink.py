"""The smallest part of a drawn model that still goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from conformance.graphs.draft import captured
from conformance.graphs.drawn import Drawn
from conformance.graphs.evaluate import Refused, evaluate, model_of, opset_of, values_of


def shrunk(drawn: Drawn, wrong: Callable[[Drawn], bool]) -> Drawn:
    """A model of as few nodes as can be found that is still wrong.

    It ends with the first node whose outputs are wrong, if there is one, or has one output at
    least. Then nodes go one by one, the first ones first: what they compute becomes an input.
    """
    try:
        values = values_of(drawn.model, drawn.feeds)
    except Refused:
        return drawn
    best, nodes = drawn, list(drawn.model.graph.node)
    ends = [[name for name in node.output if name] for node in nodes]
    ends += [[value.name] for value in drawn.model.graph.output]
    for names in ends:
        alone = _only(drawn, values, nodes, names)
        if alone is not None and wrong(alone):
            best = alone
            break
    moved = True
    while moved:
        moved = False
        for node in list(best.model.graph.node):
            rest = [other for other in best.model.graph.node if other.output != node.output]
            outputs = [value.name for value in best.model.graph.output]
            if not rest or set(outputs) & set(node.output):
                continue
            smaller = _only(best, values, rest, outputs)
            if smaller is not None and wrong(smaller):
                best, moved = smaller, True
                break
    return best


def _only(
    drawn: Drawn, values: dict[str, Any], nodes: list[NodeProto], outputs: list[str]
) -> Drawn | None:
    """The model with these nodes, as far as these outputs need them, or None if it has no values.

    What the nodes read and do not compute is an input, unless it is an initializer.
    """
    kept: list[NodeProto] = []
    wanted = set(outputs)
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.insert(0, node)
            wanted |= {name for name in (*node.input, *captured(node)) if name}
    made = {name for node in kept for name in node.output}
    if not set(outputs) <= made:
        return None
    stored = [tensor for tensor in drawn.model.graph.initializer if tensor.name in wanted]
    known = made | {tensor.name for tensor in stored}
    feeds = {name: values[name] for name in sorted(wanted - known)}
    if not all(
        isinstance(array, np.ndarray) for array in (*feeds.values(), *map(values.get, outputs))
    ):
        return None  # a sequence or an optional is neither input nor output here
    model = model_of(
        helper.make_graph(
            kept,
            "shrunk",
            [_described(name, array) for name, array in feeds.items()],
            [_described(name, values[name]) for name in outputs],
            stored,
        ),
        opset_of(drawn.model),
    )
    try:
        expected, _ = evaluate(model, feeds)
    except Refused:
        return None
    operators = tuple(node.op_type for node in kept)
    return replace(
        drawn, model=model, feeds=feeds, expected=expected, stepwise=expected, operators=operators
    )


def _described(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def listing(drawn: Drawn) -> str:
    """The nodes as lines, with attributes, shapes and small constants."""
    arrays = {t.name: numpy_helper.to_array(t) for t in drawn.model.graph.initializer}
    lines = [drawn.label]
    for name, array in (drawn.feeds | arrays).items():
        shown = np.array2string(array.reshape(-1)[:8], precision=4).replace("\n", "")
        kind = "constant" if name in arrays else "input"
        lines.append(f"  {kind} {name} {array.dtype}{list(array.shape)} {shown}")
    for node in drawn.model.graph.node:
        attributes = {
            item.name: helper.get_attribute_value(item)
            for item in node.attribute
            if not item.HasField("g")
        }
        lines.append(
            f"  {', '.join(node.output)} = {node.op_type}({', '.join(node.input)}) {attributes}"
        )
    return "\n".join(lines)
