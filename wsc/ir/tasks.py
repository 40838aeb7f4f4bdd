"""The placed program: what the kernels are asked to do, in order, over views of SRAM.

The layout pass turns graph nodes into tasks; the memory pass gives buffers addresses; the
kernel library turns each task into instructions and edge transfers.

A task is a dataclass over ``Task``. The type of each field says what the task does with it: what
it reads, writes, uses as scratch, or takes from the edge. Every pass asks these declarations, and
none knows the name of a field. A field that could hold a buffer or an edge tensor and does not say
what it is stops the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from wsc.ir.cut import Cut
from wsc.ir.forms import Noted
from wsc.ir.graph import Index, MoveStep, Reduction, Step
from wsc.ir.layout import Buffer, Mesh, View
from wsc.isa.program import EdgeTensor


class Role(Enum):
    """What a task does with what one of its fields holds."""

    READ = "read"  # views whose values it reads
    WRITE = "write"  # views whose values it writes
    SCRATCH = "scratch"  # names of buffers that hold something during this task only
    EDGE = "edge"  # names of edge tensors that it takes in or sends out
    NODES = "nodes"  # names of ONNX nodes that it is for
    MOVEMENT = "movement"  # positions: they may go on from step to step of a recurrence
    FACT = "fact"  # anything else: neither a buffer nor an edge tensor


_T = TypeVar("_T")
Read = Annotated[_T, Role.READ]
Write = Annotated[_T, Role.WRITE]
Scratch = Annotated[_T, Role.SCRATCH]
Edge = Annotated[_T, Role.EDGE]
Nodes = Annotated[_T, Role.NODES]
Movement = Annotated[_T, Role.MOVEMENT]
Fact = Annotated[_T, Role.FACT]

# Of what each tile holds along a dimension, the indices from one on and before another, counted
# from its first one: (dimension, first, end). All of it is ().
Part = tuple[int, ...]

TASKS: dict[str, type[Task]] = {}  # every kind of task by its name
ROLES: dict[type[Task], dict[str, Role]] = {}
_HOLDS = {Role.READ: View, Role.WRITE: View, Role.SCRATCH: str, Role.EDGE: str, Role.NODES: str}


@dataclass(frozen=True, slots=True)
class Task:
    """What one kernel is asked to do. Every kind of task is a class over this one.

    origin: the ONNX nodes that it is for.
    """

    origin: Nodes[tuple[str, ...]] = field(default=(), kw_only=True)

    def __init_subclass__(cls) -> None:
        """Read the declarations of a kind of task.

        Raises:
            TypeError: a field that can hold a view or a name does not say what it is, or holds
                something else than its role does.
        """
        # Dataclasses with slots are made twice; the second class takes the place of the first.
        ROLES[cls] = _declared(cls)
        TASKS[cls.__name__] = cls


def _declared(kind: type[Task]) -> dict[str, Role]:
    """The role of each field."""
    found: dict[str, Role] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        marked = get_origin(hint) is Annotated
        roles = [item for item in get_args(hint)[1:] if isinstance(item, Role)] if marked else []
        held = _atoms(get_args(hint)[0] if marked else hint)
        if not roles and held & {View, str}:
            raise TypeError(
                f"field '{name}' of {kind.__name__} can hold a view or a name, and does not say "
                f"which: declare it as one of {', '.join(role.name.title() for role in Role)}"
            )
        role = roles[0] if roles else Role.FACT
        wanted = _HOLDS.get(role)
        if (wanted is not None and held - {type(None)} != {wanted}) or (
            role in (Role.FACT, Role.MOVEMENT) and View in held
        ):
            raise TypeError(
                f"field '{name}' of {kind.__name__} is {role.value}, and cannot hold "
                f"{' or '.join(sorted(item.__name__ for item in held))}"
            )
        found[name] = role
    return found


def _atoms(hint: Any) -> set[type]:
    """The classes that stand in a type: those of its parts, without what holds them."""
    parts = [part for part in get_args(hint) if part is not Ellipsis]
    return {hint} if not parts else {atom for part in parts for atom in _atoms(part)}


@dataclass(frozen=True, slots=True)
class Load(Task):
    """Bring edge tensor ``source`` into ``out`` (an input, or a constant from the store).

    fill: what halo and padding hold where they lie outside the tensor; None if nobody reads that.
    part: the part of it that comes; see ``Part``.
    beside: a stream unit takes it in while the core goes on, until ``Arrived``.
    """

    source: Edge[str]
    out: Write[View]
    fill: float | None = None
    part: Fact[Part] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Store(Task):
    """Send ``value`` out as edge tensor ``target``.

    shape: of the tensor, where the value is a part of it: its extents then end where the part does.
    part: the part of the value that leaves; see ``Part``.
    """

    value: Read[View]
    target: Edge[str]
    shape: tuple[int, ...] = ()
    part: Fact[Part] = ()


@dataclass(frozen=True, slots=True)
class Risen(Task):
    """Send out, as a part of ``target``, the ``sums`` that the product before lets rise.

    The tiles at the north edge have them when they have come up their column.
    value: where those round them; a stream unit sends them from there while the core goes on,
      between two ``Aside``. None where they leave in f32: the core sends them.
    shape: of the tensor; the extents of the sums then end where the part does.
    """

    sums: Read[View]
    value: Write[View | None]
    target: Edge[str]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Aside(Task):
    """Before what a stream unit sends out, and behind it.

    on_its_way: behind them, what the last one may still send: it has left when this task is done.
    """

    on_its_way: Read[tuple[View, ...]] = ()


@dataclass(frozen=True, slots=True)
class Arrived(Task):
    """Wait until a stream unit has taken in ``values``, which are on their way."""

    values: Read[tuple[View, ...]]


@dataclass(frozen=True, slots=True)
class MapTask(Task):
    """Elementwise map; inputs broadcast along dimensions where their extent has size one.

    scratch: one buffer for each temporary that the body needs.
    """

    body: tuple[Step, ...]
    inputs: Read[tuple[View, ...]]
    out: Write[View]
    scratch: Scratch[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class ReduceTask(Task):
    """Windowed or plain reduction. ``axes``: mesh axes over which partial results are combined.

    accumulator: the f32 buffer of the partial sums when the value is f16, else "".
    """

    kind: Reduction
    index: tuple[Index, ...]
    labels: Fact[tuple[str, ...]]
    extents: Fact[tuple[tuple[str, int], ...]]
    value: Read[View]
    out: Write[View]
    axes: Fact[tuple[str, ...]]
    accumulator: Scratch[str] = ""


@dataclass(frozen=True, slots=True)
class ContractTask(Task):
    """Contraction of ``a`` (stationary) with ``b``: weights streamed from the edge, or a view.

    x_label: the label along x: an output label (each tile computes its own block), or a
      summed one (``reduce``: partial sums are reduced along the row to the block's owner).
    y_label: the output label along y, a summed one (``combined``), or "".
    weight: edge tensor streamed as b, or "".
    chunk: outputs of ``n_label`` accumulated at a time (reduce).
    accumulator: f32 buffer: two chunks (reduce; three if relieved), or the f32 sums of an f16
        result.
    ordered: every sum is added from west to east, whoever owns it (reduce).
    relieved: a stream unit clears the sums that are sent while the next block accumulates (reduce):
      where that takes longer than the chain.
    arrivals: f32 buffer of one chunk of sums that arrive from the east at the owner (reduce, but
      not ordered).
    sums: f32 buffer of the owner's sums when the result is f16 (reduce); else the
      result itself holds them.
    combined: the axis along which a summed label lies whose partial sums are added up in all tiles,
      or "" (not reduce).
    rises: the partial sums go up each column on a stream unit, and only the tiles at the north edge
      get them, for ``Risen`` (combined "y", a result in f32).
    target: edge tensor as which the result leaves, block after block along the rows, while later
      ones are made; "" where it stays (reduce, not ordered).
    beside: a value of which ``part`` leaves up the columns meanwhile, as a part of the edge tensor
      ``away`` (reduce).
    """

    index_a: tuple[Index, ...]
    index_b: tuple[Index, ...]
    labels: Fact[tuple[str, ...]]
    extents: Fact[tuple[tuple[str, int], ...]]
    a: Read[View]
    b: Read[View | None]
    weight: Edge[str]
    out: Write[View]
    x_label: Fact[str]
    y_label: Fact[str]
    reduce: bool
    ordered: bool = False
    relieved: bool = False
    n_label: Fact[str] = ""
    chunk: int = 0
    accumulator: Scratch[str] = ""
    arrivals: Scratch[str] = ""
    sums: Scratch[str] = ""
    combined: Fact[str] = ""
    rises: bool = False
    target: Edge[str] = ""
    beside: Read[View | None] = None
    away: Edge[str] = ""
    part: Fact[Part] = ()


@dataclass(frozen=True, slots=True)
class MoveTask(Task):
    """out[f(i)] = value[i]: affine movement; what the map does not reach holds ``fill``.

    steps: from the value's logical index to the output's.
    fill: None when every element that anyone reads is written.
    barrier: meet the tiles that are sent to before the first remote store (not needed when a move
      just before met all of them for the same output).
    lines: where nothing leaves a row, or a column, only its tiles meet.
    waits: for what comes to this tile; not if a later move into the same output waits for all.
    joined: moves before this one gave the other parts of the output, and did not wait.
    stage: one of two tasks of which the move is made where all of a line goes to its root and from
      there to the line. "send": the messages, for whose words the root has room; "take": the rest.
      Between the two tiles may do something else. "" where one task does all of it.
    """

    value: Read[View]
    steps: Movement[tuple[MoveStep, ...]]
    out: Write[View]
    fill: float | None = None
    barrier: bool = True
    lines: bool = False
    waits: bool = True
    joined: bool = False
    stage: Fact[str] = ""


@dataclass(frozen=True, slots=True)
class LookupTask(Task):
    """Rows of the edge tensor ``table`` at the ``indices`` (all in tile 0,0) into ``out``.

    begin: the position in ``out`` of the first of them, which has room for the rows of more.
    scratch: one word for what is not this tile's.
    """

    table: Edge[str]
    indices: Read[View]
    out: Write[View]
    scratch: Scratch[str]
    begin: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GatherTask(Task):
    """out = take(data, indices, axis): ``axis`` whole in each tile, indices in every tile.

    ordinary: all indices are known to be positions from 0 on, so that none needs a check.
    """

    data: Read[View]
    indices: Read[View]
    axis: int
    out: Write[View]
    ordinary: bool = False


@dataclass(frozen=True, slots=True)
class ScatterTask(Task):
    """out = data with ``updates`` at ``indices`` of ``axis``, joined by ``kind`` (None: replaced).

    ``axis`` is whole in each tile of updates; indices are in every tile. data, out: of one
    layout; no data are zeros. Along the axis a tile may have a block of them, and then places in
    it what is for it.
    ordinary: as for a gather. skips: an index outside the axis places nothing.
    """

    data: Read[View | None]
    indices: Read[View]
    updates: Read[View]
    axis: int
    kind: Reduction | None
    out: Write[View]
    ordinary: bool = False
    skips: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` turns of ``period`` items each, from item ``start`` on."""

    start: int
    period: int
    count: int

    @property
    def end(self) -> int:
        """The first item behind it."""
        return self.start + self.period * self.count


@dataclass(frozen=True, slots=True)
class Gap:
    """``left`` blocks of keys that were left out in front of item ``at``.

    The blocks around them have ``size`` items each, and are the same but for the numbers in them.
    end: the first item behind the blocks that come after those.
    """

    at: int
    size: int
    left: int
    end: int

    @property
    def more(self) -> int:
        """How many items were left out."""
        return self.left * self.size


@dataclass(frozen=True, slots=True)
class Steps:
    """Tasks ``start`` to ``end - 1`` are those of a step, of which a run makes ``count``.

    What is before them is done once, and what is behind them when all steps are done.
    """

    start: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A placed program.

    buffers: every buffer that a task names. layers: tasks that are the same in turn after turn,
    but for the names of buffers, of edge tensors and of nodes. addresses: buffer -> byte address,
    empty before the memory pass. steps: the tasks that are done again and again, None if all are
    done once. noted: how nodes got their forms, for those who ask. cut: layers that the program has
    beside those whose tasks are here. further: gives the names of their buffers, by those of the
    layer before them. alike: of the buffers that no task names, since their layers were left out,
    one of a layer that is here. gaps: where blocks of keys were left out. No text holds these five.
    """

    name: str
    mesh: Mesh
    edge_tensors: tuple[EdgeTensor, ...]
    buffers: tuple[Buffer, ...]
    tasks: tuple[Task, ...]
    layers: tuple[Run, ...] = ()
    addresses: dict[str, int] = field(default_factory=dict)
    steps: Steps | None = None
    noted: tuple[Noted, ...] = field(default=(), compare=False, repr=False)
    cut: Cut | None = field(default=None, compare=False, repr=False)
    further: Callable[[Sequence[str]], dict[str, tuple[str, ...]]] | None = field(
        default=None, compare=False, repr=False
    )
    alike: dict[str, str] = field(default_factory=dict[str, str], compare=False, repr=False)
    gaps: tuple[Gap, ...] = field(default=(), compare=False, repr=False)

    def parts(self) -> tuple[range, range, range]:
        """The tasks that are done once, those of a step, and those at the end."""
        count = len(self.tasks)
        if self.steps is None:
            return range(count), range(count, count), range(count, count)
        start, end = self.steps.start, self.steps.end
        return range(start), range(start, end), range(end, count)


def roles(kind: type[Task]) -> dict[str, Role]:
    """What a kind of task does with each of its fields, in their order."""
    return ROLES[kind]


def parts(task: Task, name: str) -> tuple[Any, ...]:
    """What a field of a task holds, one after the other; nothing for None and ""."""
    value = getattr(task, name)
    if isinstance(value, tuple):
        return tuple(value)
    return () if value is None or value == "" else (value,)


def held(task: Task, *wanted: Role) -> Iterator[Any]:
    """What the fields with these roles hold, one after the other."""
    for name in fields_with(type(task), wanted):
        yield from parts(task, name)


@cache
def fields_with(kind: type[Task], wanted: tuple[Role, ...]) -> tuple[str, ...]:
    """The fields of a kind of task that have one of these roles."""
    return tuple(name for name, role in roles(kind).items() if role in wanted)


def operand_names(task: Task) -> dict[str, str]:
    """Buffer -> what the task calls it: the name of its field, numbered if that has several."""
    found: dict[str, str] = {}
    for name, role in roles(type(task)).items():
        if role not in (Role.READ, Role.WRITE, Role.SCRATCH):
            continue
        items = parts(task, name)
        several = isinstance(getattr(task, name), tuple)
        stem = name.removesuffix("s") if several else name
        for number, item in enumerate(items, 1):
            buffer = item.buffer if isinstance(item, View) else item
            found.setdefault(buffer, f"{stem}{number}" if len(items) > 1 else stem)
    return found


def edge_names(task: Task) -> list[str]:
    """The edge tensors that a task names."""
    return [*held(task, Role.EDGE)]


def views(task: Task) -> list[View]:
    """The views that a task reads or writes."""
    return [*held(task, Role.READ, Role.WRITE)]


def read(task: Task) -> list[View]:
    """The views that a task reads."""
    return [*held(task, Role.READ)]


def written(task: Task) -> list[View]:
    """The views that a task writes."""
    return [*held(task, Role.WRITE)]


def scratch(task: Task) -> list[str]:
    """The buffers that only this task uses."""
    return [*held(task, Role.SCRATCH)]
