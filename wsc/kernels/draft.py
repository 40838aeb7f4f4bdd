"""What the collectives are made of: a line of tiles, a vector, routes and instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wsc.flows import REGION
from wsc.isa.expr import Expr, ExprLike, H, Name, W, X, Y, binary
from wsc.isa.program import Fabric, Position, Route, Statement
from wsc.isa.types import DType, Side
from wsc.kernels.asm import Asm, At

RAMP = Side.RAMP
BUFFER = Name("v")


@dataclass(frozen=True, slots=True)
class Axis:
    """A row or a column as a line of tiles: coordinate, number of tiles, sides."""

    along: Name
    size: Name
    ahead: Side
    back: Side


ROW = Axis(X, W, Side.EAST, Side.WEST)
COLUMN = Axis(Y, H, Side.SOUTH, Side.NORTH)


@dataclass(frozen=True, slots=True)
class Vector:
    """What a collective works on, and what of a tile it may use.

    buffer: address of ``words`` elements in every tile, of type ``dtype``, combined by ``op``
    (a vector instruction of two sources). prefix: of the names of its colors. unit,
    semaphore: of the collectives that send while they receive.
    """

    words: int
    axis: Axis = ROW
    buffer: Expr = BUFFER
    dtype: DType = DType.F32
    op: str = "add"
    prefix: str = ""
    unit: int = 0
    semaphore: int = 0


@dataclass(frozen=True, slots=True)
class Collective:
    """Colors in the order in which they should be numbered, their routes, instructions.

    The ramp's first queues are the deepest: give these colors lower numbers than those
    whose speed does not matter.
    """

    colors: tuple[str, ...]
    routes: tuple[Route, ...]
    body: tuple[Statement, ...]


@dataclass(slots=True)
class Draft:
    """A collective in the making."""

    vector: Vector
    asm: Asm = field(default_factory=lambda: Asm(6))
    colors: list[str] = field(default_factory=list[str])
    routes: list[Route] = field(default_factory=list[Route])

    @property
    def place(self) -> tuple[Expr, Expr]:
        """Coordinate and number of tiles along the axis."""
        return self.vector.axis.along, self.vector.axis.size

    def color(self, name: str) -> Fabric:
        """A color of this collective, as a queue operand."""
        full = self.vector.prefix + name
        if full not in self.colors:
            self.colors.append(full)
        return Fabric(full)

    def route(self, color: Fabric, guard: Expr, *positions: tuple[Side, ...]) -> None:
        """Switch positions, each a receive side and its send sides, where the guard holds."""
        found = tuple(Position(receive, send) for receive, *rest in positions if (send := (*rest,)))
        self.routes.append(Route(color.color, REGION, guard, found))

    def memory(self, word: ExprLike = 0, **strides: int) -> At:
        """The buffer from a word on; strides of further iteration names in words."""
        size = self.vector.dtype.bytes
        steps = {name: stride * size for name, stride in strides.items()}
        return At(self.vector.buffer + binary("*", word, size), {**steps, "i": size})

    def send(self, out: Fabric) -> None:
        """Send the buffer."""
        self.asm.vector("mov", self.vector.dtype, out, self.memory(), dims=self.dims())

    def store(self, came: Fabric) -> None:
        """Fill the buffer."""
        self.asm.vector("mov", self.vector.dtype, self.memory(), came, dims=self.dims())

    def forward(self, out: Fabric, came: Fabric) -> None:
        """Combine what arrives with the buffer, and send it on."""
        memory = self.memory()
        self.asm.vector(self.vector.op, self.vector.dtype, out, came, memory, dims=self.dims())

    def accumulate(self, came: Fabric, vectors: ExprLike = 1) -> None:
        """Combine some vectors that arrive one behind the other into the buffer."""
        memory = self.memory(n=0)
        dims = [("n", vectors), *self.dims()]
        self.asm.vector(self.vector.op, self.vector.dtype, memory, came, memory, dims=dims)

    def dims(self) -> list[tuple[str, ExprLike]]:
        """The iteration space of one vector."""
        return [("i", self.vector.words)]

    def by_parity(self, of: Expr, emit: Callable[[int], None]) -> None:
        """``emit(0)`` in tiles where ``of`` is even, ``emit(1)`` in the others."""
        with self.asm.when(of % 2, "==", 0):
            emit(0)
        with self.asm.otherwise():
            emit(1)

    def finished(self) -> Collective:
        """The collective."""
        return Collective(tuple(self.colors), tuple(self.routes), self.asm.body)


def relation(left: Expr, name: str, right: ExprLike) -> Expr:
    """One where ``left name right`` holds, else zero."""
    return binary(name, left, right)
