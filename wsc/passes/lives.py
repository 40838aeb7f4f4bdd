"""Lives of buffers, and which of them share an address because steps of the program repeat.

An unrolled recurrence has the same buffers at each step, under other names. If step k + 1 finds
them where step k had them, or each a constant further on, the steps can become turns of a loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, fields
from statistics import median_low
from typing import Any

from wsc.ir.tasks import EDGE, MoveTask, Placed, Run, Task, scratch, views
from wsc.layout import View
from wsc.passes.periods import numbered, runs

Spans = list[tuple[int, int]]
Place = tuple[int, int, int]  # the first task of the steps, the task in the step, the buffer in it
BUFFERS = ("scratch", "accumulator", "arrivals", "sums")  # fields of tasks that name buffers
NAMES = ("origin", *EDGE)  # fields of tasks that name nodes and edge tensors
TAKING_TURNS = (1, 2, 4)  # addresses of buffers that are alive into the next steps


@dataclass(slots=True)
class Life:
    """A range of bytes from its first task to its last."""

    names: list[str]
    bytes: int
    first: int
    last: int
    address: int = -1


@dataclass(slots=True)
class Room:
    """Lives at one address, none at the time of another; or, with a step, side by side.

    step: bytes from one life to the next.
    """

    lives: list[Life]
    step: int = 0
    spans: Spans = field(init=False)

    def __post_init__(self) -> None:
        spans = [(life.first, life.last) for life in self.lives]
        self.spans = [(spans[0][0], max(last for _, last in spans))] if self.step else spans

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        return self.lives[0].bytes + self.step * (len(self.lives) - 1)

    @property
    def first(self) -> int:
        """The first task of the first life."""
        return self.spans[0][0]

    def meets(self, other: Room) -> bool:
        """Whether something in it is alive at the same task as something in the other."""
        if self.spans[-1][1] < other.first or other.spans[-1][1] < self.first:
            return False
        mine, others = iter(self.spans), iter(other.spans)
        one, two = next(mine, None), next(others, None)
        while one is not None and two is not None:
            if one[1] < two[0]:
                one = next(mine, None)
            elif two[1] < one[0]:
                two = next(others, None)
            else:
                return True
        return False


def buffers_of(task: Task) -> list[str]:
    """The buffers that a task names, those of alike tasks in the same order."""
    return [*(view.buffer for view in views(task)), *scratch(task)]


def form(task: Task, positions: bool = False, names: bool = True) -> Hashable:
    """What a task has in common with that of another step: all but buffers.

    positions: whether the positions that movement names count too. names: whether those of edge
    tensors and nodes do.
    """
    parts: list[Hashable] = [type(task)]
    for entry in fields(task):
        value: Any = getattr(task, entry.name)
        if entry.name in NAMES and not names:
            value = bool(value)
        if isinstance(task, MoveTask) and entry.name == "steps" and not positions:
            value = tuple(type(step) for step in value)
        elif entry.name in BUFFERS:
            value = len(value) if isinstance(value, tuple) else bool(value)
        elif isinstance(value, View):
            value = _layout(value)
        elif entry.name == "inputs" and isinstance(value, tuple):
            value = tuple(_layout(view) for view in value)
        parts.append(value)
    return tuple(parts)


def _layout(view: View) -> Hashable:
    return (view.dtype, view.extents, view.strides)


def folded(placed: Placed, lives: list[Life]) -> list[Room]:
    """The lives in rooms: those of the same buffer of step after step together."""
    steps = _steps(placed)
    if not steps:
        return [Room([life]) for life in lives]
    alike: dict[Place, list[Life]] = {}
    rooms: list[Room] = []
    places = _Places(placed, lives, steps)
    handed = {id(life): place for layers in placed.layers for life, place in places.handed(layers)}
    for life in sorted(lives, key=lambda life: life.first):
        place = places.of(life) or handed.get(id(life))
        if place is None:
            rooms.append(Room([life]))
        else:
            alike.setdefault(place, []).append(life)
    for members in alike.values():
        rooms += _together(members)
    return rooms


class _Places:
    """Where in the steps of a program each life begins."""

    def __init__(self, placed: Placed, lives: list[Life], steps: list[Run]) -> None:
        self.tasks = placed.tasks
        self.named = {name: life for life in lives for name in life.names}
        self.where = {task: run for run in steps for task in range(run.start, run.end)}

    def of(self, life: Life) -> Place | None:
        """The place of a life that begins in a step."""
        run = self.where.get(life.first)
        if run is None:
            return None
        place = buffers_of(self.tasks[life.first]).index(life.names[0])
        return (run.start, (life.first - run.start) % run.period, place)

    def handed(self, layers: Run) -> Iterator[tuple[Life, Place]]:
        """What the first layer is handed, and the place of that which each one hands on."""
        for number in range(layers.start, layers.start + layers.period):
            here, following = (buffers_of(self.tasks[n]) for n in (number, number + layers.period))
            for name, later in zip(here, following, strict=True):
                made = self.named[later]
                if (
                    self.named[name].first
                    < layers.start
                    <= made.first
                    < layers.start + layers.period
                ):
                    place = self.of(made)
                    assert place is not None
                    yield self.named[name], place


def _steps(placed: Placed) -> list[Run]:
    """The layers, and the steps of recurrences between them."""
    ids = numbered(form(task) for task in placed.tasks)
    found, begin = list[Run](), 0
    for layers in placed.layers:
        found += [*runs(ids[begin : layers.start], None, begin), layers]
        begin = layers.end
    return [*found, *runs(ids[begin:], None, begin)]


def _together(members: list[Life]) -> list[Room]:
    """Rooms for one buffer of each step, in the order of the steps."""
    if len({life.bytes for life in members}) > 1:
        return [Room([life]) for life in members]
    later: list[int] = []
    for number, life in enumerate(members):
        until = number + 1
        while until < len(members) and members[until].first <= life.last:
            until += 1
        later.append(until - number - 1)
    usual = median_low(later)
    turns = next((count for count in TAKING_TURNS if count > usual), None)
    if turns is None:
        return [Room(members, members[0].bytes)]
    even = [life for life, count in zip(members, later, strict=True) if count < turns]
    odd = [Room([life]) for life, count in zip(members, later, strict=True) if count >= turns]
    return [*odd, *(Room(even[k::turns]) for k in range(turns) if even[k::turns])]
