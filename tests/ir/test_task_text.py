"""The text of a placed program: for every kind of task, and with a place for what is wrong."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields, replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.ir import tasks
from wsc.ir.graph import Arg, Index, Lit, MoveStep, Pad, Reduction, Ref, Reshape, Slice, Step
from wsc.ir.layout import Buffer, Mesh, View
from wsc.ir.task_text import parse_placed, print_placed, word_of
from wsc.ir.tasks import TASKS, Load, Placed, Read, Run, Task
from wsc.ir.text import IRSyntaxError
from wsc.isa.program import Cut, Drawn, EdgeTensor, Extent, Kind
from wsc.isa.types import DType

NAMES = st.sampled_from(["v_a", "none", "", "onnx::MatMul_12", 'a "b" \\ ;; c', "é\n\u2028", "yes"])
LABELS = st.sampled_from(["m", "k0", "where", "x", "stride"])
WHOLE = st.integers(-9, 9999)
SIZES = st.integers(1, 4096)
DTYPES = st.sampled_from([DType.F32, DType.F16, DType.I32])
NUMBERS = st.one_of(WHOLE, st.floats(allow_nan=False))
EXTENTS = st.one_of(
    st.builds(Extent, size=SIZES, length=st.integers(0, 99), offset=WHOLE),
    st.builds(
        Extent,
        size=SIZES,
        axis=st.sampled_from(["x", "y"]),
        step=st.integers(0, 99),
        length=st.integers(0, 99),
        offset=WHOLE,
    ),
)


def several(item: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(item, max_size=3).map(tuple)


VIEWS = st.builds(
    View, buffer=NAMES, dtype=DTYPES, extents=several(EXTENTS), strides=several(WHOLE)
)
KNOWN: dict[Any, st.SearchStrategy[Any]] = {
    str: NAMES,
    bool: st.booleans(),
    int: WHOLE,
    float: NUMBERS,
    View: VIEWS,
    Reduction: st.sampled_from(Reduction),
    Step: st.builds(
        Step,
        op=st.sampled_from(["add", "from_int"]),
        dtype=DTYPES,
        args=several(
            st.one_of(
                st.builds(Arg, st.integers(0, 9)),
                st.builds(Ref, st.integers(0, 9)),
                st.builds(Lit, NUMBERS),
            )
        ),
    ),
    MoveStep: st.sampled_from(
        [Reshape((2, 3)), Reshape(()), Slice((0,), (4,), (-2,)), Pad((0, 1), (2, 0), -math.inf)]
    ),
    Index: st.builds(
        Index, st.lists(st.tuples(LABELS, st.integers(1, 3)), max_size=2).map(tuple), WHOLE
    ),
    tuple[str, int]: st.tuples(LABELS, SIZES),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What a field may hold."""
    if hint in KNOWN:
        return KNOWN[hint]
    if get_origin(hint) is tuple:
        return several(values(get_args(hint)[0]))
    return st.one_of(*(st.none() if part is NoneType else values(part) for part in get_args(hint)))


def made(kind: type[Task]) -> st.SearchStrategy[Task]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{entry.name: values(hints[entry.name]) for entry in fields(kind)})


EDGE = st.builds(
    EdgeTensor,
    name=NAMES,
    # Code of sections is there when the program is.
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.CODE]),
    dtype=DTYPES,
    shape=several(SIZES),
    host_dtype=st.sampled_from(["", "int64"]),
    file=NAMES,
    key=NAMES,
    byte_offset=st.one_of(st.none(), st.integers(0, 10**12)),
    drawn=st.one_of(
        st.none(),
        st.builds(Drawn, seed=SIZES, mean=st.just(0.0), deviation=st.floats(0, 1), first=SIZES),
        st.just(Drawn(0, 0.0, 1.0, 0, (2, 3, 4), (1, 2, 0))),
    ),
    cut=st.one_of(st.none(), st.builds(Cut, axis=st.integers(0, 9), length=NAMES)),
    high=NAMES,
)
BUFFERS = st.builds(Buffer, name=NAMES, dtype=DTYPES, bytes=SIZES, nodes=several(NAMES))


