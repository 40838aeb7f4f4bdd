"""What cores and the edge put into each color, and take from it, from beginning to end."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.program import Direction, Region, Transfer
from wsc.isa.types import Control, DType, Side
from wsc.isa.verify.context import Context
from wsc.isa.verify.follow import Traffic
from wsc.isa.verify.routes import side_length
from wsc.isa.verify.transfers import ports_of

Counts = npt.NDArray[np.int64]

MOST_REPETITIONS = 4_096  # of a transfer with control wavelets in between


@dataclass(frozen=True, slots=True)
class Piece:
    """Wavelets that cores or ports put into a color, one after the other: how many each puts.

    dtype: of their elements; None for control wavelets.
    """

    control: Control
    dtype: DType | None
    counts: Counts


Pieces = tuple[Piece, ...]


@dataclass(slots=True)
class Port:
    """What the edge does with a color on one side: plays it, and takes so many at each place.

    played: transfer by transfer; those that play the same share one object. taken: by the type of
    the elements.
    """

    played: list[Pieces] = field(default_factory=list[Pieces])
    taken: dict[DType, Counts] = field(default_factory=dict[DType, Counts])
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True)
class _Moved:
    """What a transfer moves: how many elements at each place of a side, and piece by piece.

    A drain plays nothing: of its pieces no one asks.
    """

    total: Counts
    played: Pieces


@dataclass
class Ends:
    """What cores and the edge put into each color and take from it.

    unknown: the colors of which only a run knows a count. moved: what transfers move that differ
    in names alone.
    """

    context: Context
    cores: dict[str, Traffic]
    unknown: set[str] = field(default_factory=set[str])
    ports: dict[tuple[str, Side], Port] = field(default_factory=dict[tuple[str, Side], Port])
    moved: dict[Hashable, _Moved] = field(default_factory=dict[Hashable, "_Moved"])

    def __post_init__(self) -> None:
        for traffic in self.cores.values():
            self.unknown |= {color for _, color in traffic.unknown}
        for transfer in self.context.played:
            self._transfer(transfer)

    def _transfer(self, transfer: Transfer) -> None:
        region = self.context.regions[transfer.region]
        count = transfer.repeat[1] if transfer.repeat else 1
        rows = transfer.lookup.count if transfer.lookup else 1
        controls = transfer.then is not Control.NONE or transfer.final is not Control.NONE
        if controls and not 0 < count * rows <= MOST_REPETITIONS:
            self.unknown.add(transfer.color)
            return
        dtype = self.context.edge_tensor(transfer).dtype
        moved = self._moved_by(transfer, region, dtype)
        port = self._port(transfer.color, transfer.side)
        port.transfer = transfer
        if transfer.direction is Direction.DRAIN:
            port.taken[dtype] = port.taken.get(dtype, 0) + moved.total
        else:
            port.played.append(moved.played)
        if transfer.lookup is not None:
            rows = transfer.lookup
            values = np.zeros(side_length(region, rows.side), np.int64)
            values[rows.port] = rows.count * count
            asked = self._port(rows.color, rows.side)
            asked.transfer = transfer
            line = self._line(region, rows.side, values)
            asked.taken[DType.I32] = asked.taken.get(DType.I32, 0) + line

    def _moved_by(self, transfer: Transfer, region: Region, dtype: DType) -> _Moved:
        """What a transfer moves. Those that differ in tensor, call and nodes move as much: they
        are looked at once, and share what is found."""
        side, rows = transfer.side, transfer.lookup.count if transfer.lookup else 1
        controls = transfer.then, transfer.final
        key = (
            (region.name, side, transfer.repeat),
            tuple(map(self.context.number, (transfer.dims, transfer.guard))),
            (dtype, rows, controls),
        )
        if key in self.moved:
            return self.moved[key]
        once, guard = self._repetitions(transfer, region)
        count = transfer.repeat[1] if transfer.repeat else 1
        total = self._line(region, side, once.sum(axis=0) * rows * (count if len(once) == 1 else 1))
        switch = self._line(region, side, guard)
        played: list[Piece] = []
        if transfer.then is Control.NONE:
            played.append(Piece(Control.NONE, dtype, total))
        else:
            # Repetitions that are alike share their line: there may be very many.
            lines = [self._line(region, side, part * rows) for part in once]
            for number in range(count):
                played.append(Piece(Control.NONE, dtype, lines[number % len(lines)]))
                played.append(Piece(transfer.then, None, switch))
        if transfer.final is not Control.NONE:
            played.append(Piece(transfer.final, None, switch))
        return self.moved.setdefault(key, _Moved(total, tuple(played)))

    def _repetitions(self, transfer: Transfer, region: Region) -> tuple[Counts, Counts]:
        """[repetitions, ports]: elements of each; one row where they are equal. And the guard."""
        env = ports_of(region, transfer.side, self.context)
        name, count = transfer.repeat or ("", 1)
        if any(name in ex.names(dim.extent) for dim in transfer.dims):
            env[name] = np.arange(count)[:, None]
        shape = (1, side_length(region, transfer.side))
        guard = self.context.guard_values(transfer.guard, env, transfer)
        guard = np.broadcast_to(guard, shape)[0].astype(np.int64)
        product = np.ones(shape, np.int64)
        for dim in transfer.dims:
            product = product * np.maximum(ex.evaluate(dim.extent, env), 0)
        return product * guard, guard

    def _port(self, color: str, side: Side) -> Port:
        return self.ports.setdefault((color, side), Port())

    def _line(self, region: Region, side: Side, values: Counts) -> Counts:
        """Values at the ports of a region as those of a whole side of the program."""
        program = self.context.program
        along_row = side in (Side.NORTH, Side.SOUTH)
        line = np.zeros(program.width if along_row else program.height, np.int64)
        start = region.left if along_row else region.top
        line[start : start + len(values)] = values
        return line
