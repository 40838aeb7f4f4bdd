"""Heat maps of the fabric: what tiles and links did, in characters and as a picture."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.errors import CompileError
from wsc.isa.diagnostics import nearest
from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.shown import Facts, Shown, escaped
from wsc.views.inspect import held_bytes

SHADES = " .:-=+*#%@"  # from nothing to the most
MOST = (64, 32)  # marks across and down
SIDES = ("N", "E", "S", "W")
SRAM = "sram"
KINDS = {
    "busy": "busy cycles of main threads",
    "stall": "cycles that main threads stood still",
    "links": "wavelets that left over the busiest of the four links of a tile",
    SRAM: "bytes of SRAM",
}
_CELL = 12  # pixels of a mark of the picture


@dataclass(frozen=True, slots=True, repr=False)
class HeatMap(Shown):
    """A number for each tile. kind: a key of ``KINDS``. grid: [height, width]. notes: sentences on
    what is outstanding.

    Its text and its picture show a large mesh by blocks of tiles, of each the mean.
    """

    kind: str
    grid: np.ndarray
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The map in characters, with its scale and its notes."""
        means, most = self._means()
        frame = "+" + "-" * means.shape[1] + "+"
        scale = f"blank is 0, {SHADES[-1]} is {most:,.0f}"
        rows = ("|" + "".join(_mark(value, most) for value in row) + "|" for row in means.tolist())
        return [f"{self._title()}: {scale}", frame, *rows, frame, *self.notes]

    def _facts(self) -> Facts:
        height, width = self.grid.shape
        return [
            (self.kind, KINDS[self.kind]),
            ("tiles", f"{width}x{height}"),
            *[("", n) for n in self.notes],
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        means, most = self._means()
        height, width = means.shape
        cells = "".join(
            f'<rect x="{x * _CELL}" y="{y * _CELL}" width="{_CELL}" height="{_CELL}" '
            f'fill-opacity="{value / most if most else 0:.3f}"><title>{value:,.0f}</title></rect>'
            for y, row in enumerate(means.tolist())
            for x, value in enumerate(row)
        )
        notes = "<br>".join(html.escape(escaped(note)) for note in self.notes)
        size = f'width="{width * _CELL + 2}" height="{height * _CELL + 2}"'
        box = f'viewBox="-1 -1 {width * _CELL + 2} {height * _CELL + 2}"'
        return (
            f"<p>{html.escape(self._title())}: white is 0, full color is {most:,.0f}</p>"
            f'<svg {size} {box} fill="#c2410c" stroke="#8888" stroke-width="0.5">{cells}</svg>'
            f"<p>{notes}</p>"
        )

    def _block(self) -> int:
        """Tiles along each side of a mark."""
        height, width = self.grid.shape
        return max(-(-width // MOST[0]), -(-height // MOST[1]), 1)

    def _title(self) -> str:
        block = self._block()
        return KINDS[self.kind] + (f", mean of {block}x{block} tiles" if block > 1 else "")

    def _means(self) -> tuple[np.ndarray, float]:
        """The mean over each block of tiles, and the most; those at the edge may be smaller."""
        grid, block = self.grid, self._block()
        rows = np.arange(0, grid.shape[0], block)
        columns = np.arange(0, grid.shape[1], block)
        sums = np.add.reduceat(np.add.reduceat(grid.astype(np.float64), rows, 0), columns, 1)
        heights: np.ndarray = np.minimum(grid.shape[0] - rows, block)
        widths: np.ndarray = np.minimum(grid.shape[1] - columns, block)
        means = sums / (heights[:, None] * widths)
        return means, float(means.max(initial=0.0))


def heat_map(kind: str, program: Program, fabric: Fabric, counters: Any) -> HeatMap:
    """A heat map of a run. kind: a key of ``KINDS``. counters: of the run; ``sram`` needs none.

    Raises:
        CompileError: there is no such kind.
    """
    if kind == SRAM:
        return sram_map(program, fabric)
    makers: dict[str, Callable[[Any], HeatMap]] = {"busy": _busy, "stall": _stall, "links": _links}
    if kind not in makers:
        near = nearest(str(kind), KINDS) or f": there are {', '.join(KINDS)}"
        raise CompileError(f"there is no heat map '{kind}'{near}")
    return makers[kind](counters)


def sram_map(program: Program, fabric: Fabric) -> HeatMap:
    """The bytes that each tile holds, which need no run."""
    held = held_bytes(program, fabric)
    return HeatMap(SRAM, held, (_outstanding(held), f"a tile has {fabric.sram_bytes:,} bytes"))


def _busy(counters: Any) -> HeatMap:
    return HeatMap("busy", counters.busy, (_outstanding(counters.busy),))


def _stall(counters: Any) -> HeatMap:
    """Where threads stood still most, and what for over all tiles."""
    stalls = counters.stalled_input + counters.stalled_output + counters.waiting
    longest = [
        f"{stall.cycles:,} of {int(stalls.sum()):,} cycles: line {stall.where.line or '?'}, "
        f"{stall.instruction} waits for {stall.waits_for}"
        for stall in counters.stalls[:3]
    ]
    return HeatMap("stall", stalls, (_outstanding(stalls), *longest))


def _links(counters: Any) -> HeatMap:
    """The busiest link, and its colors."""
    links = counters.links[..., :4]
    grid = links.max(axis=-1)
    if not links.any():
        return HeatMap("links", grid, ("no wavelet went over a link",))
    y, x, side = (int(place) for place in np.unravel_index(int(links.argmax()), links.shape))
    colors = {item.color: int(item.wavelets[y, x, side]) for item in counters.colors}
    most = sorted(colors.items(), key=lambda item: -item[1])
    named = ", ".join(f"{count:,} of '{color}'" for color, count in most[:3] if count)
    share = links[y, x, side] / max(counters.cycles, 1)
    note = (
        f"busiest: tile ({x}, {y}) to {SIDES[side]}, {links[y, x, side]:,} wavelets in "
        f"{counters.cycles:,} cycles ({share:.0%}): {named}"
    )
    return HeatMap("links", grid, (note,))


def _mark(value: float, most: float) -> str:
    """The mark of a value: what is not nothing never looks like it."""
    if value <= 0 or most <= 0:
        return SHADES[0]
    last = len(SHADES) - 1
    return SHADES[max(min(int(value / most * last + 0.5), last), 1)]


def _outstanding(grid: np.ndarray) -> str:
    """Where the most and the least is."""
    (y, x), (j, i) = (_place(grid, at) for at in (grid.argmax(), grid.argmin()))
    return f"most {grid[y, x]:,} at tile ({x}, {y}), least {grid[j, i]:,} at ({i}, {j})"


def _place(grid: np.ndarray, at: Any) -> tuple[int, int]:
    y, x = np.unravel_index(int(at), grid.shape)
    return int(y), int(x)
