"""Loads, stores and table look-ups: what crosses the edge of the fabric."""

from __future__ import annotations

import math
from collections.abc import Callable

from wsc.flows import COLLECT, INDICES, LEAVE, REGION, SCATTER, WEIGHTS
from wsc.ir.layout import View, is_plain, start, valid
from wsc.ir.tasks import Arrived, Aside, Load, LookupTask, Part, Risen, Store
from wsc.isa.expr import Expr, H, Int, Name, X, Y, binary, maximum, minimum, substitute
from wsc.isa.program import Asynchronous, Dim, Direction, Extent, Lookup, Transfer
from wsc.isa.types import Control, DType, Side
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import Context, row_major
from wsc.kernels.library import ARRIVED, ASIDE, LEFT, OUTWARDS, RISEN, Units

ROW = "r"


def _inside(extent: Extent, context: Context, at: Expr | None = None) -> tuple[Expr, Expr]:
    """First index that a tile holds within [0, size), and how many; halo and padding cut off."""
    if is_plain(extent):
        return start(extent, at), valid(extent, context.mesh, at)
    first = start(extent, at)
    begin = maximum(0, first)
    return begin, maximum(0, minimum(extent.size, first + extent.length) - begin)


def _within(number: int, begin: Expr, count: Expr, part: Part) -> tuple[Expr, Expr, int]:
    """What a part leaves of a tile's indices along a dimension: the first one and how many; and how
    many are before it."""
    if not part or part[0] != number:
        return begin, count, 0
    _, first, end = part
    return begin + first, maximum(0, minimum(count, end) - first), first


def _walk(
    view: View,
    context: Context,
    shape: tuple[int, ...] = (),
    along: str = "y",
    part: Part = (),
) -> tuple[Expr, tuple[Dim, ...]]:
    """The edge's walk over a tile's part: offset and dims; its place in its line is the name ``r``.

    The edge holds the elements in row-major order; the view may have them under another shape.
    shape: of all of them, where the view has a part. along: the axis of the line, which is a column
        of tiles, or a row. part: what is walked over of what the tile has.
    """
    offset: Expr = Int(0)
    dims: list[Dim] = []
    strides = row_major(shape or view.shape)
    for number, (extent, stride) in enumerate(zip(view.extents, strides, strict=True)):
        at = Name(ROW) if extent.axis == along else None
        begin, count, _ = _within(number, *_inside(extent, context, at), part)
        offset = offset + begin * stride + Name(f"d{number}") * stride
        dims.append(Dim(f"d{number}", count))
    return _drop_ones(offset, dims)


def _drop_ones(offset: Expr, dims: list[Dim]) -> tuple[Expr, tuple[Dim, ...]]:
    ones = {dim.name: 0 for dim in dims if dim.extent == Int(1)}
    kept = tuple(dim for dim in dims if dim.name not in ones)
    return substitute(offset, ones), kept


def _tile_space(view: View, context: Context, part: Part = ()) -> tuple[At, list[tuple[str, Expr]]]:
    base: Expr = Name(view.buffer)
    dims: list[tuple[str, Expr]] = []
    for number, (extent, stride) in enumerate(zip(view.extents, view.strides, strict=True)):
        begin, count, before = _within(number, *_inside(extent, context), part)
        dims.append((f"d{number}", count))
        if not is_plain(extent):
            base = base + (begin - start(extent)) * stride
        elif before:
            base = base + before * stride
    return At(base, {f"d{i}": s for i, s in enumerate(view.strides)}), dims


def emit_load(task: Load, context: Context) -> Emission:
    """A constant or an input: multicast where rows hold the same, scattered where not."""
    asm = Asm(context.fabric.dimensions)
    memory, dims = _tile_space(task.out, context, task.part)
    if task.fill is not None:
        asm.fill(Name(task.out.buffer), task.out.dtype, task.fill, task.out.local_size)
    split = task.out.on("y") is not None
    strand = (SCATTER if split else WEIGHTS).strand
    unit = None
    if task.beside:
        unit = Asynchronous(Units.of(context.fabric.stream_units).arrival, ARRIVED)
    asm.vector("mov", task.out.dtype, memory, strand.queue(), dims=dims, asynchronous=unit)
    offset, walk = _walk(task.out, context, part=task.part)
    feed = Transfer(
        Direction.FEED,
        strand.name,
        REGION,
        Side.NORTH,
        None,
        task.source,
        offset,
        walk,
        repeat=(ROW, context.mesh.height) if split else None,
        then=Control.ADVANCE if split else Control.NONE,
        final=Control.RESET if split else Control.NONE,
        nodes=task.origin,
    )
    what = "scattered over" if split else "multicast down"
    doc = f"Take a tensor from the edge, {what} columns."
    if task.beside:
        doc = f"A unit takes a tensor from the edge, {what} columns, while the core goes on."
    return Emission("load_beside" if task.beside else "load", asm.body, (feed,), (doc,))


