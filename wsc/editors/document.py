"""What an editor asks of an assembly text: names and where they are, hover, completion, rename.

It knows nothing of any protocol: lines and columns count from 1, and ``wsc.editors.server`` gives
them to editors. A text with mistakes still has names, as far as its lines can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wsc.editors.words import words
from wsc.isa.diagnostics import AssemblyError, Diagnostic
from wsc.isa.expr import FUNCTIONS, RESERVED
from wsc.isa.fabric import Fabric, FabricError
from wsc.isa.machine import machine_of
from wsc.isa.operands import IDENTIFIER, build_string, show_edge_name
from wsc.isa.parser import parse
from wsc.isa.program import Location, Program
from wsc.isa.shown import named
from wsc.isa.table import BY_NAME, Category, Instr
from wsc.isa.tokens import TextLine, Token, text_lines
from wsc.isa.types import DType
from wsc.isa.verifier import doubts, verify

# What names are of. A local is a parameter, a register, or an iteration name of one line.
COLOR, REGION, PROCEDURE = "color", "region", "procedure"
TENSOR, EDGE, CONSTANT, LOCAL = "tensor", "edge tensor", "constant", "local"

_DEFINED = {
    "_CONST": CONSTANT,
    "_COLOR": COLOR,
    "VALUE": EDGE,
    "_WEIGHT": EDGE,
    "KEPT": EDGE,
    "_TENSOR": TENSOR,
    "_REGION": REGION,
    "_PROC": PROCEDURE,
}
_OUTSIDE = (*_DEFINED, "_ROUTE", "_MAIN")  # what begins these lines is in no block
_USED = {"_ROUTE": COLOR, "TRANSFER": COLOR, "_MAIN": REGION, "CALL": PROCEDURE}
_BEFORE = {"_IN": REGION, "_FROM": EDGE, "_HIGH": EDGE, "LESSTHAN": COLOR}
_OPERATIONS = ("SCALAR_OP", "LOAD_OP", "STORE_OP", "VECTOR_OP", "SEND_OP", "CONTROL_OP")
_COORDINATES = {
    "x": "the column of the tile in its region, from 0 in the west",
    "y": "the row of the tile in its region, from 0 in the north",
    "W": "the columns of the region",
    "H": "the rows of the region",
}


@dataclass(frozen=True, slots=True)
class Name:
    """A name at one place. scope: of a local, its procedure or main, or its line."""

    token: Token
    name: str
    space: str
    scope: str = ""
    defines: bool = False

    @property
    def entity(self) -> tuple[str, str, str]:
        """What all places of one thing share."""
        return self.space, self.scope, self.name


class RenameError(ValueError):
    """A name that cannot be given; one sentence."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A word that may stand somewhere. detail: a few words on it."""

    word: str
    kind: str
    detail: str = ""


