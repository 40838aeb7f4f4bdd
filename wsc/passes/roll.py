"""Calls that repeat with arguments that go on evenly become one loop.

The steps of a recurrence are unrolled in the graph, and placed one behind the other. What is left
of each step in the code is its calls. Where the same calls come again and again, and every number
in their arguments is either the same or a constant further on from turn to turn, one turn in a
loop says as much: registers of main hold what goes on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import groupby, zip_longest

import numpy as np
import numpy.typing as npt

from wsc.ir.cut import Cut, Families, NotAlike
from wsc.ir.tasks import Gap, Run
from wsc.isa.code_size import block_bytes
from wsc.isa.expr import Binary, Expr, ExprLike, Int, Name, NotAffine, expr
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Loop, Procedure, Statement, Transfer, TransferLoop
from wsc.isa.statements import assigned, calls
from wsc.isa.turns import common, expand
from wsc.kernels.asm import Asm
from wsc.kernels.registers import compact
from wsc.passes.periods import LEAST, numbered, runs

TURN = "turn"  # what counts the turns of a loop, or of an entry of the edge's schedule
LAYER = "layer"  # what counts those of a loop over layers, in main and at the edge
STEP = "step"  # what counts those of a loop over the steps of a run
MOST_PERIOD = 8  # entries of the edge's schedule that take turns
TOGETHER = (1, 2, 4)  # layers in one turn: where buffers take turns
ENOUGH = 3  # turns that show how numbers go on, if others were left out


@dataclass(frozen=True, slots=True)
class Rolled:
    """What main becomes. layers: the calls of it that are now turns of a loop over layers."""

    main: tuple[Statement, ...]
    layers: tuple[Run, ...]


def rolled(
    main: Sequence[Call],
    procedures: Sequence[Procedure],
    addresses: Mapping[str, int],
    fabric: Fabric,
    layers: Sequence[Run] = (),
    names: Names | None = None,
    gaps: Sequence[Gap] = (),
) -> Rolled:
    """The calls, with loops in place of those that repeat.

    Each tile makes the same calls with the same values as before, in the same order.
    addresses: what the names of buffers stand for. layers: calls that are alike but for the nodes
    that they are for. names: those of the nodes in each turn, and finds room for them. gaps: where
    calls for blocks of keys were left out; the loops over blocks have turns for these, too.
    """
    room = min(fabric.registers - _deepest(procedures), fabric.window)
    roller = _Roller(addresses, fabric, room, names or Names(), gaps)
    found: list[Statement] = []
    loops: list[Run] = []
    end = 0
    for stack in layers:
        part = roller.layers(main, stack)
        if part is not None:
            run, loop = part
            found += [*roller.steps(main[end : run.start], end), loop]
            loops.append(run)
            end = run.end
    return Rolled((*found, *roller.steps(main[end:], end)), tuple(loops))


@dataclass(slots=True)
class Names:
    """Names in the turns of loops over layers: as one text, or by a table of the program.

    tables: entries -> name of the table. cut: the layers that are in no turn yet. periods: of the
    calls from one on that become a loop, how many are of one layer. told: what ``over`` has given
    for the texts of all turns.
    """

    tables: dict[tuple[str, ...], str] = field(default_factory=dict)
    cut: Cut | None = None
    periods: dict[int, int] = field(default_factory=dict[int, int])
    told: dict[tuple[str, ...], str] = field(default_factory=dict)

    def over(self, texts: Sequence[str]) -> str:
        """One text for those of all turns."""
        turns = tuple(texts)
        if turns not in self.told:
            found = common(turns, LAYER)
            if found is None:
                found = f"{{{self.tables.setdefault(turns, f'n{len(self.tables) + 1}')}[{LAYER}]}}"
            self.told[turns] = found
        return self.told[turns]

    def nodes(self, turns: Sequence[tuple[str, ...]], run: Run) -> tuple[str, ...]:
        """The names of nodes in all turns of a run; a turn that has fewer has empty ones."""
        families = {} if self.cut is None else self.cut.families
        columns = zip_longest(*turns, fillvalue="")
        return tuple(self.over(self._all(families, texts, run)) for texts in columns)

    def tensor(self, texts: Sequence[str], run: Run) -> str:
        """The names of edge tensors in all turns."""
        families = {} if self.cut is None else self.cut.edge
        return self.over(self._all(families, texts, run))

    def count(self, run: Run) -> int:
        """The turns of a run of calls, with those of layers that are in none yet.

        Raises:
            NotAlike: they are no whole number of turns.
        """
        if self.cut is None:
            return run.count
        return run.count + self.cut.turns(self._together(run))

    def _together(self, run: Run) -> int:
        """Layers in one turn."""
        return run.period // self.periods[run.start]

    def _all(self, families: Families, texts: Sequence[str], run: Run) -> Sequence[str]:
        if self.cut is None:
            return texts
        return self.cut.all_turns(families, texts, self._together(run))


@dataclass(slots=True)
class _Roller:
    """Finds loops. room: registers that one may take. gaps: where calls were left out."""

    addresses: Mapping[str, int]
    fabric: Fabric
    room: int
    names: Names
    gaps: Sequence[Gap] = ()
    forms: _Forms = field(init=False)

    def __post_init__(self) -> None:
        self.forms = _Forms(self.addresses)

    def steps(self, calls: Sequence[Call], begin: int) -> list[Statement]:
        """The calls with loops in place of the steps of recurrences. begin: the first call."""
        numbers = _Numbers(calls, self.forms, self._gaps(begin, len(calls)))
        found: list[Statement] = []
        end = 0
        for run in runs(numbers.ids, numbers.steady):
            loop = _loop(calls, numbers, run, self.fabric.dimensions, TURN)
            here = calls[run.start : run.end]
            if loop is not None and self._pays(loop, here):
                found += [*calls[end : run.start], loop]
                end = run.end
        return [*found, *calls[end:]]

    def layers(self, main: Sequence[Call], stack: Run) -> tuple[Run, Loop] | None:
        """The loop over as many of these layers as possible, and which they are."""
        calls = main[stack.start : stack.end]
        # Nodes have other names in each layer.
        numbers = _Numbers(calls, self.forms, self._gaps(stack.start, len(calls)), named=False)
        cut = self.names.cut
        behind = None if cut is None else _behind(cut, calls, stack.period)
        found: list[tuple[Run, _Numbers]] = []
        for together in TOGETHER:
            most = max((_saved(run) for run, _ in found), default=0)
            if found and most >= len(calls) - stack.period * together:
                break  # as many turns of so many layers would not be more
            period, left = stack.period * together, 0 if cut is None else cut.left // together
            closed = numbers.closed(period, left, behind) if behind is not None else numbers
            found += [(run, closed) for run in closed.even(period)]
        if not found:
            return None
        best, numbers = max(found, key=lambda item: _saved(item[0]))
        run = Run(stack.start + best.start, best.period, best.count)
        self.names.periods[run.start] = stack.period
        named = [
            replace(
                call,
                nodes=self.names.nodes(
                    [c.nodes for c in calls[place : best.end : best.period]], run
                ),
            )
            for place, call in enumerate(calls[: best.start + best.period])
            if place >= best.start
        ]
        turn = [*calls[: best.start], *named]
        step = numbers.table[best.start : best.start + best.period]
        if (step == numbers.table[best.start + best.period :][: best.period]).all():
            # Nothing but names goes on from layer to layer: what repeats within one is a loop too.
            inside = tuple(self.steps(named, run.start))
            loop: Loop | None = Loop(LAYER, Int(best.count), inside)
        elif cut is not None and best.count < ENOUGH:
            raise NotAlike  # how it goes on is not seen
        else:
            inner = _within(named, numbers, best, self._gaps(run.start, run.period))
            loop = _loop(turn, numbers, best, self.fabric.dimensions, LAYER, inner)
            if inner and (loop is None or len(assigned((loop,))) > self.room):
                loop = _loop(turn, numbers, best, self.fabric.dimensions, LAYER)
        here = calls[best.start : best.end]
        if loop is None or not self._pays(loop, here):
            return None
        # Steps of a recurrence in each layer may be more than there are layers.
        apart = tuple(self.steps(here, run.start))
        if block_bytes(apart, self.fabric) < block_bytes((loop,), self.fabric):
            return None
        return run, loop

    def _gaps(self, begin: int, count: int) -> list[Gap]:
        """The gaps in ``count`` calls from one on, counted from that."""
        return [
            replace(gap, at=gap.at - begin, end=min(gap.end - begin, count))
            for gap in self.gaps
            if begin <= gap.at - 2 * gap.size and gap.at < begin + count
        ]

    def _pays(self, loop: Loop, calls: Sequence[Call]) -> bool:
        """Whether a loop is shorter than its turns, and has the registers that it takes."""
        fits = len(assigned((loop,))) <= self.room
        return fits and block_bytes((loop,), self.fabric) < block_bytes(tuple(calls), self.fabric)


@dataclass(slots=True)
class _Forms:
    """What is left of arguments when the numbers in them are taken out: each is looked at once.

    forms: all so far, as numbers. taken: by the argument's identity.
    """

    addresses: Mapping[str, int]
    forms: dict[Hashable, int] = field(default_factory=dict)
    taken: dict[int, tuple[Expr, int, list[int]]] = field(default_factory=dict)

    def of(self, argument: Expr) -> tuple[int, list[int]]:
        """The number of an argument's form, and the numbers in it."""
        known = self.taken.get(id(argument))
        if known is None:
            numbers: list[int] = []
            found = self._form(argument, numbers)
            known = argument, self.forms.setdefault(found, len(self.forms)), numbers
            self.taken[id(argument)] = known  # with the argument itself, so that it stays that one
        return known[1], known[2]

    def _form(self, node: Expr, numbers: list[int]) -> Hashable:
        if isinstance(node, Binary):
            return (node.op, self._form(node.left, numbers), self._form(node.right, numbers))
        value = _number(node, self.addresses)
        if value is None:
            return node
        numbers.append(value)
        return 0


