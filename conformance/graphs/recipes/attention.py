"""Attention, rotary embeddings, and what stands before them."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.graphs.draft import Draft, Value
from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes.registry import recipe, small


def _numbers(draft: Draft, most: int, *shape: int, kind: type = np.int64) -> Value:
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    return draft.given(draws.integers(0, most, shape).astype(kind), None)


@recipe("Attention", since=23)
def attention(draft: Draft, op: str) -> object:
    """Of four dimensions or of three, grouped, masked."""
    grouped = draft.rng.choice((2, 4))
    query, key, value = ((2, 4, 3, 4), (2, grouped, 5, 4), (2, grouped, 5, 6))
    given = [small(draft, *shape) for shape in (query, key, value)]
    if draft.rng.random() < 0.5:
        given.append(small(draft, 3, 5))
    return draft.add(op, given, is_causal=draft.rng.randrange(2))


@recipe("RotaryEmbedding", since=23)
def rotary(draft: Draft, op: str) -> object:
    """Pairs turned by the angles of their positions."""
    given = [small(draft, 2, 3, 4, 6), small(draft, 7, 3), small(draft, 7, 3)]
    places = _numbers(draft, 7, 2, 4)
    return draft.add(op, [*given, places], interleaved=draft.rng.randrange(2))


@recipe("LinearAttention", since=27)
def linear(draft: Draft, op: str) -> object:
    """A state that each step changes."""
    shapes = ((1, 3, 8), (1, 3, 4), (1, 3, 6), (1, 2, 2, 3))
    given: list[Value | None] = [small(draft, *shape) for shape in shapes]
    rule = draft.rng.choice(("linear", "delta"))
    if rule == "delta":
        given += [None, small(draft, 1, 3, 2)]
    return draft.add(op, given, 2, q_num_heads=4, kv_num_heads=2, update_rule=rule)


@recipe("CausalConvWithState", since=27)
def causal(draft: Draft, op: str) -> object:
    """A convolution over the steps so far."""
    given = [small(draft, *shape) for shape in ((2, 3, 5), (3, 1, 4), (3,), (2, 3, 3))]
    return draft.add(op, given, 2, activation=draft.rng.choice(("none", "silu")))


@recipe("Attention", domain=MICROSOFT)
def packed(draft: Draft, op: str) -> object:
    """With its own projection."""
    given = [small(draft, 2, 4, 6), small(draft, 6, 36), small(draft, 36)]
    way = draft.rng.randrange(2)
    return draft.add(op, given, domain=MICROSOFT, num_heads=3, unidirectional=way)


@recipe("MultiHeadAttention", domain=MICROSOFT)
def heads(draft: Draft, op: str) -> object:
    """Queries, keys and values apart."""
    given = [small(draft, 2, steps, 12) for steps in (4, 5, 5)]
    return draft.add(op, given, domain=MICROSOFT, num_heads=draft.rng.choice((2, 3)))


@recipe("GroupQueryAttention", domain=MICROSOFT)
def grouped(draft: Draft, op: str) -> object:
    """One step behind a cache, or a prompt."""
    behind = draft.rng.random() < 0.5
    steps, past = (1, 5) if behind else (4, 0)
    given: list[Value | None] = [small(draft, 1, steps, width) for width in (64, 32, 32)]
    given += [small(draft, 1, 2, past, 16) if past else None for _ in range(2)]
    last = np.array([past + steps - 1], np.int32)
    total = draft.given(np.array(past + steps, np.int32))
    turned = draft.rng.randrange(2)
    given += [draft.given(last, None), total]
    given += [small(draft, 16, 8), small(draft, 16, 8)] if turned else []
    return draft.add(op, given, 3, domain=MICROSOFT, num_heads=4, kv_num_heads=2, do_rotary=turned)


@recipe("RotaryEmbedding", domain=MICROSOFT)
def contrib_rotary(draft: Draft, op: str) -> object:
    """With positions first: one for each step, or that of the first."""
    places = _numbers(draft, 3, *draft.rng.choice(((2, 4), (1,))))
    given = [small(draft, 2, 3, 4, 6), places, small(draft, 7, 3), small(draft, 7, 3)]
    return draft.add(op, given, domain=MICROSOFT, interleaved=draft.rng.randrange(2))


@recipe("EmbedLayerNormalization", domain=MICROSOFT)
def embedded(draft: Draft, op: str) -> object:
    """Words, positions and segments."""
    tables = [draft.given(draft.draw(np.dtype(np.float32), (n, 6))) for n in (9, 5, 2)]
    given = [_numbers(draft, 9, 2, 4, kind=np.int32), _numbers(draft, 2, 2, 4, kind=np.int32)]
    for table in tables:
        if not table.tame:
            return None
    attributes: dict[str, Any] = {"epsilon": 1e-2}
    given += [*tables, small(draft, 6), small(draft, 6)]
    return draft.add(op, given, 2, domain=MICROSOFT, **attributes)


@recipe("Gelu", "QuickGelu", domain=MICROSOFT)
def contrib_activation(draft: Draft, op: str) -> object:
    """A function of one float."""
    return draft.add(op, [small(draft, *draft.shape(least=1))], domain=MICROSOFT)


@recipe("BiasGelu", "FastGelu", domain=MICROSOFT)
def biased(draft: Draft, op: str) -> object:
    """A function of a sum."""
    value = small(draft, *draft.shape(least=1))
    return draft.add(op, [value, small(draft, value.shape[-1])], domain=MICROSOFT)
