"""Causes: chains that take exactly the cycles of a run, and who was late in each kind of wait."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.programs import program
from wsc import runtime
from wsc.api import load
from wsc.isa.parser import parse
from wsc.runtime.errors import CycleLimit, Deadlock, RuntimeFault
from wsc.runtime.observations.causes import Why
from wsc.runtime.reference import chains

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))


def assert_whole(why: Why) -> None:
    """A chain is without gaps from the first cycle to its last."""
    assert why.begins == 0
    assert sum(step.cycles for step in why.steps) == why.ends
    assert all(step.begin <= step.end and step.way >= 0 for step in why.steps)
    for later, earlier in pairwise(why.steps):
        assert later.begin - later.way == earlier.end
    assert sum(cycles for _, cycles in why.lines()) == why.ends


@pytest.mark.parametrize("delays", [None, 5])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_chain_takes_the_cycles_of_the_run(path: Path, delays: int | None) -> None:
    loaded = load(path)
    inputs = loaded.draw(1)
    plain = loaded.run(inputs, engine="reference", delays=delays)
    kept = loaded.run(inputs, causes=True, delays=delays)
    assert kept.cycles == plain.cycles
    assert all((kept.outputs[name] == value).all() for name, value in plain.outputs.items())
    whole = kept.why()
    assert whole.ends == kept.cycles
    assert_whole(whole)
    stalled = plain.counters.stalled_input + plain.counters.stalled_output + plain.counters.waiting
    for y, x in np.ndindex(stalled.shape):
        why = kept.why(tile=(x, y))
        assert_whole(why)
        main = [wait.cycles for wait in why.waits if "stream unit" not in wait.place.doer]
        assert sum(main) <= stalled[y, x]
        assert (stalled[y, x] > 0) == bool(main)


# Two tiles, and in the second a wait for what the first does late, behind a long instruction.
LATE = {
    "wavelet": (
        "add.f32 [4*i], [4*i], 1.0 for i:99\n mov.f32 <c>, [0]",
        "mov.f32 [0], <c>",
        "a wavelet of color 'c'",
    ),
    "semaphore of a unit": (
        "mov.f32 <c>, [0]",
        "async 1 -> s2: add.f32 [4*i], [4*i], 1.0 for i:99\n mov.f32 [400], <c>\n wait s2, 1",
        "semaphore s2",
    ),
    "store": (
        "add.f32 [4*i], [4*i], 1.0 for i:99\n send.f32 (1, 0) s3: [0], [4]\n mov.f32 <c>, [0]",
        "wait s3, 1\n mov.f32 [4], <c>",
        "semaphore s3",
    ),
    "unit": (
        "mov.f32 <c>, [0]",
        "async 0: add.f32 [4*i], [4*i], 1.0 for i:99\n async 0: mov.f32 [400], <c>",
        "stream unit 0",
    ),
    "room": (
        "add.f32 [4*i], [4*i], 1.0 for i:99\n mov.f32 [4*i], <d> for i:90\n mov.f32 <c>, [0]",
        "mov.f32 <d>, [4*i] for i:90\n mov.f32 [400], <c>",
        "room for color 'd'",
    ),
}
TWO = """
color c = 0
color d = 1
tensor t : f32[101] at 0 size 404
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
route d in all when x == 1 : RAMP -> W
route d in all when x == 0 : E -> RAMP
main all
 if x == 0
{}
 else
{}
 end
end
"""


@pytest.mark.parametrize("kind", LATE)
def test_who_was_late(kind: str) -> None:
    first, second, waited_for = LATE[kind]
    text = TWO.format(first, second)
    if "<d>" not in text:
        text = "\n".join(line for line in text.splitlines() if "route d" not in line)
    made = program(text, "2x1")
    why = runtime.run(made, {}, causes=True).why(tile=(1, 0))
    assert_whole(why)
    (wait,) = (wait for wait in why.waits if wait.waited_for == waited_for)
    assert wait is why.waits[0]
    assert wait.cycles > 50
    slow = next(step for step in why.steps if step.place.text == "add")
    assert slow.cycles >= 99
    assert wait.late is not None
    assert wait.late.doer.startswith("tile (1, 0), stream" if "unit" in kind else "tile (0, 0)")


def test_the_edge_is_late() -> None:
    made = parse("""
wsc 1
fabric "wse2" 1x1
set io.bytes_per_cycle = 2
precision f32
input a : f32[600] "float32"
input b : f32[4] "float32"
output r : f32[4] "float32"
color c = 0
color d = 1
color e = 2
tensor t : f32[600] at 0 size 2400
region all at 0,0 size 1x1
route c in all : N -> RAMP
route d in all : W -> RAMP
route e in all : RAMP -> S
main all
  mov.f32 [4*i], <c> for i:600
  mov.f32 [4*i], <d> for i:4
  mov.f32 <e>, [4*i] for i:4
end
feed c in all side N from a[i] for i:600 @"first"
feed d in all side W from b[i] for i:4
drain e in all side S from r[i] for i:4
""")
    inputs = {"a": np.ones(600, np.float32), "b": np.ones(4, np.float32)}
    why = runtime.run(made, inputs, causes=True).why()
    assert_whole(why)
    place, cycles = why.lines()[0]
    assert (place.text, place.node) == ("feed a", "first")
    assert cycles > 500


def test_waits_that_did_not_end_are_told() -> None:
    made = parse("""
wsc 1
fabric "wse2" 2x1
precision f32
region all at 0,0 size 2x1
main all
  wait s1, 1
end
""")
    with pytest.raises(Deadlock) as stuck:
        runtime.run(made, {}, causes=True)
    with pytest.raises(CycleLimit) as limited:
        runtime.run(parse(OPEN), {}, causes=True, max_cycles=40)
    for causes in (stuck.value.causes, limited.value.causes):
        (wait,) = causes.why(tile=(1, 0)).waits
        assert not wait.ended
        assert wait.waited_for == "semaphore s1"


OPEN = """
wsc 1
fabric "wse2" 2x1
precision f32
tensor t : f32[99] at 0 size 396
region all at 0,0 size 2x1
main all
  if x == 1
    async 1 -> s1: add.f32 [4*i], [4*i], 1.0 for i:99
    wait s1, 1
  end
end
"""


def test_what_is_no_longer_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "MOST_EVENTS", 40)
    loaded = load(next(path for path in PROGRAMS if path.stem == "stencil"))
    run = loaded.run(loaded.draw(1), causes=True)
    whole = run.why()
    assert whole.begins > 0
    assert sum(step.cycles for step in whole.steps) == run.cycles - whole.begins


def test_what_is_not_there_is_refused() -> None:
    loaded = load(PROGRAMS[0])
    with pytest.raises(RuntimeFault, match="run it with causes=True"):
        loaded.run(loaded.draw(1)).why()
    with pytest.raises(RuntimeFault, match="only the reference engine keeps causes and memory"):
        loaded.run(loaded.draw(1), causes=True, engine="time")
    run = loaded.run(loaded.draw(1), causes=True)
    with pytest.raises(RuntimeFault, match="there is no tile 99,0: x is 0 to"):
        run.why(tile=(99, 0))
    with pytest.raises(RuntimeFault, match="no statement of main is for a node 'none'"):
        run.why(node="none")
    with pytest.raises(RuntimeFault, match="there is no instruction at line 1"):
        run.why(line=1)
