"""Checks of code in the tiles that run it: addresses within SRAM, colors that reach the ramp."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa import expr as ex
from wsc.isa.limits import MOST_ROW, MOST_STEPS, fits_word
from wsc.isa.program import (
    Call,
    If,
    Loop,
    Mem,
    Op,
    Queue,
    Region,
    Statement,
    Tensor,
    row_level,
)
from wsc.isa.spans import Span, show_address, spanned
from wsc.isa.statements import assigned, calls, expressions, reachable
from wsc.isa.table import BY_NAME, Category, operand_type
from wsc.isa.types import DType, Side
from wsc.isa.verify.context import Context, Mask, first
from wsc.isa.verify.routes import Network


@dataclass(slots=True)
class Reach:
    """Which tiles may run something. exact: they all do; else a register decides."""

    mask: Mask
    exact: bool = True


@dataclass(slots=True)
class Site:
    """An instruction as a region runs it."""

    region: Region
    scope: str
    op: Op
    registers: frozenset[str]
    reach: Reach


@dataclass
class _Walk:
    """Walks a region's code, callers before callees, with the tiles that reach each line."""

    context: Context
    region: Region
    environment: Mapping[str, Any]
    entered: dict[str, Reach] = field(default_factory=dict[str, Reach])
    fitting: set[ex.Expr] = field(default_factory=set[ex.Expr])  # found to fit words, or reported

    def sites(self) -> Iterator[Site]:
        region, bodies = self.region, self.context.bodies
        everywhere = Reach(np.ones((1, 1), bool))
        names = frozenset(assigned(region.main))
        yield from self._block(region.main, "main", names, everywhere)
        procedures = {p.name: p for p in self.context.program.procedures}
        for name in _callers_first(region.main, bodies):
            names = frozenset((*procedures[name].parameters, *assigned(bodies[name])))
            yield from self._block(bodies[name], name, names, self.entered[name])

    def _block(
        self, body: tuple[Statement, ...], scope: str, registers: frozenset[str], reach: Reach
    ) -> Iterator[Site]:
        for statement in body:
            for node in expressions(statement):
                self._fits(node, registers, statement)
            if isinstance(statement, Op):
                yield Site(self.region, scope, statement, registers, reach)
            elif isinstance(statement, Call):
                before = self.entered.get(statement.procedure)
                mask = reach.mask if before is None else before.mask | reach.mask
                exact = reach.exact and (before is None or before.exact)
                self.entered[statement.procedure] = Reach(mask, exact)
            elif isinstance(statement, Loop):
                runs = self._where(">", statement.count, ex.Int(0), registers, statement)
                yield from self._block(statement.body, scope, registers, _narrow(reach, runs))
            else:
                holds = self._where(
                    statement.relation, statement.left, statement.right, registers, statement
                )
                fails = None if holds is None else ~holds
                yield from self._block(statement.then, scope, registers, _narrow(reach, holds))
                yield from self._block(statement.otherwise, scope, registers, _narrow(reach, fails))

    def _fits(self, node: ex.Expr, registers: frozenset[str], item: Statement) -> None:
        """What is static of an operand is a number that the machine's words hold."""
        dims = tuple(dim.name for dim in item.dims) if isinstance(item, Op) else ()
        affine = ex.split(node, registers, dims)
        for part in (affine.static, *affine.strides.values()):
            if part in self.fitting or set(ex.names(part)) & registers:
                continue
            self.fitting.add(part)
            value = self.context.value(part, self.environment, item)
            if value is None:
                continue
            for end in (int(np.min(value)), int(np.max(value))):
                if not fits_word(end):
                    message = f"{ex.show(part)} is {end}, and an operand holds 32 bits"
                    self.context.say(message, item)
                    break

    def _where(
        self,
        relation: str,
        left: ex.Expr,
        right: ex.Expr,
        registers: frozenset[str],
        item: If | Loop,
    ) -> Mask | None:
        """Where a comparison holds; None if registers decide."""
        node = ex.Binary(relation, left, right)
        if set(ex.names(node)) & registers:
            return None
        return np.atleast_2d(self.context.guard_values(node, self.environment, item))


def _narrow(reach: Reach, mask: Mask | None) -> Reach:
    return Reach(reach.mask, False) if mask is None else Reach(reach.mask & mask, reach.exact)


