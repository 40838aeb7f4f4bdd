"""Elements that move, by constants and by indices."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from conformance.graphs.draft import F32, FLOATS, I64, Draft, Value
from conformance.graphs.evaluate import Refused
from conformance.graphs.recipes.registry import ANY, NUMBERS, positions, recipe


@recipe("Identity")
@recipe("Dropout", until=11)
def same(draft: Draft, op: str) -> object:
    """The value itself."""
    return draft.move(op, [draft.pick(FLOATS)])


@recipe("Transpose")
def transpose(draft: Draft, op: str) -> object:
    """Dimensions in another order, or reversed where none is given."""
    value = draft.pick(ANY)
    order = list(range(value.rank))
    draft.rng.shuffle(order)
    if value.rank == 0 or draft.rng.random() < 0.2:
        return draft.move(op, [value])
    return draft.move(op, [value], perm=order)


@recipe("Reshape")
def reshape(draft: Draft, op: str) -> object:
    """The same elements in another shape, with -1 and 0 at times."""
    value = draft.pick(ANY, wanted=lambda value: value.array.size <= 512)
    left, shape = value.array.size, []
    while left > 1 and len(shape) < 4:
        size = draft.rng.choice([n for n in range(1, left + 1) if left % n == 0])
        shape.append(size)
        left //= size
    shape.append(left)
    if draft.rng.random() < 0.4:
        shape[draft.rng.randrange(len(shape))] = -1
    elif value.rank and len(shape) and shape[0] == value.shape[0]:
        shape[0] = 0
    return draft.move(op, [value, draft.ints(*shape)])


@recipe("Flatten", since=9)
def flatten(draft: Draft, op: str) -> object:
    """Two dimensions."""
    value = draft.pick(FLOATS, least=1)
    return draft.move(op, [value], axis=draft.rng.randrange(value.rank + 1))


@recipe("Squeeze", "Unsqueeze", since=13)
def squeeze(draft: Draft, op: str) -> object:
    """Dimensions of one left out, or put in."""
    value = draft.pick(ANY)
    return draft.move(op, [value, draft.ints(*_squeezed(draft, op, value))])


@recipe("Squeeze", "Unsqueeze", until=12)
def squeeze_by_attribute(draft: Draft, op: str) -> object:
    """The same with axes as an attribute."""
    value = draft.pick(FLOATS)
    return draft.move(op, [value], axes=_squeezed(draft, op, value))


def _squeezed(draft: Draft, op: str, value: Value) -> list[int]:
    if op == "Unsqueeze":
        if value.rank > 3:
            raise Refused("rank")
        return [draft.rng.randrange(value.rank + 1)]
    ones = [axis for axis, size in enumerate(value.shape) if size == 1]
    if not ones:
        raise Refused("no dimension of one")
    return [draft.rng.choice(ones)]


@recipe("Concat")
def concat(draft: Draft, op: str) -> object:
    """Two or three values along an axis; sometimes the same one twice."""
    first = draft.pick(ANY, least=1)
    axis = draft.axis(first)
    parts = [first]
    for _ in range(draft.rng.randrange(1, 3)):
        shape = list(first.shape)
        shape[axis] = draft.rng.randrange(1, 4)
        parts.append(first if draft.rng.random() < 0.2 else draft.fresh(first.dtype, shape))
    return draft.move(op, parts, axis=axis)


@recipe("Split", since=13)
def split(draft: Draft, op: str) -> object:
    """Parts of an axis, as long as told."""
    value = draft.pick(ANY, least=1, wanted=lambda value: max(value.shape, default=0) > 1)
    axis = draft.axis(value)
    size = value.shape[axis]
    first = draft.rng.randrange(size + 1)
    return draft.add(op, [value, draft.ints(first, size - first)], 2, axis=axis, exact=value.exact)


@recipe("Slice", since=10)
def cut(draft: Draft, op: str) -> object:
    """A range of one or two axes, with steps of either sign and bounds beyond the ends."""
    value = draft.pick(ANY, least=1)
    axes = draft.rng.sample(range(value.rank), draft.rng.randrange(1, min(value.rank, 2) + 1))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = value.shape[axis]
        step = draft.rng.choice((1, 1, 2, -1, -2))
        low, high = sorted((draft.rng.randrange(size + 1), draft.rng.randrange(size + 1)))
        high = draft.rng.choice((high, size, size + 5, 2**31 - 1, 2**63 - 1))
        starts.append(low if step > 0 else min(high, size + 3))
        ends.append(high if step > 0 else low - 1 if low else -size - 1)
        steps.append(step)
    given = [draft.ints(*numbers) for numbers in (starts, ends, axes, steps)]
    return draft.move(op, [value, *given])


@recipe("Pad", since=11)
def pad(draft: Draft, op: str) -> object:
    """Elements put around, or (negative widths) taken away."""
    value = draft.pick(FLOATS, least=1)
    mode = draft.rng.choice(("constant", "constant", "reflect", "edge"))
    least = -1 if mode == "constant" else 0
    widths = [
        draft.rng.randrange(least, min(3, size) if mode == "reflect" else 3)
        for size in value.shape * 2
    ]
    fill = draft.given(np.full((), 0.25, np.float32)) if mode == "constant" else None
    given = [value, draft.ints(*widths), *([fill] if fill else [])]
    return draft.move(op, given, mode=mode)


@recipe("Tile")
def tile(draft: Draft, op: str) -> object:
    """Repeated along its dimensions."""
    value = draft.pick(FLOATS, least=1, wanted=lambda value: value.array.size < 300)
    return draft.move(op, [value, draft.ints(*(draft.rng.randrange(1, 3) for _ in value.shape))])


@recipe("Expand", since=8)
def expand(draft: Draft, op: str) -> object:
    """Broadcast to a shape, of a higher rank at times."""
    value = draft.pick(FLOATS, most=3, wanted=lambda value: value.array.size < 300)
    shape = [size if size > 1 else draft.rng.randrange(1, 4) for size in value.shape]
    return draft.move(op, [value, draft.ints(*([2] * draft.rng.randrange(2)), *shape)])


@recipe("Gather")
def gather(draft: Draft, op: str) -> object:
    """Positions of an axis, constant or given when it runs, of either sign since opset 11."""
    value = draft.pick(ANY, least=1)
    axis = draft.axis(value)
    return draft.move(
        op, [value, positions(draft, value.shape[axis], draft.shape(0, 2))], axis=axis
    )


@recipe("GatherElements", since=11)
def gather_elements(draft: Draft, op: str) -> object:
    """One element for each index."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.axis(value)
    shape = [draft.rng.randrange(1, size + 1) for size in value.shape]
    return draft.move(op, [value, positions(draft, value.shape[axis], shape)], axis=axis)


