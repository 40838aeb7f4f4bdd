"""Whole programs: values, determinacy, lookups, faults and deadlocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.agreement import random_inputs
from tests.runtime.programs import chain, program, wide_io
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.runtime.errors import (
    CycleLimit,
    Deadlock,
    ExecutionFault,
    InputError,
    LoadError,
    RuntimeFault,
)

WRITTEN = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_order_and_delays_never_show(path: Path) -> None:
    image = runtime.load(parse(path.read_text(encoding="utf-8")))
    inputs = random_inputs(image.program)
    plain = runtime.run(image, inputs)
    for seed in range(3):
        shuffled = runtime.run(image, inputs, shuffle=seed)
        assert shuffled.cycles == plain.cycles
        assert same(shuffled.outputs, plain.outputs)
        assert shuffled.counters.as_dict() == plain.counters.as_dict()
        assert (shuffled.counters.links == plain.counters.links).all()
        assert (shuffled.counters.busy == plain.counters.busy).all()
    cycles = {plain.cycles}
    for seed in range(8):
        delayed = runtime.run(image, inputs, delays=seed)
        assert same(delayed.outputs, plain.outputs)
        cycles.add(delayed.cycles)
    assert len(cycles) > 4


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_cycles_of_a_thread_are_accounted_for(path: Path) -> None:
    image = runtime.load(parse(path.read_text(encoding="utf-8")))
    counters = runtime.run(image, random_inputs(image.program)).counters
    stalls = counters.stalled_input + counters.stalled_output + counters.waiting
    assert (counters.busy + stalls + counters.idle == counters.cycles).all()
    assert (counters.idle >= 0).all()
    assert sum(row.busy for row in counters.statements) == counters.busy.sum()
    assert sum(row.macs for row in counters.statements) == counters.macs_f32 + counters.macs_f16


TABLE = """
input ids : i32[3] "int64"
input table : f32[10, 4] "float32"
output r : f32[2, 3, 4] "float32"
color ask = 0
color get = 1
color out = 2
color ins = 3
tensor id : i32[3] at 0 size 12
tensor row : f32[12] at 16 size 48
region all at 0,0 size 2x1
route ins in all when x == 0 : S -> RAMP
route ask in all when x == 0 : RAMP -> W
route get in all : N -> RAMP
route out in all : RAMP -> S
main all
  if x == 0
    mov.i32 <ask>, <ins> for i:3
  end
  mov.f32 [row + 4*i], <get> for i:12
  mov.f32 <out>, [row + 4*i] for i:12
end
feed ins in all side S when x == 0 from ids[i] for i:3
feed get in all side N from table[w*4 + k] lookup w:3 by ask side W port 0 for k:4
drain out in all side S from r[x*12 + i] for i:12
"""


def test_lookup_serves_the_rows_asked_for() -> None:
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    ids = np.array([7, 0, 9], dtype=np.int64)
    result = runtime.run(program(TABLE, "2x1"), {"ids": ids, "table": table})
    assert (result.outputs["r"] == table[ids]).all()
    delayed = runtime.run(program(TABLE, "2x1"), {"ids": ids, "table": table}, delays=3)
    assert (delayed.outputs["r"] == table[ids]).all()


def test_lookup_out_of_range_names_transfer_and_value() -> None:
    table = np.zeros((10, 4), np.float32)
    with pytest.raises(ExecutionFault, match=r"lookup in 'table': index 10 is outside \[0, 10\)"):
        runtime.run(program(TABLE, "2x1"), {"ids": np.array([1, 10, 2], np.int64), "table": table})


def core(body: str, registers: str = "", size: str = "1x1") -> Program:
    return program(
        f"""
output r : i32[8] "int32"
color out = 0
tensor t : i32[8] at 0 size 32
tensor h : f16[16] at 32 size 32
tensor f : f32[16] at 64 size 64
region all at 0,0 size {size}
route out in all when x == 0 : RAMP -> W
{registers}
main all
{body}
  if x == 0
    mov.i32 <out>, [t + 4*i] for i:8
  end
end
drain out in all side W when y == 0 from r[i] for i:8
""",
        size,
    )


def test_scalars_loops_and_calls() -> None:
    fibonacci = """
proc fib(n, at)
  i.set a, 0
  i.set b, 1
  loop k: n
    i.add c, a, b
    i.set a, b
    i.set b, c
  end
  i.store [t + at], a
end
"""
    body = """
  loop k: 8
    i.mul at, k, 4
    i.add n, k, 10
    call fib(n = n, at = at)
  end
