"""SRAM addresses from liveness: buffers whose lifetimes do not meet may share bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from wsc.ir.cut import Cut
from wsc.ir.graph import Arg
from wsc.ir.layout import Buffer
from wsc.ir.tasks import MapTask, Placed, read
from wsc.isa.code_size import code_bytes
from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.sections import room_bytes
from wsc.kernels.context import SYNC
from wsc.kernels.elementwise import temporaries
from wsc.passes.fit import VALUES, Held, kinds_of, no_room_for_code, values_too_large
from wsc.passes.lives import Life, Room, buffers_of, folded
from wsc.passes.stage import Pass

ALIGNMENT = 4
NEVER = np.iinfo(int).max  # a task behind all


@dataclass(frozen=True, slots=True)
class Allocate(Pass[Placed, Placed]):
    """Give every buffer an address in the fabric's SRAM.

    Requires a placed program; ensures that buffers alive at the same task do not overlap,
    but for a map that may write its result over an input that dies there. Buffers of steps that
    repeat have the same address at each step, or go on evenly, where there is room for that.
    """

    fabric: Fabric
    name: ClassVar[str] = "memory"
    limited: bool = True  # else there is as much SRAM as it takes: to see how long the code is

    def apply(self, stage: Placed) -> Placed:
        """The placed program with addresses.

        Raises:
            DoesNotFit: the buffers alive at some task exceed the SRAM of a tile.
        """
        placed = stage
        lives = lifetimes(placed)
        single = [Room([life]) for life in lives]
        rooms = folded(placed, lives)
        assign(rooms)
        # Layers that were left out have to be where those that are there say.
        free = len(rooms) < len(lives) and placed.cut is None
        if free and self._top(lives) > self.fabric.sram_bytes:
            assign(single)
        if self.limited:
            self._check(placed, lives, rooms)
        addresses = {name: life.address for life in lives for name in life.names}
        placed = replace(placed, addresses=addresses)
        return placed if placed.cut is None else _with_those_left_out(placed, placed.cut, rooms)

    def broken(self, before: Placed, after: Placed) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        sizes = {buffer.name: buffer.bytes for buffer in after.buffers}
        _, last = spans(after)
        alive: dict[str, tuple[int, int]] = {}
        for number, task in enumerate(after.tasks):
            what = f"task {number}, {type(task).__name__}"
            over = {view.buffer for view in read(task) if last[view.buffer] == number}
            over = over if isinstance(task, MapTask) else set[str]()
            for name in dict.fromkeys((SYNC, *buffers_of(task))):
                if name in alive:
                    continue
                begin = after.addresses.get(name, -1)
                end = begin + sizes[name]
                if begin < 0 or begin % ALIGNMENT:
                    yield f"{what}: no address, or an odd one, for buffer '{name}'"
                if self.limited and end > self.fabric.sram_bytes:
                    yield f"{what}: buffer '{name}' ends beyond the SRAM of a tile"
                for other, (low, high) in alive.items():
                    if begin < high and low < end and not (other in over and low == begin):
                        yield f"{what}: buffers '{name}' and '{other}' overlap"
                alive[name] = (begin, end)
            alive = {name: at for name, at in alive.items() if name == SYNC or last[name] > number}

    def _top(self, lives: list[Life]) -> int:
        """Bytes up to the end of the highest buffer."""
        return max(life.address + life.bytes for life in lives)

    def _check(self, placed: Placed, lives: list[Life], rooms: list[Room]) -> None:
        top = self._top(lives)
        if top <= self.fabric.sram_bytes:
            return
        number = _fullest(placed, lives)
        kinds, nodes = kinds_of(placed), {item.name: item.nodes for item in placed.buffers}
        held = [
            Held(kinds.get(life.names[0], VALUES), nodes.get(life.names[0], ()), life.bytes)
            for life in lives
            if life.first <= number <= life.last
        ]
        if placed.cut is not None:
            alive = [a for a, _ in _around(placed.cut, rooms) if a.first <= number <= a.last]
            for life in alive:
                kind, own = kinds.get(life.names[0], VALUES), nodes.get(life.names[0], ())
                for further in range(1, placed.cut.left + 1):
                    others = tuple(placed.cut.named(name, further) for name in own)
                    held.append(Held(kind, others, life.bytes))
        raise values_too_large(placed, self.fabric, placed.tasks[number].origin, held, top)


def _around(cut: Cut, rooms: list[Room]) -> list[tuple[Life, Life]]:
    """What the layers before and behind those left out keep for longer than all layers."""
    found: list[tuple[Life, Life]] = []
    for room in rooms:
        places = room.places if room.step else ()
        steps = pairwise(zip(room.lives, places, strict=bool(room.step)))
        found += [(a, b) for (a, at), (b, other) in steps if other - at == cut.left + 1]
    return found


def _with_those_left_out(placed: Placed, cut: Cut, rooms: list[Room]) -> Placed:
    """What layers that were left out keep for later, between those that are there.

    Raises:
        NotAlike: it is not known what they call it.
    """
    around = _around(cut, rooms)
    kept = {name: life for life, _ in around for name in life.names}
    if not kept:
        return placed
    assert placed.further is not None
    names = placed.further([*kept])
    addresses, alike = dict(placed.addresses), dict[str, str]()
    buffers = [buffer for buffer in placed.buffers if buffer.name in kept]
    more: list[Buffer] = []
    for further in range(1, cut.left + 1):
        for buffer in buffers:
            name, life = names[buffer.name][further - 1], kept[buffer.name]
            nodes = tuple(cut.named(node, further) for node in buffer.nodes)
            more.append(replace(buffer, name=name, nodes=nodes))
            addresses[name] = life.address + further * life.bytes
            alike[name] = buffer.name
    following = {name for _, life in around for name in life.names}
    place = next(n for n, buffer in enumerate(placed.buffers) if buffer.name in following)
    found = (*placed.buffers[:place], *more, *placed.buffers[place:])
    return replace(placed, buffers=found, addresses=addresses, alike=alike)


def _fullest(placed: Placed, lives: list[Life]) -> int:
    """The task at which the most bytes are alive."""
    change = np.zeros(len(placed.tasks) + 2, np.int64)
    for life in lives:
        change[life.first] += life.bytes
        change[life.last + 1] -= life.bytes
    return int(np.argmax(np.cumsum(change)[: len(placed.tasks)]))


def lifetimes(placed: Placed) -> list[Life]:
    """One life for each buffer, or for each group of buffers that maps overwrite in place.

    In the layers of a training step the maps of all turns overwrite the same input, or none: what
    one layer keeps for its backward pass another one may not, and their addresses would differ.
    """
    first, last = spans(placed)
    first[SYNC], last[SYNC] = 0, len(placed.tasks)
    kept = kept_before(placed, first)
    allowed: dict[int, Set[int]] = {}
    while True:
        lives, taken = _in_place(placed, first, last, kept, allowed)
        apart = _disagreeing(placed, taken) if kept else {}
        if not apart:
            return lives
        # Where all may overwrite the same ones, and take others, they have to take the first.
        for number, common in apart.items():
            settled = common == allowed.get(number)
            allowed[number] = {min(common)} if settled and common else common


def spans(placed: Placed) -> tuple[dict[str, int], dict[str, int]]:
    """The first and the last task of each buffer.

    What is there before the steps of a run, and is used in one, is there through all of them. What
    all layers share is there to the end of the last one, as it is to that of the others.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, task in enumerate(placed.tasks):
        for name in buffers_of(task):
            first.setdefault(name, number)
            last[name] = number
    for run in placed.layers:
        turn = placed.tasks[run.start : run.start + run.period]
        for name in {name for task in turn for name in buffers_of(task)}:
            if first[name] < run.start and run.end - run.period <= last[name] < run.end:
                last[name] = run.end - 1
    _, step, _ = placed.parts()
    if placed.steps is not None:
        for name in last:
            if first[name] < step.start <= last[name]:
                last[name] = max(last[name], step.stop - 1)
    return first, last


