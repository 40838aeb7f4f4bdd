"""The loaded image: a program as flat tables for one fabric, ready for any engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsc.isa.fabric import Fabric
from wsc.isa.machine import machine_of
from wsc.isa.program import Program, Transfer
from wsc.isa.shown import Facts, Shown
from wsc.isa.table import Timing
from wsc.isa.turns import plain_transfers, unrolled
from wsc.runtime.code import Code, flatten
from wsc.runtime.engine import BOTH, TIME
from wsc.runtime.errors import LoadError
from wsc.runtime.routes import Routes, build_routes, region_tiles
from wsc.runtime.schedule import Schedule, build_schedule
from wsc.runtime.sizes import require_for_program
from wsc.runtime.tables import DTYPES, Kind, Tcol
from wsc.runtime.weights import Mapped, Weights, open_weights

NO_REGION = -1


@dataclass(slots=True, repr=False)
class Image(Shown):
    """A loaded program. An engine copies what it changes, so an image can run again.

    tile_x, tile_y: coordinates within the tile's region. entry: first row of its main,
    -1 for tiles without region. timing: ``Tcol`` of each class, in the order of
    ``Timing``. data_bytes: bytes of SRAM kept for each tile. weight_bytes: bytes
    of memory that the weights take.
    """

    program: Program
    fabric: Fabric
    code: Code
    routes: Routes
    schedule: Schedule
    weights: dict[str, Mapped]
    tile_x: np.ndarray
    tile_y: np.ndarray
    tile_region: np.ndarray
    entry: np.ndarray
    regions: np.ndarray
    timing: np.ndarray
    data_bytes: int
    weight_bytes: int

    def _facts(self) -> Facts:
        return [
            ("program", repr(self.program)),
            ("weights", f"{self.weight_bytes:,} bytes"),
        ]

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The entries of the schedule, by number."""
        return plain_transfers(self.program)

    @property
    def tiles(self) -> int:
        """Tiles of the program's rectangle."""
        return self.program.width * self.program.height


def load(
    program: Program,
    fabric: Fabric | None = None,
    weights_dir: Path | None = None,
    max_memory: int | None = None,
    changed_weights: bool = False,
    engine: str = BOTH,
    checkpoint: Path | None = None,
) -> Image:
    """Flatten a program for a fabric and open its weights.

    Args:
        fabric: None takes the one that the program describes.
        weights_dir: folder of the weight files; None stands for the current one.
        max_memory: bytes that a run of it may take; None stands for what the machine has free.
        changed_weights: take weights that are not those that the program was saved with.
        engine: the one that will run it; what a run takes depends on it. The one for time alone
            takes neither weights nor SRAM.
        checkpoint: folder of files of weights that are not in ``weights_dir``.

    Raises:
        LoadError: the program breaks a limit of the fabric, or a weight is missing or changed.
        MemoryLimit: a run would take more than ``max_memory``.
        wsc.isa.fabric.FabricError: the fabric that the program names cannot be read.
    """
    try:
        program = unrolled(program)
    except ValueError as error:
        raise LoadError(str(error)) from error
    machine = fabric or machine_of(program, weights_dir)
    if program.width > machine.width or program.height > machine.height:
        raise LoadError(
            f"the program wants {program.width}x{program.height} tiles; fabric "
            f"'{machine.name}' has {machine.width}x{machine.height}"
        )
    data_bytes = _data_bytes(program, machine)
    require_for_program(program, machine, data_bytes, engine, max_memory)
    code = flatten(program, machine)
    if code.sends and not machine.dynamic:
        raise LoadError(f"the program sends, but fabric '{machine.name}' has no dynamic network")
    control = code.records.kind == Kind.CONTROL
    sent = frozenset(code.records.color[control].tolist())
    routes = build_routes(program, machine, sent)
    schedule = build_schedule(program, routes, max_memory)
    tiles = program.width * program.height
    tile_x, tile_y = np.zeros(tiles, np.int32), np.zeros(tiles, np.int32)
    owner, entry = np.full(tiles, NO_REGION, np.int32), np.full(tiles, -1, np.int32)
    for number, region in enumerate(program.regions):
        grid = region_tiles(program, region)
        if (owner[grid] != NO_REGION).any():
            raise LoadError(f"region '{region.name}' overlaps another")
        tile_x[grid] = np.arange(region.width)[None, :]
        tile_y[grid] = np.arange(region.height)[:, None]
        owner[grid], entry[grid] = number, code.entries[region.name]
    room = None if max_memory is None else max_memory // 4
    opened = Weights({}, 0)
    if engine != TIME:
        opened = open_weights(program, weights_dir or Path(), changed_weights, room, checkpoint)
    regions = np.array(
        [(r.left, r.top, r.width, r.height) for r in program.regions] or [(0, 0, 0, 0)], np.int32
    )
    return Image(
        program=program,
        fabric=machine,
        code=code,
        routes=routes,
        schedule=schedule,
        weights=opened.tensors,
        tile_x=tile_x,
        tile_y=tile_y,
        tile_region=owner,
        entry=entry,
        regions=regions,
        timing=_timing(machine),
        data_bytes=data_bytes,
        weight_bytes=opened.memory,
    )


def _timing(machine: Fabric) -> np.ndarray:
    table = np.ones((len(Timing), Tcol.CYCLES + 1), dtype=np.int64)
    for number, timing in enumerate(machine.timing[row] for row in Timing):
        for queue in (False, True):
            place = Tcol.QUEUE * queue
            table[number, place] = timing.start(queue)
            if timing.group:
                lanes = [timing.lanes(dtype, queue) for dtype in DTYPES]
                table[number, place + Tcol.GROUP : place + Tcol.GROUP + len(lanes)] = lanes
        table[number, Tcol.CYCLES] = timing.cycles
    return table


def _data_bytes(program: Program, machine: Fabric) -> int:
    """SRAM kept for each tile: up to the last tensor, or all of it if none is declared."""
    if not program.tensors:
        return machine.sram_bytes // 8 * 8
    top = max(tensor.address + tensor.bytes for tensor in program.tensors)
    if top > machine.sram_bytes:
        raise LoadError(
            f"tensors reach byte {top}; a tile of fabric '{machine.name}' has {machine.sram_bytes}"
        )
    return -(-top // 8) * 8
