"""From placed tasks to a program: kernels, procedures, weight streams, memory map."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import prod
from typing import ClassVar

from wsc.errors import CompileError
from wsc.flows import REGION
from wsc.ir.cut import NotAlike
from wsc.ir.layout import whole
from wsc.ir.tasks import Gap, Load, Placed, Run, Steps, Store, Task, edge_names, views
from wsc.isa.expr import Int, Name, names
from wsc.isa.fabric import Fabric
from wsc.isa.machine import described
from wsc.isa.program import (
    Call,
    EdgeTensor,
    Kind,
    Loop,
    Procedure,
    Program,
    Region,
    Statement,
    Tensor,
    Transfer,
    TransferLoop,
)
from wsc.isa.statements import calls, expressions, rewrite, statements
from wsc.isa.turns import each_transfer, expand
from wsc.isa.types import DType
from wsc.kernels import emit
from wsc.kernels.context import Context
from wsc.kernels.library import SEMAPHORES, called, library, on_chains
from wsc.passes.declare import declared
from wsc.passes.lives import buffers_of, form
from wsc.passes.roll import LAYER, STEP, Names, Rolled, rolled, schedule
from wsc.passes.route import flows_of, routes_of
from wsc.passes.share import Instance, share, take_apart
from wsc.passes.stage import Pass

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Emit(Pass[Placed, Program]):
    """Kernels become procedures and calls, their streams the edge's schedule, buffers tensors.

    The weight store plays the streams in the order in which the kernels consume them, each as
    soon as the routers' buffers have room: so the next kernel's first weights wait at every
    ramp while this one computes.

    Requires addresses; ensures a program in which every flow has a color of its own.
    grouped: the axes along which all-reduces go in groups, if no other sums run along lines.
    """

    fabric: Fabric
    precision: DType
    model: str
    work: int | None = None
    grouped: frozenset[str] = frozenset()
    name: ClassVar[str] = "emit"

    def apply(self, stage: Placed) -> Program:
        """The program.

        Raises:
            CompileError: no kernel can do with such a core.
            NotAlike: layers that were left out are no turns of its loop over layers.
        """
        placed = stage
        _require_core(self.fabric)
        context = Context(placed.mesh, self.fabric, {t.name: t for t in placed.edge_tensors})
        bodies = _Bodies(context)
        instances = [bodies.of(task) for task in placed.tasks]
        shared = share(instances, self.fabric.window, {item.name for item in placed.buffers})
        procedures = (*needed(shared.procedures, self.fabric, self.grouped), *shared.procedures)
        transfers = tuple(t for instance in instances for t in instance.emission.transfers)
        flows = flows_of([procedure.body for procedure in procedures], transfers)
        steps = [
            replace(call, nodes=task.origin)
            for call, task in zip(shared.calls, placed.tasks, strict=True)
        ]
        names = Names(cut=placed.cut)
        streams = [_in_steps(number, item, placed) for number, item in enumerate(instances)]
        # What is done once, a step, and the end are each rolled by themselves.
        parts = [
            rolled(
                steps[part.start : part.stop],
                procedures,
                placed.addresses,
                self.fabric,
                _within(placed.layers, part),
                names,
                placed.gaps,
            )
            for part in placed.parts()
        ]
        if placed.cut is not None and [len(part.layers) for part in parts] != [
            len(placed.layers),
            0,
            0,
        ]:
            raise NotAlike  # each stack is without the same layers
        code = [statement for part in parts for statement in part.main]
        whole = _with_gaps(streams, placed.gaps)
        if placed.gaps and len([*_executed(code)]) != len(whole):
            raise NotAlike  # not all blocks that were left out are turns of a loop
        named, consumers = named_calls(
            tuple(code), [own is not None and bool(streams[own]) for own in whole]
        )
        calling = dict(zip(whole, consumers, strict=True))
        streams = [
            [replace(transfer, call=calling[number]) for transfer in own]
            for number, own in enumerate(streams)
        ]
        first, second = len(parts[0].main), len(parts[0].main) + len(parts[1].main)
        main = _repeating(named[:first], named[first:second], named[second:], placed.steps)
        if placed.cut is not None:
            main = _deep(main, [names.count(run) for run in parts[0].layers])
        played = _played(streams, parts, placed, names)
        memory = tensors(placed)
        if len(code) < len(steps):
            memory = _first_turns(memory, [main, *(p.body for p in procedures)])
        program = Program(
            fabric=self.fabric.name,
            width=placed.mesh.width,
            height=placed.mesh.height,
            precision=self.precision,
            model=self.model,
            work=None if self.work is None else self.work * _count(placed.steps),
            edge_tensors=tuple(
                replace(t, file=WEIGHTS_FILE) if t.key and not t.drawn else t
                for t in placed.edge_tensors
            ),
            colors=tuple((flow, number) for number, flow in enumerate(flows)),
            tensors=memory,
            regions=(Region(REGION, 0, 0, placed.mesh.width, placed.mesh.height, main),),
            routes=routes_of(flows),
            procedures=procedures,
            transfers=played,
            names=tuple((name, entries) for entries, name in names.tables.items()),
        )
        if placed.cut is not None:
            _require_all_named(program)
        program = program.with_(edge_tensors=_in_families(program))
        return described(declared(program), self.fabric)

    def broken(self, before: Placed, after: Program) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        bodies = [procedure.body for procedure in after.procedures]
        streams = [transfer for transfer, _ in each_transfer(after.transfers)]
        if sorted(flows_of(bodies, streams)) != sorted(name for name, _ in after.colors):
            yield "the colors are not the flows that are used"
        numbers = [number for _, number in after.colors]
        if len(set(numbers)) < len(numbers):
            yield "two flows have one color"
        parameters = {procedure.name: procedure.parameters for procedure in after.procedures}
        (region,) = after.regions
        for call in calls(region.main):
            if tuple(name for name, _ in call.arguments) != parameters.get(call.procedure):
                yield f"a call of '{call.procedure}' has other arguments than parameters"
        _, step, _ = before.parts()
        wanted = len(before.tasks) + len(step) * (_count(before.steps) - 1)
        wanted += sum(gap.more for gap in before.gaps)
        left = 0 if before.cut is None else before.cut.left
        for layers in before.layers:
            first = range(layers.start, layers.start + layers.period)
            more = sum(gap.more for gap in before.gaps if gap.at in first)
            wanted += left * (layers.period + more)
        if len([*_executed(region.main)]) != wanted:
            yield f"main does not make one call for each of the {wanted} times that a task is done"


def _with_gaps(streams: Sequence[Sequence[Transfer]], gaps: Sequence[Gap]) -> list[int | None]:
    """The number of each task, in their order; None of each that was left out with its block.

    Raises:
        NotAlike: blocks have streams, so that the edge's schedule would have to go on as well.
    """
    found: list[int | None] = []
    end = 0
    for gap in gaps:
        if any(streams[gap.at - gap.size : gap.at + gap.size]):
            raise NotAlike
        found += [*range(end, gap.at), *[None] * gap.more]
        end = gap.at
    return [*found, *range(end, len(streams))]


def _in_steps(number: int, instance: Instance, placed: Placed) -> list[Transfer]:
    """The streams of a task: an input or an output of a step is one of as many as there are."""
    task, streams = placed.tasks[number], [*instance.emission.transfers]
    if _count(placed.steps) == 1:
        return streams
    weights = {tensor.name for tensor in placed.edge_tensors if tensor.kind is Kind.WEIGHT}
    _, step, _ = placed.parts()
    if number not in step:
        return streams
    if isinstance(task, Load) and task.source not in weights:
        size = prod(task.out.shape)
    elif isinstance(task, Store):
        size = prod(task.value.shape)
    else:
        return streams
    return [replace(item, offset=Name(STEP) * size + item.offset) for item in streams]


def _count(steps: Steps | None) -> int:
    return 1 if steps is None else steps.count


def _within(layers: Iterable[Run], part: range) -> list[Run]:
    """The layers among some of the tasks, counted from the first of these."""
    inside = [run for run in layers if part.start <= run.start and run.end <= part.stop]
    return [replace(run, start=run.start - part.start) for run in inside]


def _repeating(
    before: tuple[Statement, ...],
    step: tuple[Statement, ...],
    behind: tuple[Statement, ...],
    steps: Steps | None,
) -> tuple[Statement, ...]:
    """Main: what is done once, the loop over steps, and the end."""
    if _count(steps) > 1 and step:
        step = (Loop(STEP, Int(_count(steps)), step),)
    return (*before, *step, *behind)


def _deep(main: tuple[Statement, ...], counts: Iterable[int]) -> tuple[Statement, ...]:
    """Main with so many turns of its loops over layers."""
    left = iter(counts)
    return tuple(
        replace(item, count=Int(next(left)))
        if isinstance(item, Loop) and item.register == LAYER
        else item
        for item in main
    )


def _played(
    streams: Sequence[Sequence[Transfer]],
    parts: Sequence[Rolled],
    placed: Placed,
    names: Names,
) -> tuple[Transfer | TransferLoop, ...]:
    """The edge's schedule, with a loop over the steps."""
    before, step, behind = (
        (streams[part.start : part.stop], code.layers)
        for part, code in zip(placed.parts(), parts, strict=True)
    )
    count = _count(placed.steps)
    if count == 1:
        return tuple(
            item for own, layers in (before, step, behind) for item in schedule(own, layers, names)
        )
    # Loops of the schedule hold no others: the layers of a step stand one after the other.
    body = [transfer for own in step[0] for transfer in own]
    loop = (TransferLoop(STEP, count, tuple(body)),) if body else ()
    return (*schedule(*before, names), *loop, *schedule(*behind, names))


