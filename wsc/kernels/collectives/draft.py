"""What the collectives are made of: a vector, the strands of a flow, instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wsc.flows import Strand
from wsc.flows.collectives import ROW, Collective, Line
from wsc.isa.expr import Expr, ExprLike, Name, binary
from wsc.isa.program import Statement
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At

BUFFER = Name("v")


@dataclass(frozen=True, slots=True)
class Vector:
    """What a collective works on, and what of a tile it may use.

    buffer: address of ``words`` elements in every tile of the line, of type ``dtype``, combined by
    ``op`` (a vector instruction of two sources). unit, semaphore: of the collectives that send
    while they receive.
    """

    words: int
    line: Line = ROW
    buffer: Expr = BUFFER
    dtype: DType = DType.F32
    op: str = "add"
    unit: int = 0
    semaphore: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A collective's instructions, and the flow on which they send.

    The ramp's first queues are the deepest: strands get their colors in the order of the flow.
    """

    flow: Collective
    body: tuple[Statement, ...]


@dataclass(slots=True)
class Draft:
    """A collective in the making."""

    vector: Vector
    asm: Asm = field(default_factory=lambda: Asm(6))

    def memory(self, word: ExprLike = 0, **strides: int) -> At:
        """The buffer from a word on; strides of further iteration names in words."""
        size = self.vector.dtype.bytes
        steps = {name: stride * size for name, stride in strides.items()}
        return At(self.vector.buffer + binary("*", word, size), {**steps, "i": size})

    def send(self, out: Strand) -> None:
        """Send the buffer."""
        self.asm.vector("mov", self.vector.dtype, out.queue(), self.memory(), dims=self.dims())

    def store(self, came: Strand) -> None:
        """Fill the buffer."""
        self.asm.vector("mov", self.vector.dtype, self.memory(), came.queue(), dims=self.dims())

    def forward(self, out: Strand, came: Strand) -> None:
        """Combine what arrives with the buffer, and send it on."""
        vector, queues = self.vector, (out.queue(), came.queue())
        self.asm.vector(vector.op, vector.dtype, *queues, self.memory(), dims=self.dims())

    def accumulate(self, came: Strand, vectors: ExprLike = 1) -> None:
        """Combine some vectors that arrive one behind the other into the buffer."""
        vector, memory = self.vector, self.memory(n=0)
        dims = [("n", vectors), *self.dims()]
        self.asm.vector(vector.op, vector.dtype, memory, came.queue(), memory, dims=dims)

    def dims(self) -> list[tuple[str, ExprLike]]:
        """The iteration space of one vector."""
        return [("i", self.vector.words)]

    def by_parity(self, of: Expr, emit: Callable[[int], None]) -> None:
        """``emit(0)`` in tiles where ``of`` is even, ``emit(1)`` in the others."""
        with self.asm.when(of % 2, "==", 0):
            emit(0)
        with self.asm.otherwise():
            emit(1)
