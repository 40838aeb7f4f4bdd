"""Counters of a run, from what an engine leaves."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wsc.isa.counted import StatementCycles
from wsc.isa.program import Location, Statement
from wsc.isa.statements import statements
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.runtime.counters import ColorLinks, Counters, Stall, longest_first
from wsc.runtime.image import Image
from wsc.runtime.observations.records import Observations, Reason
from wsc.runtime.tables import COUNTED, FABRIC, Kind

_QUEUES = (Reason.INPUT, Reason.OUTPUT)  # columns of ``Observations.stalls``
_COLUMN = {  # of the counters of a tile
    Reason.INPUT: "input",
    Reason.OUTPUT: "output",
    Reason.DYNAMIC: "output",
    Reason.SEMAPHORE: "waiting",
    Reason.UNIT: "waiting",
}


def collect(image: Image, seen: Observations, cycles: int) -> Counters:
    """Read the counters out of an engine's seen after ``cycles`` cycles."""
    shape = (image.program.height, image.program.width)
    table, waited = _waited(image, seen, cycles)
    stalls = table["input"] + table["output"] + table["waiting"]
    busy = np.minimum(table["busy"], cycles - stalls)
    idle = cycles - stalls - busy

    def grid(values: np.ndarray) -> np.ndarray:
        return values.reshape(*shape, *values.shape[1:])

    colors = _colors(image, seen, waited, shape)
    macs = int(table["macs_f32"].sum()), int(table["macs_f16"].sum())
    # The run may go on: what is counted here does not go on with it.
    dynamic = (
        seen.dynamic_links.copy() if image.code.sends else np.zeros((image.tiles, 5), np.int64)
    )
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
        energy_tiles=grid(_energy_tiles(image, seen, table, cycles)),
        utilization=_utilization(image, macs, cycles),
        statements=collect_statements(image, seen, cycles),
        stalls=_stalls(image, waited.rows),
        semaphores={
            number: grid(waited.semaphores[:, number])
            for number in np.nonzero(waited.semaphores.any(axis=0))[0].tolist()
        },
    )


@dataclass(frozen=True, slots=True)
class _Waited:
    """Cycles waited, those of waits that had not ended included.

    slots: as ``Observations.stalls``. semaphores: [tile, number]. rows: as ``Observations.waits``.
    """

    slots: np.ndarray
    semaphores: np.ndarray
    rows: np.ndarray


def _waited(image: Image, seen: Observations, cycles: int) -> tuple[np.ndarray, _Waited]:
    """The counters of the tiles, and all waits by cause, after ``cycles`` cycles."""
    table, stalls, rows = seen.counters.copy(), seen.stalls.copy(), seen.waits.copy()
    semaphores = seen.semaphores["waited"].reshape(image.tiles, -1).copy()
    main = seen.unit[:: seen.units]
    for reason, column in _COLUMN.items():  # waits that had not ended
        tiles = np.nonzero(main["reason"] == reason)[0]
        more, what = np.maximum(cycles - main["since"][tiles], 0), main["what"][tiles]
        np.add.at(rows[:, int(reason)], main["row"][tiles], more)
        table[column][tiles] += more
        if reason is Reason.SEMAPHORE:
            semaphores[tiles, what] += more
        elif reason in _QUEUES:
            stalls[what, _QUEUES.index(reason)] += more
    return table, _Waited(stalls, semaphores, rows)


def _stalls(image: Image, waits: np.ndarray) -> tuple[Stall, ...]:
    """The waits at the rows of the code, by line: regions have rows of their own for a line."""
    code, found = image.code, dict[tuple[Location, str, str, str, str, int], int]()
    starts, names = code.procedures
    for row, reason in np.argwhere(waits).tolist():
        color, number = _cause(image, row, Reason(reason))
        key = (
            code.where[row],
            names[bisect_right(starts, row) - 1],
            COUNTED[int(code.records.opcode[row])],
            Reason(reason).name.lower(),
            color,
            number,
        )
        found[key] = found.get(key, 0) + int(waits[row, reason])
    return longest_first(Stall(*key, cycles) for key, cycles in found.items())


