"""The text form of a graph. ``parse_graph(print_graph(g), constants)`` is ``g`` again.

One line a node: ``%h = map(%a, %b) { add.f32 $0 $1; max.f32 #0 0.0 } : f32[1,128]  // "/Add"``.
In a map ``$0`` is an input and ``#0`` the result of a step. What stands in quotes
behind ``//`` are the ONNX nodes that caused the line. ``;;`` starts a comment. Values
of constants are not part of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from wsc.ir.check import IRError, check_node, check_output
from wsc.ir.graph import (
    Arg,
    Concat,
    Constant,
    Contract,
    Expand,
    Gather,
    Graph,
    GraphInput,
    GraphOutput,
    Index,
    Keep,
    Lit,
    Map,
    Move,
    MoveStep,
    Node,
    Pad,
    Primitive,
    Reduce,
    Reduction,
    Ref,
    Reshape,
    Scatter,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.isa.diagnostics import Diagnostic
from wsc.isa.program import Location
from wsc.isa.types import DType

GRAPH = ("start",)  # where a text of the grammar begins
_BARE = re.compile(r"[A-Za-z0-9_./:~\-]*[A-Za-z0-9_./~\-]")


class IRSyntaxError(IRError):
    """Text that is no IR; the message shows file, line, column, the line and a caret."""

    def __init__(self, message: str, text: str, file: str, line: int, column: int) -> None:
        self.line, self.column = line, column
        lines = text.split("\n")
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        place = Location(file or "<text>", line, column)
        super().__init__(Diagnostic(message, place, shown).render())


# --- printing ----------------------------------------------------------------------


def print_graph(graph: Graph) -> str:
    """The graph as text that ``parse_graph`` reads back."""
    lines = [f"graph {_quote(graph.name)}"]
    for item in graph.inputs:
        lines.append(
            f"input {_value(item.name)} : {_type(item.type)} from {_quote(item.host_dtype)}"
            + (f" high {_value(item.high)}" if item.high else "")
        )
    for item in graph.constants:
        word = "state" if item.state else "const"
        lines.append(f"{word} {_value(item.name)} : {_type(item.type)}")
    lines += [_node(node) for node in graph.nodes]
    lines += [
        f"output {_quote(item.name)} = {_value(item.value)} as {_quote(item.host_dtype)}"
        + (f" high {_value(item.high)}" if item.high else "")
        + (f" cut {item.length[0]} by {_value(item.length[1])}" if item.length else "")
        for item in graph.outputs
    ]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(name: str) -> str:
    return f"%{name}" if _BARE.fullmatch(name) else f"%{_quote(name)}"


def _type(type_: Type) -> str:
    return f"{type_.dtype.value}[{_numbers(type_.shape)}]"


def _numbers(items: Sequence[int]) -> str:
    return ",".join(map(str, items))


def _node(node: Node) -> str:
    name = "" if node.name == node.output else f" @{_quote(node.name)}"
    origin = "".join(f" {_quote(item)}" for item in node.origin)
    return (
        f"{_value(node.output)} = {show_operation(node.op, node.inputs)} : {_type(node.type)}"
        f"{name}{'  //' + origin if origin else ''}"
    )


def show_operation(op: Primitive, inputs: Sequence[str]) -> str:
    """What a node does with which values: ``contract(%a, %b) [m, k] [k, n] -> [m, n] ...``."""
    values = f"({', '.join(map(_value, inputs))})"
    match op:
        case Map(body):
            return f"map{values} {{ {'; '.join(map(show_step, body))} }}"
        case Reduce(kind, index, out, extents, wide, still):
            suffix = (".wide" if wide else "") + (".still" if still else "")
            labels = _labels(out, extents)
            return f"reduce.{kind.value}{suffix}{values} {show_index(index)} -> {labels}"
        case Contract(index_a, index_b, out, extents):
            indices = f"{show_index(index_a)} {show_index(index_b)}"
            return f"contract{values} {indices} -> {_labels(out, extents)}"
        case Move(steps):
            return " ".join([f"move{values}", *map(show_move, steps)])
        case Concat(axis):
            return f"concat{values} axis {axis}"
        case Gather(axis):
            return f"gather{values} axis {axis}"
        case Scatter(axis, kind, skips, zeros):
            suffix = ("." + kind.value if kind else "") + (".skip" if skips else "")
            size = "" if zeros is None else f" zeros {zeros}"
            return f"scatter{suffix}{values} axis {axis}{size}"
        case Keep():
            return f"keep{values}"


def show_step(step: Step) -> str:
    """One step of a map: ``add.f32 $0 #1``."""
    return " ".join([f"{step.op}.{step.dtype.value}", *map(_arg, step.args)])


