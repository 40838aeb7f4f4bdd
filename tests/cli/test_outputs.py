"""The files that commands write: their names, and that they are none of those that are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.helpers import TWICE, array_file, done, files, mlp, refused, text_file, wsc
from wsc.cli.compile import pass_names
from wsc.cli.outputs import LONGEST, array_paths, file_names, given_files, write_arrays
from wsc.models import builders


def test_file_names_hold_no_separators_and_differ() -> None:
    names = ["/a/b:0", "a_b_0", "..", "Logits", "logits", "é", "a\0b", "../up"]
    assert list(file_names(names).values()) == [
        "_a_b_0.npy",
        "a_b_0.npy",
        "_.npy",
        "Logits.npy",
        "logits_2.npy",
        "__2.npy",
        "a_b.npy",
        "_up.npy",
    ]


def test_long_names_are_shortened_and_differ() -> None:
    names = ["n" * 300, "n" * 301, "n" * LONGEST, "\udc80" * 300]
    found = list(file_names(names).values())
    assert len(set(found)) == len(names)
    assert all(len(name) <= LONGEST + len(".npy") for name in found)
    assert found[2] == "n" * LONGEST + ".npy"
    assert found[0].startswith("n" * 50)


def test_all_arrays_or_none(tmp_path: Path) -> None:
    good = np.arange(3)
    bad = {"a": good, "b": np.array([{}], dtype=object)}
    with pytest.raises(ValueError, match="Object"):
        write_arrays(array_paths(tmp_path, bad), bad)
    assert files(tmp_path) == []
    paths = array_paths(tmp_path / "new", ["a/b"])
    write_arrays(paths, {"a/b": good})
    assert paths == {"a/b": tmp_path / "new" / "a_b.npy"}
    assert np.load(paths["a/b"]).tolist() == [0, 1, 2]


def test_files_that_options_name() -> None:
    assert Path("x.npy") in given_files(["a=x.npy"])
    assert Path("x=1.npy") in given_files(["a=b=x=1.npy"])
    assert given_files(["a", "a="]) == ()


def test_an_output_whose_name_is_too_long_for_a_file(tmp_path: Path) -> None:
    name = "layer/" * 60 + "out"
    node = helper.make_node("Relu", ["x"], [name])
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4]) for n in ("x", name)]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), model)
    done(wsc("compile", model, "-o", tmp_path / "m.wsa", "--fabric", "2x2"))
    done(wsc("run", tmp_path / "m.wsa", "-o", tmp_path / "out", "--engine", "reference"))
    (written,) = files(tmp_path / "out")
    assert np.load(tmp_path / "out" / written).shape == (4,)


# --- no command replaces what it reads --------------------------------------------


def _external(folder: Path, data: str, threshold: int = 0) -> Path:
    """A model whose tensors of ``threshold`` bytes and more are in the file ``data``."""
    path = folder / "m.onnx"
    onnx.save(
        builders.mlp((16, 32, 10), batch=4),
        path,
        save_as_external_data=True,
        location=data,
        size_threshold=threshold,
    )
    return path


@pytest.mark.parametrize("target", ["m.onnx", "m.safetensors", "x.npy"])
def test_compile_replaces_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The model, its external data, an array that is baked in."""
    monkeypatch.chdir(tmp_path)
    model = _external(tmp_path, "m.safetensors")
    array_file(tmp_path / "x.npy", np.ones((4, 16), np.float32))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "out").mkdir()
    for output in (target, f"out/../{target}"):
        refused(wsc("compile", model, "-o", output, "--bind", "x=x.npy"), output, "is the input")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_the_weights_of_a_program_replace_no_external_data(tmp_path: Path) -> None:
    """Some tensors are in the model, and want a file whose name the external data have."""
    (tmp_path / "out").mkdir()
    model = _external(tmp_path, "out/m.wsa.safetensors", threshold=200)
    data = tmp_path / "out" / "m.wsa.safetensors"
    before = data.read_bytes()
    result = wsc("compile", model, "-o", tmp_path / "out" / "m.wsa", "--fabric", "2x2")
    refused(result, "m.wsa.safetensors: is the input")
    assert data.read_bytes() == before
    assert files(tmp_path / "out") == ["m.wsa.safetensors"]