"""
    values = [0, 1]
    while len(values) < 20:
        values.append(values[-1] + values[-2])
    result = runtime.run(core(body, fibonacci), {})
    assert result.outputs["r"].tolist() == values[10:18]
    assert result.counters.instructions["call"] == 8


def test_wrapping_and_floor_division() -> None:
    body = """
  i.set a, 2147483647
  i.add a, a, 1
  i.store [t], a
  i.div b, -7, 2
  i.store [t + 4], b
  i.mod b, -7, 2
  i.store [t + 8], b
  i.shr b, a, 31
  i.store [t + 12], b
"""
    result = runtime.run(core(body), {})
    assert result.outputs["r"][:4].tolist() == [-(2**31), -4, 1, -1]


def test_half_precision_rounds_each_result() -> None:
    body = """
  mov.f16 [h + 2*i], 0.1 for i:16
  mov.f32 [f + 4*i], 0.0 for i:16
  add.f16 [h + 2*i], [h + 2*i], 2048.0 for i:8
  fmac.f16 [f + 4*i], [h + 2*i], [h + 2*i] for i:16
  to_int.f32 [t + 4*i], [f + 4*i + 16] for i:8
  mul.f32 [f + 4*i], [f + 4*i], 1000000.0 for i:16
  to_int.f32 [t + 4*i + 16], [f + 4*i + 32] for i:4
"""
    result = runtime.run(core(body), {})
    tenth = np.float16(0.1)
    small = np.int32(np.float32(tenth) * np.float32(tenth) * np.float32(1e6))
    assert result.outputs["r"].tolist() == [2048**2] * 4 + [small] * 4
    assert result.counters.macs_f16 == 16


FAULTS = {
    "range": ("  i.load a, [96 + 32]", "SRAM address 128 is out of range"),
    "vector": ("  mov.i32 [t + 4*i], [t + 4*i] for i:100", "SRAM address 396 is out of range"),
    "odd": ("  mov.i32 [t + 2], [t]", "no multiple of 4"),
    "division": ("  i.set z, 0\n  i.div a, 5, z", "'i.div': division of 5 by zero"),
    "elements": ("  div.i32 [t], [t], {0}", "'div': division of 0 by zero"),
    "register": ("  i.set z, 5\n  i.index a, z, 5", r"'i.index': index 5 is outside \[-5, 5\)"),
    "position": ("  index.i32 [t], {0 - 6}, {5}", r"'index': index -6 is outside \[-5, 5\)"),
    "target": ("  send.i32 (1, 0) s0: [t], [t]", r"target tile \(1, 0\) is outside"),
    "count": ("  i.set n, -3\n  wait s0, n", "the count -3 is negative"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_tile_unit_cycle_and_line(name: str) -> None:
    body, message = FAULTS[name]
    with pytest.raises(ExecutionFault, match=message) as caught:
        runtime.run(core(body), {})
    text = str(caught.value)
    assert "tile (0, 0), main thread, cycle " in text
    assert caught.value.where.line > 0


def test_calls_do_not_nest_without_end() -> None:
    with pytest.raises(ExecutionFault, match="calls nest deeper than 8"):
        runtime.run(core("  call again()", "proc again()\n  call again()\nend\n"), {})


def test_deadlock_says_who_waits_for_whom() -> None:
    body = """
input a : f32[100] "float32"
color c = 0
color d = 1
tensor t : f32[100] at 0 size 400
region all at 0,0 size 4x1
route c in all when x == 0 : W -> RAMP
route d in all when x == 0 : RAMP -> E
route d in all when x > 0 : W -> RAMP
main all
  if x == 0
    mov.f32 [t + 4*i], <c> for i:10
    wait s3, 2
  else
    mov.f32 [t], <d>
  end
end
feed c in all side W from a[i] for i:100
"""
    with pytest.raises(Deadlock) as caught:
        runtime.run(program(body, "4x1"), {"a": np.zeros(100, np.float32)})
    text = str(caught.value)
    assert "tile (0, 0): main thread at 'wait' waits for semaphore s3: needs 2, has 0" in text
    assert "(1, 0), (2, 0), (3, 0): main thread at 'mov' waits for a wavelet of color 'd'" in text
    assert "the feed of 'a' waits for room in the router (color 'c')" in text
    assert "waits for the core's input queue" in text
    assert ":17: tile" in text.replace("<text>", "")


def test_wavelets_left_over_are_a_deadlock() -> None:
    with pytest.raises(Deadlock, match="that no instruction takes"):
        runtime.run(
            program(
                """
color c = 0
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
main all
  if x == 0
    mov.f32 <c>, 1.0
  end
