"""``wsc train`` and ``wsc compile --train``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file

from tests.cli.helpers import done, wsc
from tests.training.test_trainer import small
from wsc.cli.train import HEAD, Samples
from wsc.frontend.store import Seed, write_model
from wsc.models.language import Task, build, find_shape

WHAT = ["--batch", "4", "--fabric", "2x2", "--optimizer", "adam:lr=0.01"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and its samples, in the working directory."""
    monkeypatch.chdir(tmp_path)
    onnx.save(small(), tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, label=rng.integers(0, 4, 10))
    return tmp_path


def train(*options: str, data: str = "d.npz") -> list[str]:
    return ["train", "m.onnx", "--data", data, *WHAT, *options]


def test_a_log_and_a_model_are_written(folder: Path) -> None:
    (folder / "rates").write_text("1.0\n0.5\n")
    result = done(
        wsc(*train("--steps", "3", "--log", "log.csv", "--onnx", "t.onnx", "--schedule", "rates"))
    )
    assert "after step 3" in result.stderr
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    assert ",".join(rows[0]) == HEAD
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert [row[2] for row in rows[1:]] == ["0.01", "0.005", "0.005"]
    assert [row[3] for row in rows[1:]] == ["", "", ""]  # the engine has no clock
    trained = onnx.load(folder / "t.onnx")
    assert trained.graph.initializer[0] != small().graph.initializer[0]


def test_the_page_of_a_step_is_written(folder: Path) -> None:
    done(wsc(*train("--steps", "1", "--report", "step.html")))
    text = (folder / "step.html").read_text(encoding="utf-8")
    assert "a step of" in text
    assert "predicted" in text


def test_code_may_come_in_sections_and_weights_are_the_same(folder: Path) -> None:
    said: dict[str, str] = {}
    for code in ("resident", "sections"):
        result = done(wsc(*train("--steps", "2", "--code", code, "-o", code)))
        said[code] = result.stderr
    assert "code comes from the edge in" in said["sections"]
    assert "code comes" not in said["resident"]
    assert (folder / "sections").read_bytes() == (folder / "resident").read_bytes()


def test_a_run_that_was_killed_goes_on(folder: Path) -> None:
    done(wsc(*train("--steps", "9", "--shuffle", "5", "--log", "a.csv", "-o", "a")))
    # So slow that it is killed before its end: the steps after the last checkpoint are lost.
    command = [sys.executable, "-m", "wsc.cli"]
    options = train("--steps", "1000000", "--shuffle", "5", "--save-every", "2", "-o", "b")
    process = subprocess.Popen([*command, *options, "--log", "b.csv"], stderr=subprocess.PIPE)
    waited = time.monotonic()
    while not (folder / "b").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - waited < 120
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    step = int(load_file(folder / "b")["wsc.training"][0])
    again = train("--steps", str(max(step, 9)), "--resume", "b", "--log", "b.csv", "-o", "b")
    if step > 9:
        done(wsc(*train("--steps", str(step), "--shuffle", "5", "--log", "a.csv", "-o", "a")))
    done(wsc(*again))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    one, other = (
        [line.split(",")[:3] for line in (folder / name).read_text().splitlines()]
        for name in ("a.csv", "b.csv")
    )
    assert one == other


def test_the_samples_of_a_step_depend_on_the_step_alone() -> None:
    arrays = {"x": np.arange(10)}
    plain = Samples(arrays, 4, None)
    assert plain.of(0)["x"].tolist() == [0, 1, 2, 3]
    assert plain.of(3)["x"].tolist() == [4, 5, 6, 7]  # what is left of a pass waits
    drawn = Samples(arrays, 4, 7)
    first = np.concatenate([drawn.of(step)["x"] for step in range(2)])
    assert len(set(first.tolist())) == 8
    assert drawn.of(2)["x"].tolist() != drawn.of(0)["x"].tolist()
    assert drawn.of(5)["x"].tolist() == Samples(arrays, 4, 7).of(5)["x"].tolist()


