"""Losses of classifiers."""

from __future__ import annotations

import math

from wsc.frontend.normalize import log_softmax_of
from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.types import I32_MAX, I32_MIN
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term


def _spread(build: GraphBuilder, scores: Value) -> tuple[Value, int]:
    """Scores in a shape that tiles share evenly, and the axis of the classes in it.

    [N, C, ...] of more than four dimensions becomes [N, 1, C, a, b]: the last two are split
    over the tiles then, as even as they get, and every tile has all classes.
    """
    require(scores.rank >= 2, "scores without a dimension of classes")
    if scores.rank <= 4:
        return scores, 1
    batch, classes = scores.shape[:2]
    count = math.prod(scores.shape[2:])
    low = max(n for n in range(1, math.isqrt(count) + 1) if count % n == 0)
    return build.reshape(scores, (batch, 1, classes, low, count // low), "spread"), 2


def _per_element(call: Call, scores: Value, axis: int) -> tuple[Value, Value | None]:
    """Weighted losses of log-probabilities, without their dimension of classes, and the weights.

    The target's score is picked by comparing the target with every class. The ignored one picks
    nothing; any other that is no class stops the run.
    """
    build, target, weight = call.build, call.arg(1), call.maybe(2)
    ignored = call.integer("ignore_index", 0) if "ignore_index" in call.node.attributes else None
    if ignored is not None and not I32_MIN <= ignored <= I32_MAX:
        ignored = None  # no target has such a value
    shape, classes = call.arg(0).shape, scores.shape[axis]
    require(target.shape == (shape[0], *shape[2:]), f"a target of shape {target.shape}")
    before, after = scores.shape[:axis], scores.shape[axis + 1 :]
    target = build.reshape(target, (*before, *after), "target")
    known = _classes(build, target, ignored, classes)
    wide = build.reshape(known, (*before, 1, *after), "wide")
    places = iota(build, classes, axis, scores.rank)

    def picked(x: Value, hint: str) -> Value:
        each = build.map(lambda t, i, v: t.eq(i).select(v, 0), wide, places, x, hint=f"{hint}_each")
        return build.reduce(Reduction.SUM, each, [axis], False, hint)

    loss = build.map(lambda v: -v, picked(scores, "score"), hint="loss")
    factors: Value | None = None
    if weight is not None:
        table = build.reshape(weight, (classes,) + (1,) * len(after), "weight")
        factors = picked(table, "weights")
    if ignored is not None:
        factors = _without(build, target, ignored, factors, scores)
    if factors is not None:
        loss = build.map(lambda x, w: x * w, loss, factors, hint="weighted")
    return loss, factors


def _classes(build: GraphBuilder, target: Value, ignored: int | None, classes: int) -> Value:
    """Targets that are classes, with -1 for those to ignore; any other stops the run."""
    if ignored is None:
        return build.within(target, classes, "class")
    counted = build.map(lambda t: t.eq(ignored).select(0, t), target, hint="counted")
    checked = build.within(counted, classes, "class")
    return build.map(lambda t, c: t.eq(ignored).select(-1, c), target, checked, hint="picked")


def _without(
    build: GraphBuilder, target: Value, ignored: int, factors: Value | None, like: Value
) -> Value:
    """Weights with those of the ignored target 0."""
    if factors is None:
        dtype = like.dtype
        return build.map(
            lambda t: t.eq(ignored).select_literals(dtype, 0.0, 1.0), target, hint="kept"
        )
    return build.map(lambda t, w: t.eq(ignored).select(0, w), target, factors, hint="kept")


def _joined(call: Call, scores: Value, loss: Value, factors: Value | None) -> Value:
    """The losses as the node's reduction wants them; a mean is weighted."""
    build, reduction = call.build, call.text("reduction", "mean")
    require(reduction in ("none", "sum", "mean"), f"reduction {reduction!r}")
    if reduction == "none":
        return build.reshape(loss, (scores.shape[0], *scores.shape[2:]))
    axes = list(range(loss.rank))
    total = build.reduce(Reduction.SUM, loss, axes, False, "total")
    if reduction == "sum":
        return build.cast(total, loss.dtype)
    if factors is None:
        scale = 1 / loss.type.size
        mean = build.map(lambda s: s * scale, total, hint="mean")
    else:
        weights = build.reduce(Reduction.SUM, factors, axes, False, "weights")
        mean = build.map(_ratio, total, weights, hint="mean")
    return build.cast(mean, loss.dtype)


def _ratio(total: Term, weights: Term) -> Term:
    return total / weights


@lowering("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood(call: Call) -> Value:
    """-score of the target class, weighted by class, each, summed or averaged."""
    scores = call.arg(0)
    return _joined(call, scores, *_per_element(call, *_spread(call.build, scores)))


@lowering("SoftmaxCrossEntropyLoss", since=12)
def softmax_cross_entropy(call: Call) -> list[Value]:
    """NegativeLogLikelihoodLoss of the logarithm of the softmax over dimension 1."""
    build, scores = call.build, call.arg(0)
    spread, axis = _spread(build, scores)
    logs = log_softmax_of(build, spread, [axis])
    shown = build.reshape(logs, scores.shape, "log_prob")
    return [_joined(call, scores, *_per_element(call, logs, axis)), shown]
