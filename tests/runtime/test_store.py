"""What the host gives and takes: an output's type has every value that it is given."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import program
from wsc import runtime
from wsc.runtime.errors import OutputError

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