def test_a_step_is_compiled_to_text(folder: Path) -> None:
    options = ["--train", "--batch", "4", "--fabric", "2x2", "--clip", "1", "--accumulate", "2"]
    result = done(wsc("compile", "m.onnx", *options, "-o", "s.wsa", "--print-ir-after", "import"))
    assert "state %w : f32[4,3]" in result.stdout
    text = (folder / "s.wsa").read_text()
    assert "gradients clip 1.0 over 2\nupdate w by adam(rate = 0.001" in text
    done(wsc("check", "s.wsa"))
    labels = np.array([0, 3, 1, 2])
    np.save("l.npy", labels)
    ran = done(wsc("run", "s.wsa", "--engine", "values", "--seed", "1", "--input", "label=l.npy"))
    assert "w.grad" in ran.stdout
    for wrong in (4, -1):
        labels[2] = wrong
        np.save("l.npy", labels)
        stopped = wsc("run", "s.wsa", "--engine", "values", "--seed", "1", "--input", "label=l.npy")
        assert f"{wrong} is outside [0, 4), for node 'cross_entropy'" in stopped.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "1", "--accumulate", "3"], "--batch 4 cannot be shared out to --accumulate 3"),
        (["--steps", "1", "--batch", "11"], "d.npz: 10 samples, fewer than the 11 of a step"),
        (["--steps", "1", "--schedule", "m.onnx"], "--schedule m.onnx: "),
        (["--steps", "1", "--optimizer", "lion"], "optimizer 'lion': there are"),
        (["--steps", "1", "-o", "m.onnx"], "m.onnx: is the input m.onnx, and not replaced"),
        (["--steps", "1", "--resume", "no"], "no: no sound checkpoint"),
        (["--steps", "1", "-o", "-"], "-: standard output takes no checkpoint"),
        (["--steps", "1", "--trainable", ""], "--trainable '': no initializer"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, options: list[str], message: str) -> None:
    result = wsc(*train(*options))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (folder / "m.safetensors").exists()


def test_a_label_of_any_sample_is_refused_before_the_first_step(folder: Path) -> None:
    with np.load("d.npz") as file:
        arrays = dict(file)
    arrays["label"][9] = -1
    np.savez("d.npz", **arrays)
    result = wsc(*train("--steps", "1"))
    assert "'label': -1 at [9] (sample first, from 0) is none of the 4 classes" in result.stderr
    assert "--loss cross_entropy:ignored=-1" in result.stderr
    assert not (folder / "m.safetensors").exists()
    done(wsc(*train("--steps", "1", "--loss", "cross_entropy:ignored=-1")))


def test_options_of_a_step_want_a_step(folder: Path) -> None:
    for command in ("compile", "estimate"):
        result = wsc(command, "m.onnx", "--clip", "1")
        assert result.exit_code == 2
        assert "--clip is for a training step: give --train as well" in result.stderr


NAMED = {"layers": 1, "hidden": 16, "heads": 2, "vocabulary": 12, "sequence": 4}


def test_a_model_by_name_trains_as_its_file_does(folder: Path) -> None:
    words = np.random.default_rng(1).integers(0, 12, (4, 5))
    np.savez("t.npz", input_ids=words[:, :-1], label=words[:, 1:])
    options = ["--data", "t.npz", "--batch", "4", "--fabric", "3x2", "--trainable", "*.weight"]
    options += ["--accumulate", "2", "-p", "f32", "--steps"]
    sizes = [part for name, size in NAMED.items() for part in (f"--{name}", str(size))]
    done(wsc("train", "gpt2", *sizes, *options, "2", "-o", "a", "--onnx", "a.onnx"))
    # The file is that of a run, which takes half the samples of a step.
    shape = find_shape("gpt2").sized(**{key: NAMED[key] for key in [*NAMED][:4]})
    write_model(build(shape, Task(sequence=4, batch=2)), Seed(0), folder / "gpt2.onnx")
    done(wsc("train", "gpt2.onnx", *options, "2", "-o", "b", "--onnx", "b.onnx"))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    # Weights that nothing trains are in the model too.
    feeds = {"input_ids": words[:2, :-1]}
    (one,), (other,) = (
        onnxruntime.InferenceSession(f"{name}.onnx").run(None, feeds) for name in "ab"
    )
    np.testing.assert_array_equal(one, other)


def test_a_model_by_name_may_go_on_and_has_its_own_precision(folder: Path) -> None:
    words = np.random.default_rng(1).integers(0, 12, (4, 5))
    np.savez("t.npz", input_ids=words[:, :-1], label=words[:, 1:])
    sizes = [part for name, size in NAMED.items() for part in (f"--{name}", str(size))]
    command = ["train", "gpt2", *sizes, "--data", "t.npz", "--batch", "2", "--fabric", "3x2"]
    done(wsc(*command, "--steps", "3"))
    done(wsc(*command, "--steps", "1", "-o", "half"))
    done(wsc(*command, "--steps", "3", "--resume", "half", "-o", "half"))
    assert (folder / "gpt2.safetensors").read_bytes() == (folder / "half").read_bytes()
    _, scale, _, _ = load_file(folder / "half")["wsc.training"]
    assert scale > 1  # of gradients in halves
    result = wsc(*command, "--steps", "1", "--weights-seed", "1", "--checkpoint", ".")
    assert result.exit_code == 2
    result = wsc("train", "m.onnx", "--hidden", "16", *command[-6:], "--steps", "1")
    assert "--hidden: m.onnx is a file, and has its sizes in it" in result.stderr


def test_a_log_that_is_damaged_is_refused(folder: Path) -> None:
    assert wsc(*train("--steps", "1")).exit_code == 0
    for row in ("a,1", "", "-1,2"):
        Path("log.csv").write_text(f"{HEAD}\n1,2,3,,4\n{row}\n2,1,1,,1\n")
        result = wsc(*train("--steps", "2", "--resume", "m.safetensors", "--log", "log.csv"))
        assert "--log log.csv: line 3 has no step at its beginning" in result.stderr


