"""64-bit integers beyond 32 bits, from the host through the fabric and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, parser

import wsc
from tests.frontend.cases import model_of, run_evaluator
from wsc.errors import CompileError
from wsc.runtime.errors import ExecutionFault, InputError

TIMES = np.array([1_700_000_000_123, -5, 86_400_000 * 30_000, 2**62 + 7, 0])


def _op(op_type: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), outputs, **attributes)


def _model(nodes: list[NodeProto], outputs: str, **constants: int) -> onnx.ModelProto:
    arrays = {name: np.array(value) for name, value in constants.items()}
    return model_of(nodes, {"x": TIMES}, arrays, outputs.split(), 18)


@pytest.fixture(scope="module")
def clock() -> onnx.ModelProto:
    """The day of the week, seconds as floats, and the time an hour later."""
    nodes = [
        _op("Div", "x day", "days"),
        _op("Mod", "days week", "weekday"),
        _op("Cast", "x", "float", to=TensorProto.FLOAT),
        _op("Add", "x hour", "later"),
        _op("Less", "x later", "before"),
    ]
    return _model(nodes, "weekday float later before", day=86_400_000, week=7, hour=3_600_000)


@pytest.mark.parametrize("fabric", ["1x1", "3x2"])
def test_times_are_exact(clock: onnx.ModelProto, fabric: str, tmp_path: Path) -> None:
    program = wsc.compile(clock, fabric=fabric, wide=["x"])
    program.save(tmp_path / "clock.wsa")
    loaded = wsc.load(tmp_path / "clock.wsa")
    assert loaded.text == program.text
    days = [abs(int(t)) // 86_400_000 * (1 if t >= 0 else -1) for t in TIMES]
    wanted = {
        "weekday": np.array([day % 7 for day in days]),
        "float": TIMES.astype(np.float32),
        "later": TIMES + 3_600_000,
        "before": np.full(5, True),
    }
    for engine in ("both", "reference"):
        outputs = loaded.run({"x": TIMES}, engine=engine).outputs
        assert list(outputs) == list(wanted)
        for name, array in wanted.items():
            assert outputs[name].dtype == array.dtype
            np.testing.assert_array_equal(outputs[name], array)


def test_an_input_of_one_word_refuses_others_and_says_where(clock: onnx.ModelProto) -> None:
    program = wsc.compile(clock, fabric="1x1")
    with pytest.raises(InputError, match=r"1700000000123 at \[0\] .* with wide: 'x' it has two"):
        program.run({"x": TIMES})
    small = TIMES % 1000
    np.testing.assert_array_equal(program.run({"x": small}).outputs["later"], small + 3_600_000)


@pytest.mark.parametrize("name", ["y", "x.high", "k"])
def test_only_inputs_of_64_bits_are_wide(clock: onnx.ModelProto, name: str) -> None:
    with pytest.raises(CompileError, match=f"wide: {name!r}: .*; there are: x"):
        wsc.compile(clock, fabric="1x1", wide=[name])


def test_a_run_ends_at_an_integer_that_does_not_fit() -> None:
    nodes = [_op("Mul", "x k", "t"), _op("TopK", "t n", "y z", axis=0)]
    model = model_of(nodes, {"x": TIMES}, {"k": np.array(1000), "n": np.array([1])}, ["y", "z"], 18)
    program = wsc.compile(model, fabric="2x1")
    small = np.array([3, 2**31 // 1000, 0, -7, 5])
    (largest,) = program.run({"x": small}).outputs["y"]
    assert largest == small.max() * 1000
    small[3] = 2**31 // 1000 + 1
    with pytest.raises(ExecutionFault, match="an integer needs more than 32 bits here"):
        program.run({"x": small})


def test_a_hash_of_words() -> None:
    """FNV-1a over the last axis, modulo 2^64: unsigned, as users have it."""
    words = np.array([[5, 2**32 - 1, 7], [0, 1, 2**31]], np.uint64)
    nodes: list[NodeProto] = []
    state = "basis"
    for i in range(3):
        nodes += [
            _op("Gather", f"x i{i}", f"w{i}", axis=1),
            _op("BitwiseXor", f"{state} w{i}", f"h{i}"),
            _op("Mul", f"h{i} prime", f"s{i}"),
        ]
        state = f"s{i}"
    nodes.append(_op("Mod", f"{state} size", "bucket"))
    constants = {
        "basis": np.array(14695981039346656037, np.uint64),
        "size": np.array(1021, np.uint64),
        "prime": np.array(1099511628211, np.uint64),
        **{f"i{i}": np.array(i) for i in range(3)},
    }
    model = model_of(nodes, {"x": words}, constants, ["bucket", state], 18)
    wanted = run_evaluator(model, {"x": words})
    outputs = wsc.compile(model, fabric="2x2").run({"x": words}).outputs
    np.testing.assert_array_equal(outputs["bucket"], wanted[0])
    np.testing.assert_array_equal(outputs[state], wanted[1])


# --- with what else a program may have ----------------------------------------------------


def _parsed(text: str) -> onnx.ModelProto:
    return parser.parse_model('<ir_version: 8, opset_import: ["" : 17]>\n' + text)


@pytest.mark.parametrize(
    ("body", "x", "d", "reason"),
    [
        ("t = Mul(x, x) a = Div(t, d)", [5, 2**30, 7], [2, 0, 1], "division of .* by zero"),
        ("t = Mul(x, x) u = Mul(d, d) a = Mod(t, u)", [5, 6, 7], [0, 1, 2], "by zero"),
        ("a = Div(x, d)", [5, 6, 7], [2, 1, 0], "division of 7 by zero"),
        ("t = Mul(x, x) a, i = TopK(t, k)", [5, 2**20, 7], [1, 1, 1], "more than 32 bits"),
        ('a = Einsum<equation = "i,i->i">(x, x)', [5, 2**20, 7], [1, 1, 1], "more than 32 bits"),
    ],
)
def test_a_branch_that_is_not_taken_stops_no_run(
    body: str, x: list[int], d: list[int], reason: str
) -> None:
    """The reason names the ONNX node, where the branch is taken."""
    text = f"""g (bool f, int64[3] x, int64[3] d) => (int64[3] y) <int64[1] k = {{3}}> {{
        y = If (f) <
            then_branch = yes () => (int64[3] a) {{ {body} }},
            else_branch = no () => (int64[3] b) {{ b = Identity(x) }}
        >
    }}"""
    program = wsc.compile(_parsed(text), fabric="2x1")
    feeds = {"x": np.array(x), "d": np.array(d)}
    outputs = program.run({"f": np.array(False), **feeds}).outputs
    np.testing.assert_array_equal(outputs["y"], x)
    with pytest.raises(ExecutionFault, match=f"{reason}.*, for node 'y'"):
        program.run({"f": np.array(True), **feeds})


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_scan_outputs_of_a_loop(turns: int) -> None:
    text = f"""g (int64[2] x) => (int64[2] y, int64[n, 2] z) <int64 count = {{{turns}}}> {{
        y, z = Loop (count, , x) <
            body = turn (int64 i, bool on, int64[2] a) => (bool c, int64[2] b, int64[2] s)
            {{ c = Identity(on) b = Mul(a, x) s = Identity(b) }}
        >
    }}"""
    x = np.array([2**20 + 1, -3])
    outputs = wsc.compile(_parsed(text), fabric="2x1").run({"x": x}).outputs
    np.testing.assert_array_equal(outputs["y"], x ** (turns + 1))
    wanted = [x ** (turn + 2) for turn in range(turns)]
    np.testing.assert_array_equal(outputs["z"], np.array(wanted, np.int64).reshape(turns, 2))


def test_tensors_of_a_sequence_side_by_side() -> None:
    text = """g (int64[2] x, int64[2] w) => (int64[2, 2] y) {
        s = SequenceConstruct(x, w) y = ConcatFromSequence<axis = 1, new_axis = 1>(s)
    }"""
    feeds = {"x": np.array([1, 2]), "w": np.array([-3, 4])}
    outputs = wsc.compile(_parsed(text), fabric="1x1").run(feeds).outputs
    np.testing.assert_array_equal(outputs["y"], [[1, -3], [2, 4]])


@pytest.mark.parametrize("name", ["x", "x.high", "y.high"])
def test_names_of_high_words_are_free(name: str) -> None:
    """An output may have the name of the high words of an input, or of another output."""
    nodes = [_op("Add", "x x")] + ([_op("Neg", "x", name)] if name != "x" else [])
    model = model_of(nodes, {"x": TIMES}, {}, ["y", name], 18)
    outputs = wsc.compile(model, fabric="2x1", wide=["x"]).run({"x": TIMES}).outputs
    assert list(outputs) == ["y", name]
    np.testing.assert_array_equal(outputs["y"], TIMES + TIMES)
    np.testing.assert_array_equal(outputs[name], TIMES if name == "x" else -TIMES)


def test_an_input_without_elements_may_be_wide() -> None:
    text = """g (int64[past] c, int64[2] x) => (int64[all] y) { y = Concat<axis = 0>(c, x) }"""
    program = wsc.compile(_parsed(text), fabric="1x1", dims={"past": 0}, wide=["c", "x"])
    x = np.array([2**40, -1])
    outputs = program.run({"c": np.zeros(0, np.int64), "x": x}).outputs
    np.testing.assert_array_equal(outputs["y"], x)


def test_a_default_value_may_be_wide() -> None:
    text = """g (int64[2] x, int64[2] k) => (int64[2] y) <int64[2] k = {1, 2}> { y = Add(x, k) }"""
    program = wsc.compile(_parsed(text), fabric="1x1", inputs=["k"], wide=["k"])
    feeds = {"x": np.array([1, 2]), "k": np.array([2**40, -1])}
    np.testing.assert_array_equal(program.run(feeds).outputs["y"], feeds["x"] + feeds["k"])


def test_a_scalar_of_two_words_is_an_array() -> None:
    program = wsc.compile(_parsed("g (int64 x) => (int64 y) { y = Mul(x, x) }"), fabric="1x1")
    y = program.run({"x": np.array(2**20)}).outputs["y"]
    assert isinstance(y, np.ndarray)
    assert (y.shape, y.item()) == ((), 2**40)
