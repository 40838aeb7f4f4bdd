"""The page of a run: its numbers are those of the run, and it asks for nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsc as package
from tests.cli.helpers import TWICE, done, mlp, refused, saved, text_file, wsc
from tests.stacks import decoder
from wsc.models import builders
from wsc.pages import data as module
from wsc.pages import page, report_data
from wsc.views.report import kernel_rows


class Elements(HTMLParser):
    """The elements of a page, with the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open == "script":
            self.scripts[-1] += data


def shown(text: str) -> dict[str, Any]:
    return json.loads(Elements(text).scripts[0])[0]


def made(program: Any, run: Any) -> dict[str, Any]:
    rows = kernel_rows(program.assembly, program.fabric, run.counters.statements)
    return report_data(program.assembly, program.fabric, run.counters, rows, [("head", "text")])


@pytest.fixture(scope="module")
def ran() -> tuple[Any, Any]:
    program = package.compile(builders.mlp((16, 32, 10), batch=4), "5x3")
    program.locate()
    return program, program.run(program.draw())


def test_the_numbers_are_those_of_the_run(ran: tuple[Any, Any]) -> None:
    program, run = ran
    found, counters = made(program, run), run.counters
    layers = {layer["name"]: layer for layer in found["spans"][0]["layers"]}
    assert layers["busy, main thread"]["grid"] == counters.busy.tolist()
    assert sum(found["spans"][0]["states"].values()) == counters.busy.size * run.cycles
    for side, place in (("north", 0), ("east", 1), ("south", 2), ("west", 3)):
        for name, array in [("all wavelets", counters.links)] + [
            (f"color {item.color}", item.wavelets) for item in counters.colors
        ]:
            grids = layers.get(name, {"sides": {}})["sides"]
            wanted = array[..., place]
            assert np.array_equal(grids.get(side, np.zeros(wanted.shape)), wanted), (name, side)
    assert sum(row["added"] for row in found["kernels"]) <= found["cycles"] == run.cycles
    assert found["energy"] == {key: value * 1e-6 for key, value in counters.energy.items()}


def test_lines_nodes_and_tiles_know_each_other(ran: tuple[Any, Any]) -> None:
    program, run = ran
    found = made(program, run)
    lines = program.text.split("\n")
    for number, text, nodes, cycles in found["lines"]:
        assert not number or lines[number - 1] == text
        assert set(nodes) <= set(found["nodes"])
        assert cycles is None or cycles >= 0
    calls = [line for line in found["lines"] if line[1].strip().startswith("call ") and line[3]]
    assert sum(line[3] for line in calls) == sum(row["added"] for row in found["kernels"])
    for node in found["nodes"].values():
        assert set(node["columns"]) <= set(range(5))
        assert set(node["rows"]) <= set(range(3))
    assert any(node["columns"] for node in found["nodes"].values())
    lists = found["routes"]["lists"]
    assert all(line in lines for routes in lists for line in routes)
    assert np.array(found["routes"]["grid"]).shape == (3, 5)
    assert [item["gain"] for item in found["advice"]] == sorted(
        (item["gain"] for item in found["advice"]), reverse=True
    )


def test_routes_of_each_tile() -> None:
    program = package.parse(TWICE)
    found = made(program, program.run(program.draw()))
    grid, lists = found["routes"]["grid"], found["routes"]["lists"]
    assert any("RAMP -> N" in line for line in lists[grid[0][0]])
    assert lists[grid[1][3]] == ["route into in all when y == H - 1 : N -> RAMP"]


