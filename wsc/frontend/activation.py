"""Activation functions: bodies of maps, shared with the recurrent operators."""

from __future__ import annotations

import math

from wsc.frontend import follow
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import Value
from wsc.ir.terms import Term

SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805


def relu_of(x: Term) -> Term:
    """max(x, 0)."""
    return x.max(0)


def leaky_relu_of(x: Term, alpha: float) -> Term:
    """x < 0 ? alpha * x : x."""
    return x.max(x * alpha) if 0 <= alpha <= 1 else (x < 0).select(x * alpha, x)


def elu_of(x: Term, alpha: float) -> Term:
    """x < 0 ? alpha * (exp(x) - 1) : x."""
    return (x < 0).select(x.min(0).op("expm1") * alpha, x)


def hard_sigmoid_of(x: Term, alpha: float, beta: float) -> Term:
    """max(0, min(1, alpha * x + beta))."""
    return (x * alpha + beta).min(1).max(0)


def softplus_of(x: Term) -> Term:
    """log(1 + exp(x)) without overflow."""
    return x.max(0) + (-x.abs()).exp().op("log1p")


def softsign_of(x: Term) -> Term:
    """x / (1 + |x|)."""
    return x / (x.abs() + 1)


def gelu_of(x: Term) -> Term:
    """x / 2 * (1 + erf(x / sqrt 2))."""
    return x * 0.5 * (1 + (x * math.sqrt(0.5)).op("erf"))


def gelu_tanh_of(x: Term) -> Term:
    """The tanh approximation of Gelu."""
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * 0.5 * (1 + inner.tanh())


@lowering("Relu", follows=follow.elementwise)
def relu(call: Call) -> Value:
    """max(x, 0)."""
    return call.build.map(relu_of, call.arg(0))


@lowering("Sigmoid", follows=follow.elementwise)
def sigmoid(call: Call) -> Value:
    """1 / (1 + exp(-x))."""
    return call.build.map(lambda x: x.sigmoid(), call.arg(0))


@lowering("LeakyRelu")
def leaky_relu(call: Call) -> Value:
    """x < 0 ? alpha * x : x."""
    alpha = call.number("alpha", 0.01)
    return call.build.map(lambda x: leaky_relu_of(x, alpha), call.arg(0))


@lowering("Elu")
def elu(call: Call) -> Value:
    """x < 0 ? alpha * (exp(x) - 1) : x."""
    alpha = call.number("alpha", 1.0)
    return call.build.map(lambda x: elu_of(x, alpha), call.arg(0))


@lowering("Celu", since=12)
def celu(call: Call) -> Value:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    alpha = call.number("alpha", 1.0)

    def body(x: Term) -> Term:
        return (x < 0).select((x.min(0) / alpha).op("expm1") * alpha, x)

    require(alpha != 0, "alpha = 0")
    return call.build.map(body, call.arg(0))


@lowering("Selu")
def selu(call: Call) -> Value:
    """gamma * Elu(x, alpha)."""
    alpha, gamma = call.number("alpha", SELU_ALPHA), call.number("gamma", SELU_GAMMA)
    return call.build.map(lambda x: elu_of(x, alpha) * gamma, call.arg(0))


@lowering("HardSigmoid")
def hard_sigmoid(call: Call) -> Value:
    """max(0, min(1, alpha * x + beta))."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    return call.build.map(lambda x: hard_sigmoid_of(x, alpha, beta), call.arg(0))


@lowering("HardSwish", since=14)
def hard_swish(call: Call) -> Value:
    """x * max(0, min(1, x / 6 + 1 / 2))."""
    return call.build.map(lambda x: x * hard_sigmoid_of(x, 1 / 6, 0.5), call.arg(0))


@lowering("Swish", since=24)
def swish(call: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    alpha = call.number("alpha", 1.0)
    return call.build.map(lambda x: x * (x * alpha).sigmoid(), call.arg(0))


@lowering("SwiGLU", since=28)
def swiglu(call: Call) -> Value:
    """Swish(a) * b."""
    alpha = call.number("alpha", 1.0)
    return call.build.map(lambda a, b: a * (a * alpha).sigmoid() * b, call.arg(0), call.arg(1))


@lowering("Softplus")
def softplus(call: Call) -> Value:
    """log(1 + exp(x))."""
    return call.build.map(softplus_of, call.arg(0))


@lowering("Softsign")
def softsign(call: Call) -> Value:
    """x / (1 + |x|)."""
    return call.build.map(softsign_of, call.arg(0))


@lowering("Mish", since=18)
def mish(call: Call) -> Value:
    """x * tanh(softplus(x))."""
    return call.build.map(lambda x: x * softplus_of(x).tanh(), call.arg(0))


@lowering("ThresholdedRelu", since=10)
def thresholded_relu(call: Call) -> Value:
    """x > alpha ? x : 0."""
    alpha = call.number("alpha", 1.0)
    return call.build.map(lambda x: (x > alpha).select(x, 0), call.arg(0))


@lowering("Shrink", since=9)
def shrink(call: Call) -> Value:
    """x < -lambd ? x + bias : x > lambd ? x - bias : 0."""
    bias, limit = call.number("bias", 0.0), call.number("lambd", 0.5)
    require(call.arg(0).dtype.is_float, "integers")

    def body(x: Term) -> Term:
        return (x < -limit).select(x + bias, (x > limit).select(x - bias, 0))

    return call.build.map(body, call.arg(0))


@lowering("Gelu", since=20)
def gelu(call: Call) -> Value:
    """x / 2 * (1 + erf(x / sqrt 2)), or its tanh approximation."""
    approximate = call.text("approximate", "none") == "tanh"
    return call.build.map(gelu_tanh_of if approximate else gelu_of, call.arg(0))


@lowering("Gelu", domain="com.microsoft")
def microsoft_gelu(call: Call) -> Value:
    """x / 2 * (1 + erf(x / sqrt 2))."""
    return call.build.map(gelu_of, call.arg(0))


@lowering("BiasGelu", domain="com.microsoft")
def bias_gelu(call: Call) -> Value:
    """Gelu(x + bias)."""
    return call.build.map(lambda x, b: gelu_of(x + b), call.arg(0), call.arg(1))


@lowering("FastGelu", domain="com.microsoft")
def fast_gelu(call: Call) -> Value:
    """The tanh approximation of Gelu(x + bias)."""
    return call.build.map(lambda x, *b: gelu_tanh_of(x + b[0] if b else x), *call.args())


@lowering("QuickGelu", domain="com.microsoft")
def quick_gelu(call: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    alpha = call.number("alpha", 1.702)
    return call.build.map(lambda x: x * (x * alpha).sigmoid(), call.arg(0))
