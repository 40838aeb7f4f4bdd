"""Programs of one collective: load a vector into every tile, run it, take the result out.

For looking at a collective by itself: its text, its cycles, what changes with the fabric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log2

from wsc.collectives import Machine
from wsc.errors import CompileError
from wsc.flows import REGION
from wsc.isa.expr import H, Int, Name, W, X, Y
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import (
    Dim,
    Direction,
    EdgeTensor,
    Extent,
    Kind,
    Position,
    Program,
    Region,
    Route,
    Statement,
    Tensor,
    Transfer,
)
from wsc.isa.program import Fabric as Queue
from wsc.isa.types import Control, DType, Side
from wsc.isa.verifier import verify
from wsc.kernels import collectives
from wsc.kernels.asm import Asm, At
from wsc.kernels.draft import BUFFER, COLUMN, ROW, Collective, Vector, relation
from wsc.kernels.tree import tree

FIRST = X + Y  # zero in tile 0 alone, and the number of a tile in its line


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collective takes and gives: vectors of one tile, or of all of them."""

    emit: Callable[[Vector, int, Fabric], Collective]
    from_all: bool
    to_all: bool


def group_of(tiles: int) -> int:
    """Tiles of a group of the two-phase reduce: the divisor next to the square root.

    Of two that are equally near the smaller one.
    """
    divisors = [group for group in range(2, tiles // 2 + 1) if tiles % group == 0]
    return min(divisors, key=lambda group: abs(log2(group) - log2(tiles) / 2), default=tiles)


def _two_phase(vector: Vector, tiles: int, fabric: Fabric) -> Collective:
    group = group_of(tiles)
    early = Machine(fabric).early(vector.words, group)
    return collectives.two_phase(vector, tiles, group, early)


SHAPES: dict[str, Shape] = {
    "broadcast": Shape(lambda v, _n, _f: collectives.broadcast(v), False, True),
    "broadcast_2d": Shape(lambda v, _n, _f: collectives.broadcast_2d(v), False, True),
    "chain": Shape(lambda v, _n, _f: collectives.chain(v), True, False),
    "star": Shape(lambda v, _n, _f: collectives.star(v), True, False),
    "tree": Shape(lambda v, n, _f: tree(v, n, enter=_outward(v)), True, False),
    "two_phase": Shape(_two_phase, True, False),
    "ring": Shape(lambda v, n, _f: collectives.ring(v, n), True, True),
}


def _outward(vector: Vector) -> Side:
    """The side of a line on which its tiles have their input."""
    return Side.NORTH if vector.axis is ROW else Side.WEST


def compile_collective(
    name: str,
    width: int,
    height: int,
    words: int,
    *,
    fabric: str = "wse2",
    op: str = "add",
    dtype: DType = DType.F32,
) -> Program:
    """A verified program of one collective on ``width`` x ``height`` tiles.

    name: a key of ``SHAPES``; all but ``broadcast_2d`` take a single row or column.
    Its input is ``a``, one vector of ``words`` for each tile of the line that sends, its output
    ``r``, one for each tile (row, column, word in two dimensions) that has the result.

    Raises:
        CompileError: the name is unknown, or the collective cannot be done on those tiles.
        isa.diagnostics.AssemblyError: the program breaks a limit of the fabric.
    """
    if name not in SHAPES:
        known = ", ".join(sorted(SHAPES))
        raise CompileError(f"there is no collective '{name}'; there are {known}")
    flat = name == "broadcast_2d"
    if flat and min(width, height) < 2:
        raise CompileError(f"{name} needs two tiles or more each way, not {width}x{height}")
    if not flat and (min(width, height) > 1 or max(width, height) < 2):
        raise CompileError(f"{name} needs a row or a column of tiles, not {width}x{height}")
    axis = ROW if flat or height == 1 else COLUMN
    tiles = max(width, height)
    shape = SHAPES[name]
    vector = Vector(words, axis, BUFFER, dtype, op)
    machine = find_fabric(fabric)
    made = shape.emit(vector, tiles, machine)
    program = _around(name, shape, made, vector, width, height)
    program = replace(program, fabric=fabric)
    verify(program, machine.sized(width, height))
    return program


def _around(
    name: str, shape: Shape, made: Collective, vector: Vector, width: int, height: int
) -> Program:
    """The collective with what comes before and after it."""
    dtype, words = vector.dtype, vector.words
    entry = made.colors[0] if name == "tree" else "load"
    colors = (*made.colors, *(("load",) if entry == "load" else ()), "out")
    flat = name == "broadcast_2d"
    one = (words,)
    many = (height, width, words) if flat else (max(width, height), words)
    before, after = _load(shape, vector, entry), _store(shape, vector, flat)
    host = str(dtype.numpy)
    return Program(
        fabric="",
        width=width,
        height=height,
        precision=dtype,
        model=name,
        edge_tensors=(
            EdgeTensor("a", Kind.INPUT, dtype, many if shape.from_all else one, host),
            EdgeTensor("r", Kind.OUTPUT, dtype, many if shape.to_all else one, host),
        ),
        colors=tuple((color, number) for number, color in enumerate(colors)),
        tensors=(Tensor(BUFFER.name, dtype, (Extent(words),), 0, words * dtype.bytes),),
        regions=(Region(REGION, 0, 0, width, height, (*before, *made.body, *after)),),
        routes=(*made.routes, *_ends(shape, vector, entry, flat)),
        transfers=_transfers(shape, vector, entry, flat),
    )


def _load(shape: Shape, vector: Vector, entry: str) -> tuple[Statement, ...]:
    """Fill the buffer from the edge, in tile 0 or in all."""
    asm = Asm(6)
    memory, dims = At(BUFFER, {"i": vector.dtype.bytes}), [("i", vector.words)]
    if shape.from_all:
        asm.vector("mov", vector.dtype, memory, Queue(entry), dims=dims)
    else:
        with asm.when(FIRST, "==", 0):
            asm.vector("mov", vector.dtype, memory, Queue(entry), dims=dims)
    return asm.body


def _store(shape: Shape, vector: Vector, flat: bool) -> tuple[Statement, ...]:
    """Send the buffer to the edge, from tile 0 or from all."""
    asm = Asm(6)
    memory, dims = At(BUFFER, {"i": vector.dtype.bytes}), [("i", vector.words)]
    if not shape.to_all:
        with asm.when(FIRST, "==", 0):
            asm.vector("mov", vector.dtype, Queue("out"), memory, dims=dims)
        return asm.body
    asm.vector("mov", vector.dtype, Queue("out"), memory, dims=dims)
    if flat:
        with asm.when(Y, ">", 0):
            asm.control(Control.ADVANCE, "out")
    return asm.body


def _ends(shape: Shape, vector: Vector, entry: str, flat: bool) -> tuple[Route, ...]:
    """Routes of input and output: up and down a row, west to east along a column."""
    outward = _outward(vector)
    first = None if shape.from_all else relation(FIRST, "==", 0)
    load = Route("load", REGION, first, (Position(outward, (Side.RAMP,)),))
    away = outward.opposite
    own, others = Position(Side.RAMP, (away,)), Position(away.opposite, (away,))
    if flat:  # nearest first: a tile's own vector, then those of the tiles above it
        out = (
            Route("out", REGION, relation(Y, ">", 0), (own, others)),
            Route("out", REGION, relation(Y, "==", 0), (own,)),
        )
    else:
        guard = None if shape.to_all else relation(FIRST, "==", 0)
        out = (Route("out", REGION, guard, (own,)),)
    return (*((load,) if entry == "load" else ()), *out)


def _transfers(shape: Shape, vector: Vector, entry: str, flat: bool) -> tuple[Transfer, ...]:
    outward = _outward(vector)
    first = relation(FIRST, "==", 0)
    offset = FIRST * vector.words + Name("i")
    dims = (Dim("i", Int(vector.words)),)
    feed = Transfer(
        Direction.FEED,
        entry,
        REGION,
        outward,
        None if shape.from_all else first,
        "a",
        offset if shape.from_all else Name("i"),
        dims,
        then=Control.NONE if entry == "load" else Control.ADVANCE,
    )
    if flat:
        rows = W * vector.words
        offset = (H - 1) * rows - Name("n") * rows + X * vector.words + Name("i")
        feed = replace(feed, offset=Name("i"))
        dims = (Dim("n", H), *dims)
    guard = None if shape.to_all else first
    drain = Transfer(
        Direction.DRAIN,
        "out",
        REGION,
        outward.opposite,
        guard,
        "r",
        offset if shape.to_all else Name("i"),
        dims,
    )
    return feed, drain
