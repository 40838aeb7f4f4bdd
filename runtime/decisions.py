"""What data decide: registers loaded from SRAM that time, or a check, depends on.

An extent, an address, the turns of a loop, a condition, a count or a target that comes from a
loaded register depends on what a run computed. A run for time then needs what a run for values
has loaded there. Most programs load nothing of that kind, and their cycles need no values.

It takes two steps: from which ``i.load`` the value of each register may come (``_Origins``), and
which registers decide something where (``_uses``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wsc.isa.program import Location
from wsc.isa.values import PARTIAL
from wsc.runtime.code import Code
from wsc.runtime.errors import spot
from wsc.runtime.image import Image
from wsc.runtime.schedule import INDEX, SHAPE
from wsc.runtime.tables import COUNTED, MEMORY, Kind, Records, by_name

_PASSING = (Kind.LOAD, Kind.SCALAR, Kind.CALL)  # rows that give registers their values


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that a loaded register decides. load, use: lines of the text. what: in words."""

    load: Location
    use: Location
    what: str

    def sentence(self) -> str:
        """What decides what, and where."""
        there = "" if self.use == self.load else f" at {spot(self.use)}"
        return f"the word that {spot(self.load)} loads decides {self.what}{there}"


@dataclass(frozen=True, slots=True)
class Decisions:
    """What data decide in a program.

    deciding: for each row of the code, whether it loads a register that decides; int8.
    first: the first decision in the order of the text, None if there is none. faults: whether
    data may stop the run: an integer instruction without a value, an index that is no row.
    """

    deciding: np.ndarray
    first: Decision | None
    faults: bool


def decisions(image: Image) -> Decisions:
    """Follow every loaded register to where it is used; order and branches do not matter here."""
    code, origins = image.code, _Origins(image.code)
    deciding = np.zeros(len(code.rows), np.int8)
    first: tuple[int, _Use] | None = None
    for use in _uses(code) if origins.known else ():
        loads = origins.of(use.row, use.references)
        deciding[list(loads)] = 1
        # The first in the text is that of the first load, and of its uses the first.
        if loads and (first is None or (min(loads), use) < first):
            first = min(loads), use
    decision = None
    if first is not None:
        load, use = first
        decision = Decision(code.where[load], code.where[use.row], use.what)
    return Decisions(deciding, decision, _may_fault(image))


def _may_fault(image: Image) -> bool:
    """Whether some vector instruction or lookup takes only some values."""
    rows, shapes = image.code.records, by_name(image.schedule.shapes, SHAPE)
    names = {COUNTED[opcode] for opcode in np.unique(rows.opcode[rows.kind == Kind.VECTOR])}
    lookups = bool((shapes.direction == INDEX).any())
    return lookups or any(name in PARTIAL for name in names)


# --- where values come from -----------------------------------------------------------------


class _Origins:
    """For every register of every procedure: the rows that load what its value may come from.

    A register is known by the first row of its procedure, and its number. All rows that assign it
    count, wherever the run may go: so too many may be found, and never too few.

    known: those of the registers that have some.
    """

    def __init__(self, code: Code) -> None:
        self.rows: Records = code.records
        self.lists, self.registers = code.lists.tolist(), code.registers.tolist()
        self.references = code.refs.tolist()
        starts = code.procedures[0]
        sizes = np.diff([*starts, len(code.rows)])
        self.procedure: list[int] = np.repeat(np.array(starts, np.int64), sizes).tolist()
        self.known: dict[tuple[int, int], frozenset[int]] = {}
        self._follow()

    def _follow(self) -> None:
        """Pass origins on from register to register, until no register gets another one."""
        kinds = self.rows.kind
        passing = np.flatnonzero(np.isin(kinds, _PASSING)).tolist()
        changed = bool((kinds == Kind.LOAD).any())
        while changed:
            changed = False
            for number in passing:
                for register, origins in self._assigned(number):
                    before = self.known.get(register, frozenset())
                    if not origins <= before:
                        self.known[register] = before | origins
                        changed = True

    def _assigned(self, number: int) -> Iterator[tuple[tuple[int, int], frozenset[int]]]:
        """The registers that a row assigns, and where their values come from."""
        row, procedure = self.rows[number], self.procedure[number]
        if row.kind == Kind.LOAD:
            yield (procedure, int(row.target)), frozenset((number,))
        elif row.kind == Kind.SCALAR:
            yield (procedure, int(row.target)), self.of(number, (row.left, row.right))
        else:  # a call: its arguments are the first registers of the procedure that it enters
            arguments = self.lists[row.dims : row.dims + row.count]
            for place, argument in enumerate(arguments):
                yield (int(row.branch), place), self.of(number, (argument,))

    def of(self, number: int, references: Iterable[int]) -> frozenset[int]:
        """The rows whose loads the references of a row may depend on."""
        procedure, found = self.procedure[number], frozenset[int]()
        for reference in references:
            first, count = self.references[reference][3:]
            for register in self.registers[first : first + count]:
                found |= self.known.get((procedure, register), frozenset())
        return found


# --- what they decide -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class _Use:
    """What the references of a row decide, in words."""

    row: int
    what: str
    references: tuple[int, ...]


def _uses(code: Code) -> Iterator[_Use]:
    """The references that decide, row by row."""
    for number, row in enumerate(code.records):
        name = COUNTED[row.opcode]
        if row.kind == Kind.LOOP:
            yield _Use(number, "the turns of the loop", (row.amount,))
        elif row.kind == Kind.IF:
            yield _Use(number, "the 'if'", (row.left, row.right))
        elif row.kind in (Kind.WAIT, Kind.SIGNAL):
            yield _Use(number, f"the count of '{name}'", (row.amount,))
        elif row.kind in (Kind.LOAD, Kind.STORE):
            yield _Use(number, f"the address of '{name}'", (row.address,))
        elif row.kind == Kind.SCALAR and name in PARTIAL:
            yield _Use(number, f"whether '{name}' has a value", (row.left, row.right))
        elif row.kind in (Kind.VECTOR, Kind.SEND):
            yield from _vector_uses(code, number, row, name)


def _vector_uses(code: Code, number: int, row: Records, name: str) -> Iterator[_Use]:
    """What decides the steps, addresses and target of a vector instruction or send."""
    extents = code.lists[row.dims : row.dims + row.rank]
    yield _Use(number, f"the steps of '{name}'", tuple(extents.tolist()))
    if row.kind == Kind.SEND:
        yield _Use(number, f"the target of '{name}'", (row.target_x, row.target_y))
    operands = code.operand_records
    for operand in operands[row.operands : row.operands + row.count]:
        if operand.kind == MEMORY:
            first = operand["strides"]  # the attribute is NumPy's
            strides = code.lists[first : first + row.rank]
            references = (operand.value, *strides.tolist())
            yield _Use(number, f"an address of '{name}'", references)
