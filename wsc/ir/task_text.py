"""The text form of a placed program. ``parse_placed(print_placed(p))`` is ``p`` again.

A line for each edge tensor and each buffer; a block for each task, with a line for each of its
fields::

    buffer v_b : f32 size 8 at 400 @"fc"

    task map @"fc"
      body 0 = add.f32 $0 $1
      body 1 = max.f32 #0 0.0
      read inputs 0 = v_a : f32[1, 10 x:2] stride [4, 4]
      read inputs 1 = v_bias : f32[10 x:2] stride [4]
      write out = v_b : f32[1, 10 x:2] stride [4, 4]

The fields, what the task does with them and the types of what they hold are those that the class of
the task declares (``wsc.ir.tasks``): a new kind of task has a text. A field that holds its
default is left out. ``;;`` starts a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from lark import Token, Transformer, UnexpectedInput, v_args

from wsc.ir.graph import Index, Lit, MoveStep, Reduction, Step, Type
from wsc.ir.layout import Buffer, Mesh, View
from wsc.ir.tasks import TASKS, Placed, Role, Run, Steps, Task, roles
from wsc.ir.text import (
    BUILD,
    IRSyntaxError,
    parser,
    place_of,
    show_index,
    show_move,
    show_step,
    unexpected,
)
from wsc.isa.operands import IDENTIFIER, comma, show_extent, show_nodes, show_string
from wsc.isa.program import Cut, Drawn, EdgeTensor, Extent, Kind
from wsc.isa.types import DType

# What stands before the name of a field; facts and movements have no word.
_ROLE_WORDS = {
    Role.READ: "read ",
    Role.WRITE: "write ",
    Role.SCRATCH: "scratch ",
    Role.EDGE: "edge ",
}
_NONE, _EMPTY = "none", "[]"
_FIELD = re.compile(r" +(?:(?P<role>read|write|scratch|edge) )?(?P<name>\w+)(?: (?P<n>\d+))? = ")
_COMMENT = re.compile(r"\s*(;;.*)?")


# --- printing ----------------------------------------------------------------------


def print_placed(placed: Placed) -> str:
    """The whole placed program."""
    lines = [f"placed {show_string(placed.name)} {placed.mesh.width}x{placed.mesh.height}", ""]
    lines += map(show_tensor, placed.edge_tensors)
    lines.append("")
    lines += [_buffer(buffer, placed.addresses) for buffer in placed.buffers]
    layers = {run.start: run for run in placed.layers}
    for number, task in enumerate(placed.tasks):
        lines.append("")
        if number in layers:
            lines += [f"layers {layers[number].count} times {layers[number].period} tasks", ""]
        lines += _task(task)
    if placed.steps is not None:
        steps = placed.steps
        lines += ["", f"steps {steps.count} times tasks {steps.start} to {steps.end}"]
    return "\n".join(lines) + "\n"


def word_of(kind: type[Task]) -> str:
    """How a kind of task is called in the text: ``contract`` for ``ContractTask``."""
    return kind.__name__.removesuffix("Task").lower()


def _task(task: Task) -> Iterator[str]:
    yield f"task {word_of(type(task))}{show_nodes(task.origin)}"
    for name, value in shown_fields(task):
        yield f"  {name} = {value}"


def shown_fields(task: Task) -> Iterator[tuple[str, str]]:
    """The fields of a task that do not hold their default: what stands on each side of the
    equals sign of a line."""
    for entry in _fields(type(task)):
        value = getattr(task, entry.name)
        if entry.default is not MISSING and value == entry.default:
            continue
        head = f"{_ROLE_WORDS.get(entry.role, '')}{entry.name}"
        if value is None:
            yield head, _NONE
        elif not entry.several:
            yield head, entry.form.show(value)
        elif not value:
            yield head, _EMPTY
        else:
            for number, item in enumerate(value):
                yield f"{head} {number}", entry.form.show(item)


def _buffer(buffer: Buffer, addresses: dict[str, int]) -> str:
    at = addresses.get(buffer.name)
    place = "" if at is None else f" at {at}"
    text = f"buffer {_word(buffer.name)} : {buffer.dtype.value} size {buffer.bytes}{place}"
    return text + show_nodes(buffer.nodes)


def show_tensor(tensor: EdgeTensor) -> str:
    """The line of a tensor outside the fabric."""
    shape = ",".join(map(str, tensor.shape))
    text = f"{tensor.kind.value} {_word(tensor.name)} : {tensor.dtype.value}[{shape}]"
    for word, name in (("host", tensor.host_dtype), ("file", tensor.file), ("key", tensor.key)):
        text += f" {word} {show_string(name)}" if name else ""
    text += "" if tensor.byte_offset is None else f" at {tensor.byte_offset}"
    if tensor.drawn is not None:
        drawn = tensor.drawn
        text += f" drawn {drawn.seed} mean {drawn.mean!r} deviation {drawn.deviation!r}"
        text += f" from {drawn.first}"
        shape, order = (_listed([*map(str, item)]) for item in (drawn.shape, drawn.order))
        text += f" as {shape} by {order}" if drawn.order else ""
    text += f" cut {tensor.cut.axis} by {_word(tensor.cut.length)}" if tensor.cut else ""
    return text + (f" high {_word(tensor.high)}" if tensor.high else "")


def _word(name: str) -> str:
    """A name as it is, or in quotes where it is no identifier."""
    return name if IDENTIFIER.fullmatch(name) and name != _NONE else show_string(name)


def _listed(items: Sequence[str]) -> str:
    return f"[{comma(items)}]"


def _view(view: View) -> str:
    layout = _listed([*map(show_extent, view.extents)])
    strides = _listed([*map(str, view.strides)])
    return f"{_word(view.buffer)} : {view.dtype.value}{layout} stride {strides}"


# --- the fields of a task ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """The text of a type: the rule of the grammar that reads it, and what prints it."""

    rule: str
    show: Callable[[Any], str]


_FORMS: dict[Any, _Form] = {
    View: _Form("view", _view),
    str: _Form("word", _word),
    bool: _Form("flag", lambda value: "yes" if value else "no"),
    int: _Form("whole", str),
    float: _Form("real", repr),
    Reduction: _Form("kind", lambda value: value.value),
    Step: _Form("step", show_step),
    MoveStep: _Form("move", show_move),
    tuple[int, ...]: _Form("whole_numbers", lambda value: _listed([*map(str, value)])),
    tuple[str, ...]: _Form("words", lambda value: _listed([*map(_word, value)])),
    tuple[Index, ...]: _Form("index", show_index),
    tuple[tuple[str, int], ...]: _Form(
        "sizes", lambda value: _listed([f"{label}={size}" for label, size in value])
    ),
}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a kind of task. several: it holds a tuple, with a line for each of its items."""

    name: str
    role: Role
    form: _Form
    several: bool
    optional: bool
    default: Any


