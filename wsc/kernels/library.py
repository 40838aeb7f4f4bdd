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

from wsc.flows import COLUMN_CAST, EAST, NORTH, ROOT_X, ROOT_Y, ROW_CAST, SOUTH, WEST, Cast, Chain
from wsc.isa.expr import Expr, H, Int, Name, W, X, Y
from wsc.isa.program import Asynchronous, Procedure, Statement
from wsc.isa.statements import calls
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At

CHAIN_DONE = 0
ARRIVED = 1
STORED = 2
SEMAPHORES = 3
CLEARED = 3  # used only where a core has one more
CHAIN_UNITS = 3


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


ROW = Line("row", X, W, ROOT_X, EAST, WEST, ROW_CAST)
COLUMN = Line("column", Y, H, ROOT_Y, SOUTH, NORTH, COLUMN_CAST)
LINES = {"x": ROW, "y": COLUMN}


def words(asm: Asm, base: Name, count: Name, dtype: DType) -> tuple[At, list[tuple[str, Expr]]]:
    """A contiguous operand of ``count`` elements at register ``base``."""
    return At(base, {"i": dtype.bytes}), [("i", count)]


def _parity(asm: Asm, line: Line, emit: Callable[[int, int], None]) -> None:
    """``emit(send, receive)``, which strands of a chain these are, for even and for odd tiles."""
    with asm.when(line.along % 2, "==", 0):
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
        _parity(asm, line, emit)
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
        _parity(asm, line, emit)
    suffix = "_async" if asynchronous else ""
    return Procedure(
        f"take_{towards.name}_{op}_{dtype.value}{suffix}",
        (target.name, source.name, count.name),
        asm.body,
        (f"End of a chain that runs {towards.name}: target = source combined with what arrives.",),
    )


def clear() -> Procedure:
    """``clear_f32(target, count)``: zeros, on the unit that no chain uses; signals ``CLEARED``."""
    asm = Asm(6)
    target, count = asm.register("target"), asm.register("count")
    memory, dims = words(asm, target, count, DType.F32)
    done = Asynchronous(0, CLEARED)
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

    _parity(asm, ROW, emit)
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
        _parity(asm, ROW, emit)
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
        _parity(asm, ROW, emit)
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


@cache
def library(stream_units: int) -> Mapping[str, Procedure]:
    """Name -> procedure, for cores with so many stream units, one at least."""
    units = Units.of(stream_units)
    made: list[Procedure] = [arrive(units), turn(units), forward(units), barrier()]
    if stream_units > CHAIN_UNITS:
        made.append(clear())
    for line in (ROW, COLUMN):
        for op in ("add", "max"):
            for dtype in DType:
                made += [chain(line, up, op, dtype, units) for up in (True, False)]
                made += [take(line, up, op, dtype) for up in (True, False)]
                made.append(all_reduce(line, op, dtype))
    made.append(take(ROW, True, "add", DType.F32, units))
    return {procedure.name: procedure for procedure in made}


def called(body: tuple[Statement, ...]) -> list[str]:
    """Names of the procedures that a body calls, in order of appearance."""
    return list(dict.fromkeys(call.procedure for call in calls(body)))
