"""What a run of several steps does once, what it hands on, and what cannot be handed on."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import wsc
from tests.stepped import FLOAT, INT32, INT64, arrays, expected, model, recurrent
from wsc.errors import CompileError
from wsc.frontend import import_onnx
from wsc.ir.task_text import parse_placed, print_placed
from wsc.ir.tasks import Load, Placed, Store, written
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Kind, Loop
from wsc.isa.types import DType
from wsc.passes.place import Place
from wsc.passes.simplify import Simplify
from wsc.passes.steps import TakeSteps, residence_of

A, B, X, Y = ("a", [3, 8]), ("b", [3, 8]), ("x", [3, 8]), ("y", [3, 8])
NEXT_A, NEXT_B = ("next_a", [3, 8]), ("next_b", [3, 8])
TABLE = np.random.default_rng(0).standard_normal((9, 7)).astype(np.float32)
STEPS: dict[str, tuple[onnx.ModelProto, dict[str, str]]] = {
    "a state": (recurrent(20, 33, 17, 40), {"h": "hn"}),
    "two that change places": (
        model(
            [
                ("Identity", ["b"], ["next_a"]),
                ("Identity", ["a"], ["next_b"]),
                ("Add", ["a", "x"], ["y"]),
            ],
            [X, A, B],
            [Y, NEXT_A, NEXT_B],
        ),
        {"a": "next_a", "b": "next_b"},
    ),
    "one in the place of another": (
        model(
            [
                ("Add", ["b", "x"], ["next_a"]),
                ("Identity", ["a"], ["next_b"]),
                ("Mul", ["a", "x"], ["y"]),
            ],
            [X, A, B],
            [Y, NEXT_A, NEXT_B],
        ),
        {"a": "next_a", "b": "next_b"},
    ),
    "what stays as it is": (
        model([("Identity", ["a"], ["next_a"]), ("Add", ["a", "x"], ["y"])], [X, A], [Y, NEXT_A]),
        {"a": "next_a"},
    ),
    "what is read behind": (
        model(
            [("Add", ["a", "x"], ["next_a"]), ("Mul", ["a", "next_a"], ["y"])], [X, A], [Y, NEXT_A]
        ),
        {"a": "next_a"},
    ),
    "what nobody reads": (
        model([("Add", ["x", "x"], ["next_a"]), ("Mul", ["x", "x"], ["y"])], [X, A], [Y, NEXT_A]),
        {"a": "next_a"},
    ),
    "another layout": (
        model(
            [
                ("Transpose", ["a"], ["turned"], {"perm": [1, 0]}),
                ("MatMul", ["turned", "x"], ["next_a"]),
                ("Add", ["a", "x"], ["y"]),
            ],
            [("x", [8, 8]), ("a", [8, 8])],
            [("y", [8, 8]), ("next_a", [8, 8])],
        ),
        {"a": "next_a"},
    ),
    "windows": (
        model(
            [
                ("MaxPool", ["a"], ["pool"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
                ("Add", ["pool", "x"], ["next_a"]),
                ("Relu", ["next_a"], ["y"]),
            ],
            [("x", [1, 2, 6, 6]), ("a", [1, 2, 6, 6])],
            [("y", [1, 2, 6, 6]), ("next_a", [1, 2, 6, 6])],
        ),
        {"a": "next_a"},
    ),
    "a cache that is written at a position": (
        model(
            [
                ("ScatterND", ["past", "i", "x"], ["present"]),
                ("ReduceSum", ["present", "axes"], ["y"], {"keepdims": 0}),
            ],
            [("x", [1, 8]), ("i", [1, 1], INT64), ("past", [6, 8])],
            [("y", [8]), ("present", [6, 8])],
            {"axes": np.array([0])},
        ),
        {"past": "present"},
    ),
    "the likeliest word, which is the next one": (
        model(
            [
                ("Gather", ["table", "word"], ["row"]),
                ("MatMul", ["row", "w"], ["y"]),
                ("ArgMax", ["y"], ["next_word"], {"axis": 1, "keepdims": 0}),
            ],
            [("word", [1], INT64)],
            [("y", [1, 9]), ("next_word", [1], INT64)],
            {"table": TABLE, "w": TABLE.T.copy()},
        ),
        {"word": "next_word"},
    ),
}


@pytest.mark.parametrize("fabric", ["3x2", "1x4", "4x1"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_give_what_as_many_runs_give(name: str, fabric: str) -> None:
    proto, carry = STEPS[name]
    count = 3
    given = arrays(proto, carry, count)
    wanted = expected(proto, given, carry, count)
    for hold in ("stream", "resident"):
        program = wsc.compile(proto, fabric, hold=hold, steps=count, carry=carry)
        ran = program.run(given, engine="reference", check_races=True)
        timed = program.run(given)
        assert timed.cycles == ran.cycles
        assert list(ran.outputs) == list(wanted)
        for output, value in wanted.items():
            np.testing.assert_allclose(ran.outputs[output], value, rtol=1e-4, atol=1e-5)
            assert ran.outputs[output].dtype == value.dtype
            np.testing.assert_array_equal(timed.outputs[output], ran.outputs[output])


def placed(proto: onnx.ModelProto, carry: dict[str, str], count: int | None) -> Placed:
    graph = import_onnx(proto, {}, {}, DType.F32)
    fabric = find_fabric("3x2")
    residence = residence_of(graph, True, count, carry)
    return TakeSteps(residence).apply(Place(fabric, resident=True).apply(Simplify().apply(graph)))


def test_weights_come_once_and_what_is_handed_on_leaves_at_the_end() -> None:
    proto, carry = STEPS["a state"]
    stage = placed(proto, carry, 5)
    once, step, end = stage.parts()
    kinds = {tensor.name: tensor for tensor in stage.edge_tensors}
    before = [stage.tasks[n] for n in once]
    loads = {task.source: task for task in before if isinstance(task, Load)}
    assert {*loads} == {"h", *(name for name, item in kinds.items() if item.kind is Kind.WEIGHT)}
    home = loads["h"].out
    (shown,) = (stage.tasks[n] for n in end)
    assert isinstance(shown, Store)
    # The state is made where it was: nothing is copied.
    assert (shown.target, shown.value) == ("hn", home)
    assert any(home in written(stage.tasks[n]) for n in step)
    assert kinds["x"].shape == (5, 1, 20)
    assert kinds["h"].shape == (1, 33)
    assert stage.steps is not None
    assert stage.steps.count == 5
    assert parse_placed(print_placed(stage)) == stage


@pytest.mark.parametrize("name", STEPS)
def test_the_pass_keeps_what_it_promises(name: str) -> None:
    proto, carry = STEPS[name]
    graph = import_onnx(proto, {}, {}, DType.F32)
    residence = residence_of(graph, True, 4, carry)
    before = Place(find_fabric("3x2"), resident=True).apply(Simplify().apply(graph))
    step = TakeSteps(residence)
    assert not [*step.broken(before, step.apply(before))]


def test_text_does_not_grow_with_steps() -> None:
    proto, carry = STEPS["a state"]
    texts = [
        wsc.compile(proto, "3x2", hold="resident", steps=n, carry=carry).text for n in (2, 900)
    ]
    assert texts[0].count("\n") == texts[1].count("\n")


def test_a_single_run_with_weights_that_stay_has_no_steps() -> None:
    proto, _ = STEPS["a state"]
    program = wsc.compile(proto, "3x2", hold="resident")
    given = {"x": np.ones((1, 20), np.float32), "h": np.zeros((1, 33), np.float32)}
    (region,) = program.assembly.regions
    assert not [item for item in region.main if isinstance(item, Loop)]
    wanted = expected(proto, {"x": given["x"][None], "h": given["h"]}, {"h": "hn"}, 1)
    ran = program.run(given, engine="values")
    np.testing.assert_allclose(ran.outputs["y"], wanted["y"][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 0}, "0 steps: a run makes at least one"),
        ({"carry": {"h": "hn"}}, "'h' is handed on from step to step: say how many steps"),
        ({"steps": 2, "carry": {"z": "hn"}}, "no input 'z' to hand on (there are: 'x', 'h')"),
        ({"steps": 2, "carry": {"h": "z"}}, "no output 'z' to hand on (there are: 'y', 'hn')"),
        (
            {"steps": 2, "carry": {"x": "hn"}},
            "input 'x' is f32[1, 20] and output 'hn', which the next step would be given, f32[1, ",
        ),
        ({"hold": "somewhere"}, "hold 'somewhere' is not known: stream, resident, auto"),
    ],
)
def test_refusals(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        wsc.compile(recurrent(20, 33, 17), "3x2", **options)  # type: ignore[arg-type]
    assert sentence in str(caught.value)


def test_a_cache_that_grows_is_refused() -> None:
    proto = model(
        [("Concat", ["past", "x"], ["present"], {"axis": 0}), ("Relu", ["x"], ["y"])],
        [("x", [1, 8]), ("past", [6, 8])],
        [("y", [1, 8]), ("present", [7, 8])],
    )
    with pytest.raises(CompileError, match="as a cache that is written at a position does"):
        wsc.compile(proto, "3x2", steps=2)


def test_words_of_64_bits_and_sizes_from_data_are_refused() -> None:
    counter = model(
        [("Add", ["a", "one"], ["next_a"])],
        [("a", [1], INT64)],
        [("next_a", [1], INT64)],
        {"one": np.array([1])},
    )
    with pytest.raises(CompileError, match="let the model compute it as int32"):
        wsc.compile(counter, "3x2", steps=2)
    sized = model([("NonZero", ["x"], ["y"])], [("x", [4], FLOAT)], [("y", [1, "n"], INT64)])
    with pytest.raises(CompileError, match="may differ from step to step"):
        wsc.compile(sized, "3x2", steps=2)


def test_what_is_handed_on_twice_is_refused() -> None:
    proto = model([("Add", ["a", "b"], ["y"])], [A, B], [Y])
    with pytest.raises(CompileError, match="one output is handed on to two inputs"):
        wsc.compile(proto, "3x2", steps=2, carry={"a": "y", "b": "y"})


def test_int32_is_handed_on() -> None:
    proto = model(
        [("Add", ["a", "one"], ["next_a"]), ("Mul", ["a", "x"], ["y"])],
        [("a", [1], INT32), ("x", [1], INT32)],
        [("next_a", [1], INT32), ("y", [1], INT32)],
        {"one": np.array([1], np.int32)},
    )
    given = {"a": np.array([7], np.int32), "x": np.arange(4, dtype=np.int32)[:, None]}
    ran = wsc.compile(proto, "3x2", steps=4).run(given, engine="values")
    assert ran.outputs["next_a"].tolist() == [11]
    assert ran.outputs["y"].ravel().tolist() == [0, 8, 18, 30]


def test_what_takes_the_bytes_is_said() -> None:
    big = recurrent(*[100] * 9)
    with pytest.raises(CompileError, match="of weights"):
        wsc.compile(big, "2x2", hold="resident", steps=2, carry={"h": "hn"})
    note = wsc.compile(big, "2x2", hold="auto", steps=2, carry={"h": "hn"}).notes[0]
    assert note.startswith("weights are streamed, because resident it does not fit: ")
