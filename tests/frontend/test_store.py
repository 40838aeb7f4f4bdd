"""Weights of models that declare them: from a seed, or of checkpoints that transformers wrote."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import wsc
from wsc.errors import CompileError
from wsc.frontend.store import Checkpoint, Seed, read, write_model
from wsc.ir.build import _moved_drawing, move_array  # pyright: ignore[reportPrivateUsage]
from wsc.ir.graph import Drawing, Member, MoveStep, Reshape, Slice, Transpose
from wsc.isa.program import Drawn, Kind
from wsc.models.language import SHAPES, Family, Task, build, find_shape, read_shape

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
NAMES = {
    "bert": "bert-base",
    "gpt2": "gpt2",
    "gpt_j": "gpt-j-6b",
    "gpt_neo": "gpt-neo-2.7b",
    "gpt_neox": "gpt-neox-20b",
    "llama": "llama3-8b",
}


def model_of(family: str, folder: Path) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model of a checkpoint, and inputs for it: the tokens of its record."""
    ids = np.load(CHECKPOINTS / family / "logits.npz")["input_ids"]
    shape = read_shape(folder, find_shape(NAMES[family]))
    inputs = {"input_ids": ids}
    if family == "bert":
        inputs |= {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return build(shape, Task(ids.shape[1], ids.shape[0])), inputs


def in_onnx_runtime(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], inputs)[0])


@pytest.mark.parametrize("family", NAMES)
def test_logits_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    """The model in ONNX Runtime, and the program with the checkpoint where it is."""
    folder = CHECKPOINTS / family
    model, inputs = model_of(family, folder)
    wanted = np.load(folder / "logits.npz")["logits"]
    write_model(model, Checkpoint(folder), tmp_path / "m.onnx")
    assert np.allclose(in_onnx_runtime(tmp_path / "m.onnx", inputs), wanted, atol=3e-6)
    program = wsc.compile(model, fabric="5x3", weights=Checkpoint(folder))
    found = program.run(inputs, engine="values").outputs["logits"]
    assert np.allclose(found, wanted, atol=3e-6)


def test_a_program_names_the_files_of_a_checkpoint(tmp_path: Path) -> None:
    """Nothing but tables is copied, and a run wants the same files."""
    folder = tmp_path / "gpt_j"
    shutil.copytree(CHECKPOINTS / "gpt_j", folder)
    model, inputs = model_of("gpt_j", folder)
    program = wsc.compile(model, fabric="4x4", precision="f16", weights=Checkpoint(folder))
    for path in (tmp_path / "beside" / "m.wsa", tmp_path / "m.wsa"):
        path.parent.mkdir(exist_ok=True)
        program.save(path)
        weights = [t for t in program.assembly.edge_tensors if t.kind is Kind.WEIGHT]
        copied = {t.key for t in weights if t.file == "m.wsa.safetensors"}
        assert all(name.startswith(("rotary.", "transformer.h.0.attn.window")) for name in copied)
        lead = "gpt_j/" if path.parent == tmp_path else ""
        files = {t.file for t in weights if t.key not in copied}
        assert files == {f"{lead}model-0000{n}-of-00008.safetensors" for n in range(1, 9)}
        loaded = wsc.load(path)
        loaded.checkpoint = None if lead else folder
        ran = loaded.run(inputs, engine="values").outputs["logits"]
        wanted = np.load(folder / "logits.npz")["logits"]
        assert np.abs(ran - wanted).max() < 2e-2 * np.abs(wanted).max()
    # What was loaded is saved elsewhere with all that it needs.
    loaded.save(tmp_path / "beside" / "n.wsa")
    alone = wsc.load(tmp_path / "beside" / "n.wsa").run(inputs, engine="values")
    assert (alone.outputs["logits"] == ran).all()
    changed = folder / "model-00002-of-00008.safetensors"
    changed.write_bytes(changed.read_bytes()[:-4] + bytes(4))
    with pytest.raises(Exception, match="not those that the program was compiled with"):
        wsc.load(tmp_path / "m.wsa").run(inputs, engine="values")


def test_names_that_checkpoints_have_had(tmp_path: Path) -> None:
    """A model without its head is saved without the first part of the names; old norms differ."""
    shutil.copy(CHECKPOINTS / "bert" / "config.json", tmp_path)
    tensors = load_file(CHECKPOINTS / "bert" / "model.safetensors")
    old = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in tensors.items()
    }
    save_file(old, tmp_path / "weights.safetensors")
    model, inputs = model_of("bert", tmp_path)
    write_model(model, Checkpoint(tmp_path), tmp_path / "m.onnx")
    wanted = np.load(CHECKPOINTS / "bert" / "logits.npz")["logits"]
    assert np.allclose(in_onnx_runtime(tmp_path / "m.onnx", inputs), wanted, atol=3e-6)


