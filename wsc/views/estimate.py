"""What a program will do, for Python and notebooks: the cost model's word on it, and its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wsc.cost.predict import Unpredictable, predict
from wsc.errors import CompileError
from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.shown import Shown, named
from wsc.views.frames import frame
from wsc.views.inspect import SramKinds, sram_kinds
from wsc.views.report import EstimatedRow, estimated_rows


@dataclass(frozen=True, slots=True, repr=False)
class Estimate(Shown):
    """A predicted run; nothing was executed.

    seconds: that it takes on the fabric. utilization: multiply-accumulates of the network, each
    once, over those that all tiles could have done. macs: those that are executed. energy:
    picojoules by cause. sram: bytes of the fullest tile. rows: one for each call of main.
    """

    cycles: int
    seconds: float
    utilization: float
    macs: int
    io_bytes_in: int
    io_bytes_out: int
    energy: dict[str, float]
    sram: SramKinds
    rows: tuple[EstimatedRow, ...]

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each call of main.

        Raises:
            CompileError: pandas is missing.
        """
        rows = [row.as_dict() for row in self.rows]
        return frame([{**row, "nodes": named(row["nodes"]), **row.pop("bounds")} for row in rows])

    def _facts(self) -> list[tuple[str, str]]:
        """What is said of it, in a few words each."""
        sram = self.sram
        return [
            ("cycles", f"{self.cycles:,}, predicted"),
            ("utilization", f"{self.utilization:.2%}"),
            ("edge", f"{self.io_bytes_in:,} bytes in, {self.io_bytes_out:,} out"),
            ("SRAM", f"{sram.values:,} values, {sram.weights:,} weights, {sram.code:,} code"),
            ("energy", f"{math.fsum(self.energy.values()) * 1e-6:,.3f} uJ"),
        ]


def estimate(program: Program, fabric: Fabric) -> Estimate:
    """Predict the run of a program.

    Raises:
        CompileError: it does what the cost model has no formula for; hand-written programs may.
    """
    try:
        made = predict(program, fabric)
    except Unpredictable as reason:
        raise CompileError(f"this program cannot be predicted: {reason}") from None
    return Estimate(
        made.cycles,
        made.cycles / fabric.clock_hertz,
        made.utilization,
        made.macs,
        made.io_bytes_in,
        made.io_bytes_out,
        made.energy,
        sram_kinds(program, fabric),
        tuple(estimated_rows(program, fabric, made)),
    )
