"""Nodes with graphs inside: branches, loops and scans over what the draft around holds."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto

from conformance.graphs.draft import BOOL, F32, FLOATS, Draft, Value
from conformance.graphs.evaluate import Refused
from conformance.graphs.recipes.registry import fitting, recipe

# What a body may hold: operators that keep a shape, or that have one.
_INSIDE = (
    "Add",
    "Sub",
    "Mul",
    "Tanh",
    "Sigmoid",
    "Relu",
    "Abs",
    "Neg",
    "Min",
    "Max",
    "Softmax",
    "ReduceMean",
    "Transpose",
    "Where",
    "Clip",
    "MatMul",
)


@recipe("If", since=11)
def branch(draft: Draft, op: str) -> object:
    """Two graphs of one result each; the condition is constant, an input, or computed."""
    condition = draft.pick(BOOL, 0, 0)
    state = draft.pick(FLOATS)
    graphs = [_branch(draft, state, name) for name in ("then", "else")]
    return draft.add(op, [condition], then_branch=graphs[0], else_branch=graphs[1])


def _branch(draft: Draft, state: Value, name: str) -> GraphProto:
    body = draft.body()
    _grow(body)
    return body.graph([_shaped(body, state)], name)


@recipe("Loop", since=11)
def loop(draft: Draft, op: str) -> object:
    """None to three turns, a state, what each turn gives, and maybe an early end."""
    state = draft.pick(FLOATS, most=3)
    body = draft.body()
    turn = body.parameter(np.array(0, np.int64), True)
    going = body.parameter(np.array(True), True)
    inside = body.parameter(state.array, False)
    _grow(body)
    following = _shaped(body, inside)
    scanned = body.add("Tanh", [following])[0]
    if draft.rng.random() < 0.3:
        last = body.given(np.array(1, np.int64))
        going = body.add("Less", [turn, last])[0]
    going = body.move("Identity", [going])
    graph = body.graph([going, following, scanned], "turn")
    trips = draft.given(np.array(draft.rng.randrange(4), np.int64))
    first = draft.given(np.array(draft.rng.random() < 0.9))
    made = draft.add(op, [trips, first, state], 2, body=graph)
    if op in draft.by_reference and state.rank == 0:
        raise Refused("the reference evaluator gives scalars that are scanned another shape")
    return made


@recipe("Scan", since=9)
def scan(draft: Draft, op: str) -> object:
    """A body for each row."""
    rows = draft.pick(FLOATS, least=1, most=3)
    state = draft.fresh(F32, rows.shape[1:])
    body = draft.body()
    carried = body.parameter(state.array, False)
    body.parameter(rows.array[0], False)
    _grow(body)
    following = _shaped(body, carried)
    graph = body.graph([following, body.add("Tanh", [following])[0]], "row")
    return draft.add(op, [state, rows], 2, body=graph, num_scan_inputs=1)


def _grow(body: Draft) -> None:
    for _ in range(body.rng.randrange(1, 4)):
        plain = [item for item in fitting(body.opset) if not item.domain]
        chosen = body.rng.choice([item for item in plain if item.operator in _INSIDE])
        with body.tried():
            chosen.draw(body, chosen.operator)


def _shaped(body: Draft, like: Value) -> Value:
    """A float of the shape of another that depends on what the body has computed."""
    floats = [value for value in body.values if value.dtype == F32 and value.tame]
    fitting = [value for value in floats if value.shape == like.shape]
    if fitting and body.rng.random() < 0.7:
        return body.add("Mul", [fitting[-1], body.given(np.array(0.5, np.float32))])[0]
    with body.tried():
        source = floats[-1] if floats else like
        scalar = body.add("ReduceMax", [source], keepdims=0)[0]
        return body.add("Add", [like, scalar])[0]
    raise Refused("no value of that shape")
