"""Corruptions of a compiled program: one thing changed, each where it must matter.

What a corruption changes is chosen from the program's text alone, never by its effect.
Changes that are neutral by their nature are left out:

- values of the barrier (the i32 chains): all its words are zero, only their arrival counts;
- which elements a maximum reads: it hides those that are not the largest;
- how much a fill covers, and its deletion: blocks are padded, and SRAM starts as zeros;
- a smaller count at a ``wait``: what is left over may never be missed;
- the address of a tensor: with all its uses it only moves elsewhere;
- strides of dimensions with one step in every tile.

Statements that no tile reaches on this mesh (the end of a chain of one, say) do not count
either: ``probe`` makes the program that hangs where the statement would run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from wsc.isa.expr import Expr, Int, Name, evaluate, names, split
from wsc.isa.program import (
    Call,
    If,
    Loop,
    Mem,
    Op,
    Program,
    Queue,
    Real,
    Route,
    Scalar,
    Statement,
    Transfer,
)
from wsc.isa.table import BY_NAME, Category
from wsc.isa.turns import plain_transfers
from wsc.isa.types import Control

T = TypeVar("T")
Path = tuple[tuple[str, int], ...]
Body = tuple[Statement, ...]

OTHER = {
    "add": "sub",
    "sub": "add",
    "mul": "add",
    "div": "mul",
    "max": "min",
    "min": "max",
    "recip": "neg",
    "sqrt": "neg",
    "exp": "neg",
    "erf": "neg",
    "tanh": "neg",
}


@dataclass(frozen=True, slots=True)
class Corruption:
    """A program with one change. probe: hangs if the changed statement is reached at all."""

    name: str
    program: Program
    probe: Program | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A statement of a procedure: ``path`` leads to it through blocks."""

    procedure: int
    path: Path
    op: Op


def sites(program: Program) -> Iterator[Site]:
    """Every instruction of every procedure."""
    for number, procedure in enumerate(program.procedures):
        for path, op in _walk(procedure.body):
            yield Site(number, path, op)


def _walk(body: Body) -> Iterator[tuple[Path, Op]]:
    for place, statement in enumerate(body):
        if isinstance(statement, Op):
            yield (("", place),), statement
        elif isinstance(statement, Loop):
            for path, op in _walk(statement.body):
                yield (("body", place), *path), op
        elif isinstance(statement, If):
            for block in ("then", "otherwise"):
                for path, op in _walk(getattr(statement, block)):
                    yield ((block, place), *path), op


def _spliced(body: Body, path: Path, new: Body) -> Body:
    (block, place), rest = path[0], path[1:]
    if rest:
        statement = body[place]
        inner = _spliced(getattr(statement, block), rest, new)
        new = (replace(statement, **{block: inner}),)  # type: ignore[arg-type]
    return body[:place] + new + body[place + 1 :]


def put(program: Program, site: Site, *new: Statement) -> Program:
    """The program with other statements in place of one."""
    procedure = program.procedures[site.procedure]
    changed = replace(procedure, body=_spliced(procedure.body, site.path, new))
    return program.with_(procedures=_with(program.procedures, site.procedure, changed))


def _with(items: tuple[T, ...], number: int, item: T) -> tuple[T, ...]:
    return (*items[:number], item, *items[number + 1 :])


def probe(program: Program, site: Site, semaphore: int) -> Program:
    """The program that waits for ever where the statement would run."""
    hang = Op("wait", operands=(Scalar(Int(1)),), semaphore=semaphore)
    return put(program, site, hang, site.op)


# --- what instructions are -------------------------------------------------------------


def _vector(op: Op) -> bool:
    return BY_NAME[op.name].category in (Category.VECTOR, Category.SEND)


def _is_float(op: Op) -> bool:
    return op.dtype is not None and op.dtype.is_float


def _queues(op: Op) -> list[int]:
    return [i for i, operand in enumerate(op.operands) if isinstance(operand, Queue)]


def _is_fill(op: Op) -> bool:
    return op.name == "mov" and isinstance(op.operands[1], (Real, Scalar))


def _carries_values(op: Op) -> bool:
    """Floats that are computed with, not filled in, and not hidden by a maximum."""
    return _vector(op) and _is_float(op) and not _is_fill(op) and op.name not in ("max", "min")


