"""Contraction kernels: weight-streamed matmul and convolution, and activation x activation.

Operand ``a`` is stationary: its tokens (the y label and what else is in the output) and, when
``reduce``, the summed label along x. Each weight that arrives triggers one AXPY over
the tile's tokens; one instruction consumes the weights of a whole block of outputs.

Reduce form: the tiles of a row hold parts of every sum. The outputs are taken in blocks,
one owner column after the other; chains from both ends of the row carry the partial sums
to the owner while the next block's weights already arrive. Where these chains meet depends
on the owner, and with it the order of the additions. The ordered reduce form has one chain, from
the first column to the last; from there the sums go back west to the owner.

Where only the edge wants the result, an owner sends its block out along the row while later ones
are made: owners have theirs in the order in which a row lets them send.

Local form: each tile sums its own outputs completely.

Down form: a summed label lies along y, as tokens do where activations are. Each tile sums over its
own part of it, and the tiles of a column add up what they have. So is the gradient of a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from wsc.flows import REGION, WEIGHTS
from wsc.ir.graph import Index
from wsc.ir.layout import Mesh, View, block, dense_strides, start, storage_order, valid
from wsc.ir.tasks import ContractTask
from wsc.isa.expr import Expr, H, Int, Name, W, X, Y, maximum, minimum
from wsc.isa.fabric import Fabric
from wsc.isa.program import Dim, Direction, Extent, Transfer
from wsc.isa.table import Timing
from wsc.isa.types import DType, Side
from wsc.kernels.asm import Asm, At, Emission, Source
from wsc.kernels.context import Context, row_major
from wsc.kernels.library import ARRIVED, CHAIN_DONE, CLEARED, LEFT, LINES
from wsc.kernels.transfer import (
    northern_drain,
    pass_north,
    pass_west,
    send_north,
    send_west,
    western_drain,
)

F32 = DType.F32


def label_strides(index: tuple[Index, ...], strides: tuple[int, ...]) -> dict[str, int]:
    """Stride of an operand along each label."""
    found: dict[str, int] = {}
    for entry, stride in zip(index, strides, strict=True):
        for label, coefficient in entry.terms:
            found[label] = found.get(label, 0) + coefficient * stride
    return found


def base_offset(index: tuple[Index, ...], view: View) -> int:
    """Bytes from the buffer's start to where every label of the tile is zero."""
    return sum(
        (entry.offset - extent.offset) * stride
        for entry, extent, stride in zip(index, view.extents, view.strides, strict=True)
    )


def operand(index: tuple[Index, ...], view: View) -> At:
    """The view as a memory operand over labels."""
    return At(Name(view.buffer) + base_offset(index, view), label_strides(index, view.strides))


class Labels:
    """Sizes of the labels of a task: in all, and in one tile."""

    def __init__(self, task: ContractTask, mesh: Mesh) -> None:
        self.size = dict(task.extents)
        self.mesh = mesh
        self.split: dict[str, Extent] = {}
        for label, axis in ((task.x_label, "x"), (task.y_label, "y")):
            if label:
                apart = self._spread(task, label, axis)
                self.split[label] = apart or block(self.size[label], axis, mesh)

    def _spread(self, task: ContractTask, label: str, axis: str) -> Extent | None:
        """The blocks of a label, if they lie apart from each other."""
        outputs = tuple(Index(((name, 1),) if name else ()) for name in task.labels)
        for index, view in ((outputs, task.out), (task.index_a, task.a), (task.index_b, task.b)):
            for entry, extent in zip(index, view.extents if view else (), strict=bool(view)):
                if extent.over and extent.axis == axis and entry.terms == ((label, 1),):
                    return extent
        return None

    def room(self, label: str) -> int:
        """Steps that a tile has room for."""
        return self.split[label].step if label in self.split else self.size[label]

    def count(self, label: str) -> Expr:
        """Steps that hold data in this tile."""
        if label in self.split:
            return valid(self.split[label], self.mesh)
        return Int(self.size[label])

    def first(self, label: str) -> Expr:
        """Global position of this tile's first step."""
        return start(self.split[label]) if label in self.split else Int(0)


def classify(task: ContractTask) -> tuple[list[str], list[str], list[str]]:
    """(labels of b in the output, summed labels, labels of a alone), in storage order."""
    in_b = {label for entry in task.index_b for label, _ in entry.terms}
    order = [task.labels[i] for i in storage_order(task.out.extents) if task.labels[i]]
    outer = [label for label in order if label in in_b]
    inner = [label for label in order if label not in in_b]
    summed = [label for label, _ in task.extents if label not in task.labels]
    return outer, summed, inner


