"""Lives of buffers, and which of them share an address because steps of the program repeat.

An unrolled recurrence has the same buffers at each step, under other names. If step k + 1 finds
them where step k had them, or each a constant further on, the steps can become turns of a loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from statistics import median_low

from wsc.ir.cut import NotAlike
from wsc.ir.tasks import Placed, Role, Run, Task, parts, roles, scratch, views
from wsc.kernels.context import SYNC
from wsc.passes.periods import numbered, runs

Spans = list[tuple[int, int]]
Place = tuple[int, int, int]  # the first task of the steps, the task in the step, the buffer in it
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

    step: bytes from one place to the next. places: of each life, where several layers have theirs
    in the same places one after the other; else each life has a place of its own.
    """

    lives: list[Life]
    step: int = 0
    places: Sequence[int] = ()
    spans: Spans = field(init=False)

    def __post_init__(self) -> None:
        self.spans = [(life.first, life.last) for life in self.lives]
        if not self.step:
            return
        self.places = self.places or range(len(self.lives))
        # All of it is taken from the first life of a layer to the last.
        whole: Spans = []
        for place, (first, last) in zip(self.places, self.spans, strict=True):
            if place == self.places[0]:
                whole.append((first, last))
            whole[-1] = (whole[-1][0], max(whole[-1][1], last))
        self.spans = whole

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        return self.lives[0].bytes + self.step * max(self.places, default=0)

    def put(self, address: int) -> None:
        """Give each life its address. address: of all of it."""
        for life, place in zip(self.lives, self.places or [0] * len(self.lives), strict=True):
            life.address = address + place * self.step

    @property
    def first(self) -> int:
        """The first task of the first life."""
        return self.spans[0][0]


def buffers_of(task: Task) -> list[str]:
    """The buffers that a task names, those of alike tasks in the same order."""
    return [*(view.buffer for view in views(task)), *scratch(task)]


def form(task: Task, positions: bool = False, names: bool = True) -> Hashable:
    """What a task has in common with that of another step: all but buffers.

    positions: whether the positions that movement names count too. names: whether those of edge
    tensors and nodes do.
    """
    found: list[Hashable] = [type(task)]
    for name, told in _told(type(task), positions, names):
        if told is Role.FACT:
            found.append(getattr(task, name))
            continue
        held = parts(task, name)
        if told is Role.READ:
            found.append(tuple((view.dtype, view.extents, view.strides) for view in held))
        elif told is Role.SCRATCH:
            found.append(len(held))
        elif told is Role.EDGE:
            found.append(bool(held))
        else:
            found.append(tuple(type(step) for step in held))
    return tuple(found)


@cache
def _told(kind: type[Task], positions: bool, names: bool) -> tuple[tuple[str, Role], ...]:
    """The fields of a kind of task, each with what its form tells of it.

    READ: the layouts of views. SCRATCH: how many there are. EDGE: whether there is one. MOVEMENT:
    the kinds of its steps. FACT: the field itself.
    """
    alike = {Role.WRITE: Role.READ}
    alike |= dict.fromkeys((Role.EDGE, Role.NODES), Role.FACT if names else Role.EDGE)
    alike |= {Role.MOVEMENT: Role.FACT} if positions else {}
    return tuple((name, alike.get(role, role)) for name, role in roles(kind).items())


def folded(placed: Placed, lives: list[Life]) -> list[Room]:
    """The lives in rooms: those of the same buffer of step after step together."""
    places = _Places(placed, lives)
    if not places.where:
        return [Room([life]) for life in lives]
    alike: dict[Place, list[Life]] = {}
    rooms: list[Room] = []
    handed = {id(life): place for layers in placed.layers for life, place in places.handed(layers)}
    for life in sorted(lives, key=lambda life: life.first):
        place = places.of(life) or handed.get(id(life))
        if place is None:
            rooms.append(Room([life]))
        else:
            alike.setdefault(place, []).append(life)
    for members in alike.values():
        if places.outlive(members):
            rooms.append(places.side_by_side(members))
        else:
            rooms += _by_steps(members, places)
    return rooms


