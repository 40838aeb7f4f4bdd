"""The compiled loop: on disk, tied to its sources, and compiled by one process alone."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from numba import types

import isa.table
import isa.types
import isa.values
import runtime.routes
import runtime.schedule
import runtime.tables
from runtime.engine import (
    bits,
    dispatch,
    kernel_common,
    kernel_core,
    kernel_dynamic,
    kernel_edge,
    kernel_main,
    kernel_router,
    kernel_run,
    kernel_vector,
    layout,
    pointer,
)

# Everything that decides what the compiled loop does.
_SOURCES: tuple[ModuleType, ...] = (
    *(bits, dispatch, layout, pointer),
    *(kernel_common, kernel_core, kernel_dynamic, kernel_edge, kernel_main, kernel_router),
    *(kernel_run, kernel_vector),
    *(isa.table, isa.types, isa.values, runtime.tables, runtime.routes, runtime.schedule),
)
_SIGNATURE = (pointer.STATE, types.int64)


def _stamp_cache(function: Any) -> None:
    """Tie the compiled loop on disk to every source that it was made from.

    Numba looks only at the file of the function itself, and would go on using stale
    code after a change to a value function or to another phase.
    """
    digest = hashlib.sha256()
    for module in _SOURCES:
        digest.update(Path(inspect.getfile(module)).read_bytes())
    file = function._cache._cache_file
    file._source_stamp = (digest.hexdigest(), 0)


run_until: Any = kernel_run.run_until  # compiled, it takes the pointer to a state
_stamp_cache(run_until)


def prepare(compiling: Callable[[], None] | None = None) -> None:
    """Load the loop from disk, or compile it, which takes about a minute.

    Of several processes one compiles and the others wait for it; ``compiling`` is called
    before that.
    """
    if run_until.signatures:
        return
    if _is_on_disk():
        run_until.compile(_SIGNATURE)
        return
    if compiling is not None:
        compiling()
    with _alone(Path(run_until._cache.cache_path) / "kernel_run.lock"):
        run_until.compile(_SIGNATURE)  # looks on the disk once more


def _is_on_disk() -> bool:
    cache = run_until._cache
    key = cache._index_key(_SIGNATURE, run_until.targetctx.codegen())
    return cache._cache_file.load(key) is not None


@contextmanager
def _alone(lock: Path) -> Generator[None]:
    """Keep other processes out as long as the block lasts; the system frees the lock of the dead.

    Where there are no locks, each process works for itself.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        yield
