"""Files of weights: kept within the folder, held to their digests, and read by their library."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from tests.cli.helpers import files
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.runtime import weights
from wsc.runtime.errors import LoadError, MemoryLimit
from wsc.runtime.weights import open_weights

ONE = np.arange(12, dtype=np.float32)


def _program(declaration: str, before: str = "") -> Program:
    """One weight of twelve elements that the edge feeds through a tile."""
    return parse(
        f"""\
wsc 1
fabric "wse2" 1x1
{before}
weight one : f32[12] {declaration}
output r : f32[12] "float32"
color c = 0
region all at 0,0 size 1x1
route c in all : N -> S
main all
end
feed c in all side N from one[i] for i:12
drain c in all side S from r[i] for i:12
"""
    )


KEYED = '"w.safetensors" key "one"'
RAW = '"w.bin" at 0'


@pytest.fixture(params=["read", "copied"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small files are read, large ones are copied; the same must hold for both."""
    if request.param == "copied":
        monkeypatch.setattr(weights, "available_bytes", lambda: 100)
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the weight in both kinds of files."""
    folder = tmp_path / "program"
    folder.mkdir()
    save_file({"one": ONE}, folder / "w.safetensors")
    (folder / "w.bin").write_bytes(ONE.tobytes())
    return folder


@pytest.mark.parametrize("declaration", [KEYED, RAW])
def test_small_files_are_read_and_large_ones_copied(
    folder: Path, how: str, declaration: str
) -> None:
    before = files(folder)
    found = open_weights(_program(declaration), folder)
    assert (found.tensors["one"].data == ONE).all()
    assert (found.memory == 0) == (how == "copied")
    assert files(folder) == before


def test_weights_in_memory_count(folder: Path) -> None:
    program = _program(RAW)
    assert runtime.load(program, weights_dir=folder).weight_bytes == ONE.nbytes
    with pytest.raises(MemoryLimit) as caught:
        runtime.load(program, weights_dir=folder, max_memory=1)
    enough = caught.value.needed  # for a program without weights
    with pytest.raises(MemoryLimit, match="48 bytes for the weights"):
        runtime.run(program, {}, weights_dir=folder, max_memory=enough)


def test_a_copy_does_not_fill_the_disk(folder: Path) -> None:
    with (folder / "w.bin").open("r+b") as file:
        file.truncate(1 << 42)  # no more than a few blocks of the disk
    before = files(folder)
    with pytest.raises(LoadError, match=r"w\.bin has 4,398,046,511,104 bytes: that is too much"):
        open_weights(_program(RAW), folder)
    assert files(folder) == before


def test_no_room_for_a_copy(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.tempfile, "TemporaryFile", full)
    if how == "read":
        open_weights(_program(RAW), folder)
    else:
        with pytest.raises(LoadError, match=r"w\.bin cannot be read \(No space left"):
            open_weights(_program(RAW), folder)


# --- where they are ---------------------------------------------------------------


def _climb(folder: Path) -> str:
    return "../w.bin"


def _absolute(folder: Path) -> str:
    return str(folder.parent / "w.bin")


def _link(folder: Path) -> str:
    (folder / "link.bin").symlink_to("../w.bin")
    return "link.bin"


def _link_to_a_folder(folder: Path) -> str:
    (folder / "link").symlink_to("..")
    return "link/w.bin"


def _down_and_up(folder: Path) -> str:
    (folder / "below").mkdir()
    return "below/../../w.bin"


@pytest.mark.parametrize("way", [_climb, _absolute, _link, _link_to_a_folder, _down_and_up])
def test_weights_outside_the_folder_are_refused(folder: Path, way: Callable[[Path], str]) -> None:
    (folder / "w.bin").rename(folder.parent / "w.bin")
    program = _program(f'"{way(folder)}" at 0')
    with pytest.raises(LoadError, match="leaves the folder"):
        runtime.run(program, {}, weights_dir=folder, engine="reference")


def test_weights_below_the_folder_are_taken(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "w.bin").rename(folder / "below" / "w.bin")
    (folder / "link.bin").symlink_to("below/w.bin")
    for name in ("below/w.bin", "link.bin", "below/../below/w.bin"):
        found = open_weights(_program(f'"{name}" at 0'), folder)
        assert (found.tensors["one"].data == ONE).all()


def test_what_is_no_file_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to("circle")
    for name in ("pipe", "circle", "none", ".", "/dev/zero"):
        with pytest.raises(LoadError, match=r"no file|leaves the folder|cannot be read"):
            open_weights(_program(f'"{name}" at 0'), folder)


# --- what they are ----------------------------------------------------------------


def _digest(folder: Path, name: str) -> str:
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("declaration", [KEYED, RAW])
def test_other_bytes_are_refused_unless_the_user_says_so(
    folder: Path, how: str, declaration: str
) -> None:
    name = declaration.split('"')[1]
    program = _program(declaration, f'file "{name}" sha256 "{_digest(folder, name)}"')
    assert (open_weights(program, folder).tensors["one"].data == ONE).all()
    changed = bytearray((folder / name).read_bytes())
    changed[-1] ^= 1
    (folder / name).write_bytes(changed)
    with pytest.raises(LoadError, match=r"<text>:3: .* not those that the program was compiled"):
        runtime.run(program, {}, weights_dir=folder, engine="reference")
    result = runtime.run(program, {}, weights_dir=folder, engine="reference", changed_weights=True)
    assert (result.outputs["r"][:-1] == ONE[:-1]).all()
    assert result.outputs["r"][-1] != ONE[-1]


@pytest.mark.parametrize("engine", ["reference", "both"])
@pytest.mark.parametrize("size", [0, 20])
def test_what_happens_to_the_files_during_a_run_changes_nothing(
    folder: Path, how: str, size: int, engine: str
) -> None:
    """They may be cut short, which was a bus error, overwritten, or removed."""
    image = runtime.load(_program(RAW), weights_dir=folder)
    os.truncate(folder / "w.bin", size)
    assert (runtime.run(image, {}, engine=engine).outputs["r"] == ONE).all()
    (folder / "w.bin").write_bytes(bytes(ONE.nbytes))
    assert (runtime.run(image, {}, engine=engine).outputs["r"] == ONE).all()
    (folder / "w.bin").unlink()
    assert (runtime.run(image, {}, engine=engine).outputs["r"] == ONE).all()


# --- headers ----------------------------------------------------------------------

GOOD: dict[str, Any] = {"one": {"dtype": "F32", "shape": [12], "data_offsets": [0, 48]}}
ODD = (
    None,
    True,
    -1,
    1,
    48,
    -48,
    1.5,
    2**31,
    2**63,
    2**64,
    10**30,
    "",
    "F32",
    "é\0",
    [],
    [48, 0],
    [-4, 44],
    [-48, 0],
    [2**63, 2**64],
    [1, 49],
    [0, 48, 49],
    ["0", "48"],
    {},
    {"a": 1},
    [[12]],
    [2**40, 2**40],
    [0.0, 48.0],
)


def _file(header: Any, data: bytes = ONE.tobytes(), size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def _headers() -> list[bytes]:
    """Files whose headers are broken, each in its own way."""
    found = [_file({"one": value}) for value in ODD] + [_file(value) for value in ODD]
    for key, fine in GOOD["one"].items():
        found += [_file({"one": {**GOOD["one"], key: value}}) for value in ODD if value != fine]
        found.append(_file({"one": {k: v for k, v in GOOD["one"].items() if k != key}}))
    second = {"dtype": "F32", "shape": [12]}
    offsets = ([0, 48], [47, 95], [52, 100], [-48, 0])  # the same, overlapping, a hole, negative
    found += [_file({**GOOD, "two": {**second, "data_offsets": pair}}) for pair in offsets]
    found += [_file(GOOD, size=size) for size in (0, 1, 7, 10**6, 2**63, 2**64 - 1)]
    found += [_file(GOOD)[:size] for size in range(0, len(_file(GOOD)), 3)]
    found += [_file(GOOD) + b"more", _file({**GOOD, "__metadata__": {"a": 1}})]
    found += [_file(b"\xff\xfe"), _file(b""), _file(b"[" * 5000), _file(b'{"a":' * 5000)]
    return found


def test_every_broken_header_gets_a_sentence(folder: Path) -> None:
    program = _program(KEYED)
    headers = _headers()
    for content in headers:
        (folder / "w.safetensors").write_bytes(content)
        with pytest.raises(LoadError) as caught:
            open_weights(program, folder)
        text = str(caught.value)
        assert text.startswith("<text>:4: weight 'one': "), text
        assert "\n" not in text
        assert "w.safetensors" in text or "cannot be served" in text
    assert len(headers) > 150


def test_a_file_that_is_replaced_while_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header must be of the bytes that were read."""
    path, opening = folder / "w.safetensors", safetensors.safe_open

    def later(*arguments: Any) -> Any:
        path.unlink()
        save_file({"a": np.zeros(12, np.float32), "one": ONE}, path)
        return opening(*arguments)

    monkeypatch.setattr(safetensors, "safe_open", later)
    with pytest.raises(LoadError, match="was changed while it was read"):
        open_weights(_program(KEYED), folder)


