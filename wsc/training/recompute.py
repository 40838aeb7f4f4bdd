"""What a step keeps of the layers of its forward pass, and what it computes again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from wsc.cost.model import multiply_accumulates
from wsc.errors import CompileError, DoesNotFit, shortened
from wsc.pipeline import Compiled
from wsc.training.step import Step

NONE, LAYERS, AUTO = "none", "layers", "auto"
CHOICES = (NONE, LAYERS, AUTO)


def require_choice(recompute: str) -> None:
    """Raise CompileError for what is none of the choices."""
    if recompute not in CHOICES:
        raise CompileError(f"recompute is {', '.join(CHOICES)}, not {shortened(recompute)!r}")


def lowered_step(
    step: Step, recompute: str, lower: Callable[[Step], Compiled]
) -> tuple[Compiled, str]:
    """The program of a step, and a sentence on what becomes of its activations.

    recompute: ``none`` keeps all of them until the backward pass. ``layers`` keeps what one layer
    hands to the next, and computes each layer again before its backward pass. ``auto`` does so
    where they do not fit: what fits is kept, since to compute it again can only take longer.
    lower: compiles a step.

    The sentence is empty for a model without layers that repeat.

    Raises:
        DoesNotFit: neither fits, or the one that was asked for does not.
        CompileError: ``layers`` for a model that has none that repeat.
    """
    require_choice(recompute)
    layers = step.layers
    if recompute == LAYERS:
        if not layers:
            raise CompileError(
                "recompute: the model has no layers that repeat, so there are none to compute again"
            )
        return _recomputed(step, lower), _again(layers)
    try:
        return lower(step), f"the activations of {layers} layers are kept" if layers else ""
    except DoesNotFit as error:
        if recompute == NONE or not layers:
            raise
        try:
            return _recomputed(step, lower), f"{_again(layers)}: kept, they do not fit"
        except DoesNotFit as again:
            raise again from error


def _recomputed(step: Step, lower: Callable[[Step], Compiled]) -> Compiled:
    """The program that computes layers again. To do so is no useful work."""
    compiled = lower(step.recomputing())
    useful = multiply_accumulates(step.graph)
    return replace(compiled, program=compiled.program.with_(work=useful))


def _again(layers: int) -> str:
    return f"the activations of {layers} layers are computed again in the backward pass"
