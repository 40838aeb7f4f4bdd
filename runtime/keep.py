"""Where compiled code is kept on disk, and for which machine it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding

# To a type checker its settings can be anything.
_NUMBA: Any = numba


def processor() -> tuple[str, str]:
    """What machine code is made for: a processor, and what it can do."""
    name = _NUMBA.config.CPU_NAME or binding.get_host_cpu_name()
    features = _NUMBA.config.CPU_FEATURES
    return name, binding.get_host_cpu_features().flatten() if features is None else features


def find_folder() -> tuple[Path | None, str]:
    """The first folder that can be written: Numba's, if one is set, this package's, the user's.

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
    return None, f"{reason}; set NUMBA_CACHE_DIR to a folder that can be"


def _folders() -> Generator[Path]:
    if _NUMBA.config.CACHE_DIR:
        yield Path(_NUMBA.config.CACHE_DIR)
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):  # there is no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsc"


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written ({error.strerror or error})"
