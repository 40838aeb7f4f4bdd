"""What a run counts: cycles by cause, work done, traffic, energy, and cycles by statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wsc.isa.program import Statement, statements
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.runtime.code import MainStatement
from wsc.runtime.routes import Scol
from wsc.runtime.tables import COUNTED

if TYPE_CHECKING:
    from wsc.runtime.engine.layout import State
    from wsc.runtime.image import Image


@dataclass(frozen=True, slots=True)
class StatementCycles:
    """One statement of some region's main: an operation, call, loop head or guard.

    start, end: first cycle in which a tile was at it, and the cycle in which the last
    one left it. busy: busy cycles of main threads in it, summed over tiles. macs,
    elements: multiply-accumulates and all vector elements that it executed, those of
    its stream units included. spent: cycles from the first tile's start to the last one's
    end, summed over the turns of loops. added: cycles by which it made the run longer: from
    the cycle in which the last tile had left all before it to the one in which the last has
    left it, likewise. Those of all statements sum to the cycle in which the last tile ended.
    """

    statement: MainStatement
    start: int
    end: int
    busy: int
    macs: int
    elements: int
    spent: int = 0
    added: int = 0


@dataclass(frozen=True, slots=True)
class ColorLinks:
    """Traffic of one color: arrays [height, width, 6], sides as in ``Counters.links``.

    wavelets: that left. lost: cycles in which one could have left, but another color took
    the link.
    """

    color: str
    wavelets: np.ndarray
    lost: np.ndarray


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of one run; per-tile arrays have the shape [height, width].

    busy, stalled_input, stalled_output, waiting, idle: cycles of each main thread; they
    sum to ``cycles``. waiting is for a semaphore or a stream unit, idle after its end.
    links: wavelets that left each tile on N, E, S, W, to its core, and from its core
    [height, width, 6]; dynamic_links: N, E, S, W and to the core, headers included.
    colors: the same by color, and the cycles that each color could have taken the link
    but another took it.
    energy: picojoules by cause.
    """

    cycles: int
    busy: np.ndarray
    stalled_input: np.ndarray
    stalled_output: np.ndarray
    waiting: np.ndarray
    idle: np.ndarray
    unit_busy: np.ndarray
    macs_f32: int
    macs_f16: int
    elements: int
    instructions: dict[str, int]
    links: np.ndarray
    colors: tuple[ColorLinks, ...]
    dynamic_links: np.ndarray
    io_bytes_in: int
    io_bytes_out: int
    sram_bytes: int
    sram_high_water: int
    energy: dict[str, float]
    utilization: float
    statements: tuple[StatementCycles, ...] = field(repr=False, default=())

    @property
    def busy_fraction(self) -> float:
        """Busy cycles of main threads over tiles x cycles."""
        return float(self.busy.sum()) / max(self.busy.size * self.cycles, 1)

    def as_dict(self) -> dict[str, Any]:
        """The totals, ready for JSON."""
        return {
            "cycles": self.cycles,
            "busy": int(self.busy.sum()),
            "stalled_input": int(self.stalled_input.sum()),
            "stalled_output": int(self.stalled_output.sum()),
            "waiting": int(self.waiting.sum()),
            "idle": int(self.idle.sum()),
            "macs": self.macs_f32 + self.macs_f16,
            "elements": self.elements,
            "instructions": self.instructions,
            "wavelet_hops": int(self.links[..., :4].sum()),
            "colors": {
                links.color: {"wavelets": int(links.wavelets.sum()), "lost": int(links.lost.sum())}
                for links in self.colors
            },
            "dynamic_hops": int(self.dynamic_links[..., :4].sum()),
            "io_bytes_in": self.io_bytes_in,
            "io_bytes_out": self.io_bytes_out,
            "sram_high_water": self.sram_high_water,
            "energy_picojoules": sum(self.energy.values()),
            "utilization": self.utilization,
            "busy_fraction": self.busy_fraction,
        }

    def per_tile(self) -> dict[str, Any]:
        """The arrays [height][width], ready for JSON."""
        arrays = {
            "busy": self.busy, "stalled_input": self.stalled_input,
            "stalled_output": self.stalled_output, "waiting": self.waiting, "idle": self.idle,
            "stream_units_busy": self.unit_busy,
        }  # fmt: skip
        sides = ("north", "east", "south", "west", "to_core", "from_core")
        return {
            **{name: array.tolist() for name, array in arrays.items()},
            "wavelets": {side: self.links[..., i].tolist() for i, side in enumerate(sides)},
            "colors": {
                links.color: {
                    what: {
                        side: counts[..., i].tolist()
                        for i, side in enumerate(sides)
                        if counts[..., i].any()
                    }
                    for what, counts in (("wavelets", links.wavelets), ("lost", links.lost))
                }
                for links in self.colors
            },
            "dynamic_wavelets": {
                side: self.dynamic_links[..., i].tolist() for i, side in enumerate(sides[:5])
            },
        }


