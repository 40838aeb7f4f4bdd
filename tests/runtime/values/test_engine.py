"""The values engine: bits and counters of the reference engine, errors, and what it refuses."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.agreement import (
    differences,
    ending,
    random_inputs,
    timeless,
    values_ending,
    without_place,
)
from tests.runtime.generate import generate
from tests.runtime.programs import chain, program
from wsc import runtime
from wsc.isa.parser import parse
from wsc.runtime.errors import Deadlock, ExecutionFault, Interrupted, MemoryLimit, RuntimeFault
from wsc.runtime.trace import TraceRequest
from wsc.runtime.values.engine import Execution

ROOT = Path(__file__).parents[3]
WRITTEN = sorted([*ROOT.glob("tests/programs/*.wsa"), *ROOT.glob("docs/collectives/*.wsa")])


def assert_same(
    image: runtime.Image, inputs: dict[str, np.ndarray], several_faults: bool = False
) -> None:
    """Both engines end alike: outputs to the bit, counters, or the fault.

    several_faults: each may tell another.
    """
    one, other = timeless(ending(image, inputs, "reference")), values_ending(image, inputs)
    if several_faults:
        one, other = (without_place(run) for run in (one, other))
    found = list(differences(one, other, "run"))
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_written_programs(path: Path) -> None:
    written = parse(path.read_text(encoding="utf-8"), str(path))
    assert_same(runtime.load(written, weights_dir=path.parent), random_inputs(written))


@pytest.mark.parametrize("seed", range(1000, 1040))
def test_random_programs(seed: int) -> None:
    case = generate(seed)
    assert_same(runtime.load(case.program, case.fabric), case.inputs)


@pytest.mark.parametrize("portion", [1, 7])
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_instructions_in_portions(
    path: Path, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long instructions are done bit by bit, so that an interrupt is heard; bits stay the same."""
    monkeypatch.setattr("wsc.runtime.values.build.PORTION", portion)
    monkeypatch.setattr("wsc.runtime.values.build.PORTION_ROWS", portion)
    test_written_programs(path)


@pytest.mark.parametrize("seed", range(1040, 1060))
def test_random_programs_in_portions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsc.runtime.values.build.PORTION", 3)
    monkeypatch.setattr("wsc.runtime.values.build.PORTION_ROWS", 2)
    case = generate(seed)
    assert_same(runtime.load(case.program, case.fabric), case.inputs, several_faults=True)


def values(body: str, size: str = "2x1", fabric: str = "wse2") -> dict[str, np.ndarray]:
    """Outputs of a program without inputs; the reference engine gives the same."""
    image = runtime.load(program(body, size, fabric))
    assert_same(image, {})
    return runtime.run(image, {}, engine="values").outputs


def test_no_clock() -> None:
    result = runtime.run(chain(4, 3), {}, engine="values")
    assert result.cycles is None
    assert result.engine == "values"
    counted = result.counters.as_dict()
    assert counted["cycles"] is None
    assert counted["busy"] is None
    assert counted["elements"] > 0


