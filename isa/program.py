"""The program: what the assembler reads and prints, and what the runtime executes.

Plain frozen data. The text form is defined by ``grammar.lark``; ``printer`` and
``parser`` are inverse to each other; ``verifier`` says what a well-formed program is.
All SRAM addresses and strides are in bytes; all edge-tensor offsets are in elements.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from wsc.isa.expr import Expr, Int
from wsc.isa.shown import Facts, Shown
from wsc.isa.types import Control, DType, Side

ISA_VERSION = 1

# A number of a fabric's description; the depths of its queues are several.
Number = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """Place in the assembly text. Line 0 stands for an object that was not parsed."""

    file: str = ""
    line: int = 0
    column: int = 0


NOWHERE = Location()


# --- operands ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mem:
    """A memory descriptor: ``[address]``, affine in the iteration names (bytes)."""

    address: Expr


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue at the ramp: ``<color>``, or ``<color: n, k>``.

    dims: the iteration names with which the operand advances; they are the outermost
    ones of the instruction, and the wavelet is held over the inner ones. None: it
    advances at every step.
    """

    color: str
    dims: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """An integer operand: expression over coordinates, constants and at most registers added.

    In a vector instruction it is the same value for every step, converted to the
    operand's type.
    """

    value: Expr


@dataclass(frozen=True, slots=True)
class Real:
    """A floating-point literal, the same for every step of a vector instruction."""

    value: float


Operand = Mem | Queue | Scalar | Real


@dataclass(frozen=True, slots=True)
class Dim:
    """One iteration name and its extent (static, one register, or their sum; <= 0: no step)."""

    name: str
    extent: Expr


# --- statements -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asynchronous:
    """Issue on stream unit ``unit``; add 1 to ``semaphore`` (if any) when it is done."""

    unit: int
    semaphore: int | None


@dataclass(frozen=True, slots=True)
class Op:
    """One instruction of the table.

    name, dtype: row of the table and its type suffix (None where the row has none).
    operands: destination first. SCALAR and LOAD rows: the destination register's name
      stands in ``register``. SEND: ``(Mem destination, Mem source)`` with the target
      tile in ``target`` (region coordinates) and the receiver's semaphore in
      ``semaphore``. CONTROL: color in ``color`` and ``control``. SEMAPHORE: index in
      ``semaphore`` and the count as the only operand.
    dims: iteration space, outermost first; empty: one step.
    """

    name: str
    dtype: DType | None = None
    operands: tuple[Operand, ...] = ()
    dims: tuple[Dim, ...] = ()
    register: str | None = None
    asynchronous: Asynchronous | None = None
    target: tuple[Expr, Expr] | None = None
    semaphore: int | None = None
    color: str | None = None
    control: Control = Control.NONE
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Loop:
    """Hardware loop: ``body`` runs with ``register`` = 0 .. count-1 (count <= 0: not at all)."""

    register: str
    count: Expr
    body: tuple[Statement, ...]
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class If:
    """Guard: ``left relation right`` decides; each side is static plus registers.

    relation: one of ``== != < <= > >=``.
    """

    left: Expr
    relation: str
    right: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """Call a procedure; the arguments become the first registers of its window.

    nodes: the ONNX nodes that caused the call, for provenance. name: by which transfers of the edge
    name the call, "" without; only those of a main have one.
    """

    procedure: str
    arguments: tuple[tuple[str, Expr], ...] = ()
    nodes: tuple[str, ...] = ()
    name: str = ""
    where: Location = field(default=NOWHERE, compare=False)


Statement = Op | Loop | If | Call


