"""Sweeps: a model or program at every combination of machines, precisions and engines."""

from wsc.sweeps.run import sweep
from wsc.sweeps.table import Sweep

__all__ = ["Sweep", "sweep"]
