"""The nodes of a model whose values a run has in SRAM, and those values against ONNX Runtime's.

A node can be looked at where its value lies whole in one tensor when the last statement of main
that is for it is left, which is where it was not fused into another. The tensor is known by its
name, which is made of the node's, and by its shape. In which order a tile keeps the elements of
its part is not in the text: of all orders of the dimensions the one that fits best counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wsc.comparison.compare import Comparison, compare, readable, session_options
from wsc.ir.naming import is_named_for
from wsc.isa.expr import names
from wsc.isa.program import Call, Mem, Op, Program, Region, Statement, Tensor
from wsc.isa.statements import statements
from wsc.isa.turns import expanded
from wsc.isa.types import DType
from wsc.views.inspect import holds


@dataclass(frozen=True, slots=True)
class Stay:
    """What all tiles of a region do at a statement of its main, once.

    turns: the loops around it, innermost first: what counts the turns, and in which one it is.
    """

    number: int
    region: Region
    statement: Statement
    turns: tuple[tuple[str, int], ...]
    tables: Mapping[str, tuple[str, ...]]

    def nodes(self, first: bool = False) -> tuple[str, ...]:
        """The ONNX nodes that it is for. first: in the first turns, which name the tensors."""
        marks = self.statement.nodes if isinstance(self.statement, Call) else ()
        for name, turn in self.turns:
            marks = expanded(marks, name, 0 if first else turn, self.tables)
        return marks


@dataclass(frozen=True, slots=True)
class Probe:
    """Where the value of a node can be looked at. value: its name in the model."""

    stay: Stay
    node: str
    value: str
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Probes:
    """Those of a program, in the order in which it comes to them.

    nodes: of the model, that do anything at all on the fabric.
    """

    found: tuple[Probe, ...]
    nodes: int


def probes_of(program: Program, stays: Sequence[Stay], model: Path) -> Probes:
    """Which nodes of a model a program has values of, and where."""
    proto = onnx.load(model, load_external_data=False)
    outputs = {
        node.name or node.output[0]: next((name for name in node.output if name), "")
        for node in proto.graph.node
        if node.output
    }
    last: dict[str, int] = {}
    for place, stay in enumerate(stays):
        last |= dict.fromkeys(stay.nodes(), place)
    tensors: dict[str, list[Tensor]] = {}
    for tensor in program.tensors:
        for node in tensor.nodes[-1:]:
            if is_named_for(tensor.name, node):
                tensors.setdefault(node, []).append(tensor)
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    found: list[Probe] = []
    for node, place in sorted(last.items(), key=lambda item: item[1]):
        stay = stays[place]
        if node not in outputs or stay.nodes()[-1] != node:
            continue
        used = _named(stay.statement, bodies)
        own = tensors.get(stay.nodes(first=True)[-1], [])
        for tensor in [tensor for tensor in own if tensor.name in used][:1]:
            if local_shape(tensor) is not None:
                found.append(Probe(stay, node, outputs[node], tensor))
    return Probes(tuple(found), sum(node in outputs for node in last))


def _named(statement: Statement, bodies: Mapping[str, Sequence[Statement]]) -> set[str]:
    """All names that a statement, and what it calls, has in its operands."""
    found: set[str] = set()
    waiting: list[Iterable[Statement]] = [(statement,)]
    entered: set[str] = set()
    while waiting:
        for item in statements(waiting.pop()):
            if isinstance(item, Call):
                for _, argument in item.arguments:
                    found.update(names(argument))
                if item.procedure in bodies and item.procedure not in entered:
                    entered.add(item.procedure)
                    waiting.append(bodies[item.procedure])
            elif isinstance(item, Op):
                for operand in item.operands:
                    if isinstance(operand, Mem):
                        found.update(names(operand.address))
    return found


def local_shape(tensor: Tensor) -> tuple[int, ...] | None:
    """The shape that each tile has room for; None if that does not fill the tensor's bytes."""
    shape = tuple(extent.length for extent in tensor.dims)
    size = int(np.prod(shape, dtype=np.int64)) * tensor.dtype.bytes
    return shape if max(-(-size // 4) * 4, 4) == tensor.bytes else None


class Intermediates:
    """A model in ONNX Runtime that gives values between its nodes too.

    Raises:
        CompileError: ONNX Runtime does not take the model.
    """

    def __init__(self, model: Path) -> None:
        self.model = model
        self._proto = onnx.load(model, load_external_data=False)
        self._own = {item.name for item in self._proto.graph.output}

    def run(self, inputs: Mapping[str, np.ndarray], values: Sequence[str]) -> dict[str, np.ndarray]:
        """The named values."""
        import onnxruntime

        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for name in dict.fromkeys(values):
            if name not in self._own:
                proto.graph.output.append(onnx.ValueInfoProto(name=name))
        options = session_options()
        folder = str(self.model.resolve().parent)
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", folder
        )
        with readable(self.model):
            session = onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            known = {item.name for item in (*session.get_inputs(), *_defaults(session))}
            given = {name: array for name, array in inputs.items() if name in known}
            found = session.run(list(values), given)
        return {name: np.asarray(array) for name, array in zip(values, found, strict=True)}


def _defaults(session: Any) -> Sequence[Any]:
    """Initializers that are inputs too."""
    return session.get_overridable_initializers()


def held_value(
    probe: Probe, words: np.ndarray, wanted: np.ndarray, program: Program
) -> Comparison | None:
    """The value of a node as the tiles held it, against ONNX Runtime's, as outputs are compared.

    words: [tile, word] of its tensor in all tiles of the program's rectangle. None if the tensor
    has another shape or type, or the tiles do not hold all of it.
    """
    tensor = probe.tensor
    shape = tuple(extent.size for extent in tensor.dims)
    if shape != wanted.shape or not _is_alike(tensor.dtype, wanted):
        return None
    if wanted.dtype.kind in "biu":
        wanted = wanted.astype(np.int64)
    best: Comparison | None = None
    for order in _orders(tensor):
        ours = _assembled(probe, words, wanted, program.width, order)
        if ours is None:
            return None
        if wanted.dtype == np.int64:
            ours = ours.astype(np.int64)
        found = compare(probe.value, ours, wanted, program.precision)
        if best is None or found.relative < best.relative:
            best = found
        if best.within:
            break
    return best


def _orders(tensor: Tensor) -> Iterator[tuple[int, ...]]:
    """The orders in which the dimensions of a tile's part may lie, the text's own first.

    Those of length one may be anywhere, and stay where they are.
    """
    long = [place for place, extent in enumerate(tensor.dims) if extent.length > 1]
    for order in permutations(long):
        moved = dict(zip(long, order, strict=True))
        yield tuple(moved.get(place, place) for place in range(len(tensor.dims)))


def _assembled(
    probe: Probe, words: np.ndarray, wanted: np.ndarray, width: int, order: tuple[int, ...]
) -> np.ndarray | None:
    """The value of a node in the model's shape, if the parts of tiles lie in an order.

    Of copies of an element the one that is farthest from ``wanted`` counts.
    """
    tensor, region = probe.tensor, probe.stay.region
    shape, kind = wanted.shape, tensor.dtype.numpy
    lengths = tuple(tensor.dims[place].length for place in order)
    count = int(np.prod(lengths, dtype=np.int64))
    ours = np.zeros(shape, kind)
    off = np.full(shape, -1.0)
    with np.errstate(all="ignore"):
        for y in range(region.height):
            for x in range(region.width):
                ranges = holds(tensor, x, y)
                if ranges is None:
                    continue
                tile = (region.top + y) * width + region.left + x
                local = words[tile].view(kind)[:count].reshape(lengths)
                local = local.transpose(np.argsort(order))
                starts = [_start(extent, x, y) for extent in tensor.dims]
                inner = tuple(
                    slice(first - start, end - start)
                    for (first, end), start in zip(ranges, starts, strict=True)
                )
                outer = tuple(slice(*bounds) for bounds in ranges)
                block = local[inner]
                error = _distance(block, wanted[outer])
                worse = error > off[outer]
                ours[outer] = np.where(worse, block, ours[outer])
                off[outer] = np.where(worse, error, off[outer])
    return ours if (off >= 0).all() else None


def _is_alike(dtype: DType, wanted: np.ndarray) -> bool:
    """Whether elements of a type stand for those of ONNX's: not one word of a wide number."""
    if wanted.dtype.kind not in "biu":
        return dtype.is_float and wanted.dtype != np.float64
    limits = np.iinfo(np.int32)
    inside = not wanted.size or (wanted.min() >= limits.min and wanted.max() <= limits.max)
    return not dtype.is_float and bool(inside)


def _distance(ours: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How far elements are apart: infinitely, if one of them is NaN and the other is not."""
    one, other = ours.astype(np.float64), wanted.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    apart = np.where(same, 0.0, np.abs(one - other))
    return np.where(np.isnan(apart), np.inf, apart)


def _start(extent: Any, x: int, y: int) -> int:
    """The first index that the room of a tile is for."""
    return extent.held({"x": x, "y": y}.get(extent.axis or "", 0))[0]
