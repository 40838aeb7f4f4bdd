"""Value functions as LLVM code: types of their own, the mathematics of Python, and refusals."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsc.runtime.kernels.elements import OfElements, find_first, for_each
from wsc.runtime.kernels.library import Library, attach
from wsc.runtime.kernels.translate import INT, REAL, TRUTH, Function

floats = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)


def remainder(a: Any, b: Any) -> Any:
    return a % b


def widened(a: Any, b: Any) -> Any:
    """A product of f32 is rounded; one with a double is not, before the sum."""
    return a * b if a == b else a * 1.0 * b + 1


def mixed(a: Any, b: Any) -> Any:
    return 1 if a > b else (-b if a < b else math.floor(a) * 0.5)


def below(a: Any, b: Any) -> Any:
    return a < b


def unknown(a: Any, b: Any) -> Any:
    return math.gamma(a) + b


def scaled(factor: float) -> Any:
    """A value function that has a number from outside."""

    def scale(a: Any) -> Any:
        return math.ldexp(a * factor, 1) + math.frexp(a)[1]

    return scale


def compiled(function: Function, count: int) -> Any:
    """A function of so many arrays: what the compiled loop writes, or what it gives."""
    made = Library("elements", {}, Path(__file__).parent, vector=True)
    made.entries.append(function)
    (address,) = attach(made.build(), [function]).values()
    gives = ctypes.c_int64 if function.gives == INT else None
    call = ctypes.CFUNCTYPE(gives, *[ctypes.c_int64] * 5)(address)

    def run(*operands: np.ndarray) -> Any:
        assert len(operands) == count
        target = np.zeros(len(operands[0]), np.float32)
        places = [array.ctypes.data for array in (target, *operands, *[target] * (3 - count))]
        found = call(*places, len(target))
        return target if gives is None else found

    return run


def of_floats(function: Any, count: int) -> Any:
    value = OfElements(function, [REAL] * count, REAL)
    return compiled(for_each(f"each_{function.__name__}", value, one_nan=True), count)


FUNCTIONS = {function.__name__: of_floats(function, 2) for function in (remainder, widened, mixed)}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(a=floats, b=floats)
def test_as_python_with_doubles(name: str, a: float, b: float) -> None:
    """Python has doubles alone: where two f32 make an f32, it is rounded here."""
    pairs = [(a, b), (a, a), (b, 0.5), (2.0, b), (a, -3.0)]
    pairs = [(x, y) for x, y in pairs if y != 0]
    one, two = np.array(pairs, np.float32).T.copy()
    with np.errstate(all="ignore"):
        wanted = [np.float32(globals()[name](float(x), float(y))) for x, y in pairs]
        if name == "remainder":
            wanted = list(np.mod(one, two))
        found = FUNCTIONS[name](one, two)
    assert np.array_equal(found, wanted), (pairs, found, wanted)
    assert np.array_equal(np.signbit(found), np.signbit(wanted)), (pairs, found, wanted)


def test_numbers_of_the_function_around_are_known() -> None:
    numbers = np.array([1.0, 3.5, -0.25, 1000.0], np.float32)
    wanted = [scaled(0.75)(float(number)) for number in numbers]
    assert of_floats(scaled(0.75), 1)(numbers).tolist() == wanted


def test_the_first_outside_is_found() -> None:
    find = compiled(find_first("first_not_below", OfElements(below, (INT, INT), TRUTH)), 2)
    one, two = np.arange(40, dtype=np.int32), np.full(40, 50, np.int32)
    assert find(one, two) == 40
    one[[7, 30]] = 60
    assert find(one, two) == 7


def test_what_has_no_translation_is_refused() -> None:
    with pytest.raises(TypeError, match=r"test_elements.py:\d+: no translation of 'math.gamma'"):
        of_floats(unknown, 2)


def test_kernels_alone_call_value_functions() -> None:
    with pytest.raises(TypeError, match="'below' is called by kernels alone"):
        OfElements(below, (INT, INT), TRUTH)(1, 2)


def test_a_run_does_without_numba() -> None:
    """Its import takes longer than many a run."""
    lines = "import sys, wsc.runtime.values.engine; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", lines], check=False).returncode == 0
