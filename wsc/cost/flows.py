"""Which model a queue belongs to: the flows that kernels name, and the streams that they carry."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from isa.expr import evaluate
from isa.program import Program
from isa.types import Side
from wsc.cost.edge import traffic
from wsc.cost.model import CostModel
from wsc.cost.streams import Cast, Chain, Collect, Multicast, Posted, Scatter, Schedule, Work
from wsc.cost.tiles import Axis
from wsc.kernels.flows import FLOWS, SHARED

CHAINS = {  # family -> (along x, against the coordinate)
    "east": (True, False), "west": (True, True), "south": (False, False), "north": (False, True),
}  # fmt: skip


class Unpredictable(ValueError):
    """A program that does what the cost model has no formula for; the text says what."""


def flows_of_color(color: str) -> list[str]:
    """The flows that share a color, whose name the routing pass makes of theirs."""
    return color.split(SHARED)


class Streams:
    """All streams of a program, by the names of their flows."""

    def __init__(self, program: Program, model: CostModel, x: Axis, y: Axis) -> None:
        shape = (len(y.places), len(x.places))
        self.program, self.model, self.x, self.y = program, model, x, y
        fabric = model.fabric
        between = self._output("east_even") + 2 * fabric.router_buffer_depth
        self.chains = {
            family: Chain(
                shape, x if along else y, (not along, backwards), model.hop,
                between + self._input(f"{family}_even"),
            )
            for family, (along, backwards) in CHAINS.items()
        }  # fmt: skip
        self.casts = {
            name: Cast(shape, axis, along, model.ramp + 2,
                       self._output(name) + fabric.router_buffer_depth + self._input(name))
            for name, axis, along in (("row_cast", x, 1), ("column_cast", y, 0))
        }  # fmt: skip
        self.weights = Multicast(model, y, self._schedule("weights"), self._input("weights"))
        self.scatter = Scatter(model, y, self._schedule("scatter"), self._input("scatter"))
        self.collect = Collect(model, y, self._schedule("collect"), self._output("collect"))

    def _rank(self, flow: str, leaves: bool) -> int:
        """Place of a flow's queue among those of a tile: colors get queues by their numbers."""
        numbers = dict(self.program.colors)
        color = next((color for color in numbers if flow in flows_of_color(color)), "")
        used = {
            numbers[route.color]
            for route in self.program.routes
            for position in route.positions
            if (Side.RAMP is position.receive if leaves else Side.RAMP in position.send)
        }
        return sorted(used).index(numbers[color]) if numbers.get(color) in used else 0

    def _input(self, flow: str) -> int:
        queues = self.model.fabric.input_queues
        return queues[min(self._rank(flow, False), len(queues) - 1)]

    def _output(self, flow: str) -> int:
        queues = self.model.fabric.output_queues
        return queues[min(self._rank(flow, True), len(queues) - 1)]

    def _flow(self, color: str, work: Work, leaves: bool) -> str:
        """The flow that a color carries at these tiles, where flows share it."""
        shared = flows_of_color(color)
        if len(shared) == 1:
            return shared[0]
        row, column = np.argwhere(work.lanes.mask)[0]
        env = {"x": int(self.x.places[column]), "y": int(self.y.places[row])}
        env |= {"W": self.x.size, "H": self.y.size}
        for name in shared:
            for path in FLOWS[name].paths if name in FLOWS else ():
                here = path.guard is None or evaluate(path.guard, env)
                if here and any(
                    Side.RAMP is p.receive if leaves else Side.RAMP in p.send
                    for p in path.positions
                ):
                    return name
        return color

    def _schedule(self, flow: str) -> Schedule:
        upto: list[np.ndarray] = []
        intervals: list[float] = []
        lookup: list[bool] = []
        total = np.zeros(len(self.x.places))
        types = {tensor.name: tensor.dtype for tensor in self.program.edge_tensors}
        for transfer in self.program.transfers:
            named = flow in flows_of_color(transfer.color)
            if not named or transfer.side is not Side.NORTH:
                continue
            moved = traffic(self.program, transfer)
            total = total + moved.ports[self.x.places]
            upto.append(total)
            busy = moved.elements / max(int(moved.ports.max(initial=0)), 1)
            intervals.append(self.model.edge_interval(busy, types[transfer.tensor]))
            lookup.append(transfer.lookup is not None)
        table = np.array(upto).reshape(len(upto), len(total))
        return Schedule(table, np.array(intervals), np.array(lookup, bool))

    def run(self, walk: Any, work: Work, receives: str, sends: str) -> Generator[None]:
        """Bring an instruction to the streams that it takes part in."""
        receives = receives and self._flow(receives, work, False)
        sends = sends and self._flow(sends, work, True)
        family = (receives or sends).rpartition("_")[0]
        if not receives and not sends:
            np.copyto(work.done, work.alone, where=work.lanes.mask)
        elif family in self.chains:
            yield from self._chain(walk, family, work, receives, sends)
        elif receives in self.casts:
            while not self.casts[receives].ready(work):
                yield
            self.casts[receives].receive(work, walk.time)
        elif sends in self.casts:
            self.casts[sends].send(work)
        elif receives == "weights":
            self.weights.take(work)
        elif receives == "scatter":
            self.scatter.take(work)
        elif sends == "collect":
            self.collect.give(work)
        elif sends == "indices":
            np.copyto(work.done, work.alone, where=work.lanes.mask)
            at = work.lanes.mask
            self.weights.asked = float(work.start[at].max()) + self.model.fabric.ramp_latency + 3
        else:
            raise Unpredictable(f"color '{receives or sends}' is no flow of the compiler's kernels")

    def _chain(
        self, walk: Any, family: str, work: Work, receives: str, sends: str
    ) -> Generator[None]:
        chain = self.chains[family]
        empty = work.lanes.mask & (work.count == 0)
        np.copyto(work.done, work.alone, where=empty)
        while chain.busy(work.lanes):
            if chain.resolve():
                walk.progress += 1
            elif chain.busy(work.lanes):
                yield
        chain.posted.append(Posted(work, bool(receives), bool(sends)))

    def resolve(self) -> bool:
        """Find times of chains that are complete; whether there were any."""
        return any([chain.resolve() for chain in self.chains.values()])

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet has left the fabric."""
        return float(self.collect.left.max())

    def hops(self, receives: str, sends: str, words: np.ndarray) -> float:
        """Links that wavelets cross, for an instruction of ``words`` in each sampled tile."""
        flow = flows_of_color(receives or sends)[0]
        if flow.rpartition("_")[0] in self.chains:
            return float(words.sum()) if sends else 0.0
        if receives and (flow == "weights" or flow in self.casts):
            return float(words.sum())  # each tile's copy came over one link
        if flow in ("scatter", "collect"):
            return float((words * (self.y.places[:, None] + 1)).sum())
        return 0.0
