"""Predictions end, whatever the counts of loops and repetitions."""

from __future__ import annotations

import time

import pytest

from wsc.cost.edge import traffic
from wsc.cost.unpredictable import Unpredictable
from wsc.cost.walk import Walk
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.turns import plain_transfers

TEXT = """wsc 1
fabric "tiny" 1x1
input a : f32[8] "float32"
color ins = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 1x1
route ins in all : N -> RAMP
main all
  loop k: 2147483647
    loop m: 2147483647
      add.f32 [t], [t], 1.0
    end
  end
end
feed ins in all side N from a[i + 0*n] repeat n:2147483647 for i:8 then advance
"""


def test_a_transfer_repeated_for_ever_is_counted_at_once() -> None:
    program = parse(TEXT)
    began = time.process_time()
    moved = traffic(program, plain_transfers(program)[0])
    assert moved.ports.tolist() == [8 * 2147483647]
    assert moved.wavelets == 9 * 2147483647
    assert time.process_time() - began < 1


def test_loops_without_an_end_are_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsc.cost.walk.MOST_TURNS", 1000)
    differing = TEXT.replace("1x1", "2x1").replace("k: 2147483647", "k: 2147483646 + x")
    with pytest.raises(Unpredictable, match="more than 1000 turns"):
        Walk(parse(differing), find_fabric("tiny")).run()
