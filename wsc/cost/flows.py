"""Which model a queue belongs to: the flows that kernels name, and the streams that they carry."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from wsc.cost.edge import Traffics, static_environment
from wsc.cost.model import CostModel
from wsc.cost.streams import (
    PROMISED,
    Cast,
    Chain,
    Collect,
    Multicast,
    Posted,
    Scatter,
    Schedule,
    Work,
)
from wsc.cost.tiles import Axis
from wsc.isa.expr import evaluate
from wsc.isa.program import Program, Transfer
from wsc.isa.turns import plain_transfers
from wsc.isa.types import Control, DType, Side
from wsc.kernels.flows import FLOWS, SHARED

CONTROL_BYTES = 4  # of the edge's bandwidth that a control wavelet takes
CHAINS = {  # family -> (along x, against the coordinate)
    "east": (True, False),
    "west": (True, True),
    "south": (False, False),
    "north": (False, True),
}


class Unpredictable(ValueError):
    """A program that does what the cost model has no formula for; the text says what."""


def flows_of_color(color: str) -> list[str]:
    """The flows that share a color, whose name the routing pass makes of theirs."""
    return color.split(SHARED)


def flow_at(color: str, place: dict[str, int], leaves: bool) -> str:
    """The flow that a color carries at a tile: the one that begins (or ends) at its core.

    place: x, y, W and H. leaves: wavelets leave the core, else they arrive.
    """
    shared = flows_of_color(color)
    if len(shared) == 1:
        return shared[0]
    for name in shared:
        for path in FLOWS[name].paths if name in FLOWS else ():
            here = path.guard is None or evaluate(path.guard, place)
            if here and any(
                Side.RAMP is p.receive if leaves else Side.RAMP in p.send for p in path.positions
            ):
                return name
    return color


class Streams:
    """All streams of a program, by the names of their flows."""

    def __init__(self, program: Program, model: CostModel, x: Axis, y: Axis) -> None:
        shape = (len(y.places), len(x.places))
        self.program, self.model, self.x, self.y = program, model, x, y
        self.traffics = Traffics(program)
        self.inputs, self.outputs = self._depths(False), self._depths(True)
        self.intervals = {
            color: np.maximum(model.queue_interval(np.maximum(depth, 1)), model.link)
            for color, depth in self.inputs.items()
        }
        self.chains = {
            family: Chain(
                shape,
                x if along else y,
                (not along, backwards),
                model.hop,
                self._between(f"{family}_even", 2),
            )
            for family, (along, backwards) in CHAINS.items()
        }
        self.casts = {
            name: Cast(shape, axis, along, model, self._between(name, 1))
            for name, axis, along in (("row_cast", x, 1), ("column_cast", y, 0))
        }
        self.controls = sum(map(self._control_bytes, plain_transfers(program)))
        self.weights = Multicast(model, y, self._schedule("weights"), self._depth("weights", False))
        self.scatter = Scatter(model, y, self._schedule("scatter"), self._depth("scatter", False))
        self.collect = Collect(model, y, self._schedule("collect"), self._depth("collect", True))

    def _depths(self, leaves: bool) -> dict[str, np.ndarray]:
        """Color -> words of its queue in each sampled tile; 0 where it has none.

        At each tile the colors that cross the ramp get the queues in the order of their numbers.
        """
        fabric = self.model.fabric
        queues = np.array(fabric.output_queues if leaves else fabric.input_queues)
        taken = np.zeros((len(self.y.places), len(self.x.places)), int)
        env = static_environment(self.program, self.x.size, self.y.size)
        env |= {"x": self.x.places[None, :], "y": self.y.places[:, None]}
        found: dict[str, np.ndarray] = {}
        for color, _ in sorted(self.program.colors, key=lambda item: item[1]):
            here = np.zeros(taken.shape, bool)
            for route in self.program.routes:
                crosses = any(
                    Side.RAMP is p.receive if leaves else Side.RAMP in p.send
                    for p in route.positions
                )
                if route.color == color and crosses:
                    here |= True if route.guard is None else evaluate(route.guard, env) != 0
            found[color] = np.where(here, queues[np.minimum(taken, len(queues) - 1)], 0)
            taken += here
        return found

    def _depth(self, flow: str, leaves: bool) -> int:
        """Words of the shallowest queue that a flow has."""
        depths = self.outputs if leaves else self.inputs
        for color, depth in depths.items():
            if flow in flows_of_color(color) and depth.any():
                return int(depth[depth > 0].min())
        return 0

    def _between(self, flow: str, routers: int) -> int:
        """Wavelets that lie between two cores when the second does not take them."""
        ends = self._depth(flow, True) + self._depth(flow, False)
        return ends + routers * self.model.between

    def _flow(self, color: str, work: Work, leaves: bool) -> str:
        """The flow that a color carries at these tiles, where flows share it."""
        row, column = np.argwhere(work.lanes.mask)[0]
        place = {"x": int(self.x.places[column]), "y": int(self.y.places[row])}
        return flow_at(color, place | {"W": self.x.size, "H": self.y.size}, leaves)

    def _control_bytes(self, transfer: Transfer) -> int:
        """Bandwidth that a transfer's control wavelets take, at all of its ports."""
        repeats = 1 if transfer.repeat is None else transfer.repeat[1]
        each = repeats * (transfer.then is not Control.NONE)
        each += transfer.final is not Control.NONE
        if not each:
            return 0
        return self._ports(transfer) * each * CONTROL_BYTES

    def _ports(self, transfer: Transfer) -> int:
        """Ports that take part in a transfer."""
        env = static_environment(self.program, self.x.size, self.y.size)
        env |= {"x": np.arange(self.x.size), "y": 0}
        held = 1 if transfer.guard is None else evaluate(transfer.guard, env) != 0
        return int(np.broadcast_to(held, self.x.size).sum())

    def _schedule(self, flow: str) -> Schedule:
        upto: list[np.ndarray] = []
        intervals: list[float] = []
        lookup: list[bool] = []
        control: list[float] = []
        total = np.zeros(len(self.x.places))
        each = self.traffics
        for transfer in plain_transfers(self.program):
            named = flow in flows_of_color(transfer.color)
            if not named or transfer.side is not Side.NORTH:
                continue
            moved = each.of(transfer)
            total = total + moved.ports[self.x.places]
            upto.append(total)
            busy = moved.elements / max(int(moved.ports.max(initial=0)), 1)
            interval = self.model.edge_interval(busy, each.types[transfer.tensor])
            intervals.append(max(interval, self.model.link) if self.y.size > 1 else interval)
            lookup.append(transfer.lookup is not None)
            control.append(self.model.edge_interval(self._ports(transfer), DType.F32))
        table = np.array(upto).reshape(len(upto), len(total))
        return Schedule(table, np.array(intervals), np.array(lookup, bool), np.array(control))

    def run(self, walk: Any, work: Work, receives: str, sends: str) -> Generator[None]:
        """Bring an instruction to the streams that it takes part in."""
        if receives:
            work.pace = np.maximum(work.pace, self.intervals[receives])
        receives = receives and self._flow(receives, work, False)
        sends = sends and self._flow(sends, work, True)
        family = (receives or sends).rpartition("_")[0]
        if not receives and not sends:
            np.copyto(work.done, work.alone, where=work.lanes.mask)
        elif family in self.chains:
            yield from self._chains(walk, work, receives, sends)
        elif receives in self.casts:
            while not self.casts[receives].ready(work):
                yield
            self.casts[receives].receive(work, walk.time)
        elif sends in self.casts:
            self.casts[sends].send(work)
        elif receives == "weights":
            words = np.minimum(work.count[:1], self.weights.slack[0])
            late = self.scatter.shared(work, self._stepped(words, work), walk.time)
            walk.postpone(late)
            self.weights.take(work)
        elif receives == "scatter":
            self.scatter.take(work)
            walk.scattering()
        elif sends == "collect":
            self.collect.give(work)
        elif sends == "indices":
            np.copyto(work.done, work.alone, where=work.lanes.mask)
            at = work.lanes.mask
            self.weights.asked = float(work.start[at].max()) + self.model.fabric.ramp_latency + 3
        else:
            raise Unpredictable(f"color '{receives or sends}' is no flow of the compiler's kernels")

    def _stepped(self, words: np.ndarray, work: Work) -> np.ndarray:
        """What each row adds to the words that the rows above have taken ahead of those below."""
        ahead = np.broadcast_to(words, work.count.shape)
        return np.diff(ahead, axis=0, append=ahead[-1:]) + np.eye(len(ahead))[:, :1] * ahead[:1]

    def _chains(self, walk: Any, work: Work, receives: str, sends: str) -> Generator[None]:
        families = [color.rpartition("_")[0] for color in (receives, sends) if color]
        if "south" in families:
            waiting = np.minimum(work.count, self.chains["south"].slack)
            words = waiting if sends else work.count - waiting
            walk.postpone(self.scatter.shared(work, words, walk.time))
        if families[0] == families[-1]:
            yield from self._chain(walk, families[0], work, bool(receives), bool(sends))
        else:
            yield from self._turn(walk, work, *families)

    def _chain(
        self, walk: Any, family: str, work: Work, receives: bool, sends: bool
    ) -> Generator[None]:
        chain = self.chains[family]
        empty = work.lanes.mask & (work.count == 0)
        np.copyto(work.done, work.alone, where=empty)
        if work.known:  # no words in any tile: nothing is sent
            return
        while chain.busy(work.lanes):
            if chain.resolve():
                walk.progress += 1
            elif chain.busy(work.lanes):
                yield
        chain.posted.append(Posted(work, receives, sends))

    def _turn(self, walk: Any, work: Work, family: str, onward: str) -> Generator[None]:
        """The end of one chain that is the beginning of another: wavelets leave as they come."""
        chain = self.chains[family]
        taken = replace(work, done=np.full(work.done.shape, PROMISED))
        yield from self._chain(walk, family, taken, True, True)
        while not taken.known:
            if chain.resolve():
                walk.progress += 1
            else:
                yield
        steps = np.maximum(work.count - 1, 1)
        pace = np.maximum(work.pace, (chain.last - chain.first) / steps)
        sent = replace(work, start=np.where(work.count > 0, chain.first, work.start), pace=pace)
        yield from self._chain(walk, onward, sent, False, True)

    def resolve(self) -> bool:
        """Find times of chains that are complete; whether there were any."""
        found = [chain.resolve() for chain in self.chains.values()]
        return any(found)

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """Set the clocks of all streams between tiles, and of the weights, on."""
        for stream in (*self.chains.values(), *self.casts.values()):
            stream.first += cycles
            stream.last += cycles
        self.weights.advance(cycles, words)

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet has left the fabric."""
        return float(self.collect.left.max())

    def hops(self, receives: str, sends: str, words: np.ndarray) -> float:
        """Links that wavelets cross, for an instruction of ``words`` in each sampled tile."""
        flow = flows_of_color(receives or sends)[0]
        if flow.rpartition("_")[0] in self.chains:
            return float(words.sum()) if sends else 0.0
        if receives and flow in self.casts:
            return float(words.sum())  # each tile's copy came over one link
        if flow == "weights":
            return float(words[1:].sum()) + float(words[0].sum()) * (1 - 1 / self.y.weight[0])
        if flow in ("scatter", "collect"):
            return float((words * self.y.places[:, None]).sum())
        return 0.0
