"""Procedures from bodies: what differs only in numbers becomes one procedure with parameters.

Layers that repeat so share their code: the text is short, and SRAM holds each kernel once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wsc.isa.expr import RESERVED, Expr, ExprLike, Int, Name, names, split, substitute
from wsc.isa.program import Call, Procedure, Statement
from wsc.isa.statements import Spot, Use, assigned, expressions, iterations, rewrite, statements
from wsc.kernels.asm import Emission
from wsc.kernels.registers import compact
from wsc.kernels.scalars import plainer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number is in a body: in a statement, over a buffer, as the stride of an iteration."""

    spot: Spot
    buffer: str = ""
    dim: str = ""


@dataclass(slots=True)
class Instance:
    """One body: its skeleton with the numbers taken out, and the numbers in order.

    named: the places of those in which there are names, beside those that are the machine's.
    """

    emission: Emission
    skeleton: object
    values: list[Expr]
    roles: list[Place]
    named: list[int]

    def over(
        self, buffers: Mapping[str, ExprLike], edge: Mapping[str, str], nodes: tuple[str, ...]
    ) -> Instance:
        """The same body over other buffers, with the streams of other edge tensors for other nodes.

        The body of the emission keeps the buffers that it has.
        """
        # Most values are plain numbers: those stay the same objects, which is soon seen later.
        values = list(self.values)
        for place in self.named:
            values[place] = substitute(values[place], buffers)
        transfers = tuple(
            replace(transfer, tensor=edge[transfer.tensor], nodes=nodes)
            for transfer in self.emission.transfers
        )
        emission = replace(self.emission, transfers=transfers)
        return Instance(emission, self.skeleton, values, self.roles, self.named)


def take_apart(emission: Emission) -> Instance:
    """Separate a body's numbers from its structure."""
    registers = frozenset(assigned(emission.body))
    values: list[Expr] = []
    roles: list[Place] = []
    shapes: list[object] = []

    def change(node: Expr, spot: Spot) -> Expr:
        dims, known = spot.dims, set(emission.operands)
        parts = split(node, registers, dims)
        base = next((name for name in names(parts.static) if name in known), "")
        values.append(parts.static)
        roles.append(Place(spot, base))
        for dim in dims:
            if dim in parts.strides:
                stride = parts.strides[dim]
                if set(names(stride)) & registers:
                    shapes.append(stride)
                    continue
                values.append(stride)
                roles.append(Place(spot, base, dim))
        shapes.append((parts.registers, tuple(d for d in dims if d in parts.strides)))
        return Int(0)

    hollow = rewrite(emission.body, change)
    named = [place for place, value in enumerate(values) if set(names(value)) - {*RESERVED}]
    return Instance(emission, (hollow, tuple(shapes)), values, roles, named)


def put_together(instance: Instance, values: list[Expr]) -> tuple[Statement, ...]:
    """The body with other numbers in the places that ``take_apart`` found."""
    registers = frozenset(assigned(instance.emission.body))
    rest = iter(values)

    def change(node: Expr, spot: Spot) -> Expr:
        dims = spot.dims
        parts = split(node, registers, dims)
        total = next(rest)
        for register in parts.registers:
            total = total + Name(register)
        for dim in dims:
            if dim in parts.strides:
                stride = parts.strides[dim]
                if not set(names(stride)) & registers:
                    stride = next(rest)
                total = total + Name(dim) * stride
        return total

    return rewrite(instance.emission.body, change)


