"""Tests in a copy of the tree, each run in a process that has the libraries already."""

from __future__ import annotations

import importlib
import multiprocessing as mp
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

NOT_RUN = (2, 3, 4, 5)  # pytest itself failed, could not collect, or found no tests
# What tests import and nobody sabotages: loaded once, before processes are forked.
LIBRARIES = ("numpy", "numba", "onnx", "onnxruntime", "onnx_ir", "onnxscript", "lark", "click",
             "rich", "pytest", "hypothesis", "safetensors", "ml_dtypes")  # fmt: skip


class Outcome(StrEnum):
    """What tests say to a change; that they took too long may be a slow machine's fault."""

    SEEN = "seen"
    TOO_LONG = "too long"
    PASSED = "PASSED"


def load_libraries() -> None:
    """Import what every test needs, so that no run pays for it."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)


def outcome_of(tests: Sequence[str], limit: float, folder: Path, root: Path) -> Outcome:
    """What tests (arguments for pytest) say in a copy of the tree; the first that fails ends it.

    Raises:
        RuntimeError: pytest found no tests, or could not run them.
    """
    with tempfile.NamedTemporaryFile(mode="r") as said:
        process = mp.get_context("fork").Process(
            target=_run, args=(tests, folder, root, said.name), daemon=False
        )
        process.start()
        process.join(limit)
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return Outcome.TOO_LONG
        text = said.read()
    # A change can keep the code from being imported at all: that is seen, too.
    if process.exitcode in NOT_RUN and "error" not in text.lower():
        raise RuntimeError(f"{' '.join(tests)}: pytest did not run\n{text[-2000:]}")
    return Outcome.SEEN if process.exitcode else Outcome.PASSED


def _run(tests: Sequence[str], folder: Path, root: Path, said: str) -> None:
    os.setsid()
    out = os.open(said, os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(folder), *(item for item in sys.path if item not in ("", str(root)))]
    # What stands in the tree comes from the copy.
    for name in [name for name in sys.modules if name.split(".")[0] in ("conformance", "wsc")]:
        del sys.modules[name]
    import pytest

    os._exit(pytest.main([*tests, "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]))
