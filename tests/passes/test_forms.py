"""Forms of nodes: each that was weighed computes the same, and what is asked for is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import wsc
from tests.stacks import patchwork
from wsc.errors import CompileError, DoesNotFit
from wsc.ir.forms import TOO_LARGE, Form, UnknownForm, Weighed, Wish, read_wish
from wsc.models import builders

CNN = builders.cnn((2, 5, 4), (3, 4), kernel=3, padding=1, hidden=(5,))


def products(program: wsc.Program, node: str = "*") -> list[Weighed]:
    return [item for item in program.explain(node) if item.text.startswith("contract(")]


def parsed(text: str) -> onnx.ModelProto:
    """A model in ONNX's own text, with the axes that a sum is over."""
    model = onnx.parser.parse_model(text)
    axes = onnx.numpy_helper.from_array(np.array([3], np.int64), "axes")
    model.graph.initializer.append(axes)
    return model


def exactly(form: Form, chunk: int | None = None) -> str:
    """A form in words that no other form suits."""
    text = f"x={form.x} y={form.y} {form.sums}"
    return f"{text} chunk={chunk or form.chunk}" if form.chunk else text


@pytest.mark.parametrize(
    ("model", "fabric", "options"),
    [
        (CNN, (3, 2), {}),
        (builders.matmul(5, 7, 6), (4, 3), {"precision": "f16"}),
        (builders.matmul(5, 7, 6), (3, 3), {"same_order": True}),
        (builders.matmul(5, 7, 6, streamed=False), (2, 3), {}),
        (builders.matmul(5, 7, 6), (1, 4), {}),
    ],
    ids=["cnn", "f16", "ordered", "resident", "column"],
)
def test_each_form_computes_the_same(
    model: onnx.ModelProto, fabric: tuple[int, int], options: dict[str, Any]
) -> None:
    usual = wsc.compile(model, fabric, **options)
    inputs = usual.draw(3)
    wanted = usual.run(inputs, engine="values").outputs
    for weighed in products(usual):
        assert weighed.taken == weighed.forms[0]
        node = weighed.nodes[0]
        # Those that cost most are alike; a chunk of one is the most uneven.
        for form in weighed.forms[:4]:
            for chunk in dict.fromkeys((form.chunk, min(form.chunk, 1))):
                text = exactly(form, chunk)
                program = wsc.compile(model, fabric, forms={node: text}, **options)
                (found,) = products(program, node)
                assert found.taken is not None
                assert exactly(found.taken) == text
                outputs = program.run(inputs, engine="values").outputs
                for name, array in wanted.items():
                    rough = 2e-2 if options.get("precision") == "f16" else 1e-5
                    assert np.allclose(outputs[name], array, rough, rough), text


def test_why_a_form_was_taken() -> None:
    (product,) = products(wsc.compile(builders.matmul(4, 48, 48), (4, 1)))
    taken = product.taken
    assert taken is not None
    assert product.why(taken) == "taken"
    for form in product.forms[1:]:
        assert form.cycles >= taken.cycles or form.against
        assert product.why(form) != "taken"
    assert all(form.moving <= form.cycles for form in product.forms)
    shown = str(product)
    assert shown.count("\n") == len(product.forms)
    assert "contract(" in shown


def test_a_form_that_does_not_fit() -> None:
    model = builders.matmul(32, 400, 64)
    product = products(wsc.compile(model, (4, 4)))[0]
    large = [form for form in product.forms if form.against == TOO_LARGE]
    assert large
    assert {product.why(form) for form in large} == {TOO_LARGE}
    with pytest.raises(DoesNotFit, match="no layout"):
        wsc.compile(model, (4, 4), forms={product.nodes[0]: exactly(large[0])})


def test_a_pattern_asks_those_that_have_the_form() -> None:
    program = wsc.compile(CNN, (3, 2), forms={"conv*": "reduce chunk=1", "conv0": "local"})
    kinds = {item.nodes[0]: item.taken.sums for item in products(program) if item.taken}
    assert (kinds["conv0"], kinds["conv1"]) == ("local", "reduce")
    # It is asked of both layers of a stack, which stay one loop.
    names = {name for item in products(wsc.compile(patchwork(2), (4, 3))) for name in item.nodes}
    looped = wsc.compile(patchwork(2), (4, 3), forms={"*": "local"})
    assert {name for item in products(looped) for name in item.nodes} == names
    assert all(item.taken and item.taken.sums == "local" for item in products(looped))


