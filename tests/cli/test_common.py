"""Options and files that all commands share."""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.cli.helpers import array_file, text_file
from wsc.cli.common import (
    REFRESHES,
    Line,
    Memory,
    Refusal,
    console,
    read_arrays,
    read_dims,
)
from wsc.cli.tables import PlainTable, print_table


def test_dims() -> None:
    assert read_dims(["batch=4", "x=y=2", "ids.1=128"]) == {"batch": 4, "x=y": 2, "ids.1": 128}


@pytest.mark.parametrize("value", ["batch", "batch=", "=3", "batch=two", "batch=1.5"])
def test_dims_of_another_form(value: str) -> None:
    with pytest.raises(Refusal, match="NAME=N"):
        read_dims([value])


def test_dims_that_contradict() -> None:
    with pytest.raises(Refusal, match="both 4 and 5"):
        read_dims(["batch=4", "batch=5"])


def test_arrays(tmp_path: Path) -> None:
    file = array_file(tmp_path / "x.npy", np.arange(3))
    assert read_arrays("--input", [f"a={file}"])["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", ["a", "a=", "=f.npy"])
def test_arrays_of_another_form(value: str) -> None:
    with pytest.raises(Refusal, match=r"NAME=FILE\.npy"):
        read_arrays("--input", [value])


def test_array_files_that_do_not_do(tmp_path: Path) -> None:
    text = text_file(tmp_path / "text.npy", "hello")
    whole = array_file(tmp_path / "whole.npy", np.arange(100)).read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:200])
    array_file(tmp_path / "objects.npy", np.array([{}], dtype=object))
    for file, reason in (
        (tmp_path / "none.npy", "no such file"),
        (text, "is not a .npy file"),
        (tmp_path / "short.npy", "damaged"),
        (tmp_path / "objects.npy", "holds objects"),
    ):
        with pytest.raises(Refusal, match=reason):
            read_arrays("--input", [f"a={file}"])
    with pytest.raises(Refusal, match="twice"):
        read_arrays("--input", [f"a={tmp_path / 'whole.npy'}"] * 2)


def test_a_line_that_does_not_move_leaves_no_thread_behind() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True)
    before = threading.active_count()
    with screen.status("working", refresh_per_second=REFRESHES) as status:
        line = Line(status)
        assert threading.active_count() == before + 1
        line.still("compiling")
        assert threading.active_count() == before
        line("working again")
        assert threading.active_count() == before + 1
    assert isinstance(screen.file, io.StringIO)
    assert "compiling\n" in screen.file.getvalue()


def test_a_pipe_is_no_terminal_where_colors_are_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jupyter sets FORCE_COLOR for what a cell runs."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = console()
    assert not screen.is_terminal
    table = PlainTable("name", "rest", leaving=("rest",))
    table.add_row("n" * 300, "kept")
    print_table(screen, table)
    text = capsys.readouterr().out
    assert "kept" in text
    assert "\x1b" not in text


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_an_array_file_of_nonsense_is_refused_in_a_sentence(data: st.DataObject) -> None:
    file = io.BytesIO()
    np.save(file, np.arange(4, dtype=np.float32))
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        path.write_bytes(content)
        with contextlib.suppress(Refusal):
            read_arrays("--input", [f"a={path}"])


@pytest.mark.parametrize(
    "shape", ["(9223372036854775807, 2)", "(1099511627776,)", "(-1,)", "(True,)"]
)
def test_an_array_file_that_claims_more_than_it_has(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header).to_bytes(2, "little")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\0" + size + header + bytes(16))
    with pytest.raises(Refusal, match="damaged"):
        read_arrays("--input", [f"a={tmp_path / 'x.npy'}"])


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000 + "G", "x", "-1"])
def test_numbers_of_bytes_that_no_machine_has(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Memory().convert(text, None, None)


def test_names_and_files_that_hold_equals_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    array_file(tmp_path / "x.npy", np.arange(2))
    array_file(tmp_path / "b=y.npy", np.arange(3))
    assert list(read_arrays("--input", ["a=b=x.npy"])) == ["a=b"]
    assert list(read_arrays("--input", ["a=b=y.npy"])) == ["a"]
    array_file(tmp_path / "y.npy", np.arange(4))
    with pytest.raises(Refusal, match=r"both 'b=y\.npy' and 'y\.npy' are files"):
        read_arrays("--input", ["a=b=y.npy"])
    assert list(read_arrays("--input", ["a=b=./y.npy"])) == ["a=b"]
    assert read_dims(["n=1=3"]) == {"n=1": 3}
