"""What torch's exporters make of transformers' models, held against ONNX Runtime.

``tests/exports/export.py`` wrote the files: whole prompts, and decoder steps with key-value
caches as inputs and outputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import wsc
from tests.fabric import assert_as_onnx_runtime
from wsc.isa.types import DType

FILES = sorted((Path(__file__).parents[1] / "exports").glob("*.onnx"))
MODELS = {"gpt2", "gptj", "gpt_neo", "gpt_neox", "gpt2_step", "llama_step"}
# Not those with which the models were exported, where they are symbolic.
DIMS = {"batch": 2, "sequence": 7, "past": 4}
CASES = [("4x4", DType.F32), ("3x5", DType.F32), ("4x4", DType.F16)]
RUNS = [
    pytest.param(path, fabric, precision, id=f"{path.stem}-{fabric}-{precision.value}")
    for path in FILES
    for fabric, precision in CASES
    if precision is DType.F32 or "dynamo" in path.stem
]

Feeds = dict[str, np.ndarray]


def _size(dim: int | str) -> int:
    """A size, where it is symbolic as ``DIMS`` has it; exporters also write ``past + 1``."""
    if isinstance(dim, int):
        return dim
    name, _, more = dim.partition(" + ")
    return DIMS[name] + int(more or 0)


def _feeds(session: onnxruntime.InferenceSession) -> Feeds:
    """Tokens, caches, and a mask that hides a token other than the first."""
    rng = np.random.default_rng(11)
    feeds: Feeds = {}
    for item in session.get_inputs():
        shape = [_size(dim) for dim in item.shape]
        match item.name:
            case "input_ids":
                feeds[item.name] = rng.integers(0, 64, shape)
            case "attention_mask":
                feeds[item.name] = np.ones(shape, np.int64)
                feeds[item.name][-1, 2] = 0
            case _:
                feeds[item.name] = rng.standard_normal(shape).astype(np.float32)
    return feeds


def _dims(session: onnxruntime.InferenceSession) -> dict[str, int]:
    """Sizes of the plain names among the symbolic dimensions; the others follow from them."""
    used = {dim for item in session.get_inputs() for dim in item.shape}
    return {name: size for name, size in DIMS.items() if name in used}


def test_each_model_is_there_by_both_exporters() -> None:
    wanted = {f"{name}_{kind}" for name in MODELS for kind in ("dynamo", "script")}
    assert {path.stem for path in FILES} == wanted


@pytest.mark.parametrize(("path", "fabric", "precision"), RUNS)
def test_outputs_agree_with_onnx_runtime(path: Path, fabric: str, precision: DType) -> None:
    session = onnxruntime.InferenceSession(path)
    feeds = _feeds(session)
    program = wsc.compile(path, fabric, dims=_dims(session), precision=precision.value)
    run = program.run(feeds, engine="values")
    assert_as_onnx_runtime(run, session, feeds, precision)