def weight_feed(
    task: ContractTask, context: Context, labels: Labels, order: Sequence[str]
) -> Transfer:
    """The stream of b down each column: over ``order``, the tile's part of the x label only."""
    tensor = context.edge_tensor(task.weight)
    strides = label_strides(task.index_b, row_major(tensor.shape))
    offset: Expr = Int(base_offset_of_weight(task.index_b, row_major(tensor.shape)))
    dims: list[Dim] = []
    for label in order:
        if label == task.x_label:
            offset = offset + labels.first(label) * strides[label]
        stride = strides.get(label, 0)
        dims.append(
            Dim(label, labels.count(label) if label == task.x_label else Int(labels.size[label]))
        )
        offset = offset + Name(label) * stride
    return Transfer(
        Direction.FEED,
        WEIGHTS.strand.name,
        REGION,
        Side.NORTH,
        None,
        task.weight,
        offset,
        tuple(dims),
        nodes=task.origin,
    )


def base_offset_of_weight(index: tuple[Index, ...], strides: tuple[int, ...]) -> int:
    """Elements before the position where every label is zero."""
    return sum(entry.offset * stride for entry, stride in zip(index, strides, strict=True))


def emit_contract(task: ContractTask, context: Context) -> Emission:
    """Instructions and weight stream of one contraction."""
    return _reduce(task, context) if task.reduce else _local(task, context)


def _weights(task: ContractTask, labels: Sequence[str]) -> Source:
    if task.b is not None:
        return operand(task.index_b, task.b)
    return WEIGHTS.strand.queue(tuple(labels))


def _stem(task: ContractTask) -> str:
    windows = any(len(entry.terms) > 1 for entry in task.index_a)
    kind = "convolution" if windows else "matmul"
    name = f"{kind}_{'streamed' if task.weight else 'resident'}"
    if task.rises:
        return f"{name}_rising"
    if task.combined:
        return f"{name}_over_{LINES[task.combined].name}s"
    if task.target:
        return f"{name}_out"
    if task.beside is not None:
        return f"{name}_beside"
    return f"{name}_ordered" if task.ordered else name


def _local(task: ContractTask, context: Context) -> Emission:
    labels = Labels(task, context.mesh)
    outer, summed, inner = classify(task)
    dtype = task.a.dtype
    asm = Asm(context.fabric.dimensions)
    out = operand_of_labels(task.labels, task.out)
    if task.accumulator:
        wide = dense_strides(task.out.extents, F32, storage_order(task.out.extents))
        total = At(
            Name(task.accumulator),
            {label: stride for label, stride in zip(task.labels, wide, strict=True) if label},
        )
    else:
        total = out
    room = task.out.local_size
    asm.fill(total.base, F32, 0, room)
    steps = [(label, labels.count(label)) for label in (*outer, *summed)]
    tokens = [(label, Int(labels.room(label))) for label in inner]
    last = _last(task, context, labels, (outer, summed, inner))
    asm.vector(
        "fmac",
        dtype,
        total,
        operand(task.index_a, task.a),
        _weights(task, [*outer, *summed]),
        dims=sorted([*steps, *tokens], key=lambda dim: dim[0] == last),
        keep=frozenset(labels.split),
    )
    if task.rises:
        # The parts of a column go up it while its tiles go on.
        asm.call("rise_add_f32", buffer=total.base, count=room)
    elif task.combined:
        # Each tile has the sums over its own part of the label: the line adds them up.
        line, wide = LINES[task.combined].name, F32 if task.accumulator else task.out.dtype
        asm.call(f"{line}_all_add_{wide.value}", buffer=total.base, count=room)
    if task.accumulator:
        asm.vector(
            "narrow",
            dtype,
            At(out.base, {"i": dtype.bytes}),
            At(total.base, {"i": 4}),
            dims=[("i", room)],
        )
    feeds = (weight_feed(task, context, labels, [*outer, *summed]),) if task.weight else ()
    doc = ("Each tile sums its own outputs: one multiply-accumulate over its tokens per weight.",)
    if task.combined:
        lines = f"{LINES[task.combined].name}s"
        doc = (f"Each tile sums its part of its outputs; the parts are added up over {lines}.",)
    if task.rises:
        doc = ("Each tile sums its part of its outputs; the parts then go up the columns.",)
    numbers = {"tokens": prod(labels.room(label) for label in inner), "outputs": room}
    return Emission(_stem(task), asm.body, feeds, doc, numbers)


