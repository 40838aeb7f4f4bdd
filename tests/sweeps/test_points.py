"""The points of a sweep: every combination once, and a key for each that knows its files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from wsc.errors import CompileError
from wsc.models import builders
from wsc.sweeps.points import Axes, Model, keys

VALUES = st.lists(st.integers(2, 9), unique=True, max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    VALUES,
    VALUES,
    st.lists(st.sampled_from(["2x2", "tiny", "3x1"]), unique=True),
    st.lists(st.sampled_from(["f32", "f16"]), unique=True),
    st.integers(1, 2),
)
def test_every_combination_is_there_once(
    depths: list[int], rates: list[int], fabrics: list[str], precisions: list[str], count: int
) -> None:
    settings = {"router.buffer_depth": depths, "io.bytes_per_cycle": rates}
    settings = {key: values for key, values in settings.items() if values}
    models = [Model(f"m{number}", b"") for number in range(count)]
    points = Axes(models, fabrics, precisions, settings=settings).points()
    lengths = [count, *map(len, (depths, rates, fabrics, precisions))]
    assert len(points) == math.prod(max(length, 1) for length in lengths)
    assert [point.number for point in points] == list(range(len(points)))
    assert len({str(point.axes) for point in points}) == len(points)
    assert len(set(keys(points))) == len(points)


def test_a_program_has_its_precision_and_sizes() -> None:
    models = [Model("a.onnx", "a.onnx"), Model("b.wsa", "b.wsa")]
    points = Axes(models, precisions=["f32", "f16"], dims={"n": [1, 2]}).points()
    assert [point.precision for point in points] == ["f32", "f32", "f16", "f16", None]
    assert points[-1].dims == ()
    given_: Any
    for given_ in ({"precisions": ["f32"]}, {"dims": {"n": [1]}}):
        with pytest.raises(CompileError, match="is for models"):
            Axes(models[1:], **given_).points()


def test_a_size_is_of_the_models_that_have_it() -> None:
    """A name that none has goes to all: each row says that its model does not have it."""
    one, two = (
        Model(name, builders.mlp((2, 2), batch=batch).SerializeToString())
        for name, batch in (("open", "n"), ("closed", 3))
    )
    unreadable = Model("none", b"\xff")
    dims = {"n": [1, 2], "m": [4], "x.0": [5]}
    points = Axes([one, two, unreadable], dims=dims).points()
    assert {(point.model.name, *point.dims) for point in points} == {
        ("open", ("n", 1), ("m", 4), ("x.0", 5)),
        ("open", ("n", 2), ("m", 4), ("x.0", 5)),
        ("closed", ("m", 4), ("x.0", 5)),
        ("none", ("n", 1), ("m", 4), ("x.0", 5)),
        ("none", ("n", 2), ("m", 4), ("x.0", 5)),
    }


def test_a_size_is_of_an_input_without_a_shape_or_of_a_sequence() -> None:
    """Such a model has the sizes that ``wsc compile`` takes for it, and no others."""
    plain, bare = (builders.mlp((2, 2), batch="n") for _ in range(2))
    bare.graph.input[0].type.tensor_type.ClearField("shape")
    parts = helper.make_tensor_sequence_value_info("parts", onnx.TensorProto.FLOAT, ["n"])
    whole = helper.make_tensor_value_info("whole", onnx.TensorProto.FLOAT, None)
    joined = helper.make_node("ConcatFromSequence", ["parts"], ["whole"], axis=0)
    several = helper.make_model(helper.make_graph([joined], "several", [parts], [whole]))
    models = {"plain": plain, "bare": bare, "several": several}
    dims = {"n": [3], "x.0": [3], "x.1": [2], "parts": [1, 2], "parts.1.0": [4]}
    made = [Model(name, model.SerializeToString()) for name, model in models.items()]
    points = Axes(made, dims=dims).points()
    assert {point.model.name: set(dict(point.dims)) for point in points} == {
        "plain": {"n", "x.0", "x.1"},
        "bare": {"x.0", "x.1"},
        "several": {"parts", "parts.1.0"},
    }


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ({"fabrics": ["2x2", "2x2"]}, "--fabric: 2x2 is given twice"),
        ({"settings": {"io.bytes_per_cycle": [1, 1]}}, "io.bytes_per_cycle: 1 is given twice"),
        ({"settings": {f"key{n}": range(10) for n in range(6)}}, "beyond 100,000"),
    ],
)
def test_axes_that_are_refused(axes: Any, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        Axes([Model("m", b"")], **axes).points()
    with pytest.raises(CompileError, match="needs a model"):
        Axes([]).points()


def test_a_key_is_of_the_files_and_options(tmp_path: Path) -> None:
    path, lab = tmp_path / "m.onnx", tmp_path / "lab.toml"
    path.write_bytes(builders.mlp((2, 2)).SerializeToString())
    lab.write_text('base = "tiny"\n')

    def key(**options: Any) -> str:
        model = Model("m", str(path))
        return keys(Axes([model], [str(lab)], **options).points())[0]

    first = key()
    assert key() == first
    assert first not in (key(seed=1), key(max_cycles=5), key(engines=["reference"]))
    lab.write_text('base = "tiny"\nramp.latency = { value = 3, grade = "A" }\n')
    second = key()
    path.write_bytes(builders.mlp((2, 3)).SerializeToString())
    assert len({first, second, key()}) == 3
