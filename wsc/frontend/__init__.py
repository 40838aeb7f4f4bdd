"""ONNX in, graph IR out. ``import_onnx`` is the whole of it."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsc.frontend.importer import import_model, import_onnx

__all__ = ["import_model", "import_onnx", "load_lowerings"]


def load_lowerings() -> None:
    """Register every operator (see ``wsc.frontend.registry.lowerings``).

    Each file of this folder that holds lowerings registers them when it is imported.
    """
    for file in iter_modules(__path__, f"{__name__}."):
        import_module(file.name)


def __getattr__(name: str) -> Any:
    # onnx takes a second to import: only for those who import a model.
    if name in ("import_model", "import_onnx"):
        return getattr(import_module("wsc.frontend.importer"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
