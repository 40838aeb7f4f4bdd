"""What the checks share: the program, the fabric, coordinates as arrays, the findings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.diagnostics import Diagnostic, Source
from wsc.isa.fabric import Fabric
from wsc.isa.operands import show_position
from wsc.isa.printer import print_operation, print_statement, print_transfer, print_update
from wsc.isa.program import (
    NOWHERE,
    Call,
    Direction,
    EdgeTensor,
    If,
    Loop,
    Op,
    Procedure,
    Program,
    Region,
    Route,
    Statement,
    Tensor,
    Transfer,
    Update,
    WeightFile,
    edge_places,
)
from wsc.isa.sections import rooms
from wsc.isa.turns import distinct_transfers, plain_transfers
from wsc.isa.types import Side

Bits = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Item = Statement | Procedure | Region | Route | Tensor | EdgeTensor | Transfer | WeightFile | Update

SIDES = tuple(Side)
NEIGHBOURS = tuple(side for side in Side if side is not Side.RAMP)


def bit(side: Side) -> int:
    """The bit of a side in a mask of sides."""
    return 1 << side.index


@dataclass
class Context:
    """A program under check. ``found`` gathers the problems in the order of the checks."""

    program: Program
    fabric: Fabric
    source: Source
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    numbers: dict[Hashable, int] = field(default_factory=dict[Hashable, int])  # see ``number``
    numbered: dict[int, tuple[Hashable, int]] = field(
        default_factory=dict[int, "tuple[Hashable, int]"]
    )

    def number(self, part: Hashable) -> int:
        """A number that equal parts of the program share.

        What is large to compare is compared once: all turns of a loop of the schedule have the
        same objects.
        """
        known = self.numbered.get(id(part))
        if known is None:
            # With the part itself, so that it stays that one.
            known = part, self.numbers.setdefault(part, len(self.numbers))
            self.numbered[id(part)] = known
        return known[1]

    @cached_property
    def played(self) -> tuple[Transfer, ...]:
        """The entries of the schedule, those of all turns."""
        return plain_transfers(self.program)

    def say(self, message: str, item: Item | None = None, word: str = "") -> None:
        """Add a problem, at ``word`` in the line of ``item``."""
        if item is None:
            self.found.append(Diagnostic(message, NOWHERE))
        else:
            self.found.append(self.source.diagnostic(message, item.where, word, describe(item)))

    def say_declared(self, message: str, keyword: str, name: str, word: str) -> None:
        """Add a problem of a declaration that is no object: a color, or the fabric line."""
        program = self.program
        files = [i.where.file for i in (*program.regions, *program.routes) if i.where.line]
        place, line = self.source.declaration(files[0] if files else "", keyword, name)
        if not place.line:
            line = f"{keyword} {name}"
        self.found.append(Diagnostic(message, place, line, max(1, len(word))))

    @cached_property
    def colors(self) -> dict[str, int]:
        """Color name -> number."""
        return dict(self.program.colors)

    @cached_property
    def bodies(self) -> dict[str, tuple[Statement, ...]]:
        """Procedure name -> statements."""
        return {procedure.name: procedure.body for procedure in self.program.procedures}

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """The entries of the schedule, each once if the turns of its loop are alike."""
        return tuple(distinct_transfers(self.program))

    @cached_property
    def edge_places(self) -> dict[tuple[Direction, str], int]:
        """(direction of a transfer, name) -> place of the edge tensor."""
        return edge_places(self.program.edge_tensors)

    def edge_tensor(self, transfer: Transfer) -> EdgeTensor:
        """What a transfer moves elements of."""
        place = self.edge_places[transfer.direction, transfer.tensor]
        return self.program.edge_tensors[place]

    @cached_property
    def rooms(self) -> tuple[Tensor, ...]:
        """The tensors in which the code of sections is."""
        return rooms(self.program)

    @cached_property
    def regions(self) -> dict[str, Region]:
        """Region name -> region."""
        return {region.name: region for region in self.program.regions}

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Tensor name -> tensor."""
        return {tensor.name: tensor for tensor in self.program.tensors}

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Constants and tensor addresses."""
        tensors = {tensor.name: tensor.address for tensor in self.program.tensors}
        return dict(self.program.constants) | tensors

    def environment(self, region: Region) -> dict[str, Any]:
        """Values of all static names: x as a row, y as a column, the others as integers."""
        return {
            **self.symbols,
            "x": np.arange(region.width)[None, :],
            "y": np.arange(region.height)[:, None],
            "W": region.width,
            "H": region.height,
        }

    def value(self, node: ex.Expr, environment: Mapping[str, Any], item: Item) -> Any:
        """The value of a static expression, or None after a report."""
        try:
            return ex.evaluate(node, environment)
        except ZeroDivisionError as error:
            self.say(f"{error} for some tile", item)
            return None
        except ex.TooLarge as error:
            self.say(str(error), item)
            return None

    def guard(self, node: ex.Expr | None, region: Region, item: Item) -> Mask:
        """Where a guard holds, as an array that broadcasts to (height, width)."""
        value = 1 if node is None else self.value(node, self.environment(region), item)
        return np.atleast_2d(np.asarray(0 if value is None else value) != 0)

    def guard_values(self, node: ex.Expr | None, env: Mapping[str, Any], item: Item) -> Any:
        """Where a guard holds under the values of ``env``."""
        value = 1 if node is None else self.value(node, env, item)
        return np.asarray(0 if value is None else value) != 0

    def tiles(self, region: Region) -> tuple[slice, slice]:
        """The region's tiles in an array of (program height, program width)."""
        rows = slice(region.top, region.top + region.height)
        return rows, slice(region.left, region.left + region.width)


def describe(item: Item) -> str:
    """One line of text for an object that no parser saw."""
    if isinstance(item, Op):
        return print_operation(item)
    if isinstance(item, Call | Loop | If):
        return print_statement(item).split("\n", maxsplit=1)[0]
    if isinstance(item, Transfer):
        return print_transfer(item)
    if isinstance(item, Update):
        return print_update(item)
    if isinstance(item, Route):
        guard = "" if item.guard is None else f" when {ex.show(item.guard)}"
        positions = " | ".join(map(show_position, item.positions))
        return f"route {item.color} in {item.region}{guard} : {positions}"
    return item.name


def first(mask: Mask) -> tuple[int, int]:
    """(x, y) of the first true entry of a mask over rows and columns."""
    y, x = np.unravel_index(int(np.argmax(mask)), mask.shape)
    return int(x), int(y)
