"""Sections: code of a main that comes from the edge when it is wanted, into bytes of its own.

``section.i32 [part + 4*i], <color>, {2} for i:812`` takes 812 words into the tensor ``part``: the
code of section 2. They are the statements that follow it in its block: up to the next section, to
a loop that has sections of its own, or to the end of the block. With them come the procedures that
they reach and that are not in the tile anyway: see ``resident``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from wsc.isa.expr import Int, base, names
from wsc.isa.program import (
    EdgeTensor,
    If,
    Kind,
    Loop,
    Mem,
    Op,
    Program,
    Queue,
    Scalar,
    Statement,
    Tensor,
)
from wsc.isa.statements import assigned, reachable, statements

SECTION = "section"  # the instruction
WORD = 4  # bytes of a word of code


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a main: the instruction that takes its code, and the statements of it."""

    op: Op
    body: tuple[Statement, ...]

    @property
    def color(self) -> str:
        """The color on which its code comes; "" where the instruction takes it from no queue."""
        found = [item.color for item in self.op.operands if isinstance(item, Queue)]
        return found[0] if found else ""

    @property
    def words(self) -> int:
        """How many words the instruction takes; -1 where no number of the text says that."""
        if len(self.op.dims) != 1 or not isinstance(self.op.dims[0].extent, Int):
            return -1
        return self.op.dims[0].extent.value

    @property
    def number(self) -> int:
        """Of the code that it takes; 0 where no number of the text says that."""
        for item in self.op.operands[2:]:
            if isinstance(item, Scalar) and isinstance(item.value, Int):
                return item.value.value
        return 0

    def room(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """The tensor in which its code is."""
        for item in self.op.operands[:1]:
            if isinstance(item, Mem):
                return tensors.get(base(item.address, tensors))
        return None


def is_section(statement: Statement) -> bool:
    """Whether a section begins here."""
    return isinstance(statement, Op) and statement.name == SECTION


def has_sections(body: Iterable[Statement]) -> bool:
    """Whether there are any in statements, those in loops and branches included."""
    return any(map(is_section, statements(body)))


def parted(main: tuple[Statement, ...]) -> tuple[tuple[Statement, ...], tuple[Section, ...]]:
    """What of a main is in a tile all the time, and its sections in the order of the text.

    What is there all the time has the instructions that take sections, and the heads of the loops
    that have some.
    """
    found: list[Section] = []
    return _parted(main, found.append), tuple(found)


def _parted(block: tuple[Statement, ...], note: Callable[[Section], None]) -> tuple[Statement, ...]:
    there: list[Statement] = []
    place = 0
    while place < len(block):
        statement = block[place]
        place += 1
        if isinstance(statement, Loop) and has_sections(statement.body):
            statement = replace(statement, body=_parted(statement.body, note))
        there.append(statement)
        if isinstance(statement, Op) and statement.name == SECTION:
            end = place
            while end < len(block) and not has_sections(block[end : end + 1]):
                end += 1
            note(Section(statement, block[place:end]))
            place = end
    return tuple(there)


def of_the_tile(body: tuple[Statement, ...], registers: Iterable[str]) -> bool:
    """Whether the loader decides which statements of a body a tile holds.

    Coordinates decide a guard without registers. Code that comes to all tiles alike is not so.
    """
    known = set(registers)
    return any(
        isinstance(item, If) and not known & {*names(item.left), *names(item.right)}
        for item in statements(body)
    )


def resident(program: Program, main: tuple[Statement, ...]) -> set[str]:
    """The procedures that are in a tile all the time, of those that a main reaches.

    They are those that code outside of sections reaches, those in which the tile's coordinates
    decide what it holds, and what these reach.
    """
    bodies = {item.name: item.body for item in program.procedures}
    parameters = {item.name: item.parameters for item in program.procedures}
    there, _ = parted(main)
    found = set(reachable(there, bodies))
    for name in reachable(main, bodies):
        body = bodies[name]
        if name not in found and of_the_tile(body, {*parameters[name], *assigned(body)}):
            found |= {name, *reachable(body, bodies)}
    return found


def arriving(section: Section, program: Program, there: Iterable[str]) -> dict[str, None]:
    """The procedures that come with a section. there: those that are in a tile all the time."""
    bodies = {item.name: item.body for item in program.procedures}
    known = set(there)
    return {name: None for name in reachable(section.body, bodies) if name not in known}


def rooms(program: Program) -> tuple[Tensor, ...]:
    """The tensors in which the code of sections is, each once."""
    tensors = {tensor.name: tensor for tensor in program.tensors}
    found: dict[str, Tensor] = {}
    for region in program.regions:
        for section in parted(region.main)[1]:
            room = section.room(tensors)
            if room is not None:
                found[room.name] = room
    return tuple(found.values())


def room_bytes(program: Program) -> int:
    """Bytes of a tile in which code of sections is."""
    total = end = 0
    for room in sorted(rooms(program), key=lambda item: item.address):
        last = room.address + room.bytes
        total += max(0, last - max(end, room.address))
        end = max(end, last)
    return total


def code_tensors(program: Program) -> list[EdgeTensor]:
    """The code that the edge has, in the order of its numbers, which count from 1 on.

    Instructions have no encoding here: each word of it is its number, and ``CODE_WORD`` more. So
    what a core takes for the code of a section is known to be that.
    """
    return [tensor for tensor in program.edge_tensors if tensor.kind is Kind.CODE]
