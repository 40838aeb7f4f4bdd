"""Control flow: branches chosen or both computed, loops unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from wsc.frontend import wide
from wsc.frontend.exact.item import Double
from wsc.frontend.load import RANK_KEY
from wsc.frontend.registry import (
    Absent,
    Call,
    Item,
    Many,
    Unsupported,
    lowering,
    normal_axis,
    require,
)
from wsc.frontend.wide import Wide
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reshape, Slice
from wsc.isa.types import DType

# An unrolled loop is code and compile time for each of its turns.
TURNS_LIMIT = 4096


def _body(call: Call, name: str) -> ir.Graph:
    graph = call.graph(name)
    require(graph is not None, f"no graph {name!r}")
    assert graph is not None
    return graph


def _tensor(item: Item, what: str) -> Value | Wide:
    if not isinstance(item, Value | Wide):
        raise Unsupported(f"{what} that is not a tensor")
    return item


def _flag(call: Call, item: Item) -> Value | bool:
    """A condition: known now, or a scalar of the program."""
    value = _tensor(item, "a condition")
    assert isinstance(value, Value)  # ONNX's checker wants a truth value
    require(value.type.size == 1, f"a condition of shape {value.shape}")
    known = call.build.host(value)
    return call.build.reshape(value, ()) if known is None else bool(known.reshape(()).item())


def either(build: GraphBuilder, flag: Value, yes: Item, no: Item, hint: str = "") -> Item:
    """``yes`` where the flag is set, else ``no``: both are there, and one is selected."""
    if yes == no:
        return yes
    if isinstance(yes, Many) and isinstance(no, Many):
        require(len(yes.values) == len(no.values), "a run-time condition chooses a length")
        pairs = zip(yes.values, no.values, strict=True)
        return Many(tuple(_select(build, flag, a, b, hint) for a, b in pairs))
    if isinstance(yes, Double) and isinstance(no, Double):
        words = zip(yes.words, no.words, strict=True)
        return Double(*(_select(build, flag, a, b, hint) for a, b in words))
    require(
        isinstance(yes, Value | Wide) and isinstance(no, Value | Wide),
        "a run-time condition chooses whether there is an element",
    )
    if isinstance(yes, Value) and isinstance(no, Value):
        return _select(build, flag, yes, no, hint)
    one, other = wide.alike(build, [_tensor(yes, "a choice"), _tensor(no, "a choice")])
    high = _select(build, flag, one.high, other.high, hint)
    low = _select(build, flag, one.low, other.low, hint)
    return Wide(high, low, wide.joined(one.range, other.range), one.signed)


def _select(build: GraphBuilder, flag: Value, yes: Value, no: Value, hint: str) -> Value:
    require(yes.shape == no.shape, f"a run-time condition chooses shape {yes.shape} or {no.shape}")
    require(yes.dtype.is_float == no.dtype.is_float, "a run-time condition chooses a type")
    return build.map(lambda c, a, b: c.select(a, b), flag, yes, no, hint=hint)


@lowering("If")
def if_(call: Call) -> list[Item]:
    """The branch of a known condition; of another, both branches and a selection."""
    flag = _flag(call, call.item(0))
    if isinstance(flag, bool):
        name = "then_branch" if flag else "else_branch"
        return call.inline(_body(call, name), (), name)
    unset = call.build.map(lambda c: c.negated(), flag, hint="else")
    with call.build.only_if(flag):
        yes = call.inline(_body(call, "then_branch"), (), "then")
    with call.build.only_if(unset):
        no = call.inline(_body(call, "else_branch"), (), "else")
    return [
        either(call.build, flag, a, b, f"chosen{number}")
        for number, (a, b) in enumerate(zip(yes, no, strict=True))
    ]


# --- loops ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Loop:
    """A loop in the middle of its turns.

    active: whether the turn takes place. carried: values from turn to turn. shown: for
    each scan output what the turns gave.
    """

    active: Value | bool
    carried: list[Item]
    shown: list[list[Value | Wide]]


@lowering(
    "Loop",
    sizes={
        0: "the trip count, which sizes the scan outputs",
        1: "whether there is a first turn, which sizes the scan outputs",
    },
)
def loop(call: Call) -> list[Item | None]:
    """Turns unrolled; a run-time condition selects what is carried on."""
    body, build = _body(call, "body"), call.build
    count = int(call.static(0, "the trip count").reshape(()).item()) if call.has(0) else None
    active = _flag(call, call.item(1)) if call.has(1) else True
    carried = [call.item(index) for index in range(2, len(call))]
    shown = len(body.outputs) - 1 - len(carried)
    state = _Loop(active, carried, [[] for _ in range(shown)])
    turn = 0
    while state.active is not False and (count is None or turn < count):
        require(turn < TURNS_LIMIT, f"more than {TURNS_LIMIT} turns")
        require(count is not None or state.active is True, "no limit on the number of turns")
        _turn(call, body, state, turn)
        turn += 1
    if turn:
        return [*state.carried, *(stacked(build, values, 0) for values in state.shown)]
    if not any(call.wants(len(carried) + number) for number in range(shown)):
        return list(carried)
    # What the first turn would give has the sizes that are asked for; nobody reads its values.
    _, *results = _results(call, body, state, 0)
    return [*carried, *_nothing(build, results[len(carried) :], [0] * shown)]


def _results(call: Call, body: ir.Graph, state: _Loop, turn: int) -> list[Item]:
    """What the body gives in a turn: whether there is another one, then its results."""
    build = call.build
    number = build.constant(np.array(turn), DType.I32, "turn")
    # In the body the condition holds, or the turn does not take place.
    going = build.constant(np.array(1), DType.I32, "going")
    places = [
        _shaped(build, value, item)
        for value, item in zip((number, going), body.inputs[:2], strict=True)
    ]
    active = state.active
    with build.only_if(active) if isinstance(active, Value) else nullcontext():
        return call.inline(body, [*places, *state.carried], str(turn))


def _turn(call: Call, body: ir.Graph, state: _Loop, turn: int) -> None:
    build, active = call.build, state.active
    again, *results = _results(call, body, state, turn)
    split = len(state.carried)
    again = _flag(call, again)
    if isinstance(active, Value):
        require(not state.shown, "a run-time condition leaves the length of a scan output open")
        pairs = zip(results[:split], state.carried, strict=True)
        state.carried = [either(build, active, new, old, f"kept{turn}") for new, old in pairs]
        if again is True:
            return
        state.active = (
            False
            if again is False
            else build.map(lambda a, b: a & b, active, again, hint=f"active{turn}")
        )
        return
    state.carried, state.active = results[:split], again
    for values, item in zip(state.shown, results[split:], strict=True):
        values.append(_tensor(item, "a scan output"))


def _shaped(build: GraphBuilder, value: Value, like: ir.Value) -> Value:
    """A scalar in the rank that the body declares: () or (1,)."""
    return build.reshape(value, (1,) * (like.meta.get(RANK_KEY) or 0))


def stacked(build: GraphBuilder, tensors: Sequence[Value | Wide], axis: int) -> Value | Wide:
    """Tensors, one at least, side by side along a new axis."""
    values = [tensor for tensor in tensors if isinstance(tensor, Value)]
    if len(values) < len(tensors):
        pairs = wide.alike(build, tensors)
        high = _stacked(build, [pair.high for pair in pairs], axis)
        low = _stacked(build, [pair.low for pair in pairs], axis)
        return Wide(high, low, wide.joined(*(pair.range for pair in pairs)), pairs[0].signed)
    return _stacked(build, values, axis)


def _stacked(build: GraphBuilder, values: Sequence[Value], axis: int) -> Value:
    place = normal_axis(axis, values[0].rank + 1)
    shape = values[0].shape
    require(all(value.shape == shape for value in values), "turns of different shapes")
    one = (*shape[:place], 1, *shape[place:])
    return build.concat([build.reshape(value, one) for value in values], place, "stacked")


def _nothing(build: GraphBuilder, items: Sequence[Item], axes: Sequence[int]) -> list[Value]:
    """What stands side by side after no turn: as many dimensions as after one, without elements.

    items: the results of a turn that does not take place.
    """
    empty: list[Value] = []
    for item, axis in zip(items, axes, strict=True):
        tensor = _tensor(item, "a scan output")
        value = tensor.low if isinstance(tensor, Wide) else tensor
        place = normal_axis(axis, value.rank + 1)
        empty.append(build.empty((*value.shape[:place], 0, *value.shape[place:]), value.dtype))
    return empty


# --- scans ------------------------------------------------------------------------------


def _part(build: GraphBuilder, value: Value, axis: int, place: int, hint: str) -> Value:
    """One position of an axis, without that axis."""
    starts, sizes = [0] * value.rank, list(value.shape)
    starts[axis], sizes[axis] = place, 1
    shape = Reshape((*value.shape[:axis], *value.shape[axis + 1 :]))
    return build.move(
        value, Slice(tuple(starts), tuple(sizes), (1,) * value.rank), shape, hint=hint
    )


@dataclass(frozen=True, slots=True)
class _Scan:
    """What a Scan's attributes say: axes and directions (1 is backwards) of its data."""

    input_axes: list[int]
    input_backwards: list[int]
    output_axes: list[int]
    output_backwards: list[int]