def damaged(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def rewritten(folder: Path, **entries: object) -> None:
    """Other entries in the header of the file of weights, as no library would write them."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = "transformer.h.0.ln_1.bias"
    header[name] |= entries
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def indexed(folder: Path, name: str) -> None:
    """An index that says that all tensors are in a file of this name."""
    places = dict.fromkeys(load_file(folder / "model.safetensors"), name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))


LAST = "transformer.h.1.mlp.c_proj.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "lacks one": (
        lambda f: damaged(f, lambda t: t.pop(LAST)),
        f"the checkpoint lacks {LAST}$",
    ),
    "lacks many": (
        lambda f: damaged(f, lambda t: [t.pop(k) for k in list(t) if ".h.1." in k]),
        r"lacks .*ln_1.weight, .* and 8 more",
    ),
    "another shape": (
        lambda f: damaged(f, lambda t: t.update({LAST: t[LAST].T.copy()})),
        rf"{LAST} has the shape \[32, 128\], and the model wants \[128, 32\]",
    ),
    "integers": (
        lambda f: damaged(f, lambda t: t.update({LAST: t[LAST].astype(np.int8)})),
        "is stored as I8, which cannot be streamed: store it as F32, F16, BF16 or F64",
    ),
    "bytes of floats": (
        lambda f: rewritten(f, dtype="F8_E4M3"),
        "not a sound safetensors file|stored as F8_E4M3",
    ),
    "no file": (
        lambda f: (f / "model.safetensors").unlink(),
        "holds no safetensors file",
    ),
    "a folder": (
        lambda f: shutil.rmtree(f),
        "no such folder",
    ),
    "cut short": (
        lambda f: (f / "model.safetensors").write_bytes(b"abc"),
        "not a sound safetensors file",
    ),
    "several": (
        lambda f: (
            (f / "model.safetensors").rename(f / "a.safetensors"),
            shutil.copy(f / "a.safetensors", f / "b.safetensors"),
        ),
        "several safetensors files and no index",
    ),
    "a strange index": (
        lambda f: (f / "model.safetensors.index.json").write_text("{}"),
        "is no index of weights",
    ),
    "an index that leads out": (
        lambda f: indexed(f, "../model.safetensors"),
        "not a file of its folder",
    ),
    "an index of what is not there": (
        lambda f: indexed(f, "gone.safetensors"),
        "no such file",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_checkpoints_that_do_not_do(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "gpt2"
    shutil.copytree(CHECKPOINTS / "gpt2", folder)
    model, _ = model_of("gpt2", folder)
    spoil, reason = FAULTS[fault]
    spoil(folder)
    with pytest.raises(CompileError, match=reason):
        wsc.compile(model, fabric="4x4", weights=Checkpoint(folder))


def small(family: Family, task: Task) -> onnx.ModelProto:
    shape = next(item for item in SHAPES.values() if item.family is family)
    return build(shape.sized(layers=1, hidden=32, heads=4, vocabulary=24), task)


@pytest.mark.parametrize("family", list(Family))
def test_weights_of_a_seed_agree_with_onnx_runtime(tmp_path: Path, family: Family) -> None:
    """On meshes of one tile, one row, one column: every family, all of whose weights are drawn."""
    model = small(family, Task(5, 2))
    ids = np.random.default_rng(0).integers(0, 24, (2, 5))
    inputs = {"input_ids": ids}
    if family is Family.BERT:  # the last word of one sequence does not count
        mask = np.ones_like(ids)
        mask[1, 4] = 0
        inputs |= {"attention_mask": mask, "token_type_ids": ids % 2}
    write_model(model, Seed(4), tmp_path / "m.onnx")
    wanted = in_onnx_runtime(tmp_path / "m.onnx", inputs)
    fabric = {Family.LLAMA: "1x1", Family.GPT2: "6x1", Family.GOPHER: "1x5"}.get(family, "4x3")
    program = wsc.compile(model, fabric=fabric, weights=Seed(4))
    found = program.run(inputs, engine="values").outputs["logits"]
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    tensors = [t for t in program.assembly.edge_tensors if t.kind is Kind.WEIGHT]
    drawn = [t for t in tensors if t.drawn is not None]
    assert {t.drawn.seed for t in drawn if t.drawn} == {4}
    stored = sum(int(np.prod(t.shape)) for t in tensors if t.drawn is None)
    assert stored <= 2 * 5 * 5 + 4 * 5 * 8  # masks and angles


@pytest.mark.parametrize("family", [f for f in Family if f is not Family.BERT])
def test_a_step_continues_a_sequence(family: Family) -> None:
    """Logits of the last token: with its caches, and with all tokens before it."""
    before = 256 if family is Family.DALLE else 4
    ids = np.random.default_rng(1).integers(0, 24, (2, before + 1))
    shape = next(item for item in SHAPES.values() if item.family is family)
    shape = shape.sized(layers=2, hidden=16, heads=2, vocabulary=24)
    whole = with_caches(build(shape, Task(before + 1, 2)), shape.layers)
    wanted, *caches = in_memory(whole, {"input_ids": ids})
    step = build(shape, Task(before, 2, step=True))
    given = {"input_ids": ids[:, -1:]}
    for name, cache in zip(
        (i.name for i in step.graph.input if i.name != "input_ids"), caches, strict=True
    ):
        given[name] = cache[:, :, :before]
    found, *longer = in_memory(step, given)
    assert np.abs(found[:, -1] - wanted[:, -1]).max() < 1e-5 * np.abs(wanted).max()
    for one, other in zip(longer, caches, strict=True):
        assert np.allclose(one, other, atol=1e-5)
    if family is Family.LLAMA:
        program = wsc.compile(step, fabric="4x3", weights=Seed(0))
        ours = program.run(given, engine="values").outputs
        assert np.abs(ours["logits"] - found).max() < 1e-5 * np.abs(found).max()
        assert np.allclose(ours["present.1.value"], longer[3], atol=1e-6)


def with_caches(model: onnx.ModelProto, layers: int) -> onnx.ModelProto:
    """The model with its keys and values as outputs: attention gives them if they are asked for."""
    nodes = [node for node in model.graph.node if node.op_type == "Attention"]
    assert len(nodes) == layers
    for node in nodes:
        node.output.extend([f"{node.name}.key", f"{node.name}.value"])
        kind = onnx.TensorProto.FLOAT
        model.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, kind, None) for name in node.output[1:]
        )
    return model


def in_memory(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs in ONNX Runtime, with weights of seed 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        write_model(model, Seed(0), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return [np.asarray(value) for value in session.run(None, inputs)]


STEPS = (
    *map(Reshape, [(4, 6, 2), (2, 2, 3, 4), (8, 1, 6), (48,), (3, 16)]),
    *map(Transpose, itertools.permutations(range(4))),
    *map(Transpose, itertools.permutations(range(3))),
    Transpose((1, 0)),
    Slice((1, 0, 0), (2, 6, 2), (1, 1, 1)),
)


@given(steps=st.lists(st.sampled_from(STEPS), max_size=9))
def test_what_is_moved_is_drawn_where_it_is(steps: list[MoveStep]) -> None:
    """A drawn weight that is moved is drawn in its new order, or it is copied."""
    source = Drawing("w", Drawn(3, 0.0, 1.0))
    array = read(source, 48).reshape(4, 6, 2)
    kept: list[MoveStep] = []
    for step in steps:
        match step:
            case Reshape(shape) if math.prod(shape) != array.size:
                continue
            case Transpose(order) if len(order) != array.ndim:
                continue
            case Slice(_, sizes, _) if array.shape != (4, *sizes[1:]):
                continue
            case _:
                array = move_array(array, [step])
                kept.append(step)
    moved = _moved_drawing(source, (4, 6, 2), kept)
    if moved is None:
        assert any(isinstance(step, Transpose | Slice) for step in kept)
    else:
        assert (read(moved, array.size) == array.reshape(-1)).all()


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_weights_in_another_order_are_not_stored(tmp_path: Path, precision: str) -> None:
    """A step of LLaMA has the weights of its heads in an order of its own."""
    shape = SHAPES["llama3-8b"].sized(
        layers=2, hidden=32, heads=4, kv_heads=2, ffn=24, vocabulary=23
    )
    step = build(shape, Task(3, step=True, steps=2))
    program = wsc.compile(
        step, fabric="4x2", weights=Seed(1), precision=precision, steps=2, hold="resident"
    )
    path = program.save(tmp_path / "p.wsa")
    weights = [t for t in program.assembly.edge_tensors if t.kind is Kind.WEIGHT]
    assert any(t.drawn is not None and t.drawn.order for t in weights)
    assert not [t.key for t in weights if t.drawn is None and "layers" in t.key]
    again = wsc.load(path)
    inputs = again.draw(0)
    ours = again.run(inputs, engine="values").outputs
    for name, array in again.run(inputs, engine="reference").outputs.items():
        assert (ours[name] == array).all()


def test_a_seed_that_is_none() -> None:
    with pytest.raises(CompileError, match="seed 100000000000000 of the weights"):
        Seed(10**14)


def test_a_model_without_weights_says_so() -> None:
    with pytest.raises(CompileError, match="declares weights and holds none"):
        wsc.compile(small(Family.GPT2, Task(4)), fabric="4x4")


def test_sources_are_read_as_they_are(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    save_file({"w": array}, tmp_path / "w.safetensors")
    found = read(Member(tmp_path / "w.safetensors", "w", tmp_path), 6)
    assert found.tolist() == array.reshape(-1).tolist()
    whole = read(Drawing("w", Drawn(0, 0.0, 1.0)), 6)
    assert (read(Drawing("w", Drawn(0, 0.0, 1.0, 2)), 4) == whole[2:]).all()
