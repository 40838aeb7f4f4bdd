"""Bytes with scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.graphs.draft import F32, FLOATS, Draft, Value
from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes.registry import NARROW, recipe, small, tame


@recipe("QuantizeLinear", since=13)
def quantize(draft: Draft, op: str) -> object:
    """To bytes, of a float that is exact, and back."""
    value = draft.pick(
        FLOATS, exact=True, wanted=lambda value: bool(np.isfinite(value.array).all())
    )
    scale = draft.given(np.full((), 0.25, np.float32))
    zero = draft.given(np.full((), 3, draft.rng.choice(NARROW)))
    made = draft.add(op, [value, scale, zero], exact=True)[0]
    return draft.add("DequantizeLinear", [made, scale, zero], exact=True)


def whole(draft: Draft, *shape: int, kind: type = np.uint8) -> Value:
    """New integers of 8 bits over their whole range."""
    limits = np.iinfo(kind)
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    return draft.given(draws.integers(limits.min, limits.max + 1, shape, kind), None)


def scale_and_zero(draft: Draft, kind: type, scale: float) -> list[Value]:
    """A scale and a zero point of a quantised tensor; scales are powers of two."""
    zero = draft.rng.randrange(-3, 4) if kind is np.int8 else draft.rng.randrange(120, 136)
    return [draft.given(np.array(scale, np.float32)), draft.given(np.array(zero, kind))]


@recipe("DynamicQuantizeLinear", since=11)
def dynamic(draft: Draft, op: str) -> object:
    """Spread over 8 bits by its own range."""
    made = draft.add(op, [tame(draft.pick(FLOATS, least=1, exact=True))], 3, exact=False)
    return draft.add("DequantizeLinear", made)


@recipe("MatMulInteger", since=10)
def whole_product(draft: Draft, op: str) -> object:
    """Of 8-bit matrices less their zero points."""
    kind = draft.rng.choice(NARROW).type
    zeros = [draft.given(np.array(128, np.uint8)), draft.given(np.array(3, kind))]
    return draft.add(op, [whole(draft, 3, 5), whole(draft, 5, 4, kind=kind), *zeros], exact=True)


@recipe("ConvInteger", since=10)
def whole_convolution(draft: Draft, op: str) -> object:
    """Of 8-bit images."""
    zero = draft.given(np.array(128, np.uint8))
    return draft.add(op, [whole(draft, 1, 2, 5, 4), whole(draft, 3, 2, 2, 3), zero], exact=True)


@recipe("QLinearMatMul", since=10)
def quantized_product(draft: Draft, op: str) -> object:
    """Quantised again."""
    left, right, out = (scale_and_zero(draft, np.uint8, s) for s in (2**-6, 2**-5, 0.25))
    given = [whole(draft, 3, 5), *left, whole(draft, 5, 4), *right, *out]
    return draft.add(op, given, exact=True)


@recipe("QLinearConv", since=10)
def quantized_convolution(draft: Draft, op: str) -> object:
    """Quantised again, with a bias of 32 bits."""
    left, right, out = (scale_and_zero(draft, np.uint8, s) for s in (2**-6, 2**-5, 0.25))
    bias = draft.given(np.array([5, -70, 300], np.int32))
    given = [whole(draft, 1, 2, 5, 4), *left, whole(draft, 3, 2, 2, 3), *right, *out, bias]
    return draft.add(op, given, exact=True)


@recipe("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def quantized_pair(draft: Draft, op: str) -> object:
    """A sum or a product, quantised again."""
    kind = draft.rng.choice(NARROW).type
    left, right, out = (scale_and_zero(draft, kind, s) for s in (2**-6, 2**-5, 2**-4))
    given = [whole(draft, 3, 4, kind=kind), *left, whole(draft, 3, 4, kind=kind), *right, *out]
    return draft.add(op, given, domain=MICROSOFT, exact=True)


@recipe("QLinearSigmoid", "QLinearLeakyRelu", domain=MICROSOFT)
def quantized_function(draft: Draft, op: str) -> object:
    """A function of each element, quantised again."""
    kind = draft.rng.choice(NARROW).type
    source, out = scale_and_zero(draft, kind, 2**-4), scale_and_zero(draft, kind, 2**-6)
    given = [whole(draft, 3, 4, kind=kind), *source, *out]
    attributes: dict[str, Any] = {"alpha": 0.25} if op == "QLinearLeakyRelu" else {}
    return draft.add(op, given, domain=MICROSOFT, exact=False, **attributes)


@recipe("QLinearSoftmax", domain=MICROSOFT)
def quantized_softmax(draft: Draft, op: str) -> object:
    """Quantised again."""
    source, out = scale_and_zero(draft, np.uint8, 2**-4), scale_and_zero(draft, np.uint8, 2**-8)
    given = [whole(draft, 3, 6), *source, *out]
    return draft.add(op, given, domain=MICROSOFT, opset=13, axis=-1, exact=False)


@recipe("QLinearGlobalAveragePool", domain=MICROSOFT)
def quantized_mean(draft: Draft, op: str) -> object:
    """Over all space."""
    given = [whole(draft, 1, 3, 4, 4), *scale_and_zero(draft, np.uint8, 0.5)]
    out = scale_and_zero(draft, np.uint8, 0.25)
    return draft.add(op, [*given, *out], domain=MICROSOFT, channels_last=0, exact=False)


@recipe("QLinearConcat", domain=MICROSOFT)
def quantized_concat(draft: Draft, op: str) -> object:
    """Joined in the scale of the result."""
    out = scale_and_zero(draft, np.uint8, 0.5)
    parts = [
        value
        for scale in (0.25, 0.5)
        for value in (whole(draft, 2, 3), *scale_and_zero(draft, np.uint8, scale))
    ]
    return draft.add(op, [*out, *parts], domain=MICROSOFT, axis=1, exact=True)


@recipe("QGemm", domain=MICROSOFT)
def quantized_gemm(draft: Draft, op: str) -> object:
    """With a bias of 32 bits, quantised again at times."""
    left, right, out = (scale_and_zero(draft, np.uint8, s) for s in (2**-6, 2**-5, 0.25))
    bias = draft.given(np.array([5, -70, 300, 0], np.int32))
    given = [whole(draft, 3, 5), *left, whole(draft, 5, 4), *right, bias]
    if draft.rng.random() < 0.5:
        given += out
    return draft.add(op, given, domain=MICROSOFT, alpha=1.0, exact=len(given) > 7)


@recipe("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_product(draft: Draft, op: str) -> object:
    """A float, quantised by its own range, times an 8-bit matrix."""
    matrix = whole(draft, 5, 4)
    scale, zero = scale_and_zero(draft, np.uint8, 2**-6)
    return draft.add(op, [small(draft, 3, 5), matrix, scale, zero], domain=MICROSOFT)


@recipe("MatMulIntegerToFloat", domain=MICROSOFT)
def scaled_product(draft: Draft, op: str) -> object:
    """Of 8-bit matrices, times their scales."""
    (scale_a, zero_a), (scale_b, zero_b) = (
        scale_and_zero(draft, np.uint8, s) for s in (2**-6, 2**-5)
    )
    given = [whole(draft, 3, 5), whole(draft, 5, 4), scale_a, scale_b, zero_a, zero_b]
    return draft.add(op, given, domain=MICROSOFT)


@recipe("MatMulNBits", domain=MICROSOFT)
def few_bits(draft: Draft, op: str) -> object:
    """Times a matrix of four bits, scaled by block."""
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    stored = draft.given(draws.integers(0, 256, (3, 2, 8), np.uint8))
    scales = draft.given(np.abs(draft.draw(F32, (6,))) + np.float32(0.125))
    given = [small(draft, 2, 32), stored, tame(scales)]
    return draft.add(op, given, domain=MICROSOFT, K=32, N=3, bits=4, block_size=16)
