"""``wsc run``: outputs, JSON, drawn inputs, comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import builders
from runtime.engine import compiled
from tests.cli.helpers import TWICE, array_file, done, files, mlp, refused, saved, text_file, wsc


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    return text_file(tmp_path / "twice.wsa", TWICE)


def _json(*arguments: object) -> dict[str, Any]:
    return json.loads(done(wsc("run", *arguments, "--json")).stdout)


def test_outputs_are_written(twice: Path, tmp_path: Path) -> None:
    given = array_file(tmp_path / "a.npy", np.arange(8, dtype=np.float32))
    found = _json(twice, "--input", f"a={given}", "-o", tmp_path / "out")
    assert files(tmp_path / "out") == ["r.npy"]
    assert np.load(tmp_path / "out" / "r.npy").tolist() == list(range(0, 16, 2))
    file = str(tmp_path / "out" / "r.npy")
    assert found["outputs"] == [{"name": "r", "shape": [8], "dtype": "float32", "file": file}]


def test_json_has_what_scripts_need(twice: Path) -> None:
    found = _json(twice)
    assert found["cycles"] > 0
    assert found["utilization"] == 0
    assert found["wall_seconds"] > 0
    assert found["engine"] == "reference"
    assert found["fabric"]["width"] == 4
    assert (found["seed"], found["drawn_inputs"]) == (0, ["a"])
    assert found["io_bytes"] == {"in": 32, "out": 32}
    assert found["energy_picojoules"]["total"] > 0
    assert [row["kernel"] for row in found["kernels"]][:2] == ["take", "double"]
    assert found["outputs"][0]["file"] is None


def test_drawn_inputs_follow_the_seed(twice: Path, tmp_path: Path) -> None:
    arrays = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        done(wsc("run", twice, "--seed", seed, "-o", tmp_path / folder))
        arrays.append(np.load(tmp_path / folder / "r.npy"))
    assert np.array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])


def test_delays_change_cycles_and_no_value(twice: Path, tmp_path: Path) -> None:
    plain = _json(twice, "-o", tmp_path / "plain")["cycles"]
    late = {_json(twice, "-o", tmp_path / "late", "--delays", seed)["cycles"] for seed in (1, 2)}
    assert late != {plain}
    first, second = (np.load(tmp_path / name / "r.npy") for name in ("plain", "late"))
    assert np.array_equal(first, second)


def test_the_report_for_people(twice: Path) -> None:
    text = done(wsc("run", twice, "-v")).stdout
    for word in ("cycles", "utilization", "energy", "take", "/twice/Add", "bound by", "executed"):
        assert word in text
    assert "\x1b" not in text


def test_a_terminal_hears_that_the_engine_is_compiled(
    twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(compiling: Callable[[], None] | None) -> None:
        assert compiling is not None
        compiling()

    monkeypatch.setattr(compiled, "prepare", prepare)
    assert done(wsc("run", twice)).stderr == ""  # no terminal
    said: list[str] = []
    monkeypatch.setattr("wsc.cli.run.working", lambda text: nullcontext(said.append))
    done(wsc("run", twice))
    assert said[0] == "compiling the engine (once, about a minute)"
    assert all(line.startswith("running: cycle") for line in said[1:])


def test_comparison_with_the_model(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4"))
    assert "all outputs agree" in done(wsc("run", program, "--compare", model)).stdout
    other = saved(builders.mlp((16, 32, 10), batch=4, seed=1), tmp_path / "other.onnx")
    result = done(wsc("run", program, "--compare", other), 1)
    assert "DIFFERS" in result.stdout
    assert "worst: logits" in result.stdout
    found = json.loads(done(wsc("run", program, "--compare", other, "--json"), 1).stdout)
    assert not found["agrees"]
    assert found["comparison"][0]["absolute"] > 0


def test_an_input_that_was_baked_in(tmp_path: Path) -> None:
    model = saved(builders.matmul(4, 8, 8, streamed=False), tmp_path / "m.onnx")
    values = array_file(tmp_path / "b.npy", np.eye(8, dtype=np.float32) * 3)
    program = tmp_path / "m.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4", "--bind", f"b={values}"))
    refused(wsc("run", program, "--compare", model), "--bind b=FILE.npy")
    done(wsc("run", program, "--compare", model, "--bind", f"b={values}"))


def test_a_limit_of_cycles(twice: Path, tmp_path: Path) -> None:
    refused(wsc("run", twice, "--max-cycles", 3, "-o", tmp_path / "out"), "3")
    assert not (tmp_path / "out").exists()


def test_an_engine_that_does_not_exist(twice: Path) -> None:
    refused(wsc("run", twice, "--engine", "warp"), "warp", "reference")


def test_some_inputs_given_and_no_seed(tmp_path: Path) -> None:
    text = TWICE.replace('input  a : f32[8] "float32"', "input a : f32[8]\ninput b : f32[8]")
    given = array_file(tmp_path / "a.npy", np.zeros(8, np.float32))
    program = text_file(tmp_path / "t.wsa", text)
    refused(wsc("run", program, "--input", f"a={given}"), "--input b=FILE.npy", "--seed N")