def _last(
    task: ContractTask,
    context: Context,
    labels: Labels,
    order: tuple[list[str], list[str], list[str]],
) -> str:
    """The label along which a row of multiply-accumulates goes; "" where those of a alone do.

    Where both operands are in SRAM, either may be held over a row. Tokens go along it, as they do
    where weights come as a stream, unless rows of another label leave fewer lanes idle.
    """
    rooms = {label: labels.room(label) for group in order for label in group}
    if task.reduce:
        rooms[task.n_label] = task.chunk
    if task.b is None or sum(room > 1 for room in rooms.values()) > context.fabric.dimensions:
        return ""
    return fastest_row(order, rooms, context.fabric, task.a.dtype)


def fastest_row(
    order: tuple[Sequence[str], Sequence[str], Sequence[str]],
    rooms: Mapping[str, int],
    fabric: Fabric,
    dtype: DType,
) -> str:
    """The label whose rows take the fewest cycles; "" if these are no fewer than those of a.

    order: the labels of b in the output, those that are summed over, and those of a alone, which
        are one row together. rooms: steps of each in a tile.

    A row may also go along the last label that is summed over: the terms of each sum keep their
    order. There each step takes what the one before gives.
    """
    outer, summed, inner = order
    timing = fabric.timing[Timing.MULTIPLY_ACCUMULATE]
    total = prod(rooms.values())
    own = prod(rooms[label] for label in inner)
    last = next((label for label in reversed(summed) if rooms[label] > 1), "")

    def cycles(steps: int, dependent: int = 0) -> int:
        row = max(timing.row(steps, dtype), steps * dependent)
        return total // max(steps, 1) * row

    along = {label: cycles(rooms[label]) for label in outer}
    if last:
        along[last] = cycles(rooms[last], fabric.dependent_cycles)
    if own == 1 and last:  # the row is that of a label which is summed over
        own = rooms[last]
    found = min(along, key=lambda label: along[label], default="")
    return found if found and along[found] < cycles(own) else ""


def operand_of_labels(labels: tuple[str, ...], view: View) -> At:
    """An output view as a memory operand over its labels."""
    strides = {label: s for label, s in zip(labels, view.strides, strict=True) if label}
    return At(Name(view.buffer), strides)


