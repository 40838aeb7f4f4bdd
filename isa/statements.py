"""Walking and rewriting statements: all that goes over a body of code starts here.

``blocks`` says which statements are in a statement, ``uses`` which expressions; the walks and the
rewriter follow from these two, so that a new kind of statement or operand is told to them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from wsc.isa.expr import Expr
from wsc.isa.program import (
    Call,
    Dim,
    If,
    Location,
    Loop,
    Mem,
    Op,
    Operand,
    Queue,
    Scalar,
    Statement,
)


class Use(Enum):
    """What a statement does with an expression."""

    COUNT = "count"  # turns of a loop
    COMPARED = "compared"  # a side of a guard
    ARGUMENT = "argument"  # what a procedure is called with
    EXTENT = "extent"  # steps of an iteration name
    TARGET = "target"  # coordinate of the tile that a send goes to
    ADDRESS = "address"  # memory operand
    VALUE = "value"  # integer operand


def blocks(statement: Statement) -> tuple[tuple[Statement, ...], ...]:
    """The blocks of a statement: the body of a loop, both branches of a guard."""
    if isinstance(statement, Loop):
        return (statement.body,)
    return (statement.then, statement.otherwise) if isinstance(statement, If) else ()


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """All statements in text order: those in loops and branches behind their heads."""
    for statement in body:
        yield statement
        for block in blocks(statement):
            yield from statements(block)


def calls(body: Iterable[Statement]) -> list[Call]:
    """The calls in statements, in text order, those in loops and branches included."""
    return [statement for statement in statements(body) if isinstance(statement, Call)]


def reachable(
    body: Iterable[Statement], bodies: Mapping[str, tuple[Statement, ...]]
) -> dict[str, None]:
    """The procedures that statements can reach, each once, in the order of discovery."""
    found: dict[str, None] = {}
    todo = [call.procedure for call in calls(body)]
    while todo:
        name = todo.pop(0)
        if name in bodies and name not in found:
            found[name] = None
            todo += [call.procedure for call in calls(bodies[name])]
    return found


def instructions(body: Iterable[Statement]) -> list[Op]:
    """The instructions in statements, in text order, those in loops and branches included."""
    return [statement for statement in statements(body) if isinstance(statement, Op)]


def assigned(body: Iterable[Statement]) -> dict[str, Location]:
    """Registers that statements assign or loop over, called procedures not included.

    Returns:
        Name -> the first place that does so, in text order.
    """
    found: dict[str, Location] = {}
    for statement in statements(body):
        if isinstance(statement, Op | Loop) and statement.register is not None:
            found.setdefault(statement.register, statement.where)
    return found


def colors_of(body: Iterable[Statement]) -> set[str]:
    """The colors that statements name, called procedures not included."""
    found: set[str] = set()
    for op in instructions(body):
        found |= {operand.color for operand in op.operands if isinstance(operand, Queue)}
        if op.color is not None:
            found.add(op.color)
    return found


def iterations(body: Iterable[Statement]) -> set[str]:
    """Iteration names of the instructions in a body."""
    return {dim.name for op in instructions(body) for dim in op.dims}


def uses(statement: Statement) -> list[tuple[Use, Expr]]:
    """The expressions of a statement and their use, those of the statements in it left out."""
    if isinstance(statement, Loop):
        return [(Use.COUNT, statement.count)]
    if isinstance(statement, If):
        return [(Use.COMPARED, statement.left), (Use.COMPARED, statement.right)]
    if isinstance(statement, Call):
        return [(Use.ARGUMENT, value) for _, value in statement.arguments]
    found = [(Use.EXTENT, dim.extent) for dim in statement.dims]
    found += [(Use.TARGET, node) for node in statement.target or ()]
    for operand in statement.operands:
        if isinstance(operand, Mem):
            found.append((Use.ADDRESS, operand.address))
        elif isinstance(operand, Scalar):
            found.append((Use.VALUE, operand.value))
    return found


def expressions(statement: Statement, but: tuple[Use, ...] = ()) -> list[Expr]:
    """The expressions of a statement, those of the statements in it left out.

    but: uses that do not count.
    """
    return [node for use, node in uses(statement) if use not in but]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an expression is in a statement.

    name: of what it is for: a procedure's parameter for an argument, an iteration for its extent,
    the register that an instruction or a loop sets; else "". dims: iteration names that may be in
    it. instruction: its name in the table, "" in other statements.
    """

    use: Use
    name: str = ""
    dims: tuple[str, ...] = ()
    instruction: str = ""


Change = Callable[[Expr, Spot], Expr]


def rewrite(
    body: Iterable[Statement],
    change: Change | None = None,
    own: Callable[[Statement], Statement] | None = None,
) -> tuple[Statement, ...]:
    """The body with other expressions, registers, colors or whatever else.

    change: gets every expression, and where it is. own: gets every statement, with its
    expressions and blocks changed, and changes what else there is in it.
    """

    def block(inside: Iterable[Statement]) -> tuple[Statement, ...]:
        return rewrite(inside, change, own)

    def there(node: Expr, spot: Spot) -> Expr:
        return node if change is None else change(node, spot)

    def operand(item: Operand, op: Op, dims: tuple[str, ...]) -> Operand:
        register = op.register or ""
        if isinstance(item, Mem):
            return Mem(there(item.address, Spot(Use.ADDRESS, register, dims, op.name)))
        if isinstance(item, Scalar):
            return Scalar(there(item.value, Spot(Use.VALUE, register, dims, op.name)))
        return item

    def one(statement: Statement) -> Statement:
        if isinstance(statement, Loop):
            count = there(statement.count, Spot(Use.COUNT, statement.register))
            return replace(statement, count=count, body=block(statement.body))
        if isinstance(statement, If):
            return replace(
                statement,
                left=there(statement.left, Spot(Use.COMPARED)),
                right=there(statement.right, Spot(Use.COMPARED)),
                then=block(statement.then),
                otherwise=block(statement.otherwise),
            )
        if change is None:
            return statement
        if isinstance(statement, Call):
            arguments = tuple(
                (key, change(node, Spot(Use.ARGUMENT, key))) for key, node in statement.arguments
            )
            return replace(statement, arguments=arguments)
        name, dims = statement.name, tuple(dim.name for dim in statement.dims)
        operands = tuple(operand(item, statement, dims) for item in statement.operands)
        space = tuple(
            Dim(dim.name, there(dim.extent, Spot(Use.EXTENT, dim.name, (), name)))
            for dim in statement.dims
        )
        target = statement.target
        if target is not None:
            spot = Spot(Use.TARGET, "", (), name)
            target = (there(target[0], spot), there(target[1], spot))
        return replace(statement, operands=operands, dims=space, target=target)

    changed = (one(statement) for statement in body)
    return tuple(changed if own is None else map(own, changed))