@dataclass(slots=True)
class Shared:
    """Procedures, and for each emission the call that runs it (its node left empty)."""

    procedures: list[Procedure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


def share(instances: list[Instance], window: int, buffers: Collection[str] = ()) -> Shared:
    """Outline every body into a procedure, one for all that differ only in numbers.

    window: registers that one procedure may have, its parameters included. buffers: names that no
    parameter may have.
    """
    groups: dict[object, list[int]] = {}
    seen: dict[int, object] = {}  # skeletons are large, and many instances have the same object
    for number, instance in enumerate(instances):
        skeleton = instance.skeleton
        key = seen.setdefault(id(skeleton), (instance.emission.name, skeleton))
        groups.setdefault(key, []).append(number)
    calls: dict[int, Call] = {}
    procedures: list[Procedure] = []
    used: dict[str, int] = {}
    for members in groups.values():
        columns = _columns([instances[i] for i in members])
        fits = _fits(instances[members[0]], columns, window)
        # Groups whose procedures would need too many parameters fall apart into their members.
        for part in [members] if fits else [[i] for i in members]:
            stem = instances[part[0]].emission.name
            used[stem] = used.get(stem, 0) + 1
            name = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
            alike = [instances[i] for i in part]
            own = columns if fits else _columns(alike)
            procedures.append(_outline(name, alike, own, part, calls, buffers, window))
    return Shared(procedures, [calls[i] for i in range(len(instances))])


def _fits(first: Instance, columns: list[_Column], window: int) -> bool:
    """Whether a procedure for all bodies of these values has registers for its parameters."""
    differing = {column.numbers for column in columns if column.differs}
    body = first.emission.body
    return len(differing) + len(assigned(compact(body, assigned(body)))) <= window


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one place in some bodies.

    numbers: equal ones for equal values, in whatever place of these bodies.
    """

    values: Sequence[Expr]
    numbers: tuple[int, ...]

    @property
    def differs(self) -> bool:
        """Whether they are not all the same."""
        first = self.numbers[0]
        return any(number != first for number in self.numbers)


def _columns(instances: list[Instance]) -> list[_Column]:
    """The values of all places. What is large to compare is compared once."""
    known: dict[Expr, int] = {}
    seen: dict[int, int] = {}  # by identity: many instances have the same objects

    def number(value: Expr) -> int:
        found = seen.get(id(value))
        if found is None:
            found = seen[id(value)] = known.setdefault(value, len(known))
        return found

    columns = zip(*(instance.values for instance in instances), strict=True)
    return [_Column(column, tuple(map(number, column))) for column in columns]


def _outline(
    name: str,
    instances: list[Instance],
    columns: list[_Column],
    numbers: list[int],
    calls: dict[int, Call],
    buffers: Collection[str],
    window: int,
) -> Procedure:
    first = instances[0]
    parameters: dict[tuple[int, ...], str] = {}
    arguments: dict[str, Sequence[Expr]] = {}
    taken = {*assigned(first.emission.body), *iterations(first.emission.body), *buffers}
    values: list[Expr] = []
    for column, place in zip(columns, first.roles, strict=True):
        if not column.differs:
            values.append(column.values[0])
            continue
        parameter = parameters.get(column.numbers)
        if parameter is None:
            parameter = _fresh(_called(column.values, place, instances), taken)
            parameters[column.numbers], arguments[parameter] = parameter, column.values
        values.append(Name(parameter))
    body = plainer(put_together(first, values), arguments)
    used = {
        name
        for statement in statements(body)
        for node in expressions(statement)
        for name in names(node)
    }
    arguments = {name: column for name, column in arguments.items() if name in used}
    for row, number in enumerate(numbers):
        given = tuple((parameter, column[row]) for parameter, column in arguments.items())
        calls[number] = Call(name, given)
    # A register for each number, by its name, is easier to read than few registers.
    if len(arguments) + len(assigned(body)) > window // 2:
        body = compact(body, assigned(body))
    return Procedure(name, tuple(arguments), body, first.emission.doc)


def _called(column: Sequence[Expr], place: Place, instances: list[Instance]) -> str:
    """What a parameter is called: by what the kernel says of its number, else by its place."""
    said = [instance.emission.numbers for instance in instances]
    for name in said[0]:
        if all(
            value == Int(numbers.get(name, -1)) for value, numbers in zip(column, said, strict=True)
        ):
            return name
    spot = place.spot
    operand = instances[0].emission.operands.get(place.buffer, "")
    if place.dim:
        return f"{operand}_{place.dim}_stride" if operand else f"{place.dim}_stride"
    if operand and all(isinstance(value, Name) for value in column):
        return operand
    if operand:
        return f"{operand}_at"
    if spot.use in (Use.COUNT, Use.EXTENT):
        return f"{spot.name}_count"
    if spot.use is Use.ARGUMENT:
        return spot.name
    if spot.use is Use.VALUE and spot.name:
        return f"{spot.name}_{_PART.get(spot.instruction, 'number')}"
    return {Use.ADDRESS: "at", Use.COMPARED: "limit", Use.TARGET: "tile"}.get(spot.use, "number")


# What a number is to the register that an instruction makes with it.
_PART = {
    "i.mul": "factor",
    "i.div": "divisor",
    "i.mod": "modulus",
    "i.min": "most",
    "i.max": "least",
}


def _fresh(name: str, taken: set[str]) -> str:
    """The name, or the first of name2, name3 and so on that is not taken."""
    found, number = name, 1
    while found in taken or found in RESERVED:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
