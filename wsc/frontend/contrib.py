"""com.microsoft's fused operators that are neither attention nor quantised."""

from __future__ import annotations

import numpy as np

from wsc.frontend.activation import hard_sigmoid_of, leaky_relu_of, relu_of
from wsc.frontend.contract import conv, gemm
from wsc.frontend.normalize import affine, standardize
from wsc.frontend.registry import Call, Unsupported, lowering
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

DOMAIN = "com.microsoft"


def _activated(build: GraphBuilder, x: Value, name: str, parameters: list[float]) -> Value:
    """An activation by name with its parameters."""
    first, second, *_ = [*parameters, 0.0, 0.0]

    def body(v: Term) -> Term:
        match name:
            case "Relu":
                return relu_of(v)
            case "Tanh":
                return v.tanh()
            case "Sigmoid":
                return v.sigmoid()
            case "LeakyRelu":
                return leaky_relu_of(v, first)
            case "Clip":
                return v.max(first).min(second)
            case "HardSigmoid":
                return hard_sigmoid_of(v, first, second)
            case _:
                raise Unsupported(f"activation {name!r}")

    return build.map(body, x, hint="activation") if name else x


@lowering(
    "FusedConv",
    domain=DOMAIN,
    quiet=(
        "activation_params",
        "kernel_shape",
    ),
)
def fused_conv(call: Call) -> Value:
    """Convolution, a sum with another tensor, and an activation."""
    build, result = call.build, conv(call)
    if call.has(3):
        result = build.map(lambda v, z: v + z, result, call.arg(3), hint="sum")
    name = call.text("activation", "")
    return _activated(build, result, name, call.numbers("activation_params") or [])


@lowering(
    "FusedGemm",
    domain=DOMAIN,
    quiet=(
        "activation_gamma",
        "beta",
    ),
)
def fused_gemm(call: Call) -> Value:
    """Gemm and an activation."""
    result, name = gemm(call), call.text("activation", "")
    parameters = [call.number(f"activation_{part}", 0.0) for part in ("alpha", "beta")]
    return _activated(call.build, result, name, parameters)


@lowering("EmbedLayerNormalization", domain=DOMAIN, quiet=("mask_index_type",))
def embed_layer_normalization(call: Call) -> list[Value | None]:
    """Embeddings of words, positions and segments, summed and normalised; lengths of the mask."""
    build, words = call.build, call.arg(0)
    batch, steps = words.shape

    def rows(table: Value, numbers: Value, hint: str) -> Value:
        return build.gather(table, build.within(numbers, table.shape[0], f"{hint}_rows"), 0, hint)

    parts = [rows(call.arg(2), words, "words")]
    if call.has(8):
        parts.append(rows(call.arg(3), call.arg(8), "positions"))
    else:
        parts.append(build.slice_axis(call.arg(3), 0, 0, steps, hint="positions"))
    if call.has(1):
        parts.append(rows(call.arg(4), call.arg(1), "segments"))

    def added(first: Term, *rest: Term) -> Term:
        for term in rest:
            first = first + term
        return first

    total = build.map(added, *parts, hint="sum")
    unit = standardize(build, total, [2], call.number("epsilon", 1e-12))[0]
    result = affine(build, unit, call.arg(5), call.arg(6))
    if call.has(7):
        lengths = build.reduce(Reduction.SUM, call.arg(7), [1], False, "lengths")
    else:
        lengths = build.constant(np.zeros(batch, np.int64), DType.I32, "lengths")
    return [result, lengths, total]