@given(data=st.data())
@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("kind", [*TASKS.values()], ids=lambda kind: kind.__name__)
def test_every_kind_of_task_is_what_its_text_says(kind: type[Task], data: st.DataObject) -> None:
    task = data.draw(made(kind))
    placed = Placed("a", Mesh(3, 1), (), (), (task, task), (Run(1, 1, 4),))
    assert parse_placed(print_placed(placed)) == placed


@given(st.lists(EDGE, max_size=2), st.lists(BUFFERS, max_size=2), NAMES, st.booleans())
@settings(max_examples=40, deadline=None)
def test_tensors_and_buffers_are_what_their_text_says(
    edge: list[EdgeTensor], buffers: list[Buffer], name: str, addresses: bool
) -> None:
    at = {buffer.name: 4 * place for place, buffer in enumerate(buffers)} if addresses else {}
    placed = Placed(name, Mesh(1, 750), tuple(edge), tuple(buffers), (), (), at)
    assert parse_placed(print_placed(placed)) == placed


def test_a_kind_that_a_stranger_adds_has_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    # Both tables forget it again at the end.
    monkeypatch.setitem(tasks.TASKS, "SortTask", Load)
    monkeypatch.setattr(tasks, "ROLES", dict(tasks.ROLES))

    @dataclass(frozen=True, slots=True)
    class SortTask(Task):
        """Sort along an axis."""

        value: Read[View]
        axis: int = 0

    task = SortTask(View("v", DType.F32, (), ()), 2, origin=("sort",))
    placed = Placed("a", Mesh(1, 1), (), (), (task,))
    assert "task sort @" in print_placed(placed)
    assert parse_placed(print_placed(placed)) == placed


def test_names_of_kinds_differ() -> None:
    assert len({word_of(kind) for kind in TASKS.values()}) == len(TASKS)


TEXT = """\
;; what follows is a comment's
placed "net" 2x1
input x : f32[2] host "float32"
buffer v_x : f32 size 4   ;; without an address

task load @"x"
  edge source = x
  write out = v_x : f32[2 x:1] stride [4]
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("2x1", "2", (2, 14), "unexpected '2'"),
        ("placed", "place", (2, 1), "'place' begins no line: placed, input"),
        ("task load", "task loaf", (6, 1), "no task 'loaf': load, store"),
        ("source", "sauce", (7, 1), "no field 'sauce': it has source, out, fill"),
        ("edge source", "read source", (7, 1), "written as 'edge source = ...'"),
        ("x:1", "z:1", (8, 27), "unexpected 'z'"),
        ("  edge source = x\n", "", (6, 1), "the task has no 'source'"),
        ("  edge source = x", "  edge source = x\n  edge source = x", (8, 1), "is there twice"),
        ("edge source", "edge source 0", (7, 1), "not the next item of 'source'"),
        ('task load @"x"\n', "", (6, 1), "below the 'task'"),
        ("stride [4]", "stride", (8, 32), "the text ends too early"),
    ],
)
def test_errors_have_a_place(old: str, new: str, place: tuple[int, int], message: str) -> None:
    assert isinstance(parse_placed(TEXT).tasks[0], Load)
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    with pytest.raises(IRSyntaxError, match=message) as caught:
        parse_placed(text, "p.txt")
    line, column = place
    assert str(caught.value).startswith(f"p.txt:{line}:{column}: ")


def test_a_text_that_is_something_else() -> None:
    for text in ("", ";; nothing\n", 'buffer v : f32 size 4\nplaced "a" 1x1\n'):
        with pytest.raises(IRSyntaxError, match="does not begin with 'placed'"):
            parse_placed(text)


def test_a_default_is_left_out_and_comes_back() -> None:
    task = Load("x", View("v", DType.F32, (), ()))
    placed = Placed("a", Mesh(1, 1), (), (), (task, replace(task, fill=0)))
    lines = print_placed(placed).splitlines()
    assert sum("fill" in line for line in lines) == 1
    assert all(
        entry.default is MISSING or f" {entry.name} =" not in lines[4] for entry in fields(Load)
    )
