"""Normalisations."""

from __future__ import annotations

import numpy as np

from conformance.graphs.draft import F32, FLOATS, Draft
from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes.registry import image, recipe, small, tame


@recipe("BatchNormalization", since=9)
def batch_norm(draft: Draft, op: str) -> object:
    """With constant or given moments."""
    value = draft.pick(FLOATS, least=2)
    size = (value.shape[1],)
    scale, shift, mean = (small(draft, *size) for _ in range(3))
    variance = draft.given(np.abs(draft.draw(F32, size)) + np.float32(0.5), None)
    return draft.add(op, [value, scale, shift, mean, variance], epsilon=1e-3)


@recipe("InstanceNormalization")
def instance_norm(draft: Draft, op: str) -> object:
    """Over space."""
    value = tame(image(draft))
    size = (value.shape[1],)
    return draft.add(op, [value, small(draft, *size), small(draft, *size)], epsilon=1e-2)


@recipe("LayerNormalization", since=17)
def layer_norm(draft: Draft, op: str) -> object:
    """Over the last axes."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.rng.randrange(-value.rank, 0)
    scale = small(draft, *value.shape[axis:])
    return draft.add(op, [value, scale], axis=axis, epsilon=1e-2)


@recipe("RMSNormalization", since=23)
@recipe("SimplifiedLayerNormalization")
def rms_norm(draft: Draft, op: str) -> object:
    """Over the last axis, about zero."""
    value = tame(draft.pick(FLOATS, least=1))
    return draft.add(op, [value, small(draft, value.shape[-1])], axis=-1, epsilon=1e-2)


@recipe("GroupNormalization", since=18)
def group_norm(draft: Draft, op: str) -> object:
    """Over groups of channels."""
    value = tame(image(draft))
    channels = value.shape[1]
    groups = draft.rng.choice([n for n in (1, 2, 4) if channels % n == 0])
    size = groups if draft.opset < 21 else channels
    given = [value, small(draft, size), small(draft, size)]
    return draft.add(op, given, num_groups=groups, epsilon=1e-2)


@recipe("MeanVarianceNormalization", since=9)
def moments(draft: Draft, op: str) -> object:
    """Over batch and space."""
    return draft.add(op, [tame(image(draft))])


@recipe("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_norm(draft: Draft, op: str) -> object:
    """Of a sum of two."""
    shape = (2, draft.rng.randrange(1, 4), 6)
    given = [small(draft, *shape), small(draft, *shape), small(draft, 6)]
    return draft.add(op, given, domain=MICROSOFT, epsilon=1e-2)


@recipe("LpNormalization")
def lp_norm(draft: Draft, op: str) -> object:
    """Divided by its length."""
    value = draft.pick(FLOATS, least=1)
    return draft.add(op, [value], axis=draft.axis(value), p=draft.rng.choice((1, 2)))


@recipe("LRN")
def local_response(draft: Draft, op: str) -> object:
    """Over neighbouring channels."""
    return draft.add(op, [tame(image(draft))], size=draft.rng.choice((1, 3)), alpha=0.1, bias=1.5)
