"""What comes back of a layer comes a layer ahead, while gradients of weights are made.

A layer of the backward pass begins with what the edge has kept for it, and all cores would wait for
that. The pieces of a weight's gradient take nothing from the edge: while those of one layer are
made, a stream unit of each tile takes in what the next layer wants. What the first layer wants
comes during pieces of what is before all layers, as the head of a language model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from wsc.ir.layout import View
from wsc.ir.tasks import (
    Arrived,
    ContractTask,
    Load,
    LookupTask,
    MoveTask,
    Part,
    Risen,
    Run,
    Task,
    edge_names,
)
from wsc.isa.program import Kind
from wsc.passes.lives import buffers_of
from wsc.passes.parts import crossing, parts
from wsc.passes.values import Values


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Tasks ``begin`` to ``end - 1`` of a layer make a gradient in pieces.

    cycles: that they take at least.
    """

    begin: int
    end: int
    cycles: int


@dataclass(frozen=True, slots=True)
class _Coming:
    """What comes ahead in place of the load at ``place`` of a layer, part by part.

    parts: each with the pieces beside which it comes.
    """

    place: int
    parts: tuple[tuple[_Pieces, Part], ...]


def ahead(values: Values, layers: Run, after: int) -> Run:
    """Have what was kept for a layer come while the one before it makes gradients.

    The last layer brings what it had itself once more, which nobody reads: so all are alike.

    values: with the tasks of these layers at their end. Only those change, and the ones before
        them, from number ``after`` on.

    Returns:
        Where the layers are now.
    """
    begin, period = layers.start, layers.period
    turns = [values.tasks[at : at + period] for at in range(begin, layers.end, period)]
    coming = _planned(values, layers, turns)
    if not coming:
        return layers
    # What each layer finds, and the one behind the last would.
    found: list[list[View]] = [
        [_room(values, _load(turn, item)) for item in coming] for turn in (*turns, turns[-1])
    ]
    first = [
        replace(_load(turns[0], item), out=view)
        for item, view in zip(coming, found[0], strict=True)
    ]
    made = [*values.tasks[:begin], *first]
    for number, turn in enumerate(turns):
        following = turns[min(number + 1, layers.count - 1)]
        made += _turn(turn, following, coming, found[number], found[number + 1])
    values.tasks[:] = made
    more = 2 * sum(len(item.parts) for item in coming)
    found_there = Run(begin + len(first), period + more, layers.count)
    return _first_ahead(values, found_there, len(first), after)


def _first_ahead(values: Values, layers: Run, loads: int, after: int) -> Run:
    """Have what the first layer wants come beside gradients, too, which are made before all layers.

    loads: how many tasks right before the layers bring it. after: the first task that may change.

    Returns:
        Where the layers are now.
    """
    begin = layers.start - loads
    before = values.tasks[after:begin]
    alive = _alive(values, range(layers.end), range(after, layers.end))
    fullest = max(alive[layers.start - after :])
    pieces = _pieces(values, before)
    more: list[tuple[int, Task]] = []
    waiting: list[Task] = []
    for load in values.tasks[begin : layers.start]:
        assert isinstance(load, Load)
        size = values.buffers[load.out.buffer].bytes
        # Nothing that is kept here is still on its way out, and nothing gets too full.
        sent = (number for number, task in enumerate(before) if load.source in edge_names(task))
        gone = max(sent, default=-1) + 1
        since = max(_room_from(alive[: len(before)], size, fullest), gone)
        taken = _taken(pieces, crossing(load.out, values.fabric), since)
        if not taken:
            waiting.append(load)
            continue
        for number in range(taken[-1].begin, len(before)):
            alive[number] += size
        more += _beside(load, _shared(load, taken))
    tasks = [*_among(before, more), *waiting]
    values.tasks[after : layers.start] = tasks
    return replace(layers, start=after + len(tasks))


def _room(values: Values, load: Load) -> View:
    """Where comes ahead what a load would bring."""
    before, values.origin = values.origin, load.origin
    view = values.fresh(load.source, load.out.dtype, load.out.extents, "ahead")
    values.origin = before
    return view


def _turn(
    turn: Sequence[Task],
    following: Sequence[Task],
    coming: Sequence[_Coming],
    here: Sequence[View],
    later: Sequence[View],
) -> list[Task]:
    """The tasks of a layer, with those that bring what the following one wants.

    here: where that is which came for this layer. later: where that of the following one comes to.
    """
    found = [*turn]
    more: list[tuple[int, Task]] = []
    for item, view, room in zip(coming, here, later, strict=True):
        load, other = _load(turn, item), _load(following, item)
        # It stays beyond the next one's arrival, which has to be in the same place in each layer.
        found[item.place] = MoveTask(view, (), load.out, None, barrier=False, origin=load.origin)
        # For what this layer is handed, as far as names say: they go on evenly, and end here.
        more += _beside(replace(load, source=other.source, out=room), item.parts)
    return _among(found, more)