def _callers_first(
    main: tuple[Statement, ...], bodies: dict[str, tuple[Statement, ...]]
) -> list[str]:
    """The reachable procedures, each behind all that call it."""
    names = reachable(main, bodies)
    waiting = dict.fromkeys(names, 0)
    callees = {name: {call.procedure for call in calls(bodies[name])} for name in names}
    for called in callees.values():
        for name in called:
            waiting[name] += 1
    ready = [name for name, count in waiting.items() if not count]
    order: list[str] = []
    while ready:
        order.append(ready.pop(0))
        for name in sorted(callees[order[-1]]):
            waiting[name] -= 1
            if not waiting[name]:
                ready.append(name)
    return order


def sites(context: Context) -> list[Site]:
    """Every instruction of every region, with the tiles that run it."""
    found: list[Site] = []
    for region in context.program.regions:
        found += _Walk(context, region, context.environment(region)).sites()
    return found


def code(context: Context, network: Network, found: list[Site]) -> None:
    """Static addresses lie in SRAM and are aligned; colors in use reach the ramp."""
    environments = {r.name: context.environment(r) for r in context.program.regions}
    ramp = _Ramp(context, network)
    for site in found:
        reach, extents = _steps(context, site, environments[site.region.name])
        if not reach.mask.any():
            continue
        _bounded(context, site, extents)
        for index, operand in enumerate(site.op.operands):
            if isinstance(operand, Mem):
                _address(
                    context,
                    site,
                    operand,
                    element_type(site.op, index),
                    reach,
                    extents,
                    environments[site.region.name],
                )
            elif isinstance(operand, Queue):
                ramp.check(site, operand.color, index == 0, reach)
        if site.op.color is not None:
            ramp.check(site, site.op.color, True, reach)


def element_type(op: Op, index: int) -> DType:
    """The type of the elements of an instruction's memory operand."""
    row = BY_NAME[op.name]
    if row.category is Category.SEND and op.dtype is not None:
        return op.dtype
    return DType.I32 if op.dtype is None else operand_type(row.operands[index], op.dtype)


def _steps(context: Context, site: Site, env: Mapping[str, Any]) -> tuple[Reach, dict[str, Any]]:
    """The tiles where the instruction has a step, and the static extents by name."""
    reach, extents = site.reach, dict[str, Any]()
    for dim in site.op.dims:
        if set(ex.names(dim.extent)) & site.registers:
            reach = Reach(reach.mask, False)
            continue
        value = context.value(dim.extent, env, site.op)
        extents[dim.name] = 0 if value is None else value
        reach = Reach(reach.mask & np.atleast_2d(np.asarray(extents[dim.name]) > 0), reach.exact)
    return reach, extents


def _bounded(context: Context, site: Site, extents: dict[str, Any]) -> None:
    """An instruction has so many steps that it ends, and rows that an interrupt can wait for."""
    dims = [dim.name for dim in site.op.dims]
    if not set(dims) <= set(extents):
        return  # decided when it runs
    most = {name: int(np.max(value)) for name, value in extents.items()}
    inner = dims[row_level(site.op) :]
    for names, limit, what in ((dims, MOST_STEPS, "steps"), (inner, MOST_ROW, "steps in a row")):
        count = math.prod(max(most[name], 0) for name in names)
        if count > limit:
            message = f"'{site.op.name}' has {count} {what}, and there may be {limit}"
            context.say(message, site.op)
            return


def _address(
    context: Context,
    site: Site,
    operand: Mem,
    dtype: DType,
    reach: Reach,
    extents: dict[str, Any],
    env: Mapping[str, Any],
) -> None:
    split = ex.split(operand.address, site.registers, tuple(dim.name for dim in site.op.dims))
    used = {name for stride in split.strides.values() for name in ex.names(stride)}
    if split.registers or used & site.registers or not set(split.strides) <= set(extents):
        return  # decided when it runs
    base = context.value(split.static, env, site.op)
    strides = {name: context.value(stride, env, site.op) for name, stride in split.strides.items()}
    if base is None or any(stride is None for stride in strides.values()):
        return
    odd = np.asarray(base) % dtype.bytes != 0
    for name, stride in strides.items():
        many = np.asarray(extents[name]) > 1
        odd = odd | ((np.asarray(stride) % dtype.bytes != 0) & many)
    tensor = context.tensors.get(ex.base(split.static, context.tensors))
    start = 0 if tensor is None else tensor.address
    span = spanned(base - start, [(extents[name], stride) for name, stride in strides.items()])
    if _outside(context, site.region, site.op, operand, dtype, span, tensor, reach.mask):
        return
    if tensor is None and _over_code(context, site.region, site.op, operand, span, reach.mask):
        return
    if (reach.mask & odd).any():
        message = f"[{ex.show(operand.address)}] is not aligned to {dtype.bytes}-byte elements"
        context.say(message + _tile(site.region, odd, *first(reach.mask & odd)), site.op)


