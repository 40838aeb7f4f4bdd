"""Operands in text: for each kind the function that prints it and the one that builds it.

The methods of ``OperandBuilder`` are called by the parser with the children of the
grammar rule of the same name; the ``show_*`` function beside each is its inverse.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from wsc.isa import expr as ex
from wsc.isa.diagnostics import AssemblyError, Source
from wsc.isa.limits import MOST_NUMBER
from wsc.isa.program import (
    Asynchronous,
    Dim,
    Extent,
    If,
    Location,
    Loop,
    Mem,
    Number,
    Operand,
    Position,
    Queue,
    Real,
    Scalar,
)
from wsc.isa.types import Side

_DIGITS = len(str(MOST_NUMBER)) - 1  # of the integers in a text
_MANY_DIGITS = 24  # of what is only counted
DEEPEST = 100  # expressions within expressions, blocks within blocks

_NESTING = (ex.Binary, If, Loop)

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Children = list[Any]


def present(children: Children) -> Children:
    """The children without the places of optional parts that were left out."""
    return [child for child in children if child is not None]


def show_string(text: str) -> str:
    """A string in quotes, with JSON's escapes; no character that is not printable stands in it."""
    shown = json.dumps(text, ensure_ascii=False)
    if shown.isprintable():
        return shown
    return "".join(item if item.isprintable() else json.dumps(item)[1:-1] for item in shown)


def build_string(token: str) -> str:
    """Inverse of ``show_string``; raises ValueError for an unknown escape."""
    return json.loads(token)


def show_nodes(nodes: Iterable[str]) -> str:
    """The provenance marks at the end of a line, each with a space before; empty without nodes."""
    return "".join(f" @{show_string(node)}" for node in nodes)


def show_edge_name(name: str) -> str:
    """The name of an edge tensor; model files use names that need quotes."""
    return name if IDENTIFIER.fullmatch(name) else show_string(name)


def show_real(value: float) -> str:
    """The shortest literal that reads back as the same number."""
    return repr(value)


def show_number(value: Number) -> str:
    """A number of a fabric: ``8``, ``0.25`` or ``[6, 6, 4]``."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return show_real(value) if isinstance(value, float) else str(value)


def show_operand(operand: Operand) -> str:
    """One operand of a vector instruction, in its brackets."""
    if isinstance(operand, Mem):
        return f"[{ex.show(operand.address)}]"
    if isinstance(operand, Queue):
        if operand.dims is None:
            return f"<{operand.color}>"
        return f"<{operand.color}: {', '.join(operand.dims)}>"
    if isinstance(operand, Scalar):
        return f"{{{ex.show(operand.value)}}}"
    return show_real(operand.value)


def show_dims(dims: tuple[Dim, ...]) -> str:
    """`` for i:n, j:m`` with a space before; empty for a single step."""
    if not dims:
        return ""
    return " for " + ", ".join(f"{dim.name}:{ex.show(dim.extent)}" for dim in dims)


def show_extent(extent: Extent) -> str:
    """One dimension of a tensor's layout: ``56 y:4 len 6 off -1``, or ``56 y:4 over 20``."""
    text = str(extent.size)
    if extent.axis:
        text += f" {extent.axis}:{extent.step}"
    if extent.length != (extent.step if extent.axis else extent.size):
        text += f" len {extent.length}"
    text += f" off {extent.offset}" if extent.offset else ""
    return text + (f" over {extent.over}" if extent.over else "")


def show_position(position: Position) -> str:
    """One switch position: ``W -> RAMP, E``."""
    return f"{position.receive.value} -> {', '.join(side.value for side in position.send)}"


def show_asynchronous(mark: Asynchronous | None) -> str:
    """``async 2 -> s3: `` before an instruction; empty for the main thread."""
    if mark is None:
        return ""
    signal = "" if mark.semaphore is None else f" -> {show_semaphore(mark.semaphore)}"
    return f"async {mark.unit}{signal}: "


def show_semaphore(index: int) -> str:
    """``s3``."""
    return f"s{index}"


