"""Random programs by seed: contended links, multicasts, switches, both networks, the edge.

Most end well; some wait for ever or fault, and then the engines must say the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tests.runtime.plan import ELEMENTS, ROWS, TOP, WIDE, Plan, Tile
from tests.runtime.traffic import KINDS, collected
from wsc.isa.fabric import ClassTiming, Fabric, find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.isa.table import Timing
from wsc.isa.types import DType

SIZES = [(1, 1), (1, 5), (6, 1), (2, 2), (3, 2), (2, 4), (3, 3), (4, 3), (5, 4), (7, 5)]
KEPT_RESULTS = 3  # words of results that each tile shows at the end
SPOILED = 0.1  # part of the programs that are made to go wrong

INPUTS = f"""\
input a_f32 : f32[{ELEMENTS}] "float32"
input a_i32 : i32[{ELEMENTS}] "int32"
input a_f16 : f16[{ELEMENTS}] "float16"
input table : f32[{ROWS}, {WIDE}] "float32"
"""

START = """\
  mov.f32 [4*i], {x*5 + y + 1} for i:16
  mov.f32 [64 + 4*i], 0.75 for i:16
  mov.i32 [128 + 4*i], {x*3 + y} for i:32
  mov.f16 [256 + 2*i], 1.25 for i:32
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A random program on a random fabric."""

    seed: int
    text: str
    fabric: Fabric

    @property
    def program(self) -> Program:
        """The text, parsed."""
        return parse(self.text)

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Values for the inputs, which are the same in all cases."""
        rng = np.random.default_rng(self.seed)
        return {
            "a_f32": rng.normal(size=ELEMENTS).astype(np.float32),
            "a_i32": rng.integers(-99, 99, ELEMENTS).astype(np.int32),
            "a_f16": rng.normal(size=ELEMENTS).astype(np.float16),
            "table": rng.normal(size=(ROWS, WIDE)).astype(np.float32),
        }


def generate(seed: int) -> Case:
    """The program of a seed."""
    rng = random.Random(seed)
    fabric = other_machine(random.Random(f"machine {seed}"), _fabric(rng))
    width, height = rng.choice(SIZES)
    plan = Plan(rng, fabric, width, height)
    pieces = []
    for _ in range(rng.choice((2, 5, 9, 14, 20))):
        flow = rng.choice(KINDS)(plan)
        places = sorted(rng.random() for _ in flow)
        pieces += zip(places, flow, strict=True)
    for _, emit in sorted(pieces, key=lambda piece: piece[0]):
        emit()
    for tile in plan.tiles.values():
        tile.finish()
    _show_results(plan)
    if rng.random() < SPOILED:
        for _ in range(rng.choice((1, 1, 2))):
            _spoil(rng, rng.choice(list(plan.tiles.values())))
    return Case(seed, _text(plan), fabric)


def _fabric(rng: random.Random) -> Fabric:
    """A preset, as it is or with other numbers; with room for any of the programs."""
    base = replace(find_fabric(rng.choice(("tiny", "wse2"))), sram_bytes=1 << 16)
    return base if rng.random() < 0.2 else varied(rng, base)


def varied(rng: random.Random, base: Fabric) -> Fabric:
    """A fabric with other depths, latencies, bandwidths and cycles."""
    return replace(
        base,
        router_buffer_depth=rng.choice((2, 2, 3, 4, 7)),
        dynamic_buffer_depth=rng.choice((2, 2, 3, 4)),
        ramp_latency=rng.choice((1, 2, 2, 3, 5)),
        input_queues=tuple(rng.choice((1, 2, 3, 6)) for _ in base.input_queues),
        output_queues=tuple(rng.choice((1, 2, 3, 6)) for _ in base.output_queues),
        io_bytes_per_cycle=rng.choice((1, 3, 4, 6, 10, 16, 64, 1 << 20)),
        issue_cycles=rng.choice((0, 1, 2, 4)),
        timing=_timing(rng, base),
    )


def other_machine(rng: random.Random, base: Fabric) -> Fabric:
    """Often a fabric with other links, branches and banks, and with other cycles for queues."""
    if rng.random() < 0.4:
        return base
    timing = dict(base.timing)
    for row in (Timing.MOVE, Timing.ARITHMETIC, Timing.MULTIPLY_ACCUMULATE):
        lanes = {dtype: rng.choice((1, 2, 5)) for dtype in DType}
        cycles, start = rng.choice((1, 2, 3)), rng.choice((0, 1, 4))
        timing[row] = replace(timing[row], cycles=cycles, queue_startup=start, queue_group=lanes)
    return replace(
        base,
        hop_cycles=rng.choice((1, 1, 2, 3, 5)),
        turn_cycles=rng.choice((0, 0, 1, 4, 20)),
        link_millicycles=rng.choice((1000, 1000, 1125, 1500, 1999, 2000, 3300)),
        branch_taken_cycles=rng.choice((1, 2, 6)),
        branch_back_cycles=rng.choice((0, 1, 9)),
        dependent_cycles=rng.choice((0, 1, 2, 7)),
        sram_banks=rng.choice((1, 2, 8)),
        sram_bank_bytes=rng.choice((2, 4, 16)),
        sram_conflict_millicycles=rng.choice((1000, 1940, 3000)),
        timing=timing,
    )


