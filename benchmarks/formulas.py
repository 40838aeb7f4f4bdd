"""The published models of collectives.

B words, P tiles in a line, T the latency of a ramp. They are those of "Near-Optimal Wafer-Scale
Reduce" (HPDC 2024), which quotes them as within 4 % of measured cycles of a CS-2. Where the
simulated machine differs, the flow of the collective says how and why (``wsc/flows/collectives``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, sqrt


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
