"""Counters of a run, from what an engine leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from wsc.isa.counted import StatementCycles
from wsc.isa.program import Statement
from wsc.isa.statements import statements
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.runtime.counters import ColorLinks, Counters
from wsc.runtime.image import Image
from wsc.runtime.observations.records import Observations, Reason
from wsc.runtime.routes import Scol
from wsc.runtime.tables import COUNTED


def collect(image: Image, seen: Observations, cycles: int) -> Counters:
    """Read the counters out of an engine's seen after ``cycles`` cycles."""
    shape = (image.program.height, image.program.width)
    table, main = seen.counters.copy(), seen.unit[:: seen.units]
    columns = {
        Reason.INPUT: "input",
        Reason.OUTPUT: "output",
        Reason.DYNAMIC: "output",
        Reason.SEMAPHORE: "waiting",
        Reason.UNIT: "waiting",
    }
    for reason, column in columns.items():  # waits that had not ended
        held = main["reason"] == reason
        table[column][held] += np.maximum(cycles - main["since"][held], 0)
    stalls = table["input"] + table["output"] + table["waiting"]
    busy = np.minimum(table["busy"], cycles - stalls)
    idle = cycles - stalls - busy

    def grid(values: np.ndarray) -> np.ndarray:
        return values.reshape(*shape, *values.shape[1:])

    colors = _colors(image, seen, shape)
    macs = int(table["macs_f32"].sum()), int(table["macs_f16"].sum())
    dynamic = seen.dyn_links if image.code.sends else np.zeros((image.tiles, 5), np.int64)
    return Counters(
        cycles=cycles,
        busy=grid(busy),
        stalled_input=grid(table["input"]),
        stalled_output=grid(table["output"]),
        waiting=grid(table["waiting"]),
        idle=grid(idle),
        unit_busy=grid(table["unit_busy"]),
        macs_f32=macs[0],
        macs_f16=macs[1],
        elements=int(table["elements"].sum()),
        instructions={
            name: int(count) for name, count in zip(COUNTED, seen.counted, strict=True) if count
        },
        links=sum((c.wavelets for c in colors), np.zeros((*shape, 6), np.int64)),
        colors=colors,
        dynamic_links=grid(dynamic),
        io_bytes_in=int(seen.now["bytes_in"][0]),
        io_bytes_out=int(seen.now["bytes_out"][0]),
        sram_bytes=int(table["sram"].sum()),
        sram_high_water=int(seen.tile["top"].max(initial=0)),
        energy=_energy(image, seen, table, cycles),
        utilization=_utilization(image, macs, cycles),
        statements=collect_statements(image, seen, cycles),
    )


def _energy(image: Image, seen: Observations, table: np.ndarray, cycles: int) -> dict[str, float]:
    each = image.fabric.energy
    operations = int(table["elements"].sum() + table["scalars"].sum())
    return {
        "multiply_accumulate": float(
            table["macs_f32"].sum() * each["multiply_accumulate_f32"]
            + table["macs_f16"].sum() * each["multiply_accumulate_f16"]
        ),
        "operation": operations * each["operation"],
        "sram": float(table["sram"].sum()) * each["sram_byte"],
        "hop": float(_hops(seen) + seen.dyn_links[:, :4].sum()) * each["hop"],
        "io": float(seen.now["bytes_in"][0] + seen.now["bytes_out"][0]) * each["io_byte"],
        "static": image.tiles * cycles * each["static_tile_cycle"],
    }


def _hops(seen: Observations) -> int:
    """Wavelets that went over a link between two tiles."""
    inside = seen.slots[:, Scol.NEXT : Scol.NEXT + 4] >= 0
    return int(seen.moves[:, :4][inside].sum())


def _colors(image: Image, seen: Observations, shape: tuple[int, int]) -> tuple[ColorLinks, ...]:
    """The counts of the slots, spread over the tiles."""
    found: list[ColorLinks] = []
    slots = image.routes.slots[: int(image.routes.slot_first[-1])]
    for number, (name, _) in enumerate(image.program.colors):
        mine = np.nonzero(slots[:, Scol.COLOR] == number)[0]
        wavelets, lost = np.zeros((2, image.tiles, 6), dtype=np.int64)
        wavelets[slots[mine, Scol.TILE]] = seen.moves[mine]
        lost[slots[mine, Scol.TILE]] = seen.lost[mine]
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


def collect_statements(
    image: Image, seen: Observations, cycles: int
) -> tuple[StatementCycles, ...]:
    """The statements of main that ran, in the order of the text.

    One that some tile is still in, when a run is stopped, lasts until ``cycles``.
    """
    table = seen.statements[: len(image.code.statements)].copy()
    inside = np.unique(seen.tile["statement"])
    table["end"][inside[inside >= 0]] = cycles
    spent, added = _by_pass(image, seen, table, cycles)
    return tuple(
        StatementCycles(statement, *row, spent=int(spent[number]), added=int(added[number]))
        for number, (statement, row) in enumerate(
            zip(image.code.statements, table.tolist(), strict=True)
        )
        if row[1] > 0 or row[2] > 0
    )


def _by_pass(
    image: Image, seen: Observations, table: np.ndarray, cycles: int
) -> tuple[np.ndarray, np.ndarray]:
    """(cycles spent, cycles added) of each statement, over all passes through it.

    In a region whose tiles do not take the same passes, a statement of main counts as one with all
    that is nested in it, and these share what it adds as they share its busy cycles.
    """
    code = image.code
    passes = seen.passes[: len(code.passes)].copy()
    at = seen.tile["passing"]
    passes["end"][at[(seen.tile["statement"] >= 0) & (at >= 0)]] = cycles
    spent, added = np.zeros((2, len(code.statements)), np.int64)
    latest = 0  # cycle in which the last tile has left all statements so far
    first = 0  # of the region's statements
    for region in image.program.regions:
        count = sum(1 for _ in statements(region.main))
        mine = np.arange(first, first + count)
        if code.first_passes[region.name] < 0:
            spent[mine] = np.maximum(table["end"][mine] - table["start"][mine], 0)
            for group in _groups(region.main, first):
                more = max(int(table["end"][group].max()) - latest, 0)
                added[group] = _shared(more, table["busy"][group])
                latest += more
        else:
            here = np.isin(code.passes, mine)
            order, times = code.passes[here], passes[here]
            np.add.at(spent, order, np.maximum(times["end"] - times["start"], 0))
            ends = np.maximum.accumulate(np.maximum(times["end"], latest))
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