@pytest.mark.parametrize(
    "options", [{"delays": 1}, {"max_cycles": 5}, {"shuffle": 3}, {"trace": TraceRequest("all", 9)}]
)
def test_options_that_need_a_clock(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(RuntimeFault, match=f"values engine has no clock: .* {name}"):
        runtime.run(chain(4, 3), {}, engine="values", **options)  # type: ignore[call-overload]


def test_races_need_another_engine() -> None:
    with pytest.raises(RuntimeFault, match="races are looked for by the reference engine"):
        runtime.run(chain(4, 3), {}, engine="values", check_races=True)  # type: ignore[call-overload]


TWO = """
output r : f32[{count}] "float32"
color east = 0
color west = 1
color out = 2
tensor b : f32[16] at 0 size 64
region all at 0,0 size 2x1
route east in all when x == 0 : RAMP -> E
route east in all when x == 1 : W -> RAMP
route west in all when x == 1 : RAMP -> W
route west in all when x == 0 : E -> RAMP
route out in all when x == 0 : RAMP -> W
drain out in all side W when y == 0 from r[i] for i:{count}
"""


def test_echo_within_one_instruction() -> None:
    """A core answers each wavelet before it gets the next: whole instructions never could."""
    found = values(
        TWO.format(count=1)
        + """
main all
  if x == 0
    mov.f32 <east>, 1.0
    add.f32 <east>, <west>, 1.0 for i:9
    add.f32 <out>, <west>, 0.0
  else
    mul.f32 <west>, <east>, 2.0 for i:10
  end
end
"""
    )
    assert found["r"].tolist() == [2046.0]


def test_steps_that_depend_on_each_other() -> None:
    """A smear, a prefix sum, and a sum into one element: in the order of the steps."""
    found = values(
        TWO.format(count=16)
        + """
main all
  if x == 0
    mov.f32 [b + 4*i], 1.0 for i:16
    add.f32 [b + 4 + 4*i], [b + 4 + 4*i], [b + 4*i] for i:7
    mov.f32 [b + 36 + 4*i], [b + 32 + 4*i] for i:3
    add.f32 [b + 60], [b + 60], [b + 4*i] for i:8
    mov.f32 <out>, [b + 4*i] for i:16
  end
end
"""
    )
    assert found["r"][:8].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found["r"][15] == 37.0


FAULTS = {
    "i.load z, [1000000]": "SRAM address 1000000 is out of range",
    "i.load z, [2]": "SRAM address 2 or a stride is no multiple of 4",
    "mov.f32 [b + 64 + 4*i], 0.0 for i:4096": "is out of range",
    "i.set z, 0\n i.mod z, 7, z": "division of 7 by zero",
    "i.set z, -1\n wait s0, z": "the count -1 is negative",
    "i.set z, -2\n signal s0, z": "the count -2 is negative",
    "mov.f32 <west>, 0.0": "no route to the router for color 'west'",
    "mov.f32 [b], <out>": "no route from the router for color 'out'",
    "control advance <west>": "no route to the router for color 'west'",
    "send.f32 (2, 0) s1: [b], [b] for i:1": r"the target tile \(2, 0\) is outside the region",
    "call again(n = 1)": "calls nest deeper than",
    "mov.i32 [b], 0\n div.i32 [b + 4], [b + 8], [b]": "by zero",
}


@pytest.mark.parametrize("code", FAULTS)
def test_faults(code: str) -> None:
    again = "proc again(n)\n call again(n = n)\nend\n" if "again" in code else ""
    code = code.replace("mov.i32 [b], 0\n", "mov.i32 [b], {0}\n")
    made = program(
        f"{TWO.format(count=1)}\n{again}main all\n if x == 0\n {code}\n end\nend\n", "2x1"
    )
    image = runtime.load(made)
    with pytest.raises(ExecutionFault) as caught:
        runtime.run(image, {}, engine="values")
    assert caught.value.cycle is None
    assert caught.match(FAULTS[next(key for key in FAULTS if key.split("\n")[-1] in code)])
    assert_same(image, {})


def test_deadlock_tells_who_waits() -> None:
    made = program(
        TWO.format(count=1)
        + """
main all
  if x == 0
    mov.f32 [b], <west>
  else
    async 0 -> s2: mov.f32 <west>, <east> for i:2
    wait s2, 1
  end
end
""",
        "2x1",
    )
    with pytest.raises(Deadlock) as caught:
        runtime.run(made, {}, engine="values")
    text = str(caught.value)
    assert "tile (0, 0): main thread at 'mov' waits for a wavelet of color 'west'" in text
    assert "tile (1, 0): main thread at 'wait' waits for semaphore s2: needs 1, has 0" in text
    assert "tile (1, 0): stream unit 0 at 'mov' waits for a wavelet of color 'east'" in text
    assert "tile (0, 0): the drain into 'r' waits for wavelets (color 'out')" in text


def test_each_tile_waits_for_its_own_semaphore() -> None:
    """What it has and needs differs in all tiles: each is told with its own numbers."""
    made = program(
        """
region all at 1,1 size 2x3
main all
  signal s0, 50
  signal s1, 1 + x + 2*y
  i.set more, x
  wait s1, 10 + y + more
end
""",
        "4x5",
    )
    for engine in ("values", "reference"):
        with pytest.raises(Deadlock) as caught:
            runtime.run(made, {}, engine=engine)  # type: ignore[call-overload]
        for x, y in product(range(2), range(3)):
            need, has = 10 + x + y, 1 + x + 2 * y
            waits = f"waits for semaphore s1: needs {need}, has {has}"
            assert f"tile ({x + 1}, {y + 1}): main thread at 'wait' {waits}" in str(caught.value)


NEIGHBOUR = {
    "where the neighbour has no route": "",
    "where the neighbour does not accept it": "route way in all when x == 1 : E -> RAMP",
    "where no transfer takes it": "route way in all when x == 1 : W -> E",
}


@pytest.mark.parametrize("switches", ["", " | W -> E"])
@pytest.mark.parametrize("reason", NEIGHBOUR)
def test_a_router_says_why_wavelets_stay(reason: str, switches: str) -> None:
    made = program(
        f"""
color way = 0
region all at 0,0 size 2x1
route way in all when x == 0 : RAMP -> E{switches}
{NEIGHBOUR[reason]}
main all
  if x == 0
    mov.f32 <way>, 1.0 for i:3
  end
end
""",
        "2x1",
    )
    with pytest.raises(Deadlock, match=rf"holds 3 of color 'way', waits for E, {reason}"):
        runtime.run(made, {}, engine="values")


def test_wavelets_that_no_one_takes() -> None:
    made = program(
        TWO.format(count=1)
        + """
main all
  if x == 0
    mov.f32 <east>, 1.0 for i:3
    mov.f32 <out>, 1.0
  end
end
""",
        "2x1",
    )
    with pytest.raises(
        Deadlock, match=r"tile \(1, 0\): 3 of color 'east' that no instruction takes"
    ):
        runtime.run(made, {}, engine="values")


def test_an_endless_producer_ends_in_a_sentence() -> None:
    made = program(
        TWO.format(count=1)
        + """
main all
  if x == 0
    loop n: 1000000000
      mov.f32 <east>, 1.0 for i:100000
    end
  end
end
""",
        "2x1",
    )
    with pytest.raises(MemoryLimit, match="of color 'east' from column 0 are not read"):
        runtime.run(made, {}, engine="values", max_memory=1 << 24)


def test_memory_that_is_not_there_is_refused() -> None:
    with pytest.raises(MemoryLimit, match="for the SRAM of 4 tiles"):
        runtime.run(runtime.load(chain(4, 3)), {}, engine="values", max_memory=64)


HUGE = {
    "vector": "mov.f32 [b], 1.0 for i:2000000, j:500000",
    "unit": "async 0 -> s2: fmac.f32 [b], [b + 4], 1.0 for i:500000, j:2000000\n wait s2, 1",
    "send": "send.f32 (0, 0) s1: [b], [b + 4] for i:500000, j:2000000",
    "wavelets": "mov.f32 <east>, 1.0 for i:2000000, j:500000",
    "loop": "loop n: 2000000000\n i.set z, n\n end",
}


@pytest.mark.parametrize("name", HUGE)
def test_an_interrupt_is_heard(name: str) -> None:
    """The compiled loop returns now and then; then Python raises what the user has asked for."""
    body = TWO.format(count=1) + f"main all\n if x == 0\n {HUGE[name]}\n end\nend\n"

    def tell(_cycle: int, _part: float) -> None:
        raise KeyboardInterrupt

    began = time.perf_counter()
    with pytest.raises((Interrupted, MemoryLimit)):
        runtime.run(program(body, "2x1"), {}, engine="values", progress=tell, max_memory=1 << 28)
    assert time.perf_counter() - began < 20


LINE = """
color odd = 0
color even = 1
tensor b : f32[1] at 0 size 4
region all at 0,0 size 6x1
route odd in all when (x%2 == 1)*(x < W - 1) : RAMP -> E
route odd in all when (x%2 == 0)*(x > 0) : W -> RAMP
route even in all when (x%2 == 0)*(x < W - 1) : RAMP -> E
route even in all when x%2 == 1 : W -> RAMP
main all
  loop n: 40
    if x == 0
      mov.f32 <even>, 1.0 for i:50000
    else
      if x == W - 1
        mov.f32 [b], <even> for i:50000
      else
        if x%2 == 0
          mov.f32 <even>, <odd> for i:50000
        else
          mov.f32 <odd>, <even> for i:50000
        end
      end
    end
  end
end
"""


def test_streams_stay_small_where_all_are_read() -> None:
    """Eight MB go through each link; a reader wakes the producer that has waited for it."""
    result = runtime.run(program(LINE, "6x1"), {}, engine="values", max_memory=1 << 24)
    # Three links of this color: each wavelet leaves a core, a tile, and a router to its core.
    assert result.counters.wavelets["even"].sum() == 3 * 3 * 40 * 50000


def test_a_long_chain_goes_through_few_blocks() -> None:
    """A block that is used up is the next column's: storage does not grow with the chain."""
    taken: list[int] = []
    for tiles in (12, 60):
        image = runtime.load(chain(tiles, 3000))
        run = Execution(image, {}, None, None, 1)
        begin = int(run.machines[0].now["free"][0])
        outputs = run.run(None).outputs
        assert (outputs["r"] == sum(range(tiles))).all()
        taken.append(int(run.machines[0].now["free"][0]) - begin)
    assert taken[0] == taken[1] < 4 * 4096


def test_memory_is_that_of_the_engine_that_will_run() -> None:
    text = "region all at 0,0 size 8x8\nmain all\nend\n"
    made = program(text, "8x8")
    with pytest.raises(MemoryLimit) as timed:
        runtime.load(made, max_memory=1, engine="reference")
    with pytest.raises(MemoryLimit) as alone:
        runtime.load(made, max_memory=1, engine="values")
    needed = alone.value.needed
    assert needed < timed.value.needed
    runtime.load(made, max_memory=needed, engine="values")
    with pytest.raises(MemoryLimit, match="for the SRAM of 64 tiles"):
        runtime.run(made, {}, engine="reference", max_memory=needed)
    assert runtime.run(made, {}, engine="values", max_memory=needed + (1 << 24)).cycles is None