def named_calls(
    main: tuple[Statement, ...], streams: Sequence[bool]
) -> tuple[tuple[Statement, ...], list[str]]:
    """Main with a name for each call that has streams in some turn.

    streams: whether each call has some, in the order in which they run.

    Returns:
        The new main, and the name of the call that makes each of those calls.
    """
    numbers = count(1)

    def numbered(statement: Statement) -> Statement:
        if isinstance(statement, Call):
            return replace(statement, name=f"c{next(numbers)}")
        return statement

    main = rewrite(main, own=numbered)
    executed = [call.name for call in _executed(main)]
    wanted = {name for name, has in zip(executed, streams, strict=True) if has}
    kept = [call.name for call in calls(main) if call.name in wanted]
    names = {name: f"c{number}" for number, name in enumerate(kept, 1)}

    def named(statement: Statement) -> Statement:
        if isinstance(statement, Call):
            return replace(statement, name=names.get(statement.name, ""))
        return statement

    return rewrite(main, own=named), [names.get(name, "") for name in executed]


def _executed(body: Iterable[Statement]) -> Iterator[Call]:
    """The calls of a main in the order in which they run, those of a loop at each turn."""
    for statement in body:
        if isinstance(statement, Loop):
            assert isinstance(statement.count, Int)
            for _ in range(statement.count.value):
                yield from _executed(statement.body)
        elif isinstance(statement, Call):
            yield statement


