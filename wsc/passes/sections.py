"""Code that leaves no room is parted into sections, which come from the edge when they are run.

A plan is made for each of several sizes of the room: statements of main go into a section as long
as they, and the procedures that come with them, have room there. A loop over layers is a part of
one section if it has room; else its turns are parted, and the sections come again in each turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar

from wsc.cost.model import CostModel
from wsc.errors import CompileError
from wsc.flows import REGION, WEIGHTS
from wsc.ir.forms import AUTO, CODES, RESIDENT, SECTIONS
from wsc.isa.code_size import block_bytes, code_bytes
from wsc.isa.expr import Int, Name
from wsc.isa.fabric import Fabric
from wsc.isa.program import (
    Dim,
    Direction,
    EdgeTensor,
    Extent,
    Kind,
    Loop,
    Mem,
    Op,
    Program,
    Queue,
    Region,
    Scalar,
    Statement,
    Tensor,
    Transfer,
    TransferLoop,
)
from wsc.isa.sections import (
    SECTION,
    WORD,
    has_sections,
    is_section,
    parted,
    resident,
    room_bytes,
)
from wsc.isa.statements import assigned, calls, reachable
from wsc.isa.table import Timing
from wsc.isa.turns import each_transfer
from wsc.isa.types import DType, Side
from wsc.passes.route import flows_of, routes_of
from wsc.passes.stage import Pass

PLANS = 48  # sizes of the room that are tried
WORTH = 0.75  # of the code: what sections that are not cheap leave in a tile at most
# What the fewest bytes may take: so much of the least cycles of a run, or so often as many as all
# code at once would take on its way.
SMALL, AGAIN = 0.005, 3
# Names in the text, if they are free: of the room, of what counts words, of the code at the edge.
ROOM, INDEX, NAMED = "code", "i", "section"


@dataclass(frozen=True, slots=True)
class Sections(Pass[Program, Program]):
    """Where code leaves no room, or where that is asked for, main is parted into sections.

    Their words come with the weights, as constants that all tiles want do: before the first
    stream of what follows them. So they need no queue of their own, and no route.

    code: ``resident``, all of it is in the tiles all the time; ``sections``, it takes as few bytes
    as can be for few cycles, or else the fewest cycles for a quarter of the bytes; ``auto``,
    sections where the program does not fit otherwise, and those that take the fewest cycles.
    Ensures that the same calls are made in the same order.
    """

    fabric: Fabric
    code: str = AUTO
    name: ClassVar[str] = "sections"

    def apply(self, stage: Program) -> Program:
        """The program, with sections or as it is."""
        if self.code == RESIDENT or any(has_sections(region.main) for region in stage.regions):
            return stage
        whole = _code(stage, self.fabric)
        room = self.fabric.sram_bytes - _data(stage)
        if self.code == AUTO and whole <= room:
            return stage
        planner = Planner(stage, self.fabric)
        plans = [plan for plan in planner.plans() if plan.bytes < whole]
        worth = max(SMALL * least_cycles(stage, self.fabric), AGAIN * planner.cycles(whole))
        chosen = self._chosen(plans, whole, room, worth)
        return stage if chosen is None else _built(stage, chosen.parts)

    def _chosen(self, plans: Sequence[Plan], whole: int, room: int, worth: float) -> Plan | None:
        """The plan to take.

        whole: bytes of all code at once. room: those that there are for code. worth: cycles that
        the fewest bytes may take.
        """
        fitting = [plan for plan in plans if plan.bytes <= room]
        if not fitting:  # what is told of the program then is what it needs at least
            return min(plans, key=lambda plan: (plan.bytes, plan.cycles), default=None)
        cheap = [plan for plan in fitting if plan.cycles <= worth]
        if self.code == SECTIONS and cheap:
            return min(cheap, key=lambda plan: (plan.bytes, plan.cycles))
        if self.code == SECTIONS:  # what takes cycles gives bytes for them
            fitting = [plan for plan in fitting if plan.bytes <= WORTH * whole] or fitting
        return min(fitting, key=lambda plan: (plan.cycles, plan.bytes))

    def broken(self, before: Program, after: Program) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        for one, other in zip(before.regions, after.regions, strict=True):
            if calls(one.main) != calls(other.main):
                yield f"main '{one.name}' does not make the calls that it made"


def require_code(code: str) -> str:
    """The way to hold code that a user asked for.

    Raises:
        CompileError: there is none of this name.
    """
    if code not in CODES:
        raise CompileError(f"code '{code}' is not known: {', '.join(CODES)}")
    return code


def code_note(program: Program, fabric: Fabric) -> str:
    """What there is to say of a program whose code comes in sections; "" of others."""
    sections = [section for region in program.regions for section in parted(region.main)[1]]
    if not sections:
        return ""
    together = _code(whole(program), fabric)
    return (
        f"code comes from the edge in {len(sections)} sections of up to {room_bytes(program):,} "
        f"bytes, and takes {_code(program, fabric):,} bytes of a tile; all at once it would take "
        f"{together:,}"
    )


def whole(program: Program) -> Program:
    """The program with all of its code in the tiles all the time; its schedule is left as it is."""

    def without(body: Iterable[Statement]) -> tuple[Statement, ...]:
        kept = (item for item in body if not is_section(item))
        return tuple(
            replace(item, body=without(item.body)) if isinstance(item, Loop) else item
            for item in kept
        )

    return program.with_(regions=tuple(replace(r, main=without(r.main)) for r in program.regions))


def _code(program: Program, fabric: Fabric) -> int:
    return max(code_bytes(program, fabric).values(), default=0)


def _data(program: Program) -> int:
    return max((tensor.address + tensor.bytes for tensor in program.tensors), default=0)


def least_cycles(program: Program, fabric: Fabric) -> float:
    """Cycles that no run is below: weights cross the edge once, all tiles share the products."""
    moved = sum(tensor.bytes for tensor in program.edge_tensors if tensor.kind is Kind.WEIGHT)
    peak = fabric.timing[Timing.MULTIPLY_ACCUMULATE].peak(program.precision)
    tiles = program.width * program.height
    return max(moved / fabric.io_bytes_per_cycle, (program.work or 0) / peak / tiles)


# --- plans ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Statements that become a section, or a loop whose turns are parted."""

    statements: tuple[Statement, ...]
    bytes: int = 0
    inside: tuple[Part, ...] = ()

    @property
    def sections(self) -> list[Part]:
        """The sections in it, in the order of the text."""
        return [part for item in self.inside for part in item.sections] if self.inside else [self]


