"""Questions about a program: what a tile holds, what a node became, what the edge plays.

Plain data about an ``wsc.isa.program.Program``; ``wsc.cli.inspect`` shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from wsc.cost.edge import Traffic, Traffics, edge_bytes, static_environment, traffic
from wsc.errors import CompileError
from wsc.ir.naming import is_named_for
from wsc.isa.code_size import code_bytes, tile_bytes
from wsc.isa.expr import Expr, evaluate, names
from wsc.isa.fabric import Fabric
from wsc.isa.printer import Line, listing
from wsc.isa.program import (
    NOWHERE,
    Call,
    Direction,
    Extent,
    Kind,
    Procedure,
    Program,
    Region,
    Route,
    Tensor,
    Transfer,
    TransferLoop,
)
from wsc.isa.sections import room_bytes, rooms
from wsc.isa.shown import Shown, few, named, suggestion
from wsc.isa.statements import calls, colors_of, reachable
from wsc.isa.turns import Tables, each_transfer, expand, in_turns, plain_transfers
from wsc.isa.types import Side

MOST_TURNS = 1 << 12  # of a loop, whose nodes are told apart


@dataclass(frozen=True, slots=True)
class SramUse:
    """Bytes of the fullest tile. data: up to the end of the last tensor."""

    data: int
    code: int
    limit: int

    @property
    def total(self) -> int:
        """Data and code."""
        return self.data + self.code


@dataclass(frozen=True, slots=True)
class SramKinds:
    """Bytes of the fullest tile by what is in them; they are all that it has.

    weights: that only weights ever use, which are loaded before they are used; those that are
    streamed take none. values: all other data. free: neither data nor code.
    """

    values: int
    weights: int
    code: int
    free: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """A line of the canonical text, and the nodes that caused it.

    number: of that line in the file that the program was read from, or in the canonical
    text if it was not read; 0 for lines (``end``, comments) of a file that is laid out
    in another way.
    """

    number: int
    line: Line
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TileTensor:
    """What one tile holds of a tensor: [first, last) in each dimension, None where nothing."""

    tensor: Tensor
    ranges: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True, slots=True)
class TileView:
    """One tile. x, y: within ``region``. arguments: values of those that depend on the place."""

    region: Region
    x: int
    y: int
    tensors: tuple[TileTensor, ...]
    routes: tuple[tuple[Route, int], ...]
    calls: tuple[tuple[Call, tuple[tuple[str, int], ...]], ...]
    streams: tuple[tuple[Transfer, int], ...]


@dataclass(frozen=True, slots=True, repr=False)
class NodeView(Shown):
    """What became of an ONNX node. tensors: each with the columns and rows that hold data."""

    name: str
    lines: tuple[Numbered, ...]
    procedures: tuple[tuple[str, int, int], ...]
    tensors: tuple[tuple[Tensor, tuple[int, ...], tuple[int, ...]], ...]
    streams: tuple[tuple[Transfer, Traffic], ...]
    colors: tuple[str, ...]

    def _facts(self) -> list[tuple[str, str]]:
        lines = span([item.number for item in self.lines if item.number])
        parts = (
            ("lines", lines),
            ("procedures", few([name for name, _, _ in self.procedures])),
            ("tensors", few([f"{item.name} {item.bytes:,} bytes" for item, _, _ in self.tensors])),
            ("streams", f"{sum(moved.bytes for _, moved in self.streams):,} bytes"),
            ("colors", few(self.colors)),
        )
        return [("node", self.name), *((head, text) for head, text in parts if text)]


def sram_use(program: Program, fabric: Fabric) -> SramUse:
    """SRAM of the fullest tile: the data of all, and the longest code with the room of sections."""
    data = max((tensor.address + tensor.bytes for tensor in program.tensors), default=0)
    data -= room_bytes(program)
    code = max(code_bytes(program, fabric).values(), default=0)
    return SramUse(data, code, fabric.sram_bytes)


def held_bytes(program: Program, fabric: Fabric) -> np.ndarray:
    """Bytes of each tile [height, width] up to the end of the last tensor that it holds a part of,
    and its code."""
    used = np.zeros((program.height, program.width), np.int64)
    for tensor in program.tensors:
        columns, rows = occupied(program, tensor)
        cut = np.ix_(np.array(rows, np.int64), np.array(columns, np.int64))
        used[cut] = np.maximum(used[cut], tensor.address + tensor.bytes)
    for region in program.regions:
        rows, columns = (
            slice(first, first + size)
            for first, size in ((region.top, region.height), (region.left, region.width))
        )
        used[rows, columns] += tile_bytes(program, region, fabric)
    return used


def sram_kinds(program: Program, fabric: Fabric) -> SramKinds:
    """What the SRAM of the fullest tile holds."""
    use = sram_use(program, fabric)
    weights: dict[tuple[int, ...], list[str]] = {}  # full names by shape
    for weight in program.edge_tensors:
        if weight.kind is Kind.WEIGHT:
            weights.setdefault(weight.shape, []).append(weight.key or weight.name)
    code = {tensor.name for tensor in rooms(program)}
    tensors = [tensor for tensor in program.tensors if tensor.name not in code]
    top = max((tensor.address + tensor.bytes for tensor in tensors), default=0)
    mine, others = np.zeros(top, bool), np.zeros(top, bool)
    for tensor in tensors:
        alike = weights.get(tuple(extent.size for extent in tensor.dims), [])
        held = mine if any(_is_for(tensor, name) for name in alike) else others
        held[tensor.address : tensor.address + tensor.bytes] = True
    held_alone = int((mine & ~others).sum())
    return SramKinds(use.data - held_alone, held_alone, use.code, use.limit - use.total)


def _is_for(tensor: Tensor, weight: str) -> bool:
    """Whether a tensor has the name of a weight, maybe with a number that tells it from others."""
    names = (tensor.name, re.sub(r"_\d+$", "", tensor.name))
    return any(is_named_for(name, weight) for name in names)


def nodes_of(line: Line, tables: Tables) -> tuple[str, ...]:
    """The ONNX nodes that a line is for: in a loop, those of all turns."""
    marks = list(line.nodes)
    for name, turns in line.around:
        known = turns if turns is not None and turns <= MOST_TURNS else 1
        marks = list(
            dict.fromkeys(expand(mark, name, k, tables) for mark in marks for k in range(known))
        )
    return tuple(mark for mark in dict.fromkeys(marks) if mark)


def numbered(program: Program) -> list[Numbered]:
    """The canonical text with line numbers; lines of procedures carry their callers' nodes."""
    callers = callers_nodes(program)
    lines = listing(program)
    tables = dict(program.names)
    found: list[Numbered] = []
    owner = ""
    for number, line in zip(_line_numbers(lines), lines, strict=True):
        if isinstance(line.source, Procedure):
            owner = line.source.name
        nodes = callers.get(owner, ()) if owner else nodes_of(line, tables)
        found.append(Numbered(number, line, nodes))
        if owner and line.text == "end":
            owner = ""
    return found


