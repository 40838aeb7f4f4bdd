"""Walking and rewriting statements: all that goes over a body of code starts here.

``blocks`` says which statements are in a statement, ``uses`` which expressions; the walks and the
rewriter follow from these two, so that a new kind of statement or operand is told to them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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


Change = Callable[[Expr, tuple[str, ...], str], Expr]


def rewrite(
    body: Iterable[Statement],
    change: Change | None = None,
    own: Callable[[Statement], Statement] | None = None,
) -> tuple[Statement, ...]:
    """The body with other expressions, registers, colors or whatever else.

    change: gets every expression, the iteration names of its instruction, and what it is: the value
    of a ``Use``, or the parameter's name for an argument. own: gets every statement, with its
    expressions and blocks changed, and changes what else there is in it.
    """

    def block(inside: Iterable[Statement]) -> tuple[Statement, ...]:
        return rewrite(inside, change, own)

    def there(node: Expr, use: Use, dims: tuple[str, ...] = ()) -> Expr:
        return node if change is None else change(node, dims, use.value)

    def operand(item: Operand, dims: tuple[str, ...]) -> Operand:
        if isinstance(item, Mem):
            return Mem(there(item.address, Use.ADDRESS, dims))
        return Scalar(there(item.value, Use.VALUE, dims)) if isinstance(item, Scalar) else item

    def one(statement: Statement) -> Statement:
        if isinstance(statement, Loop):
            count = there(statement.count, Use.COUNT)
            return replace(statement, count=count, body=block(statement.body))
        if isinstance(statement, If):
            return replace(
                statement,
                left=there(statement.left, Use.COMPARED),
                right=there(statement.right, Use.COMPARED),
                then=block(statement.then),
                otherwise=block(statement.otherwise),
            )
        if change is None:
            return statement
        if isinstance(statement, Call):
            arguments = tuple((key, change(node, (), key)) for key, node in statement.arguments)
            return replace(statement, arguments=arguments)
        dims = tuple(dim.name for dim in statement.dims)
        operands = tuple(operand(item, dims) for item in statement.operands)
        space = tuple(Dim(dim.name, there(dim.extent, Use.EXTENT)) for dim in statement.dims)
        target = statement.target
        if target is not None:
            target = (there(target[0], Use.TARGET), there(target[1], Use.TARGET))
        return replace(statement, operands=operands, dims=space, target=target)

    changed = (one(statement) for statement in body)
    return tuple(changed if own is None else map(own, changed))
