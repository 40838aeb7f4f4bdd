"""Compiling a call graph of many small functions as one.

Numba finishes every function of a call graph as if it were called from Python: it links the
code of all its callees into it, optimises the whole, and emits machine code, so that what
stands low in the graph is optimised again for each caller above it. Here only the function
at the top is finished; the others are linked into it once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen


def _closure(library: Any) -> list[Any]:
    """All libraries that a library calls into, each once."""
    found: dict[int, Any] = {}
    waiting = list(library._linking_libraries)
    while waiting:
        other = waiting.pop()
        if id(other) not in found:
            found[id(other)] = other
            waiting += other._linking_libraries
    return list(found.values())


@contextmanager
def finishing_only(function: Any) -> Generator[None]:
    """While the block lasts, only this jitted function is optimised and emitted."""
    name = function.py_func.__qualname__
    finalize, set_env = CPUCodeLibrary.finalize, JITCPUCodegen.set_env

    def lean_finalize(library: Any) -> None:
        if library.name != name:
            library._finalize_dynamic_globals()
            library._finalized = True
            return
        library._linking_libraries = dict.fromkeys(_closure(library))
        finalize(library)

    def lean_set_env(codegen: Any, env_name: str, env: Any) -> None:
        # Functions inside have no environment: they neither raise nor call Python.
        if codegen._engine.is_symbol_defined(env_name):
            set_env(codegen, env_name, env)

    with (
        mock.patch.object(CPUCodeLibrary, "finalize", lean_finalize),
        mock.patch.object(JITCPUCodegen, "set_env", lean_set_env),
    ):
        yield
