"""Edge tensors: what the host gives and takes, and weights, mapped and never copied whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.program import EdgeTensor, Kind, Program
from isa.types import DType
from runtime.errors import InputError, LoadError, OutputError, place

# Storage formats that the edge reads, in the order of their codes in the engines.
STORAGE = tuple(
    np.dtype(name) for name in ("f4", "f2", "i4", "i8", "f8", "u1", "i1", "?", "i2", "u2")
)
_SAFETENSORS = {
    "F32": "f4", "F16": "f2", "I32": "i4", "I64": "i8", "F64": "f8", "U8": "u1", "I8": "i1",
    "BOOL": "?", "I16": "i2", "U16": "u2",
}  # fmt: skip
_HEADER_LIMIT = 100_000_000


@dataclass(slots=True)
class Mapped:
    """One tensor of the store: a flat array (maybe mapped), and its type on the fabric."""

    tensor: EdgeTensor
    data: np.ndarray


def map_weights(program: Program, folder: Path) -> dict[str, Mapped]:
    """Map every weight of the program from the files beside it.

    Raises:
        LoadError: a file or key is missing, leaves the folder, is too short, or has a
            shape other than the program says.
    """
    return {
        tensor.name: Mapped(tensor, _weight(tensor, folder))
        for tensor in program.edge_tensors
        if tensor.kind is Kind.WEIGHT
    }


def _weight(tensor: EdgeTensor, folder: Path) -> np.ndarray:
    lead = f"{place(tensor.where)}weight '{tensor.name}'"
    path = folder / tensor.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LoadError(f"{lead}: '{tensor.file}' leaves the folder {folder}")
    if not path.is_file():
        raise LoadError(f"{lead}: no file {path}")
    count = math.prod(tensor.shape)
    if tensor.byte_offset is not None:
        dtype, start = tensor.host, tensor.byte_offset
    else:
        dtype, start, shape = _header(path, tensor.key, lead)
        if shape != tensor.shape:
            raise LoadError(f"{lead}: shape {list(tensor.shape)} wanted, {list(shape)} in {path}")
    if dtype not in STORAGE:
        raise LoadError(f"{lead}: elements of type {dtype} cannot be served")
    if start + count * dtype.itemsize > path.stat().st_size:
        raise LoadError(f"{lead}: {path} ends before its data")
    if count == 0:
        return np.zeros(0, dtype)
    raw = np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=(count * dtype.itemsize,))
    return raw.view(dtype)


def _header(path: Path, key: str, lead: str) -> tuple[np.dtype, int, tuple[int, ...]]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= min(_HEADER_LIMIT, path.stat().st_size):
            raise LoadError(f"{lead}: {path} is not a safetensors file")
        try:
            header = json.loads(file.read(size))
        except ValueError as error:
            raise LoadError(f"{lead}: {path} is not a safetensors file") from error
    entry = header.get(key)
    if not isinstance(entry, dict):
        raise LoadError(f"{lead}: no key '{key}' in {path}")
    if entry["dtype"] not in _SAFETENSORS:
        raise LoadError(f"{lead}: elements of type {entry['dtype']} cannot be served")
    dtype = np.dtype(_SAFETENSORS[entry["dtype"]])
    return dtype, 8 + size + int(entry["data_offsets"][0]), tuple(entry["shape"])


def check_inputs(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check the inputs and convert them to the types that travel on the fabric.

    Returns:
        Name to a flat array of the fabric's element type.

    Raises:
        InputError: an unknown or missing name, a wrong shape or dtype, or an integer
            that does not fit 32 bits.
    """
    tensors = {t.name: t for t in program.edge_tensors if t.kind is Kind.INPUT}
    wanted = {name: tensor for name, tensor in tensors.items() if name not in program.parts}
    known = ", ".join(wanted) or "none"
    for name in inputs:
        if name not in wanted:
            raise InputError(f"no input '{name}'; the program's inputs: {known}")
    missing = [name for name in wanted if name not in inputs]
    if missing:
        raise InputError(f"input '{missing[0]}' is missing; the program's inputs: {known}")
    words: dict[str, np.ndarray] = {}
    for name, tensor in wanted.items():
        array = np.asarray(inputs[name])
        words[name] = _input(tensor, array)
        if tensor.high:
            words[tensor.high] = np.ascontiguousarray(array >> 32).ravel().astype(np.int32)
    return words