class _Places:
    """Where in the steps of a program each life begins.

    Steps are those of a recurrence, layers, or those of a recurrence within each layer.
    """

    def __init__(self, placed: Placed, lives: list[Life]) -> None:
        self.tasks, self.layers, self.cut = placed.tasks, placed.layers, placed.cut
        self.gaps = [range(gap.at - gap.size, gap.at + gap.size) for gap in placed.gaps]
        self.named = {name: life for life in lives for name in life.names}
        self.where: dict[int, Run] = {}
        self.within: dict[int, Run] = {}  # task of a layer -> the recurrence around it
        ids = numbered(form(task) for task in placed.tasks)
        begin = 0
        for layers in placed.layers:
            self._note(self.where, runs(ids[begin : layers.start], None, begin))
            self._note(self.where, [layers])
            begin = layers.end
            known: dict[bytes, list[Run]] = {}  # layers have other names, and repeat alike
            for start in range(layers.start, layers.end, layers.period):
                inside = numbered(ids[start : start + layers.period].tolist())
                found = known.get(inside.tobytes())
                if found is None:
                    found = known[inside.tobytes()] = runs(inside)
                shifted = [Run(start + run.start, run.period, run.count) for run in found]
                self._note(self.within, shifted)
        self._note(self.where, runs(ids[begin:], None, begin))

    def _note(self, table: dict[int, Run], found: Iterable[Run]) -> None:
        table.update({task: run for run in found for task in range(run.start, run.end)})

    def of(self, life: Life) -> Place | None:
        """The place of a life that begins in a step."""
        run, first = self.where.get(life.first), life.first
        # The word of the schedule is there before the first task, which may be one of layers.
        if run is None or life.names[0] == SYNC:
            return None
        inner = self.within.get(first)
        if inner is not None:
            first = inner.start + (first - inner.start) % inner.period
        place = buffers_of(self.tasks[life.first]).index(life.names[0])
        return (run.start, (first - run.start) % run.period, place)

    def step(self, life: Life) -> int | None:
        """Which step of a recurrence within a layer a life begins in."""
        inner = self.within.get(life.first)
        return None if inner is None else (life.first - inner.start) // inner.period

    def outlive(self, members: list[Life]) -> bool:
        """Whether these are what the layers of a forward pass keep for the backward pass.

        They lie side by side, however few they are: so the layers of both passes find them by
        counting. The first layer may keep less, where nothing before it is trained.
        """
        run = self.where.get(members[-1].first)  # the first one may be what layers are handed
        if run not in self.layers or len({life.bytes for life in members}) > 1:
            return False
        lasting = sum(life.last >= run.end for life in members)
        return 2 * lasting > len(members) and self.step(members[-1]) is None

    def side_by_side(self, members: list[Life]) -> Room:
        """The lives of layer after layer in one room, with places for the layers left out."""
        return Room(members, members[0].bytes, self.whole(members))

    def whole(self, members: list[Life]) -> Sequence[int]:
        """The places of the lives of some layers among those of all.

        Raises:
            NotAlike: it is not known which they are.
        """
        self.require_all(members)
        run = self.where.get(members[-1].first)
        if self.cut is None or run not in self.layers:
            return range(len(members))
        assert run is not None
        place = (members[-1].first - run.start) % run.period
        turns = self.tasks[run.start + place : run.end : run.period]
        behind = self.cut.behind([task.origin for task in turns])
        if behind is None:
            raise NotAlike
        begins = run.start + behind * run.period
        return [
            number + (self.cut.left if life.first >= begins else 0)
            for number, life in enumerate(members)
        ]

    def require_all(self, members: Iterable[Life]) -> None:
        """Raise NotAlike if some of these begin around blocks of keys that were left out, which
        would have such lives too."""
        firsts = [life.first for life in members]
        if any(first in gap for gap in self.gaps for first in firsts):
            raise NotAlike

    def usually(self, members: list[Life], later: list[int]) -> int:
        """How many lives behind it one meets at most, in most layers or steps.

        later: how many each meets of those that are there.

        Raises:
            NotAlike: what the layers left out have would have other places than these say.
        """
        run = self.where.get(members[-1].first)
        if self.cut is None or run not in self.layers:
            return median_low(later)
        assert run is not None
        lasting = sum(life.last >= run.end for life in members[:-1])
        if not lasting:  # those of the layers left out meet as many as that of the one before them
            return median_low(later + self.cut.left * later[self.cut.before - 1 : self.cut.before])
        usual = median_low(range(len(members) + self.cut.left))
        if 2 * lasting < len(members) or usual < TAKING_TURNS[-1]:
            raise NotAlike
        return usual

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


def _by_steps(members: list[Life], places: _Places) -> list[Room]:
    """Rooms for one buffer of each step, in the order of the steps.

    Buffers that take turns do so in each layer from its first step on, so that they are in the
    same places in the next layer.
    """
    steps = [places.step(life) for life in members]
    if any(step is None for step in steps):
        return _together(members, places)
    found: list[Room] = []
    same = len({life.bytes for life in members}) == 1
    for turns in TAKING_TURNS:
        sets = [
            [m for m, s in zip(members, steps, strict=True) if s is not None and s % turns == k]
            for k in range(turns)
        ]
        found = [Room(lives) for lives in sets if lives]
        if same and all(_apart(room.lives) for room in found):
            return found
    # Alive for longer: what the steps of a layer make is side by side, so that a loop over steps
    # finds it by counting, and in the same places in every layer.
    taken = [step for step in steps if step is not None]
    count = max(taken) + 1
    if same and taken == [*range(count)] * (len(taken) // count):
        places.require_all(members)
        room = Room(members, members[0].bytes, taken)
        if all(before[1] < after[0] for before, after in pairwise(room.spans)):
            return [room]
    # What is made in one step of every layer has one place.
    each: dict[int | None, list[Life]] = {}
    for life, step in zip(members, steps, strict=True):
        each.setdefault(step, []).append(life)
    return [room for lives in each.values() for room in _together(lives, places)]


def _apart(lives: list[Life]) -> bool:
    """Whether none of these is alive when the next one begins."""
    return all(before.last < life.first for before, life in pairwise(lives))


def _together(members: list[Life], places: _Places) -> list[Room]:
    """Rooms for one buffer of each step, in the order of the steps."""
    if len({life.bytes for life in members}) > 1:
        return [Room([life]) for life in members]
    later: list[int] = []
    for number, life in enumerate(members):
        until = number + 1
        while until < len(members) and members[until].first <= life.last:
            until += 1
        later.append(until - number - 1)
    usual = places.usually(members, later)
    turns = next((count for count in TAKING_TURNS if count > usual), None)
    if turns is None:
        return [places.side_by_side(members)]
    even = [life for life, count in zip(members, later, strict=True) if count < turns]
    odd = [Room([life]) for life, count in zip(members, later, strict=True) if count >= turns]
    return [*odd, *(Room(even[k::turns]) for k in range(turns) if even[k::turns])]
