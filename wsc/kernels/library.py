"""Procedures that many kernels call: chains, all-reduces, the barrier.

Each is written once per program, whatever the number of layers that use it.
A chain runs from an end of a row (or column) towards one tile: every tile adds its words to
those that arrive and passes them on, on a stream unit. Semaphore 0 counts the
chain instructions that are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

from wsc.flows import (
    COLUMN_CAST,
    EAST,
    INWARD,
    LEAD,
    NORTH,
    RISE,
    ROOT_X,
    ROOT_Y,
    ROW_CAST,
    SOUTH,
    STRANDS,
    WEST,
    Cast,
    Chain,
    Inward,
    Lead,
)
from wsc.isa.expr import Expr, H, Int, Name, W, X, Y
from wsc.isa.fabric import Fabric
from wsc.isa.program import Asynchronous, Procedure, Statement
from wsc.isa.statements import calls, colors_of
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At

CHAIN_DONE = 0
ARRIVED = 1
STORED = 2
SEMAPHORES = 3
CLEARED = 3  # used only where a core has one more
LEFT = 4  # the same
CHAIN_UNITS = 3
ASIDE = 0  # the unit that no chain uses, where a core has more of them
OUTWARDS = 4  # the unit that sends a result out beside chains and what clears their sums
GATHER = 5  # the unit that sends what the root of a row hands on, beside these
SENT = 6  # the semaphore of messages that it sends while the core goes on
GONE = 7  # the semaphore that says where they are from that they have left
RISEN = 5  # the semaphore of sums that go up whole columns, on that unit too
LONG_LINE = 16  # tiles, from which on an all-reduce in groups is quicker
QUEUES = (8, 6)  # input and output queues for that along both axes, or for what rises beside it
GROUPED_COLORS = 22  # of all flows of such a program


@dataclass(frozen=True, slots=True)
class Units:
    """The stream units that chains use: up, down, and for sums that arrive at their end.

    Where there are fewer than three, some wait for each other: an instruction of a unit begins
    when the one before is done. No chain needs that a later one has begun.
    """

    up: int
    down: int
    arrival: int

    @classmethod
    def of(cls, count: int) -> Units:
        """Three of the units 0 to ``count - 1``, the first one left free where that can be."""
        first = 1 if count > CHAIN_UNITS else 0
        return cls(*(min(first + number, count - 1) for number in range(3)))


@dataclass(frozen=True, slots=True)
class Line:
    """A row or a column as chains see it: coordinate, size, root, flows towards both ends."""

    name: str
    along: Name
    size: Name
    root: Expr
    up: Chain
    down: Chain
    cast: Cast

    @property
    def halves(self) -> tuple[tuple[Inward, Lead], tuple[Inward, Lead]]:
        """The flows in groups, and between them, to the middle from the lower and the upper end."""
        up, down = self.up.towards, self.down.towards
        return (INWARD[up], LEAD[up]), (INWARD[down], LEAD[down])


ROW = Line("row", X, W, ROOT_X, EAST, WEST, ROW_CAST)
COLUMN = Line("column", Y, H, ROOT_Y, SOUTH, NORTH, COLUMN_CAST)
LINES = {"x": ROW, "y": COLUMN}


def words(asm: Asm, base: Name, count: Name, dtype: DType) -> tuple[At, list[tuple[str, Expr]]]:
    """A contiguous operand of ``count`` elements at register ``base``."""
    return At(base, {"i": dtype.bytes}), [("i", count)]


def _parity(asm: Asm, number: Expr, emit: Callable[[int, int], None]) -> None:
    """``emit(send, receive)``, which strands of a chain these are, for even and for odd numbers."""
    with asm.when(number % 2, "==", 0):
        emit(0, 1)
    with asm.otherwise():
        emit(1, 0)


def chain(line: Line, upwards: bool, op: str, dtype: DType, units: Units) -> Procedure:
    """``chain_east_add_f32(source, count)``: add what arrives to the source and pass it on.

    Asynchronous; signals ``CHAIN_DONE``. The first tile of the chain only sends. The last tile
    of the line has no neighbour to send to, and never calls it; the guard says so.
    """
    towards = line.up if upwards else line.down
    unit = Asynchronous(units.up if upwards else units.down, CHAIN_DONE)
    asm = Asm(6)
    source, count = asm.register("source"), asm.register("count")
    memory, dims = words(asm, source, count, dtype)
    first, last = (Int(0), line.size - 1) if upwards else (line.size - 1, Int(0))

    def emit(send: int, receive: int) -> None:
        out, came = towards.strands[send].queue(), towards.strands[receive].queue()
        with asm.when(line.along, "==", first):
            asm.vector("mov", dtype, out, memory, dims=dims, asynchronous=unit)
        with asm.otherwise():
            asm.vector(op, dtype, out, came, memory, dims=dims, asynchronous=unit)

    with asm.when(line.along, "!=", last):
        _parity(asm, line.along, emit)
    return Procedure(
        f"chain_{towards.name}_{op}_{dtype.value}",
        (source.name, count.name),
        asm.body,
        (f"Pass count words {towards.name}: those that arrive, combined with the source.",),
    )


def take(
    line: Line, upwards: bool, op: str, dtype: DType, asynchronous: Units | None = None
) -> Procedure:
    """``take_east_add_f32(target, source, count)``: target = source op what arrives.

    The end of a chain. At the end of the line nothing arrives, and the source is copied.
    The asynchronous form runs on the chain's unit and signals ``CHAIN_DONE``.
    """
    towards = line.up if upwards else line.down
    unit = Asynchronous(asynchronous.up, CHAIN_DONE) if asynchronous else None
    asm = Asm(6)
    target, source, count = (asm.register(name) for name in ("target", "source", "count"))
    memory, dims = words(asm, source, count, dtype)
    result = At(target, memory.strides)
    first = Int(0) if upwards else line.size - 1

    def emit(send: int, receive: int) -> None:
        asm.vector(
            op,
            dtype,
            result,
            towards.strands[receive].queue(),
            memory,
            dims=dims,
            asynchronous=unit,
        )

    with asm.when(line.along, "==", first):
        asm.vector("mov", dtype, result, memory, dims=dims, asynchronous=unit)
    with asm.otherwise():
        _parity(asm, line.along, emit)
    suffix = "_async" if asynchronous else ""
    return Procedure(
        f"take_{towards.name}_{op}_{dtype.value}{suffix}",
        (target.name, source.name, count.name),
        asm.body,
        (f"End of a chain that runs {towards.name}: target = source combined with what arrives.",),
    )


def rise() -> Procedure:
    """``rise_add_f32(buffer, count)``: the sums of a column come to its northern tile.

    A chain up the whole column, on a unit of its own; the northern tile adds what comes to its
    buffer. Signals ``RISEN`` in each tile.
    """
    asm = Asm(6)
    buffer, count = asm.register("buffer"), asm.register("count")
    memory, dims = words(asm, buffer, count, DType.F32)
    unit = Asynchronous(OUTWARDS, RISEN)

    def emit(send: int, receive: int) -> None:
        out, came = RISE.strands[send].queue(), RISE.strands[receive].queue()
        with asm.when(Y, "==", H - 1):
            asm.vector("mov", DType.F32, out, memory, dims=dims, asynchronous=unit)
        with asm.otherwise():
            with asm.when(Y, ">", 0):
                asm.vector("add", DType.F32, out, came, memory, dims=dims, asynchronous=unit)
            with asm.otherwise():
                asm.vector("add", DType.F32, memory, came, memory, dims=dims, asynchronous=unit)

    _parity(asm, Y, emit)
    return Procedure(
        "rise_add_f32",
        (buffer.name, count.name),
        asm.body,
        ("Add up count words over the column on a stream unit; its northern tile gets them.",),
    )


def rises(fabric: Fabric) -> bool:
    """Whether sums can go up whole columns beside all else that cores do."""
    able = sends_ahead(fabric) and fabric.semaphores > RISEN
    return _has_queues(fabric) and able and fabric.height > 1


def sends_ahead(fabric: Fabric) -> bool:
    """Whether a core has a unit and semaphores for messages beside all else."""
    return fabric.stream_units > GATHER and fabric.semaphores > max(SENT, GONE)


def _has_queues(fabric: Fabric) -> bool:
    """Whether a core has queues for what needs more than the usual flows do."""
    queues = len(fabric.input_queues), len(fabric.output_queues)
    return all(has >= needs for has, needs in zip(queues, QUEUES, strict=True))


def clear() -> Procedure:
    """``clear_f32(target, count)``: zeros, on the unit that no chain uses; signals ``CLEARED``."""
    asm = Asm(6)
    target, count = asm.register("target"), asm.register("count")
    memory, dims = words(asm, target, count, DType.F32)
    done = Asynchronous(ASIDE, CLEARED)
    asm.vector("mov", DType.F32, memory, 0.0, dims=dims, asynchronous=done)
    return Procedure(
        "clear_f32",
        (target.name, count.name),
        asm.body,
        ("Clear count words while the core goes on.",),
    )


def arrive(units: Units) -> Procedure:
    """``arrive_west_f32(target, count)``: store the end of a west chain; signals ``ARRIVED``."""
    asm = Asm(6)
    target, count = asm.register("target"), asm.register("count")
    memory, dims = words(asm, target, count, DType.F32)
    unit = Asynchronous(units.arrival, ARRIVED)

    def emit(send: int, receive: int) -> None:
        source = WEST.strands[receive].queue()
        asm.vector("mov", DType.F32, memory, source, dims=dims, asynchronous=unit)

    _parity(asm, X, emit)
    return Procedure(
        "arrive_west_f32",
        (target.name, count.name),
        asm.body,
        ("Store the sums that arrive from the east.",),
    )


def turn(units: Units) -> Procedure:
    """``turn_east_add_f32(source, count)``: the sums that come from the west go back west.

    The last tile's part of a chain whose end lies elsewhere: it adds its own words.
    Asynchronous; signals ``CHAIN_DONE``.
    """
    asm = Asm(6)
    source, count = asm.register("source"), asm.register("count")
    memory, dims = words(asm, source, count, DType.F32)
    unit = Asynchronous(units.up, CHAIN_DONE)

    def emit(send: int, receive: int) -> None:
        out, came = WEST.strands[send].queue(), EAST.strands[receive].queue()
        asm.vector("add", DType.F32, out, came, memory, dims=dims, asynchronous=unit)

    with asm.when(X, "==", W - 1):
        _parity(asm, X, emit)
    return Procedure(
        "turn_east_add_f32",
        (source.name, count.name),
        asm.body,
        ("The last column: add the source to what arrives, and send the sums back west.",),
    )


def forward(units: Units) -> Procedure:
    """``forward_west_f32(count)``: pass words on to the west; signals ``ARRIVED``."""
    asm = Asm(6)
    count = asm.register("count")
    unit = Asynchronous(units.arrival, ARRIVED)

    def emit(send: int, receive: int) -> None:
        out, came = WEST.strands[send].queue(), WEST.strands[receive].queue()
        asm.vector("mov", DType.F32, out, came, dims=[("i", count)], asynchronous=unit)

    with asm.when(X, ">", 0):
        _parity(asm, X, emit)
    return Procedure(
        "forward_west_f32", (count.name,), asm.body, ("Pass count words on to the west.",)
    )


def all_reduce(line: Line, op: str, dtype: DType) -> Procedure:
    """``row_all_add_f32(buffer, count)``: every tile of the line gets the combined words.

    Two chains run from the ends to the tile in the middle, which broadcasts the result.
    """
    asm = Asm(6)
    buffer, count = asm.register("buffer"), asm.register("count")
    memory, dims = words(asm, buffer, count, dtype)
    suffix = f"{op}_{dtype.value}"
    with asm.when(line.along, "==", line.root):
        for direction in (line.up, line.down):
            asm.call(f"take_{direction.name}_{suffix}", target=buffer, source=buffer, count=count)
        with asm.when(line.size, ">", 1):
            asm.vector("mov", dtype, line.cast.strand.queue(), memory, dims=dims)
    with asm.otherwise():
        with asm.when(line.along, "<", line.root):
            asm.call(f"chain_{line.up.name}_{suffix}", source=buffer, count=count)
        with asm.otherwise():
            asm.call(f"chain_{line.down.name}_{suffix}", source=buffer, count=count)
        asm.wait(CHAIN_DONE, 1)
        asm.vector("mov", dtype, memory, line.cast.strand.queue(), dims=dims)
    return Procedure(
        f"{line.name}_all_{suffix}",
        (buffer.name, count.name),
        asm.body,
        (f"Combine count words over the {line.name}; every tile gets the result.",),
    )


def all_reduce_in_groups(line: Line, op: str, dtype: DType) -> Procedure:
    """The same, where the sums of groups go from leader to leader to the middle."""
    asm = Asm(6)
    buffer, count = asm.register("buffer"), asm.register("count")
    memory, dims = words(asm, buffer, count, dtype)
    suffix = f"{op}_{dtype.value}"
    with asm.when(line.along, "==", line.root):
        for _, lead in line.halves:
            came = lead.strands[0].queue()
            with asm.when(lead.longest, ">", 0):
                asm.vector(op, dtype, memory, came, memory, dims=dims)
        with asm.when(line.size, ">", 1):
            asm.vector("mov", dtype, line.cast.strand.queue(), memory, dims=dims)
    with asm.otherwise():
        lower, upper = (f"{inward.name}_{suffix}" for inward, _ in line.halves)
        with asm.when(line.along, "<", line.root):
            asm.call(lower, buffer=buffer, count=count)
        with asm.otherwise():
            asm.call(upper, buffer=buffer, count=count)
        asm.vector("mov", dtype, memory, line.cast.strand.queue(), dims=dims)
    return Procedure(
        f"{line.name}_all_{suffix}",
        (buffer.name, count.name),
        asm.body,
        (
            f"Combine count words over the {line.name}, within groups and then over groups;",
            "every tile gets the result.",
        ),
    )


def inward(inward: Inward, lead: Lead, op: str, dtype: DType) -> Procedure:
    """``inward_east_add_f32(buffer, count)``: a tile's part of a reduce in groups.

    A leader's buffer is combined with what its group gives.
    """
    asm = Asm(6)
    buffer, count = asm.register("buffer"), asm.register("count")
    memory, dims = words(asm, buffer, count, dtype)

    def passed(flow: Inward | Lead, number: Expr, comes: Expr) -> None:
        """Send the words on, combined with those that come if any do."""

        def emit(send: int, receive: int) -> None:
            out, came = flow.strands[send].queue(), flow.strands[receive].queue()
            with asm.when(comes, "==", 0):
                asm.vector("mov", dtype, out, memory, dims=dims)
            with asm.otherwise():
                asm.vector(op, dtype, out, came, memory, dims=dims)

        _parity(asm, number, emit)

    def taken(send: int, receive: int) -> None:
        asm.vector(op, dtype, memory, inward.strands[receive].queue(), memory, dims=dims)

    with asm.when(inward.place, ">", 0):
        passed(inward, inward.along, inward.followed)
    with asm.otherwise():
        with asm.when(inward.followed, "==", 1):
            _parity(asm, inward.along, taken)
        passed(lead, inward.number, inward.joined)
    return Procedure(
        f"{inward.name}_{op}_{dtype.value}",
        (buffer.name, count.name),
        asm.body,
        (
            "Combine count words with those of tiles further out, and pass them on: within a",
            "group to its leader, and from leader to leader to the middle.",
        ),
    )


def barrier() -> Procedure:
    """``barrier(buffer)``: no tile leaves before every tile has come; one word of scratch."""
    asm = Asm(6)
    buffer = asm.register("buffer")
    asm.call("row_all_max_i32", buffer=buffer, count=1)
    asm.call("column_all_max_i32", buffer=buffer, count=1)
    return Procedure(
        "barrier",
        (buffer.name,),
        asm.body,
        ("Meet all tiles: after it, every remote store may write what is free here.",),
    )


def long_lines(fabric: Fabric) -> frozenset[str]:
    """The axes of a mesh along which an all-reduce in groups is quicker, if cores can do it."""
    if not _has_queues(fabric) or fabric.colors < GROUPED_COLORS:
        return frozenset()
    sizes = {"x": fabric.width, "y": fabric.height}
    return frozenset(axis for axis, size in sizes.items() if size >= LONG_LINE)


@cache
def library(stream_units: int, grouped: frozenset[str] = frozenset()) -> Mapping[str, Procedure]:
    """Name -> procedure, for cores with so many stream units, one at least.

    grouped: the axes along which all-reduces go in groups.
    """
    units = Units.of(stream_units)
    made: list[Procedure] = [arrive(units), turn(units), forward(units), barrier()]
    if stream_units > CHAIN_UNITS:
        made.append(clear())
    if stream_units > OUTWARDS:
        made.append(rise())
    for axis, line in LINES.items():
        for op, dtype in product(("add", "max"), DType):
            made += [chain(line, up, op, dtype, units) for up in (True, False)]
            made += [take(line, up, op, dtype) for up in (True, False)]
            if axis in grouped:
                made += [inward(*flows, op, dtype) for flows in line.halves]
                made.append(all_reduce_in_groups(line, op, dtype))
            else:
                made.append(all_reduce(line, op, dtype))
    made.append(take(ROW, True, "add", DType.F32, units))
    return {procedure.name: procedure for procedure in made}


def on_chains(body: tuple[Statement, ...]) -> bool:
    """Whether a body itself sends or receives on a chain from neighbour to neighbour."""
    strands = (STRANDS[color] for color in colors_of(body) if color in STRANDS)
    return any(isinstance(strand.flow, Chain) for strand in strands)


def called(body: tuple[Statement, ...]) -> list[str]:
    """Names of the procedures that a body calls, in order of appearance."""
    return list(dict.fromkeys(call.procedure for call in calls(body)))
