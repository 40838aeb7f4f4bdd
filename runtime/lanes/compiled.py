"""What declares the kernels of this engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsc.runtime.kernels.library import Library
from wsc.runtime.kernels.library import Machine as _Machine
from wsc.runtime.lanes.records import TABLES

__all__ = ["LIBRARY", "Machine", "entry", "kernel"]

_ROOMS = Path(__file__).parents[1]
LIBRARY = Library("lanes", TABLES, _ROOMS / "lanes", _ROOMS / "time", _ROOMS / "clocked")
kernel, entry = LIBRARY.kernel, LIBRARY.entry


class Machine(_Machine):
    """The tables of a run; see ``records``."""

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__(TABLES, tables)
