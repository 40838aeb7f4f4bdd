"""Names of calls: each once in a main, and known where the schedule uses them."""

from __future__ import annotations

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.parser import parse
from wsc.isa.printer import print_program

TEXT = """\
wsc 1
fabric "wse2" 2x1
input a : f32[4] "float32"
color into = 0
region all at 0,0 size 2x1
route into in all : N -> RAMP
proc take()
  mov.f32 [4*i], <into> for i:2
end
proc both()
  call take()
  call take()
end
main all
  call both() as c1 @"n"
  call take() as second
end
feed into in all side N from a[i] repeat r:2 for i:2 call c1 @"n"
feed into in all side N from a[i] for i:2 call second
"""


def test_names_read_back() -> None:
    program = parse(TEXT)
    assert [call.name for call in program.regions[0].main] == ["c1", "second"]  # type: ignore[union-attr]
    assert [transfer.call for transfer in program.transfers] == ["c1", "second"]  # type: ignore[union-attr]
    assert parse(print_program(program)) == program


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("call second\n", "call secnd\n", "there is no call 'secnd'; did you mean 'second'"),
        ("as second", "as c1", "the call 'c1' is defined twice"),
        ("both()\n  call take()", "both()\n  call take() as c3", "'both' is none"),
        ("as second", "as 7", "expected"),
    ],
)
def test_names_that_are_wrong(old: str, new: str, said: str) -> None:
    with pytest.raises(AssemblyError, match=said):
        parse(TEXT.replace(old, new))
