"""Movement that costs nothing: the same buffer seen through other dimensions."""

from __future__ import annotations

from dataclasses import replace

from wsc.ir.graph import Expand, MoveStep, Reshape, Transpose
from wsc.layout import View, whole


def as_view(view: View, steps: tuple[MoveStep, ...]) -> View | None:
    """The view after the steps, or None if elements must move.

    Transposes and dimensions of size one only.
    """
    for step in steps:
        if isinstance(step, Transpose):
            view = view.permuted(step.perm)
        elif isinstance(step, Reshape):
            changed = _reshaped(view, step.shape)
            if changed is None:
                return None
            view = changed
        elif not (isinstance(step, Expand) and step.shape == view.shape):
            return None
    return view


def _reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    """Dimensions of size one dropped and added.

    One that lies along an axis says that only the first tile there has the value: another of
    size one takes it over, or elements must move.
    """
    big = [i for i, extent in enumerate(view.extents) if extent.size != 1]
    if [view.extents[i].size for i in big] != [size for size in shape if size != 1]:
        return None
    split = [i for i, extent in enumerate(view.extents) if extent.size == 1 and extent.axis]
    if len(split) > shape.count(1):
        return None
    rest, single = iter(big), iter(split)
    sources = [next(single, None) if size == 1 else next(rest) for size in shape]
    return replace(
        view,
        extents=tuple(whole(1) if i is None else view.extents[i] for i in sources),
        strides=tuple(0 if i is None else view.strides[i] for i in sources),
    )
