"""A model's name in the place of its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.helpers import TWICE, done, files, mlp, refused, text_file, wsc
from wsc.frontend.store import Checkpoint, Seed
from wsc.sweeps.points import Axes, Model, keys

SMALL = ("--layers", 1, "--hidden", 32, "--heads", 4, "--vocabulary", 24, "--sequence", 4)
CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_list() -> None:
    text = done(wsc("models")).stdout
    for fact in (
        "gpt-neox-20b",
        "20,554,567,680",
        "config.json of EleutherAI/gpt-neox-20b",
        "32 / 8",
    ):
        assert fact in text
    rows = json.loads(done(wsc("models", "--json")).stdout)
    assert len(rows) == 10
    assert rows[0]["parameters"] == 109_514_298


def test_compile_and_run(tmp_path: Path) -> None:
    told = done(wsc("compile", "gpt-neo-2.7b", *SMALL, "--fabric", "4x4")).stderr
    assert "drawn from seed 0" in told
    assert files(tmp_path) == ["gpt-neo-2.7b.wsa", "gpt-neo-2.7b.wsa.safetensors"]
    again = ("run", "gpt-neo-2.7b.wsa", "--engine", "values", "--compare", "gpt-neo-2.7b", *SMALL)
    assert "all outputs agree with ONNX Runtime" in done(wsc(*again)).stdout
    # Weights of another seed are other weights.
    assert "logits" in done(wsc(*again, "--weights-seed", 1), 1).stdout


def test_run_without_a_file(tmp_path: Path) -> None:
    options = (*SMALL, "--engine", "values", "--compare", "llama3-8b", "--json", "-p", "f16")
    found = json.loads(done(wsc("run", "llama3-8b", *options, "--fabric", "4x2")).stdout)
    assert found["model"] == "llama3-8b"
    assert found["fabric"]["width"] == 4
    assert not files(tmp_path)


def test_a_journal_knows_the_weights_of_a_name() -> None:
    """Other weights are another model, though the graph is the same."""
    stores = [Seed(0), Seed(0), Seed(1), Checkpoint(CHECKPOINTS / "gpt_neox"), None]
    found = [keys(Axes([Model("m", b"graph", store)]).points())[0] for store in stores]
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_a_report_of_a_name(tmp_path: Path) -> None:
    done(wsc("report", "gpt2", *SMALL, "--fabric", "2x2", "-o", "r.html"))
    assert "gpt2" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_step(tmp_path: Path) -> None:
    options = (*SMALL, "--step", "--batch", 2, "--fabric", "4x2")
    text = done(wsc("inspect", "gpt-j-6b", *options)).stdout
    assert "int64[2, 1]" in text
    assert "float32[2, 4, 4, 8]" in text


def test_estimate_of_a_training_step() -> None:
    options = ("--train", *SMALL[2:], "--layers", 2, "--fabric", "4x4", "--batch", 2, "--json")
    found = json.loads(done(wsc("estimate", "gpt-j-6b", *options)).stdout)
    assert (found["precision"], found["tokens"]) == ("f16", 8)
    assert found["notes"] == ["the activations of 2 layers are kept"]
    refused(wsc("estimate", "gpt-j-6b", "--train", "--dim", "batch=2"), "--dim: gpt-j-6b is a name")


def test_a_training_step_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In halves if nothing else is said, for as many sequences as a run takes."""
    options = ("--train", *SMALL, "--fabric", "4x4", "--optimizer", "sgd")
    done(wsc("compile", "gpt2", *options, "--batch", 2, "-o", "a.wsa"))
    text = (tmp_path / "a.wsa").read_text(encoding="utf-8")
    assert "precision f16\n" in text
    assert "i32[2, 4]" in text
    assert 'update "transformer.h.0.attn.c_attn.weight" by sgd(' in text
    done(wsc("compile", "gpt2", *options, "--accumulate", 2, "-p", "f32"))  # runs of one each
    text = (tmp_path / "gpt2.wsa").read_text(encoding="utf-8")
    assert "precision f32\n" in text
    assert "i32[1, 4]" in text
    refused(wsc("compile", "gpt2", *options, "--dim", "batch=2"), "has no such dimension")
    monkeypatch.setattr("wsc.runtime.memory.available_bytes", lambda: 1000)
    refused(wsc("compile", "gpt2", *options), "its optimizer keeps take", "and 1,000 are free")


