"""``python -m benchmarks.fidelity``: what others measured, beside our cycles; ``docs/fidelity.md``.

Each row is a small program of our assembly that does what was measured. The numbers of ``wse3`` are
mostly those measurements, so the page says that the engines do with them what the machine does, and
where one form of number is too simple. The collectives are a test of ``wse2`` from outside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.collectives import Case, formulas, measure, written
from benchmarks.report import markdown_table
from wsc import runtime
from wsc.isa.parser import parse
from wsc.runtime.engine import BOTH, TIME

PAGE = Path(__file__).parent.parent / "docs" / "fidelity.md"
PART, CYCLES = 0.05, 1.0  # a row agrees within either

HEAD = """\
# Fidelity

What others measured on a WSE-3 (one group, unreviewed: `docs/PERFORMANCE_MODEL.md` at 4b34f02 of
luozoupi/FABRICA-CUDA2CSL-Optmization-Benchmark-and-Agentic-Framework), and the published cycle
models of a WSE-2 (Near-Optimal Wafer-Scale Reduce, HPDC 2024: within 4 % of measured cycles),
beside the cycles of small programs on the fabrics `wse3` and `wse2`. Written by `python -m
benchmarks.fidelity`, which has the programs.

Most numbers of `wse3` are these measurements. Where a row says the same as one number of the
file, it shows that the engines do with it what the machine does. Ramp and set-up of a move into a
queue are derived from the rows of a message and of a stage, so these rows agree with each other.
The collectives hold `wse2` against what its numbers were not made for.

A row agrees if it is within 5 % or, where it is a whole time and no rate, within one cycle.
{agree} of {all} do.
"""
TAIL = """\
A descriptor register can be used 4 cycles after it is loaded. Our instructions load theirs
themselves, so that this is a part of their set-up and has no row of its own. What has no cycles
is held elsewhere: the grammar gives a route one receive side at a time, the file gives a tile
49,152 bytes.

Not modelled: wavelets to the west slow down beyond 32 hops, which those who measured it do not
explain; a set-up that depends on the element type; operands with different strides that meet in a
bank now and then.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. evidence: silicon, simulator or model. ours: from our programs.

    whole: a time of one event, for which a cycle more or less is agreement. note: why it does not
    agree, or what to know.
    """

    what: str
    evidence: str
    measured: float
    ours: float
    whole: bool = False
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Within five percent, or a cycle of a whole time."""
        off = abs(self.ours - self.measured)
        return off <= PART * self.measured or (self.whole and off <= CYCLES)

    def cells(self) -> list[str]:
        """The row of the table."""
        off = f"{self.ours / self.measured - 1:+.1%}"
        said = "yes" if self.agrees else "no"
        numbers = [_number(number) for number in (self.measured, self.ours)]
        return [self.what, self.evidence, *numbers, off, said, self.note]


def _number(number: float) -> str:
    """A number to four digits; what is nothing but rounding is none."""
    return f"{number:,.0f}" if number >= 1000 else f"{round(number, 6):.4g}"


# --- programs ---------------------------------------------------------------------------

# The vendor's simulator moves a wavelet a cycle, silicon fewer.
SIMULATOR = "set link.millicycles = 1000\n"


def run(body: str, size: str = "1x1", settings: str = "") -> runtime.RunResult:
    """Run a program for its cycles on tiles of ``wse3``."""
    text = f'wsc 1\nfabric "wse3" {size}\n{settings}precision f32\n{body}'
    return runtime.run(parse(text), {}, engine=TIME)


def alone(code: str, settings: str = "") -> int:
    """Cycles of a main thread in a single tile."""
    return run(f"region all at 0,0 size 1x1\nmain all\n{code}\nend\n", settings=settings).cycles


def line(operation: Callable[[int], str], few: int = 1000, many: int = 3000) -> tuple[float, float]:
    """Set-up, and cycles an element, of a vector instruction for ``count`` elements."""
    one, other = alone(operation(few)), alone(operation(many))
    slope = (other - one) / (many - few)
    return one - few * slope, slope


def copy(kind: str, size: int, apart: int = 4) -> Callable[[int], str]:
    """A copy within SRAM, to a place that is so many bytes off the bank of its source."""
    return lambda n: f"mov.{kind} [{16384 + apart} + {size}*i], [{size}*i] for i:{n}"


def binary(name: str) -> Callable[[int], str]:
    """An f16 operation of two vectors in SRAM, no two of the three in one bank."""
    return lambda n: f"{name}.f16 [20484 + 2*i], [10250 + 2*i], [2*i] for i:{n}"


