"""Collectives: simulated cycles of hand-written programs and of the compiler's kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.formulas import Published
from wsc import runtime
from wsc.flows.collectives import ROW, TwoPhaseReduce
from wsc.flows.collectives.two_phase import group_of
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Call, Extent, Op, Program, Queue, Statement
from wsc.isa.statements import statements
from wsc.isa.table import BY_NAME
from wsc.isa.verifier import verify
from wsc.kernels.collectives.draft import Vector
from wsc.kernels.collectives.program import SHAPES, Mesh, compile_collective

PROGRAMS = Path(__file__).parent.parent / "docs" / "collectives"
TILES = (4, 8, 16, 32, 64, 128, 256, 512)
WORDS = (1, 4, 16, 64, 256, 1024, 4096)
CYCLES, PART = 5, 0.04  # agreement is within either


@dataclass(frozen=True, slots=True)
class Case:
    """A collective of ``words`` on a rectangle."""

    name: str
    width: int
    height: int
    words: int


def mesh(name: str, tiles: int) -> tuple[int, int]:
    """The rectangle for a number of tiles: one row, or as square as powers of two allow."""
    if name != "broadcast_2d":
        return tiles, 1
    height = 1 << (tiles.bit_length() - 1) // 2
    return tiles // height, height


@cache
def wide() -> Fabric:
    """The WSE-2 with so much bandwidth at the edge that all tiles have their input at once."""
    return replace(find_fabric("wse2"), io_bytes_per_cycle=1 << 20)


def kernel(case: Case) -> Program:
    """The compiler's program; through its text, so that lines can be told apart."""
    made = compile_collective(case.name, case.width, case.height, case.words)
    return parse(print_program(made), case.name)


def _leaves(body: tuple[Statement, ...]) -> Iterator[Op | Call]:
    for statement in statements(body):
        if isinstance(statement, Op | Call):
            yield statement


def _sends(statement: Op | Call, color: str | None = None) -> bool:
    """Whether a vector instruction sends, in any color or in this one."""
    if isinstance(statement, Call) or statement.dtype is None:
        return False
    target = statement.operands[0]
    return isinstance(target, Queue) and color in (None, target.color)


def collective_code(program: Program) -> list[Op | Call]:
    """What stands between the first statement of main, which loads, and the output."""
    (region,) = program.regions
    code = list(_leaves(region.main[1:]))
    end = next(n for n, statement in enumerate(code) if _sends(statement, "out"))
    return code[:end]


def cycles(program: Program, result: runtime.RunResult, fabric: Fabric) -> int:
    """Cycles from the first word that a core sends until the last result is in SRAM.

    Issue and start-up of the first instruction, and the guards before it, are the program's
    and not the collective's.
    """
    code = {statement.where.line: statement for statement in collective_code(program)}
    counted = {row.statement.where.line: row for row in result.counters.statements}
    rows = {line: counted[line] for line in code if line in counted}
    starts = [
        rows[line].start + _entry(op, fabric)
        for line, op in code.items()
        if line in rows and isinstance(op, Op) and _sends(op)
    ]
    return max(row.end for row in rows.values()) - min(starts)


def _entry(op: Op, fabric: Fabric) -> int:
    """Cycles before an instruction's first row."""
    startup = fabric.timing[BY_NAME[op.name].timing].start(queue=True)
    return startup + (fabric.issue_cycles if op.asynchronous else 0)


def expected(case: Case, a: np.ndarray) -> np.ndarray:
    """What NumPy says of inputs whose sums are exact."""
    if case.name == "broadcast":
        return np.broadcast_to(a, (case.width, case.words))
    if case.name == "broadcast_2d":
        return np.broadcast_to(a, (case.height, case.width, case.words))
    total = a.sum(axis=0)
    return np.broadcast_to(total, a.shape) if case.name == "ring" else total


def inputs(program: Program) -> np.ndarray:
    """Small integers, so that f32 sums do not depend on their order."""
    shape = program.edge_tensors[0].shape
    return np.random.default_rng(5).integers(-1000, 1000, shape).astype(np.float32)


def measure(
    case: Case, program: Program, delays: int | None = None, engine: str = "reference"
) -> int:
    """Verify and run a program; its cycles.

    Raises:
        AssertionError: a value is not what NumPy gives.
    """
    fabric = wide()
    verify(program, fabric.sized(case.width, case.height))
    a = inputs(program)
    result = runtime.run(program, {"a": a}, fabric=fabric, delays=delays, engine=engine)
    np.testing.assert_array_equal(result.outputs["r"], expected(case, a), err_msg=str(case))
    return cycles(program, result, fabric)


def written(case: Case) -> Program:
    """The hand-written program, for another number of tiles and of words.

    Only what depends on them changes: the rectangle, the constants, the shapes and the room
    of tensors. The texts have different numbers of tiles and of words, so that shapes can be
    told apart.
    """
    path = PROGRAMS / f"{case.name}.wsa"
    program = parse(path.read_text(encoding="utf-8"), str(path))
    words = dict(program.constants)["B"]
    sizes = {program.width: case.width, program.height: case.height, words: case.words}
    constants = {"B": case.words}
    if case.name == "two_phase":
        constants["G"] = group_of(case.width)
        flow = TwoPhaseReduce(ROW, case.width, constants["G"])
        constants["EARLY"] = int(flow.early(wide(), case.words))
    if case.name == "ring":
        constants["N"] = max(1, case.words // case.width)
    return program.with_(
        width=case.width,
        height=case.height,
        constants=tuple((key, constants.get(key, value)) for key, value in program.constants),
        regions=tuple(replace(r, width=case.width, height=case.height) for r in program.regions),
        edge_tensors=tuple(
            replace(t, shape=tuple(sizes[n] for n in t.shape)) for t in program.edge_tensors
        ),
        tensors=tuple(
            replace(t, dims=(Extent(case.words),), bytes=case.words * t.dtype.bytes)
            for t in program.tensors
        ),
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """A case with its cycles: of the hand-written program, of the kernel, and by both formulas.

    machine: the published formula, where the machine has no rule of its own.
    """

    case: Case
    written: int
    kernel: int
    published: float
    machine: float

    @property
    def off_published(self) -> float:
        """Cycles of whichever program is further from what was published, less those."""
        return max(self.written - self.published, self.kernel - self.published, key=abs)

    @property
    def off_machine(self) -> float:
        """The same for the machine's formula."""
        return max(self.written - self.machine, self.kernel - self.machine, key=abs)


def agrees(off: float, model: float) -> bool:
    """Within five cycles, or four percent of the model."""
    return abs(off) <= max(CYCLES, PART * model)


def formulas(case: Case) -> tuple[float, float]:
    """What was published, and what the flow of the collective makes of it on this machine."""
    published = Published(wide().ramp_latency)
    mesh = Mesh(case.width, case.height, wide())
    flow = SHAPES[case.name].emit(Vector(case.words), mesh).flow
    sizes = (case.width, case.height) if case.name == "broadcast_2d" else (case.width,)
    model = getattr(published, case.name)(case.words, *sizes)
    return model, flow.cycles(wide(), case.words)


def cell(case: Case) -> Cell:
    """Simulate a case both ways."""
    return Cell(case, measure(case, written(case)), measure(case, kernel(case)), *formulas(case))


def grid(names: Iterable[str], tiles: Iterable[int], words: Iterable[int]) -> list[Cell]:
    """All cases of some collectives."""
    return [
        cell(Case(name, *mesh(name, size), count))
        for name in names
        for size in tiles
        for count in words
    ]
