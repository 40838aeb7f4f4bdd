"""Operand expressions: integers over names, written once per region, evaluated per tile.

An expression may use the tile's coordinates ``x`` and ``y`` within its region, the
region's size ``W`` and ``H``, named constants and tensor addresses, the registers of
the procedure that it stands in, and the iteration names of its instruction.
Division is floor division, ``%`` has the sign of the divisor (as in Python).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.isa.limits import MOST_NUMBER

RESERVED = ("x", "y", "W", "H")

BINARY: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    # operator: (precedence, value function over ints or NumPy integer arrays)
    "==": (1, lambda a, b: (a == b) * 1),
    "!=": (1, lambda a, b: (a != b) * 1),
    "<": (1, lambda a, b: (a < b) * 1),
    "<=": (1, lambda a, b: (a <= b) * 1),
    ">": (1, lambda a, b: (a > b) * 1),
    ">=": (1, lambda a, b: (a >= b) * 1),
    "+": (2, lambda a, b: a + b),
    "-": (2, lambda a, b: a - b),
    "*": (3, lambda a, b: a * b),
    "/": (3, lambda a, b: a // b),
    "%": (3, lambda a, b: a % b),
}
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "min": np.minimum,
    "max": np.maximum,
}


class Expr:
    """Base of the expression tree. Python operators build and fold expressions."""

    __slots__ = ()

    def __add__(self, other: ExprLike) -> Expr:
        return binary("+", self, other)

    def __radd__(self, other: ExprLike) -> Expr:
        return binary("+", other, self)

    def __sub__(self, other: ExprLike) -> Expr:
        return binary("-", self, other)

    def __rsub__(self, other: ExprLike) -> Expr:
        return binary("-", other, self)

    def __mul__(self, other: ExprLike) -> Expr:
        return binary("*", self, other)

    def __rmul__(self, other: ExprLike) -> Expr:
        return binary("*", other, self)

    def __floordiv__(self, other: ExprLike) -> Expr:
        return binary("/", self, other)

    def __mod__(self, other: ExprLike) -> Expr:
        return binary("%", self, other)


@dataclass(frozen=True, slots=True)
class Int(Expr):
    """A literal."""

    value: int


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A name: coordinate, constant, tensor, register or iteration name."""

    name: str


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """``left op right``, op one of ``BINARY`` (infix) or ``FUNCTIONS`` (call syntax)."""

    op: str
    left: Expr
    right: Expr


ExprLike = Expr | int | str


def expr(value: ExprLike) -> Expr:
    """Turn an int into a literal and a str into a name; expressions pass through."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, str):
        return Name(value)
    if isinstance(value, (int, np.integer)):
        return Int(int(value))
    given = type(value).__name__
    raise TypeError(f"an operand expression is made of integers, names, expressions; not {given}")


def apply(op: str, left: Any, right: Any) -> Any:
    """The value of one operator on ints or integer arrays."""
    return BINARY[op][1](left, right) if op in BINARY else FUNCTIONS[op](left, right)


def binary(op: str, left: ExprLike, right: ExprLike) -> Expr:
    """Build ``left op right``, folding literals and the identities of + - * /."""
    a, b = expr(left), expr(right)
    if isinstance(a, Int) and isinstance(b, Int) and not (op in "/%" and b.value == 0):
        return Int(int(apply(op, a.value, b.value)))
    if isinstance(b, Int):
        if (op in "+-" and b.value == 0) or (op in "*/" and b.value == 1):
            return a
        if (op == "*" and b.value == 0) or (op == "%" and b.value == 1):
            return Int(0)
        if op == "-" and b.value < 0:
            return binary("+", a, -b.value)
        if op in "+*" and isinstance(a, Binary) and a.op == op and isinstance(a.right, Int):
            return binary(op, a.left, int(apply(op, a.right.value, b.value)))
        if op == "-" and isinstance(a, Binary) and a.op == "+" and isinstance(a.right, Int):
            return binary("+", a.left, a.right.value - b.value)
        if op == "+" and isinstance(a, Binary) and a.op == "-" and isinstance(a.right, Int):
            return binary("+", a.left, b.value - a.right.value)
    if isinstance(a, Int):
        if (op == "+" and a.value == 0) or (op == "*" and a.value == 1):
            return b
        if op == "*" and a.value == 0:
            return Int(0)
    return Binary(op, a, b)


def minimum(left: ExprLike, right: ExprLike) -> Expr:
    """``min(left, right)``."""
    return binary("min", left, right)


def maximum(left: ExprLike, right: ExprLike) -> Expr:
    """``max(left, right)``."""
    return binary("max", left, right)


X, Y, W, H = (Name(name) for name in RESERVED)


def names(node: Expr) -> Iterator[str]:
    """Every name in the expression, with repetitions, left to right."""
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, Name):
            yield node.name
        elif isinstance(node, Binary):
            todo += (node.right, node.left)


class TooLarge(ArithmeticError):
    """A step of a static expression may leave the range of a program's numbers."""


