"""Programs of one collective: load a vector into every tile, run it, take the result out.

For looking at a collective by itself: its text, its cycles, what changes with the fabric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from wsc.errors import CompileError
from wsc.flows import REGION
from wsc.flows.collectives import COLUMN, ROW, Alone, Load, TwoPhaseReduce, Unload
from wsc.flows.collectives.ends import FIRST
from wsc.flows.collectives.two_phase import group_of
from wsc.flows.flow import when
from wsc.isa.expr import H, Int, Name, W, X, Y
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import (
    Dim,
    Direction,
    EdgeTensor,
    Extent,
    Kind,
    Program,
    Queue,
    Region,
    Statement,
    Tensor,
    Transfer,
)
from wsc.isa.types import Control, DType
from wsc.isa.verifier import verify
from wsc.kernels.asm import Asm, At
from wsc.kernels.collectives import lines
from wsc.kernels.collectives.draft import BUFFER, Made, Vector
from wsc.kernels.collectives.tree import tree


@dataclass(frozen=True, slots=True)
class Mesh:
    """The tiles of a program, and the machine whose numbers decide what is best on them."""

    width: int
    height: int
    fabric: Fabric

    @property
    def tiles(self) -> int:
        """Those of the line."""
        return max(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collective takes and gives: vectors of one tile, or of all of them."""

    emit: Callable[[Vector, Mesh], Made]
    from_all: bool
    to_all: bool


def _two_phase(vector: Vector, mesh: Mesh) -> Made:
    group = group_of(mesh.tiles)
    flow = TwoPhaseReduce(vector.line, mesh.tiles, group)
    early = flow.early(mesh.fabric, vector.words)
    return lines.two_phase(vector, mesh.tiles, group, early)


SHAPES: dict[str, Shape] = {
    "broadcast": Shape(lambda v, m: lines.broadcast(v, m.tiles), False, True),
    "broadcast_2d": Shape(lambda v, m: lines.broadcast_2d(v, m.width, m.height), False, True),
    "chain": Shape(lambda v, m: lines.chain(v, m.tiles), True, False),
    "star": Shape(lambda v, m: lines.star(v, m.tiles), True, False),
    "tree": Shape(lambda v, m: tree(v, m.tiles, enter=v.line.outward), True, False),
    "two_phase": Shape(_two_phase, True, False),
    "ring": Shape(lambda v, m: lines.ring(v, m.tiles), True, True),
}


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
    line = ROW if flat or height == 1 else COLUMN
    shape = SHAPES[name]
    vector = Vector(words, line, BUFFER, dtype, op)
    machine = find_fabric(fabric)
    made = shape.emit(vector, Mesh(width, height, machine))
    program = _around(name, shape, made, vector, width, height)
    program = replace(program, fabric=fabric)
    verify(program, machine.sized(width, height))
    return program


def _around(
    name: str, shape: Shape, made: Made, vector: Vector, width: int, height: int
) -> Program:
    """The collective with what comes before and after it."""
    dtype, words = vector.dtype, vector.words
    flat = name == "broadcast_2d"
    # The tree's first color brings the input too: another would need one more queue.
    ends: list[Alone] = [] if name == "tree" else [Load(vector.line.outward, shape.from_all)]
    ends.append(Unload(vector.line.outward, shape.to_all, flat))
    strands = [strand for flow in (made.flow, *ends) for strand in flow.strands]
    entry = made.flow.strands[0].name if name == "tree" else "load"
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
        colors=tuple((strand.name, number) for number, strand in enumerate(strands)),
        tensors=(Tensor(BUFFER.name, dtype, (Extent(words),), 0, words * dtype.bytes),),
        regions=(Region(REGION, 0, 0, width, height, (*before, *made.body, *after)),),
        routes=tuple(route for strand in strands for route in strand.routes(strand.name)),
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


def _transfers(shape: Shape, vector: Vector, entry: str, flat: bool) -> tuple[Transfer, ...]:
    outward = vector.line.outward
    first = when(FIRST, "==", 0)
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