@dataclass(frozen=True, slots=True)
class _Body:
    """The body of the first of some tasks. buffers, tensors: those that this one names."""

    buffers: list[str]
    tensors: list[str]
    instance: Instance


@dataclass(slots=True)
class _Bodies:
    """Bodies of tasks; tasks that differ in names alone go through a kernel once."""

    context: Context
    known: dict[Hashable, _Body] = field(default_factory=dict)

    def of(self, task: Task) -> Instance:
        """The body of a task, numbers apart."""
        buffers, tensors = buffers_of(task), edge_names(task)
        types = tuple(self._type(name) for name in tensors)
        same = form(task, positions=True, names=False)
        key = (same, types, tuple(map(buffers.index, buffers)))
        body = self.known.get(key)
        if body is None:
            body = _Body(buffers, tensors, take_apart(emit(task, self.context)))
            self.known[key] = body
        memory = dict(zip(body.buffers, buffers, strict=True))
        edge = dict(zip(body.tensors, tensors, strict=True))
        return body.instance.over(memory, edge, task.origin)

    def _type(self, name: str) -> Hashable:
        tensor = self.context.edge_tensor(name)
        return (tensor.kind, tensor.dtype, tensor.shape)


def _require_core(fabric: Fabric) -> None:
    for has, wanted, what in (
        (fabric.stream_units, 1, "stream unit"),
        (fabric.semaphores, SEMAPHORES, "semaphores"),
    ):
        if has < wanted:
            raise CompileError(
                f"a core of fabric '{fabric.name}' has {has} {what.rstrip('s')}s, and programs of "
                f"the compiler need {wanted} {what}"
            )


