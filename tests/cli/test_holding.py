"""``--weights``, ``--steps`` and ``--carry``: what stays on the fabric from step to step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc
from tests.stepped import arrays, recurrent

SMALL = ("--hidden", 32, "--heads", 4, "--vocabulary", 24, "--sequence", 4, "--layers", 1)
STEPS = ("--step", "--steps", 3)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "fabric", "more"),
    [
        ("llama3-8b", "8x8", ("-p", "f16", "--batch", 2, "--weights", "resident")),
        ("gpt2", "5x7", ("--weights", "resident")),
        ("gpt-j-6b", "1x4", ("--weights", "resident")),
        ("gpt-neox-20b", "4x1", ("--weights", "stream")),
    ],
)
def test_decoding_agrees_with_onnx_runtime(
    name: str, fabric: str, more: tuple[object, ...]
) -> None:
    options = (*SMALL[:-1], 2, *STEPS, *more, "--fabric", fabric)
    found = json.loads(done(wsc("run", name, *options, "--compare", name, "--json")).stdout)
    assert all(item["agrees"] for item in found["comparison"])
    assert {item["name"] for item in found["comparison"]} >= {"logits", "present.1.value"}


def test_a_program_of_steps_and_its_model() -> None:
    done(wsc("compile", "gpt-neo-2.7b", *SMALL, *STEPS, "--fabric", "4x4", "-o", "p.wsa"))
    run = ("run", "p.wsa", "--engine", "values", "--compare", "gpt-neo-2.7b", *SMALL, *STEPS)
    assert "all outputs agree with ONNX Runtime" in done(wsc(*run)).stdout
    text = done(wsc("estimate", "p.wsa")).stdout
    assert "steps         3 of " in text
    against = ("run", "p.wsa", "--against", "gpt-neo-2.7b", *SMALL, *STEPS)
    refused(wsc(*against), "follows a single run")


def test_a_file_and_what_it_hands_on() -> None:
    model, carry = recurrent(20, 33, 17), {"h": "hn"}
    onnx.save(model, "step.onnx")
    for name, value in arrays(model, carry, 4).items():
        np.save(f"{name}.npy", value)
    given = ("--input", "x=x.npy", "--input", "h=h.npy", "--engine", "values")
    options = ("--steps", 4, "--carry", "h=hn")
    told = done(wsc("compile", "step.onnx", *options, "--fabric", "3x2", "-o", "p.wsa")).stderr
    assert "weights that stay in SRAM take" in told
    assert "weights that are streamed take" in told
    compare = ("--compare", "step.onnx")
    done(wsc("run", "p.wsa", *given, *compare, "--carry", "h=hn", "-o", "out"))
    assert np.load("out/y.npy").shape == (4, 1, 17)
    assert np.load("out/hn.npy").shape == (1, 33)
    assert "--carry h=OUTPUT" in wsc("run", "p.wsa", *given, *compare).stderr


def test_an_estimate_tells_what_a_step_takes() -> None:
    options = ("estimate", "llama3-8b", *SMALL, *STEPS, "--fabric", "4x4", "--json")
    found = json.loads(done(wsc(*options, "--weights", "resident")).stdout)
    steps = found["steps"]
    assert steps["count"] == 3
    assert 0 < steps["cycles_once"] < found["cycles"] - 3 * steps["cycles_each"] + 10
    clock = found["fabric"]["clock_hertz"]
    assert found["tokens_per_second"] == pytest.approx(clock / steps["cycles_each"])
    assert json.loads(done(wsc(*options)).stdout)["notes"][0].startswith("weights that ")


@pytest.mark.parametrize(
    ("command", "fact"),
    [
        (("compile", "gpt2", "--steps", "3"), "give --step too"),
        (("run", "twice.wsa", "--steps", "3"), "twice.wsa is compiled"),
        (("estimate", "twice.wsa", "--weights", "auto"), "twice.wsa is compiled"),
        (("compile", "gpt2", *STEPS, "--carry", "a"), "is of the form INPUT=OUTPUT"),
        (("compile", "gpt2", *STEPS, "--carry", "a=b", "--carry", "a=c"), "is given twice"),
        (("compile", "step.onnx", "--train", "--steps", "3"), "--train takes no --steps"),
        (
            ("compile", "dalle-12b", "--step", "--steps", "3", "--sequence", "300"),
            "leave out --steps",
        ),
    ],
)
def test_refusals(tmp_path: Path, command: tuple[object, ...], fact: str) -> None:
    text_file(tmp_path / "twice.wsa", TWICE)
    onnx.save(recurrent(4, 4, 4), "step.onnx")
    refused(wsc(*command), fact)


def test_code_in_sections_is_said(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    plain = done(wsc("compile", model, "-o", program, "--fabric", "4x4"))
    assert "note" not in plain.stderr
    found = done(wsc("compile", model, "-o", program, "--fabric", "4x4", "--code", "sections"))
    assert "note      code comes from the edge in " in found.stderr
    assert "section.i32 [code + 4*i], <weights>, {1} for i:" in program.read_text()
    estimate = done(wsc("estimate", model, "--fabric", "4x4", "--code", "sections"))
    assert "note          code comes from the edge in " in estimate.stdout
    assert done(wsc("inspect", program, "--sram")).exit_code == 0


def test_code_is_said_of_models(tmp_path: Path) -> None:
    program = text_file(tmp_path / "twice.wsa", TWICE)
    result = wsc("estimate", program, "--code", "sections")
    refused(result, "--code: ", "is compiled, and says that itself")
