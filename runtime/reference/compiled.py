"""What declares the kernels of the reference engine, and what they call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsc.runtime.kernels.calls import (
    NAN,
    bits_of,
    float_of,
    halves_at,
    integers_at,
    longs_at,
    look,
    operate,
)
from wsc.runtime.kernels.elements import of_reals
from wsc.runtime.kernels.library import Library
from wsc.runtime.kernels.library import Machine as _Machine
from wsc.runtime.reference.records import TABLES

__all__ = [
    "LIBRARY",
    "NAN",
    "Machine",
    "bits_of",
    "entry",
    "float_of",
    "halves_at",
    "integers_at",
    "kernel",
    "longs_at",
    "look",
    "of_reals",
    "operate",
]

LIBRARY = Library("reference", TABLES, Path(__file__).parent, Path(__file__).parents[1] / "clocked")
kernel, entry = LIBRARY.kernel, LIBRARY.entry


class Machine(_Machine):
    """The tables of a run; see ``records``."""

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__(TABLES, tables)
