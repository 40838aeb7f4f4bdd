"""Whether the weights of products come from the edge or stay in SRAM: the cost model decides."""

from __future__ import annotations

from collections.abc import Callable

from wsc.cost.predict import Prediction, predict
from wsc.cost.steps import StepCycles, step_cycles
from wsc.errors import DoesNotFit
from wsc.pipeline import Compiled


def choose_hold(lowered: Callable[[bool], Compiled]) -> tuple[Compiled, str]:
    """The program that is predicted to take fewer cycles, and why.

    lowered: compiles with weights that stay, or with weights that come when they are wanted.

    Raises:
        CompileError: neither can be compiled; the reason is that of weights that come.
    """
    refused: dict[bool, DoesNotFit] = {}
    found: dict[bool, Compiled] = {}
    for resident in (True, False):
        try:
            found[resident] = lowered(resident)
        except DoesNotFit as error:
            refused[resident] = error
    if not found:
        raise refused[False]
    if len(found) == 1:
        (resident,) = found
        way, other = ("stay in SRAM", "streamed") if resident else ("are streamed", "resident")
        return found[resident], f"weights {way}, because {other} it does not fit: " + str(
            refused[not resident]
        )
    predictions = {resident: predict(item.program, item.fabric) for resident, item in found.items()}
    best = min(found, key=lambda resident: (predictions[resident].cycles, resident))
    texts = {
        resident: _told(found[resident], predictions[resident], resident) for resident in found
    }
    return found[best], f"{texts[best]}; {texts[not best]}"


def _told(compiled: Compiled, prediction: Prediction, resident: bool) -> str:
    """What one of the two takes."""
    way = "weights that stay in SRAM" if resident else "weights that are streamed"
    steps: StepCycles | None = step_cycles(compiled.program, prediction)
    if steps is None:
        return f"{way} take {prediction.cycles:,} cycles"
    return f"{way} take {steps.each:,.0f} cycles a step and {steps.once:,} before the first one"