def within(
    context: Context,
    region: Region,
    op: Op,
    index: int,
    span: Span,
    tensor: Tensor | None,
    mask: Mask,
    more: str,
) -> bool:
    """Whether an instruction's operand stays within the tensor that its address names.

    One that names none has to stay in the tile's SRAM, and off the code of sections.
    span: its bytes, counted from the tensor's first. mask: tiles. Reports the first that is not.
    """
    operand = op.operands[index]
    assert isinstance(operand, Mem)
    if tensor is None:
        return not _over_code(context, region, op, operand, span, mask, more)
    dtype = element_type(op, index)
    return not _outside(context, region, op, operand, dtype, span, tensor, mask, more)


def _over_code(
    context: Context,
    region: Region,
    op: Op,
    operand: Mem,
    span: Span,
    mask: Mask,
    more: str = "",
) -> bool:
    """Whether an operand whose address names no tensor has bytes where code of sections is."""
    for room in context.rooms:
        end = room.address + room.bytes
        over = np.atleast_2d(mask & span.meets(room.address, end))
        if over.any():
            shown = f"[{ex.show(operand.address)}] covers or steps over bytes {room.address} to "
            place = _tile(region, over, *first(over))
            message = f"{shown}{end - 1}{place}{more}, where '{room.name}' has code of sections"
            context.say(f"{message}: data has a tensor of its own, and its address the name", op)
            return True
    return False


def _outside(
    context: Context,
    region: Region,
    op: Op,
    operand: Mem,
    dtype: DType,
    span: Span,
    tensor: Tensor | None,
    mask: Mask,
    more: str = "",
) -> bool:
    there = context.fabric.sram_bytes if tensor is None else tensor.bytes
    outside = np.atleast_2d(mask & span.beyond(there - dtype.bytes + 1))
    if not outside.any():
        return False
    x, y = first(outside)
    low, high = (
        int(np.broadcast_to(end, outside.shape)[y, x]) for end in (span.least, span.greatest)
    )
    shown = f"{show_address(low)} to {show_address(high + dtype.bytes - 1)}"
    of = "" if tensor is None else f" of '{tensor.name}'"
    limit = f"SRAM ends at {there - 1}" if tensor is None else f"it has {there}"
    place = _tile(region, outside, x, y)
    text = f"[{ex.show(operand.address)}] covers bytes {shown}{of}{place}{more}, and {limit}"
    context.say(text, op)
    return True


def _tile(region: Region, mask: Mask, x: int, y: int) -> str:
    """`` in tile x,y`` where the tile matters."""
    return "" if mask.size == 1 else f" in tile {region.left + x},{region.top + y}"


class _Ramp:
    """Whether a core's queues for a color are connected by a route."""

    def __init__(self, context: Context, network: Network) -> None:
        self.context = context
        self.network = network
        self.known: dict[tuple[str, str, bool], Mask] = {}
        self.said: set[tuple[int, str, bool]] = set()

    def connected(self, region: Region, color: str, output: bool) -> Mask:
        """Where in the region a route takes the color from the ramp, or brings it there."""
        key = region.name, color, output
        if key not in self.known:
            network = self.network
            if color in network.paths:
                test = network.receives if output else network.sends
                mask = test(color, Side.RAMP)[self.context.tiles(region)]
            else:
                mask = np.zeros((1, 1), bool)
            self.known[key] = mask[:1, :1] if mask.all() or not mask.any() else mask
        return self.known[key]

    def check(self, site: Site, color: str, output: bool, reach: Reach) -> None:
        there = self.connected(site.region, color, output)
        missing = reach.mask & ~there
        wrong = missing.any() if reach.exact else not (reach.mask & there).any()
        key = id(site.op), color, output
        if not wrong or key in self.said:
            return
        self.said.add(key)
        region, (x, y) = site.region, first(missing)
        way = "from the ramp" if output else "to the ramp"
        self.context.say(
            f"no route leads '{color}' {way} in tile {region.left + x},{region.top + y}, "
            f"which runs this",
            site.op,
            color,
        )