def _line_numbers(lines: Sequence[Line]) -> list[int]:
    """Numbers in the file if the lines were parsed, else in the canonical text."""
    canonical = list(range(1, len(lines) + 1))
    places: list[int] = []
    seen: set[int] = set()
    for line in lines:
        where = getattr(line.source, "where", NOWHERE)
        # A region is declared, and then named once more at the head of its main.
        again = id(line.source) in seen
        seen.add(id(line.source))
        places.append(0 if again else where.line)
    as_printed = all(place in (0, number) for place, number in zip(places, canonical, strict=True))
    return canonical if as_printed else places


def callers_nodes(program: Program) -> dict[str, tuple[str, ...]]:
    """Procedure -> the nodes of every call of a main that can reach it, in text order."""
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    reached = {name: [name, *reachable(body, bodies)] for name, body in bodies.items()}
    found: dict[str, dict[str, None]] = {name: {} for name in bodies}
    for region in program.regions:
        for call in calls(region.main):
            for name in reached.get(call.procedure, ()):
                found[name].update(dict.fromkeys(call.nodes))
    return {name: tuple(nodes) for name, nodes in found.items()}


def call_counts(program: Program) -> dict[str, int]:
    """Procedure -> calls of it in the text."""
    counts = dict.fromkeys((procedure.name for procedure in program.procedures), 0)
    bodies = [region.main for region in program.regions]
    for body in [*bodies, *(procedure.body for procedure in program.procedures)]:
        for call in calls(body):
            counts[call.procedure] += 1
    return counts


def turns_of(program: Program, transfer: Transfer, loop: TransferLoop | None) -> list[Transfer]:
    """An entry of the schedule in each turn of the loop around it."""
    if loop is None:
        return [transfer]
    return [*in_turns(transfer, loop, range(loop.count), dict(program.names))]


