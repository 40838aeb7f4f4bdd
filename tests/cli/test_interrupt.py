"""Ctrl-C, for real: a signal to a process of its own, on a terminal that says how far it is."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import TWICE, files, saved, text_file
from wsc.cli.start import INTERRUPTED
from wsc.models import builders
from wsc.runtime.engine import BOTH, TIME, TIMED

ROOT = Path(__file__).parents[2]
PATIENCE = 240  # seconds until the engine is compiled, on a machine that does other things too
ENDLESS = TWICE.replace("main all\n", "main all\n  loop k: 1000000000\n    i.set now, k\n  end\n")


@dataclass(frozen=True)
class Ended:
    code: int
    said: str
    seconds: float  # from the signal on


def interrupt(folder: Path, at: str, *arguments: object, later: float = 0.0) -> Ended:
    """The fastest of a few tries: whoever else uses the machine may hold up one of them."""
    ended = _interrupt(folder, at, *arguments, later=later)
    for _ in range(2):
        if ended.seconds >= 1:
            again = _interrupt(folder, at, *arguments, later=later)
            ended = min(ended, again, key=lambda one: one.seconds)
    return ended


def _interrupt(folder: Path, at: str, *arguments: object, later: float = 0.0) -> Ended:
    """Run ``wsc``, send SIGINT some time after its status line has said ``at``."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wsc.cli", *map(str, arguments)],
        cwd=folder,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(theirs)
    said = b""
    try:
        began = time.monotonic()
        while at.encode() not in said:
            said += os.read(ours, 4096)
            assert time.monotonic() - began < PATIENCE, said
        time.sleep(later)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        code = process.wait(PATIENCE)
        return Ended(code, said.decode(), time.monotonic() - sent)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("engine", TIMED)
def test_a_run_says_where_it_was_and_leaves_nothing(tmp_path: Path, engine: str) -> None:
    text_file(tmp_path / "endless.wsa", ENDLESS)
    wanted = ("--trace", "trace.json", *(() if engine == TIME else ("-o", "out")))
    arguments = ("run", "endless.wsa", *wanted, "--engine", engine)
    ended = interrupt(tmp_path, "running: cycle", *arguments)
    assert ended.code == INTERRUPTED
    assert re.search(r"interrupted in cycle [1-9]", ended.said)
    assert (
        "0% of the edge's elements moved; 8 of 8 tiles in 'i.set' at endless.wsa:37" in ended.said
    )
    assert "Traceback" not in ended.said
    assert files(tmp_path) == ["endless.wsa"]
    assert ended.seconds < 1, ended


def test_a_run_for_values_and_time_leaves_nothing(tmp_path: Path) -> None:
    text_file(tmp_path / "endless.wsa", ENDLESS)
    arguments = ("run", "endless.wsa", "-o", "out", "--trace", "trace.json", "--engine", BOTH)
    ended = interrupt(tmp_path, "running: cycle", *arguments)
    assert ended.code == INTERRUPTED
    assert "interrupted when 0% of the edge's elements had moved" in ended.said
    assert files(tmp_path) == ["endless.wsa"]
    assert ended.seconds < 1, ended


@pytest.mark.parametrize(
    ("every", "left", "said"),
    [
        (1, ["t.safetensors"], r"--resume t.safetensors goes on from step [1-9]"),
        (10**9, [], "there is no checkpoint yet .--save-every."),
    ],
)
def test_while_a_model_is_trained(tmp_path: Path, every: int, left: list[str], said: str) -> None:
    saved(builders.mlp((3, 4), batch="batch"), tmp_path / "t.onnx")
    np.savez(tmp_path / "d.npz", x=np.ones((8, 3), np.float32), label=np.zeros(8, np.int64))
    options = ["--data", "d.npz", "--steps", 10**9, "--batch", 4, "--fabric", "2x2"]
    command = ["train", "t.onnx", *options, "--save-every", every]
    ended = interrupt(tmp_path, "training: step", *command, later=1.0)  # a checkpoint is there
    assert (ended.code, files(tmp_path)) == (INTERRUPTED, ["d.npz", "t.onnx", *left])
    assert re.search(rf"interrupted after step [1-9]\d*; {said}", ended.said)
    assert "Traceback" not in ended.said


def test_while_a_large_program_is_read(tmp_path: Path) -> None:
    text_file(
        tmp_path / "large.wsa",
        TWICE.replace("main all\n", "main all\n" + "  i.set a, 1\n" * 30_000),
    )
    ended = interrupt(tmp_path, "reading", "run", "large.wsa", "-o", "out", later=0.3)
    assert (ended.code, files(tmp_path)) == (INTERRUPTED, ["large.wsa"])
    assert "interrupted while reading large.wsa" in ended.said
    assert ended.seconds < 1, ended


def test_while_a_model_is_compiled(tmp_path: Path) -> None:
    saved(builders.transformer_encoder(8, 64, 4, 32), tmp_path / "model.onnx")
    ended = interrupt(
        tmp_path,
        "compiling",
        "compile",
        "model.onnx",
        "-o",
        "out.wsa",
        "--fabric",
        "16x16",
        later=0.3,
    )
    assert (ended.code, files(tmp_path)) == (INTERRUPTED, ["model.onnx"])
    assert "interrupted while compiling" in ended.said
    assert ended.seconds < 1, ended


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.1])
def test_at_any_moment_there_is_one_line(tmp_path: Path, moment: float) -> None:
    saved(builders.mlp((16, 32, 10), batch=4), tmp_path / "model.onnx")
    start = (
        "import signal, wsc.cli.start as it; signal.signal(signal.SIGINT, it.leave); "
        "print(flush=True); it.main()"
    )
    command = [sys.executable, "-c", start, "compile", "model.onnx", "-o", "out.wsa"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # the interpreter has begun: from here on it is our code
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    if process.returncode == 0:  # it was done by then
        return
    pair = ["out.wsa", "out.wsa.safetensors"]
    if process.returncode == -signal.SIGINT:
        # Python itself was ending, and had given the signal back to the system: all is done.
        assert files(tmp_path) == ["model.onnx", *pair]
        return
    assert process.returncode == INTERRUPTED
    assert said in ("interrupted\n", "interrupted while compiling\n")
    # Both files or neither: when it comes just before the end, both are there.
    assert files(tmp_path) in (["model.onnx"], ["model.onnx", *pair])


def test_an_interrupt_before_the_command_runs_is_one_line(tmp_path: Path) -> None:
    """There click would put an empty line before it."""
    start = (
        "import os, signal, click, wsc.cli.start as it\n"
        "parse = click.Group.parse_args\n"
        "def interrupted(*given):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return parse(*given)\n"
        "click.Group.parse_args = interrupted\n"
        "it.main()"
    )
    command = [sys.executable, "-c", start, "ops"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "interrupted\n")
