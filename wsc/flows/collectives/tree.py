"""Binary-tree reduce: in round k, odd multiples of 2^k send to the multiple of 2^(k+1) before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from wsc.errors import CompileError
from wsc.flows.collectives.alone import OverLine, depth, startup
from wsc.flows.flow import Path, Strand, at, both, when
from wsc.isa.expr import Expr
from wsc.isa.fabric import Fabric
from wsc.isa.program import Position
from wsc.isa.table import Timing
from wsc.isa.types import Side

RAMP = Side.RAMP
RADIX = 4  # two levels of the binary tree share a color into their root


@dataclass(frozen=True, slots=True)
class Level:
    """Two rounds of the tree, over the tiles at multiples of ``stride``.

    digit: the last digit in base 4 of such a tile's number. near: brings the words of digits 1 and
    2 to 0, one behind the other as in a star. far: brings those of 3 to 2; None where the line is
    so short that there are digits 0 and 1 alone.
    """

    stride: int
    digit: Expr
    near: Strand
    far: Strand | None


@dataclass(frozen=True)
class TreeReduce(OverLine):
    """To tile 0, in as many rounds as the tiles can be halved.

    enter: if given, ``a0`` first takes what comes from that side, in every tile, until an ADVANCE:
    for programs whose input would need one more queue.

    Raises:
        CompileError: the number of tiles is not a power of two.
    """

    enter: Side | None = None

    def __post_init__(self) -> None:
        if self.tiles < 2 or self.tiles & (self.tiles - 1):
            reason = f"there are {self.tiles}"
            raise CompileError(f"a tree reduce needs a power of two of tiles; {reason}")

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Its levels, from neighbours on."""
        return tuple(self._levels())

    def laid(self) -> tuple[Strand, ...]:
        """``a0``, ``b0``, ``a1``, ``b1``, ...: the near one and the far one of each level."""
        both_of = (strand for level in self.levels for strand in (level.near, level.far))
        return tuple(strand for strand in both_of if strand is not None)

    def _levels(self) -> Iterator[Level]:
        for number in range(self.tiles.bit_length()):
            stride = RADIX**number
            if stride >= self.tiles:
                return
            digit = self.place // stride % RADIX
            whole = 2 * stride < self.tiles
            near = self._near(f"a{number}", stride, digit, whole)
            far = self._far(f"b{number}", stride, digit) if whole else None
            yield Level(stride, digit, near, far)

    @property
    def _sides(self) -> tuple[Position, Position, Position]:
        """What a tile sends itself, what it lets pass, and what it receives."""
        ahead, back = self.line.ahead, self.line.back
        return at(RAMP, back), at(ahead, back), at(ahead, RAMP)

    def _near(self, name: str, stride: int, digit: Expr, whole: bool) -> Strand:
        own, others, came = self._sides
        on = when(self.place % stride, "==", 0)
        first = (at(self.enter, RAMP),) if self.enter is not None and stride == 1 else ()
        paths = [
            Path(both(on, when(digit, "==", 0)), (*first, came)),
            Path(both(on, when(digit, "==", 1)), (*first, own, *((others,) if whole else ()))),
        ]
        if whole:
            paths.append(Path(both(on, when(digit, "==", 2)), (*first, own)))
        if first:
            paths.append(Path(both(on, when(digit, "==", 3)), first))
        if stride > 1:
            between = both(when(self.place % stride, ">", 0), when(digit, "<", 2 if whole else 1))
            paths.append(Path(between, (others,)))
        return Strand(self, name, "sums to the next multiple of four strides", tuple(paths))

    def _far(self, name: str, stride: int, digit: Expr) -> Strand:
        own, others, came = self._sides
        on = when(self.place % stride, "==", 0)
        paths = [
            Path(both(on, when(digit, "==", 2)), (came,)),
            Path(both(on, when(digit, "==", 3)), (own,)),
        ]
        if stride > 1:
            between = both(when(self.place % stride, ">", 0), when(digit, "==", 2))
            paths.append(Path(between, (others,)))
        return Strand(self, name, "sums from the fourth tile of a level to its third", tuple(paths))

    def cycles(self, fabric: Fabric, words: int) -> float:
        """Round after round at tile 0, where all the others end.

        Round j begins when the round before has ended, or when its words, which left when
        round j - 1 began at their sender, are there: 2 T + 1 + 2^j cycles later. Between rounds
        of one color there is a control wavelet, but that costs only where nothing waits in
        the buffers behind it: next to tile 0. A round on another color has an instruction to
        start, at its sender too if that was busy. And its first words have come while the
        round before was under way: they have taken turns on its links, as many as fill
        the buffers, less those of that round's words which were in buffers already. A fifth
        queue at the ramp passes only as many words as it holds in the time that one needs.
        """
        hop, through = fabric.hop_cycles, depth(fabric)
        start = startup(fabric) + fabric.timing[Timing.BRANCH].startup
        taken, busy = 0, False
        cycles = float(through + hop)
        for number in range(1, self.tiles.bit_length() - 1):
            ready, gap = through + hop * 2**number, 0
            if number == 1:
                gap = 3 + startup(fabric)
            elif number % 2 == 0:
                taken = max(0, _early(fabric, words, number) - taken)
                gap = start + taken
                ready += start if busy else 0
            busy = words + gap >= ready
            cycles += max(words + gap, ready)
        return cycles + words * _slowness(fabric, (self.tiles.bit_length() - 2) // 2)


def _early(fabric: Fabric, words: int, number: int) -> int:
    """Words of a round that come before the one before it has ended."""
    each = fabric.router_buffer_depth + fabric.link_stages
    buffers = each * 2 ** (number - 1)
    room = buffers + fabric.input_queues[number // 2]
    return min(room, max(0, words - depth(fabric) - fabric.hop_cycles * 2**number))


def _slowness(fabric: Fabric, queue: int) -> float:
    """Cycles a word through an input queue: its slot is taken for T + 1 of them."""
    return max(1.0, (fabric.ramp_latency + 1) / fabric.input_queues[queue])
