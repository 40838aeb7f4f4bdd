"""One compiled loop for each instruction that computes, made from its value function.

An operation is a C function of five integers: addresses of the result and of up to three
operands, all contiguous words, and their number. Only those that a program uses are compiled;
the engine calls them by address, so no compiled function contains them all. For instructions
that have no value for some integers, a second function finds the first such operands.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import cfunc, njit, types

import wsc.isa.values
from wsc.isa.table import TABLE, Instr, Operand
from wsc.isa.values import MOVES, PARTIAL, VALUES, Class, classes
from wsc.runtime.values.compiled import DIGEST, NAN, PLAIN, floats_at, integers_at

_SIGNATURE = types.void(*[types.int64] * 5)
_LOOK = types.int64(*[types.int64] * 5)  # called in the same way
_CLASSES = (Class.FLOAT, Class.INT)
_made: dict[tuple[int, Class], Any] = {}
_looking: dict[int, Any] = {}


def operations(wanted: set[tuple[int, bool]]) -> np.ndarray:
    """Addresses [opcode, 0 for floats and 1 for integers]; zero for those not wanted.

    wanted: opcodes, each with whether it works on integers.
    """
    table = np.zeros((len(TABLE), 2), dtype=np.int64)
    for opcode, whole in sorted(wanted):
        kind = Class.INT if whole else Class.FLOAT
        if kind in classes(TABLE[opcode]):
            table[opcode, int(whole)] = _operation(opcode, kind).address
    return table


def domains(wanted: set[tuple[int, bool]]) -> np.ndarray:
    """Addresses [opcode] of functions that look at integers; zero where all have a value.

    Each gives the number of the first operands a and b outside the domain, or their count.
    """
    table = np.zeros(len(TABLE), dtype=np.int64)
    for opcode in sorted(opcode for opcode, whole in wanted if whole):
        if TABLE[opcode].name in PARTIAL:
            if opcode not in _looking:
                _looking[opcode] = _compile_look(TABLE[opcode])
            table[opcode] = _looking[opcode].address
    return table


def _compile_look(row: Instr) -> Any:
    name = f"look_{row.name.replace('.', '_')}_{DIGEST}"
    space: dict[str, Any] = {
        "__name__": __name__, "holds": njit(**PLAIN)(PARTIAL[row.name].holds),
        "int64": numba.int64, "int32_at": integers_at,
    }  # fmt: skip
    source = f"""def {name}(target, a, b, c, count):
    a_, b_ = int32_at(a), int32_at(b)
    for i in range(count):
        if not holds(int64(a_[i]), int64(b_[i])):
            return i
    return count
"""
    exec(compile(source, wsc.isa.values.__file__, "exec"), space)  # noqa: S102
    return cfunc(_LOOK, cache=True, **PLAIN)(space[name])


def _operation(opcode: int, kind: Class) -> Any:
    if (opcode, kind) not in _made:
        _made[opcode, kind] = _compile(TABLE[opcode], kind)
    return _made[opcode, kind]


def _compile(row: Instr, kind: Class) -> Any:
    name = f"{row.name.replace('.', '_')}_{kind.value}_{DIGEST}"
    space: dict[str, Any] = {
        "__name__": __name__,
        "value": njit(**PLAIN)(VALUES[row.name, kind]),
        "float32": numba.float32, "int32": numba.int32, "int64": numba.int64,
        "float32_at": floats_at, "int32_at": integers_at, "NAN": NAN,
    }  # fmt: skip
    # The file is one that exists: Numba keeps what it compiles beside it.
    exec(compile(_source(row, kind, name), wsc.isa.values.__file__, "exec"), space)  # noqa: S102
    return cfunc(_SIGNATURE, cache=True, **PLAIN)(space[name])


def _source(row: Instr, kind: Class, name: str) -> str:
    """The loop over the elements, as text."""
    roles = row.operands if row.accumulates else row.operands[1:]
    stored = _stored(row.operands[0], kind)
    lines = [f"def {name}(target, a, b, c, count):"]
    lines.append(f"    result = {stored}_at(target)")
    given: list[str] = []
    for role, operand in zip(roles, "abc", strict=False):
        held = _stored(role, kind)
        lines.append(f"    {operand}_ = {held}_at({operand})")
        given.append(f"{'float32' if held == 'float32' else 'int64'}({operand}_[i])")
    lines.append("    for i in range(count):")
    lines.append(f"        found = {stored}(value({', '.join(given)}))")
    if stored == "float32" and row.name not in MOVES:
        lines.append("        found = found if found == found else NAN")
    lines.append("        result[i] = found")
    return "\n".join(lines) + "\n"


def _stored(role: Operand, kind: Class) -> str:
    """Type of the words of an operand; f16 has been widened."""
    return "int32" if kind is Class.INT or role is Operand.FLAG else "float32"
