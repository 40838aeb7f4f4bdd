"""Weights in every form in which the edge takes them, in all engines: stored types, and drawn."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from wsc import runtime
from wsc.isa.drawing import draw, drawing_key
from wsc.isa.parser import parse
from wsc.runtime.errors import LoadError
from wsc.runtime.weights import open_weights

VALUES = np.array([0.5, -1.25, 3.1415926, 65504.0, 1e-7, -0.0, np.nan, 7.0])
ENGINES = (None, "reference", "values")


def _run(declaration: str, dtype: str, engine: str | None, folder: Path) -> np.ndarray:
    """What the edge feeds of a weight of eight elements, taken backwards in steps of two."""
    program = parse(
        f"""\
wsc 1
fabric "wse2" 1x1
weight w : {dtype}[8] {declaration}
output r : {dtype}[4] "float{dtype[1:]}"
color c = 0
region all at 0,0 size 1x1
route c in all : N -> S
main all
end
feed c in all side N from w[7 - 2*i] for i:4
drain c in all side S from r[i] for i:4
"""
    )
    return runtime.run(program, {}, weights_dir=folder, engine=engine).outputs["r"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("stored", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_floats_of_any_type(tmp_path: Path, stored: type, dtype: str, engine: str | None) -> None:
    with np.errstate(over="ignore"):
        array = VALUES.astype(stored)
        wanted = array.astype(np.float32).astype(f"float{dtype[1:]}")[7::-2]
    array.tofile(tmp_path / "w.bin")
    kind = np.dtype(stored).name
    found = _run(f'"w.bin" at 0 as "{kind}"', dtype, engine, tmp_path)
    assert np.array_equal(found, wanted, equal_nan=True)
    save_file({"w": array.reshape(2, 4)}, tmp_path / "w.safetensors")
    with pytest.raises(LoadError, match=r"shape \[8\] wanted, \[2, 4\]"):
        _run('"w.safetensors" key "w"', dtype, engine, tmp_path)
    save_file({"w": array.reshape(8, 1)}, tmp_path / "w.safetensors")
    found = _run('"w.safetensors" key "w"', dtype, engine, tmp_path)
    assert np.array_equal(found, wanted, equal_nan=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_what_is_drawn_when_it_is_fed(tmp_path: Path, dtype: str, engine: str | None) -> None:
    found = _run('drawn 3 key "any" from 5 mean 1.0 deviation 0.25', dtype, engine, tmp_path)
    wanted = draw(drawing_key(3, "any"), 5, 8, 1.0, 0.25)[7::-2]
    assert (found == wanted.astype(found.dtype)).all()


def test_a_file_of_a_checkpoint_is_in_its_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    np.arange(8, dtype=np.float32).tofile(there / "w.bin")
    with pytest.raises(LoadError, match=r"program\.checkpoint"):
        _run('"w.bin" at 0', "f32", "values", here)
    program = parse('wsc 1\nfabric "wse2" 1x1\nweight w : f32[8] "w.bin" at 0\n')
    found = open_weights(program, here, checkpoint=there)
    assert (found.tensors["w"].data == np.arange(8)).all()
    outside = parse('wsc 1\nfabric "wse2" 1x1\nweight w : f32[8] "../here/w.bin" at 0\n')
    with pytest.raises(LoadError, match="leaves the folder"):
        open_weights(outside, here, checkpoint=there)