@dataclass(frozen=True, slots=True)
class _Taken:
    """Inputs of a map that its result may overwrite, by number, and the one that it does."""

    possible: Set[int]
    chosen: int | None


def _in_place(
    placed: Placed,
    first: Mapping[str, int],
    last: Mapping[str, int],
    kept: Set[str],
    allowed: Mapping[int, Set[int]],
) -> tuple[list[Life], dict[int, _Taken]]:
    """Lives, and what each map overwrites.

    first, last: the first and the last task of each buffer. kept: buffers that are not
    overwritten. allowed: task -> the inputs that may be, where not all may.
    """
    sizes: dict[str, Buffer] = {buffer.name: buffer for buffer in placed.buffers}
    group: dict[str, Life] = {}
    for name in sorted(first, key=lambda key: first[key]):
        group[name] = Life([name], sizes[name].bytes, first[name], last[name])
    layered = {n for layers in placed.layers for n in range(layers.start, layers.end)}
    taken: dict[int, _Taken] = {}
    for number, task in enumerate(placed.tasks):
        if not isinstance(task, MapTask) or group[task.out.buffer].first != number:
            continue
        inputs = [view.buffer for view in task.inputs]
        found = [
            place
            for place in overwritten(task, number, group)
            if inputs[place] not in kept and place in allowed.get(number, {place})
        ]
        # In layers the oldest one: what a layer is handed, so that it hands on in the same
        # place what it makes of that.
        order = sorted(found, key=lambda place: group[inputs[place]].first)
        over = next(iter(order if number in layered else found), None)
        taken[number] = _Taken({*found}, over)
        if over is not None:
            life, result = group[inputs[over]], group[task.out.buffer]
            life.names += result.names
            life.last = result.last
            for name in result.names:
                group[name] = life
    return list({id(life): life for life in group.values()}.values()), taken


