"""Programs and fabrics at random, aimed at addresses, extents, strides, counts and limits.

A program of this kind is small and mostly well formed, so that it comes far; its numbers are
those at which a sum, a product or a table would give way.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from wsc.isa.fabric import PRESETS
from wsc.runtime.engine import ENGINES

WORD = 1 << 31
SRAM = 16384  # bytes of a tile of the fabric that is changed

# What an operand may well be, and where words, tables and 64 bits end.
SMALL = (0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 28, 32)
EDGES = (
    -1,
    -4,
    30,
    31,
    33,
    36,
    124,
    128,
    SRAM - 4,
    SRAM,
    4096,
    65535,
    65536,
    1 << 20,
    1 << 22,
    (1 << 22) + 1,
    1 << 23,
    1 << 24,
    800_000_000,
    WORD - 4,
    WORD - 1,
    -WORD,
)
BEYOND = (WORD, 1 << 32, (1 << 32) + 4, 1 << 40, 1 << 46, 99_999_999_999_999, -(1 << 33), 10**15)

# Products of these that are zero, small or negative in 64 bits: what a check would be fooled by.
WRAPPING = (
    (1 << 16,) * 4,
    (1 << 30, 1 << 30, 16),
    (1 << 31,) * 2,
    (WORD - 1,) * 3,
    (3_037_000_500,) * 2,
    ((1 << 32) - 1, (1 << 32) + 1),
    (1 << 20,) * 4,
)

# Numbers of a fabric: within, at the ends of, and beyond what tables hold.
LIMITS = (-1, 0, 1, 2, 3, 4, 7, 8, 9, 31, 62, 63, 64, 65, 255, 256, 257, 1 << 16, 1 << 24, 1 << 31)

_REGISTERS = ("p", "q", "r")
_DIMS: tuple[str, ...] = ("i", "j", "k", "l")
_SOURCES = {"mov": 1, "add": 2, "mul": 2, "fmac": 2, "div": 2, "max": 2, "exp": 1, "sub": 2}


@dataclass(frozen=True, slots=True)
class Hostile:
    """A program, the description of its fabric, and how it is run.

    verified: whether the verifier looks at it first, as the command line has it; without that
    the loader and the engine are alone.
    """

    text: str
    fabric: str
    engine: str
    verified: bool
    races: bool


def hostile(seed: int, number: int) -> Hostile:
    """The program of a number: the same for the same seed."""
    rng = random.Random(f"{seed}/{number}")
    engine = rng.choice(ENGINES)
    races = engine == "reference" and rng.random() < 0.3
    return Hostile(_Text(rng).program(), _fabric(rng), engine, rng.random() < 0.6, races)


def _fabric(rng: random.Random) -> str:
    """The description of the fabric for teaching, mostly with some other numbers."""
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 2))):
        numbers = list(re.finditer(r"value = (\[[\d, ]+\]|\d[\d_]*)", text))
        place = rng.choice(numbers)
        value = str(rng.choice((*LIMITS, *EDGES, *BEYOND)))
        if place[1].startswith("["):
            value = f"[{', '.join(rng.choice(('1', '2', '4', value)) for _ in range(4))}]"
        text = f"{text[: place.start(1)]}{value}{text[place.end(1) :]}"
    return text


class _Text:
    """Writes one program. Expressions are kept within what the grammar takes."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self) -> str:
        """A number, more often a harmless one."""
        pool: Sequence[int] = self.rng.choices((SMALL, EDGES, BEYOND), (12, 5, 1))[0]
        return str(self.rng.choice(pool))

    def word(self) -> str:
        """A number that an operand holds."""
        return str(self.rng.choice(self.rng.choices((SMALL, EDGES), (7, 1))[0]))

    def register(self) -> str:
        """What a register may be set to: nobody looks at it before the program runs."""
        return str(self.rng.choice(self.rng.choices((SMALL, EDGES), (1, 1))[0]))

    def value(self) -> str:
        """A static expression, a register, or a sum of both."""
        rng = self.rng
        how = rng.random()
        if how < 0.4:
            return self.word() if rng.random() < 0.97 else self.number()
        if how < 0.7:
            return rng.choice(_REGISTERS)
        if how < 0.8:
            return " + ".join(rng.choice(_REGISTERS) for _ in range(rng.choice((2, 3, 6))))
        if how < 0.9:
            return f"{self.word()} + {rng.choice(_REGISTERS)}"
        return f"{rng.choice(('x', 'y', 'W', 'H'))}*{self.word()}"

    def dims(self) -> list[tuple[str, str]]:
        """Iteration names with extents; some whose product wraps."""
        rng = self.rng
        if rng.random() < 0.08:
            sizes = [str(size) for size in rng.choice(WRAPPING)]
        else:
            sizes = [self.value() for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))]
        return list(zip(_DIMS, sizes, strict=False))

    def address(self, dims: list[tuple[str, str]]) -> str:
        """A memory descriptor over the iteration names."""
        rng = self.rng
        terms = ["t"] if rng.random() < 0.8 else []
        for name, _ in dims:
            if rng.random() < 0.7:
                stride = rng.choice((self.word(), *rng.sample(_REGISTERS, 2), "4", "4", "2"))
                terms.append(f"{name}*{stride}")
        if rng.random() < 0.4 or not terms:
            terms.append(self.value())
        return f"[{' + '.join(terms)}]".replace("+ -", "- ")

    def iterated(self, dims: list[tuple[str, str]]) -> str:
        """The iteration space behind an instruction."""
        return " for " + ", ".join(f"{name}:{size}" for name, size in dims) if dims else ""

    def queue(self, color: str, dims: list[tuple[str, str]]) -> str:
        """A queue operand that advances with some of the outer names."""
        if self.rng.random() < 0.4:
            return f"<{color}>"
        outer = [name for name, _ in dims[: self.rng.randint(0, len(dims))]]
        return f"<{color}: {', '.join(outer)}>"

    def vector(self) -> str:
        """A vector instruction, or a send; some on a stream unit."""
        rng, dims = self.rng, self.dims()
        issue = (
            f"async {rng.choice('001')} -> s{rng.choice('0127')}: " if rng.random() < 0.2 else ""
        )
        dtype = rng.choice(("f32", "f32", "f16", "i32"))
        if rng.random() < 0.15:
            target = f"({self.value()}, {self.value()})"
            if rng.random() < 0.7:
                target = "(x, y)"
            operands = f"{self.address(dims)}, {self.address(dims)}"
            return f"{issue}send.{dtype} {target} s0: {operands}{self.iterated(dims)}"
        name = rng.choice(("mov", "add")) if issue else rng.choice(list(_SOURCES))
        if name in ("fmac", "exp") and dtype == "i32":
            dtype = "f32"
        to_queue = name != "fmac" and rng.random() < 0.2
        operands = [self.queue("outs", dims) if to_queue else self.address(dims)]
        for _ in range(_SOURCES[name]):
            how = rng.random()
            source = self.address(dims)
            if how < 0.3:
                source = self.queue("ins", dims)
            elif how < 0.4:
                source = f"{{{self.value()}}}"
            operands.append(source)
        return f"{issue}{name}.{dtype} {', '.join(operands)}{self.iterated(dims)}"

    def statement(self, depth: int = 0) -> list[str]:
        """A statement; loops and guards hold more of them."""
        rng = self.rng
        how = rng.random()
        if how < 0.5:
            return [self.vector()]
        if how < 0.6:
            return [f"i.load {rng.choice(_REGISTERS)}, [t + {self.value()}]"]
        if how < 0.7:
            return [f"i.store [t + {self.value()}], {self.value()}"]
        if how < 0.78:
            name = rng.choice(("add", "mul", "sub", "mod", "div", "shl"))
            return [f"i.{name} {rng.choice(_REGISTERS)}, {self.value()}, {self.value()}"]
        if how < 0.84:
            return [f"signal s0, {self.value()}", f"wait s0, {self.value()}"]
        if how < 0.88:
            return [f"control {rng.choice(('advance', 'reset'))} <outs>"]
        if how < 0.92:
            return [f"call part(a = {self.value()}, b = {self.value()})"]
        if depth > 1:
            return [f"i.set {rng.choice(_REGISTERS)}, {self.value()}"]
        body = [line for _ in range(rng.randint(1, 2)) for line in self.statement(depth + 1)]
        head = f"loop n{depth}: {self.value()}"
        if rng.random() < 0.4:
            head = f"if {self.value()} < {self.value()}"
        return [head, *body, "end"]

    def transfer(self, verb: str, color: str, tensor: str, side: str, count: int) -> str:
        """A transfer; most move ``count`` elements, others are strided, repeated or looked up."""
        rng = self.rng
        if rng.random() < 0.75:
            own = "8*x + " if verb == "drain" else ""
            return f"{verb} {color} in all side {side} from {tensor}[{own}i] for i:{count}"
        dims = [(name, self.edge_number()) for name in _DIMS[: rng.choice((0, 1, 1, 2, 3))]]
        if rng.random() < 0.2:
            dims = list(zip(_DIMS, map(str, rng.choice(WRAPPING)), strict=False))
        repeat = f" repeat n:{abs(int(self.number()))}" if rng.random() < 0.5 else ""
        lookup = ""
        if verb == "feed" and rng.random() < 0.3:
            count, port = abs(int(self.number())), rng.choice((0, 0, 1, 9))
            lookup = f" lookup row:{count} by outs side S port {port}"
        names = [name for name, _ in dims] + ["n"] * bool(repeat) + ["row"] * bool(lookup)
        terms = [f"{name}*{self.edge_number()}" for name in names if rng.random() < 0.7]
        if rng.random() < 0.4 or not terms:
            terms.append(self.edge_number())
        if repeat and rng.random() < 0.3:
            dims.append(("m", f"min(n, {self.edge_number()})"))
        guard = f" when {rng.choice('xy')}*{self.number()} >= 0" if rng.random() < 0.2 else ""
        offset = " + ".join(terms).replace("+ -", "- ")
        control = rng.choice((" then advance", " final reset", "", "", ""))
        return (
            f"{verb} {color} in all side {side}{guard} from {tensor}[{offset}]{repeat}{lookup}"
            f"{self.iterated(dims)}{control if verb == 'feed' else ''}"
        )

    def edge_number(self) -> str:
        """A number in a transfer."""
        return self.number() if self.rng.random() < 0.4 else self.rng.choice(("0", "1", "2", "x"))

    def program(self) -> str:
        """The whole text."""
        rng = self.rng
        size = f"{rng.choice((1, 1, 2, 3))}x1"
        room, place = rng.choice((32, 32, 128, SRAM // 2)), rng.choice((0, 0, 4, 64))
        shape = rng.choice(("8", "8", "4, 2", "0", self.number().lstrip("-")))
        lines = [
            "wsc 1",
            f'fabric "tiny" {size}',
            "precision f32",
            f'input a : f32[{shape}] "float32"',
            'output r : f32[24] "float32"',
            f"color ins = {rng.choice((0, 0, 7))}",
            "color outs = 1",
            f"tensor t : f32[8] at {place} size {room}",
            f"region all at 0,0 size {size}",
            "route ins in all : N -> RAMP",
            "route outs in all : RAMP -> S",
            "proc part(a, b)",
            "  i.store [t + a], b",
            "end",
            "main all",
        ]
        lines += [f"  i.set {name}, {self.register()}" for name in _REGISTERS]
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            lines += [f"  {line}" for line in self.statement()]
        lines += ["  mov.f32 <outs>, [t + 4*l] for l:8", "end"]
        fed = rng.choice((1, 2, 4, 8)) if "<ins" in " ".join(lines) else 0
        lines.append(self.transfer("feed", "ins", "a", "N", fed))
        lines.append(self.transfer("drain", "outs", "r", "S", 8))
        return "\n".join(lines) + "\n"
