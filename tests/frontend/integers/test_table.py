"""64-bit integers whose values leave 32 bits, against ONNX Runtime and NumPy, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from tests.frontend.cases import (
    compare,
    compare_model,
    model_of,
    run_evaluator,
    run_reference,
)
from wsc.frontend import import_onnx
from wsc.ir.graph import Graph
from wsc.ir.text import print_graph

X = np.array([5, 70000, -123456, 2**31 - 1, -(2**31), 0, 1, -1])
U = np.array([5, 70000, 2**32 - 1, 2**31, 2**31 - 1, 0, 1, 3], np.uint64)
FAR = 2**33 + 12345
MOST = 2**63 - 1


def op(op_type: str, inputs: str, outputs: str = "y", /, **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), outputs, **attributes)


def check(
    path: Path,
    nodes: list[NodeProto],
    constants: dict[str, Any],
    x: np.ndarray = X,
    oracle: Any = run_reference,
    opset: int = 18,
) -> Graph:
    """Hold a model of x, whose last node makes the outputs, against the reference."""
    given = {name: np.array(value, x.dtype) for name, value in constants.items()}
    model = model_of(nodes, {"x": x}, given, list(nodes[-1].output), opset)
    return compare_model(path, model, {"x": x}, oracle=oracle)


def words(graph: Graph) -> int:
    """How many nodes compute something."""
    return len(graph.nodes)


@pytest.mark.parametrize("x", [X, U], ids=["int64", "uint64"])
@pytest.mark.parametrize("known", [3, FAR, 2**62 + 1])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max", "Min"])
def test_arithmetic(tmp_path: Path, op_type: str, known: int, x: np.ndarray) -> None:
    check(tmp_path, [op(op_type, "x k")], {"k": known}, x)
    check(tmp_path, [op(op_type, "k x")], {"k": np.full((2, 8), known)}, x)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max", "Min"])
def test_both_operands_are_of_two_words(tmp_path: Path, op_type: str) -> None:
    nodes = [op("Mul", "x x", "a"), op("Mul", "x k", "b"), op(op_type, "a b", "y")]
    check(tmp_path, nodes, {"k": FAR})


@pytest.mark.parametrize("op_type", ["Neg", "Abs", "Sign", "Identity"])
def test_unary(tmp_path: Path, op_type: str) -> None:
    check(tmp_path, [op("Mul", "x k", "t"), op(op_type, "t")], {"k": FAR})
    check(tmp_path, [op(op_type, "x")], {})


@pytest.mark.parametrize("op_type", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
@pytest.mark.parametrize("x", [X, U], ids=["int64", "uint64"])
def test_order(tmp_path: Path, op_type: str, x: np.ndarray) -> None:
    constants = {"k": FAR, "b": [5 * FAR, 0, FAR, FAR + 1, 1, 2, 3 * FAR, 2**62]}
    oracle = run_evaluator if x.dtype == np.uint64 else run_reference
    check(tmp_path, [op("Mul", "x k", "t"), op(op_type, "t b")], constants, x, oracle)


@pytest.mark.parametrize("divisor", [1, -1, 7, -1000, 65537, -86400, 2**31 - 1, 86400 * 10**9])
@pytest.mark.parametrize(
    ("op_type", "attributes"), [("Div", {}), ("Mod", {}), ("Mod", {"fmod": 1})]
)
def test_division(tmp_path: Path, op_type: str, attributes: dict[str, int], divisor: int) -> None:
    nodes = [op("Mul", "x k", "t"), op(op_type, "t d", **attributes)]
    check(tmp_path, nodes, {"k": 10**9 + 7, "d": divisor}, oracle=run_divided(op_type, attributes))


def run_divided(op_type: str, attributes: dict[str, int]) -> Any:
    """NumPy's answer, exactly: the reference evaluator divides in double precision."""

    def run(model: Any, feeds: Any) -> list[np.ndarray]:
        constants = {item.name: item for item in model.graph.initializer}
        k, d = (int(np.frombuffer(constants[name].raw_data, np.int64)[0]) for name in ("k", "d"))
        values: list[int] = []
        for x in feeds["x"].tolist():
            quotient, rest = divmod(abs(x * k), abs(d))
            quotient = -quotient if (x * k < 0) != (d < 0) else quotient
            rest = -rest if x * k < 0 else rest
            if op_type == "Mod" and not attributes and rest and (rest < 0) != (d < 0):
                rest += d
            values.append(quotient if op_type == "Div" else rest)
        return [np.array(values)]

    return run


