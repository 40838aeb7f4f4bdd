"""The formulas of the cost model: cycles of instructions and of collectives on a fabric.

The collectives follow the published models of chains and broadcasts (B wavelets over P tiles
with ramp latency T_R: a chain takes ``B + (2 T_R + 2)(P - 1)``, a broadcast
``B + P + 2 T_R``). Forms of kernels are compared with whole blocks of them, before there
is a program (ragged blocks count as full); ``wsc.cost.predict`` applies their parts
(``hop``, ``ramp``, ``rows``, ``edge_interval``) to each instruction of a finished one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from wsc.cost.groups import group_of
from wsc.ir.graph import Contract, Graph, Node
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing
from wsc.isa.types import DType


@dataclass(frozen=True, slots=True)
class Bound:
    """Cycles that each resource alone would need; the kernel takes at least the largest.

    compute: core, counting only multiply-accumulates. link: wavelets over the busiest
    link. io: bytes over the edge.
    """

    compute: int
    link: int
    io: int

    @property
    def roofline(self) -> int:
        """The largest of the three."""
        return max(self.compute, self.link, self.io)

    @property
    def limit(self) -> str:
        """Which resource bounds: compute, link or io."""
        named = self.as_dict()
        return max(named, key=lambda key: named[key])

    def as_dict(self) -> dict[str, int]:
        """The three by name."""
        return {"compute": self.compute, "link": self.link, "io": self.io}

    def part_of(self, cycles: int) -> float:
        """Roofline over cycles; above one where a kernel overlaps with what runs before it."""
        return self.roofline / cycles if cycles else 0.0

    def beside(self, cycles: int) -> bool:
        """Whether what it counts runs beside other kernels: it is more than the cycles added."""
        return self.roofline > cycles

    def facts(self) -> dict[str, Any]:
        """What JSON says of a kernel's bound."""
        return {"bounds": self.as_dict(), "bound_by": self.limit if self.roofline else None}


@dataclass(frozen=True, slots=True)
class CostModel:
    """Cycle predictions for one fabric (whose size is the mesh).

    grouped: the axes along which all-reduces go in groups.
    """

    fabric: Fabric
    grouped: frozenset[str] = frozenset()

    @property
    def ramp(self) -> int:
        """From one core's output to another's input: both ramps."""
        return 2 * self.fabric.ramp_latency

    @property
    def hop(self) -> int:
        """What each core of a chain adds to the time of a wavelet: both ramps, hop and row."""
        return self.ramp + self.fabric.hop_cycles + 1

    @property
    def link(self) -> float:
        """Cycles that a wavelet takes a link between two routers."""
        return self.fabric.link_millicycles / 1000

    @property
    def between(self) -> int:
        """Wavelets that a router's buffer and the way to it hold."""
        return self.fabric.router_buffer_depth + self.fabric.link_stages

    def rows(self, timing: Timing, steps: int, dtype: DType, queue: bool = False) -> int:
        """Cycles of one row of a vector instruction; see ``ClassTiming.row``."""
        return self.fabric.timing[timing].row(steps, dtype, queue)

    def queue_interval(self, depth: Any) -> Any:
        """Cycles between two wavelets that a core takes from a queue of ``depth`` words.

        A wavelet on the ramp has its slot already, and the slot is free again in the cycle
        after it was taken.
        """
        return np.maximum(1.0, (self.fabric.ramp_latency + 1) / depth)

    def edge_interval(self, ports: float, dtype: DType) -> float:
        """Cycles between two wavelets of a port when ``ports`` of them share the bandwidth."""
        return max(1.0, ports * dtype.bytes / self.fabric.io_bytes_per_cycle)

    def chain(self, words: int, tiles: int) -> int:
        """A chain reduce of ``words`` over ``tiles`` in a line."""
        return self._over_links(words, tiles) + self.hop * max(0, tiles - 1)

    def broadcast(self, words: int, tiles: int) -> int:
        """A broadcast of ``words`` over ``tiles`` in a line."""
        hops = self.fabric.hop_cycles * max(0, tiles - 1)
        return self._over_links(words, tiles) + hops + 1 + self.ramp

    def _over_links(self, words: int, tiles: int) -> int:
        """Cycles of a stream of ``words`` along a line, after the first has come."""
        return -(-words * self.fabric.link_millicycles // 1000) if tiles > 1 else words

    def all_reduce(self, words: int, tiles: int) -> int:
        """Two half chains to the middle, then a broadcast to both ends."""
        if tiles == 1:
            return 0
        half = (tiles + 1) // 2
        return self.chain(words, half) + self.broadcast(words, half)

    def all_reduce_along(self, words: int, axis: str) -> int:
        """An all-reduce over the rows ("x") or the columns ("y") of the mesh."""
        tiles = self.fabric.width if axis == "x" else self.fabric.height
        if axis not in self.grouped:
            return self.all_reduce(words, tiles)
        half = tiles // 2
        group = group_of(tiles)
        leaders = -(-half // group)
        between = self.hop + (group - 1) * self.fabric.hop_cycles
        # The leaders begin when they have the sums of their groups.
        inward = self.chain(words, min(group, half))
        onward = self._over_links(words, tiles) + (leaders - 1) * between + self.hop
        return inward + onward + self.broadcast(words, half + 1)

    def barrier(self) -> int:
        """All tiles meet: a one-word all-reduce over rows, then over columns."""
        return self.all_reduce(1, self.fabric.width) + self.all_reduce(1, self.fabric.height) + 40

    def vector(self, elements: int, timing: Timing, dtype: DType) -> int:
        """One vector instruction over memory."""
        row = self.fabric.timing[timing]
        return row.startup + row.row(elements, dtype)

    def contraction(
        self, outputs: int, summed: int, tokens: int, dtype: DType, queue: bool = False
    ) -> int:
        """Multiply-accumulates of one tile: a row of ``tokens`` for each of outputs x summed.

        queue: whether one of the operands comes as a stream.
        """
        row = self.fabric.timing[Timing.MULTIPLY_ACCUMULATE]
        return row.start(queue) + outputs * summed * row.row(tokens, dtype, queue)

    def streamed(self, words_per_column: int, columns: int, dtype: DType) -> tuple[int, int]:
        """(link, io) cycles of a stream down each of ``columns`` columns."""
        total = words_per_column * columns * dtype.bytes
        link = self._over_links(words_per_column, self.fabric.height)
        return link, -(-total // self.fabric.io_bytes_per_cycle)

    def move(self, words: int, messages: int) -> int:
        """A redistribution in which a tile sends ``words`` in ``messages`` messages."""
        if not words:
            return 0
        return self.barrier() + words + messages * 12


def multiply_accumulates(graph: Graph) -> int:
    """Multiply-accumulates of all contractions of a graph."""
    return sum(map(work_of, graph.nodes))


def work_of(node: Node) -> int:
    """Multiply-accumulates of a node: those of a contraction."""
    return prod(size for _, size in node.op.extents) if isinstance(node.op, Contract) else 0
