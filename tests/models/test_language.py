"""Language models by name: their sizes, their graphs, and what makes no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from wsc.models.language import (
    DRAWN,
    SHAPES,
    Family,
    Shape,
    ShapeError,
    Task,
    build,
    find_shape,
    parameters,
    read_shape,
)

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("bert-base", 109_514_298),  # with the head for masked words
        ("gpt2", 124_439_808),
        ("gpt-j-6b", 6_050_882_784),
        ("gpt-neo-2.7b", 2_651_307_520),
        ("gpt-neox-20b", 20_554_567_680),
        ("llama2-7b", 6_738_415_616),
        ("llama3-8b", 8_030_261_248),
        ("gpt3-175b", 174_600_000_000),
        ("gopher-280b", 258_000_000_000),  # without relative positions
        ("dalle-12b", 12_000_000_000),
    ],
)
def test_the_parameters_are_those_that_are_published(name: str, published: int) -> None:
    # Round numbers are those of a name or a paper, the others those of a checkpoint.
    near = 0.03 if published % 1_000_000 == 0 else 0
    assert parameters(build(find_shape(name))) == pytest.approx(published, rel=near)


def small(shape: Shape) -> Shape:
    """The same family, in a hundred thousand parameters; positions stay as many."""
    return shape.sized(layers=2, hidden=32, heads=4, vocabulary=40)


def tasks(shape: Shape) -> Iterator[Task]:
    yield from (Task(5), Task(5, 3), Task(1))
    if shape.family is Family.DALLE:
        yield from (Task(300), Task(300, 2, step=True))
    elif shape.family is not Family.BERT:
        yield from (Task(5, 2, step=True), Task(300))


@pytest.mark.parametrize("name", SHAPES)
def test_every_model_is_sound_at_small_sizes(name: str) -> None:
    """ONNX infers the shapes that the builder declares."""
    shape = small(find_shape(name))
    for task in tasks(shape):
        model = build(shape, task)
        seen = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        (logits,) = (item for item in seen.graph.output if item.name == "logits")
        assert [dim.dim_value for dim in logits.type.tensor_type.shape.dim] == [
            task.batch,
            task.tokens,
            shape.vocabulary,
        ]
        caches = [item.name for item in model.graph.output if item.name != "logits"]
        assert len(caches) == (2 * shape.layers if task.step else 0)
        names = [node.name for node in model.graph.node]
        assert len(names) == len(set(names))
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                assert [item.value for item in tensor.external_data] == [DRAWN]
                assert {item.key for item in tensor.metadata_props} == {"mean", "deviation"}


@pytest.mark.parametrize("name", ["gpt2", "gpt-j-6b", "gpt-neo-2.7b", "gpt-neox-20b", "llama3-8b"])
def test_caches_of_several_steps_keep_their_size(name: str) -> None:
    model = build(small(find_shape(name)), Task(5, 2, step=True, steps=3))
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    sizes = {
        item.name: [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        for item in (*model.graph.input, *model.graph.output)
    }
    assert sizes["position"] == sizes["next_position"] == [1]
    for part in ("key", "value"):
        assert sizes[f"past_key_values.1.{part}"] == sizes[f"present.1.{part}"]
        assert sizes[f"present.1.{part}"][2] == 8


def test_steps_are_those_of_a_decoding_step() -> None:
    with pytest.raises(ShapeError, match="give --step too"):
        Task(8, steps=3)


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gpt-neox", "gpt-neox-20b"),
        ("llama", "llama3-8b"),
        ("gptj-6b", "gpt-j-6b"),
        ("bert-bass", "bert-base"),
        ("gpt-neo-2.8b", "gpt-neo-2.7b"),
    ],
)
def test_an_unknown_name_gets_near_ones(asked: str, near: str) -> None:
    with pytest.raises(ShapeError, match=f"no model of that name; did you mean.*{near}"):
        find_shape(asked)


def test_a_name_like_no_other() -> None:
    with pytest.raises(ShapeError, match=r"no model of that name$"):
        find_shape("zzzz")
    assert find_shape("GPT2") is find_shape("gpt2")


@pytest.mark.parametrize(
    ("name", "sizes", "fact"),
    [
        ("gpt2", {"hidden": 770}, "770 is no multiple of 12 heads"),
        ("gpt2", {"heads": 7}, "768 is no multiple of 7 heads"),
        ("gpt2", {"kv_heads": 4}, "each head has its own keys"),
        ("llama3-8b", {"kv_heads": 7}, "cannot share 7 heads"),
        ("gpt-neox-20b", {"hidden": 64}, "too small for rotary positions"),
        ("gpt2", {"layers": 0}, "at least one"),
    ],
)
def test_sizes_that_make_no_model(name: str, sizes: dict[str, int], fact: str) -> None:
    with pytest.raises(ShapeError, match=fact):
        find_shape(name).sized(**sizes)


def test_sizes_that_follow_from_others() -> None:
    shape = find_shape("llama3-8b").sized(hidden=256, heads=8)
    assert (shape.kv_heads, shape.head_size, shape.rotary, shape.ffn) == (2, 32, 32, 896)
    assert find_shape("gpt-j-6b").sized(hidden=128, heads=4).rotary == 8


@pytest.mark.parametrize(
    ("name", "task", "fact"),
    [
        ("gpt2", Task(1025), "knows 1,024 positions, and not 1,025"),
        ("gpt2", Task(1024, step=True), "knows 1,024 positions"),
        ("bert-base", Task(8, step=True), "has no decoding step"),
        ("dalle-12b", Task(8, step=True), "at least 256 words"),
        ("gpt2", Task(1020, step=True, steps=5), "knows 1,024 positions, and not 1,025"),
        ("gpt-neo-2.7b", Task(300, step=True, steps=2), "leave out --steps"),
    ],
)
def test_tasks_that_a_model_does_not_have(name: str, task: Task, fact: str) -> None:
    with pytest.raises(ShapeError, match=fact):
        build(small(find_shape(name)), task)


NAMES = {
    "bert": "bert-base",
    "gpt2": "gpt2",
    "gpt_j": "gpt-j-6b",
    "gpt_neo": "gpt-neo-2.7b",
    "gpt_neox": "gpt-neox-20b",
    "llama": "llama3-8b",
}


@pytest.mark.parametrize("family", NAMES)
def test_a_configuration_gives_the_sizes(family: str) -> None:
    shape = read_shape(CHECKPOINTS / family, find_shape(NAMES[family]))
    assert (shape.layers, shape.hidden, shape.heads, shape.vocabulary) == (2, 32, 4, 48)


@pytest.mark.parametrize(
    ("family", "key", "value", "fact"),
    [
        ("gpt2", "model_type", "mamba", "of type 'mamba', and gpt2 is one of gpt2"),
        ("gpt2", "n_layer", 0, "n_layer is 0"),
        ("gpt2", "n_layer", None, "has no n_layer"),
        ("gpt2", "n_head", 5, "5 heads do not divide"),
        ("gpt2", "activation_function", "relu", "activation_function is 'relu'; only"),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, "only False can be built"),
        ("gpt_neo", "attention_types", [[["global"], 2]], "attention_types"),
        ("llama", "rope_parameters", {"rope_type": "yarn"}, "type 'yarn' cannot be built"),
        ("llama", "attention_bias", True, "attention_bias is True"),
        ("bert", "layer_norm_eps", "small", "layer_norm_eps is 'small'"),
    ],
)
def test_configurations_that_cannot_be_built(
    tmp_path: Path, family: str, key: str, value: object, fact: str
) -> None:
    config = json.loads((CHECKPOINTS / family / "config.json").read_text())
    config[key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ShapeError, match=fact):
        read_shape(tmp_path, find_shape(NAMES[family]))


@pytest.mark.parametrize("text", [None, "{", "[]", "\xff"])
def test_a_folder_without_a_configuration(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ShapeError, match=r"config\.json"):
        read_shape(tmp_path, find_shape("gpt2"))
