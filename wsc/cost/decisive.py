"""Which registers decide times, and bodies in which the other ones are left out.

Most scalar instructions of a program compute addresses. Where the fabric has no banks that operands
meet in and no step waits for the one before, an address takes no time, whatever it is, so a walk
needs the cycles of these instructions and not their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsc.isa.expr import Expr, names
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, If, Loop, Mem, Op, Procedure, Scalar, Statement
from wsc.isa.statements import statements
from wsc.isa.table import BY_NAME, Category
from wsc.isa.types import DType

SCALARS = (Category.SCALAR, Category.LOAD, Category.STORE)


@dataclass(frozen=True, slots=True)
class Scalars:
    """Scalar instructions that follow each other.

    cycles: of all of them. count: how many. sram: bytes that they move. computed: those whose
    results decide times.
    """

    cycles: int
    count: int
    sram: int
    computed: tuple[Op, ...]


NONE = Scalars(0, 0, 0, ())
Item = Statement | Scalars


def decisive(
    procedures: Iterable[Procedure], main: tuple[Statement, ...], addresses: bool = False
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """The registers that decide times, parameters among them: by procedure, and of main.

    They are those in counts of loops, guards, extents, targets and counts of semaphores, and
    all from which these are computed. addresses: those in addresses of vectors are too.
    """
    todo = {procedure.name: procedure for procedure in procedures}
    found: dict[str, frozenset[str]] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        body = todo[name].body
        for item in statements(body):
            if isinstance(item, Call):
                visit(item.procedure)
        found[name] = _of(body, found, addresses)

    for name in todo:
        visit(name)
    return found, _of(main, found, addresses)


def _of(
    body: tuple[Statement, ...], called: Mapping[str, frozenset[str]], addresses: bool
) -> frozenset[str]:
    """The decisive registers of one body; those of the procedures that it calls are known."""
    found: set[str] = set()
    sources: dict[str, set[str]] = {}  # register -> those that its values are computed from
    for item in statements(body):
        if isinstance(item, Op) and item.register is not None:
            sources.setdefault(item.register, set()).update(_used(_values(item)))
        else:
            found |= _used(_deciding(item, called, addresses))
    todo = list(found)
    while todo:
        fresh = sources.get(todo.pop(), set()) - found
        found |= fresh
        todo += fresh
    return frozenset(found)


def _used(expressions: Iterable[Expr]) -> set[str]:
    return {name for expression in expressions for name in names(expression)}


def _values(op: Op) -> list[Expr]:
    """What a scalar instruction's result is computed from; what lies in SRAM is not known."""
    return [item.value for item in op.operands if isinstance(item, Scalar)]


def _deciding(item: Statement, called: Mapping[str, frozenset[str]], addresses: bool) -> list[Expr]:
    """Expressions of a statement that decide how long it takes, or what it does next."""
    if isinstance(item, Loop):
        return [item.count]
    if isinstance(item, If):
        return [item.left, item.right]
    if isinstance(item, Call):
        return [value for name, value in item.arguments if name in called[item.procedure]]
    category = BY_NAME[item.name].category
    counts = _values(item) if category not in (*SCALARS, Category.VECTOR, Category.SEND) else []
    if addresses and category is Category.VECTOR:
        counts = [operand.address for operand in item.operands if isinstance(operand, Mem)]
    return [*(dim.extent for dim in item.dims), *(item.target or ()), *counts]


def is_scalar(statement: Statement) -> bool:
    """Whether a statement is an instruction on registers, or one that loads or stores one."""
    return isinstance(statement, Op) and BY_NAME[statement.name].category in SCALARS


def condensed(
    body: tuple[Statement, ...], registers: frozenset[str], fabric: Fabric
) -> tuple[Item, ...]:
    """A body in which scalar instructions that follow each other are one item."""
    found: list[Item] = []
    for statement in body:
        if not isinstance(statement, Op) or not is_scalar(statement):
            found.append(statement)
            continue
        row = BY_NAME[statement.name]
        cycles = fabric.timing[row.timing].startup
        sram = 0 if row.category is Category.SCALAR else DType.I32.bytes
        computed = (statement,) if statement.register in registers else ()
        last = found[-1] if found else None
        before = NONE
        if isinstance(last, Scalars):
            before = last
            found.pop()
        found.append(
            Scalars(
                before.cycles + cycles,
                before.count + 1,
                before.sram + sram,
                (*before.computed, *computed),
            )
        )
    return tuple(found)
