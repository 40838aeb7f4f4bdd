"""What the text says of code before it is followed: which of it uses queues and registers, and how.

So most code need not be followed at all, and most loops not in every turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsc.isa import expr as ex
from wsc.isa.program import Call, If, Loop, Mem, Op, Program, Queue, Region, Scalar, Statement
from wsc.isa.statements import Use, assigned, blocks, expressions, statements

End = tuple[bool, str]  # of a queue: whether it is an output queue, and the color


@dataclass(frozen=True, slots=True)
class OpFacts:
    """ends: of queues. operands: the memory operands of which registers decide the bytes."""

    ends: tuple[End, ...]
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """A loop's body.

    matters: something in it is to be followed. flow: turns may differ in the wavelets that they
    take or put, else in addresses alone. carried: a register has its value from the turn before.
    """

    matters: bool
    flow: bool
    carried: bool


@dataclass(slots=True)
class Scope:
    """A procedure, or a region's main.

    addresses: the parameters that are parts of addresses and of nothing else. ops, loops: by the
    identity of the statement; instructions of which nothing is asked are left out.
    """

    name: str
    body: tuple[Statement, ...]
    parameters: tuple[str, ...]
    registers: frozenset[str]
    addresses: frozenset[str] = frozenset()
    flow: frozenset[str] = frozenset()  # registers on which the number of wavelets depends
    decisive: tuple[str, ...] = ()  # the parameters among them
    matters: bool = False
    ops: dict[int, OpFacts] = field(default_factory=dict[int, OpFacts])
    loops: dict[int, LoopFacts] = field(default_factory=dict[int, LoopFacts])


def ends_of(op: Op) -> tuple[End, ...]:
    """The ends of queues that an instruction uses."""
    found = [
        (index == 0, operand.color)
        for index, operand in enumerate(op.operands)
        if isinstance(operand, Queue)
    ]
    return (*found, (True, op.color)) if op.color is not None else tuple(found)


class Facts:
    """Facts of a program's scopes, each found when it is first asked for."""

    def __init__(self, program: Program) -> None:
        self.procedures = {procedure.name: procedure for procedure in program.procedures}
        self._scopes: dict[str, Scope] = {}
        self._ends: dict[str, frozenset[End]] = {}
        self._assigned: dict[int, frozenset[str]] = {}

    def scope(self, name: str) -> Scope:
        """A procedure. Expects that calls end."""
        if name not in self._scopes:
            procedure = self.procedures[name]
            self._scopes[name] = self._made(name, procedure.body, procedure.parameters)
        return self._scopes[name]

    def main(self, region: Region) -> Scope:
        """A region's main."""
        return self._made(f"main {region.name}", region.main, ())

    def ends(self, body: Iterable[Statement]) -> frozenset[End]:
        """The ends of queues that statements use, and what they call."""
        found: set[End] = set()
        for statement in statements(body):
            if isinstance(statement, Op):
                found.update(ends_of(statement))
            elif isinstance(statement, Call):
                name = statement.procedure
                if name not in self._ends:
                    self._ends[name] = self.ends(self.procedures[name].body)
                found |= self._ends[name]
        return frozenset(found)

    def assigned(self, statement: Loop | If) -> frozenset[str]:
        """Registers that a statement of the program assigns or loops over."""
        # A statement is there as long as its program, so that its number stays its own.
        if id(statement) not in self._assigned:
            self._assigned[id(statement)] = frozenset(assigned((statement,)))
        return self._assigned[id(statement)]

    # How scopes are made.

    def _made(self, name: str, body: tuple[Statement, ...], parameters: tuple[str, ...]) -> Scope:
        registers = frozenset((*parameters, *assigned(body)))
        scope = Scope(name, body, parameters, registers)
        scope.flow = self._flow(body, registers)
        scope.decisive = tuple(name for name in parameters if name in scope.flow)
        used: set[str] = set()
        for statement in statements(body):
            if isinstance(statement, Op):
                facts = _op_facts(statement, registers)
                if facts.ends or facts.operands:
                    scope.ops[id(statement)] = facts
            used |= self._beyond_addresses(statement)
        scope.addresses = frozenset(parameters) - used
        self._loops(body, scope)
        scope.matters = self._matters(body, scope)
        return scope

    def _matters(self, body: Iterable[Statement], scope: Scope) -> bool:
        return any(
            id(statement) in scope.ops
            or (isinstance(statement, Call) and self.scope(statement.procedure).matters)
            for statement in statements(body)
        )

    def _beyond_addresses(self, statement: Statement) -> set[str]:
        """Names that a statement uses for more than a part of an address."""
        if isinstance(statement, Call):
            callee = self.scope(statement.procedure)
            nodes = [node for name, node in statement.arguments if name not in callee.addresses]
        else:
            nodes = expressions(statement, but=(Use.ADDRESS, Use.TARGET))
        return {name for node in nodes for name in ex.names(node)}

    def _flow(self, body: tuple[Statement, ...], registers: frozenset[str]) -> frozenset[str]:
        """The registers on which it depends how many wavelets are taken and put."""
        found: set[str] = set()
        while True:
            before = len(found)
            self._spread(body, found)
            if len(found) == before:
                return frozenset(found & registers)

    def _spread(self, body: Iterable[Statement], found: set[str]) -> bool:
        """Add what the registers found so far depend on; whether the statements count for any."""
        counts = False
        for statement in body:
            nodes: list[ex.Expr] = []
            if isinstance(statement, Op):
                if ends_of(statement):
                    nodes = [dim.extent for dim in statement.dims]
                elif statement.register in found:
                    nodes = [o.value for o in statement.operands if isinstance(o, Scalar)]
                counts |= bool(ends_of(statement)) or statement.register in found
            elif isinstance(statement, Call):
                callee = self.scope(statement.procedure)
                nodes = [node for name, node in statement.arguments if name in callee.flow]
                counts |= bool(self.ends((statement,)))
            elif isinstance(statement, Loop):
                if self._spread(statement.body, found) or statement.register in found:
                    nodes, counts = [statement.count], True
            else:
                inner = [self._spread(b, found) for b in (statement.then, statement.otherwise)]
                if any(inner):
                    nodes, counts = [statement.left, statement.right], True
            for node in nodes:
                found.update(ex.names(node))
        return counts

    def _loops(self, body: Iterable[Statement], scope: Scope) -> None:
        for loop in statements(body):
            if isinstance(loop, Loop):
                changed = {loop.register, *assigned(loop.body)}
                scope.loops[id(loop)] = LoopFacts(
                    self._matters(loop.body, scope),
                    bool(changed & scope.flow) and bool(self.ends(loop.body)),
                    _carried(loop.body, changed, {loop.register}),
                )


def _op_facts(op: Op, registers: frozenset[str]) -> OpFacts:
    dynamic = {dim.name for dim in op.dims if not registers.isdisjoint(ex.names(dim.extent))}
    operands = tuple(
        index
        for index, operand in enumerate(op.operands)
        if isinstance(operand, Mem)
        and not (registers | dynamic).isdisjoint(ex.names(operand.address))
    )
    return OpFacts(ends_of(op), operands)


def _carried(body: Iterable[Statement], changed: set[str], known: set[str]) -> bool:
    """Whether one of the registers is used before it is set in the same turn."""
    for statement in body:
        used = {name for node in expressions(statement) for name in ex.names(node)}
        if used & changed - known:
            return True
        inside = known | {statement.register} if isinstance(statement, Loop) else known
        if any(_carried(block, changed, set(inside)) for block in blocks(statement)):
            return True
        if isinstance(statement, Op) and statement.register is not None:
            known.add(statement.register)
    return False
