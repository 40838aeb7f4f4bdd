"""How many lanes a value of lanes has, and how it lies in memory; see ``lanes``."""

from __future__ import annotations

from typing import Any

import numpy as np

WORD = 64  # lanes of a word
WORDS = 8  # of a value
FIELD: Any = (np.uint64, (WORDS,))  # type of a field of a record, and its shape
