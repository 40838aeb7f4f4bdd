"""Edge tensors of the host: what it gives and takes, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wsc.isa.asked import option
from wsc.isa.program import EdgeTensor, Kind, Program
from wsc.isa.types import DType
from wsc.runtime.errors import InputError, OutputError


def check_inputs(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check the inputs and convert them to the types that travel on the fabric.

    Returns:
        Name to a flat array of the fabric's element type.

    Raises:
        InputError: an unknown or missing name, a wrong shape or dtype, or an integer
            that does not fit 32 bits.
    """
    wanted = {tensor.name: tensor for tensor in program.shown(Kind.INPUT)}
    known = ", ".join(wanted) or "none"
    fixed = {tensor.name for tensor in program.edge_tensors if tensor.kind is Kind.WEIGHT}
    for name in inputs:
        if name in fixed:
            raise InputError(
                f"'{name}' is a weight of the program, with the values that it was compiled with: "
                f"compile it as an input ({option('input', name)}) to give others"
            )
        if name not in wanted:
            raise InputError(f"no input '{name}'; the program's inputs: {known}")
    missing = [name for name in wanted if name not in inputs]
    if missing:
        raise InputError(f"input '{missing[0]}' is missing; the program's inputs: {known}")
    words: dict[str, np.ndarray] = {}
    for name, tensor in wanted.items():
        array = as_array(tensor, inputs[name])
        words[name] = _input(tensor, array)
        if tensor.high:
            words[tensor.high] = _words_of(array, 32).ravel()
    return words


def as_array(tensor: EdgeTensor, value: Any) -> np.ndarray:
    """An input as an array, of the type that the host gives where nothing is lost with that.

    An array is cast where NumPy calls it safe, as from float16 to float32. Numbers of Python, in
    lists or alone, have no such type: integers may become floats that are equal to them, and
    floats are rounded.

    Raises:
        InputError: the lists are of different lengths.
    """
    host = tensor.host
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(
            f"input '{tensor.name}': lists in one list are of the same length; these are not"
        ) from None
    if array.dtype == host or array.dtype.kind not in "biuf":
        return array
    if np.can_cast(array.dtype, host, "safe"):
        return array.astype(host)
    if hasattr(value, "__array__") or host.kind not in "biuf":
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(host)
    whole = array.dtype.kind in "biu"
    kept = np.array_equal(cast.astype(array.dtype), array) if whole else host.kind == "f"
    return cast if kept else array


def _input(tensor: EdgeTensor, array: np.ndarray) -> np.ndarray:
    dtype = tensor.host
    if array.shape != tensor.shape:
        raise InputError(
            f"input '{tensor.name}': shape {list(tensor.shape)} wanted, got {list(array.shape)}"
        )
    if array.dtype != dtype:
        raise InputError(
            f"input '{tensor.name}': dtype {dtype} wanted, got {array.dtype}, of which not all "
            f"values are known to be kept: array.astype({dtype.name!r}) takes what becomes of them"
            if array.dtype.kind in "biuf" and dtype.kind in "biuf"
            else f"input '{tensor.name}': dtype {dtype} wanted, got {array.dtype}"
        )
    if tensor.high:
        return _words_of(array, 0).ravel()
    if tensor.dtype is DType.I32 and array.dtype.kind in "iu":
        _require_words(tensor, array)
    if tensor.dtype is DType.I32 and array.dtype.kind == "u":
        array = array.astype(np.uint32).view(np.int32)  # unsigned words keep their bits
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(array).astype(tensor.dtype.numpy).ravel()
    if dtype == np.float64 and (np.isinf(words) & np.isfinite(array.ravel())).any():
        raise InputError(f"input '{tensor.name}': a value beyond {tensor.dtype.value}'s range")
    return words


def _words_of(array: np.ndarray, shift: int) -> np.ndarray:
    """The low words of elements of 64 bits, or the high ones (a shift of 32)."""
    bits = np.asarray(array, order="C").view(np.uint64)
    return np.asarray(bits >> np.uint64(shift)).astype(np.uint32).view(np.int32)


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
            f"of the fabric; compiled with {option('wide', tensor.name)} it has two of them"
        )


def make_outputs(program: Program) -> dict[str, np.ndarray]:
    """Zeroed flat arrays of the fabric's types, for DRAIN transfers to fill."""
    return {
        tensor.name: np.zeros(math.prod(tensor.shape), tensor.dtype.numpy)
        for tensor in program.edge_tensors
        if tensor.kind in (Kind.OUTPUT, Kind.KEPT)
    }


def host_outputs(program: Program, flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs in the shapes and types that the host sees, cut where the program says so.

    Raises:
        OutputError: a length that the program computed is none of its output's, or an
            output holds a value that its host type does not have: the edge changes
            encodings and computes nothing.
    """
    return {
        tensor.name: _whole(tensor, flat[tensor.name], flat)
        for tensor in program.shown(Kind.OUTPUT)
    }


def _whole(tensor: EdgeTensor, array: np.ndarray, flat: Mapping[str, np.ndarray]) -> np.ndarray:
    """An output in its shape, with the high words of its elements if it has any."""
    if not tensor.high:
        return _output(tensor, _cut(tensor, array.reshape(tensor.shape), flat))
    high, low = (words.reshape(tensor.shape) for words in (flat[tensor.high], array))
    joined = np.asarray((high.astype(np.int64) << 32) | low.view(np.uint32))  # also of a scalar
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