def test_each_form_of_maps_and_reductions_computes_the_same() -> None:
    model = parsed(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[1, 3, 6, 5] x, float[5] b)
            => (float[1, 3, 3, 3] p, float[1, 3, 6] s, float[1, 1, 6, 5] m)
        {
            t = Add(x, b)
            u = Tanh(t)
            p = MaxPool<kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 1]>(u)
            s = ReduceSum<keepdims=0>(u, axes)
            m = ReduceMean<axes=[1]>(u)
        }
        """
    )
    usual = wsc.compile(model, (3, 2))
    inputs = usual.draw(2)
    wanted = usual.run(inputs, engine="values").outputs
    tried = 0
    for weighed in usual.weighed:
        assert weighed.taken in weighed.forms
        assert weighed.why(weighed.taken) == "taken: it is where its operands are"
        assert len(set(map(str, weighed.forms))) == len(weighed.forms)
        for form in weighed.forms[:: 1 + len(weighed.forms) // 4]:
            if not form.x + form.y:  # of a node of ONNX this means the reduction, not its map
                continue
            text = f"x={form.x} y={form.y}"
            program = wsc.compile(model, (3, 2), forms={weighed.value: text})
            (found,) = (item for item in program.weighed if item.wish is not None)
            assert found.value == weighed.value
            assert found.taken is not None
            assert (found.taken.x, found.taken.y) == (form.x, form.y)
            assert found.why(found.taken) == "taken: asked for"
            outputs = program.run(inputs, engine="values").outputs
            for name, array in wanted.items():
                assert np.allclose(outputs[name], array, 1e-5, 1e-5), (weighed.text, text)
            tried += 1
    assert tried > 10


def test_a_map_of_a_product_is_asked_by_the_numbers_of_its_dimensions() -> None:
    program = wsc.compile(CNN, (3, 2), forms={"conv1": "x=2 y=3"})
    kinds = [item for item in program.explain("conv1") if item.wish is not None]
    assert [str(item.taken) for item in kinds] == ["x=2 y=3 local"]
    assert kinds[0].text.startswith("map(")
    inputs = program.draw(1)
    usual = wsc.compile(CNN, (3, 2)).run(inputs, engine="values").outputs
    for name, array in program.run(inputs, engine="values").outputs.items():
        assert np.allclose(array, usual[name], 1e-5, 1e-5)


@pytest.mark.parametrize(
    ("forms", "sentence"),
    [
        ({"conv2": "local"}, "no form belongs to a node 'conv2'; did you mean 'conv"),
        ({"x*y": "local"}, "no form belongs to a node 'x*y'"),
        ({"conv1": "x=9"}, "node 'conv1, conv1.relu' has no form 'x=9' on 3x2 tiles: "),
        ({"conv1": "x=zz"}, "node 'conv1' has no form 'x=zz' on 3x2 tiles: "),
        ({"conv*": "x=zz"}, "no node 'conv*' has a form 'x=zz'"),
        ({"conv1": "chunk=999"}, "has no form 'chunk=999'"),
        ({"conv1": "chunk=0"}, "'chunk=0' is not x=LABEL"),
        (
            {"conv1": "fast"},
            "'fast' is not x=LABEL, y=LABEL, chunk=N, local, reduce, ordered or combined",
        ),
        ({"conv1": "local reduce"}, "'sums' is there twice"),
        ({"conv1": ""}, "it is made of x=LABEL"),
        ({"conv1": 3}, "forms is of the form {'node': 'x=c chunk=3'}"),
        ("conv1", "forms is of the form"),
    ],
)
def test_what_is_not_known_is_told(forms: Any, sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        wsc.compile(CNN, (3, 2), forms=forms)
    assert sentence in str(caught.value)


def test_without_a_fabric_no_other_mesh_is_tried() -> None:
    tried: list[str] = []
    with pytest.raises(UnknownForm):
        wsc.compile(CNN, forms={"conv1": "x=zz"}, observe=lambda name, _: tried.append(name))
    assert tried.count("import") == 1


def test_who_can_explain(tmp_path: Any) -> None:
    program = wsc.compile(CNN, (3, 2))
    assert [item.nodes[0] for item in products(program, "conv*")] == ["conv0", "conv1"]
    with pytest.raises(CompileError, match="did you mean 'conv1'"):
        program.explain("conv11")
    with pytest.raises(CompileError, match="forms are weighed when a model is"):
        wsc.load(program.save(tmp_path / "p.wsa")).explain("conv1")


def test_wishes_are_what_their_text_says() -> None:
    for text in ("x=c y=y0 reduce chunk=6", "x=", "y=k0", "local", "chunk=12"):
        assert str(read_wish("n", text)) == text
    assert read_wish("n", "x=c,chunk=3") == Wish("n", x="c", chunk=3)
