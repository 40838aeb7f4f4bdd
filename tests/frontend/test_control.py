"""Branches, loops, scans and sequences against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from tests.frontend.cases import compare_model, floats
from tests.oracle import evaluate
from wsc.errors import CompileError, UnsupportedOperators
from wsc.frontend import import_onnx
from wsc.ir.graph import Graph

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def _model(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEADER + text)


def _imported(path: Path, text: str, dims: dict[str, int] | None = None) -> Graph:
    file = path / "case.onnx"
    onnx.save(_model(text), file)
    return import_onnx(file, dims)


BRANCHES = """case (bool c, float[2, 3] x) => (float[2, 3] y) {
    y = If (c) <
        then_branch = yes () => (float[2, 3] a) { a = Exp(x) },
        else_branch = no () => (float[2, 3] b) { t = Neg(x) b = Relu(t) }
    >
}"""


@pytest.mark.parametrize("flag", [False, True])
def test_a_run_time_branch(tmp_path: Path, flag: bool) -> None:
    feeds = {"c": np.array(flag), "x": floats(2, 3)}
    compare_model(tmp_path, _model(BRANCHES), feeds)


def test_a_known_branch_is_the_only_one(tmp_path: Path) -> None:
    text = """case (float[2, 3] x) => (float[2, 3] y) {
        s = Shape(x) two = Constant<value = int64[2] {2, 3}>() e = Equal(s, two)
        i = Cast<to = 6>(e) m = ReduceMin<keepdims = 0>(i) c = Cast<to = 9>(m)
        y = If (c) <
            then_branch = yes () => (float[2, 3] a) { a = Exp(x) },
            else_branch = no () => (float[2, 3] b) { b = Relu(x) }
        >
    }"""
    graph = compare_model(tmp_path, _model(text), {"x": floats(2, 3)})
    assert len(graph.nodes) == 1


def test_branches_of_two_shapes(tmp_path: Path) -> None:
    text = """case (bool c, float[2, 3] x) => (float[n, m] y) {
        y = If (c) <
            then_branch = yes () => (float[2, 3] a) { a = Exp(x) },
            else_branch = no () => (float[3, 2] b) { b = Transpose(x) }
        >
    }"""
    with pytest.raises(UnsupportedOperators, match="chooses shape"):
        _imported(tmp_path, text)


LOOP = """case (%s float[3] x) => (float[3] y, float[n, 3] z) {
    %s
    y, z = Loop (count, going, x) <
        body = turn (int64 i, bool c_in, float[3] a) => (bool c, float[3] b, float[3] s) {
            c = Identity(c_in) f = Cast<to = 1>(i) b = Add(a, f) s = Mul(b, x)
        }
    >
}"""


def test_a_loop_of_known_length(tmp_path: Path) -> None:
    head = "count = Constant<value = int64 {4}>() going = Constant<value = bool {1}>()"
    compare_model(tmp_path, _model(LOOP % ("", head)), {"x": floats(3)})


def test_a_loop_of_open_length(tmp_path: Path) -> None:
    head = "going = Constant<value = bool {1}>()"
    with pytest.raises(UnsupportedOperators, match="trip count must be a constant"):
        _imported(tmp_path, LOOP % ("int64 count,", head))


def test_a_loop_whose_scan_output_has_an_open_length(tmp_path: Path) -> None:
    head = "count = Constant<value = int64 {4}>()"
    with pytest.raises(UnsupportedOperators, match="length of a scan output open"):
        _imported(tmp_path, LOOP % ("bool going,", head))


@pytest.mark.parametrize("limit", [-5.0, 2.0, 100.0])
def test_a_loop_that_ends_by_a_condition(tmp_path: Path, limit: float) -> None:
    text = """case (float[1] limit, float[1] x) => (float[1] y) {
        count = Constant<value = int64 {6}>() start = Less(x, limit) s = Squeeze(start)
        y = Loop (count, s, x) <
            body = turn (int64 i, bool c_in, float[1] a) => (bool c, float[1] b) {
                one = Constant<value = float[1] {1.0}>() b = Add(a, one)
                l = Less(b, limit) c = Squeeze(l)
            }
        >
    }"""
    feeds = {"limit": np.array([limit], np.float32), "x": np.array([0.5], np.float32)}
    compare_model(tmp_path, _model(text), feeds)


def test_an_operator_inside_a_loop_is_refused_by_its_name(tmp_path: Path) -> None:
    text = """case (float[3] x) => (float[3] y) {
        count = Constant<value = int64 {4}>() going = Constant<value = bool {1}>()
        y = Loop (count, going, x) <
            body = turn (int64 i, bool c_in, float[3] a) => (bool c, float[3] b) {
                c = Identity(c_in) b = RandomNormalLike(a)
            }
        >
    }"""
    with pytest.raises(UnsupportedOperators, match="RandomNormalLike") as caught:
        _imported(tmp_path, text)
    assert len(caught.value.operators) == 1


@pytest.mark.parametrize("back", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan(tmp_path: Path, axis: int, back: int) -> None:
    text = """case (float[2] s, float[%s] x) => (float[2] y, float[n, m] z) {
        y, z = Scan <num_scan_inputs = 1, scan_input_axes = [%d], scan_output_axes = [%d],
            scan_input_directions = [%d], scan_output_directions = [%d],
            body = turn (float[2] a, float[2] v) => (float[2] b, float[2] o) {
                b = Add(a, v) o = Mul(b, v)
            }
        > (s, x)
    }"""
    shape = (5, 2) if axis == 0 else (2, 5)
    model = _model(text % (", ".join(map(str, shape)), axis, axis, back, back))
    compare_model(tmp_path, model, {"s": floats(2), "x": floats(*shape)})


def test_sequences_between_tensors(tmp_path: Path) -> None:
    text = """case (float[4, 6] x, float[2, 6] v) => (float[n, m] y, int64 k) {
        sizes = Constant<value = int64[2] {1, 3}>() one = Constant<value = int64 {-1}>()
        s = SplitToSequence<axis = 0>(x, sizes) t = SequenceInsert(s, v, one)
        u = SequenceErase(t, one) w = SequenceAt(t, one) r = SequenceInsert(u, w)
        k = SequenceLength(r) y = ConcatFromSequence<axis = 0>(r)
    }"""
    compare_model(tmp_path, _model(text), {"x": floats(4, 6), "v": floats(2, 6)})


def test_single_slices_stacked_on_a_new_axis(tmp_path: Path) -> None:
    text = """case (float[4, 6] x) => (float[n, m, o] y) {
        s = SplitToSequence<axis = 1, keepdims = 0>(x)
        y = ConcatFromSequence<axis = 1, new_axis = 1>(s)
    }"""
    compare_model(tmp_path, _model(text), {"x": floats(4, 6)})


def test_a_sequence_at_the_edges_is_its_tensors(tmp_path: Path) -> None:
    text = """case (seq(float[n]) x, float[2] v) => (seq(float[m]) y) {
        y = SequenceInsert(x, v)
    }"""
    dims = {"x": 2, "x.0.0": 3, "x.1.0": 4}
    graph = _imported(tmp_path, text, dims)
    assert [(item.name, item.type.shape) for item in graph.inputs] == [
        ("x.0", (3,)),
        ("x.1", (4,)),
        ("v", (2,)),
    ]
    feeds = {"x.0": floats(3), "x.1": floats(4), "v": floats(2)}
    got = evaluate(graph, feeds)
    assert list(got) == ["y.0", "y.1", "y.2"]
    for name, given in zip(got, feeds, strict=True):
        np.testing.assert_array_equal(got[name], feeds[given])


def test_a_sequence_without_a_length(tmp_path: Path) -> None:
    text = "case (seq(float[3]) x) => (float[n] y) { y = ConcatFromSequence<axis = 0>(x) }"
    with pytest.raises(CompileError, match=r"its length as dims=\{'x': N\}"):
        _imported(tmp_path, text)


@pytest.mark.parametrize("there", [False, True])
def test_an_optional(tmp_path: Path, there: bool) -> None:
    text = """case (optional(float[3]) x, float[3] v) => (float[3] y) {
        c = OptionalHasElement(x)
        y = If (c) <
            then_branch = yes () => (float[3] a) { a = OptionalGetElement(x) },
            else_branch = no () => (float[3] b) { b = Exp(v) }
        >
    }"""
    graph = _imported(tmp_path, text.replace("17", "18"), {"x": int(there)})
    feeds = {"v": floats(3), **({"x": floats(3)} if there else {})}
    want = feeds["x"] if there else np.exp(feeds["v"])
    np.testing.assert_allclose(evaluate(graph, feeds)["y"], want, rtol=1e-6)


def test_a_map_over_sequences(tmp_path: Path) -> None:
    text = """case (float[4, 6] x, float[6] v) => (float[n, m] y) {
        s = SplitToSequence<axis = 0>(x)
        t = SequenceMap <body = each (float[1, 6] a, float[6] b) => (float[1, 6] c) {
            c = Add(a, b)
        }> (s, v)
        y = ConcatFromSequence<axis = 0>(t)
    }"""
    compare_model(tmp_path, _model(text), {"x": floats(4, 6), "v": floats(6)})


# --- no turns ---------------------------------------------------------------------------

NO_TURNS = """case (float[3] x) => (float[3] y, float[n, 3] z) {
    count = Constant<value = int64 {%d}>() going = Constant<value = bool {%d}>()
    y, z = Loop (count, going, x) <
        body = turn (int64 i, bool c_in, float[3] a) => (bool c, float[3] b, float[3] s) {
            c = Identity(c_in) b = Add(a, x) s = Neg(b)
        }
    >
}"""


@pytest.mark.parametrize(("count", "going"), [(0, 1), (3, 0), (-1, 1)])
def test_a_loop_of_no_turns_gives_an_empty_array(tmp_path: Path, count: int, going: int) -> None:
    compare_model(tmp_path, _model(NO_TURNS % (count, going)), {"x": floats(3)})


def test_what_a_loop_of_no_turns_gives_can_be_used(tmp_path: Path) -> None:
    text = """case (float[3] x) => (float[m, 3] y) {
        count = Constant<value = int64 {0}>()
        last, z = Loop (count, , x) <
            body = turn (int64 i, bool c_in, float[3] a) => (bool c, float[3] b, float[3] s) {
                c = Identity(c_in) b = Add(a, x) s = Neg(b)
            }
        >
        zero = Constant<value = int64[1] {0}>() row = Unsqueeze(last, zero)
        y = Concat<axis = 0>(z, row)
    }"""
    compare_model(tmp_path, _model(text), {"x": floats(3)})


NESTED = """case (float[3] x) => (float[3] y, float[n, 3] z) {
    count = Constant<value = int64 {3}>() two = Constant<value = int64 {2}>()
    zero = Constant<value = int64[1] {0}>()
    y, z = Loop (count, , x) <
        body = outer (int64 i, bool go, float[3] acc) => (bool c, float[3] next, float[3] out) {
            turns = Sub(two, i)
            last, all = Loop (turns, , x) <
                body = inner (int64 j, bool on, float[3] a) => (bool d, float[3] b, float[3] s) {
                    b = Add(a, x) s = Identity(b) d = Identity(on)
                }
            >
            sum = ReduceSum<keepdims = 0>(all, zero)
            next = Add(acc, sum) out = Sub(sum, last) c = Identity(go)
        }
    >
}"""


def test_a_loop_of_no_turns_inside_a_loop_has_nothing_of_the_turn_before(tmp_path: Path) -> None:
    """The inner loop has two turns, then one, then none."""
    compare_model(tmp_path, _model(NESTED), {"x": floats(3)})


def test_a_loop_of_no_turns_inside_a_branch(tmp_path: Path) -> None:
    text = """case (bool c, float[3] x) => (float[3] y) {
        y = If (c) <
            then_branch = yes () => (float[3] a) {
                count = Constant<value = int64 {0}>() zero = Constant<value = int64[1] {0}>()
                last, all = Loop (count, , x) <
                    body = inner (int64 j, bool on, float[3] p) => (bool d, float[3] q, float[3] s)
                    { q = Add(p, x) s = Identity(q) d = Identity(on) }
                >
                sum = ReduceSum<keepdims = 0>(all, zero) a = Add(sum, last)
            },
            else_branch = no () => (float[3] b) { b = Neg(x) }
        >
    }"""
    for flag in (False, True):
        compare_model(tmp_path, _model(text), {"c": np.array(flag), "x": floats(3)})


@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_over_nothing(tmp_path: Path, axis: int) -> None:
    text = f"""case (float[2] x) => (float[2] y, float[n, m] z) {{
        shape = Constant<value = int64[2] {{0, 2}}>() none = ConstantOfShape(shape)
        y, z = Scan<num_scan_inputs = 1, scan_output_axes = [{axis}], body = step
            (float[2] a, float[2] part) => (float[2] b, float[2] s)
            {{ b = Add(a, part) s = Neg(b) }}
        > (x, none)
    }}"""
    model, x = _model(text), floats(2)
    file = tmp_path / "case.onnx"
    onnx.save(model, file)
    got = evaluate(import_onnx(file), {"x": x})
    np.testing.assert_array_equal(got["y"], x)
    assert got["z"].shape == ((0, 2) if axis == 0 else (2, 0))


# --- what inner graphs declare ------------------------------------------------------------


@pytest.mark.parametrize("declared", ["2", "2, 3", "3, 3", "n, m", "1, 1"])
def test_a_shape_that_a_body_declares_and_its_values_do_not_have(
    tmp_path: Path, declared: str
) -> None:
    """Values have shapes of their own: the sum of the sizes is 4 at each of two turns."""
    text = f"""case (float[2, 2] x) => (float[2, 2] y) {{
        count = Constant<value = int64 {{2}}>()
        y = Loop (count, , x) <
            body = turn (int64 i, bool c_in, float[{declared}] a) => (bool c, float[{declared}] b)
            {{
                c = Identity(c_in) s = Shape(a) f = Cast<to = 1>(s)
                t = ReduceSum<keepdims = 0>(f) b = Add(a, t)
            }}
        >
    }}"""
    x = floats(2, 2)
    np.testing.assert_allclose(evaluate(_imported(tmp_path, text), {"x": x})["y"], x + 8, rtol=1e-6)


def test_a_type_that_a_body_declares_and_its_values_do_not_have(tmp_path: Path) -> None:
    text = """case (float[2] x) => (float[2] y) {
        count = Constant<value = int64 {2}>()
        y = Loop (count, , x) <
            body = turn (int64 i, bool c_in, int64[2] a) => (bool c, int64[2] b)
            { c = Identity(c_in) b = Neg(a) }
        >
    }"""
    with pytest.raises((UnsupportedOperators, CompileError), match=r"INT64.*given of floats|type"):
        _imported(tmp_path, text)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("sizes", ["int64 {2}", "int64 {3}", "int64[2] {1, 3}"])
def test_parts_of_given_sizes_keep_their_dimensions(
    tmp_path: Path, sizes: str, opset: int, keep: int
) -> None:
    """``keepdims`` counts only where there is no ``split``."""
    text = f"""case (float[4, 3] x) => (float[n, m] y) {{
        sizes = Constant<value = {sizes}>() last = Constant<value = int64 {{-1}}>()
        parts = SplitToSequence<axis = 0, keepdims = {keep}>(x, sizes)
        y = SequenceAt(parts, last)
    }}"""
    model, x = _model(text), floats(4, 3)
    model.opset_import[0].version = opset
    file = tmp_path / "case.onnx"
    onnx.save(model, file)
    rows = {"int64 {2}": 2, "int64 {3}": 1, "int64[2] {1, 3}": 3}[sizes]
    np.testing.assert_array_equal(evaluate(import_onnx(file), {"x": x})["y"], x[-rows:])
