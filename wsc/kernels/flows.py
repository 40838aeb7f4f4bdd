"""The flows that kernels use: each a pattern of paths over the region, named.

A kernel names a flow where an instruction or a transfer names a color. The routing pass gives
flows their colors and checks them. Parity: a core that forwards what it receives needs
two colors, one to receive and one to send; tiles with even and odd coordinates swap them.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsc.isa.expr import Expr, H, Int, W, X, Y, binary
from wsc.isa.program import Position
from wsc.isa.types import Side

N, E, S, WEST, RAMP = Side.NORTH, Side.EAST, Side.SOUTH, Side.WEST, Side.RAMP

REGION = "all"
SHARED = "_or_"  # between the names of flows in the name of a color that they share
ROOT_X = (W - 1) // 2
ROOT_Y = (H - 1) // 2


@dataclass(frozen=True, slots=True)
class Path:
    """Switch positions in the tiles where ``guard`` holds (None: all)."""

    guard: Expr | None
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A named pattern of paths. ``doc`` says what streams along it."""

    name: str
    doc: str
    paths: tuple[Path, ...]


def _at(receive: Side, *send: Side) -> Position:
    return Position(receive, send)


def _when(left: Expr, relation: str, right: int | Expr) -> Expr:
    return binary(relation, left, right)


def _both(left: Expr, right: Expr) -> Expr:
    return left * right


def _chain(name: str, towards: Side, parity: int) -> Flow:
    """One of the two colors of a chain: sent by tiles of ``parity``, received by their neighbours.

    Row chains may end anywhere; column chains end in the middle row, which saves queues.
    """
    along, end = (X, W - 1) if towards in (E, WEST) else (Y, ROOT_Y)
    start = 0 if towards in (E, S) else (W if towards is WEST else H) - 1
    if towards is WEST:
        end = Int(0)
    onward = "<" if towards in (E, S) else ">"
    has_next = _when(along, onward, end)
    has_previous = _both(_when(along, "!=", start), _when(along, onward + "=", end))
    sends, receives = _when(along % 2, "==", parity), _when(along % 2, "==", 1 - parity)
    return Flow(
        name,
        f"hop of the chains that run {towards.name.lower()}, sent by "
        f"{'odd' if parity else 'even'} tiles",
        (
            Path(_both(sends, has_next), (_at(RAMP, towards),)),
            Path(_both(receives, has_previous), (_at(towards.opposite, RAMP),)),
        ),
    )


def _cast(name: str, low: Side, high: Side, root: Expr) -> Flow:
    """Broadcast from ``root`` to both ends of a row or a column."""
    along, size = (X, W) if low is WEST else (Y, H)
    last = size - 1
    at_root = _when(along, "==", root)
    below, above = _when(along, "<", root), _when(along, ">", root)
    return Flow(
        name,
        f"broadcast from the middle of a {'row' if low is WEST else 'column'}",
        (
            Path(
                _both(at_root, _both(_when(root, ">", 0), _when(root, "<", last))),
                (_at(RAMP, low, high),),
            ),
            Path(
                _both(at_root, _both(_when(root, "==", 0), _when(root, "<", last))),
                (_at(RAMP, high),),
            ),
            Path(_both(below, _when(along, ">", 0)), (_at(high, low, RAMP),)),
            Path(_both(below, _when(along, "==", 0)), (_at(high, RAMP),)),
            Path(_both(above, _when(along, "<", last)), (_at(low, high, RAMP),)),
            Path(_both(above, _when(along, "==", last)), (_at(low, RAMP),)),
        ),
    )


def _column(name: str, doc: str, middle: tuple[Position, ...], last: tuple[Position, ...]) -> Flow:
    return Flow(
        name,
        doc,
        (Path(_when(Y, "<", H - 1), middle), Path(_when(Y, "==", H - 1), last)),
    )


WEIGHTS = _column(
    "weights",
    "weights and constants, multicast down each column",
    (_at(N, RAMP, S),),
    (_at(N, RAMP),),
)
SCATTER = _column(
    "scatter",
    "blocks down each column: a tile takes its own, then lets the rest pass",
    (_at(N, RAMP), _at(N, S)),
    (_at(N, RAMP),),
)
COLLECT = _column(
    "collect",
    "blocks up each column: a tile sends its own, then lets the rest pass",
    (_at(RAMP, N), _at(S, N)),
    (_at(RAMP, N),),
)
INDICES = Flow(
    "indices",
    "row numbers for the weight store to look up",
    (Path(_both(_when(X, "==", 0), _when(Y, "==", 0)), (_at(RAMP, WEST),)),),
)

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        WEIGHTS,
        SCATTER,
        COLLECT,
        INDICES,
        _chain("east_even", E, 0),
        _chain("east_odd", E, 1),
        _chain("west_even", WEST, 0),
        _chain("west_odd", WEST, 1),
        _chain("south_even", S, 0),
        _chain("south_odd", S, 1),
        _chain("north_even", N, 0),
        _chain("north_odd", N, 1),
        _cast("row_cast", WEST, E, ROOT_X),
        _cast("column_cast", N, S, ROOT_Y),
    )
}
