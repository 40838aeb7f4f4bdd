"""Bad input: one clear message with the facts, exit code 2, no traceback, no file left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.helpers import (
    TWICE,
    array_file,
    done,
    files,
    mlp,
    refused,
    saved,
    text_file,
    wsc,
)

FLOAT = TensorProto.FLOAT


def _model(nodes: list[onnx.NodeProto], **extra: object) -> onnx.ModelProto:
    """x [2, 4] -> y through the nodes."""
    graph = helper.make_graph(
        nodes,
        "bad",
        [helper.make_tensor_value_info("x", FLOAT, [2, 4])],
        [helper.make_tensor_value_info("y", FLOAT, ["rows", "columns"])],
        extra.get("weights", []),  # type: ignore[arg-type]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _not_compiled(model: Path, *facts: str, options: tuple[object, ...] = ()) -> None:
    """``wsc compile`` refuses, and the folder holds what it held before."""
    before = files(model.parent)
    refused(wsc("compile", model, "-o", model.parent / "out.wsa", *options), *facts)
    assert files(model.parent) == before


def _not_run(program: Path, *facts: str, options: tuple[object, ...] = ()) -> None:
    """``wsc run`` refuses, and the folder holds what it held before."""
    before = files(program.parent)
    refused(wsc("run", program, "-o", program.parent / "out", *options), *facts)
    assert files(program.parent) == before


# --- files ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["compile", "run", "inspect", "check"])
@pytest.mark.parametrize("name", ["none.onnx", "none.wsa"])
def test_a_missing_file(command: str, name: str, tmp_path: Path) -> None:
    refused(wsc(command, tmp_path / name), name, "o such file")


@pytest.mark.parametrize("command", ["compile", "check"])
def test_a_truncated_model(command: str, tmp_path: Path) -> None:
    model = mlp(tmp_path)
    model.write_bytes(model.read_bytes()[:-40])
    refused(wsc(command, model), "mlp.onnx", "cut short")


@pytest.mark.parametrize("content", [b"", b"not a model at all", bytes(range(256))])
def test_a_file_that_is_no_model(content: bytes, tmp_path: Path) -> None:
    model = tmp_path / "noise.onnx"
    model.write_bytes(content)
    _not_compiled(model, "noise.onnx", "not an ONNX model")
    refused(wsc("check", model), "noise.onnx", "not an ONNX model")


@pytest.mark.parametrize("command", ["compile", "run", "check"])
def test_a_folder_in_place_of_a_file(command: str, tmp_path: Path) -> None:
    refused(wsc(command, tmp_path), str(tmp_path))


def test_a_truncated_program(tmp_path: Path) -> None:
    program = text_file(tmp_path / "t.wsa", TWICE[: TWICE.index("call double(at") + 16])
    _not_run(program, "t.wsa:37:")


def test_a_program_that_is_no_text(tmp_path: Path) -> None:
    program = tmp_path / "t.wsa"
    program.write_bytes(b"\xff\xfe\x00wsc")
    _not_run(program, "t.wsa", "UTF-8")


def test_truncated_weights(tmp_path: Path) -> None:
    program = tmp_path / "mlp.wsa"
    done(wsc("compile", mlp(tmp_path), "-o", program, "--fabric", "4x4"))
    weights = tmp_path / "mlp.wsa.safetensors"
    whole = weights.read_bytes()
    for cut in (whole[:-100], whole[:5], b""):
        weights.write_bytes(cut)
        _not_run(program, "mlp.wsa.safetensors", "not those that the program was compiled with")
        result = wsc("run", program, "--changed-weights")
        refused(result, "mlp.wsa.safetensors", "not a sound safetensors file")
    weights.unlink()
    _not_run(program, "mlp.wsa.safetensors", "no file")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    refused(wsc("compile", model, "-o", tmp_path / "no" / "out.wsa"), "there is no folder")
    refused(wsc("compile", model, "-o", tmp_path), "is a folder")
    program = text_file(tmp_path / "t.wsa", TWICE)
    refused(wsc("run", program, "-o", model), "is a file, not a folder")


# --- models -----------------------------------------------------------------------


def test_a_model_that_fails_the_checker(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["nowhere"], ["y"], name="r")]
    model = saved(_model(nodes), tmp_path / "m.onnx")
    _not_compiled(model, "m.onnx", "fails ONNX's checker", "nowhere")
    refused(wsc("check", model), "fails ONNX's checker")


def test_unknown_operators_come_in_one_list(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Frob", ["x"], ["a"], name="first", domain="acme"),
        helper.make_node("StringNormalizer", ["a"], ["b"], name="words"),
        helper.make_node("Frob", ["b"], ["y"], name="second", domain="acme"),
    ]
    model = saved(_model(nodes), tmp_path / "m.onnx")
    facts = (
        "2 operators",
        "Frob (acme, opset 3)",
        "first",
        "second",
        "StringNormalizer (ai.onnx, opset 17)",
        "words",
    )
    _not_compiled(model, *facts)
    refused(wsc("check", model), *facts)


def test_an_unbound_dimension(tmp_path: Path) -> None:
    model = mlp(tmp_path, "batch")
    _not_compiled(model, "'x' axis 0", "batch", "--dim batch=N")
    refused(wsc("check", model), "batch", "--dim batch=N")


@pytest.mark.parametrize(
    ("flag", "fact"),
    [
        ("batch=-1", "at least 0"),
        ("batch=-4", "at least 0"),
        ("batch", "NAME=N"),
        ("btch=4", "no such dimension (symbolic: batch"),
        ("x.1=17", "the model has 16"),
    ],
)
def test_a_wrong_dimension(flag: str, fact: str, tmp_path: Path) -> None:
    name = flag.partition("=")[0]
    _not_compiled(mlp(tmp_path, "batch"), f"--dim {name}", fact, options=("--dim", flag))


@pytest.mark.parametrize(
    ("name", "array", "facts"),
    [
        ("z", np.zeros((4, 16), np.float32), ("no such input", "x")),
        ("x", np.zeros((4, 15), np.float32), ("[4,16]", "[4, 15]")),
        ("x", np.zeros((4, 16), np.int64), ("float32", "int64")),
    ],
)
def test_a_wrong_array_to_bake_in(
    name: str, array: np.ndarray, facts: tuple[str, ...], tmp_path: Path
) -> None:
    file = array_file(tmp_path / "v.npy", array)
    _not_compiled(mlp(tmp_path), name, *facts, options=("--bind", f"{name}={file}"))


@pytest.mark.parametrize("where", ["../secret.bin", "sub/../../secret.bin", "/etc/hostname", ""])
def test_external_data_that_leave_the_folder(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    model = saved(_external(where), folder / "m.onnx")
    _not_compiled(model, "outside the model's folder", repr(where))
    refused(wsc("check", model), "outside the model's folder", repr(where))


def test_external_data_behind_a_link_that_leaves_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
    _not_compiled(saved(_external("w.bin"), folder / "m.onnx"), "outside the model's folder")


def test_external_data_that_are_missing_or_short(tmp_path: Path) -> None:
    model = saved(_external("w.bin"), tmp_path / "m.onnx")
    _not_compiled(model, "missing", "'w.bin'")
    (tmp_path / "w.bin").write_bytes(bytes(8))
    _not_compiled(model, "cut short", "'w.bin'")
    refused(wsc("check", model), "'w.bin'", "end before")


def _external(where: str) -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", where), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    return _model([helper.make_node("Add", ["x", "w"], ["y"], name="sum")], weights=[weight])


# --- inputs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "array", "facts"),
    [
        ("b", np.zeros(8, np.float32), ("no input 'b'", "a")),
        ("a", np.zeros(9, np.float32), ("[8] wanted", "got [9]")),
        ("a", np.zeros(8, np.float64), ("float32 wanted", "got float64")),
    ],
)
def test_a_wrong_input(
    name: str, array: np.ndarray, facts: tuple[str, ...], tmp_path: Path
) -> None:
    program = text_file(tmp_path / "t.wsa", TWICE)
    file = array_file(tmp_path / "v.npy", array)
    _not_run(program, *facts, options=("--input", f"{name}={file}", "--seed", "0"))


@pytest.mark.parametrize("flag", ["--input", "--bind"])
def test_an_input_file_that_does_not_do(flag: str, tmp_path: Path) -> None:
    program = text_file(tmp_path / "t.wsa", TWICE)
    missing = tmp_path / "none.npy"
    _not_run(program, "none.npy", options=(flag, f"a={missing}"))
    _not_run(program, "is not a .npy file", options=(flag, f"a={program}"))
    _not_run(program, "NAME=FILE.npy", options=(flag, "a"))


def test_integers_that_the_fabric_cannot_hold(tmp_path: Path) -> None:
    text = TWICE.replace('f32[8] "float32"', 'i32[8] "int64"').replace("f32", "i32")
    program = text_file(tmp_path / "t.wsa", text.replace("precision i32", "precision f32"))
    file = array_file(tmp_path / "a.npy", np.full(8, 2**40))
    _not_run(program, "'a'", "32 bits", options=("--input", f"a={file}"))


# --- programs ---------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "inspect", "check"])
@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("mov.f32 <back>", "mvo.f32 <back>", ("t.wsa:32:3", "mvo", "'mov.f32'", "^^^")),
        ("call double", "call doubel", ("t.wsa:37:8", "doubel", "'double'", "^^^")),
        ("RAMP, S", "RAMP, Q", ("t.wsa:16:", "Q", "^")),
        ("wsc 1\n", "wsc 99\n", ("t.wsa:1:", "99")),
    ],
)
def test_an_assembly_error_has_line_column_and_caret(
    command: str, old: str, new: str, facts: tuple[str, ...], tmp_path: Path
) -> None:
    assert old in TWICE
    refused(wsc(command, text_file(tmp_path / "t.wsa", TWICE.replace(old, new))), *facts)


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("color into = 0", "color into = 27", ("27", "23", "^")),
        ("at 0 size 8", "at 49150 size 8", ("49158", "49152")),
        ('"wse2" 4x2', '"wse2" 4x2000', ("4x2000", "750x994")),
        ('"wse2" 4x2', '"wse7" 4x2', ("wse7", "wse2")),
    ],
)
def test_a_program_over_a_limit(old: str, new: str, facts: tuple[str, ...], tmp_path: Path) -> None:
    assert old in TWICE
    program = text_file(tmp_path / "t.wsa", TWICE.replace(old, new))
    refused(wsc("check", program), *facts)
    _not_run(program, *facts)


def test_a_model_that_does_not_fit(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="relu")]
    model = _model(nodes)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 40_000
    _not_compiled(
        saved(model, tmp_path / "m.onnx"), "relu", "bytes", "49", options=("--fabric", "1x1")
    )


@pytest.mark.parametrize(
    ("fabric", "fact"), [("wse9", "no fabric"), ("0x4", "fit"), ("none.toml", "none.toml")]
)
def test_a_fabric_that_does_not_exist(fabric: str, fact: str, tmp_path: Path) -> None:
    _not_compiled(mlp(tmp_path), fact, options=("--fabric", fabric))


def test_a_fabric_description_without_a_grade(tmp_path: Path) -> None:
    file = text_file(tmp_path / "f.toml", "[size]\nwidth = 4\n")
    _not_compiled(mlp(tmp_path), "size.width", options=("--fabric", file))


# --- the message ------------------------------------------------------------------


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    result = wsc("compile", tmp_path / "none.onnx", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "none.onnx: no such file" in result.stderr


def test_the_script_behaves_alike(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wsc.cli", "compile", str(tmp_path / "none.onnx")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert not run.stdout
    assert run.stderr == f"error: {tmp_path / 'none.onnx'}: no such file\n"
