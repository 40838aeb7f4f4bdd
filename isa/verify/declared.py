"""Checks of declarations: the rectangle, regions, colors, tensors, SRAM."""

from __future__ import annotations

import math

import numpy as np

from wsc.isa.code_size import fixed_bytes
from wsc.isa.limits import MOST_CELLS, MOST_DRAWN, MOST_NUMBER
from wsc.isa.program import EdgeTensor, Extent, Kind, Tensor
from wsc.isa.types import Side, host_dtype
from wsc.isa.verify.context import Context

_DIGITS = frozenset("0123456789abcdef")


def rectangle(context: Context) -> None:
    """The program's rectangle of tiles fits on the fabric."""
    program, fabric = context.program, context.fabric
    if not (1 <= program.width <= fabric.width and 1 <= program.height <= fabric.height):
        message = (
            f"the program's {program.width}x{program.height} tiles do not fit on fabric "
            f"'{fabric.name}', which has {fabric.width}x{fabric.height}"
        )
        name = f'"{program.fabric}"'
        context.say_declared(message, "fabric", name, name)


def cells(context: Context) -> None:
    """The routes of all tiles are few enough to be laid out."""
    program = context.program
    routed = len({route.color for route in program.routes})
    count = program.width * program.height * routed
    if count > MOST_CELLS:
        context.say(
            f"{routed} routed colors on {program.width}x{program.height} tiles are {count} cells, "
            f"and {MOST_CELLS} can be checked",
            program.routes[0],
        )


def regions(context: Context) -> None:
    """Regions lie within the rectangle and do not overlap."""
    program = context.program
    fits = not context.found  # else there is no saying how many tiles there are
    shape = (program.height, program.width) if fits else (0, 0)
    owner = np.zeros(shape, np.int32)  # number of the region that has each tile
    for number, region in enumerate(program.regions, start=1):
        right, bottom = region.left + region.width, region.top + region.height
        if min(region.width, region.height) < 1 or min(region.left, region.top) < 0:
            context.say(f"region '{region.name}' has no tiles", region)
        elif right > program.width or bottom > program.height:
            context.say(
                f"region '{region.name}' ends at {right},{bottom}, beyond the program's "
                f"{program.width}x{program.height} tiles",
                region,
            )
        elif fits:
            area = owner[context.tiles(region)]
            for other in np.unique(area[area > 0]).tolist():
                first = program.regions[other - 1].name
                context.say(f"region '{region.name}' overlaps region '{first}'", region)
            area[:] = number


def mains(context: Context) -> None:
    """Cores that routes lead to have code, and procedures have somebody who may call them."""
    program = context.program
    used = {
        route.region
        for route in program.routes
        for position in route.positions
        if position.receive is Side.RAMP or Side.RAMP in position.send
    }
    for region in program.regions:
        if region.name in used and not region.main:
            message = f"region '{region.name}' has no code, and routes lead to or from its cores"
            context.say(f"{message}: write a 'main {region.name}'", region)
    if program.procedures and not any(region.main for region in program.regions):
        procedure = program.procedures[0]
        message = f"no region has a 'main', so '{procedure.name}' is never called"
        context.say(message, procedure, procedure.name)


def colors(context: Context) -> None:
    """Color numbers exist on the fabric, and each is used once."""
    limit = context.fabric.colors
    owner: dict[int, str] = {}
    for name, number in context.program.colors:
        if not 0 <= number < limit:
            message = f"color c{number} is beyond c{limit - 1}, the last color of fabric "
            context.say_declared(f"{message}'{context.fabric.name}'", "color", name, name)
        elif number in owner:
            message = f"colors '{owner[number]}' and '{name}' are both c{number}"
            context.say_declared(message, "color", name, name)
        owner.setdefault(number, name)


def _lies_apart(extent: Extent) -> bool:
    """Whether blocks at equal distances have the form that they must have."""
    if extent.axis is None or extent.step <= 0:
        return False
    return extent.length == extent.step and not extent.offset and extent.blocks <= extent.over


def tensors(context: Context) -> None:
    """Tensors are aligned, hold their elements, and have layouts that the text can show."""
    for tensor in context.program.tensors:
        need = tensor.dtype.bytes
        for extent in tensor.dims:
            need *= extent.length
            if extent.axis not in (None, "x", "y") or (extent.axis is None and extent.step):
                context.say(f"'{tensor.name}' is laid along an axis that is not x or y", tensor)
            elif extent.over and not _lies_apart(extent):
                context.say(
                    f"'{tensor.name}' lies over {extent.over} tiles: only blocks along x or y, "
                    "without len and off, and no more of them than tiles, can",
                    tensor,
                )
        if tensor.bytes < need:
            context.say(
                f"'{tensor.name}' needs {need} bytes in each tile and has {tensor.bytes}", tensor
            )
        if tensor.address < 0 or tensor.address % tensor.dtype.bytes:
            context.say(
                f"'{tensor.name}' at byte {tensor.address} is not aligned to its "
                f"{tensor.dtype.bytes}-byte elements",
                tensor,
            )
    for tensor in context.program.edge_tensors:
        stored = tensor.file or tensor.key or tensor.byte_offset is not None
        if tensor.kind is not Kind.WEIGHT and stored:
            context.say(f"'{tensor.name}' is no weight, so it has no file", tensor)
        _drawn(context, tensor)
        if any(size < 0 for size in tensor.shape):
            context.say(f"'{tensor.name}' has a negative size", tensor)
        elif math.prod(tensor.shape) > MOST_NUMBER:
            message = f"'{tensor.name}' has {math.prod(tensor.shape)} elements, more than"
            context.say(f"{message} {MOST_NUMBER}", tensor)
        host = tensor.host_dtype
        if host and host_dtype(host) is None:
            message = f"'{tensor.name}': NumPy has no type of numbers called '{host}'"
            context.say(message, tensor, host)


