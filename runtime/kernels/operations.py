"""One compiled loop for each instruction that computes, made from its value function.

An operation is a C function of the addresses of the result and of up to three operands, all
contiguous words, and their number. Each is a library of its own, compiled when a program first
needs it; kernels call it by address. For instructions that have no value for some integers, a
second function finds the first such operands.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from wsc.isa.table import TABLE, Instr, Operand
from wsc.isa.values import MOVES, PARTIAL, VALUES, Class, classes
from wsc.runtime.kernels.elements import OfElements, find_first, for_each
from wsc.runtime.kernels.library import Library
from wsc.runtime.kernels.translate import INT, REAL, TRUTH, Function


def operations(wanted: set[tuple[int, bool]]) -> np.ndarray:
    """Addresses [opcode, 0 for floats and 1 for integers]; zero for those not wanted.

    wanted: opcodes, each with whether it works on integers.
    """
    table = np.zeros((len(TABLE), 2), dtype=np.int64)
    for opcode, whole in sorted(wanted):
        kind = Class.INT if whole else Class.FLOAT
        if kind in classes(TABLE[opcode]):
            table[opcode, int(whole)] = _address(_operation(opcode, kind))
    return table


def domains(wanted: set[tuple[int, bool]]) -> np.ndarray:
    """Addresses [opcode] of functions that look at integers; zero where all have a value.

    Each gives the number of the first operands a and b outside the domain, or their count.
    """
    table = np.zeros(len(TABLE), dtype=np.int64)
    for opcode in sorted(opcode for opcode, whole in wanted if whole):
        if TABLE[opcode].name in PARTIAL:
            table[opcode] = _address(_domain(opcode))
    return table


@cache
def _operation(opcode: int, kind: Class) -> Library:
    row = TABLE[opcode]
    # The roles of what a value function takes.
    roles = row.operands if row.accumulates else row.operands[1:]
    takes = [_element(role, kind) for role in roles]
    value = OfElements(VALUES[row.name, kind], takes, _element(row.operands[0], kind))
    return _library(for_each(_label(row, kind.value), value, row.name not in MOVES))


@cache
def _domain(opcode: int) -> Library:
    holds = OfElements(PARTIAL[TABLE[opcode].name].holds, (INT, INT), TRUTH)
    return _library(find_first(_label(TABLE[opcode], "domain"), holds))


def _label(row: Instr, what: str) -> str:
    return f"{row.name.replace('.', '_')}_{what}"


def _library(function: Function) -> Library:
    library = Library(function.name, {}, vector=True)
    library.entries.append(function)
    return library


def _address(library: Library) -> int:
    # Whether code can be kept is said once, of the engine's library.
    library.prepare(lambda _unkept: None)
    (address,) = library.addresses().values()
    return address


def _element(role: Operand, kind: Class) -> object:
    """Type of the elements of an operand; those of f16 have been widened."""
    return INT if kind is Class.INT or role is Operand.FLAG else REAL
