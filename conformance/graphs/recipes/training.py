"""Losses and steps of optimisers."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.graphs.draft import Draft
from conformance.graphs.evaluate import TRAINING
from conformance.graphs.recipes.registry import recipe, small, tame


@recipe("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss", since=13)
def loss(draft: Draft, op: str) -> object:
    """Of classes, some of which may be ignored."""
    shape = draft.rng.choice(((4, 5), (2, 5, 3), (2, 4, 2, 3)))
    classes = shape[1]
    attributes: dict[str, Any] = {"reduction": draft.rng.choice(("none", "sum", "mean"))}
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    target = draws.integers(0, classes, (shape[0], *shape[2:]))
    if draft.rng.random() < 0.5:
        attributes["ignore_index"] = draft.rng.choice((-1, 1))
        target.reshape(-1)[0] = attributes["ignore_index"]
    given = [small(draft, *shape), draft.given(target, None)]
    if draft.rng.random() < 0.5:
        weights = draft.given(np.abs(draft.draw(np.dtype(np.float32), (classes,))) + 0.5)
        given.append(tame(weights))
    return draft.add(op, given, **attributes)


STATES = {"Adagrad": 1, "Momentum": 1, "Adam": 2}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Adagrad": {"decay_factor": 0.1, "epsilon": 1e-2, "norm_coefficient": 0.01},
    "Momentum": {"alpha": 0.9, "beta": 0.8, "mode": "standard", "norm_coefficient": 0.1},
    "Adam": {"alpha": 0.9, "beta": 0.99, "epsilon": 1e-2, "norm_coefficient": 0.01},
}


@recipe("Adagrad", "Momentum", "Adam", domain=TRAINING)
def optimizer(draft: Draft, op: str) -> object:
    """One step for one tensor."""
    shape = draft.shape(least=1, most=2)
    given = [draft.given(np.array(0.1, np.float32)), draft.given(np.array(3, np.int64))]
    given += [small(draft, *shape), small(draft, *shape)]
    for _ in range(STATES[op]):
        state = np.abs(draft.draw(np.dtype(np.float32), shape)) + np.float32(0.1)
        given.append(tame(draft.given(state, None)))
    return draft.add(op, given, 1 + STATES[op], domain=TRAINING, **ATTRIBUTES[op])
