"""The race check: racy programs and what is said of them, and programs that only look racy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Golden
from tests.runtime.programs import program
from tests.runtime.test_runs import WRITTEN, random_inputs
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.runtime.errors import Deadlock, Race, RuntimeFault

RACY = sorted((Path(__file__).parent / "races").glob("*.wsa"))


def checked(body: str, size: str) -> int:
    """The cycles of a program in which no race is found."""
    return runtime.run(program(body, size), {}, check_races=True).cycles


def racy(written: Program, delays: int | None = None) -> Race:
    with pytest.raises(Race) as caught:
        runtime.run(written, {}, check_races=True, delays=delays)
    return caught.value


@pytest.mark.parametrize("path", RACY, ids=lambda path: path.stem)
def test_each_race_is_found_and_told(path: Path, golden: Golden) -> None:
    error = racy(parse(path.read_text(encoding="utf-8"), path.name))
    golden(path.with_suffix(".txt"), f"{error}\n")
    assert all(line.line > 0 for finding in error.races for line in finding.places)


@pytest.mark.parametrize("path", RACY, ids=lambda path: path.stem)
def test_a_race_is_found_under_any_delays(path: Path) -> None:
    """The rule looks at the order that the program makes, not at the times of one run."""
    written = parse(path.read_text(encoding="utf-8"), path.name)
    lines = {frozenset(place.line for place in f.places) for f in racy(written).races}
    for seed in range(6):
        late = {
            frozenset(place.line for place in f.places) for f in racy(written, delays=seed).races
        }
        assert lines & late, f"seed {seed}"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_written_programs_have_none(path: Path) -> None:
    image = runtime.load(parse(path.read_text(encoding="utf-8"), path.name))
    inputs = random_inputs(image.program)
    plain = runtime.run(image, inputs)
    for seed in (None, 0, 1):
        result = runtime.run(image, inputs, check_races=True, delays=seed)
        assert all(
            np.array_equal(result.outputs[name], plain.outputs[name]) for name in plain.outputs
        )
        if seed is None:
            assert result.cycles == plain.cycles


TOKEN = """
color token = 0
tensor from : f32[4] at 0 size 16
tensor into : f32[4] at 16 size 16
region all at 0,0 size 2x1
route token in all when x == 1 : RAMP -> W
route token in all when x == 0 : E -> RAMP
main all
  if x == 0
{wait}
    send.f32 (1, 0) s0: [into + 4*i], [from + 4*i] for i:4
  else
    add.f32 [from + 4*i], [into + 4*i], [into + 4*i] for i:4
    mov.f32 <token>, 0.0
    wait s0, 4
    mov.f32 [from + 4*i], [into + 4*i] for i:4
  end
end
"""


def test_a_wavelet_orders_a_store_behind_what_its_sender_did_before() -> None:
    checked(TOKEN.format(wait="    mov.f32 [from], <token>"), "2x1")
    # The same wavelet, taken too late to order anything.
    late = TOKEN.format(wait="").replace(
        "for i:4\n  else", "for i:4\n    mov.f32 [from], <token>\n  else"
    )
    assert "stores into" in str(racy(program(late, "2x1")))


def test_a_unit_that_is_issued_again_has_done_what_it_did_before() -> None:
    body = """
tensor buf : f32[8] at 0 size 32
tensor other : f32[8] at 32 size 32
region all at 0,0 size 1x1
main all
  async 0: mov.f32 [buf + 4*i], 1.0 for i:8
  async 0 -> s0: mov.f32 [other + 4*i], 1.0 for i:8
  i.load a, [buf]
  wait s0, 1
  i.load a, [other]
end
"""
    checked(body, "1x1")
    assert len(racy(program(body.replace("  wait s0, 1\n", ""), "1x1")).races) == 1


def test_a_unit_knows_what_main_did_before_the_issue_alone() -> None:
    body = """
tensor buf : f32[80] at 0 size 320
region all at 0,0 size 1x1
main all
  mov.f32 [buf + 4*i], 1.0 for i:80
  async 0 -> s0: mov.f32 [buf + 4*i], 2.0 for i:80
{then}
  wait s0, 1
