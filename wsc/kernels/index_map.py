"""Where the elements of a movement go: the index map, and which of its variables are simple."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import gcd

from wsc.ir.graph import Expand, MoveStep, Pad, Reshape, Slice, Transpose
from wsc.ir.layout import Mesh, start, valid
from wsc.ir.regroup import groups, single
from wsc.ir.tasks import MoveTask
from wsc.isa.expr import Expr, Int, minimum
from wsc.kernels.index import Ix, quotient, remainder, split, variable, within

Box = list[tuple[int, int]]  # of each dimension: the first position, and the one behind the last


@dataclass(slots=True)
class IndexMap:
    """Where a source index goes.

    target: destination index, one form for each dimension, over the source index (``s0``..)
    and copies of an expansion (``e3``..). runs: source dimensions with two variables in place of
    one (``q0``.. and ``r0``..), and how long a run is. ragged: those of them of which a tile may
    hold a part of a run. sizes: variable -> number of values in this tile.
    rooms: the same over all tiles, so that a choice that rests on it holds for any mesh.
    between: forms that must lie in [low, high). divisible: forms that a number must
    divide. box: the destination range that is reached at all.
    """

    target: list[Ix]
    sizes: dict[str, Expr]
    rooms: dict[str, int]
    runs: dict[int, int]
    between: list[tuple[Ix, int, int]] = field(default_factory=list)
    divisible: list[tuple[Ix, int]] = field(default_factory=list)
    box: Box = field(default_factory=list[tuple[int, int]])
    ragged: set[int] = field(default_factory=set[int])


def index_map(task: MoveTask, mesh: Mesh) -> IndexMap:
    """The map of a task, from the tile's own variables to the destination's indices.

    A dimension that is taken apart again and again at the same distance (the features of a product,
    which are those of one head after the other) has two variables: which of these runs, ``q1``,
    and the place within it, ``r1``. So a run is one message.
    """
    found = _map(task, mesh, {})
    runs: dict[int, int] = {}
    for number, extent in enumerate(task.value.extents):
        name = f"s{number}"
        forms = [*found.target, *(form for form, _, _ in found.between)]
        forms += [form for form, _ in found.divisible]
        length = gcd(*(d for form in forms for d in form.divisors(name)))
        if 1 < length < extent.size:
            tried = _map(task, mesh, runs | {number: length})
            if _longest(task, tried) > _longest(task, found):
                runs[number], found = length, tried
    return found


def _longest(task: MoveTask, found: IndexMap) -> int:
    """Elements of the longest message."""
    ways = plan(task, found)
    return max((_most(task, found, ways.interval, name) for name in ways.vector), default=1)


def _map(task: MoveTask, mesh: Mesh, runs: dict[int, int]) -> IndexMap:
    """The map, with two variables for each dimension that is taken in runs of this length."""
    found = IndexMap([], {}, {}, runs)
    for number, extent in enumerate(task.value.extents):
        count, length = valid(extent, mesh), runs.get(number)
        if length is None:
            found.sizes[f"s{number}"] = count
            found.rooms[f"s{number}"] = extent.size
            found.target.append(variable(f"s{number}", 0, extent.size - 1))
            continue
        first, many = start(extent), -(-extent.size // length)
        step = extent.step if extent.axis else extent.size
        if step % length == 0 and extent.size % length == 0:
            found.sizes[f"q{number}"] = count // length
        else:
            found.ragged.add(number)
            upto = (first + count + (length - 1)) // length
            found.sizes[f"q{number}"] = minimum(count, upto - first // length)  # none of nothing
        found.sizes[f"r{number}"] = Int(length)
        found.rooms[f"q{number}"], found.rooms[f"r{number}"] = many, length
        run = variable(f"q{number}", 0, many - 1) * length
        found.target.append(run + variable(f"r{number}", 0, length - 1))
    shape = task.value.shape
    found.box = [(0, size) for size in shape]
    for step in task.steps:
        shape = _apply(found, step, shape)
    return found


def _apply(found: IndexMap, step: MoveStep, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(step, Transpose):
        found.target = [found.target[i] for i in step.perm]
        found.box = [found.box[i] for i in step.perm]
        return tuple(shape[i] for i in step.perm)
    if isinstance(step, Reshape):
        found.target = reshape_index(found.target, shape, step.shape)
        # Where it is no box, nothing may leave its tile (``box_until``).
        found.box = reshaped_box(found.box, shape, step.shape) or [(0, n) for n in step.shape]
        return step.shape
    if isinstance(step, Expand):
        for dim, (old, new) in enumerate(zip(shape, step.shape, strict=True)):
            if old != new:
                name = f"e{len(found.sizes)}"
                found.sizes[name], found.rooms[name] = Int(new), new
                found.target[dim] = variable(name, 0, new - 1)
                found.box[dim] = (0, new)
        return step.shape
    if isinstance(step, Pad):
        found.target = [form + low for form, low in zip(found.target, step.low, strict=True)]
        found.box = [(a + n, b + n) for (a, b), n in zip(found.box, step.low, strict=True)]
        return tuple(a + n + b for a, n, b in zip(step.low, shape, step.high, strict=True))
    return _slice(found, step, shape)


def _slice(found: IndexMap, step: Slice, shape: tuple[int, ...]) -> tuple[int, ...]:
    for dim, size in enumerate(shape):
        begin, count, stride = step.starts[dim], step.sizes[dim], step.steps[dim]
        if (begin, count, stride) == (0, size, 1):
            continue
        form = found.target[dim] + -begin if stride > 0 else found.target[dim] * -1 + begin
        if abs(stride) > 1:
            taken, form = divided(form, abs(stride))
            found.divisible.append((taken, abs(stride)))
        low, high = form.range
        if low < 0 or high >= count:
            found.between.append(within(form, 0, count))
        found.target[dim] = form
        found.box[dim] = _sliced(found.box[dim], begin, count, stride)
    return step.sizes


def reshaped_box(box: Box, old: tuple[int, ...], new: tuple[int, ...]) -> Box | None:
    """The box in ``new`` of what is a box in ``old``; None if it is none there."""
    if 0 in old:
        return [(0, size) for size in new]
    found = [(0, size) for size in new]
    for group in groups(old, new):
        if all(box[i] == (0, old[i]) for i in group.old):
            continue
        one = single(group, old, new)
        if one is None or any(box[i] != (0, 1) for i in group.old if i != one[0]):
            return None
        found[one[1]] = box[one[0]]
    return found


def box_until(task: MoveTask, mesh: Mesh) -> int | None:
    """How many steps of a move reach a box of what they give; None if all do.

    A tile counts the words that come to it as those of a box.
    """
    shape, found = task.value.shape, _map(replace(task, steps=()), mesh, {})
    for number, step in enumerate(task.steps):
        box = found.box
        if isinstance(step, Reshape) and reshaped_box(box, shape, step.shape) is None:
            return number
        shape = _apply(found, step, shape)
    return None


def divided(form: Ix, divisor: int) -> tuple[Ix, Ix]:
    """What the divisor has to divide, that it divides a form; and the form divided then.

    Of a run as long as the divisor one place counts, the same in all runs.
    """
    multiple, rest = split(form, divisor)
    low, high = rest.range
    if multiple.terms and low <= high // divisor * divisor < low + divisor:
        return rest, multiple + high // divisor
    return form, quotient(form, divisor)


def _sliced(box: tuple[int, int], begin: int, count: int, stride: int) -> tuple[int, int]:
    """The positions i of a slice whose element begin + i*stride lies in the box."""
    inside = [i for i in range(count) if box[0] <= begin + i * stride < box[1]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def reshape_index(index: list[Ix], old: tuple[int, ...], new: tuple[int, ...]) -> list[Ix]:
    """Row-major position of an index in ``old``, taken apart again in ``new``.

    Dimensions that have nothing to do with each other are looked at apart.
    """
    if 0 in old:
        return [Ix() for _ in new]
    digits = [Ix() for _ in new]
    for group in groups(old, new):
        position = Ix()
        for i in group.old:
            position = position * old[i] + index[i]
        below = 1
        for j in reversed(group.new):
            digit = quotient(position, below)
            below *= new[j]
            outermost = all(new[other] == 1 for other in group.new if other < j)
            if new[j] > 1:
                digits[j] = digit if outermost else remainder(digit, new[j])
    return digits


@dataclass(slots=True)
class Plan:
    """Which variables are vector dimensions and which are loops.

    interval: axis -> the vector variable that runs along the destination's split dimension.
    """

    vector: list[str]
    loops: list[str]
    interval: dict[str, str]


def plan(task: MoveTask, found: IndexMap) -> Plan:
    """Choose the vector variables: those that the map treats simply."""
    vector = {name for name, room in found.rooms.items() if room > 1}
    vector -= {f"q{number}" for number in found.ragged}
    forms = [*found.target, *(form for form, _, _ in found.between)]
    for form in forms:
        vector -= form.nested()
    for form, _ in found.divisible:
        vector -= form.variables()
    interval: dict[str, str] = {}
    for dim, form in enumerate(found.target):
        axis = task.out.extents[dim].axis
        if axis is None:
            continue
        unit = [v for v in vector & form.direct() if form.coefficient(v) == 1]
        kept = max(unit, key=lambda v: (found.rooms[v], v), default=None)
        vector -= form.direct() - {kept}
        if kept is not None:
            interval[axis] = kept
    for form, _, _ in found.between:
        inside = vector & form.direct()
        simple = [v for v in inside if form.coefficient(v) == 1]
        kept = max(simple, key=lambda v: (found.rooms[v], v), default=None)
        vector -= inside - {kept}
    interval = {axis: v for axis, v in interval.items() if v in vector}
    ordered = sorted(vector, key=lambda v: (_most(task, found, interval, v), v))
    loops = [v for v in found.rooms if v not in vector and found.rooms[v] > 1]
    return Plan(ordered, loops, interval)


def _most(task: MoveTask, found: IndexMap, interval: dict[str, str], name: str) -> int:
    """Values of a variable that go from one tile to one other at most: the innermost dimension is
    a message's.
    """
    most = found.rooms[name]
    if name[0] in "sr":
        extent = task.value.extents[int(name[1:])]
        most = min(most, extent.step if extent.axis else extent.size)
    for axis, along in interval.items():
        dim = task.out.on(axis)
        if along == name and dim is not None:
            most = min(most, task.out.extents[dim].length)
    return most


def stays_in_tile(task: MoveTask, mesh: Mesh) -> bool:
    """No element leaves its tile."""
    found = index_map(task, mesh)
    return all(own_only(task, found, axis, mesh) for axis in ("x", "y"))


def spreads(task: MoveTask, mesh: Mesh) -> list[str]:
    """Axes along which everyone needs what only some have: to the root of each line first, and
    from there to all. The whole output goes, whatever else stands in it."""
    return [
        axis
        for axis in "xy"
        if task.out.on(axis) is None and task.value.on(axis) is not None and mesh.count(axis) > 1
    ]


def own_only(task: MoveTask, found: IndexMap, axis: str, mesh: Mesh) -> bool:
    """Nothing leaves its coordinate along an axis: one tile, all in every tile, or aligned."""
    return mesh.count(axis) == 1 or task.value.on(axis) is None or aligned(task, found, axis, mesh)


def aligned(task: MoveTask, found: IndexMap, axis: str, mesh: Mesh) -> bool:
    """The same dimension in the same blocks along an axis, before and after."""
    source, dim = task.value.on(axis), task.out.on(axis)
    if source is None or dim is None:
        return False
    extent = task.out.extents[dim]
    size = task.value.extents[source].size
    held = task.value.extents[source]
    same = (extent.step, extent.over) == (held.step, held.over)
    straight = found.target[dim] == variable(f"s{source}", 0, size - 1)
    return straight and same and extent.offset == 0 and extent.length == extent.step