def stream(path: list[tuple[int, int]], count: int, settings: str = "") -> int:
    """Cycles from the start of a send until ``count`` words are in the tile at the path's end."""
    width, height = (max(place[axis] for place in path) + 1 for axis in (0, 1))
    sides = {(1, 0): "E", (-1, 0): "W", (0, 1): "S", (0, -1): "N"}
    steps = [sides[there[0] - here[0], there[1] - here[1]] for here, there in pairwise(path)]
    opposite = {"E": "W", "W": "E", "S": "N", "N": "S"}
    came, text = "RAMP", "color c = 0\n"
    mains: list[str] = []
    for number, (x, y) in enumerate(path):
        on = steps[number] if number < len(steps) else "RAMP"
        text += f"region r{number} at {x},{y} size 1x1\nroute c in r{number} : {came} -> {on}\n"
        came = opposite.get(on, "")
        code = {
            0: f"mov.f32 <c>, [4*i] for i:{count}",
            len(path) - 1: f"mov.f32 [4*i], <c> for i:{count}",
        }
        mains.append(f"main r{number}\n{code.get(number, '')}\nend\n")
    return run(text + "".join(mains), f"{width}x{height}", settings).cycles


def first_wavelet() -> int:
    """Cycles from the start of a send until its first wavelet leaves the router, over the edge."""
    text = """\
output r : f32[1]
color c = 0
region all at 0,0 size 1x1
route c in all : RAMP -> E
main all
mov.f32 <c>, [0]
end
drain c in all side E from r[0]
"""
    return run(text, settings=SIMULATOR).cycles - 1


def stages(count: int, words: int) -> int:
    """Cycles until a message has passed ``count`` tiles that each take all and then send it on."""
    text = "color even = 0\ncolor odd = 1\n"
    colors = ("even", "odd")
    for x in range(count + 1):
        text += f"region r{x} at {x},0 size 1x1\nmain r{x}\n"
        into, out = colors[(x + 1) % 2], colors[x % 2]
        text += f"mov.f32 [4*i], <{into}> for i:{words}\n" if x > 0 else ""
        text += f"mov.f32 <{out}>, [4*i] for i:{words}\n" if x < count else ""
        text += "end\n"
        text += f"route {into} in r{x} : W -> RAMP\n" if x > 0 else ""
        text += f"route {out} in r{x} : RAMP -> E\n" if x < count else ""
    return run(text, f"{count + 1}x1", SIMULATOR).cycles


def fitted_stages() -> tuple[float, float, float]:
    """a, b and c of T = a N B + b N + c, over the eight points that were measured."""
    points = [(n, b) for n in (1, 2, 4, 8) for b in (64, 512)]
    table = np.array([(n * b, n, 1) for n, b in points], float)
    times = np.array([stages(n, b) for n, b in points], float)
    found = np.linalg.lstsq(table, times, rcond=None)[0]
    return float(found[0]), float(found[1]), float(found[2])


# --- rows -------------------------------------------------------------------------------


def network_rows() -> Iterator[Row]:
    """Links, turns and messages."""
    near, far = ([(x, 0) for x in range(hops + 1)] for hops in (3, 11))
    bent = [(x, 0) for x in range(6)] + [(5, y) for y in range(1, 7)]
    hop = (stream(far, 1) - stream(near, 1)) / 8
    yield Row("cycles a hop", "silicon", 2.0, hop)
    link = (stream(near, 1600) - stream(near, 800)) / 800
    yield Row("cycles a wavelet on a link", "silicon", 1.125, link)
    unhurried = (stream(near, 1600, SIMULATOR) - stream(near, 800, SIMULATOR)) / 800
    yield Row("the same, `link.millicycles` 1000", "simulator", 1.0, unhurried)
    yield Row(
        "a turn, 5 hops and 6 against 11", "silicon", 20, stream(bent, 1) - stream(far, 1), True
    )
    one, eight = (stream([(0, 0), (1, 0)], words, SIMULATOR) for words in (1, 8))
    first = first_wavelet()
    yield Row(
        "two descriptor loads and dispatch, to the first wavelet on the link",
        "simulator",
        12,
        first,
        True,
        "5 and 7",
    )
    done = one - first - round(hop)
    yield Row("last wavelet at the router, to the completion task", "simulator", 3, done, True)
    yield Row(
        "8 words over one hop, from the first descriptor load",
        "simulator",
        24,
        eight,
        True,
        "5 and 19",
    )
    words, each, rest = fitted_stages()
    yield Row("store and forward N blocks of B: cycles for N B", "simulator", 1.001, words)
    yield Row("cycles for N", "simulator", 16.1, each)
    why = "their timer reads and the hand-over to the host are in it"
    yield Row("cycles once", "simulator", 16.5, rest, True, why)


