"""Changes of how a model hangs together: nodes, edges, names, versions."""

from __future__ import annotations

import random
from collections.abc import Mapping

from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from conformance.fuzz.parts import NAMES, OPERATORS, OPSETS, NotApplicable, graphs, node_of, one

# --- nodes ---------------------------------------------------------------------------


def change_inputs(model: ModelProto, rng: random.Random) -> str:
    """What a node reads: less, more, in another order, its own result, nothing."""
    node = node_of(model, rng)
    names = list(node.input)
    place = rng.randrange(len(names)) if names else 0
    how = rng.choice(("drop", "empty", "double", "swap", "cycle", "unknown", "more", "none"))
    if not names and how not in ("more", "cycle"):
        raise NotApplicable
    if how == "drop":
        del names[place]
    elif how in ("empty", "unknown"):
        names[place] = "" if how == "empty" else "nowhere"
    elif how == "double":
        names[place] = rng.choice(names)
    elif how == "swap":
        rng.shuffle(names)
    elif how == "cycle":
        names[place : place + 1] = [one(node.output, rng)]
    else:
        names = (names or [""]) * rng.choice((2, 200)) if how == "more" else []
    del node.input[:]
    node.input.extend(names)
    return f"{how} {place} of {node.op_type}"


def change_outputs(model: ModelProto, rng: random.Random) -> str:
    """What a node makes: less, more, twice, under the name of its input."""
    node = node_of(model, rng)
    how = rng.choice(("drop", "empty", "double", "more", "shadow"))
    if how == "drop":
        del node.output[-1:]
    elif how == "empty" and node.output:
        node.output[0] = ""
    elif how == "double":
        node.output.extend(node.output)
    elif how == "shadow" and node.output and node.input:
        node.output[0] = node.input[0]
    else:
        node.output.extend(f"more{i}" for i in range(rng.choice((1, 50))))
    return f"{how} of {node.op_type}"


def change_nodes(model: ModelProto, rng: random.Random) -> str:
    """A node less or twice, all in another order, or a long chain behind them."""
    graph = rng.choice(graphs(model.graph))
    how = rng.choice(("drop", "double", "reverse", "chain"))
    nodes = list(graph.node)
    node = one(nodes, rng)
    if how == "drop":
        nodes.remove(node)
    elif how == "double":
        nodes.append(node)
    elif how == "reverse":
        nodes.reverse()
    else:  # a long chain behind an output
        name = one(graph.output, rng).name
        for i in range(rng.choice((5, 1000))):
            nodes.append(helper.make_node("Identity", [name], [f"{name}.{i}"]))
            name = f"{name}.{i}"
        graph.output[0].name = name
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return f"{how} {node.op_type}"


def change_operator(model: ModelProto, rng: random.Random) -> str:
    """Another operator or domain, which may be unknown."""
    node = node_of(model, rng)
    if rng.random() < 0.4:
        node.domain = rng.choice(("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "no.such", "é"))
    else:
        node.op_type = rng.choice(OPERATORS)
    return f"{node.domain!r} {node.op_type!r}"


def change_nesting(model: ModelProto, rng: random.Random) -> str:
    """The graph as the branch of an If, many times over."""
    depth = rng.choice((1, 3, 10, 25, 300))
    graph = model.graph
    outputs = [info.name for info in graph.output]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    for level in range(depth):
        inner = GraphProto()
        inner.CopyFrom(graph)
        del inner.input[:]
        names = [f"{name}/{level}" for name in outputs]
        other = inner if level < 2 else _zeros(graph)  # both would double it at each level
        try:
            choose = helper.make_node(
                "If", [f"c{level}"], names, then_branch=inner, else_branch=other
            )
        except DecodeError:  # as deep as protobuf goes
            return f"{level} deep"
        constant = helper.make_node("Constant", [], [f"c{level}"], value=condition)
        del graph.node[:], graph.initializer[:]
        graph.node.extend([constant, choose])
        for info, name in zip(graph.output, names, strict=True):
            info.name = name
    return f"{depth} deep"


def _zeros(graph: GraphProto) -> GraphProto:
    """A graph with the same outputs, which are all zero."""
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    nodes = [helper.make_node("Constant", [], [info.name], value=zero) for info in graph.output]
    return helper.make_graph(nodes, "zeros", [], graph.output)


# --- names ---------------------------------------------------------------------------


def change_name(model: ModelProto, rng: random.Random) -> str:
    """A name that is empty, taken, long or odd; half of them everywhere."""
    name = rng.choice(NAMES)
    graph = model.graph
    holders: list[ValueInfoProto | TensorProto | NodeProto | GraphProto] = [
        *graph.input,
        *graph.output,
        *graph.initializer,
        *graph.node,
        graph,
    ]
    holder = rng.choice(holders)
    old = holder.name
    holder.name = name
    if rng.random() < 0.5 and old:  # everywhere, so that the model stays whole
        for node in graph.node:
            _replace(node.input, {old: name})
            _replace(node.output, {old: name})
    return f"{old!r} to {name[:20]!r}"


def _replace(names: object, by: Mapping[str, str]) -> None:
    for i, name in enumerate(names):  # pyright: ignore
        if name in by:
            names[i] = by[name]  # pyright: ignore


def change_interface(model: ModelProto, rng: random.Random) -> str:
    """Inputs and outputs of the graph: gone, twice, exchanged, or of a name that is not there."""
    graph = model.graph
    side = rng.choice((graph.input, graph.output))
    how = rng.choice(("drop", "double", "reverse", "strange"))
    if not side:
        raise NotApplicable
    infos = [ValueInfoProto.FromString(info.SerializeToString()) for info in side]
    if how == "drop":
        del infos[rng.randrange(len(infos))]
    elif how == "double":
        infos.append(infos[0])
    elif how == "reverse":
        infos.reverse()
    else:
        infos.append(helper.make_tensor_value_info("nowhere", TensorProto.FLOAT, [2]))
    del side[:]
    side.extend(infos)
    return f"{how} {'input' if side is graph.input else 'output'}"


def change_version(model: ModelProto, rng: random.Random) -> str:
    """The version of the format or of an operator set."""
    how = rng.randrange(4)
    if how == 0:
        model.ir_version = rng.choice((0, 1, 3, 7, 100, 2**40, -1))
        return f"ir {model.ir_version}"
    if how == 1:
        del model.opset_import[:]
        return "no opset"
    if how == 2:
        domain = rng.choice(("", "ai.onnx", "ai.onnx.ml", "no.such"))
        model.opset_import.append(helper.make_opsetid(domain, rng.choice((1, 18))))
        return f"more {domain!r}"
    item = one(model.opset_import, rng)
    item.version = rng.choice(OPSETS)
    return f"opset {item.domain!r} {item.version}"


def change_function(model: ModelProto, rng: random.Random) -> str:
    """The nodes become a function, which may call itself."""
    graph = model.graph
    if any(info.name == "" for info in (*graph.input, *graph.output)):
        raise NotApplicable
    inputs = [info.name for info in (*graph.input, *graph.initializer)]
    outputs = [info.name for info in graph.output]
    call = helper.make_node("Whole", inputs, outputs, domain="local")
    recursive = rng.random() < 0.3
    nodes = [*graph.node, *([call] if recursive else [])]
    function = helper.make_function(
        rng.choice(("local", "local", "")), "Whole", inputs, outputs, nodes, model.opset_import
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    del graph.node[:]
    graph.node.append(call)
    return "recursive" if recursive else "plain"
