"""Traces: well-formed, nested, complete, and equal to the counters."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.test_runs import WRITTEN, random_inputs
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.runtime.errors import CycleLimit, RuntimeFault
from wsc.runtime.trace import STATES, Trace, TraceRequest

COLUMNS = {
    "busy": "busy",
    "stalled on input": "stalled_input",
    "stalled on output": "stalled_output",
    "stalled on the dynamic network": "stalled_output",
    "waiting for a semaphore": "waiting",
    "waiting for a unit": "waiting",
}


def written(path: Path) -> Program:
    return parse(path.read_text(encoding="utf-8"), path.name)


def traced(path: Path, request: TraceRequest | None = None, **options: Any) -> runtime.RunResult:
    program = written(path)
    inputs = random_inputs(program)
    return runtime.run(program, inputs, trace=request or TraceRequest("all"), **options)


def document(trace: Trace) -> dict[str, Any]:
    file = io.StringIO()
    trace.write(file)
    return json.loads(file.getvalue())


def tracks(found: dict[str, Any]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    made: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in found["traceEvents"]:
        if event["ph"] == "X":
            made[event["pid"], event["tid"]].append(event)
    return made


def assert_nested(events: list[dict[str, Any]]) -> None:
    """Each slice lies within the one that is open when it begins, or after it."""
    open_until: list[int] = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        end = event["ts"] + event["dur"]
        assert event["dur"] > 0
        while open_until and open_until[-1] <= event["ts"]:
            open_until.pop()
        assert not open_until or end <= open_until[-1], event
        open_until.append(end)


def assert_sums(trace: Trace, counters: runtime.counters.Counters) -> None:
    """The states of every main thread, against its tile's counters."""
    width = trace.image.program.width
    for unit in trace.units:
        y, x = divmod(unit.tile, width)
        sums: dict[str, int] = defaultdict(int)
        for state, cycles in unit.cycles().items():
            sums[COLUMNS[state]] += cycles
        if unit.unit == 0:
            wanted = {name: int(getattr(counters, name)[y, x]) for name in sums}
            assert dict(sums) == wanted, (x, y)
            assert sum(sums.values()) + counters.idle[y, x] == counters.cycles


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_slices_nest_and_add_up(path: Path) -> None:
    result = traced(path)
    assert result.trace is not None
    found = document(result.trace)
    for (pid, _), events in tracks(found).items():
        if pid == 1:  # over all tiles: side by side
            assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in pairwise(events))
        else:
            assert_nested(events)
        assert max(event["ts"] + event["dur"] for event in events) <= result.cycles
    assert_sums(result.trace, result.counters)
    assert found["otherData"]["cycles"] == result.cycles


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_units_of_a_tile_are_busy_as_counted(path: Path) -> None:
    result = traced(path, delays=4)
    assert result.trace is not None
    busy = np.zeros_like(result.counters.unit_busy).ravel()
    for unit in result.trace.units:
        if unit.unit:
            busy[unit.tile] += unit.cycles()["busy"]
    assert (busy.reshape(result.counters.unit_busy.shape) == result.counters.unit_busy).all()


@pytest.mark.parametrize("delays", [None, 3])
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_both_engines_record_the_same(path: Path, delays: int | None) -> None:
    time, reference = (
        traced(path, engine=engine, delays=delays).trace for engine in ("time", "reference")
    )
    assert time is not None
    assert reference is not None
    for one, other in zip(time.units, reference.units, strict=True):
        assert one.entries.tolist() == other.entries.tolist(), (one.tile, one.unit)


def test_instructions_tell_their_line_and_their_states() -> None:
    path = next(path for path in WRITTEN if path.stem == "async")
    result = traced(path, TraceRequest("0,1"))
    assert result.trace is not None
    lines = path.read_text(encoding="utf-8").splitlines()
    found = tracks(document(result.trace))
    main = found[2 + 1, 0]
    names = {event["name"] for event in main if event["cat"] == "instruction"}
    assert {"mov", "wait", "mul", "i.mod", "loop", "if"} <= names
    for event in main:
        if event["cat"] == "instruction":
            assert event["name"].removeprefix("i.") in lines[event["args"]["line"] - 1]
            states = [event["args"].get(state, 0) for state in STATES]
            assert sum(states) == event["dur"]
    waits = {event["name"] for event in main if event["cat"] == "wait"}
    assert "waiting for a semaphore" in waits
    unit = found[2 + 1, 1]
    assert {event["name"] for event in unit if event["cat"] == "instruction"} == {"mov"}