def _scan(
    call: Call, first: Sequence[Value | Wide], data: list[Value], how: _Scan, name: str
) -> list[Value | Wide]:
    """States and stacked outputs after one turn for each position of the data."""
    build, body = call.build, _body(call, "body")
    states = list(first)
    axes = [normal_axis(axis, x.rank) for axis, x in zip(how.input_axes, data, strict=True)]
    lengths = {x.shape[axis] for x, axis in zip(data, axes, strict=True)}
    require(len(lengths) == 1, "scan inputs of different lengths")
    (turns,) = lengths
    require(turns <= TURNS_LIMIT, f"more than {TURNS_LIMIT} turns")
    if not turns:
        # As in a loop: a turn that nobody reads tells the sizes.
        shapes = [
            (*x.shape[:axis], *x.shape[axis + 1 :]) for axis, x in zip(axes, data, strict=True)
        ]
        parts = [
            build.expand(build.constant(np.zeros(()), x.dtype, "none"), shape)
            for x, shape in zip(data, shapes, strict=True)
        ]
        results = call.inline(body, [*states, *parts], f"{name}0")
        return [*states, *_nothing(build, results[len(states) :], how.output_axes)]
    shown: list[list[Value | Wide]] = [[] for _ in body.outputs[len(states) :]]
    for turn in range(turns):
        places = [turns - 1 - turn if back else turn for back in how.input_backwards]
        parts = [
            _part(build, x, axis, place, f"{name}in{turn}")
            for x, axis, place in zip(data, axes, places, strict=True)
        ]
        results = call.inline(body, [*states, *parts], f"{name}{turn}")
        tensors = [_tensor(item, "a result of the body") for item in results]
        states = tensors[: len(states)]
        for values, value in zip(shown, tensors[len(states) :], strict=True):
            values.append(value)
    outputs = [
        stacked(build, values[::-1] if back else values, axis)
        for values, axis, back in zip(shown, how.output_axes, how.output_backwards, strict=True)
    ]
    return [*states, *outputs]