def test_a_large_fabric_is_shown_in_blocks(
    ran: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, run = ran
    monkeypatch.setattr(module, "MOST_ACROSS", 2)
    found = made(program, run)
    assert (found["block"], found["width"], found["height"]) == (3, 2, 1)
    (layer,) = (item for item in found["spans"][0]["layers"] if item["name"] == "busy, main thread")
    blocks = run.counters.busy[:, :3].mean(), run.counters.busy[:, 3:].mean()
    assert layer["grid"] == [[pytest.approx(block, abs=0.06) for block in blocks]]
    assert found["routes"] == {"lists": [], "grid": []}
    for node in found["nodes"].values():
        assert set(node["columns"]) <= {0, 1}


@pytest.mark.parametrize("shape", ["1x1", "1x4", "4x1"])
def test_odd_fabrics(shape: str) -> None:
    program = package.compile(builders.mlp((3, 2), batch=1), shape)
    page(made(program, program.run(program.draw())))


def test_a_page_asks_for_nothing(tmp_path: Path) -> None:
    model = builders.mlp((4, 3), batch=2)
    model.graph.name = "</script><script>alert(1)</script>"
    for node in model.graph.node:
        node.name = f"{node.name}</script><img src=http://x>&\x1b"
    path, out = saved(model, tmp_path / "m.onnx"), tmp_path / "m.html"
    said = done(wsc("report", path, "-o", out, "--fabric", "2x2", "--seed", "3"))
    assert "m.html: " in said.stderr
    text = out.read_text(encoding="utf-8")
    elements = Elements(text)
    assert [tag for tag, _ in elements.found if tag == "script"] == ["script", "script"]
    assert not [tag for tag, _ in elements.found if tag in ("img", "link", "iframe", "object")]
    for tag, attributes in elements.found:
        assert not {"src", "onload", "onclick", "srcset"} & set(attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    code = elements.scripts[1] + text.split("<body>")[0]
    assert set(re.findall(r"https?://[^\s\"')]+", code)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (a["content"] for t, a in elements.found if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    # Every element that the script looks for is there, and every text is only a text.
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    assert set(re.findall(r"\bat\(\"(\w+)\"\)", elements.scripts[1])) <= ids
    assert "innerHTML" not in elements.scripts[1]
    assert ["drawn", "x from seed 3"] in shown(text)["facts"]


def test_runs_and_their_options(tmp_path: Path) -> None:
    twice, out = text_file(tmp_path / "twice.wsa", TWICE), tmp_path / "t.html"
    done(wsc("report", twice, "-o", out, "--set", "io.bytes_per_cycle=4"))
    facts = dict(shown(out.read_text(encoding="utf-8"))["facts"])
    plain = json.loads(done(wsc("run", twice, "--json", "--set", "io.bytes_per_cycle=4")).stdout)
    assert facts["cycles"].startswith(f"{plain['cycles']:,} ")
    assert "io.bytes_per_cycle = 4" in facts["fabric"]
    assert facts["note"].startswith("was compiled for wse2")
    assert facts["predicted"].startswith("nothing: ")
    stopped = wsc("report", twice, "-o", out, "--max-cycles", "6")
    assert stopped.exit_code == 2
    assert "the page shows what was counted until then" in stopped.stderr
    assert "stopped" in dict(shown(out.read_text(encoding="utf-8"))["facts"])
    refused(wsc("report", twice, "--engine", "values", "-o", out), "has no clock")
    refused(wsc("report", twice, "-o", twice), "the ending of a report says its format")
    same = tmp_path / "twice.html"
    same.hardlink_to(twice)
    refused(wsc("report", twice, "-o", same), "is the input")
    refused(wsc("report", twice, "--bind", "a=b.npy", "-o", out), "--bind is for models")


def test_the_page_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done(wsc("report", mlp(tmp_path, batch="n"), "--dim", "n=2", "-p", "f16"))
    found = shown((tmp_path / "mlp.html").read_text(encoding="utf-8"))
    assert dict(found["facts"])["precision"] == "f16"
    lines = {line[0]: line[1] for line in found["lines"]}
    for row in found["kernels"]:
        assert f"call {row['kernel']}(" in lines[row["line"]]


def test_layers_that_are_a_loop_have_the_marks_of_the_text() -> None:
    program = package.compile(decoder(3), "3x2")
    program.locate()
    found = made(program, program.run(program.draw()))
    marks = {name for row in found["kernels"] for name in row["nodes"]}
    assert any("{" in name for name in marks)
    assert marks <= set(found["nodes"])
    marked = {name for _, _, nodes, _ in found["lines"] for name in nodes}
    assert marked == set(found["nodes"])
