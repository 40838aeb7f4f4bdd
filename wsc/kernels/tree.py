"""The binary-tree reduce over a row or a column."""

from __future__ import annotations

from wsc.errors import CompileError
from wsc.isa.expr import Int
from wsc.isa.program import Queue
from wsc.isa.types import Control, Side
from wsc.kernels.draft import RAMP, Collective, Draft, Vector, relation

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
    draft = Draft(vector)
    strides = [RADIX**h for h in range(tiles.bit_length()) if RADIX**h < tiles]
    pairs = [(draft.color(f"a{h}"), draft.color(f"b{h}")) for h in range(len(strides))]
    if 2 * strides[-1] == tiles:
        draft.colors.remove(pairs[-1][1].color)
    for stride, (near, far) in zip(strides, pairs, strict=True):
        _tree_routes(draft, stride, tiles, near, far, enter if stride == 1 else None)
    _tree_round(draft, tiles, strides, pairs, 0)
    return draft.finished()


def _tree_routes(
    draft: Draft, stride: int, tiles: int, near: Queue, far: Queue, enter: Side | None
) -> None:
    axis = draft.vector.axis
    x = axis.along
    own, others, came = (RAMP, axis.back), (axis.ahead, axis.back), (axis.ahead, RAMP)
    first = ((enter, RAMP),) if enter is not None else ()
    digit, on = x // stride % RADIX, relation(x % stride, "==", 0)
    between = relation(x % stride, ">", 0)
    half = 2 * stride < tiles  # there are digits 2 and 3
    draft.route(near, on * relation(digit, "==", 0), *first, came)
    draft.route(near, on * relation(digit, "==", 1), *first, own, *((others,) if half else ()))
    if half:
        draft.route(near, on * relation(digit, "==", 2), *first, own)
    if first:
        draft.route(near, on * relation(digit, "==", 3), *first)
    if stride > 1:
        draft.route(near, between * relation(digit, "<", 2 if half else 1), others)
    if half:
        draft.route(far, on * relation(digit, "==", 2), came)
        draft.route(far, on * relation(digit, "==", 3), own)
        if stride > 1:
            draft.route(far, between * relation(digit, "==", 2), others)


def _tree_round(
    draft: Draft, tiles: int, strides: list[int], pairs: list[tuple[Queue, Queue]], h: int
) -> None:
    """Rounds 2h and 2h + 1, for the tiles at multiples of 4^h, and then those that follow."""
    x = draft.vector.axis.along
    stride, (near, far) = strides[h], pairs[h]
    half, more = 2 * stride < tiles, h + 1 < len(strides)
    digit = x // stride % RADIX

    def pass_on(out: Queue) -> None:
        if h:
            draft.forward(out, pairs[h - 1][0])
        else:
            draft.send(out)

    def odd() -> None:
        if not half:
            pass_on(near)
            return
        with draft.asm.when(digit, "==", 1):
            pass_on(near)
            draft.asm.control(Control.ADVANCE, near.color)
        with draft.asm.otherwise():
            pass_on(far)

    with draft.asm.when(digit, "==", 0):
        vectors = Int(2 if half else 1)
        later = x // (stride * RADIX) % 2  # its last vector goes straight on, in the next round
        draft.accumulate(near, vectors - later if more else vectors)
        if more:
            _tree_round(draft, tiles, strides, pairs, h + 1)
    with draft.asm.otherwise():
        if half:
            with draft.asm.when(digit, "==", 2):
                draft.forward(near, far)
            with draft.asm.otherwise():
                odd()
        else:
            odd()
