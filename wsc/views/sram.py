"""What takes the SRAM of a tile: the code of each procedure, and the tensors that it works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.isa.code_size import tile_parts
from wsc.isa.expr import names
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Program, Region, Statement, Tensor
from wsc.isa.sections import room_bytes
from wsc.isa.statements import calls, expressions, reachable, statements
from wsc.views.inspect import call_counts


@dataclass(frozen=True, slots=True)
class ProcedureRoom:
    """A procedure, or the main of a region.

    calls: of it in the text; None of a main. code: its bytes in the tile that has the most code,
    without those of what it calls. tensors: those that it names, or that calls of it name.
    """

    name: str
    calls: int | None
    code: int
    tensors: tuple[Tensor, ...]

    @property
    def data(self) -> int:
        """Bytes of a tile that its tensors have; those that several have count once."""
        return covered(self.tensors)


def procedure_rooms(program: Program, fabric: Fabric) -> list[ProcedureRoom]:
    """Mains first, then the procedures that one of them can reach, the largest code first.

    A main has the room of its sections; procedures that come with these have no bytes of their own.
    """
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    mains = [region for region in program.regions if region.main]
    reached = dict.fromkeys(name for item in mains for name in reachable(item.main, bodies))
    named: dict[str, set[str]] = {name: _own(bodies[name]) for name in reached}
    for body in [*(region.main for region in mains), *(bodies[name] for name in reached)]:
        for call in calls(body):
            if call.procedure in named:
                arguments = [value for _, value in call.arguments]
                named[call.procedure] |= {name for item in arguments for name in names(item)}
    fullest, code = _fullest(program, mains, fabric)
    room = room_bytes(program)
    heads = [
        ProcedureRoom(
            f"main {region.name}",
            None,
            room + code[""] if region is fullest else 0,
            _tensors(program, _own(region.main)),
        )
        for region in mains
    ]
    counts = call_counts(program)
    rows = [
        ProcedureRoom(name, counts[name], code.get(name, 0), _tensors(program, named[name]))
        for name in reached
    ]
    return [*heads, *sorted(rows, key=lambda row: -row.code)]


def _fullest(
    program: Program, mains: Sequence[Region], fabric: Fabric
) -> tuple[Region | None, dict[str, int]]:
    """The region with the tile that has the most code, and what that is of: main is ""."""
    best: tuple[int, Region | None, dict[str, int]] = (-1, None, {})
    for region in mains:
        parts = tile_parts(program, region, fabric)
        total = sum(parts.values(), np.zeros((1, 1), np.int64))
        place = np.unravel_index(int(total.argmax()), total.shape)
        if total[place] > best[0]:
            code = {name: int(part[place]) for name, part in parts.items()}
            best = (int(total[place]), region, code)
    return best[1], best[2]


def users(rows: Iterable[ProcedureRoom]) -> dict[str, list[str]]:
    """Tensor -> the procedures that work on it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for tensor in row.tensors:
            found.setdefault(tensor.name, []).append(row.name)
    return found


def covered(tensors: Iterable[Tensor]) -> int:
    """Bytes that at least one of these tensors has."""
    total = end = 0
    for tensor in sorted(tensors, key=lambda item: item.address):
        last = tensor.address + tensor.bytes
        total += max(0, last - max(end, tensor.address))
        end = max(end, last)
    return total


def _own(body: tuple[Statement, ...]) -> set[str]:
    """Names in statements, those in the arguments of calls left out: these are the callee's."""
    return {
        name
        for statement in statements(body)
        if not isinstance(statement, Call)
        for expression in expressions(statement)
        for name in names(expression)
    }


def _tensors(program: Program, wanted: set[str]) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in program.tensors if tensor.name in wanted)
