"""Addresses: nothing that is read later is overwritten; maps write in place where they may."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import wsc
from wsc.errors import CompileError, DoesNotFit
from wsc.ir.graph import Arg, Ref, Step
from wsc.ir.layout import Buffer, Mesh, View, dense_strides, whole
from wsc.ir.tasks import MapTask, MoveTask, Placed, Run, Store, Task, scratch, views
from wsc.isa.code_size import code_bytes
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Extent
from wsc.isa.types import DType
from wsc.kernels.context import SYNC
from wsc.kernels.elementwise import temporaries
from wsc.passes.fit import LONG_CODE
from wsc.passes.lives import Life, Room
from wsc.passes.memory import Allocate, assign, check_room_for_code

FABRIC = find_fabric("4x3")


def view(
    name: str, rows: int, columns: int, dtype: DType = DType.F32, turned: bool = False
) -> View:
    extents: tuple[Extent, ...] = (whole(rows), whole(columns))
    return View(name, dtype, extents, dense_strides(extents, dtype, (1, 0) if turned else (0, 1)))


def placed(tasks: list[Task]) -> Placed:
    sizes: dict[str, Buffer] = {SYNC: Buffer(SYNC, DType.I32, 4)}
    for task in tasks:
        for item in views(task):
            room = -(-item.local_size * item.dtype.bytes // 4) * 4
            sizes[item.buffer] = Buffer(item.buffer, item.dtype, room)
        for name in scratch(task):
            sizes[name] = Buffer(name, DType.F32, task.out.local_size * 4)  # type: ignore[union-attr]
    return Placed("p", Mesh(4, 3), (), tuple(sizes.values()), tuple(tasks))


def map_task(body: tuple[Step, ...], inputs: tuple[View, ...], out: View) -> MapTask:
    place = temporaries(body, out.dtype)
    return MapTask(body, inputs, out, tuple(f"{out.buffer}_{i}" for i in range(max(place) + 1)))


class Sram:
    """Who wrote each byte last; reading what another has overwritten fails."""

    def __init__(self, program: Placed) -> None:
        self.at = program.addresses
        self.bytes = {buffer.name: buffer.bytes for buffer in program.buffers}
        self.owner: dict[int, object] = {}

    def _range(self, buffer: str) -> range:
        return range(self.at[buffer], self.at[buffer] + self.bytes[buffer])

    def write(self, buffer: str, what: object) -> None:
        self.owner |= dict.fromkeys(self._range(buffer), what)

    def read(self, buffer: str, what: object) -> None:
        lost = [byte for byte in self._range(buffer) if self.owner.get(byte) != what]
        assert not lost, f"{what} in {buffer} is overwritten by {self.owner.get(lost[0])}"

    def meet(self, one: str, other: str) -> bool:
        a, b = self._range(one), self._range(other)
        return a.start < b.stop and b.start < a.stop


def run(program: Placed) -> None:
    """Execute the program's reads and writes; a map's steps one after the other."""
    sram = Sram(program)
    holds: dict[str, object] = {SYNC: SYNC}
    sram.write(SYNC, SYNC)
    for number, task in enumerate(program.tasks):
        sram.read(SYNC, SYNC)
        if isinstance(task, MapTask):
            _run_map(sram, task, number, holds)
        elif isinstance(task, MoveTask):
            sram.read(task.value.buffer, holds[task.value.buffer])
            assert not sram.meet(task.value.buffer, task.out.buffer)
            sram.write(task.out.buffer, number)
            holds[task.out.buffer] = number
        elif isinstance(task, Store):
            sram.read(task.value.buffer, holds[task.value.buffer])


def _run_map(sram: Sram, task: MapTask, number: int, holds: dict[str, object]) -> None:
    place = temporaries(task.body, task.out.dtype)
    where = [task.out.buffer if spot == -1 else task.scratch[spot] for spot in place]
    for step, (current, target) in enumerate(zip(task.body, where, strict=True)):
        for arg in current.args:
            if isinstance(arg, Ref):
                sram.read(where[arg.step], (number, arg.step))
            elif isinstance(arg, Arg):
                source = task.inputs[arg.index]
                sram.read(source.buffer, holds[source.buffer])
                if sram.meet(source.buffer, target):  # in place: the same element, at one place
                    assert sram.at[source.buffer] == sram.at[target]
                    assert (source.extents, source.strides) == (task.out.extents, task.out.strides)
                    assert source.dtype.bytes == task.out.dtype.bytes
        sram.write(target, (number, step))
    holds[task.out.buffer] = (number, len(task.body) - 1)


@st.composite
def programs(draw: st.DrawFn) -> Placed:
    """Loads by movement, then maps and moves of earlier values of several layouts."""
    dtypes = st.sampled_from([DType.F32, DType.F16])
    made = [view("v0", draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(dtypes))]
    start = view("start", 1, 1, made[0].dtype)
    tasks: list[Task] = [
        MoveTask(view(SYNC, 1, 1, DType.I32), (), start),
        MoveTask(start, (), made[0]),
    ]
    for number in range(1, draw(st.integers(2, 12))):
        source = draw(st.sampled_from(made))
        rows, columns = source.shape
        turned = draw(st.booleans())
        if draw(st.integers(0, 3)) == 0:
            out = view(f"v{number}", columns, rows, source.dtype, turned)
            tasks.append(MoveTask(source, (), out))
        else:
            alike = [v for v in made if v.shape == source.shape and v.dtype is source.dtype]
            inputs = tuple(draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3)))
            out = view(f"v{number}", rows, columns, source.dtype, turned)
            tasks.append(map_task(draw(bodies(len(inputs), source.dtype)), inputs, out))
        made.append(out)
    for name in sorted(draw(st.sets(st.sampled_from([v.buffer for v in made])))):
        tasks.append(Store(next(v for v in made if v.buffer == name), name))
    return placed(tasks)


@st.composite
def bodies(draw: st.DrawFn, inputs: int, dtype: DType) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 5))):
        known = [Arg(i) for i in range(inputs)] + [Ref(i) for i in range(number)]
        args = draw(st.lists(st.sampled_from(known), min_size=2, max_size=2))
        if number:  # so that no step is dead
            args[0] = Ref(number - 1)
        steps.append(Step("add", dtype, tuple(args)))
    return tuple(steps)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(programs())
def test_nothing_is_overwritten_that_is_read_later(program: Placed) -> None:
    run(Allocate(FABRIC).apply(program))


@st.composite
def rooms(draw: st.DrawFn) -> list[Room]:
    """Rooms that are taken several times, one time behind the other."""
    found: list[Room] = []
    for number in range(draw(st.integers(1, 9))):
        size, lives, task = 4 * draw(st.integers(1, 5)), list[Life](), 0
        for gap, length in draw(
            st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1)
        ):
            first = task + gap
            lives.append(Life([f"b{number}"], size, first, first + length))
            task = first + length + 1
        found.append(Room(lives))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rooms())
def test_rooms_lie_as_low_as_those_that_are_taken_meanwhile_let_them(given: list[Room]) -> None:
    assign(given)
    every = [(room, room.lives[0].address, room.lives[0].bytes) for room in given]
    for room, address, size in every:
        ends = {0}
        for other, begin, room_for in every:
            meets = any(
                a.first <= b.last and b.first <= a.last for a in room.lives for b in other.lives
            )
            if other is room or not meets:
                continue
            assert address + size <= begin or begin + room_for <= address
            ends.add(begin + room_for)
        assert address in ends


def addresses(tasks: list[Task]) -> dict[str, int]:
    return Allocate(FABRIC).apply(placed(tasks)).addresses


NEGATE = (Step("neg", DType.F32, (Arg(0),)),)
SOURCE = view("s", 1, 1)


def test_a_map_writes_over_an_input_that_dies() -> None:
    a, b = view("a", 4, 4), view("b", 4, 4)
    at = addresses([MoveTask(SOURCE, (), a), map_task(NEGATE, (a,), b), Store(b, "o")])
    assert at["a"] == at["b"]


@pytest.mark.parametrize(
    "case", ["read later", "read by a later step", "another layout", "another size"]
)
def test_a_map_keeps_away_from_an_input(case: str) -> None:
    a, b = view("a", 4, 4), view("b", 4, 4, turned=case == "another layout")
    body = NEGATE
    after: list[Task] = [Store(b, "o")]
    if case == "read later":
        after.append(Store(a, "p"))
    elif case == "read by a later step":
        body = (*NEGATE, Step("add", DType.F32, (Ref(0), Arg(0))))
    elif case == "another size":
        a = view("a", 4, 1)
    at = addresses([MoveTask(SOURCE, (), a), map_task(body, (a,), b), *after])
    size = a.local_size * 4
    assert at["b"] + 64 <= at["a"] or at["a"] + size <= at["b"]


def test_the_word_of_the_schedule_is_shared_with_nothing() -> None:
    """It is in use before the first task ends and after the last one begins."""
    a, b = view("a", 9, 7), view("b", 8, 6)
    at = addresses([MoveTask(SOURCE, (), a), MoveTask(SOURCE, (), b)])
    for item in (a, b):
        begin, end = at[item.buffer], at[item.buffer] + item.local_size * 4
        assert at[SYNC] + 4 <= begin or end <= at[SYNC]


def test_layers_may_begin_with_the_first_task() -> None:
    """So does the word of the schedule, and it is of no layer."""
    tasks: list[Task] = [MoveTask(SOURCE, (), view(f"a{turn}", 4, 4)) for turn in range(3)]
    program = replace(placed(tasks), layers=(Run(0, 1, 3),))
    at = Allocate(FABRIC).apply(program).addresses
    assert all(at[SYNC] + 4 <= at[name] or at[name] + 8 <= at[SYNC] for name in ("a0", "a1", "a2"))


def test_too_much_is_refused_with_the_bytes_and_the_node() -> None:
    a, b = view("a", 100, 70), view("b", 70, 100)
    program = placed([MoveTask(SOURCE, (), a), MoveTask(a, (), b), Store(b, "o")])
    with pytest.raises(CompileError, match=r"need 560\d\d bytes of each tile.* has 49152"):
        Allocate(FABRIC).apply(program)


@pytest.mark.parametrize(
    ("rows", "sram", "code", "advice"),
    [
        (2, 520, "resident", "code alone .*as long on any number of tiles"),
        (2, 520, "auto", r"use more tiles \(now 1x1\)"),
        (8, 2050, "resident", r"use more tiles \(now 1x1\)"),
    ],
)
def test_more_tiles_are_advised_where_they_help(
    rows: int, sram: int, code: str, advice: str
) -> None:
    """The values fit never, the code as a whole the last time, and in sections always."""
    node = helper.make_node("Softmax", ["x"], ["y"])
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 64]) for name in "xy"]
    graph = helper.make_graph([node], "g", kinds[:1], kinds[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(DoesNotFit, match=advice):
        wsc.compile(model, fabric=replace(find_fabric("1x1"), sram_bytes=sram), code=code)


def test_data_and_code_share_the_memory_of_a_tile() -> None:
    nodes = [helper.make_node("Exp", ["x"], ["y"], name="/layer/Exp")]
    shown = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 9]) for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "g", shown[:1], shown[1:]), ir_version=10)
    program = wsc.compile(model, fabric="4x3").assembly
    code = max(code_bytes(program, FABRIC).values())
    data = max(tensor.address + tensor.bytes for tensor in program.tensors)
    check_room_for_code(program, replace(FABRIC, sram_bytes=data + code))
    fact = rf"node '.+': {data} bytes of values and {code} bytes of code are {data + code}, but"
    with pytest.raises(DoesNotFit, match=rf"{fact} .* has {data + code - 1}"):
        check_room_for_code(program, replace(FABRIC, sram_bytes=data + code - 1))


@pytest.mark.parametrize(("steps", "advice"), [(9, "use more tiles"), (200, LONG_CODE)])
def test_more_tiles_are_no_advice_for_long_code(steps: int, advice: str) -> None:
    step = "i.add a, a, 1\n"
    text = f"""wsc 1
fabric "tiny" 1x1
tensor buf : f32[1000] at 0 size 4000 @"/layer"
region all at 0,0 size 1x1
main all
i.set a, 0
{step * steps}end
"""
    fabric = replace(find_fabric("tiny"), sram_bytes=1024)
    with pytest.raises(DoesNotFit, match=re.escape(advice)):
        check_room_for_code(parse(text), fabric)
