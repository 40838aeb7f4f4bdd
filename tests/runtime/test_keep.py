"""Compiled code on disk, with functions that Numba compiles."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import numba
import pytest
from llvmlite import binding

from wsc.runtime.engine import keep
from wsc.runtime.keep import SEAL, Keep

NUMBA: Any = numba  # its settings have no stubs
SIGNATURE = (NUMBA.types.int64,)


def twice(number: int) -> int:
    return 2 * number


def _hits(kept: Keep) -> int:
    """How often the disk had the function; it works in any case."""
    function = numba.njit(twice)
    assert kept.compile(function, SIGNATURE) == ""
    assert function(21) == 42
    assert kept.is_whole()
    return sum(function.stats.cache_hits.values())


def test_kept_and_loaded(tmp_path: Path) -> None:
    before = NUMBA.config.CACHE_DIR
    kept = Keep(tmp_path / "twice", "source")
    assert not kept.is_whole()
    assert (_hits(kept), _hits(kept)) == (0, 1)
    assert before == NUMBA.config.CACHE_DIR
    assert _hits(Keep(tmp_path / "twice", "other source")) == 0


def test_every_file_that_is_damaged_is_noticed(tmp_path: Path) -> None:
    kept = Keep(tmp_path / "twice", "source")
    _hits(kept)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    for name in files:
        for damage in ("empty", "bit", "garbage", "gone", "folder"):
            path = next(p for p in tmp_path.rglob(name.name))
            data = bytearray(path.read_bytes())
            if damage == "gone" or damage == "folder":
                path.unlink()
                if damage == "folder":
                    path.mkdir()
            elif damage == "bit":
                # Of the seal, a letter of a digest: white space would mean the same.
                data[data.rindex(b'"') - 3 if name.name == SEAL else len(data) // 2] ^= 1
                path.write_bytes(data)
            else:
                path.write_bytes(b"" if damage == "empty" else b"\\x80garbage")
            assert not kept.is_whole(), (name, damage)
            assert _hits(kept) == 0, (name, damage)
            assert _hits(kept) == 1, (name, damage)


def test_where_nothing_can_be_written_the_function_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    function = numba.njit(twice)
    kept = Keep(tmp_path / "file" / "twice", "source")
    said = kept.compile(function, SIGNATURE)
    assert said == f"{tmp_path / 'file' / 'twice'} cannot be written (Not a directory)"
    assert function(21) == 42


def test_the_first_folder_that_can_be_written_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, good = tmp_path / "file", tmp_path / "new" / "folder"
    file.touch()
    monkeypatch.setattr(NUMBA.config, "CACHE_DIR", str(good))
    assert keep.find_folder() == (good, "")
    monkeypatch.setattr(NUMBA.config, "CACHE_DIR", str(file / "below"))
    assert keep.find_folder() == (Path(keep.__file__).parent / "__pycache__", "")


def test_the_users_own_folder_is_the_last_resort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NUMBA.config, "CACHE_DIR", "")
    monkeypatch.setattr(keep, "__file__", "/dev/null/engine/keep.py")  # nothing can be made there
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert keep.find_folder() == (tmp_path / "home" / ".cache" / "wsc", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert keep.find_folder() == (tmp_path / "other" / "wsc", "")


def test_a_folder_in_which_no_file_can_be_made_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.TemporaryFile

    def refused(**place: Any) -> Any:
        if place["dir"] == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return made(**place)

    monkeypatch.setattr(NUMBA.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(keep.tempfile, "TemporaryFile", refused)
    assert keep.find_folder() == (Path(keep.__file__).parent / "__pycache__", "")


def test_code_that_was_not_made_is_an_error(tmp_path: Path) -> None:
    class Broken:
        signatures = ()

        def enable_caching(self) -> None:
            """Nothing is kept."""

        def compile(self, signature: tuple[Any, ...]) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Keep(tmp_path / "broken", "source").compile(Broken(), SIGNATURE)


def test_code_is_made_for_this_processor_or_for_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NUMBA.config, "CPU_NAME", None)
    monkeypatch.setattr(NUMBA.config, "CPU_FEATURES", None)
    own = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    assert keep.processor() == own
    monkeypatch.setattr(NUMBA.config, "CPU_NAME", "generic")
    monkeypatch.setattr(NUMBA.config, "CPU_FEATURES", "+sse2")
    assert keep.processor() == ("generic", "+sse2")