def test_division_by_data(tmp_path: Path) -> None:
    nodes = [op("Mul", "x k", "t"), op("Add", "x o", "d"), op("Div", "t d")]
    check(tmp_path, nodes, {"k": FAR, "o": 2**33 + 1})
    check(tmp_path, nodes, {"k": FAR, "o": 2}, X[:7])
    words = [op("Div", "x d")]
    graph = check(tmp_path, words, {"d": [1, 1, 3, 7, 2**31 - 1, 5, 9, 1]}, X)
    assert len(graph.nodes) == 1


def test_the_one_quotient_of_words_that_is_none(tmp_path: Path) -> None:
    least = np.array([-(2**31), -(2**31), 2**31 - 1, 7])
    divisors = np.array([-1, 1, -1, -2])
    model = model_of([op("Div", "x d")], {"x": least, "d": divisors}, {}, ["y"])
    compare_model(tmp_path, model, {"x": least, "d": divisors})


def test_a_hash_and_a_time(tmp_path: Path) -> None:
    nodes = [
        op("Mul", "x k", "t"),
        op("Add", "t o", "u"),
        op("BitwiseXor", "u t", "v"),
        op("Mod", "v m"),
    ]
    constants = {"k": 6364136223846793005, "o": 1442695040888963407, "m": 1000003}
    check(tmp_path, nodes, constants, oracle=run_evaluator)
    nodes = [op("Mul", "x k", "t"), op("Add", "t o", "u"), op("Div", "u d", "w"), op("Mod", "w m")]
    constants = {"k": 1000, "o": 1_700_000_000_000, "d": 86_400_000, "m": 7}
    graph = check(tmp_path, nodes, constants)
    assert not graph.outputs[0].high  # a day of the week is one word