@dataclass(frozen=True, slots=True)
class Plan:
    """Main in parts. bytes: of code in a tile. cycles: that its words take on their way."""

    parts: tuple[Part, ...]
    bytes: int
    cycles: float


class Planner:
    """Makes plans for a program of the compiler, which has one region."""

    def __init__(self, program: Program, fabric: Fabric) -> None:
        (self.region,) = program.regions
        self.program, self.fabric = program, fabric
        self.bodies = {item.name: item.body for item in program.procedures}
        self.sizes = {name: block_bytes(body, fabric) for name, body in self.bodies.items()}
        # No code but heads of loops stays outside of sections: it calls nothing.
        self.there = resident(program, (Op(SECTION), *self.region.main))
        self.loops = _loops(program, self.region)
        self.needs: dict[int, tuple[int, frozenset[str]]] = {}
        once = _built(program, (Part(self.region.main),))
        self.head = block_bytes(once.regions[0].main[:1], fabric)
        self.fixed = _code(once, fabric) - room_bytes(once) - self.head

    def plans(self) -> list[Plan]:
        """One for each size of the room that makes another."""
        least = max((self._atom(item) for item in self.region.main), default=0)
        most = self._bytes(*self._together(self.region.main))
        step = max((most - least) // PLANS, WORD)
        found: dict[tuple[int, ...], Plan] = {}
        for room in range(least, most + step, step):
            parts = self._parted(self.region.main, room)
            sizes = tuple(section.bytes for part in parts for section in part.sections)
            if sizes not in found:
                found[sizes] = self._plan(parts)
        return list(found.values())

    def _plan(self, parts: tuple[Part, ...]) -> Plan:
        fabric = self.fabric
        cycles, held, most = 0.0, self.fixed, 0
        for part in parts:
            turns = self.loops[id(part.statements[0])] if part.inside else 1
            held += fabric.scalar_bytes if part.inside else 0
            for section in part.sections:
                cycles += turns * self.cycles(section.bytes)
                held += self.head
                most = max(most, -(-section.bytes // WORD))
        return Plan(parts, held + WORD * most, cycles)

    def cycles(self, size: int) -> float:
        """Cycles from the first word of so many bytes at the edge to the last one in all tiles."""
        fabric = self.fabric
        pace = CostModel(fabric).edge_interval(self.program.width, DType.I32)
        way = self.program.height * fabric.hop_cycles + fabric.ramp_latency
        return -(-size // WORD) * pace + way

    def _atom(self, statement: Statement) -> int:
        """Bytes of the smallest room that a statement can do with."""
        if isinstance(statement, Loop) and id(statement) in self.loops:
            return max((self._bytes(*self._need(item)) for item in statement.body), default=0)
        return self._bytes(*self._need(statement))

    def _parted(self, body: Iterable[Statement], room: int) -> tuple[Part, ...]:
        """Statements in sections as long as a room allows; what is longer is parted within."""
        found: list[Part] = []
        held: list[Statement] = []
        size, come = 0, frozenset[str]()  # of what is held, and the procedures that come with it

        def close() -> None:
            nonlocal size, come
            if held:
                found.append(Part(tuple(held), self._bytes(size, come)))
                held.clear()
                size, come = 0, frozenset()

        for statement in body:
            own, needed = self._need(statement)
            if self._bytes(size + own, come | needed) > room:
                close()
                if (
                    self._bytes(own, needed) > room
                    and isinstance(statement, Loop)
                    and id(statement) in self.loops
                ):
                    found.append(Part((statement,), 0, self._parted(statement.body, room)))
                    continue
            held.append(statement)
            size, come = size + own, come | needed
        close()
        return tuple(found)

    def _need(self, statement: Statement) -> tuple[int, frozenset[str]]:
        """Bytes of a statement, and the procedures that come with it."""
        if id(statement) not in self.needs:
            come = frozenset(reachable((statement,), self.bodies)) - self.there
            self.needs[id(statement)] = block_bytes((statement,), self.fabric), come
        return self.needs[id(statement)]

    def _together(self, body: Iterable[Statement]) -> tuple[int, frozenset[str]]:
        found = [self._need(item) for item in body]
        own = sum(size for size, _ in found)
        return own, frozenset[str]().union(*(come for _, come in found))

    def _bytes(self, own: int, come: frozenset[str]) -> int:
        """Bytes of a section with such statements, its way back included."""
        return own + sum(self.sizes[name] for name in come) + self.fabric.scalar_bytes


def _loops(program: Program, region: Region) -> dict[int, int]:
    """Loops of main whose turns the edge's schedule has as turns of one loop -> how many turns.

    By their identity. In the others no section can begin: its words could not be fed in each turn.
    """
    found: dict[int, int] = {}
    for statement in region.main:
        if not isinstance(statement, Loop) or not isinstance(statement.count, Int):
            continue
        own = {call.name for call in calls((statement,)) if call.name}
        mine = [item for item in program.transfers if own & set(_consumers(item))]
        rounds = [item for item in mine if isinstance(item, TransferLoop)]
        alone = len(mine) == len(rounds) == 1 and set(_consumers(rounds[0])) <= own
        if alone and rounds[0].count == statement.count.value:
            found[id(statement)] = statement.count.value
    return found


def _consumers(item: Transfer | TransferLoop) -> list[str]:
    """The names of the calls that entries of the schedule are for."""
    return [transfer.call for transfer, _ in each_transfer((item,))]


# --- the program of a plan ------------------------------------------------------------------


@dataclass(slots=True)
class _Builder:
    """Makes main and schedule of a plan, section by section."""

    room: str
    index: str
    named: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    codes: list[EdgeTensor] = field(default_factory=list[EdgeTensor])

    def section(self, part: Part) -> tuple[Op, Transfer]:
        """The instruction that takes a section, and the entry of the schedule that feeds it."""
        number, words = next(self.numbers), -(-part.bytes // WORD)
        name = f"{self.named}_{number}"
        self.codes.append(EdgeTensor(name, Kind.CODE, DType.I32, (words,)))
        space = (Dim(self.index, Int(words)),)
        place = Mem(Name(self.room) + Int(WORD) * Name(self.index))
        queue = Queue(WEIGHTS.strand.name)
        op = Op(SECTION, DType.I32, (place, queue, Scalar(Int(number))), space)
        offset = Name(self.index)
        feed = Transfer(Direction.FEED, queue.color, REGION, Side.NORTH, None, name, offset, space)
        return op, feed

    def block(
        self, parts: Sequence[Part], played: Sequence[Transfer | TransferLoop]
    ) -> tuple[tuple[Statement, ...], list[Transfer | TransferLoop]]:
        """Main, or a loop of it, and what the edge plays meanwhile."""
        main: list[Statement] = []
        schedule: list[Transfer | TransferLoop] = []
        left = list(played)
        for place, part in enumerate(parts):
            # What was for the parts before has been played before this part's code comes.
            later = {
                call.name for item in parts[place:] for call in calls(item.statements) if call.name
            }
            while left and not later & set(_consumers(left[0])):
                schedule.append(left.pop(0))
            if part.inside:
                (loop,) = part.statements
                (rounds,) = left[:1]
                assert isinstance(loop, Loop)
                assert isinstance(rounds, TransferLoop)
                body, inner = self.block(part.inside, rounds.body)
                plain = tuple(item for item in inner if isinstance(item, Transfer))
                schedule.append(replace(rounds, body=plain))
                main.append(replace(loop, body=body))
                left.pop(0)
            else:
                op, feed = self.section(part)
                main += [op, *part.statements]
                schedule.append(feed)
        return tuple(main), [*schedule, *left]


def _built(program: Program, parts: Sequence[Part]) -> Program:
    """The program with its main in these parts, in the order of the text."""
    (region,) = program.regions
    taken = {tensor.name for tensor in program.tensors} | {name for name, _ in program.constants}
    taken |= {name for item in program.edge_tensors for name in (item.name, *_stems(item.name))}
    taken |= set(assigned(region.main))
    builder = _Builder(_free(ROOM, taken), _free(INDEX, taken), _free(NAMED, taken))
    main, played = builder.block(parts, program.transfers)
    most = max(code.shape[0] for code in builder.codes)
    address = -(-_data(program) // WORD) * WORD
    room = Tensor(builder.room, DType.I32, (Extent(most),), address, WORD * most)
    bodies = [main, *(item.body for item in program.procedures)]
    flows = flows_of(bodies, (transfer for transfer, _ in each_transfer(played)))
    if len(flows) == len(program.colors):
        colors, routes = program.colors, program.routes
    else:
        colors = tuple((flow, number) for number, flow in enumerate(flows))
        routes = routes_of(flows)
    return program.with_(
        edge_tensors=(*program.edge_tensors, *builder.codes),
        tensors=(*program.tensors, room),
        regions=(replace(region, main=main),),
        transfers=tuple(played),
        colors=colors,
        routes=routes,
    )


def _stems(name: str) -> tuple[str, ...]:
    """What a name begins with, before a number at its end."""
    head, _, tail = name.rpartition("_")
    return (head,) if tail.isdigit() else ()


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
