"""Register reuse: a body's registers renamed so that those not alive together share one."""

from __future__ import annotations

from dataclasses import replace

from wsc.isa import program
from wsc.isa.expr import Expr, Name, names, substitute
from wsc.isa.program import Call, Dim, If, Loop, Mem, Op, Operand, Scalar, Statement


def assigned(body: tuple[Statement, ...]) -> set[str]:
    """Registers that a body assigns."""
    return set(program.assigned(body))


def iterations(body: tuple[Statement, ...]) -> set[str]:
    """Iteration names of a body's instructions."""
    ops = (statement for statement in program.statements(body) if isinstance(statement, Op))
    return {dim.name for op in ops for dim in op.dims}


class _Ranges:
    """First and last position of each register, loops taken as a whole where they must be."""

    def __init__(self, body: tuple[Statement, ...], registers: set[str]) -> None:
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
                self._block(statement.then)
                self._block(statement.otherwise)


def expressions(statement: Statement) -> list[Expr]:
    """Operand expressions of one statement, those of its blocks not included."""
    if isinstance(statement, Loop):
        return [statement.count]
    if isinstance(statement, If):
        return [statement.left, statement.right]
    if isinstance(statement, Call):
        return [value for _, value in statement.arguments]
    found = [dim.extent for dim in statement.dims]
    found += list(statement.target or ())
    found += [o.address for o in statement.operands if isinstance(o, Mem)]
    found += [o.value for o in statement.operands if isinstance(o, Scalar)]
    return found


def compact(body: tuple[Statement, ...], registers: set[str]) -> tuple[Statement, ...]:
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
    return tuple(_statement(statement, to) for statement in body)


def _statement(statement: Statement, to: dict[str, str]) -> Statement:
    def change(node: Expr) -> Expr:
        return substitute(node, {old: Name(new) for old, new in to.items()})

    def operand(item: Operand) -> Operand:
        if isinstance(item, Mem):
            return Mem(change(item.address))
        return Scalar(change(item.value)) if isinstance(item, Scalar) else item

    if isinstance(statement, Loop):
        return replace(
            statement,
            register=to[statement.register],
            count=change(statement.count),
            body=_rename(statement.body, to),
        )
    if isinstance(statement, If):
        return replace(
            statement,
            left=change(statement.left),
            right=change(statement.right),
            then=_rename(statement.then, to),
            otherwise=_rename(statement.otherwise, to),
        )
    if isinstance(statement, Call):
        arguments = tuple((key, change(value)) for key, value in statement.arguments)
        return replace(statement, arguments=arguments)
    target = statement.target
    return replace(
        statement,
        register=to[statement.register] if statement.register else None,
        operands=tuple(operand(item) for item in statement.operands),
        dims=tuple(Dim(dim.name, change(dim.extent)) for dim in statement.dims),
        target=None if target is None else (change(target[0]), change(target[1])),
    )
