"""A program on disk: whole or not there at all, and text and weights of one compile."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from safetensors import SafetensorError

import wsc
from tests.cli.helpers import TWICE, done, files, refused, saved, text_file
from tests.cli.helpers import wsc as cli
from wsc import runtime
from wsc.errors import CompileError, OtherMachine
from wsc.isa.fabric import PRESETS, find_fabric
from wsc.models import builders
from wsc.runtime.errors import LoadError


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
    def stopped(arrays: Any, path: Path, metadata: Any) -> None:
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

    def stopped(arrays: Any, path: Path, metadata: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.numpy, "save_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        program.save(out / "mlp.wsa")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


# --- text and weights belong together ---------------------------------------------

X = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)}


def _compiled(folder: Path, seed: int) -> wsc.Program:
    """Programs whose texts are alike, and whose weights differ with the seed."""
    folder.mkdir(exist_ok=True)
    return wsc.compile(saved(builders.mlp((8, 4), seed=seed), folder / "m.onnx"), fabric="2x2")


def _logits(program: wsc.Program, **options: Any) -> list[float]:
    return program.run(X, engine="reference", **options).outputs["logits"].ravel().tolist()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[wsc.Program, wsc.Program]:
    first, second = _compiled(tmp_path / "first", 1), _compiled(tmp_path / "second", 2)
    assert _logits(first) != _logits(second)
    return first, second


def test_a_saved_program_runs_from_its_files(program: wsc.Program, out: Path) -> None:
    wanted = _logits(program)
    program.save(out / "m.wsa")
    digest = hashlib.sha256((out / "m.wsa.safetensors").read_bytes()).hexdigest()
    assert f'file "m.wsa.safetensors" sha256 "{digest}"\n' in (out / "m.wsa").read_text()
    assert _logits(wsc.load(out / "m.wsa")) == wanted


def test_weights_of_another_compile_are_refused(
    pair: tuple[wsc.Program, wsc.Program], out: Path
) -> None:
    first, second = pair
    first.save(out / "a.wsa")
    second.save(out / "b.wsa")
    shutil.copyfile(out / "b.wsa.safetensors", out / "a.wsa.safetensors")
    with pytest.raises(LoadError, match=r"a\.wsa:\d+: .* not those that the program was compiled"):
        _logits(wsc.load(out / "a.wsa"))
    assert _logits(wsc.load(out / "a.wsa"), changed_weights=True) == _logits(second)


@pytest.mark.parametrize("renamings", [0, 1, 2])
def test_a_kill_never_leaves_old_text_with_new_weights(
    pair: tuple[wsc.Program, wsc.Program], out: Path, renamings: int
) -> None:
    """The process dies after so many of its files have their names."""
    first, second = pair
    wanted = [_logits(first), _logits(second)]
    first.save(out / "m.wsa")
    child = os.fork()
    if child == 0:
        rename, done = Path.replace, 0

        def dying(source: Path, target: Path) -> Path:
            nonlocal done
            if done == renamings:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return rename(source, target)

        try:
            Path.replace = dying  # pyright: ignore[reportAttributeAccessIssue]
            second.save(out / "m.wsa")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)  # whatever went wrong, the child is no second run of the tests
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    try:
        found: Any = wanted.index(_logits(wsc.load(out / "m.wsa")))
    except LoadError as error:
        found = str(error)
    assert found == {0: 0, 2: 1}.get(renamings, found)
    if renamings == 1:
        assert "not those that the program was compiled with" in found
    # What a kill leaves is mended by the next compile.
    second.save(out / "m.wsa")
    assert _logits(wsc.load(out / "m.wsa")) == wanted[1]


def test_a_refusal_keeps_the_old_pair(pair: tuple[wsc.Program, wsc.Program], out: Path) -> None:
    """The text cannot be put in place, after the weights have been."""
    first, second = pair
    first.save(out / "m.wsa")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    rename = Path.replace

    def full(source: Path, target: Path) -> Path:
        if target.name == "m.wsa":
            raise OSError(28, "No space left on device")
        return rename(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(CompileError, match="No space left"):
            second.save(out / "m.wsa")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_weights_replace_what_wsc_wrote_and_nothing_else(
    pair: tuple[wsc.Program, wsc.Program], out: Path
) -> None:
    """A checkpoint may have the name that the weights of a program would get."""
    first, second = pair
    checkpoint = out / "m.safetensors"
    safetensors.numpy.save_file({"a": np.ones(3)}, checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(CompileError, match=r"m\.safetensors: .* was not written by wsc"):
        first.save(out / "m")
    assert checkpoint.read_bytes() == before
    assert files(out) == ["m.safetensors"]
    checkpoint.unlink()
    first.save(out / "m")
    second.save(out / "m")
    # The weights of a pair are replaced even when they are damaged.
    checkpoint.write_bytes(b"damaged")
    first.save(out / "m")
    assert _logits(wsc.load(out / "m")) == _logits(first)


def test_two_compiles_to_one_name_at_once(pair: tuple[wsc.Program, wsc.Program], out: Path) -> None:
    wanted = [_logits(program) for program in pair]

    def save(program: wsc.Program) -> None:
        for _ in range(10):
            program.save(out / "m.wsa")

    writers = [threading.Thread(target=save, args=(program,)) for program in pair]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert files(out) == ["m.wsa", "m.wsa.safetensors"]
    assert _logits(wsc.load(out / "m.wsa")) in wanted


def test_threads_may_run_a_program_that_is_not_saved(program: wsc.Program) -> None:
    wanted = _logits(program)
    fresh = replace(program, folder=None)
    begin, found = threading.Barrier(4), list[list[float]]()

    def go() -> None:
        begin.wait()
        found.append(_logits(fresh))

    runners = [threading.Thread(target=go) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert found == [wanted] * 4


def _with_external_data(folder: Path, seed: int = 0) -> wsc.Program:
    folder.mkdir(exist_ok=True)
    onnx.save(
        builders.mlp((8, 4), seed=seed),
        folder / "m.onnx",
        save_as_external_data=True,
        location="m.bin",
        size_threshold=0,
    )
    return wsc.compile(folder / "m.onnx", fabric="2x2")


def test_weights_that_stay_in_the_model_are_known_too(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    program = _with_external_data(folder)
    wanted = _logits(program)
    program.save(folder / "m.wsa")
    assert files(folder) == ["m.bin", "m.onnx", "m.wsa"]
    assert _logits(wsc.load(folder / "m.wsa")) == wanted
    (folder / "m.bin").unlink()
    _with_external_data(folder, seed=1)  # the model is exported anew
    with pytest.raises(LoadError, match=r"m\.bin are not those that the program was compiled"):
        _logits(wsc.load(folder / "m.wsa"))


def test_weights_that_were_referred_to_are_copied_to_another_folder(
    tmp_path: Path, out: Path
) -> None:
    folder = tmp_path / "model"
    program = _with_external_data(folder)
    wanted = _logits(program)
    program.save(folder / "m.wsa")
    program.save(out / "m.wsa")
    assert files(out) == ["m.wsa", "m.wsa.safetensors"]
    assert _logits(wsc.load(out / "m.wsa")) == wanted


def _keys(program: wsc.Program) -> list[str]:
    return [tensor.key for tensor in program.assembly.edge_tensors]


@pytest.mark.parametrize("external", [False, True])
def test_a_loaded_program_takes_its_weights_along(
    tmp_path: Path, out: Path, external: bool
) -> None:
    folder = tmp_path / "model"
    program = _with_external_data(folder) if external else _compiled(folder, 0)
    wanted = _logits(program)
    program.save(folder / "m.wsa")
    loaded = wsc.load(folder / "m.wsa")
    loaded.save(folder / "beside.wsa")
    assert "beside.wsa.safetensors" not in files(folder)
    assert _logits(wsc.load(folder / "beside.wsa")) == wanted
    loaded.save(out / "there.v1")
    assert files(out) == ["there.v1", "there.v1.safetensors"]
    if not external:  # a raw file has no keys
        assert _keys(loaded) == _keys(program)
    for item in folder.iterdir():
        item.unlink()
    assert _logits(wsc.load(out / "there.v1")) == wanted


def test_a_loaded_program_is_saved_in_its_place_and_not_over_its_weights(
    program: wsc.Program, out: Path
) -> None:
    program.save(out / "m.wsa")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    loaded = wsc.load(out / "m.wsa")
    loaded.save(out / "m.wsa")
    with pytest.raises(CompileError, match="is the input"):
        loaded.save(out / "m.wsa.safetensors")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_program_written_by_hand_knows_no_digests(out: Path) -> None:
    path = text_file(out / "t.wsa", TWICE)
    assert wsc.load(path).assembly.files == ()
    wsc.load(path).save(out / "u.wsa")
    assert "sha256" not in (out / "u.wsa").read_text()


# --- the numbers of the fabric ----------------------------------------------------


def test_a_changed_fabric_is_kept(tmp_path: Path, out: Path) -> None:
    plain = _compiled(tmp_path / "model", 0)
    fabric = replace(find_fabric("2x2"), io_bytes_per_cycle=4)
    program = wsc.compile(tmp_path / "model" / "m.onnx", fabric=fabric)
    cycles = program.run(X, engine="reference").cycles
    assert cycles != plain.run(X, engine="reference").cycles
    program.save(out / "m.wsa")
    loaded = wsc.load(out / "m.wsa")
    assert loaded.fabric == program.fabric
    assert loaded.run(X, engine="reference").cycles == cycles
    report = done(cli("run", out / "m.wsa", "--engine", "reference")).stdout
    assert "2x2 tiles of wse2, io.bytes_per_cycle = 4\n" in report
    assert runtime.run(loaded.assembly, X, weights_dir=out, engine="reference").cycles == cycles


def test_a_fabric_changed_after_the_compile_is_kept(program: wsc.Program, out: Path) -> None:
    program.fabric = replace(program.fabric, io_bytes_per_cycle=4)
    cycles = program.run(X, engine="reference").cycles
    program.save(out / "m.wsa")
    loaded = wsc.load(out / "m.wsa")
    assert loaded.fabric.io_bytes_per_cycle == 4
    assert loaded.run(X, engine="reference").cycles == cycles


def test_a_number_out_of_its_range_is_shown_in_its_line(out: Path) -> None:
    line = "set energy.hop = 1.0\nset io.bytes_per_cycle = 0"
    path = text_file(out / "t.wsa", TWICE.replace("precision", f"{line}\nprecision", 1))
    refused(
        cli("check", path), "t.wsa:4:5: ", "io.bytes_per_cycle", "\nset io.bytes_per_cycle = 0\n"
    )


def test_a_fabric_that_is_gone_is_said(out: Path) -> None:
    path = text_file(out / "t.wsa", TWICE.replace('"wse2"', '"gone.toml"'))
    refused(cli("check", path), "t.wsa: ", "gone.toml: cannot be read")


def test_another_machine_of_that_name_is_said(tmp_path: Path, out: Path) -> None:
    text = (PRESETS / "tiny.toml").read_text(encoding="utf-8")
    lab = text_file(tmp_path / "lab.toml", text.replace('"tiny"', '"lab"'))
    model = saved(builders.mlp((8, 4)), tmp_path / "m.onnx")
    wsc.compile(model, fabric=str(lab)).save(out / "m.wsa")
    assert wsc.load(out / "m.wsa").notes == ()
    assert not done(cli("check", out / "m.wsa")).stderr
    text_file(
        lab, lab.read_text().replace("buffer_depth = { value = 2", "buffer_depth = { value = 7")
    )
    with pytest.warns(OtherMachine, match=r"m\.wsa: the numbers of fabric"):
        (note,) = wsc.load(out / "m.wsa").notes
    assert "lab.toml' are not those that the program was compiled for" in note
    for command in ("check", "run", "inspect", "estimate"):
        result = done(cli(command, out / "m.wsa"))
        assert result.stderr.count("the numbers of fabric") == 1
        assert f"note: {out / 'm.wsa'}: {note}" in result.stderr