@pytest.mark.parametrize("kind", ["F8_E4M3", "C64", "U64", "F4"])
def test_elements_that_the_edge_cannot_serve(folder: Path, kind: str) -> None:
    bits = int("".join(c for c in kind.partition("_")[0] if c.isdigit()))
    size = 12 * bits // 8
    entry = {"dtype": kind, "shape": [12], "data_offsets": [0, size]}
    (folder / "w.safetensors").write_bytes(_file({"one": entry}, bytes(size)))
    with pytest.raises(LoadError, match=f"elements of type {kind} cannot be served"):
        open_weights(_program(KEYED), folder)
    # Beside others, their bytes are counted all the same.
    last = {"dtype": "F32", "shape": [12], "data_offsets": [size, size + 48]}
    content = _file({"other": entry, "one": last}, bytes(size) + ONE.tobytes())
    (folder / "w.safetensors").write_bytes(content)
    assert (open_weights(_program(KEYED), folder).tensors["one"].data == ONE).all()


def test_a_key_that_is_not_there_and_a_shape_that_differs(folder: Path) -> None:
    with pytest.raises(LoadError, match="no key 'two'"):
        open_weights(_program('"w.safetensors" key "two"'), folder)
    save_file({"one": ONE.reshape(3, 4)}, folder / "w.safetensors")
    with pytest.raises(LoadError, match=r"shape \[12\] wanted, \[3, 4\]"):
        open_weights(_program(KEYED), folder)


def test_raw_data_end_within_the_file(folder: Path) -> None:
    for offset in (1, 48, 10**13):
        with pytest.raises(LoadError, match="ends before its data"):
            open_weights(_program(f'"w.bin" at {offset}'), folder)
