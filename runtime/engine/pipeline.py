"""How Numba compiles the kernels: its passes, without those that kernels have no use for.

A kernel has no generators, closures, ``with`` blocks, array expressions or literal types,
and nothing of it has a count of references; the passes for those, and the analyses that
Numba repeats after each, take as long as the others.
"""

from __future__ import annotations

from typing import Any, Literal

from numba.core import typed_passes, untyped_passes
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.ir_utils import build_definitions
from numba.core.ssa import reconstruct_ssa
from numba.core.transforms import canonicalize_cfg

from wsc.runtime.engine.simplify import simplify, spread_pairs


@register_pass(mutates_CFG=False, analysis_only=False)
class Simplify(FunctionPass):
    """See ``simplify``."""

    _name = "wsc_simplify"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> Any:
        """Rewrite the function."""
        simplify(state.func_ir)
        return True


@register_pass(mutates_CFG=False, analysis_only=False)
class SingleAssignment(untyped_passes.ReconstructSSA):
    """Numba's ``ReconstructSSA`` without an analysis of lifetimes, which nobody reads."""

    _name = "wsc_single_assignment"

    def run_pass(self, state: Any) -> Any:
        """Rewrite the function."""
        state.func_ir.blocks = canonicalize_cfg(state.func_ir.blocks)
        state.func_ir = reconstruct_ssa(state.func_ir)
        spread_pairs(state.func_ir.blocks)
        state.func_ir.generator_info = None
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class StripPhis(typed_passes.PreLowerStripPhis):
    """Numba's ``PreLowerStripPhis`` without that analysis."""

    _name = "wsc_strip_phis"

    def run_pass(self, state: Any) -> Literal[True]:
        """Rewrite the function."""
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        return True


class _Passes(PassManager):
    # Numba would analyse the function anew after each pass.
    _ENFORCING = False


class KernelCompiler(CompilerBase):
    """Compiles a kernel."""

    def define_pipelines(self) -> list[PassManager]:
        """The passes in their order."""
        passes = _Passes("kernel")
        for kind in (
            untyped_passes.TranslateByteCode,
            Simplify,
            untyped_passes.FixupArgs,
            SingleAssignment,
            typed_passes.NopythonTypeInference,
            StripPhis,
            typed_passes.AnnotateTypes,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(kind, kind.__name__)
        passes.finalize()
        return [passes]
