"""Kernel selection for contractions: which labels run along x and y, and how sums combine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from wsc.cost import Bound, CostModel
from wsc.ir.forms import CROWDED, TOO_LARGE, Form
from wsc.ir.graph import Contract, Index, Type
from wsc.ir.layout import Mesh, View, block, local_size, whole
from wsc.ir.tasks import ContractTask
from wsc.isa.program import Extent
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.kernels.contract import fastest_row
from wsc.kernels.library import CHAIN_UNITS, CLEARED

SHARE_OF_SRAM = 0.8  # prefer layouts that leave the rest to values that live longer
SHARE_IN_TRAINING = 0.35  # the same in a step that keeps values for its backward pass
SHARE_OF_WEIGHTS = 0.6  # of a tile's SRAM that weights take which stay there
MESSAGE = 3  # wavelets of a message of one word
LATE = 6  # one part of the time in so many, at most, in which turns wait for owners
HANDED_OUT = 40  # cycles in which an owner hands its block to a unit, beside those of its words
RELIEF_WORDS = 256  # of partial sums, from which on a stream unit clears them
CHUNK_WORDS = 512  # words of partial sums accumulated before a chain starts
LONG_CHUNK_WORDS = 768  # the same where so many of them take next to no time, and there is room
SHORT = 1500  # cycles of a chunk, below which what starts a chain takes too much of them
SHARE_OF_LONG = 0.5  # of a tile's SRAM that a product with long chunks may take


def wanted_extents(
    index: tuple[Index, ...],
    shape: tuple[int, ...],
    sizes: dict[str, int],
    split: dict[str, str],
    mesh: Mesh,
) -> tuple[Extent, ...]:
    """The layout of an operand in which a tile can compute its part, halo and padding included.

    split: label -> mesh axis.
    """
    return tuple(
        _wanted(entry, size, sizes, split, mesh) for entry, size in zip(index, shape, strict=True)
    )


def out_extents(
    labels: Sequence[str], sizes: Mapping[str, int], split: Mapping[str, str], mesh: Mesh
) -> tuple[Extent, ...]:
    """The layout of a result with these labels; one without a label is a dimension of one.

    split: label -> mesh axis.
    """
    return tuple(
        block(sizes[label], split[label], mesh)
        if label in split
        else whole(sizes[label] if label else 1)
        for label in labels
    )


def _wanted(
    entry: Index, size: int, sizes: dict[str, int], split: dict[str, str], mesh: Mesh
) -> Extent:
    axis_label = next((label for label, _ in entry.terms if label in split), None)
    reach = sum(c * (sizes[label] - 1) for label, c in entry.terms if label != axis_label)
    if axis_label is None:
        if entry.offset >= 0 and entry.offset + reach < size:
            return whole(size)
        # All of the dimension, also what windows that begin behind its first index do not read:
        # what moves here is moved whole.
        first = min(entry.offset, 0)
        return Extent(size, None, 0, max(entry.offset + reach + 1, size) - first, first)
    axis = split[axis_label]
    held = block(sizes[axis_label], axis, mesh)
    step, coefficient = held.step, dict(entry.terms)[axis_label]
    if held.over and entry == Index(((axis_label, 1),)):
        return held
    length = (step - 1) * coefficient + reach + 1
    return Extent(size, axis, step * coefficient, length, entry.offset)


def reads_outside(index: tuple[Index, ...], shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Whether windows over an operand of this shape reach beyond either of its ends."""
    for entry, size in zip(index, shape, strict=True):
        reach = [c * (sizes[label] - 1) for label, c in entry.terms]
        first = entry.offset + sum(min(span, 0) for span in reach)
        last = entry.offset + sum(max(span, 0) for span in reach)
        if first < 0 or last >= size:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run a contraction, with its layouts, predicted cycles and SRAM bytes.

    moving: cycles among them that it takes to bring the operands. crowded: whether it leaves too
    little of a tile's SRAM to what else wants some. chunk_words: words of partial sums that a chunk
    may have.
    """

    x_label: str
    y_label: str
    reduce: bool
    ordered: bool
    relieved: bool
    combined: str
    n_label: str
    chunk: int
    a: tuple[Extent, ...]
    b: tuple[Extent, ...]
    out: tuple[Extent, ...]
    bound: Bound
    cycles: int
    moving: int
    bytes: int
    crowded: bool = False
    chunk_words: int = CHUNK_WORDS

    def form(self, room: int) -> Form:
        """As people write it, with what it costs. room: bytes of SRAM in a tile."""
        sums = "ordered" if self.ordered else "reduce" if self.reduce else "local"
        return Form(
            self.x_label,
            self.y_label,
            "combined" if self.combined else sums,
            self.chunk,
            self.cycles,
            self.moving,
            self.bound.compute,
            self.bound.link,
            self.bound.io,
            self.bytes,
            TOO_LARGE if self.bytes > room else CROWDED if self.crowded else "",
        )

    def task(
        self, op: Contract, a: View, b: View | None, weight: str, out: View, origin: tuple[str, ...]
    ) -> ContractTask:
        """The task, without its scratch buffers."""
        return ContractTask(
            op.index_a,
            op.index_b,
            op.out,
            op.extents,
            a,
            b,
            weight,
            out,
            self.x_label,
            self.y_label,
            self.reduce,
            self.ordered,
            self.relieved,
            self.n_label,
            self.chunk,
            combined=self.combined,
            origin=origin,
        )

    def in_blocks(self, step: int) -> Choice:
        """The reduce form with so many outputs for each of its owners."""
        place = next(i for i, extent in enumerate(self.out) if extent.axis == "x")
        old = self.out[place]
        per_output = local_size(self.out) // old.step
        out = (*self.out[:place], Extent(old.size, "x", step, step), *self.out[place + 1 :])
        chunk = _chunk(step, per_output, self.chunk_words)
        # As many buffers for a chunk as before, and the words of the outputs.
        parts = (3 if self.relieved else 2) + (not self.ordered)
        more = (step - old.step) * (4 + out_bytes(DType.F16)) + parts * (chunk - self.chunk) * 4
        return replace(self, out=out, chunk=chunk, bytes=self.bytes + more * per_output)

    def with_buffers(
        self, task: ContractTask, buffer: Callable[[DType, int, str], str]
    ) -> ContractTask:
        """The task with its scratch buffers, from ``buffer(dtype, bytes, part)``."""
        words = task.out.local_size
        narrow = task.out.dtype is DType.F16
        if not self.reduce:
            total = buffer(DType.F32, words * 4, "sum") if narrow else ""
            return replace(task, accumulator=total)
        parts = (3 if self.relieved else 2) * self.chunk
        per_output = words // task.out.extents[task.labels.index(self.n_label)].step
        return replace(
            task,
            accumulator=buffer(DType.F32, parts * per_output * 4, "part"),
            arrivals="" if self.ordered else buffer(DType.F32, self.chunk * per_output * 4, "east"),
            sums=buffer(DType.F32, words * 4, "sum") if narrow else "",
        )


def choose_contraction(
    op: Contract,
    a: Type,
    b: Type,
    streamed: bool,
    at_a: View | None,
    at_b: View | None,
    cost: CostModel,
    same_order: bool = False,
    training: bool = False,
) -> Choice | None:
    """The form that the cost model prefers on the mesh that will run it; None if there is none.

    If none fits the SRAM of a tile, it is the one that takes the least.

    same_order: only forms in which the order of a sum does not depend on which tile owns it.
    training: forms too in which a summed label lies along y, as the tokens of activations do; and
        what is kept for the backward pass leaves less room.
    at_a, at_b: where the operands are now (None: they come from the edge or a movement).
    """
    choices = weighed_choices(op, a, b, streamed, at_a, at_b, cost, same_order, training)
    return preferred(choices, cost.fabric.sram_bytes)


def weighed_choices(
    op: Contract,
    a: Type,
    b: Type,
    streamed: bool,
    at_a: View | None,
    at_b: View | None,
    cost: CostModel,
    same_order: bool = False,
    training: bool = False,
    staying: Staying | None = None,
    chunk: int = 0,
    spread: frozenset[tuple[str, int, int]] = frozenset(),
) -> list[Choice]:
    """All forms of a contraction.

    staying: which operands stay in SRAM from step to step; None where nothing does. chunk: outputs
    that the forms with a chain sum at a time; 0 leaves that to them. spread: that of the mesh. The
    others are those of ``choose_contraction``.
    """
    fabric = cost.fabric
    mesh = Mesh(fabric.width, fabric.height, spread)
    found: list[Choice] = []
    share = SHARE_IN_TRAINING if training else SHARE_OF_SRAM
    forms = list(_forms(op, streamed, mesh, same_order, training))
    forms += [] if staying is None else _combined(op, mesh)
    for form in forms:
        form = replace(form, chunk=chunk)
        choice = _evaluate(op, a, b, streamed, at_a, at_b, cost, mesh, form, training, staying)
        crowded = choice.bytes > fabric.sram_bytes * share
        if staying is not None:
            crowded = crowded or staying.crowded(choice, (a, b), fabric.sram_bytes)
        found.append(replace(choice, crowded=crowded))
    return found


def preferred(choices: Iterable[Choice], room: int) -> Choice | None:
    """The first of the forms that comes first by ``rank``."""
    return min(choices, key=lambda choice: rank(choice, room), default=None)


def rank(choice: Choice, room: int) -> tuple[int, ...]:
    """What forms are compared by: of those that fit, and leave room to others, the cycles count.

    If none fits, it is the bytes. room: bytes of SRAM in a tile.
    """
    if choice.bytes > room:
        return (1, choice.bytes)
    return (0, choice.crowded, choice.cycles, choice.bytes)


def _forms(
    op: Contract, streamed: bool, mesh: Mesh, same_order: bool, down: bool
) -> Iterator[_Form]:
    """The forms that a contraction has on a mesh."""
    for x, y in product(_x_options(op), _y_options(op, streamed)):
        if (y and x[0] == y) or (x[1] and mesh.width == 1):  # one column: nothing to reduce over
            continue
        if x[1] and not _n_label(op, dict(op.extents), y):
            continue
        yield _Form(*x, y, x[1] and same_order)
    if streamed or not down or mesh.height == 1:
        return
    for (x_label, reduce), y in product(_x_options(op), _summed_options(op)):
        # Sums that go both along the rows and down the columns would meet twice.
        if not reduce:
            yield _Form(x_label, False, y, False, "y")


def _summed_options(op: Contract) -> list[str]:
    """The summed labels that both operands have as a dimension of their own."""
    return [
        label
        for label, size in op.extents
        if size > 1
        and label not in op.out
        and label in _labels_of(op.index_a) & _labels_of(op.index_b)
        and _alone(op.index_a, label)
        and _alone(op.index_b, label)
    ]


def _labels_of(index: tuple[Index, ...]) -> set[str]:
    return {label for entry in index for label, _ in entry.terms}


def _alone(index: tuple[Index, ...], label: str) -> bool:
    """The label is the only one of every entry in which it occurs, with coefficient one."""
    entries = [entry for entry in index if label in dict(entry.terms)]
    return all(entry.terms == ((label, 1),) and entry.offset == 0 for entry in entries)


def _x_options(op: Contract) -> list[tuple[str, bool]]:
    """(label, whether it is summed) candidates for x; ("", False): every column the same."""
    sizes = dict(op.extents)
    in_a, in_b = _labels_of(op.index_a), _labels_of(op.index_b)
    options: list[tuple[str, bool]] = [("", False)]
    for label, size in op.extents:
        if size > 1 and label in op.out and label not in in_b:
            options.append((label, False))  # tokens along x: every column gets the same weights
        if size == 1 or label not in in_b or not _alone(op.index_b, label):
            continue
        if label in op.out:
            options.append((label, False))
        elif label in in_a and _alone(op.index_a, label) and _n_label(op, sizes):
            options.append((label, True))
    return options


def _n_label(op: Contract, sizes: dict[str, int], y: str = "") -> str:
    """The output label of b alone that is taken in blocks by the owners of the reduce form.

    They lie along x, so it is not the label along y.
    """
    own = _labels_of(op.index_b) - _labels_of(op.index_a) - {y}
    return max((x for x in op.out if x in own), key=lambda x: sizes[x], default="")


def _y_options(op: Contract, streamed: bool) -> list[str]:
    in_b = _labels_of(op.index_b)
    options = [""]
    for label, size in op.extents:
        own = label not in in_b or (not streamed and _alone(op.index_a, label))
        if size > 1 and label in op.out and own:
            options.append(label)
    return options


@dataclass(frozen=True, slots=True)
class _Form:
    """What ``Choice`` says of these, before there are layouts."""

    x_label: str
    reduce: bool
    y_label: str
    ordered: bool
    combined: str = ""
    chunk: int = 0


def _combined(op: Contract, mesh: Mesh) -> list[_Form]:
    """The forms over the whole mesh: a summed label along one axis, any other along the other."""
    in_a, in_b = _labels_of(op.index_a), _labels_of(op.index_b)
    alone = [
        label
        for label, size in op.extents
        if size > 1
        and (label not in in_a or _alone(op.index_a, label))
        and (label not in in_b or _alone(op.index_b, label))
    ]
    found: list[_Form] = []
    for k in alone:
        if k in op.out or k not in in_a or k not in in_b:
            continue
        for other in ("", *(label for label in alone if label in op.out)):
            if mesh.width > 1:
                found.append(_Form(k, False, other, False, "x"))
            if mesh.height > 1:
                found.append(_Form(other, False, k, False, "y"))
    return found


@dataclass(frozen=True, slots=True)
class Staying:
    """Operands that are brought into SRAM once for all steps.

    a, b: whether they are such. along: the axes along which what is brought to be a, and b, lies
    now; None if that is not known. total: bytes of all that stays. shown: whether the result
    leaves in each step.
    """

    a: bool
    b: bool
    along: tuple[frozenset[str] | None, frozenset[str] | None]
    total: int
    shown: bool

    def crowded(self, choice: Choice, types: tuple[Type, Type], room: int) -> bool:
        """Whether an operand takes more of a tile than is its share of what stays."""
        operands = zip((self.a, self.b), (choice.a, choice.b), types, strict=True)
        for stays, layout, type_ in operands:
            share = room * SHARE_OF_WEIGHTS * type_.size / max(self.total, 1)
            if stays and local_size(layout) > share:
                return True
        return False


def _evaluate(
    op: Contract,
    a: Type,
    b: Type,
    streamed: bool,
    at_a: View | None,
    at_b: View | None,
    cost: CostModel,
    mesh: Mesh,
    form: _Form,
    training: bool,
    staying: Staying | None,
) -> Choice:
    sizes = dict(op.extents)
    x_label, reduce, y, ordered = form.x_label, form.reduce, form.y_label, form.ordered
    in_b = _labels_of(op.index_b)
    n_label = _n_label(op, sizes, y) if reduce else ""
    split = {label: axis for label, axis in ((x_label, "x"), (y, "y")) if label}
    placed = dict(split)
    if reduce:
        del placed[x_label]
        placed[n_label] = "x"
    if form.combined:
        del placed[x_label if form.combined == "x" else y]
    out = out_extents(op.out, sizes, placed, mesh)
    want_a = wanted_extents(op.index_a, a.shape, sizes, split, mesh)
    want_b = wanted_extents(op.index_b, b.shape, sizes, split, mesh)
    room = {
        label: -(-size // (mesh.count(split[label]) if label in split else 1))
        for label, size in sizes.items()
    }
    outputs = summed = tokens = 1
    for label in sizes:
        if label not in op.out:
            summed *= room[label]
        elif label in in_b:
            outputs *= room[label]
        else:
            tokens *= room[label]
    words_out = local_size(out)
    per_output = words_out // (out[op.out.index(n_label)].step if reduce else 1) or 1
    owned = out[op.out.index(n_label)].step if reduce else 0
    chunk = min(form.chunk, owned) or (_chunk(owned, per_output, CHUNK_WORDS) if reduce else 0)
    compute = cost.contraction(outputs, summed, tokens, a.dtype, streamed)
    if not streamed:
        order = (
            [label for label in op.out if label in in_b],
            [label for label in sizes if label not in op.out],
            [label for label in op.out if label and label not in in_b],
        )
        rooms = room | ({n_label: chunk} if reduce else {})
        last = fastest_row(order, rooms, cost.fabric, a.dtype)
        if last:
            rows = -(-outputs * tokens // rooms[last])
            compute = cost.contraction(rows, summed, rooms[last], a.dtype)
    weights = outputs * summed if streamed else 0
    link, io = cost.streamed(weights, mesh.width, a.dtype)
    ways = 2 if ordered else 1  # there and back: the ramps of the last tiles carry both
    chain = outputs * tokens * ways if reduce else 0
    bound = Bound(compute, max(link, chain), io)
    cycles = bound.roofline
    if reduce:
        parts = -(-sizes[n_label] // chunk)
        cycles += parts * 40 + cost.chain(per_output * chunk, mesh.width * ways)
    if form.combined:
        cycles += cost.all_reduce_along(words_out, form.combined)
    if staying is not None and staying.shown:
        cycles += _leaving(out)
    moving = 0
    if staying is None or not staying.a:
        along = None if staying is None else staying.along[0]
        moving += relayout(at_a, want_a, a, cost, mesh, training, along)
    total = fresh_bytes(at_a, want_a, a) + words_out * out_bytes(a.dtype)
    if not streamed:
        if staying is None or not staying.b:
            along = None if staying is None else staying.along[1]
            moving += relayout(at_b, want_b, b, cost, mesh, training, along)
        total += fresh_bytes(at_b, want_b, b)
    # A chain has to be done well before the core has gone through the next block. Few words the
    # core clears itself in less time than it takes to have it done.
    spare = cost.fabric.stream_units > CHAIN_UNITS and cost.fabric.semaphores > CLEARED
    relieved = reduce and spare and 2 * chain <= compute and chunk * per_output >= RELIEF_WORDS
    parts = (3 if relieved else 2) + (not ordered)
    room_for_long = SHARE_OF_LONG * cost.fabric.sram_bytes - total
    chunk_words = CHUNK_WORDS
    short = bound.roofline * CHUNK_WORDS < SHORT * outputs * tokens
    if reduce and streamed and short and parts * LONG_CHUNK_WORDS * 4 <= room_for_long:
        chunk_words = LONG_CHUNK_WORDS
        chunk = min(form.chunk, owned) or _chunk(owned, per_output, chunk_words)
    total += parts * chunk * per_output * 4 if reduce else 0
    return Choice(
        x_label,
        y,
        reduce,
        ordered,
        relieved,
        form.combined,
        n_label,
        chunk,
        want_a,
        want_b,
        out,
        bound,
        cycles + moving,
        moving,
        total,
        chunk_words=chunk_words,
    )


def _between_lines(
    along: frozenset[str], wanted: tuple[Extent, ...], type_: Type, cost: CostModel, mesh: Mesh
) -> int:
    """Predicted cycles of a move of few words, each in a message of its own.

    From one axis to the other each line sends what its root wants, which hands it on to the line.
    Along one axis all words pass the middle of each line, behind a barrier.
    """
    targets = {extent.axis for extent in wanted if extent.axis}
    words, total = local_size(wanted), 0
    for axis in along - targets:
        tiles = mesh.count(axis)
        total += tiles * cost.fabric.hop_cycles + MESSAGE * words + cost.broadcast(words, tiles)
    for axis in along & targets:
        lines = prod(mesh.count(other) for other in targets - along)
        total += cost.all_reduce_along(1, axis) + MESSAGE * type_.size // lines
    return total


def _leaving(out: tuple[Extent, ...]) -> int:
    """Words of a result that leave at the busiest port: without x, all at that of one column."""
    rows = max((-(-e.size // e.step) for e in out if e.axis == "y"), default=1)
    return local_size(out) * rows


def leaving_gains(choice: Choice, dtype: DType, cost: CostModel) -> int:
    """Cycles that a chain's blocks gain by leaving along the rows while later ones are made.

    Else all of them leave up the columns when all are made. The last block leaves behind them
    either way, and each turn waits for an owner that completes its block and hands it to a unit.
    """
    out, fabric = choice.out, cost.fabric
    rows = max((-(-e.size // e.step) for e in out if e.axis == "y"), default=1)
    columns = next(-(-e.size // e.step) for e in out if e.axis == "x")
    words, made = local_size(out), choice.bound.roofline
    io = -(-words * rows * columns * dtype.bytes // fabric.io_bytes_per_cycle)
    completed = fabric.timing[Timing.MOVE].row(words, DType.F16) + HANDED_OUT
    north, west = max(words * rows, io), max(words * columns, io)
    late, both = columns * completed, max(made, west)
    # Where owners are late for a large part of the time, what is late is hard to foretell.
    return made + north - both - west // columns - late if late * LATE <= both else 0


def _chunk(outputs: int, words: int, limit: int) -> int:
    """Outputs whose sums run along the chain at a time: an owner's, in equal parts.

    words: of one output in a tile. limit: words of a part.
    """
    most = max(1, min(limit // words, outputs))
    return -(-outputs // -(-outputs // most))


def out_bytes(dtype: DType) -> int:
    """Bytes for one output word with the sums that go with it."""
    return dtype.bytes + (4 if dtype is DType.F16 else 0)


def fresh_bytes(at: View | None, wanted: tuple[Extent, ...], type_: Type) -> int:
    """Bytes of SRAM for an operand in its layout, and for where it is now, if that is another."""
    size = local_size(wanted) * type_.dtype.bytes
    if at is not None and at.extents == wanted:
        return size
    return size + (local_size(at.extents) * type_.dtype.bytes if at is not None else 0)


def relayout(
    at: View | None,
    wanted: tuple[Extent, ...],
    type_: Type,
    cost: CostModel,
    mesh: Mesh,
    training: bool,
    along: frozenset[str] | None = None,
) -> int:
    """Predicted cycles to bring an operand into its layout.

    training: count what has to pass the middle of the mesh, too, where dimensions change their
    axes. Products of a training step lie the other way round than activations do.
    along: the axes along which it lies, if that is known of what it is moved from.
    """
    if at is not None and at.extents == wanted:
        return 0
    if along is not None:
        return _between_lines(along, wanted, type_, cost, mesh)
    if at is None:
        # From the edge: what the tiles of a column take enters at its port, what several of them
        # share once, and all columns share the bandwidth of the edge.
        rows = max((-(-e.size // e.step) for e in wanted if e.axis == "y"), default=1)
        return max(cost.streamed(local_size(wanted) * rows, mesh.width, type_.dtype))
    held = local_size(at.extents)
    total = 0
    for axis in ("x", "y"):
        source = next((e for e in at.extents if e.axis == axis), None)
        target = next((e for e in wanted if e.axis == axis), None)
        if source is not None and target is None:  # to the root of each line, then broadcast
            held = max(held, local_size(wanted))
            total += cost.broadcast(local_size(wanted), mesh.count(axis))
    if training:
        total += _across(at.extents, wanted, mesh)
    run = max((e.length for e in wanted if e.axis is None), default=1)
    return total + cost.move(held, held // max(1, run))


def _across(before: tuple[Extent, ...], after: tuple[Extent, ...], mesh: Mesh) -> int:
    """Wavelets over the busiest link where dimensions go from one axis of the mesh to the other.

    Half of all elements pass the middle of it, over one link of each row or column.
    """
    turned = any(
        one.axis is not None and other.axis is not None and one.axis != other.axis
        for one, other in zip(before, after, strict=True)
    )
    return local_size(before) * max(mesh.width, mesh.height) // 2 if turned else 0
