"""What derivatives of elementwise instructions are, for training, and the rules that are no line.

A rule stands with the value function of its row (``wsc.isa.values``). It is a function of terms, as
a map of the compiler has them: ``g`` is the derivative of the loss by the instruction's result
``d``, the others are its operands, of which some may be literals. It returns the derivative by each
operand, or None for one that has none (a flag, an integer, what is not chosen). Terms have the
operators of Python and ``op(row, ...)`` for any row of the table, so that a rule is made of
instructions.

Rows whose result is an integer have no rule: what goes through an integer has no derivative,
and a loss does not change with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[..., tuple[Any, ...]]


def same(g: Any, d: Any, a: Any) -> tuple[Any]:
    """Of moves and of roundings to a narrower format, through which training looks."""
    return (g,)


def flat(g: Any, d: Any, a: Any) -> tuple[None]:
    """Of what is constant between its jumps."""
    return (None,)


def remainder(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """The quotient, which is whole, stays: d = a - quotient * b."""
    return g, g * ((d - a) / b)


def to_larger(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """To where the maximum was taken from; of two that are equal, to the second."""
    first = _less(b, a)
    return first.select(g, 0.0), first.select(0.0, g)


def to_smaller(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """To where the minimum was taken from; of two that are equal, to the second."""
    first = _less(a, b)
    return first.select(g, 0.0), first.select(0.0, g)


def _less(a: Any, b: Any) -> Any:
    """a < b, where either may be a literal."""
    return a.op("lt", b) if hasattr(a, "op") else b.rop("lt", a)


def of_power(g: Any, d: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """b * a^(b-1) by the base; d * log(a) by the exponent, 0 where a power of 0 is 0."""
    by_base = g * (b * (a ** (b - 1.0)))
    if not hasattr(b, "op"):
        return by_base, None
    base = a if hasattr(a, "op") else b * 0.0 + a
    logarithm = base.op("log")
    return by_base, g * base.op("eq", 0.0).select(0.0, d * logarithm)


def to_chosen(g: Any, d: Any, c: Any, a: Any, b: Any) -> tuple[None, Any, Any]:
    """To what was chosen; a flag that is a literal chooses the same of all elements."""
    if hasattr(c, "op"):
        return None, c.select(g, 0.0), c.select(0.0, g)
    return (None, g, None) if c else (None, None, g)
