"""The engines' compiled loops: on disk, tied to their sources, compiled by one process alone."""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import numba
from numba import types

import wsc.isa.drawing
import wsc.isa.rounding
import wsc.isa.storage
import wsc.isa.table
import wsc.isa.types
import wsc.isa.values
import wsc.runtime.routes
import wsc.runtime.schedule
import wsc.runtime.tables
from wsc.runtime.engine import (
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
from wsc.runtime.engine.beside import beside
from wsc.runtime.engine.keep import Keep, find_folder, processor
from wsc.runtime.engine.lean import finishing_only

# Everything that decides what a compiled loop does.
_SHARED: tuple[ModuleType, ...] = (
    *(bits, dispatch, layout, observed, pointer),
    *(lean, lowering, pipeline, recall, replacing, simplify, sparing),
    *(kernel_common, kernel_core, kernel_dynamic, kernel_edge, kernel_main, kernel_router),
    *(kernel_races, kernel_run, kernel_trace, kernel_vector),
    *(
        wsc.isa.drawing,
        wsc.isa.rounding,
        wsc.isa.storage,
        wsc.isa.table,
        wsc.isa.types,
        wsc.isa.values,
        wsc.runtime.tables,
        wsc.runtime.routes,
        wsc.runtime.schedule,
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


# Why the code cannot be kept for later processes; empty if it can be.
Compiling = Callable[[str], None]

# One thread prepares a loop at a time: Numba's own lock does not cover all that compiling changes.
_PREPARING = threading.RLock()


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
        self.name = function.__name__
        self.part = part
        self._prepared = False

    def prepare(self, compiling: Compiling | None = None) -> Any:
        """The loop from disk, or compiled, which takes a while. Any thread may call it.

        compiling: called before the loop is compiled, and once more if the disk then does not
            take it; without it that becomes a ``RuntimeWarning``.

        Of several processes one compiles and the others wait for it. Where nothing can be
        written, every process compiles for itself.
        """
        if not self._prepared:
            with _PREPARING:
                self._prepare(compiling)
        return self.function

    def _prepare(self, compiling: Compiling | None) -> None:
        loops = [loop for loop in (self, self.part) if loop is not None and not loop._prepared]
        folder, unkept = find_folder()
        kept = {} if folder is None else {loop: loop._keep(folder) for loop in loops}
        whole = bool(kept) and all(keep.is_whole() for keep in kept.values())
        if unkept:
            _tell(compiling, unkept)
        elif not whole and compiling is not None:
            compiling("")
        with ExitStack() as stack:
            if not whole and folder is not None:
                stack.enter_context(_alone(folder / f"wsc-{self.name}.lock"))
                for loop in loops[1:]:
                    if not kept[loop].is_whole():
                        self.function.targetctx.refresh()  # much to import, for both
                        stack.enter_context(beside(partial(loop._make, kept[loop])))
            failures = [self._make(kept.get(self))]
        # The other process has ended: what it left is loaded, and compiled here otherwise.
        failures += [loop._make(kept.get(loop)) for loop in loops[1:]]
        for loop in loops:
            loop._prepared = True
        for failure in filter(None, failures):
            _tell(compiling, failure)

    def _make(self, keep: Keep | None) -> str:
        """Load the function or compile and keep it; why it could not be kept, or nothing."""
        if self.function.signatures:
            return ""
        with finishing_only(self.function):
            if keep is None:
                self.function.compile(self.signature)
                return ""
            return keep.compile(self.function, self.signature)

    def _keep(self, folder: Path) -> Keep:
        """Where the code is kept: it is good for the same sources, Numba and processor alone."""
        digest = hashlib.sha256()
        for module in self.sources:
            digest.update(Path(inspect.getfile(module)).read_bytes())
        for part in (numba.__version__, llvmlite.__version__, *processor()):
            digest.update(part.encode())
        python = f"py{sys.version_info.major}{sys.version_info.minor}"
        return Keep(folder / f"wsc-{self.name}-{python}", digest.hexdigest())

    def address(self) -> int:
        """Where other compiled code finds the function; it has been prepared."""
        made = self.function.overloads[self.signature]
        return made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name)


def _tell(compiling: Compiling | None, unkept: str) -> None:
    if compiling is not None:
        compiling(unkept)
    else:
        message = f"the engine is compiled for this process alone: {unkept}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


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
