"""What can go wrong while a program is loaded or runs.

Every module may import this one, so what errors carry (``Counters``, ``Trace``, ``Record``) has no
type here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsc.isa.program import Location


class RuntimeFault(Exception):
    """Base of every error of the runtime; the message is one readable line or report."""


class LoadError(RuntimeFault):
    """The program cannot be loaded on this fabric, or its weights cannot be mapped."""


class InputError(RuntimeFault):
    """An input has an unknown name, is missing, or has the wrong shape, dtype or range."""


class OutputError(RuntimeFault):
    """An output that the host cannot take: a value its type does not have, a length it has not."""


class ExecutionFault(RuntimeFault):
    """An instruction or transfer did what the machine does not allow; the run stopped.

    cycle: None of an engine without a clock.
    """

    def __init__(self, message: str, cycle: int | None, where: Location) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.where = where


class Deadlock(RuntimeFault):
    """Nothing can ever move again; the message says who waits for whom.

    cycle: None of an engine without a clock. record: what such a run had noted until then.
    counters, windows, trace, causes: of an engine with a clock, as for ``CycleLimit``.
    """

    def __init__(
        self, message: str, cycle: int | None, record: Any = None, counters: Any = None
    ) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.record = record
        self.counters = counters
        self.windows: tuple[Any, ...] = ()
        self.trace: Any = None
        self.causes: Any = None


class CycleLimit(RuntimeFault):
    """The run reached ``max_cycles``; ``counters`` holds what was counted until then.

    windows, trace, causes: what was recorded, if that was asked for.
    """

    def __init__(self, message: str, cycle: int, counters: Any) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.counters = counters
        self.windows: tuple[Any, ...] = ()
        self.trace: Any = None
        self.causes: Any = None


class MemoryLimit(RuntimeFault):
    """The run would take more memory than there is, or than it may; nothing was taken."""

    def __init__(self, message: str, needed: int, limit: int) -> None:
        super().__init__(message)
        self.needed = needed
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Finding:
    """A race: one sentence, the cycle in which it was first seen, and both source lines."""

    text: str
    cycle: int
    places: tuple[Location, Location]


class Race(RuntimeFault):
    """Units, or remote stores, share memory with nothing between them that orders them."""

    def __init__(self, message: str, races: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.races = races


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; the message says where it was."""


def spot(where: Location) -> str:
    """``file:line``, or ``line 3`` where the text had no file."""
    return f"{where.file}:{where.line}" if where.file else f"line {where.line}"


def place(where: Location) -> str:
    """``file:line: `` for messages, empty for objects that were not parsed."""
    if where.line == 0:
        return ""
    return f"{where.file or 'line '}{':' if where.file else ''}{where.line}: "
