"""Sizes for symbolic dimensions (``--dim``) and values for inputs (``--bind``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from wsc.errors import CompileError, OpenSizes
from wsc.isa.asked import constant, dimension, option


def give_shapes(graph: ir.Graph, arrays: Mapping[str, np.ndarray], dims: Mapping[str, int]) -> None:
    """Give the inputs without a shape as many open dimensions as their array, or ``dims``, has.

    Raises CompileError for an input of which neither says anything.
    """
    for value in graph.inputs:
        name = str(value.name)
        if value.shape is not None:
            continue
        rank = 0
        while f"{name}.{rank}" in dims:
            rank += 1
        if name in arrays:
            rank = arrays[name].ndim
        elif not rank:
            raise CompileError(
                f"input {name!r} has no shape in the model: give {dimension(f'{name}.0')} and so "
                f"on, one for each dimension, or its values as {constant(name)}"
            )
        value.shape = ir.Shape([None] * rank)


def input_shape(value: ir.Value) -> ir.Shape:
    """The shape of a graph input, which ``give_shapes`` has seen to."""
    assert value.shape is not None
    return value.shape


def _symbolic(graph: ir.Graph) -> Iterator[tuple[ir.Value, int, str]]:
    """(input, axis, symbolic name or '') of every dimension without a size."""
    for value in graph.inputs:
        for axis, dim in enumerate(input_shape(value)):
            if not isinstance(dim, int):
                yield value, axis, dim.value or ""
            elif dim < 0:
                yield value, axis, ""


# Of a dimension's name that is read as an expression; brackets nest no deeper.
_LONGEST = 100


def _evaluate(name: str, sizes: Mapping[str, int]) -> tuple[frozenset[str], int | None]:
    """A dimension in terms of others, as exporters write ``past + 1``: its parts, and its size
    if they have one. A plain name has no parts.

    Powers are taken for names: a few characters of them make a number without an end.
    """
    if name.isidentifier() or "**" in name or len(name) > _LONGEST:
        return frozenset(), None
    dim = ir.SymbolicDim(name)
    try:
        parts = frozenset(dim.free_symbols() - {name})
        size = dim.evaluate(sizes) if parts and parts <= sizes.keys() else None
    except (ValueError, TypeError, ArithmeticError):
        return frozenset(), None
    return parts, size if isinstance(size, int) else None


def _derive(named: dict[str, int], symbols: set[str]) -> None:
    """Add the sizes of dimensions that are expressions in those that have one."""
    for name in sorted(symbols):
        _, size = _evaluate(name, named)
        if size is not None and size < 0:
            raise CompileError(f"dimension {name!r} becomes {size}; it is at least 0")
        if size is not None:
            _agree(named, name, size)


def _symbols(graph: ir.Graph) -> set[str]:
    """The names of dimensions without a size, and those in terms of which they are written."""
    names = {name for _, _, name in _symbolic(graph) if name}
    return names | {part for name in names for part in _evaluate(name, {})[0]}


def dims_taken(graph: ir.Graph, keys: Iterable[str]) -> list[str]:
    """Those of these names that ``bind_dims`` takes."""
    symbols = _symbols(graph)
    return [key for key in keys if key in symbols or _place(graph, key) is not None]


def bind_dims(graph: ir.Graph, dims: Mapping[str, int]) -> None:
    """Give sizes to the inputs' dimensions, by symbolic name or by ``INPUT.AXIS``.

    A name that is an expression (``past + 1``) takes its size from its parts. Raises
    CompileError for a name that the model does not have and for a size that is negative or
    contradicts the model. A size of 0 is that of an empty cache, say; since some exporters
    write it for one that they do not know, ``INPUT.AXIS`` may replace it.
    """
    named: dict[str, int] = {}
    placed: dict[tuple[str, int], int] = {}
    symbols = _symbols(graph)
    for key, size in dims.items():
        if size < 0:
            raise CompileError(f"{dimension(key, size)}: a dimension is at least 0")
        place = _place(graph, key)
        if key in symbols:
            named[key] = size
        elif place is not None:
            placed[place] = size
        else:
            known = ", ".join(sorted(symbols)) or "none"
            raise CompileError(
                f"{option('dim', key)}: the model has no such dimension (symbolic: {known}; or "
                "INPUT.AXIS)"
            )
    for value, axis, name in _symbolic(graph):
        if name and (str(value.name), axis) in placed:
            _agree(named, name, placed[str(value.name), axis])
    _derive(named, symbols)
    for value in graph.inputs:
        sizes = list(input_shape(value))
        for axis, dim in enumerate(sizes):
            size = placed.get((str(value.name), axis))
            if isinstance(dim, int) and dim > 0:
                if size not in (None, dim):
                    raise CompileError(
                        f"{dimension(f'{value.name}.{axis}', size)}: the model has {dim}"
                    )
                continue
            name = None if isinstance(dim, int) else dim.value
            if size is None and name is not None:
                size = named.get(name)
            sizes[axis] = dim if size is None else size
        value.shape = ir.Shape(sizes)


def _place(graph: ir.Graph, key: str) -> tuple[str, int] | None:
    """The input and axis that ``INPUT.AXIS`` names, if there are such."""
    name, _, axis = key.rpartition(".")
    for value in graph.inputs:
        if value.name == name and axis.isdecimal() and int(axis) < len(input_shape(value)):
            return name, int(axis)
    return None


def _agree(named: dict[str, int], name: str, size: int) -> None:
    if named.setdefault(name, size) != size:
        raise CompileError(f"dimension {name!r} is bound to both {named[name]} and {size}")


def require_static(graph: ir.Graph) -> None:
    """Raise OpenSizes naming every dimension that is still open and its flag."""
    missing: list[str] = []
    for value, axis, name in _symbolic(graph):
        flag = dimension(name or f"{value.name}.{axis}")
        called = f" ({name})" if name else ""
        missing.append(f"input {value.name!r} axis {axis}{called}: {flag}")
    if missing:
        raise OpenSizes("dimensions without a size: " + "; ".join(missing))


def bind_inputs(graph: ir.Graph, arrays: Mapping[str, np.ndarray], dims: Mapping[str, int]) -> None:
    """Turn inputs into constants with these values.

    An array also fixes the symbolic dimensions of its input, so that other inputs agree.
    Raises CompileError for a wrong name, dtype or shape.
    """
    inputs = {str(value.name): value for value in graph.inputs}
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        if name not in inputs:
            known = ", ".join(inputs)
            raise CompileError(
                f"{option('bind', name)}: the model has no such input (it has: {known})"
            )
        _check_array(inputs[name], array, {**sizes, **dims}, sizes)
    remaining = [value for value in graph.inputs if value.name not in arrays]
    graph.inputs.clear()
    graph.inputs.extend(remaining)
    for name, array in arrays.items():
        value = inputs[name]
        value.shape = ir.Shape(array.shape)
        value.const_value = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
        graph.register_initializer(value)
    symbols = {name for _, _, name in _symbolic(graph)}
    open_sizes = {name: size for name, size in sizes.items() if name in symbols}
    bind_dims(graph, {key: size for key, size in open_sizes.items() if key not in dims})


def _check_array(
    value: ir.Value, array: np.ndarray, known: Mapping[str, int], sizes: dict[str, int]
) -> None:
    try:
        wanted = None if value.dtype is None else value.dtype.numpy()
    except TypeError:
        raise CompileError(
            f"{option('bind', value.name)}: its element type is {value.dtype}"
        ) from None
    if wanted is not None and array.dtype != wanted:
        raise CompileError(f"{option('bind', value.name)}: wants dtype {wanted}, got {array.dtype}")
    shape = input_shape(value)
    fits = len(shape) == array.ndim
    for dim, size in zip(shape, array.shape, strict=False):
        if isinstance(dim, int):
            fits = fits and dim == size
        elif dim.value is not None:
            fits = fits and known.get(dim.value, sizes.get(dim.value, size)) == size
            sizes.setdefault(dim.value, size)
    if not fits:
        raise CompileError(
            f"{option('bind', value.name)}: wants shape {shape}, got {list(array.shape)}"
        )
