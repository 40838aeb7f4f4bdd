"""Tests in a copy of the tree, each run in a process that has the libraries already."""

from __future__ import annotations

import importlib
import multiprocessing as mp
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

# What tests import and nobody sabotages: loaded once, before processes are forked.
LIBRARIES = (
    "numpy",
    "numba",
    "onnx",
    "onnxruntime",
    "onnx_ir",
    "onnxscript",
    "lark",
    "click",
    "rich",
    "pytest",
    "hypothesis",
    "safetensors",
    "ml_dtypes",
)


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

    That they could not be imported, or that there are none, counts as seen: they pass without a
    change.
    """
    process = mp.get_context("fork").Process(target=_run, args=(tests, folder, root))
    process.start()
    process.join(limit)
    if process.is_alive():
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return Outcome.TOO_LONG
    return Outcome.SEEN if process.exitcode else Outcome.PASSED


def _run(tests: Sequence[str], folder: Path, root: Path) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(folder), *(item for item in sys.path if item not in ("", str(root)))]
    # What stands in the tree comes from the copy.
    for name in [name for name in sys.modules if name.split(".")[0] in ("conformance", "wsc")]:
        del sys.modules[name]
    import pytest

    os._exit(pytest.main([*tests, "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]))
