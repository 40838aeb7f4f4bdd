"""Options and files that all commands share."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.cli.helpers import array_file, files, text_file
from wsc.cli.common import (
    REFRESHES,
    Line,
    Refusal,
    file_names,
    read_arrays,
    read_dims,
    require_folder,
    write_arrays,
)
from wsc.files import appearing


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
        (tmp_path / "none.npy", "No such file"),
        (text, "is not a .npy file"),
        (tmp_path / "short.npy", "damaged"),
        (tmp_path / "objects.npy", "holds objects"),
    ):
        with pytest.raises(Refusal, match=reason):
            read_arrays("--input", [f"a={file}"])
    with pytest.raises(Refusal, match="twice"):
        read_arrays("--input", [f"a={tmp_path / 'whole.npy'}"] * 2)


def test_file_names_hold_no_separators_and_differ() -> None:
    names = ["/a/b:0", "a_b_0", "..", "Logits", "logits", "é"]
    assert list(file_names(names).values()) == [
        "_a_b_0.npy", "a_b_0.npy", "_.npy", "Logits.npy", "logits_2.npy", "__2.npy",
    ]  # fmt: skip


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = text_file(tmp_path / "out.txt", "before")

    def interrupted() -> None:
        with appearing(target) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(tmp_path) == ["out.txt"]
    assert target.read_text() == "before"
    with appearing(target) as partial:
        partial.write_text("after")
    assert files(tmp_path) == ["out.txt"]
    assert target.read_text() == "after"
    assert target.stat().st_mode & 0o777 == text_file(tmp_path / "b", "").stat().st_mode & 0o777


def test_all_arrays_or_none(tmp_path: Path) -> None:
    good = np.arange(3)
    with pytest.raises(ValueError, match="Object"):
        write_arrays(tmp_path, {"a": good, "b": np.array([{}], dtype=object)})
    assert files(tmp_path) == []
    assert write_arrays(tmp_path / "new", {"a/b": good}) == {"a/b": tmp_path / "new" / "a_b.npy"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is a folder"):
        require_folder(tmp_path)
    with pytest.raises(Refusal, match="there is no folder"):
        require_folder(tmp_path / "no" / "out.wsa")


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
