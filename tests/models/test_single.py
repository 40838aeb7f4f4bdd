"""The layer of one token, written for lines of a mesh: it is the layer that all others are."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import wsc
from tests.stepped import expected
from wsc.isa.program import Loop
from wsc.isa.statements import calls
from wsc.models.language import DRAWN, Task, build, find_shape
from wsc.models.language.shapes import Shape

STEPS = 4
WORDS = np.array([[3, 17, 8, 30]])


def filled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with weights that their names decide."""
    for place, tensor in enumerate(model.graph.initializer):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            assert tensor.external_data[0].value == DRAWN
            known = {item.key: float(item.value) for item in tensor.metadata_props}
            random = np.random.default_rng(zlib.crc32(tensor.name.encode()))
            value = random.normal(known["mean"], known["deviation"], tuple(tensor.dims))
            made = numpy_helper.from_array(value.astype(np.float32), tensor.name)
            model.graph.initializer[place].CopyFrom(made)
    return model


def shape(heads: int, shared: int) -> Shape:
    return find_shape("llama3-8b").sized(
        layers=2, hidden=32, heads=heads, kv_heads=shared, ffn=40, vocabulary=48
    )


def given(model: onnx.ModelProto) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Words one after the other from position 0 on, behind caches of nothing; what is handed on."""
    found: dict[str, np.ndarray] = {}
    carry = {"position": "next_position"}
    for item in model.graph.input:
        size = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        if item.name == "input_ids":
            found[item.name] = WORDS.reshape(STEPS, 1, 1)
        elif item.name == "position":
            found[item.name] = np.zeros(1, np.int32)
        else:
            found[item.name] = np.zeros(size, np.float32)
            carry[item.name] = item.name.replace("past_key_values", "present")
    return found, carry


@pytest.mark.parametrize(("heads", "shared"), [(4, 2), (4, 4), (4, 1)])
def test_steps_give_what_the_sequence_as_a_whole_gives(heads: int, shared: int) -> None:
    sizes = shape(heads, shared)
    whole = onnxruntime.InferenceSession(filled(build(sizes, Task(STEPS))).SerializeToString())
    (wanted,) = whole.run(["logits"], {"input_ids": WORDS})
    model = filled(build(sizes, Task(1, step=True, steps=STEPS)))
    inputs, carry = given(model)
    got = expected(model, inputs, carry, STEPS)["logits"]
    np.testing.assert_allclose(got[:, 0, 0], np.asarray(wanted)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fabric", "precision"), [("8x8", "f32"), ("17x5", "f16"), ("1x4", "f32"), ("4x1", "f16")]
)
def test_steps_on_a_mesh_give_what_onnx_runtime_gives(fabric: str, precision: str) -> None:
    model = filled(build(shape(4, 2).sized(layers=1), Task(2, step=True, steps=STEPS)))
    inputs, carry = given(model)
    wanted = expected(model, inputs, carry, STEPS)
    program = wsc.compile(
        model, fabric, precision=precision, hold="resident", steps=STEPS, carry=carry
    )
    ran, timed = program.run(inputs, engine="reference"), program.run(inputs)
    assert timed.cycles == ran.cycles
    assert program.estimate().cycles == pytest.approx(ran.cycles, rel=0.1)
    near = 1e-4 if precision == "f32" else 2e-2
    for name, value in wanted.items():
        np.testing.assert_array_equal(timed.outputs[name], ran.outputs[name])
        most = np.abs(value).max()
        np.testing.assert_allclose(ran.outputs[name], value, atol=near * most)


def test_a_layer_of_one_token_moves_nothing_on_long_lines() -> None:
    sizes = find_shape("llama3-8b").sized(
        layers=1, hidden=256, heads=16, kv_heads=8, ffn=384, vocabulary=96
    )
    model = filled(build(sizes, Task(60, step=True, steps=STEPS)))
    _, carry = given(model)
    program = wsc.compile(
        model, "wse2:64x64", precision="f16", hold="resident", steps=STEPS, carry=carry
    )
    (region,) = program.assembly.regions
    (steps,) = (item for item in region.main if isinstance(item, Loop))
    moved = [call for call in calls(steps.body) if call.procedure.startswith("move")]
    # The angles, once for all layers, and what the last product takes.
    layer = [call.nodes[0] for call in moved if call.nodes[0].startswith("model.layers")]
    assert not layer
