"""Whether every element of an output is drained once, and every element of an input is fed.

What is not drained would be zero. What is not fed has no effect, which may be meant. What is kept
is drained as an output is, before the edge feeds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.program import Direction, EdgeTensor, Kind, Transfer
from wsc.isa.spans import split_offset
from wsc.isa.verify.context import Context
from wsc.isa.verify.transfers import ports_of

_MOST = 1 << 22  # elements of an output that are looked at one by one; of larger ones, the number

Elements = npt.NDArray[np.int64]


def inputs(context: Context) -> None:
    """Add a problem for each input and weight of which the feeds leave elements out.

    Of a weight, and of a large input, only as many as there are for certain: feeds may bring an
    element more than once. Expects that every transfer stays within its tensor.
    """
    _each(context, Direction.FEED, frozenset(Kind) - {Kind.OUTPUT}, _input)


def _input(context: Context, tensor: EdgeTensor, feeds: list[Transfer]) -> None:
    size = math.prod(tensor.shape)
    if any(transfer.lookup for transfer in feeds):
        return  # the fabric may ask for any row
    pieces = [piece for transfer in feeds for piece in _pieces(context, transfer)]
    fed = sum(piece.bases.size * math.prod(piece.extents) for piece in pieces)
    missing = ""
    if tensor.kind is not Kind.WEIGHT and 0 < size <= _MOST:
        reached = np.zeros(size, np.bool_)
        for piece in pieces:
            reached[_places(piece)] = True
        fed = int(reached.sum())
        missing = f", not element {int(np.argmin(reached))}" if 0 < fed < size else ""
    if fed >= size:
        return
    what = f"{'' if tensor.kind is Kind.KEPT else f'{tensor.kind.value} '}'{tensor.name}'"
    if fed:
        message = f"{fed} of the {size} elements of {what} are fed{missing}; the others have no"
    else:
        message = f"no element of {what} is fed; it has no"
    context.say(f"{message} effect", tensor, tensor.name)


def outputs(context: Context) -> None:
    """The drains of each output, and of what is kept, bring each of its elements, and none twice.

    Expects that every transfer stays within its tensor, so that its numbers are bounded.
    """
    _each(context, Direction.DRAIN, {Kind.OUTPUT, Kind.KEPT}, _output)


def _each(
    context: Context,
    direction: Direction,
    kinds: Set[Kind],
    look: Callable[[Context, EdgeTensor, list[Transfer]], None],
) -> None:
    """Look at each tensor of some kinds, with its transfers in a direction.

    Of those whose transfers differ in names alone, one that is right stands for all: so the weights
    of many layers, and their gradients, are looked at in one of them.
    """
    transfers: dict[str, list[Transfer]] = {}
    for transfer in context.played:
        if transfer.direction is direction:
            transfers.setdefault(transfer.tensor, []).append(transfer)
    right: set[Hashable] = set()
    for tensor in context.program.edge_tensors:
        if tensor.kind not in kinds:
            continue
        own = transfers.get(tensor.name, [])
        moved = tuple(tuple(map(context.number, item.unnamed)) for item in own)
        key = (tensor.kind, tensor.shape, moved)
        if key in right:
            continue
        before = len(context.found)
        look(context, tensor, own)
        if len(context.found) == before:
            right.add(key)


def order(context: Context) -> None:
    """What is kept is drained by entries that stand before those that feed it."""
    kept = {t.name: t for t in context.program.edge_tensors if t.kind is Kind.KEPT}
    fed: dict[str, Transfer] = {}
    for transfer in context.played if kept else ():
        name = transfer.tensor
        if name not in kept:
            continue
        if transfer.direction is Direction.FEED:
            fed.setdefault(name, transfer)
        elif name in fed:
            context.say(
                f"'{name}' is kept, and is fed before this entry has drained all of it; "
                "let the feed stand behind it",
                transfer,
                name,
            )


def _output(context: Context, tensor: EdgeTensor, drains: list[Transfer]) -> None:
    size = math.prod(tensor.shape)
    moved = 0
    times = np.zeros(size if size <= _MOST else 0, np.int64)
    for transfer in drains:
        pieces = _pieces(context, transfer)
        moved += sum(piece.bases.size * math.prod(piece.extents) for piece in pieces)
        if moved > size:
            message = f"more elements than the {size} of '{tensor.name}' are drained into it"
            context.say(message, transfer, tensor.name)
            return
        if times.size and pieces:
            places = np.concatenate([_places(piece) for piece in pieces])
            times += np.bincount(places, minlength=size)
            twice = np.flatnonzero(times > 1)
            if twice.size:
                message = f"element {twice[0]} of '{tensor.name}' is drained twice"
                context.say(message, transfer, tensor.name)
                return
    if moved < size:
        kept = tensor.kind is Kind.KEPT
        effect = "its feeds wait for all of them" if kept else "the others would be zero"
        missing = f", not element {int(np.argmin(times))}" if times.size else ""
        context.say(
            f"{moved} of the {size} elements of '{tensor.name}' are drained{missing}; {effect}",
            tensor,
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What ports move that move alike: their first elements, and how often at which strides."""

    bases: Elements
    extents: tuple[int, ...]
    strides: tuple[int, ...]


def _pieces(context: Context, transfer: Transfer) -> list[_Piece]:
    """A transfer at its ports, and at their repetitions if these differ in their shape."""
    env = ports_of(context.regions[transfer.region], transfer.side, context)
    offset, ragged = split_offset(transfer)
    name, count = transfer.repeat or ("", 1)
    extents: list[ex.Expr] = [dim.extent for dim in transfer.dims]
    names = [dim.name for dim in transfer.dims]
    if ragged:
        env[name] = np.arange(count)[:, None]
    else:
        extents.append(ex.Int(count))
        names.append(name)
    strides = [offset.strides.get(name, ex.Int(0)) for name in names]
    # One row for each port and repetition: whether the port is open, then the numbers.
    numbers = [context.value(node, env, transfer) for node in (offset.static, *extents, *strides)]
    places = env["x"] + env["y"] + (env[name] if ragged else 0)
    held = context.guard_values(transfer.guard, env, transfer)
    columns = np.broadcast_arrays(places, held, *numbers)[1:]
    table = np.stack([np.ravel(column).astype(np.int64) for column in columns], axis=1)
    moving = (table[:, 0] != 0) & (table[:, 2 : 2 + len(names)] > 0).all(axis=1)
    # On most ports extents and strides are the same.
    bases = table[moving, 1]
    shapes, which = _distinct(table[moving, 2:])
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(shapes)))
    groups = np.split(bases[order], ends[:-1]) if len(shapes) else []
    return [
        _Piece(own, tuple(shape[: len(names)]), tuple(shape[len(names) :]))
        for own, shape in zip(groups, shapes.tolist(), strict=True)
    ]


def _distinct(rows: Elements) -> tuple[Elements, Elements]:
    """The rows that differ, in order, and which of them each row is.

    Of a transfer's numbers few columns are not the same everywhere, and only these are sorted.
    """
    which = np.zeros(len(rows), np.int64)
    for column in rows.T:
        if (column != column[:1]).any():
            values, place = np.unique(column, return_inverse=True)
            which = np.unique(which * len(values) + place, return_inverse=True)[1]
    first = np.unique(which, return_index=True)[1]
    return rows[first], which


def _places(piece: _Piece) -> Elements:
    """Every element that the ports of a piece move."""
    places = piece.bases
    for extent, stride in zip(piece.extents, piece.strides, strict=True):
        places = (places[:, None] + np.arange(extent)[None, :] * stride).ravel()
    return places