class _Numbers:
    """The numbers in the arguments of each call, apart from the form of those arguments.

    gaps: where calls for blocks of keys were left out. Numbers go on there as if these had never
    been. named: whether calls for other nodes are other ones.
    """

    def __init__(
        self,
        main: Sequence[Call],
        forms: _Forms,
        gaps: Sequence[Gap] = (),
        named: bool = True,
    ) -> None:
        self.forms, self.gaps = forms, gaps
        taken = [self._take(call, named) for call in main]
        self.ids = numbered(form for form, _ in taken)
        most = max((len(numbers) for _, numbers in taken), default=0)
        # Column by column: calls are compared with later ones, all of them at once.
        self.table: npt.NDArray[np.int64] = np.zeros((len(main), most), np.int64, order="F")
        for row, (_, numbers) in zip(self.table, taken, strict=True):
            row[: len(numbers)] = numbers
        for gap in gaps:
            self._close(gap)

    def _close(self, gap: Gap) -> None:
        """Let the numbers of the blocks behind a gap go on from those of the blocks before it.

        They go on by one step for each block, and by as many more as there are blocks in the gap.
        Addresses may take turns: those of the blocks in the gap do, a whole number of times.

        Raises:
            NotAlike: the blocks around the gap do not say so.
        """
        at, size, left = gap.at, gap.size, gap.left
        blocks = [self.table[n : n + size] for n in range(at, at - 6 * size, -size) if n >= 0]
        ids = [self.ids[n : n + size] for n in range(at, at - 3 * size, -size)]
        step, jump = blocks[1] - blocks[2], blocks[0] - blocks[1]
        goes = jump == step * (left + 1)
        turns = np.zeros_like(goes)
        for together in TOGETHER[1:]:
            if len(blocks) > together + 1 and left % together == 0:
                turns |= (jump == blocks[together] - blocks[together + 1]) & (
                    blocks[0] == blocks[together]
                )
        if not (goes | turns).all() or any((each != ids[0]).any() for each in ids):
            raise NotAlike
        further = np.where(goes, step * left, 0)
        here = np.arange(at, gap.end)
        turn = (here - at) % size
        alike = self.ids[here] == self.ids[at - size + turn]
        self.table[here[alike]] -= further[turn[alike]]

    def turns(self, run: Run) -> int:
        """The turns of a loop over steps, with those of the blocks in gaps."""
        more = sum(
            gap.more
            for gap in self.gaps
            if run.period % gap.size == 0
            and gap.more % run.period == 0
            and run.start <= gap.at - gap.size
            and gap.at + gap.size <= run.end
        )
        return run.count + more // run.period

    def _take(self, call: Call, named: bool) -> tuple[Hashable, list[int]]:
        numbers: list[int] = []
        forms: list[tuple[str, int]] = []
        for name, value in call.arguments:
            form, own = self.forms.of(value)
            forms.append((name, form))
            numbers += own
        return (call.procedure, call.nodes if named else (), tuple(forms)), numbers

    def steady(self, period: int) -> npt.NDArray[np.bool_]:
        """Whether the numbers of calls i, i + period, i + 2*period are equally far apart."""
        table = self.table
        first, middle, last = table[: -2 * period], table[period:-period], table[2 * period :]
        return (last - middle == middle - first).all(axis=1)

    def closed(self, period: int, left: int, behind: Sequence[int | None]) -> _Numbers:
        """The same, as if turns that were left out had never been there.

        Where a number goes on by one step for each of them, it then goes on by one step. That is
        where the layers were left out, or a turn beside it: what reads the value of another layer
        was handed that of one that is there. Where numbers do not follow, they stay as they are.

        period: calls in a turn. left: turns that were left out. behind: of each call of a layer,
        the layer in front of which it was; None where it is for the same nodes in all.

        Raises:
            NotAlike: numbers go on where it is not known what was left out.
        """
        found = copy(self)
        found.table = self.table.copy(order="K")
        together = period // len(behind)
        for place in range(period):
            layer, turns = behind[place % len(behind)], found.table[place::period]
            if layer is None:
                if (turns != turns[0]).any():
                    raise NotAlike
                continue
            steps = np.diff(turns, axis=0)
            begin = -(-(layer - place // len(behind)) // together)
            done = np.zeros(turns.shape[1], np.bool_)
            for turn in (begin, begin - 1, begin + 1):
                if not 0 < turn < len(turns):
                    continue
                step = steps[turn - 1] // (left + 1)
                near = steps[max(turn - 2, 0) : turn + 1]
                even = (near == step).any(axis=0) & (steps[turn - 1] == step * (left + 1))
                even &= ~done & (step != 0)
                turns[turn:, even] -= (step * left)[even]
                done |= even
        return found

    def even(self, period: int) -> list[Run]:
        """Turns of so many calls, from the first call on, whose numbers go on evenly.

        Of all stretches of such turns the longest one; none if two turns are nowhere alike.
        """
        count = len(self.ids) // period
        if count < 2:
            return []
        ids = self.ids[: count * period].reshape(count, period)
        table = self.table[: count * period].reshape(count, -1)
        steps, best = table[1:] - table[:-1], Run(0, period, 1)
        begin = 0
        for turn in range(1, count):
            if (ids[turn] != ids[begin]).any():
                begin = turn
            elif turn - begin > 1 and (steps[turn - 1] != steps[turn - 2]).any():
                begin = turn - 1
            if turn - begin + 1 > best.count:
                best = Run(begin * period, period, turn - begin + 1)
        return [best] if best.count > 1 else []


def _saved(run: Run) -> int:
    """The calls that a loop over a run is shorter than its turns."""
    return (run.count - 1) * run.period


def _behind(cut: Cut, calls: Sequence[Call], period: int) -> list[int | None]:
    """Of each call of a layer, the layer in front of which others were left out."""
    return [cut.behind([call.nodes for call in calls[place::period]]) for place in range(period)]


def _number(leaf: Expr, addresses: Mapping[str, int]) -> int | None:
    """The value of a literal or of a buffer's name."""
    if isinstance(leaf, Int):
        return leaf.value
    return addresses.get(leaf.name) if isinstance(leaf, Name) else None


class _Turn(Asm):
    """A loop's body in the making: what it has computed once in a turn it does not again."""

    def __init__(self, max_dims: int) -> None:
        super().__init__(max_dims)
        self.known: dict[Expr, Expr] = {}

    def value(self, value: ExprLike) -> Expr:
        """An operand with the value of an expression."""
        node = expr(value)
        if node not in self.known:
            self.known[node] = super().value(node)
        return self.known[node]


def _within(turn: Sequence[Call], numbers: _Numbers, run: Run, gaps: Sequence[Gap]) -> list[Run]:
    """The steps that repeat within each turn of a run, and go on in the same way in all turns.

    turn: the calls of the first one, with the names that they have in all. gaps: in these.
    """
    inside = _Numbers(turn, numbers.forms, gaps)
    here = numbers.table[run.start : run.start + run.period]
    apart = numbers.table[run.start + run.period :][: run.period] - here
    found: list[Run] = []
    for steps in runs(inside.ids, inside.steady):
        each = apart[steps.start : steps.end].reshape(steps.count, -1)
        if (each == each[0]).all():
            found.append(Run(run.start + steps.start, steps.period, steps.count))
    return found


def _loop(
    main: Sequence[Call],
    numbers: _Numbers,
    run: Run,
    max_dims: int,
    name: str,
    inner: Sequence[Run] = (),
) -> Loop | None:
    """One loop for a run; None if no instruction computes what its arguments need.

    inner: steps of a turn that are to be turns of loops within.
    """
    asm = _Turn(max_dims)

    def call(place: int, *counters: tuple[Name, int]) -> None:
        """One call. counters: what counts the turns around it, and how many calls a turn has."""
        here = numbers.table[place]
        steps = [(numbers.table[place + period] - here).tolist() for _, period in counters]
        going = _Going(
            asm, [name for name, _ in counters], numbers.forms.addresses, zip(*steps, strict=True)
        )
        arguments = {key: going.on(value) for key, value in main[place].arguments}
        values = tuple((key, asm.value(value)) for key, value in arguments.items())
        asm.add(replace(main[place], arguments=values))

    try:
        with asm.loop(name, run.count if name == LAYER else numbers.turns(run)) as turn:
            place = run.start
            for steps in [*inner, Run(run.start + run.period, 0, 0)]:
                for number in range(place, steps.start):
                    call(number, (turn, run.period))
                if steps.count:
                    with asm.loop(TURN, numbers.turns(steps)) as step:
                        for number in range(steps.start, steps.start + steps.period):
                            call(number, (turn, run.period), (step, steps.period))
                place = steps.end
    except NotAffine:
        return None
    (loop,) = compact(asm.body, asm.registers)
    assert isinstance(loop, Loop)
    return loop


@dataclass(slots=True)
class _Going:
    """Makes the arguments of the first turn those of any turn.

    turns: what counts them, loop by loop. steps: for each number, in their order, how far it goes
    on from turn to turn of each loop.
    """

    asm: Asm
    turns: Sequence[Name]
    addresses: Mapping[str, int]
    steps: Iterator[tuple[int, ...]]

    def on(self, node: Expr) -> Expr:
        """The expression in these turns."""
        if isinstance(node, Binary):
            left = self.on(node.left)
            return Binary(node.op, left, self.on(node.right))
        if _number(node, self.addresses) is None:
            return node
        for turn, step in zip(self.turns, next(self.steps), strict=True):
            node = node if step == 0 else node + self.asm.value(turn * step)
        return node


def repeated(transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """The edge's schedule, with one entry in place of many equal ones behind each other."""
    found: list[Transfer] = []
    for transfer, same in groupby(transfers):
        count = len(list(same))
        once = transfer.repeat is None and transfer.lookup is None
        if once and count >= LEAST and _counts_no_turn(transfer):
            found.append(replace(transfer, repeat=(TURN, count)))
        else:
            found += [transfer] * count
    return tuple(found)


def periodic(transfers: Sequence[Transfer]) -> tuple[Transfer | TransferLoop, ...]:
    """The same, and a loop in place of entries that take turns, as those of several calls do."""
    found: list[Transfer | TransferLoop] = []
    plain: list[Transfer] = []
    start = 0
    while start < len(transfers):
        period, turns = _period(transfers, start)
        if turns == 0:
            plain.append(transfers[start])
            start += 1
            continue
        found += repeated(plain)
        found.append(TransferLoop(TURN, turns, tuple(transfers[start : start + period])))
        plain.clear()
        start += period * turns
    return (*found, *repeated(plain))


def _period(transfers: Sequence[Transfer], start: int) -> tuple[int, int]:
    """How many entries from one on take turns, and how often; no turns if they do not."""
    for period in range(2, MOST_PERIOD + 1):
        first = transfers[start : start + period]
        if len(set(first)) == 1 or not all(_counts_no_turn(t) and _says_no_turn(t) for t in first):
            continue
        turns = 1
        while transfers[start + turns * period : start + (turns + 1) * period] == first:
            turns += 1
        if turns >= LEAST:
            return period, turns
    return 0, 0


def _counts_no_turn(transfer: Transfer) -> bool:
    """Whether no dimension of an entry is called as what would count its turns."""
    return all(dim.name != TURN for dim in transfer.dims)


def _says_no_turn(transfer: Transfer) -> bool:
    """Whether no name in an entry would go on with the turns of a loop."""
    return all(expand(name, TURN, 0) == name for name in (transfer.tensor, *transfer.nodes))


def schedule(
    parts: Sequence[Sequence[Transfer]], layers: Sequence[Run], names: Names
) -> tuple[Transfer | TransferLoop, ...]:
    """The edge's schedule, with a loop in place of the layers that main has one for.

    parts: the streams of each call. layers: calls that are now turns of a loop.
    """
    found: list[Transfer | TransferLoop] = []
    end = 0
    for run in layers:
        found += periodic([t for part in parts[end : run.start] for t in part])
        body: list[Transfer] = []
        for place in range(run.start, run.start + run.period):
            for turns in zip(*parts[place : run.end : run.period], strict=True):
                tensor = names.tensor([transfer.tensor for transfer in turns], run)
                nodes = names.nodes([transfer.nodes for transfer in turns], run)
                body.append(replace(turns[0], tensor=tensor, nodes=nodes))
        if body:
            found.append(TransferLoop(LAYER, names.count(run), repeated(body)))
        end = run.end
    return (*found, *periodic([t for part in parts[end:] for t in part]))


def _deepest(procedures: Sequence[Procedure]) -> int:
    """Registers that the windows of a call take at most, with all that it calls."""
    bodies = {procedure.name: procedure for procedure in procedures}
    known: dict[str, int] = {}

    def words(name: str) -> int:
        if name not in known:
            procedure = bodies[name]
            own = len({*procedure.parameters, *assigned(procedure.body)})
            inner = (words(call.procedure) for call in calls(procedure.body))
            known[name] = own + max(inner, default=0)
        return known[name]

    return max((words(name) for name in bodies), default=0)
