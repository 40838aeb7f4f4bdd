"""What the page of a run shows, as plain data for JSON.

Everything per tile is a grid of rows. A fabric that is larger than ``MOST_ACROSS`` is shown in
blocks of tiles: the mean of what is counted in cycles or wavelets, so that sums stay what they are
when they are multiplied by the tiles of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from wsc.cost.edge import static_environment
from wsc.cost.predict import Prediction
from wsc.isa.expr import evaluate
from wsc.isa.fabric import Fabric
from wsc.isa.printer import listing
from wsc.isa.program import Call, Direction, Program, Region
from wsc.isa.shown import escaped, named
from wsc.pages.network import network
from wsc.pages.replay import replay
from wsc.views.inspect import held_bytes, nodes_by_mark, numbered, occupied, sram_use
from wsc.views.report import EstimatedRow, KernelRow, busy_shares, mac_rate

SRAM = ("bytes of SRAM used", "bytes")  # a layer, and its unit
MOST_ACROSS = 128  # columns and rows of a picture
LONGEST = 240  # characters of a line of assembly
ADVICE = 8  # kernels that are named
STALLS = 100  # that are listed, the longest first
SIDES = ("north", "east", "south", "west")

# What main threads did, in the order in which it is stacked; the name of each in the counters.
STATES = {
    "busy": "busy",
    "stalled on input": "stalled_input",
    "stalled on output": "stalled_output",
    "waiting": "waiting",
    "idle": "idle",
}
WHY = {
    "io": "the edge brings no more bytes a cycle",
    "link": "its busiest port is full",
    "compute": "its multiply-accumulates fill the cores",
}


def report_data(
    program: Program,
    fabric: Fabric,
    counters: Any,
    rows: Sequence[KernelRow],
    facts: Sequence[tuple[str, str]],
    trace: Any = None,
    name: str = "",
    windows: Sequence[tuple[int, Any]] = (),
) -> dict[str, Any]:
    """The data of the page of a run.

    counters: of the run, as ``wsc.runtime.counters.Counters`` has them. rows: its kernels. facts:
    heads and texts for the top of the page. trace: of all tiles, as ``wsc.runtime.trace.Trace`` has
    them, to be replayed; None for none. name: tells the run from others in one page. windows:
    each a first cycle, and the counters of the cycles from there on.
    """
    block = _block(program)
    return {
        **_program_data(program, fabric, rows, facts, name),
        "cycles": counters.cycles,
        "spans": [
            _span("the whole run", program, fabric, counters, block),
            *(
                _span(
                    f"cycles {first:,} to {first + counted.cycles - 1:,}",
                    program,
                    fabric,
                    counted,
                    block,
                )
                for first, counted in windows
                if counted.cycles
            ),
        ],
        "energy": {name: value * 1e-6 for name, value in counters.energy.items()},
        "replay": None if trace is None or block > 1 else replay(trace, program),
    }


def _span(name: str, program: Program, fabric: Fabric, counters: Any, block: int) -> dict[str, Any]:
    """What was counted in some cycles: heat maps, states of main threads, and waits."""
    return {
        "name": name,
        "layers": list(_layers(program, fabric, counters, block)),
        "states": {name: int(getattr(counters, key).sum()) for name, key in STATES.items()},
        "stalls": [
            {
                "line": stall.where.line,
                "procedure": stall.procedure,
                "instruction": stall.instruction,
                "waits_for": stall.waits_for,
                "cycles": stall.cycles,
            }
            for stall in counters.stalls[:STALLS]
        ],
    }


def estimate_data(
    program: Program,
    fabric: Fabric,
    prediction: Prediction,
    rows: Sequence[EstimatedRow],
    facts: Sequence[tuple[str, str]],
    name: str = "",
) -> dict[str, Any]:
    """The data of the page of a prediction: nothing has run, so no tile has waited.

    rows, facts, name: as for ``report_data``.
    """
    kernels = [
        KernelRow(
            number=row.number,
            line=row.line,
            procedure=row.procedure,
            nodes=row.nodes,
            start=row.start,
            end=row.start + row.cycles,
            busy=0.0,
            total_macs=row.macs,
            bound=row.bound,
            cycles=row.cycles,
            added=row.cycles,
            predicted=row.cycles,
            call=row.number,
            moved=row.moved,
        )
        for row in rows
    ]
    made = _program_data(program, fabric, kernels, facts, name)
    for kernel in made["kernels"]:
        kernel["shares"] = {}
    return {
        **made,
        "cycles": prediction.cycles,
        "spans": [
            {
                "name": "predicted",
                "layers": [_tiles(*SRAM, held_bytes(program, fabric), made["block"])],
                "states": {},
                "stalls": [],
            }
        ],
        "energy": {name: value * 1e-6 for name, value in prediction.energy.items()},
        "replay": None,
    }


def _program_data(
    program: Program,
    fabric: Fabric,
    rows: Sequence[KernelRow],
    facts: Sequence[tuple[str, str]],
    name: str,
) -> dict[str, Any]:
    """What a page shows of a program and its kernels, whether it ran or not."""
    block = _block(program)
    return {
        "title": escaped(PurePath(program.model).name) or "program",
        "name": escaped(name),
        "facts": [[head, escaped(text)] for head, text in facts],
        "width": -(-program.width // block),
        "height": -(-program.height // block),
        "block": block,
        "tiles": [program.width, program.height],
        "kernels": [_kernel(row, program, fabric) for row in rows],
        "nodes": _nodes(program, rows, block),
        "graph": network(program, rows),
        "lines": _lines(program, rows),
        "routes": _routes(program, block),
        "memory": [
            {
                "name": item.name,
                "at": item.address,
                "bytes": item.bytes,
                "nodes": item.nodes,
                "node": named(item.nodes),
            }
            for item in program.tensors
        ],
        "sram": {
            "limit": fabric.sram_bytes,
            "data": sram_use(program, fabric).data,
            "code": sram_use(program, fabric).code,
        },
        "roof": {
            "compute": mac_rate(fabric, program.precision) * program.width * program.height,
            "io": fabric.io_bytes_per_cycle,
        },
        "advice": list(_advice(rows)),
    }


def _block(program: Program) -> int:
    return max(1, -(-max(program.width, program.height) // MOST_ACROSS))


# --- pictures ---------------------------------------------------------------------


def _layers(
    program: Program, fabric: Fabric, counters: Any, block: int
) -> Iterator[dict[str, Any]]:
    """Each heat map: of tiles, or of links by side."""
    for name, key in STATES.items():
        yield _tiles(f"{name}, main thread", "cycles", getattr(counters, key), block)
    yield _tiles("busy, stream units", "cycles", counters.unit_busy, block)
    yield _tiles("energy, modelled", "pJ", np.round(counters.energy_tiles, 1), block)
    yield _tiles(*SRAM, held_bytes(program, fabric), block)
    yield _links("all wavelets", "wavelets", counters.links, block)
    yield _tiles("to the core", "wavelets", counters.links[..., 4], block)
    yield _tiles("from the core", "wavelets", counters.links[..., 5], block)
    if counters.dynamic_links.any():
        yield _links("dynamic network", "wavelets", counters.dynamic_links, block)
    for item in counters.colors:
        if item.wavelets.any():
            yield _links(f"color {item.color}", "wavelets", item.wavelets, block)
        if item.lost.any():
            yield _links(f"color {item.color}, turns lost to others", "cycles", item.lost, block)
        for name, grid in (
            (f"stalled on input of color {item.color}", item.stalled_input),
            (f"stalled on output of color {item.color}", item.stalled_output),
        ):
            if grid.any():
                yield _tiles(name, "cycles", grid, block)
    for number, grid in counters.semaphores.items():
        yield _tiles(f"waiting for semaphore s{number}", "cycles", grid, block)


def _tiles(name: str, unit: str, grid: np.ndarray, block: int) -> dict[str, Any]:
    return {"name": name, "unit": unit, "grid": _shrunk(grid, block)}


def _links(name: str, unit: str, grid: np.ndarray, block: int) -> dict[str, Any]:
    """Four grids: what left each tile on each side."""
    sides = {
        side: _shrunk(grid[..., place], block)
        for place, side in enumerate(SIDES)
        if grid[..., place].any()
    }
    return {"name": name, "unit": unit, "sides": sides}


def _shrunk(grid: np.ndarray, block: int) -> list[list[float]]:
    """The mean of each block of tiles; whole numbers stay whole."""
    if block == 1:
        return grid.tolist()
    rows = np.arange(0, grid.shape[0], block)
    columns = np.arange(0, grid.shape[1], block)
    sums = np.add.reduceat(np.add.reduceat(grid.astype(float), rows, 0), columns, 1)
    counts = np.add.reduceat(np.add.reduceat(np.ones(grid.shape), rows, 0), columns, 1)
    return np.round(sums / counts, 1).tolist()


def _area(region: Region) -> tuple[slice, slice]:
    """The rows and columns of a region."""
    return (
        slice(region.top, region.top + region.height),
        slice(region.left, region.left + region.width),
    )


def _routes(program: Program, block: int) -> dict[str, Any]:
    """The routes of each tile, as the number of a list of lines; none for blocks of tiles."""
    if block > 1:
        return {"lists": [], "grid": []}
    texts = [line.text for line in listing(program) if line.source in program.routes]
    marks = np.zeros((program.height, program.width, len(program.routes)), bool)
    for number, route in enumerate(program.routes):
        region = program.region(route.region)
        env = static_environment(program, region.width, region.height)
        env["y"], env["x"] = np.mgrid[0 : region.height, 0 : region.width]
        open_ = True if route.guard is None else np.asarray(evaluate(route.guard, env)) != 0
        marks[(*_area(region), number)] = open_
    found, places = np.unique(marks.reshape(-1, len(program.routes)), axis=0, return_inverse=True)
    lists = [[texts[number] for number in np.flatnonzero(row)] for row in found]
    return {"lists": lists, "grid": places.reshape(program.height, program.width).tolist()}


# --- tables -----------------------------------------------------------------------


def _kernel(row: KernelRow, program: Program, fabric: Fabric) -> dict[str, Any]:
    tiles = program.width * program.height
    shares = busy_shares(row, mac_rate(fabric, program.precision), tiles)
    return {
        "line": row.line,
        "kernel": row.procedure,
        "node": named(row.nodes),
        "nodes": row.nodes,
        "start": row.start,
        "end": row.end,
        "cycles": row.cycles,
        "added": row.added,
        "predicted": row.predicted,
        "macs": row.total_macs,
        "bytes": max(row.moved.values(), default=0),
        "brought": row.moved.get(Direction.FEED, 0),
        "taken": row.moved.get(Direction.DRAIN, 0),
        "bound": row.bound.limit if row.bound.roofline else "",
        "roofline": row.bound.roofline,
        "of_bound": row.utilization if row.bound.roofline else None,
        "shares": {name: round(value, 4) for name, value in shares.items()},
    }


def _nodes(program: Program, rows: Sequence[KernelRow], block: int) -> dict[str, Any]:
    """What each ONNX node became: its cycles, tensors, and the columns and rows that hold them.

    Nodes of a loop's turns are one, by the name that stands in the text; ``names`` are those of the
    model.
    """
    found: dict[str, dict[str, Any]] = {
        mark: {"names": names, "cycles": 0, "tensors": [], "columns": [], "rows": []}
        for mark, names in nodes_by_mark(program).items()
    }
    for row in rows:
        for name in row.nodes:
            found[name]["cycles"] += row.added
    for tensor in program.tensors:
        columns, across = occupied(program, tensor)
        for name in tensor.nodes:
            into = found[name]
            into["tensors"].append(tensor.name)
            into["columns"] = sorted({*into["columns"], *(place // block for place in columns)})
            into["rows"] = sorted({*into["rows"], *(place // block for place in across)})
    return found


def _lines(program: Program, rows: Sequence[KernelRow]) -> list[list[Any]]:
    """Number, text, nodes and cycles of each line; a procedure has the cycles of its calls."""
    by_line: dict[int, int] = {}
    by_name: dict[str, int] = {}
    for row in rows:
        by_line[row.line] = by_line.get(row.line, 0) + row.added
        by_name[row.procedure] = by_name.get(row.procedure, 0) + row.added
    made: list[list[Any]] = []
    for item in numbered(program):
        source = item.line.source
        cycles = by_line.get(item.number) if isinstance(source, Call) else None
        text = item.line.text
        if text.startswith("proc "):
            cycles = by_name.get(text.removeprefix("proc ").split("(", 1)[0])
        # A line of a procedure has no marks of its own: it has those of the procedure's callers.
        marks = item.line.nodes or item.nodes
        made.append([item.number, escaped(text)[:LONGEST], list(marks), cycles])
    return made


def _advice(rows: Sequence[KernelRow]) -> Iterator[dict[str, Any]]:
    """The kernels with most cycles above their bounds, and what bounds those near them."""
    gains = sorted(rows, key=lambda row: row.bound.roofline - row.added)
    for row in gains[:ADVICE]:
        gain = row.added - row.bound.roofline
        if gain <= 0 or math.isclose(gain, 0):
            break
        bound = f"at its bound it would take {row.bound.roofline:,}, where {WHY[row.bound.limit]}"
        if not row.bound.roofline:
            bound = "it multiplies nothing, and brings nothing over the edge"
        yield {
            "line": row.line,
            "kernel": row.procedure,
            "node": named(row.nodes),
            "nodes": row.nodes,
            "gain": gain,
            "text": f"adds {row.added:,} cycles; {bound}",
        }
