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

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from isa.expr import Expr, ExprLike, H, Int, Name, W, X, Y, binary, minimum
from isa.program import Asynchronous, Fabric, Position, Route, Statement
from isa.types import Control, DType, Side
from wsc.errors import CompileError
from wsc.kernels.asm import Asm, At
from wsc.kernels.flows import REGION

RAMP = Side.RAMP


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
    buffer: Expr = Name("v")
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
class _Draft:
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
        self.asm.vector(
            self.vector.op, self.vector.dtype, out, came, memory, dims=self.dims()
        )  # fmt: skip

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

    @contextmanager
    def where(self, left: Expr, relation: str, right: ExprLike) -> Generator[None]:
        """A guarded block."""
        with self.asm.when(left, relation, right):
            yield

    def finished(self) -> Collective:
        """The collective."""
        return Collective(tuple(self.colors), tuple(self.routes), self.asm.body)


def _is(left: Expr, relation: str, right: ExprLike) -> Expr:
    return binary(relation, left, right)


def broadcast(vector: Vector) -> Collective:
    """Tile 0 sends, and the routers hand a copy to every tile of the line as it passes."""
    draft = _Draft(vector)
    (x, size), (ahead, back) = draft.place, (vector.axis.ahead, vector.axis.back)
    cast = draft.color("cast")
    draft.route(cast, _is(x, "==", 0), (RAMP, ahead))
    draft.route(cast, _is(x, ">", 0) * _is(x, "<", size - 1), (back, RAMP, ahead))
    draft.route(cast, _is(x, "==", size - 1), (back, RAMP))
    with draft.asm.when(x, "==", 0):
        draft.send(cast)
    with draft.asm.otherwise():
        draft.store(cast)
    return draft.finished()


def broadcast_2d(vector: Vector) -> Collective:
    """Tile (0, 0) sends along its row, and each router there down its column, too.

    For rectangles of two tiles or more each way; the vector's axis does not matter.
    """
    draft = _Draft(vector)
    cast = draft.color("cast")
    top, left = _is(Y, "==", 0), _is(X, "==", 0)
    draft.route(cast, left * top, (RAMP, Side.EAST, Side.SOUTH))
    draft.route(
        cast, _is(X, ">", 0) * _is(X, "<", W - 1) * top, (Side.WEST, RAMP, Side.EAST, Side.SOUTH)
    )
    draft.route(cast, _is(X, "==", W - 1) * top, (Side.WEST, RAMP, Side.SOUTH))
    draft.route(cast, _is(Y, ">", 0) * _is(Y, "<", H - 1), (Side.NORTH, RAMP, Side.SOUTH))
    draft.route(cast, _is(Y, "==", H - 1), (Side.NORTH, RAMP))
    with draft.asm.when(X + Y, "==", 0):
        draft.send(cast)
    with draft.asm.otherwise():
        draft.store(cast)
    return draft.finished()


def _link(draft: _Draft, place: Expr, last: Expr) -> tuple[Fabric, Fabric]:
    """Two colors for a chain towards place 0: received by even places, and by odd ones.

    last: holds where nothing comes from ahead.
    """
    axis = draft.vector.axis
    colors = draft.color("even"), draft.color("odd")
    for parity, color in enumerate(colors):
        receives = _is(place % 2, "==", parity) * _is(last, "==", 0)
        draft.route(color, receives, (axis.ahead, RAMP))
        draft.route(color, _is(place % 2, "==", 1 - parity) * _is(place, ">", 0), (RAMP, axis.back))
    return colors


def chain(vector: Vector) -> Collective:
    """Every tile adds its words to those from ahead, and passes the sums on."""
    draft = _Draft(vector)
    x, size = draft.place
    last = _is(x, "==", size - 1)
    colors = _link(draft, x, last)
    with draft.asm.when(x, "==", 0):
        draft.accumulate(colors[0])
    with draft.asm.otherwise():
        _pass_on(draft, x, last, colors)
    return draft.finished()


def _pass_on(draft: _Draft, place: Expr, last: Expr, colors: tuple[Fabric, Fabric]) -> None:
    """A link of a chain: the first one only sends."""

    def begin(parity: int) -> None:
        draft.send(colors[1 - parity])

    def go_on(parity: int) -> None:
        draft.forward(colors[1 - parity], colors[parity])

    with draft.where(last, "==", 1):
        draft.by_parity(place, begin)
    with draft.asm.otherwise():
        draft.by_parity(place, go_on)


