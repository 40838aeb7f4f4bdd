"""What the host gives and takes: an output's type has every value that it is given."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import program
from wsc import runtime
from wsc.runtime.errors import InputError, OutputError
from wsc.runtime.store import check_inputs

# host type -> element type, values that it has, values that it lacks
HOSTS: dict[str, tuple[str, list[float], list[float]]] = {
    "bool": ("i32", [0, 1], [2, -1]),
    "uint8": ("i32", [0, 255], [256, -1]),
    "int8": ("i32", [-128, 127], [128, -129]),
    "int16": ("i32", [-32768, 32767], [32768, -32769]),
    "uint16": ("i32", [0, 65535], [65536, -1]),
    "int64": ("i32", [-(2**31), 2**31 - 1], []),
    "float16": ("f32", [1.5, np.inf], [65520.0, 1.0001]),
    "float64": ("f32", [1.5, 2.0**100], []),
    "int32": ("f32", [3.0, -7.0], [1.5, np.nan]),
}


def shown(host: str, dtype: str, value: float) -> np.ndarray:
    text = f"""
input a : {dtype}[1]
output r : {dtype}[1] "{host}"
color c = 0
region all at 0,0 size 1x1
route c in all : N -> S
feed c in all side N from a[0]
drain c in all side S from r[0]
"""
    given = np.array([value], {"i32": np.int32, "f32": np.float32}[dtype])
    return runtime.run(program(text, "1x1", "tiny"), {"a": given}).outputs["r"]


@pytest.mark.parametrize("host", HOSTS)
def test_an_output_is_a_value_of_its_type_or_an_error(host: str) -> None:
    dtype, has, lacks = HOSTS[host]
    for value in has:
        out = shown(host, dtype, value)
        assert out.dtype == host
        assert out[0] == np.array([value]).astype(out.dtype)[0]
    for value in lacks:
        with pytest.raises(OutputError, match=f"output 'r': .* is no value of {host}"):
            shown(host, dtype, value)


def taken(host: str, *values: int) -> np.ndarray:
    """The words of an input ``a`` of a host type."""
    text = f"""
input a : i32[{len(values)}] "{host}"
input b : i32[1] "int32"
region all at 0,0 size 1x1
"""
    made = program(text, "1x1", "tiny")
    others = {"b": np.zeros(1, np.int32)}
    return check_inputs(made, {"a": np.array(values, host), **others})["a"]


@pytest.mark.parametrize(
    ("host", "least", "most", "beyond"),
    [
        ("int64", -(2**31), 2**31 - 1, [-(2**31) - 1, 2**31]),
        ("uint64", 0, 2**32 - 1, [2**32]),
        ("uint32", 0, 2**32 - 1, []),
    ],
)
def test_an_integer_that_a_word_holds_is_taken(
    host: str, least: int, most: int, beyond: list[int]
) -> None:
    words = taken(host, least, most, 7)
    assert words.dtype == np.int32
    assert [int(word) % 2**32 for word in words] == [least % 2**32, most % 2**32, 7]
    for value in beyond:
        with pytest.raises(InputError, match=rf"input 'a': {value} at \[1\] does not fit 32 bits"):
            taken(host, 0, value)


def test_every_input_is_wanted_once_and_in_its_type() -> None:
    made = program(
        'input a : f32[2] "float32"\ninput b : i32[1] "int64"\nregion all at 0,0 size 1x1',
        "1x1",
        "tiny",
    )
    good = {"a": np.zeros(2, np.float32), "b": np.zeros(1, np.int64)}
    assert sorted(check_inputs(made, good)) == ["a", "b"]
    known = "the program's inputs: a, b"
    for given, said in (
        ({"a": good["a"]}, f"input 'b' is missing; {known}"),
        ({**good, "c": good["a"]}, f"no input 'c'; {known}"),
        ({**good, "a": np.zeros(2)}, "input 'a': dtype float32 wanted, got float64"),
        ({**good, "b": np.zeros(1, np.uint64)}, "input 'b': dtype int64 wanted, got uint64"),
        ({**good, "a": np.zeros((2, 1), np.float32)}, r"shape \[2\] wanted, got \[2, 1\]"),
    ):
        with pytest.raises(InputError, match=said):
            check_inputs(made, given)
