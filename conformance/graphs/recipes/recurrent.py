"""Recurrent layers."""

from __future__ import annotations

from conformance.graphs.draft import F32, Draft
from conformance.graphs.recipes.registry import recipe, tame


@recipe("LSTM", "GRU", "RNN")
def recurrent(draft: Draft, op: str) -> object:
    """A few steps, one way or both."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    both = draft.rng.random() < 0.3
    ways, hidden = 1 + both, draft.rng.choice((2, 3))
    value = tame(draft.fresh(F32, (draft.rng.randrange(1, 4), draft.rng.randrange(1, 3), 4)))
    weights = tame(draft.fresh(F32, (ways, gates * hidden, 4), constant=True))
    again = tame(draft.fresh(F32, (ways, gates * hidden, hidden), constant=True))
    direction = "bidirectional" if both else draft.rng.choice(("forward", "reverse"))
    return draft.add(op, [value, weights, again], 2, hidden_size=hidden, direction=direction)