# --- one tile ---------------------------------------------------------------------


def held(extent: Extent, x: int, y: int) -> tuple[int, int]:
    """The indices [first, last) of a dimension that a tile holds; empty if first >= last."""
    first, last = extent.held({"x": x, "y": y}.get(extent.axis or "", 0))
    return max(first, 0), min(last, extent.size)


def holds(tensor: Tensor, x: int, y: int) -> tuple[tuple[int, int], ...] | None:
    """The index ranges that a tile holds, None if it holds nothing."""
    ranges = tuple(held(extent, x, y) for extent in tensor.dims)
    return ranges if all(first < last for first, last in ranges) else None


def region_at(program: Program, x: int, y: int) -> Region:
    """The region of a tile of the program's rectangle.

    Raises:
        CompileError: the tile lies outside, or belongs to no region.
    """
    if not (0 <= x < program.width and 0 <= y < program.height):
        raise CompileError(
            f"--tile {x},{y}: the program uses {program.width}x{program.height} tiles, "
            f"0,0 to {program.width - 1},{program.height - 1}"
        )
    for region in program.regions:
        inside = 0 <= x - region.left < region.width and 0 <= y - region.top < region.height
        if inside:
            return region
    raise CompileError(f"--tile {x},{y}: the tile belongs to no region")


def tile_view(program: Program, x: int, y: int) -> TileView:
    """What the tile at x, y of the program's rectangle holds and does."""
    region = region_at(program, x, y)
    x, y = x - region.left, y - region.top
    env = {**static_environment(program, region.width, region.height), "x": x, "y": y}
    routes: list[tuple[Route, int]] = []
    colors = dict(program.colors)
    for route in program.routes:
        if route.region == region.name and _true(route.guard, env):
            routes.append((route, colors[route.color]))
    return TileView(
        region,
        x,
        y,
        tuple(TileTensor(tensor, holds(tensor, x, y)) for tensor in program.tensors),
        tuple(sorted(routes, key=lambda item: item[1])),
        tuple(_placed_calls(region, env)),
        tuple(_streams_at(program, region, x, y)),
    )


def _true(guard: Expr | None, env: Mapping[str, Any]) -> bool:
    return guard is None or bool(evaluate(guard, env))


def _placed_calls(
    region: Region, env: Mapping[str, Any]
) -> Iterator[tuple[Call, tuple[tuple[str, int], ...]]]:
    """Calls with arguments that depend on x or y alone, and the values of those arguments."""
    for call in calls(region.main):
        values = tuple(
            (name, int(evaluate(value, env)))
            for name, value in call.arguments
            if {"x", "y"} & set(names(value)) and set(names(value)) <= set(env)
        )
        if values:
            yield call, values


def _streams_at(program: Program, region: Region, x: int, y: int) -> Iterator[tuple[Transfer, int]]:
    """Transfers through the tile's outward sides, with the elements that pass there."""
    outward = {
        Side.NORTH: y == 0,
        Side.SOUTH: y == region.height - 1,
        Side.WEST: x == 0,
        Side.EAST: x == region.width - 1,
    }
    for transfer, loop in each_transfer(program.transfers):
        if transfer.region == region.name and outward[transfer.side]:
            port = x if transfer.side in (Side.NORTH, Side.SOUTH) else y
            turns = turns_of(program, transfer, loop)
            elements = sum(int(traffic(program, turn).ports[port]) for turn in turns)
            if elements:
                yield transfer, elements


# --- one kernel, one node ---------------------------------------------------------


def kernel_lines(program: Program, name: str) -> list[Numbered]:
    """The lines of a procedure.

    Raises:
        CompileError: there is no such procedure; near names are given.
    """
    known = [procedure.name for procedure in program.procedures]
    marks = {named(line.nodes): {*line.nodes} for line in listing(program)}
    wanted = {name} if name in known else marks.get(name, set[str]())
    if not wanted:
        raise CompileError(f"--kernel {name}: no such procedure{suggestion(name, known)}")
    return _procedure_lines(numbered(program), name)


def _procedure_lines(lines: Sequence[Numbered], name: str) -> list[Numbered]:
    found: list[Numbered] = []
    for item in lines:
        source = item.line.source
        if found or (isinstance(source, Procedure) and source.name == name):
            found.append(item)
            if item.line.text == "end":
                break
    return found


def call_sites(program: Program, name: str) -> list[Numbered]:
    """The lines that call a procedure, in mains and in other procedures."""
    return [
        item
        for item in numbered(program)
        if isinstance(item.line.source, Call) and item.line.source.procedure == name
    ]


