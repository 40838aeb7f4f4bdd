"""What can go wrong while a program is loaded or runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isa.program import Location

if TYPE_CHECKING:
    from runtime.counters import Counters


class RuntimeFault(Exception):
    """Base of every error of the runtime; the message is one readable line or report."""


class LoadError(RuntimeFault):
    """The program cannot be loaded on this fabric, or its weights cannot be mapped."""


class InputError(RuntimeFault):
    """An input has an unknown name, is missing, or has the wrong shape, dtype or range."""


class ExecutionFault(RuntimeFault):
    """An instruction or transfer did what the machine does not allow; the run stopped."""

    def __init__(self, message: str, cycle: int, where: Location) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.where = where


class Deadlock(RuntimeFault):
    """Nothing can ever move again; the message says who waits for whom."""

    def __init__(self, message: str, cycle: int) -> None:
        super().__init__(message)
        self.cycle = cycle


class CycleLimit(RuntimeFault):
    """The run reached ``max_cycles``; ``counters`` holds what was counted until then."""

    def __init__(self, message: str, cycle: int, counters: Counters) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.counters = counters


def place(where: Location) -> str:
    """``file:line: `` for messages, empty for objects that were not parsed."""
    if where.line == 0:
        return ""
    return f"{where.file or 'line '}{':' if where.file else ''}{where.line}: "
