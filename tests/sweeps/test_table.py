"""The rows of a sweep in other forms, and what matters in them."""

from __future__ import annotations

import csv
import io
import itertools
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from wsc.errors import CompileError
from wsc.sweeps.point import MEASURED
from wsc.sweeps.table import Sweep

AXES = ("model", "fabric", "a", "b")


def made(a: Any = (2, 4, 8), b: Any = (1, 2), models: Any = ("m", "n")) -> Sweep:
    """Cycles are 100 a, twice that for the second model; b has no effect."""
    rows: list[dict[str, Any]] = []
    for model, x, y in itertools.product(models, a, b):
        cycles = 100 * (x if isinstance(x, int) else len(x)) * (1 + models.index(model))
        row: dict[str, Any] = dict.fromkeys(MEASURED)
        row |= {"model": model, "fabric": None, "a": x, "b": y, "cycles": cycles}
        rows.append(row | {"status": "ok", "reason": "", "notes": ""})
    return Sweep(AXES, tuple(rows))


def failed(sweep: Sweep, *numbers: int) -> Sweep:
    """The sweep with rows that failed."""
    rows = list(sweep.rows)
    for number in numbers:
        rows[number] = rows[number] | {"cycles": None, "status": "failed", "reason": "no, never"}
    return Sweep(sweep.axes, tuple(rows))


def test_what_matters_comes_first() -> None:
    first, second, third = made().sensitivity()
    assert (first.axis, first.best, first.mean, first.most, first.settings) == (
        "a",
        2,
        pytest.approx(4),
        4,
        4,
    )
    assert (second.axis, second.best, second.settings) == ("model", "m", 6)
    assert second.mean == pytest.approx(2)
    assert (third.axis, third.best, third.mean) == ("b", None, 1)


def test_what_failed_is_compared_with_nothing() -> None:
    effects = {item.axis: item for item in failed(made(), 0, 1).sensitivity()}  # all of m, a = 2
    assert effects["a"].mean == pytest.approx((2 * 2 * 4 * 4) ** 0.25)
    assert failed(made(models=("m",), b=(1,)), 0, 1).sensitivity() == []


def test_csv_and_a_frame_have_the_same_rows() -> None:
    sweep = failed(made(), 3)
    read = list(csv.DictReader(io.StringIO(sweep.csv())))
    assert tuple(read[0]) == ("model", "a", "b", "cycles", "status", "reason")
    assert [row["cycles"] for row in read] == [str(row["cycles"] or "") for row in sweep.rows]
    assert read[3]["reason"] == "no, never"
    frame = sweep.to_frame()
    assert list(frame.columns) == list(read[0])
    assert frame["cycles"].sum() == sum(row["cycles"] or 0 for row in sweep.rows)


def test_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    for sweep in (failed(made(), 3), made(a=(2, "[1, 2]"))):
        table = parquet.read_table(sweep.save(tmp_path / "s.parquet"))
        assert table.column_names == list(sweep.columns)
        assert table["cycles"].to_pylist() == [row["cycles"] for row in sweep.rows]
        assert table["a"].to_pylist() in (
            [row["a"] for row in sweep.rows],
            [str(row["a"]) for row in sweep.rows],
        )


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_packages_that_are_missing(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(CompileError, match=rf"{missing}: pip install 'wsc\[frames\]'"):
        made().to_frame() if missing == "pandas" else made().save(tmp_path / "s.parquet")
    assert not list(tmp_path.iterdir())


SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("sweep", "panels", "lines", "points"),
    [
        (made(), 2, 2, 12),
        (failed(made(), 0, 5), 2, 2, 10),
        (made(b=range(30)), 2, 30, 180),
        (made(b=(1,)), 2, 1, 6),
        (made(a=("x",), b=("y",), models=("m",)), 1, 1, 1),
        (failed(made(a=(1,), b=(1,)), 0, 1), 1, 1, 0),
        (made(models=("<m>&",)), 1, 2, 6),
    ],
)
def test_a_plot_has_a_panel_a_model_and_a_mark_a_point(
    sweep: Sweep, panels: int, lines: int, points: int
) -> None:
    root = ET.fromstring(sweep.plot("a" if len(sweep.values("a")) > 1 else None))
    titles = [item for item in root.iter(f"{SVG}text") if item.get("class") == "title"]
    assert len(titles) == panels
    assert len(list(root.iter(f"{SVG}polyline"))) == panels * lines
    marks = list(root.iter(f"{SVG}circle"))
    assert len(marks) == points
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for mark in marks:
        assert 0 < float(mark.get("cx", 0)) < width
        assert 0 < float(mark.get("cy", 0)) < height


def test_marks_are_at_their_values() -> None:
    root = ET.fromstring(made(b=(1,), models=("m",)).plot())
    across = [float(mark.get("cx", 0)) for mark in root.iter(f"{SVG}circle")]
    down = [float(mark.get("cy", 0)) for mark in root.iter(f"{SVG}circle")]
    # 2, 4, 8 are in their logarithm, 200, 400, 800 are not.
    assert across[2] - across[1] == pytest.approx(across[1] - across[0], abs=0.2)
    assert down[1] - down[2] == pytest.approx(2 * (down[0] - down[1]), abs=0.3)


@pytest.mark.parametrize(
    ("sweep", "options", "reason"),
    [
        (made(), {"x": "c"}, "the axes are model, fabric, a, b"),
        (made(), {"y": "status"}, "a plot of 'status'"),
        (made(b=range(33)), {"x": "a"}, "at most 32 lines, and 33"),
        (made(models=[f"m{n}" for n in range(25)]), {}, "at most 24 panels"),
    ],
)
def test_plots_that_cannot_be(sweep: Sweep, options: Any, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        sweep.plot(**options)
