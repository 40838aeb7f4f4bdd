"""What a run counts for each statement of a main: the runtime fills it, reports read it."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.isa.program import Location
from wsc.isa.shown import Facts, Shown


@dataclass(frozen=True, slots=True)
class MainStatement:
    """An operation, call, loop head or guard of some region's main: a line of the report.

    text: its head, as in ``call load``. nodes: the ONNX nodes that caused it. procedure, call: of a
    call, what it calls and its number among those of all mains in the order of the text.
    """

    region: str
    text: str
    nodes: tuple[str, ...]
    where: Location
    procedure: str = ""
    call: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class StatementCycles(Shown):
    """One statement of some region's main: an operation, call, loop head or guard.

    start, end: first cycle in which a tile was at it, and the cycle in which the last one left
    it. busy: busy cycles of main threads in it, summed over tiles. macs, elements: multiply-
    accumulates and all vector elements that it executed, those of its stream units included.
    inside: cycles that main threads were at it, summed over tiles; those of all statements are
    all cycles until the threads ended. spent: cycles from the first tile's start to the last
    one's end, summed over the turns of loops; where tiles do not take the same way through a
    main, those that a tile was at it, in the mean. added: cycles by which it made the run
    longer: from the cycle in which the last tile had left all before it to the one in which the
    last has left it, likewise. Those of all statements sum to the cycle in which the last tile
    ended.
    """

    statement: MainStatement
    start: int
    end: int
    busy: int
    macs: int
    elements: int
    inside: int
    spent: int = 0
    added: int = 0

    def _facts(self) -> Facts:
        return [
            ("line", f"{self.statement.where.line}"),
            ("statement", self.statement.text),
            ("added", f"{self.added:,} cycles"),
            ("start", f"{self.start:,}"),
            ("end", f"{self.end:,}"),
            ("macs", f"{self.macs:,}"),
        ]
