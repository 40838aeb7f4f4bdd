"""Where compiled code is kept on disk, and for which machine it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from llvmlite import binding

# The variables that Numba reads as well, which compiles for the predictions of a compile: one
# setting is for all compiled code. To import Numba for them would take as long as many a run.
_FOLDER, _PROCESSOR, _FEATURES = "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"


def processor() -> tuple[str, str]:
    """What machine code is made for: a processor, and what it can do."""
    name = os.environ.get(_PROCESSOR) or binding.get_host_cpu_name()
    features = os.environ.get(_FEATURES)
    return name, binding.get_host_cpu_features().flatten() if features is None else features


def find_folder() -> tuple[Path | None, str]:
    """The first folder that can be written: one that is set, this package's, the user's.

    Returns:
        The folder and an empty text; or none, and why the last one that was tried cannot be used.
    """
    reason = ""
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            reason = reason or _unwritable(folder, error)
        else:
            return folder, ""
    return None, f"{reason}; set {_FOLDER} to a folder that can be"


def _folders() -> Generator[Path]:
    if os.environ.get(_FOLDER):
        yield Path(os.environ[_FOLDER])
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):  # there is no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsc"


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written ({error.strerror or error})"
