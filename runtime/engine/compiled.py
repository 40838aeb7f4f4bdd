"""The engines' compiled loops: on disk, tied to their sources, compiled by one process alone."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from numba import types

import isa.rounding
import isa.table
import isa.types
import isa.values
import runtime.routes
import runtime.schedule
import runtime.tables
from runtime.engine import (
    bits,
    dispatch,
    kernel_ahead,
    kernel_arbitrate,
    kernel_bulk,
    kernel_common,
    kernel_core,
    kernel_dynamic,
    kernel_edge,
    kernel_flow,
    kernel_lookahead,
    kernel_main,
    kernel_races,
    kernel_router,
    kernel_rows,
    kernel_run,
    kernel_times,
    kernel_trace,
    kernel_tree,
    kernel_unit,
    kernel_vector,
    layout,
    lean,
    observed,
    pipeline,
    pointer,
    recall,
    simplify,
)
from runtime.engine.lean import finishing_only

# Everything that decides what a compiled loop does.
_SHARED: tuple[ModuleType, ...] = (
    *(bits, dispatch, layout, observed, pointer),
    *(lean, pipeline, recall, simplify),
    *(kernel_common, kernel_core, kernel_dynamic, kernel_edge, kernel_main, kernel_router),
    *(kernel_races, kernel_run, kernel_trace, kernel_vector),
    *(
        isa.rounding,
        isa.table,
        isa.types,
        isa.values,
        runtime.tables,
        runtime.routes,
        runtime.schedule,
    ),
)
_AHEAD: tuple[ModuleType, ...] = (
    *(
        kernel_ahead,
        kernel_arbitrate,
        kernel_bulk,
        kernel_flow,
        kernel_lookahead,
        kernel_rows,
        kernel_times,
        kernel_tree,
        kernel_unit,
    ),
)


class Loop:
    """One compiled function of (pointer to a state, work), called with a ``Pointer``."""

    signature = (pointer.STATE, types.int64)

    def __init__(self, function: Any, sources: tuple[ModuleType, ...]) -> None:
        self.function, self.sources = function, sources
        self._stamp_cache()

    def _stamp_cache(self) -> None:
        """Tie the compiled loop on disk to every source that it was made from.

        Numba looks only at the file of the function itself, and would go on using stale
        code after a change to a value function or to another phase.
        """
        digest = hashlib.sha256()
        for module in self.sources:
            digest.update(Path(inspect.getfile(module)).read_bytes())
        self.function._cache._cache_file._source_stamp = (digest.hexdigest(), 0)

    def prepare(self, compiling: Callable[[], None] | None = None) -> Any:
        """The loop from disk, or compiled, which takes a while.

        Of several processes one compiles and the others wait for it; ``compiling`` is called
        before that.
        """
        function = self.function
        if function.signatures:
            return function
        if self._is_on_disk():
            function.compile(self.signature)
            return function
        if compiling is not None:
            compiling()
        lock = Path(function._cache.cache_path) / f"{function.__name__}.lock"
        with _alone(lock), finishing_only(function):
            function.compile(self.signature)  # looks on the disk once more
        return function

    def _is_on_disk(self) -> bool:
        cache = self.function._cache
        key = cache._index_key(self.signature, self.function.targetctx.codegen())
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


REFERENCE = Loop(kernel_run.run_until, _SHARED)
FAST = Loop(kernel_ahead.run_ahead, _SHARED + _AHEAD)
