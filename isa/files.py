"""Reading texts of the user: regular files alone, and none larger than such a text can be."""

from __future__ import annotations

import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def refusal(path: Path) -> str:
    """Why a path is not a file that can be read to its end, in a few words; empty if it is one.

    Pipes and devices are refused before they are opened: reading them may never end.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a NUL in it
        return "the name holds a NUL character"
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_ISREG(mode):
        return ""
    return f"{_KINDS.get(stat.S_IFMT(mode), 'is something else')}, not a file"


def read_text(path: Path, most: int) -> str:
    """The UTF-8 text of a regular file of at most ``most`` bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger; ``strerror`` says why.
        UnicodeDecodeError: it is not UTF-8.
    """
    reason = refusal(path)
    if reason:
        raise OSError(0, reason, str(path))
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"larger than {most:,} bytes", str(path))
    return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
