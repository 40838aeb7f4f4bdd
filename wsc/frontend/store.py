"""Weights that a model declares and does not hold: drawn from a seed, or those of a checkpoint.

Such a weight is an initializer whose external data are at the place ``drawn``, which is no file;
its metadata are the mean and the deviation of what it may be drawn from.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnx_ir as ir

from wsc.errors import CompileError, shortened
from wsc.ir.graph import Drawing, Member, Source
from wsc.isa.drawing import draw_weight
from wsc.isa.files import refusal
from wsc.isa.program import Drawn
from wsc.isa.shown import Facts, Shown

PLACE = "drawn"
SOURCE_KEY = "wsc.source"
"""In the metadata of a tensor: where its data are."""

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
FLOATS = ("F32", "F16", "BF16", "F64")
"""Types of floats that the edge can stream, by the names of safetensors."""

FEW = 4  # names in a message
LARGEST_SEED = 10**14 - 1  # a number of the text


class Store(Protocol):
    """Where the weights of a model without data are. files: those that are read."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold weights; none is replaced."""
        ...

    def described(self) -> str:
        """In a few words; two stores of other weights say other things, or have other files."""
        ...

    def sources(self, wanted: Iterable[onnx.TensorProto]) -> dict[str, Source]:
        """The source of each weight, by its name. Raises CompileError if there is none."""
        ...


def declares_weights(proto: onnx.ModelProto) -> bool:
    """Whether a model has weights without data."""
    return any(is_declared(tensor) for tensor in proto.graph.initializer)


