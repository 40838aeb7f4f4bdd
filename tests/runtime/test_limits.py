"""Where a run ends that does not end well: cycles, deadlock after a long time, memory."""

from __future__ import annotations

import gc
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import wsc
from tests.runtime.programs import program, wide_io
from tests.runtime.test_runs import TABLE, WRITTEN, random_inputs
from wsc import models, runtime
from wsc.isa.parser import parse
from wsc.isa.types import Side
from wsc.runtime.counters import Counters
from wsc.runtime.errors import CycleLimit, Deadlock, MemoryLimit
from wsc.runtime.memory import available_bytes
from wsc.runtime.needs import observer_bytes, sizes_of
from wsc.runtime.reference.tables import make_machine as reference
from wsc.runtime.runs import Options
from wsc.runtime.sizes import edge_bytes, expected_sizes, image_bytes, lane_bytes, state_bytes
from wsc.runtime.store import check_inputs, make_outputs
from wsc.runtime.time.tables import make_machine as timed
from wsc.runtime.trace import TraceRequest


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_cycles_of_a_stopped_run_are_accounted_for(path: Path) -> None:
    image = runtime.load(parse(path.read_text(encoding="utf-8")))
    inputs = random_inputs(image.program)
    whole = runtime.run(image, inputs)
    for limit in sorted({1, 2, 3, 5, 9, 17, 33, 65, 129, whole.cycles // 2, whole.cycles - 1}):
        if limit >= whole.cycles:
            continue
        with pytest.raises(CycleLimit, match=f"did not end within {limit} cycles") as caught:
            runtime.run(image, inputs, max_cycles=limit)
        counters = caught.value.counters
        stalls = counters.stalled_input + counters.stalled_output + counters.waiting
        assert counters.cycles == limit
        assert (counters.busy + stalls + counters.idle == limit).all()
        for part in (counters.busy, stalls, counters.idle):
            assert (part >= 0).all()
        for row in counters.statements:
            assert 0 <= row.start <= limit
            assert row.start <= row.end
    for engine in ("reference", "both", "time"):
        stopped = runtime.run(image, inputs, max_cycles=whole.cycles, engine=engine)
        assert stopped.cycles == whole.cycles


EVERY_CYCLE = """
input a : f32[20] "float32"
output r : f32[20] "float32"
color c = 0
region all at 0,0 size 2x1
route c in all when x == 0 : W -> E
route c in all when x == 1 : W -> E
main all
{ones}
end
feed c in all side W from a[i] for i:20
drain c in all side E from r[i] for i:20
"""


@pytest.mark.parametrize("engine", ["reference", "both"])
@pytest.mark.parametrize("limit", range(1, 26))
def test_the_limit_comes_in_its_cycle(limit: int, engine: str) -> None:
    """An instruction and a wavelet a cycle: what was done says which cycle was the last."""
    made = program(EVERY_CYCLE.format(ones="  i.set a, 1\n" * 20), "2x1")
    given = {"a": np.ones(20, np.float32)}

    def instructions(counters: Counters) -> int:
        return counters.instructions["i.set"]

    # Fed from cycle 0 on, over the link in the middle from 1 on, out of the fabric from 2 on.
    if limit >= 22:
        ended = runtime.run(made, given, engine=engine, max_cycles=limit, fabric=wide_io())
        assert ended.cycles == 22
        assert instructions(ended.counters) == 2 * 20
        return
    with pytest.raises(CycleLimit) as caught:
        runtime.run(made, given, engine=engine, max_cycles=limit, fabric=wide_io())
    counters = caught.value.counters
    assert caught.value.cycle == counters.cycles == limit
    assert instructions(counters) == 2 * min(limit, 20)
    assert counters.io_bytes_in == 4 * min(limit, 20)
    assert counters.links[0, 0, Side.EAST.index] == min(limit - 1, 20)
    assert counters.io_bytes_out == 4 * max(limit - 2, 0)


@pytest.mark.parametrize("engine", ["reference", "both"])
@pytest.mark.parametrize("last", ["i.set a, 1", "mov.f32 [0], 1.0", "async 0: mov.f32 [0], 1.0"])
def test_a_thread_that_ends_beyond_the_limit_has_not_ended(last: str, engine: str) -> None:
    """No wavelet is left that could say so."""
    text = f"region all at 0,0 size 1x1\nmain all\n  i.set a, 1\n  {last} \nend\n"
    made = program(text, "1x1")
    whole = runtime.run(made, {}, engine=engine).cycles
    assert runtime.run(made, {}, engine=engine, max_cycles=whole).cycles == whole
    for limit in range(1, whole):
        with pytest.raises(CycleLimit):
            runtime.run(made, {}, engine=engine, max_cycles=limit)


def test_a_deadlock_after_a_billion_cycles_of_nothing() -> None:
    body = """
color c = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 3x1
route c in all when x == 0 : RAMP -> E
route c in all when x > 0 : W -> RAMP
main all
  if x == 1
    loop k: 1000
      div.f32 [t], [t], 1.0 for i:125, j:1000
    end
    mov.f32 [t], <c>
  end
end
"""
    began = time.perf_counter()
    with pytest.raises(Deadlock, match="waits for a wavelet of color 'c'") as caught:
        runtime.run(program(body, "3x1"), {})
    assert (caught.value.cycle or 0) > 1_000_000_000
    assert time.perf_counter() - began < 60


def test_too_little_memory_is_said_before_it_is_taken() -> None:
    image = runtime.load(program("region all at 0,0 size 8x8\nmain all\nend\n", "8x8"))
    with pytest.raises(MemoryLimit, match=r"would take 3\.\d MiB of memory") as caught:
        runtime.run(image, {}, max_memory=1 << 20)
    assert caught.value.limit == 1 << 20
    assert caught.value.needed > 64 * 48 * 1024  # no tensors: all of the SRAM is kept
    assert "3.0 MiB for the SRAM of 64 tiles" in str(caught.value)
    assert "1.0 MiB may be taken" in str(caught.value)
    runtime.run(image, {}, max_memory=caught.value.needed)


def test_a_wafer_is_refused_before_it_is_loaded() -> None:
    text = "tensor t : f32[12000] at 0 size 48000\nregion all at 0,0 size 750x994\nmain all\nend\n"
    began = time.perf_counter()
    with pytest.raises(MemoryLimit, match=r"33\.3 GiB for the SRAM of 745,500 tiles"):
        runtime.load(program(text, "750x994"), max_memory=8 << 30)
    assert time.perf_counter() - began < 5


def test_without_a_limit_the_machines_memory_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (available_bytes() or 0) > 1 << 20
    monkeypatch.setattr("wsc.runtime.memory.available_bytes", lambda: 1 << 16)
    with pytest.raises(MemoryLimit, match=r"64\.0 KiB are free on this machine"):
        runtime.load(program("region all at 0,0 size 8x8\nmain all\nend\n", "8x8"))


OPTIONS = {
    "plain": Options(),
    "time": Options(),
    "races": Options(check_races=True),
    "trace": Options(trace=TraceRequest()),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_estimate_is_what_is_taken(name: str, tmp_path: Path) -> None:
    fabric = "12x9" if name == "races" else "40x33"
    wsc.compile(models.DIGITS, fabric=fabric).save(tmp_path / "digits.wsa")
    loaded = wsc.load(tmp_path / "digits.wsa")
    inputs = {"image": models.digits_samples()[0][:1]}
    gc.collect()
    tracemalloc.start()
    try:
        image = runtime.load(loaded.assembly, loaded.fabric, tmp_path)
        flat = check_inputs(image.program, inputs)
        if name == "time":
            state, _ = timed(image, None, OPTIONS[name])
        else:
            state, _ = reference(image, flat | make_outputs(image.program), OPTIONS[name])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(state.now)
    extra = observer_bytes(image, OPTIONS[name]) + edge_bytes(image.program)
    for sizes in (
        sizes_of(image),
        expected_sizes(loaded.assembly, loaded.fabric, image.data_bytes),
    ):
        estimate = image_bytes(sizes) + state_bytes(sizes, image.fabric) + extra
        if name == "time":
            estimate += lane_bytes(sizes, image.program, image.fabric)
        else:
            estimate += image.tiles * image.data_bytes
        assert 0.75 * taken < estimate < 1.25 * taken, f"{estimate:,} for {taken:,}"


@pytest.mark.parametrize(("text", "wanted"), [("", 3), ("repeat n:5 ", 15)])
def test_the_rows_of_lookups_are_expected(text: str, wanted: int) -> None:
    made = program(TABLE.replace("lookup w:3", f"{text}lookup w:3"), "2x1")
    assert expected_sizes(made, wide_io(), 0).lookups == wanted
    assert sizes_of(runtime.load(made)).lookups == wanted


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_routes_and_queues_are_expected_to_the_last_one(path: Path) -> None:
    made = parse(path.read_text(encoding="utf-8"))
    image = runtime.load(made)
    expected, found = expected_sizes(made, image.fabric, image.data_bytes), sizes_of(image)
    for name in ("tiles", "slots", "queues", "lookups"):
        assert getattr(expected, name) == getattr(found, name), name
