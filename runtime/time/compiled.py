"""What declares the kernels of the time engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsc.runtime.kernels.calls import look, operate
from wsc.runtime.kernels.library import Library
from wsc.runtime.kernels.library import Machine as _Machine
from wsc.runtime.time.records import TABLES

__all__ = ["LIBRARY", "Machine", "entry", "kernel", "look", "operate"]

LIBRARY = Library("time", TABLES, Path(__file__).parent, Path(__file__).parents[1] / "clocked")
kernel, entry = LIBRARY.kernel, LIBRARY.entry


class Machine(_Machine):
    """The tables of a run for time; see ``records``."""

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__(TABLES, tables)
