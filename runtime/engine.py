"""The engines by name, and which one to take."""

from __future__ import annotations

from wsc.runtime.errors import RuntimeFault

VALUES = "values"  # the engine without a clock
TIME = "time"  # the engine without values
CHECKING = "reference"  # the engine that has both at once, and looks for races
BOTH = "both"  # values and time, one after the other
ENGINES = (BOTH, CHECKING)  # the ways to have values and time
TIMED = (TIME, CHECKING)  # the engines with a clock
NAMES = (VALUES, TIME, CHECKING)


def choose_engine(name: str | None, check_races: bool, causes: bool = False) -> str:
    """The engine to take when ``name`` was asked for, or nothing was.

    Raises:
        RuntimeFault: there is none of that name, or races are to be looked for or causes to be
            kept, and the engine asked for does not.
    """
    if name not in (None, BOTH, *NAMES):
        raise RuntimeFault(f"no engine '{name}'; there is: {', '.join(NAMES)}")
    if check_races and name not in (None, CHECKING):
        raise RuntimeFault(f"races are looked for by the {CHECKING} engine, not by '{name}'")
    if causes and name not in (None, CHECKING):
        raise RuntimeFault(f"only the {CHECKING} engine keeps causes and memory, not '{name}'")
    return name or (CHECKING if check_races or causes else BOTH)
