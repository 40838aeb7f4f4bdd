"""What each transfer moves over the edge: elements at every port, bytes in all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa.expr import evaluate, names
from wsc.isa.program import Direction, Program, Transfer
from wsc.isa.types import Control, DType, Side


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a transfer moves. ports: elements at each port of its side, from x or y = 0 on.

    wavelets: the most at one port, control wavelets included. bytes: over all ports.
    """

    ports: np.ndarray
    wavelets: int
    bytes: int

    @property
    def elements(self) -> int:
        """Elements over all ports."""
        return int(self.ports.sum())


def static_environment(program: Program, width: int, height: int) -> dict[str, Any]:
    """Constants, tensor addresses, and the size of a region; x and y are left to the caller."""
    addresses = {tensor.name: tensor.address for tensor in program.tensors}
    return {**dict(program.constants), **addresses, "W": width, "H": height}


@dataclass(slots=True)
class Traffics:
    """What the transfers of a program move; those that differ in names alone are looked at once.

    known: what was found, by what transfers are but for names, and the type of their elements.
    alike: the same, by the objects that these are, with the first transfer of which they are.
    """

    program: Program
    known: dict[tuple[Hashable, ...], Traffic] = field(
        default_factory=dict[tuple[Hashable, ...], Traffic]
    )
    alike: dict[tuple[int, ...], tuple[Transfer, Traffic]] = field(
        default_factory=dict[tuple[int, ...], tuple[Transfer, Traffic]]
    )
    types: dict[str, DType] = field(init=False)
    static: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.static = static_environment(self.program, 0, 0)  # each region has its own size
        self.types = {tensor.name: tensor.dtype for tensor in self.program.edge_tensors}

    def of(self, transfer: Transfer) -> Traffic:
        """What one of them moves."""
        # What the turns of a loop have in common is one object in all of them: it is told by its
        # number, which stays its own as long as the transfer is kept that it is of.
        parts = (*transfer.unnamed, self.types[transfer.tensor])
        key = tuple(map(id, parts))
        found = self.alike.get(key)
        if found is None:
            if parts not in self.known:
                self.known[parts] = self._traffic(transfer)
            found = self.alike[key] = transfer, self.known[parts]
        return found[1]

    def _traffic(self, transfer: Transfer) -> Traffic:
        """Evaluate a transfer's extents at every port."""
        region = self.program.region(transfer.region)
        env = self.static | {"W": region.width, "H": region.height}
        across = transfer.side in (Side.NORTH, Side.SOUTH)
        count = region.width if across else region.height
        along = np.arange(count, dtype=np.int64)
        env["x"] = along if across else (0 if transfer.side is Side.WEST else region.width - 1)
        env["y"] = (0 if transfer.side is Side.NORTH else region.height - 1) if across else along
        open_ports = np.ones(count, bool)
        if transfer.guard is not None:
            open_ports = np.broadcast_to(np.asarray(evaluate(transfer.guard, env)) != 0, (count,))
        name, repeats = transfer.repeat or ("", 1)
        alike = all(name not in names(dim.extent) for dim in transfer.dims)
        if not alike:  # the verifier has bounded how many there may be
            env[name] = np.arange(repeats, dtype=np.int64)[:, None]
        size: Any = np.ones((1 if alike else repeats, count), np.int64)
        for dim in transfer.dims:
            size = size * np.maximum(evaluate(dim.extent, env), 0)
        rows = transfer.lookup.count if transfer.lookup is not None else 1
        rows *= repeats if alike else 1
        ports = np.where(open_ports, size.sum(axis=0) * rows, 0)
        controls = repeats * (transfer.then is not Control.NONE)
        controls += transfer.final is not Control.NONE
        width = self.types[transfer.tensor].bytes
        most = int(ports.max(initial=0)) + controls * bool(open_ports.any())
        return Traffic(ports, most, int(ports.sum()) * width)


def edge_bytes(each: Traffics, transfers: Iterable[Transfer]) -> dict[Direction, int]:
    """Bytes that these transfers move over the edge in each direction."""
    total = dict.fromkeys(Direction, 0)
    for transfer in transfers:
        total[transfer.direction] += each.of(transfer).bytes
    return total


def traffic(program: Program, transfer: Transfer) -> Traffic:
    """What a transfer moves, of a program of which no others are looked at."""
    return Traffics(program).of(transfer)
