"""The operators, their exact results in double precision, and reasons for larger errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LIMIT = 4.0  # units in the last place that an operator may be off without a reason
Exact = Callable[..., np.ndarray]
_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class Larger:
    """Why an operator is off by more units in the last place than ``LIMIT``.

    within: the error that is left, absolute, for the exact result, the half of the unit in
    the last place of 1, the largest number of the type, and the inputs.
    """

    reason: str
    within: Callable[..., np.ndarray | float]


@dataclass(frozen=True, slots=True)
class Case:
    """An operator with attributes.

    exact: its result for inputs in double precision. at: points of special interest; the
    numbers beside them are tried.
    """

    op: str
    exact: Exact
    inputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    at: tuple[float, ...] = ()
    larger: Larger | None = None
    domain: str = ""
    opset: int = 24

    @property
    def title(self) -> str:
        """Name and attributes."""
        values = ", ".join(f"{key} = {value}" for key, value in self.attributes.items())
        return f"{self.op} ({values})" if values else self.op


def single(value: float) -> float:
    """An attribute as a model holds it."""
    return float(np.float32(value))


# --- exact results ------------------------------------------------------------------------


def erf(x: np.ndarray) -> np.ndarray:
    """The error function."""
    return _erf(x)


def normal(x: np.ndarray) -> np.ndarray:
    """The part of the normal distribution below x."""
    return 0.5 * _erfc(-x * math.sqrt(0.5))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """x / 2 * (1 + tanh(u)) is x * sigmoid(2 u)."""
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """x < 0 ? alpha * (exp(x) - 1) : x."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def clipped(x: np.ndarray) -> np.ndarray:
    """x between 0 and 1."""
    return np.minimum(np.maximum(x, 0), 1)


# --- larger errors, and how large they are ------------------------------------------------


def amplified(scale: float) -> Larger:
    """Of x * sigmoid(scale * x), whose product is rounded."""
    return Larger(
        f"exp multiplies the rounding of its argument by the argument: {scale} |x| / 2 units; "
        "where the exponential overflows the result is 0",
        lambda exact, u, largest, x: (
            2 * u * np.abs(exact) * (scale * np.abs(x) + 4) + np.abs(x) / largest
        ),
    )


FLUSHED = Larger(
    "where exp(-x) overflows (below -88.7, in f16 -11.1) the result is 0, as it is for all "
    "smaller x: by 2.9e-39, in f16 by 1.5e-5",
    lambda exact, u, largest, x: 1 / largest,
)
FLUSHED_PRODUCT = Larger(
    "where exp(-x) overflows (below -88.7, in f16 -11.1) the result is 0: by 2.7e-37, in f16 "
    "by 1.8e-4",
    lambda exact, u, largest, x: np.abs(x) / largest,
)
FEW_DIGITS = Larger(
    "where the softplus is no normal number (below -87.3, in f16 -9.7) it has few digits: by "
    "|x| / 2^149, in f16 by |x| / 2^24",
    lambda exact, u, largest, x: np.abs(x) * (2.0**-149 if u < 2.0**-20 else 2.0**-24),
)
CANCELS = Larger(
    "1 plus an odd function cancels for negative x: by |x| / 2^23, in f16 by |x| / 2^10",
    lambda exact, u, largest, x: 2 * u * np.abs(x),
)
LINE = Larger(
    "a rounded product and a constant cancel where their sum is near 0: by 1 / 2^23, in f16 "
    "by 1 / 2^10",
    lambda exact, u, largest, x: 2 * u,
)
LINE_PRODUCT = Larger(
    "a rounded product and a constant cancel where their sum is near 0: by |x| / 2^23, in f16 "
    "by |x| / 2^10",
    lambda exact, u, largest, x: 2 * u * np.abs(x),
)
HALVED = Larger(
    "the sum may overflow where its half does not (in f32; f16 adds in f32)",
    lambda exact, u, largest, a, b: np.where(np.abs(a + b) > largest, np.inf, 0),
)


# --- the operators ------------------------------------------------------------------------

_EXACT: tuple[Case, ...] = (
    Case("Abs", np.abs),
    Case("Neg", np.negative),
    Case("Sign", np.sign),
    Case("Floor", np.floor, at=(1, 2**23)),
    Case("Ceil", np.ceil, at=(1, 2**23)),
    Case("Round", np.rint, at=(0.5, 1.5, 2**23)),
    Case("Relu", lambda x: np.maximum(x, 0)),
    Case(
        "ThresholdedRelu",
        lambda x: np.where(x > single(1.1), x, 0),
        attributes={"alpha": 1.1},
        at=(1.1,),
    ),
    Case("Identity", lambda x: x),
)

_ARITHMETIC: tuple[Case, ...] = (
    Case("Add", np.add, 2),
    Case("Sub", np.subtract, 2),
    Case("Mul", np.multiply, 2),
    Case("Div", np.divide, 2),
    Case("Max", np.maximum, 2),
    Case("Min", np.minimum, 2),
    Case("Sum", np.add, 2),
    Case("Mean", lambda a, b: (a + b) / 2, 2, larger=HALVED),
    Case("Mod", np.fmod, 2, {"fmod": 1}),
    Case("Pow", np.power, 2),
    Case("PRelu", lambda x, s: np.where(x < 0, x * s, x), 2),
    Case("Reciprocal", lambda x: 1 / x),
    Case("Sqrt", np.sqrt),
)

