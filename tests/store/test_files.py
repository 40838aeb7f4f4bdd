"""Files appear whole, together, and never in the place of an input."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.helpers import files, text_file
from wsc.errors import CompileError
from wsc.store.files import appearing, files_under_way, require_apart, require_writable, write_text


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = text_file(tmp_path / "out.txt", "before")

    def interrupted() -> None:
        with appearing(target) as (partial,):
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(tmp_path) == ["out.txt"]
    assert target.read_text() == "before"
    with appearing(target) as (partial,):
        partial.write_text("after")
        assert files_under_way()
    assert not files_under_way()
    assert files(tmp_path) == ["out.txt"]
    assert target.read_text() == "after"
    assert target.stat().st_mode & 0o777 == text_file(tmp_path / "b", "").stat().st_mode & 0o777


@pytest.mark.parametrize("there", [(), ("one",), ("two",), ("one", "two")], ids=str)
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_between_two_names_takes_the_first_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[str, ...],
    failure: BaseException,
) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for name in there:
        text_file(tmp_path / name, "before")
    rename = Path.replace

    def stopping(source: Path, target: Path) -> Path:
        if target == paths[1] and source.read_text() == "after":
            raise failure
        return rename(source, target)

    def write() -> None:
        with appearing(*paths) as partials:
            for partial in partials:
                partial.write_text("after")

    monkeypatch.setattr(Path, "replace", stopping)
    with pytest.raises(type(failure)):
        write()
    assert files(tmp_path) == sorted(there)
    assert all(path.read_text() == "before" for path in paths if path.exists())


def test_writers_of_one_pair_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits, although the first one stops between its two files."""
    paths = [tmp_path / "one", tmp_path / "two"]
    order: list[tuple[str, str]] = []
    between, rename = threading.Event(), Path.replace

    def slow(source: Path, target: Path) -> Path:
        text = source.read_text()
        if (text, target) == ("first", paths[1]):
            between.set()
            time.sleep(0.2)  # time enough for the other one, if nothing held it
        order.append((text, target.name))
        return rename(source, target)

    def write(text: str) -> None:
        with appearing(*paths) as partials:
            for partial in partials:
                partial.write_text(text)

    monkeypatch.setattr(Path, "replace", slow)
    writer = threading.Thread(target=write, args=("first",))
    writer.start()
    assert between.wait(10)
    write("second")
    writer.join()
    assert order == [(text, name) for text in ("first", "second") for name in ("one", "two")]
    assert [path.read_text() for path in paths] == ["second"] * 2
    assert files(tmp_path) == ["one", "two"]


def _link(path: Path, source: Path) -> Path:
    path.symlink_to(source)
    return path


def _second_name(path: Path, source: Path) -> Path:
    path.hardlink_to(source)
    return path


def _through_a_link(path: Path, source: Path) -> Path:
    (path.parent / "way").symlink_to(source.parent)
    return path.parent / "way" / source.name


SPELLINGS: dict[str, Callable[[Path, Path], Path]] = {
    "itself": lambda path, source: source,
    "symbolic link": _link,
    "hard link": _second_name,
    "folder behind a link": _through_a_link,
    "a way round": lambda path, source: source.parent / ".." / source.parent.name / source.name,
    "relative": lambda path, source: Path(os.path.relpath(source)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_output_is_no_input(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "in").mkdir()
    source = text_file(tmp_path / "in" / "source", "precious")
    target = SPELLINGS[spelling](tmp_path / "out", source)
    with pytest.raises(CompileError, match=r"not replaced"):
        write_text(target, "new", [source])
    assert source.read_text() == target.read_text() == "precious"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to a device": lambda path: path.symlink_to("/dev/null"),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_regular_file_is_not_replaced(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path("out")
    SPECIAL[kind](path)
    before = path.lstat().st_ino
    with pytest.raises(CompileError, match=r"^out: is .*(not replaced|not a file to write)"):
        write_text(path, "new")
    assert path.lstat().st_ino == before


def test_what_is_read_only_is_not_replaced(tmp_path: Path) -> None:
    kept = text_file(tmp_path / "out", "kept")
    kept.chmod(0o444)
    with pytest.raises(CompileError, match="is read-only, and not replaced"):
        write_text(kept, "new")
    assert kept.read_text() == "kept"
    assert kept.stat().st_mode & 0o777 == 0o444


def test_what_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = text_file(tmp_path / "out", "kept")

    def failing(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(CompileError, match="out: cannot be written"):
        write_text(kept, "new")
    assert kept.read_text() == "kept"
    assert files(tmp_path) == ["out"]


def test_a_link_is_called_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nothing")
    with pytest.raises(CompileError, match="is a symbolic link"):
        require_writable(tmp_path / "out")


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="is a folder, not a file to write"):
        require_writable(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who is root may write everywhere; others may not.
    monkeypatch.setattr("wsc.store.files.os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(CompileError, match=rf"the folder {tmp_path} is not writable"):
        require_writable(tmp_path / "out")


def test_what_becomes_an_input_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    source = text_file(tmp_path / "source", "precious")

    def write() -> None:
        with appearing(tmp_path / "out", inputs=[source]) as (partial,):
            partial.write_text("new")
            (tmp_path / "out").hardlink_to(source)

    with pytest.raises(CompileError, match="is the input"):
        write()
    assert source.read_text() == (tmp_path / "out").read_text() == "precious"
    assert files(tmp_path) == ["out", "source"]


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(CompileError, match=r"/dev/null: is not a regular file"):
        require_writable(Path("/dev/null"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/out", "there is no folder"), ("n" * 300, "too long"), ("a\0b", "null byte")],
)
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        write_text(tmp_path / name, "new")


def test_a_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write_text(path, "new")
    assert path.read_text() == "new"


def test_outputs_differ(tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    with pytest.raises(CompileError, match="two outputs"):
        require_apart([tmp_path / "out", tmp_path / "way" / "out"])
