"""On a screen of 80 columns every command keeps to it, and no word of a table is cut."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from tests.cli.helpers import TWICE, done, saved, text_file, wsc
from wsc.models import builders

WIDTH = 80
MOVES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")  # of a terminal's cursor and colors
LONG = "/encoder/layer.{}/attention/output/dense/a_name_as_exporters_give_them/MatMul"

COMMANDS = [
    "compile net.onnx --fabric 4x4 -o other.wsa --explain * -v",
    "run net.wsa --seed 1 --compare net.onnx -v --all",
    "run net.wsa --seed 1 --map links --map sram --against net.onnx --trace t.json",
    "estimate net.onnx --fabric 4x4 -v --all",
    "estimate mlp.onnx --fabric 4x4 --train --batch 4 --carbon 100 -v",
    "inspect net.wsa",
    "inspect net.wsa --tile 1,1",
    "inspect net.wsa --streams",
    "inspect net.wsa --sram",
    "why net.wsa --seed 1 --tile 1,1",
    "diff net.wsa twice.wsa --all",
    "sweep mlp.onnx --fabric 2x2 --set router.buffer_depth=2,4 --workers 1 -o s.csv",
    "train mlp.onnx --data data.npz --batch 4 --steps 1 --fabric 2x2 --carbon 9",
    "models",
    "ops",
    "fabrics",
    "fabrics wse2",
    "check net.wsa",
    "debug twice.wsa --seed 1",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, a program of each kind, and samples."""
    made = tmp_path_factory.mktemp("screen")
    saved(builders.mlp((16, 32, 10), batch=4), made / "mlp.onnx")
    model = builders.mlp((16, 24, 12, 10), batch=4)
    for number, node in enumerate(model.graph.node):
        node.name = LONG.format(number)
    onnx.save(model, made / "net.onnx")
    text_file(made / "twice.wsa", TWICE)
    rng = np.random.default_rng(0)
    np.savez(made / "data.npz", x=rng.random((8, 16), np.float32), label=np.arange(8) % 10)
    done(wsc("compile", made / "net.onnx", "--fabric", "4x4", "-o", made / "net.wsa"))
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_a_screen_of_80_columns_is_enough(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsc.cli.main import cli

    monkeypatch.chdir(folder)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    for name, value in {"COLUMNS": str(WIDTH), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    typed = "tile 1,1\nstep\nqueues\nregisters\nmemory\nlist\nhelp\nquit\n"
    result = CliRunner().invoke(cli, command.split(), prog_name="wsc", input=typed)
    assert result.exit_code in (0, 1), result.stderr
    # A line that moves is written over itself, and a prompt has no end of line here.
    shown = [MOVES.sub("", line.removeprefix("(wsc) ")) for line in result.stdout.splitlines()]
    told = [MOVES.sub("", line) for line in result.stderr.splitlines() if "\x1b[2K" not in line]
    wide = [line for line in (*shown, *told) if cell_len(line) > WIDTH]
    assert not wide
    assert not [line for line in shown if "…" in line]
