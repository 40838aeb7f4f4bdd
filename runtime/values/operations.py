"""One compiled loop for each instruction that computes, made from its value function.

An operation is a C function of the addresses of the result and of up to three operands, all
contiguous words, and their number. Only those that a program uses are compiled, by Numba, as the
value functions call the mathematics of Python; kernels call them by address. For instructions
that have no value for some integers, a second function finds the first such operands.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import cfunc, njit, types

import wsc.isa.values
from wsc.isa.table import TABLE, Instr, Operand
from wsc.isa.values import MOVES, PARTIAL, VALUES, Class, classes
from wsc.runtime.values.compiled import NAN

# Nothing allocates (``_nrt``), and divisions by zero do not raise.
_PLAIN: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_REALS, _INTEGERS = types.CPointer(types.float32), types.CPointer(types.int32)
_made: dict[tuple[int, Class], Any] = {}
_looking: dict[int, Any] = {}


def _digest() -> str:
    """Over all that decides what an operation does.

    Numba keeps a function on disk until its own file changes, and value functions have other
    files. So names end with this digest.
    """
    contract = Path(wsc.isa.values.__file__).parent
    files = [contract / name for name in ("values.py", "limits.py", "rounding.py", "table.py")]
    total = hashlib.sha256(numba.__version__.encode())
    for file in (*files, Path(__file__)):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


_DIGEST = _digest()


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
    name = f"look_{row.name.replace('.', '_')}_{_DIGEST}"
    space: dict[str, Any] = {
        "__name__": __name__,
        "holds": njit(**_PLAIN)(PARTIAL[row.name].holds),
        "int64": numba.int64,
    }
    source = f"""def {name}(target, a, b, c, count):
    for i in range(count):
        if not holds(int64(a[i]), int64(b[i])):
            return i
    return count
"""
    # The file is one that exists: Numba keeps what it compiles beside it.
    exec(compile(source, wsc.isa.values.__file__, "exec"), space)  # noqa: S102
    signature = types.int64(*[_INTEGERS] * 4, types.int64)
    return cfunc(signature, cache=True, **_PLAIN)(space[name])


def _operation(opcode: int, kind: Class) -> Any:
    if (opcode, kind) not in _made:
        _made[opcode, kind] = _compile(TABLE[opcode], kind)
    return _made[opcode, kind]


def _compile(row: Instr, kind: Class) -> Any:
    name = f"{row.name.replace('.', '_')}_{kind.value}_{_DIGEST}"
    space: dict[str, Any] = {
        "__name__": __name__,
        "value": njit(**_PLAIN)(VALUES[row.name, kind]),
        "float32": numba.float32,
        "int32": numba.int32,
        "int64": numba.int64,
        "NAN": NAN,
    }
    exec(compile(_source(row, kind, name), wsc.isa.values.__file__, "exec"), space)  # noqa: S102
    roles = [*_roles(row), *row.operands[:1] * 3][:3]
    pointers = [_pointer(role, kind) for role in (row.operands[0], *roles)]
    return cfunc(types.void(*pointers, types.int64), cache=True, **_PLAIN)(space[name])


def _roles(row: Instr) -> tuple[Operand, ...]:
    """What a value function takes."""
    return row.operands if row.accumulates else row.operands[1:]


def _source(row: Instr, kind: Class, name: str) -> str:
    """The loop over the elements, as text."""
    stored = _stored(row.operands[0], kind)
    lines = [f"def {name}(target, a, b, c, count):"]
    given = [
        f"{'float32' if _stored(role, kind) == 'float32' else 'int64'}({operand}[i])"
        for role, operand in zip(_roles(row), "abc", strict=False)
    ]
    lines.append("    for i in range(count):")
    lines.append(f"        found = {stored}(value({', '.join(given)}))")
    if stored == "float32" and row.name not in MOVES:
        lines.append("        found = found if found == found else NAN")
    lines.append("        target[i] = found")
    return "\n".join(lines) + "\n"


def _pointer(role: Operand, kind: Class) -> Any:
    return _INTEGERS if _stored(role, kind) == "int32" else _REALS


def _stored(role: Operand, kind: Class) -> str:
    """Type of the words of an operand; f16 has been widened."""
    return "int32" if kind is Class.INT or role is Operand.FLAG else "float32"
