"""``wsc debug``: a run in steps, driven by a script on standard input."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.cli.helpers import TWICE, done, mlp
from wsc.api import load
from wsc.cli.main import cli

LINES = TWICE.splitlines()
TAKE = next(number for number, text in enumerate(LINES, 1) if "<into> for" in text)
DOUBLE = next(number for number, text in enumerate(LINES, 1) if "add.f32" in text)


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    path = tmp_path / "twice.wsa"
    path.write_text(TWICE, encoding="utf-8")
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.float32))
    return path


def debug(program: Path, *script: str, options: tuple[object, ...] = ()) -> Result:
    """Run a script of commands."""
    given = () if program.suffix == ".onnx" else ("--input", f"a={program.parent / 'a.npy'}")
    arguments = [str(item) for item in ("debug", program, *given, *options)]
    return CliRunner().invoke(cli, arguments, input="\n".join(script) + "\n")


def test_a_run_in_steps(twice: Path) -> None:
    shown = done(debug(twice, "step", f"until {DOUBLE}", "memory buf", "end", "mem buf")).stdout
    parts = re.split(r"^cycle ", shown, flags=re.M)[1:]
    assert parts[0].startswith("0, tile (0, 0)")
    assert re.search(rf"main thread +{TAKE} +mov +a ", parts[1])
    assert re.search(rf"main thread +{DOUBLE} +add +/twice/Add ", parts[2])
    assert "buf: 2 of f32\n[0., 2.]" in parts[3]  # doubled
    assert "the run has ended after" in shown


def test_a_wait_its_queue_and_its_memory(twice: Path) -> None:
    slow = ("--set", "io.bytes_per_cycle=1", "--tile", "1,1", "--line", TAKE)
    script = (
        "cycle 4",
        "queues",
        "registers",
        "semaphores",
        "bytes 0 2",
        "list 2",
        "memory",
        "tile 3,0",
    )
    shown = done(debug(twice, *script, options=slow)).stdout
    assert re.search(r"has waited \d+ cycles for a wavelet of color 'into'", shown)
    assert re.search(r"^into +router +\d +\d .*N -> RAMP$", shown, re.M)
    assert re.search(r"^into +input queue +0 +\d+$", shown, re.M)
    assert re.search(r"^at +0$", shown, re.M)
    assert re.search(r"^count +2$", shown, re.M)
    assert "all are zero" in shown
    assert "     0  0x00000000 (0, 0)\n     4  0x00000000 (0, 0)" in shown
    assert '>    2  fabric "wse2" 4x2' in shown
    assert re.search(r"^buf +f32 +0 +8 +/twice/Add$", shown, re.M)
    assert "tile (3, 0)" in shown


def test_steps_take_the_cycles_of_the_run(twice: Path) -> None:
    program = load(twice)
    inputs = {"a": np.arange(8, dtype=np.float32)}
    run = program.run(inputs)
    session = program.session(inputs)
    for cycle in range(1, run.cycles + 2):
        session.advance(cycle)
    assert session.ending() == f"the run has ended after {run.cycles:,} cycles"
    assert (session.outputs["r"] == run.outputs["r"]).all()


def test_a_deadlock_says_who_waits(twice: Path) -> None:
    twice.write_text(TWICE.replace("main all\n", "main all\n  wait s3, 1\n"), encoding="utf-8")
    shown = done(debug(twice, "end")).stdout
    assert "deadlock in cycle" in shown
    assert "waits for semaphore s3: needs 1, has 0" in shown


def test_a_model_is_compiled(tmp_path: Path) -> None:
    shown = done(debug(mlp(tmp_path), "list", options=("--fabric", "2x2"))).stdout
    assert re.search(r"^> +\d+ +call ", shown, re.M)


REFUSED = [
    ("leap", "'leap': no command 'leap': step, cycle,"),
    ("t 3", "'t 3': which: to, tile?"),
    ("step x", "'x' is no number from 1 on"),
    ("to", "wants to CYCLE"),
    ("until 1", "line 1 has no instruction"),
    ("tile 9,9", "there is no tile 9,9: x is 0 to 3, y 0 to 1"),
    ("memory none", "there is no tensor 'none'; 'memory' lists them"),
    ("bytes 6", "a word begins at a multiple of 4"),
    ("to 5\nto 4", "cycle 4 is over; a run does not go back"),
    ("end\ncycle", "the run has ended after"),
]


@pytest.mark.parametrize(("script", "message"), REFUSED)
def test_what_cannot_be_done_ends_a_script(twice: Path, script: str, message: str) -> None:
    result = debug(twice, script)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: '")
    assert message in result.stderr


def test_a_limit_of_cycles_is_kept(twice: Path) -> None:
    shown = done(debug(twice, "end", options=("--max-cycles", 9))).stdout
    assert "cycle 9, tile (0, 0)" in shown
    again = done(debug(twice, "end", "end", options=("--max-cycles", 9)), 2)
    assert "--max-cycles 9 is reached" in again.stderr