@recipe("GatherND", since=11)
def gather_nd(draft: Draft, op: str) -> object:
    """Slices at index tuples."""
    value = draft.pick(FLOATS, least=1)
    depth, count = draft.rng.randrange(1, value.rank + 1), draft.rng.randrange(1, 5)
    columns = [
        np.array([draft.rng.randrange(-size, size) for _ in range(count)])
        for size in value.shape[:depth]
    ]
    return draft.move(op, [value, draft.given(np.stack(columns, -1).astype(np.int64), None)])


@recipe("ScatterElements", since=11)
def scatter_elements(draft: Draft, op: str) -> object:
    """Distinct positions of an axis replaced."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.axis(value)
    shape = list(value.shape)
    shape[axis] = draft.rng.randrange(1, value.shape[axis] + 1)
    order = np.stack(
        [np.array(draft.rng.sample(range(value.shape[axis]), shape[axis]))]
        * (int(np.prod(shape)) // shape[axis]),
        -1,
    )
    rest = [size for place, size in enumerate(shape) if place != axis % value.rank]
    indices = np.moveaxis(order.reshape(shape[axis], *rest), 0, axis % value.rank)
    indices = np.ascontiguousarray(indices.astype(np.int64))
    return draft.move(op, [value, draft.given(indices, None), draft.fresh(F32, shape)], axis=axis)


@recipe("ScatterND", since=11)
def scatter_nd(draft: Draft, op: str) -> object:
    """Distinct rows replaced."""
    value = draft.pick(FLOATS, least=1)
    count = draft.rng.randrange(1, value.shape[0] + 1)
    rows = np.array(draft.rng.sample(range(value.shape[0]), count), np.int64).reshape(-1, 1)
    updates = draft.fresh(F32, (count, *value.shape[1:]))
    return draft.move(op, [value, draft.given(rows, None), updates])


@recipe("DepthToSpace", "SpaceToDepth")
def blocks(draft: Draft, op: str) -> object:
    """Blocks of channels and space."""
    shape = (draft.rng.randrange(1, 3), 8, 2, 3) if op == "DepthToSpace" else (1, 2, 4, 6)
    return draft.move(op, [draft.fresh(F32, shape)], blocksize=2)


@recipe("Trilu", since=14)
def trilu(draft: Draft, op: str) -> object:
    """A triangle."""
    value = draft.pick(FLOATS, least=2)
    offset = draft.given(np.array(draft.rng.randrange(-2, 3), np.int64))
    return draft.move(op, [value, offset], upper=draft.rng.randrange(2))


@recipe("Shape", "Size")
def shape_of(draft: Draft, op: str) -> object:
    """What is known of a value before it runs."""
    return draft.add(op, [draft.pick(FLOATS)], exact=True)


@recipe("OneHot", since=11)
def one_hot(draft: Draft, op: str) -> object:
    """A row of zeros and a one for each index."""
    indices = draft.pick((I64,), most=2)
    depth, values = draft.given(np.array(5, np.int64)), draft.given(np.array([0, 1], np.float32))
    return draft.move(op, [indices, depth, values], axis=-1)


@recipe("ReverseSequence", since=10)
def reverse_sequence(draft: Draft, op: str) -> object:
    """The first elements of each sequence in reverse."""
    value = draft.pick(FLOATS, least=2)
    lengths = [draft.rng.randrange(1, value.shape[0] + 1) for _ in range(value.shape[1])]
    given = draft.given(np.array(lengths, np.int64), None)
    return draft.move(op, [value, given], time_axis=0, batch_axis=1)


@recipe("Constant")
def constant(draft: Draft, op: str) -> object:
    """A value that is an attribute."""
    array = draft.draw(draft.rng.choice(ANY), draft.shape())
    return draft.add(op, [], value=numpy_helper.from_array(array), exact=True)


@recipe("ConstantOfShape", since=9)
def filled(draft: Draft, op: str) -> object:
    """One number everywhere."""
    fill = numpy_helper.from_array(np.full(1, 1.5, np.float32))
    return draft.add(op, [draft.ints(*draft.shape())], value=fill, exact=True)


@recipe("Range", since=11)
def stepped(draft: Draft, op: str) -> object:
    """Numbers in even steps."""
    kind = draft.rng.choice((np.float32, np.int64))
    step = draft.rng.choice((1, 2, -2))
    bounds = (1, 1 + step * draft.rng.randrange(1, 6), step)
    return draft.add(op, [draft.given(np.array(bound, kind)) for bound in bounds], exact=True)


@recipe("EyeLike", since=9)
def diagonal(draft: Draft, op: str) -> object:
    """Ones along a diagonal."""
    return draft.add(op, [draft.pick(FLOATS, 2, 2)], k=draft.rng.randrange(-1, 2), exact=True)


@recipe("CenterCropPad", since=18)
def middle(draft: Draft, op: str) -> object:
    """The middle of a value, or a value in the middle of zeros."""
    value = draft.pick(FLOATS, least=1)
    return draft.move(op, [value, draft.ints(*(draft.rng.randrange(1, 6) for _ in value.shape))])


@recipe("Scatter", since=9, until=10)
def scatter(draft: Draft, op: str) -> object:
    """Distinct positions of an axis replaced, as older opsets had it."""
    return scatter_elements(draft, op)


@recipe("TensorScatter", since=24)
def into_cache(draft: Draft, op: str) -> object:
    """Steps written into a cache, at a start of its own for each sample."""
    batch, size, count = 2, 5, draft.rng.randrange(1, 4)
    mode = draft.rng.choice(("linear", "circular"))
    most = size - count if mode == "linear" else size - 1
    starts = np.array([draft.rng.randrange(most + 1) for _ in range(batch)])
    given = [draft.fresh(F32, (batch, size, 3)), draft.fresh(F32, (batch, count, 3))]
    return draft.move(op, [*given, draft.given(starts, None)], axis=1, mode=mode)


@recipe("Compress", since=9)
def compress(draft: Draft, op: str) -> object:
    """The slices whose condition holds."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.axis(value)
    condition = draft.fresh(np.dtype(np.bool_), (value.shape[axis],))
    return draft.add(op, [value, condition], axis=axis, exact=value.exact, ends=True)


@recipe("NonZero", since=9)
def non_zero(draft: Draft, op: str) -> object:
    """Where a value is not zero."""
    return draft.add(op, [draft.pick(ANY, least=1, exact=True)], exact=True, ends=True)


@recipe("Unique", since=11)
def unique(draft: Draft, op: str) -> object:
    """Each element once, in order or as they come, with places and counts."""
    value = draft.pick(NUMBERS, least=1, exact=True, wanted=lambda value: value.numeric)
    order = draft.rng.randrange(2)
    return draft.add(op, [value], 4, sorted=order, exact=True, ends=True)
