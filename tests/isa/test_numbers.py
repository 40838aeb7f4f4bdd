"""Constants stand wherever a number may."""

from __future__ import annotations

import re

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.parser import GRAMMAR, parse

TEXT = """\
fabric "wse2" 11 x 12
set ramp.latency = 13
set ramp.input_queues = [14, 15, 16]
precision f32
input a : f32[17, 18] "float32"
output n : i32[1]
output r : f32[19] cut 20 by n
weight w : f32[21] "w.bin" at 22
color c = 23
color d = 24
tensor t : f32[25 y:26 len 27 off -28, 29] at 30 size 31
region all at 32, 33 size 34 x 35
route c in all when x > 36 : N -> RAMP
main all
  async 37 -> s1: mov.f32 [t + 38*i], <c> for i:39
  loop k: 40
    if k > 41
      wait s1, 42
    end
  end
end
feed c in all side N when x > 43 from a[44*i] repeat q:45 lookup u:46 by d side W port 47 for i:48
"""
NUMBERS = sorted(set(re.findall(r"\b\d\d\b", TEXT)))


def test_no_rule_of_the_grammar_has_a_number_without_constants() -> None:
    rules = GRAMMAR.read_text(encoding="utf-8").partition("// --- terminals")[0]
    with_integers = [line for line in rules.split("\n") if re.search(r"\bINT\b", line)]
    # The version; counts beyond the range of numbers; what a generator began with; a literal.
    wanted = ["start", "work", "drawn", "factor"]
    assert [line.split(":")[0].strip("? ") for line in with_integers] == wanted


def test_the_text_has_all_of_them() -> None:
    assert [str(n) for n in range(11, 49)] == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_constant_stands_for_a_number(number: str) -> None:
    there = re.sub(rf"\b{number}\b", "(K - 1)*2/2", TEXT)
    program = parse(f"wsc 1\nconst K = {number} + 1\n{there}")
    plain = parse(f"wsc 1\nconst K = {number} + 1\n{TEXT}")
    kept = program.with_(regions=(), routes=(), transfers=())
    assert kept == plain.with_(regions=(), routes=(), transfers=())
    # What is an expression stays one; all other numbers are computed.
    if int(number) not in (36, 38, 39, 40, 41, 42, 43, 44, 48):
        assert program == plain


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at 30", "at 2*H", r"13:\d+: a number here is made of integers and .*; 'H' is neither"),
        ("c = 23", "c = LATER", "made of integers and earlier constants; 'LATER' is neither"),
        ("[17, 18]", "[17, 2 - K]", r"2 - K is -9, and the number here is not negative"),
        ("len 27", "len 0 - 1", r"-1, and the number here is not negative"),
        ("port 47", "port 1/(K - 11)", "division by zero"),
        ("11 x 12", "11 y 12", "a size is written as columns x rows"),
        ("q:45", "q:99999999999999*99", "leaves the range of numbers"),
    ],
)
def test_what_is_no_number_is_told(old: str, new: str, message: str) -> None:
    text = f"wsc 1\nconst K = 11\n{TEXT.replace(old, new)}const LATER = 1\n"
    with pytest.raises(AssemblyError, match=message):
        parse(text)