class Document:
    """One text, as it is now."""

    def __init__(self, text: str, file: str = "<text>") -> None:
        self.text, self.file = text, file

    @cached_property
    def lines(self) -> list[TextLine]:
        """The words of each line."""
        return text_lines(self.text, tolerant=True)

    @cached_property
    def names(self) -> list[Name]:
        """Every name, in the order of the text."""
        return list(_names(self.lines))

    @cached_property
    def checked(self) -> tuple[Program | None, Fabric | None, list[Diagnostic]]:
        """The program and its machine, if there are such, and what is wrong."""
        program: Program | None = None
        try:
            program = parse(self.text, self.file)
            folder = Path(self.file).parent
            fabric = machine_of(program, folder).sized(program.width, program.height)
        except AssemblyError as error:
            return program, None, list(error.diagnostics)
        except FabricError as error:
            place = next((line for line in self.lines if _first(line) == "FABRIC"), None)
            where = Location(self.file, place.number if place else 1, 1)
            return program, None, [Diagnostic(str(error), where, width=len("fabric"))]
        try:
            verify(program, fabric, self.text)
        except AssemblyError as error:
            return program, fabric, list(error.diagnostics)
        return program, fabric, []

    @cached_property
    def doubted(self) -> list[Diagnostic]:
        """What a program without a mistake does, and what most likely was not meant."""
        program, fabric, found = self.checked
        if program is None or fabric is None or found:
            return []
        return doubts(program, fabric, self.text)

    # --- names --------------------------------------------------------------------

    def name_at(self, line: int, column: int) -> Name | None:
        """The name at a place."""
        for name in self.names:
            if name.token.line == line and name.token.column <= column <= name.token.end:
                return name
        return None

    def places(self, name: Name) -> list[Name]:
        """All places of the thing that a name is of."""
        return [other for other in self.names if other.entity == name.entity]

    def definition(self, name: Name) -> Name | None:
        """Where it is defined: a register where it is set first."""
        return next((other for other in self.places(name) if other.defines), None)

    def rename(self, name: Name, new: str) -> list[tuple[Token, str]]:
        """The words to replace, and by what.

        Raises:
            RenameError: the new name is none, or is taken.
        """
        text = new
        if name.space == EDGE:
            text = show_edge_name(new)
        elif not IDENTIFIER.fullmatch(new):
            raise RenameError(f"'{new}' is no name: letters, digits and _, no digit first")
        elif new in RESERVED or new in FUNCTIONS:
            raise RenameError(f"'{new}' is a word of the assembly")
        mark = f"{{{name.name}}}"  # a turn of a loop in the names of what is another in each turn
        for line in self.lines if name.space == LOCAL else ():
            if any(mark in token.text for token in line.tokens if token.kind in ("STRING", "NODE")):
                raise RenameError(f"'{name.name}' is part of a name in line {line.number}: {mark}")
        for other in self.names:
            if other.name == new and other.entity != name.entity and self._meet(name, other):
                raise RenameError(f"'{new}' is a {other.space} in line {other.token.line} already")
        return [(other.token, text) for other in self.places(name)]

    def _meet(self, one: Name, other: Name) -> bool:
        """Whether two things may not have one name: some place would then mean the other."""
        if one.space == other.space == LOCAL:
            return one.scope in self._around(other) or other.scope in self._around(one)
        expressions = (TENSOR, CONSTANT, LOCAL)
        return one.space == other.space or (one.space in expressions and other.space in expressions)

    def _around(self, name: Name) -> tuple[str, ...]:
        """The scope of a local, and for that of a line the procedure or main around it."""
        line = name.scope.removeprefix("line ")
        if line == name.scope:
            return (name.scope,)
        return (name.scope, _scope_at(self.lines, int(line)))

    # --- words --------------------------------------------------------------------

    def hover(self, line: int, column: int) -> str:
        """What is at a place, as Markdown; empty if there is nothing to say."""
        token = next(
            (
                token
                for row in self.lines[line - 1 : line]  # none beyond the end: the text was longer
                for token in row.tokens
                if token.column <= column <= token.end
            ),
            None,
        )
        if token is None:
            return ""
        if token.kind.endswith("_OP"):
            return _instruction(token.text, self.checked[1])
        if token.kind == "KEY":
            return _number(token.text, self.checked[1])
        name = self.name_at(line, column)
        if name is None:
            return _COORDINATES.get(token.text, "")
        return self._told(name)

    def _told(self, name: Name) -> str:
        """The declaration of a name, and what the line does not say."""
        definition = self.definition(name)
        if definition is None:
            return ""
        number = definition.token.line
        shown = self.text.split("\n")[number - 1].strip()
        parts = [f"```wsa\n{shown}\n```"]
        if name.space == PROCEDURE:
            for line in self.lines[number:]:
                if line.tokens or not line.comment:
                    break
                parts.append(line.comment.lstrip("; "))
        program = self.checked[0]
        if name.space == TENSOR and program is not None:
            parts += [_place(program, name.name)]
        if name.space == COLOR:
            routes = [line for line in self.lines if _first(line) == "_ROUTE"]
            mine = [line for line in routes if name.name in [t.text for t in line.tokens[1:2]]]
            shown = "\n".join(self.text.split("\n")[line.number - 1].strip() for line in mine)
            parts += [f"```wsa\n{shown}\n```"] if mine else []
        return "\n\n".join(part for part in parts if part)

    def proposals(self, line: int, column: int) -> list[Proposal]:
        """The words that may stand at a place, where the one before it says which."""
        row = (self.text.split("\n")[line - 1 : line] or [""])[0]  # empty beyond the end
        before = row[: column - 1]
        stem = before.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")
        last = (stem.split() or [""])[-1]
        if not stem.strip():
            known = words()
            rows = [(word, BY_NAME[_row(word)]) for word in known.mnemonics]
            return [
                *(Proposal(word, "keyword") for word in (*known.code, *known.declarations)),
                *(Proposal(word, "instruction", row.doc) for word, row in rows),
            ]
        if stem.endswith("<") or last in ("route", "feed", "drain"):
            return self._known(COLOR)
        wanted = {"call": PROCEDURE, "in": REGION, "main": REGION, "from": EDGE}.get(last)
        if wanted:
            return self._known(wanted)
        scope = _scope_at(self.lines, line)
        inside = {name.name for name in self.names if name.space == LOCAL and name.scope == scope}
        return [
            *(Proposal(name, LOCAL) for name in sorted(inside)),
            *self._known(TENSOR),
            *self._known(CONSTANT),
            *(Proposal(word, "coordinate", text) for word, text in _COORDINATES.items()),
            *(Proposal(word, "function") for word in FUNCTIONS),
        ]

    def _known(self, space: str) -> list[Proposal]:
        found = {name.name: name for name in self.names if name.space == space and name.defines}
        lines = self.text.split("\n")
        return [
            Proposal(name, space, lines[item.token.line - 1].strip())
            for name, item in found.items()
        ]

    def outline(self) -> Iterator[tuple[Name, int]]:
        """Regions, tensors, colors, procedures and mains, each with the last line that it takes."""
        ends = dict(_blocks(self.lines))
        for name in self.names:
            top = name.defines and name.space not in (LOCAL, CONSTANT)
            if top or (name.space == REGION and _first(self.lines[name.token.line - 1]) == "_MAIN"):
                yield name, ends.get(name.token.line, name.token.line)