def _drawn(context: Context, tensor: EdgeTensor) -> None:
    """A weight that is drawn has floats, and a distribution."""
    how = tensor.drawn
    if how is None:
        return
    stored = tensor.file or tensor.byte_offset is not None
    if tensor.kind is not Kind.WEIGHT or stored or not tensor.dtype.is_float:
        context.say(f"'{tensor.name}' is drawn, and is no weight of floats without a file", tensor)
    if how.first > MOST_NUMBER:
        context.say(f"'{tensor.name}' begins beyond element {MOST_NUMBER} of its key", tensor)
    drawn, size = math.prod(how.shape), math.prod(tensor.shape)
    if how.order and drawn != size:
        context.say(f"'{tensor.name}' has {size} elements, and {drawn} are drawn for it", tensor)
    if sorted(how.order) != list(range(len(how.shape))):
        dimensions = f"each of the {len(how.shape)} dimensions that are drawn once"
        context.say(f"'{tensor.name}' is by {list(how.order)}, not by {dimensions}", tensor)
    for name, value in (("mean", how.mean), ("deviation", how.deviation)):
        if not abs(value) <= MOST_DRAWN or (name == "deviation" and value < 0):
            limits = f"{-MOST_DRAWN if name == 'mean' else 0.0:g} to {MOST_DRAWN:g}"
            context.say(f"'{tensor.name}' has the {name} {value:g}, which is not {limits}", tensor)


def overlaps(context: Context) -> None:
    """Tensors have bytes of their own, or share them and say so."""
    order = sorted(
        (tensor for tensor in context.program.tensors if tensor.bytes > 0),
        key=lambda tensor: tensor.address,
    )
    # Of those before, the two that reach furthest and do not share bytes with each other.
    furthest: list[Tensor] = []
    for tensor in order:
        for other in furthest:
            if other.address + other.bytes > tensor.address and _group(other) != _group(tensor):
                _overlap(context, *sorted((other, tensor), key=context.program.tensors.index))
                break
        furthest = sorted((*furthest, tensor), key=lambda t: t.address + t.bytes, reverse=True)
        others = [other for other in furthest if _group(other) != _group(furthest[0])]
        furthest = [furthest[0], *others[:1]]


def _group(tensor: Tensor) -> str:
    return tensor.shares or tensor.name


def _overlap(context: Context, first: Tensor, second: Tensor) -> None:
    line = f" (line {first.where.line})" if first.where.line else ""
    context.say(
        f"'{second.name}', bytes {second.address} to {second.address + second.bytes - 1}, lies "
        f"over '{first.name}'{line}, bytes {first.address} to {first.address + first.bytes - 1}: "
        f"move it, or write 'shares {_group(first)}' if they are needed at different times",
        second,
    )


def memory(context: Context) -> None:
    """The highest tensor and the code fit in SRAM together."""
    there = context.fabric.sram_bytes
    ends = [(tensor.address + tensor.bytes, tensor.name) for tensor in context.program.tensors]
    data, last = max(ends, default=(0, ""))
    # The room of sections is among the tensors.
    for name, code in fixed_bytes(context.program, context.fabric).items():
        if data + code > there:
            up_to = f" (up to the end of '{last}')" if last else ""
            context.say(
                f"region '{name}' needs {data + code} bytes of SRAM in each tile, {data} of data"
                f"{up_to} and {code} of code, and there are {there}",
                context.regions[name],
            )


def files(context: Context) -> None:
    """Every file with a digest holds weights, and is declared once."""
    named = {tensor.file for tensor in context.program.edge_tensors if tensor.kind is Kind.WEIGHT}
    seen: set[str] = set()
    for file in context.program.files:
        if len(file.sha256) != 64 or not set(file.sha256) <= _DIGITS:
            context.say("a SHA-256 is written as 64 digits, 0 to 9 and a to f", file)
        if file.name in seen:
            context.say(f"the file '{file.name}' is declared twice", file)
        elif file.name not in named:
            context.say(f"no weight is in the file '{file.name}'", file)
        seen.add(file.name)
