"""Collectives over one row or one column, and the broadcast over a whole rectangle.

Each function gives routes and instructions for ``words`` words at one buffer address in
every tile. Reduces leave their result in tile 0, broadcasts start from it. All but the
broadcast over a rectangle are written once, for tile coordinates along an axis; ``ahead``
is away from tile 0, ``back`` towards it.

An instruction that takes one color and sends another forwards word by word, so a tile never
waits for a whole vector that it only passes on. A color has one receive side in a tile: that
decides how many colors each collective needs. ``wsc/collectives.py`` has the cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsc.errors import CompileError
from wsc.isa.expr import Expr, H, Name, W, X, Y, minimum
from wsc.isa.program import Asynchronous, Queue
from wsc.isa.types import Control, Side
from wsc.kernels.draft import RAMP, Collective, Draft, Vector, relation


def broadcast(vector: Vector) -> Collective:
    """Tile 0 sends, and the routers hand a copy to every tile of the line as it passes."""
    draft = Draft(vector)
    (x, size), (ahead, back) = draft.place, (vector.axis.ahead, vector.axis.back)
    cast = draft.color("cast")
    draft.route(cast, relation(x, "==", 0), (RAMP, ahead))
    draft.route(cast, relation(x, ">", 0) * relation(x, "<", size - 1), (back, RAMP, ahead))
    draft.route(cast, relation(x, "==", size - 1), (back, RAMP))
    with draft.asm.when(x, "==", 0):
        draft.send(cast)
    with draft.asm.otherwise():
        draft.store(cast)
    return draft.finished()


def broadcast_2d(vector: Vector) -> Collective:
    """Tile (0, 0) sends along its row, and each router there down its column, too.

    For rectangles of two tiles or more each way; the vector's axis does not matter.
    """
    draft = Draft(vector)
    cast = draft.color("cast")
    top, left = relation(Y, "==", 0), relation(X, "==", 0)
    draft.route(cast, left * top, (RAMP, Side.EAST, Side.SOUTH))
    draft.route(
        cast,
        relation(X, ">", 0) * relation(X, "<", W - 1) * top,
        (Side.WEST, RAMP, Side.EAST, Side.SOUTH),
    )
    draft.route(cast, relation(X, "==", W - 1) * top, (Side.WEST, RAMP, Side.SOUTH))
    draft.route(cast, relation(Y, ">", 0) * relation(Y, "<", H - 1), (Side.NORTH, RAMP, Side.SOUTH))
    draft.route(cast, relation(Y, "==", H - 1), (Side.NORTH, RAMP))
    with draft.asm.when(X + Y, "==", 0):
        draft.send(cast)
    with draft.asm.otherwise():
        draft.store(cast)
    return draft.finished()


def _link(draft: Draft, place: Expr, last: Expr) -> tuple[Queue, Queue]:
    """Two colors for a chain towards place 0: received by even places, and by odd ones.

    last: holds where nothing comes from ahead.
    """
    axis = draft.vector.axis
    colors = draft.color("even"), draft.color("odd")
    for parity, color in enumerate(colors):
        receives = relation(place % 2, "==", parity) * relation(last, "==", 0)
        draft.route(color, receives, (axis.ahead, RAMP))
        draft.route(
            color,
            relation(place % 2, "==", 1 - parity) * relation(place, ">", 0),
            (RAMP, axis.back),
        )
    return colors


def chain(vector: Vector) -> Collective:
    """Every tile adds its words to those from ahead, and passes the sums on."""
    draft = Draft(vector)
    x, size = draft.place
    last = relation(x, "==", size - 1)
    colors = _link(draft, x, last)
    with draft.asm.when(x, "==", 0):
        draft.accumulate(colors[0])
    with draft.asm.otherwise():
        _pass_on(draft, x, last, colors)
    return draft.finished()


def _pass_on(draft: Draft, place: Expr, last: Expr, colors: tuple[Queue, Queue]) -> None:
    """A link of a chain: the first one only sends."""

    def begin(parity: int) -> None:
        draft.send(colors[1 - parity])

    def go_on(parity: int) -> None:
        draft.forward(colors[1 - parity], colors[parity])

    with draft.asm.when(last, "==", 1):
        draft.by_parity(place, begin)
    with draft.asm.otherwise():
        draft.by_parity(place, go_on)


def star(vector: Vector) -> Collective:
    """Every tile sends its words to tile 0, the nearest first.

    One color: a router first sends what comes up its ramp; the control wavelet behind it
    opens the way for the tiles ahead.
    """
    draft = Draft(vector)
    (x, size), axis = draft.place, vector.axis
    color = draft.color("star")
    draft.route(color, relation(x, "==", 0), (axis.ahead, RAMP))
    own, others = (RAMP, axis.back), (axis.ahead, axis.back)
    draft.route(color, relation(x, ">", 0) * relation(x, "<", size - 1), own, others)
    draft.route(color, relation(x, "==", size - 1), own)
    with draft.asm.when(x, "==", 0):
        draft.accumulate(color, size - 1)
    with draft.asm.otherwise():
        with draft.asm.when(x, "<", size - 1):  # outside, so that the control follows at once
            draft.send(color)
            draft.asm.control(Control.ADVANCE, color.color)
        with draft.asm.otherwise():
            draft.send(color)
    return draft.finished()


def two_phase(vector: Vector, tiles: int, group: int, early: bool = False) -> Collective:
    """Chains within groups of ``group`` neighbours, then a chain over their first tiles.

    early: the leader furthest ahead passes its group's sums on as they come. That saves time
    as long as the other leaders have finished their groups' sums when the first words are
    there; for longer vectors those words only take turns on links from the next group's chain.
    ``wsc.collectives.Machine.early`` knows.

    Raises:
        CompileError: the tiles do not make two or more whole groups of two or more.
    """
    if group < 2 or tiles % group or tiles < 2 * group:
        raise CompileError(
            f"a two-phase reduce over {tiles} tiles cannot have groups of {group}: two or more "
            "whole groups of two or more tiles are needed"
        )
    draft = Draft(vector)
    x, size = draft.place
    place = x % group
    last = relation(place, "==", group - 1)
    colors = _link(draft, place, last)
    leads = _lead(draft, group)

    def whole(parity: int) -> None:
        draft.forward(leads[1 - parity], colors[0])

    with draft.asm.when(place, ">", 0):
        _pass_on(draft, place, last, colors)
    with draft.asm.otherwise():
        if early:
            with draft.asm.when(x, ">=", size - group):
                draft.by_parity(x // group, whole)
            with draft.asm.otherwise():
                _second_phase(draft, group, colors[0], leads)
        else:
            _second_phase(draft, group, colors[0], leads)
    return draft.finished()


def _lead(draft: Draft, group: int) -> tuple[Queue, Queue]:
    """Two colors between leaders: received by even groups', and by odd ones'."""
    (x, size), axis = draft.place, draft.vector.axis
    number, place = x // group, x % group
    leads = draft.color("lead_even"), draft.color("lead_odd")
    more = relation(x, "<", size - group)  # there is a group ahead
    for parity, color in enumerate(leads):
        leader, same = relation(place, "==", 0), relation(number % 2, "==", parity)
        draft.route(color, leader * same * more, (axis.ahead, RAMP))
        passes = relation(place, ">", 0) * same * relation(number, "<", size // group - 1)
        draft.route(color, passes, (axis.ahead, axis.back))
        sends = leader * relation(number % 2, "==", 1 - parity) * relation(number, ">", 0)
        draft.route(color, sends, (RAMP, axis.back))
    return leads


def _second_phase(draft: Draft, group: int, came: Queue, leads: tuple[Queue, Queue]) -> None:
    """A leader that first finishes its group's sums."""
    x, size = draft.place

    def begin(parity: int) -> None:
        draft.send(leads[1 - parity])

    def onward(parity: int) -> None:
        draft.forward(leads[1 - parity], leads[parity])

    draft.accumulate(came)
    with draft.asm.when(x, "==", 0):
        draft.accumulate(leads[0])
    with draft.asm.otherwise():
        with draft.asm.when(x, "<", size - group):
            draft.by_parity(x // group, onward)
        with draft.asm.otherwise():
            draft.by_parity(x // group, begin)


def ring(vector: Vector, tiles: int) -> Collective:
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
    draft = Draft(vector)
    (x, size), axis = draft.place, vector.axis
    colors = draft.color("even"), draft.color("odd")
    back = draft.color("back")
    for parity, color in enumerate(colors):  # sent by tiles of that parity
        sends = relation(x % 2, "==", parity) * relation(x, "<", size - 1)
        draft.route(color, sends, (RAMP, axis.ahead))
        receives = relation(x % 2, "==", 1 - parity) * relation(x, ">", 0)
        draft.route(color, receives, (axis.back, RAMP))
    draft.route(back, relation(x, "==", size - 1), (RAMP, axis.back))
    draft.route(back, relation(x, ">", 0) * relation(x, "<", size - 1), (axis.ahead, axis.back))
    draft.route(back, relation(x, "==", 0), (axis.ahead, RAMP))

    part = _Part.first(draft, chunks)

    def turn(parity: int) -> None:
        part.around(draft, colors[1 - parity], back)

    def inner(parity: int) -> None:
        part.around(draft, colors[1 - parity], colors[parity])

    with draft.asm.when(x, "==", 0):
        part.around(draft, back, colors[0])
    with draft.asm.otherwise():
        with draft.asm.when(x, "==", size - 1):
            draft.by_parity(x, turn)
        with draft.asm.otherwise():
            draft.by_parity(x, inner)
    return draft.finished()


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
        draft.asm.set(part.at, draft.place[0] * part.step(draft))
        part.measure(draft)
        return part

    def step(self, draft: Draft) -> int:
        """Bytes of a chunk."""
        return self.words * draft.vector.dtype.bytes

    def measure(self, draft: Draft) -> None:
        """Count the words."""
        end = draft.vector.words * draft.vector.dtype.bytes
        draft.asm.set(self.count, minimum(self.words, end - self.at))

    def around(self, draft: Draft, came: Queue, out: Queue) -> None:
        """Both turns: the chunks x, x - 1, ..., and on from x + 1, which is then complete."""
        vector, asm, size = draft.vector, draft.asm, draft.place[1]
        unit = Asynchronous(vector.unit, vector.semaphore)
        memory, dims = draft.memory(), [("i", self.count)]
        memory = memory.moved(self.at)
        for turn in ("sum", "share"):
            with asm.loop(turn, size - 1):
                asm.vector("mov", vector.dtype, out, memory, dims=dims, asynchronous=unit)
                asm.set(self.at, self.at - self.step(draft))
                with asm.when(self.at, "<", 0):
                    asm.set(self.at, self.at + size * self.step(draft))
                self.measure(draft)
                if turn == "sum":
                    asm.vector(vector.op, vector.dtype, memory, came, memory, dims=dims)
                else:
                    asm.vector("mov", vector.dtype, memory, came, dims=dims)
        asm.wait(vector.semaphore, 2 * (size - 1))
