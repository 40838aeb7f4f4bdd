"""Checks of the edge's schedule: where it meets the fabric, and which elements it moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from wsc.isa import expr as ex
from wsc.isa.limits import MOST_CASES, MOST_NUMBER, MOST_WORD
from wsc.isa.program import Direction, EdgeTensor, Kind, Region, Transfer
from wsc.isa.spans import Span, elements, show_address, spanned, split_offset
from wsc.isa.types import OF_TWO_WORDS, Control, DType, Side
from wsc.isa.verify.context import Context, Mask
from wsc.isa.verify.routes import Network, boundary, side_length

Numbers = npt.NDArray[np.int64]

_BLOCK = 1 << 20  # ports times repetitions that are looked at together


def transfers(context: Context, network: Network) -> None:
    """Each transfer stands at the edge, meets a route, and stays within its tensor."""
    for transfer in context.transfers:
        region = context.regions[transfer.region]
        tensor = context.edge_tensor(transfer)
        if not _at_edge(context, region, transfer, transfer.side):
            continue
        if not _kind(context, transfer, tensor):
            continue
        _route(context, network, transfer, region)
        if transfer.lookup and not _lookup(context, network, transfer, region, tensor):
            continue
        _elements(context, transfer, region, tensor)


def cuts(context: Context) -> None:
    """What cuts an output is an output itself, one integer, and the dimension is there."""
    outputs_last = sorted(context.program.edge_tensors, key=lambda t: t.kind is Kind.OUTPUT)
    tensors = {tensor.name: tensor for tensor in outputs_last}
    for tensor in context.program.edge_tensors:
        if tensor.cut is None:
            continue
        axis, name = tensor.cut.axis, tensor.cut.length
        length = tensors.get(name)
        if tensor.kind is not Kind.OUTPUT:
            context.say(f"'{tensor.name}' is {_kind_of(tensor)} and cannot be cut", tensor)
        elif not 0 <= axis < len(tensor.shape):
            context.say(f"'{tensor.name}' has no dimension {axis} to cut", tensor, str(axis))
        elif length is None:
            context.say(f"no output '{name}' to cut '{tensor.name}' by", tensor, name)
        elif (
            length.kind is not Kind.OUTPUT
            or length.cut is not None
            or (length.dtype is not DType.I32 or math.prod(length.shape) != 1)
        ):
            message = f"'{name}' cuts '{tensor.name}' and is no output of one i32"
            context.say(message, tensor, name)


def high_words(context: Context) -> None:
    """High words are a tensor of the same kind and shape as the low ones."""
    for tensor in context.program.edge_tensors:
        name = tensor.high
        if not name:
            continue
        # An input and an output may have one name; one of this kind is meant.
        named = [other for other in context.program.edge_tensors if other.name == name]
        named.sort(key=lambda other: other.kind is not tensor.kind)
        high = named[0] if named else None
        if tensor.dtype is not DType.I32 or tensor.host_dtype not in OF_TWO_WORDS:
            message = f"'{tensor.name}' has high words and is not i32 of {', '.join(OF_TWO_WORDS)}"
            context.say(message, tensor)
        elif high is None:
            context.say(f"no {tensor.kind.value} '{name}' with the high words", tensor, name)
        elif (
            high == tensor
            or high.high
            or high.cut
            or ((high.kind, high.dtype, high.shape) != (tensor.kind, tensor.dtype, tensor.shape))
        ):
            message = f"'{name}' is no {tensor.kind.value} of as many i32 as '{tensor.name}'"
            context.say(message, tensor, name)


def _at_edge(context: Context, region: Region, transfer: Transfer, side: Side) -> bool:
    program = context.program
    at = {
        Side.NORTH: region.top == 0,
        Side.WEST: region.left == 0,
        Side.SOUTH: region.top + region.height == program.height,
        Side.EAST: region.left + region.width == program.width,
        Side.RAMP: False,
    }[side]
    if not at:
        message = f"side {side.value} of region '{region.name}' is not at the edge of the fabric"
        context.say(message, transfer, side.value)
    return at


def _kind_of(tensor: EdgeTensor) -> str:
    """What an edge tensor is: ``a weight``, ``an input``."""
    word = tensor.kind.value
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _kind(context: Context, transfer: Transfer, tensor: EdgeTensor) -> bool:
    """What is said of a transfer suits it; whether its counts are ones to go on with."""
    feeds = transfer.direction is Direction.FEED
    if tensor.kind is not Kind.KEPT and feeds == (tensor.kind is Kind.OUTPUT):
        verb = "fed" if feeds else "drained into"
        context.say(
            f"'{tensor.name}' is {_kind_of(tensor)} and cannot be {verb}", transfer, tensor.name
        )
    controls = {transfer.then, transfer.final} - {Control.NONE}
    if not feeds and (controls or transfer.lookup):
        context.say("a drain sends no control wavelets and looks up no rows", transfer)
    for what, count in (
        ("repeated", transfer.repeat[1] if transfer.repeat else 0),
        ("given index values", transfer.lookup.count if transfer.lookup else 0),
    ):
        if not 0 <= count <= MOST_WORD:
            message = f"a transfer cannot be {what} {count} times, only 0 to {MOST_WORD} times"
            context.say(message, transfer, str(count))
            return False
    return True


def _route(context: Context, network: Network, transfer: Transfer, region: Region) -> None:
    """At every port of the transfer a route takes what is fed, or leads out what is drained."""
    area, port = context.tiles(region), boundary(transfer.side)
    guard = context.guard(transfer.guard, region, transfer)
    ports = np.broadcast_to(guard, (region.height, region.width))[port].ravel()
    if transfer.color not in network.paths:
        there = np.zeros_like(ports)
    elif transfer.direction is Direction.FEED:
        there = network.receives(transfer.color, transfer.side)[area][port].ravel()
    else:
        there = network.sends(transfer.color, transfer.side)[area][port].ravel()
    missing = ports & ~there
    if missing.any():
        way = "in from" if transfer.direction is Direction.FEED else "out to"
        context.say(
            f"no route of '{transfer.color}' leads {way} {transfer.side.value} at port "
            f"{int(np.argmax(missing))}",
            transfer,
            transfer.color,
        )


def _lookup(
    context: Context, network: Network, transfer: Transfer, region: Region, tensor: EdgeTensor
) -> bool:
    rows = transfer.lookup
    assert rows is not None
    if not tensor.shape:
        context.say(f"'{tensor.name}' has no rows to look up", transfer, tensor.name)
        return False
    if not _at_edge(context, region, transfer, rows.side):
        return False
    length = side_length(region, rows.side)
    if not 0 <= rows.port < length:
        message = f"port {rows.port} is beyond {length - 1}, the last of side {rows.side.value}"
        context.say(message, transfer, str(rows.port))
        return False
    leads = rows.color in network.paths and bool(
        network.sends(rows.color, rows.side)[context.tiles(region)][boundary(rows.side)].ravel()[
            rows.port
        ]
    )
    if not leads:
        message = f"no route of '{rows.color}' leads out to {rows.side.value} at port {rows.port}"
        context.say(message, transfer, rows.color)
    return leads


def _elements(context: Context, transfer: Transfer, region: Region, tensor: EdgeTensor) -> None:
    """The least and the greatest element that is moved lie within the tensor."""
    row = () if transfer.lookup is None else (transfer.lookup.row,)
    dims = tuple(dim.name for dim in transfer.dims)
    count = transfer.repeat[1] if transfer.repeat else 1
    try:
        offset, ragged = split_offset(transfer)
    except ex.NotAffine as error:
        context.say(str(error), transfer)
        return
    env = ports_of(region, transfer.side, context)
    places = side_length(region, transfer.side)
    if ragged and places * count > MOST_CASES:
        context.say(
            f"the repetitions differ, and {count} at each of {places} ports are more than the "
            f"{MOST_CASES} that are looked at one by one",
            transfer,
        )
        return
    for numbers in _blocks(count if ragged else 1, places):
        if ragged and transfer.repeat:
            env[transfer.repeat[0]] = numbers[:, None]
        base = context.value(offset.static, env, transfer)
        open_ports = context.guard_values(transfer.guard, env, transfer)
        extents = [context.value(dim.extent, env, transfer) for dim in transfer.dims]
        strides = {
            name: context.value(stride, env, transfer) for name, stride in offset.strides.items()
        }
        if base is None or any(value is None for value in (*extents, *strides.values())):
            return
        rows = transfer.lookup.count if transfer.lookup else 1
        if elements((*extents, rows, count)) > MOST_NUMBER:
            context.say(f"a port moves more than {MOST_NUMBER} elements", transfer)
            return
        # A looked-up row may be any of the tensor: what the fabric asks for is checked as it runs.
        moved = [(tensor.shape[0], strides.get(name, 0)) for name in row]
        moved += [(size, strides.get(name, 0)) for name, size in zip(dims, extents, strict=True)]
        if transfer.repeat:
            moved.append((count, 0 if ragged else strides.get(transfer.repeat[0], 0)))
        if not _within(context, transfer, tensor, spanned(base, moved), open_ports):
            return


def _within(
    context: Context, transfer: Transfer, tensor: EdgeTensor, span: Span, open_ports: Mask
) -> bool:
    size = math.prod(tensor.shape)
    wrong = open_ports & span.beyond(size)
    if not wrong.any():
        return True
    where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    low, high = (
        show_address(int(np.broadcast_to(end, wrong.shape)[where]))
        for end in (span.least, span.greatest)
    )
    context.say(
        f"the transfer moves elements {low} to {high} of '{tensor.name}', which has {size}",
        transfer,
        tensor.name,
    )
    return False


def ports_of(region: Region, side: Side, context: Context) -> dict[str, Any]:
    """Static names at the ports of the side, which are the columns."""
    env = context.environment(region)
    across = side in (Side.NORTH, Side.SOUTH)
    last = {Side.EAST: region.width - 1, Side.SOUTH: region.height - 1}.get(side, 0)
    env["x"] = np.arange(region.width)[None, :] if across else np.full((1, 1), last)
    env["y"] = np.full((1, 1), last) if across else np.arange(region.height)[None, :]
    return env


def _blocks(count: int, places: int) -> Iterator[Numbers]:
    """The numbers below ``count``, so many at a time that a block's cases are few."""
    most = max(_BLOCK // places, 1)
    for first in range(0, count, most):
        yield np.arange(first, min(first + most, count))
