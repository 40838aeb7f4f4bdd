"""The streams of a program: each instruction is brought to those that it takes part in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsc.cost.edge import Traffics, static_environment
from wsc.cost.model import CostModel
from wsc.cost.tiles import Axis, Lanes
from wsc.cost.unpredictable import Unpredictable
from wsc.flows.carried import at_core, carried
from wsc.flows.feed import Schedule
from wsc.flows.flow import Flow, Strand
from wsc.flows.stream import Site, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import Expr, evaluate
from wsc.isa.program import Program, Transfer
from wsc.isa.turns import plain_transfers
from wsc.isa.types import Control, DType, Side

CONTROL_BYTES = 4  # of the edge's bandwidth that a control wavelet takes


class Streams:
    """All streams of a program, by their flows.

    carried: the strands that share each color. partnered: streams in which instructions wait for
    partners.
    """

    def __init__(self, program: Program, model: CostModel, x: Axis, y: Axis) -> None:
        self.program, self.model, self.x, self.y = program, model, x, y
        self.traffics = Traffics(program)
        self.carried = carried(program)
        self.color = {s: color for color, strands in self.carried.items() for s in strands}
        self.inputs, self.outputs = self._depths(False), self._depths(True)
        self.intervals = {
            color: np.maximum(model.queue_interval(np.maximum(depth, 1)), model.link)
            for color, depth in self.inputs.items()
        }
        self._open: dict[Expr, int] = {}  # ports that take part, by guard
        self.controls = sum(map(self._control_bytes, plain_transfers(program)))
        self.site = Site(model, x, y, self._depth, self._schedule)
        for strand in self.color:
            if strand.flow not in self.site.streams:
                self.site.streams[strand.flow] = strand.flow.stream(self.site)
        self._told: dict[frozenset[Flow], tuple[tuple[Stream, bool], ...]] = {}
        self.partnered = [s for s in self if type(s).resolve is not Stream.resolve]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self.site.streams.values())

    def items(self) -> Iterator[tuple[Flow, Stream]]:
        """Each flow with its stream."""
        return iter(self.site.streams.items())

    def told(self, used: frozenset[Flow]) -> tuple[tuple[Stream, bool], ...]:
        """Each stream, and whether its flow is one of these."""
        if used not in self._told:
            self._told[used] = tuple((stream, flow in used) for flow, stream in self.items())
        return self._told[used]

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

    def _depth(self, strand: Strand, leaves: bool) -> int:
        """Words of the shallowest queue that a strand has."""
        color = self.color.get(strand)
        if color is None:
            return 0
        depth = (self.outputs if leaves else self.inputs)[color]
        return int(depth[depth > 0].min()) if depth.any() else 0

    def _strand(self, color: str, lanes: Lanes, leaves: bool) -> Strand | None:
        """The strand that a color carries at these tiles; None for the empty name.

        Raises:
            Unpredictable: none of our flows does.
        """
        if not color:
            return None
        strands = self.carried.get(color, ())
        if len(strands) == 1:
            return strands[0]
        if (color, leaves) not in lanes.strands:
            lanes.strands[color, leaves] = self._strand_at(color, strands, lanes, leaves)
        return lanes.strands[color, leaves]

    def in_blocks(self, color: str, lanes: Lanes, leaves: bool) -> bool:
        """Whether tiles of a column send (or take) blocks of their own on a color, one after the
        other."""
        strand = self._strand(color, lanes, leaves)
        return strand is not None and self.site.streams[strand.flow].in_blocks

    def _strand_at(
        self, color: str, strands: tuple[Strand, ...], lanes: Lanes, leaves: bool
    ) -> Strand:
        """Of the strands that share a color the one of the first of these tiles."""
        row, column = np.argwhere(lanes.mask)[0]
        place = {"x": int(self.x.places[column]), "y": int(self.y.places[row])}
        found = at_core(strands, place | {"W": self.x.size, "H": self.y.size}, leaves)
        if found is None:
            raise Unpredictable(f"color '{color}' is no flow of the compiler's kernels")
        return found

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
        guard = transfer.guard
        if guard is None:
            return self.x.size
        if guard not in self._open:
            env = static_environment(self.program, self.x.size, self.y.size)
            env |= {"x": np.arange(self.x.size), "y": 0}
            held = evaluate(guard, env) != 0
            self._open[guard] = int(np.broadcast_to(held, self.x.size).sum())
        return self._open[guard]

    def _schedule(self, flow: Flow) -> Schedule:
        """What crosses the edge on a flow's color, at the side that is the flow's."""
        along, across = (self.x, self.y) if flow.side is Side.NORTH else (self.y, self.x)
        each = self.traffics
        color = self.color[flow.strand]
        # Transfers that move the same differ in names alone: they are looked at once.
        own: dict[int, tuple[int, Transfer]] = {}
        numbers: list[int] = []
        for transfer in plain_transfers(self.program):
            if transfer.color == color and transfer.side is flow.side:
                number, _ = own.setdefault(id(each.of(transfer)), (len(own), transfer))
                numbers.append(number)
        ports = np.zeros((len(own), len(along.places)))
        intervals, control = np.zeros(len(own)), np.zeros(len(own))
        lookup, in_turn = np.zeros(len(own), bool), np.zeros(len(own), bool)
        final = np.zeros(len(own), int)
        for number, transfer in own.values():
            moved = each.of(transfer)
            ports[number] = moved.ports[along.places]
            busy = moved.elements / max(int(moved.ports.max(initial=0)), 1)
            interval = self.model.edge_interval(busy, each.types[transfer.tensor])
            least = self.model.link if across.size > 1 else interval
            intervals[number] = max(interval, least)
            control[number] = self.model.edge_interval(self._ports(transfer), DType.F32)
            lookup[number] = transfer.lookup is not None
            in_turn[number] = transfer.repeat is not None
            final[number] = transfer.final is not Control.NONE
        upto = np.cumsum(ports[numbers], axis=0)
        told = (intervals, lookup, control, in_turn, final)
        return Schedule(upto, *(array[numbers] for array in told))

    def run(self, walk: Walker, work: Work, receives: str, sends: str) -> Steps:
        """Bring an instruction to the streams that it takes part in: colors, or empty names."""
        if receives:
            work.pace = np.maximum(work.pace, self.intervals[receives])
        came = self._strand(receives, work.lanes, False)
        out = self._strand(sends, work.lanes, True)
        if came is not None and out is not None and came.flow != out.flow:
            onward = self.site.streams[out.flow]
            yield from self.site.streams[came.flow].turn(walk, work, onward)
            return
        strand = came or out
        if strand is None:
            work.end(work.alone, work.lanes.mask)
        else:
            stream = self.site.streams[strand.flow]
            yield from stream.run(walk, work, came is not None, out is not None)

    def resolve(self) -> bool:
        """Find times of instructions whose partners are there; whether there were any."""
        found = [stream.resolve() for stream in self.partnered]
        return any(found)

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """Set all clocks on, and the words that tiles have taken (as ``taken`` has them)."""
        for stream in self:
            stream.advance(cycles)
        counting = [stream for stream in self if stream.counted is not None]
        for stream, more in zip(counting, words, strict=True):
            stream.take(more)

    @property
    def taken(self) -> np.ndarray:
        """Words that each tile has taken so far, of each stream that counts them."""
        found = [words for stream in self if (words := stream.counted) is not None]
        return np.array(found).reshape(len(found), *self.site.shape)

    @property
    def blocks(self) -> np.ndarray:
        """Elements of blocks so far, in and out, by stream and column."""
        return np.array([schedule.done for schedule in self._in_blocks()])

    def recurs(self, before: np.ndarray, left: int) -> bool:
        """Whether the edge moves so many times more what it has moved since ``blocks`` was so."""
        found = zip(self._in_blocks(), before, strict=True)
        return all(schedule.recurs(done, left) for schedule, done in found)

    def move_on(self, more: np.ndarray) -> None:
        """So many elements of blocks have been moved, as ``blocks`` has them."""
        for schedule, elements in zip(self._in_blocks(), more, strict=True):
            schedule.done = schedule.done + elements

    def _in_blocks(self) -> list[Schedule]:
        return [feeds for s in self if s.in_blocks and (feeds := s.feeds) is not None]

    @property
    def drained(self) -> float:
        """Cycle in which the last wavelet has left the fabric."""
        return max((stream.drained for stream in self), default=0.0)

    def hops(self, receives: str, sends: str, words: np.ndarray, lanes: Lanes) -> float:
        """Links that wavelets cross, for an instruction of ``words`` in each sampled tile."""
        strand = self._strand(receives, lanes, False) or self._strand(sends, lanes, True)
        return 0.0 if strand is None else self.site.streams[strand.flow].hops(words, bool(sends))
