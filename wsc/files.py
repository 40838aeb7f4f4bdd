"""Files that appear whole, or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

_under_way: set[Path] = set()


def files_under_way() -> bool:
    """Whether files are being written that have not taken their names yet."""
    return bool(_under_way)


@contextmanager
def appearing(path: Path) -> Generator[Path]:
    """A temporary path beside ``path`` that takes its name at the end, if all went well.

    The result has the mode that the umask gives a new file. An error, or an interrupt,
    leaves nothing behind.

    Raises:
        OSError: the folder cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    _under_way.add(partial)
    try:
        partial.touch(mode=0o666, exist_ok=False)
        mode = S_IMODE(partial.stat().st_mode)
        yield partial
        partial.chmod(mode)  # a library may have put a file of its own in this place
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        _under_way.discard(partial)
