"""What one instruction does to the times of the tiles that walk: no value of SRAM is computed.

Registers that are the same in all tiles are integers, others arrays that broadcast to [rows,
columns] of the sampled tiles. Instructions that may have to wait for what other tiles have yet
to do are generators, and yield until they can go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from wsc.cost.cells import Moves
from wsc.cost.decisive import Item, Scalars, condensed, decisive
from wsc.cost.edge import static_environment
from wsc.cost.messages import HEADERS, Messages, Sample, of_all, of_batches
from wsc.cost.model import CostModel
from wsc.cost.network import Patterns
from wsc.cost.registers import result
from wsc.cost.senders import Senders, Sources, places
from wsc.cost.streams import Streams
from wsc.cost.tiles import MOST, Axis, Lanes, changes, sample
from wsc.cost.unpredictable import Unpredictable
from wsc.flows.carried import carried
from wsc.flows.work import MOST_RECENT, Work
from wsc.isa.expr import Binary, Expr, Name, apply, evaluate, names
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Loop, Mem, Op, Program, Queue, Statement
from wsc.isa.statements import instructions, statements
from wsc.isa.table import BY_NAME, COMPUTING, Category, Timing, operand_type
from wsc.isa.types import DType

Frame = dict[str, Any]
Pass = tuple[int, ...]  # of a statement of main: numbers of the loops around it, turns, its own
Code = Callable[[Frame], Any]
Steps = Generator[None]
MOST_TOKENS = 8  # on one semaphore at a time; counts of words go to the network's semaphores


@dataclass(slots=True)
class Span:
    """One statement of main: when the first tile reached it and the last one left it.

    left: whether any has left it.
    """

    statement: Statement
    start: float
    end: float = 0.0
    left: bool = False
    macs: float = 0.0

    def leave(self, time: float) -> None:
        """Tiles leave it, the last of them at this time."""
        self.end, self.left = max(self.end, time), True


@dataclass(slots=True)
class Repeated:
    """Turns of a loop of main that are not walked: each passes as the one before it, but later.

    spans: statements of the last turn that was walked, in the order of time, as that left them.
    more: turns behind it. cycles: of each. later: by how much all of them were put off since.
    """

    spans: tuple[Span, ...]
    more: int
    cycles: float
    later: float = 0.0

    def ends(self) -> np.ndarray:
        """When the last tile leaves each statement [turns, statements]."""
        ends = np.array([span.end for span in self.spans])
        turns = np.arange(1, self.more + 1)[:, None]
        return ends + turns * self.cycles + self.later


@dataclass(slots=True)
class Token:
    """What an instruction gives to a semaphore in some tiles, when it is done.

    here: tiles in which it is there, and not taken yet; time: since when.
    promised: tiles in which it will come, at a time that is not known yet; comes: whether there are
    any. apart: as of the work that gives it. there: whether it is there in any tile.
    """

    here: np.ndarray
    time: np.ndarray
    promised: np.ndarray
    comes: bool = False
    apart: bool = False
    there: bool = True

    @staticmethod
    def given(lanes: Lanes, time: np.ndarray) -> Token:
        """One that is there."""
        return Token(lanes.mask.copy(), time * lanes.mask, np.zeros_like(lanes.mask))

    @staticmethod
    def promise(lanes: Lanes) -> Token:
        """One that will come."""
        none, never = np.zeros_like(lanes.mask), np.zeros(lanes.mask.shape)
        return Token(none, never, lanes.mask.copy(), comes=True, there=False)

    def keep(self, time: np.ndarray, where: np.ndarray) -> None:
        """What was promised comes, in some tiles."""
        where = where & self.promised
        np.copyto(self.time, time, where=where)
        self.here |= where
        self.there = bool(np.count_nonzero(self.here))
        self.promised &= ~where
        self.comes = bool(np.count_nonzero(self.promised))

    def is_promised(self, where: np.ndarray) -> bool:
        """Whether it will come in one of these tiles."""
        return self.comes and bool(np.count_nonzero(self.promised & where))

    def take(self, where: np.ndarray) -> None:
        """It is taken, in some tiles."""
        self.here &= ~where
        self.there = bool(np.count_nonzero(self.here))


@dataclass(slots=True)
class Tally:
    """Work done, summed over all tiles of the mesh (those not sampled included)."""

    macs: dict[DType, float] = field(default_factory=lambda: dict.fromkeys(DType, 0.0))
    elements: float = 0.0
    scalars: float = 0.0
    sram: float = 0.0
    hops: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of a vector instruction: how many, cycles of each, steps in all; ints or arrays."""

    rows: Any
    pace: Any
    steps: Any
    words: Any


