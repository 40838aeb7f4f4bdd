"""``wsc diff`` of programs, runs and dumps: what changed is there, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import TWICE, done, mlp, refused, text_file, wsc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, compiled for two machines: programs, dumps, and runs of both."""
    made = tmp_path_factory.mktemp("made")
    model = mlp(made)
    for name, options in (("a", ("--fabric", "2x2")), ("b", ("--fabric", "2x3", "-p", "f16"))):
        program = made / f"{name}.wsa"
        done(wsc("compile", model, "-o", program, "--dump-ir", made / name, *options))
        text_file(made / f"{name}.json", done(wsc("run", program, "--json")).stdout)
        text_file(made / f"{name}e.json", done(wsc("estimate", program, "--json")).stdout)
    return made


def _tables(result: Any) -> dict[str, Any]:
    return {table["title"]: table for table in json.loads(result.stdout)["tables"]}


def test_programs(folder: Path) -> None:
    first, second = folder / "a.wsa", folder / "b.wsa"
    found = _tables(done(wsc("diff", first, second, "--json"), code=1))
    totals = {item["name"]: (item["before"], item["after"]) for item in found["program"]["changed"]}
    assert totals["tiles"] == ("2x2", "2x3")
    assert totals["precision"] == ("f32", "f16")
    cycles = [json.loads((folder / name).read_text())["cycles"] for name in ("ae.json", "be.json")]
    assert totals["cycles"] == tuple(cycles)
    nodes = [item for item in found["nodes"]["changed"] if item["field"] == "cycles"]
    assert 0 < sum(item["before"] - item["after"] for item in nodes) <= cycles[0]
    layouts = [item for item in found["tensors in SRAM"]["changed"] if item["field"] == "layout"]
    assert layouts
    assert all(item["before"][0] in "fi" and "[" in item["before"] for item in layouts)
    text = done(wsc("diff", first, second), code=1).stdout
    for fact in ("precision: f32 -> f16", "nodes", "kernels", "cycles", "SRAM data"):
        assert fact in text


def test_runs(folder: Path) -> None:
    found = _tables(done(wsc("diff", folder / "a.json", folder / "b.json", "--json"), code=1))
    runs = [json.loads((folder / name).read_text()) for name in ("a.json", "b.json")]
    totals = {item["name"]: (item["before"], item["after"]) for item in found["run"]["changed"]}
    assert totals["cycles"] == tuple(run["cycles"] for run in runs)
    assert not [name for name in totals if "seconds" in name and "fabric" not in name]
    kernels = {
        item["name"]: item["after"] - item["before"]
        for item in found["kernels"]["changed"]
        if item["field"] == "cycles"
    }
    for name, change in kernels.items():
        sums = [
            sum(row["added_cycles"] for row in run["kernels"] if row["kernel"] == name)
            for run in runs
        ]
        assert change == sums[1] - sums[0]
    # A run and an estimate are of one kind.
    assert "cycles" in done(wsc("diff", folder / "a.json", folder / "be.json"), code=1).stdout


def _dump(folder: Path, stage: str) -> Path:
    (file,) = folder.glob(f"*-{stage}.txt")
    return file


def test_dumps(folder: Path) -> None:
    for stage in ("import", "place", "memory", "route"):
        result = wsc("diff", _dump(folder / "a", stage), _dump(folder / "b", stage))
        assert "f16" in done(result, code=1).stdout.lower()
    found = _tables(done(wsc("diff", folder / "a", folder / "b", "--json"), code=1))
    assert {"import: values", "place: tasks", "memory: buffers"} <= set(found)
    assert "route: kernels" in found
    # Sizes are numbers, and of a task only the fields that changed are told.
    sizes = [item for item in found["memory: buffers"]["changed"] if item["field"] == "bytes"]
    assert sizes
    assert all(item["after"] < item["before"] for item in sizes)
    fields = {item["field"] for item in found["place: tasks"]["changed"]}
    assert "write out" in fields
    assert not {"index_a", "labels"} & fields
    # Between two passes a program need not be one that runs.
    assert (
        "SRAM data"
        in done(
            wsc("diff", _dump(folder / "a", "emit"), _dump(folder / "b", "emit")), code=1
        ).stdout
    )
    for table in found.values():
        names = [item["name"] for item in table["changed"] if not item["field"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["a.wsa", "a.json", "ae.json", "a"])
def test_nothing_differs_from_itself(name: str, folder: Path) -> None:
    assert done(wsc("diff", folder / name, folder / name)).stdout == "no difference\n"


def test_a_program_whose_cycles_nobody_knows(tmp_path: Path) -> None:
    twice = text_file(tmp_path / "twice.wsa", TWICE)
    other = text_file(tmp_path / "other.wsa", TWICE.replace("size 8 @", "size 12 @"))
    result = done(wsc("diff", twice, other), code=1)
    assert "twice.wsa: its cycles cannot be predicted" in result.stderr
    assert "buf" in result.stdout


def test_what_cannot_be_compared(folder: Path, tmp_path: Path) -> None:
    refused(wsc("diff", folder / "a.wsa", folder / "a.json"), "a program and a run")
    refused(wsc("diff", folder / "a.wsa", folder), "holds no dumps")
    refused(wsc("diff", folder / "a.wsa", folder / "none.wsa"), "none.wsa: cannot be read")
    for text, reason in (("{", "is no JSON"), ("{}", "is no object"), ("what", "other:1")):
        refused(wsc("diff", text_file(tmp_path / "other", text), folder / "a.json"), reason)


def test_a_run_of_another_version_of_the_format(folder: Path, tmp_path: Path) -> None:
    """What is not there takes no part."""
    short = {"cycles": 3, "kernels": [{"nodes": ["n"]}, {"kernel": "k", "nodes": None}]}
    one = text_file(tmp_path / "one", json.dumps(short))
    assert "cycles" in done(wsc("diff", one, folder / "a.json"), code=1).stdout
