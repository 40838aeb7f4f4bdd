"""Doubles that are computed as such, from the host through the fabric and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

import wsc
from tests.cli.helpers import done, refused
from tests.cli.helpers import wsc as command
from tests.doubles import same
from tests.frontend.cases import model_of
from wsc.errors import CompileError

X = np.array([16777217.0, 1 + 2.0**-40, 1732900000.123456, -0.0, 1e300, 2.0**-1074])
Y = np.array([1.0, 3.0, -1732900000.0, np.nan, 1e10, -(2.0**-1073)])


def _op(op_type: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, inputs.split(), [output], output, **attributes)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """A bit of everything that fits into one tile."""
    nodes = [
        _op("Add", "x y", "sum"),
        _op("Mul", "x y", "product"),
        _op("Less", "x y", "less"),
        _op("ReduceMax", "x", "largest", keepdims=0),
        _op("Cast", "x", "whole", to=TensorProto.INT64),
        _op("Identity", "x", "same"),
    ]
    names = [node.output[0] for node in nodes]
    return model_of(nodes, {"x": X, "y": Y}, {}, names, 18)


def test_the_host_gives_and_gets_doubles(model: onnx.ModelProto, tmp_path: Path) -> None:
    program = wsc.compile(model, fabric="3x2", f64="exact")
    program.save(tmp_path / "m.wsa")
    loaded = wsc.load(tmp_path / "m.wsa")
    assert loaded.text == program.text
    assert 'i32[6] "float64" high "x.high"' in loaded.text
    with np.errstate(all="ignore"):
        wanted = {
            "sum": X + Y,
            "product": X * Y,
            "less": X < Y,
            "largest": X.max(),
            "same": X,
        }
    outputs = loaded.run({"x": X, "y": Y}).outputs
    for name, array in wanted.items():
        assert outputs[name].dtype == np.asarray(array).dtype
        if outputs[name].dtype == bool:
            np.testing.assert_array_equal(outputs[name], array)
        else:
            same(outputs[name], np.asarray(array))
    assert outputs["whole"].tolist() == [16777217, 1, 1732900000, 0, 2**63 - 1, 0]


def test_all_engines_agree() -> None:
    x = np.abs(X).reshape(2, 3)
    nodes = [_op("Max", "x k", "m"), _op("Neg", "m", "y")]
    one = model_of(nodes, {"x": x}, {"k": np.array(16777216.5)}, ["y"])
    program = wsc.compile(one, fabric="2x1", f64="exact")
    for engine in ("both", "reference"):
        same(program.run({"x": x}, engine=engine).outputs["y"], -np.maximum(x, 16777216.5))


def test_other_words_are_refused(model: onnx.ModelProto) -> None:
    with pytest.raises(CompileError, match="f64 'double' is not known: f32 or exact"):
        wsc.compile(model, fabric="1x1", f64="double")


def test_the_command(tmp_path: Path) -> None:
    one = model_of([_op("Sub", "x y", "z")], {"x": X, "y": Y}, {}, ["z"])
    onnx.save(one, tmp_path / "m.onnx")
    out = tmp_path / "m.wsa"
    result = done(
        command("compile", tmp_path / "m.onnx", "--fabric", "2x1", "--f64", "exact", "-o", out)
    )
    assert "single precision" not in result.stderr
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / f"{name}.npy", array)
    given = [f"--input={name}={tmp_path / name}.npy" for name in "xy"]
    done(command("run", out, *given, "--output", tmp_path / "o"))
    (file,) = (tmp_path / "o").glob("*z*.npy")
    same(np.load(file), X - Y)
    train = ("--train", "--f64", "exact", "--fabric", "2x1")
    refused(command("compile", tmp_path / "m.onnx", *train), "--train takes no --f64")
