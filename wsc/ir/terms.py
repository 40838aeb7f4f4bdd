"""Bodies of maps written as expressions: ``relu = lambda x: x.max(0)`` becomes steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from wsc.ir.graph import Arg, Lit, Map, Ref, Step
from wsc.isa.table import BY_NAME, operand_type
from wsc.isa.types import DType

F16_MAX = float(np.finfo(np.float16).max)


def literal(value: float | int, dtype: DType) -> Lit:
    """A literal of ``dtype``; what is finite stays finite (f16 saturates at 65504)."""
    if not dtype.is_float:
        if not -(2**31) <= value < 2**32:
            raise OverflowError(f"{value} does not fit 32 bits")
        return Lit(int(value))
    number = float(value)
    if dtype is DType.F16 and math.isfinite(number):
        number = max(-F16_MAX, min(F16_MAX, number))
    return Lit(number)


class _Body:
    """The steps of a map under construction; equal steps are kept once."""

    def __init__(self) -> None:
        self.steps: dict[Step, int] = {}

    def apply(self, op: str, dtype: DType, args: Sequence[Term | float | int]) -> Term:
        roles = BY_NAME[op].operands
        operands = tuple(
            arg.ref if isinstance(arg, Term) else literal(arg, operand_type(role, dtype))
            for role, arg in zip(roles[1:], args, strict=True)
        )
        number = self.steps.setdefault(Step(op, dtype, operands), len(self.steps))
        return Term(self, operand_type(roles[0], dtype), Ref(number))


class Term:
    """A value inside a map: an input or the result of a step, with its element type."""

    __slots__ = ("body", "dtype", "ref")

    def __init__(self, body: _Body, dtype: DType, ref: Arg | Ref) -> None:
        self.body, self.dtype, self.ref = body, dtype, ref

    def op(self, name: str, *others: Number) -> Term:
        """Row ``name`` of the instruction table with this term as its first source."""
        return self.body.apply(name, self.dtype, (self, *others))

    def rop(self, name: str, first: Number) -> Term:
        """Row ``name`` with this term as its second source."""
        return self.body.apply(name, self.dtype, (first, self))

    def apply(self, row: str, dtype: DType, args: Iterable[Number]) -> Term:
        """Row ``row`` for elements of ``dtype``, in the body of this term."""
        return self.body.apply(row, dtype, tuple(args))

    def __add__(self, other: Number) -> Term:
        return self.op("add", other)

    def __radd__(self, other: Number) -> Term:
        return self.rop("add", other)

    def __sub__(self, other: Number) -> Term:
        return self.op("sub", other)

    def __rsub__(self, other: Number) -> Term:
        return self.rop("sub", other)

    def __mul__(self, other: Number) -> Term:
        return self.op("mul", other)

    def __rmul__(self, other: Number) -> Term:
        return self.rop("mul", other)

    def __truediv__(self, other: Number) -> Term:
        return self.op("div", other)

    def __rtruediv__(self, other: Number) -> Term:
        return self.rop("div", other)

    def __pow__(self, other: Number) -> Term:
        return self.op("pow", other)

    def __rpow__(self, other: Number) -> Term:
        return self.rop("pow", other)

    def __neg__(self) -> Term:
        return self.op("neg")

    def __lt__(self, other: Number) -> Term:
        return self.op("lt", other)

    def __le__(self, other: Number) -> Term:
        return self.op("le", other)

    def __gt__(self, other: Number) -> Term:
        return self.rop("lt", other)

    def __ge__(self, other: Number) -> Term:
        return self.rop("le", other)

    def __and__(self, other: Number) -> Term:
        return self.op("and", other)

    def __or__(self, other: Number) -> Term:
        return self.op("or", other)

    def __xor__(self, other: Number) -> Term:
        return self.op("xor", other)

    def eq(self, other: Number) -> Term:
        """1 where equal, else 0 (i32)."""
        return self.op("eq", other)

    def min(self, other: Number) -> Term:
        """The smaller of both."""
        return self.op("min", other)

    def max(self, other: Number) -> Term:
        """The larger of both."""
        return self.op("max", other)

    def exp(self) -> Term:
        """e to this power."""
        return self.op("exp")

    def log(self) -> Term:
        """Natural logarithm."""
        return self.op("log")

    def sqrt(self) -> Term:
        """Square root."""
        return self.op("sqrt")

    def recip(self) -> Term:
        """1 over this."""
        return self.op("recip")

    def abs(self) -> Term:
        """Magnitude."""
        return self.op("abs")

    def tanh(self) -> Term:
        """Hyperbolic tangent."""
        return self.op("tanh")

    def sigmoid(self) -> Term:
        """1 / (1 + exp(-x)): right at both infinities too."""
        return (1 + (-self).exp()).recip()

    def negated(self) -> Term:
        """The other flag: 1 where this is 0, else 0."""
        return self.eq(0)

    def select(self, yes: Number, no: Number) -> Term:
        """``yes`` where this flag is not 0, else ``no``; one of them must be a term."""
        typed = yes if isinstance(yes, Term) else no
        if not isinstance(typed, Term):
            raise TypeError("select of two literals: use select_literals")
        return self.body.apply("select", typed.dtype, (self, yes, no))

    def select_literals(self, dtype: DType, yes: float, no: float) -> Term:
        """``select`` between two literals of ``dtype``."""
        return self.body.apply("select", dtype, (self, yes, no))

    def cast_like(self, other: Term) -> Term:
        """This value in the element type of another."""
        return self.cast(other.dtype)

    def cast(self, dtype: DType) -> Term:
        """This value in another element type; floats go to integers towards zero."""
        if dtype is self.dtype:
            return self
        if not self.dtype.is_float:
            return self.body.apply("from_int", dtype, (self,))
        if not dtype.is_float:
            return self.op("to_int")
        if dtype is DType.F32:
            return self.op("widen")
        return self.body.apply("narrow", DType.F16, (self,))


Number = Term | float | int
Body = Callable[..., Term]


def trace(body: Body, dtypes: Sequence[DType]) -> Map | int:
    """Call ``body`` with one term for each input; return the map that it describes.

    An int says that the body returned that input unchanged. Steps that the result
    does not need are left out; the result is the last step.
    """
    steps = _Body()
    result = body(*(Term(steps, dtype, Arg(number)) for number, dtype in enumerate(dtypes)))
    if isinstance(result.ref, Arg):
        return result.ref.index
    return Map(_needed(tuple(steps.steps), result.ref.step))


def _needed(steps: tuple[Step, ...], last: int) -> tuple[Step, ...]:
    needed = {last}
    for number in range(last, -1, -1):
        if number in needed:
            needed |= {arg.step for arg in steps[number].args if isinstance(arg, Ref)}
    place = {old: new for new, old in enumerate(sorted(needed))}

    def moved(step: Step) -> Step:
        args = (Ref(place[arg.step]) if isinstance(arg, Ref) else arg for arg in step.args)
        return Step(step.op, step.dtype, tuple(args))

    return tuple(moved(steps[old]) for old in sorted(needed))
