"""Sweeps: the same rows from any workers, rows for what fails, and going on where one was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wsc
from tests.cli.helpers import done, mlp, refused, text_file
from tests.cli.helpers import wsc as cli
from tests.sweeps.deadly import deadly_once, deadly_pair
from wsc.errors import CompileError
from wsc.isa.fabric import FabricError
from wsc.sweeps import Sweep, local, point
from wsc.sweeps.cluster import run_cluster
from wsc.sweeps.journal import Journal
from wsc.sweeps.points import Axes, Model, Point

DEPTHS = {"router.buffer_depth": [2, 8]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlp(tmp_path_factory.mktemp("model"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points run in this process, one after another."""

    def run_here(points: list[Point], workers: int) -> Iterator[tuple[Point, point.Row]]:
        for item in reversed(points):  # the order in which they come shows nowhere
            yield item, point.run_point(item)

    monkeypatch.setattr("wsc.sweeps.run.run_local", run_here)


@pytest.mark.usefixtures("here")
def test_rows_are_what_runs_give(model: Path) -> None:
    made = wsc.sweep(model, settings=DEPTHS, fabric="tiny:3x1", precision=["f32", "f16"])
    assert made.varied == ("precision", "router.buffer_depth")
    assert len(made.rows) == 4
    for row in made.rows:
        changed = {"router.buffer_depth": row["router.buffer_depth"]}
        program = wsc.compile(model, row["fabric"], None, row["precision"], settings=changed)
        run = program.run(program.draw(0))
        assert row["status"] == "ok"
        assert row["cycles"] == run.cycles
        assert row["macs"] == run.counters.macs_f32 + run.counters.macs_f16
        assert row["tiles"] == program.assembly.width * program.assembly.height
        total = run.counters.busy.size * run.cycles
        assert row["waiting"] == run.counters.waiting.sum() / total


@pytest.mark.usefixtures("here")
def test_engines_with_and_without_a_clock(model: Path) -> None:
    made = wsc.sweep(model, fabric="2x2", engine=["estimate", "both", "reference", "values"])
    estimate, fast, reference, values = made.rows
    assert fast | {"engine": ""} == reference | {"engine": ""}
    assert estimate["macs"] == fast["macs"] == values["macs"]
    assert abs(estimate["cycles"] / fast["cycles"] - 1) < 0.2
    assert values["cycles"] is None
    assert values["status"] == "ok"


@pytest.mark.usefixtures("here")
def test_a_program_on_other_machines(model: Path, tmp_path: Path) -> None:
    program = wsc.compile(model, "2x2")
    path = program.save(tmp_path / "m.wsa")
    made = wsc.sweep([path, model], fabric=["wse2:2x2", "3x3"], settings=DEPTHS)
    first, second, wrong, _, *compiled = made.rows
    assert (
        first["cycles"]
        == program.on(settings={"router.buffer_depth": 2}).run(program.draw()).cycles
    )
    assert "runs on wse2, router.buffer_depth = 2" in first["notes"]
    assert second["cycles"] == compiled[1]["cycles"]
    assert wrong["status"] == "failed"
    assert "is for 2x2 tiles, not 3x3" in wrong["reason"]


def test_a_worker_may_be_in_another_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    text_file(tmp_path / "lab.toml", 'base = "wse2"\nramp.latency = { value = 9, grade = "A" }\n')
    (tmp_path / "m.onnx").write_bytes(model.read_bytes())
    monkeypatch.chdir(tmp_path)
    wsc.compile("m.onnx", "2x2").save("m.wsa")
    models = [Model(name, name) for name in ("m.onnx", "m.wsa")]
    points = Axes(models, ["lab.toml:2x2"]).points()
    monkeypatch.chdir("elsewhere")
    first, second = map(point.run_point, points)
    assert first["status"] == second["status"] == "ok"
    assert first["fabric"] == "lab.toml:2x2"
    program = wsc.compile(model, "2x2", settings={"ramp.latency": 9})
    assert first["cycles"] == second["cycles"] == program.run(program.draw()).cycles


