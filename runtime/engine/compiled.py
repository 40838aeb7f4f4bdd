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
    kernel_cores,
    kernel_deliver,
    kernel_dynamic,
    kernel_edge,
    kernel_flow,
    kernel_lookahead,
    kernel_main,
    kernel_multiply,
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
    lowering,
    observed,
    pipeline,
    pointer,
    recall,
    replacing,
    simplify,
    sparing,
)
from runtime.engine.beside import beside
from runtime.engine.lean import finishing_only

# Everything that decides what a compiled loop does.
_SHARED: tuple[ModuleType, ...] = (
    *(bits, dispatch, layout, observed, pointer),
    *(lean, lowering, pipeline, recall, replacing, simplify, sparing),
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
        kernel_cores,
        kernel_deliver,
        kernel_flow,
        kernel_lookahead,
        kernel_multiply,
        kernel_rows,
        kernel_times,
        kernel_tree,
        kernel_unit,
    ),
)


class Loop:
    """One compiled function of (pointer to a state, ...), called with a ``Pointer``.

    part: another that it calls, compiled apart and at the same time.
    """

    def __init__(
        self,
        function: Any,
        sources: tuple[ModuleType, ...],
        signature: tuple[types.Type, ...] = (pointer.STATE, types.int64),
        part: Loop | None = None,
    ) -> None:
        self.function, self.sources, self.signature = function, sources, signature
        self.part = part
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
        loops = [self] if self.part is None else [self, self.part]
        if not all(loop.function.signatures or loop._is_on_disk() for loop in loops):
            if compiling is not None:
                compiling()
            lock = Path(self.function._cache.cache_path) / f"{self.function.__name__}.lock"
            with _alone(lock), ExitStack() as stack:
                for loop in loops[1:]:
                    if not loop._is_on_disk():
                        loop.function.targetctx.refresh()  # much to import, for both
                        stack.enter_context(beside(loop._compile))
                self._compile()
        for loop in loops:
            if not loop.function.signatures:
                loop._compile()
        return self.function

    def _compile(self) -> None:
        with finishing_only(self.function):
            self.function.compile(self.signature)  # looks on the disk first

    def _is_on_disk(self) -> bool:
        cache = self.function._cache
        key = cache._index_key(self.signature, self.function.targetctx.codegen())
        return cache._cache_file.load(key) is not None

    def address(self) -> int:
        """Where other compiled code finds the function; it has been prepared."""
        made = self.function.overloads[self.signature]
        return made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name)


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


_ALL = _SHARED + _AHEAD
REFERENCE = Loop(kernel_run.run_until, _SHARED)
CORES = Loop(kernel_cores.serve_cores, _ALL, (pointer.STATE, *[types.int64] * 4))
FAST = Loop(kernel_ahead.run_ahead, _ALL, part=CORES)
