"""The files beside a program: for everyone, and whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
from safetensors import SafetensorError

import wsc
from models import builders
from tests.cli.helpers import files, saved
from wsc.errors import CompileError


@pytest.fixture
def program(tmp_path: Path) -> wsc.Program:
    """A small network whose model lies in a folder of its own."""
    (tmp_path / "model").mkdir()
    model = saved(builders.mlp((8, 4), batch=1), tmp_path / "model" / "mlp.onnx")
    return wsc.compile(model, fabric="2x2")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_the_umask_says_who_may_read(program: wsc.Program, out: Path, mask: int) -> None:
    program.save(out / "mlp.wsa")
    modes = {path.name: path.stat().st_mode & 0o777 for path in out.iterdir()}
    assert modes == {"mlp.wsa": 0o666 & ~mask, "mlp.wsa.safetensors": 0o666 & ~mask}


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
        (OSError(28, "No space left on device"), CompileError),
        (SafetensorError("I/O error: No space left on device"), CompileError),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, BaseException) else "",
)
def test_what_stops_the_writing_leaves_nothing(
    program: wsc.Program,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    raised: type[BaseException],
) -> None:
    def stopped(arrays: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(safetensors.numpy, "save_file", stopped)
    with pytest.raises(raised) as caught:
        program.save(out / "mlp.wsa")
    assert files(out) == []
    if raised is CompileError:
        assert str(caught.value).startswith(f"{out / 'mlp.wsa.safetensors'}: cannot be written (")
        assert "No space left on device" in str(caught.value)


def test_a_stopped_writer_keeps_what_was_there(
    program: wsc.Program, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.save(out / "mlp.wsa")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stopped(arrays: Any, path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.numpy, "save_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        program.save(out / "mlp.wsa")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
