"""What data decide: registers loaded from SRAM that time, or a check, depends on.

An extent, an address, the turns of a loop, a condition, a count or a target that comes from a
loaded register depends on what a run computed. A run for time then needs what a run for values
has loaded there. Most programs load nothing of that kind, and their cycles need no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wsc.isa.program import Location
from wsc.isa.values import PARTIAL
from wsc.runtime.errors import spot
from wsc.runtime.image import Image
from wsc.runtime.schedule import INDEX, Hcol
from wsc.runtime.tables import COUNTED, REFERENCE, Col, Kind, Ocol, OperandKind, by_name


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
    finder = _Finder(image)
    finder.follow()
    deciding = np.zeros(len(image.code.rows), np.int8)
    found: list[tuple[int, int, str]] = []
    for row, use, what in finder.uses():
        loads = finder.sources(row, use)
        deciding[list(loads)] = 1
        found += ((load, row, what) for load in loads)
    first = None
    if found:
        load, row, what = min(found)
        first = Decision(image.code.where[load], image.code.where[row], what)
    return Decisions(deciding, first, _may_fault(image))


def _may_fault(image: Image) -> bool:
    """Whether some vector instruction or lookup takes only some values."""
    rows = image.code.rows
    names = {
        COUNTED[code] for code in np.unique(rows[rows[:, Col.KIND] == Kind.VECTOR, Col.OPCODE])
    }
    lookups = bool((image.schedule.shapes[:, Hcol.DIRECTION] == INDEX).any())
    return lookups or any(name in PARTIAL for name in names)


class _Finder:
    """For every register of every procedure: the rows whose loads its value may come from."""

    def __init__(self, image: Image) -> None:
        self.code = image.code
        self.rows = self.code.rows.tolist()
        named = by_name(self.code.refs, REFERENCE)
        self.registers_of = list(zip(named.first.tolist(), named.count.tolist(), strict=True))
        starts = self.code.procedures[0]
        ends = [*starts[1:], len(self.rows)]
        self.start_of = [0] * len(self.rows)
        for start, end in zip(starts, ends, strict=True):
            self.start_of[start:end] = [start] * (end - start)
        self.known: dict[tuple[int, int], frozenset[int]] = {}

    def follow(self) -> None:
        """Find the sources of all registers, going round until nothing is added."""
        moving = (Kind.SCALAR, Kind.LOAD, Kind.CALL)
        numbers = [number for number, row in enumerate(self.rows) if row[Col.KIND] in moving]
        changed = any(self.rows[number][Col.KIND] == Kind.LOAD for number in numbers)
        while changed:
            changed = False
            for number in numbers:
                for key, sources in self._assigned(number):
                    before = self.known.get(key, frozenset())
                    if not sources <= before:
                        self.known[key] = before | sources
                        changed = True

    def _assigned(self, number: int) -> Iterator[tuple[tuple[int, int], frozenset[int]]]:
        """The registers that a row assigns, and where their values come from."""
        row, owner = self.rows[number], self.start_of[number]
        if row[Col.KIND] == Kind.LOAD:
            yield (owner, row[Col.TARGET]), frozenset((number,))
        elif row[Col.KIND] == Kind.SCALAR:
            yield (owner, row[Col.TARGET]), self.sources(number, (row[Col.LEFT], row[Col.RIGHT]))
        else:
            for place in range(row[Col.COUNT]):
                argument = int(self.code.lists[row[Col.DIMS] + place])
                yield (row[Col.BRANCH], place), self.sources(number, (argument,))

    def sources(self, number: int, refs: Iterable[int]) -> frozenset[int]:
        """The rows whose loads the references of a row may depend on."""
        owner, found = self.start_of[number], frozenset[int]()
        for ref in refs:
            first, count = self.registers_of[ref]
            for register in self.code.registers[first : first + count].tolist():
                found |= self.known.get((owner, register), frozenset())
        return found

    def uses(self) -> Iterator[tuple[int, tuple[int, ...], str]]:
        """The references that decide, row by row, and what they decide."""
        if not self.known:
            return
        for number, row in enumerate(self.rows):
            kind, left, right = row[Col.KIND], row[Col.LEFT], row[Col.RIGHT]
            name = COUNTED[row[Col.OPCODE]]
            if kind == Kind.LOOP:
                yield number, (row[Col.AMOUNT],), "the turns of the loop"
            elif kind == Kind.IF:
                yield number, (left, right), "the 'if'"
            elif kind in (Kind.WAIT, Kind.SIGNAL):
                yield number, (row[Col.AMOUNT],), f"the count of '{name}'"
            elif kind in (Kind.LOAD, Kind.STORE):
                yield number, (row[Col.ADDRESS],), f"the address of '{name}'"
            elif kind == Kind.SCALAR and name in PARTIAL:
                yield number, (left, right), f"whether '{name}' has a value"
            elif kind in (Kind.VECTOR, Kind.SEND):
                yield from self._iterated(number, row, name)

    def _iterated(
        self, number: int, row: list[int], name: str
    ) -> Iterator[tuple[int, tuple[int, ...], str]]:
        """What decides the steps, addresses and target of a vector instruction or send."""
        lists = self.code.lists
        dims = lists[row[Col.DIMS] : row[Col.DIMS] + row[Col.RANK]].tolist()
        yield number, tuple(dims), f"the steps of '{name}'"
        if row[Col.KIND] == Kind.SEND:
            yield number, (row[Col.TARGET_X], row[Col.TARGET_Y]), f"the target of '{name}'"
        first = row[Col.OPERANDS]
        for operand in self.code.operands[first : first + row[Col.COUNT]].tolist():
            if operand[Ocol.KIND] == OperandKind.MEMORY:
                strides = lists[operand[Ocol.STRIDES] : operand[Ocol.STRIDES] + row[Col.RANK]]
                refs = (operand[Ocol.VALUE], *strides.tolist())
                yield number, refs, f"an address of '{name}'"
