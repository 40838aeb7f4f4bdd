"""``wsc why``: the waits of a tile, node or line, and the chain behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.helpers import TWICE, done, mlp, refused, wsc


def test_a_tile_tells_who_was_late(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    lines = TWICE.splitlines()
    shown = done(wsc("why", twice, "--tile", "1,1", "--set", "io.bytes_per_cycle=1")).stdout
    assert re.search(r"^tile \(1, 1\): threads waited \d+ cycles$", shown, re.M)
    take = next(number for number, text in enumerate(lines, 1) if "<into> for" in text)
    feed = next(number for number, text in enumerate(lines, 1) if text.startswith("feed"))
    row = next(line for line in shown.splitlines() if "a wavelet of color 'into'" in line)
    assert re.search(rf"tile \(1, 1\) +{take} +mov .* the edge at \(1, 0\) +{feed}$", row)


def test_the_critical_path_as_json(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    made = json.loads(done(wsc("why", twice, "--json")).stdout)
    assert made["subject"] == "the run"
    assert (made["begins"], made["ends"]) == (0, made["cycles"])
    path = made["path"]
    assert sum(step["end"] - step["begin"] + step["way"] for step in path) == made["cycles"]
    assert path[0]["text"] == "drain r"
    assert path[-1]["begin"] == path[-1]["way"] == 0
    assert sum(line["cycles"] for line in made["lines"]) == made["cycles"]


def test_a_model_is_compiled_and_asked_by_node(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    shown = done(wsc("why", model, "--fabric", "3x2", "--node", "fc0")).stdout
    assert shown.startswith("node 'fc0': threads waited")
    assert "the lines of this chain" in shown


def test_a_run_that_is_stopped_tells_what_still_waits(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    slow = ("--set", "io.bytes_per_cycle=1", "--max-cycles", 9)
    stopped = done(wsc("why", twice, "--tile", "1,1", *slow), code=2)
    assert "a wavelet of color 'into', until the end" in stopped.stdout
    assert "none of these waits had ended when the run did" in stopped.stdout
    assert stopped.stderr.endswith("error: the run did not end within 9 cycles\n")


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    refused(wsc("why", twice, "--tile", "1;1"), "--tile 1;1: wants X,Y")
    refused(wsc("why", twice, "--tile", "4,1"), "there is no tile 4,1: x is 0 to 3, y 0 to 1")
    refused(wsc("why", twice, "--node", "x"), "no statement of main is for a node 'x'")
    refused(wsc("why", twice, "--layers", 2), "is a file, and has its sizes in it")
