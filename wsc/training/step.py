"""The graph of one training step: forwards, the loss, backwards, and what the store does then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from wsc.cost.model import multiply_accumulates, work_of
from wsc.errors import CompileError, shortened
from wsc.frontend import import_onnx
from wsc.frontend.importer import source_of
from wsc.ir.build import GraphBuilder
from wsc.ir.check import check_graph
from wsc.ir.cut import Cut
from wsc.ir.graph import Constant, Graph, GraphOutput, Keep, Node, Type
from wsc.ir.naming import numbered_block
from wsc.isa.fabric import Fabric
from wsc.isa.program import EdgeTensor, Kind, Program, Update
from wsc.isa.types import DType
from wsc.isa.updates import BY_NAME, RULES
from wsc.passes.away import Away
from wsc.passes.depth import Deep, add_family, shorten_forward
from wsc.passes.differentiate import GRADIENT, Differentiate
from wsc.passes.groups import Groups
from wsc.passes.keys import left_behind, settled
from wsc.passes.late import Late
from wsc.passes.layers import find_layers
from wsc.passes.simplify import unspread
from wsc.passes.stage import run
from wsc.pipeline import Compiled
from wsc.training.losses import Labels, Loss, add_loss, labels_of
from wsc.training.model import Preparation

if TYPE_CHECKING:
    import onnx

    from wsc.frontend.store import Store

LOSS = "loss"
SCALE = "loss.scale"


@dataclass(frozen=True, slots=True)
class Optimizer:
    """The rule of the weight store.

    rule: a row of ``wsc.isa.updates``. numbers: those that differ from the row's. groups: (pattern
    of names, numbers that differ for such weights), the first that fits counts.
    """

    rule: str = "sgd"
    numbers: tuple[tuple[str, float], ...] = ()
    groups: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()

    def of(self, name: str) -> tuple[tuple[str, float], ...]:
        """All numbers of the rule for a weight."""
        table = {item.name: item.default for item in BY_NAME[self.rule].parameters}
        table |= dict(self.numbers)
        number = self.group(name)
        if number is not None:
            table |= dict(self.groups[number][1])
        return tuple(table.items())

    def group(self, name: str) -> int | None:
        """The number of the first group that a weight is of, None if it is of none."""
        fits = (n for n, (pattern, _) in enumerate(self.groups) if fnmatchcase(name, pattern))
        return next(fits, None)


_SHORT = {"lr": "rate", "weight_decay": "decay", "eps": "epsilon"}


def parse_optimizer(text: str, groups: Sequence[str] = ()) -> Optimizer:
    """``adamw:lr=3e-4,weight_decay=0.1``; groups: ``*.bias:weight_decay=0``.

    Raises CompileError for a rule or a number that there is not.
    """
    name, _, rest = text.partition(":")
    rules = [rule.name for rule in RULES if rule.parameters]
    if name not in rules:
        raise CompileError(f"optimizer {shortened(name)!r}: there are {', '.join(rules)}, model")
    parsed: list[tuple[str, tuple[tuple[str, float], ...]]] = []
    for group in groups:
        pattern, _, numbers = group.rpartition(":")
        if not pattern or not numbers:
            raise CompileError(
                f"group {shortened(group)!r}: is of the form PATTERN:NUMBERS, as in "
                "*.bias:weight_decay=0"
            )
        parsed.append((pattern, _numbers(name, numbers)))
    return Optimizer(name, _numbers(name, rest), tuple(parsed))


def _numbers(rule: str, text: str) -> tuple[tuple[str, float], ...]:
    known = {item.name: item for item in BY_NAME[rule].parameters}
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        key = _SHORT.get(key, key)
        if key not in known:
            raise CompileError(
                f"optimizer {rule}: {shortened(part)!r} is none of "
                f"{', '.join(f'{name}=' for name in known)}"
            )
        try:
            number = float(value)
        except ValueError:
            raise CompileError(
                f"optimizer {rule}: {key} is a number, not {shortened(value)!r}"
            ) from None
        if key in found:
            raise CompileError(f"optimizer {rule}: {key} is given twice")
        item = known[key]
        if not item.low <= number < item.below:
            raise CompileError(
                f"optimizer {rule}: {key} is from {item.low:g} to below {item.below:g}, not "
                f"{number:g}"
            )
        found[key] = number
    return tuple(found.items())


@dataclass(frozen=True)
class Step:
    """One training step, before it is placed on a fabric.

    forward: the graph without gradients. updates: what the store does with the outputs of the step.
    masters: what the store holds at the start, in f32 whatever travels: weights and statistics, and
    zeros for what the optimizer keeps. states: the latter. differentiate: what adds the gradients;
    None where the model has them itself. still: weights that nobody named and that do not decide
    the loss: they stay as they are. short: of a deep network the forward graph of a few layers that
    stand for all. fabric: what has no room there as a whole is done part by part; None if that is
    not known. whole: the step in which nothing is. away: what layers hand on
    leaves at the edge, and comes back for the backward pass. labels: what they may be; None of a
    loss without classes.
    """

    forward: Graph
    updates: tuple[Update, ...]
    masters: Mapping[str, Constant]
    states: tuple[Constant, ...]
    differentiate: Differentiate | None
    still: tuple[str, ...] = ()
    short: tuple[Graph, Cut] | None = None
    fabric: Fabric | None = None
    whole: Step | None = None
    away: bool = False
    labels: Labels | None = None

    @cached_property
    def graph(self) -> Graph:
        """With the outputs ``loss``, a gradient for each weight and what running statistics become;
        its weights are state."""
        return self._made(self._in_groups(self.forward), self.differentiate)

    @cached_property
    def deep(self) -> Deep | None:
        """The step as that of a few layers that stand for all, and of a few blocks of keys in each.

        None where all of it is to be looked at: also for what it is refused.
        """
        return None if self.differentiate is None else self._deep(self.differentiate, few=True)

    def _deep(self, differentiate: Differentiate, few: bool) -> Deep | None:
        """The step as that of a few layers. few: and of a few blocks of keys, if it has many."""
        forward, cut = self.short or (self.forward, None)
        there = {constant.name for constant in forward.constants}
        by = tuple(name for name in differentiate.by if name in there)
        grouped = self._in_groups(forward, few)
        left = left_behind(grouped)
        if not (left or cut):
            return None
        # With all blocks, where a few do not tell enough; without blocks that would be the same.
        more = partial(self._deep, differentiate, few=False) if left else lambda: None
        try:
            graph = self._made(grouped, replace(differentiate, by=by), cut)
        except CompileError:
            return more()
        whole = None
        if cut is not None:
            whole = _with_outputs(cut, self.forward, graph, differentiate.by)
            if whole is None:
                return more()

        def times(node: Node) -> int:
            block = numbered_block(node.name)
            others = 0 if block is None else left.get(block, 0)
            return (1 + others) * (1 if whole is None else whole.times(node))

        work = sum(times(node) * work_of(node) for node in graph.nodes)
        return Deep(graph, whole, work, lambda: self.graph, more)

    @property
    def network(self) -> Graph | Deep:
        """What the passes take."""
        return self.deep or self.graph

    @property
    def work(self) -> int:
        """Multiply-accumulates of the step: in parts they are as many."""
        step = self.whole or self
        return multiply_accumulates(step.graph) if step.deep is None else step.deep.work

    @property
    def trained(self) -> tuple[str, ...]:
        """The weights that have a gradient."""
        if self.differentiate is None:
            return ()
        if self.deep is None or self.deep.cut is None:
            given = {output.name for output in self.graph.outputs}
        else:
            given = {name for name, _ in self.deep.cut.shown}
        return tuple(name for name in self.differentiate.by if f"{name}{GRADIENT}" in given)

    @property
    def layers(self) -> int:
        """How many layers repeat in the forward pass, in all stacks together, if it is known."""
        if self.differentiate is None:
            return 0
        if self.short is not None:
            return self.short[1].layers
        return sum(layers.count for layers in find_layers(self._in_groups(self.forward)))

    def on(self, fabric: Fabric) -> Step:
        """The step for a fabric."""
        return replace(self, fabric=fabric, whole=self.whole or self)

    def recomputing(self, away: bool = False) -> Step:
        """The step that keeps of each layer what it hands on, and computes the rest again.

        away: it leaves at the edge, and comes back for the backward pass.
        """
        assert self.differentiate is not None
        again = replace(self.differentiate, recompute=True)
        return replace(self, differentiate=again, away=away)

    def _made(
        self, forward: Graph, differentiate: Differentiate | None, cut: Cut | None = None
    ) -> Graph:
        """The graph of a step. forward: its forward pass, in groups where it has to be. cut: the
        layers that it is without."""
        if differentiate is None:
            return forward
        graph = _with_gradients(differentiate, forward)
        graph = run(Late(), graph) if differentiate.recompute else graph
        return run(Away(LOSS, cut), graph) if self.away else graph

    def _in_groups(self, forward: Graph, few: bool = False) -> Graph:
        """A forward pass whose attention goes by groups where it has no room as a whole.

        few: of many blocks of keys some stand for all.
        """
        return forward if self.fabric is None else run(Groups(self.fabric, few), forward)

    def finish(self, compiled: Compiled) -> Compiled:
        """The compiled step with its updates and their state."""
        kept = (self.masters.get(item.name, item) for item in compiled.constants)
        constants = (*kept, *self.states)
        program = add_updates(compiled.program, self.updates, self.states)
        return replace(compiled, program=program, constants=constants)


def add_updates(
    program: Program, updates: tuple[Update, ...], states: tuple[Constant, ...]
) -> Program:
    """A program with updates, and the state that they keep among its weights.

    In the program a weight may have another name than in the model, where an output has that one.
    """
    tensors = tuple(
        EdgeTensor(item.name, Kind.WEIGHT, item.type.dtype, item.type.shape, key=item.name)
        for item in states
    )
    names = {tensor.key: tensor.name for tensor in program.edge_tensors if tensor.key}
    named = tuple(replace(update, weight=names[update.weight]) for update in updates)
    return program.with_(edge_tensors=(*program.edge_tensors, *tensors), updates=named)


def build_step(
    model: str | Path | onnx.ModelProto,
    loss: Loss,
    optimizer: Optimizer,
    dims: Mapping[str, int] | None = None,
    precision: DType = DType.F32,
    trainable: Sequence[str] = (),
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    weights: Store | None = None,
) -> Step:
    """The step of a model.

    dims: as for ``import_onnx``. trainable: patterns of names of initializers. batch: samples of a
    run. shapes: of inputs, where they are known from a batch. weights: as for ``wsc.compile``.
    Raises CompileError for a model that cannot be trained.
    """
    sizes = dict(dims or {})
    preparation = Preparation(tuple(trainable), batch, shapes or {}, sizes)
    graph = import_onnx(model, sizes, None, precision, prepare=preparation, weights=weights)
    scale = SCALE if precision is DType.F16 else ""
    forward = with_loss(graph, loss, tuple(preparation.taken.values()), scale)
    named = tuple(preparation.weights)
    _require_used(optimizer, named)
    # Of the weights of a model, some may decide another output only. One that a user named may not.
    differentiate = Differentiate(LOSS, named, scale, lenient=not trainable)
    step = Step(forward, (), {}, (), differentiate, (), shorten_forward(forward))
    trained = step.trained
    types = forward.types()
    shown = (output.name for output in forward.outputs)
    taken = {*types, *shown, *(f"{name}{GRADIENT}" for name in trained)}
    updates: list[Update] = []
    states: list[Constant] = []
    for name in trained:
        kept = [_free(f"{name}.{part}", taken) for part in BY_NAME[optimizer.rule].state]
        states += [_zeros(state, types[name].shape) for state in kept]
        gradient = f"{name}{GRADIENT}"
        updates.append(Update(name, optimizer.rule, optimizer.of(name), gradient, tuple(kept)))
    updates += [Update(name, "take", (), after) for name, after in preparation.taken.items()]
    masters = {name: master(name, item) for name, item in preparation.tensors.items()}
    still = tuple(name for name in named if name not in trained)
    scores = _scored(graph, loss, tuple(preparation.taken.values()))
    return replace(
        step,
        updates=tuple(updates),
        masters=masters,
        states=tuple(states),
        still=still,
        labels=labels_of(loss, graph.types()[scores.value].shape),
    )


def _with_gradients(differentiate: Differentiate, forward: Graph) -> Graph:
    """The graph of a step: forwards, and backwards with what sums repeat read as it was before."""
    return unspread(settled(run(differentiate, forward)))


def _with_outputs(cut: Cut, forward: Graph, few: Graph, by: Sequence[str]) -> Cut | None:
    """What was left out of a step, with the outputs of all layers.

    forward: of all layers. few: the step of those that are there. by: what training changes. None
    if a name of an output is that of something else.
    """
    given = {output.name for output in few.outputs}
    families = dict(cut.families)
    shown = [(output.name, output.name) for output in forward.outputs]
    for name in by:
        like = f"{cut.stand(name)}{GRADIENT}"
        if like not in given:
            continue
        shown.append((f"{name}{GRADIENT}", like))
        column = tuple(f"{other}{GRADIENT}" for other in cut.families.get(name, ()))
        if column and not add_family(families, column):
            return None
    for node in few.nodes:
        if isinstance(node.op, Keep):
            stem, _, _ = node.output.rpartition(".")
            column = tuple(f"{stem}.{layer}" for layer in range(cut.layers))
            if node.output not in column or not add_family(families, column):
                return None
    return replace(cut, families=families, shown=tuple(shown))


def _require_used(optimizer: Optimizer, weights: Sequence[str]) -> None:
    """Raise CompileError for a group that no weight is of, or none that is in no group before."""
    first = {optimizer.group(name) for name in weights}
    for number, (pattern, _) in enumerate(optimizer.groups):
        if number in first:
            continue
        if any(fnmatchcase(name, pattern) for name in weights):
            why = "a group before it has all weights of such a name"
        else:
            some = ", ".join(shortened(name, 60) for name in weights[:8])
            why = f"no weight that is trained has such a name (there are: {some})"
        raise CompileError(f"group {shortened(pattern)!r}: {why}")


def _free(name: str, taken: set[str]) -> str:
    """A name that nothing else has; it is taken then."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _zeros(name: str, shape: tuple[int, ...]) -> Constant:
    return Constant(name, Type(DType.F32, shape), lambda: np.zeros(shape, np.float32), state=True)