end
""",
                "2x1",
            ),
            {},
        )


def test_cycle_limit_keeps_the_counters() -> None:
    with pytest.raises(CycleLimit) as caught:
        runtime.run(core("  loop k: 100000\n    i.set a, 1\n  end"), {}, max_cycles=500)
    assert caught.value.cycle == 500
    assert caught.value.counters.instructions["i.set"] > 400
    assert (caught.value.counters.idle >= 0).all()


def test_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    runtime.run(
        core("  loop k: 100000\n    i.set a, 1\n  end"),
        {},
        progress=lambda cycle, part: told.append((cycle, part)),
    )
    assert told
    assert all(0 <= part <= 1 for _, part in told)


INPUTS = [
    ({}, "input 'ids' is missing"),
    ({"ids": np.zeros(3, np.int64), "x": 1}, "no input 'x'; the program's inputs: ids, table"),
    ({"ids": np.zeros(4, np.int64)}, r"'ids': shape \[3\] wanted, got \[4\]"),
    ({"ids": np.zeros(3, np.float32)}, "'ids': dtype int64 wanted, got float32"),
    ({"ids": np.array([0, 2**40, 1])}, rf"{2**40} at \[1\] does not fit 32 bits"),
]


@pytest.mark.parametrize(("inputs", "message"), INPUTS)
def test_inputs_are_checked(inputs: dict, message: str) -> None:
    given = dict(inputs)
    if given:
        given["table"] = np.zeros((10, 4), np.float32)
    with pytest.raises(InputError, match=message):
        runtime.run(program(TABLE, "2x1"), given)


def test_weights_are_mapped_from_both_kinds_of_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    one = np.arange(12, dtype=np.float16).reshape(3, 4)
    two = np.arange(5, dtype=np.float32)
    save_file({"pad": np.zeros(3, np.uint8), "one": one}, tmp_path / "w.safetensors")
    (tmp_path / "raw.bin").write_bytes(b"abc" + two.tobytes())
    body = """
weight one : f16[3, 4] "w.safetensors" key "one"
weight two : f32[5] "raw.bin" at 3
output r : f16[12] "float16"
output q : f32[5] "float32"
color c = 0
region all at 0,0 size 1x1
route c in all : N -> S
main all
end
feed c in all side N from one[i] for i:12
feed c in all side N from two[4 - i] for i:5
drain c in all side S from r[i] for i:12
drain c in all side S from q[i] for i:5
"""
    result = runtime.run(program(body, "1x1"), {}, weights_dir=tmp_path)
    assert (result.outputs["r"] == one.ravel()).all()
    assert (result.outputs["q"] == two[::-1]).all()
    assert result.counters.io_bytes_in == 12 * 2 + 5 * 4
    with pytest.raises(LoadError, match="no file"):
        runtime.run(program(body, "1x1"), {}, weights_dir=tmp_path / "none")
    (tmp_path / "raw.bin").write_bytes(b"abc")
    with pytest.raises(LoadError, match="ends before its data"):
        runtime.run(program(body, "1x1"), {}, weights_dir=tmp_path)


def test_ragged_repeats_and_controls() -> None:
    body = """
input a : f32[20] "float32"
output r : f32[20] "float32"
color c = 0
region all at 0,0 size 1x3
route c in all when y < H - 1 : N -> RAMP | N -> S
route c in all when y == H - 1 : N -> RAMP
color o = 1
route o in all : RAMP -> W
main all
  mov.f32 <o>, <c> for i:min(8, 20 - 8*y)
end
feed c in all side N from a[n*8 + i] repeat n:3 for i:min(8, 20 - 8*n) then advance
drain o in all side W from r[y*8 + i] for i:min(8, 20 - 8*y)
"""
    a = np.arange(20, dtype=np.float32)
    text = body.replace("color o = 1\n", "").replace("color c = 0\n", "color c = 0\ncolor o = 1\n")
    result = runtime.run(program(text, "1x3"), {"a": a}, fabric=wide_io())
    assert (result.outputs["r"] == a).all()


def test_a_reader_that_waits_for_room_is_woken_in_time() -> None:
    """With these delays, inputs arrive at tiles whose output is full just then."""
    assert runtime.run(chain(32, 64), {}, engine="reference", delays=64).cycles < 1000


@pytest.mark.parametrize("name", ["delays", "max_cycles", "max_memory"])
@pytest.mark.parametrize("value", ["3", 2.5, -1, 10**30, [1]])
def test_options_that_are_no_whole_number_or_too_large(name: str, value: Any) -> None:
    image = runtime.load(chain(2, 4))
    with pytest.raises(RuntimeFault, match=f"^{name} is a whole number"):
        runtime.run(image, random_inputs(image.program), **{name: value})


def test_whole_numbers_of_numpy_are_taken() -> None:
    image = runtime.load(chain(2, 4))
    inputs = random_inputs(image.program)
    plain = runtime.run(image, inputs, delays=3, max_cycles=10_000)
    numpy = runtime.run(image, inputs, delays=np.uint32(3), max_cycles=np.int16(10_000))  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert numpy.cycles == plain.cycles