def row_level(op: Op) -> int:
    """How many of an instruction's outer iteration names its rows are told apart by.

    Those of the operand that advances with the most; without queue operand all but the innermost.
    """
    advances = [
        len(op.dims) if operand.dims is None else len(operand.dims)
        for operand in op.operands
        if isinstance(operand, Queue)
    ]
    return max(advances) if advances else max(len(op.dims) - 1, 0)


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure. Its registers are its parameters and every register it assigns.

    doc: comment lines printed above it.
    """

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement, ...]
    doc: tuple[str, ...] = ()
    where: Location = field(default=NOWHERE, compare=False)


# --- memory, routes, edge ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """How one logical dimension of a tensor lies on the mesh.

    The tile at coordinate p of ``axis`` holds the indices
    ``[p*step + offset, p*step + offset + length)`` that fall within ``[0, size)``.
    axis None: every tile holds the same range (step 0). A replicated or local
    dimension has length = size, offset = 0 unless it is padded.

    over: so many tiles, along which the blocks of ``step`` lie at equal distances, block i in tile
    ``i * over // blocks``; the tiles between them hold none. 0: they lie side by side, from the
    first tile on. Only blocks without halo or padding, no more of them than tiles, lie so.
    """

    size: int
    axis: str | None = None
    step: int = 0
    length: int = -1
    offset: int = 0
    over: int = 0

    def __post_init__(self) -> None:
        if self.length < 0:
            object.__setattr__(self, "length", self.step if self.axis else self.size)

    @property
    def blocks(self) -> int:
        """How many tiles along the axis hold something; 1 without an axis."""
        return -(-self.size // self.step) if self.axis else 1

    def held(self, place: int) -> tuple[int, int]:
        """The first index that the tile at a coordinate has room for, and the one behind the last.

        They may lie outside [0, size), with a halo or in tiles that hold nothing.
        """
        if self.over:
            first, last = (-(-at * self.blocks // self.over) for at in (place, place + 1))
            return first * self.step, last * self.step
        first = place * self.step + self.offset
        return first, first + self.length


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named range of SRAM, at the same address in every tile of its region.

    address, bytes: byte address and size in each tile. dims describe the layout; they are
    not executed. shares: a name for what it shares bytes with at other times. Ranges overlap
    only where tensors have one such name, or one has the name of the other.
    """

    name: str
    dtype: DType
    dims: tuple[Extent, ...]
    address: int
    bytes: int
    nodes: tuple[str, ...] = ()
    shares: str = ""
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Position:
    """One switch position: wavelets enter on ``receive`` and leave on every side of ``send``."""

    receive: Side
    send: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Routes of ``color`` in the tiles of ``region`` where ``guard`` is true (None: all).

    guard: static expression over x, y, W, H. At most one route may hold for a tile
    and color. positions: the switch positions, at least one.
    """

    color: str
    region: str
    guard: Expr | None
    positions: tuple[Position, ...]
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of tiles and the statements that its main threads run."""

    name: str
    left: int
    top: int
    width: int
    height: int
    main: tuple[Statement, ...] = ()
    where: Location = field(default=NOWHERE, compare=False)


class Kind(Enum):
    """What an edge tensor is for the host. CODE: that of a section (``wsc.isa.sections``)."""

    INPUT = "input"
    OUTPUT = "output"
    WEIGHT = "weight"
    KEPT = "kept"  # nothing: what leaves the fabric in a run comes back in it
    CODE = "code"

    @property
    def stored(self) -> bool:
        """Whether it is at the edge before a run begins: the host neither gives nor takes it."""
        return self in (Kind.WEIGHT, Kind.CODE)


