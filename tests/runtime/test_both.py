"""Values and time apart: what data decide, cycles without values, and who tells of an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.agreement import differences, ending
from tests.runtime.programs import chain, program
from tests.runtime.test_runs import TABLE
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.runtime.both import differing
from wsc.runtime.decisions import decisions
from wsc.runtime.errors import (
    CycleLimit,
    Deadlock,
    ExecutionFault,
    InputError,
    LoadError,
    RuntimeFault,
)
from wsc.runtime.record import gather

# A tile takes a word, loads it, and does something with what it has loaded.
LOADED = """
input a : i32[6] "int32"
output r : i32[6] "int32"
color c = 0
color out = 1
tensor t : i32[8] at 0 size 32
region all at 0,0 size 2x3
route c in all when x == 0 : W -> RAMP, E
route c in all when x == 1 : W -> RAMP
route out in all when x == 1 : RAMP -> E
proc again(times, from)
  loop k: times
    i.add got, from, k
  end
end
main all
  mov.i32 [t + 4*i], <c> for i:2
  i.load n, [t + 4*x]
  {use}
  if x == 1
    mov.i32 <out>, [t + 4*i] for i:2
  end
end
feed c in all side W from a[2*y + i] for i:2
drain out in all side E from r[2*y + i] for i:2
"""
GIVEN = {"a": np.array([1, 3, 2, 2, 0, 5], np.int32)}
DECIDE = {
    "turns": ("loop k: n\n i.set got, k\n end", "the turns of the loop"),
    "condition": ("if n > 1\n i.set got, n\n end", "the 'if'"),
    "steps": ("mov.i32 [t + 8 + 4*i], {7} for i:n", "the steps of 'mov'"),
    "address": ("i.mul m, n, 4\n i.load m, [t + m]", "the address of 'i.load'"),
    "operand": ("i.mul m, n, 4\n mov.i32 [t + 8], [t + m]", "an address of 'mov'"),
    "argument": ("call again(times=n, from=2)", "the turns of the loop"),
    "sum": ("i.add m, n, 1\n i.mul m, m, 2\n loop k: m\n i.set got, k\n end", "the turns of"),
    "count": ("signal s0, n\n wait s0, n", "the count of 'signal'"),
    "right side": ("if 1 < n\n i.set got, n\n end", "the 'if'"),
    "second addend": ("i.add m, 1, n\n loop k: m\n i.set got, k\n end", "the turns of"),
    "stored address": ("i.mul m, n, 4\n i.store [t + m], 1", "the address of 'i.store'"),
    "stride": ("i.mul m, n, 4\n mov.i32 [t + 8 + m*i], {7} for i:2", "an address of 'mov'"),
    "waited count": ("signal s0, 9\n wait s0, n", "the count of 'wait'"),
    "target x": ("i.min m, n, 1\n send.i32 (m, 0) s1: [t + 8], [t]", "the target of 'send'"),
    "target y": ("i.min m, n, 2\n send.i32 (0, m) s1: [t + 8], [t]", "the target of 'send'"),
    "check": ("i.div m, 60, n + 1", "whether 'i.div' has a value"),
}
LEAVE = {
    "nothing": "i.set got, 1",
    "a value": "i.add m, n, 1\n mov.i32 [t + 8], {n + m}\n i.store [t + 12], m",
    "another": "i.set m, 3\n loop k: m\n i.set got, k\n end",
    "argument": "call again(times=2, from=n)",
}


def loaded(use: str) -> Program:
    return program(LOADED.format(use=use), "2x3")


@pytest.mark.parametrize("name", DECIDE)
def test_what_data_decide_is_replayed(name: str) -> None:
    use, what = DECIDE[name]
    image = runtime.load(loaded(use))
    first = decisions(image).first
    assert first is not None
    assert f"loads decides {what}" in first.sentence()
    reference = ending(image, GIVEN, "reference")
    assert not reference.error
    for engine in ("both", "time"):
        found = ending(image, GIVEN, engine)
        outputs = reference.outputs if engine == "both" else {}
        assert not list(differences(replace(reference, outputs=outputs), found, engine))
    with pytest.raises(InputError, match=r"loads decides .* needs the inputs \(a; .*weights too"):
        runtime.run(image, {}, engine="time")


@pytest.mark.parametrize("name", LEAVE)
def test_cycles_need_no_inputs_where_data_decide_nothing(name: str) -> None:
    image = runtime.load(loaded(LEAVE[name]))
    assert decisions(image).first is None
    whole = runtime.run(image, GIVEN, engine="reference")
    found = runtime.run(image, {}, engine="time")
    assert found.outputs == {}
    assert not list(differences(whole.counters, found.counters, name))


def test_many_loaded_words_are_kept_in_order() -> None:
    """More than there is room for at first, and different ones in neighbouring rows."""
    use = "loop k: 700\n i.add n, n, k\n i.store [t + 4*x], n\n i.load m, [t + 4*x]\n"
    image = runtime.load(loaded(use + "if m > 40000\n i.set got, m\n end\n end"))
    both = ending(image, GIVEN, "both")
    assert not list(differences(ending(image, GIVEN, "reference"), both, "run"))


def test_a_record_is_sorted_by_tile_and_keeps_the_order() -> None:
    notes = np.array([[0, 2, 5], [2, 1, 6], [1, 1, 7], [0, 1, 8], [4, 2, 9]])  # of 3 columns
    record = gather(np.ones(1, np.int8), notes, 3, 2)
    first = record.first.tolist()
    words = [record.loaded[first[i] : first[i + 1]].tolist() for i in range(6)]
    assert words == [[5, 8], [6], [9], [5, 7], [], [9]]


def test_cycles_without_weights(tmp_path: Path) -> None:
    """Nothing is opened; and a program that data decide says which file it misses."""
    text = LOADED.replace('input a : i32[6] "int32"', 'weight a : i32[6] "gone.bin" at 0')
    made = program(text.format(use="i.set got, 1"), "2x3")
    cycles = runtime.run(loaded("i.set got, 1"), GIVEN, engine="reference").cycles
    assert runtime.run(made, {}, engine="time", weights_dir=tmp_path).cycles == cycles
    decided = program(text.format(use=DECIDE["turns"][0]), "2x3")
    with pytest.raises(LoadError, match=r"no file .*gone\.bin"):
        runtime.run(decided, {}, engine="time", weights_dir=tmp_path)
    (tmp_path / "gone.bin").write_bytes(GIVEN["a"].tobytes())
    cycles = runtime.run(loaded(DECIDE["turns"][0]), GIVEN, engine="reference").cycles
    assert runtime.run(decided, {}, engine="time", weights_dir=tmp_path).cycles == cycles


STOPPED = {
    "division": ("div.i32 [t + 8], {60}, [t]", {"a": np.zeros(6, np.int32)}, ExecutionFault),
    "address": ("mov.i32 [t + 8], [1000000]", GIVEN, ExecutionFault),
    "loaded address": ("i.mul m, n, 40000\n i.load m, [t + m]", GIVEN, ExecutionFault),
    "deadlock": ("wait s0, 1", GIVEN, Deadlock),
    "decided deadlock": ("wait s0, n", GIVEN, Deadlock),
    "full queue": ("if x == 1\n mov.i32 <out>, {1} for i:900\n end", GIVEN, Deadlock),
    "limit": ("loop k: 999\n i.set got, k\n end", GIVEN, CycleLimit),
    "decided limit": ("i.mul m, n, 999\n loop k: m\n i.set got, k\n end", GIVEN, CycleLimit),
    "limit before data": (
        "loop k: 999\n i.set got, k\n end\n div.i32 [t + 8], {60}, [t]",
        {"a": np.zeros(6, np.int32)},
        CycleLimit,
    ),
    "data before limit": (
        "div.i32 [t + 8], {60}, [t]\n loop k: 999\n i.set got, k\n end",
        {"a": np.zeros(6, np.int32)},
        ExecutionFault,
    ),
}


@pytest.mark.parametrize("limit", [None, 300])
@pytest.mark.parametrize("name", STOPPED)
def test_what_stops_a_run_is_told_as_by_the_reference_engine(name: str, limit: int | None) -> None:
    use, given, error = STOPPED[name]
    image = runtime.load(loaded(use))
    told = ending(image, given, "reference", max_cycles=limit)
    assert told.error.startswith(error.__name__) or limit is None
    assert not list(differences(told, ending(image, given, "both", max_cycles=limit), "run"))


@pytest.mark.parametrize("limit", [None, 40, 400, 100_000])
@pytest.mark.parametrize("row", [9, 10, -1])
def test_a_lookup_may_stop_a_run(row: int, limit: int | None) -> None:
    """The index is data, and no row of the table if it is 10: that may come before the limit."""
    image = runtime.load(program(TABLE, "2x1"))
    assert decisions(image).first is None
    assert decisions(image).faults
    given = {"ids": np.array([7, 0, row], np.int64), "table": np.ones((10, 4), np.float32)}
    told = ending(image, given, "reference", max_cycles=limit)
    assert not list(differences(told, ending(image, given, "both", max_cycles=limit), "run"))


@pytest.mark.parametrize("limit", [None, 100_000])
@pytest.mark.parametrize("use", [DECIDE["turns"][0], LEAVE["nothing"]])
def test_only_a_limit_where_data_decide_needs_the_reference_engine(
    use: str, limit: int | None
) -> None:
    """Nobody knows how long values take there; every other run that ends well is run apart."""
    told = runtime.run(loaded(use), GIVEN, max_cycles=limit).engine
    decided = use != LEAVE["nothing"]
    assert told == ("reference" if decided and limit else "both")


@pytest.mark.parametrize("name", ["deadlock", "decided deadlock"])
def test_a_deadlock_is_told_by_time_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are those of the reference engine, which would take long to come to them."""
    use, given, _ = STOPPED[name]
    image = runtime.load(loaded(use))
    told = ending(image, given, "reference")
    monkeypatch.delattr("wsc.runtime.reference.engine.ReferenceEngine.run")
    assert not list(differences(told, ending(image, given, "both"), "run"))


