"""Programs of one collective: load a vector into every tile, run it, take the result out.

For looking at a collective by itself: its text, its cycles, what changes with the fabric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log2

from isa.expr import H, Int, Name, W, X, Y, binary
from isa.fabric import find_fabric
from isa.program import (
    Dim,
    Direction,
    EdgeTensor,
    Extent,
    Fabric,
    Kind,
    Position,
    Program,
    Region,
    Route,
    Tensor,
    Transfer,
)
from isa.types import Control, DType, Side
from isa.verifier import verify
from wsc.errors import CompileError
from wsc.kernels import collectives
from wsc.kernels.asm import Asm, At
from wsc.kernels.collectives import COLUMN, ROW, Collective, Vector
from wsc.kernels.flows import REGION

BUFFER = "v"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collective takes and gives: vectors of one tile, or of all of them."""

    emit: Callable[[Vector, int], Collective]
    from_all: bool
    to_all: bool


def group_of(tiles: int) -> int:
    """Tiles of a group of the two-phase reduce: the divisor next to the square root.

    Of two that are equally near the smaller one.
    """
    divisors = [group for group in range(2, tiles // 2 + 1) if tiles % group == 0]
    return min(divisors, key=lambda group: abs(log2(group) - log2(tiles) / 2), default=tiles)


SHAPES: dict[str, Shape] = {
    "broadcast": Shape(lambda v, _: collectives.broadcast(v), False, True),
    "broadcast_2d": Shape(lambda v, _: collectives.broadcast_2d(v), False, True),
    "chain": Shape(lambda v, _: collectives.chain(v), True, False),
    "star": Shape(lambda v, _: collectives.star(v), True, False),
    "tree": Shape(lambda v, n: collectives.tree(v, n, enter=_outward(v)), True, False),
    "two_phase": Shape(lambda v, n: collectives.two_phase(v, n, group_of(n)), True, False),
    "ring": Shape(collectives.ring, True, True),
}


def _outward(vector: Vector) -> Side:
    """The side of a line on which its tiles have their input."""
    return Side.NORTH if vector.axis is ROW else Side.WEST


def compile_collective(
    name: str, width: int, height: int, words: int, *, fabric: str = "wse2", op: str = "add",
    dtype: DType = DType.F32,
) -> Program:  # fmt: skip
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
    vector = Vector(words, axis, Name(BUFFER), dtype, op)
    program = _around(name, shape, shape.emit(vector, tiles), vector, width, height)
    program = replace(program, fabric=fabric)
    verify(program, find_fabric(fabric).sized(width, height))
    return program


def _around(
    name: str, shape: Shape, made: Collective, vector: Vector, width: int, height: int
) -> Program:
    """The collective with what comes before and after it."""
    dtype, words = vector.dtype, vector.words
    entry = made.colors[0] if name == "tree" else "load"
    colors = (*made.colors, *(("load",) if entry == "load" else ()), "out")
    flat = name == "broadcast_2d"
    lead = (height, width) if flat else (max(width, height),)
    one, many = (words,), (*lead, words)
    body = Asm(6)
    memory = At(Name(BUFFER), {"i": dtype.bytes})
    x = X + Y  # zero in tile 0 alone
    if shape.from_all:
        body.vector("mov", dtype, memory, Fabric(entry), dims=[("i", words)])
    else:
        with body.when(x, "==", 0):
            body.vector("mov", dtype, memory, Fabric(entry), dims=[("i", words)])
    after = Asm(6)
    if shape.to_all:
        after.vector("mov", dtype, Fabric("out"), memory, dims=[("i", words)])
        if flat:
            with after.when(Y, ">", 0):
                after.control(Control.ADVANCE, "out")
    else:
        with after.when(x, "==", 0):
            after.vector("mov", dtype, Fabric("out"), memory, dims=[("i", words)])
    return Program(
        fabric="",
        width=width,
        height=height,
        precision=dtype,
        model=name,
        edge_tensors=(
            EdgeTensor("a", Kind.INPUT, dtype, many if shape.from_all else one, str(dtype.numpy)),
            EdgeTensor("r", Kind.OUTPUT, dtype, many if shape.to_all else one, str(dtype.numpy)),
        ),
        colors=tuple((color, number) for number, color in enumerate(colors)),
        tensors=(Tensor(BUFFER, dtype, (Extent(words),), 0, words * dtype.bytes),),
        regions=(Region(REGION, 0, 0, width, height, (*body.body, *made.body, *after.body)),),
        routes=(*made.routes, *_ends(shape, vector, entry, flat)),
        transfers=_transfers(shape, vector, entry, flat),
    )


def _ends(shape: Shape, vector: Vector, entry: str, flat: bool) -> tuple[Route, ...]:
    """Routes of input and output: up and down a row, west to east along a column."""
    outward = _outward(vector)
    first = None if shape.from_all else binary("==", X + Y, 0)
    load = Route("load", REGION, first, (Position(outward, (Side.RAMP,)),))
    away = outward.opposite
    own, others = Position(Side.RAMP, (away,)), Position(away.opposite, (away,))
    if flat:  # nearest first: a tile's own vector, then those of the tiles above it
        out = (
            Route("out", REGION, binary(">", Y, 0), (own, others)),
            Route("out", REGION, binary("==", Y, 0), (own,)),
        )
    else:
        guard = None if shape.to_all else binary("==", X + Y, 0)
        out = (Route("out", REGION, guard, (own,)),)
    return (*((load,) if entry == "load" else ()), *out)


def _transfers(shape: Shape, vector: Vector, entry: str, flat: bool) -> tuple[Transfer, ...]:
    outward = _outward(vector)
    first = binary("==", X + Y, 0)
    offset = (X + Y) * vector.words + Name("i")
    dims = (Dim("i", Int(vector.words)),)
    feed = Transfer(
        Direction.FEED, entry, REGION, outward, None if shape.from_all else first, "a",
        offset if shape.from_all else Name("i"), dims,
        then=Control.NONE if entry == "load" else Control.ADVANCE,
    )  # fmt: skip
    if flat:
        rows = W * vector.words
        offset = (H - 1) * rows - Name("n") * rows + X * vector.words + Name("i")
        feed = replace(feed, offset=Name("i"))
        dims = (Dim("n", H), *dims)
    guard = None if shape.to_all else first
    drain = Transfer(
        Direction.DRAIN, "out", REGION, outward.opposite, guard, "r",
        offset if shape.to_all else Name("i"), dims,
    )  # fmt: skip
    return feed, drain
