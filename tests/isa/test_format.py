"""The layout of assembly: the program stays, comments stay, and once is enough."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from lark.exceptions import UnexpectedInput

from tests.isa.strategies import programs
from wsc.isa.format import format_text
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Program
from wsc.isa.tokens import text_lines

HAND = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))


def words(text: str) -> list[tuple[str, str]]:
    """All words of a text, with their kinds, in order."""
    return [(token.kind, token.text) for line in text_lines(text) for token in line.tokens]


def comments(text: str) -> list[str]:
    return [line.comment for line in text_lines(text) if line.comment]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_what_the_printer_writes_is_laid_out(program: Program) -> None:
    text = print_program(program)
    assert format_text(text) == text


def untidy(text: str, seed: int) -> str:
    """The same words with other spaces, empty lines and comments."""
    rng = random.Random(seed)
    made: list[str] = []
    for line in text_lines(text):
        made += [rng.choice(["", "  ", "; a line", "   ;;x "])] * rng.choice([0, 0, 1, 2])
        shown, end = rng.choice(["", " ", "\t\t"]), 0
        raw = text.split("\n")[line.number - 1]
        for token in line.tokens:
            apart = raw[end : token.column - 1].strip() == "" and token.column - 1 > end
            shown += (rng.choice([" ", "   ", "\t"]) if apart else "") + token.text
            end = token.end - 1
        made.append(shown + rng.choice(["", " ", " ; why", ";"]) + line.comment)
    return rng.choice(["\n", "\r\n"]).join(made)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_layout_changes_nothing_else(program: Program) -> None:
    text = untidy(print_program(program), hash(program.model) & 0xFFFF)
    made = format_text(text)
    assert words(made) == words(text)
    assert comments(made) == comments(text)
    assert format_text(made) == made
    assert parse(made).constants == program.constants


@pytest.mark.parametrize("path", HAND, ids=lambda path: path.stem)
def test_programs_written_by_hand(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    made = format_text(text)
    assert print_program(parse(made)) == print_program(parse(text))
    assert words(made) == words(text)
    assert comments(made) == comments(text)
    assert format_text(made) == made
    assert not re.search(r"[ \t\r]\n|\n\n\n|\t", made)
    assert "\n" not in (made[0], made[-2])


def test_an_example() -> None:
    text = """\
; head


wsc 1
fabric   "wse2" 2x1
const   N=4;four
const LONG = - 3 ; less
color c=0
region all at 0 , 0 size 2x1
proc p(a,b)
;doc
loop i:N   ; turns
if i<- 1
i.add j , i,-2*(a+b) %3
else
; nothing
mov.f32 [a+i*4],<c:k> for k : 2
end
end
end


"""
    made = """\
; head

wsc 1
fabric "wse2" 2x1
const N    = 4   ;four
const LONG = -3  ; less
color c = 0
region all at 0,0 size 2x1
proc p(a, b)
  ;doc
  loop i: N  ; turns
    if i < -1
      i.add j, i, -2*(a + b)%3
    else
      ; nothing
      mov.f32 [a + i*4], <c: k> for k:2
    end
  end
end
"""
    assert format_text(text) == made
    with pytest.raises(UnexpectedInput):
        format_text(text.replace("else", "els"))


def test_a_line_that_is_wrong_has_the_words_before_the_mistake() -> None:
    lines = text_lines("wsc 1\nfabric 3\ncolor a = 0\ncolor b\ncolor c = 1\n", tolerant=True)
    assert [len(line.tokens) for line in lines] == [2, 1, 0, 0, 0, 0]
    lines = text_lines('wsc 1\nfabric "wse2" 1x1\ncolor b\ncolor c = 1 ; c\n', tolerant=True)
    assert [len(line.tokens) for line in lines] == [2, 3, 2, 4, 0]
    assert lines[3].comment == "; c"