def test_what_both_have_counted_is_compared() -> None:
    image = runtime.load(chain(4, 3))
    work = runtime.run(image, {}, engine="values").counters
    counters = runtime.run(image, {}, engine="time").counters
    assert differing(counters, work) == []
    assert differing(counters, replace(work, macs_f32=1)) == ["macs_f32"]
    moved = {color: wavelets + 1 for color, wavelets in work.wavelets.items()}
    assert len(differing(counters, replace(work, wavelets=moved))) == len(moved)


@pytest.mark.parametrize(
    "change", [{"macs_f16": 7}, {"instructions": {}}, {"sram_high_water": 0}, {"dynamic_hops": 9}]
)
def test_engines_that_disagree_stop_the_run(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsc.runtime.values import engine

    counted = engine.Execution.work
    monkeypatch.setattr(
        engine.Execution, "work", lambda execution: replace(counted(execution), **change)
    )
    with pytest.raises(RuntimeFault, match=f"disagree about {next(iter(change))}"):
        runtime.run(chain(4, 3), {})


def test_a_program_without_code_has_no_decisions() -> None:
    found = decisions(runtime.load(parse('wsc 1\nfabric "tiny" 1x1\n')))
    assert found.first is None
    assert not found.faults
    assert runtime.run(parse('wsc 1\nfabric "tiny" 1x1\n'), {}, engine="time").cycles == 0
