"""Cycles of collectives: the published models, and what this machine's rules make of them.

B words, P tiles in a line, T the latency of a ramp. The published models are those of
"Near-Optimal Wafer-Scale Reduce" (HPDC 2024), which quotes them as within 4 % of
measured cycles of a CS-2. ``Machine`` has those in which the simulated machine differs, each
with the reason; ``docs/collectives.md`` holds both against simulated cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, sqrt
from typing import TypeVar

from wsc.isa.expr import Expr
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing

Size = TypeVar("Size", int, Expr)

TILES_PER_STEP = 40  # of a line, for which the groups of its reduces get one tile more


def group_of(size: Size) -> Size:
    """Tiles of a group of a reduce in two phases to the middle of a line of ``size`` tiles.

    The best is about the root of its half, times 0.9; between 16 and 1,000 tiles this takes at
    most 4 % longer, and it can be said in a route.
    """
    return size // TILES_PER_STEP + 2


@dataclass(frozen=True, slots=True)
class Published:
    """The published models. ramp: T, in cycles."""

    ramp: int

    @property
    def depth(self) -> int:
        """What passing through a core costs beside the hops: down a ramp and up another."""
        return 2 * self.ramp + 1

    def broadcast(self, words: int, tiles: int) -> int:
        """``B + P + 2 T``."""
        return words + tiles + 2 * self.ramp

    def broadcast_2d(self, words: int, width: int, height: int) -> int:
        """``B + M + N - 2 + 2 T + 1`` for M x N tiles."""
        return words + width + height - 2 + self.depth

    def chain(self, words: int, tiles: int) -> int:
        """``B + (2 T + 2)(P - 1)``."""
        return words + (self.depth + 1) * (tiles - 1)

    def star(self, words: int, tiles: int) -> int:
        """``B (P - 1) + 2 T + 1``, for large B."""
        return words * (tiles - 1) + self.depth

    def tree(self, words: int, tiles: int) -> float:
        """``max(B log2 P, B P log2 P / (2 (P - 1)) + P - 1) + (2 T + 1) log2 P``."""
        rounds = log2(tiles)
        links = words * tiles * rounds / (2 * (tiles - 1))
        return max(words * rounds, links + tiles - 1) + self.depth * rounds

    def two_phase(self, words: int, tiles: int) -> float:
        """``max(2 B, 2 B - 2 B / sqrt P + P - 1) + (2 T + 1)(2 sqrt P - 2)``: groups of sqrt P."""
        group = sqrt(tiles)
        ends = 2 * words - 2 * words / group + tiles - 1
        return max(2 * words, ends) + self.depth * (2 * group - 2)

    def ring(self, words: int, tiles: int) -> float:
        """``2 (P - 1) B / P + 4 P - 6 + 2 (P - 1)(2 T + 1)``, an all-reduce."""
        rounds = 2 * (tiles - 1)
        return rounds * words / tiles + 4 * tiles - 6 + rounds * self.depth


@dataclass(frozen=True, slots=True)
class Machine:
    """The same on a fabric, for the programs in ``wsc/kernels/collectives.py``.

    Where a hop takes a cycle, broadcasts and the chain take what was published.
    """

    fabric: Fabric

    @property
    def published(self) -> Published:
        """The published models with this fabric's ramp."""
        return Published(self.fabric.ramp_latency)

    @property
    def _hop(self) -> int:
        return self.fabric.hop_cycles

    @property
    def _startup(self) -> int:
        return self.fabric.timing[Timing.MOVE].start(queue=True)

    @property
    def _branch(self) -> int:
        return self.fabric.timing[Timing.BRANCH].startup

    def star(self, words: int, tiles: int) -> float:
        """Between two vectors a control wavelet switches a router.

        The router takes a cycle to act on it, and gets the next vector's first word in the
        cycle after. The control wavelet comes later than the end of its vector by the start-up
        of the instruction that sends it, unless the vector is still in the tile's buffers.
        """
        held = self.fabric.output_queues[0] + self.fabric.router_buffer_depth
        switch = 2 if words <= held else 1 + self._startup
        return words * (tiles - 1) + self.published.depth + self._hop + switch * max(0, tiles - 2)

    def early(self, words: int, group: int) -> bool:
        """Whether the last leader of a two-phase reduce should pass sums on as they come.

        Yes, if the vector is no longer than its words' way to the next leader: that one has
        then finished its own group's sums when they arrive.
        """
        return words <= self.published.depth + self._hop * group

    def two_phase(self, words: int, tiles: int, group: int) -> float:
        """Both phases one after the other, each a chain; the second has longer links.

        The published model takes the larger of contention and distance where a leader
        meets both: it sends nothing before its second vector comes. In a short vector's
        second phase no leader waits for the first.
        """
        leaders = tiles // group
        first = (self.published.depth + self._hop) * (group - 1)
        second = (self.published.depth + self._hop * group) * (leaders - 1)
        if self.early(words, group):
            return first + second + words
        return first + second + 2 * words + 3 * self._branch + self._startup

    def ring(self, words: int, tiles: int) -> float:
        """Each round issues and starts an instruction that sends, and moves whole words.

        With one or two chunks, none of them passes the long way back twice.
        """
        rounds = 2 * (tiles - 1)
        hops = 4 * tiles - 6 if words > 2 else 3 * tiles - 4
        each = -(-words // tiles) + self.published.depth + self.fabric.issue_cycles + self._startup
        return rounds * each + self._hop * hops

    def tree(self, words: int, tiles: int) -> float:
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
        start = self._startup + self._branch
        taken, busy = 0, False
        cycles = float(self.published.depth + self._hop)
        for number in range(1, tiles.bit_length() - 1):
            ready, gap = self.published.depth + self._hop * 2**number, 0
            if number == 1:
                gap = 3 + self._startup
            elif number % 2 == 0:
                taken = max(0, self._early(words, number) - taken)
                gap = start + taken
                ready += start if busy else 0
            busy = words + gap >= ready
            cycles += max(words + gap, ready)
        return cycles + words * self._slowness((tiles.bit_length() - 2) // 2)

    def _early(self, words: int, number: int) -> int:
        """Words of a round that come before the one before it has ended."""
        each = self.fabric.router_buffer_depth + self.fabric.link_stages
        buffers = each * 2 ** (number - 1)
        room = buffers + self.fabric.input_queues[number // 2]
        return min(room, max(0, words - self.published.depth - self._hop * 2**number))

    def _slowness(self, queue: int) -> float:
        """Cycles a word through an input queue: its slot is taken for T + 1 of them."""
        return max(1.0, (self.fabric.ramp_latency + 1) / self.fabric.input_queues[queue])
