"""Sums, extremes and places along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.graphs.draft import FLOATS, Draft, Value
from conformance.graphs.evaluate import Refused
from conformance.graphs.recipes.registry import NUMBERS, numeric, recipe

LARGEST_EXPONENT = 80.0
REDUCTIONS = (
    "ReduceMean",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSumExp",
    "ReduceLogSum",
    "ReduceMax",
    "ReduceMin",
)


@recipe(*REDUCTIONS, "ReduceSum", until=12)
@recipe(*REDUCTIONS, since=13, until=17)
def reduce_by_attribute(draft: Draft, op: str) -> object:
    """Over some axes, or all where none is given."""
    value = _bounded(op, numeric(draft.pick(FLOATS)))
    axes = _axes(draft, value)
    given: dict[str, Any] = {"axes": axes} if axes else {}
    return draft.add(op, [value], keepdims=draft.rng.randrange(2), **given)


@recipe("ReduceSum", since=13)
@recipe(*REDUCTIONS, since=18)
def reduce(draft: Draft, op: str) -> object:
    """Over axes that are an input; without any over all, or none if an attribute says so."""
    value = _bounded(op, numeric(draft.pick(FLOATS if op != "ReduceSum" else NUMBERS)))
    axes = _axes(draft, value)
    keep, noop = draft.rng.randrange(2), draft.rng.randrange(2)
    given = [value, draft.ints(*axes)] if axes else [value]
    return draft.add(op, given, keepdims=keep, noop_with_empty_axes=noop)


def _bounded(op: str, value: Value) -> Value:
    """A value whose products and exponentials are finite in whatever order they are taken."""
    if "Prod" in op:
        with np.errstate(all="ignore"):
            bits = np.log2(np.maximum(np.abs(value.array.astype(np.float64)), 1.0)).sum()
        if not bits < 127:
            raise Refused("a product that overflows on the way")
    if op == "ReduceLogSumExp" and (value.array > LARGEST_EXPONENT).any():
        raise Refused("ONNX Runtime has no way around the overflow where nothing is reduced")
    return value


def _axes(draft: Draft, value: Value) -> list[int]:
    count = draft.rng.randrange(value.rank + 1)
    axes = draft.rng.sample(range(value.rank), count)
    negative = draft.opset >= 11 and draft.rng.random() < 0.3
    return [axis - value.rank if negative else axis for axis in axes]


@recipe("ArgMax", "ArgMin")
def arg(draft: Draft, op: str) -> object:
    """The place of an extreme, the first one or (since opset 12) the last."""
    value = numeric(draft.pick(FLOATS, least=1, exact=True))
    last: dict[str, Any] = (
        {"select_last_index": draft.rng.randrange(2)} if draft.opset >= 12 else {}
    )
    axis = draft.rng.randrange(value.rank)
    return draft.add(op, [value], axis=axis, keepdims=draft.rng.randrange(2), **last)


@recipe("TopK", since=11)
def top(draft: Draft, op: str) -> object:
    """The largest or smallest, in order."""
    value = numeric(draft.pick(FLOATS, least=1, exact=True))
    axis = draft.axis(value)
    count = draft.ints(draft.rng.randrange(1, value.shape[axis] + 1))
    return draft.add(op, [value, count], 2, axis=axis, largest=draft.rng.randrange(2), exact=True)


@recipe("CumSum", since=11)
@recipe("CumProd", since=26)
def running(draft: Draft, op: str) -> object:
    """Running sums."""
    value = _bounded(op, draft.pick(FLOATS, least=1))
    axis = draft.given(np.array(draft.axis(value), np.int64))
    flags: dict[str, Any] = {"exclusive": draft.rng.randrange(2), "reverse": draft.rng.randrange(2)}
    return draft.add(op, [value, axis], **flags)


@recipe("Softmax", "LogSoftmax", "Hardmax", since=13)
def softmax(draft: Draft, op: str) -> object:
    """Along an axis."""
    value = numeric(draft.pick(FLOATS, least=1, exact=op == "Hardmax"))
    return draft.add(op, [value], axis=draft.axis(value))


@recipe("Softmax", "LogSoftmax", "Hardmax", until=12)
def softmax_of_rows(draft: Draft, op: str) -> object:
    """Over all that is behind an axis, as older opsets had it."""
    value = numeric(draft.pick(FLOATS, least=1, exact=op == "Hardmax"))
    return draft.add(op, [value], axis=draft.rng.randrange(value.rank))
