"""Static expressions: evaluated for all tiles of a region at once, and kept compactly."""

from __future__ import annotations

import numpy as np

from wsc.isa.expr import Expr, evaluate, show
from wsc.isa.limits import MOST_WORD, fits_word
from wsc.isa.program import Location, Program, Region
from wsc.runtime.errors import LoadError, place


class Pool:
    """Values of static expressions: a constant, one value a column, a row, or a tile."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.size = 0
        self.known: dict[tuple[object, ...], int] = {}

    def add(self, value: object) -> tuple[int, int, int]:
        """Keep a broadcastable (rows, columns) value; (base, x stride, y stride).

        Raises:
            OverflowError: it is no word, or all values together are too many to number.
        """
        array = np.asarray(value)
        for end in (array.min(), array.max()) if array.size else ():
            if not fits_word(int(end)):
                raise OverflowError(f"is {end}, and an operand holds 32 bits")
        if self.size + array.size > MOST_WORD:
            raise OverflowError("is one static value too many: their table has 2^31")
        flat = np.ascontiguousarray(array, dtype=np.int32).ravel()
        strides = (0, 0)
        if array.ndim == 2:
            rows, columns = array.shape
            strides = (1 if columns > 1 else 0, columns if rows > 1 else 0)
        key = (flat.tobytes(), strides)
        if key not in self.known:
            self.known[key] = self.size
            self.parts.append(flat)
            self.size += flat.size
        return self.known[key], strides[0], strides[1]

    def array(self) -> np.ndarray:
        """All values."""
        return np.concatenate([*self.parts, np.zeros(1, np.int32)])


def static_environment(program: Program, region: Region) -> dict[str, object]:
    """Values of every static name: integers, and broadcastable rows and columns for x and y."""
    env: dict[str, object] = dict(program.constants)
    env |= {tensor.name: tensor.address for tensor in program.tensors}
    env |= {"W": region.width, "H": region.height}
    env["x"] = np.arange(region.width, dtype=np.int64)[None, :]
    env["y"] = np.arange(region.height, dtype=np.int64)[:, None]
    return env


def static_value(node: Expr, env: dict[str, object], where: Location) -> object:
    """Evaluate a static expression for all tiles of a region at once.

    Raises:
        LoadError: a name that is not static here, a division by zero, or a step out of range.
    """
    try:
        return evaluate(node, env)
    except KeyError as error:
        raise LoadError(f"{place(where)}unknown name {error} in {show(node)}") from error
    except ArithmeticError as error:
        raise LoadError(f"{place(where)}{error}") from error
