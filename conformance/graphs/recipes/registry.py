"""Recipes by operator and opset, and what many of them need.

A recipe takes a draft and the name of the operator, picks operands that suit, and adds a node.
``RECIPES`` says since which opset the operator takes what its recipe gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from conformance.graphs.draft import BOOL, F32, FLOATS, WHOLE, Draft, Value
from conformance.graphs.evaluate import Refused

NUMBERS = (*FLOATS, *WHOLE)
ANY = (*NUMBERS, *BOOL)
NARROW = (np.dtype(np.int8), np.dtype(np.uint8))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to add a node. since, until: the opsets of ai.onnx for which it is right."""

    operator: str
    draw: Callable[[Draft, str], object]
    since: int = 7
    until: int = 99
    domain: str = ""


RECIPES: list[Recipe] = []

_Draw = Callable[[Draft, str], object]


def recipe(
    *operators: str, since: int = 7, until: int = 99, domain: str = ""
) -> Callable[[_Draw], _Draw]:
    """Register a function for some operators and opsets."""

    def register(function: _Draw) -> _Draw:
        RECIPES.extend(Recipe(name, function, since, until, domain) for name in operators)
        return function

    return register


def fitting(opset: int) -> list[Recipe]:
    """The recipes of an opset."""
    return [item for item in RECIPES if item.since <= opset <= item.until]


def image(draft: Draft) -> Value:
    """An image of a few channels, new or known."""

    def wanted(value: Value) -> bool:
        return value.rank == 4 and min(value.shape[2:]) >= 3

    if draft.rng.random() < 0.6:
        shape = (
            draft.rng.randrange(1, 3),
            draft.rng.choice((1, 2, 4)),
            5,
            draft.rng.choice((5, 6)),
        )
        return draft.fresh(F32, shape)
    return draft.pick(FLOATS, 4, 4, wanted=wanted)


def tame(value: Value) -> Value:
    """A value whose squares and sums are finite: what else comes out depends on their order."""
    if not value.tame:
        raise Refused("infinite or large")
    return value


def small(draft: Draft, *shape: int) -> Value:
    """A new float whose squares and sums are finite."""
    return tame(draft.fresh(F32, shape))


def numeric(value: Value) -> Value:
    """A value without NaN: what an extreme of NaN is, ONNX does not say."""
    if not value.numeric:
        raise Refused("NaN")
    return value


def positions(draft: Draft, size: int, shape: tuple[int, ...] | list[int]) -> Value:
    """Positions of a dimension; since opset 11 some count from its end."""
    least = -size if draft.opset >= 11 else 0
    numbers = [draft.rng.randrange(least, size) for _ in range(int(np.prod(shape)))]
    kind = draft.rng.choice((np.int64, np.int32))
    return draft.given(np.array(numbers, kind).reshape(shape), None)
