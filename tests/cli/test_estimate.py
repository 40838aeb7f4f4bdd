"""``wsc estimate``: models and programs, JSON, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc


def test_a_model(tmp_path: Path) -> None:
    text = done(wsc("estimate", mlp(tmp_path), "--fabric", "4x4", "-v")).stdout
    for word in (
        "cycles",
        "utilization",
        "edge",
        "sram",
        "energy",
        "with all tiles",
        "bound by",
        "matmul_streamed",
        "on average",
        "energy, uJ",
    ):
        assert word in text
    assert "\x1b" not in text


def test_json_agrees_with_a_run(tmp_path: Path) -> None:
    model, program = mlp(tmp_path, "batch"), tmp_path / "mlp.wsa"
    options = ("--fabric", "4x4", "--dim", "batch=6", "-p", "f16")
    done(wsc("compile", model, "-o", program, *options))
    found = json.loads(done(wsc("estimate", model, *options, "--json")).stdout)
    ran = json.loads(done(wsc("run", program, "--json")).stdout)
    assert found["cycles"] == ran["predicted_cycles"] == pytest.approx(ran["cycles"], rel=0.05)
    assert found["io_bytes"] == ran["io_bytes"]
    assert found["energy_picojoules"]["total"] == pytest.approx(
        ran["energy_picojoules"]["total"], rel=0.05
    )
    assert sum(row["predicted_cycles"] for row in found["kernels"]) <= found["cycles"]
    assert [row["predicted_cycles"] for row in found["kernels"]] == [
        row["predicted_cycles"] for row in ran["kernels"]
    ]
    assert sum(row["added_cycles"] for row in ran["kernels"]) <= ran["cycles"]
    assert not found["sampled"]
    assert found["useful_utilization"] == pytest.approx(ran["useful_utilization"], rel=0.05)
    assert found["useful_macs"] == 6 * (16 * 32 + 32 * 10) <= found["macs"]
    assert found["tokens_per_second"] is None
    sram = dict(found["sram"])
    assert sum(sram.values()) == 2 * sram["limit"]
    assert min(sram.values()) >= 0 < sram["values"]


def test_a_compiled_program(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4"))
    found = json.loads(done(wsc("estimate", program, "--json")).stdout)
    same = json.loads(done(wsc("estimate", model, "--fabric", "4x4", "--json")).stdout)
    assert found["cycles"] == same["cycles"]
    refused(wsc("estimate", program, "--fabric", "8x8"), "is for 4x4 tiles, not 8x8")
    refused(wsc("estimate", program, "--precision", "f16"), "--precision", "is compiled")


def test_a_whole_wafer(tmp_path: Path) -> None:
    text = done(wsc("estimate", mlp(tmp_path), "--fabric", "wse2")).stdout
    assert "750x994 tiles of wse2" in text
    assert "a sample of the tiles" in text
    assert "no network on a mesh beyond" in text


def test_a_program_that_cannot_be_predicted(tmp_path: Path) -> None:
    program = text_file(tmp_path / "twice.wsa", TWICE)
    refused(wsc("estimate", program), "cannot be predicted", "color 'back'")
    assert "predicted     nothing: color 'back'" in done(wsc("run", program)).stdout


def test_a_missing_model(tmp_path: Path) -> None:
    refused(wsc("estimate", tmp_path / "none.onnx", "--fabric", "4x4"), "none.onnx")


def test_a_number_of_the_fabric(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    options = ("--fabric", "tiny:4x4", "--set", "io.bytes_per_cycle=4")
    done(wsc("compile", model, "-o", program, *options))
    assert "set io.bytes_per_cycle = 4\n" in program.read_text(encoding="utf-8")
    wanted = json.loads(done(wsc("estimate", model, *options, "--json")).stdout)["cycles"]
    plain = tmp_path / "plain.wsa"
    done(wsc("compile", model, "-o", plain, "--fabric", "tiny:4x4"))
    found = [
        json.loads(done(wsc("estimate", *given, "--json")).stdout)["cycles"]
        for given in (
            (program, "--set", "io.bytes_per_cycle=4"),
            (plain, "--set", "io.bytes_per_cycle=4"),
            (plain,),
        )
    ]
    # A program that was compiled for another edge has the forms that suit that one.
    assert found[0] == wanted < found[1]
    assert found[2] < found[1]
    refused(wsc("compile", model, "-o", program, "--set", "io=4"), "no number 'io'")
