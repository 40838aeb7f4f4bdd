"""ONNX's ``Gradient``: the derivative of a value that the same graph computes.

Its attributes name values of the graph, which no library that rewrites graphs knows. So before
anything else these become inputs of the node, in a domain of our own.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from wsc.errors import CompileError, shortened
from wsc.frontend.gradients import back
from wsc.frontend.load import hold
from wsc.frontend.registry import Call, Unsupported, lowering, require
from wsc.frontend.training import DOMAIN, OURS
from wsc.ir.build import GraphBuilder, Value


def bind_gradients(model: ir.Model) -> None:
    """Give each Gradient what its attributes name as further inputs: xs, zs, y.

    What is differentiated by is known at no time before the run, also if it is an initializer.

    Raises CompileError for a name that the graph does not have.
    """
    graph = model.graph
    nodes = [node for node in graph if (node.domain, node.op_type) == (DOMAIN, "Gradient")]
    if not nodes:
        return
    known = {value.name: value for value in graph.inputs}
    known |= dict(graph.initializers)
    known |= {value.name: value for node in graph for value in node.outputs}
    for node in nodes:
        names = [
            list(node.attributes[key].as_strings()) if key in node.attributes else []
            for key in ("xs", "zs")
        ]
        target = node.attributes["y"].as_string() if "y" in node.attributes else ""
        shown = shortened(node.name or "Gradient")
        for name in (*names[0], *names[1], target):
            if name not in known:
                raise CompileError(f"node {shown!r}: the graph has no value {shortened(name)!r}")
        own = [known[name] for name in (*names[0], *names[1])]
        given = list(node.inputs)
        if len(given) != len(own) or None in given:
            raise CompileError(
                f"node {shown!r}: has {len(given)} inputs, and its attributes name {len(own)}"
            )
        node.domain = OURS
        node.attributes.clear()
        node.attributes.add(ir.AttrInt64("by", len(names[0])))
        node.resize_inputs(2 * len(own) + 1)
        for number, value in enumerate((*own, known[target]), len(own)):
            node.replace_input_with(number, value)
        for name in names[0]:
            if name in graph.initializers:
                hold(graph, name)
    model.opset_imports[OURS] = 1
    graph.sort()  # what is differentiated may be computed behind the node


@lowering("Gradient", domain=DOMAIN)
def inner_gradient(call: Call) -> Value:
    """The derivatives of a number by some values that it is computed of."""
    raise Unsupported("within an inner graph")


@lowering("Gradient", domain=OURS)
def gradient(call: Call) -> list[Value]:
    """The derivatives of y by xs, at the values that the node is given for xs and zs."""
    count, rest = divmod(len(call) - 1, 2)
    by = call.integer("by", 0)
    require(not rest and 0 < by <= count, f"{len(call)} inputs")
    given, own = ([call.arg(part + i) for i in range(count)] for part in (0, count))
    y = call.arg(2 * count)
    require(y.type.size == 1, f"a derivative of {list(y.shape)}, and it is of one number")
    require(y.dtype.is_float, "a derivative of integers")
    for new, value in zip(given, own, strict=True):
        told = [f"{item.dtype.value}{list(item.shape)}" for item in (new, value)]
        require(new.type == value.type, f"a value of {told[0]} in the place of {told[1]}")
    reached = _reached(call.build, own[:by])
    for number, value in enumerate(own[:by]):
        others = [names for n, names in enumerate(reached) if n != number]
        require(
            not any(value.name in names for names in others),
            "xs of which one is computed from another",
        )
    changed = {
        value.name: new for value, new in zip(own, given, strict=True) if value.name != new.name
    }
    if changed:
        y = _again(call.build, y, changed)
    seed = call.build.constant(np.ones(y.shape), y.dtype, "one")
    return back(call, y, given[:by], seed)


def _reached(build: GraphBuilder, values: list[Value]) -> list[set[str]]:
    """The names of what is computed from each of some values, itself among them."""
    found = [{value.name} for value in values]
    for node in build.so_far().nodes:
        for names in found:
            if names.intersection(node.inputs):
                names.add(node.output)
    return found


def _again(build: GraphBuilder, y: Value, changed: dict[str, Value]) -> Value:
    """y computed once more, with other values in the place of some."""
    for node in build.so_far().nodes:
        if changed.keys() & set(node.inputs) and node.output not in changed:
            inputs = [changed.get(name, build.value(name)) for name in node.inputs]
            changed[node.output] = build.add(node.op, inputs)
    return changed.get(y.name, y)