def _disagreeing(placed: Placed, taken: Mapping[int, _Taken]) -> dict[int, Set[int]]:
    """The maps of layers that overwrite other inputs than those of other turns -> the inputs that
    all of them may."""
    found: dict[int, Set[int]] = {}
    for run in placed.layers:
        for place in range(run.start, run.start + run.period):
            turns = range(place, run.end, run.period)
            known = [taken[number] for number in turns if number in taken]
            if len({item.chosen for item in known}) > 1 or 0 < len(known) < run.count:
                common = frozenset[int].intersection(*(frozenset(i.possible) for i in known))
                found |= dict.fromkeys(turns, common if len(known) == run.count else frozenset())
    return found


def kept_before(placed: Placed, first: Mapping[str, int]) -> set[str]:
    """The buffers that each layer has for itself from before all of them.

    first: the first task of each buffer.
    """
    found: set[str] = set()
    for run in placed.layers:
        for number in range(run.start, run.end - run.period):
            pairs = zip(
                buffers_of(placed.tasks[number]),
                buffers_of(placed.tasks[number + run.period]),
                strict=True,
            )
            for pair in pairs:
                if len({*pair}) == 2 and all(first[name] < run.start for name in pair):
                    found.update(pair)
    return found


def overwritten(task: MapTask, number: int, group: Mapping[str, Life]) -> list[int]:
    """The inputs that die at this map and that its result may overwrite element by element."""
    size = task.out.local_size * task.out.dtype.bytes
    found: list[int] = []
    for index in writable(task):
        life = group.get(task.inputs[index].buffer)
        if life is not None and life.last == number and life.bytes == size:
            found.append(index)
    return found


def writable(task: MapTask) -> list[int]:
    """The inputs that the result of a map may overwrite, if nothing reads them later."""
    place = temporaries(task.body, task.out.dtype)
    written = place.index(-1)
    found: list[int] = []
    for index, view in enumerate(task.inputs):
        read_later = any(
            isinstance(arg, Arg) and task.inputs[arg.index].buffer == view.buffer
            for step in task.body[written + 1 :]
            for arg in step.args
        )
        same = (
            view.extents == task.out.extents
            and view.strides == task.out.strides
            and view.dtype.bytes == task.out.dtype.bytes
        )
        others = sum(other.buffer == view.buffer for other in task.inputs)
        if same and not read_later and others == 1:
            found.append(index)
    return found


def assign(rooms: list[Room]) -> None:
    """Lowest address that is free over the whole life; the largest ranges first."""
    order = sorted(rooms, key=lambda room: (-room.bytes, room.first, room.lives[0].names))
    # The times at which rooms are taken, one room behind the other; of each the number of its room.
    spans = np.array([span for room in order for span in room.spans]).reshape(-1, 2)
    owners = np.repeat(np.arange(len(order)), [len(room.spans) for room in order])
    taken = np.zeros((len(order), 2), int)  # addresses of those that are placed, from and to
    end_of_placed = 0
    for number, room in enumerate(order):
        # A placed room is in the way if it is taken while the room is: of the room's times, which
        # are in order, the first that does not end before another's begins tells.
        mine = np.array(room.spans)
        firsts, lasts = spans[:end_of_placed].T
        nearest = np.searchsorted(mine[:, 1], firsts)
        begins = np.append(mine[:, 0], NEVER)[nearest]
        met = np.zeros(number, bool)
        met[owners[:end_of_placed][begins <= lasts]] = True
        busy = sorted(map(tuple, taken[:number][met].tolist()))
        address = 0
        for begin, end in busy:
            if begin - address >= room.bytes:
                break
            address = max(address, end)
        address = -(-address // ALIGNMENT) * ALIGNMENT
        room.put(address)
        taken[number] = address, address + room.bytes
        end_of_placed += len(room.spans)


def check_room_for_code(program: Program, fabric: Fabric) -> None:
    """Data and code share the SRAM of a tile.

    Raises:
        DoesNotFit: they do not fit together; names the node whose tensor lies highest.
    """
    code = max(code_bytes(program, fabric).values(), default=0)
    data = max(tensor.address + tensor.bytes for tensor in program.tensors) - room_bytes(program)
    if data + code > fabric.sram_bytes:
        raise no_room_for_code(program, fabric, code)
