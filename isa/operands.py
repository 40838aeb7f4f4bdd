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

from isa import expr as ex
from isa.program import (
    Asynchronous,
    Dim,
    Extent,
    Fabric,
    Location,
    Mem,
    Number,
    Operand,
    Position,
    Real,
    Scalar,
)
from isa.types import Side

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Children = list[Any]


def present(children: Children) -> Children:
    """The children without the places of optional parts that were left out."""
    return [child for child in children if child is not None]


def show_string(text: str) -> str:
    """A string in quotes, with JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def build_string(token: str) -> str:
    """Inverse of ``show_string``; raises ValueError for an unknown escape."""
    return json.loads(token)


def show_node(node: str) -> str:
    """The provenance mark at the end of a line, with a space before; empty without a node."""
    return f" @{show_string(node)}" if node else ""


def build_node(token: str | None) -> str:
    """Inverse of ``show_node``."""
    return "" if token is None else build_string(token[1:])


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


def build_number(token: str) -> int | float:
    """Inverse of ``show_number`` for one number."""
    return int(token) if token.isdecimal() else float(token)


def show_operand(operand: Operand) -> str:
    """One operand of a vector instruction, in its brackets."""
    if isinstance(operand, Mem):
        return f"[{ex.show(operand.address)}]"
    if isinstance(operand, Fabric):
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
    """One dimension of a tensor's layout: ``56 y:4 len 6 off -1``."""
    text = str(extent.size)
    if extent.axis:
        text += f" {extent.axis}:{extent.step}"
    if extent.length != (extent.step if extent.axis else extent.size):
        text += f" len {extent.length}"
    return text + (f" off {extent.offset}" if extent.offset else "")


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


def build_semaphore(token: str) -> int:
    """Inverse of ``show_semaphore``."""
    return int(token[1:])


class OperandBuilder:
    """Builds expressions, operands and the other small parts; one method a grammar rule."""

    def __init__(self, file: str) -> None:
        self.file = file

    def where(self, token: Any) -> Location:
        """The location of a token."""
        return Location(self.file, token.line, token.column)

    # Expressions; ``expr.show`` is the inverse.

    def literal(self, children: Children) -> ex.Expr:
        """``12``."""
        return ex.Int(int(children[0]))

    def name(self, children: Children) -> ex.Expr:
        """``x``."""
        return ex.Name(str(children[0]))

    def signed_factor(self, children: Children) -> ex.Expr:
        """``-12`` is a literal, ``-x`` is ``0 - x``."""
        sign, value = children
        if sign == "+":
            return value
        if isinstance(value, ex.Int):
            return ex.Int(-value.value)
        return ex.Binary("-", ex.Int(0), value)

    def infix(self, children: Children) -> ex.Expr:
        """``a + b`` and the like."""
        left, operator, right = children
        return ex.Binary(str(operator), left, right)

    def function(self, children: Children) -> ex.Expr:
        """``min(a, b)``."""
        operator, left, right = children
        return ex.Binary(str(operator), left, right)

    def inner(self, children: Children) -> ex.Expr:
        """``(a)``."""
        return children[0]

    # Operands; ``show_operand`` is the inverse.

    def memory(self, children: Children) -> Mem:
        """``[address]``."""
        return Mem(children[0])

    def queue(self, children: Children) -> Fabric:
        """``<color>``."""
        return Fabric(str(children[0]))

    def held(self, children: Children) -> Fabric:
        """``<color: n, k>``."""
        color, *dims = present(children)
        return Fabric(str(color), tuple(map(str, dims)))

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
        return tuple(int(child) for child in present(children))

    def layout(self, children: Children) -> tuple[Extent, ...]:
        """``[128 y:8, 384 x:24]``."""
        return tuple(present(children))

    def extent(self, children: Children) -> Extent:
        """``56 y:4 len 6 off -1``."""
        size, axis, step, length, offset = children
        return Extent(
            int(size),
            None if axis is None else str(axis),
            0 if step is None else int(step),
            -1 if length is None else int(length),
            0 if offset is None else offset,
        )

    def signed(self, children: Children) -> int:
        """``-1``."""
        return int("".join(children))

    def position(self, children: Children) -> Position:
        """``W -> RAMP, E``."""
        receive, *send = children
        return Position(Side(str(receive)), tuple(Side(str(side)) for side in send))

    def edge_name(self, children: Children) -> str:
        """``x`` or ``"onnx::MatMul_12"``."""
        token = str(children[0])
        return build_string(token) if token.startswith('"') else token


def comma(parts: Iterable[str]) -> str:
    """Parts joined by commas."""
    return ", ".join(parts)
