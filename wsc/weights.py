"""Weights beside the program: one safetensors file, or references into the model's own data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from isa.program import EdgeTensor, Kind
from wsc.errors import CompileError
from wsc.files import appearing
from wsc.ir.graph import Constant


def write_weights(
    tensors: Iterable[EdgeTensor], constants: tuple[Constant, ...], program: Path
) -> tuple[EdgeTensor, ...]:
    """Write what the weights name beside ``program``; the edge tensors that refer to it.

    Data that already lie raw in the program's own folder are referred to where they are.

    Raises:
        CompileError: the file cannot be written.
    """
    table = {constant.name: constant for constant in constants}
    target = program.with_suffix(".safetensors")
    arrays: dict[str, np.ndarray] = {}
    result: list[EdgeTensor] = []
    for tensor in tensors:
        constant = table.get(tensor.key)
        if tensor.kind is not Kind.WEIGHT or constant is None:
            result.append(tensor)
            continue
        source = constant.source
        if source is not None and Path(source[0]).resolve().parent == program.parent.resolve():
            name = Path(source[0]).name
            result.append(replace(tensor, file=name, byte_offset=source[1]))
            continue
        array = constant.load()
        # An expanded or transposed constant is a view; the file takes the bytes as they lie.
        arrays[tensor.key] = np.ascontiguousarray(array).reshape(tensor.shape)
        result.append(replace(tensor, file=target.name))
    if arrays:
        _save(arrays, target)
    return tuple(result)


def _save(arrays: dict[str, np.ndarray], target: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        with appearing(target) as partial:
            save_file(arrays, partial)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CompileError(f"{target}: cannot be written ({reason})") from error