end
"""
    checked(body.format(then=""), "1x1")
    racy(program(body.format(then="  i.store [buf], 1"), "1x1"))


def test_reading_together_is_no_race() -> None:
    checked(
        """
tensor buf : f32[80] at 0 size 320
tensor other : f32[80] at 320 size 320
region all at 0,0 size 1x1
main all
  async 0: mov.f32 [other + 4*i], [buf + 4*i] for i:80
  i.load a, [buf]
end
""",
        "1x1",
    )


CREDITS = """
tensor buf : f32[32] at 0 size 128
region all at 0,0 size 1x1
main all
  signal s0, {credits}
  loop k: 6
    i.mod at, k, 2
    i.mul at, at, 64
    wait s0, 1
    i.store [buf + at], k
    if k % 2 == 0
      async 0 -> s0: mov.f32 [buf + at + 4*i], 1.0 for i:16
    else
      async 1 -> s0: mov.f32 [buf + at + 4*i], 1.0 for i:16
    end
  end
  wait s0, {credits}
end
"""


def test_credits_that_two_units_return_do_not_say_which_block_is_free() -> None:
    one = CREDITS.replace("async 1", "async 0").replace("k % 2", "0")
    checked(one.format(credits=2), "1x1")  # one unit returns them in order
    racy(program(CREDITS.replace("k % 2 == 0", "at == 0").format(credits=2), "1x1"))
    checked(CREDITS.replace("k % 2 == 0", "at == 0").format(credits=1), "1x1")


def test_stores_of_one_sender_arrive_in_order() -> None:
    body = """
tensor from : f32[4] at 0 size 16
tensor into : f32[8] at 16 size 32
region all at 0,0 size 2x1
main all
  if x == 0
    send.f32 (1, 0) s0: [into + 4*i], [from + 4*i] for i:4
    send.f32 (1, 0) s0: [into + 16 + 4*i], [from + 4*i] for i:4
  else
    loop k: 60
      i.set a, k
    end
    wait s0, 4
    i.load a, [into + 12]
    wait s0, 4
    i.load a, [into + 28]
  end
end
"""
    checked(body, "2x1")
    racy(
        program(
            body.replace(
                "wait s0, 4\n    i.load a, [into + 12]", "wait s0, 3\n    i.load a, [into + 12]"
            ).replace("wait s0, 4\n    i.load a, [into + 28]", "wait s0, 5"),
            "2x1",
        )
    )


def test_counts_that_come_early_for_words_nobody_uses_yet_are_no_race() -> None:
    text = (Path(__file__).parent / "races" / "early_count.wsa").read_text(encoding="utf-8")
    runtime.run(
        parse(text.replace("    mov.f32 [from + 4*i], [into + 4*i] for i:4\n", "")),
        {},
        check_races=True,
    )


def test_races_come_before_the_deadlock_that_they_may_have_caused() -> None:
    text = RACY[-1].read_text(encoding="utf-8").replace("1.0 for i:8", "1.0 for i:7")
    error = racy(parse(text, RACY[-1].name))
    assert "the run then stopped: deadlock" in str(error)
    assert isinstance(error.__cause__, Deadlock)


def test_only_the_reference_engine_looks_for_races() -> None:
    with pytest.raises(
        RuntimeFault, match="races are looked for by the reference engine, not by 'both'"
    ):
        runtime.run(parse(RACY[0].read_text(encoding="utf-8")), {}, engine="both", check_races=True)


WAITS = """
color told = 0
tensor from  : f32[4] at 0 size 16
tensor into  : f32[4] at 16 size 16
tensor other : f32[4] at 32 size 16
tensor mine  : f32[4] at 48 size 16
region all at 0,0 size 3x1
route told in all when x == 1 : RAMP -> E
route told in all when x == 2 : W -> RAMP
main all
  if x == 0
    {first}
  end
  if x == 2
    {second}
  end
  if x == 1
    {receiver}
  end