def test_calls_are_slices_around_their_instructions() -> None:
    path = next(path for path in WRITTEN if path.stem == "stencil")
    result = traced(path, TraceRequest("2,2"))
    assert result.trace is not None
    (main,) = (
        t for (pid, tid), t in tracks(document(result.trace)).items() if pid > 1 and tid == 0
    )
    calls = [event for event in main if event["name"] == "call average"]
    assert len(calls) == 3  # iterations
    for call in calls:
        inside = [
            event["name"]
            for event in main
            if event["cat"] == "instruction"
            and call["ts"] <= event["ts"]
            and event["ts"] + event["dur"] <= call["ts"] + call["dur"]
        ]
        assert inside == ["call", "add", "add", "add", "mul"]


def test_nested_procedures_are_nested_slices() -> None:
    program = parse("""
wsc 1
fabric "wse2" 1x1
precision f32
region all at 0,0 size 1x1
proc inner(n)
  i.set a, n
end
proc outer()
  call inner(n = 1)
  call inner(n = 2)
  i.set b, 1
end
main all
  call outer() @"here"
end
""")
    result = runtime.run(program, {}, trace=TraceRequest())
    assert result.trace is not None
    events = tracks(document(result.trace))[2, 0]
    assert_nested(events)
    kinds = [
        (event["name"], event["cat"])
        for event in sorted(events, key=lambda e: (e["ts"], -e["dur"]))
    ]
    assert kinds == [
        ("call outer", "statement"),
        ("call", "instruction"),
        ("call", "instruction"),
        ("inner", "procedure"),
        ("i.set", "instruction"),
        ("call", "instruction"),
        ("inner", "procedure"),
        ("i.set", "instruction"),
        ("i.set", "instruction"),
    ]
    assert events[0]["args"]["node"] == "here"


@pytest.mark.parametrize("part", [0.003, 0.1, 0.35, 0.7, 0.99])
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_a_run_that_is_stopped_adds_up_too(path: Path, part: float) -> None:
    limit = max(int(traced(path).cycles * part), 1)
    with pytest.raises(CycleLimit) as caught:
        traced(path, max_cycles=limit)
    error = caught.value
    assert error.trace is not None
    assert_sums(error.trace, error.counters)
    for (pid, _), events in tracks(document(error.trace)).items():
        if pid > 1:
            assert_nested(events)
        assert max(event["ts"] + event["dur"] for event in events) <= error.cycle


def test_a_trace_that_is_full_says_what_it_leaves_out() -> None:
    path = next(path for path in WRITTEN if path.stem == "life")
    whole, part = traced(path).trace, traced(path, TraceRequest("all", 1000)).trace
    assert whole is not None
    assert part is not None
    assert not whole.left_out
    kept = sum(len(unit.entries) for unit in part.units)
    assert kept <= 1000
    assert "entries of the trace are left out, the first of them in cycle" in part.left_out
    assert document(part)["otherData"]["left_out"] == part.left_out
    for all_of, some in zip(whole.units, part.units, strict=True):
        count = len(some.entries) - 1  # the last one may have grown
        assert (some.entries[:count] == all_of.entries[:count]).all()


def clipped(entries: list[list[int]], first: int, end: int) -> list[list[int]]:
    """The part of each entry that lies in a window, if it has one there."""
    parts = [[max(e[0], first), min(e[0] + e[1], end), *e[2:]] for e in entries]
    return [[begin, stop - begin, *rest] for begin, stop, *rest in parts if stop > begin]


@pytest.mark.parametrize("engine", ["time", "reference"])
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_a_window_is_a_part_of_the_whole(path: Path, engine: str) -> None:
    whole = traced(path, engine=engine)
    first, cycles = whole.cycles // 3, whole.cycles // 4
    part = traced(path, TraceRequest("all", first=first, cycles=cycles), engine=engine).trace
    assert whole.trace is not None
    assert part is not None
    for one, other in zip(part.units, whole.trace.units, strict=True):
        assert one.entries.tolist() == clipped(other.entries.tolist(), first, first + cycles)
    found = document(part)
    for event in found["traceEvents"]:
        if event["ph"] == "X":
            assert first <= event["ts"] < event["ts"] + event["dur"] <= first + cycles
    assert found["otherData"]["window"] == [first, first + cycles]


def test_a_window_of_a_run_that_is_stopped() -> None:
    path = next(path for path in WRITTEN if path.stem == "life")
    request = TraceRequest("all", first=100, cycles=10**9)
    with pytest.raises(CycleLimit) as caught:
        traced(path, request, max_cycles=300)
    trace = caught.value.trace
    assert trace.window == (100, 300)
    ends = {
        int((unit.entries[:, 0] + unit.entries[:, 1]).max())
        for unit in trace.units
        if len(unit.entries)
    }
    assert max(ends) == 300