def star(vector: Vector) -> Collective:
    """Every tile sends its words to tile 0, the nearest first.

    One color: a router first sends what comes up its ramp; the control wavelet behind it
    opens the way for the tiles ahead.
    """
    draft = _Draft(vector)
    (x, size), axis = draft.place, vector.axis
    color = draft.color("star")
    draft.route(color, _is(x, "==", 0), (axis.ahead, RAMP))
    own, others = (RAMP, axis.back), (axis.ahead, axis.back)
    draft.route(color, _is(x, ">", 0) * _is(x, "<", size - 1), own, others)
    draft.route(color, _is(x, "==", size - 1), own)
    with draft.asm.when(x, "==", 0):
        draft.accumulate(color, size - 1)
    with draft.asm.otherwise():
        with draft.where(x, "<", size - 1):  # outside, so that the control follows at once
            draft.send(color)
            draft.asm.control(Control.ADVANCE, color.color)
        with draft.asm.otherwise():
            draft.send(color)
    return draft.finished()


def two_phase(vector: Vector, tiles: int, group: int) -> Collective:
    """Chains within groups of ``group`` neighbours, then a chain over their first tiles.

    Every leader first finishes its group's sums. Were the one furthest ahead to pass them on
    as they come, its words would only take turns on links from the next group's chain.

    Raises:
        CompileError: the tiles do not make two or more whole groups of two or more.
    """
    if group < 2 or tiles % group or tiles < 2 * group:
        raise CompileError(
            f"a two-phase reduce over {tiles} tiles cannot have groups of {group}: two or more "
            "whole groups of two or more tiles are needed"
        )
    draft = _Draft(vector)
    (x, size), axis = draft.place, vector.axis
    number, place = x // group, x % group
    last = _is(place, "==", group - 1)
    colors = _link(draft, place, last)
    leads = draft.color("lead_even"), draft.color("lead_odd")
    more = _is(x, "<", size - group)  # there is a group ahead
    for parity, color in enumerate(leads):
        leader, same = _is(place, "==", 0), _is(number % 2, "==", parity)
        draft.route(color, leader * same * more, (axis.ahead, RAMP))
        passes = _is(place, ">", 0) * same * _is(number, "<", size // group - 1)
        draft.route(color, passes, (axis.ahead, axis.back))
        sends = leader * _is(number % 2, "==", 1 - parity) * _is(number, ">", 0)
        draft.route(color, sends, (RAMP, axis.back))

    def begin(parity: int) -> None:
        draft.send(leads[1 - parity])

    def onward(parity: int) -> None:
        draft.forward(leads[1 - parity], leads[parity])

    with draft.where(place, ">", 0):
        _pass_on(draft, place, last, colors)
    with draft.asm.otherwise():
        draft.accumulate(colors[0])
        with draft.where(x, "==", 0):
            draft.accumulate(leads[0])
        with draft.asm.otherwise():
            with draft.where(x, "<", size - group):
                draft.by_parity(number, onward)
            with draft.asm.otherwise():
                draft.by_parity(number, begin)
    return draft.finished()


RADIX = 4  # two levels of the binary tree share a color into their root


def tree(vector: Vector, tiles: int, enter: Side | None = None) -> Collective:
    """A binary tree: in round k, odd multiples of 2^k send to the multiple of 2^(k+1) before.

    Rounds go in pairs, h = 0, 1, ... over the tiles at multiples of S = 4^h, whose last
    digit in base 4 is d: 1 and 2 send to 0 on color ``a<h>``, one behind the other as in a
    star; 3 sends to 2 on ``b<h>``. A tile that sends passes on the last of its sums
    as they come. enter: if given, ``a0`` first takes what comes from that side, in
    every tile, until an ADVANCE: for programs whose input would need one more queue.

    Raises:
        CompileError: the number of tiles is not a power of two.
    """
    if tiles < 2 or tiles & (tiles - 1):
        raise CompileError(f"a tree reduce needs a power of two of tiles; there are {tiles}")
    draft = _Draft(vector)
    strides = [RADIX**h for h in range(tiles.bit_length()) if RADIX**h < tiles]
    pairs = [(draft.color(f"a{h}"), draft.color(f"b{h}")) for h in range(len(strides))]
    if 2 * strides[-1] == tiles:
        draft.colors.remove(pairs[-1][1].color)
    for stride, (near, far) in zip(strides, pairs, strict=True):
        _tree_routes(draft, stride, tiles, near, far, enter if stride == 1 else None)
    _tree_round(draft, tiles, strides, pairs, 0)
    return draft.finished()


def _tree_routes(
    draft: _Draft, stride: int, tiles: int, near: Fabric, far: Fabric, enter: Side | None
) -> None:
    (x, size), axis = draft.place, draft.vector.axis
    own, others, came = (RAMP, axis.back), (axis.ahead, axis.back), (axis.ahead, RAMP)
    first = ((enter, RAMP),) if enter is not None else ()
    digit, on = x // stride % RADIX, _is(x % stride, "==", 0)
    between = _is(x % stride, ">", 0)
    half = 2 * stride < tiles  # there are digits 2 and 3
    draft.route(near, on * _is(digit, "==", 0), *first, came)
    draft.route(near, on * _is(digit, "==", 1), *first, own, *((others,) if half else ()))
    if half:
        draft.route(near, on * _is(digit, "==", 2), *first, own)
    if first:
        draft.route(near, on * _is(digit, "==", 3), *first)
    if stride > 1:
        draft.route(near, between * _is(digit, "<", 2 if half else 1), others)
    if half:
        draft.route(far, on * _is(digit, "==", 2), came)
        draft.route(far, on * _is(digit, "==", 3), own)
        if stride > 1:
            draft.route(far, between * _is(digit, "==", 2), others)


def _tree_round(
    draft: _Draft, tiles: int, strides: list[int], pairs: list[tuple[Fabric, Fabric]], h: int
) -> None:
    """Rounds 2h and 2h + 1, for the tiles at multiples of 4^h, and then those that follow."""
    x, _ = draft.place
    stride, (near, far) = strides[h], pairs[h]
    half, more = 2 * stride < tiles, h + 1 < len(strides)
    digit = x // stride % RADIX

    def pass_on(out: Fabric) -> None:
        if h:
            draft.forward(out, pairs[h - 1][0])
        else:
            draft.send(out)

    def odd() -> None:
        if not half:
            pass_on(near)
            return
        with draft.where(digit, "==", 1):
            pass_on(near)
            draft.asm.control(Control.ADVANCE, near.color)
        with draft.asm.otherwise():
            pass_on(far)

    with draft.where(digit, "==", 0):
        vectors = Int(2 if half else 1)
        later = x // (stride * RADIX) % 2  # its last vector goes straight on, in the next round
        draft.accumulate(near, vectors - later if more else vectors)
        if more:
            _tree_round(draft, tiles, strides, pairs, h + 1)
    with draft.asm.otherwise():
        if half:
            with draft.where(digit, "==", 2):
                draft.forward(near, far)
            with draft.asm.otherwise():
                odd()
        else:
            odd()


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
    draft = _Draft(vector)
    (x, size), axis = draft.place, vector.axis
    colors = draft.color("even"), draft.color("odd")
    back = draft.color("back")
    for parity, color in enumerate(colors):  # sent by tiles of that parity
        sends = _is(x % 2, "==", parity) * _is(x, "<", size - 1)
        draft.route(color, sends, (RAMP, axis.ahead))
        receives = _is(x % 2, "==", 1 - parity) * _is(x, ">", 0)
        draft.route(color, receives, (axis.back, RAMP))
    draft.route(back, _is(x, "==", size - 1), (RAMP, axis.back))
    draft.route(back, _is(x, ">", 0) * _is(x, "<", size - 1), (axis.ahead, axis.back))
    draft.route(back, _is(x, "==", 0), (axis.ahead, RAMP))

    part = _Part.first(draft, chunks)

    def turn(parity: int) -> None:
        part.around(draft, colors[1 - parity], back)

    def inner(parity: int) -> None:
        part.around(draft, colors[1 - parity], colors[parity])

    with draft.where(x, "==", 0):
        part.around(draft, back, colors[0])
    with draft.asm.otherwise():
        with draft.where(x, "==", size - 1):
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
    def first(draft: _Draft, chunks: int) -> _Part:
        """The chunk with the tile's own number."""
        words = draft.vector.words // chunks
        part = _Part(words, draft.asm.register("at"), draft.asm.register("count"))
        draft.asm.set(part.at, draft.place[0] * part.step(draft))
        part.measure(draft)
        return part

    def step(self, draft: _Draft) -> int:
        """Bytes of a chunk."""
        return self.words * draft.vector.dtype.bytes

    def measure(self, draft: _Draft) -> None:
        """Count the words."""
        end = draft.vector.words * draft.vector.dtype.bytes
        draft.asm.set(self.count, minimum(self.words, end - self.at))

    def around(self, draft: _Draft, came: Fabric, out: Fabric) -> None:
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
