"""One thread of one process compiles a loop; the others wait, and load what it made."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import numba
import pytest

from wsc.runtime.engine import compiled, keep

NUMBA: Any = numba  # its settings have no stubs


class Function:
    """Stands for a compiled loop; what it keeps is a file of the folder that Numba was told."""

    __name__ = "loop"
    py_func = print  # it has a qualified name

    def __init__(self, full: bool = False) -> None:
        self.signatures: list[Any] = []
        self.targetctx = SimpleNamespace(refresh=lambda: None)
        self.file: Path | None = None
        self.full = full
        self.did: list[str] = []

    def enable_caching(self) -> None:
        self.file = Path(NUMBA.config.CACHE_DIR) / "code"

    def compile(self, signature: Any) -> None:
        there = self.file is not None and self.file.exists()
        self.did.append("loaded" if there else "compiled")
        self.signatures.append(signature)
        if self.full:
            raise OSError(28, "No space left on device")
        if self.file is not None and not there:
            self.file.write_text("code")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled code is kept."""
    monkeypatch.setattr(NUMBA.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_compiled_once_then_loaded() -> None:
    said: list[str] = []
    for did in ("compiled", "loaded"):
        function = Function()
        loop = compiled.Loop(function, ())
        for _ in range(2):  # the second call finds it ready
            assert loop.prepare(said.append) is function
        assert function.did == [did]
    assert said == [""]


@pytest.mark.parametrize("changed", ["sources", "processor", "damaged", "cut", "gone"])
def test_made_anew_if_it_is_not_what_was_made(
    changed: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled.Loop(Function(), ()).prepare()
    sources = (keep,) if changed == "sources" else ()
    if changed == "processor":
        monkeypatch.setattr(compiled, "processor", lambda: ("another", "+avx512"))
    (code,) = folder.rglob("code")
    if changed == "damaged":
        code.write_text("c0de")
    elif changed == "cut":
        code.write_text("")
    elif changed == "gone":
        code.unlink()
    for did in ("compiled", "loaded"):
        function = Function()
        compiled.Loop(function, sources).prepare()
        assert function.did == [did]


def test_without_a_folder_it_is_compiled_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(keep, "_folders", lambda: [file / "a", file / "b"])
    function, said = Function(), list[str]()
    compiled.Loop(function, ()).prepare(said.append)
    assert (function.did, list(tmp_path.iterdir())) == (["compiled"], [file])
    assert said == [
        f"{file / 'a'} cannot be written (Not a directory); set NUMBA_CACHE_DIR to a folder "
        "that can be"
    ]
    with pytest.warns(RuntimeWarning, match="compiled for this process alone: .* cannot be"):
        compiled.Loop(Function(), ()).prepare()


def test_a_full_disk_is_said_once_it_is_compiled(folder: Path) -> None:
    function, said = Function(full=True), list[str]()
    loop = compiled.Loop(function, ())
    for _ in range(2):
        assert loop.prepare(said.append) is function
    where = next(path for path in folder.iterdir() if path.is_dir())
    assert said == ["", f"{where} cannot be written (No space left on device)"]


@pytest.mark.usefixtures("folder")
def test_threads_prepare_one_after_another() -> None:
    active, most = [], []

    class Slow(Function):
        def compile(self, signature: Any) -> None:
            active.append(1)
            most.append(len(active))
            time.sleep(0.02)
            super().compile(signature)
            active.pop()

    functions = [Slow() for _ in range(3)]
    for number, function in enumerate(functions):
        function.__name__ = f"loop_{number}"
    loops = [compiled.Loop(function, ()) for function in functions]
    threads = [Thread(target=loop.prepare) for loop in loops * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [function.did for function in functions] == [["compiled"]] * 3
    assert max(most) == 1


# In a process of its own: no loop has been loaded there when the threads start.
THREADS = """
from threading import Thread

from wsc.runtime.api import run
from tests.runtime.programs import broadcast

program, results = broadcast(2, 4), []

def work(engine):
    results.append(run(program, {}, engine=engine).cycles)

threads = [Thread(target=work, args=(name,)) for name in ("time", "reference") * 4]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(results), len(set(results)))
"""


def test_threads_run_both_engines_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "8 1\n"), done.stderr


def test_processes_wait_for_the_one_that_compiles(tmp_path: Path) -> None:
    order, inside = list[str](), Event()

    def first() -> None:
        with compiled._alone(tmp_path / "lock"):
            inside.set()
            time.sleep(0.1)
            order.append("first")

    thread = Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with compiled._alone(tmp_path / "lock"):
        order.append("second")
    thread.join(60)
    assert order == ["first", "second"]


def test_without_locks_each_works_for_itself(tmp_path: Path) -> None:
    with compiled._alone(tmp_path / "no folder" / "lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_run_uses_the_signature_that_was_prepared() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loop in (compiled.REFERENCE, compiled.TIME):
            assert list(loop.prepare().signatures) == [loop.signature]
