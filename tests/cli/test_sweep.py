"""``wsc sweep``: values of options, files, tables, exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc
from wsc import sweep
from wsc.sweeps.point import Row, run_point
from wsc.sweeps.points import Point

SMALL = ("--layers", 1, "--hidden", 32, "--heads", 4, "--vocabulary", 24, "--sequence", 4)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points run in this process."""

    def run(points: list[Point], workers: int) -> Iterator[tuple[Point, Row]]:
        for item in points:
            yield item, run_point(item)

    monkeypatch.setattr("wsc.sweeps.run.run_local", run)


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    return text_file(tmp_path / "twice.wsa", TWICE)


def test_files_and_the_tables(tmp_path: Path) -> None:
    model, rows, plot = mlp(tmp_path, batch="n"), tmp_path / "s.csv", tmp_path / "s.svg"
    result = done(
        wsc(
            "sweep",
            model,
            "--fabric",
            "2x2,tiny:1x2",
            "--dim",
            "n=1,2",
            "--set",
            "ramp.output_queues=[2,2,2,2,2,2],[3,3,3,3,3,3]",
            "-o",
            rows,
            "--plot",
            plot,
        )
    )
    with rows.open() as file:
        read = list(csv.DictReader(file))
    assert len(read) == 8
    assert {row["ramp.output_queues"] for row in read} == {
        "[2, 2, 2, 2, 2, 2]",
        "[3, 3, 3, 3, 3, 3]",
    }
    assert {row["n"] for row in read} == {"1", "2"}
    for fact in ("tiny:1x2", f"{int(read[0]['cycles']):,}", "on average", "all else equal"):
        assert fact in result.stdout
    assert plot.read_text().startswith("<svg ")


def test_json_and_a_point_that_fails(twice: Path) -> None:
    result = done(wsc("sweep", twice, "--set", "sram.bytes=8,4096", "--json"), code=1)
    made = json.loads(result.stdout)
    assert made["axes"] == ["sram.bytes"]
    assert [row["status"] for row in made["rows"]] == ["failed", "ok"]
    assert made["sensitivity"] == []
    table = done(wsc("sweep", twice, "--set", "sram.bytes=8,4096"), code=1).stdout
    assert "1 of 2 points gave nothing" in table
    assert "failed: " in table


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (("--set", "io.bytes_per_cycle"), "wants KEY=NUMBER"),
        (("--set", "io.bytes_per_cycle=8,"), "has an empty value"),
        (("--set", "io.bytes_per_cycle=8,a"), "wants a number"),
        (("--set", "io.bytes=8"), "no number 'io.bytes'"),
        (("--set", "io.bytes_per_cycle=8", "--set", "io.bytes_per_cycle=8"), "given twice"),
        (("--fabric", "8x8,none"), "no fabric 'none'"),
        (("--fabric", ""), "has an empty value"),
        (("--engine", "slow"), "slow"),
        (("--dim", "n=1,2"), "--dim is for models"),
        (("--precision", "f16"), "--precision is for models"),
        (("--x", "fabric"), "only serve --plot"),
        (("--workers", "2", "--cluster", "tcp://a:1"), "a cluster has its own"),
        (("-o", "/nowhere/s.csv"), "there is no folder"),
        (("-o", "s.xlsx"), "as .csv or .parquet alone"),
        (("--plot", "s.png"), "as .svg alone"),
    ],
)
def test_options_that_are_refused(twice: Path, options: tuple[str, ...], fact: str) -> None:
    refused(wsc("sweep", twice, *options), fact)


def test_inputs_are_not_replaced(twice: Path, tmp_path: Path) -> None:
    lab = text_file(tmp_path / "lab.toml", 'base = "wse2"\n')
    for path in (twice, lab):
        refused(wsc("sweep", twice, "--fabric", lab, "-o", path), "is the input")
    refused(wsc("sweep", twice, "-o", tmp_path / "s", "--plot", tmp_path / "s"), "two outputs")


def test_reasons_name_flags(tmp_path: Path) -> None:
    model = mlp(tmp_path, batch="n")
    made = done(wsc("sweep", model, "--fabric", "2x2", "--json"), code=1)
    assert "--dim n=N" in json.loads(made.stdout)["rows"][0]["reason"]
    assert "dims={'n': N}" in sweep(model, fabric=["2x2"], workers=1).rows[0]["reason"]


def test_models_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = mlp(tmp_path)
    options = ("--fabric", "2x2", "--engine", "estimate", "--workers", 1, "--json")
    made = done(wsc("sweep", "gpt2", model.name, *SMALL, *options, "-p", "f32,f16"))
    rows = json.loads(made.stdout)["rows"]
    assert [(row["model"], row["precision"], row["status"]) for row in rows] == [
        ("gpt2", "f32", "ok"),
        ("gpt2", "f16", "ok"),
        (model.name, "f32", "ok"),
        (model.name, "f16", "ok"),
    ]
    estimate = json.loads(done(wsc("estimate", "gpt2", *SMALL, "--fabric", "2x2", "--json")).stdout)
    assert rows[0]["cycles"] == estimate["cycles"]
    refused(wsc("sweep", model.name, *SMALL), "is for models by name, and all of these are files")
