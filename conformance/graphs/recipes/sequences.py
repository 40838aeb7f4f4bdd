"""Sequences and optionals: several nodes at once, because what is between them is no tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from conformance.graphs.draft import F32, FLOATS, Draft, Value
from conformance.graphs.recipes.registry import ANY, recipe


@dataclass(slots=True)
class _Chain:
    """Nodes that belong together, and the values that they read."""

    draft: Draft
    nodes: list[NodeProto] = field(default_factory=list)
    given: list[Value] = field(default_factory=list)

    def add(self, op: str, *inputs: Value | str, **attributes: Any) -> str:
        """The name of what a node gives for values and for names of other nodes here."""
        self.given += [item for item in inputs if isinstance(item, Value)]
        names = [item.name if isinstance(item, Value) else item for item in inputs]
        result = self.draft.name("s")
        self.nodes.append(helper.make_node(op, names, [result], **attributes))
        return result

    def end(self, *names: str) -> list[Value]:
        """The tensors of these names, all of which only move elements."""
        exact = all(value.exact for value in self.given)
        return self.draft.add_all(self.nodes, self.given, names, exact=exact)


_OPERATORS = (
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceInsert",
    "SequenceErase",
    "SequenceAt",
    "SequenceLength",
    "ConcatFromSequence",
)


@recipe(*_OPERATORS, since=11)
def sequence(draft: Draft, op: str) -> object:
    """Tensors of one shape in a list, which gets another and loses one; what is left."""
    chain, first = _Chain(draft), draft.pick(FLOATS, least=1, most=3)
    others = [draft.fresh(F32, first.shape) for _ in range(draft.rng.randrange(1, 3))]
    if op == "SequenceEmpty":
        items = chain.add("SequenceInsert", chain.add(op, dtype=TensorProto.FLOAT), first)
    else:
        items = chain.add("SequenceConstruct", first, *others)
    if op in ("SequenceInsert", "SequenceErase") or draft.rng.random() < 0.3:
        place = draft.given(np.array(draft.rng.choice((0, 1, -1)), np.int64))
        items = chain.add("SequenceInsert", items, draft.fresh(F32, first.shape), place)
        if op == "SequenceErase":
            items = chain.add(op, items, place)
    results = [chain.add("SequenceAt", items, draft.given(np.array(0, np.int64)))]
    if op == "SequenceLength" or draft.rng.random() < 0.3:
        results.append(chain.add("SequenceLength", items))
    if op == "ConcatFromSequence" or draft.rng.random() < 0.3:
        axis, fresh = draft.axis(first), draft.rng.randrange(2)
        results.append(chain.add("ConcatFromSequence", items, axis=axis, new_axis=fresh))
    return chain.end(*results)


@recipe("SplitToSequence", since=11)
def parts(draft: Draft, op: str) -> object:
    """Slices of an axis as a list, of which one is taken."""
    chain, value = _Chain(draft), draft.pick(ANY, least=1, most=3)
    axis = draft.axis(value)
    size = value.shape[axis]
    if draft.rng.random() < 0.5:
        items = chain.add(op, value, axis=axis, keepdims=draft.rng.randrange(2))
    else:
        first = draft.rng.randrange(1, size + 1)
        sizes = (first, size - first) if first < size else (first,)
        items = chain.add(op, value, draft.ints(*sizes), axis=axis)
    return chain.end(chain.add("SequenceAt", items, draft.given(np.array(-1, np.int64))))


@recipe("SequenceMap", since=17)
def mapped(draft: Draft, op: str) -> object:
    """A graph for each tensor of a list."""
    chain, first = _Chain(draft), draft.pick(FLOATS, least=1, most=3)
    items = chain.add("SequenceConstruct", first, draft.fresh(F32, first.shape))
    inside, outside = draft.name("b"), draft.name("b")
    body = helper.make_graph(
        [helper.make_node("Neg", [inside], [outside])],
        "each",
        [helper.make_tensor_value_info(inside, TensorProto.FLOAT, first.shape)],
        [helper.make_tensor_value_info(outside, TensorProto.FLOAT, first.shape)],
    )
    return chain.end(chain.add("ConcatFromSequence", chain.add(op, items, body=body), axis=0))


@recipe("Optional", "OptionalGetElement", "OptionalHasElement", since=15, until=27)
def optional(draft: Draft, op: str) -> object:
    """A tensor in an optional, whether it is there, and the tensor again."""
    chain, value = _Chain(draft), draft.pick(FLOATS)
    held = chain.add("Optional", value)
    return chain.end(chain.add("OptionalGetElement", held), chain.add("OptionalHasElement", held))
