"""ONNX in, graph IR out. ``import_onnx`` is the whole of it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsc.frontend.importer import import_model, import_onnx

__all__ = ["FAMILIES", "import_model", "import_onnx", "load_lowerings"]

# One file of lowerings each.
FAMILIES = (
    "activation",
    "arrange",
    "attention",
    "attention_contrib",
    "classic",
    "constant",
    "contract",
    "contrib",
    "control",
    "convert",
    "determinant",
    "einsum",
    "elementwise",
    "flex_attention",
    "linear_attention",
    "loss",
    "movement",
    "normalize",
    "pool",
    "power",
    "quantize",
    "quantize_contrib",
    "recurrent",
    "recurrent_contrib",
    "reduce",
    "resize",
    "rotary",
    "scatter",
    "select",
    "sequence",
    "signal",
    "sized",
    "spatial",
    "text",
    "training",
    "trees",
)


def load_lowerings() -> None:
    """Register every operator (see ``wsc.frontend.registry.lowerings``)."""
    for family in FAMILIES:
        import_module(f"wsc.frontend.{family}")


def __getattr__(name: str) -> Any:
    # onnx takes a second to import: only for those who import a model.
    if name in ("import_model", "import_onnx"):
        return getattr(import_module("wsc.frontend.importer"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