def _varies(program: Program, extent: Expr) -> bool:
    """The extent is known without registers, and larger than one in some tile."""
    if not set(names(extent)) <= {"x", "y", "W", "H"}:
        return False
    size = {"W": program.width, "H": program.height}
    return any(
        evaluate(extent, {"x": x, "y": y, **size}) > 1
        for x in range(program.width)
        for y in range(program.height)
    )


def _operand(op: Op, number: int, new: Mem | Queue | Real | Scalar) -> Op:
    return replace(op, operands=_with(op.operands, number, new))


# --- kinds ---------------------------------------------------------------------------


def _opcodes(program: Program, op: Op) -> Iterator[Op | None]:
    if _vector(op) and _is_float(op) and op.name in OTHER:
        yield replace(op, name=OTHER[op.name], asynchronous=None)


def _deleted(program: Program, op: Op) -> Iterator[Op | None]:
    through = _vector(op) and bool(_queues(op))
    if _carries_values(op) or through or op.control is Control.ADVANCE:
        yield None


def _addresses(program: Program, op: Op) -> Iterator[Op | None]:
    for number, operand in enumerate(op.operands):
        if _carries_values(op) and isinstance(operand, Mem):
            yield _operand(op, number, Mem(operand.address + 4))


def _strides(program: Program, op: Op) -> Iterator[Op | None]:
    wide = {dim.name for dim in op.dims if _varies(program, dim.extent)}
    dims = tuple(dim.name for dim in op.dims)
    for number, operand in enumerate(op.operands):
        if _carries_values(op) and isinstance(operand, Mem):
            strides = split(operand.address, frozenset(), dims).strides
            for name in sorted(wide & strides.keys()):
                yield _operand(op, number, Mem(operand.address + Name(name) * 4))


def _extents(program: Program, op: Op) -> Iterator[Op | None]:
    for number, dim in enumerate(op.dims):
        if _carries_values(op) and _varies(program, dim.extent):
            less = replace(dim, extent=dim.extent - 1)
            yield replace(op, dims=_with(op.dims, number, less))


def _literals(program: Program, op: Op) -> Iterator[Op | None]:
    for number, operand in enumerate(op.operands):
        if isinstance(operand, Real):
            value = operand.value
            yield _operand(op, number, Real(-value if math.isinf(value) else value + 0.5))


def _colors(program: Program, op: Op) -> Iterator[Op | None]:
    colors = [name for name, _ in program.colors]
    for number in _queues(op):
        operand = op.operands[number]
        assert isinstance(operand, Queue)
        other = colors[(colors.index(operand.color) + 1) % len(colors)]
        yield _operand(op, number, replace(operand, color=other))


def _waits(program: Program, op: Op) -> Iterator[Op | None]:
    if op.name == "wait":
        (count,) = op.operands
        assert isinstance(count, Scalar)
        yield replace(op, operands=(Scalar(count.value + 1),))


def _targets(program: Program, op: Op) -> Iterator[Op | None]:
    """A message to the next column: every column gets a share of its own."""
    if op.target is not None:
        x, y = op.target
        yield replace(op, target=(x + 1, y))


def _semaphores(program: Program, op: Op) -> Iterator[Op | None]:
    if op.target is not None and op.semaphore is not None:
        yield replace(op, semaphore=op.semaphore + 1)


def _products(program: Program, op: Op) -> Iterator[Op | None]:
    """An address part i*c with c > 2 becomes i + c, which no integer i makes the same."""
    if op.name == "i.mul" and isinstance(op.operands[1], Scalar):
        factor = op.operands[1].value
        if isinstance(factor, Int) and factor.value > 2:
            yield replace(op, name="i.add")


INSTRUCTIONS: dict[str, Callable[[Program, Op], Iterator[Op | None]]] = {
    "opcode": _opcodes,
    "deletion": _deleted,
    "address": _addresses,
    "stride": _strides,
    "extent": _extents,
    "literal": _literals,
    "queue": _colors,
    "wait": _waits,
    "target": _targets,
    "semaphore": _semaphores,
    "product": _products,
}


def _instructions(program: Program, kind: str, semaphore: int) -> Iterator[Corruption]:
    for site in sites(program):
        procedure = program.procedures[site.procedure].name
        for new in INSTRUCTIONS[kind](program, site.op):
            changed = put(program, site, *(() if new is None else (new,)))
            name = f"{kind} of {site.op.name} at {site.path} of {procedure}"
            yield Corruption(name, changed, probe(program, site, semaphore))


