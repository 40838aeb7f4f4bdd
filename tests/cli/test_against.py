"""``wsc run --against``: no node of a right program differs; of a wrong one the first is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.helpers import TWICE, done, mlp, refused, saved, wsc
from wsc import models
from wsc.cli import against


def one_of_many_kinds(folder: Path) -> Path:
    """A network with a transpose, a reduction, an integer, a boolean and a fused tail."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "h"),
        helper.make_node("Transpose", ["h"], ["t"], "t", perm=[1, 0]),
        helper.make_node("Softmax", ["t"], ["s"], "s", axis=-1),
        helper.make_node("ArgMax", ["s"], ["best"], "best", axis=1, keepdims=1),
        helper.make_node("Greater", ["h", "zero"], ["more"], "more"),
        helper.make_node("Where", ["more", "h", "zero"], ["kept"], "kept"),
        helper.make_node("ReduceMean", ["kept"], ["mean"], "mean", axes=[0], keepdims=1),
        helper.make_node("Sub", ["kept", "mean"], ["centre"], "centre"),
        helper.make_node("Tanh", ["centre"], ["y"], "y"),
    ]
    random = np.random.default_rng(1)
    weights = [
        onnx.numpy_helper.from_array(random.normal(size=(5, 7)).astype(np.float32), "w"),
        onnx.numpy_helper.from_array(np.zeros((1, 1), np.float32), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "kinds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6, 5])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [6, 7]),
            helper.make_tensor_value_info("best", TensorProto.INT64, [7, 1]),
        ],
        weights,
    )
    return saved(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "kinds.onnx"
    )


@pytest.mark.parametrize("fabric", ["5x1", "3x2"])
def test_no_node_of_a_right_program_differs(tmp_path: Path, fabric: str) -> None:
    model = one_of_many_kinds(tmp_path)
    result = done(wsc("run", model, "--fabric", fabric, "--json", "--against", model))
    found = json.loads(result.stdout)["against"]
    assert found["first"] is None
    assert {"h", "mean", "y"} <= set(found["compared"])
    assert found["nodes"] <= 9


def test_layers_in_a_loop_are_followed_turn_by_turn() -> None:
    small = ("--layers", 5, "--hidden", 16, "--heads", 2, "--vocabulary", 20, "--sequence", 4)
    result = done(wsc("run", "gpt2", *small, "--fabric", "2x3", "--json", "--against", "gpt2"))
    found = json.loads(result.stdout)["against"]
    assert found["first"] is None
    named = [f"transformer.h.{layer}.mlp.sum" for layer in range(5)]
    assert [node for node in found["compared"] if node.endswith("mlp.sum")] == named


def broken(tmp_path: Path, old: str, new: str) -> Path:
    """The digits network on 8x8 with one text replaced, once."""
    program = tmp_path / "digits.wsa"
    done(wsc("compile", models.DIGITS, "--fabric", "8x8", "-o", program))
    text = program.read_text(encoding="utf-8")
    assert old in text
    program.write_text(text.replace(old, new, 1), encoding="utf-8")
    return program


def test_the_first_node_that_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = broken(tmp_path, "mov.f32 [v_pool0 + i*4], -inf", "mov.f32 [v_pool0 + i*4], 9.0")
    model = ("--against", models.DIGITS)
    result = done(wsc("run", program, "--json", *model), code=1)
    found = json.loads(result.stdout)["against"]
    assert found["first"]["node"] == "pool0"
    lines = program.read_text(encoding="utf-8").splitlines()
    assert lines[found["first"]["line"] - 1].strip() == 'call reduce_max() @"pool0"'
    assert found["compared"] == ["conv0.relu", "pool0"]
    monkeypatch.setattr(against, "MOST_KEPT", 1)  # each node in a run of its own
    shown = done(wsc("run", program, *model), code=1).stdout
    assert "the first node that differs from ONNX Runtime is pool0, line" in shown
    assert "until there 1 nodes agree; the last that agrees is conv0.relu" in shown


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    model = mlp(tmp_path)
    refused(wsc("run", twice, "--against", model), "a guard or a register decides which statements")
    network = ("run", model, "--fabric", "2x2", "--against", model)
    refused(wsc(*network, "--engine", "time"), "only the reference engine keeps causes and memory")
    refused(wsc(*network, "--engine", "values"), "--against: the values engine has no clock")


def test_memory_of_a_tile_at_a_cycle(tmp_path: Path) -> None:
    twice, out = tmp_path / "twice.wsa", tmp_path / "out"
    twice.write_text(TWICE, encoding="utf-8")
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.float32))
    dumps = [("--dump-sram", f"1,1@{cycle}") for cycle in (0, 10**9)]
    given = ("--input", f"a={tmp_path / 'a.npy'}", "-o", out)
    made = json.loads(done(wsc("run", twice, "--json", *given, *dumps[0], *dumps[1])).stdout)
    before, after = (np.load(path) for path in made["sram"])
    assert before["buf"].tolist() == [0.0, 0.0]
    assert after["buf"].tolist() == [4.0, 6.0]  # twice what the tile has of it
    assert after["bytes"].tobytes() == after["buf"].tobytes()
    told = done(wsc("run", twice, *given, *dumps[0], *dumps[1])).stdout
    assert told.count("at the end of the run, which has no cycle 1,000,000,000") == 1
    refused(wsc("run", twice, "--dump-sram", "1,1"), "wants X,Y@CYCLE, as in 4,4@1000")
    refused(wsc("run", twice, "--dump-sram", "4,1@3"), "x is 0 to 3, y 0 to 1")
