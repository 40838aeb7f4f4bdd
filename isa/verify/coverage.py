"""Whether every element of an output is drained once: what is missing would be zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
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


def outputs(context: Context) -> None:
    """The drains of each output bring each of its elements, and none twice.

    Expects that every transfer stays within its tensor, so that its numbers are bounded.
    """
    drains: dict[str, list[Transfer]] = {}
    for transfer in context.program.transfers:
        if transfer.direction is Direction.DRAIN:
            drains.setdefault(transfer.tensor, []).append(transfer)
    for tensor in context.program.edge_tensors:
        if tensor.kind is Kind.OUTPUT:
            _output(context, tensor, drains.get(tensor.name, []))


def _output(context: Context, tensor: EdgeTensor, drains: list[Transfer]) -> None:
    size = math.prod(tensor.shape)
    moved = 0
    seen = np.zeros(size if size <= _MOST else 0, np.uint8)
    for transfer in drains:
        for piece in _pieces(context, transfer):
            moved += math.prod(piece.extents)
            if moved > size:
                message = f"more elements than the {size} of '{tensor.name}' are drained into it"
                context.say(message, transfer, tensor.name)
                return
            if seen.size:
                places = _places(piece)
                twice = np.flatnonzero(seen[places])
                seen[places] += 1
                if twice.size or len(np.unique(places)) < len(places):
                    element = int(places[twice[0]]) if twice.size else _doubled(places)
                    message = f"element {element} of '{tensor.name}' is drained twice"
                    context.say(message, transfer, tensor.name)
                    return
    if moved < size:
        missing = f", not element {int(np.argmin(seen))}" if seen.size else ""
        context.say(
            f"{moved} of the {size} elements of '{tensor.name}' are drained{missing}; "
            "the others would be zero",
            tensor,
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one port moves: the first element, and how often at which strides."""

    base: int
    extents: tuple[int, ...]
    strides: tuple[int, ...]


def _pieces(context: Context, transfer: Transfer) -> Iterator[_Piece]:
    """A transfer at each port, and at each repetition if they differ in their shape."""
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
    for row in zip(*(np.ravel(column).tolist() for column in columns), strict=True):
        is_open, base, *rest = row
        piece = _Piece(base, tuple(rest[: len(names)]), tuple(rest[len(names) :]))
        if is_open and all(extent > 0 for extent in piece.extents):
            yield piece


def _places(piece: _Piece) -> Elements:
    places = np.array([piece.base], np.int64)
    for extent, stride in zip(piece.extents, piece.strides, strict=True):
        places = (places[:, None] + np.arange(extent)[None, :] * stride).ravel()
    return places


def _doubled(places: Elements) -> int:
    values, counts = np.unique(places, return_counts=True)
    return int(values[np.argmax(counts)])
