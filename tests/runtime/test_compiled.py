"""One process compiles the loop; the others wait, and load what it made."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

from runtime.engine import compiled


class Function:
    """Stands for the compiled loop of one process; ``disk`` is what all of them share."""

    __name__ = "loop"
    py_func = print  # it has a qualified name

    def __init__(self, folder: Path, disk: list[str], go: Event) -> None:
        self.signatures: list[Any] = []
        self.disk, self.go = disk, go
        self.started, self.did = Event(), ""
        file = SimpleNamespace(load=lambda key: disk[0] if disk else None)
        self._cache = SimpleNamespace(
            cache_path=str(folder), _cache_file=file, _index_key=lambda signature, codegen: "key"
        )
        self.targetctx = SimpleNamespace(codegen=lambda: None, refresh=lambda: None)

    def compile(self, signature: Any) -> None:
        self.did = "loaded" if self.disk else "compiled"
        self.started.set()
        assert self.go.wait(60)
        if not self.disk:
            self.disk.append("code")
        self.signatures.append(signature)


def test_compiled_once_then_loaded(tmp_path: Path) -> None:
    go, disk, said = Event(), [], []
    go.set()
    for did, spoken in (("compiled", 1), ("loaded", 1)):
        function = Function(tmp_path, disk, go)
        loop = compiled.Loop(function, ())
        for _ in range(2):  # the second call finds it ready
            assert loop.prepare(lambda: said.append("compiling")) is function
        assert (function.did, len(function.signatures), len(said)) == (did, 1, spoken)


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    go, disk = Event(), []
    first, second = Function(tmp_path, disk, go), Function(tmp_path, disk, go)
    threads: list[Thread] = []
    for loop in (first, second):

        def work(loop: Function = loop) -> None:
            with compiled._alone(tmp_path / "loop.lock"):
                loop.compile("signature")

        threads.append(Thread(target=work))
        threads[-1].start()
        assert first.started.wait(60)
    assert not second.started.wait(0.2)
    go.set()
    for thread in threads:
        thread.join(60)
    assert (first.did, second.did) == ("compiled", "loaded")


def test_without_locks_each_works_for_itself(tmp_path: Path) -> None:
    with compiled._alone(tmp_path / "no folder" / "lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_run_uses_the_signature_that_was_prepared() -> None:
    for loop in (compiled.REFERENCE, compiled.FAST):
        assert list(loop.prepare().signatures) == [loop.signature]
