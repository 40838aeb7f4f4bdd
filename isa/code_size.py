"""Bytes of SRAM that code takes: in each tile, what it can run of main and of the procedures.

The loader knows the coordinates of a tile. So it decides the guards whose sides have no register,
and the tile holds the branch and the block that it enters; of procedures, those that it can reach.
What comes with sections is no part of that (``wsc.isa.sections``): they share a room.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa.expr import BINARY, Expr, evaluate, names
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, If, Loop, Mem, Op, Program, Region, Statement
from wsc.isa.sections import Section, arriving, parted, resident, room_bytes
from wsc.isa.statements import assigned, blocks
from wsc.isa.table import BY_NAME, Category

Tiles = Any  # an integer or truth for all tiles, or an array that broadcasts to [height, width]


def code_bytes(program: Program, fabric: Fabric) -> dict[str, int]:
    """Region name -> bytes of code in the tile of it that has the most.

    The fabric gives the bytes of an instruction, of each memory descriptor, iteration
    name and argument; loops, branches and calls count as scalar instructions.
    A call to a procedure that does not exist counts as a call and nothing more. The room of
    sections counts, which is a part of the tensors as well.
    """
    room = room_bytes(program)
    return {name: room + size for name, size in fixed_bytes(program, fabric).items()}


def fixed_bytes(program: Program, fabric: Fabric) -> dict[str, int]:
    """The same without the room of sections."""
    return {
        region.name: int(np.max(tile_bytes(program, region, fabric), initial=0))
        for region in program.regions
    }


def tile_bytes(program: Program, region: Region, fabric: Fabric) -> np.ndarray:
    """Bytes of code in each tile of a region [height, width], but for the room of sections."""
    return sum(tile_parts(program, region, fabric).values(), np.zeros((1, 1), np.int64))


def tile_parts(program: Program, region: Region, fabric: Fabric) -> dict[str, np.ndarray]:
    """The same for the region's main, which is "", and each procedure that a tile can reach.

    What comes with a section is in none of them.
    """
    addresses = {tensor.name: tensor.address for tensor in program.tensors}
    across = np.arange(region.width, dtype=np.int64)[None, :]
    along = np.arange(region.height, dtype=np.int64)[:, None]
    size = {"W": region.width, "H": region.height, "x": across, "y": along}
    known = {**dict(program.constants), **addresses, **size}
    walk = _Tiles(fabric, known)
    bodies = {item.name: (item.body, item.parameters) for item in program.procedures}
    there, sections = parted(region.main)
    total = walk.block(there, frozenset(assigned(region.main)), True)
    if sections:
        # What a section calls and does not bring is in every tile.
        walk.called |= dict.fromkeys(resident(program, region.main), True)
    reached: dict[str, Tiles] = {}
    sizes: dict[str, Tiles] = {}
    while walk.called:
        name, here = walk.called.popitem()
        here = np.asarray(here)
        before = np.asarray(reached.get(name, False))
        if name in bodies and np.any(here & ~before):
            reached[name] = here | before
            body, parameters = bodies[name]
            registers = frozenset({*assigned(body), *parameters})
            sizes[name] = walk.block(body, registers, reached[name])
    parts = {"": total, **{name: np.where(here, sizes[name], 0) for name, here in reached.items()}}
    shape = (region.height, region.width)
    return {name: np.broadcast_to(np.asarray(part), shape) for name, part in parts.items()}


@dataclass(slots=True)
class _Tiles:
    """Bytes of statements in the tiles of a region. called: the procedures met, and where."""

    fabric: Fabric
    known: dict[str, Any]
    called: dict[str, Tiles] = field(default_factory=dict[str, Tiles])

    def block(self, body: tuple[Statement, ...], registers: Collection[str], here: Tiles) -> Tiles:
        """Bytes of statements that the tiles ``here`` come to."""
        total: Tiles = 0
        for statement in body:
            if isinstance(statement, Call):
                self.called[statement.procedure] = here | np.asarray(
                    self.called.get(statement.procedure, False)
                )
            if isinstance(statement, If):
                total = total + self._guard(statement, registers, here)
            elif isinstance(statement, Loop):
                inside = self.block(statement.body, registers, here)
                total = total + self.fabric.scalar_bytes + inside
            else:
                total = total + _statement_bytes(statement, self.fabric)
        return total

    def _guard(self, guard: If, registers: Collection[str], here: Tiles) -> Tiles:
        holds = self._decided(guard, registers)
        if holds is None:
            inside = [self.block(block, registers, here) for block in blocks(guard)]
            return _branch_bytes(guard, self.fabric) + sum(inside)
        then = self.block(guard.then, registers, here & holds)
        otherwise = self.block(guard.otherwise, registers, here & ~holds)
        return self.fabric.scalar_bytes + np.where(holds, then, otherwise)

    def _decided(self, guard: If, registers: Collection[str]) -> np.ndarray | None:
        """In which tiles a guard holds, if the loader knows that."""
        sides = (guard.left, guard.right)
        if any(name in registers for side in sides for name in names(side)):
            return None
        try:
            left, right = (self._value(side) for side in sides)
        except (KeyError, ArithmeticError):  # what is wrong with it others say
            return None
        return np.asarray(BINARY[guard.relation][1](left, right) != 0)

    def _value(self, side: Expr) -> Any:
        return evaluate(side, self.known)


def section_bytes(section: Section, program: Program, there: Iterable[str], fabric: Fabric) -> int:
    """Bytes of a section's code: its statements, what comes with them, and the way back.

    there: the procedures that are in a tile all the time.
    """
    bodies = {item.name: item.body for item in program.procedures}
    own = block_bytes(section.body, fabric)
    more = (block_bytes(bodies[name], fabric) for name in arriving(section, program, there))
    return own + sum(more) + fabric.scalar_bytes


def block_bytes(body: tuple[Statement, ...], fabric: Fabric) -> int:
    """Bytes of all of the statements, called procedures not counted."""
    return sum(_statement_bytes(statement, fabric) for statement in body)


def _statement_bytes(statement: Statement, fabric: Fabric) -> int:
    if isinstance(statement, Op):
        return _op_bytes(statement, fabric)
    if isinstance(statement, Call):
        return fabric.scalar_bytes + fabric.argument_bytes * len(statement.arguments)
    if isinstance(statement, Loop):
        return fabric.scalar_bytes + block_bytes(statement.body, fabric)
    both = block_bytes(statement.then, fabric) + block_bytes(statement.otherwise, fabric)
    return _branch_bytes(statement, fabric) + both


def _branch_bytes(guard: If, fabric: Fabric) -> int:
    """An else costs the jump over it."""
    return fabric.scalar_bytes * (2 if guard.otherwise else 1)


def _op_bytes(op: Op, fabric: Fabric) -> int:
    if BY_NAME[op.name].category not in (Category.VECTOR, Category.SEND):
        return fabric.scalar_bytes
    descriptors = sum(isinstance(operand, Mem) for operand in op.operands)
    return (
        fabric.vector_bytes
        + fabric.descriptor_bytes * descriptors
        + fabric.dimension_bytes * len(op.dims)
    )