@pytest.mark.parametrize("engine", ["time", "reference"])
def test_a_node_alone(engine: str) -> None:
    program = parse(
        CHAINED.replace("wait s0, 1", "async 0 -> s0: mov.f32 [0], [4]\n  wait s0, 1"), "chained"
    )
    whole = runtime.run(program, {}, trace=TraceRequest("all"), engine=engine).trace
    part = runtime.run(program, {}, trace=TraceRequest("all", node="there"), engine=engine).trace
    assert whole is not None
    assert part is not None
    named = [item.nodes for item in whole.image.code.statements]
    for one, other in zip(part.units, whole.units, strict=True):
        kept = [entry for entry in other.entries.tolist() if "there" in named[entry[4]]]
        assert one.entries.tolist() == kept
        assert kept
    with pytest.raises(RuntimeFault, match="no statement of main is for a node 'ther'; there is"):
        runtime.run(program, {}, trace=TraceRequest("all", node="ther"), engine=engine)


CHAINED = """
wsc 1
fabric "wse2" 1x1
precision f32
tensor t : f32[9] at 0 size 36
region all at 0,0 size 1x1
proc work(n)
  add.f32 [4*i], [4*i], 1.0 for i:n
  wait s0, 1
end
main all
  call work(n = 5) @"here"
  call work(n = 9) @"there"
  call work(n = 2) @"here"
end
"""


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_numbers_of_threads_add_up(path: Path) -> None:
    result = traced(path)
    assert result.trace is not None
    points = [event for event in document(result.trace)["traceEvents"] if event["ph"] == "C"]
    ends = [*(event["ts"] for event in points[1:]), result.cycles]
    for state in STATES:
        means = [event["args"].get(state, 0) for event in points]
        total = sum(
            mean * (end - event["ts"]) for mean, event, end in zip(means, points, ends, strict=True)
        )
        wanted = sum(unit.cycles()[state] for unit in result.trace.units if unit.unit == 0)
        assert total == pytest.approx(wanted, abs=0.001 * result.cycles)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_arrows_go_from_a_deed_to_the_end_of_a_wait(path: Path) -> None:
    result = traced(path, causes=True)
    assert result.trace is not None
    found = document(result.trace)
    slices = tracks(found)

    def within(event: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        there = slices[event["pid"], event["tid"]]
        return [
            one
            for one in there
            if one["cat"] == kind and one["ts"] <= event["ts"] < one["ts"] + one["dur"]
        ]

    arrows = [event for event in found["traceEvents"] if event["ph"] in "sf"]
    # The tiles of two programs wait for the edge alone.
    assert bool(arrows) == (path.stem not in ("switch", "sections"))
    for start, end in zip(arrows[::2], arrows[1::2], strict=True):
        assert (start["ph"], end["ph"], start["id"]) == ("s", "f", end["id"])
        assert start["ts"] <= end["ts"]
        (wait,) = within(end, "wait")
        assert wait["ts"] + wait["dur"] == end["ts"] + 1
        assert within(start, "instruction")


TILES = [
    ("0,0", 7, 5, [0]),
    ("corners", 3, 3, [0, 2, 6, 8]),
    ("middle", 5, 3, [7]),
    ("1,*", 3, 2, [1, 4]),
    ("*,1", 3, 2, [3, 4, 5]),
    ("0-1,1", 3, 2, [3, 4]),
    ("all", 2, 2, [0, 1, 2, 3]),
    ("0,0; middle ;0,0", 3, 1, [0, 1]),
    ("corners;middle", 1, 1, [0]),
]


@pytest.mark.parametrize(("text", "width", "height", "wanted"), TILES)
def test_tiles_are_chosen(text: str, width: int, height: int, wanted: list[int]) -> None:
    assert list(TraceRequest(text).chosen(width, height)) == wanted


REFUSED = [
    ("3,0", "x lies in 0 to 2"),
    ("0,2", "y lies in 0 to 1"),
    ("2-1,0", "x lies in"),
    ("edge", "X,Y is wanted, or corners, middle, all"),
    ("a,0", "'a' is no number, A-B or *"),
    ("", "X,Y is wanted"),
    ("-1,0", "'-1' is no number"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_tiles_that_are_not_there_are_refused(text: str, message: str) -> None:
    with pytest.raises(RuntimeFault, match=message.replace("*", r"\*")):
        TraceRequest(text).chosen(3, 2)
