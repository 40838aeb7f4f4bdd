"""Data movement between layouts: each tile sends what it holds to whoever needs it.

The map from source index to destination index is affine with divisions (see ``index``).
Variables along which it is simple become the dimensions of one vector instruction; the
others become loops that compute the target tile and address of one message after
the other. What stays in the tile is copied, the rest goes through the dynamic network;
every tile knows by arithmetic how many words it will get, and waits for them.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from wsc.ir.layout import Mesh, beyond, coordinate, is_plain, room, start, valid
from wsc.ir.tasks import MoveTask
from wsc.isa.expr import Expr, Int, Name, maximum, minimum
from wsc.isa.program import Asynchronous, Extent, Op, Scalar
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import SYNC, Context
from wsc.kernels.index import Ix, to_expr, variable
from wsc.kernels.index_map import IndexMap, Plan, aligned, index_map, own_only, plan, spreads
from wsc.kernels.library import COLUMN, GATHER, GONE, LINES, ROW, SENT, STORED, Line


class _Mover:
    """Emits the loops and messages of one move."""

    def __init__(self, task: MoveTask, context: Context) -> None:
        self.task, self.context, self.mesh = task, context, context.mesh
        self.map = index_map(task, self.mesh)
        self.plan = plan(task, self.map)
        self.asm = Asm(context.fabric.dimensions)
        self.pair = pairs(task, self.map, self.plan)
        self.clipped: set[str] = set()  # places in runs of which none may be wanted
        self.names: dict[str, Expr] = {}  # loop variable -> its register, counted in the tile
        self.low: dict[str, Expr] = {v: Int(0) for v in self.plan.vector}
        self.high: dict[str, Expr] = {v: self.map.sizes[v] for v in self.plan.vector}
        self.tile: dict[str, Expr] = {}
        self.first: dict[str, Expr] = {}  # axis -> first index that the target tile holds
        self.local = {a: own_only(task, self.map, a, self.mesh) for a in "xy"}
        # The row's broadcast comes first, for the row of roots alone if columns follow.
        self.spread = spreads(task, self.mesh)
        self.aligned = {a: aligned(task, self.map, a, self.mesh) for a in "xy"}

    @property
    def _counted(self) -> int:
        """The semaphore that counts the words which come.

        Other moves may be made between the two stages of one, and count theirs by themselves.
        """
        return SENT if self.task.stage else STORED

    def emit(self) -> None:
        """Fill, meet, send, wait."""
        task, asm = self.task, self.asm
        if task.fill is not None:
            asm.fill(Name(task.out.buffer), task.out.dtype, task.fill, task.out.local_size)
        remote = not (self.local["x"] and self.local["y"])
        if remote and task.barrier:
            self._meet()
        if task.stage != "take":
            self._send(remote)
        if task.stage != "send":
            self._take(remote)

    def _send(self, remote: bool) -> None:
        """Every tile sends what others have to get."""
        asm = self.asm
        with ExitStack() as stack:
            for name, room in self.map.rooms.items():
                count = self.map.sizes[name]
                if room == 1 and not isinstance(count, Int):  # a single index: the other
                    stack.enter_context(asm.when(count, ">", 0))  # tiles have none to send
            for name in self.plan.loops:
                count = asm.let("runs", self.map.sizes[name])
                self.names[name] = stack.enter_context(asm.loop(name, count))
            self._runs()
            self._guards(stack)
            for axis in ("x", "y"):
                self._target(axis, stack)
            self._transfer(remote)

    def _take(self, remote: bool) -> None:
        """Wait for what comes; who has it for a line hands it on."""
        asm = self.asm
        if self.task.stage:
            # The unit is done with what it has sent: it may be written to.
            asm.wait(GONE, 1)
        if remote and self.task.waits:
            self._wait()
        if self.spread == ["x", "y"]:
            with asm.when(COLUMN.along, "==", COLUMN.root):
                self._broadcast(ROW)
            self._broadcast(COLUMN)
        else:
            for axis in self.spread:
                self._broadcast(LINES[axis])

    def _meet(self) -> None:
        """No tile may send before those that it sends to have come this far.

        Where all of a line goes to its root, and nothing leaves the line, its word is enough.
        """
        asm = self.asm
        others = [axis for axis in "xy" if axis not in self.spread]
        if len(self.spread) != 1 or not all(self.local[axis] for axis in others):
            along = [axis for axis in "xy" if not self.local[axis]]
            meeting = f"{LINES[along[0]].name}_all_max_i32"
            if self.task.lines and len(along) == 1:
                asm.call(meeting, buffer=Name(SYNC), count=1)
            else:
                asm.call("barrier", buffer=Name(SYNC))
            return
        line = LINES[self.spread[0]]
        word = At(Name(SYNC), {"i": DType.I32.bytes})
        with asm.when(line.along, "==", line.root):
            asm.vector("mov", DType.I32, line.cast.strand.queue(), word, dims=[("i", Int(1))])
        with asm.otherwise():
            asm.vector("mov", DType.I32, word, line.cast.strand.queue(), dims=[("i", Int(1))])

    def _wait(self) -> None:
        """Wait for the words that come; of a line that is broadcast to, only its root gets any."""
        asm = self.asm
        with ExitStack() as stack:
            for axis in self.spread:
                line = LINES[axis]
                stack.enter_context(asm.when(line.along, "==", line.root))
            asm.wait(self._counted, asm.let("expected", self._expected()))

    def _broadcast(self, line: Line) -> None:
        """The root of each line has the whole; it sends it to the others.

        Every tile of the line needs the same words. One multicast carries them once over each
        link, where messages to each tile would carry them once for each.
        """
        asm, out = self.asm, self.task.out
        # A wavelet has room for two halves.
        size = out.local_size * out.dtype.bytes
        dtype = DType.I32 if size % DType.I32.bytes == 0 else out.dtype
        memory = At(Name(out.buffer), {"i": dtype.bytes})
        dims = [("i", Int(size // dtype.bytes))]
        with asm.when(line.along, "==", line.root):
            asm.vector("mov", dtype, line.cast.strand.queue(), memory, dims=dims)
        with asm.otherwise():
            asm.vector("mov", dtype, memory, line.cast.strand.queue(), dims=dims)

    def _runs(self) -> None:
        """Of each run, what the tile holds of it."""
        asm = self.asm
        for number in sorted(self.map.ragged):
            length = self.map.runs[number]
            extent, run = self.task.value.extents[number], f"q{number}"
            begin = asm.let("run", (self._origin(run) + self.names[run]) * length)
            here = start(extent)
            self.low[f"r{number}"] = asm.let("low", maximum(0, here - begin))
            end = here + valid(extent, self.mesh)
            self.high[f"r{number}"] = asm.let("high", minimum(length, end - begin))

    def _index(self, form: Ix) -> Expr:
        """A form of loop variables as an expression; those count from the tile's first index."""
        return to_expr(form, {v: self._origin(v) + self.names[v] for v in form.variables()})

    def _origin(self, variable: str) -> Expr:
        """Source index of this tile's first value of a variable."""
        if variable.startswith("s"):
            return start(self.task.value.extents[int(variable[1:])])
        if variable.startswith("q"):
            number = int(variable[1:])
            return start(self.task.value.extents[number]) // self.map.runs[number]
        return Int(0)

    def _guards(self, stack: ExitStack) -> None:
        asm = self.asm
        for form, divisor in self.map.divisible:
            value = asm.let("part", self._index(form) % divisor)
            stack.enter_context(asm.when(value, "==", 0))
        for form, low, high in self.map.between:
            inside = [v for v in self.plan.vector if v in form.direct()]
            if inside:
                name = inside[0]
                if name.startswith("r"):
                    self.clipped.add(name)
                rest = asm.let("rest", self._index(form.without(name)) + self._origin(name))
                self.low[name] = asm.let("low", maximum(self.low[name], low - rest))
                self.high[name] = asm.let("high", minimum(self.high[name], high - rest))
                continue
            value = asm.let("at", self._index(form))
            stack.enter_context(asm.when(value, ">=", low))
            stack.enter_context(asm.when(value, "<", high))

    def _target(self, axis: str, stack: ExitStack) -> None:
        """Bind the target coordinate of an axis: own, computed, or a loop."""
        asm, dim = self.asm, self.task.out.on(axis)
        own, tiles = coordinate(axis), self.mesh.count(axis)
        replicated = self.task.value.on(axis) is None
        if dim is None:
            spread = not replicated and tiles > 1
            self.tile[axis] = LINES[axis].root if spread else own
            return
        extent = self.task.out.extents[dim]
        name = self.plan.interval.get(axis)
        form = self.map.target[dim]
        base = self._index(form.without(name)) + self._origin(name) if name else self._index(form)
        base = asm.let("base", base)
        if self.aligned[axis]:
            self.tile[axis] = own
        elif replicated or tiles == 1:
            self.tile[axis] = own
            self._narrow(extent, axis, name, base, stack)
        else:
            if name is None and is_plain(extent):  # one tile holds it
                place = asm.over("to", base, extent.step)
                self.first[axis] = asm.times("begin", place, extent.step)
                self.tile[axis] = self._host(extent, place)
                return
            first = asm.let("first", base + self.low[name]) if name else base
            last = asm.let("last", base + (self.high[name] - 1)) if name else base
            self._tiles(extent, axis, first, last, stack)
            self._narrow(extent, axis, name, base, stack)
        if axis not in self.first:
            self.first[axis] = start(extent, self.tile[axis])

    def _tiles(self, extent: Extent, axis: str, first: Expr, last: Expr, stack: ExitStack) -> None:
        """Loop over the tiles that hold any index in [first, last]."""
        asm, tiles = self.asm, self.mesh.count(axis)
        reach = extent.step - extent.offset - extent.length
        low = asm.over("from", first + reach, extent.step)
        if extent.over:
            final = self._host(extent, asm.over("upto", last, extent.step))
            low, upto = self._host(extent, low), asm.let("upto", final + 1)
        else:
            upto = asm.over("upto", last + (extent.step - extent.offset), extent.step)
        low = asm.let("from", maximum(0, low))
        high = asm.let("upto", minimum(tiles, upto))
        counter = stack.enter_context(asm.loop("next", asm.let("many", high - low)))
        self.tile[axis] = asm.set(asm.register("to"), low + counter)

    def _host(self, extent: Extent, place: Expr) -> Expr:
        """The tile that holds a block."""
        if not extent.over:
            return place
        asm = self.asm
        return asm.over("to", asm.let("to", place * extent.over), extent.blocks)

    def _narrow(
        self, extent: Extent, axis: str, name: str | None, base: Expr, stack: ExitStack
    ) -> None:
        """Keep only what the target tile holds."""
        asm = self.asm
        if extent.over:
            begin = asm.let("begin", start(extent, self.tile[axis]))
        else:
            begin = asm.times("begin", self.tile[axis], extent.step) + extent.offset
            begin = asm.let("begin", begin)
        self.first[axis] = begin
        length = room(extent, self.tile[axis])
        if name is None:
            value = asm.let("at", base - begin)
            stack.enter_context(asm.when(value, ">=", 0))
            stack.enter_context(asm.when(value, "<", asm.let("length", length)))
            return
        self.low[name] = asm.let("low", maximum(self.low[name], begin - base))
        self.high[name] = asm.let(
            "high", minimum(self.high[name], begin - base + asm.let("length", length))
        )

    def _transfer(self, remote: bool) -> None:
        """One vector copy or one group of messages, for fixed loop variables and target tile."""
        asm = self.asm
        source, target = self._addresses()
        space = [(v, self._count(v)) for v in self.plan.vector]
        with ExitStack() as stack:
            for name, count in space:
                if name in self.clipped:  # of nothing there is no target
                    stack.enter_context(asm.when(count, ">", 0))
            self._pass_on(source, target, space, remote)

    def _pass_on(self, source: At, target: At, space: list[tuple[str, Expr]], remote: bool) -> None:
        asm, task = self.asm, self.task
        dtype = task.out.dtype
        if self.pair:
            dtype = DType.I32
            space = [(v, Int(self.map.rooms[v] // 2) if v == self.pair else c) for v, c in space]
            for operand in (source, target):
                operand.strides[self.pair] = dtype.bytes
        if not remote:
            asm.vector("mov", dtype, target, source, dims=space)
            return
        apart = self._apart()
        with asm.when(apart, "==", 0):
            asm.vector("mov", dtype, target, source, dims=space)
            words: Expr = Int(1)
            for _, count in space:
                words = words * count
            asm.signal(self._counted, asm.let("words", words))
            if task.stage:
                asm.signal(GONE, 1)
        with asm.otherwise():
            asm.vector(
                "send",
                dtype,
                target,
                source,
                dims=space,
                target=(asm.value(self.tile["x"]), asm.value(self.tile["y"])),
                semaphore=self._counted,
                asynchronous=Asynchronous(GATHER, GONE) if task.stage else None,
            )

    def _count(self, name: str) -> Expr:
        if self.low[name] == Int(0) and self.high[name] == self.map.sizes[name]:
            return self.high[name]
        return self.asm.let("count", maximum(0, self.high[name] - self.low[name]))

    def _apart(self) -> Expr:
        """Zero when the target is this tile."""
        asm = self.asm
        differs = [
            asm.let("apart", self.tile[axis] - coordinate(axis))
            for axis in ("x", "y")
            if self.tile[axis] != coordinate(axis)
        ]
        if len(differs) == 2:
            both = asm.register("apart")
            asm.add(Op("i.or", None, tuple(Scalar(d) for d in differs), register=both.name))
            return both
        return differs[0]

    def _addresses(self) -> tuple[At, At]:
        """Source and destination over the vector variables, from where those begin."""
        asm, task = self.asm, self.task
        fixed = self.names | self.low  # variable -> position in the tile
        index = {name: self._origin(name) + at for name, at in fixed.items()}
        source: Expr = Int(0)
        for number, stride in enumerate(task.value.strides):
            if f"s{number}" in fixed:
                source = source + fixed[f"s{number}"] * stride
            elif number in self.map.runs:
                here = index[f"q{number}"] * self.map.runs[number] + fixed[f"r{number}"]
                source = source + (here - start(task.value.extents[number])) * stride
        target: Expr = Int(0)
        strides: dict[str, int] = {}
        for dim, (extent, stride) in enumerate(
            zip(task.out.extents, task.out.strides, strict=True)
        ):
            form = self.map.target[dim]
            if extent.axis and self.aligned[extent.axis]:
                (name,) = form.direct() or {""}
                target = target + fixed.get(name, Int(0)) * stride
            else:
                begin = self.first.get(extent.axis or "", Int(extent.offset))
                target = target + (to_expr(form, index) - begin) * stride
            for name in self.plan.vector:
                strides[name] = strides.get(name, 0) + form.coefficient(name) * stride
        steps = {f"s{i}": stride for i, stride in enumerate(task.value.strides)}
        steps |= {f"r{i}": task.value.strides[i] for i in self.map.runs}
        steps |= {f"q{i}": task.value.strides[i] * length for i, length in self.map.runs.items()}
        return (
            At(
                Name(task.value.buffer) + asm.let("source", source),
                {v: steps.get(v, 0) for v in self.plan.vector},
            ),
            At(Name(task.out.buffer) + asm.let("target", target), strides),
        )

    def _expected(self) -> Expr:
        """Words that arrive in this tile, those from itself included."""
        total: Expr = Int(1)
        for dim, extent in enumerate(self.task.out.extents):
            low, high = (0, extent.size) if self.task.joined else self.map.box[dim]
            if self.pair and self.pair in self.map.target[dim].direct():
                total = total * (extent.size // 2)
                continue
            inside = minimum(high, beyond(extent)) - maximum(low, start(extent))
            total = total * maximum(0, inside)
        return total


def in_stages(task: MoveTask, mesh: Mesh) -> tuple[MoveTask, ...]:
    """The two tasks of which a move is made that goes to the roots of lines, without a meeting;
    the move itself where there are no such."""
    mover = index_map(task, mesh)
    lines = spreads(task, mesh)
    apart = [axis for axis in "xy" if not own_only(task, mover, axis, mesh)]
    if (
        lines != apart
        or len(lines) != 1
        or task.fill is not None
        or not _at_once(task, mover, mesh)
    ):
        return (task,)
    return tuple(replace(task, barrier=False, stage=stage) for stage in ("send", "take"))


def _at_once(task: MoveTask, found: IndexMap, mesh: Mesh) -> bool:
    """Whether each tile sends all that it has with one instruction, be it nothing."""
    made = plan(task, found)
    single = any(
        room == 1 and not isinstance(found.sizes[name], Int) for name, room in found.rooms.items()
    )
    if made.loops or found.divisible or single:
        return False
    for form, _, _ in found.between:
        inside = [v for v in made.vector if v in form.direct()]
        if not inside or inside[0].startswith("r"):
            return False
    return all(
        task.out.on(axis) is None or aligned(task, found, axis, mesh) or made.interval.get(axis)
        for axis in "xy"
    )


def pairs(task: MoveTask, found: IndexMap, plan: Plan) -> str:
    """The variable along which halves go in pairs, a wavelet for each; "" if there is none.

    All of a dimension lies side by side before and after, as an even number of halves, and
    nothing begins within a word.
    """
    if task.value.dtype is not DType.F16 or task.out.dtype is not DType.F16:
        return ""
    for number, stride in enumerate(task.value.strides):
        extent, name = task.value.extents[number], f"s{number}"
        if stride != DType.F16.bytes or extent.axis or extent.offset or extent.size % 2:
            continue
        dims = [dim for dim, form in enumerate(found.target) if name in form.variables()]
        limited = any(name in form.variables() for form, _, _ in found.between)
        if name not in plan.vector or len(dims) != 1 or limited:
            continue
        (dim,) = dims
        out = task.out.extents[dim]
        whole = found.target[dim] == variable(name, 0, extent.size - 1)
        alone = out.axis is None and out.offset == 0 and out.length == out.size == extent.size
        strides = [*task.value.strides, *task.out.strides]
        words = all(s % DType.I32.bytes == 0 for s in strides if s != DType.F16.bytes)
        # A dimension of size one has any stride.
        many = [
            s
            for s, e in zip(strides, (*task.value.extents, *task.out.extents), strict=True)
            if s == DType.F16.bytes and e.length > 1
        ]
        if whole and alone and words and task.out.strides[dim] == stride and len(many) == 2:
            return name
    return ""


def emit_move(task: MoveTask, context: Context) -> Emission:
    """Redistribute a value from one layout to another."""
    mover = _Mover(task, context)
    mover.emit()
    local = mover.local["x"] and mover.local["y"]
    doc = (
        "Rearrange within each tile."
        if local
        else "Send each element to the tiles that need it; wait for those that come.",
    )
    name = "copy" if local else "move"
    return Emission(f"{name}_{task.stage}" if task.stage else name, mover.asm.body, doc=doc)
