"""Layout and placement: graph nodes become tasks over views of SRAM.

The pass walks the graph once. Values are brought where a consumer needs them, in the
layout that it needs (``values``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, product
from math import ceil
from typing import ClassVar

from wsc.cost import CostModel
from wsc.cost.model import work_of
from wsc.ir.cut import Cut, NotAlike
from wsc.ir.forms import Form, Noted, UnknownForm, Weighed, Wish, without_form
from wsc.ir.graph import (
    Arg,
    Concat,
    Contract,
    Gather,
    Graph,
    GraphOutput,
    Keep,
    Lit,
    Map,
    Move,
    MoveStep,
    Node,
    Pad,
    Reduce,
    Reduction,
    Reshape,
    Scatter,
    Slice,
    Step,
    Type,
)
from wsc.ir.layout import (
    Buffer,
    Mesh,
    View,
    block,
    default_extents,
    default_view,
    dense_strides,
    dense_view,
    is_plain,
    local_size,
    whole,
)
from wsc.ir.naming import block_of, buffer_stems, numbered_block
from wsc.ir.ranges import Interval, is_position, ranges
from wsc.ir.tasks import (
    Aside,
    ContractTask,
    Gap,
    GatherTask,
    Load,
    LookupTask,
    MapTask,
    MoveTask,
    Part,
    Placed,
    ReduceTask,
    Risen,
    Run,
    ScatterTask,
    Store,
    Task,
    edge_names,
    read,
    scratch,
    views,
    written,
)
from wsc.ir.text import show_operation
from wsc.isa.fabric import Fabric
from wsc.isa.program import Extent, Kind
from wsc.isa.shown import named
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.kernels.context import SYNC
from wsc.kernels.elementwise import temporaries
from wsc.kernels.library import LEFT, OUTWARDS, long_lines, rises, sends_ahead
from wsc.kernels.movement import in_stages
from wsc.kernels.reduce import neutral
from wsc.passes.ahead import ahead
from wsc.passes.contraction import (
    SHARE_OF_SRAM,
    Choice,
    Staying,
    choose_contraction,
    leaving_gains,
    out_extents,
    preferred,
    rank,
    reads_outside,
    relayout,
    wanted_extents,
    weighed_choices,
)
from wsc.passes.differentiate import computed_again
from wsc.passes.early import early
from wsc.passes.fit import no_layout
from wsc.passes.groups import read_in_groups
from wsc.passes.keys import Blocks, laid_out, left_behind, sizes_along
from wsc.passes.layers import Layers, find_layers
from wsc.passes.near import FAR, block_near, spread_blocks
from wsc.passes.parts import crossing, parts
from wsc.passes.pieces import PIECE, WHOLE, Pieces, pieces
from wsc.passes.sent import across, within
from wsc.passes.spread import Split, Spread, aligned, split_of, spreads, weigh
from wsc.passes.stack import place_stack, stays_alike
from wsc.passes.stage import Pass
from wsc.passes.values import Extents, Values
from wsc.passes.views import after_steps, before_steps

CLEARLY = 2  # times as long as another way
FORMED = (Contract, Reduce, Map)  # what has forms; of one node of ONNX the first is meant
LOOKED = 8  # cycles in which a core looks whether its row may send, and tells the next one
SHARE_OF_NUMBERS = 0.25  # of a tile's SRAM that row numbers of a lookup take at a time
SHARE_OF_TABLE = 0.2  # of a tile's SRAM that a part of a table's gradient takes, and its updates


@dataclass(frozen=True, slots=True)
class Place(Pass[Graph, Placed]):
    """Give every value a layout and every node a kernel.

    Requires a simplified graph; ensures that every task's views fit its kernel's needs.
    same_order: the order of a contraction's sums does not depend on who owns them. alike: layers
    that repeat are laid out alike, so that they may become a loop. resident: the weights of
    products are brought into SRAM, and not streamed. carried: the inputs that stay there too.
    wishes: what is asked of the forms of nodes, the last one first. cut: the layers that the graph
    is without. together: no part of a result leaves before all of it is made.
    """

    fabric: Fabric
    same_order: bool = False
    alike: bool = True
    resident: bool = False
    carried: frozenset[str] = frozenset()
    wishes: tuple[Wish, ...] = ()
    cut: Cut | None = None
    together: bool = False
    name: ClassVar[str] = "place"

    def apply(self, stage: Graph) -> Placed:
        """The placed program."""
        return Placer(
            stage if self.cut is None else self.cut.with_constants(stage),
            self.fabric,
            same_order=self.same_order,
            alike=self.alike,
            resident=self.resident,
            carried=self.carried,
            wishes=self.wishes,
            cut=self.cut,
            together=self.together,
        ).run()

    def broken(self, before: Graph, after: Placed) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        sizes = {buffer.name: buffer.bytes for buffer in after.buffers}
        edge = {tensor.name for tensor in after.edge_tensors}
        made: set[str] = set()
        for number, task in enumerate(after.tasks):
            what = f"task {number}, {type(task).__name__}"
            for name in {view.buffer for view in views(task)} | {*scratch(task)}:
                if name not in sizes:
                    yield f"{what}, names a buffer '{name}' that is not there"
            for view in views(task):
                last = sum(
                    (extent.length - 1) * abs(stride)
                    for extent, stride in zip(view.extents, view.strides, strict=True)
                )
                room = sizes.get(view.buffer, 0)
                if view.local_size and last + view.dtype.bytes > room:
                    yield f"{what}, has a view of '{view.buffer}' beyond its {room} bytes"
            for view in read(task):
                if view.buffer not in made and view.buffer != SYNC:
                    yield f"{what}, reads '{view.buffer}' before anything is written there"
            made |= {view.buffer for view in written(task)}
            for name in edge_names(task):
                if name not in edge:
                    yield f"{what}, names an edge tensor '{name}' that is not there"
        stores = [task for task in after.tasks if isinstance(task, Store)]
        products = [task for task in after.tasks if isinstance(task, ContractTask)]
        whole = [task.target for task in stores if not (task.shape or task.part)]
        whole += [task.target for task in products if task.target]
        whole += [task.away for task in products if task.away and not task.part]
        # What is sent out part by part counts once.
        in_parts = {task.target for task in stores if task.shape or task.part}
        in_parts |= {task.target for task in after.tasks if isinstance(task, Risen)}
        in_parts |= {task.away for task in products if task.part}
        stored = [*whole, *in_parts]
        sent = (Kind.OUTPUT, Kind.KEPT)
        wanted = [tensor.name for tensor in after.edge_tensors if tensor.kind in sent]
        if self.cut is not None:
            wanted = [name for name in wanted if self.cut.stand(name) == name]
        if sorted(stored) != sorted(wanted):
            yield "not every output, and what comes back, is sent out once"
        gone = {tensor.name for tensor in after.edge_tensors if tensor.kind is Kind.KEPT}
        for number, task in enumerate(after.tasks):
            if isinstance(task, Store):
                gone.discard(task.target)
            elif isinstance(task, ContractTask):
                gone.discard(task.away)
            elif isinstance(task, Load) and task.source in gone:
                yield f"task {number}, Load, takes in '{task.source}' before it was sent out"


@dataclass(frozen=True, slots=True)
class _Weighing:
    """The forms of a product, and the one that is taken; None if there is none.

    wish: what was asked for, and there is.
    """

    choices: tuple[Choice, ...]
    taken: Choice | None
    wish: Wish | None


@dataclass(frozen=True, slots=True)
class _Spreading:
    """A map or reduction, with all that its forms are weighed by.

    places: where its operands are. usual: what is along which axis, if nothing is asked for.
    """

    node: Node
    origin: tuple[str, ...]
    types: tuple[Type, ...]
    places: tuple[View | None, ...]
    cost: CostModel
    training: bool
    usual: Split

    def forms(self) -> list[tuple[Spread, Form]]:
        """All forms, the cheapest first."""
        fabric = self.cost.fabric
        found = [
            (spread, weigh(self.node, spread, self.types, self.places, self.cost, self.training))
            for spread in spreads(self.node, self.types, Mesh(fabric.width, fabric.height))
        ]
        return sorted(found, key=lambda item: (item[1].against, item[1].cycles, item[1].bytes))

    def weighed(self, taken: Form | None = None, wish: Wish | None = None) -> Weighed:
        """How the node got its form. taken: the one that was asked for."""
        forms = self.forms()
        usual = next((form for spread, form in forms if dict(spread.split) == self.usual), None)
        return Weighed(
            self.origin,
            self.node.output,
            show_operation(self.node.op, self.node.inputs),
            tuple(form for _, form in forms),
            taken or usual,
            wish,
            "it is where its operands are",
        )


def _weighed_product(
    node: Node, origin: tuple[str, ...], weighing: _Weighing, room: int
) -> Weighed:
    """How a product got its form."""
    taken = weighing.taken
    order = sorted(weighing.choices, key=lambda choice: rank(choice, room))
    return Weighed(
        origin,
        node.output,
        show_operation(node.op, node.inputs),
        tuple(dict.fromkeys(choice.form(room) for choice in order)),
        None if taken is None else taken.form(room),
        weighing.wish,
    )


@dataclass(slots=True)
class Placer(Values):
    """The walk over the nodes."""

    same_order: bool = False
    alike: bool = True
    resident: bool = False
    carried: frozenset[str] = frozenset()
    wishes: tuple[Wish, ...] = ()
    cut: Cut | None = None
    together: bool = False
    cost: CostModel = field(init=False)
    ranges: dict[str, Interval] = field(init=False)
    forms: dict[Hashable, _Weighing] = field(default_factory=dict[Hashable, "_Weighing"])
    noted: dict[str, Noted] = field(default_factory=dict[str, "Noted"])  # by values
    meant: dict[Wish, type] = field(default_factory=dict[Wish, type])  # the operation of each wish
    heard: set[Wish] = field(default_factory=set[Wish])  # those that a node follows
    leaving: dict[str, list[GraphOutput]] = field(default_factory=dict[str, list[GraphOutput]])
    read: set[str] = field(default_factory=set[str])  # values that nodes read
    cuts: dict[Hashable, Pieces | None] = field(default_factory=dict[Hashable, "Pieces | None"])
    blocks: dict[Hashable, int] = field(default_factory=dict[Hashable, int])
    stays: dict[str, bool] = field(default_factory=dict[str, bool])  # whether it is a weight
    caches: dict[Type, Extents] = field(default_factory=dict[Type, "Extents"])
    leaves: set[str] = field(default_factory=set[str])  # values that outputs show as they are
    staying: int = 0  # bytes of what products take from that
    turn: str = ""  # the loss, behind which training goes backwards
    in_groups: set[str] = field(default_factory=set[str])
    along: dict[Blocks, int] = field(default_factory=dict[Blocks, int])  # see ``sizes_along``
    of_blocks: set[str] = field(default_factory=set[str])  # what the block at hand reads of others
    for_blocks: dict[int, tuple[Task, str]] = field(  # by identity: each with its block
        default_factory=dict[int, "tuple[Task, str]"]
    )
    stacks: Sequence[Layers] = ()
    made_of_blocks: set[str] = field(default_factory=set[str])  # see ``_given_by_blocks``
    begins: set[str] = field(default_factory=set[str])  # what the first node of each layer gives
    leaving_beside: dict[str, tuple[Node, View, Part]] = field(  # by the product meanwhile
        default_factory=dict[str, "tuple[Node, View, Part]"]
    )

    def __post_init__(self) -> None:
        Values.__post_init__(self)  # slots: no super() without arguments
        grouped = long_lines(self.fabric) if self.resident else frozenset[str]()
        self.cost = CostModel(self.fabric, grouped)
        self.mesh = replace(self.mesh, spread=spread_blocks(self.graph, self.mesh))
        self.ranges = ranges(self.graph)
        self.read = {name for node in self.graph.nodes for name in node.inputs}
        self.in_groups = read_in_groups(self.graph)
        self.along = sizes_along(self.graph)
        if self.resident:
            self._find_staying()

    def _find_staying(self) -> None:
        """The operands of products that are in SRAM from step to step.

        They are weights, and caches: what is handed on with something new in it.
        """
        self.stays = {constant.name: True for constant in self.graph.constants}
        self.stays |= dict.fromkeys(self.carried, False)
        factors: set[str] = set()
        for node in self.graph.nodes:
            kept = [name for name in node.inputs if name in self.stays]
            same = any(self.types[name] == node.type for name in kept if name in self.carried)
            if isinstance(node.op, Contract):
                factors.update(kept)
            elif kept and (isinstance(node.op, Move) or (isinstance(node.op, Map) and same)):
                self.stays[node.output] = all(self.stays[name] for name in kept)
        made = {node.output: node for node in self.graph.nodes}
        for output in self.graph.outputs:
            name, node = output.value, made.get(output.value)
            while node is not None and isinstance(node.op, Move):
                if not all(isinstance(step, Reshape) for step in node.op.steps):
                    break
                name = node.inputs[0]
                node = made.get(name)
            self.leaves.add(name)
        types = [self.types[name] for name in factors]
        self.staying = sum(type_.size * type_.dtype.bytes for type_ in types)

    def run(self) -> Placed:
        """Place every node, then send the outputs out."""
        self._require_formed()
        self._edges()
        stacks = self.stacks = find_layers(self.graph)
        self._require_apart(stacks)
        self.begins = {
            node.output
            for layers in stacks
            for node in self.graph.nodes[layers.start : layers.end : layers.period]
        }
        self.stems = self._stems(stacks)
        self.owned = {stem: value for value, stem in self.stems.items()}
        self.buffers[SYNC] = Buffer(SYNC, DType.I32, 4)
        # A gradient leaves as soon as it is there: its room is for those of other layers.
        trains = any(constant.state for constant in self.graph.constants)
        self.turn = self.graph.outputs[0].value if trains else ""
        for output in self.graph.outputs if trains else ():
            self.leaving.setdefault(output.value, []).append(output)
        loops, done = list[Run](), 0
        for layers in stacks if self.alike else ():
            self._walk(self.graph.nodes[done : layers.start])
            loop = place_stack(self, layers, self._walk)
            if loop is not None:
                loops.append(ahead(self, loop, loops[-1].end if loops else 0))
            done = layers.end
        self._walk(self.graph.nodes[done:])
        for output in self.graph.outputs:
            if output.name not in self.stored:
                self._store(output)
        for value, target in self.beside.items():
            self.origin = (target,)
            self.tasks.append(Store(self.view(value), target, origin=self.origin))
        used = {name for task in self.tasks for name in edge_names(task)}
        kept = {t.name: t for t in self.edge.values() if t.kind is Kind.KEPT}
        cut = None
        if self.cut is not None:
            cut = self.cut.at_edge(self.outside, (*self.shown, *kept))
            for name, tensor in [*kept.items()]:
                kept |= {other: replace(tensor, name=other) for other in cut.edge.get(name, ())}
        used = used if cut is None else cut.used(used)
        inputs = [tensor for tensor in self.edge.values() if tensor.kind is Kind.INPUT]
        weights = [tensor for tensor in self.edge.values() if tensor.kind is Kind.WEIGHT]
        edge = (
            *inputs,
            *self.shown.values(),
            *kept.values(),
            *(t for t in weights if t.name in used),
        )
        tasks = early(self.tasks, self.mesh)
        if tasks != self.tasks:
            loops = [run for run in loops if stays_alike(run, self.tasks, tasks)]
        buffers = tuple(self.buffers.values())
        self._require_heard()
        noted = (*self.noted.values(),) if cut is None else cut.all_noted(self.noted, self.graph)
        parts = (edge, buffers, tuple(tasks), tuple(loops))
        mesh = replace(self.mesh, spread=frozenset())
        further = None if cut is None else partial(self._further, cut, stacks)
        gaps = self._gaps(tasks)
        return Placed(
            self.graph.name, mesh, *parts, noted=noted, cut=cut, further=further, gaps=gaps
        )

    def _gaps(self, tasks: Sequence[Task]) -> tuple[Gap, ...]:
        """Where blocks of keys were left out.

        Raises:
            NotAlike: the tasks of the blocks around them are not one block after the other.
        """
        left = left_behind(self.graph)
        if not left:
            return ()
        begin, blocks = 0, list[tuple[tuple[str, int] | None, int, int]]()
        for here, mine in groupby(_filled([*map(self._block, tasks)])):
            end = begin + sum(1 for _ in mine)
            blocks.append((here, begin, end))
            begin = end
        around = {*left, *((name, before + more + 1) for (name, before), more in left.items())}
        found: list[Gap] = []
        seen: set[int] = set()
        for place in range(1, len(blocks) - 2):
            (before, *_), (here, first, at), (after, _, last), (further, *_) = blocks[
                place - 1 : place + 3
            ]
            if here is None or after is None or here[0] != after[0]:
                continue
            step = 1 if here < after else -1
            gap = min(here, after)
            if gap not in left or abs(after[1] - here[1]) != left[gap] + 1:
                continue
            name, size = here[0], at - first
            beside = (name, here[1] - step), (name, after[1] + step)
            sizes = {end - begin for _, begin, end in blocks[place - 1 : place + 3]}
            if (before, further) != beside or sizes != {size}:
                raise NotAlike
            end, number = last, after[1]
            for following, _, until in blocks[place + 2 :]:
                number += step
                if following != (name, number):
                    break
                end = until
            found.append(Gap(at, size, left[gap], end))
            seen.update((place, place + 1))
        if any(item in around and n not in seen for n, (item, *_) in enumerate(blocks)):
            raise NotAlike
        return tuple(found)

    def _block(self, task: Task) -> tuple[str, int] | None:
        """The block of keys that a task is for: what is in blocks, and the number.

        That of the node for which it was placed, which may bring what another block has. Of what
        was placed for no block, as the moves that join what blocks give, that of the first value.
        """
        _, name = self.for_blocks.get(id(task), (task, ""))
        if name:
            return numbered_block(name)
        for view in (*written(task), *read(task)):
            stem = view.buffer
            while stem and stem not in self.owned:
                stem = stem.rpartition("_")[0]
            block = numbered_block(self.owned.get(stem, ""))
            if block is not None:
                return block
        return None

    def _further(
        self, cut: Cut, stacks: Sequence[Layers], names: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """Buffers of the layer before those left out -> what those call theirs.

        Raises:
            NotAlike: their names do not follow from these.
        """
        values: dict[str, list[str]] = {}
        parts: dict[str, tuple[str, str]] = {}
        for name in names:
            stem = name
            while stem not in self.owned:
                stem = stem.rpartition("_")[0]
            value = self.owned[stem]
            parts[name] = value, name.removeprefix(stem)
            values[value] = [cut.named(value, number + 1) for number in range(cut.left)]
        more = [name for others in values.values() for name in others]
        stems = self._stems(stacks, more)
        if len({*more, *self.stems}) < len(more) + len(self.stems) or any(
            stems[value] != stem for value, stem in self.stems.items()
        ):
            raise NotAlike
        return {
            name: tuple(stems[other] + part for other in values[value])
            for name, (value, part) in parts.items()
        }

    def _outputs(self) -> Iterable[GraphOutput]:
        outputs = self.graph.outputs
        return outputs if self.cut is None else self.cut.all_outputs(outputs)

    def _require_apart(self, stacks: Iterable[Layers]) -> None:
        """Raise NotAlike if something besides layers reads what the layers around those left out
        give: it would read what those give as well."""
        if self.cut is None:
            return
        given: set[str] = set()
        inside: set[str] = set()
        for layers in stacks:
            nodes = self.graph.nodes[layers.start : layers.end]
            inside.update(node.output for node in nodes)
            for place in range(layers.period):
                column = nodes[place :: layers.period]
                turn = self.cut.behind([node.origin for node in column])
                around = column if turn is None else column[turn - 1 : turn + 1]
                given.update(node.output for node in around)
        handed = {
            self.graph.nodes[layers.end - layers.period + place].output
            for layers in stacks
            for _, place in layers.carried
        }
        outside = [node for node in self.graph.nodes if node.output not in inside]
        read = {name for node in outside for name in node.inputs}
        for output in self.graph.outputs:
            read.update(output.values if output.name not in self.cut.families else ())
        if read & given - handed:
            raise NotAlike

    def _require_formed(self) -> None:
        """Find what each wish is for; refuse one for what has no form.

        A node of ONNX may have become a product, a reduction and maps. Numbers of dimensions are
        of maps; other words of the first of these that there is.
        """
        formed = [node for node in self.graph.nodes if isinstance(node.op, FORMED)]
        for wish in self.wishes:
            meant = [type(node.op) for node in formed if wish.is_for(_names(node))]
            if not meant:
                raise without_form(wish.node, [name for node in formed for name in _names(node)])
            numbers = any(label and label.isdecimal() for label in (wish.x, wish.y))
            self.meant[wish] = Map if numbers else min(meant, key=FORMED.index)

    def _stems(self, stacks: Iterable[Layers], more: Iterable[str] = ()) -> dict[str, str]:
        """How the buffers of each value are called: the same on every mesh, loops or not.

        more: values that the graph is without.
        """
        given = [item.name for item in (*self.graph.inputs, *self.graph.constants)]
        made = [node.output for node in self.graph.nodes]
        first = {
            name
            for layers in stacks
            for node in self.graph.nodes[layers.start : layers.start + layers.period]
            for name in (node.output, *(name for name in node.inputs if name in layers.own))
        }
        return buffer_stems((*given, *made, *more), first)

    def _walk(self, nodes: Iterable[Node]) -> None:
        """Place nodes one after the other."""
        handlers = {
            Map: self._map,
            Reduce: self._reduce,
            Contract: self._contract,
            Gather: self._gather,
            Scatter: self._scatter,
            Keep: self.send_away,
        }
        before = turned = False
        block, begin = "", len(self.tasks)
        past: tuple[str, int, int] = ("", 0, 0)  # the block before: its name, first task, end
        for node in nodes:
            self.origin = node.origin or (node.name,)
            # What a block of keys wants of them comes anew for what is done with it later.
            here = block_of(node.name)
            if here != block:
                if block:
                    past = self._end_block(block, begin, past)
                begin = len(self.tasks)
                self.forget_moved(self.of_blocks)
                self.of_blocks.clear()
                block = here
            if block:
                self.of_blocks.update(n for n in node.inputs if n in self.lazy and block_of(n))
            # A layer that is computed again turns to its derivative, as all of training does at
            # the loss: what was moved to compute it has room again.
            turned = turned and node.output not in self.begins
            if before and not turned and not computed_again(node.name):
                self.forget_moved(filter(computed_again, self.moved()))
                turned = True
            before = computed_again(node.name)
            if self._is_of_edge(node):
                self.outside[node.output] = self.outside[node.inputs[0]]
            elif isinstance(node.op, (Move, Concat)):
                self.lazy[node.output] = node
            else:
                for name in node.inputs:
                    self.come_back(name)
                handlers[type(node.op)](node)
            for output in self.leaving.get(node.output, ()):
                if output.name not in self.stored:
                    self._store(output)
            # Training turns here: what the forward pass moved for itself has room again.
            if node.output == self.turn:
                self.forget_moved(self.moved())
                self.forget_outside()
        if block:
            self._end_block(block, begin, past)

    def _end_block(
        self, block: str, begin: int, before: tuple[str, int, int]
    ) -> tuple[str, int, int]:
        """Have what a block reads on its way while the core computes, and note what is for it.

        begin: its first task. before: the block before it, by its name, with its first task and
        where its tasks end. Returns the same of this one.
        """
        first = begin
        if sends_ahead(self.fabric):
            self.tasks[begin:] = within(self.tasks[begin:], self.mesh)
            here, other = numbered_block(block), numbered_block(before[0])
            if here and other and here[0] == other[0] and before[2] == begin:
                self.tasks[:], at = across(self.tasks, begin, before[1], self.mesh)
                if at < begin:
                    # Meanwhile the rest of the block before is done.
                    first, begin = at, begin + 1
        self.for_blocks |= {id(task): (task, block) for task in self.tasks[first:]}
        return block, begin, len(self.tasks)

    def _store(self, output: GraphOutput) -> None:
        """Send an output out."""
        self.origin = (output.name,)
        self.tasks.append(Store(self.as_shown(output.value), output.name, origin=self.origin))
        self.stored.add(output.name)

    # --- nodes ------------------------------------------------------------------

    def _map(self, node: Node) -> None:
        assert isinstance(node.op, Map)
        extents = self._map_extents(node)
        numbers = [str(place) for place in range(len(extents))]
        spread = self._spread(node, split_of(numbers, extents))
        extents = extents if spread is None else spread.out
        inputs = [
            self.bring(name, aligned(self.types[name].shape, extents)) for name in node.inputs
        ]
        out = self.fresh(node.output, node.type.dtype, extents)
        place = temporaries(node.op.body, out.dtype)
        size = out.local_size * 4
        scratch = tuple(
            self.buffer(node.output, DType.F32, size, f"tmp{i}") for i in range(max(place) + 1)
        )
        self.tasks.append(MapTask(node.op.body, tuple(inputs), out, scratch, origin=self.origin))
        self.homes[node.output] = out

    def _map_extents(self, node: Node) -> Extents:
        """The layout of the largest input that is already on the fabric, or the default one."""
        moved = False
        for name in node.inputs:
            if name in self.carried and self.types[name] == node.type and name in self.outside:
                return self._cache_extents(node)
        for name in node.inputs:
            if self.types[name].shape == node.type.shape:
                found = self.current(name)
                if found is not None:
                    if self._given_by_blocks(name):
                        self.made_of_blocks.add(node.output)
                    return found.extents
                moved = moved or name in self.lazy
        resting = self._resting_map(node) if self.resident or self.along else None
        if resting is not None:
            self.made_of_blocks.add(node.output)
            return resting
        wanted = self.wanted(node.output) if moved else None
        return wanted or default_extents(node.type.shape, self.mesh)

    def _resting(self, value: str) -> Extents | None:
        """The layout in which a value is, or would be if it were made within each tile.

        A step moves few words, and to move them takes longer than to sum them in either layout.
        What blocks of attention give has its heads and positions where it is wanted nowhere else,
        and what is made of it within a tile goes on from there as one.
        None if it has to be moved, or lies along no axis.
        """
        found, node = self.current(value), self.lazy.get(value)
        if not (self.resident or self._given_by_blocks(value)):
            return None
        extents = None if found is None else found.extents
        if extents is None and node is not None and isinstance(node.op, Move):
            source = self._resting(node.inputs[0])
            extents = None if source is None else after_steps(source, node.op.steps)
        elif extents is None and node is not None and isinstance(node.op, Concat):
            extents = self._resting_parts(node, node.op.axis)
        return extents if extents and any(extent.axis for extent in extents) else None

    def _given_by_blocks(self, value: str) -> bool:
        """Whether blocks of attention give a value, or what it is made of within each tile."""
        node = self.lazy.get(value)
        moved = node is not None and all(map(self._given_by_blocks, node.inputs))
        return moved or bool(block_of(value)) or value in self.made_of_blocks

    def _resting_parts(self, node: Node, axis: int) -> Extents | None:
        """The layout of what is joined of parts that lie alike, whole along the join.

        Constants that the edge has come as they are wanted.
        """
        joined = whole(node.type.shape[axis])
        layouts: set[Extents] = set()
        for name in node.inputs:
            if self.stays.get(name) and name in self.outside and name not in self.homes:
                continue
            part = self._resting(name)
            if part is None or part[axis].axis is not None:
                return None
            layouts.add((*part[:axis], joined, *part[axis + 1 :]))
        return layouts.pop() if len(layouts) == 1 else None

    def _resting_map(self, node: Node) -> Extents | None:
        """The layout of a map in which one of its operands is, or would be."""
        shape = node.type.shape
        for name in node.inputs:
            found = self._resting(name)
            if found is None or len(found) != len(shape):
                continue
            pairs = zip(found, shape, strict=True)
            extents = tuple(e if e.size == size else whole(size) for e, size in pairs)
            if any(extent.axis for extent in extents):
                return extents
        return None

    def _cache_extents(self, node: Node) -> Extents:
        """The layout of a cache with something new in it: that of the first one of its shape.

        So keys and values have their positions along the same axis, as scores and weights have.
        """
        known = self.caches.get(node.type)
        if known is None:
            known = self._around_new(node) or self.wanted(node.output)
            known = known or default_extents(node.type.shape, self.mesh)
            self.caches[node.type] = known
        return known

    def _around_new(self, node: Node) -> Extents | None:
        """The layout of a cache in which what is new in it stays where it is.

        Its dimension along one axis remains there, and the largest other one goes along the other
        axis. None if what is new has to be moved anyway.
        """
        shape = node.type.shape
        for name in node.inputs:
            found = None if name in self.carried else self.current(name)
            if found is None or len(found.shape) != len(shape):
                continue
            on = [i for i, extent in enumerate(found.extents) if extent.axis and shape[i] > 1]
            rest = [i for i in range(len(shape)) if i not in on and found.shape[i] < shape[i]]
            if len(on) != 1 or not rest or found.extents[on[0]].size != shape[on[0]]:
                continue
            axis = "x" if found.extents[on[0]].axis == "y" else "y"
            extents = [whole(size) for size in shape]
            extents[on[0]] = found.extents[on[0]]
            longest = max(rest, key=lambda i: shape[i])
            extents[longest] = block(shape[longest], axis, self.mesh)
            return tuple(extents)
        return None

    def wanted(self, value: str) -> Extents | None:
        """The layout in which the first product behind maps and movement wants a value.

        Of a step's values, that in which it would be without movement comes first.
        """
        rests = (self.resident or self.along) and value in self.lazy
        resting = self._resting(value) if rests else None
        if resting is not None:
            return resting
        for user in self.users(value):
            found = self._wanted_by(user, value)
            if found is not None and all(is_plain(extent) for extent in found):
                return found
        return None

    @property
    def shares_lines(self) -> bool:
        """Masks are, of which each block of attention takes a part."""
        return bool(self.along)

    def parts_apart(self, node: Node) -> Node | None:
        """The join that a move takes its value of, whose parts go to their places by themselves.

        So do gradients of queries, keys and values: each is moved once, from heads to features.
        """
        join = self.lazy.get(node.inputs[0]) if self.along else None
        if join is None or not isinstance(join.op, Concat) or self.current(join.output) is not None:
            return None
        parts = [self.lazy.get(name) for name in join.inputs]
        moves = [part for part in parts if part is not None and isinstance(part.op, Move)]
        pads = any(isinstance(step, Pad) for item in (node, *moves) for step in item.steps)
        within = self._resting(join.output) is not None
        return None if pads or within or not moves else join

    def fed_apart(self, value: str, extents: Extents) -> Extents | None:
        """The layout in which each element of a value comes from the edge once.

        What each column wants whole, rows of tiles apart, would come through the port of each.
        None if that is not predicted to take clearly longer.
        """
        on = {extent.axis for extent in extents}
        free = [i for i, extent in enumerate(extents) if extent.axis is None and extent.size > 1]
        if on != {"y", None} or not free or self.mesh.width == 1:
            return None
        cut, type_ = max(free, key=lambda i: extents[i].size), self.types[value]
        size = extents[cut].size
        apart = (*extents[:cut], block(size, "x", self.mesh), *extents[cut + 1 :])
        at = dense_view(apart, type_.dtype)
        fed = relayout(None, apart, type_, self.cost, self.mesh, False)
        along = relayout(at, extents, type_, self.cost, self.mesh, False)
        at_once = relayout(None, extents, type_, self.cost, self.mesh, False)
        return apart if at_once > CLEARLY * (fed + along) else None

    def joined(self, value: str, axis: int, extents: Extents) -> View:
        """What is joined to other values; a step's constants come as the whole wants them."""
        edge = value in self.outside and value not in self.homes
        if not (self.resident and edge and extents[axis].axis is None):
            return self.view(value)
        size = self.types[value].shape[axis]
        return self.bring(value, (*extents[:axis], whole(size), *extents[axis + 1 :]))

    def _wanted_by(self, user: Node, value: str) -> Extents | None:
        shape = self.types[value].shape
        if isinstance(user.op, Contract):
            if self._only_shown(user):  # a gradient takes its operands from where they are
                return None
            op, a, b, streamed = self._operands(user)
            # What blocks of attention give moves once, also to a product that its weights come to.
            left = streamed and not self._given_by_blocks(value)
            choice = None if left else self._choice(user, op, a, b, streamed).taken
            if choice is None or a == b:
                return None
            return choice.a if value == a else choice.b
        if isinstance(user.op, Map) and user.type.shape != shape:
            return self._repeated_by(user, shape) if block_of(user.name) else None
        behind = self.wanted(user.output) if isinstance(user.op, Map | Concat | Move) else None
        if behind is None or isinstance(user.op, Map):
            return behind
        if isinstance(user.op, Concat):
            axis = user.op.axis
            at = behind[axis].axis is None
            return (*behind[:axis], whole(shape[axis]), *behind[axis + 1 :]) if at else None
        assert isinstance(user.op, Move)
        return before_steps(behind, shape, user.op.steps, self.mesh)

    def _repeated_by(self, user: Node, shape: tuple[int, ...]) -> Extents | None:
        """The layout of a value that a map of a block repeats: that of what it meets there."""
        for name in user.inputs:
            found = self.current(name)
            if found is not None and self.types[name].shape == user.type.shape:
                return aligned(shape, found.extents)
        return None

    def _reduce(self, node: Node) -> None:
        assert isinstance(node.op, Reduce)
        op, name = node.op, node.inputs[0]
        sizes = dict(op.extents)
        shape = self.types[name].shape
        plain = all(
            entry.offset == 0
            and (
                not entry.terms
                or (
                    len(entry.terms) == 1
                    and entry.terms[0][1] == 1
                    and sizes[entry.terms[0][0]] == size
                )
            )
            for entry, size in zip(op.index, shape, strict=True)
        )
        if plain:
            labels = [entry.terms[0][0] if entry.terms else "" for entry in op.index]
            found = self.current(name)
            held = default_extents(shape, self.mesh) if found is None else found.extents
            usual = split_of(labels, held)
        else:
            usual = self._window_split(op)
        spread = self._spread(node, usual)
        split: Split = {}
        if plain and spread is None:
            value = self._evenly(name)
            if op.kind is Reduction.PROD:
                kept = tuple(
                    extent if entry.terms and entry.terms[0][0] in op.out else whole(extent.size)
                    for entry, extent in zip(op.index, value.extents, strict=True)
                )
                value = self.bring(name, kept)
            for entry, extent in zip(op.index, value.extents, strict=True):
                if extent.axis and entry.terms:
                    split[entry.terms[0][0]] = extent.axis
        else:
            split = usual if spread is None else dict(spread.split)
            extents = wanted_extents(op.index, shape, sizes, split, self.mesh)
            fill = float(neutral(op.kind, self.types[name].dtype))
            value = self.bring(name, extents, fill, reads_outside(op.index, shape, sizes))
        self._emit_reduce(node, value, split, sizes)

    def _evenly(self, name: str) -> View:
        """A view of a value in the blocks that its sizes give: those of the result are such.

        Windows want others: blocks of as many rows as their steps go over.
        """
        value = self.view(name)
        extents = tuple(
            block(extent.size, extent.axis, self.mesh) if extent.axis else extent
            for extent in value.extents
        )
        return value if extents == value.extents else self.bring(name, extents)

    def _window_split(self, op: Reduce) -> dict[str, str]:
        """Channels (labels that stand alone) along x, the largest window dimension along y."""
        sizes = dict(op.extents)
        summed = [label for label, _ in op.extents if label not in op.out]
        windowed = {
            label
            for entry in op.index
            for label, _ in entry.terms
            if any(other in summed for other, _ in entry.terms)
        }
        outs = [label for label in op.out if label and sizes[label] > 1]
        alone = [label for label in outs if label not in windowed]
        split: dict[str, str] = {}
        if alone:
            split[max(alone, key=lambda label: sizes[label])] = "x"
        rest = [label for label in outs if label not in split]
        if rest:
            split[max(rest, key=lambda label: sizes[label])] = "y"
        return split

    def _emit_reduce(
        self, node: Node, value: View, split: dict[str, str], sizes: dict[str, int]
    ) -> None:
        assert isinstance(node.op, Reduce)
        op = node.op
        axes = tuple(sorted(axis for label, axis in split.items() if label not in op.out))
        extents = out_extents(op.out, sizes, split, self.mesh)
        out = self.fresh(node.output, node.type.dtype, extents)
        wide = ""
        if op.kind is Reduction.SUM and out.dtype is DType.F16:
            wide = self.buffer(node.output, DType.F32, out.local_size * 4, "sum")
        self.tasks.append(
            ReduceTask(
                op.kind, op.index, op.out, op.extents, value, out, axes, wide, origin=self.origin
            )
        )
        self.homes[node.output] = out

    def _contract(self, node: Node) -> None:
        op, a, b, streamed = self._operands(node)
        weighing = self._choice(node, op, a, b, streamed)
        choice = self._near(node, weighing.taken)
        self._note(node, weighing)
        if not streamed and self._in_pieces(node, op, (a, b), choice):
            return
        if choice is None or choice.bytes > self.fabric.sram_bytes:
            operands = [(a, self.types[a]), *([] if streamed else [(b, self.types[b])])]
            raise no_layout(
                self.origin, self.fabric, self.mesh, choice, operands, node.type, streamed
            )
        sizes = dict(op.extents)
        around = reads_outside(op.index_a, self.types[a].shape, sizes)
        left = self.bring(a, choice.a, outside=around)
        around = reads_outside(op.index_b, self.types[b].shape, sizes)
        right = None if streamed else self.bring(b, choice.b, outside=around)
        out = self.fresh(node.output, node.type.dtype, choice.out)
        task = choice.task(op, left, right, self.outside[b] if streamed else "", out, self.origin)
        if node.output in self.leaving_beside:
            keep, beside, part = self.leaving_beside.pop(node.output)
            if streamed and choice.reduce and _hides(choice, beside, part):
                task = replace(task, beside=beside, away=keep.output, part=part)
            else:
                self.tasks.append(Store(beside, keep.output, part=part, origin=keep.origin))
        target = self._leaving_west(node, choice)
        if target:
            task = replace(task, target=target)
            self.stored.add(target)
        self.tasks.append(choice.with_buffers(task, partial(self.buffer, node.output)))
        self.homes[node.output] = out

    def leaves_beside(self, node: Node, view: View) -> bool:
        """Whether what a node sends away leaves during the longest products of its layer.

        A stream unit of each tile sends its block, or a part of it, one row after the other. There
        are as many products as take the time.
        """
        able = self.fabric.stream_units > OUTWARDS and self.fabric.semaphores > LEFT
        if not able or {"x", "y"} - {extent.axis for extent in view.extents}:
            return False
        weights = {constant.name for constant in self.graph.constants}
        products = [
            item
            for item in self._rest_of_layer(node)
            if isinstance(item.op, Contract)
            and weights.intersection(item.inputs)
            and item.output not in self.leaving_beside
        ]
        needed, taken = crossing(view, self.fabric), list[tuple[str, int]]()
        for item in sorted(products, key=work_of, reverse=True):
            if sum(cycles for _, cycles in taken) < needed:
                taken.append((item.output, self._least_cycles(item)))
        if not taken:
            return False
        self.leaving_beside |= {name: (node, view, part) for name, part in parts(view, taken)}
        return True

    def _least_cycles(self, product: Node) -> int:
        """Cycles of all cores for the multiply-accumulates of a product, if none waits."""
        dtype = self.types[product.inputs[0]].dtype
        peak = self.fabric.timing[Timing.MULTIPLY_ACCUMULATE].peak(dtype)
        return ceil(work_of(product) / (peak * self.mesh.width * self.mesh.height))

    def _rest_of_layer(self, node: Node) -> tuple[Node, ...]:
        """The nodes behind one in its layer; none where it is in no layer."""
        nodes = self.graph.nodes
        for layers in self.stacks:
            for start in range(layers.start, layers.end, layers.period):
                layer = nodes[start : start + layers.period]
                place = next((i for i, item in enumerate(layer) if item is node), None)
                if place is not None:
                    return layer[place + 1 :]
        return ()

    def _leaving_west(self, node: Node, choice: Choice) -> str:
        """The output as which a product leaves while it is made, block after block; "" if it stays.

        The owners of a chain's sums have theirs one after the other, as a row lets them send. A
        core has to have a unit more, and the queue of what else would go up the columns.
        """
        if self.together:
            return ""
        outputs, shown = self.graph.outputs, {node.output}
        users = self.users(node.output)
        if len(users) == 1 and isinstance(users[0].op, Move):
            steps = users[0].op.steps
            if all(isinstance(step, Reshape) for step in steps) and not self.users(users[0].output):
                shown = {users[0].output}
        elif users:
            return ""
        alone = len(outputs) == 1 and outputs[0].value in shown and not self.beside
        able = self.fabric.stream_units > OUTWARDS and self.fabric.semaphores > LEFT
        if not (alone and able and choice.reduce and not choice.ordered):
            return ""
        gained = leaving_gains(choice, node.type.dtype, self.cost)
        return outputs[0].name if gained > 0 else ""

    def _in_pieces(
        self, node: Node, op: Contract, operands: tuple[str, str], choice: Choice | None
    ) -> bool:
        """Make a product that only the edge wants piece by piece, if all of it has no room."""
        room = self.fabric.sram_bytes
        fits = choice is not None and choice.bytes <= WHOLE * room
        if fits or not self._only_shown(node):
            return False
        a, b = (self.types[name] for name in operands)
        at = self.view(operands[0]), self.view(operands[1])
        key = (op, a, b, *(replace(view, buffer="") for view in at))
        if key not in self.cuts:

            def choose(
                op: Contract, types: tuple[Type, Type], at: tuple[View, View]
            ) -> Choice | None:
                return choose_contraction(op, *types, False, *at, self.cost, self.same_order, True)

            shares = (
                pieces(op, a, b, at, self.mesh, int(n * room), choose, self._cycles_of_piece)
                for n in (PIECE, WHOLE)
            )
            self.cuts[key] = next((cut for cut in shares if cut is not None), None)
        cut = self.cuts[key]
        if cut is None:
            return False
        layouts, name = (cut.choice.a, cut.choice.b), operands[cut.side]
        other = self.bring(operands[1 - cut.side], layouts[1 - cut.side])
        source, shape = self.view(name), (a, b)[cut.side].shape
        # The sums of a piece go up the columns, and out, while the next one is made.
        rising = self._rises(cut.choice) and len(self.leaving[node.output]) == 1
        sums, value = self._room_of_sums(node, cut.choice) if rising else (None, None)
        if sums is not None:
            self.rising[sums.buffer] = self._least_cycles(node)
        coming: int | None = None  # where the piece before begins, whose sums are on their way
        for start in range(0, shape[cut.axis], cut.size):
            starts = tuple(start if i == cut.axis else 0 for i in range(len(shape)))
            sizes = tuple(cut.size if i == cut.axis else n for i, n in enumerate(shape))
            part = Slice(starts, sizes, (1,) * len(shape))
            done = len(self.tasks)
            taken = self._moved(name, source, (part,), layouts[cut.side], None)
            left, right = (taken, other) if cut.side == 0 else (other, taken)
            if sums is not None:
                if coming is not None:
                    self._move_during(done)
                    self._show_risen(node, cut, sums, value, coming)
                task = cut.choice.task(cut.op, left, right, "", sums, self.origin)
                self.tasks.append(replace(task, rises=True))
                coming = start
                continue
            out = self.fresh(node.output, node.type.dtype, cut.choice.out)
            task = cut.choice.task(cut.op, left, right, "", out, self.origin)
            self.tasks.append(cut.choice.with_buffers(task, partial(self.buffer, node.output)))
            self._show_part(node, cut.shown(out, start))
        if sums is not None and coming is not None:
            self._show_risen(node, cut, sums, value, coming)
            if value is not None:
                self.tasks.append(Aside((value,), origin=self.origin))
        return True

    def _move_during(self, number: int) -> None:
        """Have a move's messages on their way while the task before it, a product, is done.

        They go to where nothing was since the broadcast before: who has taken that knows that its
        root is done with what was there.
        """
        before, move, *rest = self.tasks[number - 1 :]
        if not isinstance(move, MoveTask) or rest:
            return
        stages = in_stages(move, self.mesh)
        if len(stages) > 1:
            sends, takes = stages
            self.tasks[number - 1 :] = [sends, before, takes]

    def _rises(self, choice: Choice) -> bool:
        """Whether the sums of a piece go up the columns beside the core.

        Then not all tiles of a column get them, but the northern one, which sends them out.
        """
        axes = {extent.axis for extent in choice.out}
        down = choice.combined == "y" and "x" in axes and "y" not in axes
        return rises(self.fabric) and down and len(choice.out) <= self.fabric.dimensions

    def _cycles_of_piece(self, choice: Choice) -> int:
        """Cycles of a piece; the next one is moved while its sums go up."""
        if not self._rises(choice):
            return choice.cycles
        words = local_size(choice.out)
        late = max(words - choice.moving, 0)
        return choice.cycles - self.cost.all_reduce_along(words, "y") + late

    def _room_of_sums(self, node: Node, choice: Choice) -> tuple[View, View | None]:
        """Where the sums of pieces are made, and where they are rounded if they leave in halves.

        From there a stream unit sends them out while the core makes the next piece.
        """
        sums = self.fresh(node.output, DType.F32, choice.out, "sums")
        if node.type.dtype is DType.F32:
            return sums, None
        self.tasks.append(Aside(origin=self.origin))
        return sums, self.fresh(node.output, node.type.dtype, choice.out)

    def _show_risen(
        self, node: Node, cut: Pieces, sums: View, value: View | None, start: int
    ) -> None:
        """Send a piece out whose sums have come up the columns."""
        (output,) = self.leaving[node.output]
        shape, parts = self.types[node.output].shape, cut.shown(sums, start)
        rounded = None if value is None else cut.shown(value, start)
        task = Risen(parts, rounded, output.name, shape, origin=(output.name,))
        self.tasks.append(task)
        self.stored.add(output.name)

    def _only_shown(self, node: Node) -> bool:
        """Whether nothing but the edge wants what a node of a training step gives."""
        return node.output in self.leaving and node.output not in self.read

    def _show_part(self, node: Node, part: View) -> None:
        """Send a part of an output out."""
        origin = self.origin
        for output in self.leaving[node.output]:
            self.origin = (output.name,)
            shape = self.types[node.output].shape
            self.tasks.append(Store(part, output.name, shape, origin=self.origin))
            self.stored.add(output.name)
        self.origin = origin

    def _operands(self, node: Node) -> tuple[Contract, str, str, bool]:
        """A product and its operands, b one that is streamed if there is such a one."""
        assert isinstance(node.op, Contract)
        a, b = node.inputs
        if self.resident:
            return node.op, a, b, False
        streamed = b in self.outside and self.edge[self.outside[b]].kind is Kind.WEIGHT
        op = node.op
        if not streamed and a in self.outside and self.edge[self.outside[a]].kind is Kind.WEIGHT:
            op, a, b, streamed = replace(op, index_a=op.index_b, index_b=op.index_a), b, a, True
            streamed = _no_windows(op)
            if not streamed:
                op, a, b = node.op, *node.inputs
        return op, a, b, streamed

    def _choice(self, node: Node, op: Contract, a: str, b: str, streamed: bool) -> _Weighing:
        """The forms of a contraction: found once for those that are alike, as layers have them.

        Raises:
            UnknownForm: none of them is as it was asked for.
        """
        types, found = (self.types[a], self.types[b]), (self._at(a), self._at(b))
        blocks = None if streamed else laid_out(node, self.along, self.mesh)
        if blocks is not None:
            found = (self._in_block(a, found[0], blocks[0]), self._in_block(b, found[1], blocks[1]))
        where = tuple(None if view is None else replace(view, buffer="") for view in found)
        staying = self._staying(a, b, node.output in self.leaves)
        wish = self._wish(node)
        key = (op, types, streamed, where, staying, wish, blocks)
        if key not in self.forms:
            room = self.fabric.sram_bytes
            # With another chunk than the usual one its forms are weighed beside the others.
            choices = [
                choice
                for chunk in dict.fromkeys((0, (wish and wish.chunk) or 0))
                for choice in weighed_choices(
                    op,
                    *types,
                    streamed,
                    found[0],
                    found[1],
                    self.cost,
                    self.same_order,
                    bool(self.turn),
                    staying,
                    chunk,
                    self.mesh.spread,
                )
                if choice.reduce or not chunk
            ]
            allowed = [item for item in choices if wish is None or wish.suits(item.form(room))]
            if wish is None and blocks is not None:
                allowed = [item for item in choices if (item.a, item.b) == blocks] or choices
            if wish is not None and not allowed:
                # What is asked of many nodes is asked of those that have such a form.
                if not wish.many:
                    forms = [choice.form(room) for choice in choices]
                    raise self._no_form(wish, node.origin, forms)
                wish, allowed = None, choices
            self.forms[key] = _Weighing(tuple(choices), preferred(allowed, room), wish)
        return self.forms[key]

    def _in_block(self, value: str, at: View | None, extents: Extents) -> View | None:
        """Where an operand over a block of keys is: what is only moved is where it is wanted."""
        moved = value in self.lazy and self.current(value) is None
        return dense_view(extents, self.types[value].dtype) if moved else at

    def _no_form(self, wish: Wish, nodes: Iterable[str], forms: Iterable[Form]) -> UnknownForm:
        """What to say of a form that a node does not have."""
        return UnknownForm(
            f"node '{named(nodes)}' has no form '{wish}' on {self.mesh.width}x{self.mesh.height} "
            f"tiles: {'; '.join(dict.fromkeys(map(str, forms))) or 'it has none'}"
        )

    def _require_heard(self) -> None:
        """Refuse a wish that no node could follow."""
        for wish in self.wishes:
            if wish not in self.heard and wish.many:
                raise UnknownForm(
                    f"no node '{wish.node}' has a form '{wish}' on "
                    f"{self.mesh.width}x{self.mesh.height} tiles"
                )

    def _wish(self, node: Node) -> Wish | None:
        """What is asked of the form of a node."""
        if not self.wishes:
            return None
        kind, names = type(node.op), _names(node)
        return next(
            (wish for wish in self.wishes if self.meant[wish] is kind and wish.is_for(names)), None
        )

    def _note(self, node: Node, weighing: _Weighing) -> None:
        """Keep how a product got its form, for those who ask."""
        if weighing.wish is not None:
            self.heard.add(weighing.wish)
        room = self.fabric.sram_bytes
        self.noted[node.output] = partial(_weighed_product, node, self.origin, weighing, room)

    def _spread(self, node: Node, usual: Split) -> Spread | None:
        """The form of a map or reduction that is asked for; None where it is the usual one.

        Raises:
            UnknownForm: none of its forms is as it was asked for.
        """
        types = tuple(self.types[name] for name in node.inputs)
        places = tuple(self._at(name) for name in node.inputs)
        weighing = _Spreading(node, self.origin, types, places, self.cost, bool(self.turn), usual)
        wish = self._wish(node)
        if wish is None:
            self.noted[node.output] = weighing.weighed
            return None
        forms = weighing.forms()
        found = next((item for item in forms if wish.suits(item[1])), None)
        if found is None:
            if not wish.many:
                raise self._no_form(wish, node.origin, [form for _, form in forms])
            self.noted[node.output] = weighing.weighed
            return None
        self.heard.add(wish)
        spread, form = found
        self.noted[node.output] = partial(weighing.weighed, form, wish)
        return spread

    def _near(self, node: Node, choice: Choice | None) -> Choice | None:
        """The choice with its outputs in the columns to which they are moved next, if they can be.

        Features of a head, in blocks that fill whole columns, are in the columns that have the
        head, where they else are far from it.
        """
        if choice is None or not choice.reduce or not self._far:
            return choice
        place = next(i for i, extent in enumerate(choice.out) if extent.axis == "x")
        moves = tuple(self._moved_to(node.output))
        key = (node.type, choice.out, moves)
        if key not in self.blocks:
            self.blocks[key] = block_near(choice.out, place, node.type, moves, self.mesh)
        step = self.blocks[key]
        near = choice if step == choice.out[place].step else choice.in_blocks(step)
        return near if near.bytes <= SHARE_OF_SRAM * self.fabric.sram_bytes else choice

    @property
    def _far(self) -> bool:
        """Whether columns can be so far apart that messages between them hold each other up."""
        return self.mesh.width > FAR * FAR

    def _moved_to(self, value: str) -> Iterator[tuple[tuple[MoveStep, ...], Extents]]:
        """The movements of a value, behind maps too, and the layouts that their results want."""
        for user in self.users(value):
            if isinstance(user.op, Map) and user.type.shape == self.types[value].shape:
                yield from self._moved_to(user.output)
            elif isinstance(user.op, Move):
                wanted = self.wanted(user.output)
                if wanted is not None:
                    yield user.op.steps, wanted

    def _at(self, value: str) -> View | None:
        """Where an operand is when a form is chosen; None if it comes from the edge.

        In a training step what is only moved is taken to be where such a value is by default: it
        comes from tiles, and not through the ports. So is what attention in groups reads, before
        it is there too. What a decoding step cuts or joins is where it is before.
        """
        found = self.current(value)
        if found is None and value in self.in_groups:
            return default_view(self.types[value].shape, self.types[value].dtype, self.mesh)
        if found is not None or value not in self.lazy:
            return found
        type_ = self.types[value]
        resting = self._resting(value) if self.resident else None
        if resting is not None:
            return dense_view(resting, type_.dtype)
        return default_view(type_.shape, type_.dtype, self.mesh) if self.turn else None

    def _staying(self, a: str, b: str, shown: bool) -> Staying | None:
        """Which operands of a product stay in SRAM from step to step, if weights do.

        shown: whether its result leaves.
        """
        if not self.resident:
            return None
        # A cache stays where it is; a weight may be brought in a second layout.
        first, second = (
            name in self.stays and (self.stays[name] or self.current(name) is None)
            for name in (a, b)
        )
        return Staying(first, second, (self._along(a), self._along(b)), self.staying, shown)

    def _along(self, name: str) -> frozenset[str] | None:
        """The axes along which a value lies, or what it is moved from; None if it is nowhere."""
        while name in self.lazy and self.current(name) is None:
            name = self.lazy[name].inputs[0]
        found = self.current(name)
        if found is None:
            return None
        return frozenset(e.axis for e in found.extents if e.axis and self.mesh.count(e.axis) > 1)

    def _gather(self, node: Node) -> None:
        assert isinstance(node.op, Gather)
        data, indices = node.inputs
        shape = self.types[indices].shape
        constant = data in self.outside and self.edge[self.outside[data]].kind is Kind.WEIGHT
        if constant and node.op.axis == 0:
            self._lookup(node, data, indices)
            return
        source = self.view(data)
        kept = tuple(
            whole(e.size) if i == node.op.axis else e for i, e in enumerate(source.extents)
        )
        source = self.bring(data, kept)
        free = [name for name in ("y", "x") if not any(e.axis == name for e in kept)]
        where = self.bring(indices, self._shared(shape, free))
        axis = node.op.axis
        extents = kept[:axis] + where.extents + kept[axis + 1 :]
        out = self.fresh(node.output, node.type.dtype, extents)
        ordinary = self._ordinary(indices, source.extents[axis].size)
        self.tasks.append(GatherTask(source, where, axis, out, ordinary, origin=self.origin))
        self.homes[node.output] = out

    def _ordinary(self, indices: str, size: int) -> bool:
        """Whether all indices are known to be positions from 0 on."""
        return is_position(self.ranges[indices], (size, size))

    def _shared(self, shape: tuple[int, ...], axes: list[str]) -> Extents:
        """The largest dimensions in blocks along these mesh axes, the others whole."""
        extents = [whole(size) for size in shape]
        order = sorted(range(len(shape)), key=lambda i: -shape[i])
        for i, axis in zip(order, axes, strict=False):
            if shape[i] > 1:
                extents[i] = block(shape[i], axis, self.mesh)
        return tuple(extents)

    def _everywhere(self, indices: str) -> View:
        """All of a value in every tile, densely in its own order."""
        extents = tuple(whole(size) for size in self.types[indices].shape)
        found = self.bring(indices, extents)
        order = tuple(range(len(extents)))
        dense = dense_strides(extents, found.dtype, order)
        big = [i for i in order if extents[i].size > 1]
        if all(found.strides[i] == dense[i] for i in big):
            return found
        return self._moved(indices, found, (), extents, None)

    def _scatter(self, node: Node) -> None:
        assert isinstance(node.op, Scatter)
        if node.op.zeros is not None:
            self._scatter_into_zeros(node, node.op)
            return
        data, indices, updates = node.inputs
        axis, count = node.op.axis, self.types[indices].size
        extents = tuple(
            whole(e.size) if i == axis else e for i, e in enumerate(self.view(data).extents)
        )
        rows = (*extents[:axis], whole(count), *extents[axis + 1 :])
        source, where = self.bring(data, extents), self._everywhere(indices)
        placed = self.bring(updates, rows)
        out = self.fresh(node.output, node.type.dtype, extents)
        ordinary = self._ordinary(indices, out.extents[axis].size)
        task = ScatterTask(
            source,
            where,
            placed,
            axis,
            node.op.kind,
            out,
            ordinary,
            node.op.skips,
            origin=self.origin,
        )
        self.tasks.append(task)
        self.homes[node.output] = out

    def _scatter_into_zeros(self, node: Node, op: Scatter) -> None:
        """The gradient of a table: its rows are shared out over the rows of tiles.

        Updates go to all rows of tiles, so many at a time as there is room for. A table that is
        nothing but an output, and larger than there is room for, is made in parts, each of which
        leaves as soon as it is there.
        """
        indices, updates = node.inputs
        axis, shape, dtype = op.axis, node.type.shape, node.type.dtype
        others = [i for i in range(len(shape)) if i != axis]
        wide = max(others, key=lambda i: shape[i], default=None)
        extents = [block(n, "x", self.mesh) if i == wide else whole(n) for i, n in enumerate(shape)]
        row = local_size(tuple(extents[i] for i in others)) * dtype.bytes
        most = max(1, int(self.fabric.sram_bytes * SHARE_OF_TABLE) // row)
        rows = block(shape[axis], "y", self.mesh).step
        alone = self._only_shown(node)
        rows = min(rows, most) if alone else rows
        ordinary = self._ordinary(indices, shape[axis])
        for first in range(0, shape[axis], rows * self.mesh.height):
            extents[axis] = Extent(shape[axis], "y", rows, rows, first)
            out = self.fresh(node.output, dtype, tuple(extents))
            data: View | None = None
            for where, placed in self._updates(indices, updates, axis, tuple(extents), row):
                kind, skips = op.kind, op.skips
                task = ScatterTask(
                    data, where, placed, axis, kind, out, ordinary, skips, origin=self.origin
                )
                self.tasks.append(task)
                data = out
            if not alone:
                self.homes[node.output] = out
                continue
            self._show_part(node, out)

    def _updates(
        self, indices: str, updates: str, axis: int, extents: Extents, row: int
    ) -> Iterator[tuple[View, View]]:
        """Indices and updates in every row of tiles, as many at a time as there is room for.

        row: bytes that one update takes in a tile.
        """
        count = self.types[indices].size
        most = max(1, int(self.fabric.sram_bytes * SHARE_OF_TABLE) // (row + DType.I32.bytes))
        if count <= most:
            rows = (*extents[:axis], whole(count), *extents[axis + 1 :])
            yield self._everywhere(indices), self.bring(updates, rows)
            return
        size = -(-count // -(-count // most))
        shape = self.types[updates].shape
        for begin in range(0, count, size):
            taken = min(size, count - begin)
            starts = tuple(begin if i == axis else 0 for i in range(len(shape)))
            sizes = tuple(taken if i == axis else n for i, n in enumerate(shape))
            part = Slice(starts, sizes, (1,) * len(shape))
            rows = (*extents[:axis], whole(taken), *extents[axis + 1 :])
            numbers = Slice((begin,), (taken,), (1,))
            yield (
                self._moved(indices, self.view(indices), (numbers,), (whole(taken),), None),
                self._moved(updates, self.view(updates), (part,), rows, None),
            )

    def _lookup(self, node: Node, data: str, indices: str) -> None:
        shape = self.types[indices].shape
        count, features = self.types[data].shape[0], self.types[data].shape[1:]
        big = max(range(len(shape)), key=lambda i: shape[i], default=None)
        rows = [
            block(s, "y", self.mesh) if i == big and s > 1 else whole(s)
            for i, s in enumerate(shape)
        ]
        wide = max(range(len(features)), key=lambda i: features[i], default=None)
        columns = [
            block(s, "x", self.mesh) if i == wide and s > 1 else whole(s)
            for i, s in enumerate(features)
        ]
        out: View | None = None
        drop = ""
        for begins, sizes in self._pieces(shape):
            numbers = self._numbers(indices, begins, sizes)
            if not self._ordinary(indices, count):
                numbers = self._positions(numbers, count, node.output)
            if out is None:
                out = self.fresh(node.output, node.type.dtype, (*rows, *columns))
                drop = self.buffer(node.output, DType.I32, 4, "drop")
            table = self.outside[data]
            self.tasks.append(LookupTask(table, numbers, out, drop, begins, origin=self.origin))
        assert out is not None
        self.homes[node.output] = out

    def _pieces(self, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """(first position, size) of row numbers that a tile has room for at a time.

        All at once, if they take a small part of it.
        """
        room = max(1, int(self.fabric.sram_bytes * SHARE_OF_NUMBERS) // DType.I32.bytes)
        steps: list[int] = []
        for size in reversed(shape):
            parts = -(-size // max(1, min(size, room)))
            steps.insert(0, max(1, -(-size // max(1, parts))))
            room //= max(1, size)
        if 0 in shape:
            yield (0,) * len(shape), shape
        for begins in product(*(range(0, n, step) for n, step in zip(shape, steps, strict=True))):
            sizes = zip(shape, steps, begins, strict=True)
            yield begins, tuple(min(step, n - begin) for n, step, begin in sizes)

    def _numbers(self, indices: str, begins: tuple[int, ...], sizes: tuple[int, ...]) -> View:
        """Some row numbers, all of them in tile 0,0."""
        first = next((i for i, size in enumerate(sizes) if size > 1), None)
        home = tuple(
            Extent(size, "x", size) if i == first else whole(size) for i, size in enumerate(sizes)
        )
        shape = self.types[indices].shape
        if sizes == shape:
            return self.bring(indices, home)
        if indices not in self.outside or indices in self.homes:
            part = Slice(begins, sizes, (1,) * len(sizes))
            return self._moved(indices, self.view(indices), (part,), home, None)
        # The edge gives a part of what it has; further columns get the numbers behind these.
        part = tuple(
            Extent(n, "x", size, size, begin) if i == first else Extent(n, None, 0, size, begin)
            for i, (n, begin, size) in enumerate(zip(shape, begins, sizes, strict=True))
        )
        return replace(self.bring(indices, part, outside=True), extents=home)

    def _positions(self, view: View, size: int, value: str) -> View:
        """Row numbers counted from the end made ordinary; what is none stops the run."""
        out = self.fresh(value, DType.I32, view.extents, "rows")
        body = (Step("index", DType.I32, (Arg(0), Lit(size))),)
        self.tasks.append(MapTask(body, (view,), out, (), origin=self.origin))
        return out


def _no_windows(op: Contract) -> bool:
    return all(
        entry.offset == 0 and len(entry.terms) <= 1 and all(c == 1 for _, c in entry.terms)
        for entry in (*op.index_a, *op.index_b)
    )


def _hides(choice: Choice, value: View, part: Part) -> bool:
    """Whether it is quicker if a part of a value leaves during a product than if the core sends it.

    Each owner's turn looks whose row has its own, and each row waits in one of them.
    """
    rows = max(-(-e.size // e.step) for e in value.extents if e.axis == "y")
    owners = max(-(-e.size // e.step) for e in choice.out if e.axis == "x")
    words = value.local_size
    if part:
        place, first, end = part
        words = words // value.extents[place].length * (end - first)
    hidden = min(rows * words, choice.bound.roofline)
    return hidden > LOOKED * (rows + owners)


def _names(node: Node) -> tuple[str, ...]:
    """The names by which people ask for a node: those of ONNX, and the value that it gives."""
    return (*node.origin, node.output)


def _filled(
    blocks: list[tuple[str, int] | None],
) -> Iterator[tuple[str, int] | None]:
    """The block of each task; what is between tasks of one block is that block's too."""
    begin = 0
    for here, mine in groupby(blocks):
        end = begin + len([*mine])
        before = blocks[begin - 1] if begin else None
        behind = blocks[end] if end < len(blocks) else None
        within = here is None and before == behind
        yield from [before if within else here] * (end - begin)
        begin = end