@lowering("Scan", since=9)
def scan(call: Call) -> list[Value | Wide]:
    """A body for each position of the inputs, in order, with states carried on."""
    values = call.args()
    count = call.integer("num_scan_inputs", 0)
    states, data = values[: len(values) - count], values[len(values) - count :]
    results = len(call.node.outputs) - len(states)
    how = _Scan(
        call.integers("scan_input_axes") or [0] * count,
        call.integers("scan_input_directions") or [0] * count,
        call.integers("scan_output_axes") or [0] * results,
        call.integers("scan_output_directions") or [0] * results,
    )
    return _scan(call, states, data, how, "")


@lowering("Scan", since=8, until=8)
def batched_scan(call: Call) -> list[Value | Wide]:
    """The same for each sample of a batch, all of full length."""
    build, count = call.build, call.integer("num_scan_inputs", 0)
    values = [call.arg(index) for index in range(1, len(call))]
    states, data = values[: len(values) - count], values[len(values) - count :]
    if call.has(0):
        lengths = call.static(0, "the lengths of the sequences")
        require(bool((lengths == data[0].shape[1]).all()), "sequences of many lengths")
    results = len(call.node.outputs) - len(states)
    how = _Scan(
        [0] * count, call.integers("directions") or [0] * count, [0] * results, [0] * results
    )
    require(data[0].shape[0] > 0, "a batch without samples")
    samples: list[list[Value | Wide]] = []
    for sample in range(data[0].shape[0]):
        own = [_part(build, value, 0, sample, f"sample{sample}") for value in values]
        split = len(states)
        samples.append(_scan(call, own[:split], own[split:], how, f"{sample}."))
    return [stacked(build, parts, 0) for parts in zip(*samples, strict=True)]


@lowering("SequenceMap", since=17)
def sequence_map(call: Call) -> list[Item]:
    """A body for each element of the first sequence, with those of the others or with tensors."""
    body = _body(call, "body")
    items = [call.item(index) for index in range(len(call))]
    first = items[0]
    if not isinstance(first, Many):
        raise Unsupported("the first input is not a sequence")
    results: list[list[Value]] = [[] for _ in body.outputs]
    for turn in range(len(first.values)):
        own = [_element(item, turn) for item in items]
        for values, item in zip(results, call.inline(body, own, str(turn)), strict=True):
            values.append(_word(call.build, item))
    return [Many(tuple(values)) for values in results]


def _word(build: GraphBuilder, item: Item) -> Value:
    tensor = _tensor(item, "a result of the body")
    return wide.fitted(build, tensor) if isinstance(tensor, Wide) else tensor


def _element(item: Item, number: int) -> Item:
    if isinstance(item, Absent):
        raise Unsupported("an optional without an element")
    if isinstance(item, Many):
        require(number < len(item.values), "a sequence that is shorter than the first")
        return item.values[number]
    return item