def evaluate(node: Expr, env: Mapping[str, Any]) -> Any:
    """Value under ``env``: ints, or integer arrays that broadcast (one entry a tile).

    Raises:
        KeyError: a name is not in ``env``.
        ZeroDivisionError: division by a zero.
        TooLarge: a step is beyond ``wsc.isa.limits.MOST_NUMBER``, or, where arrays are multiplied
            or added, could be by the largest of their entries. So nothing wraps.
    """
    return _evaluate(node, env)[0]


def _evaluate(node: Expr, env: Mapping[str, Any]) -> tuple[Any, int]:
    """The value, and a bound of its magnitude."""
    if isinstance(node, Int):
        return _bounded(node, node.value, abs(node.value))
    if isinstance(node, Name):
        value = env[node.name]
        return _bounded(node, value, _magnitude(value))
    assert isinstance(node, Binary)
    right, much = _evaluate(node.right, env)
    if node.op in "/%" and not (right if isinstance(right, int) else np.all(right)):
        raise ZeroDivisionError(f"division by zero in {show(node)}")
    left, many = _evaluate(node.left, env)
    if isinstance(left, int) and isinstance(right, int):
        value = int(apply(node.op, left, right))
        return _bounded(node, value, abs(value))
    if node.op == "/" and not isinstance(right, int):
        much = 1  # the smallest of its entries may be
    bound = _bound(node.op, many, much)
    if bound > MOST_NUMBER:  # before it is computed
        raise _too_large(node)
    return apply(node.op, left, right), bound


