"""``wsc compile``: files, summary, and the IR after each pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import done, files, mlp, refused, wsc
from wsc.cli.compile import pass_names
from wsc.ir.task_text import parse_placed
from wsc.ir.text import parse_graph

PASSES = ["import", "simplify", "tokens", "blocks", "between", "place", "memory", "emit", "route"]


def test_passes() -> None:
    assert pass_names() == PASSES


def test_files_and_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlp(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = done(wsc("compile", "mlp.onnx", "--fabric", "4x4"))
    assert files(tmp_path) == ["mlp.onnx", "mlp.wsa", "mlp.wsa.safetensors"]
    assert not result.stdout
    assert "4x4 tiles of wse2\n" in result.stderr
    for name in PASSES:
        assert f"{name} " in result.stderr
    assert "bytes a tile" in result.stderr
    assert "mlp.wsa.safetensors" in result.stderr


def test_the_fabric_that_was_chosen_is_said(tmp_path: Path) -> None:
    result = done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa"))
    assert "4x4 tiles of wse2, chosen for the model" in result.stderr


def test_dimensions_are_bound(tmp_path: Path) -> None:
    out = tmp_path / "a.wsa"
    done(wsc("compile", mlp(tmp_path, "batch"), "-o", out, "--fabric", "4x4", "--dim", "batch=8"))
    assert "f32[8, 16]" in out.read_text()


def test_ir_after_one_pass_is_text_that_parses(tmp_path: Path) -> None:
    common = ("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--fabric", "4x4")
    text = done(wsc(*common, "--print-ir-after", "simplify")).stdout
    assert parse_graph(text).outputs[0].name == "logits"
    text = done(wsc(*common, "--print-ir-after", "place")).stdout
    assert parse_placed(text).tasks


def test_ir_after_all_passes(tmp_path: Path) -> None:
    common = ("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--fabric", "4x4")
    text = done(wsc(*common, "--print-ir-after", "all")).stdout
    places = [text.index(f"; after {name}\n") for name in PASSES]
    assert places == sorted(places)
    assert text.endswith((tmp_path / "a.wsa").read_text().splitlines()[-1] + "\n")


def test_a_pass_that_does_not_exist(tmp_path: Path) -> None:
    out = tmp_path / "a.wsa"
    result = wsc("compile", mlp(tmp_path), "-o", out, "--print-ir-after", "tidy")
    refused(result, "tidy", ", ".join([*PASSES, "all"]))
    assert not out.exists()


def test_dump_has_a_numbered_file_for_each_pass(tmp_path: Path) -> None:
    folder = tmp_path / "ir"
    done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--dump-ir", folder))
    names = [f"{number:02d}-{name}.txt" for number, name in enumerate(PASSES)]
    assert files(folder) == names
    assert parse_graph((folder / "00-import.txt").read_text())


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    for name in ("a.wsa", "b.wsa"):
        done(wsc("compile", model, "-o", tmp_path / name, "--fabric", "4x4"))
    assert (tmp_path / "a.wsa").read_text().replace('"a.wsa.', '"b.wsa.') == (
        tmp_path / "b.wsa"
    ).read_text()
