"""Files that a user names: whatever they are, reading them ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsc.isa.fabric import FabricError, find_fabric
from wsc.isa.files import read_text, refusal


def test_a_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("a\r\nbé\rc".encode())
    assert read_text(tmp_path / "a", 8) == "a\nbé\nc"
    with pytest.raises(OSError, match="larger than 7 bytes"):
        read_text(tmp_path / "a", 7)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path, reason in (
        (tmp_path / "pipe.toml", "a pipe"),
        (Path("/dev/zero"), "a device"),
        (tmp_path, "a folder"),
        (tmp_path / "none", "no such file"),
        (Path("a\0b"), "NUL"),
    ):
        assert reason in refusal(path)
        with pytest.raises(OSError, match=reason):
            read_text(path, 10)
    with pytest.raises(FabricError, match="a pipe"):
        find_fabric(str(tmp_path / "pipe.toml"))


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "9" * 5000, ".".join("a" * 5000) + " = 1", "\0", "\xff"]
)
def test_a_description_of_nonsense(text: str, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(FabricError, match=r"f\.toml"):
        find_fabric(str(file))