@dataclass(frozen=True, slots=True)
class Cut:
    """How much of an output counts: ``length`` names an output of one i32 element.

    The host keeps the first so many positions of dimension ``axis``, and does not show
    the length.
    """

    axis: int
    length: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a weight is drawn that is not stored: see ``wsc.isa.drawing``.

    seed: with the key of the tensor, it decides all elements. mean, deviation: of their
    distribution. first: of the elements of that key, the one with which the weight begins.
    shape, order: what is drawn has this shape, and the weight its dimensions in this order; both
    are empty where the elements of the weight are in the order in which they are drawn.
    """

    seed: int
    mean: float
    deviation: float
    first: int = 0
    shape: tuple[int, ...] = ()
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EdgeTensor:
    """A tensor outside the fabric: network input, network output, weight in the store, or kept.

    One that is kept is drained, and then fed in the same run: not before all of it is there.

    dtype: element type on the fabric. host_dtype: NumPy name of the type that the
    host sees (``int64`` inputs travel as i32). file, key: for weights, the
    safetensors file beside the program and the key in it, or, when ``byte_offset``
    is not None, a raw file with the data starting at that byte. drawn: for a weight that
    is in no file, but drawn by its key when it is needed. cut: for an output whose
    size the program itself computes. high: for elements of 64 bits as two words, the tensor of
    their high words; this one has the low ones, and the host sees both as one.
    """

    name: str
    kind: Kind
    dtype: DType
    shape: tuple[int, ...]
    host_dtype: str = ""
    file: str = ""
    key: str = ""
    byte_offset: int | None = None
    drawn: Drawn | None = None
    cut: Cut | None = None
    high: str = ""
    where: Location = field(default=NOWHERE, compare=False)

    @property
    def host(self) -> np.dtype:
        """The type that the host sees; without a name of its own, that of the elements."""
        return np.dtype(self.host_dtype) if self.host_dtype else self.dtype.numpy

    @property
    def bytes(self) -> int:
        """Bytes of its elements in the fabric's type."""
        return math.prod(self.shape) * self.dtype.bytes


