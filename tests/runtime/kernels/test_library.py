"""One library of compiled kernels: made once, kept on disk, and made anew if it is not whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from wsc.runtime import keep
from wsc.runtime.kernels import library
from wsc.runtime.kernels.library import Library, Machine, declared, shared
from wsc.runtime.kernels.translate import FLAT

TABLES: dict[str, tuple[Any, int]] = {"numbers": (np.int64, FLAT)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled code is kept."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def summing(sources: Path) -> tuple[Library, Any]:
    """A library of two kernels."""
    made = Library("summing", TABLES, sources)
    return made, made.entry(total)


def total(m: Machine, count: int) -> int:
    """The sum of the first numbers."""
    found = 0
    for i in range(count):
        found += m.numbers[i]
    return found


def runs(kernel: Any) -> bool:
    return kernel(Machine(TABLES, {"numbers": np.arange(9)}), 9) == 36


@declared
def worth(m: Machine, place: int) -> int:
    """What a number counts for: each library has its own answer."""
    raise NotImplementedError


@shared
def total_worth(m: Machine, count: int) -> int:
    """The sum of what the first numbers count for."""
    found = 0
    for i in range(count):
        found += worth(m, i)
    return found


def itself(m: Machine, place: int) -> int:
    """The number."""
    return m.numbers[place]


def one(m: Machine, place: int) -> int:
    """Every number counts."""
    return 1


def twice(m: Machine, place: float) -> int:
    """Of other types."""
    return 2


def counting(m: Machine, count: int) -> int:
    """The way in."""
    return total_worth(m, count)


@pytest.mark.usefixtures("folder")
def test_a_declared_function_is_what_its_library_defines(tmp_path: Path) -> None:
    found: list[int] = []
    for own in (itself, one):
        made = Library(own.__name__, TABLES, tmp_path)
        kernel = made.entry(counting)
        made.defines(worth)(own)
        found.append(kernel(Machine(TABLES, {"numbers": np.arange(9)}), 9))
    assert found == [36, 9]


def test_a_declared_function_that_nothing_defines_is_refused(tmp_path: Path) -> None:
    made = Library("none", TABLES, tmp_path)
    made.entry(counting)
    with pytest.raises(TypeError, match="nothing defines 'worth', which is declared only"):
        made.build()
    with pytest.raises(AssertionError, match="defines nothing that is declared"):
        made.includes(sys.modules[__name__])


def test_a_definition_is_the_only_one_and_of_the_declared_types(tmp_path: Path) -> None:
    made = Library("twice", TABLES, tmp_path)
    with pytest.raises(AssertionError, match="'worth' is declared with other types"):
        made.defines(worth)(twice)
    made.defines(worth)(one)
    with pytest.raises(AssertionError, match="'worth' is defined twice"):
        made.defines(worth)(itself)


@pytest.mark.usefixtures("folder")
def test_compiled_once_then_loaded(tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        made, kernel = summing(tmp_path)
        for _ in range(2):  # the second call finds it ready
            made.prepare(said.append)
        assert runs(kernel)
    assert said == [""]


@pytest.mark.parametrize("changed", ["sources", "processor", "damaged", "cut", "gone"])
def test_made_anew_if_it_is_not_what_was_made(
    changed: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summing(tmp_path)[0].prepare()
    (code,) = folder.glob("*.o")
    if changed == "sources":
        (tmp_path / "more.py").write_text("MORE = 1\n")
    elif changed == "processor":
        monkeypatch.setattr(library, "__version__", "another", raising=False)
        monkeypatch.setattr(library.llvmlite, "__version__", "another")
    elif changed == "damaged":
        data = bytearray(code.read_bytes())
        data[-1] ^= 1
        code.write_bytes(data)
    elif changed == "cut":
        code.write_bytes(b"")
    else:
        code.unlink()
    said: list[str] = []
    for _ in range(2):
        made, kernel = summing(tmp_path)
        made.prepare(said.append)
        assert runs(kernel)
    assert said == [""]


def test_without_a_folder_it_is_compiled_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(keep, "_folders", lambda: [file / "a", file / "b"])
    said: list[str] = []
    made, kernel = summing(tmp_path)
    made.prepare(said.append)
    assert runs(kernel)
    assert said == [
        f"{file / 'a'} cannot be written (Not a directory); set NUMBA_CACHE_DIR to a folder "
        "that can be"
    ]
    with pytest.warns(RuntimeWarning, match="compiled for this process alone: .* cannot be"):
        summing(tmp_path)[0].prepare()


def test_a_full_disk_is_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    said: list[str] = []
    made, kernel = summing(tmp_path)
    made.prepare(said.append)
    assert runs(kernel)
    assert said[0] == ""
    assert "cannot be written (No space left on device)" in said[1]
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("folder")
def test_threads_prepare_one_library_once(tmp_path: Path) -> None:
    said: list[str] = []
    made, kernel = summing(tmp_path)
    threads = [Thread(target=made.prepare, args=(said.append,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said == [""]
    assert runs(kernel)


def test_what_kernels_alone_call_has_no_way_in(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'total' is called by other kernels alone"):
        Library("none", TABLES, tmp_path).kernel(total)(
            Machine(TABLES, {"numbers": np.arange(9)}), 1
        )


# In a process of its own: no library has been loaded there when the threads start.
THREADS = """
from threading import Thread

from wsc.runtime.api import run
from tests.runtime.programs import broadcast

program, results = broadcast(2, 4), []

def work(engine):
    results.append(run(program, {}, engine=engine).cycles)

threads = [Thread(target=work, args=(name,)) for name in ("time", "reference", "both") * 3]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(results), len(set(results)))
"""


def test_threads_run_all_engines_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "9 1\n"), done.stderr
