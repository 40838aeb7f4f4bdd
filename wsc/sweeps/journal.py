"""The journal of a sweep: the rows that are done, so that an interrupted sweep goes on.

A file of JSON lines beside the table that the sweep will give. Each line has the digest of its
point, so that a row is only taken for the same model, machine and options.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from wsc.errors import CompileError
from wsc.store.files import require_writable
from wsc.sweeps.point import KILLED, STATUS, Row

FORMAT = "wsc sweep"


class Journal:
    """Rows by the key of their point; what is added is on disk at once."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._rows: dict[str, Row] = {}
        self._file: TextIOWrapper | None = None
        if path is None:
            return
        require_writable(path)
        whole = self._read(path) if path.exists() else True
        try:
            self._file = path.open("a", encoding="utf-8")
            if not path.stat().st_size:
                self._write({"format": FORMAT, "version": version("wsc")})
            elif not whole:
                self._file.write("\n")  # behind a line that was cut short
        except OSError as error:
            raise CompileError(f"{path}: cannot be written ({error.strerror or error})") from error

    def row(self, key: str) -> Row | None:
        """The row of a point, if it is known. One whose process was killed is tried again."""
        found = self._rows.get(key)
        return None if found is None or found[STATUS] == KILLED else found

    def add(self, key: str, row: Row) -> None:
        """Keep a row."""
        if self._file is not None:
            self._write({"key": key, "row": row})

    def close(self, done: bool) -> None:
        """End the journal. done: all rows are elsewhere, so that nobody needs it any more."""
        if self._file is not None:
            self._file.close()
        if done and self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self, entry: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def _read(self, path: Path) -> bool:
        """Take the rows of a file; whether it ends with the end of a line.

        Raises:
            CompileError: it is something else than a journal.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise _stranger(path) from None
        lines = text.splitlines()
        head = _entry(lines[0]) if lines else {}
        if lines and head.get("format") != FORMAT:
            raise _stranger(path)
        if head.get("version") == version("wsc"):  # another version may give other cycles
            for line in lines[1:]:
                entry = _entry(line)
                if {"key", "row"} <= set(entry):
                    self._rows[entry["key"]] = entry["row"]
        else:
            path.unlink()
        return text.endswith("\n")


def _entry(line: str) -> dict[str, Any]:
    """A line of the journal; nothing, if the end of a process has cut it short."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _stranger(path: Path) -> CompileError:
    return CompileError(
        f"{path}: has the name of the sweep's journal, and is none: it is not replaced; remove it, "
        "or name another output"
    )
