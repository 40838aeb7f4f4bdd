"""Register reuse changes names and nothing else."""

from __future__ import annotations

from hypothesis import given, settings

from tests.passes.bodies import Body, bodies, stores
from wsc.isa.expr import Int, Name
from wsc.isa.program import Loop, Mem, Op, Scalar
from wsc.isa.statements import assigned
from wsc.kernels.registers import compact


@settings(max_examples=200, deadline=None, derandomize=True)
@given(bodies())
def test_the_compact_body_stores_the_same(body: Body) -> None:
    small = compact(body, assigned(body))
    assert stores(small) == stores(body)
    assert len(assigned(small)) <= len(assigned(body))
    assert assigned(small).keys() <= assigned(body).keys()


def put(register: str, value: int | str) -> Op:
    node = Name(value) if isinstance(value, str) else Int(value)
    return Op("i.set", operands=(Scalar(node),), register=register)


def store(register: str) -> Op:
    return Op("i.store", operands=(Mem(Name("base")), Scalar(Name(register))))


def test_registers_one_after_the_other_share_one() -> None:
    body = (put("a", 1), store("a"), put("b", 2), store("b"))
    assert set(assigned(compact(body, {"a", "b"}))) == {"a"}


def test_what_a_loop_reads_lives_through_all_of_it() -> None:
    inside = Loop("i", Int(3), (store("a"), put("b", 2), store("b")))
    body = (put("a", 1), inside)
    small = compact(body, {"a", "b", "i"})
    assert len(assigned(small)) == 3
    assert stores(small) == [(100, 1), (100, 2)] * 3