def _timing(rng: random.Random, base: Fabric) -> dict[Timing, ClassTiming]:
    """Other cycles for moves, arithmetic and sends."""
    found = dict(base.timing)
    for row in (Timing.MOVE, Timing.ARITHMETIC, Timing.MULTIPLY_ACCUMULATE, Timing.SEND):
        if rng.random() < 0.4:
            groups = dict.fromkeys(DType, 1)
            if row is not Timing.SEND:
                groups = {dtype: rng.choice((1, 2, 4)) for dtype in DType}
            found[row] = ClassTiming(rng.choice((0, 1, 2, 5)), rng.choice((1, 1, 2, 3)), groups)
    return found


def _show_results(plan: Plan) -> None:
    """Each column shows what its tiles hold, at its north end; in some programs nobody does."""
    if plan.rng.random() < 0.25:
        return
    plan.spare = 0
    plan.colors.append("shown")
    for x in range(plan.width):
        column = [(x, y) for y in range(plan.height)]
        if not collected(plan, "shown", column, "N"):
            continue
        plan.drain("shown", column[0], "N", KEPT_RESULTS * plan.height, "f32")
        for at in column:
            tile = plan.tiles[at]
            for _ in range(KEPT_RESULTS):
                tile.lines.append(f"mov.f32 <shown>, [{plan.rng.choice(tile.results or [0])}]")
            if at != column[-1]:
                tile.lines.append("control advance <shown>")


def _spoil(rng: random.Random, tile: Tile) -> None:
    """Make a tile fault, wait for ever, or leave something out."""
    place = rng.randint(0, len(tile.lines))
    kind = rng.randrange(5)
    if kind == 0:
        tile.lines.insert(place, "i.set z, 0\ni.div z, 1, z")
    elif kind == 1:
        tile.lines.insert(place, "i.load z, [1000000]")
    elif kind == 2:
        tile.lines.insert(place, f"wait s{tile.fabric.semaphores - 1}, 1")
    elif kind == 3:
        tile.lines.insert(place, "i.set z, -1\nwait s0, z")
    elif place < len(tile.lines) and not tile.lines[place].startswith("wait"):
        del tile.lines[place]


# --- text ------------------------------------------------------------------------------


def _text(plan: Plan) -> str:
    size = f"{plan.width}x{plan.height}"
    lines = [f'wsc 1\nfabric "{plan.fabric.name}" {size}\nprecision f32\n', INPUTS]
    outputs = max(plan.drained, 1)
    lines += [f'output z_{t.value} : {t.value}[{outputs}] "{_host(t)}"' for t in DType]
    lines += [f"color {name} = {number}" for number, name in enumerate(plan.colors)]
    lines += [f"tensor mem : f32[{TOP // 4}] at 0 size {TOP}"]
    for number, (left, top, width, height) in enumerate(plan.regions):
        lines.append(f"region r{number} at {left},{top} size {width}x{height}")
    return (
        "\n".join(
            [*lines, *_routes(plan), *plan.procedures.values(), *_mains(plan), *plan.transfers]
        )
        + "\n"
    )


def _host(dtype: DType) -> str:
    return dtype.numpy.name


def _guard(spots: list[tuple[int, int]]) -> str:
    return " + ".join(f"(x == {x})*(y == {y})" for x, y in spots)


def _routes(plan: Plan) -> Iterator[str]:
    """Tiles of a region with the same route share a line."""
    groups: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for (at, color), positions in plan.routes.items():
        name, x, y = plan.region(at)
        shown = " | ".join(f"{receive} -> {send}" for receive, send in positions)
        groups.setdefault((color, name, shown), []).append((x, y))
    for (color, name, shown), spots in groups.items():
        yield f"route {color} in {name} when {_guard(spots)} : {shown}"


def _mains(plan: Plan) -> Iterator[str]:
    """Tiles of a region with the same code share a block."""
    blocks: dict[str, dict[str, list[tuple[int, int]]]] = {
        f"r{number}": {} for number in range(len(plan.regions))
    }
    for at, tile in plan.tiles.items():
        name, x, y = plan.region(at)
        if tile.lines:
            blocks[name].setdefault("\n".join(tile.lines), []).append((x, y))
    for name, codes in blocks.items():
        yield f"main {name}\n{START}"
        for code, spots in codes.items():
            yield f"if {_guard(spots)} == 1\n{code}\nend"
        yield "end"
