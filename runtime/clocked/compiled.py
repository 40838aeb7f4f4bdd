"""What declares kernels that the libraries of both engines with a clock translate.

Such a kernel sees the tables and fields that both engines have, and calls others of its kind. What
the two do differently is declared (``wsc.runtime.clocked.own``), and each defines it for itself.
"""

from __future__ import annotations

from wsc.runtime.kernels.library import Machine, declared, shared

__all__ = ["Machine", "declared", "kernel"]

kernel = shared