@pytest.mark.parametrize("op_type", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(tmp_path: Path, op_type: str) -> None:
    nodes = [op("Mul", "x k", "t"), op(op_type, "t b")]
    check(tmp_path, nodes, {"k": FAR, "b": 2**35 - 7}, oracle=run_evaluator)
    check(tmp_path, [op(op_type, "x b")], {"b": -(2**40)}, oracle=run_evaluator)


def test_complement(tmp_path: Path) -> None:
    check(tmp_path, [op("BitwiseNot", "x")], {}, U, run_evaluator)
    check(tmp_path, [op("Mul", "x k", "t"), op("BitwiseNot", "t")], {"k": FAR}, X, run_evaluator)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(tmp_path: Path, direction: str) -> None:
    counts = np.array([0, 1, 13, 31, 32, 33, 45, 63], np.uint64)
    nodes = [op("Mul", "x k", "t"), op("BitShift", "t b", direction=direction)]
    check(tmp_path, nodes, {"k": FAR, "b": counts}, U)
    check(tmp_path, [op("BitShift", "x b", direction=direction)], {"b": counts}, U)
    check(tmp_path, [op("BitShift", "x b", direction=direction)], {"b": 40}, U)


@pytest.mark.parametrize("exponent", [2, 3, 5])
def test_powers(tmp_path: Path, exponent: int) -> None:
    check(tmp_path, [op("Pow", "x e")], {"e": exponent}, oracle=run_power(exponent))


def run_power(exponent: int) -> Any:
    def run(model: Any, feeds: Any) -> list[np.ndarray]:
        powers = [x**exponent for x in feeds["x"].tolist()]
        return [np.array([(p + 2**63) % 2**64 - 2**63 for p in powers])]

    return run


# --- bounds that cannot be reached ----------------------------------------------------


def test_a_bound_that_cannot_be_reached_costs_nothing(tmp_path: Path) -> None:
    for node, constants in (
        (op("Min", "x k"), {"k": MOST}),
        (op("Max", "k x"), {"k": -MOST - 1}),
        (op("Clip", "x a k"), {"a": -MOST, "k": MOST}),
    ):
        graph = check(tmp_path, [node], constants)
        assert not graph.nodes
        assert not graph.outputs[0].high
    graph = check(tmp_path, [op("Slice", "x a k")], {"a": [2], "k": [MOST]})
    assert words(graph) == 1


def test_what_stays_in_a_word_is_one(tmp_path: Path) -> None:
    flags = [op("Cast", "x", "b", to=TensorProto.BOOL), op("Cast", "b", "t", to=TensorProto.INT64)]
    for last, constants in (
        (op("Add", "t k"), {"k": 2**31 - 2}),
        (op("Mul", "t k"), {"k": 2**31 - 1}),
        (op("CumSum", "t k"), {"k": 0}),
        (op("ReduceSum", "t k"), {"k": [0]}),
        (op("Sub", "k t"), {"k": -(2**31) + 1}),
    ):
        graph = check(tmp_path, [*flags, last], constants)
        assert not graph.outputs[0].high
        assert words(graph) <= 3


# --- casts ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["INT32", "UINT8", "INT16", "UINT32", "BOOL", "FLOAT", "DOUBLE"])
def test_casts_of_two_words(tmp_path: Path, target: str) -> None:
    nodes = [op("Mul", "x x", "t"), op("Cast", "t", to=getattr(TensorProto, target))]
    x = X if target != "DOUBLE" else X[[0, 5, 6, 7]]
    check(tmp_path, nodes, {}, x, run_evaluator if target == "UINT32" else run_reference)


@pytest.mark.parametrize(
    ("array", "target"),
    [
        (X, "UINT64"),
        (U, "INT64"),
        (X.astype(np.int32), "UINT64"),
        (X.astype(np.int32), "INT64"),
        (np.array([0, 2**31, 2**32 - 1], np.uint32), "INT64"),
        (np.array([3e9, -3e9, 1.5, -0.5, 2**40, -(2.0**62), 16777216], np.float32), "INT64"),
        (np.array([3e9, 2.0**63, 5.5], np.float32), "UINT64"),
    ],
)
def test_casts_to_64_bits(tmp_path: Path, array: np.ndarray, target: str) -> None:
    model = model_of([op("Cast", "x", to=getattr(TensorProto, target))], {"x": array}, {}, ["y"])
    compare_model(tmp_path, model, {"x": array})


def test_a_float_that_is_known_to_be_small_is_cast_to_a_word(tmp_path: Path) -> None:
    x = np.array([1.5, 9.0, -9.0], np.float32)
    nodes = [op("Clip", "x a b", "t"), op("Cast", "t", to=TensorProto.INT64)]
    limits = {"a": np.array(-4, np.float32), "b": np.array(4, np.float32)}
    model = model_of(nodes, {"x": x}, limits, ["y"])
    graph = compare_model(tmp_path, model, {"x": x})
    assert not graph.outputs[0].high


# --- movement, sums, extrema --------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "constants"),
    [
        (op("Gather", "t i"), {"i": [3, 1]}),
        (op("Concat", "t x", axis=0), {}),
        (op("Reshape", "t s"), {"s": [2, 4]}),
        (op("Split", "t", "y z", axis=0, num_outputs=2), {}),
        (op("Pad", "t p v"), {"p": [1, 2], "v": MOST}),
        (op("Pad", "x p v"), {"p": [1, 2], "v": -MOST}),
        (op("Where", "f t x"), {}),
        (op("Where", "f k x"), {}),
        (op("ScatterElements", "t i k1", axis=0), {"i": [0, 7], "k1": [1, 2**40]}),
        (op("Expand", "t s"), {"s": [2, 8]}),
        (op("Shape", "t"), {}),
        (op("Equal", "t k"), {}),
    ],
)
def test_movement(tmp_path: Path, last: NodeProto, constants: dict[str, Any]) -> None:
    nodes = [op("Mul", "x k", "t"), op("Less", "x zero", "f"), last]
    check(tmp_path, nodes, {"k": FAR, "zero": 0, **constants})


