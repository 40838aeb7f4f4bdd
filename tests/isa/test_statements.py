"""One walk and one rewriter know all that is in a statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from wsc.isa.expr import Binary, Expr, Int, Name
from wsc.isa.parser import parse
from wsc.isa.program import If, Location, Loop, Statement
from wsc.isa.statements import Spot, Use, assigned, blocks, rewrite, statements, uses

TEXT = """\
wsc 1
fabric "wse2" 4x2
color out = 0
tensor a : f32[8] at 0 size 32
region all at 0,0 size 4x2
route out in all : RAMP -> RAMP
proc p(at, n)
  loop t: n + 1
    i.load r, [at + 4*t]
    if r < 2*n + 3
      add.f32 [at + 4*i], [a + 8*i], {r + 5} for i:r + 6
    else
      send.f32 (x + 7, r) s1: [at], [a + r]
      async 0: mov.f32 <out>, [at + 4*i] for i:n
      control advance <out>
      signal s2, 1
    end
  end
end
main all
  call p(at = a, n = 9)
end
"""


def bodies() -> list[tuple[Statement, ...]]:
    program = parse(TEXT)
    return [program.procedures[0].body, program.regions[0].main]


def found(item: object) -> Iterator[Expr]:
    """Every expression in a value, whatever it is in; those in other statements left out."""
    if isinstance(item, Int | Name | Binary):
        yield item
    elif isinstance(item, tuple):
        for part in item:
            yield from found(part)
    elif is_dataclass(item) and not isinstance(item, Location):
        for entry in fields(item):
            yield from found(getattr(item, entry.name))


def test_uses_are_all_expressions_of_a_statement() -> None:
    for body in bodies():
        for statement in statements(body):
            inside = {id(node) for block in blocks(statement) for node in found(block)}
            wanted = [node for node in found(statement) if id(node) not in inside]
            got = [node for _, node in uses(statement)]
            assert sorted(map(id, got)) == sorted(map(id, wanted)), statement


@pytest.mark.parametrize("use", Use)
def test_the_rewriter_reaches_every_use(use: Use) -> None:
    def change(node: Expr, spot: Spot) -> Expr:
        return Int(1234) if spot.use is use else node

    for body in bodies():
        new = rewrite(body, change)
        for old, now in zip(statements(body), statements(new), strict=True):
            for (one, before), (two, after) in zip(uses(old), uses(now), strict=True):
                assert one is two
                assert after == (Int(1234) if one is use else before)


def test_the_rewriter_reaches_every_statement_once() -> None:
    seen: list[Statement] = []

    def own(statement: Statement) -> Statement:
        seen.append(statement)
        return statement

    for body in bodies():
        seen.clear()
        assert rewrite(body, own=own) == body
        assert len(seen) == len([*statements(body)])


def test_what_a_body_assigns() -> None:
    body = bodies()[0]
    assert [*assigned(body)] == ["t", "r"]
    assert {type(s) for s in statements(body) if blocks(s)} == {Loop, If}