@dataclass(slots=True)
class Prepared:
    """A vector instruction, read once.

    number: its own. level: dimensions that make rows. advance: those with which its queue
    advances. touched: bytes of SRAM for each step. shape: when it is the same whatever the
    registers hold.
    places: address of each operand in memory, by its number, where the fabric asks for it: an
    address in registers and in the iteration names. waits: those that may read what the
    step before has written.
    """

    number: int
    extents: tuple[Code, ...]
    level: int
    advance: int
    timing: Timing
    dtype: DType
    receives: str
    sends: str
    touched: int
    places: tuple[tuple[int, Code], ...] = ()
    names: tuple[str, ...] = ()
    waits: tuple[int, ...] = ()
    shape: Shape | None = None
    registers: tuple[str, ...] = ()
    shapes: dict[tuple[int, ...], Shape] = field(default_factory=dict[tuple[int, ...], "Shape"])

    @property
    def queue(self) -> bool:
        """Whether an operand is in a queue."""
        return bool(self.receives or self.sends)


class Threads:
    """Main threads and units of the sampled tiles: their times, semaphores, streams."""

    def __init__(self, program: Program, fabric: Fabric) -> None:
        if len(program.regions) != 1:
            raise Unpredictable("the program has more than one region")
        (region,) = program.regions
        self.program, self.fabric, self.model = program, fabric, CostModel(fabric)
        self.env = static_environment(program, region.width, region.height)
        self.x, self.y = _sampled(program, "x", self.env), _sampled(program, "y", self.env)
        shape = (len(self.y.places), len(self.x.places))
        self.env |= {"x": self.x.places[None, :], "y": self.y.places[:, None]}
        self.procedures = {procedure.name: procedure for procedure in program.procedures}
        self.time = np.zeros(shape)
        self.unit = np.zeros((fabric.stream_units + 1, *shape))
        self.busy = np.zeros(self.unit.shape, bool)  # until a cycle that is not known yet
        self.tokens: dict[int, list[Token]] = {}
        self.network = {
            op.semaphore
            for op in _operations(program)
            if BY_NAME[op.name].category is Category.SEND
        }
        self.streams = Streams(program, self.model, self.x, self.y)
        self.messages: list[Messages] = []
        self.senders: list[int | None] = []  # the unit that sends each of them; None: main threads
        self.main_frame: Frame = {}
        self._known, self._moves = Patterns(), Moves()
        self.sources = Sources(Senders(self.procedures, self.env))
        self.works: list[tuple[Work, int, Token | None]] = []
        self.recent: list[tuple[Work, int, Token | None]] = []  # on units; some are known by now
        self._most_recent = MOST_RECENT
        self.progress, self.forced = 0, False
        self._equal: dict[tuple[type, Any], np.ndarray] = {}  # arrays of one number for all tiles
        self.tally = Tally()
        self.spans: dict[Pass, Span | Repeated] = {}
        self._codes: dict[int, tuple[Expr, Code]] = {}
        self._prepared: dict[int, tuple[Op, Prepared]] = {}
        self._registers: frozenset[str] = frozenset()
        self.decisive, self._decisive_in_main = decisive(
            program.procedures, region.main, self._by_address
        )
        self._decisive: frozenset[str] = frozenset()
        self._parts: dict[int, tuple[tuple[Statement, ...], tuple[tuple[Statement, ...], ...]]] = {}
        self._bodies: dict[int, tuple[tuple[Statement, ...], tuple[Item, ...]]] = {}
        self.current: Span | None = None
        self._scatter: Span | None = None
        self.postponed = 0  # times
        self._sending: dict[int, bool] = {}
        self._places: dict[int, tuple[tuple[tuple[int, str], ...], int]] = {}  # of main
        weight = self.y.weight[:, None] * self.x.weight[None, :]
        self.all = Lanes(np.ones(shape, bool), weight, whole=True)

    # --- expressions ----------------------------------------------------------

    def _code(self, node: Expr) -> Code:
        found = self._codes.get(id(node))
        if found is not None and found[0] is node:
            return found[1]
        code = self._compile(node)
        self._codes[id(node)] = (node, code)
        return code

    def _compile(self, node: Expr) -> Code:
        if not set(names(node)) & self._registers:
            value = evaluate(node, self.env)
            if isinstance(value, np.ndarray) and np.ptp(value) == 0:
                value = int(value.flat[0])
            return lambda frame: value
        if isinstance(node, Name):
            name = node.name
            return lambda frame: frame[name]
        assert isinstance(node, Binary)
        left, right, op = self._compile(node.left), self._compile(node.right), node.op
        return lambda frame: apply(op, left(frame), right(frame))

    # --- time and scalars -----------------------------------------------------

    def _spend(self, lanes: Lanes, cycles: Any) -> None:
        if lanes.whole:
            self.time += cycles
        else:
            self.time += cycles * lanes.mask

    def _single(self, lanes: Lanes, timing: Timing) -> None:
        """A scalar, control or synchronising instruction."""
        self._spend(lanes, self.fabric.timing[timing].startup)
        self.tally.scalars += lanes.tiles

    def _condensed(self, body: tuple[Statement, ...]) -> tuple[Item, ...]:
        """The body of a loop, a branch or a procedure, read once."""
        found = self._bodies.get(id(body))
        if found is None or found[0] is not body:
            found = self._bodies[id(body)] = (body, condensed(body, self._decisive, self.fabric))
        return found[1]

    def _scalars(self, scalars: Scalars, frame: Frame, lanes: Lanes) -> None:
        self._spend(lanes, scalars.cycles)
        self.tally.scalars += lanes.tiles * scalars.count
        self.tally.sram += lanes.tiles * scalars.sram
        for op in scalars.computed:
            self._compute(op, frame, lanes)

    def _compute(self, op: Op, frame: Frame, lanes: Lanes) -> None:
        """Give a register the value of a scalar instruction."""
        assert op.register is not None
        operands = op.operands if BY_NAME[op.name].category is not Category.LOAD else ()
        value = result(op, [self._code(operand.value)(frame) for operand in operands])  # type: ignore[union-attr]
        if frame is self.main_frame:
            self.sources.computed(op, frame, value, lanes.whole)
        old = frame.get(op.register, 0)
        if not lanes.whole and old is not value:
            value = np.where(lanes.mask, value, old)
        frame[op.register] = value

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """Set each tile's clocks on, as if all had gone on as before and taken ``words``."""
        self.time += cycles
        # What the edge takes block after block goes on meanwhile, and ends when it would have.
        apart = [unit for work, unit, _ in self.recent if work.apart]
        before = self.unit[apart]
        self.unit += cycles
        self.unit[apart] = before
        for tokens in self.tokens.values():
            for token in tokens:
                if not token.apart:
                    token.time += cycles
        for work, _, _ in self.recent:
            if not work.apart:
                work.start = work.start + cycles
                work.put_off(cycles)
        self.streams.advance(cycles, words)

    # --- blocks from the edge ----------------------------------------------------

    def scattering(self) -> None:
        """The statement that runs now takes blocks from the edge, which later ones may delay."""
        self._scatter = self.current

    def postpone(self, cycles: float) -> None:
        """The last blocks of that statement come later, and what follows them."""
        if not cycles:
            return
        self.postponed += 1
        after = False
        for span in self.spans.values():
            after |= span is self._scatter
            if not after or span is self.current:
                continue
            if isinstance(span, Repeated):
                span.later += cycles
            elif span.left:
                span.end += cycles

    # --- vectors --------------------------------------------------------------

    def _prepare(self, op: Op) -> Prepared:
        found = self._prepared.get(id(op))
        if found is not None and found[0] is op:
            return found[1]
        row = BY_NAME[op.name]
        assert op.dtype is not None
        order = [dim.name for dim in op.dims]
        receives, sends, level, advance, touched = "", "", -1, len(order), 0
        for place, (operand, role) in enumerate(zip(op.operands, row.operands, strict=True)):
            if isinstance(operand, Mem):
                size = operand_type(role, op.dtype).bytes
                touched += 2 * size if place == 0 and row.accumulates else size
            if isinstance(operand, Queue):
                level = max(level, len(order) if operand.dims is None else len(operand.dims))
                advance = len(order) if operand.dims is None else len(operand.dims)
                if place == 0:
                    sends = operand.color
                elif receives:
                    raise Unpredictable("an instruction takes from two queues")
                else:
                    receives = operand.color
        level = level if level >= 0 else max(len(order) - 1, 0)
        extents = tuple(self._code(dim.extent) for dim in op.dims)
        number = len(self._prepared)
        made = Prepared(
            number, extents, level, advance, row.timing, op.dtype, receives, sends, touched
        )
        held = [dim.extent for dim in op.dims]
        if self._by_address:
            self._look_at_addresses(op, made)
            held += [operand.address for operand in op.operands if isinstance(operand, Mem)]
        used = {name for expression in held for name in names(expression)}
        made.registers = tuple(sorted(used & self._registers))
        if not made.registers:
            made.shape = self._shape(made, {})
        self._prepared[id(op)] = (op, made)
        return made

    @property
    def _by_address(self) -> bool:
        """Whether an instruction's cycles depend on where its operands are."""
        return self.fabric.dependent_cycles > 0 or self.fabric.sram_conflict_millicycles > 1000

    def _look_at_addresses(self, op: Op, made: Prepared) -> None:
        """Note where the operands in memory are, and which may wait for the destination."""
        row, mine = BY_NAME[op.name], self._registers
        made.names = tuple(dim.name for dim in op.dims)
        self._registers = mine | set(made.names)  # addresses are affine in both
        made.places = tuple(
            (place, self._compile(operand.address))
            for place, operand in enumerate(op.operands)
            if isinstance(operand, Mem)
        )
        self._registers = mine
        floats = made.dtype is not DType.I32 and row.timing in COMPUTING
        if floats and isinstance(op.operands[0], Mem):
            first = 0 if row.accumulates else 1
            made.waits = tuple(place for place, _ in made.places if place >= first)

    def _held_up(
        self, made: Prepared, extents: list[Any], inner: Any, pace: Any, frame: Frame
    ) -> Any:
        """Cycles of a row, where steps wait for each other or operands meet in the banks."""
        several = [place for place, extent in enumerate(extents) if np.max(extent) > 1]
        if not several or not made.places:
            return pace
        origin = frame | dict.fromkeys(made.names, 0)
        base = {place: code(origin) for place, code in made.places}
        strides = {
            place: [code(origin | {made.names[d]: 1}) - base[place] for d in several]
            for place, code in made.places
        }
        for place in made.waits if self.fabric.dependent_cycles > 0 else ():
            waits = base[0] - base[place] == strides[place][-1]
            for one, other in zip(strides[0], strides[place], strict=True):
                waits = waits & (one == other)
            slow = np.maximum(pace, inner * self.fabric.dependent_cycles)
            pace = np.where(waits, slow, pace)
        size, banks = self.fabric.sram_bank_bytes, self.fabric.sram_banks
        meets: Any = False
        for one, other in combinations(base, 2):
            stride, a, b = strides[one][-1], base[one], base[other]
            side_by_side = (stride == strides[other][-1]) & (stride != 0) & (a != b)
            meets = meets | (side_by_side & ((a // size - b // size) % banks == 0))
        conflict = self.fabric.sram_conflict_millicycles
        return np.where(meets, -(-pace * conflict // 1000), pace)

    def _sized(self, made: Prepared, frame: Frame) -> Shape:
        """The shape for what registers hold; numbers come again from turn to turn."""
        held = tuple(frame[name] for name in made.registers)
        if any(isinstance(value, np.ndarray) for value in held):
            return self._shape(made, frame)
        if held not in made.shapes:
            made.shapes[held] = self._shape(made, frame)
        return made.shapes[held]

    def _shape(self, made: Prepared, frame: Frame) -> Shape:
        rows: Any = 1
        inner: Any = 1
        words: Any = 1
        extents: list[Any] = []
        for place, code in enumerate(made.extents):
            extent = code(frame)
            extent = np.maximum(extent, 0) if isinstance(extent, np.ndarray) else max(extent, 0)
            extents.append(extent)
            if place < made.level:
                rows = rows * extent
            else:
                inner = inner * extent
            if place < made.advance:
                words = words * extent
        timing = self.fabric.timing[made.timing]
        lanes = timing.lanes(made.dtype, made.queue)
        steps = rows * inner
        pace = np.maximum(1, -(-inner * timing.cycles // lanes))
        pace = self._held_up(made, extents, inner, pace, frame)
        if isinstance(steps, np.ndarray) or np.ndim(pace):
            return Shape(np.where(steps > 0, rows, 0), pace, steps, np.where(steps > 0, words, 0))
        return Shape(rows if steps else 0, int(pace), steps, words if steps else 0)

    def _vector(self, op: Op, frame: Frame, lanes: Lanes) -> Steps:
        made = self._prepare(op)
        shape = made.shape if made.shape is not None else self._sized(made, frame)
        self._count(op, made, shape, lanes)
        startup = self.fabric.timing[made.timing].start(made.queue)
        mark = op.asynchronous
        if mark is None and not made.receives and not made.sends:
            self._spend(lanes, np.maximum(startup + shape.rows * shape.pace, 1))
            return
        token = None
        if mark is not None:
            yield from self._free(mark.unit, lanes)
            self._spend(lanes, max(self.fabric.issue_cycles, 1))
        if isinstance(shape.rows, np.ndarray):
            start = self.time + np.where(shape.rows > 0, startup, max(startup, 1))
        else:
            start = self.time + (startup if shape.rows > 0 else max(startup, 1))
        rows, pace = self._spread(shape.rows), self._spread(shape.pace)
        work = Work(lanes, start, rows, pace)
        if mark is not None:
            sent = self.streams.in_blocks(made.sends, lanes, leaves=True)
            work.apart = sent or self.streams.in_blocks(made.receives, lanes, leaves=False)
            self.busy[mark.unit] |= lanes.mask
            if mark.semaphore is not None:
                token = Token.promise(lanes)
                token.apart = work.apart
                self.tokens.setdefault(mark.semaphore, []).append(token)
            self.works.append((work, mark.unit, token))
            self._note((work, mark.unit, token))
        yield from self.streams.run(self, work, made.receives, made.sends)
        self.progress += 1
        if mark is None:
            while not work.known:
                self._settle()
                if not work.known:
                    yield
            np.copyto(self.time, work.done, where=lanes.mask)

    def _spread(self, part: Any) -> np.ndarray:
        """A number of each tile; one array of equal numbers takes less time than a broadcast."""
        if isinstance(part, np.ndarray):
            return np.broadcast_to(part, self.time.shape)
        key = type(part), part
        if key not in self._equal:
            self._equal[key] = np.full(self.time.shape, part)
            self._equal[key].flags.writeable = False
        return self._equal[key]

    def _count(self, op: Op, made: Prepared, shape: Shape, lanes: Lanes) -> None:
        done, hops = self._counted(made, shape, lanes)
        macs = BY_NAME[op.name].macs
        if macs:
            self.tally.macs[made.dtype] += done * macs
            if self.current is not None:
                self.current.macs += done * macs
        else:
            self.tally.elements += done
        self.tally.sram += done * made.touched
        self.tally.hops += hops

    def _counted(self, made: Prepared, shape: Shape, lanes: Lanes) -> tuple[float, float]:
        """Steps of an instruction over all tiles, and the links that its wavelets cross.

        They are kept for instructions of one size in all tiles, or always of the same.
        """
        static = shape is made.shape
        plain = not isinstance(shape.steps, np.ndarray) and not isinstance(shape.words, np.ndarray)
        key = (made.number, None if static else (shape.steps, shape.words))
        if (static or plain) and key in lanes.counts:
            return lanes.counts[key]
        weight = lanes.weight
        if isinstance(shape.steps, np.ndarray):
            done = float((weight * shape.steps).sum())
        else:
            done = lanes.tiles * shape.steps
        hops = 0.0
        if made.sends or made.receives:
            words = weight * shape.words
            hops = self.streams.hops(made.receives, made.sends, words, lanes)
        if static or plain:
            lanes.counts[key] = done, hops
        return done, hops

    def _control(self, lanes: Lanes) -> None:
        self._spend(lanes, self.fabric.timing[Timing.MOVE].start(queue=True) + 1)

    # --- waiting --------------------------------------------------------------

    def _settle(self) -> None:
        """Find out what can be known by now."""
        while self.streams.resolve():
            self.progress += 1
        if not self.works:
            return
        rest: list[tuple[Work, int, Token | None]] = []
        for work, unit, token in self.works:
            over = work.lanes.mask & ~work.waiting
            fresh = over & self.busy[unit]
            np.copyto(self.unit[unit], work.done, where=fresh)
            self.busy[unit] &= ~fresh
            if token is not None:
                token.keep(work.done, over)
            if not work.known:
                rest.append((work, unit, token))
        self.works = rest

    def _note(self, given: tuple[Work, int, Token | None]) -> None:
        """Remember what a unit was given, until it is over for all tiles."""
        if len(self.recent) >= self._most_recent:
            now = float(self.time.min())
            self.recent = [item for item in self.recent if item[0].last > now]
            self._most_recent = max(MOST_RECENT, 2 * len(self.recent))
        self.recent.append(given)

    def make_later(self, work: Work, cycles: np.ndarray) -> None:
        """An instruction on a unit, whose end was known, ends so many cycles later."""
        # Each is there once, and it is mostly one of the last.
        for mine, unit, token in reversed(self.recent):
            if mine is work:
                # The unit may have been given something else since, and the token been taken.
                free = ~self.busy[unit] & (self.unit[unit] == work.done)
                self.unit[unit] += np.where(free, cycles, 0.0)
                if token is not None:
                    token.time += np.where(token.here, cycles, 0.0)
                break
        work.put_off(cycles)

    def _free(self, unit: int, lanes: Lanes) -> Steps:
        """Main threads wait until a unit has done what it was given before."""
        while np.count_nonzero(self.busy[unit] & lanes.mask):
            self._settle()
            if np.count_nonzero(self.busy[unit] & lanes.mask):
                yield
        np.copyto(self.time, np.maximum(self.time, self.unit[unit]), where=lanes.mask)

    def _signal(self, op: Op, frame: Frame, lanes: Lanes) -> None:
        self._single(lanes, Timing.SYNCHRONISE)
        if op.semaphore in self.network:
            return
        count = self._code(op.operands[0].value)(frame)  # type: ignore[union-attr]
        if isinstance(count, np.ndarray) or not 0 <= count <= MOST_TOKENS:
            raise Unpredictable("a semaphore counts words without remote stores")
        assert op.semaphore is not None
        for _ in range(int(count)):
            self.tokens.setdefault(op.semaphore, []).append(Token.given(lanes, self.time))

    def _wait(self, op: Op, frame: Frame, lanes: Lanes) -> Steps:
        assert op.semaphore is not None
        count = self._code(op.operands[0].value)(frame)  # type: ignore[union-attr]
        if op.semaphore in self.network:
            self.arrived(lanes, count)
        else:
            if isinstance(count, np.ndarray):
                raise Unpredictable("tiles wait for different counts")
            yield from self._take(op.semaphore, int(count), lanes)
        self._single(lanes, Timing.SYNCHRONISE)

    def _take(self, semaphore: int, count: int, lanes: Lanes) -> Steps:
        mask = lanes.mask
        while True:
            if any(token.is_promised(mask) for token in self.tokens.get(semaphore, [])):
                self._settle()
            tokens = self.tokens.get(semaphore, [])
            held = [token for token in tokens if token.comes or token.there]
            self.tokens[semaphore] = held
            promised = any(token.is_promised(mask) for token in held)
            only = len(held) == count == 1 and (self.forced or not promised)
            if only and not np.count_nonzero(mask & ~held[0].here):
                # The only one is there for all of them.
                np.copyto(self.time, np.maximum(self.time, held[0].time), where=mask)
                held[0].take(mask)
                self.progress += 1
                return
            here = np.array([token.here for token in held]).reshape(len(held), *mask.shape)
            enough = bool(((here.sum(axis=0) >= count) | ~mask).all())
            if enough and (self.forced or not promised):
                break
            yield
        times = np.array([token.time for token in held]).reshape(here.shape)
        latest = times.max(initial=0.0)
        for _ in range(count):
            # The earliest first of those that are there.
            when = np.where(here, times, latest).min(axis=0, initial=latest)
            np.copyto(self.time, np.maximum(self.time, when), where=mask)
            left = mask.copy()
            for number, token in enumerate(held):
                taken = left & here[number] & (times[number] == when)
                left ^= taken
                token.take(taken)
                here[number] &= ~taken
        self.progress += 1

    # --- remote stores --------------------------------------------------------

    def _send(self, op: Op, frame: Frame, lanes: Lanes) -> Steps:
        assert op.target is not None
        mark = op.asynchronous
        if mark is not None:
            yield from self._free(mark.unit, lanes)
            self._spend(lanes, max(self.fabric.issue_cycles, 1))
        extents: Any = [np.maximum(self._code(dim.extent)(frame), 0) for dim in op.dims]
        words: Any = extents[-1] if extents else 1
        messages: Any = 1
        for extent in extents[:-1]:
            messages = messages * extent
        messages = np.where(words > 0, messages, 0)
        wavelets = messages * (words + HEADERS)
        timing = self.fabric.timing[Timing.SEND]
        busy = np.maximum(timing.startup + wavelets * timing.cycles, 1)
        first = self.time + timing.startup
        last = self.time + busy
        if mark is None:
            self._spend(lanes, busy)
        else:
            np.copyto(self.unit[mark.unit], last, where=lanes.mask)
            if mark.semaphore is not None:
                # Messages may be held up on their way, which who takes them waits for anyway.
                self.tokens.setdefault(mark.semaphore, []).append(Token.given(lanes, last))
        size = self.time.shape
        at = lanes.mask & (np.broadcast_to(wavelets, size) > 0)
        rows, columns = np.nonzero(at)
        self.sources.sends(op)
        if not len(rows):
            return
        to_x, to_y = (np.broadcast_to(self._code(t)(frame), size)[at] for t in op.target)
        sent = np.broadcast_to(wavelets, size)[at].astype(float)
        self.messages.append(
            Messages(
                rows,
                columns,
                to_x,
                to_y,
                np.broadcast_to(messages, size)[at],
                sent,
                first[at],
                last[at] - 1,
            )
        )
        self.senders.append(None if mark is None else mark.unit)
        weight = lanes.weight[at]
        stored = float((weight * np.broadcast_to(messages * words, size)[at]).sum())
        assert op.dtype is not None
        self.tally.elements += stored
        self.tally.sram += 2 * stored * op.dtype.bytes
        far = np.abs(to_x - self.x.places[columns]) + np.abs(to_y - self.y.places[rows])
        self.tally.hops += float((weight * sent * far).sum())

    def arrived(self, lanes: Lanes, words: Any) -> None:
        """Tiles wait for so many words: for all messages that are on their way.

        Times may be those of a whole cell of tiles. Who sends nothing, and who takes nothing, has
        no part in them.
        """
        fabric = self.fabric
        depth, ramp, hop = fabric.dynamic_places, fabric.ramp_latency, fabric.hop_cycles
        if not self.messages:
            came, ends = np.zeros(self.time.shape), np.zeros(self.time.shape)
        elif self.x.complete and self.y.complete:
            came, ends = self._known.times(self.messages, self.x, self.y, depth, ramp, hop)
        else:
            came, ends = self._moves.arrivals(self.on_their_way(), self.x, self.y, depth, ramp, hop)
        sends = np.zeros(self.time.shape, bool)
        for batch, unit in zip(self.messages, self.senders, strict=True):
            if unit is None:
                sends[batch.row, batch.column] = True
                continue
            at = unit, batch.row, batch.column
            self.unit[at] = np.maximum(self.unit[at], ends[batch.row, batch.column])
        takes = lanes.mask & (np.asarray(words) > 0)
        # A number that memory tells is not known.
        takes = takes if takes.any() else lanes.mask
        np.copyto(self.time, np.maximum(self.time, ends), where=sends)
        np.copyto(self.time, np.maximum(self.time, came), where=takes)
        self.sources.wait()
        self.messages, self.senders = [], []

    def on_their_way(self) -> Sample:
        """Messages that nobody has waited for, of many more tiles than walk, where that can be."""
        sampled = of_batches(self.messages, self.x, self.y)
        across, down = places(self.x.size, self.y.size, len(self.messages))
        sent = self.sources.sent(across.places, down.places)
        # A few senders may lie between all of these tiles: those that walk are known to send.
        if sent is None or not any(np.any(part.sends) for part in sent):
            return sampled
        return of_all(sent, sampled, across, down, self.x, self.y)


def _sampled(program: Program, name: str, values: dict[str, Any]) -> Axis:
    """The sampled coordinates of one axis: those where extents change are among them."""
    size = program.width if name == "x" else program.height
    if size <= MOST:
        return sample(size)
    bodies = [region.main for region in program.regions]
    bodies += [procedure.body for procedure in program.procedures]
    extents: list[Expr] = []
    for item in (item for body in bodies for item in statements(body)):
        if isinstance(item, Op):
            extents += [dim.extent for dim in item.dims]
        elif isinstance(item, Call):
            extents += [value for _, value in item.arguments]
        elif isinstance(item, Loop):
            extents.append(item.count)
    other = {"y": 0} if name == "x" else {"x": 0}
    flows = {strand.flow for strands in carried(program).values() for strand in strands}
    alone = {place for flow in flows for place in flow.alone(name, size)}
    return sample(size, changes=[*changes(extents, name, size, values | other), *sorted(alone)])


def _operations(program: Program) -> list[Op]:
    bodies = [region.main for region in program.regions]
    bodies += [procedure.body for procedure in program.procedures]
    return [op for body in bodies for op in instructions(body)]
