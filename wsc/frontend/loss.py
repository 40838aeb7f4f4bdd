"""Losses of classification, composed of maps and reductions over the classes."""

from __future__ import annotations

from isa.types import DType
from wsc.frontend.normalize import log_softmax
from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term


def _likelihood_loss(call: Call, scores: Value, target: Value, weight: Value | None) -> Value:
    """-weight[t] * scores[t] at each target t, and its mean or sum over all of them."""
    build = call.build
    ignored = call.integer("ignore_index", 0) if "ignore_index" in call.node.attributes else None
    reduction = call.text("reduction", "mean")
    require(reduction in ("none", "mean", "sum"), f"reduction {reduction!r}")
    picked = [_at_target(build, scores, target, "picked")]
    if weight is not None:
        wide = build.reshape(weight, (weight.type.size, *(1,) * (scores.rank - 2)), "wide")
        picked.append(_at_target(build, wide, target, "weight"))

    def counted(t: Term, x: Term) -> Term:
        return x if ignored is None else t.eq(ignored).select(0, x)

    def loss(t: Term, v: Term, w: Term | None = None) -> Term:
        return counted(t, -v if w is None else -(v * w)).cast(scores.dtype)

    each = build.map(loss, target, *picked, hint="each")
    if reduction == "none":
        return each
    axes = list(range(each.rank))
    total = build.reduce(Reduction.SUM, each, axes, keep=False, hint="total")
    if reduction == "sum":
        return build.map(lambda v: v.cast(scores.dtype), total)
    if weight is None and ignored is None:
        return build.map(lambda v: (v * (1 / each.type.size)).cast(scores.dtype), total)

    def share(t: Term, w: Term | None = None) -> Term:
        return counted(t, (t * 0 + 1).cast(DType.F32) if w is None else w)

    shares = build.map(share, target, *picked[1:], hint="shares")
    weights = build.reduce(Reduction.SUM, shares, axes, keep=False, hint="weights")
    return build.map(lambda v, w: (v / w).cast(scores.dtype), total, weights)


def _at_target(build: GraphBuilder, x: Value, target: Value, hint: str) -> Value:
    """x [N, C, ...] or [C, 1, ...] at class ``target`` [N, ...].

    One large value lives beside x: signs, weights and what is ignored come after the sum.
    """
    rank = target.rank + 1
    labels = build.reshape(target, (target.shape[0], 1, *target.shape[1:]), "labels")
    classes = x.shape[1 - rank]
    chosen = build.map(
        lambda v, t, i: t.eq(i).select(v, 0), x, labels, iota(build, classes, 1, rank), hint="each"
    )
    return build.reduce(Reduction.SUM, chosen, [1], keep=False, hint=hint)


@lowering("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood_loss(call: Call) -> Value:
    """Minus the target's log probability, weighted by class; an ignored target counts nothing."""
    return _likelihood_loss(call, call.arg(0), call.arg(1), call.maybe(2))


@lowering("SoftmaxCrossEntropyLoss", since=12)
def softmax_cross_entropy_loss(call: Call) -> list[Value]:
    """NegativeLogLikelihoodLoss of LogSoftmax over the classes, and that LogSoftmax."""
    scores = log_softmax(call.build, call.arg(0), [1])
    return [_likelihood_loss(call, scores, call.arg(1), call.maybe(2)), scores]
