"""What a run does that does not depend on time: the counters of an engine without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.isa.shown import Facts, Shown


@dataclass(frozen=True, slots=True, repr=False)
class Work(Shown):
    """Counters of one run that are the same however long anything takes.

    macs_f32, macs_f16, elements: multiply-accumulates, and other elements that vector instructions
    and remote stores moved or computed. instructions: by name. wavelets: by color, those that
    left each tile on N, E, S, W, to its core, and from its core [height, width, 6].
    dynamic_hops: wavelets of remote stores over links between tiles, headers included.
    io_bytes_in, io_bytes_out: over the edge. sram_bytes: read and written. sram_high_water: one
    behind the highest byte that any tile used.
    """

    macs_f32: int
    macs_f16: int
    elements: int
    instructions: dict[str, int]
    wavelets: dict[str, np.ndarray]
    dynamic_hops: int
    io_bytes_in: int
    io_bytes_out: int
    sram_bytes: int
    sram_high_water: int

    def _facts(self) -> Facts:
        return [
            ("macs", f"{self.macs_f32 + self.macs_f16:,}"),
            ("elements", f"{self.elements:,}"),
            ("edge", f"{self.io_bytes_in:,} bytes in, {self.io_bytes_out:,} out"),
            ("SRAM", f"{self.sram_high_water:,} bytes at most"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """The totals under the names of ``Counters.as_dict``; null for what needs a clock."""
        unknown = ("busy", "stalled_input", "stalled_output", "waiting", "idle")
        waits = ("lost", "stalled_input", "stalled_output")
        return {
            "cycles": None,
            **dict.fromkeys(unknown),
            "macs": self.macs_f32 + self.macs_f16,
            "elements": self.elements,
            "instructions": self.instructions,
            "wavelet_hops": sum(int(moved[..., :4].sum()) for moved in self.wavelets.values()),
            "colors": {
                color: {"wavelets": int(moved.sum()), **dict.fromkeys(waits)}
                for color, moved in self.wavelets.items()
            },
            "stalls": None,
            "semaphores": None,
            "dynamic_hops": self.dynamic_hops,
            "io_bytes_in": self.io_bytes_in,
            "io_bytes_out": self.io_bytes_out,
            "sram_high_water": self.sram_high_water,
            "energy_picojoules": None,
            "utilization": None,
            "busy_fraction": None,
        }
