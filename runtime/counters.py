"""What a run counts: cycles by cause, work done, traffic, energy, and cycles by statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wsc.isa.counted import StatementCycles
from wsc.isa.program import Location
from wsc.isa.shown import Facts, Shown


@dataclass(frozen=True, slots=True, repr=False)
class ColorLinks(Shown):
    """Traffic of one color: arrays [height, width, 6], sides as in ``Counters.links``.

    wavelets: that left. lost: cycles in which one could have left, but another color took
    the link. stalled_input, stalled_output: [height, width], cycles that main threads waited
    for a wavelet of this color, and for room in its output queue.
    """

    color: str
    wavelets: np.ndarray
    lost: np.ndarray
    stalled_input: np.ndarray
    stalled_output: np.ndarray

    def _facts(self) -> Facts:
        return [
            ("color", self.color),
            ("wavelets", f"{int(self.wavelets[..., :4].sum()):,} over links"),
            ("lost", f"{int(self.lost.sum()):,} cycles to other colors"),
            ("stalled", f"{int((self.stalled_input + self.stalled_output).sum()):,} cycles"),
        ]

    def since(self, earlier: ColorLinks) -> ColorLinks:
        """The traffic after an earlier look at the same color."""
        return ColorLinks(
            self.color,
            self.wavelets - earlier.wavelets,
            self.lost - earlier.lost,
            self.stalled_input - earlier.stalled_input,
            self.stalled_output - earlier.stalled_output,
        )


@dataclass(frozen=True, slots=True, repr=False)
class Stall(Shown):
    """Cycles that main threads waited at one instruction of the text for one thing, over all tiles.

    procedure: that holds the instruction, empty for a main. cause: ``input`` and ``output`` of
    ``color``, ``semaphore`` and ``unit`` of ``number``, ``dynamic`` for the dynamic network.
    number: -1 where there is none.
    """

    where: Location
    procedure: str
    instruction: str
    cause: str
    color: str
    number: int
    cycles: int

    def _facts(self) -> Facts:
        return [
            ("line", f"{self.where.line}"),
            ("instruction", self.instruction),
            ("cycles", f"{self.cycles:,}"),
            ("waits for", self.waits_for),
        ]

    @property
    def waits_for(self) -> str:
        """What it waited for, in words."""
        return {
            "input": f"a wavelet of color '{self.color}'",
            "output": f"room in the output queue of color '{self.color}'",
            "semaphore": f"semaphore s{self.number}",
            "unit": f"stream unit {self.number} to be free",
            "dynamic": "room in the dynamic network",
        }[self.cause]

    def as_dict(self) -> dict[str, Any]:
        """The stall, ready for JSON."""
        made: dict[str, Any] = {
            "line": self.where.line,
            "procedure": self.procedure,
            "instruction": self.instruction,
            "cause": self.cause,
            "cycles": self.cycles,
        }
        if self.color:
            made["color"] = self.color
        if self.number >= 0:
            made[self.cause] = self.number
        return made


@dataclass(frozen=True, slots=True, repr=False)
class Counters(Shown):
    """Counters of one run; per-tile arrays have the shape [height, width].

    busy, stalled_input, stalled_output, waiting, idle: cycles of each main thread; they
    sum to ``cycles``. waiting is for a semaphore or a stream unit, idle after its end.
    links: wavelets that left each tile on N, E, S, W, to its core, and from its core
    [height, width, 6]; dynamic_links: N, E, S, W and to the core, headers included.
    colors: the same by color, and the cycles that each color could have taken the link but
    another took it. stalls: by line of the text and cause, the longest first; they sum to
    stalled_input, stalled_output and waiting. semaphores: by number, cycles that each main
    thread waited for it. energy: picojoules by cause; energy_tiles: those of each tile, without
    those of the edge.
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
    statements: tuple[StatementCycles, ...] = field(default=())
    stalls: tuple[Stall, ...] = field(default=())
    semaphores: dict[int, np.ndarray] = field(default_factory=dict)
    energy_tiles: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def _facts(self) -> Facts:
        whole = max(self.busy.size * self.cycles, 1)
        parts = ("busy", "stalled_input", "stalled_output", "waiting", "idle")
        return [
            ("cycles", f"{self.cycles:,}"),
            *((name, f"{getattr(self, name).sum() / whole:.1%}") for name in parts),
            ("macs", f"{self.macs_f32 + self.macs_f16:,}"),
            ("hops", f"{int(self.links[..., :4].sum()):,}"),
            ("edge", f"{self.io_bytes_in:,} bytes in, {self.io_bytes_out:,} out"),
            ("utilization", f"{self.utilization:.2%}"),
        ]

    @property
    def busy_fraction(self) -> float:
        """Busy cycles of main threads over tiles x cycles."""
        return float(self.busy.sum()) / max(self.busy.size * self.cycles, 1)

    def since(self, earlier: Counters) -> Counters:
        """What was counted after an earlier look at the same run: its window up to here.

        ``statements``, which have a start and an end of their own, are not of a window.
        """
        cycles = self.cycles - earlier.cycles
        lost = {_cause(stall): stall.cycles for stall in earlier.stalls}
        stalls = (
            replace(stall, cycles=stall.cycles - lost.get(_cause(stall), 0))
            for stall in self.stalls
        )
        waited = {number: earlier.semaphores.get(number, 0) for number in self.semaphores}
        done = self.utilization * self.cycles - earlier.utilization * earlier.cycles
        differences: dict[str, Any] = {
            name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS
        }
        return Counters(
            **differences,
            instructions={
                name: count - earlier.instructions.get(name, 0)
                for name, count in self.instructions.items()
            },
            colors=tuple(map(ColorLinks.since, self.colors, earlier.colors)),
            sram_high_water=self.sram_high_water,
            energy={name: value - earlier.energy[name] for name, value in self.energy.items()},
            utilization=done / max(cycles, 1),
            stalls=longest_first(stall for stall in stalls if stall.cycles),
            semaphores={
                number: grid - waited[number]
                for number, grid in self.semaphores.items()
                if (grid != waited[number]).any()
            },
        )

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
                links.color: {
                    "wavelets": int(links.wavelets.sum()),
                    "lost": int(links.lost.sum()),
                    "stalled_input": int(links.stalled_input.sum()),
                    "stalled_output": int(links.stalled_output.sum()),
                }
                for links in self.colors
            },
            "stalls": [stall.as_dict() for stall in self.stalls],
            "semaphores": {
                f"s{number}": int(waited.sum()) for number, waited in self.semaphores.items()
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
            "busy": self.busy,
            "stalled_input": self.stalled_input,
            "stalled_output": self.stalled_output,
            "waiting": self.waiting,
            "idle": self.idle,
            "stream_units_busy": self.unit_busy,
            "energy_picojoules": self.energy_tiles,
        }
        sides = ("north", "east", "south", "west", "to_core", "from_core")
        return {
            **{name: array.tolist() for name, array in arrays.items()},
            "wavelets": {side: self.links[..., i].tolist() for i, side in enumerate(sides)},
            "colors": {links.color: _color_grids(links, sides) for links in self.colors},
            "semaphores": {
                f"s{number}": waited.tolist() for number, waited in self.semaphores.items()
            },
            "dynamic_wavelets": {
                side: self.dynamic_links[..., i].tolist() for i, side in enumerate(sides[:5])
            },
        }


