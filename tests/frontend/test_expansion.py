"""Functions that would become more than any memory holds are refused before they are inlined."""

from __future__ import annotations

import time

import onnx
import pytest
from onnx import TensorProto, helper

from wsc.errors import CompileError
from wsc.frontend import import_onnx
from wsc.frontend.expansion import DEEPEST

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]


def nested(depth: int, times: int) -> onnx.ModelProto:
    """Functions of which each calls the next one so many times, the last one an Abs."""
    functions: list[onnx.FunctionProto] = []
    for number in range(depth):
        last = number == depth - 1
        nodes = [
            helper.make_node(
                "Abs" if last else f"F{number + 1}",
                ["a" if turn == 0 else f"t{turn}"],
                ["b" if turn == times - 1 else f"t{turn + 1}"],
                domain="" if last else "f",
            )
            for turn in range(times)
        ]
        functions.append(helper.make_function("f", f"F{number}", ["a"], ["b"], nodes, OPSETS))
    graph = helper.make_graph(
        [helper.make_node("F0", ["x"], ["y"], domain="f")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    return helper.make_model(graph, opset_imports=OPSETS, functions=functions, ir_version=8)


@pytest.mark.parametrize(
    ("depth", "times", "fact"),
    [(40, 2, "more than 262,144 nodes"), (DEEPEST + 1, 1, f"more than {DEEPEST} deep")],
)
def test_what_would_become_too_large(depth: int, times: int, fact: str) -> None:
    started = time.process_time()
    with pytest.raises(CompileError, match=fact):
        import_onnx(nested(depth, times))
    assert time.process_time() - started < 2


@pytest.mark.parametrize(("depth", "times"), [(3, 2), (DEEPEST, 1)])
def test_what_does_not(depth: int, times: int) -> None:
    assert len(import_onnx(nested(depth, times)).nodes) == times**depth