def _input(tensor: EdgeTensor, array: np.ndarray) -> np.ndarray:
    dtype = tensor.host
    if array.shape != tensor.shape:
        raise InputError(
            f"input '{tensor.name}': shape {list(tensor.shape)} wanted, got {list(array.shape)}"
        )
    if array.dtype != dtype:
        raise InputError(f"input '{tensor.name}': dtype {dtype} wanted, got {array.dtype}")
    if tensor.high:
        return _low_words(array).ravel()
    if tensor.dtype is DType.I32 and array.dtype.kind in "iu":
        _require_words(tensor, array)
    if tensor.dtype is DType.I32 and array.dtype.kind == "u":
        array = array.astype(np.uint32).view(np.int32)  # unsigned words keep their bits
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(array).astype(tensor.dtype.numpy).ravel()
    if dtype == np.float64 and (np.isinf(words) & np.isfinite(array.ravel())).any():
        raise InputError(f"input '{tensor.name}': a value beyond {tensor.dtype.value}'s range")
    return words


def _low_words(array: np.ndarray) -> np.ndarray:
    return (array & array.dtype.type(0xFFFFFFFF)).astype(np.uint32).view(np.int32)


def _require_words(tensor: EdgeTensor, array: np.ndarray) -> None:
    """Raise InputError at the first integer that does not fit 32 bits."""
    least, beyond = (0, 2**32) if array.dtype.kind == "u" else (-(2**31), 2**31)
    if array.dtype.itemsize <= 4:
        return
    outside = (array < least) | (array >= beyond)
    if outside.any():
        index = np.unravel_index(int(outside.argmax()), array.shape)
        place = ", ".join(str(int(i)) for i in index)
        raise InputError(
            f"input '{tensor.name}': {array[index]} at [{place}] does not fit 32 bits, the integer "
            f"of the fabric; compiled with --wide {tensor.name} it has two of them"
        )


def make_outputs(program: Program) -> dict[str, np.ndarray]:
    """Zeroed flat arrays of the fabric's types, for DRAIN transfers to fill."""
    return {
        tensor.name: np.zeros(math.prod(tensor.shape), tensor.dtype.numpy)
        for tensor in program.edge_tensors
        if tensor.kind is Kind.OUTPUT
    }


def host_outputs(program: Program, flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs in the shapes and types that the host sees, cut where the program says so.

    Raises:
        OutputError: a length that the program computed is none of its output's, or an
            output holds a value that its host type does not have: the edge changes
            encodings and computes nothing.
    """
    tensors = {tensor.name: tensor for tensor in program.edge_tensors}
    parts = program.parts
    return {
        name: _whole(tensors[name], array, flat)
        for name, array in flat.items()
        if name not in parts
    }


def _whole(tensor: EdgeTensor, array: np.ndarray, flat: Mapping[str, np.ndarray]) -> np.ndarray:
    """An output in its shape, with the high words of its integers if it has any."""
    if not tensor.high:
        return _output(tensor, _cut(tensor, array.reshape(tensor.shape), flat))
    high, low = (words.reshape(tensor.shape) for words in (flat[tensor.high], array))
    joined = (high.astype(np.int64) << 32) | low.view(np.uint32)
    return _cut(tensor, joined.view(tensor.host), flat)


def _output(tensor: EdgeTensor, array: np.ndarray) -> np.ndarray:
    dtype = tensor.host
    if dtype == array.dtype:
        return array
    if tensor.dtype is DType.I32 and dtype.kind == "u" and dtype.itemsize >= 4:
        return array.view(np.uint32).astype(dtype)
    with np.errstate(all="ignore"):
        shown = array.astype(dtype)
        back = shown.astype(array.dtype)
    wrong = (back != array) & ((back == back) | (array == array))
    if wrong.any():
        raise OutputError(f"output '{tensor.name}': {array[wrong][0]} is no value of {dtype}")
    return shown


def _cut(tensor: EdgeTensor, array: np.ndarray, flat: Mapping[str, np.ndarray]) -> np.ndarray:
    if tensor.cut is None:
        return array
    axis, length = tensor.cut.axis, int(flat[tensor.cut.length].item())
    if not 0 <= length <= array.shape[axis]:
        raise OutputError(
            f"output '{tensor.name}': '{tensor.cut.length}' is {length}, dimension {axis} has "
            f"{array.shape[axis]} positions"
        )
    return array[(slice(None),) * axis + (slice(length),)]
