"""``wsc check``: all that is wrong, at once."""

from __future__ import annotations

from pathlib import Path

import onnx
from click.testing import CliRunner
from onnx import TensorProto, helper

from tests.cli.helpers import TWICE, done, files, mlp, refused, saved, text_file, wsc
from wsc.cli.main import cli


def test_a_program_that_is_well_formed(tmp_path: Path) -> None:
    text = done(wsc("check", text_file(tmp_path / "t.wsa", TWICE))).stdout
    assert "OK: 4x2 tiles of wse2" in text


def test_a_program_from_standard_input() -> None:
    runner = CliRunner()
    assert "OK: 4x2 tiles" in done(runner.invoke(cli, ["check", "-"], input=TWICE)).stdout
    refused(runner.invoke(cli, ["check", "-"], input="wsc 2"), "version 2")


def test_what_is_no_assembly_is_told_once(tmp_path: Path) -> None:
    for text in ("", "; words", "words\n; more\n", "; words\n\nimport this\nimport that\n"):
        result = wsc("check", text_file(tmp_path / "t.wsa", text))
        refused(result, "'wsc'")
        assert result.stderr.count("t.wsa:") == 1


def test_a_program_that_is_larger_than_its_fabric_is_named(tmp_path: Path) -> None:
    text = TWICE.replace("4x2", "4000x2", 1)
    refused(wsc("check", text_file(tmp_path / "t.wsa", text)), "t.wsa: ", "4000x2", "750x994")


def test_a_program_with_several_faults(tmp_path: Path) -> None:
    text = TWICE.replace("call give(", "call giv(").replace("<into>", "<int>")
    result = wsc("check", text_file(tmp_path / "t.wsa", text))
    refused(result, "t.wsa:22:24:", "'int'", "t.wsa:39:10:", "'giv'", "^^^")


def test_a_model_that_compiles(tmp_path: Path) -> None:
    result = done(wsc("check", mlp(tmp_path), "--fabric", "4x4"))
    assert "OK: compiles for 4x4 tiles of wse2" in result.stdout
    assert files(tmp_path) == ["mlp.onnx"]


def test_a_model_with_everything_wrong_at_once(tmp_path: Path) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret.bin")
    graph = helper.make_graph(
        [
            helper.make_node("Frob", ["x"], ["y"], name="first", domain="acme"),
            helper.make_node("Add", ["y", "w"], ["z"], name="sum"),
            helper.make_node("StringNormalizer", ["z"], ["v"], name="words"),
            helper.make_node("Frob", ["v"], ["u"], name="second", domain="acme"),
        ],
        "broken",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", None, 2])],
        [helper.make_tensor_value_info("u", TensorProto.FLOAT, None)],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    result = wsc("check", saved(model, tmp_path / "broken.onnx"))
    refused(
        result,
        "Frob (acme, opset 3)",
        "first, second",
        "StringNormalizer (ai.onnx, opset 17)",
        "words",
        "--dim batch=N",
        "--dim x.1=N",
        "'../secret.bin' lie outside",
    )


def test_a_model_that_does_not_fit(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], name="relu")],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4000])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4000])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    refused(wsc("check", saved(model, tmp_path / "l.onnx"), "--fabric", "1x1"), "relu", "bytes")


def test_options_of_models_are_not_for_programs(tmp_path: Path) -> None:
    program = text_file(tmp_path / "t.wsa", TWICE)
    refused(wsc("check", program, "--dim", "a=1"), "for models")


def test_a_dimension_that_the_model_does_not_have(tmp_path: Path) -> None:
    result = wsc("check", mlp(tmp_path, "batch"), "--dim", "btch=4")
    refused(result, "--dim btch: the model has no such dimension", "--dim batch=N")