_TRANSCENDENTAL: tuple[Case, ...] = (
    Case("Exp", np.exp, at=(88.72284, -87.33655, -103.97208, 11.09, -16.6)),
    Case("Log", np.log, at=(1,)),
    Case("Erf", erf, at=(3.9,)),
    Case("Sin", np.sin, at=(math.pi, 2 * math.pi)),
    Case("Cos", np.cos, at=(math.pi / 2,)),
    Case("Tan", np.tan, at=(math.pi / 2, math.pi)),
    Case("Asin", np.arcsin, at=(1, 0.5)),
    Case("Acos", np.arccos, at=(1, 0.5)),
    Case("Atan", np.arctan, at=(1,)),
    Case("Sinh", np.sinh, at=(88.72284, 89.41599, 1e-3, 11.78)),
    Case("Cosh", np.cosh, at=(88.72284, 89.41599, 11.78)),
    Case("Tanh", np.tanh, at=(9,)),
    Case("Asinh", np.arcsinh, at=(1e-4, 1.8446743e19, 256)),
    Case("Acosh", np.arccosh, at=(1, 1.8446743e19, 256)),
    Case("Atanh", np.arctanh, at=(1, 1e-4)),
)

_ACTIVATIONS: tuple[Case, ...] = (
    Case("Sigmoid", sigmoid, at=(-88.72284, -11.09, 17), larger=FLUSHED),
    Case("LeakyRelu", lambda x: np.where(x < 0, single(0.01) * x, x)),
    Case("Elu", lambda x: elu(x, 1.0), at=(1e-4, 17)),
    Case("Elu", lambda x: elu(x, single(1.7)), attributes={"alpha": 1.7}),
    Case(
        "Selu",
        lambda x: elu(x, single(1.6732632423543772)) * single(1.0507009873554805),
        at=(1e-4, 17),
    ),
    Case(
        "Celu",
        lambda x: np.maximum(x, 0) + 2 * np.expm1(np.minimum(x, 0) / 2),
        attributes={"alpha": 2.0},
        at=(1e-4, 34),
    ),
    Case("Softplus", softplus, at=(-12.3392, -87.33655, -103.97208, 17, -16.6)),
    Case("Softsign", lambda x: np.where(np.isinf(x), np.nan, x / (1 + np.abs(x)))),
    Case("Mish", lambda x: x * np.tanh(softplus(x)), at=(-15, -87.33655, -9.7), larger=FEW_DIGITS),
    Case("HardSigmoid", lambda x: clipped(single(0.2) * x + 0.5), at=(-2.5, 2.5), larger=LINE),
    Case("HardSwish", lambda x: x * clipped(x / 6 + 0.5), at=(-3, 3), larger=LINE_PRODUCT),
    Case("Swish", lambda x: x * sigmoid(x), at=(-88.72284, -11.09), larger=FLUSHED_PRODUCT),
    Case(
        "Swish",
        lambda x: x * sigmoid(single(1.3) * x),
        attributes={"alpha": 1.3},
        larger=amplified(1.3),
    ),
    Case(
        "QuickGelu",
        lambda x: x * sigmoid(single(1.702) * x),
        domain="com.microsoft",
        opset=1,
        larger=amplified(1.702),
    ),
    Case("Gelu", lambda x: x * normal(x), larger=CANCELS),
    Case("Gelu", gelu_tanh, attributes={"approximate": "tanh"}, larger=CANCELS),
    Case("FastGelu", gelu_tanh, domain="com.microsoft", opset=1, larger=CANCELS),
    Case(
        "Shrink",
        lambda x: np.where(x < -0.5, x + 0.25, np.where(x > 0.5, x - 0.25, 0)),
        attributes={"bias": 0.25, "lambd": 0.5},
        at=(-0.5, 0.5),
    ),
)


def _power(exponent: float) -> Case:
    """A power whose exponent is a constant."""
    return Case("Pow", lambda x: np.power(x, exponent), attributes={"exponent": exponent})


# Most of these are products and roots rather than an instruction of their own.
_POWERS: tuple[Case, ...] = (
    *map(_power, (2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0, 1.75, -1.75)),
    Case("Pow", np.sqrt, attributes={"exponent": 0.5}),
    Case("Pow", lambda x: 1 / np.sqrt(x), attributes={"exponent": -0.5}),
)

CASES = (*_EXACT, *_ARITHMETIC, *_TRANSCENDENTAL, *_ACTIVATIONS, *_POWERS)

# Operators of these files that have no floats to be off, or whose bodies are those of others.
OTHERS: dict[str, str] = {
    **dict.fromkeys(
        ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf"),
        "compares",
    ),
    **dict.fromkeys(("And", "Or", "Xor", "Not"), "of booleans"),
    **dict.fromkeys(
        ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"), "of integers"
    ),
    **dict.fromkeys(("Where", "Clip", "Dropout"), "chooses"),
    "BiasGelu": "Gelu of a sum",
    "SwiGLU": "Swish times a factor",
}
