"""Python's garbage collection, for what makes many objects and drops few."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Generator[None]:
    """Let no garbage be looked for while the block lasts, or the function that is marked with it.

    A parser or compiler keeps nearly all that it makes, and looking through it costs up to a third
    of its time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