def _load(turn: Sequence[Task], coming: _Coming) -> Load:
    """What would bring in a layer what comes ahead."""
    load = turn[coming.place]
    assert isinstance(load, Load)
    return load


def _beside(load: Load, shares: Sequence[tuple[_Pieces, Part]]) -> Iterator[tuple[int, Task]]:
    """What brings something part by part while pieces are made, each with its place."""
    for pieces, part in shares:
        yield pieces.begin, replace(load, part=part, beside=True)
        yield pieces.end, Arrived((load.out,), origin=load.origin)


def _among(tasks: Sequence[Task], more: Sequence[tuple[int, Task]]) -> list[Task]:
    """Tasks with others among them, each in front of the one that has the number of its place."""
    found = [*tasks]
    for place, task in sorted(more, key=lambda entry: entry[0], reverse=True):
        found.insert(place, task)
    return found


def _room_from(alive: Sequence[int], size: int, most: int) -> int:
    """The first task from which on so many bytes more are never more than ``most`` in all."""
    full = (number for number, held in enumerate(alive) if held + size > most)
    return max(full, default=-1) + 1


def _taken(pieces: list[_Pieces], cycles: int, since: int) -> list[_Pieces]:
    """Takes away as many pieces, from the last ones back, as are needed for so many cycles.

    since: the first task beside which something may come.
    """
    taken: list[_Pieces] = []
    while pieces and pieces[-1].begin >= since and sum(item.cycles for item in taken) < cycles:
        taken.append(pieces.pop())
    return taken


def _shared(load: Load, taken: Sequence[_Pieces]) -> list[tuple[_Pieces, Part]]:
    """The part that comes beside each of some pieces."""
    return parts(load.out, [(item, item.cycles) for item in taken])


def _planned(values: Values, layers: Run, turns: Sequence[Sequence[Task]]) -> list[_Coming]:
    """What comes ahead, and beside what: as many of the last gradients as take the time.

    Nothing makes the fullest task of a layer fuller.
    """
    # All layers have the rest alike.
    whole = range(layers.start, layers.end)
    alive = _alive(values, whole, whole[layers.period : 2 * layers.period])
    pieces = _pieces(values, turns[0])
    found: list[_Coming] = []
    for place, task in enumerate(turns[0]):
        if not _comes_back(values, task):
            continue
        assert isinstance(task, Load)
        size = values.buffers[task.out.buffer].bytes

        if max(alive[: place + 1]) + size > max(alive):
            continue
        # What came for this layer is there up to its place.
        since = max(_room_from(alive, size, max(alive)), place)
        taken = _taken(pieces, crossing(task.out, values.fabric), since)
        if taken:
            alive = [
                bytes_ + size * (number <= place or number >= taken[-1].begin)
                for number, bytes_ in enumerate(alive)
            ]
            found.append(_Coming(place, tuple(_shared(task, taken))))
    return found


def _comes_back(values: Values, task: Task) -> bool:
    """Whether a task loads what was kept, in blocks of rows and columns."""
    if not isinstance(task, Load) or values.edge[task.source].kind is not Kind.KEPT:
        return False
    return task.fill is None and {"x", "y"} <= {extent.axis for extent in task.out.extents}


def _pieces(values: Values, tasks: Sequence[Task]) -> list[_Pieces]:
    """The gradients that are made piece by piece, whose sums rise up the columns.

    Only those beside which nothing comes from the edge.
    """
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for number, task in enumerate(tasks):
        if isinstance(task, ContractTask) and task.rises:
            begins.setdefault(task.out.buffer, number)
        elif isinstance(task, Risen):
            ends[task.sums.buffer] = number + 1
    found = [_Pieces(begin, ends[name], values.rising[name]) for name, begin in begins.items()]
    return [item for item in found if not any(map(_takes_in, tasks[item.begin : item.end]))]


def _takes_in(task: Task) -> bool:
    """Whether something comes from the edge for a task."""
    return isinstance(task, (Load, LookupTask)) or (
        isinstance(task, ContractTask) and bool(task.weight)
    )


def _alive(values: Values, among: range, at: range) -> list[int]:
    """Bytes that are alive at each of some tasks, as far as tasks ``among`` use them."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number in among:
        for name in buffers_of(values.tasks[number]):
            first.setdefault(name, number)
            last[name] = number
    change = [0] * (len(at) + 1)
    for name, number in first.items():
        if number < at.stop and last[name] >= at.start:
            size = values.buffers[name].bytes
            change[max(number, at.start) - at.start] += size
            change[min(last[name] + 1, at.stop) - at.start] -= size
    return [*accumulate(change[:-1])]
