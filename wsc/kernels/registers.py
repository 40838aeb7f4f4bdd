"""Register reuse: a body's registers renamed so that those not alive together share one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from wsc.isa.expr import Expr, Name, names, substitute
from wsc.isa.program import If, Loop, Op, Statement
from wsc.isa.statements import blocks, expressions, rewrite


class _Ranges:
    """First and last position of each register, loops taken as a whole where they must be."""

    def __init__(self, body: tuple[Statement, ...], registers: Collection[str]) -> None:
        self.registers = registers
        self.position = 0
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.loops: list[tuple[int, int]] = []
        self._block(body)
        for begin, end in sorted(self.loops):  # outer loops first
            for register in self.first:
                # Alive before a loop and used in it: alive through all of its iterations.
                if self.first[register] < begin <= self.last[register] < end:
                    self.last[register] = end

    def _use(self, node: Expr) -> None:
        for name in names(node):
            if name in self.registers:
                self._touch(name, self.position)

    def _touch(self, register: str, at: int) -> None:
        self.first.setdefault(register, at)
        self.last[register] = at

    def _block(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            self.position += 2
            for node in expressions(statement):
                self._use(node)
            if isinstance(statement, Op) and statement.register:
                self._touch(statement.register, self.position + 1)
            if isinstance(statement, Loop):
                begin = self.position
                self._touch(statement.register, begin + 1)
                self._block(statement.body)
                self.position += 2
                self._touch(statement.register, self.position)
                self.loops.append((begin, self.position))
            if isinstance(statement, If):
                for block in blocks(statement):
                    self._block(block)


def compact(body: tuple[Statement, ...], registers: Collection[str]) -> tuple[Statement, ...]:
    """The same body with as few registers as its live ranges allow."""
    ranges = _Ranges(body, registers)
    busy: dict[str, int] = {}  # shared register -> last position of whom it serves now
    renamed: dict[str, str] = {}
    for register in sorted(ranges.first, key=lambda name: (ranges.first[name], name)):
        free = [name for name, until in busy.items() if until < ranges.first[register]]
        chosen = register if register in free or not free else free[0]
        renamed[register] = chosen
        busy[chosen] = ranges.last[register]
    return _rename(body, renamed)


def _rename(body: tuple[Statement, ...], to: dict[str, str]) -> tuple[Statement, ...]:
    names = {old: Name(new) for old, new in to.items()}

    def own(statement: Statement) -> Statement:
        if isinstance(statement, Op | Loop) and statement.register is not None:
            return replace(statement, register=to[statement.register])
        return statement

    return rewrite(body, lambda node, *_: substitute(node, names), own)