def emit_arrived(task: Arrived, context: Context) -> Emission:
    """What a unit takes in is there."""
    del task
    asm = Asm(context.fabric.dimensions)
    asm.wait(ARRIVED, 1)
    return Emission("arrived", asm.body, (), ("Wait until what the unit takes in is there.",))


def emit_store(task: Store, context: Context) -> Emission:
    """An output: each tile of a column sends its part, from the north end to the south."""
    asm = Asm(context.fabric.dimensions)
    memory, dims = _tile_space(task.value, context, task.part)
    split, across = task.value.on("y") is not None, task.value.on("x") is not None

    def send() -> None:
        asm.vector("mov", task.value.dtype, COLLECT.strand.queue(), memory, dims=dims)

    if split:
        _collect(asm, send, across)
    else:
        with asm.when(Y, "==", 0):
            if across:
                send()
            else:
                with asm.when(X, "==", 0):
                    send()
    drain = northern_drain(task.value, task.target, task.shape, context, task.origin, task.part)
    return Emission("store", asm.body, (drain,), ("Send a tensor out at the north edge.",))


def northern_drain(
    value: View,
    target: str,
    shape: tuple[int, ...],
    context: Context,
    nodes: tuple[str, ...],
    part: Part = (),
) -> Transfer:
    """What the north edge takes of a value, of one tile of a column after the other."""
    offset, walk = _walk(value, context, shape, part=part)
    if value.on("x") is None:  # the first column sends; the other ports take nothing
        walk = (Dim("once", binary("==", X, 0)), *walk)
    return Transfer(
        Direction.DRAIN,
        COLLECT.strand.name,
        REGION,
        Side.NORTH,
        None,
        target,
        offset,
        walk,
        repeat=(ROW, context.mesh.height) if value.on("y") is not None else None,
        nodes=nodes,
    )


def emit_risen(task: Risen, context: Context) -> Emission:
    """The sums of a column, of which all tiles have sent their part, leave at its northern tile."""
    asm, value = Asm(context.fabric.dimensions), task.value or task.sums
    memory, dims = _tile_space(value, context)
    # What a tile has sent is gone: the next product may take its place.
    asm.wait(RISEN, 1)
    with asm.when(Y, "==", 0):
        unit = None
        if task.value is not None:
            # The unit has sent what was there before.
            asm.wait(LEFT, 1)
            unit, size = Asynchronous(ASIDE, LEFT), value.dtype.bytes
            rounded = At(Name(value.buffer), {"i": size})
            sums = At(Name(task.sums.buffer), {"i": task.sums.dtype.bytes})
            whole: list[tuple[str, Expr]] = [("i", Int(value.local_size))]
            asm.vector("narrow", value.dtype, rounded, sums, dims=whole)
        queue = COLLECT.strand.queue()
        asm.vector("mov", value.dtype, queue, memory, dims=dims, asynchronous=unit)
    drain = northern_drain(value, task.target, task.shape, context, task.origin)
    doc = ("Sums that have come up the columns leave at the north edge.",)
    return Emission("risen", asm.body, (drain,), doc)


def send_north(asm: Asm, value: View, context: Context, part: Part = ()) -> None:
    """A stream unit sends what a tile has of a value, or a part of that, up its column when that
    lets it; it signals ``LEFT``."""
    memory, dims = _tile_space(value, context, part)
    unit, queue = Asynchronous(OUTWARDS, LEFT), COLLECT.strand.queue()
    asm.vector("mov", value.dtype, queue, memory, dims=dims, asynchronous=unit)


def pass_north(asm: Asm) -> None:
    """Let what comes from the south pass."""
    with asm.when(Y, "<", H - 1):
        asm.control(Control.ADVANCE, COLLECT.strand.name)
    with asm.otherwise():
        asm.control(Control.RESET, COLLECT.strand.name)


def send_west(asm: Asm, value: View, context: Context) -> None:
    """A stream unit sends a tile's part along its row to the west edge; it signals ``LEFT``."""
    memory, dims = _tile_space(value, context)
    unit, queue = Asynchronous(OUTWARDS, LEFT), LEAVE.strand.queue()
    asm.vector("mov", value.dtype, queue, memory, dims=dims, asynchronous=unit)


def pass_west(asm: Asm, last: int) -> None:
    """Let what comes from the east pass; the tile in column ``last`` is the last one that sends."""
    with asm.when(X, "<", last):
        asm.control(Control.ADVANCE, LEAVE.strand.name)
    with asm.otherwise():
        asm.control(Control.RESET, LEAVE.strand.name)


def western_drain(value: View, target: str, context: Context, nodes: tuple[str, ...]) -> Transfer:
    """What the west edge takes of a value, of one tile of a row after the other."""
    offset, walk = _walk(value, context, along="x")
    return Transfer(
        Direction.DRAIN,
        LEAVE.strand.name,
        REGION,
        Side.WEST,
        None,
        target,
        offset,
        walk,
        repeat=(ROW, context.mesh.width),
        nodes=nodes,
    )