def _arg(arg: Arg | Ref | Lit) -> str:
    match arg:
        case Arg(number):
            return f"${number}"
        case Ref(number):
            return f"#{number}"
        case Lit(value):
            return repr(value)


def show_index(index: Sequence[Index]) -> str:
    """The index of each dimension of an operand: ``[n, 2*oh+kh-1]``."""
    return f"[{', '.join(map(_position, index))}]"


def _position(index: Index) -> str:
    """``2*oh+kh-1``; a position without labels is its number."""
    text = ""
    for label, coefficient in index.terms:
        factor = "" if abs(coefficient) == 1 else f"{abs(coefficient)}*"
        text += f"{'-' if coefficient < 0 else '+'}{factor}{label}"
    if index.offset or not text:
        text += f"{index.offset:+d}"
    return text.removeprefix("+")


def _labels(out: Sequence[str], extents: Sequence[tuple[str, int]]) -> str:
    sizes = "".join(f" {label}={size}" for label, size in extents)
    return f"[{', '.join(label or '_' for label in out)}]{' where' + sizes if sizes else ''}"


def show_move(step: MoveStep) -> str:
    """One step of a movement: ``reshape[2,3]``."""
    match step:
        case Reshape(shape):
            return f"reshape[{_numbers(shape)}]"
        case Transpose(perm):
            return f"transpose[{_numbers(perm)}]"
        case Expand(shape):
            return f"expand[{_numbers(shape)}]"
        case Slice(starts, sizes, steps):
            parts = zip(starts, sizes, steps, strict=True)
            return f"slice[{', '.join(f'{a}:{n}:{by}' for a, n, by in parts)}]"
        case Pad(low, high, value):
            parts = zip(low, high, strict=True)
            return f"pad[{', '.join(f'{a}:{b}' for a, b in parts)}]={value!r}"


# --- parsing -----------------------------------------------------------------------


def parse_graph(
    text: str, constants: Mapping[str, Constant] | None = None, file: str = "", check: bool = True
) -> Graph:
    """The graph that ``text`` describes, checked line by line (unless told not to).

    constants: name -> constant whose values and source are attached again; the load of
    any other constant raises LookupError. file: name for messages. Raises
    IRSyntaxError at the first line that is wrong.
    """
    try:
        tree = parser(GRAPH).parse(text if text.endswith("\n") else text + "\n")
    except UnexpectedInput as error:
        raise IRSyntaxError(unexpected(error, text), text, file, *place_of(error)) from None
    name, *lines = BUILD.transform(tree)
    constants = constants or {}
    graph = Graph(
        name,
        tuple(item for item, _ in lines if isinstance(item, GraphInput)),
        tuple(item for item, _ in lines if isinstance(item, GraphOutput)),
        tuple(_attached(item, constants) for item, _ in lines if isinstance(item, Constant)),
        tuple(item for item, _ in lines if isinstance(item, Node)),
    )
    if check:
        _check(lines, text, file)
    return graph