# --- names ------------------------------------------------------------------------


def _first(line: TextLine) -> str:
    return line.tokens[0].kind if line.tokens else ""


def _blocks(lines: Sequence[TextLine]) -> Iterator[tuple[int, int]]:
    """First and last line of each procedure and main."""
    depth, opened = 0, 0
    for line in lines:
        first = _first(line)
        if first in ("_PROC", "_MAIN"):
            depth, opened = 1, line.number
        elif first in ("LOOP", "IF"):
            depth += 1
        elif first == "_END" and depth:
            depth -= 1
            if not depth:
                yield opened, line.number


def _scopes(lines: Sequence[TextLine]) -> list[str]:
    """The procedure, main, or rounds of the edge that each line is in; empty outside."""
    found: list[str] = []
    scope, depth = "", 0
    for line in lines:
        first = _first(line)
        if first in _OUTSIDE:  # also if a line that would end a block is missing
            depth = 0
        if not depth:
            scope = ""
            if first in ("_PROC", "_MAIN") and len(line.tokens) > 1:
                scope = ("proc " if first == "_PROC" else "main ") + line.tokens[1].text
            elif first == "LOOP":
                scope = f"loop {line.number}"
        found.append(scope)
        if first in ("_PROC", "_MAIN", "LOOP", "IF"):
            depth += 1
        elif first == "_END":
            depth = max(depth - 1, 0)
    return found


def _scope_at(lines: Sequence[TextLine], number: int) -> str:
    return _scopes(lines)[number - 1]


def _names(lines: Sequence[TextLine]) -> Iterator[Name]:
    """The names of a text: first what each line says by itself, then those in expressions."""
    scopes = _scopes(lines)
    plain = [list(_of_line(line, scope)) for line, scope in zip(lines, scopes, strict=True)]
    every = [name for names in plain for name, _ in names if name is not None]
    globals_ = {n.name: n.space for n in every if n.defines and n.space in (TENSOR, CONSTANT)}
    inside = {(n.scope, n.name) for n in every if n.space == LOCAL}
    for names, scope in zip(plain, scopes, strict=True):
        for known, token in names:
            if known is not None:
                yield known
                continue
            places = (f"line {token.line}", scope)
            near = [place for place in places if (place, token.text) in inside]
            if near:  # an iteration name of this line hides a register
                yield Name(token, token.text, LOCAL, near[0])
            elif token.text in globals_:
                yield Name(token, token.text, globals_[token.text])


def _of_line(line: TextLine, scope: str) -> Iterator[tuple[Name | None, Token]]:
    """Each name of a line: what it is, or None for one in an expression."""
    tokens = line.tokens
    if _first(line) == "UPDATE":
        yield from _of_update(tokens)
        return
    for place, token in enumerate(tokens):
        if token.kind == "NAME" or (token.kind == "STRING" and _is_edge(tokens, place)):
            yield _role(tokens, place, scope), token


def _of_update(tokens: Sequence[Token]) -> Iterator[tuple[Name, Token]]:
    """The weight, the gradient and the state of an update; the rest are the optimizer's words."""
    others = next((n for n, token in enumerate(tokens) if token.kind == "_WITH"), len(tokens))
    for place, token in enumerate(tokens):
        stands = place == 1 or place > others or tokens[place - 1].kind == "_FROM"
        if stands and token.kind in ("NAME", "STRING"):
            name = build_string(token.text) if token.kind == "STRING" else token.text
            yield Name(token, name, EDGE), token