def is_declared(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor is a weight without data."""
    places = {item.value for item in tensor.external_data if item.key == "location"}
    return tensor.data_location == onnx.TensorProto.EXTERNAL and places == {PLACE}


def attach(model: ir.Model, proto: onnx.ModelProto, store: Store) -> None:
    """Give the declared weights of a model their data, which are read when they are wanted."""
    declared = [tensor for tensor in proto.graph.initializer if is_declared(tensor)]
    sources = store.sources(declared)
    for tensor in declared:
        value = model.graph.initializers[tensor.name]
        shape = tuple(tensor.dims)
        lazy = ir.LazyTensor(
            partial(_tensor, sources[tensor.name], shape),
            dtype=ir.DataType(tensor.data_type),
            shape=ir.Shape(shape),
            name=tensor.name,
        )
        lazy.meta[SOURCE_KEY] = sources[tensor.name]
        value.const_value = lazy


def _tensor(source: Source, shape: tuple[int, ...]) -> ir.TensorProtocol:
    return ir.tensor(read(source, math.prod(shape)).reshape(shape))


def read(source: Source, count: int) -> np.ndarray:
    """The elements of a source, flat, in single precision."""
    if isinstance(source, Drawing):
        return draw_weight(source.key, source.how, count)
    assert isinstance(source, Member)
    with _opened(source.path) as file:
        return np.asarray(file.get_tensor(source.key)).reshape(-1).astype(np.float32)


class Seed(Shown):
    """Weights that are drawn when they are needed. Equal seeds give equal weights."""

    def _facts(self) -> Facts:
        return [("weights", self.described())]

    def __init__(self, seed: int = 0) -> None:
        if not 0 <= seed <= LARGEST_SEED:
            raise CompileError(f"the seed {seed} of the weights is not 0 to {LARGEST_SEED}")
        self.seed = seed

    @property
    def files(self) -> tuple[Path, ...]:
        """None."""
        return ()

    def described(self) -> str:
        """The seed."""
        return f"seed {self.seed}"

    def sources(self, wanted: Iterable[onnx.TensorProto]) -> dict[str, Source]:
        """The distribution that the model declares for each weight."""
        return {tensor.name: self._source(tensor) for tensor in wanted}

    def _source(self, tensor: onnx.TensorProto) -> Source:
        facts = {item.key: item.value for item in tensor.metadata_props}
        try:
            mean, deviation = float(facts["mean"]), float(facts["deviation"])
        except (KeyError, ValueError):
            name = shortened(tensor.name)
            raise CompileError(
                f"weight {name!r} declares no mean and deviation to be drawn from"
            ) from None
        return Drawing(tensor.name, Drawn(self.seed, mean, deviation))


class Checkpoint(Shown):
    """A folder that transformers wrote: weights in one safetensors file or in several.

    Raises:
        CompileError: it holds none, or a damaged index.
    """

    def _facts(self) -> Facts:
        return [("weights", self.described()), ("tensors", f"{len(self._places):,}")]

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self._places = dict(self._keys())

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of weights, and the index."""
        index = self.folder / INDEX
        beside = (index,) if index.is_file() else ()
        return (*dict.fromkeys(self._places.values()), *beside)

    def _keys(self) -> Iterator[tuple[str, Path]]:
        index = self.folder / INDEX
        if not self.folder.is_dir():
            raise CompileError(f"{self.folder}: no such folder, so no checkpoint")
        if index.is_file():
            yield from self._indexed(index)
            return
        single = self.folder / SINGLE
        if not single.is_file():
            found = sorted(self.folder.glob("*.safetensors"))
            if len(found) != 1:
                what = "several safetensors files and no index" if found else "no safetensors file"
                raise CompileError(
                    f"{self.folder}: holds {what}; a checkpoint has {SINGLE}, or {INDEX} and the "
                    "files that it names"
                )
            (single,) = found
        with _opened(single) as file:
            yield from ((key, single) for key in file.keys())  # noqa: SIM118 - it is no dict

    def _indexed(self, index: Path) -> Iterator[tuple[str, Path]]:
        try:
            places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            pairs = [(str(key), str(name)) for key, name in places.items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CompileError(f"{index}: is no index of weights ({error})") from None
        for key, name in pairs:
            if Path(name).name != name:
                raise CompileError(f"{index}: {shortened(name)!r} is not a file of its folder")
            yield key, self.folder / name

    def described(self) -> str:
        """The folder."""
        return f"checkpoint {self.folder}"

    def sources(self, wanted: Iterable[onnx.TensorProto]) -> dict[str, Source]:
        """The tensor of each weight, with its shape and type checked."""
        found: dict[str, Source] = {}
        missing: list[str] = []
        for tensor in wanted:
            key = next((name for name in _names(tensor.name) if name in self._places), None)
            if key is None:
                missing.append(tensor.name)
                continue
            found[tensor.name] = Member(self._places[key], key, self.folder)
        if missing:
            shown = ", ".join(shortened(name) for name in missing[:FEW])
            more = f" and {len(missing) - FEW} more" if len(missing) > FEW else ""
            raise CompileError(f"{self.folder}: the checkpoint lacks {shown}{more}")
        self._check(wanted, found)
        return found

    def _check(self, wanted: Iterable[onnx.TensorProto], found: dict[str, Source]) -> None:
        by_file: dict[Path, list[tuple[str, tuple[int, ...]]]] = {}
        for tensor in wanted:
            place = found[tensor.name]
            assert isinstance(place, Member)
            by_file.setdefault(place.path, []).append((place.key, tuple(tensor.dims)))
        for path, items in by_file.items():
            with _opened(path) as file:
                there = set(file.keys())
                for key, shape in items:
                    if key not in there:
                        raise CompileError(f"{path}: lacks {shortened(key)}, which the index has")
                    self._require(path, key, shape, file.get_slice(key))

    def _require(self, path: Path, key: str, shape: tuple[int, ...], stored: Any) -> None:
        kind, size = stored.get_dtype(), tuple(stored.get_shape())
        where = f"{path}: {shortened(key)}"
        if size != shape:
            raise CompileError(
                f"{where} has the shape {list(size)}, and the model wants {list(shape)}: the "
                "checkpoint is of a model of other sizes"
            )
        if kind not in FLOATS:
            raise CompileError(
                f"{where} is stored as {kind}, which cannot be streamed: store it as "
                f"{', '.join(FLOATS[:-1])} or {FLOATS[-1]}"
            )


def _names(name: str) -> Iterator[str]:
    """The names that a weight has had in checkpoints.

    A model without its head is saved without the first part; old norms have gamma and beta.
    """
    short = name.partition(".")[2]
    for known in (name, short):
        yield known
        if "LayerNorm." in known:
            yield known.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )


def _opened(path: Path) -> Any:
    """A safetensors file, for a ``with``."""
    from safetensors import SafetensorError, safe_open

    reason = refusal(path)
    if reason:
        raise CompileError(f"{path}: {reason}")
    try:
        return safe_open(path, "numpy")
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CompileError(f"{path}: is not a sound safetensors file ({reason})") from error


def write_model(proto: onnx.ModelProto, store: Store, path: Path) -> None:
    """A model with its declared weights in a file beside it, ``weights.bin``.

    Tensors are made one after the other: only the disk holds all of them.

    Raises:
        CompileError: they would take more than half of the disk that is free.
    """
    filled = onnx.ModelProto()
    filled.CopyFrom(proto)
    declared = [tensor for tensor in filled.graph.initializer if is_declared(tensor)]
    sources = store.sources(declared)
    size = 4 * sum(math.prod(tensor.dims) for tensor in declared)
    free = shutil.disk_usage(path.parent).free
    if size > free // 2:
        raise CompileError(
            f"{proto.graph.name}: its weights take {size:,} bytes, which is more than half of the "
            f"{free:,} bytes that are free on the disk: compare with fewer layers"
        )
    data = path.with_name("weights.bin")
    with data.open("wb") as file:
        for tensor in declared:
            array = read(sources[tensor.name], math.prod(tensor.dims))
            facts = {"location": data.name, "offset": file.tell(), "length": array.nbytes}
            del tensor.external_data[:]
            for key, value in facts.items():
                tensor.external_data.add(key=key, value=str(value))
            array.tofile(file)
    path.write_bytes(filled.SerializeToString())
