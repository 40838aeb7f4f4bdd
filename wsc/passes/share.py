"""Procedures from bodies: what differs only in numbers becomes one procedure with parameters.

Layers that repeat so share their code: the text is short, and SRAM holds each kernel once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wsc.isa.expr import Expr, ExprLike, Int, Name, names, split, substitute
from wsc.isa.program import Call, Procedure, Statement
from wsc.isa.statements import Use, assigned, iterations, rewrite
from wsc.kernels.asm import Emission


@dataclass(slots=True)
class Instance:
    """One body: its skeleton with the numbers taken out, and the numbers in order.

    named: the places of those in which there are names.
    """

    emission: Emission
    skeleton: object
    values: list[Expr]
    roles: list[str]
    named: list[int]

    def over(self, buffers: Mapping[str, ExprLike], edge: Mapping[str, str], node: str) -> Instance:
        """The same body over other buffers, with the streams of other edge tensors for a node.

        The body of the emission keeps the buffers that it has.
        """
        # Most values are plain numbers: those stay the same objects, which is soon seen later.
        values = list(self.values)
        for place in self.named:
            values[place] = substitute(values[place], buffers)
        transfers = tuple(
            replace(transfer, tensor=edge[transfer.tensor], node=node)
            for transfer in self.emission.transfers
        )
        emission = replace(self.emission, transfers=transfers)
        return Instance(emission, self.skeleton, values, self.roles, self.named)


def take_apart(emission: Emission) -> Instance:
    """Separate a body's numbers from its structure."""
    registers = frozenset(assigned(emission.body))
    values: list[Expr] = []
    roles: list[str] = []
    shapes: list[object] = []

    def change(node: Expr, dims: tuple[str, ...], role: str) -> Expr:
        parts = split(node, registers, dims)
        values.append(parts.static)
        roles.append(role)
        for dim in dims:
            if dim in parts.strides:
                stride = parts.strides[dim]
                if set(names(stride)) & registers:
                    shapes.append(stride)
                    continue
                values.append(stride)
                roles.append("stride")
        shapes.append((parts.registers, tuple(d for d in dims if d in parts.strides)))
        return Int(0)

    hollow = rewrite(emission.body, change)
    named = [place for place, value in enumerate(values) if any(names(value))]
    return Instance(emission, (hollow, tuple(shapes)), values, roles, named)


def put_together(instance: Instance, values: list[Expr]) -> tuple[Statement, ...]:
    """The body with other numbers in the places that ``take_apart`` found."""
    registers = frozenset(assigned(instance.emission.body))
    rest = iter(values)

    def change(node: Expr, dims: tuple[str, ...], role: str) -> Expr:
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


def share(instances: list[Instance], window: int) -> Shared:
    """Outline every body into a procedure, one for all that differ only in numbers.

    window: registers that one procedure may have, its parameters included.
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
        for part in _limited(members, instances, window):
            stem = instances[part[0]].emission.name
            used[stem] = used.get(stem, 0) + 1
            name = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
            procedures.append(_outline(name, [instances[i] for i in part], part, calls))
    return Shared(procedures, [calls[i] for i in range(len(instances))])


def _limited(members: list[int], instances: list[Instance], window: int) -> list[list[int]]:
    """Groups whose procedures would need too many parameters fall apart into their members."""
    columns = _columns([instances[i] for i in members])
    differing = {column for column in columns if _differs(column)}
    registers = len(assigned(instances[members[0]].emission.body))
    if len(differing) + registers <= window:
        return [members]
    return [[i] for i in members]


def _differs(column: tuple[Expr, ...]) -> bool:
    """Whether the values of some place are not all the same."""
    first = column[0]
    return any(value is not first and value != first for value in column)


def _columns(instances: list[Instance]) -> list[tuple[Expr, ...]]:
    return list(zip(*(instance.values for instance in instances), strict=True))


def _outline(
    name: str, instances: list[Instance], numbers: list[int], calls: dict[int, Call]
) -> Procedure:
    first = instances[0]
    parameters: dict[tuple[Expr, ...], str] = {}
    taken = {*assigned(first.emission.body), *iterations(first.emission.body)}
    values: list[Expr] = []
    for column, role in zip(_columns(instances), first.roles, strict=True):
        if not _differs(column):
            values.append(column[0])
            continue
        if column not in parameters:
            parameters[column] = _fresh(role, taken)
        values.append(Name(parameters[column]))
    for row, number in enumerate(numbers):
        arguments = tuple((parameter, column[row]) for column, parameter in parameters.items())
        calls[number] = Call(name, arguments)
    return Procedure(
        name, tuple(parameters.values()), put_together(first, values), first.emission.doc
    )


# How parameters are called for what a body does with them.
_CALLED = {
    Use.ADDRESS.value: "at",
    Use.EXTENT.value: "count",
    Use.TARGET.value: "value",
    Use.COMPARED.value: "value",
}


def _fresh(role: str, taken: set[str]) -> str:
    role, number = _CALLED.get(role, role), 1
    while f"{role}_{number}" in taken:
        number += 1
    taken.add(f"{role}_{number}")
    return f"{role}_{number}"
