"""The simulated fabric: loads a program, moves wavelets, counts cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsc.runtime.api import RunResult, ValuesResult, run
    from wsc.runtime.image import Image, load

__all__ = ["Image", "RunResult", "ValuesResult", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import on first use: reading a program needs no engine."""
    if name in ("run", "RunResult", "ValuesResult"):
        import wsc.runtime.api as module
    elif name in ("load", "Image"):
        import wsc.runtime.image as module
    else:
        raise AttributeError(f"module {__name__!r} has no attribute '{name}'")
    return getattr(module, name)