@cache
def parser(starts: tuple[str, ...]) -> Lark:
    """The parser of the rules of the grammar in which a text may begin."""
    grammar = files("wsc.ir").joinpath("graph.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True, start=list(starts))


def unexpected(error: UnexpectedInput, text: str) -> str:
    """What does not follow the grammar, in words."""
    found = getattr(error, "token", None)
    if found is not None and found.type == "$END":
        return "the text ends too early"
    if found is not None and found.type == "_NL":
        return "the line ends too early"
    line, column = place_of(error)
    word = re.match(r"[%$#@]?[\w.]+|.|$", text.split("\n")[line - 1][column - 1 :])
    return f"unexpected {word[0] if word else ''!r}"


def place_of(error: UnexpectedInput) -> tuple[int, int]:
    """The line and the column of what does not follow the grammar."""
    return max(error.line, 1), max(error.column, 1)


def _attached(constant: Constant, known: Mapping[str, Constant]) -> Constant:
    found = known.get(constant.name)
    if found is None:
        return constant
    return replace(constant, load=found.load, source=found.source)


def _check(lines: Sequence[tuple[Any, Token]], text: str, file: str) -> None:
    types: dict[str, Type] = {}
    names: set[str] = set()
    for item, token in lines:
        try:
            match item:
                case Node():
                    if item.name in names:
                        raise IRError(f"two nodes are called {item.name!r}")
                    names.add(item.name)
                    check_node(item, types)
                    name, type_ = item.output, item.type
                case GraphOutput():
                    check_output(item, types)
                    continue
                case _:
                    name, type_ = item.name, item.type
            if name in types:
                raise IRError(f"value {name!r} is defined twice")
            types[name] = type_
        except IRError as error:
            place = (token.line or 1, token.column or 1)
            raise IRSyntaxError(str(error), text, file, *place) from None


def _missing(name: str) -> Any:
    def load() -> np.ndarray:
        raise LookupError(f"the values of constant {name!r} are not part of the text")

    return load


def _position_of(parts: Sequence[tuple[str, int]]) -> Index:
    terms = tuple((label, number) for label, number in parts if label)
    return Index(terms, sum(number for label, number in parts if not label))


@v_args(inline=True)
class _Build(Transformer[Token, Any]):
    """Tree to objects; lines come with the token that they start at."""

    def STRING(self, token: Token) -> str:  # noqa: N802
        return json.loads(token)

    def INT(self, token: Token) -> int:  # noqa: N802
        return int(token)

    SIGNED = INT

    def NUMBER(self, token: Token) -> Lit:  # noqa: N802
        return Lit(int(token) if re.fullmatch(r"[+-]?\d+", token) else float(token))

    def value(self, token: Token) -> Token:
        quoted = token.type == "QUOTED"
        return token.update(value=json.loads(token[1:]) if quoted else str(token[1:]))

    def start(self, name: str, *lines: Any) -> list[Any]:
        return [name, *lines]

    def input(self, value: Token, type_: Type, host: str, high: Token | None) -> tuple[Any, Token]:
        return GraphInput(str(value), type_, host, "" if high is None else str(high)), value

    def const(self, value: Token, type_: Type) -> tuple[Any, Token]:
        return Constant(str(value), type_, _missing(str(value))), value

    def state(self, value: Token, type_: Type) -> tuple[Any, Token]:
        return Constant(str(value), type_, _missing(str(value)), state=True), value

    def node(
        self,
        value: Token,
        operation: tuple[Primitive, tuple[str, ...]],
        type_: Type,
        name: str | None,
        origin: tuple[str, ...],
    ) -> tuple[Any, Token]:
        op, inputs = operation
        output = str(value)
        return Node(output if name is None else name, op, inputs, output, type_, origin), value

    def output(
        self,
        name: str,
        value: Token,
        host: str,
        high: Token | None,
        axis: int | None,
        length: Token | None,
    ) -> tuple[Any, Token]:
        cut = None if axis is None else (axis, str(length))
        return GraphOutput(name, str(value), host, cut, "" if high is None else str(high)), value

    def named(self, name: str) -> str:
        return name

    def origin(self, *names: str | None) -> tuple[str, ...]:
        return tuple(name for name in names if name is not None)

    def type(self, dtype: Token, shape: tuple[int, ...]) -> Type:
        return Type(DType(str(dtype)), shape)

    def numbers(self, *items: int | None) -> tuple[int, ...]:
        return tuple(item for item in items if item is not None)

    def inputs(self, *values: Token | None) -> tuple[str, ...]:
        return tuple(str(value) for value in values if value is not None)

    def map(self, inputs: tuple[str, ...], *steps: Step) -> tuple[Any, ...]:
        return Map(steps), inputs

    def step(self, op: Token, *args: Arg | Ref | Lit) -> Step:
        name, _, dtype = op.rpartition(".")
        return Step(name, DType(dtype), args)

    def arg(self, number: int) -> Arg:
        return Arg(number)

    def ref(self, number: int) -> Ref:
        return Ref(number)

    def lit(self, value: Lit) -> Lit:
        return value

    def reduce(
        self,
        word: Token,
        inputs: tuple[str, ...],
        index: tuple[Index, ...],
        out: tuple[str, ...],
        extents: tuple[tuple[str, int], ...],
    ) -> tuple[Any, ...]:
        _, kind, *words = word.split(".")
        return Reduce(
            Reduction(kind), index, out, extents, "wide" in words, "still" in words
        ), inputs

    def contract(
        self,
        inputs: tuple[str, ...],
        index_a: tuple[Index, ...],
        index_b: tuple[Index, ...],
        out: tuple[str, ...],
        extents: tuple[tuple[str, int], ...],
    ) -> tuple[Any, ...]:
        return Contract(index_a, index_b, out, extents), inputs

    def move(self, inputs: tuple[str, ...], *steps: MoveStep) -> tuple[Any, ...]:
        return Move(steps), inputs

    def concat(self, inputs: tuple[str, ...], axis: int) -> tuple[Any, ...]:
        return Concat(axis), inputs

    def gather(self, inputs: tuple[str, ...], axis: int) -> tuple[Any, ...]:
        return Gather(axis), inputs

    def scatter(
        self, name: Token, inputs: tuple[str, ...], axis: int, zeros: int | None = None
    ) -> tuple[Any, ...]:
        _, *words = name.split(".")
        skips = "skip" in words
        kind = next((Reduction(word) for word in words if word != "skip"), None)
        return Scatter(axis, kind, skips, zeros), inputs

    def keep(self, inputs: tuple[str, ...]) -> tuple[Any, ...]:
        return Keep(), inputs

    def index(self, *positions: Index | None) -> tuple[Index, ...]:
        return tuple(position for position in positions if position is not None)

    def position(self, *parts: tuple[str, int]) -> Index:
        return _position_of(parts)

    def part(self, sign: Token | None, *rest: int | Token) -> tuple[str, int]:
        factor = -1 if sign == "-" else 1
        if len(rest) == 2:
            return str(rest[1]), factor * int(rest[0])
        only = rest[0]
        return ("", factor * only) if isinstance(only, int) else (str(only), factor)

    def labels(self, *labels: Token | None) -> tuple[str, ...]:
        return tuple("" if x == "_" else str(x) for x in labels if x is not None)

    def where(self, *extents: tuple[str, int] | None) -> tuple[tuple[str, int], ...]:
        return tuple(extent for extent in extents if extent is not None)

    def size(self, label: Token, size: int) -> tuple[str, int]:
        return str(label), size

    def reshape(self, shape: tuple[int, ...]) -> Reshape:
        return Reshape(shape)

    def transpose(self, perm: tuple[int, ...]) -> Transpose:
        return Transpose(perm)

    def expand(self, shape: tuple[int, ...]) -> Expand:
        return Expand(shape)

    def slice(self, *parts: tuple[int, int, int] | None) -> Slice:
        kept = [part for part in parts if part is not None]
        return Slice(*(tuple(part[i] for part in kept) for i in range(3)))

    def range(self, start: int, size: int, step: int) -> tuple[int, int, int]:
        return start, size, step

    def pad(self, *parts: Any) -> Pad:
        *borders, value = parts
        kept = [border for border in borders if border is not None]
        return Pad(tuple(low for low, _ in kept), tuple(high for _, high in kept), value.value)

    def border(self, low: int, high: int) -> tuple[int, int]:
        return low, high


BUILD: Transformer[Token, Any] = _Build()
"""What makes objects of a tree, of a whole graph or of a part of one."""