def collect(image: Image, state: State, cycles: int) -> Counters:
    """Read the counters out of an engine's state after ``cycles`` cycles."""
    from wsc.runtime.engine.layout import C, G, Reason, T, U

    shape = (image.program.height, image.program.width)
    table, units = state.counters.copy(), int(state.g[G.UNITS])
    main = state.unit[::units]
    columns = {
        Reason.INPUT: C.INPUT, Reason.OUTPUT: C.OUTPUT, Reason.DYNAMIC: C.OUTPUT,
        Reason.SEMAPHORE: C.WAITING, Reason.UNIT: C.WAITING,
    }  # fmt: skip
    for reason, column in columns.items():  # waits that had not ended
        held = main[:, U.REASON] == reason
        table[held, column] += np.maximum(cycles - main[held, U.SINCE], 0)
    stalls = table[:, [C.INPUT, C.OUTPUT, C.WAITING]].sum(axis=1)
    busy = np.minimum(table[:, C.BUSY], cycles - stalls)
    idle = cycles - stalls - busy

    def grid(values: np.ndarray) -> np.ndarray:
        return values.reshape(*shape, *values.shape[1:])

    colors = _colors(image, state, shape)
    macs = int(table[:, C.MACS_F32].sum()), int(table[:, C.MACS_F16].sum())
    dynamic = state.dyn_links if image.code.sends else np.zeros((image.tiles, 5), np.int64)
    return Counters(
        cycles=cycles, busy=grid(busy), stalled_input=grid(table[:, C.INPUT]),
        stalled_output=grid(table[:, C.OUTPUT]), waiting=grid(table[:, C.WAITING]),
        idle=grid(idle), unit_busy=grid(table[:, C.UNIT_BUSY]),
        macs_f32=macs[0], macs_f16=macs[1], elements=int(table[:, C.ELEMENTS].sum()),
        instructions={
            name: int(count) for name, count in zip(COUNTED, state.counted, strict=True) if count
        },
        links=sum((c.wavelets for c in colors), np.zeros((*shape, 6), np.int64)),
        colors=colors, dynamic_links=grid(dynamic),
        io_bytes_in=int(state.g[G.BYTES_IN]), io_bytes_out=int(state.g[G.BYTES_OUT]),
        sram_bytes=int(table[:, C.SRAM].sum()),
        sram_high_water=int(state.tile[:, T.TOP].max(initial=0)),
        energy=_energy(image, state, table, cycles), utilization=_utilization(image, macs, cycles),
        statements=collect_statements(image, state, cycles),
    )  # fmt: skip


def _energy(image: Image, state: State, table: np.ndarray, cycles: int) -> dict[str, float]:
    from wsc.runtime.engine.layout import C, G

    each = image.fabric.energy
    operations = int(table[:, C.ELEMENTS].sum() + table[:, C.SCALARS].sum())
    return {
        "multiply_accumulate": float(
            table[:, C.MACS_F32].sum() * each["multiply_accumulate_f32"]
            + table[:, C.MACS_F16].sum() * each["multiply_accumulate_f16"]
        ),
        "operation": operations * each["operation"],
        "sram": float(table[:, C.SRAM].sum()) * each["sram_byte"],
        "hop": float(_hops(state) + state.dyn_links[:, :4].sum()) * each["hop"],
        "io": float(state.g[G.BYTES_IN] + state.g[G.BYTES_OUT]) * each["io_byte"],
        "static": image.tiles * cycles * each["static_tile_cycle"],
    }


def _hops(state: State) -> int:
    """Wavelets that went over a link between two tiles."""
    inside = state.slots[:, Scol.NEXT : Scol.NEXT + 4] >= 0
    return int(state.moves[:, :4][inside].sum())


