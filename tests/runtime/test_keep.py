"""Where compiled code is kept, and what it is made for."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest
from llvmlite import binding

from wsc.runtime import keep


def test_the_first_folder_that_can_be_written_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, good = tmp_path / "file", tmp_path / "new" / "folder"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(good))
    assert keep.find_folder() == (good, "")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "below"))
    assert keep.find_folder() == (Path(keep.__file__).parent / "__pycache__", "")


def test_the_users_own_folder_is_the_last_resort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr(keep, "__file__", "/dev/null/keep.py")  # nothing can be made there
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

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(keep.tempfile, "TemporaryFile", refused)
    assert keep.find_folder() == (Path(keep.__file__).parent / "__pycache__", "")


def test_code_is_made_for_this_processor_or_for_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    own = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    assert keep.processor() == own
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+sse2")
    assert keep.processor() == ("generic", "+sse2")
