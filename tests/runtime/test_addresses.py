"""Every address of a run lies where it should, whatever registers and transfers say.

Programs go past the verifier here: loader and engines are alone.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.agreement import ENGINES
from tests.runtime.programs import program
from wsc import runtime
from wsc.isa.fabric import find_fabric
from wsc.isa.limits import MOST_ROW, MOST_STEPS, MOST_WORD
from wsc.isa.parser import parse
from wsc.runtime.errors import CycleLimit, ExecutionFault, LoadError

SIZE = 32  # bytes of data in a tile

# A tile stands between two others, whose memory would be next.
BODY = """
output r : f32[24] "float32"
color outs = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 3x1
route outs in all : RAMP -> S
main all
  mov.f32 [t + 4*i], {x + 1} for i:8
  if x == 1
{CODE}
  end
  mov.f32 <outs>, [t + 4*i] for i:8
end
drain outs in all side S from r[8*x + i] for i:8
"""


def run(code: str, engine: str, max_cycles: int = 2000) -> np.ndarray:
    """The memory of three tiles behind code that the one in the middle runs."""
    text = BODY.replace("{CODE}", code)
    result = runtime.run(program(text, "3x1", "tiny"), {}, engine=engine, max_cycles=max_cycles)
    return result.outputs["r"].reshape(3, 8)


# instruction -> bytes of what it touches at register p
TOUCHING = {
    "mov.f32 [p], 9.0": 4,
    "mov.f16 [p], 9.0": 2,
    "mov.f32 [t], [p]": 4,
    "mov.f16 [t], [p]": 2,
    "fmac.f16 [t], [p], 1.0": 2,
    "add.i32 [t], [t], [p]": 4,
    "i.load q, [p]": 4,
    "i.store [p], 9": 4,
    "send.f32 (x, y) s0: [p], [t]\n  wait s0, 1": 4,
    "send.f16 (x, y) s0: [t], [p]\n  wait s0, 1": 2,
    "async 0 -> s0: mov.f32 [p], [t]\n  wait s0, 1": 4,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("touching", TOUCHING)
def test_the_last_element_is_the_last(touching: str, engine: str) -> None:
    size = TOUCHING[touching]
    memory = run(f"i.set p, {SIZE - size}\n{touching}", engine)
    assert (memory[0] == 1).all()
    assert (memory[2] == 3).all()
    for address in (SIZE, -size, SIZE - size + 1, 2**31 - size, -(2**31)):
        with pytest.raises(ExecutionFault, match=r"<text>:\d+: tile \(1, 0\).*SRAM address -?\d+"):
            run(f"i.set p, {address}\n{touching}", engine)


REGISTERS = st.sampled_from((0, 1, 2, 4, 8, 28, 32, -4, 1 << 16, 1 << 29, 2**31 - 1, -(2**31)))
EXTENTS = st.lists(REGISTERS, min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(EXTENTS, min_size=1, max_size=3),
    st.lists(REGISTERS, min_size=3, max_size=3),
    REGISTERS,
)
def test_engines_refuse_what_exact_arithmetic_refuses(
    extents: list[list[int]], strides: list[int], base: int
) -> None:
    """Extents are sums of registers, strides are registers: the sums and products may be huge."""
    names, lines = "ijk", [f"i.set b, {base}"]
    for name, parts, stride in zip(names, extents, strides, strict=False):
        lines += [f"i.set e{name}{n}, {part}" for n, part in enumerate(parts)]
        lines.append(f"i.set s{name}, {stride}")
    used = names[: len(extents)]
    address = " + ".join(["b", *(f"{name}*s{name}" for name in used)])
    space = ", ".join(
        f"{name}:{' + '.join(f'e{name}{n}' for n in range(len(parts)))}"
        for name, parts in zip(used, extents, strict=True)
    )
    lines.append(f"mov.i32 [{address}], {{x}} for {space}")
    sizes = [sum(parts) for parts in extents]
    ends = [(0, (n - 1) * s) for n, s in zip(sizes, strides, strict=False)]
    reached = [base + sum(corner) for corner in itertools.product(*ends)]
    some = all(n > 0 for n in sizes)
    inside = min(reached) >= 0 and max(reached) + 4 <= SIZE
    aligned = all(
        n % 4 == 0 for n in (base, *(s for n, s in zip(sizes, strides, strict=False) if n > 1))
    )
    short = all(n <= MOST_WORD for n in sizes)
    few = sizes[-1] <= MOST_ROW and np.prod(sizes, dtype=object) <= MOST_STEPS
    good = short and (not some or (inside and aligned and few))
    for engine in ENGINES:
        try:
            memory = run("\n".join(lines), engine)
        except ExecutionFault:
            assert not good
        except CycleLimit:
            assert good
        else:
            assert good
            assert (memory[0] == 1).all()
            assert (memory[2] == 3).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operands", ["[t], [t + 4]", "[t + 0*i], <ins: i>", "<outs: i>, [t]"])
def test_a_very_long_instruction_is_stopped_at_once(operands: str, engine: str) -> None:
    text = f"""