def test_files_that_are_no_samples_are_refused(folder: Path) -> None:
    np.savez("uneven.npz", x=np.zeros((3, 3)), label=np.zeros(2))
    np.savez("none.npz", x=np.float32(1))
    np.savez("objects.npz", x=np.array([None] * 4))
    for data, message in (
        ("m.onnx", "is no .npz file"),
        ("gone.npz", "gone.npz"),
        ("uneven.npz", "differ in their number of samples: 'x' 3, 'label' 2"),
        ("none.npz", "no arrays with samples"),
        ("objects.npz", "is no .npz file of arrays"),
    ):
        result = wsc(*train("--steps", "1", data=data))
        assert result.exit_code == 2, data
        assert message in result.stderr


def test_a_checkpoint_has_its_own_order_and_step(folder: Path) -> None:
    done(wsc(*train("--steps", "2", "--shuffle", "5", "-o", "c")))
    result = wsc(*train("--steps", "3", "--shuffle", "6", "--resume", "c", "-o", "d"))
    assert "--shuffle 6: c was made with seed 5" in result.stderr
    result = wsc(*train("--steps", "1", "--resume", "c", "-o", "d"))
    assert "c is at step 2, beyond --steps 1" in result.stderr


def test_a_step_is_predicted(folder: Path) -> None:
    options = ["--train", "--batch", "4", "--fabric", "2x2"]
    step = json.loads(done(wsc("estimate", "m.onnx", *options, "--json")).stdout)
    alone = ["--fabric", "2x2", "--dim", "batch=4"]
    forwards = json.loads(done(wsc("estimate", "m.onnx", *alone, "--json")).stdout)
    assert step["macs"] == 2 * forwards["macs"]  # x has no gradient: one more product
    assert "takes no --bind" in wsc("estimate", "s.wsa", "--train").stderr


def test_what_a_step_costs_is_said(folder: Path) -> None:
    many = ["--accumulate", "8", "--for-tokens", "1000", "--carbon", "100"]
    options = ["m.onnx", "--train", "--batch", "4", "--fabric", "tiny:2x2", *many]
    one = json.loads(done(wsc("estimate", *options, "--json")).stdout)
    step = one["step"]
    assert step["interconnect"] is None
    assert (step["tokens"], step["for_tokens"]["steps"]) == (32, 32)
    assert step["seconds"] == pytest.approx(8 * one["seconds"])
    costs, joules = step["costs"], 8e-12 * one["energy_picojoules"]["total"]
    assert costs["joules"] == pytest.approx(joules)
    assert costs["co2e_grams"] == pytest.approx(joules / 3.6e6 * 1.58 * 100)
    assert step["for_tokens"]["costs"]["money"] == pytest.approx(32 * costs["money"])
    assert (step["rates"]["carbon"]["grade"], step["rates"]["price"]["grade"]) == (None, "S")
    several = done(wsc("estimate", *options, "--wafers", "4")).stdout
    assert "interconnect  4 wafers, 2 levels of nodes: broadcast of " in several
    assert "with 2 runs a wafer" in several
    assert "1,000 in 32 steps: " in several
    assert "at 100 (given) g CO2e and 0.0806 (S) USD a kWh" in several


def test_a_run_says_what_it_cost(folder: Path) -> None:
    (folder / "r.toml").write_text(
        'currency = "EUR"\ncarbon = { value = 20, grade = "M", note = "a dam" }\n'
        'price = { value = 0.5, grade = "A" }\noverhead = { value = 1, grade = "A" }\n'
    )
    result = done(wsc(*train("--steps", "2", "--rates", "r.toml", "--json")))
    found = json.loads(result.stdout)
    assert [len(found["losses"]), found["last_step"], found["done_again"]] == [2, 2, 0]
    assert found["costs"]["money"] == pytest.approx(2 * found["step"]["costs"]["money"])
    assert found["costs"]["co2e_grams"] == pytest.approx(found["costs"]["joules"] / 3.6e6 * 20)
    assert "at 20 (M) g CO2e and 0.5 (A) EUR a kWh, 1 (A) times" in result.stderr
    (folder / "r.toml").write_text("carbon = 3\n")
    refused = wsc(*train("--steps", "2", "--rates", "r.toml", "-o", "none"))
    assert "r.toml: 'carbon' must be a table { value, grade, note }" in refused.stderr
    assert not (folder / "none").exists()
    mse = ["--loss", "mse", "--for-tokens", "9", "--batch", "4", "--fabric", "2x2"]
    assert "has no labels" in wsc("estimate", "m.onnx", "--train", *mse).stderr


def test_bound_inputs_do_not_train(folder: Path) -> None:
    result = wsc("compile", "m.onnx", "--train", "--wide", "x")
    assert "--train takes no --bind, --input or --wide" in result.stderr
