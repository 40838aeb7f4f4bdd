"""Convolutions and pools."""

from __future__ import annotations

from typing import Any

from conformance.graphs.draft import F32, Draft
from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes.registry import image, numeric, recipe, small, tame


@recipe("Conv")
def convolution(draft: Draft, op: str) -> object:
    """With groups, strides, dilations and pads."""
    value = tame(image(draft))  # padding times an infinity is not a number
    channels = value.shape[1]
    group = draft.rng.choice([n for n in (1, 2, channels) if channels % n == 0])
    kernel = draft.rng.choice(((1, 1), (3, 3), (2, 3)))
    weight = tame(draft.fresh(F32, (group * draft.rng.randrange(1, 3), channels // group, *kernel)))
    given = [value, weight]
    if draft.rng.random() < 0.5:
        given.append(draft.fresh(F32, weight.shape[:1]))
    pads = [draft.rng.randrange(2) for _ in range(4)]
    strides = [draft.rng.randrange(1, 3) for _ in range(2)]
    return draft.add(op, given, group=group, pads=pads, strides=strides)


@recipe("ConvTranspose")
def transposed_convolution(draft: Draft, op: str) -> object:
    """Zeros between the inputs."""
    value = image(draft)
    weight = draft.fresh(F32, (value.shape[1], 2, 2, 3))
    tame(value)
    tame(weight)  # times a zero that is put in between it would be NaN
    strides = [draft.rng.randrange(1, 3) for _ in range(2)]
    return draft.add(op, [value, weight], strides=strides)


@recipe("MaxPool", "AveragePool", since=11)
def pool(draft: Draft, op: str) -> object:
    """Windows, that reach beyond the edge at times."""
    counted: dict[str, Any] = (
        {"count_include_pad": draft.rng.randrange(2)} if op == "AveragePool" else {}
    )
    return draft.add(
        op,
        [numeric(image(draft))],
        kernel_shape=[2, 3],
        pads=[draft.rng.randrange(2) for _ in range(4)],
        strides=[draft.rng.randrange(1, 3) for _ in range(2)],
        ceil_mode=draft.rng.randrange(2),
        **counted,
    )


@recipe("GlobalAveragePool", "GlobalMaxPool")
def global_pool(draft: Draft, op: str) -> object:
    """All space."""
    return draft.add(op, [numeric(image(draft))])


@recipe("GlobalLpPool", until=21)
def global_norm(draft: Draft, op: str) -> object:
    """The length of each channel."""
    return draft.add(op, [tame(image(draft))], p=draft.rng.choice((1, 2)))


@recipe("LpPool", since=11)
def norm_pool(draft: Draft, op: str) -> object:
    """The length of each window."""
    strides = [draft.rng.randrange(1, 3) for _ in range(2)]
    return draft.add(op, [tame(image(draft))], kernel_shape=[2, 2], strides=strides, p=2)


@recipe("MaxUnpool", since=11)
def unpool(draft: Draft, op: str) -> object:
    """A pool's values back at their places."""
    value = small(draft, 1, 2, 4, 6)
    sizes: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    pooled, places = draft.add("MaxPool", [value], 2, exact=True, **sizes)
    return draft.add(op, [pooled, places], exact=True, **sizes)


@recipe("Col2Im", since=18)
def columns(draft: Draft, op: str) -> object:
    """Blocks laid over one another."""
    given = [small(draft, 1, 6, 12), draft.ints(4, 5), draft.ints(2, 3)]
    return draft.add(op, [*given], strides=[1, 1], pads=[0, 0, 0, 1])


@recipe("DeformConv", since=19)
def deformed(draft: Draft, op: str) -> object:
    """A convolution whose kernel elements look elsewhere."""
    given = [small(draft, 1, 2, 4, 5), small(draft, 3, 2, 2, 2), small(draft, 1, 8, 3, 4)]
    return draft.add(op, given, kernel_shape=[2, 2])


@recipe("FusedConv", domain=MICROSOFT)
def fused_convolution(draft: Draft, op: str) -> object:
    """With an activation."""
    given = [small(draft, 1, 2, 5, 6), small(draft, 3, 2, 3, 3), small(draft, 3)]
    activation = draft.rng.choice(("Relu", "Tanh", "Sigmoid"))
    return draft.add(op, given, domain=MICROSOFT, activation=activation, kernel_shape=[3, 3])