input a : f32[1] "float32"
output r : f32[1] "float32"
color ins = 0
color outs = 1
tensor t : f32[8] at 0 size 32
region all at 0,0 size 1x1
route ins in all : N -> RAMP
route outs in all : RAMP -> S
main all
  mov.f32 {operands} for i:200000, j:4000000
end
feed ins in all side N from a[0*i] for i:200000
drain outs in all side S from r[0*i] for i:200000
"""
    # All of it would take days.
    with pytest.raises(CycleLimit):
        runtime.run(
            program(text, "1x1", "tiny"),
            {"a": np.ones(1, np.float32)},
            engine=engine,
            max_cycles=100,
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_instruction_takes_the_cycles_of_the_table(engine: str) -> None:
    """Beyond a million steps it goes row by row, which must not show."""
    rows, steps = 1100, 1001
    cycles = 0
    image = runtime.load(
        program(
            BODY.replace("{CODE}", f"add.i32 [t], [t], {{1}} for i:{rows}, j:{steps}"),
            "3x1",
            "tiny",
        )
    )
    plain = runtime.run(
        program(BODY.replace("{CODE}", "add.i32 [t], [t], {1} for i:1, j:1"), "3x1", "tiny"),
        {},
        engine=engine,
    )
    run_of_it = runtime.run(image, {}, engine=engine)
    cycles = run_of_it.cycles - plain.cycles
    assert cycles == rows * steps - 1
    was = np.array([2.0], np.float32).view(np.int32)[0]
    assert run_of_it.outputs["r"].view(np.int32)[8] == was + rows * steps


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loop_that_its_register_cannot_count_is_a_fault(engine: str) -> None:
    with pytest.raises(ExecutionFault, match="'loop': 4294967294 turns or steps"):
        run("i.set p, 2147483647\nloop k: p + p\ni.set q, k\nend", engine)


# --- the edge ----------------------------------------------------------------------------

EDGE = """
input a : f32[8] "float32"
input none : f32[0] "float32"
output r : f32[8] "float32"
color ins = 0
color outs = 1
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x1
route ins in all : N -> RAMP
route outs in all : RAMP -> S
main all
  mov.f32 <outs>, <ins> for i:4