class OperandBuilder:
    """Builds expressions, operands and the other small parts; one method a grammar rule."""

    def __init__(self) -> None:
        self.begin("", Source())

    def begin(self, file: str, source: Source) -> None:
        """Forget the last text and expect a new one."""
        self.file = file
        self.source = source
        self.constants: dict[str, int] = {}  # those of the text, up to where it is read
        self._leaf: Any = None  # the last number or name of an expression
        self._names: dict[str, Any] = {}  # the last token with each of these names
        # How deep the expressions and blocks that were built are nested, by identity.
        self._depth: dict[int, int] = {}

    def where(self, token: Any) -> Location:
        """The location of a token."""
        return Location(self.file, token.line, token.column)

    def fail(self, message: str, token: Any) -> AssemblyError:
        """An error at a token."""
        return AssemblyError([self.source.diagnostic(message, self.where(token), str(token))])

    # What tokens stand for.

    def integer(self, token: Any) -> int:
        """The number that digits stand for."""
        return self._number(str(token), token)

    def large(self, token: Any) -> int:
        """The number that digits stand for, where nothing is computed with it in 64 bits."""
        return self._number(str(token), token, _MANY_DIGITS)

    def number(self, children: Children) -> int:
        """``4*B``: the value of integers and constants, which is not negative."""
        value = self.signed(children)
        if value < 0:
            message = f"{ex.show(children[0])} is {value}, and the number here is not negative"
            raise self.fail(message, self._leaf)
        return value

    def signed(self, children: Children) -> int:
        """The same, of either sign."""
        (node,) = children
        try:
            return int(ex.evaluate(node, self.constants))
        except KeyError as error:
            (name,) = error.args
            message = (
                f"a number here is made of integers and earlier constants; '{name}' is neither"
            )
            raise self.fail(message, self._names[name]) from error
        except ArithmeticError as error:
            raise self.fail(str(error), self._leaf) from error

    def size(self, children: Children) -> tuple[int, int]:
        """``4x2``, or ``COLUMNS x ROWS``."""
        if len(children) == 1:
            (token,) = children
            width, height = str(token).split("x")
            return self._number(width, token), self._number(height, token)
        width, token, height = children
        if token != "x":
            raise self.fail("a size is written as columns x rows", token)
        return width, height

    def semaphore(self, token: Any) -> int:
        """Inverse of ``show_semaphore``."""
        return self._number(str(token)[1:], token)

    def _number(self, digits: str, token: Any, most: int = _DIGITS) -> int:
        digits = digits.lstrip("0") or "0"
        if len(digits) > most:  # in the range that all checks rely on
            message = f"{digits[:12]}... is too large: a number of the text is below 10^{most}"
            raise self.fail(message, token)
        return int(digits)

    def string(self, token: Any, start: int = 0) -> str:
        """Inverse of ``show_string``; ``start`` is where its quotes begin in the token."""
        try:
            text = build_string(str(token)[start:])
        except ValueError as error:
            message = f"the text in quotes does not follow JSON: {error}"
            raise self.fail(message, token) from None
        if any("\ud800" <= item <= "\udfff" for item in text):
            raise self.fail("the text in quotes holds half of a surrogate pair", token)
        return text

    def file_name(self, token: Any) -> str:
        """A string that names a file."""
        text = self.string(token)
        if "\0" in text:
            raise self.fail("the name of a file holds a NUL character", token)
        return text

    def nodes(self, children: list[Any]) -> tuple[str, ...]:
        """Inverse of ``show_nodes``."""
        return tuple(self.string(token, start=1) for token in children)

    def nested(self, item: Any, parts: Iterable[Any], token: Any) -> Any:
        """The item, if it and what it consists of are not nested too deeply."""
        # Each object of these types has its entry since it was built, also where it took the
        # identity of one that is gone.
        inner = [self._depth[id(part)] for part in parts if isinstance(part, _NESTING)]
        depth = 1 + max(inner, default=0)
        if depth > DEEPEST:
            raise self.fail(f"this is nested more than {DEEPEST} deep", token)
        self._depth[id(item)] = depth
        return item

    # Expressions; ``expr.show`` is the inverse.

    def literal(self, children: Children) -> ex.Expr:
        """``12``."""
        (self._leaf,) = children
        return ex.Int(self.integer(self._leaf))

    def name(self, children: Children) -> ex.Expr:
        """``x``."""
        (token,) = children
        self._leaf = self._names[str(token)] = token
        return ex.Name(str(token))

    def signed_factor(self, children: Children) -> ex.Expr:
        """``-12`` is a literal, ``-x`` is ``0 - x``."""
        sign, value = children
        if sign == "+":
            return value
        if isinstance(value, ex.Int):
            return ex.Int(-value.value)
        return self.nested(ex.Binary("-", ex.Int(0), value), (value,), sign)

    def infix(self, children: Children) -> ex.Expr:
        """``a + b`` and the like."""
        left, operator, right = children
        return self.nested(ex.Binary(str(operator), left, right), (left, right), operator)

    def function(self, children: Children) -> ex.Expr:
        """``min(a, b)``."""
        operator, left, right = children
        return self.nested(ex.Binary(str(operator), left, right), (left, right), operator)

    def inner(self, children: Children) -> ex.Expr:
        """``(a)``."""
        return children[0]

    # Operands; ``show_operand`` is the inverse.

    def memory(self, children: Children) -> Mem:
        """``[address]``."""
        return Mem(children[0])

    def queue(self, children: Children) -> Queue:
        """``<color>``."""
        return Queue(str(children[0]))

    def held(self, children: Children) -> Queue:
        """``<color: n, k>``."""
        color, *dims = present(children)
        return Queue(str(color), tuple(map(str, dims)))

    def scalar(self, children: Children) -> Scalar:
        """``{expression}``."""
        return Scalar(children[0])

    def real(self, children: Children) -> Real:
        """``1.5``; every ``nan`` is the same object, so that programs with it are equal."""
        value = float(children[0])
        return Real(math.nan if math.isnan(value) else value)

    # Iteration spaces, layouts, switch positions.

    def dims(self, children: Children) -> tuple[Dim, ...]:
        """``i:n, j:m``."""
        return tuple(children)

    def dim(self, children: Children) -> Dim:
        """``i:n``."""
        return Dim(str(children[0]), children[1])

    def shape(self, children: Children) -> tuple[int, ...]:
        """``[384, 16]``."""
        return tuple(present(children))

    def layout(self, children: Children) -> tuple[Extent, ...]:
        """``[128 y:8, 384 x:24]``."""
        return tuple(present(children))

    def extent(self, children: Children) -> Extent:
        """``56 y:4 len 6 off -1``, or ``56 y:4 over 20``."""
        size, axis, step, length, offset, over = children
        return Extent(
            size,
            None if axis is None else str(axis),
            step or 0,
            -1 if length is None else length,
            offset or 0,
            over or 0,
        )

    def position(self, children: Children) -> Position:
        """``W -> RAMP, E``."""
        receive, *send = children
        return Position(Side(str(receive)), tuple(Side(str(side)) for side in send))

    def edge_name(self, children: Children) -> str:
        """``x`` or ``"onnx::MatMul_12"``."""
        (token,) = children
        return self.string(token) if token.startswith('"') else str(token)


def comma(parts: Iterable[str]) -> str:
    """Parts joined by commas."""
    return ", ".join(parts)