end
"""
STORE = "send.f32 (1, 0) s0: [into + 4*i], [from + 4*i] for i:4"
OTHER = "send.f32 (1, 0) s0: [other + 4*i], [from + 4*i] for i:4"
IDLE = "loop k: 90\nadd.f32 [from], [from], 1.0\nend\n"  # all that is sent has arrived
UNIT = "async 0 -> s0: add.f32 [mine + 4*i], [mine + 4*i], 1.0 for i:4\n"
USE = "\ni.load r, [into]"
USE_OTHER = "\ni.load r, [other]"
USE_MINE = "\ni.load r, [mine]"


@pytest.mark.parametrize(
    ("first", "second", "receiver", "wrong"),
    [
        # Of two senders nobody knows whose four were counted, though all eight have come.
        (STORE, OTHER, f"{IDLE}wait s0, 4{USE}\nwait s0, 4", True),
        (STORE, OTHER, f"{IDLE}wait s0, 4\nwait s0, 4{USE}{USE_OTHER}", False),
        (STORE, OTHER, f"wait s0, 8{USE}{USE_OTHER}", False),
        (STORE, OTHER, f"{IDLE}wait s0, 7{USE}\nwait s0, 1", True),
        # One sender's come in order: the first four are those of the first message.
        (f"{STORE}\n{OTHER}", "", f"{IDLE}wait s0, 4{USE}\nwait s0, 4", False),
        (f"{STORE}\n{OTHER}", "", f"{IDLE}wait s0, 4{USE_OTHER}\nwait s0, 4", True),
        (f"{STORE}\n{OTHER}", "", f"{IDLE}wait s0, 0{USE}\nwait s0, 8", True),
        # What main adds itself may be what it takes.
        (STORE, "", f"{IDLE}signal s0, 4\nwait s0, 4{USE}\nwait s0, 4", True),
        (STORE, "", f"{IDLE}signal s0, 4\nwait s0, 8{USE}", False),
        (STORE, "", f"{IDLE}signal s0, 1\nwait s0, 4{USE}\nwait s0, 1", False),
        (STORE, "", f"{IDLE}signal s0, 1\nwait s0, 4\ni.load r, [into + 12]\nwait s0, 1", True),
        # So may what a unit adds, and the other way round.
        (STORE, "", f"{UNIT}{IDLE}wait s0, 4{USE}\nwait s0, 1", True),
        (STORE, "", f"{UNIT}{IDLE}wait s0, 1{USE_MINE}\nwait s0, 4", True),
        (STORE, "", f"{UNIT}wait s0, 5{USE}{USE_MINE}", False),
        # A store that could have come before the wait that relied on another sender or a unit.
        (STORE, f"{IDLE}{OTHER}", f"wait s0, 4{USE}\nwait s0, 4", True),
        (STORE, f"{IDLE}{OTHER}", f"wait s0, 4\nwait s0, 4{USE}", False),
        ("", f"{IDLE}{OTHER}", f"{UNIT}wait s0, 1{USE_MINE}\nwait s0, 4", True),
        (
            STORE,
            f"mov.f32 [from], <told>\n{OTHER}",
            f"wait s0, 4\nmov.f32 <told>, 1.0{USE}\nwait s0, 4{USE_OTHER}",
            False,
        ),
        (
            STORE,
            f"mov.f32 [from], <told>\n{OTHER}",
            f"mov.f32 <told>, 1.0\nwait s0, 4{USE}\nwait s0, 4{USE_OTHER}",
            True,
        ),
        (f"{STORE}\n{IDLE}{OTHER}", "", f"wait s0, 4{USE}\nwait s0, 4", False),
    ],
)
def test_a_wait_knows_of_what_must_have_been_counted(
    first: str, second: str, receiver: str, wrong: bool
) -> None:
    body = WAITS.format(
        first=first or "i.set r, 0", second=second or "i.set r, 0", receiver=receiver
    )
    if wrong:
        racy(program(body, "3x1"))
    else:
        checked(body, "3x1")
