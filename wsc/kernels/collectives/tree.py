"""The binary-tree reduce over a row or a column."""

from __future__ import annotations

from wsc.flows import Strand
from wsc.flows.collectives import TreeReduce
from wsc.flows.collectives.tree import RADIX
from wsc.isa.expr import Int
from wsc.isa.types import Control, Side
from wsc.kernels.collectives.draft import Draft, Made, Vector


def tree(vector: Vector, tiles: int, enter: Side | None = None) -> Made:
    """A binary tree. A tile that sends passes on the last of its sums as they come.

    enter: as of ``TreeReduce``.

    Raises:
        CompileError: the number of tiles is not a power of two.
    """
    flow, draft = TreeReduce(vector.line, tiles, enter), Draft(vector)
    _rounds(draft, flow, 0)
    return Made(flow, draft.asm.body)


def _rounds(draft: Draft, flow: TreeReduce, number: int) -> None:
    """The rounds of a level, for the tiles that reach it, and then those of later levels."""
    level = flow.levels[number]
    near, far, digit = level.near, level.far, level.digit
    more = number + 1 < len(flow.levels)

    def pass_on(out: Strand) -> None:
        if number:
            draft.forward(out, flow.levels[number - 1].near)
        else:
            draft.send(out)

    with draft.asm.when(digit, "==", 0):
        vectors = Int(2 if far else 1)
        # Its last vector goes straight on, in the next level.
        later = flow.place // (level.stride * RADIX) % 2
        draft.accumulate(near, vectors - later if more else vectors)
        if more:
            _rounds(draft, flow, number + 1)
    with draft.asm.otherwise():
        if far is None:
            pass_on(near)
            return
        with draft.asm.when(digit, "==", 2):
            draft.forward(near, far)
        with draft.asm.otherwise():
            with draft.asm.when(digit, "==", 1):
                pass_on(near)
                draft.asm.control(Control.ADVANCE, near.name)
            with draft.asm.otherwise():
                pass_on(far)
