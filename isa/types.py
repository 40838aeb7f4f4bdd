"""Element types, router sides and the other small vocabularies that every layer shares."""

from __future__ import annotations

from enum import Enum

import ml_dtypes
import numpy as np

# With this import NumPy knows bfloat16, the formats of fp8 and fp4, and int4 by name.
HOST_BF16 = np.dtype(ml_dtypes.bfloat16)


def host_dtype(name: str) -> np.dtype | None:
    """The type of numbers that NumPy (with ``ml_dtypes``) calls so; None if there is none."""
    try:
        found = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):  # NumPy takes expressions, too
        return None
    number = found.kind in "biuf" or found.type.__module__ == ml_dtypes.__name__
    return found if number and found.name == name else None


# Types of the host whose elements may be two words: the low one, and the high one of its 64 bits.
OF_TWO_WORDS = ("int64", "uint64", "float64")


class DType(Enum):
    """Type of one element in SRAM or in a wavelet.

    A wavelet's 32-bit payload holds one element of any of these types; an f16
    element uses the low 16 bits. Booleans are i32 zeros and ones.
    """

    F32 = "f32"
    F16 = "f16"
    I32 = "i32"

    __hash__ = object.__hash__  # that of an Enum calls Python for each look-up

    @property
    def bytes(self) -> int:
        """Size of one element in SRAM, in bytes."""
        return 2 if self is DType.F16 else 4

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype with the same bits."""
        return np.dtype({"f32": np.float32, "f16": np.float16, "i32": np.int32}[self.value])

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point type."""
        return self is not DType.I32


class Side(Enum):
    """A router's five sides. North is towards smaller y, west towards smaller x."""

    NORTH = "N"
    EAST = "E"
    SOUTH = "S"
    WEST = "W"
    RAMP = "RAMP"

    __hash__ = object.__hash__  # as for ``DType``

    @property
    def index(self) -> int:
        """0..4 in the order N, E, S, W, RAMP."""
        return list(Side).index(self)

    @property
    def step(self) -> tuple[int, int]:
        """(dx, dy) from this tile to the neighbour on this side; (0, 0) for the ramp."""
        return {"N": (0, -1), "E": (1, 0), "S": (0, 1), "W": (-1, 0), "RAMP": (0, 0)}[self.value]

    @property
    def opposite(self) -> Side:
        """The side of the neighbour that faces this one; the ramp faces itself."""
        return {
            Side.NORTH: Side.SOUTH,
            Side.SOUTH: Side.NORTH,
            Side.EAST: Side.WEST,
            Side.WEST: Side.EAST,
            Side.RAMP: Side.RAMP,
        }[self]


class Control(Enum):
    """What a control wavelet asks of the routers that it meets.

    ``ADVANCE`` is absorbed by the first router whose route for the color is not in
    its last switch position; that router moves on one position. ``RESET`` follows
    the route to its end and sets every router that it leaves back to position 0.
    A control wavelet that reaches a core is dropped at the ramp, one that reaches
    the edge is dropped there.
    """

    NONE = "none"
    ADVANCE = "advance"
    RESET = "reset"
