"""Products that leave piece by piece: the gradient of a weight, where its operands find no room.

Such a product sums over the tokens, and a tile has to have the features of both operands for its
tokens. Of what nobody but the edge wants, a few rows or columns can be made at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from wsc.ir.graph import Contract, Index, Type
from wsc.ir.layout import Mesh, View, block
from wsc.isa.program import Extent
from wsc.passes.contraction import Choice
from wsc.passes.periods import LEAST

WHOLE = 0.35  # of a tile's SRAM that a product may take as a whole
PIECE = 0.15  # the same of one piece
MOST = 1024  # pieces

Choose = Callable[[Contract, tuple[Type, Type], tuple[View, View]], Choice | None]
Takes = Callable[[Choice], int]


@dataclass(frozen=True, slots=True)
class Pieces:
    """How a product is cut.

    label: of the result, along which it is, ``size`` positions a piece. side: the operand that has
    it, at dimension ``axis``. op: the product of one piece. choice: its form.
    """

    label: str
    size: int
    side: int
    axis: int
    op: Contract
    choice: Choice

    def shown(self, out: View, start: int) -> View:
        """A piece as a part of the edge tensor: its positions there from ``start`` on."""
        place = self.op.out.index(self.label)
        extent = out.extents[place]
        moved = Extent(start + self.size, extent.axis, extent.step, extent.length, start)
        extents = (*out.extents[:place], moved, *out.extents[place + 1 :])
        return replace(out, extents=extents)


def pieces(
    op: Contract,
    a: Type,
    b: Type,
    at: tuple[View, View],
    mesh: Mesh,
    room: int,
    choose: Choose,
    takes: Takes,
) -> Pieces | None:
    """The pieces, all of one size, of which each has room, that take the least time; None if none
    has room.

    Of those that are enough for a loop: fewer ones take more room, and their calls stand apart.

    at: where the operands are. room: bytes of a tile that one may take. takes: the cycles of one.
    """
    sizes = dict(op.extents)
    best: tuple[tuple[bool, int], Pieces] | None = None
    counts = range(2, MOST + 1)
    for side, index in enumerate((op.index_a, op.index_b)):
        for axis, entry in enumerate(index):
            label = entry.terms[0][0] if len(entry.terms) == 1 else ""
            others = (*index[:axis], *index[axis + 1 :], *(op.index_b, op.index_a)[side])
            alone = entry == Index(((label, 1),)) and label in op.out
            if not alone or any(label in dict(other.terms) for other in others):
                continue
            for count in (n for n in counts if n <= sizes[label] and sizes[label] % n == 0):
                size = sizes[label] // count
                part, choice = _cut(op, (a, b), at, mesh, side, axis, label, size, choose)
                if choice is None or choice.bytes > room:
                    continue
                worth = count < LEAST, count * takes(choice)
                if best is None or worth < best[0]:
                    best = worth, Pieces(label, size, side, axis, part, choice)
    return None if best is None else best[1]


def _cut(
    op: Contract,
    operands: tuple[Type, Type],
    at: tuple[View, View],
    mesh: Mesh,
    side: int,
    axis: int,
    label: str,
    size: int,
    choose: Choose,
) -> tuple[Contract, Choice | None]:
    """The product of one piece, and its form if there is one."""
    extents = tuple((name, size if name == label else n) for name, n in op.extents)
    part, types = replace(op, extents=extents), list(operands)
    shape = types[side].shape
    types[side] = replace(types[side], shape=(*shape[:axis], size, *shape[axis + 1 :]))
    # A piece is where the whole is; how many tiles have some of it is not looked at.
    places, whole = list(at), at[side].extents
    held = whole[axis]
    short = block(size, held.axis, mesh) if held.axis else Extent(size)
    places[side] = replace(at[side], extents=(*whole[:axis], short, *whole[axis + 1 :]))
    return part, choose(part, (types[0], types[1]), (places[0], places[1]))