def _bound(op: str, left: int, right: int) -> int:
    """How large a result can be for operands of these magnitudes; of a divisor it is the least."""
    if op in "+-":
        return left + right
    if op == "*":
        return left * right
    if op == "/":
        return -(-left // right)  # what is negative is rounded away from zero
    if op == "%":
        return right
    return max(left, right) if op in FUNCTIONS else 1


def _magnitude(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return max(abs(int(value.min())), abs(int(value.max()))) if value.size else 0
    return abs(int(value))


def _bounded(node: Expr, value: Any, magnitude: int) -> tuple[Any, int]:
    if magnitude > MOST_NUMBER:
        raise _too_large(node)
    return value, magnitude


def _too_large(node: Expr) -> TooLarge:
    text = show(node)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return TooLarge(f"{shown} leaves the range of numbers, -2^48 to 2^48")


def substitute(node: Expr, env: Mapping[str, ExprLike]) -> Expr:
    """Replace names by expressions and fold what becomes literal."""
    if isinstance(node, Name):
        return expr(env[node.name]) if node.name in env else node
    if isinstance(node, Binary):
        left, right = substitute(node.left, env), substitute(node.right, env)
        folds = isinstance(left, Int) or isinstance(right, Int)
        if left is node.left and right is node.right and not folds:
            return node
        return binary(node.op, left, right)
    return node


def show(node: Expr, above: int = 0) -> str:
    """Canonical text with the fewest parentheses; the parser reads it back identically."""
    if isinstance(node, Int):
        return str(node.value) if node.value >= 0 or above < 2 else f"({node.value})"
    if isinstance(node, Name):
        return node.name
    assert isinstance(node, Binary)
    if node.op in FUNCTIONS:
        return f"{node.op}({show(node.left)}, {show(node.right)})"
    level = BINARY[node.op][0]
    left_level = level if level > 1 else 2
    between = node.op if level == 3 else f" {node.op} "
    text = f"{show(node.left, left_level)}{between}{show(node.right, level + 1)}"
    return f"({text})" if level < above else text


@dataclass(frozen=True, slots=True)
class Affine:
    """An expression split by what is known when: ``static + sum(registers) + sum(dim * stride)``.

    static: uses only coordinates, sizes, constants and tensor addresses.
    registers: registers added with coefficient one.
    strides: iteration name -> stride, itself a static expression or one register.
    """

    static: Expr
    registers: tuple[str, ...]
    strides: dict[str, Expr]


class NotAffine(ValueError):
    """An operand uses registers or iteration names in a way that no descriptor can hold."""


def split(node: Expr, registers: frozenset[str], dims: tuple[str, ...] = ()) -> Affine:
    """Split an operand into its static part, its registers and its strides.

    Raises:
        NotAffine: a register is multiplied, subtracted or divided, a stride is not a
            static expression or one register, or an iteration name occurs non-linearly.
    """
    if isinstance(node, Int):  # most operands
        return Affine(node, (), {})
    static: Expr = Int(0)
    regs: list[str] = []
    strides: dict[str, Expr] = {}
    for sign, term in terms(node):
        used = set(names(term))
        in_dims = used & set(dims)
        if not used & registers and not in_dims:
            static = static + term if sign > 0 else static - term
        elif isinstance(term, Name) and term.name in registers and sign > 0 and not in_dims:
            regs.append(term.name)
        elif in_dims:
            dim, stride = _stride(term, in_dims, registers, node)
            if sign < 0:
                if set(names(stride)) & registers:
                    raise NotAffine(f"{show(node)}: a register stride cannot be subtracted")
                stride = 0 - stride
            strides[dim] = strides[dim] + stride if dim in strides else stride
        else:
            raise NotAffine(f"{show(node)}: a register can only be added, not used in {show(term)}")
    return Affine(static, tuple(regs), strides)


def base(node: Expr, bases: Container[str]) -> str:
    """The one of ``bases`` that the expression adds something to; empty if it is not just one."""
    used = [name for name in names(node) if name in bases]
    if len(used) == 1 and (1, Name(used[0])) in terms(node):
        return used[0]
    return ""


def terms(node: Expr, sign: int = 1) -> Iterator[tuple[int, Expr]]:
    """What a sum consists of, each with 1 or -1 for its sign."""
    if isinstance(node, Binary) and node.op in "+-":
        yield from terms(node.left, sign)
        yield from terms(node.right, sign if node.op == "+" else -sign)
    else:
        yield sign, node


def _factors(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Binary) and node.op == "*":
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _stride(term: Expr, dims: set[str], registers: frozenset[str], whole: Expr) -> tuple[str, Expr]:
    if len(dims) == 1:
        dim = next(iter(dims))
        factors = list(_factors(term))
        if Name(dim) in factors:
            factors.remove(Name(dim))
            stride: Expr = Int(1)
            for factor in factors:
                stride = stride * factor
            used = set(names(stride))
            if dim not in used and (isinstance(stride, Name) or not used & registers):
                return dim, stride
    raise NotAffine(f"{show(whole)}: {show(term)} is not an iteration name times a stride")
