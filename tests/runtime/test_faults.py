"""What stops a run: of several faults always the same one, and who waits, on both engines."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.agreement import ENGINES, assert_agree
from tests.runtime.programs import program
from tests.runtime.test_runs import TABLE
from wsc import runtime
from wsc.runtime.errors import Deadlock

# Each tile does something wrong in the cycle in which its wavelet has come, or just before.
TOGETHER = """
input a : i32[{height}, {width}] "int32"
color ins = 0
tensor t : i32[4] at 0 size 16
region all at 0,0 size {width}x{height}
route ins in all when x == 0 : W -> RAMP
main all
  if x == 0
    mov.i32 [t], <ins>
  else
    mov.i32 [t], {{1}}
  end
  {wrong}
end
feed ins in all side W when x == 0 from a[y*{width}] for i:1
"""
WRONG = (
    "div.i32 [t], [t], [t + 4]",
    "i.div r, 1, 0 - W + {width}",
    "i.load r, [40000000]",
    "i.set r, 0 - 1\n  wait s0, r",
    "i.set r, 2\n  mov.i32 [t + r], [t]",
    "i.set r, 99\n  send.i32 (r, 0) s0: [t], [t]",
)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("size", [(1, 2), (1, 7), (3, 5)])
def test_of_faults_in_one_cycle_the_first_tile_counts(wrong: str, size: tuple[int, int]) -> None:
    width, height = size
    text = TOGETHER.replace("{wrong}", wrong).format(width=width, height=height)
    given = {"a": np.arange(1, 1 + width * height, dtype=np.int32).reshape(height, width)}
    made = program(text, f"{width}x{height}")
    assert "tile (0, 0)" in assert_agree(made, given, several_faults=True).error or width > 1
    for seed in range(12):
        assert "Fault" in assert_agree(made, given, delays=seed, several_faults=True).error


ONE_AFTER_ANOTHER = """
color east = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 3x1
route east in all when x == 0 : RAMP -> E
route east in all when x == 1 : W -> RAMP
main all
  i.set p, {place}
  if x == 0
    mov.f32 <east>, 1.0
  else
    if x == 1
      mov.f32 [t], <east>
    else
      loop k: 9
        i.add p, p, 0
      end
    end
  end
  loop k: {first}*(x == 1) + {second}*(x == 2)
    i.add p, p, 0
  end
  i.load q, [p]
end
"""


@pytest.mark.parametrize("first", range(0, 12, 2))
@pytest.mark.parametrize("second", [0, 5])
def test_the_first_fault_counts_though_a_later_one_was_found_before(
    first: int, second: int
) -> None:
    """A thread may come to a fault that others forestall, in cycles or by their place."""
    text = ONE_AFTER_ANOTHER.format(place=1 << 24, first=first, second=second)
    end = assert_agree(program(text, "3x1"), {}, several_faults=True)
    assert "out of range" in end.error


LOOKUPS = """
input table : f32[4, 2] "float32"
color n = 0
color w = 1
color back = 2
color other = 3
tensor t : f32[4] at 0 size 16
region all at 0,0 size {size}
route n in all when (x == {n})*(y == 0) : RAMP -> N
route w in all when (x == 0)*(y == {w}) : RAMP -> W
route back in all when (x == 0)*(y == H - 1) : S -> RAMP
route other in all when (x == W - 1)*(y == 0) : E -> RAMP
main all
  if (x == {n})*(y == 0) == 1
    mov.i32 <n>, {{9}}
  end
  if (x == 0)*(y == {w}) == 1
    mov.i32 <w>, {{90}}
  end
{more}
end
feed back in all side S when (x == 0)*(y == H - 1) from table[r*2] {by_n} for i:2
feed other in all side E when (x == W - 1)*(y == 0) from table[r*2] {by_w} for i:2
"""


@pytest.mark.parametrize("more", ["", "  i.div r, 1, W - {width}"])
@pytest.mark.parametrize(("size", "n", "w"), [("1x1", 0, 0), ("2x2", 0, 0), ("3x2", 2, 1)])
def test_of_faults_at_the_edge_the_same_is_told(size: str, n: int, w: int, more: str) -> None:
    text = LOOKUPS.format(
        size=size,
        n=n,
        w=w,
        by_n=f"lookup r:1 by n side N port {n}",
        by_w=f"lookup r:1 by w side W port {w}",
        more=more.format(width=size[0]),
    )
    made = program(text, size)
    given = {"table": np.zeros((4, 2), np.float32)}
    assert "lookup" in assert_agree(made, given, several_faults=True).error or more
    for seed in range(6):
        assert_agree(made, given, delays=seed, several_faults=True)


SHARED = """
color c = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
main all
  if x == 0
    async 0: mov.f32 <c>, 1.0 for i:{first}
    mov.f32 <c>, 2.0 for i:{second}
  else
    async 0 -> s0: mov.f32 [t + 4*i], <c> for i:4
    mov.f32 [t + 16 + 4*i], <c> for i:4
    wait s0, 1
  end
end
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_deadlock_says_that_two_threads_use_a_queue(engine: str) -> None:
    with pytest.raises(Deadlock, match="one reader at a time and was used by two"):
        runtime.run(program(SHARED.format(first=8, second=0), "2x1"), {}, engine=engine)
    text = SHARED.format(first=30, second=30)
    with pytest.raises(Deadlock, match="one writer at a time and was used by two"):
        runtime.run(program(text, "2x1"), {}, engine=engine)


LEFT_OVER = """
color c = 0
color d = 1
color e = 2
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
route d in all when x == 0 : RAMP -> E
route d in all when x == 1 : W -> RAMP
route e in all when x == 1 : RAMP -> W
route e in all when x == 0 : E -> RAMP
main all
  if x == 0
    async 0: mov.f32 <c>, 1.0 for i:40
    mov.f32 <d>, 2.0 for i:40
  else
    add.f32 <e>, <c>, <d> for i:40
  end
end
"""


def test_a_deadlock_names_wavelets_that_nobody_waits_for() -> None:
    """Here the unit that takes them waits for something else."""
    told = assert_agree(program(LEFT_OVER, "2x1"), {}).error
    for color in "cde":
        assert f"of color '{color}' that no instruction takes" in told


def test_a_deadlock_names_the_unit_that_main_wants() -> None:
    text = """
color c = 0
tensor t : f32[1] at 0 size 4
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
main all
  if x == 1
    async 1: mov.f32 [t], <c>
    async 1: mov.f32 [t], <c>
  end
end
"""
    told = assert_agree(program(text, "2x1"), {}).error
    assert "main thread at 'mov' waits for stream unit 1 to be free" in told


def test_a_deadlock_says_what_each_transfer_waits_for() -> None:
    """Two of three numbers are sent: rows, numbers and results wait, each for its own."""
    text = TABLE.replace("mov.i32 <ask>, <ins> for i:3", "mov.i32 <ask>, <ins> for i:2")
    inputs = {"ids": np.arange(3), "table": np.zeros((10, 4), np.float32)}
    with pytest.raises(Deadlock) as caught:
        runtime.run(program(text, "2x1"), inputs)
    said = str(caught.value)
    assert "the feed of 'table' waits for index values or room in the router (color 'get')" in said
    assert "the lookup in 'table' waits for index values (color 'ask')" in said
    assert "the drain into 'r' waits for wavelets (color 'out')" in said
    assert "'table' waits for room in the router" not in said