def _reduce(task: ContractTask, context: Context) -> Emission:
    labels = Labels(task, context.mesh)
    outer, summed, inner = classify(task)
    n = task.n_label
    outer = [n, *(label for label in outer if label != n)]
    block = task.out.extents[task.labels.index(n)].step
    owners = -(-labels.size[n] // block)
    room = task.out.local_size // block  # words of one output along n
    half = task.chunk * room * 4
    asm = Asm(context.fabric.dimensions)
    if task.relieved:
        asm.fill(Name(task.accumulator), F32, 0, task.chunk * room)
        asm.signal(CLEARED, 1)
    asm.signal(CHAIN_DONE, 2)
    if task.ordered:
        with asm.when(X, "<", W - 1):
            asm.signal(ARRIVED, 1)
    half_base = asm.set(asm.register("half"), Name(task.accumulator))
    if task.beside is not None:
        send_north(asm, task.beside, context, task.part)
    with asm.loop("owner", owners) as owner:
        if task.beside is not None:
            # Rows of tiles have their turns at equal distances over those of the owners.
            with asm.when(owner, "==", Y * owners // H):
                asm.wait(LEFT, 1)
                pass_north(asm)
        if task.target:
            _leave(task, context, asm, owner, owners)
        with asm.loop("part", -(-block // task.chunk)) as part:
            within = asm.times("within", part, task.chunk)
            begin = asm.times("begin", owner, block)
            first = asm.let("first", begin + within)
            rest = asm.let("rest", minimum(Int(labels.size[n]) - first, Int(block) - within))
            rest = asm.let("rest", minimum(rest, task.chunk))
            count = asm.let("count", maximum(rest, 0))
            words = asm.let("words", count * room)
            asm.wait(CHAIN_DONE, 1)
            following: Expr = 2 * Name(task.accumulator) + half - half_base
            if task.relieved:
                following = _turn(task, asm, half_base, half)
            else:
                asm.fill(half_base, F32, 0, words)
            order = (outer, summed, inner)
            _accumulate(task, context, asm, labels, order, first, count, half_base)
            if task.ordered:
                _one_way(task, asm, owner, within, room, half_base, words)
            else:
                _both_ways(task, asm, owner, part, within, room, half_base, words)
            asm.set(half_base, following)
    asm.wait(CHAIN_DONE, 2)
    if task.relieved:
        asm.wait(CLEARED, 1)
    if task.target:
        _leave_last(task, context, asm, owners)
    else:
        _finish(task, asm, minimum(owners, W - 1))
    feeds: tuple[Transfer, ...] = ()
    if task.weight:
        feeds = (weight_feed(task, context, labels, [*outer, *summed]),)
    if task.target:
        feeds = (*feeds, western_drain(task.out, task.target, context, task.origin))
    if task.beside is not None:
        drain = northern_drain(task.beside, task.away, (), context, task.origin, task.part)
        feeds = (*feeds, drain)
    way = "to the last column and back to the owner" if task.ordered else "to the owner"
    doc: tuple[str, ...] = (
        "Blocks of outputs, one owner column after the other; partial sums run along the row",
        f"{way} on stream units while the next block accumulates.",
    )
    if task.target:
        doc = (*doc, "A block that is complete leaves at the west edge meanwhile.")
    if task.beside is not None:
        doc = (*doc, "Another value leaves at the north edge meanwhile, row after row.")
    numbers = {"chunk": task.chunk, "block": block, "owners": owners, "tokens": room}
    numbers |= {"outputs": labels.size[n], "chunk_bytes": half, "token_bytes": room * 4}
    numbers |= {"chunk_words": task.chunk * room, "block_words": block * room}
    return Emission(_stem(task), asm.body, feeds, doc, numbers)


def _both_ways(
    task: ContractTask,
    asm: Asm,
    owner: Expr,
    part: Expr,
    within: Expr,
    room: int,
    half: Name,
    words: Expr,
) -> None:
    """Chains from both ends of the row to the owner of this block."""
    with asm.when(X, "<", owner):
        asm.call("chain_east_add_f32", source=half, count=words)
    with asm.otherwise():
        with asm.when(X, ">", owner):
            asm.call("chain_west_add_f32", source=half, count=words)
        with asm.otherwise():
            _own(task, asm, part, within, room, half, words)


def _one_way(
    task: ContractTask, asm: Asm, owner: Expr, within: Expr, room: int, half: Name, words: Expr
) -> None:
    """A chain to the last column, which sends the sums back to the owner of this block.

    A tile passes on what is not its own before it takes what is; one unit does both, so that the
    queue has one reader.
    """
    sums = Name(task.sums or task.out.buffer)
    with asm.when(X, "<", W - 1):
        asm.call("chain_east_add_f32", source=half, count=words)
        with asm.when(X, ">=", owner):
            asm.wait(ARRIVED, 1)
            with asm.when(X, ">", owner):
                asm.call("forward_west_f32", count=words)
            with asm.otherwise():
                offset = asm.let("offset", within * (room * 4))
                asm.call("arrive_west_f32", target=sums + offset, count=words)
    with asm.otherwise():
        with asm.when(X, ">", owner):
            asm.call("turn_east_add_f32", source=half, count=words)
        with asm.otherwise():
            offset = asm.let("offset", within * (room * 4))
            asm.call("take_east_add_f32_async", target=sums + offset, source=half, count=words)


def _accumulate(
    task: ContractTask,
    context: Context,
    asm: Asm,
    labels: Labels,
    order: tuple[list[str], list[str], list[str]],
    first: Expr,
    count: Expr,
    target: Name,
) -> None:
    """One block of partial sums: acc[n, ...] += a * b for n in [first, first + count)."""
    outer, summed, inner = order
    storage = storage_order(task.out.extents)
    wide = dense_strides(task.out.extents, F32, storage)
    total = At(
        target, {label: stride for label, stride in zip(task.labels, wide, strict=True) if label}
    )
    weights = _weights(task, [*outer, *summed])
    if isinstance(weights, At):
        skipped = asm.let("skipped", first * weights.strides.get(task.n_label, 0))
        weights = weights.moved(skipped)
    steps = [(label, labels.count(label)) for label in (*outer, *summed) if label != task.n_label]
    tokens = [(label, Int(labels.room(label))) for label in inner]
    last = _last(task, context, labels, order)
    asm.vector(
        "fmac",
        task.a.dtype,
        total,
        operand(task.index_a, task.a),
        weights,
        dims=sorted([(task.n_label, count), *steps, *tokens], key=lambda dim: dim[0] == last),
        keep=frozenset(labels.split),
    )


def _turn(task: ContractTask, asm: Asm, half: Name, size: int) -> Name:
    """The sums of the next block, which a unit clears while those of this one accumulate.

    Three take turns: one accumulates, one is in the chain, and one was in it and is cleared.
    """
    after = asm.set(asm.register("after"), half + size)
    with asm.when(after, ">=", Name(task.accumulator) + 3 * size):
        asm.set(after, Name(task.accumulator))
    asm.call("clear_f32", target=after, count=size // F32.bytes)
    asm.wait(CLEARED, 1)
    return after


def _own(
    task: ContractTask, asm: Asm, part: Expr, within: Expr, room: int, half: Name, words: Expr
) -> None:
    """The owner: sums from the west are added as they come, those from the east are stored.

    The chain's units change with the first part. All earlier blocks must be done then, or a later
    one could be counted in their place; and with each other part, the sums of the one before must
    be there to which those from the east are added.
    """
    asm.wait(CHAIN_DONE, 1)
    asm.signal(CHAIN_DONE, 1)
    sums = Name(task.sums or task.out.buffer)
    with asm.when(X, "<", W - 1):
        with asm.when(part, ">", 0):
            before = asm.let("before", (within - task.chunk) * (room * 4))
            _add_arrivals(task, asm, sums + before, task.chunk * room)
        asm.call("arrive_west_f32", target=Name(task.arrivals), count=words)
    offset = asm.let("offset", within * (room * 4))
    asm.call("take_east_add_f32_async", target=sums + offset, source=half, count=words)


def _add_arrivals(task: ContractTask, asm: Asm, sums: Expr, words: int) -> None:
    """Add the sums that came from the east to those that came from the west."""
    asm.wait(ARRIVED, 1)
    arrivals = At(Name(task.arrivals), {"i": 4})
    asm.vector("add", F32, At(sums, {"i": 4}), At(sums, {"i": 4}), arrivals, dims=[("i", words)])


def _leave(task: ContractTask, context: Context, asm: Asm, owner: Expr, owners: int) -> None:
    """At the head of an owner's turns: the block of the one two before is complete, and leaves.

    What left a turn before that is through, and the next tile's may pass.
    """
    with asm.when(X + 2, "==", owner):
        # All chains but the last are done then, and this tile's is not that one.
        asm.wait(CHAIN_DONE, 1)
        asm.signal(CHAIN_DONE, 1)
        _finish(task, asm, W - 1)
        send_west(asm, task.out, context)
    with asm.when(X + 3, "==", owner):
        asm.wait(LEFT, 1)
        pass_west(asm, owners - 1)


def _leave_last(task: ContractTask, context: Context, asm: Asm, owners: int) -> None:
    """Behind all turns: what the last owners have not done in those."""
    with asm.when(X, "<", owners):
        with asm.when(X + 2, ">=", owners):
            _finish(task, asm, W - 1)
            send_west(asm, task.out, context)
        with asm.when(X + 3, ">=", owners):
            asm.wait(LEFT, 1)
            pass_west(asm, owners - 1)


def _finish(task: ContractTask, asm: Asm, end: Expr) -> None:
    """Wait for the last sums, or add the last part's two halves; round to f16 if that is asked.

    end: the first of the columns in which no sums come from the east.
    """
    sums = Name(task.sums or task.out.buffer)
    block = task.out.extents[task.labels.index(task.n_label)].step
    room = task.out.local_size // block
    last = (-(-block // task.chunk) - 1) * task.chunk
    if task.ordered:
        with asm.when(X, "<", W - 1):
            asm.wait(ARRIVED, 1)
    else:
        with asm.when(X, "<", end):
            _add_arrivals(task, asm, sums + last * room * 4, (block - last) * room)
    if task.sums:
        out = At(Name(task.out.buffer), {"i": task.out.dtype.bytes})
        asm.vector("narrow", task.out.dtype, out, At(sums, {"i": 4}), dims=[("i", block * room)])