@pytest.mark.parametrize("factor", [1, FAR])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(
    "op_type", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean"]
)
def test_reductions(tmp_path: Path, op_type: str, keep: int, factor: int) -> None:
    shaped = [op("Mul", "x k", "t"), op("Reshape", "t s", "r")]
    nodes = [*shaped, op(op_type, "r a", keepdims=keep)]
    constants = {"k": factor, "s": [2, 4], "a": [1]}
    oracle = run_evaluator if op_type in ("ReduceMean", "ReduceProd") else run_reference
    check(tmp_path, nodes, constants, oracle=run_mean(keep) if op_type == "ReduceMean" else oracle)


def run_mean(keep: int) -> Any:
    """Towards zero: the evaluator goes through double precision."""

    def run(model: Any, feeds: Any) -> list[np.ndarray]:
        (k,) = (item for item in model.graph.initializer if item.name == "k")
        factor = int(np.frombuffer(k.raw_data, np.int64)[0])
        sums = [sum(int(x) * factor for x in row) for row in feeds["x"].reshape(2, 4)]
        wrapped = [(s + 2**63) % 2**64 - 2**63 for s in sums]
        means = np.array([abs(s) // 4 * (1 if s >= 0 else -1) for s in wrapped])
        return [means.reshape(2, 1) if keep else means]

    return run


@pytest.mark.parametrize("attributes", [{}, {"reverse": 1}, {"exclusive": 1}])
@pytest.mark.parametrize("factor", [1, FAR])
def test_running_sums(tmp_path: Path, attributes: dict[str, int], factor: int) -> None:
    nodes = [op("Mul", "x k", "t"), op("CumSum", "t a", **attributes)]
    check(tmp_path, nodes, {"k": factor, "a": 0})


def test_sums_of_unsigned(tmp_path: Path) -> None:
    check(tmp_path, [op("ReduceSum", "x")], {}, U, run_unsigned_sum)


def run_unsigned_sum(model: Any, feeds: Any) -> list[np.ndarray]:
    return [feeds["x"].sum(keepdims=True, dtype=np.uint64)]


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_unsigned_words_are_not_negative(tmp_path: Path, dtype: type) -> None:
    x = np.array([5, 2**31, 2**32 - 1, 7], dtype)
    model = np.array([x.sum(dtype=dtype) // dtype(4)])
    check(tmp_path, [op("ReduceMean", "x")], {}, x, lambda *_: [model])
    check(tmp_path, [op("ReduceL1", "x")], {}, x, lambda *_: [x.sum(keepdims=True, dtype=dtype)])
    check(tmp_path, [op("Unique", "x")], {}, x, lambda *_: [np.unique(x)])


def test_updates_that_are_added(tmp_path: Path) -> None:
    nodes = [op("ScatterElements", "x i u", reduction="add")]
    check(tmp_path, nodes, {"i": [3, 3, 0], "u": [2**31 - 1, 2**40, -1]})


def test_updates_that_join_otherwise_are_words(tmp_path: Path) -> None:
    for how in ("max", "min"):
        nodes = [op("Mul", "x k", "t"), op("ScatterElements", "t i u", reduction=how)]
        check(tmp_path, nodes, {"k": 2, "i": [3, 0], "u": [2**31 - 1, -9]}, X // 2)
        with pytest.raises(OverflowError):
            check(tmp_path, nodes, {"k": FAR, "i": [3, 0], "u": [2**31 - 1, -9]})


# --- control flow -------------------------------------------------------------------------


def test_a_loop_leaves_32_bits_on_its_way(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            op("Mul", "s k", "t"),
            op("Add", "t i", "n"),
            op("Identity", "c", "again"),
            op("Identity", "n", "seen"),
        ],
        "body",
        [
            info("i", TensorProto.INT64, []),
            info("c", TensorProto.BOOL, []),
            info("s", TensorProto.INT64, [8]),
        ],
        [
            info("again", TensorProto.BOOL, []),
            info("n", TensorProto.INT64, [8]),
            info("seen", TensorProto.INT64, [8]),
        ],
    )
    loop = helper.make_node("Loop", ["turns", "", "x"], ["y", "z"], body=body)
    check(tmp_path, [loop], {"turns": 5, "k": 31})


def test_a_branch_of_two_words_and_one_of_one(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    long = helper.make_graph(
        [op("Mul", "x k", "a")], "long", [], [info("a", TensorProto.INT64, [8])]
    )
    short = helper.make_graph(
        [op("Identity", "x", "b")], "short", [], [info("b", TensorProto.INT64, [8])]
    )
    for least in (2**31 - 1, 2**31):
        nodes = [
            op("ReduceMax", "x", "m", keepdims=0),
            op("Less", "m least", "f"),
            helper.make_node("If", ["f"], ["y"], then_branch=short, else_branch=long),
        ]
        check(tmp_path, nodes, {"k": FAR, "least": least})


def test_constants_in_a_branch(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    value = helper.make_tensor("v", TensorProto.INT64, [], [2**50 + 1])
    nodes = [helper.make_node("Constant", [], ["c"], value=value), op("Add", "x c", "a")]
    branch = helper.make_graph(nodes, "branch", [], [info("a", TensorProto.INT64, [8])])
    other = helper.make_graph(
        [op("Identity", "x", "b")], "other", [], [info("b", TensorProto.INT64, [8])]
    )
    choose = helper.make_node("If", ["f"], ["y"], then_branch=branch, else_branch=other)
    check(
        tmp_path,
        [op("ReduceMax", "x", "m", keepdims=0), op("Less", "zero m", "f"), choose],
        {"zero": 0},
    )


# --- where words alone are taken -----------------------------------------------------------


def test_an_operator_that_takes_words_stops_at_what_does_not_fit(tmp_path: Path) -> None:
    nodes = [op("Mul", "x k", "t"), op("TopK", "t n", "y z", axis=0)]
    check(tmp_path, nodes, {"k": 16, "n": [2]}, X // 16)
    with pytest.raises(OverflowError, match="more than 32 bits"):
        check(tmp_path, nodes, {"k": 16, "n": [2]}, X)


@pytest.mark.parametrize(
    ("last", "constants", "small", "large"),
    [
        (op("CumProd", "x a"), {"a": 0}, [2, -3, 70, 1, 99], [2**16, 2**15, 1, 1, 1]),
        (op("Pow", "x x"), {}, [1, 2, 3, 9, 0], [3, 10, 1, 1, 1]),
        (op("Pow", "x p"), {"p": [2, 5, 1, 0, 3]}, [46300, 70, 10**9, 9, 5], [46341, 1, 1, 1, 1]),
        (op("Einsum", "x x", equation="i,i->"), {}, [46000, 3, -5, 1, 0], [46000, 46000, 0, 0, 0]),
        (
            op("ScatterElements", "x i u", reduction="mul"),
            {"i": [0, 0], "u": [40000, -50]},
            [1000, 2, 3, 4, 5],
            [2000, 2, 3, 4, 5],
        ),
    ],
)
def test_what_is_computed_in_words_is_checked(
    tmp_path: Path, last: NodeProto, constants: dict[str, Any], small: list[int], large: list[int]
) -> None:
    opset, oracle = (26, run_cumulated) if last.op_type == "CumProd" else (18, run_reference)
    if last.op_type == "Pow":
        oracle = run_evaluator
    check(tmp_path, [last], constants, np.array(small), oracle, opset)
    with pytest.raises(OverflowError):
        check(tmp_path, [last], constants, np.array(large), oracle, opset)


def run_cumulated(model: Any, feeds: Any) -> list[np.ndarray]:
    return [np.cumprod(feeds["x"])]


def test_small_words_are_not_checked(tmp_path: Path) -> None:
    nodes = [op("Clip", "x a b", "t"), op("Einsum", "t t", equation="i,i->")]
    graph = check(tmp_path, nodes, {"a": -9, "b": 9})
    assert "fit" not in print_graph(graph)


def test_values_of_a_32_bit_type_still_wrap(tmp_path: Path) -> None:
    x = X.astype(np.int32)
    compare(tmp_path, "Add", x, x)
    compare(tmp_path, "Mul", x, np.array(70001, np.int32), const=[1])


def test_a_stored_integer_of_two_words_is_an_output(tmp_path: Path) -> None:
    graph = check(tmp_path, [op("Identity", "k")], {"k": [2**40, -(2**50), 3]})
    assert graph.outputs[0].high
    assert import_onnx(tmp_path / "case.onnx") == graph
