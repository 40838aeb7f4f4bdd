"""What declares kernels that the libraries of both engines with a clock translate.

Such a kernel sees the tables and fields that both engines have, and calls others of its kind.
"""

from __future__ import annotations

from wsc.runtime.kernels.library import Machine, shared

__all__ = ["Machine", "kernel"]

kernel = shared