def _is_edge(tokens: Sequence[Token], place: int) -> bool:
    """Whether a text in quotes is the name of an edge tensor."""
    before = tokens[place - 1].kind if place else ""
    return before in ("VALUE", "_WEIGHT", "KEPT", "_FROM", "_HIGH") or _is_length(tokens, place)


def _is_length(tokens: Sequence[Token], place: int) -> bool:
    """Behind ``cut AXIS by``."""
    return tokens[0].kind == "VALUE" and tokens[place - 1].kind == "_BY"


def _role(tokens: Sequence[Token], place: int, scope: str) -> Name | None:
    first, token = tokens[0].kind, tokens[place]
    before = tokens[place - 1].kind if place else ""
    behind = tokens[place + 1].kind if place + 1 < len(tokens) else ""
    name = build_string(token.text) if token.kind == "STRING" else token.text
    if place == 1 and first in _DEFINED:
        return Name(token, name, _DEFINED[first], defines=True)
    if place == 1 and first in _USED:
        return Name(token, name, _USED[first])
    if before in _BEFORE:
        return Name(token, name, _BEFORE[before])
    if before == "_BY":
        return Name(token, name, EDGE if first == "VALUE" else COLOR)
    if first == "_PROC" or before in ("SCALAR_OP", "LOAD_OP") or (first, place) == ("LOOP", 1):
        return Name(token, name, LOCAL, scope, defines=True)
    if first == "CALL" and behind == "EQUAL":  # a parameter of what is called
        return Name(token, name, LOCAL, f"proc {tokens[1].text}")
    if behind == "COLON" or _in_queue(tokens, place):  # for i:8, repeat n:4, <color: i>
        return Name(token, name, LOCAL, f"line {token.line}", defines=behind == "COLON")
    return None


def _in_queue(tokens: Sequence[Token], place: int) -> bool:
    """Whether a name is one of those with which a queue operand advances."""
    kinds = [token.kind for token in tokens[:place]]
    while kinds and kinds[-1] in ("NAME", "COMMA"):
        kinds.pop()
    return len(kinds) > 2 and kinds[-1] == "COLON" and tokens[len(kinds) - 3].kind == "LESSTHAN"


# --- what hover says --------------------------------------------------------------


def _row(mnemonic: str) -> str:
    """The row of the table that a mnemonic is of: ``mov.f32`` is ``mov``."""
    stem, _, suffix = mnemonic.rpartition(".")
    typed = suffix in [dtype.value for dtype in DType] and mnemonic not in BY_NAME
    return stem if typed else mnemonic


def _instruction(mnemonic: str, fabric: Fabric | None) -> str:
    row: Instr = BY_NAME[_row(mnemonic)]
    parts = [f"**{mnemonic}**: {row.doc}"]
    if row.category in (Category.VECTOR, Category.SEND):
        operands = ", ".join(role.value for role in row.operands)
        parts.append(f"operands: {operands}" + ("; may run on a stream unit" * row.on_unit))
    timing = f"timing class `{row.timing.value}`"
    if fabric is not None:
        cycles = fabric.timing[row.timing]
        timing += f": {cycles.startup} cycles"
        suffix = mnemonic.rpartition(".")[2]
        groups = {dtype.value: group for dtype, group in cycles.group.items()}
        if suffix in groups:
            timing += f" to start, then {cycles.cycles} for each {groups[suffix]} elements of a row"
            queue = next(n for kind, n in cycles.queue_group.items() if kind.value == suffix)
            if (cycles.queue_startup, queue) != (cycles.startup, groups[suffix]):
                timing += f"; with an operand in a queue {cycles.queue_startup} and {queue}"
        timing += f" on {fabric.name}"
    return "\n\n".join([*parts, timing])


def _number(key: str, fabric: Fabric | None) -> str:
    if fabric is None or key not in fabric.numbers():
        return ""
    notes = {item.key: f"grade {item.grade.value}. {item.note}" for item in fabric.evidence}
    return f"**{key}** = {fabric.numbers()[key]} on this machine; {notes.get(key, '')}"


def _place(program: Program, name: str) -> str:
    """Where a tensor lies in a tile, and what a tile holds of it."""
    tensor = next((item for item in program.tensors if item.name == name), None)
    if tensor is None:
        return ""
    spread = [
        f"dimension {place} ({extent.size}) in blocks of {extent.length} along {extent.axis}"
        for place, extent in enumerate(tensor.dims)
        if extent.axis
    ]
    end = tensor.address + tensor.bytes - 1
    text = f"bytes {tensor.address} to {end} of each tile; {', '.join(spread) or 'whole in each'}"
    return f"{text}\n\nfor {named(tensor.nodes)}" if tensor.nodes else text