def core_rows() -> Iterator[Row]:
    """Vector and scalar instructions."""
    setup, each = line(copy("f16", 2))
    yield Row("copy f16, elements a cycle", "silicon", 4.82, 1 / each)
    yield Row("copy f16, set-up", "silicon", 15, setup, True)
    setup, each = line(copy("f32", 4))
    yield Row("copy f32, elements a cycle", "silicon", 2.44, 1 / each)
    yield Row("copy f32, set-up", "silicon", 15, setup, True)
    _, met = line(copy("f32", 4, apart=0))
    yield Row(
        "copy f32 where source and target begin in one bank, times as long",
        "silicon",
        1.94,
        met / each,
    )
    setup, each = line(lambda n: f"fmac.f16 [16384 + 4*i], [2*i], 0.5 for i:{n}")
    yield Row("multiply-add f16, elements a cycle", "silicon", 2.92, 1 / each)
    yield Row("multiply-add f16, set-up", "silicon", 16, setup, True)
    setup, each = line(lambda n: f"fmac.f32 [16388 + 4*i], [4*i], 0.5 for i:{n}")
    yield Row("multiply-add f32, elements a cycle", "silicon", 0.5, 1 / each)
    yield Row("multiply-add f32, set-up", "silicon", 17, setup, True, "one set-up for all types")
    for name in ("add", "mul"):
        setup, each = line(binary(name))
        yield Row(f"{name} f16, elements a cycle", "simulator", 3.96, 1 / each)
        yield Row(f"{name} f16, set-up", "simulator", 9, setup, True)
    setup, each = line(lambda n: f"add.f16 [16384], [16384], [2*i] for i:{n}")
    yield Row("sum to a scalar f16, cycles an element", "simulator", 2.0, each)
    yield Row("sum to a scalar f16, set-up", "simulator", 8, setup, True)
    _, each = line(lambda n: f"add.f32 [4 + 4*i], [4*i], 1.0 for i:{n}")
    yield Row(
        "a floating-point step that takes the result of the one before", "simulator", 2.0, each
    )
    step = "i.add a, a, 1\n"
    yield Row("scalar issue", "simulator", 1.0, alone(step * 11) - alone(step * 10))
    held, other = (alone(f"if {n} == 1\n{step}end") for n in (1, 2))
    yield Row("branch not taken", "simulator", 3, held - alone(step), True)
    yield Row("branch taken", "simulator", 6, other - alone(""), True)
    turns = [alone(f"loop k: {n}\n{step}end") - n for n in (10, 11)]
    yield Row("loop, back to its beginning", "simulator", 9.5, turns[1] - turns[0], True, "9 to 10")


MODELS = (
    ("broadcast", 512, 1, 64, ""),
    ("broadcast", 512, 1, 4096, ""),
    ("broadcast_2d", 32, 16, 64, ""),
    ("chain", 512, 1, 64, ""),
    ("chain", 512, 1, 4096, ""),
    ("star", 64, 1, 256, ""),
    ("tree", 512, 1, 64, "early words take turns on links: [collectives](collectives.md)"),
    ("two_phase", 512, 1, 512, ""),
    ("ring", 64, 1, 256, "each round issues an instruction: [collectives](collectives.md)"),
)


def model_rows() -> Iterator[Row]:
    """The collectives of ``wse2`` against the published models."""
    for name, width, height, words, note in MODELS:
        case = Case(name, width, height, words)
        cycles = measure(case, written(case), engine=BOTH)
        tiles = f"P = {width}" if height == 1 else f"{width} x {height}"
        published = formulas(case)[0]
        yield Row(
            f"{name.replace('_', ' ')}, {tiles}, B = {words}",
            "model",
            published,
            cycles,
            True,
            note,
        )


def page() -> str:
    """The page, all rows measured anew."""
    parts = {
        "WSE-3: links and messages": list(network_rows()),
        "WSE-3: a core": list(core_rows()),
        "WSE-2: collectives": list(model_rows()),
    }
    rows = [row for part in parts.values() for row in part]
    agree = sum(row.agrees for row in rows)
    text = [HEAD.format(agree=agree, all=len(rows))]
    for title, part in parts.items():
        head = ("what", "evidence", "measured", "ours", "off", "agrees", "note")
        table = [[*row.cells()] for row in part]
        text += [f"## {title}\n", markdown_table(head, table, 2) + "\n"]
    return "\n".join([*text, TAIL])


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written\n")


if __name__ == "__main__":
    main()