@pytest.mark.usefixtures("here")
def test_a_point_that_fails_is_a_row(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"sram.bytes": [100, 49152], "core.semaphores": [1, 16]}
    made = wsc.sweep([model, "none.onnx"], fabric="2x2", settings=sizes, max_cycles=10**6)
    assert [row["status"] for row in made.rows] == ["failed"] * 3 + ["ok"] + ["failed"] * 4
    for row in made.rows:
        assert bool(row["reason"]) == (row["cycles"] is None)
        assert "\n" not in row["reason"]
        assert "defect" not in row["reason"]
    assert made.columns[-2:] == ("status", "reason")
    (short,) = wsc.sweep(model, fabric="2x2", max_cycles=10).rows
    assert "10" in short["reason"]

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(point, "_measured", broken)
    (defect,) = wsc.sweep(model, fabric="2x2").rows
    assert defect["reason"] == "a defect of wsc, please report it: ZeroDivisionError: oh"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"settings": {"router.depth": 3}}, "no number 'router.depth'"),
        ({"settings": {"router.buffer_depth": "a"}}, "'a' is no number"),
        ({"precision": "f64"}, "precision 'f64' is not known"),
        ({"fabric": "none"}, "no fabric 'none'"),
        ({"workers": 0}, "needs a worker"),
        ({"cluster": "tcp://127.0.0.1:1"}, "no Dask scheduler at"),
        ({"cluster": "nonsense://"}, "no Dask scheduler at"),
    ],
)
def test_what_is_wrong_with_all_points_is_said_at_once(
    options: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsc.cluster.PATIENCE", 1)
    with pytest.raises((CompileError, FabricError), match=reason):
        wsc.sweep(b"", **options)
    with pytest.raises(CompileError, match="not int"):
        wsc.sweep(3)  # pyright: ignore[reportArgumentType]


# --- processes --------------------------------------------------------------------


def _points(folder: Path) -> list[Point]:
    return Axes([Model(str(folder), b"")], settings={"io.bytes_per_cycle": range(1, 6)}).points()


def test_a_process_that_is_killed_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_both", deadly_pair)
    rows = {item.number: row for item, row in local.run_local(_points(tmp_path), 2)}
    assert sorted(rows) == [0, 1, 2, 3, 4]
    assert rows.pop(1)["reason"] == local.ENDED
    assert {row["status"] for row in rows.values()} == {"ok"}


@pytest.mark.parametrize(("points", "wanted", "processes"), [(3, 1000, 3), (5, 4, 4), (1, 8, 2)])
def test_there_are_no_more_processes_than_points(
    points: int, wanted: int, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def pool(n_jobs: int, **_: Any) -> Any:
        started.append(n_jobs)
        return lambda tasks: [(point, {}) for (point,) in (task[1] for task in tasks)]

    monkeypatch.setattr("joblib.Parallel", pool)
    rows = list(local.run_local(_points(tmp_path)[:points], wanted))
    assert len(rows) == points
    assert started == [processes]


def test_rows_do_not_depend_on_the_workers(model: Path, tmp_path: Path) -> None:
    """In processes of joblib, and in threads of a cluster."""
    from distributed import LocalCluster

    options: Any = {"fabric": "1x3", "settings": {"router.buffer_depth": [2, 4, 8]}}
    here = wsc.sweep(model, workers=1, **options).rows
    started: Any = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    with started as cluster:
        made = wsc.sweep(
            model, cluster=cluster.scheduler_address, journal=tmp_path / "j", **options
        )
    assert made.rows == here
    assert not (tmp_path / "j").exists()
    assert [row["status"] for row in made.rows] == ["ok"] * 3


def test_a_cluster_that_loses_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had at work is done by the other one."""
    from distributed import LocalCluster

    monkeypatch.setattr("wsc.sweeps.cluster.run_point", deadly_once)
    points = _points(tmp_path)
    started: Any = LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with started as cluster:
        rows = {item.number: row for item, row in run_cluster(points, cluster.scheduler_address)}
    assert (tmp_path / "killed").exists()
    assert sorted(rows) == [0, 1, 2, 3, 4]
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_a_point_that_ends_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask blames others that were waiting at the same worker: they are tried by themselves."""
    points = _points(Path())
    asked: list[list[int]] = []

    def submitted(_: Any, given: list[Point], address: str) -> Iterator[Any]:
        asked.append([item.number for item in given])
        for item in given:
            lost = item.number == 1 or (item.number == 2 and len(given) > 1)
            yield item, None if lost else point.stopped(item, "ok", "")

    client = type("Client", (), {"close": lambda self: None})()
    monkeypatch.setattr("wsc.sweeps.cluster.connect", lambda address: client)
    monkeypatch.setattr("wsc.sweeps.cluster._submitted", submitted)
    rows = {item.number: row for item, row in run_cluster(points, "tcp://")}
    assert asked == [[0, 1, 2, 3, 4], [1], [2]]
    assert rows.pop(1)["status"] == "killed"
    assert {row["status"] for row in rows.values()} == {"ok"}


# --- the journal ------------------------------------------------------------------


def _interrupted(model: Path, output: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of four points that is interrupted after some rows."""

    def run(points: list[Point], workers: int) -> Iterator[tuple[Point, point.Row]]:
        for item in points[:after]:
            yield item, point.run_point(item)
        raise KeyboardInterrupt

    monkeypatch.setattr("wsc.sweeps.run.run_local", run)
    result = cli(*_command(model, output))
    assert result.exit_code == 130
    assert f"interrupted after {after} of 4 points" in result.stderr


def _command(model: Path, output: Path) -> list[object]:
    sets = ("--set", "router.buffer_depth=2,4", "--set", "io.bytes_per_cycle=8,176")
    return ["sweep", model, "--fabric", "2x2", *sets, "-o", output]


def test_an_interrupted_sweep_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, journal = tmp_path / "s.csv", tmp_path / "s.csv.journal"
    _interrupted(model, output, 3, monkeypatch)
    assert not output.exists()
    with journal.open("a") as file:
        file.write('{"key": "cut sho')  # as the end of a process may leave it
    ran: list[int] = []

    def run(points: list[Point], workers: int) -> Iterator[tuple[Point, point.Row]]:
        for item in points:
            ran.append(item.number)
            yield item, point.run_point(item)

    monkeypatch.setattr("wsc.sweeps.run.run_local", run)
    result = done(cli(*_command(model, output)))
    assert ran == [3]
    assert "3 of 4 points are done already: the sweep goes on" in result.stderr
    assert sorted(item.name for item in tmp_path.iterdir()) == ["s.csv"]
    first = output.read_text()
    done(cli(*_command(model, output)))  # from the beginning
    assert ran == [3, 0, 1, 2, 3]
    assert output.read_text() == first


def test_a_journal_keeps_rows_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    row = {"status": "ok", "cycles": 3, "utilization": 0.1 + 0.2, "fabric": None}
    book = Journal(path)
    book.add("a", row)
    book.add("b", {"status": "killed"})
    book.close(done=False)
    book = Journal(path)
    assert book.row("a") == row
    assert book.row("b") is None  # it is tried again
    book.close(done=True)
    assert not path.exists()


@pytest.mark.parametrize("text", ["mine", "{}", '{"format": "other"}', "\x00\xff"])
def test_a_file_that_is_no_journal_is_left_alone(text: str, model: Path, tmp_path: Path) -> None:
    other = text_file(tmp_path / "s.csv.journal", text)
    refused(
        cli(*_command(model, tmp_path / "s.csv")), "s.csv.journal", "is none: it is not replaced"
    )
    assert other.read_text(encoding="utf-8") == text


def test_a_journal_of_another_version_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    head = {"format": "wsc sweep", "version": "0.0.0"}
    lines = [head, {"key": "a", "row": {"status": "ok"}}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    book = Journal(path)
    assert book.row("a") is None
    book.close(done=False)
    assert len(path.read_text().splitlines()) == 1


def test_a_sweep_is_shown_in_a_line() -> None:
    rows = tuple(point.stopped(item, "failed", "no") for item in Axes([Model("<b>", b"")]).points())
    made = Sweep(("model", "fabric"), rows)
    assert repr(made) == "<wsc.Sweep points: 1, 1 failed; varied: nothing>"
    shown: Any = made
    assert "<td>&lt;b&gt;</td>" in shown._repr_html_()
