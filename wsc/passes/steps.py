"""Steps: what a program does once, and what it does again and again.

A program that is run for several steps loads what stays in the SRAM of its tiles once: weights, and
caches that one step leaves to the next. The graph and its placement are those of a single step.
This pass takes its tasks apart; memory assignment and emission then know which of them repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from wsc.errors import CompileError, shortened
from wsc.ir.carried import carried
from wsc.ir.graph import Arg, Graph, GraphInput, GraphOutput, Reshape, Step, Type
from wsc.ir.layout import Buffer, Mesh, View, holds_all, is_plain
from wsc.ir.tasks import (
    Load,
    LookupTask,
    MapTask,
    MoveTask,
    Placed,
    Role,
    Run,
    ScatterTask,
    Steps,
    Store,
    Task,
    edge_names,
    read,
    roles,
    written,
)
from wsc.isa.program import EdgeTensor, Kind
from wsc.passes.lives import form
from wsc.passes.memory import writable
from wsc.passes.stage import Pass

FEW = 8  # names that a refusal lists


@dataclass(frozen=True, slots=True)
class Residence:
    """What stays in SRAM, and for how long.

    weights: whether the weights of products do; else they come from the edge in each step.
    count: the steps of a run; None is a single one, whose inputs and outputs have no dimension of
    steps. carried: (input, output): what a step gives is what the next one is given.
    """

    weights: bool = True
    count: int | None = None
    carried: tuple[tuple[str, str], ...] = ()


def residence_of(
    graph: Graph, weights: bool, count: int | None, carry: Mapping[str, str]
) -> Residence:
    """What stays, for a graph of one step.

    count: steps of a run, None for one without a dimension of steps. carry: input -> the output
    that the next step is given for it. Where steps are asked for, a cache is handed on without
    being named: ``past...`` is given ``present...``, and an input ``x`` the output ``next_x``.

    Raises:
        CompileError: an input or output is not there, or the two are not alike.
    """
    if count is not None and count < 1:
        raise CompileError(f"{count} steps: a run makes at least one")
    if count is None and carry:
        raise CompileError(
            f"'{shortened(next(iter(carry)))}' is handed on from step to step: say how many steps"
        )
    inputs = {item.name: item for item in graph.inputs}
    outputs = {item.name: item for item in graph.outputs}
    found = dict(carry) if count is None else carried(inputs, outputs, carry)
    types = graph.types()
    for name, output in found.items():
        _require_alike(name, output, inputs, outputs, types)
    if len({*found.values()}) < len(found):
        raise CompileError("one output is handed on to two inputs: give it a second name")
    cut = next((item for item in graph.outputs if item.length is not None), None)
    if cut is not None and count is not None:
        raise CompileError(
            f"output '{shortened(cut.name)}' has a size that data decide, which may differ from "
            "step to step: compile it without steps"
        )
    return Residence(weights, count, tuple(found.items()))


def _require_alike(
    name: str,
    output: str,
    inputs: Mapping[str, GraphInput],
    outputs: Mapping[str, GraphOutput],
    types: Mapping[str, Type],
) -> None:
    """Raise CompileError for an input that cannot be given an output of the step before."""
    for kind, known, wanted in (("input", inputs, name), ("output", outputs, output)):
        if wanted not in known:
            some = [f"'{shortened(item, 60)}'" for item in known]
            listed = ", ".join(some[:FEW] + ["..."] * (len(some) > FEW)) or "none"
            raise CompileError(f"no {kind} '{shortened(wanted)}' to hand on (there are: {listed})")
    if inputs[name].high or outputs[output].high:
        raise CompileError(
            f"input '{shortened(name)}' or output '{shortened(output)}' may need both words of 64 "
            "bits, which are not handed on: let the model compute it as int32"
        )
    given, left = inputs[name].type, types[outputs[output].value]
    if given != left:
        how = "written at a position" if given.dtype is left.dtype else "of one type"
        raise CompileError(
            f"input '{shortened(name)}' is {_told(given)} and output '{shortened(output)}', which "
            f"the next step would be given, {_told(left)}: what is handed on keeps its shape and "
            f"type, as a cache that is {how} does"
        )


def _told(type_: Type) -> str:
    return f"{type_.dtype.value}{list(type_.shape)}"


@dataclass(frozen=True, slots=True)
class TakeSteps(Pass[Placed, Placed]):
    """What is the same in all steps comes before them, what is handed on stays where it is.

    Requires the placed program of one step; ensures that what is before the steps needs nothing of
    them, that a step finds what it is handed where the one before was given it, and that inputs and
    outputs of each step have a dimension of steps.
    """

    residence: Residence
    name: ClassVar[str] = "steps"

    def apply(self, stage: Placed) -> Placed:
        """The placed program with its steps."""
        carried = dict(self.residence.carried)
        marked = _Marked.of(stage)
        marked.hand_on(carried)
        once = _done_once(marked.tasks, {*carried}, marked.weights)
        last = {
            number
            for number, task in enumerate(marked.tasks)
            if isinstance(task, Store) and task.target in carried.values()
        }
        parts = [0 if n in once else 2 if n in last else 1 for n in range(len(marked.tasks))]
        order = sorted(range(len(parts)), key=lambda number: parts[number])
        start, end = parts.count(0), len(parts) - parts.count(2)
        return replace(
            stage,
            edge_tensors=tuple(self._with_steps(tensor, carried) for tensor in stage.edge_tensors),
            buffers=tuple(marked.buffers.values()),
            tasks=tuple(_met_in_lines(marked.tasks[number]) for number in order),
            layers=(
                *_layers(marked, order[:start], 0),
                *_layers(marked, order[start:end], start),
                *_layers(marked, order[end:], end),
            ),
            steps=Steps(start, end, self.residence.count or 1),
        )

    def _with_steps(self, tensor: EdgeTensor, carried: Mapping[str, str]) -> EdgeTensor:
        """An edge tensor with what is given, or taken, in each step."""
        if tensor.kind is Kind.WEIGHT or self.residence.count is None:
            return tensor
        # An output may have the name of an input.
        handed = carried if tensor.kind is Kind.INPUT else carried.values()
        if tensor.name in handed:
            return tensor
        return replace(tensor, shape=(self.residence.count, *tensor.shape))

    def broken(self, before: Placed, after: Placed) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        once, _, end = after.parts()
        made: set[str] = set()
        kinds = {tensor.name: tensor.kind for tensor in after.edge_tensors}
        handed = {*dict(self.residence.carried)}
        for number, task in enumerate(after.tasks):
            for view in read(task):
                if view.buffer not in made:
                    yield f"task {number} reads '{view.buffer}' before anything is written there"
            made |= {view.buffer for view in written(task)}
            for source in edge_names(task) if number in once else ():
                if kinds[source] is Kind.INPUT and source not in handed:
                    yield f"task {number} takes '{source}', an input of each step, once"
            if number in end and not isinstance(task, Store):
                yield f"task {number}, behind the steps, sends nothing out"
        if any(run.start < after.steps.start < run.end for run in after.layers if after.steps):
            yield "a layer is both before the steps and in one"


@dataclass(slots=True)
class _Marked:
    """Tasks of one step, each with the stack of layers and the layer that it is of.

    weights: the edge tensors that are.
    """

    mesh: Mesh
    tasks: list[Task]
    marks: list[tuple[int, int] | None]
    buffers: dict[str, Buffer]
    weights: frozenset[str]

    @classmethod
    def of(cls, placed: Placed) -> _Marked:
        """Those of a placed program."""
        marks: list[tuple[int, int] | None] = [None] * len(placed.tasks)
        for stack, run in enumerate(placed.layers):
            for number in range(run.start, run.end):
                marks[number] = (stack, (number - run.start) // run.period)
        buffers = {buffer.name: buffer for buffer in placed.buffers}
        weights = frozenset(t.name for t in placed.edge_tensors if t.kind is Kind.WEIGHT)
        return cls(placed.mesh, list(placed.tasks), marks, buffers, weights)

    def hand_on(self, carried: Mapping[str, str]) -> None:
        """What a step gives is brought where the next one expects it.

        It is made there at once, if what makes it can overwrite what the step was handed; else it
        is copied there when that has been read for the last time.
        """
        homes = {
            name: [task for task in self.tasks if isinstance(task, Load) and task.source == name]
            for name in carried
        }
        given = {task.target: task for task in self.tasks if isinstance(task, Store)}
        uses = _uses(self.tasks)
        left = [
            (load, output)
            for name, output in carried.items()
            for load in homes[name]
            if not (len(homes[name]) == 1 and self._in_place(load.out, given[output].value, uses))
        ]
        given = {task.target: task for task in self.tasks if isinstance(task, Store)}
        taken = {load.out.buffer for loads in homes.values() for load in loads}
        copies: list[tuple[Load, View]] = []
        crossed = False
        for load, output in left:
            value = given[output].value
            if value.buffer != load.out.buffer:
                copies.append((load, value))
                crossed = crossed or value.buffer in taken
        if crossed:
            self._exchange(copies)
        else:
            for load, value in copies:
                self._copy(load, value)
        # What has been handed on is shown from where it was brought: the other room is free.
        for name, output in carried.items():
            loads = homes[name]
            if len(loads) == 1 and self._shows(loads[0].out):
                number = self.tasks.index(given[output])
                self.tasks[number] = replace(given[output], value=loads[0].out)

    def _shows(self, view: View) -> bool:
        """Whether a view holds all of a value, and each element once along each axis."""
        return all(is_plain(extent) and holds_all(extent, self.mesh) for extent in view.extents)

    def _in_place(self, home: View, value: View, uses: dict[str, set[int]]) -> bool:
        """Make a value where the one lies that it takes the place of, if its task can do that.

        uses: of each buffer, the tasks that read or write it.
        """
        if value.buffer == home.buffer or (value.dtype, value.extents, value.strides) != (
            home.dtype,
            home.extents,
            home.strides,
        ):
            return value == home
        makers = [n for n in uses[value.buffer] if _writes(self.tasks[n], value.buffer)]
        if len(makers) != 1:
            return False
        (maker,) = makers
        task = self.tasks[maker]
        if isinstance(task, MapTask):
            able = any(task.inputs[place] == home for place in writable(task))
        else:
            able = isinstance(task, ScatterTask) and task.data == home
        after = [n for n in uses[home.buffer] if n > maker]
        if not able or any(_reads(self.tasks[n], home.buffer) for n in after):
            return False
        names = {value.buffer: home.buffer}
        renamed = uses.pop(value.buffer)
        for n in renamed:
            self.tasks[n] = _renamed(self.tasks[n], names)
        uses[home.buffer] |= renamed
        del self.buffers[value.buffer]
        return True

    def _copy(self, load: Load, value: View) -> None:
        """Copy a value where the next step expects it, as soon as that can be done."""
        use = [
            number
            for number, task in enumerate(self.tasks)
            if _writes(task, value.buffer)
            or _reads(task, load.out.buffer)
            or (_writes(task, load.out.buffer))
        ]
        self._insert(max(use) + 1, self._brought(load, value))

    def _exchange(self, copies: Sequence[tuple[Load, View]]) -> None:
        """Copies of what others take the place of: all of it is put aside first."""
        aside: list[tuple[Load, View]] = []
        for load, value in copies:
            name = f"{load.out.buffer}_next"
            while name in self.buffers:
                name += "_"
            self.buffers[name] = replace(
                self.buffers[load.out.buffer], name=name, nodes=load.origin
            )
            there = replace(load.out, buffer=name)
            self._insert(len(self.tasks), self._brought(replace(load, out=there), value))
            aside.append((load, there))
        for load, there in aside:
            self._insert(len(self.tasks), self._brought(load, there))

    def _brought(self, load: Load, value: View) -> Task:
        """The task that brings a value into the layout of what was loaded."""
        out = load.out
        if value.extents == out.extents and all(is_plain(extent) for extent in out.extents):
            body = (Step("mov", out.dtype, (Arg(0),)),)
            return MapTask(body, (value,), out, (), origin=load.origin)
        steps = () if value.shape == out.shape else (Reshape(out.shape),)
        return MoveTask(value, steps, out, load.fill, origin=load.origin)

    def _insert(self, place: int, task: Task) -> None:
        """Put a task behind another one, into the same layer; at the end it is of none."""
        mark = self.marks[place - 1] if 0 < place < len(self.tasks) else None
        self.tasks.insert(place, task)
        self.marks.insert(place, mark)


def _done_once(tasks: Sequence[Task], carried: set[str], weights: Set[str]) -> set[int]:
    """The tasks whose results are the same in all steps.

    They bring weights, and what the first step is handed; or they read nothing but what such tasks
    alone have written. A table of which each step wants other rows stays at the edge.
    """
    once = {
        number
        for number, task in enumerate(tasks)
        if not isinstance(task, Store | LookupTask)
        and all(name in weights or name in carried for name in edge_names(task))
    }
    # What streams weights works on them, and is done anew; what a step is handed changes.
    handed = {number for number in once if {*edge_names(tasks[number])} & carried}
    changing = {view.buffer for number in handed for view in written(tasks[number])}
    while True:
        anew = {
            name
            for number, task in enumerate(tasks)
            if number not in once
            for name in (view.buffer for view in written(task))
        }
        wrong = {
            number
            for number in once - handed
            if any(
                view.buffer in anew or view.buffer in changing
                for view in (*read(tasks[number]), *written(tasks[number]))
            )
        }
        if not wrong:
            return once
        once -= wrong


def _layers(marked: _Marked, order: Sequence[int], begin: int) -> Iterator[Run]:
    """The layers among some of the tasks, which stand in this order from task ``begin`` on."""
    found: dict[int, dict[int, list[int]]] = {}
    for place, number in enumerate(order, begin):
        mark = marked.marks[number]
        if mark is not None:
            found.setdefault(mark[0], {}).setdefault(mark[1], []).append(place)
    for turns in found.values():
        places = [place for turn in turns.values() for place in turn]
        forms = [
            [form(marked.tasks[order[place - begin]], names=False) for place in turn]
            for turn in turns.values()
        ]
        whole = places == [*range(places[0], places[0] + len(places))]
        if whole and len(turns) > 1 and all(item == forms[0] for item in forms):
            yield Run(places[0], len(forms[0]), len(turns))


def _met_in_lines(task: Task) -> Task:
    """A move of which only the tiles of a line wait for each other, if it can be such.

    A step moves few words, and to wait for all tiles takes longer than to move them.
    """
    return replace(task, lines=True) if isinstance(task, MoveTask) else task


def _uses(tasks: Sequence[Task]) -> dict[str, set[int]]:
    """The tasks that read or write each buffer, by number."""
    found: dict[str, set[int]] = {}
    for number, task in enumerate(tasks):
        for view in (*read(task), *written(task)):
            found.setdefault(view.buffer, set()).add(number)
    return found


def _writes(task: Task, buffer: str) -> bool:
    return any(view.buffer == buffer for view in written(task))


def _reads(task: Task, buffer: str) -> bool:
    return any(view.buffer == buffer for view in read(task))


def _renamed(task: Task, names: Mapping[str, str]) -> Task:
    """A task with other names for the buffers of its views."""

    def there(item: Any) -> Any:
        if isinstance(item, View):
            return replace(item, buffer=names.get(item.buffer, item.buffer))
        return tuple(map(there, item)) if isinstance(item, tuple) else item

    changed = {
        name: there(getattr(task, name))
        for name, role in roles(type(task)).items()
        if role in (Role.READ, Role.WRITE)
    }
    return replace(task, **changed)
