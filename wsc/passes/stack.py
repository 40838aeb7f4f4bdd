"""A stack of layers on the mesh: every layer laid out alike, each value that one hands on included.

What layers share (a mask, the angles of a rotation) is brought where they want it before the
first of them. So the tasks of all layers are the same, but for the names of weights and buffers,
and one layer in a loop can stand for all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from wsc.ir.graph import Arg, Concat, GraphOutput, Keep, Move, Node, Step
from wsc.ir.layout import Buffer, View
from wsc.ir.tasks import MapTask, Run, Store, Task, views
from wsc.passes.layers import Layers
from wsc.passes.lives import form
from wsc.passes.memory import writable
from wsc.passes.values import Copies, Extents, Values, Wholes

Walk = Callable[[Iterable[Node]], None]


def place_stack(values: Values, layers: Layers, walk: Walk) -> Run | None:
    """Place the nodes of a stack of layers.

    walk: places nodes one after the other.

    Returns:
        Where the tasks repeat; None if the layers cannot be laid out alike: then they are placed
        as any other nodes.
    """
    stack = _Stack(values, layers, walk)
    before = stack.state()
    # The first layer gets its values where they are, or, if that is not where a layer leaves
    # those that it hands on, there.
    wanted: tuple[Extents, ...] | None = None
    for _ in range(2):
        left = stack.first(wanted)
        if left is None:
            found = stack.others()
            if found is not None:
                return found
            break
        stack.restore(before)
        wanted = left
    stack.restore(before)
    walk(stack.nodes)
    return None


def stays_alike(run: Run, before: Sequence[Task], after: Sequence[Task]) -> bool:
    """Whether the tasks of layers are alike in another order, too.

    Each layer has to have its own ones, in the same order as the others have theirs.
    """
    forms: list[Hashable] | None = None
    for start in range(run.start, run.end, run.period):
        turn = slice(start, start + run.period)
        if {id(task) for task in before[turn]} != {id(task) for task in after[turn]}:
            return False
        found = [form(task, names=False) for task in after[turn]]
        if forms is not None and found != forms:
            return False
        forms = found
    return True


@dataclass(slots=True)
class _State:
    tasks: list[Task]
    buffers: dict[str, Buffer]
    homes: dict[str, View]
    copies: dict[str, Copies]
    lazy: dict[str, Node]
    stored: set[str]
    wholes: dict[str, Wholes]


class _Stack:
    """One stack of layers under placement."""

    def __init__(self, values: Values, layers: Layers, walk: Walk) -> None:
        self.values, self.layers, self.walk = values, layers, walk
        self.nodes = values.graph.nodes[layers.start : layers.end]
        # Code is what is scarce in training: no layer hands on in another place than it was handed.
        self.trains = bool(layers.kept) or any(isinstance(node.op, Keep) for node in self.nodes)
        self.users = values.graph.users() if self.trains else {}
        self.kept = _with_sources(layers.kept, values.graph.nodes[: layers.start])
        self.alone = [self._between(name, place) for name, place in layers.carried]
        self.shown = _shown_by_all(self.nodes, layers, values.graph.outputs)
        self.begin = 0
        self.entry: list[View] = []

    def _between(self, name: str, place: int) -> bool:
        """Whether a value that layers hand on is read by no node but those of the next one."""
        layers, nodes = self.layers, self.values.graph.nodes
        begins = range(layers.start, layers.end, layers.period)
        given = [name, *(nodes[begin + place].output for begin in begins)][: layers.count]
        inside = [{node.name for node in nodes[b : b + layers.period]} for b in begins]
        made = [set[str](), *inside]
        return all(
            user.name in own or user.name in before
            for value, own, before in zip(given, inside, made, strict=False)
            for user in self.users.get(value, ())
        )

    # --- to and fro -----------------------------------------------------------------

    def state(self) -> _State:
        """What placement has found until now."""
        values = self.values
        return _State(
            list(values.tasks),
            dict(values.buffers),
            dict(values.homes),
            {name: dict(copies) for name, copies in values.copies.items()},
            dict(values.lazy),
            set(values.stored),
            {name: dict(wholes) for name, wholes in values.wholes.items()},
        )

    def restore(self, state: _State) -> None:
        """Forget what was placed since."""
        values = self.values
        values.tasks = list(state.tasks)
        values.buffers = dict(state.buffers)
        values.homes = dict(state.homes)
        values.copies = {name: dict(copies) for name, copies in state.copies.items()}
        values.lazy = dict(state.lazy)
        values.stored = set(state.stored)
        values.wholes = {name: dict(wholes) for name, wholes in state.wholes.items()}

    # --- layers ---------------------------------------------------------------------

    def first(self, wanted: tuple[Extents, ...] | None) -> tuple[Extents, ...] | None:
        """Place the first layer, with what it is handed in these layouts.

        Returns:
            None if it leaves what it hands on as it found it; else the layouts in which it does.
        """
        values = self.values
        for number, (name, _) in enumerate(self.layers.carried):
            view = values.view(name)
            if wanted is not None and view.extents != wanted[number]:
                values.homes[name] = values.bring(name, wanted[number])
        self.entry = [values.view(name) for name, _ in self.layers.carried]
        self.begin = len(values.tasks)
        left = self._layer(0)
        if all(map(_alike, self.entry, left)):
            return None
        return tuple(view.extents for view in left)

    def others(self) -> Run | None:
        """Place the layers behind the first; None if one of them is laid out in another way."""
        values, layers = self.values, self.layers
        forms = [form(task, names=False) for task in values.tasks[self.begin :]]
        for turn in range(1, layers.count):
            here, begin = len(values.tasks), self.begin
            left = self._layer(turn)
            here += self.begin - begin
            found = [form(task, names=False) for task in values.tasks[here:]]
            if found != forms or not all(map(_alike, self.entry, left)):
                return None
        return Run(self.begin, len(forms), layers.count) if forms else None

    def _layer(self, turn: int) -> list[View]:
        """Place one layer: where it leaves what it hands on."""
        values, layers = self.values, self.layers
        nodes = self.nodes[turn * layers.period : (turn + 1) * layers.period]
        handed = [nodes[place].output for _, place in layers.carried]
        got = [name for name, _ in layers.carried]
        if turn:
            got = [
                self.nodes[(turn - 1) * layers.period + place].output for _, place in layers.carried
            ]
        # Copies that the layer before has made of what it hands on: this one makes its own.
        values.forget(got)
        inside = {node.output for node in nodes} | layers.own | self.kept | {*got}
        given = [values.view(name) for name in got]
        tasks, values.tasks = values.tasks, []
        with values.apart(inside) as shared:
            self.walk(nodes)
            left = [values.view(name) for name in handed]
            if self.trains and all(map(_alike, given, left)):
                left = self._in_their_places(handed, given, left)
            self._show(turn)
        # What all layers share comes before the first of them.
        at = self.begin
        values.tasks = [*tasks[:at], *shared, *tasks[at:], *values.tasks]
        self.begin += len(shared)
        return left

    def _in_their_places(
        self, handed: Sequence[str], given: Sequence[View], left: Sequence[View]
    ) -> list[View]:
        """Copy what a layer hands on to where it was handed it, if it is not there: else two
        layers would have to be one turn of a loop.

        given, left: the views of what it was handed, and of what it hands on.
        """
        values = self.values
        found: list[View] = []
        places = zip(handed, given, left, self.alone, strict=True)
        for name, entry, view, alone in places:
            stays = view.buffer in _overwriting(values.tasks, entry.buffer)
            if stays or not alone:
                found.append(view)
                continue
            body = (Step("mov", entry.dtype, (Arg(0),)),)
            values.tasks.append(MapTask(body, (view,), entry, (), origin=values.origin))
            values.homes[name] = entry
            found.append(entry)
        return found

    def _show(self, turn: int) -> None:
        """Outputs that every layer has leave at its end, and need no room in the next."""
        values = self.values
        for outputs in self.shown:
            output = outputs[turn]
            if output.name in values.stored:
                continue
            values.origin = (output.name,)
            store = Store(values.as_shown(output.value), output.name, origin=values.origin)
            values.tasks.append(store)
            values.stored.add(output.name)


def _overwriting(tasks: Sequence[Task], buffer: str) -> set[str]:
    """The buffers that maps may make in the place of a buffer, one after the other."""
    last = {view.buffer: number for number, task in enumerate(tasks) for view in views(task)}
    found = {buffer}
    for number, task in enumerate(tasks):
        if isinstance(task, MapTask):
            over = (task.inputs[index].buffer for index in writable(task))
            if any(name in found and last[name] == number for name in over):
                found.add(task.out.buffer)
    return found


def _alike(a: View, b: View) -> bool:
    return (a.dtype, a.extents, a.strides) == (b.dtype, b.extents, b.strides)


def _with_sources(kept: frozenset[str], nodes: Sequence[Node]) -> frozenset[str]:
    """Values with those that they are moved from: to read one may mean to read those."""
    found, made = set(kept), {node.output for node in nodes}
    for node in reversed(nodes):
        if node.output in found and isinstance(node.op, (Move, Concat)):
            found.update(made.intersection(node.inputs))
    return frozenset(found)


def _shown_by_all(
    nodes: Sequence[Node], layers: Layers, outputs: Iterable[GraphOutput]
) -> list[list[GraphOutput]]:
    """The outputs that each layer has one of, at the same node, layer by layer."""
    by_value: dict[str, list[GraphOutput]] = {}
    for output in outputs:
        by_value.setdefault(output.value, []).append(output)
    found: list[list[GraphOutput]] = []
    for place in range(layers.period):
        mine = [by_value.get(node.output, []) for node in nodes[place :: layers.period]]
        if all(len(item) == 1 and item[0].length is None and not item[0].high for item in mine):
            found.append([item[0] for item in mine])
    return found
