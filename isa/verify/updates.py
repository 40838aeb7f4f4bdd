"""Checks of what the weight store does at the end of a training step."""

from __future__ import annotations

from wsc.isa.program import EdgeTensor, Kind, Update
from wsc.isa.types import DType
from wsc.isa.updates import BY_NAME
from wsc.isa.verify.context import Context

MOST_OVER = 1 << 20  # runs whose gradients are added


def updates(context: Context) -> None:
    """Each update changes a tensor of the store of its own, by a gradient of the same shape."""
    program = context.program
    if not 0.0 <= program.clip < float("inf"):
        context.say(f"the norm of the gradients is clipped to {program.clip}, no positive number")
    if not 1 <= program.over <= MOST_OVER:
        context.say(f"gradients over {program.over} runs; it is 1 to {MOST_OVER}")
    if (program.clip or program.over != 1) and not program.updates:
        context.say("gradients are clipped or added up, and no update takes them")
    weights = {t.name: t for t in program.edge_tensors if t.kind is Kind.WEIGHT}
    outputs = {t.name: t for t in program.edge_tensors if t.kind is Kind.OUTPUT}
    changed: set[str] = set()
    taken: set[str] = set()
    for update in program.updates:
        _numbers(context, update)
        weight = weights.get(update.weight)
        if weight is None:
            context.say(f"no weight '{update.weight}' to update", update, update.weight)
            continue
        if not weight.dtype.is_float:
            message = f"'{weight.name}' is {weight.dtype.value}; an update is of floats"
            context.say(message, update, weight.name)
        _gradient(context, update, weight, outputs.get(update.gradient))
        if update.gradient in taken:
            message = f"'{update.gradient}' goes into two updates"
            context.say(message, update, update.gradient)
        taken.add(update.gradient)
        wanted = len(BY_NAME[update.rule].state) if update.rule in BY_NAME else 0
        if len(update.states) != wanted:
            message = f"'{update.rule}' keeps {wanted} tensors, not {len(update.states)}"
            context.say(message, update, update.rule)
        for name in update.states:
            _state(context, update, weight, weights.get(name), name)
        for name in (update.weight, *update.states):
            if name in changed:
                context.say(f"'{name}' is changed by two updates", update, name)
            changed.add(name)


def _numbers(context: Context, update: Update) -> None:
    """The rule is known, and its numbers are in their ranges."""
    row = BY_NAME.get(update.rule)
    if row is None:
        context.say(f"no optimizer '{update.rule}'", update, update.rule)
        return
    if [name for name, _ in update.numbers] != [item.name for item in row.parameters]:
        context.say(f"'{update.rule}' has other numbers", update, update.rule)
        return
    for item, (name, value) in zip(row.parameters, update.numbers, strict=True):
        if not item.low <= value < item.below:  # NaN is in no range
            message = f"{name} = {value:g} is not from {item.low:g} to below {item.below:g}"
            context.say(message, update, name)


def _gradient(
    context: Context, update: Update, weight: EdgeTensor, gradient: EdgeTensor | None
) -> None:
    name = update.gradient
    if gradient is None:
        context.say(f"no output '{name}' with the gradient of '{weight.name}'", update, name)
    elif gradient.cut or gradient.high or not gradient.dtype.is_float:
        context.say(f"'{name}' is no gradient: an output of floats, all of it", update, name)
    elif gradient.shape != weight.shape:
        shapes = f"{list(gradient.shape)}, and '{weight.name}' is {list(weight.shape)}"
        context.say(f"the gradient '{name}' is {shapes}", update, name)


def _state(
    context: Context, update: Update, weight: EdgeTensor, state: EdgeTensor | None, name: str
) -> None:
    if state is None:
        context.say(f"no weight '{name}' to keep what '{update.rule}' needs", update, name)
    elif state.dtype is not DType.F32 or state.shape != weight.shape:
        message = f"'{name}' is {state.dtype.value}{list(state.shape)}, not f32{list(weight.shape)}"
        context.say(message, update, name)