def nodes_by_mark(program: Program) -> dict[str, tuple[str, ...]]:
    """Each name of an ONNX node as the text has it, in text order: the nodes that it stands for.

    That is itself, but in a loop, where it stands for those of all turns.
    """
    found: dict[str, dict[str, None]] = {}
    tables = dict(program.names)
    for line in listing(program):
        for mark in line.nodes:
            turns = nodes_of(replace(line, nodes=(mark,)), tables)
            found.setdefault(mark, {}).update(dict.fromkeys(turns))
    return {mark: tuple(nodes) for mark, nodes in found.items()}


def all_nodes(program: Program) -> list[str]:
    """Every ONNX node that a line names, in text order."""
    return list(dict.fromkeys(chain.from_iterable(nodes_by_mark(program).values())))


def node_view(program: Program, name: str) -> NodeView:
    """Lines, procedures, tensors and streams of an ONNX node.

    Raises:
        CompileError: no line comes from a node of that name; near names are given.
    """
    known = all_nodes(program)
    marks = {named(line.nodes): {*line.nodes} for line in listing(program)}
    wanted = {name} if name in known else marks.get(name, set[str]())
    if not wanted:
        raise CompileError(f"no line comes from a node '{name}'{suggestion(name, known)}")
    lines = numbered(program)
    tables = dict(program.names)
    own = [item for item in lines if wanted & {*nodes_of(item.line, tables)}]
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    called = [item.line.source for item in own if isinstance(item.line.source, Call)]
    procedures: dict[str, None] = {}
    for call in called:
        procedures[call.procedure] = None
        procedures.update(reachable(bodies[call.procedure], bodies))
    places: list[tuple[str, int, int]] = []
    for procedure in procedures:
        body = _procedure_lines(lines, procedure)
        places.append((procedure, body[0].number, max(item.number for item in body)))
    tensors = [item.line.source for item in own if isinstance(item.line.source, Tensor)]
    streams = [
        turn
        for transfer, loop in each_transfer(program.transfers)
        for turn in turns_of(program, transfer, loop)
        if wanted & {*turn.nodes}
    ]
    used = set[str]().union(*(colors_of(bodies[procedure]) for procedure in procedures))
    used |= {transfer.color for transfer in streams}
    return NodeView(
        name,
        tuple(own),
        tuple(places),
        tuple((tensor, *occupied(program, tensor)) for tensor in tensors),
        tuple((transfer, traffic(program, transfer)) for transfer in streams),
        tuple(color for color, _ in program.colors if color in used),
    )


def occupied(program: Program, tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Columns and rows (of the largest region) whose tiles hold a part of the tensor.

    Extents along x and along y are independent, so the tiles are all pairs of the two.
    """
    largest = max(program.regions, key=lambda region: region.width * region.height)

    def kept(axis: str, count: int) -> tuple[int, ...]:
        extents = [extent for extent in tensor.dims if extent.axis == axis]
        spans = {
            place: [held(extent, place, place) for extent in extents] for place in range(count)
        }
        return tuple(place for place, found in spans.items() if all(a < b for a, b in found))

    return kept("x", largest.width), kept("y", largest.height)


def picture(
    columns: Iterable[int], rows: Iterable[int], width: int, height: int, most: tuple[int, int]
) -> list[str]:
    """The mesh as text, ``#`` where a tile holds data; a mark may stand for several tiles."""
    wide, high = -(-width // most[0]), -(-height // most[1])
    marked = np.zeros((-(-height // high), -(-width // wide)), bool)
    across = np.unique(np.fromiter(columns, np.int64) // wide)
    marked[np.ix_(np.unique(np.fromiter(rows, np.int64) // high), across)] = True
    return ["".join("#" if mark else "." for mark in line) for line in marked]


def span(numbers: Sequence[int]) -> str:
    """``0-7, 12`` for rising numbers."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts) or "none"


# --- streams ----------------------------------------------------------------------


def stream_cycles(moved: Traffic, fabric: Fabric) -> int:
    """Cycles that a transfer takes at least: its busiest port, or the edge's bandwidth."""
    return max(moved.wavelets, -(-moved.bytes // fabric.io_bytes_per_cycle))


def direction_bytes(program: Program) -> dict[Direction, int]:
    """Bytes over the edge in each direction."""
    return edge_bytes(Traffics(program), plain_transfers(program))
