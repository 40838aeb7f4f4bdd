"""Compiled code on disk: used only if every byte is what was written, and made anew otherwise.

Numba writes the files (``enable_caching``), into a folder that only one function has. Beside
them lies a seal: what the code was made from, and a digest of each file. A file that is damaged,
cut short or missing is so noticed before anything of it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding

# To a type checker its settings can be anything.
_NUMBA: Any = numba

SEAL = "seal.json"


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


@dataclass(frozen=True, slots=True)
class Keep:
    """The files of one compiled function.

    folder: nothing else lies there. made_from: digest of all that decides what the code does.
    """

    folder: Path
    made_from: str

    def is_whole(self) -> bool:
        """Whether the code is there, of the same source, and every byte of it as it was written."""
        try:
            seal = json.loads((self.folder / SEAL).read_bytes())
            return seal == self._seal()
        except (OSError, ValueError):
            return False

    def compile(self, function: Any, signature: tuple[Any, ...]) -> str:
        """Load the function, or compile and keep it; why it could not be kept, or nothing."""
        unkept = ""
        try:
            if not self.is_whole():
                self._clear()
            with _numba_writes_to(self.folder):
                function.enable_caching()
        except OSError as error:
            unkept = _unwritable(self.folder, error)
        try:
            function.compile(signature)  # looks on the disk first
            if not unkept and not self.is_whole():
                self._write_seal()
        except OSError as error:
            if not function.signatures:
                raise
            unkept = _unwritable(self.folder, error)  # and the code is there all the same
        return unkept

    def _clear(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)

    def _seal(self) -> dict[str, Any]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {
            "made from": self.made_from,
            "files": {
                path.relative_to(self.folder).as_posix(): hashlib.sha256(
                    path.read_bytes()
                ).hexdigest()
                for path in files
                if path.name != SEAL
            },
        }

    def _write_seal(self) -> None:
        partial = self.folder / f"{SEAL}.{os.getpid()}"
        partial.write_text(json.dumps(self._seal(), indent=1), encoding="utf-8")
        partial.replace(self.folder / SEAL)


@contextmanager
def _numba_writes_to(folder: Path) -> Generator[None]:
    """While the block lasts, functions that Numba is to keep are kept in this folder."""
    before = _NUMBA.config.CACHE_DIR
    _NUMBA.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        _NUMBA.config.CACHE_DIR = before
