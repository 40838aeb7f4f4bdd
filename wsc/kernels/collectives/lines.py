"""Collectives over one row or one column, and the broadcast over a whole rectangle.

Each function gives instructions for ``words`` words at one buffer address in every tile, on the
strands of its flow (``wsc/flows/collectives``). Reduces leave their result in tile 0, broadcasts
start from it. All but the broadcast over a rectangle are written once, for tile coordinates
along a line.

An instruction that takes one color and sends another forwards word by word, so a tile never
waits for a whole vector that it only passes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsc.errors import CompileError
from wsc.flows import Strand
from wsc.flows.collectives import (
    Broadcast,
    Broadcast2D,
    ChainReduce,
    RingReduce,
    StarReduce,
    TwoPhaseReduce,
)
from wsc.isa.expr import Expr, Name, X, Y, minimum
from wsc.isa.program import Asynchronous, Statement
from wsc.isa.types import Control
from wsc.kernels.collectives.draft import Draft, Made, Vector

Pair = tuple[Strand, Strand]  # received by even places, and by odd ones


def broadcast(vector: Vector, tiles: int) -> Made:
    """Tile 0 sends, and the routers hand a copy to every tile of the line as it passes."""
    flow = Broadcast(vector.line, tiles)
    return Made(flow, _sent_from(flow.place, vector, flow.strand))


def broadcast_2d(vector: Vector, width: int, height: int) -> Made:
    """Tile (0, 0) sends along its row, and each router there down its column, too.

    The vector's line does not matter.
    """
    flow = Broadcast2D(width, height)
    return Made(flow, _sent_from(X + Y, vector, flow.strand))


def _sent_from(place: Expr, vector: Vector, cast: Strand) -> tuple[Statement, ...]:
    """Tile 0 sends its buffer, the others fill theirs."""
    draft = Draft(vector)
    with draft.asm.when(place, "==", 0):
        draft.send(cast)
    with draft.asm.otherwise():
        draft.store(cast)
    return draft.asm.body


def chain(vector: Vector, tiles: int) -> Made:
    """Every tile adds its words to those from ahead, and passes the sums on."""
    flow, draft = ChainReduce(vector.line, tiles), Draft(vector)
    even, odd = flow.strands
    with draft.asm.when(flow.place, "==", 0):
        draft.accumulate(even)
    with draft.asm.otherwise():
        _pass_on(draft, flow.place, flow.last, (even, odd))
    return Made(flow, draft.asm.body)


def _pass_on(draft: Draft, place: Expr, last: Expr, strands: Pair) -> None:
    """A link of a chain: the first one only sends."""

    def begin(parity: int) -> None:
        draft.send(strands[1 - parity])

    def go_on(parity: int) -> None:
        draft.forward(strands[1 - parity], strands[parity])

    with draft.asm.when(last, "==", 1):
        draft.by_parity(place, begin)
    with draft.asm.otherwise():
        draft.by_parity(place, go_on)


def star(vector: Vector, tiles: int) -> Made:
    """Every tile sends its words to tile 0, the nearest first."""
    flow, draft = StarReduce(vector.line, tiles), Draft(vector)
    x, size, strand = flow.place, vector.line.size, flow.strand
    with draft.asm.when(x, "==", 0):
        draft.accumulate(strand, size - 1)
    with draft.asm.otherwise():
        with draft.asm.when(x, "<", size - 1):  # outside, so that the control follows at once
            draft.send(strand)
            draft.asm.control(Control.ADVANCE, strand.name)
        with draft.asm.otherwise():
            draft.send(strand)
    return Made(flow, draft.asm.body)


def two_phase(vector: Vector, tiles: int, group: int, early: bool = False) -> Made:
    """Chains within groups of ``group`` neighbours, then a chain over their first tiles.

    early: the leader furthest ahead passes its group's sums on as they come
    (``TwoPhaseReduce.early`` says when that saves time).

    Raises:
        CompileError: the tiles do not make two or more whole groups of two or more.
    """
    flow, draft = TwoPhaseReduce(vector.line, tiles, group), Draft(vector)
    even, odd, *leads = flow.strands

    def whole(parity: int) -> None:
        draft.forward(leads[1 - parity], even)

    with draft.asm.when(flow.within, ">", 0):
        _pass_on(draft, flow.within, flow.last, (even, odd))
    with draft.asm.otherwise():
        if early:
            with draft.asm.when(flow.place, ">=", vector.line.size - group):
                draft.by_parity(flow.number, whole)
            with draft.asm.otherwise():
                _second_phase(draft, flow)
        else:
            _second_phase(draft, flow)
    return Made(flow, draft.asm.body)


def _second_phase(draft: Draft, flow: TwoPhaseReduce) -> None:
    """A leader that first finishes its group's sums."""
    even, _, *leads = flow.strands

    def begin(parity: int) -> None:
        draft.send(leads[1 - parity])

    def onward(parity: int) -> None:
        draft.forward(leads[1 - parity], leads[parity])

    draft.accumulate(even)
    with draft.asm.when(flow.place, "==", 0):
        draft.accumulate(leads[0])
    with draft.asm.otherwise():
        with draft.asm.when(flow.place, "<", flow.line.size - flow.group):
            draft.by_parity(flow.number, onward)
        with draft.asm.otherwise():
            draft.by_parity(flow.number, begin)


