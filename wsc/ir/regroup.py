"""What reshapes and transposes do to single dimensions, and the same steps for other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsc.ir.graph import Expand, MoveStep, Reshape, Slice, Transpose

Shape = tuple[int, ...]
Turn = Reshape | Transpose


@dataclass(frozen=True, slots=True)
class Group:
    """Dimensions of a shape, and those of another that hold the same elements in the same order."""

    old: tuple[int, ...]
    new: tuple[int, ...]


def groups(old: Shape, new: Shape) -> list[Group]:
    """The least groups of dimensions between two shapes of as many elements, none of size zero."""
    found: list[Group] = []
    i = j = 0
    while i < len(old) and j < len(new):
        first, second = i, j
        here, there = old[i], new[j]
        i, j = i + 1, j + 1
        while here != there:
            if here < there:
                here, i = here * old[i], i + 1
            else:
                there, j = there * new[j], j + 1
        found.append(Group(tuple(range(first, i)), tuple(range(second, j))))
    if found:  # what is left has size one
        last = found.pop()
        found.append(Group((*last.old, *range(i, len(old))), (*last.new, *range(j, len(new)))))
    return found


def single(group: Group, old: Shape, new: Shape) -> tuple[int, int] | None:
    """The one dimension larger than one on either side of a group, if there is one on each."""
    left = [i for i in group.old if old[i] > 1]
    right = [j for j in group.new if new[j] > 1]
    return (left[0], right[0]) if len(left) == len(right) == 1 else None


def turned(shape: Shape, step: Turn) -> Shape:
    """The shape behind a step."""
    if isinstance(step, Reshape):
        return step.shape
    return tuple(shape[i] for i in step.perm)


def joins(shape: Shape, steps: Sequence[Turn]) -> bool:
    """Whether the steps put dimensions together or take them apart."""
    for step in steps:
        after = turned(shape, step)
        if isinstance(step, Reshape):
            for group in groups(shape, after):
                old = sum(shape[i] > 1 for i in group.old)
                new = sum(after[i] > 1 for i in group.new)
                if max(old, new) > 1:
                    return True
        shape = after
    return False


def place(shape: Shape, steps: Sequence[Turn], dim: int) -> int | None:
    """Where a dimension is behind the steps; None if it is joined with others or taken apart."""
    for step in steps:
        after = turned(shape, step)
        if isinstance(step, Transpose):
            dim = step.perm.index(dim)
        else:
            (group,) = (item for item in groups(shape, after) if dim in item.old)
            found = single(group, shape, after)
            if found is None or found[0] != dim:
                return None
            dim = found[1]
        shape = after
    return dim


def apart(shape: Shape, steps: Sequence[Turn], dim: int) -> tuple[tuple[Turn, ...], Reshape] | None:
    """The steps without those that join a dimension with its neighbours, and what joins them then.

    None if the steps do not join it, or take apart what they have joined.
    """
    found: list[Turn] = []
    joined: tuple[int, ...] = ()  # sizes in the place of the dimension, once it is joined
    for step in steps:
        after = turned(shape, step)
        if isinstance(step, Transpose):
            at = step.perm.index(dim)
            many = max(len(joined), 1)
            order: list[int] = []
            for i in step.perm:
                first = i if i <= dim else i + many - 1
                order += range(first, first + many) if i == dim else [first]
            found.append(Transpose(tuple(order)))
        else:
            (group,) = (item for item in groups(shape, after) if dim in item.old)
            one = single(group, shape, after)
            if one is None and not joined and sum(after[j] > 1 for j in group.new) == 1:
                joined = tuple(shape[i] for i in group.old)
                at = next(j for j in group.new if after[j] > 1)
            elif one is None or one[0] != dim:
                return None
            else:
                at = one[1]
            found.append(Reshape((*after[:at], *(joined or after[at : at + 1]), *after[at + 1 :])))
        shape, dim = after, at
    return (tuple(found), Reshape(shape)) if joined else None


def adapted(
    shape: Shape, steps: Sequence[Turn], own: Shape, repeat: bool
) -> tuple[MoveStep, ...] | None:
    """The steps for a value of another shape: one of some dimensions has another size.

    repeat: dimensions of size one may be repeated where others are joined with them. None if there
    are no such steps.
    """
    found: list[MoveStep] = []
    for step in steps:
        after = turned(shape, step)
        if isinstance(step, Transpose):
            order = [i for i in step.perm if own[i] > 1]
            own = turned(own, step)
            found.append(step if order != sorted(order) else Reshape(own))
        else:
            wide, sizes = list(own), list(after)
            for group in groups(shape, after):
                one = single(group, shape, after)
                if all(own[i] == shape[i] for i in group.old):
                    continue
                if all(own[i] == 1 for i in group.old):
                    for j in group.new:
                        sizes[j] = 1
                elif one is not None:
                    sizes[one[1]] = own[one[0]]
                elif repeat and all(own[i] in (1, shape[i]) for i in group.old):
                    for i in group.old:
                        wide[i] = shape[i]
                else:
                    return None
            if tuple(wide) != own:
                found.append(Expand(tuple(wide)))
            own = tuple(sizes)
            found.append(Reshape(own))
        shape = after
    return tuple(found)


def unsplit(shape: Shape, split: Reshape, cut: Slice) -> tuple[Slice, Reshape] | None:
    """A single position of a part into which a dimension was taken apart, as a slice of all of it.

    shape: what was taken apart. A position of the first part is a run of neighbours, one of the
    last part is every so many. None if something else is cut, or the part is neither.
    """
    dims = [i for i, size in enumerate(split.shape) if cut.sizes[i] != size]
    if len(dims) != 1 or cut.sizes[dims[0]] != 1:
        return None
    (dim,) = dims
    (group,) = (item for item in groups(shape, split.shape) if dim in item.new)
    whole = [i for i in group.old if shape[i] > 1]
    parts = [j for j in group.new if split.shape[j] > 1]
    if len(whole) != 1 or dim not in (parts[0], parts[-1]):
        return None
    starts, sizes, steps = [0] * len(shape), list(shape), [1] * len(shape)
    at, many = whole[0], split.shape[dim]
    sizes[at] //= many
    near = dim == parts[0]
    starts[at] = cut.starts[dim] * (sizes[at] if near else 1)
    steps[at] = 1 if near or sizes[at] == 1 else many
    return Slice(tuple(starts), tuple(sizes), tuple(steps)), Reshape(cut.sizes)


def delayed(
    shape: Shape, cut: Slice, steps: Sequence[Turn]
) -> tuple[tuple[Turn, ...], Slice] | None:
    """The steps for what a slice of one dimension is of, and the slice behind them.

    shape: what is cut. steps: what is done to the part. None if the steps join the dimension with
    others.
    """
    dims = [i for i, size in enumerate(shape) if cut.sizes[i] != size]
    if len(dims) != 1 or cut.sizes[dims[0]] == 1:
        return None
    (dim,) = dims
    part, full = cut.sizes, shape
    found: list[Turn] = []
    for step in steps:
        after = turned(part, step)
        at = place(part, [step], dim)
        if at is None:
            return None
        if isinstance(step, Transpose):
            found.append(step)
        else:
            found.append(Reshape(tuple(full[dim] if i == at else n for i, n in enumerate(after))))
        full = turned(full, found[-1])
        part, dim = after, at
    starts, strides = [0] * len(part), [1] * len(part)
    starts[dim] = cut.starts[dims[0]]
    strides[dim] = cut.steps[dims[0]]
    return tuple(found), Slice(tuple(starts), part, tuple(strides))
