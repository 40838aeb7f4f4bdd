"""Movement that costs nothing: the same buffer seen through other dimensions."""

from __future__ import annotations

from dataclasses import replace

from wsc.ir.graph import Expand, MoveStep, Reshape, Slice, Transpose
from wsc.ir.layout import Mesh, View, block, whole
from wsc.ir.regroup import groups, single, turned
from wsc.isa.program import Extent

PARTS = 4  # of one value, from which on it is worth while to bring it to its lines as a whole


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


def after_steps(
    extents: tuple[Extent, ...], steps: tuple[MoveStep, ...]
) -> tuple[Extent, ...] | None:
    """The layout to which the steps lead from these extents in each tile; None if elements move.

    What is cut, or joined, is whole in each tile before and behind.
    """
    for step in steps:
        if isinstance(step, Transpose):
            extents = tuple(extents[i] for i in step.perm)
            continue
        shape = tuple(extent.size for extent in extents)
        if isinstance(step, Slice):
            cut = zip(step.sizes, step.steps, shape, strict=True)
            same = [size == old and by == 1 for size, by, old in cut]
            new, found = step.sizes, {i: i for i, kept in enumerate(same) if kept}
        elif isinstance(step, Reshape) and 0 not in shape:
            new, pairs = (
                step.shape,
                [single(g, shape, step.shape) for g in groups(shape, step.shape)],
            )
            found = {pair[1]: pair[0] for pair in pairs if pair is not None}
        elif isinstance(step, Expand):
            new, more = step.shape, len(step.shape) - len(shape)
            found = {i + more: i for i, size in enumerate(shape) if new[i + more] == size}
        else:
            return None
        if any(e.axis for i, e in enumerate(extents) if i not in found.values()):
            return None
        extents = tuple(
            extents[found[i]] if i in found else whole(size) for i, size in enumerate(new)
        )
    return extents


def before_steps(
    extents: tuple[Extent, ...], shape: tuple[int, ...], steps: tuple[MoveStep, ...], mesh: Mesh
) -> tuple[Extent, ...] | None:
    """The layout of a value of this shape from which the steps lead to these extents in each tile.

    What is cut is whole in each tile, or, where only one axis of the mesh has a dimension, in
    blocks along the other. None if there is no such layout.
    """
    shapes = [shape]
    for step in steps:
        if 0 in shapes[-1]:
            return None
        if isinstance(step, Slice):
            shapes.append(step.sizes)
        elif isinstance(step, Reshape | Transpose):
            shapes.append(turned(shapes[-1], step))
        else:
            return None
    for step, old in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        found = _before(extents, old, step, mesh)
        if found is None:
            return None
        extents = found
    return extents


def _before(
    extents: tuple[Extent, ...], old: tuple[int, ...], step: MoveStep, mesh: Mesh
) -> tuple[Extent, ...] | None:
    if isinstance(step, Transpose):
        return tuple(extents[step.perm.index(i)] for i in range(len(old)))
    if isinstance(step, Slice):
        free = [axis for axis in ("x", "y") if all(e.axis != axis for e in extents)]
        cut = [i for i, size in enumerate(old) if step.sizes[i] != size]
        if any(extents[i].axis for i in cut):
            return None
        alone = len(free) == len(cut) == 1 and step.sizes[cut[0]] * (PARTS - 1) < old[cut[0]]
        return tuple(
            extent if i not in cut else block(size, free[0], mesh) if alone else whole(size)
            for i, (extent, size) in enumerate(zip(extents, old, strict=True))
        )
    assert isinstance(step, Reshape)
    found = [whole(size) for size in old]
    for group in groups(old, step.shape):
        one = single(group, old, step.shape)
        if one is not None:
            found[one[0]] = extents[one[1]]
        elif any(extents[i].axis for i in group.new):
            return None
    return tuple(found)