def emit_aside(task: Aside, context: Context) -> Emission:
    """Tiles at the north edge may write what their unit sends, or wait until that has left."""
    asm = Asm(context.fabric.dimensions)
    with asm.when(Y, "==", 0):
        if task.on_its_way:
            asm.wait(LEFT, 1)
        else:
            asm.signal(LEFT, 1)
    if task.on_its_way:
        return Emission("settle", asm.body, (), ("Wait until what the unit sends has left.",))
    return Emission("clear_way", asm.body, (), ("Nothing is on its way out.",))


def _collect(asm: Asm, send: Callable[[], None], across: bool) -> None:
    def block() -> None:
        send()
        pass_north(asm)

    if across:
        block()
    else:
        with asm.when(X, "==", 0):
            block()


def emit_lookup(task: LookupTask, context: Context) -> Emission:
    """Row numbers leave at the west edge; their rows come back down the columns."""
    tensor = context.edge_tensor(task.table)
    asm = Asm(context.fabric.dimensions)
    indices = task.indices
    count = math.prod(extent.size for extent in indices.extents)
    numbers = At(Name(indices.buffer), {"i": DType.I32.bytes})
    with asm.when(X + Y, "==", 0):
        asm.vector("mov", DType.I32, INDICES.strand.queue(), numbers, dims=[("i", count)])
    features = len(task.out.extents) - (len(tensor.shape) - 1)
    _take_rows(task, context, asm, features)
    strides = row_major(tensor.shape)
    offset: Expr = Name("row") * strides[0]
    dims: list[Dim] = []
    for number, extent in enumerate(task.out.extents[features:]):
        stride = strides[number + 1]
        offset = offset + start(extent) * stride + Name(f"d{number}") * stride
        dims.append(Dim(f"d{number}", valid(extent, context.mesh)))
    offset, walk = _drop_ones(offset, dims)
    feed = Transfer(
        Direction.FEED,
        WEIGHTS.strand.name,
        REGION,
        Side.NORTH,
        None,
        task.table,
        offset,
        walk,
        lookup=Lookup("row", count, INDICES.strand.name, Side.WEST, 0),
        nodes=task.origin,
    )
    doc = ("Row numbers go out, rows come in; each tile keeps the rows of its tokens.",)
    return Emission("lookup", asm.body, (feed,), doc)


def _take_rows(task: LookupTask, context: Context, asm: Asm, features: int) -> None:
    """Keep the rows of this tile's tokens from the stream of all rows, drop the others."""
    tokens, columns = task.out.extents[:features], task.out.extents[features:]
    width = [(f"f{i}", valid(extent, context.mesh)) for i, extent in enumerate(columns)]
    kept = {f"f{i}": s for i, s in enumerate(task.out.strides[features:])}
    dtype = task.out.dtype
    arrivals = WEIGHTS.strand.queue()
    trash = At(Name(task.scratch))
    split = next((i for i, extent in enumerate(tokens) if extent.axis == "y"), None)

    # The tokens of this stream: in each dimension the first one, and how many.
    asked = [(at, e.size) for at, e in zip(task.begin, task.indices.extents, strict=True)]

    def take(level: int, base: Expr) -> None:
        inside = {f"place{i}": task.out.strides[i] for i in range(level, len(tokens))}
        if split is None or level > split:
            space = [(f"place{i}", Int(asked[i][1])) for i in range(level, len(tokens))]
            first = sum(asked[i][0] * task.out.strides[i] for i in range(level, len(tokens)))
            target = At(base + first, inside | kept)
            asm.vector("mov", dtype, target, arrivals, dims=[*space, *width])
            return
        extent, (begin, length) = tokens[level], asked[level]
        if level < split:
            with asm.loop("token", length) as counter:
                stride = task.out.strides[level]
                take(level + 1, asm.let("base", base + begin * stride + counter * stride))
            return
        later = asked[level + 1 :]
        below = math.prod(count for _, count in later)
        before, own = start(extent), valid(extent, context.mesh)
        if length < extent.size:
            # Of this tile's tokens those that are asked for, and how many come before these.
            low, high = maximum(before, begin), minimum(before + own, begin + length)
            base = base + (low - before) * task.out.strides[level]
            before, own = low - begin, maximum(0, high - low)
        first = sum(offset * task.out.strides[level + 1 + i] for i, (offset, _) in enumerate(later))
        target = At(base + first, inside | kept)
        skip = minimum(before, length)
        after = maximum(0, length - (before + own))
        space = [(f"place{level}", own)]
        space += [(f"place{level + 1 + i}", Int(count)) for i, (_, count) in enumerate(later)]
        asm.vector("mov", dtype, trash, arrivals, dims=[("s", skip * below), *width])
        asm.vector("mov", dtype, target, arrivals, dims=[*space, *width])
        asm.vector("mov", dtype, trash, arrivals, dims=[("s", after * below), *width])

    take(0, Name(task.out.buffer))