_COUNTS = (  # that a window has the difference of
    "cycles",
    "busy",
    "stalled_input",
    "stalled_output",
    "waiting",
    "idle",
    "unit_busy",
    "macs_f32",
    "macs_f16",
    "elements",
    "links",
    "dynamic_links",
    "io_bytes_in",
    "io_bytes_out",
    "sram_bytes",
    "energy_tiles",
)


def longest_first(stalls: Iterable[Stall]) -> tuple[Stall, ...]:
    """Stalls as counters have them; of those that are as long the first in the text."""
    return tuple(sorted(stalls, key=lambda stall: (-stall.cycles, stall.where.line)))


def _cause(stall: Stall) -> Stall:
    """The same wait, whatever it took."""
    return replace(stall, cycles=0)


def _color_grids(links: ColorLinks, sides: Sequence[str]) -> dict[str, Any]:
    """The arrays of one color that are not all zero, ready for JSON."""
    made: dict[str, Any] = {
        what: {
            side: counts[..., i].tolist() for i, side in enumerate(sides) if counts[..., i].any()
        }
        for what, counts in (("wavelets", links.wavelets), ("lost", links.lost))
    }
    stalls = {"stalled_input": links.stalled_input, "stalled_output": links.stalled_output}
    return made | {what: counts.tolist() for what, counts in stalls.items() if counts.any()}
