"""The placed program: what the kernels are asked to do, in order, over views of SRAM.

The layout pass turns graph nodes into tasks; the memory pass gives buffers addresses; the
kernel library turns each task into instructions and edge transfers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsc.ir.graph import Index, MoveStep, Reduction, Step
from wsc.isa.program import EdgeTensor
from wsc.layout import Buffer, Mesh, View


@dataclass(frozen=True, slots=True)
class Load:
    """Bring edge tensor ``source`` into ``out`` (an input, or a constant from the store).

    fill: what halo and padding hold where they lie outside the tensor; None if nobody reads that.
    """

    source: str
    out: View
    fill: float | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """Send ``value`` out as edge tensor ``target``.

    shape: of the tensor, where the value is a part of it: its extents then end where the part does.
    """

    value: View
    target: str
    origin: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MapTask:
    """Elementwise map; inputs broadcast along dimensions where their extent has size one.

    scratch: one buffer for each temporary that the body needs.
    """

    body: tuple[Step, ...]
    inputs: tuple[View, ...]
    out: View
    scratch: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class ReduceTask:
    """Windowed or plain reduction. ``axes``: mesh axes over which partial results are combined.

    accumulator: the f32 buffer of the partial sums when the value is f16, else "".
    """

    kind: Reduction
    index: tuple[Index, ...]
    labels: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]
    value: View
    out: View
    axes: tuple[str, ...]
    accumulator: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class ContractTask:
    """Contraction of ``a`` (stationary) with ``b``: weights streamed from the edge, or a view.

    x_label: the label along x: an output label (each tile computes its own block), or a
      summed one (``reduce``: partial sums are reduced along the row to the block's owner).
    y_label: the output label along y, or "".
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
    """

    index_a: tuple[Index, ...]
    index_b: tuple[Index, ...]
    labels: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]
    a: View
    b: View | None
    weight: str
    out: View
    x_label: str
    y_label: str
    reduce: bool
    ordered: bool = False
    relieved: bool = False
    n_label: str = ""
    chunk: int = 0
    accumulator: str = ""
    arrivals: str = ""
    sums: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class MoveTask:
    """out[f(i)] = value[i]: affine movement; what the map does not reach holds ``fill``.

    steps: from the value's logical index to the output's.
    fill: None when every element that anyone reads is written.
    barrier: meet the tiles that are sent to before the first remote store (not needed when a move
      just before met all of them for the same output).
    """

    value: View
    steps: tuple[MoveStep, ...]
    out: View
    fill: float | None = None
    barrier: bool = True
    origin: str = ""


@dataclass(frozen=True, slots=True)
class LookupTask:
    """Rows of the edge tensor ``table`` at the ``indices`` (all in tile 0,0) into ``out``.

    begin: the position in ``out`` of the first of them, which has room for the rows of more.
    scratch: one word for what is not this tile's.
    """

    table: str
    indices: View
    out: View
    scratch: str
    begin: tuple[int, ...]
    origin: str = ""


@dataclass(frozen=True, slots=True)
class GatherTask:
    """out = take(data, indices, axis): ``axis`` whole in each tile, indices in every tile.

    ordinary: all indices are known to be positions from 0 on, so that none needs a check.
    """

    data: View
    indices: View
    axis: int
    out: View
    origin: str = ""
    ordinary: bool = False


@dataclass(frozen=True, slots=True)
class ScatterTask:
    """out = data with ``updates`` at ``indices`` of ``axis``, joined by ``kind`` (None: replaced).

    ``axis`` is whole in each tile of updates; indices are in every tile. data, out: of one
    layout; no data are zeros. Along the axis a tile may have a block of them, and then places in
    it what is for it.
    ordinary: as for a gather. skips: an index outside the axis places nothing.
    """

    data: View | None
    indices: View
    updates: View
    axis: int
    kind: Reduction | None
    out: View
    origin: str = ""
    ordinary: bool = False
    skips: bool = False


Task = (
    Load
    | Store
    | MapTask
    | ReduceTask
    | ContractTask
    | MoveTask
    | LookupTask
    | GatherTask
    | ScatterTask
)


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
class Placed:
    """A placed program.

    buffers: every buffer that a task names. layers: tasks that are the same in turn after turn,
    but for the names of buffers, of edge tensors and of nodes. addresses: buffer -> byte address,
    empty before the memory pass.
    """

    name: str
    mesh: Mesh
    edge_tensors: tuple[EdgeTensor, ...]
    buffers: tuple[Buffer, ...]
    tasks: tuple[Task, ...]
    layers: tuple[Run, ...] = ()
    addresses: dict[str, int] = field(default_factory=dict)


EDGE = ("source", "weight", "table", "target")  # fields of tasks that name edge tensors


def edge_names(task: Task) -> list[str]:
    """The edge tensors that a task names."""
    return [name for entry in EDGE if (name := getattr(task, entry, ""))]


def views(task: Task) -> list[View]:
    """The views that a task reads or writes."""
    found: list[View] = []
    for name in ("value", "a", "b", "data", "indices", "updates", "out"):
        item = getattr(task, name, None)
        if isinstance(item, View):
            found.append(item)
    if isinstance(task, MapTask):
        found.extend(task.inputs)
    return found


def scratch(task: Task) -> list[str]:
    """The buffers that only this task uses."""
    if isinstance(task, MapTask):
        return list(task.scratch)
    names = [getattr(task, field, "") for field in ("accumulator", "arrivals", "sums", "scratch")]
    return [name for name in names if name]