def master(name: str, tensor: ir.TensorProtocol) -> Constant:
    """What the store holds of a weight at the start."""
    shape = tuple(int(size) for size in tensor.shape.numpy())
    single = tensor.dtype is ir.DataType.FLOAT
    source = source_of(tensor, DType.F32) if single else None

    def load() -> np.ndarray:
        return tensor.numpy().reshape(shape).astype(np.float32)

    return Constant(name, Type(DType.F32, shape), load, source, state=True)


def with_loss(graph: Graph, loss: Loss, kept: Sequence[str], scale: str) -> Graph:
    """The graph whose outputs are the loss, and those that are kept.

    scale: the input that multiplies gradients; "" for none.

    Raises CompileError for a loss that the outputs do not have.
    """
    output = _scored(graph, loss, kept)
    outputs = {item.name: item for item in graph.outputs}
    taken = [outputs[name] for name in dict.fromkeys(kept)]
    build = GraphBuilder.of(graph)
    value = add_loss(build, loss, build.value(output.value), output.host_dtype)
    if scale:
        build.input(scale, Type(DType.F32, ()), "float32")
    shown = [GraphOutput(LOSS, value.name, "float32"), *taken]
    result = build.finish(shown).with_(files=graph.files)
    check_graph(result)
    return result


def _scored(graph: Graph, loss: Loss, kept: Sequence[str]) -> GraphOutput:
    """The output that a loss is of. kept: those that are for something else.

    Raises CompileError if it is none of the model's, or none that a loss can be of.
    """
    outputs = {output.name: output for output in graph.outputs if output.name not in kept}
    name = loss.output or next(iter(outputs), "")
    if name not in outputs:
        listed = ", ".join(map(shortened, outputs)) or "none"
        raise CompileError(f"loss: no output {shortened(name)!r} (there are: {listed})")
    if outputs[name].length is not None or outputs[name].high:
        raise CompileError(f"loss: the size of output {shortened(name)!r} depends on data")
    types = graph.types()
    dtypes = {key: types[item.value].dtype for key, item in outputs.items()}
    if not dtypes[name].is_float:
        able = ", ".join(shortened(key) for key, dtype in dtypes.items() if dtype.is_float)
        raise CompileError(
            f"loss: output {shortened(name)!r} is {dtypes[name].value}, and a loss is of floats: "
            f"name another output (output=NAME; there are: {able or 'none'})"
        )
    return outputs[name]
