"""The formats of a report: each holds what the run has, and the ending of the name says which."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import wsc as package
from tests.cli.helpers import done, mlp, refused, wsc
from tests.stacks import decoder
from wsc.errors import CompileError
from wsc.pages import FORMATS, format_of
from wsc.pages.formats import report_format


def test_the_rows_of_a_run_are_those_of_its_json(tmp_path: Path) -> None:
    model, out = mlp(tmp_path), tmp_path / "rows.csv"
    told = json.loads(done(wsc("run", model, "--fabric", "3x2", "--json", "--report", out)).stdout)
    rows = list(csv.DictReader(out.open()))
    assert [int(row["added"]) for row in rows] == [item["added_cycles"] for item in told["kernels"]]
    assert [json.loads(row["nodes"]) for row in rows] == [item["nodes"] for item in told["kernels"]]
    assert sum(int(row["added"]) for row in rows) <= told["cycles"]


def test_rows_of_several_runs_say_whose_they_are(tmp_path: Path) -> None:
    model, out = mlp(tmp_path), tmp_path / "rows.csv"
    done(wsc("report", model, model, "--fabric", "2x2", "--seed", "1", "-o", out))
    rows = list(csv.DictReader(out.open()))
    assert {row["run"] for row in rows} == {str(model)}
    assert len(rows) % 2 == 0


def test_node_data_has_the_nodes_of_the_model(tmp_path: Path) -> None:
    """Those of all turns of a loop, with all cycles that nodes have."""
    model, out = tmp_path / "model.onnx", tmp_path / "nodes.json"
    onnx.save(decoder(3), model)
    program = package.compile(model, "4x2")
    assert any("{" in line for line in program.text.splitlines() if "call" in line)
    done(wsc("estimate", model, "--fabric", "4x2", "--report", out))
    data: dict[str, Any] = json.loads(out.read_text())
    graph = onnx.load(model).graph
    names = {item.name for item in (*graph.input, *graph.node, *graph.initializer)}
    assert data["results"].keys() <= names
    of_layers = [name for name in data["results"] if name.split(".")[0] == "h"]
    assert {name.split(".")[1] for name in of_layers} == {"0", "1", "2"}
    assert all(item["value"] >= 0 for item in data["results"].values())
    assert [item["stop"] for item in data["gradient"]] == [0, 1]


def test_node_data_is_of_one_run(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    refused(wsc("report", model, model, "-o", tmp_path / "a.json"), "has room for one run")


@pytest.mark.parametrize("command", ["run", "estimate", "compile"])
def test_another_ending_is_refused_before_any_work(tmp_path: Path, command: str) -> None:
    told = wsc(command, tmp_path / "no.onnx", "--report", tmp_path / "a.txt")
    refused(told, "a.txt: the ending of a report says its format", *FORMATS)


def test_help_has_all_endings() -> None:
    text = done(wsc("report", "--help")).stdout
    assert f"FILE.{'|'.join(ending[1:] for ending in FORMATS)}" in text


@pytest.mark.parametrize("ending", [".html", ".CSV", "csv", ".tar.gz"])
def test_an_ending_is_of_one_format(ending: str) -> None:
    with pytest.raises(TypeError, match="the ending of another format, or none"):
        report_format(ending, "another")


def test_the_case_of_an_ending_is_no_matter() -> None:
    assert format_of(Path("A.HTML")) is FORMATS[".html"]
    with pytest.raises(CompileError, match="the ending of a report says its format"):
        format_of(Path("html"))