def _colors(image: Image, state: State, shape: tuple[int, int]) -> tuple[ColorLinks, ...]:
    """The counts of the slots, spread over the tiles."""
    found: list[ColorLinks] = []
    slots = image.routes.slots[: int(image.routes.slot_first[-1])]
    for number, (name, _) in enumerate(image.program.colors):
        mine = np.nonzero(slots[:, Scol.COLOR] == number)[0]
        wavelets, lost = np.zeros((2, image.tiles, 6), dtype=np.int64)
        wavelets[slots[mine, Scol.TILE]] = state.moves[mine]
        lost[slots[mine, Scol.TILE]] = state.lost[mine]
        found.append(ColorLinks(name, wavelets.reshape(*shape, 6), lost.reshape(*shape, 6)))
    return tuple(found)


def _utilization(image: Image, macs: tuple[int, int], cycles: int) -> float:
    """Multiply-accumulates of the network over those that tiles x cycles could have done.

    The text says how many there are; without that, as in programs written by hand, those that
    were done count.
    """
    timing = image.fabric.timing[Timing.MULTIPLY_ACCUMULATE]
    program = image.program
    if program.work is not None:
        macs = (program.work, 0) if program.precision is DType.F32 else (0, program.work)
    needed = (
        macs[0] * timing.cycles / timing.group[DType.F32]
        + macs[1] * timing.cycles / timing.group[DType.F16]
    )
    return needed / max(image.tiles * cycles, 1)


def collect_statements(image: Image, state: State, cycles: int) -> tuple[StatementCycles, ...]:
    """The statements of main that ran, in the order of the text.

    One that some tile is still in, when a run is stopped, lasts until ``cycles``.
    """
    from wsc.runtime.engine.layout import P, T

    table = state.statements[: len(image.code.statements)].copy()
    inside = np.unique(state.tile[:, T.STATEMENT])
    table[inside[inside >= 0], P.END] = cycles
    spent, added = _by_pass(image, state, table, cycles)
    return tuple(
        StatementCycles(statement, *row, spent=int(spent[number]), added=int(added[number]))
        for number, (statement, row) in enumerate(
            zip(image.code.statements, table.tolist(), strict=True)
        )
        if row[P.END] > 0 or row[P.BUSY] > 0
    )


def _by_pass(
    image: Image, state: State, table: np.ndarray, cycles: int
) -> tuple[np.ndarray, np.ndarray]:
    """(cycles spent, cycles added) of each statement, over all passes through it.

    In a region whose tiles do not take the same passes, a statement of main counts as one with all
    that is nested in it, and these share what it adds as they share its busy cycles.
    """
    from wsc.runtime.engine.layout import P, T

    code = image.code
    passes = state.passes[: len(code.passes)].copy()
    at = state.tile[:, T.PASS]
    passes[at[(state.tile[:, T.STATEMENT] >= 0) & (at >= 0)], 1] = cycles
    spent, added = np.zeros((2, len(code.statements)), np.int64)
    latest = 0  # cycle in which the last tile has left all statements so far
    first = 0  # of the region's statements
    for region in image.program.regions:
        count = sum(1 for _ in statements(region.main))
        mine = np.arange(first, first + count)
        if code.first_passes[region.name] < 0:
            spent[mine] = np.maximum(table[mine, P.END] - table[mine, P.START], 0)
            for group in _groups(region.main, first):
                more = max(int(table[group, P.END].max()) - latest, 0)
                added[group] = _shared(more, table[group, P.BUSY])
                latest += more
        else:
            here = np.isin(code.passes, mine)
            order, times = code.passes[here], passes[here]
            np.add.at(spent, order, np.maximum(times[:, 1] - times[:, 0], 0))
            ends = np.maximum.accumulate(np.maximum(times[:, 1], latest))
            np.add.at(added, order, np.diff(ends, prepend=latest))
            latest = int(ends[-1]) if len(ends) else latest
        first += count
    return spent, added


def _groups(body: Iterable[Statement], first: int) -> Iterator[slice]:
    """The numbers of each statement of a main, with those nested in it, in the text's order."""
    for statement in body:
        count = sum(1 for _ in statements((statement,)))
        yield slice(first, first + count)
        first += count


def _shared(whole: int, parts: np.ndarray) -> np.ndarray:
    """A number shared out in proportion to the parts, in whole numbers that sum to it."""
    total = int(parts.sum())
    if not total:
        return np.eye(1, len(parts), dtype=np.int64)[0] * whole
    ends = np.cumsum(parts) * whole // total
    return np.diff(ends, prepend=0)