def test_a_dump_replaces_no_input(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    dump = tmp_path / f"{pass_names().index('place'):02d}-place.txt"
    dump.hardlink_to(model)
    result = wsc("compile", model, "-o", tmp_path / "m.wsa", "--dump-ir", tmp_path)
    refused(result, f"{dump.name}: is the input")
    dump.unlink()
    result = wsc("compile", model, "-o", dump, "--dump-ir", tmp_path)
    refused(result, "two outputs")
    assert files(tmp_path) == ["mlp.onnx"]


def test_run_replaces_no_input(tmp_path: Path) -> None:
    program = text_file(tmp_path / "t.wsa", TWICE)
    (tmp_path / "out").mkdir()
    given = array_file(tmp_path / "out" / "r.npy", np.ones(8, np.float32))
    before = given.read_bytes()
    run = ("run", program, "--input", f"a={given}")
    refused(wsc(*run, "-o", tmp_path / "out"), "r.npy: is the input")
    for trace in (program, given):
        refused(wsc(*run, "--trace", trace), "is the input")
    new = tmp_path / "new"
    refused(wsc(*run, "-o", new, "--trace", new), "an output itself")
    assert given.read_bytes() == before
    assert program.read_text() == TWICE
    assert files(tmp_path) == ["out", "out/r.npy", "t.wsa"]


def test_run_replaces_no_model_and_no_weights(tmp_path: Path) -> None:
    model = _external(tmp_path, "m.bin")
    program = tmp_path / "m.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "2x2"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for trace in ("m.bin", "m.onnx", "m.wsa"):
        result = wsc("run", program, "--compare", model, "--trace", tmp_path / trace)
        refused(result, f"{trace}: is the input")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def _read_only(path: Path) -> None:
    path.write_text("kept")
    path.chmod(0o444)


def _entries(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """What tells whether an entry of a folder is still the same, and as it was."""
    found = {path.name: path.lstat() for path in folder.iterdir()}
    return {
        name: (entry.st_ino, entry.st_mode, entry.st_size, entry.st_mtime_ns)
        for name, entry in found.items()
    }


PROTECTED: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/null"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "read-only": _read_only,
}


@pytest.mark.parametrize("kind", PROTECTED)
def test_no_command_replaces_what_is_no_file_to_write(tmp_path: Path, kind: str) -> None:
    """The text, its weights, a dump, an array, a trace, and the folder of arrays."""
    model, program = mlp(tmp_path), text_file(tmp_path / "t.wsa", TWICE)
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("out", "m.wsa.safetensors", "00-import.txt", "r.npy"):
        PROTECTED[kind](place / name)
    before = _entries(place)
    compiled = ("compile", model, "--fabric", "2x2", "-o")
    refused(wsc(*compiled, place / "out"), "out: is ", "not replaced")
    refused(wsc(*compiled, place / "m.wsa"), "m.wsa.safetensors: is ", "not replaced")
    refused(wsc(*compiled, tmp_path / "m.wsa", "--dump-ir", place), "00-import.txt: is ")
    refused(wsc("run", program, "-o", place), "r.npy: is ", "not replaced")
    refused(wsc("run", program, "--trace", place / "out"), "out: is ", "not replaced")
    refused(wsc("run", program, "-o", place / "out"), "out: is a file, not a folder")
    assert _entries(place) == before
    assert not (tmp_path / "m.wsa").exists()


def test_no_command_replaces_a_device(tmp_path: Path) -> None:
    """A terminal of our own: nothing else is lost, should it be replaced all the same."""
    model, program = mlp(tmp_path), text_file(tmp_path / "t.wsa", TWICE)
    ours, theirs = os.openpty()
    try:
        device = Path(os.ttyname(theirs))
        for command in (
            ("compile", model, "-o", device),
            ("run", program, "-o", device),
            ("run", program, "--trace", device),
        ):
            refused(wsc(*command), f"{device}: ")
        assert device.is_char_device()
    finally:
        os.close(ours)
        os.close(theirs)


def test_names_of_weights_derive_from_the_whole_name(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    for name in ("m.v1", "m.v2", "m"):
        done(wsc("compile", model, "-o", tmp_path / name, "--fabric", "2x2"))
    weights = [name for name in files(tmp_path) if name.endswith(".safetensors")]
    assert weights == ["m.safetensors", "m.v1.safetensors", "m.v2.safetensors"]
