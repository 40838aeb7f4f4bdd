"""The derivative of every elementwise instruction that has one, for training.

A rule is a function of terms, as a map of the compiler has them: ``g`` is the derivative of the
loss by the instruction's result ``d``, the others are its operands. It returns the derivative
by each operand, or None for one that has none (a flag, an integer). Terms have the operators
of Python and ``op(row, ...)`` for any row of the table, so that a rule is made of instructions.

Rows whose result is an integer have no place here: what goes through an integer has no
derivative, and a loss does not change with it. ``WITHOUT`` lists the rows of floats that differ
from all others in that their result changes with their operand, but has no derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Rule = Callable[..., tuple[Any, ...]]

# They look into the representation of a float: no slope of a number follows from it.
WITHOUT = frozenset({"from_bits"})

_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)


def _same(g: Any, d: Any, a: Any) -> tuple[Any]:
    """Of moves and of roundings to a narrower format, through which training looks."""
    return (g,)


def _flat(g: Any, d: Any, a: Any) -> tuple[None]:
    """Of what is constant between its jumps."""
    return (None,)


def _remainder(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """The quotient, which is whole, stays: d = a - quotient * b."""
    return g, g * ((d - a) / b)


def _max(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """To where the maximum was taken from; of two that are equal, to the second."""
    first = _less(b, a)
    return first.select(g, 0.0), first.select(0.0, g)


def _min(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    first = _less(a, b)
    return first.select(g, 0.0), first.select(0.0, g)


def _less(a: Any, b: Any) -> Any:
    """a < b, where either may be a literal."""
    return a.op("lt", b) if hasattr(a, "op") else b.rop("lt", a)


def _pow(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """b * a^(b-1) by the base; d * log(a) by the exponent, 0 where a power of 0 is 0."""
    by_base = g * (b * (a ** (b - 1.0)))
    if not hasattr(b, "op"):
        return by_base, None
    base = a if hasattr(a, "op") else b * 0.0 + a
    logarithm = base.op("log")
    return by_base, g * base.op("eq", 0.0).select(0.0, d * logarithm)


DERIVATIVES: dict[str, Rule] = {
    # Moves and roundings.
    "mov": _same,
    "widen": lambda g, d, a: (g.cast_like(a),),
    "narrow": lambda g, d, a: (g.cast_like(a),),
    "to_bf16": _same,
    "to_e4m3fn": _same,
    "to_e4m3fnuz": _same,
    "to_e5m2": _same,
    "to_e5m2fnuz": _same,
    "to_e2m1": _same,
    "from_int": _flat,
    # Arithmetic.
    "add": lambda g, d, a, b: (g, g),
    "sub": lambda g, d, a, b: (g, -g),
    "mul": lambda g, d, a, b: (g * b, g * a),
    "div": lambda g, d, a, b: (g / b, -(g * d / b)),
    "mod": _remainder,
    "rem": _remainder,
    "min": _min,
    "max": _max,
    "pow": _pow,
    "neg": lambda g, d, a: (-g,),
    "abs": lambda g, d, a: (g * a.op("sign"),),
    "sign": _flat,
    "floor": _flat,
    "ceil": _flat,
    "round": _flat,
    "recip": lambda g, d, a: (-(g * d * d),),
    "sqrt": lambda g, d, a: (g * 0.5 / d,),
    "exp": lambda g, d, a: (g * d,),
    "expm1": lambda g, d, a: (g * (d + 1.0),),
    "log": lambda g, d, a: (g / a,),
    "log1p": lambda g, d, a: (g / (a + 1.0),),
    "sinh": lambda g, d, a: (g * (d * d + 1.0).op("sqrt"),),
    "asinh": lambda g, d, a: (g / (a * a + 1.0).op("sqrt"),),
    "tanh": lambda g, d, a: (g * (1.0 - d * d),),
    "erf": lambda g, d, a: (g * ((-(a * a)).op("exp") * _TWO_OVER_ROOT_PI),),
    "sin": lambda g, d, a: (g * a.op("cos"),),
    "cos": lambda g, d, a: (-(g * a.op("sin")),),
    "atan": lambda g, d, a: (g / (a * a + 1.0),),
    # A choice hands on to what was chosen.
    "select": lambda g, d, c, a, b: (None, c.select(g, 0.0), c.select(0.0, g)),
}
