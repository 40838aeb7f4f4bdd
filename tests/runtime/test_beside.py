"""Work in another process: what it leaves on the disk, and nothing where that cannot be."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest
from wsc.runtime.engine.beside import beside

from wsc.runtime.engine import beside as module


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors, and no other thread, wherever the tests run."""
    if sys.platform != "linux":
        pytest.skip("processes are copied on Linux alone")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1})
    monkeypatch.setattr(module.threading, "active_count", lambda: 1)


@pytest.mark.usefixtures("forks")
def test_it_is_done_when_the_block_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "who"
    with beside(lambda: file.write_text(str(os.getpid()))):
        pass
    assert int(file.read_text()) != os.getpid()


@pytest.mark.usefixtures("forks")
def test_a_failure_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError

    with beside(fail):
        (tmp_path / "mine").touch()
    assert (tmp_path / "mine").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("forks")
def test_who_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_PATIENCE", 0.1)
    start = time.monotonic()
    with beside(lambda: time.sleep(60)):
        pass
    assert time.monotonic() - start < 30


@pytest.mark.usefixtures("forks")
def test_an_error_here_ends_both() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="here"), beside(lambda: time.sleep(60)):
        raise ValueError("here")
    assert time.monotonic() - start < 30


def test_nothing_is_done_where_threads_run(tmp_path: Path) -> None:
    stop = Event()
    thread = Thread(target=stop.wait)
    thread.start()
    try:
        with beside((tmp_path / "file").touch):
            pass
    finally:
        stop.set()
        thread.join()
    assert not (tmp_path / "file").exists()
