"""wsc: a compiler tool chain for wafer-scale machines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsc.api import Program, compile, load  # noqa: A004

__all__ = ["Program", "compile", "load"]


def __getattr__(name: str) -> Any:
    # Late, so that importing the package costs nothing.
    if name in __all__:
        return getattr(import_module("wsc.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
