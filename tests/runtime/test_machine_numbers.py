"""Hops, turns, link rates, branches, banks: what a number of the fabric does to the cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.patterns import streamed
from tests.runtime.agreement import assert_agree
from tests.runtime.programs import broadcast, chain, program, wide_io
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing
from wsc.isa.types import DType

WIDE = wide_io()


def cycles(text: str, size: str, fabric: Fabric) -> int:
    """Cycles of a program without inputs, as both engines have them."""
    end = assert_agree(program(text, size), {}, fabric=fabric)
    assert not end.error
    return end.cycle


def corner(words: int) -> str:
    """A stream of words east along the top row and south along the last column."""
    return f"""
color c = 0
region all at 0,0 size 3x3
route c in all when (x == 0)*(y == 0) : RAMP -> E
route c in all when (x == 1)*(y == 0) : W -> E
route c in all when (x == 2)*(y == 0) : W -> S
route c in all when (x == 2)*(y == 1) : N -> S
route c in all when (x == 2)*(y == 2) : N -> RAMP
main all
  if (x == 0)*(y == 0) == 1
    mov.f32 <c>, 1.0 for i:{words}
  end
  if (x == 2)*(y == 2) == 1
    mov.f32 [4*i], <c> for i:{words}
  end
end
"""


@pytest.mark.parametrize("words", [1, 40, 300])
@pytest.mark.parametrize("hop", [1, 2, 7])
@pytest.mark.parametrize("turn", [0, 1, 20])
def test_hops_and_turns_delay_and_let_through(words: int, hop: int, turn: int) -> None:
    """All words come so much later, whatever the depth of the buffers; and none slower."""
    usual = cycles(corner(words), "3x3", WIDE)
    far = replace(WIDE, hop_cycles=hop, turn_cycles=turn)
    assert cycles(corner(words), "3x3", far) == usual + 4 * (hop - 1) + turn


@pytest.mark.parametrize("words", [8, 80, 800])
@pytest.mark.parametrize("rate", [1001, 1125, 1500, 2000, 3300])
def test_a_link_is_taken_for_thousandths_of_a_cycle(words: int, rate: int) -> None:
    usual = cycles(corner(words), "3x3", WIDE)
    slow = cycles(corner(words), "3x3", replace(WIDE, link_millicycles=rate))
    more = slow - usual - (words - 1) * (rate - 1000) / 1000
    assert abs(more) <= rate / 1000


def alone(code: str, **numbers: Any) -> int:
    """Cycles of a main thread."""
    text = f"region all at 0,0 size 1x1\nmain all\n{code}\nend\n"
    return cycles(text, "1x1", replace(WIDE, **numbers))


def test_branches_cost_what_they_do() -> None:
    numbers = {"branch_taken_cycles": 6, "branch_back_cycles": 9}
    one = alone("i.set a, 1")
    assert alone("if 1 == 1\n i.set a, 1\nend", **numbers) == one + 1
    assert alone("if 1 == 2\n i.set a, 1\nend", **numbers) == 6
    # Over the other block: what a taken branch takes more than one that is not.
    assert alone("if 1 == 1\n i.set a, 1\nelse\n i.set a, 2\nend", **numbers) == one + 1 + 5
    assert alone("if 1 == 2\n i.set a, 1\nelse\n i.set a, 2\nend", **numbers) == one + 6
    for turns in (0, 1, 5):
        head, back = (1, 9 * (turns - 1)) if turns else (6, 0)
        assert alone(f"loop k: {turns}\n i.set a, 1\nend", **numbers) == head + turns + back


N = 24
ROWS = [  # an instruction for N steps, and whether each waits for the one before
    ("add.f32 [0], [0], [4096 + 4*i] for i:{n}", True),
    ("add.f32 [0], [4096 + 4*i], [0] for i:{n}", True),
    ("fmac.f32 [0], [4096 + 4*i], 0.5 for i:{n}", True),
    ("mul.f32 [4 + 4*i], [4*i], 0.5 for i:{n}", True),
    ("add.f32 [0], [0], [4096 + 4*i] for i:{n}, j:1", True),
    ("add.f32 [4*i], [4*i], [4096 + 4*i] for i:{n}", False),
    ("mul.f32 [8 + 4*i], [4*i], 0.5 for i:{n}", False),  # of the step before that
    ("add.i32 [0], [0], [4096 + 4*i] for i:{n}", False),
    ("mov.f32 [4 + 4*i], [4*i] for i:{n}", False),
    ("fmac.f32 [4*j], [4096 + 4*j], 0.5 for i:{n}, j:2", False),
]


@pytest.mark.parametrize(("code", "waits"), ROWS)
def test_a_step_waits_for_a_result_that_it_takes(code: str, waits: bool) -> None:
    text = code.format(n=N)
    more = alone(text, dependent_cycles=5) - alone(text)
    assert more == (4 * N if waits else 0)


BANKS = {"sram_banks": 8, "sram_bank_bytes": 2, "sram_conflict_millicycles": 1940}


@pytest.mark.parametrize(
    ("code", "meets"),
    [
        ("mov.f32 [4096 + 4*i], [4*i] for i:100", True),
        ("mov.f32 [4100 + 4*i], [4*i] for i:100", False),
        ("mov.f32 [4112 + 4*i], [4*i] for i:100", True),
        ("mov.f32 [4096 + 8*i], [4*i] for i:100", False),
        ("mov.f32 [4096 + 4*i], [0] for i:100", False),
        ("add.f32 [4*i], [4*i], 1.0 for i:100", False),  # in place
        ("add.f32 [4*i], [4*i], [4096 + 4*i] for i:100", True),
        ("i.set a, 4096\nmov.f32 [a + 4*i], [4*i] for i:100", True),
        ("i.set a, 4100\nmov.f32 [a + 4*i], [4*i] for i:100", False),
    ],
)
def test_operands_meet_in_a_bank_by_their_addresses(code: str, meets: bool) -> None:
    usual, slow = alone(code), alone(code, **BANKS)
    row = WIDE.timing[Timing.ARITHMETIC if "add" in code else Timing.MOVE].row(100, DType.F32)
    assert slow - usual == (-(-row * 1940 // 1000) - row if meets else 0)


def test_an_operand_in_a_queue_has_its_own_lanes() -> None:
    text = """