def _holds(program: Program, route: Route) -> bool:
    """Whether any tile of the (only) region has the route."""
    size = {"W": program.width, "H": program.height}
    return route.guard is None or any(
        evaluate(route.guard, {"x": x, "y": y, **size})
        for x in range(program.width)
        for y in range(program.height)
    )


def _routes(program: Program, kind: str) -> Iterator[Corruption]:
    for number, route in enumerate(program.routes):
        if not _holds(program, route):
            continue
        first = route.positions[0]
        new: list[tuple[Route, ...]] = []
        if kind == "route removed":
            new = [()]
        elif kind == "route turned":
            turned = replace(first, receive=first.receive.opposite)
            if turned.receive is not first.receive:
                new = [(replace(route, positions=(turned, *route.positions[1:])),)]
        elif kind == "side dropped" and len(first.send) > 1:
            new = [
                (replace(route, positions=(replace(first, send=(side,)), *route.positions[1:])),)
                for side in first.send
            ]
        elif kind == "switch reversed" and len(route.positions) > 1:
            new = [(replace(route, positions=route.positions[::-1]),)]
        for routes in new:
            left, right = program.routes[:number], program.routes[number + 1 :]
            yield Corruption(f"{kind}: {route}", program.with_(routes=left + routes + right))


def _transfers(program: Program, kind: str) -> Iterator[Corruption]:
    for number, transfer in enumerate(plain_transfers(program)):
        for new in _changed(program, transfer, number, kind):
            yield Corruption(f"{kind}: {transfer}", program.with_(transfers=new))


def _changed(
    program: Program, transfer: Transfer, number: int, kind: str
) -> Iterator[tuple[Transfer, ...]]:
    items = plain_transfers(program)
    if kind == "offset":
        yield _with(items, number, replace(transfer, offset=transfer.offset + 1))
    elif kind == "feed color":
        colors = [name for name, _ in program.colors]
        other = colors[(colors.index(transfer.color) + 1) % len(colors)]
        yield _with(items, number, replace(transfer, color=other))
    elif kind == "feed extent":
        for place, dim in enumerate(transfer.dims):
            less = replace(dim, extent=dim.extent - 1)
            yield _with(items, number, replace(transfer, dims=_with(transfer.dims, place, less)))
    elif kind == "no advance" and transfer.then is Control.ADVANCE:
        yield _with(items, number, replace(transfer, then=Control.NONE))
    elif kind == "order" and number + 1 < len(items):
        after = items[number + 1]
        if (transfer.color, transfer.side) == (after.color, after.side):
            yield (*items[:number], after, transfer, *items[number + 2 :])


def _arguments(program: Program) -> Iterator[Corruption]:
    """Calls of the schedule with one address moved on by a word."""
    (region,) = program.regions
    tensors = {tensor.name for tensor in program.tensors}
    for number, call in enumerate(region.main):
        assert isinstance(call, Call)
        for place, (name, value) in enumerate(call.arguments):
            if tensors & {*names(value)}:
                moved = replace(call, arguments=_with(call.arguments, place, (name, value + 4)))
                main = replace(region, main=_with(region.main, number, moved))
                yield Corruption(f"argument {name} of {call}", program.with_(regions=(main,)))


ROUTES = ("route removed", "route turned", "side dropped", "switch reversed")
EDGE = ("offset", "feed color", "feed extent", "no advance", "order")
KINDS = (*INSTRUCTIONS, *ROUTES, *EDGE, "argument")


def candidates(program: Program, kind: str, semaphore: int) -> list[Corruption]:
    """All corruptions of a kind. semaphore: one that the program does not use."""
    if kind in INSTRUCTIONS:
        return list(_instructions(program, kind, semaphore))
    if kind in ROUTES:
        return list(_routes(program, kind))
    return list(_arguments(program) if kind == "argument" else _transfers(program, kind))


def without_call(program: Program, number: int) -> Program:
    """The program with one statement of its schedule removed."""
    (region,) = program.regions
    main = region.main[:number] + region.main[number + 1 :]
    return program.with_(regions=(replace(region, main=main),))
