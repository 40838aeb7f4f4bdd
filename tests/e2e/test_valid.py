"""Models at the edge of what is valid, from the file to the outputs of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import wsc
from tests.cli.helpers import array_file, done, saved
from tests.cli.helpers import wsc as command
from wsc.runtime.errors import InputError

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def _run(text: str, feeds: dict[str, np.ndarray], **options: object) -> dict[str, np.ndarray]:
    model = parser.parse_model(HEADER + text)
    return wsc.compile(model, fabric="2x1", **options).run(feeds, engine="values").outputs  # type: ignore[arg-type]


def test_an_empty_cache_is_an_input_of_the_program() -> None:
    text = """g (float[past, 3] cache, float[2, 3] x) => (float[all, 3] y) {
        y = Concat<axis = 0>(cache, x)
    }"""
    none = np.zeros((0, 3), np.float32)
    got = _run(text, {"cache": none, "x": X}, dims={"past": 0})
    np.testing.assert_array_equal(got["y"], X)


def test_a_loop_without_a_turn_is_an_empty_output() -> None:
    text = """g (float[2, 3] x) => (float[2, 3] y, float[n, 2, 3] z) {
        count = Constant<value = int64 {0}>()
        y, z = Loop (count, , x) <
            body = turn (int64 i, bool on, float[2, 3] a) => (bool c, float[2, 3] b, float[2, 3] s)
            { c = Identity(on) b = Add(a, x) s = Neg(b) }
        >
    }"""
    got = _run(text, {"x": X})
    np.testing.assert_array_equal(got["y"], X)
    assert (got["z"].shape, got["z"].dtype) == ((0, 2, 3), np.float32)


@pytest.mark.parametrize("declared", ["2, 3", "a, b"])
def test_an_output_may_be_an_input(tmp_path: Path, declared: str) -> None:
    """Whatever sizes it declares as an output."""
    text = f"g (float[2, 3] x) => (float[2, 3] y, float[{declared}] x) {{ y = Neg(x) }}"
    got = _run(text, {"x": X})
    np.testing.assert_array_equal(got["x"], X)
    np.testing.assert_array_equal(got["y"], -X)
    model = saved(parser.parse_model(HEADER + text), tmp_path / "m.onnx")
    out = tmp_path / "m.wsa"
    done(command("compile", model, "-o", out, "--fabric", "2x1"))
    np.testing.assert_array_equal(wsc.load(out).run({"x": X}).outputs["x"], X)


def _default(folder: Path, name: str = "w=1") -> Path:
    """y = x @ w, where w is an input with a default value, and may have an odd name."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", name], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((3, 2), np.float32), name)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = folder / "default.onnx"
    onnx.save(model, file)
    return file


def test_a_default_value_is_replaced_when_compiling_or_at_each_run(tmp_path: Path) -> None:
    model, w = _default(tmp_path), np.arange(6, dtype=np.float32).reshape(3, 2)
    x, other, out = array_file(tmp_path / "x.npy", X), array_file(tmp_path / "w.npy", w), "p.wsa"
    for options, feeds, want in (
        ([], [], X @ np.ones((3, 2), np.float32)),
        (["--bind", f"w=1={other}"], [], X @ w),
        (["--input", "w=1"], ["--input", f"w=1={other}"], X @ w),
    ):
        compiled = tmp_path / out
        done(command("compile", model, "-o", compiled, "--fabric", "2x1", *options))
        again = ["--bind", f"w=1={other}"] if "--bind" in options else []
        folder = tmp_path / "out"
        done(
            command(
                "run",
                compiled,
                "--input",
                f"x={x}",
                *feeds,
                "-o",
                folder,
                "--compare",
                model,
                *again,
            )
        )
        np.testing.assert_allclose(np.load(folder / "y.npy"), want, rtol=1e-6)


def test_a_default_value_that_is_a_constant_of_the_program(tmp_path: Path) -> None:
    program = wsc.compile(_default(tmp_path, "w"), fabric="2x1")
    with pytest.raises(
        InputError, match=r"'w' is a weight.*compile it as an input \(inputs: 'w'\)"
    ):
        program.run({"x": X, "w": np.ones((3, 2), np.float32)})
