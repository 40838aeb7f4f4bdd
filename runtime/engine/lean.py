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

from llvmlite.binding import Linkage, create_new_module_pass_manager
from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock

from wsc.isa.collection import without_collection
from wsc.runtime.engine.lowering import calls_that_return
from wsc.runtime.engine.recall import remembering
from wsc.runtime.engine.replacing import replacing
from wsc.runtime.engine.sparing import sparing


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


def _add(library: Any, module: Any) -> None:
    """Take in code as it is: not optimised alone, and not copied into an empty module."""
    module.data_layout = library._codegen._data_layout
    before = library._final_module
    if any(True for _ in before.functions):
        before.link_in(module)
    else:
        module.name = before.name
        library._final_module = module


def _leave(library: Any) -> None:
    """Leave a function inside to those that link it: not optimised, emitted or copied."""
    library._finalize_dynamic_globals()
    library._finalized = True
    for function in library.get_defined_functions():
        if function.linkage == Linkage.external:
            function.linkage = Linkage.linkonce_odr
    library._shared_module = library._final_module


def _optimize(library: Any) -> None:
    """Optimise the whole, all functions linked.

    A few cheap passes come first, over functions that nothing has been inlined into yet. The
    inlining that Numba does before all others, for the sake of counts of references, is left
    out: there are none.
    """
    module, builder = library._final_module, library._codegen._pass_builder()
    passes = create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    builder.getModulePassManager().run(module, builder)
    for inside in module.functions:  # the same name may be another function in another loop
        if inside.linkage == Linkage.linkonce_odr and not inside.is_declaration:
            inside.linkage = Linkage.internal


@contextmanager
def finishing_only(function: Any) -> Generator[None]:
    """While the block lasts, only this jitted function is optimised and emitted.

    No other thread compiles meanwhile.
    """
    name = function.py_func.__qualname__
    finalize, set_env = CPUCodeLibrary.finalize, JITCPUCodegen.set_env

    def lean_finalize(library: Any) -> None:
        if library.name != name:
            _leave(library)
            return
        library._linking_libraries = dict.fromkeys(_closure(library))
        finalize(library)

    def lean_set_env(codegen: Any, env_name: str, env: Any) -> None:
        # Functions inside have no environment: they neither raise nor call Python.
        if codegen._engine.is_symbol_defined(env_name):
            set_env(codegen, env_name, env)

    with global_compiler_lock:
        function.targetctx.refresh()  # what Numba compiles of its own when it starts
        with (
            without_collection(),
            remembering(),
            sparing(),
            calls_that_return(),
            replacing(
                (CPUCodeLibrary, "finalize", lean_finalize),
                (CPUCodeLibrary, "add_llvm_module", _add),
                (CPUCodeLibrary, "_optimize_final_module", _optimize),
                (JITCPUCodegen, "set_env", lean_set_env),
            ),
        ):
            yield
