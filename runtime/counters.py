"""What a run counts: cycles by cause, work done, traffic, energy, and cycles by statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa.counted import StatementCycles


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
            "busy": self.busy,
            "stalled_input": self.stalled_input,
            "stalled_output": self.stalled_output,
            "waiting": self.waiting,
            "idle": self.idle,
            "stream_units_busy": self.unit_busy,
        }
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
