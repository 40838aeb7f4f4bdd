"""The half of the fast engine that is in cores and in the dynamic network, as one function.

It shares next to nothing with the other half, the links and the edge, which asks for it
seldom; so the two are compiled at the same time, each by a process of its own.
"""

from __future__ import annotations

from numba import njit

from wsc.runtime.engine.dispatch import JIT
from wsc.runtime.engine.kernel_dynamic import dynamic_phase
from wsc.runtime.engine.kernel_rows import row_steps, take_values
from wsc.runtime.engine.kernel_unit import run_unit, visit_core
from wsc.runtime.engine.layout import State
from wsc.runtime.engine.pointer import Ask
from wsc.runtime.tables import Col


@njit(**JIT)
def serve_cores(s: State, what: int, a: int, b: int, c: int) -> int:
    """Do what one of ``Ask`` says, with its arguments; a row gives the bits of its last result."""
    if what == Ask.RUN_UNIT:
        run_unit(s, a, b, c)
    elif what == Ask.VISIT_CORE:
        visit_core(s, a, b)
    elif what == Ask.TAKE_VALUES:
        take_values(s, a, b, c)
    elif what == Ask.ROW_STEPS:
        return row_steps(s, a, b, c, s.rows[b, Col.LEVEL])
    else:
        dynamic_phase(s, a, b, c)
    return 0