end
feed ins in all side N from {FEED}
drain outs in all side S from {DRAIN}
"""
GOOD_FEED, GOOD_DRAIN = "a[4*x + i] for i:4", "r[4*x + i] for i:4"


def moved(feed: str = GOOD_FEED, drain: str = GOOD_DRAIN) -> np.ndarray:
    text = EDGE.replace("{FEED}", feed).replace("{DRAIN}", drain)
    inputs = {"a": np.arange(8, dtype=np.float32), "none": np.zeros(0, np.float32)}
    return runtime.run(program(text, "2x1", "tiny"), inputs, max_cycles=2000).outputs["r"]


OUTSIDE = {
    "one_too_many": "{T}[4*x + i + 1] for i:4",
    "one_too_few": "{T}[4*x + i - 1] for i:4",
    "backwards": "{T}[3 - i*4] for i:4",
    "repeated": "{T}[n*2] repeat n:5 for i:1",
    "repeated_backwards": "{T}[6 - n*2] repeat n:5 for i:1",
    "ragged": "{T}[n*2 + i] repeat n:4 for i:n",
    "wraps_to_nothing": "{T}[i*4294967296 + j*4294967296 + k] for i:4294967297, j:1, k:4",
    "wraps_in_a_sum": "{T}[i*70368744177664 + j*70368744177664 + k] for i:131072, j:131072, k:1",
    "wraps_in_the_extents": "{T}[i + 0*j] for i:16777216, j:16777216",
    "of_nothing": "none[i] for i:1",
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_loader_itself_keeps_transfers_within_their_tensor(name: str) -> None:
    assert moved().tolist() == list(range(8))
    lines = [(OUTSIDE[name].replace("{T}", "a"), GOOD_DRAIN)]
    if "{T}" in OUTSIDE[name]:
        lines.append((GOOD_FEED, OUTSIDE[name].replace("{T}", "r")))
    for feed, drain in lines:
        with pytest.raises(LoadError, match=r"<text>:\d+: the transfer takes elements .* has [08]"):
            moved(feed, drain)


@pytest.mark.parametrize(
    ("feed", "error", "text"),
    [
        ("a[i*0 + j*0] for i:9999999999, j:9999999999", LoadError, "a port moves more than"),
        ("a[i*0] repeat n:99999999999 for i:1", LoadError, "a count is not in 0 to 2147483647"),
        ("a[i*0] repeat n:2147483647 for i:min(n, 1)", LoadError, "the repetitions differ, and"),
        ("a[i*0] repeat n:300000 for i:n", LoadError, "have 300000 different forms"),
    ],
)
def test_the_schedule_is_bounded_before_it_is_built(
    feed: str, error: type[Exception], text: str
) -> None:
    began = time.process_time()
    with pytest.raises(error, match=text):
        moved(feed)
    assert time.process_time() - began < 5


def test_repetitions_that_differ_may_be_none_at_all() -> None:
    with pytest.raises(runtime.errors.Deadlock, match="waits for a wavelet of color 'ins'"):
        moved("a[n + i] repeat n:0 for i:min(n, 4)")


LOOKUP = """
input ids : i32[2] "int32"
input table : f32[4, 2] "float32"
output r : f32[4] "float32"
color ask = 0
color get = 1
color out = 2
color give = 3
tensor t : i32[4] at 0 size 16
region all at 0,0 size 1x1
route give in all : W -> RAMP
route ask in all : RAMP -> E
route get in all : N -> RAMP
route out in all : RAMP -> S
main all
  mov.i32 [t + 4*i], <give> for i:2
  mov.i32 <ask>, [t + 4*i] for i:2
  mov.f32 <out>, <get> for i:4
end
feed give in all side W from ids[i] for i:2
feed get in all side N from table[{OFFSET} + k] lookup row:2 by ask side E port 0 for k:2
drain out in all side S from r[i] for i:4
"""


def test_a_looked_up_row_stays_within_the_tensor_at_any_stride() -> None:
    inputs = {"ids": np.array([3, 0], np.int32), "table": np.arange(8.0).reshape(4, 2)}
    inputs["table"] = inputs["table"].astype(np.float32)
    for offset, wanted in (("row*2", [6, 7, 0, 1]), ("6 - row*2", [0, 1, 6, 7])):
        loaded = program(LOOKUP.replace("{OFFSET}", offset), "1x1", "tiny")
        assert runtime.run(loaded, inputs).outputs["r"].tolist() == wanted
    for offset in ("row*3", "5 - row*2", "row*4294967296"):
        with pytest.raises(LoadError, match="the transfer takes elements"):
            runtime.run(program(LOOKUP.replace("{OFFSET}", offset), "1x1", "tiny"), inputs)


# --- registers ---------------------------------------------------------------------------


def test_main_is_held_to_the_register_file() -> None:
    from dataclasses import replace

    fabric = replace(find_fabric("tiny"), registers=4, window=4)
    text = BODY.replace("{CODE}", "\n".join(f"i.set r{n}, {n}" for n in range(5)))
    with pytest.raises(LoadError, match="main of 'all' uses 5 registers"):
        runtime.run(program(text, "3x1", "tiny"), {}, fabric=fabric)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_window_is_entered_with_zeros(engine: str) -> None:
    """What a branch alone sets is zero where it is not taken, whoever used the registers before."""
    text = (
        BODY.replace("{CODE}", "call leave(a = 1)\ncall leave(a = 0)")
        + """
proc leave(a)
  if a == 1
    i.set v, 77
  end
  i.store [t + 4], v
end
"""
    )
    result = runtime.run(program(text, "3x1", "tiny"), {}, engine=engine)
    assert result.outputs["r"].view(np.int32)[9] == 0


def test_a_program_without_regions_ends_at_once() -> None:
    for engine in ENGINES:
        assert runtime.run(parse('wsc 1\nfabric "tiny" 1x1\n'), {}, engine=engine).cycles == 0
