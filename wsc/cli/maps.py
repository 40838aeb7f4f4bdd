"""Heat maps of the fabric in characters: what tiles and links did, for any terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from wsc.cli.common import console

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.runtime.counters import Counters

SHADES = " .:-=+*#%@"  # from nothing to the most
MOST = (64, 32)  # marks across and down
SIDES = ("N", "E", "S", "W")
KINDS = {
    "busy": "busy cycles of main threads",
    "stall": "cycles that main threads stood still",
    "links": "wavelets that left over the busiest of the four links of a tile",
    "sram": "bytes of SRAM",
}
map_option = click.option(
    "--map",
    "maps",
    type=click.Choice(list(KINDS)),
    multiple=True,
    help="Show the fabric as a heat map of characters. May be repeated.",
)


def show_maps(kinds: tuple[str, ...], program: Program, counters: Counters) -> None:
    """Each heat map that was asked for, with its scale and what is outstanding in it."""
    for kind in kinds:
        if kind == "busy":
            notes = _outstanding(counters.busy)
            show_map(kind, counters.busy, notes)
        elif kind == "stall":
            stalls = counters.stalled_input + counters.stalled_output + counters.waiting
            show_map(kind, stalls, _stall_notes(stalls, counters))
        elif kind == "links":
            show_map(kind, counters.links[..., :4].max(axis=-1), _link_notes(counters))
        else:
            show_sram(program)


def show_sram(program: Program) -> None:
    """The heat map of SRAM, which needs no run."""
    from wsc.views.inspect import held_bytes

    held = held_bytes(program.assembly, program.fabric)
    limit = program.fabric.sram_bytes
    show_map("sram", held, [*_outstanding(held), f"a tile has {limit:,} bytes"])


def show_map(kind: str, grid: np.ndarray, notes: list[str]) -> None:
    """A grid [height, width] as marks; of a large one each mark is the mean of a block of tiles."""
    screen = console()
    height, width = grid.shape
    block = max(-(-width // MOST[0]), -(-height // MOST[1]), 1)
    means = _blocks(grid, block)
    most = float(means.max(initial=0.0))
    of = f", mean of {block}x{block} tiles" if block > 1 else ""
    screen.print(f"\n{KINDS[kind]}{of}: blank is 0, {SHADES[-1]} is {most:,.0f}")
    screen.print("+" + "-" * means.shape[1] + "+")
    for row in means:
        screen.print("|" + "".join(_mark(value, most) for value in row.tolist()) + "|")
    screen.print("+" + "-" * means.shape[1] + "+")
    for note in notes:
        screen.print(note)


def _mark(value: float, most: float) -> str:
    """The mark of a value: what is not nothing never looks like it."""
    if value <= 0 or most <= 0:
        return SHADES[0]
    last = len(SHADES) - 1
    return SHADES[max(min(int(value / most * last + 0.5), last), 1)]


def _blocks(grid: np.ndarray, block: int) -> np.ndarray:
    """The mean over each block of tiles; those at the edge may be smaller."""
    rows = np.arange(0, grid.shape[0], block)
    columns = np.arange(0, grid.shape[1], block)
    sums = np.add.reduceat(np.add.reduceat(grid.astype(np.float64), rows, 0), columns, 1)
    heights: np.ndarray = np.minimum(grid.shape[0] - rows, block)
    widths: np.ndarray = np.minimum(grid.shape[1] - columns, block)
    return sums / (heights[:, None] * widths)


def _outstanding(grid: np.ndarray) -> list[str]:
    """Where the most and the least is."""
    (y, x), (j, i) = (_place(grid, at) for at in (grid.argmax(), grid.argmin()))
    return [f"most {grid[y, x]:,} at tile ({x}, {y}), least {grid[j, i]:,} at ({i}, {j})"]


def _place(grid: np.ndarray, at: Any) -> tuple[int, int]:
    y, x = np.unravel_index(int(at), grid.shape)
    return int(y), int(x)


def _stall_notes(stalls: np.ndarray, counters: Counters) -> list[str]:
    """Where threads stood still most, and what for over all tiles."""
    longest = [
        f"{stall.cycles:,} of {int(stalls.sum()):,} cycles: line {stall.where.line or '?'}, "
        f"{stall.instruction} waits for {stall.waits_for}"
        for stall in counters.stalls[:3]
    ]
    return [*_outstanding(stalls), *longest]


def _link_notes(counters: Counters) -> list[str]:
    """The busiest link, and its colors."""
    links = counters.links[..., :4]
    if not links.any():
        return ["no wavelet went over a link"]
    y, x, side = (int(place) for place in np.unravel_index(int(links.argmax()), links.shape))
    colors = {item.color: int(item.wavelets[y, x, side]) for item in counters.colors}
    most = sorted(colors.items(), key=lambda item: -item[1])
    named = ", ".join(f"{count:,} of '{color}'" for color, count in most[:3] if count)
    share = links[y, x, side] / max(counters.cycles, 1)
    return [
        f"busiest: tile ({x}, {y}) to {SIDES[side]}, {links[y, x, side]:,} wavelets in "
        f"{counters.cycles:,} cycles ({share:.0%}): {named}"
    ]
