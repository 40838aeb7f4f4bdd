"""``-`` is standard input and output, and where it cannot be, that is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc
from wsc.cli.main import cli


def piped(data: bytes, *arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments], prog_name="wsc", input=data)


@pytest.mark.parametrize(
    "command",
    [
        ("run", "-", "--seed", "1"),
        ("why", "-", "--tile", "1,1"),
        ("check", "-"),
        ("inspect", "-"),
        ("fmt", "-"),
    ],
)
def test_a_program_from_standard_input(command: tuple[str, ...]) -> None:
    assert done(piped(TWICE.encode(), *command)).stdout


@pytest.mark.parametrize("command", ["run", "estimate", "check", "compile"])
def test_a_model_from_standard_input(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mlp(tmp_path).read_bytes()
    monkeypatch.chdir(tmp_path)
    made = done(piped(data, command, "-", "--fabric", "2x2"))
    assert "2x2 tiles" in made.stdout + made.stderr


def test_one_side_of_a_difference_from_standard_input(tmp_path: Path) -> None:
    there = text_file(tmp_path / "p.wsa", TWICE)
    assert "no difference" in done(piped(TWICE.encode(), "diff", there, "-")).stdout
    changed = TWICE.replace("i*4", "4*i", 1).encode()
    assert piped(changed, "diff", "-", there).exit_code in (0, 1)
    refused(piped(b"", "diff", "-", "-"), "one of the two, not both")


def test_an_array_from_standard_input(tmp_path: Path) -> None:
    there, array = text_file(tmp_path / "p.wsa", TWICE), io.BytesIO()
    np.save(array, np.arange(8, dtype=np.float32))
    data = array.getvalue()
    done(piped(data, "run", there, "--input", "a=-", "--engine", "values", "-o", tmp_path / "o"))
    assert np.load(tmp_path / "o" / "r.npy").tolist() == list(range(0, 16, 2))
    refused(piped(b"nothing", "run", there, "--input", "a=-"), "is not a .npy file")


def test_what_standard_input_and_output_cannot_be(tmp_path: Path) -> None:
    there = text_file(tmp_path / "p.wsa", TWICE)
    refused(wsc("run", there, "-o", "-"), "-o -: outputs are files in a folder")
    refused(wsc("run", there, "--trace", "-"), "--trace -: standard output has")
    refused(piped(TWICE.encode(), "sweep", "-"), "run by other processes: name a file")
    refused(piped(b"\xff\xfe", "inspect", "-"), "standard input")
    refused(wsc("diff", there, mlp(tmp_path)), "is a model: compile it")
