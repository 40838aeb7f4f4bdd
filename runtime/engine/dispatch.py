"""One compiled function over all value functions, generated from the instruction table.

``apply_float(opcode, a, b, c)`` and ``apply_int(opcode, a, b, c)`` are written out as
source from ``wsc.isa.table`` and ``wsc.isa.values``: no instruction is named here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numba
import numpy as np
from numba import njit, types

from wsc.isa.table import OPCODE, TABLE, Form, Operand
from wsc.isa.values import MOVES, PARTIAL, VALUES, Class, classes
from wsc.runtime.engine.pipeline import KernelCompiler

# Casts of the compiled code. They have no stubs: to a type checker they can be anything.
float32: Any = numba.float32
float64: Any = numba.float64
int32: Any = numba.int32
uint64: Any = numba.uint64
int64: Any = numba.int64

JIT: dict[str, Any] = {
    "nogil": True,
    "_nrt": False,
    "error_model": "numpy",
    "pipeline_class": KernelCompiler,
}
# What is never called from Python needs no wrappers, which cost as much as the function.
_INNER: dict[str, Any] = {**JIT, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _wide(kind: types.Type) -> types.Type:
    """Literals, enums and narrow integers are all int64 to a compiled function."""
    plain = types.unliteral(kind)
    if isinstance(plain, (types.Integer, types.IntEnumMember)):
        return types.int64
    return plain


def _single(dispatcher: Any) -> Any:
    """Compile one version for all integer types, not one for each literal argument."""
    inner = dispatcher.get_call_template

    def template(args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
        return inner(tuple(_wide(arg) for arg in args), kws)

    dispatcher.get_call_template = template
    return dispatcher


def jit(function: Callable[..., Any]) -> Any:
    """Compile a phase or a helper.

    Without the word on inlining Numba would take over that of the first caller.
    """
    return _single(njit(**_INNER, forceinline=False)(function))


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small helper into its callers."""
    return _single(njit(**_INNER, forceinline=True)(function))


def _source(kind: Class) -> tuple[str, dict[str, Any]]:
    carrier = "float64" if kind is Class.FLOAT else "int64"
    space: dict[str, Any] = {
        "float32": float32, "float64": float64, "int32": int32, "int64": int64,
    }  # fmt: skip
    lines = [f"def apply(opcode, a, b, c):\n    result = {carrier}(0)"]
    word = "if"
    for row in TABLE:
        if kind not in classes(row):
            continue
        opcode = OPCODE[row.name]
        space[f"value_{opcode}"] = inlined(VALUES[row.name, kind])
        roles = row.operands if row.accumulates else row.operands[1:]
        into = _carry(row.operands[0], kind)
        args = ", ".join(f"{_carry(r, kind)}({n})" for r, n in zip(roles, "abc", strict=False))
        lines.append(f"    {word} opcode == {opcode}:")
        lines.append(f"        result = {carrier}({into}(value_{opcode}({args})))")
        word = "elif"
    lines.append("    return result\n")
    return "\n".join(lines), space


def _carry(role: Operand, kind: Class) -> str:
    """Type in which the function takes or gives an operand of this role."""
    if kind is Class.INT:
        return "int64"
    return "int64" if role is Operand.FLAG else "float32"


def _generate(kind: Class) -> Callable[..., Any]:
    source, space = _source(kind)
    exec(compile(source, f"<apply {kind.value}>", "exec"), space)  # noqa: S102 - see module
    return jit(space["apply"])


def _domains() -> Callable[..., Any]:
    """``allowed(opcode, a, b)``: whether the operands of a row of ``PARTIAL`` have a value."""
    space: dict[str, Any] = {}
    lines = ["def allowed(opcode, a, b):", "    result = True"]
    holding = dict.fromkeys(domain.holds for domain in PARTIAL.values())
    for number, holds in enumerate(holding):
        space[f"holds_{number}"] = inlined(holds)
        opcodes = [OPCODE[name] for name, domain in PARTIAL.items() if domain.holds is holds]
        lines.append(f"    if {' or '.join(f'opcode == {opcode}' for opcode in opcodes)}:")
        lines.append(f"        result = holds_{number}(a, b)")
    lines.append("    return result\n")
    exec(compile("\n".join(lines), "<allowed>", "exec"), space)  # noqa: S102 - see module
    return jit(space["allowed"])


apply_float = _generate(Class.FLOAT)
apply_int = _generate(Class.INT)
allowed = _domains()

fmac_value = inlined(VALUES["fmac", Class.FLOAT])
add_value = inlined(VALUES["add", Class.FLOAT])


def _flags(names: Collection[str]) -> np.ndarray:
    return np.array([row.name in names for row in TABLE], dtype=np.uint8)


LIMITED = _flags(PARTIAL)
MOVING = _flags(MOVES)
ACCUMULATING = _flags(frozenset(row.name for row in TABLE if row.accumulates))
COMPUTES = _flags(frozenset(row.name for row in TABLE if row.form is Form.VECTOR))