def test_estimate() -> None:
    options = (*SMALL, "--fabric", "6x4", "--batch", 2, "-p", "f16")
    found = json.loads(done(wsc("estimate", "gpt2", *options, "--json")).stdout)
    for name in (
        "cycles",
        "seconds",
        "tokens_per_second",
        "useful_utilization",
        "io_bytes",
        "sram",
        "energy_picojoules",
    ):
        assert found[name]
    assert found["tokens"] == 8
    assert found["tokens_per_second"] == pytest.approx(8 / found["seconds"])
    # Products with weights, and of queries, keys, values.
    assert found["useful_macs"] == 8 * (12 * 32 * 32 + 32 * 24) + 2 * 2 * 4 * 4 * 32
    parts = {row["part"]: row for row in found["parts"]}
    assert parts["attn.c_attn"]["layers"] == 1
    assert parts["lm_head"]["layers"] == 0
    assert sum(row["predicted_cycles"] for row in found["parts"]) <= found["cycles"]
    text = done(wsc("estimate", "gpt2", *options)).stdout
    for fact in ("tokens a second", "values", "mlp.c_fc", "repeated work left out", "agreement"):
        assert fact in text


def test_a_whole_model_is_never_in_memory(tmp_path: Path) -> None:
    """A layer of a large model: its text is short, and nothing of its weights is stored."""
    done(wsc("compile", "gpt3-175b", "--layers", 1, "--sequence", 16, "-p", "f16"))
    text = (tmp_path / "gpt3-175b.wsa").read_text()
    assert 'f16[12288, 49152] drawn 0 key "transformer.h.0.mlp.c_fc.weight"' in text
    assert (tmp_path / "gpt3-175b.wsa.safetensors").stat().st_size < 10_000


def test_a_checkpoint(tmp_path: Path) -> None:
    folder = CHECKPOINTS / "gpt_neox"
    sizes = ("--checkpoint", folder, "--sequence", 6, "--batch", 2)
    done(wsc("compile", "gpt-neox-20b", *sizes, "--fabric", "4x4", "-o", "m.wsa"))
    assert 'f32[96, 32] "model.safetensors" key "gpt_neox.layers.' in Path("m.wsa").read_text()
    options = ("m.wsa", "--engine", "values")
    refused(wsc("run", *options), "model.safetensors", "--checkpoint DIR")
    done(wsc("run", *options, "--checkpoint", folder))
    compared = wsc("run", *options, "--compare", "gpt-neox-20b", *sizes)
    assert "all outputs agree" in done(compared).stdout
    (tmp_path / "other").mkdir()
    refused(wsc("compile", "gpt-neox-20b", "--checkpoint", "other"), "no config.json")
    refused(wsc("compile", "gpt2", *sizes), "of type 'gpt_neox', and gpt2 is one of gpt2")
    refused(
        wsc("compile", "gpt-neox-20b", *sizes, "--hidden", 64),
        "has the shape [48, 32], and the model wants [48, 64]",
    )
    refused(wsc("compile", "gpt-neox-20b", *sizes, "--layers", 3), "lacks gpt_neox.layers.2.")
    refused(wsc("compile", "gpt-neox-20b", *sizes, "--weights-seed", 3), "those of the checkpoint")
    assert files(tmp_path) == ["m.wsa", "m.wsa.safetensors", "other"]


@pytest.mark.parametrize("command", ["compile", "run", "estimate", "inspect"])
def test_names_that_are_none(command: str) -> None:
    refused(wsc(command, "gpt-neox"), "gpt-neox: no such file", "did you mean gpt-neox-20b")
    refused(wsc(command, "gpt2", "--hidden", 100, "--heads", 7), "100 is no multiple of 7 heads")
    # What looks like a file is one.
    refused(wsc(command, Path("a", "gpt2")), "no such file")
    ending = "onnx" if command in ("compile", "estimate") else "wsa"
    refused(wsc(command, f"gpt2.{ending}"), f"gpt2.{ending}")


def test_sizes_belong_to_names(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), text_file(tmp_path / "twice.wsa", TWICE)
    refused(wsc("compile", model, "--layers", 2), "--layers: ", "mlp.onnx is a file")
    refused(wsc("estimate", model, "--batch", 2), "--batch: ", "is a file")
    refused(wsc("run", program, "--kv-heads", 2), "--kv-heads: ", "is a file")
    refused(wsc("inspect", program, "--step"), "--step: ", "is a file")
    refused(wsc("inspect", program, "-p", "f16"), "--precision: ", "is compiled")


def test_a_file_comes_before_a_name(tmp_path: Path) -> None:
    mlp(tmp_path).rename(tmp_path / "gpt2")
    done(wsc("compile", "gpt2", "--fabric", "4x4"))
    assert "logits" in (tmp_path / "gpt2.wsa").read_text()
    assert "transformer" not in (tmp_path / "gpt2.wsa").read_text()