color c = 0
region all at 0,0 size 2x1
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
main all
  if x == 0
    mov.f32 <c>, 1.0 for k:9
  else
    fmac.f32 [4*i], [400 + 4*i], <c: k> for k:9, i:80
  end
end
"""
    row = WIDE.timing[Timing.MULTIPLY_ACCUMULATE]
    lanes = dict.fromkeys(DType, 4)
    fast = replace(row, queue_group=lanes)
    timing = WIDE.timing | {Timing.MULTIPLY_ACCUMULATE: fast}
    usual, quick = cycles(text, "2x1", WIDE), cycles(text, "2x1", replace(WIDE, timing=timing))
    assert usual - quick == 9 * (row.row(80, DType.F32) - 20)


@pytest.mark.parametrize("rate", [1000, 1125, 2000])
@pytest.mark.parametrize("hop", [1, 3])
def test_whole_trees_of_slow_links(hop: int, rate: int) -> None:
    """What the time engine does many wavelets at a time is what happens one by one."""
    pattern = streamed("6x9", 400)
    fabric = replace(pattern.fabric, hop_cycles=hop, link_millicycles=rate)
    assert not assert_agree(pattern.program, pattern.inputs, fabric=fabric).error


@pytest.mark.parametrize("made", [broadcast(9, 30), chain(9, 30)], ids=["broadcast", "chain"])
def test_collectives_on_slow_links(made: Any) -> None:
    fabric = replace(WIDE, hop_cycles=2, link_millicycles=1125)
    assert not assert_agree(made, {}, fabric=fabric).error