def ring(vector: Vector, tiles: int) -> Made:
    """All-reduce around a ring: the line, closed by a way back from its last tile to tile 0.

    The vector is cut into one chunk a tile (into as many as it has words, if they are fewer).
    First each chunk goes once around and is summed up, then the sums go around. A tile
    takes a whole chunk before it sends it: were it to pass on words as they come, all tiles
    could wait for room in each other's queues in a circle. So it sends on a stream unit and
    takes the next chunk meanwhile.

    Raises:
        CompileError: the words cannot be cut evenly.
    """
    chunks = min(tiles, vector.words)
    if tiles < 2 or vector.words % chunks:
        raise CompileError(
            f"a ring over {tiles} tiles cannot cut {vector.words} words into {chunks} equal chunks"
        )
    flow, draft = RingReduce(vector.line, tiles), Draft(vector)
    x, size = flow.place, vector.line.size
    even, odd, back = flow.strands
    sent = even, odd
    part = _Part.first(draft, chunks)

    def turn(parity: int) -> None:
        part.around(draft, sent[1 - parity], back)

    def inner(parity: int) -> None:
        part.around(draft, sent[1 - parity], sent[parity])

    with draft.asm.when(x, "==", 0):
        part.around(draft, back, even)
    with draft.asm.otherwise():
        with draft.asm.when(x, "==", size - 1):
            draft.by_parity(x, turn)
        with draft.asm.otherwise():
            draft.by_parity(x, inner)
    return Made(flow, draft.asm.body)


@dataclass(frozen=True, slots=True)
class _Part:
    """The chunk that a tile of a ring is at: its byte offset and its words, in registers.

    There are chunks of no words, if there are fewer words than tiles.
    """

    words: int
    at: Name
    count: Name

    @staticmethod
    def first(draft: Draft, chunks: int) -> _Part:
        """The chunk with the tile's own number."""
        words = draft.vector.words // chunks
        part = _Part(words, draft.asm.register("at"), draft.asm.register("count"))
        draft.asm.set(part.at, draft.vector.line.along * part.step(draft))
        part.measure(draft)
        return part

    def step(self, draft: Draft) -> int:
        """Bytes of a chunk."""
        return self.words * draft.vector.dtype.bytes

    def measure(self, draft: Draft) -> None:
        """Count the words."""
        end = draft.vector.words * draft.vector.dtype.bytes
        draft.asm.set(self.count, minimum(self.words, end - self.at))

    def around(self, draft: Draft, came: Strand, out: Strand) -> None:
        """Both turns: the chunks x, x - 1, ..., and on from x + 1, which is then complete."""
        vector, asm, size = draft.vector, draft.asm, draft.vector.line.size
        unit = Asynchronous(vector.unit, vector.semaphore)
        memory, dims = draft.memory().moved(self.at), [("i", self.count)]
        for turn in ("sum", "share"):
            with asm.loop(turn, size - 1):
                asm.vector("mov", vector.dtype, out.queue(), memory, dims=dims, asynchronous=unit)
                asm.set(self.at, self.at - self.step(draft))
                with asm.when(self.at, "<", 0):
                    asm.set(self.at, self.at + size * self.step(draft))
                self.measure(draft)
                if turn == "sum":
                    asm.vector(vector.op, vector.dtype, memory, came.queue(), memory, dims=dims)
                else:
                    asm.vector("mov", vector.dtype, memory, came.queue(), dims=dims)
        asm.wait(vector.semaphore, 2 * (size - 1))
