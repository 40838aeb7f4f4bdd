"""Where values are: buffers, views of them, and tasks that bring a value where it is wanted.

A movement node costs nothing until some consumer wants its value, and goes straight from its
source's layout to the wanted one. Constants are loaded at their first use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from wsc.errors import CompileError, DoesNotFit
from wsc.ir.check import infer
from wsc.ir.graph import (
    Concat,
    Constant,
    Contract,
    Drawing,
    Gather,
    Graph,
    GraphOutput,
    Move,
    MoveStep,
    Node,
    Pad,
    Raw,
    Reshape,
    Slice,
    Type,
)
from wsc.ir.layout import (
    Buffer,
    Mesh,
    View,
    block,
    default_extents,
    dense_view,
    holds_all,
    is_plain,
    local_size,
)
from wsc.ir.naming import block_of, weight_names
from wsc.ir.tasks import Load, MoveTask, Store, Task
from wsc.isa.fabric import Fabric
from wsc.isa.program import Cut, EdgeTensor, Extent, Kind
from wsc.isa.shown import named
from wsc.isa.types import DType
from wsc.kernels.index_map import box_until, spreads, stays_in_tile
from wsc.passes.views import PARTS, as_view

Extents = tuple[Extent, ...]
Copies = dict[tuple[Extents, float | None], View]  # of one value: where it is, what is outside it
Wholes = dict[tuple[tuple[MoveStep, ...], Extents], View]  # of one source: moved how, where it is
Part = tuple[str, tuple[MoveStep, ...], int]  # source, moved how, the dimension that is cut


@dataclass(slots=True)
class Values:
    """Tasks and buffers so far, and where each value is.

    stems: how the buffers of each value are called. owned: the values, by these names. homes: of
    the values that have one, their views. copies: views in other layouts. lazy: movement that
    nobody has wanted yet. outside: values that come from the edge, by its tensors. away: those of
    them that have left the fabric before, and in which layout they come back. beside:
    (value, edge tensor) of what leaves beside the outputs: lengths and high words. stored: outputs
    that have left. origin: ONNX nodes that the next tasks are for. inside, shared: see ``apart``.
    rising: cycles that gradients in pieces take at least, by the buffer of the sums that rise.
    """

    graph: Graph
    fabric: Fabric
    mesh: Mesh = field(init=False)
    stems: dict[str, str] = field(default_factory=dict[str, str])
    owned: dict[str, str] = field(default_factory=dict[str, str])
    tasks: list[Task] = field(default_factory=list)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    copies: dict[str, Copies] = field(default_factory=dict[str, Copies])
    lazy: dict[str, Node] = field(default_factory=dict)
    types: dict[str, Type] = field(init=False)
    outside: dict[str, str] = field(default_factory=dict)
    away: dict[str, Extents] = field(default_factory=dict[str, Extents])
    edge: dict[str, EdgeTensor] = field(default_factory=dict)
    shown: dict[str, EdgeTensor] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    origin: tuple[str, ...] = ()
    parts: Counter[Part] = field(default_factory=Counter)
    wholes: dict[str, Wholes] = field(default_factory=dict[str, Wholes])
    inside: Set[str] | None = None
    shared: list[Task] = field(default_factory=list)
    readers: dict[str, list[Node]] = field(default_factory=dict[str, list[Node]])
    rising: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mesh = Mesh(self.fabric.width, self.fabric.height)
        self.types = self.graph.types()

    # --- the edge ---------------------------------------------------------------

    def _edges(self) -> None:
        for item in self.graph.inputs:
            self._edge(item.name, Kind.INPUT, item.type, item.host_dtype)
            self.edge[item.name] = replace(self.edge[item.name], high=item.high)
            self.outside[item.name] = item.name
        for output in self._outputs():
            if output.name in self.shown:
                raise CompileError(f"two outputs have the name '{output.name}'; rename one")
            type_ = self.types[output.value]
            self._show(output.name, type_, output.host_dtype)
            if output.length is not None:
                cut = Cut(output.length[0], self._beside(output, "length", output.length[1]))
                self.shown[output.name] = replace(self.shown[output.name], cut=cut)
            if output.high:
                high = self._beside(output, "high", output.high)
                self.shown[output.name] = replace(self.shown[output.name], high=high)
        short = weight_names(item.name for item in self.graph.constants if _has_key(item))
        for constant in self.graph.constants:
            name = short.get(constant.name, constant.name)
            while name in self.edge or name in self.shown:
                name += "'"
            self._edge(name, Kind.WEIGHT, constant.type, "", constant.name)
            if isinstance(constant.source, Drawing):
                source = constant.source
                self.edge[name] = replace(self.edge[name], key=source.key, drawn=source.how)
            self.outside[constant.name] = name

    def _outputs(self) -> Iterable[GraphOutput]:
        """The outputs that the program has."""
        return self.graph.outputs

    def _beside(self, output: GraphOutput, part: str, value: str) -> str:
        """The edge tensor that takes a value out, one for all outputs that it is a part of."""
        if value not in self.beside:
            name = f"{output.name}.{part}"
            while name in self.edge or any(name == item.name for item in self.graph.outputs):
                name += "'"
            self._show(name, self.types[value], "")
            self.beside[value] = name
        return self.beside[value]

    def _edge(self, name: str, kind: Kind, type_: Type, host: str, key: str = "") -> None:
        self.edge[name] = EdgeTensor(name, kind, type_.dtype, type_.shape, host, key=key)

    def _show(self, name: str, type_: Type, host: str) -> None:
        """An output, which may have the name of an input."""
        self.shown[name] = EdgeTensor(name, Kind.OUTPUT, type_.dtype, type_.shape, host)

    def _is_of_edge(self, node: Node) -> bool:
        """Whether a node gives what the edge has, in another shape only: it comes in that shape."""
        reshaped = isinstance(node.op, Move) and all(
            isinstance(step, Reshape) for step in node.op.steps
        )
        source = node.inputs[0] if reshaped else ""
        if source not in self.outside or source in self.homes or source in self.away:
            return False
        # A product takes its weights from the stream in the shape that the store has.
        weight = self.edge[self.outside[source]].kind is Kind.WEIGHT
        return not (
            weight and any(isinstance(n.op, Contract | Gather) for n in self.users(node.output))
        )

    def users(self, value: str) -> list[Node]:
        """The nodes that read a value."""
        if not self.readers:
            self.readers = self.graph.users()
        return self.readers.get(value, [])

    def as_shown(self, value: str) -> View:
        """A view of an output, whose shape may be another: its elements leave in their order."""
        node = self.lazy.get(value)
        if node is None or not isinstance(node.op, Move) or self.current(value) is not None:
            return self.view(value)
        same_order = all(isinstance(step, Reshape) for step in node.op.steps)
        return self.view(node.inputs[0] if same_order else value)

    def send_away(self, node: Node) -> None:
        """Send out what comes back where the result of a node is read."""
        (value,) = node.inputs
        view = self.view(value)
        self._edge(node.output, Kind.KEPT, node.type, "")
        self.outside[node.output], self.away[node.output] = node.output, view.extents
        if not self.leaves_beside(node, view):
            self.tasks.append(Store(view, node.output, origin=self.origin))

    def leaves_beside(self, node: Node, view: View) -> bool:
        """Whether what a node sends away leaves while something else is computed."""
        del node, view
        return False

    def come_back(self, value: str) -> None:
        """Have what was sent away come back to where it was, as far as a value is made of it."""
        if value in self.homes:
            return
        if value in self.lazy:
            for name in self.lazy[value].inputs:
                self.come_back(name)
        elif value in self.away:
            view = self.fresh(value, self.types[value].dtype, self.away[value])
            self.tasks.append(Load(self.outside[value], view, origin=(value,)))
            self.homes[value] = view

    # --- buffers and views ------------------------------------------------------

    def buffer(self, value: str, dtype: DType, size: int, part: str = "") -> str:
        """A fresh buffer of ``size`` bytes in each tile, for a value or a part of making it."""
        stem = name = f"{self.stems[value]}_{part}" if part else self.stems[value]
        number = 1
        # Of several the first has the name alone; none has what is another value's.
        while name in self.buffers or self.owned.get(name, value) != value:
            number += 1
            name = f"{stem}_{number}"
        if size > self.fabric.sram_bytes:
            what = f"{value}.{part}" if part else value
            raise DoesNotFit(
                f"node '{named(self.origin)}' needs {size} bytes in each tile for '{what}', "
                f"but a tile of fabric '{self.fabric.name}' has {self.fabric.sram_bytes}; use more "
                f"tiles (now {self.mesh.width}x{self.mesh.height})"
            )
        self.buffers[name] = Buffer(name, dtype, max(4, -(-size // 4) * 4), self.origin)
        return name

    def fresh(self, value: str, dtype: DType, extents: Extents, part: str = "") -> View:
        """A fresh, dense view."""
        name = self.buffer(value, dtype, local_size(extents) * dtype.bytes, part)
        return dense_view(extents, dtype, name)

    def current(self, value: str) -> View | None:
        """Where a value is, if it is on the fabric and needs no task to be read."""
        if value in self.homes:
            return self.homes[value]
        node = self.lazy.get(value)
        if node is not None and isinstance(node.op, Move):
            source = self.current(node.inputs[0])
            if source is not None:
                return as_view(source, node.op.steps)
        return None

    def view(self, value: str) -> View:
        """A plain view of a value; one without a layout gets the one in which it is wanted first,
        or the default one."""
        found = self.current(value)
        if found is not None:
            return found
        wanted = self.wanted(value) if value in self.lazy else None
        return self.bring(value, wanted or default_extents(self.types[value].shape, self.mesh))

    def wanted(self, value: str) -> Extents | None:
        """The layout in which a value that is only moved is wanted, if that is known."""
        raise NotImplementedError

    @property
    def shares_lines(self) -> bool:
        """Whether what layers share, and take part by part, is brought to its lines before them."""
        return False

    def parts_apart(self, node: Node) -> Node | None:
        """The join that a move takes its value of, whose parts go to their places by themselves;
        None if they are joined first."""
        del node
        return None

    def fed_apart(self, value: str, extents: Extents) -> Extents | None:
        """The layout in which the edge gives a value that then goes along the rows; None if it
        comes as it is wanted."""
        del value, extents
        return None

    def joined(self, value: str, axis: int, extents: Extents) -> View:
        """A view of a part of a value with these extents, of which parts are joined at an axis."""
        del axis, extents
        return self.view(value)

    def bring(
        self, value: str, extents: Extents, fill: float | None = 0, outside: bool = False
    ) -> View:
        """A view of ``value`` with exactly these extents.

        fill: what positions outside the value hold, in a layout with halo or padding.
        outside: whether such positions are read in a layout without halo too: where blocks do not
            divide the size, the last tile has room for more than it holds.

        A layout without halo that holds all of the value is where the value is from now on; others
        are copies for one reader.
        """
        found = self.current(value)
        if found is not None and found.extents == extents and not outside:
            return found
        if not outside and all(is_plain(extent) for extent in extents):
            fill = None
        found = self.copies.get(value, {}).get((extents, fill))
        if found is None:
            found = self._copy(value, extents, fill)
            self.copies.setdefault(value, {})[extents, fill] = found
        return found

    @contextmanager
    def apart(self, inside: Set[str]) -> Generator[list[Task]]:
        """Gather the tasks that bring values to a layer from outside it, apart from its own.

        inside: the values of the layer, those that it is handed included.
        """
        self.inside, self.shared = inside, []
        try:
            yield self.shared
        finally:
            self.inside = None

    def forget(self, names: Iterable[str]) -> None:
        """Forget the copies of values: who wants them in another layout makes new ones."""
        for name in names:
            self.copies.pop(name, None)
            self.wholes.pop(name, None)

    def moved(self) -> set[str]:
        """The values that have copies, or are where they are by movement alone."""
        return {*self.copies, *self.wholes, *(name for name in self.homes if name in self.lazy)}

    def forget_moved(self, names: Iterable[str]) -> None:
        """Forget of such values what was only moved or copied: who wants it makes it anew from its
        source."""
        for name in names:
            self.forget((name,))
            if name in self.lazy:
                self.homes.pop(name, None)

    def forget_outside(self) -> None:
        """Forget what came from the edge, which gives it again to who wants it."""
        self.homes = {name: view for name, view in self.homes.items() if name not in self.outside}

    def _copy(self, value: str, extents: Extents, fill: float | None) -> View:
        if self.inside is None or value in self.inside:
            return self._made(value, extents, fill)
        tasks, self.tasks = self.tasks, self.shared
        try:
            return self._made(value, extents, fill)
        finally:
            self.tasks = tasks

    def _made(self, value: str, extents: Extents, fill: float | None) -> View:
        node = self.lazy.get(value)
        if value in self.outside and value not in self.homes:
            apart = self.fed_apart(value, extents) if fill is None else None
            view = self.fresh(
                value, self.types[value].dtype, apart or extents, "fed" if apart else ""
            )
            self.tasks.append(Load(self.outside[value], view, fill, origin=(value,)))
            if apart is not None:
                view = self._moved(value, view, (), extents, None)
            if fill is None and self._holds_all(extents):
                self.homes[value] = view
            return view
        if node is None:
            return self._moved(value, self.homes[value], (), extents, fill)
        return self._materialise(value, node, extents, fill)

    def _materialise(self, value: str, node: Node, extents: Extents, fill: float | None) -> View:
        origin, self.origin = self.origin, node.origin or (node.name,)
        try:
            pads = not isinstance(node.op, Move) or _padded(node.op.steps) is not None
            if pads and not (fill is None and self._holds_all(extents)):
                plain = default_extents(self.types[value].shape, self.mesh)
                self.homes[value] = self.bring(value, plain)
                return self._moved(value, self.homes[value], (), extents, fill)
            join = self.parts_apart(node) if fill is None and not pads else None
            view: View | None = None
            if isinstance(node.op, Concat):
                view = self._concat(value, node, extents)
            elif join is not None and value in self.homes:
                view = self._moved(value, self.homes[value], (), extents, None)
            elif join is not None:
                view = self._joined_apart(value, node, join, extents)
            if view is None:
                assert isinstance(node.op, Move)
                source, steps = self.view(node.inputs[0]), node.op.steps
                if fill is None:
                    source, steps = self._through_lines(value, source, node, extents)
                pad = _padded(steps)
                view = self._moved(value, source, steps, extents, fill if pad is None else pad)
        finally:
            self.origin = origin
        if fill is None and self._holds_all(extents) and value not in self.homes:
            self.homes[value] = view
        return view

    def _through_lines(
        self, value: str, source: View, node: Node, extents: Extents
    ) -> tuple[View, tuple[MoveStep, ...]]:
        """Where a move begins, and what is left of it to do.

        One of several parts of a value may be wanted in every tile of its line. Straight from the
        source all of it would pass the one tile of each line that sends it on, and these are
        neighbours in one column (row), whose links it would share. So the value is brought to its
        lines as a whole, over all links of the mesh, and each part then moves along its line only.
        """
        assert isinstance(node.op, Move)
        unchanged = (source, node.op.steps)
        part = _part_of(node, self.types)
        taken = {extent.axis for extent in extents}
        free = [axis for axis in ("x", "y") if axis not in taken and self.mesh.count(axis) > 1]
        if part is None or self._parts(part) < PARTS or len(free) != 1:
            return unchanged
        (axis,), (name, steps, cut) = free, part
        # What all layers share each of them would want to bring.
        shared = self.inside is not None and name not in self.inside
        plain = all(is_plain(extent) for extent in extents) and extents[cut].axis is None
        if (shared and not self.shares_lines) or not plain or source.on(axis) is None:
            return unchanged
        shape = infer(Move(steps), (self.types[name],)).shape if steps else self.types[name].shape
        wanted = tuple(
            block(size, axis, self.mesh) if i == cut else extent
            for i, (size, extent) in enumerate(zip(shape, extents, strict=True))
        )
        found = self.wholes.get(name, {}).get((steps, wanted))
        if found is None:
            tasks = self.tasks
            self.tasks = self.shared if shared else tasks
            found = self._moved(value, source, steps, wanted, None, part="whole")
            self.tasks = tasks
            self.wholes.setdefault(name, {})[steps, wanted] = found
        return found, node.op.steps[-1:]

    def _parts(self, part: Part) -> int:
        """How many values are such parts of the same value."""
        if not self.parts:
            found = (_part_of(node, self.types) for node in self.graph.nodes)
            self.parts = Counter(item for item in found if item is not None)
        return self.parts[part]

    def _holds_all(self, extents: Extents) -> bool:
        return all(holds_all(extent, self.mesh) for extent in extents)

    def _moved(
        self,
        value: str,
        source: View,
        steps: tuple[MoveStep, ...],
        extents: Extents,
        fill: float | None,
        barrier: bool = True,
        part: str = "",
    ) -> View:
        wanted = MoveTask(source, steps, dense_view(extents, source.dtype), fill)
        if _padded(steps) is not None and not stays_in_tile(wanted, self.mesh):
            # Words that come are counted as a box: where it is none, the rest is a move more.
            until = box_until(wanted, self.mesh)
            if until is not None:
                given = infer(Move(steps[:until]), (Type(source.dtype, source.shape),)).shape
                plain = default_extents(given, self.mesh)
                first, rest = steps[:until], steps[until:]
                source = self._moved(value, source, first, plain, _padded(first), part="padded")
                return self._moved(value, source, rest, extents, _padded(rest), part=part)
        view = self.fresh(value, source.dtype, extents, part)
        self.tasks.append(MoveTask(source, steps, view, fill, barrier, origin=self.origin))
        return view

    def _concat(self, value: str, node: Node, extents: Extents) -> View:
        assert isinstance(node.op, Concat)
        axis = node.op.axis
        # All sources first: once the tiles have met, the moves into ``out`` must follow one
        # another, or what they store early is counted by another move's wait.
        sources = {name: (self.joined(name, axis, extents), ()) for name in node.inputs}
        out = self.fresh(value, self.types[value].dtype, extents)
        met = False
        for task in self._into(node, sources, (), out):
            self.tasks.append(replace(task, barrier=not met))
            # A broadcast takes the whole of ``out`` with it: what other tiles already send for the
            # next source would be lost in it. They meet again behind it.
            met = (met or not stays_in_tile(task, self.mesh)) and not spreads(task, self.mesh)
        return out

    def _joined_apart(self, value: str, node: Node, join: Node, extents: Extents) -> View | None:
        """What is moved of a join of values that are moved: each of these is moved once.

        What comes to a tile of one part is no range of the whole. So all moves send, and the last
        one waits for all. None if a part need not leave its tile, or goes to whole lines.
        """
        assert isinstance(node.op, Move)
        sources: dict[str, tuple[View, tuple[MoveStep, ...]]] = {}
        for name in join.inputs:
            part = self.lazy.get(name)
            steps = () if part is None else part.steps
            if (
                part is None
                or not steps
                or _padded(steps) is not None
                or self.current(name) is not None
            ):
                sources[name] = self.view(name), ()
            else:
                sources[name] = self.view(part.inputs[0]), steps
        dtype = self.types[value].dtype
        tasks = list(self._into(join, sources, node.op.steps, dense_view(extents, dtype)))
        if any(stays_in_tile(task, self.mesh) or spreads(task, self.mesh) for task in tasks):
            return None
        out = self.fresh(value, dtype, extents)
        for task in tasks:
            first, last = task is tasks[0], task is tasks[-1]
            task = replace(task, out=out, barrier=first, waits=last, joined=last)
            self.tasks.append(task)
        return out

    def _into(
        self,
        join: Node,
        sources: Mapping[str, tuple[View, tuple[MoveStep, ...]]],
        behind: tuple[MoveStep, ...],
        out: View,
    ) -> Iterator[MoveTask]:
        """The moves of the parts of a join, which is moved on.

        sources: of each part, what it is moved from and how.
        """
        assert isinstance(join.op, Concat)
        axis, shape = join.op.axis, self.types[join.output].shape
        before = 0
        given = ""
        for name in join.inputs:
            source, steps = sources[name]
            size = self.types[name].shape[axis]
            if not size:
                continue
            if name == given and self._is_of_block(name):  # it stands for blocks that were left out
                before += size
                continue
            given = name
            low = tuple(before if i == axis else 0 for i in range(len(shape)))
            high = tuple(shape[axis] - before - size if i == axis else 0 for i in range(len(shape)))
            before += size
            whole = (*steps, Pad(low, high), *behind)
            yield MoveTask(source, whole, out, None, origin=self.origin)

    def _is_of_block(self, name: str) -> bool:
        """Whether a value is what a block of keys gives, moved or not."""
        while not block_of(name) and name in self.lazy:
            name = self.lazy[name].inputs[0]
        return bool(block_of(name))


def _padded(steps: tuple[MoveStep, ...]) -> float | None:
    """What is around the value behind the steps; None if nothing pads."""
    return next((step.value for step in steps if isinstance(step, Pad)), None)


def _has_key(constant: Constant) -> bool:
    """Whether the full name of a weight is with its declaration, and nothing else goes by it.

    A raw file has no names. What a store keeps in training has its full name in checkpoints.
    """
    return not constant.state and not isinstance(constant.source, Raw)


def _part_of(node: Node, types: Mapping[str, Type]) -> Part | None:
    """What a move takes a part of, if it cuts one dimension at its end."""
    if not isinstance(node.op, Move) or not node.op.steps:
        return None
    *before, last = node.op.steps
    if not isinstance(last, Slice) or any(isinstance(step, Pad) for step in before):
        return None
    given = types[node.inputs[0]]
    shape = infer(Move(tuple(before)), (given,)).shape if before else given.shape
    cut = [i for i, (size, whole) in enumerate(zip(last.sizes, shape, strict=True)) if size < whole]
    if len(cut) != 1 or set(last.steps) != {1}:
        return None
    return node.inputs[0], tuple(before), cut[0]
