"""Plainer scalar code: the same stores by fewer instructions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.passes.bodies import Body, bodies, stores
from wsc.isa.parser import parse
from wsc.isa.printer import print_statement
from wsc.isa.statements import statements
from wsc.kernels.scalars import plainer

FRAME = """wsc 1
fabric "tiny" 4x4
precision f32
tensor t : i32[64] at 0 size 256
color c = 0
region all at 0,0 size 4x4
proc p(a, n)
{body}
end
main all
  call p(a = 1, n = 2)
end
"""


def body_of(text: str) -> Body:
    return parse(FRAME.format(body=text)).procedures[0].body


def plain(text: str) -> str:
    """A procedure's lines as the walk leaves them, a and n its parameters."""
    return "\n".join(map(print_statement, plainer(body_of(text), ["a", "n"])))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(bodies())
def test_the_plainer_body_does_the_same(body: Body) -> None:
    small = plainer(body)
    assert stores(small) == stores(body)
    assert len([*statements(small)]) <= len([*statements(body)])
    assert plainer(small) == small


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Copies and sums move into operands, of which each holds two registers at most.
        ("i.set r, a\ni.store [t], r", "i.store [t], a"),
        ("i.add r, a, 4\ni.store [t + r], r", "i.store [t + 4 + a], a + 4"),
        ("i.add r, a, n\ni.store [t], r", "i.store [t], a + n"),
        ("i.add r, a, n\ni.add r, r, a\ni.store [t], r", "i.add r, a + n, a\ni.store [t], r"),
        ("loop k: 2\ni.add r, r, a\nend\ni.store [t], a", "i.store [t], a"),
        ("i.sub r, a, x\ni.store [t], r", "i.store [t], a - x"),
        ("i.sub r, x, a\ni.store [t], r", "i.sub r, x, a\ni.store [t], r"),
        ("i.add r, a, n\ni.sub q, r, n\ni.store [t], q", "i.store [t], a"),
        # What is static is computed when the program is loaded.
        ("i.mul r, x, 12\ni.div r, r, 5\ni.store [t], r", "i.store [t], x*12/5"),
        ("i.div r, x, y\ni.store [t], r", "i.div r, x, y\ni.store [t], r"),
        # What changes nothing goes, and what nobody reads.
        ("i.mul r, a, 1\ni.min r, r, r\ni.store [t], r", "i.store [t], a"),
        ("i.mul r, a, 7\ni.store [t], a", "i.store [t], a"),
        ("i.div r, a, n\ni.store [t], a", "i.div r, a, n\ni.store [t], a"),
        ("i.index r, a, 4\ni.store [t], a", "i.index r, a, 4\ni.store [t], a"),
        # What is there already is not computed again.
        (
            "i.mod r, a, 5\ni.mod q, a, 5\ni.store [t], r\ni.store [t], q",
            "i.mod r, a, 5\ni.store [t], r\ni.store [t], r",
        ),
        (
            "i.min r, a, n\ni.min q, n, r\ni.store [t], q",
            "i.min r, a, n\ni.store [t], r",
        ),
        # Unless it is something else by then.
        (
            "i.set r, n\ni.set q, r\ni.add r, r, 1\ni.store [t + r], q",
            "i.store [t + 1 + n], n",
        ),
        (
            "i.mul r, a, 3\nloop k: 2\ni.store [t], r\ni.mul r, r, 3\nend",
            "i.mul r, a, 3\nloop k: 2\n  i.store [t], r\n  i.mul r, r, 3\nend",
        ),
        # Guards and loops.
        ("if 0 > 0\ni.store [t], a\nend\ni.store [t], n", "i.store [t], n"),
        ("i.sub r, a, x\nif r == 0\ni.store [t], a\nend", "if a == x\n  i.store [t], a\nend"),
        ("if a > n\ni.set r, 1\nelse\ni.store [t], a\nend", "if a <= n\n  i.store [t], a\nend"),
        ("loop k: 1\ni.store [t + k], a\nend", "i.store [t], a"),
        ("loop k: 0\ni.store [t + k], a\nend\ni.store [t], a", "i.store [t], a"),
    ],
)
def test_what_becomes_of(before: str, after: str) -> None:
    assert plain(before) == after