def _cause(image: Image, row: int, reason: Reason) -> tuple[str, int]:
    """The color, and the number of the semaphore or unit, that a row of the code waits for."""
    rows, operands = image.code.records, image.code.operand_records
    if reason is Reason.SEMAPHORE:
        return "", int(rows.semaphore[row])
    if reason is Reason.UNIT:
        return "", int(rows.unit[row]) - 1
    if reason is Reason.DYNAMIC:
        return "", -1
    if rows.kind[row] == Kind.CONTROL:
        return image.program.colors[int(rows.color[row])][0], -1
    first, count = int(rows.operands[row]), int(rows.count[row])
    bounds = (first, first + 1) if reason is Reason.OUTPUT else (first + 1, first + count)
    mine = operands[slice(*bounds)]
    numbers = mine.color[mine.kind == FABRIC].tolist()
    names = dict.fromkeys(image.program.colors[number][0] for number in numbers)
    return "' or '".join(names), -1


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
        "hop": float(_hops(seen) + seen.dynamic_links[:, :4].sum()) * each["hop"],
        "io": float(seen.now["bytes_in"][0] + seen.now["bytes_out"][0]) * each["io_byte"],
        "static": image.tiles * cycles * each["static_tile_cycle"],
    }


def _energy_tiles(image: Image, seen: Observations, table: np.ndarray, cycles: int) -> np.ndarray:
    """Picojoules of each tile; a hop is the tile's that a wavelet leaves."""
    each = image.fabric.energy
    hops = np.zeros(image.tiles, np.int64)
    inside = seen.slots.next >= 0
    leaving = (seen.moves[:, :4] * inside).sum(axis=1)
    slots = int(image.routes.slot_first[-1])
    np.add.at(hops, image.routes.records.tile[:slots], leaving[:slots])
    if image.code.sends:
        hops += seen.dynamic_links[:, :4].sum(axis=1)
    return (
        table["macs_f32"] * each["multiply_accumulate_f32"]
        + table["macs_f16"] * each["multiply_accumulate_f16"]
        + (table["elements"] + table["scalars"]) * each["operation"]
        + table["sram"] * each["sram_byte"]
        + hops * each["hop"]
        + cycles * each["static_tile_cycle"]
    )


def _hops(seen: Observations) -> int:
    """Wavelets that went over a link between two tiles."""
    inside = seen.slots.next >= 0
    return int(seen.moves[:, :4][inside].sum())


def _colors(
    image: Image, seen: Observations, waited: _Waited, shape: tuple[int, int]
) -> tuple[ColorLinks, ...]:
    """The counts of the slots, spread over the tiles."""
    found: list[ColorLinks] = []
    slots = image.routes.records[: int(image.routes.slot_first[-1])]
    for number, (name, _) in enumerate(image.program.colors):
        mine = np.nonzero(slots.color == number)[0]
        wavelets, lost = np.zeros((2, image.tiles, 6), dtype=np.int64)
        wavelets[slots.tile[mine]] = seen.moves[mine]
        lost[slots.tile[mine]] = seen.lost[mine]
        stalls = np.zeros((image.tiles, 2), np.int64)
        stalls[slots.tile[mine]] = waited.slots[mine]
        inward, outward = stalls.T.reshape(2, *shape)
        links = wavelets.reshape(*shape, 6), lost.reshape(*shape, 6)
        found.append(ColorLinks(name, *links, inward, outward))
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
    needed = macs[0] / timing.peak(DType.F32) + macs[1] / timing.peak(DType.F16)
    return needed / max(image.tiles * cycles, 1)


def collect_statements(
    image: Image, seen: Observations, cycles: int
) -> tuple[StatementCycles, ...]:
    """The statements of main that ran, in the order of the text.

    One that some tile is still in, when a run is stopped, lasts until ``cycles``.
    """
    table = seen.statements[: len(image.code.statements)].copy()
    here = seen.tile["statement"] >= 0
    inside = seen.tile["statement"][here]
    table["end"][inside] = cycles
    np.add.at(table["inside"], inside, np.maximum(cycles - seen.tile["entered"][here], 0))
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
    """(cycles spent, cycles added) of each statement, over all stays at it.

    In a region whose tiles do not take the same stays, a statement of main counts as one with all
    that is nested in it, and these share what it adds as they share its busy cycles; each has spent
    the cycles that a tile was in it, in the mean.
    """
    code = image.code
    stays = seen.stays[: len(code.stays)].copy()
    at = seen.tile["stay"]
    stays["end"][at[(seen.tile["statement"] >= 0) & (at >= 0)]] = cycles
    spent, added = np.zeros((2, len(code.statements)), np.int64)
    latest = 0  # cycle in which the last tile has left all statements so far
    first = 0  # of the region's statements
    for region in image.program.regions:
        count = sum(1 for _ in statements(region.main))
        mine = np.arange(first, first + count)
        if code.first_stays[region.name] < 0:
            tiles = region.width * region.height
            spent[mine] = _shared(int(table["inside"][mine].sum()) // tiles, table["inside"][mine])
            for group in _groups(region.main, first):
                more = max(int(table["end"][group].max()) - latest, 0)
                added[group] = _shared(more, table["busy"][group])
                latest += more
        else:
            here = np.isin(code.stays, mine)
            order, times = code.stays[here], stays[here]
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