@dataclass(frozen=True, slots=True)
class Update:
    """What the weight store does to one of its tensors when a training step has ended.

    weight: the tensor that changes. rule: a row of ``wsc.isa.updates``; numbers: all of its
    parameters, in their order. gradient: the output that the fabric drained for it. states: the
    tensors of the store that the rule keeps from step to step, in the order of its row.
    """

    weight: str
    rule: str
    numbers: tuple[tuple[str, float], ...]
    gradient: str
    states: tuple[str, ...] = ()
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file that holds weights, and the SHA-256 of its bytes, in hexadecimal digits.

    A program that was saved has one for each of its files, and runs with no other contents. A
    file without one, as in programs written by hand, may hold anything.
    """

    name: str
    sha256: str
    where: Location = field(default=NOWHERE, compare=False)


class Direction(Enum):
    """FEED: from the edge into the fabric. DRAIN: from the fabric to the edge."""

    FEED = "feed"
    DRAIN = "drain"


def edge_places(tensors: Sequence[EdgeTensor]) -> dict[tuple[Direction, str], int]:
    """(direction of a transfer, name) -> place of the edge tensor that the transfer names.

    An input and an output may have one name: a feed names the input, a drain the output.
    """
    places: dict[tuple[Direction, str], int] = {}
    outputs = [n for n, tensor in enumerate(tensors) if tensor.kind is Kind.OUTPUT]
    fed = [n for n, tensor in enumerate(tensors) if tensor.kind is not Kind.OUTPUT]
    for direction in Direction:
        own, others = (outputs, fed) if direction is Direction.DRAIN else (fed, outputs)
        # The verifier says what is wrong where a transfer names one of the others.
        places |= {(direction, tensors[number].name): number for number in (*others, *own)}
    return places


@dataclass(frozen=True, slots=True)
class Lookup:
    """Rows chosen by the fabric: ``row`` takes each of ``count`` values as they arrive.

    The values are the wavelets of ``color`` that leave the region on ``side``
    at boundary position ``port`` (x for N and S, y for E and W).
    Values outside ``[0, size of the tensor's dimension 0)`` stop the run with an error.
    """

    row: str
    count: int
    color: str
    side: Side
    port: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """One entry of the edge's schedule.

    For every boundary tile on ``side`` of ``region`` where ``guard`` holds, the edge
    plays (FEED) into ``color``, or takes (DRAIN) from it, the elements
    ``tensor[offset]`` with ``offset`` affine in the iteration names, outermost first.
    repeat: (name, count): the whole is done for name = 0 .. count-1, and the name may
    stand in the extents and in the offset; so ragged blocks can be described.
    then: control wavelet fed after each repetition (FEED only). final: one more after
    the last repetition. call: the name of the call in the region's main that consumes or gives the
    elements, for reports; "" where nobody says. Entries of one port and color run in the order of
    the text; those of different ports and colors run concurrently.
    """

    direction: Direction
    color: str
    region: str
    side: Side
    guard: Expr | None
    tensor: str
    offset: Expr
    dims: tuple[Dim, ...] = ()
    repeat: tuple[str, int] | None = None
    lookup: Lookup | None = None
    then: Control = Control.NONE
    final: Control = Control.NONE
    nodes: tuple[str, ...] = ()
    call: str = ""
    where: Location = field(default=NOWHERE, compare=False)

    @property
    def unnamed(self) -> tuple[Hashable, ...]:
        """What it moves along which way, part by part: all but names."""
        return (
            self.direction,
            self.color,
            self.region,
            self.side,
            self.guard,
            self.offset,
            self.dims,
            self.repeat,
            self.lookup,
            self.then,
            self.final,
        )


@dataclass(frozen=True, slots=True)
class TransferLoop:
    """Entries of the edge's schedule that are played ``count`` times, in turn after turn.

    register: 0 .. count-1, in the guards, extents and offsets of the entries, and in the names
    of edge tensors and nodes (``wsc.isa.turns``).
    """

    register: str
    count: int
    body: tuple[Transfer, ...]
    where: Location = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, repr=False)
class Program(Shown):
    """A whole program.

    fabric: preset name or path of a description; width, height: size of the rectangle
    of tiles that it may use. settings: numbers in which its machine differs from that
    fabric, by dotted key; numbers: digest of all of them, empty in programs that were not
    compiled (``wsc.isa.machine``). precision: of the network, for the reader and for the
    comparison. work: multiply-accumulates of the network, by which its utilization is measured;
    None, as in programs written by hand, takes those that are executed. files: those that hold
    weights, with their digests. colors: name -> number.
    constants: name -> value, usable in every expression. tensors: SRAM symbols; their names
    are byte addresses in expressions. names: tables of names for the turns of loops
    (``wsc.isa.turns``). updates: of a training step, what the store does with its
    gradients: first their mean over ``over`` runs, then all of them together scaled down to the
    norm ``clip`` (0: as they are).
    """

    fabric: str
    width: int
    height: int
    precision: DType = DType.F32
    model: str = ""
    constants: tuple[tuple[str, int], ...] = ()
    edge_tensors: tuple[EdgeTensor, ...] = ()
    colors: tuple[tuple[str, int], ...] = ()
    tensors: tuple[Tensor, ...] = ()
    regions: tuple[Region, ...] = ()
    routes: tuple[Route, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    transfers: tuple[Transfer | TransferLoop, ...] = ()
    settings: tuple[tuple[str, Number], ...] = ()
    numbers: str = ""
    work: int | None = None
    files: tuple[WeightFile, ...] = ()
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    clip: float = 0.0
    over: int = 1
    updates: tuple[Update, ...] = ()
    version: int = ISA_VERSION

    def _facts(self) -> Facts:
        return [
            ("model", self.model or "(none)"),
            ("fabric", f"{self.width}x{self.height} tiles of {self.fabric}"),
            ("precision", self.precision.value),
            ("tensors", f"{len(self.tensors)}"),
            ("procedures", f"{len(self.procedures)}"),
            ("transfers", f"{len(self.transfers)}"),
        ]

    def shown(self, kind: Kind) -> list[EdgeTensor]:
        """Edge tensors of a kind that the host sees as such: no lengths, and no high words."""
        tensors = [tensor for tensor in self.edge_tensors if tensor.kind is kind]
        parts = {tensor.cut.length for tensor in tensors if tensor.cut is not None}
        parts |= {tensor.high for tensor in tensors}
        return [tensor for tensor in tensors if tensor.name not in parts]

    def region(self, name: str) -> Region:
        """The region of that name; KeyError if there is none."""
        return {region.name: region for region in self.regions}[name]

    def with_(self, **changes: object) -> Program:
        """A copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


ZERO = Int(0)