def needed(
    procedures: list[Procedure], fabric: Fabric, grouped: frozenset[str] = frozenset()
) -> list[Procedure]:
    """The library procedures that these call, callees first.

    grouped: the axes along which all-reduces go in groups. They do not where a kernel has chains of
    its own: a core has no queues for both.
    """
    wanted = list(dict.fromkeys(name for item in procedures for name in called(item.body)))
    plain = library(fabric.stream_units, frozenset())
    if any(on_chains(plain[name].body) for name in wanted):
        grouped = frozenset()
    known = library(fabric.stream_units, grouped) if grouped else plain
    found: list[str] = []

    def visit(name: str) -> None:
        for callee in called(known[name].body):
            visit(callee)
        if name not in found:
            found.append(name)

    for name in wanted:
        visit(name)
    return [known[name] for name in found]


def tensors(placed: Placed) -> tuple[Tensor, ...]:
    """One SRAM symbol for each buffer, with the layout of the first value in it."""
    layouts = {}
    for task in placed.tasks:
        for view in [*views(task)][::-1]:
            layouts.setdefault(view.buffer, view)
    found = []
    for buffer in placed.buffers:
        if buffer.name not in placed.addresses:
            continue
        view = layouts.get(placed.alike.get(buffer.name, buffer.name))
        words = buffer.bytes // buffer.dtype.bytes
        dims = view.extents if view is not None else (whole(words),)
        address = placed.addresses[buffer.name]
        found.append(Tensor(buffer.name, buffer.dtype, dims, address, buffer.bytes, buffer.nodes))
    return tuple(found)


def _require_all_named(program: Program) -> None:
    """Raise NotAlike if there is an edge tensor of a layer that no turn of a loop names."""
    tables = dict(program.names)
    named: set[str] = set()
    for transfer, loop in each_transfer(program.transfers):
        turns = range(loop.count) if loop is not None else (0,)
        counter = loop.register if loop is not None else ""
        named.update(expand(transfer.tensor, counter, turn, tables) for turn in turns)
    if any(tensor.name not in named for tensor in program.edge_tensors):
        raise NotAlike


def _in_families(program: Program) -> tuple[EdgeTensor, ...]:
    """The edge tensors; weights, and what is kept, side by side if the turns of an entry of the
    schedule name them."""
    tables = dict(program.names)
    together: dict[str, list[str]] = {}
    for transfer, loop in each_transfer(program.transfers):
        if loop is not None:
            turns = range(loop.count)
            names = [expand(transfer.tensor, loop.register, turn, tables) for turn in turns]
            for name in names:
                together.setdefault(name, names)
    families = (Kind.KEPT, Kind.WEIGHT)
    several = {t.name: t for t in program.edge_tensors if t.kind in families}
    order = dict.fromkeys(other for name in several for other in together.get(name, (name,)))
    others = [tensor for tensor in program.edge_tensors if tensor.kind not in families]
    return (*others, *(several[name] for name in order if name in several))


def _first_turns(
    memory: tuple[Tensor, ...], code: list[tuple[Statement, ...]]
) -> tuple[Tensor, ...]:
    """The tensors without those that other turns of a loop have where the code names another."""
    named = {
        name
        for body in code
        for statement in statements(body)
        for node in expressions(statement)
        for name in names(node)
    }
    there = {(tensor.address, tensor.bytes) for tensor in memory if tensor.name in named}
    return tuple(t for t in memory if t.name in named or (t.address, t.bytes) not in there)