@cache
def _fields(kind: type[Task]) -> tuple[_Field, ...]:
    """The fields of a kind of task; its nodes stand in the head of the block.

    Raises:
        TypeError: a field holds something that has no text.
    """
    hints = get_type_hints(kind)
    found: list[_Field] = []
    for entry in fields(kind):
        role = roles(kind)[entry.name]
        if role is Role.NODES:
            continue
        hint, several, optional = hints[entry.name], False, False
        if hint not in _FORMS and NoneType in get_args(hint):
            rest = [part for part in get_args(hint) if part is not NoneType]
            hint, optional = rest[0], True
        if hint not in _FORMS and get_origin(hint) is tuple:
            hint, several = get_args(hint)[0], True
        if hint not in _FORMS:
            raise TypeError(f"field '{entry.name}' of {kind.__name__} holds what has no text")
        found.append(_Field(entry.name, role, _FORMS[hint], several, optional, entry.default))
    return tuple(found)


# --- parsing -----------------------------------------------------------------------


class _Wrong(ValueError):
    """What is wrong with a line that follows the grammar. line: another one, or 0."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def parse_placed(text: str, file: str = "") -> Placed:
    """The placed program that ``print_placed`` printed. file: its name in messages.

    Raises:
        IRSyntaxError: a line is not of the form, with its place.
    """
    lines, number, line, start = _Lines(), 1, "", 0
    try:
        for number, line in enumerate(text.split("\n"), 1):
            if _COMMENT.fullmatch(line):
                continue
            head = _FIELD.match(line)
            start = 0 if head is None else head.end()
            if head is None:
                lines.take(line, number)
            else:
                lines.take_field(head, line[start:])
        lines.close()
        return lines.placed()
    except UnexpectedInput as error:
        message, column = unexpected(error, line[start:]), start + place_of(error)[1]
        raise IRSyntaxError(message, text, file, number, column) from None
    except _Wrong as error:
        raise IRSyntaxError(str(error), text, file, error.line or number, 1) from None


@dataclass(slots=True)
class _Block:
    """The task whose fields are being read. line: that of its head."""

    kind: type[Task]
    origin: tuple[str, ...]
    line: int
    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def task(self) -> Task:
        """The task, when all of its fields are there."""
        for entry in _fields(self.kind):
            if entry.name not in self.values and entry.default is MISSING:
                raise _Wrong(f"the task has no '{entry.name}'", self.line)
        values = {
            name: tuple(item) if isinstance(item, list) else item
            for name, item in self.values.items()
        }
        return self.kind(**values, origin=self.origin)


@dataclass(slots=True)
class _Lines:
    """What the lines of a text have given so far."""

    head: tuple[str, Mesh] | None = None
    edge: list[EdgeTensor] = field(default_factory=list[EdgeTensor])
    buffers: list[Buffer] = field(default_factory=list[Buffer])
    addresses: dict[str, int] = field(default_factory=dict[str, int])
    tasks: list[Task] = field(default_factory=list[Task])
    layers: list[Run] = field(default_factory=list[Run])
    steps: Steps | None = None
    block: _Block | None = None

    def take(self, line: str, number: int) -> None:
        """Take a line that is no field of a task."""
        self.close()
        rule = _RULES.get(line.split(" ", 1)[0])
        if rule is None:
            raise _Wrong(f"{line.split(' ', 1)[0]!r} begins no line: {', '.join(_RULES)} do")
        if self.head is None and rule != "placed":
            raise _Wrong("the text does not begin with 'placed'")
        made = _parsed(rule, line)
        match rule:
            case "placed":
                self.head = made
            case "tensor":
                self.edge.append(made)
            case "buffer":
                buffer, at = made
                self.buffers.append(buffer)
                if at is not None:
                    self.addresses[buffer.name] = at
            case "layers":
                count, period = made
                self.layers.append(Run(len(self.tasks), period, count))
            case "steps":
                self.steps = made
            case _:
                word, origin = made
                kinds = {word_of(kind): kind for kind in TASKS.values()}
                if word not in kinds:
                    raise _Wrong(f"there is no task '{word}': {', '.join(kinds)}")
                self.block = _Block(kinds[word], origin, number)

    def take_field(self, head: re.Match[str], text: str) -> None:
        """Take a field of a task. head: its role, its name and, of several items, its place."""
        name, block = head["name"], self.block
        if block is None:
            raise _Wrong("a field stands below the 'task' that it belongs to")
        known = {entry.name: entry for entry in _fields(block.kind)}
        entry = known.get(name)
        if entry is None:
            raise _Wrong(
                f"task {word_of(block.kind)} has no field '{name}': it has {', '.join(known)}"
            )
        role = _ROLE_WORDS.get(entry.role, "").strip()
        if (head["role"] or "") != role:
            raise _Wrong(f"'{name}' is written as '{f'{role} {name}'.strip()} = ...' here")
        if head["n"] is not None:
            items = block.values.setdefault(name, [])
            if not entry.several or not isinstance(items, list) or len(items) != int(head["n"]):
                raise _Wrong(f"'{name} {head['n']}' is not the next item of '{name}'")
            items.append(_parsed(entry.form.rule, text))
            return
        if name in block.values:
            raise _Wrong(f"'{name}' is there twice")
        if entry.optional and text.strip() == _NONE:
            block.values[name] = None
        elif entry.several:
            if text.strip() != _EMPTY:
                raise _Wrong(f"'{name}' has items: '{name} 0 = ...', or '{name} = {_EMPTY}'")
            block.values[name] = ()
        else:
            block.values[name] = _parsed(entry.form.rule, text)

    def close(self) -> None:
        """Make the task whose fields were read."""
        if self.block is not None:
            self.tasks.append(self.block.task())
            self.block = None

    def placed(self) -> Placed:
        """The whole program."""
        if self.head is None:
            raise _Wrong("the text does not begin with 'placed'", 1)
        name, mesh = self.head
        tasks, layers = tuple(self.tasks), tuple(self.layers)
        edge, buffers = tuple(self.edge), tuple(self.buffers)
        return Placed(name, mesh, edge, buffers, tasks, layers, self.addresses, self.steps)


# The rule of a line by its first word.
_RULES = {
    "placed": "placed",
    "input": "tensor",
    "output": "tensor",
    "weight": "tensor",
    "kept": "tensor",
    "buffer": "buffer",
    "layers": "layers",
    "steps": "steps",
    "task": "task",
}
_STARTS = (*dict.fromkeys([*_RULES.values(), *(form.rule for form in _FORMS.values())]),)


@cache
def _parsed(rule: str, text: str) -> Any:
    """What a line, or the value of a field, says. Tasks share most of their views."""
    return _PARTS.transform(parser(_STARTS).parse(text, start=rule))


@v_args(inline=True)
class _Parts(Transformer[Token, Any]):
    """Tree to the parts of a placed program, where those of graphs are made already."""

    def placed(self, name: str, mesh: Token) -> tuple[str, Mesh]:
        width, height = map(int, mesh.split("x"))
        return name, Mesh(width, height)

    def tensor(
        self,
        kind: Token,
        name: str,
        type_: Type,
        host: str | None,
        file: str | None,
        key: str | None,
        at: int | None,
        drawn: Drawn | None,
        axis: int | None,
        length: str | None,
        high: str | None,
    ) -> EdgeTensor:
        cut = None if axis is None or length is None else Cut(axis, length)
        return EdgeTensor(
            name,
            Kind(str(kind)),
            type_.dtype,
            type_.shape,
            host or "",
            file or "",
            key or "",
            at,
            drawn,
            cut,
            high or "",
        )

    def drawn(
        self,
        seed: int,
        mean: Lit,
        deviation: Lit,
        first: int,
        shape: tuple[int, ...] | None,
        order: tuple[int, ...] | None,
    ) -> Drawn:
        return Drawn(
            seed, float(mean.value), float(deviation.value), first, shape or (), order or ()
        )

    def buffer(
        self, name: str, dtype: Token, size: int, at: int | None, nodes: tuple[str, ...]
    ) -> tuple[Buffer, int | None]:
        return Buffer(name, DType(str(dtype)), size, nodes), at

    def task(self, word: Token, nodes: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        return str(word), nodes

    def layers(self, count: int, period: int) -> tuple[int, int]:
        return count, period

    def steps(self, count: int, start: int, end: int) -> Steps:
        return Steps(start, end, count)

    def nodes(self, *names: str) -> tuple[str, ...]:
        return names

    def view(
        self, name: str, dtype: Token, extents: tuple[Extent, ...], strides: tuple[int, ...]
    ) -> View:
        return View(name, DType(str(dtype)), extents, strides)

    def layout(self, *extents: Extent | None) -> tuple[Extent, ...]:
        return tuple(extent for extent in extents if extent is not None)

    def extent(
        self,
        size: int,
        axis: Token | None,
        step: int,
        length: int | None,
        offset: int | None,
        over: int | None,
    ) -> Extent:
        at, long = None if axis is None else str(axis), -1 if length is None else length
        return Extent(size, at, step or 0, long, offset or 0, over or 0)

    def whole_numbers(self, *items: int | None) -> tuple[int, ...]:
        return tuple(item for item in items if item is not None)

    def words(self, *items: str | None) -> tuple[str, ...]:
        return tuple(item for item in items if item is not None)

    def sizes(self, *items: tuple[str, int] | None) -> tuple[tuple[str, int], ...]:
        return tuple(item for item in items if item is not None)

    def word(self, text: str) -> str:
        return str(text)

    def whole(self, value: int) -> int:
        return value

    def real(self, value: Lit) -> float | int:
        return value.value

    def flag(self, token: Token) -> bool:
        return token == "yes"

    def kind(self, token: Token) -> Reduction:
        return Reduction(str(token))


_PARTS = BUILD * _Parts()
