"""Checks of single instructions against the table and the fabric, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator

from wsc.isa import expr as ex
from wsc.isa.program import (
    Mem,
    Op,
    Operand,
    Procedure,
    Queue,
    Real,
    Region,
    Scalar,
    Statement,
)
from wsc.isa.statements import assigned, expressions, statements
from wsc.isa.table import BY_NAME, Category, Instr, operand_type
from wsc.isa.types import Control
from wsc.isa.verify.context import Context, Item

# Category -> kinds of its operands, where the table's roles do not say it already
_KINDS: dict[Category, tuple[type[Operand], ...]] = {
    Category.LOAD: (Mem,),
    Category.STORE: (Mem, Scalar),
    Category.SEND: (Mem, Mem),
    Category.CONTROL: (),
    Category.SEMAPHORE: (Scalar,),
}
_WORDS = {Mem: "[address]", Queue: "<color>", Scalar: "an integer", Real: "a number"}


def scopes(context: Context) -> Iterator[tuple[Procedure | Region, frozenset[str]]]:
    """Each procedure and main with its registers."""
    for procedure in context.program.procedures:
        yield procedure, frozenset((*procedure.parameters, *assigned(procedure.body)))
    for region in context.program.regions:
        yield region, frozenset(assigned(region.main))


def body_of(scope: Procedure | Region) -> tuple[Statement, ...]:
    """The statements of a procedure, or of a region's main."""
    return scope.body if isinstance(scope, Procedure) else scope.main


def instructions(context: Context) -> None:
    """Operands have the number, kinds and types of the table's row, and can be encoded."""
    for scope, registers in scopes(context):
        _block(context, body_of(scope), registers)


def _block(context: Context, body: tuple[Statement, ...], registers: frozenset[str]) -> None:
    for statement in statements(body):
        if isinstance(statement, Op):
            _op(context, statement, registers)
        else:
            for node in expressions(statement):
                _plain(context, node, registers, statement)


def _plain(context: Context, node: ex.Expr, registers: frozenset[str], item: Item) -> None:
    """An operand without iteration names: static, with registers added."""
    try:
        ex.split(node, registers)
    except ex.NotAffine as error:
        context.say(str(error), item)


def _op(context: Context, op: Op, registers: frozenset[str]) -> None:
    row = BY_NAME[op.name]
    typed = row.category in (Category.VECTOR, Category.SEND)
    if (op.dtype not in row.types) if typed else (op.dtype is not None):
        has = ", ".join(dtype.value for dtype in row.types) if typed else "no types"
        context.say(f"'{row.name}' exists for {has}", op)
        return
    if (row.category in (Category.SCALAR, Category.LOAD)) != (op.register is not None):
        context.say(f"'{row.name}' needs a destination register", op)
    if op.dims and not typed:
        context.say(f"'{row.name}' has no iteration space", op)
    good = (
        _vector(context, op, row) if row.category is Category.VECTOR else _fixed(context, op, row)
    )
    if good:
        _network(context, op, row)
        _asynchronous(context, op, row)
        _encoding(context, op, registers)


def _vector(context: Context, op: Op, row: Instr) -> bool:
    assert op.dtype is not None
    if len(op.operands) != len(row.operands):
        count = len(row.operands)
        context.say(f"'{row.name}' takes {count} operands, not {len(op.operands)}", op)
        return False
    target = op.operands[0]
    if isinstance(target, Scalar | Real) or (row.accumulates and isinstance(target, Queue)):
        wanted = "[address]" if row.accumulates else "[address] or <color>"
        context.say(f"'{row.name}' writes to {wanted}, not to {_WORDS[type(target)]}", op)
        return False
    taken: set[str] = set()
    for operand in op.operands[1:]:
        if isinstance(operand, Queue):
            if operand.color in taken:
                message = f"<{operand.color}> is taken twice: a queue gives one operand"
                context.say(message, op, operand.color)
                return False
            taken.add(operand.color)
    for operand, role in zip(op.operands, row.operands, strict=True):
        dtype = operand_type(role, op.dtype)
        if isinstance(operand, Real) and not dtype.is_float:
            context.say(f"an {dtype.value} operand is written {{integer}}, not as a number", op)
    return True


def _fixed(context: Context, op: Op, row: Instr) -> bool:
    kinds = _KINDS.get(row.category, (Scalar,) * (len(row.operands) - 1))
    if tuple(map(type, op.operands)) != kinds:
        wanted = ", ".join(_WORDS[kind] for kind in kinds) or "no operands"
        context.say(f"'{row.name}' takes {wanted} behind its destination", op)
        return False
    return True


def _network(context: Context, op: Op, row: Instr) -> None:
    """Colors, controls, target tiles and semaphores stand where the category has them."""
    limit = context.fabric.semaphores
    if row.category is Category.SEND and not context.fabric.dynamic:
        name = context.fabric.name
        context.say(f"fabric '{name}' has no dynamic network to send through", op)
    if (row.category is Category.SEND) != (op.target is not None):
        context.say(f"'{row.name}' and a target tile do not belong together", op)
    control = row.category is Category.CONTROL
    if control != (op.color is not None) or control != (op.control is not Control.NONE):
        context.say("a color and 'advance' or 'reset' belong to 'control', and to it alone", op)
    if (row.category in (Category.SEND, Category.SEMAPHORE)) != (op.semaphore is not None):
        context.say(f"'{row.name}' and a semaphore do not belong together", op)
    signals = [op.semaphore, op.asynchronous.semaphore if op.asynchronous else None]
    for index in signals:
        if index is not None and not 0 <= index < limit:
            message = f"semaphore s{index} is beyond s{limit - 1}, the last of a tile of fabric "
            context.say(f"{message}'{context.fabric.name}'", op, f"s{index}")


def _asynchronous(context: Context, op: Op, row: Instr) -> None:
    mark, units = op.asynchronous, context.fabric.stream_units
    if mark is None:
        return
    if not row.on_unit:
        able = ", ".join(other.name for other in BY_NAME.values() if other.on_unit)
        context.say(f"a stream unit cannot execute '{row.name}', only {able}", op, "async")
    if not 0 <= mark.unit < units:
        last = f"the last unit is {units - 1}" if units else "it has none"
        message = f"stream unit {mark.unit} is not on fabric '{context.fabric.name}': {last}"
        context.say(message, op, str(mark.unit))


def _encoding(context: Context, op: Op, registers: frozenset[str]) -> None:
    """Descriptors are affine, dimensions few, and queue operands advance with outer ones."""
    names = tuple(dim.name for dim in op.dims)
    limit = context.fabric.dimensions
    if len(names) > limit:
        message = f"{len(names)} iteration names, and fabric '{context.fabric.name}' has {limit}"
        context.say(message, op)
    for dim in op.dims:
        _plain(context, dim.extent, registers, op)
    for node in op.target or ():
        _plain(context, node, registers, op)
    for operand in op.operands:
        if isinstance(operand, Mem):
            try:
                ex.split(operand.address, registers, names)
            except ex.NotAffine as error:
                context.say(str(error), op)
        elif isinstance(operand, Scalar):
            _plain(context, operand.value, registers, op)
        elif isinstance(operand, Queue):
            held = operand.dims or ()
            if held != names[: len(held)]:
                message = f"<{operand.color}> must advance with the outermost names, which are "
                context.say(f"{message}{', '.join(names) or 'none'}", op, operand.color)
