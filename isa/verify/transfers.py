"""Checks of the edge's schedule: where it meets the fabric, and which elements it moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from isa import expr as ex
from isa.program import Direction, EdgeTensor, Kind, Region, Transfer, edge_places
from isa.types import Control, DType, Side
from isa.verify.context import Context
from isa.verify.routes import Network, boundary, side_length

_CASES = 4_000_000  # ports times repetitions that are looked at one by one


def transfers(context: Context, network: Network) -> None:
    """Each transfer stands at the edge, meets a route, and stays within its tensor."""
    tensors, places = context.program.edge_tensors, edge_places(context.program.edge_tensors)
    for transfer in context.program.transfers:
        region = context.regions[transfer.region]
        tensor = tensors[places[transfer.direction, transfer.tensor]]
        if not _at_edge(context, region, transfer, transfer.side):
            continue
        _kind(context, transfer, tensor)
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
            context.say(f"'{tensor.name}' is an {tensor.kind.value} and cannot be cut", tensor)
        elif axis >= len(tensor.shape):
            context.say(f"'{tensor.name}' has no dimension {axis} to cut", tensor, str(axis))
        elif length is None:
            context.say(f"no output '{name}' to cut '{tensor.name}' by", tensor, name)
        elif length.kind is not Kind.OUTPUT or length.cut is not None or (
            length.dtype is not DType.I32 or math.prod(length.shape) != 1
        ):  # fmt: skip
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
        if tensor.dtype is not DType.I32 or tensor.host_dtype not in ("int64", "uint64"):
            message = f"'{tensor.name}' has high words and is not i32 of int64 or uint64"
            context.say(message, tensor)
        elif high is None:
            context.say(f"no {tensor.kind.value} '{name}' with the high words", tensor, name)
        elif high == tensor or high.high or high.cut or (
            (high.kind, high.dtype, high.shape) != (tensor.kind, tensor.dtype, tensor.shape)
        ):  # fmt: skip
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


def _kind(context: Context, transfer: Transfer, tensor: EdgeTensor) -> None:
    feeds = transfer.direction is Direction.FEED
    if feeds == (tensor.kind is Kind.OUTPUT):
        verb = "fed" if feeds else "drained into"
        context.say(f"'{tensor.name}' is an {tensor.kind.value} and cannot be {verb}"
                    , transfer, tensor.name)  # fmt: skip
    controls = {transfer.then, transfer.final} - {Control.NONE}
    if not feeds and (controls or transfer.lookup):
        context.say("a drain sends no control wavelets and looks up no rows", transfer)
    if transfer.repeat and transfer.repeat[1] < 0:
        context.say("a transfer cannot be repeated a negative number of times", transfer)


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
    names = tuple(dim.name for dim in transfer.dims)
    try:
        offset = ex.split(transfer.offset, frozenset(), names)
    except ex.NotAffine as error:
        context.say(str(error), transfer)
        return
    size = int(np.prod(tensor.shape, dtype=np.int64))
    for env in _environments(context, transfer, region, tensor):
        least = context.value(offset.static, env, transfer)
        if least is None:
            return
        greatest: Any = least
        steps: Any = context.guard_values(transfer.guard, env, transfer)
        for dim in transfer.dims:
            extent = context.value(dim.extent, env, transfer)
            stride = context.value(offset.strides.get(dim.name, ex.Int(0)), env, transfer)
            if extent is None or stride is None:
                return
            steps = steps & (np.asarray(extent) > 0)
            span = (np.asarray(extent) - 1) * stride
            least, greatest = least + np.minimum(span, 0), greatest + np.maximum(span, 0)
        wrong = steps & ((np.asarray(least) < 0) | (np.asarray(greatest) >= size))
        if np.any(wrong):
            where = np.unravel_index(int(np.argmax(wrong)), np.shape(wrong))
            low = int(np.broadcast_to(least, np.shape(wrong))[where])
            high = int(np.broadcast_to(greatest, np.shape(wrong))[where])
            context.say(
                f"the transfer moves elements {low} to {high} of '{tensor.name}', which has {size}",
                transfer,
                tensor.name,
            )
            return


def _environments(
    context: Context, transfer: Transfer, region: Region, tensor: EdgeTensor
) -> Iterator[dict[str, Any]]:
    """Static names at the ports of the side: ports as columns, repetitions as rows.

    Of very many repetitions only the first and the last ones are looked at. A looked-up
    row stands for the tensor's first and last one: what the fabric asks for is checked
    when it runs.
    """
    env = context.environment(region)
    across = transfer.side in (Side.NORTH, Side.SOUTH)
    last = {Side.EAST: region.width - 1, Side.SOUTH: region.height - 1}.get(transfer.side, 0)
    env["x"] = np.arange(region.width)[None, :] if across else np.full((1, 1), last)
    env["y"] = np.full((1, 1), last) if across else np.arange(region.height)[None, :]
    if transfer.repeat:
        name, count = transfer.repeat
        if count < 1:
            return
        numbers = np.arange(count)
        if count * side_length(region, transfer.side) > _CASES:
            numbers = np.unique(np.clip([0, 1, 2, count - 3, count - 2, count - 1], 0, count - 1))
        env[name] = numbers[:, None]
    if not transfer.lookup:
        yield env
        return
    for row in (0, tensor.shape[0] - 1):
        yield env | {transfer.lookup.row: row}
